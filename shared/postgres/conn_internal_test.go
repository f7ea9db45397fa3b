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

// sound is a connection of lib/pq that can be used again.
type sound struct{ pqConn }

func (sound) ResetSession(context.Context) error { return nil }

// connected returns the two ends of a TCP connection.
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

func TestConnectionIsUsedAgainOnlyIfItIsAlive(t *testing.T) {
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
			err := made.ResetSession(t.Context())
			for !c.alive && c.meet != nil && err == nil { // what the server sent is on its way
				time.Sleep(time.Millisecond)
				err = made.ResetSession(t.Context())
			}
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

// clocked keeps the deadline that was set on a connection.
type clocked struct {
	net.Conn
	deadline time.Time
}

func (c *clocked) SetDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func TestOperationEndsWithThePatienceOfThePoolOrTheCall(t *testing.T) {
	const pool = time.Minute
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	late, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer cancel()
	for name, ctx := range map[string]context.Context{"without a deadline": t.Context(), "an earlier deadline": soon, "a later deadline": late, "one that has passed": over} {
		var set clocked
		made := &conn{pqConn: sound{}, socket: &socket{Conn: &set}, patience: pool}
		before := now()
		inner := made.begin(ctx)
		after := now()
		if _, ok := inner.Deadline(); ok || inner.Done() != nil {
			t.Errorf("%s: lib/pq sees a context that ends", name)
		}
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(before) || name == "an earlier deadline" {
			if !set.deadline.Equal(deadline) {
				t.Errorf("%s: the operation ends at %v, want %v", name, set.deadline, deadline)
			}
		} else if set.deadline.Before(before.Add(pool)) || set.deadline.After(after.Add(pool)) {
			t.Errorf("%s: the operation of %v ends at %v", name, before, set.deadline)
		}
	}
}
