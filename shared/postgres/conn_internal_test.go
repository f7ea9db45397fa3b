package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// sound is a connection of lib/pq that has nothing against being used again.
type sound struct{ pqConn }

func (sound) ResetSession(context.Context) error { return nil }

// connected gives the two ends of a TCP connection.
func connected(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestConnectionIsUsedAgainOnlyWhereItIsSurelyAlive(t *testing.T) {
	cases := map[string]struct {
		used  time.Duration // how long ago
		meet  func(s *socket, server net.Conn)
		alive bool
	}{
		"just used":                     {0, nil, true},
		"idle for less than the server": {maxIdle - time.Second, nil, true},
		"idle for as long":              {maxIdle + time.Second, nil, false},
		"used in the future":            {-time.Minute, nil, false},
		"the deadline has passed": {0, func(s *socket, _ net.Conn) {
			_ = s.SetDeadline(time.Now().Add(-time.Hour))
		}, true},
		"the server hung up": {0, func(_ *socket, server net.Conn) { server.Close() }, false},
		"the server reset it": {0, func(_ *socket, server net.Conn) {
			_ = server.(*net.TCPConn).SetLinger(0)
			server.Close()
		}, false},
		"the server said good-bye": {0, func(_ *socket, server net.Conn) { _, _ = io.WriteString(server, "E") }, false},
		"reading has failed": {0, func(s *socket, _ net.Conn) {
			_ = s.SetDeadline(time.Now().Add(-time.Hour))
			_, _ = s.Read(make([]byte, 1))
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, server := connected(t)
			s := &socket{Conn: client}
			if c.meet != nil {
				c.meet(s, server)
			}
			made := &conn{pqConn: sound{}, socket: s, used: now().Add(-c.used)}
			want := error(driver.ErrBadConn)
			if c.alive {
				want = nil
			}
			// What the server sent needs a moment to arrive.
			var err error
			for range 100 {
				if err = made.ResetSession(t.Context()); errors.Is(err, want) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if !errors.Is(err, want) {
				t.Errorf("gave %v, want %v", err, want)
			}
		})
	}
}
