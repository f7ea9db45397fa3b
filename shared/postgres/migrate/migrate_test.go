package migrate_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

// migration is one of the cluster's database users.
func migration(c *pgtest.Cluster, password string, master *migrate.Master) migrate.Config {
	return migrate.Config{
		Database: "users", Config: c.Config("db_migrate", password, "users"), Master: master,
		ScoreConcurrency: 3, OtherConcurrency: 4,
	}
}

func openAs(t *testing.T, c *pgtest.Cluster, role, password string) *sqlx.DB {
	t.Helper()
	db, err := postgres.Open(c.Config(role, password, "users"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMigrateMakesRolesAndSchema(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, "users")
	ctx := t.Context()

	// No role exists yet, so none can log in.
	_, err := migrate.Up(ctx, migration(c, "first", nil))
	says(t, err, "users database", "db_migrate cannot log in", `{"masters": {"users": {"username"`)

	// With a wrong master.
	_, err = migrate.Up(ctx, migration(c, "first", &migrate.Master{Username: c.Master.Username, Password: "hush-hush"}))
	says(t, err, "users database", "master user cannot log in", "check its name and password")
	_, err = migrate.Up(ctx, migration(c, "first", &migrate.Master{Username: c.Master.Username}))
	says(t, err, "users database", "username and a password")

	// Two at once, both with the master: one migrates, the other has nothing to do.
	versions := make([]migrate.Versions, 2)
	var wg sync.WaitGroup
	for i := range versions {
		wg.Go(func() {
			var err error
			if versions[i], err = migrate.Up(ctx, migration(c, "first", &c.Master)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(versions, func(a, b migrate.Versions) int { return int(a.From - b.From) })
	last := versions[0].To
	if last < 1 || versions[0].From != 0 || versions[1] != (migrate.Versions{From: last, To: last}) {
		t.Fatalf("two at once went %+v", versions)
	}

	// Again, without and with the master.
	for _, master := range []*migrate.Master{nil, &c.Master} {
		got, err := migrate.Up(ctx, migration(c, "first", master))
		if err != nil || got != (migrate.Versions{From: last, To: last}) {
			t.Fatalf("again, master %v: %+v, %v", master != nil, got, err)
		}
	}

	service := openAs(t, c, "users_service", "first")
	var limits []struct {
		Name  string `db:"rolname"`
		Limit int    `db:"rolconnlimit"`
	}
	if err := service.Select(&limits, `SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname IN ('db_migrate', 'users_service') ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	if len(limits) != 2 || limits[0].Limit != 8 || limits[1].Limit != 44 {
		t.Errorf("connection limits %+v", limits)
	}

	t.Run("roles have only what was granted", func(t *testing.T) {
		stranger(t, c)
		for _, statement := range []string{
			`SELECT version_id FROM goose_db_version`,
			`CREATE TABLE mine (n int)`,
			`CREATE TEMPORARY TABLE mine (n int)`,
			`CREATE SCHEMA mine`,
		} {
			if _, err := service.Exec(statement); pq.As(err, pqerror.InsufficientPrivilege) == nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		owner := openAs(t, c, "db_migrate", "first")
		if _, err := owner.Exec(`CREATE FUNCTION ungranted() RETURNS int LANGUAGE sql AS 'SELECT 1'`); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Exec(`SELECT ungranted()`); pq.As(err, pqerror.InsufficientPrivilege) == nil {
			t.Errorf("a function without a grant: %v", err)
		}
	})

	t.Run("the master changes passwords", func(t *testing.T) {
		if _, err := migrate.Up(ctx, migration(c, `se"c'o\nd $$`, &c.Master)); err != nil {
			t.Fatal(err)
		}
		if err := pgtest.Ping(ctx, openAs(t, c, "users_service", `se"c'o\nd $$`)); err != nil {
			t.Error(err)
		}
		if err := pgtest.Ping(ctx, openAs(t, c, "users_service", "first")); pq.As(err, pqerror.InvalidPassword) == nil {
			t.Errorf("the old password: %v", err)
		}
	})

	t.Run("a role that a new version needs", func(t *testing.T) {
		wanted := migration(c, `se"c'o\nd $$`, nil)
		wanted.Database = "scores"
		_, err := migrate.Up(ctx, wanted)
		says(t, err, "scores database", "the roles score_add, score_query, board_admin, outbox_relay, player_sync, period_close are missing", `{"masters": {"scores"`)
	})
}

// stranger checks that a role unknown to the migrations cannot connect to the
// database.
func stranger(t *testing.T, c *pgtest.Cluster) {
	t.Helper()
	master := openAs(t, c, c.Master.Username, c.Master.Password)
	if _, err := master.Exec(`CREATE ROLE stranger LOGIN PASSWORD 'hush'`); err != nil {
		t.Fatal(err)
	}
	err := pgtest.Ping(t.Context(), openAs(t, c, "stranger", "hush"))
	if pq.As(err, pqerror.InsufficientPrivilege) == nil {
		t.Errorf("a stranger connects: %v", err)
	}
}

// RDS refuses the master's password once the master is a direct or indirect member
// of rds_iam.
func TestRolesForIAM(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, "scores")
	config := c.Config(c.Master.Username, c.Master.Password, "scores")
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 2 {
		err := migrate.MakeRoles(t.Context(), db, migrate.Config{
			Database: "scores", Config: postgres.Config{Auth: postgres.IAM}, ScoreConcurrency: 32, OtherConcurrency: 8,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var roles []struct {
		Name  string `db:"rolname"`
		Limit int    `db:"rolconnlimit"`
		IAM   bool   `db:"iam"`
		// The master may use the role, by SET ROLE or by inheritance.
		Master bool `db:"master"`
	}
	if err := db.Select(&roles, `
		SELECT rolname, rolconnlimit, pg_has_role(oid, 'rds_iam', 'MEMBER') AS iam,
		       pg_has_role(session_user, oid, 'USAGE') AS master
		FROM pg_roles WHERE rolname IN ('db_migrate', 'score_add', 'score_query', 'board_admin')`); err != nil {
		t.Fatal(err)
	}
	limits := map[string]int{"db_migrate": 16, "score_add": 64, "score_query": 64, "board_admin": 16}
	for _, r := range roles {
		if !r.IAM || r.Master || r.Limit != limits[r.Name] {
			t.Errorf("%+v", r)
		}
	}
	if len(roles) != len(limits) {
		t.Errorf("roles %+v", roles)
	}
}

func TestMasterMustOwnTheDatabase(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, "users")
	m := migration(c, "hush", &c.Master)
	m.Config = c.Config("db_migrate", "hush", "template1")
	_, err := migrate.Up(t.Context(), m)
	says(t, err, "must be the user that owns the database")
}

func TestMigrateSaysWhatIsWrongWithItsConfig(t *testing.T) {
	for want, c := range map[string]migrate.Config{
		"no such database":    {Database: "audit", ScoreConcurrency: 1, OtherConcurrency: 1},
		"concurrencies":       {Database: "users"},
		"must read postgres:": {Database: "users", ScoreConcurrency: 1, OtherConcurrency: 1},
	} {
		_, err := migrate.Up(t.Context(), c)
		says(t, err, want)
	}
	if _, err := migrate.ScramVerifier("pässword"); err == nil {
		t.Error("a password that would need normalising was taken")
	}
}

// says checks an error's words, and that it holds no password.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	for _, secret := range []string{"hush", "first"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q holds a password", err)
		}
	}
}
