// Command outbox-relay is the Lambda that moves the events of the scores database's
// outbox to the audit log.
//
//	wake table's stream, schedule -> outbox-relay -> events, event-index (DynamoDB)
//	                                      ^ scores DB (outbox)
package main

import (
	"context"
	"errors"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	DB             postgres.Env
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as outbox_relay
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	EventsTable    string `env:"EVENTS_TABLE,notEmpty"`
	IndexTable     string `env:"INDEX_TABLE,notEmpty"`
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`
	OutboxDays     int    `env:"OUTBOX_DAYS,notEmpty"` // how long sent rows stay in the outbox
}

func main() { boot.Main("outbox-relay", run) }

func run(ctx context.Context, cfg config) error {
	keep, err := audit.KeepDays(cfg.OutboxDays)
	if err != nil {
		return err
	}
	db, err := postgres.Open(cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	log, waker := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable), ddb.NewWaker(cloud.Config(), cfg.WakeTable)
	if err := errors.Join(log.Check(ctx), waker.Check(ctx)); err != nil {
		return err
	}
	return boot.Invoke(ctx, newRelays(pgscores.New(db), log, waker, keep).handle)
}

// leased is an outbox with the relay's lease.
type leased interface {
	audit.Outbox
	audit.Lease
}
