// Package eventbridge runs the event buses of a template, with their rules, archives
// and replays, and the rules that have a schedule.
//
// All of it is ours. The engine loses targets' retry policies and dead-letter queues, an
// event's own time and the rules that a replay is for, keeps every event in memory, and
// forgets all of it when it is killed. Here an event that PutEvents has taken is in a file
// before the answer: what a rule matched comes to its target at least once, however the
// laptop cloud ends.
//
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-what-is.html
package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/schedule"
	"plaudit/local/template"
)

const (
	busType     = "AWS::Events::EventBus"
	ruleType    = "AWS::Events::Rule"
	archiveType = "AWS::Events::Archive"
)

// principal is the service in policies and permissions.
const principal = "events.amazonaws.com"

// defaultBus is the bus that every account has.
const defaultBus = "default"

// stopGrace is how long deliveries under way may go on after Deliverer's Stop.
const stopGrace = 3 * time.Second

// Functions finds functions and their permissions; *lambda.Part does.
type Functions interface {
	Function(nameOrARN string) (*lambda.Function, bool)
	Permissions(functionARN, principal, source string) (ids []string, ok bool)
}

// Queues finds queues and their policies; *sqs.Service does.
type Queues interface {
	MaySend(queueARN, principal, source string) (ok bool, missing error)
}

// Service is the part that runs the buses.
type Service struct {
	laptop    part.Laptop
	functions Functions
	queues    Queues
	timer     schedule.Timer
	sender    sender

	mu       sync.RWMutex // of what the API can change
	buses    map[string]bus
	rules    []*rule
	archives []*archive
	journal  *journal // nil: not started
	replays  replays

	ending context.Context // done when deliveries under way must end
	end    context.CancelFunc
	laneMu sync.Mutex
	lanes  map[string]*lane
	open   bool // deliveries are made
	work   sync.WaitGroup
}

type bus struct{ id, description string }

