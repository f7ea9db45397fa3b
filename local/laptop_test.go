package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
)

// laptopBinary is the program of the laptop cloud, as people run it.
var laptopBinary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "plaudit-laptop-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		laptopBinary = filepath.Join(dir, "laptop")
		if out, err := exec.Command("go", "build", "-o", laptopBinary, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// project copies testdata/small. Its databases are deleted after the test.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/small")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd := exec.Command(laptopBinary, "-clean")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("-clean: %v: %s", err, out)
		}
	})
	return dir
}

// laptop is a run of the program.
type laptop struct {
	dir  string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	run  struct {
		URL       string
		AWS       string
		Inbox     string
		Admin     map[string]string
		Databases map[string]struct {
			URL string
			PID int
		}
		PIDs map[string]int
	}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func begin(t *testing.T, dir string, args ...string) *laptop {
	t.Helper()
	l := &laptop{dir: dir, out: &output{}, done: make(chan struct{})}
	l.cmd = exec.Command(laptopBinary, append([]string{"-http-port", "0", "-aws-port", "0", "-inbox-port", "0"}, args...)...)
	l.cmd.Dir = dir
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	l.cmd.Env = append(os.Environ(), "OF_THE_CALLER=x")
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait() // tests check the exit code
		close(l.done)
	}()
	t.Cleanup(func() {
		_ = l.cmd.Process.Signal(syscall.SIGTERM)
		l.ended(t)
	})
	return l
}

func (l *laptop) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-l.done:
	case <-time.After(2 * time.Minute):
		_ = l.cmd.Process.Kill()
		t.Errorf("it has not ended within two minutes: %s", l.out)
		<-l.done
	}
	return l.cmd.ProcessState.ExitCode()
}

// ready waits for run.json.
func (l *laptop) ready(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); ; {
		if strings.Contains(l.out.String(), "ready in") {
			break
		}
		select {
		case <-l.done:
			t.Fatalf("it ended: %s", l.out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("not ready: %s", l.out)
		}
	}
	l.read(t)
}

func (l *laptop) read(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(l.dir, ".local", "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	l.run.PIDs, l.run.Databases = nil, nil
	if err := json.Unmarshal(content, &l.run); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
}

type answer struct {
	PID int
	Env []string
}

func (l *laptop) get(path string) (answer, error) {
	var a answer
	res, err := http.Get(l.run.URL + path)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s: %w: %s", res.Status, err, body)
	}
	return a, json.Unmarshal(body, &a)
}

func (l *laptop) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", l.run.Databases["things"].URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// eventually tries until try returns no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// gone returns an error if a process still runs. A zombie does not.
func gone(pid int) error {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil && strings.Contains(string(stat), ") Z ") {
		return nil
	}
	return fmt.Errorf("process %d still runs", pid)
}

func (l *laptop) processes(t *testing.T) []int {
	t.Helper()
	l.read(t)
	hello, err := l.get("/hello")
	if err != nil {
		t.Fatal(err)
	}
	return []int{hello.PID, l.run.PIDs["web"], l.run.Databases["things"].PID, l.run.PIDs["laptop"]}
}

// Ctrl-C of `make run | tee` ends tee, too, and the next line to the terminal finds a
// pipe that nobody reads.
func TestAnOutputThatNobodyReadsEndsItInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, l *laptop)
	}{
		{"after Ctrl-C", func(t *testing.T, l *laptop) {
			if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}},
		{"at the next line", func(t *testing.T, l *laptop) {
			if _, err := l.get("/hello"); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &laptop{dir: project(t), out: &output{}, done: make(chan struct{})}
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			l.cmd = exec.Command(laptopBinary, "-http-port", "0", "-aws-port", "0", "-inbox-port", "0", "-verbose")
			l.cmd.Dir, l.cmd.Env, l.cmd.Stdout, l.cmd.Stderr = l.dir, append(os.Environ(), "OF_THE_CALLER=x"), write, l.out
			if err := l.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			write.Close()
			go func() {
				_ = l.cmd.Wait() // the exit code is checked
				close(l.done)
			}()
			t.Cleanup(func() {
				_ = l.cmd.Process.Signal(syscall.SIGTERM)
				l.ended(t)
			})
			lines := bufio.NewScanner(read)
			for lines.Scan() && !strings.Contains(lines.Text(), "stop with Ctrl-C") {
				fmt.Fprintln(l.out, lines.Text())
			}
			l.read(t)
			pids := l.processes(t)
			read.Close()
			c.end(t, l)
			if code := l.ended(t); code != 0 {
				t.Errorf("exit code %d, %v: %s", code, l.cmd.ProcessState, l.out)
			}
			if _, err := os.Stat(filepath.Join(l.dir, ".local", "run.json")); !os.IsNotExist(err) {
				t.Errorf("run.json is still there: %v", err)
			}
			for _, pid := range pids {
				eventually(t, "its processes end", func() error { return gone(pid) })
			}
		})
	}
}

func TestCleanDeletesRecordsThatWait(t *testing.T) {
	dir := t.TempDir()
	waits := filepath.Join(dir, ".local", "streams", "mapping")
	if err := os.MkdirAll(waits, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(laptopBinary, "-clean")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Dir(waits)); !os.IsNotExist(err) {
		t.Errorf("the streams are still there: %v", err)
	}
}
