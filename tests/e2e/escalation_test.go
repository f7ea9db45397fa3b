package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
)

// Responses contain fields that no client may send. Sending one is a 400 for every
// caller, and changes nothing.
func TestClientsMayNotSendFieldsOfTheServer(t *testing.T) {
	root, owner, me := person(t, access.Admin), person(t, access.Organizer), person(t, access.Member)
	board := owner.board(t, "")
	for _, c := range []struct{ method, path, token, good, fields string }{
		{"POST", "/v1/users", "", fmt.Sprintf(`"email": "%s@example.com", "password": %q, "display_name": "x"`, unique("mass"), password),
			"role id email_verified created_at mail is_admin admin roles scopes verified password_hash session User"},
		{"PATCH", "/v1/users/me", me.token, `"display_name": "x"`,
			"role id email email_verified created_at password password_hash admin Role owner"},
		{"PATCH", "/v1/users/" + me.id, root.token, `"role": "member"`,
			"id email email_verified created_at password display_name mail locale"},
		{"PUT", "/v1/users/me/password", me.token, fmt.Sprintf(`"current_password": %q, "password": "another horse entirely"`, password),
			"id email user role"},
		{"PUT", "/v1/users/me/email", me.token, fmt.Sprintf(`"current_password": %q, "email": "%s@example.com"`, password, unique("mass")),
			"id email_verified new_email user role password"},
		{"POST", "/v1/sessions", "", fmt.Sprintf(`"email": %q, "password": %q`, me.email, password),
			"role scopes boards expires_in user owner sid"},
		{"POST", "/v1/sessions/refresh", "", fmt.Sprintf(`"refresh_token": %q`, me.refresh),
			"role scopes user expires_in session"},
		{"POST", "/v1/keys", owner.token, `"name": "x", "scopes": ["read"]`,
			"id key owner user role created_at last_used_at secret session"},
		{"POST", "/v1/tokens", "", `"key": "plaudit_x"`,
			"role scopes boards owner expires_in"},
		{"POST", "/v1/email-verifications", "", fmt.Sprintf(`"email": %q`, me.email),
			"user id token email_verified url link"},
		{"POST", "/v1/password-resets", "", fmt.Sprintf(`"email": %q`, me.email),
			"user id token password url link"},
		{"POST", "/v1/boards", owner.token, fmt.Sprintf(`"id": %q`, unique("mass")),
			"version created_at owner role closed standings"},
		{"PATCH", "/v1/boards/" + board, owner.token, `"title": "x"`,
			"id version created_at owner"},
		{"POST", "/v1/boards/" + board + "/entries", owner.token, `"player": "p", "points": 1`,
			"id board actor seq recorded_at standings batch reverses replayed score rank status"},
	} {
		for field := range strings.FieldsSeq(c.fields) {
			for _, value := range []string{`"admin"`, `true`, `null`, `["` + me.id + `"]`} {
				body := fmt.Sprintf(`{%s, %q: %s}`, c.good, field, value)
				if a := send(t, c.method, c.path, c.token, body); a.status != 400 || !strings.Contains(a.body, field) {
					t.Errorf("%s %s with %s %s: %d %s", c.method, c.path, field, value, a.status, a.body)
				}
			}
		}
	}
	self := want(t, 200, "GET", "/v1/users/me", me.token, "")
	if self.text(t, "role") != "member" || self.json(t, "email_verified") != false || self.text(t, "email") != me.email || self.text(t, "display_name") != "Somebody" {
		t.Errorf("the account is now %s", self.body)
	}
	if b := want(t, 200, "GET", "/v1/boards/"+board, owner.token, ""); b.text(t, "version") != "1" || b.text(t, "owners", 0) != owner.id {
		t.Errorf("the board is now %s", b.body)
	}
}

