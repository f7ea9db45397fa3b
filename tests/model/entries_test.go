package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// generic returns a value as parsing its JSON would.
func generic(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}

// drawEntry draws an entry for the board, mostly one that it accepts.
func (m *machine) drawEntry(t *rapid.T, board string) (Item, map[string]any) {
	return m.drawEntryOf(t, board, m.drawPlayer(t, board))
}

func (m *machine) drawEntryOf(t *rapid.T, board, player string) (Item, map[string]any) {
	in := Item{Board: board, Player: player}
	body := map[string]any{"player": in.Player}
	b := m.w.Board(board)
	reason := b != nil && b.Catalogue != nil
	adjust := m.adjustments
	if b != nil && b.Combine == "sum" {
		adjust = 13
	}
	if adjustment := chance(t, adjust, "adjustment?"); adjustment || chance(t, 12, "kind?") {
		in.Kind = ptr(pick(t, "kind", []string{"result", "import"}))
		if adjustment {
			in.Kind = ptr("adjustment")
		}
		if m.stray(t, 4, "reversal as a kind") {
			in.Kind = ptr("reversal")
		}
		body["kind"] = *in.Kind
		reason = reason && *in.Kind != "adjustment"
	}
	if m.stray(t, 2, "the other of points and reason") {
		reason = !reason
	}
	if reason {
		in.Reason = ptr(pick(t, "reason", []string{"full", "half", "full", "half", "full", "half", "full", "none"}))
		if m.stray(t, 3, "unknown reason") {
			in.Reason = ptr("unknown")
		}
		body["reason"] = *in.Reason
	}
	if !reason || m.stray(t, 2, "both") {
		in.Points = ptr(pick(t, "points", m.theme.points))
		adjustment := in.Kind != nil && *in.Kind == "adjustment"
		if b != nil && (b.Min < 0 || adjustment) && chance(t, m.negative, "less than nothing") || adjustment && chance(t, 20, "a penalty") {
			in.Points = ptr(-*in.Points)
		}
		if m.stray(t, 4, "far") {
			in.Points = ptr(pick(t, "far points", []int64{-3, MaxPoints, -MaxPoints, MaxPoints + 1, 101}))
		}
		body["points"] = *in.Points
	}
	if in.Kind != nil && *in.Kind == "adjustment" && !m.stray(t, 4, "no note") || chance(t, 10, "note?") {
		in.Note = ptr("as the jury said")
		body["note"] = *in.Note
	}
	if chance(t, 30, "tiebreak?") {
		in.Tiebreak = ptr(pick(t, "tiebreak", m.theme.tiebreaks))
		body["tiebreak"] = *in.Tiebreak
	}
	if chance(t, 60, "occurred_at?") {
		by := pick(t, "before now", m.theme.before)
		if m.stray(t, 3, "out of range") {
			by = pick(t, "far", []time.Duration{5*time.Minute + time.Microsecond, -30 * 366 * 24 * time.Hour})
		}
		at := m.w.Now.Add(by)
		if m.instants != nil && chance(t, 70, "of the theme") {
			at = pick(t, "instant", m.instants)
		}
		// Before, at or after another entry of the player, on which the order of
		// a walk depends.
		if others := m.entriesOf(board, in.Player); len(others) > 0 && chance(t, m.beside, "beside another") {
			at = others[len(others)-1-uniform(t, "another", len(others))].OccurredAt.Add(pick(t, "by", besides))
		}
		if chance(t, 20, "an offset") {
			at = at.In(time.FixedZone("", 9*3600+1800))
		}
		in.OccurredAt = &at
		body["occurred_at"] = at
	}
	if chance(t, m.late, "late") {
		in.Late = true
		body["late"] = true
	}
	if chance(t, 15, "metadata?") {
		body["metadata"] = map[string]any{"lap": 1 + uniform(t, "lap", 3), "by": `a "b" <c>`}
		in.Metadata = generic(body["metadata"])
	}
	if chance(t, m.profiles, "profile?") {
		p, fields := m.drawProfile(t, board, in.Player)
		if p.User != nil {
			// No rule says which comes first, the name or the link.
			p.DisplayName, p.Country = nil, nil
			delete(fields, "display_name")
			delete(fields, "country")
		}
		in.Profile = p
		body["profile"] = fields
		if p.DisplayName != nil && chance(t, 40, "rename") {
			in.Rename = true
			body["rename"] = true
		}
	}
	return in, body
}

