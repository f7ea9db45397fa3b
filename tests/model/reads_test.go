package model

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// get reads a resource and checks the rules of caching.
func (m *machine) get(t *rapid.T, name, target string, headers ...string) *httptest.ResponseRecorder {
	w := m.call(name, "GET", target, nil, headers...)
	if w.Code != 200 {
		return w
	}
	cache, tag := w.Header().Get("Cache-Control"), w.Header().Get("ETag")
	switch {
	case name != "" && cache != "private, no-cache":
		m.fail(t, "an answer to a token is private: Cache-Control %q", cache)
	case name == "" && (cache != "public, max-age=5, stale-while-revalidate=30" || tag == "" || !slices.Contains(w.Header().Values("Vary"), "Authorization")):
		m.fail(t, "an anonymous answer may be kept for a moment: %v", w.Header())
	case tag != "":
		again := m.send(m.token(name), "GET", target, "", append(headers, "If-None-Match", tag)...)
		if again.Code != 304 || again.Body.Len() != 0 {
			m.fail(t, "nothing changed since %s: %d %s", tag, again.Code, again.Body)
		}
	}
	return w
}

func (m *machine) refused(t *rapid.T, w *httptest.ResponseRecorder, status int, field ...string) {
	r := Refusal{Status: status}
	if field != nil {
		r.Faults = [][]string{field}
	}
	if err := fits(w, []Refusal{r}); err != nil {
		m.fail(t, "%v", err)
	}
}

type page struct {
	Items                      []any
	Next                       *string
	*httptest.ResponseRecorder `json:"-"`
}

func decodeItems[T any](t *rapid.T, p page) []T {
	return decode[struct{ Items []T }](t, p.ResponseRecorder).Items
}

// pages reads a list to its end.
func (m *machine) pages(t *rapid.T, name, path string, q url.Values) iter.Seq[page] {
	return func(yield func(page) bool) {
		target := path
		if len(q) > 0 {
			target += "?" + q.Encode()
		}
		for n := 0; ; n++ {
			w := m.get(t, name, target)
			if w.Code != 200 {
				m.fail(t, "the list should be read: %d %s", w.Code, w.Body)
			}
			p := decode[page](t, w)
			p.ResponseRecorder = w
			if !yield(p) || p.Next == nil {
				return
			}
			if n > 100 {
				m.fail(t, "the list does not end")
			}
			// A cursor carries its filters.
			next := url.Values{"cursor": {*p.Next}}
			if l := q.Get("limit"); l != "" {
				next.Set("limit", l)
			}
			target = path + "?" + next.Encode()
		}
	}
}

// table is what a list of standings shows.
type table struct {
	Board            string
	Run              Run
	Attribute, Value string
}

func (x table) category() any {
	if x.Attribute == "" {
		return nil
	}
	return x.Attribute + ":" + x.Value
}

func (m *machine) periodJSON(b *Board, s Run) map[string]any {
	state := "open"
	if m.w.Closed(b, s) {
		state = "closed"
	}
	return map[string]any{"name": s.Name, "start": maybe(s.Start), "end": maybe(s.End), "state": state}
}

// drawTable draws which table of the board to read. It returns false if there
// is none.
func (m *machine) drawTable(t *rapid.T, b *Board, q url.Values, category bool) (table, bool) {
	x := table{Board: b.ID}
	var p Period
	if chance(t, 60, "period?") {
		p = pick(t, "period", b.Periods)
		q.Set("period", p.Name)
	}
	at := m.w.Now
	if chance(t, 40, "at?") {
		at = at.Add(-pick(t, "at", []time.Duration{time.Minute, 3 * time.Hour, 25 * time.Hour, 49 * time.Hour, 8 * 24 * time.Hour, 33 * 24 * time.Hour, -24 * time.Hour, 400 * 24 * time.Hour}))
		if m.instants != nil && chance(t, 50, "of the theme") {
			at = pick(t, "instant", m.instants)
		}
		q.Set("at", at.Format(time.RFC3339Nano))
	}
	if category && len(b.Categories) > 0 && chance(t, 40, "category?") {
		x.Attribute = pick(t, "category", b.Categories)
		x.Value = pick(t, "value", []string{"M40", "F30", "Han", "x:y"})
		q.Set("category", x.Attribute+":"+x.Value)
	}
	var ok bool
	switch {
	case p.Name != "":
		x.Run, ok = b.RunAt(p, at)
	case q.Has("at"):
		x.Run, ok = b.DefaultRun(at, m.w.Now)
	default:
		x.Run, ok = b.DefaultRun(time.Time{}, m.w.Now)
	}
	return x, ok
}

func (m *machine) rows(x table) []Row {
	return m.w.Table(m.w.Board(x.Board), x.Run, x.Attribute, x.Value)
}

