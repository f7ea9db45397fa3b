package users_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
)

const nextPassword = "another horse"

func (u *usersUnderTest) requestReset(email string) answer {
	return u.send("POST", "/v1/password-resets", "", fmt.Sprintf(`{"email": %q}`, email))
}

func (u *usersUnderTest) reset(token, password string) answer {
	return u.send("PUT", "/v1/password-resets/"+token, "", fmt.Sprintf(`{"password": %q}`, password))
}

// askForReset asks for a link that resets an account's password as notify does when it
// sends a mail.
func (u *usersUnderTest) askForReset(account string) answer {
	u.Helper()
	return u.mailLink(account, `{"kind": "reset"}`)
}

// resetLink returns the token of another link that resets an account's password.
func (u *usersUnderTest) resetLink(account string) string {
	u.Helper()
	url := u.want(u.askForReset(account), 201, "").str("url")
	token, ok := strings.CutPrefix(url, publicURL+"/reset?token=")
	if !ok {
		u.Fatalf("the link is %s", url)
	}
	return token
}

func TestReset(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("Jin@example.com"), 201, "").str("id")
	verifying := u.link(id)
	session := u.want(u.logIn("jin@example.com", password), 201, "")
	device := session.str("device_token")
	u.want(u.askForReset(id), 409, "no-link-due") // nobody asked for it
	if a := u.want(u.requestReset("jIN@example.com"), 202, ""); a.text != "{}\n" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", a.header, a.text)
	}
	token := u.resetLink(id)
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != 32 {
		t.Errorf("the token is %s", token)
	}
	if a := u.want(u.askForReset(id), 201, ""); a.str("email") != "Jin@example.com" {
		t.Errorf("got %s", a.text)
	}
	other := u.resetLink(id)

	// A password that is refused uses no token up.
	for _, bad := range []string{"short", "password123", "jin@example.com", ""} {
		if a := u.want(u.reset(token, bad), 400, "bad-request"); a.str("field") != "password" {
			t.Errorf("%q: %s", bad, a.text)
		}
	}
	u.want(u.logIn("jin@example.com", password), 201, "")
	if a := u.want(u.reset(token, nextPassword), 200, ""); a.text != "{}\n" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", a.header, a.text)
	}
	u.want(u.logIn("jin@example.com", password), 401, "bad-credentials")
	u.want(u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, session.str("refresh_token"))), 401, "session-ended")
	if n := u.count("devices"); n != 0 {
		t.Errorf("%d devices are known", n)
	}
	next := u.want(u.send("POST", "/v1/sessions", "", fmt.Sprintf(`{"email": "jin@example.com", "password": %q, "device_token": %q}`, nextPassword, device)), 201, "")
	if next.str("device_token") == device {
		t.Error("the device is still known")
	}
	if user := next.body["user"].(map[string]any); user["email_verified"] != true {
		t.Errorf("the account is %v", user)
	}
	// The address is verified, so the link that verifies it is of no use.
	u.want(u.verify(verifying), 404, "not-found")
	if n := u.count("outbox WHERE type = 'plaudit.user.password-changed' AND actor = 'user/" + id + "' AND data = '{\"sessions_ended\":2}'"); n != 1 {
		t.Errorf("%d events of the reset", n)
	}
	if n := u.count("outbox WHERE type = 'plaudit.user.reset-requested' AND actor = 'service/users' AND subject = 'user/" + id + "' AND data = '{}'"); n != 1 {
		t.Errorf("%d events of the request", n)
	}

	// All that is not valid gets one answer.
	used := u.want(u.reset(token, nextPassword), 404, "not-found")
	for name, token := range map[string]string{
		"another link": other, "unknown": strings.Repeat("A", 43), "short": "x", "padded": token + "=", "not base64url": "%00%ff%2F.", "a digest": strings.Repeat("0", 64),
		"long": strings.Repeat("x", 5000), "a link that verifies an address": verifying,
	} {
		a := u.want(u.reset(token, nextPassword), 404, "not-found")
		if a.text != used.text || a.str("field") != "token" || !strings.Contains(a.str("detail"), "POST /v1/password-resets") {
			t.Errorf("%s: %s, and a used one: %s", name, a.text, used.text)
		}
	}
	// Nor does the request last.
	u.want(u.askForReset(id), 409, "no-link-due")
}

// Whether a link is valid shows only to those who choose a password that may be one.
func TestBadPasswordsTellNothingOfALink(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestReset("jin@example.com"), 202, "")
	valid, invalid := u.reset(u.resetLink(id), "short"), u.reset(strings.Repeat("A", 43), "short")
	if valid.status != 400 || valid.text != invalid.text {
		t.Errorf("with a link %s, without %s", valid.text, invalid.text)
	}
}

func TestLinksOfResetsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(u *usersUnderTest, id, token string)
		want int
	}{
		"not within the hour": {func(u *usersUnderTest, _, _ string) { u.at(time.Now().Add(59 * time.Minute)) }, 200},
		"after an hour":       {func(u *usersUnderTest, _, _ string) { u.at(time.Now().Add(61 * time.Minute)) }, 404},
		"when the password changes": {func(u *usersUnderTest, id, _ string) {
			u.want(u.send("PUT", "/v1/users/me/password", u.token(id, access.Member), fmt.Sprintf(`{"current_password": %q, "password": "a third horse"}`, password)), 200, "")
		}, 404},
		"when the address changes": {func(u *usersUnderTest, id, _ string) {
			u.want(u.changeEmail(u.token(id, access.Member), "new@example.com", password), 200, "")
			u.want(u.verify(u.link(id)), 200, "")
		}, 404},
		"with the account": {func(u *usersUnderTest, id, _ string) {
			u.want(u.send("DELETE", "/v1/users/me", u.token(id, access.Member), ""), 204, "")
		}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			u := startUsers(t, generous)
			id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
			u.want(u.requestReset("jin@example.com"), 202, "")
			token := u.resetLink(id)
			c.end(u, id, token)
			u.want(u.reset(token, nextPassword), c.want, map[int]string{200: "", 404: "not-found"}[c.want])
		})
	}
}

// A request is answered for an hour, and a newer link leaves the older ones valid, up to
// five.
func TestLinksOfResetsAreBounded(t *testing.T) {
	u := startUsers(t, generous)
	now := time.Now()
	u.at(now)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestReset("jin@example.com"), 202, "")
	var tokens []string
	for n := range 7 {
		u.at(now.Add(time.Duration(n) * time.Minute))
		tokens = append(tokens, u.resetLink(id))
	}
	if n := u.count("password_resets"); n != 5 {
		t.Errorf("%d links", n)
	}
	u.want(u.reset(tokens[1], nextPassword), 404, "not-found")
	u.at(now.Add(time.Hour))
	u.want(u.askForReset(id), 409, "no-link-due")
	u.want(u.reset(tokens[2], nextPassword), 200, "")
	if n := u.count("password_resets"); n != 0 {
		t.Errorf("%d links are left", n)
	}
	u.want(u.askForReset("0198c0de-0000-7000-8000-000000000000"), 404, "not-found")
}

// Of two requests with the same token at once, one sets the password.
func TestOneOfManyResets(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestReset("jin@example.com"), 202, "")
	tokens := []string{u.resetLink(id), u.resetLink(id)}
	answers := make([]answer, 6)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = u.reset(tokens[i%2], fmt.Sprintf("horse number %d", i)) })
	}
	wg.Wait()
	won := -1
	for i, a := range answers {
		switch {
		case a.status == 200 && won < 0:
			won = i
		case a.status != 404:
			t.Errorf("request %d: %d %s", i, a.status, a.text)
		}
	}
	if won < 0 {
		t.Fatal("none won")
	}
	u.want(u.logIn("jin@example.com", fmt.Sprintf("horse number %d", won)), 201, "")
	if n := u.count("outbox WHERE type = 'plaudit.user.password-changed'"); n != 1 {
		t.Errorf("%d events", n)
	}
}

// The answers tell nobody which addresses have accounts.
func TestRequestsForResetsAnswerAlike(t *testing.T) {
	u := startUsers(t, limits(1000, 1000))
	u.at(time.Now())
	known := u.want(u.signUp("known@example.com"), 201, "").str("id")
	u.want(u.verify(u.link(known)), 200, "")
	u.want(u.signUp("new@example.com"), 201, "")
	var all [][]string
	for _, email := range []string{"known@example.com", "new@example.com", "nobody@example.com"} {
		var got []string
		for range 7 {
			a := u.requestReset(email)
			got = append(got, fmt.Sprint(a.status, a.text, a.header))
		}
		all = append(all, got)
	}
	if !slices.Equal(all[0], all[1]) || !slices.Equal(all[1], all[2]) {
		t.Errorf("answers for a verified address, one that is not and one without an account:\n%q\n%q\n%q", all[0], all[1], all[2])
	}
	if !strings.HasPrefix(all[0][4], "202") || !strings.HasPrefix(all[0][5], "429") {
		t.Errorf("got %q", all[0])
	}
}

