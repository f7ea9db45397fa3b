package scores_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// large fills the database so that a scan of a whole table shows: a board with n
// players in categories and countries and n entries, and n more boards.
func large(t testing.TB, s *scores, n int) (score.Board, score.Run) {
	t.Helper()
	s.board(t, "b", func(b *score.Board) { b.Categories = []string{"club", "sex"} })
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	db := s.db.Owner()
	for from := 1; from <= n; from += 20_000 { // a statement has two seconds
		to := min(n, from+19_999)
		db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, country, user_id, display_name, status, cat1, cat2)
			SELECT 1, 'x' || n, 1, now(), CASE WHEN n % 1000 = 0 THEN 'KR' ELSE 'DE' END, 'u' || n / 2, 'Name ' || n,
				CASE WHEN n % 500 = 0 THEN 'dnf' WHEN n % 700 = 0 THEN 'hidden' ELSE 'ranked' END,
				'club ' || n % 500, CASE WHEN n % 2 = 0 THEN 'f' END FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, cat1, cat2, key_score, key_tiebreak, key_reached)
			SELECT 1, 'x' || n, n, 0, now(), true, 'ranked', 'club ' || n % 500, CASE WHEN n % 2 = 0 THEN 'f' END, -n, 0, now() FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, actor, occurred_at, recorded_at, batch, runs, scores)
			SELECT gen_random_uuid(), 1, 'x' || 1 + n / 2, 1, CASE WHEN n % 5000 = 0 THEN 'adjustment' ELSE 'result' END, n, 0,
				CASE WHEN n % 4000 = 0 THEN 'rare' ELSE 'full' END, CASE WHEN n % 3000 = 0 THEN 'user/rare' ELSE 'key/k' END,
				timestamptz '2026-01-01Z' + n * interval '1 second', now(), md5((n / 500)::text)::uuid, '{1}', '{1}' FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
				owners, writers, viewers, state, version, created_at, changed_at)
			SELECT 'x' || n, 'Title ' || n, 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', n % 1000 = 0,
				ARRAY['u' || n / 3], '{}', '{}', 'open', 1, now(), now() FROM generate_series($1::integer, $2) n`, from, to)
	}
	for _, table := range []string{"players", "standings", "entries", "boards", "board_people"} {
		db.MustExec(`VACUUM ANALYZE ` + table)
	}
	b, err := s.reader.Board(ctxOf(t), owner, "b")
	if err != nil {
		t.Fatal(err)
	}
	return b, score.Run{Name: score.All}
}

// plan returns the plan of a query.
func plan(t testing.TB, db *sqlx.DB, explain, query string, args []any) string {
	t.Helper()
	var lines []string
	if err := db.Select(&lines, explain+` `+query, args...); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return strings.Join(lines, "\n")
}

// Every list reads a range of an index, however large the tables are.
func TestListsAreRangesOfIndexes(t *testing.T) {
	s := newScores(t, 1)
	b, all := large(t, s, 20_000)
	at := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	after := &score.EntryPlace{OccurredAt: at, ID: "00000000-0000-0000-0000-000000000000"}
	type query struct {
		name, index string
		query       string
		args        []any
	}
	var queries []query
	table := func(name, index string, c *score.Category, p score.PageRequest) {
		p.Limit = 50
		q, args := pgscores.TableQuery(b, all, c, p)
		queries = append(queries, query{name, index, q, args})
	}
	place := &score.Place{Score: 500, ReachedAt: at, Player: "x500"}
	club := &score.Category{Name: "club", Value: "club 7", No: 1}
	table("the top", "standings_rank", nil, score.PageRequest{})
	table("a page", "standings_rank", nil, score.PageRequest{After: place})
	table("around a player", "standings_rank", nil, score.PageRequest{Around: "x9000"})
	table("a category", "standings_cat1", club, score.PageRequest{After: place})
	table("around a player of a category", "standings_cat1", club, score.PageRequest{Around: "x9007"})
	table("scores from to", "standings_rank", nil, score.PageRequest{Filter: score.Filter{Min: ptr[int64](100), Max: ptr[int64](900)}})
	table("some players", "standings_pkey", nil, score.PageRequest{Filter: score.Filter{Players: []string{"x1", "x2"}}})
	table("a small country", "players_country", nil, score.PageRequest{Filter: score.Filter{Country: "KR"}})
	table("a large country", "standings_rank", nil, score.PageRequest{Filter: score.Filter{Country: "DE"}})
	entries := func(name, index string, f score.EntryFilter) {
		for _, hidden := range []bool{false, true} {
			for _, after := range []*score.EntryPlace{nil, after} {
				q, args := pgscores.EntriesQuery("b", f, hidden, after, 51)
				queries = append(queries, query{name, index, q, args})
			}
		}
	}
	entries("entries", "entries_board", score.EntryFilter{})
	entries("entries from to", "entries_board", score.EntryFilter{From: ptr(at.Add(-time.Hour)), To: ptr(at.Add(time.Hour))})
	entries("a player's", "entries_player", score.EntryFilter{Player: "x500"})
	entries("a batch's", "entries_batch", score.EntryFilter{Batch: "c4ca4238-a0b9-2382-0dcc-509a6f75849b"})
	entries("an actor's", "entries_actor", score.EntryFilter{Actor: "user/rare"})
	entries("a reason's", "entries_reason", score.EntryFilter{Reason: "rare"})
	entries("a kind's", "entries_kind", score.EntryFilter{Kind: score.Adjustment})
	boards := func(name, index string, v score.View, named, search string, after *score.BoardPlace) {
		q, args := pgscores.BoardsQuery(v, named, search, after, 51)
		queries = append(queries, query{name, index, q, args})
	}
	nobody, u5, root := score.View{}, score.View{User: "u5"}, score.View{User: "root", ReadsAll: true}
	cut := score.View{User: "root", ReadsAll: true, Within: []string{"x1", "x2"}}
	boards("public boards", "boards_public", nobody, "", "", nil)
	boards("after one", "boards_public", nobody, "", "", &score.BoardPlace{Key: "x5", ID: "x5"})
	boards("one's own too", "board_people_ids", u5, "", "", nil)
	boards("one's own", "board_people_ids", u5, "u5", "", nil)
	boards("one's own by the beginning", "board_people_titles", u5, "u5", "title 10", nil)
	boards("every board", "boards_listed", root, "", "", nil)
	boards("by the beginning", "boards_public_title", nobody, "", "title 10", nil)
	boards("after one by title", "boards_public_title", nobody, "", "title 10", &score.BoardPlace{ByTitle: true, Key: "title 100", ID: "x100"})
	boards("every board by the beginning", "boards_title", root, "", "title 10", nil)
	boards("those of a key", "boards_listed", cut, "", "", nil)
	boards("those of a key by the beginning", "boards_listed", cut, "", "title 10", nil)
	boards("one's own of a key", "board_people_ids", score.View{User: "u5", Within: []string{"x1", "x2"}}, "", "", nil)
	for _, v := range []score.View{nobody, u5, root, cut} {
		for _, index := range []string{"players_user", "entries_player"} {
			q, args := pgscores.EntriesOfQuery("u5", "", v, after, 51)
			queries = append(queries, query{"a user's entries", index, q, args})
		}
		for _, after := range []*score.EntryPlace{nil, after} {
			q, args := pgscores.EntriesOfQuery("u5", "c4ca4238-a0b9-2382-0dcc-509a6f75849b", v, after, 51)
			queries = append(queries, query{"a user's entries of a batch", "entries_batch", q, args})
		}
		q, args := pgscores.PlayersOfQuery("u5", v, &score.LinkPlace{Board: "b", Player: "p"}, 51)
		queries = append(queries, query{"a user's players", "players_user", q, args})
	}
	players := func(name, index string, c *score.Category, f score.PlayerFilter, after *score.PlayerPlace) {
		for _, hidden := range []bool{false, true} {
			q, args := pgscores.PlayersQuery("b", f, c, hidden, after, 51)
			queries = append(queries, query{name, index, q, args})
		}
	}
	sex := &score.Category{Name: "sex", Value: "f", No: 2}
	id := &score.PlayerPlace{ID: "x500"}
	players("players", "players_pkey", nil, score.PlayerFilter{}, nil)
	players("players after one", "players_pkey", nil, score.PlayerFilter{}, id)
	players("players of a status", "players_status", nil, score.PlayerFilter{Statuses: []score.Status{score.DidNotFinish}}, id)
	players("players of statuses", "players_status", nil, score.PlayerFilter{Statuses: []score.Status{score.DidNotFinish, score.DidNotStart}}, nil)
	players("ranked players", "players_pkey", nil, score.PlayerFilter{Statuses: []score.Status{score.Ranked, score.DidNotStart}}, id)
	players("players of a small category", "players_cat1", club, score.PlayerFilter{}, id)
	players("players of a large category", "players_cat2", sex, score.PlayerFilter{}, id)
	players("players by the beginning", "players_name", nil, score.PlayerFilter{Search: "name 10"}, nil)
	players("players by the beginning after one", "players_name", nil, score.PlayerFilter{Search: "name 10"}, &score.PlayerPlace{Name: "name 100", ID: "x100"})
	for _, hidden := range []bool{false, true} {
		for _, after := range []*score.CategoryPlace{nil, {No: 1, Value: "club 450"}} {
			for _, index := range []string{"players_cat1", "players_cat2"} {
				q, args := pgscores.CategoriesQuery(b, "", hidden, after, 101)
				queries = append(queries, query{"categories", index, q, args})
			}
		}
	}
	for _, q := range queries {
		got := plan(t, s.db.Owner(), "EXPLAIN", q.query, q.args)
		for _, large := range []string{"standings", "entries", "boards", "board_people", "players"} {
			if strings.Contains(got, "Seq Scan on "+large+" ") {
				t.Errorf("%s scans all %s:\n%s", q.name, large, got)
			}
		}
		if !strings.Contains(got, q.index) {
			t.Errorf("%s does not use %s:\n%s", q.name, q.index, got)
		}
	}
}

// node is a part of a plan, with what it did.
type node struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"` // a loop
	Filtered float64 `json:"Rows Removed by Filter"`
	Loops    float64 `json:"Actual Loops"`
	Plans    []node
}

