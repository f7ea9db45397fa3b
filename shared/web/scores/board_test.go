package scores_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestBoardComesBackAsItWasMade(t *testing.T) {
	s := startScores(t)
	made := s.must(201, "stranger", "POST", "/v1/boards", `{"id":"a-0","title":"Ä","combine":"best","order":"asc","ties":"shared","periods":["all"],
		"categories":[],"time_zone":"Asia/Seoul","catalogue":{"full":42,"dnf":0},"min":-9007199254740991,"max":9007199254740991,"daily_cap":null,"decimals":3,
		"unit":"duration_ms","grace":"1h30m","players":"any","public":false,"owners":["o","o"],"writers":["w"],"viewers":["v"],"state":"open"}`)
	created := made["created_at"]
	if made["opened_at"] != created {
		t.Errorf("it was opened at %v and created at %v", made["opened_at"], created)
	}
	delete(made, "created_at")
	delete(made, "opened_at")
	text, _ := json.Marshal(made)
	const want = `{"catalogue":{"dnf":0,"full":42},"categories":[],"combine":"best","daily_cap":null,"decimals":3,"floor":null,"grace":"1h30m","id":"a-0","max":9007199254740991,"min":-9007199254740991,"order":"asc","owners":["o","s"],"periods":["all"],"players":"any","public":false,"state":"open","ties":"shared","time_zone":"Asia/Seoul","title":"Ä","unit":"duration_ms","version":1,"viewers":["v"],"writers":["w"]}`
	if string(text) != want && strings.ReplaceAll(string(text), "9007199254740991", "9.007199254740991e+15") != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	got := s.must(200, "owner", "GET", "/v1/boards/a-0", "")
	if got["created_at"] != created || fmt.Sprint(got["owners"]) != "[o s]" {
		t.Errorf("read again it is %v", got)
	}
	if w := s.send("owner", "POST", "/v1/boards", `{"id":"a-0"}`); w.Code != 409 || !strings.Contains(w.Body.String(), "id-unavailable") || faultFields(w.Body.String()) != "id" {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}

	// A change that changes nothing makes neither a version nor an event; any other makes both.
	if b := s.must(200, "owner", "PATCH", "/v1/boards/a-0", `{"title":"Ä","owners":["o","s"]}`); b["version"] != 1.0 {
		t.Errorf("a change of nothing made version %v", b["version"])
	}
	b := s.must(200, "owner", "PATCH", "/v1/boards/a-0", `{"title":"B","catalogue":null,"max":null,"grace":"0s","public":true,"state":"archived"}`)
	if b["version"] != 2.0 || b["title"] != "B" || b["catalogue"] != nil || b["max"] != nil || b["grace"] != "0s" || b["public"] != true || b["state"] != "archived" || b["created_at"] != created {
		t.Errorf("changed it is %v", b)
	}
	var events []string
	if err := s.db.Owner().Select(&events, `SELECT concat_ws(' ', type, subject, actor, data) FROM outbox ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || !strings.HasPrefix(events[0], `plaudit.board.created board/a-0 user/s {`) ||
		!strings.HasPrefix(events[1], `plaudit.board.updated board/a-0 user/o {`) ||
		!strings.Contains(events[1], `"title": {"to": "B", "from": "Ä"}`) || strings.Contains(events[1], `"combine"`) {
		t.Errorf("the events are %q", events)
	}
}

func TestBoardsThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","min":5,"max":10}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"capped","daily_cap":5}`)
	many := func(n int) string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf(`"u%d"`, i)
		}
		return "[" + strings.Join(ids, ",") + "]"
	}
	reasons := make([]string, 1001)
	for i := range reasons {
		reasons[i] = fmt.Sprintf(`"r%d":1`, i)
	}
	before := s.written()
	for field, values := range map[string][]string{
		"title":            {`1`, `null`, `""`, `" "`, `"` + strings.Repeat("é", 201) + `"`, `"a\u0000"`},
		"combine":          {`1`, `null`, `""`, `"max"`, `"Sum"`},
		"order":            {`1`, `null`, `"up"`},
		"ties":             {`true`, `null`, `"none"`},
		"periods":          {`"all"`, `null`, `[]`, `["all","day","week","month",` + strings.TrimSuffix(strings.Repeat(`{"name":"s","cron":"0 0 * * *"},`, 5), ",") + `]`},
		"periods[0]":       {`[1]`, `[null]`, `["year"]`, `[""]`, `[[]]`, `[{"name":"s"}]`},
		"periods[1]":       {`["all","all"]`, `["all","All"]`},
		"periods[0].name":  {`[{"cron":"0 0 * * *"}]`, `[{"name":1,"cron":"0 0 * * *"}]`, `[{"name":"day","cron":"0 0 * * *"}]`, `[{"name":"` + strings.Repeat("é", 41) + `","cron":"0 0 * * *"}]`},
		"periods[1].name":  {`[{"name":"s","cron":"0 0 * * *"},{"name":"s","cron":"0 1 * * *"}]`},
		"periods[0].cron":  {`[{"name":"s","cron":1}]`, `[{"name":"s","cron":null}]`, `[{"name":"s","cron":""}]`, `[{"name":"s","cron":"0 0 * *"}]`, `[{"name":"s","cron":"0 0 0 * * *"}]`, `[{"name":"s","cron":"@daily"}]`, `[{"name":"s","cron":"TZ=UTC 0 0 * * *"}]`, `[{"name":"s","cron":"TZ= 0 0 * *"}]`, `[{"name":"s","cron":"1,, 0 * * *"}]`, `[{"name":"s","cron":"+5 0 * * *"}]`, `[{"name":"s","cron":"0 0 */32 * *"}]`, `[{"name":"s","cron":"5/15 0 * * *"}]`, `[{"name":"s","cron":"60 0 * * *"}]`, `[{"name":"s","cron":"0 0 30 2 *"}]`, `[{"name":"s","cron":"0 0 * * *","start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z"}]`, `[{"name":"s","cron":"0 0 * * ` + strings.Repeat("1,", 50) + `1"}]`},
		"periods[0].start": {`[{"name":"s","end":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":"1999-12-31T23:59:59Z","end":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":"2025-01-01","end":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":"2025-01-01T00:00:00.0000001Z","end":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":null,"end":"2026-01-01T00:00:00Z"}]`},
		"periods[0].end":   {`[{"name":"s","start":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:00Z"}]`, `[{"name":"s","start":"2026-01-01T00:00:00Z","end":"3000-01-01T00:00:00Z"}]`, `[{"name":"s","start":"2026-01-01T00:00:00Z","end":1}]`},
		"periods[0].x":     {`[{"name":"s","cron":"0 0 * * *","x":1}]`},
		"categories":       {`"x"`, `null`, `["a","b","c","d","e"]`},
		"categories[0]":    {`[1]`, `[""]`, `["a:b"]`, `["` + strings.Repeat("é", 41) + `"]`},
		"categories[1]":    {`["a","a"]`},
		"time_zone":        {`1`, `null`, `""`, `"Local"`, `"Seoul"`, `"+09:00"`, `"../x"`},
		"catalogue":        {`1`, `[]`, `{` + strings.Join(reasons, ",") + `}`},
		"catalogue.a":      {`{"a":"1"}`, `{"a":1.5}`, `{"a":null}`, `{"a":9007199254740992}`},
		"min":              {`"1"`, `null`, `1.0`, `-9007199254740992`},
		"max":              {`"1"`, `1.5`, `9007199254740992`, `-1`},
		"daily_cap":        {`"1"`, `-1`, `9007199254740992`, `0.5`},
		"decimals":         {`"1"`, `null`, `-1`, `7`, `1.0`},
		"unit":             {`1`, `null`, `"seconds"`},
		"grace":            {`24`, `null`, `""`, `"24"`, `"-1s"`, `"8784h1s"`, `"1.5s"`, `"99999999999h"`},
		"players":          {`1`, `null`, `"some"`, `"Registered"`},
		"public":           {`"true"`, `null`, `1`},
		"owners":           {`"o"`, `null`, `{}`, many(101)},
		"owners[1]":        {`["a",1]`, `["a",null]`, `["a",""]`, `["a","b c"]`},
		"writers":          {`"o"`, `null`, many(101)},
		"viewers[0]":       {`[""]`, `[1]`},
		"state":            {`1`, `null`, `"open "`},
		"version":          {`2`},
		"created_at":       {`"2026-01-01T00:00:00Z"`},
		"something_else":   {`1`},
	} {
		name, _, _ := strings.Cut(strings.NewReplacer("[", ".").Replace(field), ".")
		for _, value := range values {
			for _, try := range []struct{ method, target, body string }{
				{"POST", "/v1/boards", `{"id":"new","` + name + `":` + value + `}`},
				{"PATCH", "/v1/boards/b", `{"` + name + `":` + value + `}`},
			} {
				w := s.send("owner", try.method, try.target, try.body)
				if w.Code != 400 || faultFields(w.Body.String()) != field {
					t.Errorf("%s %.150s: got %d %.300s, want a 400 for %s", try.method, try.body, w.Code, w.Body, field)
				}
			}
		}
	}
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		field                      string
	}{
		{"no id", "POST", "/v1/boards", `{}`, 400, "id"},
		{"no id but null", "POST", "/v1/boards", `{"id":null}`, 400, "id"},
		{"a number for an id", "POST", "/v1/boards", `{"id":1}`, 400, "id"},
		{"capitals", "POST", "/v1/boards", `{"id":"A","title":"x"}`, 400, "id"},
		{"a long id", "POST", "/v1/boards", `{"id":"` + strings.Repeat("a", 64) + `","title":"x"}`, 400, "id"},
		{"a slash", "POST", "/v1/boards", `{"id":"a/b","title":"x"}`, 400, "id"},
		{"all faults together", "POST", "/v1/boards", `{"id":"new","title":"","combine":"x","grace":"x"}`, 400, "grace title combine"},
		{"an id cannot change", "PATCH", "/v1/boards/b", `{"id":"c"}`, 400, "id"},
		{"max below min", "PATCH", "/v1/boards/b", `{"max":4}`, 400, "max"},
		{"min above max", "PATCH", "/v1/boards/b", `{"min":11}`, 400, "min"},
		{"both", "PATCH", "/v1/boards/b", `{"min":12,"max":11}`, 400, "max"},
		{"best where a cap is", "PATCH", "/v1/boards/capped", `{"combine":"best"}`, 400, "combine"},
		{"a cap on best", "PATCH", "/v1/boards/b", `{"combine":"best","daily_cap":5}`, 400, "daily_cap"},
		{"no owner left", "PATCH", "/v1/boards/b", `{"owners":[]}`, 400, "owners"},
		{"no such board", "PATCH", "/v1/boards/none", `{"title":"x"}`, 404, ""},
		{"a slash in the path", "PATCH", "/v1/boards/a%2Fb", `{"title":"x"}`, 404, ""},
		{"an unknown parameter", "PATCH", "/v1/boards/b?x=1", `{"title":"x"}`, 400, "x"},
		{"an unknown parameter", "POST", "/v1/boards?x=1", `{"id":"new"}`, 400, "x"},
	} {
		w := s.send("owner", c.method, c.target, c.body)
		if w.Code != c.status || faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %.300s, want %d for %s", c.name, w.Code, w.Body, c.status, c.field)
		}
	}
	if after := s.written(); after != before {
		t.Errorf("refusals wrote:\n%s\n%s", before, after)
	}
}

