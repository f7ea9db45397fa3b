package scores_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// The ledger writes any number of items as one change: the standings are those
// after all of them, seq follows the items, a replayed item does not count again, and
// a refused one leaves nothing behind.
func TestLedgerWritesItemsAsOneChange(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "a", nil)
	s.board(t, "z", func(b *score.Board) { b.Combine, b.Order = score.Best, score.Asc })
	ledger := pgscores.New(s.db.Open("score_add"))
	item := func(board, player, key string, points int64) score.Item {
		digest := sha256.Sum256(fmt.Append(nil, board, player, points))
		return score.Item{
			ID: uuid.Must(uuid.NewV7()).String(), Board: board, Player: player, Key: key, Digest: digest[:], Kind: score.Result,
			Points: points, OccurredAt: time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC), Runs: []score.Run{{Name: score.All}},
		}
	}
	add := func(items ...score.Item) score.Outcome {
		t.Helper()
		out, err := ledger.Add(ctxOf(t), score.Addition{Versions: map[string]int64{"a": 1, "z": 1}, Items: items, Batch: uuid.NewString(), Actor: "user/o"})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := add(item("a", "p", "first", 5))

	out := add(item("z", "p", "", 7), item("a", "p", "k1", 1), item("a", "q", "", 2), item("a", "p", "first", 5), item("a", "p", "", 10), item("z", "p", "k1", 3))
	var got []string
	var recorded []time.Time
	for _, l := range out.Entries {
		var e struct {
			Seq, Score int64
			Recorded   time.Time
		}
		if err := s.db.Owner().Get(&e, `SELECT seq, scores[1] AS score, recorded_at AS recorded FROM entries WHERE id = $1`, l.ID); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(l.Board, " ", l.Player, " ", e.Seq, " ", l.Points, " ", e.Score, " ", l.Replayed))
		recorded = append(recorded, e.Recorded)
	}
	if out.Entries[3].Batch != first.Entries[0].Batch || out.Entries[4].Batch == first.Entries[0].Batch {
		t.Errorf("batches %+v, the first was %s", out.Entries, first.Entries[0].Batch)
	}
	want := []string{"z p 1 7 3 false", "a p 2 1 16 false", "a q 1 2 2 false", "a p 1 5 5 true", "a p 3 10 16 false", "z p 2 3 3 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if first, last := recorded[1], recorded[4]; !last.Equal(first.Add(time.Microsecond)) {
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
	// If a board is stale, only the board is returned.
	s.change(t, "z", func(b *score.Board) { b.Title = "new" })
	if out := add(item("a", "new", "", 1), item("z", "new", "", 1)); len(out.Stale) != 1 || out.Stale[0].Title != "new" || out.Entries != nil {
		t.Errorf("got %+v, want board z", out)
	}
}

// Requests with their players, keys and boards in opposite orders cause no
// deadlock.
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
	ledger := pgscores.New(db)
	together(func(i int) {
		for round := range 5 {
			var items []score.Item
			for n := range 20 {
				digest := sha256.Sum256(fmt.Append(nil, n))
				items = append(items, score.Item{
					ID: uuid.Must(uuid.NewV7()).String(), Board: []string{"a", "z"}[n%2], Player: fmt.Sprint("p", n/2), Key: fmt.Sprint("k", round, n%4, n),
					Digest: digest[:], Kind: score.Result, Points: 1, OccurredAt: time.Now(), Runs: []score.Run{{Name: score.All}},
				})
			}
			if i%2 == 0 {
				slices.Reverse(items)
			}
			if _, err := ledger.Add(ctxOf(t), score.Addition{Versions: map[string]int64{"a": 1, "z": 1}, Items: items, Batch: uuid.NewString(), Actor: "user/o"}); err != nil {
				t.Error(err)
			}
		}
	})
	if n := s.count(t, "entries"); n != 5*20 {
		t.Errorf("%d entries, want %d: each key once", n, 5*20)
	}
}

