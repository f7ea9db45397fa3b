package web

import (
	"net/http"
	"slices"
	"time"

	"plaudit/shared/score"
)

// ScoreQuery reads boards, standings and entries.
func ScoreQuery(reader *score.Reader) map[string]Handler {
	h := readHandlers{reader}
	return map[string]Handler{
		"GET /v1/boards":                            h.boards,
		"GET /v1/boards/{board}":                    h.board,
		"GET /v1/boards/{board}/periods":            h.periods,
		"GET /v1/boards/{board}/entries":            h.entries,
		"GET /v1/boards/{board}/entries/{entry}":    h.entry,
		"GET /v1/boards/{board}/players/{player}":   h.player,
		"GET /v1/boards/{board}/standings":          h.standings,
		"GET /v1/boards/{board}/standings/{player}": h.standing,
		"GET /v1/players/{user}/standings":          h.standingsOf,
		"GET /v1/players/{user}/entries":            h.entriesOf,
	}
}

type readHandlers struct{ reader *score.Reader }

type periodOut struct {
	Name  string     `json:"name"`
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end"`
	State string     `json:"state"` // open or closed; `all` never closes
}

func newPeriodOut(r score.RunStatus) periodOut {
	state := "open"
	if r.Closed {
		state = "closed"
	}
	return periodOut{r.Name, orNoTime(r.Start), orNoTime(r.End), state}
}

type standingsOut struct {
	Board    string    `json:"board"`
	Period   periodOut `json:"period"`
	Category *string   `json:"category"` // null: the whole board
	Of       int64     `json:"of"`
	listOut
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
	Categories  []categoryOut     `json:"categories"`
}

type categoryOut struct {
	Category string `json:"category"`
	Rank     *int64 `json:"rank"`
	Of       int64  `json:"of"`
}

func newStandingOut(s score.Report) standingOut {
	out := standingOut{
		Board: s.Board, Player: s.Player, DisplayName: s.DisplayName, Country: s.Country, Attributes: s.Attributes,
		Period: newPeriodOut(s.Run), Category: categoryName(s.Category), Score: s.Score, Tiebreak: s.Tiebreak, Rank: s.Rank, Of: s.Of,
		ReachedAt: s.ReachedAt, Status: s.Status, Categories: make([]categoryOut, len(s.Categories)),
	}
	for i, c := range s.Categories {
		out.Categories[i] = categoryOut{c.String(), c.Rank, c.Of}
	}
	if s.Rank != nil {
		p := 100 * float64(s.Of-*s.Rank+1) / float64(s.Of)
		out.Percentile = &p
	}
	return out
}

func categoryName(c *score.Category) *string {
	if c == nil {
		return nil
	}
	name := c.String()
	return &name
}

func (h readHandlers) board(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	b, err := h.reader.Board(r.Context(), caller(r), param(r, "board"))
	if err != nil {
		return err
	}
	return answer(w, r, b)
}

// table reads what names a table.
func (q *query) table() score.Select {
	return score.Select{Period: q.text("period"), At: q.instant("at"), Category: q.text("category")}
}

// standingsPlace is where a page of standings ended, and when the run began
// that it is of: the next page is of the same although it comes after midnight.
type standingsPlace struct {
	score.Place
	Start time.Time `json:"a"`
}

var tableFilters = []string{"period", "at", "category", "players", "min", "max", "country"}

func (h readHandlers) standings(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, append([]string{"limit", "cursor", "around"}, tableFilters...)...)
	board := param(r, "board")
	l, after := readList(q, "standings/"+board, tableFilters, func(p standingsPlace) bool {
		return score.ValidPlayer(p.Player) && inEra(p.Start) && inEra(p.ReachedAt)
	})
	part := score.PageRequest{Around: q.text("around"), Limit: int(q.int("limit", 50, 1, 1000))}
	if q.has("around") && q.has("cursor") {
		q.faults.Add("around", "cannot stand beside a cursor: leave one of them out")
	} else if part.Around != "" && !score.ValidPlayer(part.Around) {
		q.faults.Add("around", "must be a player's id")
	}
	sel := q.table()
	part.Filter = score.Filter{Min: q.points("min"), Max: q.points("max"), Country: q.text("country")}
	if players := q.text("players"); players != "" {
		part.Players = words(players)
	}
	part.Filter.Check(&q.faults)
	if err := l.err(); err != nil {
		return err
	}
	if after != nil {
		part.After = &after.Place
		if !after.Start.IsZero() {
			sel.At = after.Start
		}
	}
	table, err := h.reader.Standings(r.Context(), caller(r), board, sel, part)
	if err != nil {
		return err
	}
	items, places := make([]standingItemOut, len(table.Items)), make([]standingsPlace, len(table.Items))
	for i, s := range table.Items {
		items[i] = standingItemOut{s.Rank, s.Player, s.DisplayName, s.Country, s.Score, s.Tiebreak, s.ReachedAt, s.Attributes}
		places[i] = standingsPlace{s.Place(), table.Run.Start}
	}
	if part.Around != "" {
		// The player is not there where another filter leaves them out.
		middle := max(0, slices.IndexFunc(items, func(s standingItemOut) bool { return s.Player == part.Around }))
		if len(items) > 0 {
			if items, places, err = centred(items, places, middle); err != nil {
				return err
			}
		}
	}
	l.values.Set("period", table.Run.Name) // the default's name, for the cursor
	var last *standingsPlace
	if table.More {
		last = &places[len(places)-1]
	}
	out := standingsOut{Board: table.Board, Period: newPeriodOut(table.Run), Category: categoryName(table.Category), Of: table.Of}
	if out.listOut, err = newListOut(l, items, places, last); err != nil {
		return err
	}
	return answer(w, r, out)
}

func (h readHandlers) standing(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "period", "at", "category")
	sel := q.table()
	if err := q.err(); err != nil {
		return err
	}
	s, err := h.reader.Standing(r.Context(), caller(r), param(r, "board"), param(r, "player"), sel)
	if err != nil {
		return err
	}
	return answer(w, r, newStandingOut(s))
}
