package users_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// A key's rights on boards, from the body that creates the key to the routes it
// is used on. Every service is the real one.
func TestWhatKeysMayDoOnBoards(t *testing.T) {
	u := startUsers(t, generous)
	ownerID, owner := u.loggedIn(access.Organizer)

	_, jwks := signing()
	verifier, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	d := pgtest.Scores(t)
	store := func(role string) *pgscores.Store { return pgscores.New(d.Open(role)) }
	cfg := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: verifier} }
	functions := map[string]http.Handler{
		"add":   web.New(cfg("score-add"), scores.Add(&score.Adder{Ledger: store("score_add"), Now: time.Now})),
		"query": web.New(cfg("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: time.Now})),
		"admin": web.New(cfg("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")})),
	}
	call := func(function, method, path, token, body string) answer {
		on := *u
		on.handler = functions[function]
		return on.send(method, path, token, body)
	}
	for _, id := range []string{"open", "closed-door"} {
		u.want(call("admin", "POST", "/v1/boards", owner, fmt.Sprintf(`{"id": %q, "title": "x", "public": %t}`, id, id == "open")), 201, "")
	}

	operations := []struct{ name, function, method, path, body string }{
		{"read public", "query", "GET", "/v1/boards/open", ""},
		{"read private", "query", "GET", "/v1/boards/closed-door", ""},
		{"add", "add", "POST", "/v1/boards/open/entries", `{"player": "p", "points": 1}`},
		{"add private", "add", "POST", "/v1/boards/closed-door/entries", `{"player": "p", "points": 1}`},
		{"change", "admin", "PATCH", "/v1/boards/open", `{"title": "y"}`},
		{"make", "admin", "POST", "/v1/boards", ""}, // the loop below makes the body
	}
	for i, c := range []struct {
		name, scopes, boards string
		role                 access.Role // of the owner at the exchange
		status               [6]int      // of the operations
	}{
		{"reads", `["read"]`, "null", access.Organizer, [6]int{200, 200, 403, 403, 403, 403}},
		{"adds", `["entries:write"]`, "null", access.Organizer, [6]int{200, 403, 201, 201, 403, 403}},
		{"changes boards", `["boards:write"]`, "null", access.Organizer, [6]int{200, 403, 403, 403, 200, 201}},
		{"everything", `["read", "entries:write", "boards:write"]`, "null", access.Organizer, [6]int{200, 200, 201, 201, 200, 201}},
		{"everything, on one board", `["read", "entries:write", "boards:write"]`, `["open"]`, access.Organizer, [6]int{200, 404, 201, 404, 200, 403}},
		{"everything, on a board to be made", `["read", "entries:write", "boards:write"]`, `["made-6"]`, access.Organizer, [6]int{200, 404, 403, 404, 403, 201}},
		// The owner still owns their boards, and cannot make more.
		{"everything, of a member now", `["read", "entries:write", "boards:write"]`, "null", access.Member, [6]int{200, 200, 201, 201, 200, 403}},
		{"everything, of an auditor now", `["read", "entries:write", "boards:write"]`, "null", access.Auditor, [6]int{200, 200, 403, 403, 403, 403}},
		{"reads one board, of an auditor now", `["read"]`, `["open"]`, access.Auditor, [6]int{200, 404, 403, 404, 403, 403}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u.exec(`UPDATE users SET role = 'organizer' WHERE id = $1`, ownerID)
			made := u.want(u.makeKey(owner, fmt.Sprintf(`{"name": "x", "scopes": %s, "boards": %s}`, c.scopes, c.boards)), 201, "")
			u.exec(`UPDATE users SET role = $2 WHERE id = $1`, ownerID, string(c.role))
			token := u.want(u.exchange(made.str("key")), 200, "").str("access_token")
			for n, o := range operations {
				body := o.body
				if o.name == "make" {
					body = fmt.Sprintf(`{"id": "made-%d", "title": "x"}`, i+1)
				}
				a := call(o.function, o.method, o.path, token, body)
				if a.status != c.status[n] {
					t.Errorf("%s: got %d %s, want %d", o.name, a.status, a.text, c.status[n])
				}
				if o.name == "read private" {
					// A list reveals nothing that the key may not see.
					list := u.want(call("query", "GET", "/v1/boards?mine=true&limit=1", token, ""), 200, "")
					if len(list.items("items")) == 0 && list.body["next"] != nil || strings.Contains(list.text, "closed-door") != (a.status == 200) {
						t.Errorf("its owner's boards are %s", list.text)
					}
				}
				if o.name == "add" && a.status == 201 && a.str("actor") != "key/"+made.str("id") {
					t.Errorf("the entry's actor is %s", a.str("actor"))
				}
			}
		})
	}
}
