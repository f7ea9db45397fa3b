package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Guard()
	switch os.Getenv("PROCESS_TEST") {
	case "parent":
		parent()
	case "patient":
		patient()
	}
	os.Exit(m.Run())
}

const (
	obeys   = `echo up; exec sleep 600`
	ignores = `trap "" TERM; echo up; while :; do sleep 0.1; done`
)

// parent is a program to be killed: it starts children that share its standard
// output, so that the output ends when the last of them has ended.
func parent() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	g, err := NewGroup()
	fail(err)
	startChild := func(script string) {
		_, err := g.Start(Spec{Name: script, Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: os.Stdout})
		fail(err)
	}
	startChild(obeys)
	startChild(ignores)
	if os.Getenv("PROCESS_TEST_GUARD") == "killed" {
		first := g.guard
		fail(syscall.Kill(first.pid(), syscall.SIGKILL))
		<-first.done
		startChild(ignores)
		awaitNextGuard(g, first)
	} else {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			fail(syscall.Kill(g.guard.pid(), sig))
		}
		startChild(obeys)
	}
	fmt.Println("guard", g.guard.pid())
	select {}
}

// awaitNextGuard waits for the guard after a killed one. A test that kills the parent
// before it runs leaves the children without a guard.
func awaitNextGuard(g *Group, first *guard) {
	for {
		g.mu.Lock()
		next := g.guard
		g.mu.Unlock()
		if next != first {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNothingOutlivesAKilledParent(t *testing.T) {
	for _, guard := range []string{"signalled", "killed"} {
		t.Run("guard "+guard, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "PROCESS_TEST=parent", "PROCESS_TEST_GUARD="+guard)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()

			lines := bufio.NewReader(out)
			guardPID, up := 0, 0
			for guardPID == 0 || up < 3 {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("the parent did not start: %v", err)
				}
				switch _, err := fmt.Sscanf(line, "guard %d", &guardPID); {
				case err == nil:
				case line == "up\n":
					up++
				default:
					t.Fatalf("the parent says %q", line)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			gone := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, lines)
				gone <- err
			}()
			select {
			case err := <-gone:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Minute):
				_ = syscall.Kill(-guardPID, syscall.SIGKILL)
				t.Fatal("children still run a minute after their parent was killed")
			}
			// The guard shares no output, so the test looks for its process, which
			// its new parent may collect later.
			for end := time.Now().Add(time.Minute); alive(guardPID); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the guard still runs")
				}
			}
		})
	}
}

// patient is a program to be killed: its child takes longer to save than a guard
// usually waits, and a program must run before the child gets SIGTERM.
func patient() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	dir := os.Getenv("PROCESS_TEST_DIR")
	g, err := NewGroup()
	fail(err)
	g.Patient(30 * time.Second)
	g.BeforeEnd(&Command{
		Path: "/bin/sh", Args: []string{"-c", `echo "before, $WORD" >> events; echo said`},
		Env: []string{"PATH=" + os.Getenv("PATH"), "WORD=hello"}, Dir: dir, Limit: time.Minute, Log: filepath.Join(dir, "log"),
	})
	if os.Getenv("PROCESS_TEST_GUARD") == "killed" {
		first := g.guard
		fail(syscall.Kill(first.pid(), syscall.SIGKILL))
		awaitNextGuard(g, first)
	}
	_, err = g.Start(Spec{
		Name: "saves", Path: "/bin/sh", Dir: dir, Stdout: os.Stdout, Env: []string{"PATH=" + os.Getenv("PATH")},
		Args: []string{"-c", `trap 'echo term >> events; sleep 4; echo saved >> events; exit' TERM; echo up; while :; do sleep 0.05; done`},
	})
	fail(err)
	select {}
}

func TestAGuardRunsAProgramAndWaitsBeforeItKills(t *testing.T) {
	for _, guard := range []string{"", "killed"} {
		t.Run("guard "+guard, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "PROCESS_TEST=patient", "PROCESS_TEST_GUARD="+guard, "PROCESS_TEST_DIR="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "up\n" {
				t.Fatalf("the parent says %q, %v", line, err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			// The child shares the parent's output, which ends with it.
			if _, err := io.Copy(io.Discard, lines); err != nil {
				t.Fatal(err)
			}
			events, err := os.ReadFile(filepath.Join(dir, "events"))
			if err != nil || string(events) != "before, hello\nterm\nsaved\n" {
				t.Errorf("events %q, %v", events, err)
			}
			if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || string(log) != "said\n" {
				t.Errorf("the program's log has %q, %v", log, err)
			}
		})
	}
}

func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	out, _ := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	state := strings.TrimSpace(string(out))
	return state != "" && !strings.HasPrefix(state, "Z")
}

func newGroup(t *testing.T) *Group {
	t.Helper()
	g, err := NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// startScript starts a shell script and waits until it prints "up".
func startScript(t *testing.T, g *Group, name, script string) *Process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p, err := g.Start(Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: write})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(read).ReadString('\n'); line != "up\n" {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	return p
}

