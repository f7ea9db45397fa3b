package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Restorer has rows of the outboxes sent again. Each call of Run or Retry does a piece of
// the work.
type Restorer struct {
	Databases
	// Waker wakes the relay of the scores: a scheduled run would send only what is marked
	// when it begins. The users service looks at its outbox all the time.
	Waker  Waker
	Budget time.Duration // for a piece; the step that exceeds it is the last one
	Now    func() time.Time
	// Step is how many rows are looked at together. No more are added to Ahead of them that
	// wait, because new events wait behind them.
	Step, Ahead int
}

// Restored is what a piece of a restore, or of a retry, has done.
type Restored struct {
	Marked  int `json:"marked"`  // rows, that are sent again
	Waiting int `json:"waiting"` // of all that were marked, or in a retry of all rows; at most a little over Ahead
	// Oldest is the recordedtime of the oldest row of each outbox, by source: nothing from
	// before it can be restored. Only the first piece returns it, and not for an outbox
	// from which no row has left.
	Oldest map[string]time.Time `json:"oldest,omitempty"`
}

// restorePlace is where a restore or a retry continues.
type restorePlace struct {
	Source int   `json:"source"` // after the last one: a restore waits until all is sent
	After  int64 `json:"after,omitempty"`
}

// Run does a piece of a restore of the events with a recordedtime from `from` to before
// `to`, and returns where the next piece begins; nil once all of them are in the log. A
// zero time is no limit. A caller that gets a place without progress should wait a moment.
//
// It marks sent rows as not sent; the relays send them, as marked. It can be broken off
// and repeated: the log takes each event once.
func (s *Restorer) Run(ctx context.Context, at json.RawMessage, from, to time.Time) (r Restored, next json.RawMessage, err error) {
	p, err := s.place(at)
	if err != nil {
		return r, nil, err
	}
	if p == (restorePlace{}) {
		if r.Oldest, err = oldest(ctx, s.sources()); err != nil {
			return r, nil, err
		}
	}
	restore := func(ctx context.Context, source Source, after int64) (int, int64, error) {
		return source.Restore(ctx, after, from, to, s.Step)
	}
	next, err = s.piece(ctx, p, &r, restore, Source.Restoring, true)
	return r, next, err
}

// Retry does a piece of a retry of the rows that were set aside, after their cause was
// corrected, and returns where the next piece begins; nil once all of them are queued
// again. A row that fails again is set aside again. It can be broken off and repeated.
func (s *Restorer) Retry(ctx context.Context, at json.RawMessage) (r Restored, next json.RawMessage, err error) {
	p, err := s.place(at)
	if err != nil {
		return r, nil, err
	}
	retry := func(ctx context.Context, source Source, after int64) (int, int64, error) {
		return source.Retry(ctx, after, s.Step)
	}
	next, err = s.piece(ctx, p, &r, retry, Source.Waiting, false)
	return r, next, err
}

func (s *Restorer) place(at json.RawMessage) (p restorePlace, err error) {
	if at != nil && json.Unmarshal(at, &p) != nil || p.Source < 0 || p.Source > len(s.sources()) || p.After < 0 {
		return p, ErrPlace
	}
	return p, nil
}

// piece calls mark for rows after p, as long as not too many wait, and returns where the
// next piece begins. If all is set, that is nil only when no row waits any more.
func (s *Restorer) piece(ctx context.Context, p restorePlace, r *Restored,
	mark func(ctx context.Context, source Source, after int64) (marked int, last int64, err error),
	waiting func(source Source, ctx context.Context, limit int) (int, error), all bool) (json.RawMessage, error) {
	begun, sources := s.Now(), s.sources()
	for {
		r.Waiting = 0
		for _, source := range sources {
			n, err := waiting(source, ctx, s.Ahead)
			if err != nil {
				return nil, fmt.Errorf("count what waits in %s: %w", source.name, err)
			}
			r.Waiting += n
		}
		ended := p.Source == len(sources)
		if ended || r.Waiting >= s.Ahead || s.Now().Sub(begun) >= s.Budget {
			if r.Waiting > 0 {
				s.wake(ctx)
			}
			if ended && (r.Waiting == 0 || !all) {
				return nil, nil
			}
			return json.Marshal(p)
		}
		source := sources[p.Source]
		marked, last, err := mark(ctx, source, p.After)
		if err != nil {
			return nil, fmt.Errorf("have rows of %s sent again: %w", source.name, err)
		}
		r.Marked += marked
		if p.After = last; last == 0 {
			p = restorePlace{Source: p.Source + 1}
		}
	}
}

// wake only logs a failure, because the relay's schedule makes up for it.
func (s *Restorer) wake(ctx context.Context) {
	if err := s.Waker.Wake(ctx); err != nil {
		slog.WarnContext(ctx, "the relay cannot be woken", "error", err)
	}
}

// oldest returns the times of the oldest rows, where others have left before them: ids
// begin with 1.
func oldest(ctx context.Context, sources []namedSource) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	for _, source := range sources {
		rows, err := source.Kept(ctx, 0, 1)
		if err != nil {
			return nil, fmt.Errorf("read the oldest row of %s: %w", source.name, err)
		}
		if len(rows) > 0 && rows[0].ID > 1 {
			times[source.name] = rows[0].Event.RecordedTime
		}
	}
	return times, nil
}
