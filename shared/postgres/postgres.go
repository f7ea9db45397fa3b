// Package postgres connects to PostgreSQL: pools that keep their limits,
// transactions, and errors that clients may see. The domains' SQL is in the
// packages below it, scores and users; their schemas are in migrate.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/crash"
	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// The ways in which a role authenticates, see Config.
const (
	IAM      = "iam"      // by a token for each connection, signed locally
	Password = "password" // by a password, on the laptop
)

// patience bounds one whole call of a store: waiting for a connection, making one,
// and its statements. If the database does not answer, the client gets a 503 within
// 2 s.
const patience = 1800 * time.Millisecond

// StatementTimeout is how long a statement of a request may run before the server
// cancels it. It is shorter than the patience, so that a server that is alive says
// that it cancelled the statement before the pool gives up and no longer knows what
// became of it.
const StatementTimeout = 1600 * time.Millisecond

// LongStatementTimeout is that of a statement in InLongTx. It is the longest that a
// statement of any writer takes: whatever waits until all writers of a moment have
// ended waits this long.
const LongStatementTimeout = 5 * time.Second

// idleInTransaction is how long a session may be idle in a transaction before the server
// ends it.
const idleInTransaction = 5 * time.Second

// LongestWrite is the longest that a transaction takes from its last statement's begin to
// its commit: the statement and, in InLongTx, the pause before the commit. Only the commit
// itself may take longer, on a disk that hangs.
const LongestWrite = LongStatementTimeout + idleInTransaction

// retryAfter is how long a client should wait before it repeats a request.
const retryAfter = time.Second

// Config names a database and the role that logs in.
type Config struct {
	// DSN is postgres://role@host:port/database?sslmode=…. sslmode must be
	// verify-full or, in a private network, disable. The certificates of RDS are
	// built in; sslrootcert=<file> names those of another authority.
	DSN string
	// Auth is iam or password. iam requires sslmode=verify-full, because a token
	// is as good as a password.
	Auth     string
	Password string // if Auth is password
	Region   string // of the database, if Auth is iam
	// Credentials sign the tokens if Auth is iam. The default is the credentials in
	// the environment, where Lambda puts them.
	Credentials aws.CredentialsProvider
	// MaxConns bounds the pool. The default is 1, for a Lambda environment, which
	// serves one request at a time.
	MaxConns int
	// Name is the application_name under which pg_stat_activity shows the
	// connections; by default the role's.
	Name string
}

// Open prepares a pool and connects at the first statement.
//
// The server cancels a statement after StatementTimeout. The pool gives up after
// 1.8 s, whatever state the server is in; see conn. InLongTx allows more. Before it
// sends a statement, the pool replaces a connection that the server may have closed.
// It never sends a statement twice, and it prepares none, because prepared
// statements pin a connection of RDS Proxy.
func Open(c Config) (*sqlx.DB, error) {
	return OpenWithin(c, Limits{Patience: patience, Settings: map[string]string{
		"statement_timeout": strconv.FormatInt(StatementTimeout.Milliseconds(), 10),
		// A Lambda that is frozen in the middle of a transaction would keep
		// its locks.
		"idle_in_transaction_session_timeout": strconv.FormatInt(idleInTransaction.Milliseconds(), 10),
	}})
}

// Limits bound what a pool may wait for.
type Limits struct {
	Patience time.Duration     // for making a connection, and for each statement
	Settings map[string]string // of the session, sent as it starts: no round trip
}

// OpenWithin is Open with the caller's own limits, for work outside of requests.
func OpenWithin(c Config, l Limits) (*sqlx.DB, error) {
	connector, err := newConnector(c, l)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	conns := max(c.MaxConns, 1)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(maxIdle)
	return sqlx.NewDb(db, "postgres"), nil
}

// ParseDSN checks a DSN. Its errors do not repeat the DSN, which may contain a
// password.
func ParseDSN(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the DSN must read postgres://role@host:port/database?sslmode=…")
	}
	var missing []string
	if u.User.Username() == "" {
		missing = append(missing, "role")
	}
	if u.Hostname() == "" {
		missing = append(missing, "host")
	}
	if strings.Trim(u.Path, "/") == "" {
		missing = append(missing, "database")
	}
	if u.Query().Get("sslmode") == "" {
		missing = append(missing, "sslmode")
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the DSN must read postgres://role@host:port/database?sslmode=…; it lacks %s", strings.Join(missing, ", "))
	}
	return u, nil
}

// Bounded returns the context for one call of a store. Every call begins with it,
// because nothing else bounds the wait for a connection of a full pool.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

