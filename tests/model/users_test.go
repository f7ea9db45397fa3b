package model

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// linkedPlayers returns the players of a user that the caller may see.
func (m *machine) linkedPlayers(c Caller, user string) []*Player {
	var list []*Player
	for _, p := range m.w.Players {
		b, s := m.w.Board(p.Board), p.Today()
		linked := s.User != nil && *s.User == user && m.w.MayRead(c, b) && (s.Status != "hidden" || SeesHidden(c, b))
		if linked || c.User == user && m.w.Own(c, b, p.ID) {
			list = append(list, p)
		}
	}
	return list
}

// listUserStandings checks that the list holds a standing of the user's players
// for each board that the caller may see, and no other.
func (m *machine) listUserStandings(t *rapid.T) {
	name := drawCaller(t)
	c, user := who(m.run, name), m.user(pick(t, "user", []string{"linked", "linked", "viewer", "writer", "nobody"}))
	visible := m.linkedPlayers(c, user)
	seen := map[string]bool{}
	for p := range m.pages(t, name, "/v1/players/"+user+"/standings", url.Values{}) {
		for _, item := range decodeItems[map[string]any](t, p) {
			board, _ := item["board"].(string)
			player, _ := item["player"].(string)
			if !slices.Contains(visible, m.w.Player(board, player)) {
				m.fail(t, "%s on %s should not be listed: %v", player, board, item)
			}
			b := m.w.Board(board)
			run, _ := item["period"].(map[string]any)
			i := slices.IndexFunc(b.Periods, func(p Period) bool { return p.Name == run["name"] })
			if i < 0 {
				m.fail(t, "a standing says of which period it is: %v", item)
			}
			at := m.w.Now
			if run["start"] != nil {
				at = m.instant(t, run["start"])
			}
			s, _ := b.RunAt(b.Periods[i], at)
			st, ok := m.w.Standing(b, player, s)
			var rank any
			for _, r := range m.w.Table(b, s, "", "") {
				if r.Player == player {
					rank = float64(r.Rank)
				}
			}
			if !ok || item["score"] != float64(st.Score) || item["rank"] != rank {
				m.fail(t, "%s on %s should have score %d and rank %v: %v", player, board, st.Score, rank, item)
			}
			seen[board+" "+player] = true
		}
	}
	for _, p := range visible {
		b := m.w.Board(p.Board)
		s, ok := b.DefaultRun(time.Time{}, m.w.Now)
		if _, has := m.w.Standing(b, p.ID, s); ok && has && b.State != "archived" && !seen[p.Board+" "+p.ID] {
			m.fail(t, "%s on %s should be listed", p.ID, p.Board)
		}
	}
}

// listUserEntries checks that the list holds the entries on every board that
// the caller may see, newest first.
func (m *machine) listUserEntries(t *rapid.T) {
	name := drawCaller(t)
	c, user := who(m.run, name), m.user(pick(t, "user", []string{"linked", "linked", "viewer", "writer", "nobody"}))
	visible := m.linkedPlayers(c, user)
	var list []*Entry
	for _, e := range m.w.Entries {
		if slices.Contains(visible, m.w.Player(e.Board, e.Player)) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(x, y *Entry) int {
		if cmp := y.OccurredAt.Compare(x.OccurredAt); cmp != 0 {
			return cmp
		}
		return strings.Compare(y.ID, x.ID)
	})
	q := url.Values{}
	if chance(t, 50, "limit?") {
		q.Set("limit", "2")
	}
	m.sameEntries(t, name, "/v1/players/"+user+"/entries", q, list)
}

// sweep compares everything that can be read with everything that was done.
func (m *machine) sweep(t *rapid.T) {
	m.log("the end: everything is read")
	for _, b := range m.w.Boards {
		runs := b.Runs(m.w.Now)
		for _, e := range m.w.Entries {
			for _, s := range e.Runs {
				if e.Board == b.ID && !slices.Contains(runs, s) {
					runs = append(runs, s)
				}
			}
			if e.Board == b.ID {
				w := m.call("admin", "GET", "/v1/boards/"+b.ID+"/entries/"+e.ID, nil)
				m.sameEntry(t, decode[map[string]any](t, w), e, Everything)
			}
		}
		for _, s := range runs {
			m.sweepTables(t, b, s)
		}
		m.sameEntries(t, "admin", "/v1/boards/"+b.ID+"/entries", url.Values{"limit": {"100"}}, m.w.Listed(who(m.run, "admin"), b))
	}
}

// sweepTables reads the tables of a run, and each of its players.
func (m *machine) sweepTables(t *rapid.T, b *Board, s Run) {
	q := url.Values{"period": {s.Name}}
	if !s.Start.IsZero() {
		q.Set("at", maybe(s.Start).(string))
	}
	tables := []table{{b.ID, s, "", ""}}
	for _, a := range b.Categories {
		for _, v := range []string{"M40", "F30", "Han", "x:y"} {
			tables = append(tables, table{b.ID, s, a, v})
		}
	}
	for _, x := range tables {
		if x.Attribute != "" {
			q.Set("category", x.category().(string))
		}
		w := m.call("admin", "GET", "/v1/boards/"+b.ID+"/standings?"+q.Encode(), nil)
		if w.Code != 200 {
			m.fail(t, "%+v should be read: %d %s", x, w.Code, w.Body)
		}
		m.head(t, w, x)
		m.sameRows(t, decode[struct{ Items []map[string]any }](t, w).Items, x, m.rows(x))
	}
	q.Del("category")
	for _, p := range m.w.Players {
		if p.Board != b.ID {
			continue
		}
		w := m.call("admin", "GET", "/v1/boards/"+b.ID+"/standings/"+p.ID+"?"+q.Encode(), nil)
		if st, ok := m.w.Standing(b, p.ID, s); ok {
			m.sameStanding(t, w, tables[0], st)
		} else {
			m.refused(t, w, 404)
		}
	}
}
