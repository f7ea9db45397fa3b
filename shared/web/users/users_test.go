package users_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/pages"
	"plaudit/shared/web/users"
)

// signing makes one key pair for all tests, because that is slow.
var signing = sync.OnceValues(func() (pem, jwks string) {
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		panic(err)
	}
	return pem, jwks
})

// usersUnderTest is the users service over a database of its own.
type usersUnderTest struct {
	*testing.T
	handler http.Handler
	service *user.Service
	signer  *jose.Signer
	db      *pgtest.Database
	from    string // RemoteAddr of requests
}

func startUsers(t *testing.T, limits user.Limits) *usersUnderTest {
	t.Helper()
	pem, jwks := signing()
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	d := pgtest.Users(t)
	service := &user.Service{
		Store: pgusers.New(d.Open("users_service")), Signer: signer, Passwords: user.NewPasswords(2),
		Hashing: user.NewTurns(2, 50, 50), Tokens: user.NewTurns(1, 50, 50), Limits: limits,
		First:     user.Credentials{Email: "admin@example.com", Password: "the first admin's"},
		NotifyKey: notifyKey, PublicURL: publicURL,
	}
	endpoints := users.Endpoints(service, jwks)
	maps.Copy(endpoints, pages.Endpoints(service))
	handler := web.New(web.Config{Deployable: "users", Verifier: verifier}, endpoints)
	return &usersUnderTest{t, handler, service, signer, d, "192.0.2.1:1234"}
}

const (
	notifyKey = "notify's own key, of a test"
	publicURL = "https://plaudit.example"
)

var generous = limits(1000, 1000)

