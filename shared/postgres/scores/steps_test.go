package scores_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"plaudit/shared/score"
)

// The steps of add_entries_v1, each alone and as the owner of the schema. Their
// arguments are built from JSON, their results compared as JSON.

// fields are those of a record.
type fields map[string]any

// with returns the fields with others.
func (f fields) with(others fields) fields {
	out := maps.Clone(f)
	maps.Copy(out, others)
	return out
}

// of returns the SQL of an array of records of a type, from JSON in a parameter.
func of(typ string, parameter int) string {
	return fmt.Sprintf(`ARRAY(SELECT jsonb_populate_record(NULL::%s, e) FROM jsonb_array_elements($%d::jsonb) WITH ORDINALITY AS l (e, n) ORDER BY n)`, typ, parameter)
}

// list is the JSON of records.
func list(records ...fields) string {
	if records == nil {
		return "[]"
	}
	text, err := json.Marshal(records)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// digest is that of a request, as JSON has it.
func digest(request string) string { return `\x` + hex.EncodeToString([]byte(request)) }

// stepper calls steps in one database.
type stepper struct {
	*scores
	db queryer
}

type queryer interface {
	sqlx.QueryerContext
	sqlx.ExecerContext
}

func newStepper(t *testing.T) stepper {
	s := newScores(t, 1)
	return stepper{s, s.db.Owner()}
}

// get returns the one value of a query as JSON.
func (s stepper) get(t *testing.T, query string, args ...any) string {
	t.Helper()
	got, err := s.try(t, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func (s stepper) try(t *testing.T, query string, args ...any) (string, error) {
	var got *string
	err := sqlx.GetContext(t.Context(), s.db, &got, `SELECT to_jsonb(x) FROM (`+query+`) q (x)`, args...)
	if got == nil {
		return "null", err
	}
	return *got, err
}

// refusal calls a step and returns the cause and the item of its refusal, "" if it
// does not refuse. What the step wrote is undone.
func (s stepper) refusal(t *testing.T, query string, args ...any) string {
	t.Helper()
	var out string
	s.undone(t, func(in stepper) {
		_, err := in.try(t, query, args...)
		var refusal *pq.Error
		if errors.As(err, &refusal) && refusal.Code == "PA409" {
			out = refusal.Message + " " + refusal.Detail
		} else if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	})
	return out
}

// undone runs f in a transaction that is rolled back.
func (s stepper) undone(t *testing.T, f func(in stepper)) {
	t.Helper()
	tx, err := s.scores.db.Owner().Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	f(stepper{s.scores, tx})
}

func (s stepper) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// no returns a board's number.
func (s stepper) no(t *testing.T, board string) (no int) {
	t.Helper()
	if err := sqlx.GetContext(t.Context(), s.db, &no, `SELECT no FROM boards WHERE id = $1`, board); err != nil {
		t.Fatal(err)
	}
	return no
}

// clock stops the database's clock. It is in a table, because a call that is going
// on would not see another function.
func (s stepper) clock(t *testing.T, at time.Time) {
	t.Helper()
	s.exec(t, `CREATE TABLE IF NOT EXISTS clock (one boolean PRIMARY KEY, at timestamptz NOT NULL)`)
	s.exec(t, `INSERT INTO clock VALUES (true, $1) ON CONFLICT (one) DO UPDATE SET at = excluded.at`, at)
	s.exec(t, `CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM clock'`)
}

// sameJSON compares two JSON texts.
func sameJSON(t *testing.T, what, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatalf("%s: %s: %v", what, got, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatalf("%s: %s: %v", what, want, err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// noon is when the steps' items occur.
var noon = time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)

const noonText = "2026-04-05T12:00:00+00:00"

// entryID returns the id of the n-th entry of a test.
func entryID(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// A replay's answer is the first one's, byte for byte, whatever came afterwards.
func TestReplayHasTheBytesOfTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", func(b *score.Board) {
		b.Periods = []score.Period{{Name: "all"}, {Name: "season", Start: noon.AddDate(-1, 0, 0), End: noon.AddDate(9, 0, 0)}}
	})
	item := func(id, player, key string) fields {
		return fields{"item": 0, "id": id, "board": "b", "version": 1, "player": player, "key": key, "digest": digest(key), "refused": false, "late": false, "kind": "result",
			"points": 5, "tiebreak": 1, "note": "a \"note\" \u2028 ä", "metadata": `{"b": 1.0,"a":[1, 2]}`, "occurred_at": noon, "run_set": 1}
	}
	runs := list(fields{"run_set": 1, "board": "b", "period": "all"}, fields{"run_set": 1, "board": "b", "period": "season", "start_at": noon.AddDate(-1, 0, 0), "end_at": noon.AddDate(9, 0, 0)})
	add := func(i fields, batch any) (text string) {
		t.Helper()
		err := sqlx.GetContext(t.Context(), s.db, &text, `SELECT add_entries_v1('{b}', `+of("add_item_v1", 1)+`, `+of("add_run_v1", 2)+`, 'user/o', $3, $4)::text`, list(i), runs, parent, batch)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	alone := add(item(entryID(1), "p", "k"), nil)
	add(item(entryID(2), "p", "l"), entryID(50))
	if _, err := s.reverse(t, "b", entryID(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, score.PlayerChange{Status: ptr(score.Status("dnf"))}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		again := add(item(entryID(10+i), "p", "k"), nil)
		if want := strings.Replace(alone, `"replayed" : false`, `"replayed" : true`, 1); again != want || again == alone {
			t.Errorf("the answer was\n%s\nand is now\n%s", alone, again)
		}
	}
}

func TestResolveItems(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "a", nil)
	s.board(t, "z", nil)
	s.change(t, "z", func(b *score.Board) { b.Title = "new" })
	a, z := s.no(t, "a"), s.no(t, "z")
	plain := fields{"item": 0, "board": "a", "version": 1, "player": "p", "kind": "result", "points": 5, "tiebreak": 2, "refused": false, "run_set": 1}
	for rule, c := range map[string]struct {
		items []fields
		flags []string
	}{
		"a plain item has no flag":          {[]fields{plain}, nil},
		"the current version of each board": {[]fields{plain, plain.with(fields{"board": "z", "version": 2})}, nil},
		"an older version is stale":         {[]fields{plain.with(fields{"board": "z", "version": 1})}, []string{"stale"}},
		"a newer version is stale":          {[]fields{plain.with(fields{"version": 2})}, []string{"stale"}},
		"one of two boards is stale":        {[]fields{plain, plain.with(fields{"board": "z", "version": 1})}, []string{"stale"}},
		"a refused item":                    {[]fields{plain, plain.with(fields{"refused": true})}, []string{"has_refused"}},
		"an item with a key":                {[]fields{plain.with(fields{"key": "k"}), plain}, []string{"has_keys"}},
		"a reversal":                        {[]fields{plain, plain.with(fields{"reverses": entryID(1)})}, []string{"has_reversals"}},
		"an item with a profile":            {[]fields{plain.with(fields{"profile": fields{}}), plain}, []string{"has_profiles"}},
		"an item that a daily cap counts":   {[]fields{plain, plain.with(fields{"day_start": noonText})}, []string{"has_caps"}},
		"an item that no period contains":   {[]fields{plain, plain.with(fields{"run_set": nil})}, []string{"has_runless"}},
		"flags of different items add up":   {[]fields{plain.with(fields{"key": "k"}), plain.with(fields{"refused": true})}, []string{"has_refused", "has_keys"}},
		"all of it in one item":             {[]fields{{"board": "a", "version": 2, "refused": true, "key": "k", "reverses": entryID(1), "profile": fields{}, "day_start": noonText}}, []string{"stale", "has_refused", "has_keys", "has_reversals", "has_profiles", "has_caps", "has_runless"}},
	} {
		want := fields{}
		for _, flag := range []string{"stale", "has_refused", "has_keys", "has_reversals", "has_profiles", "has_caps", "has_runless"} {
			want[flag] = slices.Contains(c.flags, flag)
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, rule, s.get(t, `SELECT to_jsonb(internal.resolve_items(`+of("add_item_v1", 1)+`)) - 'items'`, list(c.items...)), string(text))
	}
	got := s.get(t, `SELECT jsonb_agg(jsonb_build_array(i.item, i.board, i.player, i.kind, i.points, i.tiebreak, (i.sent).player, i.runs))
		FROM unnest((internal.resolve_items(`+of("add_item_v1", 1)+`)).items) i`,
		list(plain.with(fields{"item": 3}), plain.with(fields{"item": 1, "board": "z", "player": "q", "kind": "import", "points": -7})))
	sameJSON(t, "items", got, fmt.Sprintf(`[[3, %d, "p", "result", 5, 2, "p", null], [1, %d, "q", "import", -7, 2, "q", null]]`, a, z))
}

func TestResolveReversals(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	for _, id := range []string{"a", "z"} {
		s.board(t, id, func(b *score.Board) {
			b.Periods, b.Grace = []score.Period{{Name: "all"}, {Name: "month"}}, score.Duration(366*24*time.Hour)
		})
	}
	in := score.Submission{Player: "p", Points: ptr[int64](5), Tiebreak: ptr[int64](2), OccurredAt: &noon}
	kind := func(k score.Kind) score.Submission { in := in; in.Kind, in.Note = &k, ptr("why"); return in }
	result, imported, adjustment := s.add(t, "a", in), s.add(t, "a", kind(score.Import)), s.add(t, "a", kind(score.Adjustment))
	reversed, other := s.add(t, "a", in), s.add(t, "z", in)
	reversal, err := s.reverse(t, "a", reversed.ID)
	if err != nil {
		t.Fatal(err)
	}
	runs := s.get(t, `SELECT runs FROM entries WHERE id = $1`, result.ID)
	cancelled := s.get(t, `SELECT runs FROM entries WHERE id = $1`, reversal.ID)
	const found = `["p", "reversal", -5, -2, %s, %s, %t]`
	at := `"` + noonText + `"`
	for rule, c := range map[string]struct{ reverses, want string }{
		"a result":                             {result.ID, fmt.Sprintf(found, runs, at, false)},
		"an import":                            {imported.ID, fmt.Sprintf(found, runs, at, false)},
		"an adjustment counted towards no cap": {adjustment.ID, fmt.Sprintf(found, runs, "null", false)},
		"an entry that is reversed is final":   {reversed.ID, fmt.Sprintf(found, runs, at, true)},
		"a reversal is final":                  {reversal.ID, fmt.Sprintf(`["p", "reversal", 5, 2, %s, null, true]`, cancelled)},
		"an unknown entry":                     {entryID(9), `[null, null, null, null, null, null, null]`},
		"an entry of another board":            {other.ID, `[null, null, null, null, null, null, null]`},
	} {
		got := s.get(t, `SELECT jsonb_agg(jsonb_build_array(i.player, i.kind, i.points, i.tiebreak, i.original_runs, i.counted_at, i.final) ORDER BY n)
			FROM unnest(internal.resolve_reversals(`+of("internal.item", 1)+`)) WITH ORDINALITY AS i
				(item, sent, board, player, kind, points, tiebreak, original_runs, counted_at, final, runs, seq, recorded_at, status, attributes, user_id, n)`,
			list(fields{"item": 1, "board": s.no(t, "a"), "sent": fields{"reverses": c.reverses}},
				fields{"item": 0, "board": s.no(t, "a"), "player": "q", "kind": "result", "points": 1, "tiebreak": 0, "sent": fields{}}))
		// In the order of their items.
		sameJSON(t, rule, got, `[["q", "result", 1, 0, null, null, null], `+c.want+`]`)
	}
}

func TestRefusedItems(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "a", nil)
	s.board(t, "z", nil)
	a, z := s.no(t, "a"), s.no(t, "z")
	s.exec(t, `INSERT INTO entry_keys VALUES ($1, 'k', $2, $3)`, a, []byte("one"), entryID(1))
	item := func(n, board int, player any, key any, request string, refused bool) fields {
		return fields{"item": n, "board": board, "player": player, "sent": fields{"key": key, "digest": digest(request), "refused": refused}}
	}
	for _, c := range []struct {
		rule  string
		items []fields
		want  string
	}{
		{"a new item is not refused", []fields{item(0, a, "p", "new", "one", false)}, `null`},
		{"a replay is not refused", []fields{item(0, a, "p", "k", "one", false)}, `null`},
		{"a replay is not refused by its board", []fields{item(0, a, "p", "k", "one", true)}, `null`},
		{"a replay needs no original", []fields{item(0, a, nil, "k", "one", false)}, `null`},
		{"a key of another request", []fields{item(0, a, "p", "k", "two", false)}, `{"cause": "key-reused", "items": [0]}`},
		{"a key belongs to one board", []fields{item(0, z, "p", "k", "two", false)}, `null`},
		{"an original that does not exist", []fields{item(0, a, nil, nil, "one", false)}, `{"cause": "no-entry", "items": [0]}`},
		{"an item that its board refuses", []fields{item(0, a, "p", "new", "one", true)}, `{"cause": "refused", "items": [0]}`},
		{"a missing original comes before the board's refusal", []fields{item(0, a, nil, nil, "one", true)}, `{"cause": "no-entry", "items": [0]}`},
		{"the key comes before everything else", []fields{
			item(0, a, "p", nil, "x", true), item(1, a, nil, nil, "x", false), item(2, a, nil, "k", "two", true),
		}, `{"cause": "key-reused", "items": [2]}`},
		{"only items with the first cause, in their order", []fields{
			item(4, a, nil, nil, "x", false), item(0, a, "p", nil, "x", true), item(2, a, nil, nil, "x", true), item(3, a, "p", "new", "x", false),
		}, `{"cause": "no-entry", "items": [2, 4]}`},
	} {
		sameJSON(t, c.rule, s.get(t, `SELECT internal.refused_items(`+of("internal.item", 1)+`)`, list(c.items...)), c.want)
	}
}

const claim = `SELECT jsonb_agg(i.item) FROM unnest(internal.claim_keys(`

func TestClaimKeys(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "a", nil)
	s.board(t, "z", nil)
	a, z := s.no(t, "a"), s.no(t, "z")
	s.exec(t, `INSERT INTO entry_keys VALUES ($1, 'old', $2, $3)`, a, []byte("one"), entryID(1))
	item := func(n, board int, key any, request string) fields {
		return fields{"item": n, "board": board, "sent": fields{"id": entryID(100 + n), "key": key, "digest": digest(request)}}
	}
	query := claim + of("internal.item", 1) + `)) i`
	for _, c := range []struct {
		rule            string
		items           []fields
		new, keys, refs string
	}{
		{"new keys are claimed", []fields{item(0, a, "k", "x"), item(1, a, "l", "x")}, `[0, 1]`, `["k", "l", "old"]`, ""},
		{"a replay is left out", []fields{item(0, a, "old", "one"), item(1, a, "l", "x")}, `[1]`, `["l", "old"]`, ""},
		{"replays only", []fields{item(0, a, "old", "one")}, `null`, `["old"]`, ""},
		{"an item without a key is new", []fields{item(0, a, nil, "x"), item(1, a, "old", "one"), item(2, a, nil, "x")}, `[0, 2]`, `["old"]`, ""},
		{"two boards may have the same key", []fields{item(0, z, "old", "x"), item(1, a, "k", "x"), item(2, z, "k", "y")}, `[0, 1, 2]`, `["k", "k", "old", "old"]`, ""},
		{"another board's key stays its own beside a replay", []fields{item(0, z, "old", "x"), item(1, a, "old", "one")}, `[0]`, `["old", "old"]`, ""},
		{"a key of another request refuses its item", []fields{item(0, a, "k", "x"), item(1, a, "old", "two")}, ``, ``, "key-reused 1"},
		{"the first such item is named", []fields{item(2, a, "old", "two"), item(1, a, "old", "three")}, ``, ``, "key-reused 1"},
	} {
		if got := s.refusal(t, query, list(c.items...)); got != c.refs {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.refs)
		}
		if c.refs != "" {
			continue
		}
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule, in.get(t, query, list(c.items...)), c.new)
			sameJSON(t, c.rule+": keys", in.get(t, `SELECT jsonb_agg(key ORDER BY key) FROM entry_keys`), c.keys)
		})
	}

	// It waits for the session that is writing the key, and does what that did.
	for rule, c := range map[string]struct {
		end  func(*sqlx.Tx) error
		want string
	}{
		"a key that is committed meanwhile is a replay":   {(*sqlx.Tx).Commit, `null`},
		"a key that is given up meanwhile can be claimed": {(*sqlx.Tx).Rollback, `[0]`},
	} {
		key := item(0, a, rule, "x")
		first, err := s.scores.db.Owner().Beginx()
		if err != nil {
			t.Fatal(err)
		}
		theirs := key["sent"].(fields)
		stepper{s.scores, first}.get(t, query, list(key.with(fields{"sent": fields{"id": entryID(1), "key": theirs["key"], "digest": theirs["digest"]}})))
		second, err := s.scores.db.Owner().Beginx()
		if err != nil {
			t.Fatal(err)
		}
		var got string
		done := make(chan error)
		go func() {
			var err error
			got, err = stepper{s.scores, second}.try(t, query, list(key))
			done <- err
		}()
		s.waits(t, done)
		if err := c.end(first); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		sameJSON(t, rule, got, c.want)
		second.Rollback()
	}
}

