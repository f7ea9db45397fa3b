package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"plaudit/shared/boot"
	"plaudit/shared/notify"
	"plaudit/shared/queue"
)

// check returns an error unless the numbers can be used.
func (c config) check() error {
	if c.ArchiveDays < 1 || c.OutboxDays < 1 {
		return errors.New("ARCHIVE_DAYS and OUTBOX_DAYS must be at least 1")
	}
	if !(c.MailsPerSecond > 0) {
		return errors.New("MAILS_PER_SECOND must be greater than 0")
	}
	if c.MailsPerHour < 1 {
		return errors.New("MAILS_PER_HOUR must be at least 1")
	}
	return nil
}

// secret returns the value of a secret.
func secret(ctx context.Context, cfg aws.Config, arn string) (string, error) {
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", fmt.Errorf("read the secret of NOTIFY_KEY_SECRET: %w", err)
	}
	return aws.ToString(out.SecretString), nil
}

type handler struct{ service *notify.Service }

// handle takes one message of the queue `mail`.
func (h handler) handle(ctx context.Context, m events.SQSMessage) error {
	received, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		return fmt.Errorf("the message's ApproximateReceiveCount is not a number: %w", err)
	}
	return h.service.Handle(ctx, notify.Message{
		ID: m.MessageId, Body: m.Body, Received: received, Waited: marked(m, queue.Waited),
		// With a reason it was in the dead-letter queue: it was sent again by other means than
		// `plaudit dlq`, such as SQS's own.
		Redriven: marked(m, queue.Redriven) || m.MessageAttributes[queue.Reason].StringValue != nil,
	})
}

// marked reports whether an attribute of ours is set.
func marked(m events.SQSMessage, name string) bool {
	value := m.MessageAttributes[name].StringValue
	return value != nil && *value == "1"
}

// meter counts in the line of the invoke.
type meter struct{}

func (meter) Count(ctx context.Context, name string, n int) { boot.Count(ctx, name, n) }
func (meter) Tally(ctx context.Context, name, of string)    { boot.Tally(ctx, name, of) }
