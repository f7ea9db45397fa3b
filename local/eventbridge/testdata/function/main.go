// Command function is a Lambda function for tests. It prints its event, and fails if
// that has the member fail.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event json.RawMessage) error {
		fmt.Printf("got %s\n", event)
		var in map[string]any
		if json.Unmarshal(event, &in) == nil && in["fail"] != nil {
			return errors.New("it was told to fail")
		}
		return nil
	})
}
