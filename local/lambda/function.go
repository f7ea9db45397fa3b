package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Function is one function and its environments.
type Function struct {
	service *Service
	config  Config
	stopped chan struct{} // closes with the service

	environments sync.WaitGroup // the processes, until they are gone

	mu         sync.Mutex
	binary     string
	generation int // of the binary
	used       int // environments that invocations hold, and idle ones
	idle       []*environment
	all        map[*environment]bool
	throttled  time.Time // when that was last logged
	closed     bool      // takes no more invocations
	stopping   bool      // nor environments
}

func newFunction(s *Service, c Config) *Function {
	f := &Function{service: s, config: c, binary: c.Binary, stopped: make(chan struct{}), all: map[*environment]bool{}}
	go f.reap()
	return f
}

// Name is the function's name.
func (f *Function) Name() string { return f.config.Name }

// ARN is the function's ARN.
func (f *Function) ARN() string { return f.config.ARN }

// Timeout is how long one invocation may take.
func (f *Function) Timeout() time.Duration { return f.config.Timeout }

// Concurrency is how many invocations may run at a time.
func (f *Function) Concurrency() int { return f.config.Concurrency }

// PIDs are the processes of the function's environments, sorted.
func (f *Function) PIDs() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for env := range f.all {
		pids = append(pids, env.proc.PID())
	}
	slices.Sort(pids)
	return pids
}

// Replace takes another binary for the next invocations. Idle environments end
// now, busy ones after their invocation.
func (f *Function) Replace(binary string) {
	f.mu.Lock()
	f.binary = binary
	f.generation++
	idle := f.takeIdle()
	f.mu.Unlock()
	for _, env := range idle {
		go f.retire(env)
	}
}

// Invoke sends the payload to the function and waits for its answer.
// functionError is "" or "Unhandled"; in the second case the response is
// Lambda's JSON object with errorMessage and errorType. traceID is the value
// of an X-Amzn-Trace-Id header, or "" to have one made. The error is
// ErrThrottled, ErrTooLarge, ErrClosed or the error of ctx. When ctx ends, the
// function continues, as in the cloud. The payload belongs to the
// invocation from now on.
func (f *Function) Invoke(ctx context.Context, payload []byte, traceID string) (response []byte, functionError string, err error) {
	if len(payload) > maxRequest {
		return nil, "", ErrTooLarge
	}
	out, err := f.invoke(ctx, &invocation{payload: payload, traceID: traceID})
	return out.response, out.functionError, err
}

// invocation is one event on its way through an environment.
type invocation struct {
	id            string
	payload       []byte
	traceID       string
	clientContext string        // JSON or ""
	tail          *tail         // nil unless the caller asked for the end of the log
	cold          time.Duration // how long its environment took to start
	began         time.Time     // when its environment was there
	taken         bool          // whether the event was written
	deadline      time.Time
	done          chan struct{} // closes when it has an outcome
	outcome       outcome
}

// outcome is the caller's result.
type outcome struct {
	response      []byte
	functionError string
}

const unhandled = "Unhandled"

