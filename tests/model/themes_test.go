package model

import "time"

// theme is what a history is mostly about: which operations it contains and how
// often, and what its entries are drawn from.
type theme struct {
	shares            map[string]int  // weights of the operations
	players, items    int             // players per board and items per batch, at most
	points, tiebreaks []int64         // values in entries
	negative          int             // percent of the points that are negative, where they may be
	before            []time.Duration // ages of entries
	instants          []time.Time     // when most entries occur, instead of that
	beside            int             // percent of entries at, just before or just after another of the player
	late              int             // percent of requests that are late
	adjustments       int             // percent of entries that are adjustments, on boards that do not sum
	profiles, named   int             // percent of entries with a profile, and of profiles with a display name
	linked            int             // percent of profiles with a user
	caps, floors      []*int64        // values of daily_cap and floor
	drafts            int             // percent of boards that begin as drafts
	periods           [][]Period      // values of periods; nil means periodSets
	narrow            bool            // avoid refusals for other reasons
	keys              bool            // a narrow theme has keys nevertheless
	combines          []string        // values of combine in a narrow theme; empty means any
}

var everything = theme{
	shares: map[string]int{
		"POST /v1/boards":                                    1,
		"GET /v1/boards":                                     1,
		"GET /v1/boards/{board}":                             1,
		"PATCH /v1/boards/{board}":                           1,
		"GET /v1/boards/{board}/periods":                     1,
		"GET /v1/boards/{board}/categories":                  1,
		"GET /v1/boards/{board}/players":                     1,
		"PATCH /v1/boards/{board}/players/{player}":          2,
		"DELETE /v1/boards/{board}/players/{player}/profile": 1,
		"GET /v1/boards/{board}/players/{player}":            1,
		"POST /v1/boards/{board}/entries":                    6,
		"POST /v1/entries/batch":                             4,
		"POST /v1/boards/{board}/entries/{entry}/reversal":   2,
		"GET /v1/boards/{board}/entries":                     1,
		"GET /v1/boards/{board}/entries/{entry}":             1,
		"GET /v1/boards/{board}/standings":                   2,
		"GET /v1/boards/{board}/standings/{player}":          1,
		"GET /v1/players/{user}/standings":                   1,
		"GET /v1/players/{user}/entries":                     1,
		"GET /v1/players/me/links":                           1,
		"PUT /v1/players/me/links/{board}/{player}":          2,
		"DELETE /v1/players/me/links/{board}/{player}":       1,
	},
	players: 5, items: 5,
	points: []int64{10, 0, 1, 5, 10, 42, 7, 20, 60, 100}, tiebreaks: []int64{1, 2, -1, 0}, negative: 30,
	before: []time.Duration{
		-time.Minute, -time.Second - 789, -3 * time.Hour, -14 * time.Hour, -25 * time.Hour, -49 * time.Hour, -4 * 24 * time.Hour, -8 * 24 * time.Hour,
		-33 * 24 * time.Hour, -100 * 24 * time.Hour, 4 * time.Minute,
	},
	late: 30, beside: 15, adjustments: 35, profiles: 25, named: 60, linked: 25, drafts: 15,
	caps: []*int64{nil, ptr(int64(60)), ptr(int64(100))}, floors: []*int64{nil, ptr(int64(0)), ptr(int64(-10))},
}

// additions are the weights of themes about adding.
var additions = map[string]int{
	"PATCH /v1/boards/{board}":                         2,
	"POST /v1/boards/{board}/entries":                  6,
	"POST /v1/entries/batch":                           6,
	"POST /v1/boards/{board}/entries/{entry}/reversal": 4,
	"GET /v1/boards/{board}/standings":                 1,
}

// days come near their cap from above and from below.
var days = theme{
	shares: additions, players: 2, items: 8,
	points: []int64{10, 20, 30, 60, 1, 0, 61, 100}, tiebreaks: []int64{1, 0}, negative: 30,
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -14 * time.Hour, -25 * time.Hour, -49 * time.Hour},
	late:   90, caps: []*int64{ptr(int64(60)), ptr(int64(100)), ptr(int64(0)), nil}, narrow: true, combines: mostlySum,
	adjustments: 13, profiles: 20, named: 30, linked: 30,
}

var mostlySum = []string{"sum", "sum", "sum", "", ""}

// sums of points and tiebreaks come near the limits that clients can represent.
var sums = theme{
	shares: additions, players: 2, items: 8,
	points: []int64{MaxPoints, MaxPoints - 1, 1, 2, 1 << 52, MaxPoints, 0}, tiebreaks: []int64{MaxPoints, -MaxPoints, 1, -1, 1 << 52, 0}, negative: 30,
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -25 * time.Hour, -8 * 24 * time.Hour},
	late:   90, narrow: true, combines: mostlySum, beside: 20, adjustments: 50, profiles: 20, linked: 30,
}

// corrections are adjustments of best and last results by staff.
var corrections = theme{
	shares: additions, players: 2, items: 6,
	points: []int64{5, 10, 5, 10, 20, 0, 6360000, 15, 10, 5, 1, MaxPoints}, tiebreaks: []int64{1, 2, -1, 0}, negative: 20,
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -25 * time.Hour, -3 * time.Hour},
	beside: 60, late: 80, adjustments: 50, narrow: true, combines: []string{"best", "last", "best", "last", "best", "last", ""},
}

