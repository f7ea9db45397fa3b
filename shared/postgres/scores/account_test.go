package scores_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/audit"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// kim is a user whose id may be that of a player on a board of registered players.
var kim = access.Caller{User: "018f0000-0000-7000-8000-000000000001", Role: access.Member}

// follower applies profiles.
func (s *scores) follower(t *testing.T) *pgscores.Store {
	return pgscores.New(s.db.Open("player_sync"))
}

// profileOf is a version of a user's profile.
func profileOf(version int64, name string) audit.Profile {
	return audit.Profile{User: kim.User, Version: version, DisplayName: &name, Country: ptr("KR"), TraceParent: parent}
}

func apply(t *testing.T, f *pgscores.Store, profiles ...audit.Profile) {
	t.Helper()
	for _, p := range profiles {
		if err := f.ApplyProfile(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

// names returns each player with their name and country.
func (s *scores) names(t *testing.T) string {
	t.Helper()
	var rows []string
	err := s.db.Owner().Select(&rows, `
		SELECT concat_ws(' ', b.id, replace(p.id, '`+kim.User+`', 'A') || ':', coalesce(p.display_name, '-'), coalesce(p.country, '-'))
		FROM players p JOIN boards b ON b.no = p.board ORDER BY b.id, p.id`)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(rows, ", ")
}

// theirs makes a board where the player p is kim, who has accepted, and q is somebody
// else, and a board of registered players where kim plays.
func (s *scores) theirs(t *testing.T) {
	t.Helper()
	s.board(t, "b", nil)
	s.board(t, "r", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	for _, player := range []string{"p", "q"} {
		s.add(t, "b", score.Submission{Player: player, Points: ptr[int64](1), Profile: &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Bib " + player)}}})
	}
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, score.PlayerChange{Profile: userIs(kim.User)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.boards.AcceptLink(ctxOf(t), kim, "b", "p"); err != nil {
		t.Fatal(err)
	}
	s.add(t, "r", score.Submission{Player: kim.User, Points: ptr[int64](1)})
}

func TestPlayersFollowTheirAccounts(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.theirs(t)
	f := s.follower(t)
	s.db.Owner().MustExec(`DELETE FROM outbox`)
	for _, c := range []struct {
		rule    string
		profile audit.Profile
		want    string
		events  int
	}{
		{"a first version", profileOf(2, "Kim"), "b p: Kim KR, b q: Bib q -, r A: Kim KR", 2},
		{"the same version", profileOf(2, "Kim"), "b p: Kim KR, b q: Bib q -, r A: Kim KR", 0},
		{"an older version", profileOf(1, "Old"), "b p: Kim KR, b q: Bib q -, r A: Kim KR", 0},
		{"a version that changes nothing", profileOf(3, "Kim"), "b p: Kim KR, b q: Bib q -, r A: Kim KR", 0},
		{"a newer version", audit.Profile{User: kim.User, Version: 5, DisplayName: ptr("Lee")}, "b p: Lee -, b q: Bib q -, r A: Lee -", 2},
		{"one in between that comes late", profileOf(4, "Late"), "b p: Lee -, b q: Bib q -, r A: Lee -", 0},
	} {
		before := s.count(t, "outbox")
		apply(t, f, c.profile)
		if got := s.names(t); got != c.want {
			t.Errorf("%s: the players are %s, want %s", c.rule, got, c.want)
		}
		if got := s.count(t, "outbox") - before; got != c.events {
			t.Errorf("%s: %d events, want %d", c.rule, got, c.events)
		}
	}
	var events []string
	if err := s.db.Owner().Select(&events, `SELECT DISTINCT concat_ws(' ', type, actor, coalesce(notify, '-'), data) FROM outbox ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	want := []string{`plaudit.player.changed user/` + kim.User + ` - {"changes": {"country": {}, "display_name": {}}}`}
	if !slices.Equal(events, want) {
		t.Errorf("the events are %q, want %q", events, want)
	}
	table, err := s.reader.Standings(ctxOf(t), access.Caller{}, "b", score.Select{}, score.PageRequest{Limit: 10})
	if err != nil || !slices.ContainsFunc(table.Items, func(r score.Standing) bool { return r.DisplayName != nil && *r.DisplayName == "Lee" }) {
		t.Errorf("the table does not show the new name: %+v, %v", table, err)
	}
}

// A player who becomes an account's has its name at once: a link that is accepted after
// the profile came, and a registered player who is made after it, by an add or not. What
// entries bring is ignored then. A player made by a writer says so in its event.
func TestLaterPlayersHaveTheNamesOfTheirAccounts(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	f := s.follower(t)
	apply(t, f, profileOf(1, "Kim"))
	s.theirs(t)
	s.board(t, "r2", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "r2", kim.User, nil, score.PlayerChange{Status: ptr(score.Status("dnf"))}); err != nil {
		t.Fatal(err)
	}
	brought := &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Bib")}, Country: score.Text{Set: true, Value: ptr("DE")}}
	s.board(t, "r3", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	s.add(t, "r3", score.Submission{Player: kim.User, Points: ptr[int64](1), Profile: brought})
	s.board(t, "any", nil)
	s.add(t, "any", score.Submission{Player: kim.User, Points: ptr[int64](1), Profile: brought}) // only looks like an account's
	if got, want := s.names(t), "any A: Bib DE, b p: Kim KR, b q: Bib q -, r A: Kim KR, r2 A: Kim KR, r3 A: Kim KR"; got != want {
		t.Errorf("the players are %s, want %s", got, want)
	}
	var events []string
	if err := s.db.Owner().Select(&events, `SELECT concat_ws(' ', substr(type, 16), split_part(subject, '/', 2), actor, data) FROM outbox WHERE subject LIKE '%/player/%' AND (subject LIKE '%/p' OR subject LIKE '%/r%') ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`changed b user/` + owner.User + ` {"changes": {"display_name": {}}}`,
		`link-proposed b user/` + owner.User + ` {"by": "` + owner.User + `", "user": "` + kim.User + `"}`,
		`link-accepted b user/` + kim.User + ` {"user": "` + kim.User + `"}`,
		`changed b user/` + kim.User + ` {"changes": {"country": {}, "display_name": {}}}`,
		`changed r2 user/` + owner.User + ` {"changes": {"status": {"to": "dnf", "from": null}, "country": {}, "display_name": {}}}`,
	}
	if !slices.Equal(events, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
	}
}

// An account's players are erased with it, whatever comes twice, late or in another order,
// and nothing brings the name back.
func TestPlayersAreErasedWithTheirAccounts(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.theirs(t)
	f := s.follower(t)
	gone := audit.Profile{User: kim.User, Version: 3, Erased: true, TraceParent: parent}
	for name, profiles := range map[string][]audit.Profile{
		"in order":       {profileOf(1, "Kim"), profileOf(2, "Lee"), gone},
		"twice and late": {gone, profileOf(1, "Kim"), gone, profileOf(2, "Lee"), profileOf(9, "Back")},
	} {
		apply(t, f, profiles...)
		if got, want := s.names(t), "b p: - -, b q: Bib q -, r A: - -"; got != want {
			t.Errorf("%s: the players are %s, want %s", name, got, want)
		}
	}
	if s.count(t, "profiles WHERE erased AND display_name IS NULL AND version = 3") != 1 {
		t.Error("the account is not written down as erased")
	}
	// A session of theirs may live on for some minutes.
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "q", nil, score.PlayerChange{Profile: userIs(kim.User)}); err != nil {
		t.Fatal(err)
	}
	if l, err := s.boards.AcceptLink(ctxOf(t), kim, "b", "q"); err == nil {
		t.Errorf("an erased user accepts %+v", l)
	}
	s.board(t, "r2", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	s.add(t, "r2", score.Submission{Player: kim.User, Points: ptr[int64](1)})
	if got, want := s.names(t), "b p: - -, b q: Bib q -, r A: - -, r2 A: - -"; got != want {
		t.Errorf("the players are %s, want %s", got, want)
	}
}

// Once the users database was set back, versions are lower than those that were applied.
func TestAnErasureOfALowerVersionIsApplied(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.theirs(t)
	apply(t, s.follower(t), profileOf(7, "Kim"), audit.Profile{User: kim.User, Version: 3, Erased: true, TraceParent: parent}, profileOf(8, "Lee"))
	if got, want := s.names(t), "b p: - -, b q: Bib q -, r A: - -"; got != want {
		t.Errorf("the players are %s, want %s", got, want)
	}
}

// A user can have more players than a step takes.
func TestAccountsWithManyPlayers(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.board(t, "r", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	s.add(t, "r", score.Submission{Player: kim.User, Points: ptr[int64](1)})
	s.db.Owner().MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id, proposed_user, link_state)
		SELECT b.no, 'p' || n, 0, now(), $1, $1, 'accepted' FROM boards b, generate_series(1, 299) n WHERE b.id = 'b'`, kim.User)
	f := s.follower(t)
	apply(t, f, profileOf(1, "Kim"))
	if n := s.count(t, "players WHERE display_name = 'Kim' AND events = 1"); n != 300 {
		t.Errorf("%d players have the name", n)
	}
	apply(t, f, audit.Profile{User: kim.User, Version: 2, Erased: true})
	if n := s.count(t, "players WHERE num_nonnulls(display_name, country, user_id, proposed_user) > 0"); n != 0 {
		t.Errorf("%d players are not erased", n)
	}
}

// While versions come in any order and from several sides, links are accepted and ended,
// registered players are made and entries added; in the end every player of the user has
// the name of the newest version.
func TestNamesInTheMiddleOfEverything(t *testing.T) {
	t.Parallel()
	s := newScores(t, 4)
	const players, versions = 12, 20
	for i := range players {
		s.board(t, fmt.Sprint("r", i), func(b *score.Board) { b.Players = score.RegisteredPlayers })
	}
	s.board(t, "b", nil)
	for i := range players {
		s.add(t, "b", score.Submission{Player: fmt.Sprint("p", i), Points: ptr[int64](1)})
		if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", fmt.Sprint("p", i), nil, score.PlayerChange{Profile: userIs(kim.User)}); err != nil {
			t.Fatal(err)
		}
	}
	boards := s.withConns(t, 4)
	ctx := ctxOf(t)
	var wg sync.WaitGroup
	together := func(n int, f func(i int) error) {
		wg.Go(func() {
			for i := range n {
				if err := f(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for w := range 2 { // the same records, as after a lost answer
		f := s.follower(t)
		together(versions, func(i int) error {
			version := int64((i*7+w*3)%versions + 1)
			return f.ApplyProfile(ctx, profileOf(version, fmt.Sprint("Kim ", version)))
		})
	}
	together(players, func(i int) error {
		_, err := boards.AcceptLink(ctx, kim, "b", fmt.Sprint("p", i))
		return err
	})
	together(players, func(i int) error {
		_, err := s.adder.Add(ctx, owner, addRoute, fmt.Sprint("r", i), score.Submission{Player: kim.User, Points: ptr[int64](1)})
		return err
	})
	together(players, func(i int) error {
		_, err := s.adder.Add(ctx, owner, addRoute, "b", score.Submission{Player: fmt.Sprint("p", players-1-i), Points: ptr[int64](1)})
		return err
	})
	wg.Wait()
	if n := s.count(t, fmt.Sprintf("players WHERE display_name = 'Kim %d' AND country = 'KR'", versions)); n != 2*players {
		t.Errorf("%d of %d players have the newest name: %s", n, 2*players, s.names(t))
	}
}

// A version that is about to be written waits for an acceptance that has read the version
// before, and then reaches its player.
func TestANameReachesALinkThatIsBeingAccepted(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.board(t, "b", nil)
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, score.PlayerChange{Profile: userIs(kim.User)}); err != nil {
		t.Fatal(err)
	}
	f := s.follower(t)
	tx, err := s.scores.db.Open("board_admin").BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`SELECT accept_link_v1('b', 'p', $1, $2, $3)`, kim.User, kim.Actor(), parent); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.ApplyProfile(context.WithoutCancel(t.Context()), profileOf(1, "Kim")) }()
	for waits := false; !waits; waits = s.count(t, "pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") > 0 {
		select {
		case err := <-done:
			t.Fatalf("it does not wait for the acceptance: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := s.names(t), "b p: Kim KR"; got != want {
		t.Errorf("the players are %s, want %s", got, want)
	}
}
