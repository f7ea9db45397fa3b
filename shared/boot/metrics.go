package boot

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"plaudit/shared/trace"
)

// namespace is the CloudWatch namespace of all metrics of the product.
const namespace = "Plaudit"

// metrics is the process's recorder. Main sets the deployable's name.
var metrics atomic.Pointer[recorder]

func init() { metrics.Store(&recorder{lines: newLines(os.Stdout, slog.LevelInfo)}) }

// Observe writes the one log line of a served request. The line is its access
// log and carries its metrics in CloudWatch's embedded metric format: Requests,
// Errors (status 500 and above), Latency, and ColdStart for the first request
// of the process, each by Function and by Function and Route.
//
// Its properties, which are not dimensions, are method, status, request_id,
// trace_id, actor (the verified caller, empty if anonymous) and, for routes of a
// board, board. The line contains nothing else of the path, no query string and no
// address. Route is the method and the route's pattern, or "none" for all requests
// that match no route.
//
// The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func Observe(ctx context.Context, served trace.Request) {
	metrics.Load().request(ctx, served)
}

type recorder struct {
	function string
	lines    *lines
	warm     atomic.Bool
}

// The embedded metric format's description of a line's metrics.
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

func (m *recorder) request(ctx context.Context, served trace.Request) {
	if served.Status == 0 {
		served.Status = 200 // net/http sends this if a handler wrote nothing
	}
	// If no route matches, the method may be any text of the client's, so it must
	// not become a metric's dimension.
	route, method := served.Method+" "+served.Pattern, served.Method
	if served.Pattern == "none" {
		route, method = served.Pattern, method[:min(len(method), 16)]
	}
	properties := []slog.Attr{slog.String("method", method), slog.Int("status", served.Status), slog.String("actor", served.Actor)}
	if served.Board != "" {
		properties = append(properties, slog.String("board", served.Board))
	}
	m.write(ctx, route, served.Status >= 500, served.Took, nil, properties)
}

func (m *recorder) write(ctx context.Context, route string, failed bool, took time.Duration, more *counts, properties []slog.Attr) {
	now := time.Now()
	line := slog.NewRecord(now, slog.LevelInfo, "request", 0)
	names := []metric{{"Requests", "Count"}, {"Errors", "Count"}, {"Latency", "Milliseconds"}}
	errors := 0
	if failed {
		errors = 1
	}
	values := []slog.Attr{
		slog.Int("Requests", 1),
		slog.Int("Errors", errors),
		slog.Float64("Latency", float64(took.Microseconds())/1000),
	}
	more.each(func(name string, value int) {
		names, values = append(names, metric{name, "Count"}), append(values, slog.Int(name, value))
	})
	if !m.warm.Swap(true) {
		names, values = append(names, metric{"ColdStart", "Count"}), append(values, slog.Int("ColdStart", 1))
	}
	line.AddAttrs(
		slog.Any("_aws", embedded{now.UnixMilli(), []directive{{namespace, [][]string{{"Function", "Route"}, {"Function"}}, names}}}),
		slog.String("Function", m.function),
		slog.String("Route", route),
	)
	line.AddAttrs(values...)
	line.AddAttrs(properties...)
	line.AddAttrs(more.details()...)
	m.lines.Handle(ctx, line) // an error means that standard output is gone, so it cannot be reported
}
