package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"plaudit/shared/fault"
)

// list is the query of a list that comes in pages.
type list struct {
	*query
	name    string   // what is listed, ids and all
	filters []string // the parameters that decide what is in it
	// adopted are the filters that came with the cursor only.
	adopted map[string]bool
}

// cursor is where a page of a list ended. It carries the list's filters, so
// that it can be sent alone.
type cursor struct {
	List    string            `json:"l"`
	Filters map[string]string `json:"f,omitempty"`
	Place   json.RawMessage   `json:"p"`
}

// readList reads a list's query. A cursor brings its filters; beside it they
// may stand again, but not others. The place is nil on the first page; valid
// says whether one can have come from here, nil that any can.
func readList[P any](q *query, name string, filters []string, valid func(P) bool) (*list, *P) {
	l := &list{query: q, name: name, filters: filters, adopted: map[string]bool{}}
	if !q.has("cursor") {
		return l, nil
	}
	var c cursor
	var place P
	if !readCursor(q.str("cursor"), &c) || !strictJSON(c.Place, &place) || valid != nil && !valid(place) {
		q.faults.Add("cursor", "is none that this API gave")
		return l, nil
	}
	other := c.List != name
	for _, f := range filters {
		switch value, carried := c.Filters[f]; {
		case q.has(f):
			other = other || !carried || value != q.str(f)
		case carried:
			q.values.Set(f, value)
			l.adopted[f] = true
		}
	}
	if other {
		q.faults.Add("cursor", "belongs to another list: send it with the parameters of the first page, or alone")
	}
	return l, &place
}

// err gives every fault. What is wrong with a filter that only the cursor has
// is wrong with the cursor.
func (l *list) err() error {
	for i, f := range l.faults {
		if l.adopted[f.Field] {
			l.faults[i] = fault.FieldFault{Field: "cursor", Detail: "is none that this API gave"}
		}
	}
	return l.query.err()
}

// next makes the cursor of the page after the place, null where there is none.
func next[P any](l *list, place *P) (*string, error) {
	if place == nil {
		return nil, nil
	}
	text, err := json.Marshal(place)
	if err != nil {
		return nil, err
	}
	c := cursor{List: l.name, Place: text, Filters: map[string]string{}}
	for _, f := range l.filters {
		if l.has(f) {
			c.Filters[f] = l.str(f)
		}
	}
	doc, err := writeCursor(c)
	return &doc, err
}

// listOut is a list's answer. Next is the cursor of the next page, null at the
// end.
type listOut struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"`
}

// newListOut encodes what fits in a page. Places are the items' own, last is
// the place to go on from where all of them fit.
func newListOut[T, P any](l *list, items []T, places []P, last *P) (listOut, error) {
	var out listOut
	var err error
	if out.Items, err = fit(items); err != nil {
		return listOut{}, err
	}
	if n := len(out.Items); n < len(items) {
		last = &places[n-1]
	}
	out.Next, err = next(l, last)
	return out, err
}

// centred leaves out what comes first where a page would be full before the
// item in its middle.
func centred[T, P any](items []T, places []P, middle int) ([]T, []P, error) {
	for {
		fitting, err := fit(items)
		if err != nil || middle < len(fitting) {
			return items, places, err
		}
		cut := max(1, middle-len(fitting)/2)
		items, places, middle = items[cut:], places[cut:], middle-cut
	}
}

// maxPage is how many bytes the items of a page may have on their way, so that
// the whole answer stays below the load balancer's 1 MB.
const maxPage = 700_000

// fit encodes items until a page is full. One item always fits.
func fit[T any](items []T) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, len(items))
	size := 0
	for _, item := range items {
		text, err := encode(item)
		if err != nil {
			return nil, err
		}
		if size += sent(text) + 1; size > maxPage && len(out) > 0 {
			break
		}
		out = append(out, text)
	}
	return out, nil
}

// sent gives how many bytes a text has in a function's answer, where a body
// travels as a JSON string: two for a quote.
func sent(text []byte) int {
	n := len(text) + 3*bytes.Count(text, []byte("\u2028")) + 3*bytes.Count(text, []byte("\u2029"))
	for _, c := range text {
		switch {
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			n++
		case c < ' ':
			n += 5
		}
	}
	return n
}

// A cursor is JSON in base64url: opaque to clients, and safe in a query.
func writeCursor(c any) (string, error) {
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// readCursor says whether the text is a cursor of c's type. What a body may not
// hold, a NUL say, is in none.
func readCursor(text string, c any) bool {
	doc, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && scan(doc) == nil && strictJSON(doc, c)
}

// strictJSON says whether the document is one of v's type and nothing else.
func strictJSON(doc []byte, v any) bool {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	return dec.Decode(v) == nil && !dec.More() && !bytes.Equal(bytes.TrimSpace(doc), []byte("null"))
}

// words gives the comma-separated parts of a parameter, each once.
func words(text string) []string {
	seen := map[string]bool{}
	for w := range strings.SplitSeq(text, ",") {
		seen[w] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
