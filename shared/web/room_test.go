package web

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/fault"
)

// size is that of bodies that take twice what a request without one does.
const size = perRequest / perByte

func TestRoomIsShared(t *testing.T) {
	r := NewRoom(RoomShares * 8 * 2 * perRequest)
	r.wait = time.Hour
	var leave []func()
	take := func(client string) bool {
		l, err := r.enter(t.Context(), client, size)
		if err != nil {
			if f, ok := fault.As(err); !ok || f.Kind != fault.Busy || f.RetryAfter < time.Second {
				t.Fatalf("got %v", err)
			}
			return false
		}
		leave = append(leave, l)
		return true
	}
	for i := range 8 {
		if !take("a") {
			t.Fatalf("body %d of one client was refused", i)
		}
	}
	if take("a") {
		t.Error("one client takes more than its part")
	}
	for i := range RoomShares - 1 {
		for range 8 {
			if !take(fmt.Sprint("b", i)) {
				t.Fatal("others are refused")
			}
		}
	}
	// The room is full. The next one waits, and does not hold what it does not have.
	got := make(chan error)
	go func() {
		l, err := r.enter(t.Context(), "c", size)
		got <- err
		l()
	}()
	for waiting := 0; waiting == 0; {
		r.mu.Lock()
		waiting = len(r.queue)
		r.mu.Unlock()
	}
	leave[0]()
	leave[0]() // counts once
	if err := <-got; err != nil {
		t.Errorf("a body that waited: %v", err)
	}
	for _, l := range leave {
		l()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free != RoomShares*8*2*perRequest || len(r.clients) != 0 || len(r.queue) != 0 {
		t.Errorf("in the end %d bytes are free, %v hold some, %d wait", r.free, r.clients, len(r.queue))
	}
}

// Who finds no room waits no longer than the limit, or than the client does, and only so
// many wait.
func TestRoomDoesNotLetWaitForever(t *testing.T) {
	r := NewRoom(RoomShares * 2 * perRequest)
	for i := range RoomShares {
		if _, err := r.enter(t.Context(), fmt.Sprint(i), size); err != nil {
			t.Fatal(err)
		}
	}
	r.wait = time.Millisecond
	if _, err := r.enter(t.Context(), "x", size); !fault.Is(err, fault.Busy) {
		t.Errorf("after the wait: %v", err)
	}
	r.wait = time.Hour
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.enter(gone, "x", size); !fault.Is(err, fault.Busy) {
		t.Errorf("a client who left: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var refused atomic.Int32
	var wg sync.WaitGroup
	for i := range roomQueue + 5 {
		wg.Go(func() {
			r.enter(ctx, fmt.Sprint("w", i), size)
			if refused.Add(1) == 5 {
				stop() // as many as the queue has no place for
			}
		})
	}
	wg.Wait()
	if len(r.queue) != 0 || len(r.clients) != RoomShares {
		t.Errorf("%d wait, %d clients hold room", len(r.queue), len(r.clients))
	}
}

// Whatever many clients do at once, no more is taken than there is, and all of it comes
// back.
func TestRoomIsNeverOverbooked(t *testing.T) {
	const total = RoomShares * 4 * perRequest
	r := NewRoom(total)
	r.wait = 100 * time.Microsecond
	var taken, peak atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for n := range 500 {
				bytes := (i*n)%size + 1
				leave, err := r.enter(t.Context(), fmt.Sprint(i%12), bytes)
				if err != nil {
					continue
				}
				now := taken.Add(perRequest + perByte*int64(bytes))
				for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
				}
				if n%3 == 0 {
					time.Sleep(time.Microsecond)
				}
				taken.Add(-perRequest - perByte*int64(bytes))
				leave()
			}
		})
	}
	wg.Wait()
	if peak.Load() > total || r.free != total || len(r.clients) != 0 || len(r.queue) != 0 {
		t.Errorf("at most %d bytes of %d were taken; in the end %d are free, %v hold some, %d wait", peak.Load(), total, r.free, r.clients, len(r.queue))
	}
}

func TestClientNetwork(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::/64", "[2001:db8::ffff%eth0]:0": "2001:db8::/64", "": "unknown",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		if got := ClientNetwork(r); got != want {
			t.Errorf("%q: %s, want %s", from, got, want)
		}
	}
}
