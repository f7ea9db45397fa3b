// Command player-sync is the Lambda that brings the players of the scores up to date
// with the profiles of their users.
//
//	profiles table's stream -> player-sync -> scores DB (players, outbox) -> outbox-relay
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/events"

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
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as player_sync
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`
}

func main() { boot.Main("player-sync", run) }

func run(ctx context.Context, cfg config) error {
	db, err := postgres.Open(cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	waker := ddb.NewWaker(cloud.Config(), cfg.WakeTable)
	if err := waker.Check(ctx); err != nil {
		return err
	}
	return boot.Batch(ctx, syncer{pgscores.New(db).Waking(audit.Seldom(waker))}.handle, func(r events.DynamoDBEventRecord) string {
		return ddb.Image(r.Change.NewImage).TraceParent()
	})
}
