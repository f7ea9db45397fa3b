package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"plaudit/local/pattern"
	"plaudit/local/template"
	"plaudit/shared/event"
)

// mailOn are the parameters with which a stage in the cloud sends mail.
var mailOn = map[string]string{
	"CertificateArn": "arn:aws:acm:ap-northeast-2:000000000000:certificate/0a", "Domain": "scores.example.org",
	"MailSender": "Plaudit <scores@example.org>", "MailIdentity": "example.org",
}

// eventRules are the rules of events, each with the test of its name.
var eventRules = []string{"ToldRule", "SecurityRule", "LinksRule", "FeedbackRule"}

// schedules are the rules that a clock fires.
var schedules = []string{"OutboxRelayFunctionSchedule", "PeriodCloseFunctionSchedule"}

func TestEveryRuleIsKnown(t *testing.T) {
	var got []string
	for _, r := range of(named(t, "prod"), "AWS::Events::Rule") {
		got = append(got, r.ID)
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(slices.Concat(eventRules, schedules))); !slices.Equal(got, want) {
		t.Errorf("the stack has the rules %q, want %q", got, want)
	}
}

// onBus returns an event as the rules see it: what audit-publish makes of a document of
// the log.
func onBus(source, kind, document string) string {
	return fmt.Sprintf(`{"version":"0","id":"1","source":%q,"detail-type":%q,"account":"000000000000","time":"2026-11-28T00:00:00Z","region":"ap-northeast-2","resources":[],"detail":%s}`,
		source, kind, document)
}

// ours returns an event of ours.
func ours(source string, kind event.Type, more string) string {
	return onBus(source, string(kind), fmt.Sprintf(`{"specversion":"1.0","id":"1-a","source":%q,"type":%q,"subject":"user/u"%s}`, source, kind, more))
}

// testRule checks a rule of the bus: what its pattern lets through, and to where.
func testRule(t *testing.T, id, bus, input string, inputs map[string]any, deadLetters any, in, out []string) {
	t.Helper()
	stack := changed(t, "prod", mailOn)
	r, ok := stack.Resource(id)
	if !ok || r.Type != "AWS::Events::Rule" {
		t.Fatalf("the stack has no rule %s", id)
	}
	targets := either(r.Properties["Targets"])
	if len(targets) != 1 {
		t.Fatalf("%s has %d targets", id, len(targets))
	}
	for what, pair := range map[string][2]any{
		"bus":          {textOr(r.Properties["EventBusName"], "default"), bus},
		"state":        {r.Properties["State"], "ENABLED"},
		"target":       {at(targets[0], "Arn"), "MailQueue.Arn"},
		"input":        {at(targets[0], "InputTransformer", "InputTemplate"), input},
		"retries":      {fmt.Sprint(at(targets[0], "RetryPolicy", "MaximumRetryAttempts")), "185"},
		"age":          {fmt.Sprint(at(targets[0], "RetryPolicy", "MaximumEventAgeInSeconds")), "86400"},
		"dead letters": {at(targets[0], "DeadLetterConfig", "Arn"), deadLetters},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: the %s is %v, want %v", id, what, pair[0], pair[1])
		}
	}
	paths, _ := at(targets[0], "InputTransformer", "InputPathsMap").(map[string]any)
	if !maps.Equal(paths, inputs) {
		t.Errorf("%s: the paths are %v, want %v", id, paths, inputs)
	}
	text, err := json.Marshal(r.Properties["EventPattern"])
	if err != nil {
		t.Fatal(err)
	}
	p, err := pattern.ParseRule(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for want, events := range map[bool][]string{true: in, false: out} {
		for _, e := range events {
			if !json.Valid([]byte(e)) {
				t.Fatal(e)
			}
			if got := p.Match([]byte(e)); got != want {
				t.Errorf("%s lets through %t, want %t: %s", id, got, want, e)
			}
		}
	}
}

// An event that names people is told to them, whatever its source is.
func TestToldRule(t *testing.T) {
	const told = `,"notify":"u,v"`
	testRule(t, "ToldRule", "EventBus", `{"rule":"told","event":<aws.events.event.json>}`, nil, "RulesFailedQueue.Arn",
		[]string{
			ours(event.Scores, event.EntryAdjusted, told), ours(event.Scores, event.PlayerChanged, told), ours(event.Scores, event.LinkProposed, told),
			onBus("https://tasks.example.org", "com.example.task.moved", `{"notify":"u","source":"https://tasks.example.org"}`),
			onBus("other", "x", `{"notify":"u","source":"aws.x"}`),
		},
		[]string{
			ours(event.Scores, event.EntryAdded, ""), ours(event.Scores, event.EntryAdjusted, ""), ours(event.Users, event.UserPasswordChanged, ""),
			onBus("https://tasks.example.org", "com.example.task.moved", `{"data":{"notify":"u"}}`),
		})
}

// securityTypes are the types of events that are always told to the account's user.
var securityTypes = []event.Type{
	event.UserRoleChanged, event.UserPasswordChanged, "plaudit.user.email-changed", event.UserLoginFailed, event.SessionReused, event.KeyCreated,
}

