package audit_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
	"plaudit/shared/event"
)

var noon = time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)

// memory is a log in memory. What is in hidden lacks index items.
type memory struct {
	events map[string]audit.Stored
	hidden map[string]bool
}

func (m *memory) put(e event.Event) {
	doc, err := e.Encode()
	if err != nil {
		panic(err)
	}
	m.events[e.LogID] = audit.Stored{Event: e, Document: doc}
}

func (m *memory) Put(_ context.Context, s audit.Stored) (*audit.Stored, error) {
	m.put(s.Event)
	return nil, nil
}

func (m *memory) Index(_ context.Context, events []event.Event) error {
	for _, e := range events {
		delete(m.hidden, e.LogID)
	}
	return nil
}

func (m *memory) Get(_ context.Context, logID string) (*audit.Stored, error) {
	s, ok := m.events[logID]
	switch {
	case !ok:
		return nil, nil
	case s.Fault != "":
		return nil, audit.Unreadable{LogID: logID, Reason: s.Fault}
	}
	return &s, nil
}

// garble makes the item of an event unreadable.
func (m *memory) garble(logID string) {
	m.events[logID] = audit.Stored{Event: event.Event{LogID: logID, Subject: m.events[logID].Event.Subject, RecordedTime: m.events[logID].Event.RecordedTime}, Fault: "garbage"}
}

func (m *memory) MissingIndex(_ context.Context, events []event.Event) (missing []event.Event, err error) {
	for _, e := range events {
		if m.hidden[e.LogID] {
			missing = append(missing, e)
		}
	}
	return missing, nil
}

func (m *memory) List(_ context.Context, q audit.Query) (found []audit.Stored, next audit.Place, err error) {
	all := slices.SortedFunc(maps.Values(m.events), func(a, b audit.Stored) int {
		if c := a.Event.RecordedTime.Compare(b.Event.RecordedTime); c != 0 {
			return c
		}
		return strings.Compare(a.Event.LogID, b.Event.LogID)
	})
	for _, s := range all {
		e := s.Event
		if m.hidden[e.LogID] || q.Dimension == audit.BySubject && e.Subject != q.Value || e.RecordedTime.Before(q.From) || !e.RecordedTime.Before(q.To) {
			continue
		}
		if c := e.RecordedTime.Compare(q.After.RecordedTime); c < 0 || c == 0 && e.LogID <= q.After.LogID {
			continue
		}
		if s.Fault != "" && !q.Faulty {
			return nil, audit.Place{}, audit.Unreadable{LogID: e.LogID, Reason: s.Fault}
		}
		if len(found) == q.Limit {
			last := found[len(found)-1].Event
			return found, audit.Place{RecordedTime: last.RecordedTime, LogID: last.LogID}, nil
		}
		found = append(found, s)
	}
	return found, audit.Place{}, nil
}

// records is an outbox in memory, as checks read it.
type records struct {
	rows      map[int64]*audit.Kept
	failed    []audit.Failed
	aside     map[int64]event.Event // the events of failed
	restoring map[int64]bool
	read      func() // before each look at rows by id
}

func (o *records) Kept(_ context.Context, after int64, limit int) (rows []audit.Kept, err error) {
	for _, id := range slices.Sorted(maps.Keys(o.rows)) {
		if id > after && len(rows) < limit {
			rows = append(rows, *o.rows[id])
		}
	}
	return rows, nil
}

func (o *records) KeptByID(_ context.Context, ids []int64) (rows []audit.Kept, err error) {
	if o.read != nil {
		o.read()
	}
	for _, id := range ids {
		if row, ok := o.rows[id]; ok {
			rows = append(rows, *row)
		}
	}
	return rows, nil
}

func (o *records) LastID(context.Context) (last int64, err error) {
	for id := range o.rows {
		last = max(last, id)
	}
	return last, nil
}

func (o *records) Failed(_ context.Context, after int64, limit int) (rows []audit.Failed, err error) {
	for _, f := range o.failed {
		if f.ID > after && len(rows) < limit {
			rows = append(rows, f)
		}
	}
	return rows, nil
}

