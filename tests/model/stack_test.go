package model

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/trace"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// checks is the number of random histories that a plain run tries of
// everything, and twice the number for each narrow theme: about 40 seconds.
// MODEL_CHECKS or -rapid.checks asks for more. Every plain run tries the same
// histories, so that a failure is due to the change. -rapid.seed asks for
// others, and 0 for new ones each time.
const checks, seed = "40", "20261122"

func TestMain(m *testing.M) {
	n := checks
	if v := os.Getenv("MODEL_CHECKS"); v != "" {
		n = v
	}
	for name, value := range map[string]string{"rapid.checks": n, "rapid.seed": seed, "rapid.steps": "50", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m) // parses the command line, which takes precedence
}

// stack is the three functions behind the load balancer's rules, with a
// database of their own and a clock that stands still until it is set.
type stack struct {
	testing.TB
	db                *pgtest.Database
	add, query, admin http.Handler
	pools             []*sqlx.DB
	now               atomic.Pointer[time.Time]
	ahead             atomic.Int64 // offset from the machine's clock in nanoseconds, if now is not set
}

// The functions' pools are as large as the concurrency tests need.
func start(t testing.TB, connections int) *stack {
	t.Helper()
	s := &stack{TB: t, db: pgtest.Scores(t)}
	s.open(connections)
	t.Cleanup(s.close)
	return s
}

// open starts the functions.
func (s *stack) open(connections int) {
	s.Helper()
	config := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: tokens{}} }
	store := func(role string) *pgscores.Store {
		c := s.db.Config(role)
		c.MaxConns = connections
		db, err := postgres.Open(c)
		if err != nil {
			s.Fatal(err)
		}
		s.pools = append(s.pools, db)
		return pgscores.New(db)
	}
	s.add = web.New(config("score-add"), scores.Add(&score.Adder{Ledger: store("score_add"), Now: s.clock}))
	s.query = web.New(config("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: s.clock}))
	s.admin = web.New(config("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")}))
}

// close ends the functions' sessions.
func (s *stack) close() {
	for _, db := range s.pools {
		db.Close()
	}
	s.pools = nil
}

func (s *stack) clock() time.Time {
	if now := s.now.Load(); now != nil {
		return *now
	}
	return time.Now().Add(time.Duration(s.ahead.Load()))
}

// stop stops every clock, including the database's.
func (s *stack) stop(now time.Time) {
	s.Helper()
	if s.now.Load() == nil {
		s.exec(`CREATE TABLE clock (at timestamptz NOT NULL);
			INSERT INTO clock VALUES (now());
			CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz
			LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public AS 'SELECT at FROM clock'`)
	}
	s.now.Store(&now)
	s.exec(fmt.Sprintf(`UPDATE clock SET at = '%s'`, now.Format(time.RFC3339Nano)))
}

// accepted makes every user accept who is proposed as a player.
func (s *stack) accepted() {
	s.Helper()
	s.exec(`UPDATE players SET user_id = proposed_user, link_state = 'accepted' WHERE proposed_user IS NOT NULL`)
}

func (s *stack) exec(statement string) {
	s.Helper()
	if _, err := s.db.Owner().Exec(statement); err != nil {
		s.Fatal(err)
	}
}

// userID returns the id of a person of a history: a UUID like a user's that
// ends with the name's first three letters.
func userID(run int, name string) string {
	return fmt.Sprintf("019ab000-0000-7000-8000-%06d%x", run, name[:3])
}

// tokens parses tokens such as 17/owner: a name and the number of a history, so
// that no history meets the people of another.
type tokens struct{}

