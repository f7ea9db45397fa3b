package scores_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// links returns the caller's links as "board/player=state by proposer", in the order of
// the list.
func (s *scoreStack) links(token string) string {
	s.Helper()
	var out []string
	for _, item := range s.must(200, token, "GET", "/v1/players/me/links", "")["items"].([]any) {
		l := item.(map[string]any)
		out = append(out, fmt.Sprintf("%v/%v=%v by %v", l["board"], l["player"], l["state"], l["proposed_by"]))
	}
	return strings.Join(out, " ")
}

// linkEvents returns the events of a player that are about links or notify somebody,
// as "type actor user,state -> notified".
func (s *scoreStack) linkEvents(player string) (out string) {
	s.Helper()
	s.get(&out, `SELECT coalesce(string_agg(concat_ws(' ', replace(type, 'plaudit.player.', ''), actor, data::jsonb ->> 'user', data::jsonb ->> 'state', '-> ' || notify), ', ' ORDER BY recordedtime), '')
		FROM outbox WHERE subject LIKE 'board/%/player/`+player+`' AND (type LIKE '%.link-%' OR notify IS NOT NULL)`)
	return out
}

// end ends a link.
func (s *scoreStack) end(token, target string) {
	s.Helper()
	if w := s.send(token, "DELETE", target, ""); w.Code != 204 || w.Body.Len() != 0 {
		s.Fatalf("DELETE %s: %d %s", target, w.Code, w.Body)
	}
}

// noLink fails the test unless the link is a 404, with the words of one that does not
// exist.
func (s *scoreStack) noLink(token, board, player string) {
	s.Helper()
	for _, method := range []string{"PUT", "DELETE"} {
		w := s.send(token, method, "/v1/players/me/links/"+board+"/"+player, "")
		want := fmt.Sprintf("Nobody has proposed that you are player %q of board %q.", player, board)
		var problem struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != 404 || problem.Detail != want {
			s.Errorf("%s of %s/%s by %s: %d %s", method, board, player, token, w.Code, w.Body)
		}
	}
}

