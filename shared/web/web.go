// Package web is the HTTP side of the product without its domains: the table
// of routes, a dispatcher, and what handlers share, which is decoding, queries,
// lists with cursors, and responses that caches may keep. Each domain's handlers are
// in a package of their own. Everything here uses plain net/http, whether a Lambda or
// a container serves it.
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
	"plaudit/shared/id"
	"plaudit/shared/trace"
)

// Handler serves one route. The dispatcher turns its error into the response: a fault
// into a problem, any other error into a bare 500.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Endpoint is how a deployable serves one route.
type Endpoint struct {
	Handle Handler
	// Render writes the route's errors, including the dispatcher's; nil means
	// problem+json.
	Render Renderer
}

// Verifier checks access tokens.
type Verifier interface {
	// Verify returns the caller that a bearer token belongs to. A token that is
	// not valid is a fault of kind Unauthenticated.
	Verify(token string) (access.Caller, error)
}

// Config is what the handler of every deployable needs.
type Config struct {
	Deployable string
	Verifier   Verifier
	// Origins are the origins whose pages may call from a browser, e.g.
	// https://example.org. If there are none, pages of every origin may read what
	// ShareIf shares.
	Origins []string
	// Room, if set, bounds the bodies in flight. A function needs none: it serves one
	// request at a time.
	Room *Room
	// Observe, if set, is called once after each request, with the request's
	// context.
	Observe func(ctx context.Context, served trace.Request)
}

// dispatcher serves the routes of one deployable. It also knows the other routes,
// because the load balancer sends it some requests that it must refuse.
type dispatcher struct {
	Config
	routes []route
}

type route struct {
	Route
	segments []string
	Endpoint // empty if another deployable serves the route
}

// New returns the handler of a deployable. The endpoints' keys are "METHOD
// pattern". It panics if they and Routes disagree, so that neither a program nor a
// test starts with a route without a handler, or with a handler without a row that
// lists its callers.
//
// It does not use http.ServeMux, which answers `//` and `/..` with redirects.
func New(cfg Config, endpoints map[string]Endpoint) http.Handler {
	d := &dispatcher{Config: cfg}
	left := len(endpoints)
	for _, r := range Routes {
		e, ok := endpoints[r.Method+" "+r.Pattern]
		if (r.Deployable == cfg.Deployable) != (e.Handle != nil) {
			panic(fmt.Sprintf("web: %s %s belongs to %s, and %s has a handler of it: %t", r.Method, r.Pattern, r.Deployable, cfg.Deployable, e.Handle != nil))
		}
		if e.Render == nil {
			e.Render = renderJSON
		}
		if ok {
			left--
		}
		d.routes = append(d.routes, route{r, strings.Split(r.Pattern, "/"), e})
	}
	if left != 0 {
		panic(fmt.Sprintf("web: %s has %d endpoints that are in no row of Routes", cfg.Deployable, left))
	}
	return d
}

// state is what the dispatcher passes to a handler through the request's
// context.
type state struct {
	caller access.Caller
	params map[string]string
	public func() bool // see ShareIf
	limit  int         // of the body, in bytes
	room   *Room
	leave  func() // returns the room that the body takes; nil if it takes none
}

type stateKey struct{}

// Caller returns the caller of a request, as its access token identifies them.
func Caller(r *http.Request) access.Caller { return r.Context().Value(stateKey{}).(*state).caller }

// Param returns a decoded path segment by its name in the route's pattern. It is not
// empty, but may contain any character, even a slash: check it before use.
func Param(r *http.Request, name string) string {
	return r.Context().Value(stateKey{}).(*state).params[name]
}

// statusWriter remembers the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	before func(status int) // is called once, before the header is written
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.before(status)
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

func (d *dispatcher) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	found, params, allowed := d.match(r)
	s := &state{params: params, room: d.Room}
	w := &statusWriter{ResponseWriter: rw, before: func(status int) { d.share(rw.Header(), s, status) }}
	r = r.WithContext(context.WithValue(r.Context(), stateKey{}, s))
	pattern, render := "none", Renderer(renderJSON)
	if found != nil {
		pattern, render, s.limit = found.Pattern, found.Render, found.Body
	}
	board := params["board"]
	if !id.Board(board) {
		board = "" // any text of the client's
	}
	defer func() {
		if s.leave != nil {
			s.leave()
		}
		if p := recover(); p != nil {
			slog.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if w.status == 0 {
				fail(w, r, render, errors.New("panic"))
			}
		}
		if d.Observe != nil {
			d.Observe(r.Context(), trace.Request{
				Method: r.Method, Pattern: pattern, Status: w.status, Took: time.Since(start),
				Actor: s.caller.Actor(), Board: board,
			})
		}
	}()

	h := w.Header()
	secure(h)
	d.allowOrigin(h, r)
	if r.Method == http.MethodOptions && len(allowed) > 0 {
		d.options(w, allowed)
		return
	}
	if err := d.serve(w, r, found, s, allowed); err != nil {
		fail(w, r, render, err)
	}
}

