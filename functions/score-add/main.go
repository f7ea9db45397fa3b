// Command score-add is the Lambda behind POST /v1/boards/{board}/entries, its
// reversals and batches.
//
//	ALB -> score-add -> scores DB (entry, standings, outbox)
//	                 -> wake table -> outbox-relay, if it does not run
package main

import (
	"context"
	"time"

	"plaudit/functions/internal/httplambda"
	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	HTTP           web.Env
	DB             postgres.Env
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as score_add
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`   // an item in it wakes the relay
}

func main() { boot.Main("score-add", run) }

func run(ctx context.Context, cfg config) error {
	db, err := postgres.Open(cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	waker := audit.Seldom(ddb.NewWaker(cloud.Config(), cfg.WakeTable))
	adder := &score.Adder{Ledger: pgscores.New(db).Waking(waker), Now: time.Now}
	return httplambda.Serve(ctx, "score-add", cfg.HTTP, scores.Add(adder))
}
