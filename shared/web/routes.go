package web

import (
	"slices"

	"plaudit/shared/access"
)

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
	EventSenders Audience = "admins, and API keys of theirs with the scope events:write"
	Mailer       Audience = "the function that sends mail, with its own key"
	LogReaders   Audience = "admins and auditors, and others for what concerns them"                   // the handler asks the log
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
	case EventSenders:
		return c.Rights() == access.Admin && c.Scoped(access.ScopeEvents, "")
	case Mailer:
		return c.Notifies()
	}
	return true
}

// forMailer lists the routes that admit the function that sends mail. Its token is
// refused on all others, even on those that need no token: a stolen one opens only what a
// mail needs.
var forMailer = []string{
	"GET /v1/users/{id}",
	"POST /v1/users/{id}/mail-links",
	"PUT /v1/users/{id}/mail-state",
	"GET /v1/boards/{board}",
	"GET /v1/boards/{board}/players/{player}",
	"GET /v1/boards/{board}/entries",
	"GET /v1/boards/{board}/entries/{entry}",
	"GET /v1/players/{user}/entries",
}

// Route is one row of the API.
type Route struct {
	Method     string
	Pattern    string // {name} matches one path segment
	Deployable string // the name of the function or service that serves it
	For        Audience
	Body       int // maximum size of its body, in bytes; 0 if it has none
}

// admits reports whether the dispatcher lets a caller with a token through.
func (r Route) admits(c access.Caller) bool {
	if c.Notifies() && !slices.Contains(forMailer, r.Method+" "+r.Pattern) {
		return false
	}
	return r.For.admits(c)
}

// The sizes that bodies may have. A KB is 1,000 bytes. Each has room for its fields at
// their limits, except for a board's: 1,000 reasons of 80 characters fit only if a
// character takes two bytes of UTF-8 on average. The load balancer's limit for a
// function's whole event is about the same as that of a batch.
const (
	kb          = 1000
	credentials = 4 * kb
	account     = 16 * kb         // also an API key
	form        = 3 * credentials // the same, in which each byte may be escaped by three
	entry       = 64 * kb         // also a reversal and a player
	board       = 256 * kb
	batch       = 1000 * kb
)

// Routes is the whole API. Tests compare handlers, listener rules and documents with
// it. GET routes also serve HEAD.
var Routes = []Route{
	{"POST", "/v1/boards", "board-admin", Organizers, board},
	{"GET", "/v1/boards", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/periods", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/categories", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/entries", "score-query", BoardReaders, 0},
	{"PATCH", "/v1/boards/{board}", "board-admin", BoardOwners, board},
	{"POST", "/v1/boards/{board}/entries", "score-add", BoardWriters, entry},
	{"POST", "/v1/entries/batch", "score-add", BoardWriters, batch},
	{"POST", "/v1/boards/{board}/entries/{entry}/reversal", "score-add", BoardWriters, entry},
	{"PATCH", "/v1/boards/{board}/players/{player}", "board-admin", BoardWriters, entry},
	{"DELETE", "/v1/boards/{board}/players/{player}/profile", "board-admin", BoardOwners, 0},
	{"GET", "/v1/boards/{board}/players", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/players/{player}", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/entries/{entry}", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/standings", "score-query", BoardReaders, 0},
	{"GET", "/v1/boards/{board}/standings/{player}", "score-query", BoardReaders, 0},
	{"GET", "/v1/players/me/links", "score-query", People, 0},
	{"PUT", "/v1/players/me/links/{board}/{player}", "board-admin", People, 0},
	{"DELETE", "/v1/players/me/links/{board}/{player}", "board-admin", People, 0},
	{"GET", "/v1/players/{user}/standings", "score-query", BoardReaders, 0},
	{"GET", "/v1/players/{user}/entries", "score-query", BoardReaders, 0},
	{"GET", "/readyz/scores", "score-query", Anyone, 0},

	{"POST", "/v1/audit/events", "audit-add", EventSenders, batch},
	{"GET", "/v1/audit/events", "audit-query", LogReaders, 0},
	{"GET", "/v1/audit/events/{logid}", "audit-query", LogReaders, 0},
	{"GET", "/v1/audit/export", "audit-query", LogReaders, 0},

	{"POST", "/v1/users", "users", Anyone, account},
	{"GET", "/v1/users", "users", Staff, 0},
	{"GET", "/v1/users/me", "users", People, 0},
	{"PATCH", "/v1/users/me", "users", People, account},
	{"DELETE", "/v1/users/me", "users", People, 0},
	{"PUT", "/v1/users/me/password", "users", People, credentials},
	{"PUT", "/v1/users/me/email", "users", People, credentials},
	{"GET", "/v1/users/{id}", "users", Anyone, 0},
	{"PATCH", "/v1/users/{id}", "users", Admins, account},
	{"POST", "/v1/users/{id}/mail-links", "users", Mailer, credentials},
	{"PUT", "/v1/users/{id}/mail-state", "users", Mailer, credentials},
	{"GET", "/v1/unsubscribe/{token}", "users", Anyone, 0},
	{"POST", "/v1/unsubscribe/{token}", "users", Anyone, credentials},
	{"POST", "/v1/sessions", "users", Anyone, credentials},
	{"GET", "/v1/sessions", "users", People, 0},
	{"DELETE", "/v1/sessions", "users", People, 0},
	{"DELETE", "/v1/sessions/{id}", "users", People, 0},
	{"POST", "/v1/sessions/refresh", "users", Anyone, credentials},
	{"POST", "/v1/keys", "users", KeyMakers, account},
	{"GET", "/v1/keys", "users", People, 0},
	{"DELETE", "/v1/keys/{id}", "users", People, 0},
	{"POST", "/v1/tokens", "users", Anyone, credentials},
	{"POST", "/v1/email-verifications", "users", Anyone, credentials},
	{"PUT", "/v1/email-verifications/{token}", "users", Anyone, credentials},
	{"POST", "/v1/password-resets", "users", Anyone, credentials},
	{"PUT", "/v1/password-resets/{token}", "users", Anyone, credentials},
	{"GET", "/verify", "users", Anyone, 0},
	{"POST", "/verify", "users", Anyone, credentials},
	{"GET", "/reset", "users", Anyone, 0},
	{"POST", "/reset", "users", Anyone, form},
	{"GET", "/v1/openapi.json", "users", Anyone, 0},
	{"GET", "/.well-known/jwks.json", "users", Anyone, 0},
	{"GET", "/healthz", "users", Anyone, 0},
	{"GET", "/readyz", "users", Anyone, 0},
}
