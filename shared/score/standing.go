package score

import (
	"context"
	"slices"
	"strings"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
	"plaudit/shared/text"
)

// Status decides whether a player is ranked.
type Status string

// The statuses. Only ranked players have a rank.
const (
	Ranked       Status = "ranked"
	Hidden       Status = "hidden" // shown to the board's writers only
	UnderReview  Status = "under_review"
	Disqualified Status = "disqualified"
	DidNotFinish Status = "dnf"
	DidNotStart  Status = "dns"
)

var statuses = []Status{Ranked, Hidden, UnderReview, Disqualified, DidNotFinish, DidNotStart}

// Standing is a player's score in one run of a board. Once the run is closed,
// its category values and its status no longer change.
type Standing struct {
	Player      string
	DisplayName *string
	Country     *string
	Attributes  map[string]string
	Score       int64
	Tiebreak    int64
	ReachedAt   time.Time
	Status      Status
	Rank        *int64 // 1 + the number of strictly better players; nil unless ranked
}

// RunStatus is a run and its state.
type RunStatus struct {
	Run
	Closed bool // the database clock has passed the end plus the board's grace
}

// Category is one value of one of a board's categories. The players who have it
// are ranked in a table of their own.
type Category struct {
	Name, Value string
	// No is the position of Name in the board's categories, from 1.
	No int
}

// String returns the API's form, name:value.
func (c Category) String() string { return c.Name + ":" + c.Value }

// Table is a page of a table of standings, best first. Of is the number of
// ranked players in the whole table, from the same snapshot as the ranks.
type Table struct {
	Board      string
	Categories []string // of the board
	Run        RunStatus
	Category   *Category // nil for the whole board
	Of         int64
	Items      []Standing
	More       bool // more standings follow the last item
}

// Report is one player's standing and its table.
type Report struct {
	Standing
	Board      string
	Run        RunStatus
	Category   *Category // the table of Rank and Of; nil for the whole board
	Of         int64
	Categories []CategoryRank
}

// CategoryRank is a player's rank among the players with the same category
// value.
type CategoryRank struct {
	Category
	Rank *int64 // nil unless ranked
	Of   int64
}

// Select chooses a table of a board: the run of the period that contains the
// instant. An empty period means `all` or, if the board lacks it, the board's
// first, or on a board of seasons only the season that Reader.season returns; a zero
// time means now; an empty category means the whole board.
type Select struct {
	Period   string
	At       time.Time
	Category string // name:value
}

// Filter selects standings of a table. Ranks remain those of the whole table.
type Filter struct {
	Players  []string // nil selects all
	Min, Max *int64
	Country  string // empty selects all
}

// empty reports whether the filter selects the whole table.
func (f Filter) empty() bool {
	return f.Players == nil && f.Min == nil && f.Max == nil && f.Country == ""
}

// PageRequest is the part of a table to return. At most one of After and Around
// is set.
type PageRequest struct {
	After  *Place // nil means from the top
	Around string // the player at the centre of the page
	Filter
	Limit int
}

// Tables reads what a ledger has written.
type Tables interface {
	Directory
	// Player returns a player of the board; ok is false if it has none with
	// this id.
	Player(ctx context.Context, board, player string) (p Player, ok bool, err error)
	// Table returns up to p.Limit ranked players of the table. found is false
	// if p.Around is not among those that the filter selects.
	Table(ctx context.Context, b Board, s Run, c *Category, p PageRequest) (t Table, found bool, err error)
	// Standings returns the standings that exist, in the order of the queries.
	Standings(ctx context.Context, of []StandingQuery) ([]Report, error)
	// Entry returns an entry of the board; ok is false if it has none with this
	// id.
	Entry(ctx context.Context, board, id string) (e OwnedEntry, ok bool, err error)
	// Ready returns an error unless the database answers and is migrated.
	Ready(ctx context.Context) error
	Lists
}

// StandingQuery asks for one player's standing. If Category is set, the rank is
// that in the category's table.
type StandingQuery struct {
	Board    Board
	Run      Run
	Category *Category
	Player   string
}

