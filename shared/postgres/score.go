package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/score"
	"plaudit/shared/trace"
)

// Scores keeps boards, entries and standings in the scores database. It owns
// the tables of migrations/scores. What a method may do depends on the role
// that its pool logs in as: score_add adds, score_query reads, board_admin
// makes and changes boards.
type Scores struct{ db *sqlx.DB }

// NewScores gives the store over a pool.
func NewScores(db *sqlx.DB) *Scores { return &Scores{db} }

var (
	_ score.Ledger   = (*Scores)(nil)
	_ score.Tables   = (*Scores)(nil)
	_ score.Registry = (*Scores)(nil)
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
	return e, nil
}

// notWritten is the SQLSTATE with which add_entries_v1 ends a transaction for a
// reason that the client may know: the message is the cause, the detail the
// item.
const notWritten pqerror.Code = "PA409"

// Add implements score.Ledger, in one round trip.
func (s *Scores) Add(ctx context.Context, a score.Addition) (score.Outcome, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	boards := slices.Sorted(maps.Keys(a.Versions))
	versions := make([]int64, len(boards))
	for i, id := range boards {
		versions[i] = a.Versions[id]
	}
	items, runs, err := itemRecords(a.Items, boards)
	if err != nil {
		return score.Outcome{}, err
	}
	var rows []struct {
		Item    sql.NullInt64
		Outcome string
		Body    []byte
		ID      sql.NullString
		Player  sql.NullString
		Points  sql.NullInt64
		Batch   sql.NullString
	}
	err = s.db.SelectContext(ctx, &rows, `
		SELECT item, outcome, body, id, player, points, batch
		FROM add_entries_v1($1, $2, $3, $4, $5, $6, nullif($7, '')::uuid)`,
		pq.Array(boards), pq.Array(versions), pq.Array(items), pq.Array(runs), a.Actor, trace.From(ctx).Parent, a.Batch)
	if err != nil {
		var e *pq.Error
		if errors.As(err, &e) && e.Code == notWritten {
			item, err := strconv.Atoi(e.Detail)
			return score.Outcome{Refusal: &score.Refusal{Items: []int{item}, Reason: score.Cause(e.Message)}}, err
		}
		return score.Outcome{}, wrap(fmt.Errorf("add %d entries: %w", len(a.Items), err))
	}
	var out score.Outcome
	for _, row := range rows {
		switch row.Outcome {
		case "stale":
			b, err := parseBoard(row.Body)
			if err != nil {
				return score.Outcome{}, err
			}
			out.Stale = append(out.Stale, b)
		case "added", "replayed":
			replayed := row.Outcome == "replayed"
			if a.Batch != "" {
				out.Entries = append(out.Entries, score.BatchEntry{
					ID: row.ID.String, Board: a.Items[row.Item.Int64].Board, Player: row.Player.String, Points: row.Points.Int64,
					Batch: row.Batch.String, Replayed: replayed,
				})
				continue
			}
			e, err := parseEntry(row.Body)
			if err != nil {
				return score.Outcome{}, err
			}
			out.Added = &score.Added{Entry: e, Replayed: replayed}
		default:
			if out.Refusal == nil {
				out.Refusal = &score.Refusal{Reason: score.Cause(row.Outcome)}
			}
			out.Refusal.Items = append(out.Refusal.Items, int(row.Item.Int64))
		}
	}
	if out.Stale == nil && out.Refusal == nil && out.Added == nil && len(out.Entries) != len(a.Items) {
		return score.Outcome{}, fmt.Errorf("add %d entries: %d came back", len(a.Items), len(out.Entries))
	}
	return out, nil
}
