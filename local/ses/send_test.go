package ses

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"golang.org/x/text/encoding/korean"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

func TestASimpleMailIsInTheInboxAsItWasSent(t *testing.T) {
	l := start(t, stack, t.TempDir())
	in := simpleMail()
	in.Destination.ToAddresses = []string{"ann@example.org", "zoe@example.org"}
	in.Destination.CcAddresses = []string{"Bob <bob@example.org>", "ann@example.org"}
	in.Destination.BccAddresses = []string{"carol@example.org"}
	in.ReplyToAddresses = []string{"help@example.com"}
	id := l.send(t, in)
	mails := l.messages(t, "")
	if len(mails) != 1 {
		t.Fatalf("mails %+v", mails)
	}
	m := mails[0]
	if m.ID != id || m.From != "Plaudit <scores@example.com>" || m.Subject != "점수가 바뀌었습니다" || m.Text != "안녕하세요\nline 2 = two\n" ||
		m.HTML != "<p>안녕하세요</p>\n" || m.Status != Delivered || m.ConfigurationSet != "main" || m.At.IsZero() || len(m.Attachments) > 0 {
		t.Errorf("mail %+v", m)
	}
	if !slices.Equal(m.To, []string{"ann@example.org", "zoe@example.org", "bob@example.org", "carol@example.org"}) || !slices.Equal(m.Tags["user"], []string{"u1"}) || m.Recipients["carol@example.org"] != Delivered {
		t.Errorf("to %q, tags %q, recipients %q", m.To, m.Tags, m.Recipients)
	}
	for name, want := range map[string]string{
		"From": "Plaudit <scores@example.com>", "To": "ann@example.org, zoe@example.org", "Cc": "Bob <bob@example.org>, ann@example.org", "Reply-To": "help@example.com",
		"Subject": "점수가 바뀌었습니다", "MIME-Version": "1.0", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"List-Unsubscribe": *in.Content.Simple.Headers[0].Value, "Message-ID": "<" + id + "@ap-northeast-2.amazonses.com>",
	} {
		if got := m.Headers[name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, raw := l.do(t, http.MethodGet, "/mails/"+id+"/raw", ""); strings.Contains(raw, "carol") || strings.Contains(m.Headers["Bcc"], "carol") {
		t.Errorf("the message names the hidden recipient: %s", raw)
	}
}

func TestAMailWithOneBody(t *testing.T) {
	l := start(t, stack, t.TempDir())
	in := simpleMail()
	in.Content.Simple.Body.Html = nil
	l.send(t, in)
	if m := l.messages(t, "")[0]; m.Text != "안녕하세요\nline 2 = two\n" || m.HTML != "" || !strings.HasPrefix(m.Headers["Content-Type"], "text/plain") {
		t.Errorf("%+v", m)
	}
	in = simpleMail()
	in.Content.Simple.Body.Text = nil
	l.send(t, in)
	if m := l.messages(t, "")[0]; m.HTML != "<p>안녕하세요</p>\n" || m.Text != "" {
		t.Errorf("%+v", m)
	}
}

func rawMail(text string) *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{Content: &types.EmailContent{Raw: &types.RawMessage{Data: []byte(strings.ReplaceAll(text, "\n", "\r\n"))}}}
}

func TestARawMail(t *testing.T) {
	l := start(t, stack, t.TempDir())
	euc, err := korean.EUCKR.NewEncoder().String("안녕")
	if err != nil {
		t.Fatal(err)
	}
	id := l.send(t, rawMail(`From: =?utf-8?q?Pl=C3=A4udit?= <scores@example.com>
To: Ann <ann@example.org>
Bcc: carol@example.org
Subject: =?EUC-KR?B?vcI=?= won
Message-ID: <mine@example.com>
X-SES-CONFIGURATION-SET: main
X-SES-MESSAGE-TAGS: user=u7, kind=one
Received: from a
Received: from b
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=euc-kr

`+euc+`
--inner
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+aGk8L2I+
--inner--
--outer
Content-Type: application/pdf; name=a.pdf
Content-Disposition: attachment; filename=a.pdf

%PDF
--outer--
`))
	m := l.messages(t, "")[0]
	if m.From != "Pläudit <scores@example.com>" || m.Subject != "승 won" || strings.TrimSpace(m.Text) != "안녕" || m.HTML != "<b>hi</b>" {
		t.Errorf("mail %+v", m)
	}
	if !slices.Equal(m.To, []string{"ann@example.org", "carol@example.org"}) || m.ConfigurationSet != "main" || m.Tags["user"][0] != "u7" || m.Tags["kind"][0] != "one" {
		t.Errorf("to %q, set %s, tags %q", m.To, m.ConfigurationSet, m.Tags)
	}
	if len(m.Attachments) != 1 || m.Attachments[0] != (attachment{"a.pdf", "application/pdf", 4}) {
		t.Errorf("attachments %+v", m.Attachments)
	}
	if m.Headers["Message-ID"] != "<"+id+"@ap-northeast-2.amazonses.com>" || m.Headers["Received"] != "from a\nfrom b" || m.Headers["Date"] == "" {
		t.Errorf("headers %q", m.Headers)
	}
	_, raw := l.do(t, http.MethodGet, "/mails/"+id+"/raw", "")
	for _, hidden := range []string{"carol", "SES-", "mine@"} {
		if strings.Contains(raw, hidden) {
			t.Errorf("the message has %s: %s", hidden, raw)
		}
	}
}

func TestTheDestinationOfARawMailCounts(t *testing.T) {
	l := start(t, stack, t.TempDir())
	in := rawMail("From: one@mail.example.com\nTo: ann@example.org\nSubject: x\n\nbody\n")
	in.Destination = &types.Destination{ToAddresses: []string{"dan@example.org"}}
	l.send(t, in)
	if m := l.messages(t, "")[0]; !slices.Equal(m.To, []string{"dan@example.org"}) || m.Headers["To"] != "ann@example.org" || m.Text != "body\n" || m.From != "one@mail.example.com" {
		t.Errorf("mail %+v", m)
	}
}

// A message that is malformed in the middle is shown as far as it can be read.
func TestAMalformedMailIsKept(t *testing.T) {
	l := start(t, stack, t.TempDir())
	in := rawMail("From: a@example.com\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nfirst\n--b\nbroken header\n")
	in.Destination = &types.Destination{ToAddresses: []string{"ann@example.org"}}
	id := l.send(t, in)
	if m := l.messages(t, "")[0]; m.Text != "first" || m.Subject != "x" {
		t.Errorf("mail %+v", m)
	}
	if answer, raw := l.do(t, http.MethodGet, "/mails/"+id+"/raw", ""); answer.StatusCode != http.StatusOK || !strings.Contains(raw, "broken header") {
		t.Errorf("%s: %s", answer.Status, raw)
	}
}

func TestWhatSESRefuses(t *testing.T) {
	l := start(t, stack, t.TempDir())
	text := aws.String
	many := []string{}
	for i := range 51 {
		many = append(many, fmt.Sprintf("u%d@example.org", i))
	}
	header := func(name, value string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) {
			in.Content.Simple.Headers = append(in.Content.Simple.Headers, types.MessageHeader{Name: &name, Value: &value})
		}
	}
	from := func(address string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) { in.FromEmailAddress = &address }
	}
	to := func(address string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = []string{"a@example.org", address} }
	}
	raw := func(message string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) { in.Content = rawMail(message).Content }
	}
	tag := func(name, value string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) { in.EmailTags = []types.MessageTag{{Name: &name, Value: &value}} }
	}
	for _, c := range []struct {
		name   string
		change func(*sesv2.SendEmailInput)
		code   string
		want   string
	}{
		{"an address that is not verified", from("a@example.net"), "MessageRejected", "Email address is not verified. The following identities failed the check in region AP-NORTHEAST-2: a@example.net"},
		{"the case of an address", from("one@example.net"), "MessageRejected", "not verified"},
		{"a domain above the identity", from("a@com"), "BadRequestException", "FromEmailAddress"},
		{"a domain that only ends like the identity", from("a@notexample.com"), "MessageRejected", "a@notexample.com"},
		{"no sender", func(in *sesv2.SendEmailInput) { in.FromEmailAddress = nil }, "BadRequestException", "FromEmailAddress is required"},
		{"a sender that is no address", from("scores"), "BadRequestException", "FromEmailAddress"},
		{"a name that is not ASCII", from("플로딧 <scores@example.com>"), "BadRequestException", "RFC 2047"},
		{"a header in the sender", from("a\r\nBcc: x@example.org <scores@example.com>"), "BadRequestException", "FromEmailAddress"},
		{"a recipient that is no address", to("ann"), "BadRequestException", "Destination.ToAddresses[1]"},
		{"a recipient with a line feed", to("ann@example.org\nBcc: x@example.org"), "BadRequestException", "Destination.ToAddresses[1]"},
		{"a recipient that is not ASCII", to("안녕@example.org"), "BadRequestException", "Destination.ToAddresses[1]"},
		{"two addresses in one", to("a@example.org, b@example.org"), "BadRequestException", "Destination.ToAddresses[1]"},
		{"a long local part", to(strings.Repeat("a", 65) + "@example.org"), "BadRequestException", "Destination.ToAddresses[1]"},
		{"no recipient", func(in *sesv2.SendEmailInput) { in.Destination = nil }, "BadRequestException", "Destination"},
		{"51 recipients", func(in *sesv2.SendEmailInput) { in.Destination.ToAddresses = many }, "BadRequestException", "at most 50"},
		{"a reply address", func(in *sesv2.SendEmailInput) { in.ReplyToAddresses = []string{"x"} }, "BadRequestException", "ReplyToAddresses[0]"},
		{"an unknown configuration set", func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = text("other") }, "NotFoundException", "Configuration set <other> does not exist."},
		{"a configuration set that is paused", func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = text("paused") }, "SendingPausedException", "paused"},
		{"a subject with a line feed", func(in *sesv2.SendEmailInput) { in.Content.Simple.Subject.Data = text("a\r\nBcc: x@example.org") }, "BadRequestException", "Subject.Data"},
		{"a subject without a character set", func(in *sesv2.SendEmailInput) { in.Content.Simple.Subject.Charset = nil }, "BadRequestException", "Subject.Charset"},
		{"a text without a character set", func(in *sesv2.SendEmailInput) { in.Content.Simple.Body.Text.Charset = nil }, "BadRequestException", "Body.Text.Charset"},
		{"an unknown character set", func(in *sesv2.SendEmailInput) { in.Content.Simple.Body.Html.Charset = text("klingon") }, "BadRequestException", "Body.Html.Charset"},
		{"no body", func(in *sesv2.SendEmailInput) { in.Content.Simple.Body = &types.Body{} }, "BadRequestException", "Body"},
		{"no content", func(in *sesv2.SendEmailInput) { in.Content = &types.EmailContent{} }, "BadRequestException", "Content"},
		{"a template", func(in *sesv2.SendEmailInput) {
			in.Content = &types.EmailContent{Template: &types.Template{TemplateName: text("x")}}
		}, "BadRequestException", "Content.Template"},
		{"a field without effect", func(in *sesv2.SendEmailInput) { in.TenantName = text("x") }, "BadRequestException", "TenantName"},
		{"a header of SES's own", header("Subject", "x"), "BadRequestException", "Headers[2].Name"},
		{"a header of the content", header("Content-Type", "x"), "BadRequestException", "Headers[2].Name"},
		{"a header for SES", header("X-SES-MESSAGE-TAGS", "a=b"), "BadRequestException", "Headers[2].Name"},
		{"a header's name", header("X:Y", "x"), "BadRequestException", "Headers[2].Name"},
		{"a header's value with a line feed", header("X-Y", "x\r\nBcc: a@example.org"), "BadRequestException", "Headers[2].Value"},
		{"a header's value that is not ASCII", header("X-Y", "안녕"), "BadRequestException", "Headers[2].Value"},
		{"a header's value that is too long", header("X-Y", strings.Repeat("x", 994)), "BadRequestException", "996"},
		{"a header twice", header("list-unsubscribe", "<x>"), "BadRequestException", "more than once"},
		{"sixteen headers", func(in *sesv2.SendEmailInput) {
			for i := range 14 {
				header(fmt.Sprint("X-", i), "x")(in)
			}
		}, "BadRequestException", "at most 15"},
		{"a tag's name", tag("a b", "c"), "BadRequestException", "EmailTags[0].Name"},
		{"a tag's value", tag("type", "plaudit.entry.adjusted"), "BadRequestException", "EmailTags[0].Value"},
		{"an empty tag", tag("type", ""), "BadRequestException", "EmailTags[0].Value"},
		{"a raw message that is none", raw("hello"), "BadRequestException", "MIME"},
		{"a raw message without a sender", raw("Subject: x\n\nx"), "BadRequestException", "From"},
		{"a raw message with two senders", raw("From: a@example.com\nFrom: b@example.com\n\nx"), "BadRequestException", "more than once"},
		{"a raw message of somebody else", raw("From: a@example.net\nSubject: x\n\nx"), "MessageRejected", "a@example.net"},
		{"a raw message with a wrong recipient", raw("From: a@example.com\nTo: ,,\n\nx"), "BadRequestException", "To"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := simpleMail()
			c.change(in)
			code, message, status := l.refused(t, in)
			wantStatus := http.StatusBadRequest
			if c.code == "NotFoundException" {
				wantStatus = http.StatusNotFound
			}
			if code != c.code || !strings.Contains(message, c.want) || status != wantStatus {
				t.Errorf("%d %s: %s", status, code, message)
			}
		})
	}
	if mails := l.messages(t, ""); len(mails) > 0 {
		t.Errorf("refused mail is in the inbox: %+v", mails)
	}
	if out, err := l.client.GetAccount(t.Context(), &sesv2.GetAccountInput{}); err != nil || out.SendQuota.SentLast24Hours != 0 {
		t.Errorf("refused mail counts: %+v, %v", out, err)
	}
}

