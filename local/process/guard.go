package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardName is the guard's argv[0]. It differs from the program's own name, so
// that ending the program by name does not end its guard as well.
const guardName = "process-guard"

// guardGrace is how long children may take to end after SIGTERM, once their
// parent is gone, unless Group.Patient allows more.
const guardGrace = 3 * time.Second

// orders are what a guard is to do once its parent is gone. The parent writes
// them to the guard's standard input, as a line of JSON; the last line counts.
type orders struct {
	Grace  time.Duration `json:"grace"`
	Before *Command      `json:"before,omitempty"`
}

// Command is a program that a guard runs, once its parent is gone, before it
// ends the children.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args"` // without the program's own name
	Env  []string `json:"env"`  // the whole environment, NAME=value each
	Dir  string   `json:"dir"`
	// Limit is how long it may take before it is killed.
	Limit time.Duration `json:"limit"`
	// Log is the file that its output is appended to; "" discards it.
	Log string `json:"log"`
}

// run runs the command to its end. Its failure must not keep the guard from its
// work, so it is only logged.
func (c *Command) run() {
	ctx, cancel := context.WithTimeout(context.Background(), c.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append([]string{}, c.Env...)
	cmd.Dir = c.Dir
	cmd.WaitDelay = outputDelay
	if c.Log != "" {
		if log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			defer log.Close()
			cmd.Stdout, cmd.Stderr = log, log
		}
	}
	if err := cmd.Run(); err != nil && cmd.Stderr != nil {
		fmt.Fprintf(cmd.Stderr, "%s: %s: %v\n", guardName, c.Path, err)
	}
}

// Guard does the guard's work and never returns when this process is one, and
// returns at once when it is not. Call it first in main, and in TestMain.
func Guard() {
	if !isGuard() {
		return
	}
	// The group's own SIGTERM reaches its guard too.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	// A name of its own for tools that look at it instead of the arguments.
	// It is a courtesy, and only Linux has the file.
	_ = os.WriteFile("/proc/self/comm", []byte(guardName), 0)

	groups := []int{syscall.Getpgrp()}
	for _, arg := range os.Args[1:] {
		if id, err := strconv.Atoi(arg); err == nil && id > 1 {
			groups = append(groups, id)
		}
	}
	fmt.Println("ready")
	os.Stdout.Close()

	todo := orders{Grace: guardGrace}
	parentGone := make(chan struct{})
	go func() {
		// The last line is incomplete if the parent was killed while it wrote.
		for decoder := json.NewDecoder(os.Stdin); ; {
			var next orders
			if err := decoder.Decode(&next); err != nil {
				break
			}
			todo = next
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(parentGone)
	}()
	// The number of a group that has ended may be given to a stranger's, so
	// groups taken over from an earlier guard are forgotten as they end.
	tick := time.NewTicker(time.Second)
	for waiting := true; waiting; {
		select {
		case <-parentGone:
			waiting = false
		case <-tick.C:
			groups = slices.DeleteFunc(groups, func(id int) bool {
				return errors.Is(syscall.Kill(-id, 0), syscall.ESRCH)
			})
		}
	}

	if todo.Before != nil {
		todo.Before.run()
	}
	signalGroups(groups, syscall.SIGTERM)
	for end := time.Now().Add(todo.Grace); time.Now().Before(end) && othersAlive(groups); {
		time.Sleep(20 * time.Millisecond)
	}
	slices.Reverse(groups) // the guard's own group last: this ends the guard
	signalGroups(groups, syscall.SIGKILL)
	os.Exit(0)
}

func isGuard() bool { return len(os.Args) > 0 && os.Args[0] == guardName }

func signalGroups(groups []int, sig syscall.Signal) {
	for _, id := range groups {
		_ = syscall.Kill(-id, sig) // an empty group is what we want
	}
}

// othersAlive reports whether the groups have a living member other than this
// process. Without /proc it cannot know, and returns true.
func othersAlive(groups []int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true
	}
	self := strconv.Itoa(os.Getpid())
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended just now
		}
		// proc(5): pid (comm) state ppid pgrp …, where comm may contain anything.
		text := string(stat)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" || filepath.Base(filepath.Dir(path)) == self {
			continue
		}
		if group, err := strconv.Atoi(fields[2]); err == nil && slices.Contains(groups, group) {
			return true
		}
	}
	return false
}

// guard is the parent's side of a guard.
type guard struct {
	cmd   *exec.Cmd
	alive *os.File // the pipe's write end; closing it is the parent's death
	done  chan struct{}
}

// startGuard starts a guard that leads a new process group and also answers
// for older groups, whose own guard is gone.
func startGuard(older []int, todo orders) (*guard, error) {
	if isGuard() {
		return nil, errors.New("this process is a guard itself: call process.Guard first in main")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the guard's pipe: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{guardName}
	for _, id := range older {
		cmd.Args = append(cmd.Args, strconv.Itoa(id))
	}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		write.Close()
		return nil, fmt.Errorf("start the guard of child processes: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		write.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, errors.New("the guard of child processes does not answer: call process.Guard first in main")
	}
	g := &guard{cmd: cmd, alive: write, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended does not matter, only that it did
		close(g.done)
	}()
	g.order(todo)
	return g, nil
}

// order tells the guard what it is to do. It fails only if the guard is gone,
// and then the next guard is told.
func (g *guard) order(todo orders) {
	text, err := json.Marshal(todo)
	if err != nil {
		panic(err) // durations and texts only
	}
	_, _ = g.alive.Write(append(text, '\n'))
}

func (g *guard) pid() int { return g.cmd.Process.Pid }
