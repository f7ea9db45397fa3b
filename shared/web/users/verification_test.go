package users_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/user"
)

// notify returns a token of notify's own key.
func (u *usersUnderTest) notify() string {
	u.Helper()
	token, err := u.signer.Sign(access.Notify(), time.Minute)
	if err != nil {
		u.Fatal(err)
	}
	return token
}

// mailLink asks for a link as notify does when it sends a mail.
func (u *usersUnderTest) mailLink(account, body string) answer {
	u.Helper()
	return u.send("POST", "/v1/users/"+account+"/mail-links", u.notify(), body)
}

// link returns the token of another link that verifies the address of an account.
func (u *usersUnderTest) link(account string) string {
	u.Helper()
	url := u.want(u.mailLink(account, `{"kind": "verify"}`), 201, "").str("url")
	token, ok := strings.CutPrefix(url, publicURL+"/verify?token=")
	if !ok {
		u.Fatalf("the link is %s", url)
	}
	return token
}

// asked returns how many links somebody has asked for.
func (u *usersUnderTest) asked(account string) int {
	return u.count("outbox WHERE type = 'plaudit.user.verification-requested' AND data = '{}' AND subject = 'user/" + account + "'")
}

func (u *usersUnderTest) requestLink(email string) answer {
	return u.send("POST", "/v1/email-verifications", "", fmt.Sprintf(`{"email": %q}`, email))
}

func (u *usersUnderTest) verify(token string) answer {
	return u.send("PUT", "/v1/email-verifications/"+token, "", "")
}

func TestVerification(t *testing.T) {
	u := startUsers(t, generous)
	made := u.want(u.signUp("Jin@example.com"), 201, "")
	id := made.str("id")
	if n := u.asked(id); n != 1 {
		t.Fatalf("signing up asks for %d links", n)
	}
	sent := []string{u.link(id), u.link(id)}
	if b, err := base64.RawURLEncoding.DecodeString(sent[0]); err != nil || len(b) != 32 {
		t.Errorf("the token is %s", sent[0])
	}
	if made.body["email_verified"] != false || strings.Contains(made.text, sent[0]) {
		t.Errorf("the answer to the sign-up is %s", made.text)
	}
	if a := u.want(u.requestLink("jIN@example.com"), 202, ""); a.text != "{}\n" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", a.header, a.text)
	}
	if n := u.asked(id); n != 2 || sent[0] == sent[1] {
		t.Fatalf("another request: %d in all, and the links %q", n, sent)
	}

	if a := u.want(u.verify(sent[0]), 200, ""); a.text != `{"email_verified":true}`+"\n" {
		t.Errorf("got %s", a.text)
	}
	token := u.token(id, access.Member)
	if me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, ""); me.body["email_verified"] != true {
		t.Errorf("the account is %s", me.text)
	}
	// All that is not valid gets one answer.
	used := u.want(u.verify(sent[0]), 404, "not-found")
	for name, token := range map[string]string{
		"another link": sent[1], "unknown": strings.Repeat("A", 43), "short": "x", "padded": sent[0] + "=", "not base64url": "%00%ff/.", "a digest": strings.Repeat("0", 64),
		"long": strings.Repeat("x", 5000),
	} {
		a := u.want(u.verify(strings.ReplaceAll(token, "/", "%2F")), 404, "not-found")
		if a.text != used.text || a.str("field") != "token" || !strings.Contains(a.str("detail"), "POST /v1/email-verifications") {
			t.Errorf("%s: %s, and a used one: %s", name, a.text, used.text)
		}
	}
	// A verified address gets no more links.
	u.want(u.requestLink("jin@example.com"), 202, "")
	if n := u.asked(id); n != 2 {
		t.Errorf("%d links were asked for a verified address", n-2)
	}
	u.want(u.mailLink(id, `{"kind": "verify"}`), 409, "no-link-due")
}

