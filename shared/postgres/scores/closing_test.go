package scores_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// closer returns a closer, and what it counts. The role may have few connections, so each
// closer of a test uses the same one.
func (s *scores) closer(t testing.TB) (score.Closer, map[string]int) {
	t.Helper()
	if s.closings == nil {
		s.closings = pgscores.New(s.db.Open("period_close"))
	}
	counts := map[string]int{}
	return score.Closer{
		Closings: s.closings, Pause: time.Millisecond,
		Count: func(_ context.Context, name string, n int) { counts[name] += n },
	}, counts
}

// close announces what is due, and returns how many runs that were.
func (s *scores) close(t testing.TB) int {
	t.Helper()
	closer, counts := s.closer(t)
	if err := closer.Run(ctxOf(t)); err != nil {
		t.Fatal(err)
	}
	return counts["Closed"]
}

// announced returns the events of closed runs, in the order in which they were written.
func (s *scores) announced(t testing.TB) (found []event.Event) {
	t.Helper()
	rows, err := pgscores.New(s.db.Open("db_check")).Kept(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Event.Type == event.BoardPeriodClosed {
			eventtest.Validate(t, r.Event)
			found = append(found, r.Event)
		}
	}
	return found
}

// closing is the data of an event.
type closing struct {
	Period struct {
		Name       string
		Start, End time.Time
	}
	Of  int64
	Top []place
}

type place struct {
	Rank   int64
	Player string
	Score  int64
}

func closingOf(t testing.TB, e event.Event) (c closing) {
	t.Helper()
	if err := json.Unmarshal(e.JSON, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// lastYear is a season that ends at noon.
var lastYear = score.Period{Name: "season", Start: noon.AddDate(-1, 0, 0), End: noon}

func beforeNoon(player string, points int64) score.Submission {
	return score.Submission{Player: player, Points: &points, OccurredAt: ptr(noon.Add(-time.Hour))}
}

func TestClosedRunIsAnnouncedOnce(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	b := &bell{}
	s.board(t, "b", func(b *score.Board) {
		b.Owners, b.Grace = []string{"second", "o"}, score.Duration(time.Hour)
		b.Periods = []score.Period{{Name: score.All}, lastYear, {Name: "noon", Cron: "0 12 * * *"}}
	})
	for i := range 12 {
		s.add(t, "b", beforeNoon(fmt.Sprint("p", i), int64(100-i)))
	}
	linked := func(player, user string) {
		if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", player, nil, score.PlayerChange{Profile: userIs(user)}); err != nil {
			t.Fatal(err)
		}
	}
	linked("p0", "u0")
	linked("p1", "o") // an owner
	linked("p4", "u4")
	s.accepted()
	linked("p2", "u2") // proposed only
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p3", nil, score.PlayerChange{Status: ptr(score.Disqualified), Note: score.Text{Set: true, Value: ptr("why")}}); err != nil {
		t.Fatal(err)
	}

	// Both runs end at noon and close an hour later.
	s.clock(t, noon.Add(time.Hour-time.Microsecond))
	if n := s.close(t); n != 0 {
		t.Errorf("%d runs were announced before they closed", n)
	}
	s.clock(t, noon.Add(time.Hour))
	closer, counts := s.closer(t)
	closer.Closings = s.closings.Waking(b)
	if err := closer.Run(ctxOf(t)); err != nil || !reflect.DeepEqual(counts, map[string]int{"Closed": 2}) || b.rings != 2 {
		t.Errorf("%v, counted %v, %d wakes", err, counts, b.rings)
	}
	s.clock(t, noon.AddDate(0, 1, 0))
	if n := s.close(t); n != 0 {
		t.Errorf("%d runs were announced again", n)
	}

	events := s.announced(t)
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	// Runs that close together are announced in the order in which their rows were made:
	// by name.
	e := events[1]
	if e.Subject != "board/b" || e.Actor != "service/period-close" || e.Notify != "o,second,u0" || e.SubjectSeq != 3 ||
		!e.RecordedTime.Equal(noon.Add(time.Hour+time.Microsecond)) || !reflect.DeepEqual(e.Extensions, map[string]any{"owners": "second,o", "public": true}) {
		t.Errorf("the event is %+v", e)
	}
	var top []string
	for i, n := range []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 10} {
		top = append(top, fmt.Sprintf(`{"rank": %d, "player": "p%d", "score": %d}`, i+1, n, 100-n))
	}
	const period = `{"name": "season", "start": "2025-04-05T12:00:00Z", "end": "2026-04-05T12:00:00Z"}`
	sameJSON(t, "the data", string(e.JSON), `{"period": `+period+`, "of": 11, "top": [`+strings.Join(top, ",")+`]}`)
	if c := closingOf(t, events[0]); c.Period.Name != "noon" || !c.Period.End.Equal(noon) || c.Of != 11 || events[0].SubjectSeq != 2 {
		t.Errorf("the first event is %+v", events[0])
	}
}

