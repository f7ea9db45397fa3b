package boot

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// namespace is the one of CloudWatch's that holds all metrics of the product.
const namespace = "Plaudit"

// metrics is the process's own recorder, with the deployable's name from Main on.
var metrics atomic.Pointer[recorder]

func init() { metrics.Store(&recorder{lines: newLines(os.Stdout, slog.LevelInfo)}) }

// Observe leaves the one log line of a served request. The line is its access
// log (method, route, status, milliseconds, request_id, trace_id) and carries
// its metrics in CloudWatch's embedded metric format: Requests, Errors (status
// 500 and above), Latency, and ColdStart for the first request of the process,
// each by Function and by Function and Route. pattern is the route's, never the
// path, so no id of a player or board, no query string and no address gets into
// either; "none" stands for requests that no route takes.
//
// The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func Observe(ctx context.Context, method, pattern string, status int, took time.Duration) {
	metrics.Load().observe(ctx, method, pattern, status, took)
}

type recorder struct {
	function string
	lines    *lines
	warm     atomic.Bool
}

// The embedded format's description of a line's metrics.
type (
	embedded struct {
		Timestamp         int64 // ms since 1970
		CloudWatchMetrics []directive
	}
	directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	metric struct{ Name, Unit string }
)

var (
	warmMetrics = []directive{{
		Namespace:  namespace,
		Dimensions: [][]string{{"Function", "Route"}, {"Function"}},
		Metrics:    []metric{{"Requests", "Count"}, {"Errors", "Count"}, {"Latency", "Milliseconds"}},
	}}
	coldMetrics = []directive{{
		Namespace:  namespace,
		Dimensions: warmMetrics[0].Dimensions,
		Metrics:    append(warmMetrics[0].Metrics[:3:3], metric{"ColdStart", "Count"}),
	}}
)

func (m *recorder) observe(ctx context.Context, method, pattern string, status int, took time.Duration) {
	if status == 0 {
		status = 200 // what net/http answers for a handler that wrote nothing
	}
	// A method that no route takes is the client's own word, of any length and
	// number: it must not make metrics.
	route := method + " " + pattern
	if pattern == "none" {
		route = pattern
		method = method[:min(len(method), 16)]
	}
	errors := 0
	if status >= 500 {
		errors = 1
	}
	now := time.Now()
	line := slog.NewRecord(now, slog.LevelInfo, "request", 0)
	about := embedded{now.UnixMilli(), warmMetrics}
	if !m.warm.Swap(true) {
		about.CloudWatchMetrics = coldMetrics
		line.AddAttrs(slog.Int("ColdStart", 1))
	}
	line.AddAttrs(
		slog.Any("_aws", about),
		slog.String("Function", m.function),
		slog.String("Route", route),
		slog.Int("Requests", 1),
		slog.Int("Errors", errors),
		slog.Float64("Latency", float64(took.Microseconds())/1000),
		slog.String("method", method),
		slog.Int("status", status),
	)
	m.lines.Handle(ctx, line) // where standard output is gone there is nobody to tell
}