// InTx runs f in one transaction of a bounded call, and passes f's error through
// Wrap. Statements of f use its context.
func InTx(ctx context.Context, db *sqlx.DB, f func(ctx context.Context, tx *sqlx.Tx) error) error {
	ctx, cancel := Bounded(ctx)
	defer cancel()
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return Wrap(err)
	}
	defer tx.Rollback() // does nothing after a commit
	if err := f(ctx, tx); err != nil {
		return Wrap(err)
	}
	return Wrap(commit(tx))
}

// patienceKey is the context's key of a patience that replaces the pool's.
type patienceKey struct{}

// InLongTx is InTx for a request that is known to need more time, such as a large
// batch. A database that cannot be reached still fails within 2 s, because the
// first round trip has the patience of any other.
func InLongTx(ctx context.Context, db *sqlx.DB, f func(ctx context.Context, tx *sqlx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience+LongStatementTimeout+(patience-StatementTimeout))
	defer cancel()
	// Nothing else bounds the wait for a connection of a full pool.
	waiting, stop := Bounded(ctx)
	defer stop()
	conn, err := db.Connx(waiting)
	if err != nil {
		return Wrap(err)
	}
	defer conn.Close()
	tx, err := conn.BeginTxx(ctx, nil)
	if err != nil {
		return Wrap(err)
	}
	defer tx.Rollback() // does nothing after a commit
	limit := strconv.FormatInt(LongStatementTimeout.Milliseconds(), 10)
	if _, err := tx.ExecContext(ctx, `SET LOCAL statement_timeout = `+limit); err != nil {
		return Wrap(err)
	}
	long := context.WithValue(ctx, patienceKey{}, LongStatementTimeout+(patience-StatementTimeout))
	if err := f(long, tx); err != nil {
		return Wrap(err)
	}
	return Wrap(commit(tx))
}

func commit(tx *sqlx.Tx) error {
	crash.At(crash.BeforeCommit)
	err := tx.Commit()
	if err == nil {
		crash.At(crash.AfterCommit)
	}
	return err
}

// TraceParent returns the traceparent of the context's request, or a new one for
// work outside of requests.
func TraceParent(ctx context.Context) string { return trace.Parent(trace.From(ctx).Parent) }

// LikePrefix returns the LIKE pattern that matches every text with the prefix.
func LikePrefix(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}

// Wrap returns a fault for an error of the database that a retry can solve, and
// every other error unchanged. Stores pass all their errors through it.
func Wrap(err error) error {
	if _, ok := fault.As(err); ok || err == nil {
		return err
	}
	if pq.As(err, pqerror.TRDeadlockDetected, pqerror.TRSerializationFailure) != nil {
		return &fault.Error{
			Kind:       fault.Busy,
			Detail:     "Another request was changing the same data. Repeat the request; an add needs the same Idempotency-Key as before.",
			RetryAfter: retryAfter,
			Cause:      err,
		}
	}
	if timedOut(err) {
		return &fault.Error{
			Kind:       fault.Timeout,
			Detail:     "The database did not finish this in time, and nothing was written. Repeat the request after a second; an add needs the same Idempotency-Key as before. If that fails too, split a large batch, or ask for a smaller limit.",
			RetryAfter: retryAfter,
			Cause:      err,
		}
	}
	if !outage(err) {
		return err
	}
	return &fault.Error{
		Kind:       fault.DatabaseUnavailable,
		Detail:     "The database cannot be reached right now, or does not answer in time. A change may or may not have been made. Repeat the request after a second; an add needs the same Idempotency-Key as before.",
		RetryAfter: retryAfter,
		Cause:      err,
	}
}

// timedOut reports whether the server itself ended the transaction because it took
// too long, and thus rolled it back. The pool's own deadline is not among the causes:
// it passes when the server no longer answers, which may have committed the statement.
func timedOut(err error) bool {
	return pq.As(err,
		pqerror.QueryCanceled,    // statement_timeout
		pqerror.LockNotAvailable, // lock_timeout
		pqerror.IdleInTransactionSessionTimeout) != nil
}

// outage reports whether err means an unreachable or overloaded database.
func outage(err error) bool {
	if e := pq.As(err); e != nil {
		switch e.Code {
		case pqerror.AdminShutdown, pqerror.CrashShutdown, pqerror.CannotConnectNow, pqerror.IdleSessionTimeout,
			// RDS returns this when its check of IAM tokens is overloaded.
			pqerror.InvalidAuthorizationSpecification:
			return true
		}
		// Class 08: connection errors. Class 53: too many connections, a full disk.
		return e.Code.Class() == "08" || e.Code.Class() == "53"
	}
	var connect *connectError
	var lost *lostError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &lost) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, context.DeadlineExceeded)
}
