package lambda

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// server is an HTTP/1.1 server for the Runtime API of one process. That of
// net/http starts a goroutine for every request, to notice when a client goes
// away; here the end of the process shows that. It saves a third of this side's
// processor time for a warm invocation.
type server struct {
	listener net.Listener
	handler  http.Handler

	mu     sync.Mutex
	conns  []*conn
	closed bool
}

// serve accepts connections until close.
func (s *server) serve() {
	for {
		accepted, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{TCPConn: accepted.(*net.TCPConn), ended: make(chan struct{})}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		go c.serve(s.handler)
	}
}

func (s *server) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.conns {
		c.Close()
	}
}

// conn is a connection that remembers how it ended. This tells a process that
// was killed before it read an event, which then goes to another one, from a
// process that died of it.
type conn struct {
	*net.TCPConn
	ended chan struct{} // closes when nothing more can be read
	reset bool          // whether the peer reset it; set before ended closes
}

func (c *conn) serve(handler http.Handler) {
	defer c.Close()
	defer close(c.ended)
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			c.reset = errors.Is(err, syscall.ECONNRESET)
			return
		}
		if r.Header.Get("Expect") == "100-continue" { // curl asks with a large body
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		w := &responder{conn: c}
		handler.ServeHTTP(w, r)
		if _, err := io.Copy(io.Discard, r.Body); err != nil || w.finish() != nil || r.Close {
			return
		}
	}
}

// writeEvent answers a request for the next event.
func (c *conn) writeEvent(inv *invocation, arn string) error {
	b := make([]byte, 0, 512+len(inv.clientContext)+len(inv.payload))
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(inv.payload)), 10)
	b = append(b, "\r\nLambda-Runtime-Aws-Request-Id: "...)
	b = append(b, inv.id...)
	b = append(b, "\r\nLambda-Runtime-Deadline-Ms: "...)
	b = strconv.AppendInt(b, inv.deadline.UnixMilli(), 10)
	b = append(b, "\r\nLambda-Runtime-Trace-Id: "...)
	b = append(b, inv.traceID...)
	b = append(b, "\r\nLambda-Runtime-Invoked-Function-Arn: "...)
	b = append(b, arn...)
	if inv.clientContext != "" {
		b = append(b, "\r\nLambda-Runtime-Client-Context: "...)
		b = append(b, inv.clientContext...)
	}
	b = append(b, "\r\n\r\n"...)
	if len(inv.payload) > 32<<10 { // a process that hangs may leave it in the way
		_ = c.SetWriteDeadline(inv.deadline)
		defer c.SetWriteDeadline(time.Time{})
	}
	_, err := c.Write(append(b, inv.payload...))
	return err
}

// unread reports whether the peer, whose process has ended, left data on the
// connection unread: the kernel then resets it instead of closing it.
func (c *conn) unread() bool {
	select {
	case <-c.ended:
		return c.reset
	case <-time.After(200 * time.Millisecond):
		return false
	}
}

// gone reports whether the peer has closed the connection.
func (c *conn) gone() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var peekErr error
	if err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, peekErr = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		return true
	}
	if peekErr != nil {
		return !errors.Is(peekErr, syscall.EAGAIN) && !errors.Is(peekErr, syscall.EINTR)
	}
	return n == 0
}

// responder is a ResponseWriter that keeps the response until it is whole.
type responder struct {
	conn   *conn
	later  bool
	header http.Header
	status int
	body   []byte
}

func (w *responder) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *responder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *responder) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// answerLater returns the connection, on which the caller answers this request
// after the handler has returned.
func answerLater(w http.ResponseWriter) *conn {
	r := w.(*responder)
	r.later = true
	return r.conn
}

func (w *responder) finish() error {
	if w.later {
		return nil
	}
	w.WriteHeader(http.StatusOK)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(w.body))}
	_ = w.header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	b.Write(w.body)
	_, err := w.conn.Write(b.Bytes())
	return err
}
