package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// mailer returns an access token of the key of the function that sends mail.
func mailer(t *testing.T) string {
	t.Helper()
	return want(t, 200, "POST", "/v1/tokens", "", fmt.Sprintf(`{"key": %q}`, secret(t, "NotifyKey"))).text(t, "access_token")
}

// mailLink returns the path and the query of a link for a mail to the account.
func (a *account) mailLink(t *testing.T, body string) string {
	t.Helper()
	url := want(t, 201, "POST", "/v1/users/"+a.id+"/mail-links", mailer(t), body).text(t, "url")
	path, ok := strings.CutPrefix(url, stack.Info.URL)
	if !ok {
		t.Fatalf("the link is %s", url)
	}
	return path
}

// The matrix of the function that sends mail, which is a line for each route that admits
// it. Every other route of every deployable refuses it.
func TestWhatTheMailerMayDo(t *testing.T) {
	c, token := newCast(t), mailer(t)
	may := map[string]int{
		"GET /v1/users/{id}": 200, "POST /v1/users/{id}/mail-links": 201, "PUT /v1/users/{id}/mail-state": 200,
		"GET /v1/boards/{board}": 200, "GET /v1/boards/{board}/players/{player}": 200,
		"GET /v1/boards/{board}/entries": 200, "GET /v1/boards/{board}/entries/{entry}": 200,
		"GET /v1/players/{user}/entries": 403, // without batch
	}
	for _, r := range web.Routes {
		status, admitted := may[r.Method+" "+r.Pattern]
		for _, kind := range []string{"public", "private"} {
			if !admitted {
				if got := refused(t, r, c.boards[kind], token); got != 403 {
					t.Errorf("%s %s: got %d, want 403", r.Method, r.Pattern, got)
				}
				continue
			}
			path, body := c.request(t, r.Method, r.Pattern, kind, "mailer")
			if a := send(t, r.Method, path, token, body); a.status != status {
				t.Errorf("%s %s: got %d, want %d: %s", r.Method, path, a.status, status, a.body)
			}
		}
	}
	user := c.spare.id
	if a := want(t, 200, "GET", "/v1/users/"+user, token, ""); a.text(t, "email") != c.spare.email || a.text(t, "mail_state") != "bounced" {
		t.Errorf("an account is %s", a.body)
	}
	batch := want(t, 201, "POST", "/v1/entries/batch", c.people["owne"].token,
		fmt.Sprintf(`{"entries": [{"board": %q, "player": "p", "points": 1, "metadata": {"a": 1}}, {"board": %q, "player": "q", "points": 1}]}`, c.boards["private"], c.boards["private"]))
	a := want(t, 200, "GET", "/v1/players/"+user+"/entries?batch="+batch.text(t, "batch"), token, "")
	if items, _ := a.json(t, "items").([]any); len(items) != 1 || a.text(t, "items", 0, "id") != batch.text(t, "entries", 0, "id") || a.json(t, "items", 0, "metadata") != nil {
		t.Errorf("the user's entries of the batch are %s", a.body)
	}
	for caller, token := range c.tokens {
		if slices.Contains([]string{"none", "expi", "fore", "alg0", "hs25", "malf"}, caller) {
			continue
		}
		want(t, 403, "POST", "/v1/users/"+user+"/mail-links", token, `{"kind": "verify"}`)
		want(t, 403, "PUT", "/v1/users/"+user+"/mail-state", token, `{"state": "bounced"}`)
	}
}

// refused returns the status of a request that the mailer's token does not allow. The
// document has this refusal once for all routes, and so send would not accept it.
func refused(t *testing.T, r web.Route, board, token string) int {
	t.Helper()
	path := strings.NewReplacer("{board}", board, "{", "", "}", "").Replace(r.Pattern)
	in, err := http.NewRequest(r.Method, stack.Info.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	in.Header.Set("Content-Type", "application/json")
	in.Header.Set("Authorization", "Bearer "+token)
	out, err := client.Do(in)
	if err != nil {
		t.Fatal(err)
	}
	out.Body.Close()
	return out.StatusCode
}

// The link of an address is made when its mail is sent, and is in no log.
func TestLinksAreInNoLog(t *testing.T) {
	me := person(t, access.Member)
	for _, link := range []string{me.mailLink(t, `{"kind": "verify"}`), me.mailLink(t, `{"kind": "unsubscribe", "type": "other"}`)} {
		secret := link[strings.LastIndexAny(link, "/=")+1:]
		if strings.HasPrefix(link, "/v1/") {
			want(t, 200, "GET", link, "", "")
		} else {
			want(t, 200, "PUT", "/v1/email-verifications/"+secret, "", "")
		}
		if strings.Contains(stack.Log.String(), secret) {
			t.Errorf("the log has the secret of %s", link)
		}
	}
}
