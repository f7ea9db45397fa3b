package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// These tests hold the model to examples that were computed by hand, because
// everything else is compared with it.

// byHand is a world of one board `b` and the player p, at noon.
func byHand(change func(*Board)) (*World, Caller) {
	c := who(0, "organizer")
	b := defaults("b", c.User)
	b.Min, b.Grace = -MaxPoints, 366*24*time.Hour
	if change != nil {
		change(b)
	}
	return &World{Now: edgesNow.Add(12 * time.Hour), Boards: []*Board{b}}, c
}

// minute returns an instant of the day before.
func minute(n int) time.Time { return edgesNow.Add(-24*time.Hour + time.Duration(n)*time.Minute) }

// lines reads items such as `result 5 @1`, `adjustment -3/2 @4` (with a
// tiebreak), and `reversal 1`, which cancels the first entry of the ledger.
func (w *World) lines(list ...string) []Item {
	var items []Item
	for _, line := range list {
		in := Item{Board: "b", Player: "p", Note: ptr("n"), Identity: line}
		var points, tiebreak int64
		var at, n int
		word := strings.Fields(line)
		if _, err := fmt.Sscanf(line, "reversal %d", &n); err == nil {
			in.Reversal, in.Reverses = true, w.Entries[n-1].ID
			items = append(items, in)
			continue
		}
		if _, err := fmt.Sscanf(strings.ReplaceAll(word[1], "max", fmt.Sprint(MaxPoints)), "%d/%d", &points, &tiebreak); err != nil && err.Error() != "unexpected EOF" {
			panic(line + ": " + err.Error())
		}
		in.Kind, in.Points, in.Tiebreak = &word[0], &points, &tiebreak
		if len(word) > 2 {
			fmt.Sscanf(word[2], "@%d", &at)
			in.OccurredAt = ptr(minute(at))
		}
		items = append(items, in)
	}
	return items
}

// entered adds items to the ledger one by one, whatever the rules say.
func (w *World) entered(c Caller, list ...string) {
	for _, line := range list {
		items := w.lines(line)
		v := w.Judge(c, "", true, items)
		if v.Refusals != nil {
			panic(fmt.Sprintf("%s: %+v", line, v.Refusals))
		}
		v.Made[0].ID = fmt.Sprint("entry ", len(w.Entries)+1)
		w.Commit(v, items)
	}
}

// refusedAs returns the kinds of problem and the fields of a verdict.
func refusedAs(v Verdict) string {
	var list []string
	for _, r := range v.Refusals {
		list = append(list, fmt.Sprint(r.Why, " ", r.Faults))
	}
	return strings.Join(list, ", ")
}

