package users

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/event"
	"plaudit/shared/postgres"
)

// userEvent is an event of an account for the audit log. Its data contains ids and
// names of fields, never a personal value.
type userEvent struct {
	account string // the subject's id
	typ     event.Type
	actor   string
	data    map[string]any
}

// report puts an event of an account into the outbox, in the transaction of the
// change that it reports. It locks the account's row, whose changed_at makes every
// event of the account later than the one before it. A transaction that also locks
// rows of other tables must lock this row first.
func report(ctx context.Context, tx *sqlx.Tx, e userEvent) error {
	data, err := json.Marshal(e.data)
	if err != nil {
		return err
	}
	if e.data == nil {
		data = []byte("{}")
	}
	_, err = tx.ExecContext(ctx, `
		WITH account AS (
			UPDATE users SET changed_at = greatest(plaudit_now(), changed_at + interval '1 microsecond')
			WHERE id = $1
			RETURNING id, changed_at
		)
		INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent)
		SELECT 'event', $2, 'user/' || id, $4, $5, changed_at, $3 FROM account`,
		e.account, string(e.typ), postgres.TraceParent(ctx), e.actor, string(data))
	if err != nil {
		return fmt.Errorf("put %s into the outbox: %w", e.typ, err)
	}
	return nil
}

// reportProfile puts an account's public profile into the outbox, under a new
// version.
func reportProfile(ctx context.Context, tx *sqlx.Tx, account string) error {
	_, err := tx.ExecContext(ctx, `
		WITH account AS (
			UPDATE users SET version = version + 1, changed_at = greatest(plaudit_now(), changed_at + interval '1 microsecond')
			WHERE id = $1
			RETURNING id, version, display_name, country, changed_at
		)
		INSERT INTO outbox (kind, subject, data, recordedtime, traceparent)
		SELECT 'profile', 'user/' || id,
			json_build_object('id', id, 'version', version, 'display_name', display_name, 'country', country, 'erased', false),
			changed_at, $2
		FROM account`, account, postgres.TraceParent(ctx))
	if err != nil {
		return fmt.Errorf("put a profile into the outbox: %w", err)
	}
	return nil
}
