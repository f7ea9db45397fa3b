package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	noon  = "2026-06-10T12:00:00Z"
	ofDay = "&period=day&at=" + noon
)

// closing is when the day of noon closes on a board with a grace of two hours.
var closing = time.Date(2026, 6, 11, 2, 0, 0, 0, time.UTC)

// A table that was shown as closed never changes, from the first moment on, and
// contains every accepted entry, whatever was in progress when the grace ended.
func TestClosedTablesStay(t *testing.T) {
	const rounds, ready, size = 3, 50, 100 // entries added before the race, and items per batch
	at := func(player string) string {
		return fmt.Sprintf(`"player": %q, "points": 1, "occurred_at": %q`, player, noon)
	}
	batch := func(prefix string, items, players int) string {
		var list []string
		for i := range items {
			list = append(list, `{"board": "b", `+at(fmt.Sprint(prefix, i%players))+`}`)
		}
		return `{"entries": [` + strings.Join(list, ",") + `]}`
	}
	// next returns a client's next request, and an empty method if there is
	// none left.
	type next func(path string, entries []string, client, n int) (method, target, body string)
	for _, c := range []struct {
		name   string
		points int64 // that each request adds to the table
		next   next
	}{
		{"entries", 1, func(path string, _ []string, client, _ int) (string, string, string) {
			return "POST", path + "/entries", `{` + at(fmt.Sprint("new", client)) + `}`
		}},
		{"batches", size, func(_ string, _ []string, client, _ int) (string, string, string) {
			return "POST", "/v1/entries/batch", batch(fmt.Sprint("new", client, "-"), size, 5)
		}},
		{"reversals", -1, func(path string, entries []string, client, n int) (string, string, string) {
			if n = n*adders + client; n >= len(entries) {
				return "", "", ""
			}
			return "POST", path + "/entries/" + entries[n] + "/reversal", `{"note": "n"}`
		}},
		{"statuses", 0, func(path string, _ []string, client, n int) (string, string, string) {
			return "PATCH", fmt.Sprint(path, "/players/old", client), fmt.Sprintf(`{"status": %q, "note": "n"}`, []string{"dnf", "ranked"}[n%2])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, crowd)
			for round := range rounds {
				// Set the clocks to before the closing, for a new board.
				s.advance(closing.Add(-time.Hour))
				id := fmt.Sprint("b", round)
				path := s.board(id, `, "periods": ["day", "all"], "grace": "2h"`)
				onBoard := strings.NewReplacer(`"board": "b"`, fmt.Sprintf(`"board": %q`, id))
				var made struct{ Entries []struct{ ID string } }
				w := s.send("0/organizer", "POST", "/v1/entries/batch", onBoard.Replace(batch("old", ready, ready)))
				if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 201 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				var entries []string
				for _, e := range made.Entries {
					entries = append(entries, e.ID)
				}
				s.advance(closing.Add(-250 * time.Millisecond))

				var done atomic.Bool
				var points atomic.Int64
				points.Store(ready)
				var seen [2][]glance
				var readers sync.WaitGroup
				for i := range seen {
					readers.Go(func() { seen[i] = s.glances(path+"/standings?limit=1000"+ofDay, &done) })
				}
				together(adders, func(client int) {
					for n := 0; s.clock().Before(closing.Add(50 * time.Millisecond)); n++ {
						method, target, body := c.next(path, entries, client, n)
						if method == "" {
							return
						}
						w := s.send("0/organizer", method, target, onBoard.Replace(body))
						switch {
						case w.Code == 201 || w.Code == 200:
							points.Add(c.points)
						case w.Code == 409 && strings.Contains(w.Body.String(), "period-closed"):
							return
						default:
							t.Errorf("%d %.300s", w.Code, w.Body)
							return
						}
					}
				})
				time.Sleep(max(0, closing.Sub(s.clock()))) // for clients that ran out of requests
				done.Store(true)
				readers.Wait()

				sum := int64(0)
				for _, score := range s.standings(path, ofDay).scores() {
					sum += score
				}
				if c.points != 0 && sum != points.Load() {
					t.Errorf("%d points should be in the closed table, not %d", points.Load(), sum)
				}
				t.Logf("round %d: %d points were added before the end", round, points.Load()-ready)
				stay(t, seen[:])
			}
		})
	}
}

