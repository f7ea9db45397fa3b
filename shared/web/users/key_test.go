package users_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
)

// claims verifies a token as every deployable does.
func claims(t *testing.T, token string) access.Caller {
	t.Helper()
	_, jwks := signing()
	v, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loggedIn is person with an open session, which making a key requires.
func (u *usersUnderTest) loggedIn(role access.Role) (id, token string) {
	u.Helper()
	id, _ = u.person(role)
	return id, u.want(u.logIn(string(role)+"@example.org", password), 201, "").str("access_token")
}

func (u *usersUnderTest) makeKey(token, body string) answer {
	return u.send("POST", "/v1/keys", token, body)
}

func (u *usersUnderTest) exchange(key string) answer {
	body, _ := json.Marshal(map[string]string{"key": key})
	return u.send("POST", "/v1/tokens", "", string(body))
}

// at stops the database's clock at a time.
func (u *usersUnderTest) at(now time.Time) {
	u.Helper()
	u.exec(`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT timestamptz '` + now.Format(time.RFC3339Nano) + `' $$`)
}

func (u *usersUnderTest) exec(statement string, args ...any) {
	u.Helper()
	if _, err := u.db.Owner().ExecContext(u.Context(), statement, args...); err != nil {
		u.Fatal(err)
	}
}

func (u *usersUnderTest) count(table string) (n int) {
	u.Helper()
	if err := u.db.Owner().GetContext(u.Context(), &n, `SELECT count(*) FROM `+table); err != nil {
		u.Fatal(err)
	}
	return n
}

const plainKey = `{"name": "timing", "scopes": ["entries:write"]}`

func TestKeyIsShownOnceAndExchanged(t *testing.T) {
	u := startUsers(t, generous)
	id, token := u.loggedIn(access.Organizer)
	made := u.want(u.makeKey(token, `{"name": "timing 시계", "scopes": ["entries:write", "read"], "boards": ["seoul-2026", "b"],
		"expires_at": "2999-01-01T09:00:00.1234567+09:00"}`), 201, "")
	fields := []string{"boards", "created_at", "expires_at", "id", "key", "last_used_at", "name", "scopes"}
	secret, keyID := made.str("key"), made.str("id")
	if !slices.Equal(keysOf(made.body), fields) || made.header.Get("Cache-Control") != "no-store" ||
		made.str("name") != "timing 시계" || fmt.Sprint(made.body["scopes"], made.body["boards"]) != "[entries:write read] [seoul-2026 b]" ||
		made.str("expires_at") != "2999-01-01T00:00:00.123456Z" || made.body["last_used_at"] != nil || !strings.HasSuffix(made.str("created_at"), "Z") {
		t.Errorf("got %v %s", made.header, made.text)
	}
	if !regexp.MustCompile(`^plaudit_[A-Za-z0-9_-]{43}$`).MatchString(secret) {
		t.Errorf("the key is %s", secret)
	}

	list := u.want(u.send("GET", "/v1/keys", token, ""), 200, "")
	if list.body["next"] != nil || strings.Contains(list.text, "plaudit_") || strings.Contains(list.text, `"key"`) || !strings.Contains(list.text, keyID) {
		t.Errorf("the list is %s", list.text)
	}
	var rows string
	if err := u.db.Owner().GetContext(t.Context(), &rows, `SELECT (SELECT string_agg(k::text, ' ') FROM api_keys k) || (SELECT string_agg(o::text, ' ') FROM outbox o)`); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rows, secret[len("plaudit_"):]) {
		t.Errorf("the key is kept in clear: %s", rows)
	}

	given := u.want(u.exchange(secret), 200, "")
	if !slices.Equal(keysOf(given.body), []string{"access_token", "expires_in", "token_type"}) || given.body["expires_in"] != 900.0 ||
		given.str("token_type") != "Bearer" || given.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s", given.text)
	}
	c := claims(t, given.str("access_token"))
	if c.User != id || c.Role != access.Service || c.Key != keyID || c.Owner != access.Organizer || c.Session != "" ||
		fmt.Sprint(c.Scopes, c.Boards) != "[entries:write read] [seoul-2026 b]" || c.Actor() != "key/"+keyID {
		t.Errorf("the token is for %+v", c)
	}
	if list = u.send("GET", "/v1/keys", token, ""); strings.Contains(list.text, `"last_used_at":null`) {
		t.Errorf("the use is not noted: %s", list.text)
	}

	u.want(u.send("DELETE", "/v1/keys/"+keyID, token, ""), 204, "")
	u.want(u.send("DELETE", "/v1/keys/"+keyID, token, ""), 404, "not-found")
	u.want(u.exchange(secret), 401, "bad-api-key")
	if list = u.send("GET", "/v1/keys", token, ""); list.text != `{"items":[],"next":null}`+"\n" {
		t.Errorf("the list is %s", list.text)
	}

	every := u.want(u.makeKey(token, `{"name": "x", "scopes": ["read"], "boards": null, "expires_at": null}`), 201, "")
	if every.body["boards"] != nil || every.body["expires_at"] != nil {
		t.Errorf("got %s", every.text)
	}
	if c := claims(t, u.want(u.exchange(every.str("key")), 200, "").str("access_token")); c.Boards != nil {
		t.Errorf("the token is for %+v", c)
	}
}

