package scores_test

import (
	"context"
	"testing"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
	"plaudit/shared/event"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// A database that is set back to a point in time counts its rows from there again. The log
// keeps the events that the database has lost, takes the new ones, and a restore and a
// check still know which is which.
func TestADatabaseThatIsSetBackLosesNoNewChanges(t *testing.T) {
	t.Parallel()
	s, log := newScores(t, 1), audittest.New()
	ignore := func(context.Context, string, int) {}
	relay := &audit.Relay{Outbox: s.relay(t), Log: log, Batch: 100, Writers: 4, SendTime: time.Second, Count: ignore, Peak: ignore}
	run := func(events int) {
		t.Helper()
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.count(t, "outbox_failed"); n != 0 || log.Len() != events {
			t.Errorf("the log has %d events, want %d; %d rows were set aside", log.Len(), events, n)
		}
	}
	add := func(player string) {
		s.add(t, "b", score.Submission{Player: player, Points: ptr[int64](1)})
	}
	s.board(t, "b", nil)
	add("kept")
	run(2)
	add("lost")
	add("lost")
	run(4)

	s.db.Owner().MustExec(`
		DELETE FROM outbox WHERE id > 2;
		DELETE FROM entries WHERE player = 'lost';
		DELETE FROM standings WHERE player = 'lost';
		DELETE FROM players WHERE id = 'lost';
		ALTER TABLE outbox ALTER COLUMN id RESTART WITH 3`)
	add("new")
	add("new")
	add("new")
	run(7)

	checker := pgscores.New(s.db.Open("db_check"))
	if marked, _, err := checker.Restore(t.Context(), 0, time.Time{}, time.Time{}, 100); err != nil || marked != 5 {
		t.Fatalf("%d rows were marked: %v", marked, err)
	}
	run(7)

	rows, err := checker.Kept(t.Context(), 0, 100)
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	seen := map[int64]bool{}
	for _, r := range rows {
		number, ok := event.RowNumber(r.Event.ID)
		if !ok || number != r.ID || seen[number] {
			t.Errorf("row %d has the event %s", r.ID, r.Event.ID)
		}
		seen[number] = true
		if there, err := log.Get(t.Context(), r.Event.LogID); err != nil || there == nil {
			t.Errorf("the log lacks the row %d, %v", r.ID, err)
		}
	}
}
