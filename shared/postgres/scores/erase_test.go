package scores_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// withMetadata adds entries of a player to the ledger, in no run: n with metadata, and
// bare ones without.
func (s *scores) withMetadata(t testing.TB, board, player string, n, bare int) {
	t.Helper()
	s.db.Owner().MustExec(`
		INSERT INTO players (board, id, seq, recorded_at) SELECT no, $2, 0, now() FROM boards WHERE id = $1 ON CONFLICT DO NOTHING`, board, player)
	s.db.Owner().MustExec(`
		INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, metadata, runs, scores)
		SELECT gen_random_uuid(), p.board, p.id, p.seq + n, 'import', 1, 0, 'user/o', now(), now(), CASE WHEN n <= $4 THEN '{"lap":1}' END, '{}', '{}'
		FROM players p JOIN boards b ON b.no = p.board, generate_series(1, $3) n
		WHERE b.id = $1 AND p.id = $2`, board, player, n+bare, n)
	s.db.Owner().MustExec(`UPDATE players p SET seq = seq + $3 FROM boards b WHERE b.no = p.board AND b.id = $1 AND p.id = $2`, board, player, n+bare)
}

const erasures = `outbox WHERE type = 'plaudit.player.erased'`

// An erasure that a request has no time to finish goes on with the next one. Until it
// is finished, the player has a name, and no event says otherwise.
func TestErasureOfManyEntriesGoesOn(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.add(t, "b", score.Submission{Player: "q", Points: ptr[int64](1), Metadata: `{"lap":2}`})
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Metadata: `{"lap":3}`, Profile: &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Kim")}}})
	s.withMetadata(t, "b", "p", 449, 5)
	s.boards.Patience = -1 // one step a request
	for i, want := range []string{"250 Kim 0", "51 Kim 0", "0  1", "0  1"} {
		err := s.boards.ErasePlayer(ctxOf(t), owner, "b", "p")
		if unfinished := i < 2; unfinished != fault.Is(err, fault.Unfinished) || !unfinished && err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		var got string
		if err := s.db.Owner().Get(&got, `SELECT concat_ws(' ', (SELECT count(*) FROM entries WHERE player = 'p' AND metadata IS NOT NULL), coalesce(display_name, ''), (SELECT count(*) FROM `+erasures+`))
			FROM players WHERE id = 'p'`); err != nil || got != want {
			t.Errorf("after request %d: %s (%v), want %s", i, got, err, want)
		}
		if i == 0 { // an add in between
			s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Metadata: `{"lap":4}`})
		}
	}
	// One request does all of it, if it has the time.
	s.boards.Patience = 0
	s.withMetadata(t, "b", "p", 1000, 0)
	if err := s.boards.ErasePlayer(ctxOf(t), owner, "b", "p"); err != nil || s.count(t, "entries WHERE metadata IS NOT NULL") != 1 || s.count(t, erasures) != 2 {
		t.Errorf("all at once: %v, %d left", err, s.count(t, "entries WHERE metadata IS NOT NULL"))
	}
	if got := s.check(t, "b"); got != nil {
		t.Errorf("the standings differ: %q", got)
	}
}

// If the number of entries is a multiple of that of a step, the last step is the one
// that clears something: an erasure that stops before it has its event later.
func TestLastStepOfAnErasureClearsSomething(t *testing.T) {
	s := newStepper(t)
	s.board(t, "b", nil)
	for _, n := range []int{1, 2, 3, 4, 6} {
		s.withMetadata(t, "b", "p", n, 0)
		before := s.count(t, erasures)
		after, steps := any(nil), 0
		for {
			steps++
			var step struct {
				More  bool
				After *string
			}
			if err := json.Unmarshal([]byte(s.get(t, `SELECT internal.erase_player(b, 'p', NULL, $1, 2, 'user/o', 'o', $2) FROM boards b`, after, parent)), &step); err != nil {
				t.Fatal(err)
			}
			if !step.More {
				break
			}
			if after = nil; step.After != nil {
				after = *step.After
			}
			if s.count(t, erasures) > before {
				t.Error("the event is there before the end")
			}
		}
		if steps != (n+1)/2 || s.count(t, "entries WHERE metadata IS NOT NULL") > 0 || s.count(t, erasures) != before+1 {
			t.Errorf("%d entries took %d steps", n, steps)
		}
	}
}

