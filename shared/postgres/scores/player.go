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
	err = s.db.GetContext(ctx, &doc, `SELECT change_player_v2($1, $2, $3, $4, $5, $6, $7)`,
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
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return score.PlayerOutcome{}, fmt.Errorf("read a changed player: %w", err)
	}
	if out.Stale != nil {
		now, err := parseBoard(out.Stale)
		return score.PlayerOutcome{Stale: &now}, err
	}
	return score.PlayerOutcome{Player: out.Player, Made: out.Made}, nil
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
	Key         string // of a list only: what orders it before the id
}

const playerColumns = `p.id, p.display_name, p.country, p.attributes, p.user_id AS user, p.status, p.note`

func (r playerRow) player(board string) (score.Player, error) {
	p := score.Player{
		Board: board, ID: r.ID, DisplayName: r.DisplayName, Country: r.Country, User: r.User, Status: r.Status, Note: r.Note,
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
