package score

import (
	"context"
	"regexp"
	"slices"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/text"
)

// Lists reads unbounded lists a page at a time: up to limit items after a
// place, or from the beginning if it is nil. Callers ask for one item more than
// they show, to learn whether more follow.
type Lists interface {
	// Entries returns entries, newest first. hidden includes those of hidden
	// players.
	Entries(ctx context.Context, board string, f EntryFilter, hidden bool, after *EntryPlace, limit int) ([]OwnedEntry, error)
	// EntriesOf returns the entries of the user's players that the view
	// includes, newest first; those of the batch only, if it is not empty.
	EntriesOf(ctx context.Context, user, batch string, v View, after *EntryPlace, limit int) ([]OwnedEntry, error)
	// Boards returns the boards that the view includes, without archived ones and
	// without catalogues. If member is not empty, only those that list this user as owner, writer
	// or viewer.
	Boards(ctx context.Context, v View, member, search string, after *BoardPlace, limit int) ([]PlacedBoard, error)
	// PlayersOf returns the user's players that the view includes, ordered by board
	// and player.
	PlayersOf(ctx context.Context, user string, v View, after *LinkPlace, limit int) ([]OwnedPlayer, error)
	// LinksOf returns the links that propose or proposed the user as a player,
	// whatever became of them, without those on drafts, ordered by board and player.
	LinksOf(ctx context.Context, user string, after *LinkPlace, limit int) ([]Link, error)
	// Periods returns the runs of the board's periods that have entries, latest
	// first.
	Periods(ctx context.Context, b Board, name string, after *RunPlace, limit int) ([]RunStatus, error)
	// Players returns players of the board that the filter selects, c being its
	// category. hidden includes hidden players.
	Players(ctx context.Context, board string, f PlayerFilter, c *Category, hidden bool, after *PlayerPlace, limit int) ([]PlacedPlayer, error)
	// Categories returns the values of the board's categories, or of the named one,
	// in the order of categories, then of values. hidden counts hidden players too.
	Categories(ctx context.Context, b Board, name string, hidden bool, after *CategoryPlace, limit int) ([]CategoryCount, error)
}

// View is what a caller may read, by the rules of permit and sight for one
// board. Stores apply it in their queries, because the number of items that it
// leaves out has no bound. The zero View includes public boards only.
type View struct {
	// User may also read the boards that list them and those with a player of
	// theirs, and hidden players on boards that they own or write to. To their own
	// lists also belong the players who have their id, on boards of registered
	// players.
	User string
	// ReadsAll means that User may read every board and every player.
	ReadsAll bool
	// Within lists the only boards on which User has more than anybody's
	// rights. Empty means all boards.
	Within []string
}

func viewOf(c access.Caller) View {
	if c.Anonymous() || !covers(c, read, "") {
		return View{}
	}
	v := View{User: c.User, ReadsAll: readsAll(c)}
	if c.Role == access.Service {
		v.Within = c.Boards
	}
	return v
}

// EntryFilter selects entries of a list. Empty and nil fields select all.
type EntryFilter struct {
	Player, Batch, Actor, Reason string
	Kind                         Kind
	From, To                     *time.Time // of occurred_at; To is exclusive
}

// NamedEntry is an entry and its player's current name.
type NamedEntry struct {
	Entry
	DisplayName *string
}

// OwnedEntry is an entry that was read, with what decides who sees it.
type OwnedEntry struct {
	NamedEntry
	User   string // who has accepted the link to its player; empty for nobody
	Hidden bool   // its player is; not set in lists, which leave them out
	// Set by EntriesOf only: the view's user is one of the board's people, and sees all
	// of it, as Board.sight has it.
	SeesPeople, SeesAll bool
}

// EntryPlace is where a page of entries ends.
type EntryPlace struct {
	OccurredAt time.Time `json:"o"`
	ID         string    `json:"i"`
}

// Place returns the entry's place in a list.
func (e Entry) Place() EntryPlace { return EntryPlace{e.OccurredAt, e.ID} }

// BoardPlace is where a page of boards ends. A search lists boards whose id
// begins with the text first, in the order of ids, then those whose title does,
// in the order of titles.
type BoardPlace struct {
	ByTitle bool   `json:"t,omitempty"`
	Key     string `json:"k"` // the id or title that orders it
	ID      string `json:"i"`
}

