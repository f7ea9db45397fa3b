package scores_test

import (
	"fmt"
	"slices"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// SQL decides what a list shows, and Go what a board shows. The two agree for every
// caller.
func TestListsShowWhatTheirBoardsShow(t *testing.T) {
	s := newScores(t, 1)
	boards := []string{"open", "shut", "shut-2"}
	for _, id := range boards {
		s.board(t, id, func(b *score.Board) {
			b.Public = id == "open"
			b.Writers, b.Viewers = []string{"writer", "auditor"}, []string{"viewer"}
		})
		for player, user := range map[string]string{"p": "u", "q": "u", "hidden": "u", "r": "linked"} {
			s.add(t, id, score.Submission{Player: player, Points: ptr[int64](1), Metadata: `{"a":1}`, Profile: &score.Profile{User: score.Text{Set: true, Value: &user}}})
		}
	}
	s.accepted()
	db := s.db.Owner()
	db.MustExec(`UPDATE players SET status = 'hidden' WHERE id = 'hidden'`)
	db.MustExec(`UPDATE standings SET status = 'hidden' WHERE player = 'hidden'`)

	callers := []access.Caller{{}}
	for user, role := range map[string]access.Role{
		"o": access.Organizer, "writer": access.Member, "viewer": access.Member, "linked": access.Member, "u": access.Member,
		"stranger": access.Organizer, "auditor": access.Auditor, "root": access.Admin,
	} {
		callers = append(callers, access.Caller{User: user, Role: role})
		for _, scopes := range [][]string{{"read"}, {"entries:write", "boards:write"}} {
			for _, within := range [][]string{nil, {"shut"}, {"open", "shut-2"}, {"none"}} {
				callers = append(callers, access.Caller{User: user, Role: access.Service, Key: "k", Owner: role, Scopes: scopes, Boards: within})
			}
		}
	}
	ctx := ctxOf(t)
	for _, who := range callers {
		name := fmt.Sprintf("%s %s %v %v", who.User, who.Rights(), who.Scopes, who.Boards)
		var readable, named, entries, standings []string
		for _, id := range boards {
			b, err := s.reader.Board(ctx, who, id)
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			readable = append(readable, id)
			// A key without rights on the board does not see who its people are.
			all, err := s.reader.Board(ctx, access.Caller{User: "root", Role: access.Admin}, b.ID)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(slices.Concat(all.Owners, all.Writers, all.Viewers), who.User) {
				named = append(named, id)
			}
			page, err := s.reader.Entries(ctx, who, id, score.EntryFilter{}, nil, 100)
			if err != nil {
				t.Fatal(err)
			}
			first := len(standings)
			for _, e := range page.Items {
				if e.Player != "r" {
					entries = append(entries, id+"/"+e.Player+e.Metadata+e.Actor)
					standings = append(standings, id+"/"+e.Player)
				}
			}
			slices.Sort(standings[first:])
		}
		slices.Sort(entries)
		for limit := 1; limit <= 100; limit += 33 {
			same(t, name+": boards", readable, pagesOf(t, func(after *score.BoardPlace) (score.Page[score.Board, score.BoardPlace], error) {
				return s.reader.Boards(ctx, who, false, "", after, limit)
			}, func(b score.Board) string { return b.ID }))
			if !who.Anonymous() {
				same(t, name+": one's own boards", named, pagesOf(t, func(after *score.BoardPlace) (score.Page[score.Board, score.BoardPlace], error) {
					return s.reader.Boards(ctx, who, true, "", after, limit)
				}, func(b score.Board) string { return b.ID }))
			}
			got := pagesOf(t, func(after *score.EntryPlace) (score.Page[score.NamedEntry, score.EntryPlace], error) {
				return s.reader.EntriesOfUser(ctx, who, "u", "", after, limit)
			}, func(e score.NamedEntry) string { return e.Board + "/" + e.Player + e.Metadata + e.Actor })
			slices.Sort(got)
			same(t, name+": entries", entries, got)
			same(t, name+": standings", standings, pagesOf(t, func(after *score.LinkPlace) (score.Page[score.Report, score.LinkPlace], error) {
				return s.reader.StandingsOf(ctx, who, "u", after, limit)
			}, func(r score.Report) string { return r.Board + "/" + r.Player }))
		}
	}
}

// pagesOf reads a list page by page. Only the last page may be shorter than the first.
func pagesOf[T, P any](t *testing.T, read func(after *P) (score.Page[T, P], error), show func(T) string) (all []string) {
	t.Helper()
	full := 0
	for after := (*P)(nil); ; {
		page, err := read(after)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			all = append(all, show(item))
		}
		if page.Next == nil {
			return all
		}
		if after == nil {
			full = len(page.Items)
		}
		if len(page.Items) != full || full == 0 {
			t.Fatalf("a page has %d items, the first %d", len(page.Items), full)
		}
		after = page.Next
	}
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if !slices.Equal(want, got) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
