package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// query reads a request's query parameters and collects what is wrong with
// them.
type query struct {
	values url.Values
	faults fault.List
}

// readQuery takes the parameters that a route knows. One that it does not
// know, one that stands there twice, and one that is no UTF-8 or holds a NUL
// are faults.
func readQuery(r *http.Request, allowed ...string) *query {
	q := &query{}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.faults.Add("query", "is not of the form name=value&name=value with %%-escapes")
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
			q.faults.Add(name, "is not a parameter of this request; it takes %s", orNone(allowed))
		case len(values) > 1:
			q.faults.Add(name, "stands there twice")
		case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			q.faults.Add(name, "must be UTF-8 without NUL")
		}
	}
	return q
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// has says whether the parameter is there, empty or not.
func (q *query) has(name string) bool { return q.values.Has(name) }

// str gives the parameter's value, "" where it is absent.
func (q *query) str(name string) string { return q.values.Get(name) }

// int gives the parameter as a whole number from min to max, or the default
// where it is absent.
func (q *query) int(name string, def, min, max int64) int64 {
	if !q.has(name) {
		return def
	}
	n, err := strconv.ParseInt(q.str(name), 10, 64)
	if err != nil || n < min || n > max {
		q.faults.Add(name, "must be a whole number from %d to %d", min, max)
		return def
	}
	return n
}

// text gives the parameter's value, "" where it is absent. It must not be
// empty where it is there.
func (q *query) text(name string) string {
	if q.has(name) && q.str(name) == "" {
		q.faults.Add(name, "must not be empty")
	}
	return q.str(name)
}

// bool gives the parameter as true or false, false where it is absent.
func (q *query) bool(name string) bool {
	if value := q.str(name); q.has(name) && value != "true" && value != "false" {
		q.faults.Add(name, "must be true or false")
	}
	return q.str(name) == "true"
}

// points gives the parameter as a score, nil where it is absent.
func (q *query) points(name string) *int64 {
	if !q.has(name) {
		return nil
	}
	n := q.int(name, 0, -score.MaxPoints, score.MaxPoints)
	return &n
}

// instant gives the parameter as a time, the zero one where it is absent.
func (q *query) instant(name string) (t time.Time) {
	if !q.has(name) {
		return t
	}
	if err := t.UnmarshalText([]byte(q.str(name))); err != nil || !inEra(t) || t.IsZero() {
		q.faults.Add(name, "must be a time by RFC 3339 of the years 1000 to 8999, such as 2026-04-05T12:30:00Z; a + is written %%2B")
		return time.Time{}
	}
	return t
}

// inEra says whether a time is the zero one, which stands for none, or of a
// year from which those of four digits, which RFC 3339 needs, are far: there
// are cron expressions that fire once in decades.
func inEra(t time.Time) bool {
	year := t.UTC().Year()
	return t.IsZero() || year >= 1000 && year <= 8999
}

// err gives every fault that was found, one for each parameter: what is no
// text is not also a text of the wrong kind.
func (q *query) err() error {
	seen := map[string]bool{}
	return slices.DeleteFunc(q.faults, func(f fault.FieldFault) bool {
		again := seen[f.Field]
		seen[f.Field] = true
		return again
	}).Err()
}
