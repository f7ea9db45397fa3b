package eventsource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/engine"
	"plaudit/local/lambda"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/process"
	queues "plaudit/local/sqs"
	"plaudit/local/template"
)

// post is a queue "work" with a dead-letter queue "dead", a function, and a mapping
// between them.
type post struct {
	t          testing.TB
	laptop     part.Laptop
	calls      string
	log        *buffer
	attributes map[string]any // properties of the queue
	extra      map[string]any // of the mapping
	function   lambda.Config
	timing     queueTiming

	// Of one run.
	engine    *engine.Engine
	group     *process.Group
	functions *lambda.Service
	service   *Service
	client    *sqs.Client
}

func newPost(t testing.TB, extra map[string]any) *post {
	t.Helper()
	p := &post{
		t: t, laptop: enginetest.Laptop(t, func(string) {}), calls: filepath.Join(t.TempDir(), "calls"), log: &buffer{}, extra: extra,
		attributes: map[string]any{"VisibilityTimeout": 1},
		// An hour, so that only what the tests look for makes the mapping look.
		timing: queueTiming{idlePoll: time.Hour, windowPoll: 5 * time.Millisecond, grace: time.Minute, delays: [2]time.Duration{time.Millisecond, 5 * time.Millisecond}},
	}
	p.laptop.Log = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.function = lambda.Config{
		Name: "consumer", ARN: testFunction, Region: p.laptop.Region, Binary: receiver, Timeout: time.Second, Env: map[string]string{"CALLS": p.calls}, Concurrency: 4,
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			text, _ := os.ReadFile(p.calls)
			t.Logf("calls: %s\nlog:\n%s", text, p.log)
		}
	})
	return p
}

func (p *post) arn(queue string) string { return p.laptop.ARN("sqs", queue) }

// Function implements Functions.
func (p *post) Function(name string) (*lambda.Function, bool) { return p.functions.Function(name) }

