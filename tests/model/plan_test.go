package model

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"

	"plaudit/shared/web"
)

// fill enlarges a board that the API created, and adds many small ones: 50,000
// players with standings in `all` and in today's run of `day`, 200,000 entries
// with keys, 3,000 boards, 30,000 runs.
const fill = `
	DO $$ DECLARE columns text; BEGIN
		SELECT string_agg(quote_ident(column_name), ', ') INTO columns FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = 'boards' AND column_name NOT IN ('no', 'id') AND is_generated = 'NEVER';
		EXECUTE format('INSERT INTO boards (id, %1$s) SELECT ''small-'' || n, %1$s FROM boards, generate_series(1, 3000) n WHERE id = ''large''', columns);
	END $$;
	INSERT INTO runs (board, period, start_at, end_at)
	SELECT b.no, 'day', d, d + interval '1 day'
	FROM boards b, generate_series(timestamptz '2020-01-01Z', timestamptz '2020-01-10Z', interval '1 day') d;
	INSERT INTO players (board, id, seq, recorded_at, display_name, country, attributes, cat1, user_id)
	SELECT b.no, 'p' || n, 4, now() - interval '1 hour', 'Player ' || n, CASE n % 3 WHEN 0 THEN 'KR' ELSE 'ES' END,
		jsonb_build_object('age', 'a' || n % 20), 'a' || n % 20, 'user-' || n
	FROM boards b, generate_series(1, 50000) n WHERE b.id = 'large';
	INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, cat1, key_score, key_tiebreak, key_reached)
	SELECT r.no, 'p' || n, n % 10000, 0, now() - n * interval '1 ms', true, 'ranked', 'a' || n % 20, -(n % 10000), 0, now() - n * interval '1 ms'
	FROM runs r, generate_series(1, 50000) n
	WHERE r.board = (SELECT no FROM boards WHERE id = 'large') AND (r.period = 'all' OR r.end_at > now());
	INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, batch, runs, scores)
	SELECT gen_random_uuid(), b.no, 'p' || 1 + n % 50000, 1 + n / 50000, 'result', 1, 0, 'user/u' || n % 500, now() - n * interval '1 ms', now() - n * interval '1 ms',
		CASE WHEN n % 10 = 0 THEN ('00000000-0000-7000-8000-' || lpad((n / 1000)::text, 12, '0'))::uuid END,
		(SELECT array_agg(no ORDER BY no) FROM runs r WHERE r.board = b.no AND (r.period = 'all' OR r.end_at > now())), '{1,1}'
	FROM boards b, generate_series(0, 199999) n WHERE b.id = 'large';
	INSERT INTO entry_keys (board, key, digest, entry)
	SELECT board, 'key-' || row_number() OVER (), sha256(id::text::bytea), id FROM entries;
	UPDATE players SET proposed_user = %[1]s, proposed_at = now(), link_state = 'proposed' WHERE id ~ '^p[0-9]{1,2}$';
	INSERT INTO link_proposals (user_id, at) SELECT 'user-' || n, now() - n * interval '1 second' FROM generate_series(1, 30000) n;
	INSERT INTO link_refusals (board, player, user_id, at) SELECT board, id, 'user-x', now() FROM players;
	INSERT INTO board_refusals (user_id, at) SELECT 'user-' || n, now() - n * interval '1 second' FROM generate_series(1, 30000) n;`

// grows lists the tables that grow with the age of a deployment.
var grows = []string{"boards", "players", "runs", "standings", "entries", "entry_keys", "outbox", "link_proposals", "link_refusals", "board_people", "board_refusals"}