// failure is the response of a function that failed outside its own code.
func failure(errorType, message string) outcome {
	body, err := json.Marshal(struct {
		Type    string `json:"errorType,omitempty"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		panic(err) // two strings always marshal
	}
	return outcome{body, unhandled}
}

// invoke takes inv to an idle environment or starts one. When ctx ends, a
// function that has the event continues.
func (f *Function) invoke(ctx context.Context, inv *invocation) (outcome, error) {
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	env, err := f.acquire()
	if err != nil {
		return outcome{}, err
	}
	if inv.id == "" {
		inv.id = uuid.NewString()
	}
	if inv.traceID == "" || strings.ContainsAny(inv.traceID, "\r\n") {
		inv.traceID = newTraceID()
	}
	if env != nil {
		inv.deadline = time.Now().Add(f.config.Timeout)
		out, how := env.run(inv, ctx.Done())
		switch how {
		case cancelled:
			go f.finish(env, inv)
			return outcome{}, ctx.Err()
		case untaken:
			f.lost(env)
		default:
			f.settle(env, inv, out, how)
			return out, nil
		}
	}
	answer := make(chan outcome, 1)
	go func() { answer <- f.runCold(inv) }()
	select {
	case out := <-answer:
		return out, nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
}

// runCold takes inv through a new environment, to which the caller has acquired
// the right.
func (f *Function) runCold(inv *invocation) outcome {
	for {
		began := time.Now()
		env, failed := f.start(inv)
		if env == nil {
			f.forgo()
			return failed
		}
		inv.cold = time.Since(began)
		out, how := env.run(inv, nil)
		if how == untaken {
			f.lost(env)
			continue
		}
		f.settle(env, inv, out, how)
		return out
	}
}

// finish waits for the end of an invocation whose caller has gone.
func (f *Function) finish(env *environment, inv *invocation) {
	if !inv.taken {
		f.release(env)
		return
	}
	out, how := env.await(inv, nil)
	if how == untaken {
		f.lost(env)
		f.forgo()
		return
	}
	f.settle(env, inv, out, how)
}

// settle logs an invocation that has ended and passes its environment on.
func (f *Function) settle(env *environment, inv *invocation, out outcome, how how) {
	f.report(inv, out)
	if how == completed {
		f.release(env)
		return
	}
	f.end(env)
	f.forgo()
}

// lost ends an environment that has not taken an event, so that another may.
// The caller keeps the right to an environment.
func (f *Function) lost(env *environment) {
	f.end(env)
	f.service.log.Warn("a function process ended between invocations; another is started",
		"function", f.config.Name, "pid", env.proc.PID(), "reason", exitReason(env.proc))
}

// newTraceID makes an X-Ray tracing header that asks for no sampling.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html
func newTraceID() string {
	return fmt.Sprintf("Root=1-%08x-%08x%016x;Parent=%016x;Sampled=0", time.Now().Unix(), rand.Uint32(), rand.Uint64(), rand.Uint64())
}

// acquire takes an idle environment or the right to a new one (nil). It prefers
// environments that wait for an event to those that are about to, and then the
// one that was used last.
func (f *Function) acquire() (*environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if n := len(f.idle); n > 0 {
		i := n - 1
		for j, env := range slices.Backward(f.idle) {
			if len(env.waiting) > 0 {
				i = j
				break
			}
		}
		env := f.idle[i]
		f.idle = slices.Delete(f.idle, i, i+1)
		return env, nil
	}
	if f.used >= f.config.Concurrency {
		if now := time.Now(); now.Sub(f.throttled) > time.Second { // a line a second is enough
			f.throttled = now
			f.service.log.Warn("invocation throttled: every environment is busy", "function", f.config.Name, "concurrency", f.config.Concurrency)
		}
		return nil, ErrThrottled
	}
	f.used++
	f.environments.Add(1)
	return nil, nil
}

// release takes back an environment that has answered.
func (f *Function) release(env *environment) {
	f.mu.Lock()
	keep := !f.closed && env.generation == f.generation
	if keep {
		env.idleSince = time.Now()
		f.idle = append(f.idle, env)
	} else {
		f.used--
	}
	f.mu.Unlock()
	if !keep {
		go f.retire(env)
	} else if ended(env.proc) {
		f.dropIdle(env) // its process may have ended before it was listed
	}
}

// takeIdle empties the list of idle environments, which the caller retires.
// The function's mutex is held.
func (f *Function) takeIdle() []*environment {
	idle := f.idle
	f.idle = nil
	f.used -= len(idle)
	return idle
}

// dropIdle forgets an environment whose process has ended, if it was idle.
func (f *Function) dropIdle(env *environment) {
	f.mu.Lock()
	i := slices.Index(f.idle, env)
	if i >= 0 {
		f.idle = slices.Delete(f.idle, i, i+1)
		f.used--
	}
	f.mu.Unlock()
	if i >= 0 {
		f.service.log.Warn("a function process ended between invocations",
			"function", f.config.Name, "pid", env.proc.PID(), "reason", exitReason(env.proc))
		f.retire(env)
	}
}

// retire ends an environment that no longer counts against the concurrency, so
// that its end throttles no invocation.
func (f *Function) retire(env *environment) {
	f.end(env)
	f.environments.Done()
}

// forgo releases the right to an environment whose process has ended.
func (f *Function) forgo() {
	f.mu.Lock()
	f.used--
	f.mu.Unlock()
	f.environments.Done()
}

// end ends an environment and returns when its process is gone.
func (f *Function) end(env *environment) {
	env.shutdown()
	f.mu.Lock()
	delete(f.all, env)
	f.mu.Unlock()
}

// report logs an invocation that has ended.
func (f *Function) report(inv *invocation, out outcome) {
	took := time.Since(inv.began)
	inv.tail.finish(inv.id, took, inv.cold, f.config.MemoryMB)
	level, message := slog.LevelDebug, "invoked"
	if out.functionError != "" {
		level, message = slog.LevelWarn, "invocation failed"
	}
	ctx := context.Background()
	if !f.service.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("function", f.config.Name), slog.String("request_id", inv.id), slog.Duration("duration", took)}
	if inv.cold > 0 {
		attrs = append(attrs, slog.Duration("init_duration", inv.cold))
	}
	if out.functionError != "" {
		attrs = append(attrs, slog.String("reason", reason(out.response)))
	}
	f.service.log.LogAttrs(ctx, level, message, attrs...)
}

// reason is the type and message in a failed invocation's response.
func reason(response []byte) string {
	var body struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(response, &body) != nil {
		return "the function failed without saying why"
	}
	if body.Type == "" {
		return body.Message
	}
	return body.Type + ": " + body.Message
}

// reap ends environments that have been idle for too long.
func (f *Function) reap() {
	tick := time.NewTicker(max(f.config.IdleAfter/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-f.stopped:
			return
		case <-tick.C:
		}
		var old []*environment
		f.mu.Lock()
		f.idle = slices.DeleteFunc(f.idle, func(env *environment) bool {
			expired := time.Since(env.idleSince) >= f.config.IdleAfter
			if expired {
				old = append(old, env)
				f.used--
			}
			return expired
		})
		f.mu.Unlock()
		for _, env := range old {
			f.service.log.Debug("function process ends after being idle", "function", f.config.Name, "pid", env.proc.PID())
			go f.retire(env)
		}
	}
}

// close refuses new invocations and ends idle environments.
func (f *Function) close() {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	close(f.stopped)
	idle := f.takeIdle()
	f.mu.Unlock()
	for _, env := range idle {
		go f.retire(env)
	}
}

// stopAll ends the environments that are still busy.
func (f *Function) stopAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping = true
	for env := range f.all {
		go env.shutdown()
	}
}
