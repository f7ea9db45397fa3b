// Package boottest builds and runs a deployable's real program in a test, with
// the part of a Lambda Runtime API that it needs.
package boottest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the time after which a test fails because nothing happens.
const patience = 30 * time.Second

// Build compiles the main package in dir and returns the program's path.
func Build(t testing.TB, dir string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", bin, dir).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", dir, err, out)
	}
	return bin
}

// Process is a running program. It is killed when the test ends.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
	mu     sync.Mutex
	output []string
}

// Run starts the program with exactly these variables ("NAME=value").
func Run(t testing.TB, bin string, env ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.Command(bin), exited: make(chan struct{})}
	p.cmd.Env = append([]string{}, env...)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			p.mu.Lock()
			p.output = append(p.output, lines.Text())
			p.mu.Unlock()
		}
	}()
	go func() {
		p.cmd.Wait()
		w.Close()
		<-read
		close(p.exited)
	}()
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.exited })
	return p
}

// Output returns what the program has written so far, standard error included.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.output, "\n")
}

// Line waits for a line that is a JSON object with this message and returns it.
func (p *Process) Line(message string) map[string]any {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		done := p.ended()
		if found := p.Lines(message); len(found) > 0 {
			return found[0]
		}
		if done || time.Now().After(end) {
			p.t.Fatalf("no line with the message %q in:\n%s", message, p.Output())
		}
	}
}

// Lines returns the lines so far that are JSON objects with this message.
func (p *Process) Lines(message string) (found []map[string]any) {
	for line := range strings.SplitSeq(p.Output(), "\n") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

func (p *Process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Terminate sends SIGTERM.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the program at once, as a power failure does.
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.exited
}

// Wait waits for the program to end and returns its exit status.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("the program does not end:\n%s", p.Output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Runtime is a Lambda Runtime API for one process
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
type Runtime struct {
	// Env names the API to the process.
	Env       string
	t         testing.TB
	next      chan invoke
	answers   chan Answer
	initError chan string
	mu        sync.Mutex
	extension bool
	count     int
	deadline  time.Time // of the last invoke
}

type invoke struct {
	id, payload string
	deadline    time.Time
}

// Answer is a function's answer to an event.
type Answer struct {
	RequestID string
	Body      string
	Failed    bool // Body is the error's JSON
	Late      bool // Lambda would have killed the function before
}

// StartRuntime serves the API on a free port of the loopback address.
func StartRuntime(t testing.TB) *Runtime {
	a := &Runtime{t: t, next: make(chan invoke), answers: make(chan Answer, 1), initError: make(chan string, 1)}
	srv := httptest.NewServer(a)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	a.Env = "AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(srv.URL, "http://")
	return a
}

func (a *Runtime) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.Split(r.URL.Path, "/")
	switch last := path[len(path)-1]; {
	case strings.HasSuffix(r.URL.Path, "/extension/register"):
		a.mu.Lock()
		a.extension = true
		a.mu.Unlock()
		w.Header().Set("Lambda-Extension-Identifier", "b7d1c8a6")
		io.WriteString(w, "{}")
	case strings.HasSuffix(r.URL.Path, "/extension/event/next"):
		<-r.Context().Done() // nothing was subscribed to
	case last == "next":
		select {
		case i := <-a.next:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(i.deadline.UnixMilli()))
			io.WriteString(w, i.payload)
		case <-r.Context().Done():
		}
	case strings.HasSuffix(r.URL.Path, "/init/error"):
		a.initError <- string(body)
		w.WriteHeader(http.StatusAccepted)
	case last == "response" || last == "error":
		a.mu.Lock()
		late := !time.Now().Before(a.deadline)
		a.mu.Unlock()
		a.answers <- Answer{path[len(path)-2], string(body), last == "error", late}
		w.WriteHeader(http.StatusAccepted)
	default:
		http.NotFound(w, r)
	}
}

// Send passes an event to the function and returns the invoke's request id.
func (a *Runtime) Send(event string) string {
	a.t.Helper()
	return a.SendUntil(event, time.Now().Add(patience))
}

// SendUntil is Send with a deadline of the invoke's own.
func (a *Runtime) SendUntil(event string, deadline time.Time) string {
	a.t.Helper()
	a.mu.Lock()
	a.count++
	a.deadline = deadline.Truncate(time.Millisecond) // as the function reads it
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", a.count)
	a.mu.Unlock()
	select {
	case a.next <- invoke{id, event, deadline}:
	case <-time.After(patience):
		a.t.Fatal("the function does not ask for an event")
	}
	return id
}

// Answer waits for the function's answer.
func (a *Runtime) Answer() Answer {
	a.t.Helper()
	select {
	case answer := <-a.answers:
		return answer
	case <-time.After(patience):
		a.t.Fatal("the function does not answer")
		return Answer{}
	}
}

// InitError waits for the reason why the function cannot start, as JSON.
func (a *Runtime) InitError() string {
	a.t.Helper()
	select {
	case body := <-a.initError:
		return body
	case <-time.After(patience):
		a.t.Fatal("the function reports no failure of its init")
		return ""
	}
}

// WantsSIGTERM reports whether the function registered as an extension, which
// makes Lambda send SIGTERM.
func (a *Runtime) WantsSIGTERM() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.extension
}
