package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/score"
)

// Difference is a standing that is not what the ledger makes of it. Stored and
// Ledger are JSON objects of its fields, nil where there is no standing.
type Difference struct {
	Period  string     // `history`: the player's entries do not count from 1 without a gap
	StartAt *time.Time `db:"start_at"` // nil where the period has no beginning
	Player  string
	Stored  []byte
	Ledger  []byte
}

// thorough is for reading a whole board, which may take its time.
var thorough = limits{patience: time.Hour, settings: map[string]string{"statement_timeout": "3600000"}}

// CheckBoard makes the board's standings anew from its ledger and gives what
// differs, all as of one moment and while adds go on. It logs in as the user
// that owns the scores database; a fault of kind NotFound where there is no
// such board.
func CheckBoard(ctx context.Context, c Config, board string) ([]Difference, error) {
	db, err := open(c, thorough)
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
	var there bool
	if err := tx.GetContext(ctx, &there, `SELECT board_v1($1) IS NOT NULL`, board); err != nil {
		return nil, fmt.Errorf("look for board %s: %w", board, err)
	}
	if !there {
		return nil, score.NoBoard(board)
	}
	var found []Difference
	err := tx.SelectContext(ctx, &found, `SELECT period, start_at, player, stored, ledger FROM check_board_v1($1)`, board)
	if err != nil {
		return nil, fmt.Errorf("check board %s: %w", board, err)
	}
	return found, nil
}