// prepare makes the queues.
func (p *post) prepare() {
	p.t.Helper()
	if p.engine != nil {
		return
	}
	p.engine = engine.New(p.laptop)
	work := map[string]any{"QueueName": "work", "RedrivePolicy": map[string]any{"deadLetterTargetArn": p.arn("dead"), "maxReceiveCount": 2}}
	maps.Copy(work, p.attributes)
	made := queues.New(p.laptop, p.engine)
	for id, properties := range map[string]map[string]any{"Work": work, "Dead": {"QueueName": "dead"}} {
		if err := made.Read(template.Resource{ID: id, Type: "AWS::SQS::Queue", Properties: properties}); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, start := range []func(context.Context) error{p.engine.Start, made.Start} {
		if err := start(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
	client, err := newQueueClient(p.engine.Config).now() // whose sends the SDK does not repeat
	if err != nil {
		p.t.Fatal(err)
	}
	p.client = client
}

// begin starts the mapping.
func (p *post) begin() error {
	p.t.Helper()
	p.prepare()
	var err error
	if p.group, err = process.NewGroup(); err != nil {
		p.t.Fatal(err)
	}
	p.functions = lambda.NewService(p.group, p.laptop.Log)
	p.functions.Output = p.log
	if _, err := p.functions.Add(p.function); err != nil {
		p.t.Fatal(err)
	}
	p.service = New(p.laptop, p.engine, p)
	p.service.timing = p.timing
	properties := map[string]any{"EventSourceArn": p.arn("work"), "FunctionName": "consumer"}
	maps.Copy(properties, p.extra)
	if err := p.service.Read(template.Resource{ID: "ConsumerWork", Type: "AWS::Lambda::EventSourceMapping", Properties: properties}); err != nil {
		p.t.Fatal(err)
	}
	return p.service.Start(p.t.Context())
}

func (p *post) start() {
	p.t.Helper()
	if err := p.begin(); err != nil {
		p.t.Fatal(err)
	}
}

// stop stops the mapping, as the end of the laptop cloud does.
func (p *post) stop() {
	if p.service == nil {
		return
	}
	p.service.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.functions.Close(ctx)
	if err := p.group.Close(); err != nil {
		p.t.Error(err)
	}
	p.service = nil
}

func (p *post) url(queue string) *string {
	p.t.Helper()
	out, err := p.client.GetQueueUrl(p.t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.QueueUrl
}

// send sends messages by the laptop cloud's own client.
func (p *post) send(bodies ...string) {
	p.t.Helper()
	url := p.url("work")
	for _, body := range bodies {
		if _, err := p.client.SendMessage(p.t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// job is a body that tells the function what to do.
func job(n int, do string) string {
	text, err := json.Marshal(map[string]any{"n": n, "do": do})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// invocations are the numbers of the jobs of each invocation so far; ? is another body.
func (p *post) invocations() (out []string) {
	p.t.Helper()
	text, _ := os.ReadFile(p.calls) // the first invocation makes it
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var event struct {
			Records []struct{ Body string }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			p.t.Fatal(err)
		}
		var numbers []string
		for _, r := range event.Records {
			var body struct{ N int }
			if json.Unmarshal([]byte(r.Body), &body) == nil {
				numbers = append(numbers, fmt.Sprint(body.N))
			} else {
				numbers = append(numbers, "?")
			}
		}
		out = append(out, strings.Join(numbers, " "))
	}
	return out
}

// want waits until the invocations are these, in any order, and nothing is in the queue.
func (p *post) want(invocations ...string) {
	p.t.Helper()
	slices.Sort(invocations)
	eventually(p.t, fmt.Sprintf("the invocations %q and an empty queue", invocations), func() bool {
		got := p.invocations()
		slices.Sort(got)
		return slices.Equal(got, invocations) && p.count("work") == 0
	})
}

// count returns how many messages a queue has.
func (p *post) count(queue string) int {
	p.t.Helper()
	out, err := p.client.GetQueueAttributes(p.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: p.url(queue), AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		p.t.Fatal(err)
	}
	sum := 0
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"} {
		var n int
		if _, err := fmt.Sscan(out.Attributes[name], &n); err != nil {
			p.t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// The bytes are those of Lambda's documentation, but for ids, times and the order of keys.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func TestAMessageReachesTheFunctionAsLambdaSendsIt(t *testing.T) {
	p := newPost(t, nil)
	p.start()
	const body = "Test <message> & \"more\" \u2028 서울"
	sent, err := p.client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: p.url("work"), MessageBody: aws.String(body), MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   {DataType: aws.String("String"), StringValue: aws.String("a value")},
			"number": {DataType: aws.String("Number.int"), StringValue: aws.String("12")},
			"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.want("?")
	text, err := os.ReadFile(p.calls)
	if err != nil {
		t.Fatal(err)
	}
	var event struct{ Records []map[string]any }
	if err := json.Unmarshal(text, &event); err != nil || len(event.Records) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	got := event.Records[0]
	attributes, _ := got["attributes"].(map[string]any)
	for _, name := range []string{"SentTimestamp", "ApproximateFirstReceiveTimestamp"} {
		if text, _ := attributes[name].(string); len(text) != 13 {
			t.Errorf("%s is %v", name, attributes[name])
		}
		delete(attributes, name)
	}
	if receipt, _ := got["receiptHandle"].(string); receipt == "" {
		t.Error("no receipt handle")
	}
	delete(got, "receiptHandle")
	want := map[string]any{
		"messageId": *sent.MessageId, "body": body, "md5OfBody": *sent.MD5OfMessageBody, "md5OfMessageAttributes": *sent.MD5OfMessageAttributes,
		"eventSource": "aws:sqs", "eventSourceARN": p.arn("work"), "awsRegion": p.laptop.Region,
		"attributes": map[string]any{"ApproximateReceiveCount": "1", "SenderId": p.laptop.AccountID},
		"messageAttributes": map[string]any{
			"text":   map[string]any{"stringValue": "a value", "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "String"},
			"number": map[string]any{"stringValue": "12", "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "Number.int"},
			"bytes":  map[string]any{"binaryValue": "AP8=", "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "Binary"},
		},
	}
	wantText, _ := json.MarshalIndent(want, "", " ")
	if gotText, _ := json.MarshalIndent(got, "", " "); string(gotText) != string(wantText) {
		t.Errorf("got %s, want %s", gotText, wantText)
	}
}

// The mapping looks into the queue once an hour unless it is woken.
func TestEverySendByWayOfTheLaptopCloudWakesTheMapping(t *testing.T) {
	p := newPost(t, nil)
	p.start()
	p.send(job(1, ""))
	p.want("1")
	front := httptest.NewServer(p.engine.Proxy(1 << 20))
	defer front.Close()
	outside := sqs.NewFromConfig(enginetest.InAccount(front.URL, p.laptop.AccountID))
	if _, err := outside.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: p.url("work"), MessageBody: aws.String(job(2, ""))}); err != nil {
		t.Fatal(err)
	}
	p.want("1", "2")
	if _, err := outside.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: p.url("work"), Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String(job(3, ""))}, {Id: aws.String("b"), MessageBody: aws.String(job(4, ""))},
	}}); err != nil {
		t.Fatal(err)
	}
	p.want("1", "2", "3 4")
}

func TestAMessageThatWakesNobodyIsFound(t *testing.T) {
	p := newPost(t, nil)
	p.timing.idlePoll = 5 * time.Millisecond
	p.start()
	behind := sqs.NewFromConfig(enginetest.InAccount(p.engine.URL(), p.laptop.AccountID))
	if _, err := behind.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: p.url("work"), MessageBody: aws.String(job(1, "")), DelaySeconds: 1}); err != nil {
		t.Fatal(err)
	}
	p.want("1")
}

func TestReportedMessagesComeAgain(t *testing.T) {
	p := newPost(t, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}})
	p.timing.idlePoll = 5 * time.Millisecond
	p.prepare()
	p.send(job(1, ""), job(2, "report-once"), job(3, ""), job(4, "report-once"))
	p.start()
	p.want("1 2 3 4", "2 4")
	if n := p.count("dead"); n != 0 {
		t.Errorf("%d messages are in the dead-letter queue", n)
	}
}

func TestReportsAreIgnoredUnlessAskedFor(t *testing.T) {
	p := newPost(t, nil)
	p.prepare()
	p.send(job(1, "report"))
	p.start()
	p.want("1")
}

// After two receptions a message goes to the dead-letter queue, with its attributes.
func TestAFailedBatchComesAgainAndThenGoesToTheDeadLetterQueue(t *testing.T) {
	for name, c := range map[string]struct {
		do    string
		extra map[string]any
	}{
		"an error":            {"fail", nil},
		"an unknown id":       {`answer:{"batchItemFailures":[{"itemIdentifier":"unknown"}]}`, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}}},
		"an empty id":         {`answer:{"batchItemFailures":[{"itemIdentifier":""}]}`, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}}},
		"another key":         {`answer:{"batchItemFailures":[{"id":"x"}]}`, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}}},
		"an answer of a list": {`answer:["x"]`, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t, c.extra)
			p.timing.idlePoll = 5 * time.Millisecond
			p.prepare()
			if _, err := p.client.SendMessage(t.Context(), &sqs.SendMessageInput{
				QueueUrl: p.url("work"), MessageBody: aws.String(job(1, c.do)),
				MessageAttributes: map[string]types.MessageAttributeValue{"kept": {DataType: aws.String("String"), StringValue: aws.String("yes")}},
			}); err != nil {
				t.Fatal(err)
			}
			p.send(job(2, ""))
			p.start()
			p.want("1 2", "1 2")
			eventually(t, "both messages in the dead-letter queue", func() bool { return p.count("dead") == 2 })
			out, err := p.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: p.url("dead"), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(out.Messages, func(m types.Message) bool { return *m.Body == job(1, c.do) }); i < 0 || aws.ToString(out.Messages[i].MessageAttributes["kept"].StringValue) != "yes" {
				t.Errorf("the dead-letter queue has %+v", out.Messages)
			}
		})
	}
}

