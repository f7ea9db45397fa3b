package elb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of a request's head, from "HTTP header limits" in How Elastic Load
// Balancing works.
const (
	maxLine   = 16 << 10 // request line, and one header
	maxHeader = 64 << 10 // all of the head
)

// conn passes information to the handler in two headers. Clients cannot set them,
// because conn drops theirs.
const (
	targetHeader = "Elb_target" // the request target, unchanged
	rejectHeader = "Elb_reject" // "<status> <reason>": answer with this page
)

// errBody is a chunked body that breaks its own framing.
var errBody = errors.New("malformed chunked body")

// listener wraps every connection into a conn.
type listener struct {
	net.Listener
	strictest, dropInvalid bool
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, maxLine), strictest: l.strictest, dropInvalid: l.dropInvalid}, nil
}

// conn stands between a client and net/http. It follows where each request
// begins and ends, judges its head by the rules of http_desync_guardian (the
// library that ALB uses, https://github.com/aws/http-desync-guardian) and
// hands net/http a head of its own making: valid, with the request target in a
// header, because net/http refuses targets that ALB passes on. A request to be
// refused reaches the handler as one with rejectHeader, so that answers keep
// their order and every page is written in one place.
type conn struct {
	net.Conn
	in                     *bufio.Reader
	strictest, dropInvalid bool

	state    state  // of what follows out and body
	body     int64  // bytes that pass as they are
	line     []byte // a line of which not all has come
	head     []byte // the lines of a head of which not all has come
	out      []byte // what Read returns next
	ended    error  // what Read returns after out
	deadline atomic.Int64
	rejected atomic.Bool
}

type state int

const (
	inHead state = iota
	inChunkSize
	inChunkEnd
	inTrailer
	raw // after an upgrade
)

func (c *conn) Read(p []byte) (int, error) {
	for {
		if len(c.out) > 0 {
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		}
		if c.ended != nil {
			return 0, c.ended
		}
		if c.body > 0 && int64(len(p)) > c.body {
			p = p[:c.body]
		}
		if c.body > 0 || c.state == raw {
			n, err := c.in.Read(p)
			c.body -= int64(n)
			return n, err
		}
		next := c.readHead
		if c.state != inHead {
			next = c.readFraming
		}
		if err := next(); err != nil {
			return 0, err
		}
	}
}

var errTooLong = errors.New("line too long")

// readLine returns the next line with its end. What came before an error is
// kept: net/http interrupts reads by a deadline and comes back later.
func (c *conn) readLine() ([]byte, error) {
	s, err := c.in.ReadSlice('\n')
	c.line = append(c.line, s...)
	if err == bufio.ErrBufferFull || len(c.line) > maxLine {
		return nil, errTooLong
	}
	if err != nil {
		return nil, err
	}
	line := c.line
	c.line = c.line[:0]
	return line, nil
}

func (c *conn) readHead() error {
	for {
		line, err := c.readLine()
		switch {
		case err == errTooLong && len(c.head) == 0:
			c.reject(414, "request line over 16K")
			return nil
		case err == errTooLong:
			c.reject(400, "header over 16K")
			return nil
		case err != nil && c.idle(err) && len(c.head)+len(c.line) > 0:
			c.reject(408, "the client sent no data before the idle timeout")
			return nil
		case err != nil:
			return err
		case c.strictest && !bytes.HasSuffix(line, []byte("\r\n")):
			c.reject(400, "line ends without CR")
			return nil
		}
		if len(bytes.TrimRight(line, "\r\n")) > 0 {
			c.head = append(c.head, line...)
			if len(c.head) > maxHeader {
				c.reject(400, "header over 64K in all")
				return nil
			}
			continue
		}
		if len(c.head) == 0 {
			continue // an empty line before a request is to be ignored: RFC 9112, 2.2
		}
		if no := c.judge(string(c.head)); no != nil {
			c.reject(no.status, no.reason)
			return nil
		}
		c.head = c.head[:0]
		return nil
	}
}

