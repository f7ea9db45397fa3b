package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"plaudit/local/process"
)

// buildAll compiles the Go programs of all parts.
func (c *cloud) buildAll(ctx context.Context) error {
	began := time.Now()
	var all, counts, kinds []string
	for _, p := range c.parts.programRunners() {
		kind, packages := p.Programs()
		all = append(all, packages...)
		counts = append(counts, fmt.Sprintf("%s %d", kind, len(packages)))
		kinds = append(kinds, kind)
	}
	defer c.screen.patiently(fmt.Sprintf("building %d %s", len(all), strings.Join(kinds, " and ")))()
	err := c.build(ctx, all)
	if err == nil {
		c.screen.line("build", strings.Join(counts, ", "), time.Since(began))
	}
	return err
}

// build compiles Go programs with one go build. The flags are those for Lambda,
// the processor is this machine's.
func (c *cloud) build(ctx context.Context, packages []string) error {
	names := map[string]string{}
	for _, pkg := range packages {
		name := path.Base(pkg)
		if other, ok := names[name]; ok && other != pkg {
			return fmt.Errorf("%s and %s have the same name, so their programs would be one file", other, pkg)
		}
		if info, err := os.Stat(filepath.Join(c.root, pkg)); err != nil || !info.IsDir() {
			return fmt.Errorf("the template names the folder %s, which does not exist", pkg)
		}
		names[name] = pkg
	}
	if len(names) == 0 {
		return nil
	}
	folder := c.programs()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", folder + string(filepath.Separator)}
	for _, pkg := range names {
		args = append(args, pkg)
	}
	var out bytes.Buffer
	err = c.group.Run(ctx, process.Spec{
		Name: "go build", Path: compiler, Args: args, Dir: c.root,
		// The compiler and the linker end before garbage collection pays off.
		Env:    append(os.Environ(), "CGO_ENABLED=0", "GOGC=off"),
		Stdout: &out, Stderr: &out,
	})
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// programs returns the folder of the programs that build makes.
func (c *cloud) programs() string { return filepath.Join(c.folder, "bin", "stack") }
