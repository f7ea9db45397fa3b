package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"plaudit/shared/audit"
)

// bell counts wakes.
type bell struct {
	rings int
	err   error
}

func (b *bell) Wake(context.Context) error { b.rings++; return b.err }

func TestWakesAreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bell{err: errors.New("down")}
		w := audit.Seldom(b)
		for i, c := range []struct {
			after time.Duration
			wakes bool
		}{{0, true}, {0, false}, {999 * time.Millisecond, false}, {time.Millisecond, true}, {time.Hour, true}, {time.Millisecond, false}} {
			time.Sleep(c.after)
			b.rings = 0
			if err := w.Wake(t.Context()); (err != nil) != c.wakes || (b.rings == 1) != c.wakes {
				t.Errorf("call %d: %d wakes, %v", i, b.rings, err)
			}
		}
	})
}