// sameRow compares a row of a table. The attributes of a closed table are not
// compared: no rule defines whether they are today's or the table's.
func (m *machine) sameRow(t *rapid.T, got map[string]any, x table, r Row) {
	today := m.w.Player(x.Board, r.Player).Today()
	want := map[string]any{
		"rank": float64(r.Rank), "player": r.Player, "display_name": generic(today.DisplayName), "country": generic(today.Country),
		"score": float64(r.Score), "reached_at": maybe(r.ReachedAt),
	}
	if !m.w.Closed(m.w.Board(x.Board), x.Run) {
		want["attributes"] = generic(r.State.Attributes)
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[k], want[k]) {
			m.fail(t, "%s of %s in %+v should be %v, not %v", k, r.Player, x, want[k], got[k])
		}
	}
}

// sameRows compares part of a table.
func (m *machine) sameRows(t *rapid.T, got []map[string]any, x table, want []Row) {
	if len(got) != len(want) {
		m.fail(t, "%+v should list %s, not %v", x, players(want), got)
	}
	for i := range want {
		if got[i]["player"] != want[i].Player {
			m.fail(t, "%+v should list %s, not %v", x, players(want), got)
		}
		m.sameRow(t, got[i], x, want[i])
	}
}

func players(rows []Row) string {
	var list []string
	for _, r := range rows {
		list = append(list, fmt.Sprintf("%d. %s (%d, %d, %s)", r.Rank, r.Player, r.Score, r.Tiebreak, r.ReachedAt.Format(time.RFC3339Nano)))
	}
	return strings.Join(list, " ")
}

// head compares everything but the items.
func (m *machine) head(t *rapid.T, w *httptest.ResponseRecorder, x table) {
	got := decode[map[string]any](t, w)
	b := m.w.Board(x.Board)
	for k, want := range map[string]any{
		"board": b.ID, "period": m.periodJSON(b, x.Run), "category": x.category(), "of": float64(len(m.rows(x))),
	} {
		if !reflect.DeepEqual(got[k], want) {
			m.fail(t, "%s of %+v should be %v, not %v", k, x, want, got[k])
		}
	}
}

// walk is a partly read list of standings.
type walk struct {
	table
	who, cursor string
	after       Standing
	limit       int
}

func (m *machine) listStandings(t *rapid.T) {
	if len(m.walks) > 0 && chance(t, 25, "go on") {
		m.goOn(t)
		return
	}
	name, board := drawCaller(t), m.drawBoard(t)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/standings", url.Values{}
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	x, ok := m.drawTable(t, b, q, true)
	if !ok {
		m.refused(t, m.get(t, name, path+"?"+q.Encode()), 404)
		return
	}
	rows := m.rows(x)
	kind := pick(t, "list", []string{"all", "around", "players", "filter", "begin"})
	limit := pick(t, "limit", []int{0, 1, 2, 3, 1000})
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	} else {
		limit = 50
	}
	switch kind {
	case "around":
		m.around(t, name, path, q, x, rows, limit)
		return
	case "players":
		asked := []string{m.drawPlayer(t, board), m.drawPlayer(t, board), "nobody"}
		asked = slices.Compact(asked)
		q.Set("players", strings.Join(asked, ","))
		rows = slices.DeleteFunc(rows, func(r Row) bool { return !slices.Contains(asked, r.Player) })
	case "filter":
		if chance(t, 50, "min?") {
			n := pick(t, "min", []int64{0, 5, 20, 42})
			q.Set("min", fmt.Sprint(n))
			rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Score < n })
		}
		if chance(t, 50, "max?") {
			n := pick(t, "max", []int64{100, 42, 10, -1})
			q.Set("max", fmt.Sprint(n))
			rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Score > n })
		}
		if chance(t, 50, "country?") {
			q.Set("country", "KR")
			rows = slices.DeleteFunc(rows, func(r Row) bool {
				country := m.w.Player(x.Board, r.Player).Today().Country
				return country == nil || *country != "KR"
			})
		}
	}
	var got []map[string]any
	for p := range m.pages(t, name, path, q) {
		m.head(t, p.ResponseRecorder, x)
		items := decodeItems[map[string]any](t, p)
		if len(items) > limit || p.Next != nil && len(items) == 0 {
			m.fail(t, "a page of up to %d: %s", limit, p.Body)
		}
		got = append(got, items...)
		if kind == "begin" && p.Next != nil && len(got) <= len(rows) {
			m.sameRows(t, got, x, rows[:len(got)])
			m.walks = append(m.walks, walk{x, name, *p.Next, rows[len(got)-1].Standing, limit})
			return
		}
	}
	m.sameRows(t, got, x, rows)
}

// goOn reads the next page of a list: the items after the last one read,
// whatever has happened since.
func (m *machine) goOn(t *rapid.T) {
	i := uniform(t, "walk", len(m.walks))
	k := m.walks[i]
	b := m.w.Board(k.Board)
	q := url.Values{"cursor": {k.cursor}, "limit": {strconv.Itoa(k.limit)}}
	w := m.get(t, k.who, "/v1/boards/"+k.Board+"/standings?"+q.Encode())
	if !m.w.MayRead(who(m.run, k.who), b) {
		m.refused(t, w, 404)
		return
	}
	if w.Code != 200 {
		m.fail(t, "the list should continue: %d %s", w.Code, w.Body)
	}
	m.head(t, w, k.table)
	rows := slices.DeleteFunc(m.rows(k.table), func(r Row) bool { return b.PageOrder(r.Standing, k.after) <= 0 })
	p := decode[page](t, w)
	if more := len(rows) > k.limit; more != (p.Next != nil) {
		m.fail(t, "next should be there: %t: %s", more, w.Body)
	}
	rows = rows[:min(len(rows), k.limit)]
	m.sameRows(t, decode[struct{ Items []map[string]any }](t, w).Items, k.table, rows)
	m.walks = slices.Delete(m.walks, i, i+1)
}

