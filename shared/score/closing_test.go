package score_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// runs are due runs in memory.
type runs struct {
	due     []score.DueRun
	undated int              // of drafts that were opened
	busy    map[int64]int    // how often the board is
	broken  map[int64]error  // they cannot be announced
	slow    map[int64]func() // what happens meanwhile
	calls   []int64
	down    error
}

func (r *runs) DueRuns(_ context.Context, after score.DueRun, limit int) (page []score.DueRun, _ error) {
	if r.down != nil {
		return nil, r.down
	}
	slices.SortFunc(r.due, func(a, b score.DueRun) int {
		if c := a.ClosedAt.Compare(b.ClosedAt); c != 0 {
			return c
		}
		return int(a.No - b.No)
	})
	for _, d := range r.due {
		if later := d.ClosedAt.Compare(after.ClosedAt); len(page) < limit && (later > 0 || later == 0 && d.No > after.No) {
			page = append(page, d)
		}
	}
	return page, nil
}

func (r *runs) Announce(_ context.Context, no int64) (score.Announcement, error) {
	r.calls = append(r.calls, no)
	if f := r.slow[no]; f != nil {
		f()
	}
	if err := r.broken[no]; err != nil {
		return "", err
	}
	if r.busy[no] > 0 {
		r.busy[no]--
		return score.BoardBusy, nil
	}
	i := slices.IndexFunc(r.due, func(d score.DueRun) bool { return d.No == no })
	if i < 0 {
		return score.AlreadyAnnounced, nil
	}
	r.due = slices.Delete(r.due, i, i+1)
	return score.Announced, nil
}

func (r *runs) DateRuns(_ context.Context, limit int) (bool, error) {
	n := min(limit, r.undated)
	for range n {
		r.undated--
		r.due = append(r.due, score.DueRun{No: int64(100_000 - r.undated), ClosedAt: time.Unix(5, 0)})
	}
	return n > 0, nil
}

func TestCloser(t *testing.T) {
	t.Parallel()
	due := func(n int, age time.Duration) (all []score.DueRun) {
		for i := range n {
			all = append(all, score.DueRun{No: int64(n - i), ClosedAt: time.Unix(int64(i/3), 0), Age: age})
		}
		return all
	}
	broken := errors.New("broken")
	away := &fault.Error{Kind: fault.DatabaseUnavailable, Detail: "away"}
	for _, c := range []struct {
		rule   string
		runs   runs
		counts map[string]int
		calls  int
		err    error
	}{
		{"nothing is due", runs{}, map[string]int{}, 0, nil},
		{"all of several pages are announced", runs{due: due(250, time.Minute)}, map[string]int{"Closed": 250}, 250, nil},
		{"late ones are counted", runs{due: due(3, 6*time.Minute)}, map[string]int{"Closed": 3, "Late": 3}, 3, nil},
		{"those whose board is busy come again", runs{due: due(4, 0), busy: map[int64]int{1: 2, 3: 1}}, map[string]int{"Closed": 4}, 7, nil},
		{"a broken one is tried once, and fails the call", runs{due: due(4, 0), busy: map[int64]int{1: 2}, broken: map[int64]error{3: broken}},
			map[string]int{"Closed": 3, "Failed": 1}, 6, broken},
		{"opened drafts are dated in steps", runs{due: due(2, 0), undated: 2500}, map[string]int{"Closed": 2502}, 2502, nil},
		{"nothing more is tried when the database is away", runs{due: due(9, 0), broken: map[int64]error{7: away}}, map[string]int{}, 1, away},
		{"the database is away at once", runs{due: due(9, 0), down: away}, map[string]int{}, 0, away},
	} {
		counts := map[string]int{}
		closer := score.Closer{Closings: &c.runs, Pause: time.Microsecond, Count: func(_ context.Context, name string, n int) { counts[name] += n }}
		err := closer.Run(t.Context())
		if !errors.Is(err, c.err) || !reflect.DeepEqual(counts, c.counts) || len(c.runs.calls) != c.calls {
			t.Errorf("%s: %v, counted %v in %d calls, want %v, %v in %d", c.rule, err, counts, len(c.runs.calls), c.err, c.counts, c.calls)
		}
	}
}

// A hundred thousand runs of an opened draft do not hold up a run that closes meanwhile.
func TestRunsOfADraftDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	all := &runs{undated: 100_000}
	ctx, cancel := context.WithCancel(t.Context())
	all.slow = map[int64]func(){1500: func() {
		all.due = append(all.due, score.DueRun{No: 7, ClosedAt: time.Unix(9, 0)})
	}, 7: cancel}
	closer := score.Closer{Closings: all, Count: func(context.Context, string, int) {}}
	if err := closer.Run(ctx); err != nil || len(all.calls) > 3000 {
		t.Errorf("%v; the run came after %d others", err, len(all.calls))
	}
}

// A call begins nothing more when its time is over, and leaves the rest.
func TestCloserKeepsItsReserve(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{0, time.Hour} {
		all := &runs{undated: 5, busy: map[int64]int{1: 1}}
		for i := range 3 {
			all.due = append(all.due, score.DueRun{No: int64(i + 1)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), left+time.Minute)
		defer cancel()
		closer := score.Closer{Closings: all, Reserve: 30 * time.Minute, Pause: time.Microsecond, Count: func(context.Context, string, int) {}}
		err := closer.Run(ctx)
		if want := map[bool]int{true: 0, false: 9}[left == 0]; err != nil || len(all.calls) != want {
			t.Errorf("with %s left: %v, %d calls, want %d", left, err, len(all.calls), want)
		}
	}
}