// PlacedBoard is a board in a list. It lacks its catalogue.
type PlacedBoard struct {
	Board
	Place BoardPlace
}

// OwnedPlayer is a player who belongs to a user. Board lacks its catalogue.
type OwnedPlayer struct {
	Board  Board
	Player string
}

// LinkPlace is where a page of a user's players or links ends.
type LinkPlace struct {
	Board  string `json:"b"`
	Player string `json:"p"`
}

// RunPlace is where a page of a board's runs ends. Start is zero for a run that
// has none.
type RunPlace struct {
	Start time.Time `json:"s,omitzero"`
	Name  string    `json:"n"`
}

// Page is one page of a list. It may have fewer items than its limit even if
// more follow.
type Page[T, P any] struct {
	Items  []T
	Places []P // of each item, for callers that cut the page further
	Next   *P  // where this page ends if another follows; else nil
}

// Entries returns a page of the board's entries, as far as the caller may see.
func (r *Reader) Entries(ctx context.Context, who access.Caller, board string, f EntryFilter, after *EntryPlace, limit int) (Page[NamedEntry, EntryPlace], error) {
	b, sees, err := r.open(ctx, who, board, f.Player)
	if err != nil {
		return Page[NamedEntry, EntryPlace]{}, err
	}
	if f.Actor != "" && !sees.people {
		return Page[NamedEntry, EntryPlace]{}, fault.Field(fault.Forbidden, "actor", "Only the board's owners, writers and viewers see who added an entry. Leave the parameter out, or ask an owner to make you a viewer.")
	}
	found, err := r.Tables.Entries(ctx, b.ID, f, sees.hidden, after, limit+1)
	return entryPage(found, limit, func(OwnedEntry) sight { return sees }), err
}

func entryPage(found []OwnedEntry, limit int, sees func(OwnedEntry) sight) Page[NamedEntry, EntryPlace] {
	page := Page[NamedEntry, EntryPlace]{}
	for _, e := range found[:min(limit, len(found))] {
		if seen, ok := sees(e).entry(e); ok {
			page.Items = append(page.Items, seen)
			page.Places = append(page.Places, e.Place())
		}
	}
	if len(found) > limit {
		last := found[limit-1].Place()
		page.Next = &last
	}
	return page
}

// Boards returns a page of the boards that the caller may read. mine selects
// those that list the caller as owner, writer or viewer; search those whose id
// or title begins with the text.
func (r *Reader) Boards(ctx context.Context, who access.Caller, mine bool, search string, after *BoardPlace, limit int) (Page[Board, BoardPlace], error) {
	if mine && who.Anonymous() {
		return Page[Board, BoardPlace]{}, fault.Field(fault.Unauthenticated, "mine", "To list your own boards, send an access token.")
	}
	member := ""
	if mine {
		member = who.User
	}
	found, err := r.Tables.Boards(ctx, viewOf(who), member, search, after, limit+1)
	page := Page[Board, BoardPlace]{}
	for _, b := range found[:min(limit, len(found))] {
		page.Items = append(page.Items, b.sight(who, read).board(b.Board))
		page.Places = append(page.Places, b.Place)
	}
	if len(found) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}

