package eventsource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/lambda"
)

// queueConfig is an event source mapping for a queue, as the template describes it.
type queueConfig struct {
	ID          string        // logical id
	QueueARN    string        // EventSourceArn
	Function    string        // FunctionName
	Filters     []string      // patterns for the body, of which one must match; none: every message
	BatchSize   int           // at least 1
	Window      time.Duration // MaximumBatchingWindowInSeconds
	Partial     bool          // ReportBatchItemFailures
	Concurrency int           // ScalingConfig.MaximumConcurrency; 0: that of the function
	Disabled    bool          // not Enabled: messages wait in the queue
}

// queueMapping is an event source mapping for a queue that runs.
//
// One goroutine receives messages and makes batches of them, as long as fewer
// invocations run than may. A message that is not deleted comes again after the
// queue's visibility timeout, and goes to the queue's dead-letter queue in the end:
// both are the engine's doing.
//
// It does not use SQS's long polling. The engine looks for messages only ten times a
// second while such a request waits, and goes on when its client has gone: what comes
// then is lost to everybody for the visibility timeout. So the mapping asks briefly,
// at once when something was sent by way of the laptop cloud and else now and then.
//
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
type queueMapping struct {
	queueConfig
	queue      *queueClient
	url        string // of the queue
	region     string
	visibility time.Duration // the queue's VisibilityTimeout
	filters    filters
	invoke     Invoke
	log        *slog.Logger
	now        func() time.Time
	queueTiming

	wake chan struct{} // something may be in the queue
	left []message     // received, and did not fit into the last batch
	work sync.WaitGroup
}

// queueTiming is how a mapping waits. Tests wait less.
type queueTiming struct {
	idlePoll   time.Duration    // between looks into the queue, if nothing wakes the mapping
	windowPoll time.Duration    // between looks while a batch is gathered
	grace      time.Duration    // for an invocation that runs at the stop, and for what follows it
	delays     [2]time.Duration // between tries, after a throttled invocation or an error of the engine
}

var defaultQueueTiming = queueTiming{
	idlePoll: 200 * time.Millisecond, windowPoll: 50 * time.Millisecond, grace: 3 * time.Second,
	delays: [2]time.Duration{20 * time.Millisecond, time.Second},
}

// Limits of a mapping for a queue.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
const (
	defaultQueueBatch = 10
	// maxPage is how many messages one request receives or deletes.
	maxPage = 10
	// maxQuickBatch is the largest batch without a window.
	maxQuickBatch  = maxPage
	minConcurrency = 2
	maxConcurrency = 1000
)

// message is a message that was received and not deleted.
type message struct {
	id, receipt string
	record      []byte    // the JSON that the function is given
	until       time.Time // it may be received again from then on
}

func newQueueMapping(c queueConfig, queue *queueClient, region string, log *slog.Logger) (*queueMapping, error) {
	m := &queueMapping{
		queueConfig: c, queue: queue, region: region, log: log.With("mapping", c.ID), now: time.Now, wake: make(chan struct{}, 1),
	}
	var err error
	m.filters, err = parseFilters(c.Filters)
	return m, err
}

// open finds the queue. It refuses what Lambda refuses when it makes a mapping.
func (m *queueMapping) open(ctx context.Context, functionTimeout time.Duration) error {
	client, err := m.queue.now()
	if err != nil {
		return err
	}
	name := m.QueueARN[strings.LastIndexByte(m.QueueARN, ':')+1:]
	found, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if missing := (*types.QueueDoesNotExist)(nil); errors.As(err, &missing) {
		return fmt.Errorf("EventSourceArn: the queue %s does not exist", m.QueueARN)
	}
	if err != nil {
		return err
	}
	m.url = aws.ToString(found.QueueUrl)
	out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &m.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return err
	}
	if arn := out.Attributes["QueueArn"]; arn != m.QueueARN {
		return fmt.Errorf("EventSourceArn: the queue %s does not exist; there is %s", m.QueueARN, arn)
	}
	seconds, err := strconv.Atoi(out.Attributes["VisibilityTimeout"])
	if err != nil {
		return fmt.Errorf("the visibility timeout of the queue %s: %w", name, err)
	}
	m.visibility = time.Duration(seconds) * time.Second
	if m.visibility < functionTimeout {
		return fmt.Errorf("EventSourceArn: the visibility timeout of the queue %s, %d seconds, is less than the timeout of the function, %.0f seconds, which Lambda refuses; raise the queue's VisibilityTimeout",
			name, seconds, functionTimeout.Seconds())
	}
	return nil
}

