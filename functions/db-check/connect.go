package main

import (
	"context"
	"fmt"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	pgusers "plaudit/shared/postgres/users"
)

// connect prepares what the checks read: both databases, which are connected to at the
// first statement, and the log, whose tables must exist.
func connect(ctx context.Context, cfg config) (*checks, error) {
	log := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable)
	if err := log.Check(ctx); err != nil {
		return nil, err
	}
	scores, users := cfg.DB.Config(cfg.ScoresDSN, cfg.ScoresPassword), cfg.DB.Config(cfg.UsersDSN, cfg.UsersPassword)
	scoresDB, err := postgres.Open(scores)
	if err != nil {
		return nil, err
	}
	usersDB, err := postgres.Open(users)
	if err != nil {
		return nil, err
	}
	databases, err := databasesOf(pgscores.New(scoresDB), pgusers.New(usersDB))
	if err != nil {
		return nil, err
	}
	return &checks{log: log, databases: databases, scores: scores, keep: time.Duration(cfg.OutboxDays) * 24 * time.Hour}, nil
}

// databasesOf returns the stores as what checks and restores read.
func databasesOf(scores, users any) (d audit.Databases, err error) {
	ledger, ok := scores.(audit.Ledger)
	source, isSource := scores.(audit.Source)
	accounts, isAccounts := users.(audit.Source)
	if !ok || !isSource || !isAccounts {
		return d, fmt.Errorf("%T and %T do not read their outboxes for a check", scores, users)
	}
	return audit.Databases{Scores: source, Users: accounts, Ledger: ledger}, nil
}