// New returns the service for a stack, which has the default bus only.
func New(l part.Laptop, functions Functions, queues Queues) *Service {
	ending, end := context.WithCancel(context.Background())
	return &Service{
		ending: ending, end: end, laptop: l, functions: functions, queues: queues, sender: newSender(l),
		buses: map[string]bus{defaultBus: {}}, lanes: map[string]*lane{},
	}
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{busType, ruleType, archiveType} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Events.html
func (s *Service) Values(r template.Resource) map[string]any {
	switch r.Type {
	case busType:
		name := s.laptop.Short(r, "Name", 256)
		return map[string]any{"Ref": name, "Name": name, "Arn": s.busARN(name)}
	case archiveType:
		name := s.laptop.Short(r, "ArchiveName", 48)
		return map[string]any{"Ref": name, "ArchiveName": name, "Arn": s.laptop.ARN("events", "archive/"+name)}
	}
	name := s.laptop.Short(r, "Name", 64)
	on, _ := r.Properties["EventBusName"].(string)
	on = busName(on)
	ref := name
	if on != defaultBus {
		ref = on + "|" + name
	}
	return map[string]any{"Ref": ref, "Arn": s.ruleARN(on, name)}
}

func (s *Service) busARN(name string) string { return s.laptop.ARN("events", "event-bus/"+name) }

func (s *Service) ruleARN(bus, name string) string {
	if bus == defaultBus {
		return s.laptop.ARN("events", "rule/"+name)
	}
	return s.laptop.ARN("events", "rule/"+bus+"/"+name)
}

// busName returns the name of a bus that is given by its name or ARN.
func busName(nameOrARN string) string {
	if nameOrARN == "" {
		return defaultBus
	}
	if _, name, ok := strings.Cut(nameOrARN, ":event-bus/"); ok && strings.HasPrefix(nameOrARN, "arn:") {
		return name
	}
	return nameOrARN
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	busType: {
		"Tags": "nothing reads them", "Policy": part.NoIAM, "KmsKeyIdentifier": "the disk is this machine's",
		"DeadLetterConfig": "only for events that cannot be encrypted", "LogConfig": "logs go to .local/laptop.log",
	},
	archiveType: {"Description": "only a text", "KmsKeyIdentifier": "the disk is this machine's"},
	ruleType: {
		"Name": "Values reads it", "Description": "only a text", "RoleArn": part.NoIAM, "Tags": "nothing reads them",
		"Targets.RoleArn": part.NoIAM,
	},
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	switch r.Type {
	case busType:
		return s.readBus(r)
	case archiveType:
		return s.readArchive(r)
	}
	return s.readRule(r)
}

func (s *Service) readBus(r template.Resource) error {
	var in struct {
		Name        string `cfn:"Name,required"`
		Description string `cfn:"Description"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	if in.Name == defaultBus || !namePattern.MatchString(in.Name) || len(in.Name) > 256 {
		return fmt.Errorf("%s: Name: it must be at most 256 letters, digits, dots, dashes and underscores, and not %s", r.ID, defaultBus)
	}
	if other, ok := s.buses[in.Name]; ok {
		return fmt.Errorf("%s: Name: %s has the same name", r.ID, other.id)
	}
	s.buses[in.Name] = bus{r.ID, in.Description}
	return nil
}

// Link implements part.Linker.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	names := map[string]string{} // logical ids, by ARN
	for _, r := range s.rules {
		if other := names[r.arn]; other != "" {
			errs = append(errs, fmt.Errorf("%s: Name: %s has the same name", r.id, other))
		}
		names[r.arn] = r.id
		if _, ok := s.buses[r.bus]; !ok {
			errs = append(errs, fmt.Errorf("%s: EventBusName: the stack has no bus %s", r.id, r.bus))
		}
		for i, t := range r.targets {
			for _, wrong := range s.checkTarget(r, t) {
				errs = append(errs, fmt.Errorf("%s: Targets[%d].%s: %w", r.id, i, wrong.name, wrong.err))
			}
		}
	}
	for _, a := range s.archives {
		if name := busName(a.source); s.busARN(name) != a.source || s.buses[name].id == "" && name != defaultBus {
			errs = append(errs, fmt.Errorf("%s: SourceArn: the stack has no bus with the ARN %s", a.id, a.source))
		}
	}
	return errors.Join(errs...)
}

// checkTarget reports what keeps a rule from its target.
func (s *Service) checkTarget(r *rule, t target) (wrong []field) {
	add := func(name, format string, args ...any) {
		wrong = append(wrong, field{name, fmt.Errorf(format, args...)})
	}
	queue := func(name, arn string) {
		switch ok, missing := s.queues.MaySend(arn, principal, r.arn); {
		case !ok:
			add(name, "the stack has no queue %s", arn)
		case missing != nil:
			add(name, "%w", missing)
		}
	}
	switch {
	case strings.Contains(t.arn, ":lambda:"):
		switch permissions, ok := s.functions.Permissions(t.arn, principal, r.arn); {
		case !ok:
			add("Arn", "the stack has no function %s", t.arn)
		case len(permissions) == 0:
			add("Arn", "%s has no permission to invoke %s for the rule %s; add an AWS::Lambda::Permission", principal, t.arn, r.arn)
		}
	case strings.Contains(t.arn, ":sqs:") && strings.HasSuffix(t.arn, ".fifo"):
		add("Arn", "the laptop cloud sends to no FIFO queues such as %s", t.arn)
	case strings.Contains(t.arn, ":sqs:"):
		queue("Arn", t.arn)
	case strings.HasPrefix(t.arn, s.busARN("")):
		if _, ok := s.buses[busName(t.arn)]; !ok || busName(t.arn) == r.bus {
			add("Arn", "the stack has no other bus %s", t.arn)
		}
	default:
		add("Arn", "the laptop cloud sends events to functions, queues and buses of the stack, and %s is none of them", t.arn)
	}
	if t.deadLetter != "" {
		queue("DeadLetterConfig.Arn", t.deadLetter)
	}
	return wrong
}

// folder is where the service keeps its files.
func (s *Service) folder() string { return folderIn(s.laptop.Folder) }

func folderIn(folder string) string { return filepath.Join(folder, "eventbridge") }

// Remove deletes what the buses keep in .local.
func Remove(folder string) error { return os.RemoveAll(folderIn(folder)) }

// Start implements part.Part: events are taken from now on, and kept. Deliverer delivers
// them.
func (s *Service) Start(context.Context) error {
	began := time.Now()
	if err := os.MkdirAll(s.folder(), 0o700); err != nil {
		return err
	}
	journal, waiting, err := openJournal(filepath.Join(s.folder(), "deliveries.log"), s.laptop.Log)
	if err != nil {
		return err
	}
	if err := s.openArchives(); err != nil {
		return errors.Join(err, journal.close())
	}
	if err := s.replays.load(filepath.Join(s.folder(), "replays.json")); err != nil {
		return errors.Join(err, journal.close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = journal
	s.submit(waiting)
	if len(s.buses) == 1 && len(s.rules)+len(s.archives)+len(waiting) == 0 {
		return nil // the default bus, which every account has, is not worth a line
	}
	s.laptop.Started("EventBridge", fmt.Sprintf("buses %d, rules %d, archives %d%s", len(s.buses), len(s.rules), len(s.archives), atWait(len(waiting))), time.Since(began))
	return nil
}

func atWait(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", events to deliver %d", n)
}

// Stop implements part.Part. What is not delivered is kept.
func (s *Service) Stop() {
	s.replays.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal == nil {
		return
	}
	errs := []error{s.journal.close()}
	s.journal = nil
	for _, a := range s.archives {
		errs = append(errs, a.close())
	}
	if err := errors.Join(errs...); err != nil {
		s.laptop.Log.Error("EventBridge", "error", err)
	}
}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "events", http.HandlerFunc(s.serve) }

// Deliverer is the part that delivers what the buses keep, and runs the schedules. It
// starts after the functions, and stops before them.
type Deliverer struct{ service *Service }

// Deliverer returns the deliverer of the service's events.
func (s *Service) Deliverer() *Deliverer { return &Deliverer{s} }

// Types implements part.Part: the resources are the service's.
func (d *Deliverer) Types() []string { return nil }

// Values implements part.Part.
func (d *Deliverer) Values(template.Resource) map[string]any { return nil }

// Read implements part.Part.
func (d *Deliverer) Read(template.Resource) error { return nil }

// API implements part.Part.
func (d *Deliverer) API() (string, http.Handler) { return "", nil }

// Start implements part.Part.
func (d *Deliverer) Start(context.Context) error {
	s := d.service
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.journal == nil {
		return nil
	}
	began := time.Now()
	schedules := 0
	for _, r := range s.rules {
		if r.schedule != nil {
			schedules++
			s.timer.Add(r.schedule, func(now time.Time) { s.fire(r, now) })
		}
	}
	s.timer.Start()
	if schedules > 0 {
		s.laptop.Started("schedules", fmt.Sprintf("rules %d", schedules), time.Since(began))
		if err := s.laptop.ChangeRun(s.listSchedules); err != nil {
			return err
		}
	}
	s.laneMu.Lock()
	defer s.laneMu.Unlock()
	s.open = true
	for _, l := range s.lanes {
		l.start()
	}
	return nil
}

// listSchedules adds the schedules that are on and invoke a function to run.json, except
// those that transform their event.
func (s *Service) listSchedules(r *part.Run) {
	for _, one := range s.rules {
		for _, t := range one.targets {
			f, ok := s.functions.Function(t.arn)
			if !ok || one.schedule == nil || one.disabled || t.input.path != nil || t.input.transformer != nil {
				continue
			}
			r.Schedules = append(r.Schedules, part.RunSchedule{Name: one.name, ARN: one.arn, Function: f.Name(), Input: string(t.input.constant)})
		}
	}
}

// Stop implements part.Part. It returns when no delivery is under way.
func (d *Deliverer) Stop() {
	s := d.service
	s.timer.Stop()
	s.laneMu.Lock()
	s.open = false
	for _, l := range s.lanes {
		l.stop()
	}
	s.laneMu.Unlock()
	grace := time.AfterFunc(stopGrace, s.end)
	s.work.Wait()
	grace.Stop()
}

// rule finds a rule by its ARN.
func (s *Service) rule(arn string) *rule {
	i := slices.IndexFunc(s.rules, func(r *rule) bool { return r.arn == arn })
	if i < 0 {
		return nil
	}
	return s.rules[i]
}