// From the proposal to the end, and what each person learns of it.
func TestLinkIsProposedAcceptedAndEnded(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","title":"The race","public":false,"writers":["w"]}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{"display_name":"Kim"}`)
	s.noLink("linked", "b", "p")

	proposal := s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"l"}`)
	if proposal["user"] != nil || proposal["proposed_user"] != "l" || proposal["link_state"] != "proposed" {
		t.Errorf("proposed: %v", proposal)
	}
	// A proposal grants nothing, also not to read the board.
	s.must(404, "linked", "GET", "/v1/boards/b", "")
	if got := s.must(200, "owner", "GET", "/v1/boards/b/players/p", "")["user"]; got != nil {
		t.Errorf("the proposal shows as the link of %v", got)
	}
	if got := s.links("linked"); got != "b/p=proposed by o" || s.links("writer") != "" {
		t.Errorf("the lists are %q and %q", got, s.links("writer"))
	}
	s.noLink("writer", "b", "p")

	// Repeating it changes nothing.
	before := s.events()
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"l"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"user":"l"}}`)
	if s.events() != before+1 {
		t.Errorf("a repeated proposal makes %d events", s.events()-before-1)
	}

	for range 2 { // the second time nothing changes
		l := s.must(200, "linked", "PUT", "/v1/players/me/links/b/p", "")
		if fmt.Sprint(l["board"], l["title"], l["player"], l["state"], l["proposed_by"]) != "bThe racepacceptedo" || len(l) != 6 {
			t.Errorf("accepted: %v", l)
		}
		if again := s.must(200, "linked", "GET", "/v1/players/me/links", "")["items"].([]any)[0]; fmt.Sprint(again) != fmt.Sprint(l) {
			t.Errorf("listed: %v, accepted: %v", again, l)
		}
	}
	s.must(200, "linked", "GET", "/v1/boards/b", "")
	before = s.events()
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"l"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"user":"l"}}`)
	if s.events() != before+1 {
		t.Error("proposing an accepted link changes something")
	}

	for range 2 {
		s.end("linked", "/v1/players/me/links/b/p")
	}
	s.must(404, "linked", "GET", "/v1/boards/b", "")
	// It cannot be proposed again, and changes nothing else on the way.
	written := s.written()
	for _, try := range [][3]string{
		{"PATCH", "/v1/boards/b/players/p", `{"user":"l","display_name":"X"}`}, {"POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"user":"l"}}`},
		{"POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":1,"profile":{"user":"x"}},{"board":"b","player":"p","points":1,"profile":{"user":"l"}}]}`},
	} {
		field := map[string]string{"PATCH": "user"}[try[0]] + map[string]string{"/v1/boards/b/entries": "profile.user", "/v1/entries/batch": "entries[1].profile.user"}[try[1]]
		if w := s.send("owner", try[0], try[1], try[2]); w.Code != 409 || !strings.Contains(w.Body.String(), `error:link-declined"`) || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", try[1], w.Code, w.Body)
		}
	}
	if s.written() != written {
		t.Error("a refused proposal has written something")
	}
	// The user may change their mind; an owner's withdrawal is final.
	s.must(200, "linked", "PUT", "/v1/players/me/links/b/p", "")
	s.end("linked", "/v1/players/me/links/b/p")
	if got := s.links("linked"); got != "b/p=declined by o" {
		t.Errorf("declined: %s", got)
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"s"}`)
	if w := s.send("linked", "PUT", "/v1/players/me/links/b/p", ""); w.Code != 404 {
		t.Errorf("another user is proposed: %d", w.Code)
	}
	// What was declined stays declined.
	s.end("linked", "/v1/players/me/links/b/p")
	if got := s.links("linked"); got != "" {
		t.Errorf("not proposed any longer: %s", got)
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":null}`)
	s.noLink("stranger", "b", "p")
	const want = "link-proposed user/o l -> l, link-accepted user/l l, link-ended user/l l accepted, link-accepted user/l l, link-ended user/l l accepted, " +
		"link-ended user/o l declined, link-proposed user/o s -> s, link-ended user/o s proposed"
	if got := s.linkEvents("p"); got != want {
		t.Errorf("the events are\n%s, want\n%s", got, want)
	}
}

