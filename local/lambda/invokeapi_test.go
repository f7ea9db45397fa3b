package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// newClient serves s and returns AWS's own client of it.
func newClient(t *testing.T, s *Service) (*awslambda.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(server.URL), Region: "ap-northeast-2",
		Credentials:      credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
		RetryMaxAttempts: 1,
	}), server
}

func TestInvokeWithTheSDK(t *testing.T) {
	s, _ := newService(t)
	add(t, s, Config{})
	client, _ := newClient(t, s)
	for _, name := range []string{"echo", testARN + "echo", "000000000000:function:echo", "echo:$LATEST"} {
		out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(`{"do":"echo"}`)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out.StatusCode != 200 || string(out.Payload) != `{"do":"echo"}` || aws.ToString(out.ExecutedVersion) != "$LATEST" || out.FunctionError != nil {
			t.Errorf("%s: %d %s %v %v", name, out.StatusCode, out.Payload, out.ExecutedVersion, out.FunctionError)
		}
	}
	out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte(`{"do":"fail","text":"no"}`), Qualifier: aws.String("$LATEST")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.FunctionError) != "Unhandled" || !strings.Contains(string(out.Payload), `"errorMessage":"no"`) {
		t.Errorf("%v %s", out.FunctionError, out.Payload)
	}
	if out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("echo")}); err != nil || string(out.Payload) != "{}" {
		t.Errorf("no payload: %v, %v", out, err)
	}
	if out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: types.InvocationTypeDryRun}); err != nil || out.StatusCode != 204 {
		t.Errorf("dry run: %v, %v", out, err)
	}
}

func TestClientContextAndTrace(t *testing.T) {
	s, _ := newService(t)
	add(t, s, Config{})
	client, server := newClient(t, s)
	out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{
		FunctionName: aws.String("echo"), Payload: []byte(`{"do":"context"}`),
		ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte("{\"custom\":\n{\"from\":\"setup\"}}"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out.Payload), `"custom":{"from":"setup"}`) {
		t.Errorf("context %s", out.Payload)
	}
	resp := post(t, server.URL, "echo", `{"do":"context"}`, "X-Amzn-Trace-Id", "Root=1-2-3")
	if got := resp.Header.Get("X-Amzn-Trace-Id"); got != "Root=1-2-3" {
		t.Errorf("trace %q", got)
	}
	if body := text(t, resp); !strings.Contains(body, `"trace":"Root=1-2-3"`) || !strings.Contains(body, resp.Header.Get("X-Amzn-Requestid")) {
		t.Errorf("request id %s, trace, in %s", resp.Header.Get("X-Amzn-Requestid"), body)
	}
}

