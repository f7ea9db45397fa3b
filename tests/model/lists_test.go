package model

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

func (m *machine) getEntry(t *rapid.T) {
	name := drawCaller(t)
	board, id := m.drawTarget(t)
	c, b, e := who(m.run, name), m.w.Board(board), m.w.Entry(board, id)
	w := m.get(t, name, "/v1/boards/"+board+"/entries/"+id)
	if b == nil || e == nil || !m.w.MayRead(c, b) && !m.w.Own(c, b, e.Player) || !slices.Contains(m.w.Listed(c, b), e) {
		m.refused(t, w, 404)
		return
	}
	if w.Code != 200 {
		m.fail(t, "the entry should be read: %d %s", w.Code, w.Body)
	}
	m.sameEntry(t, decode[map[string]any](t, w), e, m.w.Sees(c, b, e.Player))
}

func (m *machine) listEntries(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/entries", url.Values{}
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	list := m.w.Listed(c, b)
	keep := func(field, value string, has func(*Entry) bool) {
		q.Set(field, value)
		list = slices.DeleteFunc(list, func(e *Entry) bool { return !has(e) })
	}
	if chance(t, 30, "player?") {
		p := m.drawPlayer(t, board)
		keep("player", p, func(e *Entry) bool { return e.Player == p })
	}
	if chance(t, 20, "kind?") {
		k := pick(t, "kind", []string{"result", "adjustment", "import", "reversal"})
		keep("kind", k, func(e *Entry) bool { return e.Kind == k })
	}
	// No rule defines whether a reversal has its original's reason.
	if q.Get("kind") == "" && chance(t, 10, "reason?") {
		keep("kind", "result", func(e *Entry) bool { return e.Kind == "result" })
		keep("reason", "full", func(e *Entry) bool { return e.Reason != nil && *e.Reason == "full" })
	}
	if chance(t, 15, "actor?") {
		a := who(m.run, pick(t, "actor", []string{"organizer", "key", "writer"})).Actor
		keep("actor", a, func(e *Entry) bool { return e.Actor == a })
		if !People(c, b) {
			m.refused(t, m.get(t, name, path+"?"+q.Encode()), 403, "actor")
			return
		}
	}
	if chance(t, 15, "batch?") && len(m.w.Entries) > 0 {
		if id := pick(t, "of", m.w.Entries).Batch; id != "" {
			keep("batch", id, func(e *Entry) bool { return e.Batch == id })
		}
	}
	if chance(t, 20, "from?") {
		at := m.w.Now.Add(-25 * time.Hour)
		keep("from", at.Format(time.RFC3339Nano), func(e *Entry) bool { return !e.OccurredAt.Before(at) })
	}
	if chance(t, 20, "to?") {
		at := m.w.Now.Add(-time.Minute)
		keep("to", at.Format(time.RFC3339Nano), func(e *Entry) bool { return e.OccurredAt.Before(at) })
	}
	if limit := pick(t, "limit", []int{0, 1, 3, 100}); limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if chance(t, 20, "csv") {
		m.entriesCSV(t, name, path, q, list)
		return
	}
	m.sameEntries(t, name, path, q, list)
}

func (m *machine) sameEntries(t *rapid.T, name, path string, q url.Values, list []*Entry) {
	var got []map[string]any
	for p := range m.pages(t, name, path, q) {
		got = append(got, decodeItems[map[string]any](t, p)...)
	}
	if len(got) != len(list) {
		m.fail(t, "%d entries should be listed, not %d", len(list), len(got))
	}
	c := who(m.run, name)
	for i, e := range list {
		if got[i]["id"] != e.ID {
			m.fail(t, "item %d should be entry %d of %s, not %v", i, e.Seq, e.Player, got[i])
		}
		b := m.w.Board(e.Board)
		m.sameEntry(t, got[i], e, m.w.Sees(c, b, e.Player))
	}
}

// entriesCSV compares the ids and points on a page of CSV.
func (m *machine) entriesCSV(t *rapid.T, name, path string, q url.Values, list []*Entry) {
	q.Set("limit", "100")
	w := m.call(name, "GET", path+"?"+q.Encode(), nil, "Accept", "text/csv")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") {
		m.fail(t, "the entries should come as CSV: %d %v %s", w.Code, w.Header(), w.Body)
	}
	lines, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(lines) == 0 || len(lines)-1 != min(len(list), 100) {
		m.fail(t, "CSV should have a header and %d lines: %v %v", len(list), err, lines)
	}
	id, points := slices.Index(lines[0], "id"), slices.Index(lines[0], "points")
	if id < 0 || points < 0 {
		m.fail(t, "CSV needs the columns id and points: %v", lines[0])
	}
	for i, line := range lines[1:] {
		if line[id] != list[i].ID || line[points] != fmt.Sprint(list[i].Points) {
			m.fail(t, "line %d should be %+v: %v", i+1, list[i], line)
		}
	}
}

// listPeriods checks that every credited run is listed, and nothing outside the
// board's calendar.
func (m *machine) listPeriods(t *rapid.T) {
	name, board := drawCaller(t), m.drawBoard(t)
	c, b := who(m.run, name), m.w.Board(board)
	path, q := "/v1/boards/"+board+"/periods", url.Values{}
	if b == nil || !m.w.MayRead(c, b) {
		m.refused(t, m.get(t, name, path), 404)
		return
	}
	asked := ""
	if chance(t, 50, "name?") {
		asked = pick(t, "name", b.Periods).Name
		q.Set("name", asked)
	}
	var got []any
	for p := range m.pages(t, name, path, q) {
		got = append(got, p.Items...)
	}
	for i, item := range got {
		run, _ := item.(map[string]any)
		p := slices.IndexFunc(b.Periods, func(p Period) bool { return p.Name == run["name"] })
		if p < 0 || asked != "" && run["name"] != asked {
			m.fail(t, "no such period: %v", item)
		}
		at := m.w.Now
		if run["start"] != nil {
			at = m.instant(t, run["start"])
		}
		s, ok := b.RunAt(b.Periods[p], at)
		if want := m.periodJSON(b, s); !ok || !holds(run, want) {
			m.fail(t, "period %d should be %v, not %v", i, want, item)
		}
	}
	for _, e := range m.w.Entries {
		for _, s := range e.Runs {
			want := m.periodJSON(b, s)
			listed := 0
			for _, item := range got {
				if run, ok := item.(map[string]any); ok && holds(run, want) {
					listed++
				}
			}
			if e.Board == b.ID && (asked == "" || s.Name == asked) && listed != 1 {
				m.fail(t, "%v should be listed once, not %d times: %v", want, listed, got)
			}
		}
	}
}

// holds reports whether an object has the fields, and perhaps more.
func holds(got, want map[string]any) bool {
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			return false
		}
	}
	return true
}
