package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/local/ministack/enginetest"
	"plaudit/shared/cloud"
)

// queueStack is a stack in an engine with a queue "mail", its dead-letter queue
// "mail-failed", and one that a rule would have, "rule-failed".
type queueStack struct {
	t      *testing.T
	name   string
	file   string // as `make run` writes run.json
	client *sqs.Client
}

// stacks is how many there were: all are in one engine.
var stacks int

func newQueueStack(t *testing.T) *queueStack {
	t.Helper()
	url := enginetest.Shared(t)
	stacks++
	cfg := enginetest.InAccount(url, enginetest.Account)
	cfg.HTTPClient = cloud.Whole(awshttp.NewBuildableClient()) // else the SDK repeats some sends
	s := &queueStack{t: t, name: fmt.Sprint("stack", stacks), file: filepath.Join(t.TempDir(), "run.json"), client: sqs.NewFromConfig(cfg)}
	text, err := json.Marshal(map[string]any{"aws": url, "region": enginetest.Region, "functions": map[string]string{"db-check": s.name + "-db-check"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.make("mail-failed", nil)
	s.make("mail", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + s.arn("mail-failed") + `","maxReceiveCount":"2"}`, "VisibilityTimeout": "0"})
	s.make("rule-failed", nil)
	return s
}

func (s *queueStack) arn(queue string) string {
	return "arn:aws:sqs:" + enginetest.Region + ":" + enginetest.Account + ":" + s.name + "-" + queue
}

func (s *queueStack) make(queue string, attributes map[string]string) {
	s.t.Helper()
	if _, err := s.client.CreateQueue(s.t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(s.name + "-" + queue), Attributes: attributes}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *queueStack) url(queue string) *string {
	s.t.Helper()
	out, err := s.client.GetQueueUrl(s.t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String(s.name + "-" + queue)})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.QueueUrl
}

func (s *queueStack) send(queue, body string, attributes map[string]string) {
	s.t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: s.url(queue), MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	for name, value := range attributes {
		in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
	}
	if _, err := s.client.SendMessage(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// fail makes the engine move what is in "mail" to its dead-letter queue.
func (s *queueStack) fail() {
	s.t.Helper()
	for s.receive("mail", 0) != nil {
	}
}

// receive returns a queue's messages as "body name=value …", sorted.
func (s *queueStack) receive(queue string, hide int32) (out []string) {
	s.t.Helper()
	for {
		page, err := s.client.ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: s.url(queue), MaxNumberOfMessages: 10, VisibilityTimeout: hide, MessageAttributeNames: []string{"All"}})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range page.Messages {
			line := *m.Body
			for _, name := range slices.Sorted(maps.Keys(m.MessageAttributes)) {
				line += " " + name + "=" + aws.ToString(m.MessageAttributes[name].StringValue)
			}
			out = append(out, line)
		}
		if hide == 0 || len(page.Messages) == 0 {
			slices.Sort(out)
			return out
		}
	}
}

func (s *queueStack) run(args ...string) (stdout, stderr string, err error) {
	return runCommand("", append([]string{"dlq", "--run", s.file}, args...)...)
}

// times and ids are different in each run.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  [0-9a-f-]{36}`)

func TestDlqListsQueuesAndWhatCouldNotBeHandled(t *testing.T) {
	s := newQueueStack(t)
	empty := s.name + "-mail: 0 visible, 0 in flight, 0 delayed\n" +
		s.name + "-mail-failed: 0 visible, 0 in flight, 0 delayed; dead-letter queue of " + s.name + "-mail\n" +
		s.name + "-rule-failed: 0 visible, 0 in flight, 0 delayed; dead-letter queue\n"
	if out, _, err := s.run(); err != nil || out != empty {
		t.Errorf("without messages: %q, %v", out, err)
	}
	s.send("mail", `{"rule":"told"}`, nil)
	s.send("mail-failed", "{\n\"a\": \"\u202e서울  \"}", map[string]string{"reason": "the address \x1b bounced\n"})
	s.send("rule-failed", "no JSON\t\x7f\u009b2J", map[string]string{"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "denied", "TARGET_ARN": s.arn("mail")})
	s.send("rule-failed", `"`+strings.Repeat("x", 600)+`"`, nil)
	want := []string{
		s.name + "-mail: 1 visible, 0 in flight, 0 delayed",
		s.name + "-mail-failed: 1 visible, 0 in flight, 0 delayed; dead-letter queue of " + s.name + "-mail",
		`  WHEN  received once  "the address \x1b bounced\n"  {"a":"\u202e서울 \u0020"}`,
		s.name + "-rule-failed: 2 visible, 0 in flight, 0 delayed; dead-letter queue",
		`  WHEN  received once  NO_PERMISSIONS: denied  "no JSON\t\x7f\u009b2J"`,
		`  WHEN  received once  no reason is known  "` + strings.Repeat("x", 499) + "…",
	}
	out, _, err := s.run()
	if got := strings.Split(strings.TrimSuffix(changing.ReplaceAllString(out, "WHEN"), "\n"), "\n"); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v:\n%s\nwant:\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Nothing is hidden afterwards, and a second look only counts.
	again, _, err := s.run()
	if err != nil || strings.ReplaceAll(again, "received 2 times", "received once") != out {
		t.Errorf("again: %s, %v", again, err)
	}
	for _, name := range []string{"rule-failed", s.name + "-rule-failed", "rule"} {
		one, _, err := s.run("--queue", name, "--max", "1")
		if lines := strings.Split(one, "\n"); err != nil || len(lines) != 4 || lines[2] != "  … and 1 more; --max lists more" {
			t.Errorf("--queue %s: %q, %v", name, one, err)
		}
	}
}

func TestDlqSendsMessagesBack(t *testing.T) {
	s := newQueueStack(t)
	s.send("mail", "failed", map[string]string{"kept": "yes"})
	s.fail()
	s.send("mail-failed", "put there", map[string]string{"reason": "bounced", "waited": "1", "redriven": "1"})
	s.send("rule-failed", "not delivered", map[string]string{"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "denied", "RETRY_ATTEMPTS": "3", "EXHAUSTED_RETRY_CONDITION": "x", "TARGET_ARN": s.arn("mail")})
	out, errs, err := s.run("--redrive")
	want := s.name + "-mail-failed: 2 messages went to " + s.name + "-mail\n" + s.name + "-rule-failed: 1 message went to " + s.name + "-mail\n"
	if err != nil || out != want || errs != "" {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	got := s.receive("mail", 60)
	if want := []string{"failed kept=yes redriven=1", "not delivered redriven=1", "put there redriven=1 waited=1"}; !slices.Equal(got, want) {
		t.Errorf("the queue has %q, want %q", got, want)
	}
	for _, queue := range []string{"mail-failed", "rule-failed"} {
		if left := s.receive(queue, 60); len(left) > 0 {
			t.Errorf("%s still has %q", queue, left)
		}
	}
	if out, _, err := s.run("--redrive"); err != nil || out != "no dead-letter queue has a message that can be sent again now\n" {
		t.Errorf("without messages: %q, %v", out, err)
	}
}

// EventBridge keeps the event, but the queue takes what the rule's input transformer
// makes of it.
func TestDlqSendsWhatARuleWouldHaveSent(t *testing.T) {
	s := newQueueStack(t)
	rule := func(name string) map[string]string {
		return map[string]string{"RULE_ARN": "arn:aws:events:ap-northeast-2:000000000000:rule/" + name, "TARGET_ARN": s.arn("mail"), "ERROR_CODE": "x"}
	}
	s.send("rule-failed", `{"id":"1","detail":{"a":"<b>"}}`, rule("bus/"+s.name+"-ToldRule-ABCDEFGHIJKL"))
	s.send("rule-failed", `{"id":"2","detail":{}}`, rule("bus/"+s.name+"-security"))
	s.send("rule-failed", `{"id":"3","detail":{}}`, rule("bus/"+s.name+"-LinksRule"))
	s.send("rule-failed", `{"id":"4","detail":{}}`, rule("bus/"+s.name+"-OtherRule-ABCDEFGHIJKL"))
	s.send("rule-failed", `no JSON`, rule("bus/"+s.name+"-told"))
	_, errs, err := s.run("--redrive")
	if err == nil || !strings.Contains(errs, "stays in "+s.name+"-rule-failed: its body is not an event of a bus") {
		t.Errorf("%q, %v", errs, err)
	}
	want := []string{
		`{"id":"4","detail":{}} redriven=1`,
		`{"rule":"links","event":{"id":"3","detail":{}}} redriven=1`,
		`{"rule":"security","event":{"id":"2","detail":{}}} redriven=1`,
		`{"rule":"told","event":{"id":"1","detail":{"a":"<b>"}}} redriven=1`,
	}
	if got := s.receive("mail", 60); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestDlqSendsWhatItIsAskedFor(t *testing.T) {
	s := newQueueStack(t)
	s.make("other", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + s.arn("mail-failed") + `","maxReceiveCount":"2"}`})
	for i := range 25 {
		s.send("mail-failed", fmt.Sprint("message ", i), nil)
	}
	s.send("rule-failed", "for nobody", nil)
	s.send("rule-failed", "for another stack", map[string]string{"TARGET_ARN": "arn:aws:sqs:eu-west-1:111111111111:theirs"})
	// Two queues have this dead-letter queue.
	_, errs, err := s.run("--redrive", "--queue", "mail-failed", "--max", "1")
	if err == nil || err.Error() != "1 message could not be sent, and stayed in the dead-letter queue" || !strings.Contains(errs, "nothing tells which queue it was meant for; name it by --queue and --to") {
		t.Errorf("%q, %v", errs, err)
	}
	if out, _, err := s.run("--redrive", "--queue", "mail-failed", "--to", "other", "--max", "12"); err != nil || out != s.name+"-mail-failed: 12 messages went to "+s.name+"-other\n" {
		t.Errorf("%q, %v", out, err)
	}
	if n := len(s.receive("other", 60)); n != 12 {
		t.Errorf("%d messages arrived", n)
	}
	out, errs, err := s.run("--redrive", "--queue", "rule-failed")
	if err == nil || err.Error() != "2 messages could not be sent, and stayed in the dead-letter queue" || out != "" || !strings.Contains(errs, "it was meant for arn:aws:sqs:eu-west-1:111111111111:theirs, which is not a queue of the stack") {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	if n := len(s.receive("mail-failed", 60)) + len(s.receive("rule-failed", 60)); n != 15 {
		t.Errorf("%d messages are left", n)
	}
}

// A consumer that fails at once puts what was sent again back while the command runs, which
// does not keep it from ending.
func TestDlqEndsBesideAConsumerThatFails(t *testing.T) {
	s := newQueueStack(t)
	const messages = 30
	for i := range messages {
		s.send("mail-failed", fmt.Sprint("message ", i), nil)
	}
	from, to := s.url("mail"), s.url("mail-failed")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			page, err := s.client.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: from, MaxNumberOfMessages: 10, VisibilityTimeout: 600})
			if err != nil {
				t.Error(err)
				break
			}
			for _, m := range page.Messages {
				if _, err := s.client.SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: to, MessageBody: m.Body}); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	out, _, err := s.run("--redrive")
	cancel()
	<-ended
	if err != nil || out != fmt.Sprintf("%s-mail-failed: %d messages went to %s-mail\n", s.name, messages, s.name) {
		t.Errorf("%q, %v", out, err)
	}
}

// SQS mixes messages that have come since the command began with those that were there.
// They stay, and do not take the places of the others.
func TestDlqLeavesWhatCameLater(t *testing.T) {
	s := newQueueStack(t)
	for i := range 3 {
		s.send("mail-failed", fmt.Sprint("late ", i), nil)
	}
	for i := range 5 {
		s.send("mail-failed", fmt.Sprint("message ", i), nil)
	}
	engine, err := url.Parse(enginetest.Shared(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(engine)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.HasSuffix(r.Request.Header.Get("X-Amz-Target"), ".ReceiveMessage") {
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err
		}
		var page map[string]any
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		messages, _ := page["Messages"].([]any)
		for _, m := range messages {
			m := m.(map[string]any)
			if attributes, ok := m["Attributes"].(map[string]any); ok && strings.HasPrefix(m["Body"].(string), "late ") {
				attributes["SentTimestamp"] = fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())
			}
		}
		if body, err = json.Marshal(page); err != nil {
			return err
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
		return nil
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	text, err := os.ReadFile(s.file)
	if err == nil {
		err = os.WriteFile(s.file, bytes.Replace(text, []byte(engine.String()), []byte(server.URL), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := s.run("--redrive", "--max", "5")
	if err != nil || out != fmt.Sprintf("%s-mail-failed: 5 messages went to %s-mail\n", s.name, s.name) {
		t.Errorf("%q, %v", out, err)
	}
	for _, got := range s.receive("mail", 60) {
		if strings.HasPrefix(got, "late ") {
			t.Errorf("%s was sent again", got)
		}
	}
}

// cancelling is a writer that ends a context.
type cancelling func()

func (c cancelling) Write(p []byte) (int, error) {
	c()
	return len(p), nil
}

func TestDlqInterruptedLosesNothing(t *testing.T) {
	s := newQueueStack(t)
	for i := range 15 {
		target := "mail"
		if i == 3 {
			target = "nothing" // a message about this one interrupts the command
		}
		s.send("rule-failed", fmt.Sprint("message ", i), map[string]string{"TARGET_ARN": s.arn(target)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	err := run(ctx, []string{"dlq", "--redrive", "--run", s.file}, nil, &out, cancelling(cancel))
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "interrupted: 3 messages went back; the rest is in the dead-letter queue, and the command can be repeated") {
		t.Errorf("%v", err)
	}
	// All the others are visible at once.
	if sent, left := s.receive("mail", 60), s.receive("rule-failed", 60); len(sent) != 3 || len(left) != 12 {
		t.Errorf("%d messages were sent, and %d are left", len(sent), len(left))
	}
}

func TestDlqLeavesOtherStacksAlone(t *testing.T) {
	s := newQueueStack(t)
	if _, err := s.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(s.name + "-two-mail"), Tags: map[string]string{stackTag: s.name + "-two"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(s.name + "-own"), Tags: map[string]string{stackTag: s.name}}); err != nil {
		t.Fatal(err)
	}
	out, _, err := s.run()
	if err != nil || strings.Contains(out, "-two-mail") || !strings.Contains(out, s.name+"-own: ") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestDlqRefuses(t *testing.T) {
	s := newQueueStack(t)
	for want, args := range map[string][]string{
		"--max must not be negative":        {"--max", "-1"},
		"--to needs --redrive and --queue":  {"--to", "mail"},
		"--to needs --redrive and --queue;": {"--redrive", "--to", "mail"},
		"unexpected argument":               {"mail"},
	} {
		if _, errs, err := s.run(args...); !errors.Is(err, errUsage) || !strings.Contains(errs, want) {
			t.Errorf("%q: %q, %v", args, errs, err)
		}
	}
	for want, args := range map[string][]string{
		`the stack has no queue "nothing"; its queues are ` + s.name + "-mail, ": {"--queue", "nothing"},
		`the stack has no queue "there"`:                                         {"--redrive", "--queue", "mail-failed", "--to", "there"},
		s.name + "-mail is not a dead-letter queue":                              {"--redrive", "--queue", "mail"},
	} {
		if _, _, err := s.run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := os.WriteFile(s.file, []byte(`{"functions": {"db-check": "odd"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.run(); err == nil || !strings.Contains(err.Error(), "the function odd is not named as in the template, STACK-db-check") {
		t.Errorf("%v", err)
	}
}
