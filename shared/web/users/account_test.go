package users_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
)

// items returns one field of each item of a list.
func (a answer) items(field string) []string {
	values := []string{}
	for _, item := range a.body["items"].([]any) {
		values = append(values, fmt.Sprint(item.(map[string]any)[field]))
	}
	return values
}

func (u *usersUnderTest) refresh(s answer) answer {
	return u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, s.str("refresh_token")))
}

func (u *usersUnderTest) changePassword(token, from, to string) answer {
	return u.send("PUT", "/v1/users/me/password", token, fmt.Sprintf(`{"current_password": %q, "password": %q}`, from, to))
}

func TestProfileChanges(t *testing.T) {
	u := startUsers(t, generous)
	id, member := u.person(access.Member)
	patch := func(body, want string) {
		t.Helper()
		a := u.want(u.send("PATCH", "/v1/users/me", member, body), 200, "")
		got := fmt.Sprint(a.body["display_name"], " ", a.body["locale"], " ", a.body["time_zone"], " ", a.body["country"], " ", a.body["mail"])
		if got != want || !slices.Equal(keysOf(a.body), userFields) {
			t.Errorf("%s: %s, want %s", body, a.text, want)
		}
		if me := u.want(u.send("GET", "/v1/users/me", member, ""), 200, ""); me.text != a.text {
			t.Errorf("me is %s", me.text)
		}
	}
	patch(`{}`, "진 en UTC <nil> map[]")
	patch(`{"display_name": "Jin", "locale": "ko", "time_zone": "Asia/Seoul", "country": "KR"}`, "Jin ko Asia/Seoul KR map[]")
	patch(`{"mail": {"plaudit.entry.adjusted": false, "plaudit.player.changed": true}}`, "Jin ko Asia/Seoul KR map[plaudit.entry.adjusted:false plaudit.player.changed:true]")
	patch(`{"mail": {"plaudit.entry.adjusted": true, "plaudit.entry.reversed": false}}`, "Jin ko Asia/Seoul KR map[plaudit.entry.adjusted:true plaudit.entry.reversed:false plaudit.player.changed:true]")
	patch(`{"mail": {"plaudit.player.link-proposed": false, "plaudit.board.period-closed": false, "other": false}}`,
		"Jin ko Asia/Seoul KR map[other:false plaudit.board.period-closed:false plaudit.entry.adjusted:true plaudit.entry.reversed:false plaudit.player.changed:true plaudit.player.link-proposed:false]")
	patch(`{"mail": {"plaudit.player.link-proposed": true, "plaudit.board.period-closed": true, "other": true}}`,
		"Jin ko Asia/Seoul KR map[other:true plaudit.board.period-closed:true plaudit.entry.adjusted:true plaudit.entry.reversed:false plaudit.player.changed:true plaudit.player.link-proposed:true]")
	patch(`{"mail": {}, "country": null}`, "Jin ko Asia/Seoul <nil> map[other:true plaudit.board.period-closed:true plaudit.entry.adjusted:true plaudit.entry.reversed:false plaudit.player.changed:true plaudit.player.link-proposed:true]")

	profile := u.want(u.send("GET", "/v1/users/"+id, "", ""), 200, "")
	if profile.text != fmt.Sprintf(`{"id":%q,"display_name":"Jin","country":null}`+"\n", id) {
		t.Errorf("everybody sees %s", profile.text)
	}
}

