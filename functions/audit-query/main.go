// Command audit-query is the Lambda behind GET on /v1/audit: it lists, shows and exports
// the events of the audit log.
//
//	ALB -> audit-query -> event-index (DynamoDB), events
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

func main() { boot.Main("audit-query", run) }

func run(ctx context.Context, cfg config) error {
	log := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable)
	if err := log.Check(ctx); err != nil {
		return err
	}
	reader := &audit.Reader{Log: log, Now: time.Now}
	return httplambda.Serve(ctx, "audit-query", cfg.HTTP, webaudit.Query(reader))
}