func (o *records) Restore(ctx context.Context, after int64, from, to time.Time, limit int) (marked int, last int64, err error) {
	rows, err := o.Kept(ctx, after, limit)
	for _, row := range rows {
		at := row.Event.RecordedTime
		if last = row.ID; !row.Sent.IsZero() && !at.Before(from) && (to.IsZero() || at.Before(to)) {
			o.rows[row.ID].Sent = time.Time{}
			o.restoring[row.ID] = true
			marked++
		}
	}
	if len(rows) < limit {
		last = 0
	}
	return marked, last, err
}

func (o *records) Restoring(_ context.Context, limit int) (int, error) {
	return min(limit, len(o.restoring)), nil
}

func (o *records) Retry(ctx context.Context, after int64, limit int) (queued int, last int64, err error) {
	failed, err := o.Failed(ctx, after, limit)
	for _, f := range failed {
		o.failed = slices.DeleteFunc(o.failed, func(other audit.Failed) bool { return other.ID == f.ID })
		o.rows[f.ID] = &audit.Kept{ID: f.ID, Event: o.aside[f.ID]}
		last = f.ID
	}
	if len(failed) < limit {
		last = 0
	}
	return len(failed), last, err
}

func (o *records) Waiting(_ context.Context, limit int) (n int, err error) {
	for _, row := range o.rows {
		if row.Sent.IsZero() {
			n++
		}
	}
	return min(n, limit), nil
}

// setAside sets the row aside, as the relay does.
func (o *records) setAside(id int64) {
	o.failed = append(o.failed, audit.Failed{ID: id, Type: o.rows[id].Event.Type, Reason: "why"})
	slices.SortFunc(o.failed, func(a, b audit.Failed) int { return cmp.Compare(a.ID, b.ID) })
	if o.aside == nil {
		o.aside = map[int64]event.Event{}
	}
	o.aside[id] = o.rows[id].Event
	delete(o.rows, id)
}

// relay sends at most n of the rows that wait, as the relay does.
func (o *records) relay(m *memory, n int) {
	for _, id := range slices.Sorted(maps.Keys(o.rows)) {
		if row := o.rows[id]; row.Sent.IsZero() && n > 0 {
			m.put(row.Event)
			delete(m.hidden, row.Event.LogID)
			delete(o.restoring, id)
			row.Sent = noon.Add(-time.Hour)
			n--
		}
	}
}

// The double passes the tests of the real ones.
func TestRecordsAreASource(t *testing.T) {
	o := &records{rows: map[int64]*audit.Kept{}, restoring: map[int64]bool{}}
	audittest.Source(t, audittest.Outbox{
		Name: event.Users, Source: o,
		Add: func(n int) {
			for range n {
				id := int64(len(o.rows) + 1)
				o.rows[id] = &audit.Kept{ID: id, Event: event.Event{
					ID: fmt.Sprint(id), Source: event.Users, LogID: event.LogID(event.Users, fmt.Sprint(id)), RecordedTime: noon.Add(time.Duration(id)),
				}}
			}
		},
		Send: func() { o.relay(&memory{events: map[string]audit.Stored{}}, 100) },
		SetAside: func() {
			for _, id := range slices.Sorted(maps.Keys(o.rows)) {
				if o.rows[id].Sent.IsZero() {
					o.setAside(id)
				}
			}
		},
	})
}

type ledger []audit.Orphan

func (l ledger) Orphans(_ context.Context, after string, limit int) (found []audit.Orphan, last string, err error) {
	for _, o := range l {
		if o.Entry > after {
			if len(found) == limit {
				return found, last, nil
			}
			found, last = append(found, o), o.Entry
		}
	}
	return found, "", nil
}

// world is a log and its databases: 25 events of the scores, of which the last has yet to
// be sent, and 12 of the users, recorded in the hours before noon.
type world struct {
	log           *memory
	scores, users *records
	ledger        ledger
	checker       audit.Checker
}

