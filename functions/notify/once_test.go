package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/shared/claim"
	"plaudit/shared/event"
	"plaudit/shared/mail/mailtest"
	"plaudit/shared/notify"
)

// security is an event of the reader's account.
func security(kind string, data object) object {
	return object{"source": event.Users, "type": "plaudit." + kind, "subject": "user/" + reader, "data": data}
}

func TestAnEventIsToldOnce(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.handle(m)
	sent := k.mails(1)[0]
	if sent.To != reader+"@example.com" || sent.Tags["user"] != reader || sent.Tags["type"] != "adjusted" {
		t.Errorf("sent %+v", sent)
	}
	k.counted("Sent 1")
	k.handle(m)
	copied := m
	copied.ID = "copy"
	k.handle(copied)
	k.mails(0)
	k.counted()
}

// Many environments have the same event at once.
func TestOneOfManySends(t *testing.T) {
	k := start(t)
	body := k.body("told", k.adjusted(nil))
	var wait sync.WaitGroup
	for i := range 8 {
		service := k.another()
		m := notify.Message{ID: string(rune('a' + i)), Body: body, Received: 1}
		wait.Go(func() {
			if err := service.Handle(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	k.mails(1)
	k.counted("Sent 1")
}

// claimKey is the claim of the reader's mail about a message's event.
func claimKey(rule, body string) claim.Key {
	var in struct {
		Event struct{ Detail struct{ Source, ID string } }
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		panic(err) // the kit wrote it
	}
	return claim.Key{Rule: rule, Of: event.LogID(in.Event.Detail.Source, in.Event.Detail.ID), User: reader}
}

// died leaves what an attempt leaves that died between its claim and the record.
func (k *kit) died(rule string, m notify.Message) {
	k.t.Helper()
	dead := claim.Claim{State: claim.Sending, Token: "dead", Message: m.ID, Until: k.now.Add(notify.Lease)}
	if _, ok, err := k.claims.Put(k.t.Context(), claimKey(rule, m.Body), nil, dead); !ok || err != nil {
		k.t.Fatal(ok, err)
	}
}

func (k *kit) state(rule string, m notify.Message) claim.State {
	k.t.Helper()
	c, err := k.claims.Get(k.t.Context(), claimKey(rule, m.Body))
	if err != nil {
		k.t.Fatal(err)
	}
	if c == nil {
		return ""
	}
	return c.State
}

func TestAnUndecidedMailIsHeld(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.died("told", m)

	// While the lease lasts, the attempt may be alive.
	if err := k.again(m); !strings.Contains(err.Error(), "another attempt") {
		t.Error(err)
	}
	other := m
	other.ID = "copy"
	k.handle(other) // m comes again in any case
	k.now = k.now.Add(notify.Lease)
	m.Received = 2
	k.handle(m)
	k.mails(0)
	k.counted("Held 1")
	held, reasons := k.held(1)
	if k.state("told", m) != claim.Held || !strings.Contains(reasons[0], "it is unknown") {
		t.Errorf("%s, %q", k.state("told", m), reasons)
	}
	k.handle(m) // it is held already
	k.handle(other)
	k.held(0)
	k.mails(0)
	k.counted()

	k.handle(held[0]) // a person decided
	k.mails(1)
	k.counted("Sent 1", "SentAgain 1")
	if state := k.state("told", m); state != claim.Sent {
		t.Errorf("the claim is %s", state)
	}
	k.handle(held[0])
	k.mails(0)
}

func TestUndecidedSecurityAndLinksAreSentAgain(t *testing.T) {
	for rule, detail := range map[string]object{
		"security": security("session.reused", object{"session": "x"}),
		"links":    security("user.reset-requested", object{}),
	} {
		t.Run(rule, func(t *testing.T) {
			k := start(t)
			k.api.Due(reader, "reset")
			m := k.message(k.body(rule, detail))
			k.died(rule, m)
			k.again(m)
			k.mails(0)
			k.now = k.now.Add(notify.Lease)
			k.handle(m)
			k.mails(1)
			k.counted("Sent 1", "SentAgain 1")
			k.held(0)
			k.handle(m)
			k.mails(0)
		})
	}
}

// SES took the mail, or not: its answer is lost.
func TestALostAnswerIsUndecided(t *testing.T) {
	for _, answer := range []mailtest.Answer{{Lost: true}, mailtest.Internal} {
		k := start(t)
		k.ses.Next(answer)
		m := k.message(k.body("told", k.adjusted(nil)))
		k.handle(m)
		k.ses.Mails()
		held, _ := k.held(1)
		if k.state("told", m) != claim.Held {
			t.Errorf("the claim is %s", k.state("told", m))
		}
		k.counted("Held 1")
		k.handle(m)
		k.mails(0)
		k.handle(held[0])
		k.mails(1)
		k.counted("Sent 1", "SentAgain 1")

		k.ses.Next(answer)
		m = k.message(k.body("security", security("session.reused", object{})))
		k.again(m)
		k.ses.Mails()
		k.handle(m) // its lease is over
		k.mails(1)
		k.counted("Sent 1", "SentAgain 1")
		k.held(0)
	}
}

func TestTheRateIsTriedAgain(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.ses.Next(mailtest.Rate, mailtest.Rate)
	k.handle(m)
	k.mails(1)
	k.counted("Sent 1")

	m = k.message(k.body("told", k.adjusted(nil)))
	k.ses.Next(mailtest.Rate, mailtest.Rate, mailtest.Rate)
	k.again(m)
	k.mails(0)
	if k.state("told", m) != claim.Free {
		t.Error("a mail that surely was not sent is claimed")
	}
	k.handle(m)
	k.mails(1)
	k.counted("Sent 1")
}

// A rate that is too low for a while is nothing that a person could mend.
func TestARateThatStaysTooLowWaits(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	m.Received = 5
	k.ses.Next(mailtest.Rate, mailtest.Rate, mailtest.Rate)
	k.handle(m)
	k.mails(0)
	k.held(0)
	k.counted("Waited 1")
	k.handle(m)
	k.mails(1)
}

func TestTheDailyQuotaWaits(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	m.Received = 5 // which is no reason to give up
	k.ses.Next(mailtest.Quota)
	k.handle(m)
	k.mails(0)
	k.held(0)
	k.counted("Waited 1")
	if k.state("told", m) != claim.Free {
		t.Error("a mail that surely was not sent is claimed")
	}
	out, err := k.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &k.queue, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil || out.Attributes["ApproximateNumberOfMessagesDelayed"] != "1" || out.Attributes["ApproximateNumberOfMessages"] != "0" {
		t.Errorf("the queue has %v; %v", out.Attributes, err)
	}

	// A day later it is no older than it was.
	k.now = k.now.Add(25 * time.Hour)
	m.Received, m.Waited = 1, true
	k.handle(m)
	k.mails(1)
	k.held(0)
}

func TestARefusedMailIsHeldAndTheNextIsSent(t *testing.T) {
	k := start(t)
	m, next := k.message(k.body("told", k.adjusted(nil))), k.message(k.body("told", k.adjusted(nil)))
	k.ses.Next(mailtest.Unverified)
	k.handle(m)
	k.handle(next)
	k.mails(1)
	held, reasons := k.held(1)
	if !strings.Contains(reasons[0], "MessageRejected") || !strings.Contains(reasons[0], "not verified") {
		t.Errorf("the reason is %q", reasons[0])
	}
	k.counted("Held 1", "Sent 1")
	k.handle(held[0])
	k.mails(1)
	k.counted("Sent 1") // for the first time
}

// SES names the identity that a role may not use.
func TestAnErrorOfSESContainsNoAddress(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.ses.Next(mailtest.Answer{Status: 403, Code: "AccessDeniedException", Message: "not authorized on arn:aws:ses:ap-northeast-2:000000000000:identity/kim@example.com"})
	if err := k.again(m); !strings.Contains(err.Error(), "AccessDenied") {
		t.Error(err)
	}
	k.handle(m)
	k.mails(1)
	k.counted("Sent 1")
}

// What a person sends again and SES refuses for now is still theirs to decide.
func TestARedrivenMailStaysHeldUntilItIsSent(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.died("told", m)
	k.now = k.now.Add(notify.Lease)
	k.handle(m)
	held, _ := k.held(1)
	k.ses.Next(mailtest.Rate, mailtest.Rate, mailtest.Rate)
	k.again(held[0])
	if state := k.state("told", m); state != claim.Held {
		t.Errorf("the claim is %s", state)
	}
	k.handle(held[0])
	k.mails(1)
	k.counted("Held 1", "Sent 1", "SentAgain 1")
}

func TestAMessageThatKeepsFailingIsHeld(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	for m.Received = 1; m.Received < 5; m.Received++ {
		k.api.Fail(503, 503, 503)
		k.again(m)
		k.held(0)
	}
	k.api.Fail(503, 503, 503)
	k.handle(m)
	held, reasons := k.held(1)
	if !strings.Contains(reasons[0], "503") || !strings.Contains(reasons[0], "5 times") {
		t.Errorf("the reason is %q", reasons[0])
	}
	k.handle(held[0])
	k.mails(1)
}

// One recipient's failure does not tell the others twice.
func TestRecipientsAreApart(t *testing.T) {
	k := start(t)
	broken := person(13)
	k.api.User(broken, object{"email": ""}) // for which the API has no full profile
	detail := k.adjusted(nil)
	detail["notify"] = broken + "," + reader + "," + staff
	m := k.message(k.body("told", detail))
	k.again(m)
	k.mails(2)
	k.api.User(broken, object{"email": "b@example.com"})
	k.handle(m)
	if sent := k.mails(1); sent[0].To != "b@example.com" {
		t.Errorf("sent to %s", sent[0].To)
	}
	k.counted("Sent 3")
}

// What the deadline would interrupt is not begun.
func TestNothingIsBegunThatCannotEnd(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m.Received = 5 // which is no reason to give up
	if err := k.service.Handle(ctx, m); err != nil {
		t.Fatal(err)
	}
	k.mails(0)
	k.held(0)
	k.counted("Postponed 1")
	out, err := k.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &k.queue, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil || out.Attributes["ApproximateNumberOfMessagesDelayed"] != "1" {
		t.Errorf("%v, %v", out.Attributes, err)
	}
	if k.state("told", m) != "" {
		t.Error("a mail that was not begun is claimed")
	}
	k.handle(m)
	k.mails(1)
}
