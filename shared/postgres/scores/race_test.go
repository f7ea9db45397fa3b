package scores_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

const batchRoute = "POST /v1/entries/batch"

// gapless fails the test if the entries of a player are not numbered from 1.
func (s *scores) gapless(t *testing.T) {
	t.Helper()
	if n := s.count(t, `(SELECT board, player FROM entries GROUP BY 1, 2 HAVING max(seq) <> count(*) OR count(DISTINCT seq) <> count(*) OR min(seq) <> 1) gaps`); n != 0 {
		t.Errorf("%d players have gaps in seq", n)
	}
}

func TestAnEntryIsReversedOnceBySixteenAtOnce(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	for round := range 5 {
		e := s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](5)})
		var done atomic.Int64
		together(func(i int) {
			var err error
			if i%2 == 0 {
				_, err = s.reverse(t, "b", e.ID)
			} else {
				_, _, err = s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{
					{Board: "b", Submission: score.Submission{Player: "q", Points: ptr[int64](1)}},
					{Board: "b", Submission: score.Submission{Reverses: e.ID, Note: ptr("wrong")}},
				}, nil)
			}
			if err == nil {
				done.Add(1)
			} else if !fault.Is(err, fault.AlreadyReversed) {
				t.Error(err)
			}
		})
		if done.Load() != 1 || s.count(t, "entries WHERE kind = 'reversal'") != round+1 {
			t.Errorf("%d requests reversed it", done.Load())
		}
	}
	if n := s.count(t, "standings WHERE player = 'p'"); n != 0 {
		t.Error("a standing is left without credits")
	}
	s.gapless(t)
}

// Batches that overlap in opposite order of boards, players, keys and entries
// to be reversed: no request meets a deadlock, and every key counts once.
func TestBatchesInOppositeOrder(t *testing.T) {
	s := newScores(t, 16)
	for _, id := range []string{"a", "z"} {
		s.board(t, id, func(b *score.Board) {
			b.Periods = []score.Period{{Name: "all"}, {Name: "day"}, {Name: "hour", Cron: "0 * * * *"}}
			b.Grace = score.Duration(366 * 24 * time.Hour)
		})
	}
	start := time.Now().Add(-120 * time.Hour)
	for round := range 4 {
		together(func(i int) {
			var items []score.BatchItem
			for n := range 24 {
				items = append(items, score.BatchItem{Board: []string{"a", "z"}[n%2], Submission: score.Submission{
					Player: fmt.Sprint("p", n/2), Points: ptr(int64(n)), Key: fmt.Sprint("k", round, ".", n/3, ".", i%4),
					OccurredAt: ptr(start.Add(time.Duration(n+24*round) * time.Hour)),
					Profile:    &score.Profile{DisplayName: score.Text{Set: true, Value: ptr(fmt.Sprint("name ", n))}},
				}})
				items[n].Key += fmt.Sprint(".", n)
			}
			if i%2 == 0 {
				slices.Reverse(items)
			}
			if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); err != nil {
				t.Error(err)
			}
		})
	}
	if n := s.count(t, "entries"); n != 4*4*24 {
		t.Errorf("%d entries, want %d: each key once", n, 4*4*24)
	}
	s.gapless(t)
	for _, id := range []string{"a", "z"} {
		if got := s.check(t, id); got != nil {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// An add is either written before its board is closed or refused: none is written
// after the PATCH was answered.
func TestClosingABoardMeetsAdds(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	closed := make(chan int)
	stop := make(chan struct{})
	var added atomic.Int64
	go func() {
		for added.Load() < 20 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		_, err := s.boards.Change(ctxOf(t), owner, "b", nil, func(b *score.Board) { b.State = score.Closed })
		if err != nil {
			t.Error(err)
		}
		closed <- s.count(t, "entries")
		time.Sleep(50 * time.Millisecond)
		close(stop)
	}()
	done := make(chan struct{})
	go func() {
		together(func(i int) {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: fmt.Sprint("p", n%3), Points: ptr[int64](1)})
				if err == nil {
					added.Add(1)
				} else if !fault.Is(err, fault.BoardClosed) {
					t.Error(err)
				}
			}
		})
		close(done)
	}()
	n := <-closed
	<-done
	if after := s.count(t, "entries"); after != n || int(added.Load()) != n {
		t.Errorf("%d entries when it was closed, %d later, %d successful answers", n, after, added.Load())
	}
}