// statistics returns how many rows of each table were read, by scan or by
// index. They are exact once the sessions that read them have ended.
func (s *stack) statistics() map[string]int64 {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		var busy int
		if err := s.db.Owner().Get(&busy, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename IN ('score_add', 'score_query', 'board_admin')`); err != nil {
			s.Fatal(err)
		}
		if busy == 0 {
			break
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d sessions have not ended", busy)
		}
		time.Sleep(5 * time.Millisecond)
	}
	var rows []struct {
		Table string
		Read  int64
	}
	if err := s.db.Owner().Select(&rows, `SELECT relname AS table, seq_tup_read + coalesce(idx_tup_fetch, 0) AS read FROM pg_stat_user_tables`); err != nil {
		s.Fatal(err)
	}
	out := map[string]int64{}
	for _, r := range rows {
		out[r.Table] = r.Read
	}
	return out
}

// slowly runs statements that take longer than the product's connections allow.
func (s *stack) slowly(statements string) {
	s.Helper()
	c := s.db.Config("db_migrate")
	dsn, err := url.Parse(c.DSN)
	if err != nil {
		s.Fatal(err)
	}
	dsn.User = url.UserPassword("db_migrate", c.Password)
	db, err := sqlx.Open("postgres", dsn.String())
	if err != nil {
		s.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		s.Fatal(err)
	}
}

// No route reads a growing table whole: not in a database function, not for an
// empty response, and not with a cached generic plan. Each route is called
// often enough for that, and PostgreSQL's own counters decide.
func TestNoRouteReadsATableWhole(t *testing.T) {
	s := start(t, 1)
	path := s.board("large", `, "periods": ["all", "day"], "categories": ["age"], "daily_cap": 1000000`)
	entry := ""
	for range 2 {
		w := s.send("0/organizer", "POST", path+"/entries", `{"player": "first", "points": 1}`)
		if w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		entry = strings.Split(w.Header().Get("Location"), "/entries/")[1]
	}
	s.slowly(strings.ReplaceAll(fill, "%[1]s", "'"+userID(0, "organizer")+"'"))
	s.slowly(`ANALYZE`)
	type ask struct {
		route, name, method, target, body string // %d is the number of the call
		rows                              int64  // maximum that a request may read of a table
	}
	get := func(pattern, name, target string) ask {
		return ask{"GET " + pattern, name, "GET", target, "", 300}
	}
	asks := []ask{
		{"POST /v1/boards", "make", "POST", "/v1/boards", `{"id": "new-%d", "title": "x"}`, 20},
		// It deletes a hundred old attempts.
		{"POST /v1/boards", "taken", "POST", "/v1/boards", `{"id": "small-%d", "title": "x"}`, 250},
		{"PATCH /v1/boards/{board}", "rename", "PATCH", path, `{"title": "title %d"}`, 20},
		{"PATCH /v1/boards/{board}", "count otherwise", "PATCH", path, `{"grace": "1%dh"}`, 20},
		{"PATCH /v1/boards/{board}", "a board without entries", "PATCH", "/v1/boards/small-9", `{"grace": "1%dh"}`, 20},
		{"PATCH /v1/boards/{board}/players/{player}", "status", "PATCH", path + "/players/p%d", `{"status": "dnf", "note": "n", "attributes": {"age": "a1"}}`, 100},
		{"DELETE /v1/boards/{board}/players/{player}/profile", "erase", "DELETE", path + "/players/p3%d/profile", ``, 100},
		get("/v1/players/me/links", "page", "/v1/players/me/links?limit=1%d"),
		{"PUT /v1/players/me/links/{board}/{player}", "accept", "PUT", "/v1/players/me/links/large/p%d", "", 20},
		{"DELETE /v1/players/me/links/{board}/{player}", "end", "DELETE", "/v1/players/me/links/large/p%d", "", 20},
		// It looks for old proposals among the first hundred.
		{"PATCH /v1/boards/{board}/players/{player}", "propose", "PATCH", path + "/players/p%d", `{"user": "user-y%d"}`, 150},
		{"POST /v1/entries/batch", "propose", "POST", "/v1/entries/batch", `{"entries": [{"board": "large", "player": "p1%d", "points": 3, "profile": {"user": "user-y%d"}}, {"board": "small-7", "player": "q%d", "points": 3, "profile": {"user": "user-y%d"}}]}`, 250},
		{"POST /v1/boards/{board}/entries", "add", "POST", path + "/entries", `{"player": "p%d", "points": 3, "key": "new-%d"}`, 30},
		{"POST /v1/boards/{board}/entries", "new player", "POST", path + "/entries", `{"player": "new%d", "points": 3, "profile": {"attributes": {"age": "a2"}}}`, 30},
		{"POST /v1/entries/batch", "batch", "POST", "/v1/entries/batch", `{"entries": [{"board": "large", "player": "p%d", "points": 3, "key": "b-%d"}, {"board": "large", "player": "q%d", "points": 3}, {"board": "small-7", "player": "q%d", "points": 3}]}`, 60},
		{"POST /v1/boards/{board}/entries/{entry}/reversal", "again", "POST", path + "/entries/" + entry + "/reversal", `{"note": "%d"}`, 30},
		get("/v1/boards", "search", "/v1/boards?q=small-1%d"),
		get("/v1/boards", "mine", "/v1/boards?mine=true&limit=2%d"),
		get("/v1/boards/{board}", "one", "/v1/boards/small-%d"),
		get("/v1/boards/{board}/periods", "all", path+"/periods"),
		get("/v1/boards/{board}/periods", "name", path+"/periods?name=day"),
		// It counts the players of each value on the page.
		{"GET /v1/boards/{board}/categories", "counts", "GET", path + "/categories?limit=%d", "", 5 * 2500 * 2},
		get("/v1/boards/{board}/players", "all", path+"/players?limit=1%d"),
		get("/v1/boards/{board}/players", "statuses", path+"/players?status=dnf,dns&limit=1%d"),
		get("/v1/boards/{board}/players", "category", path+"/players?category=age:a%d"),
		get("/v1/boards/{board}/players", "name", path+"/players?q=player%20%d"),
		get("/v1/boards/{board}/players/{player}", "one", path+"/players/p%d"),
		get("/v1/boards/{board}/entries", "newest", path+"/entries"),
		get("/v1/boards/{board}/entries", "player", path+"/entries?player=p%d"),
		get("/v1/boards/{board}/entries", "batch", path+"/entries?batch=00000000-0000-7000-8000-00000000000%d"),
		get("/v1/boards/{board}/entries", "time", path+"/entries?limit=10&from=2020-01-01T00:00:00Z&to=2020-01-0%dT00:00:00Z"),
		get("/v1/boards/{board}/entries", "none", "/v1/boards/small-8/entries?limit=1%d"),
		get("/v1/boards/{board}/entries", "actor", path+"/entries?actor=user/u%d&limit=1"),
		get("/v1/boards/{board}/entries", "no such actor", path+"/entries?actor=user/nobody-%d"),
		get("/v1/boards/{board}/entries", "no such kind", path+"/entries?kind=reversal&limit=1%d"),
		get("/v1/boards/{board}/entries", "no such reason", path+"/entries?reason=none-%d"),
		get("/v1/boards/{board}/entries/{entry}", "one", path+"/entries/"+entry),
		get("/v1/boards/{board}/standings", "top", path+"/standings"),
		get("/v1/boards/{board}/standings", "category", path+"/standings?category=age:a%d"),
		get("/v1/boards/{board}/standings", "around", path+"/standings?around=p10%d"),
		get("/v1/boards/{board}/standings", "players", path+"/standings?players=p%d,p77,p99"),
		get("/v1/boards/{board}/standings", "range", path+"/standings?min=50%d&max=600"),
		get("/v1/boards/{board}/standings", "country", path+"/standings?country=KR&period=day"),
		get("/v1/boards/{board}/standings/{player}", "one", path+"/standings/p%d"),
		get("/v1/players/{user}/standings", "one", "/v1/players/user-%d/standings"),
		get("/v1/players/{user}/entries", "one", "/v1/players/user-%d/entries"),
		{"GET /readyz/scores", "ready", "GET", "/readyz/scores", "", 1},
	}
	for _, r := range web.Routes {
		route := r.Method + " " + r.Pattern
		scores := slices.Contains([]string{"score-add", "score-query", "board-admin"}, r.Deployable)
		if scores && !slices.ContainsFunc(asks, func(a ask) bool { return a.route == route }) {
			t.Errorf("nothing asks %s", route)
		}
	}
	const times = 9 // plans are cached from the sixth call on
	for _, a := range asks {
		t.Run(a.route+" "+a.name, func(t *testing.T) {
			s.close()
			before := s.statistics()
			s.open(1)
			begin := time.Now()
			for n := range times {
				number := func(text string) string { return strings.ReplaceAll(text, "%d", fmt.Sprint(n+1)) }
				w := s.send("0/organizer", a.method, number(a.target), number(a.body))
				if w.Code >= 500 || w.Code >= 400 && w.Code != 409 {
					t.Fatalf("%d %.300s", w.Code, w.Body)
				}
			}
			took := time.Since(begin) / times
			s.close()
			after := s.statistics()
			for _, table := range grows {
				read, most := (after[table]-before[table])/times, a.rows
				if table == "standings" {
					most = 200_000 // ranks may be counted, by one function, more than once per response
				}
				if read > most {
					t.Errorf("a request read %d rows of %s in %s", read, table, took)
				}
			}
			t.Logf("%s a request, of which each read %d standings", took, (after["standings"]-before["standings"])/times)
		})
	}
}
