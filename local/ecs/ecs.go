// Package ecs runs the tasks of an ECS service as plain processes: it starts a
// task's program with the environment of its task definition, registers it in
// its target groups, asks its health check, and replaces it when it dies or
// becomes unhealthy.
package ecs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"plaudit/local/process"
)

// Targets is a target group of type ip.
type Targets interface {
	Register(addr string)
	Deregister(addr string)
}

// HealthCheck is the health check of a container. Zero values mean the defaults of
// ECS.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
type HealthCheck struct {
	Command     []string      // as in the template: CMD, program, arguments …
	Interval    time.Duration // 30 s
	Timeout     time.Duration // 5 s
	StartPeriod time.Duration // failures before its end do not count
	Retries     int           // 3
}

// Config describes a service.
type Config struct {
	Name         string // of the service
	Binary       string // the container's entry point
	Dir          string // working directory
	Env          map[string]string
	DesiredCount int
	Port         int // on which the program listens, on 127.0.0.1; 0: on none
	Targets      []Targets
	HealthCheck  *HealthCheck
	StopTimeout  time.Duration // between SIGTERM and SIGKILL; 30 s
	Output       io.Writer     // of the program
	Log          *slog.Logger
	// Changed is called with the process id of each task that starts, and with
	// 0 when it has ended.
	Changed func(pid int)
}

// Service is a running service.
type Service struct {
	config Config
	group  *process.Group
	stop   chan struct{}
	again  chan struct{} // asks for another task
	once   sync.Once
	done   chan struct{}
}

// maxWait is the longest time between two starts, calm how long a task must
// have run for its end to count as the first.
const (
	maxWait = 5 * time.Second
	calm    = 30 * time.Second
)

// Start starts the service's task and returns without waiting for its health.
func Start(group *process.Group, c Config) (*Service, error) {
	if c.DesiredCount > 1 {
		return nil, fmt.Errorf("ECS service %s: desired count %d, but the laptop runs one task at most, because each would need the same port", c.Name, c.DesiredCount)
	}
	if check := c.HealthCheck; check != nil {
		filled := *check
		c.HealthCheck = &filled
		if len(check.Command) < 2 || check.Command[0] != "CMD" {
			return nil, fmt.Errorf("ECS service %s: the health check's command must be CMD, the program and its arguments; %q is not served by the laptop", c.Name, check.Command)
		}
		filled.Command = slices.Clone(check.Command)
		orDefault(&filled.Interval, 30*time.Second)
		orDefault(&filled.Timeout, 5*time.Second)
		orDefault(&filled.Retries, 3)
	}
	orDefault(&c.StopTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func(int) {}
	}
	s := &Service{config: c, group: group, stop: make(chan struct{}), again: make(chan struct{}, 1), done: make(chan struct{})}
	if c.DesiredCount == 0 {
		close(s.done)
		return s, nil
	}
	first, err := s.start()
	if err != nil {
		return nil, fmt.Errorf("ECS service %s: %w", c.Name, err)
	}
	go s.supervise(first)
	return s, nil
}

func orDefault[T comparable](value *T, preset T) {
	var zero T
	if *value == zero {
		*value = preset
	}
}

// Stop ends the task, SIGTERM first, and returns when it has ended.
func (s *Service) Stop() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

// Restart replaces the task by one that runs the program as it is now. It does
// not wait.
func (s *Service) Restart() {
	select {
	case s.again <- struct{}{}:
	default: // asked for already
	}
}

func (s *Service) spec(args ...string) process.Spec {
	env := make([]string, 0, len(s.config.Env))
	for name, value := range s.config.Env {
		env = append(env, name+"="+value)
	}
	return process.Spec{
		Name: s.config.Name, Path: s.config.Binary, Args: args, Dir: s.config.Dir, Env: env,
		Stdout: s.config.Output, Stderr: s.config.Output,
	}
}

func (s *Service) addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.config.Port))
}

func (s *Service) start() (*process.Process, error) {
	task, err := s.group.Start(s.spec())
	if err != nil {
		return nil, err
	}
	s.config.Changed(task.PID())
	for _, t := range s.config.Targets {
		t.Register(s.addr())
	}
	return task, nil
}

// end takes the task out of its target groups, so that no request meets it,
// and ends it.
func (s *Service) end(task *process.Process) {
	for _, t := range s.config.Targets {
		t.Deregister(s.addr())
	}
	if err := task.Stop(s.config.StopTimeout); err != nil {
		s.config.Log.Warn("task was killed", "service", s.config.Name, "error", err)
	}
	s.config.Changed(0)
}

// supervise keeps one task running until Stop.
func (s *Service) supervise(task *process.Process) {
	defer close(s.done)
	failures := 0
	var reason error
	for {
		if task != nil {
			started := time.Now()
			reason = s.watch(task)
			s.end(task)
			if reason == nil {
				return
			}
			if time.Since(started) > calm || reason == errRestart {
				failures = 0
			}
		}
		wait := backoff(failures)
		level := slog.LevelWarn
		if reason == errRestart {
			level = slog.LevelDebug
		} else {
			failures++
		}
		s.config.Log.Log(context.Background(), level, "task is replaced", "service", s.config.Name, "reason", reason, "in", wait)
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
		}
		next, err := s.start()
		if err != nil {
			reason = err
		}
		task = next
	}
}

// backoff is the wait before the next start: none the first time.
func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(maxWait, 250*time.Millisecond<<min(failures-1, 10))
}

// watch returns why the task must be replaced, or nil when it is to stop.
func (s *Service) watch(task *process.Process) error {
	check := s.config.HealthCheck
	if check == nil {
		select {
		case <-s.stop:
			return nil
		case <-task.Done():
			return ended(task)
		case <-s.again:
			return errRestart
		}
	}
	started, failed := time.Now(), 0
	for {
		select {
		case <-s.stop:
			return nil
		case <-task.Done():
			return ended(task)
		case <-s.again:
			return errRestart
		case <-time.After(check.Interval):
		}
		err := s.check(check)
		switch {
		case err == nil:
			failed = 0
		case time.Since(started) <= check.StartPeriod:
		default:
			failed++
			s.config.Log.Warn("task is not healthy", "service", s.config.Name, "error", err, "failures", failed)
			if failed >= check.Retries {
				return fmt.Errorf("unhealthy: %w", err)
			}
		}
	}
}

// errRestart is the reason for the replacement of a healthy task.
var errRestart = errors.New("another one was asked for")

func ended(task *process.Process) error {
	if err := task.Err(); err != nil {
		return fmt.Errorf("it ended: %w", err)
	}
	return errors.New("it ended: exit status 0")
}

// check runs the health check's command in the task's environment, with the
// program that was built in place of the image's.
func (s *Service) check(check *HealthCheck) error {
	probe, err := s.group.Start(s.spec(check.Command[2:]...))
	if err != nil {
		return err
	}
	select {
	case <-probe.Done():
		if err := probe.Err(); err != nil {
			return fmt.Errorf("the health check fails: %w", err)
		}
		return nil
	case <-s.stop:
		_ = probe.Signal(os.Kill)
		<-probe.Done()
		return nil
	case <-time.After(check.Timeout):
		_ = probe.Signal(syscall.SIGKILL)
		<-probe.Done()
		return fmt.Errorf("the health check takes longer than %v", check.Timeout)
	}
}