// standingExamples are ledgers and the standings that they combine to.
var standingExamples = []struct {
	rule, combine, order string
	ledger               []string
	want                 string // score/tiebreak @minute when it was reached
}{
	{"a penalty makes the time longer", "best", "asc", []string{"result 6360000 @1", "adjustment 5000 @2"}, "6365000/0 @2"},
	{"a better time replaces the time, not the penalty", "best", "asc", []string{"result 6360000 @1", "adjustment 5000 @2", "result 6358000 @3"}, "6363000/0 @3"},
	{"a worse time changes nothing", "best", "asc", []string{"result 6360000 @1", "adjustment 5000 @2", "import 6362000 @3"}, "6365000/0 @2"},
	{"an adjustment counts from the first result on", "best", "desc", []string{"adjustment 5 @1", "result 10 @2"}, "15/0 @2"},
	{"adjustments alone are no standing on best", "best", "desc", []string{"adjustment 5 @1", "adjustment 0 @2"}, "none"},
	{"of equal results the first counts", "best", "desc", []string{"result 10 @2", "result 10 @1"}, "10/0 @1"},
	{"the tiebreak decides in the board's order", "best", "desc", []string{"result 10/1 @1", "result 10/2 @2"}, "10/2 @2"},
	{"the tiebreak decides in ascending order", "best", "asc", []string{"result 10/1 @1", "result 10/2 @2"}, "10/1 @1"},
	{"the best is chosen before adjustments", "best", "desc", []string{"result 10 @1", "adjustment -8 @2", "result 9 @3"}, "2/0 @2"},
	{"an adjustment of nothing changes nothing", "best", "desc", []string{"result 10 @1", "adjustment 0 @2"}, "10/0 @1"},
	{"a bonus that is taken back changes the score twice", "best", "desc", []string{"result 10 @1", "adjustment 5 @2", "adjustment -5 @3"}, "10/0 @3"},
	{"adjustments have tiebreaks", "best", "desc", []string{"result 10/1 @1", "adjustment 0/2 @2"}, "10/3 @2"},
	{"the first result is a change, even to nothing", "best", "desc", []string{"adjustment 0 @1", "result 0 @2"}, "0/0 @2"},
	{"a reversed best brings back the second with the penalty", "best", "asc", []string{"result 60 @1", "result 50 @3", "adjustment 5 @2", "reversal 2"}, "65/0 @2"},
	{"a reversed result leaves no standing", "best", "asc", []string{"result 60 @1", "adjustment 5 @2", "reversal 1"}, "none"},

	{"a bonus adds to the last", "last", "desc", []string{"result 1500 @1", "adjustment 10 @2"}, "1510/0 @2"},
	{"the same result again changes nothing", "last", "desc", []string{"result 5 @1", "result 5 @5"}, "5/0 @1"},
	{"a result replaces adjustments too", "last", "desc", []string{"result 5 @1", "adjustment 3 @2", "result 7 @3"}, "7/0 @3"},
	{"a result equal to the adjusted score changes nothing", "last", "desc", []string{"result 5 @1", "adjustment 2 @2", "result 7 @3"}, "7/0 @2"},
	{"an adjustment before the first result is ignored", "last", "desc", []string{"adjustment 3 @1", "result 5 @2"}, "5/0 @2"},
	{"adjustments alone are no standing on last", "last", "desc", []string{"adjustment 3 @1"}, "none"},
	{"what arrives late takes its place", "last", "desc", []string{"result 7 @3", "adjustment 3 @2", "result 5 @1"}, "7/0 @3"},
	{"a reversed last brings back the one before with its adjustments", "last", "desc", []string{"result 7 @3", "adjustment 3 @2", "result 5 @1", "adjustment 1 @4", "reversal 1"}, "9/0 @4"},
	{"of equal instants seq decides", "last", "desc", []string{"result 1500 @1", "adjustment 10 @1"}, "1510/0 @1"},
	{"of equal instants seq decides against the adjustment too", "last", "desc", []string{"adjustment 10 @1", "result 1500 @1"}, "1500/0 @1"},

	{"everything adds", "sum", "desc", []string{"result 5 @3", "adjustment -2 @1", "import 4/1 @2"}, "7/1 @3"},
	{"nothing changes nothing", "sum", "desc", []string{"result 5 @1", "result 0 @2"}, "5/0 @1"},
	{"nothing but nothing was reached at once", "sum", "desc", []string{"result 0 @2", "result 0 @1"}, "0/0 @1"},
	{"adjustments alone are a standing on sum", "sum", "desc", []string{"adjustment -5 @1"}, "-5/0 @1"},
}

func TestStandingsByHand(t *testing.T) {
	for _, c := range standingExamples {
		t.Run(c.rule, func(t *testing.T) {
			w, organizer := byHand(func(b *Board) { b.Combine, b.Order = c.combine, c.order })
			w.entered(organizer, c.ledger...)
			got := "none"
			if st, ok := w.Standing(w.Board("b"), "p", Run{Name: "all"}); ok {
				got = fmt.Sprintf("%d/%d @%d", st.Score, st.Tiebreak, st.ReachedAt.Sub(minute(0))/time.Minute)
			}
			if got != c.want {
				t.Errorf("%s %s %q: got %s, want %s", c.combine, c.order, c.ledger, got, c.want)
			}
		})
	}
}

