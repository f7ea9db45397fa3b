package eventbridge

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/local/part/parttest"
	"plaudit/local/template"
)

func newService(t *testing.T) (*Service, *buffer) {
	t.Helper()
	log := &buffer{}
	l := parttest.Laptop()
	l.Folder = t.TempDir()
	return New(l, newFunctions(t, log), noQueues{}), log
}

// noQueues are the queues of a stack without queues.
type noQueues struct{}

func (noQueues) MaySend(string, string, string) (bool, error) { return false, nil }

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
	s.rules[0].schedule = often{}
	d := s.Deliverer()
	if err := errors.Join(s.Start(t.Context()), d.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three events", func() bool { return strings.Count(log.String(), "got ") >= 3 })
	d.Stop()
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

func TestATargetsInputReplacesTheEvent(t *testing.T) {
	s, log := newService(t)
	if err := s.Read(resource(map[string]any{"Targets": []any{map[string]any{"Arn": functionARN, "Id": "Tick", "Input": `{"do":"sweep"}`}}})); err != nil {
		t.Fatal(err)
	}
	d := s.Deliverer()
	if err := errors.Join(s.Start(t.Context()), d.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.fire(s.rules[0], time.Now())
	eventually(t, "the event", func() bool { return strings.Contains(log.String(), `got {"do":"sweep"}`) })
	d.Stop()
	s.Stop()
}

func TestADisabledRuleDoesNotRun(t *testing.T) {
	s, _ := newService(t)
	if err := s.Read(resource(map[string]any{"State": "DISABLED"})); err != nil || s.rules[0].schedule != nil {
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
		{"an input that is not JSON", at(map[string]any{"Input": "{"}), "Targets[0].Input"},
		{"an input path without a dollar sign", at(map[string]any{"InputPath": "id"}), "Targets[0].InputPath"},
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