// Each body could be read as two different roles by two parsers.
func TestRolesAreReadOneWay(t *testing.T) {
	root, me := person(t, access.Admin), person(t, access.Member)
	for _, body := range []string{
		`{"role": "member", "role": "admin"}`, `{"role": "admin", "role": "member"}`, `{"role": "member", "r\u006fle": "admin"}`,
		`{"role": "member", "Role": "admin"}`, `{"ROLE": "admin"}`, `{"role": "member", "role\u0000": "admin"}`, `{"role": ["admin"]}`, `{"role": {"role": "admin"}}`,
		`{"role": "Admin"}`, `{"role": "admin "}`, `{"role": "admin\u0000"}`, `{"role": "service"}`, `{"role": ""}`, `{"role": null}`, `{"role": 1}`, `{}`, `[]`, `"admin"`,
		`{"role": "member"}{"role": "admin"}`, `{"role": "member"} // "admin"`, `{"role": "member"/*,"role":"admin"*/}`, `{'role': 'admin'}`, "\ufeff" + `{"role": "admin"}`,
		`{"__proto__": {"role": "admin"}, "role": "member"}`,
	} {
		if a := send(t, "PATCH", "/v1/users/"+me.id, root.token, body); a.status != 400 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, header := range [][]string{{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Type", "text/plain"}, {"Content-Type", "multipart/form-data; boundary=x"}, {"Content-Type", "application/json; charset=utf-7"}, {"Content-Encoding", "gzip"}} {
		want(t, 415, "PATCH", "/v1/users/"+me.id, root.token, `{"role": "admin"}`, header...)
	}
	want(t, 400, "PATCH", "/v1/users/"+me.id+"?role=admin", root.token, `{"role": "member"}`)
	if role := want(t, 200, "GET", "/v1/users/"+me.id, root.token, "").text(t, "role"); role != "member" {
		t.Errorf("the role is now %s", role)
	}
}

// Users cannot assign a role to themselves, and a removed role has no effect.
func TestUsersCannotPromoteThemselves(t *testing.T) {
	root := person(t, access.Admin)
	for _, role := range []access.Role{access.Member, access.Organizer, access.Auditor} {
		me := person(t, role)
		for _, to := range []string{"organizer", "auditor", "admin", string(role)} {
			want(t, 403, "PATCH", "/v1/users/"+me.id, me.token, fmt.Sprintf(`{"role": %q}`, to))
			want(t, 403, "PATCH", "/v1/users/"+root.id, me.token, fmt.Sprintf(`{"role": %q}`, to))
		}
		want(t, 400, "PATCH", "/v1/users/me", me.token, `{"role": "admin"}`)
	}
	// The token of an admin who was made a member stays valid, but changes no role
	// and creates no key. The account's API key has lost its rights.
	fallen := person(t, access.Admin)
	_, key, _ := fallen.key(t, []string{"events:write", "boards:write"})
	want(t, 200, "PATCH", "/v1/users/"+fallen.id, root.token, `{"role": "member"}`)
	want(t, 403, "PATCH", "/v1/users/"+fallen.id, fallen.token, `{"role": "admin"}`)
	want(t, 403, "POST", "/v1/keys", fallen.token, `{"name": "x", "scopes": ["read"]}`)
	token := want(t, 200, "POST", "/v1/tokens", "", fmt.Sprintf(`{"key": %q}`, key)).text(t, "access_token")
	want(t, 403, "POST", "/v1/boards", token, fmt.Sprintf(`{"id": %q}`, unique("fallen")))
	fallen.logIn(t)
	want(t, 403, "GET", "/v1/users", fallen.token, "")
	// An organizer can create no key with an admin's scope, and none without a scope.
	organizer := person(t, access.Organizer)
	for _, scopes := range []string{`["events:write"]`, `["read", "events:write"]`} {
		want(t, 403, "POST", "/v1/keys", organizer.token, fmt.Sprintf(`{"name": "x", "scopes": %s}`, scopes))
	}
	for _, scopes := range []string{`[]`, `["*"]`, `["admin"]`, `["READ"]`, `"read"`, `null`} {
		want(t, 400, "POST", "/v1/keys", organizer.token, fmt.Sprintf(`{"name": "x", "scopes": %s}`, scopes))
	}
	// An organizer cannot put themselves on a board's lists.
	owner := person(t, access.Organizer)
	board := owner.board(t, "")
	for _, list := range []string{"owners", "writers", "viewers"} {
		want(t, 403, "PATCH", "/v1/boards/"+board, organizer.token, fmt.Sprintf(`{%q: [%q]}`, list, organizer.id))
	}
	want(t, 409, "POST", "/v1/boards", organizer.token, fmt.Sprintf(`{"id": %q, "owners": [%q]}`, board, organizer.id))
}

// Another user's resources are 404, as if they did not exist.
func TestResourcesOfOthersAreOutOfReach(t *testing.T) {
	owner, other := person(t, access.Organizer), person(t, access.Organizer)
	key, _, _ := owner.key(t, []string{"read"})
	session := owner.newSession(t)
	for path, id := range map[string]string{"/v1/keys": key, "/v1/sessions": session} {
		for _, stranger := range []*account{other, person(t, access.Admin), person(t, access.Auditor)} {
			if list := want(t, 200, "GET", path, stranger.token, ""); strings.Contains(list.body, id) {
				t.Errorf("GET %s shows another account's: %s", path, list.body)
			}
			want(t, 400, "GET", path+"?user="+owner.id, stranger.token, "")
			same(t, "DELETE "+path+" of another account's and of an unknown id",
				want(t, 404, "DELETE", path+"/"+id, stranger.token, ""),
				want(t, 404, "DELETE", path+"/0198c1a5-0000-7000-8000-000000000000", stranger.token, ""))
		}
		want(t, 404, "GET", "/v1/users/"+owner.id+strings.TrimPrefix(path, "/v1"), other.token, "")
		if list := want(t, 200, "GET", path, owner.token, ""); !strings.Contains(list.body, id) {
			t.Errorf("GET %s lacks the account's own %s: %s", path, id, list.body)
		}
	}
	if strings.Contains(want(t, 200, "GET", "/v1/keys", owner.token, "").body, "plaudit_") {
		t.Error("a key is shown twice")
	}
	// A cursor of one account's list does not open another account's.
	for range 2 {
		owner.key(t, []string{"read"})
	}
	cursor := want(t, 200, "GET", "/v1/keys?limit=1", owner.token, "").text(t, "next")
	if list := want(t, 200, "GET", "/v1/keys?cursor="+cursor, other.token, ""); list.json(t, "items", 0) != nil {
		t.Errorf("another account's cursor returns %s", list.body)
	}
}

var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

// same checks that two answers are the same, except for their request ids.
func same(t *testing.T, what string, a, b answer) {
	t.Helper()
	if a.status != b.status || requestID.ReplaceAllString(a.body, "") != requestID.ReplaceAllString(b.body, "") {
		t.Errorf("%s: %d %s%d %s", what, a.status, a.body, b.status, b.body)
	}
	for _, name := range []string{"Www-Authenticate", "Cache-Control", "Retry-After", "Etag", "Vary"} {
		if !slices.Equal(a.header[name], b.header[name]) {
			t.Errorf("%s: %s is %q and %q", what, name, a.header[name], b.header[name])
		}
	}
}

// Answers do not reveal which accounts, keys and private boards exist. Only a
// sign-up reveals whether an address is taken, and sign-ups per hour are limited.
func TestEnumeration(t *testing.T) {
	me, known := person(t, access.Member), person(t, access.Organizer)
	unknown := unique("nobody") + "@example.com"
	leaks.note("a wrong password", "wrong horse battery")
	logIn := func(email, password string) answer {
		return want(t, 401, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, email, password))
	}
	same(t, "logins", logIn(known.email, "wrong horse battery"), logIn(unknown, "wrong horse battery"))
	same(t, "logins in capitals", logIn(strings.ToUpper(known.email), "x"), logIn(strings.ToUpper(unknown), "x"))
	// The last of eight more attempts exceeds the limit of both accounts.
	for range 8 {
		logIn(known.email, "wrong horse battery")
		logIn(unknown, "wrong horse battery")
	}
	full := func(email string) answer {
		a := want(t, 429, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, email, password))
		if a.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %s", a.body)
		}
		a.header.Del("Retry-After") // differs, because the second came a moment later
		return a
	}
	same(t, "logins over the limit", full(known.email), full(unknown))

	// Members find no account. Organizers find one by its exact address, and see its
	// profile only.
	for _, email := range []string{known.email, unknown} {
		want(t, 403, "GET", "/v1/users?email="+email, me.token, "")
		want(t, 403, "GET", "/v1/users?q="+email[:8], known.token, "")
	}
	// Not by an address that anybody could have signed up with.
	find := func(email string) answer { return want(t, 200, "GET", "/v1/users?email="+email, known.token, "") }
	same(t, "accounts that are not verified", find(me.email), find(unknown))
	// Nor does a request for a link tell one.
	link := func(email string) answer {
		return want(t, 202, "POST", "/v1/email-verifications", "", fmt.Sprintf(`{"email": %q}`, email))
	}
	same(t, "links for unverified and unknown addresses", link(me.email), link(unknown))
	me.verify(t)
	same(t, "links for verified and unknown addresses", link(me.email), link(unknown))
	reset := func(email string) answer {
		return want(t, 202, "POST", "/v1/password-resets", "", fmt.Sprintf(`{"email": %q}`, email))
	}
	same(t, "resets for known and unknown addresses", reset(me.email), reset(unknown))
	found := find(me.email)
	if strings.Contains(found.body, "@") || strings.Contains(found.body, "role") || found.text(t, "items", 0, "id") != me.id {
		t.Errorf("an organizer finds %s", found.body)
	}
	for _, part := range []string{me.email[:len(me.email)-1], "%25", "_%25", me.email[:4] + "%25", "*", "%20" + me.email} {
		if a := want(t, 200, "GET", "/v1/users?email="+part, known.token, ""); a.json(t, "items", 0) != nil {
			t.Errorf("%q finds %s", part, a.body)
		}
	}
	if a := want(t, 200, "GET", "/v1/users/"+known.id, me.token, ""); strings.Contains(a.body, "@") || strings.Contains(a.body, "organizer") {
		t.Errorf("a profile contains %s", a.body)
	}
	// Every invalid key gets the same answer.
	id, key, _ := known.key(t, []string{"read"})
	want(t, 204, "DELETE", "/v1/keys/"+id, known.token, "")
	exchange := func(key string) answer {
		return want(t, 401, "POST", "/v1/tokens", "", fmt.Sprintf(`{"key": %q}`, key))
	}
	same(t, "keys", exchange(key), exchange(key[:len(key)-4]+"AAAA"))
	same(t, "keys", exchange(key), exchange("x"))
	// On every route, a private board looks like one that does not exist.
	board := known.board(t, `, "public": false`)
	entry := want(t, 201, "POST", "/v1/boards/"+board+"/entries", known.token, `{"player": "p", "points": 1}`).text(t, "id")
	absent := board[:len(board)-1] + "x"
	for _, r := range [][3]string{
		{"GET", "", ""}, {"PATCH", "", `{"title": "x"}`}, {"GET", "/standings", ""}, {"GET", "/standings/p", ""}, {"GET", "/entries/" + entry, ""},
		{"DELETE", "/players/p/profile", ""},
		{"POST", "/entries", `{"player": "p", "points": 1}`}, {"POST", "/entries", `{"player": "p", "reason": "unknown"}`},
		{"GET", "/players", ""}, {"GET", "/players/p", ""}, {"GET", "/periods", ""}, {"GET", "/categories", ""}, {"GET", "/entries", ""}, {"GET", "/entries?actor=user/" + known.id, ""},
		{"PATCH", "/players/p", `{"status": "dnf"}`}, {"POST", "/entries/" + entry + "/reversal", `{"note": "why"}`},
	} {
		for _, token := range []string{"", me.token} {
			if token == "" && r[0] != "GET" {
				continue // 401 before the board is checked
			}
			there, not := send(t, r[0], "/v1/boards/"+board+r[1], token, r[2]), send(t, r[0], "/v1/boards/"+absent+r[1], token, r[2])
			not.body = strings.ReplaceAll(not.body, absent, board)
			same(t, r[0]+" "+r[1], there, not)
			if there.status != 404 {
				t.Errorf("%s %s of a stranger: %d", r[0], r[1], there.status)
			}
		}
	}
}