// waits returns once a session of the database waits for a lock: one of the owner's
// for any, another one's for an advisory lock.
func (s stepper) waits(t *testing.T, done <-chan error) {
	t.Helper()
	s.until(t, done, `
		SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
			+ (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() AND NOT l.granted) > 0`)
}

// blocks returns once a session waits for a transaction.
func (s stepper) blocks(t *testing.T, tx *sqlx.Tx, done <-chan error) {
	t.Helper()
	var backend int
	if err := tx.Get(&backend, `SELECT pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	s.until(t, done, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid)))`, backend)
}

// until returns once a condition holds, while a call is going on.
func (s stepper) until(t *testing.T, done <-chan error, query string, args ...any) {
	t.Helper()
	for {
		var holds bool
		if err := s.scores.db.Owner().Get(&holds, query, args...); err != nil {
			t.Fatal(err)
		}
		if holds {
			return
		}
		select {
		case err := <-done:
			t.Fatalf("the call did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

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
	item := func(board int, player string, user any) fields {
		return fields{"board": board, "player": player, "sent": fields{"new_user": user}}
	}
	lock := `SELECT internal.lock_players(` + of("internal.item", 1) + `)`
	players := `SELECT jsonb_agg(jsonb_build_array((SELECT b.id FROM boards b WHERE b.no = p.board), p.id, p.seq, extract(microseconds FROM p.recorded_at - $1), p.user_id) ORDER BY p.board, p.id) FROM players p WHERE p.recorded_at >= $1`
	for _, c := range []struct {
		rule  string
		items []fields
		want  string // players that were recorded from noon on, with microseconds since
	}{
		{"a new player has counted its item", []fields{item(a, "new", nil)}, `[["a", "ahead", 7, 5, null], ["a", "new", 1, 0, null]]`},
		{"a new player belongs to its user", []fields{item(a, "new", "w"), item(a, "new", "w")}, `[["a", "ahead", 7, 5, null], ["a", "new", 2, 1, "w"]]`},
		{"an old player keeps its user", []fields{item(a, "past", "w")}, `[["a", "ahead", 7, 5, null], ["a", "past", 8, 0, "u"]]`},
		{"several items of one player", []fields{item(a, "past", nil), item(a, "new", nil), item(a, "past", nil), item(a, "past", nil)},
			`[["a", "ahead", 7, 5, null], ["a", "new", 1, 0, null], ["a", "past", 10, 2, "u"]]`},
		{"times go on from the player's last", []fields{item(a, "ahead", nil), item(a, "ahead", nil)}, `[["a", "ahead", 9, 7, null]]`},
		{"boards have players of their own", []fields{item(z, "past", nil), item(a, "past", nil)}, `[["a", "ahead", 7, 5, null], ["a", "past", 8, 0, "u"], ["z", "past", 1, 0, null]]`},
	} {
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule+": the time", in.get(t, lock, list(c.items...)), `"`+noonText+`"`)
			sameJSON(t, c.rule, in.get(t, players, noon), c.want)
		})
	}
	// The rows are locked until the transaction ends.
	s.undone(t, func(in stepper) {
		in.get(t, lock, list(item(a, "past", nil)))
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
	apply := `SELECT jsonb_agg(jsonb_build_array(c.player, c.old -> 'display_name', c.new -> 'display_name', c.new -> 'attributes') ORDER BY c.player) FROM unnest(internal.apply_profiles(` + of("internal.item", 1) + `, $2)) c`
	for _, c := range []struct {
		rule        string
		items       []fields
		changes     string
		players     string // name, attributes and the copy of the category, of p and q
		refusesItem string
	}{
		{"no profiles", []fields{item(0, "p", nil)}, `null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"a profile that changes nothing", []fields{item(0, "p", fields{"display_name": "Kim"})}, `null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"later profiles win", []fields{item(1, "p", fields{"display_name": "Lee"}), item(0, "p", fields{"display_name": "Park"})},
			`[["p", "Kim", "Lee", {"sex": "f"}]]`, `[["Lee", {"sex": "f"}, "f"], [null, {}, null]]`, ""},
		{"a change that is taken back is none", []fields{item(0, "p", fields{"display_name": "Lee"}), item(1, "p", fields{"display_name": "Kim"})},
			`null`, `[["Kim", {"sex": "f"}, null], [null, {}, null]]`, ""},
		{"attributes change one by one", []fields{item(0, "p", attributes(fields{"club": "Han"})), item(1, "p", attributes(fields{"sex": nil}))},
			`[["p", "Kim", "Kim", {"club": "Han"}]]`, `[["Kim", {"club": "Han"}, null], [null, {}, null]]`, ""},
		{"the copies in standings follow", []fields{item(0, "q", attributes(fields{"sex": "m"}))},
			`[["q", null, null, {"sex": "m"}]]`, `[["Kim", {"sex": "f"}, null], [null, {"sex": "m"}, "m"]]`, ""},
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
		if got := s.refusal(t, apply, list(c.items...), noon); got != c.refusesItem {
			t.Errorf("%s: refused %q, want %q", c.rule, got, c.refusesItem)
		}
		if c.players == "" {
			continue
		}
		s.undone(t, func(in stepper) {
			sameJSON(t, c.rule, in.get(t, apply, list(c.items...), noon), c.changes)
			sameJSON(t, c.rule+": players", in.get(t, `SELECT jsonb_agg(jsonb_build_array(p.display_name, p.attributes, (SELECT s.cat1 FROM standings s WHERE s.player = p.id)) ORDER BY p.id) FROM players p`), c.players)
		})
	}
}

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
		{"the best goes back to the one before", score.Best, []int{1}, 2, `[["all", 2, 0, 2, true], ["day", 2, 0, 2, true]]`},
		{"the best stays", score.Best, []int{2}, 2, `[["all", 5, 1, 1, true], ["day", 5, 1, 1, true]]`},
		{"the best of equals is the first", score.Best, []int{1, 2}, 2, `[["all", 0, 0, 0, false], ["day", 0, 0, 0, false]]`},
		{"no best is no standing", score.Best, []int{0, 1, 2, 3}, 1, `[["day", 5, 1, 1, true]]`},
		{"the last goes back to the one before", score.Last, []int{3}, 2, `[["all", 2, 0, 2, true], ["day", 2, 0, 2, true]]`},
		{"the last stays", score.Last, []int{1, 2}, 2, `[["all", 0, 0, 3, false], ["day", 0, 0, 3, false]]`},
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
		return fields{"item": n, "player": "p", "points": points, "tiebreak": tiebreak, "status": "ranked", "attributes": fields{},
			"sent": fields{"occurred_at": noon.Add(time.Duration(second) * time.Second)}}
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
			`[["all", "p", 7, 0, 2, true, "ranked", null, null, -7, 0, 2]]`},
		{"the best is the least", "best-asc", []fields{item(0, 5, 0, 1), item(1, 7, 0, 2), item(2, 6, 0, 3)}, false,
			`[["all", "p", 5, 0, 1, true, "ranked", null, null, 5, 0, null]]`},
		{"the tiebreak decides between equals", "best-desc", []fields{item(0, 5, 1, 1), item(1, 5, 2, 2)}, false,
			`[["all", "p", 5, 2, 2, true, "ranked", null, null, -5, -2, 2]]`},
		{"the best of equals is the first", "best-desc", []fields{item(0, 5, 1, 2), item(1, 5, 1, 1)}, false,
			`[["all", "p", 5, 1, 1, true, "ranked", null, null, -5, -1, 1]]`},
		{"the last is the latest", "last-desc", []fields{item(0, 5, 0, 2), item(1, 7, 0, 1)}, false,
			`[["all", "p", 5, 0, 2, true, "ranked", null, null, -5, 0, 2]]`},
		{"the last of equal instants is the later item", "last-asc", []fields{item(1, 7, 0, 1), item(0, 5, 0, 1)}, false,
			`[["all", "p", 7, 0, 1, true, "ranked", null, null, 7, 0, null]]`},
		{"status and categories are the player's", "sum-desc", []fields{item(0, 5, 0, 1).with(fields{"status": "dnf", "attributes": fields{"club": "Han", "sex": "f", "age": "M40"}})}, false,
			`[["all", "p", 5, 0, 1, true, "dnf", "f", "Han", -5, 0, 1]]`},
		{"players have standings of their own", "sum-desc", []fields{item(0, 5, 0, 1), item(1, 7, 0, 1).with(fields{"player": "q"})}, false,
			`[["all", "p", 5, 0, 1, true, "ranked", null, null, -5, 0, 1], ["all", "q", 7, 0, 1, true, "ranked", null, null, -7, 0, 1]]`},
		{"a reversal is no credit", "sum-desc", []fields{item(0, -5, 0, 1).with(fields{"sent": fields{"reverses": entryID(1), "occurred_at": noon}})}, false, `null`},
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
				items = append(items, fields{"item": i[0], "player": i[1], "points": i[2], "tiebreak": i[3], "runs": i[4]})
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
	s.exec(t, `DELETE FROM outbox`)
	s.exec(t, `INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		VALUES (7, 'p', 70, 0, now(), true, 'ranked', 0, 0, now()), (3, 'p', 30, 0, now(), true, 'ranked', 0, 0, now()), (5, 'q', 50, 0, now(), true, 'ranked', 0, 0, now())`)
	item := func(n int, player, kind string, user any, runs []int, sent fields) fields {
		return fields{"item": n, "board": 1, "player": player, "kind": kind, "points": n, "tiebreak": -n, "runs": runs, "seq": n + 1, "recorded_at": noon.Add(time.Duration(n) * time.Microsecond), "user_id": user,
			"sent": fields{"id": entryID(n), "occurred_at": noon.Add(-time.Hour)}.with(sent)}
	}
	batch := entryID(77)
	s.get(t, `SELECT internal.record_entries(`+of("internal.item", 1)+`, 'user/o', $2, $3)`, list(
		item(2, "p", "adjustment", "u", []int{7, 3, 5}, fields{"note": "why"}),
		item(0, "p", "result", "u", []int{3, 7}, fields{"reason": "full", "metadata": `{"a": 1}`}),
		item(1, "q", "reversal", "u", []int{5}, fields{"reverses": entryID(99), "note": "wrong"}),
		item(3, "q", "import", "u", []int{5}, nil),
		item(4, "q", "adjustment", "o", []int{5}, nil),
		item(5, "q", "reversal", nil, []int{9}, fields{"reverses": entryID(98)}),
	), parent, batch)
	sameJSON(t, "the ledger", s.get(t, `SELECT jsonb_agg(jsonb_build_array(e.player, e.seq, e.kind, e.points, e.tiebreak, e.reason, e.note, e.metadata, right(e.reverses::text, 2), e.runs, e.scores, extract(microseconds FROM e.recorded_at - $1)) ORDER BY e.id)
		FROM entries e WHERE e.actor = 'user/o' AND e.board = 1 AND e.batch = $2 AND e.occurred_at = $1 - interval '1 hour'`, noon, batch), `[
		["p", 1, "result", 0, 0, "full", null, "{\"a\": 1}", null, [3, 7], [30, 70], 0],
		["q", 2, "reversal", 1, -1, null, "wrong", null, "99", [5], [50], 1],
		["p", 3, "adjustment", 2, -2, null, "why", null, null, [7, 3, 5], [70, 30, null], 2],
		["q", 4, "import", 3, -3, null, null, null, null, [5], [50], 3],
		["q", 5, "adjustment", 4, -4, null, null, null, null, [5], [50], 4],
		["q", 6, "reversal", 5, -5, null, null, null, "98", [9], [null], 5]]`)
	sameJSON(t, "the outbox", s.get(t, `SELECT jsonb_agg(jsonb_build_array(o.type, right(o.entry::text, 1), o.notify, extract(microseconds FROM o.recordedtime - $1)) ORDER BY o.id)
		FROM outbox o WHERE o.kind = 'event' AND o.subject IS NULL AND o.actor IS NULL AND o.data IS NULL AND o.traceparent = $2`, noon, parent), `[
		["plaudit.entry.added", "0", null, 0], ["plaudit.entry.reversed", "1", "u", 1], ["plaudit.entry.adjusted", "2", "u", 2],
		["plaudit.entry.imported", "3", null, 3], ["plaudit.entry.adjusted", "4", null, 4], ["plaudit.entry.reversed", "5", null, 5]]`)
}

