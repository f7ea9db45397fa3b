package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// The matrix has the status of every route for every caller. The callers, in the
// order of the columns:
//
//	none                       no token
//	memb, orga                 a member and an organizer that the board does not list
//	owne, writ, view           the board's owner (an organizer), writer and viewer (members)
//	link, prop                 a member who has accepted a link to a player of the board, one who has not
//	read entr boar             the owner's API keys with one scope each: read, entries:write, boards:write
//	even                       an admin's API key with the scope events:write
//	othr                       the owner's API key with every scope, limited to another board
//	audi, admi                 an auditor, an admin
//	expi fore alg0 hs25 malf   an admin's token that has expired, is signed with another key, has the algorithm
//	                           none, is signed by HS256 with the public key; a text that is not a token
//
// Rows run from top to bottom: the last ones end sessions and accounts. For a route
// of a board, the second word names the board. On the private one, the link is the
// caller's own.
const matrix = `
                                                            none memb orga owne writ view link prop read entr boar even othr audi admi expi fore alg0 hs25 malf
POST   /v1/boards                                  -        401  403  201  201  403  403  403  403  403  403  201  403  403  403  201  401  401  401  401  401
GET    /v1/boards                                  all      200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards                                  mine     401  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}                          public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}                          private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
PATCH  /v1/boards/{board}                          public   401  403  403  200  403  403  403  403  403  403  200  403  403  403  200  401  401  401  401  401
PATCH  /v1/boards/{board}                          private  401  404  404  200  403  403  403  404  403  403  200  404  404  403  200  401  401  401  401  401
POST   /v1/boards/{board}/entries                  public   401  403  403  201  201  403  403  403  403  201  403  403  403  403  201  401  401  401  401  401
POST   /v1/boards/{board}/entries                  private  401  404  404  201  201  403  403  404  403  201  403  404  404  403  201  401  401  401  401  401
POST   /v1/boards/{board}/entries/{entry}/reversal public   401  403  403  201  201  403  403  403  403  201  403  403  403  403  201  401  401  401  401  401
POST   /v1/boards/{board}/entries/{entry}/reversal private  401  404  404  201  201  403  403  404  403  201  403  404  404  403  201  401  401  401  401  401
POST   /v1/entries/batch                           public   401  403  403  201  201  403  403  403  403  201  403  403  403  403  201  401  401  401  401  401
POST   /v1/entries/batch                           private  401  404  404  201  201  403  403  404  403  201  403  404  404  403  201  401  401  401  401  401
GET    /v1/boards/{board}/categories               public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/categories               private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/boards/{board}/players                  public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/players                  private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
PATCH  /v1/boards/{board}/players/{player}         public   401  403  403  200  200  403  403  403  403  200  403  403  403  403  200  401  401  401  401  401
PATCH  /v1/boards/{board}/players/{player}         private  401  404  404  200  200  403  403  404  403  200  403  404  404  403  200  401  401  401  401  401
GET    /v1/boards/{board}/players/{player}         public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/players/{player}         private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
DELETE /v1/boards/{board}/players/{player}/profile public   401  403  403  204  403  403  403  403  403  403  204  403  403  403  204  401  401  401  401  401
DELETE /v1/boards/{board}/players/{player}/profile private  401  404  404  204  403  403  403  404  403  403  204  404  404  403  204  401  401  401  401  401
GET    /v1/boards/{board}/entries/{entry}          public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/entries/{entry}          private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/boards/{board}/entries                  public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/entries                  private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/boards/{board}/periods                  public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/periods                  private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/boards/{board}/standings                public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/standings                private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/boards/{board}/standings/{player}       public   200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/boards/{board}/standings/{player}       private  404  404  404  200  200  200  200  404  200  403  403  404  404  200  200  401  401  401  401  401
GET    /v1/players/me/links                        -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
PUT    /v1/players/me/links/{board}/{player}       public   401  404  404  404  404  404  404  404  403  403  403  403  403  404  404  401  401  401  401  401
PUT    /v1/players/me/links/{board}/{player}       private  401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
DELETE /v1/players/me/links/{board}/{player}       public   401  404  404  404  404  404  404  404  403  403  403  403  403  404  404  401  401  401  401  401
DELETE /v1/players/me/links/{board}/{player}       private  401  204  204  204  204  204  204  204  403  403  403  403  403  204  204  401  401  401  401  401
GET    /v1/players/{user}/standings                -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/players/{user}/entries                  -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /v1/audit/events                            -        401  403  403  403  403  403  403  403  403  403  403  201  403  403  201  401  401  401  401  401
GET    /v1/audit/events                            all      401  400  400  400  400  400  400  400  400  403  403  403  400  200  200  401  401  401  401  401
GET    /v1/audit/events                            own      401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/audit/events                            public   401  403  403  200  403  403  403  403  200  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/audit/events                            private  401  403  403  200  403  403  403  403  200  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/audit/events                            player   401  403  403  200  403  403  200  403  200  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/audit/events/{logid}                    -        401  404  404  200  404  404  404  404  200  403  403  403  404  200  200  401  401  401  401  401
GET    /v1/audit/export                            all      401  400  400  400  400  400  400  400  400  403  403  403  400  200  200  401  401  401  401  401
GET    /v1/audit/export                            private  401  403  403  200  403  403  403  403  200  403  403  403  403  200  200  401  401  401  401  401
POST   /v1/users                                   -        201  201  201  201  201  201  201  201  201  201  201  201  201  201  201  401  401  401  401  401
GET    /v1/users                                   list     401  403  403  403  403  403  403  403  403  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/users                                   find     401  403  200  200  403  403  403  403  200  403  403  403  200  200  200  401  401  401  401  401
GET    /v1/users/me                                -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
PATCH  /v1/users/me                                -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
GET    /v1/users/{id}                              -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
PATCH  /v1/users/{id}                              -        401  403  403  403  403  403  403  403  403  403  403  403  403  403  200  401  401  401  401  401
POST   /v1/users/{id}/mail-links                   -        401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  401  401  401  401  401
PUT    /v1/users/{id}/mail-state                   -        401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  401  401  401  401  401
GET    /v1/unsubscribe/{token}                     -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /v1/unsubscribe/{token}                     -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /v1/sessions                                -        201  201  201  201  201  201  201  201  201  201  201  201  201  201  201  401  401  401  401  401
POST   /v1/sessions/refresh                        -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/sessions                                -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
DELETE /v1/sessions/{id}                           own      401  204  204  204  204  204  204  204  403  403  403  403  403  204  204  401  401  401  401  401
DELETE /v1/sessions/{id}                           others'  401  404  404  404  404  404  404  404  403  403  403  403  403  404  404  401  401  401  401  401
POST   /v1/keys                                    -        401  403  201  201  403  403  403  403  403  403  403  403  403  403  201  401  401  401  401  401
GET    /v1/keys                                    -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
DELETE /v1/keys/{id}                               others'  401  404  404  404  404  404  404  404  403  403  403  403  403  404  404  401  401  401  401  401
DELETE /v1/keys/{id}                               own      401  404  204  204  404  404  404  404  403  403  403  403  403  404  204  401  401  401  401  401
POST   /v1/tokens                                  -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /v1/email-verifications                     -        202  202  202  202  202  202  202  202  202  202  202  202  202  202  202  401  401  401  401  401
PUT    /v1/email-verifications/{token}             -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /v1/password-resets                         -        202  202  202  202  202  202  202  202  202  202  202  202  202  202  202  401  401  401  401  401
PUT    /v1/password-resets/{token}                 -        404  404  404  404  404  404  404  404  404  404  404  404  404  404  404  401  401  401  401  401
GET    /verify                                     -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /verify                                     -        404  404  404  404  404  404  404  404  404  404  404  404  404  404  404  401  401  401  401  401
GET    /reset                                      -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
POST   /reset                                      -        404  404  404  404  404  404  404  404  404  404  404  404  404  404  404  401  401  401  401  401
GET    /v1/openapi.json                            -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /.well-known/jwks.json                      -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /v1/openapi.json                            -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /healthz                                    -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /readyz                                     -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
GET    /readyz/scores                              -        200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  401  401  401  401  401
DELETE /v1/sessions                                -        401  204  204  204  204  204  204  204  403  403  403  403  403  204  204  401  401  401  401  401
PUT    /v1/users/me/email                          -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
PUT    /v1/users/me/password                       -        401  200  200  200  200  200  200  200  403  403  403  403  403  200  200  401  401  401  401  401
DELETE /v1/users/me                                -        401  204  204  204  204  204  204  204  403  403  403  403  403  204  204  401  401  401  401  401
`