func TestBodiesOfAccountRoutes(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	_, token := u.person(access.Member)
	type row struct{ method, path, token, body, field string }
	var rows []row
	for field, values := range map[string][]string{
		"display_name": {"null", "1", `""`, `" "`, `"a\nb"`, `"` + strings.Repeat("가", 81) + `"`, `"\ud800"`, `"a\u0000"`, "{}"},
		"locale":       {"null", "1", `""`, `"fr"`},
		"time_zone":    {"null", "9", `""`, `"Local"`, `"../etc/passwd"`},
		"country":      {"82", `""`, `"k1"`, `"KOR"`, `"ZZ"`, "[]"},
		"mail":         {"null", "true", "[]", `"plaudit.entry.adjusted"`},
		// Fields that an account cannot change itself.
		"role":           {`"admin"`},
		"email":          {`"x@example.com"`},
		"email_verified": {"true"},
		"id":             {`"0198c0de-0000-7000-8000-000000000000"`},
		"password":       {`"correct horse"`},
		"password_hash":  {`"$argon2id$"`},
		"created_at":     {`"2026-01-01T00:00:00Z"`},
		"version":        {"7"},
		"Display_Name":   {`"x"`},
	} {
		for _, v := range values {
			rows = append(rows, row{"PATCH", "/v1/users/me", token, fmt.Sprintf(`{%q: %s}`, field, v), field})
		}
	}
	for kind, value := range map[string]string{
		"plaudit.entry.adjusted": "1", "plaudit.entry.reversed": "null", "plaudit.player.changed": `"no"`, "plaudit.entry.added": "true",
		"plaudit.user.password-changed": "false", "plaudit.session.reused": "false", "": "true", "marketing": "false",
		"plaudit.user.role-changed": "false", "plaudit.user.email-changed": "false", "plaudit.user.login-failed": "false", "plaudit.key.created": "false",
		"plaudit.player.erased": "false", "plaudit.player.link-ended": "true", "plaudit.user.verification-requested": "false", "plaudit.user.reset-requested": "false",
		"plaudit.session.revoked": "false", "Other": "false", "verify": "false",
	} {
		field := "mail." + kind
		rows = append(rows, row{"PATCH", "/v1/users/me", token, fmt.Sprintf(`{"mail": {%q: %s}}`, kind, value), field})
	}
	for field, values := range map[string][]string{
		"current_password": {"", "null", "1", `""`, `"a\u0000"`},
		"password": {"", "null", "1", `""`, `"123456789"`, `"` + strings.Repeat("가나", 128) + `x"`, `"a\u0000bcdefghijk"`, `"1234567890"`, `"Password123!"`,
			`"member@example.org"`, `"MEMBER@example.org"`},
		"Password": {`"another horse"`},
		"email":    {`"x@example.com"`},
	} {
		for _, v := range values {
			body := bodyWith(map[string]string{"current_password": `"correct horse"`, "password": `"another horse"`}, field, v)
			rows = append(rows, row{"PUT", "/v1/users/me/password", token, body, field})
		}
	}
	cursor := func(doc string) string { return base64.RawURLEncoding.EncodeToString([]byte(doc)) }
	for path, field := range map[string]string{
		"/v1/users?limit=0": "limit", "/v1/users?limit=101": "limit", "/v1/users?limit=ten": "limit", "/v1/users?role=admin": "role",
		"/v1/users?q=a&q=b": "q", "/v1/users?q=%00": "q", "/v1/users?q=%ff": "q", "/v1/users?q=" + strings.Repeat("x", 255): "q",
		"/v1/users?cursor=": "cursor", "/v1/users?cursor=x": "cursor", "/v1/users?email=": "email", "/v1/users?email=a@example.com&q=a": "q",
		"/v1/users?email=a@example.com&cursor=x": "cursor", "/v1/users?email=a@example.com&limit=1": "limit",
		"/v1/users?cursor=" + cursor(`{"q":"","u":"x"}`):                                               "cursor",
		"/v1/users?cursor=" + cursor(`{"q":"\u0000","u":"0198c0de-0000-7000-8000-000000000000"}`):      "cursor",
		"/v1/users?cursor=" + cursor(`{"q":"","u":"{0198c0de-0000-7000-8000-000000000000}"}`):          "cursor",
		"/v1/users?q=b&cursor=" + cursor(`{"q":"a","u":"0198c0de-0000-7000-8000-000000000000"}`):       "cursor",
		"/v1/users?cursor=" + cursor(`{"q":"","u":"0198c0de-0000-7000-8000-000000000000","role":"x"}`): "cursor",
		"/v1/sessions?limit=0": "limit", "/v1/sessions?limit=101": "limit", "/v1/sessions?user=x": "user", "/v1/sessions?cursor=%27": "cursor",
		"/v1/sessions?cursor=" + cursor(`{"s":"' OR 1=1"}`): "cursor",
	} {
		rows = append(rows, row{"GET", path, admin, "", field})
	}
	rows = append(rows,
		row{"PATCH", "/v1/users/me", token, `[]`, "body"},
		row{"PATCH", "/v1/users/me", token, `{"locale": "ko", "locale": "en"}`, "locale"},
		row{"PATCH", "/v1/users/me?force=1", token, `{}`, "force"},
		row{"PUT", "/v1/users/me/password?force=1", token, `{}`, "force"},
		row{"DELETE", "/v1/users/me?force=1", token, "", "force"},
		row{"DELETE", "/v1/sessions/0198c0de-0000-7000-8000-000000000000?force=1", token, "", "force"},
	)
	for _, r := range rows {
		a := u.send(r.method, r.path, r.token, r.body)
		if a.status != 400 || a.kind() != "bad-request" || a.str("field") != r.field {
			t.Errorf("%s %s %s: %d %s, want 400 naming %s", r.method, r.path, r.body, a.status, a.text, r.field)
		}
	}
	a := u.want(u.send("PATCH", "/v1/users/me", token, `{"locale": "x", "country": "x", "mail": {"x": true}}`), 400, "bad-request")
	if len(a.body["errors"].([]any)) != 3 {
		t.Errorf("not every fault at once: %s", a.text)
	}
	me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, "")
	if me.str("role") != "member" || me.str("display_name") != "진" || me.str("email") != "member@example.org" || me.body["email_verified"] != false {
		t.Errorf("something was changed: %s", me.text)
	}
}

