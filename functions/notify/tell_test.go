package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/event"
	"plaudit/shared/notify"
	"plaudit/shared/queue"
)

// shows checks that a text has each of the parts.
func shows(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in:\n%s", part, text)
		}
	}
}

func TestAnAdjustmentIsTold(t *testing.T) {
	k := start(t)
	k.now = time.Date(2026, 11, 28, 6, 10, 0, 0, time.UTC)
	k.handle(k.message(k.body("told", k.adjusted(nil))))
	m := k.mails(1)[0]
	shows(t, m.Text, "Seoul Cup", "Ada", "−5 points", "42 → 37", "cut the course", "Minji", "15:10", "KST")
	shows(t, m.HTML, "cut the course")
	if want := "<" + k.api.URL + "/v1/unsubscribe/for-" + reader + "-plaudit.entry.adjusted>"; m.Headers["List-Unsubscribe"] != want || m.Headers["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click" {
		t.Errorf("the headers are %v, want %s", m.Headers, want)
	}
}

func TestAReversalIsToldWithWhatItCancels(t *testing.T) {
	k := start(t)
	k.api.User(reader, object{"locale": "ko"})
	original := object{
		"id": person(900), "board": "cup", "player": "bib-7", "points": 42, "reason": "full", "note": nil, "kind": "result", "seq": 1,
		"occurred_at": "2026-11-22T01:31:00Z", "standings": []any{object{"period": "all", "start": nil, "score": 42}},
	}
	k.api.Entry(original)
	k.handle(k.message(k.body("told", k.adjusted(object{
		"kind": "reversal", "points": -42, "reverses": original["id"], "note": "wrong bib", "standings": []any{object{"period": "all", "start": nil, "score": nil}},
	}))))
	m := k.mails(1)[0]
	shows(t, m.Text, "Seoul Cup", "wrong bib", "Minji", "2026년 11월 22일", "42")
}

// On a board whose scores are not sums, the score before is that after the player's
// entry before.
func TestTheScoreBeforeIsFound(t *testing.T) {
	week := func(day int) string { return fmt.Sprintf("2026-11-%02dT00:00:00Z", day) }
	standings := func(all, week23 any) []any {
		return []any{object{"period": "all", "start": nil, "score": all}, object{"period": "week", "start": week(23), "score": week23}}
	}
	entry := func(seq int, credits []any) object {
		return object{
			"id": person(2000 + seq), "board": "cup", "player": "bib-7", "points": 1, "kind": "result", "seq": seq,
			"occurred_at": fmt.Sprintf("2026-11-23T00:%02d:%02dZ", seq/60, seq%60), "standings": credits,
		}
	}
	for name, c := range map[string]struct {
		seq     int
		entries []object
		want    string
	}{
		"the entry before":  {3, []object{entry(1, standings(10, 10)), entry(2, standings(50, 20))}, "50 → 45"},
		"none before":       {1, nil, "no score → 45"},
		"another week only": {3, []object{entry(1, standings(50, 20)), entry(2, []any{object{"period": "week", "start": week(16), "score": 7}})}, "50 → 45"},
		"an entry missing":  {3, []object{entry(1, standings(50, 20))}, ": 45"},
	} {
		t.Run(name, func(t *testing.T) {
			k := start(t)
			k.api.Board("cup", object{"combine": "best", "periods": []any{"week", "all"}})
			for _, e := range c.entries {
				k.api.Entry(e)
			}
			k.handle(k.message(k.body("told", k.adjusted(object{"seq": c.seq, "standings": standings(45, 45)}))))
			shows(t, k.mails(1)[0].Text, c.want)
		})
	}

	// The latest 500 entries occurred later, and were added before.
	t.Run("many entries", func(t *testing.T) {
		k := start(t)
		k.api.Board("cup", object{"combine": "last"})
		for seq := 1; seq <= 500; seq++ {
			k.api.Entry(entry(seq, standings(seq, seq)))
		}
		k.handle(k.message(k.body("told", k.adjusted(object{"seq": 501, "standings": standings(45, 45)}))))
		shows(t, k.mails(1)[0].Text, "500 → 45")
		if calls := k.api.Calls(); len(calls) > 10 {
			t.Errorf("%d requests for what the first page has", len(calls))
		}
	})
}

func TestABatchIsOneMail(t *testing.T) {
	k := start(t)
	k.api.Player("cup", "bib-8", object{"display_name": "Bea", "user": reader})
	k.api.Player("cup", "bib-9", object{"display_name": "Cid", "user": staff})
	k.api.Board("draft", object{"state": "draft", "title": "Secret"})
	k.api.Player("draft", "bib-7", object{"user": reader})
	batch := person(77)
	var bodies []string
	add := func(i int, change object) {
		data := object{"id": person(3000 + i), "batch": batch, "batch_size": 306, "seq": 10 + i, "note": fmt.Sprint("corrected ", i)}
		for name, value := range change {
			data[name] = value
		}
		detail := k.adjusted(data)
		k.api.Entry(detail["data"].(object))
		bodies = append(bodies, k.body("told", detail))
	}
	for i := range 300 {
		add(i, object{"points": -1, "standings": []any{object{"period": "all", "start": nil, "score": 700}}})
	}
	add(300, object{"player": "bib-8", "points": 9, "standings": []any{object{"period": "all", "start": nil, "score": 10}}})
	add(301, object{"player": "bib-8", "kind": "reversal", "points": -4, "reverses": person(1), "standings": []any{object{"period": "all", "start": nil, "score": 10}}})
	told := len(bodies)
	// What the mail is not about: a result, though it counts in the score; somebody
	// else's; a draft's.
	add(302, object{"kind": "result", "note": "not told", "points": 2, "standings": []any{object{"period": "all", "start": nil, "score": 700}}})
	add(303, object{"player": "bib-9", "note": "not told"})
	add(304, object{"board": "draft", "note": "not told"})
	for _, body := range bodies[:told] {
		k.handle(k.message(body))
	}
	m := k.mails(1)[0]
	shows(t, m.Text, "Seoul Cup", "Ada", "Bea", "302", "corrected 0", "998 → 700", "5 → 10")
	if strings.Contains(m.Text, "not told") || strings.Contains(m.Text, "Secret") || strings.Contains(m.Text, "Cid") {
		t.Errorf("the mail contains what is not the reader's:\n%s", m.Text)
	}
	k.counted("Sent 1")
	if calls := k.api.Calls(); len(calls) > 40 {
		t.Errorf("%d requests for one mail", len(calls))
	}

	// Another batch is another mail.
	other := k.adjusted(object{"id": person(4000), "batch": person(78), "batch_size": 2})
	k.handle(k.message(k.body("told", other)))
	shows(t, k.mails(1)[0].Text, "cut the course") // which the list of the batch lacks
}

// Who wants no mail of one type still gets that of the other in the same batch.
func TestPreferencesHoldWithinABatch(t *testing.T) {
	k := start(t)
	k.api.User(reader, object{"mail": object{"plaudit.entry.adjusted": false}})
	batch := person(77)
	adjusted := k.adjusted(object{"id": person(5001), "batch": batch, "batch_size": 2, "note": "a penalty"})
	reversed := k.adjusted(object{"id": person(5002), "batch": batch, "batch_size": 2, "note": "cancelled", "kind": "reversal", "reverses": person(1), "seq": 3})
	for _, detail := range []object{adjusted, reversed} {
		k.api.Entry(detail["data"].(object))
	}
	k.handle(k.message(k.body("told", adjusted)))
	k.mails(0)
	k.handle(k.message(k.body("told", reversed)))
	m := k.mails(1)[0]
	shows(t, m.Text, "cancelled")
	if strings.Contains(m.Text, "a penalty") {
		t.Errorf("the mail tells what is switched off:\n%s", m.Text)
	}
	k.counted("Dropped 1", "dropped/preference 1", "Sent 1")
}

func player(kind string, data object) object {
	return object{"type": "plaudit.player." + kind, "subject": "board/cup/player/bib-7", "notify": reader, "data": data}
}

func TestPlayersEventsAreTold(t *testing.T) {
	k := start(t)
	k.handle(k.message(k.body("told", player("changed", object{"changes": object{
		"status": object{"from": "ranked", "to": "disqualified"}, "note": object{"from": nil, "to": "cut the course"}, "display_name": object{},
	}}))))
	shows(t, k.mails(1)[0].Text, "Seoul Cup", "Ada", "isqualified", "cut the course", "Minji")

	k.handle(k.message(k.body("told", player("link-proposed", object{"user": reader, "by": staff}))))
	m := k.mails(1)[0]
	shows(t, m.Text, "Seoul Cup", "Ada", "Minji")
	if m.Headers["List-Unsubscribe"] == "" {
		t.Error("a proposed link cannot be switched off")
	}

	// These are always sent.
	k.api.User(reader, object{"mail": object{"plaudit.player.erased": false, "plaudit.player.link-ended": false}})
	for _, detail := range []object{
		player("erased", object{"changes": object{"display_name": object{}, "metadata": object{}}}),
		player("link-ended", object{"user": reader, "state": "accepted"}),
	} {
		k.handle(k.message(k.body("told", detail)))
		if m := k.mails(1)[0]; len(m.Headers) != 0 {
			t.Errorf("the headers are %v", m.Headers)
		}
	}
}

func TestAnAPIKeyIsNamedAsOne(t *testing.T) {
	k := start(t)
	detail := k.adjusted(nil)
	detail["actor"] = "key/" + person(50)
	k.handle(k.message(k.body("told", detail)))
	shows(t, k.mails(1)[0].Text, "API key")
}

func TestAClosedRunIsTold(t *testing.T) {
	k := start(t)
	k.api.Player("cup", "bib-8", object{"display_name": "Bea"})
	detail := object{
		"type": "plaudit.board.period-closed", "subject": "board/cup", "actor": "service/period-close", "notify": reader + "," + staff,
		"data": object{
			"period": object{"name": "week", "start": "2026-11-15T15:00:00Z", "end": "2026-11-22T15:00:00Z"}, "of": 17,
			"top": []any{object{"rank": 1, "player": "bib-8", "score": 99}, object{"rank": 2, "player": "bib-7", "score": 42}, object{"rank": 3, "player": "gone", "score": 7}},
		},
	}
	k.handle(k.message(k.body("told", detail)))
	mails := k.mails(2)
	for _, m := range mails {
		shows(t, m.Text, "Seoul Cup", "17", "Bea", "99", "Ada", "42", "gone", "7")
	}
	if mails[0].Text == mails[1].Text || mails[0].To != reader+"@example.com" {
		t.Error("the reader is not told which place is theirs")
	}
	k.counted("Sent 2")
}

// A board's maker chooses its owners, and how often its periods end.
func TestClosedRunsHaveAnHourlyLimit(t *testing.T) {
	k := start(t)
	k.now = time.Date(2026, 11, 28, 6, 10, 0, 0, time.UTC)
	for range 3 {
		k.handle(k.message(k.body("told", object{
			"type": "plaudit.board.period-closed", "subject": "board/cup", "actor": "service/period-close", "notify": reader,
			"data": object{"period": object{"name": "minute", "start": "2026-11-28T05:00:00Z", "end": "2026-11-28T05:01:00Z"}, "of": 0, "top": []any{}},
		})))
	}
	k.mails(2)
	k.counted("Sent 2", "Dropped 1", "dropped/limit 1")
}

// An address from which mail came back gets no link, either. One that an account asks for
// is another address.
func TestLinksDoNotGoToAnAddressThatBounced(t *testing.T) {
	k := start(t)
	k.api.User(reader, object{"mail_state": "bounced"})
	k.api.Due(reader, "reset")
	k.handle(k.message(k.body("links", security("user.reset-requested", object{}))))
	k.mails(0)
	k.counted("Dropped 1", "dropped/mail-state 1")
	k.api.User(reader, object{"mail_state": "bounced", "new_email": "new@example.com"})
	k.api.Due(reader, "verify")
	k.handle(k.message(k.body("links", security("user.verification-requested", object{}))))
	if m := k.mails(1)[0]; m.To != "new@example.com" {
		t.Errorf("sent to %s", m.To)
	}
}

// SQS's own redrive leaves the attributes as they are.
func TestAMessageWithAReasonIsSentAgain(t *testing.T) {
	k := start(t)
	m := k.message(k.body("told", k.adjusted(nil)))
	k.died("told", m)
	k.now = k.now.Add(notify.Lease)
	k.handle(m)
	k.held(1)
	reason := "it is unknown"
	again := events.SQSMessage{
		MessageId: "moved", Body: m.Body, Attributes: map[string]string{"ApproximateReceiveCount": "1"},
		MessageAttributes: map[string]events.SQSMessageAttribute{queue.Reason: {StringValue: &reason}},
	}
	if err := (handler{k.service}).handle(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	k.mails(1)
}

func TestSecurityMailIsAlwaysSent(t *testing.T) {
	off := object{}
	cases := map[string]struct {
		data object
		want string
	}{
		"user.role-changed":     {object{"changes": object{"role": object{"from": "member", "to": "organizer"}}}, "rganizer"},
		"user.password-changed": {object{}, "password"},
		"user.login-failed":     {object{"failures": 5}, "5"},
		"session.reused":        {object{"session": person(60)}, "session"},
		"key.created":           {object{"key": person(61), "scopes": []any{"entries:write"}, "boards": nil, "expires_at": nil}, "API key"},
	}
	for kind := range cases {
		off["plaudit."+kind] = false
	}
	for kind, c := range cases {
		t.Run(kind, func(t *testing.T) {
			k := start(t)
			k.api.User(reader, object{"mail": off})
			k.handle(k.message(k.body("security", security(kind, c.data))))
			m := k.mails(1)[0]
			shows(t, strings.ToLower(m.Subject+m.Text), strings.ToLower(c.want))
			if len(m.Headers) != 0 || m.To != reader+"@example.com" {
				t.Errorf("sent %+v", m)
			}
		})
	}
}

// The owner of a stolen account must learn of it, so the mail goes to the former address.
func TestAChangedAddressIsToldToTheFormerOne(t *testing.T) {
	k := start(t)
	k.handle(k.message(k.body("security", security("user.email-changed", object{}))))
	if m := k.mails(1)[0]; m.To != reader+"@example.com" {
		t.Errorf("sent to %s", m.To)
	}
	k.api.User(reader, object{"former_email": "before@example.com"})
	k.handle(k.message(k.body("security", security("user.email-changed", object{}))))
	if m := k.mails(1)[0]; m.To != "before@example.com" || m.Tags["user"] != "" {
		t.Errorf("sent to %s with the tags %v", m.To, m.Tags) // a bounce there is not about the account's address
	}
}

func TestLinksAreFetchedWhenTheyAreSent(t *testing.T) {
	k := start(t)
	k.api.User(reader, object{"email_verified": false})
	verify := k.body("links", security("user.verification-requested", object{}))
	k.handle(k.message(verify)) // it is verified already, or so
	k.mails(0)
	k.counted("Dropped 1", "dropped/nothing-due 1")

	k.api.Due(reader, "verify")
	k.api.Due(reader, "reset")
	k.handle(k.message(verify))
	m := k.mails(1)[0]
	shows(t, m.Text, k.api.URL+"/verify?token=for-"+reader)
	if len(m.Headers) != 0 {
		t.Errorf("the headers are %v", m.Headers)
	}

	// A new address is verified where it is.
	k.api.User(reader, object{"new_email": "new@example.com"})
	k.handle(k.message(k.body("links", security("user.verification-requested", object{}))))
	if m := k.mails(1)[0]; m.To != "new@example.com" || m.Tags["user"] != "" {
		t.Errorf("sent to %s with the tags %v", m.To, m.Tags)
	}
	k.handle(k.message(k.body("links", security("user.reset-requested", object{}))))
	m = k.mails(1)[0]
	shows(t, m.Text, k.api.URL+"/reset?token=for-"+reader)
	if m.To != reader+"@example.com" {
		t.Errorf("sent to %s", m.To)
	}

	k.api.Erase(reader)
	k.handle(k.message(k.body("links", security("user.reset-requested", object{}))))
	k.mails(0)
}

func TestNobodyIsTold(t *testing.T) {
	for reason, fields := range map[string]object{
		"unverified": {"email_verified": false},
		"mail-state": {"mail_state": "complained"},
		"preference": {"mail": object{"plaudit.entry.adjusted": false}},
		"erased":     nil,
	} {
		t.Run(reason, func(t *testing.T) {
			k := start(t)
			k.api.User(reader, fields)
			if fields == nil {
				k.api.Erase(reader)
			}
			k.handle(k.message(k.body("told", k.adjusted(nil))))
			k.mails(0)
			k.held(0)
			k.counted("Dropped 1", "dropped/"+reason+" 1")
		})
	}
	k := start(t)
	k.api.User(reader, object{"mail": object{"plaudit.entry.adjusted": true, "other": false}})
	k.handle(k.message(k.body("told", k.adjusted(nil))))
	k.mails(1)
}

// other is an event of another system.
func other(k *kit, change object) object {
	detail := object{
		"source": "https://tasks.example.org", "type": "org.example.task.moved", "subject": "task/17", "notify": reader, "actor": "key/" + person(50),
		"data": object{"changes": object{"state": object{"from": "open", "to": "done"}}, "number": 9007199254740993},
	}
	for name, value := range change {
		detail[name] = value
	}
	return detail
}

func TestOtherSystemsEventsAreTold(t *testing.T) {
	k := start(t)
	k.handle(k.message(k.body("told", other(k, nil))))
	m := k.mails(1)[0]
	shows(t, m.Text, "task/17", "state", "open → done", "9007199254740993", "API key")
	if !strings.HasSuffix(m.Headers["List-Unsubscribe"], "-other>") {
		t.Errorf("the headers are %v", m.Headers)
	}
	k.handle(k.message(k.body("told", other(k, object{"data": nil}))))
	k.mails(1)
	k.api.User(reader, object{"mail": object{"other": false}})
	k.handle(k.message(k.body("told", other(k, nil))))
	k.mails(0)
}

// Other systems cannot flood somebody, and what is told of Plaudit's own events does not
// count.
func TestOtherSystemsHaveAnHourlyLimit(t *testing.T) {
	k := start(t)
	k.now = time.Date(2026, 11, 28, 6, 10, 0, 0, time.UTC)
	m := k.message(k.body("told", other(k, nil)))
	k.ses.Next() // the first fails, and comes again
	k.api.Fail(400)
	k.again(m)
	k.handle(m)
	k.handle(k.message(k.body("told", other(k, nil))))
	over := k.message(k.body("told", other(k, object{"notify": reader + "," + staff})))
	k.handle(over)
	mails := k.mails(3)
	if mails[2].To != staff+"@example.com" {
		t.Errorf("the limit is not the reader's: sent to %s", mails[2].To)
	}
	k.counted("Sent 3", "Dropped 1", "dropped/limit 1")
	k.handle(k.message(k.body("told", k.adjusted(nil))))
	k.mails(1)

	k.now = k.now.Add(time.Hour)
	k.handle(over) // what was dropped stays so
	k.mails(0)
	k.handle(k.message(k.body("told", other(k, nil))))
	k.mails(1)
}

func TestAgeAndReplays(t *testing.T) {
	k := start(t)
	old := k.adjusted(nil)
	old["recordedtime"] = k.now.Add(-25 * time.Hour)
	m := k.message(k.body("told", old))
	k.handle(m)
	k.mails(0)
	held, reasons := k.held(1)
	shows(t, reasons[0], "24 hours")
	k.counted("Held 1")
	k.handle(held[0])
	k.mails(1)
	k.counted("Sent 1")

	old["id"] = "replayed"
	k.handle(k.message(k.body("told", old, object{"replay-name": "for-another-target"})))
	k.mails(0)
	k.counted("IgnoredReplays 1")
	for range 2 { // a replay is no reason to send twice
		k.handle(k.message(k.body("told", old, object{"replay-name": "mail-2026-11-28"})))
	}
	k.mails(1)
	k.counted("Sent 1")
}

func TestUnknownTypesAreIgnored(t *testing.T) {
	k := start(t)
	for rule, detail := range map[string]object{
		"told":     {"type": "plaudit.entry.of-a-later-release", "subject": "board/cup", "notify": reader},
		"security": security("user.of-a-later-release", object{}),
	} {
		k.handle(k.message(k.body(rule, detail)))
	}
	k.mails(0)
	k.held(0)
	k.counted("UnknownTypes 2")
}

// What can never become a mail is in the dead-letter queue at once, and the next mail is
// sent.
func TestWhatBreaksALetterIsHeld(t *testing.T) {
	k := start(t)
	bodies := map[string]string{
		"no JSON":               `{`,
		"a list":                `[]`,
		"no rule":               `{"event":{}}`,
		"an unknown rule":       `{"rule":"other","event":{}}`,
		"no event":              `{"rule":"told"}`,
		"no detail":             `{"rule":"told","event":{"time":"2026-01-05T09:30:00Z","detail":"x"}}`,
		"a bad time":            k.body("told", object{"type": "x", "subject": "x", "notify": reader, "recordedtime": "yesterday"}),
		"no subject":            k.body("told", object{"type": "plaudit.entry.adjusted", "notify": reader}),
		"no data":               k.body("told", object{"type": "plaudit.entry.adjusted", "subject": "board/cup/player/bib-7", "notify": reader}),
		"other data":            k.body("told", object{"type": "plaudit.entry.adjusted", "subject": "board/cup/player/bib-7", "notify": reader, "data": []any{}}),
		"an entry of nobody":    k.body("told", object{"type": "plaudit.entry.adjusted", "subject": "board/cup/player/bib-7", "notify": reader, "data": object{"id": "x"}}),
		"changes that are none": k.body("told", player("changed", object{"changes": 7})),
		"a letter lacks them":   k.body("told", player("changed", object{"changes": object{}})),
		"a reader of no form":   k.body("told", object{"type": "plaudit.player.link-ended", "subject": "board/cup/player/bib-7", "notify": "kim@example.com"}),
		"another subject":       k.body("security", object{"source": event.Users, "type": "plaudit.session.reused", "subject": "board/cup"}),
		"an entry of users":     k.body("told", object{"source": event.Users, "type": "plaudit.entry.adjusted", "subject": "board/cup/player/bib-7", "notify": reader, "data": 1}),
		"another's source":      k.body("security", object{"source": event.Scores, "type": "plaudit.session.reused", "subject": "user/" + reader}),
		"feedback of no type":   `{"rule":"feedback","type":"Delivery"}`,
		"feedback on nobody":    `{"rule":"feedback","type":"Complaint","user":"kim@example.com"}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			k.t = t
			k.handle(k.message(body))
			k.mails(0)
			k.held(1)
			k.handle(k.message(k.body("told", k.adjusted(nil))))
			k.mails(1)
			k.counted("Held 1", "Sent 1")
		})
	}
}

// breaking panics, as a mistake in what writes a letter does.
type breaking struct{ notify.Scores }

func (breaking) Board(context.Context, string) (notify.Board, bool, error) { panic("broken") }

func TestWhatBreaksTheProgramIsHeld(t *testing.T) {
	k := start(t)
	scores := k.service.Scores
	k.service.Scores = breaking{scores}
	k.handle(k.message(k.body("told", k.adjusted(nil))))
	_, reasons := k.held(1)
	shows(t, reasons[0], "breaks the program", "broken")
	k.service.Scores = scores
	k.handle(k.message(k.body("told", k.adjusted(nil))))
	k.mails(1)
}

// Names and notes of other people stay in their place.
func TestNamesAreHarmless(t *testing.T) {
	k := start(t)
	for _, name := range []string{"a\r\nBcc: x@example.com", `<a href="https://evil.example.com">x</a>`, "\u202egnp.exe", strings.Repeat("😀", 80)} {
		k.api.Player("cup", "bib-7", object{"display_name": name, "user": reader})
		k.api.Board("cup", object{"title": name})
		k.api.User(staff, object{"display_name": name})
		k.service = k.another() // which remembers nothing
		k.handle(k.message(k.body("told", k.adjusted(object{"note": name}))))
		m := k.mails(1)[0]
		if strings.ContainsAny(m.Subject, "\r\n\u202e") || strings.Contains(m.HTML, `href="https://evil`) || strings.Contains(m.Text, "\u202e") || len(m.Headers) != 2 {
			t.Errorf("%q: %q %v\n%s", name, m.Subject, m.Headers, m.HTML)
		}
	}
}

func TestFeedback(t *testing.T) {
	k := start(t)
	feedback := func(kind, bounce, user string) {
		t.Helper()
		k.handle(k.message(fmt.Sprintf(`{"rule":"feedback","type":%q,"bounce":%q,"user":%q,"message":"mail-1"}`, kind, bounce, user)))
	}
	feedback("Bounce", "Transient", reader)
	feedback("Bounce", "Undetermined", reader)
	if state := k.api.Shown(reader, "mail_state"); state != nil {
		t.Errorf("a passing bounce sets %v", state)
	}
	feedback("Bounce", "Permanent", reader)
	if state := k.api.Shown(reader, "mail_state"); state != "bounced" {
		t.Errorf("the state is %v", state)
	}
	feedback("Complaint", "", reader)
	if state := k.api.Shown(reader, "mail_state"); state != "complained" {
		t.Errorf("the state is %v", state)
	}
	k.counted("FeedbackOther 2", "FeedbackBounced 1", "FeedbackComplained 1")
	feedback("Complaint", "", person(99)) // erased meanwhile
	feedback("Complaint", "", "")         // to a mail that is not ours
	k.held(0)
	k.handle(k.message(`{"rule":"feedback","type":"Bounce","bounce":null,"user":null,"message":null}`)) // paths that the event lacks
	k.api.Fail(503, 503, 503)
	k.again(k.message(fmt.Sprintf(`{"rule":"feedback","type":"Complaint","bounce":"","user":%q,"message":"m"}`, reader)))
}

// The sample events have the same result however often they come.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../events/notify/*.ok.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	k := start(t)
	k.now = time.Now()
	for range 2 {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var batch struct{ Records []events.SQSMessage }
			if err := json.Unmarshal(text, &batch); err != nil {
				t.Fatal(err)
			}
			for _, m := range batch.Records {
				if err := (handler{k.service}).handle(t.Context(), m); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
	k.mails(0)
	k.held(0)
	k.counted("IgnoredReplays 2", "FeedbackOther 2", "UnknownTypes 2")
}