func TestResetsAreLimited(t *testing.T) {
	u := startUsers(t, limits(3, 8))
	now := time.Now()
	u.at(now)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	for range 5 {
		u.want(u.requestReset("jin@example.com"), 202, "")
	}
	token := u.resetLink(id)
	u.from = "192.0.2.2:1"
	if a := u.want(u.requestReset("JIN@example.com"), 429, "too-many-requests"); a.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	u.want(u.requestLink("jin@example.com"), 202, "") // another limit
	// A client address, whatever the addresses.
	for i := range 8 {
		u.want(u.requestReset(fmt.Sprintf("x%d@example.com", i)), 202, "")
	}
	u.want(u.requestReset("y@example.com"), 429, "too-many-requests")
	u.want(u.send("POST", "/v1/password-resets", "", `{"email": "y"}`), 400, "bad-request")

	// Guesses, after which a good link is not used either. They count with those of links
	// that verify an address; passwords that are refused don't.
	u.want(u.reset(strings.Repeat("A", 43), "short"), 400, "bad-request")
	u.want(u.reset(strings.Repeat("A", 43), nextPassword), 404, "not-found")
	u.want(u.verify(strings.Repeat("A", 43)), 404, "not-found")
	u.want(u.reset(strings.Repeat("A", 43), nextPassword), 404, "not-found")
	u.want(u.reset(token, nextPassword), 429, "too-many-requests")
	u.from = "192.0.2.3:1"
	u.want(u.reset(token, nextPassword), 200, "")
	u.want(u.logIn("jin@example.com", nextPassword), 201, "") // another limit
}

func TestBodiesOfResetRoutes(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestReset("jin@example.com"), 202, "")
	link := "/v1/password-resets/" + u.resetLink(id)
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/password-resets", `{}`, "email"},
		{"POST", "/v1/password-resets", `{"email": null}`, "email"},
		{"POST", "/v1/password-resets", `{"email": 1}`, "email"},
		{"POST", "/v1/password-resets", `{"email": "x"}`, "email"},
		{"POST", "/v1/password-resets", `{"email": "jin@example.com\r\nBcc: x@example.com"}`, "email"},
		{"POST", "/v1/password-resets", `{"email": "jin@example.com\u0000"}`, "email"},
		{"POST", "/v1/password-resets", `{"email": "jin@example.com", "user": "x"}`, "user"},
		{"POST", "/v1/password-resets", `[]`, "body"},
		{"POST", "/v1/password-resets?email=x", `{"email": "jin@example.com"}`, "email"},
		{"PUT", link, `{}`, "password"},
		{"PUT", link, `{"password": null}`, "password"},
		{"PUT", link, `{"password": 1234567890}`, "password"},
		{"PUT", link, `{"password": "1234567890\u0000"}`, "password"},
		{"PUT", link, `{"password": "` + strings.Repeat("가", 257) + `"}`, "password"},
		{"PUT", link, `{"password": "another horse", "email": "x@example.com"}`, "email"},
		{"PUT", link, `{"password": "another horse", "current_password": "x"}`, "current_password"},
		{"PUT", link, `[]`, "body"},
		{"PUT", link + "?force=1", `{"password": "another horse"}`, "force"},
	} {
		a := u.send(c.method, c.path, "", c.body)
		if a.status != 400 || a.kind() != "bad-request" || a.str("field") != c.field {
			t.Errorf("%s %s %s: %d %s, want 400 naming %s", c.method, c.path, c.body, a.status, a.text, c.field)
		}
	}
	u.want(u.send("GET", link, "", ""), 405, "method-not-allowed") // a mail program that looks at links changes nothing
	u.want(u.logIn("jin@example.com", password), 201, "")
	u.want(u.send("PUT", link, "", `{"password": "another horse"}`), 200, "")
}

// A token is in no log, event or table, and neither is the password.
func TestNoResetIsKept(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestReset("jin@example.com"), 202, "")
	tokens := []string{u.resetLink(id), u.resetLink(id)}
	for _, table := range []string{"outbox", "password_resets", "password_reset_requests", "attempts", "users"} {
		var rows []string
		if err := u.db.Owner().SelectContext(t.Context(), &rows, `SELECT r::text FROM `+table+` r`); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if strings.Contains(row, tokens[0]) || table != "users" && strings.Contains(row, "jin@") {
				t.Errorf("%s keeps %s", table, row)
			}
		}
	}
	u.want(u.reset(tokens[0], nextPassword), 200, "")
	u.want(u.reset(tokens[0], nextPassword), 404, "not-found")
	u.exec(`ALTER TABLE password_resets RENAME TO gone`)
	u.want(u.reset(tokens[0], nextPassword), 500, "internal")
	if !strings.Contains(log.String(), "password_resets") {
		t.Errorf("the reason is not in the log: %s", &log)
	}
	for _, secret := range append(tokens, nextPassword, "@example.com", "192.0.2") {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &log)
		}
	}
}
