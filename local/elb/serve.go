package elb

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	traceHeader = "X-Amzn-Trace-Id"
	// maxTracedHeader is the size of headers beyond which a trace of the
	// client's is replaced ("Request tracing", limitations).
	maxTracedHeader = 7 << 10
	maxForwarded    = 30 // addresses in a client's X-Forwarded-For
	// The two statuses that only ALB has.
	statusClientGone = 460 // for the access log: the client closed first
	statusForwarded  = 463 // X-Forwarded-For is too long
)

// exchange is one request and its answer. As a ResponseWriter it notes the
// status for the access log.
type exchange struct {
	http.ResponseWriter
	r           *http.Request
	path, query string // as they came, not decoded
	hasQuery    bool   // true even if the query is empty
	group       *TargetGroup
	target      *target // of an ip group
	status      int
	reason      string // why the balancer answered by itself
	bodyErr     atomic.Pointer[error]
}

func (x *exchange) WriteHeader(status int) {
	if x.status < 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status < 200 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(p)
}

func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Hijack is for upgrades, after which the connection carries no HTTP.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if guard, ok := c.(*conn); ok {
		guard.pass()
	}
	return c, rw, err
}

// ServeHTTP is called for every request that came through a connection of
// Serve; without one there is no request target to go by.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := &exchange{ResponseWriter: w, r: r}
	defer b.logAccess(x, start)
	if refused := r.Header[rejectHeader]; len(refused) > 0 {
		status, reason, _ := strings.Cut(refused[0], " ")
		code, _ := strconv.Atoi(status)
		x.path = "-"
		b.answer(x, code, reason)
		return
	}
	if t := r.Header[targetHeader]; len(t) > 0 {
		x.path, x.query, x.hasQuery = strings.Cut(t[0], "?")
	}
	delete(r.Header, targetHeader)
	if r.Method == http.MethodTrace {
		b.answer(x, http.StatusMethodNotAllowed, "TRACE is not supported")
		return
	}
	if r.ContentLength != 0 {
		body := &idleBody{ReadCloser: r.Body, x: x, rc: http.NewResponseController(w), idle: b.idle}
		// Else net/http reads and closes the body before it begins an answer,
		// under the hands of the transport that still sends it to a target. The
		// transport then breaks off, and the answer with it.
		body.rc.EnableFullDuplex() // fails on HTTP/2 alone
		r.Body = body
		defer body.drain(x)
	}
	b.act(x, b.choose(r.Method, x.path))
}

func (b *Balancer) choose(method, path string) Action {
	for _, rule := range b.listener.Rules {
		if rule.matches(method, path) {
			return rule.Action
		}
	}
	return b.listener.Default
}

func (b *Balancer) act(x *exchange, a Action) {
	switch a.Type {
	case "fixed-response":
		x.Header().Set("Server", "awselb/2.0")
		x.Header().Set("Content-Type", a.Fixed.ContentType+"; charset=utf-8")
		x.Header().Set("Content-Length", strconv.Itoa(len(a.Fixed.MessageBody)))
		x.WriteHeader(a.Fixed.StatusCode)
		x.Write([]byte(a.Fixed.MessageBody))
	case "redirect":
		host := x.r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		x.Header().Set("Location", a.Redirect.location(b.listener, host, x.path, x.query))
		status := http.StatusMovedPermanently
		if a.Redirect.StatusCode == "HTTP_302" {
			status = http.StatusFound
		}
		b.answer(x, status, "redirect")
	case "forward":
		x.group = a.TargetGroup
		if !b.addHeaders(x) {
			b.answer(x, statusForwarded, "more than 30 addresses in X-Forwarded-For")
			return
		}
		if x.group.Type == "lambda" {
			b.serveLambda(x)
			return
		}
		b.serveHTTP(x)
	}
}

// addHeaders adds the headers for every target: it appends to X-Forwarded-For,
// sets Port and Proto of this listener, and begins or continues the trace id. It
// returns false if the client's X-Forwarded-For is too long.
func (b *Balancer) addHeaders(x *exchange) bool {
	h := x.r.Header
	client, _, _ := net.SplitHostPort(x.r.RemoteAddr)
	if prior := h["X-Forwarded-For"]; len(prior) > 0 {
		chain := strings.Join(prior, ", ")
		if strings.Count(chain, ",")+1 > maxForwarded {
			return false
		}
		client = chain + ", " + client
	}
	h["X-Forwarded-For"] = []string{client}
	h["X-Forwarded-Port"] = []string{b.listener.portText()}
	h["X-Forwarded-Proto"] = []string{strings.ToLower(b.listener.Protocol)}
	h[traceHeader] = []string{trace(h, time.Now())}
	return true
}

