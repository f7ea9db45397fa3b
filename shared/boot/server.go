package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/edge"
	"plaudit/shared/trace"
)

// drain is how long requests in flight may take after the signal to stop. ECS
// kills a task 30 s after that signal (StopTimeout in template.yaml).
const drain = 25 * time.Second

const (
	// MaxConnections is how many connections are open at once. Others wait in the
	// kernel until one is closed.
	MaxConnections = 1536
	// ConnectionMemory is what one of them takes at most: stacks, buffers, and the head
	// of a request within the limits below.
	ConnectionMemory = 64 << 10
	// maxHeader is the size of the largest head of a request, in bytes. The load
	// balancer takes four times as much, but our clients send no more than a token of
	// some 9 KB, if it is limited to a hundred boards.
	maxHeader = 16 << 10
	// maxLines is how many lines of a head are read. Package web refuses half as many,
	// and tells the client.
	maxLines = 200
	// receive is how long a request may take to arrive, with its body.
	receive = 30 * time.Second
	// rest is how long the rest of a body may take to arrive if the answer does not
	// need it. The connection can then be used again.
	rest = time.Second
)

// Serve answers HTTP on addr ("host:port") behind the load balancer until ctx
// ends, then waits for the requests in flight. It returns an error if addr is
// taken, or if the requests in flight take longer than 25 s.
//
// Each request gets an id of ours, never the client's, and a trace: trace.Info
// in its context, X-Request-Id in its response. RemoteAddr is the client's, as
// the load balancer saw it.
func Serve(ctx context.Context, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return serve(ctx, newLimited(l, MaxConnections), h, drain)
}

func serve(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration) error {
	srv := &http.Server{
		Handler:           identified(answering(h)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       receive,
		WriteTimeout:      60 * time.Second,
		// Longer than the load balancer's 60 s. Otherwise the load balancer may send
		// a request on a connection that is being closed, and answer 502.
		IdleTimeout:    75 * time.Second,
		MaxHeaderBytes: maxHeader,
		ConnState:      nextHead,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		// A request in flight outlives ctx.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	slog.Info("listening", "address", l.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := srv.Shutdown(wait); err != nil {
		srv.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("requests in flight took longer than %s to end", drain)
		}
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// identified returns a handler that adds an id, a trace and the client's address to
// each request.
func identified(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := trace.Info{RequestID: uuid.NewString(), Parent: trace.Parent(r.Header.Get("Traceparent"))}
		w.Header().Set("X-Request-Id", info.RequestID)
		// The connection is the load balancer's.
		if client, ok := edge.ClientAddr(r.Header); ok {
			r.RemoteAddr = client
		}
		h.ServeHTTP(w, r.WithContext(trace.With(r.Context(), info)))
	})
}
