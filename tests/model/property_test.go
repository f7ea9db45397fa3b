package model

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plaudit/shared/web"
)

// machine drives one random history through the handlers and the model.
type machine struct {
	*stack
	w        *World
	run      int
	requests []request      // accepted requests, to be repeated
	walks    []walk         // lists that were begun
	tally    map[string]int // responses by route, status and kind of problem
	done     []string       // the log of a failure
	theme
	zones []string // zones whose clocks change about then
}

// request is a request that added something.
type request struct {
	who, route, target, body string
	header                   string
	single                   bool
	items                    []Item
}

// operations lists what can be done on each route.
var operations = map[string]func(*machine, *rapid.T){
	"POST /v1/boards":                                    (*machine).createBoard,
	"GET /v1/boards":                                     (*machine).listBoards,
	"GET /v1/boards/{board}":                             (*machine).getBoard,
	"PATCH /v1/boards/{board}":                           (*machine).changeBoard,
	"GET /v1/boards/{board}/periods":                     (*machine).listPeriods,
	"GET /v1/boards/{board}/categories":                  (*machine).listCategories,
	"GET /v1/boards/{board}/players":                     (*machine).listPlayers,
	"PATCH /v1/boards/{board}/players/{player}":          (*machine).changePlayer,
	"GET /v1/boards/{board}/players/{player}":            (*machine).getPlayer,
	"DELETE /v1/boards/{board}/players/{player}/profile": (*machine).erasePlayer,
	"POST /v1/boards/{board}/entries":                    (*machine).addEntry,
	"POST /v1/entries/batch":                             (*machine).addBatch,
	"POST /v1/boards/{board}/entries/{entry}/reversal":   (*machine).reverse,
	"GET /v1/boards/{board}/entries":                     (*machine).listEntries,
	"GET /v1/boards/{board}/entries/{entry}":             (*machine).getEntry,
	"GET /v1/boards/{board}/standings":                   (*machine).listStandings,
	"GET /v1/boards/{board}/standings/{player}":          (*machine).getStanding,
	"GET /v1/players/{user}/standings":                   (*machine).listUserStandings,
	"GET /v1/players/{user}/entries":                     (*machine).listUserEntries,
	"GET /v1/players/me/links":                           (*machine).listLinks,
	"PUT /v1/players/me/links/{board}/{player}":          (*machine).acceptLink,
	"DELETE /v1/players/me/links/{board}/{player}":       (*machine).endLink,
}

// Every route of the scores has an operation, and every operation a route.
func TestOperationsCoverRoutes(t *testing.T) {
	var routes []string
	for _, r := range web.Routes {
		scores := slices.Contains([]string{"score-add", "score-query", "board-admin"}, r.Deployable)
		if scores && r.Pattern != "/readyz/scores" { // which reads no row
			routes = append(routes, r.Method+" "+r.Pattern)
		}
	}
	slices.Sort(routes)
	if have := slices.Sorted(maps.Keys(operations)); !slices.Equal(have, routes) {
		t.Errorf("operations are %q, and routes %q", have, routes)
	}
	if have := slices.Sorted(maps.Keys(everything.shares)); !slices.Equal(have, routes) {
		t.Errorf("the shares of everything are %q, and routes %q", have, routes)
	}
}

// The API's responses are the model's, whatever is done in whatever order.
func TestAgainstTheModel(t *testing.T) { everything.check(t) }

// The same holds near the daily cap.
func TestDailyCapAgainstTheModel(t *testing.T) { days.check(t) }

// The same holds near the limits of sums.
func TestRangeAgainstTheModel(t *testing.T) { sums.check(t) }

// The same holds if staff adjust best and last results, before and after them.
func TestAdjustmentsAgainstTheModel(t *testing.T) { corrections.check(t) }

// The same holds near the floor.
func TestFloorAgainstTheModel(t *testing.T) { wallets.check(t) }

// The same holds for drafts of past seasons, and after they are opened.
func TestDraftsAgainstTheModel(t *testing.T) { drafts.check(t) }

// The same holds if entries bring names.
func TestNamesAgainstTheModel(t *testing.T) { names.check(t) }

