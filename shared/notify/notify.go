// Package notify decides who is told by mail about an event, what the mail says, and
// that it is sent once, as far as mail allows. It knows nothing of HTTP, SQL or AWS.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"

	"plaudit/shared/claim"
	"plaudit/shared/event"
	"plaudit/shared/id"
	"plaudit/shared/letter"
)

// Message is a message of the queue `mail`.
type Message struct {
	ID       string // the queue's; another one for each copy
	Body     string
	Received int // how often it was received, this time included
	Redriven bool
	Waited   bool
}

// Queues takes copies of messages.
type Queues interface {
	// Fail sends a copy to the dead-letter queue, with the reason. Redriven is not
	// copied: it is set when somebody sends the message again.
	Fail(ctx context.Context, m Message, reason string) error
	// Wait sends a copy to the message's own queue, from which it comes after a while,
	// as one that has Waited.
	Wait(ctx context.Context, m Message) error
	// Postpone sends a copy to the message's own queue, from which it comes soon.
	Postpone(ctx context.Context, m Message) error
}

// Meter counts what happens.
type Meter interface {
	Count(ctx context.Context, name string, n int)
	// Tally counts what is no metric of its own.
	Tally(ctx context.Context, name, of string)
}

// Service handles the messages of the queue `mail`.
type Service struct {
	Accounts Accounts
	Scores   Scores
	Claims   claim.Store
	Mailer   Mailer
	Queues   Queues
	Meter    Meter
	Now      func() time.Time
	// PerHour is how many mails about events of other systems and about closed periods
	// somebody gets in an hour.
	PerHour int
	// RatePause is the time before a mail is sent again that SES refused because of its
	// rate.
	RatePause time.Duration

	mu    sync.Mutex
	known map[string]known
}

const (
	// maxAge is the age from which an event is held: its mail would be no news.
	maxAge = 24 * time.Hour
	// maxReceives is how often a message is tried. The queue moves it to its dead-letter
	// queue after as many, but without a reason.
	maxReceives = 5
	// maxReason is how long a reason is at most, in bytes.
	maxReason = 1000
	// linkLife is how long links to verify an address or to reset a password are valid.
	linkLife = time.Hour
)

// heldError is the error of a mail that must not be tried again by itself.
type heldError struct {
	reason string
	// mark marks the claim as held, once the message is in the dead-letter queue. Nil if
	// there is no claim.
	mark func(context.Context) error
}

func (e *heldError) Error() string { return e.reason }

func held(format string, args ...any) error {
	return &heldError{reason: fmt.Sprintf(format, args...)}
}

// Handle handles a message. An error means that the message must come again. It contains
// no address, so that it can be logged.
func (s *Service) Handle(ctx context.Context, m Message) error {
	if err := s.settle(ctx, m); err != nil {
		return errors.New(clean(err.Error()))
	}
	return nil
}

// settle handles a message and sends copies of what must wait or be held.
func (s *Service) settle(ctx context.Context, m Message) error {
	holds, err := s.handle(ctx, m)
	// Whatever ended ctx, the message must not be lost or come again without a reason.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	switch {
	case errors.Is(err, ErrQuota), errors.Is(err, ErrRate) && m.Received >= maxReceives:
		// There is nothing that a person could do about it, but time helps.
		if err := s.Queues.Wait(ctx, m); err != nil {
			return fmt.Errorf("let a message wait for SES: %w", err)
		}
		s.Meter.Count(ctx, "Waited", 1)
		return nil
	case errors.Is(err, errLate):
		// It has not failed, and a failure would count: many mails at a slow rate would
		// end in the dead-letter queue.
		if err := s.Queues.Postpone(ctx, m); err != nil {
			return fmt.Errorf("postpone a message: %w", err)
		}
		s.Meter.Count(ctx, "Postponed", 1)
		return nil
	case err != nil && m.Received < maxReceives:
		return err // what is held is found again with it
	case err == nil && len(holds) == 0:
		return nil
	}
	var reasons []string
	if err != nil {
		reasons = append(reasons, fmt.Sprintf("it failed %d times: %v", m.Received, err))
	}
	for _, h := range holds {
		reasons = append(reasons, h.reason)
	}
	reason := clean(strings.Join(reasons, "; "))
	if err := s.Queues.Fail(ctx, m, reason); err != nil {
		return fmt.Errorf("send a message to the dead-letter queue: %w", err)
	}
	s.Meter.Count(ctx, "Held", 1)
	slog.ErrorContext(ctx, "a message is in the dead-letter queue", "message_id", m.ID, "reason", reason)
	// A crash before this leaves a claim that is found undecided once more: the second
	// copy in the dead-letter queue finds its mail sent.
	for _, h := range holds {
		if h.mark != nil {
			if err := h.mark(ctx); err != nil {
				return fmt.Errorf("mark a claim as held: %w", err)
			}
		}
	}
	return nil
}

