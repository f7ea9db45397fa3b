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
	// Create writes a new board and its event, and gives the board as it is
	// written; ok is false where the id is taken.
	Create(ctx context.Context, b Board, actor string) (created Board, ok bool, err error)
	// Change writes the board and its event where nobody changed it since
	// b.Version. Changes is the event's.
	Change(ctx context.Context, c Change) (ChangeOutcome, error)
	// ChangePlayer makes or changes a player, with their standings in the
	// periods that are open and the event, unless b is an old version of the
	// board: then it changes nothing. User is whom a player that is new
	// belongs to.
	ChangePlayer(ctx context.Context, b Board, player, user string, c PlayerChange, actor string) (PlayerOutcome, error)
}

// Change is a change of a board. No add sees half of it.
type Change struct {
	Board     Board             // as it is to be, its version still the old one
	Changes   map[string]FromTo // what differs, by the names of the API
	NoEntries bool              // the board must not have entries
	Actor     string
}

// FromTo is a change of a field, both as JSON.
type FromTo struct {
	From json.RawMessage `json:"from"`
	To   json.RawMessage `json:"to"`
}

// ChangeOutcome is what came of a change. Board is the board as it is now.
type ChangeOutcome struct {
	Board      Board
	Stale      bool // its version was another: nothing is written
	HasEntries bool // it has entries although it must not: nothing is written
	HasPlayers bool // it has players and was to become one of registered ones: nothing is written
}

// Boards makes and changes boards and their players.
type Boards struct {
	Registry Registry
}

// Create makes a board with the defaults, changed by set. Who makes it owns it.
// Faults are what was wrong with the request as it came, to be told with the
// rest.
func (s *Boards) Create(ctx context.Context, who access.Caller, id string, faults fault.List, set func(*Board)) (Board, error) {
	b := NewBoard(id, who.User)
	set(&b)
	b.Owners = append(b.Owners, who.User)
	b.tidy()
	b.check(&faults)
	b.checkTogether(Board{}, &faults)
	if err := faults.Err(); err != nil {
		return Board{}, err
	}
	// The board is not there yet, so a key that is cut to some boards cannot
	// mean it.
	if !who.Scoped(scopes[own], b.ID) {
		return Board{}, fault.New(fault.Forbidden, "The API key lacks the scope %s on this board.", scopes[own])
	}
	created, ok, err := s.Registry.Create(ctx, b, who.Actor())
	if err != nil {
		return Board{}, err
	}
	if !ok {
		return Board{}, fault.Field(fault.BoardTaken, "id", "There is a board %q already. Take another id.", b.ID)
	}
	return created, nil
}

// changeAttempts is how often a change is tried while others change the board.
// Each try is a few milliseconds, and of eight who never stop one gets through.
const changeAttempts = 100

// Change changes a board as set says. A change of nothing changes nothing, not
// even the version. Faults are as for Create.
func (s *Boards) Change(ctx context.Context, who access.Caller, id string, faults fault.List, set func(*Board)) (Board, error) {
	// What is wrong whatever the board says comes before the board.
	probe := NewBoard("any", who.User)
	set(&probe)
	probe.check(&faults)
	if err := faults.Err(); err != nil {
		return Board{}, err
	}
	old, err := findBoard(ctx, s.Registry, id)
	if err != nil {
		return Board{}, err
	}
	for range changeAttempts {
		if err := permit(ctx, s.Registry, old, who, own); err != nil {
			return Board{}, err
		}
		b := old.clone()
		set(&b)
		b.tidy()
		b.checkTogether(old, &faults)
		if err := faults.Err(); err != nil {
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
			old = out.Board
		case out.HasEntries:
			return Board{}, inUse(fields)
		case out.HasPlayers:
			return Board{}, fault.Field(fault.BoardInUse, "players", "The board has players already, who need not be users. Make a new board for registered players.")
		default:
			return out.Board, nil
		}
	}
	return Board{}, &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "Others are changing the board. Repeat the request."}
}

func inUse(fields []string) error {
	f := fault.Field(fault.BoardInUse, fields[0], "The board has entries, so this can no longer change. Make a new board for other rules.")
	for _, name := range fields {
		f.Errors = append(f.Errors, fault.FieldFault{Field: name, Detail: "cannot change once the board has entries"})
	}
	return f
}

// differences gives the fields that differ, by the names of the API.
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