// limits returns limits that differ in logins and sign-ups.
func limits(logins, signUps int) user.Limits {
	return user.Limits{LoginsPerAddress: logins, SignUpsPerHour: signUps, TokensPerSession: 1000, TokensPerAddress: 1000}
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// str returns a string in the answer's body, by its path.
func (a answer) str(path ...string) string {
	at := any(a.body)
	for _, p := range path {
		at, _ = at.(map[string]any)
		at = at.(map[string]any)[p]
	}
	s, _ := at.(string)
	return s
}

// page reports whether the answer is a page, and no JSON.
func (a answer) page() bool { return strings.HasPrefix(a.header.Get("Content-Type"), "text/html") }

func (a answer) kind() string { return strings.TrimPrefix(a.str("type"), "urn:plaudit:error:") }

func (u *usersUnderTest) send(method, path, token, body string) answer {
	return u.sendAs("application/json", method, path, token, body)
}

func (u *usersUnderTest) sendAs(media, method, path, token, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = u.from
	if body != "" {
		r.Header.Set("Content-Type", media)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	u.handler.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if a.text != "" && !a.page() {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			u.Errorf("%s %s: the body is not JSON: %s", method, path, a.text)
		}
	}
	return a
}

func (u *usersUnderTest) want(a answer, status int, kind string) answer {
	u.Helper()
	if a.status != status || a.kind() != kind {
		u.Fatalf("got %d %s, want %d %q", a.status, a.text, status, kind)
	}
	return a
}

const password = "correct horse"

func credentials(email, password string) string {
	b, _ := json.Marshal(map[string]string{"email": email, "password": password})
	return string(b)
}

func (u *usersUnderTest) signUp(email string) answer {
	return u.send("POST", "/v1/users", "", fmt.Sprintf(`{"email": %q, "password": %q, "display_name": "진"}`, email, password))
}

func (u *usersUnderTest) logIn(email, password string) answer {
	return u.send("POST", "/v1/sessions", "", credentials(email, password))
}

// person makes an account with a role and returns its id and a token.
func (u *usersUnderTest) person(role access.Role) (id, token string) {
	u.Helper()
	id = u.want(u.signUp(string(role)+"@example.org"), 201, "").str("id")
	if _, err := u.db.Owner().ExecContext(u.Context(), `UPDATE users SET role = $2 WHERE id = $1`, id, string(role)); err != nil {
		u.Fatal(err)
	}
	return id, u.token(id, role)
}

func (u *usersUnderTest) token(id string, role access.Role) string {
	u.Helper()
	token, err := u.signer.Sign(access.Caller{User: id, Role: role, Session: id}, time.Minute)
	if err != nil {
		u.Fatal(err)
	}
	return token
}

func keysOf(m any) []string { return slices.Sorted(maps.Keys(m.(map[string]any))) }

var userFields = []string{"country", "created_at", "display_name", "email", "email_verified", "id", "locale", "mail", "mail_state", "new_email", "role", "time_zone"}

func TestSignUpLogInRefreshLogOut(t *testing.T) {
	u := startUsers(t, generous)
	made := u.want(u.send("POST", "/v1/users", "", `{"email": "Jin@Example.com", "password": "correct horse", "display_name": "진",
		"locale": "ko", "time_zone": "Asia/Seoul", "country": "KR"}`), 201, "")
	id := made.str("id")
	if !slices.Equal(keysOf(made.body), userFields) || made.header.Get("Location") != "/v1/users/"+id || made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", made.header, made.text)
	}
	if made.str("email") != "Jin@Example.com" || made.body["email_verified"] != false || made.str("role") != "member" ||
		made.str("locale") != "ko" || made.str("time_zone") != "Asia/Seoul" || made.str("country") != "KR" || !strings.HasSuffix(made.str("created_at"), "Z") {
		t.Errorf("got %s", made.text)
	}
	plain := u.want(u.send("POST", "/v1/users", "", `{"email": "b@example.com", "password": "correct horse", "display_name": "b", "country": null}`), 201, "")
	if plain.str("locale") != "en" || plain.str("time_zone") != "UTC" || plain.body["country"] != nil {
		t.Errorf("the defaults: %s", plain.text)
	}
	u.want(u.signUp("jin@example.COM"), 409, "address-taken")

	session := u.want(u.logIn("jin@EXAMPLE.com", password), 201, "")
	if got := keysOf(session.body); !slices.Equal(got, []string{"access_token", "device_token", "expires_in", "refresh_token", "token_type", "user"}) {
		t.Errorf("a session has %q", got)
	}
	if session.str("token_type") != "Bearer" || session.body["expires_in"] != 900.0 || len(session.str("refresh_token")) != 43 ||
		!slices.Equal(keysOf(session.body["user"]), userFields) || session.str("user", "id") != id {
		t.Errorf("got %s", session.text)
	}
	me := u.want(u.send("GET", "/v1/users/me", session.str("access_token"), ""), 200, "")
	if me.text != made.text {
		t.Errorf("me is %s, was made as %s", me.text, made.text)
	}

	first := session.str("refresh_token")
	refresh := func(token string) answer {
		return u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, token))
	}
	second := u.want(refresh(first), 200, "")
	if second.str("refresh_token") == first || second.str("access_token") == session.str("access_token") || second.str("user", "id") != id {
		t.Errorf("got %s", second.text)
	}
	u.want(u.send("DELETE", "/v1/sessions", second.str("access_token"), ""), 204, "")
	u.want(u.send("DELETE", "/v1/sessions", second.str("access_token"), ""), 204, "")
	u.want(refresh(second.str("refresh_token")), 401, "session-ended")
}

func TestRefreshReuseEndsTheFamily(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	refresh := func(s answer) answer {
		return u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, s.str("refresh_token")))
	}
	other := u.want(u.logIn("jin@example.com", password), 201, "")
	first := u.want(u.logIn("jin@example.com", password), 201, "")
	second := u.want(refresh(first), 200, "")
	third := u.want(refresh(second), 200, "")
	u.want(refresh(first), 401, "session-ended")
	u.want(refresh(third), 401, "session-ended")
	other = u.want(refresh(other), 200, "")

	// If the same token is sent twice at once, one request wins and the family ends.
	var answers [2]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = refresh(other) })
	}
	wg.Wait()
	slices.SortFunc(answers[:], func(a, b answer) int { return a.status - b.status })
	u.want(answers[0], 200, "")
	u.want(answers[1], 401, "session-ended")
	u.want(refresh(answers[0]), 401, "session-ended")
}

