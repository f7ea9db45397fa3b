package main

import (
	"strings"

	"plaudit/shared/event"
)

// The sample users do not exist; their ids are only in the tokens.
const (
	admin  = "00000000-0000-7000-8000-0000000000ad"
	member = "00000000-0000-7000-8000-0000000000e0"
	broken = "a token without a valid signature"
)

// sample describes one event.
type sample struct {
	function, name, status string
	about                  string // one line for the README
	who                    string // a sample user, broken, or empty for no token
	method, target, body   string // target is the path with its query, as sent
	key                    string // Idempotency-Key
}

// unknownEntry has the form of an entry's id, but does not exist.
const unknownEntry = "00000000-0000-7000-8000-000000000000"

// moved is an event of a task tracker, without the brace at its end.
const moved = `{"specversion":"1.0","id":"sample-1","source":"/tracker","type":"com.example.task.moved","subject":"task/17","team":"web","data":{"from":"to do","to":"doing"}`

// movedID is its logid.
var movedID = event.LogID("/tracker", "sample-1")

var samples = []sample{
	{function: "score-add", name: "one-entry", status: "201", about: "a result without a key; each time it adds an entry, and the score stays the same, because the board combines by best",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-104","reason":"10k"}`},
	// `plaudit setup` sends this one first.
	{function: "score-add", name: "replay", status: "200", about: "a result with a key that was used before; the first response again, and no second entry",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", key: "sample-bib-104",
		body: `{"player":"bib-104","reason":"10k","profile":{"display_name":"Sam Pell"}}`},
	{function: "score-add", name: "batch", status: "201", about: "two results, all or nothing",
		who: admin, method: "POST", target: "/v1/entries/batch",
		body: `{"entries":[{"board":"demo","player":"bib-103","reason":"10k"},{"board":"demo","player":"bib-104","reason":"dnf"}]}`},
	{function: "score-add", name: "key-reused", status: "422", about: "a key that was used for another result",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", key: "sample-bib-104", body: `{"player":"bib-101","reason":"dnf"}`},
	{function: "score-add", name: "no-json", status: "400", about: "a truncated body",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101",`},
	{function: "score-add", name: "points-no-integer", status: "400", about: "points with a fraction",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","points":42.0}`},
	{function: "score-add", name: "reason-unknown", status: "400", about: "a reason that is not in the board's catalogue",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"marathon"}`},
	{function: "score-add", name: "no-token", status: "401", about: "no token",
		method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "not-a-writer", status: "403", about: "a caller who may not write to the board",
		who: member, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "board-unknown", status: "404", about: "a board that does not exist",
		who: admin, method: "POST", target: "/v1/boards/nowhere/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "entry-unknown", status: "404", about: "a reversal of an entry that does not exist",
		who: admin, method: "POST", target: "/v1/boards/demo/entries/" + unknownEntry + "/reversal", body: `{"note":"wrong bib"}`},

	{function: "score-query", name: "boards", status: "200", about: "the boards whose id or title begins with a text",
		method: "GET", target: "/v1/boards?q=demo"},
	{function: "score-query", name: "board", status: "200", about: "one board",
		method: "GET", target: "/v1/boards/demo"},
	{function: "score-query", name: "periods", status: "200", about: "a board's periods",
		method: "GET", target: "/v1/boards/demo/periods"},
	{function: "score-query", name: "categories", status: "200", about: "a board's categories, of which there are none",
		method: "GET", target: "/v1/boards/demo/categories"},
	{function: "score-query", name: "players", status: "200", about: "the players who did not finish, did not start or are disqualified, of whom there are none",
		method: "GET", target: "/v1/boards/demo/players?status=dnf%2Cdns%2Cdisqualified"},
	{function: "score-query", name: "players-named", status: "200", about: "the players whose name begins with a text",
		method: "GET", target: "/v1/boards/demo/players?q=sam"},
	{function: "score-query", name: "standings", status: "200", about: "a ranking",
		method: "GET", target: "/v1/boards/demo/standings?limit=10"},
	{function: "score-query", name: "standing", status: "200", about: "one player's rank",
		method: "GET", target: "/v1/boards/demo/standings/bib-101"},
	{function: "score-query", name: "player", status: "200", about: "one player",
		method: "GET", target: "/v1/boards/demo/players/bib-101"},
	{function: "score-query", name: "entries", status: "200", about: "one player's entries, for an admin, who can see metadata",
		who: admin, method: "GET", target: "/v1/boards/demo/entries?player=bib-101&from=2000-01-01T00%3A00%3A00Z"},
	{function: "score-query", name: "everywhere", status: "200", about: "a user's standings on every board, of which there are none",
		who: member, method: "GET", target: "/v1/players/" + member + "/standings"},
	{function: "score-query", name: "ready", status: "200", about: "whether boards can be read",
		method: "GET", target: "/readyz/scores"},
	{function: "score-query", name: "limit-too-large", status: "400", about: "a page size above the maximum",
		method: "GET", target: "/v1/boards/demo/standings?limit=1001"},
	{function: "score-query", name: "bad-token", status: "401", about: "a token without a valid signature, on a route that needs none",
		who: broken, method: "GET", target: "/v1/boards/demo"},
	{function: "score-query", name: "board-unknown", status: "404", about: "a board that does not exist; a stranger gets the same for a private one",
		method: "GET", target: "/v1/boards/nowhere/standings"},
	{function: "score-query", name: "player-unknown", status: "404", about: "a player without a score",
		method: "GET", target: "/v1/boards/demo/standings/nobody"},
	{function: "score-query", name: "entry-unknown", status: "404", about: "an entry that does not exist",
		method: "GET", target: "/v1/boards/demo/entries/" + unknownEntry},

	{function: "board-admin", name: "title", status: "200", about: "a new title that equals the current one",
		who: admin, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"Demo race"}`},
	{function: "board-admin", name: "player", status: "200", about: "a new profile that equals the current one",
		who: admin, method: "PATCH", target: "/v1/boards/demo/players/bib-102", body: `{"display_name":"Lee Jun"}`},
	{function: "board-admin", name: "title-too-long", status: "400", about: "a title of 201 characters",
		who: admin, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"` + strings.Repeat("a", 201) + `"}`},
	{function: "board-admin", name: "two-faults", status: "400", about: "an unknown status and an unknown country; the response names both",
		who: admin, method: "PATCH", target: "/v1/boards/demo/players/bib-102", body: `{"status":"asleep","country":"Atlantis"}`},
	{function: "board-admin", name: "no-token", status: "401", about: "no token",
		method: "POST", target: "/v1/boards", body: `{"id":"mine","title":"Mine"}`},
	{function: "board-admin", name: "not-an-organizer", status: "403", about: "a new board from a caller who may not create boards",
		who: member, method: "POST", target: "/v1/boards", body: `{"id":"mine","title":"Mine"}`},
	{function: "board-admin", name: "not-an-owner", status: "403", about: "a change by a caller who is not an owner",
		who: member, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"Mine"}`},
	{function: "board-admin", name: "board-unknown", status: "404", about: "a board that does not exist",
		who: admin, method: "PATCH", target: "/v1/boards/nowhere", body: `{"title":"Mine"}`},
	{function: "board-admin", name: "method", status: "405", about: "a method that the route does not support",
		who: admin, method: "DELETE", target: "/v1/boards/demo"},
	{function: "board-admin", name: "board-taken", status: "409", about: "the id of another board",
		who: admin, method: "POST", target: "/v1/boards", body: `{"id":"demo","title":"Mine"}`},

	// `plaudit setup` sends this one first.
	{function: "audit-add", name: "replay", status: "200", about: "an event that the log has; the first response again, and no second event",
		who: admin, method: "POST", target: "/v1/audit/events", body: moved + "}"},
	{function: "audit-add", name: "list", status: "200", about: "a list of events, all of which the log has",
		who: admin, method: "POST", target: "/v1/audit/events", body: "[" + moved + "}]"},
	{function: "audit-add", name: "two-faults", status: "400", about: "an event of one of Plaudit's own types about one of its own subjects; the response names both",
		who: admin, method: "POST", target: "/v1/audit/events", body: `{"specversion":"1.0","id":"1","source":"/tracker","type":"plaudit.entry.added","subject":"board/demo"}`},
	{function: "audit-add", name: "foreign-actor", status: "400", about: "an event that claims to be somebody else's",
		who: admin, method: "POST", target: "/v1/audit/events", body: moved + `,"actor":"user/` + member + `"}`},
	{function: "audit-add", name: "no-token", status: "401", about: "no token",
		method: "POST", target: "/v1/audit/events", body: moved + "}"},
	{function: "audit-add", name: "not-an-admin", status: "403", about: "a caller who may not add events",
		who: member, method: "POST", target: "/v1/audit/events", body: moved + "}"},
	{function: "audit-add", name: "method", status: "405", about: "an event is never deleted",
		who: admin, method: "DELETE", target: "/v1/audit/events/" + movedID},
	{function: "audit-add", name: "id-reused", status: "422", about: "another event with the source and id of one that the log has",
		who: admin, method: "POST", target: "/v1/audit/events", body: moved + `,"sprint":4}`},

	{function: "audit-query", name: "subject", status: "200", about: "the events of a subject",
		who: admin, method: "GET", target: "/v1/audit/events?subject=task%2F17"},
	{function: "audit-query", name: "board", status: "200", about: "the events of a board and of its players, the oldest first",
		who: admin, method: "GET", target: "/v1/audit/events?subject=board%2Fdemo%2F%2A&order=asc"},
	{function: "audit-query", name: "type", status: "200", about: "the events of a type that somebody caused",
		who: admin, method: "GET", target: "/v1/audit/events?type=com.example.task.moved&actor=user%2F" + admin},
	{function: "audit-query", name: "own", status: "200", about: "what a user did, which is nothing",
		who: member, method: "GET", target: "/v1/audit/events?actor=user%2F" + member},
	{function: "audit-query", name: "event", status: "200", about: "one event, byte for byte",
		who: admin, method: "GET", target: "/v1/audit/events/" + movedID + "?raw=true"},
	{function: "audit-query", name: "export", status: "200", about: "an export of a year without events",
		who: admin, method: "GET", target: "/v1/audit/export?from=2000-01-01T00%3A00%3A00Z&to=2001-01-01T00%3A00%3A00Z"},
	{function: "audit-query", name: "prefix", status: "400", about: "a prefix that is not the first two segments of a subject",
		who: admin, method: "GET", target: "/v1/audit/events?subject=board%2Fdemo%2Fplayer%2F%2A"},
	{function: "audit-query", name: "no-subject", status: "400", about: "all events, for a caller who may not read them",
		who: member, method: "GET", target: "/v1/audit/events"},
	{function: "audit-query", name: "no-token", status: "401", about: "no token",
		method: "GET", target: "/v1/audit/events?subject=task%2F17"},
	{function: "audit-query", name: "not-an-owner", status: "403", about: "a board's events, for a caller who is not an owner; the response is the same if there is no such board",
		who: member, method: "GET", target: "/v1/audit/events?subject=board%2Fdemo%2F%2A"},
	{function: "audit-query", name: "event-unknown", status: "404", about: "an event that does not exist; a caller who may not read one gets the same",
		who: admin, method: "GET", target: "/v1/audit/events/" + event.LogID("/tracker", "none")},
}

// direct lists the events of functions that are not behind a load balancer.
var direct = []struct {
	function, name, result string
	about                  string
	event                  string
}{
	{"db-migrate", "again", "ok", "databases that are already up to date", `{}`},
	{"db-migrate", "database-unknown", "error", "a master's password for an unknown database", `{"masters":{"nowhere":{"username":"plaudit","password":"x"}}}`},
	{"db-migrate", "masters-no-object", "error", "an event with the wrong structure", `{"masters":"plaudit"}`},

	{"db-check", "audit-check", "ok", "the first piece of a check of the audit log", `{"do":"audit-check","place":null}`},
	{"db-check", "audit-sample", "ok", "a look at some events of the audit log", `{"do":"audit-sample"}`},
	{"db-check", "audit-restore", "ok", "a restore of a time from which there are no events", `{"do":"audit-restore","from":"2000-01-01T00:00:00Z","to":"2000-01-02T00:00:00Z"}`},
	{"db-check", "audit-retry", "ok", "a retry of what could not be written, of which there is nothing", `{"do":"audit-retry"}`},
	{"db-check", "boards-check", "ok", "the demo board's standings", `{"do":"boards-check","board":"demo"}`},
	{"db-check", "board-unknown", "error", "a board that does not exist", `{"do":"boards-check","board":"nowhere"}`},
	{"db-check", "do-unknown", "error", "something that the function does not do", `{"do":"audit"}`},
	{"db-check", "field-unknown", "error", "a misspelt field, which must not restore everything", `{"do":"audit-restore","form":"2000-01-01T00:00:00Z"}`},
	{"db-check", "place-unknown", "error", "a place that no earlier answer contained", `{"do":"audit-check","place":"here"}`},

	{"outbox-relay", "wake", "ok", "a record of the wake table's stream", wake()},
	{"outbox-relay", "schedule", "ok", "the event of the schedule", schedule("outbox-relay")},

	{"audit-publish", "event", "ok", "an event of the log that is new", logged()},
	{"audit-publish", "not-an-event", "ok", "a record without an event, which is skipped", foreign("events", "logid")},
	{"audit-publish", "no-records", "error", "an event that does not come from a stream", `{}`},

	{"player-sync", "profile", "ok", "a user's new name and country", profile()},
	{"player-sync", "not-a-profile", "ok", "a record without a profile, which is skipped", foreign("profiles", "id")},
	{"player-sync", "no-records", "error", "an event that does not come from a stream", `{}`},

	{"period-close", "schedule", "ok", "the event of the schedule; nothing is due on the demo board", schedule("period-close")},
	{"period-close", "by-hand", "ok", "an empty event, which does the same", `{}`},
	{"notify", "adjustment", "ok", "an adjustment that is replayed for others than readers of mail, which is ignored", queued(told(event.EntryAdjusted, "sample"))},
	{"notify", "unknown-type", "ok", "an event of an unknown type, which is ignored", queued(told("plaudit.entry.sampled", "mail-sample"))},
	{"notify", "bounce", "ok", "a bounce that passes, which changes nothing", queued(`{"rule":"feedback","type":"Bounce","bounce":"Transient","user":"` + member + `","message":"sample"}`)},
	{"notify", "no-records", "error", "an event that does not come from a queue", `{}`},
}
