package postgres_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// The ledger writes any number of items as one change: the standings are those
// after all of them, seq follows the items, a replayed one counts no more, and
// one that is refused leaves nothing behind.
func TestLedgerWritesItemsAsOneChange(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "a", nil)
	s.board(t, "z", func(b *score.Board) { b.Combine, b.Order = score.Best, score.Asc })
	ledger := postgres.NewScores(s.db.Open("score_add"))
	item := func(board, player, key string, points int64) score.Item {
		digest := sha256.Sum256(fmt.Append(nil, board, player, points))
		return score.Item{
			ID: uuid.Must(uuid.NewV7()).String(), Board: board, Player: player, Key: key, Digest: digest[:], Kind: score.Result,
			Points: points, OccurredAt: time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC), Spans: []score.Span{{Name: score.All}},
		}
	}
	add := func(items ...score.Item) score.Outcome {
		t.Helper()
		out, err := ledger.Add(ctxOf(t), score.Addition{Versions: map[string]int64{"a": 1, "z": 1}, Items: items, Actor: "user/o"})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	add(item("a", "p", "first", 5))

	out := add(item("z", "p", "", 7), item("a", "p", "k1", 1), item("a", "q", "", 2), item("a", "p", "first", 5), item("a", "p", "", 10), item("z", "p", "k1", 3))
	var got []string
	for _, a := range out.Added {
		got = append(got, fmt.Sprint(a.Board, " ", a.Player, " ", a.Seq, " ", a.Points, " ", *a.Standings[0].Score, " ", a.Replayed))
	}
	want := []string{"z p 1 7 3 false", "a p 2 1 16 false", "a q 1 2 2 false", "a p 1 5 5 true", "a p 3 10 16 false", "z p 2 3 3 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if first, last := out.Added[1].RecordedAt, out.Added[4].RecordedAt; !last.Equal(first.Add(time.Microsecond)) {
		t.Errorf("entries of a player are recorded at %v and %v", first, last)
	}

	before := s.snapshot(t)
	for _, c := range []struct {
		last score.Item
		want score.Cause
	}{
		{item("a", "p", "k1", 4), score.KeyReused},
		{item("a", "q", "", score.MaxPoints), score.OutOfRange},
		{func() score.Item { i := item("a", "q", "k9", 1); i.Refused = true; return i }(), score.ItemRefused},
	} {
		out := add(item("a", "new", "new", 1), item("z", "new", "", 1), c.last)
		if out.Refusal == nil || !reflect.DeepEqual(*out.Refusal, score.Refusal{Items: []int{2}, Reason: c.want}) || s.snapshot(t) != before {
			t.Errorf("got %+v, want a refusal of item 2: %s", out, c.want)
		}
	}
	// A board that is out of date is all that comes back.
	s.change(t, "z", func(b *score.Board) { b.Title = "new" })
	if out := add(item("a", "new", "", 1), item("z", "new", "", 1)); len(out.Stale) != 1 || out.Stale[0].Title != "new" || out.Added != nil {
		t.Errorf("got %+v, want board z", out)
	}
}

// Items in opposite order of players, keys and boards never wait for each
// other in a circle.
func TestOverlappingItemsDoNotDeadlock(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "a", nil)
	s.board(t, "z", nil)
	config := s.db.Config("score_add")
	config.MaxConns = 16
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ledger := postgres.NewScores(db)
	together(func(i int) {
		for round := range 5 {
			var items []score.Item
			for n := range 20 {
				digest := sha256.Sum256(fmt.Append(nil, n))
				items = append(items, score.Item{
					ID: uuid.Must(uuid.NewV7()).String(), Board: []string{"a", "z"}[n%2], Player: fmt.Sprint("p", n/2), Key: fmt.Sprint("k", round, n%4, n),
					Digest: digest[:], Kind: score.Result, Points: 1, OccurredAt: time.Now(), Spans: []score.Span{{Name: score.All}},
				})
			}
			if i%2 == 0 {
				slices.Reverse(items)
			}
			if _, err := ledger.Add(ctxOf(t), score.Addition{Versions: map[string]int64{"a": 1, "z": 1}, Items: items, Actor: "user/o"}); err != nil {
				t.Error(err)
			}
		}
	})
	if n := s.count(t, "entries"); n != 5*20 {
		t.Errorf("%d entries, want %d: each key once", n, 5*20)
	}
}

func BenchmarkLedgerOfAThousandItems(b *testing.B) {
	s := newScores(b, 1)
	s.board(b, "bench", nil)
	ledger := postgres.NewScores(s.db.Open("score_add"))
	digest := sha256.Sum256(nil)
	b.ResetTimer()
	for i := range b.N {
		items := make([]score.Item, 1000)
		for n := range items {
			items[n] = score.Item{
				ID: uuid.Must(uuid.NewV7()).String(), Board: "bench", Player: fmt.Sprint("p", n*7%800), Key: fmt.Sprint("k", i, ".", n),
				Digest: digest[:], Kind: score.Result, Points: 1, OccurredAt: time.Now(), Spans: []score.Span{{Name: score.All}},
			}
		}
		if _, err := ledger.Add(ctxOf(b), score.Addition{Versions: map[string]int64{"bench": 1}, Items: items, Actor: "user/o"}); err != nil {
			b.Fatal(err)
		}
	}
}
