package score

import (
	"context"
	"slices"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
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
	case c.Rights() == access.Auditor, c.Notifies():
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

// readsAll reports whether the caller may read every board. A mail may be about any.
func readsAll(c access.Caller) bool {
	return c.Rights() == access.Admin || c.Rights() == access.Auditor || c.Notifies()
}

// scopes holds the scope that an API key needs for each right, in addition to
// its owner's right.
var scopes = map[right]string{read: access.ScopeRead, write: access.ScopeEntries, own: access.ScopeBoards}

// covers reports whether the caller's token covers the right on the board. Notify's own
// key has another scope, which covers reading.
func covers(c access.Caller, wanted right, board string) bool {
	return c.Scoped(scopes[wanted], board) || wanted == read && c.Notifies()
}

// coversAny reports whether the caller's token covers anything on the board.
func coversAny(c access.Caller, board string) bool {
	return covers(c, read, board) || covers(c, write, board) || covers(c, own, board)
}

// Directory looks up boards.
type Directory interface {
	// Board returns the current board if the visitor may know of it, else a fault of
	// kind NotFound. A board that the visitor may not know of takes the same work as
	// one that does not exist.
	Board(ctx context.Context, id string, v Visitor) (Found, error)
}

// Visitor is the user for whom a board is looked up. The zero Visitor is anybody.
type Visitor struct {
	User     string
	ReadsAll bool // User may read every board
	// Own means that the request is for User's own player, if the players' ids are
	// users' ids.
	Own bool
}

// Found is a board and what the visitor is to it, other than by its lists. A store
// may leave the fields below false if the visitor may know of the board without them.
type Found struct {
	Board
	Linked bool // the user has accepted a link to one of the players
	Own    bool // the visitor's own player is on the board
}

// find looks the board up for the caller, unless its id is malformed. A request for
// one player only names the player; its board may then be found by that player alone.
func find(ctx context.Context, dir Directory, c access.Caller, board, player string) (Found, error) {
	if !id.Board(board) {
		return Found{}, NoBoard(board)
	}
	v := Visitor{}
	if !c.Anonymous() && coversAny(c, board) {
		v = Visitor{User: c.User, ReadsAll: readsAll(c), Own: player == c.User && c.Scoped(scopes[read], board)}
	}
	return dir.Board(ctx, board, v)
}

// permit returns nil if the caller has the wanted right on the board. Callers
// who may not know that the board exists get a 404, all others a 403.
func permit(b Found, c access.Caller, want right) error {
	has := b.rightOf(c)
	public := b.Published()
	if has == nothing && b.State != Draft && (b.Linked || b.Own) {
		has = read
	}
	switch {
	case public && want == read, has >= want && covers(c, want, b.ID):
		return nil
	case !public && !(has >= read && coversAny(c, b.ID)):
		return NoBoard(b.ID)
	case c.Role == access.Service && has >= want:
		return fault.New(fault.Forbidden, "This API key needs the scope %s on this board.", scopes[want])
	case want == write:
		return fault.New(fault.Forbidden, "Only the board's owners and writers may do this. Ask an owner to make you a writer.")
	}
	return fault.New(fault.Forbidden, "Only the board's owners may do this. Ask an owner to do it, or to make you an owner.")
}

// sight is what a caller sees of a board, its players and their entries, apart from
// what all readers of the board see. It has one flag for each group of callers; board,
// player and entry say what each sees.
type sight struct {
	user       string // whose own players these are; empty for nobody
	registered bool   // a player belongs to the user whose id it has
	onlyOwn    bool   // of the board, the caller may know nothing but their own player

	people    bool // the caller is one of the people with rights on the board
	hidden    bool // and sees hidden players
	metadata  bool // and sees the metadata of entries
	proposals bool // and sees who was asked to be which player
}

// sight returns what the caller sees with the scope that the wanted right needs.
func (b Board) sight(c access.Caller, want right) sight {
	if !covers(c, want, b.ID) {
		return sight{}
	}
	if c.Notifies() {
		return sight{people: true, hidden: true}
	}
	has, auditor := b.rightOf(c), c.Rights() == access.Auditor
	return sight{
		user: c.User, registered: b.Players == RegisteredPlayers,
		people:    has >= read,
		hidden:    has >= write || auditor,
		metadata:  has >= write || auditor,
		proposals: has == own && (c.Scoped(scopes[read], b.ID) || c.Scoped(scopes[own], b.ID)) || auditor,
	}
}

// owns reports whether a player is the caller's own. user is who has accepted the link
// to it; empty for nobody.
func (s sight) owns(player, user string) bool {
	return s.user != "" && (user == s.user || s.registered && player == s.user)
}

// board returns the board without what the caller does not see: its people.
func (s sight) board(b Board) Board {
	if !s.people {
		b.Owners, b.Writers, b.Viewers = nil, nil, nil
	}
	return b
}

// player returns the player without what the caller does not see; ok is false if the
// caller must not know of the player.
func (s sight) player(p Player) (seen Player, ok bool) {
	user := ""
	if p.User != nil {
		user = *p.User
	}
	mine := s.owns(p.ID, user)
	if p.Status == Hidden && !s.hidden || s.onlyOwn && !mine {
		return Player{}, false
	}
	if !s.people && !mine {
		p.User, p.Note = nil, nil
	}
	if !s.proposals {
		p.ProposedUser, p.LinkState = nil, nil
	}
	return p, true
}

// entry returns the entry without what the caller does not see; ok is false if the
// caller must not know of its player.
func (s sight) entry(e OwnedEntry) (seen NamedEntry, ok bool) {
	mine := s.owns(e.Player, e.User)
	if e.Hidden && !s.hidden || s.onlyOwn && !mine {
		return NamedEntry{}, false
	}
	if !s.people {
		e.Actor = ""
	}
	if !s.metadata && !mine {
		e.Metadata = ""
	}
	return e.NamedEntry, true
}
