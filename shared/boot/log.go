package boot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"plaudit/shared/trace"
)

// startLog makes slog's default logger write JSON lines with the deployable's
// name. Lines that libraries write through package log become warnings.
func startLog(name string, out io.Writer, level slog.Level) {
	function := []slog.Attr{slog.String("function", name)}
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(slog.New(newLines(out, level).WithAttrs(function)))
	// Metrics are written at any level: alarms need them.
	metrics.Store(&recorder{function: name, lines: newLines(out, slog.LevelInfo)})
}

// logLevel reads the level of the log: Lambda's own setting, else LOG_LEVEL,
// else INFO.
func logLevel() (slog.Level, error) {
	name := "AWS_LAMBDA_LOG_LEVEL"
	if os.Getenv(name) == "" {
		name = "LOG_LEVEL"
	}
	switch strings.ToUpper(os.Getenv(name)) {
	case "", "INFO":
		return slog.LevelInfo, nil
	case "TRACE", "DEBUG":
		return slog.LevelDebug, nil
	case "WARN":
		return slog.LevelWarn, nil
	case "ERROR", "FATAL":
		return slog.LevelError, nil
	}
	return slog.LevelInfo, fmt.Errorf("%s must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL", name)
}

// lines is a slog.Handler that puts the context's request_id and trace_id into
// every line, at the top level whatever groups are open. The other names are
// the ones that Lambda's log filter reads: timestamp, level, message
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html).
type lines struct {
	root slog.Handler
	with []func(slog.Handler) slog.Handler // the attributes and groups to come after
}

func newLines(out io.Writer, level slog.Level) *lines {
	return &lines{root: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr})}
}

func (l *lines) Enabled(ctx context.Context, level slog.Level) bool {
	return l.root.Enabled(ctx, level)
}

func (l *lines) Handle(ctx context.Context, r slog.Record) error {
	h := l.root
	if info := trace.From(ctx); info != (trace.Info{}) {
		h = h.WithAttrs([]slog.Attr{slog.String("request_id", info.RequestID), slog.String("trace_id", info.TraceID())})
	}
	for _, with := range l.with {
		h = with(h)
	}
	return h.Handle(ctx, r)
}

func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.then(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (l *lines) WithGroup(name string) slog.Handler {
	return l.then(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *lines) then(with func(slog.Handler) slog.Handler) *lines {
	return &lines{root: l.root, with: append(slices.Clip(l.with), with)}
}
