package scores_test

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// ids returns a field of each of a list's items, in order.
func ids(t *testing.T, page map[string]any, field string) []string {
	t.Helper()
	items, ok := page["items"].([]any)
	if !ok {
		t.Fatalf("no list: %v", page)
	}
	out := []string{}
	for _, item := range items {
		out = append(out, fmt.Sprint(item.(map[string]any)[field]))
	}
	return out
}

// pages reads a list to its end and returns a field of every item. It calls
// between after each page.
func (s *scoreStack) pages(token, target, field string, between func(page int)) []string {
	s.Helper()
	var all []string
	next := ""
	for n := range 100 {
		page := s.must(200, token, "GET", target+next, "")
		all = append(all, ids(s.T, page, field)...)
		if page["next"] == nil {
			return all
		}
		if between != nil {
			between(n)
		}
		next = "&cursor=" + page["next"].(string)
	}
	s.Fatal("the list has no end")
	return nil
}

func (s *scoreStack) setStatus(player, status string) {
	s.Helper()
	s.db.Owner().MustExec(`UPDATE players SET status = $2 WHERE id = $1`, player, status)
	s.db.Owner().MustExec(`UPDATE standings SET status = $2 WHERE player = $1`, player, status)
}

func TestEntriesAreFilteredNewestFirst(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","catalogue":{"full":42,"half":20},"writers":["w"]}`)
	for i, e := range []string{
		`{"player":"a","reason":"full","occurred_at":"2026-04-01T00:00:00Z"}`,
		`{"player":"b","reason":"half","occurred_at":"2026-04-03T00:00:00Z"}`,
		`{"player":"a","reason":"half","occurred_at":"2026-04-02T00:00:00Z"}`,
		`{"player":"a","points":-5,"kind":"adjustment","note":"n","occurred_at":"2026-04-03T00:00:00Z"}`,
		`{"player":"c","reason":"full","kind":"import","occurred_at":"2026-04-03T00:00:00.000001Z"}`,
	} {
		s.must(201, []string{"owner", "writer"}[i%2], "POST", "/v1/boards/b/entries", e)
	}
	// Ids made in the same millisecond are in no order, so ask for them.
	var order []string
	if err := s.db.Owner().Select(&order, `SELECT points || player FROM entries ORDER BY occurred_at DESC, id DESC`); err != nil {
		t.Fatal(err)
	}
	some := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(order), func(id string) bool { return !slices.Contains(names, id) })
	}
	for query, want := range map[string][]string{
		"":                                  order,
		"?player=a":                         {"-5a", "20a", "42a"},
		"?player=none":                      {},
		"?reason=full":                      {"42c", "42a"},
		"?reason=none":                      {},
		"?kind=result":                      some("42a", "20b", "20a"),
		"?kind=adjustment":                  {"-5a"},
		"?kind=import":                      {"42c"},
		"?kind=reversal":                    {},
		"?actor=user/w":                     some("20b", "-5a"),
		"?actor=key/none":                   {},
		"?player=a&actor=user/w":            {"-5a"},
		"?player=a&kind=result&reason=half": {"20a"},
		"?batch=01a20075-fb21-7f26-936d-76ca57b266da":                                   {},
		"?from=2026-04-03T00:00:00Z":                                                    some("42c", "20b", "-5a"),
		"?from=2026-04-03T00:00:00.0000001Z":                                            {"42c"},
		"?to=2026-04-03T00:00:00Z":                                                      {"20a", "42a"},
		"?to=2026-04-03T00:00:00.0000001Z":                                              some("20b", "-5a", "20a", "42a"),
		"?from=2026-04-02T09:00:00%2B09:00&to=2026-04-03T00:00:00Z":                     {"20a"},
		"?from=2026-04-03T00:00:00Z&to=2026-04-03T00:00:00Z":                            {},
		"?from=2026-04-04T00:00:00Z&to=2026-04-03T00:00:00Z":                            {},
		"?from=2026-04-01T00:00:00Z&to=2026-04-02T00:00:00Z&player=a&reason=full":       {"42a"},
		"?from=1000-01-01T00:00:00Z&to=8999-12-31T23:59:59Z&actor=user%2Fw":             some("20b", "-5a"),
		"?kind=adjustment&player=a&actor=user/w&to=2026-04-03T00:00:00.000001Z":         {"-5a"},
		"?kind=adjustment&player=a&actor=user/w&to=2026-04-03T00:00:00.000001Z&limit=1": {"-5a"},
	} {
		page := s.must(200, "writer", "GET", "/v1/boards/b/entries"+query, "")
		points, players := ids(t, page, "points"), ids(t, page, "player")
		got := []string{}
		for i := range points {
			got = append(got, points[i]+players[i])
		}
		if !slices.Equal(got, want) || page["next"] != nil {
			t.Errorf("%s: got %v and next %v, want %v", query, got, page["next"], want)
		}
	}
}

