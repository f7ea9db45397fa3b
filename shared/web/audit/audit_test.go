package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/trace"
	"plaudit/shared/web"
)

// The people of the tests. A name is also the token of its caller.
var people = map[string]access.Caller{
	"admin":     {User: "a", Role: access.Admin},
	"auditor":   {User: "au", Role: access.Auditor},
	"owner":     {User: "o", Role: access.Organizer},
	"former":    {User: "fo", Role: access.Organizer},
	"organizer": {User: "or", Role: access.Organizer},
	"member":    {User: "m", Role: access.Member},
	"player":    {User: "p", Role: access.Member},
	"unlinked":  {User: "un", Role: access.Member},

	"sender":         {User: "a", Role: access.Service, Owner: access.Admin, Key: "k1", Scopes: []string{access.ScopeEvents}},
	"demoted sender": {User: "o", Role: access.Service, Owner: access.Organizer, Key: "k2", Scopes: []string{access.ScopeEvents}},
	"admin's key":    {User: "a", Role: access.Service, Owner: access.Admin, Key: "k3", Scopes: []string{access.ScopeRead}},
	"admin's key x":  {User: "a", Role: access.Service, Owner: access.Admin, Key: "k4", Scopes: []string{access.ScopeRead}, Boards: []string{"x"}},
	"owner's key":    {User: "o", Role: access.Service, Owner: access.Organizer, Key: "k5", Scopes: []string{access.ScopeRead}},
	"owner's key y":  {User: "o", Role: access.Service, Owner: access.Organizer, Key: "k6", Scopes: []string{access.ScopeRead}, Boards: []string{"y"}},
	"owner's writer": {User: "o", Role: access.Service, Owner: access.Organizer, Key: "k7", Scopes: []string{access.ScopeEntries}},
}

type tokens map[string]access.Caller

func (t tokens) Verify(token string) (access.Caller, error) {
	if c, ok := t[token]; ok {
		return c, nil
	}
	return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid.")
}

// stack is both functions over one log.
type stack struct {
	*testing.T
	log      *audittest.Log          // nil if it is another one
	handlers map[string]http.Handler // by deployable

	mu  sync.Mutex
	now time.Time
}

func newStack(t *testing.T) *stack {
	log := audittest.New()
	s := newStackOn(t, log)
	s.log = log
	return s
}

func newStackOn(t *testing.T, log audit.Log) *stack {
	s := &stack{T: t, now: time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC), handlers: map[string]http.Handler{}}
	for deployable, endpoints := range map[string]map[string]web.Endpoint{
		"audit-add":   Add(&audit.Intake{Log: log, Now: s.clock}),
		"audit-query": Query(&audit.Reader{Log: log, Now: s.clock}),
	} {
		s.handlers[deployable] = web.New(web.Config{Deployable: deployable, Verifier: tokens(people)}, endpoints)
	}
	return s
}

func (s *stack) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// pass lets time pass.
func (s *stack) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func (s *stack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	deployable := "audit-add"
	if r.Method == "GET" || r.Method == "HEAD" {
		deployable = "audit-query"
	}
	s.handlers[deployable].ServeHTTP(w, r.WithContext(trace.With(r.Context(), trace.Info{RequestID: "r", Parent: parent})))
}

func (s *stack) send(token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// want sends a request and fails the test unless the answer has the status.
func (s *stack) want(status int, token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	w := s.send(token, method, target, body, headers...)
	if w.Code != status {
		s.Fatalf("%s %s as %s: %d %s, want %d", method, target, token, w.Code, w.Body, status)
	}
	return w
}

// refused checks that a request is refused with this status and field, and that nothing
// was written.
func (s *stack) refused(status int, field, token, method, target, body string, headers ...string) {
	s.Helper()
	before := s.log.Len()
	w := s.send(token, method, target, body, headers...)
	var p struct{ Field string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != status || p.Field != field {
		s.Errorf("%s %s as %s %.200s %v: %d %s, want %d naming %q", method, target, token, body, headers, w.Code, w.Body, status, field)
	}
	if s.log.Len() != before {
		s.Errorf("%s %.200s: a refused request wrote events", target, body)
	}
}

// page is a list as clients read it.
type page struct {
	Items []json.RawMessage
	Next  *string
}

func (p page) ids(t *testing.T) (ids []string) {
	t.Helper()
	for _, item := range p.Items {
		e, err := event.Decode(item)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func (s *stack) page(token, target string) (p page) {
	s.Helper()
	if err := json.Unmarshal(s.want(200, token, "GET", target, "").Body.Bytes(), &p); err != nil {
		s.Fatal(err)
	}
	return p
}

// all reads a list to its end and returns the ids of its events and how many pages it
// had.
func (s *stack) all(token, query string) (ids []string, pages int) {
	s.Helper()
	for target := "/v1/audit/events?" + query; ; pages++ {
		p := s.page(token, target)
		ids = append(ids, p.ids(s.T)...)
		if p.Next == nil {
			return ids, pages + 1
		}
		if pages > 1000 {
			s.Fatal("the list does not end")
		}
		target = "/v1/audit/events?cursor=" + *p.Next
	}
}

// ours writes events of ours, one a second.
func (s *stack) ours(events ...event.Event) {
	s.Helper()
	for _, e := range events {
		s.pass(time.Second)
		e.ID, e.Source, e.RecordedTime = fmt.Sprint(s.log.Len()), event.Scores, s.clock()
		e.LogID, e.DataContentType = event.LogID(e.Source, e.ID), "application/json"
		if e.JSON == nil {
			e.JSON = []byte(`{}`)
		}
		audittest.Write(s, s.log, e)
	}
}

const task = `"specversion": "1.0", "source": "/tracker", "type": "com.example.task.moved", "subject": "task/17"`

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%v\nwant\n%v", what, got, want)
	}
}
