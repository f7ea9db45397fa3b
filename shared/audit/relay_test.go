package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// row is a row of the outbox below.
type row struct {
	message      audit.Message
	locked, sent bool
	reason       string
}

// outbox is an outbox in memory with the clock of the test.
type outbox struct {
	mu     sync.Mutex
	rows   []*row
	down   func() error // the database's fault, if any
	until  time.Time    // of the lease
	lease  func() error // the fault of an extension, if any; one with errLost is made
	tail   time.Duration
	purged int
}

func (o *outbox) add(messages ...audit.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		o.rows = append(o.rows, &row{message: m})
	}
}

func (o *outbox) fault() error {
	if o.down == nil {
		return nil
	}
	return o.down()
}

func (o *outbox) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	if err := o.fault(); err != nil {
		return 0, err
	}
	o.mu.Lock()
	var taken []*row
	var messages []audit.Message
	for _, r := range o.rows {
		if !r.sent && !r.locked && r.reason == "" && len(taken) < limit {
			r.locked = true
			taken, messages = append(taken, r), append(messages, r.message)
		}
	}
	o.mu.Unlock()
	if len(taken) == 0 {
		return 0, nil
	}
	errs := send(ctx, messages)
	o.mu.Lock()
	defer o.mu.Unlock()
	var never audit.Unwritable
	for i, r := range taken {
		r.locked = false
		switch {
		case ctx.Err() != nil: // rolled back
		case errs[i] == nil:
			r.sent = true
		case errors.As(errs[i], &never):
			r.reason = never.Reason
		}
	}
	return len(taken), ctx.Err()
}

func (o *outbox) waiting() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		if !r.sent && r.reason == "" {
			n++
		}
	}
	return n
}

func (o *outbox) Depth(context.Context, int) (int, time.Duration, error) {
	return o.waiting(), 90 * time.Second, nil
}

func (o *outbox) Purge(_ context.Context, _ time.Duration, limit int) (int, error) {
	n := min(o.purged, limit)
	o.purged -= n
	return n, nil
}

func (o *outbox) Extend(_ context.Context, by time.Duration) (time.Duration, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.lease != nil {
		err = o.lease()
	}
	if err != nil && !errors.Is(err, errLost) {
		return 0, err
	}
	if end := time.Now().Add(by); end.After(o.until) {
		o.until = end
	}
	if err != nil {
		return 0, err
	}
	return time.Until(o.until) + o.tail, nil
}

func (o *outbox) promised() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.until
}

// expired reports whether an add that commits must wake the relay. An add asks this
// before it commits.
func (o *outbox) expired() bool {
	return !time.Now().Before(o.promised())
}

// log is a log in memory.
type log struct {
	mu      sync.Mutex
	events  map[string][]byte
	indexed map[string]int
	fault   func(call string, e event.Event) error
	slow    time.Duration // that each call takes
	profile []audit.Profile
}

func newLog() *log { return &log{events: map[string][]byte{}, indexed: map[string]int{}} }

// take waits as long as a call takes, or until ctx ends.
func (l *log) take(ctx context.Context) error {
	select {
	case <-time.After(l.slow):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *log) fails(call string, e event.Event) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(call, e)
}

func (l *log) Put(ctx context.Context, e audit.Stored) (*audit.Stored, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	err := l.fails("put", e.Event)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !errors.Is(err, errLost) {
		return nil, err
	}
	there, ok := l.events[e.Event.LogID]
	if !ok {
		l.events[e.Event.LogID] = e.Document
	}
	if err != nil || !ok || bytes.Equal(there, e.Document) {
		return nil, err
	}
	other, _ := event.Decode(there)
	return &audit.Stored{Event: other, Document: there}, nil
}

func (l *log) Index(ctx context.Context, events []event.Event) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	for _, e := range events {
		if err := l.fails("index", e); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.indexed[e.LogID]++
	}
	return nil
}

func (l *log) Get(context.Context, string) (*audit.Stored, error) { panic("not used") }

func (l *log) MissingIndex(context.Context, []event.Event) ([]event.Event, error) {
	panic("not used")
}

func (l *log) List(context.Context, audit.Query) ([]audit.Stored, audit.Place, error) {
	panic("not used")
}

// profiles are kept by the same log.
type profiles struct{ *log }

func (p profiles) Put(_ context.Context, profile audit.Profile) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profile = append(p.profile, profile)
	return nil
}

var (
	errDown = errors.New("the service is down")
	errLost = errors.New("the answer was lost")
)

