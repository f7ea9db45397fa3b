package scores_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// Users of the boards of registered players: one who has accepted the link to their
// player, one who has not, and one whose player is hidden.
const (
	accepted = "01890000-0000-7000-8000-00000000000a"
	asked    = "01890000-0000-7000-8000-00000000000b"
	away     = "01890000-0000-7000-8000-00000000000c"
)

func keyOf(user string, role access.Role, boards []string, scopes ...string) access.Caller {
	return access.Caller{User: user, Role: access.Service, Key: "k-" + user, Owner: role, Scopes: scopes, Boards: boards}
}

var everyScope = []string{"read", "entries:write", "boards:write"}

// seers are callers, and what each may see of six boards: of any and of registered
// players, each public, private and a draft.
//
//   - nothing: the board does not exist
//     403  that the board exists
//     own  their own player
//     r    what all readers see
//     v w o what viewers, writers and owners see
var seers = []struct {
	name   string
	who    access.Caller
	boards string
	own    string // the players who are the caller's own, on every board
}{
	{"", access.Caller{}, "r - - r - -", ""},
	{"a stranger", access.Caller{User: "stranger", Role: access.Organizer}, "r - - r - -", ""},
	{"linked", access.Caller{User: "user-linked", Role: access.Member}, "r r - r - -", "p"},
	{"proposed", access.Caller{User: "user-proposed", Role: access.Member}, "r - - r - -", ""},
	{"ended", access.Caller{User: "user-ended", Role: access.Member}, "r - - r - -", ""},
	{"accepted", access.Caller{User: accepted, Role: access.Member}, "r - - r r -", accepted},
	{"asked", access.Caller{User: asked, Role: access.Member}, "r - - r own -", asked},
	{"away", access.Caller{User: away, Role: access.Member}, "r - - r - -", away},
	{"viewer", access.Caller{User: "user-viewer", Role: access.Member}, "v v v v v v", ""},
	{"writer", access.Caller{User: "user-writer", Role: access.Member}, "w w w w w w", ""},
	{"owner", access.Caller{User: "user-owner", Role: access.Organizer}, "o o o o o o", ""},
	{"auditor", access.Caller{User: "user-auditor", Role: access.Auditor}, "o o o o o o", ""},
	{"admin", access.Caller{User: "user-admin", Role: access.Admin}, "o o o o o o", ""},
	{"owner's key, read", keyOf("user-owner", access.Organizer, nil, "read"), "o o o o o o", ""},
	{"owner's key, entries", keyOf("user-owner", access.Organizer, nil, "entries:write"), "r 403 403 r 403 403", ""},
	{"owner's key, boards", keyOf("user-owner", access.Organizer, nil, "boards:write"), "r 403 403 r 403 403", ""},
	{"owner's key, all", keyOf("user-owner", access.Organizer, nil, everyScope...), "o o o o o o", ""},
	{"owner's key, all, here", keyOf("user-owner", access.Organizer, []string{"any-private", "reg-public"}, everyScope...), "r o - o - -", ""},
	{"owner's key, all, elsewhere", keyOf("user-owner", access.Organizer, []string{"none"}, everyScope...), "r - - r - -", ""},
	{"writer's key, read", keyOf("user-writer", access.Member, nil, "read"), "w w w w w w", ""},
	{"viewer's key, all", keyOf("user-viewer", access.Member, nil, everyScope...), "v v v v v v", ""},
	{"linked's key, read", keyOf("user-linked", access.Member, nil, "read"), "r r - r - -", "p"},
	{"linked's key, entries", keyOf("user-linked", access.Member, nil, "entries:write"), "r 403 - r - -", ""},
	{"linked's key, all, elsewhere", keyOf("user-linked", access.Member, []string{"none"}, everyScope...), "r - - r - -", ""},
	{"accepted's key, read", keyOf(accepted, access.Member, nil, "read"), "r - - r r -", accepted},
	{"asked's key, read", keyOf(asked, access.Member, nil, "read"), "r - - r own -", asked},
	{"asked's key, entries", keyOf(asked, access.Member, nil, "entries:write"), "r - - r - -", ""},
	{"asked's key, all, elsewhere", keyOf(asked, access.Member, []string{"none"}, everyScope...), "r - - r - -", ""},
	{"auditor's key, read", keyOf("user-auditor", access.Auditor, nil, "read"), "o o o o o o", ""},
	{"admin's key, read", keyOf("user-admin", access.Admin, nil, "read"), "o o o o o o", ""},
	{"admin's key, events", keyOf("user-admin", access.Admin, nil, "events:write"), "r - - r - -", ""},
}

