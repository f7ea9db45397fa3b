package eventbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"plaudit/local/pattern"
	"plaudit/local/schedule"
	"plaudit/local/template"
)

// namePattern is what names of buses, rules, archives and replays are made of.
var namePattern = regexp.MustCompile(`^[.\-_A-Za-z0-9]+$`)

// rule is a rule. Its fields change only while Service.mu is held.
type rule struct {
	id        string // logical id; "" if it was made by the API
	bus, name string
	arn       string
	disabled  bool
	text      string              // of the pattern
	pattern   *pattern.Pattern    // nil: none
	every     string              // text of the schedule
	schedule  schedule.Expression // nil: none
	targets   []target
}

// Limits of rules and retries.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const (
	maxTargets  = 5
	maxAttempts = 185
	minAge      = time.Minute
	maxAge      = 24 * time.Hour
)

// target is a target of a rule.
type target struct {
	id, arn    string
	input      input
	retries    int
	age        time.Duration
	deadLetter string // ARN of a queue; "": none
}

// targetIn is a target as templates and the API have it.
type targetIn struct {
	ID               string `cfn:"Id,required" json:"Id"`
	ARN              string `cfn:"Arn,required" json:"Arn"`
	Input            string `cfn:"Input" json:"Input,omitempty"`
	InputPath        string `cfn:"InputPath" json:"InputPath,omitempty"`
	InputTransformer *struct {
		Paths    map[string]string `cfn:"InputPathsMap" json:"InputPathsMap,omitempty"`
		Template string            `cfn:"InputTemplate,required" json:"InputTemplate"`
	} `cfn:"InputTransformer" json:"InputTransformer,omitempty"`
	RetryPolicy *struct {
		Attempts *int `cfn:"MaximumRetryAttempts" json:"MaximumRetryAttempts,omitempty"`
		Age      *int `cfn:"MaximumEventAgeInSeconds" json:"MaximumEventAgeInSeconds,omitempty"`
	} `cfn:"RetryPolicy" json:"RetryPolicy,omitempty"`
	DeadLetter *struct {
		ARN string `cfn:"Arn" json:"Arn,omitempty"`
	} `cfn:"DeadLetterConfig" json:"DeadLetterConfig,omitempty"`
}

// field is an error of a property.
type field struct {
	name string
	err  error
}

func (t targetIn) target() (out target, wrong []field) {
	out = target{id: t.ID, arn: t.ARN, retries: maxAttempts, age: maxAge}
	set := 0
	for _, given := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if given {
			set++
		}
	}
	if set > 1 {
		wrong = append(wrong, field{"Input", errors.New("only one of Input, InputPath and InputTransformer can be set")})
	}
	switch {
	case t.Input != "":
		if out.input.constant = []byte(t.Input); !json.Valid(out.input.constant) {
			wrong = append(wrong, field{"Input", errors.New("it must be JSON")})
		}
	case t.InputPath != "":
		path, err := parsePath(t.InputPath)
		if err != nil {
			wrong = append(wrong, field{"InputPath", err})
		}
		out.input.path = path
	case t.InputTransformer != nil:
		transformer, fields := parseTransformer(t.InputTransformer.Paths, t.InputTransformer.Template)
		for _, f := range fields {
			wrong = append(wrong, field{"InputTransformer." + f.name, f.err})
		}
		out.input.transformer = transformer
	}
	if p := t.RetryPolicy; p != nil && p.Attempts != nil {
		if out.retries = *p.Attempts; out.retries < 0 || out.retries > maxAttempts {
			wrong = append(wrong, field{"RetryPolicy.MaximumRetryAttempts", fmt.Errorf("it must be between 0 and %d, not %d", maxAttempts, *p.Attempts)})
		}
	}
	if p := t.RetryPolicy; p != nil && p.Age != nil {
		if out.age = time.Duration(*p.Age) * time.Second; out.age < minAge || out.age > maxAge {
			wrong = append(wrong, field{"RetryPolicy.MaximumEventAgeInSeconds", fmt.Errorf("it must be between %d and %d, not %d", int(minAge.Seconds()), int(maxAge.Seconds()), *p.Age)})
		}
	}
	if t.DeadLetter != nil {
		out.deadLetter = t.DeadLetter.ARN
	}
	return out, wrong
}

