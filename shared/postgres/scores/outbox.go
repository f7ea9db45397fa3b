package scores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/audit"
	"plaudit/shared/crash"
	"plaudit/shared/event"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/outbox"
	"plaudit/shared/score"
)

var (
	_ audit.Outbox  = (*Store)(nil)
	_ audit.Lease   = (*Store)(nil)
	_ audit.Source  = (*Store)(nil)
	_ audit.Ledger  = (*Store)(nil)
	_ audit.Players = (*Store)(nil)
)

// wakeTime bounds a wake, for which the client of a request waits.
const wakeTime = 300 * time.Millisecond

// Waking returns the store with a waker of the relay. Without one, changes wait for the
// relay's schedule.
func (s *Store) Waking(w audit.Waker) *Store {
	with := *s
	with.waker = w
	return &with
}

// wake wakes the relay if it is due, after the commit. A failure is only logged: the
// change is made, and the relay's schedule sends it.
func (s *Store) wake(ctx context.Context, due bool) {
	if !due || s.waker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeTime)
	defer cancel()
	if err := s.waker.Wake(ctx); err != nil {
		slog.WarnContext(ctx, "the relay could not be woken; its schedule will run it", "error", err)
	}
	crash.At(crash.AfterWake)
}

type getter func(ctx context.Context, db sqlx.QueryerContext, to any, query string, args ...any) error

// change is a getter for a statement that writes the outbox, and is a transaction of its
// own: the server commits it, and the answer can be lost.
func change(ctx context.Context, db sqlx.QueryerContext, to any, query string, args ...any) error {
	crash.At(crash.BeforeCommit)
	err := sqlx.GetContext(ctx, db, to, query, args...)
	if err == nil {
		crash.At(crash.AfterCommit)
	}
	return err
}

// Extend implements audit.Lease.
func (s *Store) Extend(ctx context.Context, by time.Duration) (pollFor time.Duration, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var seconds float64
	if err := s.db.GetContext(ctx, &seconds, `SELECT extract(epoch FROM extend_lease_v1(make_interval(secs => $1)))::float8`, by.Seconds()); err != nil {
		return 0, postgres.Wrap(fmt.Errorf("extend the relay's lease: %w", err))
	}
	return time.Duration(seconds*float64(time.Second)) + postgres.LongestWrite, nil
}

// entryData is the data of an entry's event under event.Encoding 1: the entry as the API
// shows it, without its metadata. Events are signed and compared byte for byte, so that
// fields, their names and their order are fixed; a change needs another encoding.
type entryData struct {
	ID         string       `json:"id"`
	Board      string       `json:"board"`
	Player     string       `json:"player"`
	Points     int64        `json:"points"`
	Reason     *string      `json:"reason"`
	Note       *string      `json:"note"`
	Kind       score.Kind   `json:"kind"`
	Actor      string       `json:"actor"`
	Seq        int64        `json:"seq"`
	Tiebreak   int64        `json:"tiebreak"`
	OccurredAt time.Time    `json:"occurred_at"`
	RecordedAt time.Time    `json:"recorded_at"`
	Batch      string       `json:"batch,omitempty"`
	BatchSize  int          `json:"batch_size,omitempty"`
	Reverses   string       `json:"reverses,omitempty"`
	Standings  []creditData `json:"standings"`
}

type creditData struct {
	Period string     `json:"period"`
	Start  *time.Time `json:"start"`
	Score  *int64     `json:"score"`
}

