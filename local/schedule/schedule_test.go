package schedule

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/local/part"
	"plaudit/local/template"
)

// often fires every few milliseconds.
type often struct{}

func (often) Next(t time.Time) time.Time { return t.Add(5 * time.Millisecond) }

func TestATimerFiresUntilItStops(t *testing.T) {
	var timer Timer
	var count atomic.Int32
	timer.Add(often{}, func(time.Time) { count.Add(1) })
	timer.Start()
	eventually(t, "three times", func() bool { return count.Load() >= 3 })
	timer.Stop()
	new(Timer).Stop() // one that was never started
}

func TestTheEventIsTheOneThatEventBridgeSends(t *testing.T) {
	n := part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: "us-east-1", AccountID: "123456789012"}}
	got := string(Event(n, "arn:aws:events:us-east-1:123456789012:rule/MyScheduledRule", time.Date(2022, 3, 8, 19, 0, 0, 5, time.FixedZone("", 3600))))
	start, rest, ok := strings.Cut(got, `"id":"`)
	if !ok || start != `{"version":"0",` || rest[36:] != `","detail-type":"Scheduled Event","source":"aws.events","account":"123456789012","time":"2022-03-08T18:00:00Z","region":"us-east-1","resources":["arn:aws:events:us-east-1:123456789012:rule/MyScheduledRule"],"detail":{}}` {
		t.Errorf("got %s", got)
	}
}

func TestWhatAScheduleSends(t *testing.T) {
	const (
		rule     = "arn:aws:events:us-east-1:123456789012:rule/mine"
		schedule = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/mine"
	)
	at := time.Date(2026, 11, 28, 9, 0, 0, 5, time.FixedZone("", 9*3600))
	for _, c := range []struct{ arn, input, want string }{
		{rule, "", `"detail-type":"Scheduled Event","source":"aws.events","account":"123456789012","time":"2026-11-28T00:00:00Z","region":"us-east-1","resources":["` + rule + `"],"detail":{}}`},
		{rule, `{"at":"<aws.scheduler.scheduled-time>"}`, `{"at":"<aws.scheduler.scheduled-time>"}`},
		{schedule, "", `"detail-type":"Scheduled Event","source":"aws.scheduler","account":"123456789012","time":"2026-11-28T00:00:00Z","region":"us-east-1","resources":["` + schedule + `"],"detail":"{}"}`},
		{schedule, `{"at":"<aws.scheduler.scheduled-time>","arn":"<aws.scheduler.schedule-arn>","n":<aws.scheduler.attempt-number>}`,
			`{"at":"2026-11-28T00:00:00Z","arn":"` + schedule + `","n":1}`},
	} {
		if got := string(Payload(c.arn, c.input, at)); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s sends %s", c.arn, got)
		}
	}
}

func TestWhatTheClockDoes(t *testing.T) {
	clock := func(clock string) time.Time { return instant(t, "2026-11-28 "+clock) }
	hourly, err := Parse("cron(0 * * * ? *)")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		expression Expression
		now        []string
		want       string // one letter for each look
	}{
		{"it fires once an hour", hourly, []string{"10:30", "10:59", "11:00", "11:01", "12:00"}, "--F-F"},
		{"what was missed fires once", hourly, []string{"10:30", "14:10", "14:11", "15:00"}, "-F-F"},
		{"a clock that was set back", hourly, []string{"10:30", "11:00", "09:15", "10:00", "11:00"}, "-F-FF"},
		{"a rate", rate(time.Hour), []string{"10:30", "11:29", "11:30", "12:29", "12:30"}, "--F-F"},
		{"a limited clock that was set back", Limit(hourly, time.Time{}, time.Time{}), []string{"10:30", "11:00", "09:15", "10:00", "11:00"}, "-F-FF"},
		{"what fires once, and a clock that was set back", Limit(at{clock("11:00")}, time.Time{}, time.Time{}), []string{"10:30", "11:00", "09:15", "11:00"}, "-F--"},
		{"a rate that begins at once", Limit(rate(time.Hour), time.Time{}, time.Time{}), []string{"10:30", "10:31", "11:29", "11:30", "11:31"}, "-F-F-"},
		{"a rate that was missed", rate(time.Hour), []string{"10:30", "14:10", "15:09", "15:10"}, "-F-F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &item{expression: c.expression}
			got := ""
			for _, now := range c.now {
				if i.due(clock(now)) {
					got += "F"
				} else {
					got += "-"
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
