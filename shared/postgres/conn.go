package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/lib/pq"

	"plaudit/shared/cloud"
)

// IdleTimeout is how long a session of a deployable's role may be idle before the
// server ends it, so that a sleeping environment costs no connection. Package
// migrate sets it on the roles.
const IdleTimeout = 60 * time.Second

// maxIdle is how long a connection may be idle before the pool replaces it. It is
// shorter than IdleTimeout, because a Lambda environment that was frozen may not
// have noticed that the server ended the session.
const maxIdle = IdleTimeout - 10*time.Second

//go:embed rds-ca.pem
var rdsCA []byte

// rdsTLS is the name of the TLS configuration that trusts rdsCA.
const rdsTLS = "rds"

// connector makes the pool's connections.
type connector struct {
	config pq.Config
	limits Limits
	// token makes the password of a connection; nil if every one has the same.
	token func(context.Context) (string, error)
}

func newConnector(c Config, l Limits) (*connector, error) {
	u, err := ParseDSN(c.DSN)
	if err != nil {
		return nil, err
	}
	config, err := pq.NewConfig(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("the DSN of role %s: %w", u.User.Username(), err)
	}
	config.BinaryParameters = true
	config.Passfile = "/dev/null" // otherwise ~/.pgpass would replace an empty password
	config.ApplicationName = c.Name
	if c.Name == "" {
		config.ApplicationName = config.User
	}
	// Compiling a plan takes longer than most statements do, and a check runs many
	// small ones.
	config.Runtime = map[string]string{"timezone": "UTC", "jit": "off"}
	for name, value := range l.Settings {
		config.Runtime[name] = value
	}
	if err := setRoots(&config, u); err != nil {
		return nil, err
	}

	to := &connector{config: config, limits: l}
	switch c.Auth {
	case Password:
		if c.Password == "" {
			return nil, fmt.Errorf("role %s has no password", config.User)
		}
		to.config.Password = c.Password
	case IAM:
		if u.Query().Get("sslmode") != string(pq.SSLModeVerifyFull) {
			return nil, errors.New("authentication by IAM requires sslmode=verify-full in the DSN, because a token is as good as a password")
		}
		if c.Region == "" {
			return nil, errors.New("authentication by IAM requires the database's region")
		}
		to.token = tokens(config.Host, config.Port, config.User, c)
	default:
		return nil, fmt.Errorf("authentication is %q, but must be %s or %s", c.Auth, IAM, Password)
	}
	return to, nil
}

// setRoots adds the certificates of RDS if the DSN names no authority.
func setRoots(config *pq.Config, u *url.URL) error {
	verifies := config.SSLMode == pq.SSLModeVerifyFull || config.SSLMode == pq.SSLModeVerifyCA
	if !verifies || u.Query().Get("sslrootcert") != "" {
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(rdsCA) {
		return errors.New("rds-ca.pem contains no certificate")
	}
	// lib/pq adds the host's name, which crypto/tls then checks.
	config.SSLSNI = true
	config.SSLMode = pq.SSLMode("pqgo-" + rdsTLS)
	return pq.RegisterTLSConfig(rdsTLS, &tls.Config{RootCAs: roots})
}

// tokens returns the function that makes tokens for a role. Each is valid for 15
// minutes, and signing it needs no network call.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
func tokens(host string, port uint16, role string, c Config) func(context.Context) (string, error) {
	endpoint := net.JoinHostPort(host, strconv.Itoa(int(port)))
	provider := c.Credentials
	if provider == nil {
		provider = aws.CredentialsProviderFunc(cloud.Credentials)
	}
	return func(ctx context.Context) (string, error) {
		token, err := auth.BuildAuthToken(ctx, endpoint, c.Region, role, provider)
		if err != nil {
			return "", fmt.Errorf("make a token for role %s: %w", role, err)
		}
		return token, nil
	}
}

// connectError is a failure to connect.
type connectError struct{ err error }

func (e *connectError) Error() string { return "connect to " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// Driver is required by database/sql.
func (c *connector) Driver() driver.Driver { return &pq.Driver{} }

// Connect makes a connection and logs in, within the pool's patience and the
// context's deadline.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Patience)
	defer cancel()
	made, err := c.connect(ctx)
	if err != nil {
		return nil, &connectError{fmt.Errorf("database %s on %s:%d as %s: %w", c.config.Database, c.config.Host, c.config.Port, c.config.User, err)}
	}
	return made, nil
}

func (c *connector) connect(ctx context.Context) (driver.Conn, error) {
	config := c.config
	if c.token != nil {
		token, err := c.token(ctx)
		if err != nil {
			return nil, err
		}
		config.Password = token
	}
	deadline, _ := ctx.Deadline()
	// It also bounds the handshakes. For lib/pq, 0 means no bound.
	config.ConnectTimeout = max(time.Until(deadline), time.Millisecond)
	inner, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, err
	}
	var dial dialer
	inner.Dialer(&dial)
	opened, err := inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{pqConn: opened.(pqConn), socket: dial.socket, patience: c.limits.Patience, used: now()}, nil
}

