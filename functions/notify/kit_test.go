package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/shared/api"
	"plaudit/shared/api/apitest"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
	"plaudit/shared/mail"
	"plaudit/shared/mail/mailtest"
	"plaudit/shared/notify"
	"plaudit/shared/queue"
)

type object = map[string]any

// kit is the function's service over the real engine and the stand-ins of SES and the
// API.
type kit struct {
	t       testing.TB
	stack   ddbtest.Stack
	api     *apitest.Server
	ses     *mailtest.Server
	service *notify.Service
	claims  *ddb.Mails
	meter   *counter
	sqs     *sqs.Client
	queue   string // URLs
	fails   string
	now     time.Time
	sent    int // messages
}

func start(t testing.TB) *kit {
	t.Helper()
	k := &kit{t: t, stack: ddbtest.Tables(t), api: apitest.New(t), ses: mailtest.New(t), meter: &counter{}, now: time.Now().UTC()}
	k.claims = ddb.NewMails(k.stack.Config, k.stack.Mails, 24*time.Hour)
	k.stack.Config.HTTPClient = cloud.Whole(awshttp.NewBuildableClient()) // a message received in vain is invisible
	k.sqs = sqs.NewFromConfig(k.stack.Config)
	k.queue, k.fails = k.makeQueue("test-mail"), k.makeQueue("test-mail-failed")
	k.service = k.another()
	k.api.User(reader, nil)
	k.api.User(staff, object{"display_name": "Minji"})
	k.api.Board("cup", object{"title": "Seoul Cup"})
	k.api.Player("cup", "bib-7", object{"display_name": "Ada", "user": reader})
	return k
}

// another returns a service as another environment of the function has it.
func (k *kit) another() *notify.Service {
	k.t.Helper()
	client, err := api.New(k.api.URL, k.api.Key)
	if err != nil {
		k.t.Fatal(err)
	}
	ses := k.stack.Config.Copy()
	ses.BaseEndpoint = &k.ses.URL
	sender, err := mail.New(ses, "Plaudit <scores@example.com>", "plaudit-mail", 10_000)
	if err != nil {
		k.t.Fatal(err)
	}
	return &notify.Service{
		Accounts: client, Scores: client, Claims: k.claims, Mailer: sender, Queues: queue.NewMail(k.stack.Config, k.queue, k.fails), Meter: k.meter,
		Now: func() time.Time { return k.now }, PerHour: 2, RatePause: time.Millisecond,
	}
}

func (k *kit) makeQueue(name string) string {
	k.t.Helper()
	out, err := k.sqs.CreateQueue(k.t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		k.t.Fatal(err)
	}
	return *out.QueueUrl
}

// The people of the tests.
var (
	reader = person(11)
	staff  = person(12)
)

func person(n int) string { return fmt.Sprintf("0198f1c2-7a5e-7c3b-9d42-%012d", n) }

// message is a message of the queue. Its Body is that of body.
func (k *kit) message(body string) notify.Message {
	k.sent++
	return notify.Message{ID: fmt.Sprint("message-", k.sent), Body: body, Received: 1}
}

// body is a message's body about an event of a rule.
func (k *kit) body(rule string, detail object, change ...object) string {
	k.sent++
	full := object{
		"specversion": "1.0", "id": fmt.Sprint(k.sent), "source": event.Scores, "time": k.now, "recordedtime": k.now, "logid": "x", "actor": "user/" + staff,
		"traceparent": "00-00000000000000000000000000000001-0000000000000001-01",
	}
	for name, value := range detail {
		full[name] = value
	}
	e := object{
		"version": "0", "id": fmt.Sprint("bus-", k.sent), "detail-type": full["type"], "source": full["source"], "account": "000000000000",
		"time": k.now, "region": "ap-northeast-2", "resources": []any{}, "detail": full,
	}
	for _, c := range change {
		for name, value := range c {
			e[name] = value
		}
	}
	text, err := json.Marshal(object{"rule": rule, "event": e})
	if err != nil {
		k.t.Fatal(err)
	}
	return string(text)
}

