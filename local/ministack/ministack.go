// Package ministack installs and runs MiniStack, the program behind the laptop's
// DynamoDB, S3 and SQS: the PyPI package ministack, MIT.
//
// MiniStack keeps its state in memory. It reads it when it starts and saves it
// when it gets SIGTERM; after SIGKILL everything since its start is gone. Stream
// records are never saved. Nothing checks signatures or permissions, so only
// requests whose path begins with a secret reach it: launch.py runs it.
package ministack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"plaudit/local/process"
)

// services are what the engine serves, by its own names. Everything else is
// switched off.
const services = "dynamodb,dynamodbstreams,s3,sqs"

// launcher is the program that runs MiniStack.
//
//go:embed launch.py
var launcher string

const (
	host       = "127.0.0.1"
	startLimit = 60 * time.Second
	// StopGrace is how long the engine may take to save its state. 2 to 3 s are
	// usual, but it writes all of it each time: 100 MB, the log of 41,000 events,
	// took 15 s on two busy processors. One that is killed earlier loses all since
	// its start.
	StopGrace = 3 * time.Minute
	// slowStop is after which time a person is told why the end takes long.
	slowStop = 3 * time.Second
	// failGrace is how long one may take to end that has not started properly, so
	// that it has nothing to save.
	failGrace = 15 * time.Second
	// aliveLimit is how long an engine of an earlier run may take to end: its
	// guard may still have a program to run before that.
	aliveLimit = StopGrace + 2*time.Minute
	// orphanLimit is how long it is left to its guard before somebody looks
	// whether it still has one.
	orphanLimit = 3 * time.Second
	// steadyAfter is how long an engine must have run for its successor to start
	// at once, and longestPause how long one waits that follows many short ones.
	steadyAfter  = time.Minute
	longestPause = 30 * time.Second
)

// Config says how to run an engine.
type Config struct {
	Group  *process.Group // of its own, see Start
	Folder string         // of the installation, see Install
	// Data is the folder of its state. It is locked as long as the engine lives.
	Data   string
	Forget bool   // it saves nothing when it stops
	More   string // further services, separated by commas, for tests
	// Account and Region are what the engine assumes of a request that names none:
	// a key id of 12 digits is an account, a signature has a region.
	Account, Region string
	Port            int       // on 127.0.0.1; 0: any free one
	Output          io.Writer // its log
	Log             *slog.Logger
	Say             func(text string) // shows a line to the user
	// Changed is called when the engine's process has started, and with 0 when
	// it has ended. Optional.
	Changed func(pid int)
	// Restarted is called when the engine was killed and runs again, without
	// what it had not saved. If it fails, it is called again. Optional.
	Restarted func(ctx context.Context, url string) error
	// BeforeEnd returns the program that must run before an engine gets SIGTERM,
	// if the program that started it was killed. Optional.
	BeforeEnd func(url string) *process.Command
}

// Engine is a running MiniStack.
type Engine struct {
	config Config
	python string
	secret string // the first segment of each path
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	port    int
	process *process.Process // nil while it is being started again
}

// Start installs the engine, if needed, and starts it. An engine that is killed
// is started again, until Stop. The group's guard will wait until the engine has
// saved its state, so the group should hold nothing that must end sooner.
func Start(ctx context.Context, c Config) (*Engine, error) {
	python, err := Install(ctx, c.Group, c.Folder, c.Say)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{c.Data, filepath.Join(c.Data, "tmp")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	c.Group.Patient(StopGrace)
	e := &Engine{config: c, python: python, secret: rand.Text(), port: c.Port, done: make(chan struct{})}
	p, err := e.launch(ctx)
	if err != nil {
		return nil, err
	}
	keeping, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go e.keep(keeping, p)
	return e, nil
}

// URL returns the address of the engine, with the path that opens it: who has it
// may do everything, so it must not be shown or passed as an argument. It stays the
// same if the engine is started again, unless its port has been taken.
func (e *Engine) URL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return urlOf(e.port, e.secret)
}

// Address returns the host and the port of the engine.
func (e *Engine) Address() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return addressOf(e.port)
}

func addressOf(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func urlOf(port int, secret string) string {
	u := url.URL{Scheme: "http", Host: addressOf(port)}
	if secret != "" { // that of a release without it has none
		u.Path = "/" + secret
	}
	return u.String()
}

// PID returns the engine's process, or 0 while none runs.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.process == nil {
		return 0
	}
	return e.process.PID()
}

