package score

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"plaudit/shared/fault"
)

func ptr[T any](v T) *T { return &v }

var now = time.Date(2026, 4, 5, 9, 30, 0, 0, time.UTC)

func fieldsOf(err error) string {
	f, ok := fault.As(err)
	if !ok {
		return ""
	}
	var names []string
	for _, e := range f.Errors {
		names = append(names, e.Field)
	}
	return strings.Join(names, " ")
}

func TestSubmissionAlone(t *testing.T) {
	good := func() Submission { return Submission{Player: "p", Points: ptr[int64](1)} }
	for _, c := range []struct {
		name   string
		change func(*Submission)
		fields string
	}{
		{"the minimum", func(in *Submission) {}, ""},
		{"the longest player", func(in *Submission) { in.Player = "A" + strings.Repeat("~", 63) }, ""},
		{"a longer one", func(in *Submission) { in.Player = strings.Repeat("a", 65) }, "player"},
		{"no player", func(in *Submission) { in.Player = "" }, "player"},
		{"a player with a slash", func(in *Submission) { in.Player = "a/b" }, "player"},
		{"a player with a line break", func(in *Submission) { in.Player = "a\n" }, "player"},
		{"neither points nor reason", func(in *Submission) { in.Points = nil }, "points"},
		{"both", func(in *Submission) { in.Reason = ptr("full") }, "reason"},
		{"a reason", func(in *Submission) { in.Points, in.Reason = nil, ptr("full") }, ""},
		{"an empty reason", func(in *Submission) { in.Points, in.Reason = nil, ptr("") }, "reason"},
		{"the greatest points", func(in *Submission) { in.Points = ptr[int64](1<<53 - 1) }, ""},
		{"2^53", func(in *Submission) { in.Points = ptr[int64](1 << 53) }, "points"},
		{"-2^53", func(in *Submission) { in.Points = ptr[int64](-1 << 53) }, "points"},
		{"a tiebreak of 2^53", func(in *Submission) { in.Tiebreak = ptr[int64](1 << 53) }, "tiebreak"},
		{"an import", func(in *Submission) { in.Kind = ptr(Import) }, ""},
		{"a reversal", func(in *Submission) { in.Kind = ptr(Reversal) }, "kind"},
		{"another kind", func(in *Submission) { in.Kind = ptr(Kind("Result")) }, "kind"},
		{"an adjustment without a note", func(in *Submission) { in.Kind = ptr(Adjustment) }, "note"},
		{"an adjustment", func(in *Submission) { in.Kind, in.Note = ptr(Adjustment), ptr("why") }, ""},
		{"an adjustment by a reason", func(in *Submission) {
			in.Kind, in.Note, in.Points, in.Reason = ptr(Adjustment), ptr("why"), nil, ptr("full")
		}, "reason points"},
		{"the longest note", func(in *Submission) { in.Note = ptr(strings.Repeat("é", 1000)) }, ""},
		{"a longer one", func(in *Submission) { in.Note = ptr(strings.Repeat("é", 1001)) }, "note"},
		{"an empty note", func(in *Submission) { in.Note = ptr(" ") }, "note"},
		{"the first instant", func(in *Submission) { in.OccurredAt = ptr(earliest) }, ""},
		{"the instant before it", func(in *Submission) { in.OccurredAt = ptr(earliest.Add(-1)) }, "occurred_at"},
		{"5 minutes ahead", func(in *Submission) { in.OccurredAt = ptr(now.Add(5 * time.Minute)) }, ""},
		{"more than that", func(in *Submission) { in.OccurredAt = ptr(now.Add(5*time.Minute + 1)) }, "occurred_at"},
		{"the longest metadata", func(in *Submission) { in.Metadata = `{"a":"` + strings.Repeat("a", 4096-8) + `"}` }, ""},
		{"longer ones", func(in *Submission) { in.Metadata = `{"a":"` + strings.Repeat("a", 4096-7) + `"}` }, "metadata"},
		{"a profile", func(in *Submission) {
			in.Profile = &Profile{
				DisplayName: Text{true, ptr(strings.Repeat("김", 80))}, Country: Text{true, ptr("KR")}, User: Text{true, ptr("u-1")},
				Attributes: map[string]*string{strings.Repeat("é", 40): ptr(strings.Repeat("é", 80)), "gone": nil},
			}
		}, ""},
		{"a profile with every fault", func(in *Submission) {
			in.Profile = &Profile{
				DisplayName: Text{true, ptr(strings.Repeat("k", 81))}, Country: Text{true, ptr("zz")}, User: Text{true, ptr("u 1")},
				Attributes: map[string]*string{"a": ptr(strings.Repeat("é", 81)), "": ptr("x"), "b": ptr("")},
			}
		}, "profile.display_name profile.country profile.user profile.attributes. profile.attributes.a profile.attributes.b"},
		{"17 attributes", func(in *Submission) {
			in.Profile = &Profile{Attributes: map[string]*string{}}
			for _, r := range "abcdefghijklmnopq" {
				in.Profile.Attributes[string(r)] = nil
			}
		}, "profile.attributes"},
		{"faults found by the decoder come first", func(in *Submission) { in.Player = ""; in.Faults = fault.List{{Field: "late"}} }, "late player"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := good()
			c.change(&in)
			if got := fieldsOf(in.check(now)); got != c.fields {
				t.Errorf("got faults of %q, want %q", got, c.fields)
			}
		})
	}
}

