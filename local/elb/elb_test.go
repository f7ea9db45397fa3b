package elb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// function is an Invoker that keeps what it was sent and answers with reply.
type function struct {
	reply func(event) (string, string, error)

	mu     sync.Mutex
	events []event
	traces []string
}

// event has both header forms, so that a test sees which one came.
type event struct {
	RequestContext struct {
		ELB struct {
			TargetGroupArn string `json:"targetGroupArn"`
		} `json:"elb"`
	} `json:"requestContext"`
	HTTPMethod       string              `json:"httpMethod"`
	Path             string              `json:"path"`
	Query            map[string]string   `json:"queryStringParameters"`
	MultiValueQuery  map[string][]string `json:"multiValueQueryStringParameters"`
	Headers          map[string]string   `json:"headers"`
	MultiValueHeader map[string][]string `json:"multiValueHeaders"`
	Body             *string             `json:"body"`
	IsBase64Encoded  *bool               `json:"isBase64Encoded"`
}

func (f *function) Invoke(_ context.Context, payload []byte, traceID string) ([]byte, string, error) {
	var e event
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, "", err
	}
	f.mu.Lock()
	f.events = append(f.events, e)
	f.traces = append(f.traces, traceID)
	f.mu.Unlock()
	res, functionError, err := f.reply(e)
	return []byte(res), functionError, err
}

func (f *function) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

// last is the latest event.
func (f *function) last(t testing.TB) event {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.events) == 0 {
		t.Fatal("the function was not invoked")
	}
	return f.events[len(f.events)-1]
}

func (f *function) at(i int) event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events[i]
}

// trace is what Invoke was called with.
func (f *function) trace(i int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.traces[i]
}

// answers is a function that always answers the same.
func answers(reply string) *function {
	return &function{reply: func(event) (string, string, error) { return reply, "", nil }}
}

const ok = `{"statusCode":200,"multiValueHeaders":{"Content-Type":["text/plain"]},"body":"hello"}`

func group(f Invoker) *TargetGroup {
	return &TargetGroup{ARN: "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/f/1", Name: "f", Type: "lambda", MultiValueHeaders: true, Function: f}
}

func forward(g *TargetGroup) Action { return Action{Type: "forward", TargetGroup: g} }

// config is the load balancer of template.yaml with one default action.
func config(a Action) Config {
	return Config{
		Listener:           Listener{Protocol: "HTTP", Port: 80, Default: a},
		DropInvalidHeaders: true,
		DesyncStrictest:    true,
		Log:                slog.New(slog.DiscardHandler),
	}
}

// serve runs a load balancer until the test ends and returns its address.
func serve(t testing.TB, cfg Config) string {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, b)
}

func run(t testing.TB, b *Balancer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// answer is a response with its body.
type answer struct {
	*http.Response
	text string
}

// send writes bytes to a fresh connection and reads one response.
func send(t testing.TB, addr, request string) answer {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	return receive(t, bufio.NewReader(c), method)
}

func receive(t testing.TB, r *bufio.Reader, method string) answer {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("response body: %v", err)
	}
	return answer{res, string(body)}
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// get sends a plain GET.
func get(t testing.TB, addr, target string, headers ...string) answer {
	t.Helper()
	return send(t, addr, head("GET", target, headers...)+"\r\n")
}

func post(t testing.TB, addr, target, contentType, body string, headers ...string) answer {
	t.Helper()
	if contentType != "" {
		headers = append(headers, "Content-Type: "+contentType)
	}
	return send(t, addr, head("POST", target, headers...)+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
}

func head(method, target string, headers ...string) string {
	s := method + " " + target + " HTTP/1.1\r\nHost: scores.example\r\n"
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func wantStatus(t testing.TB, res answer, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d; body %q", res.StatusCode, status, res.text)
	}
}

// wantPage is the look of an answer that the balancer made itself.
func wantPage(t testing.TB, res answer, status int) {
	t.Helper()
	wantStatus(t, res, status)
	if got := res.Header.Get("Content-Type"); got != "text/html" {
		t.Errorf("Content-Type %q, want text/html", got)
	}
	if got := res.Header.Get("Server"); got != "awselb/2.0" {
		t.Errorf("Server %q, want awselb/2.0", got)
	}
	if !strings.Contains(res.text, "<center><h1>"+strconv.Itoa(status)+" ") {
		t.Errorf("body %q is not the page of a %d", res.text, status)
	}
}

// logs is a log that tests read.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// eventually waits until holds returns true.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