// Nobody is taken for the person whose address they signed up with.
func TestOnlyVerifiedAccountsAreFound(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	_, organizer := u.person(access.Organizer)
	_, auditor := u.person(access.Auditor)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	find := func(token, email string) answer {
		return u.want(u.send("GET", "/v1/users?email="+email, token, ""), 200, "")
	}
	for name, token := range map[string]string{"an admin": admin, "an organizer": organizer, "an auditor": auditor} {
		unverified, absent := find(token, "jin@example.com"), find(token, "nobody@example.com")
		if unverified.text != absent.text || unverified.text != `{"items":[],"next":null}`+"\n" || fmt.Sprint(unverified.header) != fmt.Sprint(absent.header) {
			t.Errorf("%s finds %v %s, and without an account %v %s", name, unverified.header, unverified.text, absent.header, absent.text)
		}
	}
	if list := u.want(u.send("GET", "/v1/users?q=jin@example.com", admin, ""), 200, ""); !slices.Equal(list.items("id"), []string{id}) || !slices.Equal(list.items("email_verified"), []string{"false"}) {
		t.Errorf("an admin's search finds %s", list.text)
	}
	u.want(u.verify(u.link(id)), 200, "")
	for name, token := range map[string]string{"an admin": admin, "an organizer": organizer, "an auditor": auditor} {
		if found := find(token, "JIN@example.com"); !slices.Equal(found.items("id"), []string{id}) {
			t.Errorf("%s finds %s", name, found.text)
		}
	}
}

// The answers tell nobody which addresses have accounts.
func TestRequestsForLinksAnswerAlike(t *testing.T) {
	u := startUsers(t, user.Limits{LoginsPerAddress: 1000, SignUpsPerHour: 1000})
	u.at(time.Now())
	known := u.want(u.signUp("known@example.com"), 201, "").str("id")
	u.want(u.verify(u.link(known)), 200, "")
	u.want(u.signUp("new@example.com"), 201, "")
	var all [][]string
	for _, email := range []string{"known@example.com", "new@example.com", "nobody@example.com"} {
		var got []string
		for range 7 {
			a := u.requestLink(email)
			got = append(got, fmt.Sprint(a.status, a.text, a.header))
		}
		all = append(all, got)
	}
	if !slices.Equal(all[0], all[1]) || !slices.Equal(all[1], all[2]) {
		t.Errorf("answers for a verified address, one to verify and one without an account:\n%q\n%q\n%q", all[0], all[1], all[2])
	}
	if !strings.HasPrefix(all[0][4], "202") || !strings.HasPrefix(all[0][5], "429") {
		t.Errorf("got %q", all[0])
	}
}

func TestVerificationsAreLimited(t *testing.T) {
	u := startUsers(t, user.Limits{LoginsPerAddress: 3, SignUpsPerHour: 8})
	now := time.Now()
	u.at(now)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	for range 5 {
		u.want(u.requestLink("jin@example.com"), 202, "")
	}
	u.from = "192.0.2.2:1"
	if a := u.want(u.requestLink("JIN@example.com"), 429, "too-many-requests"); a.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	if n := u.asked(id); n != 6 {
		t.Errorf("%d links were asked for", n)
	}
	// A client address, whatever the addresses.
	for i := range 8 {
		u.want(u.requestLink(fmt.Sprintf("x%d@example.com", i)), 202, "")
	}
	u.want(u.requestLink("y@example.com"), 429, "too-many-requests")
	u.want(u.send("POST", "/v1/email-verifications", "", `{"email": "y"}`), 400, "bad-request")

	// Guesses, after which a good link is not confirmed either. Good ones don't count.
	for range 3 {
		u.want(u.verify(strings.Repeat("A", 43)), 404, "not-found")
	}
	link := u.link(id)
	u.want(u.verify(link), 429, "too-many-requests")
	u.from = "192.0.2.3:1"
	u.want(u.verify(link), 200, "")
	u.want(u.logIn("jin@example.com", password), 201, "") // another limit
}

