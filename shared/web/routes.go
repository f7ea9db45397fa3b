package web

import "plaudit/shared/access"

// Who says who may call a route. The dispatcher holds the part that a token
// alone decides; where a board decides, its handler does, and the name says by
// whose right.
type Who string

// Who may call. An admin may act as owner everywhere, and an auditor may read
// everything.
const (
	Anyone       Who = "anyone"
	SignedIn     Who = "anybody signed in"
	People       Who = "anybody signed in, no API key"
	Organizers   Who = "organizers and admins"
	KeyMakers    Who = "organizers and admins, no API key"
	Finders      Who = "organizers, auditors and admins" // the handler holds apart who lists and who finds one
	Admins       Who = "admins"
	BoardReaders Who = "anyone where the board is public, else its owners, writers and viewers" // the handler asks the board
	BoardWriters Who = "the board's owners and writers"                                         // the handler asks the board
	BoardOwners  Who = "the board's owners"                                                     // the handler asks the board
)

// needsToken says whether a request without a token is refused at once.
func (w Who) needsToken() bool { return w != Anyone && w != BoardReaders }

// admits says whether a caller with a token may go on to the handler.
func (w Who) admits(c access.Caller) bool {
	switch w {
	case People:
		return c.Role != access.Service
	case Organizers:
		return c.Rights() == access.Organizer || c.Rights() == access.Admin
	case Finders:
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
	Pattern    string // {name} stands for one path segment
	Deployable string // who serves it: a function's or a service's name
	Who        Who
}

// Routes is the whole API: handlers, listener rules and tests are held against
// it. GET routes answer HEAD too.
var Routes = []Route{
	{"POST", "/v1/boards", "board-admin", Organizers},
	{"GET", "/v1/boards", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/periods", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/entries", "score-query", BoardReaders},
	{"PATCH", "/v1/boards/{board}", "board-admin", BoardOwners},
	{"POST", "/v1/boards/{board}/entries", "score-add", BoardWriters},
	{"POST", "/v1/entries/batch", "score-add", BoardWriters},
	{"POST", "/v1/boards/{board}/entries/{entry}/reversal", "score-add", BoardWriters},
	{"PATCH", "/v1/boards/{board}/players/{player}", "board-admin", BoardWriters},
	{"GET", "/v1/boards/{board}/players/{player}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/entries/{entry}", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/standings", "score-query", BoardReaders},
	{"GET", "/v1/boards/{board}/standings/{player}", "score-query", BoardReaders},
	{"GET", "/v1/players/{user}/standings", "score-query", BoardReaders},
	{"GET", "/v1/players/{user}/entries", "score-query", BoardReaders},

	{"POST", "/v1/users", "users", Anyone},
	{"GET", "/v1/users", "users", Finders},
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
