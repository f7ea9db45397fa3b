package main

import (
	"context"
	"errors"

	"plaudit/shared/audit"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	pgusers "plaudit/shared/postgres/users"
)

// connect prepares what the function needs: both databases, to which it connects at the
// first statement, the log and the wakes, whose tables must exist.
func connect(ctx context.Context, cfg config) (*checks, error) {
	keep, err := audit.KeepDays(cfg.OutboxDays)
	if err != nil {
		return nil, err
	}
	log, waker := ddb.NewLog(cloud.Config(), cfg.EventsTable, cfg.IndexTable), ddb.NewWaker(cloud.Config(), cfg.WakeTable)
	if err := errors.Join(log.Check(ctx), waker.Check(ctx)); err != nil {
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
	ledger, accounts := pgscores.New(scoresDB), pgusers.New(usersDB)
	databases := audit.Databases{Scores: ledger, Users: accounts, Ledger: ledger}
	return &checks{log: log, waker: waker, databases: databases, scores: scores, keep: keep}, nil
}
