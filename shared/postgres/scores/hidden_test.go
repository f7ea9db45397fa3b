package scores_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// hiddenBoards makes boards that a stranger may not know of: private ones, drafts, and
// one with long lists and a large catalogue. It returns their ids.
func hiddenBoards(t *testing.T, s *scores) []string {
	t.Helper()
	sets := map[string]func(*score.Board){
		"m-private":    func(b *score.Board) { b.Public = false },
		"m-draft":      func(b *score.Board) { b.State = score.Draft },
		"m-registered": func(b *score.Board) { b.Public, b.Players = false, score.RegisteredPlayers },
		"m-large": func(b *score.Board) {
			b.Public, b.Catalogue = false, map[string]int64{}
			for n := range int64(1000) {
				b.Catalogue[fmt.Sprintf("%080d", n)] = n
			}
			for range 99 {
				// Unlike numbers in a row, such lists cannot be compressed into the row.
				b.Owners = append(b.Owners, uuid.NewString())
				b.Writers = append(b.Writers, uuid.NewString())
				b.Viewers = append(b.Viewers, uuid.NewString())
			}
		},
	}
	for id, set := range sets {
		s.board(t, id, set)
	}
	return slices.Sorted(maps.Keys(sets))
}

// To look up a board that the caller may not know of takes the same work as to look up
// one that does not exist, down to the rows that are read.
func TestHiddenBoardsTakeTheWorkOfAbsentOnes(t *testing.T) {
	s := newScores(t, 1)
	hidden := hiddenBoards(t, s)
	for n := range 20 {
		s.board(t, fmt.Sprintf("own-%02d", n), func(b *score.Board) { b.Public, b.Viewers = false, []string{"busy"} })
	}
	s.board(t, "z", nil)
	db := s.db.Owner()
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id, proposed_user) SELECT no, 'p', 0, now(), 'somebody', 'asked' FROM boards`)
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, status) SELECT no, 'away', 0, now(), 'hidden' FROM boards`)
	db.MustExec(`VACUUM ANALYZE`)

	tx := db.MustBegin()
	defer tx.Rollback()
	// work returns what the session has read so far.
	type table struct {
		Scans, Rows, Lookups, Found, Fetched, Blocks, Large int
	}
	work := func() map[string]table {
		var rows []struct {
			Name string
			table
		}
		err := tx.Select(&rows, `SELECT c.relname AS name, pg_stat_get_xact_numscans(c.oid) AS scans, pg_stat_get_xact_tuples_returned(c.oid) AS rows,
				i.lookups, i.found, pg_stat_get_xact_tuples_fetched(c.oid) AS fetched,
				i.blocks + pg_stat_get_xact_blocks_fetched(c.oid) AS blocks, pg_stat_get_xact_blocks_fetched(c.reltoastrelid) AS large
			FROM pg_class c
			CROSS JOIN LATERAL (
				SELECT sum(pg_stat_get_xact_numscans(indexrelid)) AS lookups, sum(pg_stat_get_xact_tuples_fetched(indexrelid)) AS found,
					sum(pg_stat_get_xact_blocks_fetched(indexrelid)) AS blocks
				FROM pg_index WHERE indrelid = c.oid
			) i
			WHERE c.oid IN ('boards'::regclass, 'players'::regclass, 'board_people'::regclass)`)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]table{}
		for _, r := range rows {
			of[r.Name] = r.table
		}
		return of
	}
	for _, user := range []any{nil, "stranger", "busy", "asked", "away"} {
		for _, own := range []bool{false, true} {
			look := func(board string) string {
				before := work()
				var seen bool
				if err := tx.Get(&seen, `SELECT doc IS NOT NULL OR linked OR own FROM board_v2($1, $2, false, $3)`, board, user, own); err != nil {
					t.Fatal(err)
				}
				if seen {
					t.Errorf("%v sees %s", user, board)
				}
				done := map[string]table{}
				for name, now := range work() {
					was := before[name]
					done[name] = table{now.Scans - was.Scans, now.Rows - was.Rows, now.Lookups - was.Lookups, now.Found - was.Found,
						now.Fetched - was.Fetched, now.Blocks - was.Blocks, now.Large - was.Large}
				}
				return fmt.Sprint(done)
			}
			look("m-absent") // the session makes its plans
			want := look("m-absent")
			for _, board := range append(hidden, "a-absent", "y-absent") {
				if got := look(board); got != want {
					t.Errorf("%v, own %t: %s takes %s, an absent board %s", user, own, board, got, want)
				}
			}
		}
	}
}

// SQL decides who may know of a board, and Go who may do what. The two agree for every
// caller.
func TestWhoMayKnowOfABoard(t *testing.T) {
	s := newScores(t, 1)
	const me = "01890000-0000-7000-8000-000000000001"
	for _, players := range []string{score.AnyPlayers, score.RegisteredPlayers} {
		for kind, set := range map[string]func(*score.Board){
			"public":  func(b *score.Board) {},
			"private": func(b *score.Board) { b.Public = false },
			"draft":   func(b *score.Board) { b.State = score.Draft },
			"closed":  func(b *score.Board) { b.Public, b.State = false, score.Closed },
		} {
			s.board(t, kind+"-"+players, func(b *score.Board) {
				set(b)
				b.Players, b.Writers, b.Viewers = players, []string{"writer"}, []string{"viewer"}
			})
		}
	}
	db := s.db.Owner()
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at) SELECT no, $1, 0, now() FROM boards`, me)
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id, proposed_user, link_state) SELECT no, 'p', 0, now(), 'linked', 'linked', 'accepted' FROM boards`)
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, proposed_user, link_state) SELECT no, 'q', 0, now(), 'asked', 'proposed' FROM boards`)
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, proposed_user, link_state) SELECT no, 'r', 0, now(), 'ended', 'declined' FROM boards`)
	all := map[string]bool{"public": true, "private": true, "draft": true, "closed": true}
	opened := map[string]bool{"public": true, "private": true, "closed": true}
	public := map[string]bool{"public": true}
	for user, known := range map[string]map[string]bool{"o": all, "writer": all, "viewer": all, "linked": opened, "asked": public, "ended": public, "stranger": public, me: public} {
		who := access.Caller{User: user, Role: access.Member}
		for _, players := range []string{score.AnyPlayers, score.RegisteredPlayers} {
			for kind := range all {
				board := kind + "-" + players
				if _, err := s.reader.Board(ctxOf(t), who, board); (err == nil) != known[kind] || err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("%s reads %s: %v", user, board, err)
				}
				mine := known[kind] || user == me && players == score.RegisteredPlayers && opened[kind]
				for _, player := range []string{me, "p"} {
					sees := known[kind] || mine && player == me
					if _, err := s.reader.Player(ctxOf(t), who, board, player); (err == nil) != sees {
						t.Errorf("%s reads %s of %s: %v", user, player, board, err)
					}
				}
			}
		}
	}
}