// secure sets the headers of every answer, refusals included. A handler may
// set another Cache-Control if its answer may be kept.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	// A browser that opens JSON neither runs it nor shows it in a frame, and pages
	// of other sites can read it only by CORS.
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
}

// maxHeaders is how many lines of headers a request may have. Each takes some 150 bytes
// of memory, however short it is, for as long as the request is in flight.
const maxHeaders = 100

// serve checks in the order that the API promises: too many headers, an invalid token,
// the route, a missing token, a role that does not suffice. The handler's own checks come
// after.
func (d *dispatcher) serve(w http.ResponseWriter, r *http.Request, found *route, s *state, allowed []string) error {
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	if lines > maxHeaders {
		return fault.Field(fault.BadRequest, "headers", "must be at most %d: leave out those that the API does not read", maxHeaders)
	}
	var err error
	if s.caller, err = d.authenticate(r); err != nil {
		s.caller = access.Caller{} // do not use what came with the error
		return err
	}
	if found == nil {
		if len(allowed) > 0 {
			methods := strings.Join(allowed, ", ")
			w.Header().Set("Allow", methods)
			return fault.New(fault.MethodNotAllowed, "This path accepts only %s.", methods)
		}
		return fault.New(fault.NotFound, "This path does not exist.")
	}
	if found.Handle == nil {
		return fmt.Errorf("%s %s was sent to %s, but %s serves it: a listener rule is wrong", r.Method, found.Pattern, d.Deployable, found.Deployable)
	}
	if found.For.needsToken() && s.caller.Anonymous() {
		return fault.New(fault.Unauthenticated, "Send an access token as `Authorization: Bearer …`. POST /v1/sessions returns one.")
	}
	if !s.caller.Anonymous() && !found.admits(s.caller) {
		if s.caller.Notifies() {
			return fault.New(fault.Forbidden, "The key of the function that sends mail does not allow this request.")
		}
		return fault.New(fault.Forbidden, "This request is only for %s.", found.For)
	}
	return found.Handle(w, r)
}

// authenticate reads the Authorization header. It refuses an invalid token even if
// the route needs none, so that clients do not mistake an anonymous response for
// their own.
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

// match finds the route of a request, and the methods that its path allows. It
// compares and decodes segments one by one, so %2F never makes a new segment, and an
// empty segment (`//`, a slash at the end) matches nothing. If a pattern without
// {names} matches, patterns with names are ignored, whatever the method.
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
		h.Set("Access-Control-Expose-Headers", exposed)
	}
}

// exposed are the headers of a response that a page's script may read, in addition
// to those that it may always read (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name).
const exposed = "ETag, Export-Until, Idempotency-Replayed, Link, Retry-After, X-Request-Id"

// ShareIf lets pages of every origin read the response if it is a 200 or a 304 and
// public, which is called when the response begins, returns true. It has no effect
// in a deployment that lists origins. A page's request carries no credentials: there
// are no cookies, `*` excludes them, and a script that sends Authorization needs a
// preflight request, which stays refused.
func ShareIf(r *http.Request, public func() bool) {
	r.Context().Value(stateKey{}).(*state).public = public
}

func (d *dispatcher) share(h http.Header, s *state, status int) {
	if len(d.Origins) > 0 || s.public == nil || status != http.StatusOK && status != http.StatusNotModified || !s.public() {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposed)
	// Browsers ask this header before they show the response to a page that did not
	// ask by CORS, such as one that isolates itself (https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header).
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// options answers a browser's preflight request
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
func (d *dispatcher) options(w http.ResponseWriter, allowed []string) {
	h := w.Header()
	h.Set("Allow", strings.Join(allowed, ", "))
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", strings.Join(allowed, ", "))
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, traceparent")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
