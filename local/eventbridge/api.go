package eventbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"plaudit/local/part"
	"plaudit/local/pattern"
)

// maxBody is more than the largest request: entries of 1 MB, as text in JSON.
const maxBody = 8 << 20

// problem is an error of the API.
type problem struct {
	status        int
	code, message string
}

func (p problem) Error() string { return p.code + ": " + p.message }

func invalid(format string, args ...any) error {
	return problem{http.StatusBadRequest, "ValidationException", fmt.Sprintf(format, args...)}
}

func notFound(what, name string) error {
	return problem{http.StatusBadRequest, "ResourceNotFoundException", fmt.Sprintf("%s %s does not exist.", what, name)}
}

// action answers one action of the API.
type action func(s *Service, body []byte) (any, error)

// bind makes an action of a function that takes decoded JSON.
func bind[In any](do func(s *Service, in In) (any, error)) action {
	return func(s *Service, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, problem{http.StatusBadRequest, "SerializationException", "the request is not what the action takes: " + err.Error()}
		}
		return do(s, in)
	}
}

// actions are the actions that the laptop cloud serves. Buses and archives are made by
// the template only. Rules that the API makes end with the laptop cloud.
var actions = map[string]action{
	"PutEvents": bind((*Service).putEvents), "TestEventPattern": bind((*Service).testEventPattern),
	"ListEventBuses": bind((*Service).listEventBuses), "DescribeEventBus": bind((*Service).describeEventBus),
	"ListRules": bind((*Service).listRules), "DescribeRule": bind((*Service).describeRule), "ListTargetsByRule": bind((*Service).listTargets),
	"EnableRule": bind((*Service).enableRule), "DisableRule": bind((*Service).disableRule),
	"PutRule": bind((*Service).putRule), "DeleteRule": bind((*Service).deleteRule),
	"PutTargets": bind((*Service).putTargets), "RemoveTargets": bind((*Service).removeTargets),
	"ListArchives": bind((*Service).listArchives), "DescribeArchive": bind((*Service).describeArchive),
	"StartReplay": bind((*Service).apiStartReplay), "DescribeReplay": bind((*Service).describeReplay),
	"ListReplays": bind((*Service).listReplays), "CancelReplay": bind((*Service).cancelReplay),
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	do, ok := actions[name]
	if !ok {
		part.Refuse(w, r, http.StatusBadRequest, "UnknownOperationException", fmt.Sprintf("the laptop does not serve the action %q of EventBridge; its buses and archives come from the template", name))
		return
	}
	body, err := readAll(w, r)
	if err != nil {
		part.Refuse(w, r, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request's body is too large for the laptop's AWS endpoint")
		return
	}
	s.mu.RLock()
	stopped := s.journal == nil
	s.mu.RUnlock()
	var out any
	if stopped {
		err = errStopped
	} else {
		out, err = do(s, body)
	}
	var known problem
	switch {
	case errors.As(err, &known):
		part.Refuse(w, r, known.status, known.code, known.message)
	case errors.Is(err, errStopped): // SDKs repeat it
		part.Refuse(w, r, http.StatusServiceUnavailable, "ServiceUnavailable", "the event buses of the laptop cloud do not run")
	case err != nil:
		s.laptop.Log.Error("EventBridge", "action", name, "error", err)
		part.Refuse(w, r, http.StatusInternalServerError, "InternalException", err.Error())
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write(encode(out)) // the client is gone
	}
}

func (s *Service) putEvents(in struct{ Entries []Entry }) (any, error) {
	switch n := len(in.Entries); {
	case n == 0 || n > maxEntries:
		return nil, invalid("1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have between 1 and %d entries, not %d", maxEntries, n)
	}
	total := 0
	for _, e := range in.Entries {
		total += e.size()
		// The service may answer success and drop the event. Here it shows what is wired wrong.
		if name := busName(e.Bus); !s.hasBus(name) || strings.HasPrefix(e.Bus, "arn:") && e.Bus != s.busARN(name) {
			return nil, notFound("Event bus", e.Bus)
		}
	}
	if total > maxSize {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	results, err := s.put(in.Entries, false)
	if err != nil {
		return nil, err
	}
	failures := 0
	for _, r := range results {
		if r.Code != "" {
			failures++
		}
	}
	return map[string]any{"FailedEntryCount": failures, "Entries": results}, nil
}

func parsePattern(text string) (*pattern.Pattern, error) {
	p, err := pattern.ParseRule(text)
	if err != nil {
		return nil, problem{http.StatusBadRequest, "InvalidEventPatternException", "Event pattern is not valid. Reason: " + err.Error()}
	}
	return p, nil
}

func (s *Service) testEventPattern(in struct{ Event, EventPattern string }) (any, error) {
	p, err := parsePattern(in.EventPattern)
	if err != nil {
		return nil, err
	}
	document, err := pattern.Decode([]byte(in.Event))
	if err != nil || !strings.HasPrefix(strings.TrimSpace(in.Event), "{") {
		return nil, invalid("Parameter Event is not valid. Reason: Event must be a JSON object.")
	}
	return map[string]bool{"Result": p.Matches(document)}, nil
}

type busOut struct {
	Name        string
	ARN         string `json:"Arn"`
	Description string `json:",omitempty"`
}

func (s *Service) listEventBuses(in struct{ NamePrefix string }) (any, error) {
	out := []busOut{}
	for name, b := range s.buses {
		if strings.HasPrefix(name, in.NamePrefix) {
			out = append(out, busOut{name, s.busARN(name), b.description})
		}
	}
	slices.SortFunc(out, func(a, b busOut) int { return strings.Compare(a.Name, b.Name) })
	return map[string]any{"EventBuses": out}, nil
}

func (s *Service) describeEventBus(in struct{ Name string }) (any, error) {
	name := busName(in.Name)
	if !s.hasBus(name) {
		return nil, notFound("Event bus", name)
	}
	return busOut{name, s.busARN(name), s.buses[name].description}, nil
}

type ruleOut struct {
	Name               string
	ARN                string `json:"Arn"`
	EventBusName       string
	EventPattern       string `json:",omitempty"`
	ScheduleExpression string `json:",omitempty"`
	State              string
}

func (r *rule) out() ruleOut {
	state := "ENABLED"
	if r.disabled {
		state = "DISABLED"
	}
	return ruleOut{r.name, r.arn, r.bus, r.text, r.every, state}
}

func (s *Service) listRules(in struct{ EventBusName, NamePrefix string }) (any, error) {
	bus := busName(in.EventBusName)
	if !s.hasBus(bus) {
		return nil, notFound("Event bus", bus)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []ruleOut{}
	for _, r := range s.rules {
		if r.bus == bus && strings.HasPrefix(r.name, in.NamePrefix) {
			out = append(out, r.out())
		}
	}
	slices.SortFunc(out, func(a, b ruleOut) int { return strings.Compare(a.Name, b.Name) })
	return map[string]any{"Rules": out}, nil
}

// ruleIn names a rule.
type ruleIn struct{ Name, EventBusName string }

// named returns a rule. mu is held.
func (s *Service) named(name, bus string) (*rule, error) {
	r := s.rule(s.ruleARN(busName(bus), name))
	if r == nil {
		return nil, problem{http.StatusBadRequest, "ResourceNotFoundException", fmt.Sprintf("Rule %s does not exist on EventBus %s.", name, busName(bus))}
	}
	return r, nil
}

func (s *Service) describeRule(in ruleIn) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.named(in.Name, in.EventBusName)
	if err != nil {
		return nil, err
	}
	return r.out(), nil
}

func (s *Service) enableRule(in ruleIn) (any, error) { return s.setDisabled(in, false) }

func (s *Service) disableRule(in ruleIn) (any, error) { return s.setDisabled(in, true) }

func (s *Service) setDisabled(in ruleIn, disabled bool) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.named(in.Name, in.EventBusName)
	if err != nil {
		return nil, err
	}
	r.disabled = disabled
	return struct{}{}, nil
}

func (s *Service) putRule(in struct{ Name, EventBusName, EventPattern, ScheduleExpression, State string }) (any, error) {
	bus := busName(in.EventBusName)
	switch {
	case !s.hasBus(bus):
		return nil, notFound("Event bus", bus)
	case !namePattern.MatchString(in.Name) || len(in.Name) > 64:
		return nil, invalid("Name must be at most 64 letters, digits, dots, dashes and underscores")
	case in.ScheduleExpression != "":
		return nil, invalid("ScheduleExpression: schedules of the laptop cloud come from the template")
	case in.EventPattern == "":
		return nil, invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case in.State != "" && in.State != "ENABLED" && in.State != "DISABLED":
		return nil, invalid("State must be ENABLED or DISABLED")
	}
	p, err := parsePattern(in.EventPattern)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rule(s.ruleARN(bus, in.Name))
	if r == nil {
		r = &rule{bus: bus, name: in.Name, arn: s.ruleARN(bus, in.Name)}
		s.rules = append(s.rules, r)
	}
	r.text, r.pattern, r.disabled = in.EventPattern, p, in.State == "DISABLED"
	return map[string]string{"RuleArn": r.arn}, nil
}

func (s *Service) deleteRule(in ruleIn) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rule(s.ruleARN(busName(in.EventBusName), in.Name))
	switch {
	case r == nil:
		return struct{}{}, nil // as the service
	case r.id != "":
		return nil, invalid("the rule %s comes from the template: delete %s there", in.Name, r.id)
	case len(r.targets) > 0:
		return nil, invalid("Rule can't be deleted since it has targets.")
	}
	s.rules = slices.DeleteFunc(s.rules, func(other *rule) bool { return other == r })
	return struct{}{}, nil
}

