package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// login logs the laptop's admin in and prints what a shell needs to go on:
//
//	eval "$(.local/bin/plaudit login)"
func login(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("login", flag.ContinueOnError)
	file := flags.String("run", ".local/run.json", "`FILE` that `make run` writes")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return fmt.Errorf("nothing runs here, `make run` starts it: %w", err)
	}
	var run struct {
		URL   string
		Admin credentialsIn
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	api := &client{url: run.URL, http: &http.Client{Timeout: 15 * time.Second}}
	if err := api.login(ctx, run.Admin); err != nil {
		return err
	}
	// Neither holds a character that a shell minds: a URL of ours, a token of
	// letters, digits, dots, - and _.
	_, err = fmt.Fprintf(stdout, "export URL='%s' TOKEN='%s'\n", run.URL, api.token)
	return err
}

// credentialsIn is the body of POST /v1/sessions.
type credentialsIn struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// login opens a session; the client's later calls use its token.
func (c *client) login(ctx context.Context, who credentialsIn) error {
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := c.want(ctx, http.MethodPost, "/v1/sessions", nil, who, &session, http.StatusCreated); err != nil {
		return err
	}
	c.token = session.AccessToken
	return nil
}