// Every verifier accepts even the largest token.
func TestKeyOfManyBoards(t *testing.T) {
	u := startUsers(t, generous)
	_, token := u.loggedIn(access.Admin)
	boards := make([]string, 100)
	for i := range boards {
		boards[i] = fmt.Sprintf("%03d%s", i, strings.Repeat("x", 60))
	}
	body, _ := json.Marshal(map[string]any{"name": "x", "scopes": []string{"entries:write", "boards:write", "events:write", "read"}, "boards": boards})
	made := u.want(u.makeKey(token, string(body)), 201, "")
	given := u.want(u.exchange(made.str("key")), 200, "").str("access_token")
	if c := claims(t, given); !slices.Equal(c.Boards, boards) || len(c.Scopes) != 4 {
		t.Errorf("the token is for %+v", c)
	}
	if len(given) > 15<<10 {
		t.Errorf("a token of %d bytes does not fit in a header", len(given))
	}
}

func TestBodiesOfKeyRoutes(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.loggedIn(access.Admin)
	key := func(field, value string) string {
		return bodyWith(map[string]string{"name": `"x"`, "scopes": `["read"]`}, field, value)
	}
	tooMany := strings.TrimSuffix(strings.Repeat(`"b",`, 101), ",")
	type row struct{ method, path, token, body, field string }
	var rows []row
	for field, values := range map[string]map[string]string{ // value → the field that the fault names, if it differs
		"name": {"": "", "null": "", "1": "", `""`: "", `" "`: "", `"a\nb"`: "", `"a\u0000"`: "", `"\ud800"`: "", `"\u202e"`: "", `"` + strings.Repeat("가", 81) + `"`: "", `["x"]`: ""},
		"scopes": {"": "", "null": "", `"read"`: "", "[]": "", "{}": "", "[1]": "scopes[0]", "[null]": "scopes[0]", `["read", "write"]`: "scopes[1]",
			`["read", "entries:write", "read"]`: "scopes[2]", `["READ"]`: "scopes[0]", `["*"]`: "scopes[0]", `[""]`: "scopes[0]", `["read "]`: "scopes[0]",
			"[" + strings.TrimSuffix(strings.Repeat(`"read",`, 41), ",") + "]": ""},
		"boards": {"[]": "", `"b"`: "", "{}": "", "[1]": "boards[0]", `["b", "B"]`: "boards[1]", `["b", "b"]`: "boards[1]", `["-b"]`: "boards[0]", `[""]`: "boards[0]",
			`["*"]`: "boards[0]", `["b\n"]`: "boards[0]", `["` + strings.Repeat("b", 64) + `"]`: "boards[0]", "[" + tooMany + "]": ""},
		"expires_at": {"1": "", `""`: "", `"tomorrow"`: "", `"2999-01-01"`: "", `"2020-01-01T00:00:00Z"`: "", `"2999-13-01T00:00:00Z"`: "", `"9999-12-31T23:59:59-23:59"`: "", `"10000-01-01T00:00:00Z"`: "", `4102444800`: ""},
		// Fields that a client cannot set.
		"id": {`"0198c0de-0000-7000-8000-000000000000"`: ""}, "user": {`"x"`: ""}, "key": {`"plaudit_x"`: ""}, "owner": {`"admin"`: ""},
		"created_at": {`"2020-01-01T00:00:00Z"`: ""}, "last_used_at": {`null`: ""}, "Scopes": {`["read"]`: ""},
	} {
		for value, named := range values {
			if named == "" {
				named = field
			}
			rows = append(rows, row{"POST", "/v1/keys", admin, key(field, value), named})
		}
	}
	rows = append(rows,
		row{"POST", "/v1/keys", admin, `{"name": "a", "name": "b"}`, "name"},
		row{"POST", "/v1/keys", admin, `[]`, "body"},
		row{"POST", "/v1/keys?boards=b", admin, plainKey, "boards"},
		row{"GET", "/v1/keys?limit=0", admin, "", "limit"},
		row{"GET", "/v1/keys?limit=101", admin, "", "limit"},
		row{"GET", "/v1/keys?limit=x", admin, "", "limit"},
		row{"GET", "/v1/keys?user=x", admin, "", "user"},
		row{"GET", "/v1/keys?cursor=", admin, "", "cursor"},
		row{"GET", "/v1/keys?cursor=x", admin, "", "cursor"},
		row{"GET", "/v1/keys?cursor=bnVsbA", admin, "", "cursor"}, // null
		row{"GET", "/v1/keys?cursor=eyJrIjoieCJ9", admin, "", "cursor"},
		row{"DELETE", "/v1/keys/0198c0de-0000-7000-8000-000000000000?force=1", admin, "", "force"},
		row{"POST", "/v1/tokens", "", `{}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": null}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": ""}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": 1}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": {"$ne": ""}}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": "x\u0000"}`, "key"},
		row{"POST", "/v1/tokens", "", `{"key": "x", "scopes": ["read"]}`, "scopes"},
		row{"POST", "/v1/tokens?key=x", "", `{"key": "x"}`, "key"},
	)
	for _, r := range rows {
		a := u.send(r.method, r.path, r.token, r.body)
		if a.status != 400 || a.kind() != "bad-request" || a.str("field") != r.field {
			t.Errorf("%s %s %s: %d %s, want 400 naming %s", r.method, r.path, r.body, a.status, a.text, r.field)
		}
	}
	all := u.want(u.makeKey(admin, `{"name": "", "scopes": ["x", "read", "read"], "boards": ["B"], "expires_at": "2020-01-01T00:00:00Z"}`), 400, "bad-request")
	var named []string
	for _, e := range all.body["errors"].([]any) {
		named = append(named, e.(map[string]any)["field"].(string))
	}
	if !slices.Equal(named, []string{"name", "scopes[0]", "scopes[2]", "boards[0]", "expires_at"}) {
		t.Errorf("of several faults it names %q", named)
	}
	if n := u.count("api_keys"); n != 0 {
		t.Errorf("%d keys", n)
	}
	u.want(u.makeKey(admin, `{"name": "`+strings.Repeat("가", 80)+`", "scopes": ["events:write", "boards:write", "entries:write", "read"]}`), 201, "")
}