// Place is where a page of a table ends: after the player with this score. It
// reveals no more than the page does.
type Place struct {
	Score     int64     `json:"s"`
	Tiebreak  int64     `json:"t"`
	ReachedAt time.Time `json:"r"`
	Player    string    `json:"p"`
}

// Place returns the standing's place in its table.
func (s Standing) Place() Place { return Place{s.Score, s.Tiebreak, s.ReachedAt, s.Player} }

// Reader reads boards and their tables.
type Reader struct {
	Tables Tables
	Now    func() time.Time
}

// Ready returns a fault unless boards can be read: the database answers and is
// migrated.
func (r *Reader) Ready(ctx context.Context) error {
	err := r.Tables.Ready(ctx)
	if _, ok := fault.As(err); ok || err == nil {
		return err
	}
	return &fault.Error{Kind: fault.DatabaseUnavailable, Detail: "The scores database is not ready. Try again in a moment.", RetryAfter: time.Second, Cause: err}
}

// Board returns the board, as far as the caller may see.
func (r *Reader) Board(ctx context.Context, who access.Caller, id string) (Board, error) {
	b, sees, err := r.open(ctx, who, id, "")
	if err != nil {
		return Board{}, err
	}
	return sees.board(b), nil
}

// open returns the board and what the caller sees of it, if the caller may read it. A
// request for one player only names the player: users read their own player even on a
// private board.
func (r *Reader) open(ctx context.Context, who access.Caller, id, player string) (Board, sight, error) {
	b, err := find(ctx, r.Tables, who, id, player)
	if err == nil {
		err = permit(b, who, read)
	}
	if err != nil {
		return Board{}, sight{}, err
	}
	sees := b.sight(who, read)
	sees.onlyOwn = !sees.people && !b.Linked && !b.Published()
	return b.Board, sees, nil
}

// run returns the selected run. It returns a fault if the board has no such
// period, or no run of it contains the instant.
func (r *Reader) run(b Board, sel Select) (Run, error) {
	if sel.Period == "" && !slices.ContainsFunc(b.Periods, func(p Period) bool { return !p.season() }) {
		return r.season(b, sel.At)
	}
	at := sel.At
	if at.IsZero() {
		at = r.Now()
	}
	i := max(0, slices.Index(b.periodNames(), All))
	if sel.Period != "" {
		var err error
		if i, err = b.period("period", sel.Period); err != nil {
			return Run{}, err
		}
	}
	s, ok, err := b.RunAt(b.Periods[i], at)
	if err == nil && !ok { // only seasons do not contain every instant
		p := b.Periods[i]
		err = fault.Field(fault.NotFound, "at", "Season %q of board %q does not contain %s. It begins at %s and ends before %s: send `at` within it.",
			p.Name, b.ID, instant(at), instant(p.Start), instant(p.End))
	}
	return s, err
}

// season returns the run of a board of seasons only if no period is selected: the
// first of its seasons that contains the instant. A zero time means now, outside of
// every season the one that ended last or, before all of them, the one that begins
// first.
func (r *Reader) season(b Board, at time.Time) (Run, error) {
	now := at
	if at.IsZero() {
		now = r.Now()
	}
	var last, next Run
	for _, p := range b.Periods {
		s := Run{p.Name, p.Start, p.End}
		if s.contains(now) {
			return s, nil
		}
		if !s.End.After(now) && s.End.After(last.End) {
			last = s
		}
		if next.Start.IsZero() || s.Start.Before(next.Start) {
			next = s
		}
	}
	switch {
	case !at.IsZero():
		return Run{}, fault.Field(fault.NotFound, "at", "No season of board %q contains %s. GET /v1/boards/%s lists its seasons in `periods`: send `at` within one of them.", b.ID, instant(at), b.ID)
	case !last.End.IsZero():
		return last, nil
	}
	return next, nil
}

// instant returns a time for the detail of a fault.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// period returns the index of the board's period with the name; field is where
// the request has it.
func (b Board) period(field, name string) (int, error) {
	names := b.periodNames()
	i := indexOf(names, name)
	if i < 0 {
		return 0, badField(field, "must be one of the board's periods: %s", list(names))
	}
	return i, nil
}

