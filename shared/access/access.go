// Package access describes callers and what their tokens allow. It knows
// nothing of HTTP or of how a token is signed.
package access

import "slices"

// Role is what an account may do. Anonymous callers have none.
type Role string

// The roles.
const (
	Member    Role = "member"
	Organizer Role = "organizer" // may create boards
	Auditor   Role = "auditor"   // reads everything, changes nothing
	Admin     Role = "admin"     // acts as the owner of every board
	Service   Role = "service"   // an API key
)

// Valid reports whether an account may have the role.
func (r Role) Valid() bool {
	return r == Member || r == Organizer || r == Auditor || r == Admin
}

// The scopes that an API key may have.
const (
	ScopeRead    = "read"          // read what its owner may read
	ScopeEntries = "entries:write" // add entries, change players
	ScopeBoards  = "boards:write"  // create and change boards
	ScopeEvents  = "events:write"  // add events to the audit log
)

// Caller is the sender of a request, as their access token states. The zero
// Caller is anonymous.
type Caller struct {
	// User is the account's id. For an API key it is the id of the key's owner.
	User string
	Role Role
	// Session is the id of the token's session; empty for a key.
	Session string
	// Key is the API key's id. Scopes and Boards limit the key; no boards means
	// every board of its owner. Owner is the role that the owner had when the
	// token was issued. All are empty for a person.
	Key    string
	Scopes []string
	Boards []string
	Owner  Role
}

// Anonymous reports whether the caller sent no token.
func (c Caller) Anonymous() bool { return c.User == "" }

// Actor returns the name under which the caller's changes are recorded:
// `user/<id>` or `key/<id>`. It is empty for anonymous callers.
func (c Caller) Actor() string {
	switch {
	case c.Key != "":
		return "key/" + c.Key
	case c.User != "":
		return "user/" + c.User
	}
	return ""
}

// Rights returns the role that decides what the caller may do. A key has the
// role of its owner.
func (c Caller) Rights() Role {
	if c.Role == Service {
		return c.Owner
	}
	return c.Role
}

// Scoped reports whether the caller's token covers the scope on the board. A
// person's token covers everything. board is empty if the request concerns no
// board.
func (c Caller) Scoped(scope, board string) bool {
	if c.Role != Service {
		return true
	}
	return slices.Contains(c.Scopes, scope) &&
		(len(c.Boards) == 0 || board == "" || slices.Contains(c.Boards, board))
}