// wallets are sums that come near their floor.
var wallets = theme{
	shares: additions, players: 2, items: 6,
	points: []int64{10, 5, 1, 0, 20, 60, 10, 0}, tiebreaks: []int64{1, 0}, negative: 60,
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -25 * time.Hour, -8 * 24 * time.Hour},
	late:   90, adjustments: 13, narrow: true, keys: true, combines: []string{"sum", "sum", "sum", "sum", "sum", "sum", ""},
	floors:  []*int64{ptr(int64(0)), ptr(int64(0)), ptr(int64(-10)), ptr(int64(-60)), nil},
	periods: [][]Period{plain("all"), plain("all", "day"), append(plain("day", "all"), spring), plain("all"), plain("week", "all"), plain("day")},
}

// drafts are boards into which past seasons are entered before they are opened.
var drafts = theme{
	shares: map[string]int{
		"POST /v1/boards":                                    1,
		"GET /v1/boards":                                     1,
		"GET /v1/boards/{board}":                             1,
		"PATCH /v1/boards/{board}":                           4,
		"GET /v1/boards/{board}/periods":                     1,
		"PATCH /v1/boards/{board}/players/{player}":          3,
		"DELETE /v1/boards/{board}/players/{player}/profile": 1,
		"GET /v1/boards/{board}/players/{player}":            1,
		"POST /v1/boards/{board}/entries":                    6,
		"POST /v1/entries/batch":                             3,
		"POST /v1/boards/{board}/entries/{entry}/reversal":   2,
		"GET /v1/boards/{board}/entries":                     1,
		"GET /v1/boards/{board}/entries/{entry}":             1,
		"GET /v1/boards/{board}/standings":                   2,
		"GET /v1/boards/{board}/standings/{player}":          1,
		"GET /v1/players/{user}/standings":                   1,
		"GET /v1/players/{user}/entries":                     1,
		"GET /v1/players/me/links":                           1,
		"PUT /v1/players/me/links/{board}/{player}":          2,
		"DELETE /v1/players/me/links/{board}/{player}":       1,
	},
	players: 3, items: 5,
	points: []int64{10, 5, 1, 0, 20}, tiebreaks: []int64{1, 0}, negative: 20,
	before: []time.Duration{-time.Minute, -3 * time.Hour, -25 * time.Hour, -8 * 24 * time.Hour},
	instants: []time.Time{
		ancient.Start, ancient.Start.Add(40 * time.Hour), ancient.End.Add(-time.Microsecond), ancient.End, ancient.End.Add(-30 * 24 * time.Hour),
	},
	late: 30, beside: 10, adjustments: 25, profiles: 30, named: 30, linked: 50, narrow: true, drafts: 70, combines: []string{""},
	periods: [][]Period{append(plain("all"), ancient), {ancient, year}, append(plain("day", "all"), ancient), {ancient}, plain("all", "month"), append([]Period{ancient}, plain("day")...)},
}

// names come with entries, and change.
var names = theme{
	shares: map[string]int{
		"PATCH /v1/boards/{board}/players/{player}":          3,
		"DELETE /v1/boards/{board}/players/{player}/profile": 1,
		"GET /v1/boards/{board}/players/{player}":            2,
		"POST /v1/boards/{board}/entries":                    5,
		"POST /v1/entries/batch":                             8,
		"GET /v1/boards/{board}/standings":                   1,
		"PUT /v1/players/me/links/{board}/{player}":          2,
	},
	players: 2, items: 5,
	points: []int64{10, 5, 1, 0, 20}, tiebreaks: []int64{1, 0}, negative: 20,
	before: []time.Duration{-time.Minute, -3 * time.Hour},
	late:   90, adjustments: 13, profiles: 80, named: 70, linked: 10, narrow: true, keys: true, combines: []string{""},
}

// beginnings are times just before clock changes and the ends of weeks, months
// and years.
var beginnings = []struct {
	at    time.Time
	zones []string
}{
	{time.Date(2026, 3, 9, 7, 30, 0, 0, time.UTC), nil},
	{time.Date(2026, 3, 7, 12, 0, 0, 123456000, time.UTC), []string{"America/New_York", "America/Havana"}},     // forward on 8 March
	{time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), []string{"Europe/Berlin", "Asia/Beirut"}},                  // forward on 29 March
	{time.Date(2026, 4, 4, 10, 0, 0, 0, time.UTC), []string{"Australia/Lord_Howe"}},                            // back by half an hour on 5 April
	{time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC), []string{"Europe/Berlin", "Asia/Beirut"}},                 // back on 25 October
	{time.Date(2026, 10, 31, 23, 59, 59, 999999000, time.UTC), []string{"America/New_York", "America/Havana"}}, // back on 1 November
	{time.Date(2011, 12, 29, 20, 0, 0, 0, time.UTC), []string{"Pacific/Apia"}},                                 // no 30 December
	{time.Date(2018, 11, 3, 22, 0, 0, 0, time.UTC), []string{"America/Sao_Paulo"}},                             // forward at midnight
	{time.Date(2019, 2, 16, 22, 0, 0, 0, time.UTC), []string{"America/Sao_Paulo"}},                             // back at midnight
	{time.Date(2010, 11, 6, 22, 0, 0, 0, time.UTC), []string{"America/St_Johns"}},                              // back from a minute past midnight
	{time.Date(2026, 2, 14, 20, 0, 0, 0, time.UTC), []string{"Africa/Casablanca"}},                             // back for Ramadan
	{time.Date(2026, 12, 30, 23, 0, 0, 0, time.UTC), nil},
	{time.Date(2028, 2, 28, 15, 0, 0, 0, time.UTC), nil},
}
