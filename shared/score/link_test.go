package score

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// proposal is an entry of points that proposes the user, null for the empty one.
func proposal(player, user string) Submission {
	in := result(player, 1)
	in.Profile = &Profile{User: Text{Set: true}}
	if user != "" {
		in.Profile.User.Value = &user
	}
	return in
}

// Links are a matter for owners, whatever else a caller may do.
func TestOwnersProposeLinks(t *testing.T) {
	all := []string{access.ScopeRead, access.ScopeEntries, access.ScopeBoards}
	entries, boards := []string{access.ScopeEntries}, []string{access.ScopeBoards}
	const no, hidden = "forbidden user", "not-found"
	for _, c := range []struct {
		name string
		who  access.Caller
		// A change of the link alone, and of the name too; an entry that proposes;
		// on a public board and on a private one.
		alone, both, entry string
		private            string
	}{
		{"the owner", owner, "", "", "", ""},
		{"an admin", person("x", access.Admin), "", "", "", ""},
		{"a writer", person("writer", access.Member), no, no, "forbidden profile.user", no},
		{"a viewer", person("viewer", access.Member), no, "forbidden", "forbidden", no},
		{"a linked user", person("linked", access.Member), no, "forbidden", "forbidden", no},
		{"a stranger", person("x", access.Organizer), no, "forbidden", "forbidden", hidden},
		{"an auditor", person("x", access.Auditor), no, "forbidden", "forbidden", no},
		{"nobody", access.Caller{}, no, "forbidden", "forbidden", hidden},
		{"the owner's key for entries", apiKey("owner", access.Organizer, entries), no, no, "forbidden profile.user", no},
		{"the owner's key for boards", apiKey("owner", access.Organizer, boards), "", "forbidden", "forbidden", ""},
		{"the owner's key for both", apiKey("owner", access.Organizer, all), "", "", "", ""},
		{"the owner's key for this board", apiKey("owner", access.Organizer, all, "b"), "", "", "", ""},
		{"the owner's key for another board", apiKey("owner", access.Organizer, all, "c"), no, "forbidden", "forbidden", hidden},
		{"a writer's key", apiKey("writer", access.Organizer, all), no, no, "forbidden profile.user", no},
		{"an admin's key", apiKey("x", access.Admin, all), "", "", "", ""},
		{"a stranger's key", apiKey("x", access.Organizer, all), no, "forbidden", "forbidden", hidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, user := range []string{"u", ""} {
				link := Profile{User: proposal("p", user).Profile.User}
				named := link
				named.DisplayName = Text{true, ptr("Kim")}
				for what, try := range map[string]struct {
					public bool
					entry  bool
					change Profile
					want   string
				}{
					"alone": {true, false, link, c.alone}, "with a name": {true, false, named, c.both},
					"by an entry": {true, true, link, c.entry}, "on a private board": {false, false, link, c.private},
				} {
					m := newMemory(board("b", func(b *Board) {
						b.Public, b.Writers, b.Viewers = try.public, []string{"writer"}, []string{"viewer"}
					}))
					m.links[[2]string{"b", "linked"}] = true
					var err error
					if try.entry {
						in := result("p", 1)
						in.Profile = &try.change
						_, err = newAdder(m).Add(t.Context(), c.who, route, "b", in)
					} else {
						_, _, err = (&Boards{Registry: m}).ChangePlayer(t.Context(), c.who, "b", "p", nil, PlayerChange{Profile: try.change})
					}
					written := len(m.players) + len(m.entries)
					if got := kindAndFields(err); got != try.want || (written == 1) != (try.want == "") || written > 1 {
						t.Errorf("%s, user %q: got %q, want %q; %d written", what, user, got, try.want, written)
					}
				}
			}
		})
	}
}

func TestOneForbiddenLinkRefusesTheBatch(t *testing.T) {
	m := newMemory(board("mine", nil), board("theirs", func(b *Board) { b.Owners, b.Writers = []string{"x"}, []string{"owner"} }))
	items := []BatchItem{{"mine", proposal("p", "u")}, {"theirs", result("p", 1)}, {"theirs", proposal("p", "u")}, {"theirs", proposal("q", "u")}}
	a := newAdder(m)
	for range 2 { // by a board that was looked up, then by a cached one
		_, _, err := a.AddAll(t.Context(), owner, route, items, nil)
		if kindAndFields(err) != "forbidden entries[2].profile.user" || len(m.entries) != 0 {
			t.Errorf("got %v, and %d entries", err, len(m.entries))
		}
	}
	if _, _, err := a.AddAll(t.Context(), owner, route, items[:2], nil); err != nil {
		t.Errorf("a board of which nobody is proposed: %v", err)
	}
}