var seenBoards = []string{"any-public", "any-private", "any-draft", "reg-public", "reg-private", "reg-draft"}

// startSights makes the boards of seers. It returns the ids of the entries, by board
// and player.
func startSights(t *testing.T) (*scoreStack, map[string]map[string]string) {
	s := startScores(t)
	entries := map[string]map[string]string{}
	for _, board := range seenBoards {
		players, kind := []string{"p", "q", "r", "h"}, `"players":"any"`
		if strings.HasPrefix(board, "reg") {
			players, kind = []string{accepted, asked, away}, `"players":"registered"`
		}
		if strings.HasSuffix(board, "private") {
			kind += `,"public":false`
		} else if strings.HasSuffix(board, "draft") {
			kind += `,"state":"draft"`
		}
		s.must(201, "seer owner", "POST", "/v1/boards", `{"id":"`+board+`","categories":["club"],"writers":["user-writer","user-auditor"],"viewers":["user-viewer"],`+kind+`}`)
		entries[board] = map[string]string{}
		for _, p := range players {
			e := s.must(201, "seer writer", "POST", "/v1/boards/"+board+"/entries",
				`{"player":"`+p+`","kind":"adjustment","points":1,"note":"points of `+p+`","metadata":{"of":"`+p+`"},"profile":{"attributes":{"club":"x"}}}`)
			if e["actor"] != "user/user-writer" || e["metadata"] == nil {
				t.Errorf("the writer gets back %v", e)
			}
			entries[board][p] = e["id"].(string)
			hidden := map[bool]string{true: "hidden", false: "ranked"}[p == "h" || p == away]
			if got := s.must(200, "seer writer", "PATCH", "/v1/boards/"+board+"/players/"+p, `{"status":"`+hidden+`","note":"secret of `+p+`"}`); got["note"] != "secret of "+p {
				t.Errorf("the writer gets back %v", got)
			}
		}
	}
	// How links come about is tested elsewhere.
	s.db.Owner().MustExec(`UPDATE players SET
		user_id = CASE id WHEN 'p' THEN 'user-linked' WHEN 'h' THEN 'user-linked' WHEN $1 THEN id END,
		proposed_user = CASE id WHEN 'p' THEN 'user-linked' WHEN 'h' THEN 'user-linked' WHEN 'q' THEN 'user-proposed' WHEN 'r' THEN 'user-ended' ELSE id END,
		link_state = CASE id WHEN 'p' THEN 'accepted' WHEN 'h' THEN 'accepted' WHEN 'r' THEN 'declined' WHEN $1 THEN 'accepted' ELSE 'proposed' END`, accepted)
	return s, entries
}

func init() {
	for _, c := range seers {
		if c.name != "" {
			callers["seer "+c.name] = c.who
		}
	}
}

// sightCase is what one caller may see of one board.
type sightCase struct {
	sees string // see seers
	own  string
}

func (c sightCase) people() bool { return strings.Contains("vwo", c.sees) }
func (c sightCase) all() bool    { return strings.Contains("wo", c.sees) }

// of reports whether the caller may see the player at all.
func (c sightCase) of(player string) bool {
	switch {
	case c.sees == "-" || c.sees == "403":
		return false
	case player == "h" || player == away:
		return c.all()
	}
	return c.sees != "own" || player == c.own
}