func TestAccessToAccounts(t *testing.T) {
	u := startUsers(t, generous)
	adminID, admin := u.person(access.Admin)
	memberID, member := u.person(access.Member)
	u.exec(`UPDATE users SET email_verified = true WHERE id = $1`, memberID)
	_, organizer := u.person(access.Organizer)
	_, auditor := u.person(access.Auditor)
	key := func(owner access.Role, scopes ...string) string {
		token, err := u.signer.Sign(access.Caller{User: adminID, Role: access.Service, Owner: owner, Key: "k", Scopes: scopes}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	none := u.token("0198c0de-0000-7000-8000-000000000000", access.Member)
	profile := []string{"country", "display_name", "id"}
	find := "/v1/users?email=MEMBER@example.org"
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		fields                          []string // of the items
	}{
		{"nobody lists", "GET", "/v1/users", "", "", 401, nil},
		{"a member lists", "GET", "/v1/users", member, "", 403, nil},
		{"an organizer lists", "GET", "/v1/users", organizer, "", 403, nil},
		{"an organizer searches", "GET", "/v1/users?q=member", organizer, "", 403, nil},
		{"an auditor lists", "GET", "/v1/users", auditor, "", 200, userFields},
		{"an admin lists", "GET", "/v1/users", admin, "", 200, userFields},
		{"an admin's key lists", "GET", "/v1/users", key(access.Admin, "read"), "", 403, nil},
		{"nobody finds", "GET", find, "", "", 401, nil},
		{"a member finds", "GET", find, member, "", 403, nil},
		{"an organizer finds", "GET", find, organizer, "", 200, profile},
		{"an auditor finds", "GET", find, auditor, "", 200, userFields},
		{"an admin finds", "GET", find, admin, "", 200, userFields},
		{"an organizer's key finds", "GET", find, key(access.Organizer, "read"), "", 200, profile},
		{"an admin's key finds", "GET", find, key(access.Admin, "read"), "", 200, profile},
		{"a key that may not read finds", "GET", find, key(access.Admin, "boards:write"), "", 403, nil},
		{"a member's key finds", "GET", find, key(access.Member, "read"), "", 403, nil},

		{"nobody changes me", "PATCH", "/v1/users/me", "", `{"locale": "ko"}`, 401, nil},
		{"a key changes me", "PATCH", "/v1/users/me", key(access.Admin, "read"), `{"locale": "ko"}`, 403, nil},
		{"a token of nobody changes me", "PATCH", "/v1/users/me", none, `{"locale": "ko"}`, 401, nil},
		{"an admin changes another's profile", "PATCH", "/v1/users/" + memberID, admin, `{"display_name": "x"}`, 400, nil},
		{"nobody changes a password", "PUT", "/v1/users/me/password", "", `{}`, 401, nil},
		{"a key changes a password", "PUT", "/v1/users/me/password", key(access.Admin, "read"), `{}`, 403, nil},
		{"a token of nobody changes a password", "PUT", "/v1/users/me/password", none, `{"current_password": "correct horse", "password": "another horse"}`, 401, nil},
		{"another's password", "PUT", "/v1/users/" + memberID + "/password", admin, `{}`, 404, nil},
		{"nobody erases", "DELETE", "/v1/users/me", "", "", 401, nil},
		{"a key erases", "DELETE", "/v1/users/me", key(access.Admin, "read"), "", 403, nil},
		{"a token of nobody erases", "DELETE", "/v1/users/me", none, "", 401, nil},
		{"an admin erases another", "DELETE", "/v1/users/" + memberID, admin, "", 405, nil},
		{"the only admin erases", "DELETE", "/v1/users/me", admin, "", 409, nil},
		{"nobody lists sessions", "GET", "/v1/sessions", "", "", 401, nil},
		{"a key lists sessions", "GET", "/v1/sessions", key(access.Admin, "read"), "", 403, nil},
		{"nobody ends a session", "DELETE", "/v1/sessions/" + memberID, "", "", 401, nil},
		{"a key ends a session", "DELETE", "/v1/sessions/" + memberID, key(access.Admin, "read"), "", 403, nil},
		{"an unknown session", "DELETE", "/v1/sessions/" + memberID, member, "", 404, nil},
		{"a session with a bad id", "DELETE", "/v1/sessions/mine", member, "", 404, nil},
		{"SQL for a session", "DELETE", "/v1/sessions/'%20OR%201=1--", member, "", 404, nil},
	} {
		a := u.send(c.method, c.path, c.token, c.body)
		if a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.text, c.status)
			continue
		}
		if c.fields != nil {
			for _, item := range a.body["items"].([]any) {
				if !slices.Equal(keysOf(item), c.fields) {
					t.Errorf("%s: sees %v", c.name, item)
				}
			}
		}
		if strings.HasPrefix(c.path, find) && a.status == 200 && (!slices.Equal(a.items("id"), []string{memberID}) || a.body["next"] != nil) {
			t.Errorf("%s: %s", c.name, a.text)
		}
	}
	for _, email := range []string{"membe@example.org", "member", "%25", "member@example.org%20"} {
		if a := u.want(u.send("GET", "/v1/users?email="+email, organizer, ""), 200, ""); a.text != `{"items":[],"next":null}`+"\n" {
			t.Errorf("%s finds %s", email, a.text)
		}
	}
}