func TestAnswersThatMeanSuccessForAQueue(t *testing.T) {
	for _, answer := range []string{`{}`, `null`, `{"batchItemFailures":[]}`, `{"batchItemFailures":null}`} {
		p := newPost(t, map[string]any{"FunctionResponseTypes": []any{"ReportBatchItemFailures"}})
		p.prepare()
		p.send(job(1, "answer:"+answer))
		p.start()
		p.want("1")
		p.stop()
	}
}

// A throttled invocation is repeated, and the message is not received again for it.
func TestAThrottledInvocationIsRepeated(t *testing.T) {
	p := newPost(t, nil)
	p.attributes["VisibilityTimeout"] = 600
	p.function.Timeout, p.function.Concurrency = time.Minute, 1
	p.extra = map[string]any{"BatchSize": 1, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}}
	p.start()
	held := filepath.Join(t.TempDir(), "go")
	p.send(job(1, "hold:"+held))
	eventually(t, "the first invocation", func() bool { return len(p.invocations()) == 1 })
	p.send(job(2, ""))
	eventually(t, "a throttled invocation", func() bool { return strings.Contains(p.log.String(), "throttled") })
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want("1", "2")
	if text, _ := os.ReadFile(p.calls); strings.Count(string(text), `"ApproximateReceiveCount":"1"`) != 2 {
		t.Errorf("a message was received twice: %s", text)
	}
}

