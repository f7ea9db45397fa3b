package scores_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

func init() { callers["mailer"] = access.Notify() }

// The function that sends mail reads what a mail tells, on every board and of every
// player: everything but metadata.
func TestMailsCanTellOfEveryBoardAndPlayer(t *testing.T) {
	s, entries := startSights(t)
	for _, board := range seenBoards {
		b := s.must(200, "mailer", "GET", "/v1/boards/"+board, "")
		if fmt.Sprint(b["owners"], b["writers"], b["viewers"]) != "[user-owner] [user-writer user-auditor] [user-viewer]" {
			t.Errorf("%s has the people %v %v %v", board, b["owners"], b["writers"], b["viewers"])
		}
		for player, entry := range entries[board] {
			p := s.must(200, "mailer", "GET", "/v1/boards/"+board+"/players/"+player, "")
			want := map[string]any{"p": "user-linked", "h": "user-linked", accepted: accepted}[player]
			if p["note"] != "secret of "+player || p["user"] != want || p["proposed_user"] != nil {
				t.Errorf("%s of %s is %v", player, board, p)
			}
			e := s.must(200, "mailer", "GET", "/v1/boards/"+board+"/entries/"+entry, "")
			if e["player"] != player || e["note"] != "points of "+player || e["actor"] != "user/user-writer" || e["metadata"] != nil {
				t.Errorf("an entry of %s of %s is %v", player, board, e)
			}
		}
		for _, filter := range []string{"", "&actor=user/user-writer", "&kind=adjustment", "&from=2020-01-01T00:00:00Z"} {
			w := s.send("mailer", "GET", "/v1/boards/"+board+"/entries?limit=100"+filter, "")
			var page map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(ids(t, page, "id")) != len(entries[board]) || strings.Contains(w.Body.String(), `"of":`) {
				t.Errorf("the entries of %s are %d %s", board, w.Code, w.Body)
			}
		}
		hidden := map[bool]string{true: "h", false: away}[strings.HasPrefix(board, "any")]
		if got := ids(t, s.must(200, "mailer", "GET", "/v1/boards/"+board+"/entries?player="+hidden, ""), "id"); !slices.Equal(got, []string{entries[board][hidden]}) {
			t.Errorf("the entries of a hidden player of %s: %q", board, got)
		}
		csv := s.send("mailer", "GET", "/v1/boards/"+board+"/entries", "", "Accept", "text/csv")
		if csv.Code != 200 || !strings.Contains(csv.Body.String(), "points of "+hidden) || strings.Contains(csv.Body.String(), `""of""`) {
			t.Errorf("as a table: %d %s", csv.Code, csv.Body)
		}
	}
	s.must(404, "mailer", "GET", "/v1/boards/none", "")
	s.must(404, "mailer", "GET", "/v1/boards/any-draft/players/none", "")
}

