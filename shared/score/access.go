package score

import (
	"context"
	"slices"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// right is what a caller may do on a board. Each right includes the ones before
// it.
type right int

const (
	nothing right = iota
	read
	write
	own
)

// rightOf returns the caller's right according to the board's lists and the
// caller's role. An auditor reads everything and changes nothing, even if
// listed as an owner or a writer.
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

// scopes holds the scope that an API key needs for each right, in addition to
// its owner's right.
var scopes = map[right]string{read: access.ScopeRead, write: access.ScopeEntries, own: access.ScopeBoards}

// Directory looks up boards and the users linked to their players.
type Directory interface {
	// Board returns the current board, or a fault of kind NotFound.
	Board(ctx context.Context, id string) (Board, error)
	// Linked reports whether one of the board's players belongs to the user.
	Linked(ctx context.Context, board, user string) (bool, error)
}

// permit returns nil if the caller has the wanted right on the board. Callers
// who may not know that the board exists get a 404, all others a 403.
func permit(ctx context.Context, dir Directory, b Board, c access.Caller, want right) error {
	has := b.rightOf(c)
	public := b.Published()
	if has == nothing && !b.Public && b.State != Draft && !c.Anonymous() {
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
	case public && want == read, has >= want && c.Scoped(scopes[want], b.ID):
		return nil
	case !public && !(has >= read && anyScope):
		return NoBoard(b.ID)
	case c.Role == access.Service && has >= want:
		return fault.New(fault.Forbidden, "This API key needs the scope %s on this board.", scopes[want])
	case want == write:
		return fault.New(fault.Forbidden, "Only the board's owners and writers may do this. Ask an owner to make you a writer.")
	}
	return fault.New(fault.Forbidden, "Only the board's owners may do this. Ask an owner to do it, or to make you an owner.")
}
