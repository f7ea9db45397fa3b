package score

import (
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

func TestRights(t *testing.T) {
	b := NewBoard("b", "owner")
	b.Writers, b.Viewers = []string{"writer", "auditor"}, []string{"viewer"}
	key := func(owner access.Role, user string, scopes []string, boards ...string) access.Caller {
		return access.Caller{User: user, Role: access.Service, Key: "k", Owner: owner, Scopes: scopes, Boards: boards}
	}
	person := func(user string, role access.Role) access.Caller { return access.Caller{User: user, Role: role} }
	all := []string{"read", "entries:write", "boards:write"}
	const no, hidden = fault.Forbidden, fault.NotFound
	for _, c := range []struct {
		name                string
		who                 access.Caller
		publicRead          fault.Kind
		publicWrite         fault.Kind
		read, write, change fault.Kind // on a private board
	}{
		{"nobody", access.Caller{}, "", no, hidden, hidden, hidden},
		{"a stranger", person("x", access.Organizer), "", no, hidden, hidden, hidden},
		{"a viewer", person("viewer", access.Member), "", no, "", no, no},
		{"a writer", person("writer", access.Member), "", "", "", "", no},
		{"the owner", person("owner", access.Member), "", "", "", "", ""},
		{"an admin", person("x", access.Admin), "", "", "", "", ""},
		{"an auditor", person("x", access.Auditor), "", no, "", no, no},
		{"an auditor who is a writer", person("auditor", access.Auditor), "", no, "", no, no},
		{"a linked user", person("linked", access.Member), "", no, "", no, no},
		{"the owner's key", key(access.Organizer, "owner", all), "", "", "", "", ""},
		{"its key for reading", key(access.Organizer, "owner", []string{"read"}), "", no, "", no, no},
		{"its key for entries", key(access.Organizer, "owner", []string{"entries:write"}), "", "", no, "", no},
		{"its key for boards", key(access.Organizer, "owner", []string{"boards:write"}), "", no, no, no, ""},
		{"its key for events", key(access.Organizer, "owner", []string{"events:write"}), "", no, hidden, hidden, hidden},
		{"its key for this board", key(access.Organizer, "owner", all, "a", "b"), "", "", "", "", ""},
		{"its key for another", key(access.Organizer, "owner", all, "a"), "", no, hidden, hidden, hidden},
		{"a stranger's key", key(access.Organizer, "x", all), "", no, hidden, hidden, hidden},
		{"an admin's key", key(access.Admin, "x", all), "", "", "", "", ""},
		{"an auditor's key", key(access.Auditor, "auditor", all), "", no, "", no, no},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, try := range []struct {
				what   string
				public bool
				want   right
				kind   fault.Kind
			}{
				{"read it, public", true, read, c.publicRead}, {"add, public", true, write, c.publicWrite},
				{"read it", false, read, c.read}, {"add", false, write, c.write}, {"change it", false, own, c.change},
			} {
				b.Public = try.public
				err := permit(Found{Board: b, Linked: c.who.User == "linked"}, c.who, try.want)
				f, _ := fault.As(err)
				if (err == nil) != (try.kind == "") || f != nil && f.Kind != try.kind {
					t.Errorf("%s: got %v, want %q", try.what, err, try.kind)
				}
			}
		})
	}
}
