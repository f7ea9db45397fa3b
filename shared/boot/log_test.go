package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"plaudit/shared/trace"
)

var inRequest = trace.With(context.Background(), trace.Info{RequestID: "r-1", Parent: parent})

func TestLinesNameTheRequest(t *testing.T) {
	var b bytes.Buffer
	logger := slog.New(newLines(&b, slog.LevelInfo)).With("function", "f").WithGroup("g").With("a", 1)
	logger.WarnContext(inRequest, "careful", "b", 2)
	logger.Info("outside a request")
	logger.DebugContext(inRequest, "too fine")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), &b)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["timestamp"])); err != nil {
		t.Errorf("Lambda could not read the timestamp: %v", err)
	}
	delete(got, "timestamp")
	want := map[string]any{
		"level": "WARN", "message": "careful", "function": "f", "request_id": "r-1",
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "g": map[string]any{"a": 1.0, "b": 2.0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if strings.Contains(lines[1], "request_id") {
		t.Errorf("a line outside of requests has a request: %s", lines[1])
	}
}

// observed returns the lines that a recorder writes.
func observed(t *testing.T, f func(m *recorder)) []map[string]any {
	t.Helper()
	var b bytes.Buffer
	f(&recorder{function: "score-add", lines: newLines(&b, slog.LevelInfo)})
	var all []map[string]any
	for line := range strings.SplitSeq(strings.TrimSpace(b.String()), "\n") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}

func TestObserveWritesOneLineInTheEmbeddedMetricFormat(t *testing.T) {
	before := time.Now().UnixMilli()
	lines := observed(t, func(m *recorder) {
		m.request(inRequest, trace.Request{Method: "POST", Pattern: "/v1/boards/{board}/entries", Status: 201, Took: 12345 * time.Microsecond, Actor: "user/u1", Board: "seoul-2026"})
		m.request(inRequest, trace.Request{Method: "POST", Pattern: "/v1/boards/{board}/entries", Status: 503, Took: time.Millisecond})
	})
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		about := line["_aws"].(map[string]any)
		if at := int64(about["Timestamp"].(float64)); at < before || at > time.Now().UnixMilli() {
			t.Errorf("_aws.Timestamp is %d, not a time in ms since %d", at, before)
		}
		var directives []directive
		b, _ := json.Marshal(about["CloudWatchMetrics"])
		if err := json.Unmarshal(b, &directives); err != nil || len(directives) != 1 {
			t.Fatalf("%s: %v", b, err)
		}
		d := directives[0]
		if d.Namespace != "Plaudit" || !reflect.DeepEqual(d.Dimensions, [][]string{{"Function", "Route"}, {"Function"}}) {
			t.Errorf("%+v", d)
		}
		var names []string
		for _, m := range d.Metrics {
			names = append(names, m.Name)
			if _, ok := line[m.Name].(float64); !ok {
				t.Errorf("%s is declared and is not a number in the line: %v", m.Name, line[m.Name])
			}
		}
		want := []string{"Requests", "Errors", "Latency"}
		if i == 0 {
			want = append(want, "ColdStart")
		}
		if !reflect.DeepEqual(names, want) {
			t.Errorf("line %d declares %v, want %v", i, names, want)
		}
	}
	delete(lines[0], "_aws")
	delete(lines[0], "timestamp")
	if want := (map[string]any{
		"level": "INFO", "message": "request", "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		"Function": "score-add", "Route": "POST /v1/boards/{board}/entries",
		"Requests": 1.0, "Errors": 0.0, "Latency": 12.345, "ColdStart": 1.0, "method": "POST", "status": 201.0, "actor": "user/u1", "board": "seoul-2026",
	}); !reflect.DeepEqual(lines[0], want) {
		t.Errorf("got %v, want %v", lines[0], want)
	}
	second := lines[1]
	if board, ok := second["board"]; ok {
		t.Errorf("a request of no board has the board %v", board)
	}
	if second["Errors"] != 1.0 || second["ColdStart"] != nil || second["actor"] != "" {
		t.Errorf("the second line is %v", second)
	}
}

func TestRequestsThatNoRouteTakesAreOneSeries(t *testing.T) {
	lines := observed(t, func(m *recorder) {
		m.request(inRequest, trace.Request{Method: "GET", Pattern: "none", Status: 404})
		m.request(inRequest, trace.Request{Method: strings.Repeat("X", 5000), Pattern: "none"})
	})
	if lines[0]["Route"] != "none" || lines[1]["Route"] != "none" || lines[1]["method"] != strings.Repeat("X", 16) || lines[1]["status"] != 200.0 {
		t.Errorf("%v", lines)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := &recorder{function: "score-add", lines: newLines(io.Discard, slog.LevelInfo)}
	b.ReportAllocs()
	for b.Loop() {
		m.request(inRequest, trace.Request{Method: "POST", Pattern: "/v1/boards/{board}/entries", Status: 201, Took: time.Millisecond, Actor: "user/u1", Board: "seoul-2026"})
	}
}