// idle reports whether err is the idle timeout and not net/http's way of ending
// its background read, a deadline in 1970.
func (c *conn) idle(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && c.deadline.Load() > 1
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadline.Store(t.Unix())
	return c.Conn.SetReadDeadline(t)
}

// reject ends the connection with an answer of the balancer's.
func (c *conn) reject(status int, reason string) {
	c.out = append(c.out[:0], "GET / HTTP/1.1\r\nHost: elb\r\nConnection: close\r\n"+rejectHeader+": "+strconv.Itoa(status)+" "+reason+"\r\n\r\n"...)
	c.ended = io.EOF
	c.rejected.Store(true)
}

// CloseWrite lets net/http end its side first.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close reads the rest of a refused client's request, because the reset that
// follows unread bytes could overtake the answer.
func (c *conn) Close() error {
	if c.rejected.CompareAndSwap(true, false) && c.CloseWrite() == nil && c.Conn.SetReadDeadline(time.Now().Add(500*time.Millisecond)) == nil {
		io.CopyN(io.Discard, c.Conn, 256<<10)
	}
	return c.Conn.Close()
}

// pass ends the checks: the connection carries no HTTP from now on.
func (c *conn) pass() {
	c.out = append(append(c.out, c.head...), c.line...)
	c.state = raw
}

// readFraming reads a line of a chunked body's framing: chunk size, end of a
// chunk, trailer.
func (c *conn) readFraming() error {
	line, err := c.readLine()
	if err != nil && err != errTooLong {
		return err
	}
	text, proper := strings.CutSuffix(string(line), "\r\n")
	var size uint64
	if c.state == inChunkSize && proper {
		digits, _, _ := strings.Cut(text, ";") // the rest is an extension, which nothing here uses
		size, err = strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 60)
		text = strconv.FormatUint(size, 16)
	}
	if err != nil || !proper || c.state == inChunkEnd && text != "" {
		c.ended = errBody
		c.rejected.Store(true)
		return errBody
	}
	c.out = append(append(c.out[:0], text...), "\r\n"...)
	switch {
	case c.state == inChunkSize && size > 0:
		c.body, c.state = int64(size), inChunkEnd
	case c.state == inChunkSize:
		c.state = inTrailer
	case c.state == inChunkEnd:
		c.state = inChunkSize
	case text == "":
		c.state = inHead
	}
	return nil
}

// refusal is why a head is not served.
type refusal struct {
	status int
	reason string
}

func bad(reason string) *refusal { return &refusal{400, reason} }

// framing holds the headers that determine where a body ends.
type framing struct {
	length    int64 // -1: not said
	chunked   bool
	ambiguous bool
}

// judge reads a head without its empty line, and writes the head for net/http to
// out.
func (c *conn) judge(head string) *refusal {
	line, rest, _ := strings.Cut(head, "\n")
	method, target, version, no := c.requestLine(strings.TrimSuffix(line, "\r"))
	if no != nil {
		return no
	}
	out := append(c.out[:0], method+" / "+version+"\r\n"+targetHeader+": "+target+"\r\n"...)
	f := framing{length: -1}
	hosts := 0
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\n")
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		value = strings.Trim(value, " \t")
		if !found || name == "" || name[0] == ' ' || name[0] == '\t' {
			return bad("header line without a name, or folded")
		}
		keep, no := c.header(method, version, name, value, &f)
		if no != nil {
			return no
		}
		if strings.EqualFold(name, "Host") {
			hosts++
			if strings.ContainsFunc(value, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~%!$&'()*+,;=:[]", r) }) {
				return bad("malformed Host")
			}
		}
		if keep {
			out = append(append(append(append(out, name...), ": "...), value...), "\r\n"...)
		}
	}
	if hosts > 1 || hosts == 0 && version == "HTTP/1.1" {
		return bad("a request has one Host")
	}
	if f.chunked && f.length >= 0 {
		f.ambiguous = true
	}
	if f.ambiguous && c.strictest {
		return bad("ambiguous: Content-Length and Transfer-Encoding, either of them twice, or on GET or HEAD")
	}
	switch {
	case f.chunked:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
		c.state = inChunkSize
	case f.length >= 0:
		out = append(append(append(out, "Content-Length: "...), strconv.FormatInt(f.length, 10)...), "\r\n"...)
		c.body = f.length
	}
	if f.ambiguous {
		out = append(out, "Connection: close\r\n"...)
	}
	c.out = append(out, "\r\n"...)
	return nil
}