// Stop ends the engine and returns when it has saved its state. It returns an
// error if the state is not saved.
func (e *Engine) Stop() error {
	e.cancel()
	<-e.done // after this nothing starts it again
	e.mu.Lock()
	p := e.process
	e.mu.Unlock()
	if p == nil {
		return nil
	}
	e.config.warnOfSpace()
	slow := time.AfterFunc(slowStop, func() { e.config.Say("the engine saves its tables, which takes longer the more they have") })
	defer slow.Stop()
	err := p.Stop(StopGrace)
	e.changed(nil)
	if e.config.Forget {
		return err
	}
	if err = cmp.Or(err, p.Err()); err == nil {
		err = e.config.checkSaved()
	}
	if err != nil {
		return e.config.notSaved(err)
	}
	return nil
}

func (e *Engine) changed(p *process.Process) {
	e.mu.Lock()
	e.process = p
	e.mu.Unlock()
	if e.config.Changed == nil {
		return
	}
	pid := 0
	if p != nil {
		pid = p.PID()
	}
	e.config.Changed(pid)
}

// keep starts the engine again whenever it ends, until ctx ends.
func (e *Engine) keep(ctx context.Context, p *process.Process) {
	defer close(e.done)
	var pause time.Duration
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
		}
		if ctx.Err() != nil {
			return
		}
		e.changed(nil)
		pause = nextPause(pause, time.Since(began))
		when := "again"
		if pause > 0 {
			when = fmt.Sprintf("again in %v", pause)
		}
		e.config.Say(fmt.Sprintf("the engine of DynamoDB, S3 and SQS ended (%s); it starts %s, without what it had not saved", ending(p), when))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		began = time.Now()
		if p = e.again(ctx); p == nil {
			return
		}
		e.config.Say(fmt.Sprintf("the engine runs again, process %d, with the tables, buckets and queues of the template (%.1f s)", p.PID(), time.Since(began).Seconds()))
	}
}

// nextPause returns how long an engine that ended after a time waits before it
// starts again, from how long it waited the last time.
func nextPause(last, lived time.Duration) time.Duration {
	switch {
	case lived >= steadyAfter:
		return 0
	case last == 0:
		return time.Second
	}
	return min(2*last, longestPause)
}

