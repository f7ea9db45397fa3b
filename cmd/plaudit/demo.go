package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"plaudit/events"
)

// makeDemo makes the board of the sample events in events/: a race in which the
// longest distance decides the points, with three results. A second run changes
// nothing.
func makeDemo(ctx context.Context, api *client, email, password string) error {
	if err := api.login(ctx, credentialsIn{email, password}); err != nil {
		return err
	}
	board := map[string]any{
		"id": "demo", "title": "Demo race", "combine": "best",
		"catalogue": map[string]int{"full": 42, "half": 20, "10k": 10, "dnf": 0},
	}
	// Attempts to create a board that exists are limited, starts of a laptop are not.
	if api.want(ctx, http.MethodGet, "/v1/boards/demo", nil, nil, nil, http.StatusOK) != nil {
		if err := api.want(ctx, http.MethodPost, "/v1/boards", nil, board, nil, http.StatusCreated, http.StatusConflict); err != nil {
			return err
		}
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

// makeReplays sends each replay among the sample events of the folder
// (<function>/replay.200.json) a first time, so that the next one is a replay.
func makeReplays(ctx context.Context, api *client, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*", "replay.200.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no file <function>/replay.200.json", folder)
	}
	for _, file := range files {
		event, err := events.Read(file)
		if err != nil {
			return err
		}
		req, err := event.Request(ctx, api.url)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		resp, err := api.http.Do(req)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: got %s: %s", file, resp.Status, bytes.TrimSpace(answer))
		}
	}
	return nil
}
