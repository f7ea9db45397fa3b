package ddb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/guregu/dynamo/v2"
	"golang.org/x/sync/errgroup"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

const (
	// readAtOnce is how many events are read at once: with the largest documents that
	// is 10 MB.
	readAtOnce = 25
	// lookedAt bounds how many index items without an event a page looks at, as a
	// multiple of its limit.
	lookedAt = 4
)

// List implements audit.Log. It merges the shards of the value, each of which is in
// order. Index items are written after their events, and both are read consistently, so
// an event that is missed is one that had not been indexed.
func (l *Log) List(ctx context.Context, q audit.Query) (events []audit.Stored, next audit.Place, err error) {
	if q.Limit < 1 {
		return nil, next, fmt.Errorf("a list's limit is %d, but must be at least 1", q.Limit)
	}
	m, err := l.merge(ctx, q)
	if err != nil {
		return nil, next, wrap(err)
	}
	size, last := 0, audit.Place{}
	for looked := 0; len(events) < q.Limit && looked < lookedAt*q.Limit; {
		places, err := m.take(ctx, min(readAtOnce, q.Limit-len(events)))
		if err != nil {
			return nil, next, wrap(err)
		}
		if len(places) == 0 {
			return events, audit.Place{}, nil
		}
		looked += len(places)
		found, err := l.read(ctx, places)
		if err != nil {
			return nil, next, wrap(err)
		}
		for _, place := range places {
			e, ok := found[place.LogID]
			if !ok && q.NoGaps {
				return nil, next, fmt.Errorf("%w: %s", audit.ErrGap, place.LogID)
			}
			if e.Fault != "" {
				if !q.Faulty {
					return nil, next, audit.Unreadable{LogID: place.LogID, Reason: e.Fault}
				}
				e.Event.RecordedTime = place.RecordedTime
			}
			// An event that was recorded again under the same logid keeps its first time.
			if ok && timeKey(e.Event.RecordedTime) == timeKey(place.RecordedTime) {
				if q.MaxBytes > 0 && len(events) > 0 && size+len(e.Document) > q.MaxBytes {
					return events, last, nil
				}
				size += len(e.Document)
				events = append(events, e)
			}
			last = place
		}
	}
	if m.done() {
		return events, audit.Place{}, nil
	}
	return events, last, nil
}

// read returns the items of places by their logid.
func (l *Log) read(ctx context.Context, places []audit.Place) (map[string]audit.Stored, error) {
	var keys []dynamo.Keyed
	found := map[string]audit.Stored{}
	asked := map[string]bool{}
	for _, p := range places {
		if !asked[p.LogID] {
			asked[p.LogID] = true
			keys = append(keys, dynamo.Keys{p.LogID})
		}
	}
	var items []rawItem
	err := l.events.Batch("logid").Get(keys...).Consistent(true).All(ctx, &items)
	if err != nil && !errors.Is(err, dynamo.ErrNotFound) {
		return nil, err
	}
	for _, item := range items {
		e, err := read(item)
		var broken audit.Unreadable
		switch {
		case errors.As(err, &broken):
			e = audit.Stored{Event: event.Event{LogID: keyOf(item)}, Fault: broken.Reason}
		case err != nil:
			return nil, err
		}
		found[keyOf(item)] = e
	}
	return found, nil
}

// merge reads the shards of a value in their common order.
type merge struct {
	log      *Log
	query    audit.Query
	from, to string // bounds of the sort keys, inclusive
	piece    int    // keys of a shard that are read at once
	shards   [shards]shard
}

// shard is one partition of the index. It holds at most one piece.
type shard struct {
	keys []string
	last string // the last key read; "" before the first
	done bool   // no key follows those in keys
}

func (l *Log) merge(ctx context.Context, q audit.Query) (*merge, error) {
	m := &merge{log: l, query: q, from: "0", to: "~", piece: min(q.Limit, q.Limit/shards*2+8)}
	// No key equals the form of a time alone, and those of that time follow it.
	if !q.From.IsZero() {
		m.from = timeKey(upToMicrosecond(q.From))
	}
	if !q.To.IsZero() {
		m.to = timeKey(upToMicrosecond(q.To))
	}
	if q.After != (audit.Place{}) {
		after := sortKey(q.After)
		if q.Ascending {
			m.from = max(m.from, after)
		} else {
			m.to = min(m.to, after)
		}
	}
	if m.from > m.to {
		for i := range m.shards {
			m.shards[i].done = true
		}
		return m, nil
	}
	var all errgroup.Group
	for i := range m.shards {
		all.Go(func() error { return m.fill(ctx, i) })
	}
	return m, all.Wait()
}

// upToMicrosecond rounds a bound up: events are recorded to the microsecond, so none is
// between the two.
func upToMicrosecond(t time.Time) time.Time {
	return t.Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond)
}

// fill reads the next piece of a shard.
func (m *merge) fill(ctx context.Context, n int) error {
	s := &m.shards[n]
	from, to := m.from, m.to
	if s.last != "" {
		if m.query.Ascending {
			from = s.last
		} else {
			to = s.last
		}
	}
	// Both bounds are inclusive, and so one of the keys may be one that was read, or
	// that the page begins after.
	var items []indexItem
	more, err := m.log.index.Get("k", partition(m.query.Dimension, m.query.Value, n)).
		Range("s", dynamo.Between, from, to).
		Order(dynamo.Order(m.query.Ascending)).
		SearchLimit(m.piece+1).
		Consistent(true).
		AllWithLastEvaluatedKey(ctx, &items)
	if err != nil {
		return err
	}
	s.done = more == nil
	after := ""
	if m.query.After != (audit.Place{}) {
		after = sortKey(m.query.After)
	}
	for _, item := range items {
		if item.Sort != after && item.Sort != s.last {
			s.keys = append(s.keys, item.Sort)
		}
	}
	if len(items) > 0 {
		s.last = items[len(items)-1].Sort
	}
	return nil
}

// take returns the next places, at most n. There are none at the end.
func (m *merge) take(ctx context.Context, n int) (places []audit.Place, err error) {
	for len(places) < n {
		best := -1
		for i := range m.shards {
			s := &m.shards[i]
			for len(s.keys) == 0 && !s.done {
				if err := m.fill(ctx, i); err != nil {
					return nil, err
				}
			}
			if len(s.keys) > 0 && (best < 0 || (s.keys[0] < m.shards[best].keys[0]) == m.query.Ascending) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		key := m.shards[best].keys[0]
		m.shards[best].keys = m.shards[best].keys[1:]
		place, err := placeOf(key)
		if err != nil { // it leads to no event, like an item whose event does not exist
			slog.WarnContext(ctx, "an item of the index is skipped", "error", err)
			continue
		}
		places = append(places, place)
	}
	return places, nil
}

// done reports whether no place follows.
func (m *merge) done() bool {
	for _, s := range m.shards {
		if len(s.keys) > 0 || !s.done {
			return false
		}
	}
	return true
}
