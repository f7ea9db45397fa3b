package score

import (
	"context"
	"slices"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/text"
)

// Player is a competitor on a board. Its JSON form is the API's.
type Player struct {
	Board       string            `json:"board"`
	ID          string            `json:"player"`
	DisplayName *string           `json:"display_name"`
	Country     *string           `json:"country"`
	Attributes  map[string]string `json:"attributes"`
	User        *string           `json:"user"` // id of the user who has accepted the link
	Status      Status            `json:"status"`
	Note        *string           `json:"note"` // reason for the status
	// ProposedUser is the id of the user to whom a link was proposed last, and LinkState
	// is what became of it: proposed, accepted or declined. They are for owners only.
	ProposedUser *string `json:"proposed_user"`
	LinkState    *string `json:"link_state"`
}

// PlayerChange is a change of a player. Absent fields stay.
type PlayerChange struct {
	Profile
	Status *Status
	Note   Text
}

// normalise puts the change's texts into the form that is checked, compared and
// kept.
func (p *PlayerChange) normalise(faults *fault.List) {
	p.Profile.normalise(faults, "")
	p.Note.Value = inForm(p.Note.Value, text.NormalNote)
}

// check adds every fault of the change that does not depend on its board.
func (p *PlayerChange) check(faults *fault.List, player string) {
	if !ValidPlayer(player) {
		faults.Add("player", playerForm)
	}
	p.Profile.check(faults, "")
	if p.Status != nil {
		oneOf(faults, "status", *p.Status, statuses...)
	}
	if p.Note.Value != nil {
		checkNote(faults, "note", *p.Note.Value)
	}
}

// Patch returns the change as a JSON merge patch (RFC 7396) of the player.
func (p *PlayerChange) Patch() map[string]any {
	patch := p.Profile.Patch()
	if p.Status != nil {
		patch["status"] = *p.Status
	}
	if p.Note.Set {
		patch["note"] = p.Note.Value
	}
	return patch
}

// PlayerOutcome is the result of a change of a player. Player is set if it was
// written; otherwise one of Stale and Refusal is.
type PlayerOutcome struct {
	Player  *Player
	Made    bool // the player was created
	Stale   *Board
	Refusal *Refusal
}

// ChangePlayer creates a player or changes an existing one. Closed periods do
// not change. faults holds the faults found while the request was decoded; they
// are reported together with any others.
func (s *Boards) ChangePlayer(ctx context.Context, who access.Caller, board, player string, faults fault.List, c PlayerChange) (p Player, made bool, err error) {
	faults = slices.Clone(faults)
	c.normalise(&faults)
	c.check(&faults, player)
	if err := faults.Err(); err != nil {
		return Player{}, false, err
	}
	b, err := find(ctx, s.Registry, who, board, "")
	if err != nil {
		return Player{}, false, err
	}
	for range attempts {
		if err := permitChange(b, who, c); err != nil {
			return Player{}, false, err
		}
		var faults fault.List
		b.checkPlayer(&faults, player, &c.Profile, "")
		if err := faults.Err(); err != nil {
			return Player{}, false, err
		}
		if err := b.checkOpen(); err != nil {
			return Player{}, false, err
		}
		out, err := s.Registry.ChangePlayer(ctx, b.Board, player, c, who)
		switch {
		case err != nil:
			return Player{}, false, err
		case out.Stale != nil:
			b.Board = *out.Stale
		case out.Refusal != nil && out.Refusal.Reason == TooManyAttributes:
			return Player{}, false, badField("attributes", "must not bring the player to more than %d attributes: clear others with null", maxAttributes)
		case out.Refusal != nil:
			return Player{}, false, out.Refusal.ofLink("user", player)
		default:
			p, _ := b.sight(who, write).player(*out.Player) // writers see every player
			return p, out.Made, nil
		}
	}
	return Player{}, false, &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "The board kept changing. Repeat the request."}
}

// ErasureStep is the result of a step of an erasure. If Stale is set or Missing is
// true, nothing was written.
type ErasureStep struct {
	Stale   *Board
	Missing bool   // the board has no such player
	More    bool   // there is more to erase
	After   string // where this step ended
}

// erasurePatience leaves a function time for one more step and for its answer.
const erasurePatience = 5 * time.Second

// ErasePlayer erases the personal data of a player, whatever the state of the board:
// name, country, attributes, the note of the status, the link to a user, and the
// metadata of the entries. If nothing is left, it does nothing. A player can have more
// entries than one request has time for: then the fault is Unfinished, and the same
// request goes on where this one ended.
func (s *Boards) ErasePlayer(ctx context.Context, who access.Caller, board, player string) error {
	b, err := find(ctx, s.Registry, who, board, "")
	if err != nil {
		return err
	}
	patience := s.Patience
	if patience == 0 {
		patience = erasurePatience
	}
	start := time.Now()
	begun, after := false, ""
	for tries := 0; tries < attempts; {
		if err := permit(b, who, own); err != nil {
			return err
		}
		if !ValidPlayer(player) {
			return noPlayer(board, player)
		}
		step, err := s.Registry.ErasePlayer(ctx, b.Board, player, after, who)
		switch {
		case begun && (fault.Is(err, fault.Timeout) || fault.Is(err, fault.Busy)):
			return unfinished(err) // these say that nothing was written
		case err != nil:
			return err
		case step.Stale != nil:
			b.Board = *step.Stale
			tries++
		case step.Missing:
			return noPlayer(board, player)
		case !step.More:
			return nil
		case time.Since(start) >= patience:
			return unfinished(nil)
		default:
			begun, after = true, step.After
		}
	}
	return &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "The board kept changing. Repeat the request."}
}

