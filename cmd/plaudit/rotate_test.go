package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
)

// rotation is a secrets file whose key is being rotated.
type rotation struct {
	*testing.T
	file string
}

func newRotation(t *testing.T) rotation {
	t.Helper()
	r := rotation{t, filepath.Join(t.TempDir(), "secrets.json")}
	if _, _, err := runCommand("", "secrets", "--file", r.file); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r rotation) kept() map[string]string {
	r.Helper()
	params := map[string]string{}
	text, err := os.ReadFile(r.file)
	if err == nil {
		err = json.Unmarshal(text, &params)
	}
	if err != nil {
		r.Fatal(err)
	}
	return params
}

// step runs a step and returns the parameters that it prints.
func (r rotation) step(args ...string) (params map[string]string, said string) {
	r.Helper()
	out, said, err := runCommand("", append([]string{"secrets", "rotate", "--file", r.file}, args...)...)
	if err != nil {
		r.Fatalf("%s: %v", args, err)
	}
	if err := json.Unmarshal([]byte(out), &params); err != nil {
		r.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(params)); !slices.Equal(got, []string{"AdminPassword", "Jwks", "NotifyKey", "SigningKey"}) {
		r.Errorf("%s prints %q, which the template does not take", args, got)
	}
	return params, said
}

func (r rotation) refused(want string, args ...string) {
	r.Helper()
	before := r.kept()
	out, _, err := runCommand("", append([]string{"secrets", "rotate", "--file", r.file}, args...)...)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PRIVATE") || out != "" {
		r.Errorf("%s: %v, %q", args, err, out)
	}
	if !maps.Equal(before, r.kept()) {
		r.Errorf("%s is refused and changes the file", args)
	}
}

func token(t *testing.T, params map[string]string) string {
	t.Helper()
	signer, err := jose.NewSigner(params["SigningKey"])
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(access.Caller{User: "u", Role: access.Member}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func takes(t *testing.T, params map[string]string, token string) bool {
	t.Helper()
	v, err := jose.NewVerifier(params["Jwks"])
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(token)
	return err == nil
}

func publicKeys(t *testing.T, params map[string]string) int {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(params["Jwks"]), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k["d"] != nil {
			t.Error("a private half is in Jwks")
		}
	}
	return len(set.Keys)
}

func (r rotation) switchedAgo(d time.Duration) {
	r.Helper()
	params := r.kept()
	params["SwitchedAt"] = time.Now().Add(-d).UTC().Format(time.RFC3339)
	text, _ := json.Marshal(params)
	if err := os.WriteFile(r.file, text, 0o600); err != nil {
		r.Fatal(err)
	}
}

// At every step, a half-finished deployment accepts every valid token: those of
// this step's signer, and of the steps before and after it.
func TestRotation(t *testing.T) {
	r := newRotation(t)
	before := r.kept()
	begun, said := r.step("begin")
	if begun["SigningKey"] != before["SigningKey"] || publicKeys(t, begun) != 2 || !strings.Contains(said, "switch") {
		t.Errorf("begin: %d public keys, says %q", publicKeys(t, begun), said)
	}
	if kept := r.kept(); !strings.Contains(kept["NextSigningKey"], "PRIVATE KEY") || strings.Contains(said, "PRIVATE") {
		t.Error("the next key is not kept, or is printed")
	}
	if again, said := r.step("begin"); !maps.Equal(again, begun) || !strings.Contains(said, "Nothing changed") {
		t.Error("a second begin changes something")
	}
	printed, _, err := runCommand("", "secrets", "--file", r.file)
	var plain map[string]string
	if err == nil {
		err = json.Unmarshal([]byte(printed), &plain)
	}
	if err != nil || !maps.Equal(plain, begun) {
		t.Errorf("plaudit secrets prints other parameters during a rotation (%v): %q", err, slices.Collect(maps.Keys(plain)))
	}

	switched, said := r.step("switch")
	if switched["SigningKey"] == before["SigningKey"] || switched["Jwks"] != begun["Jwks"] || !strings.Contains(said, "finish") || !strings.Contains(said, "15 minutes") {
		t.Errorf("switch says %q", said)
	}
	if again, _ := r.step("switch"); !maps.Equal(again, switched) {
		t.Error("a second switch changes something")
	}

	r.refused("tokens of the old key are valid for up to", "finish")
	r.switchedAgo(14 * time.Minute)
	r.refused("more", "finish")
	r.switchedAgo(15*time.Minute + time.Second)
	finished, _ := r.step("finish")
	if publicKeys(t, finished) != 1 || finished["SigningKey"] != switched["SigningKey"] {
		t.Errorf("finish leaves %d public keys", publicKeys(t, finished))
	}

	old, fresh := token(t, before), token(t, switched)
	for name, c := range map[string]struct {
		params   map[string]string
		old, new bool
	}{
		"before":   {before, true, false},
		"begun":    {begun, true, true},
		"switched": {switched, true, true},
		"finished": {finished, false, true},
	} {
		if takes(t, c.params, old) != c.old || takes(t, c.params, fresh) != c.new {
			t.Errorf("%s: takes old %t, new %t", name, takes(t, c.params, old), takes(t, c.params, fresh))
		}
	}
	if got := slices.Sorted(maps.Keys(r.kept())); !slices.Equal(got, []string{"AdminPassword", "Jwks", "NotifyKey", "SigningKey"}) || r.kept()["AdminPassword"] != before["AdminPassword"] {
		t.Errorf("afterwards the file contains %q", got)
	}
	if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(r.file)); err != nil || len(left) != 1 {
		t.Errorf("the folder contains %v", left)
	}

	// A second rotation, finished at once.
	r.step("begin")
	r.step("switch")
	if hurried, _ := r.step("finish", "--now"); publicKeys(t, hurried) != 1 || takes(t, hurried, fresh) {
		t.Error("the second rotation left the first one's key")
	}
}

