package ddb_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/ddb/ddbtest"
)

// count returns how many items a table has.
func count(t testing.TB, stack ddbtest.Stack, table string) (n int) {
	t.Helper()
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(stack.Config), &dynamodb.ScanInput{TableName: &table, Select: types.SelectCount})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += int(page.Count)
	}
	return n
}

// unprocessed returns the answer to a BatchWriteItem that processed nothing.
func unprocessed(t testing.TB, r *http.Request) []byte {
	t.Helper()
	var in struct{ RequestItems json.RawMessage }
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		t.Error(err)
	}
	out, err := json.Marshal(map[string]any{"UnprocessedItems": in.RequestItems})
	if err != nil {
		t.Error(err)
	}
	return out
}
