package scores_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// all returns every row of the tables, in which whatever a person left can be found.
func (s *scoreStack) all(tables ...string) string {
	s.Helper()
	var all []string
	for _, table := range tables {
		var text string
		s.get(&text, `SELECT coalesce(string_agg(t::text, chr(10)), '') FROM `+table+` t`)
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// with returns those of the words that a text contains.
func with(text string, words ...string) (found []string) {
	for _, word := range words {
		if strings.Contains(text, word) {
			found = append(found, word)
		}
	}
	return found
}

// accept makes a user of a player, who has accepted the link.
func (s *scoreStack) accept(player, user string) {
	s.Helper()
	s.db.Owner().MustExec(`UPDATE players SET user_id = $2, proposed_user = $2, proposed_by = 'o', proposed_at = now(), link_state = 'accepted' WHERE id = $1`, player, user)
}

var everyTable = []string{"boards", "players", "runs", "standings", "entries", "entry_keys", "outbox", "link_refusals", "link_proposals"}

func TestErasureClearsWhatIsPersonal(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["club"],"writers":["w"]}`)
	const add = `{"player":"p","points":5,"note":"why","metadata":{"phone":"555-0100"},"profile":{"display_name":"Kimiko","country":"AQ","attributes":{"born":"in 1990","club":"Han"}}}`
	first := s.must(201, "owner", "POST", "/v1/boards/b/entries", add, "Idempotency-Key", "k")
	s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":2,"metadata":{"phone":"555-0101"}},{"board":"b","player":"q","points":1,"metadata":{"phone":"555-0199"},"profile":{"display_name":"Lee"}}]}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"status":"dnf","note":"a knee"}`)
	s.accept("p", "l")
	s.db.Owner().MustExec(`INSERT INTO link_refusals SELECT no, p, 'x', now() FROM boards, unnest('{p,q}'::text[]) p`)
	before := s.events()
	erase := func() {
		t.Helper()
		if w := s.send("owner", "DELETE", "/v1/boards/b/players/p/profile", ""); w.Code != 204 || w.Body.Len() > 0 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
	erase()

	words := []string{"Kimiko", "AQ", "in 1990", "Han", "555-0100", "555-0101"}
	if got := with(s.all(everyTable...), words...); got != nil {
		t.Errorf("the database still contains %q", got)
	}
	if got := with(s.all("players", "standings", "entries"), "knee"); got != nil {
		t.Error("the note of the status is still there")
	}
	if got := strings.TrimSpace(s.send("owner", "GET", "/v1/boards/b/players/p", "").Body.String()); got !=
		`{"board":"b","player":"p","display_name":null,"country":null,"attributes":{},"user":null,"status":"dnf","note":null,"proposed_user":null,"link_state":null}` {
		t.Errorf("the player is now %s", got)
	}
	var row string
	s.get(&row, `SELECT concat_ws(' ', num_nonnulls(user_id, proposed_user, proposed_by, proposed_at, link_state, cat1), (SELECT string_agg(player, ',' ORDER BY player) FROM link_refusals)) FROM players WHERE id = 'p'`)
	if row != "0 p,q" { // refusals protect those who refused
		t.Errorf("of the link are left: %s", row)
	}
	// What defends the points stays, and so do other players.
	entry := s.must(200, "owner", "GET", "/v1/boards/b/entries/"+first["id"].(string), "")
	delete(first, "metadata")
	if want, got := fmt.Sprint(first), fmt.Sprint(entry); got != want {
		t.Errorf("the entry is now %s, want %s", got, want)
	}
	if got := with(s.all("players", "entries"), "Lee", "555-0199"); len(got) != 2 {
		t.Errorf("of another player are left: %q", got)
	}
	var event string
	s.get(&event, `SELECT concat_ws(' ', count(*), min(actor), min(notify), min(data)) FROM outbox WHERE type = 'plaudit.player.erased' AND subject = 'board/b/player/p'`)
	if want := `1 user/o l {"changes": {"note": {}, "user": {}, "country": {}, "metadata": {}, "attributes": {}, "display_name": {}}}`; event != want {
		t.Errorf("the event is %s, want %s", event, want)
	}
	s.get(&event, `SELECT subject FROM outbox WHERE subject LIKE 'board/b/player/%' ORDER BY recordedtime DESC LIMIT 1`)
	if event != "board/b/player/p" || s.events() != before+1 {
		t.Errorf("the last event is of %s, and there are %d more", event, s.events()-before)
	}

	// Nothing is left to erase.
	erase()
	if s.events() != before+1 {
		t.Error("a repeated erasure is another event")
	}
	// The first answer comes again, without what was erased.
	again := s.send("owner", "POST", "/v1/boards/b/entries", add, "Idempotency-Key", "k")
	var out map[string]any
	if err := json.Unmarshal(again.Body.Bytes(), &out); err != nil || again.Code != 200 || again.Header().Get("Idempotency-Replayed") != "true" || fmt.Sprint(out) != fmt.Sprint(first) {
		t.Errorf("the replay is %d %s", again.Code, again.Body)
	}
	if got := with(s.all(everyTable...), words...); got != nil {
		t.Errorf("the replay brought back %q", got)
	}
	// What comes later is there, until it is erased.
	s.must(201, "owner", "POST", "/v1/boards/b/entries", strings.ReplaceAll(add, "Kimiko", "Kim"))
	if got := with(s.all("players", "entries"), "Kim", "AQ", "555-0100"); len(got) != 3 {
		t.Errorf("of an add after the erasure are there: %q", got)
	}
	erase()
	if got := with(s.all("players", "entries"), "Kim", "AQ", "555-0100"); got != nil || s.events() != before+4 {
		t.Errorf("after the next erasure are left: %q, and %d events more", got, s.events()-before)
	}
}

// Each part alone is erased, and is an event.
func TestErasureOfOnePart(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	for i, c := range []struct{ make, want string }{
		{`UPDATE players SET display_name = 'Kim'`, "display_name"},
		{`UPDATE players SET country = 'KR'`, "country"},
		{`UPDATE players SET attributes = '{"born": "1990"}'`, "attributes"},
		{`UPDATE players SET note = 'knee'`, "note"},
		{`UPDATE players SET user_id = 'l'`, "user"},
		{`UPDATE players SET proposed_user = 'l', proposed_at = now(), link_state = 'proposed'`, "user"},
		{`UPDATE players SET link_state = 'declined'`, "user"},
		{`INSERT INTO link_refusals SELECT no, 'p', 'l', now() FROM boards`, ""},
		{`UPDATE entries SET metadata = '{}'`, "metadata"},
		{`UPDATE players SET status = 'hidden'`, ""},
		{`UPDATE entries SET note = 'why'`, ""},
	} {
		if i == 0 {
			s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
		}
		s.db.Owner().MustExec(c.make)
		before := s.events()
		if w := s.send("owner", "DELETE", "/v1/boards/b/players/p/profile", ""); w.Code != 204 {
			t.Errorf("%s: %d %s", c.make, w.Code, w.Body)
		}
		var got string
		if s.events() > before {
			s.get(&got, `SELECT string_agg(c, ' ') FROM (SELECT data::jsonb -> 'changes' AS changes FROM outbox ORDER BY id DESC LIMIT 1) o, jsonb_object_keys(o.changes) c`)
		}
		if got != c.want {
			t.Errorf("%s: the event lists %q, want %q", c.make, got, c.want)
		}
	}
}

func TestErasureLeavesClosedTables(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":["day","all"],"categories":["club"],"grace":"1h"}`)
	s.clock("2026-04-05 12:00:00Z")
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"occurred_at":"2026-04-05T12:00:00Z","profile":{"display_name":"Kim","country":"KR","attributes":{"club":"Han","shirt":"M"}}}`)
	s.clock("2026-04-06 02:00:00Z")
	if w := s.send("owner", "DELETE", "/v1/boards/b/players/p/profile", ""); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for target, want := range map[string]string{
		"/v1/boards/b/standings?period=day&at=2026-04-05T12:00:00Z&category=club:Han": `1 <nil> <nil> map[club:Han]`,
		"/v1/boards/b/standings?period=day&at=2026-04-05T12:00:00Z":                   `1 <nil> <nil> map[club:Han]`,
		"/v1/boards/b/standings?period=all":                                           `1 <nil> <nil> map[]`,
		"/v1/boards/b/standings?period=all&category=club:Han":                         ``,
		"/v1/boards/b/players?category=club:Han":                                      ``,
		"/v1/boards/b/categories":                                                     ``,
	} {
		got := ""
		for _, item := range s.must(200, "", "GET", target, "")["items"].([]any) {
			i := item.(map[string]any)
			got += fmt.Sprint(i["rank"], " ", i["display_name"], " ", i["country"], " ", i["attributes"])
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestErasureInEveryStateOfTheBoard(t *testing.T) {
	s := startScores(t)
	for board, state := range map[string]string{"draft": "", "closed": "closed", "archived": "archived", "open": "open"} {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+board+`","state":"`+map[bool]string{true: "draft", false: "open"}[state == ""]+`"}`)
		s.must(201, "owner", "POST", "/v1/boards/"+board+"/entries", `{"player":"`+board+`","points":1,"metadata":{"phone":"555-0100"},"profile":{"display_name":"Kim"}}`)
		s.accept(board, "l")
		if state != "" {
			s.must(200, "owner", "PATCH", "/v1/boards/"+board, `{"state":"`+state+`"}`)
		}
		if w := s.send("owner", "DELETE", "/v1/boards/"+board+"/players/"+board+"/profile", ""); w.Code != 204 {
			t.Errorf("%s: %d %s", board, w.Code, w.Body)
		}
	}
	if got := with(s.all("players", "entries"), "Kim", "555-0100"); got != nil {
		t.Errorf("still there are %q", got)
	}
	var told string
	s.get(&told, `SELECT string_agg(split_part(subject, '/', 2), ' ' ORDER BY subject) FROM outbox WHERE type = 'plaudit.player.erased' AND notify = 'l'`)
	if told != "archived closed open" {
		t.Errorf("the user is told of %s", told)
	}
	// Not of what they did themselves.
	s.must(200, "owner", "PATCH", "/v1/boards/open", `{"owners":["o","l"]}`)
	s.accept("open", "l")
	if w := s.send("linked", "DELETE", "/v1/boards/open/players/open/profile", ""); w.Code != 204 {
		t.Errorf("their own: %d %s", w.Code, w.Body)
	}
	s.get(&told, `SELECT string_agg(actor || coalesce(' ' || notify, ''), ', ' ORDER BY id) FROM outbox WHERE type = 'plaudit.player.erased' AND subject = 'board/open/player/open'`)
	if told != "user/o l, user/l" {
		t.Errorf("the events are %s", told)
	}
}

func TestErasuresThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w"],"viewers":["v"]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"private","public":false,"writers":["w"]}`)
	for _, board := range []string{"b", "private"} {
		s.must(201, "owner", "POST", "/v1/boards/"+board+"/entries", `{"player":"p","points":1,"metadata":{"phone":"555-0100"},"profile":{"display_name":"Kim"}}`)
	}
	s.accept("p", "l")
	before := s.written()
	const b, private = "/v1/boards/b/players/p/profile", "/v1/boards/private/players/p/profile"
	for _, c := range []struct {
		name, token, target string
		status              int
		field               string
	}{
		{"nobody", "", b, 401, ""},
		{"a stranger", "stranger", b, 403, ""},
		{"a writer", "writer", b, 403, ""},
		{"a viewer", "viewer", b, 403, ""},
		{"the player's user", "linked", b, 403, ""},
		{"an auditor", "auditor", b, 403, ""},
		{"a key for entries", "key", b, 403, ""},
		{"a key for reading", "reading", b, 403, ""},
		{"a key for another board", "elsewhere", b, 403, ""},
		{"a stranger to a private board", "stranger", private, 404, ""},
		{"a writer of a private board", "writer", private, 403, ""},
		{"no such board", "owner", "/v1/boards/none/players/p/profile", 404, ""},
		{"no board's id", "owner", "/v1/boards/B/players/p/profile", 404, ""},
		{"no such player", "owner", "/v1/boards/b/players/none/profile", 404, ""},
		{"no player's id", "owner", "/v1/boards/b/players/-/profile", 404, ""},
		{"a player with a zero", "owner", "/v1/boards/b/players/p%00/profile", 404, ""},
		{"a parameter", "owner", b + "?x=1", 400, "x"},
		{"a parameter of a stranger", "stranger", private + "?x=1", 400, "x"},
		{"the player instead of the profile", "owner", "/v1/boards/b/players/p", 405, ""},
		{"a field of the profile", "owner", b + "/display_name", 404, ""},
	} {
		w := s.send(c.token, "DELETE", c.target, "")
		if w.Code != c.status || faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %s, want %d for %q", c.name, w.Code, w.Body, c.status, c.field)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
	if got := with(s.all("entries"), "555-0100"); got == nil {
		t.Error("a refusal cleared metadata")
	}
	for _, token := range []string{"admin", "owner"} {
		if w := s.send(token, "DELETE", b, ""); w.Code != 204 {
			t.Errorf("%s: %d %s", token, w.Code, w.Body)
		}
	}
}

