// Package queue sends copies of messages to SQS queues.
package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/shared/cloud"
	"plaudit/shared/notify"
)

// The attributes of messages that are ours.
const (
	Redriven = "redriven" // "1": a person sent it again from the dead-letter queue
	Waited   = "waited"   // "1": it waited for SES, usually for the daily quota
	Reason   = "reason"   // why it is in the dead-letter queue
)

const (
	// wait is how long a message waits for SES: the longest delay of SQS.
	wait = 15 * time.Minute
	// soon is when a message comes again for which an invoke had too little time left.
	soon = 5 * time.Second
)

// Mail is the queue `mail` and its dead-letter queue.
type Mail struct {
	client       *sqs.Client
	queue, fails string // URLs
}

var _ notify.Queues = (*Mail)(nil)

// NewMail returns the queues with these URLs. A copy whose answer is lost is sent again,
// and then is there twice: its claim sends one mail.
func NewMail(cfg aws.Config, queue, fails string) *Mail {
	cfg = cfg.Copy()
	cfg.HTTPClient = cloud.Whole(awshttp.NewBuildableClient())
	return &Mail{sqs.NewFromConfig(cfg), queue, fails}
}

// Check returns an error unless both queues exist.
func (m *Mail) Check(ctx context.Context) error {
	for name, url := range map[string]string{"QUEUE_URL": m.queue, "FAILED_QUEUE_URL": m.fails} {
		_, err := m.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
		})
		var missing *types.QueueDoesNotExist
		if errors.As(err, &missing) {
			return fmt.Errorf("the queue of %s does not exist: deploy template.yaml, or correct %s", name, name)
		}
		if err != nil {
			return fmt.Errorf("read the queue of %s: %w", name, err)
		}
	}
	return nil
}

// Fail implements notify.Queues.
func (m *Mail) Fail(ctx context.Context, msg notify.Message, reason string) error {
	msg.Redriven = false
	return m.send(ctx, m.fails, msg, reason, 0)
}

// Wait implements notify.Queues.
func (m *Mail) Wait(ctx context.Context, msg notify.Message) error {
	msg.Waited = true
	return m.send(ctx, m.queue, msg, "", wait)
}

// Postpone implements notify.Queues.
func (m *Mail) Postpone(ctx context.Context, msg notify.Message) error {
	return m.send(ctx, m.queue, msg, "", soon)
}

func (m *Mail) send(ctx context.Context, url string, msg notify.Message, reason string, delay time.Duration) error {
	attributes := map[string]types.MessageAttributeValue{}
	for name, value := range map[string]string{Redriven: mark(msg.Redriven), Waited: mark(msg.Waited), Reason: reason} {
		if value != "" {
			attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
	}
	_, err := m.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: &msg.Body, MessageAttributes: attributes, DelaySeconds: int32(delay / time.Second),
	})
	return err
}

func mark(set bool) string {
	if set {
		return "1"
	}
	return ""
}