// indexOf returns the index of the name, -1 if it is not in the list. Names of
// boards that were created before texts had a normal form may have another one.
func indexOf(names []string, name string) int {
	name = text.Normal(name)
	return slices.IndexFunc(names, func(n string) bool { return text.Normal(n) == name })
}

// category parses name:value. It returns nil for an empty parameter. Names
// contain no colon.
func (b Board) category(param string) (*Category, error) {
	name, value, _ := strings.Cut(param, ":")
	value = text.Normal(value)
	i := indexOf(b.Categories, name)
	switch {
	case param == "":
		return nil, nil
	case len(b.Categories) == 0:
		return nil, badField("category", "is not allowed, because the board has no categories")
	case i < 0 || value == "":
		return nil, badField("category", "must be name:value, with one of the board's categories as its name: %s", list(b.Categories))
	}
	if err := text.Check(value, maxAttributeValue); err != nil {
		return nil, badField("category", "has an invalid value: it %v", err)
	}
	return &Category{Name: b.Categories[i], Value: value, No: i + 1}, nil
}

// table returns what open does and what the request selects of the board.
func (r *Reader) table(ctx context.Context, who access.Caller, board, player string, sel Select) (Board, sight, Run, *Category, error) {
	b, sees, err := r.open(ctx, who, board, player)
	if err != nil {
		return Board{}, sight{}, Run{}, nil, err
	}
	c, err := b.category(sel.Category)
	if err != nil {
		return Board{}, sight{}, Run{}, nil, err
	}
	s, err := r.run(b, sel)
	return b, sees, s, c, err
}

// Standings returns a page of the selected table. It contains ranked players
// only.
func (r *Reader) Standings(ctx context.Context, who access.Caller, board string, sel Select, p PageRequest) (Table, error) {
	b, _, s, c, err := r.table(ctx, who, board, "", sel)
	if err != nil {
		return Table{}, err
	}
	t, found, err := r.Tables.Table(ctx, b, s, c, p)
	if err != nil {
		return Table{}, err
	}
	if !found {
		detail := "Player %q has no rank in this table."
		if !p.Filter.empty() {
			detail = "Player %q has no rank in the part of this table that players, min, max and country select."
		}
		return Table{}, fault.Field(fault.NotFound, "around", detail, p.Around)
	}
	t.Categories = b.Categories
	return t, nil
}

// Standing returns one player's standing in the selected table, with their
// ranks in their categories.
func (r *Reader) Standing(ctx context.Context, who access.Caller, board, player string, sel Select) (Report, error) {
	b, sees, s, c, err := r.table(ctx, who, board, player, sel)
	if err != nil {
		return Report{}, err
	}
	missing := fault.New(fault.NotFound, "Player %q has no entries on board %q in this table.", player, board)
	if !ValidPlayer(player) {
		return Report{}, missing
	}
	found, err := r.Tables.Standings(ctx, []StandingQuery{{b, s, c, player}})
	if err != nil {
		return Report{}, err
	}
	if len(found) == 0 || found[0].Status == Hidden && !sees.hidden {
		return Report{}, missing
	}
	return found[0], nil
}

// ValidEntry reports whether the text has the form of an entry's or a batch's id.
func ValidEntry(text string) bool { return id.UUID(text) }

// Entry returns one entry of the board, as far as the caller may see.
func (r *Reader) Entry(ctx context.Context, who access.Caller, board, entry string) (NamedEntry, error) {
	b, sees, err := r.open(ctx, who, board, who.User)
	if err != nil {
		return NamedEntry{}, err
	}
	missing := error(fault.New(fault.NotFound, "Board %q has no entry %q.", board, entry))
	if sees.onlyOwn {
		missing = NoBoard(board)
	}
	if !ValidEntry(entry) {
		return NamedEntry{}, missing
	}
	e, ok, err := r.Tables.Entry(ctx, b.ID, entry)
	if err != nil {
		return NamedEntry{}, err
	}
	var seen NamedEntry
	if ok {
		seen, ok = sees.entry(e)
	}
	if !ok {
		return NamedEntry{}, missing
	}
	return seen, nil
}