func TestMessagesThatNoFilterLetsThroughAreDeleted(t *testing.T) {
	p := newPost(t, map[string]any{"FilterCriteria": map[string]any{"Filters": []any{
		map[string]any{"Pattern": `{"body":{"n":[{"numeric":[">",1]}]}}`}, map[string]any{"Pattern": `{"body":[{"prefix":"plain"}]}`},
	}}})
	p.prepare()
	p.send(job(1, ""), job(2, ""), "no JSON", `"plain JSON text"`, "plain text", `{"broken`)
	p.start()
	p.want("2 ?")
}

func TestAWindowGathersABatch(t *testing.T) {
	p := newPost(t, map[string]any{"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1})
	p.attributes["VisibilityTimeout"] = 60
	p.prepare()
	var want []string
	for i := range 25 {
		p.send(job(i, ""))
		want = append(want, fmt.Sprint(i))
	}
	p.start()
	p.want(strings.Join(want, " "))
}

func TestABatchEndsWhenItIsFull(t *testing.T) {
	p := newPost(t, map[string]any{"BatchSize": 12, "MaximumBatchingWindowInSeconds": 300, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}})
	p.attributes["VisibilityTimeout"] = 600
	p.prepare()
	for i := range 24 {
		p.send(job(i, ""))
	}
	p.start()
	p.want("0 1 2 3 4 5 6 7 8 9 10 11", "12 13 14 15 16 17 18 19 20 21 22 23")
}

// Twelve messages of about 1 MB do not fit into an event of 6 MB.
func TestAnEventHasAtMost6MB(t *testing.T) {
	p := newPost(t, map[string]any{"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}})
	p.attributes["VisibilityTimeout"] = 60
	p.function.Timeout = 30 * time.Second
	p.prepare()
	large := strings.Repeat("x", 1_000_000)
	for i := range 12 {
		p.send(fmt.Sprintf(`{"n":%d,"do":"","text":"%s"}`, i, large))
	}
	p.start()
	p.want("0 1 2 3 4 5", "6 7 8 9 10 11")
}

func TestNoMoreInvocationsThanTheMaximumRunAtATime(t *testing.T) {
	p := newPost(t, map[string]any{"BatchSize": 1, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}})
	p.attributes["VisibilityTimeout"] = 600
	p.function.Timeout = time.Minute
	p.start()
	held := filepath.Join(t.TempDir(), "go")
	p.send(job(1, "hold:"+held), job(2, "hold:"+held), job(3, ""), job(4, ""))
	eventually(t, "two invocations", func() bool { return len(p.invocations()) == 2 })
	out, err := p.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: p.url("work"), AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil || out.Attributes["ApproximateNumberOfMessages"] != "2" {
		t.Errorf("messages that wait for their turn do not wait in the queue: %v, %v", out.Attributes, err)
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.want("1", "2", "3", "4")
}

// What runs ends; what was only received is in the queue at once, for the next start.
func TestTheStopLeavesTheRestInTheQueue(t *testing.T) {
	p := newPost(t, map[string]any{"BatchSize": 100, "MaximumBatchingWindowInSeconds": 300})
	p.attributes["VisibilityTimeout"] = 600
	p.function.Timeout = time.Minute
	p.start()
	p.send(job(1, ""), job(2, ""))
	eventually(t, "both messages received", func() bool {
		out, err := p.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: p.url("work"), AttributeNames: []types.QueueAttributeName{"All"}})
		return err == nil && out.Attributes["ApproximateNumberOfMessagesNotVisible"] == "2"
	})
	p.stop()
	if got := p.invocations(); len(got) > 0 {
		t.Fatalf("invocations %q", got)
	}
	held := filepath.Join(t.TempDir(), "go")
	p.extra = map[string]any{"BatchSize": 2}
	p.start()
	p.want("1 2")
	p.send(job(3, "hold:"+held))
	eventually(t, "the invocation", func() bool { return len(p.invocations()) == 2 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.service.Stop()
	}()
	select {
	case <-stopped:
		t.Fatal("the stop does not wait for an invocation")
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-stopped
	if n := p.count("work"); n != 0 {
		t.Errorf("%d messages are in the queue", n)
	}
}

func TestAnEngineThatIsKilledStopsNoMapping(t *testing.T) {
	p := newPost(t, nil)
	p.laptop.Engine, p.laptop.AccountID = "", enginetest.Account
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(p.laptop.Folder, "ministack")); err != nil {
		t.Fatal(err)
	}
	pids := make(chan int, 100)
	p.laptop.ChangeRun = func(change func(*part.Run)) error {
		run := part.Run{PIDs: map[string]int{}}
		change(&run)
		pids <- run.PIDs["engine"]
		return nil
	}
	p.laptop.FileLog = func(string) io.Writer { return p.log }
	p.timing.idlePoll = 5 * time.Millisecond
	p.start()
	t.Cleanup(func() {
		p.stop()
		p.engine.Stop()
	})
	p.send(job(1, ""))
	p.want("1")
	if err := syscall.Kill(<-pids, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for pid := -1; pid <= 0; pid = <-pids { // 0: it has ended
	}
	front := httptest.NewServer(p.engine.Proxy(1 << 20))
	defer front.Close()
	outside := sqs.NewFromConfig(enginetest.InAccount(front.URL, p.laptop.AccountID))
	url, err := outside.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("work")}) // waits for the engine
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outside.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String(job(2, ""))}); err != nil {
		t.Fatal(err)
	}
	p.client = outside
	p.want("1", "2")
}

func TestAMappingThatLambdaRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*post)
		want   string
	}{
		"a short visibility timeout": {func(p *post) { p.function.Timeout = 2 * time.Second }, "ConsumerWork: EventSourceArn: the visibility timeout of the queue work, 1 seconds, is less than the timeout of the function, 2 seconds"},
		"no such queue":              {func(p *post) { p.extra = map[string]any{"EventSourceArn": p.arn("nothing")} }, "ConsumerWork: EventSourceArn: the queue " + "arn:aws:sqs:"},
		"another account's queue":    {func(p *post) { p.extra = map[string]any{"EventSourceArn": "arn:aws:sqs:eu-west-1:111111111111:work"} }, "does not exist; there is"},
		"no such function":           {func(p *post) { p.extra = map[string]any{"FunctionName": "nobody"} }, "the function nobody does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t, nil)
			c.change(p)
			if err := p.begin(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestMessagesWaitForAMappingThatIsOff(t *testing.T) {
	p := newPost(t, map[string]any{"Enabled": false})
	p.start()
	p.send(job(1, ""))
	p.stop()
	p.extra = nil
	p.start()
	p.want("1")
}

const testQueue = "arn:aws:sqs:ap-northeast-2:000000000000:work"

func queueResource(changes map[string]any) template.Resource {
	properties := map[string]any{"EventSourceArn": testQueue, "FunctionName": "consumer"}
	maps.Copy(properties, changes)
	return template.Resource{ID: "ConsumerWork", Type: "AWS::Lambda::EventSourceMapping", Properties: properties}
}

func TestReadAMappingForAQueue(t *testing.T) {
	s := testService(t)
	for _, r := range []template.Resource{
		queueResource(nil),
		queueResource(map[string]any{
			"BatchSize": 500, "MaximumBatchingWindowInSeconds": 20, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}, "Enabled": true,
			"FunctionResponseTypes": []any{"ReportBatchItemFailures"}, "Tags": []any{},
			"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"$or":[{"body":["a"]},{"body":{"b":["c"]}}]}`}}},
		}),
	} {
		if err := s.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		fmt.Sprintf("%+v", queueConfig{ID: "ConsumerWork", QueueARN: testQueue, Function: "consumer", BatchSize: 10}),
		fmt.Sprintf("%+v", queueConfig{
			ID: "ConsumerWork", QueueARN: testQueue, Function: "consumer", BatchSize: 500, Window: 20 * time.Second, Concurrency: 2, Partial: true,
			Filters: []string{`{"$or":[{"body":["a"]},{"body":{"b":["c"]}}]}`},
		}),
	}
	for i, c := range s.queues {
		if got := fmt.Sprintf("%+v", c); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	if values := s.Values(queueResource(nil)); len(fmt.Sprint(values["Ref"])) != 36 {
		t.Errorf("values %v", values)
	}
}

func TestWrongMappingsForQueues(t *testing.T) {
	filter := func(text string) map[string]any {
		return map[string]any{"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": text}}}}
	}
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"a FIFO queue", map[string]any{"EventSourceArn": testQueue + ".fifo"}, "EventSourceArn: the laptop cloud receives messages of standard queues only"},
		{"no message in a batch", map[string]any{"BatchSize": 0}, "BatchSize: it must be between 1 and 10000"},
		{"too many messages in a batch", map[string]any{"BatchSize": 10001, "MaximumBatchingWindowInSeconds": 1}, "BatchSize"},
		{"a large batch without a window", map[string]any{"BatchSize": 11}, "MaximumBatchingWindowInSeconds: it must be at least 1 if BatchSize is over 10"},
		{"too long a window", map[string]any{"MaximumBatchingWindowInSeconds": 301}, "MaximumBatchingWindowInSeconds: it must be between 0 and 300"},
		{"too little concurrency", map[string]any{"ScalingConfig": map[string]any{"MaximumConcurrency": 1}}, "ScalingConfig.MaximumConcurrency: it must be between 2 and 1000"},
		{"too much concurrency", map[string]any{"ScalingConfig": map[string]any{"MaximumConcurrency": 1001}}, "ScalingConfig.MaximumConcurrency"},
		{"another kind of answer", map[string]any{"FunctionResponseTypes": []any{"Other"}}, "FunctionResponseTypes"},
		{"a filter that is not a pattern", filter(`{"body":"b"}`), "FilterCriteria.Filters[0].Pattern: body must be"},
		{"a filter of an attribute", filter(`{"messageAttributes":{"a":{"stringValue":["b"]}}}`), "FilterCriteria.Filters[0].Pattern: filters of a queue compare the body only, not messageAttributes"},
		{"a filter of an attribute among alternatives", filter(`{"$or":[{"body":["a"]},{"awsRegion":["b"]}]}`), "not awsRegion"},
		{"a property of streams", map[string]any{"StartingPosition": "LATEST"}, "StartingPosition: the property is not supported"},
		{"bisection", map[string]any{"BisectBatchOnFunctionError": true}, "BisectBatchOnFunctionError"},
		{"a destination", map[string]any{"DestinationConfig": map[string]any{}}, "DestinationConfig"},
		{"dedicated pollers", map[string]any{"ProvisionedPollerConfig": map[string]any{}}, "ProvisionedPollerConfig"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := testService(t).Read(queueResource(c.changes))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ConsumerWork") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// BenchmarkMessage measures the way of a message from the end of the send to the
// function's first step, one at a time.
func BenchmarkMessage(b *testing.B) {
	p := newPost(b, nil)
	p.attributes["VisibilityTimeout"] = 60
	p.start()
	size := func() int64 {
		info, err := os.Stat(p.calls)
		if err != nil {
			return 0 // the first invocation makes it
		}
		return info.Size()
	}
	p.send("warm")
	for size() == 0 {
		time.Sleep(time.Millisecond)
	}
	url := p.url("work")
	var took time.Duration
	b.ResetTimer()
	for range b.N {
		before := size()
		if _, err := p.client.SendMessage(b.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x")}); err != nil {
			b.Fatal(err)
		}
		sent := time.Now()
		for size() == before {
			time.Sleep(50 * time.Microsecond)
		}
		took += time.Since(sent)
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/message")
}
