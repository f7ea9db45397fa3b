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

// KnowsDevice implements user.Store.
func (s *Store) KnowsDevice(ctx context.Context, account string, device user.Digest) (known bool, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	err = s.db.GetContext(ctx, &known, `
		SELECT EXISTS (SELECT FROM devices WHERE digest = $1 AND user_id = $2 AND expires_at > plaudit_now())`, device[:], orNobody(account))
	return known, postgres.Wrap(err)
}

// OpenSession implements user.Store. It locks the account's row while it makes the
// session, so a change of the password either comes first and prevents the session,
// or comes later and ends it, and so that logins at once leave no more sessions and
// devices than one after the other.
func (s *Store) OpenSession(ctx context.Context, in user.NewSession, lifetime time.Duration) error {
	return postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var id string
		err := tx.GetContext(ctx, &id, `SELECT id FROM users WHERE id = $1 AND password_version = $2 FOR NO KEY UPDATE`, in.User, in.Password)
		if errors.Is(err, sql.ErrNoRows) {
			return user.NoAccount()
		}
		if err != nil {
			return err
		}
		var ended []string
		if err := tx.SelectContext(ctx, &ended, `
			WITH ended AS (
				DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY used_at DESC, id DESC OFFSET $2 - 1)
				RETURNING id, expires_at > plaudit_now() AS open
			), opened AS (
				INSERT INTO sessions (id, user_id, created_at, used_at, expires_at, family)
				VALUES ($3, $1, plaudit_now(), plaudit_now(), plaudit_now() + make_interval(secs => $4), $5)
				RETURNING id
			), token AS (
				INSERT INTO refresh_tokens (digest, session_id) SELECT $6, id FROM opened
			), forgotten AS (
				DELETE FROM devices
				WHERE digest IN (SELECT digest FROM devices WHERE user_id = $1 AND digest <> $7 ORDER BY used_at DESC, digest OFFSET $8 - 1)
			), known AS (
				INSERT INTO devices (digest, user_id, used_at, expires_at)
				VALUES ($7, $1, plaudit_now(), plaudit_now() + make_interval(secs => $9))
				ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at, expires_at = excluded.expires_at
			)
			SELECT id FROM ended WHERE open ORDER BY id`,
			in.User, user.MaxSessions, in.ID, lifetime.Seconds(), in.Token.Family[:], in.Token.Digest[:],
			in.Device[:], user.MaxDevices, user.DeviceLifetime.Seconds()); err != nil {
			return err
		}
		for _, session := range ended {
			if err := report(ctx, tx, userEvent{in.User, event.SessionRevoked, event.User(in.User), map[string]any{"session": session}}); err != nil {
				return err
			}
		}
		return nil
	})
}

func sessionEnded() error {
	return fault.New(fault.SessionEnded, "This session has ended. Log in again.")
}

// ofToken is the id of the session whose token is $1, or whose family is $2 if that
// token has no row.
const ofToken = `coalesce((SELECT session_id FROM refresh_tokens WHERE digest = $1), (SELECT id FROM sessions WHERE family = $2))`