// rangeExamples are ledgers, and batches that leave the range or stay in it.
var rangeExamples = []struct {
	combine         string
	ledger, request []string
	want            string
}{
	{"sum", nil, []string{"result max", "result 1"}, "score-range [[entries[1]]]"},
	{"sum", nil, []string{"result max", "result 1", "result -1"}, ""},
	{"sum", nil, []string{"result max", "result 1", "result -5", "result 6"}, "score-range [[entries[1]]]"},
	{"sum", []string{"result -max @1", "adjustment max @2"}, []string{"adjustment 1"}, "score-range [[entries[0]]]"}, // the adjustments alone
	{"sum", []string{"result -max @1", "adjustment max @2"}, []string{"result 1"}, ""},
	{"sum", []string{"result 5 @1"}, []string{"adjustment 0/max", "adjustment 0/1"}, "score-range [[entries[1]]]"},
	{"best", []string{"adjustment max @1"}, []string{"adjustment 1"}, "score-range [[entries[0]]]"}, // although there is no standing
	{"best", nil, []string{"adjustment max", "result 5"}, "score-range [[entries[1]]]"},
	{"best", nil, []string{"result 5", "adjustment max"}, "score-range [[entries[1]]]"},
	{"best", nil, []string{"adjustment max", "result 5", "adjustment -10", "adjustment 20"}, "score-range [[entries[1]]], score-range [[entries[3]]]"},
	{"best", nil, []string{"adjustment max", "result -5"}, ""},
	{"last", []string{"adjustment max @1"}, []string{"adjustment 1"}, ""}, // both ignored
	{"last", []string{"adjustment max @1", "adjustment 1 @2"}, []string{"result 0 @0"}, "score-range [[entries[0]]]"},
	{"last", []string{"adjustment max @1", "adjustment 1 @2"}, []string{"result 0 @3"}, ""},
	{"last", []string{"result 0 @1", "adjustment max @2", "result 5 @3"}, []string{"adjustment 1 @4"}, "score-range [[entries[0]]]"}, // a replaced one counts alone
	{"last", []string{"result max @1", "result 0 @2", "adjustment 1 @3"}, []string{"reversal 2"}, "score-range [[entries[0]]]"},
	{"last", []string{"result max @1", "result 0 @2", "adjustment 1 @3"}, []string{"reversal 2", "reversal 3"}, ""},
	{"last", []string{"adjustment 5 @0"}, []string{"adjustment max @1", "result 0 @1", "adjustment 1 @2"}, ""},
	{"last", []string{"adjustment 5 @0"}, []string{"result 0 @1", "adjustment max @1", "adjustment 1 @2"}, "score-range [[entries[2]]]"},
}

func TestRangeByHand(t *testing.T) {
	for _, c := range rangeExamples {
		w, organizer := byHand(func(b *Board) { b.Combine = c.combine })
		w.entered(organizer, c.ledger...)
		if got := refusedAs(w.Judge(organizer, "", false, w.lines(c.request...))); got != c.want {
			t.Errorf("%s %q, then %q: got %s, want %s", c.combine, c.ledger, c.request, got, c.want)
		}
	}
}

