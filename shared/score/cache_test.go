package score

import (
	"fmt"
	"testing"

	"plaudit/shared/fault"
)

func TestTheCacheKeepsTheLatestVersionOfFewBoards(t *testing.T) {
	var c cache
	c.keep(Board{ID: "b", Version: 2})
	c.keep(Board{ID: "b", Version: 1}) // a slow answer
	if b, ok := c.get("b"); !ok || b.Version != 2 {
		t.Errorf("version %d, %v", b.Version, ok)
	}
	for i := range 2 * maxCached {
		c.keep(Board{ID: fmt.Sprint("b", i), Version: 1})
	}
	if len(c.boards) != maxCached {
		t.Errorf("%d boards are cached", len(c.boards))
	}
	if _, ok := c.boards[fmt.Sprint("b", 2*maxCached-1)]; !ok {
		t.Error("the latest board is not cached")
	}
}

// A thousand boards with full catalogues would not fit in a function's memory.
func TestTheCacheKeepsFewReasons(t *testing.T) {
	full := map[string]int64{}
	for i := range maxReasons {
		full[fmt.Sprint(i)] = 1
	}
	var c cache
	held := func() (reasons int) {
		for _, b := range c.boards {
			reasons += len(b.Catalogue)
		}
		return reasons
	}
	for i := range 50 {
		c.keep(Board{ID: fmt.Sprint("b", i), Version: 1, Catalogue: full})
		c.keep(Board{ID: fmt.Sprint("b", i), Version: 2, Catalogue: full}) // replaces it
		c.keep(Board{ID: fmt.Sprint("small", i), Version: 1})
		if n := held(); n != c.reasons || n > maxCachedReasons {
			t.Fatalf("after %d boards, %d reasons are cached, and %d are counted", i+1, n, c.reasons)
		}
	}
	if n := held(); n < maxCachedReasons-2*maxReasons {
		t.Errorf("only %d reasons are cached", n)
	}
}

func TestAMissingBoardIsNotCached(t *testing.T) {
	m := newMemory()
	a := newAdder(m)
	if _, err := a.Add(t.Context(), owner, route, "b", result("p", 1)); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	m.boards["b"] = board("b", nil)
	if _, err := a.Add(t.Context(), owner, route, "b", result("p", 1)); err != nil {
		t.Error(err)
	}
}
