package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestInvoke(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{})
	const event = `{"do":"echo","text":"안녕"}`
	if got := succeed(t, f, event); got != event {
		t.Errorf("echo of %s is %s", event, got)
	}
	first := succeed(t, f, `{"do":"pid"}`)
	for range 20 {
		if got := succeed(t, f, `{"do":"pid"}`); got != first {
			t.Errorf("a second process %s takes over from the idle %s", got, first)
		}
	}
	if got := f.PIDs(); len(got) != 1 || fmt.Sprint(got[0]) != first {
		t.Errorf("processes %v, want %s", got, first)
	}
}

func TestTheFunctionKnowsItsInvocation(t *testing.T) {
	s, _ := newService(t)
	const timeout = 7 * time.Minute
	f := add(t, s, Config{Timeout: timeout})
	var got struct {
		Request, ARN, Trace string
		Deadline            int64 `json:"deadline_ms"`
	}
	ids := map[string]bool{}
	for _, trace := range []string{"Root=1-67891233-abcdef012345678912345678", ""} {
		before := time.Now()
		out, _, err := f.Invoke(context.Background(), []byte(`{"do":"context"}`), trace)
		after := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		ids[got.Request] = true
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.Request) {
			t.Errorf("request id %q is not a UUID", got.Request)
		}
		if got.ARN != testARN+"echo" {
			t.Errorf("ARN %q", got.ARN)
		}
		if got.Deadline < before.Add(timeout).UnixMilli() || got.Deadline > after.Add(timeout).UnixMilli() {
			t.Errorf("the deadline is %v, not %v after the invocation's begin", time.UnixMilli(got.Deadline), timeout)
		}
		if trace != "" && got.Trace != trace {
			t.Errorf("trace %q, want the caller's %q", got.Trace, trace)
		}
		if trace == "" && !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(got.Trace) {
			t.Errorf("trace %q is not a tracing header", got.Trace)
		}
	}
	if len(ids) != 2 {
		t.Error("two invocations have one request id")
	}
}

