package scores_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"plaudit/shared/fault"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// reverse cancels an entry.
func (s *scores) reverse(t testing.TB, board, entry string) (score.Added, error) {
	t.Helper()
	return s.adder.Add(ctxOf(t), owner, "POST /v1/boards/{board}/entries/{entry}/reversal", board, score.Submission{Reverses: entry, Note: ptr("wrong")})
}

func (s *scores) check(t testing.TB, board string) []string {
	t.Helper()
	found, err := pgscores.CheckBoard(t.Context(), s.db.Config("plaudit"), board)
	if err != nil {
		t.Fatal(err)
	}
	// The function db-check finds the same.
	again, err := pgscores.CheckBoard(t.Context(), s.db.Config("db_check"), board)
	if err != nil || !reflect.DeepEqual(again, found) {
		t.Errorf("db_check finds %v, %v, the owner %v", again, err, found)
	}
	var out []string
	for _, d := range found {
		out = append(out, fmt.Sprintf("%s %s %s %s", d.Period, d.Player, d.Stored, d.Ledger))
	}
	return out
}

// The standings that adds, batches and reversals leave step by step are those that
// the ledger combines to, for every way to combine and while adds go on.
func TestStandingsAreThoseOfTheLedger(t *testing.T) {
	s := newScores(t, 16)
	for _, combine := range []score.Combine{score.Sum, score.Best, score.Last} {
		s.board(t, string(combine), func(b *score.Board) {
			b.Combine, b.Min, b.Grace = combine, -10, score.Duration(366*24*time.Hour)
			b.Periods = []score.Period{{Name: "all"}, {Name: "day"}, {Name: "noon", Cron: "0 12 * * *"}}
			b.Categories = []string{"sex"}
		})
	}
	start := time.Now().Add(-48 * time.Hour)
	together(func(i int) {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		var entries [][2]string
		for range 30 {
			board := string([]score.Combine{score.Sum, score.Best, score.Last}[random.IntN(3)])
			if random.IntN(3) == 0 && len(entries) > 0 {
				n := random.IntN(len(entries))
				if _, err := s.reverse(t, entries[n][0], entries[n][1]); err != nil && !fault.Is(err, fault.AlreadyReversed) {
					t.Error(err)
				}
				continue
			}
			in := func() score.Submission {
				return score.Submission{
					Player: fmt.Sprint("p", random.IntN(5)), Points: ptr(int64(random.IntN(5) - 1)), Tiebreak: ptr(int64(random.IntN(2))),
					OccurredAt: ptr(start.Add(time.Duration(random.IntN(48)) * time.Hour)),
					Kind:       ptr([]score.Kind{score.Result, score.Result, score.Adjustment}[random.IntN(3)]), Note: ptr("why"),
					Profile: &score.Profile{Attributes: map[string]*string{"sex": ptr(string("fmx"[random.IntN(3)]))}},
				}
			}
			items := []score.BatchItem{{Board: board, Submission: in()}, {Board: board, Submission: in()}}
			if len(entries) > 0 {
				n := random.IntN(len(entries))
				items = append(items, score.BatchItem{Board: entries[n][0], Submission: score.Submission{Reverses: entries[n][1], Note: ptr("wrong")}})
			}
			_, added, err := s.adder.AddAll(ctxOf(t), owner, "POST /v1/entries/batch", items, nil)
			if err != nil && !fault.Is(err, fault.AlreadyReversed) {
				t.Error(err)
			}
			for i, a := range added {
				if items[i].Reverses == "" {
					entries = append(entries, [2]string{a.Board, a.ID})
				}
			}
			if i == 0 {
				if got := s.check(t, board); got != nil {
					t.Errorf("while adds go on: %q", got)
				}
			}
		}
	})
	for _, board := range []string{"sum", "best", "last"} {
		if got := s.check(t, board); got != nil {
			t.Errorf("%s: %q", board, got)
		}
	}
	if n := s.count(t, "entries WHERE kind = 'reversal'"); n < 50 {
		t.Errorf("%d reversals", n)
	}
}

func TestCheckFindsWhatDiffers(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) {
		b.Categories, b.Periods = []string{"sex"}, []score.Period{{Name: score.All}, {Name: "zz", Cron: "0 0 1 1 *"}}
	})
	for _, p := range []string{"a", "b", "c", "d", "e", "f"} {
		s.add(t, "b", score.Submission{Player: p, Points: ptr[int64](5)})
	}
	if got := s.check(t, "b"); got != nil {
		t.Fatalf("got %q", got)
	}
	db := s.db.Owner()
	db.MustExec(`UPDATE standings SET score = 6 WHERE run = 1 AND player = 'a'`)
	db.MustExec(`DELETE FROM standings WHERE run = 1 AND player = 'b'`)
	db.MustExec(`UPDATE standings SET key_score = 6 WHERE run = 1 AND player = 'c'`)
	db.MustExec(`UPDATE standings SET status = 'dnf' WHERE run = 1 AND player = 'd'`)
	db.MustExec(`UPDATE standings SET cat1 = 'x' WHERE run = 1 AND player = 'e'`)
	db.MustExec(`UPDATE players SET seq = 2 WHERE id = 'f'`)
	db.MustExec(`INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		SELECT run, 'g', score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached FROM standings WHERE run = 1 AND player = 'a'`)
	db.MustExec(`UPDATE players SET cat1 = 'x' WHERE id = 'a'`)
	db.MustExec(`UPDATE players SET cat2 = 'x' WHERE id = 'b'`)
	db.MustExec(`UPDATE runs SET closes_at = NULL WHERE period = 'zz'`)
	got := s.check(t, "b")
	for i, begins := range []string{"all a ", "all b  {", "all c ", "all d ", "all e ", "all g {", "attributes a ", "attributes b ", "history f ", `zz  {"closes_at": null} {"closes_at": "`} {
		if i >= len(got) || len(got[i]) < len(begins) || got[i][:len(begins)] != begins {
			t.Fatalf("line %d of %q, want %s", i, got, begins)
		}
	}
	if len(got) != 10 {
		t.Errorf("got %q", got)
	}
	if _, err := pgscores.CheckBoard(t.Context(), s.db.Config("plaudit"), "none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such board: %v", err)
	}
}
