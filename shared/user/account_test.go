package user_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres/pgtest"
	"plaudit/shared/user"
)

func as(u user.User) access.Caller { return access.Caller{User: u.ID, Role: u.Role} }

func ptr(s string) *string { return &s }

func TestApplyNamesTheFieldsThatChange(t *testing.T) {
	before := user.User{DisplayName: "Jin", Locale: "ko", TimeZone: "Asia/Seoul", Country: "KR", Mail: map[string]bool{"plaudit.entry.adjusted": false}}
	for _, c := range []struct {
		name string
		in   user.Changes
		want string
	}{
		{"nothing", user.Changes{}, ""},
		{"the same values", user.Changes{DisplayName: ptr("Jin"), Locale: ptr("ko"), TimeZone: ptr("Asia/Seoul"), Country: ptr("KR"), Mail: map[string]bool{"plaudit.entry.adjusted": false}}, ""},
		{"all", user.Changes{DisplayName: ptr("J"), Locale: ptr("en"), TimeZone: ptr("UTC"), Country: ptr("JP"), Mail: map[string]bool{"plaudit.entry.adjusted": true}}, "display_name locale time_zone country mail"},
		{"no country", user.Changes{Country: ptr("")}, "country"},
		{"another mail", user.Changes{Mail: map[string]bool{"plaudit.entry.reversed": false}}, "mail"},
	} {
		after, fields := c.in.Apply(before)
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if after.Mail["plaudit.entry.adjusted"] != c.in.Mail["plaudit.entry.adjusted"] {
			t.Errorf("%s: mail is %v", c.name, after.Mail)
		}
	}
	if len(before.Mail) != 1 || before.Mail["plaudit.entry.adjusted"] {
		t.Errorf("the original account was changed: %v", before.Mail)
	}
}

// With a stolen token, passwords can be guessed no faster than at login, and the
// guesses keep the owner neither from logging in nor, there, from changing the
// password.
func TestGuessesAtPasswordChangesAreLimited(t *testing.T) {
	s := newService(pgtest.Users(t))
	u := signUp(t, s, "jin@example.com")
	var hashes atomic.Int32
	s.Passwords = user.Watched(2, func(user.Cost) { hashes.Add(1) })
	change := func(current string) error {
		_, err := s.ChangePassword(t.Context(), "192.0.2.1", access.Caller{User: u.ID, Session: "stolen"}, current, "another horse")
		return err
	}
	for range 10 {
		if err := change("wrong horse"); !fault.Is(err, fault.BadCredentials) {
			t.Fatal(err)
		}
	}
	if n := hashes.Load(); n != 10 {
		t.Errorf("%d hashes for 10 guesses", n)
	}
	for _, current := range []string{"wrong horse", password} {
		if err := change(current); !fault.Is(err, fault.TooManyRequests) {
			t.Errorf("the eleventh: %v", err)
		}
	}
	if n := hashes.Load(); n != 10 {
		t.Errorf("a password was hashed although the limit was full: %d", n)
	}
	if _, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); err != nil {
		t.Errorf("a login: %v", err)
	}
	if _, err := s.ChangePassword(t.Context(), "192.0.2.1", access.Caller{User: u.ID, Session: "mine"}, password, "another horse"); err != nil {
		t.Errorf("a change in another session: %v", err)
	}
}

func TestPasswordChangesAtOnce(t *testing.T) {
	s := newService(pgtest.Users(t))
	u := signUp(t, s, "jin@example.com")
	next := []string{"another horse", "a third horse", "a fourth horse"}
	errs := make([]error, len(next))
	var wg sync.WaitGroup
	for i, p := range next {
		wg.Go(func() { _, errs[i] = s.ChangePassword(context.Background(), "192.0.2.1", as(u), password, p) })
	}
	wg.Wait()
	won := 0
	for i, p := range next {
		_, err := s.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: p})
		if errs[i] == nil {
			won++
		} else if !fault.Is(errs[i], fault.BadCredentials) {
			t.Error(errs[i])
		}
		if (err == nil) != (errs[i] == nil) {
			t.Errorf("%s: change %v, login %v", p, errs[i], err)
		}
	}
	if won != 1 {
		t.Errorf("%d changes were made", won)
	}
}

// A login that was checked against a password opens no session if that password
// has changed since, or if the account was erased.
func TestNoSessionOfAPasswordThatIsGone(t *testing.T) {
	for name, end := range map[string]func(s *user.Service, u user.User) error{
		"changed": func(s *user.Service, u user.User) error {
			_, err := s.ChangePassword(context.Background(), "192.0.2.1", as(u), password, "another horse")
			return err
		},
		"erased": func(s *user.Service, u user.User) error { return s.Erase(context.Background(), as(u)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := pgtest.Users(t)
			s := newService(d)
			u := signUp(t, s, "jin@example.com")
			slow := newService(d)
			var armed atomic.Bool
			armed.Store(true)
			slow.Passwords = user.Watched(1, func(user.Cost) {
				if armed.Swap(false) {
					if err := end(s, u); err != nil {
						t.Error(err)
					}
				}
			})
			if _, err := slow.Login(t.Context(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); !fault.Is(err, fault.BadCredentials) {
				t.Errorf("got %v", err)
			}
			var sessions int
			if err := d.Owner().GetContext(t.Context(), &sessions, `SELECT count(*) FROM sessions`); err != nil || sessions != 0 {
				t.Errorf("%d sessions, %v", sessions, err)
			}
		})
	}
}

// A new hash of the same password does not count as a change of it.
func TestLoginsWhileAHashIsBroughtUpToDate(t *testing.T) {
	d := pgtest.Users(t)
	s := newService(d)
	u := signUp(t, s, "jin@example.com")
	if _, err := d.Owner().ExecContext(t.Context(), `UPDATE users SET password_hash = $2 WHERE id = $1`, u.ID, user.OldHash(password)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := s.Login(context.Background(), "192.0.2.1", user.LogIn{Email: u.Email, Password: password}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTokensOfErasedAccountsAreRefused(t *testing.T) {
	s := newService(pgtest.Users(t))
	u := signUp(t, s, "jin@example.com")
	if err := s.Erase(t.Context(), as(u)); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"reads":        func() error { _, err := s.Me(t.Context(), as(u)); return err },
		"changes":      func() error { _, err := s.Update(t.Context(), as(u), user.Changes{Locale: ptr("ko")}); return err },
		"erases again": func() error { return s.Erase(t.Context(), as(u)) },
		"changes the password": func() error {
			_, err := s.ChangePassword(t.Context(), "x", as(u), password, "another horse")
			return err
		},
	} {
		if err := try(); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sessions, _, err := s.Sessions(t.Context(), as(u), "", 50)
	if err != nil || len(sessions) != 0 {
		t.Errorf("sessions: %v, %v", sessions, err)
	}
	again := signUp(t, s, "jin@example.com") // the address is free
	if again.ID == u.ID {
		t.Error("the id was reused")
	}
}
