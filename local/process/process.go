// Package process starts child processes that never outlive this program.
//
// Children share a process group that belongs to a guard: a child of ours,
// this same binary under another name, started before any other. It holds the
// read end of a pipe. When this program goes away, by whatever signal, the
// pipe closes; the guard then sends SIGTERM to the whole group, three seconds
// later SIGKILL, and ends with it. This needs nothing but process groups and
// works alike on Linux and macOS. A process that leaves the group by setsid is
// beyond the guard's reach.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// closeGrace is the time that each process has to end after SIGTERM of Close,
	// closeLimit the time for all of them together.
	closeGrace = 5 * time.Second
	closeLimit = 15 * time.Second
	// outputDelay is how long output is still read after a process has ended
	// while a grandchild holds its pipes open.
	outputDelay = time.Second
)

// Group holds every child of this program.
type Group struct {
	mu       sync.Mutex
	guard    *guard
	guardErr error
	orders   orders     // of each guard
	running  []*Process // in the order of their start
	closed   bool
}

// NewGroup starts a guard. Guard must be called first in main.
func NewGroup() (*Group, error) {
	todo := orders{Grace: guardGrace}
	guard, err := startGuard(nil, todo)
	if err != nil {
		return nil, err
	}
	g := &Group{guard: guard, orders: todo}
	go g.watch(guard)
	return g, nil
}

// Patient sets how long the guard waits for the children to end after SIGTERM
// before it kills them, instead of three seconds.
func (g *Group) Patient(grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.orders.Grace = grace
	g.guard.order(g.orders)
}

// BeforeEnd sets the program that the guard runs, if this program is killed,
// while the children still run and before it sends them SIGTERM. Close does not
// run it. It replaces the one of an earlier call; nil sets none.
func (g *Group) BeforeEnd(c *Command) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.orders.Before = c
	g.guard.order(g.orders)
}

// watch puts another guard in the place of one that somebody has ended.
func (g *Group) watch(guard *guard) {
	for {
		<-guard.done
		guard.alive.Close()
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return
		}
		var older []int
		for _, p := range g.running {
			if !slices.Contains(older, p.group) {
				older = append(older, p.group)
			}
		}
		next, err := startGuard(older, g.orders)
		if err != nil {
			g.guardErr = err
			g.mu.Unlock()
			return
		}
		g.guard, guard = next, next
		g.mu.Unlock()
	}
}

// Spec describes a child.
type Spec struct {
	Name string   // in errors
	Path string   // the program's file
	Args []string // without the program's own name
	Dir  string   // working directory
	// Env is the whole environment, NAME=value each. Nothing is inherited.
	Env        []string
	Credential *syscall.Credential // another user, which only root may ask for
	Stdin      io.Reader           // nil: empty
	// Stdout and Stderr take the output, nil discards it. A writer that is not
	// an *os.File is written to by one goroutine each, or by one for both when
	// they are the same; all is written when Done closes.
	Stdout, Stderr io.Writer
	// Files are open in the child too, from descriptor 3 on. A lock of flock(2)
	// on one of them lasts until both programs have closed it.
	Files []*os.File
}

// Start starts a child.
func (g *Group) Start(s Spec) (*Process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var p *Process
	var err error
	// A guard that somebody has just ended takes its group with it (EPERM):
	// watch needs a moment to start the next one.
	for range 20 {
		if g.closed {
			return nil, fmt.Errorf("start %s: the group is closed", s.Name)
		}
		if g.guardErr != nil {
			return nil, fmt.Errorf("start %s: %w", s.Name, g.guardErr)
		}
		p, err = start(s, g.guard.pid())
		if !errors.Is(err, syscall.EPERM) {
			break
		}
		before := g.guard
		g.mu.Unlock()
		time.Sleep(25 * time.Millisecond)
		g.mu.Lock()
		if g.guard == before && !isClosed(before.done) {
			break // it lives, so the refusal has another reason
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	g.running = append(g.running, p)
	go func() {
		p.wait()
		g.mu.Lock()
		g.running = slices.DeleteFunc(g.running, func(q *Process) bool { return q == p })
		g.mu.Unlock()
		close(p.done)
	}()
	return p, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func start(s Spec, group int) (*Process, error) {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir = s.Dir
	cmd.Env = append([]string{}, s.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	cmd.ExtraFiles = s.Files
	cmd.WaitDelay = outputDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group, Credential: s.Credential}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Process{name: s.Name, cmd: cmd, group: group, done: make(chan struct{})}, nil
}

// Run runs a child to its end and returns its Err. If ctx ends first, Run stops
// the child.
func (g *Group) Run(ctx context.Context, s Spec) error {
	p, err := g.Start(s)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		_ = p.Stop(time.Second) // the cause is the better error
		return context.Cause(ctx)
	}
}

// Close ends all processes in the reverse order of their start, each with SIGTERM
// and, if that is not enough, SIGKILL. It returns an error that names the
// processes that had to be killed.
func (g *Group) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	left := slices.Clone(g.running)
	guard := g.guard
	g.mu.Unlock()

	var errs []error
	end := time.Now().Add(closeLimit)
	for _, p := range slices.Backward(left) {
		errs = append(errs, p.Stop(min(closeGrace, time.Until(end))))
	}
	// Processes that children have started end with the group.
	groups := []int{guard.pid()}
	for _, p := range left {
		if !slices.Contains(groups, p.group) {
			groups = append(groups, p.group)
		}
	}
	if !isClosed(guard.done) {
		signalGroups(groups, syscall.SIGKILL)
		<-guard.done
	}
	return errors.Join(errs...)
}

// Process is a child.
type Process struct {
	name  string
	cmd   *exec.Cmd
	group int
	done  chan struct{}
	err   error // set before done closes
}

// Name returns the Spec's name.
func (p *Process) Name() string { return p.name }

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done closes when the process has ended and its output is written.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err reports how the process ended: nil for success or while it runs, else an
// error that reads "exit status 2" or "signal: killed".
func (p *Process) Err() error {
	if !isClosed(p.done) {
		return nil
	}
	return p.err
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	if p.cmd.ProcessState != nil {
		err = nil
		if !p.cmd.ProcessState.Success() {
			err = &exec.ExitError{ProcessState: p.cmd.ProcessState}
		}
	}
	p.err = err
}

// Signal sends a signal. It returns os.ErrProcessDone after the process's end.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop sends SIGTERM, waits for as long as grace, then sends SIGKILL, and
// returns when the process has ended. It returns an error when it had to kill.
func (p *Process) Stop(grace time.Duration) error {
	if isClosed(p.done) {
		return nil
	}
	_ = p.Signal(syscall.SIGTERM) // one that has just ended is what we want
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	killed := p.Signal(syscall.SIGKILL) == nil
	<-p.done
	if killed {
		return fmt.Errorf("%s (process %d) did not end within %v of SIGTERM and was killed", p.name, p.PID(), grace.Round(time.Millisecond))
	}
	return nil
}
