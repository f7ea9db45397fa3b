package model

import (
	"cmp"
	"net/url"
	"slices"

	"pgregory.net/rapid"
)

// drawLinked draws a caller who is mostly one of those whom owners propose.
func (m *machine) drawLinked(t *rapid.T) string {
	if m.stray(t, 20, "anybody") {
		return drawCaller(t)
	}
	return pick(t, "linked", []string{"linked", "viewer"})
}

// drawLink draws a player, mostly one to whom the caller is proposed.
func (m *machine) drawLink(t *rapid.T, c Caller) (board, player string) {
	var mine []*Player
	for _, p := range m.w.Players {
		if same(p.Today().Proposed, &c.User) {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 && chance(t, 80, "proposed") {
		p := pick(t, "link", mine)
		return p.Board, p.ID
	}
	board = m.drawBoard(t)
	return board, m.drawPlayer(t, board)
}

func (m *machine) acceptLink(t *rapid.T) { m.answerLink(t, "PUT", false) }

func (m *machine) endLink(t *rapid.T) { m.answerLink(t, "DELETE", true) }

func (m *machine) answerLink(t *rapid.T, method string, end bool) {
	name := m.drawLinked(t)
	c := who(m.run, name)
	board, player := m.drawLink(t, c)
	refusals := m.w.JudgeLink(c, board, player, end)
	w := m.call(name, method, "/v1/players/me/links/"+board+"/"+player, nil)
	if refusals != nil {
		if err := fits(w, refusals); err != nil {
			m.fail(t, "%v", err)
		}
		return
	}
	m.w.SetLink(c, board, player, end)
	if end {
		if w.Code != 204 {
			m.fail(t, "the link should have ended: %d %s", w.Code, w.Body)
		}
		return
	}
	if w.Code != 200 {
		m.fail(t, "the link should be accepted: %d %s", w.Code, w.Body)
	}
	m.sameLink(t, decode[map[string]any](t, w), m.w.Player(board, player))
}

func (m *machine) sameLink(t *rapid.T, got map[string]any, p *Player) {
	if got["board"] != p.Board || got["player"] != p.ID || got["state"] != p.Today().Link || got["title"] != m.w.Board(p.Board).Title {
		m.fail(t, "the link of %s on %s should be %s: %v", p.ID, p.Board, p.Today().Link, got)
	}
}

// listLinks checks that the list holds exactly the players whom the caller was proposed
// to be, without those on drafts.
func (m *machine) listLinks(t *rapid.T) {
	name := m.drawLinked(t)
	c := who(m.run, name)
	const path = "/v1/players/me/links"
	if c.Role == "" || c.Scopes != nil {
		m.refused(t, m.get(t, name, path), map[bool]int{true: 401, false: 403}[c.Role == ""])
		return
	}
	var list []*Player
	for _, p := range m.w.Players {
		if same(p.Today().Proposed, &c.User) && m.w.Board(p.Board).State != "draft" {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y *Player) int { return cmp.Or(cmp.Compare(x.Board, y.Board), cmp.Compare(x.ID, y.ID)) })
	q := url.Values{}
	if chance(t, 50, "limit?") {
		q.Set("limit", "1")
	}
	n := 0
	for p := range m.pages(t, name, path, q) {
		for _, item := range decodeItems[map[string]any](t, p) {
			if n >= len(list) {
				m.fail(t, "this should not be listed: %v", item)
			}
			m.sameLink(t, item, list[n])
			n++
		}
	}
	if n != len(list) {
		m.fail(t, "%d links should be listed, not %d", len(list), n)
	}
}