// Every route of links by every caller, for a link in every state.
func TestWhoMayWithLinks(t *testing.T) {
	states := []string{"none", "proposed", "accepted", "declined", "ended", "withdrawn"}
	s := startScores(t)
	n := 0
	// fresh makes a board with a player whose link is in the state.
	fresh := func(state string) string {
		n++
		id := fmt.Sprint("b", n)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+id+`","writers":["w"],"viewers":["v"]}`)
		s.must(201, "owner", "PATCH", "/v1/boards/"+id+"/players/p", `{}`)
		if state != "none" {
			s.db.Owner().MustExec(`DELETE FROM link_proposals`)
			s.must(200, "owner", "PATCH", "/v1/boards/"+id+"/players/p", `{"user":"l"}`)
		}
		path := "/v1/players/me/links/" + id + "/p"
		if state == "accepted" || state == "ended" || state == "withdrawn" {
			s.must(200, "linked", "PUT", path, "")
		}
		switch state {
		case "declined", "ended":
			s.end("linked", path)
		case "withdrawn":
			s.must(200, "owner", "PATCH", "/v1/boards/"+id+"/players/p", `{"user":null}`)
		}
		return id
	}
	statusOf := func(list ...int) map[string]int {
		out := map[string]int{}
		for i, state := range states {
			out[state] = list[i]
		}
		return out
	}
	for _, c := range []struct {
		callers, method string
		body            string
		want            map[string]int
	}{
		{"linked", "PUT", "", statusOf(404, 200, 200, 200, 200, 404)},
		{"linked", "DELETE", "", statusOf(404, 204, 204, 204, 204, 404)},
		{"owner writer viewer stranger auditor admin", "PUT", "", statusOf(404, 404, 404, 404, 404, 404)},
		{"owner writer viewer stranger auditor admin", "DELETE", "", statusOf(404, 404, 404, 404, 404, 404)},
		{"key reading boards all elsewhere", "PUT", "", statusOf(403, 403, 403, 403, 403, 403)},
		{"key reading boards all elsewhere", "DELETE", "", statusOf(403, 403, 403, 403, 403, 403)},
		{" nonsense", "PUT", "", statusOf(401, 401, 401, 401, 401, 401)},
		{" nonsense", "DELETE", "", statusOf(401, 401, 401, 401, 401, 401)},
		{"owner admin boards all", "PATCH", `{"user":"l"}`, statusOf(200, 200, 200, 409, 409, 200)},
		{"owner admin boards all", "PATCH", `{"user":"s"}`, statusOf(200, 200, 200, 200, 200, 200)},
		{"owner admin boards all", "PATCH", `{"user":null}`, statusOf(200, 200, 200, 200, 200, 200)},
		{"writer viewer stranger linked auditor key reading elsewhere", "PATCH", `{"user":"l"}`, statusOf(403, 403, 403, 403, 403, 403)},
		{"writer viewer stranger linked auditor key reading elsewhere", "PATCH", `{"user":null}`, statusOf(403, 403, 403, 403, 403, 403)},
		{"owner admin all", "POST", `{"player":"p","points":1,"profile":{"user":"l"}}`, statusOf(201, 201, 201, 409, 409, 201)},
		{"owner admin all", "POST", `{"player":"p","points":1,"profile":{"user":null}}`, statusOf(201, 201, 201, 201, 201, 201)},
		{"writer viewer stranger linked auditor key reading boards elsewhere", "POST", `{"player":"p","points":1,"profile":{"user":"l"}}`, statusOf(403, 403, 403, 403, 403, 403)},
	} {
		for _, state := range states {
			id := fresh(state)
			for i, caller := range strings.Split(c.callers, " ") {
				if i > 0 && c.want[state] < 300 {
					id = fresh(state) // the caller before has changed it
				}
				target := "/v1/players/me/links/" + id + "/p"
				switch c.method {
				case "PATCH":
					target = "/v1/boards/" + id + "/players/p"
				case "POST":
					target = "/v1/boards/" + id + "/entries"
				}
				before := s.written()
				w := s.send(caller, c.method, target, c.body)
				if w.Code != c.want[state] || w.Code >= 400 && s.written() != before {
					t.Errorf("%s %s by %q, %s: %d %s, want %d", c.method, c.body, caller, state, w.Code, w.Body, c.want[state])
				}
			}
		}
	}
	for caller, status := range map[string]int{"": 401, "nonsense": 401, "key": 403, "all": 403, "reading": 403, "linked": 200, "auditor": 200, "admin": 200, "stranger": 200} {
		w := s.send(caller, "GET", "/v1/players/me/links", "")
		if w.Code != status || w.Code == 200 && w.Header().Get("Cache-Control") != "private, no-cache" {
			t.Errorf("the list of %q: %d %v", caller, w.Code, w.Header())
		}
	}
}

// A refusal names the field, and nothing of the request is written.
func TestProposalsThatAreForbidden(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w"]}`)
	before := s.written()
	for _, c := range []struct{ caller, method, target, body, field string }{
		{"writer", "PATCH", "/v1/boards/b/players/p", `{"display_name":"Kim","user":"w"}`, "user"},
		{"key", "PATCH", "/v1/boards/b/players/p", `{"user":"w"}`, "user"},
		{"boards", "PATCH", "/v1/boards/b/players/p", `{"user":"w","status":"disqualified"}`, ""},
		{"writer", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"user":"w"}}`, "profile.user"},
		{"key", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"user":null}}`, "profile.user"},
		{"key", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":1},{"board":"b","player":"p","points":1,"profile":{"user":"w"}}]}`, "entries[1].profile.user"},
	} {
		if w := s.send(c.caller, c.method, c.target, c.body); w.Code != 403 || faultFields(w.Body.String()) != c.field || s.written() != before {
			t.Errorf("%s, %s: %d %s", c.caller, c.body, w.Code, w.Body)
		}
	}
}

