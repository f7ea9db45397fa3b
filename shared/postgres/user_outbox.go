package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/trace"
)

// userEvent is an event of an account for the audit log. Data holds ids and
// names of fields, never a personal value.
type userEvent struct {
	account string // the subject's id
	kind    string // the part of the type after "plaudit.", e.g. "user.created"
	actor   string
	data    map[string]any
}

// tell puts an event of an account into the outbox, in the transaction of what
// it tells of. It locks the account's row, which hands out the times of
// events; whoever locks rows of other tables too has locked that one first.
func tell(ctx context.Context, tx *sqlx.Tx, e userEvent) error {
	data, err := json.Marshal(e.data)
	if err != nil {
		return err
	}
	if e.data == nil {
		data = []byte("{}")
	}
	_, err = tx.ExecContext(ctx, `
		WITH told AS (
			UPDATE users SET changed_at = greatest(plaudit_now(), changed_at + interval '1 microsecond')
			WHERE id = $1
			RETURNING id, changed_at
		)
		INSERT INTO outbox (kind, type, recordedtime, traceparent, subject, actor, data)
		SELECT 'event', $2, changed_at, $3, 'user/' || id, $4, $5 FROM told`,
		e.account, "plaudit."+e.kind, traceparent(ctx), e.actor, string(data))
	if err != nil {
		return fmt.Errorf("put %s into the outbox: %w", e.kind, err)
	}
	return nil
}

// tellProfile puts what everybody may see of an account into the outbox, under
// a new version.
func tellProfile(ctx context.Context, tx *sqlx.Tx, account string) error {
	_, err := tx.ExecContext(ctx, `
		WITH told AS (
			UPDATE users SET version = version + 1, changed_at = greatest(plaudit_now(), changed_at + interval '1 microsecond')
			WHERE id = $1
			RETURNING id, version, display_name, country, changed_at
		)
		INSERT INTO outbox (kind, recordedtime, traceparent, subject, data)
		SELECT 'profile', changed_at, $2, 'user/' || id,
			json_build_object('id', id, 'version', version, 'display_name', display_name, 'country', country, 'erased', false)
		FROM told`, account, traceparent(ctx))
	if err != nil {
		return fmt.Errorf("put a profile into the outbox: %w", err)
	}
	return nil
}

// traceparent is the request's, or a new one for what no request asked for.
func traceparent(ctx context.Context) string { return trace.Parent(trace.From(ctx).Parent) }
