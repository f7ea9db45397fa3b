package eventsource

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/template"
)

func testService(t *testing.T) *Service {
	l := part.Laptop{
		Names:  part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: "ap-northeast-2", AccountID: "000000000000"}},
		Folder: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}
	return New(l, engine.New(l), nil)
}

func mappingResource(changes map[string]any) template.Resource {
	properties := map[string]any{"EventSourceArn": testStream, "FunctionName": "consumer", "StartingPosition": "TRIM_HORIZON"}
	maps.Copy(properties, changes)
	return template.Resource{ID: "ConsumerStream", Type: "AWS::Lambda::EventSourceMapping", Properties: properties}
}

func TestReadAMapping(t *testing.T) {
	s := testService(t)
	err := s.Read(mappingResource(map[string]any{
		"StartingPosition": "LATEST", "BatchSize": 25, "MaximumBatchingWindowInSeconds": 1, "BisectBatchOnFunctionError": true,
		"MaximumRetryAttempts": 5, "MaximumRecordAgeInSeconds": 3600, "ParallelizationFactor": 1, "Enabled": true,
		"FunctionResponseTypes": []any{"ReportBatchItemFailures"},
		"FilterCriteria":        map[string]any{"Filters": []any{map[string]any{"Pattern": `{"eventName":["INSERT"]}`}}},
		"DestinationConfig":     map[string]any{"OnFailure": map[string]any{"Destination": "arn:aws:s3:::failures"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := s.configs[0]
	if !got.Partial || !got.Bisect || got.Start != "LATEST" || got.BatchSize != 25 || got.Window != time.Second || got.Retries != 5 ||
		got.MaxAge != time.Hour || got.Destination != "arn:aws:s3:::failures" || len(got.Filters) != 1 {
		t.Errorf("got %+v", got)
	}
	values := s.Values(mappingResource(nil))
	if values["Ref"] != got.UUID || len(got.UUID) != 36 || values["EventSourceMappingArn"] != "arn:aws:lambda:ap-northeast-2:000000000000:event-source-mapping:"+got.UUID {
		t.Errorf("values %v, UUID %s", values, got.UUID)
	}
}

func TestTheDefaultsOfAMapping(t *testing.T) {
	s := testService(t)
	if err := s.Read(mappingResource(nil)); err != nil {
		t.Fatal(err)
	}
	if got := s.configs[0]; got.BatchSize != 100 || got.Window != 0 || got.Retries != -1 || got.MaxAge != -1 || got.Bisect || got.Partial {
		t.Errorf("got %+v", got)
	}
}

func TestAMappingThatIsOff(t *testing.T) {
	s := testService(t)
	if err := s.Read(mappingResource(map[string]any{"Enabled": "false"})); err != nil || len(s.configs) != 1 || !s.configs[0].Disabled {
		t.Fatalf("%+v, %v", s.configs, err)
	}
	// Its function is not looked for.
	if err := s.Start(t.Context()); err != nil || len(s.running) > 0 {
		t.Errorf("%d mappings run, %v", len(s.running), err)
	}
}

// Each start begins a new laptop.log, so the guard's messages are in another file.
func TestTheNextStartShowsThatTheGuardCouldNotReadTheStreams(t *testing.T) {
	folder, log := t.TempDir(), &buffer{}
	var said []string
	start := func(engineURL string) *Keeper {
		l := part.Laptop{
			Names:  part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: "ap-northeast-2", AccountID: "000000000000"}},
			Folder: folder, Engine: engineURL, Log: slog.New(slog.NewTextHandler(log, nil)), Say: func(text string) { said = append(said, text) },
		}
		s := New(l, engine.New(l), nil)
		if err := s.Read(mappingResource(nil)); err != nil {
			t.Fatal(err)
		}
		k := s.Keeper()
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return k
	}
	const lost = "were not read to their end"
	k := start("")
	if strings.Contains(log.String(), lost) || len(said) > 0 {
		t.Fatalf("at the first start: %s %q", log, said)
	}
	k.held.Close() // as the kernel does for a laptop cloud that was killed
	if err := k.drainCommand("http://127.0.0.1:1").Run(); err == nil {
		t.Fatal("the streams of no engine were read")
	}
	k = start("")
	if !strings.Contains(log.String(), lost) || !strings.Contains(strings.Join(said, "\n"), "connection refused") {
		t.Errorf("after the guard's failure: %s %q", log, said)
	}
	k.held.Close()
	if err := os.Remove(filepath.Join(k.dir, planFile)); err != nil { // as the guard does when it has read them
		t.Fatal(err)
	}
	*log, said = buffer{}, nil
	k = start("http://127.0.0.1:1")
	if strings.Contains(log.String(), lost) || len(said) > 0 {
		t.Errorf("after the guard's success: %s %q", log, said)
	}
	k.held.Close()
	// The user's own engine has the records still.
	k = start("")
	if strings.Contains(log.String(), lost) || len(said) > 0 {
		t.Errorf("after a run with another engine: %s %q", log, said)
	}
	k.held.Close()
}

func TestWrongMappings(t *testing.T) {
	onFailure := func(arn string) map[string]any {
		return map[string]any{"DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": arn}}}
	}
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"a stream of another service as the source", map[string]any{"EventSourceArn": "arn:aws:kinesis:ap-northeast-2:000000000000:stream/log"}, "EventSourceArn"},
		{"a table as the source", map[string]any{"EventSourceArn": "arn:aws:dynamodb:ap-northeast-2:000000000000:table/log"}, "EventSourceArn"},
		{"a position in time", map[string]any{"StartingPosition": "AT_TIMESTAMP"}, "StartingPosition"},
		{"no record in a batch", map[string]any{"BatchSize": 0}, "BatchSize: it must be between 1 and 10000"},
		{"too many records in a batch", map[string]any{"BatchSize": 10001}, "BatchSize"},
		{"too long a window", map[string]any{"MaximumBatchingWindowInSeconds": 301}, "MaximumBatchingWindowInSeconds"},
		{"too many retries", map[string]any{"MaximumRetryAttempts": 10001}, "MaximumRetryAttempts"},
		{"too short an age", map[string]any{"MaximumRecordAgeInSeconds": 59}, "MaximumRecordAgeInSeconds: it must be between 60 and 604800"},
		{"batches side by side", map[string]any{"ParallelizationFactor": 2}, "ParallelizationFactor"},
		{"another kind of answer", map[string]any{"FunctionResponseTypes": []any{"Other"}}, "FunctionResponseTypes"},
		{"a filter that is not a pattern", map[string]any{"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"a":"b"}`}}}}, "FilterCriteria.Filters[0].Pattern: a must be"},
		{"a tumbling window", map[string]any{"TumblingWindowInSeconds": 1}, "TumblingWindowInSeconds"},
		{"a topic as the destination", onFailure("arn:aws:sns:ap-northeast-2:000000000000:topic"), "DestinationConfig.OnFailure.Destination"},
		{"a FIFO queue as the destination", onFailure("arn:aws:sqs:ap-northeast-2:000000000000:q.fifo"), "standard queues"},
		{"a name as the destination", onFailure("failures"), "not the ARN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := testService(t).Read(mappingResource(c.changes))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ConsumerStream") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
