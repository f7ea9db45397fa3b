package scores_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// rows shows a page's items as rank, player and score.
func rows(t *testing.T, page map[string]any) string {
	t.Helper()
	ranks, players, scores := ids(t, page, "rank"), ids(t, page, "player"), ids(t, page, "score")
	var out []string
	for i := range ranks {
		out = append(out, ranks[i]+":"+players[i]+"="+scores[i])
	}
	return strings.Join(out, " ")
}

func (s *scoreStack) entry(board, body string) {
	s.Helper()
	s.must(201, "owner", "POST", "/v1/boards/"+board+"/entries", body)
}

func TestPartsOfATableKeepItsRanks(t *testing.T) {
	s := startScores(t)
	for _, board := range []string{`{"id":"desc","ties":"shared"}`, `{"id":"asc","order":"asc","ties":"shared"}`} {
		s.must(201, "owner", "POST", "/v1/boards", board)
	}
	for i, e := range []string{"a 10 KR", "b 9 DE", "c 9 KR", "d 8 US", "e 7 KR", "f 7 DE", "g 7 KR", "h 1 KR", "out 100 KR"} {
		f := strings.Fields(e)
		for _, board := range []string{"desc", "asc"} {
			s.entry(board, fmt.Sprintf(`{"player":"%s","points":%s,"profile":{"country":"%s"},"occurred_at":"2026-04-01T00:00:0%dZ"}`, f[0], f[1], f[2], i))
		}
	}
	s.setStatus("out", "disqualified")
	for _, c := range []struct{ board, query, want string }{
		{"desc", "", "1:a=10 2:b=9 2:c=9 4:d=8 5:e=7 5:f=7 5:g=7 8:h=1"},
		{"desc", "min=7&max=9", "2:b=9 2:c=9 4:d=8 5:e=7 5:f=7 5:g=7"},
		{"desc", "max=7", "5:e=7 5:f=7 5:g=7 8:h=1"},
		{"desc", "min=9", "1:a=10 2:b=9 2:c=9"},
		{"desc", "min=9&max=7", ""},
		{"desc", "min=-9007199254740991&max=9007199254740991", "1:a=10 2:b=9 2:c=9 4:d=8 5:e=7 5:f=7 5:g=7 8:h=1"},
		{"desc", "country=KR", "1:a=10 2:c=9 5:e=7 5:g=7 8:h=1"},
		{"desc", "country=DE&max=8", "5:f=7"},
		{"desc", "country=FR", ""},
		{"desc", "players=h,c,none,out,h,e", "2:c=9 5:e=7 8:h=1"},
		{"desc", "players=out", ""},
		{"desc", "players=b,c,d&country=KR&min=9", "2:c=9"},
		{"desc", "around=d&limit=3", "2:c=9 4:d=8 5:e=7"},
		{"desc", "around=d&limit=4", "2:c=9 4:d=8 5:e=7 5:f=7"},
		{"desc", "around=d&limit=1", "4:d=8"},
		{"desc", "around=a&limit=3", "1:a=10 2:b=9 2:c=9"},
		{"desc", "around=b&limit=5", "1:a=10 2:b=9 2:c=9 4:d=8 5:e=7"},
		{"desc", "around=h&limit=3", "5:f=7 5:g=7 8:h=1"},
		{"desc", "around=g&limit=4", "5:e=7 5:f=7 5:g=7 8:h=1"},
		{"desc", "around=d", "1:a=10 2:b=9 2:c=9 4:d=8 5:e=7 5:f=7 5:g=7 8:h=1"},
		{"desc", "around=e&limit=3&country=KR", "2:c=9 5:e=7 5:g=7"},
		{"desc", "around=e&limit=3&max=8&min=7", "4:d=8 5:e=7 5:f=7"},
		{"desc", "around=d&limit=3&players=a,d,h", "1:a=10 4:d=8 8:h=1"},
		{"asc", "", "1:h=1 2:e=7 2:f=7 2:g=7 5:d=8 6:b=9 6:c=9 8:a=10"},
		{"asc", "min=8&max=9", "5:d=8 6:b=9 6:c=9"},
		{"asc", "country=DE", "2:f=7 6:b=9"},
		{"asc", "around=d&limit=3", "2:g=7 5:d=8 6:b=9"},
		{"asc", "around=d&limit=3&min=8", "5:d=8 6:b=9 6:c=9"},
	} {
		page := s.must(200, "", "GET", "/v1/boards/"+c.board+"/standings?"+c.query, "")
		if got := rows(t, page); got != c.want || page["of"] != 8.0 {
			t.Errorf("%s %s: got %s of %v, want %s of 8", c.board, c.query, got, page["of"], c.want)
		}
		if strings.Contains(c.query, "around") {
			continue
		}
		for limit := 1; limit <= 3; limit++ {
			players := s.pages("", fmt.Sprintf("/v1/boards/%s/standings?limit=%d&%s", c.board, limit, c.query), "player", nil)
			if got, want := strings.Join(players, " "), strings.Join(ids(t, page, "player"), " "); got != want {
				t.Errorf("%s %s in pages of %d: got %s, want %s", c.board, c.query, limit, got, want)
			}
		}
	}
	// The list continues after a page around a player.
	around := s.must(200, "", "GET", "/v1/boards/desc/standings?around=d&limit=3", "")
	if got := rows(t, s.must(200, "", "GET", "/v1/boards/desc/standings?limit=3&cursor="+around["next"].(string), "")); got != "5:f=7 5:g=7 8:h=1" {
		t.Errorf("after the page around d: %s", got)
	}
	if end := s.must(200, "", "GET", "/v1/boards/desc/standings?around=g&limit=3", ""); rows(t, end) != "5:f=7 5:g=7 8:h=1" || end["next"] != nil {
		t.Errorf("at the end: %v", end)
	}
	// A player whom another filter leaves out is nobody to centre a page on.
	for _, query := range []string{
		"around=none", "around=out", "around=d&country=KR", "around=a&limit=3&max=7", "around=h&limit=2&min=7", "around=d&players=a,h", "around=d&players=none", "around=out&players=out",
	} {
		for _, board := range []string{"desc", "asc"} {
			if w := s.send("owner", "GET", "/v1/boards/"+board+"/standings?"+query, ""); w.Code != 404 || faultFields(w.Body.String()) != "around" {
				t.Errorf("%s of %s: %d %s", query, board, w.Code, w.Body)
			}
		}
	}
}

