package model

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A batch is checked by the state after it. If that is over a limit, the first
// item that crosses it is named.
func TestBatchesThatCrossAndComeBack(t *testing.T) {
	s := start(t, 1)
	const most, entry = `"points": 9007199254740991`, `"points": 0, "tiebreak": 9007199254740991`
	for n, c := range []struct {
		board string   // fields that differ from the defaults
		items []string // without board and player
		want  string   // the item and field that are named; empty if all are accepted
	}{
		{``, []string{most, most, `"points": -9007199254740991`}, ""},
		{``, []string{most, `"points": -1`, `"points": 2`}, "entries[2].points"},
		{``, []string{most, `"points": 1`, `"points": -5`, `"points": 6`}, "entries[1].points"},
		{``, []string{`"points": -9007199254740991`, `"points": -1`}, "entries[1].points"},
		{``, []string{`"points": -9007199254740991`, `"points": -1`, `"points": 1`}, ""},
		{``, []string{entry, entry, `"points": 0, "tiebreak": -9007199254740991`}, ""},
		{``, []string{entry, `"points": 5, "tiebreak": 1`}, "entries[1].tiebreak"},
		{``, []string{entry, entry, `"points": 0, "tiebreak": -9007199254740991`, most, `"points": 1`}, "entries[4].points"},
		{``, []string{most, most, `"points": -9007199254740991`, entry, `"points": 0, "tiebreak": 1`}, "entries[4].tiebreak"},
		{`, "combine": "best"`, []string{most, most, entry, entry}, ""},
		{`, "combine": "last"`, []string{most, most, entry, entry}, ""},
		{`, "periods": ["day", "all"]`, []string{most + `, "occurred_at": "2026-11-20T12:00:00Z"`, `"points": 1`}, "entries[1].points"},
		{`, "periods": ["day"]`, []string{most + `, "occurred_at": "2026-11-20T12:00:00Z"`, `"points": 1`}, ""},

		{`, "daily_cap": 60`, []string{`"points": 50`, `"points": 20`, `"points": -10`}, ""},
		{`, "daily_cap": 60`, []string{`"points": 50`, `"points": 20`, `"points": -5`}, "entries[1].points"},
		{`, "daily_cap": 60`, []string{`"points": 50`, `"points": -10`, `"points": 20`, `"points": 5`}, "entries[3].points"},
		{`, "daily_cap": 60`, []string{`"points": 60`, `"points": 100, "kind": "adjustment", "note": "n"`}, ""},
		{`, "daily_cap": 60`, []string{`"points": 60`, `"points": -100, "kind": "adjustment", "note": "n"`, `"points": 1`}, "entries[2].points"},
		{`, "daily_cap": 60`, []string{`"points": 60`, `"points": 1, "kind": "import"`}, "entries[1].points"},
		{`, "daily_cap": 60`, []string{`"points": 60`, `"points": 60, "occurred_at": "2026-11-20T12:00:00Z"`, `"points": 0`}, ""},
	} {
		s.stop(edgesNow)
		id := fmt.Sprint("b", n)
		s.board(id, `, "min": -9007199254740991, "grace": "8784h"`+c.board)
		var items []string
		for _, item := range c.items {
			items = append(items, fmt.Sprintf(`{"board": %q, "player": "p", %s}`, id, item))
		}
		before := s.snapshot()
		w := s.send("0/organizer", "POST", "/v1/entries/batch", `{"entries": [`+strings.Join(items, ", ")+`]}`)
		p, err := decodeProblem(w.Body.String())
		switch {
		case c.want == "" && w.Code != 201:
			t.Errorf("%s %q should be accepted: %d %s", c.board, c.items, w.Code, w.Body)
		case c.want != "" && (err != nil || w.Code != 409 || p.Field != c.want):
			t.Errorf("%s %q should be refused for %s: %d %s", c.board, c.items, c.want, w.Code, w.Body)
		case c.want != "":
			s.unwritten(before)
		}
	}
}

// A reversal may take a sum out of range, which is refused, and a day over its
// cap, which is not: a mistake can always be undone.
func TestReversalsThatCross(t *testing.T) {
	s := start(t, 1)
	add := func(path, body string, status int) string {
		t.Helper()
		w := s.send("0/organizer", "POST", path, body)
		var e struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != status {
			t.Fatalf("%s: want %d, got %d %s", body, status, w.Code, w.Body)
		}
		return e.ID
	}
	for n, sum := range []string{`"points": %s9007199254740991`, `"points": 1, "tiebreak": %s9007199254740991`} {
		path := s.board(fmt.Sprint("range", n), `, "min": -9007199254740991`) + "/entries"
		add(path, `{"player": "p", `+fmt.Sprintf(sum, "")+`}`, 201)
		less := add(path, `{"player": "p", `+fmt.Sprintf(sum, "-")+`}`, 201)
		again := add(path, `{"player": "p", `+fmt.Sprintf(sum, "")+`}`, 201)
		before := s.snapshot()
		add(path+"/"+less+"/reversal", `{"note": "n"}`, 409)
		s.unwritten(before)
		add(path+"/"+again+"/reversal", `{"note": "n"}`, 201)
		add(path+"/"+less+"/reversal", `{"note": "n"}`, 201)
	}
	path := s.board("cap", `, "min": -100, "daily_cap": 60`) + "/entries"
	add(path, `{"player": "p", "points": 50}`, 201)
	less := add(path, `{"player": "p", "points": -10}`, 201)
	add(path, `{"player": "p", "points": 20}`, 201)
	add(path+"/"+less+"/reversal", `{"note": "n"}`, 201) // 70 by now
	add(path, `{"player": "p", "points": 1}`, 409)
	add(path, `{"player": "p", "points": 0}`, 201)
	add(path, `{"player": "p", "points": -11}`, 201)
	add(path, `{"player": "p", "points": 2}`, 409)
	add(path, `{"player": "p", "points": 1}`, 201)
}
