package rds_test

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"plaudit/local/process"
	"plaudit/local/rds"
)

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(m.Run())
}

// config returns the configuration of a cluster in a folder that the server's
// user can enter.
func config(t *testing.T) rds.Config {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "plaudit-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return rds.Config{
		Name: "scores", Dir: dir,
		MasterUser: "plaudit", MasterPassword: `a'b\c"d %/@:`, Database: "scores",
		Parameters: map[string]string{"max_connections": "23", "rds.force_ssl": "1", "work_mem": "{DBInstanceClassMemory/8}"},
	}
}

func newGroup(t *testing.T) *process.Group {
	t.Helper()
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Close(); err != nil {
			t.Error(err)
		}
	})
	return group
}

func startCluster(t *testing.T, group *process.Group, c rds.Config) *rds.Cluster {
	t.Helper()
	cluster, err := rds.Start(t.Context(), group, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func open(t *testing.T, cluster *rds.Cluster, c rds.Config) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", cluster.URL(c.MasterUser, c.MasterPassword, c.Database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func show(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var out string
	if err := db.QueryRow(query).Scan(&out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func TestDataOutlivesAKilledServer(t *testing.T) {
	group, c := newGroup(t), config(t)
	first := startCluster(t, group, c)
	db := open(t, first, c)
	exec(t, db, "CREATE TABLE kept (n int)")
	exec(t, db, "INSERT INTO kept VALUES (42)")
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if first.Err() == nil {
		t.Error("a killed server has no error")
	}

	second := startCluster(t, group, c)
	if got := show(t, open(t, second, c), "SELECT n::text FROM kept"); got != "42" {
		t.Errorf("the row reads %s after kill -9", got)
	}
}

func TestSettings(t *testing.T) {
	group, c := newGroup(t), config(t)
	db := open(t, startCluster(t, group, c), c)
	for name, want := range map[string]string{
		"fsync": "on", "max_connections": "23", "TimeZone": "UTC", "server_encoding": "UTF8",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "password_encryption": "scram-sha-256",
		"work_mem": "4MB",
	} {
		if got := show(t, db, "SHOW "+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	ignored := rds.Ignored(c.Parameters)
	if len(ignored) != 2 || ignored["rds.force_ssl"] == "" || ignored["work_mem"] == "" {
		t.Errorf("ignored parameters: %v", ignored)
	}
}

func TestMasterUserIsNoSuperuser(t *testing.T) {
	group, c := newGroup(t), config(t)
	cluster := startCluster(t, group, c)
	db := open(t, cluster, c)
	if got := show(t, db, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); got != "false" {
		t.Errorf("the master user's rolsuper is %s", got)
	}
	// What a migration does with it.
	exec(t, db, "CREATE ROLE migrate LOGIN PASSWORD 'x'")
	exec(t, db, "GRANT rds_iam TO migrate")
	exec(t, db, "GRANT CREATE ON DATABASE scores TO migrate")
	exec(t, db, "CREATE DATABASE clone TEMPLATE scores")
	if _, err := db.Exec("COPY (SELECT 1) TO PROGRAM 'true'"); err == nil {
		t.Error("the master user may run programs")
	}
	// It may read the tables of others, and not change them.
	exec(t, db, "GRANT CREATE ON SCHEMA public TO migrate")
	other, err := sql.Open("postgres", cluster.URL("migrate", "x", c.Database))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, other, "CREATE TABLE own AS SELECT 42 AS n")
	other.Close()
	if got := show(t, db, "SELECT n::text FROM own"); got != "42" {
		t.Errorf("another role's row reads %s", got)
	}
	if _, err := db.Exec("DELETE FROM own"); err == nil {
		t.Error("the master user may delete another role's rows")
	}
	for user, password := range map[string]string{"rdsadmin": c.MasterPassword, "plaudit": "wrong"} {
		other, err := sql.Open("postgres", cluster.URL(user, password, "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Ping(); err == nil {
			t.Errorf("%s gets in with %q", user, password)
		}
		other.Close()
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	group, c := newGroup(t), config(t)
	cluster := startCluster(t, group, c)
	_, port := cluster.Addr()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, a := range append(addrs, &net.IPNet{IP: net.IPv6loopback}, &net.IPNet{IP: net.IPv4(127, 0, 0, 2)}) {
		ip := a.(*net.IPNet).IP
		if ip.Equal(net.IPv4(127, 0, 0, 1)) || ip.IsLinkLocalUnicast() {
			continue
		}
		tried++
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port)), time.Second)
		if err == nil {
			conn.Close()
			t.Errorf("answers on %s", ip)
		}
	}
	if tried == 0 {
		t.Error("no other address to try")
	}
}

func TestTwoClusters(t *testing.T) {
	group, scores := newGroup(t), config(t)
	users := scores
	users.Name, users.Database = "users", "users"
	a, b := startCluster(t, group, scores), startCluster(t, group, users)
	if a.PID() == b.PID() || a.URL("u", "p", "d") == b.URL("u", "p", "d") {
		t.Error("the two share a server")
	}
	if err := syscall.Kill(a.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-a.Done()
	if got := show(t, open(t, b, users), "SELECT current_database()"); got != "users" {
		t.Errorf("current_database is %s", got)
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	group, c := newGroup(t), config(t)
	c.Port = taken.Addr().(*net.TCPAddr).Port
	if _, err := rds.Start(t.Context(), group, c); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("on a taken port: %v", err)
	}
	c.AnyPort = true
	if _, port := startCluster(t, group, c).Addr(); port == c.Port {
		t.Error("started on a taken port")
	}
}

func TestAnotherMasterPasswordIsAnError(t *testing.T) {
	group, c := newGroup(t), config(t)
	if err := startCluster(t, group, c).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.MasterPassword = "another"
	_, err := rds.Start(t.Context(), group, c)
	if err == nil || !strings.Contains(err.Error(), "make clean") || strings.Contains(err.Error(), "another\"") {
		t.Errorf("with another password: %v", err)
	}
}

func TestAnotherMajorVersionIsAnError(t *testing.T) {
	group, c := newGroup(t), config(t)
	if err := startCluster(t, group, c).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.Dir, c.Name, "PG_VERSION")
	if err := os.WriteFile(file, []byte("12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := rds.Start(t.Context(), group, c)
	if err == nil || !strings.Contains(err.Error(), "PostgreSQL 12") || !strings.Contains(err.Error(), "make clean") {
		t.Errorf("data of version 12: %v", err)
	}
}

// After a restart of the machine any program may have the old server's number.
func TestStalePidFileOfAnotherProgram(t *testing.T) {
	group, c := newGroup(t), config(t)
	first := startCluster(t, group, c)
	dir := filepath.Join(c.Dir, c.Name)
	pidFile := filepath.Join(dir, "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	other := c
	other.Name, other.Database = "users", "users"
	stranger := startCluster(t, group, other) // runs as the same user
	_, rest, _ := strings.Cut(string(content), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(stranger.PID())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	startCluster(t, group, c)
}

func TestUnknownParameterNamesItself(t *testing.T) {
	group, c := newGroup(t), config(t)
	c.Parameters["no_such_setting"] = "1"
	_, err := rds.Start(t.Context(), group, c)
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("an unknown parameter: %v", err)
	}
}
