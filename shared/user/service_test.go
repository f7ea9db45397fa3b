package user_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const password = "correct horse"

// unsigned is a signer whose tokens are readable; these tests do not care about
// their form.
type unsigned struct{}

func (unsigned) Sign(c access.Caller, _ time.Duration) (string, error) {
	return fmt.Sprintf("%s %s %s", c.User, c.Role, c.Session), nil
}

func newService(d *pgtest.Database) *user.Service {
	return &user.Service{
		Store: pgusers.New(d.Open("users_service")), Signer: unsigned{}, Passwords: user.NewPasswords(2),
		Hashing: user.NewTurns(20, 100, 100), Tokens: user.NewTurns(20, 100, 100),
		Limits: user.Limits{LoginsPerAddress: 1000, SignUpsPerHour: 1000, TokensPerSession: 1000, TokensPerAddress: 1000},
		First:  user.Credentials{Email: "admin@example.com", Password: "the first admin's"},
	}
}

func signUp(t *testing.T, s *user.Service, email string) user.User {
	t.Helper()
	u, err := s.SignUp(t.Context(), "192.0.2.1", user.SignUp{Email: email, Password: password, DisplayName: "진"})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A login takes as long as its hashes, which are the same in number and cost
// whether or not the address has an account.
func TestLoginTakesTheSameWithAndWithoutAnAccount(t *testing.T) {
	s := newService(pgtest.Users(t))
	signUp(t, s, "jin@example.com")
	var costs []user.Cost
	s.Passwords = user.Watched(1, func(c user.Cost) { costs = append(costs, c) })
	owasp := []user.Cost{{Memory: 19456, Passes: 2}}
	for _, c := range []struct{ name, email, password string }{
		{"the password", "jin@example.com", password},
		{"a wrong password", "jin@example.com", "wrong horse"},
		{"no account", "nobody@example.com", password},
		{"no address", "jin", password},
		{"a password too short for an account", "nobody@example.com", "x"},
		{"a password too long for an account", "nobody@example.com", strings.Repeat("x", 300)},
	} {
		costs = nil
		_, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: c.email, Password: c.password})
		if c.name != "the password" && !fault.Is(err, fault.BadCredentials) || c.name == "the password" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !slices.Equal(costs, owasp) {
			t.Errorf("%s: hashes %v, want %v", c.name, costs, owasp)
		}
	}
}

