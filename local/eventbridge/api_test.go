package eventbridge

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
)

// code returns the code of an error of the API.
func code(err error) string {
	var named smithy.APIError
	if errors.As(err, &named) {
		return named.ErrorCode()
	}
	return ""
}

func TestEntriesThatAreRefused(t *testing.T) {
	s := newStack(t, oneQueue)
	entry := func(change func(*types.PutEventsRequestEntry)) types.PutEventsRequestEntry {
		e := types.PutEventsRequestEntry{EventBusName: aws.String("bus"), Source: aws.String("s"), DetailType: aws.String("t"), Detail: aws.String("{}")}
		change(&e)
		return e
	}
	for _, c := range []struct {
		name, want string
		change     func(*types.PutEventsRequestEntry)
	}{
		{"a detail that is text", "MalformedDetail", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(`"x"`) }},
		{"a detail that is a list", "MalformedDetail", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(`[]`) }},
		{"a detail that is no JSON", "MalformedDetail", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(`{"a":}`) }},
		{"a detail with something behind it", "MalformedDetail", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(`{} {}`) }},
		{"a detail with NaN", "MalformedDetail", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(`{"a":NaN}`) }},
		{"no detail", "InvalidArgument", func(e *types.PutEventsRequestEntry) { e.Detail = nil }},
		{"no source", "InvalidArgument", func(e *types.PutEventsRequestEntry) { e.Source = nil }},
		{"an empty detail type", "InvalidArgument", func(e *types.PutEventsRequestEntry) { e.DetailType = aws.String("") }},
		{"a long detail type", "InvalidArgument", func(e *types.PutEventsRequestEntry) { e.DetailType = aws.String(strings.Repeat("ㅎ", 129)) }},
		{"a source of AWS", "NotAuthorizedForSourceException", func(e *types.PutEventsRequestEntry) { e.Source = aws.String("aws.ses") }},
		{"a detail type of 128 characters", "", func(e *types.PutEventsRequestEntry) { e.DetailType = aws.String(strings.Repeat("ㅎ", 128)) }},
		{"spaces around a detail", "", func(e *types.PutEventsRequestEntry) { e.Detail = aws.String(" {\n} ") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := s.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry(func(*types.PutEventsRequestEntry) {}), entry(c.change)}})
			if err != nil {
				t.Fatal(err)
			}
			if got := aws.ToString(out.Entries[1].ErrorCode); got != c.want || (c.want == "") != (out.Entries[1].EventId != nil) || (c.want == "") != (out.FailedEntryCount == 0) {
				t.Errorf("%d failed, code %q, %s", out.FailedEntryCount, got, aws.ToString(out.Entries[1].ErrorMessage))
			}
			if out.Entries[0].EventId == nil {
				t.Error("the other entry is refused too")
			}
		})
	}
	many := func(n int, change func(*types.PutEventsRequestEntry)) (out []types.PutEventsRequestEntry) {
		for range n {
			out = append(out, entry(change))
		}
		return out
	}
	sized := func(n int) func(*types.PutEventsRequestEntry) { // source, type and detail
		return func(e *types.PutEventsRequestEntry) {
			e.Detail = aws.String(`{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)-2) + `"}`)
		}
	}
	for _, c := range []struct {
		name, want string
		entries    []types.PutEventsRequestEntry
	}{
		{"eleven entries", "ValidationException", many(11, func(*types.PutEventsRequestEntry) {})},
		{"no entry", "ValidationException", []types.PutEventsRequestEntry{}},
		{"a bus that does not exist", "ResourceNotFoundException", many(1, func(e *types.PutEventsRequestEntry) { e.EventBusName = aws.String("bas") })},
		{"a bus of another account", "ResourceNotFoundException", many(1, func(e *types.PutEventsRequestEntry) {
			e.EventBusName = aws.String("arn:aws:events:ap-northeast-2:111111111111:event-bus/bus")
		})},
		{"more than 1 MB", "ValidationException", many(1, sized(1<<20+1))},
		{"more than 1 MB together", "ValidationException", many(2, sized(1<<19+1))},
		{"1 MB", "", many(2, sized(1<<19))},
		{"1 MB and a time", "ValidationException", many(1, func(e *types.PutEventsRequestEntry) { sized(1<<20 - 13)(e); e.Time = aws.Time(time.Now()) })},
		{"the default bus", "", many(1, func(e *types.PutEventsRequestEntry) { e.EventBusName = nil })},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: c.entries})
			if code(err) != c.want || (c.want == "") != (err == nil) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAnotherPartPutsEventsOfAWS(t *testing.T) {
	s := newStack(t, `
  Feedback: {Type: AWS::SQS::Queue, Properties: {QueueName: %T}}
  Policy: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Feedback], PolicyDocument: {Statement: {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: "*", Condition: {ArnLike: {aws:SourceArn: "arn:aws:events:*:*:rule/feedback"}}}}}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: feedback
      EventPattern: {source: [aws.ses], detail-type: [Email Bounced]}
      Targets:
        - Arn: !GetAtt Feedback.Arn
          Id: mail
          InputTransformer:
            InputPathsMap: {type: $.detail.eventType, bounce: $.detail.bounce.bounceType, user: "$.detail.mail.tags.user[0]"}
            InputTemplate: '{"rule":"feedback","type":<type>,"bounce":<bounce>,"user":<user>}'
`)
	if err := s.service.Put(t.Context(), []Entry{{Source: "aws.ses", DetailType: "Email Bounced", Detail: `{"eventType":"Bounce","mail":{"tags":{"user":["u1"]}}}`}}); err != nil {
		t.Fatal(err)
	}
	if body, _ := s.receive(""); body != `{"rule":"feedback","type":"Bounce","bounce":null,"user":"u1"}` {
		t.Errorf("got %s", body)
	}
	if err := s.service.Put(t.Context(), []Entry{{Source: "aws.ses", DetailType: "Email Bounced", Detail: `{}`, Bus: "none"}}); err == nil {
		t.Error("a bus that does not exist is taken")
	}
}

