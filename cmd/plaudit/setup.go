package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// stack holds the stack's outputs that setup needs.
type stack struct {
	url, adminEmail, adminPasswordSecret, migrate, check string
	masters                                              map[string]string // database → secret of its master
}

// output is one of the stack's outputs, in the form of
// `sam list stack-outputs --output json`.
type output struct {
	OutputKey, OutputValue string
}

// readOutputs returns the stack's outputs by their keys.
func readOutputs(r io.Reader) (map[string]string, error) {
	var outputs []output
	if err := json.NewDecoder(r).Decode(&outputs); err != nil {
		return nil, fmt.Errorf("the stack's outputs are not the JSON list that `sam list stack-outputs --output json` prints: %w", err)
	}
	values := map[string]string{}
	for _, o := range outputs {
		values[o.OutputKey] = o.OutputValue
	}
	return values, nil
}

func readStack(r io.Reader) (stack, error) {
	values, err := readOutputs(r)
	if err != nil {
		return stack{}, err
	}
	var missing []string
	need := func(key string) string {
		if values[key] == "" {
			missing = append(missing, key)
		}
		return values[key]
	}
	s := stack{
		url: need("Url"), adminEmail: need("AdminEmail"), adminPasswordSecret: need("AdminPasswordSecretArn"), migrate: need("DbMigrateFunctionName"),
		check:   need("DbCheckFunctionName"),
		masters: map[string]string{"scores": need("ScoresDbMasterSecretArn"), "users": need("UsersDbMasterSecretArn")},
	}
	if len(missing) > 0 {
		return stack{}, fmt.Errorf("the stack's outputs lack %s", strings.Join(missing, ", "))
	}
	return s, nil
}

// setup migrates the databases, waits until both can be used, and restores the audit log
// if it lacks some of what they have. It can be repeated at any time.
func setup(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("setup", flag.ContinueOnError)
	demo := flags.Bool("demo", false, "also create the board `demo` of the sample events, and print the admin's address and password (for a laptop)")
	folder := flags.String("events", "", "`folder` of sample events: with --demo, sends the replays among them a first time")
	wait := flags.Duration("wait", time.Minute, "how long to wait for the users service, and then for score-query")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	st, err := readStack(stdin)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	secrets := secretsmanager.NewFromConfig(cfg)

	result, err := migrate(ctx, lambda.NewFromConfig(cfg), secrets, st)
	if err != nil {
		return fmt.Errorf("migrate the databases: %w", err)
	}
	fmt.Fprintf(stderr, "databases migrated: %s\n", result)
	api := &client{url: st.url, http: &http.Client{Timeout: 15 * time.Second}}
	for _, part := range []struct{ path, name, hint string }{
		{"/readyz", "the users service", "read its log, and check that UsersDesiredCount is not 0"},
		{"/readyz/scores", "score-query", "read its log"},
	} {
		if err := api.ready(ctx, part.path, *wait); err != nil {
			return fmt.Errorf("%s at %s is not ready (%w); %s", part.name, st.url, err, part.hint)
		}
		fmt.Fprintln(stderr, part.name+" is ready")
	}
	if err := restoreIfEmptier(ctx, checker{lambda.NewFromConfig(cfg), st.check}, stderr); err != nil {
		return fmt.Errorf("compare the audit log with the databases: %w", err)
	}
	if !*demo {
		return nil
	}

	password, err := secret(ctx, secrets, st.adminPasswordSecret)
	if err != nil {
		return err
	}
	if err := makeDemo(ctx, api, st.adminEmail, password); err != nil {
		return fmt.Errorf("make the demo board: %w", err)
	}
	if *folder != "" {
		if err := makeReplays(ctx, api, *folder); err != nil {
			return fmt.Errorf("sample events: %w", err)
		}
	}
	fmt.Fprintln(stderr, "demo board ready; to try it, paste the demo of README.md, which begins with")
	fmt.Fprintln(stderr, `  eval "$(.local/bin/plaudit login)"`)
	return json.NewEncoder(stdout).Encode(map[string]any{"admin": map[string]string{"email": st.adminEmail, "password": password}})
}

// credentials is the content of the secret that RDS makes for a master.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// migrate invokes db-migrate, which logs in with the role that it has made for
// itself. If that fails, because the role does not exist yet, migrate passes it
// the masters' passwords.
func migrate(ctx context.Context, functions *lambda.Client, secrets *secretsmanager.Client, st stack) (string, error) {
	result, err := invoke(ctx, functions, st.migrate, map[string]any{})
	if err == nil {
		return result, nil
	}
	masters := map[string]credentials{}
	for database, arn := range st.masters {
		text, err := secret(ctx, secrets, arn)
		if err != nil {
			return "", err
		}
		var c credentials
		if json.Unmarshal([]byte(text), &c) != nil || c.Username == "" {
			return "", fmt.Errorf("the secret %s does not contain a username and a password", arn)
		}
		masters[database] = c
	}
	return invoke(ctx, functions, st.migrate, map[string]any{"masters": masters})
}

// invoke calls a function and returns its answer, or the function's error.
func invoke(ctx context.Context, functions *lambda.Client, name string, event any) (string, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return "", err
	}
	out, err := functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		return "", err
	}
	if out.FunctionError != nil {
		var e struct{ ErrorMessage string }
		if json.Unmarshal(out.Payload, &e) != nil || e.ErrorMessage == "" {
			e.ErrorMessage = string(out.Payload)
		}
		return "", fmt.Errorf("%s: %s", name, e.ErrorMessage)
	}
	return string(out.Payload), nil
}

func secret(ctx context.Context, secrets *secretsmanager.Client, id string) (string, error) {
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", fmt.Errorf("read the secret %s: %w", id, err)
	}
	return aws.ToString(out.SecretString), nil
}

// client calls the product's own API.
type client struct {
	url   string
	http  *http.Client
	token string
}

// ready waits until a route of health answers that its part is ready.
func (c *client) ready(ctx context.Context, path string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		status, answer, err := c.call(ctx, http.MethodGet, path, nil, nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("last answer: %d %s", status, answer)
		case <-tick.C:
		}
	}
}

// call sends one request and returns the answer's status and body.
func (c *client) call(ctx context.Context, method, path string, header map[string]string, body any) (int, []byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, err
}

// want sends one request and expects one of the statuses.
func (c *client) want(ctx context.Context, method, path string, header map[string]string, body, into any, statuses ...int) error {
	status, answer, err := c.call(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	for _, s := range statuses {
		if status == s {
			if into == nil {
				return nil
			}
			return json.Unmarshal(answer, into)
		}
	}
	return errors.New(method + " " + path + " returned " + http.StatusText(status) + ": " + string(bytes.TrimSpace(answer)))
}