// targetError is a target that was refused.
type targetError struct {
	ID      string `json:"TargetId"`
	Code    string `json:"ErrorCode"`
	Message string `json:"ErrorMessage"`
}

func (s *Service) putTargets(in struct {
	Rule, EventBusName string
	Targets            []targetIn
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.named(in.Rule, in.EventBusName)
	if err != nil {
		return nil, err
	}
	targets := slices.Clone(r.targets)
	refusals := []targetError{}
	for i, t := range in.Targets {
		parsed, fields := t.target()
		for _, f := range fields {
			return nil, invalid("Targets[%d].%s: %v", i, f.name, f.err)
		}
		if wrong := s.checkTarget(r, parsed); len(wrong) > 0 {
			refusals = append(refusals, targetError{t.ID, "InvalidArgument", wrong[0].name + ": " + wrong[0].err.Error()})
			continue
		}
		targets = slices.DeleteFunc(targets, func(other target) bool { return other.id == t.ID })
		targets = append(targets, parsed)
	}
	if len(targets) > maxTargets {
		return nil, problem{http.StatusBadRequest, "LimitExceededException", fmt.Sprintf("a rule must have at most %d targets", maxTargets)}
	}
	r.targets = targets
	return map[string]any{"FailedEntryCount": len(refusals), "FailedEntries": refusals}, nil
}

func (s *Service) removeTargets(in struct {
	Rule, EventBusName string
	IDs                []string `json:"Ids"`
}) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.named(in.Rule, in.EventBusName)
	if err != nil {
		return nil, err
	}
	r.targets = slices.DeleteFunc(slices.Clone(r.targets), func(t target) bool { return slices.Contains(in.IDs, t.id) })
	return map[string]any{"FailedEntryCount": 0, "FailedEntries": []targetError{}}, nil
}

