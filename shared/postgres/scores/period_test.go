package scores_test

import (
	"testing"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// A board may have periods that leave gaps, and an entry may fall into one.
func TestItemThatNoPeriodContainsIsRefused(t *testing.T) {
	s := newScores(t, 1)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.board(t, "b", func(b *score.Board) {
		b.Periods = []score.Period{{Name: "season", Start: start, End: start.AddDate(0, 1, 0)}}
		b.Grace = score.Duration(366 * 24 * time.Hour)
	})
	within := score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: ptr(start)}
	outside := score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: ptr(start.AddDate(0, 2, 0))}
	late := outside
	late.Late = ptr(true)
	for name, in := range map[string]score.Submission{"outside": outside, "outside, late": late} {
		before := s.snapshot(t)
		if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); !fault.Is(err, fault.PeriodClosed) || s.snapshot(t) != before {
			t.Errorf("%s: got %v, want period-closed", name, err)
		}
		for i, items := range [][]score.BatchItem{
			{{Board: "b", Submission: in}}, {{Board: "b", Submission: within}, {Board: "b", Submission: in}},
		} {
			if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); !fault.Is(err, fault.PeriodClosed) || s.snapshot(t) != before {
				t.Errorf("%s, in batch %d: got %v, want period-closed", name, i, err)
			}
		}
	}
}
