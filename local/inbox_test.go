package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"plaudit/local/ministack/enginetest"
)

const sender = `
  Sender:
    Type: AWS::SES::EmailIdentity
    Properties: { EmailIdentity: example.com }
`

// A mail whose SendEmail was answered is in the inbox after kill -9.
func TestInbox(t *testing.T) {
	dir := project(t)
	add(t, dir, sender)
	l := begin(t, dir)
	l.ready(t)
	if !strings.HasPrefix(l.run.Inbox, "http://127.0.0.1:") || !strings.Contains(l.out.String(), l.run.Inbox) {
		t.Errorf("the inbox is at %q: %s", l.run.Inbox, l.out)
	}
	utf8 := func(text string) *types.Content { return &types.Content{Data: &text, Charset: aws.String("UTF-8")} }
	sent, err := sesv2.NewFromConfig(l.aws()).SendEmail(t.Context(), &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("a@example.com"), Destination: &types.Destination{ToAddresses: []string{"ann@example.org"}},
		Content: &types.EmailContent{Simple: &types.Message{Subject: utf8("안녕"), Body: &types.Body{Text: utf8("hi")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.ended(t)

	again := begin(t, dir)
	again.ready(t)
	answer, err := http.Get(again.run.Inbox + "/messages?to=ann@example.org")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var mails []struct{ ID, Subject, Text string }
	if err := json.NewDecoder(answer.Body).Decode(&mails); err != nil {
		t.Fatal(err)
	}
	if len(mails) != 1 || mails[0].ID != *sent.MessageId || mails[0].Subject != "안녕" || mails[0].Text != "hi" {
		t.Errorf("mails %+v", mails)
	}
	if err := again.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := again.ended(t); code != 0 {
		t.Errorf("exit code %d: %s", code, again.out)
	}
}

const feedback = `
  Mails:
    Type: AWS::SES::ConfigurationSet
    Properties: { Name: mails }
  Feedback:
    Type: AWS::SES::ConfigurationSetEventDestination
    Properties:
      ConfigurationSetName: !Ref Mails
      EventDestination:
        Enabled: true
        MatchingEventTypes: [bounce, complaint]
        EventBridgeDestination: { EventBusArn: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default" }
  FeedbackRule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: { source: [aws.ses], detail-type: [Email Bounced, Email Complaint Received] }
      Targets:
        - Id: queue
          Arn: !GetAtt Work.Arn
          InputTransformer:
            InputPathsMap: { type: $.detail.eventType, bounce: $.detail.bounce.bounceType, user: "$.detail.mail.tags.user[0]", message: $.detail.mail.messageId }
            InputTemplate: '{"type": "<type>", "bounce": "<bounce>", "user": "<user>", "message": "<message>"}'
  WorkPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Work]
      PolicyDocument:
        Statement:
          - { Effect: Allow, Principal: { Service: events.amazonaws.com }, Action: "sqs:SendMessage", Resource: !GetAtt Work.Arn, Condition: { ArnEquals: { "aws:SourceArn": !GetAtt FeedbackRule.Arn } } }
  Hourly:
    Type: AWS::Scheduler::Schedule
    Properties:
      Name: hourly
      ScheduleExpression: cron(0 * * * ? *)
      ScheduleExpressionTimezone: Asia/Seoul
      FlexibleTimeWindow: { Mode: "OFF" }
      Target: { Arn: !GetAtt HelloFunction.Arn, RoleArn: "arn:aws:iam::000000000000:role/scheduler" }
`

// A bounce goes from SES over the default bus to a queue, without the address.
func TestFeedbackReachesARule(t *testing.T) {
	dir := project(t)
	if err := os.MkdirAll(filepath.Join(dir, ".local"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(dir, ".local", "ministack")); err != nil {
		t.Fatal(err)
	}
	add(t, dir, sender, queue, feedback)
	l := begin(t, dir)
	l.ready(t)
	text := func(text string) *types.Content { return &types.Content{Data: &text} }
	mail := &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("a@example.com"), ConfigurationSetName: aws.String("mails"),
		Destination: &types.Destination{ToAddresses: []string{"bounce@simulator.amazonses.com"}},
		Content:     &types.EmailContent{Simple: &types.Message{Subject: text("x"), Body: &types.Body{Text: text("hi")}}},
		EmailTags:   []types.MessageTag{{Name: aws.String("user"), Value: aws.String("u1")}},
	}
	client := sesv2.NewFromConfig(l.aws())
	work := sqs.NewFromConfig(l.aws())
	for to, want := range map[string]string{
		"bounce@simulator.amazonses.com":    `{"type": "Bounce", "bounce": "Permanent", "user": "u1", "message": "%"}`,
		"complaint@simulator.amazonses.com": `{"type": "Complaint", "bounce": "", "user": "u1", "message": "%"}`,
	} {
		mail.Destination.ToAddresses = []string{to}
		sent, err := client.SendEmail(t.Context(), mail)
		if err != nil {
			t.Fatal(err)
		}
		got, err := work.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(l.run.AWS + "/000000000000/small-work"), WaitTimeSeconds: 20})
		if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != strings.Replace(want, "%", *sent.MessageId, 1) {
			t.Fatalf("%s: %+v, %v", to, got, err)
		}
		if _, err := work.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(l.run.AWS + "/000000000000/small-work"), ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
	}

	// The only schedule of a function is fired by hand.
	cmd := exec.Command(laptopBinary, "invoke", "hello", "")
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "  \"statusCode\": 200\n") {
		t.Errorf("invoke hello: %v: %s", err, out)
	}
	cmd = exec.Command(laptopBinary, "invoke")
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello  small-hello  schedule hourly\n" {
		t.Errorf("invoke: %v: %s", err, out)
	}
}
