package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// large fills a board of the owner with so much that a scan of all of it would
// show: n players in categories and countries, n entries, and n more boards.
func large(t testing.TB, s *scores, n int) (score.Board, score.Span) {
	t.Helper()
	s.board(t, "b", func(b *score.Board) { b.Categories = []string{"club", "sex"} })
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	db := s.db.Owner()
	for from := 1; from <= n; from += 20_000 { // a statement has two seconds
		to := min(n, from+19_999)
		db.MustExec(`INSERT INTO players (board, id, seq, recorded_at, country, user_id)
			SELECT 1, 'x' || n, 1, now(), CASE WHEN n % 1000 = 0 THEN 'KR' ELSE 'DE' END, 'u' || n / 2 FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO standings (period, player, score, tiebreak, reached_at, moved, status, cat1, cat2, key_score, key_tiebreak, key_reached)
			SELECT 1, 'x' || n, n, 0, now(), true, 'ranked', 'club ' || n % 500, CASE WHEN n % 2 = 0 THEN 'f' END, -n, 0, now() FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, actor, occurred_at, recorded_at, batch, periods, scores)
			SELECT gen_random_uuid(), 1, 'x' || 1 + n / 2, 1, CASE WHEN n % 5000 = 0 THEN 'adjustment' ELSE 'result' END, n, 0,
				CASE WHEN n % 4000 = 0 THEN 'rare' ELSE 'full' END, CASE WHEN n % 3000 = 0 THEN 'user/rare' ELSE 'key/k' END,
				timestamptz '2026-01-01Z' + n * interval '1 second', now(), md5((n / 500)::text)::uuid, '{1}', '{1}' FROM generate_series($1::integer, $2) n`, from, to)
		db.MustExec(`INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
				owners, writers, viewers, state, version, created_at, changed_at)
			SELECT 'x' || n, 'Title ' || n, 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', n % 1000 = 0,
				ARRAY['u' || n / 3], '{}', '{}', 'open', 1, now(), now() FROM generate_series($1::integer, $2) n`, from, to)
	}
	for _, table := range []string{"players", "standings", "entries", "boards"} {
		db.MustExec(`VACUUM ANALYZE ` + table)
	}
	b, err := s.reader.Board(ctxOf(t), owner, "b")
	if err != nil {
		t.Fatal(err)
	}
	return b, score.Span{Name: score.All}
}

// plan gives how the database would do it, each node on a line of its own.
func plan(t testing.TB, db *sqlx.DB, explain, query string, args []any) string {
	t.Helper()
	var lines []string
	if err := db.Select(&lines, explain+` `+query, args...); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return strings.Join(lines, "\n")
}

// Every list is a range of an index, however much there is.
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
	table := func(name, index string, c *score.Category, p score.Part) {
		p.Limit = 50
		q, args := postgres.TableQuery(b, all, c, p)
		queries = append(queries, query{name, index, q, args})
	}
	place := &score.Place{Score: 500, ReachedAt: at, Player: "x500"}
	club := &score.Category{Name: "club", Value: "club 7", No: 1}
	table("the top", "standings_rank", nil, score.Part{})
	table("a page", "standings_rank", nil, score.Part{After: place})
	table("around a player", "standings_rank", nil, score.Part{Around: "x9000"})
	table("a category", "standings_cat1", club, score.Part{After: place})
	table("around a player of a category", "standings_cat1", club, score.Part{Around: "x9007"})
	table("scores from to", "standings_rank", nil, score.Part{Filter: score.Filter{Min: ptr[int64](100), Max: ptr[int64](900)}})
	table("some players", "standings_pkey", nil, score.Part{Filter: score.Filter{Players: []string{"x1", "x2"}}})
	table("a small country", "players_country", nil, score.Part{Filter: score.Filter{Country: "KR"}})
	table("a large country", "standings_rank", nil, score.Part{Filter: score.Filter{Country: "DE"}})
	entries := func(name, index string, f score.EntryFilter) {
		for _, hidden := range []bool{false, true} {
			for _, after := range []*score.EntryPlace{nil, after} {
				q, args := postgres.EntriesQuery("b", f, hidden, after, 51)
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
	boards := func(name, index, user string, mine, every bool, search string, after *score.BoardPlace) {
		q, args := postgres.BoardsQuery(user, mine, every, search, after, 51)
		queries = append(queries, query{name, index, q, args})
	}
	boards("public boards", "boards_public", "", false, false, "", nil)
	boards("after one", "boards_public", "", false, false, "", &score.BoardPlace{Key: "x5", ID: "x5"})
	boards("one's own too", "boards_people", "u5", false, false, "", nil)
	boards("one's own", "boards_people", "u5", true, false, "", nil)
	boards("every board", "boards_id_key", "root", false, true, "", nil)
	boards("by the beginning", "boards_public_title", "", false, false, "title 10", nil)
	boards("after one by title", "boards_public_title", "", false, false, "title 10", &score.BoardPlace{ByTitle: true, Key: "title 100", ID: "x100"})
	boards("every board by the beginning", "boards_title", "root", false, true, "title 10", nil)
	for _, q := range queries {
		got := plan(t, s.db.Owner(), "EXPLAIN", q.query, q.args)
		for _, large := range []string{"standings", "entries", "boards", "players"} {
			if strings.Contains(got, "Seq Scan on "+large) {
				t.Errorf("%s scans all %s:\n%s", q.name, large, got)
			}
		}
		if !strings.Contains(got, q.index) {
			t.Errorf("%s does not use %s:\n%s", q.name, q.index, got)
		}
	}
}
