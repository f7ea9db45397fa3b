// Package outbox reads the outbox of a database: for its relay, and for checks and
// restores of the audit log. Both databases have the same table and functions.
package outbox

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/audit"
	"plaudit/shared/event"
	"plaudit/shared/postgres"
)

const (
	// maxBytes is about how much data a batch has.
	maxBytes = 8_000_000
	// maxAhead is how many batches may begin after rows that failed, until these have
	// their turn again.
	maxAhead = 50
)

// Outbox is the outbox of one database. The role that the pool logs in as decides which
// methods work: the relay's takes and purges, db_check reads and restores.
type Outbox struct {
	db     *sqlx.DB
	source string
	entry  EntryReader
	passed atomic.Int64 // the id after which the next batch begins, see take
	ahead  atomic.Int64 // how many batches began after the oldest row, since one began with it
}

// Entry is what the ledger adds to the event of an entry.
type Entry struct {
	Subject, Actor string
	OccurredAt     time.Time
	Data           []byte
}

// EntryReader reads what internal.entry_data returned. batchSize is 0 for an entry that
// was written alone.
type EntryReader func(doc []byte, batchSize int) (Entry, error)

var (
	_ audit.Outbox = (*Outbox)(nil)
	_ audit.Source = (*Outbox)(nil)
)

// New returns the outbox over a pool. source is that of its events, and entry reads the
// entries; it is nil for a database without them.
func New(db *sqlx.DB, source string, entry EntryReader) *Outbox {
	return &Outbox{db: db, source: source, entry: entry}
}

// row is a row of the outbox, as the type outbox_row_v2 has it.
type row struct {
	ID           int64
	Kind         string
	Type         sql.NullString
	Subject      sql.NullString
	Actor        sql.NullString
	Notify       sql.NullString
	Data         []byte
	EntryData    []byte    `db:"entry_data"`
	RecordedTime time.Time `db:"recordedtime"`
	TraceParent  string    `db:"traceparent"`
	SubjectSeq   sql.NullInt64
	Extensions   []byte
	Enc          int
	BatchSize    sql.NullInt64 `db:"batch_size"`
	Restored     sql.NullBool
	SentAt       sql.NullTime `db:"sent_at"`
	Tag          string       // empty: of a row that was written before rows had tags
}

const columns = `id, kind, type, subject, actor, notify, data, entry_data, recordedtime, traceparent, subjectseq, extensions, enc, batch_size, restored, sent_at, coalesce(tag::text, '') AS tag`

// event returns the row's event. It depends only on what the transaction of the change has
// fixed, so that a row that is sent twice is the same event, byte for byte.
func (o *Outbox) event(r row) (event.Event, error) {
	id := event.RowID(r.ID, r.Tag)
	e := event.Event{
		ID: id, Source: o.source, Type: event.Type(r.Type.String), Subject: r.Subject.String, Actor: r.Actor.String, Notify: r.Notify.String,
		Time: r.RecordedTime.UTC(), RecordedTime: r.RecordedTime.UTC(), LogID: event.LogID(o.source, id), TraceParent: r.TraceParent,
		SubjectSeq: r.SubjectSeq.Int64, DataContentType: "application/json", DataSchema: schema(r), JSON: r.Data,
	}
	var err error
	if e.Extensions, err = extensions(r.Extensions); err != nil {
		return e, err
	}
	if r.Enc != event.Encoding {
		return e, fmt.Errorf("its encoding is %d, and this version of Plaudit knows %d", r.Enc, event.Encoding)
	}
	if r.Data == nil {
		if r.EntryData == nil || o.entry == nil {
			return e, errors.New("it has neither data nor an entry")
		}
		entry, err := o.entry(r.EntryData, int(r.BatchSize.Int64))
		if err != nil {
			return e, err
		}
		e.Subject, e.Actor, e.Time, e.JSON = entry.Subject, entry.Actor, entry.OccurredAt, entry.Data
	}
	return e, nil
}

// schema returns the dataschema of a row's event. Before rows had tags, it was relative.
func schema(r row) string {
	if r.Tag == "" {
		return "/docs/events/" + r.Type.String + ".json"
	}
	return event.Schema(event.Type(r.Type.String))
}

// extensions reads the attributes of an event, a JSON object or nil.
func extensions(text []byte) (found map[string]any, err error) {
	if text == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&found); err != nil {
		return nil, fmt.Errorf("its extensions cannot be read: %w", err)
	}
	for name, value := range found {
		if n, ok := value.(json.Number); ok {
			i, err := strconv.ParseInt(n.String(), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("its extension %s is not a small integer: %w", name, err)
			}
			found[name] = int32(i)
		}
	}
	return found, nil
}

