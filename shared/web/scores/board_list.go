package scores

import (
	"net/http"

	"plaudit/shared/score"
	"plaudit/shared/web"
)

// newPage encodes a page of a list. show converts each item.
func newPage[T, P, Out any](l *web.List[P], page score.Page[T, P], show func(T) Out) (web.Page, error) {
	items := make([]Out, len(page.Items))
	for i, item := range page.Items {
		items[i] = show(item)
	}
	return web.NewPage(l, items, page.Places, page.Next)
}

// replyPage writes a page of a list. show converts each item.
func replyPage[T, P, Out any](w http.ResponseWriter, r *http.Request, l *web.List[P], page score.Page[T, P], show func(T) Out) error {
	out, err := newPage(l, page, show)
	if err != nil {
		return err
	}
	return web.ReplyCached(w, r, out)
}

// boardSummaryOut is a board in a list: without what can make it as large as a page.
// The fields here hide those of the board, and are never set.
type boardSummaryOut struct {
	score.Board
	Catalogue *struct{} `json:"catalogue,omitempty"`
	Owners    *struct{} `json:"owners,omitempty"`
	Writers   *struct{} `json:"writers,omitempty"`
	Viewers   *struct{} `json:"viewers,omitempty"`
}

func newBoardSummaryOut(b score.Board) boardSummaryOut { return boardSummaryOut{Board: b} }

// maxBoardSearch is the maximum length of a search text, in characters.
const maxBoardSearch = 200

func (h readHandlers) boards(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "mine", "q", "limit", "cursor")
	l := web.ReadList[score.BoardPlace](q, "boards", []string{"mine", "q"}, nil)
	mine, search, limit := q.Bool("mine"), q.Short("q", maxBoardSearch), q.Limit(100)
	if l.After != nil && l.After.ByTitle && search == "" {
		l.Refuse()
	}
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.Boards(r.Context(), web.Caller(r), mine, search, l.After, limit)
	if err != nil {
		return err
	}
	return replyPage(w, r, l, page, newBoardSummaryOut)
}

func (h readHandlers) periods(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "name", "limit", "cursor")
	board := web.Param(r, "board")
	l := web.ReadList(q, "periods/"+board, []string{"name"}, func(p score.RunPlace) bool { return web.InEra(p.Start) })
	name, limit := q.Text("name"), q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.Periods(r.Context(), web.Caller(r), board, name, l.After, limit)
	if err != nil {
		return err
	}
	return replyPage(w, r, l, page, newPeriodOut)
}
