// Package e2e tests the whole system from outside: `make run`'s programs in a
// folder of their own, over HTTP. The stack is started once for the package.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plaudit/local/process"
)

// stack is the running laptop cloud.
var stack *laptop

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	group, err := process.NewGroup()
	if err != nil {
		return fatal(err)
	}
	defer group.Close()
	stack, err = prepare(group)
	if err != nil {
		return fatal(err)
	}
	defer stack.remove()
	if err := stack.start(); err != nil {
		return fatal(err)
	}
	code := m.Run()
	stack.stop()
	if err := errors.Join(stack.searchLogs(), documented.err()); err != nil {
		return fatal(err)
	}
	return code
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// laptop is a checkout of its own, made of links, with what `make run` builds.
type laptop struct {
	root  string
	group *process.Group
	log   bytes.Buffer // what it says on the terminal
	kept  bytes.Buffer // the logs of starts before
	proc  *process.Process
	info  runInfo
}

// runInfo is .local/run.json.
type runInfo struct {
	URL, AWS  string
	Admin     map[string]string
	Databases map[string]struct {
		URL string
		PID int
	}
	PIDs map[string]int
}

func prepare(group *process.Group) (*laptop, error) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plaudit-e2e")
	if err != nil {
		return nil, err
	}
	l := &laptop{root: root, group: group}
	for _, name := range []string{"go.mod", "go.sum", "template.yaml", "samconfig.toml", "functions", "services", "shared", "events"} {
		if err := os.Symlink(filepath.Join(checkout, name), filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	bin := filepath.Join(root, ".local", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/plaudit", "./local")
	build.Dir = checkout
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	return l, nil
}

func (l *laptop) runFile() string { return filepath.Join(l.root, ".local", "run.json") }

func (l *laptop) logFile() string { return filepath.Join(l.root, ".local", "laptop.log") }

// start starts the stack and waits until run.json says that it is ready.
func (l *laptop) start() error {
	// A start begins a new log file, and what the terminal said is read for
	// secrets too.
	before, _ := os.ReadFile(l.logFile()) // none at the first start
	l.kept.Write(append(before, l.log.Bytes()...))
	l.log.Reset()
	var err error
	l.proc, err = l.group.Start(process.Spec{
		Name: "laptop", Path: filepath.Join(l.root, ".local", "bin", "local"), Args: []string{"-http-port", "0", "-aws-port", "0"},
		Dir: l.root, Env: os.Environ(), Stdout: &l.log, Stderr: &l.log,
	})
	if err != nil {
		return err
	}
	deadline := time.After(3 * time.Minute) // builds with a cold cache
	for {
		text, err := os.ReadFile(l.runFile())
		if err == nil {
			l.info = runInfo{}
			if err := json.Unmarshal(text, &l.info); err != nil {
				return fmt.Errorf("run.json: %w", err)
			}
			if l.info.PIDs["laptop"] == l.proc.PID() {
				return nil
			}
		}
		select {
		case <-l.proc.Done():
			return fmt.Errorf("the laptop cloud ended (%v):\n%s", l.proc.Err(), l.log.String())
		case <-deadline:
			return errors.New("the laptop cloud is not ready after 3 minutes:\n" + l.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *laptop) stop() {
	if err := l.proc.Stop(30 * time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: stop:", err)
	}
}

// remove deletes the databases and the folder.
func (l *laptop) remove() {
	clean := exec.Command(filepath.Join(l.root, ".local", "bin", "local"), "-clean")
	clean.Dir = l.root
	if out, err := clean.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: clean: %v\n%s", err, out)
	}
	os.RemoveAll(l.root)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// json reads a value out of the answer's body by names and indices.
func (a answer) json(t *testing.T, path ...any) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %d %s", err, a.status, a.body)
	}
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	if n, ok := v.(json.Number); ok {
		return n.String()
	}
	return v
}

func (a answer) text(t *testing.T, path ...any) string {
	t.Helper()
	s, _ := a.json(t, path...).(string)
	return s
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}

// send sends a request to the load balancer. Headers are pairs of name and
// value.
func send(t *testing.T, method, path, token, body string, headers ...string) answer {
	t.Helper()
	a, err := try(method, path, token, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(method, path, token, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, stack.info.URL+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	leaks.read(string(text))
	if resp.StatusCode < 300 {
		leaks.read(body)
	}
	a := answer{resp.StatusCode, resp.Header, string(text)}
	if err == nil {
		documented.read(method, path, a)
	}
	return a, err
}

// want sends a request and expects a status.
func want(t *testing.T, status int, method, path, token, body string, headers ...string) answer {
	t.Helper()
	a := send(t, method, path, token, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

func admin(t *testing.T) string {
	t.Helper()
	body, _ := json.Marshal(stack.info.Admin)
	return want(t, 201, "POST", "/v1/sessions", "", string(body)).text(t, "access_token")
}

// unique makes an id that no other test uses.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano()) }

// member opens an account and logs in.
func member(t *testing.T) (id, email, token string) {
	t.Helper()
	email = unique("member") + "@example.com"
	id = want(t, 201, "POST", "/v1/users", "", fmt.Sprintf(`{"email": %q, "password": "correct horse battery", "display_name": "Member"}`, email)).text(t, "id")
	token = want(t, 201, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": "correct horse battery"}`, email)).text(t, "access_token")
	return id, email, token
}

// alive says whether a process is there and no zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
