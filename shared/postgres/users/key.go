package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// keyColumns are the columns of keyRow, for every query that reads an API key.
const keyColumns = `id, user_id, name, scopes, boards, expires_at, created_at, last_used_at`

type keyRow struct {
	ID         string
	UserID     string `db:"user_id"`
	Name       string
	Scopes     pq.StringArray
	Boards     pq.StringArray // nil if the column is null
	ExpiresAt  *time.Time     `db:"expires_at"`
	CreatedAt  time.Time      `db:"created_at"`
	LastUsedAt *time.Time     `db:"last_used_at"`
}

func (r keyRow) key() user.Key {
	return user.Key{
		ID: r.ID, User: r.UserID, Name: r.Name, Scopes: r.Scopes, Boards: r.Boards,
		ExpiresAt: inUTC(r.ExpiresAt), CreatedAt: r.CreatedAt.UTC(), LastUsedAt: inUTC(r.LastUsedAt),
	}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// MakeKey implements user.KeyStore. It locks the owner's row, so that concurrent
// requests do not make more than max keys, and so that the session and the role are
// current when the key is made: ending a session and changing a role lock the row
// too.
func (s *Store) MakeKey(ctx context.Context, session string, k user.Key, secret user.Digest, max int, may func(access.Role) error) (made user.Key, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var role string
		err := tx.GetContext(ctx, &role, `SELECT role FROM users WHERE id = $1 FOR NO KEY UPDATE`, k.User)
		if errors.Is(err, sql.ErrNoRows) {
			return noUser()
		}
		if err != nil {
			return err
		}
		var active bool
		if err := tx.GetContext(ctx, &active, `
			SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND expires_at > plaudit_now())`, session, k.User); err != nil {
			return err
		}
		if !active {
			return fault.New(fault.SessionEnded, "This session has ended. Log in again.")
		}
		if err := may(access.Role(role)); err != nil {
			return err
		}
		var n int
		if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM api_keys WHERE user_id = $1`, k.User); err != nil {
			return err
		}
		if n >= max {
			return user.TooManyKeys(max)
		}
		var r keyRow
		if err := tx.GetContext(ctx, &r, `
			INSERT INTO api_keys (id, user_id, digest, name, scopes, boards, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, plaudit_now())
			RETURNING `+keyColumns,
			k.ID, k.User, secret[:], k.Name, pq.StringArray(k.Scopes), pq.StringArray(k.Boards), k.ExpiresAt); err != nil {
			return err
		}
		made = r.key()
		return report(ctx, tx, userEvent{k.User, event.KeyCreated, event.User(k.User), map[string]any{
			"key": made.ID, "scopes": made.Scopes, "boards": made.Boards, "expires_at": made.ExpiresAt,
		}})
	})
	return made, err
}

// Keys implements user.KeyStore.
func (s *Store) Keys(ctx context.Context, owner, after string, limit int) ([]user.Key, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var rows []keyRow
	err := sqlx.SelectContext(ctx, s.db, &rows, `
		SELECT `+keyColumns+` FROM api_keys
		WHERE user_id = $1 AND ($2 = '' OR id < nullif($2, '')::uuid)
		ORDER BY id DESC LIMIT $3`, owner, after, limit)
	keys := make([]user.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, postgres.Wrap(err)
}

// DeleteKey implements user.KeyStore. Like Erase, it locks the owner's row before
// the key's.
func (s *Store) DeleteKey(ctx context.Context, owner, id string) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE`, owner); err != nil {
			return err
		}
		deleted, err := tx.ExecContext(ctx, `DELETE FROM api_keys WHERE id = $1 AND user_id = $2`, id, owner)
		if err != nil {
			return err
		}
		if n, err := deleted.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return user.NoKey()
		}
		return report(ctx, tx, userEvent{owner, event.KeyDeleted, event.User(owner), map[string]any{"key": id}})
	})
}

// UseKey implements user.KeyStore. A refused use is rolled back.
func (s *Store) UseKey(ctx context.Context, secret user.Digest, most time.Duration, limits func(key string) []user.Limit) (user.Key, access.Role, time.Duration, error) {
	var r struct {
		keyRow
		Role string
		Left float64
	}
	err := postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &r, `
			WITH used AS (
				UPDATE api_keys SET last_used_at = plaudit_now()
				WHERE digest = $1 AND (expires_at IS NULL OR expires_at > plaudit_now())
				RETURNING `+keyColumns+`
			)
			SELECT used.id, used.user_id, used.name, used.scopes, used.boards, used.expires_at, used.created_at, used.last_used_at,
				users.role, least(extract(epoch FROM used.expires_at - used.last_used_at)::float8, $2::float8) AS left
			FROM used JOIN users ON users.id = used.user_id`, secret[:], most.Seconds())
		if errors.Is(err, sql.ErrNoRows) {
			return user.BadKey()
		}
		if err != nil {
			return err
		}
		return countToken(ctx, tx, limits(r.ID))
	})
	return r.key(), access.Role(r.Role), time.Duration(r.Left * float64(time.Second)), err
}
