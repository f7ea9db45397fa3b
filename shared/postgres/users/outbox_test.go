package users_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/audit"
	"plaudit/shared/event/eventtest"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
)

// relayed sends what waits, and returns it in short.
func relayed(t *testing.T, s *pgusers.Store, fail error) (sent []string) {
	t.Helper()
	_, err := s.Take(t.Context(), 100, func(_ context.Context, messages []audit.Message) []error {
		for _, m := range messages {
			if m.Event != nil {
				eventtest.Validate(t, *m.Event)
				sent = append(sent, fmt.Sprint(m.Event.Type, " ", m.Event.SubjectSeq, " ", m.Restored))
				continue
			}
			name := "-"
			if m.Profile.DisplayName != nil {
				name = *m.Profile.DisplayName
			}
			sent = append(sent, fmt.Sprint("profile ", m.Profile.Version, " ", name, " ", m.Profile.Erased))
		}
		return slices.Repeat([]error{fail}, len(messages))
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func counted(t *testing.T, d *pgtest.Database, table string) (n int) {
	t.Helper()
	if err := d.Owner().Get(&n, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

// The service sends its outbox: events stay, marked, and profiles leave.
func TestOutboxIsRelayed(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	same(t, "a new account", relayed(t, s, nil),
		"plaudit.user.created 1 false", "profile 1 "+u.DisplayName+" false", "plaudit.user.verification-requested 2 false")
	same(t, "nothing", relayed(t, s, nil))
	if counted(t, d, "outbox WHERE sent_at IS NOT NULL") != 2 || counted(t, d, "outbox") != 2 {
		t.Error("not the events alone stay")
	}
	if _, err := s.Update(t.Context(), u.ID, user.Changes{DisplayName: text("Lee")}, "user/"+u.ID); err != nil {
		t.Fatal(err)
	}
	same(t, "a change", relayed(t, s, nil), "plaudit.user.updated 3 false", "profile 2 Lee false")

	checker := pgusers.New(d.Open("db_check"))
	kept, err := checker.Kept(t.Context(), 1, 100)
	if err != nil || len(kept) != 2 || kept[0].Sent.IsZero() || kept[0].Fault != "" {
		t.Errorf("kept are %+v, %v", kept, err)
	}
	if by, err := checker.KeptByID(t.Context(), []int64{1, 2}); err != nil || len(by) != 1 {
		t.Errorf("kept are %+v, %v", by, err)
	}
	if marked, last, err := checker.Restore(t.Context(), 0, time.Time{}, kept[1].Event.RecordedTime, 9); err != nil || marked != 2 || last != 0 {
		t.Errorf("marked are %d, to %d: %v", marked, last, err)
	}
	same(t, "a restore", relayed(t, s, nil), "plaudit.user.created 1 true", "plaudit.user.verification-requested 2 true")
	if _, _, err := s.Restore(t.Context(), 0, time.Time{}, time.Time{}, 9); err == nil {
		t.Error("the service may restore")
	}
	if _, err := checker.Take(t.Context(), 1, nil); err == nil {
		t.Error("a check may take rows")
	}

	if err := s.Erase(t.Context(), u.ID, "user/"+u.ID); err != nil {
		t.Fatal(err)
	}
	same(t, "an erasure", relayed(t, s, nil), "plaudit.user.erased 4 false", "profile 3 - true")
	if n, err := s.Purge(t.Context(), 0, 9); err != nil || n != 4 || counted(t, d, "outbox") != 0 {
		t.Errorf("%d rows left: %v", n, err)
	}
}

// A profile that could not be sent goes with its account: nothing personal stays.
func TestErasureRemovesProfilesThatWereSetAside(t *testing.T) {
	s, d := users(t)
	u := account(t, s, "jin@example.com", access.Member)
	relayed(t, s, audit.Unwritable{Reason: "why"})
	if counted(t, d, "outbox") != 0 || counted(t, d, "outbox_failed") != 3 {
		t.Fatalf("%d rows were set aside", counted(t, d, "outbox_failed"))
	}
	failed, err := pgusers.New(d.Open("db_check")).Failed(t.Context(), 1, 9)
	if err != nil || len(failed) != 2 || failed[0].Type != "" || failed[0].Reason != "why" {
		t.Errorf("set aside are %+v, %v", failed, err)
	}
	if err := s.Erase(t.Context(), u.ID, "user/"+u.ID); err != nil {
		t.Fatal(err)
	}
	if n := counted(t, d, "outbox_failed WHERE kind = 'profile'"); n != 0 {
		t.Errorf("%d profiles stay", n)
	}
}

func TestARetryBringsWholeRowsBack(t *testing.T) {
	s, d := users(t)
	account(t, s, "jin@example.com", access.Member)
	pgtest.RetryKeepsRows(t, d, s, pgusers.New(d.Open("db_check")))
	if _, _, err := s.Retry(t.Context(), 0, 1); err == nil {
		t.Error("the service may queue failed rows again")
	}
}
