package postgres_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

// freezer is a cluster of a test's own, migrated, to be frozen.
type freezer struct {
	*pgtest.Cluster
	t *testing.T
}

func newFreezer(t *testing.T) freezer {
	t.Helper()
	c := pgtest.NewCluster(t, "users")
	config := c.Config("db_migrate", "hush", "users")
	_, err := migrate.Up(t.Context(), migrate.Config{
		Database: "users", Config: config, Master: &c.Master, ScoreConcurrency: 1, OtherConcurrency: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return freezer{c, t}
}

// open logs in as users_service, with a pool of conns connections.
func (f freezer) open(conns int) *sqlx.DB {
	f.t.Helper()
	config := f.Config("users_service", "hush", "users")
	config.MaxConns = conns
	db, err := postgres.Open(config)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { db.Close() })
	return db
}

// Every call returns while the server is still frozen.
func TestFrozenDatabaseIsAnOutage(t *testing.T) {
	t.Parallel()
	f := newFreezer(t)
	one, fresh, pool := f.open(1), f.open(1), f.open(2)
	for _, db := range []*sqlx.DB{one, pool} {
		if err := pgtest.Ping(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}

	inside, frozen := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		db := f.open(1)
		err := postgres.InTx(t.Context(), db, func(ctx context.Context, tx *sqlx.Tx) error {
			if _, err := tx.ExecContext(ctx, `SELECT 1`); err != nil {
				return err
			}
			close(inside)
			<-frozen
			_, err := tx.ExecContext(ctx, `SELECT 1`)
			return err
		})
		unavailable(t, err)
	})
	<-inside
	thaw := pgtest.Freeze(t, f.PID())
	close(frozen)
	wg.Go(func() { unavailable(t, pgtest.Ping(t.Context(), one)) })
	wg.Go(func() { unavailable(t, pgtest.Ping(t.Context(), fresh)) })
	for range 6 { // more than the pool has
		wg.Go(func() { unavailable(t, pgtest.Ping(t.Context(), pool)) })
	}
	wg.Go(func() { // a client that goes away
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := pgtest.Ping(ctx, f.open(1)); err == nil {
			t.Error("a frozen server answered")
		}
	})
	wg.Wait()

	thaw()
	for _, db := range []*sqlx.DB{one, fresh, pool} {
		recovers(t, db)
	}
	var open int
	if err := one.Get(&open, `SELECT count(*) FROM pg_stat_activity WHERE usename = 'users_service'`); err != nil {
		t.Fatal(err)
	}
	if open > 10 {
		t.Errorf("%d connections are left open", open)
	}
}

// recovers waits until the pool works again.
func recovers(t *testing.T, db *sqlx.DB) {
	t.Helper()
	for pgtest.Ping(t.Context(), db) != nil {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStoppedAndSilentDatabases(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// Nobody listens at the other end of a connection, and nobody else gets its port, as
	// that of a listener that was closed.
	closed, err := net.Dial("tcp", silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	for name, address := range map[string]string{"silent": silent.Addr().String(), "closed": closed.LocalAddr().String()} {
		db, err := postgres.Open(postgres.Config{
			DSN: "postgres://score_add@" + address + "/scores?sslmode=disable", Auth: postgres.Password, Password: "hush",
		})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = pgtest.Ping(t.Context(), db)
		unavailable(t, err)
		if err != nil && (!strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKilledServerComesBack(t *testing.T) {
	t.Parallel()
	f := newFreezer(t)
	db := f.open(1)
	var backend int
	if err := db.Get(&backend, `SELECT pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	// The postmaster restarts every backend after one has died like this.
	if err := syscall.Kill(backend, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	recovers(t, db)
}

func TestEndedConnectionIsReplacedUnseen(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	other := d.Open("users_service")
	for name, end := range map[string]func(db *sqlx.DB, backend int) error{
		"by its idle_session_timeout": func(db *sqlx.DB, _ int) error {
			_, err := db.Exec(`SET idle_session_timeout = '20ms'`)
			return err
		},
		"by pg_terminate_backend": func(_ *sqlx.DB, backend int) error {
			_, err := other.Exec(`SELECT pg_terminate_backend($1)`, backend)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := d.Config("users_service")
			config.MaxConns = 1
			db, err := postgres.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var backend, next int
			if err := db.Get(&backend, `SELECT pg_backend_pid()`); err != nil {
				t.Fatal(err)
			}
			if err := end(db, backend); err != nil {
				t.Fatal(err)
			}
			for alive := 1; alive > 0; {
				if err := other.Get(&alive, `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, backend); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if err := db.Get(&next, `SELECT pg_backend_pid()`); err != nil {
				t.Fatalf("the next statement saw it: %v", err)
			}
			if next == backend {
				t.Error("the connection was not ended")
			}
		})
	}
}

// A statement whose connection is lost may have run, so it must not be sent
// again without the caller's knowledge.
func TestLostStatementIsNotSentAgain(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	db := d.Owner()
	for name, run := range map[string]func(query string, args ...any) error{
		"exec": func(query string, args ...any) error {
			_, err := db.ExecContext(t.Context(), query, args...)
			return err
		},
		"query": func(query string, args ...any) error {
			rows, err := db.QueryContext(t.Context(), query, args...)
			if err == nil {
				for rows.Next() {
				}
				err = rows.Err()
			}
			return err
		},
	} {
		for how, args := range map[string][]any{"simple": nil, "extended": {true}} {
			sequence := name + "_" + how
			// A sequence keeps its value when the statement is rolled back.
			if _, err := db.Exec(`CREATE SEQUENCE ` + sequence); err != nil {
				t.Fatal(err)
			}
			query := `SELECT nextval('` + sequence + `'), pg_terminate_backend(pg_backend_pid())`
			if args != nil {
				query += ` WHERE $1::bool`
			}
			unavailable(t, postgres.Wrap(run(query, args...)))
			var sent int
			if err := db.Get(&sent, `SELECT last_value FROM `+sequence); err != nil {
				t.Fatal(err)
			}
			if sent != 1 {
				t.Errorf("%s, %s: it was sent %d times", name, how, sent)
			}
		}
	}
}

func TestConnectionLimitIsAnOutage(t *testing.T) {
	t.Parallel()
	f := newFreezer(t)
	for range 44 { // see shared/postgres/migrate/roles.go
		db := f.open(1)
		if err := pgtest.Ping(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	unavailable(t, pgtest.Ping(t.Context(), f.open(1)))
}

func TestFullPoolIsAnOutage(t *testing.T) {
	t.Parallel()
	config := pgtest.Users(t).Config("users_service")
	config.MaxConns = 1
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	taken, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = pgtest.Ping(t.Context(), db)
	unavailable(t, err)
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pgtest.Ping(t.Context(), db); err != nil {
		t.Error(err)
	}
}