// If a database stalls at the worst moment, a write that was accepted before
// the end and committed after it is in the closed table, or it is refused.
func TestCommitAfterTheEnd(t *testing.T) {
	for _, c := range []struct{ name, method, target, body string }{
		{"entry", "POST", "/entries", `{"player": "p", "points": 1, "occurred_at": "` + noon + `"}`},
		{"first entry", "POST", "/entries", `{"player": "q", "points": 1, "occurred_at": "` + noon + `"}`},
		{"reversal", "POST", "/entries/#/reversal", `{"note": "n"}`},
		{"profile", "POST", "/entries", `{"player": "p", "points": 1, "profile": {"attributes": {"age": "young"}}}`},
		{"status", "PATCH", "/players/p", `{"status": "dnf", "note": "n"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, crowd)
			path := s.board("b", `, "periods": ["day", "all"], "grace": "2h", "categories": ["age"]`)
			s.advance(closing.Add(-time.Hour))
			var e struct{ ID string }
			w := s.send("0/organizer", "POST", path+"/entries", `{"player": "p", "points": 1, "occurred_at": "`+noon+`", "profile": {"attributes": {"age": "old"}}}`)
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			// Lock the outbox, which is written last.
			slow, err := s.db.Owner().Beginx()
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Rollback()
			if _, err := slow.Exec(`LOCK TABLE outbox IN EXCLUSIVE MODE`); err != nil {
				t.Fatal(err)
			}
			s.advance(closing.Add(-200 * time.Millisecond))
			var writer, readers sync.WaitGroup
			writer.Go(func() { w = s.send("0/organizer", c.method, path+strings.ReplaceAll(c.target, "#", e.ID), c.body) })
			time.Sleep(closing.Add(20 * time.Millisecond).Sub(s.clock()))
			targets := []string{"/standings?limit=1000" + ofDay, "/standings?category=age:old" + ofDay, "/standings?around=p" + ofDay, "/standings/p?" + ofDay[1:], "/standings/q?" + ofDay[1:]}
			first := make([]string, len(targets))
			for i, target := range targets {
				readers.Go(func() { first[i] = s.send("0/organizer", "GET", path+target, "").Body.String() })
			}
			time.Sleep(100 * time.Millisecond) // for a reader that does not wait for the writer
			if err := slow.Rollback(); err != nil {
				t.Fatal(err)
			}
			writer.Wait()
			readers.Wait()
			for i, target := range targets {
				after := s.send("0/organizer", "GET", path+target, "").Body.String()
				if unseen(first[i]) != unseen(after) && !strings.Contains(first[i], `"open"`) {
					t.Errorf("%s was not shown as open, but changed after a response of %d:\n%s%s", target, w.Code, first[i], after)
				}
				if i == 0 && !strings.Contains(after, `"closed"`) {
					t.Errorf("the day should be closed: %s", after)
				}
			}
		})
	}
}

// unseen removes from a problem what differs between responses.
func unseen(body string) string {
	before, _, _ := strings.Cut(body, `"request_id"`)
	return before
}

// adders is the number of clients that write while others read.
const adders = 3

// glance is a table as a reader saw it.
type glance struct {
	state, items string
	of           int
}

// glances reads a table until done, and once after that, and returns every
// change.
func (s *stack) glances(target string, done *atomic.Bool) []glance {
	var seen []glance
	for last := false; !last; {
		last = done.Load()
		w := s.send("0/organizer", "GET", target, "")
		var got struct {
			Of     int
			Period struct{ State string }
			Items  json.RawMessage
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			s.Errorf("%d %s", w.Code, w.Body)
			return seen
		}
		if g := (glance{got.Period.State, string(got.Items), got.Of}); len(seen) == 0 || g != seen[len(seen)-1] {
			seen = append(seen, g)
		}
	}
	return seen
}

// stay checks that no reader saw a closed table change, and that all saw the
// same.
func stay(t *testing.T, readers [][]glance) {
	t.Helper()
	var closed *glance
	for _, seen := range readers {
		first := slices.IndexFunc(seen, func(g glance) bool { return g.state == "closed" })
		if first < 0 {
			t.Error("no reader saw the table closed")
			continue
		}
		for _, g := range seen[first:] {
			if closed == nil {
				closed = &g
			}
			if g != *closed {
				t.Errorf("a table changed after it was shown as closed:\n%+v\n%+v", *closed, g)
				return
			}
		}
	}
}

// advance lets every clock run on from an instant, including the database's.
func (s *stack) advance(from time.Time) {
	s.Helper()
	offset := time.Until(from)
	s.exec(fmt.Sprintf(`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE
		AS $$ SELECT clock_timestamp() + interval '%d microseconds' $$`, offset.Microseconds()))
	s.ahead.Store(int64(offset))
}
