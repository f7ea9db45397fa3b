package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/audit"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/trace"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// ask answers a request as Lambda would pass it on.
func ask(t *testing.T, c *checks, text string) (string, error) {
	t.Helper()
	var r request
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return "", err
	}
	answer, err := c.answer(t.Context(), r)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), nil
}

func TestWrongRequests(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                   "do must be audit-check, audit-sample, audit-restore, audit-retry or boards-check",
		`{"do": "audit"}`:                      `not "audit"`,
		`{"do": "boards-check"}`:               "board: boards-check needs it",
		`{"do": "audit-check", "board": "b"}`:  "board: boards-check needs it, and nothing else",
		`{"do": "audit-restore", "form": "x"}`: `unknown field "form"`,
		`{"do": "audit-restore", "from": "x"}`: "parsing time",
		`{"do": "audit-check", "to": "2026-01-01T00:00:00Z"}`:                                   "only audit-restore takes them",
		`{"do": "audit-restore", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}`: "from must be before to",
		`{"do": "audit-check", "place": "x"}`:                                                   audit.ErrPlace.Error(),
		`{"do": "audit-retry", "from": "2026-01-01T00:00:00Z"}`:                                 "only audit-restore takes them",
		`{"do": "audit-retry", "place": 7}`:                                                     audit.ErrPlace.Error(),
		`{"do": "audit-restore", "place": 7}`:                                                   audit.ErrPlace.Error(),
	} {
		if answer, err := ask(t, &checks{}, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v", text, answer, err)
		}
	}
}

func TestBoardsCheck(t *testing.T) {
	d := pgtest.Scores(t)
	owner := access.Caller{User: "o", Role: access.Organizer}
	ctx := trace.With(t.Context(), trace.Info{Parent: trace.Parent("")})
	if _, err := (&score.Boards{Registry: pgscores.New(d.Open("board_admin"))}).Create(ctx, owner, "demo", nil, func(*score.Board) {}); err != nil {
		t.Fatal(err)
	}
	points := int64(5)
	adder := &score.Adder{Ledger: pgscores.New(d.Open("score_add")), Now: time.Now}
	if _, err := adder.Add(ctx, owner, "POST", "demo", score.Submission{Player: "p", Points: &points}); err != nil {
		t.Fatal(err)
	}
	c := &checks{scores: d.Config("plaudit")} // the owner of the database
	if got, err := ask(t, c, `{"do": "boards-check", "board": "demo"}`); err != nil || got != `{"place":null,"findings":[],"more":0}` {
		t.Errorf("got %s, %v", got, err)
	}
	d.Owner().MustExec(`UPDATE standings SET score = 7`)
	if got, err := ask(t, c, `{"do": "boards-check", "board": "demo", "place": null}`); err != nil || got != `{"place":null,"findings":["all, player p: score 7, but the ledger has 5"],"more":0}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := ask(t, c, `{"do": "boards-check", "board": "none"}`); err == nil || err.Error() != `the board "none" does not exist` {
		t.Errorf("got %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(reserve))
	defer cancel()
	if _, err := c.board(late, "demo"); err == nil || !strings.Contains(err.Error(), "too large for the time-out") {
		t.Errorf("without time: %v", err)
	}
}

// A piece leaves half of the invoke's time to the step that it has begun.
func TestBudgetOfAPiece(t *testing.T) {
	if got := within(t.Context()); got != budget {
		t.Errorf("without a deadline it is %s", got)
	}
	short, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	if got := within(short); got <= 0 || got > budget/2 {
		t.Errorf("of %s it is %s", budget, got)
	}
}
