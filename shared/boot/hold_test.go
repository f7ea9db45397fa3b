package boot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// serveUntil serves a handler for a test and returns a function that connects to it.
func serveUntil(t *testing.T, most int, h http.HandlerFunc) (dial func() (net.Conn, *bufio.Reader)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, newLimited(l, most), h, time.Minute) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		return c, bufio.NewReader(c)
	}
}

// next reads the next answer on a connection; status is 0 if it was closed.
func next(in *bufio.Reader) (status int, closes bool) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, true
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, resp.Close
}

// A client cannot hold a connection by a body that its answer did not need, and what is
// left of the body never becomes a request of its own.
func TestBodiesThatNobodyReads(t *testing.T) {
	requests := make(chan string, 10)
	dial := serveUntil(t, 10, func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method
		switch r.URL.Path {
		case "/large":
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case "/read":
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
			io.WriteString(w, "read")
		case "/some":
			io.ReadFull(r.Body, make([]byte, 2))
			w.WriteHeader(http.StatusBadRequest)
		case "/nothing":
		}
	})
	const smuggled = "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, path, headers, body string
		left                      string // is sent after the answer
		status                    int
		again                     bool // whether the connection is used again
	}{
		{"all of it was sent", "/refused", "Content-Length: 5", "12345", "", 200, true},
		{"all of it was sent, and read", "/read", "Content-Length: 5", "12345", "", 200, true},
		{"all of it was sent in chunks", "/refused", "Transfer-Encoding: chunked", "5\r\n12345\r\n0\r\n\r\n", "", 200, true},
		{"all of it was sent, and some was read", "/some", "Content-Length: 5", "12345", "", 400, true},
		{"none of it was sent", "/refused", "Content-Length: 31", "", smuggled, 200, false},
		{"half of it was sent", "/nothing", "Content-Length: 36", "12345", smuggled, 200, false},
		{"half of it was sent, some was read", "/some", "Content-Length: 36", "12345", smuggled, 400, false},
		{"a chunk was sent", "/refused", "Transfer-Encoding: chunked", "5\r\n12345\r\n", "1f\r\n" + smuggled, 200, false},
		{"it is too large", "/large", "Content-Length: 31", "", smuggled, 413, false},
		{"it is far too large", "/large", "Content-Length: 999999", "", smuggled, 413, false},
	} {
		conn, in := dial()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", c.path, c.headers, c.body)
		status, closes := next(in)
		if status != c.status || closes == c.again {
			t.Errorf("%s: %d, closes %t", c.name, status, closes)
		}
		io.WriteString(conn, c.left+"GET /read HTTP/1.1\r\nHost: x\r\n\r\n")
		if status, _ := next(in); (status == 200) != c.again {
			t.Errorf("%s: the next request got %d", c.name, status)
		}
		conn.Close()
		want := "POST"
		if c.again {
			want += " GET"
		}
		got := []string{<-requests}
		for len(requests) > 0 {
			got = append(got, <-requests)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: the handler got %q", c.name, got)
		}
	}
}

// A body must arrive in time, whatever its form. The deadline is that of the server.
func TestABodyMustArriveInTime(t *testing.T) {
	for _, headers := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
		failed := make(chan error, 1)
		dial := serveUntil(t, 10, func(w http.ResponseWriter, r *http.Request) {
			// What ReadTimeout sets, but in the past.
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Error(err)
			}
			_, err := io.ReadAll(r.Body)
			failed <- err
			w.WriteHeader(http.StatusRequestTimeout)
		})
		conn, in := dial()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", headers)
		if status, closes := next(in); status != http.StatusRequestTimeout || !closes {
			t.Errorf("%s: %d, closes %t", headers, status, closes)
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the handler got %v", headers, err)
		}
	}
}

// Connections above the limit are served once others close.
func TestConnectionsAreLimited(t *testing.T) {
	dial := serveUntil(t, 2, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	var open []net.Conn
	for range 2 {
		conn, in := dial()
		io.WriteString(conn, get)
		if status, closes := next(in); status != 200 || closes {
			t.Fatalf("%d, closes %t", status, closes)
		}
		open = append(open, conn)
	}
	third, in := dial()
	io.WriteString(third, get)
	third.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the third connection got %v", err)
	}
	third.SetReadDeadline(time.Now().Add(time.Minute))
	open[0].Close()
	if status, _ := next(in); status != 200 {
		t.Errorf("after one was closed: %d", status)
	}
}

// A head with too many lines is refused while it arrives, on every request of a
// connection. Lines of a body do not count.
func TestLinesOfAHeadAreLimited(t *testing.T) {
	dial := serveUntil(t, 10, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, before := range []int{0, 1, 3} {
		conn, in := dial()
		for range before {
			body := strings.Repeat("\n", 1000)
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", strings.Repeat("a:\r\n", maxLines-4), len(body), body)
			if status, closes := next(in); status != 200 || closes {
				t.Fatalf("a head within the limit: %d, closes %t", status, closes)
			}
		}
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a:\r\n", maxLines))
		// net/http sends no answer if the first bytes of a later request fail.
		if status, closes := next(in); status != 400 && (status != 0 || before == 0) || !closes {
			t.Errorf("after %d requests, a head without an end: %d, closes %t", before, status, closes)
		}
	}
}
