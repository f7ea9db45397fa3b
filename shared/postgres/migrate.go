package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A migration's number is the schema's version. Each is safe to run while the
// version before it is serving, and none goes back.
//
//go:embed migrations
var migrations embed.FS

// Advisory locks: of a database's migrations, and of its roles, which nobody
// keeps for long.
const (
	migrationLock = 0x706c6175646974 // "plaudit"
	rolesLock     = migrationLock + 1
)

// Master is the user that RDS makes with an instance.
type Master struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// MigrateConfig says which database to migrate, and how.
type MigrateConfig struct {
	Database string // scores or users: whose migrations and roles
	// Config logs in as db_migrate. Where Auth is password, Password becomes
	// that of every role.
	Config
	// Master makes the roles, or brings their limits and passwords up to date.
	// Without one they must be there.
	Master *Master
	// ScoreConcurrency is what score-add and score-query each have,
	// OtherConcurrency every other function. Connection limits follow.
	ScoreConcurrency, OtherConcurrency int
}

// Migrated says from which version of the schema to which.
type Migrated struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Migrate brings the roles and the schema of one database up to date. It can
// be repeated, and two at once wait for each other. An error names the
// database and never holds a password.
func Migrate(ctx context.Context, c MigrateConfig) (Migrated, error) {
	done, err := migrate(ctx, c)
	if err != nil {
		return Migrated{}, fmt.Errorf("migrate the %s database: %w", c.Database, err)
	}
	return done, nil
}

// patient is for migrations. The server ends a statement of one that has gone
// away, and one that waits for a lock does not keep everybody else waiting
// behind it.
var patient = limits{
	patience: 5 * time.Minute,
	settings: map[string]string{"statement_timeout": "280000", "lock_timeout": "5000"},
}

func migrate(ctx context.Context, c MigrateConfig) (Migrated, error) {
	if _, ok := rolesOf[c.Database]; !ok {
		return Migrated{}, errors.New("there is no such database; there are scores and users")
	}
	if c.ScoreConcurrency < 1 || c.OtherConcurrency < 1 {
		return Migrated{}, errors.New("concurrencies must be 1 or more: connection limits follow from them")
	}
	u, err := parseDSN(c.DSN)
	if err != nil {
		return Migrated{}, err
	}
	if c.Master != nil {
		if err := asMaster(ctx, c, u); err != nil {
			return Migrated{}, err
		}
	}

	c.MaxConns = 2 // goose holds its lock on one of them
	db, err := open(c.Config, patient)
	if err != nil {
		return Migrated{}, err
	}
	defer db.Close()
	missing, err := missingRoles(ctx, db, c.Database)
	if refused(err) {
		return Migrated{}, fmt.Errorf("role %s cannot log in: %w; %s", u.User.Username(), err, passMaster(c.Database))
	}
	if err != nil {
		return Migrated{}, err
	}
	if len(missing) > 0 {
		return Migrated{}, fmt.Errorf("it lacks the roles %s; %s", strings.Join(missing, ", "), passMaster(c.Database))
	}
	// Migrations grant by name.
	if _, err := db.ExecContext(ctx, `ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`); err != nil {
		return Migrated{}, fmt.Errorf("take new functions from PUBLIC: %w", err)
	}
	return up(ctx, db, c.Database)
}

// asMaster logs in as the master user and makes the roles.
func asMaster(ctx context.Context, c MigrateConfig, u *url.URL) error {
	if c.Master.Username == "" || c.Master.Password == "" {
		return errors.New("its master needs a username and a password")
	}
	as := *u
	as.User = url.User(c.Master.Username)
	db, err := open(Config{DSN: as.String(), Auth: Password, Password: c.Master.Password, Name: owner}, patient)
	if err != nil {
		return err
	}
	defer db.Close()
	err = makeRoles(ctx, db, c)
	if refused(err) {
		return fmt.Errorf("the master user cannot log in, so its name or password is another: %w", err)
	}
	return err
}

// refused says whether a login was refused, which repeating does not cure.
func refused(err error) bool {
	return pq.As(err, pqerror.InvalidPassword, pqerror.InvalidAuthorizationSpecification) != nil
}

func passMaster(database string) string {
	return fmt.Sprintf(`invoke db-migrate with {"masters": {%q: {"username": …, "password": …}}}, which makes the roles and sets their passwords`, database)
}

// up applies what is new of the database's migrations.
func up(ctx context.Context, db *sqlx.DB, database string) (Migrated, error) {
	files, err := fs.Sub(migrations, "migrations/"+database)
	if err != nil {
		return Migrated{}, err
	}
	// Every second, for as long as Lambda would let a migration run.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
	if err != nil {
		return Migrated{}, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db.DB, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return Migrated{}, err
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return Migrated{}, err
	}
	to, err := provider.GetDBVersion(ctx)
	if err != nil {
		return Migrated{}, err
	}
	from := to
	if len(applied) > 0 {
		from = before(provider.ListSources(), applied[0].Source.Version)
	}
	return Migrated{From: from, To: to}, nil
}

// before gives the version that precedes one, 0 where it is the first.
func before(sources []*goose.Source, version int64) int64 {
	var previous int64
	for _, s := range sources {
		if s.Version < version {
			previous = max(previous, s.Version)
		}
	}
	return previous
}