func TestFrozenFieldsOfABoardInUse(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	for field, value := range map[string]string{
		"combine": `"best"`, "order": `"asc"`, "ties": `"shared"`, "time_zone": `"Asia/Seoul"`, "decimals": `1`, "grace": `"1h"`,
	} {
		w := s.send("owner", "PATCH", "/v1/boards/b", `{"`+field+`":`+value+`,"title":"x"}`)
		if w.Code != 409 || faultFields(w.Body.String()) != field || !strings.Contains(w.Body.String(), "board-in-use") {
			t.Errorf("%s: got %d %s", field, w.Code, w.Body)
		}
	}
	if b := s.must(200, "owner", "PATCH", "/v1/boards/b", `{"combine":"sum","catalogue":{"full":42},"min":1,"max":2,"public":false,"unit":"duration_ms"}`); b["version"] != 2.0 || b["title"] != "b" {
		t.Errorf("the board is %v", b)
	}
}

// A player of a board with registered players belongs to the user with that id.
func TestPlayersDoNotBecomeRegistered(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"players":"registered"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"players":"any"}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/01a20075-fb21-7f26-936d-76ca57b266da", `{"user":"someone-else"}`)
	w := s.send("owner", "PATCH", "/v1/boards/b", `{"players":"registered","title":"x"}`)
	if w.Code != 409 || faultFields(w.Body.String()) != "players" || !strings.Contains(w.Body.String(), "board-in-use") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if b := s.must(200, "owner", "PATCH", "/v1/boards/b", `{"title":"x"}`); b["players"] != "any" {
		t.Errorf("the board is %v", b)
	}
}

