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

// ScopeNotify is the scope of notify's own key, which is no account's and whose secret
// is a part of the configuration. Nobody can create a key with it.
const ScopeNotify = "notify"

// Notify returns the caller that sends mail: the function notify, with its own key.
func Notify() Caller {
	return Caller{User: "notify", Role: Service, Key: "notify", Scopes: []string{ScopeNotify}}
}

// Caller is the sender of a request, as their access token states. The zero
// Caller is anonymous.
type Caller struct {
	// User is the account's id. For an API key it is the id of the key's owner, for
	// notify's own key "notify".
	User string
	Role Role
	// Session is the id of the token's session; empty for a key.
	Session string
	// Key is the API key's id. Scopes and Boards limit the key; no boards means
	// every board of its owner. Owner is the role that the owner had when the
	// token was issued. All are empty for a person. Notify's own key has no owner.
	Key    string
	Scopes []string
	Boards []string
	Owner  Role
}

// Notifies reports whether the caller is the one that sends mail. It has no role and no
// other scope: whatever it may do, a rule names it.
func (c Caller) Notifies() bool {
	return c.Role == Service && slices.Contains(c.Scopes, ScopeNotify)
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
