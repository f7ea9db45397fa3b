package scores_test

import (
	"fmt"
	"testing"

	"plaudit/shared/score"
)

// BenchmarkAddBatch measures a batch of 1,000 entries of as many players, with
// keys, on a board with one period and on one with three and a category.
func BenchmarkAddBatch(b *testing.B) {
	for _, c := range []struct {
		name string
		set  func(*score.Board)
	}{
		{"one-period", nil},
		{"three-periods", func(b *score.Board) {
			b.Periods = []score.Period{{Name: score.All}, {Name: score.Month}, {Name: score.Day}}
			b.Categories = []string{"club"}
		}},
	} {
		s := newScores(b, 1)
		s.board(b, "bench", c.set)
		b.Run(c.name, func(b *testing.B) {
			for n := range b.N {
				items := make([]score.BatchItem, 1000)
				for i := range items {
					items[i] = score.BatchItem{Board: "bench", Submission: score.Submission{
						Player: fmt.Sprintf("p%d", (n*1000+i*7)%10_000), Points: ptr(int64(i % 100)), Key: fmt.Sprintf("k%d-%d", n, i),
					}}
				}
				if _, _, err := s.adder.AddAll(ctxOf(b), owner, "POST /v1/entries/batch", items, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
