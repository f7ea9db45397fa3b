package scores_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

const registered = "01890000-0000-7000-8000-000000000001"

func TestPlayerIsMadeAndMerged(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w"]}`)
	const none, proposed, linked = `"proposed_user":null,"link_state":null`, `"proposed_user":"l","link_state":"proposed"`, `"proposed_user":"l","link_state":"accepted"`
	for _, c := range []struct {
		who, body, want, changes string
		status                   int
		links                    string // what an owner sees at the end of the answer
	}{
		{"w", `{"display_name":"Kim","attributes":{"sex":"f","club":"Han"}}`, `{"board":"b","player":"p","display_name":"Kim","country":null,"attributes":{"club":"Han","sex":"f"},"user":null,"status":"ranked","note":null,`,
			`{"status": {"to": "ranked", "from": null}, "attributes": {}, "display_name": {}}`, 201, none},
		{"w", `{}`, `{"board":"b","player":"p","display_name":"Kim","country":null,"attributes":{"club":"Han","sex":"f"},"user":null,"status":"ranked","note":null,`, ``, 200, none},
		{"w", `{"status":"dnf","note":"stopped","attributes":{"sex":null,"age":"F40"}}`, `{"board":"b","player":"p","display_name":"Kim","country":null,"attributes":{"age":"F40","club":"Han"},"user":null,"status":"dnf","note":"stopped",`,
			`{"note": {"to": "stopped", "from": null}, "status": {"to": "dnf", "from": "ranked"}, "attributes": {}}`, 200, none},
		{"o", `{"user":"l","country":"KR"}`, `{"board":"b","player":"p","display_name":"Kim","country":"KR","attributes":{"age":"F40","club":"Han"},"user":null,"status":"dnf","note":"stopped",`,
			`{"country": {}}`, 200, proposed},
		{"l", ``, `{"board":"b","player":"p","display_name":"Kim","country":"KR","attributes":{"age":"F40","club":"Han"},"user":"l","status":"dnf","note":"stopped",`, ``, 200, linked},
		{"w", `{"display_name":null,"attributes":null,"note":null,"status":"ranked"}`, `{"board":"b","player":"p","display_name":null,"country":"KR","attributes":{},"user":"l","status":"ranked","note":null,`,
			`{"note": {"to": null, "from": "stopped"}, "status": {"to": "ranked", "from": "dnf"}, "attributes": {}, "display_name": {}}`, 200, linked},
		{"o", `{"user":"l"}`, `{"board":"b","player":"p","display_name":null,"country":"KR","attributes":{},"user":"l","status":"ranked","note":null,`, ``, 200, linked},
	} {
		before := s.events()
		links := none // to a writer
		switch c.who {
		case "l":
			s.must(200, "linked", "PUT", "/v1/players/me/links/b/p", "")
		default:
			if c.who == "o" {
				links = c.links
			}
			w := s.send(map[string]string{"w": "writer", "o": "owner"}[c.who], "PATCH", "/v1/boards/b/players/p", c.body)
			if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.want+links+"}" {
				t.Errorf("%s:\n got %d %s\nwant %s", c.body, w.Code, w.Body, c.want+links+"}")
			}
		}
		if got := s.send("writer", "GET", "/v1/boards/b/players/p", ""); got.Code != 200 || !strings.HasPrefix(got.Body.String(), c.want) {
			t.Errorf("GET after %s: %d %s", c.body, got.Code, got.Body)
		}
		var changes string
		if c.changes != "" {
			s.get(&changes, `SELECT data::jsonb ->> 'changes' FROM outbox WHERE type = 'plaudit.player.changed' AND subject = 'board/b/player/p' AND actor = 'user/`+c.who+`' ORDER BY id DESC LIMIT 1`)
		}
		if changes != c.changes || (s.events() > before) != (c.changes != "" || c.who == "l") {
			t.Errorf("%s: %d events more, with\n %s, want\n %s", c.body, s.events()-before, changes, c.changes)
		}
	}
	var notify string
	s.get(&notify, `SELECT string_agg(coalesce(notify, '-'), ' ' ORDER BY id) FROM outbox WHERE type = 'plaudit.player.changed'`)
	if notify != "- - - l" {
		t.Errorf("the event notifies %s", notify)
	}
}

func (s *scoreStack) get(to any, query string) {
	s.Helper()
	if err := s.db.Owner().Get(to, query); err != nil {
		s.Fatal(err)
	}
}

func (s *scoreStack) events() (n int) {
	s.Helper()
	s.get(&n, `SELECT count(*) FROM outbox`)
	return n
}

// A profile that comes with an entry is a change of the player too.
func TestProfileOfAnEntryIsAnEvent(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	in := `{"player":"p","points":1,"profile":{"attributes":{"sex":"f"}}}`
	s.must(201, "owner", "POST", "/v1/boards/b/entries", in)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", in)
	var events string
	s.get(&events, `SELECT string_agg(type || coalesce(' ' || data, ''), ', ' ORDER BY recordedtime) FROM outbox WHERE type <> 'plaudit.board.created'`)
	if want := `plaudit.entry.added, plaudit.player.changed {"changes": {"attributes": {}}}, plaudit.entry.added`; events != want {
		t.Errorf("got %s\nwant %s", events, want)
	}
}

func TestPlayersThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"closed"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/closed", `{"state":"closed"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"archived"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/archived", `{"state":"archived"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"registered","players":"registered"}`)
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprintf(`"a%d":"x"`, i)
	}
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/full", `{"attributes":{`+strings.Join(many[:16], ",")+`}}`)
	before := s.written()
	const p = "/v1/boards/b/players/p"
	for _, c := range []struct {
		name, token, target, body string
		status                    int
		field                     string
	}{
		{"a number", "owner", p, `{"display_name":1}`, 400, "display_name"},
		{"an empty name", "owner", p, `{"display_name":""}`, 400, "display_name"},
		{"a long name", "owner", p, `{"display_name":"` + strings.Repeat("é", 81) + `"}`, 400, "display_name"},
		{"no country's code", "owner", p, `{"country":"zz"}`, 400, "country"},
		{"three letters", "owner", p, `{"country":"KOR"}`, 400, "country"},
		{"attributes as a list", "owner", p, `{"attributes":[]}`, 400, "attributes"},
		{"an attribute as a number", "owner", p, `{"attributes":{"a":1}}`, 400, "attributes.a"},
		{"an empty attribute", "owner", p, `{"attributes":{"a":""}}`, 400, "attributes.a"},
		{"a long attribute", "owner", p, `{"attributes":{"a":"` + strings.Repeat("é", 81) + `"}}`, 400, "attributes.a"},
		{"17 attributes", "owner", p, `{"attributes":{` + strings.Join(many, ",") + `}}`, 400, "attributes"},
		{"a 17th", "owner", "/v1/boards/b/players/full", `{"attributes":{"b":"x"}}`, 400, "attributes"},
		{"a user with a space", "owner", p, `{"user":"a b"}`, 400, "user"},
		{"no such status", "owner", p, `{"status":"gone"}`, 400, "status"},
		{"status null", "owner", p, `{"status":null}`, 400, "status"},
		{"a long note", "owner", p, `{"note":"` + strings.Repeat("é", 1001) + `"}`, 400, "note"},
		{"an unknown field", "owner", p, `{"score":1}`, 400, "score"},
		{"an unknown parameter", "owner", p + "?x=1", `{}`, 400, "x"},
		{"not an id", "owner", "/v1/boards/b/players/-p", `{}`, 400, "player"},
		{"a long id", "owner", "/v1/boards/b/players/" + strings.Repeat("p", 65), `{}`, 400, "player"},
		{"no such board", "owner", "/v1/boards/none/players/p", `{}`, 404, ""},
		{"a stranger", "stranger", p, `{}`, 403, ""},
		{"an auditor", "auditor", p, `{}`, 403, ""},
		{"a key without the scope", "reading", p, `{}`, 403, ""},
		{"nobody", "", p, `{}`, 401, ""},
		{"a closed board", "owner", "/v1/boards/closed/players/p", `{}`, 409, ""},
		{"an archived board", "owner", "/v1/boards/archived/players/p", `{"display_name":"x"}`, 409, ""},
		{"a bib on a board of users", "owner", "/v1/boards/registered/players/bib-7", `{}`, 400, "player"},
		{"another user there", "owner", "/v1/boards/registered/players/" + registered, `{"user":"01890000-0000-7000-8000-000000000002"}`, 400, "user"},
	} {
		w := s.send(c.token, "PATCH", c.target, c.body)
		if w.Code != c.status || faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %s, want %d for %q", c.name, w.Code, w.Body, c.status, c.field)
		}
	}
	for body, field := range map[string]string{
		`{"player":"bib-7","points":1}`: "player", `{"player":"` + registered + `","points":-1,"profile":{"user":"x"}}`: "profile.user points",
	} {
		if w := s.send("owner", "POST", "/v1/boards/registered/entries", body); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: got %d %s", body, w.Code, w.Body)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
	// A player of a board with registered players is linked only when that user accepts.
	s.must(201, "owner", "POST", "/v1/boards/registered/entries", `{"player":"`+registered+`","points":1}`)
	other := registered[:len(registered)-1] + "2"
	s.must(201, "owner", "PATCH", "/v1/boards/registered/players/"+other, `{"user":"`+other+`"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/registered/players/"+other, `{"user":null}`)
	for _, p := range []*httptest.ResponseRecorder{
		s.send("owner", "GET", "/v1/boards/registered/players/"+registered, ""), s.send("owner", "PATCH", "/v1/boards/registered/players/"+other, `{}`),
	} {
		if !strings.Contains(p.Body.String(), `"user":null`) {
			t.Errorf("got %d %s", p.Code, p.Body)
		}
	}
}

func TestHiddenPlayerIsThereForWritersOnly(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w"],"viewers":["v"]}`)
	entry := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"metadata":{"x":1},"profile":{"user":"l"}}`)["id"].(string)
	s.accepted()
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"status":"hidden"}`)
	for token, status := range map[string]int{
		"owner": 200, "writer": 200, "admin": 200, "auditor": 200, "": 404, "viewer": 404, "stranger": 404, "linked": 404,
		// A key sees the player by its owner's rights and the scope `read` on this board.
		"key": 404, "reading": 200, "elsewhere": 404,
	} {
		for _, target := range []string{"/v1/boards/b/players/p", "/v1/boards/b/standings/p", "/v1/boards/b/entries/" + entry} {
			if w := s.send(token, "GET", target, ""); w.Code != status {
				t.Errorf("%s, %s: got %d %s, want %d", token, target, w.Code, w.Body, status)
			}
		}
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"status":"ranked"}`)
	for token, sees := range map[string]bool{
		"owner": true, "writer": true, "admin": true, "auditor": true, "linked": true, "": false, "viewer": false, "stranger": false,
		"key": false, "reading": true, "elsewhere": false,
	} {
		if w := s.send(token, "GET", "/v1/boards/b/entries/"+entry, ""); w.Code != 200 || strings.Contains(w.Body.String(), `"metadata"`) != sees {
			t.Errorf("%s sees metadata: %d %s", token, w.Code, w.Body)
		}
	}
	s.must(404, "owner", "GET", "/v1/boards/b/players/none", "")
	s.must(404, "owner", "GET", "/v1/boards/b/players/-", "")
	s.must(400, "owner", "GET", "/v1/boards/b/players/p?x=1", "")
}

// A player's present status and attributes count in open periods; closed periods
// stay as they were announced.
func TestStatusAndCategoriesAreFrozenWithThePeriod(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":["day","all"],"categories":["sex","club"],"grace":"1h"}`)
	s.clock("2026-04-05 12:00:00Z")
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"occurred_at":"2026-04-05T12:00:00Z","profile":{"attributes":{"club":"Han"}}}`)
	copies := func() (out string) {
		t.Helper()
		s.get(&out, `SELECT string_agg(concat_ws(' ', r.period, to_char(r.start_at AT TIME ZONE 'UTC', 'DD'), s.status, coalesce(s.cat1, '-'), coalesce(s.cat2, '-'), s.cat3, s.cat4), ', ' ORDER BY r.period DESC, r.no)
			FROM standings s JOIN runs r ON r.no = s.run`)
		return out
	}
	for _, step := range []struct{ at, body, want string }{
		{"2026-04-05 23:00:00Z", `{"attributes":{"sex":"f"}}`, "day 05 ranked f Han, all ranked f Han"},
		{"2026-04-06 00:59:59Z", `{"status":"under_review"}`, "day 05 under_review f Han, all under_review f Han"},
		{"2026-04-06 01:00:00Z", `{"status":"ranked","attributes":{"club":"Rhein"}}`, "day 05 under_review f Han, all ranked f Rhein"},
		{"2026-04-06 02:00:00Z", `{"attributes":null}`, "day 05 under_review f Han, all ranked - -"},
	} {
		s.clock(step.at)
		s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", step.body)
		if got := copies(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.body, got, step.want)
		}
	}
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"occurred_at":"2026-04-06T00:00:00Z"}`)
	// The profile of an entry counts in every open period, not only in those that
	// the entry credits.
	s.clock("2026-04-07 00:30:00Z")
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"occurred_at":"2026-04-07T00:00:00Z","profile":{"attributes":{"sex":"x"}}}`)
	if got, want := copies(), "day 05 under_review f Han, day 06 ranked x -, day 07 ranked x -, all ranked x -"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A player in a closed table has the attributes of the time when it closed.
func TestAttributesInAClosedTableAreThoseOfItsCategories(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":["day","all"],"categories":["sex","club"],"grace":"1h"}`)
	s.clock("2026-04-05 12:00:00Z")
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"occurred_at":"2026-04-05T12:00:00Z","profile":{"attributes":{"club":"Han","shirt":"M"}}}`)
	s.clock("2026-04-06 02:00:00Z")
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"attributes":{"club":"Rhein","sex":"f","shirt":"L"}}`)
	for target, want := range map[string]string{
		"/v1/boards/b/standings?period=day&at=2026-04-05T12:00:00Z":                   `{"club":"Han","shirt":"L"}`,
		"/v1/boards/b/standings?period=day&at=2026-04-05T12:00:00Z&category=club:Han": `{"club":"Han","shirt":"L"}`,
		"/v1/boards/b/standings?period=all":                                           `{"club":"Rhein","sex":"f","shirt":"L"}`,
	} {
		items := s.must(200, "", "GET", target, "")["items"].([]any)
		if got, _ := json.Marshal(items[0].(map[string]any)["attributes"]); string(got) != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
