package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/template"
)

// program returns the path of a hook's program: a file in the folder, or a
// program in PATH.
func program(root string, argv []string) (string, error) {
	if !strings.ContainsRune(argv[0], '/') {
		return exec.LookPath(argv[0])
	}
	path := argv[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	return exec.LookPath(path)
}

// hook runs a program of the product and returns the JSON object that it prints.
// Its standard error is shown line by line.
func (c *cloud) hook(ctx context.Context, argv []string, env map[string]string, stdin []byte) (map[string]json.RawMessage, error) {
	name := strings.Join(argv, " ")
	path, err := program(c.root, argv)
	if err != nil {
		return nil, fmt.Errorf("hook %s: %w", name, err)
	}
	variables := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for key, value := range env {
		variables = append(variables, key+"="+value)
	}
	var out bytes.Buffer
	progress := &progress{}
	err = c.group.Run(ctx, process.Spec{
		Name: "hook " + name, Path: path, Args: argv[1:], Dir: c.root, Env: variables,
		Stdin: bytes.NewReader(stdin), Stdout: &out, Stderr: c.screen.output(" ", progress.line),
	})
	if err != nil {
		if last := progress.lastLine(); last != "" {
			return nil, fmt.Errorf("hook %s: %w: %s", name, err, last)
		}
		return nil, fmt.Errorf("hook %s: %w", name, err)
	}
	object := map[string]json.RawMessage{}
	decoder := json.NewDecoder(&out)
	// Its output may contain secrets, so errors do not show it.
	if err := decoder.Decode(&object); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("hook %s: its output is not a JSON object", name)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("hook %s: its output continues after the JSON object", name)
	}
	return object, nil
}

// progress lets every line be shown, and keeps the last one.
type progress struct {
	mu   sync.Mutex
	last string
}

func (p *progress) line(line []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := strings.TrimSpace(string(line)); text != "" {
		p.last = text
	}
	return true
}

func (p *progress) lastLine() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// parameters runs the hook `before` and returns the template parameters that it
// prints.
func (c *cloud) parameters(ctx context.Context) (map[string]string, error) {
	if len(c.config.Before) == 0 {
		return nil, nil
	}
	object, err := c.hook(ctx, c.config.Before, nil, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, raw := range object {
		var value any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("hook %s: parameter %s is not valid JSON", strings.Join(c.config.Before, " "), key)
		}
		switch v := value.(type) {
		case string:
			out[key] = v
		case json.Number, bool:
			out[key] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("hook %s: parameter %s must be text or a number", strings.Join(c.config.Before, " "), key)
		}
	}
	return out, nil
}

// setup runs the hook `after` with the stack's outputs, and adds its object to
// run.json.
func (c *cloud) setup(ctx context.Context) error {
	if len(c.config.After) == 0 {
		return nil
	}
	stdin, err := outputs(c.stack.Outputs)
	if err != nil {
		return err
	}
	env := part.AWSEnvironment(c.endpointURL)
	env["AWS_REGION"] = c.config.Region
	// The caller's own AWS profiles must not be used.
	env["AWS_CONFIG_FILE"], env["AWS_SHARED_CREDENTIALS_FILE"] = os.DevNull, os.DevNull
	object, err := c.hook(ctx, c.config.After, env, stdin)
	if err != nil {
		return err
	}
	return c.run.merge(object)
}

// outputs returns the outputs as `sam list stack-outputs --output json` prints
// them.
func outputs(in []template.Output) ([]byte, error) {
	type output struct{ OutputKey, OutputValue, Description string }
	out := []output{}
	for _, o := range in {
		out = append(out, output{o.Key, o.Value, o.Description})
	}
	return json.Marshal(out)
}
