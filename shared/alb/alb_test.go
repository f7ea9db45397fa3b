package alb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"plaudit/shared/trace"
)

func TestPathStaysAsTheClientSentIt(t *testing.T) {
	for _, path := range []string{
		"/", "/v1/boards", "/v1/boards/", "//", "//evil.example/x", "/v1//boards", "/..", "/v1/../boards", "/./a",
		"/v1/boards/a%2Fb", "/v1/boards/a%2fb", "/%2e%2e/", "/%ED%95%9C", "/a%20b", "/a+b", "/a%25zz", "/a;b=1,c", "/a%3Fb%23c", "/a:b@c~d",
	} {
		r := send(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s %s %s", r.URL.EscapedPath(), r.RequestURI, r.URL.Host, r.URL.RawQuery)
		}, event("GET", path, `, "multiValueQueryStringParameters": {"a": ["%zz"]}`))
		if want := path + " " + path + "?a=%zz  a=%zz"; r.Body != want {
			t.Errorf("got %q, want %q", r.Body, want)
		}
	}
}

func TestPathThatCannotBeReadIsAProblem(t *testing.T) {
	for _, path := range []string{"/%", "/%2", "/%zz", "/a%G0", "", "v1/boards", "http://evil.example/"} {
		r := send(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%q reached the handler", path) }, event("GET", path, ""))
		var p struct {
			Type      string
			Status    int
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 400 || p.Status != 400 || p.Type != "urn:plaudit:error:bad-request" || p.RequestID != requestID {
			t.Errorf("%q: %d %+v", path, r.StatusCode, p)
		}
	}
}

func TestRequestIsAsNetHTTPMakesIt(t *testing.T) {
	r := send(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "PATCH" || r.URL.Scheme != "" || r.URL.Path != "/v1/boards/a" || r.Proto != "HTTP/1.1" {
			t.Errorf("%s %+v %s", r.Method, r.URL, r.Proto)
		}
		if got := r.Header["Idempotency-Key"]; !reflect.DeepEqual(got, []string{"a", "b"}) {
			t.Errorf("a header sent twice arrives as %q", got)
		}
		if _, ok := r.Header["Host"]; ok {
			t.Error("the host is a header too")
		}
	}, event("PATCH", "/v1/boards/a", `, "multiValueHeaders": {"host": ["plaudit.example"], "idempotency-key": ["a", "b"]}`))
	if r.StatusCode != 200 {
		t.Error(r.StatusCode)
	}
	send(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "get" {
			t.Errorf("the method get became %s: methods are case-sensitive", r.Method)
		}
	}, event("get", "/", ""))
}

// A client's Host header may be anything; it is no part of a URL here.
func TestAnyHostReachesTheHandler(t *testing.T) {
	for _, host := range []string{"[::", "a b", "%zz", "a/b?c#d"} {
		for form, headers := range map[string]string{
			"multi-value":  `, "multiValueHeaders": {"host": ["` + host + `"]}`,
			"single-value": `, "multiValueHeaders": null, "headers": {"host": "` + host + `"}`,
		} {
			r := send(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }, event("GET", "/", headers))
			if r.Body != host {
				t.Errorf("%s %q: %d %s", form, host, r.StatusCode, r.Body)
			}
		}
	}
}

func TestRemoteAddrIsWhatTheBalancerSaw(t *testing.T) {
	for forwarded, want := range map[string]string{
		`["203.0.113.7"]`:                 "203.0.113.7:0",
		`["10.0.0.1, 203.0.113.7"]`:       "203.0.113.7:0",
		`["10.0.0.1", "203.0.113.7:443"]`: "203.0.113.7:443",
		`["2001:db8::1"]`:                 "[2001:db8::1]:0",
		`["203.0.113.7, me"]`:             "",
		`[]`:                              "",
	} {
		r := send(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) },
			event("GET", "/", `, "multiValueHeaders": {"x-forwarded-for": `+forwarded+`}`))
		if r.Body != want {
			t.Errorf("%s: %q, want %q", forwarded, r.Body, want)
		}
	}
}

