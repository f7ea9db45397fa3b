package main

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/trace"
)

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
	config := d.Config("plaudit") // the master user
	u, err := url.Parse(config.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("plaudit", config.Password)
	check := func(args ...string) (string, error) {
		var out, diag bytes.Buffer
		err := run(context.Background(), append([]string{"boards", "check"}, args...), nil, &out, &diag)
		return out.String() + diag.String(), err
	}
	if out, err := check("demo", "--dsn", u.String()); err != nil || out != "board demo: every standing matches the ledger\n" {
		t.Errorf("got %q, %v", out, err)
	}
	d.Owner().MustExec(`UPDATE standings SET score = 7`)
	out, err := check("demo", "--dsn", u.String())
	if !errors.Is(err, errDiffers) || out != "all, player p: score 7, but the ledger has 5\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := check("none", "--dsn", u.String()); err == nil || !strings.Contains(err.Error(), `the board "none" does not exist`) {
		t.Errorf("an unknown board: %v", err)
	}
	for _, args := range [][]string{{}, {"--run", "x"}, {"demo", "other"}} {
		if _, err := check(args...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Without --dsn, db-check recomputes them.
func TestBoardsCheckOfAStack(t *testing.T) {
	stack := newStack(t, func(request map[string]any) (string, error) {
		switch request["board"] {
		case "good":
			return `{"place": null, "findings": [], "more": 0}`, nil
		case "bad":
			return `{"place": null, "findings": ["all, player p: score 7, but the ledger has 5"], "more": 2}`, nil
		}
		return "", errors.New("the board \"none\" does not exist")
	})
	if out, _, err := runCommand("", "boards", "check", "good", "--run", stack.file); err != nil || out != "board good: every standing matches the ledger\n" {
		t.Errorf("got %q, %v", out, err)
	}
	out, _, err := runCommand("", "boards", "check", "bad", "--run", stack.file)
	if !errors.Is(err, errDiffers) || !strings.Contains(err.Error(), "in 3 places") || out != "all, player p: score 7, but the ledger has 5\n… and 2 more\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, _, err := runCommand("", "boards", "check", "none", "--run", stack.file); err == nil || !strings.Contains(err.Error(), `the board "none" does not exist`) {
		t.Errorf("an unknown board: %v", err)
	}
	if want := map[string]any{"do": "boards-check", "board": "good"}; !reflect.DeepEqual(stack.requests[0], want) {
		t.Errorf("the request is %v, want %v", stack.requests[0], want)
	}
}
