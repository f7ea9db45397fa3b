package boot

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Measure runs f and writes one log line with its metrics, like a request (see Observe),
// with the route as its Route. What f adds by Count, Peak and Tally is in the line. An
// error or a panic of f counts in Errors; f itself logs it.
func Measure(ctx context.Context, route string, f func(context.Context) error) (err error) {
	c := &counts{}
	ctx = context.WithValue(ctx, countsKey{}, c)
	start := time.Now()
	failed := true // unless f returns
	defer func() { metrics.Load().write(ctx, route, failed, time.Since(start), c, nil) }()
	err = f(ctx)
	failed = err != nil
	return err
}

// Count adds n to a metric of the running invoke, which its line shows even if it is 0.
// Outside of Measure it does nothing.
func Count(ctx context.Context, name string, n int) {
	countsFrom(ctx).set(name, func(before int) int { return before + n })
}

// Peak sets a metric of the running invoke to the largest of its values.
func Peak(ctx context.Context, name string, n int) {
	countsFrom(ctx).set(name, func(before int) int { return max(before, n) })
}

// Tally counts something that is no metric of its own, because each metric costs
// money: {"<name>": {"<of>": n}} in the line of the running invoke.
func Tally(ctx context.Context, name, of string) {
	c := countsFrom(ctx)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tallies == nil {
		c.tallies = map[string]map[string]int{}
	}
	if c.tallies[name] == nil {
		c.tallies[name] = map[string]int{}
	}
	c.tallies[name][of]++
}

type countsKey struct{}

// counts are what an invoke has counted. A nil one counts nothing.
type counts struct {
	mu      sync.Mutex
	names   []string // in the order of their first count
	values  map[string]int
	tallies map[string]map[string]int
}

func countsFrom(ctx context.Context) *counts {
	c, _ := ctx.Value(countsKey{}).(*counts)
	return c
}

func (c *counts) set(name string, next func(before int) int) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.values[name]
	if !known {
		c.names = append(c.names, name)
	}
	if c.values == nil {
		c.values = map[string]int{}
	}
	c.values[name] = next(before)
}

func (c *counts) each(f func(name string, value int)) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.names {
		f(name, c.values[name])
	}
}

// details returns the tallies as properties of the line.
func (c *counts) details() (attrs []slog.Attr) {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.tallies)) {
		attrs = append(attrs, slog.Any(name, maps.Clone(c.tallies[name])))
	}
	return attrs
}
