package ministack

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"plaudit/local/process"
)

//go:embed requirements.txt
var requirements []byte

// Version is the version that requirements.txt pins.
var Version = string(regexp.MustCompile(`(?m)^ministack==([^ ]+)`).FindSubmatch(requirements)[1])

// pythons are the names under which Python may be installed. macOS's own
// python3 is older than MiniStack takes; preflight.sh has the same list.
var pythons = []string{"python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"}

// Install makes sure that folder/venv holds what requirements.txt pins, and
// returns its Python. It installs only if the requirements have changed, or if
// an earlier installation was interrupted or no longer works; before it does, it
// calls say once. Several programs may call it for one folder at a time.
func Install(ctx context.Context, group *process.Group, folder string, say func(text string)) (python string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	held, err := lock(ctx, filepath.Join(folder, "install.lock"), installLimit, nil)
	if err != nil {
		return "", fmt.Errorf("another program has been installing the engine in %s for too long: %w", folder, err)
	}
	defer held.Close()

	venv := filepath.Join(folder, "venv")
	python = filepath.Join(venv, "bin", "python")
	marker := filepath.Join(venv, ".requirements")
	sum := sha256.Sum256(requirements)
	want := hex.EncodeToString(sum[:])
	if found, err := os.ReadFile(marker); err == nil && string(found) == want && installed(ctx, group, python) == nil {
		return python, nil
	}

	system, err := findPython(ctx, group)
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("installing the engine of DynamoDB, S3 and SQS (MiniStack %s) into %s, once", Version, venv)
	say(what)
	stop := patiently(what, say)
	defer stop()
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	if err := run(ctx, group, os.Environ(), system, "-I", "-m", "venv", venv); err != nil {
		return "", fmt.Errorf("make a virtual environment of Python for the engine: %w\nIf Python's venv is missing: sudo apt-get install python3-venv (Debian, Ubuntu)%s", err, otherEngine)
	}
	list := filepath.Join(venv, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return "", err
	}
	// Wheels only: nothing that is downloaded runs code while it is installed.
	err = run(ctx, group, os.Environ(), python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
		"--require-hashes", "--only-binary", ":all:", "-r", list)
	if err != nil {
		return "", fmt.Errorf("install the engine (MiniStack %s): %w\nThe first run needs a network, or a pip that is configured for a mirror or a folder of wheels; later runs do not%s", Version, err, otherEngine)
	}
	if err := installed(ctx, group, python); err != nil {
		return "", fmt.Errorf("the engine is installed in %s and does not work: %w", venv, err)
	}
	// Last, so that an interrupted installation has no marker.
	return python, os.WriteFile(marker, []byte(want), 0o644)
}

// patiently says now and then how long an installation has been running, until
// stop is called.
func patiently(what string, say func(text string)) (stop func()) {
	began := time.Now()
	ticker := time.NewTicker(15 * time.Second)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				say(fmt.Sprintf("%s: %.0f s so far", what, time.Since(began).Seconds()))
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

const (
	installLimit = 10 * time.Minute
	otherEngine  = ". To use another engine of the same protocols instead: make run ARGS=\"-aws-endpoint URL\""
)

// findPython returns a Python that MiniStack runs with.
func findPython(ctx context.Context, group *process.Group) (string, error) {
	for _, name := range pythons {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if run(ctx, group, os.Environ(), path, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 10))") == nil {
			return path, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	return "", errors.New("the engine of DynamoDB, S3 and SQS needs Python 3.10 or later with venv: sudo apt-get install python3 python3-venv (Debian, Ubuntu), or brew install python3" + otherEngine)
}

// installed returns an error if the virtual environment does not hold the
// pinned version. A Python that was upgraded or removed breaks it.
func installed(ctx context.Context, group *process.Group, python string) error {
	const script = "import sys, hypercorn, ministack, importlib.metadata as m; v = m.version('ministack'); sys.exit(v != sys.argv[1] and 'its version is ' + v)"
	return run(ctx, group, nil, python, "-I", "-c", script, Version)
}

// run runs a program to its end. Its error ends with the last lines that the
// program printed.
func run(ctx context.Context, group *process.Group, env []string, path string, args ...string) error {
	var out bytes.Buffer
	err := group.Run(ctx, process.Spec{Name: filepath.Base(path), Path: path, Args: args, Env: env, Stdout: &out, Stderr: &out})
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if text := strings.Join(lines[max(0, len(lines)-5):], "\n"); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// lock takes the lock of a file and waits for it as long as limit. It calls wait,
// if that is not nil, when it has to wait. Closing the file ends the lock, unless
// a child has the file open too.
func lock(ctx context.Context, path string, limit time.Duration, wait func()) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(limit); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(end) {
			f.Close()
			return nil, errLocked
		}
		if wait != nil {
			wait()
			wait = nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var errLocked = errors.New("another program holds its lock")
