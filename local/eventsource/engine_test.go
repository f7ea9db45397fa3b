package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"plaudit/local/engine"
	"plaudit/local/lambda"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/template"
)

// stack is a table with a stream, a function and a mapping between them, in the
// engine.
type stack struct {
	t      testing.TB
	engine *enginetest.Engine
	folder string
	calls  string
	log    *buffer
	extra  map[string]any // properties of the mapping
	number int

	// Of one run.
	functions *lambda.Service
	group     *process.Group
	service   *Service
	keeper    *Keeper
}

func newStack(t testing.TB, extra map[string]any) *stack {
	t.Helper()
	s := &stack{t: t, engine: enginetest.New(t), folder: t.TempDir(), calls: filepath.Join(t.TempDir(), "calls"), log: &buffer{}, extra: extra}
	enginetest.Table(t, s.config(), &dynamodb.CreateTableInput{
		TableName: aws.String("log"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: dynamodbtypes.ScalarAttributeTypeS}},
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: dynamodbtypes.KeyTypeHash}},
		StreamSpecification:  &dynamodbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: dynamodbtypes.StreamViewTypeNewImage},
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			text, _ := os.ReadFile(s.calls)
			t.Logf("calls: %s\nlog:\n%s", text, s.log)
		}
	})
	return s
}

func (s *stack) config() aws.Config { return enginetest.InAccount(s.engine.URL(), enginetest.Account) }

// Function implements Functions.
func (s *stack) Function(name string) (*lambda.Function, bool) { return s.functions.Function(name) }

