package scores_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/trace"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// people are the callers in the tests, by their token.
type people map[string]access.Caller

func (p people) Verify(token string) (access.Caller, error) {
	if c, ok := p[token]; ok {
		return c, nil
	}
	return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid.")
}

var callers = people{
	"owner":     {User: "o", Role: access.Organizer},
	"writer":    {User: "w", Role: access.Member},
	"viewer":    {User: "v", Role: access.Member},
	"linked":    {User: "l", Role: access.Member},
	"stranger":  {User: "s", Role: access.Organizer},
	"auditor":   {User: "a", Role: access.Auditor},
	"admin":     {User: "root", Role: access.Admin},
	"key":       {User: "o", Role: access.Service, Key: "k1", Owner: access.Organizer, Scopes: []string{"entries:write"}, Boards: []string{"b"}},
	"reading":   {User: "o", Role: access.Service, Key: "k2", Owner: access.Organizer, Scopes: []string{"read"}},
	"boards":    {User: "o", Role: access.Service, Key: "k4", Owner: access.Organizer, Scopes: []string{"boards:write"}},
	"all":       {User: "o", Role: access.Service, Key: "k5", Owner: access.Organizer, Scopes: []string{"read", "entries:write", "boards:write"}},
	"elsewhere": {User: "o", Role: access.Service, Key: "k3", Owner: access.Organizer, Scopes: []string{"entries:write", "read", "boards:write"}, Boards: []string{"other"}},
}

// scoreStack is the three functions behind rules like the load balancer's,
// over a database of its own.
type scoreStack struct {
	*testing.T
	db                *pgtest.Database
	made              int // values that take has sent
	add, query, admin http.Handler
}

func startScores(t *testing.T) *scoreStack {
	t.Helper()
	d := pgtest.Scores(t)
	cfg := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: callers} }
	store := func(role string) *pgscores.Store { return pgscores.New(d.Open(role)) }
	return &scoreStack{
		T: t, db: d,
		add:   web.New(cfg("score-add"), scores.Add(&score.Adder{Ledger: store("score_add"), Now: time.Now})),
		query: web.New(cfg("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: time.Now})),
		admin: web.New(cfg("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")})),
	}
}

