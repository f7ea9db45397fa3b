// Package pgtest starts a real PostgreSQL for tests: one cluster for a test binary,
// with each database migrated once and cloned for every test.
package pgtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/local/process"
	"plaudit/local/rds"
	"plaudit/shared/audit"
	"plaudit/shared/event/eventtest"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/scores"
	"plaudit/shared/postgres/users"
)

const (
	master = "plaudit"
	// concurrency is so high that tests do not reach the connection limits.
	concurrency    = 50
	maxConnections = "300"
)

// Main runs the tests of a package and ends what they started. Call it in
// TestMain.
func Main(m *testing.M) {
	process.Guard()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	return code
}

// shared is the server of the binary's tests.
var shared server

type server struct {
	mu        sync.Mutex
	group     *process.Group
	dir       string
	cluster   *rds.Cluster
	password  string
	templates map[string]bool
}

// start makes the group and the folder of the binary's clusters. The lock is
// held.
func (s *server) start() error {
	if s.group != nil {
		return nil
	}
	// Not t.TempDir: if the tests run as root, the server runs as another user, who
	// must be able to enter the folder.
	dir, err := os.MkdirTemp("/var/tmp", "plaudit-test-")
	if err != nil {
		return err
	}
	s.dir = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	s.password = rand.Text()
	s.templates = map[string]bool{}
	s.group, err = process.NewGroup()
	return err
}

func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil {
		// The data is thrown away, so a server that does not stop fails no test; the
		// end of the group kills it.
		_ = s.cluster.Stop(context.Background())
	}
	if s.group != nil {
		if err := s.group.Close(); err != nil {
			return err
		}
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func (s *server) newCluster(ctx context.Context, name, database string) (*rds.Cluster, error) {
	return rds.Start(ctx, s.group, rds.Config{
		Name: name, Dir: s.dir, MasterUser: master, MasterPassword: s.password, Database: database,
		Parameters: map[string]string{"max_connections": maxConnections},
	})
}

// template makes the migrated database if it does not exist yet.
func (s *server) template(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return err
	}
	if s.cluster == nil {
		cluster, err := s.newCluster(ctx, "tests", "postgres")
		if err != nil {
			return err
		}
		s.cluster = cluster
	}
	if s.templates[name] {
		return nil
	}
	if err := s.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	_, err := migrate.Up(ctx, migrate.Config{
		Database:         name,
		Config:           s.config("db_migrate", name),
		Master:           &migrate.Master{Username: master, Password: s.password},
		ScoreConcurrency: concurrency,
		OtherConcurrency: concurrency,
	})
	s.templates[name] = err == nil
	return err
}

// config logs in to a database of the shared cluster.
func (s *server) config(role, database string) postgres.Config {
	return configFor(s.cluster, role, s.password, database)
}

