package model

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Standing is a player's score in one run of a period.
type Standing struct {
	Player          string
	Score, Tiebreak int64
	ReachedAt       time.Time
	State           State // as the table shows it
}

// Row is a row of a table.
type Row struct {
	Rank int
	Standing
}

// credits returns the entries that count for a player in a run, by (occurred_at,
// seq): those that credited it and were not cancelled in it.
func (w *World) credits(board, player string, s Run) []*Entry {
	var list []*Entry
	for _, e := range w.Entries {
		cancelled := slices.ContainsFunc(w.Entries, func(r *Entry) bool {
			return r.Reverses == e.ID && r.Reverses != "" && slices.Contains(r.Runs, s)
		})
		if e.Board == board && e.Player == player && e.Reverses == "" && slices.Contains(e.Runs, s) && !cancelled {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(x, y *Entry) int {
		return cmp.Or(x.OccurredAt.Compare(y.OccurredAt), cmp.Compare(x.Seq, y.Seq))
	})
	return list
}

// pair is a score and its tiebreak.
type pair struct{ Score, Tiebreak int64 }

func (p pair) add(q pair) pair { return pair{p.Score + q.Score, p.Tiebreak + q.Tiebreak} }

// Walk is a walk along a player's credits in a run.
type Walk struct {
	Present   bool // S is not absent
	S         pair
	ReachedAt time.Time // when S last changed
	Adjusted  pair      // the sum of the adjustments that counted
}

// Walk walks along a player's credits in a run.
func (w *World) Walk(b *Board, player string, s Run) Walk {
	var k Walk
	best := pair{} // of the results and imports so far, if Present
	for _, e := range w.credits(b.ID, player, s) {
		before, present := k.S, k.Present
		points, adjustment := pair{e.Points, e.Tiebreak}, e.Kind == "adjustment"
		switch {
		case b.Combine == "sum":
			k.Present, k.S = true, k.S.add(points)
		case b.Combine == "best" && !adjustment:
			if !k.Present || b.compare(points.Score, points.Tiebreak, best.Score, best.Tiebreak) < 0 {
				best = points
			}
			k.Present, k.S = true, best.add(k.Adjusted)
		case b.Combine == "best" && k.Present, b.Combine == "last" && k.Present && adjustment:
			k.S = k.S.add(points)
		case b.Combine == "last" && !adjustment:
			k.Present, k.S = true, points
		}
		if adjustment && (b.Combine != "last" || k.Present) {
			k.Adjusted = k.Adjusted.add(points)
		}
		if k.S != before || k.Present != present {
			k.ReachedAt = e.OccurredAt
		}
	}
	return k
}

// Standing computes a player's standing from their credits. A player without
// credits, or with adjustments only on a board that does not sum, has none.
func (w *World) Standing(b *Board, player string, s Run) (Standing, bool) {
	k := w.Walk(b, player, s)
	if !k.Present {
		return Standing{}, false
	}
	return Standing{player, k.S.Score, k.S.Tiebreak, k.ReachedAt, w.In(b, w.Player(b.ID, player), s)}, true
}

// compare orders two scores; a negative result means that the first is better.
func (b *Board) compare(score, tiebreak, score2, tiebreak2 int64) int {
	sign := 1
	if b.Order == "desc" {
		sign = -1
	}
	switch {
	case score != score2 && score < score2, score == score2 && tiebreak < tiebreak2:
		return -sign
	case score == score2 && tiebreak == tiebreak2:
		return 0
	}
	return sign
}

// place orders two standings of a table; a negative result means that x is
// strictly better.
func (b *Board) place(x, y Standing) int {
	better := b.compare(x.Score, x.Tiebreak, y.Score, y.Tiebreak)
	if better == 0 && b.Ties == "first" {
		return x.ReachedAt.Compare(y.ReachedAt)
	}
	return better
}

// PageOrder orders by place, and by the players' ids if two are equal.
func (b *Board) PageOrder(x, y Standing) int {
	return cmp.Or(b.place(x, y), strings.Compare(x.Player, y.Player))
}

// Table returns a run's table, of the whole board or of the players whose
// attribute has the value, best first. It contains ranked players only.
func (w *World) Table(b *Board, s Run, attribute, value string) []Row {
	var all []Standing
	for _, p := range w.Players {
		if p.Board != b.ID {
			continue
		}
		st, ok := w.Standing(b, p.ID, s)
		v, has := st.State.Attributes[attribute]
		if ok && st.State.Status == "ranked" && (attribute == "" || has && v == value) {
			all = append(all, st)
		}
	}
	slices.SortFunc(all, b.PageOrder)
	var rows []Row
	for _, st := range all {
		rank := 1
		for _, other := range all {
			if b.place(other, st) < 0 {
				rank++
			}
		}
		rows = append(rows, Row{rank, st})
	}
	return rows
}

// Entered reports whether the board has ever had an entry.
func (w *World) Entered(b *Board) bool {
	return slices.ContainsFunc(w.Entries, func(e *Entry) bool { return e.Board == b.ID })
}

// Listed returns the board's entries that the caller may see, newest first.
func (w *World) Listed(c Caller, b *Board) []*Entry {
	var list []*Entry
	for _, e := range w.Entries {
		if e.Board == b.ID && (SeesHidden(c, b) || w.Player(b.ID, e.Player).Today().Status != "hidden") {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(x, y *Entry) int {
		return cmp.Or(y.OccurredAt.Compare(x.OccurredAt), strings.Compare(y.ID, x.ID))
	})
	return list
}
