// Package e2e tests the whole system from outside, over HTTP. It runs the programs
// of `make run` in a folder of their own, once for the package.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plaudit/local/process"
	"plaudit/tests/laptop"
)

// stack is the running laptop cloud.
var stack *checkout

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
	defer stack.Remove()
	if err := stack.start(); err != nil {
		return fatal(err)
	}
	code := m.Run()
	log := stack.checkLog(flag.Lookup("test.run").Value.String() == "")
	stack.Stop()
	if err := errors.Join(log, stack.searchLogs(), documented.err()); err != nil {
		return fatal(err)
	}
	return code
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// checkout is a folder made of links to the project.
type checkout struct {
	laptop.Laptop
	kept bytes.Buffer // the logs of earlier starts
}

func prepare(group *process.Group) (*checkout, error) {
	source, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plaudit-e2e")
	if err != nil {
		return nil, err
	}
	l := &checkout{Laptop: laptop.Laptop{Root: root, Group: group}}
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "template.yaml", "samconfig.toml", "functions", "services", "shared", "events"} {
		if err := os.Symlink(filepath.Join(source, name), filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return l, l.Build(source)
}

// start starts the stack, which begins a new log file. It keeps the previous log
// and the output, because they are searched for secrets.
func (l *checkout) start() error {
	before, _ := os.ReadFile(l.File("laptop.log")) // missing at the first start
	l.kept.Write(append(before, l.Log.Bytes()...))
	l.Log.Reset()
	return l.Start(os.Environ())
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// json returns a value of the answer's body, found by names and indices.
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
		t.Fatalf("%s %s with %.200s: %v after %d %v %q", method, path, body, err, a.status, a.header, a.body)
	}
	return a
}

func try(method, path, token, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, stack.Info.URL+path, strings.NewReader(body))
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
	body, _ := json.Marshal(stack.Info.Admin)
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

// alive reports whether a process runs. A zombie does not.
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
