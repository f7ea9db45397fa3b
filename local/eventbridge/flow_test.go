package eventbridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

// oneQueue is a bus with a rule to a queue, which has a dead-letter queue.
const oneQueue = `
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: bus}}
  Mail: {Type: AWS::SQS::Queue, Properties: {QueueName: %T}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: %T-dead}}
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Mail, !Ref Dead]
      PolicyDocument:
        Statement:
          - {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: "*", Condition: {ArnEquals: {aws:SourceArn: !GetAtt Told.Arn}}}
  Told:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      Name: told
      EventPattern: {detail: {notify: [{exists: true}]}}
      Targets:
        - Arn: !GetAtt Mail.Arn
          Id: mail
          DeadLetterConfig: {Arn: !GetAtt Dead.Arn}
          RetryPolicy: {MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 3600}
          InputTransformer:
            InputPathsMap: {who: $.detail.notify, first: "$.detail.data.list[0]", subject: $.detail.subject}
            InputTemplate: '{"rule":"told","who":<who>,"first":<first>,"text":"for <who> about <subject>","event":<aws.events.event.json>}'
  Archive:
    Type: AWS::Events::Archive
    Properties: {ArchiveName: log, SourceArn: !GetAtt Bus.Arn, RetentionDays: 3}
`

func TestARuleSendsWhatItMatchesToItsQueue(t *testing.T) {
	s := newStack(t, oneQueue)
	s.put("/plaudit/scores", "plaudit.entry.added", `{"id":"e0"}`)
	id := s.put("/plaudit/scores", "plaudit.entry.adjusted", `{"id":"e1","notify":"u1","points":1.10,"big":9007199254740993,"text":"<&>"}`)
	body, attributes := s.receive("")
	if len(attributes) != 0 {
		t.Errorf("attributes %v", attributes)
	}
	start, rest, _ := strings.Cut(body, `"time":"`)
	want := `{"rule":"told","who":"u1","first":null,"text":"for u1 about ","event":{"version":"0","id":"` + id + `","detail-type":"plaudit.entry.adjusted","source":"/plaudit/scores","account":"000000000000",`
	if start != want || rest[len("2026-01-01T00:00:00Z"):] != `","region":"ap-northeast-2","resources":[],"detail":{"id":"e1","notify":"u1","points":1.10,"big":9007199254740993,"text":"<&>"}}}` {
		t.Errorf("got %s", body)
	}
	s.delivered()
	if n := s.messages(""); n != "0" {
		t.Errorf("an event that the rule does not match is in the queue: %s", n)
	}
}

func TestADetailThatBreaksATemplateIsInTheDeadLetterQueue(t *testing.T) {
	s := newStack(t, oneQueue)
	id := s.put("s", "t", `{"notify":"u\"1"}`)
	s.put("s", "t", `{"notify":"u2"}`)
	body, attributes := s.receive("-dead")
	if event := decoded(t, body); event["id"] != id || event["detail"].(map[string]any)["notify"] != `u"1` {
		t.Errorf("got %s", body)
	}
	if attributes["ERROR_CODE"] != "INVALID_JSON" || attributes["RULE_ARN"] != "arn:aws:events:ap-northeast-2:000000000000:rule/bus/told" ||
		attributes["TARGET_ARN"] != "arn:aws:sqs:ap-northeast-2:000000000000:"+s.name("") || attributes["ERROR_MESSAGE"] == "" || len(attributes) != 4 {
		t.Errorf("attributes %v", attributes)
	}
	if body, _ := s.receive(""); decoded(t, body)["who"] != "u2" {
		t.Errorf("the next event is %s", body)
	}
}

// toTarget finds the messages for the queue of oneQueue in the requests of all queues.
var toTarget = func(body string) bool { return strings.Contains(body, `\"rule\":\"told\"`) }

func TestAFailureIsTriedAgainAndThenInTheDeadLetterQueue(t *testing.T) {
	s := newStack(t, oneQueue)
	s.refuses.Store(&toTarget)
	s.put("s", "t", `{"notify":"u1"}`)
	body, attributes := s.receive("-dead")
	if decoded(t, body)["detail"].(map[string]any)["notify"] != "u1" {
		t.Errorf("got %s", body)
	}
	if attributes["ERROR_CODE"] != "ERROR_FROM_TARGET" || attributes["EXHAUSTED_RETRY_CONDITION"] != "MaximumRetryAttempts" || attributes["RETRY_ATTEMPTS"] != "2" || len(attributes) != 6 {
		t.Errorf("attributes %v", attributes)
	}
}

func TestAQueueThatDoesNotExistIsNotTriedAgain(t *testing.T) {
	s := newStack(t, oneQueue)
	if _, err := s.sqs.DeleteQueue(t.Context(), &awssqs.DeleteQueueInput{QueueUrl: aws.String(s.endpoint.URL + "/000000000000/" + s.name(""))}); err != nil {
		t.Fatal(err)
	}
	s.put("s", "t", `{"notify":"u1"}`)
	if _, attributes := s.receive("-dead"); attributes["ERROR_CODE"] != "NO_RESOURCE" || attributes["RETRY_ATTEMPTS"] != "" {
		t.Errorf("attributes %v", attributes)
	}
}

