// Package postgres keeps the domains' data in PostgreSQL, in files named after
// the domain. SQL is written by hand, columns listed, in the file that owns
// the table; the schemas are under migrations/.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/fault"
)

// How a role proves who it is, see Config.
const (
	IAM      = "iam"      // a token for each connection, signed locally
	Password = "password" // the laptop
)

// patience is what one call of a store may take in all: waiting for a
// connection, making one, its statements. A database that does not answer is
// a 503 within 2 s.
const patience = 1800 * time.Millisecond

// retryAfter is what a client is told to wait for the database.
const retryAfter = time.Second

// Config says which database, and who logs in.
type Config struct {
	// DSN is postgres://role@host:port/database?sslmode=…, where sslmode is
	// verify-full or, in a network nobody else is in, disable. Certificates of
	// RDS are known; sslrootcert=<file> names another authority's.
	DSN string
	// Auth is iam or password. iam wants sslmode=verify-full, because a token
	// is as good as a password.
	Auth     string
	Password string // where Auth is password
	Region   string // of the database, where Auth is iam
	// MaxConns bounds the pool. A Lambda environment serves one request at a
	// time and has 1, the default.
	MaxConns int
	// Name is the application_name under which pg_stat_activity shows the
	// connections; by default the role's.
	Name string
}

// Open prepares a pool and connects at the first statement.
//
// A statement is cut off after 2 s by the server and after 1.8 s by the pool,
// whatever state the server is in: see conn. A connection that the server may
// have closed meanwhile is replaced before a statement is sent on it, and a
// statement that has been sent is never sent again. There are no prepared
// statements, because they pin a connection of RDS Proxy.
func Open(c Config) (*sqlx.DB, error) {
	return open(c, limits{patience: patience, settings: map[string]string{
		"statement_timeout": "2000",
		// A Lambda that is frozen in the middle of a transaction would keep
		// its locks.
		"idle_in_transaction_session_timeout": "5000",
	}})
}

// limits is what Open and Migrate differ in.
type limits struct {
	patience time.Duration     // for a connection to come about, and for a statement
	settings map[string]string // of the session, sent as it starts: no round trip
}

func open(c Config, l limits) (*sqlx.DB, error) {
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

// parseDSN checks a DSN. Its errors do not repeat it: it may hold a password.
func parseDSN(dsn string) (*url.URL, error) {
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

// bounded gives the context of one call of a store. Every call begins with it:
// it is what bounds the wait for a connection of a full pool.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

// inTx runs f in one transaction of a bounded call. What f returns goes
// through wrap. Statements of f use its context.
func inTx(ctx context.Context, db *sqlx.DB, f func(ctx context.Context, tx *sqlx.Tx) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return wrap(err)
	}
	defer tx.Rollback() // does nothing after a commit
	if err := f(ctx, tx); err != nil {
		return wrap(err)
	}
	return wrap(tx.Commit())
}

// Ready says whether the database answers statements.
func Ready(ctx context.Context, db *sqlx.DB) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := db.ExecContext(ctx, "SELECT 1")
	return wrap(err)
}

// wrap turns an error of the database that repeating can cure into a fault,
// and leaves every other as it is. Stores send what they return through it.
func wrap(err error) error {
	if _, ok := fault.As(err); ok || err == nil {
		return err
	}
	if pq.As(err, pqerror.TRDeadlockDetected, pqerror.TRSerializationFailure) != nil {
		return &fault.Error{
			Kind:       fault.Busy,
			Detail:     "Another request was changing the same data. Repeat the request, an add with the same Idempotency-Key.",
			RetryAfter: retryAfter,
			Cause:      err,
		}
	}
	if !outage(err) {
		return err
	}
	return unavailable(err)
}

// unavailable is the fault of a database that cannot be reached.
func unavailable(err error) error {
	return &fault.Error{
		Kind:       fault.DatabaseUnavailable,
		Detail:     "The database cannot be reached right now. Repeat the request after a second, an add with the same Idempotency-Key.",
		RetryAfter: retryAfter,
		Cause:      err,
	}
}

// outage says whether err means an unreachable or overloaded database.
func outage(err error) bool {
	if e := pq.As(err); e != nil {
		switch e.Code {
		case pqerror.QueryCanceled, // statement_timeout
			pqerror.LockNotAvailable,
			pqerror.AdminShutdown, pqerror.CrashShutdown, pqerror.CannotConnectNow, pqerror.IdleSessionTimeout,
			pqerror.IdleInTransactionSessionTimeout,
			// RDS answers so when its check of IAM tokens is overloaded.
			pqerror.InvalidAuthorizationSpecification:
			return true
		}
		// Class 53 is what too many connections and a full disk are in.
		return e.Code.Class() == "08" || e.Code.Class() == "53"
	}
	var connect *connectError
	var lost *lostError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &lost) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, context.DeadlineExceeded)
}