// floorExamples are ledgers, and batches that go below the floor or not.
var floorExamples = []struct {
	floor           int64
	ledger, request []string
	want            string
}{
	{0, nil, []string{"result -1"}, "score-floor [[entries[0].points]]"},
	{-10, nil, []string{"result -10"}, ""},
	{-10, nil, []string{"adjustment -11"}, "score-floor [[entries[0].points]]"},
	{0, []string{"result 10 @1"}, []string{"result -20", "result 10"}, ""}, // the state after it
	{0, []string{"result 10 @1"}, []string{"result -5", "result -20", "result 10"}, "score-floor [[entries[1].points]]"},
	{0, []string{"result 10 @1"}, []string{"result -20", "result 15", "result -10"}, "score-floor [[entries[0].points]]"},
	{0, []string{"result 10 @1", "result -5 @2"}, []string{"reversal 1"}, "score-floor [[entries[0].reverses]]"},
	{0, []string{"result 10 @1", "result -5 @2"}, []string{"reversal 1", "reversal 2"}, ""}, // nothing is left
	{0, []string{"result 10 @1", "result -5 @2"}, []string{"reversal 2"}, ""},
	// The floor was lowered to -20 before the ledger, and is now 0.
	{0, []string{"floor -20", "result -15 @1"}, []string{"result 5"}, ""},
	{0, []string{"floor -20", "result -15 @1"}, []string{"result 0"}, "score-floor [[entries[0].points]]"},
	{0, []string{"floor -20", "result -15 @1"}, []string{"result 0", "adjustment 0"}, "score-floor [[entries[0].points]]"},
	{0, []string{"floor -20", "result -15 @1"}, []string{"result 0", "result 5", "result -5"}, "score-floor [[entries[2].points]]"},
	{0, []string{"floor -20", "result -15 @1", "result 0 @2"}, []string{"reversal 2"}, "score-floor [[entries[0].reverses]]"},
	{0, []string{"floor -20", "result -15 @1"}, []string{"reversal 1"}, ""},
	{0, []string{"floor -20", "result -15 @1"}, []string{"reversal 1", "result -16"}, "score-floor [[entries[1].points]]"},
	{0, []string{"floor -20", "result -15 @1"}, []string{"reversal 1", "result -14"}, ""}, // it rose
}

func TestFloorByHand(t *testing.T) {
	for _, c := range floorExamples {
		w, organizer := byHand(nil)
		b := w.Board("b")
		b.Floor = &c.floor
		if len(c.ledger) > 0 && strings.HasPrefix(c.ledger[0], "floor") {
			b.Floor, c.ledger = ptr(int64(-20)), c.ledger[1:]
		}
		w.entered(organizer, c.ledger...)
		b.Floor = &c.floor
		items := w.lines(c.request...)
		if got := refusedAs(w.Judge(organizer, "", false, items)); got != c.want {
			t.Errorf("floor %d, %q, then %q: got %s, want %s", c.floor, c.ledger, c.request, got, c.want)
		}
		if len(items) == 1 && items[0].Reversal {
			want := strings.Replace(c.want, "entries[0].reverses", "entry", 1)
			if got := refusedAs(w.Judge(organizer, "", true, items)); got != want {
				t.Errorf("floor %d, %q, then %q alone: got %s, want %s", c.floor, c.ledger, c.request, got, want)
			}
		}
	}
}

