package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/boot/boottest"
)

// task is one instance of the service.
type task struct {
	*boottest.Process
	url  string
	dead atomic.Bool
}

// tasks are instances on one database, and a client that takes them in turn.
type tasks struct {
	all    []*task
	turn   atomic.Int64
	client *http.Client
}

func startTasks(t testing.TB, n int, change map[string]string) *tasks {
	t.Helper()
	program, env := boottest.Build(t, "."), environment(t)
	for name, value := range change {
		env[name] = value
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	s := &tasks{client: &http.Client{Timeout: 30 * time.Second, Transport: transport}}
	for range n { // at once: both want to make the first admin
		s.all = append(s.all, &task{Process: boottest.Run(t, program, pairs(env)...)})
	}
	for _, one := range s.all {
		one.url = "http://" + one.Line("listening")["address"].(string)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if r, err := s.on(one, "GET", "/readyz", "", nil); err == nil && r.status == 200 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("not ready within a minute: %s", one.Output())
			}
		}
	}
	return s
}

type response struct {
	status int
	body   map[string]any
}

func (r response) str(name string) string { s, _ := r.body[name].(string); return s }

// on sends a request to one task.
func (s *tasks) on(to *task, method, path, token string, body map[string]any) (response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return response{}, err
	}
	req, err := http.NewRequest(method, to.url+path, strings.NewReader(string(text)))
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	r := response{status: resp.StatusCode}
	if err == nil && len(answer) > 0 {
		err = json.Unmarshal(answer, &r.body)
	}
	return r, err
}

// errInFlight is a request of which nobody knows whether it was served.
var errInFlight = errors.New("in flight")

// send sends a request to the next task that is there, as a load balancer
// does: a connection that is refused is tried at another one.
func (s *tasks) send(method, path, token string, body map[string]any) (response, error) {
	for range 100 {
		to := s.all[int(s.turn.Add(1))%len(s.all)]
		if to.dead.Load() {
			continue
		}
		r, err := s.on(to, method, path, token, body)
		if refused := (*net.OpError)(nil); errors.As(err, &refused) && refused.Op == "dial" {
			to.dead.Store(true)
			continue
		}
		if err != nil {
			to.dead.Store(true)
			return r, fmt.Errorf("%w: %w", errInFlight, err)
		}
		return r, nil
	}
	return response{}, errors.New("no task is there")
}

// want sends a request to one task, where anything but the status is the
// test's end.
func (s *tasks) want(t testing.TB, status int, to *task, method, path, token string, body map[string]any) response {
	t.Helper()
	r, err := s.on(to, method, path, token, body)
	if err != nil || r.status != status {
		t.Fatalf("%s %s: %d %v %v, want %d", method, path, r.status, r.body, err, status)
	}
	return r
}

func credentials(name string) map[string]any {
	return map[string]any{"email": name + "@example.com", "password": "correct horse battery"}
}

func account(name string) map[string]any {
	in := credentials(name)
	in["display_name"] = name
	return in
}

// What one task did counts at the other: sessions, their ends, keys.
func TestTwoTasksAreOneService(t *testing.T) {
	s := startTasks(t, 2, nil)
	a, b := s.all[0], s.all[1]
	admin := s.want(t, 201, a, "POST", "/v1/sessions", "", map[string]any{"email": "admin@example.com", "password": "first admin's password"})
	if list := s.want(t, 200, b, "GET", "/v1/users", admin.str("access_token"), nil); len(list.body["items"].([]any)) != 1 {
		t.Errorf("two tasks made %v", list.body)
	}
	id := s.want(t, 201, a, "POST", "/v1/users", "", account("jin")).str("id")
	s.want(t, 409, b, "POST", "/v1/users", "", account("jin"))
	s.want(t, 200, b, "PATCH", "/v1/users/"+id, admin.str("access_token"), map[string]any{"role": "organizer"})

	first := s.want(t, 201, a, "POST", "/v1/sessions", "", credentials("jin"))
	second := s.want(t, 200, b, "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": first.str("refresh_token")})
	key := s.want(t, 201, a, "POST", "/v1/keys", second.str("access_token"), map[string]any{"name": "x", "scopes": []string{"read"}})
	s.want(t, 200, b, "POST", "/v1/tokens", "", map[string]any{"key": key.str("key")})
	s.want(t, 204, b, "DELETE", "/v1/keys/"+key.str("id"), second.str("access_token"), nil)
	s.want(t, 401, a, "POST", "/v1/tokens", "", map[string]any{"key": key.str("key")})
	s.want(t, 401, a, "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": first.str("refresh_token")}) // reuse: the session ends
	s.want(t, 401, b, "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": second.str("refresh_token")})
}

// A refresh token that comes to both tasks at once is traded in at one.
func TestTwoTasksTakeARefreshTokenOnce(t *testing.T) {
	s := startTasks(t, 2, nil)
	s.want(t, 201, s.all[0], "POST", "/v1/users", "", account("jin"))
	for range 10 {
		token := s.want(t, 201, s.all[0], "POST", "/v1/sessions", "", credentials("jin")).str("refresh_token")
		var good atomic.Int32
		var wg sync.WaitGroup
		for _, one := range s.all {
			wg.Go(func() {
				r, err := s.on(one, "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": token})
				if err != nil || r.status != 200 && r.status != 401 {
					t.Errorf("a refresh: %d %v %v", r.status, r.body, err)
				}
				if r.status == 200 {
					good.Add(1)
				}
			})
		}
		wg.Wait()
		if good.Load() != 1 {
			t.Errorf("a token was taken %d times", good.Load())
		}
	}
}

