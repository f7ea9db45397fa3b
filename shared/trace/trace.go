// Package trace carries a request's id and its W3C trace context from where
// the request comes in to every log line, outbox row and problem, and what the
// request leaves behind to the log.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"time"
)

// Info identifies one request.
type Info struct {
	RequestID string // as the client sees it in a problem; in Lambda the invoke's id
	Parent    string // a valid `traceparent` (https://www.w3.org/TR/trace-context/): the client's, else a new one
}

type key struct{}

// With returns a context that carries the info.
func With(ctx context.Context, i Info) context.Context {
	return context.WithValue(ctx, key{}, i)
}

// From returns the info that the context carries, else an empty one.
func From(ctx context.Context) Info {
	i, _ := ctx.Value(key{}).(Info)
	return i
}

var wellFormed = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

const noTrace, noSpan = "00000000000000000000000000000000", "0000000000000000"

// Parent returns the header's value if it is a valid traceparent of version
// 00, else a new, unsampled one: the specification wants an invalid header
// ignored, never refused.
func Parent(header string) string {
	if wellFormed.MatchString(header) && header[3:35] != noTrace && header[36:52] != noSpan {
		return header
	}
	var b [24]byte
	rand.Read(b[:]) // never fails, see its documentation
	return "00-" + hex.EncodeToString(b[:16]) + "-" + hex.EncodeToString(b[16:]) + "-00"
}

// TraceID returns the id of the trace, empty if the info has none.
func (i Info) TraceID() string {
	if !wellFormed.MatchString(i.Parent) {
		return ""
	}
	return i.Parent[3:35]
}

// Request is what a served HTTP request leaves behind for the log and metrics.
type Request struct {
	Method  string
	Pattern string // of the route, never the path; "none" if no route matched
	Status  int
	Took    time.Duration
	Actor   string // user/<id> or key/<id>, from a verified token; empty if anonymous
	Board   string // the path's {board}, if it has the form of a board's id; else empty
}
