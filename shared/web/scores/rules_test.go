package scores_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestAdjustmentsAreRelative(t *testing.T) {
	for _, c := range []struct {
		rule, board string
		entries     []string
		want        string // score, tiebreak and reached_at
	}{
		{"a penalty makes a race time worse", `"combine":"best","order":"asc"`,
			[]string{`"points":6360000`, `"kind":"adjustment","points":5000,"note":"5 s penalty","occurred_at":"2026-04-05T11:00:00Z"`}, `6365000 0 11:00`},
		{"a bonus is added to the last result", `"combine":"last"`, []string{`"points":1500`, `"kind":"adjustment","points":10,"note":"x","occurred_at":"2026-04-05T11:00:00Z"`}, `1510 0 11:00`},
		{"a better heat takes the penalty over", `"combine":"best","order":"asc"`,
			[]string{`"points":60`, `"kind":"adjustment","points":5,"note":"x"`, `"points":58,"occurred_at":"2026-04-05T12:00:00Z"`}, `63 0 12:00`},
		{"a repeated score keeps its time", `"combine":"last"`, []string{`"points":5`, `"points":5,"occurred_at":"2026-04-05T12:00:00Z"`}, `5 0 10:00`},
		{"a result replaces the bonus", `"combine":"last"`, []string{`"points":5`, `"kind":"adjustment","points":3,"note":"x"`, `"points":6,"occurred_at":"2026-04-05T12:00:00Z"`}, `6 0 12:00`},
		{"a tiebreak can be adjusted alone", `"combine":"best"`, []string{`"points":5,"tiebreak":1`, `"kind":"adjustment","points":0,"tiebreak":2,"note":"x","occurred_at":"2026-04-05T11:00:00Z"`}, `5 3 11:00`},
	} {
		for _, batch := range []bool{false, true} {
			s := startScores(t)
			s.must(201, "owner", "POST", "/v1/boards", `{"id":"b",`+c.board+`}`)
			var items []string
			for _, e := range c.entries {
				if !strings.Contains(e, "occurred_at") {
					e += `,"occurred_at":"2026-04-05T10:00:00Z"`
				}
				if items = append(items, `{"board":"b","player":"p",`+e+`}`); !batch {
					s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p",`+e+`}`)
				}
			}
			if batch {
				s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join(items, ",")+`]}`)
			}
			got := s.must(200, "", "GET", "/v1/boards/b/standings/p", "")
			if text := fmt.Sprintf("%.0f %.0f %s", got["score"], got["tiebreak"], got["reached_at"].(string)[11:16]); text != c.want {
				t.Errorf("%s (batch %t): got %s, want %s", c.rule, batch, text, c.want)
			}
		}
	}
}

// The sum of adjustments has a limit of its own, or it could leave the range of a
// bigint while no score shows it.
func TestAdjustmentsStayInTheirRange(t *testing.T) {
	const largest = "9007199254740991"
	for _, c := range []struct {
		rule, combine string
		entries       []string
		status        int // of the last one
	}{
		{"before the first result of best", "best", []string{`"kind":"adjustment","points":` + largest, `"kind":"adjustment","points":1`}, 409},
		{"ignored by last", "last", []string{`"kind":"adjustment","points":` + largest, `"kind":"adjustment","points":1`}, 201},
		{"replaced by results of last", "last", []string{`"points":0`, `"kind":"adjustment","points":` + largest, `"points":0`, `"kind":"adjustment","points":1`}, 409},
		{"balanced by results of a sum", "sum", []string{`"points":-` + largest, `"kind":"adjustment","points":` + largest, `"points":-1`, `"kind":"adjustment","points":1`}, 409},
		{"taken back", "best", []string{`"kind":"adjustment","points":` + largest, `"kind":"adjustment","points":-1`, `"kind":"adjustment","points":1`}, 201},
	} {
		s := startScores(t)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","combine":"`+c.combine+`","min":-`+largest+`}`)
		for i, e := range c.entries {
			w := s.send("owner", "POST", "/v1/boards/b/entries", `{"player":"p","note":"x","occurred_at":"2026-04-05T10:00:00Z",`+e+`}`)
			want := 201
			if i == len(c.entries)-1 {
				want = c.status
			}
			if w.Code != want || want == 409 && (!strings.Contains(w.Body.String(), "score-range") || faultFields(w.Body.String()) != "points") {
				t.Errorf("%s: %s: %d %s", c.rule, e, w.Code, w.Body)
			}
		}
	}
	// 1,025 of them overflow a bigint.
	for _, combine := range []string{"sum", "best", "last"} {
		s := startScores(t)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","combine":"`+combine+`"}`)
		s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":0,"occurred_at":"2026-04-05T10:00:00Z"}`)
		item := `{"board":"b","player":"p","kind":"adjustment","note":"x","points":` + largest + `}`
		for _, c := range []struct {
			items, status int
			field         string
		}{{2, 409, "entries[1].points"}, {1000, 409, "entries[1].points"}, {1, 201, ""}, {1, 409, "entries[0].points"}} {
			w := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Repeat(item+",", c.items-1)+item+`]}`)
			if w.Code != c.status || faultFields(w.Body.String()) != c.field {
				t.Errorf("%s: %d of them: %d %s, want %d %s", combine, c.items, w.Code, w.Body, c.status, c.field)
			}
		}
	}
}

