package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/problem"
	"plaudit/shared/trace"
)

// tokens is a verifier for tests of the dispatcher alone.
type tokens map[string]access.Caller

func (t tokens) Verify(token string) (access.Caller, error) {
	if c, ok := t[token]; ok {
		return c, nil
	}
	// What comes beside an error must count for nothing.
	return access.Caller{User: "root", Role: access.Admin}, fault.New(fault.Unauthenticated, "The access token is not valid.")
}

// boardAdmin serves all of board-admin's routes with one handler.
func boardAdmin(h Handler, observe func(trace.Request)) http.Handler {
	endpoints := map[string]Endpoint{}
	for _, r := range Routes {
		if r.Deployable == "board-admin" {
			endpoints[r.Method+" "+r.Pattern] = Endpoint{Handle: h}
		}
	}
	cfg := Config{
		Deployable: "board-admin",
		Verifier: tokens{
			"member":    {User: "m", Role: access.Member},
			"organizer": {User: "o", Role: access.Organizer},
			"auditor":   {User: "u", Role: access.Auditor},
			"admin":     {User: "a", Role: access.Admin},
			"key":       {User: "o", Role: access.Service, Owner: access.Organizer, Key: "k", Scopes: []string{"boards:write"}},
		},
		Origins: []string{"https://example.org"},
	}
	if observe != nil {
		cfg.Observe = func(_ context.Context, served trace.Request) { observe(served) }
	}
	return New(cfg, endpoints)
}

