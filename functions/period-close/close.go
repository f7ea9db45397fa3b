package main

import (
	"context"
	"encoding/json"
	"time"

	"plaudit/shared/boot"
	"plaudit/shared/score"
)

// answered is what an invoke returns. What it did is in the metrics of its log line.
type answered struct{}

// newHandler returns the function's handler. It does the same whatever the event: that of
// a schedule, or one that a person sends.
func newHandler(closings score.Closings) func(context.Context, json.RawMessage) (answered, error) {
	closer := score.Closer{
		Closings: closings,
		// Longer than one run takes to be announced.
		Reserve: 10 * time.Second,
		Pause:   time.Second,
		Count:   boot.Count,
	}
	return func(ctx context.Context, _ json.RawMessage) (answered, error) { return answered{}, closer.Run(ctx) }
}