func configFor(cluster *rds.Cluster, role, password, database string) postgres.Config {
	host, port := cluster.Addr()
	dsn := url.URL{
		Scheme:   "postgres",
		User:     url.User(role),
		Host:     fmt.Sprintf("%s:%d", host, port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return postgres.Config{DSN: dsn.String(), Auth: postgres.Password, Password: password, MaxConns: 4}
}

// exec runs a statement as the master user, in the database postgres.
func (s *server) exec(ctx context.Context, statement string) error {
	return s.execIn(ctx, "postgres", statement)
}

// execIn runs a statement as the master user. It has no statement_timeout: on a
// busy machine cloning may take a while.
func (s *server) execIn(ctx context.Context, database, statement string) error {
	db, err := sqlx.Open("postgres", s.cluster.URL(master, s.password, database))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// Database is a migrated database of one test's own.
type Database struct {
	name string
	t    testing.TB

	once  sync.Once
	owner *sqlx.DB
}

var clones atomic.Int64

// Scores returns a scores database of the test's own, empty and migrated, which is
// dropped when the test ends.
func Scores(t testing.TB) *Database {
	t.Helper()
	return clone(t, "scores")
}

// Users returns a users database of the test's own, empty and migrated, which is
// dropped when the test ends.
func Users(t testing.TB) *Database {
	t.Helper()
	return clone(t, "users")
}

// Empty returns a database of the test's own without any table, to which the
// roles of the scores database may log in and which db_migrate may fill.
func Empty(t testing.TB) *Database {
	t.Helper()
	if err := shared.template(t.Context(), "scores"); err != nil { // makes the roles
		t.Fatalf("pgtest: %v", err)
	}
	d := create(t, "empty", "template1")
	err := shared.execIn(t.Context(), d.name, `GRANT CREATE, USAGE ON SCHEMA public TO db_migrate; GRANT CREATE ON DATABASE `+d.name+` TO db_migrate`)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return d
}

func clone(t testing.TB, template string) *Database {
	t.Helper()
	if err := shared.template(t.Context(), template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return create(t, template, template)
}

// create makes a database from a template, under a name that begins with kind.
func create(t testing.TB, kind, template string) *Database {
	t.Helper()
	d := &Database{name: fmt.Sprintf("%s_%d", kind, clones.Add(1)), t: t}
	if err := shared.exec(t.Context(), "CREATE DATABASE "+d.name+" TEMPLATE "+template); err != nil {
		t.Fatalf("pgtest: clone database %s: %v", template, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if kind != "empty" {
			shared.validate(ctx, t, kind, d.name)
		}
		if err := shared.exec(ctx, "DROP DATABASE "+d.name+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop database %s: %v", d.name, err)
		}
	})
	return d
}

// validate holds the events that a test has put into the outbox to the schemas of
// docs/events, and to the numbers of their subjects.
func (s *server) validate(ctx context.Context, t testing.TB, kind, database string) {
	t.Helper()
	db, err := postgres.Open(s.config("db_migrate", database))
	if err != nil {
		t.Errorf("pgtest: %v", err)
		return
	}
	defer db.Close()
	source := audit.Source(scores.New(db))
	if kind == "users" {
		source = users.New(db)
	}
	for last := int64(-1); ; {
		rows, err := source.Kept(ctx, last, 200)
		if err != nil {
			t.Errorf("pgtest: read the outbox: %v", err)
			return
		}
		for _, r := range rows {
			if r.Fault != "" {
				t.Errorf("the row %d of the outbox cannot be sent: %s", r.ID, r.Fault)
			} else if err := eventtest.Data(r.Event.Type, r.Event.JSON); err != nil {
				t.Errorf("an event differs from docs/events: %v", err)
			}
			last = r.ID
		}
		if len(rows) == 0 {
			break
		}
	}
	var wrong []string
	// Tests may have deleted rows, the first ones too.
	err = db.SelectContext(ctx, &wrong, `
		SELECT concat_ws(' ', e.subject, 'has', coalesce(e.subjectseq::text, 'none'), 'after', coalesce(e.before::text, 'none'), 'at', e.recordedtime, 'after', e.earlier)
		FROM (
			SELECT o.*, lag(o.subjectseq) OVER w AS before, lag(o.recordedtime) OVER w AS earlier
			FROM (SELECT id, subject, subjectseq, recordedtime FROM outbox WHERE kind = 'event' AND entry IS NULL
				UNION ALL SELECT id, subject, subjectseq, recordedtime FROM outbox_failed WHERE kind = 'event' AND entry IS NULL) o
			WINDOW w AS (PARTITION BY o.subject ORDER BY o.subjectseq, o.id)
		) e
		WHERE e.subjectseq IS NULL OR e.subjectseq <> e.before + 1 OR e.recordedtime <= e.earlier OR e.subjectseq < 1
		LIMIT 5`)
	if err != nil || len(wrong) > 0 {
		t.Errorf("the numbers of events: %q (%v)", wrong, err)
	}
}

// Config logs in as one of the database's roles. The pool has 4 connections;
// change MaxConns for more.
func (d *Database) Config(role string) postgres.Config {
	return shared.config(role, d.name)
}

// Open opens a pool as one of the database's roles, closed when the test ends.
func (d *Database) Open(role string) *sqlx.DB {
	d.t.Helper()
	db, err := postgres.Open(d.Config(role))
	if err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	d.t.Cleanup(func() { db.Close() })
	return db
}

// Owner returns a pool of the role that owns every object, for looking at tables
// and for replacing plaudit_now().
func (d *Database) Owner() *sqlx.DB {
	d.t.Helper()
	d.once.Do(func() { d.owner = d.Open("db_migrate") })
	return d.owner
}

// Hasty returns a pool as one of the database's roles, whose statements the server
// cancels long before the pool gives up. It is closed when the test ends.
func (d *Database) Hasty(role string) *sqlx.DB {
	d.t.Helper()
	return d.openWithin(role, postgres.Limits{Patience: time.Minute, Settings: map[string]string{"statement_timeout": "50"}})
}

// Hold runs a statement as the owner of every object, in a transaction that ends
// when release is called, or with the test.
func (d *Database) Hold(statement string) (release func()) {
	d.t.Helper()
	db := d.openWithin("db_migrate", postgres.Limits{Patience: time.Minute})
	tx, err := db.BeginTxx(d.t.Context(), nil)
	if err == nil {
		_, err = tx.ExecContext(d.t.Context(), statement)
	}
	if err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	return func() { _ = tx.Rollback() }
}

func (d *Database) openWithin(role string, l postgres.Limits) *sqlx.DB {
	d.t.Helper()
	db, err := postgres.OpenWithin(d.Config(role), l)
	if err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	d.t.Cleanup(func() { db.Close() })
	return db
}

// Tap is a pool whose traffic with the server is watched.
type Tap struct {
	*sqlx.DB
	mu       sync.Mutex
	sent     []string
	received int
}

// Tapped opens a pool as one of the database's roles, as Open does, through a
// connection that notes what the server is asked and how much it answers.
func (d *Database) Tapped(role string) *Tap {
	d.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	d.t.Cleanup(func() { listener.Close() })
	config := d.Config(role)
	dsn, err := url.Parse(config.DSN)
	if err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	server := dsn.Host
	dsn.Host = listener.Addr().String()
	config.DSN, config.MaxConns = dsn.String(), 1
	tap := &Tap{}
	if tap.DB, err = postgres.Open(config); err != nil {
		d.t.Fatalf("pgtest: %v", err)
	}
	d.t.Cleanup(func() { tap.DB.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go tap.carry(client, server)
		}
	}()
	return tap
}

// carry passes on everything between a client and the server until one of them hangs
// up.
func (t *Tap) carry(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(counted{client, t}, upstream)
	}()
	// https://www.postgresql.org/docs/current/protocol-message-formats.html: a kind, the
	// length of the rest, and the rest. The first message has no kind.
	in := bufio.NewReader(client)
	for kind := byte(0); ; kind, err = in.ReadByte() {
		if err != nil {
			return
		}
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(length[:])-4)
		if _, err := io.ReadFull(in, rest); err != nil {
			return
		}
		message := slices.Concat(length[:], rest)
		if kind != 0 {
			message = slices.Insert(message, 0, kind)
		}
		if kind == 'P' || kind == 'Q' {
			text := rest // Q: the text; P: the name of the statement, then the text
			if kind == 'P' {
				_, text, _ = bytes.Cut(rest, []byte{0})
			}
			text, _, _ = bytes.Cut(text, []byte{0})
			t.mu.Lock()
			t.sent = append(t.sent, string(text))
			t.mu.Unlock()
		}
		if _, err := upstream.Write(message); err != nil {
			return
		}
	}
}

// counted counts what is written to a client, before the client can read it.
type counted struct {
	net.Conn
	tap *Tap
}

func (c counted) Write(p []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.received += len(p)
	c.tap.mu.Unlock()
	return c.Conn.Write(p)
}

// Take returns the statements that the server was sent since the last call, and the
// number of bytes that it answered.
func (t *Tap) Take() (statements []string, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	statements, bytes = t.sent, t.received
	t.sent, t.received = nil, 0
	return statements, bytes
}

// Ping sends a statement as a store does, and returns its error.
func Ping(ctx context.Context, db *sqlx.DB) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	_, err := db.ExecContext(ctx, "SELECT 1")
	return postgres.Wrap(err)
}

// Cluster is a cluster of one test's own, to be frozen, stopped or filled with
// roles. Its master user is Master.
type Cluster struct {
	*rds.Cluster
	Master migrate.Master
}

// NewCluster starts a cluster that ends with the test. It has one empty
// database, which the master user owns.
func NewCluster(t testing.TB, database string) *Cluster {
	t.Helper()
	shared.mu.Lock()
	err := shared.start()
	shared.mu.Unlock()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	made, err := shared.newCluster(t.Context(), fmt.Sprintf("own-%d", clones.Add(1)), database)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		// One that is killed because the machine is busy says nothing about the test.
		if err := made.Stop(context.Background()); err != nil {
			t.Logf("pgtest: %v", err)
		}
	})
	return &Cluster{made, migrate.Master{Username: master, Password: shared.password}}
}

