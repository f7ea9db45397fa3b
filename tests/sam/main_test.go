// Package sam tests what a developer does with the real AWS SAM CLI: it
// validates and builds the template, and invokes every sample event in a
// container with the databases of a running laptop cloud.
package sam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"plaudit/local/process"
)

var (
	containers *engine // nil: left out
	leftOut    string  // why
	laptop     *checkout
)

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	group, err := process.NewGroup()
	if err != nil {
		return fatal(err)
	}
	defer group.Close()
	containers, err = findEngine(group)
	switch {
	case err == nil:
		defer containers.remove()
	case os.Getenv("CI") != "":
		return fatal(err)
	default:
		leftOut = "LEFT OUT: sam local invoke and the users image are not tested, because " + err.Error()
		fmt.Fprintln(os.Stderr, "sam:", leftOut)
	}
	laptop, err = prepare(group)
	if err != nil {
		return fatal(err)
	}
	defer laptop.remove()
	if err := laptop.start(); err != nil {
		return fatal(err)
	}
	defer laptop.stop()
	if containers != nil {
		if err := containers.baseImage("public.ecr.aws/lambda/provided:al2023-" + architecture()); err != nil {
			return fatal(err)
		}
		if err := laptop.build(); err != nil {
			return fatal(err)
		}
	}
	return m.Run()
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, "sam:", err)
	return 1
}

// needsEngine leaves a test out where there is no engine, which is a failure
// in CI.
func needsEngine(t *testing.T) {
	t.Helper()
	if containers == nil {
		t.Skip(leftOut)
	}
}

// architecture is this machine's, in the words of the template.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// onThisMachine are the arguments by which sam builds and invokes for another
// processor than that of samconfig.toml.
func onThisMachine() []string {
	if architecture() == "arm64" {
		return []string{"--parameter-overrides", "Architecture=arm64"}
	}
	return nil
}

// checkout is a copy of the project in a folder of its own, where `make run`
// runs.
type checkout struct {
	root, sam string
	group     *process.Group
	proc      *process.Process
	log       bytes.Buffer
	info      struct {
		URL       string
		Admin     struct{ Email, Password string }
		Databases map[string]struct{ URL string }
		PIDs      map[string]int
	}
}

// prepare copies the sources, as a fresh clone has them, and builds what `make
// run` builds.
func prepare(group *process.Group) (*checkout, error) {
	source, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plaudit-sam")
	if err != nil {
		return nil, err
	}
	c := &checkout{root: root, sam: filepath.Join(source, ".local", "venv", "bin", "sam"), group: group}
	if _, err := os.Stat(c.sam); err != nil {
		return c, fmt.Errorf("the AWS SAM CLI is not there; `make tools` installs it: %w", err)
	}
	for _, folder := range []string{"cmd", "docs", "events", "functions", "local", "services", "shared"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join(source, folder))); err != nil {
			return c, err
		}
	}
	for _, file := range []string{".dockerignore", "Makefile", "README.md", "go.mod", "go.sum", "samconfig.toml", "template.yaml"} {
		text, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return c, err
		}
		if err := os.WriteFile(filepath.Join(root, file), text, 0o644); err != nil {
			return c, err
		}
	}
	bin := filepath.Join(root, ".local", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return c, err
	}
	_, err = c.output(exec.Command("go", "build", "-o", bin+"/", "./cmd/plaudit", "./local"))
	return c, err
}

// output runs a command in the checkout and gives its standard output. An
// error has the end of what it said.
func (c *checkout) output(cmd *exec.Cmd) ([]byte, error) {
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = c.root, &said
	if cmd.Env == nil {
		cmd.Env = containers.environment()
	}
	// make sam finds the pinned one.
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(c.sam)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		text := said.Bytes()
		return out, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text[max(0, len(text)-2000):])
	}
	return out, nil
}

// start starts the laptop cloud and waits until it is ready.
func (c *checkout) start() error {
	args := []string{"-http-port", "0", "-aws-port", "0"}
	if containers != nil {
		args = append(args, "-hosts", "docker")
	}
	var err error
	c.proc, err = c.group.Start(process.Spec{
		Name: "laptop", Path: filepath.Join(c.root, ".local", "bin", "local"), Args: args,
		Dir: c.root, Env: containers.environment(), Stdout: &c.log, Stderr: &c.log,
	})
	if err != nil {
		return err
	}
	deadline := time.After(3 * time.Minute) // builds with a cold cache
	for {
		text, err := os.ReadFile(filepath.Join(c.root, ".local", "run.json"))
		if err == nil {
			return json.Unmarshal(text, &c.info)
		}
		select {
		case <-c.proc.Done():
			return fmt.Errorf("the laptop cloud ended (%w):\n%s", c.proc.Err(), c.log.String())
		case <-deadline:
			return errors.New("the laptop cloud is not ready after 3 minutes:\n" + c.log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *checkout) build() error {
	_, err := c.output(exec.Command("make", "sam", "ARGS="+strings.Join(onThisMachine(), " ")))
	return err
}

func (c *checkout) stop() {
	if err := c.proc.Stop(30 * time.Second); err != nil {
		fmt.Fprintln(os.Stderr, "sam: stop:", err)
	}
	if _, err := os.Stat(filepath.Join(c.root, ".local", "sam-env.json")); !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "sam: sam-env.json after the end:", err)
	}
}

// remove deletes the databases and the folder.
func (c *checkout) remove() {
	clean := exec.Command(filepath.Join(c.root, ".local", "bin", "local"), "-clean")
	if _, err := c.output(clean); err != nil {
		fmt.Fprintln(os.Stderr, "sam: clean:", err)
	}
	os.RemoveAll(c.root)
}

func read(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
