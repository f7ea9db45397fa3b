// Package apitest has a stand-in for the part of Plaudit's API that notify asks, and a
// suite that the stand-in and the real API pass.
package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"plaudit/shared/id"
)

// Object is a JSON object of the API.
type Object = map[string]any

// Server is the stand-in.
type Server struct {
	URL, Key string

	mu      sync.Mutex
	users   map[string]Object // by id
	due     map[string]bool   // "<user> <kind>": links that are due
	boards  map[string]Object
	players map[string]Object // by "<board>/<player>"
	entries []Object
	tokens  int             // how many were made
	valid   map[string]bool // tokens
	fails   []int           // statuses of the next answers
	calls   []string        // "METHOD path?query"
	parents []string        // the traceparent of each call
}

// New starts the stand-in.
func New(t testing.TB) *Server {
	s := &Server{
		Key: "the-key-of-notify-itself", users: map[string]Object{}, due: map[string]bool{}, boards: map[string]Object{},
		players: map[string]Object{}, valid: map[string]bool{},
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// User adds or changes an account.
func (s *Server) User(id string, fields Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[id] == nil {
		s.users[id] = Object{
			"id": id, "email": id + "@example.com", "email_verified": true, "display_name": "Kim " + id[len(id)-2:], "role": "member",
			"locale": "en", "time_zone": "Asia/Seoul", "country": nil, "mail": Object{}, "mail_state": nil,
		}
	}
	for name, value := range fields {
		s.users[id][name] = value
	}
}

// Erase removes an account.
func (s *Server) Erase(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, id)
}

// Shown returns a field of an account.
func (s *Server) Shown(id, field string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[id][field]
}

// Due makes a link of a kind due for an account.
func (s *Server) Due(user, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due[user+" "+kind] = true
}

// Board adds a board.
func (s *Server) Board(id string, fields Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[id] = Object{
		"id": id, "title": "Board " + id, "combine": "sum", "order": "desc", "ties": "first", "periods": []any{"all"}, "time_zone": "Asia/Seoul",
		"unit": "points", "decimals": 0, "players": "any", "public": false, "state": "open",
	}
	for name, value := range fields {
		s.boards[id][name] = value
	}
}

// Player adds a player.
func (s *Server) Player(board, id string, fields Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Object{"board": board, "player": id, "display_name": nil, "country": nil, "attributes": Object{}, "user": nil, "status": "ranked", "note": nil}
	for name, value := range fields {
		p[name] = value
	}
	s.players[board+"/"+id] = p
}

// Entry adds an entry: the fields that an entry's event has.
func (s *Server) Entry(fields Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, fields)
}

// Fail makes the next answers fail with these statuses, those to /v1/tokens aside.
func (s *Server) Fail(statuses ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = append([]int{}, statuses...)
}

// Revoke ends every token.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.valid)
}

// Calls returns the requests so far, "METHOD path?query" each, and forgets them.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls, s.parents = nil, nil
	return calls
}