// cast holds the callers of the matrix, and the resources that they call for.
type cast struct {
	tokens  map[string]string   // by caller
	people  map[string]*account // by caller, of callers with an account
	spare   *account            // is in no column
	boards  map[string]string   // ids of the boards `public` and `private`
	entries map[string]string   // an entry of each
	key     string              // spare's API key
	keyID   string
	session string // the id of one of spare's sessions
	logid   string // of an event of the private board

	unsubscribe string // the path of a link that ends mail to spare
}

func newCast(t *testing.T) *cast {
	c := &cast{tokens: map[string]string{"none": ""}, people: map[string]*account{}, boards: map[string]string{}, entries: map[string]string{}}
	for caller, role := range map[string]access.Role{
		"memb": access.Member, "orga": access.Organizer, "owne": access.Organizer, "writ": access.Member, "view": access.Member, "link": access.Member, "prop": access.Member, "audi": access.Auditor, "admi": access.Admin,
	} {
		c.people[caller] = person(t, role)
		c.tokens[caller] = c.people[caller].token
	}
	owner, root := c.people["owne"], c.people["admi"]
	c.spare = person(t, access.Organizer)
	c.keyID, c.key, _ = c.spare.key(t, []string{"read"})
	c.session = c.spare.newSession(t)
	for kind, public := range map[string]bool{"public": true, "private": false} {
		id := owner.board(t, fmt.Sprintf(`, "public": %t, "writers": [%q], "viewers": [%q]`, public, c.people["writ"].id, c.people["view"].id))
		c.boards[kind] = id
		c.entries[kind] = want(t, 201, "POST", "/v1/boards/"+id+"/entries", owner.token, `{"player": "p", "points": 1}`).text(t, "id")
		for _, player := range []string{"link", "prop"} {
			want(t, 201, "POST", "/v1/boards/"+id+"/entries", owner.token, fmt.Sprintf(`{"player": %q, "points": 1}`, player))
		}
		want(t, 200, "PATCH", "/v1/boards/"+id+"/players/p", owner.token, `{"note": "why"}`)
		for player, a := range map[string]*account{"p": c.spare, "link": c.people["link"], "prop": c.people["prop"]} {
			want(t, 200, "PATCH", "/v1/boards/"+id+"/players/"+player, owner.token, fmt.Sprintf(`{"user": %q}`, a.id))
			if player != "prop" {
				want(t, 200, "PUT", "/v1/players/me/links/"+id+"/"+player, a.token, "")
			}
		}
	}
	_, _, c.tokens["read"] = owner.key(t, []string{"read"})
	_, _, c.tokens["entr"] = owner.key(t, []string{"entries:write"})
	_, _, c.tokens["boar"] = owner.key(t, []string{"boards:write"})
	_, _, c.tokens["even"] = root.key(t, []string{"events:write"})
	_, _, c.tokens["othr"] = owner.key(t, []string{"read", "entries:write", "boards:write"}, owner.board(t, ""))
	c.logid = c.listed(t)
	c.unsubscribe = c.spare.mailLink(t, `{"kind": "unsubscribe", "type": "other"}`)
	false := forged(t, root)
	for caller, name := range map[string]string{"expi": "expired", "fore": "foreign", "alg0": "none", "hs25": "hs256", "malf": "malformed"} {
		c.tokens[caller] = false[name]
	}
	return c
}

