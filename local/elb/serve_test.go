package elb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestServeEndsAfterTheRequestsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	f := &function{reply: func(event) (string, string, error) {
		close(entered)
		<-release
		return ok, "", nil
	}}
	b, err := New(config(forward(group(f))))
	if err != nil {
		t.Fatal(err)
	}
	b.drain = time.Minute
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, l) }()
	dial(t, l.Addr().String()) // Serve does not wait for an idle client
	c := dial(t, l.Addr().String())
	io.WriteString(c, head("GET", "/")+"\r\n")
	<-entered
	stop()
	eventually(t, "it no longer listens", func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Errorf("Serve ends during a request: %v", err)
	default:
	}
	close(release)
	wantStatus(t, receive(t, bufio.NewReader(c), "GET"), 200)
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeCutsRequestsThatDoNotEnd(t *testing.T) {
	f := endless{entered: make(chan struct{}), ended: make(chan struct{})}
	b, err := New(config(forward(group(f))))
	if err != nil {
		t.Fatal(err)
	}
	b.drain = 50 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, l) }()
	c := dial(t, l.Addr().String())
	io.WriteString(c, head("GET", "/")+"\r\n")
	<-f.entered
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	<-f.ended // the invoke has ended too
}

// endless is a function that waits for the end of its invoke.
type endless struct{ entered, ended chan struct{} }

func (f endless) Invoke(ctx context.Context, _ []byte, _ string) ([]byte, string, error) {
	close(f.entered)
	<-ctx.Done()
	close(f.ended)
	return nil, "", ctx.Err()
}

func TestAccessLog(t *testing.T) {
	f := answers(ok)
	log := &logs{}
	cfg := config(forward(group(f)))
	cfg.Log = log.logger(slog.LevelDebug)
	addr := serve(t, cfg)
	get(t, addr, "/v1/boards/a%2Fb?token=hush", "Authorization: Bearer hush")
	get(t, addr, "/v1/links/"+strings.Repeat("hush", 10)+"/0198c0de-0000-7000-8000-000000000000")
	f.reply = func(event) (string, string, error) { return "", "", errors.New("throttled") }
	get(t, addr, "/fails")
	for _, want := range []string{
		"level=DEBUG msg=\"load balancer\" method=GET path=/v1/boards/a%2Fb status=200 duration=",
		"path=/v1/links/…/0198c0de-0000-7000-8000-000000000000 status=200",
		"level=WARN msg=\"load balancer\" method=GET path=/fails status=502 duration=",
		"target_group=f reason=\"invoke: throttled\"",
	} {
		eventually(t, want, func() bool { return strings.Contains(log.String(), want) })
	}
	if strings.Contains(log.String(), "hush") {
		t.Errorf("the log has a secret: %s", log)
	}
}

// The benchmarks measure the time that the balancer adds to a function or a
// target that takes none: one client, one connection kept open.

func BenchmarkLambda(b *testing.B) {
	b.Run("an entry", func(b *testing.B) { benchmark(b, group(constant(ok)), entry) })
	batch := `{"entries":[` + strings.Repeat(entry+`,`, 2000) + entry + `]}`
	quoted, err := json.Marshal(batch)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("a batch", func(b *testing.B) {
		benchmark(b, group(constant(`{"statusCode":200,"body":`+string(quoted)+`}`)), batch)
	})
}

const entry = `{"player":"1042","points":42}`

func BenchmarkTarget(b *testing.B) {
	benchmark(b, users(program(b, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	})), entry)
}

func benchmark(b *testing.B, g *TargetGroup, body string) {
	c := dial(b, serve(b, config(forward(g))))
	c.SetDeadline(time.Time{})
	r := bufio.NewReader(c)
	request := []byte(head("POST", "/v1/boards/seoul-2026/entries", "Authorization: Bearer "+strings.Repeat("x", 600), "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body))) + "\r\n" + body)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		if res := receive(b, r, "POST"); res.StatusCode != 200 {
			b.Fatal(res.Status)
		}
	}
}

// constant is a function that answers at once.
type constant string

func (c constant) Invoke(context.Context, []byte, string) ([]byte, string, error) {
	return []byte(c), "", nil
}

// A client may send its whole body before it reads the answer, even if the
// target refuses the body. It must still get the answer.
func TestAnswerReachesAClientThatSendsOn(t *testing.T) {
	big := strings.Repeat("x", 8<<20)
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) })}
	go target.Serve(refusing)
	t.Cleanup(func() { target.Close() })
	service := &TargetGroup{Name: "service", Type: "ip"}
	service.Register(refusing.Addr().String())
	for name, g := range map[string]*TargetGroup{"a function": group(answers(ok)), "a service": service} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, config(forward(g)))
			for range 20 {
				wantStatus(t, post(t, addr, "/", "text/plain", big), 413)
			}
		})
	}
}
