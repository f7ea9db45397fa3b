package web

import "plaudit/shared/access"

// Audience names the permitted callers of a route, in the words of the API's
// documentation. The dispatcher refuses callers that their token rules out. The
// handler checks rights on a board.
type Audience string

// The audiences. An admin may act as owner everywhere, and an auditor may read
// everything.
const (
	Anyone       Audience = "anyone"
	People       Audience = "signed-in users, not API keys"
	Organizers   Audience = "organizers and admins"
	KeyMakers    Audience = "organizers and admins, not API keys"
	Staff        Audience = "organizers, auditors and admins" // the handler also distinguishes listing from finding one
	Admins       Audience = "admins"
	BoardReaders Audience = "anyone if the board is public, otherwise its owners, writers and viewers" // the handler asks the board
	BoardWriters Audience = "the board's owners and writers"                                           // the handler asks the board
	BoardOwners  Audience = "the board's owners"                                                       // the handler asks the board
)

// needsToken reports whether a request without a token is refused at once.
func (a Audience) needsToken() bool { return a != Anyone && a != BoardReaders }

// admits reports whether the dispatcher lets a caller with a token through.
func (a Audience) admits(c access.Caller) bool {
	switch a {
	case People:
		return c.Role != access.Service
	case Organizers:
		return c.Rights() == access.Organizer || c.Rights() == access.Admin
	case Staff:
		return c.Rights() == access.Organizer || c.Rights() == access.Auditor || c.Rights() == access.Admin
	case KeyMakers:
		return c.Role == access.Organizer || c.Role == access.Admin
	case Admins:
		return c.Role == access.Admin
	}
	return true
}

// Route is one row of the API.
type Route struct {
	Method     string
	Pattern    string // {name} matches one path segment
	Deployable string // the name of the function or service that serves it
	For        Audience
}

// Routes is the whole API. Tests compare handlers, listener rules and documents with
// it. GET routes also serve HEAD.
var Routes = []Route{
	{"POST", "/v1/boards", "board-admin", Organizers},
	{"GET", "/v1/boards", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/periods", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/categories", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/entries", "score-query", BoardReaders},
	{"PATCH", "/v1/boards/{board}", "board-admin", BoardOwners},
	{"POST", "/v1/boards/{board}/entries", "score-add", BoardWriters},
	{"POST", "/v1/entries/batch", "score-add", BoardWriters},
	{"POST", "/v1/boards/{board}/entries/{entry}/reversal", "score-add", BoardWriters},
	{"PATCH", "/v1/boards/{board}/players/{player}", "board-admin", BoardWriters},
	{"GET", "/v1/boards/{board}/players", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/players/{player}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/entries/{entry}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/standings", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/standings/{player}", "score-query", BoardReaders},
	{"GET", "/v1/players/me/links", "score-query", People},
	{"PUT", "/v1/players/me/links/{board}/{player}", "board-admin", People},
	{"DELETE", "/v1/players/me/links/{board}/{player}", "board-admin", People},
	{"GET", "/v1/players/{user}/standings", "score-query", BoardReaders},
	{"GET", "/v1/players/{user}/entries", "score-query", BoardReaders},

	{"POST", "/v1/users", "users", Anyone},
	{"GET", "/v1/users", "users", Staff},
	{"GET", "/v1/users/me", "users", People},
	{"PATCH", "/v1/users/me", "users", People},
	{"DELETE", "/v1/users/me", "users", People},
	{"PUT", "/v1/users/me/password", "users", People},
	{"GET", "/v1/users/{id}", "users", Anyone},
	{"PATCH", "/v1/users/{id}", "users", Admins},
	{"POST", "/v1/sessions", "users", Anyone},
	{"GET", "/v1/sessions", "users", People},
	{"DELETE", "/v1/sessions", "users", People},
	{"DELETE", "/v1/sessions/{id}", "users", People},
	{"POST", "/v1/sessions/refresh", "users", Anyone},
	{"POST", "/v1/keys", "users", KeyMakers},
	{"GET", "/v1/keys", "users", People},
	{"DELETE", "/v1/keys/{id}", "users", People},
	{"POST", "/v1/tokens", "users", Anyone},
	{"GET", "/v1/openapi.json", "users", Anyone},
	{"GET", "/.well-known/jwks.json", "users", Anyone},
	{"GET", "/healthz", "users", Anyone},
	{"GET", "/readyz", "users", Anyone},
}