// message renders a row. What panics is a fault of this program and not of the row, which
// waits until another version can send it.
func (o *Outbox) message(r row) (m audit.Message) {
	m = audit.Message{ID: r.ID, Restored: r.Restored.Bool}
	defer audit.Recover(&m.Err)
	var err error
	switch r.Kind {
	case "event":
		var e event.Event
		e, err = o.event(r)
		m.Event = &e
	case "profile":
		var p audit.Profile
		p, err = profile(r)
		m.Profile = &p
	default:
		err = fmt.Errorf("its kind %q is neither event nor profile", r.Kind)
	}
	if err != nil {
		return audit.Message{ID: r.ID, Restored: r.Restored.Bool, Fault: err.Error()}
	}
	return m
}

// keep renders an event's row for a check, which goes on after a panic, too.
func (o *Outbox) keep(r row) audit.Kept {
	id := event.RowID(r.ID, r.Tag)
	k := audit.Kept{ID: r.ID, Event: event.Event{ID: id, Source: o.source, LogID: event.LogID(o.source, id), RecordedTime: r.RecordedTime.UTC()}}
	if r.SentAt.Valid {
		k.Sent = r.SentAt.Time.UTC()
	}
	err := func() (err error) {
		defer audit.Recover(&err)
		k.Event, err = o.event(r)
		return err
	}()
	if err != nil {
		k.Fault = err.Error()
	}
	return k
}

func profile(r row) (audit.Profile, error) {
	var d struct {
		ID          string  `json:"id"`
		Version     int64   `json:"version"`
		DisplayName *string `json:"display_name"`
		Country     *string `json:"country"`
		Erased      bool    `json:"erased"`
	}
	if err := json.Unmarshal(r.Data, &d); err != nil {
		return audit.Profile{}, fmt.Errorf("its profile cannot be read: %w", err)
	}
	return audit.Profile{User: d.ID, Version: d.Version, DisplayName: d.DisplayName, Country: d.Country, Erased: d.Erased, TraceParent: r.TraceParent}, nil
}

// Take implements audit.Outbox. Its statements do not end with the context, so that a
// message that was sent before is marked.
func (o *Outbox) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	n, err := o.take(ctx, limit, send)
	if err != nil {
		return 0, postgres.Wrap(fmt.Errorf("relay the outbox of %s: %w", o.source, err))
	}
	return n, nil
}

func (o *Outbox) take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	// Nothing else bounds the wait for a connection of a full pool.
	waiting, stop := postgres.Bounded(ctx)
	defer stop()
	conn, err := o.db.Connx(waiting)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	lasting := context.WithoutCancel(ctx)
	tx, err := conn.BeginTxx(lasting, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // does nothing after a commit
	// A batch of which nothing could be sent is passed, so that rows which fail for a long
	// time do not hold up those behind them. At the end they have their turn again.
	after := o.passed.Load()
	if after > 0 && o.ahead.Add(1) > maxAhead {
		after = 0
	}
	rows, err := oldest(lasting, tx, after, limit)
	if err == nil && len(rows) == 0 && after > 0 {
		after = 0
		rows, err = oldest(lasting, tx, after, limit)
	}
	if after == 0 {
		o.passed.Store(0)
		o.ahead.Store(0)
	}
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	// Empty, because nil would be null.
	sent, failed, reasons := pq.Int64Array{}, pq.Int64Array{}, pq.StringArray{}
	messages := make([]audit.Message, len(rows))
	for i, r := range rows {
		messages[i] = o.message(r)
	}
	errs := send(ctx, messages)
	if len(errs) != len(messages) {
		return 0, fmt.Errorf("%d messages were sent with %d results", len(messages), len(errs))
	}
	for i, err := range errs {
		var never audit.Unwritable
		switch {
		case messages[i].Fault != "":
			failed, reasons = append(failed, messages[i].ID), append(reasons, messages[i].Fault)
		case err == nil:
			sent = append(sent, messages[i].ID)
		case errors.As(err, &never):
			failed, reasons = append(failed, messages[i].ID), append(reasons, never.Reason)
		}
	}
	if after > 0 || len(sent)+len(failed) == 0 {
		o.passed.Store(rows[len(rows)-1].ID)
	}
	if _, err := tx.ExecContext(lasting, `SELECT outbox_done_v1($1, $2, $3)`, sent, failed, reasons); err != nil {
		return 0, err
	}
	return len(rows), tx.Commit()
}

// oldest locks and returns the oldest rows after an id that wait.
func oldest(ctx context.Context, tx *sqlx.Tx, after int64, limit int) (rows []row, err error) {
	err = tx.SelectContext(ctx, &rows, `SELECT `+columns+` FROM outbox_take_v2($1, $2, $3, $4)`, event.Encoding, after, limit, maxBytes)
	return rows, err
}