// handle returns what must be held, and the first error that another attempt can mend.
func (s *Service) handle(ctx context.Context, m Message) (holds []*heldError, err error) {
	in, err := parse(m.Body)
	if err != nil {
		return []*heldError{{reason: err.Error()}}, nil
	}
	if in.Rule == ruleFeedback {
		return nil, s.feedback(ctx, in)
	}
	e := in.event
	k, known := kinds[in.Rule][e.Type]
	if in.Rule == ruleTold && !event.Ours(e.Source) {
		k, known = foreign, true
	}
	replay := strings.HasPrefix(in.Event.Replay, mailReplay)
	switch {
	case in.Event.Replay != "" && !replay:
		s.Meter.Count(ctx, "IgnoredReplays", 1)
		return nil, nil
	case !known:
		s.Meter.Count(ctx, "UnknownTypes", 1)
		return nil, nil
	case in.Rule != ruleTold && e.Source != event.Users:
		return []*heldError{{reason: "its source must be " + event.Users + " under the rule " + in.Rule}}, nil
	case !m.Redriven && !m.Waited && !replay && s.Now().Sub(e.RecordedTime) > maxAge:
		return []*heldError{{reason: "the event is older than 24 hours"}}, nil
	}
	recipients, err := in.recipients()
	if err != nil {
		return []*heldError{{reason: err.Error()}}, nil
	}
	for _, user := range recipients {
		h, again := s.tell(ctx, m, in.Rule, e, k, user)
		if h != nil {
			holds = append(holds, h)
		}
		if again != nil && err == nil || errors.Is(again, ErrQuota) || errors.Is(again, errLate) {
			err = again
		}
		if errors.Is(err, ErrQuota) || errors.Is(err, errLate) || ctx.Err() != nil {
			break // it would be the same for the others
		}
	}
	return holds, err
}

// tell tells one user, and separates what must be held from what must come again. What
// breaks the program would break it whenever it came again.
func (s *Service) tell(ctx context.Context, m Message, rule string, e Event, k kind, user string) (h *heldError, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a mail breaks the program", "user", user, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			h, err = &heldError{reason: fmt.Sprintf("the mail to user %s breaks the program: %v", user, p)}, nil
		}
	}()
	err = s.mail(ctx, m, rule, e, k, user)
	if errors.As(err, &h) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tell user %s: %w", user, err)
	}
	return nil, nil
}

// mail sends one user the mail about the event, unless it is sent or not wanted.
func (s *Service) mail(ctx context.Context, m Message, rule string, e Event, k kind, user string) error {
	key := claim.Key{Rule: rule, Of: e.LogID, User: user}
	if e.batch() != "" {
		key.Of = "batch:" + e.batch()
	}
	// Most messages of a batch end here: its first one has told the user of all.
	before, err := s.Claims.Get(ctx, key)
	if err != nil {
		return err
	}
	may, err := s.mayTake(key, before, m, k)
	if err != nil || !may {
		return err
	}
	to, ok, err := s.Accounts.User(ctx, user)
	if err != nil {
		return err
	}
	if !ok {
		return s.drop(ctx, user, "erased")
	}
	if k.kind != letter.Verify && k.kind != letter.Reset {
		switch {
		case !to.EmailVerified:
			return s.drop(ctx, user, "unverified")
		case to.MailState != "":
			return s.drop(ctx, user, "mail-state")
		case !to.wants(k.preference):
			return s.drop(ctx, user, "preference")
		}
	}
	if k.limited {
		allowed, err := s.Claims.Allow(ctx, user, s.Now(), key, s.PerHour)
		if err != nil {
			return err
		}
		if !allowed {
			next := newClaim(claim.Dropped, m)
			if _, _, err := s.Claims.Put(ctx, key, before, next); err != nil {
				return err
			}
			return s.drop(ctx, user, "limit")
		}
	}
	l, address, reason, err := s.compose(ctx, e, k, to)
	if err != nil {
		return err
	}
	if reason == "" && address == to.Email && to.MailState != "" {
		reason = "mail-state" // of links: an address that an account asks for is another one
	}
	if reason != "" {
		return s.drop(ctx, user, reason)
	}
	mail, err := l.Render()
	if err != nil {
		return held("the mail to user %s cannot be written: %v", user, err)
	}
	out := Mail{To: address, Subject: mail.Subject, Text: mail.Text, HTML: mail.HTML, Unsubscribe: l.Unsubscribe, Type: string(k.kind)}
	if address == to.Email {
		out.User, out.Address = user, id.Address(user, address)
	}
	return s.send(ctx, key, before, m, k, out)
}

// drop counts a mail that is not sent.
func (s *Service) drop(ctx context.Context, user, reason string) error {
	slog.InfoContext(ctx, "a mail is not sent", "user", user, "reason", reason)
	s.Meter.Count(ctx, "Dropped", 1)
	s.Meter.Tally(ctx, "dropped", reason)
	return nil
}

// feedback reports to the users service what SES reports of an address.
func (s *Service) feedback(ctx context.Context, in message) error {
	state := ""
	switch {
	case in.Type == "Bounce" && in.Bounce == "Permanent":
		state = "bounced"
		s.Meter.Count(ctx, "FeedbackBounced", 1)
	case in.Type == "Complaint":
		state = "complained"
		s.Meter.Count(ctx, "FeedbackComplained", 1)
	default:
		s.Meter.Count(ctx, "FeedbackOther", 1)
	}
	if state == "" || in.User == "" {
		return nil // the address is fine, or the mail is not ours
	}
	known, err := s.Accounts.SetMailState(ctx, in.User, in.Address, state)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "feedback to a mail", "user", in.User, "state", state, "mail", in.Message, "known", known)
	return nil
}

// address is what looks like an e-mail address. SES's refusals name some.
var address = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)

// clean returns a text for a log and for an attribute of a message, without addresses and
// control characters.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\ufffe' || r == '\uffff' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = address.ReplaceAllString(text, "(address)")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	return text
}