func TestWhoMay(t *testing.T) {
	s := startScores(t)
	for _, c := range []struct {
		public                      bool
		caller                      string
		read, change, add, metadata int // statuses; metadata 1: it is shown
	}{
		{true, "", 200, 401, 401, 0},
		{true, "stranger", 200, 403, 403, 0},
		{true, "linked", 200, 403, 403, 1},
		{true, "viewer", 200, 403, 403, 0},
		{true, "writer", 200, 403, 201, 1},
		{true, "owner", 200, 200, 201, 1},
		{true, "auditor", 200, 403, 403, 1},
		{true, "admin", 200, 200, 201, 1},
		{true, "key", 200, 403, 201, 0},
		{true, "reading", 200, 403, 403, 1},
		{true, "elsewhere", 200, 403, 403, 0},
		{true, "nonsense", 401, 401, 401, 0},
		{false, "", 404, 401, 401, 0},
		{false, "stranger", 404, 404, 404, 0},
		{false, "linked", 200, 403, 403, 1},
		{false, "viewer", 200, 403, 403, 0},
		{false, "writer", 200, 403, 201, 1},
		{false, "owner", 200, 200, 201, 1},
		{false, "auditor", 200, 403, 403, 1},
		{false, "admin", 200, 200, 201, 1},
		{false, "key", 403, 403, 201, 0},
		{false, "reading", 200, 403, 403, 1},
		{false, "elsewhere", 404, 404, 404, 0},
	} {
		name := fmt.Sprintf("%s, public %t", c.caller, c.public)
		id := "b"
		if _, ok := s.board(id); !ok {
			s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w","a"],"viewers":["v"]}`)
			s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"metadata":{"secret":1},"profile":{"user":"l"}}`, "Idempotency-Key", "first")
			s.accepted()
		}
		s.must(200, "owner", "PATCH", "/v1/boards/b", fmt.Sprintf(`{"public":%t}`, c.public))
		entry := s.must(200, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"metadata":{"secret":1},"profile":{"user":"l"}}`, "Idempotency-Key", "first")
		for _, target := range []string{"/v1/boards/b", "/v1/boards/b/standings", "/v1/boards/b/standings/p", "/v1/boards/b/entries/" + entry["id"].(string)} {
			w := s.send(c.caller, "GET", target, "")
			if w.Code != c.read {
				t.Errorf("%s reads %s: %d %s", name, target, w.Code, w.Body)
			}
			if strings.Contains(target, "entries") && strings.Contains(w.Body.String(), "secret") != (c.metadata == 1) {
				t.Errorf("%s sees the metadata: %s", name, w.Body)
			}
		}
		if w := s.send(c.caller, "PATCH", "/v1/boards/b", `{"title":"`+c.caller+`!"}`); w.Code != c.change {
			t.Errorf("%s changes it: %d %s", name, w.Code, w.Body)
		}
		if w := s.send(c.caller, "POST", "/v1/boards/b/entries", `{"player":"q","points":1}`); w.Code != c.add {
			t.Errorf("%s adds: %d %s", name, w.Code, w.Body)
		}
	}
	for caller, status := range map[string]int{"": 401, "writer": 403, "auditor": 403, "key": 403, "reading": 403, "elsewhere": 403, "stranger": 201, "admin": 201} {
		if w := s.send(caller, "POST", "/v1/boards", `{"id":"by-`+caller+`x"}`); w.Code != status {
			t.Errorf("%s makes a board: %d %s", caller, w.Code, w.Body)
		}
	}
	if w := s.send("elsewhere", "POST", "/v1/boards", `{"id":"other"}`); w.Code != 201 {
		t.Errorf("a key for a board that does not exist yet: %d %s", w.Code, w.Body)
	}
}

