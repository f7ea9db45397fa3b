package migrate_test

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
)

// eventLog are the migrations that prepare the outboxes for the relay, by database.
var eventLog = map[string]string{"scores": "migrations/00008_event_log.sql", "users": "migrations/00004_event_log.sql"}

// released has the functions that were changed then, as they were before.
var released = map[string]string{"scores": "testdata/scores-00007", "users": "testdata/users-00003"}

// previous returns a database's files before such a migration: without it and without the
// functions that came with it.
func previous(t *testing.T, database string, all folder, migrations map[string]string) folder {
	t.Helper()
	before := folder{}
	for path, text := range all {
		switch {
		case strings.HasPrefix(path, "migrations/"):
			if path < migrations[database] {
				before[path] = text
			}
		case !newFunction(path):
			before[path] = text
		}
	}
	return before.with(functionsIn(t, released[database]))
}

// functionsIn returns the functions in a folder of testdata.
func functionsIn(t *testing.T, dir string) folder {
	t.Helper()
	found := folder{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		found["functions/"+path] = string(text)
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d functions of the previous release: %v", len(found), err)
	}
	return found
}

// newFunction reports whether a function came with the event log.
func newFunction(path string) bool {
	name := strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".sql")
	for _, n := range strings.Fields(`board_extensions player_extensions number_event report_board report_player wake entry_data outbox_rows
		profile_lock profile_of follow_account take_profile extend_lease_v1 outbox_take_v1 outbox_take_v2 outbox_done_v1 outbox_depth_v1 outbox_purge_v1
		outbox_kept_v1 outbox_kept_v2 outbox_restore_v1 outbox_retry_v1 entries_without_rows_v1 sync_profile_v1 erase_user_players_v1 end_link_v2`) {
		if n == name {
			return true
		}
	}
	return false
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// addOne calls add_entries_v3 with one entry, the way the previous release does.
const addOne = `SELECT add_entries_v3(ARRAY[$1], ARRAY[
		(0, gen_random_uuid(), $1, (SELECT version FROM boards WHERE id = $1), $2, NULL, NULL, false, false, 'result', 1, 0, NULL, NULL, $3::timestamptz, NULL, NULL, NULL, NULL, NULL, NULL, 1)]::add_item_v1[],
		ARRAY[(1, $1, 'all', NULL, NULL)]::add_run_v1[], 'user/o', 'o', '` + parent + `', $4::uuid, '{}')`

// account is a user's id, and that of a player on a board of registered players.
const account = "018f0000-0000-7000-8000-000000000001"