func TestSubmissionOnItsBoard(t *testing.T) {
	free := NewBoard("free", "o")
	bounded := NewBoard("bounded", "o")
	bounded.Min, bounded.Max = -5, ptr[int64](5)
	fixed := NewBoard("fixed", "o")
	fixed.Catalogue = map[string]int64{"full": 42, "minus": -1}
	closed := NewBoard("closed", "o")
	closed.State = Closed
	archived := NewBoard("archived", "o")
	archived.State = Archived
	n := func(v int64) Submission { return Submission{Points: &v} }
	by := func(reason string, kind Kind) Submission { return Submission{Reason: &reason, Kind: &kind} }
	adjust := func(v int64) Submission { return Submission{Points: &v, Kind: ptr(Adjustment)} }
	for _, c := range []struct {
		name  string
		board Board
		in    Submission
		want  int64
		kind  fault.Kind // of the refusal
		field string
	}{
		{"free points", free, n(7), 7, "", ""},
		{"zero points", free, n(0), 0, "", ""},
		{"negative points need a negative min", free, n(-1), 0, fault.BadRequest, "points"},
		{"the minimum", bounded, n(-5), -5, "", ""},
		{"below the minimum", bounded, n(-6), 0, fault.BadRequest, "points"},
		{"the maximum", bounded, n(5), 5, "", ""},
		{"above the maximum", bounded, n(6), 0, fault.BadRequest, "points"},
		{"an adjustment is not bounded", bounded, adjust(100), 100, "", ""},
		{"a reason", fixed, by("full", Result), 42, "", ""},
		{"a reason of an import", fixed, by("full", Import), 42, "", ""},
		{"a reason below min", fixed, by("minus", Result), -1, "", ""},
		{"an unknown reason", fixed, by("half", Result), 0, fault.BadRequest, "reason"},
		{"points beside a catalogue", fixed, n(42), 0, fault.BadRequest, "points"},
		{"an adjustment beside a catalogue", fixed, adjust(-42), -42, "", ""},
		{"a reason without a catalogue", free, by("full", Result), 0, fault.BadRequest, "reason"},
		{"a closed board", closed, n(1), 0, fault.BoardClosed, ""},
		{"an adjustment there", closed, adjust(1), 0, fault.BoardClosed, ""},
		{"an archived board", archived, n(1), 0, fault.BoardClosed, ""},
		{"invalid input comes before a closed board", closed, n(-1), 0, fault.BadRequest, "points"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.checkAgainst(c.board)
			f, _ := fault.As(err)
			if c.kind == "" && (err != nil || got != c.want) || c.kind != "" && (f == nil || f.Kind != c.kind || f.Field != c.field) {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestDigestDistinguishesRequests(t *testing.T) {
	base := func() Submission {
		return Submission{Player: "p", Points: ptr[int64](1), OccurredAt: &now, Metadata: `{"a":1,"b":"x"}`, Key: "k"}
	}
	digest := func(in Submission, actor, route string) []byte {
		d, err := in.digest(actor, route)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := digest(base(), "user/o", "POST /x")
	seoul := now.In(time.FixedZone("", 9*3600))
	for name, change := range map[string]func(*Submission){
		"the key itself":              func(in *Submission) { in.Key = "other" },
		"another order in metadata":   func(in *Submission) { in.Metadata = `{"b":"x","a":1}` },
		"an escape in metadata":       func(in *Submission) { in.Metadata = `{"a":1,"b":"\u0078"}` },
		"the same instant, elsewhere": func(in *Submission) { in.OccurredAt = &seoul },
	} {
		in := base()
		change(&in)
		if !bytes.Equal(digest(in, "user/o", "POST /x"), first) {
			t.Errorf("%s makes another request", name)
		}
	}
	seen := map[string]string{string(first): "the first"}
	for name, change := range map[string]func(*Submission){
		"another player":        func(in *Submission) { in.Player = "q" },
		"other points":          func(in *Submission) { in.Points = ptr[int64](2) },
		"a reason":              func(in *Submission) { in.Points, in.Reason = nil, ptr("1") },
		"the default kind":      func(in *Submission) { in.Kind = ptr(Result) },
		"a note":                func(in *Submission) { in.Note = ptr("n") },
		"the default tiebreak":  func(in *Submission) { in.Tiebreak = ptr[int64](0) },
		"no time":               func(in *Submission) { in.OccurredAt = nil },
		"another time":          func(in *Submission) { in.OccurredAt = ptr(now.Add(time.Microsecond)) },
		"late":                  func(in *Submission) { in.Late = ptr(false) },
		"other metadata":        func(in *Submission) { in.Metadata = `{"a":1.0,"b":"x"}` },
		"large metadata":        func(in *Submission) { in.Metadata = `{"a":9007199254740993}` },
		"metadata, one more":    func(in *Submission) { in.Metadata = `{"a":9007199254740992}` },
		"no metadata":           func(in *Submission) { in.Metadata = "" },
		"a profile":             func(in *Submission) { in.Profile = &Profile{} },
		"a name":                func(in *Submission) { in.Profile = &Profile{DisplayName: Text{true, ptr("n")}} },
		"a name cleared":        func(in *Submission) { in.Profile = &Profile{DisplayName: Text{true, nil}} },
		"attributes cleared":    func(in *Submission) { in.Profile = &Profile{ClearAttributes: true} },
		"one attribute cleared": func(in *Submission) { in.Profile = &Profile{Attributes: map[string]*string{"a": nil}} },
		"an attribute":          func(in *Submission) { in.Profile = &Profile{Attributes: map[string]*string{"a": ptr("b")}} },
	} {
		in := base()
		change(&in)
		d := string(digest(in, "user/o", "POST /x"))
		if other, ok := seen[d]; ok {
			t.Errorf("%s is the same request as %s", name, other)
		}
		seen[d] = name
	}
	if bytes.Equal(digest(base(), "user/p", "POST /x"), first) || bytes.Equal(digest(base(), "user/o", "POST /y"), first) {
		t.Error("the digest ignores the actor or the route")
	}
}
