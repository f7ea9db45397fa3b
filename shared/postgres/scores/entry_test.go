package scores_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/trace"
)

const addRoute = "POST /v1/boards/{board}/entries"

var owner = access.Caller{User: "o", Role: access.Organizer}

// scores is the scores database of one test, with each deployable as its own
// role.
type scores struct {
	db     *pgtest.Database
	adder  *score.Adder
	reader *score.Reader
	boards *score.Boards

	closings *pgscores.Store // see closer
}

func newScores(t testing.TB, conns int) *scores {
	t.Helper()
	d := pgtest.Scores(t)
	return &scores{
		db:     d,
		adder:  newAdder(t, d, conns),
		reader: &score.Reader{Tables: pgscores.New(d.Open("score_query")), Now: time.Now},
		boards: &score.Boards{Registry: pgscores.New(d.Open("board_admin"))},
	}
}

// newAdder returns an adder with a cache of its own, as another process has.
func newAdder(t testing.TB, d *pgtest.Database, conns int) *score.Adder {
	t.Helper()
	config := d.Config("score_add")
	config.MaxConns = conns
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &score.Adder{Ledger: pgscores.New(db), Now: time.Now}
}

// accepted makes every user accept who is proposed as a player.
func (s *scores) accepted() {
	s.db.Owner().MustExec(`UPDATE players SET user_id = proposed_user, link_state = 'accepted' WHERE proposed_user IS NOT NULL`)
}

func ctxOf(t testing.TB) context.Context {
	return trace.With(t.Context(), trace.Info{Parent: trace.Parent("")})
}

func (s *scores) board(t testing.TB, id string, set func(*score.Board)) score.Board {
	t.Helper()
	if set == nil {
		set = func(*score.Board) {}
	}
	b, err := s.boards.Create(ctxOf(t), owner, id, nil, set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scores) change(t testing.TB, id string, set func(*score.Board)) score.Board {
	t.Helper()
	b, err := s.boards.Change(ctxOf(t), owner, id, nil, set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scores) add(t testing.TB, board string, in score.Submission) score.Added {
	t.Helper()
	added, err := s.adder.Add(ctxOf(t), owner, addRoute, board, in)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// count counts the rows of a table as its owner.
func (s *scores) count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := s.db.Owner().Get(&n, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func ptr[T any](v T) *T { return &v }

// together runs f at the same time in 16 goroutines.
func together(f func(i int)) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestSixteenWritersOnOneKeyMakeOneEntry(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	var answers [16]score.Added
	together(func(i int) {
		var err error
		answers[i], err = s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: "p", Points: ptr[int64](3), Key: "k"})
		if err != nil {
			t.Error(err)
		}
	})
	fresh := 0
	for _, a := range answers {
		if !a.Replayed {
			fresh++
		}
		if !reflect.DeepEqual(a.Entry, answers[0].Entry) {
			t.Errorf("answers differ: %+v and %+v", a.Entry, answers[0].Entry)
		}
	}
	if fresh != 1 || s.count(t, "entries") != 1 || s.count(t, "outbox WHERE entry IS NOT NULL") != 1 || answers[0].Seq != 1 {
		t.Errorf("%d are new, %d entries, %d events", fresh, s.count(t, "entries"), s.count(t, "outbox"))
	}
	if n := s.count(t, "standings WHERE score = 3"); n != 1 {
		t.Error("the score is not 3")
	}
}

func TestSixteenWritersOnOnePlayerLoseNothing(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	const each = 20
	together(func(i int) {
		for n := range each {
			in := score.Submission{Player: "p", Points: ptr(int64(i*each + n))}
			if n%2 == 0 {
				in.Key = fmt.Sprintf("%d.%d", i, n)
			}
			if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); err != nil {
				t.Error(err)
			}
		}
	})
	const all = 16 * each
	standing, err := s.reader.Standing(ctxOf(t), owner, "b", "p", score.Select{})
	if err != nil || standing.Score != all*(all-1)/2 || standing.Of != 1 || *standing.Rank != 1 {
		t.Errorf("got %+v (%v), want a score of %d", standing, err, all*(all-1)/2)
	}
	var rows []struct {
		Seq          int64
		RecordedAt   time.Time `db:"recorded_at"`
		RecordedTime time.Time `db:"recordedtime"`
		Scores       pq.Int64Array
		Points       int64
	}
	err = s.db.Owner().Select(&rows, `SELECT e.seq, e.recorded_at, o.recordedtime, e.scores, e.points
		FROM entries e JOIN outbox o ON o.entry = e.id ORDER BY o.recordedtime, o.id`)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for i, r := range rows {
		sum += r.Points
		if r.Seq != int64(i+1) || !r.RecordedAt.Equal(r.RecordedTime) || r.Scores[0] != sum {
			t.Fatalf("row %d in the events' order has seq %d, score %v, want %d", i, r.Seq, r.Scores, sum)
		}
		if i > 0 && !r.RecordedAt.After(rows[i-1].RecordedAt) {
			t.Fatalf("row %d is not recorded after the one before", i)
		}
	}
	if len(rows) != all {
		t.Errorf("%d entries, want %d", len(rows), all)
	}
}

func TestEventsOfAPlayerAreOrderedThoughTheClockStandsStill(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.db.Owner().MustExec(`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT timestamptz '2026-04-05 00:00:00Z' $$`)
	at := time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC)
	for i := range 3 {
		if a := s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)}); !a.RecordedAt.Equal(at.Add(time.Duration(i) * time.Microsecond)) {
			t.Errorf("entry %d is recorded at %v", i, a.RecordedAt)
		}
	}
}

