package score

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// memory is a Ledger and a Registry without a database. It checks versions,
// keys and refused items as their contracts demand, and no sums.
type memory struct {
	mu      sync.Mutex
	boards  map[string]Board // as they are now
	entries map[string]Entry
	keys    map[[2]string]memoryKey // by board and key
	players map[[2]string]Player    // by board and player
	links   map[[2]string]bool      // by board and user

	// before runs at the start of every Add, Change, ChangePlayer and ErasePlayer.
	before func()
	// refuse is the cause for which Add refuses an item, empty for none.
	refuse func(Item) Cause
	// limited is what Create returns, if set.
	limited *CreationOutcome
	// refusal makes ChangePlayer refuse every change.
	refusal *Refusal
	// erase is the result of each step of an erasure; if it is nil, the first step is
	// the last one.
	erase func(step int) (ErasureStep, error)

	lookups   int
	adds      []Addition
	changes   []Change
	creations []Creation
	actors    []string // of what was written to boards and players
	steps     []string // of erasures: where each step began
}

type memoryKey struct {
	digest []byte
	entry  string
}

func newMemory(boards ...Board) *memory {
	m := &memory{
		boards: map[string]Board{}, entries: map[string]Entry{}, keys: map[[2]string]memoryKey{},
		players: map[[2]string]Player{}, links: map[[2]string]bool{},
	}
	for _, b := range boards {
		m.boards[b.ID] = b
	}
	return m
}

// edit changes a board behind everybody's back, as another process does.
func (m *memory) edit(id string, set func(*Board)) {
	b := m.boards[id]
	set(&b)
	b.Version++
	m.boards[id] = b
}

func (m *memory) Board(_ context.Context, id string, v Visitor) (Found, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	b, ok := m.boards[id]
	listed := slices.Contains(slices.Concat(b.Owners, b.Writers, b.Viewers), v.User)
	linked := b.State != Draft && m.links[[2]string{id, v.User}]
	if !ok || !b.Published() && !v.ReadsAll && (v.User == "" || !listed && !linked) {
		return Found{}, NoBoard(id)
	}
	return Found{Board: b, Linked: linked}, nil
}

func (m *memory) Add(_ context.Context, a Addition) (Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		m.before()
	}
	m.adds = append(m.adds, a)
	var out Outcome
	for id, version := range a.Versions {
		if b := m.boards[id]; b.Version != version {
			out.Stale = append(out.Stale, b)
		}
	}
	if out.Stale != nil {
		return out, nil
	}
	replayed := make([]bool, len(a.Items))
	for i, item := range a.Items {
		if stored, ok := m.keys[[2]string{item.Board, item.Key}]; ok && item.Key != "" {
			if !bytes.Equal(stored.digest, item.Digest) {
				return Outcome{Refusal: &Refusal{Items: []int{i}, Reason: KeyReused}}, nil
			}
			replayed[i] = true
		}
	}
	var refused []int
	for i, item := range a.Items {
		switch original, ok := m.entries[item.Reverses]; {
		case replayed[i]:
		case item.Reverses != "" && (!ok || original.Board != item.Board):
			return Outcome{Refusal: &Refusal{Items: []int{i}, Reason: NoEntry}}, nil
		case item.Refused:
			refused = append(refused, i)
		}
	}
	if refused != nil {
		return Outcome{Refusal: &Refusal{Items: refused, Reason: ItemRefused}}, nil
	}
	for i, item := range a.Items {
		if m.refuse != nil && !replayed[i] && m.refuse(item) != "" {
			return Outcome{Refusal: &Refusal{Items: []int{i}, Reason: m.refuse(item)}}, nil
		}
	}
	for i, item := range a.Items {
		e := Entry{
			ID: item.ID, Board: item.Board, Player: item.Player, Kind: item.Kind, Points: item.Points, Reason: item.Reason,
			Note: item.Note, Actor: a.Actor, OccurredAt: item.OccurredAt, Batch: a.Batch, Reverses: item.Reverses,
		}
		if replayed[i] {
			e = m.entries[m.keys[[2]string{item.Board, item.Key}].entry]
		} else {
			m.entries[e.ID] = e
			if item.Key != "" {
				m.keys[[2]string{item.Board, item.Key}] = memoryKey{item.Digest, e.ID}
			}
		}
		if a.Batch == "" {
			out.Added = &Added{e, replayed[i]}
		} else {
			out.Entries = append(out.Entries, BatchEntry{e.ID, e.Board, e.Player, e.Points, e.Batch, replayed[i]})
		}
	}
	return out, nil
}

