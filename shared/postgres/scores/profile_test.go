package scores_test

import (
	"fmt"
	"strings"
	"testing"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

func TestProfileOfAPlayerIsMerged(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	text := func(v string) score.Text { return score.Text{Set: true, Value: &v} }
	attrs := func(pairs ...string) map[string]*string {
		m := map[string]*string{}
		for _, p := range pairs {
			name, value, ok := strings.Cut(p, "=")
			m[name] = nil
			if ok {
				m[name] = &value
			}
		}
		return m
	}
	for i, c := range []struct {
		profile *score.Profile
		want    string // name, country, user, attributes
	}{
		{nil, `<nil> <nil>  {}`},
		{&score.Profile{DisplayName: text("Kim"), Country: text("KR"), Attributes: attrs("club=Han", "sex=f")}, `Kim KR  {"sex": "f", "club": "Han"}`},
		{&score.Profile{User: text("u1"), Attributes: attrs("sex", "age_group=F40")}, `Kim KR u1 {"club": "Han", "age_group": "F40"}`},
		// Name and country of a linked player are those of the account.
		{&score.Profile{DisplayName: text("Lee"), Country: text("JP")}, `Kim KR u1 {"club": "Han", "age_group": "F40"}`},
		{&score.Profile{User: score.Text{Set: true}, Country: text("JP")}, `Kim KR  {"club": "Han", "age_group": "F40"}`},
		{&score.Profile{Country: score.Text{Set: true}}, `Kim <nil>  {"club": "Han", "age_group": "F40"}`},
		{nil, `Kim <nil>  {"club": "Han", "age_group": "F40"}`},
		{&score.Profile{ClearAttributes: true}, `Kim <nil>  {}`},
	} {
		s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Profile: c.profile})
		s.accepted()
		var row struct {
			Name, Country    *string
			User, Attributes string
		}
		err := s.db.Owner().Get(&row, `SELECT display_name AS name, country, coalesce(user_id, '') AS user, attributes::text FROM players`)
		got := fmt.Sprint(deref(row.Name), " ", deref(row.Country), " ", row.User, " ", row.Attributes)
		if err != nil || got != c.want {
			t.Errorf("after %d: got %s (%v), want %s", i, got, err, c.want)
		}
	}
	many := map[string]*string{}
	for i := range 16 {
		many[fmt.Sprint("a", i)] = ptr("x")
	}
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Profile: &score.Profile{Attributes: many}})
	before := s.snapshot(t)
	_, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", score.Submission{Player: "p", Points: ptr[int64](1), Profile: &score.Profile{Attributes: attrs("one=more")}})
	if f, ok := fault.As(err); !ok || f.Kind != fault.BadRequest || f.Field != "profile.attributes" || s.snapshot(t) != before {
		t.Errorf("a 17th attribute: %v", err)
	}
}

func deref(s *string) string {
	if s == nil {
		return "<nil>"
	}
	return *s
}
