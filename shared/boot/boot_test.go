package boot

import (
	"encoding/json"
	"strings"
	"testing"

	"plaudit/shared/boot/boottest"
)

const secret = "hunter2-hunter2"

// TestMainOfARealProgram checks what Main promises on a program that is built
// and run.
func TestMainOfARealProgram(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	set := []string{"MODE=wait", "DSN=postgres://u@h/db", "PASSWORD=" + secret, "LIMIT=3"}
	with := func(env ...string) []string { return append(append([]string{}, set...), env...) }

	t.Run("every missing variable is named at once", func(t *testing.T) {
		p := boottest.Run(t, bin)
		if status := p.Wait(); status != 1 {
			t.Errorf("exit status %d", status)
		}
		if n := strings.Count(p.Output(), "\n"); n != 0 {
			t.Errorf("%d lines:\n%s", n+1, p.Output())
		}
		line := p.Line("program ends")
		for _, want := range []string{"MODE is not set", "DSN is not set", "PASSWORD is not set", "LIMIT is not set"} {
			if !strings.Contains(line["error"].(string), want) {
				t.Errorf("%q lacks %q", line["error"], want)
			}
		}
		if line["level"] != "ERROR" || line["function"] != "program" || line["timestamp"] == nil {
			t.Errorf("the line is %v", line)
		}
	})

	t.Run("every wrong variable is named at once and no value is shown", func(t *testing.T) {
		p := boottest.Run(t, bin, "MODE=wait", "DSN=", "PASSWORD="+secret, "LIMIT="+secret, "EVERY="+secret, "KEY="+secret, "DB_PORT="+secret, "RATE="+secret, "BURST_SIZE="+secret, "LOG_LEVEL="+secret)
		if status := p.Wait(); status != 1 {
			t.Errorf("exit status %d", status)
		}
		line := p.Line("program ends")
		for _, want := range []string{"DSN is empty", "LIMIT is not a valid int", "EVERY is not a valid time.Duration", "KEY is not a valid", "DB_PORT is not a valid uint16", "RATE is not a valid int", "BURST_SIZE is not a valid int", "LOG_LEVEL must be one of"} {
			if !strings.Contains(line["error"].(string), want) {
				t.Errorf("%q lacks %q", line["error"], want)
			}
		}
		if strings.Contains(p.Output(), secret) || strings.Contains(line["error"].(string), "PASSWORD") {
			t.Errorf("the line shows too much: %s", p.Output())
		}
	})

	t.Run("SIGTERM ends it cleanly", func(t *testing.T) {
		p := boottest.Run(t, bin, with("LOG_LEVEL=debug", "RATE=2")...)
		if line := p.Line("waiting"); line["limit"] != 3.0 || line["port"] != 5432.0 || line["rate"] != 2.0 || line["size"] != 9.0 {
			t.Errorf("the config is %v", line)
		}
		p.Terminate()
		if status := p.Wait(); status != 0 {
			t.Errorf("exit status %d", status)
		}
		p.Line("stopping")
		if strings.Contains(p.Output(), secret) {
			t.Errorf("the secret is in the log: %s", p.Output())
		}
	})

	t.Run("the level of Lambda comes first", func(t *testing.T) {
		p := boottest.Run(t, bin, with("MODE=fail", "LOG_LEVEL=ERROR", "AWS_LAMBDA_LOG_LEVEL=WARN")...)
		p.Wait()
		if line := p.Line("a library's line"); line["level"] != "WARN" || line["function"] != "program" {
			t.Errorf("package log writes %v", line)
		}
		p = boottest.Run(t, bin, with("MODE=fail", "LOG_LEVEL=ERROR")...)
		p.Wait()
		if strings.Contains(p.Output(), "a library's line") {
			t.Errorf("a warning at level ERROR: %s", p.Output())
		}
	})

	t.Run("an error of run is one line and status 1", func(t *testing.T) {
		p := boottest.Run(t, bin, with("MODE=fail", "LOG_LEVEL=ERROR")...)
		if status := p.Wait(); status != 1 {
			t.Errorf("exit status %d", status)
		}
		if line := p.Line("program ends"); line["error"] != "the database is of another release" || strings.Contains(p.Output(), "\n") {
			t.Errorf("it says:\n%s", p.Output())
		}
	})

	t.Run("in Lambda an error before the loop is the failure of the init", func(t *testing.T) {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, with("MODE=fail", api.Env)...)
		var report struct{ ErrorMessage, ErrorType string }
		if err := json.Unmarshal([]byte(api.InitError()), &report); err != nil {
			t.Fatal(err)
		}
		if report.ErrorMessage != "the database is of another release" || report.ErrorType != "Runtime.InitError" {
			t.Errorf("%+v", report)
		}
		if status := p.Wait(); status != 1 {
			t.Errorf("exit status %d", status)
		}
	})
}

