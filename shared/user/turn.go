package user

import (
	"context"
	"slices"
	"sync"
	"time"

	"plaudit/shared/fault"
)

// Turns let a few requests at a time use what is scarce: connections to the
// database, and memory for hashes. The others wait, and client addresses take turns,
// so that one address, however many requests it sends, delays another's by a single
// one of its own.
type Turns struct {
	atOnce    int // requests that run
	places    int // requests that wait
	perClient int // requests of a client address that run or wait

	mu      sync.Mutex
	running int
	waiting int
	held    map[string]int       // requests that run or wait, by client address; absent if none does
	queues  map[string][]*waiter // requests that wait, by client address in order of arrival; none is empty
	order   []string             // the client addresses in queues, in the order of their turns
}

// waiter is a request that waits. It gets nil for its turn, or the fault that ends
// the wait.
type waiter struct{ turn chan error }

// NewTurns allows atOnce requests to run and places more to wait, of which perClient
// may be of one client address.
func NewTurns(atOnce, places, perClient int) *Turns {
	return &Turns{atOnce: atOnce, places: places, perClient: perClient, held: map[string]int{}, queues: map[string][]*waiter{}}
}

// inTurn runs a request of a client address when it is its turn. If the address has
// too many requests, it returns a fault of kind TooManyRequests. If too many wait
// altogether, the address with the most makes room for one with fewer: its newest
// request gets that fault. If nobody has more, the fault is of kind Busy.
func inTurn[T any](ctx context.Context, t *Turns, client string, request func() (T, error)) (out T, err error) {
	if err := t.begin(ctx, client); err != nil {
		return out, err
	}
	defer func() { t.end(client, err) }()
	return request()
}

// begin waits for a turn, which lasts until end.
func (t *Turns) begin(ctx context.Context, client string) error {
	w, err := t.join(client)
	if w == nil {
		return err
	}
	select {
	case err := <-w.turn:
		return err
	case <-ctx.Done():
		if !t.leave(client, w) && <-w.turn == nil {
			t.end(client, nil) // the turn came at the same moment
		}
		return busy(ctx.Err())
	}
}

// join begins a turn at once, or queues and returns the waiter.
func (t *Turns) join(client string) (*waiter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.held[client] >= t.perClient:
		return nil, tooManyAtOnce()
	case t.running < t.atOnce: // then nobody waits
		t.running++
		t.held[client]++
		return nil, nil
	case t.waiting >= t.places && !t.makeRoom(client):
		return nil, busy(nil)
	}
	w := &waiter{make(chan error, 1)}
	if len(t.queues[client]) == 0 {
		t.order = append(t.order, client)
	}
	t.queues[client] = append(t.queues[client], w)
	t.held[client]++
	t.waiting++
	return w, nil
}

// makeRoom refuses the newest waiting request of the client address that has the
// most, unless the given address would then have as many.
func (t *Turns) makeRoom(client string) bool {
	longest, most := "", len(t.queues[client])+1
	for other, queue := range t.queues {
		if len(queue) > most {
			longest, most = other, len(queue)
		}
	}
	if longest == "" {
		return false
	}
	t.refuse(longest, most-1, tooManyAtOnce())
	return true
}

// end passes the turn on to the client address whose turn it is. If the database
// could not be reached, the requests that wait end with the same fault: each would
// otherwise wait for its own, one after the other.
func (t *Turns) end(client string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.release(client)
	if fault.Is(err, fault.DatabaseUnavailable) {
		for len(t.order) > 0 {
			t.refuse(t.order[0], 0, err)
		}
	}
	if len(t.order) == 0 {
		return
	}
	next := t.order[0]
	w := t.remove(next, 0)
	if len(t.queues[next]) > 0 {
		t.order = append(t.order[1:], next)
	}
	t.running++
	w.turn <- nil
}

// leave removes a waiter from its queue, and reports whether it was still there.
func (t *Turns) leave(client string, w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.queues[client], w)
	if i < 0 {
		return false
	}
	t.remove(client, i)
	t.release(client)
	return true
}

// refuse ends the wait of a request.
func (t *Turns) refuse(client string, i int, err error) {
	t.remove(client, i).turn <- err
	t.release(client)
}

// remove takes a waiter out of its queue.
func (t *Turns) remove(client string, i int) *waiter {
	queue := t.queues[client]
	w := queue[i]
	t.waiting--
	if queue = slices.Delete(queue, i, i+1); len(queue) > 0 {
		t.queues[client] = queue
		return w
	}
	delete(t.queues, client)
	t.order = slices.DeleteFunc(t.order, func(c string) bool { return c == client })
	return w
}

// release notes that a client address has a request less.
func (t *Turns) release(client string) {
	if t.held[client]--; t.held[client] == 0 {
		delete(t.held, client)
	}
}

func tooManyAtOnce() error {
	return tooMany("Too many requests came from this network at once. Send fewer at a time, and try again in a moment.", time.Second)
}

func busy(cause error) error {
	return &fault.Error{Kind: fault.Busy, Detail: "Too many people are logging in right now. Try again in a moment.", RetryAfter: time.Second, Cause: cause}
}