// counted returns an adder with one connection, and a function that counts the
// pages of tables and indexes that have been touched.
func (s *scores) counted(t *testing.T) (adder *score.Adder, pages func() int) {
	t.Helper()
	config := s.db.Config("score_add")
	config.MaxConns = 1
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &score.Adder{Ledger: pgscores.New(db), Now: time.Now}, func() (n int) {
		db.MustExec(`SELECT pg_stat_force_next_flush()`)
		db.MustExec(`SELECT 1`)
		err := s.db.Owner().Get(&n, `SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// A reversal does not read the player's history to subtract from it.
func TestReversalTouchesNoMoreAsTheHistoryGrows(t *testing.T) {
	for _, combine := range []score.Combine{score.Sum, score.Last} {
		t.Run(string(combine), func(t *testing.T) {
			s := newScores(t, 1)
			s.board(t, "b", func(b *score.Board) { b.Combine = combine })
			var pages func() int
			s.adder, pages = s.counted(t)
			start := time.Now().Add(-24 * time.Hour)
			var touched []int
			for n := range 6 {
				var items []score.BatchItem
				for i := range 1000 {
					items = append(items, score.BatchItem{Board: "b", Submission: score.Submission{
						Player: "p", Points: ptr(int64(1 + i%2)), OccurredAt: ptr(start.Add(time.Duration(1000*n+i) * time.Second)),
					}})
				}
				_, lines, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil)
				if err != nil {
					t.Fatal(err)
				}
				before := pages()
				for _, i := range []int{0, 500, 999} {
					if _, err := s.reverse(t, "b", lines[i].ID); err != nil {
						t.Fatal(err)
					}
				}
				touched = append(touched, pages()-before)
			}
			if first, now := touched[0], touched[5]; now > first*3/2 {
				t.Errorf("three reversals touched %d pages among 1,000 entries, and %d among 6,000: %v", first, now, touched)
			}
			if got := s.check(t, "b"); got != nil {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A batch probes indexes by whole keys, though its plans were made when the
// tables were empty and they have not been analysed since: it touches no more
// pages per item when the tables have grown.
func TestBatchTouchesNoMoreAsTablesGrow(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) {
		b.Periods = []score.Period{{Name: score.All}, {Name: score.Day}}
		b.Categories = []string{"club"}
		b.DailyCap = ptr[int64](1_000_000)
	})
	adder, pages := s.counted(t)
	const batches, lines = 12, 1000
	var touched []int
	var last []score.BatchEntry
	for n := range batches {
		var items []score.BatchItem
		for i := range lines {
			in := score.Submission{Player: fmt.Sprint("p", n, ".", i), Points: ptr[int64](1), Key: fmt.Sprint("k", n, ".", i)}
			switch {
			case i < 100 && n > 0: // repeated
				in.Player, in.Key = fmt.Sprint("p", n-1, ".", lines-1-i), fmt.Sprint("k", n-1, ".", lines-1-i)
			case i < 200 && n > 0:
				in = score.Submission{Reverses: last[i+100].ID, Note: ptr("wrong")}
			case i < 300:
				in.Profile = &score.Profile{Attributes: map[string]*string{"club": ptr("c")}}
			}
			items = append(items, score.BatchItem{Board: "b", Submission: in})
		}
		before := pages()
		var err error
		if _, last, err = adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); err != nil {
			t.Fatal(err)
		}
		touched = append(touched, (pages()-before)/lines)
	}
	if first, now := touched[1], touched[batches-1]; now > first*5/4 {
		t.Errorf("an item touched %d pages when the tables were small, and %d now: %v", first, now, touched)
	}
}

// A repeated item makes no run for the time at which it is repeated.
func TestARepeatedItemBeginsNoRun(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) {
		b.Periods, b.Grace = []score.Period{{Name: score.Day}}, score.Duration(72*time.Hour)
	})
	today := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Minute)
	first := score.BatchItem{Board: "b", Submission: score.Submission{Player: "p", Points: ptr[int64](1), Key: "k"}}
	s.adder.Now = func() time.Time { return today.AddDate(0, 0, -1) }
	if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{first}, nil); err != nil {
		t.Fatal(err)
	}
	s.adder.Now = func() time.Time { return today }
	second := score.BatchItem{Board: "b", Submission: score.Submission{Player: "p", Points: ptr[int64](1), OccurredAt: ptr(today.AddDate(0, 0, -1))}}
	_, lines, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{first, second}, nil)
	if err != nil || !lines[0].Replayed || lines[1].Replayed {
		t.Fatalf("%+v, %v", lines, err)
	}
	if n := s.count(t, "runs"); n != 1 {
		t.Errorf("%d runs, want that of the entries alone", n)
	}
}

// texting replaces the texts of every item before they reach its ledger, as the
// domain refuses some that the ledger must still store as they are.
type texting struct {
	score.Ledger
	text string
}

func (l texting) Add(ctx context.Context, a score.Addition) (score.Outcome, error) {
	for i := range a.Items {
		a.Items[i].Note = l.text
		if p := a.Items[i].Profile; p != nil && !p.ClearAttributes {
			a.Items[i].Profile = &score.Profile{DisplayName: score.Text{Set: true, Value: &l.text}, Attributes: map[string]*string{l.text: &l.text}}
		}
	}
	return l.Ledger.Add(ctx, a)
}

// The texts of an item are stored unchanged, whatever characters they contain.
func TestItemsArriveAsTheyAre(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	ledger := s.adder.Ledger
	for _, text := range []string{`"`, `\`, `\\"`, `,`, `(1,2)`, `{"a",NULL}`, `NULL`, ` x `, "a\n\t\rb", `'; --`, `$1`, `\x41`, "ä日本🏃", `""`, "a\u2028b"} {
		metadata, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		in := score.Submission{
			Player: "p", Points: ptr[int64](1), Metadata: string(metadata), Profile: &score.Profile{}, Rename: ptr(true),
		}
		s.adder.Ledger = texting{ledger, text}
		alone := s.add(t, "b", in)
		_, lines, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{{Board: "b", Submission: in}, {Board: "b", Submission: in}}, nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, id := range []string{alone.ID, lines[0].ID, lines[1].ID} {
			var got struct{ Note, Metadata string }
			if err := s.db.Owner().Get(&got, `SELECT note, metadata FROM entries WHERE id = $1`, id); err != nil {
				t.Fatal(err)
			}
			if got.Note != text || got.Metadata != string(metadata) {
				t.Errorf("%q arrived as %q with %s", text, got.Note, got.Metadata)
			}
		}
		var name, attribute string
		err = s.db.Owner().QueryRow(`SELECT display_name, attributes ->> $1 FROM players`, text).Scan(&name, &attribute)
		if err != nil || name != text || attribute != text {
			t.Errorf("%q arrived as the name %q and the attribute %q (%v)", text, name, attribute, err)
		}
		s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Profile: &score.Profile{ClearAttributes: true}})
	}
}

func BenchmarkLedgerOfAThousandItems(b *testing.B) {
	s := newScores(b, 1)
	s.board(b, "bench", nil)
	ledger := pgscores.New(s.db.Open("score_add"))
	digest := sha256.Sum256(nil)
	b.ResetTimer()
	for i := range b.N {
		items := make([]score.Item, 1000)
		for n := range items {
			items[n] = score.Item{
				ID: uuid.Must(uuid.NewV7()).String(), Board: "bench", Player: fmt.Sprint("p", n*7%800), Key: fmt.Sprint("k", i, ".", n),
				Digest: digest[:], Kind: score.Result, Points: 1, OccurredAt: time.Now(), Runs: []score.Run{{Name: score.All}},
			}
		}
		if _, err := ledger.Add(ctxOf(b), score.Addition{Versions: map[string]int64{"bench": 1}, Items: items, Batch: uuid.NewString(), Actor: "user/o"}); err != nil {
			b.Fatal(err)
		}
	}
}
