package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestListKeepsTheFirstFaultOfAField(t *testing.T) {
	for _, c := range []struct {
		name, noted, kept string // the fields, in order
	}{
		{"different fields in their order", "b a c", "b a c"},
		{"the same field again", "a a b a", "a b"},
		{"a member of a field with a fault", "profile profile.country", "profile"},
		{"an item of a list with a fault", "entries entries[3] entries[3].reason", "entries"},
		{"a member of an item with a fault", "entries[1] entries[1].reason entries[10].reason", "entries[1] entries[10].reason"},
		{"a field before one inside it stays", "a.b a", "a.b a"},
		{"a longer name is another field", "note notes note.x notes.x", "note notes"},
		{"an item of a map of lists", "a.b a.b[0].c a.c", "a.b a.c"},
		{"the whole body contains no field by its name", "body name", "body name"},
		{"a field without a name", " a", " a"},
	} {
		var l List
		for i, field := range strings.Split(c.noted, " ") {
			l.Add(field, "fault %d", i)
		}
		err, ok := As(l.Err())
		if !ok {
			t.Errorf("%s: %v is not a fault", c.name, l.Err())
			continue
		}
		var kept []string
		for _, f := range err.Errors {
			kept = append(kept, f.Field)
		}
		if strings.Join(kept, " ") != c.kept {
			t.Errorf("%s: kept %q, want %q", c.name, kept, c.kept)
		}
		if err.Kind != BadRequest || err.Field != kept[0] || err.Detail != "fault 0" || err.Errors[0] != (FieldFault{kept[0], "fault 0"}) {
			t.Errorf("%s: the first fault is not the error's own: %+v", c.name, err)
		}
		if len(l) != len(strings.Split(c.noted, " ")) {
			t.Errorf("%s: Err changed the list to %v", c.name, l)
		}
	}
}

// A list of a body that is wrong everywhere stays small, and loses no fault that an
// answer would show.
func TestListKeepsNoMoreThanAnAnswerShows(t *testing.T) {
	const n = 100_000
	for name, c := range map[string]struct {
		field func(i int) string
		kept  int
		more  bool
	}{
		"100 fields, again and again": {func(i int) string { return fmt.Sprint("f", i%100) }, 100, false},
		"101 fields":                  {func(i int) string { return fmt.Sprint("f", i%101) }, 100, true},
		"a field each":                {func(i int) string { return fmt.Sprint("f", i) }, 100, true},
		"nine after many of one":      {func(i int) string { return fmt.Sprint("f", max(0, i-(n-10))) }, 10, false},
		"nine after many inside one": {func(i int) string {
			switch {
			case i == 0:
				return "entries"
			case i < n-9:
				return fmt.Sprintf("entries[%d].points", i)
			}
			return fmt.Sprint("f", i)
		}, 10, false},
	} {
		var l List
		longest := 0
		for i := range n {
			l.Add(c.field(i), "is wrong")
			longest = max(longest, len(l))
		}
		err, _ := As(l.Err())
		if longest > 200 || len(err.Errors) != c.kept || err.More != c.more || err.Errors[0].Field != c.field(0) {
			t.Errorf("%s: up to %d kept, then %d, more %t", name, longest, len(err.Errors), err.More)
		}
	}
}

// Looking up each beginning of a long name would read it as often as it has dots,
// which would take hours.
func TestLongNamesAreLookedUpAtOnce(t *testing.T) {
	var l List
	for i := range 20 {
		l.Add(fmt.Sprint("field", i), "is wrong")
	}
	dots := strings.Repeat(".", 1<<24)
	l.Add(dots, "is wrong")
	l.Add(dots+"x", "is wrong") // after the dots comes no separator
	l.Add(dots+".x", "is inside the dots")
	l.Add("field3."+dots, "is inside another")
	err, _ := As(l.Err())
	if n := len(err.Errors); n != 22 {
		t.Errorf("kept %d faults, want 22", n)
	}
}

func TestEmptyListIsNoError(t *testing.T) {
	if err := (List{}).Err(); err != nil {
		t.Errorf("%v", err)
	}
	if err := List(nil).Err(); err != nil {
		t.Errorf("%v", err)
	}
}

func TestAsAndIsFindAWrappedFault(t *testing.T) {
	f := New(NotFound, "There is no board %q.", "x")
	for name, err := range map[string]error{
		"the fault":          f,
		"wrapped":            fmt.Errorf("read: %w", f),
		"wrapped twice":      fmt.Errorf("a: %w", fmt.Errorf("b: %w", f)),
		"joined":             errors.Join(errors.New("other"), f),
		"a cause of its own": &Error{Kind: NotFound, Cause: New(Busy, "")},
	} {
		if e, ok := As(err); !ok || e.Kind != NotFound {
			t.Errorf("%s: As found %v", name, e)
		}
		if !Is(err, NotFound) || Is(err, Busy) {
			t.Errorf("%s: Is(NotFound) %t, Is(Busy) %t", name, Is(err, NotFound), Is(err, Busy))
		}
	}
	for name, err := range map[string]error{"nil": nil, "another error": errors.New("not-found"), "a fault's text": errors.New(f.Error())} {
		if e, ok := As(err); ok || e != nil || Is(err, NotFound) || Is(err, "") {
			t.Errorf("%s: As found %v", name, e)
		}
	}
}

func TestErrorTextNamesAllThatTheLogNeeds(t *testing.T) {
	cause := errors.New("connection refused")
	for want, err := range map[string]*Error{
		"forbidden: Not yours.":                         New(Forbidden, "Not yours."),
		"bad-request: must be 3 (limit)":                Field(BadRequest, "limit", "must be %d", 3),
		"busy: : connection refused":                    {Kind: Busy, Cause: cause},
		"busy: Wait. (cursor): connection refused":      {Kind: Busy, Detail: "Wait.", Field: "cursor", Cause: cause},
		"not-found: 100% of the detail, not a %!d verb": New(NotFound, "%s", "100% of the detail, not a %!d verb"),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := (&Error{Kind: Busy, Cause: cause}); !errors.Is(err, cause) {
		t.Error("the cause is not found through Unwrap")
	}
	if err := New(Busy, "x"); errors.Unwrap(err) != nil {
		t.Errorf("unwraps to %v without a cause", errors.Unwrap(err))
	}
}
