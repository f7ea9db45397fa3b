// Package sam runs a developer's commands with the real AWS SAM CLI: it
// validates and builds the template, and invokes every sample event in a
// container with the databases of a running laptop cloud.
package sam

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"plaudit/local/process"
	"plaudit/tests/laptop"
)

var (
	containers *engine // nil: the tests that need one are skipped
	leftOut    string  // the reason
	stack      *checkout
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
	stack, err = prepare(group)
	if err != nil {
		return fatal(err)
	}
	defer stack.Remove()
	if err := stack.start(); err != nil {
		return fatal(err)
	}
	defer stack.stop()
	if err := stack.build(); err != nil {
		return fatal(err)
	}
	if containers != nil {
		if err := containers.baseImage("public.ecr.aws/lambda/provided:al2023-" + architecture()); err != nil {
			return fatal(err)
		}
	}
	return m.Run()
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, "sam:", err)
	return 1
}

// needsEngine skips a test on a machine without a container engine. In CI the
// missing engine has failed the whole package.
func needsEngine(t *testing.T) {
	t.Helper()
	if containers == nil {
		t.Skip(leftOut)
	}
}

// architecture returns this machine's processor as the template names it.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// onThisMachine returns the arguments that make sam build and invoke for this
// machine's processor if it is not the one of samconfig.toml.
func onThisMachine() []string {
	if architecture() == "arm64" {
		return []string{"--parameter-overrides", "Architecture=arm64"}
	}
	return nil
}

// checkout is a copy of the project in a folder of its own, where `make run`
// runs.
type checkout struct {
	laptop.Laptop
	sam string
}

// prepare copies the sources as a fresh clone has them, and builds the programs
// that `make run` builds.
func prepare(group *process.Group) (*checkout, error) {
	source, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plaudit-sam")
	if err != nil {
		return nil, err
	}
	c := &checkout{
		Laptop: laptop.Laptop{Root: root, Group: group},
		sam:    filepath.Join(source, ".local", "venv", "bin", "sam"),
	}
	if _, err := os.Stat(c.sam); err != nil {
		return c, fmt.Errorf("the AWS SAM CLI is not installed; run `make tools`: %w", err)
	}
	for _, folder := range []string{"cmd", "docs", "events", "functions", "local", "services", "shared", "tools"} {
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
	return c, c.Build(root)
}

// output runs a command in the checkout and returns its standard output. An
// error ends with the command's standard error.
func (c *checkout) output(cmd *exec.Cmd) ([]byte, error) {
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = c.Root, &said
	if cmd.Env == nil {
		cmd.Env = containers.environment()
	}
	// `make` finds the pinned sam.
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(c.sam)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		text := said.Bytes()
		return out, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text[max(0, len(text)-2000):])
	}
	return out, nil
}

func (c *checkout) start() error {
	if containers == nil {
		return c.Start(containers.environment())
	}
	return c.Start(containers.environment(), "-hosts", "docker")
}

// build builds the functions by the command that a SAM user types first.
func (c *checkout) build() error {
	_, err := c.output(exec.Command(c.sam, append([]string{"build"}, onThisMachine()...)...))
	return err
}

func (c *checkout) stop() {
	c.Stop()
	if _, err := os.Stat(c.File("sam-env.json")); !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "sam: sam-env.json after the end:", err)
	}
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
