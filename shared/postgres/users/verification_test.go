package users_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
)

// link makes a link of an account with the token n.
func link(t *testing.T, s *pgusers.Store, account string, n int) {
	t.Helper()
	if _, err := s.MakeVerification(t.Context(), account, token(n).Digest, time.Hour, 5); err != nil {
		t.Fatalf("make a link: %v", err)
	}
}

// verified reports whether an account's address is verified.
func verified(t *testing.T, s *pgusers.Store, account string) bool {
	t.Helper()
	u, err := s.ByID(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return u.EmailVerified
}

func TestLinkWorksOnce(t *testing.T) {
	s, d := users(t)
	u, other := account(t, s, "jin@example.com", access.Member), account(t, s, "b@example.com", access.Member)
	link(t, s, u.ID, 1)
	link(t, s, u.ID, 2)
	link(t, s, other.ID, 3)
	if err := s.UseVerification(t.Context(), token(4).Digest, time.Hour); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown token: %v", err)
	}
	if verified(t, s, u.ID) {
		t.Error("verified without a link")
	}
	// An older link works, too.
	if err := s.UseVerification(t.Context(), token(1).Digest, time.Hour); err != nil {
		t.Fatal(err)
	}
	for n, name := range []string{1: "again", 2: "another link of the account"} {
		if n > 0 {
			if err := s.UseVerification(t.Context(), token(n).Digest, time.Hour); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if !verified(t, s, u.ID) || verified(t, s, other.ID) || count(t, d, "email_verifications") != 1 {
		t.Errorf("verified: %t and the other %t, %d links left", verified(t, s, u.ID), verified(t, s, other.ID), count(t, d, "email_verifications"))
	}
	if email, err := s.MakeVerification(t.Context(), u.ID, token(5).Digest, time.Hour, 5); !fault.Is(err, fault.NoLinkDue) || email != "" {
		t.Errorf("a link for a verified address: %q, %v", email, err)
	}
	if email, err := s.MakeVerification(t.Context(), newID(t), token(6).Digest, time.Hour, 5); !fault.Is(err, fault.NotFound) || email != "" {
		t.Errorf("a link for nobody: %q, %v", email, err)
	}
	if n := count(t, d, "email_verifications"); n != 1 {
		t.Errorf("%d links", n)
	}
}

// Of two requests with the same token at once, one verifies the address.
func TestOneOfManyUsesALink(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	link(t, s, u.ID, 1)
	link(t, s, u.ID, 2)
	var used, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := s.UseVerification(context.Background(), token(1+i%2).Digest, time.Hour); {
			case err == nil:
				used.Add(1)
			case fault.Is(err, fault.NotFound):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used.Load() != 1 || refused.Load() != 7 || count(t, d, "outbox WHERE type = 'plaudit.user.email-verified'") != 1 {
		t.Errorf("%d used it, %d were refused", used.Load(), refused.Load())
	}
}

// A link is for the account and the address that it was made for, and for an hour.
func TestLinkIsVoid(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *pgusers.Store, *pgtest.Database, user.User)
		want   bool
	}{
		"it is not": {func(*testing.T, *pgusers.Store, *pgtest.Database, user.User) {}, true},
		"just before it expires": {func(t *testing.T, _ *pgusers.Store, d *pgtest.Database, _ user.User) {
			later(t, d, 59*time.Minute)
		}, true},
		"once it has expired": {func(t *testing.T, _ *pgusers.Store, d *pgtest.Database, _ user.User) {
			later(t, d, time.Hour)
		}, false},
		"once the address has changed": {func(t *testing.T, _ *pgusers.Store, d *pgtest.Database, u user.User) {
			if _, err := d.Owner().ExecContext(t.Context(), `UPDATE users SET email = 'new@example.com', email_key = 'new@example.com' WHERE id = $1`, u.ID); err != nil {
				t.Fatal(err)
			}
		}, false},
		"once the address is another account's": {func(t *testing.T, s *pgusers.Store, d *pgtest.Database, u user.User) {
			if err := s.Erase(t.Context(), u.ID, "user/x"); err != nil {
				t.Fatal(err)
			}
			account(t, s, u.Email, access.Member)
		}, false},
		"once the address is verified otherwise": {func(t *testing.T, s *pgusers.Store, d *pgtest.Database, u user.User) {
			if err := s.SetVerified(t.Context(), u.ID, "user/x"); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := users(t)
			u := account(t, s, "jin@example.com", access.Member)
			link(t, s, u.ID, 1)
			c.change(t, s, d, u)
			before := count(t, d, "users WHERE email_verified")
			err := s.UseVerification(t.Context(), token(1).Digest, time.Hour)
			if c.want && err != nil || !c.want && !fault.Is(err, fault.NotFound) {
				t.Errorf("got %v", err)
			}
			if got := count(t, d, "users WHERE email_verified") - before; got != 0 != c.want {
				t.Errorf("%d accounts were verified", got)
			}
		})
	}
}

func TestLinksOfAnAccountAreBounded(t *testing.T) {
	s, d := users(t)
	u, other := account(t, s, "jin@example.com", access.Member), account(t, s, "b@example.com", access.Member)
	link(t, s, other.ID, 100)
	later(t, d, 0)
	for n := range 7 {
		later(t, d, time.Duration(n)*time.Minute)
		link(t, s, u.ID, n)
	}
	for n, valid := range []bool{false, false, true, true, true, true, true} {
		digest := token(n).Digest
		if got := count(t, d, fmt.Sprintf(`email_verifications WHERE digest = '\x%x'`, digest[:])) == 1; got != valid {
			t.Errorf("link %d is valid: %t", n, got)
		}
	}
	if n := count(t, d, "email_verifications"); n != 6 {
		t.Errorf("%d links", n)
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if _, err := s.MakeVerification(context.Background(), u.ID, token(200+n).Digest, time.Hour, 5); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, d, "email_verifications"); n != 6 {
		t.Errorf("%d links after many at once", n)
	}
	later(t, d, 2*time.Hour)
	if err := s.Sweep(t.Context()); err != nil || count(t, d, "email_verifications") != 0 {
		t.Errorf("%d links after the sweep, %v", count(t, d, "email_verifications"), err)
	}
}

// Neither an address without a link nor one without an account can be told apart by
// the statements that its request causes.
func TestAddressesCauseTheSameStatements(t *testing.T) {
	d := pgtest.Users(t)
	var log statements
	s := pgusers.New(log.open(t, d))
	account(t, s, "new@example.com", access.Member)
	known := account(t, s, "known@example.com", access.Member)
	if err := s.SetVerified(t.Context(), known.ID, "user/x"); err != nil {
		t.Fatal(err)
	}
	request := func(email string) []string {
		return log.of(func() {
			if wait, err := s.RequestVerification(t.Context(), email, user.VerificationLimit(email)); err != nil || wait > 0 {
				t.Errorf("%s: %s, %v", email, wait, err)
			}
		})
	}
	pending := request("new@example.com")
	if len(pending) < 5 {
		t.Fatalf("the recorder sees only %q", pending)
	}
	for _, email := range []string{"known@example.com", "nobody@example.com"} {
		if got := request(email); !slices.Equal(got, pending) {
			t.Errorf("%s causes\n%s\nand an address that waits for its link\n%s", email, strings.Join(got, "\n"), strings.Join(pending, "\n"))
		}
	}
	find := func(email string) []string {
		return log.of(func() {
			if _, err := s.ByVerifiedAddress(t.Context(), email); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", email, err)
			}
		})
	}
	if unverified, absent := find("new@example.com"), find("nobody@example.com"); len(absent) != 1 || !slices.Equal(unverified, absent) {
		t.Errorf("finding an unverified account causes %q, an absent one %q", unverified, absent)
	}
	if u, err := s.ByVerifiedAddress(t.Context(), "KNOWN@example.com"); err != nil || u.ID != known.ID {
		t.Errorf("a verified account: %+v, %v", u, err)
	}
}