// adjusted is an adjustment of the reader's player: 42 points became 37.
func (k *kit) adjusted(change object) object {
	data := object{
		"id": person(1000 + k.sent), "board": "cup", "player": "bib-7", "points": -5, "reason": nil, "note": "cut the course", "kind": "adjustment",
		"actor": "user/" + staff, "seq": 2, "tiebreak": 0, "occurred_at": k.now, "recorded_at": k.now,
		"standings": []any{object{"period": "all", "start": nil, "score": 37}},
	}
	for name, value := range change {
		data[name] = value
	}
	kind := "adjusted"
	if data["kind"] == "reversal" {
		kind = "reversed"
	}
	return object{"type": "plaudit.entry." + kind, "subject": fmt.Sprint("board/", data["board"], "/player/", data["player"]), "notify": reader, "data": data}
}

// handle handles a message, which must succeed.
func (k *kit) handle(m notify.Message) {
	k.t.Helper()
	if err := k.service.Handle(k.t.Context(), m); err != nil {
		k.t.Fatalf("a message fails: %v", err)
	}
}

// fails handles a message, which must come again, and returns the error.
func (k *kit) again(m notify.Message) error {
	k.t.Helper()
	err := k.service.Handle(k.t.Context(), m)
	if err == nil {
		k.t.Fatal("a message is done that must come again")
	}
	if strings.Contains(err.Error(), "@") {
		k.t.Errorf("the error contains an address: %v", err)
	}
	return err
}

// mails returns the mails that were sent since the last call, of which there must be n.
func (k *kit) mails(n int) []mailtest.Mail {
	k.t.Helper()
	mails := k.ses.Mails()
	if len(mails) != n {
		k.t.Fatalf("%d mails are sent, want %d", len(mails), n)
	}
	return mails
}

// held returns the messages of the dead-letter queue since the last call, of which there
// must be n, as a person would send them again.
func (k *kit) held(n int) (messages []notify.Message, reasons []string) {
	k.t.Helper()
	for _, m := range k.receive(k.fails) {
		k.sent++
		if m.MessageAttributes[queue.Redriven].StringValue != nil {
			k.t.Error("a message is marked as redriven in the dead-letter queue")
		}
		messages = append(messages, notify.Message{
			ID: fmt.Sprint("redriven-", k.sent), Body: *m.Body, Received: 1, Redriven: true, Waited: m.MessageAttributes[queue.Waited].StringValue != nil,
		})
		reasons = append(reasons, aws.ToString(m.MessageAttributes[queue.Reason].StringValue))
	}
	if len(messages) != n {
		k.t.Fatalf("%d messages are held, want %d: %q", len(messages), n, reasons)
	}
	for _, reason := range reasons {
		if reason == "" || strings.Contains(reason, "@") {
			k.t.Errorf("the reason is %q", reason)
		}
	}
	return messages, reasons
}

// receive takes all messages from a queue.
func (k *kit) receive(url string) (all []types.Message) {
	k.t.Helper()
	for {
		out, err := k.sqs.ReceiveMessage(k.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
		if err != nil {
			k.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			if _, err := k.sqs.DeleteMessage(k.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				k.t.Fatal(err)
			}
		}
		all = append(all, out.Messages...)
	}
}

// counted checks the metrics since the last call: "name n" or "dropped/reason n" each.
func (k *kit) counted(want ...string) {
	k.t.Helper()
	got := k.meter.take()
	for _, w := range want {
		name, n, _ := strings.Cut(w, " ")
		if fmt.Sprint(got[name]) != n {
			k.t.Errorf("%s is %d, want %s", name, got[name], n)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		k.t.Errorf("also counted %v", got)
	}
}

type counter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *counter) Count(_ context.Context, name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[name] += n
}

func (c *counter) Tally(ctx context.Context, name, of string) { c.Count(ctx, name+"/"+of, 1) }

func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	c.counts = nil
	return counts
}

func TestAttributesAreRead(t *testing.T) {
	k := start(t)
	k.api.User(reader, object{"mail_state": "bounced"})
	body := k.body("told", k.adjusted(nil))
	m := events.SQSMessage{MessageId: "m", Body: body, Attributes: map[string]string{"ApproximateReceiveCount": "1"}}
	if err := (handler{k.service}).handle(t.Context(), m); err != nil {
		t.Error(err)
	}
	m.Attributes = nil
	if err := (handler{k.service}).handle(t.Context(), m); err == nil {
		t.Error("a message without a count is done")
	}
	one := "1"
	m = events.SQSMessage{MessageAttributes: map[string]events.SQSMessageAttribute{queue.Waited: {StringValue: &one}}}
	if !marked(m, queue.Waited) || marked(m, queue.Redriven) {
		t.Error("the attributes are read wrong")
	}
}
