package score

import (
	"context"
	"math"
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
	Entries(ctx context.Context, board string, f EntryFilter, hidden bool, after *EntryPlace, limit int) ([]Line, error)
	// EntriesOf gives the entries of the players, the newest first.
	EntriesOf(ctx context.Context, players []Link, after *EntryPlace, limit int) ([]Line, error)
	// Boards gives boards that are not archived: public ones, those that name
	// the user, those with a player of the user; mine: only those that name
	// the user; every: all. Who may read one is for the caller to see to.
	Boards(ctx context.Context, user string, mine, every bool, search string, after *BoardPlace, limit int) ([]Listed, error)
	// Links gives the players that belong to the user, ordered by board and
	// player, and who of their boards' players belong to the reader.
	Links(ctx context.Context, user, reader string, after *LinkPlace, limit int) ([]Link, error)
	// Periods gives the runs of the board's periods that have entries, the
	// latest first.
	Periods(ctx context.Context, b Board, name string, after *RunPlace, limit int) ([]Run, error)
}

// EntryFilter leaves entries out of a list. What is empty or nil leaves none
// out.
type EntryFilter struct {
	Player, Batch, Actor, Reason string
	Kind                         Kind
	From, To                     *time.Time // of occurred_at; To is exclusive
}

// Line is an entry in a list, and whom its player belongs to.
type Line struct {
	Entry
	User string
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

// Listed is a board in a list. Linked says that a player of it belongs to the
// reader.
type Listed struct {
	Board
	Linked bool
	Place  BoardPlace
}

// Link is a player who belongs to a user. Board lacks its catalogue.
type Link struct {
	Board  Board
	Player string
	Status Status
	Linked bool // a player of the board belongs to the reader
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

// Page is one page of a list. It may hold fewer items than there was room for:
// what is not for the caller is left out.
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
	return entryPage(lines, limit, func(l Line) bool { return b.seesMetadata(who, l.User) }), err
}

func entryPage(lines []Line, limit int, metadata func(Line) bool) Page[Entry, EntryPlace] {
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

// readable says whether the caller may read the board, as permit does.
func (b Board) readable(c access.Caller, linked bool) bool {
	return b.Public || (b.rightOf(c) >= read || linked && !c.Anonymous()) && c.Scoped(scopes[read], b.ID)
}

// Boards gives a page of the boards that the caller may read. Mine: of those
// that name them as owner, writer or viewer. Search is how an id or a title
// begins.
func (r *Reader) Boards(ctx context.Context, who access.Caller, mine bool, search string, after *BoardPlace, limit int) (Page[Board, BoardPlace], error) {
	if mine && who.Anonymous() {
		return Page[Board, BoardPlace]{}, fault.Field(fault.Unauthenticated, "mine", "Send an access token: without one no board is yours.")
	}
	every := who.Rights() == access.Admin || who.Rights() == access.Auditor
	found, next, err := fill(limit, after,
		func(after *BoardPlace, n int) ([]Listed, error) {
			return r.Tables.Boards(ctx, who.User, mine, every, search, after, n)
		},
		func(l Listed) BoardPlace { return l.Place },
		func(l Listed) bool { return l.readable(who, l.Linked) })
	page := Page[Board, BoardPlace]{Next: next}
	for _, l := range found {
		page.Items = append(page.Items, l.Board)
		page.Places = append(page.Places, l.Place)
	}
	return page, err
}

// fill gives a page of up to limit of what may be seen, and the place of its
// last where there is more. It reads on past what may not be seen, so that
// neither the length of a page nor where the next one begins tells of it.
func fill[T, P any](limit int, after *P, read func(after *P, n int) ([]T, error), place func(T) P, visible func(T) bool) (page []T, next *P, err error) {
	for n := limit + 1; ; n = max(n, 200) {
		found, err := read(after, n)
		if err != nil {
			return nil, nil, err
		}
		for _, item := range found {
			if !visible(item) {
				continue
			}
			if len(page) == limit {
				last := place(page[limit-1])
				return page, &last, nil
			}
			page = append(page, item)
		}
		if len(found) < n {
			return page, nil, nil
		}
		last := place(found[n-1])
		after = &last
	}
}

// Periods gives a page of the runs of the board's periods that have entries,
// of the named period only where there is a name.
func (r *Reader) Periods(ctx context.Context, who access.Caller, board, name string, after *RunPlace, limit int) (Page[Run, RunPlace], error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Page[Run, RunPlace]{}, err
	}
	if names := b.periodNames(); name != "" && !slices.Contains(names, name) {
		return Page[Run, RunPlace]{}, badField("name", "must be one of the board's periods: %s", list(names))
	}
	runs, err := r.Tables.Periods(ctx, b, name, after, limit+1)
	page := Page[Run, RunPlace]{Items: runs[:min(limit, len(runs))]}
	for _, run := range page.Items {
		page.Places = append(page.Places, RunPlace{run.Start, run.Name})
	}
	if len(runs) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}

// links gives up to limit of the user's players that the caller may see.
func (r *Reader) links(ctx context.Context, who access.Caller, user string, after *LinkPlace, limit int) (seen []Link, next *LinkPlace, err error) {
	if !userID.MatchString(user) {
		return nil, nil, fault.New(fault.NotFound, "There is no user %q.", user)
	}
	return fill(limit, after,
		func(after *LinkPlace, n int) ([]Link, error) { return r.Tables.Links(ctx, user, who.User, after, n) },
		func(l Link) LinkPlace { return LinkPlace{l.Board.ID, l.Player} },
		func(l Link) bool {
			return l.Board.readable(who, l.Linked) && (l.Status != Hidden || l.Board.seesAll(who))
		})
}

// StandingsOf gives a page of a user's standings on every board that the
// caller may read, each in the board's default period of now.
func (r *Reader) StandingsOf(ctx context.Context, who access.Caller, user string, after *LinkPlace, limit int) (Page[Report, LinkPlace], error) {
	page := Page[Report, LinkPlace]{}
	links, next, err := r.links(ctx, who, user, after, limit)
	if err != nil {
		return page, err
	}
	var wanted []Wanted
	for _, l := range links {
		s, err := r.span(l.Board, Select{})
		if fault.Is(err, fault.NotFound) { // between two seasons
			continue
		}
		if err != nil {
			return page, err
		}
		wanted = append(wanted, Wanted{Board: l.Board, Span: s, Player: l.Player})
	}
	page.Next = next
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
	links, _, err := r.links(ctx, who, user, nil, math.MaxInt32) // all
	if err != nil || len(links) == 0 {
		return Page[Entry, EntryPlace]{}, err
	}
	boards := map[string]Board{}
	for _, l := range links {
		boards[l.Board.ID] = l.Board
	}
	lines, err := r.Tables.EntriesOf(ctx, links, after, limit+1)
	return entryPage(lines, limit, func(l Line) bool { return boards[l.Board].seesMetadata(who, l.User) }), err
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
