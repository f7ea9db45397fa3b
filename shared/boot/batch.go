package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/crash"
	"plaudit/shared/edge"
	"plaudit/shared/trace"
)

// Record is a record of a DynamoDB stream or a message of an SQS queue.
type Record interface {
	events.DynamoDBEventRecord | events.SQSMessage
}

// Batch serves a Lambda whose events are batches of a stream or of a queue. It
// calls handle for each record, in order, and reports those that failed as a
// partial batch response, for which the event source mapping needs
// FunctionResponseTypes: [ReportBatchItemFailures]. A panic counts as the failure of
// its record.
//
//   - Lambda retries a stream from the first reported record on, so Batch stops at the first failure and reports that record, by its
//     sequence number
//     (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html).
//   - Lambda retries only the reported messages of a queue, so Batch continues and
//     reports each failed one by its message id. Use it for standard queues: it
//     would break the order of a FIFO queue
//     (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
//
// A record's context ends shortly before the invoke's deadline. A record that
// has not begun by then, or by the end of ctx, is reported as failed, so
// it is not lost. The context carries a trace.Info with the invoke's request id and the
// trace that traceparent returns for the record; if it returns no valid one, or
// is nil, the trace is a new one.
//
// Each invoke writes one log line with its metrics, as in Invoke, and two more:
// Records, the number of records in the batch, and RecordFailures, the number of
// those that failed or had not begun. For a stream, RecordFailures includes every
// record from the first failure on. A failed record is not an error of the invoke.
func Batch[R Record](ctx context.Context, handle func(context.Context, R) error, traceparent func(R) string) error {
	return serveBatches(ctx, func(ctx context.Context, records []R, ids []string) []bool {
		done := make([]bool, len(records))
		for i, r := range records {
			if done[i] = handleRecord(ctx, r, ids[i], handle, traceparent); !done[i] && isStream(r) {
				break
			}
		}
		return done
	})
}

// WholeBatch is Batch for a handler that takes the records of an invoke together. It
// returns as many errors as there are records, in their order, and nil for those that are
// done. A panic fails the invoke, so that BisectBatchOnFunctionError finds its record.
func WholeBatch[R Record](ctx context.Context, handle func(context.Context, []R) []error) error {
	return serveBatches(ctx, func(ctx context.Context, records []R, ids []string) []bool {
		errs := slices.Repeat([]error{ctx.Err()}, len(records))
		if ctx.Err() == nil {
			crash.At(crash.BeforeConsume)
			errs = handle(ctx, records)
			crash.At(crash.AfterConsume)
		}
		done := make([]bool, len(records))
		for i, err := range errs {
			if done[i] = err == nil; !done[i] {
				slog.ErrorContext(ctx, "a record failed", "record", ids[i], "error", err)
			}
		}
		return done
	})
}

// serveBatches is the loop of Batch and WholeBatch. handle reports for each record whether
// it is done, and logs the failures.
func serveBatches[R Record](ctx context.Context, handle func(ctx context.Context, records []R, ids []string) (done []bool)) error {
	return serveInvokes(ctx, func(ctx context.Context, event json.RawMessage) (*batchResponse, error) {
		var batch struct{ Records []R }
		if err := json.Unmarshal(event, &batch); err != nil {
			return nil, fmt.Errorf("decode the event: %w", err)
		}
		ids := make([]string, len(batch.Records))
		for i, r := range batch.Records {
			// An empty id would tell Lambda that the whole batch failed.
			if ids[i] = recordID(r); ids[i] == "" {
				return nil, fmt.Errorf("record %d has no id: the event does not come from this function's source", i)
			}
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("the event has no Records: it must come from a stream or a queue")
		}
		ctx, cancel := edge.WithReserve(ctx)
		defer cancel()
		response := &batchResponse{Failures: []batchFailure{}}
		failures := 0
		for i, done := range handle(ctx, batch.Records, ids) {
			if done {
				continue
			}
			response.Failures = append(response.Failures, batchFailure{ids[i]})
			if isStream(batch.Records[i]) {
				failures = len(ids) - i
				break
			}
			failures++
		}
		Count(ctx, "Records", len(ids))
		Count(ctx, "RecordFailures", failures)
		return response, nil
	})
}

func isStream[R Record](r R) bool {
	_, ok := any(r).(events.DynamoDBEventRecord)
	return ok
}

// batchResponse is the partial batch response of both sources.
type (
	batchResponse struct {
		Failures []batchFailure `json:"batchItemFailures"`
	}
	batchFailure struct {
		Item string `json:"itemIdentifier"`
	}
)

// recordID returns the id by which a failure is reported. For a stream it is the
// sequence number, never the EventID.
func recordID[R Record](r R) string {
	switch r := any(r).(type) {
	case events.DynamoDBEventRecord:
		return r.Change.SequenceNumber
	case events.SQSMessage:
		return r.MessageId
	}
	return ""
}

// handleRecord calls handle in the record's own trace, and logs its failure. It
// reports whether the record is done.
func handleRecord[R Record](ctx context.Context, r R, id string, handle func(context.Context, R) error, traceparent func(R) string) (ok bool) {
	ctx = trace.With(ctx, trace.Info{RequestID: trace.From(ctx).RequestID, Parent: trace.Parent("")})
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a record failed", "record", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			ok = false
		}
	}()
	if traceparent != nil {
		ctx = trace.With(ctx, trace.Info{RequestID: trace.From(ctx).RequestID, Parent: trace.Parent(traceparent(r))})
	}
	err := ctx.Err()
	if err != nil {
		err = fmt.Errorf("not begun: %w", err)
	} else {
		crash.At(crash.BeforeConsume)
		err = handle(ctx, r)
		crash.At(crash.AfterConsume)
	}
	if err != nil {
		slog.ErrorContext(ctx, "a record failed", "record", id, "error", err)
	}
	return err == nil
}
