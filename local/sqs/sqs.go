// Package sqs makes the SQS queues of a template in the laptop's engine, which
// serves the API.
package sqs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/template"
)

// maxBody is more than the largest request: messages of 1 MiB, as text of forms.
const maxBody = 4 << 20

// Service is the part that makes the queues.
type Service struct {
	laptop   part.Laptop
	engine   *engine.Engine
	queues   []queue
	policies map[string]policy // by logical id
}

type queue struct {
	id, name   string
	fifo       bool
	attributes map[string]string // all that can change
	deadLetter string            // ARN of the queue for messages that nobody could handle
}

// New returns the service for a stack, without queues.
func New(l part.Laptop, e *engine.Engine) *Service {
	return &Service{laptop: l, engine: e, policies: map[string]policy{}}
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::SQS::Queue", "AWS::SQS::QueuePolicy"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
func (s *Service) Values(r template.Resource) map[string]any {
	if r.Type == "AWS::SQS::QueuePolicy" {
		return map[string]any{"Ref": s.laptop.Name(r, ""), "Id": s.laptop.Name(r, "")}
	}
	name := s.name(r)
	url := s.url(name)
	return map[string]any{"Ref": url, "QueueUrl": url, "QueueName": name, "Arn": s.arn(name)}
}

// ValuesOn implements part.Hosted.
func (s *Service) ValuesOn(host string, r template.Resource) map[string]any {
	values := s.Values(r)
	for _, key := range []string{"Ref", "QueueUrl"} {
		text, _ := values[key].(string)
		if u, err := url.Parse(text); err == nil && u.Port() != "" {
			u.Host = host + ":" + u.Port()
			values[key] = u.String()
		}
	}
	return values
}

func (s *Service) url(name string) string {
	return s.laptop.Endpoint + "/" + s.laptop.AccountID + "/" + name
}

func (s *Service) arn(name string) string { return s.laptop.ARN("sqs", name) }

func (s *Service) name(r template.Resource) string {
	if name, ok := r.Properties["QueueName"].(string); ok && name != "" {
		return name
	}
	suffix := ""
	if fmt.Sprint(r.Properties["FifoQueue"]) == "true" {
		suffix = ".fifo"
	}
	return s.laptop.Short(r, "QueueName", 80-len(suffix)) + suffix
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	"AWS::SQS::Queue": {
		"QueueName": "Values reads it", "Tags": "nothing reads them", "KmsMasterKeyId": "the disk is this machine's",
		"KmsDataKeyReusePeriodSeconds": "the disk is this machine's", "SqsManagedSseEnabled": "the disk is this machine's",
		"RedriveAllowPolicy": part.NoIAM,
	},
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	s.engine.Want()
	if r.Type == "AWS::SQS::QueuePolicy" {
		var in struct {
			Queues   []string       `cfn:"Queues,required"`
			Document map[string]any `cfn:"PolicyDocument,required"`
		}
		if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
			return err
		}
		statements, err := readPolicy(in.Document)
		if err != nil {
			return fmt.Errorf("%s: PolicyDocument.Statement: %w", r.ID, err)
		}
		s.policies[r.ID] = policy{in.Queues, statements}
		return nil
	}
	var in struct {
		DelaySeconds                  *int   `cfn:"DelaySeconds"`
		MaximumMessageSize            *int   `cfn:"MaximumMessageSize"`
		MessageRetentionPeriod        *int   `cfn:"MessageRetentionPeriod"`
		ReceiveMessageWaitTimeSeconds *int   `cfn:"ReceiveMessageWaitTimeSeconds"`
		VisibilityTimeout             *int   `cfn:"VisibilityTimeout"`
		FifoQueue                     bool   `cfn:"FifoQueue"`
		ContentBasedDeduplication     bool   `cfn:"ContentBasedDeduplication"`
		DeduplicationScope            string `cfn:"DeduplicationScope"`
		FifoThroughputLimit           string `cfn:"FifoThroughputLimit"`
		Redrive                       *struct {
			Target string `cfn:"deadLetterTargetArn,required"`
			Count  int    `cfn:"maxReceiveCount,required"`
		} `cfn:"RedrivePolicy"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	q := queue{id: r.ID, name: s.name(r), fifo: in.FifoQueue, attributes: map[string]string{}}
	if q.fifo != strings.HasSuffix(q.name, ".fifo") {
		return fmt.Errorf("%s: QueueName: the name of a FIFO queue must end with .fifo, and of no other", r.ID)
	}
	if slices.ContainsFunc(s.queues, func(other queue) bool { return other.name == q.name }) {
		return fmt.Errorf("%s: QueueName: the stack has another queue called %s", r.ID, q.name)
	}
	// The defaults of AWS, so that a property that leaves the template takes effect.
	for _, a := range []struct {
		name      string
		value     *int
		otherwise int
	}{
		{"DelaySeconds", in.DelaySeconds, 0},
		{"MaximumMessageSize", in.MaximumMessageSize, 1 << 20},
		{"MessageRetentionPeriod", in.MessageRetentionPeriod, 4 * 24 * 60 * 60},
		{"ReceiveMessageWaitTimeSeconds", in.ReceiveMessageWaitTimeSeconds, 0},
		{"VisibilityTimeout", in.VisibilityTimeout, 30},
	} {
		if a.value == nil {
			a.value = &a.otherwise
		}
		q.attributes[a.name] = strconv.Itoa(*a.value)
	}
	if q.fifo {
		q.attributes["ContentBasedDeduplication"] = strconv.FormatBool(in.ContentBasedDeduplication)
		q.attributes["DeduplicationScope"] = cmp.Or(in.DeduplicationScope, "queue")
		q.attributes["FifoThroughputLimit"] = cmp.Or(in.FifoThroughputLimit, "perQueue")
	}
	q.attributes["RedrivePolicy"] = "" // none
	if in.Redrive != nil {
		q.deadLetter = in.Redrive.Target
		text, err := json.Marshal(map[string]any{"deadLetterTargetArn": in.Redrive.Target, "maxReceiveCount": in.Redrive.Count})
		if err != nil {
			return err
		}
		q.attributes["RedrivePolicy"] = string(text)
	}
	s.queues = append(s.queues, q)
	return nil
}

// Link implements part.Linker.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	for _, q := range s.queues {
		if q.deadLetter != "" && !slices.ContainsFunc(s.queues, func(other queue) bool { return s.arn(other.name) == q.deadLetter }) {
			errs = append(errs, fmt.Errorf("%s: RedrivePolicy.deadLetterTargetArn: the stack has no queue %s", q.id, q.deadLetter))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.policies)) {
		for _, url := range s.policies[id].queues {
			if !slices.ContainsFunc(s.queues, func(q queue) bool { return s.url(q.name) == url }) {
				errs = append(errs, fmt.Errorf("%s: Queues: the stack has no queue %s", id, url))
			}
		}
	}
	return errors.Join(errs...)
}

// Start implements part.Part: it makes the queues that are missing, and changes
// those that differ from the template.
func (s *Service) Start(ctx context.Context) error {
	if len(s.queues) == 0 {
		return nil
	}
	began := time.Now()
	s.engine.AfterLoss(s.makeAll)
	if err := s.makeAll(ctx); err != nil {
		return err
	}
	s.laptop.Started("SQS", fmt.Sprintf("queues %d", len(s.queues)), time.Since(began))
	return s.reportOthers(ctx)
}

// Stop implements part.Part. The queues stay in the engine.
func (s *Service) Stop() {}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "sqs", s.engine.Proxy(maxBody) }

func (s *Service) client() *sqs.Client { return sqs.NewFromConfig(s.engine.Config()) }

func (s *Service) makeAll(ctx context.Context) error {
	client := s.client()
	// First without attributes: a dead-letter queue must exist before it is named.
	var errs []error
	urls := make([]string, len(s.queues))
	for i, q := range s.queues {
		var err error
		if urls[i], err = q.make(ctx, client); err != nil {
			errs = append(errs, fmt.Errorf("%s: queue %s: %w", q.id, q.name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, q := range s.queues {
		if err := q.change(ctx, client, urls[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: queue %s: %w", q.id, q.name, err))
		}
	}
	return errors.Join(errs...)
}

// make makes the queue if it is missing, and returns its address.
func (q queue) make(ctx context.Context, client *sqs.Client) (string, error) {
	out, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.name})
	if err == nil {
		return *out.QueueUrl, nil
	}
	if missing := (*types.QueueDoesNotExist)(nil); !errors.As(err, &missing) {
		return "", err
	}
	in := &sqs.CreateQueueInput{QueueName: &q.name}
	if q.fifo {
		in.Attributes = map[string]string{"FifoQueue": "true"}
	}
	made, err := client.CreateQueue(ctx, in)
	if err != nil {
		return "", err
	}
	return *made.QueueUrl, nil
}

func (q queue) change(ctx context.Context, client *sqs.Client, url string) error {
	out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return err
	}
	differ := map[string]string{}
	for name, value := range q.attributes {
		if !same(out.Attributes[name], value) {
			differ[name] = value
		}
	}
	if len(differ) == 0 {
		return nil
	}
	_, err = client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: differ})
	return err
}

// same reports whether two values of an attribute are equal, as JSON if they are
// JSON.
func same(a, b string) bool {
	if a == b {
		return true
	}
	var x, y map[string]any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil || len(x) != len(y) {
		return false
	}
	for key, value := range x {
		if fmt.Sprint(value) != fmt.Sprint(y[key]) {
			return false
		}
	}
	return true
}

// reportOthers names queues that the template does not have (any more).
func (s *Service) reportOthers(ctx context.Context) error {
	pages := sqs.NewListQueuesPaginator(s.client(), &sqs.ListQueuesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, url := range page.QueueUrls {
			name := url[strings.LastIndexByte(url, '/')+1:]
			if !slices.ContainsFunc(s.queues, func(q queue) bool { return q.name == name }) {
				s.laptop.Say(fmt.Sprintf("warning: the template has no SQS queue %s; the laptop keeps it, with its messages", name))
			}
		}
	}
	return nil
}
