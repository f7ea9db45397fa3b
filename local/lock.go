package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock makes sure that only one laptop cloud runs in a folder. The lock ends with
// this program, however it ends.
func lock(folder string) (*os.File, error) {
	path := filepath.Join(folder, "lock")
	f, err := lockFile(path)
	if err == nil {
		err = f.Truncate(0)
		if err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		return f, err
	}
	if !errors.Is(err, errLocked) {
		return nil, err
	}
	pid, _ := os.ReadFile(path)
	var run struct {
		URL string `json:"url"`
	}
	if content, err := os.ReadFile(filepath.Join(folder, runFileName)); err != nil || json.Unmarshal(content, &run) != nil || run.URL == "" {
		run.URL = "still starting or stopping"
	}
	number := strings.TrimSpace(string(pid))
	return nil, fmt.Errorf("a laptop cloud already runs in this folder: %s, process %s; stop it with Ctrl-C there, or with `kill %s`", run.URL, number, number)
}

var errLocked = errors.New("another process has locked it")

// lockFile makes a file and its folder, and locks the file until it is closed.
// It returns errLocked if another process has the lock.
func lockFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
