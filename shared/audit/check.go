package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"plaudit/shared/event"
)

// Kept is an event's row that the outbox still has.
type Kept struct {
	ID    int64
	Event event.Event // as the relay renders it today
	Sent  time.Time   // zero: it waits
	Fault string      // why it cannot be rendered; empty if it can
}

// Failed is a row that could never be written to the log.
type Failed struct {
	ID     int64
	Type   event.Type
	Reason string
}

// Source is a database whose changes are in the log, as checks and restores see it.
type Source interface {
	// Kept returns the events' rows with an id above after, in the order of their ids, at
	// most limit of them.
	Kept(ctx context.Context, after int64, limit int) ([]Kept, error)
	// KeptByID returns those of the events' rows that the outbox still has.
	KeptByID(ctx context.Context, ids []int64) ([]Kept, error)
	// LastID returns the largest id of an event's row, 0 if there is none.
	LastID(ctx context.Context) (int64, error)
	// Failed returns the rows that were set aside, as Kept does.
	Failed(ctx context.Context, after int64, limit int) ([]Failed, error)
	// Restore looks at limit sent rows of events with an id above after, and has those
	// with a recordedtime from `from` to before `to` sent again. A zero time is no limit.
	// It returns how many these are, and the last id that it looked at; 0 at the end.
	Restore(ctx context.Context, after int64, from, to time.Time, limit int) (marked int, last int64, err error)
	// Restoring returns how many of the rows that a restore has marked still wait, up to
	// limit.
	Restoring(ctx context.Context, limit int) (int, error)
	// Retry looks at limit of the rows that were set aside with an id above after, and
	// queues them again. It returns how many these are, and the last id; 0 at the end.
	Retry(ctx context.Context, after int64, limit int) (queued int, last int64, err error)
	// Waiting returns how many rows have yet to be sent, up to limit.
	Waiting(ctx context.Context, limit int) (int, error)
}

// Orphan is an entry of the ledger whose row has left the outbox. Its event has neither
// an ID nor what else only the row had.
type Orphan struct {
	Entry string // its id
	Event event.Event
}

// Ledger lists the entries of the scores.
type Ledger interface {
	// Orphans looks at limit entries with an id above after, in the order of their ids, and
	// returns those of them that neither the outbox nor its failed rows have, and the last
	// id that it looked at; "" at the end.
	Orphans(ctx context.Context, after string, limit int) (found []Orphan, last string, err error)
}

// Databases are the databases whose changes are in the log.
type Databases struct {
	Scores, Users Source
	Ledger        Ledger
}

func (d Databases) sources() []namedSource {
	return []namedSource{{event.Scores, d.Scores}, {event.Users, d.Users}}
}

type namedSource struct {
	name string
	Source
}

// Checker compares the log with the databases while both change. Each call of Run does a
// piece of the work.
type Checker struct {
	Log Log
	Databases
	Keep   time.Duration // how long outboxes keep sent rows, at least
	Budget time.Duration // for a piece; the step that exceeds it is the last one
	Now    func() time.Time
	// Page is how many rows a step reads.
	Page int
	// Wait passes before the second look.
	Wait time.Duration
}