// send sends a request; headers are name, value, name, value.
func (s *scoreStack) send(token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
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
	h := s.admin
	if method == "GET" || method == "HEAD" {
		h = s.query
	} else if method == "POST" && strings.Contains(target, "/entries") {
		h = s.add
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// must sends a request, fails the test unless the answer has the status, and
// returns the body.
func (s *scoreStack) must(status int, token, method, target, body string, headers ...string) map[string]any {
	s.Helper()
	w := s.send(token, method, target, body, headers...)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != status {
		s.Fatalf("%s %s %s: got %d %s, want %d", method, target, body, w.Code, w.Body, status)
	}
	return out
}

// accepted makes every user accept who is proposed as a player.
func (s *scoreStack) accepted() {
	s.db.Owner().MustExec(`UPDATE players SET user_id = proposed_user, link_state = 'accepted' WHERE proposed_user IS NOT NULL`)
}

func faultFields(body string) string {
	var p struct {
		Field  string
		Errors []struct{ Field string }
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return err.Error()
	}
	if len(p.Errors) == 0 {
		return p.Field
	}
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return strings.Join(names, " ")
}

func (s *scoreStack) written() (out string) {
	s.Helper()
	err := s.db.Owner().Get(&out, `SELECT concat_ws(' ', (SELECT json_agg(b ORDER BY no) FROM boards b), (SELECT count(*) FROM entries),
		(SELECT count(*) FROM entry_keys), (SELECT count(*) FROM outbox), (SELECT json_agg(p ORDER BY id) FROM players p))`)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func TestARaceIsRanked(t *testing.T) {
	s := startScores(t)
	b := s.must(201, "owner", "POST", "/v1/boards", `{"id":"seoul-2026","title":"Seoul 2026","catalogue":{"full":42,"half":20}}`)
	if b["version"] != 1.0 || b["grace"] != "24h" || fmt.Sprint(b["owners"]) != "[o]" || b["min"] != 0.0 || b["max"] != nil {
		t.Errorf("the board is %v", b)
	}
	for i, e := range []string{
		`{"player":"101","reason":"full","occurred_at":"2026-04-05T12:30:00+09:00","profile":{"display_name":"Kim","country":"KR","attributes":{"age_group":"M40"}}}`,
		`{"player":"102","reason":"half","occurred_at":"2026-04-05T11:00:00+09:00"}`,
		`{"player":"103","reason":"full","occurred_at":"2026-04-05T12:10:00+09:00"}`,
	} {
		s.must(201, "owner", "POST", "/v1/boards/seoul-2026/entries", e, "Idempotency-Key", fmt.Sprint("finish-", i))
	}
	table := s.must(200, "", "GET", "/v1/boards/seoul-2026/standings?limit=2", "")
	items := table["items"].([]any)
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	if table["of"] != 3.0 || first["player"] != "103" || first["rank"] != 1.0 || second["player"] != "101" || second["rank"] != 2.0 ||
		second["display_name"] != "Kim" || second["reached_at"] != "2026-04-05T03:30:00Z" || second["attributes"].(map[string]any)["age_group"] != "M40" {
		t.Errorf("the table is %v", table)
	}
	if fmt.Sprint(table["period"]) != "map[end:<nil> name:all start:<nil> state:open]" || table["category"] != nil {
		t.Errorf("the period is %v", table["period"])
	}
	rest := s.must(200, "", "GET", "/v1/boards/seoul-2026/standings?period=all&cursor="+table["next"].(string), "")
	if last := rest["items"].([]any)[0].(map[string]any); last["player"] != "102" || last["rank"] != 3.0 || rest["next"] != nil {
		t.Errorf("the second page is %v", rest)
	}
	one := s.must(200, "", "GET", "/v1/boards/seoul-2026/standings/101", "")
	if one["rank"] != 2.0 || one["of"] != 3.0 || one["score"] != 42.0 || one["status"] != "ranked" || one["percentile"].(float64) < 66.66 || one["percentile"].(float64) > 66.67 {
		t.Errorf("one standing is %v", one)
	}
	empty := s.must(201, "owner", "POST", "/v1/boards", `{"id":"empty"}`)
	if table := s.must(200, "", "GET", "/v1/boards/empty/standings", ""); table["of"] != 0.0 || len(table["items"].([]any)) != 0 || table["next"] != nil {
		t.Errorf("the table of %v is %v", empty["id"], table)
	}
	if w := s.send("", "HEAD", "/v1/boards/empty", ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

// A replay returns the first answer byte for byte, whatever has happened since.
// It looks like the golden file; UPDATE_GOLDEN=1 rewrites that.
func TestReplayIsTheFirstAnswerByteForByte(t *testing.T) {
	s := startScores(t)
	s.db.Owner().MustExec(`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT timestamptz '2026-04-05 03:30:01.5Z' $$`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","catalogue":{"full":42,"half":20}}`)
	for _, c := range [][2]string{
		{"full", `{"player":"101","reason":"full","note":"<b>& \"é\"  ","tiebreak":-7,"occurred_at":"2026-04-05T12:30:00.1234567+09:00","late":false,"metadata":{ "z" : [1.50, null, "", "<\u2028>"], "a": 9007199254740993 },"profile":{"display_name":"Kim"}}`},
		{"minimal", `{"player":"102","reason":"half","occurred_at":"2026-04-05T03:00:00Z"}`},
	} {
		name, body := c[0], c[1]
		first := s.send("owner", "POST", "/v1/boards/b/entries", body, "Idempotency-Key", name)
		if first.Code != 201 || first.Header().Get("Idempotency-Replayed") != "" {
			t.Fatalf("got %d %s", first.Code, first.Body)
		}
		var out struct{ ID string }
		if err := json.Unmarshal(first.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/entry-" + name + ".golden.json"
		got := strings.ReplaceAll(first.Body.String(), out.ID, "ID")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("got\n%s\nwant\n%s (%v)", got, want, err)
		}
		again := func(body string, headers ...string) {
			t.Helper()
			w := s.send("owner", "POST", "/v1/boards/b/entries", body, headers...)
			if w.Code != 200 || w.Body.String() != first.Body.String() || w.Header().Get("Idempotency-Replayed") != "true" ||
				w.Header().Get("Location") != first.Header().Get("Location") {
				t.Errorf("got %d %v %s, want\n%s", w.Code, w.Header(), w.Body, first.Body)
			}
		}
		again(body, "Idempotency-Key", name)
		again(strings.Replace(body, `{`, `{"key":"`+name+`",`, 1))
		s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"101","points":5,"kind":"adjustment","note":"more","rename":true,"profile":{"display_name":"Lee"}}`)
		s.must(200, "owner", "PATCH", "/v1/boards/b", `{"catalogue":{"other":1},"title":"another","state":"closed"}`)
		again(body, "Idempotency-Key", name)
		s.must(200, "owner", "PATCH", "/v1/boards/b", `{"catalogue":{"full":42,"half":20},"state":"open"}`)
		if read := s.send("owner", "GET", first.Header().Get("Location"), ""); read.Body.String() != first.Body.String() {
			t.Errorf("read again it is %s", read.Body)
		}
		if w := s.send("owner", "POST", "/v1/boards/b/entries", `{"player":"101","reason":"half"}`, "Idempotency-Key", name); w.Code != 422 {
			t.Errorf("another request: %d %s", w.Code, w.Body)
		}
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","max":100}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"fixed","catalogue":{"full":42}}`)
	long := func(n int) string { return strings.Repeat("é", n) }
	before := s.written()
	for field, bodies := range map[string][]string{
		"player":      {`{"points":1}`, `{"player":1,"points":1}`, `{"player":null,"points":1}`, `{"player":"","points":1}`, `{"player":"a b","points":1}`, `{"player":".a","points":1}`, `{"player":"` + strings.Repeat("a", 65) + `","points":1}`},
		"points":      {`{"player":"p"}`, `{"player":"p","points":"1"}`, `{"player":"p","points":null}`, `{"player":"p","points":1.5}`, `{"player":"p","points":42.0}`, `{"player":"p","points":1e2}`, `{"player":"p","points":NaN}`, `{"player":"p","points":9007199254740992}`, `{"player":"p","points":-9007199254740992}`, `{"player":"p","points":99999999999999999999}`, `{"player":"p","points":101}`, `{"player":"p","points":-1}`, `{"player":"p","points":true}`, `{"player":"p","points":[1]}`},
		"reason":      {`{"player":"p","reason":1}`, `{"player":"p","reason":"x"}`, `{"player":"p","reason":""}`, `{"player":"p","points":1,"reason":"x"}`, `{"player":"p","points":1,"reason":null}`},
		"kind":        {`{"player":"p","points":1,"kind":1}`, `{"player":"p","points":1,"kind":""}`, `{"player":"p","points":1,"kind":"reversal"}`, `{"player":"p","points":1,"kind":"RESULT"}`, `{"player":"p","points":1,"kind":null}`},
		"note":        {`{"player":"p","points":1,"kind":"adjustment"}`, `{"player":"p","points":1,"note":""}`, `{"player":"p","points":1,"note":{}}`, `{"player":"p","points":1,"note":null}`, `{"player":"p","points":1,"note":"` + long(1001) + `"}`, `{"player":"p","points":1,"note":"a\u0000"}`, `{"player":"p","points":1,"note":"` + "\xff" + `"}`, `{"player":"p","points":1,"note":"\ud800"}`},
		"tiebreak":    {`{"player":"p","points":1,"tiebreak":"1"}`, `{"player":"p","points":1,"tiebreak":0.5}`, `{"player":"p","points":1,"tiebreak":null}`, `{"player":"p","points":1,"tiebreak":9007199254740992}`},
		"occurred_at": {`{"player":"p","points":1,"occurred_at":"1999-12-31T23:59:59Z"}`, `{"player":"p","points":1,"occurred_at":"2999-01-01T00:00:00Z"}`, `{"player":"p","points":1,"occurred_at":"2026-04-05"}`, `{"player":"p","points":1,"occurred_at":1}`, `{"player":"p","points":1,"occurred_at":null}`, `{"player":"p","points":1,"occurred_at":"2026-02-30T00:00:00Z"}`},
		"late":        {`{"player":"p","points":1,"late":"true"}`, `{"player":"p","points":1,"late":1}`, `{"player":"p","points":1,"late":null}`},
		"metadata":    {`{"player":"p","points":1,"metadata":1}`, `{"player":"p","points":1,"metadata":[]}`, `{"player":"p","points":1,"metadata":null}`, `{"player":"p","points":1,"metadata":"x"}`, `{"player":"p","points":1,"metadata":{"a":"` + strings.Repeat("a", 4096) + `"}}`},
		"metadata.a":  {`{"player":"p","points":1,"metadata":{"a":1,"a":2}}`, `{"player":"p","points":1,"metadata":{"a":"\u0000"}}`},
		"key":         {`{"player":"p","points":1,"key":""}`, `{"player":"p","points":1,"key":1}`, `{"player":"p","points":1,"key":null}`, `{"player":"p","points":1,"key":"a b"}`, `{"player":"p","points":1,"key":"é"}`, `{"player":"p","points":1,"key":"` + strings.Repeat("k", 129) + `"}`},
		"profile":     {`{"player":"p","points":1,"profile":1}`, `{"player":"p","points":1,"profile":null}`, `{"player":"p","points":1,"profile":[]}`},

		"profile.display_name": {`{"player":"p","points":1,"profile":{"display_name":1}}`, `{"player":"p","points":1,"profile":{"display_name":""}}`, `{"player":"p","points":1,"profile":{"display_name":"` + long(81) + `"}}`},
		"profile.country":      {`{"player":"p","points":1,"profile":{"country":"zz"}}`, `{"player":"p","points":1,"profile":{"country":"KOR"}}`, `{"player":"p","points":1,"profile":{"country":82}}`},
		"profile.user":         {`{"player":"p","points":1,"profile":{"user":""}}`, `{"player":"p","points":1,"profile":{"user":"a b"}}`, `{"player":"p","points":1,"profile":{"user":1}}`},
		"profile.attributes":   {`{"player":"p","points":1,"profile":{"attributes":[]}}`, `{"player":"p","points":1,"profile":{"attributes":"x"}}`},
		"profile.attributes.a": {`{"player":"p","points":1,"profile":{"attributes":{"a":1}}}`, `{"player":"p","points":1,"profile":{"attributes":{"a":""}}}`, `{"player":"p","points":1,"profile":{"attributes":{"a":"` + long(81) + `"}}}`},
		"profile.color":        {`{"player":"p","points":1,"profile":{"color":"x"}}`},
		"id":                   {`{"player":"p","points":1,"id":"x"}`},
		"body":                 {`[]`, `null`, `1`, `{"player":"p","points":1}{}`},
		"player points":        {`{}`, `{"player":1,"points":"1"}`},
	} {
		for _, body := range bodies {
			w := s.send("owner", "POST", "/v1/boards/b/entries", body)
			if w.Code != 400 || faultFields(w.Body.String()) != field {
				t.Errorf("%.200s: got %d %s, want a 400 for %s", body, w.Code, w.Body, field)
			}
		}
	}
	const good = `{"player":"p","points":1}`
	for _, c := range []struct {
		name, target, body string
		headers            []string
		status             int
		field              string
	}{
		{"an unknown parameter", "/v1/boards/b/entries?x=1", good, nil, 400, "x"},
		{"an empty key", "/v1/boards/b/entries", good, []string{"Idempotency-Key", ""}, 400, "Idempotency-Key"},
		{"a key with a space", "/v1/boards/b/entries", good, []string{"Idempotency-Key", "a b"}, 400, "Idempotency-Key"},
		{"a long key", "/v1/boards/b/entries", good, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, "Idempotency-Key"},
		{"two keys", "/v1/boards/b/entries", good, []string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, 400, "Idempotency-Key"},
		{"keys that differ", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"a"}`, []string{"Idempotency-Key", "b"}, 400, "key"},
		{"another content type", "/v1/boards/b/entries", good, []string{"Content-Type", "text/plain"}, 415, "Content-Type"},
		{"a huge body", "/v1/boards/b/entries", `{"note":"` + strings.Repeat("a", 1_000_000) + `"}`, nil, 413, "body"},
		{"no such board", "/v1/boards/none/entries", good, nil, 404, ""},
		{"an id with a slash", "/v1/boards/a%2Fb/entries", good, nil, 404, ""},
		{"an id with a NUL", "/v1/boards/b%00/entries", good, nil, 404, ""},
		{"an id with bad UTF-8", "/v1/boards/%ff/entries", good, nil, 404, ""},
		{"an id in capitals", "/v1/boards/B/entries", good, nil, 404, ""},
		{"a bad body is told before a missing board", "/v1/boards/none/entries", `{}`, nil, 400, "player points"},
		{"points beside a catalogue", "/v1/boards/fixed/entries", good, nil, 400, "points"},
		{"a reason it lacks", "/v1/boards/fixed/entries", `{"player":"p","reason":"half"}`, nil, 400, "reason"},
		{"an adjustment by a reason", "/v1/boards/fixed/entries", `{"player":"p","reason":"full","kind":"adjustment","note":"n"}`, nil, 400, "reason points"},
	} {
		w := s.send("owner", "POST", c.target, c.body, c.headers...)
		if w.Code != c.status || faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %.300s", c.name, w.Code, w.Body)
		}
	}
	if after := s.written(); after != before {
		t.Errorf("refusals wrote:\n%s\n%s", before, after)
	}
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"a"}`, "Idempotency-Key", "a")
}

// A problem passes the load balancer, however many faults a body has.
func TestProblemsAreShort(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id": "b", "title": "B"}`)
	var unknown strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&unknown, `"f%d": 1, `, i)
	}
	long := strings.Repeat("\u0001é", 100_000)
	quoted, err := json.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ target, body string }{
		"many faults": {"/v1/entries/batch", `{"entries": [` + strings.Repeat(`{"bord": "b", "plyer": "p", "pints": 1},`, 999) + `{"bord": "b"}]}`},
		"many names":  {"/v1/entries/batch", `{"entries": [{` + unknown.String() + `"board": "b", "player": "p", "points": 1}]}`},
		"a long name": {"/v1/entries/batch", `{"entries": [{` + string(quoted) + `: 1, "board": "b", "player": "p", "points": 1}]}`},
		"a long id":   {"/v1/entries/batch", `{"entries": [{"player": "p", "points": 1, "board": ` + string(quoted) + `}]}`},
		"a long kind": {"/v1/entries/batch", `{"entries": [{"board": "b", "player": "p", "points": 1, "kind": ` + string(quoted) + `}]}`},
	} {
		w := s.send("owner", "POST", c.target, c.body)
		if w.Code != 400 && w.Code != 404 || w.Body.Len() > 200_000 || !utf8.ValidString(w.Body.String()) || faultFields(w.Body.String()) == "" {
			t.Errorf("%s: %d, %d bytes: %.300s", name, w.Code, w.Body.Len(), w.Body)
		}
	}
}
