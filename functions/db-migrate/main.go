// Command db-migrate is the Lambda that makes the databases' roles and migrates
// their schemas. `plaudit setup` invokes it at every deployment.
//
//	plaudit setup -> db-migrate -> scores DB, users DB
package main

import (
	"context"

	"plaudit/shared/boot"
	"plaudit/shared/postgres"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	DB               postgres.Env
	ScoresDSN        string `env:"SCORES_DSN"`        // postgres://db_migrate@…
	ScoresPassword   string `env:"SCORES_PASSWORD"`   // of every role there, if DB_AUTH is password
	UsersDSN         string `env:"USERS_DSN"`         // as SCORES_DSN
	UsersPassword    string `env:"USERS_PASSWORD"`    // as SCORES_PASSWORD
	ScoreConcurrency int    `env:"SCORE_CONCURRENCY"` // of score-add and of score-query, each; limits the connections of their roles
	OtherConcurrency int    `env:"OTHER_CONCURRENCY"` // of each other function with a connection
}

func main() { boot.Main("db-migrate", run) }

func run(ctx context.Context, cfg config) error {
	return boot.Invoke(ctx, migrations{
		databases: map[string]postgres.Config{
			"scores": cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword),
			"users":  cfg.DB.Config(cfg.UsersDSN, cfg.UsersPassword),
		},
		scoreConcurrency: cfg.ScoreConcurrency, otherConcurrency: cfg.OtherConcurrency,
	}.migrate)
}
