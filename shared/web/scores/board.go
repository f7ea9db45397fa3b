package scores

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// boardIn is a board as a client sends it. Responses contain a score.Board.
type boardIn struct {
	ID         web.Optional[string]           `json:"id"`
	Title      web.Optional[string]           `json:"title"`
	Combine    web.Optional[score.Combine]    `json:"combine"`
	Order      web.Optional[score.Order]      `json:"order"`
	Ties       web.Optional[score.Ties]       `json:"ties"`
	Periods    web.Optional[[]jsontext.Value] `json:"periods"`
	Categories web.Optional[[]string]         `json:"categories"`
	TimeZone   web.Optional[string]           `json:"time_zone"`
	Catalogue  web.Optional[map[string]int64] `json:"catalogue"`
	Min        web.Optional[int64]            `json:"min"`
	Max        web.Optional[int64]            `json:"max"`
	DailyCap   web.Optional[int64]            `json:"daily_cap"`
	Floor      web.Optional[int64]            `json:"floor"`
	Decimals   web.Optional[int]              `json:"decimals"`
	Unit       web.Optional[string]           `json:"unit"`
	Grace      web.Optional[string]           `json:"grace"`
	Players    web.Optional[string]           `json:"players"`
	Public     web.Optional[bool]             `json:"public"`
	Owners     web.Optional[[]string]         `json:"owners"`
	Writers    web.Optional[[]string]         `json:"writers"`
	Viewers    web.Optional[[]string]         `json:"viewers"`
	State      web.Optional[score.State]      `json:"state"`
}

// change returns a function that sets the fields on a board. It adds the faults that
// do not depend on the board.
func (in boardIn) change(faults *fault.List) func(*score.Board) {
	grace := web.Optional[score.Duration]{Set: in.Grace.Set, Null: in.Grace.Null}
	if err := grace.Value.UnmarshalText([]byte(in.Grace.Value)); in.Grace.Set && !in.Grace.Null && err != nil {
		faults.Add("grace", "must be a duration such as 24h or 1h30m")
		grace.Set = false // the fault is already added
	}
	before := len(*faults)
	periods := web.Optional[[]score.Period]{Set: in.Periods.Set, Null: in.Periods.Null}
	for i, p := range in.Periods.Value {
		periods.Value = append(periods.Value, readPeriod(faults, fmt.Sprintf("periods[%d]", i), p))
	}
	if len(periods.Value) > 0 && len(*faults) > before {
		periods.Set = false // the faults are already added
	}
	apply := func(faults *fault.List, b *score.Board) {
		set(faults, "title", in.Title, &b.Title)
		set(faults, "combine", in.Combine, &b.Combine)
		set(faults, "order", in.Order, &b.Order)
		set(faults, "ties", in.Ties, &b.Ties)
		set(faults, "periods", periods, &b.Periods)
		set(faults, "categories", in.Categories, &b.Categories)
		set(faults, "time_zone", in.TimeZone, &b.TimeZone)
		if in.Catalogue.Set {
			b.Catalogue = in.Catalogue.Value
		}
		set(faults, "min", in.Min, &b.Min)
		setOrClear(in.Max, &b.Max)
		setOrClear(in.DailyCap, &b.DailyCap)
		setOrClear(in.Floor, &b.Floor)
		set(faults, "decimals", in.Decimals, &b.Decimals)
		set(faults, "unit", in.Unit, &b.Unit)
		set(faults, "grace", grace, &b.Grace)
		set(faults, "players", in.Players, &b.Players)
		set(faults, "public", in.Public, &b.Public)
		set(faults, "owners", in.Owners, &b.Owners)
		set(faults, "writers", in.Writers, &b.Writers)
		set(faults, "viewers", in.Viewers, &b.Viewers)
		set(faults, "state", in.State, &b.State)
	}
	apply(faults, &score.Board{})
	return func(b *score.Board) { apply(new(fault.List), b) }
}

// periodIn is a cron period or a season.
type periodIn struct {
	Name  string                  `json:"name"`
	Cron  web.Optional[string]    `json:"cron"`
	Start web.Optional[time.Time] `json:"start"`
	End   web.Optional[time.Time] `json:"end"`
}

func readPeriod(faults *fault.List, at string, raw jsontext.Value) score.Period {
	var p score.Period
	if raw.Kind() == '"' {
		web.Fill(&p.Name, raw, at, faults)
		return p
	}
	if raw.Kind() != '{' {
		faults.Add(at, "must be a name, {name, cron} or {name, start, end}")
		return p
	}
	var in periodIn
	web.Fill(&in, raw, at, faults)
	p.Name = in.Name
	set(faults, at+".cron", in.Cron, &p.Cron)
	set(faults, at+".start", in.Start, &p.Start)
	set(faults, at+".end", in.End, &p.End)
	p.Start, p.End = p.Start.UTC(), p.End.UTC()
	switch season := in.Start.Set || in.End.Set; {
	case in.Cron.Set && season:
		faults.Add(at+".cron", "must not be combined with start and end")
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

func (h adminHandlers) createBoard(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := web.DecodeAll[boardIn](r)
	if err != nil {
		return err
	}
	change := in.change(&faults)
	switch {
	case !in.ID.Set:
		faults.Add("id", "is required")
	case in.ID.Null:
		faults.Add("id", "must not be null")
	}
	b, err := h.boards.Create(r.Context(), web.Caller(r), in.ID.Value, faults, change)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/boards/"+b.ID)
	return web.Reply(w, http.StatusCreated, b)
}

func (h adminHandlers) changeBoard(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := web.DecodeAll[boardIn](r)
	if err != nil {
		return err
	}
	change := in.change(&faults)
	if in.ID.Set {
		faults.Add("id", "cannot be changed")
	}
	b, err := h.boards.Change(r.Context(), web.Caller(r), web.Param(r, "board"), faults, change)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, b)
}

func (h readHandlers) board(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	b, err := h.reader.Board(r.Context(), web.Caller(r), web.Param(r, "board"))
	if err != nil {
		return err
	}
	return web.ReplyCached(w, r, b)
}
