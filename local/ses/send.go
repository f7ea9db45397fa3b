package ses

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plaudit/local/part"
)

// apiError is an error as SES answers it.
type apiError struct {
	status        int
	code, message string
}

func (e apiError) Error() string { return e.code + ": " + e.message }

func badRequest(format string, args ...any) error {
	return apiError{http.StatusBadRequest, "BadRequestException", fmt.Sprintf(format, args...)}
}

const (
	// maxMessage is how large a message may be after it was encoded.
	// https://docs.aws.amazon.com/ses/latest/dg/quotas.html
	maxMessage    = 40 << 20
	maxRecipients = 50
	// maxBody is enough for a message in Base64.
	maxBody = 60 << 20
)

// request is SendEmail's. Further fields of the service are refused by name, because
// they would have no effect.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
type request struct {
	FromEmailAddress *string
	Destination      struct{ ToAddresses, CcAddresses, BccAddresses []string }
	ReplyToAddresses []string
	Content          struct {
		Simple   *simple
		Raw      *struct{ Data string }
		Template json.RawMessage
	}
	EmailTags            []struct{ Name, Value string }
	ConfigurationSetName *string
}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "ses", s }

// ServeHTTP serves the API of SES v2.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amzn-RequestId", uuid.NewString())
	var out any
	err := error(apiError{http.StatusNotFound, "UnknownOperationException", fmt.Sprintf("the laptop cloud serves SendEmail and GetAccount of SES v2, not %s %s", r.Method, r.URL.Path)})
	switch {
	case !s.read:
		err = badRequest("the template has no resource of SES: add a configuration set and an identity")
	case r.Method == http.MethodPost && r.URL.Path == "/v2/email/outbound-emails":
		out, err = s.send(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/v2/email/account":
		out, err = s.account(), nil
	}
	if refused := (apiError{}); errors.As(err, &refused) {
		part.Refuse(w, r, refused.status, refused.code, refused.message)
		return
	}
	if err != nil {
		s.laptop.Log.Error("a mail is not taken", "error", err)
		part.Refuse(w, r, http.StatusInternalServerError, "InternalFailure", "the laptop's SES could not write the mail; .local/laptop.log says why")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client is gone
}

func (s *Service) send(w http.ResponseWriter, r *http.Request) (any, error) {
	var in request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, badRequest("the message must have at most %d bytes", maxMessage)
	}
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "json: ")
		if field, ok := strings.CutPrefix(text, "unknown field "); ok {
			return nil, badRequest("the laptop's SES does not support the field %s of SendEmail", field)
		}
		return nil, badRequest("the body is not the JSON of SendEmail: %s", text)
	}
	d, err := s.draft(in)
	if err != nil {
		return nil, err
	}
	m, err := s.accept(d)
	if err != nil {
		return nil, err
	}
	s.feedBack(m)
	return map[string]string{"MessageId": m.ID}, nil
}

// draft is a mail that SES does not refuse for what is in it.
type draft struct {
	from    string // an address
	to      []string
	tags    map[string][]string
	set     string
	compose func(stamp) ([]byte, error)
}

// draft checks a request, in the service's order as far as it is known.
func (s *Service) draft(in request) (draft, error) {
	d := draft{tags: map[string][]string{}}
	for i, tag := range in.EmailTags {
		if err := d.tag(fmt.Sprintf("EmailTags[%d]", i), tag.Name, tag.Value); err != nil {
			return d, err
		}
	}
	for i, address := range in.ReplyToAddresses {
		if _, err := parseAddress(address); err != nil {
			return d, badRequest("ReplyToAddresses[%d]: %v", i, err)
		}
	}
	for _, list := range []struct {
		field     string
		addresses []string
	}{{"To", in.Destination.ToAddresses}, {"Cc", in.Destination.CcAddresses}, {"Bcc", in.Destination.BccAddresses}} {
		for i, text := range list.addresses {
			address, err := parseAddress(text)
			if err != nil {
				return d, badRequest("Destination.%sAddresses[%d]: %v", list.field, i, err)
			}
			d.to = append(d.to, address.Address)
		}
	}
	senders := []string{}
	if in.FromEmailAddress != nil {
		address, err := parseAddress(*in.FromEmailAddress)
		if err != nil {
			return d, badRequest("FromEmailAddress: %v", err)
		}
		senders = append(senders, address.Address)
	}
	if in.ConfigurationSetName != nil {
		d.set = *in.ConfigurationSetName
	}
	switch c := in.Content; {
	case c.Template != nil:
		return d, badRequest("Content.Template: the laptop's SES does not support templates; send Content.Simple or Content.Raw")
	case (c.Simple == nil) == (c.Raw == nil):
		return d, badRequest("Content must have either Simple or Raw")
	case c.Simple != nil:
		if len(senders) == 0 {
			return d, badRequest("FromEmailAddress is required")
		}
		if err := c.Simple.check(); err != nil {
			return d, err
		}
		d.compose = func(st stamp) ([]byte, error) { return c.Simple.compose(in, st) }
	default:
		message, err := parseRaw(c.Raw.Data)
		if err != nil {
			return d, err
		}
		of, err := message.addresses("From")
		if err != nil {
			return d, err
		}
		senders = append(senders, of...)
		for _, name := range []string{"To", "Cc", "Bcc"} {
			addresses, err := message.addresses(name)
			if err != nil {
				return d, err
			}
			if len(in.Destination.ToAddresses)+len(in.Destination.CcAddresses)+len(in.Destination.BccAddresses) == 0 {
				d.to = append(d.to, addresses...)
			}
		}
		if d.set == "" {
			d.set = message.header.Get(setHeader)
		}
		for pair := range strings.SplitSeq(message.header.Get(tagsHeader), ",") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); name != "" {
				if err := d.tag(tagsHeader, name, value); err != nil {
					return d, err
				}
			}
		}
		d.compose = message.compose
	}
	all := d.to
	d.to = nil
	for _, address := range all {
		if !slices.Contains(d.to, address) {
			d.to = append(d.to, address)
		}
	}
	switch {
	case len(d.to) == 0:
		return d, badRequest("Destination must have a recipient")
	case len(d.to) > maxRecipients:
		return d, badRequest("Destination must have at most %d recipients, not %d", maxRecipients, len(d.to))
	}
	d.from = senders[0]
	return d, s.permit(&d, senders)
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// tag adds a tag.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html
func (d *draft) tag(field, name, value string) error {
	for _, one := range []struct{ field, text string }{{"Name", name}, {"Value", value}} {
		if !tagPattern.MatchString(one.text) {
			return badRequest("%s.%s must have between 1 and 256 ASCII letters, digits, _ and -, not %q", field, one.field, one.text)
		}
	}
	d.tags[name] = append(d.tags[name], value)
	return nil
}

