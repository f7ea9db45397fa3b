package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/crash"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// Limits of other systems' events. Those of texts count characters. An event is also
// limited to MaxDocument.
const (
	MaxEvents     = 100       // of a batch
	MaxData       = 64 * 1024 // bytes of an event's data, as they were sent
	MaxRecipients = 20        // in notify
	MaxExtensions = 30
	maxValue      = 1000 // of an extension
	maxID         = 200
	maxSource     = 400
	maxType       = 200
	maxSubject    = 400 // with four bytes each, it still fits into a key of the index
	maxMediaType  = 200
	maxSchema     = 400
)

// atOnce is how many events of a batch are read or written at the same time.
const atOnce = 16

// Intake takes events of other systems into the log. Only admins and API keys with the
// scope events:write may add events; the route refuses everybody else.
type Intake struct {
	Log Log
	Now func() time.Time

	mu   sync.Mutex
	last time.Time
}

// Submission is an event as its sender wrote it.
type Submission struct {
	SpecVersion string
	Event       event.Event // with every attribute that is not a CloudEvent's own among its extensions
	DataSize    int         // bytes of the data as they were sent
	// Field returns the name by which the request knows an attribute, or `data`.
	Field  func(attribute string) string
	Faults fault.List // of its form
}

// Added is an event that the log has now.
type Added struct {
	Stored
	Replayed bool // the log had it before
}

// Add writes events into the log. It checks all of them, and whether the log has other
// events with their ids, before it writes any. If it fails later, some may have been
// written: an event that is sent again is written once. It also fails later if another
// request writes another event with one of the ids after the check. Events keep their
// order: each is recorded a microsecond after the one before.
func (in *Intake) Add(ctx context.Context, c access.Caller, submissions []Submission) ([]Added, error) {
	if err := checkAll(submissions); err != nil {
		return nil, err
	}
	added := make([]Added, len(submissions))
	if err := each(ctx, atOnce, len(added), func(ctx context.Context, i int) error {
		there, err := in.Log.Get(ctx, logID(submissions[i]))
		if err != nil || there == nil {
			return err
		}
		added[i], err = replay(*there, submissions[i])
		return err
	}); err != nil {
		return nil, err
	}
	at := in.times(len(added))
	for i, s := range submissions {
		if added[i].Replayed {
			continue
		}
		e := s.Event
		e.LogID, e.Actor, e.RecordedTime = logID(s), c.Actor(), at.Add(time.Duration(i)*time.Microsecond)
		if e.TraceParent == "" {
			e.TraceParent = trace.From(ctx).Parent
		}
		document, err := encode(e)
		if long := tooLong(0); errors.As(err, &long) {
			return nil, fault.Field(fault.TooLarge, s.Field("data"), "The event has %d bytes as JSON, where a control character of a text takes six, and must have at most %d. Send such data as bytes: in data_base64 or, in binary mode, as application/octet-stream.", int(long), MaxDocument)
		} else if err != nil {
			return nil, err
		}
		added[i].Stored = Stored{Event: e, Document: document}
	}
	written := make([]bool, len(added))
	err := each(ctx, atOnce, len(added), func(ctx context.Context, i int) error {
		if added[i].Replayed {
			written[i] = true
			return nil
		}
		crash.At(crash.IntakeBeforePut)
		other, err := in.Log.Put(ctx, added[i].Stored)
		crash.At(crash.IntakeAfterPut)
		switch {
		case err != nil:
			return err
		case other != nil: // somebody else was faster
			if added[i], err = replay(*other, submissions[i]); err != nil {
				return err
			}
		}
		written[i] = true
		return nil
	})
	// What was there may lack its index items, if the process ended too early.
	var there []event.Event
	for i, a := range added {
		if written[i] {
			there = append(there, a.Event)
		}
	}
	if len(there) > 0 {
		if err2 := in.Log.Index(ctx, there); err == nil {
			err = err2
		}
	}
	crash.At(crash.IntakeAfterAll)
	if err != nil {
		return nil, err
	}
	return added, nil
}

// ahead bounds how far the recorded times of a process may be ahead of its clock: further
// than events at once need, and shorter than a clock that was wrong is off.
const ahead = time.Second

// times returns the first of n instants that nothing of this process was recorded at, so
// that events keep their order. If the clock was set back, that does not hold: else one
// wrong look at it would date all later events of the process.
func (in *Intake) times(n int) time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	at := in.Now().UTC().Truncate(time.Microsecond)
	if !at.After(in.last) && in.last.Sub(at) <= ahead {
		at = in.last.Add(time.Microsecond)
	}
	in.last = at.Add(time.Duration(n-1) * time.Microsecond)
	return at
}

func logID(s Submission) string { return event.LogID(s.Event.Source, s.Event.ID) }

// replay returns the event that is there instead of a submission, or a fault unless the
// submission says the same.
func replay(there Stored, s Submission) (Added, error) {
	same, err := sameContent(there.Event, s.Event)
	if err != nil {
		return Added{}, err
	}
	if !same {
		return Added{}, fault.Field(fault.KeyReused, s.Field("id"), "The log has another event with this source and id, and an event never changes. Send a new event with an id of its own, or repeat the first one unchanged.")
	}
	return Added{there, true}, nil
}

// sameContent compares what senders say. The trace is that of the request, and so that
// of another attempt.
func sameContent(a, b event.Event) (bool, error) {
	var documents [2][]byte
	for i, e := range []event.Event{a, b} {
		e.LogID, e.Actor, e.RecordedTime, e.TraceParent = "", "", time.Time{}, ""
		var err error
		if documents[i], err = e.Encode(); err != nil {
			return false, err
		}
	}
	return bytes.Equal(documents[0], documents[1]), nil
}

