package dynamodb

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"plaudit/local/engine"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/template"
)

// resource is a table with the properties of a template, changed by change.
func resource(id string, change map[string]any) template.Resource {
	properties := map[string]any{
		"TableName":            "shop-" + strings.ToLower(id),
		"BillingMode":          "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "k", "AttributeType": "S"}, map[string]any{"AttributeName": "s", "AttributeType": "N"}},
		"KeySchema":            []any{map[string]any{"AttributeName": "k", "KeyType": "HASH"}, map[string]any{"AttributeName": "s", "KeyType": "RANGE"}},
		// These have no effect.
		"DeletionProtectionEnabled":        true,
		"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": true},
		"ResourcePolicy":                   map[string]any{"PolicyDocument": map[string]any{}},
	}
	for name, value := range change {
		if properties[name] = value; value == nil {
			delete(properties, name)
		}
	}
	return template.Resource{ID: id, Type: "AWS::DynamoDB::Table", Properties: properties}
}

// run is what one start of a laptop cloud makes.
type run struct {
	*Service
	client *dynamodb.Client
	said   *[]string
}

func start(t *testing.T, laptop part.Laptop, resources ...template.Resource) (run, error) {
	t.Helper()
	var said []string
	laptop.Say = func(text string) { said = append(said, text) }
	e := engine.New(laptop)
	s := New(laptop, e)
	for _, r := range resources {
		if err := s.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	err := s.Start(t.Context())
	return run{s, s.client(), &said}, err
}

func (r run) describe(t *testing.T, table string) (*types.TableDescription, string) {
	t.Helper()
	out, err := r.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	ttl, err := r.client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	attribute := ""
	if d := ttl.TimeToLiveDescription; d.TimeToLiveStatus == types.TimeToLiveStatusEnabled {
		attribute = *d.AttributeName
	}
	return out.Table, attribute
}

func view(table *types.TableDescription) types.StreamViewType {
	if table.StreamSpecification == nil || !aws.ToBool(table.StreamSpecification.StreamEnabled) {
		return ""
	}
	return table.StreamSpecification.StreamViewType
}

func TestATableFollowsTheTemplate(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	expires := func(attribute string) map[string]any {
		return map[string]any{"AttributeName": attribute, "Enabled": true}
	}
	streams := func(view string) map[string]any { return map[string]any{"StreamViewType": view} }
	var last string // ARN of the stream
	for _, step := range []struct {
		name      string
		change    map[string]any
		view, ttl string
		newStream bool
	}{
		{name: "no stream, no TTL"},
		{"both", map[string]any{"StreamSpecification": streams("NEW_IMAGE"), "TimeToLiveSpecification": expires("until")}, "NEW_IMAGE", "until", true},
		{"the same again", map[string]any{"StreamSpecification": streams("NEW_IMAGE"), "TimeToLiveSpecification": expires("until")}, "NEW_IMAGE", "until", false},
		{"another view and attribute", map[string]any{"StreamSpecification": streams("KEYS_ONLY"), "TimeToLiveSpecification": expires("gone")}, "KEYS_ONLY", "gone", true},
		{"no longer", map[string]any{"TimeToLiveSpecification": map[string]any{"Enabled": false}}, "", "", false},
	} {
		r, err := start(t, laptop, resource("Things", step.change))
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		table, ttl := r.describe(t, "shop-things")
		if view(table) != types.StreamViewType(step.view) || ttl != step.ttl {
			t.Errorf("%s: stream %q, TTL %q", step.name, view(table), ttl)
		}
		if step.view != "" {
			arn := *table.LatestStreamArn
			if (arn != last) != step.newStream {
				t.Errorf("%s: the stream was %s and is %s", step.name, last, arn)
			}
			last = arn
			value, _ := r.Values(resource("Things", step.change))["StreamArn"].(string)
			if of, ok := strings.CutSuffix(value, StreamLabel); !ok || !strings.HasPrefix(arn, of) {
				t.Errorf("%s: the stream is %s, and the template's value %s", step.name, arn, value)
			}
		}
		if want := r.Values(resource("Things", nil))["Arn"]; *table.TableArn != want {
			t.Errorf("%s: the table's ARN is %s, and the template's value %s", step.name, *table.TableArn, want)
		}
	}
}

// A call that had its effect is repeated if its answer was lost, and then refused.
func TestLostAnswersAreNoErrors(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	target, err := url.Parse(laptop.Engine)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var mu sync.Mutex
	lost := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		mu.Lock()
		lost[operation]++
		lose := lost[operation] == 1 && operation != "" && !strings.HasPrefix(operation, "Describe") && !strings.HasPrefix(operation, "List")
		mu.Unlock()
		if lose {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	laptop.Engine = server.URL
	change := map[string]any{"TimeToLiveSpecification": map[string]any{"AttributeName": "until", "Enabled": true}}
	for range 2 { // made, and then given a stream
		r, err := start(t, laptop, resource("Things", change))
		if err != nil {
			t.Fatal(err)
		}
		table, ttl := r.describe(t, "shop-things")
		if _, wanted := change["StreamSpecification"]; ttl != "until" || (view(table) != "") != wanted {
			t.Errorf("TTL %q, stream %q", ttl, view(table))
		}
		change["StreamSpecification"] = map[string]any{"StreamViewType": "NEW_IMAGE"}
	}
	for _, operation := range []string{"CreateTable", "UpdateTimeToLive", "UpdateTable"} {
		if lost[operation] < 2 {
			t.Errorf("%s was called %d times", operation, lost[operation])
		}
	}
}

func TestATableKeepsItsItemsAndItsKey(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	r, err := start(t, laptop, resource("Things", nil))
	if err != nil {
		t.Fatal(err)
	}
	name := "shop-things"
	item := map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "a"}, "s": &types.AttributeValueMemberN{Value: "1"}}
	if _, err := r.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item}); err != nil {
		t.Fatal(err)
	}
	_, err = start(t, laptop, resource("Things", map[string]any{
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": "S"}},
		"KeySchema":            []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
	}))
	if err == nil || !strings.Contains(err.Error(), "Things: table shop-things: its key on this laptop is k (S) HASH, s (N) RANGE, and the template says id (S) HASH. A key cannot change: give") {
		t.Errorf("another key: %v", err)
	}
	// A table that left the template stays.
	r, err = start(t, laptop, resource("Others", nil))
	if err != nil || len(*r.said) != 1 || !strings.Contains((*r.said)[0], "shop-things") {
		t.Errorf("a table that left the template: said %q, %v", *r.said, err)
	}
	out, err := r.client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: item})
	if err != nil || len(out.Item) != 2 {
		t.Errorf("its item: %v, %v", out, err)
	}
}

