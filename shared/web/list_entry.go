package web

import (
	"bytes"
	"encoding/csv"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"plaudit/shared/score"
)

func (h readHandlers) entry(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	e, err := h.reader.Entry(r.Context(), caller(r), param(r, "board"), param(r, "entry"))
	if err != nil {
		return err
	}
	if wantsCSV(w, r) {
		return answerCSV(w, r, nil, []score.Entry{e}, nil, nil)
	}
	return answer(w, r, newEntryOut(e))
}

var entryFilters = []string{"player", "batch", "actor", "reason", "kind", "from", "to"}

func validEntryPlace(p score.EntryPlace) bool { return score.ValidEntry(p.ID) && inEra(p.OccurredAt) }

func (h readHandlers) entries(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, append([]string{"limit", "cursor"}, entryFilters...)...)
	board := param(r, "board")
	l, after := readList(q, "entries/"+board, entryFilters, validEntryPlace)
	f := score.EntryFilter{
		Player: q.text("player"), Batch: q.text("batch"), Actor: q.text("actor"), Reason: q.text("reason"), Kind: score.Kind(q.text("kind")),
		From: orNoTime(q.instant("from")), To: orNoTime(q.instant("to")),
	}
	f.Check(&q.faults)
	limit := int(q.int("limit", 50, 1, 100))
	if err := l.err(); err != nil {
		return err
	}
	page, err := h.reader.Entries(r.Context(), caller(r), board, f, after, limit)
	if err != nil {
		return err
	}
	return answerEntries(w, r, l, page)
}

func (h readHandlers) entriesOf(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "cursor")
	user := param(r, "user")
	l, after := readList(q, "entries of/"+user, nil, validEntryPlace)
	limit := int(q.int("limit", 50, 1, 100))
	if err := l.err(); err != nil {
		return err
	}
	page, err := h.reader.EntriesOfUser(r.Context(), caller(r), user, after, limit)
	if err != nil {
		return err
	}
	return answerEntries(w, r, l, page)
}

func answerEntries(w http.ResponseWriter, r *http.Request, l *list, page score.Page[score.Entry, score.EntryPlace]) error {
	if wantsCSV(w, r) {
		return answerCSV(w, r, l, page.Items, page.Places, page.Next)
	}
	items := make([]entryOut, len(page.Items))
	for i, e := range page.Items {
		items[i] = newEntryOut(e)
	}
	out, err := newListOut(l, items, page.Places, page.Next)
	if err != nil {
		return err
	}
	return answer(w, r, out)
}

// wantsCSV says whether the client would rather have CSV than JSON, which it
// gets where it says nothing of either
// (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1).
func wantsCSV(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	// How much a type is wanted is said by the most exact range that holds it.
	wanted := func(ranges ...string) float64 {
		best, exact := -1.0, len(ranges)
		for _, line := range r.Header.Values("Accept") {
			for part := range strings.SplitSeq(line, ",") {
				name, params, err := mime.ParseMediaType(part)
				if err != nil {
					continue
				}
				weight := 1.0
				if q, ok := params["q"]; ok {
					if weight, err = strconv.ParseFloat(q, 64); err != nil {
						continue
					}
				}
				for i, known := range ranges[:exact] {
					if name == known {
						best, exact = weight, i
					}
				}
			}
		}
		return best
	}
	return wanted("text/csv", "text/*", "*/*") > max(0, wanted("application/json", "application/*", "*/*"))
}

var csvHeader = []string{
	"id", "board", "player", "points", "reason", "note", "kind", "actor", "seq", "tiebreak", "occurred_at", "recorded_at", "batch", "reverses", "metadata",
}

// answerCSV answers with a table (https://www.rfc-editor.org/rfc/rfc4180) of
// the entries that fit in a page. The next one is named by a Link header
// (https://www.rfc-editor.org/rfc/rfc8288), because a table has no place for a
// cursor.
func answerCSV(w http.ResponseWriter, r *http.Request, l *list, entries []score.Entry, places []score.EntryPlace, last *score.EntryPlace) error {
	var page, row bytes.Buffer
	add := func(cells []string) error {
		row.Reset()
		// Lines end with LF alone: with CRLF the library would change the
		// line ends inside of cells too.
		c := csv.NewWriter(&row)
		if err := c.Write(cells); err != nil {
			return err
		}
		c.Flush()
		return c.Error()
	}
	if err := add(csvHeader); err != nil {
		return err
	}
	page.Write(row.Bytes())
	size := 0
	for i, e := range entries {
		if err := add(cells(e)); err != nil {
			return err
		}
		if size += sent(row.Bytes()); size > maxPage && i > 0 {
			last = &places[i-1]
			break
		}
		page.Write(row.Bytes())
	}
	if last != nil {
		cursor, err := next(l, last)
		if err != nil {
			return err
		}
		query := url.Values{"cursor": {*cursor}}
		if l.has("limit") {
			query.Set("limit", l.str("limit"))
		}
		w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
	}
	return answerWith(w, r, "text/csv; charset=utf-8; header=present", page.Bytes())
}

func cells(e score.Entry) []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	instant := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	return []string{
		e.ID, e.Board, e.Player, number(e.Points), noFormula(e.Reason), noFormula(e.Note), string(e.Kind), e.Actor, number(e.Seq), number(e.Tiebreak),
		instant(e.OccurredAt), instant(e.RecordedAt), e.Batch, e.Reverses, e.Metadata,
	}
}

// noFormula keeps a spreadsheet from running a text as a formula: what begins
// as one gets an apostrophe in front
// (https://owasp.org/www-community/attacks/CSV_Injection). Reasons and notes
// are the only cells whose first character somebody else chooses.
func noFormula(text string) string {
	first := strings.TrimLeft(text, " \u00a0")
	if strings.IndexAny(first, "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") == 0 {
		return "'" + text
	}
	return text
}
