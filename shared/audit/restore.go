package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Restorer has events sent to the log again. Each call of Run does a piece of the work.
type Restorer struct {
	Databases
	Budget time.Duration // for a piece; the step that exceeds it is the last one
	Now    func() time.Time
	// Step is how many rows are looked at together. No more than Ahead of those that are
	// marked wait at a time, because new events wait behind them.
	Step, Ahead int
}

// Restored is what a piece of a restore has done.
type Restored struct {
	Marked  int `json:"marked"`  // rows, that are sent again
	Waiting int `json:"waiting"` // of all that were marked; at most a little over Ahead
	// Oldest is the recordedtime of the oldest row of each outbox, by source: nothing from
	// before it can be restored. Only the first piece returns it, and not for an outbox
	// from which no row has left.
	Oldest map[string]time.Time `json:"oldest,omitempty"`
}

// restorePlace is where a restore continues.
type restorePlace struct {
	Source int   `json:"source"` // after the last one: it waits until all is sent
	After  int64 `json:"after,omitempty"`
}

// Run does a piece of a restore of the events with a recordedtime from `from` to before
// `to`, and returns where the next piece begins; nil once all of them are in the log. A
// zero time is no limit. A caller that gets a place without progress should wait a moment.
//
// It marks sent rows as not sent; the relays send them, as marked. It can be broken off
// and repeated: the log takes each event once.
func (s *Restorer) Run(ctx context.Context, at json.RawMessage, from, to time.Time) (r Restored, next json.RawMessage, err error) {
	begun := s.Now()
	var p restorePlace
	if at != nil && json.Unmarshal(at, &p) != nil {
		return r, nil, ErrPlace
	}
	sources := s.sources()
	if p.Source < 0 || p.Source > len(sources) || p.After < 0 {
		return r, nil, ErrPlace
	}
	if p == (restorePlace{}) {
		if r.Oldest, err = oldest(ctx, sources); err != nil {
			return r, nil, err
		}
	}
	for {
		r.Waiting = 0
		for _, source := range sources {
			n, err := source.Restoring(ctx, s.Ahead)
			if err != nil {
				return r, nil, fmt.Errorf("count what %s restores: %w", source.name, err)
			}
			r.Waiting += n
		}
		if p.Source == len(sources) && r.Waiting == 0 {
			return r, nil, nil
		}
		if p.Source == len(sources) || r.Waiting >= s.Ahead || s.Now().Sub(begun) >= s.Budget {
			next, err := json.Marshal(p)
			return r, next, err
		}
		source := sources[p.Source]
		marked, last, err := source.Restore(ctx, p.After, from, to, s.Step)
		if err != nil {
			return r, nil, fmt.Errorf("restore the events of %s: %w", source.name, err)
		}
		r.Marked += marked
		if p.After = last; last == 0 {
			p = restorePlace{Source: p.Source + 1}
		}
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
