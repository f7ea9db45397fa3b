package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
)

// relays are the two ways to run the relay. A wake means that somebody relied on it, so
// it takes the lease, polls for a while and keeps its promise. A schedule is the safety
// net for what crashes have left: it sends what waits, and promises nothing.
type relays struct{ woken, scheduled audit.Relay }

func newRelays(outbox leased, log audit.Log, waker audit.Waker, keep time.Duration) *relays {
	scheduled := audit.Relay{
		Outbox: outbox, Log: log, Waker: waker, Keep: keep,
		Batch: 500, Writers: 16, SendTime: 4 * time.Second, Reserve: 2 * time.Second,
		Count: boot.Count, Peak: boot.Peak,
	}
	woken := scheduled
	woken.Lease = outbox
	return &relays{woken: woken, scheduled: scheduled}
}

// invoked is what the function is invoked with: records of the wake table's stream, or
// the event of a schedule. What a record contains does not matter.
type invoked struct {
	Records []struct {
		Source string `json:"eventSource"`
	}
	Source string `json:"source"`
}

// answered is the partial batch response of a stream: none failed.
type answered struct {
	Failures []struct{} `json:"batchItemFailures"`
}

func (r *relays) handle(ctx context.Context, event json.RawMessage) (answered, error) {
	done := answered{Failures: []struct{}{}}
	var in invoked
	if err := json.Unmarshal(event, &in); err != nil {
		return done, fmt.Errorf("decode the event: %w", err)
	}
	wakes := 0
	for _, record := range in.Records {
		if record.Source == "aws:dynamodb" {
			wakes++
		}
	}
	boot.Count(ctx, "Wakes", wakes)
	boot.Count(ctx, "SkippedRecords", len(in.Records)-wakes)
	switch {
	case wakes > 0:
		return done, r.woken.Run(ctx)
	case len(in.Records) > 0:
		return done, nil
	case in.Source == "aws.events" || in.Source == "aws.scheduler":
		return done, r.scheduled.Run(ctx)
	}
	return done, errors.New("the event is neither of the wake table's stream nor of a schedule")
}
