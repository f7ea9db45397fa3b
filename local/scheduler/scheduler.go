// Package scheduler runs the schedules of EventBridge Scheduler: they invoke functions at
// a rate, by cron or once, by the clocks of a time zone. Schedules of rules are in
// local/eventbridge.
//
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/what-is-scheduler.html
package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
	_ "time/tzdata" // a machine may have no time zones

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/schedule"
	"plaudit/local/template"
)

// Functions finds functions; *lambda.Part does.
type Functions interface {
	Function(nameOrARN string) (*lambda.Function, bool) // while they run
	Permissions(functionARN, principal, source string) (ids []string, ok bool)
}

// Service is the part that runs the schedules.
type Service struct {
	laptop    part.Laptop
	functions Functions
	schedules []one
	timer     schedule.Timer
}

// one is a schedule of the template.
type one struct {
	id, name, arn string
	off           bool
	expression    schedule.Expression
	target, input string
}

// New returns the service for a stack, without schedules.
func New(l part.Laptop, functions Functions) *Service {
	return &Service{laptop: l, functions: functions}
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::Scheduler::Schedule"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedule.html
func (s *Service) Values(r template.Resource) map[string]any {
	name := s.laptop.Short(r, "Name", 64)
	return map[string]any{"Ref": name, "Arn": s.laptop.ARN("scheduler", "schedule/"+defaultGroup+"/"+name)}
}

const defaultGroup = "default"

// ignored are properties without effect on a laptop, with the reason.
var ignored = map[string]string{
	"Name": "Values reads it", "Description": "only a text", "KmsKeyArn": "nothing is encrypted on a laptop",
	// The schedule hands the event over to Lambda, which here never fails to take it. The
	// function's own errors are Lambda's to retry.
	"Target.RetryPolicy": "a handover to Lambda does not fail", "Target.DeadLetterConfig": "a handover to Lambda does not fail",
}

var namePattern = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	var in struct {
		Expression string `cfn:"ScheduleExpression,required"`
		Zone       string `cfn:"ScheduleExpressionTimezone"`
		StartDate  string `cfn:"StartDate"`
		EndDate    string `cfn:"EndDate"`
		GroupName  string `cfn:"GroupName"`
		State      string `cfn:"State"`
		Window     struct {
			Mode string `cfn:"Mode,required"`
		} `cfn:"FlexibleTimeWindow,required"`
		Target struct {
			Arn     string `cfn:"Arn,required"`
			RoleArn string `cfn:"RoleArn,required"`
			Input   string `cfn:"Input"`
		} `cfn:"Target,required"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	var errs []error
	wrong := func(property, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", r.ID, property, fmt.Sprintf(format, args...)))
	}
	values := s.Values(r)
	new := one{id: r.ID, name: values["Ref"].(string), arn: values["Arn"].(string), target: in.Target.Arn, input: in.Target.Input}
	if !namePattern.MatchString(new.name) {
		wrong("Name", "it must have between 1 and 64 letters, digits, _, . and -")
	}
	if slices.ContainsFunc(s.schedules, func(other one) bool { return other.name == new.name }) {
		wrong("Name", "the stack has another schedule called %s", new.name)
	}
	zone, err := time.UTC, error(nil)
	if in.Zone != "" {
		zone, err = time.LoadLocation(in.Zone)
	}
	if err != nil || in.Zone == "Local" { // which is this machine's
		wrong("ScheduleExpressionTimezone", "%q is not a time zone of the IANA database, such as Asia/Seoul", in.Zone)
		zone = time.UTC
	}
	date := func(property, text string) (at time.Time) {
		if text != "" {
			if at, err = time.Parse(time.RFC3339, text); err != nil {
				wrong(property, "%q must be a date and a time, such as 2026-11-28T00:00:00Z", text)
			}
		}
		return at
	}
	start, end := date("StartDate", in.StartDate), date("EndDate", in.EndDate)
	if !start.IsZero() && !end.IsZero() && !start.Before(end) {
		wrong("EndDate", "it must be later than StartDate")
	}
	expression, err := schedule.ParseIn(in.Expression, zone)
	if err != nil {
		wrong("ScheduleExpression", "%v", err)
	} else {
		new.expression = schedule.Limit(expression, start, end)
	}
	switch in.State {
	case "", "ENABLED":
	case "DISABLED":
		new.off = true
	default:
		wrong("State", "it must be ENABLED or DISABLED, not %q", in.State)
	}
	if in.GroupName != "" && in.GroupName != defaultGroup {
		wrong("GroupName", "the laptop cloud has the group %s only", defaultGroup)
	}
	if in.Window.Mode != "OFF" {
		wrong("FlexibleTimeWindow.Mode", "the laptop cloud supports OFF only, not %q", in.Window.Mode)
	}
	if in.Target.Input != "" && !json.Valid([]byte(in.Target.Input)) {
		wrong("Target.Input", "it must be JSON")
	}
	s.schedules = append(s.schedules, new)
	return errors.Join(errs...)
}

// Link implements part.Linker. A schedule invokes in its role, and needs no permission of
// the function's; what roles permit is not checked on a laptop.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	for _, one := range s.schedules {
		if _, ok := s.functions.Permissions(one.target, "scheduler.amazonaws.com", one.arn); !ok {
			errs = append(errs, fmt.Errorf("%s: Target.Arn: the laptop cloud invokes functions of the stack on a schedule, and %s is none", one.id, one.target))
		}
	}
	return errors.Join(errs...)
}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "", nil }

// Start implements part.Part.
func (s *Service) Start(context.Context) error { return nil }

// Await implements part.Awaited: the schedules begin when the stack is set up, because a
// rate fires at once.
func (s *Service) Await(context.Context) error {
	began := time.Now()
	var listed []part.RunSchedule
	for _, one := range s.schedules {
		f, ok := s.functions.Function(one.target)
		if one.off || !ok {
			continue
		}
		s.timer.Add(one.expression, func(now time.Time) {
			if err := f.InvokeAsync(schedule.Payload(one.arn, one.input, now)); err != nil && !errors.Is(err, lambda.ErrClosed) {
				s.laptop.Log.Error("a schedule's event is lost", "schedule", one.name, "function", f.Name(), "error", err)
			}
		})
		listed = append(listed, part.RunSchedule{Name: one.name, ARN: one.arn, Function: f.Name(), Input: one.input})
	}
	if len(listed) == 0 {
		return nil
	}
	s.timer.Start()
	s.laptop.Started("EventBridge Scheduler", fmt.Sprintf("schedules %d", len(listed)), time.Since(began))
	return s.laptop.ChangeRun(func(r *part.Run) { r.Schedules = append(r.Schedules, listed...) })
}

// Stop implements part.Part.
func (s *Service) Stop() { s.timer.Stop() }