func newWorld() *world {
	w := &world{log: &memory{events: map[string]audit.Stored{}, hidden: map[string]bool{}}}
	fill := func(source, subject string, n int64) *records {
		o := &records{rows: map[int64]*audit.Kept{}, restoring: map[int64]bool{}}
		for id := int64(1); id <= n; id++ {
			// Four at a time have the same time.
			at := noon.Add(-4*time.Hour + time.Duration(id/4)*time.Minute)
			e := event.Event{
				ID: fmt.Sprint(id), Source: source, Type: event.BoardUpdated, Subject: fmt.Sprint(subject, id),
				RecordedTime: at, LogID: event.LogID(source, fmt.Sprint(id)), JSON: []byte(`{"changes":{}}`),
			}
			o.rows[id] = &audit.Kept{ID: id, Event: e, Sent: at.Add(time.Second)}
			w.log.put(e)
		}
		return o
	}
	w.scores, w.users = fill(event.Scores, "board/b", 25), fill(event.Users, "user/u", 12)
	w.scores.rows[25].Sent = time.Time{}
	delete(w.log.events, event.LogID(event.Scores, "25"))
	w.checker = audit.Checker{Log: w.log, Keep: 90 * 24 * time.Hour, Page: 3, Now: func() time.Time { return noon }}
	return w
}

func (w *world) databases() audit.Databases {
	return audit.Databases{Scores: w.scores, Users: w.users, Ledger: w.ledger}
}