// again starts the engine until it runs and Restarted has succeeded. It returns
// nil when ctx has ended.
func (e *Engine) again(ctx context.Context) *process.Process {
	var p *process.Process
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		var err error
		if p == nil || ended(p) {
			p, err = e.launch(ctx)
		}
		if err == nil && e.config.Restarted != nil {
			err = e.config.Restarted(ctx, e.URL())
		}
		if err == nil {
			return p
		}
		if ctx.Err() == nil {
			e.config.Log.Error("the engine could not be started again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func ended(p *process.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

func ending(p *process.Process) string {
	if err := p.Err(); err != nil {
		return err.Error()
	}
	return "exit status 0"
}

// launch starts the process and waits until it answers.
func (e *Engine) launch(ctx context.Context) (*process.Process, error) {
	c := e.config
	var err error
	// A port may be taken between its choice and the engine's start.
	for range 5 {
		e.mu.Lock()
		port := e.port
		e.mu.Unlock()
		if port, err = freePort(port); err != nil {
			return nil, err
		}
		held, err := c.hold(ctx)
		if err != nil {
			return nil, err
		}
		if err := e.prepare(); err != nil {
			held.Close()
			return nil, err
		}
		told, err := json.Marshal(map[string]string{"secret": e.secret, "running": c.runningFile()})
		if err != nil {
			held.Close()
			return nil, err
		}
		p, err := c.Group.Start(process.Spec{
			Name: "engine", Path: e.python, Args: []string{"-I", "-c", launcher}, Dir: c.Data,
			// Everybody could read an argument.
			Env: c.environment(port), Stdin: bytes.NewReader(told), Stdout: c.Output, Stderr: c.Output,
			// The engine inherits the lock, so it lasts until its end.
			Files: []*os.File{held},
		})
		held.Close()
		if err != nil {
			return nil, err
		}
		e.mu.Lock()
		e.port = port
		e.mu.Unlock()
		if err = await(ctx, p, e.URL()); err == nil {
			if err = onlyLoopback(p.PID(), port); err == nil {
				err = c.writeRunning(running{p.PID(), port, e.secret})
			}
			if err == nil {
				if c.BeforeEnd != nil {
					c.Group.BeforeEnd(c.BeforeEnd(e.URL()))
				}
				e.changed(p)
				return p, nil
			}
		}
		_ = p.Stop(failGrace) // the cause is the better error
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, errEnded) {
			return nil, err
		}
	}
	return nil, err
}

// prepare looks at the state before MiniStack reads it.
func (e *Engine) prepare() error {
	c := e.config
	if c.Forget {
		return nil
	}
	// The file of one that has saved its state is gone. That of a release without
	// a secret always stayed.
	if r, err := c.readRunning(); err == nil && r.Secret != "" && r.Secret != e.secret {
		c.Say("the engine of the last run ended without saving its state: what DynamoDB, S3 and SQS got in that run is lost. docs/operating.md says how to bring the audit log back")
		if err := os.Remove(c.runningFile()); err != nil {
			return err
		}
	}
	c.warnOfSpace()
	return c.checkState()
}

// Remove deletes a state. It waits until an engine that still uses it has ended.
func Remove(ctx context.Context, data string, say func(text string)) error {
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	held, err := Config{Data: data, Say: say, Log: slog.New(slog.DiscardHandler)}.hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	return os.RemoveAll(data)
}

// hold takes the lock of the state, which an engine of an earlier run may still
// have: its guard first runs a program, then waits until the state is saved.
func (c Config) hold(ctx context.Context) (*os.File, error) {
	path := filepath.Join(c.Data, "lock")
	held, err := lock(ctx, path, orphanLimit, func() {
		c.Say("waiting until the engine of an earlier run has saved its state")
	})
	if !errors.Is(err, errLocked) {
		return held, err
	}
	if err := c.endOrphan(ctx); err != nil {
		c.Log.Warn("engine of an earlier run", "error", err)
	}
	held, err = lock(ctx, path, aliveLimit, nil)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("a program still uses %s, which only one engine may: end the process that has %s open", c.Data, path)
	}
	return held, err
}

// running says which engine uses a state, in the file engine.json beside it. The
// file exists until that engine has saved the state.
type running struct {
	PID    int    `json:"pid"`
	Port   int    `json:"port"`
	Secret string `json:"secret"`
}

func (c Config) runningFile() string { return filepath.Join(c.Data, "engine.json") }

func (c Config) writeRunning(r running) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(c.runningFile(), text, 0o600)
}

