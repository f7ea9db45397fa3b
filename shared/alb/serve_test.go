package alb

import (
	"strings"
	"testing"

	"plaudit/shared/boot/boottest"
)

// TestServeInARealFunction runs a built function against a Runtime API.
func TestServeInARealFunction(t *testing.T) {
	bin := boottest.Build(t, "./testdata/function")

	t.Run("it answers, and SIGTERM ends it after the request in flight", func(t *testing.T) {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, api.Env)

		id := api.Send(event("GET", "/v1/boards/a%2Fb", ""))
		a := api.Answer()
		if r := decodeResponse(t, []byte(a.Body)); a.Failed || r.Body != "/v1/boards/a%2Fb" || r.header("X-Request-Id") != id {
			t.Errorf("%+v", a)
		}
		if line := p.Line("serving"); line["request_id"] != id {
			t.Errorf("the log has %v", line)
		}

		api.Send(`{}`)
		if a := api.Answer(); !a.Failed || !strings.Contains(a.Body, "not an event of a load balancer") {
			t.Errorf("an event of another source: %+v", a)
		}
		if !api.WantsSIGTERM() {
			t.Error("Lambda would not send SIGTERM")
		}

		api.Send(event("GET", "/slow", ""))
		p.Line("waiting")
		p.Terminate()
		a = api.Answer()
		if r := decodeResponse(t, []byte(a.Body)); r.StatusCode != 200 || r.Body != "/slow" {
			t.Errorf("the request in flight got %+v", a)
		}
		if status := p.Wait(); status != 0 {
			t.Errorf("exit status %d:\n%s", status, p.Output())
		}
		p.Line("tidied up")
	})

	t.Run("an idle one ends at SIGTERM at once", func(t *testing.T) {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, api.Env)
		api.Send(event("GET", "/", ""))
		api.Answer()
		p.Terminate()
		if status := p.Wait(); status != 0 {
			t.Errorf("exit status %d:\n%s", status, p.Output())
		}
	})

	t.Run("outside Lambda it is an error", func(t *testing.T) {
		p := boottest.Run(t, bin)
		if status := p.Wait(); status != 1 || !strings.Contains(p.Output(), "AWS_LAMBDA_RUNTIME_API is not set") {
			t.Errorf("exit status %d: %s", status, p.Output())
		}
	})
}
