package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/audit"
	"plaudit/shared/event"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/outbox"
	"plaudit/shared/postgres/pgtest"
)

// tagged are the migrations after which events have ids of their own, by database, with
// the functions that they changed as these were before.
var tagged = map[string]struct{ migration, functions string }{
	"scores": {"migrations/00009_event_identity.sql", "testdata/scores-00008"},
	"users":  {"migrations/00005_event_identity.sql", "testdata/users-00004"},
}

// untagged returns a database's files before that migration, and all of them.
func untagged(t *testing.T, database string) (before, all folder) {
	t.Helper()
	all = folder{}
	for path, text := range texts(t, database) {
		all[path] = text
	}
	before = all.with(functionsIn(t, tagged[database].functions)).with(folder{"functions/outbox_take_v2.sql": "", "functions/outbox_kept_v2.sql": ""})
	for path := range all {
		if strings.HasPrefix(path, "migrations/") && path >= tagged[database].migration {
			before = before.with(folder{path: ""})
		}
	}
	return before, all
}

// writer writes events and looks at them in both ways.
type writer struct {
	*testing.T
	db     *sqlx.DB
	insert func(ctx context.Context, sql string, args ...any) error
	rows   int
}

// add writes an event.
func (w *writer) add() {
	w.Helper()
	w.rows++
	err := w.insert(w.Context(), `INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent, subjectseq)
		VALUES ('event', 'plaudit.x', 's', 'a', '{}', $1::timestamptz + $2 * interval '1 second', '`+parent+`', $2)`, "2026-04-05 12:00Z", w.rows)
	if err != nil {
		w.Fatal(err)
	}
}

// earlier takes rows as a relay of the previous release does. It marks them unless it
// fails.
func (w *writer) earlier(fails bool) (ids []string) {
	w.Helper()
	tx := w.db.MustBegin()
	defer tx.Rollback() // does nothing after a commit
	if err := tx.Select(&ids, `SELECT id::text FROM outbox_take_v1(1, 100, 1000000)`); err != nil {
		w.Fatal(err)
	}
	if len(ids) > 0 && !fails { // with none, it does not commit
		tx.MustExec(`SELECT outbox_done_v1($1, '{}', '{}')`, "{"+strings.Join(ids, ",")+"}")
		if err := tx.Commit(); err != nil {
			w.Fatal(err)
		}
	}
	return ids
}

// now takes rows as a relay of this release does.
func (w *writer) now() (ids []string) {
	w.Helper()
	_, err := outbox.New(w.db, event.Users, nil).Take(w.Context(), 100, func(_ context.Context, messages []audit.Message) []error {
		for _, m := range messages {
			ids = append(ids, m.Event.ID)
		}
		return make([]error, len(messages))
	})
	if err != nil {
		w.Fatal(err)
	}
	return ids
}

// restore sends all that was sent again.
func (w *writer) restore() {
	w.Helper()
	if _, _, err := outbox.New(w.db, event.Users, nil).Restore(w.Context(), 0, time.Time{}, time.Time{}, 100); err != nil {
		w.Fatal(err)
	}
}

func (w *writer) same(what string, got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: %q, want %q", what, got, want)
	}
}

// id returns the id of a row with a tag.
func (w *writer) id(row int) string {
	w.Helper()
	var tag string
	if err := w.db.Get(&tag, `SELECT tag FROM outbox WHERE id = $1`, row); err != nil {
		w.Fatalf("row %d: %v", row, err)
	}
	return event.RowID(int64(row), tag)
}