// look makes the mapping look into the queue at once.
func (m *queueMapping) look() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run receives messages and invokes the function until ctx ends.
func (m *queueMapping) run(ctx context.Context) {
	m.work.Go(func() {
		running := make(chan struct{}, m.Concurrency)
		for {
			var batch []message
			select {
			case running <- struct{}{}:
				batch = m.collect(ctx)
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				m.release(ctx, append(batch, m.left...))
				return
			}
			m.work.Go(func() {
				m.deliver(ctx, batch)
				<-running
			})
		}
	})
}

// wait returns when what run started has ended.
func (m *queueMapping) wait() { m.work.Wait() }

// collect waits for a batch: until it is full, in number or in bytes, or the window
// that began with its first message has passed. When ctx ends, it returns what it has.
func (m *queueMapping) collect(ctx context.Context) []message {
	var batch []message
	var end time.Time // of the window
	for failures := 0; ctx.Err() == nil; {
		var full bool
		if batch, full = m.fill(batch); full {
			break
		}
		if len(batch) > 0 {
			if end.IsZero() {
				end = time.Now().Add(m.Window)
			}
			if !time.Now().Before(end) {
				break
			}
		}
		n, err := m.receive(ctx, min(maxPage, m.BatchSize-len(batch)))
		if err != nil {
			if failures++; failures == 1 && ctx.Err() == nil {
				m.log.Warn("a queue cannot be read; it is tried again", "error", err)
			}
			_ = pause(ctx, m.delays, failures)
			continue
		}
		failures = 0
		if n > 0 { // more may be there
			continue
		}
		wake, poll := m.wake, m.idlePoll
		if len(batch) > 0 { // not for each of many messages
			wake, poll = nil, min(m.windowPoll, time.Until(end))
		}
		timer := time.NewTimer(poll)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return batch
}

// fill moves messages that were received into a batch, and reports whether it is full.
func (m *queueMapping) fill(batch []message) ([]message, bool) {
	size := 0
	for _, one := range batch {
		size += len(one.record) + 1 // a comma follows
	}
	for len(m.left) > 0 && len(batch) < m.BatchSize {
		if size += len(m.left[0].record) + 1; size > maxPayload && len(batch) > 0 {
			return batch, true
		}
		batch, m.left = append(batch, m.left[0]), m.left[1:]
	}
	return batch, len(batch) == m.BatchSize
}

// receive receives at most count messages, and returns how many there were. Those that
// no filter lets through are deleted, as in Lambda. A request that runs when the mapping
// stops goes on for the grace: its messages would be lost for the visibility timeout.
func (m *queueMapping) receive(ctx context.Context, count int) (int, error) {
	client, err := m.queue.now()
	if err != nil {
		return 0, err
	}
	receiving, cancel := linger(ctx, m.grace)
	defer cancel()
	until := m.now().Add(m.visibility)
	out, err := client.ReceiveMessage(receiving, &sqs.ReceiveMessageInput{
		QueueUrl: &m.url, MaxNumberOfMessages: int32(count),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		return 0, err
	}
	var unwanted []message
	for _, one := range out.Messages {
		record, err := queueRecord(one, m.QueueARN, m.region)
		if err != nil {
			return 0, err
		}
		received := message{aws.ToString(one.MessageId), aws.ToString(one.ReceiptHandle), record, until}
		if len(m.filters) == 0 || m.filters.let(filterable(aws.ToString(one.Body))) {
			m.left = append(m.left, received)
		} else {
			unwanted = append(unwanted, received)
		}
	}
	m.remove(ctx, unwanted)
	return len(out.Messages), nil
}

// deliver hands a batch to the function once, and deletes what it has handled. The rest
// stays in the queue. A throttled invocation is repeated until the messages are visible
// in the queue again.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func (m *queueMapping) deliver(ctx context.Context, batch []message) {
	for throttled := 1; ; throttled++ {
		// They may have waited for their turn.
		batch = slices.DeleteFunc(batch, func(one message) bool { return !m.now().Before(one.until) })
		if len(batch) == 0 {
			return
		}
		if ctx.Err() != nil {
			m.release(ctx, batch)
			return
		}
		response, functionError, err := m.call(ctx, batch)
		switch {
		case errors.Is(err, lambda.ErrThrottled):
			_ = pause(ctx, m.delays, throttled)
			continue
		case errors.Is(err, lambda.ErrClosed):
			m.release(ctx, batch)
			return
		case err != nil: // the laptop cloud stops, and the function goes on
			m.log.Warn("the function did not end in time: its messages come again after the visibility timeout", "messages", len(batch), "error", err)
			return
		case functionError != "":
			m.log.Info("messages that the function could not handle stay in the queue", "messages", len(batch))
			return
		}
		m.remove(ctx, m.handled(batch, response))
		return
	}
}

// call invokes the function. An invocation that runs when the mapping stops gets a
// moment to end.
func (m *queueMapping) call(ctx context.Context, batch []message) (response []byte, functionError string, err error) {
	invoking, cancel := linger(ctx, m.grace)
	defer cancel()
	records := make([][]byte, len(batch))
	for i, one := range batch {
		records[i] = one.record
	}
	return m.invoke(invoking, Event(records...))
}

// handled returns the messages of a batch that the function has not reported as failed.
func (m *queueMapping) handled(batch []message, response []byte) []message {
	if !m.Partial {
		return batch
	}
	index := map[string]int{}
	for i, one := range batch {
		index[one.id] = i
	}
	failed, ok := failedItems(response, index)
	if !ok {
		m.log.Warn("the function's answer does not report failures as Lambda expects: all its messages stay in the queue", "messages", len(batch))
		return nil
	}
	if len(failed) == 0 {
		return batch
	}
	m.log.Info("messages that the function could not handle stay in the queue", "messages", len(failed))
	var out []message
	for i, one := range batch {
		if !slices.Contains(failed, i) {
			out = append(out, one)
		}
	}
	return out
}

// remove deletes messages from the queue. While the engine does not answer, it tries
// again until they are visible there; then they come once more.
func (m *queueMapping) remove(ctx context.Context, messages []message) {
	removing, cancel := linger(ctx, m.grace)
	defer cancel()
	for page := range slices.Chunk(messages, maxPage) {
		for try := 1; ; try++ {
			err := m.removePage(removing, page)
			if err == nil {
				break
			}
			if pause(removing, m.delays, try) != nil || !m.now().Before(page[0].until) {
				m.log.Warn("messages that were handled are not deleted, and come again", "messages", len(page), "error", err)
				break
			}
		}
	}
}

func (m *queueMapping) removePage(ctx context.Context, page []message) error {
	client, err := m.queue.now()
	if err != nil {
		return err
	}
	entries := make([]types.DeleteMessageBatchRequestEntry, len(page))
	for i, one := range page {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &one.receipt}
	}
	out, err := client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &m.url, Entries: entries})
	if err != nil {
		return err
	}
	for _, f := range out.Failed { // an engine that started again has forgotten them, or their receipts
		m.log.Warn("a message that was handled is not deleted", "code", aws.ToString(f.Code), "error", aws.ToString(f.Message))
	}
	return nil
}

