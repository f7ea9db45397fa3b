package model

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

var (
	mondays  = Period{Name: "mondays", Cron: "0 9 * * 1"}
	quarters = Period{Name: "quarters", Cron: "0 12 1 1,4,7,10 *"}
	shifts   = Period{Name: "shifts", Cron: "30 6,18 * * *"}
	nights   = Period{Name: "nights", Cron: "0,30 0,1,2 * * *"}
	spring   = Period{Name: "spring", Start: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC), End: time.Date(2026, 4, 1, 4, 0, 0, 0, time.UTC)}
	autumn   = Period{Name: "autumn", Start: time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), End: time.Date(2026, 10, 31, 12, 0, 0, 0, time.UTC)}
	ancient  = Period{Name: "ancient", Start: time.Date(2009, 6, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2009, 9, 1, 0, 0, 0, 0, time.UTC)}
	year     = Period{Name: "year", Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
)

func plain(names ...string) []Period {
	var list []Period
	for _, n := range names {
		list = append(list, Period{Name: n})
	}
	return list
}

// Some periods leave gaps.
var periodSets = [][]Period{
	plain("all"),
	plain("all", "day"),
	plain("day"),
	plain("week", "month"),
	append(plain("day", "all"), spring),
	{mondays, year, {Name: "month"}},
	append(plain("all", "day", "week", "month"), mondays, quarters, shifts, year),
	{shifts},
	append(plain("day"), nights),
	{spring, autumn},
	{autumn, nights, spring},
	append(plain("all"), ancient, spring),
}

func periodJSON(p Period) any {
	switch {
	case p.Cron != "":
		return map[string]any{"name": p.Name, "cron": p.Cron}
	case !p.Start.IsZero():
		return map[string]any{"name": p.Name, "start": p.Start, "end": p.End}
	}
	return p.Name
}

// fields returns the whole board as a client would send it.
func (b *Board) fields() map[string]any {
	periods := []any{}
	for _, p := range b.Periods {
		periods = append(periods, periodJSON(p))
	}
	return map[string]any{
		"id": b.ID, "title": b.Title, "combine": b.Combine, "order": b.Order, "ties": b.Ties, "periods": periods,
		"categories": b.Categories, "time_zone": b.TimeZone, "catalogue": b.Catalogue, "min": b.Min, "max": b.Max,
		"daily_cap": b.DailyCap, "floor": b.Floor, "decimals": b.Decimals, "unit": b.Unit, "grace": b.Grace.String(), "players": b.Players,
		"public": b.Public, "owners": b.Owners, "writers": b.Writers, "viewers": b.Viewers, "state": b.State,
	}
}

// defaults returns a new board's defaults.
func defaults(id, owner string) *Board {
	return &Board{
		ID: id, Combine: "sum", Order: "desc", Ties: "first", Periods: plain("all"), Categories: []string{}, TimeZone: "UTC",
		Unit: "points", Grace: 24 * time.Hour, Players: "any", Public: true, Owners: []string{owner}, Writers: []string{}, Viewers: []string{}, State: "open",
	}
}

func ptr[T any](v T) *T { return &v }

// counting lists the fields that cannot change once a board has entries.
var counting = []string{"combine", "order", "ties", "periods", "categories", "time_zone", "decimals", "grace", "players"}

// drawConfig draws the fields that entries are counted by, and returns the
// names of those that differ from the defaults.
func (m *machine) drawConfig(t *rapid.T, b *Board) []string {
	set := []string{}
	choose := func(field string, percent int, do func()) {
		if chance(t, percent, field+"?") {
			do()
			set = append(set, field)
		}
	}
	choose("combine", 50, func() { b.Combine = pick(t, "combine", []string{"sum", "best", "last"}) })
	choose("order", 50, func() { b.Order = pick(t, "order", []string{"desc", "asc"}) })
	choose("ties", 50, func() { b.Ties = pick(t, "ties", []string{"first", "shared"}) })
	choose("periods", 70, func() {
		sets := periodSets
		if m.periods != nil {
			sets = m.periods
		}
		b.Periods = pick(t, "periods", sets)
	})
	choose("categories", 50, func() {
		b.Categories = pick(t, "categories", [][]string{{}, {"age"}, {"age", "club"}})
	})
	choose("time_zone", 60, func() { b.TimeZone = pick(t, "time_zone", append([]string{"UTC", "Asia/Seoul"}, m.zones...)) })
	choose("decimals", 10, func() { b.Decimals = uniform(t, "decimals", 7) })
	choose("grace", 60, func() {
		b.Grace = pick(t, "grace", []time.Duration{24 * time.Hour, 0, time.Hour, 90 * time.Minute, 72 * time.Hour})
	})
	// No rule says what happens to players whose ids are not users'.
	if m.w.Entered(b) || !slices.ContainsFunc(m.w.Players, func(p *Player) bool { return p.Board == b.ID }) {
		choose("players", 30, func() { b.Players = pick(t, "players", []string{"registered", "registered", "any"}) })
	}
	return set
}