func TestTraceIsTheInvokesAndTheClients(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	show := func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(trace.From(r.Context()))
	}
	for sent, keep := range map[string]bool{parent: true, "00-zz": false} {
		r := send(t, show, event("GET", "/", `, "multiValueHeaders": {"traceparent": ["`+sent+`"], "x-request-id": ["forged"]}`))
		var info trace.Info
		if err := json.Unmarshal([]byte(r.Body), &info); err != nil {
			t.Fatal(err)
		}
		if info.RequestID != requestID || r.header("X-Request-Id") != requestID {
			t.Errorf("the request id is %q, in the header %q", info.RequestID, r.header("X-Request-Id"))
		}
		if (info.Parent == sent) != keep || info.Parent != trace.Parent(info.Parent) {
			t.Errorf("traceparent %q became %q", sent, info.Parent)
		}
	}
}

func TestHealthCheckDoesNotReachTheHandler(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }
	for name, c := range map[string]struct {
		headers string
		status  int
	}{
		"multi-value form":        {`, "multiValueHeaders": {"user-agent": ["ELB-HealthChecker/2.0"]}`, 200},
		"single-value form":       {`, "multiValueHeaders": null, "headers": {"user-agent": "ELB-HealthChecker/2.0"}`, 200},
		"a client that claims it": {`, "multiValueHeaders": {"user-agent": ["ELB-HealthChecker/2.0"], "host": ["a"]}`, 418},
		"a client without a host": {`, "multiValueHeaders": {"user-agent": ["curl/8"]}`, 418},
	} {
		r := send(t, handler, event("GET", "/", c.headers))
		if r.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, r.StatusCode, c.status)
		}
	}
}

func TestOneHeaderFormOnly(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Vary"] = []string{"Origin", "Authorization"}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
	}
	r := send(t, handler, event("GET", "/", ""))
	if r.raw["headers"] != nil || !reflect.DeepEqual(r.MultiValueHeaders["Vary"], []string{"Origin", "Authorization"}) || len(r.MultiValueHeaders["Set-Cookie"]) != 2 {
		t.Errorf("multi-value: %v", r.raw)
	}
	r = send(t, handler, single("GET", "/", ""))
	if r.raw["multiValueHeaders"] != nil || r.Headers["Vary"] != "Origin, Authorization" || r.Headers["Set-Cookie"] != "b=2" {
		t.Errorf("single-value: %v", r.raw)
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
	}{{"GET", 204}, {"HEAD", 204}, {"GET", 304}, {"HEAD", 304}} {
		r := send(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(c.status)
			io.WriteString(w, "body")
		}, event(c.method, "/", ""))
		if r.StatusCode != c.status || r.Body != "" || r.header("ETag") != `"1"` {
			t.Errorf("%s %d: %+v", c.method, c.status, r.ALBTargetGroupResponse)
		}
	}
}

// The load balancer counts the body for Content-Length and leaves it out.
func TestAnswerToHEADIsThatToGET(t *testing.T) {
	for status, body := range map[int]string{200: "body", 404: `{"status":404}`, 500: ""} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
		get, head := send(t, handler, event("GET", "/", "")), send(t, handler, event("HEAD", "/", ""))
		if !reflect.DeepEqual(get.raw, head.raw) || head.Body != body {
			t.Errorf("%d: GET %v, HEAD %v", status, get.raw, head.raw)
		}
	}
}

func TestInterimResponsesAreLeftOut(t *testing.T) {
	r := send(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	}, event("GET", "/", ""))
	if r.StatusCode != 202 {
		t.Error(r.StatusCode)
	}
}

func TestPanicAfterWritingIsA500WithTheRequestID(t *testing.T) {
	logged := captureLog(t)
	r := send(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "half an ans")
		panic("the reason")
	}, event("GET", "/", ""))
	if r.StatusCode != 500 || r.header("ETag") != "" || strings.Contains(r.Body, "half") || strings.Contains(r.Body, "reason") || !strings.Contains(r.Body, requestID) {
		t.Errorf("%+v", r.ALBTargetGroupResponse)
	}
	if !strings.Contains(logged.String(), "the reason") || !strings.Contains(logged.String(), "alb_test.go") {
		t.Errorf("logged: %s", logged)
	}
}

