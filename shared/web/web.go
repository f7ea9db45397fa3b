// Package web is the HTTP side of the product: one table of routes, a
// dispatcher, and a handler per route in a file named after its domain. It
// sees plain net/http, whether a Lambda or a container serves it.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Handler serves one route. What it returns becomes problem+json in one place.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Verifier tells who a bearer token belongs to; a token that is not good is a
// fault of kind Unauthenticated.
type Verifier interface {
	Verify(token string) (access.Caller, error)
}

// Config is what every deployable's handler needs.
type Config struct {
	Deployable string
	Verifier   Verifier
	Origins    []string // that may call from a browser, e.g. https://example.org
	// Observe gets what a served request leaves behind for logs and metrics.
	// Pattern is the route's, never the path, so that no id of a player gets
	// into either; it is "none" where no route matched.
	Observe func(ctx context.Context, method, pattern string, status int, took time.Duration)
}

// dispatcher serves the routes of one deployable and knows those of the
// others, because the load balancer's rules hand it some that it must refuse.
type dispatcher struct {
	Config
	routes []route
}

type route struct {
	Route
	segments []string
	handle   Handler // nil where another deployable serves it
}

// New makes the handler of a deployable. The handlers' keys are "METHOD
// pattern". It panics where they and the table disagree, so that no start and
// no test gets past a route without a handler or a handler without a rule of
// who may call it.
//
// It does not use http.ServeMux, which answers `//` and `/..` with redirects.
func New(cfg Config, handlers map[string]Handler) http.Handler {
	d := &dispatcher{Config: cfg}
	left := len(handlers)
	for _, r := range Routes {
		h := handlers[r.Method+" "+r.Pattern]
		if (r.Deployable == cfg.Deployable) != (h != nil) {
			panic(fmt.Sprintf("web: %s %s belongs to %s, and %s has handler: %t", r.Method, r.Pattern, r.Deployable, cfg.Deployable, h != nil))
		}
		if h != nil {
			left--
		}
		d.routes = append(d.routes, route{r, strings.Split(r.Pattern, "/"), h})
	}
	if left != 0 {
		panic(fmt.Sprintf("web: %s has %d handlers that are in no row of Routes", cfg.Deployable, left))
	}
	return d
}

// state is what the dispatcher hands to a handler, by the request's context.
type state struct {
	caller access.Caller
	params map[string]string
}

type stateKey struct{}

func caller(r *http.Request) access.Caller { return r.Context().Value(stateKey{}).(*state).caller }

// param gives a decoded path segment. It may hold any character, a slash too:
// who uses it checks it.
func param(r *http.Request, name string) string {
	return r.Context().Value(stateKey{}).(*state).params[name]
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

func (d *dispatcher) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	w := &statusWriter{ResponseWriter: rw}
	pattern := "none"
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if w.status == 0 {
				fail(w, r, errors.New("panic"))
			}
		}
		if d.Observe != nil {
			d.Observe(r.Context(), r.Method, pattern, w.status, time.Since(start))
		}
	}()

	h := w.Header()
	secure(h)
	d.allowOrigin(h, r)

	found, params, allowed := d.match(r)
	if found != nil {
		pattern = found.Pattern
	}
	if r.Method == http.MethodOptions && len(allowed) > 0 {
		d.options(w, r, allowed)
		return
	}
	if err := d.serve(w, r, found, params, allowed); err != nil {
		fail(w, r, err)
	}
}

// secure sets what every answer carries, refusals too. A handler may say
// otherwise: of Cache-Control where its answer may be kept.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	// JSON that a browser is led to open is not run, not framed, and not read
	// by another site's page except by CORS.
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
}

// serve goes through the checks in the order that the API promises: a token
// that is bad, the route, a token that is missing, a role that does not
// suffice; the handler's own come after.
func (d *dispatcher) serve(w http.ResponseWriter, r *http.Request, found *route, params map[string]string, allowed []string) error {
	who, err := d.authenticate(r)
	if err != nil {
		return err
	}
	if found == nil {
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return fault.New(fault.MethodNotAllowed, "This path takes %s.", strings.Join(allowed, ", "))
		}
		return fault.New(fault.NotFound, "There is nothing at this path.")
	}
	if found.handle == nil {
		return fmt.Errorf("%s %s was sent to %s, but %s serves it: a listener rule is wrong", r.Method, found.Pattern, d.Deployable, found.Deployable)
	}
	if found.Who.needsToken() && who.Anonymous() {
		return fault.New(fault.Unauthenticated, "Send an access token as `Authorization: Bearer …`. POST /v1/sessions gives one.")
	}
	if !who.Anonymous() && !found.Who.admits(who) {
		return fault.New(fault.Forbidden, "This is for %s.", found.Who)
	}
	return found.handle(w, r.WithContext(context.WithValue(r.Context(), stateKey{}, &state{who, params})))
}

// authenticate reads the Authorization header. A token that is not good is
// refused even where none is needed, so that nobody takes an anonymous answer
// for their own.
func (d *dispatcher) authenticate(r *http.Request) (access.Caller, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return access.Caller{}, nil
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return access.Caller{}, fault.Field(fault.Unauthenticated, "Authorization", "Send one header of the form `Authorization: Bearer …`.")
	}
	return d.Verifier.Verify(strings.TrimSpace(token))
}

// match finds the route of a request, and the methods that its path takes.
// Segments are compared and decoded one by one, so that %2F never makes a new
// one, and an empty one (`//`, a slash at the end) matches nothing. A path in
// plain words is that path, whatever the method: a pattern with a {name} that
// would take it too does not count.
func (d *dispatcher) match(r *http.Request) (found *route, params map[string]string, allowed []string) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	plain := false
	for i := range d.routes {
		route := &d.routes[i]
		p, ok := route.match(segments)
		if !ok || plain && len(p) > 0 {
			continue
		}
		if len(p) == 0 && !plain {
			plain, found, params, allowed = true, nil, nil, nil
		}
		methods := []string{route.Method}
		if route.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, m := range methods {
			if m == r.Method && found == nil {
				found, params = route, p
			}
			if !slices.Contains(allowed, m) {
				allowed = append(allowed, m)
			}
		}
	}
	if len(allowed) > 0 {
		allowed = append(allowed, http.MethodOptions)
	}
	slices.Sort(allowed)
	return found, params, allowed
}

func (r *route) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	var params map[string]string
	for i, want := range r.segments {
		if !strings.HasPrefix(want, "{") {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if params == nil {
			params = make(map[string]string, 2)
		}
		params[want[1:len(want)-1]] = value
	}
	return params, true
}

func (d *dispatcher) allowOrigin(h http.Header, r *http.Request) {
	if len(d.Origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(d.Origins, origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Idempotency-Replayed, Link, Retry-After, X-Request-Id")
	}
}

// options answers a browser's question before it sends the request itself
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
func (d *dispatcher) options(w http.ResponseWriter, r *http.Request, allowed []string) {
	h := w.Header()
	h.Set("Allow", strings.Join(allowed, ", "))
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", strings.Join(allowed, ", "))
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, traceparent")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body any) error {
	return write(w, "application/json", status, body)
}

func write(w http.ResponseWriter, contentType string, status int, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, err = w.Write(append(text, '\n'))
	return err
}
