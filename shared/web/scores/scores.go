// Package scores serves boards, players, entries and standings over HTTP. The
// rules are in package score; this package has the routes and the shapes of bodies.
package scores

import (
	"context"
	"net/http"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// Add returns the endpoints that add entries and reversals.
func Add(adder *score.Adder) map[string]web.Endpoint {
	h := addHandlers{adder}
	return map[string]web.Endpoint{
		addRoute:      {Handle: h.add},
		reversalRoute: {Handle: h.reverse},
		batchRoute:    {Handle: h.batch},
	}
}

// The routes of adds are part of what an idempotency key protects.
const (
	addRoute      = "POST /v1/boards/{board}/entries"
	reversalRoute = "POST /v1/boards/{board}/entries/{entry}/reversal"
	batchRoute    = "POST /v1/entries/batch"
)

type addHandlers struct{ adder *score.Adder }

// Query returns the endpoints that read boards, players, entries and
// standings, and the one that reports whether they can be read.
func Query(reader *score.Reader) map[string]web.Endpoint {
	h := readHandlers{reader}
	return map[string]web.Endpoint{
		"GET /v1/boards":                            h.shared(readHandlers.boards),
		"GET /v1/boards/{board}":                    h.shared(readHandlers.board),
		"GET /v1/boards/{board}/periods":            h.shared(readHandlers.periods),
		"GET /v1/boards/{board}/categories":         h.shared(readHandlers.categories),
		"GET /v1/boards/{board}/entries":            h.shared(readHandlers.entries),
		"GET /v1/boards/{board}/entries/{entry}":    h.shared(readHandlers.entry),
		"GET /v1/boards/{board}/players":            h.shared(readHandlers.players),
		"GET /v1/boards/{board}/players/{player}":   h.shared(readHandlers.player),
		"GET /v1/boards/{board}/standings":          h.shared(readHandlers.standings),
		"GET /v1/boards/{board}/standings/{player}": h.shared(readHandlers.standing),
		"GET /v1/players/me/links":                  {Handle: h.links},
		"GET /v1/players/{user}/standings":          h.shared(readHandlers.standingsOfUser),
		"GET /v1/players/{user}/entries":            h.shared(readHandlers.entriesOfUser),
		"GET /readyz/scores":                        {Handle: h.readyz},
	}
}

type readHandlers struct{ reader *score.Reader }

// shared returns the endpoint of a read whose response pages of every origin may
// show if its caller is anonymous or its board is public. Lists of several boards
// are shared with anonymous callers only.
func (h readHandlers) shared(serve func(readHandlers, http.ResponseWriter, *http.Request) error) web.Endpoint {
	return web.Endpoint{Handle: func(w http.ResponseWriter, r *http.Request) error {
		reader, board := *h.reader, &loaded{Tables: h.reader.Tables}
		reader.Tables = board
		web.ShareIf(r, func() bool { return web.Caller(r).Anonymous() || board.public })
		return serve(readHandlers{&reader}, w, r)
	}}
}

// loaded remembers whether the board of a request is public.
type loaded struct {
	score.Tables
	public bool
}

func (l *loaded) Board(ctx context.Context, id string, v score.Visitor) (score.Found, error) {
	b, err := l.Tables.Board(ctx, id, v)
	l.public = err == nil && b.Published()
	return b, err
}

// readyz reports that the database answers and is migrated, and nothing about it.
func (h readHandlers) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.reader.Ready(r.Context()); err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Admin returns the endpoints that create and change boards, their players, and the
// links of these, and that erase what is personal of a player.
func Admin(boards *score.Boards) map[string]web.Endpoint {
	h := adminHandlers{boards}
	return map[string]web.Endpoint{
		"POST /v1/boards":                                    {Handle: h.createBoard},
		"PATCH /v1/boards/{board}":                           {Handle: h.changeBoard},
		"PATCH /v1/boards/{board}/players/{player}":          {Handle: h.changePlayer},
		"DELETE /v1/boards/{board}/players/{player}/profile": {Handle: h.erasePlayer},
		"PUT /v1/players/me/links/{board}/{player}":          {Handle: h.acceptLink},
		"DELETE /v1/players/me/links/{board}/{player}":       {Handle: h.endLink},
	}
}

type adminHandlers struct{ boards *score.Boards }

// valueOf returns the field's value, nil if it is absent. Null is a fault.
func valueOf[T any](faults *fault.List, field string, in web.Optional[T]) *T {
	if in.Set && in.Null {
		faults.Add(field, "must not be null")
	}
	return in.OrNil()
}

// set copies the value of a field that is present. Null is a fault.
func set[T any](faults *fault.List, field string, in web.Optional[T], to *T) {
	if v := valueOf(faults, field, in); v != nil {
		*to = *v
	}
}

// setOrClear copies a field that is present. Null clears it.
func setOrClear[T any](in web.Optional[T], to **T) {
	if in.Set {
		*to = in.OrNil()
	}
}

// timeOrNil returns nil for the zero time.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
