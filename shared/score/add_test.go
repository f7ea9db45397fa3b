package score

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

const route = "POST /v1/boards/{board}/entries"

func result(player string, points int64) Submission {
	return Submission{Player: player, Points: &points}
}

func withKey(in Submission, key string) Submission {
	in.Key = key
	return in
}

func reversal(entry string) Submission {
	return Submission{Reverses: entry, Note: ptr("wrong bib")}
}

// Each case breaks the rule it names and every rule that is checked after it.
func TestFaultsOfAnAddComeInTheDocumentedOrder(t *testing.T) {
	const unknown = "00000000-0000-7000-8000-000000000000"
	bounded := func(b *Board) { b.Max = ptr[int64](5) }
	closed := func(b *Board) { b.Max = ptr[int64](5); b.State = Closed }
	for _, c := range []struct {
		name  string
		who   access.Caller
		board string
		in    Submission
		want  string
	}{
		{"the submission alone", person("x", access.Member), "none", withKey(Submission{Player: "a/b", Points: ptr[int64](9)}, "used"), "bad-request player"},
		{"an unknown board", person("x", access.Member), "none", withKey(result("p", 9), "used"), "not-found"},
		{"a board's malformed id", person("x", access.Member), "No/Board", withKey(result("p", 9), "used"), "not-found"},
		{"a private board", person("x", access.Member), "private", withKey(result("p", 9), "used"), "not-found"},
		{"the right to write", person("x", access.Member), "closed", withKey(result("p", 9), "used"), "forbidden"},
		{"the key", owner, "closed", withKey(result("p", 9), "used"), "key-reused key"},
		{"the key of a reversal", owner, "closed", withKey(reversal(unknown), "used"), "key-reused key"},
		{"the entry to reverse", owner, "closed", reversal(unknown), "not-found"},
		{"an entry's malformed id", owner, "closed", reversal("1"), "not-found"},
		{"bounds", owner, "closed", result("p", 9), "bad-request points"},
		{"the state", owner, "closed", result("p", 5), "board-closed"},
		{"nothing", owner, "open", result("p", 5), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("open", bounded), board("closed", bounded), board("private", func(b *Board) { closed(b); b.Public = false }))
			a := newAdder(m)
			if _, err := a.Add(t.Context(), owner, route, "closed", withKey(result("first", 1), "used")); err != nil {
				t.Fatal(err)
			}
			m.edit("closed", closed)
			_, err := a.Add(t.Context(), c.who, route, c.board, c.in)
			if got := kindAndFields(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhoMayAdd(t *testing.T) {
	all := []string{access.ScopeRead, access.ScopeEntries, access.ScopeBoards}
	for _, c := range []struct {
		name            string
		who             access.Caller
		public, private string
	}{
		{"nobody", access.Caller{}, "forbidden", "not-found"},
		{"a stranger", person("x", access.Organizer), "forbidden", "not-found"},
		{"a linked user", person("linked", access.Member), "forbidden", "forbidden"},
		{"a viewer", person("viewer", access.Member), "forbidden", "forbidden"},
		{"a writer", person("writer", access.Member), "", ""},
		{"an owner", owner, "", ""},
		{"an admin", person("x", access.Admin), "", ""},
		{"an auditor, even as a writer", person("auditor", access.Auditor), "forbidden", "forbidden"},
		{"the owner's key", apiKey("owner", access.Organizer, all), "", ""},
		{"the owner's key for entries", apiKey("owner", access.Organizer, []string{access.ScopeEntries}), "", ""},
		{"the owner's key for boards", apiKey("owner", access.Organizer, []string{access.ScopeBoards}), "forbidden", "forbidden"},
		{"the owner's key for this board", apiKey("owner", access.Organizer, all, "public", "private"), "", ""},
		{"the owner's key for another board", apiKey("owner", access.Organizer, all, "other"), "forbidden", "not-found"},
		{"a writer's key", apiKey("writer", access.Member, all), "", ""},
		{"an admin's key", apiKey("x", access.Admin, all), "", ""},
		{"an auditor's key", apiKey("auditor", access.Auditor, all), "forbidden", "forbidden"},
		{"a stranger's key", apiKey("x", access.Organizer, all), "forbidden", "not-found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			people := func(b *Board) { b.Writers, b.Viewers = []string{"writer", "auditor"}, []string{"viewer"} }
			m := newMemory(board("public", people), board("private", func(b *Board) { people(b); b.Public = false }))
			m.links[[2]string{"private", "linked"}] = true
			a := newAdder(m)
			for id, want := range map[string]string{"public": c.public, "private": c.private} {
				_, err := a.Add(t.Context(), c.who, route, id, result("p", 1))
				if got := kindAndFields(err); got != want {
					t.Errorf("%s: got %q, want %q", id, got, want)
				}
			}
			for _, e := range m.entries {
				if e.Actor != c.who.Actor() {
					t.Errorf("the actor is %q", e.Actor)
				}
			}
		})
	}
}

// What the cached board suggests decides nothing: only the ledger knows whether
// its version is current.
func TestAddsByAnOutdatedBoard(t *testing.T) {
	stranger := person("x", access.Member)
	for _, c := range []struct {
		name        string
		cached, now func(*Board)
		who         access.Caller
		in          Submission
		want        string
		points      int64
	}{
		{"accept what only the cached board refuses", func(b *Board) { b.Max = ptr[int64](5) }, func(b *Board) { b.Max = nil }, owner, result("p", 9), "", 9},
		{"accept entries of a board that was opened", func(b *Board) { b.State = Closed }, func(b *Board) { b.State = Open }, owner, result("p", 9), "", 9},
		{"refuse what only the cached board accepts", nil, func(b *Board) { b.Max = ptr[int64](5) }, owner, result("p", 9), "bad-request points", 0},
		{"refuse entries of a board that was closed", nil, func(b *Board) { b.State = Closed }, owner, result("p", 9), "board-closed", 0},
		{"take points from the current catalogue", func(b *Board) { b.Catalogue = map[string]int64{"full": 1} }, func(b *Board) { b.Catalogue = map[string]int64{"full": 42} },
			owner, Submission{Player: "p", Reason: ptr("full")}, "", 42},
		{"accept a new writer", nil, func(b *Board) { b.Writers = []string{"x"} }, stranger, result("p", 9), "", 9},
		{"refuse a former writer", func(b *Board) { b.Writers = []string{"x"} }, func(b *Board) { b.Writers = nil }, stranger, result("p", 9), "forbidden", 0},
		{"hide a board that became private", func(b *Board) { b.Writers = []string{"x"} }, func(b *Board) { b.Writers, b.Public = nil, false }, stranger, result("p", 9), "not-found", 0},
		{"find a board that became public", func(b *Board) { b.Public = false }, func(b *Board) { b.Writers, b.Public = []string{"x"}, true }, stranger, result("p", 9), "", 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", c.cached))
			a := newAdder(m)
			a.boards.keep(m.boards["b"])
			m.edit("b", c.now)
			added, err := a.Add(t.Context(), c.who, route, "b", c.in)
			if got := kindAndFields(err); got != c.want || added.Points != c.points {
				t.Errorf("got %d points, %q, want %d, %q", added.Points, got, c.points, c.want)
			}
			if wrote := len(m.entries) > 0; wrote != (c.want == "") {
				t.Errorf("%d entries were written", len(m.entries))
			}
			// The current board is cached now: the next add asks once.
			asked, lookups := len(m.adds), m.lookups
			if _, err := a.Add(t.Context(), owner, route, "b", Submission{Player: "p", Points: ptr[int64](1), Kind: ptr(Adjustment), Note: ptr("n")}); err != nil && !fault.Is(err, fault.BoardClosed) {
				t.Error(err)
			}
			if len(m.adds) != asked+1 || m.lookups != lookups {
				t.Errorf("the next add asked the ledger %d times and looked the board up %d times", len(m.adds)-asked, m.lookups-lookups)
			}
		})
	}
}

func TestBoardThatKeepsChangingIsBusy(t *testing.T) {
	m := newMemory(board("b", nil))
	changes := 0
	m.before = func() { changes++; m.edit("b", func(*Board) {}) }
	_, err := newAdder(m).Add(t.Context(), owner, route, "b", withKey(result("p", 1), "k"))
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.Busy || f.RetryAfter != time.Second {
		t.Errorf("got %v", err)
	}
	if len(m.adds) != 3 || len(m.entries) != 0 {
		t.Errorf("the ledger was asked %d times, and wrote %d entries", len(m.adds), len(m.entries))
	}
	for _, add := range m.adds[1:] {
		first, again := m.adds[0].Items[0], add.Items[0]
		if again.ID != first.ID || !slices.Equal(again.Digest, first.Digest) || !again.OccurredAt.Equal(first.OccurredAt) {
			t.Errorf("a retry asked for another entry: %+v, first %+v", again, first)
		}
	}
	// Two changes in a row leave a third try.
	changes = 0
	m.before = func() {
		if changes++; changes <= 2 {
			m.edit("b", func(*Board) {})
		}
	}
	if _, err := newAdder(m).Add(t.Context(), owner, route, "b", withKey(result("p", 1), "k")); err != nil {
		t.Error(err)
	}
}

func TestAnErrorOfTheLedgerIsReturned(t *testing.T) {
	lost := errors.New("connection lost")
	a := newAdder(failing{newMemory(board("b", nil)), lost})
	if _, err := a.Add(t.Context(), owner, route, "b", result("p", 1)); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	if _, _, err := a.AddAll(t.Context(), owner, route, []BatchItem{{"b", result("p", 1)}}, nil); !errors.Is(err, lost) {
		t.Errorf("a batch: got %v", err)
	}
}

type failing struct {
	*memory
	err error
}

func (f failing) Add(context.Context, Addition) (Outcome, error) { return Outcome{}, f.err }

func TestKeys(t *testing.T) {
	m := newMemory(board("b", nil), board("c", nil))
	a := newAdder(m)
	add := func(who access.Caller, route, board string, in Submission) (Added, error) {
		return a.Add(t.Context(), who, route, board, withKey(in, "k"))
	}
	first, err := add(owner, route, "b", result("p", 1))
	if err != nil || first.Replayed {
		t.Fatal(first, err)
	}
	again, err := add(owner, route, "b", result("p", 1))
	if err != nil || !again.Replayed || again.ID != first.ID {
		t.Errorf("the same request: %+v, %v", again, err)
	}
	m.edit("b", func(b *Board) { b.State = Closed })
	again, err = add(owner, route, "b", result("p", 1))
	if err != nil || !again.Replayed || again.ID != first.ID {
		t.Errorf("the same request once the board is closed: %+v, %v", again, err)
	}
	m.edit("b", func(b *Board) { b.State = Open })
	for name, try := range map[string]func() (Added, error){
		"other points":  func() (Added, error) { return add(owner, route, "b", result("p", 2)) },
		"another actor": func() (Added, error) { return add(person("x", access.Admin), route, "b", result("p", 1)) },
		"another route": func() (Added, error) { return add(owner, "POST /other", "b", result("p", 1)) },
	} {
		if _, err := try(); kindAndFields(err) != "key-reused key" {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, err := add(owner, route, "c", result("p", 2))
	if err != nil || other.Replayed {
		t.Errorf("the same key on another board: %+v, %v", other, err)
	}
	if len(m.entries) != 2 {
		t.Errorf("%d entries were written", len(m.entries))
	}
}

// A key that a batch's header gives to an item without one is nobody else's: no
// client can send it, and different headers and items have different ones.
func TestDerivedKeys(t *testing.T) {
	longest := strings.Repeat("k", 128)
	seen := map[string]string{}
	for _, header := range []string{"h", "h#", "h1", "h#1", longest, longest[1:]} {
		for item := range 12 {
			key, name := DerivedKey(header, item), fmt.Sprint(header, ", item ", item)
			if other, ok := seen[key]; ok {
				t.Errorf("%s has the key of %s", name, other)
			}
			seen[key] = name
			if ValidKey(key) || len(key) > 128 || key != DerivedKey(header, item) {
				t.Errorf("%s has the key %q", name, key)
			}
		}
	}
}

// The client has never seen a derived key, so the message must not quote it.
func TestAReusedDerivedKeyIsExplainedByTheHeader(t *testing.T) {
	m := newMemory(board("b", nil))
	a := newAdder(m)
	add := func(points int64) error {
		key := DerivedKey("results-1", 0)
		_, _, err := a.AddAll(t.Context(), owner, route, []BatchItem{{"b", withKey(result("p", points), key)}}, nil)
		return err
	}
	if err := add(1); err != nil {
		t.Fatal(err)
	}
	err := add(2)
	f, _ := fault.As(err)
	if kindAndFields(err) != "key-reused entries[0].key" || !strings.Contains(f.Detail, "Idempotency-Key") || strings.Contains(f.Detail, DerivedKey("results-1", 0)) {
		t.Errorf("got %v", err)
	}
}

func TestARefusalUsesNoKeyUp(t *testing.T) {
	m := newMemory(board("b", func(b *Board) { b.Max = ptr[int64](5) }))
	a := newAdder(m)
	if _, err := a.Add(t.Context(), owner, route, "b", withKey(result("p", 9), "k")); kindAndFields(err) != "bad-request points" {
		t.Fatal(err)
	}
	if added, err := a.Add(t.Context(), owner, route, "b", withKey(result("p", 5), "k")); err != nil || added.Replayed {
		t.Errorf("got %+v, %v", added, err)
	}
}

func TestCausesOfTheLedgerBecomeFaults(t *testing.T) {
	for _, c := range []struct {
		cause      Cause
		one, batch string
	}{
		{TooManyAttributes, "bad-request profile.attributes", "bad-request entries[1].profile.attributes"},
		{InClosedPeriod, "period-closed occurred_at", "period-closed entries[1].occurred_at"},
		{AlreadyReversed, "already-reversed entry", "already-reversed entries[1].reverses"},
		{OverDailyCap, "daily-cap points", "daily-cap entries[1].points"},
		{OutOfRange, "score-range points", "score-range entries[1].points"},
		{TiebreakRange, "score-range tiebreak", "score-range entries[1].tiebreak"},
		{"a cause that this version does not know", "internal", "internal"},
	} {
		t.Run(string(c.cause), func(t *testing.T) {
			m := newMemory(board("b", nil))
			m.refuse = func(item Item) Cause {
				if item.Player == "bad" {
					return c.cause
				}
				return ""
			}
			a := newAdder(m)
			if _, err := a.Add(t.Context(), owner, route, "b", result("bad", 1)); kindAndFields(err) != c.one {
				t.Errorf("got %v, want %q", err, c.one)
			}
			_, _, err := a.AddAll(t.Context(), owner, route, []BatchItem{{"b", result("good", 1)}, {"b", result("bad", 1)}}, nil)
			if got := kindAndFields(err); got != c.batch {
				t.Errorf("in a batch: got %v, want %q", err, c.batch)
			}
			if len(m.entries) != 0 {
				t.Errorf("%d entries were written", len(m.entries))
			}
		})
	}
}

// Only somebody who has not yet sent `late: true` is told to send it.
func TestLateIsOfferedOnce(t *testing.T) {
	m := newMemory(board("b", nil))
	m.refuse = func(Item) Cause { return InClosedPeriod }
	for late, want := range map[*bool]bool{nil: true, ptr(false): true, ptr(true): false} {
		in := result("p", 1)
		in.Late = late
		_, err := newAdder(m).Add(t.Context(), owner, route, "b", in)
		f, ok := fault.As(err)
		if !ok || strings.Contains(f.Detail, "late: true") != want {
			t.Errorf("late %s: %v", jsonOf(late), err)
		}
	}
}

func TestBatchErrorsNameTheItem(t *testing.T) {
	const unknown = "00000000-0000-7000-8000-000000000000"
	good := BatchItem{"b", result("p", 1)}
	full := func(n int) []BatchItem { return slices.Repeat([]BatchItem{good}, n) }
	reason := func(board, reason string) BatchItem {
		return BatchItem{board, Submission{Player: "p", Reason: &reason}}
	}
	for _, c := range []struct {
		name   string
		who    access.Caller
		items  []BatchItem
		faults fault.List
		want   string
	}{
		{"no items", owner, nil, nil, "bad-request entries"},
		{"too many", owner, full(1001), nil, "bad-request entries"},
		{"as many as allowed", owner, full(1000), nil, ""},
		{"a field of an item", owner, []BatchItem{good, {"b", result("a/b", 1)}}, nil, "bad-request entries[1].player"},
		{"every field of every item", owner, []BatchItem{{"b", Submission{}}, good, {"b", result("a/b", 1<<53)}}, nil, "bad-request entries[0].player entries[0].points entries[2].player entries[2].points"},
		{"the decoder's faults come first", owner, []BatchItem{{"b", result("a/b", 1)}}, fault.List{{Field: "extra", Detail: "is unknown"}}, "bad-request extra entries[0].player"},
		{"a key twice", owner, []BatchItem{{"b", withKey(result("p", 1), "k")}, good, {"b", withKey(result("q", 1), "k")}}, nil, "bad-request entries[2].key"},
		{"a key three times, on two boards", owner, []BatchItem{{"b", withKey(result("p", 1), "k")}, {"closed", withKey(result("p", 1), "k")}, {"b", withKey(result("p", 1), "k")}}, nil, "bad-request entries[2].key"},
		{"a key once for each board", owner, []BatchItem{{"b", withKey(result("p", 1), "k")}, {"d", withKey(result("p", 1), "k")}}, nil, ""},
		{"an unknown board", owner, []BatchItem{good, {"none", result("p", 1)}}, nil, "not-found entries[1].board"},
		{"no right to a board", person("writer", access.Member), []BatchItem{good, {"c", result("p", 1)}}, nil, "forbidden entries[1].board"},
		{"another request's key", owner, []BatchItem{good, {"b", withKey(result("q", 1), "used")}}, nil, "key-reused entries[1].key"},
		{"an unknown entry", owner, []BatchItem{good, {"b", reversal(unknown)}}, nil, "not-found entries[1].reverses"},
		{"a reason that the catalogue lacks", owner, []BatchItem{reason("c", "full"), reason("c", "half")}, nil, "bad-request entries[1].reason"},
		{"every item that its board refuses", owner, []BatchItem{reason("c", "half"), good, {"c", result("p", 1)}}, nil, "bad-request entries[0].reason entries[2].points"},
		{"400 comes before a closed board", owner, []BatchItem{{"closed", result("p", 1)}, reason("c", "half")}, nil, "bad-request entries[1].reason"},
		{"a closed board", owner, []BatchItem{good, {"closed", result("p", 1)}}, nil, "board-closed entries[1].board"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(
				board("b", func(b *Board) { b.Writers = []string{"writer"} }),
				board("c", func(b *Board) { b.Catalogue = map[string]int64{"full": 42} }),
				board("closed", func(b *Board) { b.State = Closed }),
				board("d", nil),
			)
			a := newAdder(m)
			if _, err := a.Add(t.Context(), owner, route, "b", withKey(result("p", 1), "used")); err != nil {
				t.Fatal(err)
			}
			_, added, err := a.AddAll(t.Context(), c.who, "POST /v1/entries/batch", c.items, c.faults)
			if got := kindAndFields(err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want != "" {
				if len(m.entries) != 1 {
					t.Errorf("%d entries were written", len(m.entries)-1)
				}
			} else if len(added) != len(c.items) || len(m.entries) != 1+len(c.items) {
				t.Errorf("%d entries of %d", len(added), len(c.items))
			}
		})
	}
}

func TestABatchIsOneChange(t *testing.T) {
	m := newMemory(board("b", nil), board("c", nil))
	a := newAdder(m)
	items := []BatchItem{{"b", withKey(result("p", 1), "one")}, {"c", withKey(result("q", 2), "two")}, {"b", withKey(result("p", 3), "three")}}
	batch, added, err := a.AddAll(t.Context(), owner, "POST /v1/entries/batch", items, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.adds) != 1 || m.adds[0].Batch != batch || !ValidEntry(batch) || jsonOf(m.adds[0].Versions) != `{"b":1,"c":1}` {
		t.Errorf("the ledger was asked %d times: %+v", len(m.adds), m.adds)
	}
	for i, want := range []string{"b p 1", "c q 2", "b p 3"} {
		e := added[i]
		if got := fmt.Sprint(e.Board, " ", e.Player, " ", e.Points); got != want || e.Replayed || e.Batch != batch {
			t.Errorf("item %d is %+v, want %s", i, e, want)
		}
	}

	again, all, err := a.AddAll(t.Context(), owner, "POST /v1/entries/batch", items, nil)
	if err != nil || again != batch || slices.ContainsFunc(all, func(e BatchEntry) bool { return !e.Replayed }) {
		t.Errorf("a replay is the batch %q with %+v, %v; the first was %q", again, all, err, batch)
	}
	more, some, err := a.AddAll(t.Context(), owner, "POST /v1/entries/batch", append(items, BatchItem{"b", result("p", 4)}), nil)
	if err != nil || more == batch || !some[2].Replayed || some[3].Replayed || some[3].Batch != more {
		t.Errorf("a batch with one new item is %q with %+v, %v", more, some, err)
	}
	if len(m.entries) != 4 {
		t.Errorf("%d entries were written", len(m.entries))
	}
}

func TestItemsOfABatchOccurInTheirOrder(t *testing.T) {
	m := newMemory(board("b", nil))
	a := newAdder(m)
	first, err := a.Add(t.Context(), owner, route, "b", result("p", 1))
	if err != nil {
		t.Fatal(err)
	}
	timed := result("p", 2)
	timed.OccurredAt = ptr(now.Add(-time.Hour))
	if _, _, err := a.AddAll(t.Context(), owner, route, []BatchItem{{"b", result("p", 1)}, {"b", timed}, {"b", reversal(first.ID)}, {"b", result("q", 1)}}, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{0, -time.Hour, 2 * time.Microsecond, 3 * time.Microsecond} {
		if got := m.adds[1].Items[i].OccurredAt.Sub(now); got != want {
			t.Errorf("item %d occurs %v after the request, want %v", i, got, want)
		}
	}
}

func TestABatchOfChangedBoardsIsTriedAgain(t *testing.T) {
	m := newMemory(board("b", nil), board("c", nil), board("d", nil))
	a := newAdder(m)
	for _, id := range []string{"b", "c", "d"} {
		a.boards.keep(m.boards[id])
	}
	m.edit("b", func(b *Board) { b.Max = ptr[int64](5) })
	m.edit("d", func(b *Board) { b.Owners = []string{"somebody else"} })
	items := []BatchItem{{"b", result("p", 1)}, {"c", result("p", 1)}, {"d", result("p", 1)}}
	if _, _, err := a.AddAll(t.Context(), owner, route, items, nil); kindAndFields(err) != "forbidden entries[2].board" {
		t.Errorf("no longer an owner: %v", err)
	}
	if _, _, err := a.AddAll(t.Context(), owner, route, items[:2], nil); err != nil || len(m.entries) != 2 {
		t.Errorf("%d entries, %v", len(m.entries), err)
	}
	items[0].Points = ptr[int64](6)
	if _, _, err := a.AddAll(t.Context(), owner, route, items[:2], nil); kindAndFields(err) != "bad-request entries[0].points" {
		t.Errorf("beyond the new maximum: %v", err)
	}
}

func TestItems(t *testing.T) {
	at := time.Date(2026, 4, 1, 12, 0, 0, 123456789, time.FixedZone("", 9*3600))
	micro := time.Date(2026, 4, 1, 3, 0, 0, 123456000, time.UTC)
	weekly := func(b *Board) { b.Periods = []Period{{Name: All}, {Name: Week}} }
	capped := func(b *Board) { b.DailyCap = ptr[int64](10); b.TimeZone = "Asia/Seoul" }
	user := "0198c0de-0000-7000-8000-00000000abcd"
	for _, c := range []struct {
		name  string
		board func(*Board)
		in    Submission
		check func(Item) bool
	}{
		{"occur at the request's time by default, in whole µs", nil, result("p", 1), func(i Item) bool { return i.OccurredAt == now.Add(123456*time.Microsecond) }},
		{"occur when the client says, in UTC and whole µs", nil, Submission{Player: "p", Points: ptr[int64](1), OccurredAt: &at}, func(i Item) bool { return i.OccurredAt == micro }},
		{"credit every period that contains them", weekly, Submission{Player: "p", Points: ptr[int64](1), OccurredAt: &at}, func(i Item) bool {
			return len(i.Runs) == 2 && i.Runs[0] == Run{Name: All} && i.Runs[1] == Run{Week, time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 6, 0, 0, 0, 0, time.UTC)}
		}},
		{"credit nothing outside every season", func(b *Board) {
			b.Periods = []Period{{Name: "s", Start: now.AddDate(1, 0, 0), End: now.AddDate(2, 0, 0)}}
		}, result("p", 1), func(i Item) bool { return len(i.Runs) == 0 }},
		{"have a day if there is a cap, in the board's zone", capped, result("p", 1), func(i Item) bool { return i.Day != nil && i.Day.Start.Format(time.RFC3339) == "2026-04-04T15:00:00Z" }},
		{"have no day without a cap", nil, result("p", 1), func(i Item) bool { return i.Day == nil }},
		{"have no day as an adjustment", capped, Submission{Player: "p", Points: ptr[int64](1), Kind: ptr(Adjustment), Note: ptr("n")}, func(i Item) bool { return i.Day == nil && i.Kind == Adjustment && i.Note == "n" }},
		{"have a day as an import", capped, Submission{Player: "p", Points: ptr[int64](1), Kind: ptr(Import)}, func(i Item) bool { return i.Day != nil && i.Kind == Import }},
		{"are results by default", nil, result("p", 1), func(i Item) bool { return i.Kind == Result }},
		{"keep tiebreak, metadata and late", nil, Submission{Player: "p", Points: ptr[int64](1), Tiebreak: ptr[int64](-3), Metadata: `{"a":1}`, Late: ptr(true)}, func(i Item) bool { return i.Tiebreak == -3 && i.Metadata == `{"a":1}` && i.Late }},
		{"have the points of their reason", func(b *Board) { b.Catalogue = map[string]int64{"full": 42} }, Submission{Player: "p", Reason: ptr("full")}, func(i Item) bool { return i.Points == 42 && i.Reason == "full" }},
		{"hold nothing but the original as a reversal", capped, reversal(user), func(i Item) bool {
			return i.Reverses == user && i.Note == "wrong bib" && i.Player == "" && i.Kind == "" && i.Runs == nil && i.Day == nil
		}},
		{"name no entry if the original's id is malformed", nil, reversal("'; --"), func(i Item) bool { return i.Reverses == uuid.Nil.String() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", c.board))
			a := newAdder(m)
			a.Now = func() time.Time { return now.Add(123456789 * time.Nanosecond) }
			_, err := a.Add(t.Context(), owner, route, "b", c.in)
			if err != nil && c.in.Reverses == "" {
				t.Fatal(err)
			}
			if item := m.adds[0].Items[0]; !c.check(item) || item.Board != "b" || item.Refused || !ValidEntry(item.ID) {
				t.Errorf("got %+v", item)
			}
		})
	}
}

func TestOneItemHasNoBatch(t *testing.T) {
	m := newMemory(board("b", nil))
	if _, err := newAdder(m).Add(t.Context(), owner, route, "b", result("p", 1)); err != nil || m.adds[0].Batch != "" {
		t.Errorf("%+v, %v", m.adds, err)
	}
}

func TestARequestHoldsTheReasonsThatItNames(t *testing.T) {
	reason := func(board, reason string) BatchItem {
		return BatchItem{board, Submission{Player: "p", Reason: &reason}}
	}
	r := addRequest{items: []BatchItem{reason("b", "full"), reason("c", "half"), reason("b", "none"), {"b", result("p", 1)}}}
	b := board("b", func(b *Board) { b.Catalogue = map[string]int64{"full": 42, "half": 20} })
	if got := r.needed(b); jsonOf(got.Catalogue) != `{"full":42}` || len(b.Catalogue) != 2 {
		t.Errorf("%v of %v", got.Catalogue, b.Catalogue)
	}
	b.ID = "other" // still a board with a catalogue, which takes no points
	if got := r.needed(b); got.Catalogue == nil || len(got.Catalogue) != 0 {
		t.Errorf("%v", got.Catalogue)
	}
	b.Catalogue = nil
	if got := r.needed(b); got.Catalogue != nil {
		t.Errorf("%v", got.Catalogue)
	}
}

// The ledger's work on one player's profiles is the number of items times that of
// attributes.
func TestABatchNamesFewAttributesOfAPlayer(t *testing.T) {
	attributes := func(board, player string, from, to int) BatchItem {
		in := result(player, 1)
		in.Profile = &Profile{Attributes: map[string]*string{}}
		for i := from; i < to; i++ {
			in.Profile.Attributes[fmt.Sprint("a", i)] = nil // clearing names it too
		}
		return BatchItem{board, in}
	}
	most := []BatchItem{
		attributes("b", "p", 0, 16), attributes("b", "p", 16, 32), attributes("b", "p", 32, 48), attributes("b", "p", 48, 64),
		attributes("b", "p", 0, 16), attributes("b", "q", 64, 80), attributes("c", "p", 64, 80),
	}
	for name, c := range map[string]struct {
		more []BatchItem
		want string
	}{
		"as many as allowed": {nil, ""},
		"one more":           {[]BatchItem{attributes("b", "p", 64, 65), attributes("b", "p", 65, 66)}, "bad-request entries[7].profile.attributes"},
	} {
		m := newMemory(board("b", nil), board("c", nil))
		_, _, err := newAdder(m).AddAll(t.Context(), owner, route, slices.Concat(most, c.more), nil)
		if got := kindAndFields(err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// Adds at once share the cache while the board changes under them.
func TestAddsAtOnce(t *testing.T) {
	m := newMemory(board("b", nil))
	calls := 0
	m.before = func() {
		if calls++; calls%4 == 0 {
			m.edit("b", func(*Board) {})
		}
	}
	a := newAdder(m)
	const adds = 40
	var wg sync.WaitGroup
	errs := make([]error, adds)
	for i := range adds {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			for errs[i] = fault.New(fault.Busy, ""); fault.Is(errs[i], fault.Busy); {
				_, errs[i] = a.Add(context.Background(), owner, route, "b", withKey(result("p", 1), key))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || len(m.entries) != adds {
		t.Errorf("%d entries, %v", len(m.entries), err)
	}
}