func TestRotationOutOfOrder(t *testing.T) {
	r := newRotation(t)
	r.refused("begin", "switch")
	r.refused("begin", "finish")
	r.refused("begin", "finish", "--now")
	r.step("begin")
	r.refused("switch", "finish", "--now")
	r.step("switch")
	r.refused("finish", "begin")
	r.step("--now", "finish")
	r.refused("no rotation is in progress", "finish")
	r.refused("begin", "switch")
}

func TestRotationOfABrokenFile(t *testing.T) {
	r := newRotation(t)
	good := r.kept()
	_, otherKeys, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]map[string]string{
		"contains no signing key":                         {"SigningKey": ""},
		"PKCS 8":                                          {"SigningKey": "secret"},
		"Jwks: ":                                          {"Jwks": "{"},
		"lacks the public half":                           {"Jwks": otherKeys},
		"SwitchedAt in the file is not a time":            {"SwitchedAt": "yesterday"},
		"the signing key must be a PKCS 8 private":        {"SigningKey": "-----BEGIN"},
		"is not finished; first run `plaudit secrets rot": {"SwitchedAt": "2026-01-01T00:00:00Z"},
	} {
		params := maps.Clone(good)
		maps.Copy(params, change)
		text, _ := json.Marshal(params)
		if err := os.WriteFile(r.file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		step := "begin"
		if strings.Contains(want, "not a time") {
			step = "finish"
		}
		r.refused(want, step)
	}
	// If begin did not make the next key, no verifier knows its signatures after the
	// switch.
	next, _, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	params := maps.Clone(good)
	params["NextSigningKey"] = next
	text, _ := json.Marshal(params)
	if err := os.WriteFile(r.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.refused("lacks the public half", "switch")

	r.file = filepath.Join(t.TempDir(), "none.json")
	if _, _, err := runCommand("", "secrets", "rotate", "--file", r.file, "begin"); err == nil || !strings.Contains(err.Error(), "contains no signing key") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(r.file); err == nil {
		t.Error("the file was created")
	}
}

func TestRotationUsage(t *testing.T) {
	r := newRotation(t)
	for _, args := range [][]string{
		{}, {"begin"}, {"--file", r.file}, {"--file", r.file, "rotate"}, {"--file", r.file, "begin", "switch"}, {"--file", r.file, "begin", "--soon"},
	} {
		_, stderr, err := runCommand("", append([]string{"secrets", "rotate"}, args...)...)
		if !errors.Is(err, errUsage) || !strings.HasPrefix(stderr, "plaudit secrets rotate: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--help") {
			t.Errorf("%q: %v, %q", args, err, stderr)
		}
	}
	if publicKeys(t, r.kept()) != 1 {
		t.Error("one of them began a rotation")
	}
}
