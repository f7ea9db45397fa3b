package scores

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// Attributes is the Period of a Difference between a player's attributes, as
// Ledger, and the copies of the board's categories.
const Attributes = "attributes"

// Difference is a standing that differs from what the ledger combines to. Stored
// and Ledger are JSON objects of its fields, nil if there is no standing.
type Difference struct {
	Period  string     // or `history`: the player's entries are not numbered 1, 2, 3 …; or Attributes
	StartAt *time.Time `db:"start_at"` // nil if the run has no beginning
	Player  string     // empty: the run itself differs, from what its board has
	Stored  []byte
	Ledger  []byte
}

// thorough allows the time that reading a whole board takes.
var thorough = postgres.Limits{Patience: time.Hour, Settings: map[string]string{"statement_timeout": "3600000"}}

// CheckBoard recomputes the board's standings from its ledger and returns the
// differences, all as of one moment. Adds can continue meanwhile. It logs in as the user
// that owns the scores database. An unknown board is a fault of kind NotFound.
func CheckBoard(ctx context.Context, c postgres.Config, board string) ([]Difference, error) {
	db, err := postgres.OpenWithin(c, thorough)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tx, err := db.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // it wrote nothing
	return checkBoard(ctx, tx, board)
}

func checkBoard(ctx context.Context, tx *sqlx.Tx, board string) ([]Difference, error) {
	var exists bool
	if err := tx.GetContext(ctx, &exists, `SELECT board_v1($1) IS NOT NULL`, board); err != nil {
		return nil, fmt.Errorf("look for board %s: %w", board, err)
	}
	if !exists {
		return nil, score.NoBoard(board)
	}
	var found []Difference
	err := tx.SelectContext(ctx, &found, `SELECT period, start_at, player, stored, ledger FROM check_board_v1($1)`, board)
	if err != nil {
		return nil, fmt.Errorf("check board %s: %w", board, err)
	}
	return found, nil
}