// release makes messages that no function got visible in the queue, so that the next
// start need not wait for them. If that fails, they come after the visibility timeout.
func (m *queueMapping) release(ctx context.Context, messages []message) {
	releasing, cancel := linger(ctx, m.grace)
	defer cancel()
	client, err := m.queue.now()
	for page := range slices.Chunk(messages, maxPage) {
		if err != nil {
			break
		}
		entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(page))
		for i, one := range page {
			entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &one.receipt}
		}
		_, err = client.ChangeMessageVisibilityBatch(releasing, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &m.url, Entries: entries})
	}
	if err != nil {
		m.log.Debug("messages come again after the visibility timeout only", "error", err)
	}
}

// queueRecord returns a message as Lambda passes it to functions.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func queueRecord(in types.Message, queueARN, region string) ([]byte, error) {
	type attribute struct {
		String       *string  `json:"stringValue,omitempty"`
		Binary       []byte   `json:"binaryValue,omitempty"`
		StringValues []string `json:"stringListValues"`
		BinaryValues [][]byte `json:"binaryListValues"`
		Type         string   `json:"dataType"`
	}
	attributes := make(map[string]attribute, len(in.MessageAttributes))
	for name, value := range in.MessageAttributes {
		attributes[name] = attribute{value.StringValue, value.BinaryValue, []string{}, [][]byte{}, aws.ToString(value.DataType)}
	}
	system := in.Attributes
	if system == nil {
		system = map[string]string{}
	}
	return encode(struct {
		ID           string               `json:"messageId"`
		Receipt      string               `json:"receiptHandle"`
		Body         string               `json:"body"`
		System       map[string]string    `json:"attributes"`
		Attributes   map[string]attribute `json:"messageAttributes"`
		BodySum      string               `json:"md5OfBody"`
		AttributeSum string               `json:"md5OfMessageAttributes,omitempty"`
		Source       string               `json:"eventSource"`
		SourceARN    string               `json:"eventSourceARN"`
		Region       string               `json:"awsRegion"`
	}{
		aws.ToString(in.MessageId), aws.ToString(in.ReceiptHandle), aws.ToString(in.Body), system, attributes,
		aws.ToString(in.MD5OfBody), aws.ToString(in.MD5OfMessageAttributes), "aws:sqs", queueARN, region,
	})
}

