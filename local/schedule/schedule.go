// Package schedule has the expressions of EventBridge's schedules, those of rules and
// those of EventBridge Scheduler, and a timer that follows them. The engine's own schedules know neither the functions nor the
// time zones that they accept.
//
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
package schedule

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plaudit/local/part"
)

// Timer calls functions as expressions say.
type Timer struct {
	items  []*item
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// item is an expression and what happens when it is due.
type item struct {
	expression Expression
	fire       func(now time.Time)

	next time.Time // zero: never
	seen time.Time // when that was last looked at
}

// Add adds a function, before Start. It must not block.
func (t *Timer) Add(e Expression, fire func(now time.Time)) {
	t.items = append(t.items, &item{expression: e, fire: fire})
}

// Start starts the timer. A rate counts from now on.
func (t *Timer) Start() {
	if len(t.items) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.work.Go(func() { t.run(ctx) })
}

// Stop stops the timer, and returns when nothing is called any more.
func (t *Timer) Stop() {
	if t.cancel != nil {
		t.cancel()
	}
	t.work.Wait()
}

// maxSleep is how long nothing is looked at. The clock may be set, or the machine
// may sleep, in the meantime.
const maxSleep = 10 * time.Second

func (t *Timer) run(ctx context.Context) {
	for {
		now := time.Now()
		sleep := maxSleep
		for _, i := range t.items {
			if i.due(now) {
				i.fire(now)
			}
			if !i.next.IsZero() {
				sleep = min(sleep, i.next.Sub(now))
			}
		}
		timer := time.NewTimer(max(sleep, time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// due reports whether the item fires now. What was missed while the machine
// slept fires once. After the clock was set back the item does not wait for the
// old time to come again.
func (i *item) due(now time.Time) bool {
	first := i.seen.IsZero()
	back := now.Round(0).Before(i.seen.Round(0)) // of the wall clock
	i.seen = now
	if first || back && i.byClock() {
		i.next = i.expression.Next(now)
		return false
	}
	if i.next.IsZero() || now.Before(i.next) {
		return false
	}
	at := i.next
	if i.next = i.expression.Next(at); !i.next.IsZero() && !now.Before(i.next) {
		i.next = i.expression.Next(now)
	}
	return true
}

// byClock reports whether the item follows the wall clock. A rate does not, and what
// fired once is not fired again.
func (i *item) byClock() bool {
	e := i.expression
	if limited, ok := e.(limited); ok {
		e = limited.Expression
	}
	_, ok := e.(cron)
	return ok
}

// Event returns the event that a rule with a schedule sends.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
func Event(n part.Names, ruleARN string, at time.Time) []byte {
	return event("aws.events", n.AccountID, n.Region, ruleARN, at, json.RawMessage("{}"))
}

func event(source, account, region, arn string, at time.Time, detail any) []byte {
	text, err := json.Marshal(struct {
		Version    string   `json:"version"`
		ID         string   `json:"id"`
		DetailType string   `json:"detail-type"`
		Source     string   `json:"source"`
		Account    string   `json:"account"`
		Time       string   `json:"time"`
		Region     string   `json:"region"`
		Resources  []string `json:"resources"`
		Detail     any      `json:"detail"`
	}{"0", uuid.NewString(), "Scheduled Event", source, account, at.UTC().Format(time.RFC3339), region, []string{arn}, detail})
	if err != nil {
		panic(err) // texts only
	}
	return text
}

// Payload returns what the schedule with an ARN, a rule or one of EventBridge Scheduler,
// sends to a function: its input, or an event if that is "".
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func Payload(arn, input string, at time.Time) []byte {
	parts := strings.SplitN(arn, ":", 6) // arn:aws:service:region:account:resource
	if len(parts) < 6 {
		parts = make([]string, 6)
	}
	ofScheduler := parts[2] == "scheduler"
	switch {
	case input == "" && ofScheduler:
		return event("aws.scheduler", parts[4], parts[3], arn, at, "{}") // a text, there
	case input == "":
		return event("aws.events", parts[4], parts[3], arn, at, json.RawMessage("{}"))
	case ofScheduler:
		return []byte(strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", arn, "<aws.scheduler.scheduled-time>", at.UTC().Format(time.RFC3339),
			"<aws.scheduler.execution-id>", uuid.NewString(), "<aws.scheduler.attempt-number>", "1",
		).Replace(input))
	}
	return []byte(input)
}