// A name stands for an item of p that brings it: "-" clears, "!" renames.
func TestNamesByHand(t *testing.T) {
	const one, other = "name-differs [[entries[0].profile.display_name]]", "name-differs [[entries[1].profile.display_name]]"
	const both = "name-differs [[entries[0].profile.display_name] [entries[1].profile.display_name]]"
	for _, c := range []struct {
		there   string // the name, or "user" of a player who is linked to one
		request []string
		want    string
		after   string
	}{
		{"", []string{"Kim"}, "", "Kim"},
		{"", []string{"Kim", "Kim"}, "", "Kim"},
		{"", []string{"Kim", "Lee"}, both, ""},
		{"", []string{"Kim", "Lee!"}, "", "Lee"},
		{"", []string{"Kim!", "Lee"}, both, ""},
		{"", []string{"-"}, "", ""},
		{"Kim", []string{"Kim"}, "", "Kim"},
		{"Kim", []string{"Lee"}, one, ""},
		{"Kim", []string{"Lee!"}, "", "Lee"},
		{"Kim", []string{"-"}, one, ""},
		{"Kim", []string{"-!"}, "", ""},
		{"Kim", []string{"Kim", "Lee"}, both + ", " + other, ""},
		{"user", []string{"Lee", "Kim", "-"}, "", "user"},
	} {
		w, organizer := byHand(nil)
		if c.there != "" {
			w.Set("b", "p", func(s *State) {
				s.DisplayName = &c.there
				if c.there == "user" {
					s.User = ptr(userID(0, "linked"))
				}
			})
		}
		var items []Item
		for _, text := range c.request {
			in := w.lines("result 1")[0]
			name := strings.TrimSuffix(text, "!")
			in.Rename = name != text
			in.Profile = &Profile{DisplayName: ptr(&name)}
			if name == "-" {
				in.Profile.DisplayName = ptr[*string](nil)
			}
			items = append(items, in)
		}
		v := w.Judge(organizer, "", false, items)
		if got := refusedAs(v); got != c.want {
			t.Errorf("%q, then %q: got %s, want %s", c.there, c.request, got, c.want)
		}
		if c.want != "" {
			continue
		}
		w.Commit(v, items)
		if got := w.Player("b", "p").Today().DisplayName; !same(got, ptr(c.after)) && (got != nil || c.after != "") {
			t.Errorf("%q, then %q: the name is %v, want %q", c.there, c.request, *got, c.after)
		}
	}
}

// No run of a draft is closed. Opening closes those that are past, with the
// players as they are then.
func TestDraftsByHand(t *testing.T) {
	season := Period{Name: "2019", Start: time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2019, 6, 1, 0, 0, 0, 0, time.UTC)}
	run := Run{season.Name, season.Start, season.End}
	w, organizer := byHand(func(b *Board) {
		b.State, b.Periods, b.Grace, b.OpenedAt = "draft", []Period{season}, 24*time.Hour, time.Time{}
	})
	b := w.Board("b")
	in := w.lines("result 5")
	in[0].OccurredAt = ptr(season.Start)
	if v := w.Judge(organizer, "", true, in); v.Refusals != nil || len(v.Made[0].Runs) != 1 {
		t.Fatalf("a draft should accept a past season: %+v", v)
	} else {
		w.Commit(v, in)
	}
	w.Set("b", "p", func(s *State) { s.Status = "dnf" })
	for _, c := range []struct {
		caller string
		reads  bool
	}{{"organizer", true}, {"viewer", true}, {"writer", true}, {"admin", true}, {"auditor", true}, {"linked", false}, {"rival", false}, {"", false}} {
		b.Viewers, b.Writers = []string{userID(0, "viewer")}, []string{userID(0, "writer")}
		w.Set("b", "p", func(s *State) { s.User = ptr(userID(0, "linked")) })
		if got := w.MayRead(who(0, c.caller), b); got != c.reads {
			t.Errorf("%q may read a draft: %t", c.caller, got)
		}
	}
	if w.Closed(b, run) {
		t.Error("no run of a draft is closed")
	}
	b.State, b.OpenedAt = "open", w.Now
	w.Set("b", "p", func(s *State) { s.Status = "disqualified" })
	if !w.Closed(b, run) {
		t.Error("a past season closes when the draft is opened")
	}
	if got := w.In(b, w.Player("b", "p"), run).Status; got != "dnf" {
		t.Errorf("a closed season shows the status %s", got)
	}
	if got := refusedAs(w.Judge(organizer, "", true, in)); got != "period-closed [[occurred_at]]" {
		t.Errorf("an entry into a closed season: %s", got)
	}
	for _, c := range []struct {
		from, to string
		want     int
	}{{"draft", "open", 0}, {"draft", "archived", 0}, {"draft", "closed", 409}, {"open", "draft", 409}, {"archived", "draft", 409}, {"closed", "open", 0}} {
		b.State = c.from
		after := ptr(*b)
		after.State = c.to
		list := w.JudgeBoard(organizer, "b", after, []string{"state"}, false)
		if (list != nil) != (c.want == 409) || slices.ContainsFunc(list, func(r Refusal) bool { return r.Why != "board-state" }) {
			t.Errorf("%s to %s: %+v", c.from, c.to, list)
		}
	}
}

