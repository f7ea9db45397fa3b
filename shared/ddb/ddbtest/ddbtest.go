// Package ddbtest makes the product's tables in an engine, for tests.
package ddbtest

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/ministack/enginetest"
)

// Stack names the tables of a test's own. They have the keys, streams and TTL of those
// in template.yaml; a test of tests/contract holds the two together.
type Stack struct {
	Config                               aws.Config
	Events, Index, Wake, Profiles, Mails string
}

// Env returns the variables by which a deployable finds the tables ("NAME=value").
func (s Stack) Env() []string {
	keys, err := s.Config.Credentials.Retrieve(context.Background())
	if err != nil {
		panic(err) // they are static
	}
	return []string{
		"AWS_ENDPOINT_URL=" + *s.Config.BaseEndpoint, "AWS_REGION=" + s.Config.Region,
		"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey,
		"EVENTS_TABLE=" + s.Events, "INDEX_TABLE=" + s.Index, "WAKE_TABLE=" + s.Wake, "PROFILES_TABLE=" + s.Profiles, "MAILS_TABLE=" + s.Mails,
	}
}

// TTL is the attribute by which items of the tables wake and mails expire.
const TTL = "expires"

// Definitions returns the tables by their logical ids in template.yaml.
func (s Stack) Definitions() map[string]*dynamodb.CreateTableInput {
	return map[string]*dynamodb.CreateTableInput{
		"EventsTable": define(s.Events, true, "logid"), "IndexTable": define(s.Index, false, "k", "s"),
		"WakeTable": define(s.Wake, true, "id"), "ProfilesTable": define(s.Profiles, true, "id"),
		"MailsTable": define(s.Mails, false, "id"),
	}
}

// Tables makes empty tables in an account of the test's own, in the engine that the
// tests of its binary share.
func Tables(t testing.TB) Stack {
	t.Helper()
	s := Stack{
		Config: enginetest.Config(enginetest.Shared(t)),
		Events: "test-events", Index: "test-event-index", Wake: "test-wake", Profiles: "test-profiles", Mails: "test-mails",
	}
	client := dynamodb.NewFromConfig(s.Config)
	for _, table := range s.Definitions() {
		// The second attempt of a call whose answer was lost finds the table.
		var exists *types.ResourceInUseException
		if _, err := client.CreateTable(t.Context(), table); err != nil && !errors.As(err, &exists) {
			t.Fatalf("ddbtest: make the table %s: %v", *table.TableName, err)
		}
	}
	for _, table := range []string{s.Wake, s.Mails} {
		if _, err := client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName:               &table,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(TTL), Enabled: aws.Bool(true)},
		}); err != nil {
			t.Fatalf("ddbtest: set the TTL of %s: %v", table, err)
		}
	}
	return s
}

// define describes a table whose keys are texts.
func define(name string, stream bool, keys ...string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	for i, k := range keys {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &k, AttributeType: types.ScalarAttributeTypeS})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &k, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
	}
	if stream {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
	}
	return in
}