func TestLinksThatAreNotThere(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"draft","state":"draft"}`)
	s.must(201, "owner", "PATCH", "/v1/boards/draft/players/p", `{"user":"l"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{}`)
	for _, c := range [][2]string{{"draft", "p"}, {"b", "p"}, {"b", "none"}, {"none", "p"}, {"B", "p"}, {"b", "-"}, {"b", strings.Repeat("p", 65)}} {
		s.noLink("linked", c[0], c[1])
	}
	for _, target := range []string{"/v1/players/me/links/b/p?x=1", "/v1/players/me/links?x=1", "/v1/players/me/links?limit=101", "/v1/players/me/links?cursor=x"} {
		method := "GET"
		if strings.Contains(target, "/b/") {
			method = "PUT"
		}
		if w := s.send("linked", method, target, ""); w.Code != 400 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	for _, c := range [][2]string{{"GET", "/v1/players/me/links/b/p"}, {"POST", "/v1/players/me/links/b/p"}, {"DELETE", "/v1/players/me/links"}} {
		if w := s.send("linked", c[0], c[1], ""); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("%v: %d %v", c, w.Code, w.Header())
		}
	}
}

// A draft tells nobody. When it opens, its proposals are there.
func TestProposalsOfADraftWaitForItToOpen(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","state":"draft"}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"l"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"q","points":1,"profile":{"user":"l"}}`)
	if got := s.links("linked"); got != "" || s.linkEvents("p") != "link-proposed user/o l" {
		t.Errorf("a draft's link is listed: %s, %s", got, s.linkEvents("p"))
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"state":"open"}`)
	if got := s.links("linked"); got != "b/p=proposed by o b/q=proposed by o" {
		t.Errorf("got %s", got)
	}
	s.must(200, "linked", "PUT", "/v1/players/me/links/b/p", "")
}

// On a closed or archived board users can still accept and end their links.
func TestLinksOfBoardsThatTakeNoChanges(t *testing.T) {
	s := startScores(t)
	for _, state := range []string{"closed", "archived"} {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+state+`","public":false}`)
		s.must(201, "owner", "PATCH", "/v1/boards/"+state+"/players/p", `{"user":"l"}`)
		s.must(200, "owner", "PATCH", "/v1/boards/"+state, `{"state":"`+state+`"}`)
		s.must(409, "owner", "PATCH", "/v1/boards/"+state+"/players/p", `{"user":null}`)
	}
	if got := s.links("linked"); got != "archived/p=proposed by o closed/p=proposed by o" {
		t.Errorf("got %s", got)
	}
	for _, state := range []string{"closed", "archived"} {
		s.must(200, "linked", "PUT", "/v1/players/me/links/"+state+"/p", "")
		s.end("linked", "/v1/players/me/links/"+state+"/p")
	}
}

func TestLinksAreListedInPages(t *testing.T) {
	s := startScores(t)
	var want []string
	for _, b := range []string{"z", "a"} {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+b+`"}`)
	}
	for _, b := range []string{"a", "z"} {
		for _, p := range []string{"P", "p", "q"} {
			s.must(201, "owner", "PATCH", "/v1/boards/"+b+"/players/"+p, `{"user":"l"}`)
			want = append(want, p)
		}
	}
	s.must(201, "owner", "PATCH", "/v1/boards/a/players/other", `{"user":"s"}`)
	for limit := 1; limit <= 7; limit++ {
		if got := s.pages("linked", fmt.Sprint("/v1/players/me/links?limit=", limit), "player", nil); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	next := s.must(200, "linked", "GET", "/v1/players/me/links?limit=1", "")["next"].(string)
	for _, target := range []string{"/v1/players/me/links", "/v1/players/l/standings", "/v1/boards"} {
		if w := s.send("stranger", "GET", target+"?cursor="+next, ""); w.Code != 400 || faultFields(w.Body.String()) != "cursor" {
			t.Errorf("%s takes another list's cursor: %d %s", target, w.Code, w.Body)
		}
	}
}