func send(h http.Handler, method, target, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r = r.WithContext(trace.With(r.Context(), trace.Info{RequestID: "r1"}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestDispatcher(t *testing.T) {
	h := boardAdmin(func(w http.ResponseWriter, r *http.Request) error {
		return Reply(w, http.StatusOK, Param(r, "board"))
	}, nil)
	for _, c := range []struct {
		name, method, target, authorization string
		status                              int
		want                                string // part of the body, or of the Allow header
	}{
		{"a route", "PATCH", "/v1/boards/x", "Bearer member", 200, `"x"`},
		{"the scheme in any case", "PATCH", "/v1/boards/x", "bearer member", 200, `"x"`},
		{"an escaped slash stays in its segment", "PATCH", "/v1/boards/a%2Fb", "Bearer member", 200, `"a/b"`},
		{"dots are a name like any other", "PATCH", "/v1/boards/..", "Bearer member", 200, `".."`},
		{"no token on a route that needs one", "PATCH", "/v1/boards/x", "", 401, "unauthenticated"},
		{"an invalid token", "PATCH", "/v1/boards/x", "Bearer nope", 401, "unauthenticated"},
		{"an invalid token on an unknown path", "GET", "/v1/nothing", "Bearer nope", 401, "unauthenticated"},
		{"another scheme", "PATCH", "/v1/boards/x", "Basic bWU6bWU=", 401, "Authorization"},
		{"a role that does not suffice", "POST", "/v1/boards", "Bearer member", 403, "forbidden"},
		{"an auditor makes nothing", "POST", "/v1/boards", "Bearer auditor", 403, "forbidden"},
		{"a role that does", "POST", "/v1/boards", "Bearer organizer", 200, ""},
		{"an admin", "POST", "/v1/boards", "Bearer admin", 200, ""},
		{"a key has its owner's rights", "POST", "/v1/boards", "Bearer key", 200, ""},
		{"an unknown path", "POST", "/v1/boardsx", "", 404, "not-found"},
		{"two slashes", "PATCH", "/v1//boards/x", "", 404, "not-found"},
		{"a slash at the end", "PATCH", "/v1/boards/x/", "", 404, "not-found"},
		{"dots are not followed", "PATCH", "/v1/users/../boards/x", "", 404, "not-found"},
		{"another method", "DELETE", "/v1/boards/x", "", 405, "GET, HEAD, OPTIONS, PATCH"},
		{"a method in lower case", "patch", "/v1/boards/x", "", 405, "GET, HEAD, OPTIONS, PATCH"},
		{"the methods of a path", "OPTIONS", "/v1/boards/x/entries", "", 204, "OPTIONS, POST"},
		{"a fixed path is no {name}", "DELETE", "/v1/sessions/refresh", "", 405, "OPTIONS, POST"},
		{"the methods of an unknown path", "OPTIONS", "/v1/nothing", "", 404, "not-found"},
		{"a route of another deployable", "GET", "/v1/boards/x", "", 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := send(h, c.method, c.target, c.authorization)
			if w.Code != c.status || !strings.Contains(w.Body.String()+w.Header().Get("Allow"), c.want) {
				t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
			if w.Code >= 400 {
				var p problem.Problem
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != c.status || p.RequestID != "r1" ||
					w.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("not a problem: %v %s", err, w.Body)
				}
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == "Bearer") {
				t.Error("WWW-Authenticate belongs to a 401")
			}
		})
	}
}

func TestErrorsOfTheInsideStayInside(t *testing.T) {
	secret := "password=hunter2"
	for name, h := range map[string]Handler{
		"an error": func(http.ResponseWriter, *http.Request) error { return errors.New(secret) },
		"a cause": func(http.ResponseWriter, *http.Request) error {
			return &fault.Error{Kind: fault.DatabaseUnavailable, Cause: errors.New(secret)}
		},
		"a panic": func(http.ResponseWriter, *http.Request) error { panic(secret) },
	} {
		var served trace.Request
		w := send(boardAdmin(h, func(s trace.Request) { served = s }), "POST", "/v1/boards", "Bearer admin")
		if w.Code < 500 || strings.Contains(w.Body.String(), "hunter2") || served.Status != w.Code || served.Pattern != "/v1/boards" {
			t.Errorf("%s: %d %s, observed %+v", name, w.Code, w.Body, served)
		}
	}
}

func TestBrowsersOfOtherOriginsGetNoPermission(t *testing.T) {
	h := boardAdmin(func(w http.ResponseWriter, _ *http.Request) error { return Reply(w, 200, 1) }, nil)
	for origin, want := range map[string]string{"https://example.org": "https://example.org", "https://example.org.evil": "", "null": ""} {
		r := httptest.NewRequest("OPTIONS", "/v1/boards", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: got %q, want %q", origin, got, want)
		}
	}
}

func TestHandlersAndTableAgree(t *testing.T) {
	ok := Endpoint{Handle: func(http.ResponseWriter, *http.Request) error { return nil }}
	all := map[string]Endpoint{}
	for _, r := range Routes {
		if r.Deployable == "board-admin" {
			all[r.Method+" "+r.Pattern] = ok
		}
	}
	with := func(key string, e Endpoint) map[string]Endpoint {
		changed := maps.Clone(all)
		changed[key] = e
		return changed
	}
	for name, c := range map[string]struct {
		endpoints map[string]Endpoint
		panics    bool
	}{
		"all of its own":            {all, false},
		"one is missing":            {with("POST /v1/boards", Endpoint{}), true},
		"one is unknown":            {with("POST /v1/nothing", ok), true},
		"one of another deployable": {with("POST /v1/users", ok), true},
		"one of another is empty":   {with("POST /v1/nothing", Endpoint{}), true},
	} {
		func() {
			defer func() {
				if p := recover(); (p != nil) != c.panics {
					t.Errorf("%s: New panics with %v", name, p)
				}
			}()
			New(Config{Deployable: "board-admin"}, c.endpoints)
		}()
	}
}

// A route's renderer writes all its errors, the dispatcher's included. Those of
// other routes, and of paths without a route, stay JSON.
func TestRendererIsTheRoutes(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request, p problem.Problem) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(p.Status)
		_, err := fmt.Fprintf(w, "<h1>%s</h1>%s", p.Title, p.RequestID)
		return err
	}
	broken := Endpoint{Handle: func(http.ResponseWriter, *http.Request) error { return errors.New("x") }}
	h := New(Config{Deployable: "board-admin", Verifier: tokens{"admin": {User: "a", Role: access.Admin}, "member": {User: "m", Role: access.Member}}}, map[string]Endpoint{
		"POST /v1/boards": {Handle: func(http.ResponseWriter, *http.Request) error { panic("x") }, Render: page},
		"PATCH /v1/boards/{board}": {Handle: func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("ETag", "x")
			if Param(r, "board") == "busy" {
				return &fault.Error{Kind: fault.Busy, RetryAfter: time.Second}
			}
			return errors.New("password=hunter2")
		}, Render: page},
		"PATCH /v1/boards/{board}/players/{player}":          broken,
		"DELETE /v1/boards/{board}/players/{player}/profile": broken,
		"PUT /v1/players/me/links/{board}/{player}":          broken,
		"DELETE /v1/players/me/links/{board}/{player}":       broken,
	})
	const html, json = "text/html; charset=utf-8", "application/problem+json"
	for _, c := range []struct {
		method, target, authorization string
		status                        int
		contentType, body             string // the body's beginning
	}{
		{"PATCH", "/v1/boards/x", "Bearer admin", 500, html, "<h1>Internal error</h1>r1"},
		{"PATCH", "/v1/boards/busy", "Bearer admin", 503, html, "<h1>Service busy</h1>r1"},
		{"PATCH", "/v1/boards/x", "", 401, html, "<h1>Authentication required</h1>r1"},
		{"PATCH", "/v1/boards/x", "Bearer nope", 401, html, "<h1>Authentication required</h1>r1"},
		{"POST", "/v1/boards", "Bearer member", 403, html, "<h1>Permission denied</h1>r1"},
		{"POST", "/v1/boards", "Bearer admin", 500, html, "<h1>Internal error</h1>r1"},
		{"PATCH", "/v1/boards/x/players/y", "Bearer admin", 500, json, `{"type":"urn:plaudit:error:internal"`},
		{"PATCH", "/v1/boards/x/players/y", "", 401, json, `{"type":"urn:plaudit:error:unauthenticated"`},
		{"DELETE", "/v1/boards/x", "", 405, json, `{"type":"urn:plaudit:error:method-not-allowed"`},
		{"GET", "/", "", 404, json, `{"type":"urn:plaudit:error:not-found"`},
	} {
		w := send(h, c.method, c.target, c.authorization)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || !strings.HasPrefix(w.Body.String(), c.body) {
			t.Errorf("%s %s %q: got %d %v %s", c.method, c.target, c.authorization, w.Code, w.Header(), w.Body)
		}
		if h := w.Header(); h.Get("ETag") != "" || h.Get("Cache-Control") != "no-store" || (h.Get("Retry-After") == "1") != (c.status == 503) || (h.Get("WWW-Authenticate") == "Bearer") != (c.status == 401) {
			t.Errorf("%s %s: the headers are %v", c.method, c.target, h)
		}
	}
}

