package users_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/id"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

func TestNotifysKeyIsExchanged(t *testing.T) {
	u := startUsers(t, generous)
	given := u.want(u.exchange(notifyKey), 200, "")
	if given.str("token_type") != "Bearer" || given.body["expires_in"] != 900.0 || given.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", given.header, given.text)
	}
	if c := claims(t, given.str("access_token")); !reflect.DeepEqual(c, access.Notify()) || c.Rights() != "" || c.Actor() != "key/notify" {
		t.Errorf("the token is for %+v", c)
	}
	for _, wrong := range []string{notifyKey + " ", notifyKey[1:], strings.ToUpper(notifyKey), "notify", "key/notify", strings.Repeat("x", 3000)} {
		u.want(u.exchange(wrong), 401, "bad-api-key")
	}
	// Without the setting there is no such key, not even an empty one.
	u.service.NotifyKey = ""
	u.want(u.exchange(notifyKey), 401, "bad-api-key")
	u.want(u.exchange(""), 400, "bad-request")
	if n := u.count("api_keys"); n != 0 {
		t.Errorf("%d keys are stored", n)
	}
}

// Nobody gets notify's scope by another key.
func TestNobodyMakesAKeyOfNotify(t *testing.T) {
	u := startUsers(t, generous)
	_, admin := u.loggedIn(access.Admin)
	for _, scopes := range []string{`["notify"]`, `["read", "notify"]`} {
		a := u.want(u.makeKey(admin, `{"name": "x", "scopes": `+scopes+`}`), 400, "bad-request")
		if !strings.HasPrefix(a.str("field"), "scopes[") || strings.Contains(a.str("detail"), "notify") {
			t.Errorf("%s: %s", scopes, a.text)
		}
	}
}