func message(n int) audit.Message {
	id := fmt.Sprint(n)
	return audit.Message{ID: int64(n), Event: &event.Event{
		ID: id, Source: event.Scores, Type: event.EntryAdded, Subject: event.Player("b", "p"), LogID: event.LogID(event.Scores, id),
		RecordedTime: time.Date(2026, 1, 1, 0, 0, 0, n*1000, time.UTC), Actor: event.User("u"), JSON: []byte(`{}`),
	}}
}

func messages(from, to int) (all []audit.Message) {
	for n := from; n < to; n++ {
		all = append(all, message(n))
	}
	return all
}

// metrics are what a relay counts.
type metrics struct{ sync.Map }

func (m *metrics) add(_ context.Context, name string, n int) {
	v, _ := m.LoadOrStore(name, new(atomic.Int64))
	v.(*atomic.Int64).Add(int64(n))
}

func (m *metrics) of(name string) int64 {
	v, ok := m.Load(name)
	if !ok {
		return 0
	}
	return v.(*atomic.Int64).Load()
}

func newRelay(o audit.Outbox, l *log) (*audit.Relay, *metrics) {
	m := &metrics{}
	return &audit.Relay{
		Outbox: o, Log: l, Profiles: profiles{l}, Batch: 10, Writers: 4, SendTime: 4 * time.Second, Reserve: time.Second,
		Count: m.add, Peak: m.add,
	}, m
}

// check compares the log with the outbox.
func check(t *testing.T, o *outbox, l *log) {
	t.Helper()
	for _, r := range o.rows {
		switch id := r.message.Event.LogID; {
		case r.reason != "":
		case !r.sent:
			t.Errorf("message %d was not sent", r.message.ID)
		case l.events[id] == nil || l.indexed[id] == 0:
			t.Errorf("message %d is marked as sent, but the log has %q, indexed %d times", r.message.ID, l.events[id], l.indexed[id])
		}
	}
}

func TestTheRelayDrainsTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		o.add(messages(0, 95)...)
		relay, m := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, o, l)
		if len(l.events) != 95 || m.of("Relayed") != 95 || m.of("Batches") != 10 || m.of("Waiting") != 95 || m.of("OldestSeconds") != 90 {
			t.Errorf("%d events, %d relayed in %d batches, %d waited", len(l.events), m.of("Relayed"), m.of("Batches"), m.of("Waiting"))
		}
		o.add(audit.Message{ID: 95, Profile: &audit.Profile{User: "u", Version: 3}})
		if err := relay.Run(t.Context()); err != nil || len(l.profile) != 1 || l.profile[0].Version != 3 {
			t.Errorf("profiles: %v, %v", l.profile, err)
		}
	})
}

// However little of a batch a slow log takes in time, that is done and not begun again.
func TestASlowLogTakesSomeOfEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		l.slow = 1900 * time.Millisecond
		o.add(messages(0, 40)...)
		relay, m := newRelay(o, l)
		relay.Batch = 40
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, o, l)
		if m.of("Relayed") != 40 {
			t.Errorf("%d messages relayed", m.of("Relayed"))
		}
	})
}

// A message that can never be sent is set aside with its reason and holds up nobody.
func TestUnwritableMessagesBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		large, broken, taken, odd, riddle := message(1), message(2), message(3), message(4), message(5)
		large.Event.JSON = fmt.Appendf(nil, "%q", strings.Repeat("x", audit.MaxDocument))
		broken.Event.JSON = []byte("{")
		taken.Event.JSON = []byte(`{"another": true}`)
		odd.Event = nil
		riddle.Event, riddle.Fault = nil, "its extensions cannot be read"
		other := message(3)
		document, err := other.Event.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l.events[other.Event.LogID] = document
		o.add(large, broken, taken, odd, riddle)
		o.add(messages(10, 30)...)
		relay, m := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"must have at most 350000", "not valid JSON", "another event with the logid", "neither an event nor a profile", "its extensions cannot be read"} {
			if got := o.rows[i].reason; !strings.Contains(got, want) {
				t.Errorf("message %d: %q", i+1, got)
			}
		}
		o.rows = o.rows[5:]
		check(t, o, l)
		if m.of("UnwritableRows") != 5 || m.of("Relayed") != 20 {
			t.Errorf("%d unwritable, %d relayed", m.of("UnwritableRows"), m.of("Relayed"))
		}
	})
}

