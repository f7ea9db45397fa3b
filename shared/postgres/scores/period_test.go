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

// The clock after the last wait decides what is closed.
func TestRunThatClosesWhileAnAddWaitsIsClosed(t *testing.T) {
	for name, late := range map[string]bool{"refused": false, "credited in the open runs if late": true} {
		t.Run(name, func(t *testing.T) {
			s := newStepper(t)
			s.clock(t, noon.Add(-time.Second))
			s.adder.Now = func() time.Time { return noon }
			s.board(t, "b", func(b *score.Board) {
				b.Periods, b.Grace = []score.Period{{Name: "season", Start: noon.AddDate(-1, 0, 0), End: noon}, {Name: score.All}}, 0
			})
			in := score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: ptr(noon.Add(-time.Hour)), Late: &late}
			s.add(t, "b", in)
			before := s.snapshot(t)

			other, err := s.scores.db.Owner().Beginx()
			if err != nil {
				t.Fatal(err)
			}
			defer other.Rollback()
			if _, err := other.Exec(`SELECT id FROM players FOR UPDATE`); err != nil {
				t.Fatal(err)
			}
			var added score.Added
			done := make(chan error)
			go func() {
				var err error
				added, err = s.adder.Add(ctxOf(t), owner, addRoute, "b", in)
				done <- err
			}()
			s.blocks(t, other, done)
			s.clock(t, noon)
			if err := other.Rollback(); err != nil {
				t.Fatal(err)
			}
			err = <-done
			if !late {
				if !fault.Is(err, fault.PeriodClosed) || s.snapshot(t) != before {
					t.Errorf("got %v, want period-closed", err)
				}
				return
			}
			if err != nil || len(added.Standings) != 1 || added.Standings[0].Period != score.All || *added.Standings[0].Score != 2 {
				t.Errorf("got %+v, %v", added, err)
			}
		})
	}
}