func TestRecordProfiles(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	s.exec(t, `DELETE FROM outbox`)
	b := s.no(t, "b")
	s.exec(t, `INSERT INTO players (board, id, seq, recorded_at) VALUES ($1, 'p', 1, $2), ($1, 'q', 1, $2), ($1, 'r', 1, $2)`, b, noon)
	player := fields{"display_name": "Kim", "country": nil, "user": nil, "status": "ranked", "note": nil, "attributes": fields{}}
	owned := player.with(fields{"user": "u"})
	s.get(t, `SELECT internal.record_profiles(`+of("internal.player_change", 1)+`, 'user/o', $2)`, list(
		fields{"board": b, "player": "q", "old": owned, "new": owned.with(fields{"display_name": "Lee", "attributes": fields{"sex": "f"}})},
		fields{"board": b, "player": "p", "old": player, "new": player.with(fields{"display_name": "Lee", "country": "KR"})},
	), parent)
	sameJSON(t, "the outbox", s.get(t, `SELECT jsonb_agg(jsonb_build_array(o.subject, o.notify, o.data::jsonb, extract(microseconds FROM o.recordedtime - $1)) ORDER BY o.id)
		FROM outbox o WHERE o.kind = 'event' AND o.type = 'plaudit.player.changed' AND o.actor = 'user/o' AND o.entry IS NULL AND o.traceparent = $2`, noon, parent), `[
		["board/b/player/p", null, {"changes": {"display_name": {"from": "Kim", "to": "Lee"}, "country": {"from": null, "to": "KR"}}}, 1],
		["board/b/player/q", null, {"changes": {"display_name": {}, "attributes": {"from": {}, "to": {"sex": "f"}}}}, 1]]`)
	sameJSON(t, "the players' times", s.get(t, `SELECT jsonb_object_agg(id, extract(microseconds FROM recorded_at - $1)) FROM players`, noon), `{"p": 1, "q": 1, "r": 0}`)
}