// The event has the ranks and the order of the table.
func TestAnnouncementIsTheTable(t *testing.T) {
	for _, order := range []score.Order{score.Desc, score.Asc} {
		for _, ties := range []score.Ties{score.First, score.Shared} {
			s := newStepper(t)
			s.clock(t, noon.Add(-time.Minute))
			s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
			b := s.board(t, "b", func(b *score.Board) {
				b.Order, b.Ties, b.Grace, b.Periods = order, ties, 0, []score.Period{lastYear}
			})
			for i := range 15 {
				in := beforeNoon(fmt.Sprintf("p%02d", i*7%15), int64(i%4))
				in.OccurredAt = ptr(noon.Add(-time.Duration(1+i%3) * time.Hour))
				s.add(t, "b", in)
			}
			s.clock(t, noon)
			if n := s.close(t); n != 1 {
				t.Fatalf("%d runs were announced", n)
			}
			table, _, err := s.reader.Tables.Table(ctxOf(t), b, score.Run{Name: "season", Start: lastYear.Start, End: lastYear.End}, nil, score.PageRequest{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			var want []place
			for _, i := range table.Items {
				want = append(want, place{*i.Rank, i.Player, i.Score})
			}
			if got := closingOf(t, s.announced(t)[0]); !slices.Equal(got.Top, want) || got.Of != table.Of || len(want) != 10 {
				t.Errorf("%s, %s: the top is\n%v of %d, the table\n%v of %d", order, ties, got.Top, got.Of, want, table.Of)
			}
		}
	}
}

// Of many who share a rank, at most ten are told.
func TestSharedFirstRank(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	s.board(t, "b", func(b *score.Board) { b.Ties, b.Grace, b.Periods = score.Shared, 0, []score.Period{lastYear} })
	for i := range 20 {
		in := beforeNoon(fmt.Sprintf("p%02d", i), 1)
		in.Profile = ptr(userIs(fmt.Sprintf("u%02d", i)))
		s.add(t, "b", in)
	}
	s.accepted()
	s.clock(t, noon)
	s.close(t)
	e := s.announced(t)[0]
	if c := closingOf(t, e); c.Of != 20 || len(c.Top) != 10 || c.Top[9] != (place{1, "p09", 1}) || e.Notify != "o,u00,u01,u02,u03,u04,u05,u06,u07,u08,u09" {
		t.Errorf("the event is %s to %s", e.JSON, e.Notify)
	}
}

// On a board of registered players, too, only who has accepted to be a player is told: a
// user whose id an organizer enters has agreed to nothing, and may not read a private board.
func TestOnlyWhoAcceptedIsTold(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	s.board(t, "b", func(b *score.Board) {
		b.Players, b.Grace, b.Periods = score.RegisteredPlayers, 0, []score.Period{lastYear}
	})
	id := func(n int) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012d", n) }
	for n := 1; n <= 4; n++ {
		in := beforeNoon(id(n), int64(10-n))
		if n == 2 {
			in.Profile = ptr(userIs(id(n)))
		}
		s.add(t, "b", in)
	}
	s.accepted()
	s.clock(t, noon)
	s.close(t)
	if got, want := s.announced(t)[0].Notify, id(2)+",o"; got != want {
		t.Errorf("told are %s, want %s", got, want)
	}
}

// A run exists where entries are: it is announced although nothing is left of them, or
// nobody is ranked. A period without entries has no run.
func TestEmptyRunIsAnnouncedWithAnEmptyTop(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for _, id := range []string{"reversed", "hidden", "without"} {
		s.board(t, id, func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
	}
	added := s.add(t, "reversed", beforeNoon("p", 1))
	if _, err := s.reverse(t, "reversed", added.ID); err != nil {
		t.Fatal(err)
	}
	s.add(t, "hidden", beforeNoon("p", 1))
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "hidden", "p", nil, score.PlayerChange{Status: ptr(score.Hidden), Note: score.Text{Set: true, Value: ptr("why")}}); err != nil {
		t.Fatal(err)
	}
	s.clock(t, noon)
	if n := s.close(t); n != 2 {
		t.Errorf("%d runs were announced, want 2", n)
	}
	for _, e := range s.announced(t) {
		if c := closingOf(t, e); c.Of != 0 || c.Top == nil || len(c.Top) != 0 || e.Notify != "o" {
			t.Errorf("the event of %s is %s to %s", e.Subject, e.JSON, e.Notify)
		}
	}
}

// A board that takes no more entries, or left the list, still has periods that close.
func TestClosedAndArchivedBoardsAreAnnounced(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for _, state := range []score.State{score.Closed, score.Archived} {
		s.board(t, string(state), func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
		s.add(t, string(state), beforeNoon("p", 1))
		s.change(t, string(state), func(b *score.Board) { b.State = state })
	}
	s.clock(t, noon)
	if n := s.close(t); n != 2 {
		t.Errorf("%d runs were announced, want 2", n)
	}
}

// No run of a draft closes. Opening it closes what is past, and tells nobody; what closes
// later is told.
func TestOpenedDraftIsAnnouncedWithoutMail(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon)
	s.adder.Now = func() time.Time { return noon }
	s.board(t, "b", func(b *score.Board) {
		b.State, b.Grace, b.Periods = score.Draft, score.Duration(time.Hour), []score.Period{{Name: score.All}, {Name: score.Day}}
	})
	for day := range 2500 {
		if day%10 > 0 && day < 2490 { // many runs without as many entries
			s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, 'day', $2::timestamptz, $2::timestamptz + interval '1 day')`,
				s.no(t, "b"), noon.Truncate(24*time.Hour).AddDate(0, 0, -day))
			continue
		}
		in := beforeNoon("p", 1)
		in.OccurredAt = ptr(in.OccurredAt.AddDate(0, 0, -day))
		s.add(t, "b", in)
	}
	if n := s.close(t); n != 0 || s.count(t, "runs WHERE closes_at < 'infinity'") != 0 {
		t.Errorf("%d runs of a draft were announced", n)
	}
	s.clock(t, noon.Add(time.Second))
	s.change(t, "b", func(b *score.Board) { b.State = score.Open })
	if n := s.close(t); n != 2499 {
		t.Errorf("%d runs were announced, want 2499", n)
	}
	if n := s.count(t, "outbox WHERE type = 'plaudit.board.period-closed' AND notify IS NOT NULL"); n != 0 || s.count(t, "opened_boards") != 0 {
		t.Errorf("%d events notify, %d boards are left", n, s.count(t, "opened_boards"))
	}
	s.clock(t, noon.AddDate(0, 0, 1))
	if n := s.close(t); n != 1 || s.count(t, "outbox WHERE type = 'plaudit.board.period-closed' AND notify = 'o'") != 1 {
		t.Errorf("%d runs were announced later", n)
	}
}

// Days and weeks of a zone close where the zone's calendar ends them, also if the clocks
// changed meanwhile. New York's did on 8 March and on 1 November 2026, at two in the
// morning.
func TestRunsCloseByTheCalendarOfTheZone(t *testing.T) {
	const ny = "America/New_York"
	for _, c := range []struct{ period, at, closes string }{
		{score.Day, "2026-03-07T17:00:00Z", "2026-03-08T05:00:00Z"},
		{score.Day, "2026-03-08T17:00:00Z", "2026-03-09T04:00:00Z"}, // 23 hours
		{score.Week, "2026-03-08T17:00:00Z", "2026-03-09T04:00:00Z"},
		{score.Day, "2026-10-31T17:00:00Z", "2026-11-01T04:00:00Z"},
		{score.Day, "2026-11-01T17:00:00Z", "2026-11-02T05:00:00Z"}, // 25 hours
		{score.Week, "2026-11-01T17:00:00Z", "2026-11-02T05:00:00Z"},
		{score.Month, "2026-03-02T17:00:00Z", "2026-04-01T04:00:00Z"},
		{"half past one", "2026-10-31T17:00:00Z", "2026-11-01T05:30:00Z"},
	} {
		for _, grace := range []time.Duration{0, 90 * time.Minute} {
			t.Run(fmt.Sprint(c.period, " of ", c.at, ", grace ", grace), func(t *testing.T) {
				at, closes := instantOf(t, c.at), instantOf(t, c.closes).Add(grace)
				s := newStepper(t)
				s.clock(t, at)
				s.adder.Now = func() time.Time { return at }
				s.board(t, "b", func(b *score.Board) {
					b.TimeZone, b.Grace, b.Periods = ny, score.Duration(grace), []score.Period{{Name: c.period}}
					if c.period == "half past one" {
						b.Periods[0].Cron = "30 1 * * *"
					}
				})
				s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: &at})
				s.clock(t, closes.Add(-time.Microsecond))
				if n := s.close(t); n != 0 {
					t.Errorf("it closed before %s", closes)
				}
				s.clock(t, closes)
				if n := s.close(t); n != 1 {
					t.Errorf("it is not closed at %s", closes)
				}
			})
		}
	}
}

func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Whatever adds, reversals, changes of players and of the board are under way when a run
// closes: none changes its table after the event, and the event has what each of them was
// told.
func TestNothingReachesATableThatWasAnnounced(t *testing.T) {
	s := newScores(t, 16)
	db := s.db.Owner()
	// Commits take a while, and the clock is moved by hand.
	db.MustExec(`
		CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		WHEN (new.type <> 'plaudit.board.period-closed') EXECUTE FUNCTION dawdle()`)
	end := time.Now().UTC().Truncate(time.Millisecond)
	clock := stepper{s, db}.clock
	clock(t, end.Add(-30*time.Second))
	season := score.Period{Name: "season", Start: end.AddDate(-1, 0, 0), End: end}
	b := s.board(t, "b", func(b *score.Board) { b.Periods, b.Grace = []score.Period{season}, 0 })
	boards := s.withConns(t, 16)

	var added, reversed, changed, patched atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(func(i int) {
			for n := 0; n < 100_000 && t.Context().Err() == nil; n++ {
				in := score.Submission{Player: fmt.Sprint("p", i, ".", n), Points: ptr(int64(n)), OccurredAt: ptr(end.Add(-time.Hour))}
				var err error
				switch i {
				case 0:
					_, _, err = boards.ChangePlayer(ctxOf(t), owner, "b", fmt.Sprint("p3.", n), nil, score.PlayerChange{Status: ptr(score.Hidden), Note: score.Text{Set: true, Value: ptr("why")}})
					changed.Add(1)
				case 1:
					_, err = boards.Change(ctxOf(t), owner, "b", nil, func(b *score.Board) { b.Title = fmt.Sprint("Title ", n) })
					patched.Add(1)
					time.Sleep(20 * time.Millisecond)
				case 2:
					_, _, err = s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{{Board: "b", Submission: in}, {Board: "b", Submission: in}}, nil)
				default:
					var e score.Added
					if e, err = s.adder.Add(ctxOf(t), owner, addRoute, "b", in); err == nil && n%3 == 0 {
						if _, err = s.reverse(t, "b", e.ID); err == nil {
							reversed.Add(1)
						}
					}
					if err == nil {
						added.Add(1)
					}
				}
				if fault.Is(err, fault.PeriodClosed) {
					return
				}
				// A change of the board may come between reading and adding three times.
				if err != nil && !fault.Is(err, fault.Busy) {
					t.Error(err)
					return
				}
				if i < 2 && s.count(t, "runs WHERE announced_at IS NOT NULL") == 1 && n > 10 {
					return
				}
			}
		})
	}()
	for (added.Load() < 50 || reversed.Load() < 10 || changed.Load() < 5 || patched.Load() < 3) && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	clock(t, end)
	// Two at once, as soon as it is due.
	var closed sync.WaitGroup
	var announced atomic.Int64
	for range 2 {
		closer, counts := s.closer(t)
		closed.Go(func() {
			if err := closer.Run(ctxOf(t)); err != nil {
				t.Error(err)
			}
			announced.Add(int64(counts["Closed"]))
		})
	}
	closed.Wait()
	events := s.announced(t)
	if announced.Load() != 1 || len(events) != 1 {
		t.Fatalf("it was announced %d times, with %d events", announced.Load(), len(events))
	}
	<-done

	table, _, err := s.reader.Tables.Table(ctxOf(t), b, score.Run{Name: season.Name, Start: season.Start, End: season.End}, nil, score.PageRequest{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var want []place
	for _, i := range table.Items {
		want = append(want, place{*i.Rank, i.Player, i.Score})
	}
	if c := closingOf(t, events[0]); c.Of != table.Of || !slices.Equal(c.Top, want) || c.Of == 0 {
		t.Errorf("the event has\n%v of %d, and the table is\n%v of %d", c.Top, c.Of, want, table.Of)
	}
	if got := s.check(t, "b"); got != nil {
		t.Errorf("got %q", got)
	}
}

// An adder that found the run open holds the lock until it commits: it is never left out.
// The closer does not wait for it long, and goes on with the next board.
func TestCloserWaitsShortlyForABoardAndComesBack(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for _, id := range []string{"a", "z"} {
		s.board(t, id, func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
		s.add(t, id, beforeNoon("p", 1))
	}
	tx := s.scores.db.Owner().MustBegin()
	defer tx.Rollback() // does nothing after a commit
	tx.MustExec(`SELECT add_entries_v3('{a}', ARRAY[(0, '00000000-0000-0000-0000-000000000001', 'a', 1, 'q', NULL, NULL, false, false, 'result', 5, 0, NULL, NULL, '2026-04-05 11:00Z', NULL, NULL, NULL, NULL, NULL, NULL, 1)::add_item_v1],
		ARRAY[(1, 'a', 'season', '2025-04-05 12:00Z', '2026-04-05 12:00Z')::add_run_v1], 'user/o', 'o', $1, NULL, '{}')`, parent)
	s.clock(t, noon)
	closer, counts := s.closer(t)
	done := make(chan error, 1)
	go func() { done <- closer.Run(ctxOf(t)) }()
	s.until(t, done, `SELECT EXISTS (SELECT FROM outbox WHERE type = 'plaudit.board.period-closed' AND subject = 'board/z')`)
	if n := len(s.announced(t)); n != 1 {
		t.Errorf("%d runs were announced while an add was under way", n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || counts["Closed"] != 2 {
		t.Errorf("%v, counted %v", err, counts)
	}
	if c := closingOf(t, s.announced(t)[1]); c.Of != 2 || c.Top[0] != (place{1, "q", 5}) {
		t.Errorf("the event is %+v", c)
	}
}

// A process that dies before the commit has announced nothing, and one that dies after it
// leaves nothing to announce: the relay's own schedule finds its event. A call at the same
// time wakes the relay, too.
func TestCloserThatDies(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	s.board(t, "b", func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
	s.add(t, "b", beforeNoon("p", 1))
	s.clock(t, noon)
	var run int64
	if err := s.scores.db.Owner().Get(&run, `SELECT no FROM runs`); err != nil {
		t.Fatal(err)
	}
	role := s.scores.db.Open("period_close")
	tx := role.MustBegin()
	if got := ""; tx.Get(&got, `SELECT announce_run_v1($1, $2) ->> 'state'`, run, parent) != nil || got != "announced" {
		t.Fatalf("the first call returned %q", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := s.close(t); n != 1 {
		t.Errorf("%d runs were announced after the crash", n)
	}
	var again string
	if err := role.Get(&again, `SELECT announce_run_v1($1, $2)`, run, parent); err != nil || again != `{"wake": true, "state": "done"}` || len(s.announced(t)) != 1 {
		t.Errorf("the repetition returned %s, %v; %d events", again, err, len(s.announced(t)))
	}
}

// Sixteen at once, days later: each run is announced once, and the late ones are counted.
func TestManyClosersAtOnce(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for i := range 20 {
		id := fmt.Sprint("b", i)
		s.board(t, id, func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear, {Name: score.Week}} })
		s.add(t, id, beforeNoon("p", 1))
	}
	s.clock(t, noon.AddDate(0, 0, 10))
	config := s.scores.db.Config("period_close")
	config.MaxConns = 3
	pool, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s.closings = pgscores.New(pool)
	var total, late atomic.Int64
	together(func(int) {
		closer, counts := s.closer(t)
		if err := closer.Run(ctxOf(t)); err != nil {
			t.Error(err)
		}
		total.Add(int64(counts["Closed"]))
		late.Add(int64(counts["Late"]))
	})
	if total.Load() != 40 || late.Load() != 40 || s.count(t, "outbox WHERE type = 'plaudit.board.period-closed'") != 40 {
		t.Errorf("%d were announced, %d of them late, %d events", total.Load(), late.Load(), len(s.announced(t)))
	}
}

// A run that cannot be announced does not keep others from it.
func TestRunThatCannotBeAnnounced(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for _, id := range []string{"a", "broken", "z"} {
		s.board(t, id, func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
		s.add(t, id, beforeNoon("p", 1))
	}
	s.exec(t, `ALTER TABLE outbox ADD CONSTRAINT broken CHECK (subject <> 'board/broken') NOT VALID`)
	s.clock(t, noon)
	closer, counts := s.closer(t)
	if err := closer.Run(ctxOf(t)); err == nil || !strings.Contains(err.Error(), "announce run") || !reflect.DeepEqual(counts, map[string]int{"Closed": 2, "Failed": 1}) {
		t.Errorf("%v, counted %v", err, counts)
	}
	s.exec(t, `ALTER TABLE outbox DROP CONSTRAINT broken`)
	if n := s.close(t); n != 1 {
		t.Errorf("%d were announced afterwards", n)
	}
}

// A closer reads only the runs that are due, however many boards there are.
func TestDueRunsAreFoundByTheirIndex(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	for i := range 10 {
		s.board(t, fmt.Sprint("b", i), func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
		s.add(t, fmt.Sprint("b", i), beforeNoon("p", 1))
	}
	// Those of 100,000 more boards have closed and are announced, or will close.
	s.exec(t, `ALTER TABLE runs DISABLE TRIGGER runs_dated`)
	for part := range 10 { // a statement has two seconds
		s.exec(t, `INSERT INTO runs (board, period, start_at, end_at, closes_at, announced_at)
			SELECT 1000 + $1 + n, e.period, e.at - interval '1 day', e.at, e.at, e.announced
			FROM generate_series(1, 10000) n, (VALUES ('past', $2::timestamptz - interval '1 hour', $2::timestamptz), ('next', $2::timestamptz + interval '1 hour', NULL)) e (period, at, announced)`,
			10_000*part, noon)
	}
	s.exec(t, `ALTER TABLE runs ENABLE TRIGGER runs_dated`)
	s.exec(t, `ANALYZE runs`)
	s.clock(t, noon)

	tx := s.scores.db.Owner().MustBegin()
	defer tx.Rollback()
	var n int
	if err := tx.Get(&n, `SELECT count(*) FROM due_runs_v1('-infinity', 0, 100)`); err != nil || n != 10 {
		t.Fatalf("%d runs are due, %v", n, err)
	}
	var read struct{ Scans, Rows int }
	if err := tx.Get(&read, `SELECT seq_scan AS scans, seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'runs'`); err != nil || read.Scans != 0 || read.Rows > 10 {
		t.Errorf("%d scans and %d rows of the table were read, %v", read.Scans, read.Rows, err)
	}
	tx.Rollback()
	if n := s.close(t); n != 10 {
		t.Errorf("%d runs were announced, want 10", n)
	}
}

// A closer whose time is over leaves the rest to the next one.
func TestCloserEndsBeforeItsDeadline(t *testing.T) {
	s := newStepper(t)
	s.clock(t, noon.Add(-time.Minute))
	s.adder.Now = func() time.Time { return noon.Add(-time.Minute) }
	s.board(t, "b", func(b *score.Board) { b.Grace, b.Periods = 0, []score.Period{lastYear} })
	s.add(t, "b", beforeNoon("p", 1))
	s.clock(t, noon)
	closer, counts := s.closer(t)
	closer.Reserve = time.Hour
	ctx, cancel := context.WithTimeout(ctxOf(t), time.Minute)
	defer cancel()
	if err := closer.Run(ctx); err != nil || counts["Closed"] != 0 {
		t.Errorf("%v, counted %v", err, counts)
	}
	if n := s.close(t); n != 1 {
		t.Errorf("%d were announced by the next one", n)
	}
}