// Limits and indexes are those of the lists as they were sent; the creator, whom
// nobody has to list, counts too.
func TestPeopleOfANewBoardAreCountedAsSent(t *testing.T) {
	s := startScores(t)
	people := func(n int, more ...string) string {
		list := slices.Clone(more)
		for i := range n {
			list = append(list, fmt.Sprintf("u%d", i))
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const alone, including = "must list at most 100 users", "must list at most 100 users, including you, who create the board and become an owner: leave one out"
	for i, c := range []struct{ name, fields, field, detail string }{
		{"100 with the creator", `"owners":` + people(99, "o"), "", ""},
		{"99 without", `"owners":` + people(99), "", ""},
		{"none", `"owners":[]`, "", ""},
		{"100 of other kinds", `"writers":` + people(100) + `,"viewers":` + people(100), "", ""},
		{"100 of which two are one", `"owners":` + people(99, "u0"), "", ""},
		{"100 without the creator", `"owners":` + people(100), "owners", including},
		{"101 with the creator", `"owners":` + people(100, "o"), "owners", alone},
		{"101 without", `"owners":` + people(101), "owners", alone},
		{"one again and again, and somebody else at the end", `"writers":[` + strings.Repeat(`"u",`, 1001) + `"lost"]`, "writers", alone},
		{"a wrong one after one who is there twice", `"owners":["u","u","no one"]`, "owners[2]", "must be a user's id"},
	} {
		body := fmt.Sprintf(`{"id":"b%d",%s}`, i, c.fields)
		w := s.send("owner", "POST", "/v1/boards", body)
		var p struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if refused := c.field != ""; refused != (w.Code == 400) || !refused && w.Code != 201 || refused && (faultFields(w.Body.String()) != c.field || p.Detail != c.detail) {
			t.Errorf("%s: got %d %.300s, want %q %q", c.name, w.Code, w.Body, c.field, c.detail)
		}
	}
}

func (s *scoreStack) board(id string) (string, bool) {
	w := s.send("admin", "GET", "/v1/boards/"+id, "")
	return w.Body.String(), w.Code == 200
}

func TestReadsThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"c"}`)
	for i := range 3 {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p%d","points":%d}`, i, i))
	}
	entry := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"hidden","points":1}`)["id"].(string)
	for _, table := range []string{"players", "standings"} {
		s.db.Owner().MustExec(`UPDATE ` + table + ` SET status = 'hidden' WHERE ` + map[string]string{"players": "id", "standings": "player"}[table] + ` = 'hidden'`)
	}
	next := s.must(200, "", "GET", "/v1/boards/b/standings?limit=1", "")["next"].(string)
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"l":"standings/b","f":{"period":"all"},"p":{"s":1,"t":0,"r":"2026-01-01T00:00:00Z","p":"a b","a":"0001-01-01T00:00:00Z"}}`))
	for _, c := range []struct {
		name, caller, target string
		status               int
		field                string
	}{
		{"a page", "", "/v1/boards/b/standings?cursor=" + next + "&limit=1000", 200, ""},
		{"limit 0", "", "/v1/boards/b/standings?limit=0", 400, "limit"},
		{"limit 1001", "", "/v1/boards/b/standings?limit=1001", 400, "limit"},
		{"limit of a word", "", "/v1/boards/b/standings?limit=ten", 400, "limit"},
		{"another period", "", "/v1/boards/b/standings?period=week", 400, "period"},
		{"an empty period", "", "/v1/boards/b/standings?period=", 400, "period"},
		{"around nobody", "", "/v1/boards/b/standings?around=none", 404, "around"},
		{"around a hidden player", "owner", "/v1/boards/b/standings?around=hidden", 404, "around"},
		{"around what is no player", "", "/v1/boards/b/standings?around=a/b", 400, "around"},
		{"around beside a cursor", "", "/v1/boards/b/standings?around=p1&cursor=" + next, 400, "around"},
		{"a bad cursor", "", "/v1/boards/b/standings?cursor=abc", 400, "cursor"},
		{"an empty one", "", "/v1/boards/b/standings?cursor=", 400, "cursor"},
		{"a cursor cut short", "", "/v1/boards/b/standings?cursor=" + next[:len(next)-2], 400, "cursor"},
		{"another board's", "", "/v1/boards/c/standings?cursor=" + next, 400, "cursor"},
		{"another period's", "", "/v1/boards/b/standings?period=day&cursor=" + next, 400, "cursor"},
		{"one with another player", "", "/v1/boards/b/standings?cursor=" + forged, 400, "cursor"},
		{"no such board", "", "/v1/boards/none/standings", 404, ""},
		{"a slash in the board", "", "/v1/boards/a%2Fb/standings", 404, ""},
		{"no such player", "", "/v1/boards/b/standings/none", 404, ""},
		{"a player that cannot be", "", "/v1/boards/b/standings/a%2Fb", 404, ""},
		{"a player with a NUL", "", "/v1/boards/b/standings/a%00", 404, ""},
		{"a player of another board", "", "/v1/boards/c/standings/p1", 404, ""},
		{"a parameter too many", "", "/v1/boards/b/standings/p1?limit=1", 400, "limit"},
		{"a parameter of a board", "", "/v1/boards/b?x=1", 400, "x"},
		{"no such entry", "", "/v1/boards/b/entries/01a20075-fb21-7f26-936d-76ca57b266da", 404, ""},
		{"no id of an entry", "", "/v1/boards/b/entries/1", 404, ""},
		{"an entry of another board", "owner", "/v1/boards/c/entries/" + entry, 404, ""},
		{"a hidden player", "", "/v1/boards/b/standings/hidden", 404, ""},
		{"to a writer", "owner", "/v1/boards/b/standings/hidden", 200, ""},
		{"an entry of theirs", "", "/v1/boards/b/entries/" + entry, 404, ""},
		{"to an auditor", "auditor", "/v1/boards/b/entries/" + entry, 200, ""},
	} {
		w := s.send(c.caller, "GET", c.target, "")
		if w.Code != c.status || c.status != 200 && faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %s, want %d for %s", c.name, w.Code, w.Body, c.status, c.field)
		}
	}
}