// Depth implements audit.Outbox.
func (o *Outbox) Depth(ctx context.Context, limit int) (waiting int, oldest time.Duration, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var seconds float64
	err = o.db.QueryRowContext(ctx, `SELECT waiting, extract(epoch FROM oldest)::float8 FROM outbox_depth_v1($1)`, limit).Scan(&waiting, &seconds)
	if err != nil {
		return 0, 0, postgres.Wrap(fmt.Errorf("count the outbox of %s: %w", o.source, err))
	}
	return waiting, time.Duration(seconds * float64(time.Second)), nil
}

// Purge implements audit.Outbox.
func (o *Outbox) Purge(ctx context.Context, keep time.Duration, limit int) (n int, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	if err := o.db.GetContext(ctx, &n, `SELECT outbox_purge_v1(make_interval(secs => $1), $2)`, keep.Seconds(), limit); err != nil {
		return 0, postgres.Wrap(fmt.Errorf("delete sent rows of the outbox of %s: %w", o.source, err))
	}
	return n, nil
}

// Kept implements audit.Source.
func (o *Outbox) Kept(ctx context.Context, after int64, limit int) ([]audit.Kept, error) {
	return o.kept(ctx, after, nil, limit)
}

// KeptByID implements audit.Source.
func (o *Outbox) KeptByID(ctx context.Context, ids []int64) ([]audit.Kept, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return o.kept(ctx, 0, ids, 0)
}

func (o *Outbox) kept(ctx context.Context, after int64, ids pq.Int64Array, limit int) ([]audit.Kept, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var rows []row
	if err := o.db.SelectContext(ctx, &rows, `SELECT `+columns+` FROM outbox_kept_v2($1, $2, $3)`, after, ids, limit); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("read the outbox of %s: %w", o.source, err))
	}
	found := make([]audit.Kept, len(rows))
	for i, r := range rows {
		found[i] = o.keep(r)
	}
	return found, nil
}

// LastID implements audit.Source.
func (o *Outbox) LastID(ctx context.Context) (last int64, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	err = o.db.GetContext(ctx, &last, `SELECT coalesce((SELECT id FROM outbox WHERE kind = 'event' ORDER BY id DESC LIMIT 1), 0)`)
	if err != nil {
		return 0, postgres.Wrap(fmt.Errorf("read the newest row of the outbox of %s: %w", o.source, err))
	}
	return last, nil
}

// Failed implements audit.Source.
func (o *Outbox) Failed(ctx context.Context, after int64, limit int) ([]audit.Failed, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var found []audit.Failed
	err := o.db.SelectContext(ctx, &found, `SELECT id, coalesce(type, '') AS type, reason FROM outbox_failed WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, postgres.Wrap(fmt.Errorf("read the failed rows of %s: %w", o.source, err))
	}
	return found, nil
}

// Restore implements audit.Source.
func (o *Outbox) Restore(ctx context.Context, after int64, from, to time.Time, limit int) (marked int, last int64, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	at := func(t time.Time) sql.NullTime { return sql.NullTime{Time: t, Valid: !t.IsZero()} }
	err = o.db.QueryRowContext(ctx, `SELECT marked, last FROM outbox_restore_v1($1, $2, $3, $4)`, after, at(from), at(to), limit).Scan(&marked, &last)
	if err != nil {
		return 0, 0, postgres.Wrap(fmt.Errorf("restore from the outbox of %s: %w", o.source, err))
	}
	return marked, last, nil
}

// Restoring implements audit.Source.
func (o *Outbox) Restoring(ctx context.Context, limit int) (n int, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	err = o.db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM outbox WHERE sent_at IS NULL AND restored LIMIT $1) r`, limit)
	if err != nil {
		return 0, postgres.Wrap(fmt.Errorf("count what is restored from the outbox of %s: %w", o.source, err))
	}
	return n, nil
}

// Retry implements audit.Source.
func (o *Outbox) Retry(ctx context.Context, after int64, limit int) (queued int, last int64, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	err = o.db.QueryRowContext(ctx, `SELECT queued, last FROM outbox_retry_v1($1, $2)`, after, limit).Scan(&queued, &last)
	if pq.As(err, pqerror.UndefinedFunction) != nil {
		return 0, 0, fmt.Errorf("the database of %s is that of an earlier version, which cannot queue failed rows again: migrate it with `plaudit setup` first: %w", o.source, err)
	}
	if err != nil {
		return 0, 0, postgres.Wrap(fmt.Errorf("queue the failed rows of %s again: %w", o.source, err))
	}
	return queued, last, nil
}

// Waiting implements audit.Source.
func (o *Outbox) Waiting(ctx context.Context, limit int) (n int, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	err = o.db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM outbox WHERE sent_at IS NULL LIMIT $1) w`, limit)
	if err != nil {
		return 0, postgres.Wrap(fmt.Errorf("count what waits in the outbox of %s: %w", o.source, err))
	}
	return n, nil
}
