package lambda

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAKeptInvocationReportsWhenItIsHandled(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Async: &Async{Retries: 0, MaxAge: time.Hour}})
	var handled atomic.Int32
	for _, event := range []string{`{"do":"pid"}`, `{"do":"fail","text":"no"}`} {
		if err := f.InvokeKept([]byte(event), func() { handled.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both are handled", func() bool { return handled.Load() == 2 })
	h := newHold(t)
	if err := f.InvokeKept([]byte(h.event), func() { handled.Add(1) }); err != nil {
		t.Fatal(err)
	}
	h.begun(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Close(ctx)
	if got := handled.Load(); got != 2 || strings.Contains(log.String(), "asynchronous invocation lost") {
		t.Errorf("%d are handled, though the service ended the third one", got)
	}
	if err := f.InvokeKept([]byte(`{}`), nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestManyEventsDoNotThrottleEachOther(t *testing.T) {
	s, log := newService(t)
	f := add(t, s, Config{Concurrency: 1})
	var handled atomic.Int32
	for range 50 {
		if err := f.InvokeKept([]byte(`{"do":"pid"}`), func() { handled.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are handled", func() bool { return handled.Load() == 50 })
	if strings.Contains(log.String(), "throttled") {
		t.Error("an invocation was throttled")
	}
}
