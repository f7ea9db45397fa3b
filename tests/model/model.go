// Package model is what the scoring API should do, in memory and without
// cleverness: it keeps the list of entries and the history of each player and
// works every answer out from these, at each question anew. It shares no code
// with the product, so that it cannot share its mistakes; tests drive both and
// compare.
package model

import (
	"slices"
	"time"
)

// MaxPoints is the largest integer that JavaScript clients hold exactly.
const MaxPoints = 1<<53 - 1

// World is everything there is. Now is the time on every clock.
type World struct {
	Now     time.Time
	Boards  []*Board
	Entries []*Entry
	Players []*Player
}

// Board is one competition.
type Board struct {
	ID, Title            string
	Combine, Order, Ties string
	Periods              []Period
	Categories           []string
	TimeZone             string
	Catalogue            map[string]int64 // nil: points are free
	Min                  int64
	Max, DailyCap        *int64
	Decimals             int
	Unit                 string
	Grace                time.Duration
	Players              string // any, or registered: their ids are those of users
	Public               bool
	Owners               []string
	Writers              []string
	Viewers              []string
	State                string
}

// Entry is one line of the ledger. Runs are the runs of periods that it
// credited, or, for a reversal, those of its original that it cancelled.
type Entry struct {
	ID, Board, Player      string
	Points                 int64
	Reason, Note           *string
	Kind, Actor            string
	Seq, Tiebreak          int64
	OccurredAt, RecordedAt time.Time
	Batch, Reverses        string
	Metadata               any
	Runs                   []Run
	Scores                 []*int64 // of the moment, one for each of Runs; nil: nothing was left

	Key      string
	Identity string // what a request under the same key must equal
	Answer   string // the bytes of the first answer
}

// Player has scores on a board. History holds every state it ever was in; the
// last is today's.
type Player struct {
	Board, ID string
	History   []State
}

// State is what is known of a player from a moment on.
type State struct {
	From                       time.Time
	DisplayName, Country, User *string
	Attributes                 map[string]string
	Status                     string
	Note                       *string
}

// Caller is who asks. The zero Caller shows no token.
type Caller struct {
	User, Role, Actor string
	Scopes            []string // nil: everything the role may do
}

func (c Caller) scoped(scope string) bool { return c.Scopes == nil || slices.Contains(c.Scopes, scope) }

// Board finds a board; nil: there is none.
func (w *World) Board(id string) *Board {
	for _, b := range w.Boards {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// Player finds a player; nil: there is none.
func (w *World) Player(board, id string) *Player {
	for _, p := range w.Players {
		if p.Board == board && p.ID == id {
			return p
		}
	}
	return nil
}

// Entry finds an entry of a board; nil: there is none.
func (w *World) Entry(board, id string) *Entry {
	for _, e := range w.Entries {
		if e.Board == board && e.ID == id {
			return e
		}
	}
	return nil
}

// byKey finds the entry that used a key up.
func (w *World) byKey(board, key string) *Entry {
	for _, e := range w.Entries {
		if e.Board == board && e.Key == key && key != "" {
			return e
		}
	}
	return nil
}

// Today is the player's state now.
func (p *Player) Today() State { return p.History[len(p.History)-1] }

// In is the player's state as a table shows it: a closed table keeps the one
// it closed with.
func (w *World) In(b *Board, p *Player, s Run) State {
	if !w.Closed(b, s) {
		return p.Today()
	}
	state := p.History[0]
	for _, h := range p.History {
		if h.From.Before(s.End.Add(b.Grace)) {
			state = h
		}
	}
	return state
}

// Closed: the clock has reached the end of the period and its board's grace.
func (w *World) Closed(b *Board, s Run) bool {
	return !s.End.IsZero() && !w.Now.Before(s.End.Add(b.Grace))
}

// Set gives a player a new state from now on.
func (w *World) Set(board, id string, change func(*State)) {
	p := w.Player(board, id)
	if p == nil {
		p = w.newPlayer(board, id)
		w.Players = append(w.Players, p)
	}
	s := p.Today()
	s.From = w.Now
	attributes := map[string]string{}
	for k, v := range s.Attributes {
		attributes[k] = v
	}
	s.Attributes = attributes
	if change != nil {
		change(&s)
	}
	p.History = append(p.History, s)
}

// newPlayer is a player as they are before anything is said of them. One whose
// id is a user's belongs to that user.
func (w *World) newPlayer(board, id string) *Player {
	s := State{Status: "ranked"}
	if w.Board(board).Players == "registered" {
		s.User = &id
	}
	return &Player{Board: board, ID: id, History: []State{s}}
}

// MayRead says whether the board is there for the caller.
func (w *World) MayRead(c Caller, b *Board) bool {
	if b.Public {
		return true
	}
	if c.Role == "" || !c.scoped("read") {
		return false
	}
	linked := slices.ContainsFunc(w.Players, func(p *Player) bool {
		user := p.Today().User
		return p.Board == b.ID && user != nil && *user == c.User
	})
	return c.Role == "admin" || c.Role == "auditor" || linked || slices.Contains(b.Viewers, c.User) ||
		slices.Contains(b.Writers, c.User) || slices.Contains(b.Owners, c.User)
}

// Staff says whether the caller is a writer of the board, whatever a key is
// cut to. An auditor is none, and reads what they read all the same.
func Staff(c Caller, b *Board) bool {
	return c.Role == "admin" || Owns(c, b) || slices.Contains(b.Writers, c.User)
}

// Owns says whether the caller acts as an owner of the board.
func Owns(c Caller, b *Board) bool { return c.Role == "admin" || slices.Contains(b.Owners, c.User) }

// SeesHidden says whether a hidden player is there for the caller.
func SeesHidden(c Caller, b *Board) bool {
	return c.Role == "auditor" || Staff(c, b) && c.scoped("read")
}

// SeesMetadata says whether the entry's metadata is shown to the caller.
func (w *World) SeesMetadata(c Caller, b *Board, e *Entry) bool {
	user := w.Player(b.ID, e.Player).Today().User
	return SeesHidden(c, b) || c.User != "" && c.scoped("read") && user != nil && *user == c.User
}

// gate is the part of a refusal that the board alone decides: 404, 403 or 0.
func (w *World) gate(c Caller, b *Board, may func(Caller, *Board) bool, scope string) int {
	switch {
	case b == nil:
		return 404
	case may(c, b) && c.scoped(scope):
		return 0
	case w.MayRead(c, b):
		return 403
	}
	return 404
}