func TestSignUpsAtOnce(t *testing.T) {
	u := startUsers(t, generous)
	var answers [2]answer
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = u.signUp([]string{"jin@example.com", "JIN@example.com"}[i]) })
	}
	wg.Wait()
	slices.SortFunc(answers[:], func(a, b answer) int { return a.status - b.status })
	u.want(answers[0], 201, "")
	u.want(answers[1], 409, "address-taken")
}

func TestBodiesOfUsersRoutes(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	id, _ := u.person(access.Member)
	signUp := func(field, value string) string {
		return bodyWith(map[string]string{"email": `"x@example.com"`, "password": `"correct horse"`, "display_name": `"x"`}, field, value)
	}
	type row struct{ method, path, token, body, field string }
	var rows []row
	for field, values := range map[string][]string{
		"email":          {"", "null", "1", `""`, `"x"`, `"Jin <x@example.com>"`, `" x@example.com"`, `"x@example.com\u0000"`, `["x@example.com"]`},
		"password":       {"", "null", "1234567890", `"123456789"`, `"` + strings.Repeat("가", 257) + `"`, `"1234567890\u0000"`},
		"display_name":   {"", "null", "1", `""`, `"a\nb"`, `"` + strings.Repeat("가", 81) + `"`, `"\ud800"`, `"a\u0000"`, "{}"},
		"locale":         {"null", "1", `""`, `"fr"`},
		"time_zone":      {"null", "9", `""`, `"Local"`, `"+09:00"`, `"../etc/passwd"`},
		"country":        {"82", `""`, `"k1"`, `"KOR"`, `"ZZ"`},
		"role":           {`"admin"`},
		"id":             {`"0198c0de-0000-7000-8000-000000000000"`},
		"email_verified": {"true"},
		"password_hash":  {`"$argon2id$"`},
		"mail":           {"{}"},
		"Email":          {`"y@example.com"`},
	} {
		for _, v := range values {
			rows = append(rows, row{"POST", "/v1/users", "", signUp(field, v), field})
		}
	}
	rows = append(rows,
		row{"POST", "/v1/users", "", `{"email": "a@example.com", "email": "b@example.com"}`, "email"},
		row{"POST", "/v1/users", "", `[]`, "body"},
		row{"POST", "/v1/users", "", `{} {}`, "body"},
		row{"POST", "/v1/users?invite=1", "", signUp("locale", `"ko"`), "invite"},
		row{"POST", "/v1/sessions", "", `{"password": "x"}`, "email"},
		row{"POST", "/v1/sessions", "", `{"email": "x@example.com"}`, "password"},
		row{"POST", "/v1/sessions", "", `{"email": "x@example.com", "password": ""}`, "password"},
		row{"POST", "/v1/sessions", "", `{"email": "x@example.com", "password": {"$ne": ""}}`, "password"},
		row{"POST", "/v1/sessions", "", `{"email": "x@example.com", "password": "x", "remember": true}`, "remember"},
		row{"POST", "/v1/sessions", "", `{"email": "x\u0000", "password": "x"}`, "email"},
		row{"POST", "/v1/sessions/refresh", "", `{}`, "refresh_token"},
		row{"POST", "/v1/sessions/refresh", "", `{"refresh_token": null}`, "refresh_token"},
		row{"POST", "/v1/sessions/refresh", "", `{"refresh_token": 1}`, "refresh_token"},
		row{"DELETE", "/v1/sessions?all=true", admin, "", "all"},
		row{"GET", "/v1/users/me?fields=email", admin, "", "fields"},
		row{"GET", "/v1/users/" + id + "?fields=email", admin, "", "fields"},
		row{"PATCH", "/v1/users/" + id, admin, `{}`, "role"},
		row{"PATCH", "/v1/users/" + id, admin, `{"role": null}`, "role"},
		row{"PATCH", "/v1/users/" + id, admin, `{"role": "service"}`, "role"},
		row{"PATCH", "/v1/users/" + id, admin, `{"role": "Admin"}`, "role"},
		row{"PATCH", "/v1/users/" + id, admin, `{"role": 1}`, "role"},
		row{"PATCH", "/v1/users/" + id, admin, `{"role": "admin", "email": "x@example.com"}`, "email"},
	)
	for _, r := range rows {
		a := u.send(r.method, r.path, r.token, r.body)
		if a.status != 400 || a.kind() != "bad-request" || a.str("field") != r.field {
			t.Errorf("%s %s %s: %d %s, want 400 naming %s", r.method, r.path, r.body, a.status, a.text, r.field)
		}
	}
	var n int
	if err := u.db.Owner().GetContext(t.Context(), &n, `SELECT count(*) FROM users`); err != nil || n != 2 {
		t.Errorf("%d accounts, %v", n, err)
	}
}

