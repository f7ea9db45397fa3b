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

	"plaudit/local/process"
)

// build compiles the Go programs of functions and services with one go build,
// and returns the file of each package. The flags are those for Lambda, the
// processor is this machine's.
func (c *cloud) build(ctx context.Context, packages []string) (map[string]string, error) {
	folder := c.programs()
	files, names := map[string]string{}, map[string]string{}
	for _, pkg := range packages {
		name := path.Base(pkg)
		if other, ok := names[name]; ok && other != pkg {
			return nil, fmt.Errorf("%s and %s have the same name, so their programs would be one file", other, pkg)
		}
		if info, err := os.Stat(filepath.Join(c.root, pkg)); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("the template names the folder %s, which does not exist", pkg)
		}
		names[name] = pkg
		files[pkg] = filepath.Join(folder, name)
	}
	if len(files) == 0 {
		return files, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(out.String()))
	}
	return files, nil
}

// programs returns the folder of the programs that build makes.
func (c *cloud) programs() string { return filepath.Join(c.folder, "bin", "stack") }
