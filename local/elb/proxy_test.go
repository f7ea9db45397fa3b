package elb

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// program is an HTTP server on a port of its own, as a container is one.
func program(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, DisableGeneralOptionsHandler: true}
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return l.Addr().String()
}

// socket answers every connection with the bytes of script, after the head of
// a request, and tells what it read.
func socket(t testing.TB, script func(net.Conn, string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				var head string
				for !strings.HasSuffix(head, "\r\n\r\n") {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					head += line
				}
				script(c, head)
			}()
		}
	}()
	return l.Addr().String()
}

// users is a group of type ip whose health checks take nearly any answer.
func users(addrs ...string) *TargetGroup {
	g := &TargetGroup{ARN: "arn:users", Name: "users", Type: "ip", Health: HealthCheck{Path: "/healthz", Interval: 300 * time.Second, Timeout: 2 * time.Second, Matcher: "200-499"}}
	for _, addr := range addrs {
		g.Register(addr)
	}
	return g
}

// afterCheck keeps health checks away from what a test counts.
func afterCheck(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == healthAgent {
			return
		}
		h(w, r)
	}
}

func TestTargetGetsTheRequestAsItCame(t *testing.T) {
	var got atomic.Pointer[string]
	target := socket(t, func(c net.Conn, head string) {
		if !strings.Contains(head, healthAgent) {
			got.Store(&head)
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	addr := serve(t, config(forward(users(target))))
	for _, want := range append([]string{"/?", "/?x=%2F&bad=%zz&a=b;c", "//?x=1", "/v1/me?x=/../", "//a%2Fb/.."}, oddPaths...) {
		wantStatus(t, get(t, addr, want), 200)
		line, _, _ := strings.Cut(*got.Load(), "\r\n")
		if line != "GET "+want+" HTTP/1.1" {
			t.Errorf("request line %q, want the target %q", line, want)
		}
	}
	wantStatus(t, send(t, addr, head("OPTIONS", "*")+"\r\n"), 200)
	if !strings.HasPrefix(*got.Load(), "OPTIONS * HTTP/1.1\r\n") {
		t.Errorf("%q", *got.Load())
	}
}

func TestTargetHeaders(t *testing.T) {
	seen := make(chan *http.Request, 1)
	target := program(t, afterCheck(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Header().Set("Server", "users/1")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "made")
	}))
	addr := serve(t, config(forward(users(target))))
	res := get(t, addr, "/", "Connection: X-Secret", "X-Secret: 1", "Keep-Alive: timeout=1", "Proxy-Authorization: p", "Authorization: Bearer t",
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: other", "Forwarded: for=203.0.113.9", "Accept-Encoding: br")
	r := <-seen
	for name, want := range map[string]string{
		"X-Secret": "", "Keep-Alive": "", "Proxy-Authorization": "", "Connection": "", "User-Agent": "",
		"Authorization": "Bearer t", "Accept-Encoding": "br", "Forwarded": "for=203.0.113.9", "X-Forwarded-Host": "other",
		"X-Forwarded-For": "203.0.113.9, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80",
		"Elb_target": "",
	} {
		if got := strings.Join(r.Header.Values(name), "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.Host != "scores.example" {
		t.Errorf("Host %q", r.Host)
	}
	if got := r.Header.Get("X-Amzn-Trace-Id"); !regexp.MustCompile(`^Root=` + newTrace + `$`).MatchString(got) {
		t.Errorf("trace %q", got)
	}
	wantStatus(t, res, 201)
	if res.text != "made" || res.Header.Get("Server") != "users/1" || len(res.Header.Values("Set-Cookie")) != 2 || res.Header.Get("X-Hop") != "" {
		t.Errorf("%v %q", res.Header, res.text)
	}
}

func TestTargetBodies(t *testing.T) {
	target := program(t, afterCheck(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	}))
	addr := serve(t, config(forward(users(target))))
	big := strings.Repeat("0123456789abcdef", 3<<16) // 3 MB: the limit of 1 MB is for functions
	if res := post(t, addr, "/", "text/plain", big); res.text != big {
		t.Errorf("%d bytes came back", len(res.text))
	}
	if res := send(t, addr, head("POST", "/", "Transfer-Encoding: chunked")+"\r\n5\r\nhello\r\n0\r\n\r\n"); res.text != "hello" {
		t.Errorf("%q", res.text)
	}
	if res := send(t, addr, head("HEAD", "/")+"\r\n"); res.text != "" || res.StatusCode != 200 {
		t.Errorf("HEAD: %d %q", res.StatusCode, res.text)
	}
	wantPage(t, send(t, addr, head("POST", "/", "Transfer-Encoding: chunked")+"\r\nzz\r\n"), 400)
}

func TestRoundRobin(t *testing.T) {
	name := func(s string) string {
		return program(t, afterCheck(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }))
	}
	g := users(name("a"), name("b"))
	addr := serve(t, config(forward(g)))
	eventually(t, "both are healthy", func() bool { return g.Healthy() == 2 })
	var order string
	for range 6 {
		order += get(t, addr, "/").text
	}
	if order != "ababab" && order != "bababa" {
		t.Errorf("order %s", order)
	}
	g.Deregister(g.Targets()[0].Addr)
	if got := get(t, addr, "/").text + get(t, addr, "/").text; got != "bb" {
		t.Errorf("after a deregistration: %s", got)
	}
}

func TestNoTargetIs503(t *testing.T) {
	g := users()
	addr := serve(t, config(forward(g)))
	wantPage(t, get(t, addr, "/"), 503)
	g.Register(program(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up") }))
	if res := get(t, addr, "/"); res.text != "up" { // not healthy yet, but the only one
		t.Errorf("%d %q", res.StatusCode, res.text)
	}
	g.Deregister(g.Targets()[0].Addr)
	wantPage(t, get(t, addr, "/"), 503)
}

func TestBrokenTargets(t *testing.T) {
	// Nobody listens at the other end of a connection, and nobody else gets its port, as
	// that of a listener that was closed.
	closed, err := net.Dial("tcp", socket(t, func(c net.Conn, _ string) { io.Copy(io.Discard, c) }))
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	reply := func(s string) string { return socket(t, func(c net.Conn, _ string) { io.WriteString(c, s) }) }
	wait := make(chan struct{})
	t.Cleanup(func() { close(wait) })
	for name, c := range map[string]struct {
		target string
		status int
	}{
		"nobody listens":            {closed.LocalAddr().String(), 502},
		"it closes at once":         {reply(""), 502},
		"it resets":                 {socket(t, func(c net.Conn, _ string) { c.(*net.TCPConn).SetLinger(0) }), 502},
		"it does not speak HTTP":    {reply("SSH-2.0-OpenSSH\r\n"), 502},
		"half a head":               {reply("HTTP/1.1 200 OK\r\nConte"), 502},
		"a malformed header":        {reply("HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), 502},
		"headers over 64K":          {reply("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n"), 502},
		"it does not answer":        {socket(t, func(net.Conn, string) { <-wait }), 504},
		"it stops within its head":  {socket(t, func(c net.Conn, _ string) { io.WriteString(c, "HTTP/1.1 200 OK\r\n"); <-wait }), 504},
		"it answers with an error":  {reply("HTTP/1.1 500 No\r\nContent-Type: text/html\r\nServer: awselb/2.0\r\nContent-Length: 22\r\n\r\n<center><h1>500 target"), 500},
		"a body without any length": {reply("HTTP/1.0 404 No\r\nContent-Type: text/html\r\nServer: awselb/2.0\r\n\r\n<center><h1>404 target"), 404},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logs{}
			cfg := config(forward(users(c.target)))
			cfg.IdleTimeout = time.Second
			cfg.Log = log.logger(slog.LevelWarn)
			wantPage(t, get(t, serve(t, cfg), "/x"), c.status)
			if c.status > 500 {
				eventually(t, "a warning with the reason", func() bool {
					return strings.Contains(log.String(), "status="+strconv.Itoa(c.status)) && strings.Contains(log.String(), "target_group=users target="+c.target+" reason=\"target: ")
				})
			}
		})
	}
}

// A body that ends before its length breaks the connection: the client must
// not take it for whole.
func TestCutBody(t *testing.T) {
	target := socket(t, func(c net.Conn, _ string) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf") })
	c := dial(t, serve(t, config(forward(users(target)))))
	io.WriteString(c, head("GET", "/")+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return // cut before the head is just as clear
	}
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("taken for whole: %q", body)
	}
}

func TestTargetIsToldThatTheClientLeft(t *testing.T) {
	entered, told := make(chan struct{}), make(chan struct{})
	target := program(t, afterCheck(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(told)
	}))
	log := &logs{}
	cfg := config(forward(users(target)))
	cfg.Log = log.logger(slog.LevelDebug)
	c := dial(t, serve(t, cfg))
	io.WriteString(c, head("GET", "/slow")+"\r\n")
	<-entered
	c.Close()
	<-told
	eventually(t, "a line with status 460", func() bool { return strings.Contains(log.String(), "path=/slow status=460") })
}

func TestUpgradePassesToATarget(t *testing.T) {
	target := socket(t, func(c net.Conn, head string) {
		if !strings.Contains(head, "Upgrade: websocket\r\n") {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, c)
	})
	c := dial(t, serve(t, config(forward(users(target)))))
	r := bufio.NewReader(c)
	io.WriteString(c, head("GET", "/", "Connection: Upgrade", "Upgrade: websocket")+"\r\n")
	wantStatus(t, receive(t, r, "GET"), 101)
	const frames = "\x81\x02hi\x00\n\r\n GET \xff"
	io.WriteString(c, frames)
	got := make([]byte, len(frames))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != frames {
		t.Errorf("%q came back, %v", got, err)
	}
}

// A target may answer before it has the whole body. The balancer passes that
// on, and reads no body away from the request that it still sends: that would
// break it off, and the answer with it.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	half := strings.Repeat("x", 64<<10)
	target := program(t, afterCheck(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
		io.WriteString(w, half)
		if err := rc.Flush(); err != nil {
			t.Error(err)
		}
		if body, err := io.ReadAll(r.Body); string(body) != "0123456789" || err != nil {
			t.Errorf("the target got %q, %v", body, err)
		}
		io.WriteString(w, half)
	}))
	addr := serve(t, config(forward(users(target))))
	for range 20 {
		c := dial(t, addr)
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, head("POST", "/", "Content-Length: 10")+"\r\n012345678")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("no answer before the end of the body: %v", err)
		}
		io.WriteString(c, "9")
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != half+half {
			t.Fatalf("%d bytes of the answer, %v", len(body), err)
		}
		c.Close()
	}
}
