package ses

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

const stack = `
  Set:
    Type: AWS::SES::ConfigurationSet
    Properties: { Name: main }
  Feedback:
    Type: AWS::SES::ConfigurationSetEventDestination
    Properties:
      ConfigurationSetName: !Ref Set
      EventDestination:
        Name: bus
        Enabled: true
        MatchingEventTypes: [bounce, complaint]
        EventBridgeDestination: { EventBusArn: !Sub "arn:aws:events:${AWS::Region}:${AWS::AccountId}:event-bus/default" }
  Silent:
    Type: AWS::SES::ConfigurationSet
    Properties: { Name: silent }
  Paused:
    Type: AWS::SES::ConfigurationSet
    Properties: { Name: paused, SendingOptions: { SendingEnabled: false } }
  Domain:
    Type: AWS::SES::EmailIdentity
    Properties: { EmailIdentity: example.com }
  Address:
    Type: AWS::SES::EmailIdentity
    Properties: { EmailIdentity: One@example.net, ConfigurationSetAttributes: { ConfigurationSetName: !Ref Set } }
`

// bus keeps what is put on it.
type bus struct {
	mu     sync.Mutex
	events []Event
	err    error
}

func (b *bus) PutAWS(_ context.Context, e Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return b.err
}

func (b *bus) all() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Event(nil), b.events...)
}

// laptop is a running service, and a client of it.
type laptop struct {
	*Service
	bus    *bus
	client *sesv2.Client
	url    string // of the inbox
	log    *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, resources, folder string) *laptop {
	t.Helper()
	port, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &laptop{bus: &bus{}, log: &buffer{}}
	p := parttest.Laptop()
	p.Folder, p.Log = folder, slog.New(slog.NewTextHandler(l.log, nil))
	p.ChangeRun = func(change func(*part.Run)) error {
		var r part.Run
		change(&r)
		l.url = r.Inbox
		return nil
	}
	p.Fail = func(err error) { t.Error(err) }
	l.Service = New(p, port, l.bus)
	if _, err := parttest.Read(t, part.List{l.Service}, resources); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	_, handler := l.API()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	l.client = sesv2.New(sesv2.Options{
		Region: "ap-northeast-2", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
	})
	return l
}

// simpleMail is a mail that is not refused.
func simpleMail() *sesv2.SendEmailInput {
	utf8 := func(text string) *types.Content { return &types.Content{Data: &text, Charset: aws.String("UTF-8")} }
	return &sesv2.SendEmailInput{
		FromEmailAddress:     aws.String("Plaudit <scores@example.com>"),
		Destination:          &types.Destination{ToAddresses: []string{"ann@example.org"}},
		ConfigurationSetName: aws.String("main"),
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: utf8("점수가 바뀌었습니다"),
			Body:    &types.Body{Text: utf8("안녕하세요\nline 2 = two\n"), Html: utf8("<p>안녕하세요</p>\n")},
			Headers: []types.MessageHeader{
				{Name: aws.String("List-Unsubscribe"), Value: aws.String("<http://127.0.0.1:8080/v1/unsubscribe/" + strings.Repeat("x", 200) + ">")},
				{Name: aws.String("List-Unsubscribe-Post"), Value: aws.String("List-Unsubscribe=One-Click")},
			},
		}},
		EmailTags: []types.MessageTag{{Name: aws.String("user"), Value: aws.String("u1")}},
	}
}

func (l *laptop) send(t *testing.T, in *sesv2.SendEmailInput) string {
	t.Helper()
	out, err := l.client.SendEmail(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.MessageId
}

// refused sends a mail and returns code, message and status of the error.
func (l *laptop) refused(t *testing.T, in *sesv2.SendEmailInput) (code, message string, status int) {
	t.Helper()
	_, err := l.client.SendEmail(t.Context(), in)
	var answer smithy.APIError
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) || !errors.As(err, &response) {
		t.Fatalf("error %v", err)
	}
	return answer.ErrorCode(), answer.ErrorMessage(), response.HTTPStatusCode()
}

// do sends a request to the inbox.
func (l *laptop) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// messages lists mails by the inbox's JSON.
func (l *laptop) messages(t *testing.T, query string) (out []Mail) {
	t.Helper()
	answer, text := l.do(t, http.MethodGet, "/messages"+query, "")
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", answer.Status, text)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func (l *laptop) put(t *testing.T, settings string) {
	t.Helper()
	if answer, text := l.do(t, http.MethodPut, "/settings", settings); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", answer.Status, text)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