// A credit, as points, tiebreak and the second in which it was reached.
func credits(list ...[3]int) string {
	out := []fields{}
	for _, c := range list {
		out = append(out, fields{"score": c[0], "tiebreak": c[1], "reached_at": noon.Add(time.Duration(c[2]) * time.Second), "nonzero": c[0] != 0 || c[1] != 0})
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestFoldIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	all := `SELECT jsonb_build_array(f.score, f.tiebreak, extract(epoch FROM f.reached_at - $2)::integer, f.nonzero)
		FROM internal.fold_all(CASE WHEN $3 THEN jsonb_populate_record(NULL::internal.credit, $1::jsonb -> 0) END,
			(` + of("internal.credit", 1) + `)[CASE WHEN $3 THEN 2 ELSE 1 END:], $4, $5) f`
	for _, c := range []struct {
		rule    string
		combine string
		sign    int
		credits [][3]int
		want    string
	}{
		{"a sum is reached at the latest credit that changed it", "sum", -1, [][3]int{{5, 0, 1}, {0, 0, 9}, {-5, 2, 3}, {0, 0, 0}}, `[0, 2, 3, true]`},
		{"a sum of zeros is reached at the earliest", "sum", -1, [][3]int{{0, 0, 5}, {0, 0, 3}, {0, 0, 9}}, `[0, 0, 3, false]`},
		{"a tiebreak alone changes a sum", "sum", 1, [][3]int{{0, 0, 1}, {0, 1, 5}, {0, 0, 9}}, `[0, 1, 5, true]`},
		{"the most is the best", "best", -1, [][3]int{{5, 0, 1}, {7, 1, 3}, {7, 0, 2}, {6, 9, 4}}, `[7, 1, 3, true]`},
		{"the least is the best", "best", 1, [][3]int{{5, 1, 1}, {7, 1, 3}, {5, 0, 4}, {6, 9, 2}}, `[5, 0, 4, true]`},
		{"the first of equals is the best", "best", -1, [][3]int{{7, 1, 3}, {7, 1, 2}, {7, 1, 4}}, `[7, 1, 2, true]`},
		{"zero is a best", "best", -1, [][3]int{{-1, 0, 1}, {0, 0, 2}, {-3, 0, 3}}, `[0, 0, 2, false]`},
		{"the latest is the last", "last", 1, [][3]int{{5, 1, 1}, {7, 2, 3}, {9, 3, 2}}, `[7, 2, 3, true]`},
		{"one credit alone", "last", 1, [][3]int{{0, 0, 1}}, `[0, 0, 1, false]`},
	} {
		for _, order := range permutations(c.credits) {
			for _, standing := range []bool{false, true} { // whether the first is the standing so far
				if standing && len(order) == 1 {
					continue
				}
				sameJSON(t, fmt.Sprint(c.rule, " ", order, " ", standing), s.get(t, all, credits(order...), noon, standing, c.combine, c.sign), c.want)
			}
		}
	}
	// Of equal instants the credit that comes later is the last.
	for _, order := range [][][3]int{{{5, 0, 1}, {7, 0, 1}}, {{9, 0, 0}, {5, 0, 1}, {7, 0, 1}}} {
		sameJSON(t, "equal instants", s.get(t, all, credits(order...), noon, false, "last", -1), `[7, 0, 1, true]`)
	}
	if got := s.get(t, `SELECT internal.fold(NULL, jsonb_populate_record(NULL::internal.credit, $1::jsonb -> 0), 'sum', 1) IS NULL`, credits([3]int{1, 0, 0})); got != "true" {
		t.Error("a credit is combined with no standing")
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