// check tries histories of the theme.
func (h theme) check(t *testing.T) {
	s := start(t, 4)
	run := 0
	tally := map[string]int{}
	defer func() {
		for _, what := range slices.Sorted(maps.Keys(tally)) {
			t.Logf("%6d %s", tally[what], what)
		}
	}()
	shares := []func(*machine, *rapid.T){(*machine).jump, (*machine).repeat}
	for _, route := range slices.Sorted(maps.Keys(h.shares)) {
		for range h.shares[route] {
			shares = append(shares, operations[route])
		}
	}
	if h.narrow { // it takes fewer histories to cover the theme
		asked := flag.Lookup("rapid.checks").Value
		n, err := strconv.Atoi(asked.String())
		if err != nil {
			t.Fatal(err)
		}
		defer asked.Set(strconv.Itoa(n))
		if err := asked.Set(strconv.Itoa((n + 1) / 2)); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &machine{stack: s, run: run, w: &World{}, tally: tally, theme: h}
		defer func() {
			if t.Failed() {
				t.Logf("what was done:\n%s", strings.Join(m.done, "\n"))
			}
		}()
		begin := pick(t, "beginning", beginnings)
		m.zones = begin.zones
		m.set(begin.at)
		m.createBoardAs(t, "organizer", "a")
		t.Repeat(map[string]func(*rapid.T){"do": func(t *rapid.T) { pick(t, "operation", shares)(m, t) }})
		m.sweep(t)
		m.outbox(t)
	})
}

// outbox checks the events: each entry has one, and those of each subject are numbered
// 1, 2, 3 … in the order of strictly increasing times.
func (m *machine) outbox(t *rapid.T) {
	var wrong []string
	err := m.db.Owner().Select(&wrong, `
		SELECT 'the events of ' || subject || ' have the numbers ' || string_agg(coalesce(subjectseq::text, 'none'), ',' ORDER BY recordedtime)
		FROM (SELECT *, row_number() OVER (PARTITION BY subject ORDER BY recordedtime) AS n, lag(recordedtime) OVER (PARTITION BY subject ORDER BY recordedtime) AS before
			FROM outbox WHERE kind = 'event' AND entry IS NULL) o
		GROUP BY subject
		HAVING bool_or(subjectseq IS DISTINCT FROM n OR recordedtime = before)
		UNION ALL
		SELECT 'entry ' || coalesce(e.id, o.entry) || ' has ' || coalesce(o.events, 0) || ' events'
		FROM entries e
		FULL JOIN (SELECT entry, count(*) AS events FROM outbox WHERE entry IS NOT NULL GROUP BY entry) o ON o.entry = e.id
		WHERE e.id IS NULL OR o.events IS DISTINCT FROM 1
		UNION ALL
		SELECT 'player ' || p.id || ' has an entry and an event at one time'
		FROM outbox o
		JOIN boards b ON b.id = split_part(o.subject, '/', 2)
		JOIN players p ON p.board = b.no AND p.id = split_part(o.subject, '/', 4)
		JOIN entries e ON e.board = p.board AND e.player = p.id AND e.recorded_at = o.recordedtime`)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 {
		m.fail(t, "%s", strings.Join(wrong, "\n"))
	}
}

func (m *machine) set(now time.Time) {
	m.w.Now = now
	m.stop(now)
}

func (m *machine) jump(t *rapid.T) {
	by := pick(t, "by", []time.Duration{
		time.Second, time.Microsecond, 3 * time.Minute, time.Hour, 11 * time.Hour, 24 * time.Hour, 25 * time.Hour, 49 * time.Hour, 8 * 24 * time.Hour, 32 * 24 * time.Hour,
	})
	to := m.w.Now.Add(by)
	// Advance exactly to, or to just before, a moment when something closes.
	if len(m.w.Entries) > 0 && chance(t, 30, "to a closing") {
		e := pick(t, "of entry", m.w.Entries)
		b := m.w.Board(e.Board)
		s := pick(t, "of run", append(slices.Clone(e.Runs), b.Runs(m.w.Now)...))
		if at := b.closing(s).Add(-time.Duration(uniform(t, "before", 2)) * time.Microsecond); !s.End.IsZero() && at.After(m.w.Now) {
			to = at
		}
	}
	m.set(to)
	m.log("the clock jumps to %s", m.w.Now.Format(time.RFC3339Nano))
}

