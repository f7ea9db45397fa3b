package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
)

// All that is counted during an invoke is in its one line.
func TestAnInvokesCountsAreInItsLine(t *testing.T) {
	before := metrics.Load()
	defer metrics.Store(before)
	lines := observed(t, func(m *recorder) {
		metrics.Store(m)
		err := Measure(inRequest, "invoke", func(ctx context.Context) error {
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					Count(ctx, "Relayed", 2)
					Peak(ctx, "Waiting", n)
					Tally(ctx, "types", fmt.Sprint("t", n%2))
				})
			}
			all.Wait()
			Count(ctx, "Failed", 0)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		failure := errors.New("no")
		if err := Measure(inRequest, "outbox", func(context.Context) error { return failure }); err != failure {
			t.Errorf("the error is %v", err)
		}
	})
	Count(t.Context(), "Relayed", 1) // outside of an invoke
	Peak(t.Context(), "Waiting", 1)
	Tally(t.Context(), "types", "t")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	line := lines[0]
	for name, want := range map[string]any{
		"Route": "invoke", "Requests": 1.0, "Errors": 0.0, "Relayed": 200.0, "Waiting": 99.0, "Failed": 0.0, "request_id": "r-1",
		"types": map[string]any{"t0": 50.0, "t1": 50.0},
	} {
		if !reflect.DeepEqual(line[name], want) {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	text, err := json.Marshal(line["_aws"])
	if err != nil {
		t.Fatal(err)
	}
	var declared struct {
		CloudWatchMetrics []struct{ Metrics []metric }
	}
	if err := json.Unmarshal(text, &declared); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range declared.CloudWatchMetrics[0].Metrics {
		named[m.Name] = true
	}
	if !named["Relayed"] || !named["Waiting"] || !named["Failed"] || named["types"] {
		t.Errorf("the metrics are %v", named)
	}
	if lines[1]["Errors"] != 1.0 || lines[1]["Route"] != "outbox" {
		t.Errorf("a failure's line is %v", lines[1])
	}
}
