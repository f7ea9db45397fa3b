package users_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
)

const month = 30 * 24 * time.Hour

func users(t *testing.T) (*pgusers.Store, *pgtest.Database) {
	t.Helper()
	d := pgtest.Users(t)
	return pgusers.New(d.Open("users_service")), d
}

func newID(t *testing.T) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func account(t *testing.T, s *pgusers.Store, email string, role access.Role) user.User {
	t.Helper()
	u, err := s.Create(t.Context(), user.User{
		ID: newID(t), Email: email, DisplayName: "진", Role: role, Locale: "ko", TimeZone: "Asia/Seoul", Country: "KR",
		Mail: map[string]bool{"plaudit.entry.adjusted": false},
	}, "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$a2V5", "user/x")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// later moves the database's clock.
func later(t *testing.T, d *pgtest.Database, by time.Duration) {
	t.Helper()
	_, err := d.Owner().ExecContext(t.Context(), fmt.Sprintf(`
		CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE
		AS 'SELECT clock_timestamp() + interval ''%d microseconds'''`, by.Microseconds()))
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, d *pgtest.Database, table string) (n int) {
	t.Helper()
	if err := d.Owner().GetContext(t.Context(), &n, "SELECT count(*) FROM "+table); err != nil {
		t.Fatal(err)
	}
	return n
}

// token returns a refresh token. Ten in a row are of one session.
func token(n int) user.RefreshToken {
	return user.RefreshToken{Digest: sha256.Sum256([]byte(fmt.Sprint(n))), Family: sha256.Sum256([]byte(fmt.Sprint("family ", n/10)))}
}

func device(n int) user.Digest { return sha256.Sum256([]byte(fmt.Sprint("device ", n))) }

// opening returns a session of an account, with the nth refresh token and device.
func opening(id, account string, n int) user.NewSession {
	return user.NewSession{ID: id, User: account, Password: 1, Token: token(n), Device: device(n)}
}

// unlimited are the limits of tests that are not about them.
func unlimited(string) []user.Limit { return nil }

func TestAccountComesBackAsItWasMade(t *testing.T) {
	s, _ := users(t)
	made := account(t, s, "Jin@Example.com", access.Organizer)
	byID, err := s.ByID(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	byAddress, secret, err := s.ByAddress(t.Context(), "jIN@eXAMPLE.COM")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []user.User{made, byID, byAddress} {
		if u.ID != made.ID || u.Email != "Jin@Example.com" || u.EmailVerified || u.DisplayName != "진" || u.Role != access.Organizer ||
			u.Locale != "ko" || u.TimeZone != "Asia/Seoul" || u.Country != "KR" || fmt.Sprint(u.Mail) != "map[plaudit.entry.adjusted:false]" ||
			!u.CreatedAt.Equal(made.CreatedAt) || u.CreatedAt.Location() != time.UTC || time.Since(u.CreatedAt).Abs() > time.Minute {
			t.Errorf("got %+v", u)
		}
	}
	if secret.Hash != "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$a2V5" || secret.Version != 1 {
		t.Errorf("the password came back as %+v", secret)
	}
	if _, err := s.ByID(t.Context(), newID(t)); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	if _, _, err := s.ByAddress(t.Context(), "jin@example.org"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown address: %v", err)
	}
}

func TestOneAccountPerAddress(t *testing.T) {
	s, d := users(t)
	var made, taken atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		id := newID(t)
		wg.Go(func() {
			email := []string{"jin@example.com", "JIN@example.com"}[i%2]
			_, err := s.Create(context.Background(), user.User{ID: id, Email: email, DisplayName: "x", Role: access.Member, Locale: "en", TimeZone: "UTC", Mail: map[string]bool{}}, "$argon2id$", "user/x")
			switch {
			case err == nil:
				made.Add(1)
			case fault.Is(err, fault.AddressTaken):
				taken.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || taken.Load() != 7 || count(t, d, "users") != 1 {
		t.Errorf("%d made, %d taken, %d rows", made.Load(), taken.Load(), count(t, d, "users"))
	}
}

func TestRehashLeavesAPasswordThatChanged(t *testing.T) {
	s, _ := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	if err := s.Rehash(t.Context(), u.ID, "$argon2id$another", "$argon2id$new"); err != nil {
		t.Fatal(err)
	}
	if _, p, _ := s.ByAddress(t.Context(), u.Email); p.Hash == "$argon2id$new" {
		t.Error("a password that had changed was replaced")
	}
	if err := s.Rehash(t.Context(), u.ID, "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$a2V5", "$argon2id$new"); err != nil {
		t.Fatal(err)
	}
	if _, p, _ := s.ByAddress(t.Context(), u.Email); p.Hash != "$argon2id$new" || p.Version != 1 {
		t.Errorf("got %+v", p)
	}
}

func TestSetRole(t *testing.T) {
	s, _ := users(t)
	admin, member := account(t, s, "a@example.com", access.Admin), account(t, s, "m@example.com", access.Member)
	for _, c := range []struct {
		name   string
		by, id string
		role   access.Role
		want   fault.Kind
	}{
		{"by an admin", admin.ID, member.ID, access.Organizer, ""},
		{"the same again", admin.ID, member.ID, access.Organizer, ""},
		{"by one who is none", member.ID, member.ID, access.Admin, fault.Forbidden},
		{"by nobody", newID(t), member.ID, access.Admin, fault.Forbidden},
		{"of nobody", admin.ID, newID(t), access.Admin, fault.NotFound},
		{"of the only admin", admin.ID, admin.ID, access.Member, fault.LastAdmin},
		{"the only admin stays one", admin.ID, admin.ID, access.Admin, ""},
		{"a second admin", admin.ID, member.ID, access.Admin, ""},
		{"then the first may go", member.ID, admin.ID, access.Auditor, ""},
		{"and is none any more", admin.ID, member.ID, access.Member, fault.Forbidden},
		{"and the second stays", member.ID, member.ID, access.Member, fault.LastAdmin},
	} {
		u, err := s.SetRole(t.Context(), c.by, c.id, c.role)
		if c.want != "" && !fault.Is(err, c.want) || c.want == "" && (err != nil || u.Role != c.role || u.ID != c.id) {
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
}

func TestTwoAdminsCannotUnmakeEachOther(t *testing.T) {
	s, d := users(t)
	a, b := account(t, s, "a@example.com", access.Admin), account(t, s, "b@example.com", access.Admin)
	var wg sync.WaitGroup
	for _, pair := range [][2]string{{a.ID, b.ID}, {b.ID, a.ID}} {
		wg.Go(func() {
			if _, err := s.SetRole(context.Background(), pair[0], pair[1], access.Member); err != nil && !fault.Is(err, fault.Forbidden) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, d, "users WHERE role = 'admin'"); n != 1 {
		t.Errorf("%d admins are left", n)
	}
}

func TestRotate(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	open := func(first int) string {
		id := newID(t)
		if err := s.OpenSession(t.Context(), opening(id, u.ID, first), month); err != nil {
			t.Fatal(err)
		}
		return id
	}
	rotate := func(used, next int) (string, error) {
		id, of, err := s.Rotate(t.Context(), token(used), token(next), month, unlimited)
		if err == nil && of.ID != u.ID {
			t.Errorf("the session is of %s", of.ID)
		}
		return id, err
	}
	want := func(step, session string, used, next int) {
		t.Helper()
		if id, err := rotate(used, next); err != nil || id != session {
			t.Errorf("%s: session %s, %v", step, id, err)
		}
	}
	refused := func(step string, used int) {
		t.Helper()
		if _, err := rotate(used, 1000+used); !fault.Is(err, fault.SessionEnded) {
			t.Errorf("%s: %v", step, err)
		}
	}

	one, other := open(1), open(11)
	want("the first", one, 1, 2)
	want("the second", one, 2, 3)
	refused("an unknown one", 99)
	want("which harms nobody", one, 3, 4)
	refused("one that was traded in", 2)
	refused("which ended the session", 4)
	want("and no other", other, 11, 12)
	if n := count(t, d, "refresh_tokens"); n != 1 {
		t.Errorf("%d tokens are kept, want the other session's newest", n)
	}

	later(t, d, month-time.Minute)
	want("just before the end", other, 12, 13)
	later(t, d, 2*month-2*time.Minute)
	want("which moved with the refresh", other, 13, 14)
	later(t, d, 3*month)
	refused("after the end", 14)

	third := open(21)
	end := func(of string, want bool) {
		t.Helper()
		if ended, err := s.EndSession(t.Context(), third, of, "user/x"); err != nil || ended != want {
			t.Fatalf("ended %t, %v", ended, err)
		}
	}
	end(newID(t), false)
	want("another's logout leaves it", third, 21, 22)
	end(u.ID, true)
	end(u.ID, false)
	refused("after a logout", 22)
}

// Of many requests with one token, one wins and the next finds the token used: the
// session ends, and with it the winner's new token.
func TestRotateAtOnce(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	if err := s.OpenSession(t.Context(), opening(newID(t), u.ID, 0), month); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := 1; i <= 8; i++ {
		wg.Go(func() {
			_, _, err := s.Rotate(context.Background(), token(0), token(i), month, unlimited)
			if err == nil {
				won.Add(1)
			} else if !fault.Is(err, fault.SessionEnded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
	if n := count(t, d, "sessions"); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
}

func TestLimits(t *testing.T) {
	s, d := users(t)
	three := user.Limit{Name: "a", Subject: "x", Max: 3, Window: time.Minute}
	five := user.Limit{Name: "b", Subject: "x", Max: 5, Window: time.Hour}
	for i := range 3 {
		if wait, err := s.Count(t.Context(), three, five); err != nil || wait != 0 {
			t.Fatalf("attempt %d: %v, %v", i, wait, err)
		}
		later(t, d, time.Duration(i+1)*10*time.Second)
	}
	// At 30 s, the third newest was at 0 s.
	for range 2 {
		wait, err := s.Count(t.Context(), five, three)
		if err != nil || wait <= 25*time.Second || wait > 30*time.Second {
			t.Errorf("the fourth: wait %v, %v", wait, err)
		}
	}
	if n := count(t, d, "attempts"); n != 6 {
		t.Errorf("a refused attempt was counted: %d", n)
	}
	for _, free := range [][]user.Limit{{five}, {{Name: "a", Subject: "y", Max: 3, Window: time.Minute}}, {{Name: "c", Subject: "x", Max: 1, Window: time.Minute}}, {}} {
		if wait, err := s.Wait(t.Context(), free...); err != nil || wait != 0 {
			t.Errorf("%v is full: %v, %v", free, wait, err)
		}
	}
	later(t, d, 61*time.Second) // the first one left, two are in the window
	if wait, err := s.Count(t.Context(), three, five); err != nil || wait != 0 {
		t.Errorf("after the first one left: %v, %v", wait, err)
	}
	wait, err := s.Wait(t.Context(), three)
	if err != nil || wait <= 5*time.Second || wait > 10*time.Second {
		t.Errorf("the second one leaves at 70 s: wait %v, %v", wait, err)
	}
	var named int
	if err := d.Owner().GetContext(t.Context(), &named, `SELECT count(*) FROM attempts WHERE subject = 'x'::bytea`); err != nil || named != 0 {
		t.Errorf("a subject is kept as plain text: %d, %v", named, err)
	}
}

func TestLimitsHoldAgainstManyAtOnce(t *testing.T) {
	s, d := users(t)
	limits := []user.Limit{{Name: "a", Subject: "x", Max: 5, Window: time.Hour}, {Name: "b", Subject: "x", Max: 100, Window: time.Hour}}
	var passed atomic.Int32
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			mine := []user.Limit{limits[i%2], limits[1-i%2]} // either order
			wait, err := s.Count(context.Background(), mine...)
			if err != nil {
				t.Error(err)
			} else if wait == 0 {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 5 || count(t, d, "attempts") != 10 {
		t.Errorf("%d passed, %d rows", passed.Load(), count(t, d, "attempts"))
	}
}

func TestSweep(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	sweep := func(want string) {
		t.Helper()
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d attempts, %d sessions, %d tokens, %d devices", count(t, d, "attempts"), count(t, d, "sessions"), count(t, d, "refresh_tokens"), count(t, d, "devices")); got != want {
			t.Errorf("left: %s, want %s", got, want)
		}
	}
	old, going := newID(t), newID(t)
	for id, first := range map[string]int{old: 1, going: 11} {
		if err := s.OpenSession(t.Context(), opening(id, u.ID, first), month); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Count(t.Context(), user.Limit{Name: "a", Subject: "x", Max: 3, Window: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Owner().ExecContext(t.Context(), `INSERT INTO attempts (name, subject, at) SELECT 'b', '\x00', now() - interval '2 h' FROM generate_series(1, 2500)`); err != nil {
		t.Fatal(err)
	}
	sweep("1 attempts, 2 sessions, 2 tokens, 2 devices")
	if _, _, err := s.Rotate(t.Context(), token(11), token(12), month, unlimited); err != nil {
		t.Fatal(err)
	}
	later(t, d, month-time.Minute)
	if _, _, err := s.Rotate(t.Context(), token(12), token(13), month, unlimited); err != nil {
		t.Fatal(err)
	}
	sweep("0 attempts, 2 sessions, 2 tokens, 2 devices")
	later(t, d, month+time.Minute)
	sweep("0 attempts, 1 sessions, 1 tokens, 2 devices")
	later(t, d, 3*month-time.Minute)
	sweep("0 attempts, 0 sessions, 0 tokens, 2 devices")
	later(t, d, 3*month+time.Minute)
	sweep("0 attempts, 0 sessions, 0 tokens, 0 devices")
}

func TestWhatTheServiceMayNotDo(t *testing.T) {
	s, d := users(t)
	account(t, s, "jin@example.com", access.Member)
	db := d.Open("users_service")
	for _, statement := range []string{
		`DELETE FROM users`,
		`UPDATE users SET id = gen_random_uuid()`,
		`UPDATE users SET created_at = now()`,
		`UPDATE users SET created_at = now()`,
		`SELECT * FROM outbox`,
		`UPDATE outbox SET data = '{}'`,
		`DELETE FROM outbox`,
		`SELECT * FROM erased_users`,
		`DELETE FROM erased_users`,
		`TRUNCATE users, sessions, refresh_tokens`,
		`UPDATE sessions SET user_id = gen_random_uuid()`,
		`UPDATE devices SET user_id = gen_random_uuid()`,
		`UPDATE refresh_tokens SET session_id = gen_random_uuid()`,
		`DROP TABLE users`,
		`CREATE TABLE mine (id int)`,
		`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'`,
		`SELECT * FROM goose_db_version`,
		`SET ROLE db_migrate`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); pq.As(err, pqerror.InsufficientPrivilege) == nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestReadyAsksForTheSchema(t *testing.T) {
	s, d := users(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Owner().ExecContext(t.Context(), `DROP TABLE attempts`); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "attempts") {
		t.Errorf("without a table: %v", err)
	}
}