// listed waits until the log has what the cast did to its boards, and returns the logid of
// an event of the private one.
func (c *cast) listed(t *testing.T) (logid string) {
	t.Helper()
	for kind, board := range c.boards {
		for _, subject := range []string{"board/" + board, "board/" + board + "/player/link"} {
			eventually(t, "the log has events of "+subject, func() bool {
				a := want(t, 200, "GET", "/v1/audit/events?subject="+subject, c.tokens["admi"], "")
				items, _ := a.json(t, "items").([]any)
				// Of the player: the entry, the proposal and the accepted link.
				there := len(items) > 0 && (strings.HasSuffix(subject, board) || len(items) > 2)
				if there && kind == "private" && strings.HasSuffix(subject, board) {
					logid = a.text(t, "items", 0, "logid")
				}
				return there
			})
		}
	}
	return logid
}

// newSession opens another session and returns its id.
func (a *account) newSession(t *testing.T) string {
	t.Helper()
	again := &account{email: a.email}
	again.logIn(t)
	sessions := want(t, 200, "GET", "/v1/sessions", again.token, "")
	for i := range 100 {
		if sessions.json(t, "items", i, "current") == true {
			return sessions.text(t, "items", i, "id")
		}
	}
	t.Fatalf("no session is the current one: %s", sessions.body)
	return ""
}