// The item that takes a score out of its range is named on boards that do not sum,
// too.
func TestItemThatCrossesTheRangeIsNamed(t *testing.T) {
	const largest = 9007199254740991
	for _, combine := range []string{"best", "last"} {
		s := startScores(t)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","combine":"`+combine+`"}`)
		item := func(player, kind string, points int, more string) string {
			return fmt.Sprintf(`{"board":"b","player":%q,"kind":%q,"note":"x","points":%d%s}`, player, kind, points, more)
		}
		w := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join([]string{
			item("a", "result", 1, ""), item("p", "result", largest-5, ""), item("p", "adjustment", 5, ""), item("a", "adjustment", 3, ""),
			item("p", "adjustment", 1, ""), item("p", "adjustment", 1, ""),
		}, ",")+`]}`)
		if w.Code != 409 || faultFields(w.Body.String()) != "entries[4].points" {
			t.Errorf("%s: %d %s", combine, w.Code, w.Body)
		}
		w = s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join([]string{
			item("p", "result", 0, ""), item("p", "adjustment", 0, `,"tiebreak":9007199254740991`), item("p", "adjustment", 0, `,"tiebreak":1`),
		}, ",")+`]}`)
		if w.Code != 409 || faultFields(w.Body.String()) != "entries[2].tiebreak" {
			t.Errorf("%s: %d %s", combine, w.Code, w.Body)
		}
		s.must(404, "", "GET", "/v1/boards/b/standings/p", "")
	}
}

// Results and adjustments that no request could add together come together when a
// result between them is reversed.
func TestReversalStaysInTheRange(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","combine":"last","min":-9007199254740991}`)
	var ids []string
	for i, e := range []string{`"points":9007199254740991`, `"points":0`, `"kind":"adjustment","note":"x","points":1`} {
		e := s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p","occurred_at":"2026-04-05T1%d:00:00Z",%s}`, i, e))
		ids = append(ids, e["id"].(string))
	}
	before := s.written()
	w := s.send("owner", "POST", "/v1/boards/b/entries/"+ids[1]+"/reversal", `{"note":"wrong"}`)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "score-range") || faultFields(w.Body.String()) != "entry" || s.written() != before {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.must(201, "owner", "POST", "/v1/boards/b/entries/"+ids[2]+"/reversal", `{"note":"wrong"}`)
	if e := s.must(201, "owner", "POST", "/v1/boards/b/entries/"+ids[1]+"/reversal", `{"note":"wrong"}`); standingsOf(e) != "all=9.007199254740991e+15" {
		t.Errorf("got %v", e)
	}
}