// around returns a page with the player in its middle, as far as the ends
// allow.
func (m *machine) around(t *rapid.T, name, path string, q url.Values, x table, rows []Row, limit int) {
	player := m.drawPlayer(t, x.Board)
	q.Set("around", player)
	w := m.get(t, name, path+"?"+q.Encode())
	at := slices.IndexFunc(rows, func(r Row) bool { return r.Player == player })
	if at < 0 {
		if w.Code != 404 {
			m.fail(t, "%s does not stand in %+v: %d %s", player, x, w.Code, w.Body)
		}
		return
	}
	if w.Code != 200 {
		m.fail(t, "the page around %s should be read: %d %s", player, w.Code, w.Body)
	}
	m.head(t, w, x)
	items := decode[struct{ Items []map[string]any }](t, w).Items
	from := slices.IndexFunc(rows, func(r Row) bool { return len(items) > 0 && r.Player == items[0]["player"] })
	if from < 0 || from+len(items) > len(rows) {
		m.fail(t, "the page around %s should be a part of %s: %s", player, players(rows), w.Body)
	}
	m.sameRows(t, items, x, rows[from:from+len(items)])
	above, below := at-from, from+len(items)-1-at
	switch {
	case above < 0 || below < 0:
		m.fail(t, "%s should stand in the page: %s", player, w.Body)
	case len(items) > limit:
		m.fail(t, "a page of up to %d: %s", limit, w.Body)
	case from > 0 && above < (limit-1)/2, from+len(items) < len(rows) && below < (limit-1)/2:
		m.fail(t, "%s should stand in the middle of %d, of %s: %s", player, limit, players(rows), w.Body)
	}
}

func (m *machine) getStanding(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	player := m.drawPlayer(t, board)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/standings/"+player, url.Values{}
	if b == nil || !m.w.MayRead(c, b) && !m.w.Own(c, b, player) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	x, ok := m.drawTable(t, b, q, false)
	w := m.get(t, name, path+"?"+q.Encode())
	st, has := Standing{}, false
	if ok {
		st, has = m.w.Standing(b, player, x.Run)
	}
	if !has {
		m.refused(t, w, 404)
		return
	}
	today := m.w.Player(board, player).Today().Status
	switch hidden := []bool{today == "hidden", st.State.Status == "hidden"}; {
	case SeesHidden(c, b) || !hidden[0] && !hidden[1]:
		m.sameStanding(t, w, x, st)
	case hidden[0] && hidden[1]:
		m.refused(t, w, 404)
	case w.Code != 404: // hidden either today or in a closed table: both responses are allowed
		m.sameStanding(t, w, x, st)
	}
}

func (m *machine) sameStanding(t *rapid.T, w *httptest.ResponseRecorder, x table, st Standing) {
	if w.Code != 200 {
		m.fail(t, "the standing of %s should be read: %d %s", st.Player, w.Code, w.Body)
	}
	b := m.w.Board(x.Board)
	rankIn := func(x table) (any, int) {
		rows := m.rows(x)
		for _, r := range rows {
			if r.Player == st.Player {
				return float64(r.Rank), len(rows)
			}
		}
		return nil, len(rows)
	}
	rank, of := rankIn(x)
	categories := []any{}
	for _, a := range b.Categories {
		if v, ok := st.State.Attributes[a]; ok {
			rank, of := rankIn(table{x.Board, x.Run, a, v})
			categories = append(categories, map[string]any{"category": a + ":" + v, "rank": rank, "of": float64(of)})
		}
	}
	got := decode[map[string]any](t, w)
	percentile, _ := got["percentile"].(float64)
	if rank == nil != (got["percentile"] == nil) {
		m.fail(t, "the percentile comes with the rank: %s", w.Body)
	}
	if rank != nil {
		if want := 100 * (float64(of) - rank.(float64) + 1) / float64(of); math.Abs(want-percentile) > 1e-6 {
			m.fail(t, "the percentile should be %v: %s", want, w.Body)
		}
	}
	want := map[string]any{
		"board": b.ID, "player": st.Player, "period": m.periodJSON(b, x.Run), "category": nil, "score": float64(st.Score), "rank": rank,
		"of": float64(of), "reached_at": maybe(st.ReachedAt), "status": st.State.Status, "categories": categories,
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[k], want[k]) {
			m.fail(t, "%s of %s in %+v should be %v, not %v", k, st.Player, x, want[k], got[k])
		}
	}
}