// A restore must not take the row away that shows what the log should have. What is in the
// log stays, and gets no index items that are not its own.
func TestARestoredRowStaysWhenItsLogIDIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		changed, unreadable, lost := message(1), message(2), message(3)
		for _, m := range []*audit.Message{&changed, &unreadable, &lost} {
			m.Restored = true
		}
		forged := *message(1).Event
		forged.JSON = []byte(`{"forged": true}`)
		document, err := forged.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l.events[forged.LogID] = document
		l.fault = func(call string, e event.Event) error {
			if call == "put" && e.ID == "2" {
				return audit.Unwritable{Reason: "the log's item cannot be read", Taken: true}
			}
			return nil
		}
		o.add(changed, unreadable, lost)
		relay, m := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range o.rows {
			if !r.sent || r.reason != "" {
				t.Errorf("message %d: sent: %t, %s", r.message.ID, r.sent, r.reason)
			}
		}
		if !bytes.Equal(l.events[forged.LogID], document) || l.indexed[forged.LogID] != 0 || len(l.indexed) != 1 {
			t.Errorf("the log has %s, and %v are indexed", l.events[forged.LogID], l.indexed)
		}
		if m.of("RestoreConflicts") != 2 || m.of("Relayed") != 1 || m.of("UnwritableRows") != 0 {
			t.Errorf("%d conflicts, %d relayed, %d unwritable", m.of("RestoreConflicts"), m.of("Relayed"), m.of("UnwritableRows"))
		}
	})
}

// A message that cannot be rendered for now stays.
func TestAMessageWithAnErrorStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		o.add(audit.Message{ID: 1, Err: errors.New("panic: odd")}, message(2))
		relay, m := newRelay(o, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := relay.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if o.rows[0].sent || o.rows[0].reason != "" || !o.rows[1].sent || m.of("RelayFailures") == 0 {
			t.Errorf("the rows are %+v and %+v", o.rows[0], o.rows[1])
		}
	})
}

// Whatever fails, and whether it had its effect or not, is repeated until it succeeds.
func TestFailuresNeitherLoseNorDouble(t *testing.T) {
	for name, fault := range map[string]func(call string, e event.Event) error{
		"throttling": func(string, event.Event) error {
			if rand.N(3) == 0 {
				return errDown
			}
			return nil
		},
		"lost answers": func(call string, _ event.Event) error {
			if rand.N(3) == 0 {
				return errLost
			}
			return nil
		},
		"an odd message": func(call string, e event.Event) error {
			if e.ID == "7" && rand.N(2) == 0 {
				panic("odd")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, l := &outbox{}, newLog()
				l.fault = fault
				o.add(messages(0, 200)...)
				relay, _ := newRelay(o, l)
				if err := relay.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if check(t, o, l); len(l.events) != 200 {
					t.Errorf("%d events", len(l.events))
				}
			})
		})
	}
}

// The log is down for a minute: nothing is lost, and it is not asked all the time.
func TestTheRelayWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		start, calls := time.Now(), 0
		l.fault = func(string, event.Event) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if calls++; time.Since(start) < time.Minute {
				return errDown
			}
			return nil
		}
		o.add(messages(0, 10)...)
		relay, m := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, o, l)
		if calls > 10*40 || m.of("RelayFailures") == 0 {
			t.Errorf("%d calls, %d failures", calls, m.of("RelayFailures"))
		}
		if took := time.Since(start); took > time.Minute+6*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnOutageOfTheDatabaseFailsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		calls := 0
		o.down = func() error {
			if calls++; calls%5 != 0 {
				return errDown
			}
			return nil
		}
		o.add(messages(0, 30)...)
		relay, _ := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil {
			t.Errorf("short ones: %v", err)
		}
		check(t, o, l)
		o.down = func() error { return errDown }
		if err := relay.Run(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("a long one: %v", err)
		}
	})
}

// waker counts wakes.
type waker struct{ n atomic.Int64 }

func (w *waker) Wake(context.Context) error { w.n.Add(1); return nil }

// slowly makes each put take a tenth of a second.
func slowly(string, event.Event) error {
	time.Sleep(100 * time.Millisecond)
	return nil
}