func TestLoginBringsAnOldHashUpToDate(t *testing.T) {
	d := pgtest.Users(t)
	s := newService(d)
	u := signUp(t, s, "jin@example.com")
	if _, err := d.Owner().ExecContext(t.Context(), `UPDATE users SET password_hash = $2 WHERE id = $1`, u.ID, user.OldHash(password)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"$argon2id$v=19$m=64,t=1,p=1$", "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2id$v=19$m=19456,t=2,p=1$"} {
		var hash string
		if err := d.Owner().GetContext(t.Context(), &hash, `SELECT password_hash FROM users WHERE id = $1`, u.ID); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(hash, want) {
			t.Errorf("before login %d: %s", i, hash)
		}
		if _, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
}

// Of many simultaneous guesses ten are answered as wrong. After that, even the
// right one is not confirmed.
func TestGuessesAtOnce(t *testing.T) {
	d := pgtest.Users(t)
	s := newService(d)
	u := signUp(t, s, "jin@example.com")
	if _, err := d.Owner().ExecContext(t.Context(), `UPDATE users SET password_hash = $2 WHERE id = $1`, u.ID, user.OldHash(password)); err != nil {
		t.Fatal(err)
	}
	// All guesses pass the first check of the limit before any is judged.
	looked := make(chan struct{})
	var looking, wrong, limited atomic.Int32
	const guesses = 14
	start := time.Now()
	s.Passwords = user.Watched(guesses, func(user.Cost) {
		if looking.Add(1) == guesses {
			close(looked)
		}
		<-looked
	})
	var wg sync.WaitGroup
	for i := range guesses {
		wg.Go(func() {
			_, err := s.Login(context.Background(), "192.0.2.1", user.LogIn{Email: u.Email, Password: fmt.Sprint("guess ", i)})
			switch {
			case fault.Is(err, fault.BadCredentials):
				wrong.Add(1)
			case fault.Is(err, fault.TooManyRequests):
				limited.Add(1)
			default:
				t.Errorf("a wrong guess: %v", err)
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 10 || limited.Load() != guesses-10 {
		t.Errorf("%d were answered as wrong, %d limited", wrong.Load(), limited.Load())
	}
	_, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password})
	// The limit has room again 15 minutes after the first failure.
	soonest := 15*time.Minute - time.Since(start)
	if f, ok := fault.As(err); !ok || f.Kind != fault.TooManyRequests || f.RetryAfter > 15*time.Minute || f.RetryAfter < soonest {
		t.Errorf("the right one afterwards: %v", err)
	}
}

// A right guess that was computed while ten wrong ones were judged is not
// confirmed.
func TestARightGuessIsDecidedLast(t *testing.T) {
	s := newService(pgtest.Users(t))
	u := signUp(t, s, "jin@example.com")
	var armed atomic.Bool
	s.Passwords = user.Watched(2, func(user.Cost) {
		if armed.Swap(false) {
			for range 10 {
				if wait, err := s.Store.Count(context.Background(), user.PairLimit(u.Email, "192.0.2.1")); err != nil || wait != 0 {
					t.Errorf("count a failure: %v, %v", wait, err)
				}
			}
		}
	})
	armed.Store(true)
	if _, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); !fault.Is(err, fault.TooManyRequests) {
		t.Errorf("got %v", err)
	}
}

func TestManyGoodLoginsAtOnce(t *testing.T) {
	s := newService(pgtest.Users(t))
	u := signUp(t, s, "jin@example.com")
	var wg sync.WaitGroup
	for range 12 { // more than an account may have failures
		wg.Go(func() {
			if _, err := s.Login(context.Background(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// run starts services as several tasks would, and waits until they are ready.
func run(t *testing.T, services ...*user.Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, s := range services {
		wg.Go(func() { s.Run(ctx) })
	}
	for _, s := range services {
		for err := s.Ready(ctx); err != nil; err = s.Ready(ctx) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestFirstAdmin(t *testing.T) {
	d := pgtest.Users(t)
	a, b := newService(d), newService(d)
	if err := a.Ready(t.Context()); !fault.Is(err, fault.Busy) {
		t.Errorf("before: %v", err)
	}
	run(t, a, b)
	var admins []string
	if err := d.Owner().SelectContext(t.Context(), &admins, `SELECT email FROM users WHERE role = 'admin'`); err != nil || len(admins) != 1 || admins[0] != "admin@example.com" {
		t.Fatalf("admins: %q, %v", admins, err)
	}
	in, err := a.Login(t.Context(), "192.0.2.1", user.LogIn{Email: "admin@example.com", Password: "the first admin's"})
	if err != nil || !in.User.EmailVerified {
		t.Errorf("got %+v, %v", in.User, err)
	}
	// A later start with another password changes nothing.
	c := newService(d)
	c.First.Password = "another password"
	run(t, c)
	if _, err := c.Login(t.Context(), "192.0.2.1", user.LogIn{Email: "admin@example.com", Password: "the first admin's"}); err != nil {
		t.Error(err)
	}
}

// An account of an earlier release is verified when the service starts again, and
// that is reported once.
func TestExistingFirstAdminIsVerified(t *testing.T) {
	d := pgtest.Users(t)
	run(t, newService(d))
	if _, err := d.Owner().ExecContext(t.Context(), `UPDATE users SET email_verified = false; DELETE FROM outbox`); err != nil {
		t.Fatal(err)
	}
	a, b := newService(d), newService(d)
	a.First.Email = "ADMIN@example.com"
	run(t, a, b)
	run(t, newService(d))
	var verified bool
	if err := d.Owner().GetContext(t.Context(), &verified, `SELECT email_verified FROM users`); err != nil || !verified {
		t.Errorf("verified: %t, %v", verified, err)
	}
	var events []string
	if err := d.Owner().SelectContext(t.Context(), &events, `SELECT type || ' ' || actor FROM outbox`); err != nil || !slices.Equal(events, []string{"plaudit.user.email-verified service/users"}) {
		t.Errorf("events: %q, %v", events, err)
	}
}

func TestFirstAdminsAddressIsKept(t *testing.T) {
	d := pgtest.Users(t)
	s := newService(d)
	_, err := s.SignUp(t.Context(), "192.0.2.1", user.SignUp{Email: "Admin@example.com", Password: password, DisplayName: "x"})
	if !fault.Is(err, fault.AddressTaken) {
		t.Errorf("got %v", err)
	}
	// An existing account keeps its role.
	signUp(t, s, "jin@example.com")
	s = newService(d)
	s.First.Email = "jin@example.com"
	run(t, s)
	in, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: "jin@example.com", Password: password})
	if err != nil || in.User.Role != access.Member || in.User.EmailVerified {
		t.Errorf("got %+v, %v", in.User, err)
	}
}

// The service waits until the database is migrated.
func TestFirstAdminComesAfterTheMigration(t *testing.T) {
	d := pgtest.Users(t)
	if _, err := d.Owner().ExecContext(t.Context(), `ALTER TABLE users RENAME TO later`); err != nil {
		t.Fatal(err)
	}
	s := newService(d)
	if err := s.Ready(t.Context()); !fault.Is(err, fault.DatabaseUnavailable) {
		t.Errorf("without a table: %v", err)
	}
	var tries atomic.Int32
	s.Store = &watchedStore{s.Store, func() {
		if tries.Add(1) != 3 {
			return
		}
		if _, err := d.Owner().ExecContext(context.Background(), `ALTER TABLE later RENAME TO users`); err != nil {
			t.Error(err)
		}
	}}
	run(t, s)
	if tries.Load() < 3 {
		t.Errorf("ready after %d tries", tries.Load())
	}
}

// watchedStore calls looking before each look-up of an address.
type watchedStore struct {
	user.Store
	looking func()
}

func (s *watchedStore) ByAddress(ctx context.Context, email string) (user.User, user.Password, error) {
	s.looking()
	return s.Store.ByAddress(ctx, email)
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*user.Service)
		want string
	}{
		{"good", func(*user.Service) {}, ""},
		{"address", func(s *user.Service) { s.First.Email = "admin" }, "email"},
		{"password", func(s *user.Service) { s.First.Password = "short" }, "password"},
		{"logins", func(s *user.Service) { s.Limits.LoginsPerAddress = 0 }, "limits"},
		{"sign-ups", func(s *user.Service) { s.Limits.SignUpsPerHour = -1 }, "limits"},
		{"tokens of a session", func(s *user.Service) { s.Limits.TokensPerSession = 0 }, "limits"},
		{"tokens of an address", func(s *user.Service) { s.Limits.TokensPerAddress = 0 }, "limits"},
	} {
		s := &user.Service{
			Limits: user.Limits{LoginsPerAddress: 1, SignUpsPerHour: 1, TokensPerSession: 1, TokensPerAddress: 1},
			First:  user.Credentials{Email: "admin@example.com", Password: "a secret of ours"},
		}
		c.set(s)
		err := s.Check()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), s.First.Password)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