func TestWhoMayManageKeys(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.loggedIn(access.Admin)
	organizerID, organizer := u.loggedIn(access.Organizer)
	memberID, member := u.loggedIn(access.Member)
	_, auditor := u.loggedIn(access.Auditor)
	mine := u.want(u.makeKey(organizer, `{"name": "x", "scopes": ["read", "entries:write", "boards:write"]}`), 201, "")
	adminsKey := u.want(u.makeKey(admin, `{"name": "x", "scopes": ["read", "entries:write", "boards:write", "events:write"]}`), 201, "")
	key := u.want(u.exchange(adminsKey.str("key")), 200, "").str("access_token")
	const events = `{"name": "x", "scopes": ["read", "events:write"]}`
	stranger := "0198c0de-0000-7000-8000-000000000000"
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
	}{
		{"nobody makes one", "POST", "/v1/keys", "", plainKey, 401},
		{"a member makes one", "POST", "/v1/keys", member, plainKey, 403},
		{"an auditor makes one", "POST", "/v1/keys", auditor, plainKey, 403},
		{"an organizer makes one", "POST", "/v1/keys", organizer, plainKey, 201},
		{"an admin makes one", "POST", "/v1/keys", admin, plainKey, 201},
		{"an admin's key makes one", "POST", "/v1/keys", key, plainKey, 403},
		{"an organizer makes one for events", "POST", "/v1/keys", organizer, events, 403},
		{"an admin makes one for events", "POST", "/v1/keys", admin, events, 201},
		{"an organizer without a session makes one", "POST", "/v1/keys", u.token(organizerID, access.Organizer), plainKey, 401},
		{"an erased account makes one", "POST", "/v1/keys", u.token(stranger, access.Organizer), plainKey, 401},
		{"nobody lists", "GET", "/v1/keys", "", "", 401},
		{"a member lists", "GET", "/v1/keys", member, "", 200},
		{"an admin's key lists", "GET", "/v1/keys", key, "", 403},
		{"nobody deletes", "DELETE", "/v1/keys/" + mine.str("id"), "", "", 401},
		{"another deletes", "DELETE", "/v1/keys/" + mine.str("id"), member, "", 404},
		{"an admin deletes another's", "DELETE", "/v1/keys/" + mine.str("id"), admin, "", 404},
		{"a key deletes itself", "DELETE", "/v1/keys/" + adminsKey.str("id"), key, "", 403},
		{"an unknown one", "DELETE", "/v1/keys/" + stranger, organizer, "", 404},
		{"no id", "DELETE", "/v1/keys/x", organizer, "", 404},
		{"an id in capitals", "DELETE", "/v1/keys/" + strings.ToUpper(mine.str("id")), organizer, "", 404},
		{"SQL for an id", "DELETE", "/v1/keys/'%20OR%201=1--", organizer, "", 404},
		{"a key as a bearer token", "GET", "/v1/users/me", mine.str("key"), "", 401},
		{"a key's token is no person's", "GET", "/v1/users/me", key, "", 403},
		{"nor an admin's", "PATCH", "/v1/users/" + memberID, key, `{"role": "admin"}`, 403},
		{"and ends no session", "DELETE", "/v1/sessions", key, "", 403},
		{"a former organizer deletes", "DELETE", "/v1/keys/" + mine.str("id"), u.token(organizerID, access.Member), "", 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := u.send(c.method, c.path, c.token, c.body); a.status != c.status {
				t.Errorf("got %d %s, want %d", a.status, a.text, c.status)
			}
		})
	}
	if list := u.send("GET", "/v1/keys", member, ""); list.text != `{"items":[],"next":null}`+"\n" {
		t.Errorf("a member sees %s", list.text)
	}
	if a := u.makeKey(organizer, events); a.str("field") != "scopes" {
		t.Errorf("got %s", a.text)
	}
	// The account's present role counts, not the token's.
	u.exec(`UPDATE users SET role = 'organizer' WHERE role = 'admin'`)
	u.want(u.makeKey(admin, events), 403, "forbidden")
	u.exec(`UPDATE users SET role = 'member' WHERE id = $1`, organizerID)
	u.want(u.makeKey(organizer, plainKey), 403, "forbidden")
}

