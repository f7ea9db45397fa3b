package main

import (
	"context"
	"net/http"
)

// makeDemo makes the board that the sample events in events/ speak of: a race
// in which the distance decides the points, with three results. A second run
// finds it and changes nothing.
func makeDemo(ctx context.Context, api *client, email, password string) error {
	if err := api.login(ctx, credentialsIn{email, password}); err != nil {
		return err
	}
	board := map[string]any{
		"id": "demo", "title": "Demo race",
		"catalogue": map[string]int{"full": 42, "half": 20, "10k": 10, "dnf": 0},
	}
	if err := api.want(ctx, http.MethodPost, "/v1/boards", nil, board, nil, http.StatusCreated, http.StatusConflict); err != nil {
		return err
	}
	for _, e := range []struct{ player, name, reason string }{
		{"bib-101", "Kim Minji", "full"}, {"bib-102", "Lee Jun", "half"}, {"bib-103", "Ana Souza", "10k"},
	} {
		entry := map[string]any{"player": e.player, "reason": e.reason, "profile": map[string]string{"display_name": e.name}}
		key := map[string]string{"Idempotency-Key": "demo-" + e.player}
		if err := api.want(ctx, http.MethodPost, "/v1/boards/demo/entries", key, entry, nil, http.StatusCreated, http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}