// Whatever writes about players, what waits for the log has no values.
func TestEventsHaveNoPersonalValues(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["club"]}`)
	profile := func(n int) string {
		return fmt.Sprintf(`"display_name":"Kimiko %d","country":"%s","attributes":{"club":"Han %[1]d","born in":"the year %[1]d"}`, n, []string{"AQ", "BV", "KM"}[n%3])
	}
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/made", `{`+profile(1)+`}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/made", `{`+profile(2)+`,"status":"dnf","note":"seen by the jury"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/made", `{"display_name":null,"country":null,"attributes":{"club":null}}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/made", `{"attributes":null}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/bare", `{}`)
	for n := range 2 {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"rename":true,"metadata":{"phone":"555-0100"},"profile":{`+profile(n)+`}}`)
		s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":1,"rename":true,"metadata":{"phone":"555-0100"},"profile":{`+profile(n)+`}},
			{"board":"b","player":"p","points":1,"rename":true,"profile":{`+profile(n+1)+`}}]}`)
		s.accept("p", "l")
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{`+profile(5)+`}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"title":"New"}`)
	for _, player := range []string{"made", "p", "q"} {
		if w := s.send("owner", "DELETE", "/v1/boards/b/players/"+player+"/profile", ""); w.Code != 204 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if got := with(s.all("outbox"), "Kimiko", "AQ", "BV", "KM", "Han", "the year", "born", "555-0100"); got != nil {
		t.Errorf("the outbox contains %q:\n%s", got, s.all("outbox"))
	}
	var made []string
	if err := s.db.Owner().Select(&made, `SELECT data FROM outbox WHERE type = 'plaudit.player.changed' AND subject IN ('board/b/player/made', 'board/b/player/bare') ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"changes": {"status": {"to": "ranked", "from": null}, "country": {}, "attributes": {}, "display_name": {}}}`,
		`{"changes": {"note": {"to": "seen by the jury", "from": null}, "status": {"to": "dnf", "from": "ranked"}, "country": {}, "attributes": {}, "display_name": {}}}`,
		`{"changes": {"country": {}, "attributes": {}, "display_name": {}}}`,
		`{"changes": {"attributes": {}}}`,
		`{"changes": {"status": {"to": "ranked", "from": null}}}`,
	} {
		if i >= len(made) || made[i] != want {
			t.Errorf("event %d of %d is not %s:\n%s", i, len(made), want, strings.Join(made, "\n"))
		}
	}
}