func TestWhoMaySeeAndChangeAccounts(t *testing.T) {
	u := startUsers(t, generous)
	adminID, admin := u.person(access.Admin)
	memberID, member := u.person(access.Member)
	_, organizer := u.person(access.Organizer)
	_, auditor := u.person(access.Auditor)
	key, err := u.signer.Sign(access.Caller{User: adminID, Role: access.Service, Owner: access.Admin, Key: "k", Scopes: []string{"read", "boards:write"}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	stranger := "0198c0de-0000-7000-8000-000000000000"
	profile := []string{"country", "display_name", "id"}
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		fields                          []string // of the answer, where it is no problem
	}{
		{"nobody reads a profile", "GET", "/v1/users/" + memberID, "", "", 200, profile},
		{"a member reads a profile", "GET", "/v1/users/" + adminID, member, "", 200, profile},
		{"an organizer reads a profile", "GET", "/v1/users/" + memberID, organizer, "", 200, profile},
		{"a key reads a profile, its owner's rights or not", "GET", "/v1/users/" + memberID, key, "", 200, profile},
		{"an auditor reads all", "GET", "/v1/users/" + memberID, auditor, "", 200, userFields},
		{"an admin reads all", "GET", "/v1/users/" + memberID, admin, "", 200, userFields},
		{"an unknown id", "GET", "/v1/users/" + stranger, admin, "", 404, nil},
		{"no id", "GET", "/v1/users/jin", admin, "", 404, nil},
		{"an id in capitals is another", "GET", "/v1/users/" + strings.ToUpper(memberID), admin, "", 404, nil},
		{"SQL for an id", "GET", "/v1/users/'%20OR%201=1--", admin, "", 404, nil},
		{"NUL for an id", "GET", "/v1/users/%00", admin, "", 404, nil},
		{"me without a token", "GET", "/v1/users/me", "", "", 401, nil},
		{"me with a bad token", "GET", "/v1/users/me", member + "x", "", 401, nil},
		{"me as a key", "GET", "/v1/users/me", key, "", 403, nil},
		{"me, but the account is gone", "GET", "/v1/users/me", u.token(stranger, access.Member), "", 401, nil},
		{"me, with a token for an invalid id", "GET", "/v1/users/me", u.token("jin", access.Member), "", 401, nil},
		{"logout without a token", "DELETE", "/v1/sessions", "", "", 401, nil},
		{"logout as a key", "DELETE", "/v1/sessions", key, "", 403, nil},
		{"nobody changes a role", "PATCH", "/v1/users/" + memberID, "", `{"role": "admin"}`, 401, nil},
		{"a member changes their role", "PATCH", "/v1/users/" + memberID, member, `{"role": "admin"}`, 403, nil},
		{"an organizer changes a role", "PATCH", "/v1/users/" + memberID, organizer, `{"role": "organizer"}`, 403, nil},
		{"an auditor changes a role", "PATCH", "/v1/users/" + memberID, auditor, `{"role": "organizer"}`, 403, nil},
		{"an admin's key changes a role", "PATCH", "/v1/users/" + memberID, key, `{"role": "admin"}`, 403, nil},
		{"an old admin's token changes a role", "PATCH", "/v1/users/" + memberID, u.token(memberID, access.Admin), `{"role": "admin"}`, 403, nil},
		{"an admin's token of an account that is gone", "PATCH", "/v1/users/" + memberID, u.token(stranger, access.Admin), `{"role": "admin"}`, 403, nil},
		{"the only admin steps down", "PATCH", "/v1/users/" + adminID, admin, `{"role": "member"}`, 409, nil},
		{"a role for nobody", "PATCH", "/v1/users/" + stranger, admin, `{"role": "member"}`, 404, nil},
		{"a role for me", "PATCH", "/v1/users/me", admin, `{"role": "member"}`, 400, nil},
		{"an admin changes a role", "PATCH", "/v1/users/" + memberID, admin, `{"role": "organizer"}`, 200, userFields},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := u.send(c.method, c.path, c.token, c.body)
			if a.status != c.status || c.fields != nil && !slices.Equal(keysOf(a.body), c.fields) {
				t.Errorf("got %d %s, want %d", a.status, a.text, c.status)
			}
		})
	}
}

