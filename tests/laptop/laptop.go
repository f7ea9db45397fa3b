// Package laptop runs the programs of `make run` for tests, in a folder of its own.
package laptop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"plaudit/local/process"
)

// Laptop is a laptop cloud.
type Laptop struct {
	Root  string // the folder, which holds the project
	Group *process.Group
	Proc  *process.Process // of the last start
	Log   Output           // its output
	Info  Info             // of the last start
}

// Output is what a process prints, which may be read while it runs.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// Bytes returns a copy of what has been printed so far.
func (o *Output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

func (o *Output) String() string { return string(o.Bytes()) }

// Reset forgets what has been printed.
func (o *Output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// Info is .local/run.json.
type Info struct {
	URL, AWS  string
	Inbox     string
	Admin     Account
	Databases map[string]struct {
		URL string
		PID int
	}
	PIDs map[string]int
}

// Account is the body of POST /v1/sessions.
type Account struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// File returns the path of a file in .local.
func (l *Laptop) File(name string) string { return filepath.Join(l.Root, ".local", name) }

// Program returns the path of a program that Build has built.
func (l *Laptop) Program(name string) string { return filepath.Join(l.Root, ".local", "bin", name) }

// Build builds the programs of `make run` from the sources in a folder.
func (l *Laptop) Build(source string) error {
	if err := os.MkdirAll(l.File("bin"), 0o755); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", l.File("bin")+"/", "./cmd/plaudit", "./local")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// Start starts it on free ports and waits for its run.json, which it writes once
// it is ready.
func (l *Laptop) Start(env []string, args ...string) error {
	var err error
	l.Proc, err = l.Group.Start(process.Spec{
		Name: "laptop", Path: l.Program("local"), Args: append([]string{"-http-port", "0", "-aws-port", "0", "-inbox-port", "0"}, args...),
		Dir: l.Root, Env: env, Stdout: &l.Log, Stderr: &l.Log,
	})
	if err != nil {
		return err
	}
	deadline := time.After(15 * time.Minute) // it builds with a cold cache, perhaps
	for {
		text, err := os.ReadFile(l.File("run.json"))
		if err == nil {
			l.Info = Info{}
			if err := json.Unmarshal(text, &l.Info); err != nil {
				return fmt.Errorf("run.json: %w", err)
			}
			if l.Info.PIDs["laptop"] == l.Proc.PID() {
				return nil
			}
		}
		select {
		case <-l.Proc.Done():
			return fmt.Errorf("the laptop cloud ended (%v):\n%s", l.Proc.Err(), l.Log.String())
		case <-deadline:
			return errors.New("the laptop cloud is not ready after 15 minutes:\n" + l.Log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends it as Ctrl-C does.
func (l *Laptop) Stop() {
	if err := l.Proc.Stop(30 * time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "laptop: stop:", err)
	}
}

// Remove deletes the databases and the folder.
func (l *Laptop) Remove() {
	clean := exec.Command(l.Program("local"), "-clean")
	clean.Dir = l.Root
	if out, err := clean.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "laptop: clean: %v\n%s", err, out)
	}
	os.RemoveAll(l.Root)
}
