package lambda

import (
	"context"
	"testing"
)

func BenchmarkWarm(b *testing.B) {
	s, _ := newService(b)
	f := add(b, s, Config{})
	succeed(b, f, `{}`)
	payload := []byte(`{"do":"echo","text":"a small event"}`)
	for b.Loop() {
		if _, fail, err := f.Invoke(context.Background(), payload, ""); fail != "" || err != nil {
			b.Fatal(fail, err)
		}
	}
}

// BenchmarkWarmParallel has 16 callers, whatever the number of processors.
func BenchmarkWarmParallel(b *testing.B) {
	s, _ := newService(b)
	f := add(b, s, Config{Concurrency: 16})
	payload := []byte(`{"do":"echo","text":"a small event"}`)
	work := make(chan struct{})
	done := make(chan error)
	for range 16 {
		go func() {
			var err error
			for range work {
				if _, _, e := f.Invoke(context.Background(), payload, ""); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 64 { // start the environments
		work <- struct{}{}
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	for range 16 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCold(b *testing.B) {
	s, _ := newService(b)
	f := add(b, s, Config{})
	for b.Loop() {
		if _, fail, err := f.Invoke(context.Background(), []byte(`{}`), ""); fail != "" || err != nil {
			b.Fatal(fail, err)
		}
		b.StopTimer()
		f.Replace(program)
		eventually(b, "the environment ends", func() bool { return len(f.PIDs()) == 0 })
		b.StartTimer()
	}
}
