package eventbridge

import (
	"fmt"
	"testing"
	"time"

	"plaudit/local/part/parttest"
	"plaudit/local/template"
)

// BenchmarkPut puts events that one of four rules matches. Nothing delivers them.
func BenchmarkPut(b *testing.B) {
	l := parttest.Laptop()
	l.Folder = b.TempDir()
	s := New(l, nil, noQueues{})
	for i := range 4 {
		if err := s.Read(template.Resource{ID: fmt.Sprint("Rule", i), Type: ruleType, Properties: map[string]any{
			"Name": fmt.Sprint("rule", i), "EventPattern": map[string]any{"source": []any{"/plaudit/scores"}, "detail": map[string]any{"notify": []any{map[string]any{"exists": i == 0}}, "n": []any{i}}},
			"Targets": []any{map[string]any{"Id": "q", "Arn": "arn:aws:sqs:ap-northeast-2:000000000000:q"}},
		}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	entry := []Entry{{Source: "/plaudit/scores", DetailType: "plaudit.entry.added", Detail: `{"notify":"u1","n":0,"data":{"points":10,"player":"p1","board":"demo"}}`}}
	for b.Loop() {
		if err := s.Put(b.Context(), entry); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDelivery measures the time from PutEvents until the queue has the message.
func BenchmarkDelivery(b *testing.B) {
	s := newStack(b, oneQueue)
	var total time.Duration
	for b.Loop() {
		began := time.Now()
		s.put("s", "t", `{"notify":"u1"}`)
		for s.service.waits() > 0 {
			time.Sleep(50 * time.Microsecond)
		}
		total += time.Since(began)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/delivery")
}
