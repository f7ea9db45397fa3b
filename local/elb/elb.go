// Package elb is an Application Load Balancer for one machine: listener rules,
// Lambda targets and HTTP targets, health checks, and the answers that the
// balancer makes itself. It follows the Elastic Load Balancing user guide
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/); the
// tests name the choices that the guide leaves open. It is complete for this
// project: extend it only if template.yaml needs more.
//
// A request passes three steps. conn judges the bytes of its head before
// net/http reads them, because net/http cleans up what a balancer has to
// refuse and refuses what a balancer has to pass on. The rules choose an
// action. A forward action invokes a function (lambda.go) or sends the request
// to a healthy target (proxy.go).
package elb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	defaultIdleTimeout = 60 * time.Second
	connectTimeout     = 10 * time.Second
	drainTimeout       = 5 * time.Second
	maxRules           = 100
)

// Invoker is a Lambda function.
type Invoker interface {
	// Invoke sends one event to a function and waits. functionError is "" or
	// "Handled" or "Unhandled". err is set if the function could not be invoked,
	// because it is throttled or does not exist.
	Invoke(ctx context.Context, payload []byte, traceID string) (response []byte, functionError string, err error)
}

// Listener is the port for clients, with the rules for their requests.
type Listener struct {
	Protocol string // HTTP or HTTPS: what X-Forwarded-Proto and #{protocol} say
	Port     int    // the port clients believe they talk to: X-Forwarded-Port and #{port}
	Rules    []Rule // in any order
	Default  Action
}

// Config describes a load balancer with one listener.
type Config struct {
	Listener           Listener
	DropInvalidHeaders bool          // routing.http.drop_invalid_header_fields.enabled
	IdleTimeout        time.Duration // idle_timeout.timeout_seconds, 0 means 60 s
	DesyncStrictest    bool          // routing.http.desync_mitigation_mode: strictest, else defensive
	Log                *slog.Logger  // nil means slog.Default()
}

// Balancer is a load balancer. Serve runs it.
type Balancer struct {
	listener    Listener // Rules sorted by priority
	dropInvalid bool
	strictest   bool
	idle        time.Duration
	drain       time.Duration // what requests in flight get when Serve ends
	log         *slog.Logger
	groups      []*TargetGroup
	transport   *http.Transport
	proxy       *httputil.ReverseProxy

	// life ends when Serve gives up on requests in flight. It is the context of
	// every invoke: a client that leaves does not end a function's work.
	life context.Context
	end  context.CancelFunc
}

// New checks the configuration against the limits of an Application Load
// Balancer. Its error names every rule and target group that breaks one.
func New(cfg Config) (*Balancer, error) {
	b := &Balancer{
		listener:    cfg.Listener,
		dropInvalid: cfg.DropInvalidHeaders,
		strictest:   cfg.DesyncStrictest,
		idle:        cfg.IdleTimeout,
		drain:       drainTimeout,
		log:         cfg.Log,
	}
	if b.idle == 0 {
		b.idle = defaultIdleTimeout
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.listener.Rules = slices.Clone(cfg.Listener.Rules)
	slices.SortStableFunc(b.listener.Rules, func(x, y Rule) int { return x.Priority - y.Priority })
	b.listener.Default.resolve()
	for i := range b.listener.Rules {
		b.listener.Rules[i].Action.resolve()
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.transport = newTransport(b.idle)
	b.proxy = b.newProxy()
	return b, nil
}

// check reports everything that is wrong at once, and collects the target groups.
func (b *Balancer) check() error {
	var errs []error
	if p := b.listener.Protocol; p != "HTTP" && p != "HTTPS" {
		errs = append(errs, fmt.Errorf("listener protocol %q is neither HTTP nor HTTPS", p))
	}
	if p := b.listener.Port; p < 1 || p > 65535 {
		errs = append(errs, fmt.Errorf("listener port %d is outside 1 to 65535", p))
	}
	if b.idle < time.Second || b.idle > 4000*time.Second {
		errs = append(errs, fmt.Errorf("idle timeout %s is outside 1 to 4000 seconds", b.idle))
	}
	if n := len(b.listener.Rules); n > maxRules {
		errs = append(errs, fmt.Errorf("%d rules: a load balancer has at most %d", n, maxRules))
	}
	last := 0
	for _, r := range b.listener.Rules {
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("rule with priority %d: %w", r.Priority, err))
		}
		if r.Priority == last {
			errs = append(errs, fmt.Errorf("two rules have priority %d", last))
		}
		last = r.Priority
		b.collect(r.Action)
	}
	if err := b.listener.Default.check(); err != nil {
		errs = append(errs, fmt.Errorf("default action: %w", err))
	}
	b.collect(b.listener.Default)
	for _, g := range b.groups {
		if err := g.prepare(); err != nil {
			errs = append(errs, fmt.Errorf("target group %s: %w", g.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (b *Balancer) collect(a Action) {
	if a.TargetGroup != nil && !slices.Contains(b.groups, a.TargetGroup) {
		b.groups = append(b.groups, a.TargetGroup)
	}
}

// Serve answers requests on l and runs the health checks. It returns when ctx
// ends, after the requests in flight, which get 5 s; a Balancer serves once.
func (b *Balancer) Serve(ctx context.Context, l net.Listener) error {
	defer b.end()
	defer b.transport.CloseIdleConnections()
	checks, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		stop()
		for _, g := range b.groups {
			g.stopChecks()
		}
		wg.Wait()
	}()
	for _, g := range b.groups {
		g.startChecks(checks, &wg, b.log)
	}

	silent := silentConns{}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	srv := &http.Server{
		Handler:                      b,
		Protocols:                    protocols,
		ReadHeaderTimeout:            b.idle,
		IdleTimeout:                  b.idle,
		MaxHeaderBytes:               2 * maxHeader, // conn's own limit is the one that counts
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return b.life },
		ConnState:                    silent.note,
		ErrorLog:                     slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() {
		served <- srv.Serve(&listener{Listener: l, strictest: b.strictest, dropInvalid: b.dropInvalid})
	}()
	select {
	case err := <-served:
		return fmt.Errorf("load balancer on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	// ctx is over, so the drain needs a context of its own.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.drain)
	defer cancel()
	silent.close()
	if err := srv.Shutdown(drain); err != nil {
		b.log.Warn("load balancer: requests still in flight are cut", "after", b.drain)
		b.end()
		return srv.Close()
	}
	return nil
}

// silentConns are the connections that have not sent a request yet. Shutdown
// would wait 5 s for each: browsers open some ahead of need.
type silentConns struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

func (s *silentConns) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.ended:
		c.Close()
	default:
		if s.conns == nil {
			s.conns = make(map[net.Conn]bool)
		}
		s.conns[c] = true
	}
}

func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		c.Close()
	}
}

// isTimeout reports whether a target took longer than the balancer waits.
func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func (l Listener) portText() string { return strconv.Itoa(l.Port) }
