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

// quick makes a checked balancer whose health checks do not take seconds: the
// limits of New hold for what a template says.
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
	var status, checks atomic.Int32
	status.Store(200)
	var request atomic.Pointer[http.Request]
	sick := program(t, func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == healthAgent {
			request.Store(r)
			w.WriteHeader(int(status.Load()))
			checks.Add(1)
		}
		w.Write([]byte("sick"))
	})
	well := program(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("well")) })
	g := &TargetGroup{Name: "users", Type: "ip", Health: HealthCheck{Path: "/healthz?deep=1", HealthyThreshold: 3, UnhealthyThreshold: 2}}
	g.Register(sick)
	g.Register(sick) // twice is once
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
		t.Errorf("all unhealthy: %q, want the requests to go on (fail open)", got)
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
	g.Deregister(sick)
	time.Sleep(50 * time.Millisecond)
	checks.Store(0)
	time.Sleep(100 * time.Millisecond)
	if checks.Load() != 0 {
		t.Error("a deregistered target is still checked")
	}
}

// A program that is only just starting is not held up by its interval.
func TestHealthOfAStartingTarget(t *testing.T) {
	var up atomic.Bool
	target := program(t, func(http.ResponseWriter, *http.Request) {
		if !up.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	g := &TargetGroup{Name: "users", Type: "ip", Health: HealthCheck{Interval: 60 * time.Second}}
	g.Register(target)
	serve(t, config(forward(g)))
	time.Sleep(50 * time.Millisecond)
	if got := g.Targets()[0].State; got != Initial {
		t.Errorf("state %s", got)
	}
	up.Store(true)
	eventually(t, "it is healthy long before the interval is over", func() bool { return g.Healthy() == 1 })
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
	wantStatus(t, get(t, addr, "/"), 500) // the only target gets the requests all the same
}

func TestAFunctionIsNotCheckedByDefault(t *testing.T) {
	f := answers(ok)
	quick(t, group(f), slog.New(slog.DiscardHandler))
	time.Sleep(50 * time.Millisecond)
	if f.calls() != 0 {
		t.Errorf("%d checks", f.calls())
	}
}