// A run ends before its deadline, whatever is left, and the next one continues.
func TestARunThatEndsEarlyWakesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, w := &outbox{tail: 7 * time.Second}, newLog(), &waker{}
		l.fault = slowly
		o.add(messages(0, 3000)...)
		relay, m := newRelay(o, l)
		relay.Lease, relay.Waker = o, w
		runs := 0
		for ; int(w.n.Load()) == runs && runs < 20; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
			if ctx.Err() != nil {
				t.Error("the run reached its deadline")
			}
			cancel()
		}
		check(t, o, l)
		if runs < 3 || int(w.n.Load()) != runs-1 || m.of("WakesOfNext") != w.n.Load() {
			t.Errorf("%d runs, %d wakes", runs, w.n.Load())
		}
	})
}

// If nothing succeeds, waking the next run would only repeat the failure at once.
func TestARunThatOnlyFailsWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, w := &outbox{}, newLog(), &waker{}
		l.fault = func(string, event.Event) error { return errDown }
		o.add(messages(0, 3)...)
		relay, _ := newRelay(o, l)
		relay.Lease, relay.Waker = o, w
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := relay.Run(ctx); !errors.Is(err, errDown) || w.n.Load() != 0 || o.waiting() != 3 {
			t.Errorf("%v, %d wakes, %d waiting", err, w.n.Load(), o.waiting())
		}
	})
}

func TestARunNeedsTime(t *testing.T) {
	o, l := &outbox{}, newLog()
	relay, _ := newRelay(o, l)
	relay.Lease = o
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := relay.Run(ctx); err == nil || !strings.Contains(err.Error(), "at least 30s") {
		t.Errorf("got %v", err)
	}
}

// Without a lease an empty outbox costs one look. With one, the run before may have
// left a promise.
func TestAnIdleRunEndsAtOnceUnlessItPromises(t *testing.T) {
	for _, leased := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o, l := &outbox{tail: 7 * time.Second}, newLog()
			relay, _ := newRelay(o, l)
			want := time.Duration(0)
			if leased {
				relay.Lease, want = o, 17*time.Second
			}
			start := time.Now()
			if err := relay.Run(t.Context()); err != nil || time.Since(start) < want || time.Since(start) > want+time.Second {
				t.Errorf("%v, it took %s, want %s", err, time.Since(start), want)
			}
		})
	}
}

// An add reads the promise, which still stands, and commits as late as a statement may
// take, when the promise has run out. Nobody wakes the relay, and it must see the row.
func TestAnAddThatIsAboutToCommitIsNotMissed(t *testing.T) {
	const tail = 7 * time.Second
	for _, late := range []time.Duration{0, tail / 2, tail - time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			o, l := &outbox{tail: tail}, newLog()
			relay, _ := newRelay(o, l)
			relay.Lease = o
			o.add(message(1))
			done := make(chan error)
			go func() { done <- relay.Run(t.Context()) }()
			time.Sleep(time.Second)
			time.Sleep(time.Until(o.promised()) - time.Nanosecond)
			if o.expired() {
				t.Fatal("the add would wake the relay")
			}
			time.Sleep(late)
			o.add(message(2))
			if err := <-done; err != nil {
				t.Error(err)
			}
			check(t, o, l)
		})
	}
}

// An extension that failed, whether it was made or not, leaves the run with a promise that
// somebody relies on, that of the run before or its own. It polls until that ends.
func TestAFailedExtensionDoesNotEndThePromise(t *testing.T) {
	const tail = 7 * time.Second
	for _, fault := range []error{errDown, errLost} {
		for _, failing := range []int{0, 1} { // which extension of the run
			t.Run(fmt.Sprintf("%v, extension %d", fault, failing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o, l := &outbox{tail: tail}, newLog()
					relay, _ := newRelay(o, l)
					relay.Lease = o
					o.until = time.Now().Add(2 * time.Second) // by the run before
					calls := 0
					o.lease = func() error {
						if calls++; calls == failing+1 {
							return fault
						}
						return nil
					}
					done := make(chan error)
					go func() { done <- relay.Run(t.Context()) }()
					// A message for the second extension, and one for which nobody wakes the relay.
					time.Sleep(6 * time.Second) // longer than half of a promise
					o.add(message(1))
					time.Sleep(time.Second)
					time.Sleep(time.Until(o.promised()) - time.Nanosecond)
					time.Sleep(tail - time.Millisecond)
					o.add(message(2))
					if err := <-done; err != nil {
						t.Error(err)
					}
					check(t, o, l)
				})
			})
		}
	}
}