// besides are distances from another entry of a player.
var besides = []time.Duration{0, -time.Microsecond, time.Microsecond, 0, -time.Hour, time.Minute}

// entriesOf returns the entries of a player.
func (m *machine) entriesOf(board, player string) []*Entry {
	return slices.DeleteFunc(slices.Clone(m.w.Entries), func(e *Entry) bool { return e.Board != board || e.Player != player })
}

// settle changes items of a batch whose names no rule is clear about: whether a
// name counts that comes together with a link, and whether an item that repeats
// or clears the name of an earlier item has to say rename again. Items without a
// body are repeated as they were.
func (m *machine) settle(items []Item, bodies []map[string]any) {
	of := func(j int, list []Item) []int {
		var others []int
		for i, other := range list {
			if i != j && bodies[i] != nil && other.Profile != nil && other.Board == items[j].Board && other.Player == items[j].Player {
				others = append(others, i)
			}
		}
		return others
	}
	for j, in := range items {
		if in.Profile == nil || bodies[j] == nil {
			continue
		}
		if slices.ContainsFunc(of(j, items), func(i int) bool { return items[i].Profile.User != nil }) {
			items[j].Profile.DisplayName, items[j].Profile.Country, items[j].Rename = nil, nil, false
			fields := bodies[j]["profile"].(map[string]any)
			delete(fields, "display_name")
			delete(fields, "country")
			delete(bodies[j], "rename")
		}
	}
	for j, in := range items {
		if in.Profile == nil || bodies[j] == nil || in.Profile.DisplayName == nil || m.w.Board(in.Board) == nil {
			continue
		}
		is, clears, differs := *in.Profile.DisplayName, *in.Profile.DisplayName == nil, false
		now := is
		if before := m.w.here(in.Board, in.Player).DisplayName; before != nil {
			differs = !same(is, before)
		}
		earlier := slices.DeleteFunc(of(j, items[:j]), func(i int) bool { return items[i].Profile.DisplayName == nil })
		for _, i := range earlier {
			now = *items[i].Profile.DisplayName
			clears, differs = clears || now == nil, differs || !same(is, now)
		}
		if len(earlier) > 0 && (clears || differs && same(is, now)) {
			items[j].Rename = true
			bodies[j]["rename"] = true
		}
	}
}

// drawKey draws an idempotency key. The key itself decides whether it is sent
// in the header or in the body, so that repeated requests are the same.
func (m *machine) drawKey(t *rapid.T, percent int, names ...string) string {
	if m.narrow && !m.keys || !chance(t, percent, "key?") {
		return ""
	}
	if m.narrow { // others would be refused for their keys
		return fmt.Sprintf("%d-%s", len(m.done), names[0])
	}
	return pick(t, "key", names)
}

func (m *machine) addEntry(t *rapid.T) {
	name, board := m.drawWriter(t), m.drawBoard(t)
	in, body := m.drawEntry(t, board)
	r := request{who: name, route: "POST /v1/boards/{board}/entries", target: "/v1/boards/" + board + "/entries", single: true}
	switch in.Key = m.drawKey(t, 40, "k1", "in the body", "k3", "k4"); in.Key {
	case "":
	case "in the body":
		in.Key = "in-the-body"
		body["key"] = in.Key
	default:
		r.header = in.Key
	}
	in.Identity = text(body)
	r.items, r.body = []Item{in}, in.Identity
	m.do(t, r)
}