// eventsOf returns the events of the outbox, in the order of their ids.
func eventsOf(t *testing.T, db *sqlx.DB) (rows []string) {
	t.Helper()
	err := db.Select(&rows, `
		SELECT replace(concat_ws(' ', substr(o.type, 9), coalesce(o.subject, (SELECT 'board/' || b.id || '/player/' || e.player FROM entries e JOIN boards b ON b.no = e.board WHERE e.id = o.entry)),
			o.subjectseq, o.extensions, 'of ' || o.batch_size), '`+account+`', 'A')
		FROM outbox o ORDER BY o.id`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The events that are there are numbered in their order, and name owners and users as
// later ones do.
func TestEarlierEventsAreNumbered(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	_, all := upgrade(t)
	previous(t, "scores", all, eventLog).must(t, db)
	create := func(id, more string) {
		db.MustExec(`SELECT create_board_v2($1::jsonb || $2::jsonb, 'o', NULL, NULL, 'user/o', $3)`, `{"id": "`+id+`", "title": "", "combine": "sum", "order": "desc", "ties": "first",
			"periods": ["all"], "categories": [], "time_zone": "UTC", "catalogue": null, "min": 0, "decimals": 0, "unit": "points", "grace": "24h", "players": "any",
			"public": true, "owners": ["o"], "writers": [], "viewers": [], "state": "open", "version": 1}`, more, parent)
	}
	patch := func(id, set, changes string) {
		db.MustExec(`SELECT change_board_v1(internal.board_json(b) || $2::jsonb, $3, false, 'user/o', $4) FROM boards b WHERE id = $1`, id, set, changes, parent)
	}
	player := func(board, id, patch string) {
		db.MustExec(`SELECT change_player_v2($1, (SELECT version FROM boards WHERE id = $1), $2, $3, 'user/o', 'o', $4)`, board, id, patch, parent)
	}
	add := func(board, player string, batch any) { db.MustExec(addOne, board, player, "2026-04-05 12:00Z", batch) }
	create("b", `{"state": "draft"}`)
	patch("b", `{"state": "open"}`, `{"state": {"from": "draft", "to": "open"}}`)
	patch("b", `{"title": "T"}`, `{"title": {"from": "", "to": "T"}}`)
	add("b", "p", "00000000-0000-7000-8000-00000000000b")
	player("b", "p", `{"display_name": "Kim", "user": "u"}`)
	patch("b", `{"owners": ["o", "p"], "public": false}`, `{"public": {"from": true, "to": false}, "owners": {"from": ["o"], "to": ["o", "p"]}}`)
	db.MustExec(`SELECT accept_link_v1('b', 'p', 'u', 'user/u', $1)`, parent)
	add("b", "p", nil)
	player("b", "p", `{"status": "dnf"}`)
	db.MustExec(`SELECT end_link_v1('b', 'p', 'u', 'user/u', $1)`, parent)
	add("b", "p", nil)
	create("r", `{"players": "registered"}`)
	add("r", account, nil)
	player("r", account, `{"attributes": {"club": "Han"}}`)
	player("b", account, `{"attributes": {"club": "Han"}}`)
	db.MustExec(`UPDATE outbox SET sent_at = now() WHERE id < 4`)

	want := []string{
		`board.created board/b 1 {"draft": true, "owners": "o", "public": false}`,
		`board.updated board/b 2 {"owners": "o", "public": true}`,
		`board.updated board/b 3 {"owners": "o", "public": true}`,
		`entry.added board/b/player/p of 1`,
		`player.changed board/b/player/p 1`,
		`player.link-proposed board/b/player/p 2`,
		`board.updated board/b 4 {"owners": "o,p", "public": false}`,
		`player.link-accepted board/b/player/p 3 {"user": "u"}`,
		`entry.added board/b/player/p {"user": "u"}`,
		`player.changed board/b/player/p 4 {"user": "u"}`,
		`player.link-ended board/b/player/p 5`,
		`entry.added board/b/player/p`,
		`board.created board/r 1 {"owners": "o", "public": true}`,
		`entry.added board/r/player/A {"user": "A"}`,
		`player.changed board/r/player/A 1 {"user": "A"}`,
		`player.changed board/b/player/A 1`,
	}
	for _, name := range []string{"first", "again"} {
		all.must(t, db)
		if got := eventsOf(t, db); !slices.Equal(got, want) {
			t.Errorf("%s, the events are\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// As if it had ended before its last statement, and the later ones had not begun.
		db.MustExec(`
			DELETE FROM goose_db_version WHERE version_id >= 8;
			DELETE FROM applied_files WHERE path LIKE 'migrations/%' AND path >= '` + eventLog["scores"] + `';
			ALTER TABLE outbox DROP COLUMN tag;
			ALTER TABLE outbox_failed DROP COLUMN tag;
			DROP SEQUENCE outbox_untagged;
			DROP TYPE outbox_row_v2 CASCADE`)
	}
	all.must(t, db)

	// The counters go on.
	patch("b", `{"title": "U"}`, `{"title": {"from": "T", "to": "U"}}`)
	player("b", "p", `{"status": "ranked"}`)
	player("r", account, `{"status": "dnf"}`)
	want = append(want, `board.updated board/b 5 {"owners": "o,p", "public": false}`, `player.changed board/b/player/p 6`, `player.changed board/r/player/A 2 {"user": "A"}`)
	if got := eventsOf(t, db); !slices.Equal(got, want) {
		t.Errorf("with later ones, the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wrongNumbers lists subjects whose events are not numbered 1, 2, 3 … in their order, or
// whose counter is another.
const wrongNumbers = `
	SELECT e.subject || ' ' || string_agg(coalesce(e.subjectseq::text, '-'), ',' ORDER BY e.recordedtime)
	FROM (SELECT o.*, row_number() OVER (PARTITION BY subject ORDER BY recordedtime) AS n FROM outbox o WHERE kind = 'event' AND entry IS NULL) e
	GROUP BY e.subject
	HAVING bool_or(e.subjectseq IS DISTINCT FROM e.n)`

// Sessions of the previous release write while the migration runs, until after the new
// functions are there.
func TestEventsWrittenMeanwhileAreNumbered(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	db := d.Owner()
	_, all := upgrade(t)
	previous(t, "scores", all, eventLog).must(t, db)
	db.MustExec(makePlayers)
	session := func() *sqlx.DB {
		t.Helper()
		db, err := postgres.OpenWithin(d.Config("db_migrate"), postgres.Limits{Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		db := session()
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				player := fmt.Sprint("p", n%7)
				_, err := db.ExecContext(t.Context(), change, player, fmt.Sprintf(`{"note": "%d-%d"}`, w, n))
				if err == nil {
					_, err = db.ExecContext(t.Context(), addOne, "b", player, "2026-04-05 12:00Z", nil)
				}
				if err == nil && w == 0 {
					_, err = db.ExecContext(t.Context(), `SELECT change_board_v1(internal.board_json(b) || jsonb_build_object('title', $1::text), '{"title": {}}', false, 'user/o', $2) FROM boards b WHERE id = 'b'`, fmt.Sprint(n), parent)
				}
				// The version of the board may have changed between its look and the lock.
				if err != nil && !strings.Contains(err.Error(), "does not exist") {
					t.Error(err)
					return
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	all.must(t, session())
	time.Sleep(200 * time.Millisecond)
	close(stop)
	writers.Wait()
	var wrong []string
	if err := db.Select(&wrong, wrongNumbers); err != nil || len(wrong) > 0 {
		t.Errorf("%d subjects, %v:\n%s", len(wrong), err, strings.Join(wrong, "\n"))
	}
	var counters bool
	err := db.Get(&counters, `
		SELECT (SELECT b.events = (SELECT count(*) FROM outbox o WHERE o.subject = 'board/b') FROM boards b)
			AND bool_and(p.events = (SELECT count(*) FROM outbox o WHERE o.subject = 'board/b/player/' || p.id)) FROM players p`)
	if err != nil || !counters {
		t.Errorf("the counters are right: %t, %v", counters, err)
	}
}

// Between the migration and the new functions, those of the previous release write every
// kind of event.
func TestPreviousFunctionsWriteAfterTheMigration(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	_, all := upgrade(t)
	path := eventLog["scores"]
	previous(t, "scores", all, eventLog).with(folder{path: all[path]}).must(t, db)
	db.MustExec(makePlayers)
	player := func(patch string) {
		db.MustExec(`SELECT change_player_v2('b', (SELECT version FROM boards WHERE id = 'b'), 'p', $1, 'user/o', 'o', $2)`, patch, parent)
	}
	player(`{"display_name": "Kim", "user": "u"}`)
	db.MustExec(`SELECT accept_link_v1('b', 'p', 'u', 'user/u', $1)`, parent)
	player(`{"user": "v"}`)
	db.MustExec(`SELECT end_link_v1('b', 'p', 'v', 'user/v', $1)`, parent)
	db.MustExec(addOne, "b", "p", "2026-04-05 12:00Z", nil)
	db.MustExec(`SELECT change_board_v1(internal.board_json(b) || '{"title": "T"}', '{"title": {}}', false, 'user/o', $1) FROM boards b WHERE id = 'b'`, parent)
	db.MustExec(`SELECT erase_player_v1('b', (SELECT version FROM boards WHERE id = 'b'), 'p', NULL, 10, 'user/o', 'o', $1)`, parent)
	var wrong []string
	if err := db.Select(&wrong, wrongNumbers); err != nil || len(wrong) > 0 {
		t.Errorf("%d subjects, %v:\n%s", len(wrong), err, strings.Join(wrong, "\n"))
	}
	var n int
	if err := db.Get(&n, `SELECT count(*) FROM outbox WHERE subject = 'board/b/player/p'`); err != nil || n != 7 {
		t.Errorf("%d events of the player, %v:\n%s", n, err, strings.Join(eventsOf(t, db), "\n"))
	}
}

// The users service of the previous release writes events without numbers, before, while
// and after the migration runs.
func TestEventsOfAccountsAreNumbered(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	db := d.Owner()
	all := folder{}
	for path, text := range texts(t, "users") {
		all[path] = text
	}
	pgtest.Users(t) // makes the roles
	previous(t, "users", all, eventLog).must(t, db)
	const accounts = 5
	id := func(n int) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012d", n) }
	for n := range accounts {
		db.MustExec(`INSERT INTO users (id, email, email_key, password_hash, display_name, role, locale, time_zone, created_at, changed_at)
			VALUES ($1::uuid, $1, $1, '$argon2id$', 'x', 'member', 'en', 'UTC', now(), now())`, id(n))
	}
	// As shared/postgres/users does it.
	report := func(db *sqlx.DB, n int) error {
		_, err := db.ExecContext(t.Context(), `
			WITH account AS (
				UPDATE users SET changed_at = greatest(plaudit_now(), changed_at + interval '1 microsecond')
				WHERE id = $1
				RETURNING id, changed_at
			)
			INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent)
			SELECT 'event', 'plaudit.user.updated', 'user/' || id, 'user/' || id, '{}', changed_at, $2 FROM account`, id(n), parent)
		return err
	}
	erase := func(n int) { db.MustExec(`SELECT erase_user_v1($1, 'user/a', $2)`, id(n), parent) }
	for n := range accounts {
		for range 1 + n {
			if err := report(db, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	erase(0)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		session := d.Open("db_migrate")
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := report(session, 2+w%2); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.must(t, db)
	close(stop)
	writers.Wait()
	erase(1)
	erase(4)
	var wrong []string
	if err := db.Select(&wrong, wrongNumbers); err != nil || len(wrong) > 0 {
		t.Errorf("%d subjects, %v:\n%s", len(wrong), err, strings.Join(wrong, "\n"))
	}
	var counters bool
	if err := db.Get(&counters, `SELECT bool_and(u.events = (SELECT count(*) FROM outbox o WHERE o.subject = 'user/' || u.id AND o.kind = 'event')) FROM users u`); err != nil || !counters {
		t.Errorf("the counters are right: %t, %v", counters, err)
	}
}

// An erasure of the previous release is at work while the functions are replaced: its
// event has a number all the same.
func TestAnErasureThatIsUnderWayIsNumbered(t *testing.T) {
	t.Parallel()
	pgtest.Users(t) // makes the roles
	d := pgtest.Empty(t)
	db := d.Owner()
	all := folder{}
	for path, text := range texts(t, "users") {
		all[path] = text
	}
	before := previous(t, "users", all, eventLog)
	for path, text := range all {
		if strings.HasPrefix(path, "migrations/") {
			before = before.with(folder{path: text})
		}
	}
	before.must(t, db)
	db.MustExec(`INSERT INTO users (id, email, email_key, password_hash, display_name, role, locale, time_zone, created_at, changed_at)
		VALUES ($1::uuid, $1, $1, '$argon2id$', 'x', 'member', 'en', 'UTC', now(), now())`, account)
	db.MustExec(`INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent) VALUES ('event', 'plaudit.user.created', 'user/' || $1, 'a', '{}', now(), $2)`, account, parent)

	// It stops after it has deleted the account.
	patient, err := postgres.OpenWithin(d.Config("db_migrate"), postgres.Limits{Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	held := patient.MustBegin()
	defer held.Rollback() // does nothing after a commit
	held.MustExec(`LOCK TABLE erased_users`)
	done := make(chan error, 1)
	go func() {
		_, err := patient.ExecContext(t.Context(), `SELECT erase_user_v1($1, 'user/a', $2)`, account, parent)
		done <- err
	}()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		if err := db.Get(&waits, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'erased_users'::regclass)`); err != nil {
			t.Fatal(err)
		}
	}
	all.must(t, patient)
	if err := held.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var wrong []string
	if err := db.Select(&wrong, wrongNumbers); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
	if got, want := eventsOfAccount(t, db), []string{"created 1", "erased 2"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

func eventsOfAccount(t *testing.T, db *sqlx.DB) (rows []string) {
	t.Helper()
	if err := db.Select(&rows, `SELECT concat_ws(' ', substr(type, 14), subjectseq) FROM outbox WHERE kind = 'event' ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	return rows
}

// The functions of the outbox are the same in both databases, except for who may call
// them.
func TestOutboxFunctionsAreAlike(t *testing.T) {
	t.Parallel()
	scores, users := texts(t, "scores"), texts(t, "users")
	compared := 0
	for path, text := range users {
		if !strings.HasPrefix(path, "functions/outbox_") {
			continue
		}
		compared++
		if want := strings.ReplaceAll(scores[path], "outbox_relay;", "users_service;"); text != want {
			t.Errorf("%s differs between the databases", path)
		}
	}
	if compared != 9 {
		t.Errorf("%d functions were compared", compared)
	}
}

// What is set aside is a whole row of the outbox.
func TestFailedRowsAreWhole(t *testing.T) {
	t.Parallel()
	for kind, d := range databases(t) {
		var missing []string
		err := d.Owner().Select(&missing, `
			SELECT attname FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'sent_at'
			EXCEPT SELECT attname FROM pg_attribute WHERE attrelid = 'outbox_failed'::regclass AND attnum > 0`)
		if err != nil || len(missing) > 0 {
			t.Errorf("%s: outbox_failed lacks %q (%v)", kind, missing, err)
		}
	}
}
