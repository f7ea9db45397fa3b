package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// tokens stands for a verifier in tests of the dispatcher alone.
type tokens map[string]access.Caller

func (t tokens) Verify(token string) (access.Caller, error) {
	if c, ok := t[token]; ok {
		return c, nil
	}
	return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid.")
}

// boardAdmin serves board-admin's routes with one handler for all.
func boardAdmin(h Handler, observe func(pattern string, status int)) http.Handler {
	handlers := map[string]Handler{}
	for _, r := range Routes {
		if r.Deployable == "board-admin" {
			handlers[r.Method+" "+r.Pattern] = h
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
		cfg.Observe = func(_ context.Context, _, pattern string, status int, _ time.Duration) { observe(pattern, status) }
	}
	return New(cfg, handlers)
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
		return reply(w, http.StatusOK, param(r, "board"))
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
		{"no token where one is needed", "PATCH", "/v1/boards/x", "", 401, "unauthenticated"},
		{"a bad token", "PATCH", "/v1/boards/x", "Bearer nope", 401, "unauthenticated"},
		{"a bad token where there is nothing", "GET", "/v1/nothing", "Bearer nope", 401, "unauthenticated"},
		{"another scheme", "PATCH", "/v1/boards/x", "Basic bWU6bWU=", 401, "Authorization"},
		{"a role that does not suffice", "POST", "/v1/boards", "Bearer member", 403, "forbidden"},
		{"an auditor makes nothing", "POST", "/v1/boards", "Bearer auditor", 403, "forbidden"},
		{"a role that does", "POST", "/v1/boards", "Bearer organizer", 200, ""},
		{"an admin", "POST", "/v1/boards", "Bearer admin", 200, ""},
		{"a key has its owner's rights", "POST", "/v1/boards", "Bearer key", 200, ""},
		{"nothing there", "POST", "/v1/boardsx", "", 404, "not-found"},
		{"two slashes", "PATCH", "/v1//boards/x", "", 404, "not-found"},
		{"a slash at the end", "PATCH", "/v1/boards/x/", "", 404, "not-found"},
		{"dots are not followed", "PATCH", "/v1/users/../boards/x", "", 404, "not-found"},
		{"another method", "DELETE", "/v1/boards/x", "", 405, "GET, HEAD, OPTIONS, PATCH"},
		{"a method in lower case", "patch", "/v1/boards/x", "", 405, "GET, HEAD, OPTIONS, PATCH"},
		{"what it may", "OPTIONS", "/v1/boards/x/entries", "", 204, "OPTIONS, POST"},
		{"plain words are no name", "DELETE", "/v1/sessions/refresh", "", 405, "OPTIONS, POST"},
		{"what it may, nowhere", "OPTIONS", "/v1/nothing", "", 404, "not-found"},
		{"another's route", "GET", "/v1/boards/x", "", 500, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := send(h, c.method, c.target, c.authorization)
			if w.Code != c.status || !strings.Contains(w.Body.String()+w.Header().Get("Allow"), c.want) {
				t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
			if w.Code >= 400 {
				var p problem
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
		var pattern string
		var status int
		w := send(boardAdmin(h, func(p string, s int) { pattern, status = p, s }), "POST", "/v1/boards", "Bearer admin")
		if w.Code < 500 || strings.Contains(w.Body.String(), "hunter2") || status != w.Code || pattern != "/v1/boards" {
			t.Errorf("%s: %d %s, observed %s %d", name, w.Code, w.Body, pattern, status)
		}
	}
}

func TestBrowsersOfOtherOriginsGetNoPermission(t *testing.T) {
	h := boardAdmin(func(w http.ResponseWriter, _ *http.Request) error { return reply(w, 200, 1) }, nil)
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
	for name, handlers := range map[string]map[string]Handler{
		"one is missing": {},
		"one is unknown": {"POST /v1/nothing": func(http.ResponseWriter, *http.Request) error { return nil }},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s, and New takes it", name)
				}
			}()
			New(Config{Deployable: "board-admin"}, handlers)
		}()
	}
}

func TestQuery(t *testing.T) {
	read := func(raw string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		q := readQuery(r, "limit", "at")
		q.int("limit", 50, 1, 100)
		return q.err()
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
