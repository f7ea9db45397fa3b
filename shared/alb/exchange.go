package alb

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"plaudit/shared/edge"
	"plaudit/shared/fault"
	"plaudit/shared/problem"
	"plaudit/shared/trace"
)

type exchangeKey struct{}

// exchange is the part of one request that goes past the adapter.
type exchange struct {
	method string // the adapter turns it into capitals
	path   string // as the client sent it; the adapter fails the invoke at a bad %
	query  string // as the client sent it; the adapter escapes it once more
	ctx    context.Context
}

// newExchange removes from the event what the adapter must not see. It also turns
// single-value headers into the multi-value form, because the adapter parses the
// host of a single-value event as part of a URL, which any client can make fail.
func newExchange(event *events.ALBTargetGroupRequest) *exchange {
	x := &exchange{method: event.HTTPMethod, path: event.Path, query: rawQuery(event)}
	event.Path = "/"
	event.QueryStringParameters, event.MultiValueQueryStringParameters = nil, nil
	if event.MultiValueHeaders == nil {
		event.MultiValueHeaders = make(map[string][]string, len(event.Headers))
		for name, value := range event.Headers {
			event.MultiValueHeaders[name] = []string{value}
		}
	}
	event.Headers = nil
	return x
}

// rawQuery rebuilds the query string. Names and values stay escaped as the
// client sent them. The event does not keep the order of the names, so they are
// sorted, and the same request always has the same string.
func rawQuery(event *events.ALBTargetGroupRequest) string {
	values := event.MultiValueQueryStringParameters
	if values == nil {
		values = make(map[string][]string, len(event.QueryStringParameters))
		for name, value := range event.QueryStringParameters {
			values[name] = []string{value}
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(name)
			b.WriteByte('=')
			b.WriteString(value)
		}
	}
	return b.String()
}

// serve is the handler that the adapter calls.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	x := r.Context().Value(exchangeKey{}).(*exchange)
	var info trace.Info
	if invoke, ok := lambdacontext.FromContext(r.Context()); ok {
		info.RequestID = invoke.AwsRequestID
	}
	info.Parent = trace.Parent(r.Header.Get("Traceparent"))
	x.ctx = trace.With(r.Context(), info)

	rec := &recorder{header: http.Header{}}
	rec.header.Set("X-Request-Id", info.RequestID)
	if r, ok := x.request(r.WithContext(x.ctx)); !ok {
		rec.fail(x.ctx, fault.New(fault.BadRequest, "Invalid path: it must start with a slash, and two hexadecimal digits must follow every %%."))
	} else if isHealthCheck(r) {
		rec.WriteHeader(http.StatusOK)
	} else {
		s.handle(rec, r)
	}

	maps.Copy(w.Header(), rec.sent)
	w.WriteHeader(rec.status)
	if rec.body.Len() > 0 {
		w.Write(rec.body.Bytes())
	}
}

// request turns the adapter's request into the one that net/http's server would
// have made. ok is false if the path cannot be parsed.
func (x *exchange) request(r *http.Request) (_ *http.Request, ok bool) {
	r.Method = x.method
	r.RequestURI = x.path
	if x.query != "" {
		r.RequestURI += "?" + x.query
	}
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host")
	if client, ok := edge.ClientAddr(r.Header); ok {
		r.RemoteAddr = client
	}
	if !strings.HasPrefix(x.path, "/") && x.path != "*" {
		return r, false
	}
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return r, false
	}
	r.URL = u
	return r, true
}

// isHealthCheck reports whether a request is the load balancer's own. Unlike a
// client's request, it has no host.
func isHealthCheck(r *http.Request) bool {
	return r.Host == "" && r.Method == http.MethodGet && r.ContentLength == 0 &&
		r.Header.Get("User-Agent") == "ELB-HealthChecker/2.0"
}

// handle calls the handler. A panic becomes a 500 even after the handler has
// written: nothing has been sent yet.
func (s *server) handle(rec *recorder, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			rec.fail(r.Context(), &fault.Error{Kind: fault.Internal})
		}
	}()
	s.handler.ServeHTTP(rec, r)
	rec.WriteHeader(http.StatusOK) // if the handler wrote nothing
}

// recorder is an http.ResponseWriter with the rules of net/http's: the first
// WriteHeader fixes status and headers, and a 204 and a 304 have no body. An answer
// to HEAD keeps its body, because the load balancer counts it for Content-Length,
// whatever the function says, and then leaves it out: without it the length would
// be 0 instead of that of the answer to GET
// (https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2).
type recorder struct {
	header http.Header
	sent   http.Header // a copy of header, from the first WriteHeader on
	status int         // 0 until then
	body   bytes.Buffer
}

func (rec *recorder) Header() http.Header { return rec.header }

func (rec *recorder) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %d", status))
	}
	// The only answer cannot contain an interim response (1xx).
	if rec.status != 0 || status < 200 {
		return
	}
	rec.status = status
	rec.sent = rec.header.Clone()
}

func (rec *recorder) Write(b []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	if rec.status == http.StatusNoContent || rec.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	return rec.body.Write(b)
}

// fail replaces everything that was written with a problem.
func (rec *recorder) fail(ctx context.Context, f *fault.Error) {
	rec.status, rec.sent = 0, nil
	rec.body.Reset()
	problem.SetHeaders(rec.header, f)
	problem.New(ctx, f).Write(rec) // a recorder accepts every write
}
