package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

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
func TestEveryNewEventIsReadAndIndexed(t *testing.T) {
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
	p := boottest.Run(t, boottest.Build(t, "."), append(stack.Env(), runtime.Env)...)
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
	if missing, err := log.MissingIndex(t.Context(), []event.Event{unindexed.Event, indexed.Event}); err != nil || len(missing) != 0 {
		t.Errorf("%d are not indexed, %v", len(missing), err)
	}
	if skipped := p.Lines("a record of the stream is not an event and is skipped"); len(skipped) != 4 {
		t.Errorf("%d records are reported", len(skipped))
	}
}

func TestAMissingTableFailsTheStart(t *testing.T) {
	stack := ddbtest.Tables(t)
	stack.Index = "other"
	runtime := boottest.StartRuntime(t)
	boottest.Run(t, boottest.Build(t, "."), append(stack.Env(), runtime.Env)...)
	if reason := runtime.InitError(); !strings.Contains(reason, "the table other does not exist") {
		t.Errorf("the reason is %s", reason)
	}
}
