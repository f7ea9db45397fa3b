package dynamodb

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/engine"
	"plaudit/local/ministack/enginetest"
)

// Conditional puts of 1 KB, straight into the engine and through the AWS endpoint.
func BenchmarkConditionalPut(b *testing.B) {
	laptop := enginetest.Laptop(b, func(string) {})
	e := engine.New(laptop)
	s := New(laptop, e)
	if err := s.Read(resource("Things", map[string]any{"StreamSpecification": map[string]any{"StreamViewType": "NEW_IMAGE"}})); err != nil {
		b.Fatal(err)
	}
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Stop)
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	_, handler := s.API()
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	var n atomic.Int64
	for _, c := range []struct{ name, endpoint string }{{"engine", e.URL()}, {"endpoint", server.URL}} {
		b.Run(c.name, func(b *testing.B) {
			client := dynamodb.NewFromConfig(enginetest.InAccount(c.endpoint, laptop.AccountID))
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := client.PutItem(b.Context(), &dynamodb.PutItemInput{
						TableName: aws.String("shop-things"), ConditionExpression: aws.String("attribute_not_exists(k)"),
						Item: map[string]types.AttributeValue{
							"k": &types.AttributeValueMemberS{Value: fmt.Sprint(n.Add(1))}, "s": &types.AttributeValueMemberN{Value: "1"},
							"event": &types.AttributeValueMemberB{Value: []byte(strings.Repeat("x", 1024))},
						},
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
