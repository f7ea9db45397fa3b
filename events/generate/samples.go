package main

import "strings"

// The sample users. Nobody has these ids; they only sign events.
const (
	admin  = "00000000-0000-7000-8000-0000000000ad"
	member = "00000000-0000-7000-8000-0000000000e0"
	broken = "a token that nobody signed"
)

// sample is one event.
type sample struct {
	function, name, status string
	about                  string // one line for the README
	who                    string // a sample user, broken, or nobody
	method, target, body   string // target is the path with its query, as a client sends it
	key                    string // Idempotency-Key
}

// unknownEntry has an entry's form, and no entry has it.
const unknownEntry = "00000000-0000-7000-8000-000000000000"

var samples = []sample{
	{function: "score-add", name: "one-entry", status: "201", about: "a result without a key: one more entry each time, and on a board that combines by best the same score",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-104","reason":"10k"}`},
	// The demo's setup sends this one a first time.
	{function: "score-add", name: "replay", status: "200", about: "a result with a key that was sent before: the first answer again, and no second entry",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", key: "sample-bib-104",
		body: `{"player":"bib-104","reason":"10k","profile":{"display_name":"Sam Pell"}}`},
	{function: "score-add", name: "batch", status: "201", about: "two results at once, all or nothing",
		who: admin, method: "POST", target: "/v1/entries/batch",
		body: `{"entries":[{"board":"demo","player":"bib-103","reason":"10k"},{"board":"demo","player":"bib-104","reason":"dnf"}]}`},
	{function: "score-add", name: "key-reused", status: "422", about: "the key of another result",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", key: "sample-bib-104", body: `{"player":"bib-101","reason":"dnf"}`},
	{function: "score-add", name: "no-json", status: "400", about: "a body that breaks off",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101",`},
	{function: "score-add", name: "points-no-integer", status: "400", about: "points with a fraction",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","points":42.0}`},
	{function: "score-add", name: "reason-unknown", status: "400", about: "a reason that the board's catalogue lacks",
		who: admin, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"marathon"}`},
	{function: "score-add", name: "no-token", status: "401", about: "nobody signed in",
		method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "not-a-writer", status: "403", about: "somebody who may not write to the board",
		who: member, method: "POST", target: "/v1/boards/demo/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "board-unknown", status: "404", about: "a board that is not there",
		who: admin, method: "POST", target: "/v1/boards/nowhere/entries", body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "entry-unknown", status: "404", about: "a reversal of an entry that is not there",
		who: admin, method: "POST", target: "/v1/boards/demo/entries/" + unknownEntry + "/reversal", body: `{"note":"wrong bib"}`},

	{function: "score-query", name: "boards", status: "200", about: "the boards whose id or title has a text",
		method: "GET", target: "/v1/boards?q=demo"},
	{function: "score-query", name: "board", status: "200", about: "one board",
		method: "GET", target: "/v1/boards/demo"},
	{function: "score-query", name: "periods", status: "200", about: "a board's periods",
		method: "GET", target: "/v1/boards/demo/periods"},
	{function: "score-query", name: "standings", status: "200", about: "a ranking",
		method: "GET", target: "/v1/boards/demo/standings?limit=10"},
	{function: "score-query", name: "standing", status: "200", about: "one player's rank",
		method: "GET", target: "/v1/boards/demo/standings/bib-101"},
	{function: "score-query", name: "player", status: "200", about: "one player",
		method: "GET", target: "/v1/boards/demo/players/bib-101"},
	{function: "score-query", name: "entries", status: "200", about: "one player's history, for an admin, who sees metadata too",
		who: admin, method: "GET", target: "/v1/boards/demo/entries?player=bib-101&from=2000-01-01T00%3A00%3A00Z"},
	{function: "score-query", name: "everywhere", status: "200", about: "a user's standings on every board: none",
		who: member, method: "GET", target: "/v1/players/" + member + "/standings"},
	{function: "score-query", name: "limit-too-large", status: "400", about: "a page longer than there are",
		method: "GET", target: "/v1/boards/demo/standings?limit=1001"},
	{function: "score-query", name: "bad-token", status: "401", about: "a token that nobody signed, where none is needed",
		who: broken, method: "GET", target: "/v1/boards/demo"},
	{function: "score-query", name: "board-unknown", status: "404", about: "a board that is not there, as a private one is to a stranger",
		method: "GET", target: "/v1/boards/nowhere/standings"},
	{function: "score-query", name: "player-unknown", status: "404", about: "a player without a score",
		method: "GET", target: "/v1/boards/demo/standings/nobody"},
	{function: "score-query", name: "entry-unknown", status: "404", about: "an entry that is not there",
		method: "GET", target: "/v1/boards/demo/entries/" + unknownEntry},

	{function: "board-admin", name: "title", status: "200", about: "a board's title, the one that it has",
		who: admin, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"Demo race"}`},
	{function: "board-admin", name: "player", status: "200", about: "a player's profile, the one that it has",
		who: admin, method: "PATCH", target: "/v1/boards/demo/players/bib-102", body: `{"display_name":"Lee Jun"}`},
	{function: "board-admin", name: "title-too-long", status: "400", about: "a title of 201 characters",
		who: admin, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"` + strings.Repeat("a", 201) + `"}`},
	{function: "board-admin", name: "two-faults", status: "400", about: "a status that there is not, and a country: both are named",
		who: admin, method: "PATCH", target: "/v1/boards/demo/players/bib-102", body: `{"status":"asleep","country":"Atlantis"}`},
	{function: "board-admin", name: "no-token", status: "401", about: "nobody signed in",
		method: "POST", target: "/v1/boards", body: `{"id":"mine","title":"Mine"}`},
	{function: "board-admin", name: "not-an-organizer", status: "403", about: "a new board of somebody who may not make any",
		who: member, method: "POST", target: "/v1/boards", body: `{"id":"mine","title":"Mine"}`},
	{function: "board-admin", name: "not-an-owner", status: "403", about: "a change by somebody whose board it is not",
		who: member, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"Mine"}`},
	{function: "board-admin", name: "board-unknown", status: "404", about: "a board that is not there",
		who: admin, method: "PATCH", target: "/v1/boards/nowhere", body: `{"title":"Mine"}`},
	{function: "board-admin", name: "method", status: "405", about: "a method that the route does not have",
		who: admin, method: "DELETE", target: "/v1/boards/demo"},
	{function: "board-admin", name: "board-taken", status: "409", about: "an id that another board has",
		who: admin, method: "POST", target: "/v1/boards", body: `{"id":"demo","title":"Mine"}`},
}

// direct are events of functions behind no load balancer.
var direct = []struct {
	function, name, result string
	about                  string
	event                  string
}{
	{"db-migrate", "again", "ok", "databases that are up to date: nothing to do", `{}`},
	{"db-migrate", "database-unknown", "error", "a master's password for a database that is not there", `{"masters":{"nowhere":{"username":"plaudit","password":"x"}}}`},
	{"db-migrate", "masters-no-object", "error", "an event of another form", `{"masters":"plaudit"}`},
}