// Attempts count together, whichever task they come to, also after one is gone.
func TestTwoTasksShareTheLimits(t *testing.T) {
	const signUps, addresses = 6, 14
	s := startTasks(t, 2, map[string]string{"SIGN_UPS_PER_HOUR": fmt.Sprint(signUps), "LOGINS_PER_ADDRESS": fmt.Sprint(addresses)})
	for i := range signUps {
		s.want(t, 201, s.all[i%2], "POST", "/v1/users", "", account(fmt.Sprint("user-", i)))
	}
	for _, one := range s.all {
		s.want(t, 429, one, "POST", "/v1/users", "", account("one-more"))
	}
	wrong := map[string]any{"email": "user-1@example.com", "password": "wrong horse"}
	for i := range 10 { // an account has 10 in 15 minutes
		s.want(t, 401, s.all[i%2], "POST", "/v1/sessions", "", wrong)
	}
	for _, one := range s.all {
		s.want(t, 429, one, "POST", "/v1/sessions", "", credentials("user-1"))
		s.want(t, 201, one, "POST", "/v1/sessions", "", credentials("user-2"))
	}
	for i := range addresses - 10 { // the rest of what the client's address has
		s.want(t, 401, s.all[i%2], "POST", "/v1/sessions", "", map[string]any{"email": fmt.Sprint("nobody-", i, "@example.com"), "password": "wrong horse"})
	}
	s.all[0].Kill()
	s.want(t, 429, s.all[1], "POST", "/v1/sessions", "", credentials("user-2"))
	s.want(t, 429, s.all[1], "POST", "/v1/users", "", account("one-more"))
}

// worker is one who works through the load balancer all the time, and what was
// promised to them.
type worker struct {
	name            string
	token, refresh  string
	display         string // the name that was answered
	lost            int    // requests in flight when the task died
	lostDisplay     string // the name that such a request had
	refreshInFlight bool
	requests        int
}

func (w *worker) work(s *tasks, stop <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		var r response
		var err error
		want := 200
		next := fmt.Sprint(w.name, " ", i)
		kind := i % 4
		switch kind {
		case 0:
			r, err = s.send("PATCH", "/v1/users/me", w.token, map[string]any{"display_name": next})
		case 1:
			r, err = s.send("POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": w.refresh})
		case 2:
			r, err = s.send("GET", "/v1/users/me", w.token, nil)
		case 3:
			want = 201
			r, err = s.send("POST", "/v1/sessions", "", credentials(w.name))
		}
		w.requests++
		switch {
		case errors.Is(err, errInFlight):
			w.lost++
			if kind == 0 {
				w.lostDisplay = next
			}
			if kind == 1 {
				w.refreshInFlight = true
				return nil // nobody knows which token is the newest
			}
		case err != nil || r.status != want:
			return fmt.Errorf("%s, kind %d: %d %v %v", w.name, kind, r.status, r.body, err)
		case kind == 0:
			w.display = next
		case kind == 1:
			w.token, w.refresh = r.str("access_token"), r.str("refresh_token")
		case kind == 2 && r.str("display_name") != w.display && r.str("display_name") != w.lostDisplay:
			return fmt.Errorf("%s reads %q, and was told %q", w.name, r.str("display_name"), w.display)
		}
	}
}

// One of two is killed under load: what was in flight there is lost, and
// nothing that was answered.
func TestOneOfTwoTasksIsKilled(t *testing.T) {
	s := startTasks(t, 2, nil)
	workers := make([]*worker, 8)
	for i := range workers {
		w := &worker{name: fmt.Sprint("worker-", i)}
		s.want(t, 201, s.all[i%2], "POST", "/v1/users", "", account(w.name))
		session := s.want(t, 201, s.all[i%2], "POST", "/v1/sessions", "", credentials(w.name))
		w.token, w.refresh, w.display = session.str("access_token"), session.str("refresh_token"), w.name
		workers[i] = w
	}
	stop := make(chan struct{})
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { errs[i] = w.work(s, stop) })
	}
	time.Sleep(500 * time.Millisecond)
	s.all[0].Kill()
	time.Sleep(time.Second)
	close(stop)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("the survivor failed: %v\n%s", err, s.all[1].Output())
	}
	lost, requests := 0, 0
	for _, w := range workers {
		lost += w.lost
		requests += w.requests
		if w.lost > 1 {
			t.Errorf("%s lost %d requests, with one at a time in flight", w.name, w.lost)
		}
		if w.lost == 0 && w.requests < 8 {
			t.Errorf("%s made %d requests only", w.name, w.requests)
		}
		// The session goes on, in flight or not.
		sessions := s.want(t, 200, s.all[1], "GET", "/v1/sessions?limit=100", w.token, nil)
		current := false
		for _, one := range sessions.body["items"].([]any) {
			current = current || one.(map[string]any)["current"] == true
		}
		if !current {
			t.Errorf("%s lost the session: %v", w.name, sessions.body)
		}
		me := s.want(t, 200, s.all[1], "GET", "/v1/users/me", w.token, nil).str("display_name")
		if me != w.display && me != w.lostDisplay {
			t.Errorf("%s is %q, and was told %q", w.name, me, w.display)
		}
		if !w.refreshInFlight {
			s.want(t, 200, s.all[1], "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": w.refresh})
		}
	}
	if lost == 0 {
		t.Log("nothing was in flight")
	}
	t.Logf("%d requests, %d in flight at the kill", requests, lost)
}