// linkTypes are those of the links that a user has asked for.
var linkTypes = []event.Type{event.UserVerificationRequested, "plaudit.user.reset-requested"}

// split returns the events of the users service of the types, and of all others. The
// latter also has those of the types that somebody else made.
func split(types []event.Type) (in, out []string) {
	for _, kind := range types {
		in = append(in, ours(event.Users, kind, ""))
		out = append(out, ours(event.Scores, kind, ""), onBus("https://evil.example", string(kind), `{}`))
	}
	for _, kind := range event.Types() {
		if !slices.Contains(types, kind) {
			out = append(out, ours(event.Users, kind, `,"notify":"u"`))
		}
	}
	return in, out
}

func TestSecurityRule(t *testing.T) {
	in, out := split(securityTypes)
	testRule(t, "SecurityRule", "EventBus", `{"rule":"security","event":<aws.events.event.json>}`, nil, "RulesFailedQueue.Arn", in, out)
}

func TestLinksRule(t *testing.T) {
	in, out := split(linkTypes)
	testRule(t, "LinksRule", "EventBus", `{"rule":"links","event":<aws.events.event.json>}`, nil, "RulesFailedQueue.Arn", in, out)
}

// Bounces and complaints of our own mails end further mail. Addresses are in no message,
// and nothing keeps an event that contains one.
func TestFeedbackRule(t *testing.T) {
	ses := func(kind, set string) string {
		return onBus("aws.ses", kind, fmt.Sprintf(`{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"a@example.org"}]},
			"mail":{"messageId":"m","destination":["a@example.org"],"tags":{"ses:configuration-set":[%q],"user":["u"]}}}`, set))
	}
	testRule(t, "FeedbackRule", "default", `{"rule":"feedback","type":"<type>","bounce":"<bounce>","user":"<user>","address":"<address>","message":"<message>"}`,
		map[string]any{"type": "$.detail.eventType", "bounce": "$.detail.bounce.bounceType", "user": "$.detail.mail.tags.user[0]", "address": "$.detail.mail.tags.address[0]", "message": "$.detail.mail.messageId"}, nil,
		[]string{ses("Email Bounced", "MailConfiguration"), ses("Email Complaint Received", "MailConfiguration")},
		[]string{ses("Email Delivered", "MailConfiguration"), ses("Email Bounced", "another"), strings.Replace(ses("Email Bounced", "MailConfiguration"), "aws.ses", "ses", 1)})
	stack := named(t, "prod")
	destination, _ := stack.Resource("MailFeedback")
	for what, pair := range map[string][2]any{
		"set":    {destination.Properties["ConfigurationSetName"], "MailConfiguration"},
		"events": {fmt.Sprint(at(destination.Properties, "EventDestination", "MatchingEventTypes")), "[bounce complaint]"},
		"bus":    {at(destination.Properties, "EventDestination", "EventBridgeDestination", "EventBusArn"), "arn:aws:events:ap-northeast-2:000000000000:event-bus/default"},
		"on":     {at(destination.Properties, "EventDestination", "Enabled"), true},
	} {
		if pair[0] != pair[1] {
			t.Errorf("the %s of the feedback is %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestTheBusIsArchived(t *testing.T) {
	stack := named(t, "prod")
	buses, archives := of(stack, "AWS::Events::EventBus"), of(stack, "AWS::Events::Archive")
	if len(buses) != 1 || len(archives) != 1 {
		t.Fatalf("the stack has %d buses and %d archives", len(buses), len(archives))
	}
	a := archives[0].Properties
	if a["SourceArn"] != "EventBus.Arn" || fmt.Sprint(a["RetentionDays"]) != "30" || a["EventPattern"] != nil {
		t.Errorf("the archive is %v", a)
	}
	for _, property := range []string{"Policy", "EventSourceName", "DeadLetterConfig", "LogConfig"} {
		if buses[0].Properties[property] != nil {
			t.Errorf("the bus has %s", property)
		}
	}
}

// Queues are encrypted and keep a message for 14 days, and one that cannot be handled
// leaves the queue after five attempts.
func TestQueues(t *testing.T) {
	stack := named(t, "prod")
	want := map[string]string{"MailQueue": "-mail", "MailFailedQueue": "-mail-failed", "RulesFailedQueue": "-rules-failed"}
	for _, q := range of(stack, "AWS::SQS::Queue") {
		for what, pair := range map[string][2]any{
			"name":       {q.Properties["QueueName"], stack.Pseudo.StackName + want[q.ID]},
			"encryption": {q.Properties["SqsManagedSseEnabled"], true},
			"retention":  {fmt.Sprint(q.Properties["MessageRetentionPeriod"]), fmt.Sprint(14 * 24 * 60 * 60)},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: the %s is %v, want %v", q.ID, what, pair[0], pair[1])
			}
		}
		redrive := q.Properties["RedrivePolicy"]
		if (redrive != nil) != (q.ID == "MailQueue") || redrive != nil &&
			(at(redrive, "deadLetterTargetArn") != "MailFailedQueue.Arn" || fmt.Sprint(at(redrive, "maxReceiveCount")) != "5") {
			t.Errorf("%s has the redrive policy %v", q.ID, redrive)
		}
		delete(want, q.ID)
	}
	if len(want) > 0 {
		t.Errorf("the stack lacks %v", want)
	}
}

func TestTheQueueFeedsNotify(t *testing.T) {
	stack := changed(t, "prod", mailOn)
	m, ok := stack.Resource("NotifyFunctionMail")
	if !ok {
		t.Fatal("the stack has no mapping for notify")
	}
	f, _ := stack.Resource("NotifyFunction")
	queue, _ := stack.Resource("MailQueue")
	for what, pair := range map[string][2]any{
		"queue":       {m.Properties["EventSourceArn"], "MailQueue.Arn"},
		"function":    {m.Properties["FunctionName"], "NotifyFunction"},
		"state":       {m.Properties["Enabled"], true},
		"window":      {fmt.Sprint(m.Properties["MaximumBatchingWindowInSeconds"]), "1"},
		"concurrency": {fmt.Sprint(at(m.Properties, "ScalingConfig", "MaximumConcurrency")), "2"},
		"responses":   {fmt.Sprint(m.Properties["FunctionResponseTypes"]), "[ReportBatchItemFailures]"},
		"batch":       {fmt.Sprint(m.Properties["BatchSize"]), "10"},
		// As Lambda's documentation advises.
		"visibility": {fmt.Sprint(queue.Properties["VisibilityTimeout"]), fmt.Sprint(6 * f.Properties["Timeout"].(int))},
		// No mail is begun within the last 13 seconds of an invoke, and a claim has a lease
		// of 30.
		"time": {f.Properties["Timeout"], 30},
		"VPC":  {f.Properties["VpcConfig"], nil},
	} {
		if pair[0] != pair[1] {
			t.Errorf("the %s is %v, want %v", what, pair[0], pair[1])
		}
	}
}

// Mail needs a sender, an identity, and in the cloud a domain with a certificate. Without
// one of them no rule fires, and the output says so.
func TestMailIsOffUntilItIsWhole(t *testing.T) {
	check := func(name string, parameters map[string]string, on bool) {
		t.Helper()
		stack := changed(t, name, parameters)
		state, output := map[bool]string{true: "ENABLED", false: "DISABLED"}[on], ""
		for _, o := range stack.Outputs {
			if o.Key == "Mail" {
				output = fmt.Sprint(o.Value)
			}
		}
		for _, id := range eventRules {
			if r, _ := stack.Resource(id); r.Properties["State"] != state {
				t.Errorf("%s with %v: %s is %v, want %s", name, parameters, id, r.Properties["State"], state)
			}
		}
		if m, _ := stack.Resource("NotifyFunctionMail"); m.Properties["Enabled"] != on {
			t.Errorf("%s with %v: the mapping is %v", name, parameters, m.Properties["Enabled"])
		}
		if (output == "on") != on {
			t.Errorf("%s with %v: the output is %q", name, parameters, output)
		}
		f, _ := stack.Resource("NotifyFunction")
		if url := variablesOf(f)["API_URL"]; on && name != "local" && url != "https://scores.example.org" {
			t.Errorf("%s: notify calls %s", name, url)
		}
	}
	check("local", nil, true)
	check("local", map[string]string{"MailSender": ""}, false)
	check("prod", nil, false)
	check("prod", mailOn, true)
	for _, name := range slices.Sorted(maps.Keys(mailOn)) {
		some := maps.Clone(mailOn)
		some[name] = ""
		check("prod", some, false)
	}
	set, _ := named(t, "prod").Resource("MailConfiguration")
	if fmt.Sprint(at(set.Properties, "SuppressionOptions", "SuppressedReasons")) != "[BOUNCE COMPLAINT]" {
		t.Errorf("the configuration set is %v", set.Properties)
	}
	for _, identity := range of(changed(t, "prod", mailOn), "AWS::SES::EmailIdentity") {
		if identity.Properties["EmailIdentity"] != "example.org" {
			t.Errorf("the identity is %v", identity.Properties)
		}
	}
}

// The sender is an address, with a name or without one, and no header can be added to it.
func TestSendersOfMail(t *testing.T) {
	pseudo := template.Pseudo{StackName: "x", Region: "ap-northeast-2", AccountID: "000000000000"}
	for sender, ok := range map[string]bool{
		"": true, "a@example.org": true, "Plaudit <a@example.org>": true, "한강 점수 <a@example.org>": true,
		"a": false, "a@b": false, "<a@example.org>": false, "Plaudit a@example.org": false, "A <a@example.org>, B <b@example.org>": false,
		"A\r\nBcc: b@example.org <a@example.org>": false, "a@example.org b@example.org": false, `"A" <a@example.org>`: false,
	} {
		params := map[string]string{
			"Stage": "prod", "AdminEmail": "ops@example.org", "AdminPassword": "0123456789", "SigningKey": "k", "NotifyKey": "0123456789abcdefghij",
			"Jwks": "j", "MailSender": sender,
		}
		if _, err := template.Load(root+"/template.yaml", pseudo, params); ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "MailSender") {
			t.Errorf("%q: %v", sender, err)
		}
	}
}