// The ranks in any part of any table are those that counting finds.
func TestRanksAreThoseOfCounting(t *testing.T) {
	s := startScores(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, order := range []string{"desc", "asc"} {
		for _, ties := range []string{"first", "shared"} {
			board := order + "-" + ties
			s.must(201, "owner", "POST", "/v1/boards", fmt.Sprintf(`{"id":"%s","order":"%s","ties":"%s","min":-9}`, board, order, ties))
			type player struct {
				id, country    string
				score, tie, at int
			}
			var players []player
			for n := range 40 {
				p := player{fmt.Sprintf("p%02d", n), []string{"KR", "DE"}[random.IntN(2)], random.IntN(6) - 3, random.IntN(2), random.IntN(3)}
				s.entry(board, fmt.Sprintf(`{"player":"%s","points":%d,"tiebreak":%d,"occurred_at":"2026-04-01T00:00:0%dZ","profile":{"country":"%s"}}`, p.id, p.score, p.tie, p.at, p.country))
				players = append(players, p)
			}
			better := func(a, b player) bool {
				if order == "asc" {
					a, b = player{score: b.score, tie: b.tie, at: a.at}, player{score: a.score, tie: a.tie, at: b.at}
				}
				return a.score > b.score || a.score == b.score && (a.tie > b.tie || a.tie == b.tie && ties == "first" && a.at < b.at)
			}
			rank := func(p player) (r int) {
				for _, q := range players {
					if better(q, p) {
						r++
					}
				}
				return r + 1
			}
			for range 15 {
				query, keep := "", func(player) bool { return true }
				if random.IntN(2) == 0 {
					lo, hi := random.IntN(6)-3, random.IntN(6)-3
					query, keep = fmt.Sprintf("&min=%d&max=%d", lo, hi), func(p player) bool { return p.score >= lo && p.score <= hi }
				}
				if random.IntN(2) == 0 {
					before := keep
					query, keep = query+"&country=KR", func(p player) bool { return before(p) && p.country == "KR" }
				}
				var want []string
				sorted := slices.Clone(players)
				slices.SortStableFunc(sorted, func(a, b player) int {
					switch {
					case better(a, b):
						return -1
					case better(b, a):
						return 1
					}
					return strings.Compare(a.id, b.id)
				})
				for _, p := range sorted {
					if keep(p) {
						want = append(want, fmt.Sprintf("%d:%s=%d", rank(p), p.id, p.score))
					}
				}
				var got []string
				next := ""
				for range 50 {
					page := s.must(200, "", "GET", fmt.Sprintf("/v1/boards/%s/standings?limit=%d%s%s", board, 1+random.IntN(15), query, next), "")
					got = append(got, strings.Fields(rows(t, page))...)
					if page["next"] == nil {
						break
					}
					next = "&cursor=" + page["next"].(string)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s %s:\n got %v\nwant %v", board, query, got, want)
				}
			}
		}
	}
}

func TestCategoriesHaveTablesOfTheirOwn(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["age_group","club","sex","x y"]}`)
	for _, e := range []string{
		`{"player":"a","points":5,"profile":{"attributes":{"age_group":"M40","club":"a:b, c","sex":"m"}}}`,
		`{"player":"b","points":9,"profile":{"attributes":{"age_group":"W40","club":"a:b, c","x y":"&="}}}`,
		`{"player":"c","points":7,"profile":{"attributes":{"age_group":"M40"}}}`,
		`{"player":"d","points":8}`,
		`{"player":"out","points":99,"profile":{"attributes":{"age_group":"M40"}}}`,
	} {
		s.entry("b", e)
	}
	s.setStatus("out", "dnf")
	for query, want := range map[string]string{
		"category=age_group:M40":            "1:c=7 2:a=5",
		"category=age_group:M40&limit=1":    "1:c=7",
		"category=age_group:M40&around=a":   "1:c=7 2:a=5",
		"category=age_group:M40&players=a":  "2:a=5",
		"category=age_group:M40&max=6":      "2:a=5",
		"category=age_group:W40":            "1:b=9",
		"category=age_group:nobody":         "",
		"category=club:a:b,%20c":            "1:b=9 2:a=5",
		"category=sex:m":                    "1:a=5",
		"category=x%20y:%26%3D":             "1:b=9",
		"category=age_group:m40":            "",
		"category=age_group:M40&country=KR": "",
	} {
		page := s.must(200, "", "GET", "/v1/boards/b/standings?"+query, "")
		if got := rows(t, page); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
		if strings.HasPrefix(query, "category=age_group:M40") && (page["of"] != 2.0 || page["category"] != "age_group:M40") {
			t.Errorf("%s: %v of %v", query, page["category"], page["of"])
		}
	}
	if got := strings.Join(s.pages("", "/v1/boards/b/standings?limit=1&category=age_group:M40", "player", nil), " "); got != "c a" {
		t.Errorf("in pages: %s", got)
	}
	one := s.must(200, "", "GET", "/v1/boards/b/standings/a", "")
	if one["rank"] != 4.0 || one["of"] != 4.0 || one["percentile"] != 25.0 || one["category"] != nil ||
		fmt.Sprint(one["categories"]) != "[map[category:age_group:M40 of:2 rank:2] map[category:club:a:b, c of:2 rank:2] map[category:sex:m of:1 rank:1]]" {
		t.Errorf("a is %v", one)
	}
	if in := s.must(200, "", "GET", "/v1/boards/b/standings/a?category=age_group:M40", ""); in["rank"] != 2.0 || in["of"] != 2.0 || in["category"] != "age_group:M40" {
		t.Errorf("a in the category is %v", in)
	}
	if out := s.must(200, "", "GET", "/v1/boards/b/standings/out", ""); out["rank"] != nil || out["percentile"] != nil || out["status"] != "dnf" ||
		fmt.Sprint(out["categories"]) != "[map[category:age_group:M40 of:2 rank:<nil>]]" {
		t.Errorf("out is %v", out)
	}
	if d := s.must(200, "", "GET", "/v1/boards/b/standings/d", ""); fmt.Sprint(d["categories"]) != "[]" {
		t.Errorf("d is %v", d)
	}
	for query, field := range map[string]string{"category=age_group": "category", "category=age_group:": "category", "category=none:a": "category", "category=:a": "category"} {
		for _, path := range []string{"", "/a"} {
			if w := s.send("", "GET", "/v1/boards/b/standings"+path+"?"+query, ""); w.Code != 400 || faultFields(w.Body.String()) != field {
				t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	}
	s.must(404, "", "GET", "/v1/boards/b/standings/d?category=age_group:M40", "")
	s.must(404, "", "GET", "/v1/boards/b/standings/a?category=age_group:W40", "")
	s.must(404, "", "GET", "/v1/boards/b/standings?category=age_group:W40&around=a", "")
}

// at sets the clock of the read handlers and of the database.
func (s *scoreStack) at(now time.Time) {
	s.Helper()
	s.query = web.New(web.Config{Deployable: "score-query", Verifier: callers},
		scores.Query(&score.Reader{Tables: pgscores.New(s.db.Open("score_query")), Now: func() time.Time { return now }}))
	s.clock(now.Format(time.RFC3339Nano))
}

func TestPeriodsOfABoard(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","time_zone":"Asia/Seoul","grace":"2h",
		"periods":["week","all",{"name":"spring","start":"2026-03-01T00:00:00Z","end":"2026-06-01T00:00:00Z"},{"name":"leap","cron":"0 0 29 2 *"}]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"seasons","periods":[{"name":"spring","start":"2026-03-01T00:00:00Z","end":"2026-06-01T00:00:00Z"}]}`)
	week := time.Date(2026, 4, 5, 15, 0, 0, 0, time.UTC) // a Monday's midnight in Seoul
	s.at(week.Add(time.Minute))
	for i, at := range []time.Duration{-time.Second, -time.Second, 0} {
		s.entry("b", fmt.Sprintf(`{"player":"p%d","points":%d,"occurred_at":"%s"}`, i%2, i+1, week.Add(at).Format(time.RFC3339)))
	}
	for query, want := range map[string]string{
		"":            "1:p0=4 2:p1=2",
		"period=all":  "1:p0=4 2:p1=2",
		"period=week": "1:p0=3",
		"period=week&at=2026-04-05T14:59:59.999999999Z":   "1:p1=2 2:p0=1",
		"period=week&at=2026-04-05T15:00:00Z":             "1:p0=3",
		"period=week&at=2026-04-06T00:00:00%2B09:00":      "1:p0=3",
		"period=week&at=2026-04-12T15:00:00Z":             "",
		"period=week&at=2000-01-01T00:00:00Z":             "",
		"period=spring":                                   "1:p0=4 2:p1=2",
		"period=spring&at=2026-03-01T00:00:00Z":           "1:p0=4 2:p1=2",
		"period=all&at=2000-01-01T00:00:00Z":              "1:p0=4 2:p1=2",
		"period=week&at=8999-12-31T23:59:59Z":             "",
		"period=week&at=1000-01-01T00:00:00Z":             "",
		"period=leap&at=8999-12-31T23:59:59Z":             "",
		"period=leap&at=1000-01-01T00:00:00Z":             "",
		"period=spring&players=p1":                        "2:p1=2",
		"period=week&at=2026-04-05T14:59:59Z&around=p0":   "1:p1=2 2:p0=1",
		"period=week&at=2026-04-05T14:59:59Z&country=KR":  "",
		"period=week&at=2026-04-05T14:59:59Z&min=2&max=2": "1:p1=2",
	} {
		if got := rows(t, s.must(200, "", "GET", "/v1/boards/b/standings?"+query, "")); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for _, path := range []string{"/standings", "/standings/p0"} {
		for _, at := range []string{"2026-02-28T23:59:59.999999999Z", "2026-06-01T00:00:00Z"} {
			if w := s.send("", "GET", "/v1/boards/b"+path+"?period=spring&at="+at, ""); w.Code != 404 || faultFields(w.Body.String()) != "at" {
				t.Errorf("%s outside the season: %d %s", path, w.Code, w.Body)
			}
		}
	}
	if one := s.must(200, "", "GET", "/v1/boards/b/standings/p1?period=week&at=2026-04-05T14:59:59Z", ""); one["rank"] != 1.0 || one["of"] != 2.0 {
		t.Errorf("p1 was %v", one)
	}
	s.must(404, "", "GET", "/v1/boards/b/standings/p1?period=week", "")
	if w := s.send("", "GET", "/v1/boards/seasons/standings", ""); w.Code != 200 {
		t.Errorf("in the season: %d %s", w.Code, w.Body)
	}

	// The next page is of the week of the first one.
	first := s.must(200, "", "GET", "/v1/boards/b/standings?period=week&at=2026-04-05T14:59:59Z&limit=1", "")
	s.at(week.Add(8 * 24 * time.Hour))
	if rest := s.must(200, "", "GET", "/v1/boards/b/standings?cursor="+first["next"].(string), ""); rows(t, rest) != "2:p0=1" {
		t.Errorf("the rest of the week is %v", rest)
	}

	state := func(target string) string {
		t.Helper()
		return fmt.Sprint(s.must(200, "", "GET", target, "")["period"])
	}
	const old = "/v1/boards/b/standings?period=week&at=2026-04-01T00:00:00Z"
	s.at(week.Add(2*time.Hour - time.Microsecond))
	if got := state(old); got != "map[end:2026-04-05T15:00:00Z name:week start:2026-03-29T15:00:00Z state:open]" {
		t.Errorf("within the grace: %s", got)
	}
	s.at(week.Add(2 * time.Hour))
	for _, target := range []string{old, "/v1/boards/b/standings/p0?period=week&at=2026-04-01T00:00:00Z", old + "&players=none", "/v1/boards/b/standings?period=week&at=2026-03-01T00:00:00Z"} {
		if got := state(target); !strings.HasSuffix(got, "state:closed]") {
			t.Errorf("%s after the grace: %s", target, got)
		}
	}
	if got := state("/v1/boards/b/standings"); got != "map[end:<nil> name:all start:<nil> state:open]" {
		t.Errorf("all is %s", got)
	}

	for query, want := range map[string]string{
		"":                   "week open, week closed, spring open, leap open, all open",
		"?name=week":         "week open, week closed",
		"?name=all":          "all open",
		"?name=week&limit=1": "week open",
	} {
		page := s.must(200, "", "GET", "/v1/boards/b/periods"+query, "")
		var got []string
		for i, name := range ids(t, page, "name") {
			got = append(got, name+" "+ids(t, page, "state")[i])
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("periods%s: got %v, want %s", query, got, want)
		}
	}
	if got := strings.Join(s.pages("", "/v1/boards/b/periods?limit=1", "name", nil), " "); got != "week week spring leap all" {
		t.Errorf("in pages: %s", got)
	}
	if got := ids(t, s.must(200, "", "GET", "/v1/boards/seasons/periods", ""), "name"); len(got) != 0 {
		t.Errorf("a board without entries: %v", got)
	}
}