// A page ends before it exceeds the load balancer's limit.
func TestPageOfLargePlayersEndsEarly(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	s.db.Owner().MustExec(`INSERT INTO players (board, id, seq, recorded_at, attributes)
		SELECT 1, 'x' || n, 1, now(), jsonb_build_object('a', repeat('"', 1200)) FROM generate_series(1, 600) n`)
	s.db.Owner().MustExec(`INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		SELECT 1, 'x' || n, 2, 0, now(), true, 'ranked', -2, 0, now() FROM generate_series(1, 600) n`)
	seen, target := 0, "/v1/boards/b/standings?limit=1000"
	for range 10 {
		w := s.send("", "GET", target, "")
		var page struct {
			Items []json.RawMessage
			Next  *string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Body.Len() > 710_000 || len(page.Items) == 0 {
			t.Fatalf("a page of %d bytes with %d items: %v", w.Body.Len(), len(page.Items), err)
		}
		seen += len(page.Items)
		if page.Next == nil {
			break
		}
		target = "/v1/boards/b/standings?limit=1000&cursor=" + *page.Next
	}
	if seen != 601 {
		t.Errorf("%d players on all pages, want 601", seen)
	}
	// A page around a player includes that player.
	for _, player := range []string{"p", "x300", "x99"} {
		w := s.send("", "GET", "/v1/boards/b/standings?limit=1000&around="+player, "")
		if w.Code != 200 || w.Body.Len() > 710_000 || !strings.Contains(w.Body.String(), `"player":"`+player+`"`) {
			t.Errorf("around %s: %d, %d bytes", player, w.Code, w.Body.Len())
		}
	}
}