// Whatever relays of both releases do during an upgrade and after a rollback, each row is
// sent under one id only, and a restore sends it under the same one.
func TestRelaysOfTwoReleasesAgreeOnIDs(t *testing.T) {
	t.Parallel()
	pgtest.Scores(t) // these make the roles
	pgtest.Users(t)
	for database, one := range tagged {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t).Owner()
			before, all := untagged(t, database)
			before.must(t, db)
			w := &writer{T: t, db: db, insert: func(ctx context.Context, sql string, args ...any) error {
				_, err := db.ExecContext(ctx, sql, args...)
				return err
			}}
			w.add()
			w.same("the previous release", w.earlier(false), "1")
			w.add()
			w.same("one that fails", w.earlier(true), "2")

			// The migration is there, and the functions are not yet.
			before.with(folder{one.migration: all[one.migration]}).must(t, db)
			w.add()
			w.same("after the migration, one that fails", w.earlier(true), "2", "3")
			w.add()
			all.must(t, db)
			w.same("after the upgrade, one that fails", w.earlier(true), "2", "3", "4")
			w.same("the first of this release", w.now(), "2", "3", "4")
			w.restore()
			w.same("a restore", w.now(), "1", "2", "3", "4")

			// Now rows have tags. A relay that is still there leaves them alone.
			w.add()
			w.same("one that is still there", w.earlier(false))
			w.add()
			five := w.id(5)
			w.same("one of this release", w.now(), five, "6")
			w.add()
			w.restore()
			w.same("one that is still there, with a restore", w.earlier(false), "1", "2", "3", "4", "6")
			w.same("one of this release, with a restore", w.now(), five, w.id(7))

			// After a rollback it is alone: what is written then is sent.
			w.add()
			w.same("the first after a rollback", w.earlier(false))
			for n := 9; n < 12; n++ {
				w.add()
				w.same("later ones after a rollback", w.earlier(false), fmt.Sprint(n))
			}
			w.same("the upgrade after it", w.now(), w.id(8))

			var kept []string
			if err := db.Select(&kept, `SELECT id::text FROM outbox_kept_v1(1, NULL, 4)`); err != nil {
				t.Fatal(err)
			}
			w.same("a check of the previous release", kept, "2", "3", "4", "6")
			if err := db.Select(&kept, `SELECT id::text FROM outbox_kept_v1(0, '{1,5}', 0)`); err != nil {
				t.Fatal(err)
			}
			w.same("a check of the previous release, by id", kept, "1")
		})
	}
}

// A relay of the previous release goes on handing profiles over, which have no id.
func TestThePreviousRelayTakesProfiles(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	d.Owner().MustExec(`INSERT INTO outbox (kind, subject, data, recordedtime, traceparent) VALUES ('profile', 's', '{}', now(), '` + parent + `')`)
	w := &writer{T: t, db: d.Owner()}
	w.same("taken are", w.earlier(false), "1")
}

// The service writes rows itself, which get a tag, but none while a relay of the previous
// release is alone.
func TestRowsOfTheServiceHaveTags(t *testing.T) {
	t.Parallel()
	d := pgtest.Users(t)
	service := d.Open("users_service")
	for _, tags := range []int{1, 0} {
		service.MustExec(`INSERT INTO outbox (kind, subject, data, recordedtime, traceparent) VALUES ('profile', 's', '{}', now(), '` + parent + `')`)
		var n int
		if err := d.Owner().Get(&n, `SELECT count(tag) FROM outbox`); err != nil || n != tags {
			t.Errorf("%d rows have tags, want %d: %v", n, tags, err)
		}
		(&writer{T: t, db: d.Owner()}).earlier(false)
	}
}

// What is set aside keeps its tag.
func TestFailedRowsKeepTheirTags(t *testing.T) {
	t.Parallel()
	for kind, d := range databases(t) {
		d.Owner().MustExec(`INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent, subjectseq) VALUES ('event', 'x', 's', 'a', '{}', now(), '` + parent + `', 1)`)
		var tag, kept string
		if err := d.Owner().Get(&tag, `SELECT tag FROM outbox`); err != nil {
			t.Fatal(err)
		}
		d.Owner().MustExec(`SELECT outbox_done_v1('{}', '{1}', '{why}')`)
		if err := d.Owner().Get(&kept, `SELECT tag FROM outbox_failed`); err != nil || kept != tag {
			t.Errorf("%s: the tag %s becomes %s: %v", kind, tag, kept, err)
		}
	}
}

// A relay that is sending does not make writers wait behind the migration.
func TestWritersDoNotWaitForATagWhileARelaySends(t *testing.T) {
	t.Parallel()
	pgtest.Users(t) // makes the roles
	d := pgtest.Empty(t)
	before, all := untagged(t, "users")
	before.must(t, d.Owner())
	patient, err := postgres.OpenWithin(d.Config("db_migrate"), postgres.Limits{Patience: time.Minute, Settings: map[string]string{"lock_timeout": "5000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	relay := patient.MustBegin()
	defer relay.Rollback() // does nothing after a commit
	relay.MustExec(`SELECT FROM outbox FOR UPDATE`)
	done := make(chan error, 1)
	go func() {
		_, err := all.apply(t, patient)
		done <- err
	}()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("the migration does not wait: %v", err)
		default:
		}
		if err := d.Owner().Get(&waits, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'outbox'::regclass)`); err != nil {
			t.Fatal(err)
		}
	}
	w := &writer{T: t, db: d.Owner(), insert: func(ctx context.Context, sql string, args ...any) error {
		_, err := patient.ExecContext(ctx, sql, args...)
		return err
	}}
	w.add()
	if err := relay.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the migration: %v", err)
	}
}