// post invokes by plain HTTP; headers are pairs.
func post(t *testing.T, base, function, payload string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", base+"/2015-03-31/functions/"+function+"/invocations", strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestInvokeRefuses(t *testing.T) {
	s, _ := newService(t)
	add(t, s, Config{})
	_, server := newClient(t, s)
	large := `"` + strings.Repeat("x", maxRequest) + `"`
	event := []string{"X-Amz-Invocation-Type", "Event"}
	for _, test := range []struct {
		function, payload string
		headers           []string
		status            int
		kind              string
	}{
		{"other", "{}", nil, 404, "ResourceNotFoundException"},
		{url.QueryEscape("arn:aws:lambda:us-east-1:000000000000:function:echo"), "{}", nil, 404, "ResourceNotFoundException"},
		{"echo", "{", nil, 400, "InvalidRequestContentException"},
		{"echo", "{} {}", nil, 400, "InvalidRequestContentException"},
		{"echo", large, nil, 413, "RequestTooLargeException"},
		{"echo", large[:1] + large[len(large)-maxAsyncRequest:], event, 413, "RequestTooLargeException"},
		{"echo", "{}", []string{"X-Amz-Invocation-Type", "Sometimes"}, 400, "InvalidParameterValueException"},
		{"echo", "{}", []string{"X-Amz-Log-Type", "All"}, 400, "InvalidParameterValueException"},
		{"echo", "{}", []string{"X-Amz-Client-Context", "e30"}, 400, "InvalidRequestContentException"},
		{"echo", "{}", []string{"X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte("1"))}, 400, "InvalidRequestContentException"},
		{"echo", "{}", []string{"X-Amz-Client-Context", strings.Repeat("A", 3584)}, 400, "InvalidRequestContentException"},
	} {
		resp := post(t, server.URL, test.function, test.payload, test.headers...)
		var body struct{ Type, Message string }
		if err := json.Unmarshal([]byte(text(t, resp)), &body); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != test.status || resp.Header.Get("X-Amzn-Errortype") != test.kind || body.Type != "User" || body.Message == "" {
			t.Errorf("%s %.20s %v: %d %s %v, want %d %s", test.function, test.payload, test.headers, resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"), body, test.status, test.kind)
		}
	}
	if resp := post(t, server.URL, url.QueryEscape(testARN+"echo"), "{}"); resp.StatusCode != 200 {
		t.Errorf("an escaped ARN: %d", resp.StatusCode)
	}
	resp, err := http.Get(server.URL + "/2015-03-31/functions/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 404 || resp.Header.Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("another operation: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestErrorsThroughTheSDK(t *testing.T) {
	s, _ := newService(t)
	f := add(t, s, Config{Concurrency: 1, Timeout: 10 * time.Second})
	client, _ := newClient(t, s)
	invoke := func(name, payload, qualifier string) error {
		in := &awslambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(payload)}
		if qualifier != "" {
			in.Qualifier = aws.String(qualifier)
		}
		_, err := client.Invoke(t.Context(), in)
		return err
	}
	var notFound *types.ResourceNotFoundException
	if err := invoke("other", "{}", ""); !errors.As(err, &notFound) || !strings.Contains(notFound.ErrorMessage(), "other") {
		t.Errorf("an unknown function: %v", err)
	}
	if err := invoke("echo", "{}", "7"); !errors.As(err, &notFound) {
		t.Errorf("an unknown version: %v", err)
	}
	var notJSON *types.InvalidRequestContentException
	if err := invoke("echo", "{", ""); !errors.As(err, &notJSON) {
		t.Errorf("no JSON: %v", err)
	}
	held, busy := newHold(t), make(chan struct{})
	go func() {
		_, _, _ = f.Invoke(context.Background(), []byte(held.event), "")
		close(busy)
	}()
	held.begun(t, 1)
	var throttled *types.TooManyRequestsException
	err := invoke("echo", "{}", "")
	if !errors.As(err, &throttled) || throttled.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("throttled: %v", err)
	}
	held.release(t)
	<-busy
	s.Close(t.Context())
	var api smithy.APIError
	if err := invoke("echo", "{}", ""); !errors.As(err, &api) || api.ErrorCode() != "ServiceUnavailableException" {
		t.Errorf("closed: %v", err)
	}
}

func TestLogTail(t *testing.T) {
	s, log := newService(t)
	add(t, s, Config{})
	client, _ := newClient(t, s)
	tailOf := func(event string) string {
		t.Helper()
		out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte(event), LogType: types.LogTypeTail})
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, init := range []string{`\tInit Duration: \d+\.\d\d ms`, ``} {
		want := `^START RequestId: (\S+) Version: \$LATEST\nout 0 x\nerr 0 x\nout 1 x\nerr 1 x\nEND RequestId: (\S+)\nREPORT RequestId: (\S+)\tDuration: \d+\.\d\d ms\tMemory Size: 128 MB` + init + `\n$`
		if got := tailOf(`{"do":"print","n":2,"text":"x"}`); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("tail %q", got)
		}
	}
	if got := tailOf(`{"do":"print","n":2000,"text":"y"}`); len(got) != 4096 || !strings.Contains(got, "err 1999 y\nEND RequestId: ") {
		t.Errorf("the tail of a long log has %d bytes: …%q", len(got), got[max(0, len(got)-200):])
	}
	if got := tailOf(`{"do":"exit","n":2}`); !strings.Contains(got, "END RequestId") {
		t.Errorf("the tail of a crash: %q", got)
	}
	if strings.Contains(log.String(), "\x00") {
		t.Error("the marker is in the log")
	}
}

func TestEventInvocations(t *testing.T) {
	s, log := newService(t)
	s.events.delays = [2]time.Duration{10 * time.Millisecond, 10 * time.Millisecond}
	s.events.throttled = [2]time.Duration{10 * time.Millisecond, 20 * time.Millisecond}
	f := add(t, s, Config{Concurrency: 1})
	client, _ := newClient(t, s)
	dir := t.TempDir()
	send := func(file string, succeedsAt int) {
		t.Helper()
		payload, err := json.Marshal(map[string]any{"do": "count", "file": file, "n": succeedsAt})
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String("echo"), Payload: payload, InvocationType: types.InvocationTypeEvent})
		if err != nil || out.StatusCode != 202 || len(out.Payload) > 0 {
			t.Fatalf("%v, %v", out, err)
		}
	}
	attempts := func(file string) int {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n")
	}

	third, never := filepath.Join(dir, "third"), filepath.Join(dir, "never")
	send(third, 3)
	eventually(t, "the third attempt succeeds", func() bool { return attempts(third) == 3 })
	send(never, 99)
	eventually(t, "the event is dropped", func() bool { return strings.Contains(log.String(), "for the last time and is dropped") })
	if n := attempts(never); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}

	held := newHold(t)
	var busy sync.WaitGroup
	busy.Go(func() { _, _, _ = f.Invoke(context.Background(), []byte(held.event), "") })
	late := filepath.Join(dir, "late")
	held.begun(t, 1)
	throttled := func() int { return strings.Count(log.String(), "invocation throttled") }
	before := throttled()
	send(late, 1)
	eventually(t, "the event is throttled", func() bool { return throttled() > before })
	if attempts(late) != 0 {
		t.Error("the throttled event runs")
	}
	held.release(t)
	eventually(t, "the throttled event runs at last", func() bool { return attempts(late) == 1 })
	busy.Wait()

	s.events.delays[0] = time.Hour
	lost := filepath.Join(dir, "lost")
	send(lost, 99)
	eventually(t, "the first attempt", func() bool { return attempts(lost) == 1 })
	s.Close(t.Context())
	if !strings.Contains(log.String(), "asynchronous invocation lost") {
		t.Error("the log does not say that an event was lost")
	}
	if err := s.events.add(f, invocation{}); !errors.Is(err, ErrClosed) {
		t.Errorf("an event after Close: %v", err)
	}
}

