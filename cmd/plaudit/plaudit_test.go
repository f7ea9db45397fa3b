package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func runCommand(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(context.Background(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), err
}

func TestSecretsAreMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.json")
	first, _, err := runCommand("", "secrets", "--file", file)
	if err != nil {
		t.Fatal(err)
	}
	var params map[string]string
	if err := json.Unmarshal([]byte(first), &params); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(params["SigningKey"], "PRIVATE KEY") || !strings.Contains(params["Jwks"], `"keys"`) || len(params["AdminPassword"]) < 20 ||
		len(params["NotifyKey"]) != len("plaudit_")+43 || len(params) != 4 {
		t.Errorf("made %d parameters", len(params))
	}
	if strings.Contains(params["Jwks"], `"d"`) {
		t.Error("the public key set contains the private half")
	}
	if again, _, err := runCommand("", "secrets", "--file", file); err != nil || again != first {
		t.Errorf("a second run changes them (%v)", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}

	// Parameters that a later version of the template needs are added.
	more, _, err := runCommand("", "secrets", "--file", file, "--databases")
	if err != nil {
		t.Fatal(err)
	}
	later := map[string]string{}
	if err := json.Unmarshal([]byte(more), &later); err != nil {
		t.Fatal(err)
	}
	if len(later) != 6 || later["SigningKey"] != params["SigningKey"] || later["ScoresDbPassword"] == later["UsersDbPassword"] {
		t.Errorf("%d parameters, or changed ones", len(later))
	}
}

func TestABrokenSecretsFileIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.json")
	for _, text := range []string{"", "{", `{"SigningKey": {"secret": 1}}`, `["secret"]`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := runCommand("", "secrets", "--file", file)
		if err == nil || strings.Contains(err.Error(), "secret\"") || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
		if now, _ := os.ReadFile(file); string(now) != text {
			t.Errorf("%q became %q", text, now)
		}
	}
}

func TestSetupNamesMissingOutputs(t *testing.T) {
	for stdin, want := range map[string]string{
		"":   "stack-outputs",
		"{}": "stack-outputs",
		`[{"OutputKey": "Url", "OutputValue": "http://127.0.0.1:1"}]`: "AdminEmail, AdminPasswordSecretArn, DbMigrateFunctionName, DbCheckFunctionName, ScoresDbMasterSecretArn, UsersDbMasterSecretArn",
	} {
		if _, _, err := runCommand(stdin, "setup"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", stdin, err)
		}
	}
}

// The help would push the error off the screen.
func TestWrongArgumentsEndWithTheError(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `plaudit: unknown command "frobnicate"; see `},
		{[]string{"secrets", "x"}, `plaudit secrets: unexpected argument "x"; see `},
		{[]string{"secrets", "--nothing"}, "plaudit secrets: flag provided but not defined: -nothing; see "},
		{[]string{"setup", "--wait", "x"}, `plaudit setup: invalid value "x" for flag -wait`},
		{[]string{"login", "--nothing"}, "plaudit login: flag provided but not defined: -nothing; see "},
		{[]string{"boards"}, "plaudit boards: the command is `plaudit boards check BOARD`; see "},
		{[]string{"audit"}, "plaudit audit: the command is `plaudit audit tail`, `check`, `restore` or `retry`; see "},
		{[]string{"audit", "retry", "x"}, "plaudit audit retry: unexpected argument \"x\"; see "},
		{[]string{"audit", "check", "x"}, "plaudit audit check: unexpected argument \"x\"; see "},
		{[]string{"audit", "tail", "--since", "-1m"}, "plaudit audit tail: --since must not be negative; see "},
		{[]string{"boards", "check", "b", "--nothing"}, "plaudit boards check: flag provided but not defined: -nothing; see "},
	} {
		_, stderr, err := runCommand("", c.args...)
		if !errors.Is(err, errUsage) || !strings.HasPrefix(stderr, c.want) || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--help") {
			t.Errorf("%q: %v, %q", c.args, err, stderr)
		}
	}
	if _, stderr, err := runCommand(""); !errors.Is(err, errUsage) || stderr != usage {
		t.Errorf("without a command: %v, %q", err, stderr)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"boards", "--help"}, {"boards", "check", "--help"}, {"audit", "--help"}, {"audit", "tail", "--help"}} {
		if out, _, err := runCommand("", args...); err != nil || out != usage {
			t.Errorf("%q: %v, %q", args, err, out)
		}
	}
	for want, args := range map[string][]string{
		"-databases":                      {"secrets", "--help"},
		"FILE switch   sign with the":     {"secrets", "rotate", "--help"},
		"Usage of setup:\n  -":            {"setup", "--help"},
		"(default \".local/run.json\")\n": {"login", "--help"},
	} {
		if _, stderr, err := runCommand("", args...); !errors.Is(err, flag.ErrHelp) || !strings.Contains(stderr, want) {
			t.Errorf("%q: %v, %q", args, err, stderr)
		}
	}
}

// A shell that evaluates the output of login reaches the stack of run.json.
func TestLogin(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method+" "+r.URL.Path != "POST /v1/sessions" || string(body) != `{"email":"a@example.com","password":"secret"}` {
			t.Errorf("%s %s %s", r.Method, r.URL, body)
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"access_token": "a.b.c"}`)
	}))
	defer api.Close()
	file := filepath.Join(t.TempDir(), "run.json")
	text, err := json.Marshal(map[string]any{
		"url": api.URL, "aws": "http://127.0.0.1:4999", "region": "a region's name", "admin": credentialsIn{"a@example.com", "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := runCommand("", "login", "--run", file)
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-ec", out+"env")
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=the user's own"}
	env, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, env)
	}
	for _, want := range []string{
		"URL=" + api.URL, "TOKEN=a.b.c", "AWS_ENDPOINT_URL=http://127.0.0.1:4999", "AWS_REGION=a region's name", "AWS_DEFAULT_REGION=a region's name",
		"AWS_ACCESS_KEY_ID=laptop", "AWS_SECRET_ACCESS_KEY=laptop",
	} {
		if !strings.Contains("\n"+string(env), "\n"+want+"\n") {
			t.Errorf("the shell lacks %s:\n%s", want, env)
		}
	}

	if _, _, err := runCommand("", "login", "--run", file+".none"); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("login without a laptop cloud: %v", err)
	}
}
