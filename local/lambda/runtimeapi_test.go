package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runtime is a runtime played by the test: the function's process only says
// where its Runtime API is.
type runtime struct {
	t        *testing.T
	function *Function
	file     string // where a process writes its Runtime API's address
	base     string
}

func newRuntime(t *testing.T, timeout time.Duration) *runtime {
	t.Helper()
	s, _ := newService(t)
	dir := t.TempDir()
	binary, file := filepath.Join(dir, "bootstrap"), filepath.Join(dir, "address")
	script := "#!/bin/sh\necho $AWS_LAMBDA_RUNTIME_API >$FILE.tmp; mv $FILE.tmp $FILE; exec sleep 600\n"
	if err := os.WriteFile(binary, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	f := add(t, s, Config{Binary: binary, Env: map[string]string{"FILE": file}, Timeout: timeout})
	return &runtime{t: t, function: f, file: file}
}

// invoke invokes the function in the background.
func (r *runtime) invoke(event, trace string) chan string {
	outcome := make(chan string, 1)
	go func() {
		out, functionError, err := r.function.Invoke(context.Background(), []byte(event), trace)
		outcome <- fmt.Sprint(functionError, "|", string(out), "|", err)
	}()
	return outcome
}

// start waits for a new process.
func (r *runtime) start() {
	r.t.Helper()
	var address []byte
	eventually(r.t, "the process has a Runtime API", func() bool {
		address, _ = os.ReadFile(r.file)
		return len(address) > 0
	})
	r.base = "http://" + strings.TrimSpace(string(address))
	if err := os.Remove(r.file); err != nil {
		r.t.Fatal(err)
	}
}

// startRuntime invokes a new function and starts its runtime.
func startRuntime(t *testing.T, event, trace string) (*runtime, chan string) {
	t.Helper()
	r := newRuntime(t, 30*time.Second)
	outcome := r.invoke(event, trace)
	r.start()
	return r, outcome
}

// do sends a request; headers are pairs.
func (r *runtime) do(method, path, body string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(text)
}

func (r *runtime) want(status int, contains, method, path, body string, headers ...string) *http.Response {
	r.t.Helper()
	resp, text := r.do(method, path, body, headers...)
	if resp.StatusCode != status || !strings.Contains(text, contains) {
		r.t.Errorf("%s %s: %d %s, want %d %s", method, path, resp.StatusCode, text, status, contains)
	}
	return resp
}

const invocationPath = "/2018-06-01/runtime/invocation/"

func TestRuntimeAPI(t *testing.T) {
	r, outcome := startRuntime(t, `{"a":1}`, "Root=1-2-3")
	r.want(400, "InvalidRequestID", "POST", invocationPath+"unknown/response", "{}")
	resp := r.want(200, `{"a":1}`, "GET", invocationPath+"next", "")
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Lambda-Runtime-Trace-Id": "Root=1-2-3", "Lambda-Runtime-Invoked-Function-Arn": testARN + "echo",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
	if len(id) != 36 || len(resp.Header.Get("Lambda-Runtime-Deadline-Ms")) != 13 {
		t.Errorf("headers %v", resp.Header)
	}
	r.want(403, "InvalidStateTransition", "GET", invocationPath+"next", "")
	r.want(400, "InvalidRequestID", "POST", invocationPath+"unknown/response", "{}")
	r.want(400, "InvalidRequestID", "POST", invocationPath+"unknown/error", "{}")
	r.want(403, "InvalidStateTransition", "POST", "/2018-06-01/runtime/init/error", "{}")
	r.want(202, `{"status":"OK"}`, "POST", invocationPath+id+"/response", `"done"`, "Expect", "100-continue")
	if got := <-outcome; got != `|"done"|<nil>` {
		t.Errorf("outcome %s", got)
	}
	r.want(400, "InvalidRequestID", "POST", invocationPath+id+"/response", "{}")
	r.want(404, "", "GET", "/2018-06-01/runtime/other", "")
	r.want(405, "", "POST", invocationPath+"next", "")
}

func TestErrorWithoutABody(t *testing.T) {
	r, outcome := startRuntime(t, `{}`, "")
	id := r.want(200, `{}`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
	r.want(202, "OK", "POST", invocationPath+id+"/error", "", "Lambda-Runtime-Function-Error-Type", "Handler.Broken")
	if got := <-outcome; !strings.HasPrefix(got, `Unhandled|{"errorType":"Handler.Broken",`) {
		t.Errorf("outcome %s", got)
	}
}

func TestResponseTooLarge(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		r, outcome := startRuntime(t, `{}`, "")
		id := r.want(200, `{}`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
		var body io.Reader = bytes.NewReader(make([]byte, maxResponse+1))
		if chunked {
			body = struct{ io.Reader }{body}
		}
		resp, err := http.Post(r.base+invocationPath+id+"/response", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
		if got := <-outcome; !strings.HasPrefix(got, `Unhandled|{"errorType":"Function.ResponseSizeTooLarge"`) {
			t.Errorf("outcome %s", got)
		}
	}
}

func TestAnErrorInTheTrailerOfAResponse(t *testing.T) {
	r, outcome := startRuntime(t, `{}`, "")
	id := r.want(200, `{}`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
	req, err := http.NewRequest("POST", r.base+invocationPath+id+"/response", struct{ io.Reader }{strings.NewReader(`{"half":`)})
	if err != nil {
		t.Fatal(err)
	}
	const detail = `{"errorType":"Late","errorMessage":"the disk is full"}`
	req.Trailer = http.Header{
		"Lambda-Runtime-Function-Error-Type": {"Late"},
		"Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte(detail))},
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := <-outcome; resp.StatusCode != 202 || got != "Unhandled|"+detail+"|<nil>" {
		t.Errorf("status %d, outcome %s", resp.StatusCode, got)
	}
}

func TestExtensionsAPI(t *testing.T) {
	r, outcome := startRuntime(t, `{}`, "")
	const register = "/2020-01-01/extension/register"
	r.want(400, "Lambda-Extension-Name is missing", "POST", register, `{"events":[]}`)
	r.want(400, "registers for no event", "POST", register, `{"events":["INVOKE"]}`, "Lambda-Extension-Name", "x")
	r.want(400, "InvalidRequestFormat", "POST", register, `[`, "Lambda-Extension-Name", "x")
	r.want(403, "UnknownExtensionIdentifier", "GET", "/2020-01-01/extension/event/next", "")
	resp := r.want(200, `"functionName":"echo"`, "POST", register, `{"events":[]}`, "Lambda-Extension-Name", "x")
	if id := resp.Header.Get("Lambda-Extension-Identifier"); len(id) != 36 {
		t.Errorf("identifier %q", id)
	}
	id := r.want(200, `{}`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
	r.want(403, "RegistrationClosed", "POST", register, `{"events":[]}`, "Lambda-Extension-Name", "y")
	r.want(202, "OK", "POST", invocationPath+id+"/response", `1`)
	<-outcome
}

func TestARuntimeThatHangsAfterItsAnswerIsReplaced(t *testing.T) {
	r := newRuntime(t, 3*time.Second)
	first := r.invoke(`1`, "")
	r.start()
	id := r.want(200, `1`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
	r.want(202, "OK", "POST", invocationPath+id+"/response", `"one"`)
	if got := <-first; got != `|"one"|<nil>` {
		t.Errorf("first outcome %s", got)
	}
	second := r.invoke(`2`, "") // waits in vain for the runtime to ask for it
	r.start()
	id = r.want(200, `2`, "GET", invocationPath+"next", "").Header.Get("Lambda-Runtime-Aws-Request-Id")
	r.want(202, "OK", "POST", invocationPath+id+"/response", `"two"`)
	if got := <-second; got != `|"two"|<nil>` {
		t.Errorf("second outcome %s", got)
	}
}

// An image of a web page that asks for the next event would take it from the function.
func TestRuntimeAPIRefusesBrowsers(t *testing.T) {
	r, outcome := startRuntime(t, `"a"`, "")
	for _, headers := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if response, body := r.do(http.MethodGet, "/2018-06-01/runtime/invocation/next", "", headers...); response.StatusCode != http.StatusForbidden || !strings.Contains(body, "browser") {
			t.Errorf("%v: %d %s", headers, response.StatusCode, body)
		}
	}
	response, _ := r.do(http.MethodGet, "/2018-06-01/runtime/invocation/next", "")
	if response, body := r.do(http.MethodPost, "/2018-06-01/runtime/invocation/"+response.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", `"b"`); response.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if got := <-outcome; got != `|"b"|<nil>` {
		t.Error(got)
	}
}