// The examples hold for the product as well.
func TestExamples(t *testing.T) {
	s := start(t, 1)
	for _, c := range standingExamples {
		t.Run(c.rule, func(t *testing.T) {
			x := newExample(t, s, c.combine, c.order)
			x.enter(c.ledger...)
			w := s.send("0/organizer", "GET", x.path+"/standings/p", "")
			var got standingText
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			standing := got.String()
			if w.Code == 404 {
				standing = "none"
			}
			if standing != c.want {
				t.Errorf("%q: got %d %s, want %s", c.ledger, w.Code, w.Body, c.want)
			}
		})
	}
	for _, c := range rangeExamples {
		t.Run(fmt.Sprint(c.combine, " range ", c.ledger, c.request), func(t *testing.T) {
			x := newExample(t, s, c.combine, "desc")
			x.enter(c.ledger...)
			x.request(c.request)
		})
	}
	for _, c := range floorExamples {
		t.Run(fmt.Sprint("floor ", c.floor, c.ledger, c.request), func(t *testing.T) {
			x := newExample(t, s, "sum", "desc")
			if len(c.ledger) > 0 && strings.HasPrefix(c.ledger[0], "floor") {
				c.ledger = c.ledger[1:]
			}
			x.enter(c.ledger...)
			x.w.Board("b").Floor = &c.floor
			x.must("PATCH", x.path, fmt.Sprintf(`{"floor": %d}`, c.floor), 200)
			x.request(c.request)
		})
	}
}

// standingText is a standing as the examples write it.
type standingText struct {
	Score, Tiebreak int64
	ReachedAt       time.Time `json:"reached_at"`
}

func (s standingText) String() string {
	return fmt.Sprintf("%d/%d @%d", s.Score, s.Tiebreak, s.ReachedAt.Sub(minute(0))/time.Minute)
}

// An example is the product and the model side by side. The product's board has
// an id of its own.
type example struct {
	t         *testing.T
	s         *stack
	w         *World
	organizer Caller
	id, path  string
}

func newExample(t *testing.T, s *stack, combine, order string) example {
	t.Helper()
	x := example{t: t, s: s}
	x.w, x.organizer = byHand(func(b *Board) { b.Combine, b.Order = combine, order })
	s.stop(x.w.Now)
	var boards int
	if err := s.db.Owner().Get(&boards, `SELECT count(*) FROM boards`); err != nil {
		t.Fatal(err)
	}
	x.id = fmt.Sprint("b", boards)
	x.path = s.board(x.id, fmt.Sprintf(`, "combine": %q, "order": %q, "min": %d, "grace": "8784h"`, combine, order, -MaxPoints))
	return x
}

