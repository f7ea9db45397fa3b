package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/fault"
)

// rush sends requests to Turns and notes in which order they run.
type rush struct {
	t     *testing.T
	turns *Turns
	began chan string
	next  chan error // ends one running request
	ended chan string
	all   int
}

func startRush(t *testing.T, turns *Turns) *rush {
	return &rush{t, turns, make(chan string, 100), make(chan error), make(chan string, 100), 0}
}

// send sends a request and returns when it runs, waits or is refused.
func (r *rush) send(ctx context.Context, client string) {
	r.t.Helper()
	at := func() string {
		r.turns.mu.Lock()
		defer r.turns.mu.Unlock()
		return fmt.Sprint(r.turns.running, r.turns.waiting, len(r.ended))
	}
	before, refused := at(), make(chan struct{})
	r.all++
	go func() {
		defer close(refused)
		_, err := inTurn(ctx, r.turns, client, func() (int, error) {
			r.began <- client
			return 0, <-r.next
		})
		f, _ := fault.As(err)
		switch {
		case f == nil:
			r.ended <- client
		default:
			r.ended <- client + " " + string(f.Kind)
		}
	}()
	for at() == before {
		select {
		case <-refused:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *rush) clients(from chan string, n int) []string {
	var got []string
	for range n {
		got = append(got, <-from)
	}
	return got
}

// drain ends all requests that run or wait, and returns the order in which the
// waiting ones ran.
func (r *rush) drain(waiting int) (order []string) {
	for range waiting {
		r.next <- nil
		order = append(order, <-r.began)
	}
	return order
}

func (r *rush) want(what string, got []string, want string) {
	r.t.Helper()
	if strings.Join(got, ", ") != want {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A newcomer is served before the second waiting request of another.
func TestClientsTakeTurns(t *testing.T) {
	r := startRush(t, NewTurns(1, 100, 60))
	for range 51 {
		r.send(t.Context(), "flood")
	}
	<-r.began
	for range 3 {
		r.send(t.Context(), "a")
	}
	r.send(t.Context(), "b")
	order := r.drain(54)
	r.want("the order", order[:8], "flood, a, b, flood, a, flood, a, flood")
	if slices.ContainsFunc(order[7:], func(c string) bool { return c != "flood" }) {
		t.Errorf("then %q", order[7:])
	}
	r.next <- nil
	for range r.all {
		if e := <-r.ended; strings.Contains(e, " ") {
			t.Errorf("ended: %s", e)
		}
	}
	if len(r.turns.held)+len(r.turns.queues)+len(r.turns.order)+r.turns.running+r.turns.waiting != 0 {
		t.Errorf("left: %+v", r.turns)
	}
}

func TestTurnsOfAClientAreBounded(t *testing.T) {
	r := startRush(t, NewTurns(2, 10, 3))
	for range 4 {
		r.send(t.Context(), "flood")
	}
	r.want("the fourth", r.clients(r.ended, 1), "flood too-many-requests")
	r.send(t.Context(), "a")
	r.clients(r.began, 2)
	r.want("the order", r.drain(2), "flood, a")
	r.next <- nil
	r.next <- nil
	r.send(t.Context(), "flood")
	r.want("later", r.clients(r.began, 1), "flood")
	r.next <- nil
}

// If too many wait, the client with the most makes room.
func TestTheLongestQueueMakesRoom(t *testing.T) {
	r := startRush(t, NewTurns(1, 4, 10))
	for _, c := range []string{"a", "flood", "flood", "flood", "b"} {
		r.send(t.Context(), c)
	}
	r.send(t.Context(), "c")
	r.want("for the first newcomer", r.clients(r.ended, 1), "flood too-many-requests")
	r.send(t.Context(), "d")
	r.want("for the second", r.clients(r.ended, 1), "flood too-many-requests")
	// Now four have one each, and nobody has more than a newcomer would.
	r.send(t.Context(), "e")
	r.want("the third newcomer", r.clients(r.ended, 1), "e busy")
	r.send(t.Context(), "b")
	r.want("the second of one", r.clients(r.ended, 1), "b busy")
	r.clients(r.began, 1)
	r.want("the order", r.drain(4), "flood, b, c, d")
	r.next <- nil
}

func TestALeavingClientMakesRoom(t *testing.T) {
	r := startRush(t, NewTurns(1, 2, 10))
	r.send(t.Context(), "a")
	leaving, leave := context.WithCancel(t.Context())
	r.send(leaving, "b")
	r.send(t.Context(), "c")
	leave()
	r.want("who left", r.clients(r.ended, 1), "b busy")
	r.send(t.Context(), "d")
	r.clients(r.began, 1)
	r.want("the order", r.drain(2), "c, d")
	r.next <- nil
}

// If the database cannot be reached, nobody waits to find that out again.
func TestAnOutageEndsTheWait(t *testing.T) {
	r := startRush(t, NewTurns(1, 10, 10))
	for _, c := range []string{"a", "b", "b", "c"} {
		r.send(t.Context(), c)
	}
	r.clients(r.began, 1)
	r.next <- errors.Join(&fault.Error{Kind: fault.DatabaseUnavailable})
	got := r.clients(r.ended, 4)
	slices.Sort(got)
	r.want("they get", got, "a database-unavailable, b database-unavailable, b database-unavailable, c database-unavailable")
	r.send(t.Context(), "d")
	r.want("later", r.clients(r.began, 1), "d")
	r.next <- nil
}
