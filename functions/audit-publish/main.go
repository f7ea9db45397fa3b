// Command audit-publish is the Lambda that puts every new event of the audit log on the
// bus, whose rules decide who hears of it.
//
//	events table's stream -> audit-publish -> event-index (what was left out)
//	                                       -> EventBridge bus -> rules
package main

import (
	"context"
	"errors"

	"plaudit/shared/boot"
	"plaudit/shared/bus"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	EventsTable string `env:"EVENTS_TABLE,notEmpty"`
	IndexTable  string `env:"INDEX_TABLE,notEmpty"`
	EventBus    string `env:"EVENT_BUS,notEmpty"`
}

func main() { boot.Main("audit-publish", run) }

func run(ctx context.Context, cfg config) error {
	log, events := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable), bus.New(cloud.Config(), cfg.EventBus)
	if err := errors.Join(log.Check(ctx), events.Check(ctx)); err != nil {
		return err
	}
	return boot.WholeBatch(ctx, publisher{log, events}.handle)
}
