// Package fault holds the one error that a client may see. Any other error is
// logged and answered as a bare 500.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind says what went wrong. It is the last part of a problem's `type`, so it
// is part of the API and never changes. docs/errors.md lists every kind with
// the way out.
type Kind string

// The kinds. Their status and title are in kinds.
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
	BoardTaken           Kind = "board-taken"
	BoardClosed          Kind = "board-closed"
	BoardInUse           Kind = "board-in-use"
	PeriodClosed         Kind = "period-closed"
	AlreadyReversed      Kind = "already-reversed"
	DailyCap             Kind = "daily-cap"
	ScoreRange           Kind = "score-range"
	LastAdmin            Kind = "last-admin"
	TooManyAPIKeys       Kind = "too-many-api-keys"
	TooLarge             Kind = "too-large"
	UnsupportedMediaType Kind = "unsupported-media-type"
	KeyReused            Kind = "key-reused"
	TooManyRequests      Kind = "too-many-requests"
	Busy                 Kind = "busy"
	DatabaseUnavailable  Kind = "database-unavailable"
	Internal             Kind = "internal"
)

var kinds = map[Kind]struct {
	status int
	title  string
}{
	BadRequest:           {http.StatusBadRequest, "The request has a fault"},
	Unauthenticated:      {http.StatusUnauthorized, "A valid access token is needed"},
	BadCredentials:       {http.StatusUnauthorized, "The address or the password is wrong"},
	SessionEnded:         {http.StatusUnauthorized, "The session has ended"},
	BadAPIKey:            {http.StatusUnauthorized, "The API key is not valid"},
	Forbidden:            {http.StatusForbidden, "Not allowed"},
	NotFound:             {http.StatusNotFound, "Not found"},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, "The method is not allowed here"},
	AddressTaken:         {http.StatusConflict, "The address has an account"},
	BoardTaken:           {http.StatusConflict, "The board's id is taken"},
	BoardClosed:          {http.StatusConflict, "The board is closed"},
	BoardInUse:           {http.StatusConflict, "The board is in use"},
	PeriodClosed:         {http.StatusConflict, "The period is closed"},
	AlreadyReversed:      {http.StatusConflict, "The entry is reversed"},
	DailyCap:             {http.StatusConflict, "The day's points are used up"},
	ScoreRange:           {http.StatusConflict, "The score would leave its range"},
	LastAdmin:            {http.StatusConflict, "The last admin must stay"},
	TooManyAPIKeys:       {http.StatusConflict, "The account has too many API keys"},
	TooLarge:             {http.StatusRequestEntityTooLarge, "The body is too large"},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, "The body must be JSON"},
	KeyReused:            {http.StatusUnprocessableEntity, "The key was used for another request"},
	TooManyRequests:      {http.StatusTooManyRequests, "Too many requests"},
	Busy:                 {http.StatusServiceUnavailable, "Try again"},
	DatabaseUnavailable:  {http.StatusServiceUnavailable, "The database cannot be reached"},
	Internal:             {http.StatusInternalServerError, "Something went wrong here"},
}

// Kinds lists every kind, for the documentation and its test.
func Kinds() []Kind {
	list := make([]Kind, 0, len(kinds))
	for k := range kinds {
		list = append(list, k)
	}
	return list
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return kinds[k].status }

// Title is the short text that is the same for every problem of the kind.
func (k Kind) Title() string { return kinds[k].title }

// Type is the URI that a problem carries as its type (RFC 9457).
func (k Kind) Type() string { return "urn:plaudit:error:" + string(k) }

// FieldFault is one fault of one field of the request. Field is a path such as
// `entries[1].reason`, a query parameter's or a header's name.
type FieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is a fault as the client sees it.
type Error struct {
	Kind   Kind
	Detail string       // a sentence for a person: what, and the way out
	Field  string       // the field at fault, if there is one
	Errors []FieldFault // every fault of the body, where there is more than one field to name
	// RetryAfter is how long the client should wait; 0 where repeating does not help.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault with a formatted detail.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Field makes a fault that names one field.
func Field(kind Kind, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// As finds the fault in an error.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Is says whether err is a fault of the kind.
func Is(err error, kind Kind) bool {
	e, ok := As(err)
	return ok && e.Kind == kind
}

// List collects the faults of one request, so that they come together.
type List []FieldFault

// Add notes a fault of a field.
func (l *List) Add(field, format string, args ...any) {
	*l = append(*l, FieldFault{field, fmt.Sprintf(format, args...)})
}

// Err is nil where nothing was noted, else a BadRequest with all of it: of each
// field the first fault, and none of what is inside of such a field. What is
// said after the first only follows from it.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	var faults List
	faulty := map[string]bool{}
	for _, f := range l {
		if !inside(faulty, f.Field) {
			faulty[f.Field] = true
			faults = append(faults, f)
		}
	}
	return &Error{Kind: BadRequest, Detail: faults[0].Detail, Field: faults[0].Field, Errors: faults}
}

// inside says whether one of the fields is the field or contains it.
func inside(fields map[string]bool, field string) bool {
	for i, c := range field {
		if (c == '.' || c == '[') && fields[field[:i]] {
			return true
		}
	}
	return fields[field]
}
