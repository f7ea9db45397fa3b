package ses

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// EventKind is a type of event as MatchingEventTypes names it.
type EventKind string

// The types of events that the laptop cloud sends.
const (
	Bounce    EventKind = "bounce"
	Complaint EventKind = "complaint"
)

// otherEvents are the types that SES has beside them.
var otherEvents = []string{"send", "reject", "delivery", "open", "click", "renderingFailure", "deliveryDelay", "subscription"}

// Source is the source of SES's events.
const Source = "aws.ses"

// Event is an event of SES for the default bus.
// https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html
type Event struct {
	DetailType string // Email Bounced, Email Complaint Received
	Resources  []string
	Time       time.Time
	Detail     json.RawMessage
}

// fate is what becomes of a mail for a recipient, and the event that reports it.
type fate struct {
	status Status
	kind   EventKind // "": none
	// Of a bounce.
	bounceType, subType, diagnostic string
}

const simulator = "@simulator.amazonses.com"

// simulated returns what becomes of mail to an address of SES's mailbox simulator, which
// may have a label: bounce+label@simulator.amazonses.com. ok is false for other addresses.
// https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html#send-email-simulator
func simulated(to string) (f fate, ok bool) {
	local, ok := strings.CutSuffix(strings.ToLower(to), simulator)
	if !ok {
		return f, false
	}
	local, _, _ = strings.Cut(local, "+")
	f, ok = map[string]fate{
		"success":   {status: Delivered},
		"bounce":    hardBounce,
		"complaint": {status: Complained, kind: Complaint},
		// The answer of somebody who is out of office comes back as a bounce that may pass.
		"ooto":            {status: Delivered, kind: Bounce, bounceType: "Transient", subType: "General"},
		"suppressionlist": {Suppressed, Bounce, "Permanent", "Suppressed", "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid address."},
	}[local]
	if !ok {
		f = hardBounce
	}
	return f, true
}

var hardBounce = fate{Bounced, Bounce, "Permanent", "General", "smtp; 550 5.1.1 user unknown"}

// fate returns what becomes of mail to an address.
func (s Settings) fate(to string) fate {
	if f, ok := simulated(to); ok {
		return f
	}
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, to) })
	}
	switch {
	case in(s.Suppress):
		return fate{Suppressed, Bounce, "Permanent", "OnAccountSuppressionList", "Amazon SES did not send the message to this address because it is on the suppression list for your account."}
	case in(s.Bounce):
		return hardBounce
	case in(s.Complain):
		return fate{status: Complained, kind: Complaint}
	}
	return fate{status: Delivered}
}

// feedBack sends the events of a mail to the default bus, after the answer: what SES
// hears of a mail comes later, too.
func (s *Service) feedBack(m accepted) {
	events := s.events(m, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(events) == 0 || s.closed {
		return
	}
	s.work.Go(func() {
		for _, event := range events {
			if err := s.bus.PutAWS(s.ctx, event); err != nil && s.ctx.Err() == nil {
				s.laptop.Log.Error("an event of SES does not reach the default bus", "event", event.DetailType, "message", m.ID, "error", err)
			}
		}
	})
}

// events returns the events of a mail, in SES's form: one for all recipients to which
// the same happened.
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
func (s *Service) events(m accepted, now time.Time) (out []Event) {
	set := s.sets[m.Set]
	if set == nil {
		return nil
	}
	byFate := map[fate][]string{}
	var order []fate
	for _, to := range m.To {
		f := m.fates[to]
		if !set.events[f.kind] {
			continue
		}
		if byFate[f] == nil {
			order = append(order, f)
		}
		byFate[f] = append(byFate[f], to)
	}
	for _, f := range order {
		detail := map[string]any{"mail": s.mailObject(m)}
		feedback := "010c" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] + "-" + uuid.NewString() + "-000000"
		event := Event{Resources: []string{s.laptop.ARN("ses", "configuration-set/"+m.Set)}, Time: now}
		var recipients []map[string]string
		for _, to := range byFate[f] {
			one := map[string]string{"emailAddress": to}
			if f.diagnostic != "" {
				one["action"], one["status"], one["diagnosticCode"] = "failed", "5.1.1", f.diagnostic
			}
			recipients = append(recipients, one)
		}
		switch f.kind {
		case Bounce:
			event.DetailType, detail["eventType"] = "Email Bounced", "Bounce"
			detail["bounce"] = map[string]any{
				"bounceType": f.bounceType, "bounceSubType": f.subType, "bouncedRecipients": recipients,
				"timestamp": timestamp(now), "feedbackId": feedback, "reportingMTA": "dns; amazonses.com",
			}
		case Complaint:
			event.DetailType, detail["eventType"] = "Email Complaint Received", "Complaint"
			detail["complaint"] = map[string]any{
				"complainedRecipients": recipients, "timestamp": timestamp(now), "feedbackId": feedback, "complaintSubType": nil,
				"userAgent": "Amazon SES Mailbox Simulator", "complaintFeedbackType": "abuse", "arrivalDate": timestamp(now),
			}
		}
		var err error
		if event.Detail, err = json.Marshal(detail); err != nil {
			panic(err) // texts, lists and maps only
		}
		out = append(out, event)
	}
	return out
}

// maxHeaderBytes is how much of a message's headers an event has.
const maxHeaderBytes = 10 << 10

// mailObject describes a mail in an event.
func (s *Service) mailObject(m accepted) map[string]any {
	mail := decode(m.message)
	headers := []map[string]string{}
	common := map[string]any{"messageId": m.ID, "subject": mail.Subject}
	size, truncated := 0, false
	for _, h := range mail.Headers {
		switch strings.ToLower(h.Name) {
		case "from":
			common["from"] = []string{h.Value}
		case "to":
			common["to"] = strings.Split(h.Value, ", ")
		case "date":
			common["date"] = h.Value
		}
		if size += len(h.Name) + len(h.Value); size > maxHeaderBytes {
			truncated = true
			continue
		}
		headers = append(headers, map[string]string{"name": h.Name, "value": h.Value})
	}
	source := m.From
	i, _ := s.identity(m.From)
	_, domain, _ := cutLast(m.From, "@")
	tags := map[string][]string{
		"ses:operation": {"SendEmail"}, "ses:configuration-set": {m.Set}, "ses:source-ip": {"127.0.0.1"},
		"ses:from-domain": {domain}, "ses:caller-identity": {"laptop"},
	}
	for name, values := range m.Tags {
		tags[name] = values
	}
	if mail.From != "" {
		source = mail.From
	}
	return map[string]any{
		"timestamp": timestamp(m.At), "source": source, "sourceArn": s.laptop.ARN("ses", "identity/"+i.name), "sendingAccountId": s.laptop.AccountID,
		"messageId": m.ID, "destination": m.To, "headersTruncated": truncated, "headers": headers, "commonHeaders": common, "tags": tags,
	}
}
