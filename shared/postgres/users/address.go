package users

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// RequestAddress implements user.AddressStore.
func (s *Store) RequestAddress(ctx context.Context, account string, password int64, email string, lifetime time.Duration, actor string) (changed user.User, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		before, secret, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, account)
		if err != nil {
			return err
		}
		if secret.Version != password {
			return passwordChanged()
		}
		if err := forgetNewAddress(ctx, tx, account, user.AddressKey(email)); err != nil {
			return err
		}
		other := email != before.Email
		if other {
			if err := newAddress(ctx, tx, account, email, lifetime); err != nil {
				return err
			}
		}
		if other || !before.EmailVerified {
			if err := report(ctx, tx, userEvent{account, event.UserVerificationRequested, actor, nil}); err != nil {
				return err
			}
		}
		changed, _, err = one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1`, account)
		return err
	})
	return changed, err
}

// newAddress keeps the address that an account asks for, unless another account has it.
func newAddress(ctx context.Context, tx *sqlx.Tx, account, email string, lifetime time.Duration) error {
	var taken bool
	if err := tx.GetContext(ctx, &taken, `SELECT EXISTS (SELECT FROM users WHERE email_key = $2 AND id <> $1)`, account, user.AddressKey(email)); err != nil {
		return err
	}
	if taken {
		return user.AddressTaken()
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO new_emails (user_id, email, email_key, expires_at)
		VALUES ($1, $2, $3, plaudit_now() + make_interval(secs => $4))`, account, email, user.AddressKey(email), lifetime.Seconds())
	return err
}

// forgetNewAddress takes back the address that an account asked for. Links to addresses
// other than its present one and the one with the given key end.
func forgetNewAddress(ctx context.Context, tx *sqlx.Tx, account, but string) error {
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM email_verifications v USING users u
		WHERE v.user_id = $1 AND u.id = v.user_id AND v.email_key NOT IN (u.email_key, $2)`, account, but); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM new_emails WHERE user_id = $1`, account)
	return err
}

// setAddress makes the address that an account asked for its own, ends every link to the
// one before, which it keeps for the given time if it was verified, and reports the
// change. It gets mail, whatever became of mail to the one before. Of several changes within
// that time, the first address is kept: the later ones may be a thief's. The caller has
// locked the account's row.
func setAddress(ctx context.Context, tx *sqlx.Tx, account, email string, former time.Duration) error {
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO former_emails (user_id, email, expires_at)
		SELECT id, email, plaudit_now() + make_interval(secs => $2) FROM users WHERE id = $1 AND email_verified
		ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, expires_at = excluded.expires_at WHERE former_emails.expires_at <= plaudit_now()`, account, former.Seconds()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE users SET email = $2, email_key = $3, email_verified = true, mail_state = NULL WHERE id = $1`, account, email, user.AddressKey(email))
	if pq.As(err, pqerror.UniqueViolation) != nil {
		return user.AddressTaken()
	}
	if err != nil {
		return err
	}
	for _, statement := range []string{`DELETE FROM new_emails WHERE user_id = $1`, `DELETE FROM email_verifications WHERE user_id = $1`} {
		if _, err := tx.ExecContext(ctx, statement, account); err != nil {
			return err
		}
	}
	if err := endResets(ctx, tx, account); err != nil {
		return err
	}
	return report(ctx, tx, userEvent{account, event.UserEmailChanged, user.Self, nil})
}

// passwordChanged returns the fault for a change that presented a password which another
// request has replaced.
func passwordChanged() error {
	return fault.Field(fault.BadCredentials, "current_password", "Another request has just changed the password. Log in with the new one.")
}
