// Command db-migrate is the Lambda that makes the databases' roles and brings
// their schemas up to date. `plaudit setup` invokes it at every deployment.
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
	"plaudit/shared/postgres/migrate"
)

// config is all this function reads from its environment.
type config struct {
	DBAuth           string `env:"DB_AUTH"`           // iam or password: how every role logs in
	Region           string `env:"AWS_REGION"`        // of the databases; set by Lambda
	ScoreConcurrency int    `env:"SCORE_CONCURRENCY"` // of score-add and of score-query; their connection limits follow
	OtherConcurrency int    `env:"OTHER_CONCURRENCY"` // of every other function that holds a connection
	ScoresDSN        string `env:"SCORES_DSN"`        // postgres://db_migrate@…
	ScoresPassword   string `env:"SCORES_PASSWORD"`   // of every role there, where DB_AUTH is password
	UsersDSN         string `env:"USERS_DSN"`
	UsersPassword    string `env:"USERS_PASSWORD"`
}

// event is what the function is invoked with.
type event struct {
	// Masters are the users that RDS made, by database. Where one is given, its
	// database's roles are made or set anew.
	Masters map[string]*migrate.Master `json:"masters"`
}

func main() { boot.Main("db-migrate", run) }

func run(ctx context.Context, cfg config) error {
	databases := map[string]postgres.Config{
		"scores": {DSN: cfg.ScoresDSN, Password: cfg.ScoresPassword, Auth: cfg.DBAuth, Region: cfg.Region},
		"users":  {DSN: cfg.UsersDSN, Password: cfg.UsersPassword, Auth: cfg.DBAuth, Region: cfg.Region},
	}
	return boot.Invoke(ctx, func(ctx context.Context, e event) (map[string]migrate.Versions, error) {
		for name := range e.Masters {
			if _, ok := databases[name]; !ok {
				return nil, fmt.Errorf("masters: there is no database %q, only scores and users", name)
			}
		}
		done := map[string]migrate.Versions{}
		var faults error
		for name, database := range databases { // one's fault does not keep the other back
			migrated, err := migrate.Up(ctx, migrate.Config{
				Database: name, Config: database, Master: e.Masters[name],
				ScoreConcurrency: cfg.ScoreConcurrency, OtherConcurrency: cfg.OtherConcurrency,
			})
			done[name], faults = migrated, errors.Join(faults, err)
		}
		return done, faults
	})
}
