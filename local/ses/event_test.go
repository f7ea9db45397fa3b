package ses

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// shape returns JSON with the kind of each value in its place; lists keep one element.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[key] = shape(value)
		}
		return out
	case []any:
		if len(v) == 0 {
			return "an empty list"
		}
		return []any{shape(v[0])}
	case nil:
		return nil
	}
	return reflect.TypeOf(v).Kind().String()
}

// The samples in testdata have the form that
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html shows.
func TestEventsHaveSESsForm(t *testing.T) {
	for _, c := range []struct{ to, file, detailType string }{
		{"bounce@simulator.amazonses.com", "testdata/bounce.json", "Email Bounced"},
		{"complaint@simulator.amazonses.com", "testdata/complaint.json", "Email Complaint Received"},
	} {
		t.Run(c.detailType, func(t *testing.T) {
			l := start(t, stack, t.TempDir())
			in := simpleMail()
			in.Destination.ToAddresses = []string{c.to}
			id := l.send(t, in)
			eventually(t, "an event", func() bool { return len(l.bus.all()) == 1 })
			e := l.bus.all()[0]
			if e.DetailType != c.detailType || !slices.Equal(e.Resources, []string{"arn:aws:ses:ap-northeast-2:000000000000:configuration-set/main"}) || time.Since(e.Time) > time.Minute {
				t.Errorf("event %+v", e)
			}
			text, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(e.Detail, &got), json.Unmarshal(text, &want)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(shape(got), shape(want)) {
				t.Errorf("got %s", e.Detail)
			}
			mail := got.(map[string]any)["mail"].(map[string]any)
			if mail["messageId"] != id || mail["destination"].([]any)[0] != c.to || mail["sourceArn"] != "arn:aws:ses:ap-northeast-2:000000000000:identity/example.com" ||
				mail["tags"].(map[string]any)["user"].([]any)[0] != "u1" {
				t.Errorf("mail %v", mail)
			}
		})
	}
}

func TestWhatBecomesOfMail(t *testing.T) {
	l := start(t, stack, t.TempDir())
	l.put(t, `{"bounce": ["Gone@example.org"], "complain": ["angry@example.org"], "suppress": ["old@example.org"]}`)
	for _, c := range []struct {
		to     string
		status Status
		event  string // bounceType/bounceSubType, complaint, or ""
	}{
		{"ann@example.org", Delivered, ""},
		{"gone@example.org", Bounced, "Permanent/General"},
		{"angry@example.org", Complained, "complaint"},
		{"OLD@example.org", Suppressed, "Permanent/OnAccountSuppressionList"},
		{"success@simulator.amazonses.com", Delivered, ""},
		{"bounce+a+b@simulator.amazonses.com", Bounced, "Permanent/General"},
		{"complaint+a@Simulator.amazonses.com", Complained, "complaint"},
		{"suppressionlist@simulator.amazonses.com", Suppressed, "Permanent/Suppressed"},
		{"ooto@simulator.amazonses.com", Delivered, "Transient/General"},
		{"other@simulator.amazonses.com", Bounced, "Permanent/General"},
	} {
		t.Run(c.to, func(t *testing.T) {
			before := len(l.bus.all())
			in := simpleMail()
			in.Destination.ToAddresses = []string{c.to}
			l.send(t, in)
			if m := l.messages(t, "?limit=1")[0]; m.Status != c.status {
				t.Errorf("status %s", m.Status)
			}
			got := ""
			if c.event != "" {
				eventually(t, "an event", func() bool { return len(l.bus.all()) > before })
				var detail struct {
					EventType string
					Bounce    *struct {
						BounceType, BounceSubType string
						BouncedRecipients         []struct{ EmailAddress string }
					}
					Complaint *struct {
						ComplainedRecipients []struct{ EmailAddress string }
					}
				}
				if err := json.Unmarshal(l.bus.all()[before].Detail, &detail); err != nil {
					t.Fatal(err)
				}
				var recipients []struct{ EmailAddress string }
				if detail.Bounce != nil {
					got, recipients = detail.Bounce.BounceType+"/"+detail.Bounce.BounceSubType, detail.Bounce.BouncedRecipients
				} else {
					got, recipients = "complaint", detail.Complaint.ComplainedRecipients
				}
				if len(recipients) != 1 || !strings.EqualFold(recipients[0].EmailAddress, c.to) {
					t.Errorf("recipients %v", recipients)
				}
			}
			if got != c.event {
				t.Errorf("event %q", got)
			}
		})
	}
	if got := len(l.bus.all()); got != 8 {
		t.Errorf("%d events", got)
	}
}

func TestOneEventForTheRecipientsOfOneFate(t *testing.T) {
	l := start(t, stack, t.TempDir())
	l.put(t, `{"bounce": ["a@example.org", "b@example.org"], "complain": ["c@example.org"]}`)
	in := simpleMail()
	in.Destination.ToAddresses = []string{"a@example.org", "b@example.org", "c@example.org", "d@example.org"}
	l.send(t, in)
	eventually(t, "two events", func() bool { return len(l.bus.all()) == 2 })
	if e := l.bus.all()[0]; strings.Count(string(e.Detail), `"diagnosticCode"`) != 2 {
		t.Errorf("event %s", e.Detail)
	}
	m := l.messages(t, "")[0]
	if m.Status != Bounced || m.Recipients["c@example.org"] != Complained || m.Recipients["d@example.org"] != Delivered {
		t.Errorf("mail %+v", m)
	}
}

func TestWithoutADestinationThereAreNoEvents(t *testing.T) {
	disabled := strings.Replace(stack, "Enabled: true", "Enabled: false", 1)
	missing := strings.Replace(stack, "        Enabled: true\n", "", 1)
	bounces := strings.Replace(stack, "[bounce, complaint]", "[bounce]", 1)
	for _, c := range []struct{ name, stack, set, to string }{
		{"no configuration set", stack, "", "bounce@simulator.amazonses.com"},
		{"a set without a destination", stack, "silent", "bounce@simulator.amazonses.com"},
		{"a destination that is off", disabled, "main", "bounce@simulator.amazonses.com"},
		{"a destination that is off by default", missing, "main", "bounce@simulator.amazonses.com"},
		{"another type", bounces, "main", "complaint@simulator.amazonses.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := start(t, c.stack, t.TempDir())
			in := simpleMail()
			in.Destination.ToAddresses = []string{c.to}
			if in.ConfigurationSetName = &c.set; c.set == "" {
				in.ConfigurationSetName = nil
			}
			l.send(t, in)
			l.Stop() // waits for events
			if got := l.bus.all(); len(got) > 0 {
				t.Errorf("events %+v", got)
			}
		})
	}
}

func TestAnEventThatDoesNotReachTheBusIsAnErrorOfTheLog(t *testing.T) {
	l := start(t, stack, t.TempDir())
	l.bus.err = errors.New("the bus is down")
	in := simpleMail()
	in.Destination.ToAddresses = []string{"bounce@simulator.amazonses.com"}
	l.send(t, in)
	eventually(t, "an error", func() bool { return strings.Contains(l.log.String(), "the bus is down") })
	if strings.Contains(l.log.String(), "simulator") {
		t.Errorf("the log has an address: %s", l.log)
	}
}
