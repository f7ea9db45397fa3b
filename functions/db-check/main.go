// Command db-check is the Lambda that compares the audit log with the databases, has
// events sent to the log again, and recomputes standings. Nothing else reaches both
// databases and the log, and it has no HTTP route: `plaudit` invokes it, again and again
// until all is done.
//
//	plaudit audit check, restore, retry; boards check; setup -> db-check -> scores DB, users DB, log
//	                                                                -> wake table -> outbox-relay (a restore or retry)
package main

import (
	"context"

	"plaudit/shared/boot"
	"plaudit/shared/postgres"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	DB             postgres.Env
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as db_check
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	UsersDSN       string `env:"USERS_DSN,notEmpty"`    // the users database, as db_check
	UsersPassword  string `env:"USERS_PASSWORD,unset"`  // empty if DB_AUTH is iam
	EventsTable    string `env:"EVENTS_TABLE,notEmpty"`
	IndexTable     string `env:"INDEX_TABLE,notEmpty"`
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`  // a restore or retry wakes outbox-relay
	OutboxDays     int    `env:"OUTBOX_DAYS,notEmpty"` // how long sent rows stay in the outboxes
}

func main() { boot.Main("db-check", run) }

func run(ctx context.Context, cfg config) error {
	c, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	return boot.Invoke(ctx, c.answer)
}
