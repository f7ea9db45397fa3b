package scores

import (
	"net/http"

	"plaudit/shared/id"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

func (h readHandlers) links(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "limit", "cursor")
	// The list of another user has another name, so that it refuses the cursor.
	l := web.ReadList(q, "links/"+web.Caller(r).User, nil, func(p score.LinkPlace) bool { return id.Board(p.Board) && score.ValidPlayer(p.Player) })
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.LinksOf(r.Context(), web.Caller(r), l.After, limit)
	if err != nil {
		return err
	}
	return replyPage(w, r, l, page, func(l score.Link) score.Link { return l })
}

func (h adminHandlers) acceptLink(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	l, err := h.boards.AcceptLink(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "player"))
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, l)
}

func (h adminHandlers) endLink(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.boards.EndLink(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "player")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
