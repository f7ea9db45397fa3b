package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is what clients do, from several goroutines, until stop. Each repeats a request
// until it succeeds, and notes then what must be there.
type load struct {
	t       *testing.T
	prefix  string // of all that this load makes
	token   string // an admin's
	board   string
	people  string // a board of registered players
	user    string // an account, which changes its name
	userTok string

	email   string // the account's address
	maxHeld int    // how many of its mails may be held, because notify was killed while it sent

	stopped atomic.Bool
	done    atomic.Int64 // requests that have succeeded
	first   atomic.Int64 // adds that have succeeded with the first try
	errors  atomic.Int64 // failed tries
	all     sync.WaitGroup

	mu    sync.Mutex
	wants wants
}

// wants is what clients were told.
type wants struct {
	entries  map[string]int    // by key, on the load's board: points
	titles   []string          // that the board was given
	changed  []string          // values that players' attributes were given
	signUps  []string          // addresses
	name     string            // the newest one of the account
	named    int               // how often it was changed
	closed   []string          // boards with a period that has closed
	told     []string          // notes of adjustments, of which the account's user is told by mail
	foreign  map[string]string // ids of other systems' events: their data
	requests map[string]int    // by kind
}

var client = &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

var loads atomic.Int64

const foreignSource = "/tracker"

// begin begins a load. It uses boards and accounts of its own.
func (c *checkout) begin(t *testing.T) *load {
	t.Helper()
	prefix := fmt.Sprintf("load-%d", loads.Add(1))
	l := &load{t: t, prefix: prefix, board: prefix, people: prefix + "-people"}
	l.wants.entries, l.wants.foreign, l.wants.requests = map[string]int{}, map[string]string{}, map[string]int{}
	l.token = l.login(c.Info.Admin.Email, c.Info.Admin.Password)
	l.must("POST", "/v1/boards", l.token, map[string]any{"id": l.board, "title": "Load"}, nil, 201, 409)
	l.must("POST", "/v1/boards", l.token, map[string]any{"id": l.people, "title": "People", "players": "registered"}, nil, 201, 409)
	email := prefix + "-runner@example.com"
	body := l.must("POST", "/v1/users", "", map[string]any{"email": email, "password": "correct horse battery", "display_name": prefix + " 0"}, nil, 201)
	var made struct{ ID string }
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	l.user, l.wants.name = made.ID, prefix+" 0"
	l.wants.signUps = append(l.wants.signUps, email)
	l.email, l.userTok = email, l.login(email, "correct horse battery")
	l.reads()
	l.must("POST", "/v1/boards/"+l.people+"/entries", l.token, map[string]any{"player": l.user, "points": 1}, nil, 201)

	for i := range 3 {
		l.writer(func(n int) { l.add(fmt.Sprintf("w%d-%d", i, n), fmt.Sprint("player-", (i+n)%5)) })
	}
	l.writer(func(n int) { l.batch(fmt.Sprintf("b-%d", n)) })
	l.writer(func(n int) {
		title := fmt.Sprint("Title ", n)
		l.must("PATCH", "/v1/boards/"+l.board, l.token, map[string]any{"title": title}, nil, 200)
		l.note("board changes", func(w *wants) { w.titles = append(w.titles, title) })
		value := fmt.Sprintf("%s-%d", l.prefix, n)
		l.must("PATCH", "/v1/boards/"+l.board+"/players/"+fmt.Sprint("changed-", n%3), l.token, map[string]any{"attributes": map[string]any{"n": value}}, nil, 200, 201)
		l.note("player changes", func(w *wants) { w.changed = append(w.changed, value) })
	})
	l.writer(func(n int) {
		name := fmt.Sprintf("%s %d", l.prefix, n+1)
		l.must("PATCH", "/v1/users/me", l.userTok, map[string]any{"display_name": name}, nil, 200)
		l.note("names", func(w *wants) { w.name, w.named = name, w.named+1 })
		if n%4 == 0 {
			email := fmt.Sprintf("%s-%d@example.com", l.prefix, n)
			l.must("POST", "/v1/users", "", map[string]any{"email": email, "password": "correct horse battery", "display_name": "Somebody"}, nil, 201, 409)
			l.note("sign-ups", func(w *wants) { w.signUps = append(w.signUps, email) })
		}
	})
	l.writer(func(n int) { l.report(n) })
	l.writer(func(n int) {
		if n < maxTold {
			l.tell(n)
		}
	})
	l.writer(func(n int) {
		if n < maxClosed {
			l.closePast(n)
		}
	})
	return l
}

// writer starts a client. f gets the number of its turn.
func (l *load) writer(f func(n int)) {
	l.all.Go(func() {
		for n := 0; !l.stopped.Load() && !l.t.Failed(); n++ {
			f(n)
			time.Sleep(5 * time.Millisecond) // leave some of the processor to those who are tested
		}
	})
}

