package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// closings is the migration after which runs carry when they close.
const closings = "migrations/00010_closings.sql"

// Runs that are there get their date. Those that have closed count as announced, and what
// closes later is announced, whatever functions of the previous release do until the new
// ones are there.
func TestEarlierRunsAreDated(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	_, all := upgrade(t)
	before := all.with(folder{})
	for path := range all {
		if strings.HasPrefix(path, "migrations/") && path >= closings {
			before = before.with(folder{path: ""})
		}
	}
	before.with(folder{"functions/internal/date_run.sql": "", "functions/internal/note_opening.sql": ""}).must(t, db)
	create := func(id, state string) {
		db.MustExec(`SELECT create_board_v2($1, 'o', NULL, NULL, 'user/o', $2)`, `{"id": "`+id+`", "title": "", "combine": "sum", "order": "desc", "ties": "first",
			"periods": ["all", "day"], "categories": [], "time_zone": "UTC", "catalogue": null, "min": 0, "decimals": 0, "unit": "points", "grace": "24h", "players": "any",
			"public": true, "owners": ["o"], "writers": [], "viewers": [], "state": "`+state+`", "version": 1}`, parent)
	}
	// The day that begins so many days from now.
	add := func(board string, day int) {
		db.MustExec(`SELECT add_entries_v3(ARRAY[$1], ARRAY[
				(0, gen_random_uuid(), $1, (SELECT version FROM boards WHERE id = $1), 'p', NULL, NULL, false, false, 'result', 1, 0, NULL, NULL, now(), NULL, NULL, NULL, NULL, NULL, NULL, 1)]::add_item_v1[],
			ARRAY[(1, $1, 'all', NULL, NULL), (1, $1, 'day', date_trunc('day', now()) + $2 * interval '1 day', date_trunc('day', now()) + ($2 + 1) * interval '1 day')]::add_run_v1[],
			'user/o', 'o', '`+parent+`', NULL, '{}')`, board, day)
	}
	open := func(id string) {
		db.MustExec(`SELECT change_board_v1(internal.board_json(b) || '{"state": "open"}', '{}', false, 'user/o', $2) FROM boards b WHERE id = $1`, id, parent)
	}
	runs := func(what string, want ...string) {
		t.Helper()
		var got []string
		err := db.Select(&got, `
			SELECT concat_ws(' ', b.id, r.period, (r.end_at - date_trunc('day', now()))::text,
				CASE WHEN r.closes_at = internal.run_closes_at(b, r.end_at) THEN 'right' ELSE coalesce(r.closes_at::text, 'none') END,
				CASE WHEN r.announced_at = r.closes_at THEN 'past' WHEN r.announced_at IS NOT NULL THEN 'announced' END)
			FROM runs r JOIN boards b ON b.no = r.board WHERE r.period = 'day' ORDER BY b.id, r.end_at`)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: the runs are\n%s\n%v, want\n%s", what, strings.Join(got, "\n"), err, strings.Join(want, "\n"))
		}
	}
	create("draft", "draft")
	create("opened", "draft")
	create("open", "open")
	add("open", 0)
	add("open", 1)
	add("draft", -3)
	add("opened", -3)
	open("opened")
	// As if it had been closed for days.
	db.MustExec(`UPDATE runs SET start_at = start_at - interval '9 days', end_at = end_at - interval '9 days' WHERE board = (SELECT no FROM boards WHERE id = 'open') AND end_at = (SELECT min(end_at) FROM runs WHERE period = 'day' AND board = (SELECT no FROM boards WHERE id = 'open'))`)

	// Between the migrations and the functions.
	migrations := before.with(folder{closings: all[closings], "functions/internal/date_run.sql": "", "functions/internal/note_opening.sql": ""})
	migrations.must(t, db)
	runs("after the migration", "draft day -2 days right", "open day -8 days right past", "open day 2 days right", "opened day -2 days right past")
	add("open", 2)
	add("draft", -4)
	open("draft")
	create("new", "draft")
	add("new", -1)

	all.must(t, db)
	late := []string{"draft day -3 days infinity", "draft day -2 days infinity", "new day 00:00:00 right",
		"open day -8 days right past", "open day 2 days right", "open day 3 days right", "opened day -2 days right past"}
	runs("with the functions", late...)
	for more := true; more; {
		if err := db.Get(&more, `SELECT date_runs_v1(1)`); err != nil {
			t.Fatal(err)
		}
	}
	runs("after they were dated", "draft day -3 days right", "draft day -2 days right", "new day 00:00:00 right",
		"open day -8 days right past", "open day 2 days right", "open day 3 days right", "opened day -2 days right past")
	var due []string
	if err := db.Select(&due, `SELECT b.id || ' ' || (r.end_at - date_trunc('day', now()))::text FROM due_runs_v1('-infinity', 0, 100) d JOIN runs r ON r.no = d.run JOIN boards b ON b.no = r.board ORDER BY 1`); err != nil ||
		!slices.Equal(due, []string{"draft -2 days", "draft -3 days"}) {
		t.Errorf("due are %q, %v", due, err)
	}
}