// Entries whose ids come before the place that the steps have reached are not missed.
func TestErasureReturnsToWhatItPassed(t *testing.T) {
	s := newStepper(t)
	s.board(t, "b", nil)
	s.withMetadata(t, "b", "p", 3, 0)
	const last = "ffffffff-ffff-ffff-ffff-ffffffffffff"
	call := func(after any) string {
		return s.get(t, `SELECT internal.erase_player(b, 'p', NULL, $1, 5, 'user/o', 'o', $2) FROM boards b`, after, parent)
	}
	sameJSON(t, "a step at the end", call(last), `{"more": true, "after": null}`)
	if s.count(t, "entries WHERE metadata IS NOT NULL") != 3 || s.count(t, erasures) != 0 {
		t.Error("it erased something")
	}
	sameJSON(t, "a step from the beginning", call(nil), `{"more": false, "wake": true}`)
	sameJSON(t, "a step at the end of what is erased", call(last), `{"more": false, "wake": true}`)
	if s.count(t, "entries WHERE metadata IS NOT NULL") != 0 || s.count(t, erasures) != 1 {
		t.Error("it did not erase all")
	}
	sameJSON(t, "nobody", s.get(t, `SELECT internal.erase_player(b, 'q', NULL, NULL, 5, 'user/o', 'o', $1) FROM boards b`, parent), `null`)
}

// Entries that were there when the event was written have no metadata, however adds and
// erasures meet.
func TestErasureMeetsAdds(t *testing.T) {
	s := newScores(t, 16)
	s.board(t, "b", nil)
	s.withMetadata(t, "b", "p", 1500, 0)
	var done atomic.Bool
	var erased int
	together(func(i int) {
		if i == 0 {
			defer done.Store(true)
			for range 5 {
				if err := s.boards.ErasePlayer(ctxOf(t), owner, "b", "p"); err != nil {
					t.Error(err)
				}
				erased++
			}
			return
		}
		for n := 0; !done.Load() || n < 3; n++ {
			in := score.Submission{Player: "p", Points: ptr[int64](1), Metadata: fmt.Sprintf(`{"lap":%d}`, n)}
			if n%3 == 0 {
				in.Profile = &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Kim")}}
			}
			if _, err := s.adder.Add(ctxOf(t), owner, addRoute, "b", in); err != nil && !fault.Is(err, fault.NameDiffers) {
				t.Error(err)
			}
		}
	})
	if n := s.count(t, `entries e WHERE e.metadata IS NOT NULL AND e.recorded_at < (SELECT max(o.recordedtime) FROM outbox o WHERE o.type = 'plaudit.player.erased')`); n > 0 {
		t.Errorf("%d entries from before the last erasure have metadata", n)
	}
	if n := s.count(t, erasures); n < 1 || n > erased {
		t.Errorf("%d erasures are %d events", erased, n)
	}
	if got := s.check(t, "b"); got != nil {
		t.Errorf("the standings differ: %q", got)
	}
}