// A stolen access token cannot make a key after its session has ended.
func TestEndedSessionsMakeNoKeys(t *testing.T) {
	u := startUsers(t, generous)
	id, token := u.loggedIn(access.Organizer)
	another := u.want(u.logIn("organizer@example.org", password), 201, "").str("access_token")
	u.want(u.makeKey(token, plainKey), 201, "")
	u.want(u.send("DELETE", "/v1/sessions", token, ""), 204, "")
	u.want(u.makeKey(token, plainKey), 401, "session-ended")
	u.want(u.makeKey(another, plainKey), 201, "")

	// The session of another account does not count.
	otherID, _ := u.loggedIn(access.Admin)
	var session string
	if err := u.db.Owner().GetContext(t.Context(), &session, `SELECT id FROM sessions WHERE user_id = $1`, otherID); err != nil {
		t.Fatal(err)
	}
	forged, err := u.signer.Sign(access.Caller{User: id, Role: access.Organizer, Session: session}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u.want(u.makeKey(forged, plainKey), 401, "session-ended")

	u.want(u.send("PUT", "/v1/users/me/password", another, `{"current_password": "`+password+`", "password": "battery staple"}`), 200, "")
	u.want(u.makeKey(another, plainKey), 401, "session-ended")
}

func TestKeyExpires(t *testing.T) {
	u := startUsers(t, generous)
	_, token := u.loggedIn(access.Organizer)
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	made := u.want(u.makeKey(token, fmt.Sprintf(`{"name": "x", "scopes": ["read"], "expires_at": %q}`, ends.Format(time.RFC3339Nano))), 201, "")
	for _, c := range []struct {
		before    time.Duration // the key's end
		status    int
		expiresIn float64
	}{
		{30 * time.Minute, 200, 900},
		{5 * time.Minute, 200, 300},
		{1500 * time.Millisecond, 200, 1},
		{500 * time.Millisecond, 401, 0}, // a token counts in seconds
		{-time.Second, 401, 0},
	} {
		u.at(ends.Add(-c.before))
		a := u.exchange(made.str("key"))
		got, _ := a.body["expires_in"].(float64)
		if a.status != c.status || got != c.expiresIn || c.status == 401 && a.kind() != "bad-api-key" {
			t.Errorf("%v before its end: %d %s", c.before, a.status, a.text)
		}
	}
	if list := u.send("GET", "/v1/keys", token, ""); !strings.Contains(list.text, made.str("id")) {
		t.Errorf("an expired key is not listed: %s", list.text)
	}
}

// A key's rights are those that its owner has at the exchange.
func TestKeyActsWithItsOwnersRightsOfToday(t *testing.T) {
	u := startUsers(t, generous)
	adminID, admin := u.loggedIn(access.Admin)
	made := u.want(u.makeKey(admin, `{"name": "x", "scopes": ["entries:write", "events:write", "read"]}`), 201, "")
	events := u.want(u.makeKey(admin, `{"name": "x", "scopes": ["events:write"]}`), 201, "")
	for _, c := range []struct {
		role   access.Role
		scopes string
	}{
		{access.Admin, "[entries:write events:write read]"},
		{access.Organizer, "[entries:write read]"},
		{access.Member, "[entries:write read]"},
		{access.Auditor, "[entries:write read]"},
		{access.Admin, "[entries:write events:write read]"},
	} {
		u.exec(`UPDATE users SET role = $2 WHERE id = $1`, adminID, string(c.role))
		got := claims(t, u.want(u.exchange(made.str("key")), 200, "").str("access_token"))
		if got.Owner != c.role || got.Rights() != c.role || got.Role != access.Service || fmt.Sprint(got.Scopes) != c.scopes {
			t.Errorf("if its owner is now %s: %+v", c.role, got)
		}
	}
	u.exec(`UPDATE users SET role = 'member' WHERE id = $1`, adminID)
	if got := claims(t, u.want(u.exchange(events.str("key")), 200, "").str("access_token")); len(got.Scopes) != 0 {
		t.Errorf("a member's key has %v", got.Scopes)
	}
	u.exec(`SELECT erase_user_v1($1, 'user/x', $2)`, adminID, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	u.want(u.exchange(made.str("key")), 401, "bad-api-key")
	if n := u.count("api_keys"); n != 0 {
		t.Errorf("%d keys of an erased account", n)
	}
}

func TestKeyExchangesAtOnce(t *testing.T) {
	u := startUsers(t, generous)
	_, token := u.loggedIn(access.Organizer)
	key := u.want(u.makeKey(token, plainKey), 201, "").str("key")
	var answers [4]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = u.exchange(key) })
	}
	wg.Wait()
	tokens := map[string]bool{}
	for _, a := range answers {
		tokens[u.want(a, 200, "").str("access_token")] = true
	}
	if len(tokens) != len(answers) {
		t.Errorf("got %d different tokens", len(tokens))
	}
}