func (s *Service) listTargets(in struct{ Rule, EventBusName string }) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.named(in.Rule, in.EventBusName)
	if err != nil {
		return nil, err
	}
	type out struct {
		ID         string `json:"Id"`
		ARN        string `json:"Arn"`
		DeadLetter any    `json:"DeadLetterConfig,omitempty"`
		Retry      any    `json:"RetryPolicy"`
	}
	targets := []out{}
	for _, t := range r.targets {
		one := out{ID: t.id, ARN: t.arn, Retry: map[string]int{"MaximumRetryAttempts": t.retries, "MaximumEventAgeInSeconds": int(t.age.Seconds())}}
		if t.deadLetter != "" {
			one.DeadLetter = map[string]string{"Arn": t.deadLetter}
		}
		targets = append(targets, one)
	}
	return map[string]any{"Targets": targets}, nil
}

type archiveOut struct {
	ArchiveName, EventSourceArn, State string
	ArchiveArn                         string `json:",omitempty"`
	EventPattern                       string `json:",omitempty"`
	RetentionDays                      int
	EventCount, SizeBytes              int64
	CreationTime                       Instant
}

func (s *Service) archiveOut(a *archive) archiveOut {
	count, bytes := a.totals()
	return archiveOut{
		ArchiveName: a.name, EventSourceArn: a.source, State: "ENABLED", RetentionDays: a.days,
		EventCount: count, SizeBytes: bytes, CreationTime: Instant{a.made},
	}
}

func (s *Service) listArchives(in struct{ NamePrefix, EventSourceArn string }) (any, error) {
	out := []archiveOut{}
	for _, a := range s.archives {
		if strings.HasPrefix(a.name, in.NamePrefix) && (in.EventSourceArn == "" || in.EventSourceArn == a.source) {
			out = append(out, s.archiveOut(a))
		}
	}
	return map[string]any{"Archives": out}, nil
}

// archive finds an archive by its name.
func (s *Service) archive(name string) (*archive, error) {
	i := slices.IndexFunc(s.archives, func(a *archive) bool { return a.name == name })
	if i < 0 {
		return nil, notFound("Archive", name)
	}
	return s.archives[i], nil
}

func (s *Service) describeArchive(in struct{ ArchiveName string }) (any, error) {
	a, err := s.archive(in.ArchiveName)
	if err != nil {
		return nil, err
	}
	out := s.archiveOut(a)
	out.ArchiveArn, out.EventPattern = s.archiveARN(a.name), a.text
	return out, nil
}

func (s *Service) archiveARN(name string) string { return s.laptop.ARN("events", "archive/"+name) }