// KeepDays returns how long outboxes keep sent rows, from OUTBOX_DAYS. It must exceed the
// margin, or a check would find every event without a row about to lose it.
func KeepDays(days int) (time.Duration, error) {
	if least := int(margin/(24*time.Hour)) + 1; days < least {
		return 0, fmt.Errorf("OUTBOX_DAYS is %d, but must be at least %d, because checks do not look for a row on its last day: set OutboxDays in template.yaml", days, least)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

const (
	// young is the age below which an event may still be on its way.
	young = time.Minute
	// margin is the age before the end of Keep at which a missing row is no finding: the
	// clocks of databases and functions differ, and a row is kept from when it was sent.
	margin = 24 * time.Hour
	// maxFindings is how many findings a piece lists.
	maxFindings = 100
	// readers is how many events are read from the log at a time.
	readers = 16
)

// Report is what a piece of a check has found.
type Report struct {
	Rows     int      `json:"rows"`    // of the outboxes
	Waiting  int      `json:"waiting"` // of these, not sent yet
	Entries  int      `json:"entries"` // of the ledger whose rows are gone
	Events   int      `json:"events"`  // of the log
	Findings []string `json:"findings"`
	More     int      `json:"more"`     // findings that are not listed
	Step     string   `json:"step"`     // what the next piece begins with
	Restore  bool     `json:"restore"`  // a restore solves at least one of the findings
	Position string   `json:"position"` // how far that step is
}

func (r *Report) find(restorable bool, format string, args ...any) {
	r.Restore = r.Restore || restorable
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// place is where a check continues.
type place struct {
	Step    int       `json:"step"`
	Started time.Time `json:"started"`
	ID      int64     `json:"id,omitempty"`
	Entry   string    `json:"entry,omitempty"`
	From    time.Time `json:"from,omitzero"`
}

// step does a part of the work, moves the place on, and reports whether it was its last
// one.
type step struct {
	name string
	do   func(ctx context.Context, at *place, r *Report) (last bool, err error)
}

// steps returns the whole work, in order.
func (c *Checker) steps() (steps []step) {
	for _, s := range c.sources() {
		steps = append(steps,
			step{"rows of " + s.name, func(ctx context.Context, at *place, r *Report) (bool, error) { return c.checkRows(ctx, s, at, r) }},
			step{"failed rows of " + s.name, func(ctx context.Context, at *place, r *Report) (bool, error) { return c.checkFailed(ctx, s, at, r) }})
	}
	return append(steps, step{"entries without rows", c.checkOrphans}, step{"events of the log", c.checkEvents})
}

// ErrPlace is returned for a place that Run did not return.
var ErrPlace = errors.New("the place is not one that an earlier call returned")

// Run does a piece of a check, from the beginning if at is nil or null, and returns where
// the next piece begins; nil at the end.
//
// Each row of the outboxes that was sent at least a minute ago must have its event, with
// the very document that it renders to, and the event's index items; each entry of the
// ledger whose row is gone must have one event; and each event of ours that is not about
// to lose its row must have it. What seems to be missing is looked for a second time.
func (c *Checker) Run(ctx context.Context, at json.RawMessage) (r Report, next json.RawMessage, err error) {
	begun := c.Now()
	p := place{Started: begun}
	if at != nil && json.Unmarshal(at, &p) != nil {
		return r, nil, ErrPlace
	}
	steps := c.steps()
	if p.Step < 0 || p.Step >= len(steps) || p.Started.IsZero() {
		return r, nil, ErrPlace
	}
	r.Findings = []string{}
	for {
		last, err := steps[p.Step].do(ctx, &p, &r)
		if err != nil {
			return r, nil, fmt.Errorf("check the %s: %w", steps[p.Step].name, err)
		}
		if last {
			p = place{Step: p.Step + 1, Started: p.Started}
		}
		if p.Step == len(steps) {
			return r, nil, nil
		}
		if c.Now().Sub(begun) >= c.Budget {
			r.Step, r.Position = steps[p.Step].name, p.position()
			next, err := json.Marshal(p)
			return r, next, err
		}
	}
}

func (p place) position() string {
	switch {
	case p.ID != 0:
		return strconv.FormatInt(p.ID, 10)
	case !p.From.IsZero():
		return p.From.UTC().Format(time.RFC3339)
	}
	return p.Entry
}

// named describes an event in a finding.
func named(e event.Event) string {
	return fmt.Sprintf("%s #%s, %s on %s, recorded at %s", e.Source, e.ID, e.Type, e.Subject, e.RecordedTime.UTC().Format(time.RFC3339Nano))
}

// checkRows checks the next rows of a source's outbox.
func (c *Checker) checkRows(ctx context.Context, s namedSource, at *place, r *Report) (bool, error) {
	rows, err := s.Kept(ctx, at.ID, c.Page)
	if err != nil {
		return false, err
	}
	suspects, waiting, err := c.checkKept(ctx, rows, nil)
	if err != nil {
		return false, err
	}
	if len(suspects) > 0 {
		// The row may have been marked for a restore meanwhile, or have left.
		again, err := c.again(ctx, s, suspects)
		if err != nil {
			return false, err
		}
		if _, _, err := c.checkKept(ctx, again, r); err != nil {
			return false, err
		}
	}
	r.Rows, r.Waiting = r.Rows+len(rows), r.Waiting+waiting
	if len(rows) == 0 {
		return true, nil
	}
	at.ID = rows[len(rows)-1].ID
	// New rows must not keep the check from ending. Ids are assigned in about the order of
	// the times, so that nothing older follows a whole page of newer ones.
	newer := 0
	for _, row := range rows {
		if row.Event.RecordedTime.After(at.Started) {
			newer++
		}
	}
	return len(rows) < c.Page || newer == len(rows), nil
}

// again waits a moment and reads rows a second time.
func (c *Checker) again(ctx context.Context, s Source, rows []Kept) ([]Kept, error) {
	if err := pause(ctx, c.Wait); err != nil {
		return nil, err
	}
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return s.KeptByID(ctx, ids)
}

// checkKept checks rows and puts what is wrong into r, unless r is nil. It also returns
// the rows that are wrong, and how many wait.
func (c *Checker) checkKept(ctx context.Context, rows []Kept, r *Report) (wrong []Kept, waiting int, err error) {
	var due []Kept
	for _, row := range rows {
		if row.Sent.IsZero() {
			waiting++
		} else if c.Now().Sub(row.Sent) >= young {
			due = append(due, row)
		}
	}
	wrong, err = compare(ctx, c.Log, due, r)
	return wrong, waiting, err
}

// compare checks the events of sent rows.
func compare(ctx context.Context, log Log, rows []Kept, r *Report) (wrong []Kept, err error) {
	note := func(row Kept, restorable bool, what string) {
		wrong = append(wrong, row)
		if r != nil {
			r.find(restorable, "%s: %s", named(row.Event), what)
		}
	}
	stored := make([]*Stored, len(rows))
	err = each(ctx, readers, len(rows), func(ctx context.Context, i int) (err error) {
		stored[i], err = log.Get(ctx, rows[i].Event.LogID)
		if broken := (Unreadable{}); errors.As(err, &broken) {
			stored[i], err = &Stored{Fault: broken.Reason}, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var events []event.Event
	byLogID := map[string]Kept{}
	for i, row := range rows {
		document, err := row.Event.Encode()
		switch {
		case row.Fault != "":
			note(row, false, "its row cannot be turned into an event: "+row.Fault)
		case err != nil:
			note(row, false, "its row cannot be turned into an event: "+err.Error())
		case stored[i] == nil:
			note(row, true, "the log does not have it")
		case stored[i].Fault != "":
			note(row, false, "the log's item cannot be read: "+stored[i].Fault)
		case !bytes.Equal(stored[i].Document, document):
			note(row, false, "the log has another document than its row")
		default:
			events = append(events, row.Event)
			byLogID[row.Event.LogID] = row
		}
	}
	missing, err := log.MissingIndex(ctx, events)
	if err != nil {
		return nil, err
	}
	for _, e := range missing {
		note(byLogID[e.LogID], true, "lists do not show it: it lacks index items")
	}
	return wrong, nil
}

// checkFailed reports the rows that could never be written.
func (c *Checker) checkFailed(ctx context.Context, s namedSource, at *place, r *Report) (bool, error) {
	rows, err := s.Failed(ctx, at.ID, c.Page)
	if err != nil {
		return false, err
	}
	for _, f := range rows {
		r.find(false, "%s #%d, %s: it could not be written: %s", s.name, f.ID, f.Type, f.Reason)
		at.ID = f.ID
	}
	return len(rows) < c.Page, nil
}

// checkOrphans looks for the events of entries whose rows are gone: by subject and time,
// because the event's id is gone with the row.
func (c *Checker) checkOrphans(ctx context.Context, at *place, r *Report) (bool, error) {
	found, last, err := c.Ledger.Orphans(ctx, at.Entry, c.Page)
	if err != nil {
		return false, err
	}
	what := make([]string, len(found))
	look := func(ctx context.Context, i int) (err error) {
		what[i], err = c.orphan(ctx, found[i])
		return err
	}
	if err := each(ctx, readers, len(found), look); err != nil {
		return false, err
	}
	waited := false
	for i, o := range found {
		if what[i] == "" {
			continue
		}
		if !waited {
			if err := pause(ctx, c.Wait); err != nil {
				return false, err
			}
			waited = true
		}
		if err := look(ctx, i); err != nil {
			return false, err
		}
		if what[i] != "" {
			r.find(false, "entry %s on %s, recorded at %s: %s", o.Entry, o.Event.Subject, o.Event.RecordedTime.UTC().Format(time.RFC3339Nano), what[i])
		}
	}
	r.Entries += len(found)
	at.Entry = last
	return last == "", nil
}

// orphan returns what is wrong with the event of an entry; "" if nothing is.
func (c *Checker) orphan(ctx context.Context, o Orphan) (string, error) {
	at := o.Event.RecordedTime
	listed, _, err := c.Log.List(ctx, Query{Dimension: BySubject, Value: o.Event.Subject, From: at, To: at.Add(time.Microsecond), Ascending: true, Limit: 10, Faulty: true})
	if err != nil {
		return "", err
	}
	var events []event.Event
	for _, s := range listed {
		if s.Event.Source == event.Scores && s.Event.Type == o.Event.Type && entryOf(s.Event.JSON) == o.Entry {
			events = append(events, s.Event)
		}
	}
	switch {
	case len(events) == 0:
		return "the log has no event of it, and the outbox no row any more", nil
	case len(events) > 1:
		return fmt.Sprintf("the log has %d events of it", len(events)), nil
	case !covers(events[0].JSON, o.Event.JSON):
		return fmt.Sprintf("its event %s does not say what the ledger says", events[0].LogID), nil
	}
	missing, err := c.Log.MissingIndex(ctx, events)
	if err == nil && len(missing) > 0 {
		return fmt.Sprintf("lists do not show its event %s: it lacks index items", events[0].LogID), nil
	}
	return "", err
}

// entryOf returns the id of the entry in an event's data.
func entryOf(data []byte) string {
	var entry struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(data, &entry) // other data has no entry's id
	return entry.ID
}

// covers reports whether an object has all members of another one, with their values.
func covers(all, some []byte) bool {
	var has, wants map[string]json.RawMessage
	if json.Unmarshal(all, &has) != nil || json.Unmarshal(some, &wants) != nil {
		return false
	}
	for name, value := range wants {
		if !bytes.Equal(has[name], value) {
			return false
		}
	}
	return true
}

// checkEvents checks the next events of the log, all of one time together, so that a
// place is a time.
func (c *Checker) checkEvents(ctx context.Context, at *place, r *Report) (bool, error) {
	q := Query{Dimension: All, From: at.From, To: at.Started.Add(-young), Ascending: true, Limit: c.Page, Faulty: true}
	if !q.From.Before(q.To) {
		return true, nil
	}
	var events []Stored
	for {
		listed, next, err := c.Log.List(ctx, q)
		if err != nil {
			return false, err
		}
		events = append(events, listed...)
		if next == (Place{}) {
			return true, c.checkTimes(ctx, events, at, r)
		}
		q.After = next
		if n := len(events); n > 0 && !events[0].Event.RecordedTime.Equal(events[n-1].Event.RecordedTime) {
			break
		}
	}
	// Those of the last time may have more on the next page.
	whole, last := len(events), events[len(events)-1].Event.RecordedTime
	for events[whole-1].Event.RecordedTime.Equal(last) {
		whole--
	}
	at.From = last
	return false, c.checkTimes(ctx, events[:whole], at, r)
}

// checkTimes checks events in order, of some times completely.
func (c *Checker) checkTimes(ctx context.Context, events []Stored, at *place, r *Report) error {
	type moment struct {
		subject string
		at      time.Time
	}
	first := map[moment]string{}
	ours := map[string][]event.Event{} // by source: those that must have a row
	for _, s := range events {
		e := s.Event
		if s.Fault != "" {
			r.find(false, "the item with the logid %s, listed at %s: the log's item cannot be read: %s", e.LogID, e.RecordedTime.UTC().Format(time.RFC3339Nano), s.Fault)
			continue
		}
		if e.Source != event.Scores && e.Source != event.Users {
			continue
		}
		m := moment{e.Subject, e.RecordedTime}
		if other, ok := first[m]; ok {
			r.find(false, "%s: another event of its subject, %s, has the same time", named(e), other)
		}
		first[m] = e.LogID
		if e.LogID != event.LogID(e.Source, e.ID) {
			r.find(false, "%s: its logid %s is not that of its source and id", named(e), e.LogID)
		} else if e.RecordedTime.After(at.Started.Add(margin - c.Keep)) {
			ours[e.Source] = append(ours[e.Source], e)
		}
	}
	for _, s := range c.sources() {
		rowless, err := c.rowless(ctx, s, ours[s.name])
		if err == nil && len(rowless) > 0 {
			if err = pause(ctx, c.Wait); err == nil {
				rowless, err = c.rowless(ctx, s, rowless)
			}
		}
		if err != nil {
			return err
		}
		for _, e := range rowless {
			r.find(false, "%s: the log has it, but the outbox has no such row", named(e))
		}
	}
	r.Events += len(events)
	return nil
}

// rowless returns the events that have no row. A row's event is the one with its logid: the
// number alone is no proof, because a forged event can have that of another one.
func (c *Checker) rowless(ctx context.Context, s Source, events []event.Event) (rowless []event.Event, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, e := range events {
		if id, ok := event.RowNumber(e.ID); ok {
			ids = append(ids, id)
		}
	}
	rows, err := s.KeptByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, row := range rows {
		has[row.Event.LogID] = true
	}
	for _, e := range events {
		if !has[e.LogID] {
			rowless = append(rowless, e)
		}
	}
	return rowless, nil
}

// Sample is what a look at some of the outboxes' rows has found.
type Sample struct {
	Checked int `json:"checked"`
	Missing int `json:"missing"` // of these, events or index items that a restore brings back
}

// Sample compares some sent rows of each outbox with the log, a few hundred in all: the
// newest ones, because an engine that dies loses its latest writes, the oldest one, and
// others at random.
func (c *Checker) Sample(ctx context.Context, newest, random int) (found Sample, err error) {
	for _, s := range c.sources() {
		rows := map[int64]Kept{}
		take := func(after int64, limit int) error {
			kept, err := s.Kept(ctx, after, limit)
			for _, row := range kept {
				if !row.Sent.IsZero() {
					rows[row.ID] = row
				}
			}
			return err
		}
		last, err := s.LastID(ctx)
		if err != nil {
			return found, err
		}
		oldest, err := s.Kept(ctx, 0, 1)
		if err != nil {
			return found, err
		}
		if len(oldest) == 0 {
			continue
		}
		first := oldest[0].ID
		starts := []int64{first - 1}
		for range random {
			// All of the rows may have left since the first look, or have come since.
			starts = append(starts, first-1+rand.Int64N(max(last-first+1, 1)))
		}
		for _, after := range starts {
			if err := take(after, 1); err != nil {
				return found, err
			}
		}
		if err := take(max(first-1, last-int64(newest)), newest); err != nil {
			return found, err
		}
		var sent []Kept
		for _, row := range rows {
			sent = append(sent, row)
		}
		found.Checked += len(sent)
		wrong, err := compare(ctx, c.Log, sent, nil)
		if err == nil && len(wrong) > 0 {
			if wrong, err = c.again(ctx, s, wrong); err == nil {
				wrong, err = c.stillMissing(ctx, wrong)
			}
		}
		if err != nil {
			return found, err
		}
		found.Missing += len(wrong)
	}
	return found, nil
}

// stillMissing returns those of the rows that a restore would bring back.
func (c *Checker) stillMissing(ctx context.Context, rows []Kept) (missing []Kept, err error) {
	for _, row := range rows {
		if row.Sent.IsZero() {
			continue
		}
		var r Report
		if _, err := compare(ctx, c.Log, []Kept{row}, &r); err != nil {
			return nil, err
		}
		if r.Restore {
			missing = append(missing, row)
		}
	}
	return missing, nil
}
