package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"plaudit/shared/crash"
	"plaudit/shared/event"
)

const (
	// promise is by how much a relay extends its lease. A longer one wakes fewer
	// relays, and each polls longer after its last message.
	promise = 10 * time.Second
	// shortestRun is the least time that a run with a lease needs: it must be longer
	// than it polls after its last message, else each run would wake the next one.
	shortestRun = 30 * time.Second
	// poll is the time between two looks at an empty outbox.
	poll = 50 * time.Millisecond
	// indexed is how many events are indexed together. They fail together, too.
	indexed = 5
	// purged is how many sent messages are deleted at once, purgeEvery the time after
	// which they are looked for again.
	purged     = 500
	purgeEvery = time.Hour
	// counted is up to how many waiting messages are counted, countEvery the time
	// between two counts.
	counted    = 10_000
	countEvery = 10 * time.Second
	// outages is how often in a row the database may fail until a run does.
	outages = 5
)

// Relay moves the messages of one outbox to the log. Whatever it does can be repeated:
// a message whose sending or marking fails, or whose process dies, is sent again, and
// the log takes each event once. A Relay runs once at a time; several relays may share
// an outbox.
type Relay struct {
	Outbox   Outbox
	Log      Log
	Profiles Profiles // takes the profiles of the users' outbox; nil for the scores'
	// Lease is what those who commit messages look at, so that they wake no relay while
	// one polls. If it is nil, a run ends with the last message, and promises nothing.
	Lease Lease
	// Waker wakes the next run when this one ends before the work does. If it is nil,
	// somebody runs the relay again anyway.
	Waker Waker
	// Keep is how long sent messages stay.
	Keep time.Duration
	// Batch is how many messages are taken at once, Writers how many of them are
	// written at the same time.
	Batch, Writers int
	// SendTime bounds the sending of a batch, during which its rows are locked and a
	// transaction is open that the database ends after five idle seconds.
	SendTime time.Duration
	// Reserve is how long before its deadline a run ends.
	Reserve time.Duration
	// Count adds to a metric, Peak keeps the largest value of one.
	Count, Peak func(ctx context.Context, name string, n int)

	nextPurge, nextCount time.Time
}

// Run sends messages until none waits and, if it has a lease, nobody relies on it any
// more, or until shortly before the context's deadline. In that case it wakes the next
// run, unless all it tried has failed: then it returns the error, and the next wake or
// schedule tries again.
func (r *Relay) Run(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	if r.Lease != nil && bounded && time.Until(deadline) < shortestRun {
		return fmt.Errorf("the relay has %s, but it needs at least %s: a longer Timeout in template.yaml solves this", time.Until(deadline).Round(time.Second), shortestRun)
	}
	if bounded {
		deadline = deadline.Add(-r.Reserve)
	}
	r.measure(ctx)
	run := run{Relay: r, deadline: deadline}
	if ended, err := run.drain(ctx); ended {
		return err
	}
	if run.sent == 0 && run.failed != nil {
		return fmt.Errorf("no message could be sent: %w", run.failed)
	}
	if ctx.Err() != nil && run.relied() {
		return fmt.Errorf("the relay ended while others relied on it: %w", ctx.Err())
	}
	if r.Waker == nil || ctx.Err() != nil {
		return nil
	}
	if err := r.Waker.Wake(ctx); err != nil {
		return fmt.Errorf("wake the next run of the relay: %w", err)
	}
	r.Count(ctx, "WakesOfNext", 1)
	return nil
}

// run is one run of a relay.
type run struct {
	*Relay
	deadline time.Time // the zero time: none
	sent     int
	failed   error // the last failure of a message, until one is sent
	pause    backoff

	pollEnd time.Time // until then somebody may rely on this run
	renew   time.Time // from then on the lease is extended after a message
	// unsure is whether the last extension failed. It may have been made nevertheless, and
	// then others rely on this run for a time that it does not know.
	unsure bool
}

// relied reports whether others may rely on this run.
func (r *run) relied() bool { return r.unsure || time.Now().Before(r.pollEnd) }