// Rotate implements user.Store. It locks the account's row before anything else, so
// of two requests with the same token, the first exchanges it and the second finds
// it used.
func (s *Store) Rotate(ctx context.Context, used, next user.RefreshToken, lifetime time.Duration, limits func(session string) []user.Limit) (session string, u user.User, err error) {
	ended := false // for good: the transaction commits
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error {
		var account string
		err := tx.QueryRowContext(ctx, `
			SELECT id FROM users WHERE id = (SELECT user_id FROM sessions WHERE id = `+ofToken+`)
			FOR NO KEY UPDATE`, used.Digest[:], used.Family[:]).Scan(&account)
		var newest bool
		if err == nil {
			err = tx.QueryRowContext(ctx, `
				SELECT id, EXISTS (SELECT FROM refresh_tokens WHERE digest = $1 AND used_at IS NULL) FROM sessions
				WHERE id = `+ofToken+` AND expires_at > plaudit_now()
				FOR UPDATE`, used.Digest[:], used.Family[:]).Scan(&session, &newest)
		}
		if errors.Is(err, sql.ErrNoRows) {
			ended = true
			return countToken(ctx, tx, limits(""))
		}
		if err != nil {
			return err
		}
		if !newest {
			ended = true
			if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1`, session); err != nil {
				return err
			}
			// Either of the two requests may be the thief's.
			return report(ctx, tx, userEvent{account, event.SessionReused, user.Self, map[string]any{"session": session}})
		}
		if err := countToken(ctx, tx, limits(session)); err != nil {
			return err
		}
		// The token is recognized by the family from now on.
		if _, err := tx.ExecContext(ctx, `DELETE FROM refresh_tokens WHERE digest = $1`, used.Digest[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE sessions SET used_at = plaudit_now(), expires_at = plaudit_now() + make_interval(secs => $2), family = $3 WHERE id = $1`,
			session, lifetime.Seconds(), next.Family[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO refresh_tokens (digest, session_id) VALUES ($1, $2)`, next.Digest[:], session); err != nil {
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

// countToken counts a refresh or an exchange of an API key, as part of its
// transaction.
func countToken(ctx context.Context, tx *sqlx.Tx, limits []user.Limit) error {
	wait, err := countIn(ctx, tx, limits)
	if err == nil && wait > 0 {
		err = user.TooManyTokens(wait)
	}
	return err
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

// subject returns what a limit's attempts are stored under: a digest, or that of the
// subject and that of the client address behind it.
func subject(l user.Limit) []byte {
	of := sha256.Sum256([]byte(l.Subject))
	if l.From == "" {
		return of[:]
	}
	from := sha256.Sum256([]byte(l.From))
	return append(of[:], from[:]...)
}

// limitArgs returns the limits as the parallel arrays of the statements on attempts.
func limitArgs(limits []user.Limit) (names pq.StringArray, subjects pq.ByteaArray, places pq.Int64Array, windows, trickles pq.Float64Array) {
	for _, l := range limits {
		names = append(names, l.Name)
		subjects = append(subjects, subject(l))
		places = append(places, int64(l.Max))
		windows = append(windows, l.Window.Seconds())
		trickles = append(trickles, l.Trickle.Seconds())
	}
	return names, subjects, places, windows, trickles
}

// waitFor returns how long to wait until every limit has room again. A limit has
// room once the Max-th newest attempt in its window leaves the window, or once the
// newest is older than its Trickle.
func waitFor(ctx context.Context, db sqlx.QueryerContext, limits []user.Limit) (time.Duration, error) {
	names, subjects, places, windows, trickles := limitArgs(limits)
	var wait float64
	err := sqlx.GetContext(ctx, db, &wait, `
		SELECT coalesce(max(extract(epoch FROM
			CASE WHEN l.trickle > 0 THEN least(filling.at + make_interval(secs => l.seconds), newest.at + make_interval(secs => l.trickle))
			ELSE filling.at + make_interval(secs => l.seconds) END - plaudit_now())::float8), 0)
		FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::float8[], $5::float8[]) AS l (name, subject, places, seconds, trickle)
		CROSS JOIN LATERAL (
			SELECT at FROM attempts
			WHERE name = l.name AND subject = l.subject AND at > plaudit_now() - make_interval(secs => l.seconds)
			ORDER BY at DESC OFFSET greatest(l.places - 1, 0) LIMIT 1
		) AS filling
		CROSS JOIN LATERAL (SELECT max(at) AS at FROM attempts WHERE name = l.name AND subject = l.subject) AS newest
		WHERE l.places > 0`, names, subjects, places, windows, trickles)
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
func (s *Store) Count(ctx context.Context, limits ...user.Limit) (wait time.Duration, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		wait, err = countIn(ctx, tx, limits)
		return err
	})
	return wait, err
}

// countIn counts an attempt in a transaction. Attempts of the same subject wait for
// each other, from the check of the limit to the end of the transaction. They lock in
// the order of the limits' names, so they never deadlock; a transaction that also
// counts otherwise must lock rows either always before or always after it.
func countIn(ctx context.Context, tx *sqlx.Tx, limits []user.Limit) (wait time.Duration, err error) {
	limits = slices.SortedFunc(slices.Values(limits), func(a, b user.Limit) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range limits {
		key := sha256.Sum256(append([]byte(l.Name+" "), subject(l)...))
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(binary.BigEndian.Uint64(key[:]))); err != nil {
			return 0, err
		}
	}
	if wait, err = waitFor(ctx, tx, limits); err != nil || wait > 0 {
		return wait, err
	}
	names, subjects, _, _, _ := limitArgs(limits)
	_, err = tx.ExecContext(ctx, `
		INSERT INTO attempts (name, subject, at)
		SELECT name, subject, plaudit_now() FROM unnest($1::text[], $2::bytea[]) AS l (name, subject)`, names, subjects)
	return 0, err
}

// Fail implements user.Store. For an address without an account it runs the same
// statements, except for the event, which needs an account.
func (s *Store) Fail(ctx context.Context, account string, perAccount user.Limit, others ...user.Limit) (wait time.Duration, err error) {
	err = postgres.InTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if wait, err = countIn(ctx, tx, append(slices.Clone(others), perAccount)); err != nil || wait > 0 {
			return err
		}
		var failures int
		if err := tx.GetContext(ctx, &failures, `
			SELECT count(*) FROM attempts
			WHERE name = $1 AND subject = $2 AND at > plaudit_now() - make_interval(secs => $3)`,
			perAccount.Name, subject(perAccount), perAccount.Window.Seconds()); err != nil {
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
	return wait, err
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
		{`DELETE FROM devices WHERE digest IN (
			SELECT digest FROM devices WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM email_verifications WHERE digest IN (
			SELECT digest FROM email_verifications WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM password_resets WHERE digest IN (
			SELECT digest FROM password_resets WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM password_reset_requests WHERE user_id IN (
			SELECT user_id FROM password_reset_requests WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM new_emails WHERE user_id IN (
			SELECT user_id FROM new_emails WHERE expires_at < plaudit_now() - make_interval(secs => $1)
			LIMIT $2 FOR UPDATE SKIP LOCKED)`, 0},
		{`DELETE FROM former_emails WHERE user_id IN (
			SELECT user_id FROM former_emails WHERE expires_at < plaudit_now() - make_interval(secs => $1)
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
