package scores

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"plaudit/shared/score"
	"plaudit/shared/web"
)

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
	return periodOut{r.Name, timeOrNil(r.Start), timeOrNil(r.End), state}
}

type standingsOut struct {
	Board    string    `json:"board"`
	Period   periodOut `json:"period"`
	Category *string   `json:"category"` // null: the whole board
	Of       int64     `json:"of"`
	web.Page
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

func newStandingItemOut(s score.Standing) standingItemOut {
	return standingItemOut{s.Rank, s.Player, s.DisplayName, s.Country, s.Score, s.Tiebreak, s.ReachedAt, s.Attributes}
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

// readTable reads the parameters that select a table of standings.
func readTable(q *web.Query) score.Select {
	return score.Select{Period: q.Text("period"), At: q.Instant("at"), Category: q.Text("category")}
}

// readScore reads a parameter that is a score, nil if it is absent.
func readScore(q *web.Query, name string) *int64 {
	if !q.Has(name) {
		return nil
	}
	n := q.Int(name, 0, -score.MaxPoints, score.MaxPoints)
	return &n
}

// standingsPlace is where a page of standings ended. It has the start of the run, so
// that the next page is from the same run even if another has begun since.
type standingsPlace struct {
	score.Place
	Start time.Time `json:"a,omitzero"`
}

var tableFilters = []string{"period", "at", "category", "players", "min", "max", "country"}

func (h readHandlers) standings(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, append([]string{"limit", "cursor", "around"}, tableFilters...)...)
	board := web.Param(r, "board")
	l := web.ReadList(q, "standings/"+board, tableFilters, func(p standingsPlace) bool {
		return score.ValidPlayer(p.Player) && score.InRange(p.Score) && score.InRange(p.Tiebreak) && web.InEra(p.Start) && web.InEra(p.ReachedAt)
	})
	part := score.PageRequest{Around: q.Text("around"), Limit: q.Limit(1000)}
	if q.Has("around") && q.Has("cursor") {
		q.Faults.Add("around", "must not be combined with cursor: leave one of them out")
	} else if part.Around != "" && !score.ValidPlayer(part.Around) {
		q.Faults.Add("around", "must be a player's id")
	}
	sel := readTable(q)
	part.Filter = score.Filter{Min: readScore(q, "min"), Max: readScore(q, "max"), Country: q.Text("country")}
	if players := q.Text("players"); players != "" {
		part.Players = words(players)
	}
	part.Filter.Check(&q.Faults)
	if err := l.Err(); err != nil {
		return err
	}
	if l.After != nil {
		part.After = &l.After.Place
		if !l.After.Start.IsZero() {
			sel.At = l.After.Start
		}
	}
	table, err := h.reader.Standings(r.Context(), web.Caller(r), board, sel, part)
	if err != nil {
		return err
	}
	l.Pin("period", table.Run.Name)
	page := score.Page[score.Standing, standingsPlace]{Items: table.Items}
	for _, s := range table.Items {
		page.Places = append(page.Places, standingsPlace{s.Place(), table.Run.Start})
	}
	if table.More {
		page.Next = &page.Places[len(page.Places)-1]
	}
	form := standingSheet(table.Categories)
	csv, encode := web.PrefersCSV(w, r), func(s score.Standing) ([]byte, error) { return web.EncodeItem(newStandingItemOut(s)) }
	if csv {
		encode = form.Line
	}
	if part.Around != "" {
		middle := slices.IndexFunc(page.Items, func(s score.Standing) bool { return s.Player == part.Around })
		if page.Items, page.Places, err = web.FitAround(page.Items, page.Places, middle, encode); err != nil {
			return err
		}
	}
	if csv {
		return web.ReplyCSV(w, r, l, page.Items, page.Places, page.Next, form)
	}
	out := standingsOut{Board: table.Board, Period: newPeriodOut(table.Run), Category: categoryName(table.Category), Of: table.Of}
	if out.Page, err = newPage(l, page, newStandingItemOut); err != nil {
		return err
	}
	return web.ReplyCached(w, r, out)
}

// words returns the comma-separated parts of a parameter, each once.
func words(text string) []string {
	list := strings.Split(text, ",")
	slices.Sort(list)
	return slices.Compact(list)
}

func (h readHandlers) standing(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "period", "at", "category")
	sel := readTable(q)
	if err := q.Err(); err != nil {
		return err
	}
	s, err := h.reader.Standing(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "player"), sel)
	if err != nil {
		return err
	}
	return web.ReplyCached(w, r, newStandingOut(s))
}

func (h readHandlers) standingsOfUser(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "limit", "cursor")
	user := web.Param(r, "user")
	l := web.ReadList[score.LinkPlace](q, "standings of/"+user, nil, nil)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.StandingsOf(r.Context(), web.Caller(r), user, l.After, limit)
	if err != nil {
		return err
	}
	return replyPage(w, r, l, page, newStandingOut)
}