func TestKeyBelongsToOneRequest(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) { b.Catalogue = map[string]int64{"full": 42, "half": 20} })
	s.board(t, "other", nil)
	in := score.Submission{Player: "p", Reason: ptr("full"), Key: "k"}
	first := s.add(t, "b", in)
	add := func(c access.Caller, route, board string, in score.Submission) (score.Added, error) {
		return s.adder.Add(ctxOf(t), c, route, board, in)
	}
	for name, f := range map[string]func() (score.Added, error){
		"another body": func() (score.Added, error) { in := in; in.Reason = ptr("half"); return add(owner, addRoute, "b", in) },
		"a default, written": func() (score.Added, error) {
			in := in
			in.Kind = ptr(score.Result)
			return add(owner, addRoute, "b", in)
		},
		"another route": func() (score.Added, error) { return add(owner, "POST /v1/entries/batch", "b", in) },
		"another actor": func() (score.Added, error) {
			return add(access.Caller{User: "root", Role: access.Admin}, addRoute, "b", in)
		},
		"a reason unknown to the board": func() (score.Added, error) { in := in; in.Reason = ptr("none"); return add(owner, addRoute, "b", in) },
	} {
		if _, err := f(); !fault.Is(err, fault.KeyReused) {
			t.Errorf("%s: got %v, want key-reused", name, err)
		}
	}
	if _, err := add(owner, addRoute, "other", score.Submission{Player: "p", Points: ptr[int64](1), Key: "k"}); err != nil {
		t.Errorf("the same key on another board: %v", err)
	}

	// A replay returns the first answer, even if the board has changed since.
	s.change(t, "b", func(b *score.Board) { b.Catalogue = map[string]int64{"half": 20}; b.State = score.Closed })
	for range 2 { // with the old board in the cache, then with the new one
		again, err := add(owner, addRoute, "b", in)
		if err != nil || !again.Replayed || !reflect.DeepEqual(again.Entry, first.Entry) {
			t.Errorf("a repeated request got %+v (%v), want %+v", again, err, first)
		}
	}
	if _, err := add(owner, addRoute, "b", score.Submission{Player: "p", Reason: ptr("half")}); !fault.Is(err, fault.BoardClosed) {
		t.Errorf("got %v, want board-closed", err)
	}
	if _, err := add(owner, addRoute, "b", score.Submission{Player: "p", Reason: ptr("full")}); !fault.Is(err, fault.BadRequest) {
		t.Errorf("400 comes before 409: got %v", err)
	}
}

