package lambda

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"plaudit/local/process"
)

// program is the binary of testdata/function.
var program string

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambda")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "./testdata/function")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the function:", err)
		return 1
	}
	return m.Run()
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newService makes a service whose processes all end with the test. The buffer
// receives its log and the functions' output.
func newService(t testing.TB) (*Service, *buffer) {
	t.Helper()
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	level := slog.LevelDebug
	if _, ok := t.(*testing.B); ok {
		level = slog.LevelInfo
	}
	s := NewService(group, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})))
	s.Output = log
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // ends the invocations that still run
		s.Close(ctx)
		if err := group.Close(); err != nil {
			t.Errorf("processes left by the service: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return s, log
}

const testARN = "arn:aws:lambda:ap-northeast-2:000000000000:function:"

func add(t testing.TB, s *Service, c Config) *Function {
	t.Helper()
	if c.Name == "" {
		c.Name = "echo"
	}
	c.ARN = testARN + c.Name
	c.Region = "ap-northeast-2"
	if c.Binary == "" {
		c.Binary = program
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute // Lambda's default is 3 s, and a busy machine slow
	}
	f, err := s.Add(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// call invokes f and fails the test unless the invocation reaches it.
func call(t testing.TB, f *Function, event string) (response, functionError string) {
	t.Helper()
	out, functionError, err := f.Invoke(context.Background(), []byte(event), "")
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return string(out), functionError
}

// succeed invokes f and fails the test unless it succeeds.
func succeed(t testing.TB, f *Function, event string) string {
	t.Helper()
	out, functionError := call(t, f, event)
	if functionError != "" {
		t.Fatalf("%s: %s: %s", event, functionError, out)
	}
	return out
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// hold is an event whose invocations last until it is released.
type hold struct {
	event string
	file  string
}

func newHold(t testing.TB) hold {
	file := filepath.Join(t.TempDir(), "released")
	return hold{fmt.Sprintf(`{"do":"hold","file":%q}`, file), file}
}

// begun waits until n invocations run.
func (h hold) begun(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d invocations run", n), func() bool {
		text, _ := os.ReadFile(h.file + ".begun") // the first one makes it
		return bytes.Count(text, []byte("\n")) == n
	})
}

// release lets the invocations end, those to come too.
func (h hold) release(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(h.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
