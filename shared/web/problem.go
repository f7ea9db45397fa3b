package web

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// problem is problem+json (RFC 9457).
type problem struct {
	Type      string             `json:"type"`
	Title     string             `json:"title"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail,omitempty"`
	Field     string             `json:"field,omitempty"`
	Errors    []fault.FieldFault `json:"errors,omitempty"`
	RequestID string             `json:"request_id,omitempty"`
}

// A fault quotes what was sent: a body of 1 MB may have a name of that length,
// or that many faults, and the answer must pass the load balancer. All that a
// fault may quote of a value that is allowed is shorter.
const (
	maxErrors = 100
	maxQuoted = 500 // bytes of a detail or the name of a field
)

// short cuts a text that is longer than anybody would read.
func short(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

// fail is the only place that turns an error into an answer. A fault's detail
// is meant for the client; any other error is only logged.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := fault.As(err)
	if !ok {
		slog.ErrorContext(r.Context(), "not a known fault", "error", err)
		f = &fault.Error{Kind: fault.Internal}
	} else if f.Cause != nil {
		slog.WarnContext(r.Context(), "refused", "kind", f.Kind, "error", f.Cause)
	}
	if sw, ok := w.(*statusWriter); ok && sw.status != 0 {
		return // the answer had begun: what is left is the log line
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Cache-Control", "no-store")
	if f.Kind.Status() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	body := problem{
		Type: f.Kind.Type(), Title: f.Kind.Title(), Status: f.Kind.Status(),
		Detail: short(f.Detail), Field: short(f.Field), RequestID: trace.From(r.Context()).RequestID,
	}
	for _, e := range f.Errors[:min(len(f.Errors), maxErrors)] {
		body.Errors = append(body.Errors, fault.FieldFault{Field: short(e.Field), Detail: short(e.Detail)})
	}
	if more := len(f.Errors) - maxErrors; more > 0 {
		body.Detail += fmt.Sprintf(" There are %d faults more than are told.", more)
	}
	if err := write(w, "application/problem+json", body.Status, body); err != nil {
		slog.WarnContext(r.Context(), "the client went away", "error", err)
	}
}