// A role takes effect with the next access token, which takes it from the
// account and not from the previous token.
func TestRoleTakesEffectAtRefresh(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.person(access.Admin)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	s := u.want(u.logIn("jin@example.com", password), 201, "")
	u.want(u.send("PATCH", "/v1/users/"+id, admin, `{"role": "auditor"}`), 200, "")
	profile := u.want(u.send("GET", "/v1/users/"+id, s.str("access_token"), ""), 200, "")
	if profile.body["email"] != nil {
		t.Error("the previous token already has the role")
	}
	s = u.want(u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, s.str("refresh_token"))), 200, "")
	whole := u.want(u.send("GET", "/v1/users/"+id, s.str("access_token"), ""), 200, "")
	if s.str("user", "role") != "auditor" || whole.str("email") != "jin@example.com" {
		t.Errorf("after a refresh: %s, %s", s.text, whole.text)
	}
}

func TestFailedLoginsOfAnAccountAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	now := time.Now()
	u.at(now)
	for _, email := range []string{"jin@example.com", "nobody@example.com"} {
		for range 10 {
			u.want(u.logIn(email, "wrong password"), 401, "bad-credentials")
		}
		for _, p := range []string{"wrong password", password} {
			a := u.want(u.logIn(strings.ToUpper(email), p), 429, "too-many-requests")
			if wait := a.header.Get("Retry-After"); wait != "900" {
				t.Errorf("Retry-After: %s", wait)
			}
		}
	}
	u.from = "192.0.2.2:1" // the failures count for both, the account and the client address
	u.want(u.logIn("nobody@example.com", password), 401, "bad-credentials")
	u.want(u.logIn("jin@example.com", password), 201, "")
	u.from = "192.0.2.1:1"
	u.at(now.Add(15 * time.Minute))
	u.want(u.logIn("jin@example.com", password), 201, "")
}