// On a board of seasons only, the default is the season of today, else the last one,
// else the first one.
func TestSeasonOfToday(t *testing.T) {
	s := startScores(t)
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	season := func(name, start, end string) string {
		return fmt.Sprintf(`{"name":%q,"start":"%sT00:00:00Z","end":"%sT00:00:00Z"}`, name, start, end)
	}
	// In another order than that of time. Two seasons overlap.
	seasons := strings.Join([]string{season("summer", "2026-06-01", "2026-09-01"), season("spring", "2026-03-01", "2026-06-01"), season("cup", "2026-05-01", "2026-07-01")}, ",")
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":[`+seasons+`]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"weeks","periods":[`+seasons+`,"week"]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"all","periods":[`+seasons+`,"all"]}`)
	for _, board := range []string{"b", "weeks", "all"} {
		for _, at := range []string{"2026-04-01", "2026-05-15", "2026-06-15", "2026-08-01"} {
			s.at(day(at))
			for _, p := range []string{"p", "q"} {
				s.entry(board, fmt.Sprintf(`{"player":%q,"points":1,"occurred_at":"%sT00:00:00Z","profile":{"user":"u"}}`, p, at))
			}
		}
	}
	s.accepted()
	for at, want := range map[string]string{
		"2026-02-01": "spring", "2026-03-01": "spring", "2026-04-01": "spring", "2026-05-01": "spring", "2026-05-31": "spring",
		"2026-06-01": "summer", "2026-08-31": "summer", "2026-09-01": "summer", "2027-01-01": "summer",
	} {
		s.at(day(at))
		for _, target := range []string{"/v1/boards/b/standings", "/v1/boards/b/standings/p"} {
			if got := s.must(200, "", "GET", target, "")["period"].(map[string]any)["name"]; got != want {
				t.Errorf("%s on %s is of %s, want %s", target, at, got, want)
			}
		}
		listed := s.must(200, "", "GET", "/v1/players/u/standings", "")
		got := map[string]string{}
		for i, board := range ids(t, listed, "board") {
			got[board] = fmt.Sprint(listed["items"].([]any)[i].(map[string]any)["period"].(map[string]any)["name"])
		}
		// A board with other periods keeps its first one, outside of which it has no table.
		wanted := map[string]string{"b": want, "all": "all"}
		if in := want == "summer" && day(at).Before(day("2026-09-01")); in {
			wanted["weeks"] = "summer"
		} else if w := s.send("", "GET", "/v1/boards/weeks/standings", ""); w.Code != 404 || faultFields(w.Body.String()) != "at" {
			t.Errorf("weeks on %s: %d %s", at, w.Code, w.Body)
		}
		if fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("a user's standings on %s are of %v, want %v", at, got, wanted)
		}
	}
	// Between two seasons, the last one that ended.
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"gap","periods":[`+season("new", "2026-10-01", "2026-11-01")+`,`+season("older", "2026-01-01", "2026-02-01")+`,`+season("old", "2026-01-15", "2026-03-01")+`]}`)
	s.at(day("2026-05-01"))
	if got := s.must(200, "", "GET", "/v1/boards/gap/standings", "")["period"].(map[string]any)["name"]; got != "old" {
		t.Errorf("between seasons: %v", got)
	}
	s.at(day("2025-05-01"))
	if got := s.must(200, "", "GET", "/v1/boards/gap/standings", "")["period"].(map[string]any)["name"]; got != "older" {
		t.Errorf("before all seasons: %v", got)
	}

	s.at(day("2026-06-15"))
	for query, want := range map[string]string{
		"at=2026-04-01T00:00:00Z": "spring", "at=2026-05-15T00:00:00Z": "spring", "at=2026-06-15T00:00:00Z": "summer", "at=2026-08-31T23:59:59.999999999Z": "summer",
		"period=cup": "cup", "period=cup&at=2026-05-15T00:00:00Z": "cup", "period=spring&at=2026-05-15T00:00:00Z": "spring",
	} {
		if got := s.must(200, "", "GET", "/v1/boards/b/standings?"+query, "")["period"].(map[string]any)["name"]; got != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	for query, says := range map[string][]string{
		"at=2026-02-28T23:59:59Z":               {"No season", "2026-02-28T23:59:59Z"},
		"at=2026-09-01T00:00:00Z":               {"No season", "2026-09-01T00:00:00Z"},
		"period=spring":                         {"spring", "2026-03-01T00:00:00Z", "2026-06-01T00:00:00Z", "send `at` within it"},
		"period=spring&at=2026-06-01T00:00:00Z": {"spring", "2026-03-01T00:00:00Z", "2026-06-01T00:00:00Z", "send `at` within it"},
	} {
		for _, path := range []string{"", "/p"} {
			w := s.send("", "GET", "/v1/boards/b/standings"+path+"?"+query, "")
			if w.Code != 404 || faultFields(w.Body.String()) != "at" {
				t.Errorf("%s%s: %d %s", path, query, w.Code, w.Body)
			}
			for _, text := range says {
				if !strings.Contains(w.Body.String(), text) {
					t.Errorf("%s does not say %q: %s", query, text, w.Body)
				}
			}
		}
	}
	// The next page is of the season of the first one.
	for _, accept := range []string{"application/json", "text/csv"} {
		s.at(day("2026-05-31"))
		var next string
		if w := s.send("", "GET", "/v1/boards/b/standings?limit=1", "", "Accept", accept); accept == "text/csv" {
			_, next = readCSV(t, w)
		} else {
			next = "/v1/boards/b/standings?cursor=" + s.must(200, "", "GET", "/v1/boards/b/standings?limit=1", "")["next"].(string)
		}
		s.at(day("2026-06-01"))
		rest := s.must(200, "", "GET", next, "")
		if got := rest["period"].(map[string]any)["name"]; got != "spring" || rows(t, rest) != "1:q=2" {
			t.Errorf("%s, the rest is of %v: %s", accept, got, rows(t, rest))
		}
	}
}

func TestAnswersThatCachesMayKeep(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.entry("b", `{"player":"p","points":1,"profile":{"user":"u"},"metadata":{"a":1}}`)
	s.accepted()
	id := ids(t, s.must(200, "", "GET", "/v1/boards/b/entries", ""), "id")[0]
	for _, target := range []string{
		"/v1/boards", "/v1/boards/b", "/v1/boards/b/periods", "/v1/boards/b/categories", "/v1/boards/b/players", "/v1/boards/b/entries", "/v1/boards/b/entries/" + id,
		"/v1/boards/b/standings", "/v1/boards/b/standings/p", "/v1/players/u/standings", "/v1/players/u/entries",
	} {
		for _, caller := range []string{"", "owner"} {
			first := s.send(caller, "GET", target, "")
			tag := first.Header().Get("ETag")
			want := map[string]string{"": "public, max-age=5, stale-while-revalidate=30", "owner": "private, no-cache"}[caller]
			if first.Code != 200 || len(tag) != 45 || tag[0] != '"' || first.Header().Get("Cache-Control") != want || !slices.Contains(first.Header().Values("Vary"), "Authorization") {
				t.Errorf("%q %s: %d %v", caller, target, first.Code, first.Header())
			}
			if again := s.send(caller, "GET", target, ""); again.Header().Get("ETag") != tag || again.Body.String() != first.Body.String() {
				t.Errorf("%s differs from itself: %v", target, again.Header())
			}
			if head := s.send(caller, "HEAD", target, ""); head.Header().Get("ETag") != tag {
				t.Errorf("HEAD %s: %v", target, head.Header())
			}
			for match, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, strings.Trim(tag, `"`): 200,
				"w/" + tag: 200, "W/ " + tag: 200, `"x", *`: 200, "*, " + tag: 200, tag + ` "x"`: 200, "x, " + tag: 200, `"x, ` + tag: 200, ", ," + tag + ",": 304, `"a,b",` + tag: 304, " * ": 304} {
				w := s.send(caller, "GET", target, "", "If-None-Match", match)
				if w.Code != status || status == 304 && (w.Body.Len() > 0 || w.Header().Get("Content-Type") != "") || w.Header().Get("ETag") != tag ||
					w.Header().Get("Cache-Control") != want || strings.Join(w.Header().Values("Vary"), ",") != strings.Join(first.Header().Values("Vary"), ",") {
					t.Errorf("%q %s, If-None-Match %s: %d %v %s", caller, target, match, w.Code, w.Header(), w.Body)
				}
			}
			if w := s.send(caller, "GET", target, "", "If-None-Match", `"x"`, "If-None-Match", tag); w.Code != 304 {
				t.Errorf("%s, two lines: %d", target, w.Code)
			}
		}
	}
	before := s.send("", "GET", "/v1/boards/b/standings", "").Header().Get("ETag")
	s.entry("b", `{"player":"p","points":1}`)
	if w := s.send("", "GET", "/v1/boards/b/standings", "", "If-None-Match", before); w.Code != 200 {
		t.Errorf("after an entry: %d", w.Code)
	}
	for _, target := range []string{"/v1/boards/none", "/v1/boards/b/standings?limit=0", "/v1/boards/b/standings/none"} {
		if w := s.send("", "GET", target, "", "If-None-Match", "*"); w.Code < 400 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("ETag") != "" {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
	}
}

