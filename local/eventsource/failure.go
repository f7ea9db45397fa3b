package eventsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"
)

// Reasons why records are discarded.
const (
	retriesExhausted = "RetryAttemptsExhausted"
	recordTooOld     = "RecordAgeExceeded"
)

// discarded is a batch that a function could not handle.
type discarded struct {
	reason     string
	tries      int  // invocations
	invoked    bool // at least one
	failed     bool // the last one failed by an error, and did not report records
	entries    []entry
	shard      string
	stream     string
	function   string
	mappingID  string
	at         time.Time
	invocation string
}

// Destination takes the batches that a function could not handle.
type Destination interface {
	Send(ctx context.Context, d discarded) error
}

// document returns what Lambda writes about a discarded batch. Whole is for S3
// only: it includes the event.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func (d discarded) document(whole bool) ([]byte, error) {
	type request struct {
		ID        string `json:"requestId"`
		Function  string `json:"functionArn"`
		Condition string `json:"condition"`
		Count     int    `json:"approximateInvokeCount"`
	}
	type response struct {
		Status  int    `json:"statusCode"`
		Version string `json:"executedVersion"`
		Error   string `json:"functionError,omitempty"`
	}
	type batch struct {
		Shard  string `json:"shardId"`
		Start  string `json:"startSequenceNumber"`
		End    string `json:"endSequenceNumber"`
		First  string `json:"approximateArrivalOfFirstRecord"`
		Last   string `json:"approximateArrivalOfLastRecord"`
		Size   int    `json:"batchSize"`
		Stream string `json:"streamArn"`
	}
	const precise = "2006-01-02T15:04:05.000Z"
	first, last := d.entries[0], d.entries[len(d.entries)-1]
	out := struct {
		Request  request   `json:"requestContext"`
		Response *response `json:"responseContext,omitempty"`
		Version  string    `json:"version"`
		At       string    `json:"timestamp"`
		Batch    batch     `json:"DDBStreamBatchInfo"`
		Payload  string    `json:"payload,omitempty"`
	}{
		Request: request{d.invocation, d.function, d.reason, d.tries},
		Version: "1.0", At: d.at.UTC().Format(precise),
		Batch: batch{
			d.shard, first.sequence, last.sequence, first.arrived.UTC().Format(time.RFC3339), last.arrived.UTC().Format(time.RFC3339),
			len(d.entries), d.stream,
		},
	}
	if d.invoked {
		out.Response = &response{Status: 200, Version: "$LATEST"}
		if d.failed {
			out.Response.Error = "Unhandled"
		}
	}
	if whole {
		out.Payload = string(eventOf(d.entries))
	}
	return encode(out)
}

// key returns the key of a discarded batch's object in S3:
// aws/lambda/<mapping>/<shard>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<random UUID>.
func (d discarded) key() string {
	at := d.at.UTC()
	return fmt.Sprintf("aws/lambda/%s/%s/%s/%s-%s", d.mappingID, d.shard, at.Format("2006/01/02"), at.Format("2006-01-02T15.04.05"), uuid.NewString())
}

func eventOf(entries []entry) []byte {
	records := make([][]byte, len(entries))
	for i, e := range entries {
		records[i] = e.record
	}
	return Event(records...)
}

type bucket struct {
	config func() aws.Config
	name   string
}

type queue struct {
	config func() aws.Config
	name   string
}

// destinationName checks the ARN of a destination, and returns its service and
// its name.
func destinationName(arn string) (service, name string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[5] == "" {
		return "", "", fmt.Errorf("%q is not the ARN of a bucket or a queue", arn)
	}
	switch {
	case parts[2] == "sqs" && strings.HasSuffix(parts[5], ".fifo"):
		return "", "", errors.New("discarded batches go to standard queues, not to FIFO queues")
	case parts[2] == "s3", parts[2] == "sqs":
		return parts[2], parts[5], nil
	}
	return "", "", fmt.Errorf("the laptop cloud sends discarded batches to S3 and SQS, not to %s", parts[2])
}

// newDestination returns the destination with an ARN. It asks for the engine's
// address each time, as that may change when the engine starts again.
func newDestination(arn string, config func() aws.Config) (Destination, error) {
	service, name, err := destinationName(arn)
	switch {
	case err != nil:
		return nil, err
	case service == "s3":
		return bucket{config, name}, nil
	}
	return queue{config, name}, nil
}

// Send implements Destination.
func (b bucket) Send(ctx context.Context, d discarded) error {
	document, err := d.document(true)
	if err != nil {
		return err
	}
	config := b.config()
	if aws.ToString(config.BaseEndpoint) == "" {
		return errNoEngine
	}
	client := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(d.key()), Body: bytes.NewReader(document), ContentType: aws.String("application/json"),
	})
	return err
}

// Send implements Destination.
func (q queue) Send(ctx context.Context, d discarded) error {
	document, err := d.document(false)
	if err != nil {
		return err
	}
	config := q.config()
	if aws.ToString(config.BaseEndpoint) == "" {
		return errNoEngine
	}
	client := sqs.NewFromConfig(config)
	url, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.name})
	if err != nil {
		return err
	}
	_, err = client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String(string(document))})
	return err
}
