package elb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HealthCheck is how targets are checked. A zero field has ALB's default:
// path /, matcher 200; for ip targets interval 30 s, timeout 5 s, thresholds 5
// and 2; for a function, which is checked only if Enabled is true, 35 s and
// 30 s.
type HealthCheck struct {
	Enabled            bool // of an ip group: always true, as in AWS
	Path               string
	Interval           time.Duration // 5 to 300 s
	Timeout            time.Duration // 2 to 120 s, below Interval
	HealthyThreshold   int           // 2 to 10 passes in a row make an unhealthy target healthy
	UnhealthyThreshold int           // 2 to 10 failures in a row make a target unhealthy
	Matcher            string        // "200", "200,204", "200-299", within 200 to 499
}

// TargetGroup is the target of a forward action: one function, or the registered
// addresses.
type TargetGroup struct {
	ARN, Name         string
	Type              string  // "lambda" or "ip"
	MultiValueHeaders bool    // lambda.multi_value_headers.enabled
	Function          Invoker // of a lambda group; nil means that none is registered
	Health            HealthCheck

	codes  [][2]int // Health.Matcher
	turn   atomic.Uint64
	inUse  atomic.Pointer[[]*target] // those that get requests
	mu     sync.Mutex
	all    []*target
	checks *checks // once Serve runs
}

// State of a target, in AWS's words.
const (
	Initial   = "initial"
	Healthy   = "healthy"
	Unhealthy = "unhealthy"

	initialReason = "initial health checks in progress"
)

// target is one registered address. Its group's mutex guards the rest of it.
type target struct {
	addr   string
	state  string
	reason string
	streak int // passes above 0, failures below
	stop   context.CancelFunc
}

// TargetHealth is the state of one target. Reason is why it is not healthy.
type TargetHealth struct {
	Addr, State, Reason string
}

// Register adds a target of an ip group: host:port. It gets requests after its
// first passed health check, or while no target of the group is healthy.
func (g *TargetGroup) Register(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.ContainsFunc(g.all, func(t *target) bool { return t.addr == addr }) {
		return
	}
	t := &target{addr: addr, state: Initial, reason: initialReason}
	g.all = append(g.all, t)
	g.refresh()
	g.watch(t)
}

// Deregister takes a target out. Requests that it has are left to finish.
func (g *TargetGroup) Deregister(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = slices.DeleteFunc(g.all, func(t *target) bool {
		if t.addr == addr && t.stop != nil {
			t.stop()
		}
		return t.addr == addr
	})
	g.refresh()
}

// Targets returns the state of every target, in the order of registration. The
// function of a lambda group with health checks is one, its address the
// group's ARN.
func (g *TargetGroup) Targets() []TargetHealth {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []TargetHealth
	for _, t := range g.all {
		out = append(out, TargetHealth{Addr: t.addr, State: t.state, Reason: t.reason})
	}
	return out
}

// Healthy returns the number of healthy targets.
func (g *TargetGroup) Healthy() int {
	n := 0
	for _, t := range g.Targets() {
		if t.State == Healthy {
			n++
		}
	}
	return n
}

// refresh selects the targets that get requests: the healthy ones, or all if none
// is healthy. The caller holds mu.
func (g *TargetGroup) refresh() {
	var healthy []*target
	for _, t := range g.all {
		if t.state == Healthy {
			healthy = append(healthy, t)
		}
	}
	if healthy == nil {
		healthy = slices.Clone(g.all)
	}
	g.inUse.Store(&healthy)
}

// next is round robin; nil if the group has no target.
func (g *TargetGroup) next() *target {
	targets := g.inUse.Load()
	if targets == nil || len(*targets) == 0 {
		return nil
	}
	return (*targets)[(g.turn.Add(1)-1)%uint64(len(*targets))]
}

// prepare fills in defaults and checks the limits.
func (g *TargetGroup) prepare() error {
	h := &g.Health
	interval, timeout := 30*time.Second, 5*time.Second
	switch g.Type {
	case "ip":
		h.Enabled = true
		if g.Function != nil {
			return errors.New("type ip takes addresses, not a function")
		}
	case "lambda":
		interval, timeout = 35*time.Second, 30*time.Second
		if len(g.Targets()) > 0 && g.checks == nil {
			return errors.New("type lambda takes a function, not addresses")
		}
	default:
		return fmt.Errorf("type %q is not built: use lambda or ip", g.Type)
	}
	orDefault(&h.Path, "/")
	orDefault(&h.Interval, interval)
	orDefault(&h.Timeout, timeout)
	orDefault(&h.HealthyThreshold, 5)
	orDefault(&h.UnhealthyThreshold, 2)
	orDefault(&h.Matcher, "200")
	var errs []error
	limit := func(what string, value, low, high int64) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("health check %s %d is outside %d to %d", what, value, low, high))
		}
	}
	limit("interval", int64(h.Interval/time.Second), 5, 300)
	limit("timeout", int64(h.Timeout/time.Second), 2, 120)
	limit("healthy threshold", int64(h.HealthyThreshold), 2, 10)
	limit("unhealthy threshold", int64(h.UnhealthyThreshold), 2, 10)
	if h.Timeout >= h.Interval {
		errs = append(errs, fmt.Errorf("health check timeout %s is not below its interval %s", h.Timeout, h.Interval))
	}
	if !strings.HasPrefix(h.Path, "/") {
		errs = append(errs, fmt.Errorf("health check path %q does not begin with /", h.Path))
	}
	codes, err := parseMatcher(h.Matcher)
	g.codes = codes
	return errors.Join(append(errs, err)...)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func parseMatcher(matcher string) (codes [][2]int, err error) {
	for piece := range strings.SplitSeq(matcher, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(piece), "-")
		if !ranged {
			last = first
		}
		low, errLow := strconv.Atoi(first)
		high, errHigh := strconv.Atoi(last)
		if errLow != nil || errHigh != nil || low < 200 || high > 499 || low > high {
			return nil, fmt.Errorf("health check matcher %q: it is codes or ranges within 200 to 499, such as 200,204 or 200-299", matcher)
		}
		codes = append(codes, [2]int{low, high})
	}
	return codes, nil
}
