package schedule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/template"
)

// program is the binary of testdata/function.
var program string

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "schedule")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "./testdata/function")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the function:", err)
		return 1
	}
	return m.Run()
}

const functionARN = "arn:aws:lambda:ap-northeast-2:000000000000:function:tick"

// functions has one function, which every rule called tick may invoke.
type functions struct{ service *lambda.Service }

func (f functions) Function(name string) (*lambda.Function, bool) { return f.service.Function(name) }

func (f functions) Permissions(arn, principal, source string) ([]string, bool) {
	if principal == "events.amazonaws.com" && strings.HasSuffix(source, ":rule/tick") {
		return []string{"Permission"}, arn == functionARN
	}
	return nil, arn == functionARN
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newService(t *testing.T) (*Service, *buffer) {
	t.Helper()
	log := &buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	runs := lambda.NewService(group, logger)
	runs.Output = log
	if _, err := runs.Add(lambda.Config{Name: "tick", ARN: functionARN, Region: "ap-northeast-2", Binary: program, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	s := New(part.Laptop{
		Names:   part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: "ap-northeast-2", AccountID: "000000000000"}},
		Log:     logger,
		Started: func(string, string, time.Duration) {},
	}, functions{runs})
	t.Cleanup(func() {
		s.Stop()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		runs.Close(ctx)
		if err := group.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return s, log
}

func resource(changes map[string]any) template.Resource {
	properties := map[string]any{
		"Name": "tick", "ScheduleExpression": "rate(1 minute)", "Targets": []any{map[string]any{"Arn": functionARN, "Id": "Tick"}},
	}
	maps.Copy(properties, changes)
	return template.Resource{ID: "Tick", Type: "AWS::Events::Rule", Properties: properties}
}

// often fires every few milliseconds.
type often struct{}

func (often) Next(t time.Time) time.Time { return t.Add(5 * time.Millisecond) }

func TestARuleInvokesItsFunction(t *testing.T) {
	s, log := newService(t)
	if err := s.Read(resource(nil)); err != nil {
		t.Fatal(err)
	}
	if err := s.Link(nil); err != nil {
		t.Fatal(err)
	}
	s.rules[0].expression = often{}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three events", func() bool { return strings.Count(log.String(), "got ") >= 3 })
	s.Stop()
	_, text, _ := strings.Cut(log.String(), "got ")
	text, _, _ = strings.Cut(text, "\n")
	var event events.EventBridgeEvent
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatal(err)
	}
	if event.DetailType != "Scheduled Event" || event.Source != "aws.events" || event.AccountID != "000000000000" || event.Region != "ap-northeast-2" ||
		len(event.Resources) != 1 || event.Resources[0] != "arn:aws:events:ap-northeast-2:000000000000:rule/tick" || event.ID == "" || event.Time.IsZero() || string(event.Detail) != "{}" {
		t.Errorf("event %s", text)
	}
}

func TestTheEventIsTheOneThatEventBridgeSends(t *testing.T) {
	n := part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: "us-east-1", AccountID: "123456789012"}}
	got := string(Event(n, "arn:aws:events:us-east-1:123456789012:rule/MyScheduledRule", time.Date(2022, 3, 8, 19, 0, 0, 5, time.FixedZone("", 3600))))
	start, rest, ok := strings.Cut(got, `"id":"`)
	if !ok || start != `{"version":"0",` || rest[36:] != `","detail-type":"Scheduled Event","source":"aws.events","account":"123456789012","time":"2022-03-08T18:00:00Z","region":"us-east-1","resources":["arn:aws:events:us-east-1:123456789012:rule/MyScheduledRule"],"detail":{}}` {
		t.Errorf("got %s", got)
	}
}

func TestATargetsInputReplacesTheEvent(t *testing.T) {
	s, log := newService(t)
	if err := s.Read(resource(map[string]any{"Targets": []any{map[string]any{"Arn": functionARN, "Id": "Tick", "Input": `{"do":"sweep"}`}}})); err != nil {
		t.Fatal(err)
	}
	s.fire(s.rules[0], time.Now())
	eventually(t, "the event", func() bool { return strings.Contains(log.String(), `got {"do":"sweep"}`) })
}

func TestADisabledRuleDoesNotRun(t *testing.T) {
	s, _ := newService(t)
	if err := s.Read(resource(map[string]any{"State": "DISABLED"})); err != nil || len(s.rules) > 0 {
		t.Errorf("%v, %v", s.rules, err)
	}
}

func TestValues(t *testing.T) {
	s, _ := newService(t)
	if got := s.Values(resource(nil)); got["Ref"] != "tick" || got["Arn"] != "arn:aws:events:ap-northeast-2:000000000000:rule/tick" {
		t.Errorf("got %v", got)
	}
}

func TestWrongRules(t *testing.T) {
	at := func(more map[string]any) map[string]any {
		one := map[string]any{"Arn": functionARN, "Id": "Tick"}
		maps.Copy(one, more)
		return map[string]any{"Targets": []any{one}}
	}
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"no schedule", map[string]any{"ScheduleExpression": "soon"}, "ScheduleExpression"},
		{"a pattern", map[string]any{"EventPattern": map[string]any{}}, "EventPattern"},
		{"an unknown state", map[string]any{"State": "ON"}, "State"},
		{"a bus", map[string]any{"EventBusName": "mine"}, "EventBusName"},
		{"an input that is no JSON", at(map[string]any{"Input": "{"}), "Targets[0].Input"},
		{"a part of the event", at(map[string]any{"InputPath": "$.id"}), "Targets[0].InputPath"},
		{"two targets of one name", map[string]any{"Targets": []any{map[string]any{"Arn": functionARN, "Id": "a"}, map[string]any{"Arn": functionARN, "Id": "a"}}}, "Targets[1].Id"},
		{"a target that is no function", at(map[string]any{"Arn": "arn:aws:sqs:ap-northeast-2:000000000000:q"}), "arn:aws:sqs"},
		{"no permission", map[string]any{"Name": "other"}, "no permission"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newService(t)
			err := s.Read(resource(c.changes))
			if err == nil {
				err = s.Link(nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Tick") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatTheClockDoes(t *testing.T) {
	at := func(clock string) time.Time { return instant(t, "2026-11-28 "+clock) }
	hourly, err := Parse("cron(0 * * * ? *)")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		expression Expression
		now        []string
		want       string // one letter for each look
	}{
		{"it fires once an hour", hourly, []string{"10:30", "10:59", "11:00", "11:01", "12:00"}, "--F-F"},
		{"what was missed fires once", hourly, []string{"10:30", "14:10", "14:11", "15:00"}, "-F-F"},
		{"a clock that was set back", hourly, []string{"10:30", "11:00", "09:15", "10:00", "11:00"}, "-F-FF"},
		{"a rate", rate(time.Hour), []string{"10:30", "11:29", "11:30", "12:29", "12:30"}, "--F-F"},
		{"a rate that was missed", rate(time.Hour), []string{"10:30", "14:10", "15:09", "15:10"}, "-F-F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rule{expression: c.expression}
			got := ""
			for _, clock := range c.now {
				if r.due(at(clock)) {
					got += "F"
				} else {
					got += "-"
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
