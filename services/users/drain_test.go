package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
	"plaudit/shared/trace"
)

// mailbox is an outbox and a log in memory, which may be down.
type mailbox struct {
	audit.Log
	mu    sync.Mutex
	rows  []audit.Message
	sent  []time.Time
	looks int
	down  error
}

func (m *mailbox) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	m.mu.Lock()
	m.looks++
	batch := m.rows[:min(limit, len(m.rows))]
	m.mu.Unlock()
	if len(batch) == 0 {
		return 0, nil
	}
	for _, err := range send(ctx, batch) {
		if err != nil {
			return len(batch), nil
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = m.rows[len(batch):]
	m.sent = append(m.sent, time.Now())
	return len(batch), nil
}

func (m *mailbox) Depth(context.Context, int) (int, time.Duration, error) { return 0, 0, nil }
func (m *mailbox) Purge(context.Context, time.Duration, int) (int, error) { return 0, nil }
func (m *mailbox) Index(context.Context, []event.Event) error             { return nil }
func (m *mailbox) Put(context.Context, audit.Stored) (*audit.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return nil, m.down
}

func (m *mailbox) counted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks
}

func (m *mailbox) delivered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sent)
}

func (m *mailbox) add() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, audit.Message{Event: &event.Event{ID: "1"}})
}

func TestTheOutboxIsRelayedAfterARequestAndEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailbox{}
		d := newDrain(m, m, nil, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.run(ctx) }()
		observed := 0
		observe := d.observe(func(context.Context, trace.Request) { observed++ })

		time.Sleep(500 * time.Millisecond)
		before := m.counted()
		observe(ctx, trace.Request{Method: "GET"})
		if synctest.Wait(); m.counted() != before {
			t.Error("a request that reads makes it look")
		}
		m.add()
		observe(ctx, trace.Request{Method: "POST"})
		if synctest.Wait(); m.delivered() != 1 || observed != 2 {
			t.Errorf("%d messages were sent, %d requests observed", m.delivered(), observed)
		}
		m.add() // by another task
		if time.Sleep(drainEvery + time.Millisecond); m.delivered() != 2 {
			t.Errorf("%d messages were sent", m.delivered())
		}
		time.Sleep(3 * time.Minute) // over the ends of minutes
		m.add()
		if time.Sleep(drainEvery + time.Millisecond); m.delivered() != 3 {
			t.Errorf("%d messages were sent", m.delivered())
		}
		cancel()
		<-ended
	})
}

// While the log is down or missing, the relay goes on trying, and then sends.
func TestTheRelaySurvivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mailbox{down: errors.New("down")}
		var checked atomic.Int64
		var there atomic.Bool
		d := newDrain(m, m, nil, 0, func(context.Context) error {
			checked.Add(1)
			if there.Load() {
				return nil
			}
			return errors.New("the table does not exist")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.run(ctx) }()
		m.add()
		time.Sleep(5 * time.Minute)
		there.Store(true)
		time.Sleep(5 * time.Minute)
		if n, looks, sent := checked.Load(), m.counted(), m.delivered(); n < 60 || n > 400 || looks < 10 || looks > 400 || sent != 0 {
			t.Errorf("%d checks, %d looks, %d sent", n, looks, sent)
		}
		m.mu.Lock()
		m.down = nil
		m.mu.Unlock()
		if time.Sleep(10 * time.Second); m.delivered() != 1 {
			t.Errorf("%d messages were sent", m.delivered())
		}
		cancel()
		<-ended
	})
}