// What a request leaves in the log is the verified caller and the id of a
// board, and nothing else that a client can write.
func TestObservedActorAndBoardCannotBeForged(t *testing.T) {
	var served trace.Request
	h := boardAdmin(func(w http.ResponseWriter, r *http.Request) error { return Reply(w, 200, 1) }, func(s trace.Request) { served = s })
	for _, c := range []struct {
		method, target, authorization string
		actor, board                  string
	}{
		{"PATCH", "/v1/boards/seoul-2026", "Bearer admin", "user/a", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026", "Bearer key", "key/k", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026/players/Ada", "Bearer admin", "user/a", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026?board=x&actor=user/x", "Bearer admin", "user/a", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026", "", "", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026", "Bearer user/root", "", "seoul-2026"},
		{"PATCH", "/v1/boards/seoul-2026", "Bearer broken", "", "seoul-2026"},
		{"PATCH", "/v1/boards/Seoul", "Bearer admin", "user/a", ""},
		{"PATCH", "/v1/boards/..", "Bearer admin", "user/a", ""},
		{"PATCH", "/v1/boards/a%2Fb", "Bearer admin", "user/a", ""},
		{"PATCH", "/v1/boards/a%0A", "Bearer admin", "user/a", ""},
		{"PATCH", "/v1/boards/a%0A%7B%22actor%22:%22user/root%22%7D", "Bearer admin", "user/a", ""},
		{"PATCH", "/v1/boards/" + strings.Repeat("a", 63), "Bearer admin", "user/a", strings.Repeat("a", 63)},
		{"PATCH", "/v1/boards/" + strings.Repeat("a", 64), "Bearer admin", "user/a", ""},
		{"POST", "/v1/boards", "Bearer admin", "user/a", ""},
		{"GET", "/v1/nothing/seoul-2026", "Bearer admin", "user/a", ""},
		{"DELETE", "/v1/boards/seoul-2026", "Bearer admin", "user/a", ""},
	} {
		served = trace.Request{}
		send(h, c.method, c.target, c.authorization)
		if served.Method != c.method || served.Actor != c.actor || served.Board != c.board {
			t.Errorf("%s %s %q: observed %+v", c.method, c.target, c.authorization, served)
		}
	}
}

func TestQuery(t *testing.T) {
	read := func(raw string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		q := ReadQuery(r, "limit", "at")
		q.Int("limit", 50, 1, 100)
		return q.Err()
	}
	for raw, field := range map[string]string{
		"": "", "limit=1": "", "limit=100&at=": "", "at=a+b": "",
		"limit=0": "limit", "limit=101": "limit", "limit=": "limit", "limit=1.0": "limit", "limit=1&limit=2": "limit",
		"limit=99999999999999999999": "limit", "x=1": "x", "at=%00": "at", "at=%ff": "at", "at=%zz": "query", "a;b": "query",
	} {
		got := ""
		if f, ok := fault.As(read(raw)); ok {
			got = f.Field
		}
		if got != field {
			t.Errorf("%q names %q, want %q", raw, got, field)
		}
	}
}
