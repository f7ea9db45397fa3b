package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/boot/boottest"
	"plaudit/shared/postgres"
)

// task is one instance of the service.
type task struct {
	*boottest.Process
	url  string
	dead atomic.Bool
}

// tasks are instances on one database, and a client that takes them in turn.
type tasks struct {
	all      []*task
	turn     atomic.Int64
	client   *http.Client
	database postgres.Config // as the service logs in
}

func startTasks(t testing.TB, n int, change map[string]string) *tasks {
	t.Helper()
	program, env := boottest.Build(t, "."), environment(t)
	for name, value := range change {
		env[name] = value
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	s := &tasks{
		client:   &http.Client{Timeout: time.Minute, Transport: transport},
		database: postgres.Config{DSN: env["USERS_DSN"], Auth: env["DB_AUTH"], Password: env["USERS_PASSWORD"], MaxConns: 2},
	}
	for range n { // at once, so that both want to make the first admin
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

// errInFlight is returned for a request that may have been served or not.
var errInFlight = errors.New("in flight")

// send sends a request to the next living task, as a load balancer does: if a
// task refuses the connection, it tries another one.
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
	return response{}, errors.New("no task is left")
}

// want sends a request to one task. Any other status than the wanted one ends
// the test.
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

// What one task does counts at the other: new and ended sessions, and keys.
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

// If both tasks get the same refresh token at once, one of them accepts it.
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

// The link of a reset works on either task, and once: of many that use it at once, one
// sets the password.
func TestTwoTasksTakeAResetOnce(t *testing.T) {
	s := startTasks(t, 2, map[string]string{"NOTIFY_KEY": "notify's own key, of a test", "PUBLIC_URL": "https://plaudit.example"})
	id := s.want(t, 201, s.all[0], "POST", "/v1/users", "", account("jin")).str("id")
	refresh := s.want(t, 201, s.all[1], "POST", "/v1/sessions", "", credentials("jin")).str("refresh_token")
	s.want(t, 202, s.all[0], "POST", "/v1/password-resets", "", map[string]any{"email": "jin@example.com"})
	token := s.want(t, 200, s.all[1], "POST", "/v1/tokens", "", map[string]any{"key": "notify's own key, of a test"}).str("access_token")
	link := s.want(t, 201, s.all[1], "POST", "/v1/users/"+id+"/mail-links", token, map[string]any{"kind": "reset"})
	secret, ok := strings.CutPrefix(link.str("url"), "https://plaudit.example/reset?token=")
	if !ok || link.str("email") != "jin@example.com" {
		t.Fatalf("the link is %v", link.body)
	}
	var statuses [8]int
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			r, err := s.on(s.all[i%2], "PUT", "/v1/password-resets/"+secret, "", map[string]any{"password": fmt.Sprint("another horse ", i)})
			if err != nil {
				t.Error(err)
			}
			statuses[i] = r.status
		})
	}
	wg.Wait()
	won := slices.Index(statuses[:], 200)
	sorted := slices.Sorted(slices.Values(statuses[:]))
	if won < 0 || sorted[1] != 404 || sorted[7] != 404 {
		t.Fatalf("got %v", statuses)
	}
	s.want(t, 401, s.all[0], "POST", "/v1/sessions", "", credentials("jin"))
	s.want(t, 401, s.all[1], "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": refresh})
	s.want(t, 201, s.all[1], "POST", "/v1/sessions", "", map[string]any{"email": "jin@example.com", "password": fmt.Sprint("another horse ", won)})
	for _, one := range s.all {
		for _, personal := range []string{secret, "another horse", "jin@"} {
			if strings.Contains(one.Output(), personal) {
				t.Errorf("%q is in the log: %s", personal, one.Output())
			}
		}
	}
}

