package scores_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plaudit/shared/score"
)

// ledgerOf describes a board's ledger, but for what may differ between one item
// alone and many: ids, batches, times of recording, and the scores that were left.
const ledgerOf = `
	SELECT coalesce(json_agg(json_build_array(e.player, e.seq, e.kind, e.points, e.tiebreak, e.note, e.actor, e.occurred_at, e.metadata,
		(SELECT o.player || o.seq FROM entries o WHERE o.id = e.reverses),
		(SELECT json_agg(r.period || r.start_at ORDER BY c.n) FROM unnest(e.runs) WITH ORDINALITY AS c (no, n) JOIN runs r ON r.no = c.no)) ORDER BY e.player, e.seq), '[]')::text
	FROM entries e WHERE e.board = (SELECT no FROM boards WHERE id = $1)`

// tablesOf describes its standings and players.
const tablesOf = `
	SELECT concat(
		(SELECT json_agg(json_build_array(r.period, r.start_at, s.player, s.score, s.tiebreak, s.reached_at, s.nonzero, s.adj_score, s.adj_tiebreak, s.result_at, s.status, s.cat1, s.cat2, s.key_score, s.key_tiebreak, s.key_reached) ORDER BY r.period, r.start_at, s.player)
			FROM standings s JOIN runs r ON r.no = s.run WHERE r.board = b.no),
		(SELECT json_agg(json_build_array(p.id, p.seq, p.status, p.display_name, p.attributes) ORDER BY p.id) FROM players p WHERE p.board = b.no),
		(SELECT json_agg(json_build_array(k.key, e.player, e.seq) ORDER BY k.key) FROM entry_keys k JOIN entries e ON e.id = k.entry WHERE k.board = b.no))
	FROM boards b WHERE b.id = $1`

// leftOf counts the entries of a board's batches whose scores are not those that
// the tables have: a batch is one change, and leaves the scores after all of it.
const leftOf = `
	SELECT count(*)
	FROM entries e
	CROSS JOIN unnest(e.runs, e.scores) AS c (run, score)
	LEFT JOIN standings s ON s.run = c.run AND s.player = e.player
	WHERE e.batch IS NOT NULL AND e.board = (SELECT no FROM boards WHERE id = $1) AND s.score IS DISTINCT FROM c.score`

