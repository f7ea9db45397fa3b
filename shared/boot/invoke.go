package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"plaudit/shared/edge"
	"plaudit/shared/trace"
)

// Invoke serves a Lambda that is not behind a load balancer: it decodes each
// event from JSON into In, and encodes what handle returns. It returns when ctx
// has ended and no handle is running. handle's context ends with ctx and with
// the invoke's deadline, and carries a trace.Info with the invoke's request id
// and a new trace.
//
// Each invoke writes one log line with its metrics, like a request (see Observe),
// with "invoke" as its Route. An error or a panic of handle, or an event that cannot
// be decoded, counts in Errors, and the error is logged. handle adds metrics to it by
// Count and Peak, and properties by Tally.
//
// It returns an error if the program does not run as a Lambda function.
func Invoke[In, Out any](ctx context.Context, handle func(context.Context, In) (Out, error)) error {
	return serveInvokes(ctx, func(ctx context.Context, event json.RawMessage) (out Out, err error) {
		var in In
		if err := json.Unmarshal(event, &in); err != nil {
			return out, fmt.Errorf("decode the event: %w", err)
		}
		return handle(ctx, in)
	})
}

// serveInvokes is the loop of Invoke and Batch.
func serveInvokes[Out any](ctx context.Context, handle func(context.Context, json.RawMessage) (Out, error)) error {
	if err := edge.CheckLambda(); err != nil {
		return err
	}
	var running sync.RWMutex
	// The loop never returns: it ends with the process.
	go lambda.StartWithOptions(func(ctx context.Context, event json.RawMessage) (out Out, err error) {
		running.RLock()
		defer running.RUnlock()
		info := trace.Info{Parent: trace.Parent("")}
		if invoke, ok := lambdacontext.FromContext(ctx); ok {
			info.RequestID = invoke.AwsRequestID
		}
		ctx = trace.With(ctx, info)
		err = Measure(ctx, "invoke", func(ctx context.Context) error {
			if out, err = handle(ctx, event); err != nil {
				slog.ErrorContext(ctx, "the invoke failed", "error", err)
			}
			return err
		})
		return out, err
	}, lambda.WithContext(ctx), lambda.WithEnableSIGTERM())
	<-ctx.Done()
	running.Lock()
	return nil
}