func TestListsSurviveInserts(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	add := func(n int, at string) {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p%02d","points":%d,"occurred_at":"%s"}`, n, n, at))
		s.db.Owner().MustExec(`UPDATE players SET user_id = 'u'`) // more than may be proposed in a day
	}
	var want []string
	for n := range 20 {
		add(n, fmt.Sprintf("2026-04-%02dT00:00:00Z", 1+n/3)) // several at one instant
	}
	if err := s.db.Owner().Select(&want, `SELECT id::text FROM entries ORDER BY occurred_at DESC, id DESC`); err != nil {
		t.Fatal(err)
	}
	n := 100
	newer := func(int) {
		add(n, "2026-05-01T00:00:00Z")
		n++
	}
	for _, list := range []string{"/v1/boards/b/entries?", "/v1/players/u/entries?"} {
		for _, limit := range []int{1, 3, 7, 19, 20} {
			got := s.pages("", fmt.Sprintf("%slimit=%d", list, limit), "id", newer)
			if got = got[max(0, len(got)-20):]; !slices.Equal(got, want) {
				t.Errorf("%s, pages of %d:\n got %v\nwant %v", list, limit, got, want)
			}
		}
	}
	// An item that is added behind the page appears once.
	got := s.pages("", "/v1/boards/b/entries?limit=5&to=2026-05-01T00:00:00Z", "player", func(page int) {
		if page == 0 {
			add(50, "2026-04-01T00:00:00Z")
		}
	})
	if len(got) != 21 || !slices.Contains(got, "p50") {
		t.Errorf("got %v", got)
	}
	// The same holds for standings.
	got = s.pages("", "/v1/boards/b/standings?limit=4&max=19", "player", func(page int) {
		add(n, "2026-05-01T00:00:00Z")
		n++
	})
	if len(got) != 20 || got[0] != "p19" || got[19] != "p00" {
		t.Errorf("got %v", got)
	}
}

