package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/trace"
)

const (
	// relayBatch and relayWriters are small, because this service writes few events and
	// has little memory.
	relayBatch, relayWriters = 100, 8
	// relaySend bounds how long the rows of a batch are locked. An erasure deletes the
	// account's profile from the outbox, so it may have to wait for them; it still ends
	// within the time of its statement (postgres.StatementTimeout).
	relaySend = time.Second
	// drainEvery is the time between two looks at the outbox if nothing asks for one:
	// another task may have left messages, or a change was not a request's.
	drainEvery = time.Second
	// drainLine is the time between two lines with the relay's metrics.
	drainLine = time.Minute
)

// drain relays the service's outbox to the audit log. Whatever happens to it does not
// concern requests: it has a connection and a goroutine of its own.
type drain struct {
	relay  *audit.Relay
	checks []func(context.Context) error // that the tables exist
	asked  chan struct{}                 // one place: a look that is asked for twice is one look
}

func newDrain(outbox audit.Outbox, log audit.Log, profiles audit.Profiles, keep time.Duration, checks ...func(context.Context) error) *drain {
	return &drain{
		relay: &audit.Relay{
			Outbox: outbox, Log: log, Profiles: profiles, Keep: keep,
			Batch: relayBatch, Writers: relayWriters, SendTime: relaySend, Count: boot.Count, Peak: boot.Peak,
		},
		checks: checks,
		asked:  make(chan struct{}, 1),
	}
}

// observe asks for a look after each request that may have changed something, and
// passes the request on.
func (d *drain) observe(next func(context.Context, trace.Request)) func(context.Context, trace.Request) {
	return func(ctx context.Context, served trace.Request) {
		next(ctx, served)
		if served.Method != http.MethodGet && served.Method != http.MethodHead {
			select {
			case d.asked <- struct{}{}:
			default:
			}
		}
	}
}

// run relays until ctx ends, with one line of metrics a minute.
func (d *drain) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := boot.Measure(ctx, "outbox", d.minute)
		if err != nil {
			slog.ErrorContext(ctx, "the outbox is not relayed", "error", err)
		}
	}
}

// minute relays for a minute and returns the last error.
func (d *drain) minute(ctx context.Context) (last error) {
	ctx, cancel := context.WithTimeout(ctx, drainLine)
	defer cancel()
	for ctx.Err() == nil {
		if last = d.look(ctx); last != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the outbox is not relayed now", "error", last)
		}
		timer := time.NewTimer(drainEvery)
		select {
		case <-ctx.Done():
		case <-d.asked:
		case <-timer.C:
		}
		timer.Stop()
	}
	return last
}

func (d *drain) look(ctx context.Context) error {
	for len(d.checks) > 0 { // once each
		if err := d.checks[0](ctx); err != nil {
			return fmt.Errorf("the audit log cannot be used: %w", err)
		}
		d.checks = d.checks[1:]
	}
	return d.relay.Run(ctx)
}
