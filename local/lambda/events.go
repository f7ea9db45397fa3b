package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxEvents is how many asynchronous invocations may wait or run at once.
const maxEvents = 1000

// Limits of Async, which are its defaults too.
const (
	maxRetries  = 2
	minEventAge = time.Minute
	maxEventAge = 6 * time.Hour
)

// retryDelays are the pauses before the second and the third attempt of an
// asynchronous invocation whose function failed, throttleDelays the first and
// the longest pause of one that was throttled.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
var (
	retryDelays    = [maxRetries]time.Duration{time.Minute, 2 * time.Minute}
	throttleDelays = [...]time.Duration{time.Second, 5 * time.Minute}
)

// events are the asynchronous invocations. They live in memory: those that
// have not succeeded when the service closes are lost, which is logged.
type events struct {
	delays    [maxRetries]time.Duration
	throttled [2]time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	count  int
	closed bool
	slots  map[*Function]chan struct{}
}

func (e *events) init() {
	e.delays, e.throttled = retryDelays, throttleDelays
	e.ctx, e.cancel = context.WithCancel(context.Background())
}

// add runs an invocation in the background, with more attempts if the function
// fails, as its Async says. It returns ErrThrottled when too many wait already.
func (e *events) add(f *Function, inv invocation) error { return e.addKept(f, inv, nil) }

// addKept is add, and calls handled, which may be nil, when no attempt is left or needed.
func (e *events) addKept(f *Function, inv invocation, handled func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.count >= maxEvents:
		return ErrThrottled
	}
	e.count++
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		e.run(f, inv, handled)
		e.mu.Lock()
		e.count--
		e.mu.Unlock()
	}()
	return nil
}

// InvokeAsync invokes the function in the background, as services do that do not
// wait for its answer. If the function fails, Lambda tries again as often as the
// function's EventInvokeConfig says, by default twice. The error is ErrThrottled, ErrClosed or that of a payload over 1 MB.
func (f *Function) InvokeAsync(payload []byte) error {
	if len(payload) > maxAsyncRequest {
		return fmt.Errorf("the payload is larger than %d bytes", maxAsyncRequest)
	}
	return f.service.events.add(f, invocation{id: uuid.NewString(), payload: payload})
}

// InvokeKept is InvokeAsync for a caller that keeps the payload until the function has
// handled it, and invokes again what was not handled before the service closed. It calls
// handled when the function has succeeded or no attempt is left.
func (f *Function) InvokeKept(payload []byte, handled func()) error {
	if len(payload) > maxAsyncRequest {
		return fmt.Errorf("the payload is larger than %d bytes", maxAsyncRequest)
	}
	return f.service.events.addKept(f, invocation{id: uuid.NewString(), payload: payload}, handled)
}

// slot returns what holds as many attempts as the function has environments. Without it,
// a hundred events at once would throttle each other, and wait ever longer.
func (e *events) slot(f *Function) chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.slots == nil {
		e.slots = map[*Function]chan struct{}{}
	}
	if e.slots[f] == nil {
		e.slots[f] = make(chan struct{}, f.config.Concurrency)
	}
	return e.slots[f]
}

// run invokes the function until it succeeds or no attempt is left, and then calls
// handled, which may be nil.
func (e *events) run(f *Function, first invocation, handled func()) {
	log := f.service.log.With("function", f.config.Name, "request_id", first.id)
	arrived := time.Now()
	throttled := e.throttled[0]
	closes := func(reason any) {
		if handled != nil {
			log.Info("asynchronous invocation waits for the next start", "reason", reason)
			return
		}
		log.Error("asynchronous invocation lost", "reason", reason)
	}
	done := func() {
		if handled != nil {
			handled()
		}
	}
	slot := e.slot(f)
	for attempt := 0; ; {
		select {
		case slot <- struct{}{}:
		case <-e.ctx.Done():
			closes(ErrClosed)
			return
		}
		inv := first // an attempt leaves marks on its invocation
		out, err := f.invoke(context.Background(), &inv)
		<-slot
		var pause time.Duration
		switch {
		case errors.Is(err, ErrThrottled):
			pause, throttled = throttled, min(2*throttled, e.throttled[1])
		case err != nil: // the service closes
			closes(err)
			return
		case out.functionError == "":
			done()
			return
		case handled != nil && e.ctx.Err() != nil: // the service may have ended the attempt
			closes(ErrClosed)
			return
		case attempt >= f.config.Async.Retries:
			log.Error("asynchronous invocation failed for the last time and is dropped", "reason", reason(out.response))
			done()
			return
		default:
			pause = e.delays[attempt]
			attempt++
		}
		if time.Since(arrived)+pause > f.config.Async.MaxAge {
			log.Error("asynchronous invocation would be too old at the next attempt and is dropped", "maximum_age", f.config.Async.MaxAge)
			done()
			return
		}
		log.Log(e.ctx, slog.LevelInfo, "asynchronous invocation is tried again", "in", pause)
		select {
		case <-time.After(pause):
		case <-e.ctx.Done():
			closes(ErrClosed)
			return
		}
	}
}

// close takes no more events and ends the pauses of those that wait.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.cancel()
}

func (e *events) wait() { e.work.Wait() }
