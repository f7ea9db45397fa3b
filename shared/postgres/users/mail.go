package users

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"plaudit/shared/event"
	"plaudit/shared/id"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// SetMailState implements user.MailStore.
func (s *Store) SetMailState(ctx context.Context, account, address string, state user.MailState, actor string) (now user.MailState, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		u, _, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, account)
		if now = u.MailState; err != nil || now == state || address != "" && address != id.Address(account, u.Email) {
			return err
		}
		now = state
		if _, err := tx.ExecContext(ctx, `UPDATE users SET mail_state = $2 WHERE id = $1`, account, string(state)); err != nil {
			return err
		}
		return report(ctx, tx, userEvent{account, event.UserUpdated, actor, map[string]any{"changes": map[string]any{"mail_state": struct{}{}}}})
	})
	return now, err
}

// MailSecret implements user.MailStore. Accounts get their secret once, so most calls only
// read.
func (s *Store) MailSecret(ctx context.Context, account string, create bool) (user.User, uuid.UUID, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var row struct {
		userRow
		Secret uuid.NullUUID `db:"mail_secret"`
	}
	err := s.db.GetContext(ctx, &row, `SELECT `+userColumns+`, mail_secret FROM users WHERE id = $1`, account)
	if err == nil && !row.Secret.Valid && create {
		err = s.db.GetContext(ctx, &row.Secret, `UPDATE users SET mail_secret = coalesce(mail_secret, gen_random_uuid()) WHERE id = $1 RETURNING mail_secret`, account)
	}
	if errors.Is(err, sql.ErrNoRows) || err == nil && !row.Secret.Valid {
		return user.User{}, uuid.UUID{}, noUser()
	}
	if err != nil {
		return user.User{}, uuid.UUID{}, postgres.Wrap(err)
	}
	u, err := row.user()
	return u, row.Secret.UUID, err
}
