package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/ddb"
)

type syncer struct{ players audit.Players }

// handle takes one record of the profiles table's stream. One that is not a profile can
// never become one, so it is skipped instead of holding up its shard.
func (s syncer) handle(ctx context.Context, r events.DynamoDBEventRecord) error {
	if r.EventName == string(events.DynamoDBOperationTypeRemove) {
		boot.Count(ctx, "SkippedRecords", 1)
		return nil
	}
	profile, err := ddb.Image(r.Change.NewImage).Profile()
	if err != nil {
		boot.Count(ctx, "SkippedRecords", 1)
		slog.ErrorContext(ctx, "a record of the stream is not a profile and is skipped", "record", r.Change.SequenceNumber, "error", err)
		return nil
	}
	if err := s.players.ApplyProfile(ctx, profile); err != nil {
		return fmt.Errorf("apply version %d of the profile of user %s: %w", profile.Version, profile.User, err)
	}
	boot.Count(ctx, "AppliedProfiles", 1)
	return nil
}