func TestBodiesOfVerificationRoutes(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	link := "/v1/email-verifications/" + u.link(id)
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/email-verifications", `{}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": null}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": 1}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": ""}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": "x"}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": "jin@example.com "}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": "jin@example.com\r\nBcc: x@example.com"}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": "jin@example.com\u0000"}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": ["jin@example.com"]}`, "email"},
		{"POST", "/v1/email-verifications", `{"email": "jin@example.com", "user": "x"}`, "user"},
		{"POST", "/v1/email-verifications", `[]`, "body"},
		{"POST", "/v1/email-verifications?email=x", `{"email": "jin@example.com"}`, "email"},
		{"PUT", link, `{"email": "jin@example.com"}`, "email"},
		{"PUT", link, `{"token": "x"}`, "token"},
		{"PUT", link, `[]`, "body"},
		{"PUT", link, `null`, "body"},
		{"PUT", link, ` `, "body"},
		{"PUT", link, `{} {}`, "body"},
		{"PUT", link + "?force=1", ``, "force"},
		{"PUT", link + "?force=1", `{}`, "force"},
	} {
		a := u.send(c.method, c.path, "", c.body)
		if a.status != 400 || a.kind() != "bad-request" || a.str("field") != c.field {
			t.Errorf("%s %s %s: %d %s, want 400 naming %s", c.method, c.path, c.body, a.status, a.text, c.field)
		}
	}
	if n := u.count("users WHERE email_verified"); n != 0 {
		t.Errorf("%d accounts are verified", n)
	}
	if n := u.asked(id); n != 1 {
		t.Errorf("%d links were asked for", n)
	}
	u.want(u.send("GET", link, "", ""), 405, "method-not-allowed") // a mail program that looks at links changes nothing
	u.want(u.send("PUT", link, "", `{}`), 200, "")

	// A body of unknown length that turns out to be empty.
	id = u.want(u.signUp("b@example.com"), 201, "").str("id")
	r := httptest.NewRequest("PUT", "/v1/email-verifications/"+u.link(id), io.MultiReader(strings.NewReader("")))
	r.RemoteAddr = u.from
	w := httptest.NewRecorder()
	if u.handler.ServeHTTP(w, r); w.Code != 200 || r.ContentLength != -1 {
		t.Errorf("without a body, of unknown length: %d %s", w.Code, w.Body)
	}
}

// A link's token is in no log, event or table; nor is the address.
func TestNoLinkIsKept(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.requestLink("jin@example.com"), 202, "")
	tokens := []string{u.link(id), u.link(id)}
	for _, table := range []string{"outbox", "email_verifications", "attempts", "users"} {
		var rows []string
		if err := u.db.Owner().SelectContext(t.Context(), &rows, `SELECT r::text FROM `+table+` r`); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if strings.Contains(row, tokens[0]) || strings.Contains(row, tokens[1]) || table == "outbox" && strings.Contains(row, "jin@") {
				t.Errorf("%s keeps %s", table, row)
			}
		}
	}
	if n := u.count("outbox WHERE type = 'plaudit.user.verification-requested' AND data = '{}'"); n != 2 {
		t.Errorf("%d events of requests", n)
	}
	u.want(u.verify(tokens[0]), 200, "")
	u.want(u.verify(tokens[0]), 404, "not-found")
	id = u.want(u.signUp("b@example.com"), 201, "").str("id")
	last := u.link(id)
	u.exec(`ALTER TABLE email_verifications RENAME TO gone`)
	u.want(u.mailLink(id, `{"kind": "verify"}`), 500, "internal")
	u.want(u.verify(last), 500, "internal")
	if !strings.Contains(log.String(), "email_verifications") {
		t.Errorf("the reasons are not in the log: %s", &log)
	}
	for _, secret := range append(tokens, last, "@example.com", "192.0.2") {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &log)
		}
	}
}
