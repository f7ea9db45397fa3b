// Package migrate makes the databases' roles and brings their schemas up to date:
// tables and indexes by migrations, which run once and in order, and functions
// from files of their own, which are applied again when they change.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/pressly/goose/v3/lock"

	"plaudit/shared/postgres"
)

// lockID is the advisory lock that every change of a schema holds in its database,
// and every change of a cluster's roles in the database rolesLock.
const lockID = 0x706c6175646974 // "plaudit"

// rolesLock is a database that every cluster has. The databases of a cluster share
// its roles, but an advisory lock belongs to one database.
const rolesLock = "postgres"

// Master is the user that RDS makes with an instance.
type Master struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Config names a database to migrate.
type Config struct {
	Database string // scores or users; decides the roles and the schema
	// Config logs in as db_migrate. If Auth is password, Password becomes that of
	// every role.
	postgres.Config
	// Master makes the roles, or brings their limits and passwords up to date.
	// Without it the roles must exist.
	Master *Master
	// ScoreConcurrency is how many environments score-add and score-query each
	// have, OtherConcurrency how many every other function has. The roles'
	// connection limits follow.
	ScoreConcurrency, OtherConcurrency int
}

// Versions are the versions of a schema before and after a migration.
type Versions struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Up brings the roles and the schema of one database up to date. It can be
// repeated, and two at once wait for each other. An error names the database and
// never holds a password.
func Up(ctx context.Context, c Config) (Versions, error) {
	done, err := up(ctx, c)
	if err != nil {
		return Versions{}, fmt.Errorf("migrate the %s database: %w", c.Database, err)
	}
	return done, nil
}

// limits are the limits of a migration. statement_timeout ends a statement whose
// client has gone, and lock_timeout one that waits for a lock and makes others wait
// behind it.
var limits = postgres.Limits{
	Patience: 5 * time.Minute,
	Settings: map[string]string{"statement_timeout": "280000", "lock_timeout": "5000"},
}

func up(ctx context.Context, c Config) (Versions, error) {
	if _, ok := rolesOf[c.Database]; !ok {
		return Versions{}, fmt.Errorf("no such database: it must be scores or users, not %q", c.Database)
	}
	if c.ScoreConcurrency < 1 || c.OtherConcurrency < 1 {
		return Versions{}, errors.New("the concurrencies must be at least 1: connection limits follow from them")
	}
	u, err := postgres.ParseDSN(c.DSN)
	if err != nil {
		return Versions{}, err
	}
	if c.Master != nil {
		if err := asMaster(ctx, c, u); err != nil {
			return Versions{}, err
		}
	}

	c.MaxConns = 2 // one holds the lock
	db, err := postgres.OpenWithin(c.Config, limits)
	if err != nil {
		return Versions{}, err
	}
	defer db.Close()
	missing, err := missingRoles(ctx, db, c.Database)
	if refused(err) {
		return Versions{}, fmt.Errorf("role %s cannot log in: %w; %s", u.User.Username(), err, passMaster(c.Database))
	}
	if err != nil {
		return Versions{}, err
	}
	if len(missing) > 0 {
		return Versions{}, fmt.Errorf("the roles %s are missing; %s", strings.Join(missing, ", "), passMaster(c.Database))
	}
	files, err := readFiles(c.Database)
	if err != nil {
		return Versions{}, err
	}
	var done Versions
	err = locked(ctx, db, func() error {
		done, err = files.apply(ctx, db)
		return err
	})
	return done, err
}

// locked runs f while it holds the database's lock, on a connection of its own.
func locked(ctx context.Context, db *sqlx.DB, f func() error) (err error) {
	// It tries every second, for as long as Lambda lets a migration run.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := locker.SessionLock(ctx, conn); err != nil {
		return fmt.Errorf("wait for another migration to end: %w", err)
	}
	defer func() { err = errors.Join(err, unlock(context.WithoutCancel(ctx), locker, conn)) }()
	return f()
}

// unlock releases the lock. The end of the session also releases it, so a lost
// connection is not an error.
func unlock(ctx context.Context, locker lock.SessionLocker, conn *sql.Conn) error {
	if err := conn.PingContext(ctx); err != nil {
		return nil
	}
	return locker.SessionUnlock(ctx, conn)
}

// asMaster logs in as the master user and makes the roles.
func asMaster(ctx context.Context, c Config, u *url.URL) error {
	if c.Master.Username == "" || c.Master.Password == "" {
		return errors.New("the master needs a username and a password")
	}
	open := func(path string) (*sqlx.DB, error) {
		as := *u
		as.User, as.Path = url.User(c.Master.Username), path
		return postgres.OpenWithin(postgres.Config{
			DSN: as.String(), Auth: postgres.Password, Password: c.Master.Password, Name: owner,
		}, limits)
	}
	db, err := open(u.Path)
	if err != nil {
		return err
	}
	defer db.Close()
	roles, err := open("/" + rolesLock)
	if err != nil {
		return err
	}
	defer roles.Close()
	err = locked(ctx, roles, func() error { return makeRoles(ctx, db, c) })
	if refused(err) {
		return fmt.Errorf("the master user cannot log in; check its name and password: %w", err)
	}
	return err
}

// refused reports whether the server refused a login. Retrying does not help then.
func refused(err error) bool {
	return pq.As(err, pqerror.InvalidPassword, pqerror.InvalidAuthorizationSpecification) != nil
}

func passMaster(database string) string {
	return fmt.Sprintf(`invoke db-migrate with {"masters": {%q: {"username": …, "password": …}}}, which makes the roles and sets their passwords`, database)
}
