package score

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Registry keeps boards and players.
type Registry interface {
	Directory
	// Create inserts a new board and its event, unless a limit of c is reached or
	// the id is taken, which it counts. Of requests of one user at once, no more
	// than a limit allows succeed.
	Create(ctx context.Context, c Creation) (CreationOutcome, error)
	// Change writes the board and its event, unless the board has changed since
	// c.Board.Version.
	Change(ctx context.Context, c Change) (ChangeOutcome, error)
	// ChangePlayer creates or changes a player and their standings in the open
	// periods, and inserts the events. If b is out of date, it writes nothing.
	ChangePlayer(ctx context.Context, b Board, player string, c PlayerChange, who access.Caller) (PlayerOutcome, error)
	// AcceptLink puts the link into force that proposes the user as the player; ok is
	// false if there is none, or the board is a draft.
	AcceptLink(ctx context.Context, board, player, user, actor string) (l Link, ok bool, err error)
	// EndLink ends the user's link to the player, or declines its proposal, for good;
	// ok is false if there is neither, or the board is a draft.
	EndLink(ctx context.Context, board, player, user, actor string) (ok bool, err error)
	// ErasePlayer does a step of the erasure of a player's personal data; the last
	// step inserts the event. after is where the previous step ended, empty for the
	// first one. If b is out of date, it writes nothing.
	ErasePlayer(ctx context.Context, b Board, player, after string, who access.Caller) (ErasureStep, error)
}

// Creation is a new board and the limits of its creation.
type Creation struct {
	Board    Board
	User     string // who creates the board; of an API key its owner
	Actor    string
	Boards   int // how many boards the user may have created; 0 means any number
	Refusals int // how many ids that are taken the user may try in an hour; 0 means any number
}

// CreationOutcome is the result of a creation. Board is the board as stored. If one of
// the other fields is set, no board was written. Wait and Full do not depend on the
// board's id.
type CreationOutcome struct {
	Board Board
	Wait  time.Duration // until the user may try again: the refusals are used up
	Full  bool          // the user has created as many boards as they may
	Taken bool          // another board has the id
}

// Change is a change of a board. Concurrent adds see all of it or nothing.
type Change struct {
	Board     Board             // the new board, still with the old version
	Changes   map[string]FromTo // the fields that differ, by their names in the API
	NoEntries bool              // refuse the change if the board has entries
	Actor     string
}

// FromTo is the change of one field, both values as JSON.
type FromTo struct {
	From json.RawMessage `json:"from"`
	To   json.RawMessage `json:"to"`
}

// ChangeOutcome is the result of a change. Board is the current board. If one
// of the flags is set, nothing was written.
type ChangeOutcome struct {
	Board      Board
	Stale      bool // the board had changed
	HasEntries bool // the board has entries although NoEntries was set
	HasPlayers bool // the board has players and was to switch to registered ones
}

// Boards creates and changes boards and their players.
type Boards struct {
	Registry Registry
	// Patience is how long one request goes on with an erasure, see ErasePlayer. 0
	// means 5 s; with less than 0 a request does one step.
	Patience time.Duration
	Quotas   Quotas
}

// Quotas limit what an account can store. 0 means no limit.
type Quotas struct {
	Boards    int // boards that an account has created, in any state
	Catalogue int // bytes of a board's catalogue as compact JSON, at most MaxCatalogue
}

// MaxCatalogue is the largest limit of a catalogue. The event of a board's change has the
// catalogue before and after it, and the audit log takes no event of more than 350,000
// bytes.
const MaxCatalogue = 140_000

// maxRefusals is how many ids that are taken an account may try in an hour. A refusal
// reveals that a board has the id, even if nobody may know about the board. Admins know
// of every board anyway.
const maxRefusals = 20

// Create makes a board with the defaults, changed by set, owned by the caller.
// faults holds the faults found while the request was decoded; they are
// reported together with any others.
func (s *Boards) Create(ctx context.Context, who access.Caller, id string, faults fault.List, set func(*Board)) (Board, error) {
	b := NewBoard(id, who.User)
	set(&b)
	b.normalise(Board{}, &faults)
	b.check(&faults) // before people are added and repeated ones removed, so that limits and indexes are the client's
	b.Owners = append(b.Owners, who.User)
	b.tidy()
	if len(b.Owners) > maxPeople {
		faults.Add("owners", "must list at most %d users, including you, who create the board and become an owner: leave one out", maxPeople)
	}
	b.checkTogether(Board{}, &faults)
	if err := faults.Err(); err != nil {
		return Board{}, err
	}
	// The board does not exist yet, so a key limited to certain boards cannot
	// include it.
	if !who.Scoped(scopes[own], b.ID) {
		return Board{}, fault.New(fault.Forbidden, "This API key needs the scope %s on this board.", scopes[own])
	}
	if err := s.Quotas.checkCatalogue(nil, b.Catalogue); err != nil {
		return Board{}, err
	}
	refusals := maxRefusals
	if who.Rights() == access.Admin {
		refusals = 0
	}
	out, err := s.Registry.Create(ctx, Creation{Board: b, User: who.User, Actor: who.Actor(), Boards: s.Quotas.Boards, Refusals: refusals})
	switch {
	case err != nil:
		return Board{}, err
	case out.Wait > 0:
		return Board{}, &fault.Error{Kind: fault.TooManyRequests, RetryAfter: out.Wait,
			Detail: "You have tried too many ids that are not available. Wait before you create a board."}
	case out.Full:
		return Board{}, fault.New(fault.TooManyBoards, "You have created %d boards, which is the limit. Use one of them for something else, or ask the operator for a higher limit.", s.Quotas.Boards)
	case out.Taken:
		return Board{}, fault.Field(fault.IDUnavailable, "id", "The id %q is not available. Choose another id.", b.ID)
	}
	return out.Board, nil
}