// check runs a whole check, in pieces of one step each, and returns the sum.
func (w *world) check(t *testing.T) (sum audit.Report) {
	t.Helper()
	w.checker.Databases = w.databases()
	var at json.RawMessage
	for range 1000 {
		r, next, err := w.checker.Run(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		sum.Rows, sum.Waiting, sum.Entries, sum.Events = sum.Rows+r.Rows, sum.Waiting+r.Waiting, sum.Entries+r.Entries, sum.Events+r.Events
		sum.Findings, sum.More, sum.Restore = append(sum.Findings, r.Findings...), sum.More+r.More, sum.Restore || r.Restore
		if at = next; at == nil {
			return sum
		}
		if r.Step == "" {
			t.Errorf("a piece does not name the next step: %+v", r)
		}
	}
	t.Fatal("the check does not end")
	return sum
}

func TestCheckFindsNothingWhereAllIsThere(t *testing.T) {
	w := newWorld()
	foreign := event.Event{ID: "17", Source: "https://tasks.example", Type: "task.moved", Subject: "task/17", RecordedTime: noon.Add(-time.Hour), LogID: "foreign", JSON: []byte("1")}
	w.log.put(foreign)
	r := w.check(t)
	if len(r.Findings) != 0 || r.Rows != 37 || r.Waiting != 1 || r.Events != 37 {
		t.Errorf("got %+v", r)
	}
	// In one piece it is the same.
	w.checker.Budget = time.Hour
	if one, next, err := w.checker.Run(t.Context(), json.RawMessage("null")); err != nil || next != nil || one.Rows != 37 || one.Events != 37 {
		t.Errorf("got %+v, %s, %v", one, next, err)
	}
}

func TestCheckFindings(t *testing.T) {
	seven, five := event.LogID(event.Scores, "7"), event.LogID(event.Users, "5")
	orphan := func(w *world, data string) audit.Orphan {
		e := event.Event{Source: event.Scores, Type: event.EntryAdded, Subject: "board/old/player/p", RecordedTime: noon.Add(-200 * 24 * time.Hour), JSON: []byte(`{"id":"e1","points":5}`)}
		w.ledger = ledger{{Entry: "e1", Event: e}}
		if data != "" {
			e.ID, e.LogID, e.JSON = "1000", event.LogID(event.Scores, "1000"), []byte(data)
			w.log.put(e)
		}
		return w.ledger[0]
	}
	for _, c := range []struct {
		name    string
		break_  func(w *world)
		want    string // in the only finding; empty for none
		restore bool
	}{
		{"a lost event", func(w *world) { delete(w.log.events, seven) },
			"/plaudit/scores #7, plaudit.board.updated on board/b7, recorded at 2026-04-05T08:01:00Z: the log does not have it", true},
		{"a lost event of the users", func(w *world) { delete(w.log.events, five) }, "/plaudit/users #5, ", true},
		{"a changed event", func(w *world) {
			e := w.log.events[seven].Event
			e.JSON = []byte(`{"changes": {}}`)
			w.log.put(e)
		}, "another document", false},
		{"an event without index items", func(w *world) { w.log.hidden[seven] = true }, "lacks index items", true},
		{"a row that can no longer be rendered", func(w *world) { w.scores.rows[7].Fault = "no such entry" }, "no such entry", false},
		{"a row that was set aside", func(w *world) {
			w.scores.failed = []audit.Failed{{ID: 3, Type: event.BoardUpdated, Reason: "too long"}}
		}, "/plaudit/scores #3, plaudit.board.updated: it could not be written: too long", false},
		{"an event without a row", func(w *world) { delete(w.scores.rows, 7) }, "no such row", false},
		{"an event with an id that no row can have", func(w *world) {
			e := w.log.events[seven].Event
			e.ID, e.Subject, e.LogID = "+7", "board/x", event.LogID(event.Scores, "+7")
			w.log.put(e)
		}, "#+7, plaudit.board.updated on board/x, recorded at 2026-04-05T08:01:00Z: the log has it, but the outbox has no such row", false},
		{"an event whose number another row has", func(w *world) {
			e := w.log.events[seven].Event
			e.ID, e.Subject, e.LogID = "7-018f0000-0000-4000-8000-000000000001", "board/x", event.LogID(event.Scores, "7-018f0000-0000-4000-8000-000000000001")
			w.log.put(e)
		}, "#7-018f0000-0000-4000-8000-000000000001, plaudit.board.updated on board/x, recorded at 2026-04-05T08:01:00Z: the log has it, but the outbox has no such row", false},
		{"a forged event with the id of another", func(w *world) {
			e := w.log.events[seven].Event
			e.Subject, e.LogID = "board/x", event.LogID(event.Scores, "x")
			w.log.put(e)
		}, "is not that of its source and id", false},
		{"a forged event with the number of another", func(w *world) {
			e := w.log.events[seven].Event
			e.ID, e.Subject, e.LogID = "07", "board/x", event.LogID(event.Scores, "07")
			w.log.put(e)
		}, "#07, plaudit.board.updated on board/x, recorded at 2026-04-05T08:01:00Z: the log has it, but the outbox has no such row", false},
		{"a forged event that is older than the rows", func(w *world) {
			e := w.log.events[seven].Event
			e.RecordedTime, e.LogID = noon.Add(-200*24*time.Hour), event.LogID(event.Scores, "x")
			w.log.put(e)
		}, "is not that of its source and id", false},
		{"an item that cannot be read and has a row", func(w *world) {
			w.log.garble(seven)
			w.log.hidden[seven] = true
		}, "/plaudit/scores #7, plaudit.board.updated on board/b7, recorded at 2026-04-05T08:01:00Z: the log's item cannot be read: garbage", false},
		{"an item that cannot be read", func(w *world) {
			e := event.Event{ID: "7", Source: "/other", Subject: "x", RecordedTime: noon.Add(-time.Hour), LogID: "foreign", JSON: []byte("1")}
			w.log.put(e)
			w.log.garble("foreign")
		}, "the item with the logid foreign, listed at 2026-04-05T11:00:00Z: the log's item cannot be read: garbage", false},
		{"two events of one time", func(w *world) {
			row := *w.scores.rows[7]
			row.ID, row.Event.ID, row.Event.LogID = 8, "8", event.LogID(event.Scores, "8")
			w.scores.rows[8] = &row
			w.log.put(row.Event)
		}, "has the same time", false},
		{"an entry without row and event", func(w *world) { orphan(w, "") }, "entry e1 on board/old/player/p, recorded at 2025-09-17T12:00:00Z: the log has no event of it", false},
		{"an entry whose event differs", func(w *world) { orphan(w, `{"id":"e1","points":6}`) }, "does not say what the ledger says", false},
		{"an entry with two events", func(w *world) {
			e := orphan(w, `{"id":"e1","points":5}`).Event
			e.ID, e.LogID = "1001", event.LogID(event.Scores, "1001")
			w.log.put(e)
		}, "", false},

		{"an event that is on its way", func(w *world) {
			delete(w.log.events, seven)
			w.scores.rows[7].Sent = noon.Add(-time.Second)
		}, "", false},
		{"a row that is sent again while the check looks", func(w *world) {
			delete(w.log.events, seven)
			w.scores.read = func() { w.scores.rows[7].Sent = time.Time{} }
		}, "", false},
		{"an event that comes while the check looks", func(w *world) {
			delete(w.log.events, seven)
			w.scores.read = func() { w.log.put(w.scores.rows[7].Event) }
		}, "", false},
		{"a row that leaves because it is old", func(w *world) {
			e := w.log.events[seven].Event
			e.RecordedTime = noon.Add(-90 * 24 * time.Hour)
			w.log.put(e)
			delete(w.scores.rows, 7)
		}, "", false},
		{"an entry whose row is gone", func(w *world) { orphan(w, `{"id":"e1","points":5,"batch_size":3}`) }, "", false},
		{"another system's event without a row", func(w *world) {
			w.log.put(event.Event{ID: "7", Source: "/other", Subject: "board/b7", RecordedTime: w.scores.rows[7].Event.RecordedTime, LogID: "other", JSON: []byte("1")})
		}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.break_(w)
			if c.name == "an entry with two events" {
				// Each way of looking finds it.
				if r := w.check(t); len(r.Findings) != 2 || !strings.Contains(r.Findings[0], "has 2 events") || !strings.Contains(r.Findings[1], "has the same time") {
					t.Errorf("found %q", r.Findings)
				}
				return
			}
			r := w.check(t)
			switch {
			case c.want == "" && len(r.Findings) == 0:
			case c.want != "" && len(r.Findings) == 1 && strings.Contains(r.Findings[0], c.want) && r.Restore == c.restore:
			default:
				t.Errorf("found %q, restore: %t", r.Findings, r.Restore)
			}
		})
	}
}

