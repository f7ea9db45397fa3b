package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/crash"
	"plaudit/shared/ddb"
	"plaudit/shared/event"
)

type publisher struct{ log audit.Log }

// handle takes one record of the events table's stream. A record that is not an event
// of the log can never become one, so it is skipped instead of holding up its shard.
func (p publisher) handle(ctx context.Context, r events.DynamoDBEventRecord) error {
	stored, err := ddb.Image(r.Change.NewImage).Event()
	switch {
	case r.EventName != string(events.DynamoDBOperationTypeInsert) || err == nil && stored.Restored:
		// The filter of the event source mapping leaves these out: an event is new once.
		boot.Count(ctx, "SkippedRecords", 1)
		return nil
	case err != nil:
		boot.Count(ctx, "SkippedRecords", 1)
		slog.ErrorContext(ctx, "a record of the stream is not an event and is skipped", "record", r.Change.SequenceNumber, "error", err)
		return nil
	}
	// Our own are marked as sent only once they are indexed. An event of another system
	// that fails in between may never be sent again.
	if !event.Ours(stored.Event.Source) {
		if err := p.mend(ctx, stored.Event); err != nil {
			return err
		}
	}
	crash.Handled(stored.Event.LogID)
	boot.Count(ctx, "Events", 1)
	boot.Tally(ctx, "types", typeName(stored.Event))
	return nil
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
