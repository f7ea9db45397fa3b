package scores_test

import (
	"fmt"
	"testing"
	"time"

	"plaudit/shared/score"
)

// manyRuns makes a board on which n hours have runs of their own, eight each.
func (s *scores) manyRuns(t testing.TB, id string) {
	s.board(t, id, func(b *score.Board) {
		b.Grace, b.Categories = score.Duration(366*24*time.Hour), []string{"sex", "club", "age", "team"}
		b.Periods = []score.Period{{Name: score.All}, {Name: score.Day}, {Name: score.Week}, {Name: score.Month}}
		for i := range 4 {
			b.Periods = append(b.Periods, score.Period{Name: fmt.Sprint("hour ", i), Cron: fmt.Sprint(i, " * * * *")})
		}
	})
}

// inManyRuns returns an item of each of n players, each in another hour.
func inManyRuns(board string, n int, start time.Time, club string) (items []score.BatchItem) {
	for i := range n {
		items = append(items, score.BatchItem{Board: board, Submission: score.Submission{
			Player: fmt.Sprint("p", i), Points: ptr[int64](1), OccurredAt: ptr(start.Add(time.Duration(i) * time.Hour)),
			Profile: &score.Profile{
				DisplayName: score.Text{Set: true, Value: ptr(fmt.Sprint("Player ", i))},
				Attributes:  map[string]*string{"sex": ptr("f"), "club": &club, "age": ptr("M40"), "team": ptr("A")},
			},
		}})
	}
	return items
}

// A thousand items with profiles pass, although each is in other hours than all
// others, and the players' copies follow in every open run: also in those that the
// batch does not credit, however many players and runs there are.
func TestAThousandProfilesInAThousandHours(t *testing.T) {
	s := newScores(t, 1)
	s.manyRuns(t, "b")
	start := time.Now().Add(-1100 * time.Hour).Truncate(time.Hour)
	add := func(items []score.BatchItem) {
		t.Helper()
		if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.check(t, "b"); got != nil {
			t.Fatalf("%d differences, such as %s", len(got), got[0])
		}
	}
	add(inManyRuns("b", 1000, start, "Han"))
	add(inManyRuns("b", 1000, start, "Rhein"))
	if n := s.count(t, "runs"); n < 4000 {
		t.Fatalf("%d runs", n)
	}
	few := inManyRuns("b", 20, start.Add(time.Hour), "Elbe") // in the hours of others
	add(few)
	if n := s.count(t, "standings WHERE cat2 = 'Elbe'"); n < 200 {
		t.Errorf("%d standings have the new club", n)
	}
	// By a change of the player, too; and closed runs keep their copies.
	club := score.PlayerChange{Profile: score.Profile{Attributes: map[string]*string{"club": ptr("Isar")}}}
	s.db.Owner().MustExec(`UPDATE boards SET grace = '0'`)
	s.db.Owner().MustExec(`UPDATE runs SET end_at = now() + interval '1 day' WHERE period = 'month'`)
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p5", nil, club); err != nil {
		t.Fatal(err)
	}
	var got string
	err := s.db.Owner().Get(&got, `SELECT string_agg(DISTINCT r.period || ' ' || s.cat2, ', ') FROM standings s JOIN runs r ON r.no = s.run
		WHERE s.player = 'p5' AND (r.end_at > now()) = (s.cat2 = 'Isar') AND r.period IN ('all', 'month', 'day')`)
	if err != nil || got != "all Isar, day Elbe, month Isar" {
		t.Errorf("got %s (%v)", got, err)
	}
}

// Players times open runs is a number of millions: it is not looked at one by one.
func TestFollowingReadsTheStandingsThatPlayersHave(t *testing.T) {
	s := newStepper(t)
	s.manyRuns(t, "b")
	b := s.no(t, "b")
	s.exec(t, `INSERT INTO players (board, id, seq, recorded_at, attributes) SELECT $1, 'p' || n, 1, now(), '{"club": "Han"}' FROM generate_series(1, 500) n`, b)
	s.exec(t, `INSERT INTO runs (board, period, start_at, end_at) SELECT $1, 'hour 1', now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour' FROM generate_series(1, 2000) n`, b)
	s.exec(t, `INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		SELECT r.no, 'p' || n, 0, 0, now(), false, 'ranked', 0, 0, now() FROM generate_series(1, 500) n, (SELECT max(no) AS no FROM runs) r`)
	s.exec(t, `SELECT internal.follow_players(array_agg(board), array_agg(id), now()) FROM players`)
	if n := s.count(t, "standings WHERE cat2 = 'Han'"); n != 500 {
		t.Errorf("%d standings follow", n)
	}
	s.exec(t, `SELECT pg_stat_force_next_flush()`)
	var probes int
	err := s.scores.db.Owner().Get(&probes, `SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'standings_pkey'`)
	if err != nil || probes > 20_000 {
		t.Errorf("standings were looked up %d times (%v)", probes, err)
	}
}
