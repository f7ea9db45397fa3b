package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
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
	if !strings.Contains(params["SigningKey"], "PRIVATE KEY") || !strings.Contains(params["Jwks"], `"keys"`) || len(params["AdminPassword"]) < 20 || len(params) != 3 {
		t.Errorf("made %d parameters", len(params))
	}
	if strings.Contains(params["Jwks"], `"d"`) {
		t.Error("the public key set holds the private half")
	}
	if again, _, err := runCommand("", "secrets", "--file", file); err != nil || again != first {
		t.Errorf("a second run changes them (%v)", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}

	// What a later version of the template needs besides is added.
	more, _, err := runCommand("", "secrets", "--file", file, "--databases")
	if err != nil {
		t.Fatal(err)
	}
	later := map[string]string{}
	if err := json.Unmarshal([]byte(more), &later); err != nil {
		t.Fatal(err)
	}
	if len(later) != 5 || later["SigningKey"] != params["SigningKey"] || later["ScoresDbPassword"] == later["UsersDbPassword"] {
		t.Errorf("%d parameters, or not those of before", len(later))
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

func TestSetupNamesWhatTheOutputsLack(t *testing.T) {
	for stdin, want := range map[string]string{
		"":   "stack-outputs",
		"{}": "stack-outputs",
		`[{"OutputKey": "Url", "OutputValue": "http://127.0.0.1:1"}]`: "AdminEmail, AdminPasswordSecretArn, DbMigrateFunctionName, ScoresDbMasterSecretArn, UsersDbMasterSecretArn",
	} {
		if _, _, err := runCommand(stdin, "setup"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", stdin, err)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"frobnicate"}, {"secrets", "x"}, {"secrets", "--nothing"}, {"setup", "--wait", "x"}} {
		if _, stderr, err := runCommand("", args...); !errors.Is(err, errUsage) || stderr == "" {
			t.Errorf("%q: %v, %q", args, err, stderr)
		}
	}
	if out, _, err := runCommand("", "--help"); err != nil || !strings.Contains(out, "plaudit secrets") {
		t.Errorf("--help: %v, %q", err, out)
	}
	if _, _, err := runCommand("", "login", "--run", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("login without a running stack: %v", err)
	}
}
