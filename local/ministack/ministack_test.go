package ministack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plaudit/local/process"
)

func TestMain(m *testing.M) {
	process.Guard()
	if os.Getenv("MINISTACK_TEST") == "parent" {
		parent()
	}
	os.Exit(m.Run())
}

// said keeps the lines for the user.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func newGroup(t *testing.T) *process.Group {
	t.Helper()
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	return group
}

// shared is the folder of the repository's installation.
var shared, _ = filepath.Abs("../../.local/ministack")

func config(group *process.Group, data string, s *said) Config {
	return Config{
		Group: group, Folder: shared, Data: data, Account: "000000000000", Region: "ap-northeast-2",
		Output: io.Discard, Log: slog.New(slog.DiscardHandler), Say: s.say,
	}
}

func begin(t *testing.T, c Config) *Engine {
	t.Helper()
	e, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop() })
	return e
}

// bucket makes or reads a bucket, which is the simplest that an engine keeps.
func bucket(t *testing.T, method, url string) int {
	t.Helper()
	request, err := http.NewRequest(method, url+"/kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := direct.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// The real installation is what every other test uses.
func TestInstallationIsRepaired(t *testing.T) {
	group := newGroup(t)
	folder := t.TempDir()
	fails := filepath.Join(folder, "fails")
	programs(t, `for last; do :; done
case "$*" in
*"-m venv"*) /bin/mkdir -p "$last/bin"; /bin/cp "$0" "$last/bin/python";;
*"-m pip"*) if [ -e '`+fails+`' ]; then echo "no route to host"; exit 1; fi;;
esac`)
	python := filepath.Join(folder, "venv", "bin", "python")
	marker := filepath.Join(folder, "venv", ".requirements")
	for _, c := range []struct {
		name   string
		damage func() error
		says   bool
		err    string
	}{
		{"the first time, without a network", func() error { return os.WriteFile(fails, nil, 0o600) }, true, "no route to host"},
		{"still without one", func() error { return nil }, true, "no route to host"},
		{"the first time", func() error { return os.Remove(fails) }, true, ""},
		{"the second time", func() error { return os.WriteFile(fails, nil, 0o600) }, false, ""},
		{"interrupted", func() error { return errors.Join(os.Remove(fails), os.Remove(marker)) }, true, ""},
		{"other requirements", func() error { return os.WriteFile(marker, []byte("0"), 0o600) }, true, ""},
		{"a Python that is gone", func() error { return os.Remove(python) }, true, ""},
	} {
		s := &said{}
		if err := c.damage(); err != nil {
			t.Fatal(err)
		}
		got, err := Install(t.Context(), group, folder, s.say)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err != nil || got != python {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
		if says := strings.Contains(s.all(), "installing the engine"); says != c.says {
			t.Errorf("%s: it says %q", c.name, s.all())
		}
	}
}

// programs makes a folder for PATH with a python3 that runs a script.
func programs(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "python3"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestAnInstallationThatFailsNamesTheWayOut(t *testing.T) {
	group := newGroup(t)
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"an old Python", `exit 1`, []string{"needs Python 3.10 or later", "apt-get install python3 python3-venv", "-aws-endpoint"}},
		{"no venv", `case "$*" in *venv*) echo "No module named venv"; exit 1;; esac`, []string{"No module named venv", "apt-get install python3-venv", "-aws-endpoint"}},
		{"no network", `case "$*" in
*"-m venv"*) for last; do :; done; /bin/mkdir -p "$last/bin"; printf '#!/bin/sh\necho "no route to host"; exit 1\n' > "$last/bin/python"; /bin/chmod +x "$last/bin/python";;
esac`, []string{"no route to host", "needs a network", "-aws-endpoint"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			programs(t, c.script)
			_, err := Install(t.Context(), group, t.TempDir(), func(string) {})
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
		})
	}
}

// Each line of requirements.txt is pinned and hashed: pip refuses others, and a
// test says so before a user's first run does.
func TestRequirementsAreHashed(t *testing.T) {
	text := strings.ReplaceAll(string(requirements), "\\\n", "")
	pinned := regexp.MustCompile(`^[a-z0-9-]+==[0-9a-z.]+ ( ?; .*)?( *--hash=sha256:[0-9a-f]{64})+$`)
	count := 0
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		count++
		if !pinned.MatchString(line) {
			t.Errorf("not pinned with hashes: %s", line)
		}
	}
	if count < 10 {
		t.Errorf("only %d requirements", count)
	}
}

func TestItListensOnLoopbackOnly(t *testing.T) {
	e := begin(t, config(newGroup(t), t.TempDir(), &said{}))
	addresses, err := listening(e.PID())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err == nil && (len(addresses) != 1 || addresses[0] != e.Address()) {
		t.Errorf("it listens on %v", addresses)
	}
	everywhere, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	if err := onlyLoopback(os.Getpid(), portOf(everywhere)); err == nil && len(otherAddresses(t)) > 0 {
		t.Error("a program that listens on all addresses passes")
	}
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func otherAddresses(t *testing.T) (out []net.Addr) {
	t.Helper()
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		return []net.Addr{&net.TCPAddr{}} // Linux knows without any
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

func TestItIsStartedAgainAfterAKill(t *testing.T) {
	s := &said{}
	c := config(newGroup(t), t.TempDir(), s)
	calls := make(chan string, 10)
	c.Restarted = func(_ context.Context, url string) error {
		calls <- url
		return nil
	}
	e := begin(t, c)
	before, url := e.PID(), e.URL()
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := <-calls; got != url {
		t.Errorf("it was at %s and is at %s", url, got)
	}
	if e.PID() == before || bucket(t, http.MethodPut, url) != http.StatusOK {
		t.Errorf("process %d runs after process %d", e.PID(), before)
	}
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	if pid := e.PID(); pid != 0 {
		t.Errorf("after Stop process %d is noted", pid)
	}
}

// parent is a program to be killed while it runs an engine.
func parent() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	group, err := process.NewGroup()
	fail(err)
	c := config(group, os.Getenv("MINISTACK_TEST_DATA"), &said{})
	c.BeforeEnd = beforeEnd(c.Data)
	e, err := Start(context.Background(), c)
	fail(err)
	guard, err := syscall.Getpgid(e.PID())
	fail(err)
	fmt.Println("running", e.URL(), e.PID(), guard)
	select {}
}

// beforeEnd makes a program that fails if the engine no longer answers.
func beforeEnd(data string) func(url string) *process.Command {
	return func(url string) *process.Command {
		return &process.Command{
			Path: "/bin/sh", Args: []string{"-c", `python3 -c "import urllib.request as r; r.urlopen('` + url + `/_ministack/health')" && echo "$0" >> before`, url},
			Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: data, Limit: time.Minute,
		}
	}
}

func TestAKilledParentLosesNothing(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(map[bool]string{false: "the guard lives", true: "the guard is killed first"}[both], func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "MINISTACK_TEST=parent", "MINISTACK_TEST_DATA="+data)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			var url string
			var pid, guard int
			line, _ := bufio.NewReader(out).ReadString('\n')
			if _, err := fmt.Sscanf(line, "running %s %d %d", &url, &pid, &guard); err != nil {
				t.Fatalf("the parent says %q", line)
			}
			if status := bucket(t, http.MethodPut, url); status != http.StatusOK {
				t.Fatalf("make a bucket: %d", status)
			}
			if both {
				// The parent is stopped, so that it cannot start another guard.
				if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(guard, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed

			// The next one waits until the first has saved.
			s := &said{}
			c := config(newGroup(t), data, s)
			c.BeforeEnd = beforeEnd(data)
			e := begin(t, c)
			if status := bucket(t, http.MethodHead, e.URL()); status != http.StatusOK {
				t.Errorf("the bucket after the kill: %d; %s", status, s.all())
			}
			before, err := os.ReadFile(filepath.Join(data, "before"))
			if err != nil || string(before) != url+"\n" {
				t.Errorf("the program before the end ran for %q, %v", before, err)
			}
			if ended := strings.Contains(s.all(), fmt.Sprintf("ending the engine of an earlier run, process %d", pid)); ended != both {
				t.Errorf("it says %q", s.all())
			}
		})
	}
}

// A large state takes long to be saved, and the person who waits is told why. The engine
// of this test does nothing for longer than 15 s, which were too few.
func TestStopWaitsForALargeState(t *testing.T) {
	t.Parallel()
	data, s := filepath.Join(t.TempDir(), "engine"), &said{}
	e := begin(t, config(newGroup(t), data, s))
	if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
		t.Fatal(status)
	}
	pid := e.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(17*time.Second, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.all(), "the engine saves its tables") {
		t.Errorf("it says %q", s.all())
	}
	again := begin(t, config(newGroup(t), data, &said{}))
	if status := bucket(t, http.MethodGet, again.URL()); status != http.StatusOK {
		t.Errorf("the bucket is gone: %d", status)
	}
}

func TestRemoveWaitsForTheEngine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "engine")
	e := begin(t, config(newGroup(t), data, &said{}))
	if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
		t.Fatal(status)
	}
	removed := make(chan error)
	waits := make(chan string, 1)
	go func() { removed <- Remove(t.Context(), data, func(text string) { waits <- text }) }()
	<-waits
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
	if err := Remove(t.Context(), data, nil); err != nil {
		t.Errorf("without a state: %v", err)
	}
}
