// Command function is a Lambda function for tests. It does with each record what
// the record's attribute "do" says, and appends the numbers ("n") of the records
// of each invocation to the file CALLS, one line an invocation.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, event events.DynamoDBEvent) (json.RawMessage, error) {
	before, _ := os.ReadFile(os.Getenv("CALLS"))
	var numbers []string
	for _, r := range event.Records {
		numbers = append(numbers, r.Change.NewImage["n"].String())
	}
	if err := note(strings.Join(numbers, " ")); err != nil {
		return nil, err
	}
	var failures []events.DynamoDBBatchItemFailure
	for i, r := range event.Records {
		do := r.Change.NewImage["do"].String()
		do, argument, _ := strings.Cut(do, ":")
		// "once" is for the first invocation with the record.
		do, once := strings.CutSuffix(do, "-once")
		if once && seen(string(before), numbers[i]) {
			continue
		}
		switch do {
		case "fail":
			return nil, errors.New("it was told to fail")
		case "exit":
			os.Exit(3)
		case "sleep":
			time.Sleep(time.Hour)
		case "hold":
			for {
				if _, err := os.Stat(argument); err == nil {
					break
				}
				time.Sleep(2 * time.Millisecond)
			}
		case "report":
			failures = append([]events.DynamoDBBatchItemFailure{{ItemIdentifier: r.Change.SequenceNumber}}, failures...)
		case "answer":
			return json.RawMessage(argument), nil
		}
	}
	return json.Marshal(events.DynamoDBEventResponse{BatchItemFailures: failures})
}

func seen(calls, number string) bool {
	for line := range strings.Lines(calls) {
		for _, n := range strings.Fields(line) {
			if n == number {
				return true
			}
		}
	}
	return false
}

func note(line string) error {
	f, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	return err
}