// now returns the time by the wall clock. A monotonic clock stops while a Lambda
// environment is frozen.
func now() time.Time { return time.Now().Round(0) }

// pqConn is what lib/pq's connection implements.
type pqConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

// conn is a connection on which every operation ends in time, whatever the server
// does, because the socket has a deadline. lib/pq itself would wait for a frozen
// server forever: its request to cancel a statement also waits for an answer. So it
// never gets a context that ends. If a statement is still running at its deadline,
// the connection is lost, and the server ends the statement by statement_timeout.
type conn struct {
	pqConn
	socket   *socket
	patience time.Duration
	used     time.Time // when the last operation began
}

// lostError reports a statement that the server may or may not have run. lib/pq
// reports driver.ErrBadConn for it, and database/sql would send the statement
// again.
type lostError struct{ err error }

func (e *lostError) Error() string {
	return "the connection was lost while a statement ran: " + e.err.Error()
}

// begin prepares the socket for one operation and returns the context for it.
func (c *conn) begin(ctx context.Context) context.Context {
	c.used = now()
	deadline := c.used.Add(c.patience)
	if patience, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		deadline = c.used.Add(patience)
	}
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.socket.sent.Store(false)
	// The operation itself reports an error of the socket.
	_ = c.socket.SetDeadline(deadline)
	return context.WithoutCancel(ctx)
}

// end returns the operation's error.
func (c *conn) end(err error) error {
	if errors.Is(err, driver.ErrBadConn) && c.socket.sent.Load() {
		return &lostError{err}
	}
	return err
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.pqConn.ExecContext(c.begin(ctx), query, args)
	return result, c.end(err)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.pqConn.QueryContext(c.begin(ctx), query, args)
	return rows, c.end(err)
}

func (c *conn) Ping(ctx context.Context) error {
	return c.end(c.pqConn.Ping(c.begin(ctx)))
}

var errPrepare = errors.New("prepared statements are not used: they pin a connection of RDS Proxy")

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errPrepare }

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	inner, err := c.pqConn.BeginTx(c.begin(ctx), opts)
	if err != nil {
		return nil, c.end(err)
	}
	return &tx{conn: c, inner: inner, ctx: ctx}, nil
}

// tx is a transaction that keeps the deadline of the context that it began with.
type tx struct {
	conn  *conn
	inner driver.Tx
	ctx   context.Context
}

func (t *tx) Commit() error {
	t.conn.begin(t.ctx)
	return t.conn.end(t.inner.Commit())
}

// rollbackTime bounds a rollback, which often happens after the transaction's
// deadline.
const rollbackTime = 100 * time.Millisecond

func (t *tx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTime)
	defer cancel()
	t.conn.begin(ctx)
	return t.conn.end(t.inner.Rollback())
}

// ResetSession is called before a connection of the pool is used again, with
// nothing sent yet: driver.ErrBadConn makes database/sql take another one.
func (c *conn) ResetSession(ctx context.Context) error {
	if idle := now().Sub(c.used); idle < 0 || idle > maxIdle || !c.socket.quiet() {
		return driver.ErrBadConn
	}
	return c.pqConn.ResetSession(ctx)
}

// IsValid reports whether the connection may go back into the pool.
func (c *conn) IsValid() bool { return !c.socket.broken.Load() && c.pqConn.IsValid() }

// Close says goodbye to the server without waiting for an answer.
func (c *conn) Close() error {
	_ = c.socket.SetDeadline(time.Now().Add(rollbackTime))
	return c.pqConn.Close()
}

// dialer keeps the socket it made.
type dialer struct{ socket *socket }

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var plain net.Dialer
	made, err := plain.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.socket = &socket{Conn: made}
	return d.socket, nil
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// socket is the network connection, below TLS.
type socket struct {
	net.Conn
	sent   atomic.Bool // something was written since the operation began
	broken atomic.Bool // reading or writing has failed
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if n > 0 {
		s.sent.Store(true)
	}
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

// quiet reports whether the server has neither closed the connection nor sent
// anything since the last statement. It peeks at the receive buffer, without a round
// trip. A server that sends unasked is usually about to end the connection.
func (s *socket) quiet() bool {
	if s.broken.Load() {
		return false
	}
	plain, ok := s.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return false
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return false
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	// There is neither data nor the end of the stream.
	return err == nil && (errors.Is(peeked, syscall.EAGAIN) || errors.Is(peeked, syscall.EINTR))
}
