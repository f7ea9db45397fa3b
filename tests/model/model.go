// Package model is the scoring API in memory, without cleverness: it keeps the
// list of entries and the history of each player, and recomputes every response
// from them. It shares no code with the product, so that it cannot share its
// mistakes. Tests drive both and compare.
package model

import (
	"slices"
	"time"
)

// MaxPoints is the largest integer that JavaScript clients hold exactly.
const MaxPoints = 1<<53 - 1

// World is the whole state. Now is the time on every clock.
type World struct {
	Now     time.Time
	Boards  []*Board
	Entries []*Entry
	Players []*Player
	// Refused has the users who declined to be a player, by board, player and user.
	Refused map[[3]string]bool
}

// Board is one competition.
type Board struct {
	ID, Title            string
	Combine, Order, Ties string
	Periods              []Period
	Categories           []string
	TimeZone             string
	Catalogue            map[string]int64 // nil means free points
	Min                  int64
	Max, DailyCap, Floor *int64
	Decimals             int
	Unit                 string
	Grace                time.Duration
	Players              string // any or registered; registered ids are users'
	Public               bool
	Owners               []string
	Writers              []string
	Viewers              []string
	State                string
	OpenedAt             time.Time // zero in a draft
}

// Entry is one line of the ledger. Runs are the runs that it credited or, for a
// reversal, those in which it cancelled its original.
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
	Scores                 []*int64 // the score after it in each of Runs; nil if none is left

	Key      string
	Identity string // what a request with the same key must equal
	Answer   string // bytes of the first response; empty if an erasure has changed them since
}

// Player has scores on a board. History holds all of their states; the last is
// the current one.
type Player struct {
	Board, ID string
	History   []State
}

// State is a player's data from a moment on.
type State struct {
	From                       time.Time
	Draft                      bool // set while the board was a draft
	DisplayName, Country, User *string
	Attributes                 map[string]string
	Status                     string
	Note                       *string
	Account                    bool    // the player is on a board of registered players
	Proposed                   *string // the user who was proposed last
	Link                       string  // proposed, accepted or declined; empty: nobody is proposed
}

// Caller is the sender of a request. The zero Caller sends no token.
type Caller struct {
	User, Role, Actor string
	Scopes            []string // nil means everything that the role may do
}

func (c Caller) scoped(scope string) bool { return c.Scopes == nil || slices.Contains(c.Scopes, scope) }

// Board returns a board, or nil.
func (w *World) Board(id string) *Board {
	for _, b := range w.Boards {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// Player returns a player, or nil.
func (w *World) Player(board, id string) *Player {
	for _, p := range w.Players {
		if p.Board == board && p.ID == id {
			return p
		}
	}
	return nil
}

// Entry returns an entry of a board, or nil.
func (w *World) Entry(board, id string) *Entry {
	for _, e := range w.Entries {
		if e.Board == board && e.ID == id {
			return e
		}
	}
	return nil
}

// byKey returns the entry that used the key, or nil.
func (w *World) byKey(board, key string) *Entry {
	for _, e := range w.Entries {
		if e.Board == board && e.Key == key && key != "" {
			return e
		}
	}
	return nil
}

// Today returns the player's current state.
func (p *Player) Today() State { return p.History[len(p.History)-1] }

// In returns the player's state as a table shows it: a closed table keeps the
// one that it closed with.
func (w *World) In(b *Board, p *Player, s Run) State {
	if !w.Closed(b, s) {
		return p.Today()
	}
	state := p.History[0]
	for _, h := range p.History {
		// The clock may stand still while a draft is changed and opened.
		if h.Draft || h.From.Before(b.closing(s)) {
			state = h
		}
	}
	return state
}

// Closed reports whether the run is closed. No run of a draft is.
func (w *World) Closed(b *Board, s Run) bool {
	return b.State != "draft" && !s.End.IsZero() && !w.Now.Before(b.closing(s))
}

// closing returns when a run closes: when its end and the board's grace have
// passed and the board is open.
func (b *Board) closing(s Run) time.Time {
	at := s.End.Add(b.Grace)
	if at.Before(b.OpenedAt) {
		return b.OpenedAt
	}
	return at
}

// Open reports whether the board accepts entries and changes of players.
func (b *Board) Open() bool { return b.State == "open" || b.State == "draft" }

// Set changes a player's state from now on.
func (w *World) Set(board, id string, change func(*State)) {
	p := w.Player(board, id)
	if p == nil {
		p = w.newPlayer(board, id)
		w.Players = append(w.Players, p)
	}
	s := p.Today()
	s.From, s.Draft = w.Now, w.Board(board).State == "draft"
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

// newPlayer returns a player without a profile.
func (w *World) newPlayer(board, id string) *Player {
	s := State{Status: "ranked", Draft: w.Board(board).State == "draft", Account: w.Board(board).Players == "registered"}
	return &Player{Board: board, ID: id, History: []State{s}}
}

// MayRead reports whether the caller may read the board. Neither a public board
// nor a player on it can be read while it is a draft.
func (w *World) MayRead(c Caller, b *Board) bool {
	if b.Public && b.State != "draft" {
		return true
	}
	if c.Role == "" || !c.scoped("read") {
		return false
	}
	linked := b.State != "draft" && slices.ContainsFunc(w.Players, func(p *Player) bool {
		user := p.Today().User
		return p.Board == b.ID && user != nil && *user == c.User
	})
	return c.Role == "admin" || c.Role == "auditor" || linked || slices.Contains(b.Viewers, c.User) ||
		slices.Contains(b.Writers, c.User) || slices.Contains(b.Owners, c.User)
}

// Staff reports whether the caller is a writer of the board, whatever an API
// key is limited to. Auditors are not, although they read what writers read.
func Staff(c Caller, b *Board) bool {
	return c.Role == "admin" || Owns(c, b) || slices.Contains(b.Writers, c.User)
}

// Owns reports whether the caller acts as an owner of the board.
func Owns(c Caller, b *Board) bool { return c.Role == "admin" || slices.Contains(b.Owners, c.User) }

// SeesHidden reports whether the caller may see hidden players.
func SeesHidden(c Caller, b *Board) bool {
	return c.Role == "auditor" || Staff(c, b) && c.scoped("read")
}

// People reports whether the caller is one of the people with rights on the board.
func People(c Caller, b *Board) bool {
	return c.scoped("read") && (c.Role == "auditor" || Staff(c, b) || slices.Contains(b.Viewers, c.User))
}

// Sight is what a caller sees of a player and of the player's entries.
type Sight struct {
	Actor, Metadata bool // of entries
	Person          bool // the player's user and note
}

// Everything is the sight of an admin.
var Everything = Sight{true, true, true}

// Sees returns what the caller sees of a player whom they may read.
func (w *World) Sees(c Caller, b *Board, player string) Sight {
	user := w.Player(b.ID, player).Today().User
	own := c.User != "" && c.scoped("read") && user != nil && *user == c.User || w.Own(c, b, player)
	return Sight{Actor: People(c, b), Metadata: SeesHidden(c, b) || own, Person: People(c, b) || own}
}

// Own reports whether the player is the caller on a board of registered players. The
// caller may then read the player, even on a private board.
func (w *World) Own(c Caller, b *Board, player string) bool {
	return c.User != "" && c.User == player && c.scoped("read") && b.Players == "registered" && b.State != "draft" &&
		w.Player(b.ID, player) != nil && w.Player(b.ID, player).Today().Status != "hidden"
}

// gate returns the status that the board alone decides: 404, 403 or 0.
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
