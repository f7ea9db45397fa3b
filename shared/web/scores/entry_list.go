package scores

import (
	"net/http"

	"plaudit/shared/score"
	"plaudit/shared/web"
)

func (h readHandlers) entry(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	e, err := h.reader.Entry(r.Context(), web.Caller(r), web.Param(r, "board"), web.Param(r, "entry"))
	if err != nil {
		return err
	}
	if web.PrefersCSV(w, r) {
		return web.ReplyCSV(w, r, &web.List[score.EntryPlace]{}, []score.NamedEntry{e}, nil, nil, entrySheet)
	}
	return web.ReplyCached(w, r, newEntryOut(e.Entry))
}

var entryFilters = []string{"player", "batch", "actor", "reason", "kind", "from", "to"}

func validEntryPlace(p score.EntryPlace) bool {
	return score.ValidEntry(p.ID) && web.InEra(p.OccurredAt)
}

func (h readHandlers) entries(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, append([]string{"limit", "cursor"}, entryFilters...)...)
	board := web.Param(r, "board")
	l := web.ReadList(q, "entries/"+board, entryFilters, validEntryPlace)
	f := score.EntryFilter{
		Player: q.Text("player"), Batch: q.Text("batch"), Actor: q.Text("actor"), Reason: q.Text("reason"), Kind: score.Kind(q.Text("kind")),
		From: timeOrNil(q.Instant("from")), To: timeOrNil(q.Instant("to")),
	}
	f.Check(&q.Faults)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.Entries(r.Context(), web.Caller(r), board, f, l.After, limit)
	if err != nil {
		return err
	}
	return replyList(w, r, l, page, entrySheet, showEntry)
}

func (h readHandlers) entriesOfUser(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "limit", "cursor", "batch")
	user := web.Param(r, "user")
	l := web.ReadList(q, "entries of/"+user, []string{"batch"}, validEntryPlace)
	batch := q.Text("batch")
	score.CheckBatch(&q.Faults, batch)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	page, err := h.reader.EntriesOfUser(r.Context(), web.Caller(r), user, batch, l.After, limit)
	if err != nil {
		return err
	}
	return replyList(w, r, l, page, entrySheet, showEntry)
}

func showEntry(e score.NamedEntry) entryOut { return newEntryOut(e.Entry) }
