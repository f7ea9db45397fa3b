package users_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
)

func (u *usersUnderTest) changeEmail(token, email, password string) answer {
	return u.send("PUT", "/v1/users/me/email", token, fmt.Sprintf(`{"email": %q, "current_password": %q}`, email, password))
}

// former returns the address that an account had before, as notify sees it.
func (u *usersUnderTest) former(account string) string {
	u.Helper()
	return u.want(u.send("GET", "/v1/users/"+account, u.notify(), ""), 200, "").str("former_email")
}

func TestChangeOfAddress(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("old@example.com"), 201, "").str("id")
	u.want(u.verify(u.link(id)), 200, "")
	u.want(u.send("PUT", "/v1/users/"+id+"/mail-state", u.notify(), `{"state": "bounced"}`), 200, "")
	session := u.want(u.logIn("old@example.com", password), 201, "")
	token := session.str("access_token")

	a := u.want(u.changeEmail(token, "New@example.com", password), 200, "")
	if a.str("email") != "old@example.com" || a.str("new_email") != "New@example.com" || a.body["email_verified"] != true {
		t.Errorf("got %s", a.text)
	}
	if n := u.count("outbox WHERE type = 'plaudit.user.verification-requested' AND actor = 'user/" + id + "' AND data = '{}'"); n != 2 { // the sign-up's, too
		t.Errorf("%d events of requests", n)
	}
	// Until then the old one is the account's.
	u.want(u.logIn("new@example.com", password), 401, "bad-credentials")
	u.want(u.logIn("old@example.com", password), 201, "")
	if me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, ""); me.text != a.text {
		t.Errorf("the account is %s", me.text)
	}
	due := u.want(u.mailLink(id, `{"kind": "verify"}`), 201, "")
	if due.str("email") != "New@example.com" {
		t.Errorf("the link is sent to %s", due.text)
	}
	link := u.link(id)
	u.want(u.verify(link), 200, "")
	me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, "")
	if me.str("email") != "New@example.com" || me.body["new_email"] != nil || me.body["mail_state"] != nil || me.body["email_verified"] != true || strings.Contains(me.text, "old@") {
		t.Errorf("the account is %s", me.text)
	}
	// The sessions stay.
	u.want(u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, session.str("refresh_token"))), 200, "")
	u.want(u.logIn("old@example.com", password), 401, "bad-credentials")
	u.want(u.logIn("new@example.com", password), 201, "")
	if n := u.count("outbox WHERE type = 'plaudit.user.email-changed' AND subject = 'user/" + id + "' AND data = '{}'"); n != 1 {
		t.Errorf("%d events of the change", n)
	}
	if n := u.count("outbox WHERE data LIKE '%@%'"); n != 0 {
		t.Errorf("%d events have an address", n)
	}
	u.want(u.verify(link), 404, "not-found")
	u.want(u.mailLink(id, `{"kind": "verify"}`), 409, "no-link-due")
	if got := u.former(id); got != "old@example.com" {
		t.Errorf("the former address is %q", got)
	}
	// Nobody else sees it.
	_, admin := u.person(access.Admin)
	if a := u.want(u.send("GET", "/v1/users/"+id, admin, ""), 200, ""); strings.Contains(a.text, "old@") {
		t.Errorf("an admin sees %s", a.text)
	}
	// Somebody else may have the old one, and the account takes it back once they have not.
	other := u.want(u.signUp("old@example.com"), 201, "").str("id")
	u.want(u.changeEmail(token, "OLD@example.com", password), 409, "address-taken")
	u.want(u.send("DELETE", "/v1/users/me", u.token(other, access.Member), ""), 204, "")
	u.want(u.changeEmail(token, "OLD@example.com", password), 200, "")

	u.at(time.Now().Add(8 * 24 * time.Hour))
	if got := u.former(id); got != "" {
		t.Errorf("after a week the former address is %q", got)
	}
	if err := u.service.Store.Sweep(t.Context()); err != nil || u.count("former_emails")+u.count("new_emails") != 0 {
		t.Errorf("addresses are left: %v", err)
	}
}

// A first address may have been a mistake, so no mail goes there.
func TestUnverifiedAddressIsNotKept(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("typo@example.com"), 201, "").str("id")
	token, link := u.token(id, access.Member), u.link(id)
	u.want(u.changeEmail(token, "jin@example.com", password), 200, "")
	u.want(u.verify(u.link(id)), 200, "")
	me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, "")
	if me.str("email") != "jin@example.com" || me.body["email_verified"] != true || u.former(id) != "" {
		t.Errorf("the account is %s, and was %q", me.text, u.former(id))
	}
	u.want(u.verify(link), 404, "not-found")
}

func TestChangeOfAddressIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(u *usersUnderTest, id, token string)
		want int // of the link
	}{
		"not by itself": {func(*usersUnderTest, string, string) {}, 200},
		"not by asking again": {func(u *usersUnderTest, _, token string) {
			u.want(u.changeEmail(token, "NEW@example.com", password), 200, "")
		}, 200},
		"by asking for another": {func(u *usersUnderTest, _, token string) {
			u.want(u.changeEmail(token, "x@example.com", password), 200, "")
		}, 404},
		"by asking for the present one": {func(u *usersUnderTest, _, token string) {
			u.want(u.changeEmail(token, "old@example.com", password), 200, "")
		}, 404},
		"by a change of the password": {func(u *usersUnderTest, _, token string) {
			u.want(u.send("PUT", "/v1/users/me/password", token, fmt.Sprintf(`{"current_password": %q, "password": "a third horse"}`, password)), 200, "")
		}, 404},
		"by a reset of the password": {func(u *usersUnderTest, id, _ string) {
			u.want(u.requestReset("old@example.com"), 202, "")
			u.want(u.reset(u.resetLink(id), nextPassword), 200, "")
		}, 404},
		"by an erasure": {func(u *usersUnderTest, id, token string) {
			u.want(u.send("DELETE", "/v1/users/me", token, ""), 204, "")
		}, 404},
		"by time": {func(u *usersUnderTest, id, token string) { u.at(time.Now().Add(61 * time.Minute)) }, 404},
	} {
		t.Run(name, func(t *testing.T) {
			u := startUsers(t, generous)
			id := u.want(u.signUp("old@example.com"), 201, "").str("id")
			u.want(u.verify(u.link(id)), 200, "")
			token := u.token(id, access.Member)
			u.want(u.changeEmail(token, "new@example.com", password), 200, "")
			link := u.link(id)
			c.end(u, id, token)
			u.want(u.verify(link), c.want, map[int]string{200: "", 404: "not-found"}[c.want])
			if n, verified := u.count("users WHERE email_key = 'new@example.com'"), c.want == 200; n == 1 != verified {
				t.Errorf("%d accounts have the new address", n)
			}
		})
	}
}

// Somebody may sign up with the address in the meantime.
func TestSwapChecksAgain(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("old@example.com"), 201, "").str("id")
	u.want(u.verify(u.link(id)), 200, "")
	token := u.token(id, access.Member)
	u.want(u.changeEmail(token, "new@example.com", password), 200, "")
	link := u.link(id)
	other := u.want(u.signUp("NEW@example.com"), 201, "").str("id")
	if a := u.want(u.verify(link), 409, "address-taken"); a.str("field") != "email" {
		t.Errorf("got %s", a.text)
	}
	if me := u.want(u.send("GET", "/v1/users/me", token, ""), 200, ""); me.str("email") != "old@example.com" || me.str("new_email") != "new@example.com" || u.former(id) != "" {
		t.Errorf("the account is %s", me.text)
	}
	u.want(u.send("DELETE", "/v1/users/me", u.token(other, access.Member), ""), 204, "")
	u.want(u.verify(link), 200, "")
}

// Two accounts may ask for the same address. It becomes the one's whose link is opened.
func TestAskingForAnAddressReservesNothing(t *testing.T) {
	u := startUsers(t, generous)
	a := u.want(u.signUp("a@example.com"), 201, "").str("id")
	b := u.want(u.signUp("b@example.com"), 201, "").str("id")
	first, links := u.link(a), map[string]string{}
	for _, id := range []string{a, b} {
		u.want(u.changeEmail(u.token(id, access.Member), "c@example.com", password), 200, "")
		links[id] = u.link(id)
	}
	u.want(u.verify(links[b]), 200, "")
	u.want(u.verify(links[a]), 409, "address-taken")
	// The link to the present address goes on.
	u.want(u.verify(first), 200, "")
}

func TestWhoMayChangeAnAddress(t *testing.T) {
	u := startUsers(t, limits(1000, 3))
	u.at(time.Now())
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.signUp("taken@example.com"), 201, "")
	token := u.token(id, access.Member)
	key, err := u.signer.Sign(access.Caller{User: id, Role: access.Service, Owner: access.Member, Key: "k", Scopes: []string{"read"}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u.want(u.changeEmail("", "x@example.com", password), 401, "unauthenticated")
	u.want(u.changeEmail(key, "x@example.com", password), 403, "forbidden")
	u.want(u.changeEmail(u.token("0198c0de-0000-7000-8000-000000000000", access.Member), "x@example.com", password), 401, "unauthenticated")
	if a := u.want(u.changeEmail(token, "x@example.com", "wrong password"), 401, "bad-credentials"); a.str("field") != "current_password" {
		t.Errorf("got %s", a.text)
	}
	// A wrong password counts as a failed login, with those of changes of the password.
	u.want(u.send("PUT", "/v1/users/me/password", token, `{"current_password": "wrong password", "password": "a third horse"}`), 401, "bad-credentials")
	for range 3 {
		u.want(u.changeEmail(token, "x@example.com", "wrong password"), 401, "bad-credentials")
	}
	if n := u.count("outbox WHERE type = 'plaudit.user.login-failed'"); n != 1 {
		t.Errorf("%d events of failed logins", n)
	}
	if n := u.count("new_emails"); n != 0 {
		t.Errorf("%d addresses were asked for", n)
	}
	// As at a sign-up, and the refusals count.
	u.want(u.changeEmail(token, "TAKEN@example.com", password), 409, "address-taken")
	u.want(u.changeEmail(token, "Admin@example.com", password), 409, "address-taken")
	u.want(u.changeEmail(token, "x@example.com", password), 200, "")
	if a := u.want(u.changeEmail(token, "y@example.com", password), 429, "too-many-requests"); a.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
	}
	u.from = "192.0.2.2:1"
	u.want(u.changeEmail(token, "y@example.com", password), 200, "")
	u.want(u.changeEmail(token, "z@example.com", password), 429, "too-many-requests") // 10 attempts of the session
}

func TestMailsToAnAddressAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	var tokens []string
	for i := range 6 {
		tokens = append(tokens, u.token(u.want(u.signUp(fmt.Sprintf("a%d@example.com", i)), 201, "").str("id"), access.Member))
	}
	for i := range 5 {
		u.want(u.changeEmail(tokens[i], "victim@example.com", password), 200, "")
	}
	u.want(u.changeEmail(tokens[5], "victim@example.com", password), 429, "too-many-requests")
	u.want(u.requestLink("victim@example.com"), 429, "too-many-requests")
}

func TestBodiesOfChangesOfAddress(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	token := u.token(id, access.Member)
	for field, values := range map[string][]string{
		"email":            {"", "null", "1", `""`, `"x"`, `"Jin <x@example.com>"`, `"x@example.com\r\nBcc: y@example.com"`, `"x@example.com\u0000"`},
		"current_password": {"", "null", "1", `""`},
		"password":         {`"another horse"`},
		"id":               {`"x"`},
	} {
		for _, value := range values {
			body := bodyWith(map[string]string{"email": `"x@example.com"`, "current_password": `"` + password + `"`}, field, value)
			if a := u.send("PUT", "/v1/users/me/email", token, body); a.status != 400 || a.kind() != "bad-request" || a.str("field") != field {
				t.Errorf("%s: %d %s, want 400 naming %s", body, a.status, a.text, field)
			}
		}
	}
	if n := u.count("new_emails"); n != 0 {
		t.Errorf("%d addresses were asked for", n)
	}
}

// A link goes to the address whose mails were counted: that of the newest request.
func TestALinkGoesWhereItWasAskedFor(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("own@example.com"), 201, "").str("id")
	token := u.token(id, access.Member)
	to := func() string { return u.want(u.mailLink(id, `{"kind": "verify"}`), 201, "").str("email") }
	ask := func() {
		u.want(u.send("POST", "/v1/email-verifications", "", `{"email": "own@example.com"}`), 202, "")
	}
	if got := to(); got != "own@example.com" {
		t.Errorf("after the sign-up it goes to %s", got)
	}
	u.want(u.changeEmail(token, "victim@example.com", password), 200, "")
	if got := to(); got != "victim@example.com" {
		t.Errorf("after a change it goes to %s", got)
	}
	ask()
	if got := to(); got != "own@example.com" {
		t.Errorf("after a request for the own one it goes to %s", got)
	}
	u.want(u.changeEmail(token, "victim@example.com", password), 200, "")
	if got := to(); got != "victim@example.com" {
		t.Errorf("after another change it goes to %s", got)
	}
	ask()
	u.want(u.verify(u.link(id)), 200, "")
	if got := to(); got != "victim@example.com" {
		t.Errorf("once the own one is verified it goes to %s", got)
	}
}

// Somebody who changes an address twice does not keep the owner from hearing of it.
func TestTheFirstFormerAddressIsKept(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("owner@example.com"), 201, "").str("id")
	u.want(u.verify(u.link(id)), 200, "")
	token := u.token(id, access.Member)
	for _, next := range []string{"thief@example.com", "thief2@example.com"} {
		u.want(u.changeEmail(token, next, password), 200, "")
		u.want(u.verify(u.link(id)), 200, "")
		if got := u.former(id); got != "owner@example.com" {
			t.Errorf("after %s the former address is %q", next, got)
		}
	}
	u.at(time.Now().Add(8 * 24 * time.Hour))
	u.want(u.changeEmail(token, "third@example.com", password), 200, "")
	u.want(u.verify(u.link(id)), 200, "")
	if got := u.former(id); got != "thief2@example.com" {
		t.Errorf("after a week the former address is %q", got)
	}
}

// Who signs up with somebody else's address cannot start its limits again.
func TestErasureKeepsTheLimitsOfAnAddressThatIsNotVerified(t *testing.T) {
	u := startUsers(t, generous)
	ask := func(status int, kind string) {
		t.Helper()
		for range 5 {
			u.want(u.send("POST", "/v1/email-verifications", "", `{"email": "victim@example.com"}`), status, kind)
		}
	}
	id := u.want(u.signUp("victim@example.com"), 201, "").str("id")
	ask(202, "")
	u.want(u.send("DELETE", "/v1/users/me", u.token(id, access.Member), ""), 204, "")
	u.want(u.signUp("victim@example.com"), 201, "")
	ask(429, "too-many-requests")
}
