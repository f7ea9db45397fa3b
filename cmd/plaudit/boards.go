package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
)

// errDiffers is returned for a board whose standings differ from its ledger.
var errDiffers = errors.New("the standings differ from the ledger")

// boards is `plaudit boards check BOARD`.
func boards(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) < 2 || args[0] != "check" || strings.HasPrefix(args[1], "-") {
		fmt.Fprintln(stderr, "plaudit boards: the command is `plaudit boards check BOARD`; see `plaudit boards --help`")
		return errUsage
	}
	board := args[1]
	flags := flag.NewFlagSet("boards check", flag.ContinueOnError)
	stack := placeFlags(flags)
	dsn := flags.String("dsn", "", "`URL` of the scores database with its owner, postgres://user:password@host:port/scores?sslmode=verify-full; without a password the user logs in by IAM, in AWS_REGION")
	if err := parse(flags, args[2:], stderr); err != nil {
		return err
	}
	find := func() ([]string, int, error) { return differencesOfStack(ctx, stack, stdin, board) }
	if *dsn != "" {
		find = func() ([]string, int, error) { return differencesOfDatabase(ctx, *dsn, board) }
	}
	lines, more, err := find()
	if err != nil {
		return err
	}
	for _, line := range lines {
		fmt.Fprintln(stdout, line)
	}
	if more > 0 {
		fmt.Fprintf(stdout, "… and %d more\n", more)
	}
	if len(lines) > 0 {
		return fmt.Errorf("board %s: %w in %d places", board, errDiffers, len(lines)+more)
	}
	fmt.Fprintf(stdout, "board %s: every standing matches the ledger\n", board)
	return nil
}

// differencesOfStack has db-check recompute the standings.
func differencesOfStack(ctx context.Context, stack place, stdin io.Reader, board string) (lines []string, more int, err error) {
	check, err := stack.checker(ctx, stdin)
	if err != nil {
		return nil, 0, err
	}
	err = check.pieces(ctx, map[string]any{"do": "boards-check", "board": board}, func(answer []byte, _ bool) error {
		var r struct {
			Findings []string
			More     int
		}
		err := json.Unmarshal(answer, &r)
		lines, more = append(lines, r.Findings...), more+r.More
		return err
	})
	return lines, more, err
}

// differencesOfDatabase recomputes the standings in a database that can be reached.
func differencesOfDatabase(ctx context.Context, dsn, board string) (lines []string, more int, err error) {
	database, err := databaseConfig(ctx, dsn)
	if err != nil {
		return nil, 0, err
	}
	found, err := pgscores.CheckBoard(ctx, database, board)
	if fault.Is(err, fault.NotFound) {
		return nil, 0, fmt.Errorf("the board %q does not exist", board)
	}
	if err != nil {
		return nil, 0, err
	}
	for _, d := range found {
		line, err := d.Describe()
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line)
	}
	return lines, 0, nil
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
