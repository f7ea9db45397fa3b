// Command function is a Lambda for alb's tests. A request to /slow takes until
// after the signal to stop.
package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"plaudit/shared/alb"
	"plaudit/shared/boot"
)

func main() { boot.Main("function", run) }

func run(ctx context.Context, _ struct{}) error {
	defer slog.Info("tidied up")
	stopping := ctx
	return alb.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slog.InfoContext(r.Context(), "serving")
		if r.URL.Path == "/slow" {
			slog.InfoContext(r.Context(), "waiting")
			<-stopping.Done()
			time.Sleep(300 * time.Millisecond) // long enough to be cut off
		}
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, r.URL.EscapedPath())
	}))
}