// On a board of registered players a player can only become its own user, and that user
// has to accept like any other.
func TestLinksOfRegisteredPlayers(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","players":"registered"}`)
	path := "/v1/boards/b/players/" + registered
	adjusted := `{"player":"` + registered + `","points":1,"kind":"adjustment","note":"why","profile":{"display_name":"Ghost","country":"KR"}}`
	s.must(201, "owner", "POST", "/v1/boards/b/entries", adjusted)
	s.must(200, "owner", "PATCH", path, `{"status":"disqualified"}`)
	if got := s.linkEvents(registered); got != "" {
		t.Errorf("nobody has accepted, and the events are %s", got)
	}
	// The name is the account's, which entries do not change, linked or not.
	if p := s.must(200, "owner", "GET", path, ""); p["display_name"] != nil || p["country"] != nil || p["user"] != nil {
		t.Errorf("got %v", p)
	}
	other := registered[:len(registered)-1] + "2"
	for target, field := range map[string]string{path: "user", "/v1/boards/b/entries": "profile.user"} {
		body, method := `{"user":"`+other+`"}`, "PATCH"
		if field != "user" {
			body, method = `{"player":"`+registered+`","points":1,"profile":`+body+`}`, "POST"
		}
		if w := s.send("owner", method, target, body); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	s.must(200, "owner", "PATCH", path, `{"user":"`+registered+`"}`)
	s.accepted()
	s.must(200, "owner", "PATCH", path, `{"status":"ranked"}`)
	s.must(200, "owner", "PATCH", path, `{"user":null}`)
	want := "link-proposed user/o " + registered + " -> " + registered + ", changed user/o -> " + registered + ", link-ended user/o " + registered + " accepted -> " + registered
	if got := s.linkEvents(registered); got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
}

// A disqualification tells the user who was linked when it was made, whatever else the
// request does; what one does oneself tells nobody, also by a key.
func TestWhoIsToldOfALinkedPlayer(t *testing.T) {
	for _, c := range []struct {
		rule, user string // who accepted
		sends      []string
		want       string
	}{
		{"unlinked and disqualified at once", "l", []string{`owner PATCH {"user":null,"status":"disqualified"}`},
			"changed user/o -> l, link-ended user/o l accepted -> l"},
		{"linked to another and disqualified at once", "l", []string{`owner PATCH {"user":"s","status":"disqualified"}`},
			"changed user/o -> l, link-ended user/o l accepted -> l, link-proposed user/o s -> s"},
		{"unlinked first", "l", []string{`owner PATCH {"user":null}`, `owner PATCH {"status":"disqualified"}`}, "link-ended user/o l accepted -> l"},
		{"penalised and unlinked at once", "l", []string{`owner POST {"player":"p","points":-1,"kind":"adjustment","note":"why","profile":{"user":null}}`},
			"plaudit.entry.adjusted -> l, link-ended user/o l accepted -> l"},
		{"by a key of the user's own", "o", []string{`all PATCH {"status":"dnf"}`, `all POST {"player":"p","points":-1,"kind":"adjustment","note":"why"}`, `all PATCH {"user":null}`},
			"link-ended key/k5 o accepted"},
		{"by another's key", "l", []string{`all PATCH {"status":"dnf"}`, `all PATCH {"user":null}`}, "changed key/k5 -> l, link-ended key/k5 l accepted -> l"},
		{"by themselves", "o", []string{`owner PATCH {"status":"dnf"}`, `owner PATCH {"user":"l"}`}, "link-ended user/o o accepted, link-proposed user/o l -> l"},
		{"proposed to oneself", "l", []string{`owner PATCH {"user":"o"}`}, "link-ended user/o l accepted -> l, link-proposed user/o o"},
		{"proposed to oneself by a key", "l", []string{`boards PATCH {"user":"o"}`}, "link-ended key/k4 l accepted -> l, link-proposed key/k4 o"},
	} {
		s := startScores(t)
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
		s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{"user":"`+c.user+`"}`)
		s.accepted()
		s.db.Owner().MustExec(`DELETE FROM outbox`)
		for _, send := range c.sends {
			part := strings.SplitN(send, " ", 3)
			target := map[string]string{"PATCH": "/v1/boards/b/players/p", "POST": "/v1/boards/b/entries"}[part[1]]
			if w := s.send(part[0], part[1], target, part[2]); w.Code >= 300 {
				t.Fatalf("%s: %d %s", c.rule, w.Code, w.Body)
			}
		}
		s.db.Owner().MustExec(`UPDATE outbox SET subject = 'board/b/player/p' WHERE entry IS NOT NULL`)
		if got := s.linkEvents("p"); got != c.want {
			t.Errorf("%s: the events are\n%s, want\n%s", c.rule, got, c.want)
		}
		var unordered int
		if s.get(&unordered, `SELECT count(*) - count(DISTINCT recordedtime) FROM outbox`); unordered != 0 {
			t.Errorf("%s: %d events have the time of another", c.rule, unordered)
		}
	}
}

func TestProposalsToAUserAreLimited(t *testing.T) {
	s := startScores(t)
	s.clock("2026-04-05 12:00:00Z")
	for _, b := range []string{"b", "c"} {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+b+`"}`)
	}
	limited := func(name string, w *httptest.ResponseRecorder, field, after string) {
		t.Helper()
		if w.Code != 429 || faultFields(w.Body.String()) != field || w.Header().Get("Retry-After") != after {
			t.Errorf("%s: %d %s, after %s; want %s after %s", name, w.Code, w.Body, w.Header().Get("Retry-After"), field, after)
		}
	}
	for i := range 12 {
		s.must(201, "owner", "PATCH", fmt.Sprint("/v1/boards/b/players/p", i), `{"user":"l"}`)
	}
	s.clock("2026-04-05 13:00:00Z")
	batch := func(n int, user string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"board":"c","player":"q%d","points":1,"profile":{"user":"%s"}}`, i, user))
		}
		return `{"entries":[` + strings.Join(items, ",") + `]}`
	}
	// The ninth is one too many; all nine pass when one of those at noon is a day old.
	before := s.written()
	limited("a batch", s.send("owner", "POST", "/v1/entries/batch", batch(9, "l")), "entries[8].profile.user", "82800")
	limited("a batch that can never pass", s.send("owner", "POST", "/v1/entries/batch", batch(21, "s")), "entries[20].profile.user", "86400")
	if s.written() != before {
		t.Error("a refused batch has written something")
	}
	s.must(201, "owner", "POST", "/v1/entries/batch", batch(8, "l"))
	limited("a player", s.send("owner", "PATCH", "/v1/boards/b/players/p12", `{"user":"l"}`), "user", "82800")
	limited("an entry", s.send("owner", "POST", "/v1/boards/b/entries", `{"player":"p12","points":1,"profile":{"user":"l"}}`), "profile.user", "82800")
	// Others, repetitions and ends are not limited.
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/p12", `{"user":"s"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p0", `{"user":"l"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p1", `{"user":null}`)
	limited("the same one again", s.send("owner", "PATCH", "/v1/boards/b/players/p1", `{"user":"l"}`), "user", "82800")
	s.clock("2026-04-06 11:59:59Z")
	limited("a second too early", s.send("owner", "PATCH", "/v1/boards/b/players/p1", `{"user":"l"}`), "user", "1")
	s.clock("2026-04-06 12:00:00Z")
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p1", `{"user":"l"}`)
	var kept int
	if s.get(&kept, `SELECT count(*) FROM link_proposals`); kept != 10 { // those at 13:00, s's, and this one
		t.Errorf("%d proposals are kept", kept)
	}
}

// Of several items of one player the last one counts, as for the rest of a profile.
func TestLastProposalOfABatchCounts(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	item := func(user string) string {
		return `{"board":"b","player":"p","points":1,"profile":{"user":` + user + `}}`
	}
	s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[`+item(`"s"`)+`,`+item(`null`)+`,`+item(`"l"`)+`]}`)
	if got := s.links("linked") + s.links("stranger"); got != "b/p=proposed by o" {
		t.Errorf("got %s", got)
	}
	// A replay proposes nothing.
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"r","points":1,"key":"k","profile":{"user":"s"}}`)
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/r", `{"user":null}`)
	s.must(200, "owner", "POST", "/v1/boards/b/entries", `{"player":"r","points":1,"key":"k","profile":{"user":"s"}}`)
	if got := s.links("stranger"); got != "" {
		t.Errorf("a replay proposes %s", got)
	}
}
