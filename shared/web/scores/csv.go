package scores

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

	"plaudit/shared/score"
	"plaudit/shared/text"
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

// sheet is the form of a list as a table.
type sheet[T any] struct {
	header []string
	cells  func(T) []string
}

// line returns an item as a line of the table.
func (s sheet[T]) line(item T) ([]byte, error) { return csvLine(s.cells(item)) }

// replyList writes a page of a list, as CSV if the client prefers it, else as JSON.
// show converts each item for JSON.
func replyList[T, P, Out any](w http.ResponseWriter, r *http.Request, l *web.List[P], page score.Page[T, P], s sheet[T], show func(T) Out) error {
	if prefersCSV(w, r) {
		return replyCSV(w, r, l, page, s)
	}
	return replyPage(w, r, l, page, show)
}

// replyCSV writes a table (https://www.rfc-editor.org/rfc/rfc4180) of
// the items that fit in a page. A Link header names the next page
// (https://www.rfc-editor.org/rfc/rfc8288), because a table cannot contain a
// cursor.
func replyCSV[T, P any](w http.ResponseWriter, r *http.Request, l *web.List[P], page score.Page[T, P], s sheet[T]) error {
	table, err := csvLine(s.header)
	if err != nil {
		return err
	}
	lines, err := web.Fit(page.Items, s.line)
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

var entrySheet = sheet[score.NamedEntry]{
	[]string{
		"id", "board", "player", "display_name", "points", "reason", "note", "kind", "actor", "seq", "tiebreak", "occurred_at", "recorded_at",
		"batch", "reverses", "metadata",
	},
	func(e score.NamedEntry) []string {
		return []string{
			e.ID, e.Board, e.Player, textCell(e.DisplayName), intCell(e.Points), noFormula(e.Reason), noFormula(e.Note), string(e.Kind), e.Actor,
			intCell(e.Seq), intCell(e.Tiebreak), timeCell(e.OccurredAt), timeCell(e.RecordedAt), e.Batch, e.Reverses, noFormulaJSON(e.Metadata),
		}
	},
}

// standingSheet returns the form of standings of a board with these categories.
func standingSheet(categories []string) sheet[score.Standing] {
	return sheet[score.Standing]{
		withCategories([]string{"rank", "player", "display_name", "country", "score", "tiebreak", "reached_at"}, categories),
		func(s score.Standing) []string {
			rank := ""
			if s.Rank != nil {
				rank = intCell(*s.Rank)
			}
			return withValues([]string{
				rank, s.Player, textCell(s.DisplayName), textCell(s.Country), intCell(s.Score), intCell(s.Tiebreak), timeCell(s.ReachedAt),
			}, categories, s.Attributes)
		},
	}
}

// playerSheet returns the form of players of a board with these categories.
func playerSheet(categories []string) sheet[score.Player] {
	return sheet[score.Player]{
		withCategories([]string{"board", "player", "display_name", "country", "user", "status", "note", "proposed_user", "link_state"}, categories),
		func(p score.Player) []string {
			return withValues([]string{
				p.Board, p.ID, textCell(p.DisplayName), textCell(p.Country), textCell(p.User), string(p.Status), textCell(p.Note),
				textCell(p.ProposedUser), textCell(p.LinkState),
			}, categories, p.Attributes)
		},
	}
}

var categorySheet = sheet[score.CategoryCount]{
	[]string{"category", "name", "value", "players"},
	func(c score.CategoryCount) []string {
		return []string{noFormula(c.String()), noFormula(c.Name), noFormula(c.Value), intCell(c.Players)}
	},
}

// withCategories adds a column for each of a board's categories.
func withCategories(header, categories []string) []string {
	for _, name := range categories {
		header = append(header, noFormula(name))
	}
	return header
}

// withValues adds a player's value of each category, empty if the player has none.
func withValues(cells, categories []string, attributes map[string]string) []string {
	for _, name := range categories {
		cells = append(cells, noFormula(attributes[name]))
	}
	return cells
}

func intCell(n int64) string { return strconv.FormatInt(n, 10) }

func timeCell(t time.Time) string { return t.Format(time.RFC3339Nano) }

// textCell returns a text that clients choose, empty if there is none.
func textCell(s *string) string {
	if s == nil {
		return ""
	}
	return noFormula(*s)
}

// noFormula puts an apostrophe in front of every part of a text that a spreadsheet
// would run as a formula (https://owasp.org/www-community/attacks/CSV_Injection). A
// part begins where the text does, and after everything that some program takes for the
// end of a cell, even between quotes. It is for every text that clients choose.
func noFormula(cell string) string {
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

// noFormulaJSON does the same for JSON, in which an apostrophe would be an error: it
// escapes the first character of the formula, which does not change what the JSON
// means. Outside of strings, only a number begins like a formula.
func noFormulaJSON(doc string) string {
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