// Then the stream runs it again. What waits is sent nevertheless.
func TestARunThatCannotExtendItsPromiseFails(t *testing.T) {
	for _, fault := range []error{errDown, errLost} {
		synctest.Test(t, func(t *testing.T) {
			o, l := &outbox{lease: func() error { return fault }}, newLog()
			relay, _ := newRelay(o, l)
			relay.Lease, relay.Waker = o, &waker{}
			o.add(messages(0, 20)...)
			if err := relay.Run(t.Context()); !errors.Is(err, fault) {
				t.Errorf("got %v", err)
			}
			check(t, o, l)
		})
	}
}

func TestARunThatIsBrokenOffDuringItsPromiseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{}, newLog()
		relay, _ := newRelay(o, l)
		relay.Lease, relay.Waker = o, &waker{}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		time.AfterFunc(time.Second, cancel)
		if err := relay.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// Adds come at random and commit at random; a wake starts a run, as a stream does: one
// at a time, each after the one before. There is no schedule, and nothing is missed.
func TestNoWakeIsLost(t *testing.T) {
	const tail = 7 * time.Second
	for range 1000 {
		synctest.Test(t, func(t *testing.T) {
			o, l := &outbox{tail: tail}, newLog()
			relay, _ := newRelay(o, l)
			relay.Lease = o
			l.fault = func(string, event.Event) error { time.Sleep(rand.N(50 * time.Millisecond)); return nil }
			wakes := make(chan struct{}, 1000)
			relay.Waker = wake(wakes)
			done := make(chan struct{})
			var runs, adds sync.WaitGroup
			runs.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-wakes:
					}
					ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
					if err := relay.Run(ctx); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
			for n := range 10 {
				adds.Go(func() {
					time.Sleep(rand.N(90 * time.Second))
					expired := o.expired()
					time.Sleep(rand.N(tail))
					o.add(message(n))
					if expired {
						wakes <- struct{}{}
					}
				})
			}
			adds.Wait()
			time.Sleep(5 * time.Minute)
			close(done)
			runs.Wait()
			check(t, o, l)
		})
		if t.Failed() {
			return
		}
	}
}

type wake chan<- struct{}

func (w wake) Wake(context.Context) error { w <- struct{}{}; return nil }

func TestSentMessagesLeaveInSmallPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := &outbox{purged: 1234}, newLog()
		relay, m := newRelay(o, l)
		if err := relay.Run(t.Context()); err != nil || o.purged != 1234 {
			t.Errorf("%d are left though they are kept forever, %v", o.purged, err)
		}
		relay.Keep = time.Hour
		if err := relay.Run(t.Context()); err != nil || o.purged != 0 || m.of("PurgedRows") != 1234 {
			t.Errorf("%d are left, %v", o.purged, err)
		}
		o.purged = 5 // not looked for again so soon
		if err := relay.Run(t.Context()); err != nil || o.purged != 5 {
			t.Errorf("%d are left, %v", o.purged, err)
		}
	})
}

// endless is an outbox with many messages, which exist only while they are sent.
type endless struct {
	outbox
	left, most int
	heap       uint64
}

func (e *endless) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	n := min(limit, e.left)
	if n == 0 {
		return 0, nil
	}
	batch := messages(e.left-n, e.left)
	for _, m := range batch {
		m.Event.JSON = fmt.Appendf(nil, "%q", strings.Repeat("x", 1000))
	}
	e.most = max(e.most, n)
	if slices.ContainsFunc(send(ctx, batch), func(err error) bool { return err != nil }) {
		return n, errDown
	}
	if e.left%10_000 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		e.heap = max(e.heap, m.HeapAlloc)
	}
	e.left -= n
	return n, nil
}

// forgetful is a log that keeps nothing.
type forgetful struct{ *log }

func (forgetful) Put(context.Context, audit.Stored) (*audit.Stored, error) { return nil, nil }
func (forgetful) Index(context.Context, []event.Event) error               { return nil }

// A hundred thousand messages of a kilobyte take the memory of a batch of them.
func TestManyMessagesTakeTheMemoryOfABatch(t *testing.T) {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	o := &endless{left: 100_000}
	relay, m := newRelay(o, newLog())
	relay.Log, relay.Batch = forgetful{}, 500
	if err := relay.Run(t.Context()); err != nil || o.left != 0 || m.of("Relayed") != 100_000 {
		t.Fatalf("%d are left, %v", o.left, err)
	}
	if o.most != 500 || o.heap > before.HeapAlloc+8<<20 {
		t.Errorf("up to %d at once, and %d KiB instead of %d", o.most, o.heap>>10, before.HeapAlloc>>10)
	}
}
