package boot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/boot/boottest"
	"plaudit/shared/edge"
)

// streamEvent returns an event of a DynamoDB stream. Each record is what
// testdata/program does with it; its sequence number is 100, 200 and so on.
func streamEvent(records ...string) string {
	var list []string
	for i, do := range records {
		do, traceparent, _ := strings.Cut(do, " ")
		list = append(list, fmt.Sprintf(`{"eventID": "event-%d", "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {
			"SequenceNumber": "%d00", "Keys": {"do": {"S": %q}}, "NewImage": {"traceparent": {"S": %q}}}}`, i, i+1, do, traceparent))
	}
	return `{"Records": [` + strings.Join(list, ", ") + `]}`
}

// queueEvent is streamEvent for a queue. The message ids are m-1, m-2 and so on.
func queueEvent(messages ...string) string {
	var list []string
	for i, do := range messages {
		list = append(list, fmt.Sprintf(`{"messageId": "m-%d", "body": %q, "eventSource": "aws:sqs"}`, i+1, do))
	}
	return `{"Records": [` + strings.Join(list, ", ") + `]}`
}

func TestBatchOfARealProgram(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	soon := func() time.Time { return time.Now().Add(edge.Reserve + time.Second) }
	past := func() time.Time { return time.Now().Add(-time.Second) }
	later := func() time.Time { return time.Now().Add(time.Minute) }
	for _, c := range []struct {
		name, mode, event string
		deadline          func() time.Time
		failures          string // the ids that are reported
		begun             string // the ids that the handler saw
		records, failed   float64
	}{
		{"stream: all well", "stream", streamEvent("ok", "ok"), later, "", "100 200", 2, 0},
		{"stream: it stops at the first failure and reports its sequence number", "stream", streamEvent("ok", "fail", "ok", "fail"), later, "200", "100 200", 4, 3},
		{"stream: a panic is the failure of its record", "stream", streamEvent("panic", "ok"), later, "100", "100", 2, 2},
		{"stream: from the deadline on nothing begins", "stream", streamEvent("ok", "ok", "ok"), past, "100", "", 3, 3},
		{"stream: the deadline ends a record that hangs", "stream", streamEvent("wait", "ok"), soon, "100", "100", 2, 2},
		{"whole: all well", "whole", streamEvent("ok", "ok"), later, "", "100 200", 2, 0},
		{"whole: the handler has seen every record, and the first failure is reported", "whole", streamEvent("ok", "fail", "ok", "fail"), later, "200", "100 200 300 400", 4, 3},
		{"whole: from the deadline on nothing begins", "whole", streamEvent("ok", "ok"), past, "100", "", 2, 2},
		{"queue: all well", "queue", queueEvent("ok", "ok"), later, "", "m-1 m-2", 2, 0},
		{"queue: it continues and reports each failed message", "queue", queueEvent("fail", "ok", "panic", "ok"), later, "m-1 m-3", "m-1 m-2 m-3 m-4", 4, 2},
		{"queue: from the deadline on nothing begins", "queue", queueEvent("ok", "ok", "ok"), past, "m-1 m-2 m-3", "", 3, 3},
		{"queue: the deadline ends a message that hangs, and the rest waits", "queue", queueEvent("ok", "wait", "ok"), soon, "m-2 m-3", "m-1 m-2", 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := boottest.StartRuntime(t)
			p := boottest.Run(t, bin, "MODE="+c.mode, "DSN=x", "PASSWORD=", "LIMIT=1", api.Env)
			id := api.SendUntil(c.event, c.deadline())
			items := []string{}
			for _, f := range strings.Fields(c.failures) {
				items = append(items, fmt.Sprintf(`{"itemIdentifier":%q}`, f))
			}
			if a, want := api.Answer(), `{"batchItemFailures":[`+strings.Join(items, ",")+`]}`; a.Failed || a.Body != want {
				t.Errorf("got %+v, want %s", a, want)
			}
			p.Terminate()
			if status := p.Wait(); status != 0 {
				t.Errorf("exit status %d", status)
			}
			var begun []string
			for line := range strings.SplitSeq(p.Output(), "\n") {
				if _, rest, ok := strings.Cut(line, `"message":"record `); ok {
					record, _, _ := strings.Cut(rest, `"`)
					begun = append(begun, record)
				}
			}
			if got := strings.Join(begun, " "); got != c.begun {
				t.Errorf("the handler saw %q, want %q", got, c.begun)
			}
			var logged []string
			for _, line := range p.Lines("a record failed") {
				if line["level"] != "ERROR" || line["request_id"] != id {
					t.Errorf("a failure is logged as %v", line)
				}
				logged = append(logged, line["record"].(string))
			}
			if c.mode == "whole" && len(logged) > 1 {
				logged = logged[:1] // the handler knows of the later ones, too
			}
			if !slices.Equal(logged, strings.Fields(c.failures)) {
				t.Errorf("the log has the failures %v", logged)
			}
			line := p.Line("request")
			if line["Route"] != "invoke" || line["Errors"] != 0.0 || line["Requests"] != 1.0 || line["Records"] != c.records || line["RecordFailures"] != c.failed || line["request_id"] != id {
				t.Errorf("the metrics are %v", line)
			}
			if declared := fmt.Sprint(line["_aws"]); !strings.Contains(declared, "Records") || !strings.Contains(declared, "RecordFailures") {
				t.Errorf("the line declares %s", declared)
			}
		})
	}
}

