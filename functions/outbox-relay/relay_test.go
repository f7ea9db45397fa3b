package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// pile is an outbox with a lease, and a log that takes everything.
type pile struct {
	audit.Log
	waiting, extended int
	down              error
}

func (p *pile) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	if p.down != nil {
		return 0, p.down
	}
	batch := make([]audit.Message, min(limit, p.waiting))
	for i := range batch {
		batch[i].Event = &event.Event{ID: "1"}
	}
	if len(batch) > 0 {
		send(ctx, batch)
	}
	p.waiting -= len(batch)
	return len(batch), nil
}

func (p *pile) Depth(context.Context, int) (int, time.Duration, error)   { return p.waiting, 0, nil }
func (p *pile) Purge(context.Context, time.Duration, int) (int, error)   { return 0, nil }
func (p *pile) Put(context.Context, audit.Stored) (*audit.Stored, error) { return nil, nil }
func (p *pile) Index(context.Context, []event.Event) error               { return nil }
func (p *pile) Wake(context.Context) error                               { return errors.New("nobody needs a wake") }
func (p *pile) Extend(_ context.Context, by time.Duration) (time.Duration, error) {
	p.extended++
	return by, nil
}

const (
	stream   = `{"Records":[{"eventSource":"aws:dynamodb","eventName":"INSERT","dynamodb":{"SequenceNumber":"1","NewImage":{"id":{"S":"x"}}}}]}`
	schedule = `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"2026-11-28T00:00:00Z","detail":{}}`
)

func TestAWakeAndAScheduleDrainTheOutbox(t *testing.T) {
	for name, c := range map[string]struct {
		event   string
		drained bool
		leased  bool
	}{
		"a wake":                     {stream, true, true},
		"a schedule":                 {schedule, true, false},
		"a schedule of the new kind": {strings.Replace(schedule, "aws.events", "aws.scheduler", 1), true, false},
		"records of something else":  {strings.Replace(stream, "aws:dynamodb", "aws:sqs", 1), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pile{waiting: 1200}
				got, err := newRelays(p, p, p, time.Hour).handle(t.Context(), json.RawMessage(c.event))
				if err != nil {
					t.Fatal(err)
				}
				if answer, _ := json.Marshal(got); string(answer) != `{"batchItemFailures":[]}` {
					t.Errorf("answered %s", answer)
				}
				if drained, leased := p.waiting == 0, p.extended > 0; drained != c.drained || leased != c.leased {
					t.Errorf("drained: %t, leased: %t", drained, leased)
				}
			})
		})
	}
}

func TestWhatIsNotAWakeIsRefused(t *testing.T) {
	for _, event := range []string{`{}`, `[]`, `{"source":"org.example"}`, `{"Records":[]}`, `{"Records":1}`} {
		p := &pile{waiting: 1}
		if _, err := newRelays(p, p, p, 0).handle(t.Context(), json.RawMessage(event)); err == nil || p.waiting != 1 {
			t.Errorf("%s: %v", event, err)
		}
	}
}

// Then Lambda repeats the invoke.
func TestAnOutageFailsTheInvoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pile{down: errors.New("the database is down")}
		if _, err := newRelays(p, p, p, 0).handle(t.Context(), json.RawMessage(schedule)); !errors.Is(err, p.down) {
			t.Errorf("got %v", err)
		}
	})
}
