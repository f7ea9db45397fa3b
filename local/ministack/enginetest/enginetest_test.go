package enginetest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func table(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            &name,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	}
}

func tables(t *testing.T, config aws.Config) []string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(config).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	return out.TableNames
}

func TestSharedKeepsAccountsApart(t *testing.T) {
	endpoint := Shared(t)
	first, second := Config(endpoint), Config(endpoint)
	Table(t, first, table("things"))
	if got := tables(t, first); len(got) != 1 {
		t.Errorf("the account has tables %v", got)
	}
	if got := tables(t, second); len(got) != 0 {
		t.Errorf("another account has tables %v", got)
	}
}

func TestStopKeepsTheState(t *testing.T) {
	e := New(t)
	config := InAccount(e.URL(), "000000000000")
	Table(t, config, table("things"))
	e.Stop()
	e.Start()
	if got := tables(t, InAccount(e.URL(), "000000000000")); len(got) != 1 {
		t.Errorf("after a restart there are tables %v", got)
	}
}
