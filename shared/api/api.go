// Package api asks Plaudit's own API over HTTP, with notify's key.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"plaudit/shared/notify"
	"plaudit/shared/trace"
)

const (
	// attempts is how often a request is sent: all of them can be repeated. A load
	// balancer answers with an error of its own while a deployable is replaced.
	attempts = 3
	// pause is the time before the second attempt, longestPause the longest that the API
	// can ask for.
	pause, longestPause = 200 * time.Millisecond, 2 * time.Second
	// dialTime bounds a connection's making, attemptTime an attempt.
	dialTime, attemptTime = 2 * time.Second, 10 * time.Second
	// maxBody is how much of an answer is read: the API's pages end earlier.
	maxBody = 2 << 20
	// early is how long before its end a token is exchanged.
	early = time.Minute
)

// Client asks the API at one address.
type Client struct {
	base, key string
	http      *http.Client

	mu    sync.Mutex
	token string
	until time.Time
}

var (
	_ notify.Accounts = (*Client)(nil)
	_ notify.Scores   = (*Client)(nil)
)

// New returns a client of the API at base, an https URL without a path: the key and
// people's addresses go over this connection. On a laptop it may be http, if the
// address is the machine's own.
func New(base, key string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the API's address must be a URL without a path, such as https://scores.example.com")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && own(u.Hostname())) {
		return nil, errors.New("the API's address must begin with https://, because the key goes there; http:// is for 127.0.0.1 only")
	}
	if key == "" {
		return nil, errors.New("the API key is empty")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	return &Client{
		base: u.Scheme + "://" + u.Host, key: key,
		http: &http.Client{
			Transport: transport,
			// Another address must not get the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// own reports whether a host is the machine itself, also as containers on it name it.
func own(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || host == "host.docker.internal" || ip != nil && ip.IsLoopback()
}

// answer is a response that has come to its end.
type answer struct {
	status int
	body   []byte
	after  time.Duration // Retry-After
}

// statusError is the error of an answer that the API should not give.
type statusError struct {
	what   string
	status int
	kind   string // of the problem, e.g. not-found; "" if it is not one
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s: the API answers %d", e.what, e.status)
	if e.kind != "" {
		text += " (" + e.kind + ")"
	}
	return text
}

// do sends a request with a token and decodes the answer into to. ok is false if the
// answer has one of the statuses in none.
func (c *Client) do(ctx context.Context, method, target string, in, to any, none ...int) (ok bool, err error) {
	what := method + " " + target
	a, err := c.authorized(ctx, method, target, in)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	for _, status := range none {
		if a.status == status {
			return false, nil
		}
	}
	if a.status/100 != 2 {
		return false, a.err(what)
	}
	if err := json.Unmarshal(a.body, to); err != nil {
		return false, fmt.Errorf("%s: the answer cannot be read: %w", what, err)
	}
	return true, nil
}

func (a answer) err(what string) error {
	var problem struct{ Type string }
	json.Unmarshal(a.body, &problem) // the load balancer's own answers are HTML
	// The detail may quote what somebody wrote; the kind cannot.
	kind := problem.Type[strings.LastIndexAny(problem.Type, "/:")+1:]
	return &statusError{what, a.status, kind}
}

// authorized sends a request with a token, and with a new one if that is refused.
func (c *Client) authorized(ctx context.Context, method, target string, in any) (answer, error) {
	token, err := c.exchanged(ctx, "")
	if err != nil {
		return answer{}, err
	}
	a, err := c.repeated(ctx, method, target, in, token)
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	if token, err = c.exchanged(ctx, token); err != nil {
		return answer{}, err
	}
	return c.repeated(ctx, method, target, in, token)
}

// exchanged returns a token that is valid, and not the one that was refused.
func (c *Client) exchanged(ctx context.Context, refused string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.token != refused && time.Now().Before(c.until) {
		return c.token, nil
	}
	const what = "exchange the API key for a token"
	a, err := c.repeated(ctx, http.MethodPost, "/v1/tokens", map[string]string{"key": c.key}, "")
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if a.status/100 != 2 {
		return "", a.err(what)
	}
	var out struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal(a.body, &out); err != nil || out.AccessToken == "" {
		return "", errors.New(what + ": the answer has no token")
	}
	c.token, c.until = out.AccessToken, time.Now().Add(time.Duration(out.ExpiresIn)*time.Second-early)
	return c.token, nil
}

// repeated sends a request until it has an answer that is not a passing failure.
func (c *Client) repeated(ctx context.Context, method, target string, in any, token string) (a answer, err error) {
	for i := 1; ; i++ {
		a, err = c.once(ctx, method, target, in, token)
		if err == nil && a.status != http.StatusTooManyRequests && a.status/100 != 5 || i == attempts {
			return a, err
		}
		wait := max(time.Duration(i)*pause, min(a.after, longestPause))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return a, errors.Join(err, ctx.Err())
		}
	}
}

func (c *Client) once(ctx context.Context, method, target string, in any, token string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+target, body)
	if err != nil {
		return answer{}, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if parent := trace.From(ctx).Parent; parent != "" {
		req.Header.Set("traceparent", parent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var request *url.Error
		if errors.As(err, &request) {
			err = request.Err // without the URL, which the caller adds
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(text) > maxBody {
		return answer{}, fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 if there is none
	return answer{resp.StatusCode, text, time.Duration(seconds) * time.Second}, nil
}

// User implements notify.Accounts.
func (c *Client) User(ctx context.Context, id string) (u notify.User, ok bool, err error) {
	ok, err = c.do(ctx, http.MethodGet, "/v1/users/"+url.PathEscape(id), nil, &u, http.StatusNotFound)
	if ok && u.Email == "" {
		return u, false, errors.New("the API shows only the public profile of a user: its NOTIFY_KEY is not that of this function")
	}
	return u, ok, err
}

// Link implements notify.Accounts.
func (c *Client) Link(ctx context.Context, user string, kind notify.LinkKind, of string) (l notify.Link, ok bool, err error) {
	in := struct {
		Kind notify.LinkKind `json:"kind"`
		Type string          `json:"type,omitempty"`
	}{kind, of}
	ok, err = c.do(ctx, http.MethodPost, "/v1/users/"+url.PathEscape(user)+"/mail-links", in, &l, http.StatusNotFound, http.StatusConflict)
	if ok && l.URL == "" {
		return l, false, errors.New("the API made a link without a URL")
	}
	return l, ok, err
}

// SetMailState implements notify.Accounts.
func (c *Client) SetMailState(ctx context.Context, user, address, state string) (ok bool, err error) {
	var out struct{}
	in := struct {
		State   string `json:"state"`
		Address string `json:"address,omitempty"`
	}{state, address}
	return c.do(ctx, http.MethodPut, "/v1/users/"+url.PathEscape(user)+"/mail-state", in, &out, http.StatusNotFound)
}

// Board implements notify.Scores.
func (c *Client) Board(ctx context.Context, board string) (b notify.Board, ok bool, err error) {
	ok, err = c.do(ctx, http.MethodGet, "/v1/boards/"+url.PathEscape(board), nil, &b, http.StatusNotFound)
	return b, ok, err
}

// Player implements notify.Scores.
func (c *Client) Player(ctx context.Context, board, player string) (p notify.Player, ok bool, err error) {
	ok, err = c.do(ctx, http.MethodGet, "/v1/boards/"+url.PathEscape(board)+"/players/"+url.PathEscape(player), nil, &p, http.StatusNotFound)
	return p, ok, err
}

// Entry implements notify.Scores.
func (c *Client) Entry(ctx context.Context, board, entry string) (e notify.Entry, ok bool, err error) {
	ok, err = c.do(ctx, http.MethodGet, "/v1/boards/"+url.PathEscape(board)+"/entries/"+url.PathEscape(entry), nil, &e, http.StatusNotFound)
	return e, ok, err
}

// Batch implements notify.Scores.
func (c *Client) Batch(ctx context.Context, user, batch string) iter.Seq2[notify.Entry, error] {
	return c.entries(ctx, "/v1/players/"+url.PathEscape(user)+"/entries", url.Values{"batch": {batch}})
}

// Entries implements notify.Scores.
func (c *Client) Entries(ctx context.Context, board, player string) iter.Seq2[notify.Entry, error] {
	return c.entries(ctx, "/v1/boards/"+url.PathEscape(board)+"/entries", url.Values{"player": {player}})
}

// entries iterates over all pages of a list. A list that does not exist is empty.
func (c *Client) entries(ctx context.Context, path string, query url.Values) iter.Seq2[notify.Entry, error] {
	return func(yield func(notify.Entry, error) bool) {
		query.Set("limit", "100")
		for {
			var page struct {
				Items []notify.Entry
				Next  *string
			}
			ok, err := c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page, http.StatusNotFound)
			if err != nil {
				yield(notify.Entry{}, err)
				return
			}
			if !ok {
				return
			}
			for _, e := range page.Items {
				if !yield(e, nil) {
					return
				}
			}
			if page.Next == nil || *page.Next == query.Get("cursor") {
				return
			}
			query.Set("cursor", *page.Next)
		}
	}
}