func TestAPanicFailsAWholeBatch(t *testing.T) {
	api := boottest.StartRuntime(t)
	boottest.Run(t, boottest.Build(t, "./testdata/program"), "MODE=whole", "DSN=x", "PASSWORD=", "LIMIT=1", api.Env)
	api.Send(streamEvent("ok", "panic"))
	if a := api.Answer(); !a.Failed || !strings.Contains(a.Body, "the record is odd") {
		t.Errorf("answered %+v", a)
	}
}

func TestEachRecordHasATrace(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	api := boottest.StartRuntime(t)
	p := boottest.Run(t, bin, "MODE=stream", "DSN=x", "PASSWORD=", "LIMIT=1", api.Env)
	id := api.Send(streamEvent("ok "+parent, "ok", "ok 00-forged"))
	api.Answer()
	seen := map[any]bool{}
	for i, record := range []string{"record 100", "record 200", "record 300"} {
		line := p.Line(record)
		traceID := line["trace_id"].(string)
		if line["request_id"] != id || len(traceID) != 32 || seen[traceID] || (traceID == "0af7651916cd43dd8448eb211c80319c") != (i == 0) {
			t.Errorf("%s: %v", record, line)
		}
		seen[traceID] = true
	}
	if line := p.Line("request"); seen[line["trace_id"]] {
		t.Errorf("the invoke has the trace of a record: %v", line)
	}
}

func TestEventsOfAnotherSourceFailTheInvoke(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	for mode, events := range map[string][]string{
		"stream": {`{}`, `{"Records": []}`, `[]`, `{"Records": [{"eventID": "no sequence number"}]}`, queueEvent("ok")},
		"queue":  {`{}`, `{"Records": null}`, `"x"`, streamEvent("ok")},
	} {
		api := boottest.StartRuntime(t)
		p := boottest.Run(t, bin, "MODE="+mode, "DSN=x", "PASSWORD=", "LIMIT=1", api.Env)
		for _, event := range events {
			api.Send(event)
			if a := api.Answer(); !a.Failed {
				t.Errorf("%s: %s is answered with %s", mode, event, a.Body)
			}
		}
		p.Terminate()
		p.Wait()
		for _, line := range p.Lines("request") {
			if line["Errors"] != 1.0 || line["Records"] != nil {
				t.Errorf("%s: the metrics are %v", mode, line)
			}
		}
		if strings.Contains(p.Output(), `"message":"record `) {
			t.Errorf("%s: the handler was called:\n%s", mode, p.Output())
		}
	}
}
