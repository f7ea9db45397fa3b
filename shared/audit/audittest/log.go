// Package audittest has a log in memory for tests, and the tests that every log must
// pass.
package audittest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// Log is a log in memory. It answers as the one in DynamoDB does.
type Log struct {
	// Before, if set, is called before each method, with its name. If it returns an
	// error, the method returns it and does nothing else.
	Before func(method string) error

	mu      sync.Mutex
	events  map[string]audit.Stored
	indexed map[string]event.Event // by LogID, also without the event itself
	looked  int
}

var _ audit.Log = (*Log)(nil)

// New returns an empty log.
func New() *Log { return &Log{events: map[string]audit.Stored{}, indexed: map[string]event.Event{}} }

// Len returns how many events the log has.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// Looked returns how many events lists have looked at.
func (l *Log) Looked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looked
}

func (l *Log) before(method string) error {
	if l.Before == nil {
		return nil
	}
	return l.Before(method)
}

// Put implements audit.Log.
func (l *Log) Put(_ context.Context, e audit.Stored) (*audit.Stored, error) {
	if err := l.before("Put"); err != nil {
		return nil, err
	}
	if e.Event.RecordedTime.IsZero() || !audit.ValidLogID(e.Event.LogID) {
		return nil, audit.Unwritable{Reason: "its logid or recordedtime is not valid"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if there, ok := l.events[e.Event.LogID]; ok {
		if bytes.Equal(there.Document, e.Document) {
			return nil, nil
		}
		return &there, nil
	}
	decoded, err := event.Decode(e.Document)
	if err != nil {
		return nil, err
	}
	l.events[e.Event.LogID] = audit.Stored{Event: decoded, Document: bytes.Clone(e.Document), Restored: e.Restored}
	return nil, nil
}

// Index implements audit.Log.
func (l *Log) Index(_ context.Context, events []event.Event) error {
	if err := l.before("Index"); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.indexed[e.LogID] = e
	}
	return nil
}

// MissingIndex implements audit.Log.
func (l *Log) MissingIndex(_ context.Context, events []event.Event) (missing []event.Event, err error) {
	if err := l.before("MissingIndex"); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if _, ok := l.indexed[e.LogID]; !ok {
			missing = append(missing, e)
		}
	}
	return missing, nil
}

// Get implements audit.Log.
func (l *Log) Get(_ context.Context, logID string) (*audit.Stored, error) {
	if err := l.before("Get"); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.events[logID]; ok {
		return &e, nil
	}
	return nil, nil
}

// List implements audit.Log.
func (l *Log) List(_ context.Context, q audit.Query) (events []audit.Stored, next audit.Place, err error) {
	if err := l.before("List"); err != nil {
		return nil, next, err
	}
	if q.Limit < 1 {
		return nil, next, errors.New("a list's limit must be at least 1")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []audit.Stored
	for logID, indexed := range l.indexed {
		e, ok := l.events[logID]
		if !ok {
			e = audit.Stored{Event: indexed} // without a document
		}
		if value(q.Dimension, e.Event) == q.Value && within(q, e.Place()) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b audit.Stored) int { return order(q, a.Place(), b.Place()) })
	size, last := 0, audit.Place{}
	for _, e := range all {
		if size += len(e.Document); len(events) == q.Limit || q.MaxBytes > 0 && len(events) > 0 && size > q.MaxBytes {
			return events, last, nil
		}
		last = e.Place()
		if e.Document == nil {
			if q.NoGaps {
				return nil, next, audit.ErrGap
			}
			continue
		}
		events = append(events, e)
		l.looked++
	}
	return events, audit.Place{}, nil
}

func value(d audit.Dimension, e event.Event) string {
	switch d {
	case audit.BySubject:
		return e.Subject
	case audit.ByRoot:
		return event.Root(e.Subject)
	case audit.ByActor:
		return e.Actor
	case audit.ByType:
		return string(e.Type)
	}
	return ""
}

func within(q audit.Query, p audit.Place) bool {
	at := p.RecordedTime.Truncate(time.Microsecond)
	return (q.From.IsZero() || !at.Before(q.From)) && (q.To.IsZero() || at.Before(q.To)) &&
		(q.After == (audit.Place{}) || order(q, p, q.After) > 0)
}

func order(q audit.Query, a, b audit.Place) int {
	sign := a.RecordedTime.Compare(b.RecordedTime)
	if sign == 0 {
		sign = strings.Compare(a.LogID, b.LogID)
	}
	if q.Ascending {
		return sign
	}
	return -sign
}