func TestAnEventThatIsTooOldIsNotTriedAgain(t *testing.T) {
	s := newStack(t, oneQueue)
	s.deliverer.Stop()
	s.refuses.Store(&toTarget)
	s.put("s", "t", `{"notify":"u1"}`)
	for _, d := range s.service.journal.open {
		d.event.received = time.Now().Add(-2 * time.Hour)
	}
	if err := s.service.Deliverer().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, attributes := s.receive("-dead"); attributes["EXHAUSTED_RETRY_CONDITION"] != "MaximumEventAgeInSeconds" || attributes["RETRY_ATTEMPTS"] != "0" {
		t.Errorf("attributes %v", attributes)
	}
}

func TestATargetWithoutDeadLetterQueueSaysWhatItDrops(t *testing.T) {
	s := newStack(t, strings.Replace(oneQueue, "          DeadLetterConfig: {Arn: !GetAtt Dead.Arn}\n", "", 1))
	s.put("s", "t", `{"notify":"u\"1"}`)
	s.delivered()
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the target has no dead-letter queue") || !strings.Contains(log, "INVALID_JSON") {
		t.Errorf("log: %s", log)
	}
}

func TestAnAttemptAfterAFailureDelivers(t *testing.T) {
	s := newStack(t, oneQueue)
	var refusals atomic.Int32
	once := func(body string) bool { return toTarget(body) && refusals.Add(1) <= 2 }
	s.refuses.Store(&once)
	s.put("s", "t", `{"notify":"u1"}`)
	if body, _ := s.receive(""); decoded(t, body)["who"] != "u1" {
		t.Errorf("got %s", body)
	}
	s.delivered()
	if n := s.messages("-dead"); n != "0" {
		t.Errorf("%s messages in the dead-letter queue", n)
	}
}

const toFunction = `
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: bus}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      Name: tick
      EventPattern: {source: [{prefix: "/"}]}
      Targets:
        - {Arn: "` + functionARN + `", Id: tick, InputPath: $.detail}
`

func TestARuleInvokesAFunction(t *testing.T) {
	s := newStack(t, toFunction)
	s.put("/a", "t", `{"n":1}`)
	s.put("/a", "t", `{"n":2,"fail":true}`)
	eventually(t, "both events", func() bool {
		return strings.Contains(s.log.String(), `got {"n":1}`) && strings.Contains(s.log.String(), `got {"fail":true,"n":2}`)
	})
	s.delivered()
}

func TestEventsWaitForTheNextStart(t *testing.T) {
	s := newStack(t, oneQueue)
	s.deliverer.Stop()
	want := map[string]bool{}
	for i := range 5 {
		id := fmt.Sprint("u", i)
		want[id] = true
		s.put("s", "t", `{"notify":"`+id+`"}`)
	}
	s.service.Stop()
	s.engine.Stop()
	// The last line of a laptop cloud that was killed.
	file, err := os.OpenFile(filepath.Join(s.service.folder(), "deliveries.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"event":{"version":"0"`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	s.start()
	for range 5 {
		body, _ := s.receive("")
		delete(want, decoded(t, body)["who"].(string))
	}
	s.delivered()
	if len(want) > 0 || s.messages("") != "0" {
		t.Errorf("missing %v, and %s more", want, s.messages(""))
	}
}

func TestAnEventPassesToAnotherBusOnce(t *testing.T) {
	s := newStack(t, oneQueue+`
  First: {Type: AWS::Events::EventBus, Properties: {Name: first}}
  Second: {Type: AWS::Events::EventBus, Properties: {Name: second}}
  ToSecond: {Type: AWS::Events::Rule, Properties: {EventBusName: !Ref First, EventPattern: {source: [s]}, Targets: [{Arn: !GetAtt Second.Arn, Id: bus}]}}
  ToBus: {Type: AWS::Events::Rule, Properties: {EventBusName: !Ref First, EventPattern: {source: [s]}, Targets: [{Arn: !GetAtt Bus.Arn, Id: bus}]}}
  Back: {Type: AWS::Events::Rule, Properties: {EventBusName: !Ref Second, EventPattern: {source: [s]}, Targets: [{Arn: !GetAtt First.Arn, Id: bus}]}}
`)
	if _, err := s.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: aws.String("arn:aws:events:ap-northeast-2:000000000000:event-bus/first"), Source: aws.String("s"), DetailType: aws.String("t"), Detail: aws.String(`{"notify":"u1"}`),
	}}}); err != nil {
		t.Fatal(err)
	}
	if body, _ := s.receive(""); decoded(t, body)["who"] != "u1" {
		t.Errorf("got %s", body)
	}
	s.delivered()
	if !strings.Contains(s.log.String(), "THIRD_ACCOUNT_HOP_DETECTED") {
		t.Error("an event went round in a circle")
	}
}
