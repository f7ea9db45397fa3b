// Package mail sends mails through SES.
package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/time/rate"

	"plaudit/shared/cloud"
	"plaudit/shared/notify"
)

const (
	// dialTime bounds a connection's making, answerTime the wait for an answer.
	dialTime, answerTime = 2 * time.Second, 5 * time.Second
	charset              = "UTF-8"
)

// Sender sends mails of one sender.
type Sender struct {
	client           *sesv2.Client
	from             string
	configurationSet string
	turns            *rate.Limiter
}

var _ notify.Mailer = (*Sender)(nil)

// New returns a sender of at most perSecond mails a second. from is an address, with or
// without a name.
//
// SES has no idempotency: a request that is repeated is a second mail. So the client
// never repeats one, and keeps no connection: one that the server closes as the next
// request begins would leave that undecided.
func New(cfg aws.Config, from, configurationSet string, perSecond float64) (*Sender, error) {
	parsed, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("the sender must be an address or a name with one, such as Plaudit <scores@example.com>: %w", err)
	}
	if !(perSecond > 0) {
		return nil, errors.New("the number of mails in a second must be greater than 0")
	}
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	cfg.HTTPClient = cloud.Whole(awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTime }).
		WithTransportOptions(func(t *http.Transport) {
			t.DisableKeepAlives = true
			t.ResponseHeaderTimeout = answerTime
		}))
	return &Sender{
		client:           sesv2.NewFromConfig(cfg),
		from:             parsed.String(), // a name in other letters than ASCII as an encoded word
		configurationSet: configurationSet,
		turns:            rate.NewLimiter(rate.Limit(perSecond), 1),
	}, nil
}

// Turn implements notify.Mailer.
func (s *Sender) Turn(ctx context.Context) error { return s.turns.Wait(ctx) }

// Send implements notify.Mailer.
func (s *Sender) Send(ctx context.Context, m notify.Mail) (id string, err error) {
	content := func(text string) *types.Content { return &types.Content{Data: &text, Charset: aws.String(charset)} }
	message := &types.Message{
		Subject: content(m.Subject),
		Body:    &types.Body{Text: content(m.Text), Html: content(m.HTML)},
	}
	if m.Unsubscribe != "" {
		// https://www.rfc-editor.org/rfc/rfc8058#section-3.1
		message.Headers = []types.MessageHeader{
			{Name: aws.String("List-Unsubscribe"), Value: aws.String("<" + m.Unsubscribe + ">")},
			{Name: aws.String("List-Unsubscribe-Post"), Value: aws.String("List-Unsubscribe=One-Click")},
		}
	}
	in := &sesv2.SendEmailInput{
		FromEmailAddress: &s.from,
		Destination:      &types.Destination{ToAddresses: []string{m.To}},
		Content:          &types.EmailContent{Simple: message},
		EmailTags:        []types.MessageTag{tag("type", m.Type)},
	}
	if m.User != "" {
		in.EmailTags = append(in.EmailTags, tag("user", m.User), tag("address", m.Address))
	}
	if s.configurationSet != "" {
		in.ConfigurationSetName = &s.configurationSet
	}
	out, err := s.client.SendEmail(ctx, in)
	if err != nil {
		return "", classify(err)
	}
	return aws.ToString(out.MessageId), nil
}

func tag(name, value string) types.MessageTag { return types.MessageTag{Name: &name, Value: &value} }

// refusals are the errors of mails that SES would refuse again.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
var refusals = map[string]bool{
	"AccountSuspendedException": true, "BadRequestException": true, "MailFromDomainNotVerifiedException": true,
	"MessageRejected": true, "NotFoundException": true, "SendingPausedException": true,
}

// classify returns the error of a mail that was not sent, nil if only the answer to one
// that was sent is lost, and any other error if it is unknown which.
func classify(err error) error {
	var response *awshttp.ResponseError
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	isAPI := errors.As(err, &api)
	switch {
	case status/100 == 2:
		return nil // its body could not be read
	case isAPI && (api.ErrorCode() == "LimitExceededException" || strings.Contains(strings.ToLower(api.ErrorMessage()), "quota")):
		return because(notify.ErrQuota, err)
	case status == http.StatusTooManyRequests, isAPI && strings.Contains(api.ErrorCode(), "Throttl"):
		return because(notify.ErrRate, err)
	case isAPI && refusals[api.ErrorCode()]:
		return because(notify.ErrRefused, err)
	case status/100 == 4, status == http.StatusServiceUnavailable:
		return because(notify.ErrNotSent, err)
	case status == 0 && !sending(err):
		return because(notify.ErrNotSent, err)
	}
	return err
}

// sending reports whether a request without an answer may have reached SES: it had its
// credentials and a connection.
func sending(err error) bool {
	var canceled *smithy.CanceledError
	var request *smithyhttp.RequestSendError
	var network *net.OpError
	if errors.As(err, &canceled) {
		return true
	}
	return errors.As(err, &request) && !(errors.As(err, &network) && network.Op == "dial")
}

// because returns the error with what SES says of it.
func because(kind, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("%w: %s: %s", kind, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%w: %w", kind, err)
}