func TestBoardsAreListedAndFound(t *testing.T) {
	s := startScores(t)
	for _, b := range []string{
		`{"id":"alpha","title":"Zürich 10k"}`, `{"id":"beta","title":"alpha again"}`, `{"id":"gamma","title":"ALPHA 100%_\\"}`,
		`{"id":"hidden","title":"alpha hidden","public":false,"writers":["w"],"viewers":["v"]}`,
		`{"id":"alps","title":"alps","public":false}`, `{"id":"old","title":"alpha old"}`, `{"id":"alphabet","writers":["w","w2"],"viewers":["a"]}`,
	} {
		s.must(201, "owner", "POST", "/v1/boards", b)
	}
	s.must(200, "owner", "PATCH", "/v1/boards/old", `{"state":"archived"}`)
	s.entry("alps", `{"player":"p","points":1,"profile":{"user":"l"}}`)
	s.accepted()
	for _, c := range []struct{ caller, query, want string }{
		{"", "", "alpha alphabet beta gamma"},
		{"stranger", "", "alpha alphabet beta gamma"},
		{"viewer", "", "alpha alphabet beta gamma hidden"},
		{"writer", "", "alpha alphabet beta gamma hidden"},
		{"linked", "", "alpha alphabet alps beta gamma"},
		{"owner", "", "alpha alphabet alps beta gamma hidden"},
		{"admin", "", "alpha alphabet alps beta gamma hidden"},
		{"auditor", "", "alpha alphabet alps beta gamma hidden"},
		{"reading", "", "alpha alphabet alps beta gamma hidden"},
		{"key", "", "alpha alphabet beta gamma"},
		{"elsewhere", "", "alpha alphabet beta gamma"},
		{"owner", "mine=true", "alpha alphabet alps beta gamma hidden"},
		{"viewer", "mine=true", "hidden"},
		{"writer", "mine=true", "alphabet hidden"},
		{"writer", "mine=false", "alpha alphabet beta gamma hidden"},
		{"linked", "mine=true", ""},
		{"stranger", "mine=true", ""},
		{"admin", "mine=true", ""},
		{"auditor", "mine=true", "alphabet"},
		{"", "q=alp", "alpha alphabet beta gamma"},
		{"", "q=ALP", "alpha alphabet beta gamma"},
		{"", "q=alpha%20", "alpha alphabet gamma beta"}, // white space at the ends does not count
		{"", "q=alpha%20a", "beta"},
		{"", "q=alpha%20100%25_%5C", "gamma"},
		{"", "q=%25", ""},
		{"", "q=al_ha", ""},
		{"", "q=z%C3%9C", "alpha"},
		{"", "q=10k", ""},
		{"owner", "q=alp", "alpha alphabet alps gamma beta hidden"},
		{"linked", "q=alp", "alpha alphabet alps gamma beta"},
		{"admin", "q=alp", "alpha alphabet alps gamma beta hidden"},
		{"writer", "q=alp&mine=true", "alphabet hidden"},
	} {
		if c.query == "q=alp" || c.query == "q=ALP" {
			c.want = strings.Replace(c.want, "beta gamma", "gamma beta", 1) // by title: "alpha 1…" before "alpha a…"
		}
		page := s.must(200, c.caller, "GET", "/v1/boards?"+c.query, "")
		if got := strings.Join(ids(t, page, "id"), " "); got != c.want || page["next"] != nil {
			t.Errorf("%q %s: got %s, want %s", c.caller, c.query, got, c.want)
		}
		for limit := 1; limit <= 3; limit++ {
			if got := strings.Join(s.pages(c.caller, fmt.Sprintf("/v1/boards?limit=%d&%s", limit, c.query), "id", nil), " "); got != c.want {
				t.Errorf("%q %s in pages of %d: got %s, want %s", c.caller, c.query, limit, got, c.want)
			}
		}
		// A board can be read if and only if it is listed.
		if c.query == "" {
			for _, id := range []string{"alpha", "alphabet", "alps", "beta", "gamma", "hidden"} {
				if w := s.send(c.caller, "GET", "/v1/boards/"+id, ""); (w.Code == 200) != slices.Contains(strings.Fields(c.want), id) {
					t.Errorf("%q: list and board disagree on %s, which answers %d", c.caller, id, w.Code)
				}
			}
		}
	}
	one := s.must(200, "", "GET", "/v1/boards?q=beta", "")["items"].([]any)[0].(map[string]any)
	// A list shows all of a board but what can be large.
	whole := s.must(200, "admin", "GET", "/v1/boards/beta", "")
	for _, field := range []string{"catalogue", "owners", "writers", "viewers"} {
		if _, ok := whole[field]; !ok {
			t.Errorf("the board lacks %s", field)
		}
		delete(whole, field)
	}
	if fmt.Sprint(one) != fmt.Sprint(whole) {
		t.Errorf("listed it is %v", one)
	}
}

