package migrate

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/postgres"
)

// owner is the role that owns every object that migrations create.
const owner = "db_migrate"

// role is a role that a deployable logs in as. Migrations and functions grant its
// privileges.
type role struct {
	name string
	// connections returns its CONNECTION LIMIT: twice what it needs, because the
	// environments of the previous version live on for a while.
	connections func(Config) int
}

// rolesOf lists the roles of each database.
var rolesOf = map[string][]role{
	"scores": {
		{owner, others},
		{"score_add", scorers},
		{"score_query", scorers},
		{"board_admin", others},
		{"outbox_relay", others},
		{"player_sync", others},
		{"period_close", closers},
		{"db_check", checkers},
	},
	"users": {
		{owner, others},
		{"users_service", func(Config) int { return 44 }},
		{"db_check", checkers},
	},
}

func scorers(c Config) int { return 2 * c.ScoreConcurrency }
func others(c Config) int  { return 2 * c.OtherConcurrency }

// closers are one environment at a time: period-close's concurrency is reserved as 1. The
// other connections are for the previous version, and for two runs of the schedule at once
// where concurrency is not reserved.
func closers(Config) int { return 4 }

// checkers need few: somebody runs a check now and then, and waits for it. Each has a
// connection besides that of its pool for a check of a board.
func checkers(Config) int { return 8 }

// makeRoles creates the database's roles as its master user, or brings them up to
// date, in one transaction. The caller must hold the lock, because two calls at once
// would collide in pg_authid ("tuple concurrently updated").
//
// The master must never become a member of a role that logs in by IAM, because RDS
// would then refuse its password.
func makeRoles(ctx context.Context, db *sqlx.DB, c Config) error {
	// PostgreSQL only warns about a GRANT by a user that does not own the object.
	var owned bool
	err := db.GetContext(ctx, &owned, `SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()`)
	if err != nil {
		return err
	}
	if !owned {
		return errors.New("the master must be the user that owns the database")
	}
	statements, err := roleStatements(ctx, db, c)
	if err != nil {
		return err
	}
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	for _, r := range rolesOf[c.Database] {
		var exists bool
		if err := tx.GetContext(ctx, &exists, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, r.name); err != nil {
			return err
		}
		if !exists {
			if _, err := tx.ExecContext(ctx, `CREATE ROLE `+r.name+` LOGIN`); err != nil {
				return fmt.Errorf("make role %s: %w", r.name, err)
			}
		}
	}
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s.sql); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return tx.Commit()
}

// statement is SQL with a description for errors, because the SQL may contain a
// verifier.
type statement struct{ what, sql string }

func roleStatements(ctx context.Context, db *sqlx.DB, c Config) ([]statement, error) {
	var database string
	if err := db.GetContext(ctx, &database, `SELECT current_database()`); err != nil {
		return nil, err
	}
	database = pq.QuoteIdentifier(database)
	out := []statement{
		{"close the database to PUBLIC", `REVOKE ALL ON DATABASE ` + database + ` FROM PUBLIC`},
		{"close the schema to PUBLIC", `REVOKE ALL ON SCHEMA public FROM PUBLIC`},
		{"open the database to " + owner, `GRANT CREATE, TEMPORARY ON DATABASE ` + database + ` TO ` + owner},
		{"open the schema to " + owner, `GRANT CREATE, USAGE ON SCHEMA public TO ` + owner},
	}
	for _, r := range rolesOf[c.Database] {
		set := fmt.Sprintf(`ALTER ROLE %s LOGIN CONNECTION LIMIT %d`, r.name, r.connections(c))
		if c.Auth == postgres.Password {
			verifier, err := scramVerifier(c.Password)
			if err != nil {
				return nil, err
			}
			set += ` PASSWORD ` + pq.QuoteLiteral(verifier)
		}
		out = append(out,
			statement{"set up role " + r.name, set},
			statement{"open the database to " + r.name, `GRANT CONNECT ON DATABASE ` + database + ` TO ` + r.name},
			statement{"open the schema to " + r.name, `GRANT USAGE ON SCHEMA public TO ` + r.name},
		)
		if r.name != owner { // a migration may be idle for longer
			out = append(out, statement{"limit the idle sessions of " + r.name,
				fmt.Sprintf(`ALTER ROLE %s SET idle_session_timeout = '%ds'`, r.name, int(postgres.IdleTimeout.Seconds()))})
		}
		if c.Auth == postgres.IAM {
			out = append(out, statement{"let " + r.name + " log in by IAM", `GRANT rds_iam TO ` + r.name})
		}
	}
	return out, nil
}

// missingRoles returns the roles that the database lacks.
func missingRoles(ctx context.Context, db *sqlx.DB, database string) ([]string, error) {
	var existing []string
	if err := db.SelectContext(ctx, &existing, `SELECT rolname FROM pg_roles`); err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, name := range existing {
		has[name] = true
	}
	var missing []string
	for _, r := range rolesOf[database] {
		if !has[r.name] {
			missing = append(missing, r.name)
		}
	}
	return missing, nil
}

// scramVerifier returns what PostgreSQL stores for a password (RFC 5803), so that
// no statement that a server could log contains the password itself.
func scramVerifier(password string) (string, error) {
	for _, r := range password {
		if r < ' ' || r > '~' {
			return "", errors.New("a database password must be printable ASCII: other characters need normalising (RFC 4013)")
		}
	}
	const iterations = 4096 // PostgreSQL's default
	var salt [16]byte
	rand.Read(salt[:]) // never fails, see its documentation
	salted, err := pbkdf2.Key(sha256.New, password, salt[:], iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive a key from the database password: %w", err)
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return strings.Join([]string{
		"SCRAM-SHA-256", "$", fmt.Sprint(iterations), ":", encode(salt[:]),
		"$", encode(stored[:]), ":", encode(sign("Server Key")),
	}, ""), nil
}
