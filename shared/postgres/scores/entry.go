// Package scores keeps boards, players, entries and standings in the scores
// database. The tables are in migrate/scores/migrations. The SQL functions that
// write them are in migrate/scores/functions, one a file.
package scores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/audit"
	"plaudit/shared/event"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/outbox"
	"plaudit/shared/score"
)

// Store is the scores database. The role that the pool logs in as decides which
// methods work: score_add adds, score_query reads, board_admin creates and changes
// boards, player_sync follows the users' profiles, period_close announces closed runs.
type Store struct {
	*outbox.Outbox // for outbox_relay and db_check

	db    *sqlx.DB
	waker audit.Waker // nil: the relay's schedule sends the changes
}

// New returns the store over a pool.
func New(db *sqlx.DB) *Store {
	return &Store{Outbox: outbox.New(db, event.Scores, readEntry), db: db}
}

var (
	_ score.Ledger   = (*Store)(nil)
	_ score.Tables   = (*Store)(nil)
	_ score.Registry = (*Store)(nil)
)

// entryDoc is a row of the view ledger.
type entryDoc struct {
	ID         string     `json:"id"`
	Board      string     `json:"board"`
	Player     string     `json:"player"`
	Seq        int64      `json:"seq"`
	Kind       score.Kind `json:"kind"`
	Points     int64      `json:"points"`
	Tiebreak   int64      `json:"tiebreak"`
	Reason     string     `json:"reason"`
	Note       string     `json:"note"`
	Actor      string     `json:"actor"`
	OccurredAt time.Time  `json:"occurred_at"`
	RecordedAt time.Time  `json:"recorded_at"`
	Batch      string     `json:"batch"`
	Reverses   string     `json:"reverses"`
	Metadata   string     `json:"metadata"`
	Standings  []struct {
		Period string     `json:"period"`
		Start  *time.Time `json:"start"`
		Score  *int64     `json:"score"`
	} `json:"standings"`
}

func parseEntry(doc []byte) (score.Entry, error) {
	var d entryDoc
	if err := json.Unmarshal(doc, &d); err != nil {
		return score.Entry{}, fmt.Errorf("read an entry: %w", err)
	}
	return d.entry(), nil
}

func (d entryDoc) entry() score.Entry {
	e := score.Entry{
		ID: d.ID, Board: d.Board, Player: d.Player, Seq: d.Seq, Kind: d.Kind, Points: d.Points, Tiebreak: d.Tiebreak,
		Reason: d.Reason, Note: d.Note, Actor: d.Actor, OccurredAt: d.OccurredAt.UTC(), RecordedAt: d.RecordedAt.UTC(),
		Batch: d.Batch, Reverses: d.Reverses, Metadata: d.Metadata,
	}
	for _, s := range d.Standings {
		c := score.Credit{Period: s.Period, Score: s.Score}
		if s.Start != nil {
			c.Start = s.Start.UTC()
		}
		e.Standings = append(e.Standings, c)
	}
	return e
}

// notWritten is the SQLSTATE with which internal.refuse ends a transaction.
const notWritten pqerror.Code = "PA409"

// many is the number of items from which an addition may take longer than other
// statements: each can bring a profile and credit eight runs.
const many = 100

// Add implements score.Ledger, in one round trip; many items take four.
func (s *Store) Add(ctx context.Context, a score.Addition) (score.Outcome, error) {
	boards := slices.Sorted(maps.Keys(a.Versions))
	items, runs, err := itemRecords(a.Items, a.Versions)
	if err != nil {
		return score.Outcome{}, err
	}
	renames := []int64{}
	for i, item := range a.Items {
		if item.Rename {
			renames = append(renames, int64(i))
		}
	}
	var doc []byte
	call := func(ctx context.Context, db sqlx.QueryerContext, get getter) error {
		return get(ctx, db, &doc, `SELECT add_entries_v3($1, $2, $3, $4, $5, $6, nullif($7, '')::uuid, $8)`,
			pq.Array(boards), pq.Array(items), pq.Array(runs), a.Actor, a.User, postgres.TraceParent(ctx), a.Batch, pq.Array(renames))
	}
	if len(a.Items) >= many {
		err = postgres.InLongTx(ctx, s.db, func(ctx context.Context, tx *sqlx.Tx) error { return call(ctx, tx, sqlx.GetContext) })
	} else {
		ctx, cancel := postgres.Bounded(ctx)
		defer cancel()
		err = call(ctx, s.db, change)
	}
	if refusal, err := refusalOf(err); refusal != nil || err != nil {
		return score.Outcome{Refusal: refusal}, err
	}
	if err != nil {
		return score.Outcome{}, postgres.Wrap(fmt.Errorf("add %d entries: %w", len(a.Items), err))
	}
	out, wake, err := parseOutcome(a, doc)
	s.wake(ctx, wake)
	if err != nil {
		return score.Outcome{}, fmt.Errorf("add %d entries: %w", len(a.Items), err)
	}
	return out, nil
}

// refusalOf returns the refusal if the error is the one with which internal.refuse ends
// a transaction, else nil. Its error means that a refusal cannot be read.
func refusalOf(err error) (*score.Refusal, error) {
	var e *pq.Error
	if !errors.As(err, &e) || e.Code != notWritten {
		return nil, nil
	}
	r := &score.Refusal{Reason: score.Cause(e.Message)}
	switch r.Reason {
	case score.NameDiffers:
		r.Name = e.Column
	case score.TooManyProposals:
		seconds, err := strconv.Atoi(e.Column)
		if err != nil {
			return nil, fmt.Errorf("a refusal for %q seconds: %w", e.Column, err)
		}
		r.RetryAfter = time.Duration(seconds) * time.Second
	}
	for text := range strings.SplitSeq(e.Detail, ",") {
		item, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("a refusal of item %q: %w", e.Detail, err)
		}
		r.Items = append(r.Items, item)
	}
	return r, nil
}

// parseOutcome reads what add_entries_v3 returns.
func parseOutcome(a score.Addition, doc []byte) (out score.Outcome, wake bool, err error) {
	var d struct {
		Stale    []json.RawMessage
		Cause    score.Cause
		Items    []int
		Entry    *entryDoc
		Replayed bool
		Wake     bool
		Batch    string
		Entries  []struct {
			Item     int
			ID       string
			Player   string
			Points   int64
			Batch    string
			Replayed bool
		}
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return score.Outcome{}, false, err
	}
	switch {
	case d.Stale != nil:
		for _, doc := range d.Stale {
			b, err := parseBoard(doc)
			if err != nil {
				return score.Outcome{}, false, err
			}
			out.Stale = append(out.Stale, b)
		}
	case d.Cause != "":
		out.Refusal = &score.Refusal{Items: d.Items, Reason: d.Cause}
	case d.Entry != nil:
		out.Added = &score.Added{Entry: d.Entry.entry(), Replayed: d.Replayed}
	case d.Batch != "":
		out.Entries = make([]score.BatchEntry, len(a.Items))
		for i, item := range a.Items {
			out.Entries[i] = score.BatchEntry{ID: item.ID, Board: item.Board, Player: item.Player, Points: item.Points, Batch: d.Batch}
		}
		for _, e := range d.Entries { // those that differ from what was sent
			out.Entries[e.Item] = score.BatchEntry{
				ID: e.ID, Board: a.Items[e.Item].Board, Player: e.Player, Points: e.Points, Batch: e.Batch, Replayed: e.Replayed,
			}
		}
	default:
		return score.Outcome{}, false, fmt.Errorf("add_entries_v3 returned %.100s", doc)
	}
	return out, d.Wake, nil
}
