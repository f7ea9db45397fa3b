package scores_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/lib/pq"

	"plaudit/shared/score"
)

func TestOpenRuns(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) { b.Grace = score.Duration(time.Hour) })
	all := fields{"run_set": 1, "board": "b", "period": "all"}
	day := func(set int, start time.Time) fields {
		return fields{"run_set": set, "board": "b", "period": "day", "start_at": start, "end_at": start.AddDate(0, 0, 1)}
	}
	midnight := noon.Truncate(24 * time.Hour)
	yesterday := midnight.AddDate(0, 0, -1) // closes at 01:00 today
	open := func(in stepper, runs []fields, at time.Time) string {
		t.Helper()
		opened := in.get(t, `SELECT internal.open_runs(`+of("add_run_v1", 1)+`, $2)`, list(runs...), at)
		return in.get(t, `SELECT jsonb_build_object(
				'sets', (SELECT jsonb_agg(jsonb_build_array(s.run_set, (SELECT jsonb_agg(r.period || coalesce(to_char(nullif(r.start_at, '-infinity') AT TIME ZONE 'UTC', ' DD'), '') ORDER BY c.n)
					FROM unnest(s.runs) WITH ORDINALITY AS c (no, n) JOIN runs r ON r.no = c.no), s.partial) ORDER BY s.run_set) FROM unnest(o.sets) s),
				'until', o.open_until, 'closed', o.any_closed)
			FROM jsonb_populate_record(NULL::internal.opened, $1) o`, opened)
	}
	for _, c := range []struct {
		rule string
		runs []fields
		at   time.Time
		want string
		rows int // that it makes
	}{
		{"no runs", nil, noon, `{"sets": null, "until": null, "closed": null}`, 0},
		{"a run without an end never closes", []fields{all}, noon, `{"sets": [[1, ["all"], false]], "until": "infinity", "closed": false}`, 1},
		{"an open set keeps the order of its periods", []fields{day(1, midnight), all}, noon,
			`{"sets": [[1, ["day 05", "all"], false]], "until": "2026-04-06T01:00:00+00:00", "closed": false}`, 2},
		{"a closed run is left out of its set", []fields{all, day(1, yesterday)}, noon, `{"sets": [[1, ["all"], true]], "until": "infinity", "closed": true}`, 1},
		{"a set of closed runs only", []fields{day(1, yesterday)}, noon, `{"sets": [[1, null, true]], "until": null, "closed": true}`, 0},
		{"a run is closed at the instant at which it closes", []fields{day(1, yesterday)}, midnight.Add(time.Hour), `{"sets": [[1, null, true]], "until": null, "closed": true}`, 0},
		{"a run is open before that", []fields{day(1, yesterday)}, midnight.Add(time.Hour - time.Microsecond),
			`{"sets": [[1, ["day 04"], false]], "until": "2026-04-05T01:00:00+00:00", "closed": false}`, 1},
		{"sets share their runs, and the first to close counts", []fields{all, day(1, midnight), all.with(fields{"run_set": 2}), day(2, midnight), day(3, yesterday), day(4, midnight.AddDate(0, 0, 1))}, noon,
			`{"sets": [[1, ["all", "day 05"], false], [2, ["all", "day 05"], false], [3, null, true], [4, ["day 06"], false]], "until": "2026-04-06T01:00:00+00:00", "closed": true}`, 3},
	} {
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule, open(in, c.runs, c.at), c.want)
			// The second time the rows exist.
			sameJSON(t, c.rule+", again", open(in, c.runs, c.at), c.want)
			sameJSON(t, c.rule+": rows", in.get(t, `SELECT count(*) FROM runs`), fmt.Sprint(c.rows))
		})
	}

	// A run that has a row closes too.
	s.undone(t, func(in stepper) {
		closes := midnight.Add(time.Hour)
		open(in, []fields{day(1, yesterday)}, closes.Add(-time.Microsecond))
		sameJSON(t, "a run with a row", in.get(t, `SELECT internal.open_runs(`+of("add_run_v1", 1)+`, $2)`, list(day(1, yesterday)), closes),
			`{"sets": [{"run_set": 1, "runs": null, "partial": true}], "open_until": null, "any_closed": true}`)
	})

	// Two sessions make one row.
	tx, err := s.scores.db.Owner().Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	first := stepper{s.scores, tx}.get(t, `SELECT (internal.open_runs(`+of("add_run_v1", 1)+`, $2)).sets[1].runs`, list(all), noon)
	var second string
	done := make(chan error)
	go func() {
		var err error
		second, err = s.try(t, `SELECT (internal.open_runs(`+of("add_run_v1", 1)+`, $2)).sets[1].runs`, list(all), noon)
		done <- err
	}()
	s.waits(t, done)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || first != second {
		t.Errorf("two sessions made the runs %s and %s (%v)", first, second, err)
	}
}