// rowsRead adds up the rows that were read of each table.
func (n node) rowsRead(of map[string]int) {
	of[n.Relation] += int((n.Rows + n.Filtered) * n.Loops)
	for _, p := range n.Plans {
		p.rowsRead(of)
	}
}

func rowsRead(t *testing.T, db *sqlx.DB, query string, args []any) map[string]int {
	t.Helper()
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(plan(t, db, "EXPLAIN (ANALYZE, FORMAT JSON)", query, args)), &plans); err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	plans[0].Plan.rowsRead(of)
	return of
}

// A page of a board's players costs as much as the page, and a page of its categories
// as much as the players that it counts.
func TestPageOfALargeBoard(t *testing.T) {
	s := newScores(t, 1)
	const n, limit = 20_000, 51
	b, _ := large(t, s, n)
	dnf := []score.Status{score.DidNotFinish}
	for name, c := range map[string]struct {
		filter   score.PlayerFilter
		category *score.Category
		most     int
	}{
		"all":                 {score.PlayerFilter{}, nil, 2*limit + 10},
		"a status":            {score.PlayerFilter{Statuses: dnf}, nil, 2 * limit},
		"a beginning":         {score.PlayerFilter{Search: "name 1"}, nil, 2*limit + 10},
		"a category":          {score.PlayerFilter{}, &score.Category{Name: "sex", Value: "f", No: 2}, 2*limit + 10},
		"a category's status": {score.PlayerFilter{Statuses: dnf}, &score.Category{Name: "club", Value: "club 0", No: 1}, 4 * limit},
	} {
		for _, hidden := range []bool{false, true} {
			query, args := pgscores.PlayersQuery("b", c.filter, c.category, hidden, nil, limit)
			if read := rowsRead(t, s.db.Owner(), query, args); read["players"] > c.most || read["boards"] > 5 {
				t.Errorf("%s, hidden %t: read %v", name, hidden, read)
			}
		}
	}
	for name, most := range map[string]int{"club": 2*limit + limit*n/500 + 200, "sex": n/2 + 200} {
		for _, hidden := range []bool{false, true} {
			query, args := pgscores.CategoriesQuery(b, name, hidden, nil, limit)
			if read := rowsRead(t, s.db.Owner(), query, args); read["players"] > most {
				t.Errorf("%s, hidden %t: read %v, more than %d", name, hidden, read, most)
			}
		}
	}
}

