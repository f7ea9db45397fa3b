package main

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"plaudit/shared/event"
)

// traceparent is that of the samples' changes.
const traceparent = "00-00000000000000000000000000000001-0000000000000001-01"

// attribute is a value of an item in the form of a stream record:
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html
type attribute map[string]any

func text(s string) attribute { return attribute{"S": s} }
func number(n int) attribute  { return attribute{"N": fmt.Sprint(n)} }
func truth(b bool) attribute  { return attribute{"BOOL": b} }
func bytes64(b []byte) attribute {
	return attribute{"B": base64.StdEncoding.EncodeToString(b)}
}

// record returns an event with one record of the stream of a table, as Lambda passes it
// on. The name is INSERT or MODIFY.
func record(table, name, key string, item map[string]attribute) string {
	size := 0
	for name, value := range item {
		size += len(name)
		for _, v := range value {
			size += len(fmt.Sprint(v))
		}
	}
	return marshal(map[string]any{"Records": []any{map[string]any{
		"eventID": "00000000000000000000000000000001", "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "ap-northeast-2",
		"dynamodb": map[string]any{
			"ApproximateCreationDateTime": recorded.Unix(),
			"Keys":                        map[string]attribute{key: item[key]},
			"NewImage":                    item,
			"SequenceNumber":              "100000000000000000001",
			"SizeBytes":                   size,
			"StreamViewType":              "NEW_IMAGE",
		},
		"eventSourceARN": "arn:aws:dynamodb:ap-northeast-2:000000000000:table/plaudit-local-" + table + "/stream/2026-01-05T09:00:00.000",
	}}})
}

func marshal(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return string(out)
}

// recorded is when the samples' changes were made.
var recorded = time.Date(2026, 1, 5, 9, 30, 0, 123456000, time.UTC)

// wake is what score-add writes into the wake table.
func wake() string {
	return record("wake", "INSERT", "id", map[string]attribute{"id": text("sample"), "expires": number(int(recorded.Add(time.Hour).Unix()))})
}

// schedule is what EventBridge sends at the times of a rule.
func schedule(function string) string {
	return marshal(map[string]any{
		"version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Scheduled Event", "source": "aws.events",
		"account": "000000000000", "time": "2026-01-05T09:30:00Z", "region": "ap-northeast-2",
		"resources": []string{"arn:aws:events:ap-northeast-2:000000000000:rule/plaudit-local-" + function}, "detail": map[string]any{},
	})
}

// logged is what the relay writes into the events table. No row of an outbox has the id 0,
// so that it stands for no change.
func logged() string {
	e := event.Event{
		ID: "0", Source: event.Users, Type: event.UserCreated, Subject: event.User(member), Time: recorded, RecordedTime: recorded,
		LogID: event.LogID(event.Users, "0"), Actor: event.User(member), TraceParent: traceparent, SubjectSeq: 1,
		DataContentType: "application/json", DataSchema: event.Schema(event.UserCreated), JSON: []byte(`{"role":"member"}`),
	}
	document, err := e.Encode()
	if err != nil {
		panic(err) // it is constant
	}
	return record("events", "INSERT", "logid", map[string]attribute{
		"logid": text(e.LogID), "enc": number(event.Encoding), "event": bytes64(document),
	})
}

// profile is what the users service writes into the profiles table.
func profile() string {
	return record("profiles", "MODIFY", "id", map[string]attribute{
		"id": text(member), "version": number(2), "display_name": text("Sam Pell"), "country": text("KR"), "erased": truth(false), "traceparent": text(traceparent),
	})
}

// foreign is a record of an item that has nothing but a key.
func foreign(table, key string) string {
	return record(table, "INSERT", key, map[string]attribute{key: text("sample")})
}

// queued returns an event with one message of the queue mail.
func queued(body string) string {
	return marshal(map[string]any{"Records": []any{map[string]any{
		"messageId": "00000000-0000-4000-8000-000000000001", "receiptHandle": "sample", "body": body,
		"attributes": map[string]string{
			"ApproximateReceiveCount": "1", "SentTimestamp": "1767605400123", "SenderId": "000000000000", "ApproximateFirstReceiveTimestamp": "1767605400124",
		},
		"messageAttributes": map[string]any{}, "md5OfBody": fmt.Sprintf("%x", md5.Sum([]byte(body))), "eventSource": "aws:sqs",
		"eventSourceARN": "arn:aws:sqs:ap-northeast-2:000000000000:plaudit-local-mail", "awsRegion": "ap-northeast-2",
	}}})
}

// told is what the rule for events that name whom to tell sends to the queue mail. The
// event is replayed, so that its age does not matter if the name of the replay is one of mail,
// and names a user who has no account.
func told(kind event.Type, replay string) string {
	e := event.Event{
		ID: "0", Source: event.Scores, Type: kind, Subject: event.Player("demo", "bib-1"), Time: recorded, RecordedTime: recorded,
		LogID: event.LogID(event.Scores, "0"), Actor: event.User(admin), Notify: member, TraceParent: traceparent,
		DataContentType: "application/json", DataSchema: event.Schema(kind),
		JSON: []byte(`{"id":"` + member + `","board":"demo","player":"bib-1","points":-5,"reason":null,"note":"a sample","kind":"adjustment","actor":"` + event.User(admin) +
			`","seq":2,"tiebreak":0,"occurred_at":"2026-01-05T09:30:00Z","recorded_at":"2026-01-05T09:30:00.123456Z","standings":[{"period":"all","start":null,"score":37}]}`),
	}
	document, err := e.Encode()
	if err != nil {
		panic(err) // it is constant
	}
	return marshal(map[string]any{"rule": "told", "event": map[string]any{
		"version": "0", "id": "00000000-0000-4000-8000-000000000002", "detail-type": kind, "source": event.Scores, "account": "000000000000",
		"time": "2026-01-05T09:30:01Z", "region": "ap-northeast-2", "resources": []string{}, "replay-name": replay, "detail": json.RawMessage(document),
	}})
}
