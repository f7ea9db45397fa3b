package model

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const crowd = 8 // concurrent clients

// together runs the clients concurrently and waits for all of them.
func together(clients int, do func(client int)) {
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// board creates a board and returns its path.
func (s *stack) board(id, more string) string {
	s.Helper()
	if w := s.send("0/organizer", "POST", "/v1/boards", fmt.Sprintf(`{"id": %q, "title": "x"%s}`, id, more)); w.Code != 201 {
		s.Fatalf("%d %s", w.Code, w.Body)
	}
	return "/v1/boards/" + id
}

// standings reads a whole table.
type standings struct {
	Of     int
	Period struct{ State string }
	Items  []struct {
		Rank   int
		Player string
		Score  int64
	}
}

func (s *stack) standings(path, query string) standings {
	s.Helper()
	w := s.send("0/organizer", "GET", path+"/standings?limit=1000"+query, "")
	var out standings
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		s.Errorf("%d %s", w.Code, w.Body)
	}
	if out.Of != len(out.Items) {
		s.Errorf("a table has of: %d and lists %d", out.Of, len(out.Items))
	}
	return out
}

func (x standings) scores() map[string]int64 {
	m := map[string]int64{}
	for _, item := range x.Items {
		m[item.Player] = item.Score
	}
	return m
}

type batchLine struct {
	Board  string `json:"board"`
	Player string `json:"player"`
	Points int64  `json:"points"`
	Key    string `json:"key,omitempty"`
}

func batchBody(lines []batchLine) string { return text(map[string]any{"entries": lines}) }

