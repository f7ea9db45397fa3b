package users_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"plaudit/shared/access"
	"plaudit/shared/web/webtest"
)

func TestFormsOfATextMeet(t *testing.T) {
	u := startUsers(t, generous)
	id, admin := u.person(access.Admin)
	session := u.want(u.logIn("admin@example.org", password), 201, "").str("access_token")
	_, member := u.person(access.Member)
	countries := []string{"KR", "kr", "Kr", "kR"}
	for i, name := range webtest.Forms("José 서울") {
		a := u.want(u.send("POST", "/v1/users", "", fmt.Sprintf(`{"email": "a%d@example.com", "password": %q, "display_name": %s, "country": %q}`,
			i, password, webtest.Quoted(name), countries[i])), 201, "")
		if a.str("display_name") != "José 서울" || a.str("country") != "KR" {
			t.Errorf("signed up as %s", a.text)
		}
		a = u.want(u.send("PATCH", "/v1/users/me", member, fmt.Sprintf(`{"display_name": %s, "country": %q}`, webtest.Quoted(name), countries[i])), 200, "")
		if a.str("display_name") != "José 서울" || a.str("country") != "KR" {
			t.Errorf("changed to %s", a.text)
		}
		a = u.want(u.send("POST", "/v1/keys", session, fmt.Sprintf(`{"name": %s, "scopes": ["read"]}`, webtest.Quoted(name))), 201, "")
		if a.str("name") != "José 서울" {
			t.Errorf("the key is %s", a.text)
		}
	}
	var changes int
	if err := u.db.Owner().GetContext(t.Context(), &changes, `SELECT count(*) FROM outbox WHERE type = 'plaudit.user.updated' AND subject <> $1`, "user/"+id); err != nil || changes != 1 {
		t.Errorf("%d changes of the same name are in the outbox, %v", changes, err)
	}
	for _, q := range webtest.Forms("josé") {
		if a := u.want(u.send("GET", "/v1/users?q="+url.QueryEscape(q), admin, ""), 200, ""); len(a.body["items"].([]any)) != 5 {
			t.Errorf("%q finds %s", q, a.text)
		}
	}
	if a := u.want(u.send("GET", "/v1/users?q=", admin, ""), 200, ""); len(a.body["items"].([]any)) != 6 {
		t.Errorf("an empty q finds %s", a.text)
	}
}

// invisible are texts that show nothing, or affect the text around them.
var invisible = []string{
	" ", "\u3000\u00a0", "\u200b", "\u200d\ufe0f", "\u0301", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u200e\u200f\u061c",
	"a\x1bb", "a\tb", "a\u0085b", "a\u2028b", "a\u2029b", "a\rb", "a\nb",
	"\u202aa", "a\u202b", "a\u202cb", "\u202da", "a\u202eb", "\u2066a", "a\u2067b", "\u2068a", "a\u2069",
}

func TestInvisibleTextsAreRefused(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	for _, c := range []struct{ method, target, token, body, field string }{
		{"POST", "/v1/users", "", `{"email": "x@example.com", "password": "correct horse", "display_name": §}`, "display_name"},
		{"POST", "/v1/users", "", `{"email": "x@example.com", "password": "correct horse", "display_name": "x", "country": §}`, "country"},
		{"PATCH", "/v1/users/me", admin, `{"display_name": §}`, "display_name"},
		{"PATCH", "/v1/users/me", admin, `{"country": §}`, "country"},
		{"POST", "/v1/keys", admin, `{"name": §, "scopes": ["read"]}`, "name"},
		{"GET", "/v1/users?q=§", admin, "", "q"},
	} {
		for _, bad := range invisible {
			a := u.send(c.method, strings.ReplaceAll(c.target, "§", url.QueryEscape(bad)), c.token, strings.ReplaceAll(c.body, "§", webtest.Quoted(bad)))
			if a.status != 400 || a.kind() != "bad-request" || a.str("field") != c.field {
				t.Errorf("%s %s %s with %q: got %d %s, want a 400 naming %s", c.method, c.target, c.body, bad, a.status, a.text, c.field)
			}
		}
	}
}

// Limits count the text that is kept, and are told in one sentence.
func TestLengthsAreThoseOfTheNormalForm(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	long := strings.Repeat("각", 80)
	a := u.want(u.send("PATCH", "/v1/users/me", admin, `{"display_name": `+webtest.Quoted(" "+norm.NFD.String(long)+" ")+`}`), 200, "")
	if a.str("display_name") != long {
		t.Errorf("the name is %q", a.str("display_name"))
	}
	for target, max := range map[string]int{"/v1/users?q=" + strings.Repeat("a", 255): 254, "/v1/users/me": 80} {
		method, body := "GET", ""
		if max == 80 {
			method, body = "PATCH", `{"display_name": `+webtest.Quoted(long+"각")+`}`
		}
		a := u.want(u.send(method, target, admin, body), 400, "bad-request")
		if want := fmt.Sprintf("must have 1 to %d characters and must not be blank", max); a.str("detail") != want {
			t.Errorf("%s: got %q, want %q", target, a.str("detail"), want)
		}
	}
}
