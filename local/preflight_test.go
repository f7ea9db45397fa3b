package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// On a machine with the given programs only, which are scripts.
func runPreflight(t *testing.T, programs map[string]string, args ...string) (said string, code int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "dirname", "sed", "sort", "head", "ls"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("./preflight.sh", args...)
	cmd.Env = []string{"PATH=" + dir}
	out, _ := cmd.CombinedOutput() // the exit code is returned
	return string(out), cmd.ProcessState.ExitCode()
}

func TestPreflightListsMissingToolsOnly(t *testing.T) {
	const (
		goRuns     = "case $2 in GOVERSION) echo go99.0 ;; CC) echo gcc ;; CGO_ENABLED) echo 1 ;; esac"
		oldGo      = "echo go1.19.8"
		brokenGo   = "echo 'go: toolchain not available' >&2; exit 1"
		debian12   = "echo golang-go:; echo '  Candidate: 2:1.19~1'"
		debian13   = "echo golang-go:; echo '  Candidate: 2:1.24~2'"
		noPackage  = "echo golang-go:; echo '  Candidate: (none)'"
		oldPython  = "exit 1"
		everything = "initdb git python3 gcc"
	)
	with := func(programs map[string]string, more string) map[string]string {
		for name := range strings.FieldsSeq(more) {
			if _, ok := programs[name]; !ok {
				programs[name] = "exit 0"
			}
		}
		return programs
	}
	for _, c := range []struct {
		name     string
		programs map[string]string
		lacks    []string
		help     string
	}{
		{"everything", with(map[string]string{"go": goRuns}, everything), nil, ""},
		{"a bare machine", with(map[string]string{}, "initdb"), []string{"Go 1.", "Python 3.10", "git", "a C compiler"}, "https://go.dev/dl"},
		{"no Go, on Debian 12", with(map[string]string{"apt-cache": debian12}, everything), []string{"Go 1."}, "https://go.dev/dl (the package golang-go is Go 1.19 here"},
		{"no Go, on Debian 13", with(map[string]string{"apt-cache": debian13}, everything), []string{"Go 1."}, "sudo apt-get install golang-go (Go 1.24 here"},
		{"no Go, and no package", with(map[string]string{"apt-cache": noPackage}, everything), []string{"Go 1."}, "if that is Go 1.21 or later"},
		{"a Go that is too old", with(map[string]string{"go": oldGo}, everything), []string{"Go 1."}, "https://go.dev/dl"},
		{"a Go that cannot download", with(map[string]string{"go": brokenGo}, everything), []string{"Go 1."}, "go: toolchain not available"},
		{"no C compiler", with(map[string]string{"go": goRuns}, "initdb git python3"), []string{"a C compiler (gcc)"}, "apt-get install gcc"},
		{"an old Python", with(map[string]string{"go": goRuns, "python3": oldPython}, everything), []string{"Python 3.10"}, "python3-venv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, code := runPreflight(t, c.programs, "test")
			if (code == 0) != (len(c.lacks) == 0) || len(c.lacks) == 0 && said != "" {
				t.Errorf("exit code %d: %s", code, said)
			}
			var lacks []string
			for line := range strings.Lines(said) {
				if what, ok := strings.CutPrefix(line, "  - "); ok {
					lacks = append(lacks, what)
				}
			}
			if len(lacks) != len(c.lacks) {
				t.Fatalf("it lists %q, want %q", lacks, c.lacks)
			}
			for i, want := range c.lacks {
				if !strings.HasPrefix(lacks[i], want) {
					t.Errorf("it lists %q, want %q", lacks, c.lacks)
				}
			}
			if !strings.Contains(said, c.help) {
				t.Errorf("it does not say %q: %s", c.help, said)
			}
		})
	}
}

// The engine needs Python under any of its names, unless another engine runs.
func TestPreflightOfRunLooksForPython(t *testing.T) {
	machine := map[string]string{"go": "echo go99.0", "initdb": "exit 0", "python3": "exit 1"}
	const lacks = "Python 3.10 or later with venv, for the engine"
	if said, code := runPreflight(t, machine, "run"); code != 1 || !strings.Contains(said, lacks) || !strings.Contains(said, "python3-venv") {
		t.Errorf("an old Python: exit code %d: %s", code, said)
	}
	if said, code := runPreflight(t, machine, "run", "-verbose", "-aws-endpoint", "http://127.0.0.1:8000"); code != 0 {
		t.Errorf("another engine: exit code %d: %s", code, said)
	}
	machine["python3.12"] = "exit 0"
	if said, code := runPreflight(t, machine, "run"); code != 0 {
		t.Errorf("another name: exit code %d: %s", code, said)
	}
}