func TestInvokeOfARealProgram(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	env := []string{"MODE=invoke", "DSN=x", "PASSWORD=", "LIMIT=1"}

	t.Run("it answers events until SIGTERM and observes each", func(t *testing.T) {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, append(env, api.Env)...)
		id := api.Send(`{"Name": "Ada"}`)
		if a := api.Answer(); a.Failed || a.RequestID != id || a.Body != `{"hello":"Ada"}` {
			t.Errorf("%+v", a)
		}
		if line := p.Line("invoked"); line["request_id"] != id || len(line["trace_id"].(string)) != 32 {
			t.Errorf("the log has %v", line)
		}
		for event, want := range map[string]string{`[]`: "decode the event", `{"Name": "nobody"}`: "the name is unknown"} {
			api.Send(event)
			if a := api.Answer(); !a.Failed || !strings.Contains(a.Body, want) {
				t.Errorf("%s: %+v", event, a)
			}
		}
		if !api.WantsSIGTERM() {
			t.Error("Lambda would not send SIGTERM")
		}
		p.Terminate()
		if status := p.Wait(); status != 0 {
			t.Errorf("exit status %d", status)
		}
		lines := p.Lines("request")
		if len(lines) != 3 {
			t.Fatalf("%d lines of invokes:\n%s", len(lines), p.Output())
		}
		for i, line := range lines {
			if line["Function"] != "program" || line["Route"] != "invoke" || line["Requests"] != 1.0 || line["Errors"] != []any{0.0, 1.0, 1.0}[i] ||
				(line["ColdStart"] == 1.0) != (i == 0) || line["Latency"] == nil || line["_aws"] == nil || len(line["trace_id"].(string)) != 32 {
				t.Errorf("line %d: %v", i, line)
			}
			for _, property := range []string{"method", "status", "actor", "board"} {
				if _, ok := line[property]; ok {
					t.Errorf("line %d has the property %s of a request", i, property)
				}
			}
		}
		if lines[0]["request_id"] != id {
			t.Errorf("the line is of %v, the invoke was %s", lines[0]["request_id"], id)
		}
		if failed := p.Lines("the invoke failed"); len(failed) != 2 || failed[0]["level"] != "ERROR" {
			t.Errorf("the log has the failures %v", failed)
		}
	})

	t.Run("a panic is observed before it ends the process", func(t *testing.T) {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, append(env, api.Env)...)
		api.Send(`{"Name": "panic"}`)
		if a := api.Answer(); !a.Failed || !strings.Contains(a.Body, "the name is bad") {
			t.Errorf("%+v", a)
		}
		if status := p.Wait(); status == 0 {
			t.Error("the process ends as if nothing had happened")
		}
		if line := p.Line("request"); line["Errors"] != 1.0 {
			t.Errorf("the line is %v", line)
		}
	})

	t.Run("outside Lambda it is an error", func(t *testing.T) {
		p := boottest.Run(t, bin, env...)
		if status := p.Wait(); status != 1 || !strings.Contains(p.Output(), "AWS_LAMBDA_RUNTIME_API is not set") {
			t.Errorf("exit status %d: %s", status, p.Output())
		}
	})
}
