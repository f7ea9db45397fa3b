package model

import (
	"maps"
	"reflect"
	"slices"

	"pgregory.net/rapid"
)

// drawPlayer draws a player of the board, rarely an impossible one.
func (m *machine) drawPlayer(t *rapid.T, board string) string {
	registered := false
	if b := m.w.Board(board); b != nil {
		registered = b.Players == "registered"
	}
	if registered != m.stray(t, 3, "of another board") {
		return m.user(pick(t, "player", people[:min(len(people), m.theme.players)]))
	}
	return pick(t, "player", []string{"p1", "p2", "p3", "P-4", "p5"}[:m.theme.players])
}

// people are users who are players, some without any other role.
var people = []string{"linked", "viewer", "writer", "nobody"}

// drawProfile draws the part of a profile that entries may carry.
func (m *machine) drawProfile(t *rapid.T, board, player string) (*Profile, map[string]any) {
	p, body := &Profile{}, map[string]any{}
	text := func(field string, percent int, to ***string, values ...string) {
		if !chance(t, percent, field+"?") {
			return
		}
		v := pick(t, field, append(values, ""))
		if v == "" {
			*to = ptr[*string](nil)
			body[field] = nil
		} else {
			*to = ptr(&v)
			body[field] = v
		}
	}
	text("display_name", m.named, &p.DisplayName, "Kim", "Núria 누리아")
	text("country", 30, &p.Country, "KR", "ES")
	if b := m.w.Board(board); b == nil || b.Players == "any" {
		text("user", m.linked, &p.User, m.user("linked"), m.user("viewer"))
	} else if chance(t, 30, "themselves") {
		p.User = ptr(&player)
		body["user"] = player
	} else {
		text("user", m.linked, &p.User, player, m.user("linked"))
	}
	if chance(t, 60, "attributes?") {
		p.Attributes = map[string]*string{}
		for _, a := range []struct {
			name   string
			values []string
		}{{"age", []string{"M40", "F30"}}, {"club", []string{"Han", "x:y"}}, {"shirt", []string{"L"}}} {
			if chance(t, 60, a.name+"?") {
				v := pick(t, a.name, append(a.values, ""))
				p.Attributes[a.name] = nil
				if v != "" {
					p.Attributes[a.name] = &v
				}
			}
		}
		body["attributes"] = p.Attributes
	}
	return p, body
}

func (m *machine) changePlayer(t *rapid.T) {
	name, board := m.drawWriter(t), m.drawBoard(t)
	id := m.drawPlayer(t, board)
	p, body := m.drawProfile(t, board, id)
	if chance(t, 60, "status?") {
		p.Status = ptr(pick(t, "status", []string{"ranked", "ranked", "hidden", "under_review", "disqualified", "dnf", "dns"}))
		p.Note = ptr(ptr("seen by the jury"))
		body["status"], body["note"] = *p.Status, **p.Note
	}
	refusals := m.w.JudgePlayer(who(m.run, name), board, id, p)
	w := m.call(name, "PATCH", "/v1/boards/"+board+"/players/"+id, body)
	if refusals != nil {
		if err := fits(w, refusals); err != nil {
			m.fail(t, "%v", err)
		}
		return
	}
	status := 200
	if m.w.Player(board, id) == nil {
		status = 201
	}
	if w.Code != status {
		m.fail(t, "the player should be answered with %d: %d %s", status, w.Code, w.Body)
	}
	m.w.SetPlayer(board, id, p)
	m.samePlayer(t, decode[map[string]any](t, w), m.w.Player(board, id), Everything)
}

func (m *machine) samePlayer(t *rapid.T, got map[string]any, p *Player, sees Sight) {
	s := p.Today()
	want := map[string]any{
		"board": p.Board, "player": p.ID, "display_name": generic(s.DisplayName), "country": generic(s.Country),
		"attributes": generic(s.Attributes), "status": s.Status, "user": nil, "note": nil,
	}
	if sees.Person {
		want["user"], want["note"] = generic(s.User), generic(s.Note)
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[k], want[k]) {
			m.fail(t, "the player's %s should be %v, not %v", k, want[k], got[k])
		}
	}
}

func (m *machine) erasePlayer(t *rapid.T) {
	name, board := m.drawWriter(t), m.drawBoard(t)
	id := m.drawPlayer(t, board)
	status := m.w.JudgeErasure(who(m.run, name), board, id)
	w := m.call(name, "DELETE", "/v1/boards/"+board+"/players/"+id+"/profile", nil)
	if w.Code != status || status == 204 && w.Body.Len() > 0 {
		m.fail(t, "the erasure should be answered with %d: %d %s", status, w.Code, w.Body)
	}
	if status == 204 {
		m.w.Erase(board, id)
	}
}

func (m *machine) getPlayer(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	id := m.drawPlayer(t, board)
	c, b, p := who(m.run, name), m.w.Board(board), m.w.Player(board, id)
	w := m.get(t, name, "/v1/boards/"+board+"/players/"+id)
	if b == nil || p == nil || !m.w.MayRead(c, b) && !m.w.Own(c, b, id) || p.Today().Status == "hidden" && !SeesHidden(c, b) {
		m.refused(t, w, 404)
		return
	}
	if w.Code != 200 {
		m.fail(t, "the player should be read: %d %s", w.Code, w.Body)
	}
	m.samePlayer(t, decode[map[string]any](t, w), p, m.w.Sees(c, b, id))
}