// Parents returns the traceparent of each request since the last Calls.
func (s *Server) Parents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parents)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.RequestURI())
	s.parents = append(s.parents, r.Header.Get("traceparent"))
	var in Object
	if r.Method != http.MethodGet {
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			problem(w, http.StatusBadRequest, "bad-request")
			return
		}
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	if r.URL.Path == "/v1/tokens" {
		if in["key"] != s.Key {
			problem(w, http.StatusUnauthorized, "bad-api-key")
			return
		}
		s.tokens++
		token := fmt.Sprintf("token-%d", s.tokens)
		s.valid[token] = true
		reply(w, http.StatusOK, Object{"access_token": token, "token_type": "Bearer", "expires_in": 900})
		return
	}
	if len(s.fails) > 0 {
		status := s.fails[0]
		s.fails = s.fails[1:]
		w.Header().Set("Content-Type", "text/html") // as the load balancer's own
		w.WriteHeader(status)
		return
	}
	if !s.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
		problem(w, http.StatusUnauthorized, "unauthenticated")
		return
	}
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && path[0] == "users" && len(path) == 2:
		object(w, s.users[path[1]])
	case r.Method == http.MethodPost && path[0] == "users" && len(path) == 3 && path[2] == "mail-links":
		s.link(w, path[1], in)
	case r.Method == http.MethodPut && path[0] == "users" && len(path) == 3 && path[2] == "mail-state":
		u := s.users[path[1]]
		switch state := in["state"]; {
		case u == nil:
			problem(w, http.StatusNotFound, "not-found")
		case state != "bounced" && state != "complained":
			problem(w, http.StatusBadRequest, "bad-request")
		default:
			if at, named := in["address"]; !named || at == id.Address(path[1], fmt.Sprint(u["email"])) {
				u["mail_state"] = state
			}
			reply(w, http.StatusOK, Object{"mail_state": u["mail_state"]})
		}
	case r.Method == http.MethodGet && path[0] == "boards" && len(path) == 2:
		object(w, s.boards[path[1]])
	case r.Method == http.MethodGet && path[0] == "boards" && len(path) == 4 && path[2] == "players":
		object(w, s.players[path[1]+"/"+path[3]])
	case r.Method == http.MethodGet && path[0] == "boards" && len(path) == 4 && path[2] == "entries":
		for _, e := range s.entries {
			if e["board"] == path[1] && e["id"] == path[3] {
				object(w, e)
				return
			}
		}
		object(w, nil)
	case r.Method == http.MethodGet && path[0] == "boards" && len(path) == 3 && path[2] == "entries":
		s.list(w, query.Get("limit"), query.Get("cursor"), func(e Object) bool {
			return e["board"] == path[1] && e["player"] == query.Get("player")
		})
	case r.Method == http.MethodGet && path[0] == "players" && len(path) == 3 && path[2] == "entries":
		s.list(w, query.Get("limit"), query.Get("cursor"), func(e Object) bool {
			p := s.players[fmt.Sprint(e["board"], "/", e["player"])]
			return p["user"] == path[1] && (query.Get("batch") == "" || e["batch"] == query.Get("batch"))
		})
	default:
		problem(w, http.StatusForbidden, "forbidden")
	}
}

func (s *Server) link(w http.ResponseWriter, user string, in Object) {
	u := s.users[user]
	kind, of := fmt.Sprint(in["kind"]), in["type"]
	switch {
	case u == nil:
		problem(w, http.StatusNotFound, "not-found")
	case !slices.Contains([]string{"verify", "reset", "unsubscribe"}, kind) || (kind == "unsubscribe") != (of != nil):
		problem(w, http.StatusBadRequest, "bad-request")
	case kind != "unsubscribe" && !s.due[user+" "+kind]:
		problem(w, http.StatusConflict, "nothing-due")
	default:
		url := s.URL + "/" + kind + "?token=for-" + user
		if kind == "unsubscribe" {
			url = s.URL + "/v1/unsubscribe/for-" + user + "-" + fmt.Sprint(of)
		}
		email := u["email"]
		if pending, ok := u["new_email"]; ok && kind == "verify" {
			email = pending
		}
		reply(w, http.StatusCreated, Object{"url": url, "email": email})
	}
}

// list answers with a page of the entries, the latest first.
func (s *Server) list(w http.ResponseWriter, limit, cursor string, has func(Object) bool) {
	var found []Object
	for _, e := range s.entries {
		if has(e) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b Object) int {
		return strings.Compare(fmt.Sprint(b["occurred_at"], b["id"]), fmt.Sprint(a["occurred_at"], a["id"]))
	})
	n, err := strconv.Atoi(limit)
	if err != nil || n < 1 || n > 100 {
		n = 50
	}
	from, _ := strconv.Atoi(cursor)
	page := Object{"items": append([]Object{}, found[min(from, len(found)):min(from+n, len(found))]...), "next": nil}
	if from+n < len(found) {
		page["next"] = strconv.Itoa(from + n)
	}
	reply(w, http.StatusOK, page)
}

func object(w http.ResponseWriter, o Object) {
	if o == nil {
		problem(w, http.StatusNotFound, "not-found")
		return
	}
	reply(w, http.StatusOK, o)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(Object{"type": "urn:plaudit:problem:" + kind, "status": status})
}