func TestRefusalUsesNoKeyUp(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) { b.Max = ptr[int64](10) })
	in := score.Submission{Player: "p", Points: ptr[int64](11), Key: "k"}
	if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); !fault.Is(err, fault.BadRequest) {
		t.Fatalf("got %v, want bad-request", err)
	}
	s.change(t, "b", func(b *score.Board) { b.Max = ptr(int64(score.MaxPoints)) })
	if a := s.add(t, "b", in); a.Replayed || a.Seq != 1 {
		t.Errorf("got %+v, want a new entry", a)
	}
	before := s.snapshot(t)
	in = score.Submission{Player: "p", Points: ptr(int64(score.MaxPoints)), Key: "k2"}
	if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); !fault.Is(err, fault.ScoreRange) {
		t.Fatalf("got %v, want score-range", err)
	}
	if after := s.snapshot(t); after != before {
		t.Errorf("a refusal wrote: %s became %s", before, after)
	}
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](-11), Kind: ptr(score.Adjustment), Note: ptr("too much")})
	if a := s.add(t, "b", in); a.Replayed || *a.Standings[0].Score != score.MaxPoints {
		t.Errorf("got %+v, want the greatest score", a)
	}
	in = score.Submission{Player: "q", Points: ptr[int64](1), Tiebreak: ptr(int64(score.MaxPoints))}
	s.add(t, "b", in)
	if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); !fault.Is(err, fault.ScoreRange) {
		t.Errorf("a tiebreak beyond the range: got %v", err)
	}
}

// snapshot describes all rows that an add may write.
func (s *scores) snapshot(t testing.TB) string {
	t.Helper()
	var out string
	err := s.db.Owner().Get(&out, `SELECT concat_ws(' ',
		(SELECT count(*) FROM entries), (SELECT count(*) FROM entry_keys), (SELECT count(*) FROM outbox),
		(SELECT count(*) FROM runs), (SELECT json_agg(p ORDER BY id) FROM players p), (SELECT json_agg(s ORDER BY player) FROM standings s))`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOldBoardInTheCacheDecidesNothing(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	in := score.Submission{Player: "p", Points: ptr[int64](5)}
	writer := access.Caller{User: "w", Role: access.Member}
	old := newAdder(t, s.db, 1)
	add := func(c access.Caller) error {
		_, err := old.Add(ctxOf(t), c, addRoute, "b", in)
		return err
	}
	if err := add(writer); !fault.Is(err, fault.Forbidden) {
		t.Fatalf("a stranger: %v", err)
	}
	s.change(t, "b", func(b *score.Board) { b.Writers = []string{"w"} })
	if err := add(writer); err != nil {
		t.Errorf("a new writer: %v", err)
	}
	s.change(t, "b", func(b *score.Board) { b.Max = ptr[int64](4) })
	if err := add(writer); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a new bound: %v", err)
	}
	s.change(t, "b", func(b *score.Board) { b.Max = nil })
	if err := add(writer); err != nil {
		t.Errorf("a removed bound: %v", err)
	}
	s.change(t, "b", func(b *score.Board) { b.Writers = nil; b.Public = false })
	if err := add(writer); !fault.Is(err, fault.NotFound) {
		t.Errorf("a former writer: %v", err)
	}
}

// If the board changes during every attempt, the answer is a 503.
func TestBoardThatChangesAllTheTimeIsBusy(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.adder.Ledger = &restless{Ledger: s.adder.Ledger, before: func() {
		s.change(t, "b", func(b *score.Board) { b.Title += "x" })
	}}
	_, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	if !fault.Is(err, fault.Busy) || s.count(t, "entries") != 0 {
		t.Errorf("got %v, want busy", err)
	}
}

// restless calls before ahead of each attempt to write.
type restless struct {
	score.Ledger
	before func()
}

func (r *restless) Add(ctx context.Context, a score.Addition) (score.Outcome, error) {
	r.before()
	return r.Ledger.Add(ctx, a)
}

func TestNoAddGetsPastTheChangeThatClosesTheBoard(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	var closed time.Time
	var mu sync.Mutex
	var late int
	together(func(i int) {
		if i == 0 {
			for n := range 10 {
				s.change(t, "b", func(b *score.Board) { b.Title = fmt.Sprint("title ", n) })
			}
			s.change(t, "b", func(b *score.Board) { b.State = score.Closed })
			mu.Lock()
			closed = time.Now()
			mu.Unlock()
			return
		}
		for range 500 {
			mu.Lock()
			after := !closed.IsZero()
			mu.Unlock()
			_, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: fmt.Sprint("p", i), Points: ptr[int64](1)})
			switch {
			case err == nil && after:
				mu.Lock()
				late++
				mu.Unlock()
			case fault.Is(err, fault.BoardClosed):
				return
			case err != nil && !fault.Is(err, fault.Busy):
				t.Error(err)
				return
			}
		}
	})
	var version, sum int
	if err := s.db.Owner().Get(&version, `SELECT version FROM boards`); err != nil || version != 12 {
		t.Errorf("version %d (%v), want 12", version, err)
	}
	if err := s.db.Owner().Get(&sum, `SELECT coalesce(sum(score), 0) FROM standings`); err != nil || sum != s.count(t, "entries") {
		t.Errorf("scores of %d from %d entries (%v)", sum, s.count(t, "entries"), err)
	}
	if late > 0 {
		t.Errorf("%d entries came into a board that was closed", late)
	}
}

