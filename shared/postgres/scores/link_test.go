package scores_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

var linkedUser = access.Caller{User: "l", Role: access.Member}

// userIs is a profile that proposes the user.
func userIs(user string) score.Profile {
	return score.Profile{User: score.Text{Set: true, Value: &user}}
}

// withConns returns boards over a pool of as many connections.
func (s *scores) withConns(t *testing.T, conns int) *score.Boards {
	t.Helper()
	config := s.db.Config("board_admin")
	config.MaxConns = conns
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &score.Boards{Registry: pgscores.New(db)}
}

// Of thirty proposals at once to one user, over three boards and by each way, exactly
// twenty pass.
func TestThirtyProposalsAtOnce(t *testing.T) {
	s := newScores(t, 16)
	boards := s.withConns(t, 16)
	for i := range 3 {
		s.board(t, fmt.Sprint("b", i), nil)
	}
	var passed, limited atomic.Int64
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			board, player := fmt.Sprint("b", i%3), fmt.Sprint("p", i)
			profile := userIs("l")
			var err error
			if i%2 == 0 {
				_, _, err = boards.ChangePlayer(ctxOf(t), owner, board, player, nil, score.PlayerChange{Profile: profile})
			} else {
				_, err = s.adder.Add(ctxOf(t), owner, addRoute, board, score.Submission{Player: player, Points: ptr[int64](1), Profile: &profile})
			}
			f, ok := fault.As(err)
			switch {
			case err == nil:
				passed.Add(1)
			case ok && f.Kind == fault.TooManyRequests && f.RetryAfter > 23*time.Hour:
				limited.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	links, proposals := s.count(t, "players WHERE proposed_user = 'l'"), s.count(t, "link_proposals")
	if passed.Load() != 20 || limited.Load() != 10 || links != 20 || proposals != 20 || s.count(t, "players") != 20 {
		t.Errorf("%d passed, %d were refused, %d links, %d counted", passed.Load(), limited.Load(), links, proposals)
	}
}

// Batches that propose the same users in other orders wait for each other, and none
// deadlocks.
func TestProposalsInAnyOrder(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	together(func(i int) {
		var items []score.BatchItem
		for n := range 20 {
			user := (n*(2*i+1) + i) % 20
			items = append(items, score.BatchItem{Board: "b", Submission: score.Submission{
				Player: fmt.Sprint("p", i, ".", n), Points: ptr[int64](1), Profile: ptr(userIs(fmt.Sprint("u", user))),
			}})
		}
		if _, _, err := s.adder.AddAll(ctxOf(t), owner, batchRoute, items, nil); err != nil && !fault.Is(err, fault.TooManyRequests) {
			t.Error(err)
		}
	})
}

// A user accepts while the owner withdraws: whichever is last, nobody is linked, and the
// log says so.
func TestAcceptingWhileTheOwnerWithdraws(t *testing.T) {
	s := newScores(t, 1)
	boards := s.withConns(t, 16)
	s.board(t, "b", nil)
	for round := range 18 {
		player := fmt.Sprint("p", round)
		change := func(p score.Profile) {
			if _, _, err := boards.ChangePlayer(ctxOf(t), owner, "b", player, nil, score.PlayerChange{Profile: p}); err != nil {
				t.Error(err)
			}
		}
		change(userIs("l"))
		var wg sync.WaitGroup
		wg.Go(func() { change(score.Profile{User: score.Text{Set: true}}) })
		wg.Go(func() {
			if _, err := boards.AcceptLink(ctxOf(t), linkedUser, "b", player); err != nil && !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
		})
		wg.Wait()
		var events string
		err := s.db.Owner().Get(&events, `SELECT string_agg(concat_ws(' ', replace(type, 'plaudit.player.link-', ''), data::jsonb ->> 'state', '-> ' || notify), ', ' ORDER BY recordedtime)
			FROM outbox WHERE subject = 'board/b/player/' || $1 AND type LIKE '%.link-%'`, player)
		if err != nil || events != "proposed -> l, ended proposed" && events != "proposed -> l, accepted, ended accepted -> l" {
			t.Errorf("the events are %s (%v)", events, err)
		}
	}
	if n := s.count(t, "players WHERE user_id IS NOT NULL OR proposed_user IS NOT NULL OR link_state IS NOT NULL"); n != 0 {
		t.Errorf("%d players are linked", n)
	}
}

// Sixteen answers of one user at once: the link is accepted or declined, and there is one
// event for each change.
func TestAnswersAtOnce(t *testing.T) {
	s := newScores(t, 1)
	boards := s.withConns(t, 16)
	s.board(t, "b", nil)
	for round, decline := range []bool{false, true, false, true} {
		player := fmt.Sprint("p", round)
		if _, _, err := boards.ChangePlayer(ctxOf(t), owner, "b", player, nil, score.PlayerChange{Profile: userIs("l")}); err != nil {
			t.Fatal(err)
		}
		together(func(i int) {
			if decline && i%2 == 0 {
				if err := boards.EndLink(ctxOf(t), linkedUser, "b", player); err != nil {
					t.Error(err)
				}
			} else if l, err := boards.AcceptLink(ctxOf(t), linkedUser, "b", player); err != nil || l.State != score.LinkAccepted {
				t.Errorf("%+v (%v)", l, err)
			}
		})
		var types []string
		if err := s.db.Owner().Select(&types, `SELECT replace(type, 'plaudit.player.link-', '') FROM outbox WHERE subject = 'board/b/player/' || $1 AND type LIKE '%.link-%' ORDER BY recordedtime`, player); err != nil {
			t.Fatal(err)
		}
		for i, typ := range types[1:] {
			if typ == types[i] {
				t.Errorf("the events are %s", types)
			}
		}
		if !decline && strings.Join(types, " ") != "proposed accepted" {
			t.Errorf("the events are %s", types)
		}
		state := types[len(types)-1]
		if n := s.count(t, "players WHERE id = '"+player+"' AND user_id = 'l'"); (n == 1) != (state == "accepted") {
			t.Errorf("%d are linked after %s", n, state)
		}
		if n := s.count(t, "link_refusals WHERE player = '"+player+"'"); (n == 1) != (state == "ended") {
			t.Errorf("%d refusals after %s", n, state)
		}
	}
}

// Proposals that are a day old leave with later ones.
func TestOldProposalsArePruned(t *testing.T) {
	s := newStepper(t)
	s.board(t, "b", nil)
	s.exec(t, `INSERT INTO link_proposals (user_id, at) SELECT 'u' || n, now() - interval '25 hours' FROM generate_series(1, 50) n`)
	s.exec(t, `INSERT INTO link_proposals (user_id, at) SELECT 'u' || n, now() - interval '23 hours' FROM generate_series(1, 5) n`)
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, score.PlayerChange{Profile: userIs("l")}); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, "link_proposals"); n != 6 {
		t.Errorf("%d are kept, want 6", n)
	}
}
