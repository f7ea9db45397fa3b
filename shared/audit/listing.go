package audit

import (
	"context"
	"regexp"
	"strings"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
)

// anyBelow at the end of a subject in a filter selects all subjects of its root.
const anyBelow = "/*"

// Filter selects events of a list. Empty fields select all.
type Filter struct {
	Subject   string // exact, or a root and /*
	Actor     string
	Type      string
	From, To  time.Time // of recordedtime; To is exclusive
	Ascending bool
}

// Check adds the filter's faults.
func (f Filter) Check(faults *fault.List) {
	for _, a := range []struct {
		name, value string
		max         int
	}{{"subject", f.Subject, maxSubject}, {"actor", f.Actor, maxValue}, {"type", f.Type, maxType}} {
		if a.value == "" {
			continue
		}
		if err := checkValue(a.value, a.max); err != nil {
			faults.Add(a.name, "%v", err)
		}
	}
	root, all := strings.CutSuffix(f.Subject, anyBelow)
	if strings.Contains(root, "*") || all && (event.Root(root) != root || !strings.Contains(root, "/")) {
		faults.Add("subject", "must be a whole subject, such as board/seoul-2026/player/bib-7, or the first two segments of one and /*, such as board/seoul-2026/*; there are no other prefixes")
	}
}

// query returns the query over the narrowest dimension, and what is left to compare. A
// caller who may read the events only as their actor gets a query over the actor: one
// over the subject would look at the events of others, and how far its pages get would
// show whether these exist, and when they happened.
func (f Filter) query(ownActor bool) (q Query, rest func(event.Event) bool) {
	q = Query{Dimension: All, From: ceil(f.From), To: ceil(f.To), Ascending: f.Ascending}
	subject, actor, typ := f.Subject, f.Actor, f.Type
	root, all := strings.CutSuffix(subject, anyBelow)
	switch {
	case ownActor || subject == "" && actor != "":
		q.Dimension, q.Value, actor = ByActor, actor, ""
	case all:
		q.Dimension, q.Value, subject = ByRoot, root, ""
	case subject != "":
		q.Dimension, q.Value, subject = BySubject, subject, ""
	case typ != "":
		q.Dimension, q.Value, typ = ByType, typ, ""
	}
	if subject == "" && actor == "" && typ == "" {
		return q, nil
	}
	return q, func(e event.Event) bool {
		return (subject == "" || e.Subject == subject || all && event.Root(e.Subject) == root) &&
			(actor == "" || e.Actor == actor) && (typ == "" || string(e.Type) == typ)
	}
}

// ceil rounds a bound up to the microsecond, in which events are recorded.
func ceil(t time.Time) time.Time {
	if cut := t.Truncate(time.Microsecond); cut.Before(t) {
		return cut.Add(time.Microsecond)
	}
	return t
}

const (
	// rounds and perRound bound how many events a page looks at to find those that a
	// filter selects.
	rounds, perRound = 5, 100
	// pageBytes bounds the documents of a page, which become larger when they are sent.
	pageBytes = 700_000
	// ExportLimit is how many events a page of an export may have.
	ExportLimit = 500
	// exportLag is how long before now an export ends. By then every event is listed,
	// unless the relay is late.
	exportLag = 10 * time.Second
)

// Reader reads the log for callers.
type Reader struct {
	Log Log
	Now func() time.Time
}

// Page is a page of a list. Next is the place after the last event that it looked at, nil
// at the end. It may have fewer events than its limit, even none, although more follow.
type Page struct {
	Events []Stored
	Next   *Place
}

// Event returns an event by its logid. One that the caller may not read looks like one
// that does not exist.
func (r *Reader) Event(ctx context.Context, c access.Caller, logID string) (Stored, error) {
	if err := mayRead(c); err != nil {
		return Stored{}, err
	}
	absent := fault.Field(fault.NotFound, "logid", "The log has no event with this logid, or you may not read it.")
	if !ValidLogID(logID) {
		return Stored{}, absent
	}
	e, err := r.Log.Get(ctx, logID)
	if err != nil {
		return Stored{}, err
	}
	if e == nil {
		return Stored{}, absent
	}
	if ok, err := r.readsEvent(ctx, c, e.Event); err != nil {
		return Stored{}, err
	} else if !ok {
		return Stored{}, absent
	}
	return *e, nil
}

// List returns the events that the filter selects after a place, or from the beginning
// if it is nil.
//
// An event that was listed before the first page is on exactly one page: its place never
// changes, and a page begins after the place at which the one before ended. One that is
// written meanwhile is listed if its place is still ahead; it hides no other.
func (r *Reader) List(ctx context.Context, c access.Caller, f Filter, after *Place, limit int) (Page, error) {
	ownActor, err := r.mayList(ctx, c, f)
	if err != nil {
		return Page{}, err
	}
	q, keep := f.query(ownActor)
	if after != nil {
		q.After = *after
	}
	var page Page
	size := 0
	for range rounds {
		q.Limit, q.MaxBytes = limit-len(page.Events), pageBytes-size
		if keep != nil {
			q.Limit, q.MaxBytes = perRound, 2*pageBytes
		}
		events, next, err := r.Log.List(ctx, q)
		if err != nil {
			return Page{}, err
		}
		for i, e := range events {
			if keep != nil && !keep(e.Event) {
				continue
			}
			size += len(e.Document)
			page.Events = append(page.Events, e)
			if full := len(page.Events) == limit || size >= pageBytes; full && i+1 < len(events) {
				next = e.Place()
				page.Next = &next
				return page, nil
			}
		}
		if page.Next, q.After = &next, next; next == (Place{}) {
			page.Next = nil
			break
		}
		if len(page.Events) == limit || size >= pageBytes {
			break
		}
	}
	return page, nil
}

// ExportEnd returns when an export ends at the latest.
func (r *Reader) ExportEnd() time.Time {
	return r.Now().UTC().Truncate(time.Microsecond).Add(-exportLag)
}

// Place returns the event's place in lists.
func (s Stored) Place() Place { return Place{s.Event.RecordedTime, s.Event.LogID} }

// logIDForm is base64url of 32 bytes, the last character of which has two bits to spare.
var logIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$`)

// ValidLogID reports whether a text has the form of a logid.
func ValidLogID(s string) bool { return logIDForm.MatchString(s) }
