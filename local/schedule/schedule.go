// Package schedule runs the EventBridge rules of a template that have a schedule:
// they invoke functions at a rate or by cron, in UTC. The engine's own schedules
// know neither the functions nor the time zones that they accept.
//
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/template"
)

// Functions finds functions and their permissions; *lambda.Part does.
type Functions interface {
	Function(nameOrARN string) (*lambda.Function, bool)
	Permissions(functionARN, principal, source string) (ids []string, ok bool)
}

// Service is the part that runs the rules.
type Service struct {
	laptop    part.Laptop
	functions Functions
	rules     []*rule
	cancel    context.CancelFunc
	work      sync.WaitGroup
}

// New returns the service for a stack, without rules.
func New(l part.Laptop, functions Functions) *Service {
	return &Service{laptop: l, functions: functions}
}

// rule is a rule of the template that is on.
type rule struct {
	id, arn    string // logical id
	expression Expression
	targets    []target

	next time.Time // zero: never
	seen time.Time // when that was last looked at
}

type target struct{ arn, input string } // input is JSON; "": the event

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::Events::Rule"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-rule.html
func (s *Service) Values(r template.Resource) map[string]any {
	name := s.laptop.Short(r, "Name", 64)
	return map[string]any{"Ref": name, "Arn": s.laptop.ARN("events", "rule/"+name)}
}

// ignored are properties without effect on a laptop, with the reason.
var ignored = map[string]string{
	"Name": "Values reads it", "Description": "only a text", "RoleArn": part.NoIAM, "Tags": "nothing reads them",
	// A rule hands the event over to Lambda, which here never fails to take it.
	// The function's own errors are Lambda's to retry.
	"Targets.RetryPolicy": "a handover to Lambda does not fail", "Targets.DeadLetterConfig": "a handover to Lambda does not fail",
}

// maxTargets is the limit of a rule.
const maxTargets = 5

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	var in struct {
		ScheduleExpression string `cfn:"ScheduleExpression,required"`
		State              string `cfn:"State"`
		EventBusName       string `cfn:"EventBusName"`
		Targets            []struct {
			Arn   string `cfn:"Arn,required"`
			ID    string `cfn:"Id,required"`
			Input string `cfn:"Input"`
		} `cfn:"Targets"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	var errs []error
	wrong := func(property, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", r.ID, property, fmt.Sprintf(format, args...)))
	}
	expression, err := Parse(in.ScheduleExpression)
	if err != nil {
		wrong("ScheduleExpression", "%v", err)
	}
	if in.State != "" && in.State != "ENABLED" && in.State != "DISABLED" {
		wrong("State", "it must be ENABLED or DISABLED, not %q", in.State)
	}
	if in.EventBusName != "" && in.EventBusName != "default" {
		wrong("EventBusName", "schedules exist on the default bus only")
	}
	if len(in.Targets) > maxTargets {
		wrong("Targets", "a rule must have at most %d targets, not %d", maxTargets, len(in.Targets))
	}
	one := &rule{id: r.ID, arn: s.Values(r)["Arn"].(string), expression: expression}
	var ids []string
	for i, t := range in.Targets {
		if slices.Contains(ids, t.ID) {
			wrong(fmt.Sprintf("Targets[%d].Id", i), "another target is called %s too", t.ID)
		}
		ids = append(ids, t.ID)
		if t.Input != "" && !json.Valid([]byte(t.Input)) {
			wrong(fmt.Sprintf("Targets[%d].Input", i), "it must be JSON")
		}
		one.targets = append(one.targets, target{t.Arn, t.Input})
	}
	if in.State != "DISABLED" {
		s.rules = append(s.rules, one)
	}
	return errors.Join(errs...)
}

// Link implements part.Linker.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	for _, r := range s.rules {
		for _, t := range r.targets {
			switch permissions, ok := s.functions.Permissions(t.arn, "events.amazonaws.com", r.arn); {
			case !ok:
				errs = append(errs, fmt.Errorf("%s: Targets: the laptop cloud invokes functions of the stack on a schedule, and %s is none", r.id, t.arn))
			case len(permissions) == 0:
				errs = append(errs, fmt.Errorf("%s: events.amazonaws.com has no permission to invoke %s for the rule %s; add an AWS::Lambda::Permission", r.id, t.arn, r.arn))
			}
		}
	}
	return errors.Join(errs...)
}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "", nil }

// Start implements part.Part. A rate counts from now on.
func (s *Service) Start(context.Context) error {
	if len(s.rules) == 0 {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.work.Go(func() { s.run(ctx) })
	s.laptop.Started("schedules", fmt.Sprintf("rules %d", len(s.rules)), time.Since(began))
	return nil
}

// Stop implements part.Part.
func (s *Service) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.work.Wait()
}

// maxSleep is how long nothing is looked at. The clock may be set, or the machine
// may sleep, in the meantime.
const maxSleep = 10 * time.Second

func (s *Service) run(ctx context.Context) {
	for {
		now := time.Now()
		sleep := maxSleep
		for _, r := range s.rules {
			if r.due(now) {
				s.fire(r, now)
			}
			if !r.next.IsZero() {
				sleep = min(sleep, r.next.Sub(now))
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

// due reports whether the rule fires now. What was missed while the machine
// slept fires once. After the clock was set back the rule does not wait for the
// old time to come again.
func (r *rule) due(now time.Time) bool {
	first := r.seen.IsZero()
	back := now.Round(0).Before(r.seen.Round(0)) // of the wall clock
	r.seen = now
	if first || back && r.byClock() {
		r.next = r.expression.Next(now)
		return false
	}
	if r.next.IsZero() || now.Before(r.next) {
		return false
	}
	at := r.next
	if r.next = r.expression.Next(at); !r.next.IsZero() && !now.Before(r.next) {
		r.next = r.expression.Next(now)
	}
	return true
}

// byClock reports whether the rule follows the wall clock. A rate does not.
func (r *rule) byClock() bool { _, ok := r.expression.(cron); return ok }

// fire invokes the rule's functions asynchronously: if a function fails, Lambda tries
// again as the function's EventInvokeConfig says.
func (s *Service) fire(r *rule, now time.Time) {
	for _, t := range r.targets {
		event := []byte(t.input)
		if t.input == "" {
			event = Event(s.laptop.Names, r.arn, now)
		}
		f, ok := s.functions.Function(t.arn)
		if !ok {
			s.laptop.Log.Error("a schedule's function does not exist", "rule", r.id, "function", t.arn)
			continue
		}
		if err := f.InvokeAsync(event); err != nil && !errors.Is(err, lambda.ErrClosed) {
			s.laptop.Log.Log(context.Background(), slog.LevelError, "a schedule's event is lost", "rule", r.id, "function", f.Name(), "error", err)
		}
	}
}

// Event returns the event that a rule with a schedule sends.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
func Event(n part.Names, ruleARN string, at time.Time) []byte {
	text, err := json.Marshal(struct {
		Version    string   `json:"version"`
		ID         string   `json:"id"`
		DetailType string   `json:"detail-type"`
		Source     string   `json:"source"`
		Account    string   `json:"account"`
		Time       string   `json:"time"`
		Region     string   `json:"region"`
		Resources  []string `json:"resources"`
		Detail     struct{} `json:"detail"`
	}{"0", uuid.NewString(), "Scheduled Event", "aws.events", n.AccountID, at.UTC().Format(time.RFC3339), n.Region, []string{ruleARN}, struct{}{}})
	if err != nil {
		panic(err) // texts only
	}
	return text
}
