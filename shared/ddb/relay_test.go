package ddb_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"

	"testing"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
)

// queue is an outbox of numbered events that keeps none in memory.
type queue struct {
	next   int
	end    int
	failed []int
	heap   uint64 // the most that was in use before a batch
}

func (q *queue) Take(ctx context.Context, limit int, send func(context.Context, []audit.Message) []error) (int, error) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	q.heap = max(q.heap, memory.HeapAlloc)
	ids := q.failed[:min(limit, len(q.failed))]
	q.failed = q.failed[len(ids):]
	for len(ids) < limit && q.next < q.end {
		ids = append(ids, q.next)
		q.next++
	}
	if len(ids) == 0 {
		return 0, nil
	}
	batch := make([]audit.Message, len(ids))
	for i, id := range ids {
		e := numbered(id)
		batch[i] = audit.Message{ID: int64(id), Event: &e}
	}
	for i, err := range send(ctx, batch) {
		if err != nil {
			q.failed = append(q.failed, ids[i])
		}
	}
	return len(ids), nil
}

func (q *queue) Depth(context.Context, int) (int, time.Duration, error) {
	return q.end - q.next, 0, nil
}
func (q *queue) Purge(context.Context, time.Duration, int) (int, error) { return 0, nil }

func newRelay(q *queue, log audit.Log) *audit.Relay {
	ignore := func(context.Context, string, int) {}
	return &audit.Relay{Outbox: q, Log: log, Batch: 500, Writers: 16, SendTime: 4 * time.Second, Count: ignore, Peak: ignore}
}

// Throttled, cut off in the middle and with lost answers, the log has each event once,
// and each is indexed.
func TestTheRelayOverAFaultyLog(t *testing.T) {
	stack := ddbtest.Tables(t)
	faulty(t, &stack, func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		// At random: a period could meet the same call of each batch.
		switch n := rand.N(100); {
		case n < 15: // never reached it
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`))
		case n < 35: // its answer is lost
			engine.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			engine.ServeHTTP(w, r)
		}
	})
	log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
	const events = 300
	if err := newRelay(&queue{end: events}, log).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, indexed := count(t, stack, stack.Events), count(t, stack, stack.Index); n != events || indexed != 5*events {
		t.Errorf("%d events, %d index items", n, indexed)
	}
}

// BenchmarkRelay relays events to the engine, and measures its parts alone.
func BenchmarkRelay(b *testing.B) {
	perSecond := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s") }
	b.Run("whole", func(b *testing.B) {
		log, _ := newBenchLog(b)
		q := &queue{end: b.N}
		if err := newRelay(q, log).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		perSecond(b)
		b.ReportMetric(float64(q.heap>>20), "MiB")
	})
	b.Run("puts", func(b *testing.B) {
		log, _ := newBenchLog(b)
		if err := newRelay(&queue{end: b.N}, unindexed{log}).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		perSecond(b)
	})
	b.Run("index", func(b *testing.B) {
		log, _ := newBenchLog(b)
		if err := newRelay(&queue{end: b.N}, onlyIndexed{log}).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		perSecond(b)
	})
	b.Run("nothing", func(b *testing.B) {
		if err := newRelay(&queue{end: b.N}, onlyIndexed{unindexed{}}).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		perSecond(b)
	})
}

func newBenchLog(b *testing.B) (*ddb.Log, ddbtest.Stack) {
	log, stack := newLog(b)
	b.ResetTimer()
	return log, stack
}

type unindexed struct{ audit.Log }

func (unindexed) Index(context.Context, []event.Event) error { return nil }

type onlyIndexed struct{ audit.Log }

func (onlyIndexed) Put(context.Context, audit.Stored) (*audit.Stored, error) { return nil, nil }
