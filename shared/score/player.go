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
	User        *string           `json:"user"` // id of the linked user
	Status      Status            `json:"status"`
	Note        *string           `json:"note"` // reason for the status
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
// written; otherwise one of Stale and TooManyAttributes is.
type PlayerOutcome struct {
	Player            *Player
	Made              bool // the player was created
	Stale             *Board
	TooManyAttributes bool
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
		if err := b.checkOpen(); err != nil {
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
			return Player{}, false, badField("attributes", "must not bring the player to more than %d attributes: clear others with null", maxAttributes)
		default:
			return *out.Player, out.Made, nil
		}
	}
	return Player{}, false, &fault.Error{Kind: fault.Busy, RetryAfter: time.Second, Detail: "The board kept changing. Repeat the request."}
}

// Player returns a player of the board, if the caller may read it. Hidden
// players are shown only to callers who pass seesAll.
func (r *Reader) Player(ctx context.Context, who access.Caller, board, player string) (Player, error) {
	b, err := r.Board(ctx, who, board)
	if err != nil {
		return Player{}, err
	}
	missing := fault.New(fault.NotFound, "Board %q has no player %q.", board, player)
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