// start starts a run of the laptop cloud, as far as streams are concerned.
func (s *stack) start() {
	s.t.Helper()
	var err error
	if s.group, err = process.NewGroup(); err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.functions = lambda.NewService(s.group, log)
	s.functions.Output = s.log
	if _, err := s.functions.Add(lambda.Config{
		Name: "consumer", ARN: testFunction, Region: enginetest.Region, Binary: program, Timeout: time.Minute, Env: map[string]string{"CALLS": s.calls},
	}); err != nil {
		s.t.Fatal(err)
	}
	l := part.Laptop{
		Names:  part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: enginetest.Region, AccountID: enginetest.Account}},
		Folder: s.folder, Engine: s.engine.URL(), Log: log, Started: func(string, string, time.Duration) {}, Say: func(string) {},
		FileLog: func(string) io.Writer { return s.log }, Fail: func(err error) { s.t.Error(err) },
	}
	e := engine.New(l)
	s.service = New(l, e, s)
	s.keeper = s.service.Keeper()
	properties := map[string]any{
		// The label is the one that the template's values have.
		"EventSourceArn": "arn:aws:dynamodb:" + enginetest.Region + ":" + enginetest.Account + ":table/log/stream/latest",
		"FunctionName":   "consumer", "StartingPosition": "TRIM_HORIZON",
	}
	for name, value := range s.extra {
		properties[name] = value
	}
	if err := s.service.Read(template.Resource{ID: "ConsumerStream", Type: "AWS::Lambda::EventSourceMapping", Properties: properties}); err != nil {
		s.t.Fatal(err)
	}
	for _, start := range []func(context.Context) error{e.Start, s.keeper.Start, s.service.Start} {
		if err := start(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// stopDelivering stops everything but the keeper.
func (s *stack) stopDelivering() {
	if s.service == nil {
		return
	}
	s.service.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.functions.Close(ctx)
	if err := s.group.Close(); err != nil {
		s.t.Error(err)
	}
	s.service = nil
}

func (s *stack) stop() {
	s.stopDelivering()
	if s.keeper != nil {
		s.keeper.Stop()
		s.keeper = nil
	}
}

// put writes numbered items.
func (s *stack) put(do ...string) {
	s.t.Helper()
	client := dynamodb.NewFromConfig(s.config())
	for _, what := range do {
		s.number++
		if _, err := client.PutItem(s.t.Context(), &dynamodb.PutItemInput{TableName: aws.String("log"), Item: item(s.number, what)}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func item(number int, do string) map[string]dynamodbtypes.AttributeValue {
	return map[string]dynamodbtypes.AttributeValue{
		"id": &dynamodbtypes.AttributeValueMemberS{Value: fmt.Sprint("id-", number)}, "n": &dynamodbtypes.AttributeValueMemberS{Value: strconv.Itoa(number)},
		"do": &dynamodbtypes.AttributeValueMemberS{Value: do}, "raw": &dynamodbtypes.AttributeValueMemberB{Value: []byte{0, 255, '"'}},
	}
}

// handled returns the numbers of the records that the function got, in order.
func (s *stack) handled() []string {
	text, _ := os.ReadFile(s.calls) // the first invocation makes it
	return strings.Fields(string(text))
}

func (s *stack) want(numbers ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the records %q", numbers), func() bool { return slices.Equal(s.handled(), numbers) })
}

func TestTheEnginesRecordsReachTheFunction(t *testing.T) {
	s := newStack(t, map[string]any{"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"eventName":["INSERT"]}`}}}})
	s.put("", "")
	s.start()
	s.want("1", "2")
	s.number = 0
	s.put("changed") // a modification
	s.number = 2
	s.put("")
	s.want("1", "2", "3")
}

func TestWhatTheEngineForgetsIsInTheJournal(t *testing.T) {
	s := newStack(t, nil)
	s.start()
	s.put("")
	s.want("1")
	s.stopDelivering()
	s.put("", "") // in flight when everything stops
	s.stop()
	s.engine.Stop()
	s.engine.Start()
	s.start()
	s.put("")
	s.want("1", "2", "3", "4")
	s.stop()
	s.start()
	s.put("")
	s.want("1", "2", "3", "4", "5")
}

// kill ends the engine alone, as a lack of memory does, and waits until it runs
// again with what it had saved.
func (s *stack) kill() {
	s.t.Helper()
	before := s.engine.PID()
	if err := s.engine.Kill(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "another engine", func() bool { pid := s.engine.PID(); return pid != 0 && pid != before })
}

// The table was saved, so its stream and its shard are the same after the kill, and
// the iterators of the killed engine are valid in the next one.
func TestAnEngineThatIsKilledLosesNothingThatIsWrittenAfterwards(t *testing.T) {
	s := newStack(t, nil)
	s.engine.Stop()
	s.engine.Start()
	s.start()
	s.put("", "", "")
	s.want("1", "2", "3")
	s.kill()
	s.put("", "", "", "", "", "")
	s.want("1", "2", "3", "4", "5", "6", "7", "8", "9")
	s.kill()
	s.put("")
	s.want("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
}

// No request fails: the process was replaced between two of them.
func TestAnIteratorOfAnEngineThatEndedIsNotUsed(t *testing.T) {
	s := newStack(t, nil)
	s.engine.Stop()
	s.engine.Start()
	ended := 0
	source := newLive(s.config, func() int { return ended })
	stream, err := findStream(t.Context(), source, "arn:aws:dynamodb:"+enginetest.Region+":"+enginetest.Account+":table/log/stream/latest")
	if err != nil {
		t.Fatal(err)
	}
	shards, _, err := listShards(t.Context(), source, stream)
	if err != nil {
		t.Fatal(err)
	}
	s.put("", "", "")
	iterator, err := getIterator(t.Context(), source, stream, *shards[0].ShardId, "")
	if err != nil {
		t.Fatal(err)
	}
	page, err := source.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
	if err != nil || len(page.Records) != 3 {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
	ended++ // as the part that starts the engine counts
	s.kill()
	s.put("")
	_, err = source.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: page.NextShardIterator})
	if expired := new(types.ExpiredIteratorException); !errors.As(err, &expired) {
		t.Errorf("the iterator of the killed engine: %v", err)
	}
	last := *page.Records[2].Dynamodb.SequenceNumber
	if iterator, err = getIterator(t.Context(), source, stream, *shards[0].ShardId, last); err != nil {
		t.Fatal(err)
	}
	if page, err = source.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}); err != nil || len(page.Records) != 1 {
		t.Errorf("records %+v, %v", page, err)
	}
}

// The client of a process never opens a connection to the next one, whatever repeats
// its request.
func TestAClientOfAnEngineThatEndedConnectsToNoOther(t *testing.T) {
	ended := 0
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	source := newLive(func() aws.Config { return enginetest.InAccount(server.URL, enginetest.Account) }, func() int { return ended })
	client, _, err := source.now()
	if err != nil {
		t.Fatal(err)
	}
	ended++
	_, err = client.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: aws.String("3")}, func(o *dynamodbstreams.Options) { o.Retryer = aws.NopRetryer{} })
	if !errors.Is(err, errNextEngine) || asked > 0 {
		t.Errorf("%v, %d requests", err, asked)
	}
}

func TestTheGuardsCommandReadsTheStreams(t *testing.T) {
	s := newStack(t, nil)
	s.start()
	s.put("")
	s.want("1")
	command := s.service.drainCommand(s.engine.URL())
	if command == nil || command.Args[0] != DrainName || strings.Contains(strings.Join(command.Args, " "), s.engine.URL()) || !slices.Contains(command.Env, DrainEngine+"="+s.engine.URL()) {
		t.Fatalf("the guard runs %+v", command)
	}
	s.stopDelivering()
	s.put("", "")
	s.keeper.held.Close() // as the kernel does for a laptop cloud that was killed
	s.keeper = nil
	if err := Drain(command.Args[1:], s.engine.URL(), slog.New(slog.NewTextHandler(s.log, nil))); err != nil {
		t.Fatal(err)
	}
	s.engine.Stop()
	// Without anything left to do it needs no engine.
	if err := Drain(command.Args[1:], s.engine.URL(), slog.New(slog.NewTextHandler(s.log, nil))); err != nil {
		t.Error(err)
	}
	s.engine.Start()
	s.start()
	s.want("1", "2", "3")
}

func TestADrainOfAFolderThatDoesNotExist(t *testing.T) {
	if err := Drain([]string{filepath.Join(t.TempDir(), "streams")}, "http://127.0.0.1:1", slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	if err := Drain(nil, "", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error without arguments")
	}
}

func TestAMappingThatIsOffGoesOnWhereItWas(t *testing.T) {
	s := newStack(t, nil)
	s.start()
	s.put("")
	s.want("1")
	s.stop()
	s.extra = map[string]any{"Enabled": false}
	s.start()
	s.put("", "")
	s.stop()
	s.engine.Stop()
	s.engine.Start()
	s.extra = nil
	s.start()
	s.put("")
	s.want("1", "2", "3", "4")
}

func TestDiscardedRecordsGoToABucketWhole(t *testing.T) {
	s := newStack(t, map[string]any{
		"MaximumRetryAttempts": 0, "BatchSize": 1,
		"DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": "arn:aws:s3:::failures"}},
	})
	client := s3.NewFromConfig(s.config(), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: aws.String("failures"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: enginetest.Region},
	}); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.put("fail", "")
	s.want("1", "2")
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("failures")})
	if err != nil || len(list.Contents) != 1 {
		t.Fatalf("%d objects, %v", len(list.Contents), err)
	}
	key := *list.Contents[0].Key
	if want := "aws/lambda/" + s.service.configs[0].UUID + "/shardId-"; !strings.HasPrefix(key, want) {
		t.Errorf("key %s, want %s…", key, want)
	}
	object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("failures"), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(object.Body)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		DDBStreamBatchInfo struct{ StreamArn, StartSequenceNumber string }
		Payload            string
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var event struct {
		Records []struct {
			EventSourceARN string
			Dynamodb       struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal([]byte(document.Payload), &event); err != nil || len(event.Records) != 1 {
		t.Fatalf("payload %s, %v", document.Payload, err)
	}
	if r := event.Records[0]; r.EventSourceARN != document.DDBStreamBatchInfo.StreamArn || r.Dynamodb.SequenceNumber != document.DDBStreamBatchInfo.StartSequenceNumber {
		t.Errorf("document %s", text)
	}
	if !strings.Contains(document.Payload, `"raw":{"B":"AP8i"}`) {
		t.Errorf("payload %s", document.Payload)
	}
}

func TestDiscardedRecordsGoToAQueueByNumber(t *testing.T) {
	s := newStack(t, map[string]any{
		"MaximumRetryAttempts": 0,
		"DestinationConfig":    map[string]any{"OnFailure": map[string]any{"Destination": "arn:aws:sqs:" + enginetest.Region + ":" + enginetest.Account + ":dead"}},
	})
	client := sqs.NewFromConfig(s.config())
	queue, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("dead")})
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.put("fail")
	var body string
	eventually(t, "a message", func() bool {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) > 0 {
			body = *out.Messages[0].Body
		}
		return body != ""
	})
	if !strings.Contains(body, `"condition":"RetryAttemptsExhausted"`) || strings.Contains(body, "payload") {
		t.Errorf("message %s", body)
	}
}

func TestASecondLaptopCloudWaitsForTheJournals(t *testing.T) {
	dir := t.TempDir()
	held, err := lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		second, err := lock(t.Context(), dir)
		if err == nil {
			second.Close()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	held.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
	held, err = lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, dir); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkRecords measures the way from the engine's stream to the end of the
// function, without the time that writing the items takes.
func BenchmarkRecords(b *testing.B) {
	s := newStack(b, map[string]any{"BatchSize": 100})
	client := dynamodb.NewFromConfig(s.config())
	for n := 1; n <= b.N; n += 25 {
		var writes []dynamodbtypes.WriteRequest
		for i := n; i < n+25 && i <= b.N; i++ {
			writes = append(writes, dynamodbtypes.WriteRequest{PutRequest: &dynamodbtypes.PutRequest{Item: item(i, "")}})
		}
		if _, err := client.BatchWriteItem(b.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]dynamodbtypes.WriteRequest{"log": writes}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	s.start()
	for len(s.handled()) < b.N {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
