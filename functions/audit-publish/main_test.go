package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/shared/audit"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
)

func numbered(source string, n int) audit.Stored {
	id := fmt.Sprint(n)
	e := event.Event{
		ID: id, Source: source, Type: event.EntryAdded, Subject: "task/17", LogID: event.LogID(source, id), Actor: "key/k",
		RecordedTime: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC), JSON: []byte(`{"to": "done"}`),
	}
	if !event.Ours(source) {
		e.Type = "org.example.moved"
	}
	document, err := e.Encode()
	if err != nil {
		panic(err)
	}
	return audit.Stored{Event: e, Document: document}
}

// record is a record of the events table's stream.
func record(name string, s audit.Stored, change func(map[string]events.DynamoDBAttributeValue)) map[string]any {
	image := map[string]events.DynamoDBAttributeValue{
		"logid": events.NewStringAttribute(s.Event.LogID), "enc": events.NewNumberAttribute("1"), "event": events.NewBinaryAttribute(s.Document),
	}
	if change != nil {
		change(image)
	}
	return map[string]any{"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": map[string]any{
		"SequenceNumber": fmt.Sprint("1000", s.Event.ID), "NewImage": image,
	}}
}

// The function as it is built, over an engine.
func TestEveryNewEventIsIndexedAndPutOnTheBus(t *testing.T) {
	stack := ddbtest.Tables(t)
	log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
	unindexed, indexed, ours := numbered("https://tasks.example.org", 1), numbered("https://tasks.example.org", 2), numbered(event.Scores, 3)
	for _, s := range []audit.Stored{unindexed, indexed, ours} {
		if _, err := log.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Index(t.Context(), []event.Event{indexed.Event}); err != nil {
		t.Fatal(err)
	}

	runtime := boottest.StartRuntime(t)
	received := makeBus(t, stack.Config)
	p := boottest.Run(t, boottest.Build(t, "."), append(stack.Env(), runtime.Env, "EVENT_BUS=test")...)
	type values = map[string]events.DynamoDBAttributeValue
	batch, err := json.Marshal(map[string]any{"Records": []any{
		record("INSERT", numbered(event.Scores, 4), func(v values) { delete(v, "event") }),
		record("INSERT", numbered(event.Scores, 5), func(v values) { v["event"] = events.NewStringAttribute("x") }),
		record("INSERT", numbered(event.Scores, 6), func(v values) { v["enc"] = events.NewNumberAttribute("2") }),
		record("INSERT", numbered(event.Scores, 7), func(v values) { v["logid"] = events.NewStringAttribute("x") }),
		record("INSERT", numbered(event.Scores, 8), func(v values) { v["restored"] = events.NewBooleanAttribute(true) }),
		record("MODIFY", numbered(event.Scores, 9), nil),
		record("INSERT", unindexed, nil), record("INSERT", indexed, nil), record("INSERT", ours, nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	runtime.Send(string(batch))
	if a := runtime.Answer(); a.Failed || a.Body != `{"batchItemFailures":[]}` {
		t.Fatalf("answered %+v", a)
	}
	line := p.Line("request")
	for name, want := range map[string]any{
		"Records": 9.0, "RecordFailures": 0.0, "SkippedRecords": 6.0, "Events": 3.0, "MendedEvents": 1.0,
		"types": map[string]any{"other": 2.0, "plaudit.entry.added": 1.0},
	} {
		if fmt.Sprint(line[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	var got []string
	for _, e := range received() {
		got = append(got, e.Source+" "+e.DetailType+" "+compact(t, e.Detail)) // the engine writes spaces
		if e.Time.IsZero() {
			t.Errorf("an event has no time: %+v", e)
		}
	}
	var want []string
	for _, s := range []audit.Stored{unindexed, indexed, ours} {
		want = append(want, s.Event.Source+" "+string(s.Event.Type)+" "+compact(t, s.Document))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the bus has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if missing, err := log.MissingIndex(t.Context(), []event.Event{unindexed.Event, indexed.Event}); err != nil || len(missing) != 0 {
		t.Errorf("%d are not indexed, %v", len(missing), err)
	}
	if skipped := p.Lines("a record of the stream is not an event and is skipped"); len(skipped) != 4 {
		t.Errorf("%d records are reported", len(skipped))
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// onBus is an event as a rule passes it on.
type onBus struct {
	Source     string
	DetailType string `json:"detail-type"`
	Time       time.Time
	Detail     json.RawMessage
}

// makeBus makes the bus test, and returns what returns the events that it has passed on.
func makeBus(t *testing.T, cfg aws.Config) func() []onBus {
	t.Helper()
	events, queues := eventbridge.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	name, rule, pattern := "test", "all", `{"version": ["0"]}`
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := events.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: &name})
	check(err)
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("bus")})
	check(err)
	about, err := queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: queue.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{"QueueArn"}})
	check(err)
	_, err = events.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: &rule, EventBusName: &name, EventPattern: &pattern})
	check(err)
	_, err = events.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: &rule, EventBusName: &name, Targets: []types.Target{{Id: aws.String("queue"), Arn: aws.String(about.Attributes["QueueArn"])}}})
	check(err)
	return func() (out []onBus) {
		t.Helper()
		for {
			page, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
			check(err)
			if len(page.Messages) == 0 {
				return out
			}
			for _, m := range page.Messages {
				var e onBus
				check(json.Unmarshal([]byte(*m.Body), &e))
				out = append(out, e)
			}
		}
	}
}

func TestAMissingTableOrBusFailsTheStart(t *testing.T) {
	stack := ddbtest.Tables(t)
	stack.Index = "other"
	runtime := boottest.StartRuntime(t)
	boottest.Run(t, boottest.Build(t, "."), append(stack.Env(), runtime.Env, "EVENT_BUS=missing")...)
	reason := runtime.InitError()
	for _, want := range []string{"the table other does not exist", "the bus missing does not exist"} {
		if !strings.Contains(reason, want) {
			t.Errorf("the reason is %s", reason)
		}
	}
}
