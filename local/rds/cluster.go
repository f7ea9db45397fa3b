// Package rds runs PostgreSQL clusters, one real server process each, as RDS for
// PostgreSQL presents them: the master user is not a superuser, a parameter group
// sets the configuration, and fsync is on. They listen on 127.0.0.1 and, if asked
// to, on a container bridge. Every login needs a password.
package rds

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lib/pq"

	"plaudit/local/process"
)

// Config describes a cluster.
type Config struct {
	Name string // in errors, and of its folder
	// Dir holds the clusters, each in a folder with its name; see Root. If root
	// starts them, the user nobody must be able to enter it.
	Dir  string
	Port int // on 127.0.0.1; 0: a free one
	// AnyPort allows another port if Port is taken.
	AnyPort bool
	// Bridge is this machine's address on a container bridge, with the bridge's
	// subnet: the cluster listens there too and admits the subnet. Zero: none.
	Bridge netip.Prefix
	// The master user and the database it owns. They are used when the cluster is
	// made; later, the password must be the same.
	MasterUser, MasterPassword, Database string
	Parameters                           map[string]string // of the DB parameter group; see Ignored
	Log                                  io.Writer         // the server's log; nil: none
	Bin                                  string            // folder of the programs; "": Find
}

// Cluster is a running server.
type Cluster struct {
	config  Config
	version string
	port    int
	process *process.Process
	tail    *tail
}

const (
	startTimeout = 60 * time.Second // recovery after a crash can take a while
	// orphanTimeout is how long the server of a program that was killed may
	// take to end: the guard gives it three seconds.
	orphanTimeout = 10 * time.Second
)

// errRetry marks a start that may work a moment later.
var errRetry = errors.New("not now")

// Start starts the cluster, which it makes first if it does not exist, and returns
// when it answers. Data of earlier runs is kept, also after kill -9.
func Start(ctx context.Context, group *process.Group, c Config) (*Cluster, error) {
	cluster, err := start(ctx, group, c)
	if err != nil {
		return nil, fmt.Errorf("database cluster %s: %w", c.Name, err)
	}
	return cluster, nil
}

func start(ctx context.Context, group *process.Group, c Config) (*Cluster, error) {
	if c.Name == "" || c.Dir == "" || c.MasterUser == "" || c.MasterPassword == "" {
		return nil, errors.New("needs a name, a folder, a master user and its password")
	}
	if strings.ContainsAny(c.MasterPassword+c.MasterUser+c.Database, "\n\r\x00") {
		return nil, errors.New("master user, password and database are one line each")
	}
	if c.Bin == "" {
		bin, err := Find(ctx)
		if err != nil {
			return nil, err
		}
		c.Bin = bin
	}
	version, err := Version(ctx, c.Bin)
	if err != nil {
		return nil, err
	}
	as, err := serverUser()
	if err != nil {
		return nil, err
	}
	parent, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	if err := reachable(parent, as); err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, c.Name)
	made, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := create(ctx, group, c.Bin, dir, version, c, as); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case major(string(made)) != major(version):
		return nil, fmt.Errorf("its data in %s was made by PostgreSQL %s, but %s has %s; name the folder of that version's programs in PLAUDIT_POSTGRES_BIN, or delete the old data with `make clean`",
			dir, strings.TrimSpace(string(made)), c.Bin, version)
	}

	// A port that was free may be taken a moment later, and children of a
	// killed server may need a moment to notice: both are worth another try.
	deadline := time.Now().Add(orphanTimeout)
	for {
		if err := awaitOrphan(ctx, dir); err != nil {
			return nil, err
		}
		port, err := choosePort(c)
		if err != nil {
			return nil, err
		}
		if err := admit(dir, c.Bridge); err != nil {
			return nil, err
		}
		cluster := &Cluster{config: c, version: version, port: port, tail: &tail{to: c.Log}}
		err = cluster.run(ctx, group, dir, as)
		if err == nil {
			return cluster, nil
		}
		if !errors.Is(err, errRetry) || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func choosePort(c Config) (int, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)))
	if err != nil && c.AnyPort {
		l, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return 0, fmt.Errorf("port %d of 127.0.0.1 is taken: %w", c.Port, err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if c.Bridge.IsValid() {
		// Of several addresses PostgreSQL is content with one.
		also, err := net.Listen("tcp4", netip.AddrPortFrom(c.Bridge.Addr(), uint16(port)).String())
		if err != nil {
			return 0, fmt.Errorf("port %d of the container bridge: %w", port, err)
		}
		also.Close()
	}
	return port, nil
}

// admit writes pg_hba.conf. Nobody may log in as the superuser, which exists as on
// RDS. Everybody else needs a password, and connects from this machine or, if the
// cluster has one, from the container bridge.
func admit(dir string, bridge netip.Prefix) error {
	rules := "host all rdsadmin all reject\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if bridge.IsValid() {
		rules += "host all all " + bridge.Masked().String() + " scram-sha-256\n"
	}
	// initdb has made the file, and its owner stays.
	return os.WriteFile(filepath.Join(dir, "pg_hba.conf"), []byte(rules), 0o600)
}

