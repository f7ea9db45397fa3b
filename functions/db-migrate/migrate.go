package main

import (
	"context"
	"errors"
	"fmt"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
)

// event is what the function is invoked with: after the databases were created
// {"masters": {"scores": {"username", "password"}, "users": …}}, later {}.
type event struct {
	// Masters are the users that RDS made, by database. The roles of a database
	// with a master here are made, or set to what they must be.
	Masters map[string]*migrate.Master `json:"masters"`
}

type migrations struct {
	databases                          map[string]postgres.Config
	scoreConcurrency, otherConcurrency int
}

// migrate returns the versions of the schemas: {"scores": {"from": 0, "to": 3},
// "users": …}.
func (m migrations) migrate(ctx context.Context, e event) (map[string]migrate.Versions, error) {
	for name := range e.Masters {
		if _, ok := m.databases[name]; !ok {
			return nil, fmt.Errorf("masters: unknown database %q; it must be scores or users", name)
		}
	}
	done := map[string]migrate.Versions{}
	var faults error
	for name, database := range m.databases { // a fault of one does not stop the other
		migrated, err := migrate.Up(ctx, migrate.Config{
			Database: name, Config: database, Master: e.Masters[name],
			ScoreConcurrency: m.scoreConcurrency, OtherConcurrency: m.otherConcurrency,
		})
		done[name], faults = migrated, errors.Join(faults, err)
	}
	return done, faults
}
