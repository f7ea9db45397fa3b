package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/audit"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
)

// rows is an outbox in memory, whose relay sends at once what is restored.
type rows struct {
	kept []audit.Kept // row i has the id i+1
	log  *ddb.Log
}

func newRows(source, subject string, n int, log *ddb.Log) *rows {
	r := &rows{log: log}
	for id := 1; id <= n; id++ {
		at := time.Now().Add(-2 * time.Hour).Truncate(time.Microsecond).Add(time.Duration(id) * time.Second).UTC()
		r.kept = append(r.kept, audit.Kept{ID: int64(id), Sent: at, Event: event.Event{
			ID: fmt.Sprint(id), Source: source, Type: event.BoardUpdated, Subject: fmt.Sprint(subject, id%7), Actor: "user/o",
			RecordedTime: at, LogID: event.LogID(source, fmt.Sprint(id)), JSON: []byte(`{"changes":{}}`),
		}})
	}
	return r
}

func (r *rows) Kept(_ context.Context, after int64, limit int) ([]audit.Kept, error) {
	rest := r.kept[min(after, int64(len(r.kept))):]
	return rest[:min(limit, len(rest))], nil
}

func (r *rows) KeptByID(_ context.Context, ids []int64) (found []audit.Kept, err error) {
	for _, row := range r.kept {
		if slices.Contains(ids, row.ID) {
			found = append(found, row)
		}
	}
	return found, nil
}

func (r *rows) LastID(context.Context) (int64, error) { return int64(len(r.kept)), nil }

func (r *rows) Failed(context.Context, int64, int) ([]audit.Failed, error) { return nil, nil }

func (r *rows) Restore(ctx context.Context, after int64, _, _ time.Time, limit int) (int, int64, error) {
	page, _ := r.Kept(ctx, after, limit)
	var events []event.Event
	for _, row := range page {
		document, err := row.Event.Encode()
		if err != nil {
			return 0, 0, err
		}
		if _, err := r.log.Put(ctx, audit.Stored{Event: row.Event, Document: document, Restored: true}); err != nil {
			return 0, 0, err
		}
		events = append(events, row.Event)
	}
	last := int64(0)
	if len(page) == limit {
		last = page[limit-1].ID
	}
	return len(page), last, r.log.Index(ctx, events)
}

func (r *rows) Restoring(context.Context, int) (int, error) { return 0, nil }

func (r *rows) Retry(context.Context, int64, int) (int, int64, error) { return 0, 0, nil }

func (r *rows) Waiting(context.Context, int) (int, error) { return 0, nil }

func (r *rows) Orphans(context.Context, string, int) ([]audit.Orphan, string, error) {
	return nil, "", nil
}

// The whole way over the engine: what is deleted from its tables is found, and comes back.
func TestALostItemIsFoundAndRestored(t *testing.T) {
	stack := ddbtest.Tables(t)
	log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
	scores, users := newRows(event.Scores, "board/b", 250, log), newRows(event.Users, "user/u", 30, log)
	c := &checks{log: log, databases: audit.Databases{Scores: scores, Users: users, Ledger: scores}, keep: 90 * 24 * time.Hour}
	all := func(do string, into func(answer string)) {
		t.Helper()
		for place := "null"; ; {
			answer, err := ask(t, c, fmt.Sprintf(`{"do": %q, "place": %s}`, do, place))
			if err != nil {
				t.Fatal(err)
			}
			into(answer)
			var next struct{ Place json.RawMessage }
			if err := json.Unmarshal([]byte(answer), &next); err != nil {
				t.Fatal(err)
			}
			if place = string(next.Place); place == "null" {
				return
			}
		}
	}
	check := func() (sum audit.Report) {
		t.Helper()
		all(auditCheck, func(answer string) {
			var r audit.Report
			if err := json.Unmarshal([]byte(answer), &r); err != nil {
				t.Fatal(err)
			}
			sum.Rows, sum.Events, sum.Findings = sum.Rows+r.Rows, sum.Events+r.Events, append(sum.Findings, r.Findings...)
		})
		return sum
	}
	sample := func() (s audit.Sample) {
		t.Helper()
		answer, err := ask(t, c, `{"do": "audit-sample"}`)
		if err == nil {
			err = json.Unmarshal([]byte(answer), &s)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	if s := sample(); s.Missing < 130 || s.Missing != s.Checked {
		t.Errorf("of an empty log, a sample lacks %+v", s)
	}
	marked := 0
	restore := func() {
		t.Helper()
		all(auditRestore, func(answer string) {
			var r audit.Restored
			if err := json.Unmarshal([]byte(answer), &r); err != nil {
				t.Fatal(err)
			}
			marked += r.Marked
		})
	}
	restore()
	if r := check(); marked != 280 || r.Rows != 280 || r.Events != 280 || len(r.Findings) > 0 {
		t.Fatalf("%d events were restored, and then: %+v", marked, r)
	}

	client := dynamodb.NewFromConfig(stack.Config)
	del := func(table string, key map[string]types.AttributeValue) {
		t.Helper()
		if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	del(stack.Events, map[string]types.AttributeValue{"logid": text(scores.kept[249].Event.LogID)})
	items, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &stack.Index})
	if err != nil {
		t.Fatal(err)
	}
	lost := users.kept[16].Event.LogID
	for _, item := range items.Items {
		k, s := item["k"].(*types.AttributeValueMemberS).Value, item["s"].(*types.AttributeValueMemberS).Value
		if strings.HasPrefix(k, "actor#") && strings.HasSuffix(s, "#"+lost) {
			del(stack.Index, map[string]types.AttributeValue{"k": text(k), "s": text(s)})
		}
	}
	r := check()
	if len(r.Findings) != 2 || !strings.HasPrefix(r.Findings[0], "/plaudit/scores #250, ") || !strings.Contains(r.Findings[0], "the log does not have it") ||
		!strings.HasPrefix(r.Findings[1], "/plaudit/users #17, ") || !strings.Contains(r.Findings[1], "lacks index items") {
		t.Errorf("found %q", r.Findings)
	}
	if s := sample(); s.Missing < 1 {
		t.Errorf("a sample lacks %+v", s) // at least the newest event
	}
	restore()
	if r := check(); len(r.Findings) > 0 {
		t.Errorf("after the restore: %q", r.Findings)
	}
}
