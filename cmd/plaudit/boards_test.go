package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
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
	// As `make run` writes it: the master user, with the password in the URL.
	config := d.Config("plaudit")
	u, err := url.Parse(config.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("plaudit", config.Password)
	file := filepath.Join(t.TempDir(), "run.json")
	content, err := json.Marshal(map[string]any{"databases": map[string]any{"scores": map[string]any{"url": u.String()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(args ...string) (string, error) {
		var out, diag bytes.Buffer
		err := run(context.Background(), append([]string{"boards", "check"}, args...), nil, &out, &diag)
		return out.String() + diag.String(), err
	}
	if out, err := check("demo", "--run", file); err != nil || out != "board demo: every standing matches the ledger\n" {
		t.Errorf("got %q, %v", out, err)
	}
	d.Owner().MustExec(`UPDATE standings SET score = 7`)
	out, err := check("demo", "--dsn", u.String())
	if !errors.Is(err, errDiffers) || out != "all, player p: score 7, but the ledger has 5\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := check("none", "--run", file); err == nil || !strings.Contains(err.Error(), `the board "none" does not exist`) {
		t.Errorf("an unknown board: %v", err)
	}
	for _, args := range [][]string{{}, {"--run", file}, {"demo", "other"}} {
		if _, err := check(args...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := check("demo", "--run", file+"x"); err == nil || strings.Contains(err.Error(), config.Password) {
		t.Errorf("a missing file: %v", err)
	}
}