func TestResponseOverTheLimitIsA500(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"just below", strings.Repeat("a", maxResponse-1000), 200},
		{"over", strings.Repeat("a", maxResponse), 500},
		{"over once encoded", strings.Repeat(`"`, maxResponse/2), 500},
		{"markup does not grow", strings.Repeat("<", maxResponse/2), 200},
		{"binary over once encoded", strings.Repeat("\xff", maxResponse*4/5), 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			logged := captureLog(t)
			r := send(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "https://example.org")
				io.WriteString(w, c.body)
			}, event("GET", "/", ""))
			if r.StatusCode != c.status || r.size > maxResponse || r.header("Access-Control-Allow-Origin") == "" {
				t.Errorf("status %d, %d bytes, headers %v", r.StatusCode, r.size, r.MultiValueHeaders)
			}
			if c.status == 500 && (r.StatusDescription != "500 Internal Server Error" || !strings.Contains(r.Body, requestID) ||
				!strings.Contains(logged.String(), "over the load balancer's limit")) {
				t.Errorf("%+v, logged: %s", r.ALBTargetGroupResponse, logged)
			}
		})
	}
}

// A problem in place of a response that was for everybody is not.
func TestReplacedResponseIsNotShared(t *testing.T) {
	captureLog(t)
	for name, rest := range map[string]func(w http.ResponseWriter){
		"too large": func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("a", maxResponse)) },
		"a panic":   func(http.ResponseWriter) { panic("x") },
	} {
		r := send(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Expose-Headers", "ETag")
			w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
			w.WriteHeader(http.StatusOK)
			rest(w)
		}, event("GET", "/", ""))
		if r.StatusCode != 500 || r.header("Access-Control-Allow-Origin") != "" || r.header("Access-Control-Expose-Headers") != "" || r.header("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %d %v", name, r.StatusCode, r.MultiValueHeaders)
		}
	}
}

func TestEventsOfOthersAreClearErrors(t *testing.T) {
	for name, payload := range map[string]string{
		"requestContext.elb.targetGroupArn is missing": `{"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}}}`,
		"httpMethod is missing":                        `{` + elb + `}`,
		"base64":                                       event("POST", "/", `, "body": "***", "isBase64Encoded": true`),
	} {
		_, err := lambda.NewHandler(newServer(http.NotFoundHandler()).invoke).Invoke(invokeContext(), []byte(payload))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q: %v", name, err)
		}
	}
}

// captureLog sends what the test logs into a buffer.
func captureLog(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

// BenchmarkInvoke measures the whole edge, from the event's JSON to the
// answer's, around a handler that does next to nothing.
func BenchmarkInvoke(b *testing.B) {
	headers := `, "multiValueHeaders": {"host": ["plaudit.example"], "accept": ["*/*"], "authorization": ["Bearer ` + strings.Repeat("x", 700) + `"],
		"content-type": ["application/json"], "idempotency-key": ["race-42"], "user-agent": ["curl/8.5.0"], "x-amzn-trace-id": ["Root=1-5bdb40ca-556d8b0c50dc66f0511bf520"],
		"x-forwarded-for": ["203.0.113.7"], "x-forwarded-port": ["443"], "x-forwarded-proto": ["https"]}`
	payload := []byte(event("POST", "/v1/boards/seoul-2026/entries", headers+`, "body": "{\"player\": \"7\", \"points\": 42, \"note\": \"first in the half marathon\"}"`))
	for name, size := range map[string]int{"600 B": 600, "100 kB": 100_000} {
		answer := bytes.Repeat([]byte(`{"a":1},`), size/8)
		h := lambda.NewHandler(newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			w.Write(answer)
		})).invoke)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := invokeContext()
			for b.Loop() {
				if _, err := h.Invoke(ctx, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A handler that waits for something is told to stop while there is still time to send
// its answer: at the invoke's own deadline, Lambda kills the function.
func TestAHandlerStopsBeforeTheInvoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(invokeContext(), time.Second)
	defer cancel()
	h := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		if ctx.Err() == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	b, err := lambda.NewHandler(newServer(http.HandlerFunc(h)).invoke).Invoke(ctx, []byte(event("GET", "/", "")))
	if err != nil {
		t.Fatal(err)
	}
	if r := decodeResponse(t, b); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%+v", r)
	}
}
