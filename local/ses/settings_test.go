package ses

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

func TestSettingsRefuseMail(t *testing.T) {
	for _, c := range []struct {
		settings string
		codes    []string // of the mails, one after the other; "" is taken
		message  string
	}{
		{`{"fail_next": 2}`, []string{"TooManyRequestsException", "TooManyRequestsException", ""}, "Maximum sending rate exceeded."},
		{`{"fail_next": [{"code": "MessageRejected", "message": "bad content"}, {"code": "InternalFailure", "count": 2}]}`,
			[]string{"MessageRejected", "InternalFailure", "InternalFailure", ""}, "bad content"},
		{`{"fail_next": [{"code": "AccountSuspendedException"}]}`, []string{"AccountSuspendedException", ""}, "suspended"},
		{`{"fail_next": [{"code": "MailFromDomainNotVerifiedException"}]}`, []string{"MailFromDomainNotVerifiedException", ""}, "MAIL FROM"},
		{`{"fail_next": [{"code": "SendingPausedException"}]}`, []string{"SendingPausedException", ""}, "paused"},
		{`{"daily_quota": 1}`, []string{"", "LimitExceededException", "LimitExceededException"}, "Daily message quota exceeded."},
		{`{"daily_quota": 0}`, []string{"LimitExceededException"}, "Daily message quota exceeded."},
		{`{"unverified": true}`, []string{"MessageRejected"}, "Email address is not verified. The following identities failed the check in region AP-NORTHEAST-2: scores@example.com"},
		{`{}`, []string{""}, ""},
	} {
		t.Run(c.settings, func(t *testing.T) {
			l := start(t, stack, t.TempDir())
			l.put(t, c.settings)
			taken := 0
			for i, want := range c.codes {
				if want == "" {
					taken++
					l.send(t, simpleMail())
					continue
				}
				code, message, status := l.refused(t, simpleMail())
				if code != want || status != refusals[want].status {
					t.Errorf("mail %d: %d %s", i, status, code)
				}
				if first := i == 0 || c.codes[0] == ""; first && !strings.Contains(message, c.message) {
					t.Errorf("mail %d: %s", i, message)
				}
			}
			if got := len(l.messages(t, "")); got != taken {
				t.Errorf("%d mails in the inbox, want %d", got, taken)
			}
		})
	}
}

func TestLimitsCountRecipients(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	s := newSettings(func() time.Time { return now })
	two, three := 2, 3
	s.put(Settings{ThrottlePerSecond: &two, DailyQuota: &three})
	for _, c := range []struct {
		after               time.Duration
		recipients, counted int
		want                string
	}{
		{0, 1, 1, ""},
		{0, 1, 0, ""}, // to the simulator
		{0, 1, 1, "Maximum sending rate exceeded."},
		{time.Second, 5, 5, ""}, // begins within both limits
		{999 * time.Millisecond, 1, 1, "Maximum sending rate exceeded."},
		{time.Second, 1, 1, "Daily message quota exceeded."},
		{0, 1, 0, ""}, // to the simulator
		{24 * time.Hour, 1, 1, ""},
	} {
		now = now.Add(c.after)
		err := s.take(c.recipients, c.counted)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("at %v: %v, want %q", now, err, c.want)
		}
	}
	if quota, rate, sent := s.limits(); quota != 3 || rate != 2 || sent != 1 {
		t.Errorf("quota %v, rate %v, sent %v", quota, rate, sent)
	}
}

func TestGetAccount(t *testing.T) {
	l := start(t, stack, t.TempDir())
	l.send(t, simpleMail())
	out, err := l.client.GetAccount(t.Context(), &sesv2.GetAccountInput{})
	if err != nil || !out.SendingEnabled || out.SendQuota.Max24HourSend != -1 || out.SendQuota.MaxSendRate != unlimitedRate || out.SendQuota.SentLast24Hours != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	l.put(t, `{"daily_quota": 200, "throttle_per_second": 14}`)
	out, err = l.client.GetAccount(t.Context(), &sesv2.GetAccountInput{})
	if err != nil || out.SendQuota.Max24HourSend != 200 || out.SendQuota.MaxSendRate != 14 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestSettingsAreReplacedAsAWhole(t *testing.T) {
	l := start(t, stack, t.TempDir())
	const off = `{"throttle_per_second":null,"fail_next":[],"daily_quota":null,"bounce":[],"complain":[],"suppress":[],"unverified":false}`
	check := func(want string) {
		t.Helper()
		_, text := l.do(t, http.MethodGet, "/settings", "")
		var compact map[string]any
		if err := json.Unmarshal([]byte(text), &compact); err != nil {
			t.Fatal(err)
		}
		var wanted map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(compact)
		b, _ := json.Marshal(wanted)
		if string(a) != string(b) {
			t.Errorf("settings %s, want %s", a, b)
		}
	}
	check(off)
	const on = `{"throttle_per_second":3,"fail_next":[{"code":"MessageRejected","message":"x","count":2}],"daily_quota":7,"bounce":["a@example.org"],"complain":["b@example.org"],"suppress":["c@example.org"],"unverified":true}`
	l.put(t, on)
	check(on)
	l.put(t, on) // what GET answers can be put again
	l.put(t, `{}`)
	check(off)
}

func TestWrongSettings(t *testing.T) {
	l := start(t, stack, t.TempDir())
	l.put(t, `{"daily_quota": 5}`)
	for body, field := range map[string]string{
		`{"throttle": 1}`:                                       "throttle",
		`{"throttle_per_second": 0}`:                            "throttle_per_second",
		`{"throttle_per_second": 1.5}`:                          "throttle_per_second",
		`{"throttle_per_second": "1"}`:                          "throttle_per_second",
		`{"daily_quota": -1}`:                                   "daily_quota",
		`{"unverified": 1}`:                                     "unverified",
		`{"bounce": "a@example.org"}`:                           "bounce",
		`{"bounce": ["a@example.org", "b"]}`:                    "bounce[1]",
		`{"complain": ["B <b@example.org>"]}`:                   "complain[0]",
		`{"suppress": [1]}`:                                     "suppress",
		`{"fail_next": -1}`:                                     "fail_next[0].count",
		`{"fail_next": "x"}`:                                    "fail_next",
		`{"fail_next": [{"code": "Sorry"}]}`:                    "fail_next[0].code",
		`{"fail_next": [{"code": "MessageRejected", "x": 1}]}`:  "fail_next",
		`{"fail_next": [{"message": "x"}]}`:                     "fail_next[0].code",
		`{"fail_next": [{"code":"MessageRejected","count":0}]}`: "fail_next[0].count",
		`[]`:    "",
		``:      "",
		`{} {}`: "",
	} {
		answer, text := l.do(t, http.MethodPut, "/settings", body)
		var p problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("Content-Type") != "application/problem+json" || p.Field != field || p.Detail == "" || strings.Contains(p.Detail, "Go ") {
			t.Errorf("%s: %s %s", body, answer.Status, text)
		}
	}
	if _, text := l.do(t, http.MethodGet, "/settings", ""); !strings.Contains(text, `"daily_quota": 5`) {
		t.Errorf("a refused change has an effect: %s", text)
	}
}