// stop returns when every client has had its last success.
func (l *load) stop() *load {
	l.stopped.Store(true)
	l.all.Wait()
	return l
}

// some waits until n more requests have succeeded, or all writers have given up.
func (l *load) some(n int64) {
	for before := l.done.Load(); l.done.Load() < before+n && !l.t.Failed(); {
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *load) note(kind string, f func(w *wants)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wants.requests[kind]++
	f(&l.wants)
}

func (l *load) add(key, player string) {
	key = l.prefix + "-" + key
	before := l.tries()
	l.must("POST", "/v1/boards/"+l.board+"/entries", l.token, map[string]any{"player": player, "points": len(key)}, map[string]string{"Idempotency-Key": key}, 201, 200)
	if l.tries() == before {
		l.first.Add(1)
	}
	l.note("adds", func(w *wants) { w.entries[key] = len(key) })
}

func (l *load) tries() int64 { return l.errors.Load() }

func (l *load) batch(key string) {
	var entries []map[string]any
	keys := []string{}
	for i := range 5 {
		k := fmt.Sprintf("%s-%s-%d", l.prefix, key, i)
		keys = append(keys, k)
		entries = append(entries, map[string]any{"board": l.board, "player": fmt.Sprint("player-", i), "points": len(k), "key": k})
	}
	l.must("POST", "/v1/entries/batch", l.token, map[string]any{"entries": entries}, nil, 201, 200)
	l.note("batches", func(w *wants) {
		for _, k := range keys {
			w.entries[k] = len(k)
		}
	})
}

// maxClosed is how many periods of a load close. An account can create so many boards only.
const maxClosed = 12

// closePast enters a season of the past and closes it.
func (l *load) closePast(n int) {
	board := fmt.Sprintf("%s-past-%d", l.prefix, n)
	season := map[string]any{"name": "2019", "start": "2019-01-01T00:00:00Z", "end": "2020-01-01T00:00:00Z"}
	l.must("POST", "/v1/boards", l.token, map[string]any{"id": board, "title": "Past", "state": "draft", "periods": []any{season}}, nil, 201, 409)
	l.must("POST", "/v1/boards/"+board+"/entries", l.token, map[string]any{"player": "p", "points": n, "occurred_at": "2019-05-05T12:00:00Z"}, map[string]string{"Idempotency-Key": board}, 201, 200)
	l.must("PATCH", "/v1/boards/"+board, l.token, map[string]any{"state": "open"}, nil, 200)
	l.note("closed periods", func(w *wants) { w.closed = append(w.closed, board) })
}

// report sends an event of another system, or several at once.
func (l *load) report(n int) {
	events := []map[string]any{}
	for i := range 1 + n%3 {
		events = append(events, map[string]any{
			"specversion": "1.0", "source": foreignSource, "id": fmt.Sprintf("%s-%d-%d", l.prefix, n, i), "type": "com.example.moved",
			"subject": fmt.Sprint("task/", n%7), "data": map[string]any{"n": n, "i": i},
		})
	}
	var body any = events[0]
	kind := "application/cloudevents+json"
	if len(events) > 1 {
		body, kind = events, "application/cloudevents-batch+json"
	}
	l.must("POST", "/v1/audit/events", l.token, body, map[string]string{"Content-Type": kind}, 201, 200)
	l.note("events", func(w *wants) {
		for _, e := range events {
			data, _ := json.Marshal(e["data"])
			w.foreign[e["id"].(string)] = string(data)
		}
	})
}

func (l *load) login(email, password string) string {
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(l.must("POST", "/v1/sessions", "", map[string]any{"email": email, "password": password}, nil, 201), &session); err != nil {
		l.t.Fatal(err)
	}
	return session.AccessToken
}

// must sends a request until it is answered with one of the statuses. Only failures that
// docs/guide.md tells clients to repeat are repeated.
func (l *load) must(method, path, token string, body any, headers map[string]string, statuses ...int) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end) && !l.t.Failed(); time.Sleep(20 * time.Millisecond) {
		status, answer, err := l.try(method, path, token, text, headers)
		switch {
		case err == nil && slices.Contains(statuses, status):
			l.done.Add(1)
			return answer
		case err == nil && status != 429 && status < 500:
			l.t.Errorf("%s %s %s: %d %s", method, path, text, status, answer)
			return nil
		case err == nil:
			err = fmt.Errorf("%d %.300s", status, answer)
		}
		last = err
		l.errors.Add(1)
	}
	if !l.t.Failed() {
		l.t.Errorf("%s %s %s: not within %s: %v", method, path, text, limit, last)
	}
	return nil
}

func (l *load) try(method, path, token string, body []byte, headers map[string]string) (int, []byte, error) {
	url := stack.url.Load()
	if url == nil {
		return 0, nil, errors.New("the laptop cloud has no address")
	}
	req, err := http.NewRequest(method, *url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}