// A cursor is opaque, safe in a URL, carries its filters and does not go with
// others.
func TestCursorsBelongToTheirList(t *testing.T) {
	s := startScores(t)
	for _, b := range []string{"b", "c", "b2"} {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+b+`"}`)
		for i := range 3 {
			s.must(201, "owner", "POST", "/v1/boards/"+b+"/entries",
				fmt.Sprintf(`{"player":"p%d","points":%d,"kind":"import","profile":{"user":"u","country":"KR"},"occurred_at":"2026-04-0%dT00:00:00Z"}`, i, i, i+1))
		}
	}
	s.accepted()
	cursor := func(target string) string {
		t.Helper()
		next, ok := s.must(200, "owner", "GET", target, "")["next"].(string)
		if !ok || url.QueryEscape(next) != next {
			t.Fatalf("%s: next is %v", target, next)
		}
		return next
	}
	entries := cursor("/v1/boards/b/entries?limit=1&kind=import&from=2026-04-01T00:00:00Z")
	table := cursor("/v1/boards/b/standings?limit=1&country=KR&min=0")
	boards := cursor("/v1/boards?limit=1&q=b")
	mine := cursor("/v1/boards?limit=1&mine=true")
	users := cursor("/v1/players/u/entries?limit=1")
	standings := cursor("/v1/players/u/standings?limit=1")
	for _, c := range []struct {
		target, field string
	}{
		{"/v1/boards/b/entries?cursor=" + entries, ""},
		{"/v1/boards/b/entries?limit=100&cursor=" + entries, ""},
		{"/v1/boards/b/entries?kind=import&cursor=" + entries, ""},
		{"/v1/boards/b/entries?kind=result&cursor=" + entries, "cursor"},
		{"/v1/boards/b/entries?player=p1&cursor=" + entries, "cursor"},
		{"/v1/boards/b/entries?kind=import&from=2026-04-02T00:00:00Z&cursor=" + entries, "cursor"},
		{"/v1/boards/c/entries?cursor=" + entries, "cursor"},
		{"/v1/boards/b/standings?cursor=" + entries, "cursor"},
		{"/v1/players/u/entries?cursor=" + entries, "cursor"},
		{"/v1/boards/b/standings?cursor=" + table, ""},
		{"/v1/boards/b/standings?period=all&country=KR&min=0&cursor=" + table, ""},
		{"/v1/boards/b/standings?country=DE&cursor=" + table, "cursor"},
		{"/v1/boards/b/standings?max=5&cursor=" + table, "cursor"},
		{"/v1/boards/b/standings?players=p1&cursor=" + table, "cursor"},
		{"/v1/boards/c/standings?cursor=" + table, "cursor"},
		{"/v1/boards?cursor=" + boards, ""},
		{"/v1/boards?q=b&cursor=" + boards, ""},
		{"/v1/boards?q=c&cursor=" + boards, "cursor"},
		{"/v1/boards?mine=true&cursor=" + boards, "cursor"},
		{"/v1/boards?mine=true&cursor=" + mine, ""},
		{"/v1/boards?mine=false&cursor=" + mine, "cursor"},
		{"/v1/players/u/entries?cursor=" + users, ""},
		{"/v1/players/v/entries?cursor=" + users, "cursor"},
		{"/v1/players/u/standings?cursor=" + users, "cursor"},
		{"/v1/players/u/standings?cursor=" + standings, ""},
		{"/v1/players/v/standings?cursor=" + standings, "cursor"},
	} {
		w := s.send("owner", "GET", c.target, "")
		if c.field == "" && w.Code != 200 || c.field != "" && (w.Code != 400 || faultFields(w.Body.String()) != c.field) {
			t.Errorf("%s: got %d %s, want %q", c.target, w.Code, w.Body, c.field)
		}
	}
	// The filters come from the cursor.
	if rest := s.must(200, "", "GET", "/v1/boards/b/standings?cursor="+table, ""); fmt.Sprint(ids(t, rest, "player")) != "[p1 p0]" {
		t.Errorf("the rest is %v", rest)
	}
	// A client cannot make a cursor: each of these was changed.
	for target, docs := range map[string][]string{
		"/v1/boards/b/entries": {
			`{"l":"entries/b","p":{"o":"2026-04-01T00:00:00Z","i":"x"}}`,
			`{"l":"entries/b","p":{"o":"8999-12-31T23:59:59-23:00","i":"01a20075-fb21-7f26-936d-76ca57b266da"}}`,
			`{"l":"entries/b","p":{"o":1,"i":"01a20075-fb21-7f26-936d-76ca57b266da"}}`,
			`{"l":"entries/b","f":{"player":"a b"},"p":{"o":"2026-04-01T00:00:00Z","i":"01a20075-fb21-7f26-936d-76ca57b266da"}}`,
			`{"l":"entries/b","f":{"from":"x"},"p":{"o":"2026-04-01T00:00:00Z","i":"01a20075-fb21-7f26-936d-76ca57b266da"}}`,
			`{"l":"entries/b","f":{"reason":"a\u0000"},"p":{"o":"2026-04-01T00:00:00Z","i":"01a20075-fb21-7f26-936d-76ca57b266da"}}`,
			`{"l":"entries/b","p":null}`, `{"l":"entries/b"}`, `null`, `{}`, `[]`,
		},
		"/v1/boards":              {`{"l":"boards","p":{"t":true,"k":"\u0000","i":"b"}}`, `{"l":"boards","p":{"k":"b","i":"\u0000"}}`, `{"l":"boards","f":{"mine":"x"},"p":{"k":"b","i":"b"}}`, `{"l":"boards","f":{"q":"a\u0000"},"p":{"k":"b","i":"b"}}`},
		"/v1/boards/b/periods":    {`{"l":"periods/b","p":{"s":"2026-04-01T00:00:00Z","n":"\u0000"}}`},
		"/v1/boards/b/players":    {`{"l":"players/b","p":{"p":"\u0000"}}`, `{"l":"players/b","p":{"p":"a b"}}`, `{"l":"players/b","p":{"n":"\u0000","p":"p"}}`, `{"l":"players/b","f":{"status":"x"},"p":{"p":"p"}}`, `{"l":"players/b","p":{"p":1}}`},
		"/v1/boards/b/categories": {`{"l":"categories/b","p":{"n":1,"v":"\u0000"}}`, `{"l":"categories/b","p":{"n":"1","v":"a"}}`},
		"/v1/players/u/standings": {`{"l":"standings of/u","p":{"b":"\u0000","p":"p"}}`},
		"/v1/boards/b/standings":  {`{"l":"standings/b","f":{"category":"c:\u0000"},"p":{"s":1,"t":0,"r":"2026-04-01T00:00:00Z","p":"p"}}`, `{"l":"standings/b","p":{"s":1,"t":0,"r":"2026-04-01T00:00:00Z","p":"\u0000"}}`, `{"l":"standings/b","p":{"s":1e30,"t":0,"r":"2026-04-01T00:00:00Z","p":"p"}}`},
	} {
		for _, doc := range docs {
			w := s.send("owner", "GET", target+"?cursor="+base64.RawURLEncoding.EncodeToString([]byte(doc)), "")
			if w.Code != 400 || !strings.HasPrefix(faultFields(w.Body.String()), "cursor") {
				t.Errorf("%s %s: got %d %s", target, doc, w.Code, w.Body)
			}
		}
	}
}

func TestListsThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	long := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		list, field string
		values      []string
	}{
		{"/v1/boards/b/entries", "player", []string{"", "a%20b", ".a", "%00", "%ff", long(65), "a,b"}},
		{"/v1/boards/b/entries", "batch", []string{"", "1", "01A20075-fb21-7f26-936d-76ca57b266da", "01a20075fb217f26936d76ca57b266da"}},
		{"/v1/boards/b/entries", "actor", []string{"", "u1", "user/", "users/1", "user/a%20b", "user/" + long(65)}},
		{"/v1/boards/b/entries", "reason", []string{"", "%20", long(81), "%00"}},
		{"/v1/boards/b/entries", "kind", []string{"", "Result", "results", "1"}},
		{"/v1/boards/b/entries", "from", []string{"", "1", "2026-04-01", "2026-04-01T00:00:00", "2026-04-01T00:00:00+09:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "9000-01-01T00:00:00Z", "yesterday"}},
		{"/v1/boards/b/entries", "to", []string{"", "1", "2026-04-01", "2026-13-01T00:00:00Z", "9000-01-01T00:00:00Z"}},
		{"/v1/boards/b/entries", "limit", []string{"", "0", "101", "-1", "1.0", "ten", "99999999999999999999"}},
		{"/v1/boards/b/entries", "cursor", []string{"", "x", "%27", "bnVsbA=="}},
		{"/v1/boards/b/entries", "order", []string{"asc"}},
		{"/v1/boards/b/standings", "limit", []string{"", "0", "1001", "ten"}},
		{"/v1/boards/b/standings", "period", []string{"", "none", "All"}},
		{"/v1/boards/b/standings", "at", []string{"", "now", "2026-04-01", "0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "9000-01-01T00:00:00Z"}},
		{"/v1/boards/b/standings", "category", []string{"", "club:a", "club"}},
		{"/v1/boards/b/standings", "around", []string{"", "a%20b", long(65)}},
		{"/v1/boards/b/standings", "players", []string{"", ",", "a,,b", "a,", "a%20b", "a," + long(65), strings.Repeat("a,", 2) + "%00"}},
		{"/v1/boards/b/standings", "min", []string{"", "x", "1.5", "9007199254740992", "-9007199254740992", "1e3"}},
		{"/v1/boards/b/standings", "max", []string{"", "x", "1.5", "9007199254740992", "-9007199254740992"}},
		{"/v1/boards/b/standings", "country", []string{"", "zz", "KOR", "K", "K1", "%20KR"}},
		{"/v1/boards/b/standings", "as_of", []string{"2026-04-01T00:00:00Z"}},
		{"/v1/boards/b/standings/p", "period", []string{"", "none"}},
		{"/v1/boards/b/standings/p", "at", []string{"", "now"}},
		{"/v1/boards/b/standings/p", "category", []string{"", "club:a"}},
		{"/v1/boards/b/standings/p", "country", []string{"KR"}},
		{"/v1/boards/b/periods", "name", []string{"", "none"}},
		{"/v1/boards/b/periods", "limit", []string{"0", "101"}},
		{"/v1/boards/b/periods", "cursor", []string{"x"}},
		{"/v1/boards/b/players", "status", []string{"", ",", "Ranked", "dnf,", "dnf,none", "%00"}},
		{"/v1/boards/b/players", "q", []string{"", long(81), "%00", "%ff"}},
		{"/v1/boards/b/players", "category", []string{"", "club:a", "club"}},
		{"/v1/boards/b/players", "limit", []string{"", "0", "101", "ten"}},
		{"/v1/boards/b/players", "cursor", []string{"", "x", "bnVsbA=="}},
		{"/v1/boards/b/players", "country", []string{"KR"}},
		{"/v1/boards/b/categories", "name", []string{"", "club"}},
		{"/v1/boards/b/categories", "limit", []string{"0", "101"}},
		{"/v1/boards/b/categories", "cursor", []string{"x"}},
		{"/v1/boards", "mine", []string{"", "1", "yes", "True"}},
		{"/v1/boards", "q", []string{"", long(201), "%00", "%ff"}},
		{"/v1/boards", "limit", []string{"0", "101"}},
		{"/v1/boards", "cursor", []string{"x"}},
		{"/v1/boards", "public", []string{"true"}},
		{"/v1/players/u/entries", "limit", []string{"0", "101"}},
		{"/v1/players/u/entries", "player", []string{"p"}},
		{"/v1/players/u/standings", "limit", []string{"0", "101"}},
		{"/v1/players/u/standings", "period", []string{"all"}},
	} {
		for _, value := range c.values {
			w := s.send("owner", "GET", c.list+"?"+c.field+"="+value, "")
			if w.Code != 400 || faultFields(w.Body.String()) != c.field {
				t.Errorf("%s?%s=%.80s: got %d %s", c.list, c.field, value, w.Code, w.Body)
			}
		}
		if w := s.send("owner", "GET", c.list+"?"+c.field+"=a&"+c.field+"=a", ""); w.Code != 400 || !strings.Contains(faultFields(w.Body.String()), c.field) {
			t.Errorf("%s with two of %s: got %d %s", c.list, c.field, w.Code, w.Body)
		}
	}
	for target, status := range map[string]int{
		"/v1/boards/none/entries": 404, "/v1/boards/none/periods": 404, "/v1/boards/none/players": 404, "/v1/boards/none/categories": 404, "/v1/boards/a%2Fb/entries": 404,
		"/v1/players/a%20b/entries": 404, "/v1/players/%00/standings": 404, "/v1/players/u/": 404, "/v1/players/u": 404,
		"/v1/players/nobody/entries": 200, "/v1/players/nobody/standings": 200,
	} {
		if w := s.send("", "GET", target, ""); w.Code != status {
			t.Errorf("%s: got %d %s, want %d", target, w.Code, w.Body, status)
		}
	}
	if w := s.send("", "GET", "/v1/boards?mine=true", ""); w.Code != 401 {
		t.Errorf("mine without a token: %d", w.Code)
	}
}

// Only the board's writers and the player see an entry's metadata; only writers
// see hidden players.
func TestVisibilityOfEntries(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"open","writers":["w"],"viewers":["v"]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"closed","writers":["w"],"viewers":["v"],"public":false}`)
	for _, b := range []string{"open", "closed"} {
		for _, p := range []string{`"player":"p","profile":{"user":"l"}`, `"player":"q","profile":{"user":"x"}`, `"player":"hidden","profile":{"user":"x"}`} {
			s.must(201, "owner", "POST", "/v1/boards/"+b+"/entries", `{`+p+`,"points":1,"metadata":{"time":1}}`)
		}
	}
	s.accepted()
	s.setStatus("hidden", "hidden")
	for caller, want := range map[string][2]string{ // per board: the list, with a + for metadata
		"":          {"p q", "404"},
		"stranger":  {"p q", "404"},
		"viewer":    {"p q", "p q"},
		"linked":    {"p+ q", "p+ q"},
		"writer":    {"hidden+ p+ q+", "hidden+ p+ q+"},
		"owner":     {"hidden+ p+ q+", "hidden+ p+ q+"},
		"admin":     {"hidden+ p+ q+", "hidden+ p+ q+"},
		"auditor":   {"hidden+ p+ q+", "hidden+ p+ q+"},
		"reading":   {"hidden+ p+ q+", "hidden+ p+ q+"},
		"elsewhere": {"p q", "404"},
	} {
		for i, b := range []string{"open", "closed"} {
			show := func(target string) string {
				w := s.send(caller, "GET", target, "")
				if w.Code != 200 {
					return fmt.Sprint(w.Code)
				}
				var page struct {
					Items []struct {
						Board, Player string
						Metadata      json.RawMessage
					}
				}
				if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
					t.Fatal(err)
				}
				var seen []string
				for _, e := range page.Items {
					if e.Board == b {
						seen = append(seen, e.Player+map[bool]string{true: "+"}[e.Metadata != nil])
					}
				}
				slices.Sort(seen)
				return strings.Join(seen, " ")
			}
			if got := show("/v1/boards/" + b + "/entries"); got != want[i] {
				t.Errorf("%q sees on %s: %s, want %s", caller, b, got, want[i])
			}
			// The user's own lists show the same.
			mine := strings.Join(strings.Fields(show("/v1/players/l/entries")+" "+show("/v1/players/x/entries")), " ")
			parts := strings.Fields(mine)
			slices.Sort(parts)
			wanted := want[i]
			if wanted == "404" {
				wanted = ""
			}
			if got := strings.Join(parts, " "); got != wanted {
				t.Errorf("%q sees of the users' entries on %s: %s, want %s", caller, b, got, wanted)
			}
			standings := strings.Fields(show("/v1/players/l/standings") + " " + show("/v1/players/x/standings"))
			slices.Sort(standings)
			if got, want := strings.Join(standings, " "), strings.ReplaceAll(wanted, "+", ""); got != want {
				t.Errorf("%q sees of the users' standings on %s: %s, want %s", caller, b, got, want)
			}
			if got := show("/v1/boards/" + b + "/entries?player=hidden"); got != "404" && (got == "") == strings.Contains(want[i], "hidden") {
				t.Errorf("%q sees of the hidden player on %s: %s", caller, b, got)
			}
			for _, path := range []string{"/standings", "/standings/p", "/periods", "/players", "/categories", ""} {
				if w := s.send(caller, "GET", "/v1/boards/"+b+path, ""); (w.Code == 404) != (want[i] == "404") {
					t.Errorf("%q, %s of %s: %d", caller, path, b, w.Code)
				}
			}
			if w := s.send(caller, "GET", "/v1/boards/"+b+"/standings/hidden", ""); (w.Code == 200) != strings.Contains(want[i], "hidden") {
				t.Errorf("%q, the hidden player's standing on %s: %d", caller, b, w.Code)
			}
		}
	}
}

// A page of the largest entries stays below the load balancer's 1 MB, with all
// escapes counted.
func TestLargeEntriesStayBelowTheLimit(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	metadata := `{"a":"` + strings.Repeat(`\"`, (4096-8)/2) + `"}`
	note := strings.Repeat(`\"`, 500)
	for range 100 {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"note":"`+note+`","metadata":`+metadata+`}`)
	}
	for _, accept := range []string{"application/json", "text/csv"} {
		seen, target := 0, "/v1/boards/b/entries?limit=100"
		for target != "" {
			w := s.send("owner", "GET", target, "", "Accept", accept)
			// In a function's answer the body is a JSON string.
			sent, err := json.Marshal(w.Body.String())
			if err != nil || w.Code != 200 || len(sent) > 710_000 {
				t.Fatalf("%s: %d, a page of %d bytes (%v)", accept, w.Code, len(sent), err)
			}
			if accept == "text/csv" {
				rows, next := readCSV(t, w)
				seen, target = seen+len(rows)-1, next
				continue
			}
			var page struct {
				Items []json.RawMessage
				Next  string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
				t.Fatal(err)
			}
			seen, target = seen+len(page.Items), ""
			if page.Next != "" {
				target = "/v1/boards/b/entries?limit=100&cursor=" + page.Next
			}
		}
		if seen != 100 {
			t.Errorf("%s: %d entries on all pages", accept, seen)
		}
	}
}

// readCSV returns a page's rows and the address of the next page.
func readCSV(t *testing.T, w *httptest.ResponseRecorder) (rows [][]string, next string) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "text/csv; charset=utf-8; header=present" {
		t.Fatalf("got %d %s %s", w.Code, got, w.Body)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if link := w.Header().Get("Link"); link != "" {
		address, rel, _ := strings.Cut(link, ">")
		if next = strings.TrimPrefix(address, "<"); rel != `; rel="next"` {
			t.Fatalf("the link is %s", link)
		}
	}
	return rows, next
}

// Entries keep their places, so a list of them is whole whatever is added while it
// is read.
func TestEntriesAreListedWholeWhileOthersAreAdded(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	add := func(points int, at string) {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p","points":%d,"occurred_at":"2026-04-%sZ","profile":{"user":"u"}}`, points, at))
		s.accepted()
	}
	for _, target := range []string{"/v1/boards/b/entries?limit=1", "/v1/boards/b/entries?limit=1&player=p", "/v1/players/u/entries?limit=1"} {
		s.db.Owner().MustExec(`TRUNCATE entries, players, runs, standings, outbox CASCADE`)
		for i := range 4 {
			add(i, fmt.Sprintf("0%dT00:00:00", i+1))
		}
		got := s.pages("owner", target, "points", func(page int) {
			if page == 1 { // the page ended at 2
				add(10, "09T00:00:00")        // passed
				add(11, "03T00:00:00.000001") // passed
				add(12, "02T12:00:00")        // ahead
			}
		})
		if fmt.Sprint(got) != "[3 2 12 1 0]" {
			t.Errorf("%s: %v", target, got)
		}
	}
}

