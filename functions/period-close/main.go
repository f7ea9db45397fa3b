// Command period-close is the Lambda that announces the runs of boards' periods that have
// closed.
//
//	schedule -> period-close -> scores DB (runs, outbox) -> outbox-relay
package main

import (
	"context"

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
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as period_close
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`
}

func main() { boot.Main("period-close", run) }

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
	return boot.Invoke(ctx, newHandler(pgscores.New(db).Waking(audit.Seldom(waker))))
}
