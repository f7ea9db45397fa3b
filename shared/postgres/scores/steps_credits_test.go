package scores_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/score"
)

func TestCheckDailyCaps(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) { b.DailyCap, b.Min = ptr[int64](10), -100 })
	b := s.no(t, "b")
	midnight := noon.Truncate(24 * time.Hour)
	tomorrow := midnight.AddDate(0, 0, 1)
	// p has 4 today, of 4 + 3 reversed + 90 by an adjustment.
	for _, c := range []struct {
		kind   score.Kind
		points int64
	}{{score.Result, 4}, {score.Result, 3}, {score.Adjustment, 90}} {
		a := s.add(t, "b", score.Submission{Player: "p", Points: &c.points, Kind: &c.kind, Note: ptr("why"), OccurredAt: &noon})
		if c.points == 3 {
			if _, err := s.reverse(t, "b", a.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.exec(t, `INSERT INTO entries SELECT gen_random_uuid(), board, 'over', 1, 'result', 15, 0, NULL, NULL, actor, occurred_at, recorded_at, NULL, NULL, NULL, runs, scores FROM entries WHERE kind = 'adjustment'`)
	counted := func(n int, player string, day time.Time, points int) fields {
		return fields{"item": n, "board": b, "player": player, "kind": "result", "points": points, "sent": fields{"day_start": day, "day_end": day.AddDate(0, 0, 1)}}
	}
	uncounted := func(n, points int) fields {
		return fields{"item": n, "board": b, "player": "p", "kind": "adjustment", "points": points, "sent": fields{}}
	}
	reversal := func(n, points int, at time.Time) fields {
		return fields{"item": n, "board": b, "player": "p", "kind": "reversal", "points": points, "counted_at": at, "sent": fields{}}
	}
	for _, c := range []struct {
		rule  string
		items []fields
		want  string
	}{
		{"up to the cap", []fields{counted(0, "p", midnight, 6)}, ""},
		{"over the cap", []fields{counted(0, "p", midnight, 7)}, "daily-cap 0"},
		{"the item that crosses is named", []fields{counted(0, "p", midnight, 3), counted(1, "p", midnight, 3), counted(2, "p", midnight, 1), counted(3, "p", midnight, 1)}, "daily-cap 2"},
		{"the order is that of the items", []fields{counted(3, "p", midnight, 6), counted(1, "p", midnight, 7)}, "daily-cap 1"},
		{"another player has a cap of its own", []fields{counted(0, "p", midnight, 6), counted(1, "q", midnight, 10)}, ""},
		{"another player over it", []fields{counted(0, "p", midnight, 6), counted(1, "q", midnight, 11)}, "daily-cap 1"},
		{"another day has a cap of its own", []fields{counted(0, "p", midnight, 6), counted(1, "p", tomorrow, 10)}, ""},
		{"another day's points do not count before it", []fields{counted(0, "p", tomorrow, 8), counted(1, "p", midnight, 3), counted(2, "p", midnight, 4)}, "daily-cap 2"},
		{"another day over it", []fields{counted(0, "p", tomorrow, 11)}, "daily-cap 0"},
		{"a reversal frees none on the day before", []fields{counted(0, "p", midnight, 7), reversal(1, -1, tomorrow)}, "daily-cap 0"},
		{"a player over the cap may lose points", []fields{counted(0, "over", midnight, -2)}, ""},
		{"a player over the cap may get none", []fields{counted(0, "over", midnight, 0)}, ""},
		{"a player over the cap must not get more", []fields{counted(0, "over", midnight, -2), counted(1, "over", midnight, 1)}, "daily-cap 1"},
		{"points that are taken away make room", []fields{counted(0, "p", midnight, 8), counted(1, "p", midnight, -2)}, ""},
		{"an adjustment does not count", []fields{uncounted(0, 50), counted(1, "p", midnight, 6)}, ""},
		{"a reversal frees its points", []fields{counted(0, "p", midnight, 10), reversal(1, -4, noon)}, ""},
		{"a reversal frees points on the day of its original", []fields{counted(0, "p", midnight, 7), reversal(1, -4, noon.AddDate(0, 0, 1))}, "daily-cap 0"},
		{"a reversal frees points up to the end of the day", []fields{counted(0, "p", midnight, 7), reversal(1, -1, tomorrow.Add(-time.Microsecond))}, ""},
		{"the reversal of an adjustment frees none", []fields{counted(0, "p", midnight, 7), {"item": 1, "board": b, "player": "p", "kind": "reversal", "points": -90, "sent": fields{}}}, "daily-cap 0"},
		{"a reversal that returns points may cross the cap", []fields{counted(0, "p", midnight, 1), reversal(1, 20, noon)}, ""},
	} {
		if got := s.refusal(t, `SELECT internal.check_daily_caps(`+of("internal.item", 1)+`)`, list(c.items...)); got != c.want {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.want)
		}
	}
}

// standingsOf describes all standings, with times in seconds since $1.
const standingsOf = `SELECT jsonb_agg(jsonb_build_array(r.period, s.player, s.score, s.tiebreak, extract(epoch FROM s.reached_at - $1)::integer, s.nonzero, s.status, s.cat1, s.cat2, s.key_score, s.key_tiebreak,
	CASE WHEN isfinite(s.key_reached) THEN extract(epoch FROM s.key_reached - $1)::integer END) ORDER BY r.no, s.player)
	FROM standings s JOIN runs r ON r.no = s.run`

func TestCancelCredits(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	at := func(seconds int) *time.Time { return ptr(noon.Add(time.Duration(seconds) * time.Second)) }
	entries := map[score.Combine][]string{}
	for _, combine := range []score.Combine{score.Sum, score.Best, score.Last} {
		s.board(t, string(combine), func(b *score.Board) {
			b.Combine, b.Min, b.Grace = combine, -10, score.Duration(366*24*time.Hour)
			b.Periods = []score.Period{{Name: "all"}, {Name: "day"}}
		})
		for i, points := range []int64{0, 5, 2, 0} {
			a := s.add(t, string(combine), score.Submission{Player: "p", Points: &points, Tiebreak: ptr(points / 5), OccurredAt: at(i)})
			entries[combine] = append(entries[combine], a.ID)
		}
	}
	var all int
	for _, c := range []struct {
		rule    string
		combine score.Combine
		gone    []int // the entries, by their second
		runs    int   // of the two runs
		want    string
	}{
		{"a sum loses points and tiebreak", score.Sum, []int{1}, 2, `[["all", 2, 0, 2, true], ["day", 2, 0, 2, true]]`},
		{"a sum without its latest change was reached before", score.Sum, []int{2}, 2, `[["all", 5, 1, 1, true], ["day", 5, 1, 1, true]]`},
		{"a sum of nothing but zeros was reached at the first", score.Sum, []int{1, 2}, 2, `[["all", 0, 0, 0, false], ["day", 0, 0, 0, false]]`},
		{"a sum that loses a zero stays", score.Sum, []int{0}, 2, `[["all", 7, 1, 2, true], ["day", 7, 1, 2, true]]`},
		{"a sum without credits is no standing", score.Sum, []int{0, 1, 2, 3}, 2, `null`},
		{"only the item's runs change", score.Sum, []int{1}, 1, `[["all", 2, 0, 2, true], ["day", 7, 1, 2, true]]`},
		{"the best goes back to the one before", score.Best, []int{1}, 2, `[["all", 2, 0, 2, false], ["day", 2, 0, 2, false]]`},
		{"the best stays", score.Best, []int{2}, 2, `[["all", 5, 1, 1, false], ["day", 5, 1, 1, false]]`},
		{"the best of equals is the first", score.Best, []int{1, 2}, 2, `[["all", 0, 0, 0, false], ["day", 0, 0, 0, false]]`},
		{"no best is no standing", score.Best, []int{0, 1, 2, 3}, 1, `[["day", 5, 1, 1, false]]`},
		{"the last goes back to the one before", score.Last, []int{3}, 2, `[["all", 2, 0, 2, false], ["day", 2, 0, 2, false]]`},
		{"the last stays and was reached before", score.Last, []int{1, 2}, 2, `[["all", 0, 0, 0, false], ["day", 0, 0, 0, false]]`},
		{"no last is no standing", score.Last, []int{3, 2, 1, 0}, 2, `null`},
	} {
		var items []fields
		board := s.no(t, string(c.combine))
		if err := s.scores.db.Owner().Get(&all, `SELECT min(no) FROM runs WHERE board = $1`, board); err != nil {
			t.Fatal(err)
		}
		for i, gone := range c.gone {
			points := []int{0, 5, 2, 0}[gone]
			items = append(items, fields{"item": i, "board": board, "player": "p", "points": -points, "tiebreak": -points / 5,
				"runs": []int{all, all + 1}[:c.runs], "sent": fields{"reverses": entries[c.combine][gone]}})
		}
		s.undone(t, func(in stepper) {
			in.get(t, `SELECT internal.cancel_credits(`+of("internal.item", 1)+`)`, list(items...))
			got := in.get(t, `SELECT jsonb_agg(jsonb_build_array(r.period, s.score, s.tiebreak, extract(epoch FROM s.reached_at - $1)::integer, s.nonzero) ORDER BY r.no)
				FROM standings s JOIN runs r ON r.no = s.run WHERE r.board = $2 AND s.key_score = - s.score AND s.key_tiebreak = - s.tiebreak AND s.key_reached = s.reached_at`, noon, board)
			sameJSON(t, c.rule, got, c.want)
		})
	}
}

func TestCredit(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	numbers := map[string]int{}
	for _, combine := range []score.Combine{score.Sum, score.Best, score.Last} {
		for _, order := range []score.Order{score.Desc, score.Asc} {
			id := string(combine) + "-" + string(order)
			s.board(t, id, func(b *score.Board) {
				b.Combine, b.Order, b.Categories = combine, order, []string{"sex", "club"}
				if order == score.Asc {
					b.Ties = score.Shared
				}
			})
			numbers[id] = s.no(t, id)
			s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, 'all', '-infinity', 'infinity')`, numbers[id])
		}
	}
	item := func(n, points, tiebreak, second int) fields {
		return fields{"item": n, "player": "p", "kind": "result", "points": points, "tiebreak": tiebreak, "status": "ranked", "attributes": fields{},
			"seq": n, "recorded_at": noon, "sent": fields{"id": entryID(n), "occurred_at": noon.Add(time.Duration(second) * time.Second)}}
	}
	adjustment := func(n, points, second int) fields {
		return item(n, points, 0, second).with(fields{"kind": "adjustment"})
	}
	const largest = score.MaxPoints
	credit := `SELECT internal.credit(` + of("internal.item", 1) + `)`
	for _, c := range []struct {
		rule   string
		board  string
		items  []fields
		beyond bool
		want   string
	}{
		{"a sum adds points and tiebreaks", "sum-desc", []fields{item(0, 5, 1, 3), item(1, -2, 2, 1)}, false,
			`[["all", "p", 3, 3, 3, true, "ranked", null, null, -3, -3, 3]]`},
		{"a sum in the other direction, with shared ranks", "sum-asc", []fields{item(0, 5, 1, 3)}, false,
			`[["all", "p", 5, 1, 3, true, "ranked", null, null, 5, 1, null]]`},
		{"a sum of zeros was reached at the first", "sum-desc", []fields{item(0, 0, 0, 3), item(1, 0, 0, 1)}, false,
			`[["all", "p", 0, 0, 1, false, "ranked", null, null, 0, 0, 1]]`},
		{"a zero does not change when a sum was reached", "sum-desc", []fields{item(0, 5, 0, 3), item(1, 0, 0, 9)}, false,
			`[["all", "p", 5, 0, 3, true, "ranked", null, null, -5, 0, 3]]`},
		{"the best is the most", "best-desc", []fields{item(0, 5, 0, 1), item(1, 7, 0, 2), item(2, 6, 0, 3)}, false,
			`[["all", "p", 7, 0, 2, false, "ranked", null, null, -7, 0, 2]]`},
		{"the best is the least", "best-asc", []fields{item(0, 5, 0, 1), item(1, 7, 0, 2), item(2, 6, 0, 3)}, false,
			`[["all", "p", 5, 0, 1, false, "ranked", null, null, 5, 0, null]]`},
		{"the tiebreak decides between equals", "best-desc", []fields{item(0, 5, 1, 1), item(1, 5, 2, 2)}, false,
			`[["all", "p", 5, 2, 2, false, "ranked", null, null, -5, -2, 2]]`},
		{"the best of equals is the first", "best-desc", []fields{item(0, 5, 1, 2), item(1, 5, 1, 1)}, false,
			`[["all", "p", 5, 1, 1, false, "ranked", null, null, -5, -1, 1]]`},
		{"the last is the latest", "last-desc", []fields{item(0, 5, 0, 2), item(1, 7, 0, 1)}, false,
			`[["all", "p", 5, 0, 2, false, "ranked", null, null, -5, 0, 2]]`},
		{"the last of equal instants is the later item", "last-asc", []fields{item(1, 7, 0, 1), item(0, 5, 0, 1)}, false,
			`[["all", "p", 7, 0, 1, false, "ranked", null, null, 7, 0, null]]`},
		{"a penalty is added to the best", "best-asc", []fields{item(0, 60, 0, 1), adjustment(1, 5, 2), item(2, 58, 0, 3)}, false,
			`[["all", "p", 63, 0, 3, true, "ranked", null, null, 63, 0, null]]`},
		{"an earlier best moves the score to where it was reached", "best-asc", []fields{item(0, 60, 0, 9), adjustment(1, 5, 2), item(2, 58, 0, 1)}, false,
			`[["all", "p", 63, 0, 2, true, "ranked", null, null, 63, 0, null]]`},
		{"an adjustment waits for the first result", "best-desc", []fields{adjustment(0, 5, 1), item(1, 7, 0, 2)}, false,
			`[["all", "p", 12, 0, 2, true, "ranked", null, null, -12, 0, 2]]`},
		{"adjustments alone are no standing", "best-desc", []fields{adjustment(0, 5, 1)}, false, `null`},
		{"adjustments alone are out of range", "best-desc", []fields{adjustment(0, largest, 1), adjustment(1, 1, 1)}, true, ``},
		{"a bonus is added to the last", "last-asc", []fields{item(0, 1500, 0, 1), adjustment(1, 10, 2)}, false,
			`[["all", "p", 1510, 0, 2, false, "ranked", null, null, 1510, 0, null]]`},
		{"a result before it takes a later bonus", "last-desc", []fields{item(0, 5, 0, 1), adjustment(1, 10, 5), item(2, 7, 0, 3)}, false,
			`[["all", "p", 17, 0, 5, false, "ranked", null, null, -17, 0, 5]]`},
		{"a bonus before the only result is ignored", "last-desc", []fields{adjustment(0, 10, 1), item(1, 5, 0, 2)}, false,
			`[["all", "p", 5, 0, 2, false, "ranked", null, null, -5, 0, 2]]`},
		{"a bonus that came before its result", "last-desc", []fields{adjustment(0, 10, 3), item(1, 5, 0, 2)}, false,
			`[["all", "p", 15, 0, 3, false, "ranked", null, null, -15, 0, 3]]`},
		{"status and categories are the player's", "sum-desc", []fields{item(0, 5, 0, 1).with(fields{"status": "dnf", "attributes": fields{"club": "Han", "sex": "f", "age": "M40"}})}, false,
			`[["all", "p", 5, 0, 1, true, "dnf", "f", "Han", -5, 0, 1]]`},
		{"players have standings of their own", "sum-desc", []fields{item(0, 5, 0, 1), item(1, 7, 0, 1).with(fields{"player": "q"})}, false,
			`[["all", "p", 5, 0, 1, true, "ranked", null, null, -5, 0, 1], ["all", "q", 7, 0, 1, true, "ranked", null, null, -7, 0, 1]]`},
		{"a reversal is no credit", "sum-desc", []fields{item(0, -5, 0, 1).with(fields{"sent": fields{"id": entryID(0), "reverses": entryID(1), "occurred_at": noon}})}, false, `null`},
		{"the largest score", "sum-desc", []fields{item(0, largest, -largest, 1)}, false,
			fmt.Sprintf(`[["all", "p", %d, %d, 1, true, "ranked", null, null, %d, %d, 1]]`, largest, -largest, -largest, largest)},
		{"a score out of its range", "sum-desc", []fields{item(0, largest, 0, 1), item(1, 1, 0, 1)}, true, ``},
		{"a negative score out of its range", "sum-desc", []fields{item(0, -largest, 0, 1), item(1, -1, 0, 1)}, true, ``},
		{"a tiebreak out of its range", "sum-desc", []fields{item(0, 0, largest, 1), item(1, 0, 1, 1)}, true, ``},
		{"a score that comes back into its range", "sum-desc", []fields{item(0, largest, 0, 1), item(1, 1, 0, 1), item(2, -1, 0, 1)}, false, ``},
		{"of two players one out of range", "sum-desc", []fields{item(0, 1, 0, 1).with(fields{"player": "a"}), item(1, largest, 0, 1), item(2, 1, 0, 1), item(3, 1, 0, 1).with(fields{"player": "z"})}, true, ``},
	} {
		var items, alone [][]fields
		no := numbers[c.board]
		var run int
		if err := s.scores.db.Owner().Get(&run, `SELECT no FROM runs WHERE board = $1`, no); err != nil {
			t.Fatal(err)
		}
		var together []fields
		for _, i := range c.items {
			i = i.with(fields{"board": no, "runs": []int{run}})
			together = append(together, i)
			alone = append(alone, []fields{i})
		}
		slices.SortFunc(alone, func(a, b []fields) int { return a[0]["item"].(int) - b[0]["item"].(int) })
		items = append(items, together)
		for _, calls := range [][][]fields{items, alone} { // in one call, and one after the other
			s.undone(t, func(in stepper) {
				var beyond string
				for _, call := range calls {
					beyond = in.get(t, credit, list(call...))
					in.get(t, `SELECT internal.record_entries(`+of("internal.item", 1)+`, 'user/o', 'o', $2, NULL)`, list(call...), parent)
				}
				if len(calls) == 1 && beyond != fmt.Sprint(c.beyond) {
					t.Errorf("%s: out of range %s, want %t", c.rule, beyond, c.beyond)
				}
				if c.want != "" {
					sameJSON(t, c.rule, in.get(t, standingsOf, noon), c.want)
				}
			})
		}
	}
	// A standing takes the copies of the player with each credit.
	s.undone(t, func(in stepper) {
		no := numbers["sum-desc"]
		var run int
		if err := sqlx.GetContext(t.Context(), in.db, &run, `SELECT no FROM runs WHERE board = $1`, no); err != nil {
			t.Fatal(err)
		}
		first := item(0, 5, 0, 1).with(fields{"board": no, "runs": []int{run}, "attributes": fields{"sex": "m", "club": "Han"}})
		in.get(t, credit, list(first))
		in.get(t, credit, list(first.with(fields{"status": "dnf", "attributes": fields{"sex": "f"}})))
		sameJSON(t, "a player that changed", in.get(t, standingsOf, noon), `[["all", "p", 10, 0, 1, true, "dnf", "f", null, -10, 0, 1]]`)
	})
}

func TestCheckRanges(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	b := s.no(t, "b")
	const largest = score.MaxPoints
	for _, c := range []struct {
		rule      string
		standings [][]any // run, player, score, tiebreak after the items
		items     [][]any // item, player, points, tiebreak, runs
		want      string
	}{
		{"within the range", [][]any{{1, "p", largest, -largest}}, [][]any{{0, "p", largest, 0, []int{1}}}, ""},
		{"a score beyond it", [][]any{{1, "p", largest + 1, 0}}, [][]any{{0, "p", 1, 0, []int{1}}}, "range 0"},
		{"a score below it", [][]any{{1, "p", -largest - 1, 0}}, [][]any{{0, "p", -1, 0, []int{1}}}, "range 0"},
		{"a tiebreak beyond it", [][]any{{1, "p", 5, largest + 1}}, [][]any{{0, "p", 5, 1, []int{1}}}, "tiebreak-range 0"},
		{"the score comes before the tiebreak", [][]any{{1, "p", largest + 1, largest + 1}}, [][]any{{0, "p", 1, 1, []int{1}}}, "range 0"},
		{"the first item that crosses", [][]any{{1, "p", largest + 2, 0}}, [][]any{{0, "p", 5, 0, []int{1}}, {1, "p", 1, 0, []int{1}}, {2, "p", 1, 0, []int{1}}, {3, "p", 0, 0, []int{1}}}, "range 1"},
		{"it crosses, comes back and crosses again", [][]any{{1, "p", largest + 1, 0}}, [][]any{{0, "p", 9, 0, []int{1}}, {1, "p", -9, 0, []int{1}}, {2, "p", 1, 0, []int{1}}}, "range 0"},
		{"a score that came back does not count", [][]any{{1, "p", largest, 0}}, [][]any{{0, "p", 1, 0, []int{1}}, {1, "p", -1, 0, []int{1}}}, ""},
		{"another player's items do not count", [][]any{{1, "p", largest + 1, 0}, {1, "q", 5, 0}}, [][]any{{0, "q", 5, 0, []int{1}}, {1, "p", 1, 0, []int{1}}}, "range 1"},
		{"two players out of range count alone", [][]any{{1, "p", largest + 1, 0}, {1, "q", largest + 1, 0}}, [][]any{{0, "p", 1, 0, []int{1}}, {1, "q", 3, 0, []int{1}}}, "range 0"},
		{"any run counts", [][]any{{1, "p", 5, 0}, {2, "p", largest + 1, 0}}, [][]any{{0, "p", 5, 0, []int{1}}, {1, "p", 1, 0, []int{1, 2}}}, "range 1"},
		{"a player without a standing", nil, [][]any{{0, "p", -5, 0, []int{1}}}, ""},
		{"the first of two players", [][]any{{1, "p", largest + 1, 0}, {1, "q", 0, largest + 1}}, [][]any{{3, "p", 1, 0, []int{1}}, {2, "q", 0, 1, []int{1}}}, "tiebreak-range 2"},
	} {
		s.undone(t, func(in stepper) {
			for _, row := range c.standings {
				in.exec(t, `INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached) VALUES ($1, $2, $3, $4, now(), true, 'ranked', 0, 0, now())`, row...)
			}
			var items []fields
			for _, i := range c.items {
				items = append(items, fields{"item": i[0], "board": b, "player": i[1], "kind": "result", "points": i[2], "tiebreak": i[3], "runs": i[4]})
			}
			got := ""
			_, err := in.try(t, `SELECT internal.check_ranges(`+of("internal.item", 1)+`)`, list(items...))
			var refusal *pq.Error
			if errors.As(err, &refusal) && refusal.Code == "PA409" {
				got = refusal.Message + " " + refusal.Detail
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("%s: refused %q, want %q", c.rule, got, c.want)
			}
		})
	}
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestRecordEntries(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil) // has the number 1
	s.exec(t, `DELETE FROM outbox`)
	s.exec(t, `INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		VALUES (7, 'p', 70, 0, now(), true, 'ranked', 0, 0, now()), (3, 'p', 30, 0, now(), true, 'ranked', 0, 0, now()), (5, 'q', 50, 0, now(), true, 'ranked', 0, 0, now())`)
	item := func(n int, player, kind string, user any, runs []int, sent fields) fields {
		return fields{"item": n, "board": 1, "player": player, "kind": kind, "points": n, "tiebreak": -n, "runs": runs, "seq": n + 1, "recorded_at": noon.Add(time.Duration(n) * time.Microsecond), "user_id": user,
			"sent": fields{"id": entryID(n), "occurred_at": noon.Add(-time.Hour)}.with(sent)}
	}
	batch := entryID(77)
	s.get(t, `SELECT internal.record_entries(`+of("internal.item", 1)+`, 'key/k', 'o', $2, $3)`, list(
		item(2, "p", "adjustment", "u", []int{7, 3, 5}, fields{"note": "why"}),
		item(0, "p", "result", "u", []int{3, 7}, fields{"reason": "full", "metadata": `{"a": 1}`}),
		item(1, "q", "reversal", "u", []int{5}, fields{"reverses": entryID(99), "note": "wrong"}),
		item(3, "q", "import", "u", []int{5}, nil),
		item(4, "q", "adjustment", "o", []int{5}, fields{"note": "own"}),
		item(5, "q", "reversal", nil, []int{9}, fields{"reverses": entryID(98), "note": "wrong"}),
	), parent, batch)
	sameJSON(t, "the ledger", s.get(t, `SELECT jsonb_agg(jsonb_build_array(e.player, e.seq, e.kind, e.points, e.tiebreak, e.reason, e.note, e.metadata, right(e.reverses::text, 2), e.runs, e.scores, extract(microseconds FROM e.recorded_at - $1)) ORDER BY e.id)
		FROM entries e WHERE e.actor = 'key/k' AND e.board = 1 AND e.batch = $2 AND e.occurred_at = $1 - interval '1 hour'`, noon, batch), `[
		["p", 1, "result", 0, 0, "full", null, "{\"a\": 1}", null, [3, 7], [30, 70], 0],
		["q", 2, "reversal", 1, -1, null, "wrong", null, "99", [5], [50], 1],
		["p", 3, "adjustment", 2, -2, null, "why", null, null, [7, 3, 5], [70, 30, null], 2],
		["q", 4, "import", 3, -3, null, null, null, null, [5], [50], 3],
		["q", 5, "adjustment", 4, -4, null, "own", null, null, [5], [50], 4],
		["q", 6, "reversal", 5, -5, null, "wrong", null, "98", [9], [null], 5]]`)
	sameJSON(t, "the outbox", s.get(t, `SELECT jsonb_agg(jsonb_build_array(o.type, right(o.entry::text, 1), o.notify, extract(microseconds FROM o.recordedtime - $1), o.extensions::jsonb ->> 'user') ORDER BY o.id)
		FROM outbox o WHERE o.kind = 'event' AND o.batch_size = 6 AND o.subjectseq IS NULL AND o.subject IS NULL AND o.actor IS NULL AND o.data IS NULL AND o.traceparent = $2`, noon, parent), `[
		["plaudit.entry.added", "0", null, 0, "u"], ["plaudit.entry.reversed", "1", "u", 1, "u"], ["plaudit.entry.adjusted", "2", "u", 2, "u"],
		["plaudit.entry.imported", "3", null, 3, "u"], ["plaudit.entry.adjusted", "4", null, 4, "o"], ["plaudit.entry.reversed", "5", null, 5, null]]`)
}

func TestRecordProfiles(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	s.exec(t, `DELETE FROM outbox`)
	b := s.no(t, "b")
	s.exec(t, `INSERT INTO players (board, id, seq, recorded_at) VALUES ($1, 'p', 1, $2), ($1, 'q', 1, $2), ($1, 'r', 1, $2)`, b, noon)
	s.exec(t, `UPDATE players SET user_id = 'u' WHERE id = 'q'`)
	player := fields{"display_name": "Kim", "country": nil, "status": "ranked", "note": nil, "attributes": fields{}}
	s.get(t, `SELECT internal.record_profiles(`+of("internal.player_change", 1)+`, 'user/o', $2)`, list(
		fields{"board": b, "player": "q", "old": player, "new": player.with(fields{"display_name": "Lee", "attributes": fields{"sex": "f"}})},
		fields{"board": b, "player": "p", "old": player, "new": player.with(fields{"display_name": "Lee", "country": "KR"})},
	), parent)
	sameJSON(t, "the outbox", s.get(t, `SELECT jsonb_agg(jsonb_build_array(o.subject, o.notify, o.data::jsonb, extract(microseconds FROM o.recordedtime - $1), o.subjectseq, o.extensions::jsonb) ORDER BY o.id)
		FROM outbox o WHERE o.kind = 'event' AND o.type = 'plaudit.player.changed' AND o.actor = 'user/o' AND o.entry IS NULL AND o.traceparent = $2`, noon, parent), `[
		["board/b/player/p", null, {"changes": {"display_name": {}, "country": {}}}, 1, 1, null],
		["board/b/player/q", null, {"changes": {"display_name": {}, "attributes": {}}}, 1, 1, {"user": "u"}]]`)
	sameJSON(t, "the players' times", s.get(t, `SELECT jsonb_object_agg(id, extract(microseconds FROM recorded_at - $1)) FROM players`, noon), `{"p": 1, "q": 1, "r": 0}`)
}

// Contributions, each as points, tiebreak, the second in which it occurred, and 1 for
// an adjustment.
func contributions(list ...[4]int) string {
	out := []fields{}
	for _, c := range list {
		out = append(out, fields{"points": c[0], "tiebreak": c[1], "occurred_at": noon.Add(time.Duration(c[2]) * time.Second), "adjustment": c[3] == 1})
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Contributions that arrive one by one make the standing that they make at once in
// the order in which they occurred, in whatever order they arrive, unless a standing
// does not tell enough.
func TestFoldIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	const tally = `jsonb_build_array(f.score, f.tiebreak, extract(epoch FROM f.reached_at - $2)::integer, f.nonzero, f.adj_score, f.adj_tiebreak, extract(epoch FROM f.result_at - $2)::integer)`
	all := `SELECT ` + tally + ` FROM internal.fold_all(NULL, ` + of("internal.contribution", 1) + `, $3, $4) f`
	fold := `SELECT CASE WHEN f.adj_score IS NOT NULL THEN to_jsonb(f) END FROM internal.fold_all(jsonb_populate_record(NULL::internal.tally, nullif($2::jsonb, 'null')), ` + of("internal.contribution", 1) + `, $3, $4) f`
	for _, c := range []struct {
		rule    string
		combine string
		sign    int
		list    [][4]int // in the order in which they occurred
		want    string
		unsure  bool // in some order of arrival
	}{
		{"a sum is reached at the latest one that changed it", "sum", -1, [][4]int{{0, 0, 0, 0}, {5, 0, 1, 0}, {-5, 2, 3, 1}, {0, 0, 9, 0}}, `[0, 2, 3, true, -5, 2, null]`, false},
		{"a sum of zeros is reached at the earliest", "sum", -1, [][4]int{{0, 0, 3, 0}, {0, 0, 5, 0}, {0, 0, 9, 1}}, `[0, 0, 3, false, 0, 0, null]`, false},
		{"a tiebreak alone changes a sum", "sum", 1, [][4]int{{0, 0, 1, 0}, {0, 1, 5, 0}, {0, 0, 9, 0}}, `[0, 1, 5, true, 0, 0, null]`, false},
		{"the most is the best", "best", -1, [][4]int{{5, 0, 1, 0}, {7, 0, 2, 0}, {7, 1, 3, 0}, {6, 9, 4, 0}}, `[7, 1, 3, false, 0, 0, null]`, false},
		{"the least is the best", "best", 1, [][4]int{{5, 1, 1, 0}, {6, 9, 2, 0}, {7, 1, 3, 0}, {5, 0, 4, 0}}, `[5, 0, 4, false, 0, 0, null]`, false},
		{"the first of equals is the best", "best", -1, [][4]int{{7, 1, 2, 0}, {7, 1, 3, 0}, {7, 1, 4, 0}}, `[7, 1, 2, false, 0, 0, null]`, false},
		{"zero is a best", "best", -1, [][4]int{{-1, 0, 1, 0}, {0, 0, 2, 0}, {-3, 0, 3, 0}}, `[0, 0, 2, false, 0, 0, null]`, false},
		{"adjustments are added to the best", "best", 1, [][4]int{{60, 0, 1, 0}, {5, 1, 2, 1}, {58, 0, 3, 0}, {-1, 0, 4, 1}}, `[62, 1, 4, true, 4, 1, null]`, true},
		{"an adjustment before the first result changes no score then", "best", 1, [][4]int{{5, 0, 1, 1}, {60, 0, 2, 0}, {70, 0, 3, 0}}, `[65, 0, 2, true, 5, 0, null]`, true},
		{"an adjustment of 0 changes nothing", "best", -1, [][4]int{{7, 0, 1, 0}, {0, 0, 2, 1}}, `[7, 0, 1, false, 0, 0, null]`, false},
		{"adjustments alone are no standing on best", "best", -1, [][4]int{{7, 0, 1, 1}, {2, 0, 2, 1}}, `[null, null, 2, true, 9, 0, null]`, false},
		{"the latest is the last", "last", 1, [][4]int{{5, 1, 1, 0}, {9, 3, 2, 0}, {7, 2, 3, 0}}, `[7, 2, 3, false, 0, 0, 3]`, true},
		{"a repeated score was reached before", "last", 1, [][4]int{{5, 1, 1, 0}, {5, 1, 2, 0}, {5, 1, 3, 0}}, `[5, 1, 1, false, 0, 0, 3]`, true},
		{"an adjustment is added to the last", "last", 1, [][4]int{{1500, 0, 1, 0}, {10, 0, 2, 1}, {0, 1, 3, 1}}, `[1510, 1, 3, false, 10, 1, 1]`, true},
		{"a result replaces adjustments, which still count", "last", 1, [][4]int{{3, 0, 1, 0}, {4, 0, 2, 1}, {9, 0, 3, 0}}, `[9, 0, 3, false, 4, 0, 3]`, true},
		{"a result that repeats an adjusted score", "last", 1, [][4]int{{3, 0, 1, 0}, {4, 0, 2, 1}, {7, 0, 3, 0}}, `[7, 0, 2, false, 4, 0, 3]`, true},
		{"an adjustment before the first result is ignored", "last", 1, [][4]int{{4, 0, 1, 1}, {3, 0, 2, 0}}, `[3, 0, 2, false, 0, 0, 2]`, true},
		{"of equal instants the later one is the last", "last", -1, [][4]int{{9, 0, 0, 0}, {5, 0, 1, 0}, {7, 0, 1, 0}}, `[7, 0, 1, false, 0, 0, 1]`, true},
		{"one alone", "last", 1, [][4]int{{0, 0, 1, 0}}, `[0, 0, 1, false, 0, 0, 1]`, false},
	} {
		sameJSON(t, c.rule, s.get(t, all, contributions(c.list...), noon, c.combine, c.sign), c.want)
		unsure := false
		for n, order := range permutations(c.list) {
			if order[0][3] == 1 && c.combine != "sum" || c.rule == "of equal instants the later one is the last" && n > 0 {
				continue // there is no standing to keep an adjustment, and seq is the order of arrival
			}
			state := "null"
			for _, one := range order {
				if state = s.get(t, fold, contributions(one), state, c.combine, c.sign); state == "null" {
					break
				}
			}
			if state == "null" {
				if unsure = true; n == 0 {
					t.Errorf("%s: a standing tells too little in the order of time", c.rule)
				}
				continue
			}
			sameJSON(t, fmt.Sprint(c.rule, " ", order), s.get(t, `SELECT `+tally+` FROM jsonb_populate_record(NULL::internal.tally, $1) f`, state, noon), c.want)
		}
		if unsure && !c.unsure {
			t.Errorf("%s: a standing tells too little", c.rule)
		}
	}
}

func permutations[T any](list []T) (out [][]T) {
	if len(list) < 2 {
		return [][]T{slices.Clone(list)}
	}
	for i := range list {
		rest := slices.Delete(slices.Clone(list), i, i+1)
		for _, p := range permutations(rest) {
			out = append(out, append([]T{list[i]}, p...))
		}
	}
	return out
}

func TestRunsCloseWithTheirGrace(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) { b.Grace = score.Duration(90 * time.Minute) })
	b := s.no(t, "b")
	closes := `SELECT internal.run_closes_at(b, $1::timestamptz) FROM boards b`
	for end, want := range map[string]string{noonText: "2026-04-05T13:30:00+00:00", "infinity": "infinity", "2026-12-31T23:00:00+00:00": "2027-01-01T00:30:00+00:00"} {
		sameJSON(t, end, s.get(t, closes, end), `"`+want+`"`)
	}

	// A draft closes nothing; once opened, nothing before that.
	s.undone(t, func(in stepper) {
		in.exec(t, `UPDATE boards SET opened_at = NULL, created_at = '2026-04-01 00:00Z'`)
		sameJSON(t, "a draft", in.get(t, closes, noonText), `"infinity"`)
		in.exec(t, `UPDATE boards SET opened_at = '2026-04-02 00:00Z'`)
		sameJSON(t, "opened before", in.get(t, closes, noonText), `"2026-04-05T13:30:00+00:00"`)
		sameJSON(t, "of a past that was over when it was opened", in.get(t, closes, "2026-04-01 22:30Z"), `"2026-04-02T00:00:00+00:00"`)
		in.exec(t, `UPDATE boards SET created_at = opened_at`)
		sameJSON(t, "of a past that was over when the board was made", in.get(t, closes, "2026-04-01 00:00Z"), `"2026-04-01T01:30:00+00:00"`)
	})

	// One run an hour; at noon those that end at 10:31 and later are open.
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, 'all', '-infinity', 'infinity')`, b)
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) SELECT $1, 'hour', t, t + interval '1 hour' FROM generate_series($2::timestamptz - interval '10 hours', $2::timestamptz + interval '1 hour', '1 hour') t`, b, noon)
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1 + 1, 'another board', '-infinity', 'infinity')`, b)
	open := `SELECT jsonb_agg(r.period || coalesce(to_char(nullif(r.end_at, 'infinity') AT TIME ZONE 'UTC', ' HH24:MI'), '')) FROM boards b, internal.runs_open_at(b, $1) r`
	sameJSON(t, "at noon", s.get(t, open, noon), `["all", "hour 14:00", "hour 13:00", "hour 12:00", "hour 11:00"]`)
	sameJSON(t, "before a close", s.get(t, open, noon.Add(30*time.Minute-time.Microsecond)), `["all", "hour 14:00", "hour 13:00", "hour 12:00", "hour 11:00"]`)
	sameJSON(t, "at a close", s.get(t, open, noon.Add(30*time.Minute)), `["all", "hour 14:00", "hour 13:00", "hour 12:00"]`)

	// It asks for no run behind the first that is closed.
	s.exec(t, `CREATE OR REPLACE FUNCTION internal.run_closes_at(b boards, p_end timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
		BEGIN
			IF p_end < '2026-04-05 10:00Z' THEN
				RAISE EXCEPTION 'it went on to the run that ends at %', p_end;
			END IF;
			RETURN p_end + b.grace;
		END $$`)
	sameJSON(t, "the runs that are asked for", s.get(t, open, noon), `["all", "hour 14:00", "hour 13:00", "hour 12:00", "hour 11:00"]`)
}

