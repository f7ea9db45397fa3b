package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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
	"plaudit/local/part/parttest"
	"plaudit/local/process"
)

// program prints its events; it is the one of local/eventbridge.
var program string

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "scheduler")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "../eventbridge/testdata/function")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the function:", err)
		return 1
	}
	return m.Run()
}

const functionARN = "arn:aws:lambda:ap-northeast-2:000000000000:function:tick"

// functions has one function; it gives nobody permission, because a schedule needs none.
type functions struct{ service *lambda.Service }

func (f functions) Function(name string) (*lambda.Function, bool) { return f.service.Function(name) }

func (f functions) Permissions(arn, _, _ string) ([]string, bool) { return nil, arn == functionARN }

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

// stack is a service with a function, and what run.json says.
type stack struct {
	*Service
	log *buffer
	run part.Run
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{log: &buffer{}}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	runs := lambda.NewService(group, logger)
	runs.Output = s.log
	if _, err := runs.Add(lambda.Config{Name: "tick", ARN: functionARN, Region: "ap-northeast-2", Binary: program, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	l := parttest.Laptop()
	l.Log = logger
	l.ChangeRun = func(change func(*part.Run)) error { change(&s.run); return nil }
	s.Service = New(l, functions{runs})
	t.Cleanup(func() {
		s.Stop()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		runs.Close(ctx)
		if err := group.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
	})
	return s
}

// resource is a schedule with properties, of which the last one of a name counts.
func resource(properties ...string) string {
	all := map[string]string{
		"Name": "tick", "ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": "{ Mode: \"OFF\" }",
		"Target": "{ Arn: \"" + functionARN + "\", RoleArn: \"arn:aws:iam::000000000000:role/s\" }",
	}
	for _, one := range properties {
		name, value, _ := strings.Cut(one, ": ")
		all[name] = value
	}
	out := "\n  Tick:\n    Type: AWS::Scheduler::Schedule\n    Properties:\n"
	for name, value := range all {
		out += "      " + name + ": " + value + "\n"
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// A rate without a start fires at once.
func TestAScheduleInvokesItsFunction(t *testing.T) {
	s := newStack(t)
	if _, err := parttest.Read(t, part.List{s.Service}, resource()); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an event", func() bool { return strings.Contains(s.log.String(), "got ") })
	_, text, _ := strings.Cut(s.log.String(), "got ")
	text, _, _ = strings.Cut(text, "\n")
	var event events.EventBridgeEvent
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatal(err)
	}
	if event.Source != "aws.scheduler" || event.DetailType != "Scheduled Event" || len(event.Resources) != 1 ||
		event.Resources[0] != "arn:aws:scheduler:ap-northeast-2:000000000000:schedule/default/tick" || string(event.Detail) != `"{}"` {
		t.Errorf("event %s", text)
	}
	want := part.RunSchedule{Name: "tick", ARN: "arn:aws:scheduler:ap-northeast-2:000000000000:schedule/default/tick", Function: "tick"}
	if len(s.run.Schedules) != 1 || s.run.Schedules[0] != want {
		t.Errorf("run.json lists %+v", s.run.Schedules)
	}
}

func TestTheInputHasAttributesOfTheSchedule(t *testing.T) {
	s := newStack(t)
	if _, err := parttest.Read(t, part.List{s.Service}, resource(`Target: { Arn: "`+functionARN+`", RoleArn: "r", Input: '{"do":"<aws.scheduler.schedule-arn>"}' }`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an event", func() bool {
		return strings.Contains(s.log.String(), `got {"do":"arn:aws:scheduler:ap-northeast-2:000000000000:schedule/default/tick"}`)
	})
}

func TestADisabledScheduleDoesNotRun(t *testing.T) {
	s := newStack(t)
	if _, err := parttest.Read(t, part.List{s.Service}, resource("State: DISABLED")); err != nil {
		t.Fatal(err)
	}
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.run.Schedules) > 0 {
		t.Errorf("run.json lists %+v", s.run.Schedules)
	}
}

func TestTheExpressionIsReadInItsZone(t *testing.T) {
	s := newStack(t)
	if _, err := parttest.Read(t, part.List{s.Service}, resource("ScheduleExpression: cron(0 9 * * ? *)", "ScheduleExpressionTimezone: Asia/Seoul", `StartDate: "2026-12-01T00:00:00Z"`, `EndDate: "2026-12-02T00:00:01+00:00"`)); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	for _, want := range []time.Time{time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), {}} {
		if at = s.schedules[0].expression.Next(at); !at.Equal(want) {
			t.Errorf("fires at %v, want %v", at, want)
		}
	}
}

func TestValues(t *testing.T) {
	s := newStack(t)
	read, err := parttest.Read(t, part.List{s.Service}, resource())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := read.Resource("Tick")
	if got := s.Values(r); got["Ref"] != "tick" || got["Arn"] != "arn:aws:scheduler:ap-northeast-2:000000000000:schedule/default/tick" {
		t.Errorf("got %v", got)
	}
}

func TestWrongSchedules(t *testing.T) {
	target := func(rest string) string { return `Target: { Arn: "` + functionARN + `", RoleArn: "r"` + rest + ` }` }
	for _, c := range []struct{ property, want string }{
		{"ScheduleExpression: soon", "ScheduleExpression"},
		{"ScheduleExpression: cron(0 0 * * *)", "six fields"},
		{"ScheduleExpressionTimezone: Asia/Soul", `"Asia/Soul" is not a time zone`},
		{"ScheduleExpressionTimezone: Local", "is not a time zone"},
		{"ScheduleExpressionTimezone: GMT+9", "is not a time zone"},
		{"StartDate: tomorrow", "StartDate"},
		{`EndDate: "2026-11-28"`, "EndDate"},
		{"State: \"ON\"", "State"},
		{"GroupName: mine", "GroupName"},
		{"FlexibleTimeWindow: { Mode: FLEXIBLE }", "FlexibleTimeWindow.Mode"},
		{"FlexibleTimeWindow: { Mode: FLEXIBLE, MaximumWindowInMinutes: 5 }", "MaximumWindowInMinutes"},
		{"Name: a/b", "Name"},
		{target(", Input: '{'"), "Target.Input"},
		{target(", SqsParameters: {}"), "SqsParameters"},
		{`Target: { Arn: "` + functionARN + `" }`, "Target.RoleArn"},
		{`Target: { Arn: "arn:aws:sqs:ap-northeast-2:000000000000:q", RoleArn: r }`, "arn:aws:sqs"},
	} {
		t.Run(c.property, func(t *testing.T) {
			s := newStack(t)
			_, err := parttest.Read(t, part.List{s.Service}, resource(c.property))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Tick") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	s := newStack(t)
	_, err := parttest.Read(t, part.List{s.Service}, resource()+strings.Replace(resource(`StartDate: "2026-11-28T00:00:00Z"`, `EndDate: "2026-11-28T00:00:00Z"`), "Tick:", "Tock:", 1))
	if err == nil || !strings.Contains(err.Error(), "another schedule called tick") || !strings.Contains(err.Error(), "later than StartDate") {
		t.Errorf("two of one name: %v", err)
	}
}