// statements records what a pool sends.
type statements struct {
	mu   sync.Mutex
	sent []string
}

func (l *statements) open(t *testing.T, d *pgtest.Database) *sqlx.DB {
	t.Helper()
	config := d.Config("users_service")
	dsn, err := url.Parse(config.DSN)
	if err != nil {
		t.Fatal(err)
	}
	dsn.User = url.UserPassword(dsn.User.Username(), config.Password)
	query := dsn.Query()
	query.Set("binary_parameters", "yes")
	dsn.RawQuery = query.Encode()
	connector, err := pq.NewConnector(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(recorder{connector, l})
	t.Cleanup(func() { db.Close() })
	return sqlx.NewDb(db, "postgres")
}

// of returns the statements that a call sends.
func (l *statements) of(call func()) []string {
	l.mu.Lock()
	l.sent = nil
	l.mu.Unlock()
	call()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent)
}

func (l *statements) note(statement string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, statement)
}

type recorder struct {
	driver.Connector
	log *statements
}

func (r recorder) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	return recordedConn{c, r.log}, err
}

type recordedConn struct {
	driver.Conn
	log *statements
}

func (c recordedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.log.note("BEGIN")
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c recordedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.log.note(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c recordedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.log.note(query)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// CheckNamedValue lets pq convert the arguments itself.
func (c recordedConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
