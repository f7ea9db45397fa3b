package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
)

const (
	erasure     = "migrations/00005_erasure.sql"
	changesPath = "functions/internal/player_changes.sql"
)

// valued is player_changes as it was when events had values.
const valued = `-- Returns the fields in which two states of a player differ.
CREATE OR REPLACE FUNCTION internal.player_changes(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('display_name', 'country') AND coalesce(p_old ->> 'user', p_new ->> 'user') IS NOT NULL THEN '{}'
            ELSE jsonb_build_object('from', p_old -> n.key, 'to', n.value) END), '{}')
    FROM jsonb_each(p_new) n
    WHERE n.value IS DISTINCT FROM p_old -> n.key
$$;
`

// beforeErasure returns the scores database's files before that migration, and all of
// them.
func beforeErasure(t *testing.T) (before, all folder) {
	_, all = upgrade(t)
	before = previous(t, "scores", all, eventLog).with(folder{changesPath: valued})
	for path := range all {
		if strings.HasPrefix(path, "migrations/") && path >= erasure {
			before = before.with(folder{path: ""})
		}
	}
	return before, all
}

const makePlayers = `
	INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
		owners, writers, viewers, state, version, created_at, changed_at, opened_at)
	VALUES ('b', '', 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', true, '{o}', '{}', '{}', 'open', 1, now(), now(), now())`

// change is the call of the previous release.
const change = `SELECT change_player_v1('b', 1, $1, NULL, $2, 'user/o', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')`

// data returns what is in the outbox.
func data(t *testing.T, db *sqlx.DB) (rows []string) {
	t.Helper()
	if err := db.Select(&rows, `SELECT data FROM outbox WHERE data IS NOT NULL ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEarlierEventsLoseTheirValues(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := beforeErasure(t)
	before.must(t, db)
	db.MustExec(makePlayers)
	for _, patch := range []string{
		`{"display_name": "Kim", "country": "KR", "attributes": {"born": "1990"}}`,
		`{"display_name": "Kim\"}", "attributes": {"born": null}, "status": "dnf", "note": "a knee"}`,
		`{"user": "u"}`,
		`{"display_name": "Lee", "attributes": {"club": "Han"}}`,
	} {
		db.MustExec(change, "p", patch)
	}
	db.MustExec(change, "bare", `{"note": "why"}`)
	db.MustExec(`INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent, sent_at)
		SELECT 'event', t, 's', 'a', d, now(), '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', now()
		FROM (VALUES ('plaudit.player.changed', '{"changes": {"country": {"from": "KR", "to": null}}}'),
			('plaudit.board.updated', '{"changes":{"country":{"from":"KR"}}}'), ('plaudit.entry.added', NULL)) v (t, d)`)
	if got := strings.Join(data(t, db), "\n"); !strings.Contains(got, "1990") || !strings.Contains(got, "Han") {
		t.Fatalf("there are no values to lose:\n%s", got)
	}
	all.must(t, db)
	want := []string{
		`{"changes": {"status": {"to": "ranked", "from": null}, "country": {}, "attributes": {}, "display_name": {}}}`,
		`{"changes": {"note": {"to": "a knee", "from": null}, "status": {"to": "dnf", "from": "ranked"}, "attributes": {}, "display_name": {}}}`,
		`{"by": "o", "user": "u"}`,
		`{"changes": {"attributes": {}, "display_name": {}}}`,
		`{"changes": {"note": {"to": "why", "from": null}, "status": {"to": "ranked", "from": null}}}`,
		`{"changes": {"country": {}}}`,
		`{"changes":{"country":{"from":"KR"}}}`,
	}
	if got := data(t, db); !slices.Equal(got, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Sessions of the previous release write while the migration runs: one has written its
// event and not committed it, one waits for the migration's lock, and others come all
// the time, until after the new functions are there.
func TestNoEventKeepsValuesThatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	d := pgtest.Empty(t)
	db := d.Owner()
	before, all := beforeErasure(t)
	before.must(t, db)
	db.MustExec(makePlayers)
	const secret = `{"display_name": "Kimiko", "country": "AQ", "attributes": {"born": "1990"}}`
	patient := func() *sqlx.DB {
		t.Helper()
		db, err := postgres.OpenWithin(d.Config("db_migrate"), postgres.Limits{Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	session := func() *sqlx.Conn {
		t.Helper()
		conn, err := patient().Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	write := func(conn *sqlx.Conn, player string) error {
		for range 7 { // plans are cached, and players change
			for _, patch := range []string{secret, `{"display_name": null, "country": null, "attributes": null}`} {
				if _, err := conn.ExecContext(t.Context(), change, player, patch); err != nil {
					return err
				}
			}
		}
		return nil
	}
	open, waiting := session(), session()
	for _, conn := range []*sqlx.Conn{open, waiting} {
		if err := write(conn, "p"); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := open.BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), change, "p", secret); err != nil {
		t.Fatal(err)
	}

	migrated, migrator := make(chan error, 1), patient()
	go func() {
		_, err := all.apply(t, migrator)
		migrated <- err
	}()
	blocked := func(n int) {
		t.Helper()
		for range 6000 {
			var waits int
			if err := db.Get(&waits, `SELECT count(*) FROM pg_locks WHERE relation = 'players'::regclass AND NOT granted`); err != nil {
				t.Fatal(err)
			}
			if waits >= n {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("fewer than %d sessions wait for players", n)
	}
	blocked(1)
	written := make(chan error, 1)
	go func() { written <- write(waiting, "q") }()
	blocked(2)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, done := range []chan error{migrated, written} {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := write(open, "r"); err != nil {
		t.Fatal(err)
	}
	rows := data(t, db)
	for _, row := range rows {
		if strings.Contains(row, "Kimiko") || strings.Contains(row, "AQ") || strings.Contains(row, "1990") {
			t.Errorf("an event is %s", row)
		}
	}
	if len(rows) < 40 {
		t.Errorf("only %d events", len(rows))
	}
	var valid bool
	if err := db.Get(&valid, `SELECT indisvalid FROM pg_index WHERE indexrelid = 'entries_metadata'::regclass`); err != nil || !valid {
		t.Errorf("the index is valid: %t (%v)", valid, err)
	}
}

// A migration that ended in the middle can be repeated.
func TestErasureMigrationCanBeRepeated(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := beforeErasure(t)
	before.must(t, db)
	db.MustExec(`CREATE INDEX entries_metadata ON entries (id)`) // stands for one that was not finished
	all.must(t, db)
	var def string
	if err := db.Get(&def, `SELECT pg_get_indexdef('entries_metadata'::regclass)`); err != nil || !strings.HasSuffix(def, "(board, player, id) WHERE (metadata IS NOT NULL)") {
		t.Errorf("the index is %s (%v)", def, err)
	}
}