// Attempts at both tasks count together, also after one of them is killed.
func TestTwoTasksShareTheLimits(t *testing.T) {
	const signUps, addresses, tokens = 6, 14, 3
	s := startTasks(t, 2, map[string]string{
		"SIGN_UPS_PER_HOUR": fmt.Sprint(signUps), "LOGINS_PER_ADDRESS": fmt.Sprint(addresses), "TOKENS_PER_SESSION": fmt.Sprint(tokens),
	})
	for i := range signUps {
		s.want(t, 201, s.all[i%2], "POST", "/v1/users", "", account(fmt.Sprint("user-", i)))
	}
	for _, one := range s.all {
		s.want(t, 429, one, "POST", "/v1/users", "", account("one-more"))
	}
	// A device that logged in at one task is known at the other, whatever comes from
	// its client address.
	device := credentials("user-1")
	device["device_token"] = s.want(t, 201, s.all[0], "POST", "/v1/sessions", "", credentials("user-1")).str("device_token")
	session := s.want(t, 201, s.all[0], "POST", "/v1/sessions", "", credentials("user-2"))
	wrong := map[string]any{"email": "user-1@example.com", "password": "wrong horse"}
	for i := range 10 { // an account has 10 from a client address in 15 minutes
		s.want(t, 401, s.all[i%2], "POST", "/v1/sessions", "", wrong)
	}
	for _, one := range s.all { // which are also attempts of the client address
		s.want(t, 429, one, "POST", "/v1/sessions", "", credentials("user-1"))
	}
	for _, one := range s.all { // it has none left
		s.want(t, 429, one, "POST", "/v1/sessions", "", credentials("user-2"))
		s.want(t, 201, one, "POST", "/v1/sessions", "", device)
	}
	for i := range tokens {
		session = s.want(t, 200, s.all[i%2], "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": session.str("refresh_token")})
	}
	for _, one := range s.all {
		s.want(t, 429, one, "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": session.str("refresh_token")})
	}
	s.all[0].Kill()
	s.want(t, 429, s.all[1], "POST", "/v1/sessions", "", credentials("user-2"))
	s.want(t, 201, s.all[1], "POST", "/v1/sessions", "", device)
	s.want(t, 429, s.all[1], "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": session.str("refresh_token")})
	s.want(t, 429, s.all[1], "POST", "/v1/users", "", account("one-more"))
}

// worker is a client that sends one request after the other, and what the
// answers promised to it.
type worker struct {
	name            string
	token, refresh  string
	display         string // the name that was answered
	lost            int    // requests in flight when the task died
	lostDisplay     string // the name that such a request had
	refreshInFlight bool   // which ends the worker
	requests        atomic.Int64
	ended           atomic.Bool
}

func (w *worker) work(s *tasks, stop <-chan struct{}) error {
	defer w.ended.Store(true)
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
		w.requests.Add(1)
		switch {
		case errors.Is(err, errInFlight):
			w.lost++
			if kind == 0 {
				w.lostDisplay = next
			}
			if kind == 1 {
				w.refreshInFlight = true
				return nil // it does not know its newest token
			}
		case err != nil || r.status != want:
			return fmt.Errorf("%s, kind %d: %d %v %v", w.name, kind, r.status, r.body, err)
		case kind == 0:
			w.display = next
		case kind == 1:
			w.token, w.refresh = r.str("access_token"), r.str("refresh_token")
		case kind == 2 && r.str("display_name") != w.display && r.str("display_name") != w.lostDisplay:
			return fmt.Errorf("%s reads %q, but was answered %q", w.name, r.str("display_name"), w.display)
		}
	}
}

// hold sends a request to a task, all but the last byte of its body, and
// returns when the task reads the body: the request is in flight until finish
// sends that byte. finish returns the answer.
func (s *tasks) hold(t *testing.T, to *task, method, path, token string, body map[string]any) (finish func() (response, error)) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(to.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		method, path, token, len(text))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%s %s: %q, %v", method, path, line, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn.Write(text[:len(text)-1])
	return func() (response, error) {
		conn.Write(text[len(text)-1:]) // the answer shows whether it arrived
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return response{}, err
		}
		defer resp.Body.Close()
		r := response{status: resp.StatusCode}
		return r, json.NewDecoder(resp.Body).Decode(&r.body)
	}
}