// cases are those that were tried against EventBridge's own rule engine. Package pattern
// tests its matcher by them too.
func cases(t *testing.T) (out []struct {
	Name           string
	Pattern, Event json.RawMessage
	Matches        bool
}) {
	t.Helper()
	data, err := os.ReadFile("../pattern/testdata/patterns.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("only %d cases", len(out))
	}
	return out
}

func TestTestEventPattern(t *testing.T) {
	s := newStack(t, oneQueue)
	for _, c := range cases(t) {
		out, err := s.events.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String(string(c.Event)), EventPattern: aws.String(string(c.Pattern))})
		if err != nil || out.Result != c.Matches {
			t.Errorf("%s: %s on %s: %v, %v, want %v", c.Name, c.Pattern, c.Event, out, err, c.Matches)
		}
	}
	for _, c := range []struct{ event, pattern, want string }{
		{`[]`, `{"a":[1]}`, "ValidationException"},
		{`{`, `{"a":[1]}`, "ValidationException"},
		{`{}`, `{"a":1}`, "InvalidEventPatternException"},
		{`{}`, ``, "InvalidEventPatternException"},
	} {
		if _, err := s.events.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: &c.event, EventPattern: &c.pattern}); code(err) != c.want {
			t.Errorf("%s on %s: %v, want %s", c.pattern, c.event, err, c.want)
		}
	}
}

// Each case is the pattern of a rule, with the case's event as detail.
func TestRulesMatchAsTheirPatterns(t *testing.T) {
	s := newStack(t, oneQueue)
	for _, c := range cases(t) {
		pattern := `{"detail":` + string(c.Pattern) + `}`
		if _, err := s.events.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("told"), EventBusName: aws.String("bus"), EventPattern: &pattern}); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		id := s.put("s", "t", string(c.Event))
		s.delivered()
		n := s.messages("")
		if matched := n == "1"; matched != c.Matches {
			t.Errorf("%s: %s on %s: %s messages, want %v", c.Name, pattern, c.Event, n, c.Matches)
		} else if matched {
			if body, _ := s.receive(""); decoded(t, body)["event"].(map[string]any)["id"] != id {
				t.Errorf("%s: got %s", c.Name, body)
			}
		}
	}
}

