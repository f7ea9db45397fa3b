package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
)

// errDiffers is a board whose standings are not those of its ledger.
var errDiffers = errors.New("the standings are not what the ledger makes of them")

// boards is `plaudit boards check BOARD`.
func boards(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) < 2 || args[0] != "check" || strings.HasPrefix(args[1], "-") {
		fmt.Fprintln(stderr, "plaudit boards: say `plaudit boards check BOARD`")
		return errUsage
	}
	board := args[1]
	flags := flag.NewFlagSet("boards check", flag.ContinueOnError)
	file := flags.String("run", ".local/run.json", "`FILE` that `make run` writes")
	dsn := flags.String("dsn", "", "`URL` of the scores database with its owner, postgres://user:password@host:port/scores?sslmode=verify-full; without a password the user logs in by IAM, in AWS_REGION")
	if err := parse(flags, args[2:], stderr); err != nil {
		return err
	}
	if *dsn == "" {
		var err error
		if *dsn, err = laptopScores(*file); err != nil {
			return err
		}
	}
	found, err := pgscores.CheckBoard(ctx, databaseConfig(*dsn), board)
	if fault.Is(err, fault.NotFound) {
		return fmt.Errorf("there is no board %q", board)
	}
	if err != nil {
		return err
	}
	for _, d := range found {
		line, err := describe(d)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, line)
	}
	if len(found) > 0 {
		return fmt.Errorf("board %s: %w: %d of them differ", board, errDiffers, len(found))
	}
	fmt.Fprintf(stdout, "board %s: every standing is what the ledger makes of it\n", board)
	return nil
}

// laptopScores gives the URL of the laptop's scores database.
func laptopScores(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("nothing runs here, `make run` starts it; or name a database with --dsn: %w", err)
	}
	var run struct {
		Databases map[string]struct{ URL string }
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	scores, ok := run.Databases["scores"]
	if !ok {
		return "", fmt.Errorf("%s names no scores database", file)
	}
	return scores.URL, nil
}

// databaseConfig logs in with the password of the DSN, else by IAM.
func databaseConfig(dsn string) postgres.Config {
	c := postgres.Config{DSN: dsn, Auth: postgres.IAM, Region: os.Getenv("AWS_REGION"), Name: "plaudit boards check"}
	u, err := url.Parse(dsn)
	if err != nil {
		return c // postgres says what is wrong with it, without repeating it
	}
	if password, ok := u.User.Password(); ok {
		u.User = url.User(u.User.Username())
		c.DSN, c.Auth, c.Password = u.String(), postgres.Password, password
	}
	return c
}

// describe names the standing and each field that differs.
func describe(d pgscores.Difference) (string, error) {
	var stored, ledger map[string]json.RawMessage
	for doc, to := range map[*[]byte]*map[string]json.RawMessage{&d.Stored: &stored, &d.Ledger: &ledger} {
		if *doc == nil {
			continue
		}
		if err := json.Unmarshal(*doc, to); err != nil {
			return "", fmt.Errorf("read a difference: %w", err)
		}
	}
	where := d.Period
	if d.StartAt != nil {
		where += " from " + d.StartAt.UTC().Format(time.RFC3339)
	}
	var parts []string
	switch {
	case stored == nil:
		parts = append(parts, fmt.Sprintf("has no standing, by the ledger score %s", ledger["score"]))
	case ledger == nil:
		parts = append(parts, fmt.Sprintf("score %s, by the ledger no standing", stored["score"]))
	default:
		for name := range ledger {
			if string(stored[name]) != string(ledger[name]) {
				parts = append(parts, fmt.Sprintf("%s %s, by the ledger %s", name, orNothing(stored[name]), ledger[name]))
			}
		}
		slices.Sort(parts)
	}
	return fmt.Sprintf("%s, player %s: %s", where, d.Player, strings.Join(parts, "; ")), nil
}

func orNothing(text json.RawMessage) string {
	if text == nil {
		return "nothing"
	}
	return string(text)
}
