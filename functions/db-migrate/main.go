// Command db-migrate is the Lambda that makes the databases' roles and migrates
// their schemas. `plaudit setup` invokes it at every deployment.
//
//	plaudit setup -> db-migrate -> scores DB, users DB
//
// The first event is {"masters": {"scores": {"username", "password"}, "users":
// …}}, later ones are {}. It answers with the versions of the schemas:
// {"scores": {"from": 0, "to": 3}, "users": …}.
package main

import (
	"context"
	"errors"
	"fmt"

	"plaudit/shared/boot"
	"plaudit/shared/postgres"
)

// config is everything that this function reads from its environment.
type config struct {
	DB               postgres.Env
	ScoresDSN        string `env:"SCORES_DSN"`        // postgres://db_migrate@…
	ScoresPassword   string `env:"SCORES_PASSWORD"`   // of every role there, if DB_AUTH is password
	UsersDSN         string `env:"USERS_DSN"`         // as SCORES_DSN
	UsersPassword    string `env:"USERS_PASSWORD"`    // as SCORES_PASSWORD
	ScoreConcurrency int    `env:"SCORE_CONCURRENCY"` // of score-add and of score-query, each; limits the connections of their roles
	OtherConcurrency int    `env:"OTHER_CONCURRENCY"` // of each other function with a connection
}

// event is what the function is invoked with.
type event struct {
	// Masters are the users that RDS made, by database. The roles of a database
	// with a master here are made, or set to what they must be.
	Masters map[string]*postgres.Master `json:"masters"`
}

func main() { boot.Main("db-migrate", run) }

func run(ctx context.Context, cfg config) error {
	databases := map[string]postgres.Config{
		"scores": cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword),
		"users":  cfg.DB.Config(cfg.UsersDSN, cfg.UsersPassword),
	}
	return boot.Invoke(ctx, func(ctx context.Context, e event) (map[string]postgres.Migrated, error) {
		for name := range e.Masters {
			if _, ok := databases[name]; !ok {
				return nil, fmt.Errorf("masters: unknown database %q; it must be scores or users", name)
			}
		}
		done := map[string]postgres.Migrated{}
		var faults error
		for name, database := range databases { // a fault of one does not stop the other
			migrated, err := postgres.Migrate(ctx, postgres.MigrateConfig{
				Database: name, Config: database, Master: e.Masters[name],
				ScoreConcurrency: cfg.ScoreConcurrency, OtherConcurrency: cfg.OtherConcurrency,
			})
			done[name], faults = migrated, errors.Join(faults, err)
		}
		return done, faults
	})
}
