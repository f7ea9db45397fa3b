// Package users keeps accounts, sessions, API keys and attempts in the users
// database. Its tables are in migrate/users/migrations.
package users

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/outbox"
	"plaudit/shared/user"
)

// Store is the users database.
type Store struct {
	*outbox.Outbox

	db *sqlx.DB
}

// New returns the store over a pool that logs in as users_service, or as db_check for
// checks and restores.
func New(db *sqlx.DB) *Store { return &Store{outbox.New(db, event.Users, nil), db} }

var _ user.Store = (*Store)(nil)

// userColumns are the columns of userRow, for every query that reads an account.
const userColumns = `id, email, email_verified, password_hash, password_version, display_name, role, locale, time_zone, coalesce(country, '') AS country, mail, coalesce(mail_state, '') AS mail_state, created_at,
	coalesce((SELECT n.email FROM new_emails n WHERE n.user_id = users.id AND n.expires_at > plaudit_now()), '') AS new_email,
	coalesce((SELECT f.email FROM former_emails f WHERE f.user_id = users.id AND f.expires_at > plaudit_now()), '') AS former_email`

type userRow struct {
	ID              string
	Email           string
	EmailVerified   bool   `db:"email_verified"`
	PasswordHash    string `db:"password_hash"`
	PasswordVersion int64  `db:"password_version"`
	DisplayName     string `db:"display_name"`
	Role            string
	Locale          string
	TimeZone        string `db:"time_zone"`
	Country         string
	Mail            []byte
	MailState       string    `db:"mail_state"`
	CreatedAt       time.Time `db:"created_at"`
	NewEmail        string    `db:"new_email"`
	FormerEmail     string    `db:"former_email"`
}

func (r userRow) user() (user.User, error) {
	u := user.User{
		ID: r.ID, Email: r.Email, EmailVerified: r.EmailVerified, NewEmail: r.NewEmail, FormerEmail: r.FormerEmail, DisplayName: r.DisplayName, Role: access.Role(r.Role),
		Locale: r.Locale, TimeZone: r.TimeZone, Country: r.Country, MailState: user.MailState(r.MailState), CreatedAt: r.CreatedAt.UTC(),
	}
	if err := json.Unmarshal(r.Mail, &u.Mail); err != nil {
		return user.User{}, fmt.Errorf("read the mail preferences of user %s: %w", r.ID, err)
	}
	return u, nil
}

// one reads one account. It returns a fault of kind NotFound if there is none.
func one(ctx context.Context, db sqlx.QueryerContext, query string, args ...any) (user.User, user.Password, error) {
	var r userRow
	err := sqlx.GetContext(ctx, db, &r, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return user.User{}, user.Password{}, noUser()
	}
	if err != nil {
		return user.User{}, user.Password{}, postgres.Wrap(err)
	}
	u, err := r.user()
	return u, user.Password{Hash: r.PasswordHash, Version: r.PasswordVersion}, err
}

func noUser() error { return fault.New(fault.NotFound, "This user does not exist.") }

// Create implements user.Store.
func (s *Store) Create(ctx context.Context, u user.User, passwordHash, actor string) (made user.User, err error) {
	preferences, err := json.Marshal(u.Mail)
	if err != nil {
		return user.User{}, err
	}
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		made, _, err = one(ctx, tx, `
			INSERT INTO users (id, email, email_key, email_verified, password_hash, display_name, role, locale, time_zone, country, mail,
				created_at, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, ''), $11, plaudit_now(), plaudit_now())
			ON CONFLICT (email_key) DO NOTHING
			RETURNING `+userColumns,
			u.ID, u.Email, user.AddressKey(u.Email), u.EmailVerified, passwordHash, u.DisplayName, string(u.Role), u.Locale, u.TimeZone, u.Country, string(preferences))
		if fault.Is(err, fault.NotFound) {
			return user.AddressTaken()
		}
		if err != nil {
			return err
		}
		if err := report(ctx, tx, userEvent{u.ID, event.UserCreated, actor, map[string]any{"role": u.Role}}); err != nil {
			return err
		}
		if err := reportProfile(ctx, tx, u.ID); err != nil {
			return err
		}
		if made.EmailVerified {
			return report(ctx, tx, userEvent{u.ID, event.UserEmailVerified, actor, nil})
		}
		return report(ctx, tx, userEvent{u.ID, event.UserVerificationRequested, actor, nil})
	})
	return made, err
}

