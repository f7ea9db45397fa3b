package users_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
)

// An address without an account cannot be told by the statements that its request causes.
func TestResetsCauseTheSameStatements(t *testing.T) {
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
			if wait, err := s.RequestReset(t.Context(), email, time.Hour, user.ResetLimit(email)); err != nil || wait > 0 {
				t.Errorf("%s: %s, %v", email, wait, err)
			}
		})
	}
	absent := request("nobody@example.com")
	if len(absent) < 6 {
		t.Fatalf("the recorder sees only %q", absent)
	}
	for _, email := range []string{"known@example.com", "KNOWN@example.com", "new@example.com"} {
		if got := request(email); !slices.Equal(got, absent) {
			t.Errorf("%s causes\n%s\nand an address without an account\n%s", email, strings.Join(got, "\n"), strings.Join(absent, "\n"))
		}
	}
	if n := count(t, d, "password_reset_requests"); n != 2 {
		t.Errorf("%d requests are kept", n)
	}
}