func TestEnvironmentIsTheTemplatesAndLambdas(t *testing.T) {
	t.Setenv("SECRET_OF_THE_CALLER", "1")
	t.Setenv("AWS_PROFILE", "the caller's")
	s, _ := newService(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := add(t, s, Config{
		Dir: dir, Env: map[string]string{"STAGE": "local", "TZ": "Asia/Seoul"}, MemoryMB: 512,
		LogFormat: "JSON", LogLevel: "DEBUG", Endpoint: "http://127.0.0.1:4566",
	})
	var got struct {
		Env []string
		Dir string
	}
	if err := json.Unmarshal([]byte(succeed(t, f, `{"do":"environment"}`)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Dir != dir {
		t.Errorf("runs in %s, want %s", got.Dir, dir)
	}
	want := map[string]string{
		"STAGE": "local", "TZ": "Asia/Seoul", "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"_HANDLER": "bootstrap", "AWS_REGION": "ap-northeast-2", "AWS_DEFAULT_REGION": "ap-northeast-2",
		"AWS_ACCESS_KEY_ID": "laptop", "AWS_SECRET_ACCESS_KEY": "laptop", "AWS_SESSION_TOKEN": "laptop",
		"AWS_LAMBDA_FUNCTION_NAME": "echo", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/echo",
		"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
		"LAMBDA_TASK_ROOT": dir, "LAMBDA_RUNTIME_DIR": dir, "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	}
	patterns := map[string]string{ // these differ from environment to environment
		"AWS_LAMBDA_RUNTIME_API":     `^127\.0\.0\.1:\d+$`,
		"AWS_LAMBDA_LOG_STREAM_NAME": `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`,
		"_X_AMZN_TRACE_ID":           `^Root=`, // the runtime's own, for each invocation
	}
	for _, variable := range got.Env {
		name, value, _ := strings.Cut(variable, "=")
		if pattern, ok := patterns[name]; ok {
			delete(patterns, name)
			if !regexp.MustCompile(pattern).MatchString(value) {
				t.Errorf("%s is %q", name, value)
			}
			continue
		}
		if w, ok := want[name]; !ok || w != value {
			t.Errorf("%s=%s, want %q", name, value, w)
		}
		delete(want, name)
	}
	if len(want) > 0 || len(patterns) > 0 {
		t.Errorf("missing: %v %v", want, patterns)
	}
}

func TestAddRefuses(t *testing.T) {
	s, _ := newService(t)
	add(t, s, Config{})
	for want, c := range map[string]Config{
		"a function named echo already exists": {Name: "echo", Binary: program},
		"has no binary":                        {Name: "f"},
		"needs a name":                         {Binary: program},
		"not between 1 s and 15 min":           {Name: "f", Binary: program, Timeout: time.Hour},
		"function f: Lambda sets the environment variable AWS_REGION": {Name: "f", Binary: program, Env: map[string]string{"AWS_REGION": "x"}},
	} {
		if _, err := s.Add(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Timeout: time.Minute})
	for _, test := range []struct{ event, want string }{
		{`{"do":"fail","text":"no such board"}`, `^\{"errorMessage":"no such board","errorType":"errorString"\}$`},
		{`{"do":"panic","text":"oh"}`, `^\{"errorMessage":"oh","errorType":"string","stackTrace":\[`},
		{`{"do":"exit","n":2}`, `^\{"errorType":"Runtime\.ExitError","errorMessage":"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 2"\}$`},
		{`{"do":"exit"}`, `^\{"errorType":"Runtime\.ExitError","errorMessage":"RequestId: [0-9a-f-]{36} Error: Runtime exited without providing a reason"\}$`},
		{`{"do":"large","n":6291557}`, `^\{"errorType":"Function\.ResponseSizeTooLarge",`},
	} {
		out, functionError := call(t, f, test.event)
		if functionError != "Unhandled" || !regexp.MustCompile(test.want).MatchString(out) {
			t.Errorf("%s: %s %s", test.event, functionError, out)
		}
		if got := succeed(t, f, `{"do":"echo"}`); got != `{"do":"echo"}` {
			t.Errorf("the invocation after %s: %s", test.event, got)
		}
	}
	if got := succeed(t, f, `{"do":"large","n":6291556}`); len(got) != 6291556 {
		t.Errorf("the largest response has %d bytes", len(got))
	}
	for _, want := range []string{"no such board", "exit status 2"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestTimeout(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Timeout: 1500 * time.Millisecond})
	out, functionError := call(t, f, `{"do":"hang"}`)
	want := `^\{"errorMessage":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [0-9a-f-]{36} Task timed out after 1\.50 seconds"\}$`
	if functionError != "Unhandled" || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("%s %s", functionError, out)
	}
	if !strings.Contains(log.String(), "Task timed out after 1.50 seconds") {
		t.Error("the log does not mention the timeout")
	}
	// On a busy machine, a new process may need longer than the timeout.
	eventually(t, "the function works again", func() bool {
		out, functionError := call(t, f, `{"do":"echo"}`)
		return functionError == "" && out == `{"do":"echo"}`
	})
}

func TestRequestTooLarge(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{})
	event := `{"text":"` + strings.Repeat("x", maxRequest-11) + `"}`
	if got := succeed(t, f, event); got != event {
		t.Errorf("echo of the largest event has %d bytes", len(got))
	}
	if _, _, err := f.Invoke(context.Background(), []byte(event+" "), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestInitialisationFails(t *testing.T) {
	s, log := newService(t)
	for init, want := range map[string]string{
		"exit":  `^\{"errorType":"Runtime\.ExitError","errorMessage":"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 3"\}$`,
		"error": `^\{"errorType":"Config\.Missing","errorMessage":"SCORES_DSN is not set"\}$`,
	} {
		f := add(t, s, Config{Name: init, Env: map[string]string{"INIT": init}, Concurrency: 1})
		for range 3 {
			out, functionError := call(t, f, `{}`)
			if functionError != "Unhandled" || !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("%s: %s %s", init, functionError, out)
			}
		}
		if got := f.PIDs(); len(got) != 0 {
			t.Errorf("%s leaves processes %v", init, got)
		}
	}
	f := add(t, s, Config{Name: "nowhere", Binary: filepath.Join(t.TempDir(), "bootstrap"), Concurrency: 1})
	for range 2 {
		out, functionError := call(t, f, `{}`)
		if functionError != "Unhandled" || !strings.Contains(out, `"errorType":"Runtime.InvalidEntrypoint"`) || !strings.Contains(out, "no such file") {
			t.Errorf("no binary: %s %s", functionError, out)
		}
	}
	for _, want := range []string{"exit status 3", "Config.Missing: SCORES_DSN is not set", "no such file"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestInitialisationThatHangsIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	s, _ := newService(t)
	s.initTimeout = 500 * time.Millisecond
	once := add(t, s, Config{Name: "once", Timeout: 20 * time.Second, Concurrency: 1, Env: map[string]string{
		"INIT": "hang once", "INIT_FILE": filepath.Join(t.TempDir(), "hung"),
	}})
	if got := succeed(t, once, `{}`); got != "{}" {
		t.Errorf("got %s", got)
	}
	always := add(t, s, Config{Name: "always", Timeout: time.Second, Concurrency: 1, Env: map[string]string{"INIT": "hang"}})
	out, functionError := call(t, always, `{}`)
	if functionError != "Unhandled" || !strings.Contains(out, "Task timed out after 1.00 seconds") {
		t.Errorf("%s %s", functionError, out)
	}
	if got := always.PIDs(); len(got) != 0 {
		t.Errorf("processes %v are left", got)
	}
}

func TestConcurrency(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Concurrency: 3})
	pids := make(chan string, 3)
	held := newHold(t)
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			out, _, err := f.Invoke(context.Background(), []byte(held.event), "")
			if err != nil {
				t.Error(err)
			}
			pids <- string(out)
		})
	}
	held.begun(t, 3)
	if _, _, err := f.Invoke(context.Background(), []byte(`{}`), ""); !errors.Is(err, ErrThrottled) {
		t.Errorf("the fourth at once: %v", err)
	}
	if !strings.Contains(log.String(), `msg="invocation throttled: every environment is busy" function=echo concurrency=3`) {
		t.Error("the log does not mention it")
	}
	held.release(t)
	calls.Wait()
	close(pids)
	var all []string
	for pid := range pids {
		all = append(all, pid)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 3 {
		t.Errorf("one process served two invocations at once: %v", all)
	}
	succeed(t, f, `{}`)
}

