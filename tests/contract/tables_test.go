package contract

import (
	"fmt"
	"testing"

	"plaudit/shared/ddb/ddbtest"
)

// Tests run on tables that have the keys, streams and TTL of the template's.
func TestTablesOfTestsAreTheTemplates(t *testing.T) {
	stack := stage(t, "prod")
	for id, want := range (ddbtest.Stack{}).Definitions() {
		table, ok := stack.Resource(id)
		if !ok {
			t.Errorf("template.yaml has no %s", id)
			continue
		}
		for i, key := range want.KeySchema {
			if got := at(table.Properties, "KeySchema", i); fmt.Sprint(at(got, "AttributeName")) != *key.AttributeName || fmt.Sprint(at(got, "KeyType")) != string(key.KeyType) {
				t.Errorf("%s has the key %v, want %s", id, got, *key.AttributeName)
			}
			if got := at(table.Properties, "AttributeDefinitions", i); fmt.Sprint(at(got, "AttributeType")) != "S" {
				t.Errorf("%s: %v is not a text", id, got)
			}
		}
		if at(table.Properties, "KeySchema", len(want.KeySchema)) != nil {
			t.Errorf("%s has more keys", id)
		}
		view, stream := at(table.Properties, "StreamSpecification", "StreamViewType").(string)
		if stream != (want.StreamSpecification != nil) || stream && view != string(want.StreamSpecification.StreamViewType) {
			t.Errorf("%s has the stream %q", id, view)
		}
		ttl, _ := at(table.Properties, "TimeToLiveSpecification", "AttributeName").(string)
		if expires := id == "WakeTable" || id == "MailsTable"; expires != (ttl == ddbtest.TTL) || !expires && ttl != "" {
			t.Errorf("%s has the TTL %q", id, ttl)
		}
	}
}
