package mail_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"plaudit/shared/mail"
	"plaudit/shared/mail/mailtest"
	"plaudit/shared/notify"
)

func sender(t *testing.T, url string) *mail.Sender {
	t.Helper()
	cfg := aws.Config{Region: "ap-northeast-2", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("000000000000", "x", "")}
	s, err := mail.New(cfg, "Plaudit 점수 <scores@example.com>", "plaudit-mail", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var letter = notify.Mail{
	To: "kim@example.com", Subject: "점수가 바뀌었습니다", Text: "text", HTML: "<p>html</p>",
	Unsubscribe: "https://scores.example.com/v1/unsubscribe/x", User: "0198f1c2-7a5e-7c3b-9d42-5f1e8a6b0c11", Address: "0123456789abcdef0123456789abcdef", Type: "adjusted",
}

func TestSend(t *testing.T) {
	ses := mailtest.New(t)
	s := sender(t, ses.URL)
	if id, err := s.Send(t.Context(), letter); err != nil || id != "mail-1" {
		t.Fatalf("%q %v", id, err)
	}
	security := letter
	security.Unsubscribe = ""
	if _, err := s.Send(t.Context(), security); err != nil {
		t.Fatal(err)
	}
	mails := ses.Mails()
	m := mails[0]
	if m.To != letter.To || m.Subject != letter.Subject || m.Text != letter.Text || m.HTML != letter.HTML || m.ConfigurationSet != "plaudit-mail" {
		t.Errorf("sent %+v", m)
	}
	if !strings.HasSuffix(m.From, "<scores@example.com>") || strings.Contains(m.From, "점") {
		t.Errorf("from %s", m.From)
	}
	if want := map[string]string{"List-Unsubscribe": "<https://scores.example.com/v1/unsubscribe/x>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}; !maps.Equal(m.Headers, want) {
		t.Errorf("the headers are %v", m.Headers)
	}
	if want := map[string]string{"user": letter.User, "address": letter.Address, "type": "adjusted"}; !maps.Equal(m.Tags, want) {
		t.Errorf("the tags are %v", m.Tags)
	}
	if len(mails[1].Headers) != 0 {
		t.Errorf("mail that cannot be switched off has the headers %v", mails[1].Headers)
	}
}

// What is not one of these errors is undecided, and no request is ever repeated.
func TestErrorsSayIfTheMailWasSent(t *testing.T) {
	ses := mailtest.New(t)
	s := sender(t, ses.URL)
	for name, c := range map[string]struct {
		answer mailtest.Answer
		want   error // nil: undecided
	}{
		"rate":                {mailtest.Rate, notify.ErrRate},
		"throttling":          {mailtest.Answer{Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"}, notify.ErrRate},
		"quota":               {mailtest.Quota, notify.ErrQuota},
		"quota by its code":   {mailtest.Answer{Status: 400, Code: "LimitExceededException", Message: "Too many"}, notify.ErrQuota},
		"unverified":          {mailtest.Unverified, notify.ErrRefused},
		"paused":              {mailtest.Answer{Status: 400, Code: "SendingPausedException"}, notify.ErrRefused},
		"bad request":         {mailtest.Answer{Status: 400, Code: "BadRequestException"}, notify.ErrRefused},
		"not allowed":         {mailtest.Answer{Status: 403, Code: "AccessDeniedException"}, notify.ErrNotSent},
		"service unavailable": {mailtest.Answer{Status: 503, Code: "ServiceUnavailable"}, notify.ErrNotSent},
		"internal error":      {mailtest.Internal, nil},
		"lost answer":         {mailtest.Answer{Lost: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ses.Next(c.answer)
			_, err := s.Send(t.Context(), letter)
			if n := ses.Requests(); n != 1 {
				t.Errorf("%d requests", n)
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("the error is %v, want %v", err, c.want)
			}
			for _, sure := range []error{notify.ErrRate, notify.ErrQuota, notify.ErrRefused, notify.ErrNotSent} {
				if errors.Is(err, sure) != (sure == c.want) {
					t.Errorf("%v is %v", err, sure)
				}
			}
		})
	}
}

// The status says that the mail is sent, whatever follows.
func TestAnIncompleteAnswerIsSent(t *testing.T) {
	ses := mailtest.New(t)
	ses.Next(mailtest.Answer{Incomplete: true})
	if _, err := sender(t, ses.URL).Send(t.Context(), letter); err != nil {
		t.Error(err)
	}
}

func TestWithoutAConnectionNothingIsSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	if _, err := sender(t, url).Send(t.Context(), letter); !errors.Is(err, notify.ErrNotSent) {
		t.Errorf("%v", err)
	}
}

// A server that does not answer may have sent the mail.
func TestATimeoutIsUndecided(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
	go srv.Serve(l)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = sender(t, "http://"+l.Addr().String()).Send(ctx, letter)
	if err == nil || errors.Is(err, notify.ErrNotSent) || errors.Is(err, notify.ErrRate) {
		t.Errorf("%v", err)
	}
}

func TestSenderIsChecked(t *testing.T) {
	for from, ok := range map[string]bool{"scores@example.com": true, "Plaudit <scores@example.com>": true, "": false, "Plaudit": false, "a@example.com, b@example.com": false} {
		if _, err := mail.New(aws.Config{}, from, "", 1); (err == nil) != ok {
			t.Errorf("%q: %v", from, err)
		}
	}
	for _, perSecond := range []float64{0, -1} {
		if _, err := mail.New(aws.Config{}, "scores@example.com", "", perSecond); err == nil {
			t.Errorf("%v mails a second are taken", perSecond)
		}
	}
}
