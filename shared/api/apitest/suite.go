package apitest

import (
	"testing"

	"plaudit/shared/api"
	"plaudit/shared/id"
	"plaudit/shared/notify"
)

// World is an API with what the suite asks for.
type World struct {
	URL, Key string

	Verified   string // an account with a verified address, for which no link is due
	Unverified string // one whose address is to be verified
	Forgetful  string // one that asked for a new password; "" leaves it out
	Unknown    string // the id of no account

	Board   string // a private board
	Player  string // a hidden player of it, whose accepted user is Verified
	Entries int    // how many entries the player has: more than fit on a page
	Batch   string // of some of these entries
	Batched int    // how many
	Entry   string // one of them
}

// Test checks that an API answers notify as its client expects.
func Test(t *testing.T, w World) {
	ctx := t.Context()
	c, err := api.New(w.URL, w.Key)
	if err != nil {
		t.Fatal(err)
	}
	must := func(ok bool, err error) {
		t.Helper()
		if !ok || err != nil {
			t.Fatalf("found %t, %v", ok, err)
		}
	}
	mustNot := func(ok bool, err error) {
		t.Helper()
		if ok || err != nil {
			t.Errorf("found %t, %v", ok, err)
		}
	}

	for user, verified := range map[string]bool{w.Verified: true, w.Unverified: false} {
		u, ok, err := c.User(ctx, user)
		must(ok, err)
		if u.ID != user || u.EmailVerified != verified || u.Email == "" || u.DisplayName == "" || u.Locale == "" || u.TimeZone == "" || u.MailState != "" {
			t.Errorf("the user is %+v", u)
		}
	}
	_, ok, err := c.User(ctx, w.Unknown)
	mustNot(ok, err)

	for _, due := range []struct {
		user string
		kind notify.LinkKind
		of   string
	}{{w.Unverified, notify.VerifyLink, ""}, {w.Forgetful, notify.ResetLink, ""}, {w.Verified, notify.UnsubscribeLink, "other"}} {
		if due.user == "" {
			continue
		}
		l, ok, err := c.Link(ctx, due.user, due.kind, due.of)
		must(ok, err)
		if l.URL == "" || l.Email == "" {
			t.Errorf("the link is %+v", l)
		}
	}
	for _, not := range []struct {
		user string
		kind notify.LinkKind
		of   string
	}{{w.Verified, notify.VerifyLink, ""}, {w.Verified, notify.ResetLink, ""}, {w.Unknown, notify.VerifyLink, ""}, {w.Unknown, notify.UnsubscribeLink, "other"}} {
		if not.kind == notify.ResetLink && w.Forgetful == "" {
			continue
		}
		_, ok, err := c.Link(ctx, not.user, not.kind, not.of)
		mustNot(ok, err)
	}

	b, ok, err := c.Board(ctx, w.Board)
	must(ok, err)
	if b.ID != w.Board || b.Title == "" || len(b.Periods) == 0 || b.Combine == "" || b.Order == "" || b.TimeZone == "" || b.State == "" {
		t.Errorf("the board is %+v", b)
	}
	_, ok, err = c.Board(ctx, "no-such-board")
	mustNot(ok, err)
	p, ok, err := c.Player(ctx, w.Board, w.Player)
	must(ok, err)
	if p.User != w.Verified || p.DisplayName == "" {
		t.Errorf("the player is %+v", p)
	}
	_, ok, err = c.Player(ctx, w.Board, "nobody")
	mustNot(ok, err)
	e, ok, err := c.Entry(ctx, w.Board, w.Entry)
	must(ok, err)
	if e.ID != w.Entry || e.Board != w.Board || e.Player != w.Player || e.Kind == "" || e.Seq == 0 || e.OccurredAt.IsZero() || e.Batch != w.Batch || len(e.Standings) == 0 {
		t.Errorf("the entry is %+v", e)
	}
	_, ok, err = c.Entry(ctx, w.Board, w.Unknown)
	mustNot(ok, err)

	seen := map[string]bool{}
	var last notify.Entry
	for e, err := range c.Entries(ctx, w.Board, w.Player) {
		if err != nil {
			t.Fatal(err)
		}
		if !last.OccurredAt.IsZero() && e.OccurredAt.After(last.OccurredAt) {
			t.Errorf("%v comes after %v", e.OccurredAt, last.OccurredAt)
		}
		seen[e.ID], last = true, e
	}
	if len(seen) != w.Entries {
		t.Errorf("%d entries are listed, want %d", len(seen), w.Entries)
	}
	clear(seen)
	for e, err := range c.Batch(ctx, w.Verified, w.Batch) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Batch != w.Batch {
			t.Errorf("an entry is of the batch %q", e.Batch)
		}
		seen[e.ID] = true
	}
	if len(seen) != w.Batched || !seen[w.Entry] {
		t.Errorf("%d entries of the batch are listed, want %d", len(seen), w.Batched)
	}
	for range c.Batch(ctx, w.Unverified, w.Batch) {
		t.Error("somebody else has entries of the batch")
	}

	for _, state := range []string{"bounced", "complained"} {
		ok, err := c.SetMailState(ctx, w.Verified, id.Address(w.Verified, "somebody.else@example.org"), state)
		must(ok, err)
		before, _, err := c.User(ctx, w.Verified)
		if err != nil || before.MailState == state {
			t.Errorf("what befell another address is noted: %q, %v", before.MailState, err)
		}
		ok, err = c.SetMailState(ctx, w.Verified, id.Address(w.Verified, before.Email), state)
		must(ok, err)
		if u, ok, err := c.User(ctx, w.Verified); !ok || err != nil || u.MailState != state {
			t.Errorf("the state is %q, want %q; %v", u.MailState, state, err)
		}
	}
	ok, err = c.SetMailState(ctx, w.Unknown, "", "bounced")
	mustNot(ok, err)
}
