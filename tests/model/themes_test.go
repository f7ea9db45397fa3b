package model

import "time"

// theme is what a history is mostly about: which operations it contains and how
// often, and what its entries are drawn from.
type theme struct {
	shares            map[string]int  // weights of the operations
	players, items    int             // players per board and items per batch, at most
	points, tiebreaks []int64         // values in entries
	before            []time.Duration // ages of entries
	late              int             // percent of requests that are late
	caps              []*int64        // values of daily_cap
	narrow            bool            // avoid refusals for other reasons
}

var everything = theme{
	shares: map[string]int{
		"POST /v1/boards":                                  1,
		"GET /v1/boards":                                   1,
		"GET /v1/boards/{board}":                           1,
		"PATCH /v1/boards/{board}":                         1,
		"GET /v1/boards/{board}/periods":                   1,
		"GET /v1/boards/{board}/categories":                1,
		"GET /v1/boards/{board}/players":                   1,
		"PATCH /v1/boards/{board}/players/{player}":        2,
		"GET /v1/boards/{board}/players/{player}":          1,
		"POST /v1/boards/{board}/entries":                  6,
		"POST /v1/entries/batch":                           4,
		"POST /v1/boards/{board}/entries/{entry}/reversal": 2,
		"GET /v1/boards/{board}/entries":                   1,
		"GET /v1/boards/{board}/entries/{entry}":           1,
		"GET /v1/boards/{board}/standings":                 2,
		"GET /v1/boards/{board}/standings/{player}":        1,
		"GET /v1/players/{user}/standings":                 1,
		"GET /v1/players/{user}/entries":                   1,
	},
	players: 5, items: 5,
	points: []int64{10, 0, 1, 5, 10, 42, 7, 20, 60, 100}, tiebreaks: []int64{1, 2, -1, 0},
	before: []time.Duration{
		-time.Minute, -time.Second - 789, -3 * time.Hour, -14 * time.Hour, -25 * time.Hour, -49 * time.Hour, -4 * 24 * time.Hour, -8 * 24 * time.Hour,
		-33 * 24 * time.Hour, -100 * 24 * time.Hour, 4 * time.Minute,
	},
	late: 30,
	caps: []*int64{nil, ptr(int64(60)), ptr(int64(100))},
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
	points: []int64{10, 20, 30, 60, 1, 0, 61, 100}, tiebreaks: []int64{1, 0},
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -14 * time.Hour, -25 * time.Hour, -49 * time.Hour},
	late:   90, caps: []*int64{ptr(int64(60)), ptr(int64(100)), ptr(int64(0)), nil}, narrow: true,
}

// sums of points and tiebreaks come near the limits that clients can represent.
var sums = theme{
	shares: additions, players: 2, items: 8,
	points: []int64{MaxPoints, MaxPoints - 1, 1, 2, 1 << 52, MaxPoints, 0}, tiebreaks: []int64{MaxPoints, -MaxPoints, 1, -1, 1 << 52, 0},
	before: []time.Duration{-time.Minute, -time.Second, -3 * time.Hour, -25 * time.Hour, -8 * 24 * time.Hour},
	late:   90, narrow: true,
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
