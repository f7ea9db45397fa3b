package scores

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// parseBoard reads a board as internal.board_json writes it.
func parseBoard(doc []byte) (score.Board, error) {
	var b score.Board
	if err := json.Unmarshal(doc, &b); err != nil {
		return score.Board{}, fmt.Errorf("read a board: %w", err)
	}
	b.CreatedAt = b.CreatedAt.UTC()
	if b.OpenedAt != nil {
		at := b.OpenedAt.UTC()
		b.OpenedAt = &at
	}
	return b, nil
}

// Board implements score.Directory, in one round trip.
func (s *Store) Board(ctx context.Context, id string, v score.Visitor) (score.Found, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var row struct {
		Doc         []byte
		Linked, Own bool
	}
	err := s.db.GetContext(ctx, &row, `SELECT doc, linked, own FROM board_v2($1, nullif($2, ''), $3, $4)`, id, v.User, v.ReadsAll, v.Own)
	if err != nil {
		return score.Found{}, postgres.Wrap(fmt.Errorf("board %s: %w", id, err))
	}
	if row.Doc == nil {
		return score.Found{}, score.NoBoard(id)
	}
	b, err := parseBoard(row.Doc)
	return score.Found{Board: b, Linked: row.Linked, Own: row.Own}, err
}

// Create implements score.Registry.
func (s *Store) Create(ctx context.Context, c score.Creation) (score.CreationOutcome, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	in, err := json.Marshal(c.Board)
	if err != nil {
		return score.CreationOutcome{}, err
	}
	limit := func(n int) sql.NullInt64 { return sql.NullInt64{Int64: int64(n), Valid: n > 0} }
	var doc []byte
	err = change(ctx, s.db, &doc, `SELECT create_board_v2($1, $2, $3, $4, $5, $6)`,
		string(in), c.User, limit(c.Boards), limit(c.Refusals), c.Actor, postgres.TraceParent(ctx))
	if err != nil {
		return score.CreationOutcome{}, postgres.Wrap(fmt.Errorf("create board %s: %w", c.Board.ID, err))
	}
	var out struct {
		Board json.RawMessage
		Wait  float64 // seconds
		Full  bool
		Taken bool
		Wake  bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return score.CreationOutcome{}, fmt.Errorf("read a created board: %w", err)
	}
	s.wake(ctx, out.Wake)
	if out.Board == nil {
		return score.CreationOutcome{Wait: time.Duration(out.Wait * float64(time.Second)), Full: out.Full, Taken: out.Taken}, nil
	}
	b, err := parseBoard(out.Board)
	return score.CreationOutcome{Board: b}, err
}

// Change implements score.Registry.
func (s *Store) Change(ctx context.Context, c score.Change) (score.ChangeOutcome, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	board, err := json.Marshal(c.Board)
	if err != nil {
		return score.ChangeOutcome{}, err
	}
	changes, err := json.Marshal(c.Changes)
	if err != nil {
		return score.ChangeOutcome{}, err
	}
	var doc []byte
	err = change(ctx, s.db, &doc, `SELECT change_board_v1($1, $2, $3, $4, $5)`,
		string(board), string(changes), c.NoEntries, c.Actor, postgres.TraceParent(ctx))
	if err != nil {
		return score.ChangeOutcome{}, postgres.Wrap(fmt.Errorf("change board %s: %w", c.Board.ID, err))
	}
	var out struct {
		Board      json.RawMessage
		Stale      bool
		HasEntries bool `json:"has_entries"`
		HasPlayers bool `json:"has_players"`
		Wake       bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return score.ChangeOutcome{}, fmt.Errorf("read a changed board: %w", err)
	}
	s.wake(ctx, out.Wake)
	b, err := parseBoard(out.Board)
	return score.ChangeOutcome{Board: b, Stale: out.Stale, HasEntries: out.HasEntries, HasPlayers: out.HasPlayers}, err
}
