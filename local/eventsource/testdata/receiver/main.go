// Command receiver is a Lambda function for tests. It appends each event to the file
// CALLS, one line an invocation, and does with each message what the body's "do" says.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, raw json.RawMessage) (json.RawMessage, error) {
	if err := note(raw); err != nil {
		return nil, err
	}
	var event events.SQSEvent
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, err
	}
	var failures []events.SQSBatchItemFailure
	for _, r := range event.Records {
		var body struct{ Do string }
		_ = json.Unmarshal([]byte(r.Body), &body) // others do nothing
		do, argument, _ := strings.Cut(body.Do, ":")
		// "once" is for the first invocation with the message.
		do, once := strings.CutSuffix(do, "-once")
		if once && r.Attributes["ApproximateReceiveCount"] != "1" {
			continue
		}
		switch do {
		case "fail":
			return nil, errors.New("it was told to fail")
		case "hold":
			for {
				if _, err := os.Stat(argument); err == nil {
					break
				}
				time.Sleep(2 * time.Millisecond)
			}
		case "report":
			failures = append(failures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		case "answer":
			return json.RawMessage(argument), nil
		}
	}
	return json.Marshal(events.SQSEventResponse{BatchItemFailures: failures})
}

func note(event json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, event); err != nil {
		return err
	}
	line.WriteByte('\n')
	f, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(line.Bytes()) // at once: invocations run side by side
	return err
}
