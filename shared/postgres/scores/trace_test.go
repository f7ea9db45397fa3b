package scores_test

import (
	"testing"

	"plaudit/shared/score"
	"plaudit/shared/trace"
)

// What no request asked for has a trace of its own.
func TestEveryMessageHasATrace(t *testing.T) {
	s := newScores(t, 1)
	ctx := t.Context() // without the trace of a request
	set := func(b *score.Board) { b.Title = "new" }
	if _, err := s.boards.Create(ctx, owner, "b", nil, set); err != nil {
		t.Fatal(err)
	}
	if _, err := s.boards.Change(ctx, owner, "b", nil, func(b *score.Board) { b.Title = "newer" }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.boards.ChangePlayer(ctx, owner, "b", "p", nil, score.PlayerChange{Status: ptr(score.Status("dnf"))}); err != nil {
		t.Fatal(err)
	}
	in := score.Submission{Player: "p", Points: ptr[int64](1), Profile: &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Kim")}}}
	added, err := s.adder.Add(ctx, owner, addRoute, "b", in)
	if err != nil {
		t.Fatal(err)
	}
	items := []score.BatchItem{{Board: "b", Submission: in}, {Board: "b", Submission: score.Submission{Reverses: added.ID, Note: ptr("wrong")}}}
	if _, _, err := s.adder.AddAll(ctx, owner, batchRoute, items, nil); err != nil {
		t.Fatal(err)
	}

	var rows []struct{ Type, Traceparent string }
	if err := s.db.Owner().Select(&rows, `SELECT type, traceparent FROM outbox ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, r := range rows {
		types[r.Type]++
		if r.Traceparent != trace.Parent(r.Traceparent) {
			t.Errorf("%s has the traceparent %q", r.Type, r.Traceparent)
		}
	}
	for _, want := range []string{"plaudit.board.created", "plaudit.board.updated", "plaudit.player.changed", "plaudit.entry.added", "plaudit.entry.reversed"} {
		if types[want] == 0 {
			t.Errorf("no %s was written: %v", want, types)
		}
	}
}
