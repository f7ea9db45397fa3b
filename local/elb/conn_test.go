package elb

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wantClosed says that the balancer ends the connection after its answer.
func wantClosed(t *testing.T, r *bufio.Reader) {
	t.Helper()
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection is still open: %q, %v", b, err)
	}
}

// TestStrictest sends what http_desync_guardian does not call Compliant. Each
// gets a 400 and the end of the connection, and never reaches a target.
func TestStrictest(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	const body = "\r\nhello"
	for name, request := range map[string]string{
		"BothTeClPresent":                    head("POST", "/", "Content-Length: 5", "Transfer-Encoding: chunked") + "\r\n0\r\n\r\n",
		"DuplicateContentLength":             head("POST", "/", "Content-Length: 5", "Content-Length: 5") + body,
		"MultipleContentLength":              head("POST", "/", "Content-Length: 5", "Content-Length: 6") + body,
		"a list of lengths":                  head("POST", "/", "Content-Length: 5, 5") + body,
		"BadContentLength":                   head("POST", "/", "Content-Length: +5") + body,
		"empty Content-Length":               head("POST", "/", "Content-Length:") + body,
		"negative Content-Length":            head("POST", "/", "Content-Length: -1") + body,
		"MultipleTransferEncodingChunked":    head("POST", "/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "\r\n0\r\n\r\n",
		"chunked twice in one header":        head("POST", "/", "Transfer-Encoding: chunked, chunked") + "\r\n0\r\n\r\n",
		"BadTransferEncoding":                head("POST", "/", "Transfer-Encoding: xchunked") + "\r\n0\r\n\r\n",
		"Transfer-Encoding with HTTP/1.0":    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"UndefinedContentLengthSemantics":    head("GET", "/", "Content-Length: 5") + body,
		"GetHeadZeroContentLength":           head("GET", "/", "Content-Length: 0") + "\r\n",
		"UndefinedTransferEncodingSemantics": head("HEAD", "/", "Transfer-Encoding: chunked") + "\r\n0\r\n\r\n",
		"SuspiciousHeader with a space":      head("POST", "/", "Transfer-Encoding : chunked") + "\r\n0\r\n\r\n",
		"SuspiciousHeader with _":            head("POST", "/", "Transfer_Encoding: chunked") + "\r\n",
		"SuspiciousHeader, Content.Length":   head("POST", "/", "Content.Length: 5") + "\r\n",
		"NonCompliantHeader, not ASCII":      head("GET", "/", "X-Name: caf\xc3\xa9") + "\r\n",
		"NonCompliantHeader, control":        head("GET", "/", "X-Name: a\x01b") + "\r\n",
		"BadHeader, NUL":                     head("GET", "/", "X-Name: a\x00b") + "\r\n",
		"BadHeader, CR":                      head("GET", "/", "X-Name: a\rb") + "\r\n",
		"header name with a space":           head("GET", "/", "X Name: a") + "\r\n",
		"MultilineHeader":                    head("GET", "/", "X-Name: a", " b") + "\r\n",
		"MissingHeaderColon":                 head("GET", "/", "X-Name") + "\r\n",
		"header without a name":              head("GET", "/", ": a") + "\r\n",
		"NonCrLfLineTermination":             "GET / HTTP/1.1\nHost: a\n\n",
		"SpaceInUri":                         head("GET", "/a b") + "\r\n",
		"AmbiguousUri":                       head("GET", "/a\x01b") + "\r\n",
		"BadUri":                             head("GET", "/a\x00b") + "\r\n",
		"MissingUri":                         "GET HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target that is no path":           head("GET", "v1/boards") + "\r\n",
		"CONNECT":                            head("CONNECT", "a:80") + "\r\n",
		"HTTP/0.9":                           "GET /\r\n\r\n",
		"NonCompliantVersion":                "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
		"BadVersion":                         "GET / HTTP/one\r\nHost: a\r\n\r\n",
		"HTTP/2":                             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"BadMethod":                          "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"no Host":                            "GET / HTTP/1.1\r\n\r\n",
		"two Hosts":                          head("GET", "/", "Host: b") + "\r\n",
		"malformed Host":                     "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			r := bufio.NewReader(c)
			// A request behind the refused one must not be served.
			io.WriteString(c, request+head("GET", "/smuggled")+"\r\n")
			wantPage(t, receive(t, r, "GET"), 400)
			wantClosed(t, r)
		})
	}
	if f.calls() != 0 {
		t.Errorf("the function was asked %d times", f.calls())
	}
}

