package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
)

// request is what the function is invoked with. The answer has a place, and the next
// request passes it on; it is null at the end.
type request struct {
	Do    string          `json:"do"`    // what to do, see the constants
	Place json.RawMessage `json:"place"` // null at first
	Board string          `json:"board"` // of boards-check
	From  time.Time       `json:"from"`  // of audit-restore, over recordedtime
	To    time.Time       `json:"to"`    // exclusive
}

const (
	auditCheck   = "audit-check"   // a piece of a check of the log, see audit.Report
	auditSample  = "audit-sample"  // a look at some events, see audit.Sample
	auditRestore = "audit-restore" // a piece of a restore of the log, see audit.Restored
	auditRetry   = "audit-retry"   // a piece of a retry of the rows that were set aside, see audit.Restored
	boardsCheck  = "boards-check"  // a board's standings, see boardReport
)

// UnmarshalJSON refuses unknown fields, because a misspelt `from` would restore all.
func (r *request) UnmarshalJSON(text []byte) error {
	type plain request
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(r))
}

const (
	// budget is how long a piece takes, so that its caller sees the progress.
	budget = 5 * time.Second
	// page is how many rows of the outbox or events of the log a step reads.
	page = 200
	// secondLook is the time until what seems to be missing is looked for again.
	secondLook = time.Second
	// newest and random are how many rows of each outbox a sample compares.
	newest, random = 100, 100
	// ahead is how many rows that are sent again may wait: seconds of a relay's work.
	ahead = 1000
	// reserve is what is left of an invoke for its answer.
	reserve = time.Second
	// maxDifferences is how many differences an answer lists: an answer has at most 6 MB.
	maxDifferences = 10_000
)

// checks answers requests.
type checks struct {
	log       audit.Log
	waker     audit.Waker
	databases audit.Databases
	scores    postgres.Config
	keep      time.Duration
}

type (
	checked struct {
		Place json.RawMessage `json:"place"`
		audit.Report
	}
	sampled struct {
		Place json.RawMessage `json:"place"`
		audit.Sample
	}
	restored struct {
		Place json.RawMessage `json:"place"`
		audit.Restored
	}
	boardReport struct {
		Place    json.RawMessage `json:"place"`
		Findings []string        `json:"findings"`
		More     int             `json:"more"` // differences that are not listed
	}
)

func (c *checks) answer(ctx context.Context, r request) (any, error) {
	if (r.Do == boardsCheck) != (r.Board != "") {
		return nil, fmt.Errorf("board: %s needs it, and nothing else", boardsCheck)
	}
	if r.Do != auditRestore && (!r.From.IsZero() || !r.To.IsZero()) {
		return nil, fmt.Errorf("from, to: only %s takes them", auditRestore)
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
		return nil, errors.New("from must be before to")
	}
	switch r.Do {
	case auditCheck:
		report, next, err := c.checker(ctx).Run(ctx, r.Place)
		return checked{next, report}, err
	case auditSample:
		sample, err := c.checker(ctx).Sample(ctx, newest, random)
		return sampled{nil, sample}, err
	case auditRestore:
		done, next, err := c.restorer(ctx).Run(ctx, r.Place, r.From, r.To)
		return restored{next, done}, err
	case auditRetry:
		done, next, err := c.restorer(ctx).Retry(ctx, r.Place)
		return restored{next, done}, err
	case boardsCheck:
		return c.board(ctx, r.Board)
	}
	return nil, fmt.Errorf("do must be %s, %s, %s, %s or %s, not %q", auditCheck, auditSample, auditRestore, auditRetry, boardsCheck, r.Do)
}

func (c *checks) checker(ctx context.Context) *audit.Checker {
	return &audit.Checker{Log: c.log, Databases: c.databases, Keep: c.keep, Budget: within(ctx), Now: time.Now, Page: page, Wait: secondLook}
}

func (c *checks) restorer(ctx context.Context) *audit.Restorer {
	return &audit.Restorer{Databases: c.databases, Waker: c.waker, Budget: within(ctx), Now: time.Now, Step: ahead / 2, Ahead: ahead}
}

// within returns the budget of a piece, after which half of the invoke's time must be
// left: a step that has begun is finished.
func within(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(budget, time.Until(deadline)/2)
	}
	return budget
}

// board recomputes the standings of a board. That is one statement, so that all of it is
// one moment, and cannot be done in pieces.
func (c *checks) board(ctx context.Context, board string) (boardReport, error) {
	r := boardReport{Findings: []string{}}
	if deadline, ok := ctx.Deadline(); ok { // to answer before it
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	found, err := pgscores.CheckBoard(ctx, c.scores, board)
	switch {
	case fault.Is(err, fault.NotFound):
		return r, fmt.Errorf("the board %q does not exist", board)
	case ctx.Err() != nil:
		return r, errors.New("the board is too large for the time-out of db-check; raise its Timeout in template.yaml, or check the board with --dsn")
	case err != nil:
		return r, err
	}
	for _, d := range found {
		if len(r.Findings) == maxDifferences {
			r.More = len(found) - maxDifferences
			break
		}
		line, err := d.Describe()
		if err != nil {
			return r, err
		}
		r.Findings = append(r.Findings, line)
	}
	return r, nil
}