type destination struct {
	ARN     string   `json:"Arn"`
	Filters []string `json:"FilterArns,omitempty"`
}

func (s *Service) apiStartReplay(in struct {
	ReplayName, Description, EventSourceArn string
	EventStartTime, EventEndTime            Instant
	Destination                             destination
}) (any, error) {
	a, err := s.archive(strings.TrimPrefix(in.EventSourceArn, s.archiveARN("")))
	if err != nil || in.EventSourceArn != s.archiveARN(a.name) {
		return nil, notFound("Archive", in.EventSourceArn)
	}
	switch {
	case !namePattern.MatchString(in.ReplayName) || len(in.ReplayName) > 64:
		return nil, invalid("ReplayName must be at most 64 letters, digits, dots, dashes and underscores")
	case in.EventStartTime.IsZero() || in.EventEndTime.IsZero() || !in.EventStartTime.Before(in.EventEndTime.Time):
		return nil, invalid("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.")
	case in.Destination.ARN != a.source:
		return nil, invalid("Parameter Destination.Arn is not valid. Reason: it must be the archive's event bus, %s.", a.source)
	}
	s.mu.RLock()
	for _, arn := range in.Destination.Filters {
		if r := s.rule(arn); r == nil || s.busARN(r.bus) != a.source {
			s.mu.RUnlock()
			return nil, notFound("Rule", arn)
		}
	}
	s.mu.RUnlock()
	err = s.startReplay(replay{
		Name: in.ReplayName, Description: in.Description, Archive: a.name, Bus: busName(a.source), Filters: in.Destination.Filters,
		From: in.EventStartTime.Time, To: in.EventEndTime.Time,
	}, a)
	if errors.Is(err, errReplayExists) {
		return nil, problem{http.StatusBadRequest, "ResourceAlreadyExistsException", fmt.Sprintf("Replay %s already exists.", in.ReplayName)}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"ReplayArn": s.replayARN(in.ReplayName), "State": starting, "ReplayStartTime": Instant{time.Now()}}, nil
}

func (s *Service) replayARN(name string) string { return s.laptop.ARN("events", "replay/"+name) }

type replayOut struct {
	ReplayName, EventSourceArn, State string
	ReplayArn                         string       `json:",omitempty"`
	Description                       string       `json:",omitempty"`
	StateReason                       string       `json:",omitempty"`
	Destination                       *destination `json:",omitempty"`
	EventStartTime, EventEndTime      Instant
	ReplayStartTime                   Instant
	EventLastReplayedTime             *Instant `json:",omitempty"`
	ReplayEndTime                     *Instant `json:",omitempty"`
}

func (s *Service) replayOut(r replay) replayOut {
	out := replayOut{
		ReplayName: r.Name, EventSourceArn: s.archiveARN(r.Archive), State: r.State, StateReason: r.Reason,
		EventStartTime: Instant{r.From}, EventEndTime: Instant{r.To}, ReplayStartTime: Instant{r.Began},
	}
	if !r.Last.IsZero() {
		out.EventLastReplayedTime = &Instant{r.Last}
	}
	if !r.Ended.IsZero() {
		out.ReplayEndTime = &Instant{r.Ended}
	}
	return out
}

func (s *Service) describeReplay(in struct{ ReplayName string }) (any, error) {
	r, ok := s.replays.named(in.ReplayName)
	if !ok {
		return nil, notFound("Replay", in.ReplayName)
	}
	out := s.replayOut(r)
	out.ReplayArn, out.Description = s.replayARN(r.Name), r.Description
	out.Destination = &destination{s.busARN(r.Bus), r.Filters}
	return out, nil
}

func (s *Service) listReplays(in struct{ NamePrefix, State, EventSourceArn string }) (any, error) {
	out := []replayOut{}
	for _, r := range s.replays.list() {
		if one := s.replayOut(r); strings.HasPrefix(r.Name, in.NamePrefix) && (in.State == "" || in.State == r.State) &&
			(in.EventSourceArn == "" || in.EventSourceArn == one.EventSourceArn) {
			out = append(out, one)
		}
	}
	return map[string]any{"Replays": out}, nil
}

func (s *Service) cancelReplay(in struct{ ReplayName string }) (any, error) {
	found, err := s.replays.cancel(in.ReplayName)
	switch {
	case !found:
		return nil, notFound("Replay", in.ReplayName)
	case errors.Is(err, errReplayEnded):
		return nil, problem{http.StatusBadRequest, "IllegalStatusException", fmt.Sprintf("Replay %s has ended.", in.ReplayName)}
	case err != nil:
		return nil, err
	}
	return map[string]any{"ReplayArn": s.replayARN(in.ReplayName), "State": cancelling}, nil
}

func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}
