package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"plaudit/shared/claim"
	"plaudit/shared/crash"
)

const (
	// Lease is how long a claim is valid. It is longer than sendTime, so that the attempt
	// that holds one has sent or given up before another may take it.
	Lease = 30 * time.Second
	// sendTime bounds the sending of one mail, attempts after refusals of the rate
	// included, and recordTime the record of what became of it.
	sendTime, recordTime = 10 * time.Second, 3 * time.Second
	// rateAttempts is how often a mail is sent that SES refuses because of its rate.
	rateAttempts = 3
)

func newClaim(state claim.State, m Message) claim.Claim {
	return claim.Claim{State: state, Token: rand.Text(), Message: m.ID}
}

// mayTake reports whether the message may claim the mail whose claim is there, nil if
// there is none.
func (s *Service) mayTake(key claim.Key, there *claim.Claim, m Message, k kind) (bool, error) {
	now := s.Now()
	switch {
	case there == nil || there.State == claim.Free:
		return true, nil
	case there.State == claim.Sent || there.State == claim.Dropped:
		return false, nil
	case there.Undecided(now) && (m.Redriven || k.again):
		return true, nil
	case there.State == claim.Held:
		return false, nil
	case there.Undecided(now):
		return false, &heldError{
			reason: fmt.Sprintf("it is unknown if the mail to user %s was sent: the attempt ended between sending and recording", key.User),
			mark:   func(ctx context.Context) error { return s.hold(ctx, key, there, m) },
		}
	case there.Message != m.ID:
		// The other message of this batch comes again if its attempt fails.
		return false, nil
	}
	return false, fmt.Errorf("another attempt is sending this mail until %s", there.Until.UTC().Format(time.RFC3339))
}

// hold marks a claim as held. If it has changed meanwhile, somebody else has decided.
func (s *Service) hold(ctx context.Context, key claim.Key, there *claim.Claim, m Message) error {
	_, _, err := s.Claims.Put(ctx, key, there, newClaim(claim.Held, m))
	return err
}

// Mail is a mail to one user.
type Mail struct {
	To, Subject, Text, HTML string
	Unsubscribe             string // the URL of RFC 8058; "" for mail that cannot be switched off
	// User and Type are tags, with which feedback comes back. User is "" if the address is
	// not the account's own, such as its former one: what happens there is not about it.
	User, Type string
	// Address is a tag, too: id.Address of To, empty if User is. The account may have another
	// address when feedback comes.
	Address string
}

// Mailer sends mails.
type Mailer interface {
	// Turn waits until the next mail may be sent.
	Turn(ctx context.Context) error
	// Send sends the mail and returns its id. An error that is not ErrRate, ErrQuota,
	// ErrRefused or ErrNotSent means that it is unknown if the mail was sent.
	Send(ctx context.Context, m Mail) (id string, err error)
}

// The errors of mails that surely were not sent.
var (
	ErrRate    = errors.New("mails are sent faster than the account may send")
	ErrQuota   = errors.New("the account's daily quota is used up")
	ErrRefused = errors.New("the mail is refused, and would be again")
	ErrNotSent = errors.New("the mail was not sent")
)

// errLate is the error of a mail that is not begun because the invoke ends soon.
var errLate = errors.New("there is too little time left to send a mail")

// send claims the mail, sends it and records it.
func (s *Service) send(ctx context.Context, key claim.Key, before *claim.Claim, m Message, k kind, mail Mail) error {
	if err := s.Mailer.Turn(ctx); err != nil {
		return fmt.Errorf("%w: wait for the turn to send: %w", errLate, err)
	}
	// What the invoke's deadline interrupts would be undecided.
	if end, ok := ctx.Deadline(); ok && time.Until(end) < sendTime+recordTime {
		return errLate
	}
	mine := newClaim(claim.Sending, m)
	mine.Until = s.Now().Add(Lease)
	there, ok, err := s.Claims.Put(ctx, key, before, mine)
	if err != nil {
		return err
	}
	if !ok {
		// Somebody else was faster. If their claim can be taken already, the message
		// comes again for it.
		if may, err := s.mayTake(key, there, m, k); err != nil || !may {
			return err
		}
		return errors.New("the claim of this mail changed meanwhile")
	}
	crash.At(crash.BeforeSend)
	id, err := s.attempt(ctx, mail)
	if err == nil {
		crash.At(crash.AfterSend)
	}

	// Whatever ends ctx, the record must be written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	again := before != nil && before.Undecided(s.Now())
	switch {
	case err == nil:
		s.Meter.Count(ctx, "Sent", 1)
		if again {
			s.Meter.Count(ctx, "SentAgain", 1)
		}
		slog.InfoContext(ctx, "a mail is sent", "user", key.User, "type", mail.Type, "mail", id, "again", again)
		if err := s.record(ctx, key, mine, newClaim(claim.Sent, m)); err != nil {
			return fmt.Errorf("record that a mail was sent: %w", err)
		}
		return nil
	case errors.Is(err, ErrRate), errors.Is(err, ErrQuota), errors.Is(err, ErrNotSent), errors.Is(err, ErrRefused):
		if err := s.release(ctx, key, before, mine); err != nil {
			slog.WarnContext(ctx, "the claim of a mail that was not sent stays until its lease ends", "user", key.User, "error", err)
		}
		if errors.Is(err, ErrRefused) {
			return held("the mail to user %s cannot be sent: %v", key.User, err)
		}
		return err
	case k.again:
		// Its next attempt need not wait for the end of the lease.
		over := newClaim(claim.Sending, m)
		over.Until = s.Now()
		return errors.Join(fmt.Errorf("it is unknown if the mail was sent: %w", err), s.record(ctx, key, mine, over))
	}
	return &heldError{
		reason: fmt.Sprintf("it is unknown if the mail to user %s was sent: %v", key.User, err),
		mark:   func(ctx context.Context) error { return s.hold(ctx, key, &mine, m) },
	}
}

// attempt sends the mail, again if it comes too fast.
func (s *Service) attempt(ctx context.Context, mail Mail) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	for i := 1; ; i++ {
		id, err = s.Mailer.Send(ctx, mail)
		if !errors.Is(err, ErrRate) || i == rateAttempts {
			return id, err
		}
		select {
		case <-time.After(time.Duration(i) * s.RatePause):
		case <-ctx.Done():
			return "", err
		}
	}
}

// record replaces the claim of this attempt. If somebody else has it now, what they
// found was undecided, and theirs stays.
func (s *Service) record(ctx context.Context, key claim.Key, mine, next claim.Claim) error {
	_, _, err := s.Claims.Put(ctx, key, &mine, next)
	return err
}

// release brings back what was there before an attempt that surely sent nothing.
func (s *Service) release(ctx context.Context, key claim.Key, before *claim.Claim, mine claim.Claim) error {
	if before == nil {
		before = &claim.Claim{State: claim.Free, Token: rand.Text()}
	}
	return s.record(ctx, key, mine, *before)
}