func TestRulesOfTheAPI(t *testing.T) {
	s := newStack(t, oneQueue)
	ctx := t.Context()
	queue := "arn:aws:sqs:ap-northeast-2:000000000000:" + s.name("")
	bus := aws.String("bus")
	rules := func() (names []string) {
		out, err := s.events.ListRules(ctx, &eventbridge.ListRulesInput{EventBusName: bus})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Rules {
			names = append(names, *r.Name+" "+string(r.State))
		}
		return names
	}
	if _, err := s.events.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("mine"), EventBusName: bus, EventPattern: aws.String(`{"source":["mine"]}`)}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rules(), ", "); got != "mine ENABLED, told ENABLED" {
		t.Errorf("rules %s", got)
	}
	put, err := s.events.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: aws.String("mine"), EventBusName: bus, Targets: []types.Target{{Id: aws.String("q"), Arn: &queue}}})
	if err != nil || put.FailedEntryCount != 1 || !strings.Contains(*put.FailedEntries[0].ErrorMessage, "add an AWS::SQS::QueuePolicy") {
		t.Errorf("a queue that does not admit the rule: %v, %v", put, err)
	}
	if _, err := s.events.DisableRule(ctx, &eventbridge.DisableRuleInput{Name: aws.String("told"), EventBusName: bus}); err != nil {
		t.Fatal(err)
	}
	s.put("s", "t", `{"notify":"u1"}`)
	if _, err := s.events.EnableRule(ctx, &eventbridge.EnableRuleInput{Name: aws.String("told"), EventBusName: bus}); err != nil {
		t.Fatal(err)
	}
	s.put("s", "t", `{"notify":"u2"}`)
	if body, _ := s.receive(""); decoded(t, body)["who"] != "u2" {
		t.Errorf("a disabled rule sends %s", body)
	}
	if _, err := s.events.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: aws.String("mine"), EventBusName: bus}); err != nil {
		t.Error(err)
	}
	described, err := s.events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String("told"), EventBusName: bus})
	if err != nil || *described.Arn != "arn:aws:events:ap-northeast-2:000000000000:rule/bus/told" || *described.EventPattern != `{"detail":{"notify":[{"exists":true}]}}` {
		t.Errorf("%v, %v", described, err)
	}
	targets, err := s.events.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: aws.String("told"), EventBusName: bus})
	if err != nil || len(targets.Targets) != 1 || *targets.Targets[0].Arn != queue || *targets.Targets[0].RetryPolicy.MaximumRetryAttempts != 2 {
		t.Errorf("%v, %v", targets, err)
	}
	buses, err := s.events.ListEventBuses(ctx, &eventbridge.ListEventBusesInput{})
	if err != nil || len(buses.EventBuses) != 2 || *buses.EventBuses[0].Name != "bus" || *buses.EventBuses[1].Name != "default" {
		t.Errorf("%v, %v", buses, err)
	}
	for name, do := range map[string]func() error{
		"InvalidEventPatternException": func() error {
			_, err := s.events.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("x"), EventBusName: bus, EventPattern: aws.String(`{"a":[{"wildcard":"**"}]}`)})
			return err
		},
		"ResourceNotFoundException": func() error {
			_, err := s.events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String("none")})
			return err
		},
		"ValidationException": func() error {
			_, err := s.events.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: aws.String("told"), EventBusName: bus})
			return err
		},
		"UnknownOperationException": func() error {
			_, err := s.events.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: aws.String("x")})
			return err
		},
	} {
		if got := code(do()); got != name {
			t.Errorf("code %q, want %s", got, name)
		}
	}
}

func TestAfterItsStopTheAPIAsksToComeAgain(t *testing.T) {
	s := newStack(t, oneQueue)
	s.service.Stop()
	_, err := s.events.ListEventBuses(context.WithoutCancel(t.Context()), &eventbridge.ListEventBusesInput{})
	if code(err) != "ServiceUnavailable" {
		t.Error(err)
	}
}