// awaitOrphan waits for a server of an earlier run to end, and makes sure that a
// stale postmaster.pid does not stop the next one.
func awaitOrphan(ctx context.Context, dir string) error {
	deadline := time.Now().Add(orphanTimeout)
	for {
		pidFile := filepath.Join(dir, "postmaster.pid")
		content, err := os.ReadFile(pidFile)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		first, rest, _ := strings.Cut(string(content), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(first))
		if err != nil || pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil // PostgreSQL sees for itself that it is stale
		}
		if !serves(ctx, pid, dir) {
			// Another program has the number now, and PostgreSQL, which looks
			// at the number only, would refuse to start. The server's parent is
			// the one number it takes for stale; the rest of the file, by which
			// it looks for children of the old server, stays.
			return os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a server of an earlier run, process %d, still has its data; end it with `kill -INT %d`", pid, pid)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serves reports whether the process pid is the server of the cluster in dir.
func serves(ctx context.Context, pid int, dir string) bool {
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		real, err := filepath.EvalSymlinks(dir)
		return err == nil && cwd == real // the server works in its data folder
	}
	args, err := exec.CommandContext(ctx, "ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return true // cannot know, so do not touch its file
	}
	return strings.Contains(string(args), "postgres") && strings.Contains(string(args), dir)
}

// run starts the server and waits until it answers.
func (c *Cluster) run(ctx context.Context, group *process.Group, dir string, as *syscall.Credential) error {
	server, err := group.Start(process.Spec{
		Name:       "postgres " + c.config.Name,
		Path:       filepath.Join(c.config.Bin, "postgres"),
		Args:       append([]string{"-D", dir}, settings(c.config.Parameters, c.port, c.config.Bridge)...),
		Dir:        dir,
		Env:        environment(dir),
		Credential: as,
		Stdout:     c.tail,
		Stderr:     c.tail,
	})
	if err != nil {
		return err
	}
	c.process = server
	if err := c.await(ctx, dir); err != nil {
		_ = c.Stop(context.WithoutCancel(ctx)) // the start's error says more
		return err
	}
	return nil
}

func (c *Cluster) await(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !c.ready(dir) {
		select {
		case <-c.Done():
			last := c.tail.last()
			err := fmt.Errorf("the server ended (%v): %s", c.process.Err(), last)
			if strings.Contains(last, "pre-existing shared memory block") ||
				strings.Contains(last, "Address already in use") && (c.config.Port == 0 || c.config.AnyPort) {
				err = fmt.Errorf("%w (%w)", err, errRetry)
			}
			return err
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w: %s", ctx.Err(), c.tail.last())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return c.login(ctx)
}

// ready reads postmaster.pid, whose eighth line says how far the start is:
// LOCK_FILE_LINE_PM_STATUS in PostgreSQL's utils/pidfile.h.
func (c *Cluster) ready(dir string) bool {
	content, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(content), "\n")
	return len(lines) >= 8 && strings.TrimSpace(lines[0]) == strconv.Itoa(c.PID()) && strings.TrimSpace(lines[7]) == "ready"
}

// login checks that the master user gets into its database.
func (c *Cluster) login(ctx context.Context) error {
	database := c.config.Database
	if database == "" {
		database = "postgres"
	}
	db, err := sql.Open("postgres", c.URL(c.config.MasterUser, c.config.MasterPassword, database))
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.PingContext(ctx)
	var refused *pq.Error
	if errors.As(err, &refused) {
		const fix = "it keeps the one that it was made with; restore that, or delete the old data with `make clean`"
		switch refused.Code {
		case "28P01":
			return fmt.Errorf("it was made with another master user or password: %s", fix)
		case "3D000":
			return fmt.Errorf("it has no database %s: %s", database, fix)
		}
	}
	return err
}

// URL returns a connection string for a user.
func (c *Cluster) URL(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Addr is where the cluster listens.
func (c *Cluster) Addr() (host string, port int) { return "127.0.0.1", c.port }

// Version is PostgreSQL's, e.g. "17.5".
func (c *Cluster) Version() string { return c.version }

// PID is the server's process id.
func (c *Cluster) PID() int { return c.process.PID() }

// Done closes when the server has ended.
func (c *Cluster) Done() <-chan struct{} { return c.process.Done() }

// Err says how the server ended, and its last words.
func (c *Cluster) Err() error {
	if err := c.process.Err(); err != nil {
		return fmt.Errorf("%w: %s", err, c.tail.last())
	}
	return nil
}

// Stop ends the server: connections are cut and everything is on disk. When
// ctx ends first it is killed, and recovers at its next start.
func (c *Cluster) Stop(ctx context.Context) error {
	// SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients.
	if err := c.process.Signal(syscall.SIGINT); err != nil {
		return nil // it has ended
	}
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	select {
	case <-c.Done():
		return nil
	case <-ctx.Done():
	case <-timeout.C:
	}
	_ = c.process.Signal(syscall.SIGQUIT) // at once, but with its children
	select {
	case <-c.Done():
	case <-time.After(2 * time.Second):
		_ = c.process.Signal(syscall.SIGKILL)
		<-c.Done()
	}
	return fmt.Errorf("database cluster %s did not stop in time and was killed; it recovers at its next start", c.config.Name)
}

// tail passes the log on and keeps its end for errors.
type tail struct {
	to   io.Writer
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - 2000; extra > 0 {
		t.text = t.text[extra:]
	}
	if t.to == nil {
		return len(p), nil
	}
	return t.to.Write(p)
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(string(t.text))
}