// It may do nothing else: the three functions refuse it before they look at anything,
// even on routes that need no token.
func TestTheMailerMayDoNothingElse(t *testing.T) {
	s, entries := startSights(t)
	may := []string{
		"/v1/boards/{board}", "/v1/boards/{board}/players/{player}", "/v1/boards/{board}/entries", "/v1/boards/{board}/entries/{entry}", "/v1/players/{user}/entries",
	}
	before, refused := s.all("boards", "players", "entries", "outbox"), 0
	for _, r := range web.Routes {
		if !slices.Contains([]string{"score-add", "score-query", "board-admin"}, r.Deployable) || r.Method == "GET" && slices.Contains(may, r.Pattern) {
			continue
		}
		for _, board := range seenBoards {
			body := map[string]string{"POST": `{"player": "p", "points": 1}`, "PATCH": `{"title": "x"}`}[r.Method]
			player := map[bool]string{true: "p", false: accepted}[strings.HasPrefix(board, "any")]
			target := strings.NewReplacer("{board}", board, "{player}", player, "{user}", "user-linked", "{entry}", entries[board][player]).Replace(r.Pattern)
			if w := s.send("mailer", r.Method, target, body); w.Code != 403 || !strings.Contains(w.Body.String(), "sends mail") {
				t.Errorf("%s %s: %d %s", r.Method, target, w.Code, w.Body)
			}
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("only %d requests were tried", refused)
	}
	if s.all("boards", "players", "entries", "outbox") != before {
		t.Error("something was written")
	}
	if p := s.must(403, "mailer", "GET", "/v1/players/user-linked/entries", ""); p["field"] != "batch" {
		t.Errorf("all entries of a user: %v", p)
	}
	// A rule about players of one's own is about people.
	s.must(404, "mailer", "GET", "/v1/boards/reg-public/players/notify", "")
}

// A batch's entries of one user, who is told of all of them in one mail.
func TestEntriesOfAUserOfABatch(t *testing.T) {
	s, entries := startSights(t)
	batch := func(note string) (id string, made map[string]string) {
		t.Helper()
		var items []string
		for _, at := range [][2]string{{"any-public", "p"}, {"any-public", "p"}, {"any-public", "q"}, {"any-public", "h"}, {"any-private", "p"}, {"any-draft", "p"}, {"reg-private", accepted}} {
			items = append(items, fmt.Sprintf(`{"board": %q, "player": %q, "kind": "adjustment", "points": 1, "note": %q, "metadata": {"of": "x"}}`, at[0], at[1], note))
		}
		out := s.must(201, "seer owner", "POST", "/v1/entries/batch", `{"entries": [`+strings.Join(items, ",")+`]}`)
		made = map[string]string{}
		for i, e := range out["entries"].([]any) {
			e := e.(map[string]any)
			made[e["id"].(string)] = fmt.Sprint(i, " ", e["board"], " ", e["player"])
		}
		return out["batch"].(string), made
	}
	first, made := batch("first")
	batch("second")
	// list returns the entries of a list, page by page, in the batch's order.
	list := func(token, user, query string) string {
		t.Helper()
		var got []string
		for _, id := range s.pages(token, "/v1/players/"+user+"/entries?limit=2&batch="+first+query, "id", nil) {
			got = append(got, made[id])
		}
		slices.Sort(got)
		return strings.Join(got, ", ")
	}
	const public, private = "0 any-public p, 1 any-public p", "4 any-private p"
	all := public + ", 3 any-public h, " + private + ", 5 any-draft p"
	for _, c := range []struct{ token, user, want string }{
		{"mailer", "user-linked", all},
		{"mailer", accepted, "6 reg-private " + accepted},
		{"mailer", asked, ""},
		{"mailer", "user-proposed", ""},
		{"mailer", "nobody", ""},
		{"seer admin", "user-linked", all},
		{"seer owner", "user-linked", all},
		{"seer viewer", "user-linked", public + ", " + private + ", 5 any-draft p"},
		{"seer linked", "user-linked", public + ", " + private},
		{"seer linked's key, all, elsewhere", "user-linked", public},
		{"seer stranger", "user-linked", public},
		{"", "user-linked", public},
		{"seer accepted", accepted, "6 reg-private " + accepted},
		{"", accepted, ""},
	} {
		token := c.token
		if token == "seer stranger" {
			token = "seer a stranger"
		}
		if got := list(token, c.user, ""); got != c.want {
			t.Errorf("%q reads of %s %q, want %q", c.token, c.user, got, c.want)
		}
	}
	for token, want := range map[string]bool{"mailer": false, "seer owner": true, "seer linked": true, "": false} {
		page := s.must(200, token, "GET", "/v1/players/user-linked/entries?batch="+first, "")
		for _, e := range page["items"].([]any) {
			if got := e.(map[string]any)["metadata"] != nil; got != want {
				t.Errorf("%q sees metadata: %t", token, got)
			}
		}
	}
	// What else is the user's is another list.
	if got := ids(t, s.must(200, "seer owner", "GET", "/v1/players/user-linked/entries?limit=100", ""), "id"); !slices.Contains(got, entries["any-public"]["p"]) || len(got) != 6+2*5 {
		t.Errorf("%d entries without the filter", len(got))
	}
	other := s.must(200, "", "GET", "/v1/players/user-linked/entries?batch=01890000-0000-7000-8000-000000000000", "")
	if len(other["items"].([]any)) != 0 || other["next"] != nil {
		t.Errorf("an unknown batch: %v", other)
	}
	for value, detail := range map[string]string{"x": "must be a batch's id", "": "must not be empty", first + "&batch=" + first: "appears more than once", "%00": "NUL"} {
		p := s.must(400, "mailer", "GET", "/v1/players/user-linked/entries?batch="+value, "")
		if p["field"] != "batch" || !strings.Contains(fmt.Sprint(p["detail"]), detail) {
			t.Errorf("%q: %v", value, p)
		}
	}
	// The cursor carries the filter.
	next := s.must(200, "mailer", "GET", "/v1/players/user-linked/entries?limit=2&batch="+first, "")["next"].(string)
	alone := s.must(200, "mailer", "GET", "/v1/players/user-linked/entries?limit=2&cursor="+next, "")
	if got := ids(t, alone, "id"); len(got) != 2 || made[got[0]] == "" || made[got[1]] == "" {
		t.Errorf("the cursor alone: %v", alone)
	}
	s.must(400, "mailer", "GET", "/v1/players/user-linked/entries?cursor="+next+"&batch=01890000-0000-7000-8000-000000000000", "")
}
