package users_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/trace"
	"plaudit/shared/user"
)

func text(s string) *string { return &s }

type outboxRow struct {
	Kind, Type, Traceparent, Subject, Actor, Data string
	RecordedTime                                  time.Time
}

// outbox returns the messages in the order in which they were written.
func outbox(t *testing.T, d *pgtest.Database) []outboxRow {
	t.Helper()
	var rows []outboxRow
	err := d.Owner().SelectContext(t.Context(), &rows, `
		SELECT kind, coalesce(type, '') AS type, traceparent, subject, coalesce(actor, '') AS actor, data, recordedtime
		FROM outbox ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Every change of an account leaves its messages, in the order of the changes. No
// event holds anything personal, and each has the trace of its request, or a new one
// if no request asked for the change.
func TestOutboxOfAnAccount(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	t.Run("within a request", func(t *testing.T) {
		ctx := trace.With(t.Context(), trace.Info{Parent: parent})
		testOutbox(ctx, t, func(traceparent string) bool { return traceparent == parent })
	})
	t.Run("without a request", func(t *testing.T) {
		testOutbox(t.Context(), t, func(traceparent string) bool { return traceparent == trace.Parent(traceparent) })
	})
}

func testOutbox(ctx context.Context, t *testing.T, traced func(string) bool) {
	s, d := users(t)
	admin := account(t, s, "admin@example.com", access.Admin)
	if _, err := d.Owner().ExecContext(t.Context(), `DELETE FROM outbox`); err != nil {
		t.Fatal(err)
	}
	id := newID(t)
	self := "user/" + id
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Create(ctx, user.User{ID: id, Email: "jin@example.com", DisplayName: "진 Park", Role: access.Member, Locale: "ko", TimeZone: "Asia/Seoul",
		Country: "KR", Mail: map[string]bool{}}, "$argon2id$one", self)
	check(err)
	_, err = s.Update(ctx, id, user.Changes{Locale: text("en"), Mail: map[string]bool{"plaudit.entry.adjusted": false}}, self)
	check(err)
	_, err = s.Update(ctx, id, user.Changes{Locale: text("en")}, self)
	check(err) // no change, no message
	_, err = s.Update(ctx, id, user.Changes{DisplayName: text("Jin O'Neil \"x\""), Country: text("")}, self)
	check(err)
	_, err = s.RequestVerification(ctx, "jin@example.com", user.VerificationLimit("jin@example.com"))
	check(err)
	_, err = s.MakeVerification(ctx, id, token(9).Digest, time.Hour, 5)
	check(err)
	check(s.UseVerification(ctx, token(9).Digest, time.Hour))
	_, err = s.RequestVerification(ctx, "jin@example.com", user.VerificationLimit("jin@example.com"))
	check(err) // verified, no message
	check(s.SetVerified(ctx, id, self))
	_, err = s.SetRole(ctx, admin.ID, id, access.Organizer)
	check(err)
	_, err = s.SetRole(ctx, admin.ID, id, access.Organizer)
	check(err)
	one, two := newID(t), newID(t)
	check(s.OpenSession(ctx, opening(one, id, 1), month))
	check(s.OpenSession(ctx, opening(two, id, 12), month))
	_, err = s.EndSession(ctx, one, id, self)
	check(err)
	_, err = s.EndSession(ctx, one, id, self)
	check(err)
	_, _, err = s.Rotate(ctx, token(12), token(13), month, unlimited)
	check(err)
	if _, _, err = s.Rotate(ctx, token(12), token(14), month, unlimited); !fault.Is(err, fault.SessionEnded) {
		t.Fatal(err)
	}
	for range 7 {
		_, err := s.Fail(ctx, id, user.AccountLimit("jin@example.com"), user.Limit{Name: "login-address", Subject: "192.0.2.1", Max: 99, Window: time.Minute})
		check(err)
	}
	_, err = s.RequestAddress(ctx, id, 1, "new@example.com", month, self)
	check(err)
	_, err = s.MakeVerification(ctx, id, token(8).Digest, time.Hour, 5)
	check(err)
	check(s.UseVerification(ctx, token(8).Digest, month))
	_, err = s.RequestReset(ctx, "new@example.com", time.Hour, user.ResetLimit("new@example.com"))
	check(err)
	_, err = s.RequestReset(ctx, "jin@example.com", time.Hour, user.ResetLimit("jin@example.com"))
	check(err) // the former address, no message
	check(s.ChangePassword(ctx, id, 1, "$argon2id$two", self))
	if err := s.ChangePassword(ctx, id, 1, "$argon2id$three", self); !fault.Is(err, fault.BadCredentials) {
		t.Fatal(err)
	}
	written := outbox(t, d)
	check(s.Erase(ctx, id, self))

	want := []outboxRow{
		{Kind: "event", Type: "plaudit.user.created", Actor: self, Data: `{"role":"member"}`},
		{Kind: "profile", Data: `{"id":"` + id + `","version":1,"display_name":"진 Park","country":"KR","erased":false}`},
		{Kind: "event", Type: "plaudit.user.verification-requested", Actor: self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.updated", Actor: self, Data: `{"changes":{"locale":{},"mail":{}}}`},
		{Kind: "event", Type: "plaudit.user.updated", Actor: self, Data: `{"changes":{"country":{},"display_name":{}}}`},
		{Kind: "profile", Data: `{"id":"` + id + `","version":2,"display_name":"Jin O'Neil \"x\"","country":null,"erased":false}`},
		{Kind: "event", Type: "plaudit.user.verification-requested", Actor: user.Self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.email-verified", Actor: user.Self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.role-changed", Actor: "user/" + admin.ID, Data: `{"changes":{"role":{"from":"member","to":"organizer"}}}`},
		{Kind: "event", Type: "plaudit.session.revoked", Actor: self, Data: `{"session":"` + one + `"}`},
		{Kind: "event", Type: "plaudit.session.reused", Actor: user.Self, Data: `{"session":"` + two + `"}`},
		{Kind: "event", Type: "plaudit.user.login-failed", Actor: user.Self, Data: `{"failures":5}`},
		{Kind: "event", Type: "plaudit.user.verification-requested", Actor: self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.email-changed", Actor: user.Self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.reset-requested", Actor: user.Self, Data: `{}`},
		{Kind: "event", Type: "plaudit.user.password-changed", Actor: self, Data: `{"sessions_ended":0}`},
	}
	compare := func(name string, got, want []outboxRow) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d messages, want %d: %+v", name, len(got), len(want), got)
		}
		for i, m := range got {
			if m.Kind != want[i].Kind || m.Type != want[i].Type || m.Actor != want[i].Actor || !sameJSON(t, m.Data, want[i].Data) {
				t.Errorf("%s %d: %+v, want %+v", name, i, m, want[i])
			}
			if m.Subject != self || !traced(m.Traceparent) || i > 0 && !m.RecordedTime.After(got[i-1].RecordedTime) {
				t.Errorf("%s %d: %+v", name, i, m)
			}
		}
	}
	compare("the account", written, want)
	compare("the erased account", outbox(t, d), append(slices.DeleteFunc(want, func(m outboxRow) bool { return m.Kind == "profile" }),
		outboxRow{Kind: "event", Type: "plaudit.user.erased", Actor: self, Data: `{}`},
		outboxRow{Kind: "profile", Data: `{"id":"` + id + `","version":3,"display_name":null,"country":null,"erased":true}`}))
	for _, m := range append(written, outbox(t, d)...) {
		for _, personal := range []string{"jin@", "진", "Neil", "KR", "Asia", "argon2id"} {
			if m.Kind == "event" && strings.Contains(fmt.Sprint(m), personal) {
				t.Errorf("%q is in %+v", personal, m)
			}
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// Events keep their order if the clock stands still or goes back.
func TestEventsOfAnAccountAreInOrderWhateverTheClockSays(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	for i, by := range []time.Duration{time.Hour, 0, -time.Hour} {
		later(t, d, by)
		if _, err := s.Update(t.Context(), u.ID, user.Changes{DisplayName: text(fmt.Sprint("Jin ", i))}, "user/"+u.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Erase(t.Context(), u.ID, "user/"+u.ID); err != nil {
		t.Fatal(err)
	}
	rows := outbox(t, d)
	for i, m := range rows[1:] {
		if !m.RecordedTime.After(rows[i].RecordedTime) {
			t.Errorf("%+v comes after %+v", m, rows[i])
		}
	}
}

func TestNoMessageWithoutItsChange(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Admin)
	other := account(t, s, "b@example.com", access.Member)
	if err := s.OpenSession(t.Context(), opening(newID(t), u.ID, 1), month); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Rotate(t.Context(), token(1), token(2), month, unlimited); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeVerification(t.Context(), other.ID, token(4).Digest, time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	moving := account(t, s, "m@example.com", access.Member)
	if _, err := s.RequestAddress(t.Context(), moving.ID, 1, "n@example.com", month, "user/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeVerification(t.Context(), moving.ID, token(5).Digest, time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RequestReset(t.Context(), u.Email, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeReset(t.Context(), u.ID, token(6).Digest, time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Owner().ExecContext(t.Context(), `ALTER TABLE outbox ADD CHECK (id < 12)`); err != nil { // full: three accounts' 9, and 2
		t.Fatal(err)
	}
	changes := map[string]func() error{
		"create": func() error {
			_, err := s.Create(t.Context(), user.User{ID: newID(t), Email: "c@example.com", DisplayName: "c", Role: access.Member, Locale: "en", TimeZone: "UTC", Mail: map[string]bool{}}, "$argon2id$", "user/x")
			return err
		},
		"update": func() error {
			_, err := s.Update(t.Context(), u.ID, user.Changes{DisplayName: text("x")}, "user/x")
			return err
		},
		"password": func() error { return s.ChangePassword(t.Context(), u.ID, 1, "$argon2id$x", "user/x") },
		"role":     func() error { _, err := s.SetRole(t.Context(), u.ID, other.ID, access.Admin); return err },
		"reuse":    func() error { _, _, err := s.Rotate(t.Context(), token(1), token(3), month, unlimited); return err },
		"erase":    func() error { return s.Erase(t.Context(), other.ID, "user/x") },
		"request": func() error {
			_, err := s.RequestVerification(t.Context(), other.Email, user.VerificationLimit(other.Email))
			return err
		},
		"verify": func() error { return s.UseVerification(t.Context(), token(4).Digest, time.Hour) },
		"vouch":  func() error { return s.SetVerified(t.Context(), other.ID, "user/x") },
		"new address": func() error {
			_, err := s.RequestAddress(t.Context(), other.ID, 1, "o@example.com", month, "user/x")
			return err
		},
		"swap": func() error { return s.UseVerification(t.Context(), token(5).Digest, time.Hour) },
		"forgotten": func() error {
			_, err := s.RequestReset(t.Context(), other.Email, time.Hour, user.ResetLimit(other.Email))
			return err
		},
		"reset": func() error { return s.UseReset(t.Context(), token(6).Digest, "$argon2id$x") },
	}
	state := func() string {
		var all string
		if err := d.Owner().GetContext(t.Context(), &all, `
			SELECT (SELECT string_agg(users::text, ' ' ORDER BY id) FROM users) || (SELECT string_agg(sessions::text, ' ') FROM sessions) ||
				(SELECT string_agg(v::text, ' ' ORDER BY digest) FROM email_verifications v) || (SELECT string_agg(r::text, ' ') FROM password_resets r) ||
				(SELECT string_agg(r::text, ' ') FROM password_reset_requests r) || (SELECT string_agg(n::text, ' ') FROM new_emails n) ||
				(SELECT count(*) FROM former_emails) || (SELECT count(*) FROM attempts) || (SELECT count(*) FROM erased_users)`); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := state()
	for name, change := range changes {
		if err := change(); err == nil || !strings.Contains(err.Error(), "outbox") {
			t.Errorf("%s: %v", name, err)
		}
		if state() != before {
			t.Errorf("%s: the change stays without its message", name)
		}
	}
}

func TestErasureLeavesNothingPersonal(t *testing.T) {
	s, d := users(t)
	account(t, s, "admin@example.com", access.Admin)
	u := account(t, s, "Jin@example.com", access.Member)
	if err := s.OpenSession(t.Context(), opening(newID(t), u.ID, 1), month); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fail(t.Context(), u.ID, user.AccountLimit(u.Email), user.PairLimit(u.Email, "192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context(), user.PairLimit("jin@example.org", "192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RequestVerification(t.Context(), u.Email, user.VerificationLimit(u.Email)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeVerification(t.Context(), u.ID, token(2).Digest, time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	if err := s.UseVerification(t.Context(), token(2).Digest, month); err != nil {
		t.Fatal(err)
	}
	for n, email := range []string{"jin@example.net", "Jin@example.org"} { // the second is not confirmed
		if _, err := s.RequestAddress(t.Context(), u.ID, 1, email, month, "user/"+u.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.MakeVerification(t.Context(), u.ID, token(3+n).Digest, time.Hour, 5); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			continue
		}
		if err := s.UseVerification(t.Context(), token(3+n).Digest, month); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RequestReset(t.Context(), "jin@example.net", time.Hour, user.ResetLimit("jin@example.net")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeReset(t.Context(), u.ID, token(5).Digest, time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "new_emails") + count(t, d, "former_emails") + count(t, d, "password_resets") + count(t, d, "password_reset_requests"); n != 4 {
		t.Fatalf("%d rows to erase", n)
	}
	if err := s.Erase(t.Context(), u.ID, "user/"+u.ID); err != nil {
		t.Fatal(err)
	}
	var tables []string
	if err := d.Owner().SelectContext(t.Context(), &tables, `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var rows []string
		if err := d.Owner().SelectContext(t.Context(), &rows, "SELECT r::text FROM "+table+" r"); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if strings.Contains(strings.ToLower(row), "jin@") || strings.Contains(row, u.ID) && table != "outbox" && table != "erased_users" {
				t.Errorf("%s keeps %s", table, row)
			}
		}
	}
	left := fmt.Sprint(count(t, d, "users"), count(t, d, "sessions"), count(t, d, "refresh_tokens"), count(t, d, "erased_users WHERE id = '"+u.ID+"'"),
		count(t, d, "devices"), count(t, d, "attempts"), count(t, d, "email_verifications"))
	if left != "1 0 0 1 0 4 0" { // those of other addresses are not the account's
		t.Errorf("left: %s", left)
	}
	if _, err := s.ByID(t.Context(), u.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the account: %v", err)
	}
	if err := s.Erase(t.Context(), u.ID, "user/"+u.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("once more: %v", err)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	s, _ := users(t)
	a := account(t, s, "a@example.com", access.Admin)
	if err := s.Erase(t.Context(), a.ID, "user/"+a.ID); !fault.Is(err, fault.LastAdmin) {
		t.Fatalf("the only one: %v", err)
	}
	b := account(t, s, "b@example.com", access.Admin)
	if err := s.Erase(t.Context(), a.ID, "user/"+a.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context(), b.ID, "user/"+b.ID); !fault.Is(err, fault.LastAdmin) {
		t.Fatalf("the one that is left: %v", err)
	}
}

