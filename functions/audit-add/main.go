// Command audit-add is the Lambda behind POST /v1/audit/events: it takes events of
// other systems into the audit log.
//
//	ALB -> audit-add -> events (DynamoDB), event-index
package main

import (
	"context"
	"time"

	"plaudit/functions/internal/httplambda"
	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/web"
	webaudit "plaudit/shared/web/audit"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	HTTP        web.Env
	EventsTable string `env:"EVENTS_TABLE,notEmpty"` // the events
	IndexTable  string `env:"INDEX_TABLE,notEmpty"`  // their keys, by which lists find them
}

func main() { boot.Main("audit-add", run) }

func run(ctx context.Context, cfg config) error {
	log := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable)
	if err := log.Check(ctx); err != nil {
		return err
	}
	intake := &audit.Intake{Log: log, Now: time.Now}
	return httplambda.Serve(ctx, "audit-add", cfg.HTTP, webaudit.Add(intake))
}