// request returns a valid request to a route, so that only the caller's rights
// decide its status.
func (c *cast) request(t *testing.T, method, pattern, kind, caller string) (path, body string) {
	t.Helper()
	self := c.people[caller] // nil for API keys and forged tokens
	path = strings.NewReplacer("{board}", c.boards[kind], "{entry}", c.entries[kind], "{player}", "p", "{user}", c.spare.id).Replace(pattern)
	switch method + " " + pattern {
	case "POST /v1/boards":
		return path, fmt.Sprintf(`{"id": %q}`, unique("matrix"))
	case "GET /v1/boards":
		if kind == "mine" {
			return path + "?mine=true", ""
		}
	case "PATCH /v1/boards/{board}":
		return path, `{"title": "Board"}`
	case "POST /v1/boards/{board}/entries":
		return path, `{"player": "p", "points": 1}`
	case "POST /v1/boards/{board}/entries/{entry}/reversal":
		// An entry can be reversed once, so each caller gets an entry of its own.
		entry := want(t, 201, "POST", "/v1/boards/"+c.boards[kind]+"/entries", c.people["owne"].token, `{"player": "p", "points": 1}`).text(t, "id")
		return "/v1/boards/" + c.boards[kind] + "/entries/" + entry + "/reversal", `{"note": "why"}`
	case "POST /v1/entries/batch":
		return path, fmt.Sprintf(`{"entries": [{"board": %q, "player": "p", "points": 1}]}`, c.boards[kind])
	case "PATCH /v1/boards/{board}/players/{player}":
		return path, `{"display_name": "P"}`
	case "PUT /v1/players/me/links/{board}/{player}", "DELETE /v1/players/me/links/{board}/{player}":
		if kind == "private" && self != nil {
			proposal := send(t, "PATCH", "/v1/boards/"+c.boards[kind]+"/players/own-"+caller, c.people["owne"].token, fmt.Sprintf(`{"user": %q}`, self.id))
			if proposal.status != 200 && proposal.status != 201 {
				t.Fatalf("a proposal: %d %s", proposal.status, proposal.body)
			}
			return "/v1/players/me/links/" + c.boards[kind] + "/own-" + caller, ""
		}
	case "POST /v1/audit/events":
		return path, fmt.Sprintf(`{"specversion": "1.0", "id": %q, "source": "/matrix", "type": "t", "subject": "task/1"}`, unique("matrix"))
	case "GET /v1/audit/events", "GET /v1/audit/export":
		switch user := c.spare.id; kind {
		case "public", "private":
			return path + "?subject=board/" + c.boards[kind] + "/*", ""
		case "player":
			return path + "?subject=board/" + c.boards["private"] + "/player/link", ""
		case "own":
			if self != nil {
				user = self.id
			}
			return path + "?subject=user/" + user, ""
		}
	case "GET /v1/audit/events/{logid}":
		return "/v1/audit/events/" + c.logid, ""
	case "POST /v1/users":
		return path, fmt.Sprintf(`{"email": "%s@example.com", "password": %q, "display_name": "New"}`, unique("matrix"), password)
	case "GET /v1/users":
		if kind == "find" {
			return path + "?email=" + c.spare.email, ""
		}
		return path + "?limit=1", ""
	case "PATCH /v1/users/me":
		return path, `{"display_name": "Somebody"}`
	case "GET /v1/users/{id}":
		return "/v1/users/" + c.spare.id, ""
	case "PATCH /v1/users/{id}":
		return "/v1/users/" + c.spare.id, `{"role": "organizer"}`
	case "POST /v1/users/{id}/mail-links":
		return "/v1/users/" + c.spare.id + "/mail-links", `{"kind": "unsubscribe", "type": "other"}`
	case "PUT /v1/users/{id}/mail-state":
		return "/v1/users/" + c.spare.id + "/mail-state", `{"state": "bounced"}`
	case "GET /v1/unsubscribe/{token}":
		return c.unsubscribe, ""
	case "POST /v1/unsubscribe/{token}":
		return c.unsubscribe, "List-Unsubscribe=One-Click"
	case "POST /v1/sessions":
		return path, fmt.Sprintf(`{"email": %q, "password": %q}`, c.spare.email, password)
	case "POST /v1/sessions/refresh":
		return path, fmt.Sprintf(`{"refresh_token": %q}`, c.spare.refresh)
	case "DELETE /v1/sessions/{id}":
		if kind == "own" && self != nil {
			return "/v1/sessions/" + self.newSession(t), ""
		}
		return "/v1/sessions/" + c.session, ""
	case "POST /v1/keys":
		return path, `{"name": "another program", "scopes": ["read"]}`
	case "DELETE /v1/keys/{id}":
		if kind == "own" && slices.Contains([]string{"orga", "owne", "admi"}, caller) {
			id, _, _ := self.key(t, []string{"read"})
			return "/v1/keys/" + id, ""
		}
		return "/v1/keys/" + c.keyID, ""
	case "POST /v1/tokens":
		return path, fmt.Sprintf(`{"key": %q}`, c.key)
	case "POST /v1/email-verifications", "POST /v1/password-resets":
		return path, fmt.Sprintf(`{"email": "%s@example.com"}`, unique("matrix"))
	case "PUT /v1/email-verifications/{token}":
		// A link works once, so each caller gets one of their own.
		return "/v1/email-verifications/" + person(t, access.Member).link(t), ""
	case "PUT /v1/password-resets/{token}":
		return "/v1/password-resets/" + strings.Repeat("A", 43), fmt.Sprintf(`{"password": %q}`, password)
	case "POST /verify":
		return path, url.Values{"token": {strings.Repeat("A", 43)}}.Encode()
	case "POST /reset":
		return path, url.Values{"token": {strings.Repeat("A", 43)}, "password": {password}, "again": {password}}.Encode()
	case "PUT /v1/users/me/email":
		return path, fmt.Sprintf(`{"current_password": %q, "email": "%s@example.com"}`, password, unique("matrix"))
	case "PUT /v1/users/me/password":
		return path, fmt.Sprintf(`{"current_password": %q, "password": %q}`, password, password)
	}
	return path, ""
}

