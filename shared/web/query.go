package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"plaudit/shared/fault"
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

// err gives every fault that was found.
func (q *query) err() error { return q.faults.Err() }
