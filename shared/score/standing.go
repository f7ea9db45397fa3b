package score

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Status says whether a player counts.
type Status string

// The statuses. Only ranked players have a rank.
const (
	Ranked       Status = "ranked"
	Hidden       Status = "hidden" // not there for others than writers
	UnderReview  Status = "under_review"
	Disqualified Status = "disqualified"
	DidNotFinish Status = "dnf"
	DidNotStart  Status = "dns"
)

var statuses = []Status{Ranked, Hidden, UnderReview, Disqualified, DidNotFinish, DidNotStart}

// Standing is a player's score in one period of a board. Its category values
// and its status are those that the period was closed with, once it is.
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

// RunStatus is one run of a period as a table shows it.
type RunStatus struct {
	Run
	Closed bool // by the database's clock: the end and the board's grace are past
}

// Category is one value of one of a board's categories: who has it stands in
// a table of its own.
type Category struct {
	Name, Value string
	// No counts the board's categories from 1.
	No int
}

// String gives the category as the API names it.
func (c Category) String() string { return c.Name + ":" + c.Value }

// Table is a part of a table of standings, best first. Of is how many are
// ranked in all of it, in the same snapshot as the ranks.
type Table struct {
	Board    string
	Run      RunStatus
	Category *Category // nil for the whole board
	Of       int64
	Items    []Standing
	More     bool // there are standings after the last item
}

// Report is one player's standing and the tables that it is in.
type Report struct {
	Standing
	Board      string
	Run        RunStatus
	Category   *Category // whose table Rank and Of are of
	Of         int64
	Categories []CategoryRank
}

// CategoryRank is a player's rank among those with the same value.
type CategoryRank struct {
	Category
	Rank *int64 // nil unless ranked
	Of   int64
}

// Select names a table of a board: the run of the period that contains the
// instant. The empty period stands for `all`, else the board's first, the zero
// time for now, and the empty category for the whole board.
type Select struct {
	Period   string
	At       time.Time
	Category string // name:value
}

// Filter leaves standings out of a list; ranks stay those of the table.
type Filter struct {
	Players  []string // nil for all
	Min, Max *int64
	Country  string // empty for all
}

// PageRequest is what a list shows of a table. At most one of After and Around is set.
type PageRequest struct {
	After  *Place // from the top where it is nil
	Around string // a player in whose middle the page is
	Filter
	Limit int
}

// Tables reads what a ledger wrote.
type Tables interface {
	Directory
	// Player gives a player of the board; ok is false where there is none.
	Player(ctx context.Context, board, player string) (p Player, ok bool, err error)
	// Table gives up to p.Limit ranked players of the table. Found is false
	// where the player that the page is around has no rank in it.
	Table(ctx context.Context, b Board, s Run, c *Category, p PageRequest) (t Table, found bool, err error)
	// Standings gives the standings that there are of the players; their
	// order is the queries'.
	Standings(ctx context.Context, of []StandingQuery) ([]Report, error)
	// Entry gives an entry of the board; ok is false where there is none.
	// User is whom its player belongs to, hidden that the player is hidden.
	Entry(ctx context.Context, board, id string) (e Entry, user string, hidden, ok bool, err error)
	Lists
}

// StandingQuery names the standing of a player. The rank is that among all of the
// category where there is one.
type StandingQuery struct {
	Board    Board
	Run      Run
	Category *Category
	Player   string
}

