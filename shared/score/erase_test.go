package score

import (
	"errors"
	"slices"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

func TestErasureIsPossibleInEveryState(t *testing.T) {
	for _, state := range []State{Draft, Open, Closed, Archived} {
		m := newMemory(board("b", func(b *Board) { b.State = state }))
		name := "Kim"
		m.players[[2]string{"b", "p"}] = Player{Board: "b", ID: "p", DisplayName: &name, Status: "dnf"}
		s := &Boards{Registry: m}
		for range 2 {
			if err := s.ErasePlayer(t.Context(), owner, "b", "p"); err != nil {
				t.Errorf("%s: %v", state, err)
			}
		}
		if p := m.players[[2]string{"b", "p"}]; p.DisplayName != nil || p.Status != "dnf" {
			t.Errorf("%s: the player is %s", state, jsonOf(p))
		}
		for _, missing := range [][2]string{{"b", "q"}, {"b", "-"}, {"b", ""}, {"none", "p"}, {"B", "p"}} {
			if err := s.ErasePlayer(t.Context(), owner, missing[0], missing[1]); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s, %v: %v", state, missing, err)
			}
		}
	}
}

func TestErasureGoesOnInSteps(t *testing.T) {
	slow := &fault.Error{Kind: fault.Timeout, Detail: "Nothing was written."}
	broken := errors.New("broken")
	steps := func(outcomes ...any) func(int) (ErasureStep, error) {
		return func(n int) (ErasureStep, error) {
			if n > len(outcomes) {
				return ErasureStep{}, nil
			}
			if err, ok := outcomes[n-1].(error); ok {
				return ErasureStep{}, err
			}
			return ErasureStep{More: true, After: outcomes[n-1].(string)}, nil
		}
	}
	for _, c := range []struct {
		name     string
		patience bool // the request has some
		erase    func(int) (ErasureStep, error)
		want     string
		steps    []string
	}{
		{"one step", true, nil, "", []string{""}},
		{"several steps", true, steps("a", "", "c"), "", []string{"", "a", "", "c"}},
		{"no more time", false, steps("a", "b"), "unfinished", []string{""}},
		{"no more time after the last step", false, nil, "", []string{""}},
		{"a first step that takes too long", true, steps(slow), "timeout", []string{""}},
		{"a later step that takes too long", true, steps("a", slow), "unfinished", []string{"", "a"}},
		{"a later step after one without a place", true, steps("", slow), "unfinished", []string{"", ""}},
		{"a later step that fails", true, steps("a", broken), "broken", []string{"", "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", nil))
			m.players[[2]string{"b", "p"}] = Player{Board: "b", ID: "p"}
			m.erase = c.erase
			s := &Boards{Registry: m}
			if !c.patience {
				s.Patience = -1
			}
			err := s.ErasePlayer(t.Context(), owner, "b", "p")
			if got := kindAndFields(err); got != c.want || !slices.Equal(m.steps, c.steps) {
				t.Errorf("got %q after the steps %q, want %q after %q", got, m.steps, c.want, c.steps)
			}
			if f, ok := fault.As(err); c.want == "unfinished" && (!ok || f.RetryAfter == 0) {
				t.Errorf("%v has no time to wait", err)
			}
		})
	}
}

// Rights are those of the board as it is at each step.
func TestErasureFollowsTheBoard(t *testing.T) {
	m := newMemory(board("b", nil))
	m.players[[2]string{"b", "p"}] = Player{Board: "b", ID: "p"}
	edits := 0
	m.before = func() {
		if edits++; edits == 1 {
			m.edit("b", func(b *Board) { b.Title = "New" })
		}
	}
	s := &Boards{Registry: m}
	if err := s.ErasePlayer(t.Context(), owner, "b", "p"); err != nil || len(m.steps) != 1 {
		t.Errorf("after a change of the board: %v, %d steps", err, len(m.steps))
	}
	edits = 0
	m.before = func() {
		if edits++; edits == 1 {
			m.edit("b", func(b *Board) { b.Owners = []string{"other"} })
		}
	}
	if err := s.ErasePlayer(t.Context(), owner, "b", "p"); !fault.Is(err, fault.Forbidden) || len(m.steps) != 1 {
		t.Errorf("by one who no longer owns the board: %v, %d steps", err, len(m.steps))
	}
	m.before = func() { m.edit("b", func(b *Board) { b.Title += "." }) }
	if err := s.ErasePlayer(t.Context(), person("a", access.Admin), "b", "p"); !fault.Is(err, fault.Busy) || len(m.steps) != 1 {
		t.Errorf("of a board that keeps changing: %v, %d steps", err, len(m.steps))
	}
}
