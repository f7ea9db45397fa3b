package elb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	healthAgent = "ELB-HealthChecker/2.0"
	// firstAnswer is how often a target that has never passed is asked during
	// its first interval. AWS waits the whole interval between two checks; a
	// program on the same machine is up within milliseconds, so that would be
	// the longest part of a start.
	firstAnswer = 100 * time.Millisecond
)

// checks is the environment of a group's health checks.
type checks struct {
	ctx    context.Context
	wg     *sync.WaitGroup
	log    *slog.Logger
	client *http.Client
}

// startChecks checks the targets of the group until ctx ends; wg counts the
// running checks.
func (g *TargetGroup) startChecks(ctx context.Context, wg *sync.WaitGroup, log *slog.Logger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks = &checks{ctx: ctx, wg: wg, log: log, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if g.Type == "lambda" && g.Health.Enabled && g.Function != nil && len(g.all) == 0 {
		g.all = []*target{{addr: g.ARN, state: Initial, reason: initialReason}}
	}
	for _, t := range g.all {
		g.watch(t)
	}
}

// stopChecks prevents new checks after the context of startChecks has ended.
func (g *TargetGroup) stopChecks() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks = nil
}

// watch checks a target until it is deregistered. The caller holds mu.
func (g *TargetGroup) watch(t *target) {
	if g.checks == nil {
		return
	}
	c := g.checks
	ctx, stop := context.WithCancel(c.ctx)
	t.stop = stop
	c.wg.Go(func() {
		defer stop()
		registered := time.Now()
		for {
			err := g.ask(ctx, c, t)
			if ctx.Err() != nil {
				return
			}
			wait := g.Health.Interval
			if err != nil && g.Type == "ip" && time.Since(registered) < g.Health.Interval && g.hopeful(t) {
				wait = firstAnswer
			} else {
				g.note(c, t, err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// hopeful reports whether the target has neither passed its checks nor failed them
// often enough to be unhealthy.
func (g *TargetGroup) hopeful(t *target) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.state == Initial
}

// note counts a passed (nil) or failed check. One pass makes a new target
// healthy; afterwards the thresholds decide.
func (g *TargetGroup) note(c *checks, t *target, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := t.state
	if err == nil {
		t.streak = max(t.streak, 0) + 1
		if state == Initial || t.streak >= g.Health.HealthyThreshold {
			state = Healthy
		}
	} else {
		t.streak = min(t.streak, 0) - 1
		t.reason = err.Error()
		if -t.streak >= g.Health.UnhealthyThreshold {
			state = Unhealthy
		}
	}
	if state == Healthy {
		t.reason = ""
	}
	if state == t.state {
		return
	}
	t.state = state
	g.refresh()
	level := slog.LevelInfo
	if state == Unhealthy {
		level = slog.LevelWarn
	}
	c.log.Log(c.ctx, level, "load balancer: target is "+state, "target_group", g.Name, "target", t.addr, "reason", t.reason)
}

// ask makes one health check.
func (g *TargetGroup) ask(ctx context.Context, c *checks, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, g.Health.Timeout)
	defer cancel()
	status, err := 0, error(nil)
	if g.Type == "lambda" {
		status, err = g.askFunction(ctx)
	} else {
		status, err = g.askAddress(ctx, c.client, t.addr)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("request timed out")
	case err != nil:
		return fmt.Errorf("health checks failed: %w", err)
	}
	for _, code := range g.codes {
		if code[0] <= status && status <= code[1] {
			return nil
		}
	}
	return fmt.Errorf("health checks failed with these codes: [%d]", status)
}

func (g *TargetGroup) askAddress(ctx context.Context, client *http.Client, addr string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+g.Health.Path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", healthAgent)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, maxLambda)
	return res.StatusCode, nil
}

// askFunction sends the health check's event: a GET with a user agent and no
// host ("Enable health checks" in "Lambda functions as targets").
func (g *TargetGroup) askFunction(ctx context.Context) (int, error) {
	event := g.event(http.MethodGet, g.Health.Path, "", "", http.Header{"User-Agent": {healthAgent}}, nil)
	payload, functionError, err := g.Function.Invoke(ctx, event, trace(nil, time.Now()))
	switch {
	case err != nil:
		return 0, err
	case functionError != "":
		return 0, fmt.Errorf("function error (%s)", functionError)
	}
	var res struct {
		StatusCode int `json:"statusCode"`
	}
	if err := json.Unmarshal(payload, &res); err != nil {
		return 0, fmt.Errorf("malformed response: %w", err)
	}
	return res.StatusCode, nil
}
