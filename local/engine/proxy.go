package engine

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"plaudit/local/part"
)

const (
	// awaitLimit is how long a request waits for an engine that starts again.
	awaitLimit = 20 * time.Second
	// answerLimit is how long the engine may take to begin its answer. SQS holds
	// a request for 20 s until a message comes.
	answerLimit = 2 * time.Minute
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 nil, // the engine is on this machine
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second, // the engine closes them after 75
		ResponseHeaderTimeout: answerLimit,
		DisableCompression:    true, // bytes pass as they are
	}
}

// Proxy returns a handler that passes requests of a service on to the engine. A
// body of more than limit bytes is refused with 413.
func (e *Engine) Proxy(limit int64) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport:     e.transport,
		FlushInterval: -1, // at once
		ErrorLog:      slog.NewLogLogger(e.laptop.Log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(e.URL())
			if err != nil {
				return // the request then fails
			}
			// The path, the query and the host stay as the client signed them.
			// Only the path that opens the engine comes before it.
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			if target.Path != "" {
				r.Out.URL.RawPath = target.Path + r.In.URL.EscapedPath()
				r.Out.URL.Path = target.Path + r.In.URL.Path
			}
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			e.noticeSend(r.Request.Header)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				part.Refuse(w, r, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request's body is too large for the laptop's AWS endpoint")
				return
			}
			if r.Context().Err() == nil {
				e.laptop.Log.Debug("engine", "path", r.URL.Path, "error", err)
			}
			// SDKs repeat it.
			part.Refuse(w, r, http.StatusServiceUnavailable, "ServiceUnavailable", "the engine of the laptop's AWS endpoint does not answer")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// MiniStack's own requests, which could delete everything. No bucket can
		// have such a name.
		if strings.HasPrefix(r.URL.Path, "/_") {
			part.Refuse(w, r, http.StatusForbidden, "AccessDeniedException", "the laptop's AWS endpoint serves AWS APIs only")
			return
		}
		if r.ContentLength > limit {
			part.Refuse(w, r, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request's body is too large for the laptop's AWS endpoint")
			return
		}
		if !e.await(r) {
			part.Refuse(w, r, http.StatusServiceUnavailable, "ServiceUnavailable", "the engine of the laptop's AWS endpoint does not run")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		proxy.ServeHTTP(w, r)
	})
}

// await waits until the engine has what the template describes.
func (e *Engine) await(r *http.Request) bool {
	if !e.wanted {
		return false
	}
	e.mu.Lock()
	ready := e.ready
	e.mu.Unlock()
	timer := time.NewTimer(awaitLimit)
	defer timer.Stop()
	select {
	case <-ready:
		return e.URL() != ""
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}