func TestAMessageMayHave40MB(t *testing.T) {
	l := start(t, stack, t.TempDir())
	for size, taken := range map[int]bool{40 << 20: true, 40<<20 + 1: false} {
		d := draft{to: []string{"ann@example.org"}, compose: func(stamp) ([]byte, error) { return make([]byte, size), nil }}
		_, err := l.accept(d)
		if (err == nil) != taken || err != nil && !strings.Contains(err.Error(), "41943040") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// A body that cannot be smaller is not read to its end.
	r := httptest.NewRequest(http.MethodPost, "/v2/email/outbound-emails", io.MultiReader(strings.NewReader(`{"x":"`), strings.NewReader(strings.Repeat("x", maxBody))))
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "41943040") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestSendersOfVerifiedIdentities(t *testing.T) {
	l := start(t, stack, t.TempDir())
	for _, from := range []string{"a@example.com", "A <a@EXAMPLE.COM>", "a@mail.eu.example.com", "One@example.net", "One@Example.NET"} {
		in := simpleMail()
		in.FromEmailAddress, in.ConfigurationSetName = &from, nil
		l.send(t, in)
	}
	// The identity's own configuration set, if the mail names none.
	mails := l.messages(t, "")
	if mails[0].ConfigurationSet != "main" || mails[4].ConfigurationSet != "" {
		t.Errorf("sets %s, %s", mails[0].ConfigurationSet, mails[4].ConfigurationSet)
	}
}

func TestWrongResources(t *testing.T) {
	const bus = `EventBridgeDestination: { EventBusArn: "arn:aws:events:ap-northeast-2:000000000000:event-bus/default" }`
	destination := func(rest string) string {
		return "\n  Set: { Type: AWS::SES::ConfigurationSet, Properties: { Name: main } }\n  D:\n    Type: AWS::SES::ConfigurationSetEventDestination\n    Properties:\n" + rest
	}
	for _, c := range []struct{ name, resources, want string }{
		{"another destination", destination(`      { ConfigurationSetName: main, EventDestination: { MatchingEventTypes: [bounce], SnsDestination: { TopicARN: x } } }`), "SnsDestination"},
		{"another bus", destination(`      { ConfigurationSetName: main, EventDestination: { MatchingEventTypes: [bounce], EventBridgeDestination: { EventBusArn: "arn:aws:events:ap-northeast-2:000000000000:event-bus/mine" } } }`), "EventBusArn"},
		{"an event that is not sent", destination(`      { ConfigurationSetName: main, EventDestination: { MatchingEventTypes: [bounce, open], ` + bus + ` } }`), "MatchingEventTypes[1]"},
		{"an unknown event", destination(`      { ConfigurationSetName: main, EventDestination: { MatchingEventTypes: [BOUNCE], ` + bus + ` } }`), "it must be one of bounce"},
		{"an unknown set", destination(`      { ConfigurationSetName: other, EventDestination: { MatchingEventTypes: [bounce], ` + bus + ` } }`), "no configuration set other"},
		{"an identity that is neither", "\n  I: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: \"a b\" } }\n", "EmailIdentity"},
		{"an identity with a name", "\n  I: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: \"A <a@example.com>\" } }\n", "EmailIdentity"},
		{"an identity twice", "\n  I: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: example.com } }\n  J: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: Example.com } }\n", "another identity"},
		{"an identity's set", "\n  I: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: example.com, ConfigurationSetAttributes: { ConfigurationSetName: other } } }\n", "no configuration set other"},
		{"a set twice", "\n  A: { Type: AWS::SES::ConfigurationSet, Properties: { Name: main } }\n  B: { Type: AWS::SES::ConfigurationSet, Properties: { Name: main } }\n", "another configuration set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parttest.Read(t, part.List{New(parttest.Laptop(), nil, nil)}, c.resources)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	s := New(parttest.Laptop(), nil, nil)
	read, err := parttest.Read(t, part.List{s}, stack)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"Set": "main", "Domain": "example.com", "Address": "One@example.net"} {
		r, _ := read.Resource(id)
		if got := s.Values(r)["Ref"]; got != want {
			t.Errorf("Ref of %s is %v", id, got)
		}
	}
	r, _ := read.Resource("Domain")
	values := s.Values(r)
	if name := values["DkimDNSTokenName2"].(string); !strings.HasSuffix(name, "._domainkey.example.com") || values["DkimDNSTokenName1"] == values["DkimDNSTokenName2"] {
		t.Errorf("DKIM %v", values)
	}
}
