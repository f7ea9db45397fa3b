package ecs_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plaudit/local/ecs"
	"plaudit/local/process"
)

var binary string

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "plaudit-ecs-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "service")
		if out, err := exec.Command("go", "build", "-o", binary, "./testdata/service").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// buffer is a log that tests read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// targets records what is registered.
type targets struct {
	mu   sync.Mutex
	now  []string
	ever int
}

func (t *targets) Register(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = append(t.now, addr)
	t.ever++
}

func (t *targets) Deregister(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = slices.DeleteFunc(t.now, func(a string) bool { return a == addr })
}

func (t *targets) registered() ([]string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.now), t.ever
}

type stack struct {
	config  ecs.Config
	targets *targets
	log     *buffer
	output  *buffer
	pids    chan int
	service *ecs.Service
}

func run(t *testing.T, change func(*ecs.Config)) *stack {
	t.Helper()
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	s := &stack{targets: &targets{}, log: &buffer{}, output: &buffer{}, pids: make(chan int, 100)}
	s.config = ecs.Config{
		Name: "users", Binary: binary, Dir: t.TempDir(), DesiredCount: 1, Port: port,
		Env:     map[string]string{"PORT": fmt.Sprint(port), "EMPTY": ""},
		Targets: []ecs.Targets{s.targets}, StopTimeout: 30 * time.Second,
		Output: s.output, Log: slog.New(slog.NewTextHandler(s.log, nil)),
		Changed: func(pid int) { s.pids <- pid },
	}
	if change != nil {
		change(&s.config)
	}
	s.service, err = ecs.Start(group, s.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.service.Stop)
	return s
}

// get asks the task until it answers.
func (s *stack) get(t *testing.T, path string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.config.Port, path))
		if err == nil {
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		if time.Now().After(end) {
			t.Fatalf("%v; log: %s; output: %s", err, s.log, s.output)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *stack) tell(path string) {
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.config.Port, path))
	if err == nil { // a task told to crash does not answer
		res.Body.Close()
	}
}

func (s *stack) next(t *testing.T) int {
	t.Helper()
	select {
	case pid := <-s.pids:
		return pid
	case <-time.After(time.Minute):
		t.Fatalf("nothing changes; log: %s", s.log)
		return 0
	}
}

func TestEnvironmentIsTheTaskDefinitionsAlone(t *testing.T) {
	t.Setenv("OF_THE_CALLER", "x")
	s := run(t, nil)
	got := strings.Split(strings.TrimSpace(s.get(t, "/env")), "\n")
	slices.Sort(got)
	if want := []string{"EMPTY=", fmt.Sprintf("PORT=%d", s.config.Port)}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestRegisteredWhileItRunsAndStoppedBySIGTERM(t *testing.T) {
	s := run(t, nil)
	s.get(t, "/healthz")
	if now, _ := s.targets.registered(); len(now) != 1 || now[0] != fmt.Sprintf("127.0.0.1:%d", s.config.Port) {
		t.Errorf("registered: %v", now)
	}
	pid := s.next(t)
	s.service.Stop()
	if now, _ := s.targets.registered(); len(now) != 0 {
		t.Errorf("registered after the stop: %v", now)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the task lives on")
	}
	if !strings.Contains(s.output.String(), "goodbye") {
		t.Errorf("no goodbye in %q", s.output)
	}
}

func TestDeadTaskIsReplaced(t *testing.T) {
	s := run(t, nil)
	first := s.next(t)
	for _, end := range []struct {
		how  func(pid int)
		says string
	}{
		{func(int) { s.tell("/crash") }, "exit status 3"},
		{func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }, "signal: killed"},
	} {
		s.get(t, "/healthz")
		end.how(first)
		if got := s.next(t); got != 0 {
			t.Errorf("the end is reported as %d", got)
		}
		second := s.next(t)
		if second == first || second == 0 {
			t.Errorf("process %d after %d", second, first)
		}
		s.get(t, "/healthz")
		if !strings.Contains(s.log.String(), end.says) {
			t.Errorf("log does not say %q: %s", end.says, s.log)
		}
		first = second
	}
	if now, ever := s.targets.registered(); len(now) != 1 || ever != 3 {
		t.Errorf("registered %v, %d times", now, ever)
	}
}

func TestUnhealthyTaskIsReplaced(t *testing.T) {
	s := run(t, func(c *ecs.Config) {
		c.HealthCheck = &ecs.HealthCheck{
			Command: []string{"CMD", "/service", "health"}, Interval: 20 * time.Millisecond,
			Timeout: time.Minute, Retries: 2,
		}
	})
	s.get(t, "/healthz")
	first := s.next(t)
	s.tell("/sicken")
	if got := s.next(t); got != 0 {
		t.Errorf("the end is reported as %d", got)
	}
	if second := s.next(t); second == first {
		t.Error("the same process")
	}
	s.get(t, "/healthz")
	if !strings.Contains(s.log.String(), "unhealthy") {
		t.Errorf("log: %s", s.log)
	}
}

func TestWhatIsNotServed(t *testing.T) {
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	for want, c := range map[string]ecs.Config{
		"desired count 2": {Name: "users", Binary: binary, DesiredCount: 2},
		"CMD-SHELL":       {Name: "users", Binary: binary, DesiredCount: 1, HealthCheck: &ecs.HealthCheck{Command: []string{"CMD-SHELL", "x"}}},
		"no such file":    {Name: "users", Binary: "/nonexistent", DesiredCount: 1},
	} {
		if _, err := ecs.Start(group, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestDesiredCountZeroRunsNothing(t *testing.T) {
	s := run(t, func(c *ecs.Config) { c.DesiredCount = 0 })
	s.service.Stop()
	if _, ever := s.targets.registered(); ever != 0 || len(s.pids) != 0 {
		t.Error("something was started")
	}
}
