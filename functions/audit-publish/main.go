// Command audit-publish is the Lambda that reads every new event of the audit log. It
// counts them by type, and will put them on the bus once there is one.
//
//	events table's stream -> audit-publish -> event-index (what was left out)
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/boot"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	EventsTable string `env:"EVENTS_TABLE,notEmpty"`
	IndexTable  string `env:"INDEX_TABLE,notEmpty"`
}

func main() { boot.Main("audit-publish", run) }

func run(ctx context.Context, cfg config) error {
	log := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable)
	if err := log.Check(ctx); err != nil {
		return err
	}
	return boot.Batch(ctx, publisher{log}.handle, func(r events.DynamoDBEventRecord) string {
		stored, _ := ddb.Image(r.Change.NewImage).Event() // handle reports the error
		return stored.Event.TraceParent
	})
}
