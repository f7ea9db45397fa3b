package scores_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"plaudit/shared/score"
)

// credit is what the model keeps of an entry.
type credit struct {
	pair
	at         time.Time
	seq        int
	adjustment bool
}

type pair struct{ points, tiebreak int64 }

func (p pair) plus(o pair) pair { return pair{p.points + o.points, p.tiebreak + o.tiebreak} }

// ranking is a player's standing by the rules, from the set of credits alone.
type ranking struct {
	player          string
	score, tiebreak int64
	reached         time.Time
	rank            int64
}

// walk makes a standing of a player's credits, in the words of the rules; ok is false
// if they make none.
func walk(combine score.Combine, order score.Order, credits []credit) (r ranking, ok bool) {
	credits = slices.Clone(credits)
	slices.SortFunc(credits, func(a, b credit) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	better := func(a, b pair) bool {
		c := cmp.Or(cmp.Compare(a.points, b.points), cmp.Compare(a.tiebreak, b.tiebreak))
		return order == score.Desc && c > 0 || order == score.Asc && c < 0
	}
	var s, best, adjusted pair
	present, resulted, moved := false, false, false
	for _, c := range credits {
		before := s
		switch {
		case combine == score.Sum:
			s, present = s.plus(c.pair), true
			if s != before {
				r.reached, moved = c.at, true
			}
			continue
		case combine == score.Best && c.adjustment:
			adjusted = adjusted.plus(c.pair)
		case combine == score.Best && (!resulted || better(c.pair, best)):
			best, resulted = c.pair, true
		case combine == score.Last && !c.adjustment:
			s, resulted = c.pair, true
		case combine == score.Last && resulted:
			s = s.plus(c.pair)
		}
		if combine == score.Best {
			s = best.plus(adjusted)
		}
		if resulted && (!present || s != before) {
			r.reached, moved = c.at, true
		}
		present = resulted
	}
	if present && !moved {
		r.reached = credits[0].at
	}
	r.score, r.tiebreak = s.points, s.tiebreak
	return r, present
}

// table ranks every player: 1 + how many are strictly better.
func table(combine score.Combine, order score.Order, ties score.Ties, players map[string][]credit) []ranking {
	var out []ranking
	for name, credits := range players {
		if r, ok := walk(combine, order, credits); ok {
			r.player = name
			out = append(out, r)
		}
	}
	better := func(a, b ranking) int {
		c := cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.tiebreak, b.tiebreak))
		if order == score.Desc {
			c = -c
		}
		if ties == score.First {
			c = cmp.Or(c, a.reached.Compare(b.reached))
		}
		return c
	}
	for i := range out {
		out[i].rank = 1
		for _, other := range out {
			if better(other, out[i]) < 0 {
				out[i].rank++
			}
		}
	}
	slices.SortFunc(out, func(a, b ranking) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.player, b.player)) })
	return out
}

// Every way to combine, with every order and tie rule, against a model in
// memory: few values, so that ties are many, in any order of time.
func TestStandingsAreThoseOfTheModel(t *testing.T) {
	s := newScores(t, 1)
	for _, combine := range []score.Combine{score.Sum, score.Best, score.Last} {
		for _, order := range []score.Order{score.Desc, score.Asc} {
			for _, ties := range []score.Ties{score.First, score.Shared} {
				id := fmt.Sprintf("%s-%s-%s", combine, order, ties)
				t.Run(id, func(t *testing.T) {
					s.board(t, id, func(b *score.Board) { b.Combine, b.Order, b.Ties, b.Min = combine, order, ties, -100 })
					random := rand.New(rand.NewPCG(1, 2))
					players := map[string][]credit{}
					for range 120 {
						name := fmt.Sprintf("%c%d", "Za"[random.IntN(2)], random.IntN(8))
						c := credit{
							pair: pair{int64(random.IntN(4) - 1), int64(random.IntN(3) - 1)},
							at:   time.Date(2026, 4, 5, 9, random.IntN(4), 0, 0, time.UTC), seq: len(players[name]), adjustment: random.IntN(3) == 0,
						}
						players[name] = append(players[name], c)
						in := score.Submission{Player: name, Points: &c.points, Tiebreak: &c.tiebreak, OccurredAt: &c.at}
						if c.adjustment {
							in.Kind, in.Note = ptr(score.Adjustment), ptr("why")
						}
						added := s.add(t, id, in)
						want, ok := walk(combine, order, players[name])
						if got := added.Standings[0].Score; added.Seq != int64(len(players[name])) || (got != nil) != ok || ok && *got != want.score {
							t.Fatalf("after %+v: score %v, seq %d, want %+v", players[name], deref64(got), added.Seq, want)
						}
					}
					want := table(combine, order, ties, players)
					for limit := range 17 {
						s.comparePages(t, id, limit+1, want)
					}
					for _, w := range want {
						got, err := s.reader.Standing(ctxOf(t), owner, id, w.player, score.Select{})
						if err != nil || asRanking(got.Standing) != w || got.Of != int64(len(want)) {
							t.Errorf("got %+v (%v), want %+v", got, err, w)
						}
					}
				})
			}
		}
	}
}