func (c Config) readRunning() (r running, err error) {
	text, err := os.ReadFile(c.runningFile())
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// endOrphan ends an engine whose guard was killed, too, as the guard would have
// done. It does nothing to one that still has a guard.
func (c Config) endOrphan(ctx context.Context) error {
	r, err := c.readRunning()
	if err != nil || r.PID <= 1 {
		return err
	}
	group, err := syscall.Getpgid(r.PID)
	if err != nil || syscall.Kill(group, 0) == nil {
		return nil // it has just ended, or the guard, who leads the group, lives
	}
	// The number may belong to a stranger by now.
	command, err := commandOf(ctx, r.PID)
	if err != nil || !isEngine(command) {
		return err
	}
	c.Say(fmt.Sprintf("ending the engine of an earlier run, process %d", r.PID))
	if c.BeforeEnd != nil {
		if before := c.BeforeEnd(urlOf(r.Port, r.Secret)); before != nil {
			if err := before.Run(); err != nil {
				c.Log.Error("program before the end of an engine of an earlier run", "error", err)
			}
		}
	}
	return syscall.Kill(r.PID, syscall.SIGTERM)
}

// commandOf returns the command line of a process. Linux has it in a file; ps is
// for other systems.
func commandOf(ctx context.Context, pid int) (string, error) {
	if _, err := os.Stat("/proc/self/cmdline"); err == nil {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return strings.ReplaceAll(string(text), "\x00", " "), err
	}
	text, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(text), err
}

// isEngine reports whether a command line is that of an engine, of the last release
// too.
func isEngine(command string) bool {
	return strings.Contains(command, "import ministack.app") || strings.Contains(command, "-m ministack")
}

// environment is all that the engine gets: it would read the user's AWS profiles
// and much more.
func (c Config) environment(port int) []string {
	persist := "1"
	if c.Forget {
		persist = "0"
	}
	return []string{
		"PATH=/usr/bin:/bin",
		"HOME=" + c.Data,
		"TMPDIR=" + filepath.Join(c.Data, "tmp"),
		"PYTHONUNBUFFERED=1",
		"BIND_HOST=" + host, // it would listen on 0.0.0.0
		"GATEWAY_PORT=" + strconv.Itoa(port),
		"MINISTACK_REGION=" + c.Region,
		"MINISTACK_ACCOUNT_ID=" + c.Account,
		"SERVICES=" + strings.TrimSuffix(services+","+c.More, ","),
		"PERSIST_STATE=" + persist, "STATE_DIR=" + c.stateFolder(),
		"S3_PERSIST=" + persist, "S3_DATA_DIR=" + filepath.Join(c.Data, "s3"),
		// These two would listen on ports of their own.
		"SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0",
		// It would remove containers of other MiniStacks of this machine.
		"DOCKER_HOST=unix://" + filepath.Join(c.Data, "no-docker"),
		"LOG_LEVEL=WARNING",
	}
}

// freePort returns the port if it is free, else any free one.
func freePort(port int) (int, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil && port != 0 {
		l, err = net.Listen("tcp4", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// errEnded says that the process ended before it answered.
var errEnded = errors.New("the engine ended during its start; its log says why")

// await waits until the engine answers with the version that is pinned.
func await(ctx context.Context, p *process.Process, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the engine does not answer within %v", startLimit))
	defer cancel()
	for {
		version, err := versionOf(ctx, url)
		if err == nil && version != Version {
			return fmt.Errorf("the engine is MiniStack %s, not %s", version, Version)
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func versionOf(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/_ministack/health", nil)
	if err != nil {
		return "", err
	}
	response, err := direct.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var health struct{ Version string }
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&health)
	return health.Version, err
}

// direct keeps no connection, which the engine would wait for when it stops, and
// uses no proxy.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// onlyLoopback returns an error if the process listens on anything but 127.0.0.1.
// Linux says where it listens. Elsewhere every other address of this machine
// must refuse the port.
func onlyLoopback(pid, port int) error {
	addresses, err := listening(pid)
	if errors.Is(err, os.ErrNotExist) {
		return refusedElsewhere(port)
	}
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if !strings.HasPrefix(address, host+":") {
			return fmt.Errorf("the engine listens on %s; it must listen on %s only", address, host)
		}
	}
	return nil
}

func refusedElsewhere(port int) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, one := range addresses {
		network, ok := one.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.IsLinkLocalUnicast() {
			continue
		}
		address := net.JoinHostPort(network.IP.String(), strconv.Itoa(port))
		if c, err := net.DialTimeout("tcp", address, 200*time.Millisecond); err == nil {
			c.Close()
			return fmt.Errorf("the engine answers on %s; it must listen on %s only", address, host)
		}
	}
	return nil
}

// listening returns the TCP addresses on which a process listens, from proc(5).
func listening(pid int) ([]string, error) {
	folder := fmt.Sprintf("/proc/%d", pid)
	descriptors, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{} // inodes
	for _, d := range descriptors {
		if target, err := os.Readlink(folder + "/fd/" + d.Name()); err == nil && strings.HasPrefix(target, "socket:[") {
			mine[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	var addresses []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(folder + "/net/" + table)
		if errors.Is(err, os.ErrNotExist) && table == "tcp6" {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			// sl local_address rem_address st … inode: the tenth field.
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != "0A" || !mine[fields[9]] {
				continue
			}
			addresses = append(addresses, decodeAddress(fields[1]))
		}
	}
	return addresses, nil
}

// decodeAddress reads an address of /proc/net/tcp, such as 0100007F:1F90. Other
// addresses than IPv4's come back as they are.
func decodeAddress(text string) string {
	digits, port, _ := strings.Cut(text, ":")
	address, err := strconv.ParseUint(digits, 16, 32)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(digits) != 8 {
		return text
	}
	// In the byte order of the machine; all that Go's Linux ports for laptops
	// run on are little-endian.
	return fmt.Sprintf("%s:%d", net.IPv4(byte(address), byte(address>>8), byte(address>>16), byte(address>>24)), number)
}

// Kill ends the engine at once, as a crash would. It is for tests.
func (e *Engine) Kill() error {
	e.mu.Lock()
	p := e.process
	e.mu.Unlock()
	if p == nil {
		return os.ErrProcessDone
	}
	return p.Signal(syscall.SIGKILL)
}
