package score

import (
	"context"
	"regexp"
	"slices"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Lists reads what there may be much of, a page at a time: up to limit items
// after a place, or from the beginning where it is nil. One more than the limit
// tells that there are more.
type Lists interface {
	// Entries gives entries, the newest first. Those of hidden players are
	// left out unless hidden.
	Entries(ctx context.Context, board string, f EntryFilter, hidden bool, after *EntryPlace, limit int) ([]OwnedEntry, error)
	// EntriesOf gives the entries of the user's players that are in the view,
	// the newest first.
	EntriesOf(ctx context.Context, user string, v View, after *EntryPlace, limit int) ([]OwnedEntry, error)
	// Boards gives the boards of the view that are not archived; where named is
	// not empty, only those that name this user as owner, writer or viewer.
	Boards(ctx context.Context, v View, named, search string, after *BoardPlace, limit int) ([]PlacedBoard, error)
	// Links gives the user's players that are in the view, ordered by board and
	// player.
	Links(ctx context.Context, user string, v View, after *LinkPlace, limit int) ([]Link, error)
	// Periods gives the runs of the board's periods that have entries, the
	// latest first.
	Periods(ctx context.Context, b Board, name string, after *RunPlace, limit int) ([]RunStatus, error)
}

// View is what somebody may read, as permit and seesAll say it of one board:
// lists are cut to it where they are read, because what they leave out has no
// bound. The zero View is that of public boards.
type View struct {
	// User reads, beside public boards, those that name the user and those
	// with a player of theirs; hidden players where they are owner or writer.
	User string
	// Every: User reads every board and every player.
	Every bool
	// Within are the only boards of which User reads more than anybody does;
	// of all where it is empty.
	Within []string
}

func viewOf(c access.Caller) View {
	if c.Anonymous() || !c.Scoped(scopes[read], "") {
		return View{}
	}
	v := View{User: c.User, Every: c.Rights() == access.Admin || c.Rights() == access.Auditor}
	if c.Role == access.Service {
		v.Within = c.Boards
	}
	return v
}

// EntryFilter leaves entries out of a list. What is empty or nil leaves none
// out.
type EntryFilter struct {
	Player, Batch, Actor, Reason string
	Kind                         Kind
	From, To                     *time.Time // of occurred_at; To is exclusive
}

// OwnedEntry is an entry in a list, and whom its player belongs to.
type OwnedEntry struct {
	Entry
	User    string
	SeesAll bool // in a list of EntriesOf: see Board.seesAll
}

// EntryPlace is where a page of entries ends.
type EntryPlace struct {
	OccurredAt time.Time `json:"o"`
	ID         string    `json:"i"`
}

// Place gives the place of an entry in a list.
func (e Entry) Place() EntryPlace { return EntryPlace{e.OccurredAt, e.ID} }

// BoardPlace is where a page of boards ends. With a search, boards whose id
// begins with it come first, in the order of ids, then those whose title does,
// in the order of titles.
type BoardPlace struct {
	ByTitle bool   `json:"t,omitempty"`
	Key     string `json:"k"` // what it is ordered by
	ID      string `json:"i"`
}

// PlacedBoard is a board in a list.
type PlacedBoard struct {
	Board
	Place BoardPlace
}

// Link is a player who belongs to a user. Board lacks its catalogue.
type Link struct {
	Board  Board
	Player string
}

// LinkPlace is where a page of a user's players ends.
type LinkPlace struct {
	Board  string `json:"b"`
	Player string `json:"p"`
}

// RunPlace is where a page of a board's runs ends; the zero time is that of a
// run without beginning.
type RunPlace struct {
	Start time.Time `json:"s"`
	Name  string    `json:"n"`
}

// Page is one page of a list. It may hold fewer items than there was room for.
type Page[T, P any] struct {
	Items  []T
	Places []P // the items' own, for who shows fewer of them
	Next   *P  // where the next page begins, nil where there is none
}

// Entries gives a page of the board's entries. Metadata is for the board's
// writers and the player.
func (r *Reader) Entries(ctx context.Context, who access.Caller, board string, f EntryFilter, after *EntryPlace, limit int) (Page[Entry, EntryPlace], error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Page[Entry, EntryPlace]{}, err
	}
	lines, err := r.Tables.Entries(ctx, b.ID, f, b.seesAll(who), after, limit+1)
	return entryPage(lines, limit, func(l OwnedEntry) bool { return b.seesMetadata(who, l.User) }), err
}

func entryPage(lines []OwnedEntry, limit int, metadata func(OwnedEntry) bool) Page[Entry, EntryPlace] {
	page := Page[Entry, EntryPlace]{}
	for _, l := range lines[:min(limit, len(lines))] {
		if !metadata(l) {
			l.Metadata = ""
		}
		page.Items = append(page.Items, l.Entry)
		page.Places = append(page.Places, l.Place())
	}
	if len(lines) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page
}

