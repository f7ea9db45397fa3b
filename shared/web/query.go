package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"plaudit/shared/fault"
	"plaudit/shared/text"
)

// Query reads a request's query parameters and collects their faults. A method that
// adds a fault returns the zero value or the default.
type Query struct {
	Faults fault.List
	values url.Values
}

// ReadQuery reads the query of a route that accepts the allowed parameters. It is a
// fault if a parameter is not allowed, appears more than once, is not UTF-8 or
// contains a NUL.
func ReadQuery(r *http.Request, allowed ...string) *Query {
	return parseQuery(r.URL.RawQuery, "query", "parameter", allowed)
}

// parseQuery reads values that are encoded as a query is. whole names them together, and
// one each of them.
func parseQuery(encoded, whole, one string, allowed []string) *Query {
	q := &Query{}
	var err error
	if q.values, err = url.ParseQuery(encoded); err != nil {
		q.Faults.Add(whole, "must have the form name=value&name=value, with valid %%-escapes")
	}
	names := make([]string, 0, len(q.values))
	for name := range q.values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := q.values[name]
		switch {
		case !slices.Contains(allowed, name):
			q.Faults.Add(name, "is not a %s of this request, which accepts %s", one, orNone(allowed))
		case len(values) > 1:
			q.Faults.Add(name, "appears more than once")
		case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			q.Faults.Add(name, "must be valid UTF-8 without the character NUL")
		}
	}
	return q
}

// NoQuery returns an error if the request has a query parameter.
func NoQuery(r *http.Request) error { return ReadQuery(r).Err() }

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Has reports whether the request has the parameter, empty or not.
func (q *Query) Has(name string) bool { return q.values.Has(name) }

// Value returns the parameter's value, "" if it is absent.
func (q *Query) Value(name string) string { return q.values.Get(name) }

// Int returns the parameter as a whole number from min to max, def if it is
// absent.
func (q *Query) Int(name string, def, min, max int64) int64 {
	if !q.Has(name) {
		return def
	}
	n, err := parseInt(q.Value(name), 64)
	if err != nil || n < min || n > max {
		q.Faults.Add(name, "must be a whole number from %d to %d", min, max)
		return def
	}
	return n
}

// Limit returns the parameter limit of a list, the maximum number of items on a
// page: from 1 to max, 50 if it is absent.
func (q *Query) Limit(max int) int { return int(q.Int("limit", 50, 1, int64(max))) }

// Text returns the parameter's value, "" if it is absent. A parameter that is
// present must not be empty.
func (q *Query) Text(name string) string {
	if q.Has(name) && q.Value(name) == "" {
		q.Faults.Add(name, "must not be empty")
	}
	return q.Value(name)
}

// Short returns the parameter as a short text in its normal form, "" if it is
// absent. Package text has the rule.
func (q *Query) Short(name string, max int) string {
	value := q.Text(name)
	if value == "" {
		return ""
	}
	value = text.Normal(value)
	if err := text.Check(value, max); err != nil {
		q.Faults.Add(name, "%v", err)
	}
	return value
}

// Bool returns the parameter as true or false, false if it is absent.
func (q *Query) Bool(name string) bool {
	value, ok := parseBool(q.Value(name))
	if q.Has(name) && !ok {
		q.Faults.Add(name, "must be true or false")
	}
	return value
}

// Instant returns the parameter as a time in UTC, the zero time if it is absent.
func (q *Query) Instant(name string) time.Time {
	if !q.Has(name) {
		return time.Time{}
	}
	t, ok := ParseTime(q.Value(name))
	if !ok || !InEra(t) {
		q.Faults.Add(name, "must be an RFC 3339 time between the years 1000 and 8999, such as 2026-04-05T12:30:00Z; write + as %%2B")
		return time.Time{}
	}
	return t
}

// InEra reports whether a time is zero, which means none, or in the years 1000 to
// 8999. The distance to the years that RFC 3339 cannot write with four digits is
// for cron expressions that fire once in decades.
func InEra(t time.Time) bool {
	year := t.UTC().Year()
	return t.IsZero() || year >= 1000 && year <= 8999
}

// Err returns the faults, at most one for each parameter.
func (q *Query) Err() error {
	return q.Faults.Err()
}