func TestShareClosing(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	for _, id := range []string{"a", "z"} {
		s.board(t, id, func(b *score.Board) { b.Grace = score.Duration(time.Hour) })
	}
	a, z := s.no(t, "a"), s.no(t, "z")
	s.clock(t, noon)
	// By the second in which they close, from noon on.
	for i, second := range []int{-1, 0, 1, 60, 61} {
		s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, $2, $3::timestamptz - interval '1 day', $3)`, a, fmt.Sprint("p", i), noon.Add(time.Duration(second)*time.Second-time.Hour))
	}
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, 'all', '-infinity', 'infinity'), ($2, 'q', '-infinity', $3)`, a, z, noon.Add(time.Second-time.Hour))
	locked := `SELECT jsonb_agg(r.period ORDER BY r.period) FROM runs r JOIN pg_locks l ON l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.mode = 'ShareLock'
		AND (l.classid::bigint << 32 | l.objid::bigint) = internal.run_lock(r.board, r.period, r.start_at)`
	for rule, c := range map[string]struct {
		boards []int
		want   string
	}{
		"runs that close within a minute": {[]int{a}, `["p2", "p3"]`},
		"of each board":                   {[]int{z, a, z}, `["p2", "p3", "q"]`},
		"of none":                         {[]int{}, `null`},
	} {
		s.undone(t, func(in stepper) {
			in.get(t, `SELECT internal.share_closing($1)`, pq.Array(c.boards))
			sameJSON(t, rule, in.get(t, locked), c.want)
		})
	}
	// Settling waits for a session that shares the lock.
	s.undone(t, func(in stepper) {
		in.get(t, `SELECT internal.share_closing($1)`, pq.Array([]int{a}))
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, err := s.scores.db.Owner().ExecContext(ctx, `SELECT settle_v1('{a}', '{p2}', ARRAY[(SELECT start_at FROM runs WHERE period = 'p2')])`)
			done <- err
		}()
		s.waits(t, done)
		in.db.(*sqlx.Tx).Rollback()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