// Boards gives a page of the boards that the caller may read. Mine: of those
// that name them as owner, writer or viewer. Search is how an id or a title
// begins.
func (r *Reader) Boards(ctx context.Context, who access.Caller, mine bool, search string, after *BoardPlace, limit int) (Page[Board, BoardPlace], error) {
	if mine && who.Anonymous() {
		return Page[Board, BoardPlace]{}, fault.Field(fault.Unauthenticated, "mine", "Send an access token: without one no board is yours.")
	}
	named := ""
	if mine {
		named = who.User
	}
	found, err := r.Tables.Boards(ctx, viewOf(who), named, search, after, limit+1)
	page := Page[Board, BoardPlace]{}
	for _, l := range found[:min(limit, len(found))] {
		page.Items = append(page.Items, l.Board)
		page.Places = append(page.Places, l.Place)
	}
	if len(found) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}

// Periods gives a page of the runs of the board's periods that have entries,
// of the named period only where there is a name.
func (r *Reader) Periods(ctx context.Context, who access.Caller, board, name string, after *RunPlace, limit int) (Page[RunStatus, RunPlace], error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Page[RunStatus, RunPlace]{}, err
	}
	if names := b.periodNames(); name != "" && !slices.Contains(names, name) {
		return Page[RunStatus, RunPlace]{}, badField("name", "must be one of the board's periods: %s", list(names))
	}
	runs, err := r.Tables.Periods(ctx, b, name, after, limit+1)
	page := Page[RunStatus, RunPlace]{Items: runs[:min(limit, len(runs))]}
	for _, run := range page.Items {
		page.Places = append(page.Places, RunPlace{run.Start, run.Name})
	}
	if len(runs) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}

func noUser(user string) error {
	return fault.New(fault.NotFound, "There is no user %q.", user)
}

// StandingsOf gives a page of a user's standings on every board that the
// caller may read, each in the board's default period of now.
func (r *Reader) StandingsOf(ctx context.Context, who access.Caller, user string, after *LinkPlace, limit int) (Page[Report, LinkPlace], error) {
	page := Page[Report, LinkPlace]{}
	if !userID.MatchString(user) {
		return page, noUser(user)
	}
	links, err := r.Tables.Links(ctx, user, viewOf(who), after, limit+1)
	if err != nil {
		return page, err
	}
	if len(links) > limit {
		links = links[:limit]
		page.Next = &LinkPlace{links[limit-1].Board.ID, links[limit-1].Player}
	}
	var wanted []StandingQuery
	for _, l := range links {
		s, err := r.run(l.Board, Select{})
		if fault.Is(err, fault.NotFound) { // between two seasons
			continue
		}
		if err != nil {
			return page, err
		}
		wanted = append(wanted, StandingQuery{Board: l.Board, Run: s, Player: l.Player})
	}
	if len(wanted) == 0 {
		return page, nil
	}
	found, err := r.Tables.Standings(ctx, wanted)
	for _, f := range found {
		// A closed period keeps the status that it was closed with.
		i := slices.IndexFunc(links, func(l Link) bool { return l.Board.ID == f.Board && l.Player == f.Player })
		if f.Status != Hidden || links[i].Board.seesAll(who) {
			page.Items = append(page.Items, f)
			page.Places = append(page.Places, LinkPlace{f.Board, f.Player})
		}
	}
	return page, err
}

// EntriesOfUser gives a page of a user's entries on every board that the
// caller may read.
func (r *Reader) EntriesOfUser(ctx context.Context, who access.Caller, user string, after *EntryPlace, limit int) (Page[Entry, EntryPlace], error) {
	if !userID.MatchString(user) {
		return Page[Entry, EntryPlace]{}, noUser(user)
	}
	lines, err := r.Tables.EntriesOf(ctx, user, viewOf(who), after, limit+1)
	return entryPage(lines, limit, func(l OwnedEntry) bool { return l.SeesAll || seesOwn(who, l.User, l.Board) }), err
}

var actorName = regexp.MustCompile(`^(user|key)/[A-Za-z0-9-]{1,64}$`)

// Check gives every fault of the filter; the names are the API's.
func (f EntryFilter) Check(faults *fault.List) {
	if f.Player != "" && !ValidPlayer(f.Player) {
		faults.Add("player", "must be a player's id")
	}
	if f.Batch != "" && !ValidEntry(f.Batch) {
		faults.Add("batch", "must be a batch's id")
	}
	if f.Actor != "" && !actorName.MatchString(f.Actor) {
		faults.Add("actor", "must be user/<id> or key/<id>")
	}
	if f.Reason != "" {
		checkText(faults, "reason", f.Reason, maxReason)
	}
	if f.Kind != "" {
		oneOf(faults, "kind", f.Kind, Result, Adjustment, Import, Reversal)
	}
}

// Check gives every fault of the filter; the names are the API's.
func (f Filter) Check(faults *fault.List) {
	if slices.ContainsFunc(f.Players, func(id string) bool { return !ValidPlayer(id) }) {
		faults.Add("players", "must be ids of players with commas between them")
	}
	if len(f.Players) > maxWanted {
		faults.Add("players", "may name %d players", maxWanted)
	}
	if f.Min != nil {
		checkPoints(faults, "min", *f.Min)
	}
	if f.Max != nil {
		checkPoints(faults, "max", *f.Max)
	}
	if f.Country != "" && !country.MatchString(f.Country) {
		faults.Add("country", "must be two capital letters (ISO 3166-1), such as KR")
	}
}

// maxWanted is how many players a list can be asked for by name.
const maxWanted = 1000
