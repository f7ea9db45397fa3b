package scores

import (
	"net/http"

	"plaudit/shared/score"
	"plaudit/shared/web"
)

// playerIn is a change to a player as a client sends it. An absent field keeps its
// value, null clears it.
type playerIn struct {
	profileIn
	Status web.Optional[score.Status] `json:"status"`
	Note   web.Optional[string]       `json:"note"`
}

// profileIn is a player's profile as a client sends it, also within an entry.
type profileIn struct {
	DisplayName web.Optional[string]                          `json:"display_name"`
	Country     web.Optional[string]                          `json:"country"`
	Attributes  web.Optional[map[string]web.Optional[string]] `json:"attributes"`
	User        web.Optional[string]                          `json:"user"`
}

func (in profileIn) profile() *score.Profile {
	text := func(o web.Optional[string]) score.Text { return score.Text{Set: o.Set, Value: o.OrNil()} }
	p := &score.Profile{
		DisplayName: text(in.DisplayName), Country: text(in.Country), User: text(in.User),
		ClearAttributes: in.Attributes.Set && in.Attributes.Null,
	}
	for name, value := range in.Attributes.Value {
		if p.Attributes == nil {
			p.Attributes = map[string]*string{}
		}
		p.Attributes[name] = value.OrNil()
	}
	return p
}

func (h adminHandlers) changePlayer(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := web.DecodeAll[playerIn](r)
	if err != nil {
		return err
	}
	change := score.PlayerChange{
		Profile: *in.profile(),
		Status:  valueOf(&faults, "status", in.Status),
		Note:    score.Text{Set: in.Note.Set, Value: in.Note.OrNil()},
	}
	board, id := web.Param(r, "board"), web.Param(r, "player")
	p, created, err := h.boards.ChangePlayer(r.Context(), web.Caller(r), board, id, faults, change)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return web.Reply(w, status, p)
}

func (h adminHandlers) erasePlayer(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.boards.ErasePlayer(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "player")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h readHandlers) player(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	p, err := h.reader.Player(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "player"))
	if err != nil {
		return err
	}
	return web.ReplyCached(w, r, p)
}

func (h readHandlers) players(w http.ResponseWriter, r *http.Request) error {
	filters := []string{"status", "q", "category"}
	q := web.ReadQuery(r, append([]string{"limit", "cursor"}, filters...)...)
	board := web.Param(r, "board")
	l := web.ReadList(q, "players/"+board, filters, func(p score.PlayerPlace) bool { return score.ValidPlayer(p.ID) })
	f := score.PlayerFilter{Search: q.Short("q", score.MaxDisplayName), Category: q.Text("category")}
	if statuses := q.Text("status"); statuses != "" {
		for _, s := range words(statuses) {
			f.Statuses = append(f.Statuses, score.Status(s))
		}
	}
	f.Check(&q.Faults)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	b, page, err := h.reader.Players(r.Context(), web.Caller(r), board, f, l.After, limit)
	if err != nil {
		return err
	}
	return replyList(w, r, l, page, playerSheet(b.Categories), func(p score.Player) score.Player { return p })
}

// categoryCountOut is a value of a category in a list.
type categoryCountOut struct {
	Category string `json:"category"` // name:value
	Name     string `json:"name"`
	Value    string `json:"value"`
	Players  int64  `json:"players"`
}

func newCategoryCountOut(c score.CategoryCount) categoryCountOut {
	return categoryCountOut{c.String(), c.Name, c.Value, c.Players}
}

func (h readHandlers) categories(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "name", "limit", "cursor")
	board := web.Param(r, "board")
	l := web.ReadList[score.CategoryPlace](q, "categories/"+board, []string{"name"}, nil)
	name, limit := q.Text("name"), q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.Categories(r.Context(), web.Caller(r), board, name, l.After, limit)
	if err != nil {
		return err
	}
	return replyList(w, r, l, page, categorySheet, newCategoryCountOut)
}