func TestGuessesOfKeysAreLimited(t *testing.T) {
	u := startUsers(t, limits(3, 1000))
	_, token := u.loggedIn(access.Organizer)
	key := u.want(u.makeKey(token, plainKey), 201, "").str("key")
	almost := key[:len(key)-1] + string(key[len(key)-1]^1)
	now := time.Now()
	u.at(now)
	for _, guess := range []string{"plaudit_x", almost, strings.Repeat("x", 3_900)} {
		u.want(u.exchange(key), 200, "") // these don't count
		u.want(u.exchange(guess), 401, "bad-api-key")
	}
	for _, guess := range []string{"plaudit_x", key} {
		if a := u.want(u.exchange(guess), 429, "too-many-requests"); a.header.Get("Retry-After") != "900" {
			t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
		}
	}
	u.want(u.logIn("organizer@example.org", password), 201, "")
	u.from = "192.0.2.2:1"
	u.want(u.exchange(key), 200, "")
	u.from = "192.0.2.1:1"
	u.at(now.Add(15 * time.Minute))
	u.want(u.exchange(key), 200, "")
}

func TestKeysOfAnAccountAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	id, token := u.loggedIn(access.Organizer)
	_, other := u.loggedIn(access.Admin)
	u.exec(`INSERT INTO api_keys (id, user_id, digest, name, scopes, expires_at, created_at)
		SELECT gen_random_uuid(), $1, sha256(n::text::bytea), 'old', '{read}', plaudit_now(), plaudit_now() FROM generate_series(1, 48) AS n`, id)
	var answers [5]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = u.makeKey(token, plainKey) })
	}
	wg.Wait()
	slices.SortFunc(answers[:], func(a, b answer) int { return a.status - b.status })
	for i, a := range answers {
		if i < 2 {
			u.want(a, 201, "")
		} else {
			u.want(a, 409, "too-many-api-keys")
		}
	}
	u.want(u.makeKey(other, plainKey), 201, "")
	u.want(u.send("DELETE", "/v1/keys/"+answers[0].str("id"), token, ""), 204, "")
	u.want(u.makeKey(token, plainKey), 201, "")
}