func TestListOfUsers(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	var want []string
	for i := range 5 {
		a := u.want(u.send("POST", "/v1/users", "", fmt.Sprintf(`{"email": "p%d@example.net", "password": "correct horse", "display_name": "Park %d"}`, i, i)), 201, "")
		want = append([]string{a.str("id")}, want...)
	}
	walk := func(query string, limit int) (all []string) {
		t.Helper()
		path := "/v1/users?" + query + fmt.Sprintf("&limit=%d", limit)
		for {
			a := u.want(u.send("GET", path, admin, ""), 200, "")
			all = append(all, a.items("id")...)
			next := a.str("next")
			if next == "" {
				return all
			}
			if len(a.items("id")) != limit || strings.ContainsAny(next, "+/=&?% ") {
				t.Fatalf("a page: %s", a.text)
			}
			path = "/v1/users?" + fmt.Sprintf("limit=%d&cursor=%s", limit, next) // it carries its filter
		}
	}
	for _, query := range []string{"q=p", "q=P", "q=park", "q=Park%20"} {
		for _, limit := range []int{1, 2, 5, 100} {
			if got := walk(query, limit); !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", query, limit, got, want)
			}
		}
	}
	if got := walk("q="+url.QueryEscape("PARK 3"), 2); len(got) != 1 {
		t.Errorf("one: %v", got)
	}
	if got := walk("", 4); len(got) != 6 {
		t.Errorf("all: %v", got)
	}
	first := u.want(u.send("GET", "/v1/users?q=p&limit=2", admin, ""), 200, "")
	u.want(u.send("GET", "/v1/users?q=p&limit=3&cursor="+first.str("next"), admin, ""), 200, "")
	if a := u.send("GET", "/v1/users?q=&cursor="+first.str("next"), admin, ""); a.status != 400 || a.str("field") != "cursor" {
		t.Errorf("another list's cursor: %d %s", a.status, a.text)
	}
}