func unfinished(cause error) error {
	return &fault.Error{
		Kind: fault.Unfinished, RetryAfter: time.Second, Cause: cause,
		Detail: "The player has more entries than one request has time for. What was erased stays erased. Repeat the request until the answer is a 204.",
	}
}

func noPlayer(board, player string) error {
	return fault.New(fault.NotFound, "Board %q has no player %q.", board, player)
}

// Player returns a player of the board, as far as the caller may see.
func (r *Reader) Player(ctx context.Context, who access.Caller, board, player string) (Player, error) {
	b, sees, err := r.open(ctx, who, board, player)
	if err != nil {
		return Player{}, err
	}
	missing := noPlayer(board, player)
	if !ValidPlayer(player) {
		return Player{}, missing
	}
	p, ok, err := r.Tables.Player(ctx, b.ID, player)
	if err != nil {
		return Player{}, err
	}
	if ok {
		p, ok = sees.player(p)
	}
	if !ok {
		return Player{}, missing
	}
	return p, nil
}

// PlayerFilter selects players of a board. Empty fields select all.
type PlayerFilter struct {
	Statuses []Status
	Search   string // the beginning of the display name, ignoring case
	Category string // name:value
}

// Check adds every fault of the filter that does not depend on its board, by the
// names of the API's parameters.
func (f PlayerFilter) Check(faults *fault.List) {
	if slices.ContainsFunc(f.Statuses, func(s Status) bool { return !slices.Contains(statuses, s) }) {
		faults.Add("status", "must be statuses separated by commas: %s", list(statuses))
	}
}

// PlayerPlace is where a page of players ends. A search lists players in the order
// of their lower-case names, any other list in the order of ids.
type PlayerPlace struct {
	Name string `json:"n,omitempty"`
	ID   string `json:"p"`
}

// PlacedPlayer is a player in a list.
type PlacedPlayer struct {
	Player
	Place PlayerPlace
}

// Players returns a page of the board's players, and the board, as far as the caller
// may see.
func (r *Reader) Players(ctx context.Context, who access.Caller, board string, f PlayerFilter, after *PlayerPlace, limit int) (Board, Page[Player, PlayerPlace], error) {
	page := Page[Player, PlayerPlace]{}
	b, sees, err := r.open(ctx, who, board, "")
	if err != nil {
		return Board{}, page, err
	}
	c, err := b.category(f.Category)
	if err != nil {
		return Board{}, page, err
	}
	found, err := r.Tables.Players(ctx, b.ID, f, c, sees.hidden, after, limit+1)
	for _, p := range found[:min(limit, len(found))] {
		if seen, ok := sees.player(p.Player); ok {
			page.Items = append(page.Items, seen)
			page.Places = append(page.Places, p.Place)
		}
	}
	if len(found) > limit {
		page.Next = &found[limit-1].Place
	}
	return sees.board(b), page, err
}

// CategoryCount is a value of one of a board's categories and the number of players
// who have it.
type CategoryCount struct {
	Category
	Players int64
}

// CategoryPlace is where a page of a board's categories ends.
type CategoryPlace struct {
	No    int    `json:"n"` // of the category
	Value string `json:"v"`
}

// Categories returns a page of the values of the named category or, if the name is
// empty, of all of the board's categories. Hidden players count only for callers who
// see them.
func (r *Reader) Categories(ctx context.Context, who access.Caller, board, name string, after *CategoryPlace, limit int) (Page[CategoryCount, CategoryPlace], error) {
	page := Page[CategoryCount, CategoryPlace]{}
	b, sees, err := r.open(ctx, who, board, "")
	if err != nil {
		return page, err
	}
	if name != "" {
		i := indexOf(b.Categories, name)
		switch {
		case len(b.Categories) == 0:
			return page, badField("name", "is not allowed, because the board has no categories")
		case i < 0:
			return page, badField("name", "must be one of the board's categories: %s", list(b.Categories))
		}
		name = b.Categories[i]
	}
	found, err := r.Tables.Categories(ctx, b, name, sees.hidden, after, limit+1)
	for _, c := range found[:min(limit, len(found))] {
		page.Items = append(page.Items, c)
		page.Places = append(page.Places, CategoryPlace{c.No, c.Value})
	}
	if len(found) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}