func (m *memory) Create(_ context.Context, c Creation) (CreationOutcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creations = append(m.creations, c)
	if m.limited != nil {
		return *m.limited, nil
	}
	if _, ok := m.boards[c.Board.ID]; ok {
		return CreationOutcome{Taken: true}, nil
	}
	m.actors = append(m.actors, c.Actor)
	m.boards[c.Board.ID] = c.Board
	return CreationOutcome{Board: c.Board}, nil
}

func (m *memory) Change(_ context.Context, c Change) (ChangeOutcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		m.before()
	}
	m.changes = append(m.changes, c)
	out := ChangeOutcome{Board: m.boards[c.Board.ID]}
	hasEntries, hasPlayers := false, false
	for e := range maps.Values(m.entries) {
		hasEntries = hasEntries || e.Board == c.Board.ID
	}
	for key := range m.players {
		hasPlayers = hasPlayers || key[0] == c.Board.ID
	}
	switch {
	case out.Board.Version != c.Board.Version:
		out.Stale = true
	case c.NoEntries && hasEntries:
		out.HasEntries = true
	case hasPlayers && c.Board.Players == RegisteredPlayers && out.Board.Players != RegisteredPlayers:
		out.HasPlayers = true
	default:
		out.Board = c.Board
		out.Board.Version++
		m.boards[c.Board.ID] = out.Board
		m.actors = append(m.actors, c.Actor)
	}
	return out, nil
}

func (m *memory) ChangePlayer(_ context.Context, b Board, player string, c PlayerChange, who access.Caller) (PlayerOutcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		m.before()
	}
	if now := m.boards[b.ID]; now.Version != b.Version {
		return PlayerOutcome{Stale: &now}, nil
	}
	if m.refusal != nil {
		return PlayerOutcome{Refusal: m.refusal}, nil
	}
	p, ok := m.players[[2]string{b.ID, player}]
	if !ok {
		p = Player{Board: b.ID, ID: player, Attributes: map[string]string{}, Status: Ranked}
	}
	if c.User.Set {
		p.ProposedUser = c.User.Value
	}
	if c.DisplayName.Set {
		p.DisplayName = c.DisplayName.Value
	}
	if c.Status != nil {
		p.Status = *c.Status
	}
	m.players[[2]string{b.ID, player}] = p
	m.actors = append(m.actors, who.Actor())
	return PlayerOutcome{Player: &p, Made: !ok}, nil
}

func (m *memory) ErasePlayer(_ context.Context, b Board, player, after string, who access.Caller) (ErasureStep, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		m.before()
	}
	if now := m.boards[b.ID]; now.Version != b.Version {
		return ErasureStep{Stale: &now}, nil
	}
	p, ok := m.players[[2]string{b.ID, player}]
	if !ok {
		return ErasureStep{Missing: true}, nil
	}
	m.steps = append(m.steps, after)
	if m.erase != nil {
		if step, err := m.erase(len(m.steps)); step.More || err != nil {
			return step, err
		}
	}
	m.players[[2]string{b.ID, player}] = Player{Board: p.Board, ID: p.ID, Status: p.Status}
	m.actors = append(m.actors, who.Actor())
	return ErasureStep{}, nil
}

func (m *memory) AcceptLink(context.Context, string, string, string, string) (Link, bool, error) {
	m.lookups++
	return Link{}, false, nil
}

func (m *memory) EndLink(context.Context, string, string, string, string) (bool, error) {
	m.lookups++
	return false, nil
}

// owner owns every board of these tests.
var owner = access.Caller{User: "owner", Role: access.Organizer}

func person(user string, role access.Role) access.Caller {
	return access.Caller{User: user, Role: role}
}

func apiKey(user string, role access.Role, scopes []string, boards ...string) access.Caller {
	return access.Caller{User: user, Role: access.Service, Key: "k", Owner: role, Scopes: scopes, Boards: boards}
}

// board returns a board of the owner's, changed by set.
func board(id string, set func(*Board)) Board {
	b := NewBoard(id, owner.User)
	if set != nil {
		set(&b)
	}
	return b
}

func newAdder(l Ledger) *Adder {
	return &Adder{Ledger: l, Now: func() time.Time { return now }}
}

// kindAndFields returns a fault as "kind field field", empty for none.
func kindAndFields(err error) string {
	if err == nil {
		return ""
	}
	f, ok := fault.As(err)
	if !ok {
		return err.Error()
	}
	text := string(f.Kind)
	if len(f.Errors) == 0 && f.Field != "" {
		text += " " + f.Field
	}
	for _, e := range f.Errors {
		text += " " + e.Field
	}
	return text
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
