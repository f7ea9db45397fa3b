package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rewrite replaces text in a file of the project.
func rewrite(t *testing.T, file, old, new string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(content), old) {
		t.Fatalf("%s does not hold %q, %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWatchReplacesWhatContainsTheFile(t *testing.T) {
	dir := project(t)
	l := begin(t, dir, "-watch")
	l.ready(t)
	function, service := filepath.Join(dir, "functions", "hello", "main.go"), filepath.Join(dir, "services", "web", "main.go")
	says := func(path, want string) func() error {
		return func() error {
			a, err := l.get(path)
			if err == nil && !slices.Contains(a.Env, want) {
				err = errors.New("the program of before answers")
			}
			return err
		}
	}
	web, err := l.get("/")
	if err != nil {
		t.Fatal(err)
	}

	rewrite(t, function, "os.Environ()", `append(os.Environ(), "EDITED=1")`)
	eventually(t, "after a change of the function", says("/hello/world", "EDITED=1"))
	if now, err := l.get("/"); err != nil || now.PID != web.PID {
		t.Errorf("the service, which does not contain it, was replaced: %d, then %d, %v", web.PID, now.PID, err)
	}

	rewrite(t, service, "os.Environ()", `append(os.Environ(), "EDITED=2")`)
	eventually(t, "after a change of the service", says("/", "EDITED=2"))
	l.read(t)
	if now, err := l.get("/"); err != nil || now.PID == web.PID || l.run.PIDs["web"] != now.PID {
		t.Errorf("pid %d before, %d now, %d in run.json, %v", web.PID, now.PID, l.run.PIDs["web"], err)
	}

	// A compiler's error is reported, and the previous program keeps running.
	rewrite(t, function, "EDITED=1", `EDITED=3", nonsense, "`)
	eventually(t, "after a mistake", func() error {
		if !strings.Contains(l.out.String(), "undefined: nonsense") {
			return fmt.Errorf("the compiler's message is not shown: %s", l.out)
		}
		return says("/hello/world", "EDITED=1")()
	})
	rewrite(t, function, `", nonsense, "`, "")
	eventually(t, "after mending it", says("/hello/world", "EDITED=3"))
}