// fail ends the history. Its message is always the same, because rapid shrinks
// only failures that repeat exactly, and ids differ.
func (m *machine) fail(t *rapid.T, format string, args ...any) {
	t.Helper()
	m.log("AND THEN: "+format, args...)
	t.Fatal("the response is not the model's; see below")
}

func (m *machine) log(format string, args ...any) {
	m.done = append(m.done, fmt.Sprintf(format, args...))
}

// call sends a request and logs it, so that a shrunk failure reads as a list of
// requests.
func (m *machine) call(name, method, target string, body any, headers ...string) *httptest.ResponseRecorder {
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	return m.callText(name, method, target, text, headers...)
}

func (m *machine) callText(name, method, target, text string, headers ...string) *httptest.ResponseRecorder {
	// The limit of proposals in a day has tests of its own.
	m.exec(`DELETE FROM link_proposals`)
	w := m.send(m.token(name), method, target, text, headers...)
	answer := fmt.Sprint(method, " ", shape(target), " ", w.Code)
	if p, err := decodeProblem(w.Body.String()); err == nil && p.Type != "" {
		answer += " " + p.kind()
	}
	m.tally[answer]++
	m.log("as %q: %s %s %s %s → %d %.400s", name, method, target, text, strings.Join(headers, " "), w.Code, strings.TrimSpace(w.Body.String()))
	return w
}

// shape returns a path without its names.
func shape(target string) string {
	path, _, _ := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	for i := 3; i < len(segments); i += 2 {
		if segments[i] != "batch" {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

func (m *machine) token(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%d/%s", m.run, name)
}

// id returns the id of a board of this history.
func (m *machine) id(name string) string { return fmt.Sprintf("m%d-%s", m.run, name) }

// user returns the id of a person of this history.
func (m *machine) user(name string) string { return userID(m.run, name) }

// callers mostly have enough rights.
var callers = []string{"organizer", "admin", "writer", "key", "organizer", "organizer", "organizer", "organizer", "organizer", "organizer",
	"organizer", "organizer", "organizer", "rival", "viewer", "linked", "linked", "auditor", "reader", ""}

func drawCaller(t *rapid.T) string { return pick(t, "as", callers) }

// drawWriter draws a caller for operations that few may do.
func (m *machine) drawWriter(t *rapid.T) string {
	if m.stray(t, 30, "anybody") {
		return drawCaller(t)
	}
	return "organizer"
}

// stray is a chance that narrow histories exclude.
func (m *machine) stray(t *rapid.T, percent int, what string) bool {
	return !m.narrow && chance(t, percent, what)
}

// drawBoard draws a board, occasionally an unknown one.
func (m *machine) drawBoard(t *rapid.T) string {
	ids := []string{}
	for _, b := range m.w.Boards {
		ids = append(ids, b.ID)
	}
	if m.stray(t, 3, "unknown board") {
		return m.id("none")
	}
	return pick(t, "board", ids)
}

// uniform draws a number below n, all equally likely. rapid's own integers and
// choices prefer the first few, and most of a history would be one operation.
func uniform(t *rapid.T, what string, n int) int {
	return rapid.Custom(func(t *rapid.T) int {
		u := 0
		for range 10 {
			u *= 2
			if rapid.Bool().Draw(t, "bit") {
				u++
			}
		}
		return u * n / 1024
	}).Draw(t, what)
}

func pick[T any](t *rapid.T, what string, list []T) T { return list[uniform(t, what, len(list))] }

// chance shrinks to false.
func chance(t *rapid.T, percent int, what string) bool { return uniform(t, what, 100) >= 100-percent }

func decode[T any](t *rapid.T, w *httptest.ResponseRecorder) T {
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal("the response has the wrong structure")
	}
	return out
}
