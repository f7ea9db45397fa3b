package audittest

import (
	"testing"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// Outbox is an outbox of a test's own, empty at first.
type Outbox struct {
	Name string // the source of its events
	audit.Source
	// Add commits n changes, each of which puts one event into the outbox, one after
	// another.
	Add func(n int)
	// Send has the relay send all that waits, SetAside set it aside.
	Send, SetAside func()
}

// Source tests an outbox as checks and restores see it.
func Source(t *testing.T, o Outbox) {
	ctx := t.Context()
	kept := func(after int64, limit int) []audit.Kept {
		t.Helper()
		rows, err := o.Kept(ctx, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	restoring := func(limit, want int) {
		t.Helper()
		if n, err := o.Restoring(ctx, limit); err != nil || n != want {
			t.Errorf("up to %d, %d rows are being restored, %v; want %d", limit, n, err, want)
		}
	}
	// restore restores a time, two rows at once, and returns how many it marked.
	restore := func(from, to time.Time) (marked int) {
		t.Helper()
		for after, steps := int64(0), 0; ; steps++ {
			n, last, err := o.Restore(ctx, after, from, to, 2)
			if err != nil || n > 2 || last != 0 && last <= after || steps > 100 {
				t.Fatalf("after %d it marked %d rows up to %d, %v", after, n, last, err)
			}
			marked += n
			if after = last; last == 0 {
				return marked
			}
		}
	}
	var always time.Time

	if rows := kept(0, 10); len(rows) != 0 {
		t.Errorf("an empty outbox has %v", rows)
	}
	if last, err := o.LastID(ctx); err != nil || last != 0 {
		t.Errorf("the last id of an empty outbox is %d, %v", last, err)
	}
	if n := restore(always, always); n != 0 {
		t.Errorf("a restore of an empty outbox marked %d rows", n)
	}
	restoring(10, 0)

	o.Add(4)
	o.Send()
	o.Add(1)
	rows := kept(0, 10)
	if len(rows) != 5 {
		t.Fatalf("the outbox has %d rows, want 5", len(rows))
	}
	for i, row := range rows {
		if row.Fault != "" || row.Sent.IsZero() != (i == 4) || i > 0 && row.ID <= rows[i-1].ID {
			t.Errorf("row %d is %+v", i, row)
		}
		e := row.Event
		if _, err := e.Encode(); err != nil || e.Source != o.Name || e.LogID != event.LogID(o.Name, e.ID) || e.RecordedTime.IsZero() {
			t.Errorf("the event of row %d is %+v, %v", i, e, err)
		}
	}
	if part := kept(rows[0].ID, 2); len(part) != 2 || part[0].ID != rows[1].ID || part[1].ID != rows[2].ID {
		t.Errorf("after the first one, two rows are %v", part)
	}
	if last, err := o.LastID(ctx); err != nil || last != rows[4].ID {
		t.Errorf("the last id is %d, %v; want %d", last, err, rows[4].ID)
	}
	if some, err := o.KeptByID(ctx, []int64{rows[3].ID, rows[4].ID + 1000}); err != nil || len(some) != 1 || some[0].ID != rows[3].ID {
		t.Errorf("by id, it has %v, %v", some, err)
	}
	if none, err := o.KeptByID(ctx, nil); err != nil || len(none) != 0 {
		t.Errorf("by no id, it has %v, %v", none, err)
	}
	if failed, err := o.Failed(ctx, 0, 10); err != nil || len(failed) != 0 {
		t.Errorf("set aside are %v, %v", failed, err)
	}

	if n := restore(always, always); n != 4 {
		t.Errorf("a restore marked %d rows, want the 4 that were sent", n)
	}
	restoring(10, 4) // the row that was never sent is no restored one
	restoring(3, 3)
	for i, row := range kept(0, 10) {
		if !row.Sent.IsZero() {
			t.Errorf("row %d is sent after the restore has marked it", i)
		}
	}
	if n := restore(always, always); n != 0 {
		t.Errorf("repeated, a restore marked %d rows", n)
	}
	o.Send()
	restoring(10, 0)
	for i, row := range kept(0, 10) {
		if row.Sent.IsZero() {
			t.Errorf("row %d waits", i)
		}
		before, _ := rows[i].Event.Encode()
		if after, err := row.Event.Encode(); err != nil || string(after) != string(before) {
			t.Errorf("row %d renders to %s after the restore, and to %s before, %v", i, after, before, err)
		}
	}
	if n := restore(rows[2].Event.RecordedTime, rows[3].Event.RecordedTime); n != 1 {
		t.Errorf("a restore from one event to before the next one marked %d rows", n)
	}
	if row := kept(rows[1].ID, 1)[0]; row.ID != rows[2].ID || !row.Sent.IsZero() {
		t.Errorf("it marked another row: %+v", row)
	}
	if n := restore(rows[4].Event.RecordedTime, always); n != 1 {
		t.Errorf("a restore from the last event on marked %d rows", n)
	}

	o.Send()
	waiting := func(limit, want int) {
		t.Helper()
		if n, err := o.Waiting(ctx, limit); err != nil || n != want {
			t.Errorf("up to %d, %d rows wait, %v; want %d", limit, n, err, want)
		}
	}
	waiting(10, 0)
	o.Add(3)
	waiting(10, 3)
	waiting(2, 2)
	fresh := kept(rows[4].ID, 10)
	o.SetAside()
	waiting(10, 0)
	if failed, err := o.Failed(ctx, 0, 10); err != nil || len(failed) != 3 || failed[0].ID != fresh[0].ID {
		t.Errorf("set aside are %v, %v", failed, err)
	}
	queued, last, err := o.Retry(ctx, 0, 2)
	if err != nil || queued != 2 || last != fresh[1].ID {
		t.Errorf("a retry queued %d rows up to %d, %v", queued, last, err)
	}
	waiting(10, 2)
	if queued, last, err := o.Retry(ctx, last, 2); err != nil || queued != 1 || last != 0 {
		t.Errorf("then it queued %d rows up to %d, %v", queued, last, err)
	}
	if queued, last, err := o.Retry(ctx, 0, 2); err != nil || queued != 0 || last != 0 {
		t.Errorf("repeated, it queued %d rows up to %d, %v", queued, last, err)
	}
	for i, row := range kept(rows[4].ID, 10) {
		before, _ := fresh[i].Event.Encode()
		if after, err := row.Event.Encode(); err != nil || row.ID != fresh[i].ID || !row.Sent.IsZero() || string(after) != string(before) {
			t.Errorf("row %d is %+v after the retry, %v", i, row, err)
		}
	}
}
