package queue_test

import (
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/ministack/enginetest"
	"plaudit/shared/notify"
	"plaudit/shared/queue"
)

func TestCopies(t *testing.T) {
	cfg, ctx := enginetest.Config(enginetest.Shared(t)), t.Context()
	client := sqs.NewFromConfig(cfg)
	url := func(name string) string {
		out, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return *out.QueueUrl
	}
	mail, fails := url("mail"), url("mail-failed")
	q := queue.NewMail(cfg, mail, fails)
	if err := q.Check(ctx); err != nil {
		t.Error(err)
	}
	m := notify.Message{ID: "m", Body: `{"rule":"told"}`, Received: 5, Redriven: true, Waited: true}
	if err := q.Fail(ctx, m, "it broke"); err != nil {
		t.Fatal(err)
	}
	out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &fails, MessageAttributeNames: []string{"All"}})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("%d messages, %v", len(out.Messages), err)
	}
	got := map[string]string{}
	for name, value := range out.Messages[0].MessageAttributes {
		got[name] = aws.ToString(value.DataType) + " " + aws.ToString(value.StringValue)
	}
	// A message is redriven only once somebody sends it again.
	if want := map[string]string{"reason": "String it broke", "waited": "String 1"}; !maps.Equal(got, want) || *out.Messages[0].Body != m.Body {
		t.Errorf("the copy has %v", got)
	}

	if err := q.Wait(ctx, notify.Message{ID: "m", Body: "{}", Redriven: true}); err != nil {
		t.Fatal(err)
	}
	state, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &mail, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil || state.Attributes["ApproximateNumberOfMessagesDelayed"] != "1" {
		t.Errorf("the queue has %v; %v", state.Attributes, err)
	}
}

func TestAMissingQueueIsReported(t *testing.T) {
	cfg := enginetest.Config(enginetest.Shared(t))
	client := sqs.NewFromConfig(cfg)
	out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("mail")})
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.NewMail(cfg, *out.QueueUrl, *out.QueueUrl+"-failed").Check(t.Context()); err == nil || err.Error() != "the queue of FAILED_QUEUE_URL does not exist: deploy template.yaml, or correct FAILED_QUEUE_URL" {
		t.Errorf("%v", err)
	}
}
