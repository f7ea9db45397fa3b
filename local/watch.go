package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the folders must be quiet before a build: an editor writes
// a file in several steps, and a change of branch changes many files.
const settle = 50 * time.Millisecond

// watcher rebuilds and replaces the programs that contain a changed
// Go file. Everything else keeps running.
type watcher struct {
	cloud   *cloud
	restart map[string]func()          // by package: starts its new program
	folders map[string]map[string]bool // by package: the folders of this module that it is built from
	notify  *fsnotify.Watcher
}

// watch begins to watch; it ends with ctx.
func (c *cloud) watch(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the Go files: %w", err)
	}
	w := &watcher{cloud: c, restart: map[string]func(){}, folders: map[string]map[string]bool{}, notify: notify}
	for _, p := range c.parts.programRunners() {
		_, packages := p.Programs()
		for _, pkg := range packages {
			w.restart[pkg] = func() { p.Replace(pkg) }
		}
	}
	if err := w.look(ctx); err != nil {
		notify.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	c.onStop(func() {
		cancel()
		notify.Close()
		<-done
	})
	return nil
}

// look finds the folders that each package is built from, and watches them.
func (w *watcher) look(ctx context.Context) error {
	for pkg := range w.restart {
		folders, err := w.cloud.sources(ctx, pkg)
		if err != nil {
			return err
		}
		w.folders[pkg] = folders
		for folder := range folders {
			if err := w.notify.Add(folder); err != nil {
				return fmt.Errorf("watch %s: %w", folder, err)
			}
		}
	}
	return nil
}

// sources returns the folders below the root whose files are in the package's
// program, embedded files included.
func (c *cloud) sources(ctx context.Context, pkg string) (map[string]bool, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Standard,EmbedFiles", pkg)
	list.Dir = c.root
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", pkg, err, strings.TrimSpace(stderr.String()))
	}
	root, err := filepath.EvalSymlinks(c.root)
	if err != nil {
		return nil, err
	}
	folders := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir        string
			Standard   bool
			EmbedFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return folders, nil
		} else if err != nil {
			return nil, err
		}
		if below, err := filepath.Rel(root, p.Dir); p.Standard || err != nil || !filepath.IsLocal(below) {
			continue
		}
		folders[p.Dir] = true
		for _, f := range p.EmbedFiles {
			folders[filepath.Dir(filepath.Join(p.Dir, f))] = true
		}
	}
}

func (w *watcher) run(ctx context.Context) {
	changed := map[string]bool{} // folders
	quiet := time.NewTimer(time.Hour)
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			name := filepath.Base(e.Name)
			if e.Op == fsnotify.Chmod || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
				continue
			}
			changed[filepath.Dir(e.Name)] = true
			quiet.Reset(settle)
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			w.cloud.log.Error("changes may have been missed; save a file again", "error", err)
		case <-quiet.C:
			// After a failure, the next change builds these folders again.
			if w.rebuild(ctx, changed) {
				changed = map[string]bool{}
			}
		}
	}
}

// rebuild builds and replaces the packages that contain the folders. It returns
// false if the build fails; the old programs then keep running.
func (w *watcher) rebuild(ctx context.Context, changed map[string]bool) bool {
	began := time.Now()
	var packages, names []string
	for pkg, folders := range w.folders {
		for folder := range changed {
			if folders[folder] {
				packages, names = append(packages, pkg), append(names, path.Base(pkg))
				break
			}
		}
	}
	if len(packages) == 0 {
		return true
	}
	if err := w.cloud.build(ctx, packages); err != nil {
		if ctx.Err() == nil {
			w.cloud.screen.say("%v", err)
		}
		return false
	}
	for _, pkg := range packages {
		w.restart[pkg]()
	}
	slices.Sort(names)
	w.cloud.screen.line("rebuilt", strings.Join(names, ", "), time.Since(began))
	// The change may have added imports.
	if err := w.look(ctx); err != nil && ctx.Err() == nil {
		w.cloud.log.Warn("new imports are not watched", "error", err)
	}
	return true
}