// must sends a request and expects a status.
func (x example) must(method, target, body string, status int) []byte {
	x.t.Helper()
	w := x.s.send("0/organizer", method, target, body)
	if w.Code != status {
		x.t.Fatalf("%s: want %d, got %d %s", body, status, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// body returns a batch of the items.
func (x example) body(items []Item) string {
	list := itemBodies(items)
	for _, body := range list {
		body["board"] = x.id
	}
	return text(map[string]any{"entries": list})
}

// enter adds items to both, one by one.
func (x example) enter(ledger ...string) {
	x.t.Helper()
	for _, line := range ledger {
		items := x.w.lines(line)
		v := x.w.Judge(x.organizer, "", false, items)
		var made struct{ Entries []struct{ ID string } }
		if err := json.Unmarshal(x.must("POST", "/v1/entries/batch", x.body(items), 201), &made); err != nil {
			x.t.Fatal(err)
		}
		v.Made[0].ID = made.Entries[0].ID
		x.w.Commit(v, items)
	}
}

// request sends a batch, and compares its result with the model's.
func (x example) request(lines []string) {
	x.t.Helper()
	items := x.w.lines(lines...)
	v := x.w.Judge(x.organizer, "", false, items)
	w := x.s.send("0/organizer", "POST", "/v1/entries/batch", x.body(items))
	if v.Refusals == nil && w.Code != 201 {
		x.t.Errorf("%q should be accepted: %d %s", lines, w.Code, w.Body)
	} else if v.Refusals != nil {
		if err := fits(w, v.Refusals); err != nil {
			x.t.Errorf("%q: %v", lines, err)
		}
	}
}

// itemBodies returns items as a client sends them in a batch.
func itemBodies(items []Item) []map[string]any {
	var list []map[string]any
	for _, in := range items {
		body := map[string]any{"board": in.Board, "note": *in.Note}
		if in.Reversal {
			body["reverses"] = in.Reverses
		} else {
			body["player"], body["kind"], body["points"], body["tiebreak"] = in.Player, *in.Kind, *in.Points, *in.Tiebreak
			if in.OccurredAt != nil {
				body["occurred_at"] = *in.OccurredAt
			}
		}
		list = append(list, body)
	}
	return list
}

// A standing is the same in whatever order its credits arrive.
func TestArrivalInAnyOrder(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow.Add(12 * time.Hour))
	for n, c := range []struct {
		combine, order string
		ledger         []string
		want           string
	}{
		{"best", "desc", []string{"result 10 @2", "adjustment 1 @3", "result 10 @5", "result 4 @1"}, "11/0 @3"},
		{"best", "asc", []string{"result 60 @1", "adjustment 5 @2", "result 50 @3", "result 50 @4"}, "55/0 @3"},
		{"best", "desc", []string{"adjustment 1 @1", "result 5/1 @2", "result 5/2 @3", "adjustment 0/3 @4"}, "6/5 @4"},
		{"last", "desc", []string{"result 5 @1", "adjustment 2 @2", "result 7 @3", "result 7 @4"}, "7/0 @2"},
		{"last", "desc", []string{"adjustment 3 @1", "result 5 @2", "result 4 @3", "adjustment 1 @4"}, "5/0 @4"},
		{"last", "asc", []string{"result 9 @1", "result 8 @2", "adjustment -3 @3", "adjustment 3 @4"}, "8/0 @4"},
		{"sum", "desc", []string{"result 0 @1", "result 5 @2", "adjustment -5 @3", "result 0 @4"}, "0/0 @3"},
	} {
		id := fmt.Sprint("b", n)
		path := s.board(id, fmt.Sprintf(`, "combine": %q, "order": %q, "min": -10`, c.combine, c.order))
		w, _ := byHand(nil)
		for p, order := range permutations(len(c.ledger)) {
			for size := 1; size <= 2; size++ { // one by one, and two by two
				player := fmt.Sprint("p", p, "-", size)
				for part := range slices.Chunk(order, size) {
					var items []map[string]any
					for _, i := range part {
						body := itemBodies(w.lines(c.ledger[i]))[0]
						body["board"], body["player"] = id, player
						items = append(items, body)
					}
					s.batch(items)
				}
				var got standingText
				if s.read(path+"/standings/"+player, &got); got.String() != c.want {
					t.Errorf("%s %s %q in the order %v, %d at a time: got %s, want %s", c.combine, c.order, c.ledger, order, size, got, c.want)
				}
			}
		}
	}
}

// permutations returns every order of n things.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var list [][]int
	for _, rest := range permutations(n - 1) {
		for at := range n {
			list = append(list, slices.Insert(slices.Clone(rest), at, n-1))
		}
	}
	return list
}
