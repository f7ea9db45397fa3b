package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"plaudit/shared/access"
)

const password = "correct horse battery"

// account is a logged-in user.
type account struct{ id, email, token, refresh string }

// person opens an account, gives it a role and logs in.
func person(t *testing.T, role access.Role) *account {
	t.Helper()
	a := &account{email: unique(string(role)) + "@example.com"}
	a.id = want(t, 201, "POST", "/v1/users", "", fmt.Sprintf(`{"email": %q, "password": %q, "display_name": "Somebody"}`, a.email, password)).text(t, "id")
	if role != access.Member {
		want(t, 200, "PATCH", "/v1/users/"+a.id, rolesBy(t), fmt.Sprintf(`{"role": %q}`, role))
	}
	a.logIn(t)
	return a
}

var rolesToken string

// rolesBy returns an access token of the first admin, with which tests assign
// roles. All tests share it, because each login costs a password hash; they end
// within its 15 minutes.
func rolesBy(t *testing.T) string {
	t.Helper()
	if rolesToken == "" {
		rolesToken = admin(t)
	}
	return rolesToken
}

// logIn opens another session.
func (a *account) logIn(t *testing.T) {
	t.Helper()
	s := want(t, 201, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, a.email, password))
	a.token, a.refresh = s.text(t, "access_token"), s.text(t, "refresh_token")
}

// link returns the token of the first link that the account's owner was sent to verify
// the address.
func (a *account) link(t *testing.T) string {
	t.Helper()
	return tokenOf(t, a.mailed(t, 1, func(m mail) bool { return strings.Contains(m.Text, "/verify?token=") })[0])
}

// verify opens the link that verifies the account's address.
func (a *account) verify(t *testing.T) {
	t.Helper()
	want(t, 200, "PUT", "/v1/email-verifications/"+a.link(t), "", "")
}

// key creates an API key and returns its id, the key and an access token. Without
// boards the key covers every board of its owner.
func (a *account) key(t *testing.T, scopes []string, boards ...string) (id, key, token string) {
	t.Helper()
	in := map[string]any{"name": "a program", "scopes": scopes}
	if len(boards) > 0 {
		in["boards"] = boards
	}
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	made := want(t, 201, "POST", "/v1/keys", a.token, string(body))
	id, key = made.text(t, "id"), made.text(t, "key")
	return id, key, want(t, 200, "POST", "/v1/tokens", "", fmt.Sprintf(`{"key": %q}`, key)).text(t, "access_token")
}

// board creates a board that the account owns.
func (a *account) board(t *testing.T, settings string) string {
	t.Helper()
	id := unique("board")
	want(t, 201, "POST", "/v1/boards", a.token, fmt.Sprintf(`{"id": %q, "title": "Board"%s}`, id, settings))
	return id
}

// quote writes a text as a JSON string.
func quote(text string) string {
	quoted, _ := json.Marshal(text) // never fails for a string
	return string(quoted)
}

// secret returns what `plaudit secrets` made, by its name in the template.
func secret(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(stack.File("secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(text, &all); err != nil || all[name] == "" {
		t.Fatalf("secrets.json has no %s: %v", name, err)
	}
	return all[name]
}

// The whole way of a new account's address: sign up, read the link in the mail, open it.
// The link is a secret, so it is in no line of the log.
func TestAddressIsVerifiedByTheLinkOfAMail(t *testing.T) {
	me, organizer := person(t, access.Member), person(t, access.Organizer)
	verified := func() any { return want(t, 200, "GET", "/v1/users/me", me.token, "").json(t, "email_verified") }
	found := func() any {
		return want(t, 200, "GET", "/v1/users?email="+me.email, organizer.token, "").json(t, "items", 0, "id")
	}
	if v, f := verified(), found(); v != false || f != nil {
		t.Errorf("a new account: verified %v, found %v", v, f)
	}
	token := me.link(t)
	path := "/v1/email-verifications/" + token
	want(t, 405, "GET", path, "", "")
	if a := want(t, 200, "PUT", path, "", `{}`); a.body != `{"email_verified":true}`+"\n" {
		t.Errorf("got %s", a.body)
	}
	if a := want(t, 404, "PUT", path, "", ""); a.text(t, "field") != "token" {
		t.Errorf("once more: %s", a.body)
	}
	if v, f := verified(), found(); v != true || f != me.id {
		t.Errorf("a verified account: verified %v, found %v", v, f)
	}
	if first := want(t, 200, "GET", "/v1/users/me", admin(t), ""); first.json(t, "email_verified") != true {
		t.Errorf("the first admin is %s", first.body)
	}

	file := stack.File("laptop.log")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("laptop.log: %v, %v", info.Mode(), err)
	}
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, token) {
			t.Errorf("a line of the log holds the link: %s", line)
		}
	}
}
