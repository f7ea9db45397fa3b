package eventsource

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"plaudit/local/lambda"
)

// retention is how long a stream keeps a record. A batch that fails is not tried
// any longer than that.
const retention = 24 * time.Hour

// batch is records of one shard, in order.
type batch struct {
	entries []entry
	tries   int  // failed invocations that began with the first record
	failed  bool // the last of them by an error
}

// outcome is how an invocation ended.
type outcome struct {
	failed int  // index of the first record that is to be tried again; -1: none
	error  bool // the function failed as a whole
}

var succeeded = outcome{failed: -1}

// process hands the records of a shard to the function, in order, one batch at a
// time. It returns when all are handled and the shard has ended, or with the
// error of ctx.
func (m *mapping) process(ctx context.Context, s *shard) error {
	for _, parent := range s.parents {
		select {
		case <-parent.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		entries, err := m.collect(ctx, s)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
		if err := m.deliver(ctx, s, entries); err != nil {
			return err
		}
	}
}

// collect waits for a batch: until it is full, in number or in bytes, or the
// window that began with its first record has passed. It returns none at the end
// of the shard. Filters apply here and not when a record is fetched, so that those
// of the present template apply to records that waited.
func (m *mapping) collect(ctx context.Context, s *shard) ([]entry, error) {
	var entries []entry
	var window <-chan time.Time
	for {
		ended := s.ended.Load() // before looking, for nothing is appended after it
		var full bool
		var err error
		if entries, full, err = s.journal.take(entries, m.BatchSize, maxPayload, m.filters.let); err != nil {
			return nil, err
		}
		if len(entries) > 0 && window == nil {
			timer := time.NewTimer(m.Window)
			defer timer.Stop()
			window = timer.C
		}
		if ended || full || len(entries) >= m.BatchSize || len(entries) > 0 && m.Window == 0 {
			return entries, nil
		}
		select {
		case <-s.journal.more:
		case <-s.end:
		case <-window:
			return entries, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// deliver hands records to the function until each is handled or discarded.
func (m *mapping) deliver(ctx context.Context, s *shard, entries []entry) error {
	left := []batch{{entries: entries}} // the last one is the next
	for len(left) > 0 {
		b := left[len(left)-1]
		left = left[:len(left)-1]
		rest, err := m.try(ctx, s, b)
		if err != nil {
			return err
		}
		left = append(left, rest...)
	}
	return nil
}

// try invokes the function with a batch, and returns the batches that are left of
// it, the next one last.
func (m *mapping) try(ctx context.Context, s *shard, b batch) ([]batch, error) {
	if err := pause(ctx, m.retryDelays, b.tries); err != nil {
		return nil, err
	}
	var how outcome
	for throttled := 1; ; throttled++ {
		old := m.tooOld(b)
		if old > 0 {
			if err := m.discard(ctx, s, recordTooOld, batch{b.entries[:old], b.tries, b.failed}); err != nil {
				return nil, err
			}
			if b.entries = b.entries[old:]; len(b.entries) == 0 {
				return nil, nil
			}
		}
		var err error
		how, err = m.call(ctx, b.entries)
		if err == nil {
			break
		}
		if !errors.Is(err, lambda.ErrThrottled) {
			return nil, err
		}
		// A throttled invocation is no attempt.
		if err := pause(ctx, m.throttleDelays, throttled); err != nil {
			return nil, err
		}
	}
	if how.failed < 0 {
		return nil, s.journal.handle(b.entries[len(b.entries)-1].end)
	}
	if how.failed > 0 {
		if err := s.journal.handle(b.entries[how.failed-1].end); err != nil {
			return nil, err
		}
		b = batch{entries: b.entries[how.failed:]}
		if m.Bisect && len(b.entries) > 1 { // this was the division
			return []batch{b}, nil
		}
	} else if m.Bisect && len(b.entries) > 1 {
		// Dividing a batch does not count as a retry.
		half := len(b.entries) / 2
		return []batch{{entries: b.entries[half:]}, {entries: b.entries[:half]}}, nil
	}
	b.tries++
	b.failed = how.error
	if m.Retries >= 0 && b.tries > m.Retries {
		return nil, m.discard(ctx, s, retriesExhausted, b)
	}
	m.log.Log(ctx, slog.LevelInfo, "a batch of stream records is tried again", "mapping", m.ID, "records", len(b.entries), "tries", b.tries)
	return []batch{b}, nil
}

// tooOld returns how many records at the beginning have reached the maximum age.
// The time in which the laptop cloud did not run does not count: in the cloud
// there is none, and a night should not cost records.
func (m *mapping) tooOld(b batch) int {
	limit := m.MaxAge
	if limit < 0 {
		if b.tries == 0 {
			return 0
		}
		limit = retention
	}
	n := 0
	for _, e := range b.entries {
		since := e.arrived
		if since.Before(m.began) {
			since = m.began
		}
		if m.now().Sub(since) <= limit {
			break
		}
		n++
	}
	return n
}

// call invokes the function once.
func (m *mapping) call(ctx context.Context, entries []entry) (outcome, error) {
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	// An invocation that runs when the mapping stops gets a moment to end.
	invoking, cancel := linger(ctx, m.grace)
	defer cancel()
	response, functionError, err := m.invoke(invoking, eventOf(entries))
	switch {
	case err != nil:
		return outcome{}, err
	case functionError != "":
		return outcome{0, true}, nil
	case !m.Partial:
		return succeeded, nil
	}
	return partial(response, entries), nil
}

// partial reads the answer of a function that reports failures. The lowest
// sequence number counts, as everything after it runs again.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
func partial(response []byte, entries []entry) outcome {
	index := map[string]int{}
	for i, e := range entries {
		index[e.sequence] = i
	}
	failed, ok := failedItems(response, index)
	switch {
	case !ok:
		return outcome{failed: 0}
	case len(failed) == 0:
		return succeeded
	}
	return outcome{failed: slices.Min(failed)}
}

// discard sends a batch to the destination, and counts it as handled. While the
// destination does not answer it waits, for a minute at most: then the batch is
// lost, as it is in Lambda.
func (m *mapping) discard(ctx context.Context, s *shard, reason string, b batch) error {
	first, last := b.entries[0].sequence, b.entries[len(b.entries)-1].sequence
	log := m.log.With("mapping", m.ID, "records", len(b.entries), "from", first, "to", last, "reason", reason)
	if m.failures == nil {
		log.Error("stream records that the function could not handle are dropped: the mapping has no destination for failures")
	} else {
		d := discarded{
			reason: reason, tries: b.tries, invoked: b.tries > 0, failed: b.failed, entries: b.entries, shard: s.id, stream: s.stream,
			function: m.FunctionARN, mappingID: m.UUID, at: m.now(), invocation: uuid.NewString(),
		}
		for try, end := 1, m.now().Add(m.destinationPatience); ; try++ {
			err := m.failures.Send(ctx, d)
			if err == nil {
				log.Error("stream records that the function could not handle went to the destination for failures", "destination", m.Destination)
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if m.now().After(end) {
				log.Error("stream records that the function could not handle are lost: the destination for failures takes nothing", "destination", m.Destination, "error", err)
				break
			}
			if err := pause(ctx, m.throttleDelays, try); err != nil {
				return err
			}
		}
	}
	return s.journal.handle(b.entries[len(b.entries)-1].end)
}
