package elb

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quick runs a balancer whose health checks do not take seconds. A template
// could not: New holds it to the limits of AWS.
func quick(t *testing.T, g *TargetGroup, log *slog.Logger) string {
	t.Helper()
	cfg := config(forward(g))
	cfg.Log = log
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Health.Interval, g.Health.Timeout = 20*time.Millisecond, 10*time.Second
	return run(t, b)
}

func TestHealthThresholds(t *testing.T) {
	var status, checks, others atomic.Int32
	status.Store(200)
	var request atomic.Pointer[http.Request]
	var hang atomic.Bool
	hangs, ended := make(chan struct{}, 1), make(chan struct{})
	sick := program(t, func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == healthAgent {
			if hang.Load() {
				hangs <- struct{}{}
				<-r.Context().Done()
				ended <- struct{}{}
				return
			}
			request.Store(r)
			w.WriteHeader(int(status.Load()))
			checks.Add(1)
		}
		w.Write([]byte("sick"))
	})
	well := program(t, func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == healthAgent {
			others.Add(1)
		}
		w.Write([]byte("well"))
	})
	g := &TargetGroup{Name: "users", Type: "ip", Health: HealthCheck{Path: "/healthz?deep=1", HealthyThreshold: 3, UnhealthyThreshold: 2}}
	g.Register(sick)
	g.Register(sick) // has no effect
	log := &logs{}
	addr := quick(t, g, log.logger(slog.LevelInfo))
	eventually(t, "one pass makes a new target healthy", func() bool { return g.Healthy() == 1 })
	if n := checks.Load(); n > 2 {
		t.Errorf("healthy after %d checks", n)
	}
	r := request.Load()
	if r.Method != "GET" || r.RequestURI != "/healthz?deep=1" || r.Host != sick || !r.Close {
		t.Errorf("check %s %s, host %s, close %v", r.Method, r.RequestURI, r.Host, r.Close)
	}

	status.Store(503)
	checks.Store(0)
	eventually(t, "two failures make it unhealthy", func() bool { return g.Targets()[0].State == Unhealthy })
	if n := checks.Load(); n < 2 {
		t.Errorf("unhealthy after %d checks", n)
	}
	if got := g.Targets()[0].Reason; got != "health checks failed with these codes: [503]" {
		t.Errorf("reason %q", got)
	}
	if got := get(t, addr, "/").text; got != "sick" {
		t.Errorf("all unhealthy: %q, want requests to be served (fail open)", got)
	}
	g.Register(well)
	eventually(t, "the other one is healthy", func() bool { return g.Healthy() == 1 })
	for range 4 {
		if got := get(t, addr, "/").text; got != "well" {
			t.Errorf("an unhealthy target answered: %q", got)
		}
	}

	status.Store(200)
	checks.Store(0)
	eventually(t, "it comes back", func() bool { return g.Healthy() == 2 })
	if n := checks.Load(); n < 3 {
		t.Errorf("healthy again after %d checks, want 3", n)
	}
	for _, line := range []string{"level=WARN msg=\"load balancer: target is unhealthy\" target_group=users target=" + sick + " reason=\"health checks failed with these codes: [503]\"", "target is healthy"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no line %q in %s", line, log)
		}
	}

	// The end of its registration ends the check in flight, and no other one
	// follows while the other target is checked.
	hang.Store(true)
	<-hangs
	g.Deregister(sick)
	<-ended
	others.Store(0)
	eventually(t, "the other one is checked", func() bool { return others.Load() > 5 })
	select {
	case <-hangs:
		t.Error("a deregistered target is still checked")
	default:
	}
}

// A program that is starting is checked more often than its interval, and these
// checks do not count as failures.
func TestHealthOfAStartingTarget(t *testing.T) {
	var up atomic.Bool
	var checks atomic.Int32
	target := program(t, func(http.ResponseWriter, *http.Request) {
		if checks.Add(1); !up.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	g := &TargetGroup{Name: "users", Type: "ip", Health: HealthCheck{Interval: 300 * time.Second, UnhealthyThreshold: 2}}
	g.Register(target)
	serve(t, config(forward(g)))
	eventually(t, "four checks within the first interval", func() bool { return checks.Load() >= 4 })
	if got := g.Targets()[0].State; got != Initial {
		t.Errorf("after three failed checks: state %s", got)
	}
	up.Store(true)
	eventually(t, "it is healthy", func() bool { return g.Healthy() == 1 })
}

func TestHealthTimeout(t *testing.T) {
	wait := make(chan struct{})
	slow := program(t, func(http.ResponseWriter, *http.Request) { <-wait })
	t.Cleanup(func() { close(wait) })
	g := &TargetGroup{Name: "users", Type: "ip"}
	g.Register(slow)
	b, err := New(config(forward(g)))
	if err != nil {
		t.Fatal(err)
	}
	g.Health.Interval, g.Health.Timeout = 10*time.Millisecond, 20*time.Millisecond
	run(t, b)
	eventually(t, "it is unhealthy", func() bool { return g.Targets()[0].State == Unhealthy })
	if got := g.Targets()[0].Reason; got != "request timed out" {
		t.Errorf("reason %q", got)
	}
}

func TestMatcher(t *testing.T) {
	for matcher, statuses := range map[string]map[int]bool{
		"200":         {200: true, 201: false},
		"200-299":     {200: true, 299: true, 301: false},
		"200,204,301": {204: true, 301: true, 202: false},
	} {
		for status, passes := range statuses {
			addr := program(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			g := &TargetGroup{Name: "users", Type: "ip", Health: HealthCheck{Matcher: matcher}}
			g.Register(addr)
			quick(t, g, slog.New(slog.DiscardHandler))
			eventually(t, "a verdict", func() bool { return g.Targets()[0].State != Initial })
			if got := g.Healthy() == 1; got != passes {
				t.Errorf("%s on %d: %v", matcher, status, got)
			}
		}
	}
}

func TestHealthOfAFunction(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	f := &function{reply: func(event) (string, string, error) {
		return `{"statusCode":` + strconv.Itoa(int(status.Load())) + `}`, "", nil
	}}
	g := group(f)
	g.Health = HealthCheck{Enabled: true, Path: "/health"}
	addr := quick(t, g, slog.New(slog.DiscardHandler))
	eventually(t, "it is healthy", func() bool { return g.Healthy() == 1 })
	e := f.last(t)
	if e.HTTPMethod != "GET" || e.Path != "/health" || *e.Body != "" || *e.IsBase64Encoded || e.RequestContext.ELB.TargetGroupArn != g.ARN {
		t.Errorf("event %+v", e)
	}
	if len(e.MultiValueHeader) != 1 || e.MultiValueHeader["user-agent"][0] != "ELB-HealthChecker/2.0" || e.MultiValueQuery == nil {
		t.Errorf("headers %v, query %v", e.MultiValueHeader, e.MultiValueQuery)
	}
	status.Store(500)
	eventually(t, "it is unhealthy", func() bool { return g.Targets()[0].State == Unhealthy })
	wantStatus(t, get(t, addr, "/"), 500) // it is the only target, so it still gets the requests
}

func TestAFunctionIsNotCheckedByDefault(t *testing.T) {
	f := answers(ok)
	g := group(f)
	wantStatus(t, get(t, quick(t, g, slog.New(slog.DiscardHandler)), "/"), 200)
	// The checks begin before the first request is served, each for one of these.
	if targets := g.Targets(); len(targets) != 0 {
		t.Errorf("checked: %v", targets)
	}
	if f.calls() != 1 || f.last(t).Path != "/" {
		t.Errorf("%d calls, want the request only", f.calls())
	}
}
