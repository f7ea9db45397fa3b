// Package edge knows what the platform in front of a deployable adds: what the
// load balancer writes into a request, whether Lambda runs the process, and until when.
package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// ClientAddr returns the client's address in the form of
// http.Request.RemoteAddr, with port 0 if the load balancer does not send it.
// The last address of X-Forwarded-For is the load balancer's own observation;
// those before it are the client's word
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html).
// ok is false if the header is missing or its last part is not an address.
func ClientAddr(h http.Header) (addr string, ok bool) {
	lines := h.Values("X-Forwarded-For")
	if len(lines) == 0 {
		return "", false
	}
	last := lines[len(lines)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	if _, err := netip.ParseAddr(last); err == nil {
		return net.JoinHostPort(last, "0"), true
	}
	if _, err := netip.ParseAddrPort(last); err == nil {
		return last, true
	}
	return "", false
}

// CheckLambda returns an error if the process was not started as a Lambda
// function: then there is no Runtime API to ask for events.
func CheckLambda() error {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		return errors.New("AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda function, started by Lambda or, on a laptop, by `make run`")
	}
	return nil
}

// Reserve is the time before the invoke's deadline that is left for the response. At the
// deadline Lambda kills the function: a whole batch is then retried, and the load
// balancer answers with a 502 of its own.
const Reserve = 500 * time.Millisecond

// WithReserve returns a context that ends shortly before the deadline of the invoke's
// context, so that there is time for the response.
func WithReserve(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-Reserve))
}
