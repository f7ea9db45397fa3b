package scores

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
	"plaudit/shared/web"
)

// prefersCSV reports whether the client prefers CSV to JSON. If it accepts both
// equally, or names neither, it gets JSON
// (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1).
func prefersCSV(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	// weight returns the weight of the most specific of these ranges that the
	// client sent, or -1 if it sent none. Ranges begin with the most specific.
	weight := func(ranges ...string) float64 {
		best, exact := -1.0, len(ranges)
		for _, line := range r.Header.Values("Accept") {
			for part := range strings.SplitSeq(line, ",") {
				name, params, err := mime.ParseMediaType(part)
				if err != nil {
					continue
				}
				weight := 1.0
				if _, ok := params["q"]; ok {
					if weight, ok = web.Weight(part); !ok {
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
	return weight("text/csv", "text/*", "*/*") > max(0, weight("application/json", "application/*", "*/*"))
}

var csvHeader = []string{
	"id", "board", "player", "points", "reason", "note", "kind", "actor", "seq", "tiebreak", "occurred_at", "recorded_at", "batch", "reverses", "metadata",
}

// replyCSV writes a table (https://www.rfc-editor.org/rfc/rfc4180) of
// the entries that fit in a page. A Link header names the next page
// (https://www.rfc-editor.org/rfc/rfc8288), because a table cannot contain a
// cursor.
func replyCSV(w http.ResponseWriter, r *http.Request, l *web.List[score.EntryPlace], page score.Page[score.Entry, score.EntryPlace]) error {
	table, err := csvLine(csvHeader)
	if err != nil {
		return err
	}
	lines, err := web.Fit(page.Items, func(e score.Entry) ([]byte, error) { return csvLine(cells(e)) })
	if err != nil {
		return err
	}
	last := page.Next
	if n := len(lines); n < len(page.Items) {
		last = &page.Places[n-1]
	}
	next, err := l.Next(last)
	if err != nil {
		return err
	}
	if next != nil {
		query := url.Values{"cursor": {*next}}
		if l.Has("limit") {
			query.Set("limit", l.Value("limit"))
		}
		w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
	}
	return web.ReplyCachedAs(w, r, "text/csv; charset=utf-8; header=present", bytes.Join(append([][]byte{table}, lines...), nil))
}

// csvLine returns a line of a table. It ends with LF, because with CRLF the library
// would also change the line ends inside cells.
func csvLine(cells []string) ([]byte, error) {
	var line bytes.Buffer
	c := csv.NewWriter(&line)
	if err := c.Write(cells); err != nil {
		return nil, err
	}
	c.Flush()
	return line.Bytes(), c.Error()
}

func cells(e score.Entry) []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	instant := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	return []string{
		e.ID, e.Board, e.Player, number(e.Points), noFormula(e.Reason), noFormula(e.Note), string(e.Kind), e.Actor, number(e.Seq), number(e.Tiebreak),
		instant(e.OccurredAt), instant(e.RecordedAt), e.Batch, e.Reverses, e.Metadata,
	}
}

// noFormula puts an apostrophe in front of a text that a spreadsheet would run as a
// formula (https://owasp.org/www-community/attacks/CSV_Injection).
// Clients choose the first character of reasons and notes only.
func noFormula(text string) string {
	first := strings.TrimLeft(text, " \u00a0")
	if strings.IndexAny(first, "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") == 0 {
		return "'" + text
	}
	return text
}
