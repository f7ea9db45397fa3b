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

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
)

// errDiffers is returned for a board whose standings differ from its ledger.
var errDiffers = errors.New("the standings differ from the ledger")

// boards is `plaudit boards check BOARD`.
func boards(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) < 2 || args[0] != "check" || strings.HasPrefix(args[1], "-") {
		fmt.Fprintln(stderr, "plaudit boards: the command is `plaudit boards check BOARD`; see `plaudit boards --help`")
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
	database, err := databaseConfig(ctx, *dsn)
	if err != nil {
		return err
	}
	found, err := pgscores.CheckBoard(ctx, database, board)
	if fault.Is(err, fault.NotFound) {
		return fmt.Errorf("the board %q does not exist", board)
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
		return fmt.Errorf("board %s: %w in %d places", board, errDiffers, len(found))
	}
	fmt.Fprintf(stdout, "board %s: every standing matches the ledger\n", board)
	return nil
}

// laptopScores returns the URL of the laptop's scores database.
func laptopScores(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("no laptop cloud runs here; start one with `make run`, or name a database with --dsn: %w", err)
	}
	var run struct {
		Databases map[string]struct{ URL string }
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	scores, ok := run.Databases["scores"]
	if !ok {
		return "", fmt.Errorf("%s has no scores database", file)
	}
	return scores.URL, nil
}

// databaseConfig uses the password of the DSN, or IAM with the caller's AWS
// credentials if it has none.
func databaseConfig(ctx context.Context, dsn string) (postgres.Config, error) {
	c := postgres.Config{DSN: dsn, Auth: postgres.IAM, Name: "plaudit boards check"}
	u, err := url.Parse(dsn)
	if err != nil {
		return c, nil // postgres reports what is wrong with it, without repeating it
	}
	if password, ok := u.User.Password(); ok {
		u.User = url.User(u.User.Username())
		c.DSN, c.Auth, c.Password = u.String(), postgres.Password, password
		return c, nil
	}
	account, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return c, fmt.Errorf("find AWS credentials: %w", err)
	}
	c.Region, c.Credentials = account.Region, account.Credentials
	return c, nil
}

// describe returns a line with the standing and each field that differs.
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
	has := "the ledger has"
	if d.Period == pgscores.Attributes {
		has = "the attributes have"
	}
	var parts []string
	switch {
	case stored == nil:
		parts = append(parts, fmt.Sprintf("no standing, but the ledger has score %s", ledger["score"]))
	case ledger == nil:
		parts = append(parts, fmt.Sprintf("score %s, but the ledger has no standing", stored["score"]))
	default:
		for name := range ledger {
			if string(stored[name]) != string(ledger[name]) {
				parts = append(parts, fmt.Sprintf("%s %s, but %s %s", name, orNothing(stored[name]), has, ledger[name]))
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
