package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/event"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// ByVerifiedAddress implements user.VerificationStore.
func (s *Store) ByVerifiedAddress(ctx context.Context, email string) (user.User, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	u, _, err := one(ctx, s.db, `SELECT `+userColumns+` FROM users WHERE email_key = $1 AND email_verified`, user.AddressKey(email))
	return u, err
}

// RequestVerification implements user.VerificationStore. It runs the same statements
// for every address; those that need an account find none if there is nothing to
// verify.
func (s *Store) RequestVerification(ctx context.Context, email string, limits ...user.Limit) (wait time.Duration, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if wait, err = countIn(ctx, tx, limits); err != nil || wait > 0 {
			return err
		}
		var account string
		err = tx.GetContext(ctx, &account, `SELECT id FROM users WHERE email_key = $1 AND NOT email_verified FOR NO KEY UPDATE`, user.AddressKey(email))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		// The mail goes to the address that was counted.
		if _, err := tx.ExecContext(ctx, `UPDATE new_emails SET waits = true WHERE user_id = $1`, orNobody(account)); err != nil {
			return err
		}
		return report(ctx, tx, userEvent{orNobody(account), event.UserVerificationRequested, user.Self, nil})
	})
	return wait, err
}

// MakeVerification implements user.VerificationStore. It locks the account's row, so
// that neither two links at once nor a verification at the same time leave too many
// rows.
func (s *Store) MakeVerification(ctx context.Context, account string, token user.Digest, lifetime time.Duration, max int) (email string, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		u, _, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, account)
		if err != nil {
			return err
		}
		// Not u.NewEmail, which is from before the lock.
		err = tx.GetContext(ctx, &email, `SELECT email FROM new_emails WHERE user_id = $1 AND expires_at > plaudit_now() AND NOT (waits AND NOT $2)`, account, u.EmailVerified)
		if errors.Is(err, sql.ErrNoRows) {
			if u.EmailVerified {
				return user.NoLinkDue()
			}
			email, err = u.Email, nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM email_verifications WHERE digest IN (
				SELECT digest FROM email_verifications WHERE user_id = $1 ORDER BY expires_at DESC OFFSET $2)`, account, max-1); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO email_verifications (digest, user_id, email_key, expires_at)
			VALUES ($1, $2, $3, plaudit_now() + make_interval(secs => $4))`, token[:], account, user.AddressKey(email), lifetime.Seconds())
		return err
	})
	return email, err
}

// UseVerification implements user.VerificationStore. It locks the account's row
// first, so of two requests with the same token the second finds it gone.
func (s *Store) UseVerification(ctx context.Context, token user.Digest, former time.Duration) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var due struct {
			ID       string
			NewEmail *string `db:"new_email"` // if the link is to the address that the account asked for
		}
		err := tx.GetContext(ctx, &due.ID, `
			SELECT id FROM users
			WHERE id = (SELECT user_id FROM email_verifications WHERE digest = $1)
			FOR NO KEY UPDATE`, token[:])
		if err == nil {
			err = tx.GetContext(ctx, &due, `
				SELECT u.id, n.email AS new_email FROM email_verifications v
				JOIN users u ON u.id = v.user_id
				LEFT JOIN new_emails n ON n.user_id = u.id AND n.email_key = v.email_key AND n.expires_at > plaudit_now()
				WHERE v.digest = $1 AND v.expires_at > plaudit_now()
				AND (n.email IS NOT NULL OR u.email_key = v.email_key AND NOT u.email_verified)`, token[:])
		}
		if errors.Is(err, sql.ErrNoRows) {
			return user.NoLink()
		}
		if err != nil {
			return err
		}
		if due.NewEmail != nil {
			return setAddress(ctx, tx, due.ID, *due.NewEmail, former)
		}
		return setVerified(ctx, tx, due.ID, user.Self)
	})
}

// SetVerified implements user.VerificationStore.
func (s *Store) SetVerified(ctx context.Context, account, actor string) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		return setVerified(ctx, tx, account, actor)
	})
}

// setVerified marks an account's address as verified, ends the links to it and reports
// it, unless the address is verified already.
func setVerified(ctx context.Context, tx *sqlx.Tx, account, actor string) error {
	verified, err := tx.ExecContext(ctx, `UPDATE users SET email_verified = true WHERE id = $1 AND NOT email_verified`, account)
	if err != nil {
		return err
	}
	if n, err := verified.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM email_verifications v USING users u WHERE v.user_id = $1 AND u.id = v.user_id AND v.email_key = u.email_key`, account); err != nil {
		return err
	}
	return report(ctx, tx, userEvent{account, event.UserEmailVerified, actor, nil})
}