func TestPagesOfKeys(t *testing.T) {
	u := startUsers(t, generous)
	_, token := u.loggedIn(access.Organizer)
	_, other := u.loggedIn(access.Admin)
	var want []string
	for range 5 {
		want = append(want, u.want(u.makeKey(token, plainKey), 201, "").str("id"))
	}
	u.want(u.makeKey(other, plainKey), 201, "")
	slices.Reverse(want) // the newest stands first
	for _, limit := range []int{1, 2, 5, 100} {
		var got []string
		pages := 0
		for next := ""; ; pages++ {
			path := fmt.Sprintf("/v1/keys?limit=%d", limit)
			if next != "" {
				path += "&cursor=" + next
			}
			page := u.want(u.send("GET", path, token, ""), 200, "")
			items := page.body["items"].([]any)
			if len(items) > limit {
				t.Fatalf("a page of %d has %d", limit, len(items))
			}
			for _, i := range items {
				got = append(got, i.(map[string]any)["id"].(string))
			}
			if next = page.str("next"); next == "" {
				break
			}
		}
		if !slices.Equal(got, want) || pages != (len(want)-1)/limit {
			t.Errorf("pages of %d: %d of them more, %q", limit, pages, got)
		}
	}
	// A cursor does not open the list of another account.
	page := u.want(u.send("GET", "/v1/keys?limit=1", token, ""), 200, "")
	if a := u.want(u.send("GET", "/v1/keys?cursor="+page.str("next"), other, ""), 200, ""); strings.Contains(a.text, want[1]) {
		t.Errorf("another sees %s", a.text)
	}
}