// With the least number of days, a check still finds an event without a row.
func TestTheFewestDaysLeaveSomethingToCheck(t *testing.T) {
	if _, err := audit.KeepDays(1); err == nil || !strings.Contains(err.Error(), "OUTBOX_DAYS is 1, but must be at least 2") {
		t.Errorf("one day: %v", err)
	}
	w := newWorld()
	var err error
	if w.checker.Keep, err = audit.KeepDays(2); err != nil {
		t.Fatal(err)
	}
	delete(w.scores.rows, 7)
	if r := w.check(t); len(r.Findings) != 1 || !strings.Contains(r.Findings[0], "no such row") {
		t.Errorf("found %q", r.Findings)
	}
}

func TestCheckListsABoundedNumberOfFindings(t *testing.T) {
	w := newWorld()
	for id := int64(100); id < 250; id++ {
		row := *w.scores.rows[1]
		row.ID, row.Event.ID, row.Event.LogID = id, fmt.Sprint(id), event.LogID(event.Scores, fmt.Sprint(id))
		w.scores.rows[id] = &row
	}
	w.checker.Databases, w.checker.Budget = w.databases(), time.Hour
	r, next, err := w.checker.Run(t.Context(), nil)
	if err != nil || next != nil || len(r.Findings) != 100 || r.More != 50 {
		t.Errorf("%d findings and %d more, %s, %v", len(r.Findings), r.More, next, err)
	}
}

// A check ends although rows are added as fast as it reads them.
func TestCheckEndsWhileAddsGoOn(t *testing.T) {
	w := newWorld()
	last := int64(25)
	add := func() {
		for range 3 {
			last++
			e := w.scores.rows[1].Event
			e.ID, e.RecordedTime, e.Subject = fmt.Sprint(last), noon.Add(time.Duration(last)*time.Second), fmt.Sprintf("board/b%d", last)
			e.LogID = event.LogID(event.Scores, e.ID)
			w.scores.rows[last] = &audit.Kept{ID: last, Event: e}
		}
	}
	w.checker.Now = func() time.Time { add(); return noon }
	if r := w.check(t); len(r.Findings) != 0 || r.Rows < 37 {
		t.Errorf("got %+v", r)
	}
}