func TestTwoChangesAtOnceBothHold(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	together(func(i int) {
		for {
			_, err := s.boards.Change(ctxOf(t), owner, "b", nil, func(b *score.Board) { b.Writers = append(b.Writers, fmt.Sprint("w", i)) })
			if err == nil {
				return
			}
			if !fault.Is(err, fault.DatabaseUnavailable) { // 16 wait for 4 connections
				t.Error(err)
				return
			}
		}
	})
	b, err := s.reader.Board(ctxOf(t), owner, "b")
	if err != nil || len(b.Writers) != 16 || b.Version != 17 {
		t.Errorf("got %+v (%v), want 16 writers", b, err)
	}
	if n := s.count(t, "outbox WHERE type = 'plaudit.board.updated'"); n != 16 {
		t.Errorf("%d events, want 16", n)
	}
}

func TestFieldsThatScoresWereCountedByAreFrozen(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	both := func(b *score.Board) { b.Ties, b.Grace, b.Title = score.Shared, 0, "new" }
	s.change(t, "b", both)
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	s.change(t, "b", both) // changes nothing
	_, err := s.boards.Change(ctxOf(t), owner, "b", nil, func(b *score.Board) {
		b.Combine, b.TimeZone, b.Title = score.Best, "Asia/Seoul", "newer"
	})
	f, _ := fault.As(err)
	if f == nil || f.Kind != fault.BoardInUse || f.Field != "combine" || len(f.Errors) != 2 || f.Errors[1].Field != "time_zone" {
		t.Errorf("got %+v, want board-in-use for combine and time_zone", err)
	}
	if b, err := s.reader.Board(ctxOf(t), owner, "b"); err != nil || b.Title != "new" || b.Version != 2 {
		t.Errorf("got %+v (%v), want it as it was", b, err)
	}
}

func TestDatabaseThatIsAwayIsA503(t *testing.T) {
	db, err := postgres.Open(postgres.Config{DSN: "postgres://score_add@127.0.0.1:1/scores?sslmode=disable", Auth: postgres.Password, Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	adder := &score.Adder{Ledger: pgscores.New(db), Now: time.Now}
	_, err = adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.DatabaseUnavailable || f.RetryAfter == 0 {
		t.Errorf("got %v, want database-unavailable", err)
	}
}
