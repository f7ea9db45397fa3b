package scores

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"plaudit/shared/access"
	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// ChangePlayer implements score.Registry.
func (s *Store) ChangePlayer(ctx context.Context, b score.Board, player string, c score.PlayerChange, who access.Caller) (score.PlayerOutcome, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	patch, err := json.Marshal(c.Patch())
	if err != nil {
		return score.PlayerOutcome{}, err
	}
	var doc []byte
	err = change(ctx, s.db, &doc, `SELECT change_player_v2($1, $2, $3, $4, $5, $6, $7)`,
		b.ID, b.Version, player, string(patch), who.Actor(), who.User, postgres.TraceParent(ctx))
	if refusal, err := refusalOf(err); refusal != nil || err != nil {
		return score.PlayerOutcome{Refusal: refusal}, err
	}
	if err != nil {
		return score.PlayerOutcome{}, postgres.Wrap(fmt.Errorf("change player %s of board %s: %w", player, b.ID, err))
	}
	var out struct {
		Stale  json.RawMessage
		Player *score.Player
		Made   bool
		Wake   bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return score.PlayerOutcome{}, fmt.Errorf("read a changed player: %w", err)
	}
	s.wake(ctx, out.Wake)
	if out.Stale != nil {
		now, err := parseBoard(out.Stale)
		return score.PlayerOutcome{Stale: &now}, err
	}
	return score.PlayerOutcome{Player: out.Player, Made: out.Made}, nil
}

// erasedAtOnce is of how many entries a step of an erasure clears the metadata. Adds to
// the player wait for it, and it must end in time where each entry is read from the disk.
const erasedAtOnce = 200

// ErasePlayer implements score.Registry.
func (s *Store) ErasePlayer(ctx context.Context, b score.Board, player, after string, who access.Caller) (score.ErasureStep, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var doc []byte
	err := change(ctx, s.db, &doc, `SELECT erase_player_v1($1, $2, $3, nullif($4, '')::uuid, $5, $6, $7, $8)`,
		b.ID, b.Version, player, after, erasedAtOnce, who.Actor(), who.User, postgres.TraceParent(ctx))
	if err != nil {
		return score.ErasureStep{}, postgres.Wrap(fmt.Errorf("erase player %s of board %s: %w", player, b.ID, err))
	}
	if doc == nil {
		return score.ErasureStep{Missing: true}, nil
	}
	var out struct {
		Stale json.RawMessage
		More  bool
		After string
		Wake  bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return score.ErasureStep{}, fmt.Errorf("read a step of an erasure: %w", err)
	}
	s.wake(ctx, out.Wake)
	if out.Stale != nil {
		now, err := parseBoard(out.Stale)
		return score.ErasureStep{Stale: &now}, err
	}
	return score.ErasureStep{More: out.More, After: out.After}, nil
}

// playerRow is a player of a board.
type playerRow struct {
	ID          string
	DisplayName *string `db:"display_name"`
	Country     *string
	Attributes  []byte
	User        *string
	Status      score.Status
	Note        *string
	Proposed    *string `db:"proposed_user"`
	LinkState   *string `db:"link_state"`
	Key         string  // of a list only: what orders it before the id
}

const playerColumns = `p.id, p.display_name, p.country, p.attributes, p.user_id AS user, p.status, p.note, p.proposed_user, p.link_state`

func (r playerRow) player(board string) (score.Player, error) {
	p := score.Player{
		Board: board, ID: r.ID, DisplayName: r.DisplayName, Country: r.Country, User: r.User, Status: r.Status, Note: r.Note,
		ProposedUser: r.Proposed, LinkState: r.LinkState,
	}
	if err := json.Unmarshal(r.Attributes, &p.Attributes); err != nil {
		return score.Player{}, fmt.Errorf("read the attributes of %s: %w", r.ID, err)
	}
	return p, nil
}

// Player implements score.Tables.
func (s *Store) Player(ctx context.Context, board, player string) (score.Player, bool, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var row playerRow
	err := s.db.GetContext(ctx, &row, `
		SELECT `+playerColumns+`
		FROM boards b
		JOIN players p ON p.board = b.no
		WHERE b.id = $1 AND p.id = $2`, board, player)
	if errors.Is(err, sql.ErrNoRows) {
		return score.Player{}, false, nil
	}
	if err != nil {
		return score.Player{}, false, postgres.Wrap(fmt.Errorf("player %s of board %s: %w", player, board, err))
	}
	p, err := row.player(board)
	return p, err == nil, err
}