func TestOriginalRuns(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) { b.Grace = score.Duration(time.Hour) })
	b := s.no(t, "b")
	midnight := noon.Truncate(24 * time.Hour)
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) VALUES ($1, 'all', '-infinity', 'infinity'), ($1, 'day', $2::timestamptz, $2::timestamptz + '1 day'),
		($1, 'day', $2::timestamptz - interval '1 day', $2)`, b, midnight)
	reversal := func(set int, runs ...int) fields {
		return fields{"item": set, "board": b, "original_runs": runs, "sent": fields{"run_set": set}}
	}
	plain := fields{"item": 9, "board": b, "sent": fields{"run_set": 1}}
	for _, c := range []struct {
		rule   string
		opened fields
		items  []fields
		want   string
	}{
		{"a reversal has a set of its own", fields{}, []fields{reversal(1, 1, 2)},
			`{"sets": [{"run_set": 1, "runs": [1, 2], "partial": false}], "open_until": "2026-04-06T01:00:00+00:00", "any_closed": false}`},
		{"the order of the original's periods stays", fields{}, []fields{reversal(1, 2, 1)},
			`{"sets": [{"run_set": 1, "runs": [2, 1], "partial": false}], "open_until": "2026-04-06T01:00:00+00:00", "any_closed": false}`},
		{"a closed run is left out", fields{}, []fields{reversal(1, 1, 3)},
			`{"sets": [{"run_set": 1, "runs": [1], "partial": true}], "open_until": "infinity", "any_closed": true}`},
		{"closed runs only", fields{}, []fields{reversal(1, 3)},
			`{"sets": [{"run_set": 1, "runs": null, "partial": true}], "open_until": null, "any_closed": true}`},
		{"sets of other items stay", fields{"sets": []fields{{"run_set": 1, "runs": []int{2}, "partial": false}}, "open_until": noon, "any_closed": false}, []fields{plain, reversal(2, 1)},
			`{"sets": [{"run_set": 1, "runs": [2], "partial": false}, {"run_set": 2, "runs": [1], "partial": false}], "open_until": "` + noonText + `", "any_closed": false}`},
		{"a set that was partial stays so", fields{"sets": []fields{{"run_set": 1, "runs": []int{2}, "partial": true}}, "open_until": "infinity", "any_closed": true}, []fields{plain, reversal(2, 2)},
			`{"sets": [{"run_set": 1, "runs": [2], "partial": true}, {"run_set": 2, "runs": [2], "partial": false}], "open_until": "2026-04-06T01:00:00+00:00", "any_closed": true}`},
	} {
		got := s.get(t, `SELECT internal.original_runs(jsonb_populate_record(NULL::internal.opened, $1::jsonb -> 0), `+of("internal.item", 2)+`, $3)`,
			list(c.opened), list(c.items...), noon)
		sameJSON(t, c.rule, got, c.want)
	}
}

func TestCheckRuns(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	sets := list(
		fields{"run_set": 1, "runs": []int{1, 2}, "partial": false},
		fields{"run_set": 2, "runs": []int{1}, "partial": true},
		fields{"run_set": 3, "partial": true},
	)
	item := func(n int, set any, late, final bool) fields {
		return fields{"item": n, "final": final, "sent": fields{"run_set": set, "late": late}}
	}
	for _, c := range []struct {
		rule  string
		items []fields
		want  string
	}{
		{"all runs are open", []fields{item(0, 1, false, false)}, ""},
		{"a late item with open runs only", []fields{item(0, 1, true, false)}, ""},
		{"some runs are closed", []fields{item(0, 2, false, false)}, "closed 0"},
		{"some runs are closed, and the item is late", []fields{item(0, 2, true, false)}, ""},
		{"no run is open", []fields{item(0, 3, false, false)}, "closed 0"},
		{"no run is open, and the item is late", []fields{item(0, 3, true, false)}, "closed 0"},
		{"no period contains the item", []fields{item(0, nil, true, false)}, "closed 0"},
		{"an entry that cannot be reversed", []fields{item(0, 1, false, true)}, "reversed 0"},
		{"an entry that cannot be reversed, in closed runs", []fields{item(0, 3, false, true)}, "reversed 0"},
		{"the first item is named", []fields{item(0, 1, false, false), item(3, 3, false, false), item(2, 2, false, false), item(4, 1, false, true)}, "closed 2"},
	} {
		if got := s.refusal(t, `SELECT internal.check_runs(`+of("internal.item", 1)+`, `+of("internal.run_set", 2)+`)`, list(c.items...), sets); got != c.want {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.want)
		}
	}
}

func TestCheckReversals(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	one := s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	gone := s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	if _, err := s.reverse(t, "b", gone.ID); err != nil {
		t.Fatal(err)
	}
	item := func(n int, reverses any) fields { return fields{"item": n, "sent": fields{"reverses": reverses}} }
	for _, c := range []struct {
		rule  string
		items []fields
		want  string
	}{
		{"items that are no reversals", []fields{item(0, nil), item(1, nil)}, ""},
		{"an entry that is reversed once", []fields{item(0, nil), item(1, one.ID)}, ""},
		{"an entry that is reversed twice in one request", []fields{item(2, one.ID), item(1, one.ID)}, "reversed 2"},
		{"an entry that was reversed meanwhile", []fields{item(0, one.ID), item(1, gone.ID)}, "reversed 1"},
		{"the first of several", []fields{item(5, gone.ID), item(1, one.ID), item(3, one.ID)}, "reversed 3"},
	} {
		if got := s.refusal(t, `SELECT internal.check_reversals(`+of("internal.item", 1)+`)`, list(c.items...)); got != c.want {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.want)
		}
	}
}

func TestLockPlayers(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "a", nil)
	s.board(t, "z", nil)
	a, z := s.no(t, "a"), s.no(t, "z")
	s.clock(t, noon)
	s.exec(t, `INSERT INTO players (board, id, seq, recorded_at, user_id) VALUES ($1, 'past', 7, $2::timestamptz - interval '1 hour', 'u'), ($1, 'ahead', 7, $2::timestamptz + interval '5 microseconds', NULL)`, a, noon)
	item := func(board int, player string) fields {
		return fields{"board": board, "player": player, "sent": fields{"new_user": "w"}} // of the previous release
	}
	lock := `SELECT internal.lock_players(` + of("internal.item", 1) + `)`
	players := `SELECT jsonb_agg(jsonb_build_array((SELECT b.id FROM boards b WHERE b.no = p.board), p.id, p.seq, extract(microseconds FROM p.recorded_at - $1), p.user_id) ORDER BY p.board, p.id) FROM players p WHERE p.recorded_at >= $1`
	for _, c := range []struct {
		rule  string
		items []fields
		want  string // players that were recorded from noon on, with microseconds since
	}{
		{"a new player has counted its item", []fields{item(a, "new")}, `[["a", "ahead", 7, 5, null], ["a", "new", 1, 0, null]]`},
		{"an old player keeps its user", []fields{item(a, "past")}, `[["a", "ahead", 7, 5, null], ["a", "past", 8, 0, "u"]]`},
		{"several items of one player", []fields{item(a, "past"), item(a, "new"), item(a, "past"), item(a, "past")},
			`[["a", "ahead", 7, 5, null], ["a", "new", 1, 0, null], ["a", "past", 10, 2, "u"]]`},
		{"times go on from the player's last", []fields{item(a, "ahead"), item(a, "ahead")}, `[["a", "ahead", 9, 7, null]]`},
		{"boards have players of their own", []fields{item(z, "past"), item(a, "past")}, `[["a", "ahead", 7, 5, null], ["a", "past", 8, 0, "u"], ["z", "past", 1, 0, null]]`},
	} {
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule+": the time", in.get(t, lock, list(c.items...)), `"`+noonText+`"`)
			sameJSON(t, c.rule, in.get(t, players, noon), c.want)
		})
	}
	// The rows are locked until the transaction ends.
	s.undone(t, func(in stepper) {
		in.get(t, lock, list(item(a, "past")))
		_, err := s.try(t, `SELECT seq FROM players WHERE id = 'past' FOR UPDATE NOWAIT`)
		if pq.As(err, "55P03") == nil {
			t.Errorf("another session locks the player too: %v", err)
		}
		if got := s.get(t, `SELECT seq FROM players WHERE id = 'ahead' FOR UPDATE NOWAIT`); got != "7" {
			t.Errorf("seq is %s", got)
		}
	})
}

func TestPlaceItems(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	b := s.no(t, "b")
	s.exec(t, `INSERT INTO players (board, id, seq, recorded_at, status, attributes, user_id) VALUES ($1, 'p', 10, $2, 'dnf', '{"sex": "f"}', 'u'), ($1, 'q', 1, $2, 'ranked', '{}', NULL)`, b, noon)
	place := `SELECT jsonb_agg(jsonb_build_array(i.item, i.runs, i.seq, extract(microseconds FROM i.recorded_at - $3), i.status, i.attributes, i.user_id, i.points) ORDER BY i.item)
		FROM unnest(internal.place_items(` + of("internal.item", 1) + `, ` + of("internal.run_set", 2) + `)) i`
	item := func(n int, player string, set int) fields {
		return fields{"item": n, "board": b, "player": player, "points": n, "sent": fields{"run_set": set}}
	}
	got := s.get(t, place, list(item(2, "p", 1), item(0, "p", 2), item(1, "q", 1), item(5, "p", 1)),
		list(fields{"run_set": 1, "runs": []int{3, 1}}, fields{"run_set": 2, "runs": []int{4}}), noon)
	sameJSON(t, "several items of one player", got, `[[0, [4], 8, -2, "dnf", {"sex": "f"}, "u", 0], [1, [3, 1], 1, 0, "ranked", {}, null, 1],
		[2, [3, 1], 9, -1, "dnf", {"sex": "f"}, "u", 2], [5, [3, 1], 10, 0, "dnf", {"sex": "f"}, "u", 5]]`)

	const many = 1000
	s.exec(t, `UPDATE players SET seq = $1 WHERE id = 'p'`, many)
	var items, sets []fields
	for n := range many {
		items = append(items, item(n, "p", many-n))
		sets = append(sets, fields{"run_set": n + 1, "runs": []int{n + 1}})
	}
	var placed [][]any
	if err := json.Unmarshal([]byte(s.get(t, place, list(items...), list(sets...), noon)), &placed); err != nil || len(placed) != many {
		t.Fatalf("%d items came back (%v), want %d", len(placed), err, many)
	}
	for n, p := range placed {
		if want := []any{float64(n), []any{float64(many - n)}, float64(n + 1), float64(n - many + 1)}; !reflect.DeepEqual(p[:4], want) {
			t.Fatalf("item %d is placed as %v, want %v", n, p[:4], want)
		}
	}
}

func TestApplyProfiles(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) { b.Categories = []string{"sex"} })
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	s.add(t, "b", score.Submission{Player: "q", Points: ptr[int64](1)})
	b := s.no(t, "b")
	s.exec(t, `UPDATE players SET display_name = 'Kim', attributes = '{"sex": "f"}' WHERE id = 'p'`)
	item := func(n int, player string, profile any) fields {
		return fields{"item": n, "board": b, "player": player, "sent": fields{"profile": profile}}
	}
	numbered := func(from, to int) fields {
		out := fields{}
		for n := from; n <= to; n++ {
			out[fmt.Sprint("a", n)] = "x"
		}
		return out
	}
	attributes := func(f fields) fields { return fields{"attributes": f} }
	apply := `SELECT jsonb_agg(jsonb_build_array(c.player, c.old -> 'display_name', c.new -> 'display_name', c.new -> 'attributes') ORDER BY c.player) FROM unnest(internal.apply_profiles(` + of("internal.item", 1) + `)) c`
	for _, c := range []struct {
		rule        string
		items       []fields
		changes     string
		players     string // name, attributes and the copy of the category, which follows later, of p and q
		refusesItem string
	}{
		{"no profiles", []fields{item(0, "p", nil)}, `null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"a profile that changes nothing", []fields{item(0, "p", fields{"display_name": "Kim"})}, `null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"later profiles win", []fields{item(1, "p", fields{"display_name": "Lee"}), item(0, "p", fields{"display_name": "Park"})},
			`[["p", "Kim", "Lee", {"sex": "f"}]]`, `[["Lee", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"a change that is taken back is none", []fields{item(0, "p", fields{"display_name": "Lee"}), item(1, "p", fields{"display_name": "Kim"})},
			`null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"attributes change one by one", []fields{item(0, "p", attributes(fields{"club": "Han"})), item(1, "p", attributes(fields{"sex": nil}))},
			`[["p", "Kim", "Kim", {"club": "Han"}]]`, `[["Kim", {"club": "Han"}, null], [null, {}, null]]`, ""},
		{"another player", []fields{item(0, "q", attributes(fields{"sex": "m"}))},
			`[["q", null, null, {"sex": "m"}]]`, `[["Kim", {"sex": "f"}, null], [null, {"sex": "m"}, null]]`, ""},
		{"sixteen attributes", []fields{item(0, "q", attributes(numbered(1, 16)))}, ``, ``, ""},
		{"the item with the seventeenth attribute is named", []fields{item(0, "q", fields{}), item(1, "q", attributes(numbered(1, 16))), item(3, "q", attributes(numbered(20, 20))), item(2, "q", attributes(numbered(19, 19)))},
			``, ``, "attributes 2"},
		{"attributes that the player has count", []fields{item(4, "p", attributes(numbered(1, 16)))}, ``, ``, "attributes 4"},
		{"a later item may make room", []fields{item(0, "p", attributes(numbered(1, 16))), item(1, "p", attributes(fields{"sex": nil}))}, ``, ``, ""},
		{"an item after which it is so again", []fields{
			item(0, "p", attributes(numbered(1, 16))), item(1, "p", attributes(fields{"sex": nil})), item(2, "p", attributes(fields{"sex": "f"})),
		}, ``, ``, "attributes 0"},
		{"one player's attributes do not count for another", []fields{item(0, "q", attributes(numbered(1, 10))), item(1, "p", attributes(numbered(11, 20)))}, ``, ``, ""},
	} {
		if got := s.refusal(t, apply, list(c.items...)); got != c.refusesItem {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.refusesItem)
		}
		if c.players == "" {
			continue
		}
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule, in.get(t, apply, list(c.items...)), c.changes)
			sameJSON(t, c.rule+": players", in.get(t, `SELECT jsonb_agg(jsonb_build_array(p.display_name, p.attributes, (SELECT s.cat1 FROM standings s WHERE s.player = p.id)) ORDER BY p.id) FROM players p`), c.players)
		})
	}
}