func TestALongInvocationBlocksNoOther(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{Concurrency: 2, Timeout: time.Minute})
	held, long := newHold(t), make(chan error)
	go func() {
		_, _, err := f.Invoke(context.Background(), []byte(held.event), "")
		long <- err
	}()
	held.begun(t, 1)
	for range 50 {
		succeed(t, f, `{}`)
	}
	select {
	case err := <-long:
		t.Errorf("the long invocation ends early: %v", err)
	default:
	}
	held.release(t)
	if err := <-long; err != nil {
		t.Errorf("the long invocation: %v", err)
	}
}

func TestAnIdleProcessThatIsKilledIsReplaced(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Concurrency: 1})
	for i := range 60 {
		succeed(t, f, `{}`)
		if err := syscall.Kill(f.PIDs()[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// The next invocation comes before, during and after its end.
		time.Sleep(time.Duration(i%20) * 100 * time.Microsecond)
	}
	succeed(t, f, `{}`)
	if err := syscall.Kill(f.PIDs()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end is in the log", func() bool {
		return strings.Contains(log.String(), "a function process ended between invocations")
	})
	succeed(t, f, `{}`)
}

func TestABusyProcessThatIsKilledFailsItsInvocationOnly(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{Concurrency: 2, Timeout: time.Minute})
	held := newHold(t)
	result := func() chan string {
		c := make(chan string)
		go func() {
			out, functionError, err := f.Invoke(context.Background(), []byte(held.event), "")
			c <- fmt.Sprint(functionError, " ", string(out), " ", err)
		}()
		return c
	}
	killed := result()
	held.begun(t, 1)
	victim := f.PIDs()[0]
	other := result()
	held.begun(t, 2)
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := <-killed; !strings.HasPrefix(got, "Unhandled ") || !strings.Contains(got, "Runtime exited with error: signal: killed") {
		t.Errorf("the killed one: %s", got)
	}
	held.release(t)
	if got := <-other; strings.Contains(got, "Unhandled") || !strings.HasSuffix(got, "<nil>") {
		t.Errorf("the other one: %s", got)
	}
}

func TestIdleEnvironmentsEnd(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{IdleAfter: 100 * time.Millisecond})
	succeed(t, f, `{}`)
	eventually(t, "the idle environment ends", func() bool { return len(f.PIDs()) == 0 })
	succeed(t, f, `{}`)
}

func TestReplace(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{})
	before := succeed(t, f, `{"do":"pid"}`)
	held, busy := newHold(t), make(chan string)
	go func() {
		out, _, _ := f.Invoke(context.Background(), []byte(held.event), "")
		busy <- string(out)
	}()
	held.begun(t, 1)
	copied := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.Link(program, copied); err != nil {
		t.Fatal(err)
	}
	f.Replace(copied)
	if got := succeed(t, f, `{"do":"pid"}`); got == before {
		t.Error("the old process still serves")
	}
	held.release(t)
	if got := <-busy; got != before {
		t.Errorf("the busy invocation ran in %s, want %s", got, before)
	}
	eventually(t, "the old process ends", func() bool { return len(f.PIDs()) == 1 })
}

