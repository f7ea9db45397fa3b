package score

import (
	"context"
	"slices"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Player is who has scores on a board. Its JSON is the API's.
type Player struct {
	Board       string            `json:"board"`
	ID          string            `json:"player"`
	DisplayName *string           `json:"display_name"`
	Country     *string           `json:"country"`
	Attributes  map[string]string `json:"attributes"`
	User        *string           `json:"user"` // id of the user that the player is
	Status      Status            `json:"status"`
	Note        *string           `json:"note"` // why the status is what it is
}

// PlayerChange is what is to become of a player. What is absent stays.
type PlayerChange struct {
	Profile
	Status *Status
	Note   Text
}

// check gives every fault that the change has whatever its board says.
func (p *PlayerChange) check(faults *fault.List, player string) {
	if !ValidPlayer(player) {
		faults.Add("player", playerForm)
	}
	p.Profile.check(faults, "")
	if p.Status != nil {
		oneOf(faults, "status", *p.Status, statuses...)
	}
	if p.Note.Value != nil {
		checkText(faults, "note", *p.Note.Value, maxNote)
	}
}

// Patch gives the change as a JSON merge patch (RFC 7396) of the player.
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

// PlayerOutcome is what came of a change of a player: exactly one of Player and
// Stale is set, unless the player would have more than 16 attributes.
type PlayerOutcome struct {
	Player            *Player
	Made              bool // the player is new
	Stale             *Board
	TooManyAttributes bool
}

// ChangePlayer makes a player, or changes one. Faults are what was wrong with the
// request as it came, to be told with the rest. Closed periods stay as they
// are.
func (s *Boards) ChangePlayer(ctx context.Context, who access.Caller, board, player string, faults fault.List, c PlayerChange) (p Player, made bool, err error) {
	faults = slices.Clone(faults)
	c.check(&faults, player)
	if err := faults.Err(); err != nil {
		return Player{}, false, err
	}
	b, err := findBoard(ctx, s.Registry, board)
	if err != nil {
		return Player{}, false, err
	}
	for range attempts {
		if err := permit(ctx, s.Registry, b, who, write); err != nil {
			return Player{}, false, err
		}
		var faults fault.List
		b.checkPlayer(&faults, player, &c.Profile, "")
		if err := faults.Err(); err != nil {
			return Player{}, false, err
		}
		if err := b.takes(); err != nil {
			return Player{}, false, err
		}
		user := ""
		if b.Players == RegisteredPlayers {
			user = player
		}
		out, err := s.Registry.ChangePlayer(ctx, b, player, user, c, who.Actor())
		switch {
		case err != nil:
			return Player{}, false, err
		case out.Stale != nil:
			b = *out.Stale
		case out.TooManyAttributes:
			return Player{}, false, badField("attributes", "would give the player more than %d attributes", maxAttributes)
		default:
			return *out.Player, out.Made, nil
		}
	}
	return Player{}, false, &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "The board is being changed. Repeat the request."}
}

// Player gives a player of the board, to who may read it; a hidden one only to
// those who see all of it.
func (r *Reader) Player(ctx context.Context, who access.Caller, board, player string) (Player, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Player{}, err
	}
	missing := fault.New(fault.NotFound, "There is no player %q on the board %q.", player, board)
	if !ValidPlayer(player) {
		return Player{}, missing
	}
	p, ok, err := r.Tables.Player(ctx, b.ID, player)
	if err != nil {
		return Player{}, err
	}
	if !ok || p.Status == Hidden && !b.seesAll(who) {
		return Player{}, missing
	}
	return p, nil
}