func TestDraft(t *testing.T) {
	s := startScores(t)
	d := s.must(201, "owner", "POST", "/v1/boards", `{"id":"d","state":"draft","writers":["w"],"viewers":["v"],
		"periods":[{"name":"2019","start":"2019-01-01T00:00:00Z","end":"2020-01-01T00:00:00Z"},"all"]}`)
	if d["state"] != "draft" || d["opened_at"] != nil {
		t.Errorf("made %v", d)
	}
	e := s.must(201, "owner", "POST", "/v1/boards/d/entries", `{"player":"p","points":5,"occurred_at":"2019-05-01T10:00:00Z","profile":{"user":"l"}}`)
	if standingsOf(e) != "2019=5 all=5" {
		t.Errorf("added %v", e)
	}
	s.must(201, "writer", "POST", "/v1/boards/d/entries", `{"player":"p","kind":"adjustment","note":"x","points":1,"occurred_at":"2019-05-01T10:00:00Z"}`)
	s.must(201, "writer", "POST", "/v1/boards/d/entries/"+e["id"].(string)+"/reversal", `{"note":"x"}`)
	s.must(200, "writer", "PATCH", "/v1/boards/d/players/p", `{"status":"disqualified","note":"x"}`)
	s.must(200, "writer", "PATCH", "/v1/boards/d/players/p", `{"status":"ranked","note":null}`)
	var notified int
	if s.get(&notified, `SELECT count(*) FROM outbox WHERE notify IS NOT NULL`); notified != 0 {
		t.Errorf("a draft notifies %d times", notified)
	}
	s.accepted()
	if p := s.must(200, "viewer", "GET", "/v1/boards/d/standings?period=2019&at=2019-06-01T00:00:00Z", "")["period"].(map[string]any); p["state"] != "open" {
		t.Errorf("the season of a draft is %v", p)
	}

	// It is there for its people only, although it is public.
	see := func(opened bool) {
		t.Helper()
		for token, may := range map[string]bool{"owner": true, "writer": true, "viewer": true, "admin": true, "auditor": true, "stranger": opened, "linked": opened, "": opened} {
			for _, path := range []string{"", "/periods", "/entries", "/entries/" + e["id"].(string), "/standings?period=all", "/standings/p?period=all", "/players", "/players/p", "/categories"} {
				if w := s.send(token, "GET", "/v1/boards/d"+path, ""); (w.Code == 200) != may || !may && w.Code != 404 {
					t.Errorf("opened %t: GET %s by %q: %d", opened, path, token, w.Code)
				}
			}
			listed := strings.Contains(s.send(token, "GET", "/v1/boards", "").Body.String(), `"id":"d"`)
			found := strings.Contains(s.send(token, "GET", "/v1/boards?q=d", "").Body.String(), `"id":"d"`)
			if listed != may || found != may {
				t.Errorf("opened %t: listed for %q: %t, found: %t", opened, token, listed, found)
			}
			for _, path := range []string{"standings", "entries"} {
				if got := strings.Contains(s.send(token, "GET", "/v1/players/l/"+path, "").Body.String(), `"board":"d"`); got != may {
					t.Errorf("opened %t: in the user's %s for %q: %t", opened, path, token, got)
				}
			}
		}
		for token, status := range map[string]int{"stranger": 404, "linked": 404} {
			if opened {
				status = 403
			}
			s.must(status, token, "POST", "/v1/boards/d/entries", `{"player":"q","points":1}`)
			s.must(status, token, "PATCH", "/v1/boards/d", `{"title":"x"}`)
		}
	}
	see(false)

	// What is wrong in the body comes before what the state does not allow.
	for body, field := range map[string]string{`{"state":"closed"}`: "state", `{"state":"closed","min":5,"max":1}`: "max", `{"opened_at":"2020-01-01T00:00:00Z"}`: "opened_at"} {
		if w := s.send("owner", "PATCH", "/v1/boards/d", body); w.Code/100 != 4 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	opened := s.must(200, "owner", "PATCH", "/v1/boards/d", `{"state":"open"}`)
	if opened["opened_at"] == nil || opened["state"] != "open" {
		t.Errorf("opened %v", opened)
	}
	see(true)
	if w := s.send("owner", "PATCH", "/v1/boards/d", `{"state":"draft"}`); w.Code != 409 || !strings.Contains(w.Body.String(), "board-state") || faultFields(w.Body.String()) != "state" {
		t.Errorf("a draft again: %d %s", w.Code, w.Body)
	}
	if p := s.must(200, "", "GET", "/v1/boards/d/standings?period=2019&at=2019-06-01T00:00:00Z", "")["period"].(map[string]any); p["state"] != "closed" {
		t.Errorf("the past season is %v", p)
	}
	if w := s.send("owner", "POST", "/v1/boards/d/entries", `{"player":"q","points":1,"occurred_at":"2019-05-01T10:00:00Z"}`); w.Code != 409 || faultFields(w.Body.String()) != "occurred_at" {
		t.Errorf("an entry of the past: %d %s", w.Code, w.Body)
	}
	if e := s.must(201, "owner", "POST", "/v1/boards/d/entries", `{"player":"q","points":1,"occurred_at":"2019-05-01T10:00:00Z","late":true}`); standingsOf(e) != "all=1" {
		t.Errorf("a late entry of the past: %v", e)
	}
	if again := s.must(200, "owner", "PATCH", "/v1/boards/d", `{"state":"archived"}`); again["opened_at"] != opened["opened_at"] {
		t.Errorf("archived, it was opened at %v", again["opened_at"])
	}
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"e","state":"draft"}`)
	if b := s.must(200, "owner", "PATCH", "/v1/boards/e", `{"state":"archived"}`); b["opened_at"] == nil {
		t.Errorf("archived as a draft: %v", b)
	}
}

func TestFloor(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","min":-100,"floor":0,"periods":["all","day"]}`)
	add := func(status int, field, body string) map[string]any {
		t.Helper()
		before := s.written()
		w := s.send("owner", "POST", "/v1/boards/b/entries", body)
		if w.Code != status || status == 409 && (!strings.Contains(w.Body.String(), "score-floor") || faultFields(w.Body.String()) != field || s.written() != before) {
			t.Errorf("%s: %d %s, want %d %s", body, w.Code, w.Body, status, field)
		}
		return nil
	}
	add(409, "points", `{"player":"p","points":-1}`)
	e := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":10}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":-10}`) // the day's score may be below
	add(409, "points", `{"player":"p","points":-1}`)
	add(409, "points", `{"player":"p","kind":"adjustment","note":"x","points":-1}`)
	add(409, "points", `{"player":"p","kind":"import","points":-1}`)
	if w := s.send("owner", "POST", "/v1/boards/b/entries/"+e["id"].(string)+"/reversal", `{"note":"x","late":true}`); w.Code != 409 || !strings.Contains(w.Body.String(), "score-floor") || faultFields(w.Body.String()) != "entry" {
		t.Errorf("a reversal: %d %s", w.Code, w.Body)
	}
	item := func(points int) string { return fmt.Sprintf(`{"board":"b","player":"p","points":%d}`, points) }
	for _, c := range []struct {
		items  []string
		status int
		field  string
	}{
		{[]string{item(-5), item(5)}, 201, ""},
		{[]string{item(-5), item(4)}, 409, "entries[0].points"},
		{[]string{item(5), item(-3), item(-3), item(-3), item(1)}, 409, "entries[2].points"},
		{[]string{item(5), `{"board":"b","reverses":"` + e["id"].(string) + `","note":"x","late":true}`}, 409, "entries[1].reverses"},
	} {
		w := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join(c.items, ",")+`]}`)
		if got := faultFields(w.Body.String()); w.Code != c.status || c.status == 409 && got != c.field {
			t.Errorf("%v: %d %s", c.items, w.Code, w.Body)
		}
	}

	// A floor that is raised later lets those below it rise.
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"floor":-20}`)
	add(201, "", `{"player":"q","points":-15}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"floor":-10}`)
	add(201, "", `{"player":"q","points":1}`)
	add(409, "points", `{"player":"q","points":0}`)
	add(409, "points", `{"player":"q","points":-1}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"floor":null}`)
	add(201, "", `{"player":"q","points":-50}`)

	for body, field := range map[string]string{
		`{"id":"x","floor":1}`:                    "floor",
		`{"id":"x","floor":-9007199254740992}`:    "floor",
		`{"id":"x","floor":"0"}`:                  "floor",
		`{"id":"x","floor":0,"combine":"best"}`:   "floor",
		`{"id":"x","floor":0,"periods":["day"]}`:  "floor",
		`{"id":"x","floor":0.5}`:                  "floor",
		`{"id":"x","floor":0,"combine":"median"}`: "combine",
	} {
		if w := s.send("owner", "POST", "/v1/boards", body); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"c","floor":0}`)
	for body, field := range map[string]string{`{"combine":"last"}`: "combine", `{"periods":["week"]}`: "periods"} {
		if w := s.send("owner", "PATCH", "/v1/boards/c", body); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestSixteenSpendersStopAtTheFloor(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","min":-100,"floor":0}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":10}`)
	var mu sync.Mutex
	var group sync.WaitGroup
	codes := map[int]int{}
	for range 16 {
		group.Go(func() {
			w := s.send("owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":-3}`)
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		})
	}
	group.Wait()
	if got := s.must(200, "", "GET", "/v1/boards/b/standings/p", ""); got["score"] != 1.0 || codes[201] != 3 || codes[409] != 13 {
		t.Errorf("the score is %v after %v", got["score"], codes)
	}
}

func TestAReusedIdDoesNotRename(t *testing.T) {
	named := func(name string) string { return `"profile":{"display_name":` + name + `}` }
	item := func(more ...string) string {
		return `{"board":"b","player":"7","points":1,` + strings.Join(more, ",") + `}`
	}
	kim, lee, rename := named(`"Kim"`), named(`"Lee"`), `"rename":true`
	for _, c := range []struct {
		rule   string
		before string // the profile that the player has
		items  []string
		fields string // of the fault
		after  string
	}{
		{"the first name", ``, []string{item(kim)}, "", "Kim"},
		{"the same name", kim, []string{item(kim)}, "", "Kim"},
		{"another name", kim, []string{item(lee)}, "profile.display_name", "Kim"},
		{"another name on purpose", kim, []string{item(lee, rename)}, "", "Lee"},
		{"a refusal to rename is none to keep the name", kim, []string{item(kim, `"rename":false`)}, "", "Kim"},
		{"no name", kim, []string{item(named(`null`))}, "profile.display_name", "Kim"},
		{"no name on purpose", kim, []string{item(named(`null`), rename)}, "", "<nil>"},
		{"two names", ``, []string{item(kim), item(lee)}, "entries[0].profile.display_name entries[1].profile.display_name", "<nil>"},
		{"two names on purpose", ``, []string{item(kim), item(lee, rename)}, "", "Lee"},
		{"the earlier one on purpose", ``, []string{item(kim, rename), item(lee)}, "entries[0].profile.display_name entries[1].profile.display_name", "<nil>"},
		{"another player between them", ``, []string{item(kim), strings.Replace(item(lee), `"7"`, `"8"`, 1), item(lee)}, "entries[0].profile.display_name entries[2].profile.display_name", "<nil>"},
		{"another board", ``, []string{item(kim), strings.Replace(item(lee), `"b"`, `"c"`, 1)}, "", "Kim"},
		{"another name in a batch", kim, []string{item(kim), item(lee)}, "entries[0].profile.display_name entries[1].profile.display_name", "Kim"},
		{"only the second item has a name", kim, []string{`{"board":"b","player":"7","points":1}`, item(lee)}, "entries[1].profile.display_name", "Kim"},
		{"a linked player's name is the account's", `"profile":{"user":"l","display_name":"Kim","country":"KR"}`, []string{item(`"profile":{"display_name":"Lee","country":"JP","attributes":{"sex":"f"}}`)}, "", "Kim"},
	} {
		s := startScores(t)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"c"}`)
		if c.before != "" {
			s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"7","points":1,`+c.before+`}`)
			s.accepted()
		}
		before := s.written()
		path, body := "/v1/boards/b/entries", strings.Replace(c.items[0], `"board":"b",`, "", 1)
		if len(c.items) > 1 {
			path, body = "/v1/entries/batch", `{"entries":[`+strings.Join(c.items, ",")+`]}`
		}
		w := s.send("owner", "POST", path, body)
		if c.fields == "" && w.Code != 201 || c.fields != "" && (w.Code != 409 || !strings.Contains(w.Body.String(), "name-differs") || faultFields(w.Body.String()) != c.fields || s.written() != before) {
			t.Errorf("%s: %d %s, want %s", c.rule, w.Code, w.Body, c.fields)
		}
		if c.before == kim && c.fields != "" && !strings.Contains(w.Body.String(), "Kim") {
			t.Errorf("%s: the name is not told: %s", c.rule, w.Body)
		}
		var name string
		s.get(&name, `SELECT coalesce((SELECT display_name FROM players WHERE board = 1 AND id = '7'), '<nil>')`)
		if name != c.after {
			t.Errorf("%s: the player is named %s, want %s", c.rule, name, c.after)
		}
	}

	// The key of an entry that was written protects it, whatever the name is now; a
	// change of the player itself needs no rename.
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	body := `{"player":"7","points":1,"key":"k","profile":{"display_name":"Kim"}}`
	s.must(201, "owner", "POST", "/v1/boards/b/entries", body)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/7", `{"display_name":"Lee"}`)
	s.must(200, "owner", "POST", "/v1/boards/b/entries", body)
	s.must(422, "owner", "POST", "/v1/boards/b/entries", strings.Replace(body, `"key"`, `"rename":true,"key"`, 1))
	s.must(400, "owner", "PATCH", "/v1/boards/b/players/7", `{"display_name":"Lee","rename":true}`)
	s.must(400, "owner", "POST", "/v1/boards/b/entries", `{"player":"7","points":1,"rename":"yes"}`)
}
