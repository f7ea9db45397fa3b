package score

import (
	"context"
	"regexp"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Status says whether a player counts.
type Status string

// The statuses. Only ranked players have a rank.
const (
	Ranked Status = "ranked"
	Hidden Status = "hidden" // not there for others than writers
)

// Standing is a player's score in one period of a board.
type Standing struct {
	Player      string
	DisplayName *string
	Country     *string
	Attributes  map[string]string
	Score       int64
	Tiebreak    int64
	ReachedAt   time.Time
	Status      Status
	Rank        *int64 // 1 + how many are strictly better; nil unless ranked
}

// Table is a part of a period's standings, best first. Of is how many are
// ranked in all of it, in the same snapshot as the ranks.
type Table struct {
	Board string
	Span  Span
	Of    int64
	Items []Standing
	More  bool // there are standings after the last item
}

// Tables reads what a ledger wrote.
type Tables interface {
	Directory
	// Table gives up to limit ranked players of the span after the place, or
	// from the top where it is nil.
	Table(ctx context.Context, b Board, s Span, after *Place, limit int) (Table, error)
	// Standing gives one player's, and how many are ranked in the table; ok is
	// false where the player has no entries.
	Standing(ctx context.Context, b Board, s Span, player string) (standing Standing, of int64, ok bool, err error)
	// Entry gives an entry of the board; ok is false where there is none.
	// User is whom its player belongs to, hidden that the player is hidden.
	Entry(ctx context.Context, board, id string) (e Entry, user string, hidden, ok bool, err error)
}

// Place is where a page of a table ends: after the player with this score.
// It says no more than the page itself did.
type Place struct {
	Score     int64
	Tiebreak  int64
	ReachedAt time.Time
	Player    string
}

// Place gives the place of a standing in its table.
func (s Standing) Place() Place { return Place{s.Score, s.Tiebreak, s.ReachedAt, s.Player} }

// Reader answers what people ask about a board.
type Reader struct {
	Tables Tables
	Now    func() time.Time
}

// Board gives the board, to who may read it.
func (r *Reader) Board(ctx context.Context, who access.Caller, id string) (Board, error) {
	b, err := findBoard(ctx, r.Tables, id)
	if err != nil {
		return Board{}, err
	}
	return b, permit(ctx, r.Tables, b, who, read)
}

// span gives the run of the board's named period that contains now. The empty
// name stands for `all`, else the board's first period.
func (r *Reader) span(b Board, name string) (Span, error) {
	spans, err := b.Spans(r.Now())
	if err != nil {
		return Span{}, err
	}
	var fallback *Span
	for i, s := range spans {
		if s.Name == name || name == "" && s.Name == All {
			return s, nil
		}
		if fallback == nil {
			fallback = &spans[i]
		}
	}
	if name == "" && fallback != nil {
		return *fallback, nil
	}
	return Span{}, badField("period", "must be one of the board's periods: %s", list(b.Periods))
}

// Standings gives a page of the standings in the named period.
func (r *Reader) Standings(ctx context.Context, who access.Caller, board, period string, after *Place, limit int) (Table, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Table{}, err
	}
	s, err := r.span(b, period)
	if err != nil {
		return Table{}, err
	}
	return r.Tables.Table(ctx, b, s, after, limit)
}

// Standing gives one player's standing in the named period, with the span and
// how many are ranked in it.
func (r *Reader) Standing(ctx context.Context, who access.Caller, board, player, period string) (Standing, Span, int64, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Standing{}, Span{}, 0, err
	}
	s, err := r.span(b, period)
	if err != nil {
		return Standing{}, Span{}, 0, err
	}
	missing := fault.New(fault.NotFound, "The player %q has no entries on the board %q in this period.", player, board)
	if !ValidPlayer(player) {
		return Standing{}, Span{}, 0, missing
	}
	standing, of, ok, err := r.Tables.Standing(ctx, b, s, player)
	if err != nil {
		return Standing{}, Span{}, 0, err
	}
	if !ok || standing.Status == Hidden && !b.seesAll(who) {
		return Standing{}, Span{}, 0, missing
	}
	return standing, s, of, nil
}

var entryID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Entry gives one entry of the board; its metadata only to the board's writers
// and to the player.
func (r *Reader) Entry(ctx context.Context, who access.Caller, board, id string) (Entry, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Entry{}, err
	}
	missing := fault.New(fault.NotFound, "There is no entry %q on the board %q.", id, board)
	if !entryID.MatchString(id) {
		return Entry{}, missing
	}
	e, user, hidden, ok, err := r.Tables.Entry(ctx, b.ID, id)
	switch {
	case err != nil:
		return Entry{}, err
	case !ok || hidden && !b.seesAll(who):
		return Entry{}, missing
	case !b.seesAll(who) && (who.Anonymous() || user != who.User || !who.Scoped(scopes[read], b.ID)):
		e.Metadata = ""
	}
	return e, nil
}