// A list of boards does not read their catalogues, each of which may be as large as
// a page.
func TestListOfBoardsWithoutCatalogues(t *testing.T) {
	s := newScores(t, 1)
	reason := func(n int64) string { return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, n))) }
	s.board(t, "b", func(b *score.Board) {
		b.Catalogue = map[string]int64{}
		for n := range int64(1000) {
			b.Catalogue[reason(n)] = n
		}
	})
	s.add(t, "b", score.Submission{Player: "p", Reason: ptr(reason(0)), Profile: &score.Profile{User: score.Text{Set: true, Value: ptr("u")}}})
	page, err := s.reader.Boards(ctxOf(t), owner, false, "", nil, 10)
	if err != nil || len(page.Items) != 1 || page.Items[0].Catalogue != nil || page.Items[0].Title != "b" || len(page.Items[0].Owners) == 0 {
		t.Fatalf("got %+v, %v", page.Items, err)
	}
	boards, boardsArgs := pgscores.BoardsQuery(score.View{}, "", "", nil, 10)
	links, linksArgs := pgscores.PlayersOfQuery("u", score.View{}, nil, 10)
	for name, c := range map[string]struct {
		query string
		args  []any
		reads bool
	}{
		"a list":          {boards, boardsArgs, false},
		"a user's boards": {links, linksArgs, false},
		"one board":       {`SELECT doc FROM board_v2('b', NULL, false, false)`, nil, true},
	} {
		tx := s.db.Owner().MustBegin()
		// The count goes on over the session's transactions.
		blocks := func() (n int) {
			if err := tx.Get(&n, `SELECT pg_stat_get_xact_blocks_fetched(reltoastrelid) FROM pg_class WHERE oid = 'boards'::regclass`); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := blocks()
		if _, err := tx.Exec(c.query, c.args...); err != nil {
			t.Fatal(err)
		}
		if read := blocks() - before; (read > 0) != c.reads {
			t.Errorf("%s reads %d blocks of catalogues", name, read)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// An owner may make any number of players that belong to one user. A page of the
// user's lists must not cost as much as a page of each player's.
func TestPageOfAUserWithManyPlayers(t *testing.T) {
	s := newScores(t, 1)
	const links, each, limit = 2000, 20, 11
	s.board(t, "b", func(b *score.Board) { b.Catalogue = map[string]int64{"full": 1} })
	db := s.db.Owner()
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id) SELECT 1, 'x' || n, 1, now(), 'u' FROM generate_series(1, $1::integer) n`, links)
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at) SELECT 1, 'a' || n, 0, now() FROM generate_series(1, $1::integer) n`, links)
	db.MustExec(`INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, runs, scores)
		SELECT gen_random_uuid(), 1, 'x' || n % $1, 1, 'result', n, 0, 'key/k', timestamptz '2026-01-01Z' + n * interval '1 second', now(), '{}', '{}'
		FROM generate_series(1, $1::integer * $2) n`, links, each)
	db.MustExec(`VACUUM ANALYZE players, entries, boards`)
	for _, v := range []score.View{{}, {User: "u"}, {User: "o"}, {User: "root", ReadsAll: true}} {
		query, args := pgscores.EntriesOfQuery("u", "", v, nil, limit)
		if read := rowsRead(t, db, query, args); read["entries"] > links+limit*limit+2*limit || read["boards"] > 2*limit {
			t.Errorf("%+v: %d entries on a page of %d players cost %v", v, limit, links, read)
		}
		// The boards are read from an index.
		for _, after := range []*score.LinkPlace{{Board: "b", Player: "x1900"}, nil} {
			query, args = pgscores.PlayersOfQuery("u", v, after, limit)
			if read := rowsRead(t, db, query, args); read["players"] > links+2*limit || read["boards"] > 2 {
				t.Errorf("%+v after %v: %d players on a page of %d cost %v", v, after, limit, links, read)
			}
		}
		var page []struct {
			Doc    []byte
			Player string
		}
		if err := db.Select(&page, query, args...); err != nil || len(page) != limit {
			t.Fatalf("%+v: %d players, %v", v, len(page), err)
		}
		for i, row := range page {
			if (row.Doc != nil) != (i == 0) {
				t.Errorf("%+v: the board comes with player %d: %t", v, i, row.Doc != nil)
			}
		}
	}
}

// Users find themselves on boards of registered players, whether they have accepted a
// link or not, without reading the others.
func TestPageOfAUsersOwnPlayers(t *testing.T) {
	s := newScores(t, 1)
	const me = "01890000-0000-7000-8000-000000000000"
	for _, id := range []string{"b", "c", "d"} {
		s.board(t, id, func(b *score.Board) { b.Players, b.Public = score.RegisteredPlayers, id != "b" })
	}
	db := s.db.Owner()
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id)
		SELECT b, '01890000-0000-7000-8000-' || lpad(n::text, 12, '0'), 1, now(), CASE WHEN b = 3 OR n > 0 THEN '01890000-0000-7000-8000-' || lpad(n::text, 12, '0') END
		FROM generate_series(0, 5000) n, generate_series(1, 3) b`)
	db.MustExec(`INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, runs, scores)
		SELECT gen_random_uuid(), board, id, 1, 'result', 1, 0, 'key/k', now(), now(), '{}', '{}' FROM players`)
	db.MustExec(`VACUUM ANALYZE players, entries, boards`)
	for v, want := range map[*score.View]int{{User: me}: 3, {User: me, Within: []string{"c"}}: 2, {User: "x"}: 1, {}: 1, {User: "root", ReadsAll: true}: 1} {
		query, args := pgscores.EntriesOfQuery(me, "", *v, nil, 11)
		if read := rowsRead(t, db, query, args); read["players"] > 20 || read["entries"] > 20 {
			t.Errorf("%+v: entries cost %v", *v, read)
		}
		found, err := pgscores.New(s.db.Open("score_query")).EntriesOf(ctxOf(t), me, "", *v, nil, 11)
		if err != nil || len(found) != want {
			t.Errorf("%+v: %d entries, want %d: %v", *v, len(found), want, err)
		}
		query, args = pgscores.PlayersOfQuery(me, *v, nil, 11)
		if read := rowsRead(t, db, query, args); read["players"] > 20 {
			t.Errorf("%+v: links cost %v", *v, read)
		}
	}
}

// A page for a key that is limited to some boards costs as much as those boards.
func TestPageOfBoardsOfAKey(t *testing.T) {
	s := newScores(t, 1)
	large(t, s, 5000)
	for name, v := range map[string]score.View{
		"an admin's key for two boards": {User: "root", ReadsAll: true, Within: []string{"x1", "x2"}},
		"a key for two boards":          {User: "u5", Within: []string{"x1", "x2"}},
		"a key that does not read":      {},
	} {
		for _, named := range []string{"", "u5"} {
			for _, search := range []string{"", "x1"} {
				query, args := pgscores.BoardsQuery(v, named, search, nil, 51)
				if read := rowsRead(t, s.db.Owner(), query, args); read["boards"]+read["board_people"] > 50 {
					t.Errorf("%s, named %q, %q: read %v", name, named, search, read)
				}
			}
		}
	}
}

// Anybody may list an account on any number of boards. A page of its lists costs as
// much as the page, whatever the caller asks for.
func TestPageOfAnAccountThatIsListedEverywhere(t *testing.T) {
	s := newScores(t, 1)
	const n, limit = 5000, 21
	s.board(t, "b", nil)
	db := s.db.Owner()
	for _, kind := range []struct {
		prefix, state, title string
		public               bool
	}{
		{"public-", "open", "Public ", true}, {"private-", "open", "Private ", false}, {"draft-", "draft", "Draft ", true},
		{"default-", "open", "default-", true}, {"archived-", "archived", "Archived ", true}, // default-: the title is the id
	} {
		db.MustExec(`INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
				owners, writers, viewers, state, version, created_at, changed_at)
			SELECT $2 || n, $4 || n, 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', $5,
				'{o}', '{}', '{u}', $3, 1, now(), now() FROM generate_series(1, $1::integer) n`, n, kind.prefix, kind.state, kind.title, kind.public)
	}
	db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, user_id) SELECT no, 'p', 1, now(), 'u' FROM boards WHERE id IN ('public-1', 'private-1')`)
	db.MustExec(`VACUUM ANALYZE boards, board_people, players`)
	for name, v := range map[string]score.View{
		"the account": {User: "u"}, "an owner": {User: "o"}, "a stranger": {User: "x"}, "nobody": {}, "an admin": {User: "u", ReadsAll: true},
		"a key": {User: "u", Within: []string{"private-7", "public-7"}},
	} {
		for _, named := range []string{"", "u"} {
			for _, search := range []string{"", "p", "private", "private 1", "default", "draft-1", "archived"} {
				for _, after := range []*score.BoardPlace{nil, {Key: "private-4", ID: "private-4"}} {
					query, args := pgscores.BoardsQuery(v, named, search, after, limit)
					if read := rowsRead(t, db, query, args); read["boards"]+read["board_people"] > 8*limit {
						t.Errorf("%s, named %q, %q after %v: read %v", name, named, search, after, read)
					}
				}
			}
		}
		links, linksArgs := pgscores.PlayersOfQuery("u", v, nil, limit)
		entries, entriesArgs := pgscores.EntriesOfQuery("u", "", v, nil, limit)
		for _, q := range []struct {
			query string
			args  []any
		}{{links, linksArgs}, {entries, entriesArgs}} {
			if read := rowsRead(t, db, q.query, q.args); read["boards"]+read["board_people"] > 10 {
				t.Errorf("%s: the players of the account: read %v", name, read)
			}
		}
	}
}

