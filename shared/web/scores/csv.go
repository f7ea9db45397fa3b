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
			intCell(e.Seq), intCell(e.Tiebreak), timeCell(e.OccurredAt), timeCell(e.RecordedAt), e.Batch, e.Reverses, e.Metadata,
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
func textCell(text *string) string {
	if text == nil {
		return ""
	}
	return noFormula(*text)
}

// noFormula puts an apostrophe in front of a text that a spreadsheet would run as a
// formula (https://owasp.org/www-community/attacks/CSV_Injection).
// It is for every text whose first character clients choose.
func noFormula(text string) string {
	first := strings.TrimLeft(text, " \u00a0")
	if strings.IndexAny(first, "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") == 0 {
		return "'" + text
	}
	return text
}