// readEntry implements outbox.EntryReader.
func readEntry(doc []byte, batchSize int) (outbox.Entry, error) {
	var d entryDoc
	if err := json.Unmarshal(doc, &d); err != nil {
		return outbox.Entry{}, fmt.Errorf("its entry cannot be read: %w", err)
	}
	data := entryData{
		ID: d.ID, Board: d.Board, Player: d.Player, Points: d.Points, Reason: textOrNil(d.Reason), Note: textOrNil(d.Note), Kind: d.Kind, Actor: d.Actor,
		Seq: d.Seq, Tiebreak: d.Tiebreak, OccurredAt: d.OccurredAt.UTC(), RecordedAt: d.RecordedAt.UTC(), Batch: d.Batch, BatchSize: batchSize,
		Reverses: d.Reverses, Standings: make([]creditData, len(d.Standings)),
	}
	for i, c := range d.Standings {
		data.Standings[i] = creditData{Period: c.Period, Score: c.Score}
		if c.Start != nil {
			start := c.Start.UTC()
			data.Standings[i].Start = &start
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return outbox.Entry{}, err
	}
	return outbox.Entry{Subject: event.Player(d.Board, d.Player), Actor: d.Actor, OccurredAt: data.OccurredAt, Data: text}, nil
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Orphans implements audit.Ledger.
func (s *Store) Orphans(ctx context.Context, after string, limit int) (found []audit.Orphan, last string, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	if after == "" {
		after = "00000000-0000-0000-0000-000000000000"
	}
	var rows []struct {
		EntryData []byte `db:"entry_data"`
		Last      *string
	}
	if err := s.db.SelectContext(ctx, &rows, `SELECT entry_data, last FROM entries_without_rows_v1($1, $2)`, after, limit); err != nil {
		return nil, "", postgres.Wrap(fmt.Errorf("read the entries without rows: %w", err))
	}
	for _, r := range rows {
		if r.Last != nil {
			last = *r.Last
			continue
		}
		var d entryDoc
		if err := json.Unmarshal(r.EntryData, &d); err != nil {
			return nil, "", fmt.Errorf("read an entry without a row: %w", err)
		}
		e, err := readEntry(r.EntryData, 0)
		if err != nil {
			return nil, "", err
		}
		found = append(found, audit.Orphan{Entry: d.ID, Event: event.Event{
			Source: event.Scores, Type: event.OfEntry(string(d.Kind)), Subject: e.Subject, Actor: e.Actor, Time: e.OccurredAt,
			RecordedTime: d.RecordedAt.UTC(), DataContentType: "application/json", JSON: e.Data,
		}})
	}
	return found, last, nil
}

const (
	// followAtOnce is how many players a step of ApplyProfile changes. Adds to them wait.
	followAtOnce = 100
	// maxSteps ends an ApplyProfile that makes no progress. A user with a million entries
	// takes 5,000.
	maxSteps = 1_000_000
)

// ApplyProfile implements audit.Players.
func (s *Store) ApplyProfile(ctx context.Context, p audit.Profile) error {
	parent := p.TraceParent
	if parent == "" {
		parent = postgres.TraceParent(ctx)
	}
	step := func(ctx context.Context, place *string) (doc []byte, err error) {
		ctx, cancel := postgres.Bounded(ctx)
		defer cancel()
		if p.Erased {
			err = change(ctx, s.db, &doc, `SELECT erase_user_players_v1($1, $2, $3, $4, $5)`, p.User, p.Version, parent, place, erasedAtOnce)
		} else {
			err = change(ctx, s.db, &doc, `SELECT sync_profile_v1($1, $2, $3, $4, $5, $6, $7)`, p.User, p.Version, p.DisplayName, p.Country, parent, place, followAtOnce)
		}
		return doc, err
	}
	var place *string
	for range maxSteps {
		doc, err := step(ctx, place)
		if err != nil {
			return postgres.Wrap(fmt.Errorf("apply a profile: %w", err))
		}
		var out struct {
			Place json.RawMessage
			Wake  bool
		}
		if err := json.Unmarshal(doc, &out); err != nil {
			return fmt.Errorf("read a step of a profile: %w", err)
		}
		s.wake(ctx, out.Wake)
		if out.Place == nil || string(out.Place) == "null" {
			return nil
		}
		next := string(out.Place)
		place = &next
	}
	return errors.New("apply a profile: it does not end")
}