// drain sends messages, and reports whether it ended by itself: not because the
// context or the time did. It begins no batch that the deadline could cut.
func (r *run) drain(ctx context.Context) (ended bool, err error) {
	waiting := ctx
	if !r.deadline.IsZero() {
		var cancel context.CancelFunc
		waiting, cancel = context.WithDeadline(ctx, r.deadline)
		defer cancel()
	}
	down := 0
	// Also before the first look: the run before this one may have ended with a promise
	// that still stands.
	r.unsure = r.Lease != nil
	worked := false
	for ctx.Err() == nil && (r.deadline.IsZero() || time.Until(r.deadline) > r.SendTime) {
		// Before the look, so that the last look begins after the end of the promise.
		begun := time.Now()
		before := r.sent
		var extended error
		if (worked || r.unsure) && !begun.Before(r.renew) {
			extended = r.extend(ctx)
		}
		taken, err := r.Outbox.Take(ctx, r.Batch, r.send)
		if err == nil {
			err = extended
		}
		if taken > 0 {
			crash.At(crash.AfterMark)
		}
		worked = taken > 0
		switch {
		case err != nil && ctx.Err() == nil:
			if down++; down == outages {
				return true, err
			}
			slog.WarnContext(ctx, "the outbox fails", "error", err)
			r.pause.wait(waiting)
			continue
		case err != nil:
			return false, nil // the context has ended
		case taken == 0:
			if r.purge(ctx) {
				break
			}
			if !begun.Before(r.pollEnd) {
				return true, nil
			}
			_ = pause(waiting, poll)
		case r.sent == before && r.failed != nil:
			r.pause.wait(waiting)
			continue
		}
		down, r.pause = 0, 0
	}
	return false, nil
}

func (r *run) extend(ctx context.Context) error {
	if r.Lease == nil {
		return nil
	}
	begun := time.Now()
	pollFor, err := r.Lease.Extend(ctx, promise)
	if r.unsure = err != nil; r.unsure {
		return fmt.Errorf("extend the relay's lease: %w", err)
	}
	// pollFor counts from now on, a little later than the database read its clock.
	r.pollEnd, r.renew = time.Now().Add(pollFor), begun.Add(promise/2)
	return nil
}

// send writes a batch to the log. Its errors are parallel to the messages, and nil for
// those that the outbox marks as sent.
func (r *run) send(ctx context.Context, messages []Message) []error {
	ctx, cancel := context.WithTimeout(ctx, r.SendTime)
	defer cancel()
	// What was put in the first half can be indexed in the second one. So a slow log
	// takes some messages of each batch, and not all of them halfway.
	putting, stop := context.WithTimeout(ctx, r.SendTime/2)
	defer stop()
	errs := make([]error, len(messages))
	_ = each(ctx, r.Writers, (len(messages)+indexed-1)/indexed, func(ctx context.Context, n int) error {
		from, to := n*indexed, min((n+1)*indexed, len(messages))
		r.sendGroup(putting, ctx, messages[from:to], errs[from:to])
		return nil // errs has what fails
	})
	r.report(ctx, messages, errs)
	crash.At(crash.BeforeMark)
	return errs
}

// sendGroup writes messages while putting lasts, and then indexes those that are events.
// Its errors go to errs.
func (r *run) sendGroup(putting, ctx context.Context, messages []Message, errs []error) {
	var events []event.Event // those that are in the log now
	for i, m := range messages {
		if errs[i] = r.put(putting, m); errs[i] == nil && m.Event != nil {
			events = append(events, *m.Event)
		}
	}
	if len(events) == 0 {
		return
	}
	if err := r.index(ctx, events); err != nil {
		for i, m := range messages {
			if errs[i] == nil && m.Event != nil {
				errs[i] = fmt.Errorf("index: %w", err)
			}
		}
	}
}

func (r *run) put(ctx context.Context, m Message) (err error) {
	defer Recover(&err)
	if err := ctx.Err(); err != nil {
		return err // a batch that takes too long ends here
	}
	crash.At(crash.BeforePut)
	err = r.write(ctx, m)
	crash.At(crash.AfterPut)
	return err
}

