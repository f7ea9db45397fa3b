package score

import (
	"context"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// LinkState is what became of the proposal that a user is a player.
type LinkState string

// The states. A user may also accept what they have declined, until an owner withdraws
// the proposal or proposes somebody else.
const (
	LinkProposed LinkState = "proposed"
	LinkAccepted LinkState = "accepted" // the link is in force
	LinkDeclined LinkState = "declined" // by the user, or ended by them
)

// MaxProposals is how many proposals may reach a user within 24 hours, over all boards.
// The database function that counts them has the same number.
const MaxProposals = 20

// Link is a link as its user sees it. Its JSON form is the API's.
type Link struct {
	Board      string    `json:"board"`
	Title      string    `json:"title"` // of the board
	Player     string    `json:"player"`
	State      LinkState `json:"state"`
	ProposedBy *string   `json:"proposed_by"` // the id of the user who proposed it; nil: unknown
	ProposedAt time.Time `json:"proposed_at"`
}

// Place returns the link's place in the user's list.
func (l Link) Place() LinkPlace { return LinkPlace{l.Board, l.Player} }

// profileUser is the field of an entry that proposes a link.
const profileUser = "profile.user"

// proposes reports whether the submission proposes or ends a link.
func (in Submission) proposes() bool { return in.Profile != nil && in.Profile.User.Set }

// permitLink returns nil if the caller may propose and end links of the board's
// players. Its refusal names the field.
func permitLink(b Found, c access.Caller, field string) error {
	err := permit(b, c, own)
	if f, ok := fault.As(err); ok && f.Kind == fault.Forbidden {
		f.Field = field
	}
	return err
}

// permitChange returns nil if the caller may change the player so. A link is a matter
// for owners, and everything else for writers.
func permitChange(b Found, who access.Caller, c PlayerChange) error {
	if !c.User.Set {
		return permit(b, who, write)
	}
	if len(c.Patch()) > 1 {
		if err := permit(b, who, write); err != nil {
			return err
		}
	}
	return permitLink(b, who, "user")
}

// ofLink returns the fault for a refused proposal, which names the field.
func (r Refusal) ofLink(field, player string) error {
	if r.Reason == ProposalDeclined {
		return fault.Field(fault.LinkDeclined, field, "This user has declined to be player %q, and only they can still accept. Propose somebody else, or leave the field out.", player)
	}
	f := fault.Field(fault.TooManyRequests, field, "At most %d proposals may reach a user within 24 hours, over all boards. Propose this user later.", MaxProposals)
	f.RetryAfter = r.RetryAfter
	return f
}

func noLink(board, player string) error {
	return fault.New(fault.NotFound, "Nobody has proposed that you are player %q of board %q.", player, board)
}

// LinksOf returns a page of the caller's own links.
func (r *Reader) LinksOf(ctx context.Context, who access.Caller, after *LinkPlace, limit int) (Page[Link, LinkPlace], error) {
	found, err := r.Tables.LinksOf(ctx, who.User, after, limit+1)
	page := Page[Link, LinkPlace]{Items: found[:min(limit, len(found))]}
	for _, l := range page.Items {
		page.Places = append(page.Places, l.Place())
	}
	if len(found) > limit {
		page.Next = &page.Places[limit-1]
	}
	return page, err
}

// AcceptLink puts the link into force that proposes the caller as the player.
func (s *Boards) AcceptLink(ctx context.Context, who access.Caller, board, player string) (Link, error) {
	if !id.Board(board) || !ValidPlayer(player) {
		return Link{}, noLink(board, player)
	}
	l, ok, err := s.Registry.AcceptLink(ctx, board, player, who.User, who.Actor())
	if err == nil && !ok {
		err = noLink(board, player)
	}
	return l, err
}

// EndLink ends the caller's link to the player, or declines its proposal. Owners cannot
// propose it again.
func (s *Boards) EndLink(ctx context.Context, who access.Caller, board, player string) error {
	if !id.Board(board) || !ValidPlayer(player) {
		return noLink(board, player)
	}
	ok, err := s.Registry.EndLink(ctx, board, player, who.User, who.Actor())
	if err == nil && !ok {
		err = noLink(board, player)
	}
	return err
}
