package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// RequestReset implements user.ResetStore. It runs the same statements for every address;
// those that need an account find none if nobody has it.
func (s *Store) RequestReset(ctx context.Context, email string, pending time.Duration, limits ...user.Limit) (wait time.Duration, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if wait, err = countIn(ctx, tx, limits); err != nil || wait > 0 {
			return err
		}
		var account string
		err = tx.GetContext(ctx, &account, `SELECT id FROM users WHERE email_key = $1 FOR NO KEY UPDATE`, user.AddressKey(email))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO password_reset_requests (user_id, expires_at)
			SELECT id, plaudit_now() + make_interval(secs => $2) FROM users WHERE id = $1
			ON CONFLICT (user_id) DO UPDATE SET expires_at = excluded.expires_at`, orNobody(account), pending.Seconds()); err != nil {
			return err
		}
		return report(ctx, tx, userEvent{orNobody(account), event.UserResetRequested, user.Self, nil})
	})
	return wait, err
}

// MakeReset implements user.ResetStore. It locks the account's row, so that neither two
// links at once nor a change of the password at the same time leave too many rows.
func (s *Store) MakeReset(ctx context.Context, account string, token user.Digest, lifetime time.Duration, max int) (email string, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &email, `SELECT email FROM users WHERE id = $1 FOR NO KEY UPDATE`, account)
		if errors.Is(err, sql.ErrNoRows) {
			return noUser()
		}
		if err != nil {
			return err
		}
		var due bool
		if err := tx.GetContext(ctx, &due, `
			SELECT EXISTS (SELECT FROM password_reset_requests WHERE user_id = $1 AND expires_at > plaudit_now())`, account); err != nil {
			return err
		}
		if !due {
			return user.NoLinkDue()
		}
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM password_resets WHERE digest IN (
				SELECT digest FROM password_resets WHERE user_id = $1 ORDER BY expires_at DESC OFFSET $2)`, account, max-1); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO password_resets (digest, user_id, expires_at)
			VALUES ($1, $2, plaudit_now() + make_interval(secs => $3))`, token[:], account, lifetime.Seconds())
		return err
	})
	return email, err
}

// ByReset implements user.ResetStore.
func (s *Store) ByReset(ctx context.Context, token user.Digest) (user.User, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	u, _, err := one(ctx, s.db, `
		SELECT `+userColumns+` FROM users
		WHERE id = (SELECT user_id FROM password_resets WHERE digest = $1 AND expires_at > plaudit_now())`, token[:])
	if fault.Is(err, fault.NotFound) {
		err = user.NoResetLink()
	}
	return u, err
}

// UseReset implements user.ResetStore. It locks the account's row first, so of two
// requests with the same token the second finds it gone.
func (s *Store) UseReset(ctx context.Context, token user.Digest, hash string) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var account string
		err := tx.GetContext(ctx, &account, `
			SELECT id FROM users
			WHERE id = (SELECT user_id FROM password_resets WHERE digest = $1)
			FOR NO KEY UPDATE`, token[:])
		if err == nil {
			err = tx.GetContext(ctx, &account, `SELECT user_id FROM password_resets WHERE digest = $1 AND expires_at > plaudit_now()`, token[:])
		}
		if errors.Is(err, sql.ErrNoRows) {
			return user.NoResetLink()
		}
		if err != nil {
			return err
		}
		if err := setPassword(ctx, tx, account, hash, event.User(account)); err != nil {
			return err
		}
		return setVerified(ctx, tx, account, user.Self)
	})
}

// endResets ends the account's links that reset the password, and the request for them.
func endResets(ctx context.Context, tx *sqlx.Tx, account string) error {
	for _, statement := range []string{
		`DELETE FROM password_resets WHERE user_id = $1`,
		`DELETE FROM password_reset_requests WHERE user_id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, account); err != nil {
			return err
		}
	}
	return nil
}