// Config logs in to one of the cluster's databases.
func (c *Cluster) Config(role, password, database string) postgres.Config {
	return configFor(c.Cluster, role, password, database)
}

// Freeze stops a server with all its processes, and returns when none of them runs
// any more. The kernel still accepts connections for it. thaw, or the end of the
// test, resumes it.
func Freeze(t testing.TB, postmaster int) (thaw func()) {
	t.Helper()
	thaw = func() { signal(t, syscall.SIGCONT, slices.Collect(maps.Keys(family(t, postmaster)))...) }
	t.Cleanup(thaw)
	// The postmaster first, so that no new backend starts.
	signal(t, syscall.SIGSTOP, postmaster)
	for family(t, postmaster)[postmaster] {
		time.Sleep(time.Millisecond)
	}
	for {
		var running []int
		for pid, runs := range family(t, postmaster) {
			if runs {
				running = append(running, pid)
			}
		}
		if running == nil {
			return thaw
		}
		signal(t, syscall.SIGSTOP, running...)
		time.Sleep(time.Millisecond)
	}
}

// family returns a process and its children, and for each whether it is running:
// neither stopped nor ended.
func family(t testing.TB, parent int) map[int]bool {
	t.Helper()
	out, err := exec.Command("ps", "-e", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		var state string
		if _, err := fmt.Sscan(line, &pid, &ppid, &state); err == nil && (pid == parent || ppid == parent) {
			found[pid] = !strings.ContainsAny(state[:1], "TZ")
		}
	}
	return found
}

func signal(t testing.TB, sig syscall.Signal, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
	}
}
