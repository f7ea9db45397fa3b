package score

import (
	"context"
	"fmt"
	"testing"

	"plaudit/shared/access"
)

// recorder implements Tables with endless lists and records each request.
type recorder struct {
	Tables
	log []string
}

func (a *recorder) note(what string, v View, limit int) {
	a.log = append(a.log, fmt.Sprintf("%s %+v %d", what, v, limit))
}

func (a *recorder) Boards(_ context.Context, v View, named, _ string, _ *BoardPlace, limit int) ([]PlacedBoard, error) {
	a.note("boards"+named, v, limit)
	return make([]PlacedBoard, limit), nil
}

func (a *recorder) PlayersOf(_ context.Context, _ string, v View, _ *LinkPlace, limit int) ([]OwnedPlayer, error) {
	a.note("links", v, limit)
	return nil, nil
}

func (a *recorder) EntriesOf(_ context.Context, _, _ string, v View, _ *EntryPlace, limit int) ([]OwnedEntry, error) {
	a.note("entries", v, limit)
	return make([]OwnedEntry, limit), nil
}

// A page takes one query and holds no more than its limit, however many items
// the caller may not see.
func TestAPageTakesOneQuery(t *testing.T) {
	scopes := []string{"read"}
	key := func(owner access.Role, scopes []string, boards ...string) access.Caller {
		return access.Caller{User: "u", Role: access.Service, Key: "k", Owner: owner, Scopes: scopes, Boards: boards}
	}
	for name, c := range map[string]struct {
		who  access.Caller
		want View
	}{
		"nobody":                       {access.Caller{}, View{}},
		"a person":                     {access.Caller{User: "u", Role: access.Organizer}, View{User: "u"}},
		"an admin":                     {access.Caller{User: "u", Role: access.Admin}, View{User: "u", ReadsAll: true}},
		"an auditor":                   {access.Caller{User: "u", Role: access.Auditor}, View{User: "u", ReadsAll: true}},
		"a key":                        {key(access.Organizer, scopes), View{User: "u"}},
		"a key for some boards":        {key(access.Organizer, scopes, "b"), View{User: "u", Within: []string{"b"}}},
		"an admin's key":               {key(access.Admin, scopes), View{User: "u", ReadsAll: true}},
		"an admin's for some boards":   {key(access.Admin, scopes, "b"), View{User: "u", ReadsAll: true, Within: []string{"b"}}},
		"an auditor's for some boards": {key(access.Auditor, scopes, "b"), View{User: "u", ReadsAll: true, Within: []string{"b"}}},
		"an admin's without read":      {key(access.Admin, []string{"entries:write"}), View{}},
		"an admin's for other work":    {key(access.Admin, []string{"boards:write"}, "b"), View{}},
	} {
		t.Run(name, func(t *testing.T) {
			tables := &recorder{}
			r := &Reader{Tables: tables}
			boards, err := r.Boards(t.Context(), c.who, false, "", nil, 10)
			if err != nil || len(boards.Items) != 10 || boards.Next == nil {
				t.Errorf("%d boards, %v", len(boards.Items), err)
			}
			entries, err := r.EntriesOfUser(t.Context(), c.who, "x", "", nil, 10)
			if err != nil || len(entries.Items) != 10 || entries.Next == nil {
				t.Errorf("%d entries, %v", len(entries.Items), err)
			}
			if _, err := r.StandingsOf(t.Context(), c.who, "x", nil, 10); err != nil {
				t.Error(err)
			}
			want := fmt.Sprint([]string{fmt.Sprintf("boards %+v 11", c.want), fmt.Sprintf("entries %+v 11", c.want), fmt.Sprintf("links %+v 11", c.want)})
			if got := fmt.Sprint(tables.log); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		})
	}
}