// Place is where a page of a table ends: after the player with this score.
// It says no more than the page itself did.
type Place struct {
	Score     int64     `json:"s"`
	Tiebreak  int64     `json:"t"`
	ReachedAt time.Time `json:"r"`
	Player    string    `json:"p"`
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

// run gives the selected run of a period; a fault where the board has no such
// period, or the instant is outside every run of it.
func (r *Reader) run(b Board, sel Select) (Run, error) {
	at := sel.At
	if at.IsZero() {
		at = r.Now()
	}
	name := sel.Period
	if name == "" {
		name = All
	}
	i := slices.IndexFunc(b.Periods, func(p Period) bool { return p.Name == name })
	switch {
	case i < 0 && sel.Period == "":
		i = 0
	case i < 0:
		return Run{}, badField("period", "must be one of the board's periods: %s", list(b.periodNames()))
	}
	s, ok, err := b.RunAt(b.Periods[i], at)
	if err == nil && !ok {
		err = fault.Field(fault.NotFound, "at", "The period %q of the board %q has no run at %s.", b.Periods[i].Name, b.ID, at.UTC().Format(time.RFC3339))
	}
	return s, err
}

// category reads name:value, nil for the empty text. No name has a colon.
func (b Board) category(text string) (*Category, error) {
	name, value, _ := strings.Cut(text, ":")
	i := slices.Index(b.Categories, name)
	switch {
	case text == "":
		return nil, nil
	case len(b.Categories) == 0:
		return nil, badField("category", "is for boards with categories, and this one has none")
	case i < 0 || value == "":
		return nil, badField("category", "must be name:value, the name one of the board's categories: %s", list(b.Categories))
	}
	return &Category{Name: name, Value: value, No: i + 1}, nil
}

// table finds the board and what of it is selected.
func (r *Reader) table(ctx context.Context, who access.Caller, board string, sel Select) (Board, Run, *Category, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Board{}, Run{}, nil, err
	}
	c, err := b.category(sel.Category)
	if err != nil {
		return Board{}, Run{}, nil, err
	}
	s, err := r.run(b, sel)
	return b, s, c, err
}

// Standings gives a part of the selected table. It holds ranked players only.
func (r *Reader) Standings(ctx context.Context, who access.Caller, board string, sel Select, p PageRequest) (Table, error) {
	b, s, c, err := r.table(ctx, who, board, sel)
	if err != nil {
		return Table{}, err
	}
	t, found, err := r.Tables.Table(ctx, b, s, c, p)
	if err != nil {
		return Table{}, err
	}
	if !found {
		return Table{}, fault.Field(fault.NotFound, "around", "The player %q has no rank in this table.", p.Around)
	}
	return t, nil
}

// Standing gives one player's standing in the selected table, with the ranks
// in the player's categories.
func (r *Reader) Standing(ctx context.Context, who access.Caller, board, player string, sel Select) (Report, error) {
	b, s, c, err := r.table(ctx, who, board, sel)
	if err != nil {
		return Report{}, err
	}
	missing := fault.New(fault.NotFound, "The player %q has no entries on the board %q in this table.", player, board)
	if !ValidPlayer(player) {
		return Report{}, missing
	}
	found, err := r.Tables.Standings(ctx, []StandingQuery{{b, s, c, player}})
	if err != nil {
		return Report{}, err
	}
	if len(found) == 0 || found[0].Status == Hidden && !b.seesAll(who) {
		return Report{}, missing
	}
	return found[0], nil
}

var entryID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ValidEntry says whether the text reads as an entry's or a batch's id.
func ValidEntry(id string) bool { return entryID.MatchString(id) }

// Entry gives one entry of the board; its metadata only to the board's writers
// and to the player.
func (r *Reader) Entry(ctx context.Context, who access.Caller, board, id string) (Entry, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Entry{}, err
	}
	missing := fault.New(fault.NotFound, "There is no entry %q on the board %q.", id, board)
	if !ValidEntry(id) {
		return Entry{}, missing
	}
	e, user, hidden, ok, err := r.Tables.Entry(ctx, b.ID, id)
	switch {
	case err != nil:
		return Entry{}, err
	case !ok || hidden && !b.seesAll(who):
		return Entry{}, missing
	case !b.seesMetadata(who, user):
		e.Metadata = ""
	}
	return e, nil
}

// seesMetadata says whether the caller may see the metadata of the entries of
// a player who belongs to the user.
func (b Board) seesMetadata(c access.Caller, user string) bool {
	return b.seesAll(c) || seesOwn(c, user, b.ID)
}

// seesOwn says whether a player of the user is the caller's own.
func seesOwn(c access.Caller, user, board string) bool {
	return !c.Anonymous() && user == c.User && c.Scoped(scopes[read], board)
}
