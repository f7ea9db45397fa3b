// Package scores serves boards, players, entries and standings over HTTP. The
// rules are in package score; this package has the routes and the shapes of bodies.
package scores

import (
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
// standings.
func Query(reader *score.Reader) map[string]web.Endpoint {
	h := readHandlers{reader}
	return map[string]web.Endpoint{
		"GET /v1/boards":                            {Handle: h.boards},
		"GET /v1/boards/{board}":                    {Handle: h.board},
		"GET /v1/boards/{board}/periods":            {Handle: h.periods},
		"GET /v1/boards/{board}/categories":         {Handle: h.categories},
		"GET /v1/boards/{board}/entries":            {Handle: h.entries},
		"GET /v1/boards/{board}/entries/{entry}":    {Handle: h.entry},
		"GET /v1/boards/{board}/players":            {Handle: h.players},
		"GET /v1/boards/{board}/players/{player}":   {Handle: h.player},
		"GET /v1/boards/{board}/standings":          {Handle: h.standings},
		"GET /v1/boards/{board}/standings/{player}": {Handle: h.standing},
		"GET /v1/players/me/links":                  {Handle: h.links},
		"GET /v1/players/{user}/standings":          {Handle: h.standingsOfUser},
		"GET /v1/players/{user}/entries":            {Handle: h.entriesOfUser},
	}
}

type readHandlers struct{ reader *score.Reader }

// Admin returns the endpoints that create and change boards, their players, and the
// links of these.
func Admin(boards *score.Boards) map[string]web.Endpoint {
	h := adminHandlers{boards}
	return map[string]web.Endpoint{
		"POST /v1/boards":                              {Handle: h.createBoard},
		"PATCH /v1/boards/{board}":                     {Handle: h.changeBoard},
		"PATCH /v1/boards/{board}/players/{player}":    {Handle: h.changePlayer},
		"PUT /v1/players/me/links/{board}/{player}":    {Handle: h.acceptLink},
		"DELETE /v1/players/me/links/{board}/{player}": {Handle: h.endLink},
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