func (r *run) write(ctx context.Context, m Message) error {
	switch {
	case m.Err != nil:
		return m.Err
	case m.Fault != "":
		return Unwritable{Reason: m.Fault}
	case m.Event != nil:
		return r.putEvent(ctx, *m.Event, m.Restored)
	case m.Profile != nil && r.Profiles != nil:
		return r.Profiles.Put(ctx, *m.Profile)
	}
	return Unwritable{Reason: "it is neither an event nor a profile that this relay sends"}
}

func (r *run) putEvent(ctx context.Context, e event.Event, restored bool) error {
	document, err := encode(e)
	if err != nil {
		return Unwritable{Reason: err.Error()}
	}
	other, err := r.Log.Put(ctx, Stored{Event: e, Document: document, Restored: restored})
	if err == nil && other != nil {
		return Unwritable{fmt.Sprintf("the log has another event with the logid %s, recorded at %s", e.LogID, other.Event.RecordedTime.Format(time.RFC3339Nano)), true}
	}
	return err
}

func (r *run) index(ctx context.Context, events []event.Event) (err error) {
	defer Recover(&err)
	return r.Log.Index(ctx, events)
}

// Recover makes a panic the error of its message, so that one message does not end the
// relay of all. A function defers it.
func Recover(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

// report counts and logs what became of a batch. A restored message whose logid is taken
// counts as sent, for its outbox: it was sent before, so what is in the log is wrong, and
// the row is what proves it.
func (r *run) report(ctx context.Context, messages []Message, errs []error) {
	sent, taken, unwritable, failed := 0, 0, 0, 0
	for i, err := range errs {
		var never Unwritable
		switch {
		case err == nil:
			sent++
		case errors.As(err, &never) && never.Taken && messages[i].Restored:
			taken++
			errs[i] = nil
			slog.ErrorContext(ctx, "an event cannot be restored, because the log has something else in its place; its row stays", "message", messages[i].ID, "reason", never.Reason)
		case errors.As(err, &never):
			unwritable++
			slog.ErrorContext(ctx, "a message of the outbox can never be written", "message", messages[i].ID, "reason", never.Reason)
		default:
			failed++
			r.failed = err
		}
	}
	if failed > 0 {
		slog.WarnContext(ctx, "messages of the outbox could not be sent and stay", "messages", failed, "of", len(messages), "error", r.failed)
	}
	if done := sent + taken + unwritable; done > 0 {
		r.sent += done
		r.failed = nil
	}
	r.Count(ctx, "Relayed", sent)
	r.Count(ctx, "RestoreConflicts", taken)
	r.Count(ctx, "UnwritableRows", unwritable)
	r.Count(ctx, "RelayFailures", failed)
	r.Count(ctx, "Batches", 1)
	r.Peak(ctx, "LargestBatch", len(messages))
}

// measure counts what waits.
func (r *Relay) measure(ctx context.Context) {
	if time.Now().Before(r.nextCount) {
		return
	}
	r.nextCount = time.Now().Add(countEvery)
	waiting, oldest, err := r.Outbox.Depth(ctx, counted)
	if err != nil {
		slog.WarnContext(ctx, "the outbox cannot be measured", "error", err)
		return
	}
	r.Peak(ctx, "Waiting", waiting)
	r.Peak(ctx, "OldestSeconds", int(oldest/time.Second))
}

// purge deletes some messages that were sent long ago, and reports whether there may be
// more. A failure is only logged: the log does not depend on it.
func (r *Relay) purge(ctx context.Context) bool {
	if r.Keep <= 0 || time.Now().Before(r.nextPurge) {
		return false
	}
	n, err := r.Outbox.Purge(ctx, r.Keep, purged)
	if err != nil {
		slog.WarnContext(ctx, "sent messages cannot be deleted", "error", err)
	}
	if r.Count(ctx, "PurgedRows", n); err == nil && n == purged {
		return true
	}
	r.nextPurge = time.Now().Add(purgeEvery)
	return false
}

// backoff is the time of the last pause.
type backoff time.Duration

// wait waits a random time, up to twice as long as the last one, at most five seconds.
func (b *backoff) wait(ctx context.Context) {
	*b = min(max(2**b, backoff(100*time.Millisecond)), backoff(5*time.Second))
	_ = pause(ctx, time.Duration(*b)/2+rand.N(time.Duration(*b)/2))
}
