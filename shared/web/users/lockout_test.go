package users_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/user"
)

// by returns the service as a client address reaches it.
func (u *usersUnderTest) by(address string) *usersUnderTest {
	other := *u
	other.from = address + ":1"
	return &other
}

func (u *usersUnderTest) logInWith(device, email, password string) answer {
	b, _ := json.Marshal(map[string]string{"email": email, "password": password, "device_token": device})
	return u.send("POST", "/v1/sessions", "", string(b))
}

// fail logs in with a wrong password n times, 10 from each client address.
func (u *usersUnderTest) fail(email string, n int) {
	u.Helper()
	for i := range n {
		u.want(u.by(fmt.Sprintf("198.51.100.%d", i/10)).logIn(email, "wrong password"), 401, "bad-credentials")
	}
}

func (u *usersUnderTest) retryAfter(a answer) int {
	u.Helper()
	seconds, err := strconv.Atoi(u.want(a, 429, "too-many-requests").header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		u.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
	return seconds
}

// However many log in, sign up or guess at once from some client addresses,
// everybody else's logins and sign-ups succeed.
func TestAFloodHoldsNobodyUp(t *testing.T) {
	for name, flood := range map[string]struct {
		addresses, threads int
		send               func(u *usersUnderTest, i int) answer
	}{
		"good logins from one address":  {1, 90, func(u *usersUnderTest, i int) answer { return u.logIn("flood@example.com", password) }},
		"bad logins from one address":   {1, 90, func(u *usersUnderTest, i int) answer { return u.logIn(fmt.Sprintf("x%d@example.com", i), password) }},
		"sign-ups from one address":     {1, 50, func(u *usersUnderTest, i int) answer { return u.signUp(fmt.Sprintf("y%d@example.com", i)) }},
		"good logins from nine at once": {9, 180, func(u *usersUnderTest, i int) answer { return u.logIn("flood@example.com", password) }},
	} {
		t.Run(name, func(t *testing.T) {
			u := startUsers(t, limits(100_000, 100_000))
			u.service.Passwords, u.service.Hashing = user.NewPasswords(4), user.NewTurns(3, 64, 32) // a connection stays free
			u.want(u.signUp("flood@example.com"), 201, "")
			for i := range 14 {
				u.want(u.signUp(fmt.Sprintf("u%d@example.com", i)), 201, "")
			}
			var flooding, others sync.WaitGroup
			var stop atomic.Bool
			var sent, limited atomic.Int32
			for i := range flood.threads {
				flooding.Go(func() {
					from := u.by(fmt.Sprintf("198.51.100.%d", i%flood.addresses))
					for !stop.Load() {
						a := flood.send(from, int(sent.Add(1)))
						if a.status == 429 {
							limited.Add(1)
							time.Sleep(time.Millisecond) // as a client over a network would
						} else if a.status >= 500 && flood.addresses == 1 {
							t.Errorf("the flood got %d %s", a.status, a.text)
						}
					}
				})
			}
			for deadline := time.Now().Add(time.Minute); limited.Load() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			for i := range 14 {
				others.Go(func() {
					from := u.by(fmt.Sprintf("203.0.113.%d", i))
					for range 3 {
						if a := from.logIn(fmt.Sprintf("u%d@example.com", i), password); a.status != 201 {
							t.Errorf("another's login: %d %s", a.status, a.text)
						}
					}
					if a := from.signUp(fmt.Sprintf("v%d@example.com", i)); a.status != 201 {
						t.Errorf("another's sign-up: %d %s", a.status, a.text)
					}
				})
			}
			others.Wait()
			stop.Store(true)
			flooding.Wait()
			if limited.Load() == 0 {
				t.Error("the flood was never limited, so it was none")
			}
		})
	}
}

// Failures elsewhere keep the owner out neither from an address of their own nor,
// however many they are, from a device that is known.
func TestFailuresElsewhereLockNobodyOut(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	home, away := u.by("203.0.113.1"), u.by("203.0.113.2")
	now := time.Now()
	u.at(now)
	device := u.want(home.logIn("jin@example.com", password), 201, "").str("device_token")
	for _, email := range []string{"jin@example.com", "nobody@example.com"} {
		u.fail(email, 40)
	}
	u.want(home.logInWith(device, "jin@example.com", password), 201, "")
	u.want(away.logIn("jin@example.com", password), 201, "")

	// With a hundred, the account takes one attempt in 30 s from unknown devices,
	// and so does an address without an account.
	for i, email := range []string{"jin@example.com", "nobody@example.com"} {
		for j := range 60 {
			u.want(u.by(fmt.Sprintf("198.51.100.%d", 10+j/10)).logIn(email, "wrong password"), 401, "bad-credentials")
		}
		for range 900 {
			if wait := u.retryAfter(u.by(fmt.Sprintf("198.51.100.%d", 98+i)).logIn(email, "wrong password")); wait != 30 {
				t.Fatalf("Retry-After: %d", wait)
			}
		}
		if wait := u.retryAfter(away.logIn(email, password)); wait != 30 {
			t.Errorf("Retry-After: %d", wait)
		}
		u.at(now.Add(time.Duration(i*60+30) * time.Second))
		u.want(u.by("198.51.100.20").logIn(email, "wrong password"), 401, "bad-credentials")
		if wait := u.retryAfter(away.logIn(email, password)); wait != 30 {
			t.Errorf("Retry-After: %d", wait)
		}
		u.want(home.logInWith(device, "jin@example.com", password), 201, "")
		u.at(now.Add(time.Duration(i*60+60) * time.Second))
	}
	u.want(away.logIn("jin@example.com", password), 201, "")
	u.want(away.logIn("nobody@example.com", password), 401, "bad-credentials")
	if n := u.count("outbox WHERE type = 'plaudit.user.login-failed'"); n != 1 {
		t.Errorf("%d events of failures", n)
	}
}

// Of many guesses at once beyond the hundredth failure, one is answered.
func TestGuessesAtOnceBeyondTheHundredthFailure(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	now := time.Now()
	u.at(now)
	u.exec(`INSERT INTO attempts (name, subject, at) SELECT 'login-account', sha256('jin@example.com'), plaudit_now() FROM generate_series(1, 100)`)
	u.at(now.Add(30 * time.Second))
	var wrong, limited atomic.Int32
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			switch a := u.by(fmt.Sprintf("198.51.100.%d", i)).logIn("jin@example.com", "wrong password"); a.status {
			case 401:
				wrong.Add(1)
			case 429:
				limited.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 1 || limited.Load() != 11 {
		t.Errorf("%d were answered as wrong, %d limited", wrong.Load(), limited.Load())
	}
}

// A neighbour who shares the client address can use up its attempts, but not those
// of a known device.
func TestANeighbourLocksNoKnownDeviceOut(t *testing.T) {
	u := startUsers(t, limits(20, 1000))
	u.want(u.signUp("jin@example.com"), 201, "")
	device := u.want(u.logIn("jin@example.com", password), 201, "").str("device_token")
	for range 10 {
		u.want(u.logIn("jin@example.com", "wrong password"), 401, "bad-credentials")
	}
	for range 12 {
		u.retryAfter(u.logIn("jin@example.com", "wrong password"))
	}
	u.retryAfter(u.logIn("nobody@example.com", password))
	u.want(u.logInWith(device, "jin@example.com", password), 201, "")
}

func TestDeviceHasACountOfItsOwn(t *testing.T) {
	u := startUsers(t, limits(20, 1000))
	u.want(u.signUp("jin@example.com"), 201, "")
	one := u.want(u.logIn("jin@example.com", password), 201, "").str("device_token")
	two := u.want(u.logIn("jin@example.com", password), 201, "").str("device_token")
	now := time.Now()
	u.at(now)
	for i := range 10 {
		// Wherever the device is.
		u.want(u.by(fmt.Sprintf("198.51.100.%d", i)).logInWith(one, "jin@example.com", "wrong password"), 401, "bad-credentials")
	}
	for _, p := range []string{"wrong password", password} {
		if wait := u.retryAfter(u.logInWith(one, "jin@example.com", p)); wait != 900 {
			t.Errorf("Retry-After: %d", wait)
		}
	}
	u.want(u.logInWith(two, "jin@example.com", password), 201, "")
	u.want(u.logIn("jin@example.com", password), 201, "")
	if n := u.count("outbox WHERE type = 'plaudit.user.login-failed'"); n != 1 {
		t.Errorf("%d events of failures", n)
	}
	// Good logins have a limit, too, because they are hashed.
	for range 19 {
		u.want(u.logInWith(two, "jin@example.com", password), 201, "")
	}
	u.retryAfter(u.logInWith(two, "jin@example.com", password))
	u.at(now.Add(15 * time.Minute))
	u.want(u.logInWith(one, "jin@example.com", password), 201, "")
}

func TestDeviceTokens(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	u.want(u.signUp("lee@example.com"), 201, "")
	start := time.Now()
	now := start
	tick := func(by time.Duration) {
		now = now.Add(by)
		u.at(now)
	}
	tick(0)
	device := u.want(u.logIn("jin@example.com", password), 201, "").str("device_token")
	lees := u.want(u.logIn("lee@example.com", password), 201, "").str("device_token")
	keeps := func(want bool, token, email string) string {
		t.Helper()
		got := u.want(u.logInWith(token, email, password), 201, "").str("device_token")
		if got == "" || (got == token) != want {
			t.Errorf("%q becomes %q", token, got)
		}
		return got
	}
	if len(device) != 43 || device == lees {
		t.Errorf("the tokens are %s and %s", device, lees)
	}
	keeps(true, device, "JIN@example.com")
	for _, none := range []string{"", "x", lees, device[:42], device + "=", strings.ToUpper(device), strings.Repeat("x", 3_000), "'--"} {
		keeps(false, none, "jin@example.com")
	}
	// It is not stored, and opens nothing.
	if n := u.count(fmt.Sprintf("devices d WHERE d::text LIKE '%%%s%%'", device)); n != 0 {
		t.Error("a token is stored")
	}
	if a := u.want(u.logInWith(device, "jin@example.com", ""), 400, "bad-request"); a.str("field") != "password" {
		t.Errorf("got %s", a.text)
	}
	u.want(u.send("GET", "/v1/users/me", device, ""), 401, "unauthenticated")
	for _, wrong := range []string{"null", "1", "[]", "{}", "true"} {
		a := u.want(u.send("POST", "/v1/sessions", "", fmt.Sprintf(`{"email": "jin@example.com", "password": %q, "device_token": %s}`, password, wrong)), 400, "bad-request")
		if a.str("field") != "device_token" {
			t.Errorf("%s: %s", wrong, a.text)
		}
	}
	// A refresh does not have it.
	if a := u.want(u.refresh(u.want(u.logIn("lee@example.com", password), 201, "")), 200, ""); slices.Contains(keysOf(a.body), "device_token") {
		t.Errorf("a refresh returns %s", a.text)
	}

	// Each login extends it to 90 days.
	tick(89 * 24 * time.Hour)
	keeps(true, device, "jin@example.com")
	tick(90*24*time.Hour - time.Second)
	keeps(true, device, "jin@example.com")
	tick(90 * 24 * time.Hour)
	device = keeps(false, device, "jin@example.com")

	// The least recently used of more than 20 goes.
	tick(time.Second)
	second := u.want(u.logIn("jin@example.com", password), 201, "").str("device_token")
	tick(time.Second)
	keeps(true, device, "jin@example.com")
	var others []string
	for range 19 {
		tick(time.Second)
		others = append(others, u.want(u.logIn("jin@example.com", password), 201, "").str("device_token"))
	}
	if n := u.count("devices WHERE user_id = (SELECT id FROM users WHERE email = 'jin@example.com')"); n != 20 {
		t.Errorf("%d devices", n)
	}
	keeps(true, device, "jin@example.com")
	keeps(true, others[0], "jin@example.com")
	keeps(false, second, "jin@example.com")

	// None survives a change of password, nor the account.
	token := u.want(u.logIn("jin@example.com", password), 201, "").str("access_token")
	u.want(u.changePassword(token, password, "another horse"), 200, "")
	if a := u.want(u.logInWith(device, "jin@example.com", "another horse"), 201, ""); a.str("device_token") == device {
		t.Error("a device survives the password")
	}
	token = u.want(u.logIn("jin@example.com", "another horse"), 201, "").str("access_token")
	u.want(u.send("DELETE", "/v1/users/me", token, ""), 204, "")
	if n, lee := u.count("devices"), u.count("devices WHERE user_id = (SELECT id FROM users)"); n != lee || n == 0 {
		t.Errorf("%d devices, %d of them of the account that is left", n, lee)
	}
}

// A device token changes nothing for a guesser who does not know which accounts
// exist.
func TestDeviceTokensRevealNoAccount(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	u.want(u.signUp("lee@example.com"), 201, "")
	lees := u.want(u.logIn("lee@example.com", password), 201, "").str("device_token")
	u.at(time.Now())
	mail := strings.NewReplacer("nobody@example.com", "jin@example.com")
	for i := range 12 {
		var answers []string
		for _, email := range []string{"jin@example.com", "nobody@example.com"} {
			a := u.logInWith(lees, email, "wrong password")
			answers = append(answers, mail.Replace(fmt.Sprint(a.status, a.header.Get("Retry-After"), a.text)))
		}
		if answers[0] != answers[1] {
			t.Errorf("attempt %d: %s and %s", i, answers[0], answers[1])
		}
	}
}

// An account has 20 sessions. The least recently used ends when another opens.
func TestSessionsOfAnAccountAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	u.want(u.signUp("lee@example.com"), 201, "")
	now := time.Now()
	tick := func() { now = now.Add(time.Second); u.at(now) }
	tick()
	lees := u.want(u.logIn("lee@example.com", password), 201, "")
	var sessions []answer
	for range 20 {
		tick()
		sessions = append(sessions, u.want(u.logIn("jin@example.com", password), 201, ""))
	}
	tick()
	sessions[0] = u.want(u.refresh(sessions[0]), 200, "")
	u.exec(`TRUNCATE outbox`)
	tick()
	u.want(u.logIn("jin@example.com", password), 201, "")
	ended := claims(t, sessions[1].str("access_token")).Session
	var rows []struct{ Type, Subject, Actor, Data string }
	if err := u.db.Owner().SelectContext(t.Context(), &rows, `SELECT type, subject, actor, data FROM outbox`); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(rows), fmt.Sprintf(`[{plaudit.session.revoked user/%[1]s user/%[1]s {"session":"%[2]s"}}]`, id, ended); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	u.want(u.refresh(sessions[1]), 401, "session-ended")
	u.want(u.refresh(sessions[0]), 200, "")
	u.want(u.refresh(sessions[2]), 200, "")
	u.want(u.refresh(lees), 200, "")

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a := u.logIn("jin@example.com", password); a.status != 201 {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	wg.Wait()
	if n := u.count("sessions WHERE user_id = '" + id + "'"); n != 20 {
		t.Errorf("%d sessions", n)
	}
	// Without the event, the session stays.
	u.exec(`REVOKE INSERT ON outbox FROM users_service`)
	before := u.count("sessions")
	u.want(u.logIn("jin@example.com", password), 500, "internal")
	if after := u.count("sessions"); after != before {
		t.Errorf("%d sessions, then %d", before, after)
	}
}

// tokenLimits allow few refreshes and exchanges.
func tokenLimits(session, address int) user.Limits {
	l := generous
	l.TokensPerSession, l.TokensPerAddress = session, address
	return l
}

func TestRefreshesAreLimited(t *testing.T) {
	u := startUsers(t, tokenLimits(3, 8))
	u.want(u.signUp("jin@example.com"), 201, "")
	now := time.Now()
	u.at(now)
	first := u.want(u.logIn("jin@example.com", password), 201, "")
	other := u.want(u.logIn("jin@example.com", password), 201, "")
	s := first
	for range 3 {
		s = u.want(u.refresh(s), 200, "")
	}
	for range 2 {
		if wait := u.retryAfter(u.refresh(s)); wait != 3600 {
			t.Errorf("Retry-After: %d", wait)
		}
	}
	u.retryAfter(u.by("198.51.100.1").refresh(s))
	other = u.want(u.refresh(other), 200, "")
	// A refused token stays good.
	u.at(now.Add(time.Hour))
	s = u.want(u.refresh(s), 200, "")

	// Those who have no token of a session use up their own address's attempts only.
	garbage := answer{body: map[string]any{"refresh_token": "!" + s.str("refresh_token")[1:]}}
	for range 7 {
		u.want(u.refresh(garbage), 401, "session-ended")
	}
	if wait := u.retryAfter(u.refresh(garbage)); wait != 3600 {
		t.Errorf("Retry-After: %d", wait)
	}
	u.retryAfter(u.refresh(s))
	home := u.by("198.51.100.1")
	for range 2 {
		s = u.want(home.refresh(s), 200, "")
	}
	u.retryAfter(home.refresh(s))

	// A used token ends the session, although both limits are full.
	u.want(u.refresh(first), 401, "session-ended")
	u.want(home.refresh(s), 401, "session-ended")
	u.want(home.refresh(other), 200, "")
	if n := u.count("outbox WHERE type = 'plaudit.session.reused'"); n != 1 {
		t.Errorf("%d events of reuse", n)
	}
}

func TestRefreshLimitHoldsAgainstManyAtOnce(t *testing.T) {
	u := startUsers(t, tokenLimits(100, 5))
	u.want(u.signUp("jin@example.com"), 201, "")
	var sessions []answer
	for range 9 {
		sessions = append(sessions, u.want(u.logIn("jin@example.com", password), 201, ""))
	}
	var good, limited atomic.Int32
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			switch a := u.refresh(s); a.status {
			case 200:
				good.Add(1)
			case 429:
				limited.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	wg.Wait()
	if good.Load() != 5 || limited.Load() != 4 {
		t.Errorf("%d good, %d limited", good.Load(), limited.Load())
	}
}

// A session that was refreshed for months keeps one token, and knows the oldest one
// again.
func TestAnOldRefreshTokenEndsTheSession(t *testing.T) {
	u := startUsers(t, generous)
	u.want(u.signUp("jin@example.com"), 201, "")
	now := time.Now()
	u.at(now)
	first := u.want(u.logIn("jin@example.com", password), 201, "")
	s := first
	for range 40 {
		now = now.Add(20 * 24 * time.Hour)
		u.at(now)
		s = u.want(u.refresh(s), 200, "")
		if err := u.service.Store.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := u.count("refresh_tokens"); n != 1 {
		t.Errorf("%d tokens are kept", n)
	}
	// A text that only looks like a token ends nothing.
	token := first.str("refresh_token")
	for _, unknown := range []string{"x" + token[1:], token[:20], token + "x", strings.Repeat("A", 43)} {
		u.want(u.refresh(answer{body: map[string]any{"refresh_token": unknown}}), 401, "session-ended")
	}
	s = u.want(u.refresh(s), 200, "")
	u.want(u.refresh(first), 401, "session-ended")
	u.want(u.refresh(s), 401, "session-ended")
}

func TestExchangesAreLimited(t *testing.T) {
	u := startUsers(t, tokenLimits(3, 6))
	_, token := u.loggedIn(access.Organizer)
	one := u.want(u.makeKey(token, plainKey), 201, "")
	two := u.want(u.makeKey(token, plainKey), 201, "").str("key")
	now := time.Now()
	u.at(now)
	for range 3 {
		u.want(u.exchange(one.str("key")), 200, "")
	}
	u.at(now.Add(time.Minute))
	if wait := u.retryAfter(u.exchange(one.str("key"))); wait != 3540 {
		t.Errorf("Retry-After: %d", wait)
	}
	if n := u.count(fmt.Sprintf("api_keys WHERE id = '%s' AND last_used_at = '%s'", one.str("id"), now.UTC().Format(time.RFC3339Nano))); n != 1 {
		t.Error("a refused exchange counts as a use of the key")
	}
	u.retryAfter(u.by("198.51.100.1").exchange(one.str("key")))
	u.want(u.exchange(two), 200, "")
	u.want(u.exchange("plaudit_guess"), 401, "bad-api-key")
	u.want(u.exchange(two), 200, "")
	u.retryAfter(u.exchange(two)) // the address's seventh
	u.want(u.by("198.51.100.1").exchange(two), 200, "")
	u.at(now.Add(time.Hour))
	u.want(u.exchange(one.str("key")), 200, "")
}

// While a deployment replaces the tasks, those of the previous release open and
// refresh sessions as before, and so do those of this one.
func TestSessionsOfThePreviousRelease(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	previous := u.db.Open("users_service")
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := previous.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	of := func(token string) answer { return answer{body: map[string]any{"refresh_token": token}} }
	token := func(n int) string { return fmt.Sprintf("%043d", n*1_000_000) }
	// Its statements.
	open := func(token string) {
		t.Helper()
		exec(`
			WITH account AS (
				SELECT id FROM users WHERE id = $2 AND password_version = $5 FOR SHARE
			), opened AS (
				INSERT INTO sessions (id, user_id, created_at, used_at, expires_at)
				SELECT $1, id, plaudit_now(), plaudit_now(), plaudit_now() + make_interval(secs => $3) FROM account
				RETURNING id
			)
			INSERT INTO refresh_tokens (digest, session_id) SELECT sha256($4::text::bytea), id FROM opened`,
			uuid.NewString(), id, user.RefreshLifetime.Seconds(), token, 1)
	}
	rotate := func(used, next string) {
		t.Helper()
		exec(`UPDATE refresh_tokens SET used_at = plaudit_now() WHERE digest = sha256($1::text::bytea) AND used_at IS NULL`, used)
		exec(`UPDATE sessions SET used_at = plaudit_now(), expires_at = plaudit_now() + make_interval(secs => $2)
			WHERE id = (SELECT session_id FROM refresh_tokens WHERE digest = sha256($1::text::bytea))`, used, user.RefreshLifetime.Seconds())
		exec(`INSERT INTO refresh_tokens (digest, session_id) SELECT sha256($2::text::bytea), session_id FROM refresh_tokens WHERE digest = sha256($1::text::bytea)`, used, next)
	}

	open("A" + token(1))
	rotate("A"+token(1), "B"+token(2)) // too long for a token of this release, and still good
	s := u.want(u.refresh(of("B"+token(2))), 200, "")
	u.want(u.refresh(s), 200, "")

	open(token(3)[1:] + "C")
	rotate(token(3)[1:]+"C", "D"+token(4)[1:])
	first := u.want(u.refresh(of("D"+token(4)[1:])), 200, "")
	rotate(first.str("refresh_token"), "E"+token(5)[1:])
	last := u.want(u.refresh(of("E"+token(5)[1:])), 200, "")
	if err := u.service.Store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.want(u.refresh(of(token(3)[1:]+"C")), 401, "session-ended")
	u.want(u.refresh(last), 401, "session-ended") // the replay ended the session

	open("F" + token(6)[1:])
	first = u.want(u.refresh(of("F"+token(6)[1:])), 200, "")
	u.want(u.refresh(of("F"+token(6)[1:])), 401, "session-ended")
	u.want(u.refresh(first), 401, "session-ended")
	if n := u.count("outbox WHERE type = 'plaudit.session.reused'"); n != 2 {
		t.Errorf("%d events of reuse", n)
	}
	// The previous release erases and changes passwords, too.
	exec(`DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens WHERE used_at < plaudit_now() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0, 1000)
	exec(`DELETE FROM sessions WHERE user_id = $1`, id)
	exec(`SELECT erase_user_v1($1, 'user/x', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')`, id)
	if n := u.count("devices"); n != 0 {
		t.Errorf("%d devices", n)
	}
}