func TestACallerThatGoesAwayLeavesTheFunctionAlone(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{Concurrency: 1})
	succeed(t, f, `{}`)
	file := filepath.Join(t.TempDir(), "count")
	ctx, leave := context.WithCancel(context.Background())
	held, left := newHold(t), make(chan error)
	go func() {
		_, _, err := f.Invoke(ctx, []byte(held.event), "")
		left <- err
	}()
	held.begun(t, 1)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, _, err := f.Invoke(context.Background(), []byte(`{}`), ""); !errors.Is(err, ErrThrottled) {
		t.Errorf("while the function still runs: %v", err)
	}
	held.release(t)
	eventually(t, "the function is free again", func() bool {
		_, functionError, err := f.Invoke(context.Background(), []byte(`{"do":"count","n":1,"file":"`+file+`"}`), "")
		return functionError == "" && err == nil
	})
	if _, _, err := f.Invoke(ctx, []byte(`{}`), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has already gone: %v", err)
	}
}

func TestClose(t *testing.T) {
	s, log := newService(t)
	dir := t.TempDir()
	start := func(name, onSIGTERM string) (*Function, string) {
		file := filepath.Join(dir, name)
		f := add(t, s, Config{Name: name, Env: map[string]string{"ON_SIGTERM": onSIGTERM, "SIGTERM_FILE": file}})
		succeed(t, f, `{}`)
		return f, file
	}
	writes, written := start("writes", "write")
	ignores, _ := start("ignores", "ignore")
	plain, unwritten := start("plain", "write without extension")

	held, busy := newHold(t), make(chan string)
	go func() {
		out, functionError, err := plain.Invoke(context.Background(), []byte(held.event), "")
		busy <- fmt.Sprint(functionError, string(out) != "", err)
	}()
	held.begun(t, 1)
	closed := make(chan struct{})
	go func() {
		s.Close(context.Background())
		close(closed)
	}()
	eventually(t, "invocations are refused", func() bool {
		_, _, err := plain.Invoke(context.Background(), []byte(`{}`), "")
		return errors.Is(err, ErrClosed)
	})
	select {
	case <-closed:
		t.Error("Close does not wait for the invocation")
	default:
	}
	held.release(t)
	<-closed
	if got := <-busy; got != "true <nil>" {
		t.Errorf("the invocation that was running: %s", got)
	}
	for _, f := range []*Function{writes, ignores, plain} {
		if pids := f.PIDs(); len(pids) != 0 {
			t.Errorf("%s leaves processes %v", f.Name(), pids)
		}
		if _, _, err := f.Invoke(context.Background(), []byte(`{}`), ""); !errors.Is(err, ErrClosed) {
			t.Errorf("Invoke of %s after Close: %v", f.Name(), err)
		}
	}
	if text, err := os.ReadFile(written); string(text) != "bye" {
		t.Errorf("the function with an extension got no SIGTERM: %q, %v", text, err)
	}
	if _, err := os.ReadFile(unwritten); err == nil {
		t.Error("the function without an extension got SIGTERM before SIGKILL")
	}
	if !strings.Contains(log.String(), "ignores (process ") {
		t.Error("the log does not mention the process that had to be killed")
	}
	if _, err := s.Add(Config{Name: "late", Binary: program}); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
}

func TestCloseEndsBusyProcessesWhenItsContextEnds(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{Timeout: 10 * time.Minute})
	held, hung := newHold(t), make(chan string)
	go func() {
		out, _, _ := f.Invoke(context.Background(), []byte(held.event), "")
		hung <- string(out)
	}()
	held.begun(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Close(ctx)
	if out := <-hung; !strings.Contains(out, "signal: killed") {
		t.Errorf("the hung invocation: %s", out)
	}
	if pids := f.PIDs(); len(pids) != 0 {
		t.Errorf("processes %v are left", pids)
	}
}

func TestFunctionByName(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{})
	for _, name := range []string{"echo", "echo:$LATEST", testARN + "echo", testARN + "echo:$LATEST", "000000000000:function:echo"} {
		if got, ok := s.Function(name); !ok || got != f {
			t.Errorf("%s is not found", name)
		}
	}
	for _, name := range []string{"", "ech", "echo:1", "function:echo", testARN + "other", "arn:aws:lambda:us-east-1:000000000000:function:echo"} {
		if _, ok := s.Function(name); ok {
			t.Errorf("%s is found", name)
		}
	}
}
