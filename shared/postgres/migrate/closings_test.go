package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// closings is the migration after which runs carry when they close.
const closings = "migrations/00010_closings.sql"

// beforeClosings returns the scores database's files before that migration, and all.
func beforeClosings(t *testing.T) (before, all folder) {
	t.Helper()
	_, all = upgrade(t)
	before = all.with(folder{"functions/internal/date_run.sql": "", "functions/internal/note_opening.sql": ""})
	for path := range all {
		if strings.HasPrefix(path, "migrations/") && path >= closings {
			before = before.with(folder{path: ""})
		}
	}
	return before, all
}

// addTo adds an entry to a board's run of the day that begins so many days from now.
const addTo = `SELECT add_entries_v3(ARRAY[$1], ARRAY[
		(0, gen_random_uuid(), $1, (SELECT version FROM boards WHERE id = $1), 'p', NULL, NULL, false, false, 'result', 1, 0, NULL, NULL, now(), NULL, NULL, NULL, NULL, NULL, NULL, 1)]::add_item_v1[],
	ARRAY[(1, $1, 'all', NULL, NULL), (1, $1, 'day', date_trunc('day', now()) + $2 * interval '1 day', date_trunc('day', now()) + ($2 + 1) * interval '1 day')]::add_run_v1[],
	'user/o', 'o', '` + parent + `', NULL, '{}')`

// createDays creates a board with days, in a state.
const createDays = `SELECT create_board_v2(jsonb_build_object('id', $1::text, 'title', '', 'combine', 'sum', 'order', 'desc', 'ties', 'first',
	'periods', '["all", "day"]'::jsonb, 'categories', '{}'::text[], 'time_zone', 'UTC', 'catalogue', NULL, 'min', 0, 'decimals', 0, 'unit', 'points', 'grace', '24h',
	'players', 'any', 'public', true, 'owners', '{o}'::text[], 'writers', '{}'::text[], 'viewers', '{}'::text[], 'state', $2::text, 'version', 1), 'o', NULL, NULL, 'user/o', '` + parent + `')`

// Runs that are there get their date. Those that have closed count as announced, and what
// closes later is announced, whatever functions of the previous release do until the new
// ones are there.
func TestEarlierRunsAreDated(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := beforeClosings(t)
	before.must(t, db)
	create := func(id, state string) { db.MustExec(createDays, id, state) }
	add := func(board string, day int) { db.MustExec(addTo, board, day) }
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
	before.with(folder{closings: all[closings]}).must(t, db)
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

// The previous release makes runs and opens drafts while the migration is under way: each
// run is dated afterwards.
func TestRunsThatAreMadeMeanwhileAreDated(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	db := d.Owner()
	before, all := beforeClosings(t)
	before.must(t, db)
	db.MustExec(createDays, "b", "open")
	const drafts = 50
	for i := range drafts {
		id := fmt.Sprint("draft-", i)
		db.MustExec(createDays, id, "draft")
		db.MustExec(addTo, id, -9)
	}
	var writers sync.WaitGroup
	stop, made := make(chan struct{}), make(chan struct{}, 1)
	write := func(statement string, args func(n int) []any, most int) {
		db := d.Open("db_migrate")
		writers.Go(func() {
			for n := 0; n < most; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := db.Exec(statement, args(n)...); err != nil {
					t.Error(err)
					return
				}
				select {
				case made <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range 2 {
		write(addTo, func(n int) []any { return []any{"b", 2*n + i} }, 1_000_000)
	}
	write(`SELECT change_board_v1(internal.board_json(b) || '{"state": "open"}', '{}', false, 'user/o', $2) FROM boards b WHERE id = $1`,
		func(n int) []any { return []any{fmt.Sprint("draft-", n), parent} }, drafts)
	<-made
	all.must(t, db)
	close(stop)
	writers.Wait()
	for more := true; more; {
		if err := db.Get(&more, `SELECT date_runs_v1(1000)`); err != nil {
			t.Fatal(err)
		}
	}
	var runs, wrong int
	if err := db.Get(&runs, `SELECT count(*) FROM runs WHERE period = 'day'`); err != nil || runs <= drafts {
		t.Errorf("%d runs, %v", runs, err)
	}
	if err := db.Get(&wrong, `SELECT count(*) FROM boards b CROSS JOIN LATERAL internal.misdated_runs(b) r`); err != nil || wrong > 0 {
		t.Errorf("%d of %d runs do not carry when they close, %v", wrong, runs, err)
	}
}