func (s *Service) readRule(r template.Resource) error {
	var in struct {
		ScheduleExpression string         `cfn:"ScheduleExpression"`
		EventPattern       map[string]any `cfn:"EventPattern"`
		State              string         `cfn:"State"`
		EventBusName       string         `cfn:"EventBusName"`
		Targets            []targetIn     `cfn:"Targets"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	var errs []error
	wrong := func(property, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %w", r.ID, property, fmt.Errorf(format, args...)))
	}
	name := s.laptop.Short(r, "Name", 64)
	one := &rule{id: r.ID, bus: busName(in.EventBusName), name: name, disabled: in.State == "DISABLED", every: in.ScheduleExpression}
	one.arn = s.ruleARN(one.bus, name)
	if !namePattern.MatchString(name) || len(name) > 64 {
		wrong("Name", "it must be at most 64 letters, digits, dots, dashes and underscores")
	}
	if in.ScheduleExpression == "" && in.EventPattern == nil {
		wrong("EventPattern", "a rule must have an EventPattern or a ScheduleExpression")
	}
	if in.ScheduleExpression != "" {
		expression, err := schedule.Parse(in.ScheduleExpression)
		if err != nil {
			wrong("ScheduleExpression", "%w", err)
		}
		if one.bus != defaultBus {
			wrong("EventBusName", "schedules exist on the default bus only")
		}
		if !one.disabled {
			one.schedule = expression
		}
	}
	if in.EventPattern != nil {
		text, err := json.Marshal(in.EventPattern)
		if err != nil {
			return err
		}
		one.text = string(text)
		if one.pattern, err = pattern.ParseRule(one.text); err != nil {
			wrong("EventPattern", "%w", err)
		}
	}
	if in.State != "" && in.State != "ENABLED" && in.State != "DISABLED" {
		wrong("State", "it must be ENABLED or DISABLED, not %q", in.State)
	}
	if len(in.Targets) > maxTargets {
		wrong("Targets", "a rule must have at most %d targets, not %d", maxTargets, len(in.Targets))
	}
	for i, t := range in.Targets {
		if slices.ContainsFunc(one.targets, func(other target) bool { return other.id == t.ID }) {
			wrong(fmt.Sprintf("Targets[%d].Id", i), "another target is called %s too", t.ID)
		}
		parsed, fields := t.target()
		for _, f := range fields {
			wrong(fmt.Sprintf("Targets[%d].%s", i, f.name), "%w", f.err)
		}
		one.targets = append(one.targets, parsed)
	}
	s.rules = append(s.rules, one)
	return errors.Join(errs...)
}

func (s *Service) readArchive(r template.Resource) error {
	var in struct {
		Name          string         `cfn:"ArchiveName"`
		SourceARN     string         `cfn:"SourceArn,required"`
		EventPattern  map[string]any `cfn:"EventPattern"`
		RetentionDays int            `cfn:"RetentionDays"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	var errs []error
	one := &archive{id: r.ID, name: s.laptop.Short(r, "ArchiveName", 48), source: in.SourceARN, days: in.RetentionDays}
	if !namePattern.MatchString(one.name) || one.name[0] == '.' || len(one.name) > 48 {
		errs = append(errs, fmt.Errorf("%s: ArchiveName: it must be at most 48 letters, digits, dots, dashes and underscores, and not begin with a dot", r.ID))
	}
	if in.RetentionDays < 0 {
		errs = append(errs, fmt.Errorf("%s: RetentionDays: it must not be negative; 0 keeps events without end", r.ID))
	}
	if slices.ContainsFunc(s.archives, func(other *archive) bool { return other.name == one.name }) {
		errs = append(errs, fmt.Errorf("%s: ArchiveName: another archive of the stack is called %s too", r.ID, one.name))
	}
	if in.EventPattern != nil {
		text, err := json.Marshal(in.EventPattern)
		if err != nil {
			return err
		}
		one.text = string(text)
		if one.pattern, err = pattern.ParseRule(one.text); err != nil {
			errs = append(errs, fmt.Errorf("%s: EventPattern: %w", r.ID, err))
		}
	}
	one.folder = func() string { return s.archiveFolder(one.name) }
	s.archives = append(s.archives, one)
	return errors.Join(errs...)
}
