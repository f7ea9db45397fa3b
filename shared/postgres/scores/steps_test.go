package scores_test

import (
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

// The steps of add_entries_v3, each alone and as the owner of the schema. Their
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
		err := sqlx.GetContext(t.Context(), s.db, &text, `SELECT add_entries_v3('{b}', `+of("add_item_v1", 1)+`, `+of("add_run_v1", 2)+`, 'user/o', 'o', $3, $4, '{}')::text`, list(i), runs, parent, batch)
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
		if want := strings.Replace(alone, `"replayed" : false, "wake" : true`, `"replayed" : true, "wake" : true`, 1); again != want || again == alone {
			t.Errorf("the answer was\n%s\nand is now\n%s", alone, again)
		}
	}
}

// Functions of the previous release go on while a deployment replaces them. The links
// that they set are proposals; an API key's are left out, because its owner is not known.
func TestPreviousReleaseAddsAndChanges(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	n := 0
	add := func(actor, player string, profile fields) {
		t.Helper()
		n++
		item := fields{"item": 0, "id": entryID(n), "board": "b", "version": 1, "player": player, "refused": false, "late": false, "kind": "adjustment", "note": "why",
			"points": 5, "tiebreak": 0, "occurred_at": noon, "run_set": 1, "new_user": "somebody"}
		if profile != nil {
			item["profile"] = profile
		}
		var text string
		err := s.scores.db.Open("score_add").Get(&text, `SELECT add_entries_v2('{b}', `+of("add_item_v1", 1)+`, `+of("add_run_v1", 2)+`, $3, $4, NULL, '{0}')::text`,
			list(item), list(fields{"run_set": 1, "board": "b", "period": "all"}), actor, parent)
		if err != nil || !strings.Contains(text, `"replayed" : false`) {
			t.Errorf("got %s (%v)", text, err)
		}
	}
	change := func(actor, player, patch, user string) {
		t.Helper()
		var text string
		err := s.scores.db.Open("board_admin").Get(&text, `SELECT change_player_v1('b', 1, $1, 'somebody', $2, $3, $4)::text`, player, patch, actor, parent)
		if err != nil || !strings.Contains(text, `"user": `+user) {
			t.Errorf("got %s (%v)", text, err)
		}
	}
	add("user/o", "p", fields{"display_name": "Kim", "user": "u"})
	add("key/k", "q", fields{"display_name": "Lee", "user": "u"})
	change("user/o", "r", `{"display_name": "Ana", "user": "u"}`, `null`)
	change("key/k", "s", `{"display_name": "Jin", "user": "u"}`, `null`)
	sameJSON(t, "the players", s.get(t, `SELECT jsonb_agg(jsonb_build_array(id, display_name, user_id, proposed_user, proposed_by, link_state) ORDER BY id) FROM players`),
		`[["p", "Kim", null, "u", "o", "proposed"], ["q", "Lee", null, null, null, null], ["r", "Ana", null, "u", "o", "proposed"], ["s", "Jin", null, null, null, null]]`)
	s.accepted()
	s.exec(t, `DELETE FROM outbox`)
	add("user/u", "p", nil)
	add("key/k", "p", nil)
	change("key/k", "p", `{"status": "dnf"}`, `"u"`)
	sameJSON(t, "who is notified", s.get(t, `SELECT jsonb_agg(notify ORDER BY id) FROM outbox`), `[null, "u", "u"]`)
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