func TestPasswordChangeEndsEverySession(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	u.want(u.signUp("other@example.com"), 201, "")
	mine, also := u.want(u.logIn("jin@example.com", password), 201, ""), u.want(u.logIn("jin@example.com", password), 201, "")
	others := u.want(u.logIn("other@example.com", password), 201, "")

	wrong := u.want(u.changePassword(mine.str("access_token"), "wrong horse", "another horse"), 401, "bad-credentials")
	if wrong.str("field") != "current_password" {
		t.Errorf("got %s", wrong.text)
	}
	mine = u.want(u.refresh(mine), 200, "") // nothing ended

	changed := u.want(u.changePassword(mine.str("access_token"), password, "another horse"), 200, "")
	if !slices.Equal(keysOf(changed.body), userFields) {
		t.Errorf("got %s", changed.text)
	}
	u.want(u.refresh(mine), 401, "session-ended")
	u.want(u.refresh(also), 401, "session-ended")
	u.want(u.refresh(others), 200, "")
	u.want(u.logIn("jin@example.com", password), 401, "bad-credentials")
	u.want(u.logIn("jin@example.com", "another horse"), 201, "")
	u.want(u.changePassword(mine.str("access_token"), password, "a third horse"), 401, "bad-credentials")
}

func TestWrongCurrentPasswordsAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	token := u.want(u.logIn("jin@example.com", password), 201, "").str("access_token")
	for i := range 10 {
		u.from = fmt.Sprintf("192.0.2.%d:1", i)
		u.want(u.changePassword(token, "wrong horse", "another horse"), 401, "bad-credentials")
	}
	a := u.want(u.changePassword(token, password, "another horse"), 429, "too-many-requests")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// The owner is told, and logs in as ever, in a session that has its own limit.
	if n := u.count("outbox WHERE type = 'plaudit.user.login-failed'"); n != 1 {
		t.Errorf("%d events of failures", n)
	}
	token = u.want(u.logIn("jin@example.com", password), 201, "").str("access_token")
	u.want(u.changePassword(token, password, "another horse"), 200, "")
}

func TestSessionsOfOnesOwn(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	u.want(u.signUp("other@example.com"), 201, "")
	var sessions []answer
	for range 3 {
		sessions = append(sessions, u.want(u.logIn("jin@example.com", password), 201, ""))
	}
	others := u.want(u.logIn("other@example.com", password), 201, "")
	list := func(s answer, query string) answer {
		t.Helper()
		return u.want(u.send("GET", "/v1/sessions"+query, s.str("access_token"), ""), 200, "")
	}
	all := list(sessions[0], "")
	if !slices.Equal(all.items("current"), []string{"false", "false", "true"}) || all.body["next"] != nil || all.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s", all.text)
	}
	item := all.body["items"].([]any)[0]
	if !slices.Equal(keysOf(item), []string{"created_at", "current", "expires_at", "id", "used_at"}) {
		t.Errorf("a session has %v", item)
	}
	var walked []string
	for path := "?limit=2"; path != ""; {
		page := list(sessions[0], path)
		walked = append(walked, page.items("id")...)
		if path = ""; page.str("next") != "" {
			path = "?limit=2&cursor=" + page.str("next")
		}
	}
	if !slices.Equal(walked, all.items("id")) {
		t.Errorf("in pages %v, at once %v", walked, all.items("id"))
	}

	newest := all.items("id")[0]
	end := func(s answer, id string) answer {
		return u.send("DELETE", "/v1/sessions/"+id, s.str("access_token"), "")
	}
	u.want(end(others, newest), 404, "not-found")
	sessions[2] = u.want(u.refresh(sessions[2]), 200, "") // it continues
	u.want(end(sessions[0], newest), 204, "")
	u.want(end(sessions[0], newest), 404, "not-found")
	u.want(u.refresh(sessions[2]), 401, "session-ended")
	u.want(u.refresh(sessions[1]), 200, "")
	if left := list(sessions[0], ""); len(left.items("id")) != 2 {
		t.Errorf("left: %s", left.text)
	}
	u.want(end(sessions[0], all.items("id")[2]), 204, "") // the caller's own
	u.want(u.refresh(sessions[0]), 401, "session-ended")
}

