package users

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// Update implements user.AccountStore. Of two changes at once, the second starts
// from the result of the first.
func (s *Store) Update(ctx context.Context, id string, c user.Changes, actor string) (changed user.User, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		before, _, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, id)
		if err != nil {
			return err
		}
		after, fields := c.Apply(before)
		if changed = before; len(fields) == 0 {
			return nil
		}
		preferences, err := json.Marshal(after.Mail)
		if err != nil {
			return err
		}
		changed, _, err = one(ctx, tx, `
			UPDATE users SET display_name = $2, locale = $3, time_zone = $4, country = nullif($5, ''), mail = $6
			WHERE id = $1
			RETURNING `+userColumns,
			id, after.DisplayName, after.Locale, after.TimeZone, after.Country, string(preferences))
		if err != nil {
			return err
		}
		// Other events of changes also have the values; here they are personal.
		names := map[string]struct{}{}
		for _, f := range fields {
			names[f] = struct{}{}
		}
		if err := report(ctx, tx, userEvent{id, event.UserUpdated, actor, map[string]any{"changes": names}}); err != nil {
			return err
		}
		if before.DisplayName == after.DisplayName && before.Country == after.Country {
			return nil
		}
		return reportProfile(ctx, tx, id)
	})
	return changed, err
}

// Secret implements user.AccountStore.
func (s *Store) Secret(ctx context.Context, id string) (user.User, user.Password, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	return one(ctx, s.db, `SELECT `+userColumns+` FROM users WHERE id = $1`, id)
}

// ChangePassword implements user.AccountStore.
func (s *Store) ChangePassword(ctx context.Context, id string, old int64, hash, actor string) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var version int64
		err := tx.GetContext(ctx, &version, `SELECT password_version FROM users WHERE id = $1 FOR NO KEY UPDATE`, id)
		if errors.Is(err, sql.ErrNoRows) {
			return noUser()
		}
		if err != nil {
			return err
		}
		if version != old {
			return passwordChanged()
		}
		return setPassword(ctx, tx, id, hash, actor)
	})
}

// setPassword replaces an account's password, ends what the previous one may have opened
// and reports the change: a thief who knew the previous one may also have asked for
// another address, or for a link that resets it. The caller has locked the account's row.
func setPassword(ctx context.Context, tx *sqlx.Tx, id, hash, actor string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE users SET password_hash = $2, password_version = password_version + 1 WHERE id = $1`, id, hash); err != nil {
		return err
	}
	ended, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1`, id)
	if err != nil {
		return err
	}
	n, err := ended.RowsAffected()
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE user_id = $1`, id); err != nil {
		return err
	}
	if err := endResets(ctx, tx, id); err != nil {
		return err
	}
	if err := forgetNewAddress(ctx, tx, id, ""); err != nil {
		return err
	}
	return report(ctx, tx, userEvent{id, event.UserPasswordChanged, actor, map[string]any{"sessions_ended": n}})
}

// Erase implements user.AccountStore. It locks the admins even if the account is
// not one, because the account may become one while Erase waits.
func (s *Store) Erase(ctx context.Context, id, actor string) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		admins, err := lockAdmins(ctx, tx, id)
		if err != nil {
			return err
		}
		u, _, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR UPDATE`, id)
		if err != nil {
			return err
		}
		if u.Role == access.Admin && !slices.ContainsFunc(admins, func(admin string) bool { return admin != id }) {
			return fault.New(fault.LastAdmin, "This is the only admin. Make another account an admin first.")
		}
		// From every client address: those subjects begin with the account's. Only those of
		// the present address: an account can ask for any other, and so would let its owner
		// start the limits of somebody else's address again.
		// Nor those of mail to an address that is not verified: it may be somebody else's.
		names := pq.StringArray{user.AccountLimit(u.Email).Name, user.PairLimit(u.Email, "").Name}
		if u.EmailVerified {
			names = append(names, user.VerificationLimit(u.Email).Name, user.ResetLimit(u.Email).Name)
		}
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM attempts WHERE name = ANY ($1) AND subject BETWEEN $2 AND $2 || decode(repeat('ff', 32), 'hex')`,
			names, subject(user.AccountLimit(u.Email))); err != nil {
			return err
		}
		var erased bool
		return tx.GetContext(ctx, &erased, `SELECT erase_user_v1($1, $2, $3)`, id, actor, postgres.TraceParent(ctx))
	})
}

// List implements user.AccountStore.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]user.User, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query := `SELECT ` + userColumns + ` FROM users WHERE ($1 = '' OR id < nullif($1, '')::uuid)`
	args := []any{after, limit}
	if prefix != "" {
		query += ` AND (email_key LIKE $3 OR lower(display_name) LIKE lower($4))`
		args = append(args, postgres.LikePrefix(user.AddressKey(prefix)), postgres.LikePrefix(prefix))
	}
	var rows []userRow
	if err := s.db.SelectContext(ctx, &rows, query+` ORDER BY id DESC LIMIT $2`, args...); err != nil {
		return nil, postgres.Wrap(err)
	}
	users := make([]user.User, len(rows))
	for i, r := range rows {
		u, err := r.user()
		if err != nil {
			return nil, err
		}
		users[i] = u
	}
	return users, nil
}

// Sessions implements user.AccountStore.
func (s *Store) Sessions(ctx context.Context, id, after string, limit int) ([]user.OpenSession, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var rows []struct {
		ID        string
		CreatedAt time.Time `db:"created_at"`
		UsedAt    time.Time `db:"used_at"`
		ExpiresAt time.Time `db:"expires_at"`
	}
	err := s.db.SelectContext(ctx, &rows, `
		SELECT id, created_at, used_at, expires_at FROM sessions
		WHERE user_id = $1 AND expires_at > plaudit_now() AND ($2 = '' OR id < nullif($2, '')::uuid)
		ORDER BY id DESC LIMIT $3`, id, after, limit)
	sessions := make([]user.OpenSession, len(rows))
	for i, r := range rows {
		sessions[i] = user.OpenSession{ID: r.ID, CreatedAt: r.CreatedAt.UTC(), UsedAt: r.UsedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC()}
	}
	return sessions, postgres.Wrap(err)
}
