package users_test

import (
	"fmt"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// Every handler refuses a body above its route's limit, before it looks at anything else.
func TestBodiesAboveTheLimit(t *testing.T) {
	u := startUsers(t, generous)
	id, token := u.person(access.Admin)
	tried := 0
	for _, r := range web.Routes {
		if r.Body == 0 || r.Deployable != "users" {
			continue
		}
		tried++
		path, token, media := strings.ReplaceAll(r.Pattern, "{id}", id), token, "application/json"
		if r.For == web.Mailer {
			token = u.notify()
		}
		if strings.HasPrefix(r.Pattern, "/v1/unsubscribe/") || !strings.HasPrefix(r.Pattern, "/v1/") {
			media = web.FormType
		}
		a := u.sendAs(media, r.Method, path, token, strings.Repeat(" ", r.Body-1)+"{}")
		if a.status != 413 {
			t.Fatalf("%s %s: got %d %s, want 413", r.Method, r.Pattern, a.status, a.text)
		}
		if !a.page() && (u.want(a, 413, "too-large").str("field") != "body" || !strings.Contains(a.str("detail"), fmt.Sprintf("at most %d bytes", r.Body))) {
			t.Errorf("%s %s: %s", r.Method, r.Pattern, a.text)
		}
		if a := u.sendAs(media, r.Method, path, token, strings.Repeat(" ", r.Body-2)+"{}"); a.status == 413 {
			t.Errorf("%s %s refuses a body at its limit", r.Method, r.Pattern)
		}
	}
	if tried < 8 {
		t.Errorf("only %d routes were tried", tried)
	}
}

// The longest credentials fit, and so does the longest API key.
func TestFieldsAtTheirLimitsFit(t *testing.T) {
	u := startUsers(t, generous)
	email := strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("b", 60)+".", 3) + "org"
	longest := strings.Repeat("😀", 250)
	body := func(password string) string {
		return fmt.Sprintf(`{"email":%q,"password":"%s","display_name":"%s","locale":"en","time_zone":"America/Argentina/ComodRivadavia","country":"KR"}`,
			email, password, strings.Repeat("😀", 80))
	}
	u.want(u.send("POST", "/v1/users", "", body(longest+"secret")), 201, "")
	login := u.want(u.send("POST", "/v1/sessions", "", credentials(email, longest+"secret")), 201, "")
	u.want(u.send("PUT", "/v1/users/me/password", login.str("access_token"),
		fmt.Sprintf(`{"current_password":"%ssecret","password":"%sothers"}`, longest, longest)), 200, "")
	login = u.want(u.send("POST", "/v1/sessions", "", credentials(email, longest+"others")), 201, "")
	u.want(u.send("POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, login.str("refresh_token"))), 200, "")
}