// Batches share players, boards and keys in different orders. None deadlocks,
// and each key counts once.
func TestOverlappingBatches(t *testing.T) {
	s := start(t, crowd)
	s.board("one", "")
	s.board("two", "")
	const rounds, size = 12, 24
	together(crowd, func(client int) {
		for round := range rounds {
			var lines []batchLine
			for i := range size {
				lines = append(lines, batchLine{[]string{"one", "two"}[i%2], fmt.Sprint("p", i%5), int64(i + 1), fmt.Sprintf("round-%d-%d", round, i)})
			}
			rand.Shuffle(size, func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			// Omitted items make the other keys meet a mixture of old and new
			// ones.
			if w := s.send("0/organizer", "POST", "/v1/entries/batch", batchBody(lines[:size-client])); w.Code != 201 && w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		// In the last round everybody sends everything, so that in the end
		// every key was used.
		for round := range rounds {
			var lines []batchLine
			for i := range size {
				lines = append(lines, batchLine{[]string{"one", "two"}[i%2], fmt.Sprint("p", i%5), int64(i + 1), fmt.Sprintf("round-%d-%d", round, i)})
			}
			if client%2 == 0 {
				for i, j := 0, size-1; i < j; i, j = i+1, j-1 {
					lines[i], lines[j] = lines[j], lines[i]
				}
			}
			if w := s.send("0/organizer", "POST", "/v1/entries/batch", batchBody(lines)); w.Code != 201 && w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
	for n, board := range []string{"one", "two"} {
		want := map[string]int64{}
		for i := n; i < size; i += 2 {
			want[fmt.Sprint("p", i%5)] += rounds * int64(i+1)
		}
		if got := s.standings("/v1/boards/"+board, "").scores(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("board %s should have %v, not %v", board, want, got)
		}
	}
}

// Many concurrent requests with one key make one entry, and all get the same
// bytes.
func TestOneKeyAtOnce(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", "")
	for round := range 20 {
		var mu sync.Mutex
		codes, bodies := map[int]int{}, map[string]bool{}
		together(crowd, func(int) {
			w := s.send("0/organizer", "POST", path+"/entries", `{"player": "p", "points": 1}`, "Idempotency-Key", fmt.Sprint("k", round))
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
			bodies[w.Body.String()] = true
		})
		if codes[201] != 1 || codes[200] != crowd-1 || len(bodies) != 1 {
			t.Fatalf("one should make the entry and %d replay it: %v, %d different answers", crowd-1, codes, len(bodies))
		}
	}
	if got := s.standings(path, "").scores()["p"]; got != 20 {
		t.Errorf("20 entries of one point each make a score of %d", got)
	}
}

// A board that is being closed accepts entries sent before, and none sent after
// its owner was told that it is closed.
func TestClosingWhileAdding(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", "")
	for round := range 5 {
		var closed atomic.Bool
		var made atomic.Int64
		before := s.standings(path, "").scores()["p0"]
		var stop, started sync.WaitGroup
		started.Add(crowd)
		for client := range crowd {
			stop.Go(func() {
				for n := 0; ; n++ {
					late := closed.Load()
					w := s.send("0/organizer", "POST", path+"/entries", fmt.Sprintf(`{"player": "p%d", "points": 1}`, client%2))
					if n == 5 {
						started.Done()
					}
					switch {
					case w.Code == 201 && !late:
						if client%2 == 0 {
							made.Add(1)
						}
					case w.Code == 409 && strings.Contains(w.Body.String(), "board-closed") && n > 5:
						return
					case w.Code != 409 || late:
						t.Errorf("client %d, closed %t: %d %s", client, late, w.Code, w.Body)
						if n < 5 {
							started.Done()
						}
						return
					}
				}
			})
		}
		started.Wait()
		begin := time.Now()
		if w := s.send("0/organizer", "PATCH", path, `{"state": "closed"}`); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		closed.Store(true)
		t.Logf("round %d: the PATCH waited %s among %d adders", round, time.Since(begin), crowd)
		stop.Wait()
		if got := s.standings(path, "").scores()["p0"]; got != before+made.Load() {
			t.Errorf("%d entries of p0 were answered with 201, and its score grew by %d", made.Load(), got-before)
		}
		if w := s.send("0/organizer", "PATCH", path, `{"state": "open"}`); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// Entries of a period are accepted until its grace ends by the database clock,
// and the closed table contains exactly those.
func TestEndOfGrace(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", `, "periods": ["day", "all"], "grace": "2h"`)
	// The day of 10 June closes at 02:00 on the 11th. One entry is added well
	// before, then the clocks are set to half a second before the end.
	end := time.Date(2026, 6, 11, 2, 0, 0, 0, time.UTC)
	const entry = `{"player": "p%d", "points": 1, "occurred_at": "2026-06-10T12:00:00Z"}`
	s.advance(end.Add(-time.Hour))
	if w := s.send("0/organizer", "POST", path+"/entries", fmt.Sprintf(entry, 0)); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	s.advance(end.Add(-500 * time.Millisecond))
	const day = "&period=day&at=2026-06-10T12:00:00Z"
	var credited atomic.Int64
	credited.Store(1)
	together(crowd, func(client int) {
		for {
			w := s.send("0/organizer", "POST", path+"/entries", fmt.Sprintf(entry, client%3))
			var got struct {
				Field      string
				RecordedAt time.Time `json:"recorded_at"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Error(err)
			}
			switch {
			case w.Code == 201 && got.RecordedAt.Before(end):
				credited.Add(1)
			case w.Code == 409 && got.Field == "occurred_at" && !s.clock().Before(end.Add(-100*time.Millisecond)):
				return
			default:
				t.Errorf("%d %s", w.Code, w.Body)
				return
			}
		}
	})
	announced := s.standings(path, day)
	if announced.Period.State != "closed" {
		t.Errorf("the day should be closed: %+v", announced)
	}
	sum := int64(0)
	for _, item := range announced.Items {
		sum += item.Score
	}
	if sum != credited.Load() {
		t.Errorf("%d entries were accepted, but the table has %d points", credited.Load(), sum)
	}
	together(crowd, func(client int) {
		w := s.send("0/organizer", "POST", path+"/entries", fmt.Sprintf(`{"player": "p%d", "points": 1, "late": true, "occurred_at": "2026-06-10T12:00:00Z"}`, client%3))
		if w.Code != 201 || strings.Contains(w.Body.String(), `"day"`) {
			t.Errorf("a late entry should credit open periods only: %d %s", w.Code, w.Body)
		}
		w = s.send("0/organizer", "PATCH", fmt.Sprintf("%s/players/p%d", path, client%3), `{"status": "dnf"}`)
		if w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	if after := s.standings(path, day); fmt.Sprint(after) != fmt.Sprint(announced) {
		t.Errorf("a closed table changed: %+v, then %+v", announced, after)
	}
	if open := s.standings(path, "&period=all"); open.Of != 0 {
		t.Errorf("nobody should be ranked any more: %+v", open)
	}
}

// A player leaves the ranks and returns while entries arrive. None is lost, and
// every table read is consistent.
func TestStatusWhileAdding(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", `, "categories": ["age"]`)
	var done atomic.Bool
	var made [2]atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			defer done.Store(true)
			for n := range 40 {
				status, age := "ranked", "old"
				if n%2 == 0 {
					status, age = "disqualified", "young"
				}
				w := s.send("0/organizer", "PATCH", fmt.Sprintf("%s/players/p%d", path, i), fmt.Sprintf(`{"status": %q, "note": "n", "attributes": {"age": %q}}`, status, age))
				if w.Code != 200 && w.Code != 201 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
		wg.Go(func() {
			for !done.Load() {
				if w := s.send("0/organizer", "POST", path+"/entries", fmt.Sprintf(`{"player": "p%d", "points": 1}`, i)); w.Code != 201 {
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
				made[i].Add(1)
			}
		})
		wg.Go(func() {
			for !done.Load() {
				s.standings(path, "")
				s.standings(path, "&category=age:old")
			}
		})
	}
	wg.Wait()
	for _, query := range []string{"", "&category=age:old"} {
		got := s.standings(path, query).scores()
		if got["p0"] != made[0].Load() || got["p1"] != made[1].Load() {
			t.Errorf("%s: %v, after %d and %d points", query, got, made[0].Load(), made[1].Load())
		}
	}
	if got := s.standings(path, "&category=age:young"); got.Of != 0 {
		t.Errorf("nobody should be young any more: %+v", got)
	}
}

// A batch is visible as a whole or not at all, in tables and in lists of
// entries.
func TestReadersSeeWholeBatches(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", "")
	const size, batches = 10, 25
	var done atomic.Bool
	var writers, readers sync.WaitGroup
	for client := range 3 {
		writers.Go(func() {
			for range batches {
				var lines []batchLine
				for _, i := range rand.Perm(size) {
					lines = append(lines, batchLine{Board: "b", Player: fmt.Sprint("p", i), Points: int64(client + 1)})
				}
				if w := s.send("0/organizer", "POST", "/v1/entries/batch", batchBody(lines)); w.Code != 201 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for !done.Load() {
				table := s.standings(path, "")
				for _, item := range table.Items {
					if item.Score != table.Items[0].Score || item.Rank > size || len(table.Items) != size {
						t.Errorf("a table shows part of a batch: %+v", table)
						return
					}
				}
				if n := s.count(path); n%size != 0 && n < 100 {
					t.Errorf("part of a batch is listed: %d entries", n)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	for player, score := range s.standings(path, "").scores() {
		if score != batches*(1+2+3) {
			t.Errorf("%s should have %d points, not %d", player, batches*(1+2+3), score)
		}
	}
}

// count returns the number of entries on a list's first page.
func (s *stack) count(path string) int {
	var out struct{ Items []json.RawMessage }
	w := s.send("0/organizer", "GET", path+"/entries?limit=100", "")
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		s.Errorf("%d %s", w.Code, w.Body)
	}
	return len(out.Items)
}

// Of concurrent reversals of one entry, one succeeds and the others are
// refused.
func TestOneReversalAtOnce(t *testing.T) {
	s := start(t, crowd)
	path := s.board("b", "")
	for range 10 {
		w := s.send("0/organizer", "POST", path+"/entries", `{"player": "p", "points": 5}`)
		var e struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var answers [crowd]*httptest.ResponseRecorder
		together(crowd, func(client int) {
			if client%2 == 0 {
				answers[client] = s.send("0/organizer", "POST", path+"/entries/"+e.ID+"/reversal", `{"note": "n"}`)
			} else {
				answers[client] = s.send("0/organizer", "POST", "/v1/entries/batch", fmt.Sprintf(`{"entries": [{"board": "b", "player": "q", "points": 1}, {"board": "b", "reverses": %q, "note": "n"}]}`, e.ID))
			}
		})
		made := 0
		for _, w := range answers {
			switch w.Code {
			case 201:
				made++
			case 409:
			default:
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if made != 1 {
			t.Fatalf("%d reversals of one entry were made", made)
		}
		if got := s.standings(path, "").scores(); got["p"] != 0 {
			t.Fatalf("p should have no score left: %v", got)
		}
	}
}
