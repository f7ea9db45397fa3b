package pgtest

import (
	"context"
	"slices"
	"testing"

	"plaudit/shared/audit"
)

// RetryKeepsRows has the relay set all waiting rows of a database's outbox aside and the
// source queue them again. Then they must be as before, in all columns.
func RetryKeepsRows(t *testing.T, d *Database, relay audit.Outbox, source audit.Source) {
	t.Helper()
	rows := func() (all []string) {
		t.Helper()
		if err := d.Owner().Select(&all, `SELECT to_jsonb(o)::text FROM outbox o ORDER BY id`); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := rows()
	n, err := relay.Take(t.Context(), len(before), func(_ context.Context, messages []audit.Message) []error {
		return slices.Repeat([]error{audit.Unwritable{Reason: "why"}}, len(messages))
	})
	if left := rows(); err != nil || n == 0 || n != len(before) || len(left) != 0 {
		t.Fatalf("%d of %d rows were set aside, and %d stay: %v", n, len(before), len(left), err)
	}
	if queued, last, err := source.Retry(t.Context(), 0, len(before)+1); err != nil || queued != len(before) || last != 0 {
		t.Fatalf("%d of %d rows were queued up to %d: %v", queued, len(before), last, err)
	}
	if after := rows(); !slices.Equal(after, before) {
		t.Errorf("the rows are %q\nbefore they were %q", after, before)
	}
}
