package main

import (
	"context"
	"log/slog"
)

// levels is a handler that passes records from a level on to another handler.
type levels struct {
	slog.Handler
	shown slog.Handler
	from  func() slog.Level
}

func (l levels) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= l.from() {
		return l.shown.Handle(ctx, r)
	}
	return l.Handler.Handle(ctx, r)
}

func (l levels) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levels{l.Handler.WithAttrs(attrs), l.shown.WithAttrs(attrs), l.from}
}

func (l levels) WithGroup(name string) slog.Handler {
	return levels{l.Handler.WithGroup(name), l.shown.WithGroup(name), l.from}
}