func TestStandingsOfAUser(t *testing.T) {
	s := startScores(t)
	for _, b := range []string{`{"id":"a","categories":["club"]}`, `{"id":"b","periods":["week"]}`, `{"id":"c"}`, `{"id":"d"}`} {
		s.must(201, "owner", "POST", "/v1/boards", b)
	}
	now := time.Date(2026, 4, 8, 0, 0, 0, 0, time.UTC)
	s.at(now)
	s.entry("a", `{"player":"rival","points":9,"profile":{"attributes":{"club":"x"}}}`)
	s.entry("a", `{"player":"bib-7","points":5,"profile":{"user":"u","attributes":{"club":"x"}},"occurred_at":"2026-04-01T00:00:00Z"}`)
	s.entry("a", `{"player":"bib-8","points":3,"profile":{"user":"u"},"occurred_at":"2026-04-03T00:00:00Z"}`)
	s.entry("b", `{"player":"u","points":1,"profile":{"user":"u"},"occurred_at":"2026-04-07T00:00:00Z"}`)
	s.entry("c", `{"player":"u","points":1,"profile":{"user":"somebody"}}`)
	s.entry("d", `{"player":"x","points":2,"profile":{"user":"u"},"occurred_at":"2026-04-02T00:00:00Z"}`)
	s.accepted()
	show := func(page map[string]any) string {
		var out []string
		for i, b := range ids(t, page, "board") {
			out = append(out, b+"/"+ids(t, page, "player")[i]+"="+ids(t, page, "rank")[i]+"of"+ids(t, page, "of")[i])
		}
		return strings.Join(out, " ")
	}
	all := s.must(200, "", "GET", "/v1/players/u/standings", "")
	if got := show(all); got != "a/bib-7=2of3 a/bib-8=3of3 b/u=1of1 d/x=1of1" || all["next"] != nil {
		t.Errorf("got %s", got)
	}
	first := all["items"].([]any)[0]
	if one := s.must(200, "", "GET", "/v1/boards/a/standings/bib-7", ""); fmt.Sprint(one) != fmt.Sprint(first) {
		t.Errorf("listed it is %v, alone %v", first, one)
	}
	for limit := 1; limit <= 4; limit++ {
		if got := strings.Join(s.pages("", fmt.Sprintf("/v1/players/u/standings?limit=%d", limit), "player", nil), " "); got != "bib-7 bib-8 u x" {
			t.Errorf("in pages of %d: %s", limit, got)
		}
		if got := strings.Join(s.pages("", fmt.Sprintf("/v1/players/u/entries?limit=%d", limit), "player", nil), " "); got != "u bib-8 x bib-7" {
			t.Errorf("entries in pages of %d: %s", limit, got)
		}
	}
	s.at(now.Add(7 * 24 * time.Hour))
	if got := show(s.must(200, "", "GET", "/v1/players/u/standings", "")); got != "a/bib-7=2of3 a/bib-8=3of3 d/x=1of1" {
		t.Errorf("the week after: %s", got)
	}
	for player, user := range map[string]string{"rival": "nobody", "u": "l"} {
		if got := show(s.must(200, "", "GET", "/v1/players/"+user+"/standings", "")); got != "" {
			t.Errorf("%s: %s", player, got)
		}
	}
}
