package model

import (
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

// credits returns the entries that count for a player in a run: those that
// credited it and were not cancelled in it.
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
	return list
}

// Standing computes a player's standing from their credits. A player without
// credits has none.
func (w *World) Standing(b *Board, player string, s Run) (Standing, bool) {
	list := w.credits(b.ID, player, s)
	if len(list) == 0 {
		return Standing{}, false
	}
	out := Standing{Player: player, State: w.In(b, w.Player(b.ID, player), s)}
	switch b.Combine {
	case "sum":
		earliest := list[0].OccurredAt
		for _, e := range list {
			out.Score += e.Points
			out.Tiebreak += e.Tiebreak
			if e.OccurredAt.Before(earliest) {
				earliest = e.OccurredAt
			}
			if (e.Points != 0 || e.Tiebreak != 0) && e.OccurredAt.After(out.ReachedAt) {
				out.ReachedAt = e.OccurredAt
			}
		}
		if out.ReachedAt.IsZero() {
			out.ReachedAt = earliest
		}
	case "best":
		best := list[0]
		for _, e := range list {
			cmp := b.compare(e.Points, e.Tiebreak, best.Points, best.Tiebreak)
			if cmp < 0 || cmp == 0 && e.OccurredAt.Before(best.OccurredAt) {
				best = e
			}
		}
		out.Score, out.Tiebreak, out.ReachedAt = best.Points, best.Tiebreak, best.OccurredAt
	case "last":
		last := list[0]
		for _, e := range list {
			if e.OccurredAt.After(last.OccurredAt) || e.OccurredAt.Equal(last.OccurredAt) && e.Seq > last.Seq {
				last = e
			}
		}
		out.Score, out.Tiebreak, out.ReachedAt = last.Points, last.Tiebreak, last.OccurredAt
	}
	return out, true
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
	cmp := b.compare(x.Score, x.Tiebreak, y.Score, y.Tiebreak)
	if cmp == 0 && b.Ties == "first" {
		cmp = x.ReachedAt.Compare(y.ReachedAt)
	}
	return cmp
}

// PageOrder orders by place, and by the players' ids if two are equal.
func (b *Board) PageOrder(x, y Standing) int {
	if cmp := b.place(x, y); cmp != 0 {
		return cmp
	}
	return strings.Compare(x.Player, y.Player)
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
		if cmp := y.OccurredAt.Compare(x.OccurredAt); cmp != 0 {
			return cmp
		}
		return strings.Compare(y.ID, x.ID)
	})
	return list
}