// drawRules draws the fields that may always change.
func (m *machine) drawRules(t *rapid.T, b *Board, percent int) []string {
	set := []string{}
	choose := func(field string, percent int, do func()) {
		if chance(t, percent, field+"?") {
			do()
			set = append(set, field)
		}
	}
	choose("title", percent, func() {
		b.Title = pick(t, "title", []string{"Spring run", "서울 마라톤", `"quoted" & <b>`})
	})
	choose("unit", percent/2, func() { b.Unit = pick(t, "unit", []string{"points", "duration_ms"}) })
	if !m.narrow {
		choose("catalogue", percent, func() {
			b.Catalogue = pick(t, "catalogue", []map[string]int64{nil, {"full": 42, "half": 20, "none": 0}, {"full": 50}})
		})
		choose("min", percent/2, func() { b.Min = pick(t, "min", []int64{0, -MaxPoints, 1, -10}) })
		choose("max", percent/2, func() { b.Max = pick(t, "max", []*int64{nil, ptr(int64(100)), ptr(int64(42))}) })
	}
	if b.Combine != "sum" && b.DailyCap != nil {
		b.DailyCap = nil
		set = append(set, "daily_cap")
	} else if b.Combine == "sum" && m.caps != nil {
		if m.narrow {
			percent = 70
		}
		choose("daily_cap", percent, func() { b.DailyCap = pick(t, "daily_cap", m.caps) })
	}
	if m.floors != nil && (b.Combine == "sum" && b.has("all") || chance(t, 10, "a floor elsewhere")) {
		choose("floor", percent, func() {
			b.Floor = pick(t, "floor", m.floors)
			if chance(t, 5, "a floor above 0") {
				b.Floor = ptr(int64(1))
			}
		})
	}
	choose("public", percent, func() { b.Public = rapid.Bool().Draw(t, "public") })
	choose("writers", percent, func() {
		b.Writers = pick(t, "writers", [][]string{{}, {m.user("writer")}, {m.user("writer"), m.user("viewer")}})
	})
	choose("viewers", percent, func() { b.Viewers = pick(t, "viewers", [][]string{{}, {m.user("viewer")}}) })
	return set
}

// only returns some of the board's fields.
func only(b *Board, names []string) map[string]any {
	all, some := b.fields(), map[string]any{}
	for _, n := range names {
		some[n] = all[n]
	}
	return some
}

func (m *machine) createBoard(t *rapid.T) {
	m.createBoardAs(t, drawCaller(t), pick(t, "name", []string{"b", "a", "c"}))
}

func (m *machine) createBoardAs(t *rapid.T, name, id string) {
	c := who(m.run, name)
	b := defaults(m.id(id), c.User)
	b.Title = "A board"
	set := append([]string{"id", "title"}, m.drawConfig(t, b)...)
	if m.narrow {
		b.Min = -MaxPoints
		set = append(set, "min")
		if combine := pick(t, "combine of the theme", m.combines); combine != "" {
			b.Combine = combine
			set = append(set, "combine")
		}
		if m.caps != nil && b.Combine == "sum" {
			b.DailyCap = m.caps[0]
			set = append(set, "daily_cap")
		}
	}
	set = append(set, m.drawRules(t, b, 30)...)
	if len(m.w.Boards) == 0 && b.Floor != nil && (*b.Floor > 0 || b.Combine != "sum" || !b.has("all")) {
		b.Floor = nil // a history needs a board
	}
	if chance(t, m.drafts, "draft") {
		b.State = "draft"
		set = append(set, "state")
	} else {
		b.OpenedAt = m.w.Now
	}
	w := m.call(name, "POST", "/v1/boards", only(b, set))
	if refusals := m.w.JudgeNewBoard(c, b); refusals != nil {
		if err := fits(w, refusals); err != nil {
			m.fail(t, "%v", err)
		}
		return
	}
	if w.Code != 201 {
		m.fail(t, "a board should be made: %d %s", w.Code, w.Body)
	}
	m.w.Boards = append(m.w.Boards, b)
	m.sameBoard(t, decode[map[string]any](t, w), b)
}