func (c *conn) requestLine(line string) (method, target, version string, no *refusal) {
	method, rest, _ := strings.Cut(line, " ")
	end := strings.LastIndexByte(rest, ' ')
	if end < 0 || !isToken(method) {
		return "", "", "", bad("malformed request line")
	}
	target, version = rest[:end], rest[end+1:]
	switch {
	case version == "HTTP/1.1" || version == "HTTP/1.0":
	case len(version) == 8 && strings.HasPrefix(version, "HTTP/1.") && '2' <= version[7] && version[7] <= '9' && !c.strictest:
		version = "HTTP/1.1"
	default:
		return "", "", "", bad("unknown HTTP version")
	}
	for _, b := range []byte(target) {
		if b < ' ' || b == 0x7f || b == ' ' && c.strictest {
			return "", "", "", bad("space or control character in the request target")
		}
	}
	if scheme, after, found := strings.Cut(target, "://"); found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		i := strings.IndexAny(after, "/?")
		switch {
		case i < 0:
			target = "/"
		case after[i] == '?':
			target = "/" + after[i:]
		default:
			target = after[i:]
		}
	}
	if !strings.HasPrefix(target, "/") && target != "*" {
		return "", "", "", bad("the request target is not a path")
	}
	return method, target, version, nil
}

// header judges one header and reports whether to pass it on. Content-Length and
// Transfer-Encoding are collected in f.
func (c *conn) header(method, version, name, value string, f *framing) (keep bool, no *refusal) {
	for _, b := range []byte(value) {
		if b < ' ' && b != '\t' || b == 0x7f || b >= 0x80 && c.strictest {
			return false, bad("control or non-ASCII character in a header")
		}
	}
	bodiless := method == "GET" || method == "HEAD"
	switch {
	case strings.EqualFold(name, "Content-Length"):
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil || f.length >= 0 && f.length != int64(n) {
			return false, bad("Content-Length must be a single number")
		}
		f.ambiguous = f.ambiguous || f.length >= 0 || bodiless
		f.length = int64(n)
		return false, nil
	case strings.EqualFold(name, "Transfer-Encoding"):
		switch {
		case version != "HTTP/1.1" || f.chunked:
			return false, bad("Transfer-Encoding twice, or with HTTP/1.0")
		case strings.EqualFold(value, "chunked"):
			f.ambiguous = f.ambiguous || bodiless
			f.chunked = true
		case strings.EqualFold(value, "identity") && !c.strictest:
		case c.strictest:
			return false, bad("unknown Transfer-Encoding")
		default:
			return false, &refusal{501, "unknown Transfer-Encoding"}
		}
		return false, nil
	case looksLikeFraming(name):
		return false, bad("a header that could be taken for Content-Length or Transfer-Encoding")
	case isPlainName(name):
		return true, nil
	case !isToken(name) && (c.strictest || !c.dropInvalid):
		return false, bad("malformed header name")
	}
	return !c.dropInvalid && !strings.EqualFold(name, targetHeader) && !strings.EqualFold(name, rejectHeader), nil
}

// looksLikeFraming reports whether another server might normalise a name into one
// of the two headers that determine where a body ends.
func looksLikeFraming(name string) bool {
	letters := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, name)
	return letters == "contentlength" || letters == "transferencoding"
}

// isPlainName is drop_invalid_header_fields' rule: [-A-Za-z0-9]+.
func isPlainName(name string) bool {
	for _, r := range name {
		if !isAlphanumeric(r) && r != '-' {
			return false
		}
	}
	return name != ""
}

// isToken is RFC 9110's rule for methods and header names.
func isToken(s string) bool {
	for _, r := range s {
		if !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return s != ""
}
