package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"plaudit/shared/score"
)

// ScoreQuery reads boards, standings and entries.
func ScoreQuery(reader *score.Reader) map[string]Handler {
	h := readHandlers{reader}
	return map[string]Handler{
		"GET /v1/boards/{board}":                    h.board,
		"GET /v1/boards/{board}/entries/{entry}":    h.entry,
		"GET /v1/boards/{board}/standings":          h.standings,
		"GET /v1/boards/{board}/standings/{player}": h.standing,
	}
}

type readHandlers struct{ reader *score.Reader }

type periodOut struct {
	Name  string     `json:"name"`
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end"`
	State string     `json:"state"` // open or closed; `all` never closes
}

func newPeriodOut(s score.Span) periodOut {
	return periodOut{s.Name, orNoTime(s.Start), orNoTime(s.End), "open"}
}

type standingsOut struct {
	Board    string            `json:"board"`
	Period   periodOut         `json:"period"`
	Category *string           `json:"category"` // null: the whole board
	Of       int64             `json:"of"`
	Items    []json.RawMessage `json:"items"`
	Next     *string           `json:"next"`
}

type standingItemOut struct {
	Rank        *int64            `json:"rank"`
	Player      string            `json:"player"`
	DisplayName *string           `json:"display_name"`
	Country     *string           `json:"country"`
	Score       int64             `json:"score"`
	Tiebreak    int64             `json:"tiebreak"`
	ReachedAt   time.Time         `json:"reached_at"`
	Attributes  map[string]string `json:"attributes"`
}

type standingOut struct {
	Board       string            `json:"board"`
	Player      string            `json:"player"`
	DisplayName *string           `json:"display_name"`
	Country     *string           `json:"country"`
	Attributes  map[string]string `json:"attributes"`
	Period      periodOut         `json:"period"`
	Category    *string           `json:"category"`
	Score       int64             `json:"score"`
	Tiebreak    int64             `json:"tiebreak"`
	Rank        *int64            `json:"rank"` // null unless the player is ranked
	Of          int64             `json:"of"`
	Percentile  *float64          `json:"percentile"` // 100·(of−rank+1)/of
	ReachedAt   time.Time         `json:"reached_at"`
	Status      score.Status      `json:"status"`
	Categories  []struct{}        `json:"categories"`
}

func (h readHandlers) board(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	b, err := h.reader.Board(r.Context(), caller(r), param(r, "board"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, b)
}

func (h readHandlers) entry(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	e, err := h.reader.Entry(r.Context(), caller(r), param(r, "board"), param(r, "entry"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newEntryOut(e))
}

// standingsCursor is where a page of standings ended, and of what list.
type standingsCursor struct {
	Board     string    `json:"b"`
	Period    string    `json:"p"`
	Score     int64     `json:"s"`
	Tiebreak  int64     `json:"t"`
	ReachedAt time.Time `json:"r"`
	Player    string    `json:"l"`
}

func (h readHandlers) standings(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "period", "limit", "cursor")
	limit := q.int("limit", 50, 1, 1000)
	period, board := q.str("period"), param(r, "board")
	var after *score.Place
	if q.has("cursor") {
		var c standingsCursor
		switch {
		case !readCursor(q.str("cursor"), &c) || !score.ValidPlayer(c.Player):
			q.faults.Add("cursor", "is none that this API gave")
		case c.Board != board || q.has("period") && period != c.Period:
			q.faults.Add("cursor", "belongs to another list: send it with the parameters of the first page, or alone")
		default:
			period, after = c.Period, &score.Place{Score: c.Score, Tiebreak: c.Tiebreak, ReachedAt: c.ReachedAt, Player: c.Player}
		}
	} else if q.has("period") && period == "" {
		q.faults.Add("period", "must not be empty")
	}
	if err := q.err(); err != nil {
		return err
	}
	table, err := h.reader.Standings(r.Context(), caller(r), board, period, after, int(limit))
	if err != nil {
		return err
	}
	items := make([]standingItemOut, len(table.Items))
	for i, s := range table.Items {
		items[i] = standingItemOut{s.Rank, s.Player, s.DisplayName, s.Country, s.Score, s.Tiebreak, s.ReachedAt, s.Attributes}
	}
	out := standingsOut{Board: table.Board, Period: newPeriodOut(table.Span), Of: table.Of}
	if out.Items, err = fit(items); err != nil {
		return err
	}
	if n := len(out.Items); n > 0 && (table.More || n < len(items)) {
		last := table.Items[n-1].Place()
		next, err := writeCursor(standingsCursor{table.Board, table.Span.Name, last.Score, last.Tiebreak, last.ReachedAt, last.Player})
		if err != nil {
			return err
		}
		out.Next = &next
	}
	return reply(w, http.StatusOK, out)
}

func (h readHandlers) standing(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "period")
	if q.has("period") && q.str("period") == "" {
		q.faults.Add("period", "must not be empty")
	}
	if err := q.err(); err != nil {
		return err
	}
	board := param(r, "board")
	s, span, of, err := h.reader.Standing(r.Context(), caller(r), board, param(r, "player"), q.str("period"))
	if err != nil {
		return err
	}
	out := standingOut{
		Board: board, Player: s.Player, DisplayName: s.DisplayName, Country: s.Country, Attributes: s.Attributes,
		Period: newPeriodOut(span), Score: s.Score, Tiebreak: s.Tiebreak, Rank: s.Rank, Of: of,
		ReachedAt: s.ReachedAt, Status: s.Status, Categories: []struct{}{},
	}
	if s.Rank != nil {
		p := 100 * float64(of-*s.Rank+1) / float64(of)
		out.Percentile = &p
	}
	return reply(w, http.StatusOK, out)
}

// maxPage is how many encoded bytes the items of a page may have, so that the
// whole answer stays below the load balancer's 1 MB.
const maxPage = 700_000

// fit encodes items until a page is full. One item always fits.
func fit[T any](items []T) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, len(items))
	size := 0
	for _, item := range items {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(item); err != nil {
			return nil, err
		}
		text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
		if size += len(text) + 1; size > maxPage && len(out) > 0 {
			break
		}
		out = append(out, text)
	}
	return out, nil
}

// A cursor is JSON in base64url: opaque to clients, and safe in a query.
func writeCursor(c any) (string, error) {
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// readCursor says whether the text is a cursor of c's type.
func readCursor(text string, c any) bool {
	doc, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	return dec.Decode(c) == nil && !dec.More()
}
