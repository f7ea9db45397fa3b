package model

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// seen returns the board's players that the caller may see, by their ids.
func (m *machine) seen(c Caller, b *Board) (list []*Player) {
	for _, p := range m.w.Players {
		if p.Board == b.ID && (p.Today().Status != "hidden" || SeesHidden(c, b)) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y *Player) int { return strings.Compare(x.ID, y.ID) })
	return list
}

func (m *machine) listPlayers(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/players", url.Values{}
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	list := m.seen(c, b)
	keep := func(field, value string, has func(State) bool) {
		q.Set(field, value)
		list = slices.DeleteFunc(list, func(p *Player) bool { return !has(p.Today()) })
	}
	if chance(t, 50, "status?") {
		asked := pick(t, "status", []string{"ranked", "hidden", "dnf", "dnf,dns,disqualified", "hidden,ranked", "under_review,hidden"})
		keep("status", asked, func(s State) bool { return slices.Contains(strings.Split(asked, ","), s.Status) })
	}
	if len(b.Categories) > 0 && chance(t, 40, "category?") {
		attribute, value := pick(t, "category", b.Categories), pick(t, "value", []string{"M40", "F30", "Han", "x:y"})
		keep("category", attribute+":"+value, func(s State) bool { return s.Attributes[attribute] == value })
	}
	if chance(t, 30, "q?") {
		begin := pick(t, "q", []string{"a", "P", "n", "%", "_"})
		keep("q", begin, func(s State) bool {
			return s.DisplayName != nil && strings.HasPrefix(strings.ToLower(*s.DisplayName), strings.ToLower(begin))
		})
		slices.SortStableFunc(list, func(x, y *Player) int {
			return strings.Compare(strings.ToLower(*x.Today().DisplayName), strings.ToLower(*y.Today().DisplayName))
		})
	}
	if chance(t, 50, "limit?") {
		q.Set("limit", "2")
	}
	var got []map[string]any
	for p := range m.pages(t, name, path, q) {
		got = append(got, decodeItems[map[string]any](t, p)...)
	}
	if len(got) != len(list) {
		m.fail(t, "%d players should be listed, not %d", len(list), len(got))
	}
	for i, p := range list {
		m.samePlayer(t, got[i], p, m.w.Sees(c, b, p.ID))
	}
}

func (m *machine) listCategories(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/categories", url.Values{}
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	categories := b.Categories
	if len(categories) > 0 && chance(t, 40, "name?") {
		categories = []string{pick(t, "name", categories)}
		q.Set("name", categories[0])
	}
	if chance(t, 50, "limit?") {
		q.Set("limit", "1")
	}
	var want, got []string
	for _, attribute := range categories {
		counts := map[string]int{}
		for _, p := range m.seen(c, b) {
			if value, ok := p.Today().Attributes[attribute]; ok {
				counts[value]++
			}
		}
		var values []string
		for value, n := range counts {
			values = append(values, fmt.Sprintf("%s:%s %d", attribute, value, n))
		}
		slices.Sort(values)
		want = append(want, values...)
	}
	for p := range m.pages(t, name, path, q) {
		for _, item := range decodeItems[map[string]any](t, p) {
			if item["category"] != fmt.Sprintf("%v:%v", item["name"], item["value"]) {
				m.fail(t, "a category should be its name and value: %v", item)
			}
			got = append(got, fmt.Sprintf("%v %v", item["category"], item["players"]))
		}
	}
	if !slices.Equal(got, want) {
		m.fail(t, "the categories should be %q, not %q", want, got)
	}
}
