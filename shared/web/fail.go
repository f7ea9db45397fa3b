package web

import (
	"log/slog"
	"net/http"

	"plaudit/shared/fault"
	"plaudit/shared/problem"
)

// Renderer writes the answer to a request that failed: the status, the body
// and its Content-Type. The headers that any such answer has are set already.
// It must not show more than the problem does.
type Renderer func(w http.ResponseWriter, r *http.Request, p problem.Problem) error

// renderJSON is the renderer of routes that name none.
func renderJSON(w http.ResponseWriter, _ *http.Request, p problem.Problem) error { return p.Write(w) }

// fail is the only place that turns an error into an answer. A fault's detail
// is meant for the client; any other error is only logged.
func fail(w *statusWriter, r *http.Request, render Renderer, err error) {
	f, ok := fault.As(err)
	if !ok {
		slog.ErrorContext(r.Context(), "unexpected error", "error", err)
		f = &fault.Error{Kind: fault.Internal}
	} else if f.Cause != nil {
		slog.WarnContext(r.Context(), "refused", "kind", f.Kind, "error", f.Cause)
	}
	if w.status != 0 {
		return // the answer had begun: what is left is the log line
	}
	problem.SetHeaders(w.Header(), f)
	if err := render(w, r, problem.New(r.Context(), f)); err != nil {
		slog.WarnContext(r.Context(), "the answer could not be written", "error", err)
	}
}