func TestHowAProcessEnded(t *testing.T) {
	g := newGroup(t)
	for script, want := range map[string]string{
		"exit 0":      "<nil>",
		"exit 3":      "exit status 3",
		"kill -9 $$":  "signal: killed",
		"kill -15 $$": "signal: terminated",
	} {
		p, err := g.Start(Spec{Name: script, Path: "/bin/sh", Args: []string{"-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if got := fmt.Sprint(p.Err()); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
		if err := p.Stop(time.Second); err != nil {
			t.Errorf("Stop of an ended process: %v", err)
		}
	}
}

func TestStop(t *testing.T) {
	g := newGroup(t)
	polite := startScript(t, g, "polite", obeys)
	if err := polite.Err(); err != nil {
		t.Errorf("a running process has ended: %v", err)
	}
	if err := polite.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(polite.Err()); got != "signal: terminated" {
		t.Errorf("polite ended by %s", got)
	}
	deaf := startScript(t, g, "deaf", ignores)
	if err := deaf.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "deaf (process ") {
		t.Errorf("Stop of a process that ignores SIGTERM: %v", err)
	}
	if got := fmt.Sprint(deaf.Err()); got != "signal: killed" {
		t.Errorf("deaf ended by %s", got)
	}
}

func TestCloseEndsInReverseOrder(t *testing.T) {
	g := newGroup(t)
	log := filepath.Join(t.TempDir(), "log")
	var all []*Process
	for _, name := range []string{"first", "second", "third"} {
		all = append(all, startScript(t, g, name, `trap "echo `+name+` >>`+log+`; exit 0" TERM; echo up; while :; do sleep 0.05; done`))
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range all {
		select {
		case <-p.Done():
		default:
			t.Errorf("%s is left", p.Name())
		}
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := "third\nsecond\nfirst\n"; string(got) != want {
		t.Errorf("ended in the order %q, want %q", got, want)
	}
	if _, err := g.Start(Spec{Name: "late", Path: "/bin/sh"}); err == nil || !strings.Contains(err.Error(), "late") {
		t.Errorf("Start in a closed group: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseEndsGrandchildren(t *testing.T) {
	g := newGroup(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p, err := g.Start(Spec{Name: "forks", Path: "/bin/sh", Args: []string{"-c", "sleep 600 & exit 0"}, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: write})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	_ = read.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Errorf("the grandchild still runs: %v", err)
	}
}

func TestAChildGetsItsSpecAndNothingElse(t *testing.T) {
	t.Setenv("SECRET_OF_THE_PARENT", "1")
	g := newGroup(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p, err := g.Start(Spec{
		Name: "env", Path: "/bin/sh", Args: []string{"-c", "pwd; env; echo err >&2"},
		Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "A=b c"}, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if strings.Contains(out.String(), "SECRET") || !strings.HasPrefix(out.String(), dir+"\n") || !strings.Contains(out.String(), "A=b c\n") || !strings.HasSuffix(out.String(), "err\n") {
		t.Errorf("working directory and environment:\n%s", out.String())
	}

	out.Reset()
	p, err = g.Start(Spec{Name: "nothing", Path: "/usr/bin/env", Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if out.Len() > 0 {
		t.Errorf("an empty environment holds %s", out.String())
	}
}

func TestCredential(t *testing.T) {
	g := newGroup(t)
	var out bytes.Buffer
	p, err := g.Start(Spec{
		Name: "nobody", Path: "/bin/sh", Args: []string{"-c", "id -u"}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")},
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Stdout: &out,
	})
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("another user without being root: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if out.String() != "65534\n" {
		t.Errorf("runs as %q", out.String())
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	_, err := newGroup(t).Start(Spec{Name: "score-add", Path: filepath.Join(t.TempDir(), "bootstrap")})
	if err == nil || !strings.Contains(err.Error(), "start score-add: ") {
		t.Errorf("got %v", err)
	}
}

func TestRun(t *testing.T) {
	g := newGroup(t)
	var out bytes.Buffer
	cat := Spec{Name: "cat", Path: "/bin/cat", Stdin: strings.NewReader("in"), Stdout: &out}
	if err := g.Run(t.Context(), cat); err != nil || out.String() != "in" {
		t.Errorf("cat: %q, %v", out.String(), err)
	}
	fails := Spec{Name: "fails", Path: "/bin/sh", Args: []string{"-c", "exit 4"}}
	if err := g.Run(t.Context(), fails); fmt.Sprint(err) != "exit status 4" {
		t.Errorf("a failure: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	sleep := Spec{Name: "sleep", Path: "/bin/sh", Args: []string{"-c", obeys}, Stdout: writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})}
	if err := g.Run(ctx, sleep); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) > 0 {
		t.Errorf("%s still runs", g.running[0].Name())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