// board_people is what the boards' lists say, whichever way a board came to be what it
// is.
func TestListedPeopleFollowTheBoard(t *testing.T) {
	s := newScores(t, 1)
	consistent := func(step string, want int) {
		t.Helper()
		const listed = `SELECT b.no, p.user_id, b.state = 'archived', b.public AND b.state <> 'draft', b.id, lower(b.title), b.in_common
			FROM boards b CROSS JOIN unnest(b.owners || b.writers || b.viewers) AS p (user_id)`
		const kept = `SELECT board, user_id, archived, public, id, title, in_common FROM board_people`
		differ := s.count(t, `((`+listed+` EXCEPT `+kept+`) UNION ALL (`+kept+` EXCEPT `+listed+`)) d`)
		if rows := s.count(t, "board_people"); differ != 0 || rows != want {
			t.Errorf("after %s: %d rows differ, and there are %d rows, want %d", step, differ, rows, want)
		}
	}
	s.board(t, "b", func(b *score.Board) { b.Writers, b.Viewers = []string{"w", "o"}, []string{"v"} })
	consistent("a creation", 3)
	for _, c := range []struct {
		step string
		set  func(*score.Board)
		want int
	}{
		{"a title", func(b *score.Board) { b.Title = "New Title" }, 3},
		{"other people", func(b *score.Board) { b.Writers, b.Viewers = nil, []string{"x"} }, 2},
		{"privacy", func(b *score.Board) { b.Public = false }, 2},
		{"archiving", func(b *score.Board) { b.State = score.Archived }, 2},
		{"opening", func(b *score.Board) { b.State = score.Open }, 2},
	} {
		if _, err := s.boards.Change(ctxOf(t), owner, "b", nil, c.set); err != nil {
			t.Fatal(err)
		}
		consistent(c.step, c.want)
	}
	s.board(t, "draft", func(b *score.Board) { b.State = score.Draft })
	consistent("a draft", 3)
}
