package eventsource

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"plaudit/local/pattern"
)

// What mappings for streams and for queues have in common.

// Invoke calls a function, as lambda.Function.Invoke does.
type Invoke func(ctx context.Context, event []byte) (response []byte, functionError string, err error)

// maxPayload is the limit of an event. Lambda ends a batch before it.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
const maxPayload = 6<<20 - 16<<10

// filters are the patterns of a mapping.
type filters []*pattern.Pattern

func parseFilters(texts []string) (filters, error) {
	var out filters
	for _, text := range texts {
		p, err := pattern.Parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// let reports whether the filters let a record through: one of them must match, if
// there is one.
func (f filters) let(record []byte) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(p *pattern.Pattern) bool { return p.Match(record) })
}

// Keys of an answer that reports failures.
const (
	failuresKey = "batchItemFailures"
	itemKey     = "itemIdentifier"
)

// failedItems reads the answer of a function that reports failures, and returns the
// indexes of the records that it names; ok is false for an answer that cannot be
// understood or names an unknown record, which is a failure of the whole batch. Names
// of keys count in this case only, which a struct's would not.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func failedItems(response []byte, index map[string]int) (failed []int, ok bool) {
	if len(response) == 0 {
		return nil, true
	}
	var answer map[string]json.RawMessage
	if json.Unmarshal(response, &answer) != nil {
		return nil, false
	}
	for name := range answer {
		if name != failuresKey && strings.EqualFold(name, failuresKey) {
			return nil, false
		}
	}
	list, ok := answer[failuresKey]
	if !ok {
		return nil, true
	}
	var failures []map[string]json.RawMessage
	if json.Unmarshal(list, &failures) != nil {
		return nil, false
	}
	for _, f := range failures {
		var item string
		if json.Unmarshal(f[itemKey], &item) != nil {
			return nil, false
		}
		i, ok := index[item]
		if !ok {
			return nil, false
		}
		failed = append(failed, i)
	}
	return failed, true
}

// pause waits before another try: the shortest delay before the second one,
// twice as long before each further one.
func pause(ctx context.Context, between [2]time.Duration, tries int) error {
	if tries == 0 {
		return ctx.Err()
	}
	delay := between[0] << min(tries-1, 20)
	timer := time.NewTimer(min(delay, between[1]))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// linger returns a context that outlives ctx by the grace.
func linger(ctx context.Context, grace time.Duration) (context.Context, func()) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return out, func() {
		stop()
		cancel()
	}
}
