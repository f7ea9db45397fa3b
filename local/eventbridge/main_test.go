package eventbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/engine"
	"plaudit/local/lambda"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/process"
	"plaudit/local/sqs"
)

// program is the binary of testdata/function.
var program string

func TestMain(m *testing.M) {
	process.Guard()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "eventbridge")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, "./testdata/function")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the function:", err)
		return 1
	}
	firstPause, longestPause = 10*time.Millisecond, time.Second
	return m.Run()
}

const functionARN = "arn:aws:lambda:ap-northeast-2:000000000000:function:tick"

// functions has one function, which every rule called tick may invoke.
type functions struct{ service *lambda.Service }

func (f functions) Function(name string) (*lambda.Function, bool) { return f.service.Function(name) }

func (f functions) Permissions(arn, principal, source string) ([]string, bool) {
	if principal == "events.amazonaws.com" && strings.HasSuffix(source, "/tick") {
		return []string{"Permission"}, arn == functionARN
	}
	return nil, arn == functionARN
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newFunctions returns functions with the one that is called tick.
func newFunctions(t *testing.T, log *buffer) functions {
	t.Helper()
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	runs := lambda.NewService(group, slog.New(slog.NewTextHandler(log, nil)))
	runs.Output = log
	once := &lambda.Async{Retries: 0, MaxAge: time.Hour}
	if _, err := runs.Add(lambda.Config{Name: "tick", ARN: functionARN, Region: "ap-northeast-2", Binary: program, Timeout: time.Minute, Async: once}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		runs.Close(ctx)
		if err := group.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return functions{runs}
}

// stack is a stack with buses and queues, and the endpoint of both.
type stack struct {
	t         *testing.T
	resources string
	log       *buffer
	said      *buffer
	functions functions
	endpoint  *httptest.Server
	refuses   atomic.Pointer[func(body string) bool] // requests that the endpoint fails
	engine    *engine.Engine
	laptop    part.Laptop
	service   *Service
	deliverer *Deliverer

	events *eventbridge.Client
	sqs    *awssqs.Client
}

// newStack starts the resources of a template. Queues of all tests are in one engine, so
// the name of the test stands for %T in the resources.
func newStack(t *testing.T, resources string) *stack {
	t.Helper()
	s := &stack{t: t, log: &buffer{}, said: &buffer{}}
	s.functions = newFunctions(t, s.log)
	s.laptop = enginetest.Laptop(t, func(text string) { fmt.Fprintln(s.said, text) })
	s.laptop.Names = parttest.Laptop().Names
	s.laptop.Log = slog.New(slog.NewTextHandler(s.log, nil))
	s.resources = strings.ReplaceAll(resources, "%T", s.name(""))
	s.endpoint = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, handler := s.service.API()
		if part.SignedFor(r) == "sqs" || strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.") {
			handler = s.engine.Proxy(4 << 20)
		}
		body, err := io.ReadAll(r.Body)
		if refuses := s.refuses.Load(); err != nil || refuses != nil && (*refuses)(string(body)) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	}))
	s.laptop.Endpoint = s.endpoint.URL
	options := aws.Config{
		Region: "ap-northeast-2", BaseEndpoint: &s.endpoint.URL, Credentials: credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
	}
	s.events, s.sqs = eventbridge.NewFromConfig(options, func(o *eventbridge.Options) { o.RetryMaxAttempts = 1 }), awssqs.NewFromConfig(options)
	s.start()
	t.Cleanup(func() {
		s.stop()
		s.endpoint.Close()
	})
	return s
}

// name returns the name of a queue of this test.
func (s *stack) name(of string) string {
	return strings.ReplaceAll(s.t.Name(), "/", "-") + of
}

// prepare reads the resources, and starts all but the deliveries.
func (s *stack) prepare() {
	s.t.Helper()
	s.engine = engine.New(s.laptop)
	queues := sqs.New(s.laptop, s.engine)
	s.service = New(s.laptop, s.functions, queues)
	s.deliverer = s.service.Deliverer()
	if _, err := parttest.Read(s.t, part.List{queues, s.service}, s.resources); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range []part.Part{s.engine, queues, s.service} {
		if err := p.Start(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stack) start() {
	s.t.Helper()
	s.prepare()
	if err := s.deliverer.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) stop() {
	s.deliverer.Stop()
	s.service.Stop()
	s.engine.Stop()
}

// put puts an event on the bus called bus, and fails the test unless it is taken.
func (s *stack) put(source, detailType, detail string) string {
	s.t.Helper()
	out, err := s.events.PutEvents(s.t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: aws.String("bus"), Source: &source, DetailType: &detailType, Detail: &detail,
	}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if out.FailedEntryCount != 0 {
		s.t.Fatalf("%s: %s", aws.ToString(out.Entries[0].ErrorCode), aws.ToString(out.Entries[0].ErrorMessage))
	}
	return *out.Entries[0].EventId
}

// receive returns the next message of a queue, and deletes it.
func (s *stack) receive(queue string) (body string, attributes map[string]string) {
	s.t.Helper()
	url := aws.String(s.endpoint.URL + "/000000000000/" + s.name(queue))
	for range 3 {
		out, err := s.sqs.ReceiveMessage(s.t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"}})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			continue
		}
		m := out.Messages[0]
		if _, err := s.sqs.DeleteMessage(s.t.Context(), &awssqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
			s.t.Fatal(err)
		}
		attributes = map[string]string{}
		for name, value := range m.MessageAttributes {
			attributes[name] = aws.ToString(value.StringValue)
		}
		return *m.Body, attributes
	}
	s.t.Fatalf("nothing comes into the queue %s", queue)
	return "", nil
}

// messages returns how many messages a queue has.
func (s *stack) messages(queue string) string {
	s.t.Helper()
	url := aws.String(s.endpoint.URL + "/000000000000/" + s.name(queue))
	out, err := s.sqs.GetQueueAttributes(s.t.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{"ApproximateNumberOfMessages"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Attributes["ApproximateNumberOfMessages"]
}

// delivered waits until nothing is left to deliver.
func (s *stack) delivered() {
	s.t.Helper()
	eventually(s.t, "everything is delivered", func() bool { return s.service.waits() == 0 })
}

func decoded(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
