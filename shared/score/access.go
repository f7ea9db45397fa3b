package score

import (
	"context"
	"slices"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// right is what somebody may do on a board; each includes the ones before it.
type right int

const (
	nothing right = iota
	read
	write
	own
)

// rightOf gives the caller's right by the board's own lists and their role. An
// auditor reads everything and changes nothing, whatever list they stand in.
func (b Board) rightOf(c access.Caller) right {
	switch {
	case c.Anonymous():
		return nothing
	case c.Rights() == access.Auditor:
		return read
	case c.Rights() == access.Admin, slices.Contains(b.Owners, c.User):
		return own
	case slices.Contains(b.Writers, c.User):
		return write
	case slices.Contains(b.Viewers, c.User):
		return read
	}
	return nothing
}

// scopes is what an API key needs for each right, beside its owner's right.
var scopes = map[right]string{read: "read", write: "entries:write", own: "boards:write"}

// Directory finds boards, and who is linked to their players.
type Directory interface {
	// Board gives the board as it is now; a fault of kind NotFound where there
	// is none.
	Board(ctx context.Context, id string) (Board, error)
	// Linked says whether a player of the board belongs to the user.
	Linked(ctx context.Context, board, user string) (bool, error)
}

// permit answers nil where the caller may do on the board what they want. It
// is a 404 for those who may not know that the board exists, else a 403.
func permit(ctx context.Context, dir Directory, b Board, c access.Caller, want right) error {
	has := b.rightOf(c)
	if has == nothing && !b.Public && !c.Anonymous() {
		linked, err := dir.Linked(ctx, b.ID, c.User)
		if err != nil {
			return err
		}
		if linked {
			has = read
		}
	}
	anyScope := c.Scoped(scopes[read], b.ID) || c.Scoped(scopes[write], b.ID) || c.Scoped(scopes[own], b.ID)
	switch {
	case b.Public && want == read, has >= want && c.Scoped(scopes[want], b.ID):
		return nil
	case !b.Public && !(has >= read && anyScope):
		return NoBoard(b.ID)
	case c.Role == access.Service && has >= want:
		return fault.New(fault.Forbidden, "The API key lacks the scope %s on this board.", scopes[want])
	case want == write:
		return fault.New(fault.Forbidden, "Only the board's owners and writers may add to it. An owner can make you a writer.")
	}
	return fault.New(fault.Forbidden, "Only the board's owners may change it.")
}
