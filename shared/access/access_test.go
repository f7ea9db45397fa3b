package access

import "testing"

func TestRolesOfAccounts(t *testing.T) {
	for role, want := range map[Role]bool{Member: true, Organizer: true, Auditor: true, Admin: true, Service: false, "": false, "Admin": false, "owner": false} {
		if role.Valid() != want {
			t.Errorf("%q: Valid is %v", role, !want)
		}
	}
}

func TestCallers(t *testing.T) {
	for _, c := range []struct {
		name      string
		caller    Caller
		anonymous bool
		actor     string
		rights    Role
	}{
		{"nobody", Caller{}, true, "", ""},
		{"a person acts by their id and role", Caller{User: "u", Role: Organizer, Session: "s"}, false, "user/u", Organizer},
		{"a key acts under its own name with its owner's role", Caller{User: "u", Role: Service, Key: "k", Owner: Admin}, false, "key/k", Admin},
		{"notify acts under its own name and has no role", Notify(), false, "key/notify", ""},
	} {
		if c.caller.Anonymous() != c.anonymous || c.caller.Actor() != c.actor || c.caller.Rights() != c.rights {
			t.Errorf("%s: %v, %q, %q", c.name, c.caller.Anonymous(), c.caller.Actor(), c.caller.Rights())
		}
	}
}

func TestScopes(t *testing.T) {
	key := func(scopes []string, boards ...string) Caller {
		return Caller{User: "u", Role: Service, Key: "k", Owner: Admin, Scopes: scopes, Boards: boards}
	}
	for _, c := range []struct {
		name   string
		caller Caller
		scope  string
		board  string
		want   bool
	}{
		{"a person has every scope", Caller{User: "u", Role: Member}, ScopeEvents, "b", true},
		{"a key has its scopes", key([]string{ScopeRead, ScopeEntries}), ScopeEntries, "b", true},
		{"a key has no other scope", key([]string{ScopeRead}), ScopeEntries, "b", false},
		{"one scope does not include another", key([]string{ScopeBoards}), ScopeRead, "b", false},
		{"a key without scopes has none", key(nil), ScopeRead, "", false},
		{"a key without boards covers every board", key([]string{ScopeRead}), ScopeRead, "any", true},
		{"a key covers its boards", key([]string{ScopeRead}, "a", "b"), ScopeRead, "b", true},
		{"a key covers no other board", key([]string{ScopeRead}, "a"), ScopeRead, "b", false},
		{"a key with boards covers requests about no board", key([]string{ScopeRead}, "a"), ScopeRead, "", true},
		{"notify has its own scope", Notify(), ScopeNotify, "b", true},
		{"notify has no scope of a key", Notify(), ScopeRead, "", false},
		{"its boards add no scope", key([]string{ScopeRead}, "a"), ScopeEntries, "a", false},
	} {
		if got := c.caller.Scoped(c.scope, c.board); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestNotifyIsItsOwnKeyOnly(t *testing.T) {
	for name, c := range map[string]Caller{
		"nobody": {}, "an admin": {User: "u", Role: Admin}, "an admin's key": {User: "u", Role: Service, Key: "k", Owner: Admin, Scopes: []string{ScopeRead, ScopeEvents}},
		"a person": {User: "u", Role: Admin, Scopes: []string{ScopeNotify}},
	} {
		if c.Notifies() {
			t.Errorf("%s notifies", name)
		}
	}
	if !Notify().Notifies() {
		t.Error("notify does not")
	}
}
