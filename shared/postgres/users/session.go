package users

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// OpenSession implements user.Store. It locks the account's row while it makes the
// session, so a change of the password either comes first and prevents the session,
// or comes later and ends it.
func (s *Store) OpenSession(ctx context.Context, session, account string, password int64, token user.Digest, lifetime time.Duration) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	opened, err := s.db.ExecContext(ctx, `
		WITH account AS (
			SELECT id FROM users WHERE id = $2 AND password_version = $5 FOR SHARE
		), opened AS (
			INSERT INTO sessions (id, user_id, created_at, used_at, expires_at)
			SELECT $1, id, plaudit_now(), plaudit_now(), plaudit_now() + make_interval(secs => $3) FROM account
			RETURNING id
		)
		INSERT INTO refresh_tokens (digest, session_id) SELECT $4, id FROM opened`,
		session, account, lifetime.Seconds(), token[:], password)
	if err != nil {
		return postgres.Wrap(err)
	}
	n, err := opened.RowsAffected()
	if err == nil && n == 0 {
		err = user.NoAccount()
	}
	return err
}

func sessionEnded() error {
	return fault.New(fault.SessionEnded, "This session has ended. Log in again.")
}

// Rotate implements user.Store. It locks the account's row before anything else, so
// of two requests with the same token, the first exchanges it and the second finds
// it used.
func (s *Store) Rotate(ctx context.Context, used, next user.Digest, lifetime time.Duration) (session string, u user.User, err error) {
	ended := false
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var account string
		err := tx.QueryRowContext(ctx, `
			SELECT id FROM users
			WHERE id = (SELECT user_id FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE digest = $1))
			FOR NO KEY UPDATE`, used[:]).Scan(&account)
		if err == nil {
			err = tx.QueryRowContext(ctx, `
				SELECT id FROM sessions
				WHERE id = (SELECT session_id FROM refresh_tokens WHERE digest = $1)
					AND expires_at > plaudit_now()
				FOR UPDATE`, used[:]).Scan(&session)
		}
		if errors.Is(err, sql.ErrNoRows) {
			ended = true
			return nil
		}
		if err != nil {
			return err
		}
		traded, err := tx.ExecContext(ctx, `UPDATE refresh_tokens SET used_at = plaudit_now() WHERE digest = $1 AND used_at IS NULL`, used[:])
		if err != nil {
			return err
		}
		if n, err := traded.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			ended = true // for good: the transaction commits
			if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1`, session); err != nil {
				return err
			}
			// Either of the two requests may be the thief's.
			return report(ctx, tx, userEvent{account, event.SessionReused, user.Self, map[string]any{"session": session}})
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE sessions SET used_at = plaudit_now(), expires_at = plaudit_now() + make_interval(secs => $2) WHERE id = $1`,
			session, lifetime.Seconds()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO refresh_tokens (digest, session_id) VALUES ($1, $2)`, next[:], session); err != nil {
			return err
		}
		u, _, err = one(ctx, tx, `SELECT `+userColumns+` FROM users WHERE id = $1`, account)
		return err
	})
	if err == nil && ended {
		err = sessionEnded()
	}
	return session, u, err
}

// EndSession implements user.Store.
func (s *Store) EndSession(ctx context.Context, session, account, actor string) (ended bool, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE`, account); err != nil {
			return err
		}
		deleted, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2 AND expires_at > plaudit_now()`, session, account)
		if err != nil {
			return err
		}
		n, err := deleted.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		ended = true
		return report(ctx, tx, userEvent{account, event.SessionRevoked, actor, map[string]any{"session": session}})
	})
	return ended, err
}

// limitArgs returns the limits as the parallel arrays of the statements on attempts.
// Subjects are stored as digests.
func limitArgs(limits []user.Limit) (names pq.StringArray, subjects pq.ByteaArray, places pq.Int64Array, seconds pq.Float64Array) {
	for _, l := range limits {
		subject := sha256.Sum256([]byte(l.Subject))
		names = append(names, l.Name)
		subjects = append(subjects, subject[:])
		places = append(places, int64(l.Max))
		seconds = append(seconds, l.Window.Seconds())
	}
	return names, subjects, places, seconds
}

// waitFor returns how long to wait until every limit has room again. A limit has
// room once the Max-th newest attempt in its window leaves the window.
func waitFor(ctx context.Context, db sqlx.QueryerContext, limits []user.Limit) (time.Duration, error) {
	names, subjects, places, seconds := limitArgs(limits)
	var wait float64
	err := sqlx.GetContext(ctx, db, &wait, `
		SELECT coalesce(max(extract(epoch FROM filling.at - plaudit_now())::float8 + l.seconds), 0)
		FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::float8[]) AS l (name, subject, places, seconds)
		CROSS JOIN LATERAL (
			SELECT at FROM attempts
			WHERE name = l.name AND subject = l.subject AND at > plaudit_now() - make_interval(secs => l.seconds)
			ORDER BY at DESC OFFSET l.places - 1 LIMIT 1
		) AS filling`, names, subjects, places, seconds)
	// Negative if the attempt left its window while the statement ran.
	return max(time.Duration(wait*float64(time.Second)), 0), postgres.Wrap(err)
}

// Wait implements user.Store.
func (s *Store) Wait(ctx context.Context, limits ...user.Limit) (time.Duration, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	return waitFor(ctx, s.db, limits)
}

// Count implements user.Store.
func (s *Store) Count(ctx context.Context, limits ...user.Limit) (time.Duration, error) {
	return s.count(ctx, limits, func(context.Context, *sqlx.Tx) error { return nil })
}

// count counts an attempt, and calls then in the same transaction. Attempts of the
// same subject wait for each other, from the check of the limit to the end of the
// transaction. They lock in the order of the limits' names, so they never deadlock.
func (s *Store) count(ctx context.Context, limits []user.Limit, then func(context.Context, *sqlx.Tx) error) (wait time.Duration, err error) {
	limits = slices.SortedFunc(slices.Values(limits), func(a, b user.Limit) int { return strings.Compare(a.Name, b.Name) })
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, l := range limits {
			key := sha256.Sum256([]byte(l.Name + " " + l.Subject))
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(binary.BigEndian.Uint64(key[:]))); err != nil {
				return err
			}
		}
		var err error
		if wait, err = waitFor(ctx, tx, limits); err != nil || wait > 0 {
			return err
		}
		names, subjects, _, _ := limitArgs(limits)
		if _, err = tx.ExecContext(ctx, `
			INSERT INTO attempts (name, subject, at)
			SELECT name, subject, plaudit_now() FROM unnest($1::text[], $2::bytea[]) AS l (name, subject)`, names, subjects); err != nil {
			return err
		}
		return then(ctx, tx)
	})
	return wait, err
}

// Fail implements user.Store. For an address without an account it runs the same
// statements, except for the event, which needs an account.
func (s *Store) Fail(ctx context.Context, account string, perAccount, perClient user.Limit) (time.Duration, error) {
	return s.count(ctx, []user.Limit{perAccount, perClient}, func(ctx context.Context, tx *sqlx.Tx) error {
		_, subjects, _, _ := limitArgs([]user.Limit{perAccount})
		var failures int
		if err := tx.GetContext(ctx, &failures, `
			SELECT count(*) FROM attempts
			WHERE name = $1 AND subject = $2 AND at > plaudit_now() - make_interval(secs => $3)`,
			perAccount.Name, subjects[0], perAccount.Window.Seconds()); err != nil {
			return err
		}
		if failures < user.FailuresTold {
			return nil
		}
		due, err := tx.ExecContext(ctx, `
			UPDATE users SET login_failed_at = plaudit_now()
			WHERE id = $1 AND (login_failed_at IS NULL OR login_failed_at <= plaudit_now() - make_interval(secs => $2))`,
			orNobody(account), perAccount.Window.Seconds())
		if err != nil {
			return err
		}
		if n, err := due.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return report(ctx, tx, userEvent{account, event.UserLoginFailed, user.Self, map[string]any{"failures": failures}})
	})
}

// orNobody returns the account's id, or an id that no account has.
func orNobody(account string) string {
	if account == "" {
		return uuid.Nil.String()
	}
	return account
}

// sweepBatch keeps each statement of a sweep short.
const sweepBatch = 1000

// Sweep implements user.Store. It skips locked rows: the next sweep of any task
// finds them.
func (s *Store) Sweep(ctx context.Context) error {
	for _, sweep := range []struct {
		statement string
		age       time.Duration
	}{
		{`DELETE FROM attempts WHERE id IN (
			SELECT id FROM attempts WHERE at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, user.LongestWindow},
		{`DELETE FROM sessions WHERE id IN (
			SELECT id FROM sessions WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM refresh_tokens WHERE digest IN (
			SELECT digest FROM refresh_tokens WHERE used_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, user.RefreshLifetime},
		{`DELETE FROM email_verifications WHERE digest IN (
			SELECT digest FROM email_verifications WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
	} {
		for left := int64(sweepBatch); left == sweepBatch; {
			var err error
			if left, err = s.delete(ctx, sweep.statement, sweep.age); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) delete(ctx context.Context, statement string, age time.Duration) (int64, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	deleted, err := s.db.ExecContext(ctx, statement, age.Seconds(), sweepBatch)
	if err != nil {
		return 0, postgres.Wrap(err)
	}
	return deleted.RowsAffected()
}
