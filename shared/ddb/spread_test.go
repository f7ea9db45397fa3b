package ddb_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
)

// A thousand events in a second on one board by one API key, and even of one player, put
// no more than a quarter of what one partition takes on any key.
func TestKeysSpread(t *testing.T) {
	const events, most = 1000, 250
	for name, subject := range map[string]func(n int) string{
		"many players": func(n int) string { return event.Player("seoul-2026", fmt.Sprint("bib-", n)) },
		"one player":   func(int) string { return event.Player("seoul-2026", "bib-7") },
		"the board":    func(int) string { return event.Board("seoul-2026") },
	} {
		t.Run(name, func(t *testing.T) {
			stack := ddbtest.Tables(t)
			log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
			var all []event.Event
			for n := range events {
				e := numbered(n)
				e.Subject, e.Actor = subject(n), "key/0198c1de"
				all = append(all, e)
			}
			for part := range slices.Chunk(all, 25) {
				if err := log.Index(t.Context(), part); err != nil {
					t.Fatal(err)
				}
			}
			written := map[string]int{}
			pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(stack.Config), &dynamodb.ScanInput{TableName: &stack.Index})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, item := range page.Items {
					written[item["k"].(*types.AttributeValueMemberS).Value]++
				}
			}
			sum, largest, hot := 0, 0, 0
			for key, n := range written {
				if sum += n; n > most {
					t.Errorf("%s gets %d writes", key, n)
				}
				if n > most/3 {
					hot++
				}
				largest = max(largest, n)
			}
			if sum != 5*events {
				t.Errorf("%d index items", sum)
			}
			t.Logf("%d keys, the busiest with %d writes, %d with more than %d", len(written), largest, hot, most/3)
		})
	}
}