// A key and its event are written together or not at all.
func TestEventsOfKeys(t *testing.T) {
	u := startUsers(t, generous)
	id, token := u.loggedIn(access.Organizer)
	u.exec(`TRUNCATE outbox`)
	made := u.want(u.makeKey(token, `{"name": "jin's laptop", "scopes": ["read"], "boards": ["b"]}`), 201, "")
	u.want(u.makeKey(token, `{"name": "x", "scopes": ["events:write"]}`), 403, "forbidden")
	u.want(u.exchange(made.str("key")), 200, "")
	u.want(u.send("DELETE", "/v1/keys/"+made.str("id"), token, ""), 204, "")
	u.want(u.send("DELETE", "/v1/keys/"+made.str("id"), token, ""), 404, "not-found")
	var rows []struct{ Kind, Type, Subject, Actor, Data string }
	if err := u.db.Owner().SelectContext(t.Context(), &rows, `SELECT kind, type, subject, actor, data FROM outbox ORDER BY recordedtime`); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`[{event plaudit.key.created user/%[1]s user/%[1]s {"boards":["b"],"expires_at":null,"key":"%[2]s","scopes":["read"]}} {event plaudit.key.deleted user/%[1]s user/%[1]s {"key":"%[2]s"}}]`, id, made.str("id"))
	if got := fmt.Sprint(rows); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	kept := u.want(u.makeKey(token, plainKey), 201, "")
	u.exec(`REVOKE INSERT ON outbox FROM users_service`)
	u.want(u.makeKey(token, plainKey), 500, "internal")
	u.want(u.send("DELETE", "/v1/keys/"+kept.str("id"), token, ""), 500, "internal")
	if n := u.count("api_keys"); n != 1 {
		t.Errorf("%d keys, want the one with an event", n)
	}
}

func TestNoKeyIsLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	u := startUsers(t, limits(2, 1000))
	_, token := u.loggedIn(access.Organizer)
	made := u.want(u.makeKey(token, `{"name": "jin's laptop", "scopes": ["read"]}`), 201, "")
	given := u.want(u.exchange(made.str("key")), 200, "").str("access_token")
	u.want(u.exchange("plaudit_guess"), 401, "bad-api-key")
	u.want(u.send("POST", "/v1/tokens", "", fmt.Sprintf(`{"key": [%q]}`, made.str("key"))), 400, "bad-request")
	u.want(u.send("GET", "/v1/keys?cursor="+made.str("key"), token, ""), 400, "bad-request")
	u.want(u.send("GET", "/v1/users/me", made.str("key"), ""), 401, "unauthenticated")
	u.want(u.send("GET", "/v1/users/me", given, ""), 403, "forbidden")
	u.exec(`ALTER TABLE api_keys RENAME COLUMN digest TO gone`)
	u.want(u.exchange(made.str("key")), 500, "internal")
	u.want(u.makeKey(token, plainKey), 500, "internal")
	if !strings.Contains(log.String(), "digest") {
		t.Errorf("the reason of a 500 is not in the log: %s", &log)
	}
	for _, secret := range []string{made.str("key")[len("plaudit_"):], given, token, "guess", "laptop"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &log)
		}
	}
}