// trace returns the request's X-Amzn-Trace-Id: a new Root if the client sent none,
// else the client's after a Self of ours.
func trace(h http.Header, now time.Time) string {
	field, rest := "Root=1-", ""
	if sent := h[traceHeader]; len(sent) > 0 && headerSize(h) <= maxTracedHeader {
		for f := range strings.SplitSeq(sent[len(sent)-1], ";") {
			f = strings.TrimSpace(f)
			if f != "" && !strings.HasPrefix(f, "Self=") {
				rest += ";" + f
			}
			if strings.HasPrefix(f, "Root=") {
				field = "Self=1-"
			}
		}
	}
	var id [16]byte
	binary.BigEndian.PutUint32(id[:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(id[4:], rand.Uint32())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	digits := hex.EncodeToString(id[:])
	return field + digits[:8] + "-" + digits[8:] + rest
}

func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, v := range values {
			size += len(name) + len(": \r\n") + len(v)
		}
	}
	return size
}

// answer writes a page of the balancer's own.
func (b *Balancer) answer(x *exchange, status int, reason string) {
	x.reason = reason
	text := http.StatusText(status)
	switch status {
	case http.StatusServiceUnavailable:
		text = "Service Temporarily Unavailable"
	case http.StatusGatewayTimeout:
		text = "Gateway Time-out"
	case statusForwarded:
		text = "Too Many Addresses In X-Forwarded-For"
	}
	title := strconv.Itoa(status) + " " + text
	page := "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n"
	h := x.Header()
	h.Set("Server", "awselb/2.0")
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	x.WriteHeader(status)
	x.Write([]byte(page))
}

// maxSegment is the length of the longest segment of a path that the log shows: that
// of a UUID.
const maxSegment = 36

// logged returns a path without its long segments. The token of a link may be one,
// and a log must not have it.
func logged(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if len(s) > maxSegment {
			segments[i] = "…"
		}
	}
	return strings.Join(segments, "/")
}

// logAccess also sees requests that ended in a panic: http.ErrAbortHandler is
// how a proxied answer is broken off.
func (b *Balancer) logAccess(x *exchange, start time.Time) {
	level := slog.LevelDebug
	if x.reason != "" && x.status >= http.StatusBadGateway {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !b.log.Enabled(ctx, level) {
		return
	}
	if x.r.Context().Err() != nil {
		x.status = statusClientGone
	}
	attrs := []slog.Attr{
		slog.String("method", x.r.Method), slog.String("path", logged(x.path)),
		slog.Int("status", x.status), slog.Duration("duration", time.Since(start)),
	}
	if x.group != nil {
		attrs = append(attrs, slog.String("target_group", x.group.Name))
	}
	if x.target != nil {
		attrs = append(attrs, slog.String("target", x.target.addr))
	}
	if x.reason != "" {
		attrs = append(attrs, slog.String("reason", x.reason))
	}
	b.log.LogAttrs(ctx, level, "load balancer", attrs...)
}

// idleBody applies the idle timeout to every piece of a client's body.
type idleBody struct {
	io.ReadCloser
	x    *exchange
	rc   *http.ResponseController
	idle time.Duration
	// ended is set when nothing is left to read. A target's connection may still
	// read after the answer.
	ended atomic.Bool
}

// A client that still sends would take a connection that is closed on it for a
// broken one, and never read the answer. So it may send on for a moment.
const (
	drainBytes = 16 << 20
	drainTime  = 2 * time.Second
)

// drain reads the rest of a body that was not read to its end, after the answer.
func (b *idleBody) drain(x *exchange) {
	// A client that waits for 100 Continue does not send its body now.
	if b.ended.Load() || x.status == 0 || len(x.r.Header["Expect"]) > 0 || b.rc.Flush() != nil {
		return
	}
	b.rc.SetReadDeadline(time.Now().Add(drainTime))
	io.CopyN(io.Discard, b.ReadCloser, drainBytes) // an error ends it as well
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.rc.SetReadDeadline(time.Now().Add(b.idle))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	switch err {
	case nil:
	case io.EOF: // net/http keeps reading in the background while the handler runs
		b.rc.SetReadDeadline(time.Time{})
	default:
		b.x.bodyErr.Store(&err)
	}
	return n, err
}