// A page of standings is exact at its moment. The guide says that players who move
// past the place where a page ended are missed or repeat.
func TestStandingsMoveBetweenPages(t *testing.T) {
	for name, c := range map[string]struct {
		entry, want string
		ranks       string
	}{
		"nobody moves":                     {`{"player":"p4","points":0}`, "[p4 p3 p2 p1]", "[1 2 3 4]"},
		"a player moves up, and is missed": {`{"player":"p1","points":100}`, "[p4 p3 p2]", "[1 3 4]"},
		"a player moves down, and repeats": {`{"player":"p4","points":-25,"kind":"adjustment","note":"n"}`, "[p4 p3 p2 p4 p1]", "[1 1 2 3 4]"},
		"a player moves within the rest":   {`{"player":"p1","points":15}`, "[p4 p3 p1 p2]", "[1 2 3 4]"},
		"a new player comes before":        {`{"player":"p5","points":50}`, "[p4 p3 p2 p1]", "[1 3 4 5]"},
		"a new player comes after":         {`{"player":"p0","points":1}`, "[p4 p3 p2 p1 p0]", "[1 2 3 4 5]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startScores(t)
			s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
			for i := 1; i <= 4; i++ {
				s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p%d","points":%d}`, i, 10*i))
			}
			var players, ranks []string
			next := ""
			for page := 0; ; page++ {
				got := s.must(200, "owner", "GET", "/v1/boards/b/standings?limit=1"+next, "")
				players, ranks = append(players, ids(t, got, "player")...), append(ranks, ids(t, got, "rank")...)
				if got["next"] == nil {
					break
				}
				if page == 0 {
					s.must(201, "owner", "POST", "/v1/boards/b/entries", c.entry)
				}
				next = "&cursor=" + got["next"].(string)
			}
			if fmt.Sprint(players) != c.want || fmt.Sprint(ranks) != c.ranks {
				t.Errorf("%v with the ranks %v, want %s with %s", players, ranks, c.want, c.ranks)
			}
		})
	}
}