func deref64(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

func asRanking(s score.Standing) ranking {
	return ranking{s.Player, s.Score, s.Tiebreak, s.ReachedAt, *s.Rank}
}

// comparePages reads the table page by page.
func (s *scores) comparePages(t *testing.T, board string, limit int, want []ranking) {
	t.Helper()
	var got []ranking
	var after *score.Place
	for {
		page, err := s.reader.Standings(ctxOf(t), owner, board, score.Select{}, score.PageRequest{After: after, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if page.Of != int64(len(want)) || len(page.Items) > limit {
			t.Errorf("pages of %d: %d items of %d", limit, len(page.Items), page.Of)
		}
		for _, item := range page.Items {
			got = append(got, asRanking(item))
		}
		if !page.More {
			break
		}
		after = ptr(page.Items[len(page.Items)-1].Place())
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages of %d:\n got %v\nwant %v", limit, got, want)
	}
}

// A page begins after a place, so that entries added meanwhile neither repeat nor
// skip a player. Each rank is that of its moment.
func TestPagesSurviveInserts(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	for i := range 20 {
		s.add(t, "b", score.Submission{Player: fmt.Sprintf("p%02d", i), Points: ptr(int64(100 - i))})
	}
	first, err := s.reader.Standings(ctxOf(t), owner, "b", score.Select{}, score.PageRequest{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	s.add(t, "b", score.Submission{Player: "new", Points: ptr[int64](1000)})
	second, err := s.reader.Standings(ctxOf(t), owner, "b", score.Select{}, score.PageRequest{After: ptr(first.Items[9].Place()), Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range second.Items {
		if item.Player != fmt.Sprintf("p%02d", 10+i) || *item.Rank != int64(12+i) {
			t.Errorf("item %d is %s with rank %d", i, item.Player, *item.Rank)
		}
	}
	if first.Of != 20 || second.Of != 21 || second.More || len(second.Items) != 10 {
		t.Errorf("of %d, then %d; %d items, more %t", first.Of, second.Of, len(second.Items), second.More)
	}
}

func TestOnlyRankedPlayersCount(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	for i, name := range []string{"a", "b", "c"} {
		s.add(t, "b", score.Submission{Player: name, Points: ptr(int64(10 - i))})
	}
	s.db.Owner().MustExec(`UPDATE players SET status = 'disqualified' WHERE id = 'a'`)
	s.db.Owner().MustExec(`UPDATE standings SET status = 'disqualified' WHERE player = 'a'`)
	page, err := s.reader.Standings(ctxOf(t), owner, "b", score.Select{}, score.PageRequest{Limit: 10})
	if err != nil || page.Of != 2 || page.Items[0].Player != "b" || *page.Items[0].Rank != 1 {
		t.Errorf("got %+v (%v)", page, err)
	}
	// Later points do not bring the rank back.
	s.add(t, "b", score.Submission{Player: "a", Points: ptr[int64](1)})
	got, err := s.reader.Standing(ctxOf(t), owner, "b", "a", score.Select{})
	if err != nil || got.Rank != nil || got.Score != 11 || got.Of != 2 || got.Status != "disqualified" {
		t.Errorf("got %+v (%v)", got, err)
	}
}
