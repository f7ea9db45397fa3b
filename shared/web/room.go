package web

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"plaudit/shared/fault"
)

// Room bounds the memory that the bodies of all requests in flight take together, and
// the part of it that one client may take, so that a client who sends many bodies, or
// sends them slowly, does not keep the others out.
type Room struct {
	part int64         // of one client
	wait time.Duration // for room

	mu      sync.Mutex
	free    int64
	clients map[string]int64 // what each client takes or waits for
	queue   []*entrance
}

// entrance is a request that waits for room.
type entrance struct {
	need int64
	open chan struct{} // closed once it has the room
}

const (
	// RoomShares is how many clients fill the room together.
	RoomShares = 8
	// perRequest is what a request takes besides its body: buffers, stacks, and what
	// decoding leaves behind.
	perRequest = 24 << 10
	// perByte is what a byte of a body takes while the request waits for something: for
	// the rest of the body, or, with the texts that were decoded from it, for a hash or
	// the database. Decoding and checking take more, but wait for nothing, so no more
	// requests do it at once than there are processors.
	perByte = 2
	// roomWait is how long a request waits for room.
	roomWait = time.Second
	// roomQueue is how many requests may wait: they take memory, too.
	roomQueue = 64
)

// NewRoom returns room for bodies that take so many bytes together.
func NewRoom(bytes int64) *Room {
	return &Room{part: bytes / RoomShares, wait: roomWait, free: bytes, clients: map[string]int64{}}
}

// enter takes the room for a body of so many bytes, until leave is called. It waits
// briefly if others take it all. It does not wait for a client's own part: these
// requests would have to wait for each other.
func (r *Room) enter(ctx context.Context, client string, size int) (leave func(), err error) {
	need := perRequest + perByte*int64(size)
	e, ok := r.reserve(client, need)
	if !ok {
		return nil, busy()
	}
	leave = sync.OnceFunc(func() { r.release(client, need, true) })
	if e == nil {
		return leave, nil
	}
	limit := time.NewTimer(r.wait)
	defer limit.Stop()
	select {
	case <-e.open:
		return leave, nil
	case <-limit.C:
	case <-ctx.Done():
	}
	if r.quit(e) {
		return leave, nil // at the last moment
	}
	r.release(client, need, false)
	return nil, busy()
}

func busy() error {
	return &fault.Error{
		Kind: fault.Busy, RetryAfter: time.Second,
		Detail: "Too many request bodies are being received at once, from your network or in all. Repeat the request in a second.",
	}
}

// reserve takes room if there is any, else it queues an entrance and returns it. ok is
// false if the client has its part, or if the queue is full.
func (r *Room) reserve(client string, need int64) (e *entrance, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fits := need <= r.free && len(r.queue) == 0 // nobody overtakes those who wait
	if r.clients[client]+need > r.part || !fits && len(r.queue) >= roomQueue {
		return nil, false
	}
	r.clients[client] += need
	if fits {
		r.free -= need
		return nil, true
	}
	e = &entrance{need, make(chan struct{})}
	r.queue = append(r.queue, e)
	return e, true
}

// quit removes an entrance from the queue. It reports whether it was open already.
func (r *Room) quit(e *entrance) (open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.queue, e)
	if i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
	}
	return i < 0
}

// release returns the room that a client held or waited for, and admits the requests that
// have waited the longest.
func (r *Room) release(client string, need int64, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[client] -= need; r.clients[client] == 0 {
		delete(r.clients, client)
	}
	if held {
		r.free += need
	}
	for len(r.queue) > 0 && r.queue[0].need <= r.free {
		r.free -= r.queue[0].need
		close(r.queue[0].open)
		r.queue = r.queue[1:]
	}
}

// ClientNetwork returns the unit by which limits count clients: the client's IPv4
// address, or the /64 that an IPv6 client can pick its addresses from. RemoteAddr is the
// address that the load balancer saw, see boot.Serve.
func ClientNetwork(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // they share one limit
	}
	ip := from.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
