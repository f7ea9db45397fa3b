package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"plaudit/shared/text"
)

// PrefersCSV reports whether the client prefers CSV to JSON. If it accepts both
// equally, or names neither, it gets JSON. json are the media types of JSON, unless it is
// application/json alone (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1).
func PrefersCSV(w http.ResponseWriter, r *http.Request, json ...string) bool {
	if len(json) == 0 {
		json = []string{"application/json"}
	}
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
					if weight, ok = Weight(part); !ok {
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
	return weight("text/csv", "text/*", "*/*") > max(0, weight(append(json, "application/*", "*/*")...))
}

// Sheet is the form of a list as a table.
type Sheet[T any] struct {
	Header []string
	Cells  func(T) []string
}

// Line returns an item as a line of the table.
func (s Sheet[T]) Line(item T) ([]byte, error) { return csvLine(s.Cells(item)) }

// First returns the table's first line, which names the columns.
func (s Sheet[T]) First() ([]byte, error) { return csvLine(s.Header) }

// TypeCSV is the media type of a table.
const TypeCSV = "text/csv; charset=utf-8; header=present"

// ReplyCSV writes a table (https://www.rfc-editor.org/rfc/rfc4180) of the items that
// fit in a page. places and last are those of NewPage. A Link header names the next
// page, because a table cannot contain a cursor.
func ReplyCSV[T, P any](w http.ResponseWriter, r *http.Request, l *List[P], items []T, places []P, last *P, s Sheet[T]) error {
	table, err := s.First()
	if err != nil {
		return err
	}
	lines, err := Fit(items, s.Line)
	if err != nil {
		return err
	}
	if n := len(lines); n < len(items) {
		last = &places[n-1]
	}
	if err := l.Link(w, r, last); err != nil {
		return err
	}
	return ReplyCachedAs(w, r, TypeCSV, bytes.Join(append([][]byte{table}, lines...), nil))
}

// Link sets the header that names the page after the place
// (https://www.rfc-editor.org/rfc/rfc8288); there is none if place is nil.
func (l *List[P]) Link(w http.ResponseWriter, r *http.Request, place *P) error {
	next, err := l.Next(place)
	if err != nil || next == nil {
		return err
	}
	query := url.Values{"cursor": {*next}}
	if l.Has("limit") {
		query.Set("limit", l.Value("limit"))
	}
	w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
	return nil
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

func IntCell(n int64) string { return strconv.FormatInt(n, 10) }

func TimeCell(t time.Time) string { return t.Format(time.RFC3339Nano) }

// TextCell returns a text that clients choose, empty if there is none.
func TextCell(s *string) string {
	if s == nil {
		return ""
	}
	return NoFormula(*s)
}

// NoFormula puts an apostrophe in front of every part of a text that a spreadsheet
// would run as a formula (https://owasp.org/www-community/attacks/CSV_Injection). A
// part begins where the text does, and after everything that some program takes for the
// end of a cell, even between quotes. It is for every text that clients choose.
func NoFormula(cell string) string {
	var safe strings.Builder
	kept := 0
	for part := range formulas(cell) {
		safe.WriteString(cell[kept:part.start])
		safe.WriteByte('\'')
		kept = part.start
	}
	safe.WriteString(cell[kept:])
	return safe.String()
}

// NoFormulaJSON does the same for JSON, in which an apostrophe would be an error: it
// escapes the first character of the formula, which does not change what the JSON
// means. Outside of strings, only a number begins like a formula.
func NoFormulaJSON(doc string) string {
	var safe strings.Builder
	kept, read, quoted := 0, 0, false
	for part := range formulas(doc) {
		for ; read < part.sign; read++ {
			switch {
			case doc[read] == '"':
				quoted = !quoted
			case quoted && doc[read] == '\\':
				read++
			}
		}
		if quoted {
			r, n := utf8.DecodeRuneInString(doc[part.sign:])
			safe.WriteString(doc[kept:part.sign])
			fmt.Fprintf(&safe, `\u%04x`, r)
			kept = part.sign + n
		}
	}
	safe.WriteString(doc[kept:])
	return safe.String()
}

// formula is a part of a text that a spreadsheet would run.
type formula struct{ start, sign int } // where it begins, and its first character that shows

// signs are the characters that formulas begin with: in ASCII, and their forms of other
// widths and heights, which some programs read as ASCII.
const signs = "=+-@" + "＝＋－＠" + "﹦﹢﹣﹫" + "−" + "⁼⁺⁻" + "₌₊₋"

// formulas returns the formulas of a text. Programs ignore what does not show, and
// quotes, before a sign. A text that begins with a control character is taken for one
// too.
func formulas(s string) iter.Seq[formula] {
	return func(yield func(formula) bool) {
		start, begins := 0, true
		for i, r := range s {
			control := unicode.IsControl(r)
			switch {
			case begins && (strings.ContainsRune(signs, r) || i == 0 && control):
				if !yield(formula{start, i}) {
					return
				}
				begins = false
			case r == '"' || !text.Visible(r):
			default:
				begins = false
			}
			if r == ',' || r == ';' || control || unicode.In(r, unicode.Zl, unicode.Zp) {
				start, begins = i+utf8.RuneLen(r), true
			}
		}
	}
}