// If admins erase and demote each other at once, one is left, and none is told to repeat
// the request because of a deadlock.
func TestAdminsEraseAndUnmakeEachOtherAtOnce(t *testing.T) {
	s, d := users(t)
	for round := range 20 {
		var admins []user.User
		for n := range 4 {
			admins = append(admins, account(t, s, fmt.Sprintf("a%d-%d@example.com", round, n), access.Admin))
		}
		var wg sync.WaitGroup
		for i, a := range admins {
			next := admins[(i+1)%len(admins)]
			for _, change := range []func() error{
				func() error { return s.Erase(context.Background(), a.ID, "user/"+a.ID) },
				func() error { _, err := s.SetRole(context.Background(), next.ID, a.ID, access.Member); return err },
				func() error { _, err := s.SetRole(context.Background(), a.ID, next.ID, access.Member); return err },
			} {
				wg.Go(func() {
					err := change()
					if f, ok := fault.As(err); err != nil && (!ok || !slices.Contains([]fault.Kind{fault.LastAdmin, fault.Forbidden, fault.NotFound}, f.Kind)) {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := count(t, d, "users WHERE role = 'admin'"); n < 1 {
			t.Fatal("no admin is left")
		}
		if _, err := d.Owner().ExecContext(t.Context(), `DELETE FROM users`); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything that touches an account at once causes no deadlock, and after the
// erasure nothing of the account is left.
func TestErasureAmongEverythingElse(t *testing.T) {
	d := pgtest.Users(t)
	c := d.Config("users_service")
	c.MaxConns = 12
	db, err := postgres.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := pgusers.New(db)
	admin := account(t, s, "admin@example.com", access.Admin)
	for round := range 5 {
		u := account(t, s, fmt.Sprintf("u%d@example.com", round), access.Member)
		n := round * 100
		one := newID(t)
		if err := s.OpenSession(t.Context(), opening(one, u.ID, n), month); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Rotate(t.Context(), token(n), token(n+1), month, unlimited); err != nil {
			t.Fatal(err)
		}
		two := newID(t)
		var wg sync.WaitGroup
		for name, do := range map[string]func(context.Context) error{
			"erase":  func(ctx context.Context) error { return s.Erase(ctx, u.ID, "user/"+u.ID) },
			"log in": func(ctx context.Context) error { return s.OpenSession(ctx, opening(two, u.ID, n+12), month) },
			"refresh": func(ctx context.Context) error {
				_, _, err := s.Rotate(ctx, token(n+1), token(n+3), month, unlimited)
				return err
			},
			"reuse": func(ctx context.Context) error {
				_, _, err := s.Rotate(ctx, token(n), token(n+4), month, unlimited)
				return err
			},
			"log out":  func(ctx context.Context) error { _, err := s.EndSession(ctx, one, u.ID, "user/"+u.ID); return err },
			"password": func(ctx context.Context) error { return s.ChangePassword(ctx, u.ID, 1, "$argon2id$x", "user/"+u.ID) },
			"role":     func(ctx context.Context) error { _, err := s.SetRole(ctx, admin.ID, u.ID, access.Admin); return err },
			"update": func(ctx context.Context) error {
				_, err := s.Update(ctx, u.ID, user.Changes{DisplayName: text("y")}, "user/"+u.ID)
				return err
			},
			"fail": func(ctx context.Context) error {
				_, err := s.Fail(ctx, u.ID, user.AccountLimit(u.Email), user.PairLimit(u.Email, "192.0.2.1"))
				return err
			},
			"sweep": s.Sweep,
		} {
			wg.Go(func() {
				err := do(context.Background())
				if f, ok := fault.As(err); err != nil && (!ok || !slices.Contains([]fault.Kind{fault.NotFound, fault.SessionEnded, fault.BadCredentials}, f.Kind)) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if n := count(t, d, "users WHERE id = '"+u.ID+"'") + count(t, d, "sessions") + count(t, d, "refresh_tokens") + count(t, d, "devices"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	}
}

func TestTheOwnerIsToldOnceAWindow(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	told := func() (n int) {
		for _, m := range outbox(t, d) {
			if m.Type == "plaudit.user.login-failed" {
				n++
			}
		}
		return n
	}
	fail := func(account, email string, times, want int) {
		t.Helper()
		for range times {
			if wait, err := s.Fail(t.Context(), account, user.AccountLimit(email), user.PairLimit(email, "192.0.2.1")); err != nil || wait != 0 {
				t.Fatalf("%v, %v", wait, err)
			}
		}
		if got := told(); got != want {
			t.Errorf("reported %d times, want %d", got, want)
		}
	}
	fail("", "nobody@example.com", 9, 0)
	fail(u.ID, u.Email, 4, 0)
	fail(u.ID, u.Email, 1, 1)
	fail(u.ID, u.Email, 4, 1)
	later(t, d, 14*time.Minute)
	fail(u.ID, u.Email, 1, 1)
	later(t, d, 16*time.Minute) // one is left in the window
	fail(u.ID, u.Email, 3, 1)
	fail(u.ID, u.Email, 1, 2)
	fail(u.ID, u.Email, 5, 2)
	for range 2 { // the tenth was the last that counts
		if wait, err := s.Fail(t.Context(), u.ID, user.AccountLimit(u.Email), user.PairLimit(u.Email, "192.0.2.1")); err != nil || wait == 0 {
			t.Errorf("the eleventh: %v, %v", wait, err)
		}
	}
	if got := told(); got != 2 {
		t.Errorf("reported %d times", got)
	}
}

func TestList(t *testing.T) {
	s, _ := users(t)
	var ids []string
	for _, who := range []struct{ email, name string }{
		{"a_b@example.com", "Ann"}, {"a%b@example.com", "annika"}, {"axb@example.com", "100%"}, {"Bo@Example.com", "진서"}, {`c\d@example.com`, "진"},
	} {
		u, err := s.Create(t.Context(), user.User{ID: newID(t), Email: who.email, DisplayName: who.name, Role: access.Member, Locale: "en", TimeZone: "UTC", Mail: map[string]bool{}}, "$argon2id$", "user/x")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	for _, c := range []struct {
		prefix string
		want   []int // newest first
	}{
		{"", []int{4, 3, 2, 1, 0}}, {"a", []int{2, 1, 0}}, {"A_", []int{0}}, {"a%", []int{1}}, {"ANN", []int{1, 0}}, {"100%", []int{2}}, {"100%x", nil},
		{"진", []int{4, 3}}, {"진서", []int{3}}, {"BO@EXAMPLE", []int{3}}, {`c\`, []int{4}}, {"example", nil}, {"nn", nil}, {"'", nil},
	} {
		users, err := s.List(t.Context(), c.prefix, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, u := range users {
			got = append(got, slices.Index(ids, u.ID))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q finds %v, want %v", c.prefix, got, c.want)
		}
	}
	rest, err := s.List(t.Context(), "", ids[3], 2)
	if err != nil || len(rest) != 2 || rest[0].ID != ids[2] || rest[1].ID != ids[1] {
		t.Errorf("the second page: %+v, %v", rest, err)
	}
}