func (m *machine) changeBoard(t *rapid.T) {
	name, id := m.drawWriter(t), m.drawBoard(t)
	old := m.w.Board(id)
	if old == nil {
		old = defaults(id, "nobody")
	}
	b := ptr(*old)
	var set []string
	if chance(t, 15, "counting") {
		set = append(set, m.drawConfig(t, b)...)
	}
	set = append(set, m.drawRules(t, b, 25)...)
	if m.stray(t, 40, "state?") || m.narrow && chance(t, m.drafts/2, "opening?") {
		states := []string{"open", "open", "open", "archived", "closed", "draft"}
		switch {
		case old.State == "draft": // the rules leave open if a draft can become one
			states = states[:5]
		case m.narrow:
			states = []string{"open", "open", "open", "open", "archived", "draft"}
		}
		b.State = pick(t, "state", states)
		set = append(set, "state")
	}
	refusals := m.w.JudgeBoard(who(m.run, name), id, b, set, !reflect.DeepEqual(only(old, counting), only(b, counting)))
	if b.DailyCap != nil && b.Combine != "sum" {
		b.DailyCap = nil
		set = append(set, "daily_cap")
	}
	w := m.call(name, "PATCH", "/v1/boards/"+id, only(b, set))
	if refusals != nil {
		if err := fits(w, refusals); err != nil {
			m.fail(t, "%v", err)
		}
		return
	}
	if w.Code != 200 {
		m.fail(t, "the board should change: %d %s", w.Code, w.Body)
	}
	if old.State == "draft" && b.State != "draft" {
		b.OpenedAt = m.w.Now.Truncate(time.Microsecond)
	}
	m.w.Boards[slices.Index(m.w.Boards, old)] = b
	m.sameBoard(t, decode[map[string]any](t, w), b)
}

// sameBoard compares a board with what its people are shown.
func (m *machine) sameBoard(t *rapid.T, got map[string]any, b *Board) {
	want := map[string]any{}
	for k, v := range b.fields() {
		want[k] = generic(v)
	}
	grace, err := time.ParseDuration(got["grace"].(string))
	if err != nil || grace != b.Grace {
		m.fail(t, "grace should be %s: %v", b.Grace, got["grace"])
	}
	delete(want, "grace")
	want["opened_at"] = maybe(b.OpenedAt.Truncate(time.Microsecond))
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[k], want[k]) {
			m.fail(t, "the board's %s should be %v, not %v", k, want[k], got[k])
		}
	}
}

func (m *machine) getBoard(t *rapid.T) {
	name, id := drawCaller(t), m.drawBoard(t)
	b := m.w.Board(id)
	w := m.get(t, name, "/v1/boards/"+id)
	c := who(m.run, name)
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, w, 404)
		return
	}
	if w.Code != 200 {
		m.fail(t, "the board should be read: %d %s", w.Code, w.Body)
	}
	got := decode[map[string]any](t, w)
	if People(c, b) {
		m.sameBoard(t, got, b)
		return
	}
	for _, list := range []string{"owners", "writers", "viewers"} {
		if _, ok := got[list]; ok {
			m.fail(t, "%q should not see the %s: %v", name, list, got)
		}
	}
	if got["id"] != b.ID || got["title"] != b.Title || got["state"] != b.State {
		m.fail(t, "the board should be %+v: %v", b, got)
	}
}

// listBoards lists this history's boards, which the search finds by their ids.
func (m *machine) listBoards(t *rapid.T) {
	name := drawCaller(t)
	c := who(m.run, name)
	mine := name != "" && chance(t, 50, "mine")
	q := url.Values{}
	if mine {
		q.Set("mine", "true")
	}
	seen := map[string]bool{}
	for page := range m.pages(t, name, "/v1/boards", q) {
		for _, item := range decodeItems[map[string]any](t, page) {
			id := item["id"].(string)
			b := m.w.Board(id)
			if seen[id] {
				m.fail(t, "board %s is listed twice", id)
			}
			seen[id] = true
			if strings.HasPrefix(id, m.id("")) && (b == nil || !m.w.MayRead(c, b) || b.State == "archived" || mine && !Staff(c, b) && !slices.Contains(b.Viewers, c.User)) {
				m.fail(t, "board %s should not be listed", id)
			}
		}
	}
	for _, b := range m.w.Boards {
		// mine includes at least the caller's own boards.
		if !seen[b.ID] && m.w.MayRead(c, b) && b.State != "archived" && (!mine || slices.Contains(b.Owners, c.User) && c.scoped("read")) {
			m.fail(t, "board %s should be listed", b.ID)
		}
	}
}
