// Command board-admin is the Lambda behind the rest of /v1/boards: it makes and
// changes boards and players, and answers every request there that no other
// function takes.
//
//	ALB -> board-admin -> scores DB (board, player, outbox)
//	                   -> wake table -> outbox-relay, if it does not run
package main

import (
	"context"

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
	ScoresDSN      string `env:"SCORES_DSN,notEmpty"`   // the scores database, as board_admin
	ScoresPassword string `env:"SCORES_PASSWORD,unset"` // empty if DB_AUTH is iam
	WakeTable      string `env:"WAKE_TABLE,notEmpty"`   // an item in it wakes the relay

	BoardsPerAccount int `env:"BOARDS_PER_ACCOUNT,notEmpty"` // boards that an account may create
	CatalogueBytes   int `env:"CATALOGUE_BYTES,notEmpty"`    // of a board's catalogue as compact JSON
}

func main() { boot.Main("board-admin", run) }

func run(ctx context.Context, cfg config) error {
	db, err := postgres.Open(cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	waker := audit.Seldom(ddb.NewWaker(cloud.Config(), cfg.WakeTable))
	quotas := score.Quotas{Boards: cfg.BoardsPerAccount, Catalogue: cfg.CatalogueBytes}
	boards := &score.Boards{Registry: pgscores.New(db).Waking(waker), Quotas: quotas}
	return httplambda.Serve(ctx, "board-admin", cfg.HTTP, scores.Admin(boards))
}