// What each caller sees of every sensitive field on every route that reads. A new
// route fails here until it says what it shows.
func TestWhatEachCallerSees(t *testing.T) {
	s, entries := startSights(t)

	type reply struct {
		code   int
		body   string
		items  []map[string]any // the objects of a JSON answer, of a list its items
		cells  []map[string]string
		header http.Header
	}
	get := func(token, target string) reply {
		w := s.send(token, "GET", target, "")
		out := reply{code: w.Code, body: w.Body.String(), header: w.Header()}
		var one map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		out.items = []map[string]any{one}
		if list, ok := one["items"].([]any); ok {
			out.items = nil
			for _, item := range list {
				out.items = append(out.items, item.(map[string]any))
			}
		}
		sheet := s.send(token, "GET", target, "", "Accept", "text/csv")
		if sheet.Code != w.Code {
			t.Errorf("%s %s: %d, as CSV %d", token, target, w.Code, sheet.Code)
		}
		if strings.HasPrefix(sheet.Header().Get("Content-Type"), "text/csv") {
			rows, _ := readCSV(t, sheet)
			for _, row := range rows[1:] {
				cells := map[string]string{}
				for i, name := range rows[0] {
					cells[name] = row[i]
				}
				out.cells = append(out.cells, cells)
			}
			if len(out.cells) != len(out.items) {
				t.Errorf("%s %s: %d items, %d lines", token, target, len(out.items), len(out.cells))
			}
		}
		if head := s.send(token, "HEAD", target, ""); head.Code != w.Code || head.Header().Get("ETag") != w.Header().Get("ETag") {
			t.Errorf("%s %s: HEAD differs", token, target)
		}
		return out
	}
	// field checks a field of an answer; form is what it is for those who do not see it.
	const null, none = "null", "absent"
	field := func(at string, r reply, i int, name string, shown bool, want any, form string) {
		t.Helper()
		got, there := r.items[i][name]
		if !shown && form == null {
			want = nil
		}
		if there != (shown || form == null) || there && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s is %v (there: %t), want %v, shown: %t", at, name, got, there, want, shown)
		}
		if r.cells == nil {
			return
		}
		text := ""
		if object, ok := want.(map[string]any); ok {
			encoded, _ := json.Marshal(object)
			want = string(encoded)
		}
		if shown && want != nil {
			text = fmt.Sprint(want)
		}
		if cell, ok := r.cells[i][name]; ok && cell != text {
			t.Errorf("%s: the cell %s is %q, want %q", at, name, cell, text)
		}
	}
	links := map[string]string{"p": "user-linked", "h": "user-linked", accepted: accepted}
	proposals := map[string]string{"p": "user-linked", "h": "user-linked", "q": "user-proposed", "r": "user-ended", accepted: accepted, asked: asked, away: away}
	states := map[string]string{"p": "accepted", "h": "accepted", "q": "proposed", "r": "declined", accepted: "accepted", asked: "proposed", away: "proposed"}
	orNil := func(m map[string]string, key string) any {
		if v, ok := m[key]; ok {
			return v
		}
		return nil
	}
	player := func(at string, c sightCase, r reply, i int) {
		id := r.items[i]["player"].(string)
		field(at, r, i, "user", c.people() || id == c.own, orNil(links, id), null)
		field(at, r, i, "note", c.people() || id == c.own, "secret of "+id, null)
		field(at, r, i, "proposed_user", c.sees == "o", orNil(proposals, id), null)
		field(at, r, i, "link_state", c.sees == "o", orNil(states, id), null)
	}
	entry := func(at string, c sightCase, r reply, i int) {
		id := r.items[i]["player"].(string)
		field(at, r, i, "actor", c.people(), "user/user-writer", null)
		field(at, r, i, "metadata", c.all() || id == c.own, map[string]any{"of": id}, none)
		field(at, r, i, "note", true, "points of "+id, null)
	}
	nothing := func(string, sightCase, reply, int) {}

	// What a route of one board shows, for its targets: those of one player only have
	// the player.
	type target struct{ path, player string }
	type shows struct {
		targets func(board string) []target
		item    func(at string, c sightCase, r reply, i int)
		players bool // there is an item for each player
	}
	one := func(path string) func(string) []target {
		return func(board string) (all []target) {
			for p, e := range entries[board] {
				all = append(all, target{strings.NewReplacer("{player}", p, "{entry}", e).Replace(path), p})
			}
			return all
		}
	}
	list := func(paths ...string) func(string) []target {
		return func(string) (all []target) {
			for _, path := range paths {
				all = append(all, target{path, ""})
			}
			return all
		}
	}
	routes := map[string]shows{
		"/v1/boards/{board}": {list(""), func(at string, c sightCase, r reply, i int) {
			field(at, r, i, "owners", c.people(), []any{"user-owner"}, none)
			field(at, r, i, "writers", c.people(), []any{"user-writer", "user-auditor"}, none)
			field(at, r, i, "viewers", c.people(), []any{"user-viewer"}, none)
		}, false},
		"/v1/boards/{board}/periods":            {list("/periods"), nothing, false},
		"/v1/boards/{board}/categories":         {list("/categories"), nothing, false},
		"/v1/boards/{board}/standings":          {list("/standings"), nothing, false},
		"/v1/boards/{board}/standings/{player}": {one("/standings/{player}"), nothing, false},
		"/v1/boards/{board}/players":            {list("/players", "/players?category=club:x", "/players?status=hidden,ranked"), player, true},
		"/v1/boards/{board}/players/{player}":   {one("/players/{player}"), player, false},
		"/v1/boards/{board}/entries": {func(board string) []target {
			return append(list("/entries", "/entries?kind=adjustment")(board), one("/entries?player={player}")(board)...)
		}, entry, true},
		"/v1/boards/{board}/entries/{entry}": {one("/entries/{entry}"), entry, false},
	}
	elsewhere := []string{"/v1/boards", "/v1/players/{user}/standings", "/v1/players/{user}/entries", "/v1/players/me/links", "/readyz/scores"} // below, or of no board
	for _, r := range web.Routes {
		if r.Method == "GET" && r.Deployable == "score-query" && routes[r.Pattern].targets == nil && !slices.Contains(elsewhere, r.Pattern) {
			t.Errorf("nothing says what GET %s shows", r.Pattern)
		}
	}

	// ids are texts that only people with rights may see, wherever they are.
	ids := []string{"user-owner", "user-writer", "user-viewer", "user-auditor", "user-proposed", "user-ended"}
	tags := map[string]string{} // what an anonymous caller gets
	for _, who := range seers {
		token := ""
		if who.name != "" {
			token = "seer " + who.name
		}
		for n, board := range seenBoards {
			c := sightCase{strings.Fields(who.boards)[n], who.own}
			path := "/v1/boards/" + board
			missing := strings.ReplaceAll(get(token, "/v1/boards/absent").body, "absent", board)
			for pattern, route := range routes {
				for _, target := range route.targets(board) {
					at := who.name + ": " + path + target.path
					r := get(token, path+target.path)
					narrow := c.sees == "own" && target.player == c.own
					want := 200
					switch {
					case c.sees == "-" || c.sees == "own" && !narrow:
						want = 404
					case c.sees == "403":
						want = 403
					case target.player != "" && !route.players && !c.of(target.player):
						want = 404
					}
					if r.code != want {
						t.Errorf("%s: %d %s, want %d", at, r.code, r.body, want)
					}
					if want == 404 && (c.sees == "-" || c.sees == "own") && r.body != missing {
						t.Errorf("%s: %s, of a board that does not exist %s", at, r.body, missing)
					}
					if !c.people() {
						for _, id := range ids {
							if strings.Contains(r.body, id) {
								t.Errorf("%s contains %s: %s", at, id, r.body)
							}
						}
					}
					if r.code != 200 {
						continue
					}
					var players []string
					for i, item := range r.items {
						route.item(at, c, r, i)
						if id, ok := item["player"].(string); ok {
							players = append(players, id)
							if !c.of(id) {
								t.Errorf("%s shows %s", at, id)
							}
						}
					}
					if route.players && target.player == "" {
						seen := slices.DeleteFunc(slices.Sorted(maps.Keys(entries[board])), func(p string) bool { return !c.of(p) })
						if slices.Sort(players); !slices.Equal(players, seen) {
							t.Errorf("%s shows %v, want %v", at, players, seen)
						}
					}
					if pattern == "/v1/boards/{board}/categories" && r.items[0]["players"] != float64(len(slices.DeleteFunc(slices.Collect(maps.Keys(entries[board])), func(p string) bool { return !c.of(p) }))) {
						t.Errorf("%s counts %v", at, r.items)
					}
					// Callers who see no more than anybody get the same bytes.
					if c.sees == "r" && (c.own == "" || target.player != "" && target.player != c.own) {
						key := path + target.path
						if tags[key] == "" {
							tags[key] = r.header.Get("ETag")
						} else if tags[key] != r.header.Get("ETag") {
							t.Errorf("%s differs from what others get: %s", at, r.body)
						}
					}
				}
			}
			// Filters by what one does not see would reveal it.
			for _, query := range []string{"?actor=user/user-writer", "?actor=key/none"} {
				r := s.send(token, "GET", path+"/entries"+query, "")
				want := map[string]int{"-": 404, "own": 404, "r": 403, "403": 403}[c.sees]
				if want == 0 {
					want = 200
				}
				if r.Code != want || c.sees == "r" && faultFields(r.Body.String()) != "actor" {
					t.Errorf("%s: %s: %d %s", who.name, path+query, r.Code, r.Body)
				}
				if own := c.own; c.sees == "own" {
					if r := s.send(token, "GET", path+"/entries"+query+"&player="+own, ""); r.Code != 403 || faultFields(r.Body.String()) != "actor" {
						t.Errorf("%s: %s of their own: %d %s", who.name, path+query, r.Code, r.Body)
					}
				}
			}
		}

		// Lists over many boards.
		for _, r := range []reply{get(token, "/v1/boards"), get(token, "/v1/boards?q=any")} {
			for i := range r.items {
				for _, name := range []string{"owners", "writers", "viewers"} {
					field(who.name+": the list of boards", r, i, name, false, nil, none)
				}
			}
		}
		for user, id := range map[string]string{"user-linked": "p", "user-proposed": "q", "user-ended": "r", accepted: accepted, asked: asked, away: away} {
			mine := who.own == id
			var want []string
			for n, board := range seenBoards {
				c := sightCase{strings.Fields(who.boards)[n], who.own}
				linked := links[id] == user || mine && strings.HasPrefix(board, "reg")
				if entries[board][id] != "" && linked && c.of(id) {
					want = append(want, board+" "+id)
				}
				// user-linked has another player, who is hidden.
				if user == "user-linked" && entries[board]["h"] != "" && c.of("h") {
					want = append(want, board+" h")
				}
			}
			slices.Sort(want)
			for _, what := range []string{"standings", "entries"} {
				at := who.name + ": /v1/players/" + user + "/" + what
				r := get(token, "/v1/players/"+user+"/"+what)
				var got []string
				for i, item := range r.items {
					n := slices.Index(seenBoards, item["board"].(string))
					got = append(got, seenBoards[n]+" "+item["player"].(string))
					if what == "entries" {
						entry(at, sightCase{strings.Fields(who.boards)[n], who.own}, r, i)
					}
				}
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v", at, got, want)
				}
			}
		}
	}
}