// Periods returns a page of the runs that have entries, of the named period or,
// if the name is empty, of all of the board's periods.
func (r *Reader) Periods(ctx context.Context, who access.Caller, board, name string, after *RunPlace, limit int) (Page[RunStatus, RunPlace], error) {
	b, _, err := r.open(ctx, who, board, "")
	if err != nil {
		return Page[RunStatus, RunPlace]{}, err
	}
	if name != "" {
		i, err := b.period("name", name)
		if err != nil {
			return Page[RunStatus, RunPlace]{}, err
		}
		name = b.Periods[i].Name
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
	return fault.New(fault.NotFound, "User %q does not exist.", user)
}

// StandingsOf returns a page of a user's standings on every board that the
// caller may read, each in the current run of the board's default period.
func (r *Reader) StandingsOf(ctx context.Context, who access.Caller, user string, after *LinkPlace, limit int) (Page[Report, LinkPlace], error) {
	page := Page[Report, LinkPlace]{}
	if !userID.MatchString(user) {
		return page, noUser(user)
	}
	players, err := r.Tables.PlayersOf(ctx, user, viewOf(who), after, limit+1)
	if err != nil {
		return page, err
	}
	if len(players) > limit {
		players = players[:limit]
		page.Next = &LinkPlace{players[limit-1].Board.ID, players[limit-1].Player}
	}
	var wanted []StandingQuery
	for _, p := range players {
		s, err := r.run(p.Board, Select{})
		if fault.Is(err, fault.NotFound) { // no season contains this instant
			continue
		}
		if err != nil {
			return page, err
		}
		wanted = append(wanted, StandingQuery{Board: p.Board, Run: s, Player: p.Player})
	}
	if len(wanted) == 0 {
		return page, nil
	}
	found, err := r.Tables.Standings(ctx, wanted)
	for _, f := range found {
		// A closed period keeps the status that the player had when it closed.
		i := slices.IndexFunc(players, func(p OwnedPlayer) bool { return p.Board.ID == f.Board && p.Player == f.Player })
		if f.Status != Hidden || players[i].Board.sight(who, read).hidden {
			page.Items = append(page.Items, f)
			page.Places = append(page.Places, LinkPlace{f.Board, f.Player})
		}
	}
	return page, err
}

// EntriesOfUser returns a page of a user's entries on every board that the
// caller may read; those of one batch, if it is not empty.
func (r *Reader) EntriesOfUser(ctx context.Context, who access.Caller, user, batch string, after *EntryPlace, limit int) (Page[NamedEntry, EntryPlace], error) {
	if !userID.MatchString(user) {
		return Page[NamedEntry, EntryPlace]{}, noUser(user)
	}
	if batch == "" && who.Notifies() {
		return Page[NamedEntry, EntryPlace]{}, fault.Field(fault.Forbidden, "batch", "The key of the function that sends mail reads a user's entries of one batch only: send the parameter.")
	}
	found, err := r.Tables.EntriesOf(ctx, user, batch, viewOf(who), after, limit+1)
	return entryPage(found, limit, func(e OwnedEntry) sight {
		s := sight{people: e.SeesPeople, hidden: e.SeesAll, metadata: e.SeesAll && !who.Notifies()}
		// In a list of one's own, every player is one's own.
		if who.User == user && who.Scoped(scopes[read], e.Board) {
			s.user, s.registered = user, true
		}
		return s
	}), err
}

var actorName = regexp.MustCompile(`^(user|key)/[A-Za-z0-9-]{1,64}$`)

// CheckBatch adds a fault unless the batch is empty or has the form of a batch's id.
func CheckBatch(faults *fault.List, batch string) {
	if batch != "" && !ValidEntry(batch) {
		faults.Add("batch", "must be a batch's id")
	}
}

// Check puts the filter's texts into their normal form and adds every fault of
// the filter, by the names of the API's parameters.
func (f *EntryFilter) Check(faults *fault.List) {
	if f.Player != "" && !ValidPlayer(f.Player) {
		faults.Add("player", "must be a player's id")
	}
	CheckBatch(faults, f.Batch)
	if f.Actor != "" && !actorName.MatchString(f.Actor) {
		faults.Add("actor", "must be user/<id> or key/<id>")
	}
	if f.Reason != "" {
		f.Reason = text.Normal(f.Reason)
		checkText(faults, "reason", f.Reason, maxReason)
	}
	if f.Kind != "" {
		oneOf(faults, "kind", f.Kind, Result, Adjustment, Import, Reversal)
	}
}

// Check puts the filter's country into upper case and adds every fault of the
// filter, by the names of the API's parameters.
func (f *Filter) Check(faults *fault.List) {
	if slices.ContainsFunc(f.Players, func(id string) bool { return !ValidPlayer(id) }) {
		faults.Add("players", "must be players' ids separated by commas")
	}
	if len(f.Players) > maxPlayers {
		faults.Add("players", "must list at most %d players", maxPlayers)
	}
	if f.Min != nil {
		checkPoints(faults, "min", *f.Min)
	}
	if f.Max != nil {
		checkPoints(faults, "max", *f.Max)
	}
	if f.Country != "" {
		f.Country = upperCountry(f.Country)
		checkCountry(faults, "country", f.Country)
	}
}

// maxPlayers is how many players a request for standings may list.
const maxPlayers = 1000
