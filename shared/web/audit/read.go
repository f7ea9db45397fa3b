package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/web"
)

// event returns one event: as JSON like the others, or exactly its stored bytes.
func (h readHandlers) event(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "raw")
	raw := q.Bool("raw")
	if err := q.Err(); err != nil {
		return err
	}
	e, err := h.reader.Event(r.Context(), web.Caller(r), web.Param(r, "logid"))
	if err != nil {
		return err
	}
	if raw {
		return web.ReplyCachedAs(w, r, oneEvent, e.Document)
	}
	return web.ReplyCachedAs(w, r, plainJSON, append(bytes.Clone(e.Document), '\n'))
}

// place is a place in a list, in a cursor.
type place struct {
	RecordedTime time.Time `json:"t"`
	LogID        string    `json:"i"`
}

func validPlace(p place) bool {
	return audit.ValidLogID(p.LogID) && !p.RecordedTime.IsZero() && web.InEra(p.RecordedTime)
}

func placeOf(e audit.Stored) place { return place(e.Place()) }

// after returns the place that a page begins after.
func after(p *place) *audit.Place { return (*audit.Place)(p) }

// places returns the places of a page's events, and the one after all of them.
func places(page audit.Page) (all []place, last *place) {
	for _, e := range page.Events {
		all = append(all, placeOf(e))
	}
	return all, (*place)(page.Next)
}

var filters = []string{"subject", "actor", "type", "from", "to"}

// filter reads the parameters that select events.
func filter(q *web.Query) audit.Filter {
	f := audit.Filter{
		Subject: q.Text("subject"), Actor: q.Text("actor"), Type: q.Text("type"), From: q.Instant("from"), To: q.Instant("to"),
	}
	f.Check(&q.Faults)
	return f
}

// skew is for the second that the end of a list is cut to, and for a clock that an event
// was recorded by and that may be later than this process's.
const skew = 5 * time.Second

func (h readHandlers) events(w http.ResponseWriter, r *http.Request) error {
	names := append([]string{"order"}, filters...)
	q := web.ReadQuery(r, append([]string{"limit", "cursor"}, names...)...)
	l := web.ReadList(q, "events", names, validPlace)
	f := filter(q)
	switch q.Text("order") {
	case "", "desc":
	case "asc":
		f.Ascending = true
	default:
		q.Faults.Add("order", "must be desc (the newest first) or asc")
	}
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	if f.Ascending && !q.Has("to") {
		// The list ends although events arrive: with those that its first page could have.
		// The other order ends at the first event.
		f.To = h.reader.Now().UTC().Truncate(time.Second).Add(skew)
		l.Pin("to", web.TimeCell(f.To))
	}
	page, err := h.reader.List(r.Context(), web.Caller(r), f, after(l.After), limit)
	if err != nil {
		return err
	}
	at, last := places(page)
	if web.PrefersCSV(w, r) {
		return web.ReplyCSV(w, r, l, page.Events, at, last, sheet)
	}
	items, err := web.Fit(page.Events, document)
	if err != nil {
		return err
	}
	if n := len(items); n < len(page.Events) {
		last = &at[n-1]
	}
	out := web.Page{Items: items}
	if out.Next, err = l.Next(last); err != nil {
		return err
	}
	return web.ReplyPage(w, r, out)
}

func document(e audit.Stored) (json.RawMessage, error) { return e.Document, nil }

// typeLines is the media type of JSON Lines (https://jsonlines.org).
const typeLines = "application/jsonl"

// until is the header that says how far an export is complete.
const until = "Export-Until"

// export returns a page of the events of a time, the oldest first.
func (h readHandlers) export(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, append([]string{"cursor"}, filters...)...)
	l := web.ReadList(q, "export", filters, validPlace)
	f := filter(q)
	f.Ascending = true
	if err := l.Err(); err != nil {
		return err
	}
	if end := h.reader.ExportEnd(); f.To.IsZero() || f.To.After(end) {
		f.To = end
		l.Pin("to", web.TimeCell(end))
	}
	page, err := h.reader.List(r.Context(), web.Caller(r), f, after(l.After), audit.ExportLimit)
	if err != nil {
		return err
	}
	csv := web.PrefersCSV(w, r, typeLines, "application/x-ndjson", plainJSON)
	encode, media := line, typeLines
	if csv {
		encode, media = sheet.Line, web.TypeCSV
	}
	lines, err := web.Fit(page.Events, encode)
	if err != nil {
		return err
	}
	at, last := places(page)
	if n := len(lines); n < len(page.Events) {
		last = &at[n-1]
	}
	if err := l.Link(w, r, last); err != nil {
		return err
	}
	done := f.To
	if last != nil {
		done = last.RecordedTime
	}
	if done.Before(f.From) {
		done = f.From // of the time before it, nothing was asked
	}
	w.Header().Set(until, web.TimeCell(done))
	if csv {
		first, err := sheet.First()
		if err != nil {
			return err
		}
		lines = append([][]byte{first}, lines...)
	}
	return web.ReplyCachedAs(w, r, media, bytes.Join(lines, nil))
}

// line returns an event as one line. In JSON, line breaks only occur between values,
// where they mean nothing.
func line(e audit.Stored) ([]byte, error) {
	text := append(bytes.Clone(e.Document), '\n')
	for i, c := range text[:len(text)-1] {
		if c == '\n' || c == '\r' {
			text[i] = ' '
		}
	}
	return text, nil
}

// sheet is the form of events as a table. data is JSON; binary data are in data_base64.
var sheet = web.Sheet[audit.Stored]{
	Header: []string{
		"recordedtime", "logid", "id", "source", "type", "subject", "time", "actor", "notify", "subjectseq", "traceparent",
		"datacontenttype", "dataschema", "extensions", "data", "data_base64",
	},
	Cells: func(s audit.Stored) []string {
		e, at, seq, extensions := s.Event, "", "", ""
		if !e.Time.IsZero() {
			at = web.TimeCell(e.Time)
		}
		if e.SubjectSeq != 0 {
			seq = strconv.FormatInt(e.SubjectSeq, 10)
		}
		if len(e.Extensions) > 0 {
			doc, _ := web.EncodeItem(e.Extensions) // strings, booleans and integers
			extensions = string(doc)
		}
		return []string{
			web.TimeCell(e.RecordedTime), web.NoFormula(e.LogID), web.NoFormula(e.ID), web.NoFormula(e.Source), web.NoFormula(string(e.Type)), web.NoFormula(e.Subject), at,
			e.Actor, e.Notify, seq, e.TraceParent, web.NoFormula(e.DataContentType), web.NoFormula(e.DataSchema),
			web.NoFormulaJSON(extensions), web.NoFormulaJSON(string(e.JSON)), web.NoFormula(base64.StdEncoding.EncodeToString(e.Binary)),
		}
	},
}