func text(body any) string {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// drawTarget draws an entry to reverse: its board and id.
func (m *machine) drawTarget(t *rapid.T) (board, id string) {
	if len(m.w.Entries) == 0 || m.stray(t, 3, "unknown entry") {
		return m.drawBoard(t), "0198c0de-0000-7000-8000-000000000000"
	}
	// The newest comes first, so that shrinking finds recent ones.
	i := uniform(t, "entry", len(m.w.Entries))
	e := m.w.Entries[len(m.w.Entries)-1-i]
	return e.Board, e.ID
}

func (m *machine) drawReversal(t *rapid.T) (Item, map[string]any) {
	in := Item{Reversal: true}
	in.Board, in.Reverses = m.drawTarget(t)
	left := slices.DeleteFunc(slices.Clone(m.w.Entries), func(e *Entry) bool {
		return e.Reverses != "" || slices.ContainsFunc(m.w.Entries, func(r *Entry) bool { return r.Reverses == e.ID })
	})
	if m.narrow && len(left) > 0 && chance(t, 50, "one that can be reversed") {
		e := left[len(left)-1-uniform(t, "of these", len(left))]
		in.Board, in.Reverses = e.Board, e.ID
	}
	body := map[string]any{}
	if !m.stray(t, 5, "no note") {
		in.Note = ptr("a mistake")
		body["note"] = *in.Note
	}
	if chance(t, m.late, "late") {
		in.Late = true
		body["late"] = true
	}
	return in, body
}

func (m *machine) reverse(t *rapid.T) {
	in, body := m.drawReversal(t)
	r := request{
		who: m.drawWriter(t), single: true, route: "POST /v1/boards/{board}/entries/{entry}/reversal",
		target: "/v1/boards/" + in.Board + "/entries/" + in.Reverses + "/reversal",
	}
	if in.Key = m.drawKey(t, 30, "k1", "k3", "r1"); in.Key != "" {
		r.header = in.Key
	}
	in.Identity = in.Reverses + text(body)
	r.items, r.body = []Item{in}, text(body)
	m.do(t, r)
}

func (m *machine) addBatch(t *rapid.T) {
	r := request{who: m.drawWriter(t), route: "POST /v1/entries/batch", target: "/v1/entries/batch"}
	if chance(t, 30, "header?") {
		r.header = pick(t, "header", []string{"h1", "h2"})
		if m.narrow {
			r.header = fmt.Sprint("h", len(m.done))
		}
	}
	var bodies []map[string]any // nil for an item that is repeated
	alike := m.narrow && chance(t, 60, "alike")
	for i := range 1 + uniform(t, "items", m.items) {
		var in Item
		var body map[string]any
		switch again := m.keyed(r); {
		case len(again) > 0 && chance(t, 15, "again"):
			in = pick(t, "item", again)
		case chance(t, 25, "reversal"):
			in, body = m.drawReversal(t)
			body["reverses"] = in.Reverses
		case alike && i > 0 && !r.items[0].Reversal:
			// Use the same player and day, on which sums, caps and walks depend.
			first := r.items[0]
			in, body = m.drawEntryOf(t, first.Board, first.Player)
			if !chance(t, m.beside, "own time") {
				in.OccurredAt = first.OccurredAt
				delete(body, "occurred_at")
			}
			if in.OccurredAt != nil {
				if chance(t, m.beside, "beside the first") && first.OccurredAt != nil {
					in.OccurredAt = ptr(first.OccurredAt.Add(pick(t, "by", besides)))
				}
				body["occurred_at"] = *in.OccurredAt
			}
		default:
			in, body = m.drawEntry(t, m.drawBoard(t))
		}
		if body != nil {
			body["board"] = in.Board
			if in.Key = m.drawKey(t, 30, fmt.Sprint("b", i), fmt.Sprint("b", i), fmt.Sprint("b", i), fmt.Sprint("b", i), "k1"); in.Key != "" {
				body["key"] = in.Key
			} else if r.header != "" {
				in.Key = fmt.Sprintf("%s %d", r.header, i) // no client can send a space
			}
		}
		r.items, bodies = append(r.items, in), append(bodies, body)
	}
	m.settle(r.items, bodies)
	list := []json.RawMessage{}
	for i, body := range bodies {
		if body != nil {
			r.items[i].Identity = text(body)
		}
		list = append(list, json.RawMessage(r.items[i].Identity))
	}
	r.body = text(map[string]any{"entries": list})
	m.do(t, r)
}

// keyed returns the items with keys of their own that earlier batches added and
// this one does not contain yet.
func (m *machine) keyed(r request) []Item {
	var list []Item
	for _, old := range m.requests {
		for _, in := range old.items {
			used := slices.ContainsFunc(r.items, func(other Item) bool { return other.Key == in.Key })
			if old.route == r.route && old.who == r.who && in.Key != "" && !strings.Contains(in.Key, " ") && !used {
				list = append(list, in)
			}
		}
	}
	return list
}

// repeat sends an accepted request again, mostly as the same caller.
func (m *machine) repeat(t *rapid.T) {
	if len(m.requests) == 0 {
		return
	}
	r := m.requests[len(m.requests)-1-uniform(t, "request", len(m.requests))]
	if chance(t, 15, "by another") {
		r.who = drawCaller(t)
	}
	m.do(t, r)
}

// do sends a request to add and compares the result.
func (m *machine) do(t *rapid.T, r request) {
	headers := []string{}
	if r.header != "" {
		headers = append(headers, "Idempotency-Key", r.header)
	}
	c := who(m.run, r.who)
	v := m.w.Judge(c, r.route, r.single, r.items)
	w := m.callText(r.who, "POST", r.target, r.body, headers...)
	if v.Refusals != nil {
		if err := fits(w, v.Refusals); err != nil {
			m.fail(t, "%v", err)
		}
		return
	}
	status, replayed := 200, "true"
	for _, e := range v.Made {
		if e != nil {
			status, replayed = 201, ""
		}
	}
	if w.Code != status || w.Header().Get("Idempotency-Replayed") != replayed {
		m.fail(t, "should be answered with %d, replayed %q, not %d, %q: %s", status, replayed, w.Code, w.Header().Get("Idempotency-Replayed"), w.Body)
	}
	if r.single {
		m.finishSingle(t, w, v)
	} else {
		m.finishBatch(t, w, v)
	}
	items := lastLinks(v, r.items)
	for i, e := range v.Made {
		if e != nil {
			m.checkTime(t, e)
			m.w.Commit(Verdict{Made: []*Entry{e}}, items[i:i+1])
		}
	}
	m.requests = append(m.requests, r)
}

// checkTime checks that an entry was recorded when it was sent, and after the
// player's previous entry.
func (m *machine) checkTime(t *rapid.T, e *Entry) {
	if d := e.RecordedAt.Sub(m.w.Now.Truncate(time.Microsecond)); d < 0 || d > time.Millisecond {
		m.fail(t, "recorded_at should be %s, not %s", m.w.Now, e.RecordedAt)
	}
	for _, other := range m.w.Entries {
		if other.Board == e.Board && other.Player == e.Player && !other.RecordedAt.Before(e.RecordedAt) {
			m.fail(t, "entry %d of player %s was not recorded after entry %d", e.Seq, e.Player, other.Seq)
		}
	}
}

func (m *machine) finishSingle(t *rapid.T, w *httptest.ResponseRecorder, v Verdict) {
	if old := v.Replay[0]; old != nil {
		if old.Answer == "" {
			m.sameEntry(t, decode[map[string]any](t, w), old, Everything)
			old.Answer = w.Body.String()
		}
		if w.Body.String() != old.Answer {
			m.fail(t, "the same bytes should come again:\n%s\n%s", old.Answer, w.Body)
		}
		return
	}
	e := v.Made[0]
	got := decode[map[string]any](t, w)
	e.ID, _ = got["id"].(string)
	e.RecordedAt = m.instant(t, got["recorded_at"])
	e.Answer = w.Body.String()
	if e.ID == "" || m.w.Entry(e.Board, e.ID) != nil {
		m.fail(t, "the entry needs an id of its own: %s", w.Body)
	}
	m.sameEntry(t, got, e, Everything)
}

func (m *machine) finishBatch(t *rapid.T, w *httptest.ResponseRecorder, v Verdict) {
	type line struct {
		ID, Board, Player string
		Points            int64
		Replayed          bool
	}
	got := decode[struct {
		Batch   string
		Entries []line
	}](t, w)
	if len(got.Entries) != len(v.Made) {
		m.fail(t, "%d entries should come back: %s", len(v.Made), w.Body)
	}
	if w.Code == 200 && got.Batch != v.Replay[0].Batch || w.Code == 201 && (got.Batch == "" || m.batch(got.Batch)) {
		m.fail(t, "the batch should be new, or that of item 0 where all are replayed: %s", w.Body)
	}
	for i, e := range v.Made {
		want := e
		if e == nil {
			want = v.Replay[i]
		} else {
			e.ID, e.Batch = got.Entries[i].ID, got.Batch
		}
		if got.Entries[i] != (line{want.ID, want.Board, want.Player, want.Points, e == nil}) {
			m.fail(t, "entries[%d] should be %+v: %+v", i, want, got.Entries[i])
		}
	}
	for _, e := range v.Made {
		if e == nil {
			continue
		}
		// The rest is compared when it is read.
		one := m.call("admin", "GET", "/v1/boards/"+e.Board+"/entries/"+e.ID, nil)
		if one.Code != 200 {
			m.fail(t, "the entry of a batch should be there: %d %s", one.Code, one.Body)
		}
		body := decode[map[string]any](t, one)
		e.RecordedAt = m.instant(t, body["recorded_at"])
		m.sameEntry(t, body, e, Everything)
	}
}

func (m *machine) batch(id string) bool {
	return slices.ContainsFunc(m.w.Entries, func(e *Entry) bool { return e.Batch == id })
}

func (m *machine) instant(t *rapid.T, v any) time.Time {
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || at.Location() != time.UTC {
		m.fail(t, "%v should be a time in UTC", v)
	}
	return at
}

// maybe returns a time as the API shows it, null if it is zero.
func maybe(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return generic(at.UTC())
}

// sameEntry compares an entry with the API's.
func (m *machine) sameEntry(t *rapid.T, got map[string]any, e *Entry, sees Sight) {
	standings := []any{}
	for i, s := range e.Runs {
		standings = append(standings, map[string]any{"period": s.Name, "start": maybe(s.Start), "score": generic(e.Scores[i])})
	}
	want := map[string]any{
		"id": e.ID, "board": e.Board, "player": e.Player, "points": float64(e.Points), "note": generic(e.Note), "kind": e.Kind,
		"actor": nil, "seq": float64(e.Seq), "occurred_at": maybe(e.OccurredAt), "recorded_at": maybe(e.RecordedAt), "standings": standings,
	}
	if e.Reverses == "" {
		want["reason"], want["tiebreak"] = generic(e.Reason), float64(e.Tiebreak)
	} else {
		want["reverses"] = e.Reverses
	}
	if e.Batch != "" {
		want["batch"] = e.Batch
	}
	if sees.Actor {
		want["actor"] = e.Actor
	}
	if sees.Metadata && e.Metadata != nil {
		want["metadata"] = e.Metadata
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[k], want[k]) {
			m.fail(t, "the entry's %s should be %v, not %v", k, want[k], got[k])
		}
	}
	if got["metadata"] != nil && (!sees.Metadata || e.Metadata == nil) {
		m.fail(t, "the entry should show no metadata: %v", got)
	}
	if (e.Batch == "" && got["batch"] != nil) || (e.Reverses == "" && got["reverses"] != nil) {
		m.fail(t, "the entry is of no batch, or no reversal: %v", got)
	}
	if p, ok := got["points"].(float64); !ok || math.Abs(p) > MaxPoints {
		m.fail(t, "points should be a number that JavaScript holds: %v", got["points"])
	}
}
