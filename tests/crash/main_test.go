// Package crash tests that the audit log is complete whatever happens to the processes.
// It runs the programs of `make run` in a folder of their own, in a build in which a
// process kills itself at a point of package shared/crash that a test has chosen.
//
// Every test puts load on the system, does some harm, and then compares sets: what
// clients were told, what the databases have, what the log and its index have, and what
// its consumer saw. The load repeats what fails, as docs/guide.md tells clients to. No
// test passes or fails by time: a limit only keeps one from hanging.
package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plaudit/local/ministack/enginetest"
	"plaudit/local/process"
	"plaudit/tests/laptop"
)

// stack is the running laptop cloud.
var stack *checkout

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	group, err := process.NewGroup()
	if err == nil {
		defer group.Close()
		stack, err = prepare(group)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		return 1
	}
	defer stack.Remove()
	defer stack.stop()
	return m.Run()
}

// checkout is a folder made of links to the project, in which the laptop cloud runs.
type checkout struct {
	laptop.Laptop
	url     atomic.Pointer[string] // of the load balancer
	started bool
	args    []string
}

func prepare(group *process.Group) (*checkout, error) {
	source, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "plaudit-crash")
	if err != nil {
		return nil, err
	}
	c := &checkout{Laptop: laptop.Laptop{Root: root, Group: group}, args: []string{"-http-port", "0", "-aws-port", "0", "-inbox-port", "0"}}
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "template.yaml", "samconfig.toml", "functions", "services", "shared", "events"} {
		if err := os.Symlink(filepath.Join(source, name), filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return c, errors.Join(c.Build(source), c.overlay())
}

// overlay writes the files with which the compiler replaces shared/crash/crash.go.
func (c *checkout) overlay() error {
	text, err := os.ReadFile("testdata/crash.go.txt")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file("crash.go"), []byte(strings.Replace(string(text), "FOLDER", c.file(""), 1)), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(c.Root, "shared/crash/crash.go"): c.file("crash.go")}})
	if err != nil {
		return err
	}
	return os.WriteFile(c.file("overlay.json"), overlay, 0o600)
}

// file returns the path of a file in a folder that the killing processes know.
func (c *checkout) file(name string) string {
	folder := c.File("crash")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		panic(err)
	}
	return filepath.Join(folder, name)
}

// start starts the laptop cloud with further flags. After the first start it has the
// same addresses.
func (c *checkout) start(t *testing.T, flags ...string) {
	t.Helper()
	c.Log.Reset()
	env := append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+c.file("overlay.json")))
	if err := c.Start(env, append(c.args[:len(c.args):len(c.args)], flags...)...); err != nil {
		t.Fatal(err)
	}
	url := c.Info.URL
	c.url.Store(&url)
	c.args = []string{"-http-port", port(url), "-aws-port", port(c.Info.AWS)}
	c.started = true
}

// stop ends the laptop cloud as Ctrl-C does.
func (c *checkout) stop() {
	if c.started {
		c.Stop()
	}
	c.started = false
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// running returns the laptop cloud, which it starts for the first test.
func running(t *testing.T) *checkout {
	t.Helper()
	if !stack.started {
		// The engine is installed once a checkout.
		if err := os.Symlink(enginetest.Folder(t), stack.File("ministack")); err != nil {
			t.Fatal(err)
		}
		stack.start(t)
	}
	return stack
}

// gone waits until no process of the laptop cloud is left.
func (c *checkout) gone(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		for _, pid := range append(processes(c.Root), c.Info.Databases["users"].PID, c.Info.Databases["scores"].PID) {
			if alive(pid) {
				return fmt.Errorf("process %d is alive", pid)
			}
		}
		return nil
	})
}

// processes returns the ids of the processes whose command line contains a text.
func processes(text string) (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range found {
		line, _ := os.ReadFile(file) // it may have ended meanwhile
		var pid int
		fmt.Sscan(strings.Split(file, "/")[2], &pid)
		if strings.Contains(string(line), text) && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive reports whether a process runs. A zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// limit only keeps a test from hanging. The longest that anything here may take is a
// minute, until the relay's schedule finds what crashes have left.
const limit = 4 * time.Minute

// eventually waits until ok returns nil.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	if err := wait(ok); err != nil {
		t.Fatal(err)
	}
}

func wait(ok func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
	}
}