// The same items, each in a request of its own or all in one, make the same ledger
// and the same standings.
func TestOneItemAndManyAgree(t *testing.T) {
	s := newScores(t, 1)
	stepper{s, s.db.Owner()}.clock(t, noon)
	s.adder.Now = func() time.Time { return noon }
	boards := 0
	players := []string{"p", "q", "r"}
	done := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		boards++
		one, many := fmt.Sprint("one-", boards), fmt.Sprint("many-", boards)
		combine := rapid.SampledFrom([]score.Combine{score.Sum, score.Best, score.Last}).Draw(rt, "combine")
		order := rapid.SampledFrom([]score.Order{score.Desc, score.Asc}).Draw(rt, "order")
		ties := rapid.SampledFrom([]score.Ties{score.First, score.Shared}).Draw(rt, "ties")
		periods := []score.Period{{Name: score.All}, {Name: score.Day}, {Name: "noon", Cron: "0 12 * * *"}, {Name: "season", Start: noon.AddDate(0, 0, -2), End: noon.AddDate(0, 0, -1)}}
		first := rapid.IntRange(0, 3).Draw(rt, "first period")
		last := rapid.IntRange(first, 3).Draw(rt, "last period")
		grace := rapid.SampledFrom([]time.Duration{0, 30 * time.Hour, 366 * 24 * time.Hour}).Draw(rt, "grace")
		capped := combine == score.Sum && rapid.Bool().Draw(rt, "capped")
		for _, id := range []string{one, many} {
			s.board(t, id, func(b *score.Board) {
				b.Combine, b.Order, b.Ties, b.Min = combine, order, ties, -20
				b.Periods, b.Categories, b.Grace = periods[first:last+1], []string{"sex", "club"}, score.Duration(grace)
				if capped {
					b.DailyCap = ptr[int64](12)
				}
			})
		}

		// Every entry has a time of its own, so that their order is fixed.
		n := 0
		entry := func() score.Submission {
			n++
			in := score.Submission{
				Player:     rapid.SampledFrom(players).Draw(rt, "player"),
				Points:     ptr(rapid.Int64Range(-3, 9).Draw(rt, "points")),
				Tiebreak:   ptr(rapid.Int64Range(-1, 1).Draw(rt, "tiebreak")),
				OccurredAt: ptr(noon.Add(-time.Duration(rapid.IntRange(0, 72).Draw(rt, "hours")) * time.Hour).Add(-time.Duration(n) * time.Second)),
				Late:       ptr(rapid.IntRange(0, 3).Draw(rt, "late") > 0),
				Metadata:   fmt.Sprintf(`{"n":%d}`, n),
			}
			if kind := rapid.SampledFrom([]score.Kind{score.Result, score.Result, score.Adjustment, score.Import}).Draw(rt, "kind"); kind != score.Result {
				in.Kind, in.Note = &kind, ptr("why")
			}
			if rapid.Bool().Draw(rt, "keyed") {
				in.Key = fmt.Sprint("k", n)
			}
			switch rapid.IntRange(0, 3).Draw(rt, "profile") {
			case 0:
				in.Profile = &score.Profile{Attributes: map[string]*string{"sex": rapid.SampledFrom([]*string{ptr("f"), ptr("m"), nil}).Draw(rt, "sex")}}
			case 1:
				in.Profile, in.Rename = &score.Profile{DisplayName: score.Text{Set: true, Value: ptr(fmt.Sprint("name ", n))}}, ptr(true)
			}
			return in
		}
		// add adds an item to a board, as the i-th of its request.
		add := func(board string, i int, in score.Submission) (score.Added, error) {
			s.adder.Now = func() time.Time { return noon.Add(time.Duration(i) * time.Microsecond) }
			return s.adder.Add(ctxOf(t), owner, batchRoute, board, in)
		}

		// Both boards have the same past.
		type pair struct {
			in        score.Submission
			one, many string
		}
		var past []pair
		for range rapid.IntRange(0, 8).Draw(rt, "past") {
			in := entry()
			a, err := add(one, 0, in)
			b, other := add(many, 0, in)
			if (err == nil) != (other == nil) {
				rt.Fatalf("the same entry on two boards: %v and %v", err, other)
			}
			if err == nil {
				past = append(past, pair{in, a.ID, b.ID})
			}
		}
		if len(past) > 0 && rapid.Bool().Draw(rt, "status") {
			status := rapid.SampledFrom([]score.Status{"dnf", "hidden", "disqualified"}).Draw(rt, "which")
			for _, id := range []string{one, many} {
				c := score.PlayerChange{Status: &status, Note: score.Text{Set: true, Value: ptr("why")}}
				if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, id, past[0].in.Player, nil, c); err != nil {
					rt.Fatal(err)
				}
			}
		}

		// What one by one refuses is left out of the batch.
		var items []score.BatchItem
		keys := map[string]bool{}
		for range rapid.IntRange(1, 14).Draw(rt, "items") {
			in, there := entry(), ""
			switch choice := rapid.IntRange(0, 5).Draw(rt, "choice"); {
			case choice == 0 && len(past) > 0:
				p := rapid.SampledFrom(past).Draw(rt, "reversed")
				in, there = score.Submission{Reverses: p.one, Note: ptr("wrong"), Late: in.Late, Key: in.Key}, p.many
			case choice == 1 && len(past) > 0:
				if p := rapid.SampledFrom(past).Draw(rt, "repeated"); p.in.Key != "" && !keys[p.in.Key] {
					in = p.in
				}
			}
			keys[in.Key] = true
			// A reversal's key protects another entry on each board, but its digest
			// holds the entry: nothing else differs.
			a, err := add(one, len(items), in)
			if err != nil {
				done[fmt.Sprintf("refused %T", err)]++
				continue
			}
			done[string(a.Kind)]++
			if a.Replayed {
				done["replayed"]++
			}
			if there != "" {
				in.Reverses = there
			}
			items = append(items, score.BatchItem{Board: many, Submission: in})
		}
		if items == nil {
			return
		}
		s.adder.Now = func() time.Time { return noon }
		if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); err != nil {
			rt.Fatalf("what was accepted one by one is refused at once: %v", err)
		}
		for what, query := range map[string]string{"ledger": ledgerOf, "tables": tablesOf} {
			var a, b string
			if err := s.db.Owner().Get(&a, query, one); err != nil {
				rt.Fatal(err)
			}
			if err := s.db.Owner().Get(&b, query, many); err != nil {
				rt.Fatal(err)
			}
			if a != b {
				rt.Errorf("%s one by one:\n%s\nand at once:\n%s", what, a, b)
			}
		}
		var wrong int
		if err := s.db.Owner().Get(&wrong, leftOf, many); err != nil || wrong > 0 {
			rt.Errorf("%d scores of the batch are not those after it (%v)", wrong, err)
		}
		for _, id := range []string{one, many} {
			if got := s.check(t, id); got != nil {
				rt.Errorf("%s differs from its ledger: %q", id, got)
			}
		}
	})
	t.Logf("items: %v", done)
	for _, kind := range []string{"result", "adjustment", "import", "reversal", "replayed"} {
		if done[kind] == 0 && !t.Failed() {
			t.Errorf("no %s was tried", kind)
		}
	}
}
