package elb

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// newTransport connects to targets: 10 s for a connection, and the idle
// timeout for every wait on it.
func newTransport(idle time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &targetConn{Conn: c, idle: idle}, nil
		},
		DisableCompression:     true, // the body is the client's business
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// targetConn fails a read that has waited for the idle timeout since the
// latest read or write, and every read after that one.
type targetConn struct {
	net.Conn
	idle    time.Duration
	expired bool
}

func (c *targetConn) Read(p []byte) (int, error) {
	if !c.expired {
		c.SetReadDeadline(time.Now().Add(c.idle))
	}
	n, err := c.Conn.Read(p)
	c.expired = c.expired || isTimeout(err)
	return n, err
}

func (c *targetConn) Write(p []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.idle))
	return c.Conn.Write(p)
}

// buffers saves an allocation of 32 KB a request.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

func (b *Balancer) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = r.In.URL
			// ReverseProxy removes the client's own forwarding headers.
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
		},
		Transport:    b.transport,
		BufferPool:   new(buffers),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { b.proxyFailed(w.(*exchange), err) },
		ErrorLog:     slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
}

// serveHTTP sends the request to a target. Method, request target, Host and
// end-to-end headers stay as they came.
func (b *Balancer) serveHTTP(x *exchange) {
	x.target = x.group.next()
	if x.target == nil {
		b.answer(x, http.StatusServiceUnavailable, "the target group has no registered targets")
		return
	}
	u := &url.URL{Scheme: "http", Host: x.target.addr, Opaque: x.path}
	if strings.HasPrefix(x.path, "//") {
		// net/url would write an opaque path that begins so as an absolute URL.
		u.Opaque, u.Path = "", x.path
		if decoded, err := url.PathUnescape(x.path); err == nil {
			u.Path, u.RawPath = decoded, x.path
		}
	}
	u.RawQuery, u.ForceQuery = x.query, x.hasQuery
	x.r.URL = u
	b.proxy.ServeHTTP(x, x.r)
}

func (b *Balancer) proxyFailed(x *exchange, err error) {
	switch {
	case x.bodyErr.Load() != nil:
		b.bodyFailed(x, *x.bodyErr.Load())
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the client left
	case isTimeout(err):
		b.answer(x, http.StatusGatewayTimeout, "target: "+err.Error())
	default:
		b.answer(x, http.StatusBadGateway, "target: "+err.Error())
	}
}
