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

// lock makes sure that one laptop cloud runs in a folder. It ends with this
// program, however that ends.
func lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = f.Truncate(0)
		if err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		return f, err
	}
	f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	pid, _ := os.ReadFile(path)
	var run struct {
		URL string `json:"url"`
	}
	if content, err := os.ReadFile(filepath.Join(folder, runFileName)); err != nil || json.Unmarshal(content, &run) != nil || run.URL == "" {
		run.URL = "which is still starting or stopping"
	}
	number := strings.TrimSpace(string(pid))
	return nil, fmt.Errorf("a laptop cloud already runs in this folder: %s, process %s; end it with Ctrl-C there or `kill %s`", run.URL, number, number)
}
