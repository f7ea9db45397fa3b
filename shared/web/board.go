package web

import (
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// BoardAdmin makes and changes boards and their players.
func BoardAdmin(boards *score.Boards) map[string]Handler {
	h := boardHandlers{boards}
	return map[string]Handler{
		"POST /v1/boards":          h.create,
		"PATCH /v1/boards/{board}": h.change,

		"PATCH /v1/boards/{board}/players/{player}": h.changePlayer,
	}
}

type boardHandlers struct{ boards *score.Boards }

// boardIn is what a client may say of a board. score.Board is what it gets.
type boardIn struct {
	ID         Optional[string]           `json:"id"`
	Title      Optional[string]           `json:"title"`
	Combine    Optional[score.Combine]    `json:"combine"`
	Order      Optional[score.Order]      `json:"order"`
	Ties       Optional[score.Ties]       `json:"ties"`
	Periods    Optional[[]jsontext.Value] `json:"periods"`
	Categories Optional[[]string]         `json:"categories"`
	TimeZone   Optional[string]           `json:"time_zone"`
	Catalogue  Optional[map[string]int64] `json:"catalogue"`
	Min        Optional[int64]            `json:"min"`
	Max        Optional[int64]            `json:"max"`
	DailyCap   Optional[int64]            `json:"daily_cap"`
	Decimals   Optional[int]              `json:"decimals"`
	Unit       Optional[string]           `json:"unit"`
	Grace      Optional[string]           `json:"grace"`
	Players    Optional[string]           `json:"players"`
	Public     Optional[bool]             `json:"public"`
	Owners     Optional[[]string]         `json:"owners"`
	Writers    Optional[[]string]         `json:"writers"`
	Viewers    Optional[[]string]         `json:"viewers"`
	State      Optional[score.State]      `json:"state"`
}

// put moves a field that is there to where it belongs. Null is no value.
func put[T any](faults *fault.List, field string, in Optional[T], to *T) {
	if in.Set && in.Null {
		faults.Add(field, "must not be null")
	} else if in.Set {
		*to = in.Value
	}
}

// putOrNil is put for a field that null clears.
func putOrNil[T any](in Optional[T], to **T) {
	if in.Set {
		*to = in.orNil()
	}
}

// orNil gives the value where there is one.
func (o Optional[T]) orNil() *T {
	if !o.Set || o.Null {
		return nil
	}
	v := o.Value
	return &v
}

// change gives the board's fields as a change of a board, and notes what is
// wrong with them before any board is known.
func (in boardIn) change(faults *fault.List) func(*score.Board) {
	var grace *score.Duration
	if in.Grace.Set && !in.Grace.Null {
		grace = new(score.Duration)
		if err := grace.UnmarshalText([]byte(in.Grace.Value)); err != nil {
			faults.Add("grace", "must be a duration such as 24h or 1h30m")
			grace = nil
		}
	}
	before := len(*faults)
	periods := Optional[[]score.Period]{Set: in.Periods.Set, Null: in.Periods.Null}
	for i, p := range in.Periods.Value {
		periods.Value = append(periods.Value, readPeriod(faults, fmt.Sprintf("periods[%d]", i), p))
	}
	if len(periods.Value) > 0 && len(*faults) > before {
		periods.Set = false // nothing more to say of them
	}
	set := func(faults *fault.List, b *score.Board) {
		put(faults, "title", in.Title, &b.Title)
		put(faults, "combine", in.Combine, &b.Combine)
		put(faults, "order", in.Order, &b.Order)
		put(faults, "ties", in.Ties, &b.Ties)
		put(faults, "periods", periods, &b.Periods)
		put(faults, "categories", in.Categories, &b.Categories)
		put(faults, "time_zone", in.TimeZone, &b.TimeZone)
		if in.Catalogue.Set {
			b.Catalogue = in.Catalogue.Value
		}
		put(faults, "min", in.Min, &b.Min)
		putOrNil(in.Max, &b.Max)
		putOrNil(in.DailyCap, &b.DailyCap)
		put(faults, "decimals", in.Decimals, &b.Decimals)
		put(faults, "unit", in.Unit, &b.Unit)
		if in.Grace.Set && in.Grace.Null {
			faults.Add("grace", "must not be null")
		} else if grace != nil {
			b.Grace = *grace
		}
		put(faults, "players", in.Players, &b.Players)
		put(faults, "public", in.Public, &b.Public)
		put(faults, "owners", in.Owners, &b.Owners)
		put(faults, "writers", in.Writers, &b.Writers)
		put(faults, "viewers", in.Viewers, &b.Viewers)
		put(faults, "state", in.State, &b.State)
	}
	set(faults, &score.Board{})
	return func(b *score.Board) { set(new(fault.List), b) }
}

// periodIn is a period that has more than a name.
type periodIn struct {
	Name  string              `json:"name"`
	Cron  Optional[string]    `json:"cron"`
	Start Optional[time.Time] `json:"start"`
	End   Optional[time.Time] `json:"end"`
}

func readPeriod(faults *fault.List, at string, raw jsontext.Value) score.Period {
	var p score.Period
	if raw.Kind() == '"' {
		fill(reflect.ValueOf(&p.Name).Elem(), raw, at, faults)
		return p
	}
	if raw.Kind() != '{' {
		faults.Add(at, "must be a name, {name, cron} or {name, start, end}")
		return p
	}
	var in periodIn
	fill(reflect.ValueOf(&in).Elem(), raw, at, faults)
	p.Name = in.Name
	put(faults, at+".cron", in.Cron, &p.Cron)
	put(faults, at+".start", in.Start, &p.Start)
	put(faults, at+".end", in.End, &p.End)
	p.Start, p.End = p.Start.UTC(), p.End.UTC()
	switch season := in.Start.Set || in.End.Set; {
	case in.Cron.Set && season:
		faults.Add(at+".cron", "cannot stand beside start and end")
	case in.Cron.Set && p.Cron == "":
		faults.Add(at+".cron", "must not be empty")
	case !in.Cron.Set && !season:
		faults.Add(at, "must have a cron expression, or a start and an end")
	case season && !in.Start.Set:
		faults.Add(at+".start", "is required")
	case season && !in.End.Set:
		faults.Add(at+".end", "is required")
	}
	return p
}

func (h boardHandlers) create(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := readBoard(r)
	if err != nil {
		return err
	}
	set := in.change(&faults)
	switch {
	case !in.ID.Set:
		faults.Add("id", "is required")
	case in.ID.Null:
		faults.Add("id", "must not be null")
	}
	b, err := h.boards.Create(r.Context(), caller(r), in.ID.Value, faults, set)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/boards/"+b.ID)
	return reply(w, http.StatusCreated, b)
}

func (h boardHandlers) change(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := readBoard(r)
	if err != nil {
		return err
	}
	set := in.change(&faults)
	if in.ID.Set {
		faults.Add("id", "cannot change")
	}
	b, err := h.boards.Change(r.Context(), caller(r), param(r, "board"), faults, set)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, b)
}

func readBoard(r *http.Request) (boardIn, fault.List, error) {
	if err := readQuery(r).err(); err != nil {
		return boardIn{}, nil, err
	}
	return decodeAll[boardIn](r)
}
