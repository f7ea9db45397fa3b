package audit

import (
	"context"
	"sync/atomic"
	"time"
)

// wakeEvery is the least time between two wakes of a process. The run that a wake starts
// polls for longer, so it finds what is committed meanwhile, too.
const wakeEvery = time.Second

// Seldom returns a waker that wakes at most once a second. Writers whose changes are due
// call it after each: while no relay can run, or the wakes fail, every change would pay
// for one.
func Seldom(w Waker) Waker { return &seldom{Waker: w} }

type seldom struct {
	Waker
	last atomic.Int64 // ms since 1970, by the wall clock: a function's process can be frozen
}

// Wake implements Waker.
func (s *seldom) Wake(ctx context.Context) error {
	now, last := time.Now().UnixMilli(), s.last.Load()
	// A clock that was set back ends the time, too.
	if since := now - last; since >= 0 && since < wakeEvery.Milliseconds() || !s.last.CompareAndSwap(last, now) {
		return nil
	}
	return s.Waker.Wake(ctx)
}