// lockRow locks a user's row, so that a change of it waits in the database.
func (s *tasks) lockRow(t *testing.T, id string) (waiting func() bool, unlock func()) {
	t.Helper()
	db, err := postgres.Open(s.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `SELECT FROM users WHERE id = $1 FOR UPDATE`, id); err != nil {
		t.Fatal(err)
	}
	return func() bool {
			var n int
			if err := db.GetContext(t.Context(), &n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
				t.Fatal(err)
			}
			return n > 0
		}, func() {
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// One of two tasks is killed while it serves requests. The requests in flight
// there are lost, and no answer that was given.
func TestOneOfTwoTasksIsKilled(t *testing.T) {
	s := startTasks(t, 2, nil)
	join := func(name string) *worker {
		w := &worker{name: name, display: name}
		s.want(t, 201, s.all[0], "POST", "/v1/users", "", account(name))
		session := s.want(t, 201, s.all[1], "POST", "/v1/sessions", "", credentials(name))
		w.token, w.refresh = session.str("access_token"), session.str("refresh_token")
		return w
	}
	workers := make([]*worker, 8)
	for i := range workers {
		workers[i] = join(fmt.Sprint("worker-", i))
	}
	reading, other, changing := join("reading"), join("other"), join("changing")
	stop := make(chan struct{})
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { errs[i] = w.work(s, stop) })
	}
	// Every worker uses both tasks, or only the survivor.
	each := func(what string, more int64) {
		t.Helper()
		goals := make([]int64, len(workers))
		for i, w := range workers {
			goals[i] = w.requests.Load() + more
		}
		eventually(t, what, func() bool {
			for i, w := range workers {
				if w.requests.Load() < goals[i] && !w.ended.Load() {
					return false
				}
			}
			return true
		})
	}
	each("every worker has sent 8 requests", 8)

	// In flight at the kill are, besides the workers' requests, one that each task
	// reads, and one whose change waits in the database.
	finishReading := s.hold(t, s.all[0], "PATCH", "/v1/users/me", reading.token, map[string]any{"display_name": "never read"})
	finishOther := s.hold(t, s.all[1], "PATCH", "/v1/users/me", other.token, map[string]any{"display_name": "read by the survivor"})
	me := s.want(t, 200, s.all[1], "GET", "/v1/users/me", changing.token, nil)
	waiting, unlock := s.lockRow(t, me.str("id"))
	changed := make(chan error, 1)
	go func() {
		r, err := s.on(s.all[0], "PATCH", "/v1/users/me", changing.token, map[string]any{"display_name": "perhaps"})
		if err == nil && r.status != 503 { // which it answers after 2 s of waiting
			err = fmt.Errorf("answered %d", r.status)
			t.Errorf("a change of a locked row: %v", err)
		}
		changed <- err
	}()
	eventually(t, "the change waits in the database", waiting)
	s.all[0].Kill()
	<-changed
	unlock()
	if r, err := finishReading(); err == nil {
		t.Errorf("the killed task answers %d %v", r.status, r.body)
	}
	if r, err := finishOther(); err != nil || r.status != 200 || r.str("display_name") != "read by the survivor" {
		t.Errorf("the survivor's request in flight: %d %v %v", r.status, r.body, err)
	}
	each("every worker has sent 8 more requests", 8)
	close(stop)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("the survivor failed: %v\n%s", err, s.all[1].Output())
	}

	for _, w := range workers {
		if w.lost > 1 {
			t.Errorf("%s lost %d requests, with one at a time in flight", w.name, w.lost)
		}
		// The session stays open, whatever was in flight.
		sessions := s.want(t, 200, s.all[1], "GET", "/v1/sessions?limit=100", w.token, nil)
		current := false
		for _, one := range sessions.body["items"].([]any) {
			current = current || one.(map[string]any)["current"] == true
		}
		if !current {
			t.Errorf("%s lost the session: %v", w.name, sessions.body)
		}
		if !w.refreshInFlight {
			s.want(t, 200, s.all[1], "POST", "/v1/sessions/refresh", "", map[string]any{"refresh_token": w.refresh})
		}
	}
	other.display, changing.lostDisplay = "read by the survivor", "perhaps"
	for _, w := range append(workers, reading, other, changing) {
		name := s.want(t, 200, s.all[1], "GET", "/v1/users/me", w.token, nil).str("display_name")
		if name != w.display && (name != w.lostDisplay || name == "") {
			t.Errorf("%s is %q, but was answered %q", w.name, name, w.display)
		}
	}
}
