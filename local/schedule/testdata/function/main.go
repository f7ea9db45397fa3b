// Command function is a Lambda function for tests. It prints its event.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event json.RawMessage) error {
		fmt.Printf("got %s\n", event)
		return nil
	})
}
