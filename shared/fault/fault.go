// Package fault holds the one error that a client may see. Any other error is
// logged and becomes a bare 500. It does not depend on HTTP: package problem
// turns a fault into an answer.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is the kind of a fault. It is the last part of a problem's `type`, so
// it is part of the API and never changes. docs/errors.md documents every kind
// with the way out.
type Kind string

// The kinds. Package problem has their HTTP status and title.
const (
	BadRequest           Kind = "bad-request"
	Unauthenticated      Kind = "unauthenticated"
	BadCredentials       Kind = "bad-credentials"
	SessionEnded         Kind = "session-ended"
	BadAPIKey            Kind = "bad-api-key"
	Forbidden            Kind = "forbidden"
	NotFound             Kind = "not-found"
	MethodNotAllowed     Kind = "method-not-allowed"
	AddressTaken         Kind = "address-taken"
	IDUnavailable        Kind = "id-unavailable"
	TooManyBoards        Kind = "too-many-boards"
	CatalogueTooLarge    Kind = "catalogue-too-large"
	BoardClosed          Kind = "board-closed"
	BoardInUse           Kind = "board-in-use"
	BoardState           Kind = "board-state"
	PeriodClosed         Kind = "period-closed"
	AlreadyReversed      Kind = "already-reversed"
	DailyCap             Kind = "daily-cap"
	ScoreRange           Kind = "score-range"
	ScoreFloor           Kind = "score-floor"
	NameDiffers          Kind = "name-differs"
	LinkDeclined         Kind = "link-declined"
	LastAdmin            Kind = "last-admin"
	TooManyAPIKeys       Kind = "too-many-api-keys"
	NoLinkDue            Kind = "no-link-due"
	BodyTimeout          Kind = "body-timeout"
	TooLarge             Kind = "too-large"
	UnsupportedMediaType Kind = "unsupported-media-type"
	KeyReused            Kind = "key-reused"
	TooManyRequests      Kind = "too-many-requests"
	Busy                 Kind = "busy"
	Timeout              Kind = "timeout"
	Unfinished           Kind = "unfinished"
	DatabaseUnavailable  Kind = "database-unavailable"
	Internal             Kind = "internal"
)

// FieldFault is one fault of one field of the request. Field is a path such as
// `entries[1].reason`, or the name of a query parameter or a header.
type FieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is a fault as the client sees it.
type Error struct {
	Kind   Kind
	Detail string       // a sentence for a person: what is wrong, then what to do
	Field  string       // the field at fault, if any
	Errors []FieldFault // the faults of the request's fields, the one of Field first
	More   bool         // there may be faults that Errors does not list
	// RetryAfter is how long the client should wait; 0 if repeating does not help.
	RetryAfter time.Duration
	// Cause is logged and never sent.
	Cause error
}

func (e *Error) Error() string {
	s := string(e.Kind) + ": " + e.Detail
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns a fault with a formatted detail.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Field returns a fault that names one field.
func Field(kind Kind, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// As finds the fault in an error.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Is reports whether err is a fault of the kind.
func Is(err error, kind Kind) bool {
	e, ok := As(err)
	return ok && e.Kind == kind
}

// MaxFaults is the maximum number of faults of a request that are reported. Code that
// has found so many need not look for more.
const MaxFaults = 100

// List collects the faults of one request, so that the client gets all of them
// in one answer, up to MaxFaults.
type List []FieldFault

// Add notes a fault of a field.
func (l *List) Add(field, format string, args ...any) {
	l.Append(FieldFault{field, fmt.Sprintf(format, args...)})
}

// Append notes faults that were found elsewhere. A list keeps no more than twice
// MaxFaults, however many are noted: a body may be wrong in a hundred thousand places.
func (l *List) Append(faults ...FieldFault) {
	for _, f := range faults {
		if len(*l) == 2*MaxFaults {
			kept := l.kept()
			*l = kept[:min(len(kept), MaxFaults+1)]
		}
		*l = append(*l, f)
	}
}

// Err returns nil if the list is empty, else a BadRequest with the first MaxFaults
// faults in order. Of each field it keeps only the first fault, and none of a field
// inside another that already has one: such a fault only follows from it.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	faults, more := l.kept(), false
	if len(faults) > MaxFaults {
		faults, more = faults[:MaxFaults], true
	}
	return &Error{Kind: BadRequest, Detail: faults[0].Detail, Field: faults[0].Field, Errors: faults, More: more}
}

// kept returns the faults that Err keeps.
func (l List) kept() (faults List) {
	seen := fields{names: map[string]bool{}}
	for _, f := range l {
		if !seen.contain(f.Field) {
			seen.add(f.Field)
			faults = append(faults, f)
		}
	}
	return faults
}

// fields is a set of fields. A name can have nearly 1 MB, all of it dots, so the set
// looks up only beginnings of the lengths that it has: the lookups of one name then
// read no more than the names in the set have together.
type fields struct {
	names   map[string]bool
	lengths []int // sorted, without duplicates
}

func (s *fields) add(name string) {
	s.names[name] = true
	if i, ok := slices.BinarySearch(s.lengths, len(name)); !ok {
		s.lengths = slices.Insert(s.lengths, i, len(name))
	}
}

// contain reports whether one of the fields is the field or contains it.
func (s *fields) contain(field string) bool {
	for _, n := range s.lengths {
		if n >= len(field) {
			break
		}
		if (field[n] == '.' || field[n] == '[') && s.names[field[:n]] {
			return true
		}
	}
	return s.names[field]
}
