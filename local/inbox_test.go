package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
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