func TestErasure(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	s := u.want(u.logIn("jin@example.com", password), 201, "")
	token := s.str("access_token")
	gone := u.want(u.send("DELETE", "/v1/users/me", token, ""), 204, "")
	if gone.text != "" {
		t.Errorf("got %s", gone.text)
	}
	u.want(u.send("DELETE", "/v1/users/me", token, ""), 401, "unauthenticated")
	u.want(u.send("GET", "/v1/users/me", token, ""), 401, "unauthenticated")
	u.want(u.send("GET", "/v1/users/"+id, "", ""), 404, "not-found")
	u.want(u.send("GET", "/v1/users/"+id, admin, ""), 404, "not-found")
	u.want(u.send("PATCH", "/v1/users/"+id, admin, `{"role": "organizer"}`), 404, "not-found")
	u.want(u.refresh(s), 401, "session-ended")
	// The answer is the same as for an address that never had an account.
	erased, never := u.want(u.logIn("jin@example.com", password), 401, "bad-credentials"), u.want(u.logIn("never@example.com", password), 401, "bad-credentials")
	if erased.text != never.text {
		t.Errorf("%s, and %s", erased.text, never.text)
	}
	if found := u.want(u.send("GET", "/v1/users?email=jin@example.com", admin, ""), 200, ""); len(found.items("id")) != 0 {
		t.Errorf("found: %s", found.text)
	}
	if again := u.want(u.signUp("jin@example.com"), 201, ""); again.str("id") == id {
		t.Error("the id was used again")
	}
}

// If an address signs up while its account is being erased, each answer is one
// of the API's, and at most one account exists afterwards.
func TestErasureAndSignUpAtOnce(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	token := u.token(id, access.Member)
	var answers [3]answer
	var wg sync.WaitGroup
	wg.Go(func() { answers[0] = u.send("DELETE", "/v1/users/me", token, "") })
	wg.Go(func() { answers[1] = u.signUp("jin@example.com") })
	wg.Go(func() { answers[2] = u.logIn("jin@example.com", password) })
	wg.Wait()
	u.want(answers[0], 204, "")
	if s := answers[1].status; s != 201 && s != 409 {
		t.Errorf("sign-up: %d %s", s, answers[1].text)
	}
	if s := answers[2].status; s != 201 && s != 401 {
		t.Errorf("login: %d %s", s, answers[2].text)
	}
	u.want(u.send("GET", "/v1/users/"+id, "", ""), 404, "not-found")
}

// The log holds nothing of an account, whether its owner or an attacker sends
// its data.
func TestNothingOfAnAccountIsLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	u := startUsers(t, limits(1, 5))
	_, admin := u.person(access.Admin)
	u.want(u.signUp("jin@example.com"), 201, "")
	token := u.want(u.logIn("jin@example.com", password), 201, "").str("access_token")
	u.want(u.send("PATCH", "/v1/users/me", token, `{"display_name": "Jin Park", "country": "secret"}`), 400, "bad-request")
	u.want(u.send("GET", "/v1/users?q=jin%40example", admin, ""), 200, "")
	u.want(u.changePassword(token, "wrong horse", "another horse"), 401, "bad-credentials")
	u.want(u.logIn("jin@example.com", "wrong horse"), 429, "too-many-requests")
	// The database fails.
	if _, err := u.db.Owner().ExecContext(t.Context(), `ALTER TABLE outbox ADD CHECK (id < 0) NOT VALID; ALTER TABLE attempts RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	u.want(u.send("PATCH", "/v1/users/me", token, `{"display_name": "Jin Park", "country": "KR"}`), 500, "internal")
	u.want(u.changePassword(token, password, "another horse"), 500, "internal")
	u.want(u.send("DELETE", "/v1/users/me", token, ""), 500, "internal")
	u.want(u.send("GET", "/v1/users?q=jin%40example", admin, ""), 200, "")
	if !strings.Contains(log.String(), "outbox") {
		t.Errorf("the reason of a 500 is not in the log: %s", &log)
	}
	for _, secret := range []string{"jin@", "jin%40", "Jin Park", "correct horse", "wrong horse", "another horse", token, "192.0.2", "argon2id"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &log)
		}
	}
}
