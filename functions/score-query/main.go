// Command score-query is the Lambda behind GET on /v1/boards and /v1/players.
//
//	ALB -> score-query -> scores DB (boards, standings, entries)
package main

import (
	"context"
	"time"

	"plaudit/functions/internal/httplambda"
	"plaudit/shared/boot"
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
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as score_query
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
}

func main() { boot.Main("score-query", run) }

func run(ctx context.Context, cfg config) error {
	db, err := postgres.Open(cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	reader := &score.Reader{Tables: pgscores.New(db), Now: time.Now}
	return httplambda.Serve(ctx, "score-query", cfg.HTTP, scores.Query(reader))
}