// A function's EventInvokeConfig limits the attempts, and the age of an event at each.
func TestEventInvocationsHaveLimits(t *testing.T) {
	for _, c := range []struct {
		name     string
		async    Async
		delay    time.Duration
		attempts int
		log      string
	}{
		{"no retry", Async{Retries: 0, MaxAge: time.Hour}, 0, 1, "for the last time and is dropped"},
		{"one retry", Async{Retries: 1, MaxAge: time.Hour}, 0, 2, "for the last time and is dropped"},
		{"too old for a retry", Async{Retries: 2, MaxAge: time.Minute}, time.Minute, 1, "would be too old at the next attempt and is dropped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, log := newService(t)
			s.events.delays = [2]time.Duration{c.delay, c.delay}
			f := add(t, s, Config{Async: &c.async})
			file := filepath.Join(t.TempDir(), "attempts")
			payload, err := json.Marshal(map[string]any{"do": "count", "file": file, "n": 99})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.InvokeAsync(payload); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the event is dropped", func() bool { return strings.Contains(log.String(), c.log) })
			text, err := os.ReadFile(file)
			if n := strings.Count(string(text), "\n"); err != nil || n != c.attempts {
				t.Errorf("%d attempts (%v), want %d", n, err, c.attempts)
			}
		})
	}
}

// An event that is throttled until it is too old is dropped.
func TestAThrottledEventBecomesTooOld(t *testing.T) {
	s, log := newService(t)
	s.events.throttled = [2]time.Duration{time.Minute, time.Minute}
	f := add(t, s, Config{Concurrency: 1, Async: &Async{Retries: 2, MaxAge: time.Minute}})
	held := newHold(t)
	var busy sync.WaitGroup
	busy.Go(func() { _, _, _ = f.Invoke(context.Background(), []byte(held.event), "") })
	held.begun(t, 1)
	if err := f.InvokeAsync([]byte("{}")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is dropped", func() bool { return strings.Contains(log.String(), "would be too old at the next attempt") })
	held.release(t)
	busy.Wait()
}
