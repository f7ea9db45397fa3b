package web

import (
	"log/slog"
	"net/http"

	"plaudit/shared/fault"
	"plaudit/shared/problem"
)

// Renderer writes the response to a request that failed: the status, the body and
// its Content-Type. The other headers are already set. It must not show more than the
// problem does.
type Renderer func(w http.ResponseWriter, r *http.Request, p problem.Problem) error

// renderJSON is the default renderer.
func renderJSON(w http.ResponseWriter, _ *http.Request, p problem.Problem) error { return p.Write(w) }

// fail is the only function that turns an error into a response. A fault's detail is
// meant for the client. Any other error is only logged.
func fail(w *statusWriter, r *http.Request, render Renderer, err error) {
	f, ok := fault.As(err)
	if !ok {
		slog.ErrorContext(r.Context(), "unexpected error", "error", err)
		f = &fault.Error{Kind: fault.Internal}
	} else if f.Cause != nil {
		slog.WarnContext(r.Context(), "refused", "kind", f.Kind, "error", f.Cause)
	}
	if w.status != 0 {
		return // the response has begun, so the error is only logged
	}
	problem.SetHeaders(w.Header(), f)
	if err := render(w, r, problem.New(r.Context(), f)); err != nil {
		slog.WarnContext(r.Context(), "the response could not be written", "error", err)
	}
}