// The cached board may be older than the caller's rights.
func TestALinkIsJudgedByTheCurrentBoard(t *testing.T) {
	for _, c := range []struct {
		name    string
		cached  []string // owners
		current []string
		want    string
	}{
		{"a new owner", []string{"x"}, []string{"x", "owner"}, ""},
		{"a former owner", []string{"x", "owner"}, []string{"x"}, "forbidden profile.user"},
	} {
		m := newMemory(board("b", func(b *Board) { b.Owners, b.Writers = c.cached, []string{"owner"} }))
		a := newAdder(m)
		if _, err := a.Add(t.Context(), owner, route, "b", result("p", 1)); err != nil {
			t.Fatal(err)
		}
		m.edit("b", func(b *Board) { b.Owners = c.current })
		if _, err := a.Add(t.Context(), owner, route, "b", proposal("p", "u")); kindAndFields(err) != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// The right to propose comes before the key, like any other right on the board.
func TestAForbiddenLinkIsNotReplayed(t *testing.T) {
	m := newMemory(board("b", func(b *Board) { b.Owners = []string{"x", "owner"} }))
	a, in := newAdder(m), withKey(proposal("p", "u"), "k")
	if _, err := a.Add(t.Context(), owner, route, "b", in); err != nil {
		t.Fatal(err)
	}
	m.edit("b", func(b *Board) { b.Owners, b.Writers = []string{"x"}, []string{"owner"} })
	if _, err := a.Add(t.Context(), owner, route, "b", in); kindAndFields(err) != "forbidden profile.user" {
		t.Errorf("got %v", err)
	}
}

func TestProposalsThatTheLedgerRefuses(t *testing.T) {
	for _, c := range []struct {
		refusal     Refusal
		kind        string
		at          time.Duration
		change, one string // the fields
	}{
		{Refusal{Items: []int{0}, Reason: ProposalDeclined}, "link-declined", 0, "user", "profile.user"},
		{Refusal{Items: []int{0}, Reason: TooManyProposals, RetryAfter: time.Hour}, "too-many-requests", time.Hour, "user", "profile.user"},
	} {
		m := newMemory(board("b", nil))
		m.refusal = &c.refusal
		_, _, err := (&Boards{Registry: m}).ChangePlayer(t.Context(), owner, "b", "p", nil, PlayerChange{Profile: Profile{User: Text{true, ptr("u")}}})
		if f, _ := fault.As(err); kindAndFields(err) != c.kind+" "+c.change || f.RetryAfter != c.at {
			t.Errorf("a change: got %v", err)
		}
		r := addRequest{items: []BatchItem{{"b", proposal("p", "u")}}}
		if err := r.refused(c.refusal, nil); kindAndFields(err) != c.kind+" "+c.one {
			t.Errorf("an entry: got %v", err)
		}
		r.batch = "batch"
		err = r.refused(c.refusal, nil)
		if f, _ := fault.As(err); kindAndFields(err) != c.kind+" entries[0]."+c.one || f.RetryAfter != c.at {
			t.Errorf("a batch: got %v", err)
		}
	}
}

// Links that cannot exist are not looked up, and get the words of those that do not.
func TestMalformedLinksAreNotFound(t *testing.T) {
	m := newMemory()
	s := &Boards{Registry: m}
	for _, c := range [][2]string{{"B", "p"}, {"b", "-"}, {"b", strings.Repeat("p", 65)}, {"", "p"}, {"b", "a\x00b"}, {"b", "p"}} {
		before := m.lookups
		_, err := s.AcceptLink(t.Context(), owner, c[0], c[1])
		if end := s.EndLink(t.Context(), owner, c[0], c[1]); kindAndFields(err) != "not-found" || end.Error() != err.Error() {
			t.Errorf("%q: got %v and %v", c, err, end)
		}
		if looked := m.lookups > before; looked != slices.Equal(c[:], []string{"b", "p"}) {
			t.Errorf("%q: looked up %v", c, looked)
		}
	}
}