// TestDefensive is the other mode: what is ambiguous is served, framed as
// RFC 9112 says, and ends the connection; what is severe is refused.
func TestDefensive(t *testing.T) {
	f := answers(ok)
	cfg := config(forward(group(f)))
	cfg.DesyncStrictest = false
	addr := serve(t, cfg)
	for name, c := range map[string]struct{ request, body string }{
		"both lengths":          {head("POST", "/", "Content-Type: text/plain", "Content-Length: 3", "Transfer-Encoding: chunked") + "\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		"the same length twice": {head("POST", "/", "Content-Type: text/plain", "Content-Length: 5", "Content-Length: 5") + "\r\nhello", "hello"},
		"GET with a body":       {head("GET", "/", "Content-Type: text/plain", "Content-Length: 5") + "\r\nhello", "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, addr)
			r := bufio.NewReader(conn)
			io.WriteString(conn, c.request)
			wantStatus(t, receive(t, r, "POST"), 200)
			wantClosed(t, r)
			if got := *f.last(t).Body; got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
		})
	}
	wantStatus(t, get(t, addr, "/a b", "X-Name: caf\xc3\xa9"), 200)
	if e := f.last(t); e.Path != "/a b" || e.MultiValueHeader["x-name"][0] != "caf\xc3\xa9" {
		t.Errorf("path %q, header %q", e.Path, e.MultiValueHeader["x-name"])
	}
	wantStatus(t, send(t, addr, "GET / HTTP/1.1\nHost: a\n\n"), 200)
	wantPage(t, send(t, addr, head("POST", "/", "Content-Length: 5", "Content-Length: 6")+"\r\nhello"), 400)
	wantPage(t, send(t, addr, head("POST", "/", "Transfer-Encoding: gzip")+"\r\n"), 501)
}

func TestDropInvalidHeaders(t *testing.T) {
	for _, drop := range []bool{true, false} {
		f := answers(ok)
		cfg := config(forward(group(f)))
		cfg.DropInvalidHeaders = drop
		get(t, serve(t, cfg), "/", "X_Under: 1", "X.Dot: 2", "X-Plain-1: 3", "Elb_target: /evil", "elb_reject: 500 evil")
		e := f.last(t)
		_, under := e.MultiValueHeader["x_under"]
		_, dot := e.MultiValueHeader["x.dot"]
		if under == drop || dot == drop || e.MultiValueHeader["x-plain-1"] == nil {
			t.Errorf("drop %v: %v", drop, e.MultiValueHeader)
		}
		if e.Path != "/" || e.MultiValueHeader["elb_target"] != nil || e.MultiValueHeader["elb_reject"] != nil {
			t.Errorf("a client speaks for the balancer: %+v", e)
		}
	}
}

// The limits are those of "HTTP header limits"; the statuses those of
// "Troubleshoot your Application Load Balancers", which lists a long request
// line under 400 and under 414: here it is 414.
func TestHeaderLimits(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	line := func(n int) string { return "/" + strings.Repeat("a", n-len("GET / HTTP/1.1\r\n")) }
	header := func(n int) string { return "X-Big: " + strings.Repeat("a", n-len("X-Big: \r\n")) }
	wantStatus(t, get(t, addr, line(maxLine-1)), 200)
	wantPage(t, get(t, addr, line(maxLine+1)), 414)
	wantStatus(t, get(t, addr, "/", header(maxLine-1)), 200)
	wantPage(t, get(t, addr, "/", header(maxLine+1)), 400)
	big := header(maxLine - 200)
	wantStatus(t, get(t, addr, "/", big, big, big, big), 200)
	wantPage(t, get(t, addr, "/", big, big, big, big, header(1000)), 400)
	if f.calls() != 3 {
		t.Errorf("the function was asked %d times, want 3", f.calls())
	}
}

func TestMalformedChunks(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	for _, chunks := range []string{"x\r\n", "-1\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "\r\n", strings.Repeat("1", 20) + "\r\n", "0\r\nx\n\r\n", strings.Repeat("1", maxLine) + "\r\n"} {
		c := dial(t, addr)
		r := bufio.NewReader(c)
		io.WriteString(c, head("POST", "/", "Transfer-Encoding: chunked")+"\r\n"+chunks+head("GET", "/smuggled")+"\r\n")
		wantPage(t, receive(t, r, "POST"), 400)
		wantClosed(t, r)
	}
	if f.calls() != 0 {
		t.Errorf("the function was asked %d times", f.calls())
	}
}

func TestTraceIsNotAllowed(t *testing.T) {
	wantPage(t, send(t, serve(t, config(forward(group(answers(ok))))), head("TRACE", "/")+"\r\n"), 405)
}

