package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/bus"
	"plaudit/shared/crash"
	"plaudit/shared/ddb"
	"plaudit/shared/event"
)

// publisher puts new events of the log on the bus.
type publisher struct {
	log audit.Log
	bus interface {
		Put(ctx context.Context, entries []bus.Entry) []error
	}
}

// handle takes the records of an invoke. An event may be put on the bus more than once,
// because Lambda repeats what follows a failure: consumers compare ids.
func (p publisher) handle(ctx context.Context, records []events.DynamoDBEventRecord) []error {
	errs := make([]error, len(records))
	var fresh []audit.Stored
	var places []int // of fresh, in records
	for i, r := range records {
		stored, ok := newEvent(ctx, r)
		if !ok {
			continue
		}
		// Our own are marked as sent only once they are indexed. An event of another system
		// that fails in between may never be sent again.
		if !event.Ours(stored.Event.Source) {
			if errs[i] = p.mend(ctx, stored.Event); errs[i] != nil {
				continue
			}
		}
		fresh, places = append(fresh, stored), append(places, i)
	}
	entries := make([]bus.Entry, len(fresh))
	for n, s := range fresh {
		entries[n] = bus.Entry{Source: s.Event.Source, Type: string(s.Event.Type), Time: s.Event.RecordedTime, Detail: s.Document}
	}
	for n, err := range p.bus.Put(ctx, entries) {
		stored := fresh[n]
		switch {
		case errors.Is(err, bus.ErrRefused):
			// It stays in the log, and would hold up all events behind it.
			boot.Count(ctx, "RefusedEvents", 1)
			slog.ErrorContext(ctx, "an event is not on the bus", "event", stored.Event.LogID, "traceparent", stored.Event.TraceParent, "error", err)
		case err != nil:
			errs[places[n]] = fmt.Errorf("event %s: %w", stored.Event.LogID, err)
			continue
		}
		crash.Handled(stored.Event.LogID)
		boot.Count(ctx, "Events", 1)
		boot.Tally(ctx, "types", typeName(stored.Event))
	}
	return errs
}

// newEvent returns the event of a record. A record that is not a new event of the log can
// never become one, so it is skipped instead of holding up its shard.
func newEvent(ctx context.Context, r events.DynamoDBEventRecord) (audit.Stored, bool) {
	stored, err := ddb.Image(r.Change.NewImage).Event()
	switch {
	case r.EventName != string(events.DynamoDBOperationTypeInsert) || err == nil && stored.Restored:
		// The filter of the event source mapping leaves these out: an event is new once.
	case err != nil:
		slog.ErrorContext(ctx, "a record of the stream is not an event and is skipped", "record", r.Change.SequenceNumber, "error", err)
	default:
		return stored, true
	}
	boot.Count(ctx, "SkippedRecords", 1)
	return audit.Stored{}, false
}

func (p publisher) mend(ctx context.Context, e event.Event) error {
	missing, err := p.log.MissingIndex(ctx, []event.Event{e})
	if err == nil && len(missing) > 0 {
		boot.Count(ctx, "MendedEvents", 1)
		err = p.log.Index(ctx, missing)
	}
	if err != nil {
		return fmt.Errorf("index the event %s: %w", e.LogID, err)
	}
	return nil
}

// typeName returns the type under which an event is counted. Those of others may be
// anything, and many.
func typeName(e event.Event) string {
	if strings.HasPrefix(string(e.Type), "plaudit.") {
		return string(e.Type)
	}
	return "other"
}