// ByID implements user.Store.
func (s *Store) ByID(ctx context.Context, id string) (user.User, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	u, _, err := one(ctx, s.db, `SELECT `+userColumns+` FROM users WHERE id = $1`, id)
	return u, err
}

// ByAddress implements user.Store.
func (s *Store) ByAddress(ctx context.Context, email string) (user.User, user.Password, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	return one(ctx, s.db, `SELECT `+userColumns+` FROM users WHERE email_key = $1`, user.AddressKey(email))
}

// Rehash implements user.Store.
func (s *Store) Rehash(ctx context.Context, id, old, new string) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	_, err := s.db.ExecContext(ctx, `UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2`, id, old, new)
	return postgres.Wrap(err)
}

// lockAdmins returns the ids of the admins, and leaves their rows and the row of the
// account id locked. Every transaction that may remove an admin begins with it, so that
// two admins cannot remove each other at once.
//
// The account is locked together with the admins, in the order of ids, and not after
// them: PostgreSQL also keeps locked a row that was an admin's when the statement began
// and is not any more, and another transaction may already see it as a member.
func lockAdmins(ctx context.Context, tx *sqlx.Tx, id string) (admins []string, err error) {
	var locked []struct {
		ID   string
		Role access.Role
	}
	err = tx.SelectContext(ctx, &locked, `SELECT id, role FROM users WHERE role = 'admin' OR id = $1 ORDER BY id FOR UPDATE`, id)
	for _, u := range locked {
		if u.Role == access.Admin {
			admins = append(admins, u.ID)
		}
	}
	return admins, err
}

// SetRole implements user.Store.
func (s *Store) SetRole(ctx context.Context, by, id string, role access.Role) (changed user.User, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		admins, err := lockAdmins(ctx, tx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(admins, by) {
			return fault.New(fault.Forbidden, "Only admins may change roles, and you are no longer an admin.")
		}
		if role != access.Admin && slices.Equal(admins, []string{id}) {
			return fault.Field(fault.LastAdmin, "role", "This is the only admin. Make another account an admin first.")
		}
		before, _, err := one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, id)
		if err != nil || before.Role == role {
			changed = before
			return err
		}
		if changed, _, err = one(ctx, tx, `UPDATE users SET role = $2 WHERE id = $1 RETURNING `+userColumns, id, string(role)); err != nil {
			return err
		}
		// A role is not personal, so the event has both values.
		return report(ctx, tx, userEvent{id, event.UserRoleChanged, access.Caller{User: by}.Actor(),
			map[string]any{"changes": map[string]any{"role": map[string]access.Role{"from": before.Role, "to": role}}}})
	})
	return changed, err
}

// Ready implements user.Store: it reads every table.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	_, err := s.db.ExecContext(ctx, `
		SELECT plaudit_now(), users.password_version, users.mail_secret, sessions.family FROM users
		JOIN sessions ON sessions.user_id = users.id
		JOIN refresh_tokens ON refresh_tokens.session_id = sessions.id
		CROSS JOIN attempts
		CROSS JOIN api_keys
		CROSS JOIN email_verifications
		CROSS JOIN new_emails
		CROSS JOIN former_emails
		CROSS JOIN password_reset_requests
		CROSS JOIN password_resets
		CROSS JOIN devices
		LIMIT 0`)
	return postgres.Wrap(err)
}