func TestLimitsOfAClientAddress(t *testing.T) {
	u := startUsers(t, limits(3, 2))
	u.want(u.signUp("a@example.com"), 201, "")
	u.want(u.signUp("a@example.com"), 409, "address-taken")
	u.want(u.send("POST", "/v1/users", "", `{}`), 400, "bad-request")
	a := u.want(u.signUp("b@example.com"), 429, "too-many-requests")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	u.want(u.logIn("a@example.com", password), 201, "") // good ones count, too
	u.want(u.logIn("x@example.com", password), 401, "bad-credentials")
	u.want(u.logIn("a@example.com", "wrong password"), 401, "bad-credentials")
	u.want(u.send("POST", "/v1/sessions", "", `{}`), 400, "bad-request") // not an attempt
	u.want(u.logIn("a@example.com", password), 429, "too-many-requests")

	u.from = "[2001:db8:1:2::1]:1"
	u.want(u.signUp("b@example.com"), 201, "")
	u.from = "[2001:db8:1:2:ffff::1]:1"
	u.want(u.signUp("c@example.com"), 201, "")
	u.from = "[2001:db8:1:2:eeee::1]:1"
	u.want(u.signUp("d@example.com"), 429, "too-many-requests")
	u.from = "[::ffff:192.0.2.1]:1"
	u.want(u.signUp("d@example.com"), 429, "too-many-requests")
	u.from = "[2001:db8:1:3::1]:1"
	u.want(u.signUp("d@example.com"), 201, "")
	u.want(u.logIn("a@example.com", password), 201, "")
}

func TestKeysAndHealth(t *testing.T) {
	u := startUsers(t, generous)
	_, jwks := signing()
	keys := u.want(u.send("GET", "/.well-known/jwks.json", "", ""), 200, "")
	if keys.text != jwks || !strings.HasPrefix(keys.header.Get("Cache-Control"), "public, max-age=") || keys.header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("got %v %s", keys.header, keys.text)
	}
	u.want(u.send("GET", "/healthz", "", ""), 200, "")
	u.want(u.send("GET", "/readyz", "", ""), 503, "busy") // no admin yet
	u.want(u.send("POST", "/v1/users", "", `{"email": "ADMIN@example.com", "password": "correct horse", "display_name": "x"}`), 409, "address-taken")

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { u.service.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	for deadline := time.Now().Add(time.Minute); u.send("GET", "/readyz", "", "").status != 200; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not ready within a minute")
		}
	}
	admin := u.want(u.logIn("admin@example.com", "the first admin's"), 201, "")
	if admin.str("user", "role") != "admin" {
		t.Errorf("got %s", admin.text)
	}
	if _, err := u.db.Owner().ExecContext(t.Context(), `ALTER TABLE sessions RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	u.want(u.send("GET", "/readyz", "", ""), 503, "database-unavailable")
	u.want(u.send("GET", "/healthz", "", ""), 200, "")
}

func TestNothingPersonalIsLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)

	u := startUsers(t, limits(2, 2))
	u.want(u.signUp("jin@example.com"), 201, "")
	u.want(u.signUp("jin@example.com"), 409, "address-taken")
	u.want(u.signUp("jin@example.com"), 429, "too-many-requests")
	s := u.want(u.logIn("jin@example.com", password), 201, "")
	u.want(u.logIn("jin@example.com", "wrong password"), 401, "bad-credentials")
	u.want(u.send("POST", "/v1/users", "", `{"email": "jin@example.com", "password": "short", "display_name": 1}`), 400, "bad-request")
	// The database fails: bare 500s, with their reasons in the log.
	if _, err := u.db.Owner().ExecContext(t.Context(), `ALTER TABLE refresh_tokens RENAME COLUMN digest TO gone; ALTER TABLE users RENAME COLUMN locale TO gone`); err != nil {
		t.Fatal(err)
	}
	u.want(u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, s.str("refresh_token"))), 500, "internal")
	u.want(u.logIn("jin@example.com", password), 500, "internal")
	if !strings.Contains(log.String(), "digest") {
		t.Errorf("the reason of a 500 is not in the log: %s", &log)
	}
	for _, secret := range []string{"jin@", "correct horse", "wrong password", "short", s.str("access_token"), s.str("refresh_token"), "진", "192.0.2"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &log)
		}
	}
}