// Whatever others do, from its own address too, notify gets its tokens; it has a limit of
// its own all the same.
func TestGuessersDoNotKeepNotifyOut(t *testing.T) {
	u := startUsers(t, user.Limits{LoginsPerAddress: 3, SignUpsPerHour: 1000, TokensPerSession: 5, TokensPerAddress: 4})
	now := time.Now()
	u.at(now)
	for range 3 {
		u.want(u.exchange("plaudit_guess"), 401, "bad-api-key")
	}
	u.want(u.exchange("plaudit_guess"), 429, "too-many-requests")
	u.want(u.exchange(notifyKey), 200, "")
	u.at(now.Add(16 * time.Minute))
	// Its exchange was the fourth from the address.
	u.want(u.send("POST", "/v1/sessions/refresh", "", `{"refresh_token": "x"}`), 429, "too-many-requests")
	for i := range 4 {
		u.want(u.by(fmt.Sprintf("192.0.2.%d", 1+i%2)).exchange(notifyKey), 200, "")
	}
	a := u.want(u.by("198.51.100.1").exchange(notifyKey), 429, "too-many-requests")
	if a.header.Get("Retry-After") != "2640" { // the first leaves the hour
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	u.at(now.Add(61 * time.Minute))
	u.want(u.exchange(notifyKey), 200, "")
}

// Many requests of others at once do not delay it either.
func TestNotifyTakesATurnOfItsOwn(t *testing.T) {
	u := startUsers(t, generous)
	u.service.Tokens = user.NewTurns(1, 4, 2)
	release := u.db.Hold(`LOCK TABLE attempts`)
	var guessing sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 8 {
		guessing.Go(func() {
			if a := u.exchange("plaudit_guess"); a.status == 429 {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		mu.Lock()
		full := refused >= 6
		mu.Unlock()
		if full {
			break
		}
	}
	var a answer
	var own sync.WaitGroup
	own.Go(func() { a = u.exchange(notifyKey) })
	release()
	own.Wait()
	guessing.Wait()
	if a.status != 200 {
		t.Errorf("notify gets %d %s", a.status, a.text)
	}
}

// The routes of the users service refuse notify's token, even if they need none, except
// those that mail needs; and these admit nobody else.
func TestNotifyMayDoNothingElse(t *testing.T) {
	u := startUsers(t, generous)
	id, admin := u.person(access.Admin)
	_, member := u.person(access.Member)
	_, organizer := u.person(access.Organizer)
	_, auditor := u.person(access.Auditor)
	key, err := u.signer.Sign(access.Caller{User: id, Role: access.Service, Owner: access.Admin, Key: "k", Scopes: []string{"read", "entries:write", "boards:write", "events:write"}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	may := []string{"GET /v1/users/{id}", "POST /v1/users/{id}/mail-links", "PUT /v1/users/{id}/mail-state"}
	refused := 0
	for _, r := range web.Routes {
		if r.Deployable != "users" || slices.Contains(may, r.Method+" "+r.Pattern) {
			continue
		}
		path := strings.NewReplacer("{id}", id, "{token}", "x").Replace(r.Pattern)
		body := ""
		if r.Body > 0 {
			body = "{}"
		}
		refused++
		if a := u.send(r.Method, path, u.notify(), body); a.status != 403 || !a.page() && (a.kind() != "forbidden" || !strings.Contains(a.str("detail"), "sends mail")) {
			t.Errorf("%s %s: %d %s", r.Method, path, a.status, a.text)
		}
	}
	if refused < 20 {
		t.Errorf("only %d routes were tried", refused)
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/users/" + id + "/mail-links", `{"kind": "verify"}`},
		{"PUT", "/v1/users/" + id + "/mail-state", `{"state": "bounced"}`},
	} {
		u.want(u.send(c.method, c.path, "", c.body), 401, "unauthenticated")
		for name, token := range map[string]string{"a member": member, "an organizer": organizer, "an auditor": auditor, "an admin": admin, "the account itself": admin, "an admin's key": key} {
			if a := u.send(c.method, c.path, token, c.body); a.status != 403 || a.kind() != "forbidden" {
				t.Errorf("%s, %s %s: %d %s", name, c.method, c.path, a.status, a.text)
			}
		}
	}
	if n := u.count("users WHERE mail_state IS NOT NULL") + u.count("email_verifications"); n != 0 {
		t.Errorf("%d changes were made", n)
	}
}

func TestNotifySeesWholeAccounts(t *testing.T) {
	u := startUsers(t, generous)
	made := u.want(u.signUp("jin@example.com"), 201, "")
	id := made.str("id")
	if a := u.want(u.send("GET", "/v1/users/"+id, u.notify(), ""), 200, ""); a.text != made.text {
		t.Errorf("got %s, want %s", a.text, made.text)
	}
	u.want(u.send("DELETE", "/v1/users/me", u.token(id, access.Member), ""), 204, "")
	stranger := "0198c0de-0000-7000-8000-000000000000"
	for _, gone := range []string{id, stranger, "x", "notify"} {
		u.want(u.send("GET", "/v1/users/"+gone, u.notify(), ""), 404, "not-found")
		u.want(u.mailLink(gone, `{"kind": "verify"}`), 404, "not-found")
		u.want(u.mailLink(gone, `{"kind": "unsubscribe", "type": "other"}`), 404, "not-found")
		u.want(u.send("PUT", "/v1/users/"+gone+"/mail-state", u.notify(), `{"state": "bounced"}`), 404, "not-found")
	}
}

func TestMailState(t *testing.T) {
	u := startUsers(t, generous)
	adminID, admin := u.person(access.Admin)
	made := u.want(u.signUp("jin@example.com"), 201, "")
	id := made.str("id")
	if state, there := made.body["mail_state"]; !there || state != nil {
		t.Errorf("a new account is %s", made.text)
	}
	report := func(state string) answer {
		return u.send("PUT", "/v1/users/"+id+"/mail-state", u.notify(), fmt.Sprintf(`{"state": %q}`, state))
	}
	events := func() int {
		return u.count(`outbox WHERE type = 'plaudit.user.updated' AND actor = 'key/notify' AND data = '{"changes":{"mail_state":{}}}' AND subject = 'user/` + id + `'`)
	}
	for n, state := range []string{"bounced", "bounced", "complained", "bounced"} {
		if a := u.want(report(state), 200, ""); a.text != `{"mail_state":"`+state+`"}`+"\n" {
			t.Errorf("got %s", a.text)
		}
		if got, want := events(), []int{1, 1, 2, 3}[n]; got != want {
			t.Errorf("%d events after report %d, want %d", got, n, want)
		}
		token := u.token(id, access.Member)
		for name, a := range map[string]answer{
			"me":       u.send("GET", "/v1/users/me", token, ""),
			"an admin": u.send("GET", "/v1/users/"+id, admin, ""),
			"notify":   u.send("GET", "/v1/users/"+id, u.notify(), ""),
		} {
			if a.str("mail_state") != state {
				t.Errorf("%s sees %s, want %s", name, a.text, state)
			}
		}
	}
	if a := u.want(u.logIn("jin@example.com", password), 201, ""); a.str("user", "mail_state") != "bounced" {
		t.Errorf("a login: %s", a.text)
	}
	if a := u.want(u.send("GET", "/v1/users?q=jin", admin, ""), 200, ""); !slices.Equal(a.items("mail_state"), []string{"bounced"}) {
		t.Errorf("the list: %s", a.text)
	}
	if a := u.want(u.send("GET", "/v1/users/"+id, "", ""), 200, ""); strings.Contains(a.text, "mail") {
		t.Errorf("a stranger sees %s", a.text)
	}
	if a := u.want(u.send("GET", "/v1/users/"+adminID, admin, ""), 200, ""); a.body["mail_state"] != nil {
		t.Errorf("another account: %s", a.text)
	}
	for body, field := range map[string]string{
		`{}`: "state", `{"state": null}`: "state", `{"state": ""}`: "state", `{"state": "ok"}`: "state", `{"state": "Bounced"}`: "state",
		`{"state": 1}`: "state", `{"state": "bounced", "email": "x"}`: "email", `[]`: "body",
	} {
		if a := u.want(u.send("PUT", "/v1/users/"+id+"/mail-state", u.notify(), body), 400, "bad-request"); a.str("field") != field {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	if a := u.want(u.send("PUT", "/v1/users/"+id+"/mail-state?state=bounced", u.notify(), `{"state": "bounced"}`), 400, "bad-request"); a.str("field") != "state" {
		t.Errorf("got %s", a.text)
	}
	// Nobody changes it otherwise.
	u.want(u.send("PATCH", "/v1/users/me", u.token(id, access.Member), `{"mail_state": null}`), 400, "bad-request")
}

// What befell an address that the account no longer has is not about its present one.
func TestLateFeedbackIsAboutTheFormerAddress(t *testing.T) {
	u := startUsers(t, generous)
	account := u.want(u.signUp("old@example.com"), 201, "").str("id")
	report := func(email string) answer {
		return u.want(u.send("PUT", "/v1/users/"+account+"/mail-state", u.notify(), fmt.Sprintf(`{"state": "complained", "address": %q}`, id.Address(account, email))), 200, "")
	}
	token := u.token(account, access.Member)
	u.want(u.changeEmail(token, "new@example.com", password), 200, "")
	u.want(u.verify(u.link(account)), 200, "")
	if a := report("old@example.com"); a.text != `{"mail_state":null}`+"\n" {
		t.Errorf("got %s", a.text)
	}
	if a := report("NEW@example.com"); a.text != `{"mail_state":"complained"}`+"\n" {
		t.Errorf("got %s", a.text)
	}
	if a := u.want(u.send("PUT", "/v1/users/"+account+"/mail-state", u.notify(), `{"state": "bounced", "address": "new@example.com"}`), 400, "bad-request"); a.str("field") != "address" {
		t.Errorf("got %s", a.text)
	}
}

func TestMailLinks(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("Jin@example.com"), 201, "").str("id")
	a := u.want(u.mailLink(id, `{"kind": "verify"}`), 201, "")
	if !slices.Equal(keysOf(a.body), []string{"email", "url"}) || a.str("email") != "Jin@example.com" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %s", a.header, a.text)
	}
	link, err := url.Parse(a.str("url"))
	if err != nil || link.Scheme+"://"+link.Host+link.Path != publicURL+"/verify" || len(link.Query().Get("token")) != 43 {
		t.Errorf("the link is %s", a.str("url"))
	}
	for _, body := range []string{`{"kind": "unsubscribe", "type": "other"}`, `{"kind": "unsubscribe", "type": "plaudit.board.period-closed"}`} {
		a := u.want(u.mailLink(id, body), 201, "")
		if token, ok := strings.CutPrefix(a.str("url"), publicURL+"/v1/unsubscribe/"); !ok || len(token) > 200 || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || a.str("email") != "Jin@example.com" {
			t.Errorf("got %s", a.text)
		}
		if again := u.want(u.mailLink(id, body), 201, ""); again.text != a.text {
			t.Errorf("the same link again: %s, and at first %s", again.text, a.text)
		}
	}
	for body, field := range map[string]string{
		`{}`: "kind", `{"kind": null}`: "kind", `{"kind": ""}`: "kind", `{"kind": "Verify"}`: "kind", `{"kind": 1}`: "kind", `{"kind": "login"}`: "kind",
		`{"kind": "unsubscribe"}`: "type", `{"kind": "unsubscribe", "type": null}`: "type", `{"kind": "unsubscribe", "type": ""}`: "type",
		`{"kind": "unsubscribe", "type": "plaudit.key.created"}`: "type", `{"kind": "unsubscribe", "type": "x"}`: "type",
		`{"kind": "verify", "type": "other"}`: "type", `{"kind": "verify", "email": "x@example.com"}`: "email", `[]`: "body",
	} {
		if a := u.want(u.mailLink(id, body), 400, "bad-request"); a.str("field") != field {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	// Five links are valid at once, and none once one of them was used.
	for range 6 {
		u.link(id)
	}
	if n := u.count("email_verifications"); n != 5 {
		t.Errorf("%d links are valid", n)
	}
	u.want(u.verify(u.link(id)), 200, "")
	if a := u.want(u.mailLink(id, `{"kind": "verify"}`), 409, "no-link-due"); a.str("url") != "" {
		t.Errorf("got %s", a.text)
	}
	u.want(u.mailLink(id, `{"kind": "unsubscribe", "type": "other"}`), 201, "")
}
