package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// login logs the laptop's admin in and prints the variables that a shell needs
// to use the laptop's stack:
//
//	eval "$(.local/bin/plaudit login)"
func login(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("login", flag.ContinueOnError)
	file := flags.String("run", ".local/run.json", "`FILE` that make run writes")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	run, err := readRunFile(*file)
	if err != nil {
		return err
	}
	api := &client{url: run.URL, http: &http.Client{Timeout: 15 * time.Second}}
	if err := api.login(ctx, run.Admin); err != nil {
		return err
	}
	for _, v := range []struct{ name, value string }{
		{"URL", run.URL},
		{"TOKEN", api.token},
		{"AWS_ENDPOINT_URL", run.AWS},
		// The AWS CLI 1 reads one of the two, everything else the other.
		{"AWS_DEFAULT_REGION", run.Region},
		{"AWS_REGION", run.Region},
		// The laptop does not check credentials, but no AWS client sends a request
		// without any. They replace the user's own, which must not go elsewhere.
		{"AWS_ACCESS_KEY_ID", "laptop"},
		{"AWS_SECRET_ACCESS_KEY", "laptop"},
	} {
		if _, err := fmt.Fprintf(stdout, "export %s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`)); err != nil {
			return err
		}
	}
	return nil
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