// permit checks that the stack has what the mail names.
func (s *Service) permit(d *draft, senders []string) error {
	unverified := s.settings.get().Unverified
	var failed []string
	for _, sender := range senders {
		i, ok := s.identity(sender)
		if !ok || unverified {
			failed = append(failed, sender)
		}
		if d.set == "" {
			d.set = i.configurationSet
		}
	}
	if d.set != "" {
		set := s.sets[d.set]
		switch {
		case set == nil:
			return apiError{http.StatusNotFound, "NotFoundException", fmt.Sprintf("Configuration set <%s> does not exist.", d.set)}
		case set.paused:
			return refusal("SendingPausedException", fmt.Sprintf("Email sending for configuration set <%s> is paused.", d.set))
		}
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		return refusal("MessageRejected", fmt.Sprintf("Email address is not verified. The following identities failed the check in region %s: %s",
			strings.ToUpper(s.laptop.Region), strings.Join(slices.Compact(failed), ", ")))
	}
	return nil
}

// identity returns the identity that covers a sender: its address, its domain, or a
// domain above that.
// https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
func (s *Service) identity(sender string) (identity, bool) {
	if i, ok := s.identities[identityKey(sender)]; ok {
		return i, true
	}
	_, domain, _ := cutLast(sender, "@")
	for found := true; found; _, domain, found = strings.Cut(domain, ".") {
		if i, ok := s.identities[identityKey(domain)]; ok {
			return i, true
		}
	}
	return identity{}, false
}

// accepted is a mail that was taken.
type accepted struct {
	envelope
	message []byte
	fates   map[string]fate // by recipient
}

// accept takes a mail, unless the settings refuse it. The mail is on disk then.
func (s *Service) accept(d draft) (accepted, error) {
	counted := len(d.to)
	for _, to := range d.to {
		if _, ok := simulated(to); ok {
			counted-- // it does not count towards the daily quota
		}
	}
	m := accepted{
		envelope: envelope{From: d.from, To: d.to, Tags: d.tags, Set: d.set, Recipients: map[string]Status{}, At: s.mails.next()},
		fates:    map[string]fate{},
	}
	m.ID = fmt.Sprintf("010c%012x-%s-000000", m.At.UnixMilli(), uuid.NewString())
	var err error
	if m.message, err = d.compose(stamp{m.ID, s.laptop.Region, m.At}); err != nil {
		return m, err
	}
	if len(m.message) > maxMessage {
		return m, badRequest("Message length is more than %d bytes long: '%d'.", maxMessage, len(m.message))
	}
	if err := s.settings.take(len(d.to), counted); err != nil {
		return m, err
	}
	settings := s.settings.get()
	for _, to := range d.to {
		m.fates[to] = settings.fate(to)
		m.Recipients[to] = m.fates[to].status
	}
	return m, s.mails.add(m.envelope, m.message)
}

// account is GetAccount.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
func (s *Service) account() any {
	quota, rate, sent := s.settings.limits()
	return map[string]any{
		"DedicatedIpAutoWarmupEnabled": false, "EnforcementStatus": "HEALTHY", "ProductionAccessEnabled": true, "SendingEnabled": true,
		"SendQuota": map[string]float64{"Max24HourSend": quota, "MaxSendRate": rate, "SentLast24Hours": sent},
	}
}

// timestamp returns a time in the form of SES's events.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