func TestIndexesFollowTheTemplate(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	index := func(name, projection string) map[string]any {
		return map[string]any{
			"IndexName": name, "KeySchema": []any{map[string]any{"AttributeName": "s", "KeyType": "HASH"}},
			"Projection": map[string]any{"ProjectionType": projection},
		}
	}
	for _, step := range []struct {
		indexes []any
		want    map[string]types.ProjectionType
	}{
		{[]any{index("first", "ALL")}, map[string]types.ProjectionType{"first": "ALL"}},
		{[]any{index("first", "KEYS_ONLY"), index("second", "ALL")}, map[string]types.ProjectionType{"first": "KEYS_ONLY", "second": "ALL"}},
		{nil, map[string]types.ProjectionType{}},
	} {
		change := map[string]any{}
		if step.indexes != nil {
			change["GlobalSecondaryIndexes"] = step.indexes
		}
		r, err := start(t, laptop, resource("Things", change))
		if err != nil {
			t.Fatal(err)
		}
		table, _ := r.describe(t, "shop-things")
		got := map[string]types.ProjectionType{}
		for _, i := range table.GlobalSecondaryIndexes {
			got[*i.IndexName] = i.Projection.ProjectionType
		}
		if len(got) != len(step.want) || got["first"] != step.want["first"] || got["second"] != step.want["second"] {
			t.Errorf("indexes %v, want %v", got, step.want)
		}
	}
}

func TestWhatIsNotSupportedIsAnError(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	for _, c := range []struct {
		change map[string]any
		want   string
	}{
		{map[string]any{"KinesisStreamSpecification": map[string]any{"StreamArn": "a"}}, "KinesisStreamSpecification: the property is not supported on a laptop"},
		{map[string]any{"KeySchema": nil}, "KeySchema: the property is missing"},
		{map[string]any{"TimeToLiveSpecification": map[string]any{"Enabled": true}}, "TimeToLiveSpecification.AttributeName: the property is missing"},
	} {
		err := New(laptop, engine.New(laptop)).Read(resource("Things", c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.change, err)
		}
	}
	s := New(laptop, engine.New(laptop))
	err := errors.Join(s.Read(resource("Things", nil)), s.Read(resource("Others", map[string]any{"TableName": "shop-things"})))
	if err == nil || !strings.Contains(err.Error(), "Others: TableName: the stack has another table called shop-things") {
		t.Errorf("two tables of one name: %v", err)
	}
	if _, ok := s.Values(resource("Things", nil))["StreamArn"]; ok {
		t.Error("a table without a stream has a StreamArn")
	}
}

// Streams are called with the same scope as tables.
func TestTheAPIServesStreams(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	r, err := start(t, laptop, resource("Things", map[string]any{"StreamSpecification": map[string]any{"StreamViewType": "NEW_IMAGE"}}))
	if err != nil {
		t.Fatal(err)
	}
	service, handler := r.API()
	if service != "dynamodb" {
		t.Fatalf("the API is %s", service)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	config := enginetest.InAccount(server.URL, laptop.AccountID)
	out, err := dynamodbstreams.NewFromConfig(config).ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{})
	if err != nil || len(out.Streams) != 1 || *out.Streams[0].TableName != "shop-things" {
		t.Errorf("streams %+v, %v", out, err)
	}
}
