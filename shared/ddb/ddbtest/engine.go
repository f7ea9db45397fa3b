package ddbtest

import (
	"os"
	"testing"
)

// engine returns the endpoint of the engine.
func engine(t testing.TB) string {
	t.Helper()
	url := os.Getenv("DYNAMODB_TEST_ENDPOINT")
	if url == "" {
		t.Fatal("ddbtest: DYNAMODB_TEST_ENDPOINT must name an engine that speaks DynamoDB's protocol")
	}
	return url
}
