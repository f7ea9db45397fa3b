package scores_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// strangers know nothing of the boards of the owner `o`.
var strangers = people{
	"stranger":  callers["stranger"],
	"elsewhere": callers["elsewhere"],
	"events":    {User: "o", Role: access.Service, Key: "k4", Owner: access.Organizer, Scopes: []string{"events:write"}},
	"own key":   {User: "s", Role: access.Service, Key: "k5", Owner: access.Organizer, Scopes: []string{"read", "entries:write", "boards:write"}},
	"proposed":  {User: "proposed", Role: access.Member},
	"declined":  {User: "declined", Role: access.Member},
	"player":    {User: registered, Role: access.Member}, // hidden on a board of registered players
}

// Whatever a stranger sends to a board that they may not know of, they get what they
// would get if it did not exist, and the database is sent the same statements and
// answers as many bytes: otherwise the time would reveal the difference.
func TestAStrangerCannotTellBoardsApart(t *testing.T) {
	d := pgtest.Scores(t)
	var taps []*pgtest.Tap
	store := func(role string) *pgscores.Store {
		taps = append(taps, d.Tapped(role))
		return pgscores.New(taps[len(taps)-1].DB)
	}
	everybody := maps.Clone(callers)
	maps.Copy(everybody, strangers)
	cfg := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: everybody} }
	s := &scoreStack{
		T: t, db: d,
		add:   web.New(cfg("score-add"), scores.Add(&score.Adder{Ledger: store("score_add"), Now: time.Now})),
		query: web.New(cfg("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: time.Now})),
		admin: web.New(cfg("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")})),
	}

	users := func(prefix string) string {
		ids := make([]string, 99)
		for i := range ids {
			ids[i] = fmt.Sprintf(`"%s-%033d"`, prefix, i)
		}
		return strings.Join(ids, ",")
	}
	reasons := make([]string, 1000)
	for i := range reasons {
		reasons[i] = fmt.Sprintf(`"%080d":%d`, i, i)
	}
	const absent = "board-0"
	boards := map[string]string{
		"board-1": `"public":false`,
		"board-2": `"state":"draft"`,
		"board-3": `"public":false,"players":"registered"`,
		"board-4": `"public":false,"owners":[` + users("o") + `],"writers":[` + users("w") + `],"viewers":[` + users("v") + `],"catalogue":{` + strings.Join(reasons, ",") + `}`,
		"board-5": `"public":false`, // not in the cache of score-add
		"board-6": `"state":"draft","players":"registered"`,
	}
	entries := map[string]string{absent: "01890000-0000-7000-8000-000000000009"}
	for _, id := range slices.Sorted(maps.Keys(boards)) {
		s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+id+`",`+boards[id]+`}`)
		player := "p"
		if strings.Contains(boards[id], "registered") {
			player = registered
		}
		entries[id] = entries[absent]
		if id != "board-5" {
			entries[id] = s.must(201, "owner", "POST", "/v1/boards/"+id+"/entries", `{"player":"`+player+`","kind":"adjustment","note":"n","points":1}`)["id"].(string)
		}
	}
	d.Owner().MustExec(`UPDATE players SET user_id = NULL, proposed_user = 'proposed', link_state = 'proposed'`)
	d.Owner().MustExec(`INSERT INTO players (board, id, seq, recorded_at, proposed_user, link_state) SELECT no, 'q', 0, now(), 'declined', 'declined' FROM boards WHERE players = 'any'`)
	d.Owner().MustExec(`UPDATE players SET status = 'hidden' WHERE id = $1 AND board = (SELECT no FROM boards WHERE id = 'board-3')`, registered)

	// request returns the whole answer, and what the databases were sent for it.
	request := func(token, method, target, body, board string, headers ...string) (answer, work string) {
		for _, tap := range taps {
			tap.Take()
		}
		w := s.send(token, method, target, body, headers...)
		if method != http.MethodOptions && w.Code != http.StatusNotFound && w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s %s: %d %.200s", token, method, target, w.Code, w.Body)
		}
		for _, tap := range taps {
			sent, bytes := tap.Take()
			work += fmt.Sprint(len(sent), sent, bytes, "; ")
		}
		return strings.ReplaceAll(fmt.Sprint(w.Code, w.Header(), w.Body), board, "BOARD"), work
	}
	// Connections are made.
	for token := range strangers {
		for _, method := range []string{"GET", "PATCH"} {
			request(token, method, "/v1/boards/"+absent, map[string]string{"PATCH": `{}`}[method], absent)
		}
		request(token, "POST", "/v1/boards/"+absent+"/entries", `{"player":"p","points":1}`, absent)
	}

	bodies := map[string][]string{
		"PATCH /v1/boards/{board}":                         {`{"title":"x"}`, `{}`, `{"state":"closed"}`},
		"PATCH /v1/boards/{board}/players/{player}":        {`{"status":"dnf"}`, `{"user":"s"}`, `{}`},
		"POST /v1/boards/{board}/entries":                  {`{"player":"p","points":1}`, `{"player":"p","reason":"none"}`, `{"player":"p","points":1,"key":"k"}`},
		"POST /v1/boards/{board}/entries/{entry}/reversal": {`{"note":"n"}`},
		"POST /v1/entries/batch":                           {`{"entries":[{"board":"{board}","player":"p","points":1}]}`, `{"entries":[{"board":"{board}","reverses":"{entry}","note":"n"}]}`},

		"DELETE /v1/boards/{board}/players/{player}/profile": {""},
	}
	queries := map[string][]string{
		"GET /v1/boards/{board}/entries":   {"", "?player={player}", "?actor=user/o", "?batch=01890000-0000-7000-8000-000000000009"},
		"GET /v1/boards/{board}/players":   {"", "?status=hidden", "?q=a", "?category=a:b"},
		"GET /v1/boards/{board}/standings": {"", "?period=none", "?category=a:b", "?around=p"},
		"GET /v1/boards/{board}/periods":   {"", "?name=none"},
	}
	anybody := maps.Clone(strangers)
	anybody[""] = access.Caller{}
	checked := 0
	for _, r := range web.Routes {
		if !strings.Contains(r.Pattern, "{board}") && r.Pattern != "/v1/entries/batch" {
			continue
		}
		if strings.HasPrefix(r.Pattern, "/v1/players/me/links/") {
			continue // for the user who is proposed, who knows of the board: TestLinksThatAreNotThere
		}
		methods, name := []string{r.Method}, r.Method+" "+r.Pattern
		if r.Method == http.MethodGet {
			methods, bodies[name] = []string{"GET", "HEAD", "OPTIONS"}, []string{""}
		} else if bodies[name] == nil {
			t.Errorf("no body for %s", name)
		}
		suffixes := queries[name]
		if suffixes == nil {
			suffixes = []string{""}
		}
		for token, who := range anybody {
			player := "p"
			if who.User == registered {
				player = who.User
			}
			for _, method := range methods {
				for _, suffix := range suffixes {
					for _, body := range bodies[name] {
						for _, headers := range [][]string{nil, {"Accept", "text/csv"}} {
							ask := func(board string) (answer, work string) {
								fill := strings.NewReplacer("{board}", board, "{player}", player, "{entry}", entries[board])
								return request(token, method, fill.Replace(r.Pattern+suffix), fill.Replace(body), board, headers...)
							}
							answer, work := ask(absent)
							for board, what := range boards {
								got, done := ask(board)
								if got = strings.ReplaceAll(got, entries[board], entries[absent]); got != answer {
									t.Errorf("%q %s %s %s: a board with %.40s answers\n%s\nan absent one\n%s", token, method, r.Pattern+suffix, body, what, got, answer)
								}
								if done != work {
									t.Errorf("%q %s %s %s: a board with %.40s takes\n%s\nan absent one\n%s", token, method, r.Pattern+suffix, body, what, done, work)
								}
								checked++
							}
						}
					}
				}
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d pairs were compared", checked)
	}
}