// A table that was seen closed never changes, though what was added before its
// end, and a status that was changed then, is committed only afterwards.
func TestClosedTableStays(t *testing.T) {
	s := newScores(t, 16)
	db := s.db.Owner()
	// Commits take a while, and the clock is moved by hand.
	db.MustExec(`
		CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		WHEN (new.type = 'plaudit.entry.added' OR new.type = 'plaudit.player.changed') EXECUTE FUNCTION dawdle()`)
	end := time.Now().UTC().Truncate(time.Millisecond)
	clock := stepper{s, db}.clock
	clock(t, end.Add(-30*time.Second))
	season := score.Period{Name: "season", Start: end.AddDate(-1, 0, 0), End: end}
	b := s.board(t, "b", func(b *score.Board) { b.Periods, b.Grace = []score.Period{season, {Name: score.All}}, 0 })
	run := score.Run{Name: season.Name, Start: season.Start, End: season.End}

	var added, changed atomic.Int64
	seen := make(chan struct{}) // the table, closed
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(func(i int) {
			for n := 0; ; n++ {
				in := score.Submission{Player: fmt.Sprint("p", i, ".", n), Points: ptr[int64](1), OccurredAt: ptr(end.Add(-time.Hour))}
				var err error
				switch {
				case i == 0:
					_, _, err = s.boards.ChangePlayer(ctxOf(t), owner, "b", fmt.Sprint("p1.", n), nil, score.PlayerChange{Status: ptr(score.Status("hidden")), Note: score.Text{Set: true, Value: ptr("why")}})
				case i%2 == 0:
					_, _, err = s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{{Board: "b", Submission: in}}, nil)
				default:
					_, err = s.adder.Add(ctxOf(t), owner, addRoute, "b", in)
				}
				if fault.Is(err, fault.PeriodClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if i > 0 {
					added.Add(1)
					continue
				}
				changed.Add(1)
				select {
				case <-seen:
					return
				default:
				}
			}
		})
	}()
	for (added.Load() < 20 || changed.Load() < 2) && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	clock(t, end)

	read := func() score.Table {
		table, _, err := s.reader.Tables.Table(ctxOf(t), b, run, nil, score.PageRequest{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	var closed score.Table
	for !closed.Run.Closed {
		closed = read()
	}
	close(seen)
	<-done
	if later := read(); !reflect.DeepEqual(later, closed) {
		t.Errorf("the table had %d players when it was closed, and %d later", len(closed.Items), len(later.Items))
	}
	if n := s.count(t, "standings WHERE run = (SELECT no FROM runs WHERE period = 'season')"); int64(n) != added.Load() || n == 0 {
		t.Errorf("%d were added, %d are in the table", added.Load(), n)
	}
}

// A reader that finds a run just closed waits for each session that still writes
// into it.
func TestReaderOfAClosedRunWaitsForItsWriters(t *testing.T) {
	for name, write := range map[string]string{
		"a change of status": `SELECT change_player_v2('b', 1, 'p', '{"status": "dnf"}', 'user/o', 'o', $1)`,
		"an entry":           `SELECT add_entries_v3('{b}', ARRAY[(0, '00000000-0000-0000-0000-000000000001', 'b', 1, 'q', NULL, NULL, false, false, 'result', 1, 0, NULL, NULL, '2026-04-05 11:00Z', NULL, NULL, NULL, NULL, NULL, NULL, 1)::add_item_v1], ARRAY[(1, 'b', 'season', '2025-04-05 12:00Z', '2026-04-05 12:00Z')::add_run_v1], 'user/o', 'o', $1, NULL, '{}')`,
		"a profile":          `SELECT add_entries_v3('{b}', ARRAY[(0, '00000000-0000-0000-0000-000000000001', 'b', 1, 'p', NULL, NULL, false, true, 'result', 1, 0, NULL, NULL, '2026-04-06 12:00Z', NULL, NULL, NULL, '{"attributes": {"sex": "f"}}', NULL, NULL, 1)::add_item_v1], ARRAY[(1, 'b', 'all', NULL, NULL)::add_run_v1], 'user/o', 'o', $1, NULL, '{}')`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStepper(t)
			s.clock(t, noon.Add(-time.Second))
			s.adder.Now = func() time.Time { return noon }
			season := score.Period{Name: "season", Start: noon.AddDate(-1, 0, 0), End: noon}
			b := s.board(t, "b", func(b *score.Board) {
				b.Periods, b.Grace, b.Categories = []score.Period{season, {Name: score.All}}, 0, []string{"sex"}
			})
			s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: ptr(noon.Add(-time.Hour))})
			read := func() (score.Table, error) {
				run := score.Run{Name: season.Name, Start: season.Start, End: season.End}
				table, _, err := s.reader.Tables.Table(ctxOf(t), b, run, nil, score.PageRequest{Limit: 10})
				return table, err
			}
			before, err := read()
			if err != nil || before.Run.Closed {
				t.Fatalf("closed too early: %+v, %v", before, err)
			}

			writer, err := s.scores.db.Owner().Beginx()
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Rollback()
			if _, err := writer.Exec(write, parent); err != nil {
				t.Fatal(err)
			}
			s.clock(t, noon)
			var closed score.Table
			done := make(chan error)
			go func() {
				var err error
				closed, err = read()
				done <- err
			}()
			s.waits(t, done)
			if err := writer.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			later, err := read()
			if err != nil || !closed.Run.Closed || !reflect.DeepEqual(closed, later) {
				t.Errorf("the table was %+v when it was closed, and is %+v (%v)", closed, later, err)
			}
			if reflect.DeepEqual(closed.Items, before.Items) {
				t.Errorf("the table is still %+v", closed.Items)
			}
		})
	}
}

