// Package access says who is calling and what their token lets them do. It
// knows nothing of HTTP, and not how a token is signed.
package access

import "slices"

// Role is what an account may do. Anonymous callers have none.
type Role string

// The roles.
const (
	Member    Role = "member"
	Organizer Role = "organizer" // may make boards
	Auditor   Role = "auditor"   // reads everything, changes nothing
	Admin     Role = "admin"     // acts as owner everywhere
	Service   Role = "service"   // an API key
)

// Valid says whether an account may have the role.
func (r Role) Valid() bool {
	return r == Member || r == Organizer || r == Auditor || r == Admin
}

// Caller is who makes a request, as their access token says. The zero Caller
// is anonymous.
type Caller struct {
	// User is the account's id. A key acts for the user who made it.
	User string
	Role Role
	// Session is the session the token belongs to; empty for a key.
	Session string
	// Key is the API key's id, Scopes and Boards what it is cut to (no boards
	// means every board of its owner), Owner the role its owner has today.
	// All empty for a person.
	Key    string
	Scopes []string
	Boards []string
	Owner  Role
}

// Anonymous says whether the caller showed no token.
func (c Caller) Anonymous() bool { return c.User == "" }

// Actor is the name under which the caller's changes are recorded:
// `user/<id>` or `key/<id>`. Anonymous callers have none.
func (c Caller) Actor() string {
	switch {
	case c.Key != "":
		return "key/" + c.Key
	case c.User != "":
		return "user/" + c.User
	}
	return ""
}

// Rights is the role that counts for what the caller may do: a key acts with
// its owner's.
func (c Caller) Rights() Role {
	if c.Role == Service {
		return c.Owner
	}
	return c.Role
}

// Scoped says whether the caller's token covers the scope on the board. A
// person's token covers all; board is empty where none is concerned.
func (c Caller) Scoped(scope, board string) bool {
	if c.Role != Service {
		return true
	}
	return slices.Contains(c.Scopes, scope) &&
		(len(c.Boards) == 0 || board == "" || slices.Contains(c.Boards, board))
}