// Different spellings of an address are one address, which can sign up once.
func TestOneAccountAnAddress(t *testing.T) {
	me := person(t, access.Member)
	local, domain, _ := strings.Cut(me.email, "@")
	for _, email := range []string{me.email, strings.ToUpper(me.email), local + "@" + strings.ToUpper(domain), strings.ToUpper(local) + "@" + domain} {
		want(t, 409, "POST", "/v1/users", "", fmt.Sprintf(`{"email": %q, "password": %q, "display_name": "x"}`, email, password))
	}
	for _, email := range []string{me.email + " ", " " + me.email, "<" + me.email + ">", me.email + "\u0000", me.email + "\r\nBcc: x@example.com", "x <" + me.email + ">", local + "@\uff45xample.com", me.email + ".", `"` + local + `"@` + domain} {
		if a := send(t, "POST", "/v1/users", "", fmt.Sprintf(`{"email": %s, "password": %q, "display_name": "x"}`, quote(email), password)); a.status != 400 {
			t.Errorf("%q: %d %s", email, a.status, a.body)
		}
	}
	// The first admin's address cannot sign up, and an address that only looks the
	// same cannot log in.
	want(t, 409, "POST", "/v1/users", "", fmt.Sprintf(`{"email": %s, "password": %q, "display_name": "x"}`, quote(strings.ToUpper(stack.Info.Admin.Email)), password))
	want(t, 401, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %s, "password": %q}`, quote(me.email+" "), password))
}
