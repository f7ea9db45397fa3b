package web

import (
	"net/http"
	"unicode/utf8"

	"plaudit/shared/score"
)

// maxBoardSearch is how long the beginning of an id or a title can be.
const maxBoardSearch = 200 // characters

func (h readHandlers) boards(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "mine", "q", "limit", "cursor")
	l, after := readList[score.BoardPlace](q, "boards", []string{"mine", "q"}, nil)
	mine, search, limit := q.bool("mine"), q.text("q"), int(q.int("limit", 50, 1, 100))
	if utf8.RuneCountInString(search) > maxBoardSearch {
		q.faults.Add("q", "may have %d characters", maxBoardSearch)
	}
	if err := l.err(); err != nil {
		return err
	}
	page, err := h.reader.Boards(r.Context(), caller(r), mine, search, after, limit)
	if err != nil {
		return err
	}
	out, err := newListOut(l, page.Items, page.Places, page.Next)
	if err != nil {
		return err
	}
	return answer(w, r, out)
}

func (h readHandlers) periods(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "name", "limit", "cursor")
	board := param(r, "board")
	l, after := readList(q, "periods/"+board, []string{"name"}, func(p score.RunPlace) bool { return inEra(p.Start) })
	name, limit := q.text("name"), int(q.int("limit", 50, 1, 100))
	if err := l.err(); err != nil {
		return err
	}
	page, err := h.reader.Periods(r.Context(), caller(r), board, name, after, limit)
	if err != nil {
		return err
	}
	items := make([]periodOut, len(page.Items))
	for i, run := range page.Items {
		items[i] = newPeriodOut(run)
	}
	out, err := newListOut(l, items, page.Places, page.Next)
	if err != nil {
		return err
	}
	return answer(w, r, out)
}

func (h readHandlers) standingsOf(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "cursor")
	user := param(r, "user")
	l, after := readList[score.LinkPlace](q, "standings of/"+user, nil, nil)
	limit := int(q.int("limit", 50, 1, 100))
	if err := l.err(); err != nil {
		return err
	}
	page, err := h.reader.StandingsOf(r.Context(), caller(r), user, after, limit)
	if err != nil {
		return err
	}
	items := make([]standingOut, len(page.Items))
	for i, s := range page.Items {
		items[i] = newStandingOut(s)
	}
	out, err := newListOut(l, items, page.Places, page.Next)
	if err != nil {
		return err
	}
	return answer(w, r, out)
}