func (tokens) Verify(token string) (access.Caller, error) {
	number, name, ok := strings.Cut(token, "/")
	run, err := strconv.Atoi(number)
	if !ok || err != nil {
		return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid.")
	}
	user := func(name string) string { return userID(run, name) }
	switch name {
	case "organizer", "rival":
		return access.Caller{User: user(name), Role: access.Organizer}, nil
	case "auditor":
		return access.Caller{User: user(name), Role: access.Auditor}, nil
	case "admin":
		return access.Caller{User: user(name), Role: access.Admin}, nil
	case "key": // an organizer's key for everything
		return access.Caller{User: user("organizer"), Role: access.Service, Key: "key-" + number, Owner: access.Organizer,
			Scopes: []string{"entries:write", "boards:write", "read"}}, nil
	case "reader": // an organizer's key for reading
		return access.Caller{User: user("organizer"), Role: access.Service, Key: "reader-" + number, Owner: access.Organizer,
			Scopes: []string{"read"}}, nil
	}
	return access.Caller{User: user(name), Role: access.Member}, nil
}

// who returns the same caller for the model.
func who(run int, name string) Caller {
	if name == "" {
		return Caller{}
	}
	user := userID(run, name)
	switch name {
	case "organizer", "rival":
		return Caller{User: user, Role: "organizer", Actor: "user/" + user}
	case "auditor", "admin":
		return Caller{User: user, Role: name, Actor: "user/" + user}
	case "key":
		return Caller{userID(run, "organizer"), "organizer", fmt.Sprintf("key/key-%d", run), []string{"entries:write", "boards:write", "read"}}
	case "reader":
		return Caller{userID(run, "organizer"), "organizer", fmt.Sprintf("key/reader-%d", run), []string{"read"}}
	}
	return Caller{User: user, Role: "member", Actor: "user/" + user}
}

// send sends a request to the function that the load balancer's rules choose.
func (s *stack) send(token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	r = r.WithContext(trace.With(r.Context(), trace.Info{RequestID: "r1", Parent: trace.Parent("")}))
	path := strings.Trim(r.URL.Path, "/")
	h := s.admin
	switch {
	case method == "GET":
		h = s.query
	case method == "POST" && path != "v1/boards" &&
		(strings.HasSuffix(path, "/entries") || strings.HasSuffix(path, "/reversal") || path == "v1/entries/batch"):
		h = s.add
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problem is the body of an error.
type problem struct {
	Type   string
	Status int
	Detail string
	Field  string
	Errors []struct{ Field, Detail string }
}

func (p problem) kind() string { return p.Type[strings.LastIndexByte(p.Type, ':')+1:] }

// fields returns every field that the error names.
func (p problem) fields() []string {
	var list []string
	for _, e := range p.Errors {
		list = append(list, e.Field)
	}
	if len(list) == 0 && p.Field != "" {
		list = append(list, p.Field)
	}
	return list
}

func decodeProblem(text string) (problem, error) {
	var p problem
	err := json.Unmarshal([]byte(text), &p)
	return p, err
}

// kinds lists the kinds of problem for statuses that have only one.
var kinds = map[int]string{400: "bad-request", 401: "unauthenticated", 403: "forbidden", 404: "not-found"}

// fits returns an error unless the response is one of the refusals.
func fits(w *httptest.ResponseRecorder, refusals []Refusal) error {
	p, err := decodeProblem(w.Body.String())
	if err != nil || p.Status != w.Code || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
		return fmt.Errorf("want a refusal %+v as problem+json: %d %s", refusals, w.Code, w.Body)
	}
	for _, r := range refusals {
		if w.Code == r.Status && p.kind() == cmp.Or(r.Why, kinds[r.Status]) && named(p, r) && strings.Contains(p.Detail, r.Says) {
			return nil
		}
	}
	return fmt.Errorf("want one of the refusals %+v, got %d %s", refusals, w.Code, w.Body)
}

// named reports whether the problem names exactly the refusal's fields. A name
// covers what it contains: entries[1] covers entries[1].reverses.
func named(p problem, r Refusal) bool {
	covers := func(fault []string, field string) bool {
		return slices.ContainsFunc(fault, func(name string) bool { return field == name || strings.HasPrefix(field, name+".") })
	}
	for _, fault := range r.Faults {
		if !slices.ContainsFunc(p.fields(), func(field string) bool { return covers(fault, field) }) {
			return false
		}
	}
	return r.Faults == nil || !slices.ContainsFunc(p.fields(), func(field string) bool {
		return !slices.ContainsFunc(r.Faults, func(fault []string) bool { return covers(fault, field) })
	})
}