// listsShowWhatOpens checks that lists over several boards contain a board's items
// for exactly the callers that may read the board.
func (c *cast) listsShowWhatOpens(t *testing.T, caller string) {
	t.Helper()
	for kind, board := range c.boards {
		opens := send(t, "GET", "/v1/boards/"+board, c.tokens[caller], "").status == 200
		for path, field := range map[string]string{
			"/v1/boards?q=" + board:                    "id",
			"/v1/players/" + c.spare.id + "/standings": "board",
			"/v1/players/" + c.spare.id + "/entries":   "board",
		} {
			a := want(t, 200, "GET", path, c.tokens[caller], "")
			listed := false
			items, _ := a.json(t, "items").([]any)
			for i := range items {
				listed = listed || a.text(t, "items", i, field) == board
			}
			if listed != opens {
				t.Errorf("%s: the %s board opens: %t, and is in %s: %t", caller, kind, opens, path, listed)
			}
		}
	}
}

// peopleShow checks that a board shows its people, who added its entries, and the users
// and notes of its players, to callers with rights on the board only.
func (c *cast) peopleShow(t *testing.T, caller string) {
	t.Helper()
	people := slices.Contains([]string{"owne", "writ", "view", "read", "audi", "admi"}, caller)
	owners := people && caller != "writ" && caller != "view"
	for kind, board := range c.boards {
		path := "/v1/boards/" + board
		if send(t, "GET", path, c.tokens[caller], "").status != 200 {
			continue
		}
		for at, fields := range map[string]map[string]bool{
			path:                                 {"owners": people, "writers": people, "viewers": people},
			path + "/players/p":                  {"user": people, "note": people, "proposed_user": owners, "link_state": owners},
			path + "/entries/" + c.entries[kind]: {"actor": people},
		} {
			a := want(t, 200, "GET", at, c.tokens[caller], "")
			for field, shown := range fields {
				if (a.json(t, field) != nil) != shown {
					t.Errorf("%s: GET %s shows %s: %t, want %t: %s", caller, at, field, !shown, shown, a.body)
				}
			}
		}
		for _, list := range []string{path + "/entries", path + "/players", "/v1/players/" + c.spare.id + "/entries"} {
			for _, csv := range []string{"application/json", "text/csv"} {
				a := want(t, 200, "GET", list, c.tokens[caller], "", "Accept", csv)
				if !people && (strings.Contains(a.body, "user/") || strings.Contains(a.body, "why") || strings.Contains(a.body, c.people["owne"].id) || strings.Contains(a.body, c.people["prop"].id)) {
					t.Errorf("%s: GET %s shows the board's people: %s", caller, list, a.body)
				}
			}
		}
	}
}

