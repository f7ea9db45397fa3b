package rds

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lib/pq"

	"plaudit/local/process"
)

// create makes a cluster in dir. It makes it in another folder and renames that,
// so that an interruption leaves no cluster that looks complete.
func create(ctx context.Context, group *process.Group, bin, dir, version string, c Config, as *syscall.Credential) error {
	aside := dir + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := makeDir(aside, as); err != nil {
		return err
	}
	// The character classes of Unicode, the order of code points: the same on
	// every machine. Not every system has the locale.
	err := initdb(ctx, group, bin, aside, "C.UTF-8", as)
	if err != nil && strings.Contains(err.Error(), "locale") {
		err = initdb(ctx, group, bin, aside, "C", as)
	}
	if err != nil {
		return err
	}
	// Single-user mode takes one statement a line and ends with its input. No
	// server listens before the passwords are set.
	statements := strings.Join(roles(c, major(version)), "\n") + "\n"
	out, err := runProgram(ctx, group, "postgres", bin, aside, as, strings.NewReader(statements),
		"--single", "-D", aside, "-c", "exit_on_error=on", "-c", "password_encryption=scram-sha-256", "postgres")
	if err != nil {
		return fmt.Errorf("making its roles: %w: %s", err, strings.ReplaceAll(out, pq.QuoteLiteral(c.MasterPassword), "***"))
	}
	return os.Rename(aside, dir)
}

// roles returns the statements for the roles of a new instance of RDS for
// PostgreSQL: a master user that is not a superuser but may create roles and
// databases, and the role whose members log in by IAM.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
//
// The master may also read the tables of every owner, so that an operator can look
// into a laptop's databases.
func roles(c Config, major int) []string {
	master := pq.QuoteIdentifier(c.MasterUser)
	statements := []string{
		`CREATE ROLE rds_superuser NOLOGIN CREATEDB CREATEROLE`,
		`GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION`,
		`GRANT pg_checkpoint TO rds_superuser WITH ADMIN OPTION`,
		`CREATE ROLE rds_iam NOLOGIN`,
		`CREATE ROLE ` + master + ` LOGIN CREATEDB CREATEROLE PASSWORD ` + pq.QuoteLiteral(c.MasterPassword) + ` VALID UNTIL 'infinity'`,
		`GRANT rds_superuser TO ` + master,
		`GRANT pg_read_all_data TO ` + master,
	}
	if major >= 16 {
		// From 16 on, granting a role needs its ADMIN option.
		statements = append(statements, `GRANT rds_iam TO `+master+` WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`)
	}
	if c.Database != "" && c.Database != "postgres" {
		statements = append(statements, `CREATE DATABASE `+pq.QuoteIdentifier(c.Database)+` OWNER `+master)
	}
	return statements
}

func initdb(ctx context.Context, group *process.Group, bin, dir, locale string, as *syscall.Credential) error {
	out, err := runProgram(ctx, group, "initdb", bin, dir, as, nil,
		"-D", dir, "-U", "rdsadmin", "--auth=reject", "--encoding=UTF8", "--locale="+locale, "--no-instructions")
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// runProgram runs one of PostgreSQL's programs and returns the end of its output.
func runProgram(ctx context.Context, group *process.Group, name, bin, dir string, as *syscall.Credential, stdin io.Reader, args ...string) (string, error) {
	var out bytes.Buffer
	err := group.Run(ctx, process.Spec{
		Name: name, Path: filepath.Join(bin, name), Args: args, Dir: dir, Env: environment(dir),
		Credential: as, Stdin: stdin, Stdout: &out, Stderr: &out,
	})
	return lastLines(out.String()), err
}

func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
}

func lastLines(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " / ")
}
