package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"

	"plaudit/shared/access"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// environment returns a task's environment, with a database of its own.
func environment(t testing.TB) map[string]string {
	t.Helper()
	key, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.Users(t).Config("users_service")
	return map[string]string{
		"PORT": "0", "AWS_REGION": "ap-northeast-2", "ALLOWED_ORIGINS": "",
		"JWKS": jwks, "SIGNING_KEY": key, "ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "first admin's password",
		"LOGINS_PER_ADDRESS": "1000", "SIGN_UPS_PER_HOUR": "1000", "TOKENS_PER_SESSION": "1000", "TOKENS_PER_ADDRESS": "1000", "NOTIFY_KEY": "", "PUBLIC_URL": "",
		"EVENTS_TABLE": "events", "INDEX_TABLE": "event-index", "PROFILES_TABLE": "profiles", "OUTBOX_DAYS": "90",
		"DB_AUTH": db.Auth, "USERS_DSN": db.DSN, "USERS_PASSWORD": db.Password,
	}
}

// pairs returns an environment as a process takes it.
func pairs(env map[string]string) (list []string) {
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return list
}

// health runs the subcommand and returns its exit status and output.
func health(t *testing.T, program, port string) (status int, output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "health")
	cmd.Env = []string{"PORT=" + port}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestServesAndStops(t *testing.T) {
	program, env := boottest.Build(t, "."), environment(t)
	p := boottest.Run(t, program, pairs(env)...)
	address := p.Line("listening")["address"].(string)
	host, port, _ := strings.Cut(address, ":")
	if host != "127.0.0.1" {
		t.Errorf("it listens on %s", address)
	}
	url := "http://" + address
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready within a minute: %s", p.Output())
		}
	}
	if status, output := health(t, program, port); status != 0 || output != "" {
		t.Errorf("health: %d, %s", status, output)
	}

	response, err := http.Post(url+"/v1/sessions", "application/json", strings.NewReader(`{"email": "admin@example.com", "password": "first admin's password"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&session); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("login: %s, %v", response.Status, err)
	}
	verifier, err := jose.NewVerifier(env["JWKS"])
	if err != nil {
		t.Fatal(err)
	}
	if c, err := verifier.Verify(session.AccessToken); err != nil || c.Role != access.Admin || c.Session == "" {
		t.Errorf("the token is for %+v, %v", c, err)
	}

	p.Terminate()
	if status := p.Wait(); status != 0 {
		t.Errorf("after SIGTERM it ends with %d", status)
	}
	if status, output := health(t, program, port); status != 1 || !strings.Contains(output, "refused") {
		t.Errorf("health after the end: %d, %s", status, output)
	}
	for _, secret := range []string{"admin@", "first admin's password", "PRIVATE KEY", env["USERS_PASSWORD"], session.AccessToken} {
		if strings.Contains(p.Output(), secret) {
			t.Errorf("%q is in the log: %s", secret, p.Output())
		}
	}
}

// The key of the function that sends mail opens what mail needs, and neither it nor a
// link's secret is in the log.
func TestServesTheFunctionThatSendsMail(t *testing.T) {
	env := environment(t)
	env["NOTIFY_KEY"], env["PUBLIC_URL"] = "notify's own key, of a test", "https://plaudit.example:8443"
	p := boottest.Run(t, boottest.Build(t, "."), pairs(env)...)
	url := "http://" + p.Line("listening")["address"].(string)
	send := func(method, path, token, body string, status int) map[string]any {
		t.Helper()
		request, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var out map[string]any
		if err := json.NewDecoder(response.Body).Decode(&out); err != nil || response.StatusCode != status {
			t.Fatalf("%s %s: %s, %v, %v", method, path, response.Status, out, err)
		}
		return out
	}
	id := send("POST", "/v1/users", "", `{"email": "jin@example.com", "password": "correct horse battery", "display_name": "Jin"}`, 201)["id"].(string)
	token := send("POST", "/v1/tokens", "", `{"key": "notify's own key, of a test"}`, 200)["access_token"].(string)
	link := send("POST", "/v1/users/"+id+"/mail-links", token, `{"kind": "verify"}`, 201)
	secret, ok := strings.CutPrefix(link["url"].(string), "https://plaudit.example:8443/verify?token=")
	if !ok || link["email"] != "jin@example.com" {
		t.Errorf("the link is %v", link)
	}
	send("PUT", "/v1/email-verifications/"+secret, "", "", 200)
	send("PUT", "/v1/email-verifications/"+secret, "", "", 404)
	end := send("POST", "/v1/users/"+id+"/mail-links", token, `{"kind": "unsubscribe", "type": "other"}`, 201)["url"].(string)
	path := strings.TrimPrefix(end, env["PUBLIC_URL"])
	response, err := http.Post(url+path, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", path, response.Status)
	}
	p.Terminate()
	p.Wait()
	for _, secret := range []string{env["NOTIFY_KEY"], secret, strings.TrimPrefix(path, "/v1/unsubscribe/"), token, "jin@"} {
		if strings.Contains(p.Output(), secret) {
			t.Errorf("%q is in the log: %s", secret, p.Output())
		}
	}
}

func TestDoesNotStart(t *testing.T) {
	program, base := boottest.Build(t, "."), environment(t)
	_, otherKeys, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	everything := []string{"PORT", "AWS_REGION", "ALLOWED_ORIGINS", "JWKS", "SIGNING_KEY", "ADMIN_EMAIL", "ADMIN_PASSWORD",
		"LOGINS_PER_ADDRESS", "SIGN_UPS_PER_HOUR", "TOKENS_PER_SESSION", "TOKENS_PER_ADDRESS", "NOTIFY_KEY", "PUBLIC_URL", "DB_AUTH", "USERS_DSN", "USERS_PASSWORD"}
	for _, c := range []struct {
		name  string
		set   map[string]string
		unset []string
		want  []string // parts of its output
	}{
		{"with nothing set it names everything", nil, everything, everything},
		{"a port that is not a number", map[string]string{"PORT": "http"}, nil, []string{"PORT"}},
		{"keys without the signer's", map[string]string{"JWKS": otherKeys}, nil, []string{"JWKS does not contain", "SIGNING_KEY"}},
		{"keys that are not a key set", map[string]string{"JWKS": "{}"}, nil, []string{"JWKS"}},
		{"a signing key that is not one", map[string]string{"SIGNING_KEY": "secret"}, nil, []string{"SIGNING_KEY"}},
		{"an address that is not one", map[string]string{"ADMIN_EMAIL": "admin"}, nil, []string{"first admin", "email"}},
		{"a password too short", map[string]string{"ADMIN_PASSWORD": "secret"}, nil, []string{"first admin", "password"}},
		{"no room for logins", map[string]string{"LOGINS_PER_ADDRESS": "0"}, nil, []string{"limits"}},
		{"a key of notify that can be guessed", map[string]string{"NOTIFY_KEY": "secret", "PUBLIC_URL": "https://plaudit.example"}, nil, []string{"NOTIFY_KEY", "20 characters"}},
		{"mail without links", map[string]string{"NOTIFY_KEY": strings.Repeat("k", 20)}, nil, []string{"PUBLIC_URL must be set"}},
		{"a public URL with a slash", map[string]string{"PUBLIC_URL": "https://plaudit.example/"}, nil, []string{"PUBLIC_URL", "without a path"}},
		{"a public URL with a path", map[string]string{"PUBLIC_URL": "https://plaudit.example/api"}, nil, []string{"PUBLIC_URL"}},
		{"a public URL with a query", map[string]string{"PUBLIC_URL": "https://plaudit.example?a=b"}, nil, []string{"PUBLIC_URL"}},
		{"a public URL with a password", map[string]string{"PUBLIC_URL": "https://me:pass@plaudit.example"}, nil, []string{"PUBLIC_URL"}},
		{"a public URL without a host", map[string]string{"PUBLIC_URL": "https://:443"}, nil, []string{"PUBLIC_URL"}},
		{"a public URL of another scheme", map[string]string{"PUBLIC_URL": "ftp://plaudit.example"}, nil, []string{"PUBLIC_URL"}},
		{"a public URL that is a name", map[string]string{"PUBLIC_URL": "plaudit.example"}, nil, []string{"PUBLIC_URL"}},
		{"another way to log in", map[string]string{"DB_AUTH": "magic"}, nil, []string{"magic"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := maps.Clone(base)
			maps.Copy(env, c.set)
			for _, k := range c.unset {
				delete(env, k)
			}
			p := boottest.Run(t, program, pairs(env)...)
			if status := p.Wait(); status != 1 {
				t.Errorf("it ends with %d", status)
			}
			out := p.Output()
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("its output lacks %s: %s", want, out)
				}
			}
			if strings.Contains(out, `secret"`) || strings.Contains(out, base["USERS_PASSWORD"]) {
				t.Errorf("it shows a secret: %s", out)
			}
		})
	}
}

// No later part of the program, and no child process, can read the secrets from
// the environment.
func TestSecretsLeaveTheEnvironment(t *testing.T) {
	set := environment(t)
	set["NOTIFY_KEY"] = "notify's own key, of a test"
	for name, value := range set {
		t.Setenv(name, value)
	}
	cfg, err := env.ParseAsWithOptions[config](env.Options{RequiredIfNoDef: true})
	if err != nil || cfg.AdminPassword != "first admin's password" || !strings.Contains(cfg.SigningKey, "PRIVATE KEY") || cfg.UsersPassword == "" || cfg.NotifyKey == "" {
		t.Fatalf("the config lacks a secret, %v", err)
	}
	for _, name := range []string{"SIGNING_KEY", "ADMIN_PASSWORD", "USERS_PASSWORD", "NOTIFY_KEY"} {
		if _, ok := os.LookupEnv(name); ok {
			t.Errorf("%s stays", name)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"serve"}, {"health", "now"}, {"-h"}, {""}} {
		var output bytes.Buffer
		if status := command(args, &output); status != 2 || !strings.Contains(output.String(), "usage: users") {
			t.Errorf("%q: status %d, %s", args, status, &output)
		}
	}
}
