package users_test

import (
	"fmt"
	"testing"

	"plaudit/shared/access"
	pgusers "plaudit/shared/postgres/users"
)

// As in the scores database, see TestTimeoutWritesNothingAndIsNoOutage.
func TestTimeoutIsNoOutage(t *testing.T) {
	u := startUsers(t, generous)
	patient := u.service.Store
	_, admin := u.person(access.Admin)
	u.want(u.signUp("jin@example.com"), 201, "")
	refresh := fmt.Sprintf(`{"refresh_token": %q}`, u.want(u.logIn("jin@example.com", password), 201, "").str("refresh_token"))

	u.service.Store = pgusers.New(u.db.Hasty("users_service"))
	release := u.db.Hold(`LOCK TABLE users, sessions, refresh_tokens, attempts, api_keys, email_verifications, password_resets, password_reset_requests IN ACCESS EXCLUSIVE MODE`)
	defer release()
	for name, a := range map[string]answer{
		"a sign-up":      u.signUp("lee@example.com"),
		"a login":        u.logIn("jin@example.com", password),
		"a refresh":      u.send("POST", "/v1/sessions/refresh", "", refresh),
		"a profile":      u.send("GET", "/v1/users/me", admin, ""),
		"a change":       u.send("PATCH", "/v1/users/me", admin, `{"display_name": "Lee"}`),
		"a list":         u.send("GET", "/v1/users", admin, ""),
		"the probe":      u.send("GET", "/readyz", "", ""),
		"a new key":      u.send("POST", "/v1/keys", admin, `{"name": "k", "scopes": ["read"]}`),
		"an erasure":     u.send("DELETE", "/v1/users/me", admin, ""),
		"a link":         u.requestLink("jin@example.com"),
		"a verification": u.verify("x"),
		"a request":      u.requestReset("jin@example.com"),
		"a reset":        u.reset("x", nextPassword),
		"a new address":  u.changeEmail(admin, "x@example.com", password),
	} {
		t.Run(name, func(t *testing.T) {
			u.want(a, 503, "timeout")
			if a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
			}
		})
	}
	release()
	u.service.Store = patient
	u.want(u.send("POST", "/v1/sessions/refresh", "", refresh), 200, "")
	u.want(u.signUp("lee@example.com"), 201, "")
}
