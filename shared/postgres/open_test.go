package postgres_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
)

func TestOpenSaysWhatIsWrongWithItsConfig(t *testing.T) {
	const dsn = "postgres://score_add@127.0.0.1:5432/scores"
	for name, c := range map[string]struct {
		config postgres.Config
		want   string
	}{
		"no DSN":           {postgres.Config{}, "must read postgres://"},
		"no URL":           {postgres.Config{DSN: "host=x password=hush"}, "must read postgres://"},
		"a broken URL":     {postgres.Config{DSN: "postgres://a:hush@[::1/x"}, "must read postgres://"},
		"parts missing":    {postgres.Config{DSN: "postgres://:hush@/"}, "lacks role, host, database, sslmode"},
		"an odd sslmode":   {postgres.Config{DSN: dsn + "?sslmode=maybe"}, "role score_add"},
		"no auth":          {postgres.Config{DSN: dsn + "?sslmode=disable"}, `authentication is ""`},
		"no password":      {postgres.Config{DSN: dsn + "?sslmode=disable", Auth: "password"}, "no password"},
		"IAM without TLS":  {postgres.Config{DSN: dsn + "?sslmode=disable", Auth: "iam", Region: "x"}, "verify-full"},
		"IAM, TLS at will": {postgres.Config{DSN: dsn + "?sslmode=require", Auth: "iam", Region: "x"}, "verify-full"},
		"IAM, no region":   {postgres.Config{DSN: dsn + "?sslmode=verify-full", Auth: "iam"}, "region"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			} else if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestSessionHasItsLimits(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	config := d.Config("users_service")
	config.Name = "a test"
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]string{
		"statement_timeout":                   "1600ms",
		"idle_in_transaction_session_timeout": "5s",
		"idle_session_timeout":                "1min", // the role's
		"application_name":                    "a test",
		"TimeZone":                            "UTC",
		"jit":                                 "off",
	} {
		var got string
		if err := db.Get(&got, `SELECT current_setting($1)`, name); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, err := db.Prepare(`SELECT 1`); err == nil {
		t.Error("a statement was prepared")
	}
}

// A pool that gives up first would call its own time-out an outage.
func TestServerGivesUpBeforeThePool(t *testing.T) {
	ctx, cancel := postgres.Bounded(t.Context())
	defer cancel()
	deadline, _ := ctx.Deadline()
	if pool := time.Until(deadline); pool <= postgres.StatementTimeout {
		t.Errorf("the server cancels a statement after %v, the pool gives up after %v", postgres.StatementTimeout, pool)
	}
}

func TestServerEndsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	d.Owner().MustExec(`CREATE TABLE lines (n int); GRANT ALL ON lines TO users_service; INSERT INTO lines VALUES (0)`)
	for name, c := range map[string]struct{ setting, value, statement string }{
		"a long statement":       {"statement_timeout", "50", `SELECT pg_sleep(3600)`},
		"a statement that waits": {"statement_timeout", "50", `UPDATE lines SET n = 3`},
		"a wait for a lock":      {"lock_timeout", "50", `UPDATE lines SET n = 4`},
	} {
		t.Run(name, func(t *testing.T) {
			release := d.Hold(`LOCK TABLE lines IN SHARE MODE`)
			defer release()
			db, err := postgres.OpenWithin(d.Config("users_service"), postgres.Limits{Patience: time.Minute, Settings: map[string]string{c.setting: c.value}})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			_, err = db.Exec(c.statement)
			f, ok := fault.As(postgres.Wrap(err))
			if !ok || f.Kind != fault.Timeout || f.RetryAfter != time.Second || !strings.Contains(f.Detail, "nothing was written") {
				t.Errorf("got %v, want %s to be repeated after 1 s", err, fault.Timeout)
			}
		})
	}
	var changed int
	if err := d.Owner().Get(&changed, `SELECT sum(n) FROM lines`); err != nil || changed != 0 {
		t.Errorf("a statement was written (%v)", err)
	}
}

// The pool cannot tell a slow server from a frozen one, nor whether the statement
// was committed in the end.
func TestLongStatementIsCutOff(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	db, err := postgres.OpenWithin(d.Config("users_service"), postgres.Limits{Patience: 500 * time.Millisecond, Settings: map[string]string{"statement_timeout": "2000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `SELECT pg_sleep(3600)`)
	unavailable(t, postgres.Wrap(err))
	if f, ok := fault.As(postgres.Wrap(err)); ok && !strings.Contains(f.Detail, "may or may not") {
		t.Errorf("the client is told %q", f.Detail)
	}
	// The server ends it too.
	for running := 1; running > 0; time.Sleep(10 * time.Millisecond) {
		err := d.Owner().Get(&running, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'users_service' AND state = 'active'`)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	db := d.Owner()
	if _, err := db.Exec(`CREATE TABLE lines (n int PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	insert := func(ctx context.Context, tx *sqlx.Tx, n int) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO lines (n) VALUES ($1)`, n)
		return err
	}
	if err := postgres.InTx(t.Context(), db, func(ctx context.Context, tx *sqlx.Tx) error {
		return insert(ctx, tx, 1)
	}); err != nil {
		t.Fatal(err)
	}
	refusal := fault.New(fault.NotFound, "not there")
	if err := postgres.InTx(t.Context(), db, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := insert(ctx, tx, 2); err != nil {
			return err
		}
		return refusal
	}); !errors.Is(err, refusal) {
		t.Errorf("a fault came back as %v", err)
	}
	if err := postgres.InTx(t.Context(), db, func(ctx context.Context, tx *sqlx.Tx) error {
		return errors.Join(insert(ctx, tx, 3), insert(ctx, tx, 1))
	}); pq.As(err, pqerror.UniqueViolation) == nil {
		t.Errorf("a unique violation came back as %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = postgres.InTx(t.Context(), db, func(ctx context.Context, tx *sqlx.Tx) error {
			if err := insert(ctx, tx, 4); err != nil {
				t.Error(err)
			}
			panic("a bug")
		})
	}()
	var lines []int
	if err := db.Select(&lines, `SELECT n FROM lines ORDER BY n`); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || lines[0] != 1 {
		t.Errorf("lines %v, want [1]", lines)
	}
	if open := db.Stats().InUse; open != 0 {
		t.Errorf("%d connections did not come back", open)
	}
}

func TestFaultsOfTheDatabaseAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind // "" for one that passes as it is
	}{
		"none":                 {nil, ""},
		"no rows":              {sql.ErrNoRows, ""},
		"a fault":              {fault.New(fault.Busy, "x"), fault.Busy},
		"a unique violation":   {&pq.Error{Code: "23505"}, ""},
		"a missing table":      {&pq.Error{Code: "42P01"}, ""},
		"a wrong password":     {&pq.Error{Code: "28P01"}, ""},
		"no such database":     {&pq.Error{Code: "3D000"}, ""},
		"a deadlock":           {&pq.Error{Code: "40P01"}, fault.Busy},
		"a statement timeout":  {fmt.Errorf("add: %w", &pq.Error{Code: "57014"}), fault.Timeout},
		"a lock timeout":       {&pq.Error{Code: "55P03"}, fault.Timeout},
		"an idle transaction":  {&pq.Error{Code: "25P03"}, fault.Timeout},
		"an idle session":      {&pq.Error{Code: "57P05"}, fault.DatabaseUnavailable},
		"a shutdown":           {&pq.Error{Code: "57P01"}, fault.DatabaseUnavailable},
		"too many connections": {&pq.Error{Code: "53300"}, fault.DatabaseUnavailable},
		"starting up":          {&pq.Error{Code: "57P03"}, fault.DatabaseUnavailable},
		"no connection":        {&net.OpError{Op: "dial", Err: errors.New("refused")}, fault.DatabaseUnavailable},
		"time is over":         {context.DeadlineExceeded, fault.DatabaseUnavailable},
		"the client has gone":  {context.Canceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := postgres.Wrap(c.err)
			if !errors.Is(got, c.err) {
				t.Fatalf("%v became %v", c.err, got)
			}
			f, ok := fault.As(got)
			if ok != (c.kind != "") || ok && f.Kind != c.kind {
				t.Fatalf("got %v", got)
			}
			if ok && f.Cause != nil && f.RetryAfter != time.Second {
				t.Errorf("Retry-After is %v", f.RetryAfter)
			}
		})
	}
}

func TestCertificatesOfRDS(t *testing.T) {
	rest, seoul := postgres.RDSCertificates(), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !c.IsCA || c.CheckSignatureFrom(c) != nil {
			t.Errorf("%s is no root authority", c.Subject)
		}
		if !slices.Contains([]string{"Amazon Web Services, Inc.", "Amazon", "Starfield Technologies, Inc."}, strings.Join(c.Subject.Organization, "")) {
			t.Errorf("%s is not one of RDS or its proxy", c.Subject)
		}
		if strings.Contains(c.Subject.CommonName, "ap-northeast-2") {
			seoul++
		}
	}
	// RSA 2048, RSA 4096, ECC 384.
	if seoul != 3 {
		t.Errorf("%d authorities of Seoul, want 3", seoul)
	}
}

// unavailable checks that an error reports an outage.
func unavailable(t *testing.T, err error) {
	t.Helper()
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.DatabaseUnavailable || f.RetryAfter != time.Second {
		t.Errorf("got %v, want %s to be repeated after 1 s", err, fault.DatabaseUnavailable)
	}
}

// A call ends within 1.8 s, or earlier if the caller's time is up by then.
func TestBoundedEndsACall(t *testing.T) {
	const bound = 1800 * time.Millisecond
	before := time.Now()
	ctx, cancel := postgres.Bounded(t.Context())
	after := time.Now()
	defer cancel()
	if deadline, ok := ctx.Deadline(); !ok || deadline.Before(before.Add(bound)) || deadline.After(after.Add(bound)) {
		t.Errorf("the deadline of a call that began between %v and %v is %v", before, after, deadline)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ctx, cancel = postgres.Bounded(soon)
	defer cancel()
	want, _ := soon.Deadline()
	if deadline, ok := ctx.Deadline(); !ok || !deadline.Equal(want) {
		t.Errorf("the deadline is %v, want the caller's %v", deadline, want)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	ctx, cancelCall := postgres.Bounded(cancelled)
	defer cancelCall()
	cancel()
	if ctx.Err() == nil {
		t.Error("the call outlives its caller")
	}
}
