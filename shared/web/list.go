package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/text"
)

// List is the query of a list that comes in pages. P is a place in the list:
// what the store needs to continue after an item.
type List[P any] struct {
	*Query
	After   *P       // where the previous page ended; nil on the first page
	name    string   // of the list, with the ids in its path
	filters []string // the parameters that decide which items are listed
	// adopted are the filters whose values came only with the cursor.
	adopted map[string]bool
	// sent are the client's values of filters that were pinned to another one.
	sent map[string]string
}

// cursor is where a page of a list ended. It carries the list's filters, so that a
// client can send it alone.
type cursor struct {
	List    string            `json:"l"`
	Filters map[string]string `json:"f,omitempty"`
	Sent    map[string]string `json:"s,omitempty"` // what the client sent for those that were pinned
	Place   jsontext.Value    `json:"p"`
}

const notACursor = "is not a valid cursor: send `next` of the previous page, unchanged"

// ReadList reads the parameter cursor of a list. The name must differ from the
// names of all other lists, including those of other boards and users. A cursor's
// filters apply as if the client had sent them. The client may also repeat them, but
// must not change them. valid reports whether a place can be in this list; nil
// accepts every place.
func ReadList[P any](q *Query, name string, filters []string, valid func(P) bool) *List[P] {
	l := &List[P]{Query: q, name: name, filters: filters, adopted: map[string]bool{}, sent: map[string]string{}}
	if !q.Has("cursor") {
		return l
	}
	var c cursor
	var place P
	if !readCursor(q.Value("cursor"), &c) || !readPart(c.Place, &place) || valid != nil && !valid(place) {
		l.Refuse()
		return l
	}
	other := c.List != name
	for _, f := range filters {
		value, carried := c.Filters[f]
		sent, pinned := c.Sent[f]
		if pinned {
			l.sent[f] = sent
		}
		if q.Has(f) {
			again := text.Normal(q.Value(f))
			if carried && again == text.Normal(value) {
				continue
			}
			other = other || !carried || !pinned || again != text.Normal(sent)
		}
		if carried {
			q.values.Set(f, value)
			l.adopted[f] = true
		}
	}
	if other {
		q.Faults.Add("cursor", "belongs to another list: send it with the parameters of the first page, or alone")
	}
	l.After = &place
	return l
}

// Refuse adds the fault that the cursor is not valid.
func (l *List[P]) Refuse() { l.Faults.Add("cursor", notACursor) }

// Pin makes the list's cursors carry the filter with this value. It is for a default or
// a bound that may have changed when the next page is read. The client may still repeat
// the value that it sent for the first page.
func (l *List[P]) Pin(filter, value string) {
	if _, pinned := l.sent[filter]; !pinned && l.Has(filter) {
		l.sent[filter] = l.Value(filter)
	}
	l.values.Set(filter, value)
}

// Err returns the faults of the query. A fault of a filter that came from the cursor
// is reported as a fault of the cursor.
func (l *List[P]) Err() error {
	for i, f := range l.Faults {
		if l.adopted[f.Field] {
			l.Faults[i] = fault.FieldFault{Field: "cursor", Detail: notACursor}
		}
	}
	return l.Query.Err()
}

// Next returns the cursor of the page after the place, nil if place is nil.
func (l *List[P]) Next(place *P) (*string, error) {
	if place == nil {
		return nil, nil
	}
	doc, err := json.Marshal(place)
	if err != nil {
		return nil, err
	}
	c := cursor{List: l.name, Place: doc, Filters: map[string]string{}, Sent: map[string]string{}}
	for _, f := range l.filters {
		if l.Has(f) {
			c.Filters[f] = l.Value(f)
		}
		if sent, pinned := l.sent[f]; pinned && text.Normal(sent) != text.Normal(l.Value(f)) {
			c.Sent[f] = sent
		}
	}
	doc, err = json.Marshal(c)
	next := base64.RawURLEncoding.EncodeToString(doc)
	return &next, err
}

// Page is the response of a list. Next is the cursor of the next page, null at
// the end.
type Page struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"`
}

// NewPage encodes the items that fit in a page. places has the place of each item;
// last is the place after all of them, nil at the list's end.
func NewPage[T, P any](l *List[P], items []T, places []P, last *P) (Page, error) {
	var page Page
	var err error
	if page.Items, err = Fit(items, EncodeItem[T]); err != nil {
		return Page{}, err
	}
	if n := len(page.Items); n < len(items) {
		last = &places[n-1]
	}
	page.Next, err = l.Next(last)
	return page, err
}

// ReplyPage writes a page whose items are byte for byte those of the page, as
// encoding/json would not.
func ReplyPage(w http.ResponseWriter, r *http.Request, page Page) error {
	next, err := encode(page.Next)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	body.WriteString(`{"items":[`)
	for i, item := range page.Items {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(item)
	}
	body.WriteString(`],"next":`)
	body.Write(next)
	body.WriteString("}\n")
	return ReplyCachedAs(w, r, "application/json", body.Bytes())
}

// FitAround leaves out items from the front until the one at index middle fits
// in the page. encode is that of Fit.
func FitAround[T, P any, B ~[]byte](items []T, places []P, middle int, encode func(T) (B, error)) ([]T, []P, error) {
	for {
		fitting, err := Fit(items, encode)
		if err != nil || middle < len(fitting) {
			return items, places, err
		}
		cut := max(1, middle-len(fitting)/2)
		items, places, middle = items[cut:], places[cut:], middle-cut
	}
}

// EncodeItem returns an item as a page of JSON shows it.
func EncodeItem[T any](item T) (json.RawMessage, error) { return encode(item) }

// maxPage is how many bytes the items of a page may have in a function's
// answer, so that all of it stays below the load balancer's 1 MB.
const maxPage = 700_000

// Fit encodes items until a page is full. One item always fits.
func Fit[T any, B ~[]byte](items []T, encode func(T) (B, error)) ([]B, error) {
	out := make([]B, 0, len(items))
	size := 0
	for _, item := range items {
		text, err := encode(item)
		if err != nil {
			return nil, err
		}
		if size += sentSize(text) + 1; size > maxPage && len(out) > 0 {
			break
		}
		out = append(out, text)
	}
	return out, nil
}

// sentSize returns how many bytes a text has in a function's answer, in which the
// body is a JSON string: a quote has two.
func sentSize(text []byte) int {
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

// readCursor reads a cursor: JSON in base64url, opaque to clients and safe in a
// query. It reports whether the text is valid: like a body, a cursor must not
// contain a NUL.
func readCursor(text string, c *cursor) bool {
	doc, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && scan(doc) == nil && readPart(doc, c)
}

// readPart reads a part of a cursor into v, a pointer, as Decode reads a body. It
// reports whether the part is valid.
func readPart(doc []byte, v any) bool {
	var faults fault.List
	return newReader(doc, "", &faults).fill(reflect.ValueOf(v).Elem()) == nil && len(faults) == 0
}