func TestPipelining(t *testing.T) {
	f := answers(ok)
	sent := make(chan struct{})
	f.reply = func(e event) (string, string, error) {
		<-sent // every request waits in the connection
		return `{"statusCode":200,"body":"` + e.Path + `"}`, "", nil
	}
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	io.WriteString(c, "\r\n"+head("GET", "/1")+"\r\n"+head("POST", "/2", "Content-Length: 3")+"\r\nabc"+head("GET", "/3")+"\r\nGET bad\r\n\r\n")
	close(sent)
	for _, want := range []string{"/1", "/2", "/3"} {
		if res := receive(t, r, "GET"); res.text != want {
			t.Errorf("answer %q, want %q", res.text, want)
		}
	}
	wantPage(t, receive(t, r, "GET"), 400) // in its turn, not before
	wantClosed(t, r)
}

// A head may arrive in pieces, also during the previous answer, when net/http
// interrupts its background reads. The pauses only keep the pieces apart.
func TestHeadInPieces(t *testing.T) {
	f := answers(ok)
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	request := head("GET", "/a")
	io.WriteString(c, request+"\r\n"+request[:7])
	wantStatus(t, receive(t, r, "GET"), 200)
	time.Sleep(10 * time.Millisecond)
	for _, piece := range []string{request[7:12], request[12:30], request[30:], "\r", "\n"} {
		io.WriteString(c, piece)
		time.Sleep(time.Millisecond)
	}
	wantStatus(t, receive(t, r, "GET"), 200)
	if f.calls() != 2 {
		t.Errorf("%d invokes", f.calls())
	}
}

func TestIdleTimeout(t *testing.T) {
	f := answers(ok)
	cfg := config(forward(group(f)))
	cfg.IdleTimeout = time.Second
	addr := serve(t, cfg)
	for name, c := range map[string]struct {
		request string
		status  int // 0: closed without an answer
	}{
		"nothing":            {"", 0},
		"half a head":        {"GET / HTTP/1.1\r\nHos", 408},
		"half a body":        {head("POST", "/", "Content-Length: 10") + "\r\nhalf", 408},
		"half a chunk":       {head("POST", "/", "Transfer-Encoding: chunked") + "\r\na\r\nhalf", 408},
		"half a second head": {head("GET", "/") + "\r\nGET /", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, addr)
			r := bufio.NewReader(conn)
			io.WriteString(conn, c.request)
			switch c.status {
			case 0:
			case 200:
				wantStatus(t, receive(t, r, "GET"), 200)
				wantPage(t, receive(t, r, "GET"), 408)
			default:
				wantPage(t, receive(t, r, "GET"), c.status)
			}
			wantClosed(t, r)
		})
	}
}

func TestHTTP10(t *testing.T) {
	f := answers(ok)
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	io.WriteString(c, "GET /old HTTP/1.0\r\n\r\n")
	if res := receive(t, r, "GET"); res.text != "hello" {
		t.Errorf("%q", res.text)
	}
	wantClosed(t, r)
}

// FuzzHead checks that net/http accepts every head that conn accepts, so that
// no answer to a client is net/http's own, and that it takes it for one
// request with the target that was sent.
func FuzzHead(f *testing.F) {
	f.Add("GET /a%zz?b HTTP/1.1\r\nHost: a\r\n\r\n", true)
	f.Add("POST //x HTTP/1.1\r\nhost: a:80\r\nContent-Length: 3\r\nX_y: 1\r\n\r\nabc", false)
	f.Add("PUT * HTTP/1.0\nTransfer-Encoding:identity\nA|b:\xff\n\n", false)
	f.Add("G HTTP://h?x HTTP/1.3\r\nHost:[::1]\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", false)
	f.Add("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nConnection: \t,\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true)
	f.Fuzz(func(t *testing.T, request string, strict bool) {
		c := &conn{in: bufio.NewReaderSize(strings.NewReader(request), maxLine), strictest: strict, dropInvalid: strict}
		if c.readHead() != nil || c.rejected.Load() {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.out)))
		if err != nil {
			t.Fatalf("net/http refuses %q, made of %q: %v", c.out, request, err)
		}
		targets := r.Header[targetHeader]
		if len(targets) != 1 || !strings.Contains(request, strings.TrimPrefix(targets[0], "/")) {
			t.Errorf("targets %q of %q", targets, request)
		}
		if chunked := len(r.TransferEncoding) > 0; chunked != (c.state == inChunkSize) || !chunked && r.ContentLength != c.body {
			t.Errorf("net/http sees length %d, chunked %v; conn %d, %v", r.ContentLength, chunked, c.body, c.state)
		}
	})
}
