package boot

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// limited is a listener with a limit of connections. The next one is accepted when
// one of them is closed.
type limited struct {
	net.Listener
	slots chan struct{}
	done  chan struct{} // closed with the listener
	close func() error
}

func newLimited(l net.Listener, most int) *limited {
	done := make(chan struct{})
	return &limited{l, make(chan struct{}, most), done, sync.OnceValue(func() error { close(done); return l.Close() })}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &conn{Conn: c, free: sync.OnceFunc(func() { <-l.slots }), head: true}, nil
}

func (l *limited) Close() error { return l.close() }

// conn is a connection of a limited listener. It ends a request whose head has too many
// lines while they arrive: net/http keeps them all until the head is complete, and a
// short line takes 30 times its size.
type conn struct {
	net.Conn
	free func()

	head  bool // what is read belongs to a head
	lines int  // of the head so far
	long  int  // characters of the last one so far
}

var errTooManyLines = errors.New("the head of the request has too many lines")

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for _, char := range p[:n] {
		switch {
		case !c.head:
			return n, err
		case char == '\n' && c.long == 0:
			c.head = false // an empty line ends it
		case char == '\n':
			c.lines, c.long = c.lines+1, 0
		case char != '\r':
			c.long++
		}
	}
	if c.lines > maxLines {
		return 0, errTooManyLines
	}
	return n, err
}

// nextHead notes that the next request begins. It is the server's ConnState, which is
// called between requests, when nobody reads.
func nextHead(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateIdle {
		c.head, c.lines, c.long = true, 0, 0
	}
}

func (c *conn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// CloseWrite is what net/http looks for to end an answer whose request it has not read.
func (c *conn) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// answering returns a handler that does not let a client hold the connection by a body
// that the answer did not need. Before it sends the answer, net/http reads up to
// 256 KB of such a body, to use the connection again, for as long as the request may
// take. A body that is too large is not waited for at all.
func answering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		a := &answer{ResponseWriter: w, body: &tracked{ReadCloser: r.Body}}
		r.Body = a.body
		h.ServeHTTP(a, r)
		a.begin(http.StatusOK) // if the handler wrote nothing
	})
}

// tracked notes the end of a body.
type tracked struct {
	io.ReadCloser
	ended bool
}

func (b *tracked) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}

// answer is the response to a request with a body.
type answer struct {
	http.ResponseWriter
	body  *tracked
	begun bool
}

// begin bounds the time for what is left of the body.
func (a *answer) begin(status int) {
	if a.begun {
		return
	}
	a.begun = true
	if a.body.ended {
		return
	}
	if status == http.StatusRequestEntityTooLarge {
		a.Header().Set("Connection", "close")
	}
	// An error means that there is no connection to wait on.
	http.NewResponseController(a.ResponseWriter).SetReadDeadline(time.Now().Add(rest))
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