// The copies in open standings are the player's, even if adds meet the change.
func TestStatusChangesMeetAdds(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", func(b *score.Board) { b.Categories = []string{"sex"} })
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	together(func(i int) {
		for n := range 10 {
			if i%4 == 0 {
				c := score.PlayerChange{Status: ptr([]score.Status{score.Ranked, score.Disqualified}[n%2])}
				c.Attributes = map[string]*string{"sex": ptr(fmt.Sprint(i, n))}
				if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, c); err != nil {
					t.Error(err)
				}
			} else if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: "p", Points: ptr[int64](1)}); err != nil {
				t.Error(err)
			}
		}
	})
	if got := s.check(t, "b"); got != nil {
		t.Errorf("got %q", got)
	}
	s.gapless(t)
	if n := s.count(t, `(SELECT recordedtime FROM outbox WHERE entry IS NOT NULL OR subject = 'board/b/player/p' GROUP BY 1 HAVING count(*) > 1) same`); n != 0 {
		t.Errorf("%d events of the player share their time with another", n)
	}
}

// A thousand entries are added and reversed, each in one call.
func TestAThousandItems(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) {
		b.Periods = []score.Period{{Name: "all"}, {Name: "day"}, {Name: "week"}}
		b.Categories, b.DailyCap = []string{"sex"}, ptr[int64](100)
	})
	var items []score.BatchItem
	for n := range 1000 {
		items = append(items, score.BatchItem{Board: "b", Submission: score.Submission{
			Player: fmt.Sprint("p", n*7%800), Points: ptr[int64](1), Key: fmt.Sprint("k", n),
			Profile: &score.Profile{Attributes: map[string]*string{"sex": ptr("f")}},
		}})
	}
	batch, added, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil)
	if err != nil {
		t.Fatal(err)
	}
	var reversals []score.BatchItem
	for _, a := range added {
		if a.Batch != batch {
			t.Fatal("another batch")
		}
		reversals = append(reversals, score.BatchItem{Board: "b", Submission: score.Submission{Reverses: a.ID, Note: ptr("wrong")}})
	}
	if _, _, err = s.adder.AddAll(ctxOf(t), owner, batchRoute, reversals, nil); err != nil {
		t.Fatal(err)
	}
	if s.count(t, "standings") != 0 || s.count(t, "entries") != 2000 {
		t.Errorf("%d standings, %d entries", s.count(t, "standings"), s.count(t, "entries"))
	}
	s.gapless(t)
}