func TestForeignPlacesAreRefused(t *testing.T) {
	w := newWorld()
	w.checker.Databases = w.databases()
	restorer := audit.Restorer{Databases: w.databases(), Now: time.Now, Step: 1, Ahead: 1}
	for _, at := range []string{`7`, `"x"`, `{"step":99,"started":"2026-01-01T00:00:00Z"}`, `{"step":-1}`, `{"started":"0001-01-01T00:00:00Z"}`} {
		if _, _, err := w.checker.Run(t.Context(), json.RawMessage(at)); !errors.Is(err, audit.ErrPlace) {
			t.Errorf("a check at %s: %v", at, err)
		}
	}
	for _, at := range []string{`7`, `{"source":3}`, `{"source":-1}`, `{"after":-1}`} {
		if _, _, err := restorer.Run(t.Context(), json.RawMessage(at), time.Time{}, time.Time{}); !errors.Is(err, audit.ErrPlace) {
			t.Errorf("a restore at %s: %v", at, err)
		}
		if _, _, err := restorer.Retry(t.Context(), json.RawMessage(at)); !errors.Is(err, audit.ErrPlace) {
			t.Errorf("a retry at %s: %v", at, err)
		}
	}
}

func TestSample(t *testing.T) {
	w := newWorld()
	w.checker.Databases = w.databases()
	if s, err := w.checker.Sample(t.Context(), 5, 10); err != nil || s.Missing != 0 || s.Checked < 10 || s.Checked > 32 {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, lost := range []string{"24", "21", "1"} { // the newest that were sent, and the oldest
		w := newWorld()
		w.checker.Databases = w.databases()
		delete(w.log.events, event.LogID(event.Scores, lost))
		if s, err := w.checker.Sample(t.Context(), 5, 0); err != nil || s.Missing != 1 {
			t.Errorf("without event %s: %+v, %v", lost, s, err)
		}
	}
	w.log.events = map[string]audit.Stored{}
	if s, err := w.checker.Sample(t.Context(), 100, 100); err != nil || s.Missing != 36 || s.Checked != 36 {
		t.Errorf("an empty log: %+v, %v", s, err)
	}
	// What a restore does not bring back is no reason for one.
	w = newWorld()
	w.checker.Databases = w.databases()
	e := w.scores.rows[24].Event
	e.Actor = "user/x"
	w.log.put(e)
	if s, err := w.checker.Sample(t.Context(), 100, 0); err != nil || s.Missing != 0 {
		t.Errorf("a changed event: %+v, %v", s, err)
	}
	w.log.garble(event.LogID(event.Scores, "24"))
	if s, err := w.checker.Sample(t.Context(), 100, 0); err != nil || s.Missing != 0 {
		t.Errorf("an item that cannot be read: %+v, %v", s, err)
	}
	// The last row leaves, or the first one comes, between two looks.
	w.checker.Databases.Scores = emptied{w.scores}
	if _, err := w.checker.Sample(t.Context(), 100, 100); err != nil {
		t.Errorf("an outbox that is emptied meanwhile: %v", err)
	}
	empty := &records{}
	w.checker.Databases = audit.Databases{Scores: empty, Users: empty}
	if s, err := w.checker.Sample(t.Context(), 100, 100); err != nil || s != (audit.Sample{}) {
		t.Errorf("empty outboxes: %+v, %v", s, err)
	}
}

// emptied is an outbox whose last id is read while it is empty.
type emptied struct{ *records }

func (emptied) LastID(context.Context) (int64, error) { return 0, nil }

// alarm is a Waker that counts, and fails if err is set.
type alarm struct {
	wakes int
	err   error
}

func (a *alarm) Wake(context.Context) error {
	a.wakes++
	return a.err
}

// restore runs a restore and the relays in turns. The relay of the scores sends only when
// it was woken.
func (w *world) restore(t *testing.T, from, to time.Time, stop int) (marked, most int, ended bool) {
	t.Helper()
	var alarm alarm
	restorer := audit.Restorer{Databases: w.databases(), Waker: &alarm, Budget: time.Hour, Now: func() time.Time { return noon }, Step: 3, Ahead: 6}
	var at json.RawMessage
	for range stop {
		r, next, err := restorer.Run(t.Context(), at, from, to)
		if err != nil {
			t.Fatal(err)
		}
		marked, most = marked+r.Marked, max(most, r.Waiting)
		if at = next; at == nil {
			return marked, most, true
		}
		if alarm.wakes > 0 {
			alarm.wakes = 0
			w.scores.relay(w.log, 2)
		}
		w.users.relay(w.log, 2)
	}
	return marked, most, false
}

func TestRestoreBringsBackALostLog(t *testing.T) {
	w := newWorld()
	w.log.events = map[string]audit.Stored{}
	// A restore that is broken off.
	if _, _, ended := w.restore(t, time.Time{}, time.Time{}, 3); ended {
		t.Fatal("it ended too early to be broken off")
	}
	marked, most, ended := w.restore(t, time.Time{}, time.Time{}, 1000)
	if !ended || marked < 30 || most > 8 {
		t.Errorf("marked %d, up to %d waited, ended: %t", marked, most, ended)
	}
	if r := w.check(t); len(r.Findings) > 0 || r.Waiting > 0 || len(w.log.events) != 37 {
		t.Errorf("after the restore: %+v", r)
	}
}

func TestRestoreOfATime(t *testing.T) {
	w := newWorld()
	w.log.events = map[string]audit.Stored{}
	from, to := noon.Add(-4*time.Hour+time.Minute), noon.Add(-4*time.Hour+3*time.Minute)
	if marked, _, ended := w.restore(t, from, to, 1000); !ended || marked != 16 {
		t.Errorf("marked %d, ended: %t", marked, ended)
	}
}

// The schedule of the relay makes up for it.
func TestRestoreGoesOnWithoutAWake(t *testing.T) {
	w := newWorld()
	alarm := &alarm{err: errors.New("no such table")}
	restorer := audit.Restorer{Databases: w.databases(), Waker: alarm, Now: time.Now, Step: 3, Ahead: 6, Budget: time.Hour}
	if r, next, err := restorer.Run(t.Context(), nil, time.Time{}, time.Time{}); err != nil || next == nil || r.Marked == 0 || alarm.wakes != 1 {
		t.Errorf("got %+v, %s, %v, %d wakes", r, next, err, alarm.wakes)
	}
}

// A retry queues all that was set aside, a little at a time, and does not wait for what
// fails again.
func TestRetryQueuesWhatWasSetAside(t *testing.T) {
	w := newWorld()
	w.scores.relay(w.log, 1)
	for id := int64(1); id <= 20; id++ {
		delete(w.log.events, w.scores.rows[id].Event.LogID)
		w.scores.setAside(id)
	}
	w.users.setAside(5)
	var alarm alarm
	restorer := audit.Restorer{Databases: w.databases(), Waker: &alarm, Budget: time.Hour, Now: func() time.Time { return noon }, Step: 3, Ahead: 6}
	queued, most := 0, 0
	var at json.RawMessage
	for steps := 0; ; steps++ {
		r, next, err := restorer.Retry(t.Context(), at)
		if err != nil || steps > 100 {
			t.Fatalf("%v after %d steps", err, steps)
		}
		queued, most = queued+r.Marked, max(most, r.Waiting)
		if r.Waiting > 0 && alarm.wakes == 0 {
			t.Error("rows wait, and the relay is not woken")
		}
		alarm.wakes = 0
		for _, id := range []int64{1, 20} { // these fail again
			if row := w.scores.rows[id]; row != nil && row.Sent.IsZero() {
				w.scores.setAside(id)
			}
		}
		if at = next; at == nil {
			break
		}
		w.scores.relay(w.log, 2)
	}
	w.scores.relay(w.log, 100)
	w.users.relay(w.log, 100)
	if r := w.check(t); queued != 21 || most > 8 || len(r.Findings) != 2 || len(w.scores.failed) != 2 {
		t.Errorf("%d rows were queued, up to %d waited, and then: %+v", queued, most, r)
	}
}

func TestRestoreNamesWhatHasLeft(t *testing.T) {
	w := newWorld()
	for id := int64(1); id < 5; id++ {
		delete(w.users.rows, id)
	}
	restorer := audit.Restorer{Databases: w.databases(), Waker: &alarm{}, Now: time.Now, Step: 3, Ahead: 6}
	r, _, err := restorer.Run(t.Context(), nil, time.Time{}, time.Time{})
	if want := w.users.rows[5].Event.RecordedTime; err != nil || len(r.Oldest) != 1 || !r.Oldest[event.Users].Equal(want) {
		t.Errorf("got %v, %v", r.Oldest, err)
	}
}