// checkAll returns the faults of all submissions.
func checkAll(submissions []Submission) error {
	var faults fault.List
	seen := map[string]int{}
	for i, s := range submissions {
		if s.DataSize > MaxData {
			return fault.Field(fault.TooLarge, s.Field("data"), "An event's data must be at most %d bytes, and these are %d. Keep large data elsewhere, and refer to it.", MaxData, s.DataSize)
		}
		faults.Append(s.Faults...)
		s.check(&faults)
		if s.Event.ID == "" || s.Event.Source == "" {
			continue
		}
		if first, ok := seen[logID(s)]; ok {
			faults.Add(s.Field("id"), "must be unique within its source, but the event at [%d] has the same source and id", first)
		} else {
			seen[logID(s)] = i
		}
	}
	return faults.Err()
}

func (s Submission) check(faults *fault.List) {
	e := s.Event
	if s.SpecVersion != "1.0" {
		faults.Add(s.Field("specversion"), `must be "1.0"`)
	}
	for _, a := range []struct {
		name, value string
		max         int
		required    bool
	}{
		{"id", e.ID, maxID, true}, {"source", e.Source, maxSource, true}, {"type", string(e.Type), maxType, true},
		{"subject", e.Subject, maxSubject, true}, {"datacontenttype", e.DataContentType, maxMediaType, false}, {"dataschema", e.DataSchema, maxSchema, false},
	} {
		switch {
		case a.value != "":
			if err := checkValue(a.value, a.max); err != nil {
				faults.Add(s.Field(a.name), "%v", err)
			}
		case a.required:
			faults.Add(s.Field(a.name), "must be present")
		}
	}
	s.checkOurs(faults)
	s.checkForms(faults)
	if len(e.Extensions) > MaxExtensions {
		faults.Add(s.Field(slices.Max(slices.Collect(maps.Keys(e.Extensions)))), "is one attribute too many: an event must have at most %d besides those of CloudEvents; put what describes the change into data", MaxExtensions)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		switch value, text := e.Extensions[name].(string); {
		case slices.Contains(ours, name):
			faults.Add(s.Field(name), "is an attribute that only the log sets: leave it out, or put the value into data")
		case !extensionName.MatchString(name):
			faults.Add(s.Field(name), "is not the name of an attribute, which must be 1 to 20 characters of a-z and 0-9; put the value into data")
		case text && value != "":
			if err := checkValue(value, maxValue); err != nil {
				faults.Add(s.Field(name), "%v", err)
			}
		}
	}
}

// checkOurs adds the faults of an event that could be taken for one of ours.
func (s Submission) checkOurs(faults *fault.List) {
	if reservedType(string(s.Event.Type)) {
		faults.Add(s.Field("type"), "must not begin with plaudit. or what looks like it, because these types are Plaudit's own: use one of your own, such as com.example.task.moved")
	}
	if reservedSource(s.Event.Source) {
		faults.Add(s.Field("source"), "must not be /plaudit or below it, nor look like that, because these sources are Plaudit's own: use one of your own, such as /tracker")
	}
	if reservedSubject(s.Event.Subject) {
		faults.Add(s.Field("subject"), "must not begin with board/ or user/ or what looks like them, because these subjects are Plaudit's own: use one of your own, such as task/17")
	}
}

// checkForms adds the faults of attributes that have a form.
func (s Submission) checkForms(faults *fault.List) {
	e := s.Event
	if e.Source != "" && !reference(e.Source) {
		faults.Add(s.Field("source"), "must be a URI reference (RFC 3986), such as /tracker or https://example.com/tracker, with %%-escapes for what is not ASCII")
	}
	if e.Type != "" && !typeForm.MatchString(string(e.Type)) {
		faults.Add(s.Field("type"), "must consist of the letters A to Z in either case, digits and . _ - : / + ~ @ #, such as com.example.task.moved")
	}
	if e.DataSchema != "" && !absolute(e.DataSchema) {
		faults.Add(s.Field("dataschema"), "must be an absolute URI (RFC 3986), such as https://example.com/task-moved.json, with %%-escapes for what is not ASCII")
	}
	if e.DataContentType != "" && !mediaType(e.DataContentType) {
		faults.Add(s.Field("datacontenttype"), "must be a media type, such as application/json")
	}
	if strings.Contains(e.Subject, "*") {
		faults.Add(s.Field("subject"), "must not contain *, which stands for many subjects in a list")
	}
	if e.TraceParent != "" && trace.Parent(e.TraceParent) != e.TraceParent {
		faults.Add(s.Field("traceparent"), "must be a traceparent of version 00 (https://www.w3.org/TR/trace-context/)")
	}
	if e.Notify != "" {
		if err := checkRecipients(e.Notify); err != nil {
			faults.Add(s.Field("notify"), "%v", err)
		}
	}
	if y := e.Time.UTC().Year(); !e.Time.IsZero() && (y < 1000 || y > 9999) {
		faults.Add(s.Field("time"), "must be between the years 1000 and 9999")
	}
}

func checkRecipients(notify string) error {
	users := strings.Split(notify, ",")
	if len(users) > MaxRecipients {
		return fmt.Errorf("must name at most %d users, and names %d", MaxRecipients, len(users))
	}
	for i, user := range users {
		switch {
		case !userID(user):
			return fmt.Errorf("must be the ids of users, separated by commas without spaces; %q is not one", user)
		case slices.Contains(users[:i], user):
			return fmt.Errorf("names the user %s more than once", user)
		}
	}
	return nil
}