// filterable returns what filters are compared with: the body, as JSON if it is an
// object or a list, else as text.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
func filterable(body string) []byte {
	var value any = body
	if text := strings.TrimSpace(body); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		if raw := json.RawMessage(text); json.Valid(raw) {
			value = raw
		}
	}
	document, err := encode(map[string]any{"body": value})
	if err != nil {
		panic(err) // text and valid JSON always marshal
	}
	return document
}

// checkQueueFilter returns an error for a pattern of fields that Lambda does not compare
// in filters of queues.
func checkQueueFilter(text string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return err
	}
	for name, value := range fields {
		var alternatives []json.RawMessage
		if name == "$or" && json.Unmarshal(value, &alternatives) == nil {
			for _, one := range alternatives {
				if err := checkQueueFilter(string(one)); err != nil {
					return err
				}
			}
		} else if name != "body" {
			return fmt.Errorf("filters of a queue compare the body only, not %s", name)
		}
	}
	return nil
}

// queueClient calls the engine, whose address may change when it starts again.
type queueClient struct {
	config    func() aws.Config
	transport *http.Transport

	mu     sync.Mutex
	url    string
	client *sqs.Client
}

func newQueueClient(config func() aws.Config) *queueClient {
	return &queueClient{config: config, transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}}
}

// now returns a client for the address that the engine has now.
func (q *queueClient) now() (*sqs.Client, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.config()
	url := aws.ToString(c.BaseEndpoint)
	if url == "" {
		return nil, errNoEngine
	}
	if q.client == nil || url != q.url {
		c.HTTPClient = &http.Client{Transport: whole{q.transport}}
		q.client, q.url = sqs.NewFromConfig(c), url
	}
	return q.client, nil
}

// whole is a transport that returns an answer when all of it is there. The SDK closes a
// request's body when it has the head of the answer, and a transport that has not seen
// the body's end by then closes the connection. The SDK repeats the request, and the
// messages that the first one received would be lost for the visibility timeout: 12 times
// in 60,000.
type whole struct{ http.RoundTripper }

func (w whole) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// close closes connections, for which the engine would wait.
func (q *queueClient) close() { q.transport.CloseIdleConnections() }
