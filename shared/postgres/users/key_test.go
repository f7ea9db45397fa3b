package users_test

import (
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/access"
	"plaudit/shared/user"
)

// A key's rights are fixed when it is made: no fault of the service can widen them,
// or pass the key to another user.
func TestKeysDoNotChange(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Organizer)
	anybody := func(access.Role) error { return nil }
	session := newID(t)
	if _, err := d.Owner().ExecContext(t.Context(), `INSERT INTO sessions (id, user_id, created_at, used_at, expires_at) VALUES ($1, $2, now(), now(), 'infinity')`, session, u.ID); err != nil {
		t.Fatal(err)
	}
	k, err := s.MakeKey(t.Context(), session, user.Key{ID: newID(t), User: u.ID, Name: "x", Scopes: []string{"read"}}, device(1), 1, anybody)
	if err != nil || k.User != u.ID || k.Boards != nil || k.ExpiresAt != nil || k.LastUsedAt != nil {
		t.Fatalf("made %+v, %v", k, err)
	}
	db := d.Open("users_service")
	for _, statement := range []string{
		`UPDATE api_keys SET scopes = '{events:write}'`,
		`UPDATE api_keys SET boards = NULL`,
		`UPDATE api_keys SET expires_at = NULL`,
		`UPDATE api_keys SET user_id = gen_random_uuid()`,
		`UPDATE api_keys SET digest = '\x00'`,
		`TRUNCATE api_keys`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); pq.As(err, pqerror.InsufficientPrivilege) == nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