func TestMatrix(t *testing.T) {
	rows := strings.Split(strings.Trim(matrix, "\n"), "\n")
	callers := strings.Fields(rows[0])
	var inTable []string
	c := newCast(t)
	for _, caller := range callers[:len(callers)-5] {
		c.listsShowWhatOpens(t, caller)
		c.peopleShow(t, caller)
	}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		method, pattern, kind := cells[0], cells[1], cells[2]
		inTable = append(inTable, strings.Join(cells[:3], " "))
		if len(cells) != 3+len(callers) {
			t.Fatalf("a row has %d cells, not %d: %s", len(cells)-3, len(callers), row)
		}
		for i, caller := range callers {
			token, known := c.tokens[caller]
			if !known {
				t.Fatalf("no caller is named %s", caller)
			}
			path, body := c.request(t, method, pattern, kind, caller)
			var headers []string
			if !strings.HasPrefix(body, "{") {
				headers = []string{"Content-Type", web.FormType}
			}
			a := send(t, method, path, token, body, headers...)
			if status := cells[3+i]; strconv.Itoa(a.status) != status {
				t.Errorf("%s %s %s as %s: got %d, want %s: %s", method, pattern, kind, caller, a.status, status, a.body)
			}
			if pattern == "/v1/sessions/refresh" && a.status == 200 {
				c.spare.refresh = a.text(t, "refresh_token")
			}
		}
	}
	for _, r := range web.Routes {
		kinds := []string{""}
		if strings.Contains(r.Pattern, "{board}") {
			kinds = []string{" public", " private"}
		}
		for _, kind := range kinds {
			row := r.Method + " " + r.Pattern + kind
			if !slices.ContainsFunc(inTable, func(have string) bool { return have == row || strings.HasPrefix(have, row+" ") }) {
				t.Errorf("%s has no row", row)
			}
		}
	}
	for _, row := range inTable {
		if !slices.ContainsFunc(web.Routes, func(r web.Route) bool { return strings.HasPrefix(row, r.Method+" "+r.Pattern+" ") }) {
			t.Errorf("%s is in the matrix, but is not a route", row)
		}
	}
}
