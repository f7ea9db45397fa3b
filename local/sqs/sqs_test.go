package sqs

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/engine"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/template"
)

func queueOf(id string, properties map[string]any) template.Resource {
	return template.Resource{ID: id, Type: "AWS::SQS::Queue", Properties: properties}
}

func start(t *testing.T, laptop part.Laptop, resources ...template.Resource) (*Service, []string) {
	t.Helper()
	var said []string
	laptop.Say = func(text string) { said = append(said, text) }
	e := engine.New(laptop)
	s := New(laptop, e)
	for _, r := range resources {
		if err := s.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Link(nil), e.Start(t.Context()), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return s, said
}

func TestAQueueFollowsTheTemplate(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	dead := queueOf("Dead", map[string]any{"QueueName": "dead"})
	redrive := map[string]any{"deadLetterTargetArn": New(laptop, nil).Values(dead)["Arn"], "maxReceiveCount": 3}
	for i, step := range []struct {
		properties map[string]any
		timeout    string
		redrive    bool
	}{
		{map[string]any{"VisibilityTimeout": 90, "RedrivePolicy": redrive}, "90", true},
		{map[string]any{"VisibilityTimeout": 90, "RedrivePolicy": redrive}, "90", true},
		{map[string]any{}, "30", false},
	} {
		step.properties["QueueName"] = "things"
		s, _ := start(t, laptop, queueOf("Things", step.properties), dead)
		client := s.client()
		url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("things")})
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		if out.Attributes["VisibilityTimeout"] != step.timeout || (out.Attributes["RedrivePolicy"] != "") != step.redrive {
			t.Errorf("step %d: %v", i, out.Attributes)
		}
		if want := s.Values(queueOf("Things", step.properties))["Arn"]; out.Attributes["QueueArn"] != want {
			t.Errorf("step %d: the queue's ARN is %s, and the template's value %s", i, out.Attributes["QueueArn"], want)
		}
	}
	_, said := start(t, laptop, dead)
	if len(said) != 1 || !strings.Contains(said[0], "no SQS queue things") {
		t.Errorf("a queue that left the template: said %q", said)
	}
}

// The address that Ref yields is the one that clients use.
func TestMessagesPassByTheAddressOfRef(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	server := httptest.NewUnstartedServer(nil)
	laptop.Endpoint = "http://" + server.Listener.Addr().String()
	r := queueOf("Things", map[string]any{"FifoQueue": true})
	s, _ := start(t, laptop, r)
	service, handler := s.API()
	server.Config.Handler = handler
	server.Start()
	defer server.Close()
	if service != "sqs" {
		t.Errorf("the API is %s", service)
	}
	url, _ := s.Values(r)["Ref"].(string)
	if !strings.HasPrefix(url, server.URL+"/"+laptop.AccountID+"/shop-Things-") || !strings.HasSuffix(url, ".fifo") {
		t.Errorf("Ref is %s", url)
	}
	client := sqs.NewFromConfig(enginetest.InAccount(server.URL, laptop.AccountID))
	sent, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("hällo"), MessageGroupId: aws.String("a"), MessageDeduplicationId: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 5})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].MessageId != *sent.MessageId || *got.Messages[0].Body != "hällo" {
		t.Errorf("received %+v, %v", got, err)
	}
	if on := s.ValuesOn("host.docker.internal", r)["Ref"].(string); !strings.HasPrefix(on, "http://host.docker.internal:") || !strings.HasSuffix(on, ".fifo") {
		t.Errorf("for containers Ref is %s", on)
	}
}

func TestWhatIsWrongIsAnError(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	for _, c := range []struct {
		resource template.Resource
		want     string
	}{
		{queueOf("Things", map[string]any{"Color": "red"}), "Color: the property is not supported on a laptop"},
		{queueOf("Things", map[string]any{"QueueName": "things", "FifoQueue": true}), "Things: QueueName: the name of a FIFO queue must end with .fifo"},
		{queueOf("Things", map[string]any{"RedrivePolicy": map[string]any{"deadLetterTargetArn": "arn:nothing", "maxReceiveCount": 1}}), "Things: RedrivePolicy.deadLetterTargetArn: the stack has no queue arn:nothing"},
		{template.Resource{ID: "Policy", Type: "AWS::SQS::QueuePolicy", Properties: map[string]any{"Queues": []any{"http://nothing"}, "PolicyDocument": map[string]any{}}}, "Policy: Queues: the stack has no queue http://nothing"},
	} {
		s := New(laptop, engine.New(laptop))
		if err := errors.Join(s.Read(c.resource), s.Link(nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