// checkCatalogue returns a fault if the new catalogue is too large, unless it is no
// larger than the old one, which may be from before the limit.
func (q Quotas) checkCatalogue(old, new map[string]int64) error {
	if q.Catalogue == 0 {
		return nil
	}
	size, err := catalogueSize(new)
	if err != nil || size <= q.Catalogue {
		return err
	}
	before, err := catalogueSize(old)
	if err != nil || size <= before {
		return err
	}
	return fault.Field(fault.CatalogueTooLarge, "catalogue",
		"The catalogue has %d bytes as compact JSON, and must have at most %d. Shorten its reasons, or leave some out.", size, max(q.Catalogue, before))
}

// catalogueSize returns the number of bytes of a catalogue as compact JSON in UTF-8.
func catalogueSize(catalogue map[string]int64) (int, error) {
	if len(catalogue) == 0 {
		return 0, nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(catalogue)
	return text.Len() - len("\n"), err
}

// changeAttempts is how often a change is tried while others change the board.
// A try takes a few milliseconds; one caller among eight that never stop still
// gets through.
const changeAttempts = 100

// Change changes a board as set describes. If nothing differs, nothing is
// written and the version stays. For faults see Create.
func (s *Boards) Change(ctx context.Context, who access.Caller, id string, faults fault.List, set func(*Board)) (Board, error) {
	// Faults that do not depend on the board come before 404 and 403.
	probe := NewBoard("any", "any")
	set(&probe)
	probe.normalise(Board{}, &faults)
	probe.check(&faults)
	if len(probe.Owners) == 0 {
		faults.Add("owners", "must list at least one user")
	}
	if err := faults.Err(); err != nil {
		return Board{}, err
	}
	found, err := find(ctx, s.Registry, who, id, "")
	if err != nil {
		return Board{}, err
	}
	for range changeAttempts {
		if err := permit(found, who, own); err != nil {
			return Board{}, err
		}
		old := found.Board
		b := old.clone()
		set(&b)
		b.normalise(old, &faults)
		b.tidy()
		b.checkTogether(old, &faults)
		if err := faults.Err(); err != nil {
			return Board{}, err
		}
		if err := checkState(old.State, b.State); err != nil {
			return Board{}, err
		}
		if err := s.Quotas.checkCatalogue(old.Catalogue, b.Catalogue); err != nil {
			return Board{}, err
		}
		changes, err := differences(old, b)
		if err != nil {
			return Board{}, err
		}
		if len(changes) == 0 {
			return old, nil
		}
		fields := frozen(old, b)
		out, err := s.Registry.Change(ctx, Change{Board: b, Changes: changes, NoEntries: len(fields) > 0, Actor: who.Actor()})
		switch {
		case err != nil:
			return Board{}, err
		case out.Stale:
			found.Board = out.Board
		case out.HasEntries:
			return Board{}, inUse(fields)
		case out.HasPlayers:
			return Board{}, fault.Field(fault.BoardInUse, "players", "The board already has players, and their ids need not be users' ids. Create a new board for registered players.")
		default:
			return out.Board, nil
		}
	}
	return Board{}, &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "The board kept changing. Repeat the request."}
}

// checkState returns a fault unless a board may change from one state to the other.
func checkState(old, new State) error {
	switch {
	case old != Draft && new == Draft:
		return fault.Field(fault.BoardState, "state", "The board has been opened and cannot become a draft again. Create a new board as a draft.")
	case old == Draft && new == Closed:
		return fault.Field(fault.BoardState, "state", "A draft can only be opened or archived. Set its state to open first.")
	}
	return nil
}

func inUse(fields []string) error {
	f := fault.Field(fault.BoardInUse, fields[0], "The board has entries, so this can no longer change. Create a new board with other rules.")
	for _, name := range fields {
		f.Errors = append(f.Errors, fault.FieldFault{Field: name, Detail: "cannot change once the board has entries"})
	}
	return f
}

// differences returns the fields that differ, by their names in the API.
func differences(old, new Board) (map[string]FromTo, error) {
	from, err := fields(old)
	if err != nil {
		return nil, err
	}
	to, err := fields(new)
	if err != nil {
		return nil, err
	}
	changes := map[string]FromTo{}
	for name := range to {
		if !bytes.Equal(from[name], to[name]) {
			changes[name] = FromTo{from[name], to[name]}
		}
	}
	return changes, nil
}

func fields(b Board) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(text, &m)
}