// An erasure does not read the entries that have no metadata, however many there are.
func TestErasureReadsWhatItClears(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.withMetadata(t, "b", "p", 5, 10_000)
	owns := s.db.Owner()
	owns.MustExec(`UPDATE players SET display_name = 'Kim'`)
	owns.MustExec(`VACUUM ANALYZE entries`)
	read := func() (n int) {
		t.Helper()
		owns.MustExec(`SELECT pg_stat_force_next_flush()`)
		owns.MustExec(`SELECT pg_stat_clear_snapshot()`)
		if err := owns.Get(&n, `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'entries'`); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := read()
	admin := s.db.Open("board_admin")
	for range 8 { // plans are cached
		var more bool
		if err := admin.Get(&more, `SELECT (erase_player_v1('b', 1, 'p', NULL, 1000, 'user/o', 'o', $1) ->> 'more')::boolean`, parent); err != nil || more {
			t.Fatal(more, err)
		}
	}
	admin.Close() // a session reports what it read at its end, too
	if n := read() - before; n > 200 {
		t.Errorf("8 erasures read %d entries", n)
	}
	if s.count(t, "entries WHERE metadata IS NOT NULL") != 0 || s.count(t, erasures) != 1 {
		t.Error("something is left")
	}
}

// eraseUser calls internal.erase_user_players to its end, and returns how often.
func (s stepper) eraseUser(t *testing.T, user string, limit int) (calls int) {
	t.Helper()
	place := any(nil)
	for calls < 1000 {
		calls++
		got := s.get(t, `SELECT internal.erase_user_players($1, $2, $3, 'user/' || $1, $4)`, user, place, limit, parent)
		if got == "null" {
			return calls
		}
		place = got
	}
	t.Fatalf("the erasure has no end; it is at %v", place)
	return calls
}

func TestErasureOfAUser(t *testing.T) {
	const user, other = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
	for _, limit := range []int{1, 2, 1000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			s := newStepper(t)
			for i := range 5 {
				s.board(t, fmt.Sprint("any-", i), func(b *score.Board) { b.Categories = []string{"club"} })
				s.board(t, fmt.Sprint("users-", i), func(b *score.Board) { b.Players = score.RegisteredPlayers })
			}
			s.board(t, "archived", nil)
			name := &score.Profile{DisplayName: score.Text{Set: true, Value: ptr("Kim")}, Attributes: map[string]*string{"club": ptr("Han")}}
			add := func(board, player string) {
				s.add(t, board, score.Submission{Player: player, Points: ptr[int64](1), Metadata: `{"lap":1}`, Profile: name})
			}
			for _, board := range []string{"any-1", "any-3", "archived"} {
				for _, player := range []string{"mine", "mine-too", "others", "open", "declined", "refused", user} {
					add(board, player)
				}
			}
			for _, board := range []string{"users-0", "users-2", "users-4"} {
				add(board, user)
				add(board, other)
			}
			s.withMetadata(t, "any-3", "mine", 5, 0)
			s.exec(t, `UPDATE boards SET state = 'archived' WHERE id = 'archived'`)
			s.exec(t, `UPDATE players SET user_id = NULL, display_name = 'Kim'`)
			s.exec(t, `UPDATE players SET user_id = $1, proposed_user = $1, proposed_by = 'o', proposed_at = now(), link_state = 'accepted' WHERE id LIKE 'mine%'`, user)
			s.exec(t, `UPDATE players SET user_id = $1, proposed_user = $1, link_state = 'accepted' WHERE id = 'others'`, other)
			s.exec(t, `UPDATE players SET proposed_user = $1, proposed_by = 'o', proposed_at = now(), link_state = CASE id WHEN 'open' THEN 'proposed' ELSE 'declined' END WHERE id IN ('open', 'declined')`, user)
			s.exec(t, `INSERT INTO link_refusals SELECT no, 'refused', u, now() FROM boards, unnest(ARRAY[$1, $2]) u`, user, other)
			s.exec(t, `INSERT INTO link_proposals (user_id, at) SELECT u, now() FROM unnest(ARRAY[$1, $2, $1]) u`, user, other)
			s.exec(t, `DELETE FROM outbox`)

			calls := s.eraseUser(t, user, limit)
			if limit == 1000 && calls != 10 {
				t.Errorf("it took %d calls for nine players and the end", calls)
			}
			var rows []string
			if err := s.scores.db.Owner().Select(&rows, `
				SELECT concat_ws(' ', b.id, p.id, p.display_name, p.attributes ->> 'club', p.cat1, p.user_id, p.proposed_user, p.link_state,
					(SELECT count(e.metadata) FROM entries e WHERE e.board = p.board AND e.player = p.id))
				FROM players p JOIN boards b ON b.no = p.board ORDER BY 1`); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, board := range []string{"any-1", "any-3", "archived"} {
				cat := " Han"
				if board == "archived" {
					cat = ""
				}
				want = append(want, board+" mine 0", board+" mine-too 0",
					board+" others Kim Han"+cat+" "+other+" "+other+" accepted 1")
				for _, player := range []string{"open", "declined", "refused", user} { // the last only has the same id
					want = append(want, board+" "+player+" Kim Han"+cat+" 1")
				}
			}
			for _, board := range []string{"users-0", "users-2", "users-4"} {
				want = append(want, board+" "+user+" 0", board+" "+other+" Kim Han 1")
			}
			slices.Sort(rows)
			slices.Sort(want)
			if !slices.Equal(rows, want) {
				t.Errorf("the players are\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
			}
			var left string
			if err := s.scores.db.Owner().Get(&left, `SELECT (SELECT string_agg(DISTINCT user_id, ' ') FROM link_refusals) || ', ' || (SELECT string_agg(user_id, ' ') FROM link_proposals)`); err != nil || left != other+", "+other {
				t.Errorf("refusals and proposals are of %s (%v)", left, err)
			}
			var events []string
			if err := s.scores.db.Owner().Select(&events, `SELECT concat_ws(' ', type, subject, actor, notify) FROM outbox ORDER BY subject`); err != nil {
				t.Fatal(err)
			}
			want = nil
			for _, subject := range []string{
				"any-1/player/mine", "any-1/player/mine-too", "any-3/player/mine", "any-3/player/mine-too", "archived/player/mine", "archived/player/mine-too",
				"users-0/player/" + user, "users-2/player/" + user, "users-4/player/" + user,
			} {
				want = append(want, "plaudit.player.erased board/"+subject+" user/"+user)
			}
			slices.Sort(events)
			if !slices.Equal(events, want) {
				t.Errorf("the events are\n%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
			}
			// Again, and of somebody who never was there.
			for _, user := range []string{user, "nobody"} {
				s.eraseUser(t, user, limit)
				if n := s.count(t, "outbox"); n != len(events) {
					t.Errorf("%s: there are %d events", user, n)
				}
			}
			for _, board := range []string{"any-3", "users-0"} {
				if got := s.check(t, board); got != nil {
					t.Errorf("%s: %q", board, got)
				}
			}
		})
	}
}
