package scores

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

var _ score.Closings = (*Store)(nil)

// DueRuns implements score.Closings.
func (s *Store) DueRuns(ctx context.Context, after score.DueRun, limit int) ([]score.DueRun, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var rows []struct {
		Run      int64
		ClosedAt time.Time `db:"closed_at"`
		Age      float64   // in seconds
	}
	err := s.db.SelectContext(ctx, &rows, `SELECT run, closed_at, age FROM due_runs_v1($1, $2, $3)`, orInfinity(after.ClosedAt, "-infinity"), after.No, limit)
	if err != nil {
		return nil, postgres.Wrap(fmt.Errorf("read the runs that are due: %w", err))
	}
	due := make([]score.DueRun, len(rows))
	for i, r := range rows {
		due[i] = score.DueRun{No: r.Run, ClosedAt: r.ClosedAt.UTC(), Age: time.Duration(r.Age * float64(time.Second))}
	}
	return due, nil
}

// Announce implements score.Closings. The second statement has more time than others,
// because it counts the table.
func (s *Store) Announce(ctx context.Context, run int64) (score.Announcement, error) {
	var state score.Announcement
	if err := s.settle(ctx, run, &state); err != nil || state != "due" {
		return state, err
	}
	var doc []byte
	err := postgres.InLongTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &doc, `SELECT announce_run_v1($1, $2)`, run, postgres.TraceParent(ctx))
	})
	if err != nil {
		return "", err
	}
	var out struct {
		State score.Announcement
		Wake  bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return "", fmt.Errorf("read an announcement: %w", err)
	}
	s.wake(ctx, out.Wake)
	return out.State, nil
}

func (s *Store) settle(ctx context.Context, run int64, state *score.Announcement) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	return postgres.Wrap(s.db.GetContext(ctx, state, `SELECT settle_run_v1($1)`, run))
}

// DateRuns implements score.Closings.
func (s *Store) DateRuns(ctx context.Context, limit int) (more bool, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	if err := s.db.GetContext(ctx, &more, `SELECT date_runs_v1($1)`, limit); err != nil {
		return false, postgres.Wrap(fmt.Errorf("date the runs of opened boards: %w", err))
	}
	return more, nil
}
