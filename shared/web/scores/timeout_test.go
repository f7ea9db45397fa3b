package scores_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// The server ends what waits for somebody else's lock. The database was reached and
// wrote nothing, so the answer is not that it cannot be reached, and the key is free.
func TestTimeoutWritesNothingAndIsNoOutage(t *testing.T) {
	s := startScores(t)
	patient := s.add
	cfg := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: callers} }
	store := func(role string) *pgscores.Store { return pgscores.New(s.db.Hasty(role)) }
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	entry := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)["id"].(string)
	before := s.written()
	hasty := score.Adder{Ledger: store("score_add"), Now: time.Now}
	s.add = web.New(cfg("score-add"), scores.Add(&hasty))
	s.query = web.New(cfg("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: time.Now}))
	s.admin = web.New(cfg("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")}))

	writes := []struct{ method, target, body string }{
		{"POST", "/v1/boards/b/entries", `{"player":"p","points":2}`},
		{"POST", "/v1/boards/b/entries/" + entry + "/reversal", `{"note":"n"}`},
		{"POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":3}]}`},
	}
	release := s.db.Hold(`LOCK TABLE boards, players, entries, standings IN ACCESS EXCLUSIVE MODE`)
	defer release()
	for _, c := range append(writes, []struct{ method, target, body string }{
		{"POST", "/v1/boards", `{"id":"new"}`},
		{"PATCH", "/v1/boards/b", `{"title":"New"}`},
		{"PATCH", "/v1/boards/b/players/p", `{"status":"hidden"}`},
		{"DELETE", "/v1/boards/b/players/p/profile", ""},
		{"GET", "/v1/boards", ""},
		{"GET", "/v1/boards/b", ""},
		{"GET", "/v1/boards/b/standings?limit=1000", ""},
		{"GET", "/v1/boards/b/entries", ""},
	}...) {
		w := s.send("owner", c.method, c.target, c.body, keyFor(c.method, c.target)...)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `error:timeout"`) ||
			!strings.Contains(w.Body.String(), `"title":"Timed out"`) || !strings.Contains(w.Body.String(), "nothing was written") {
			t.Errorf("%s %s: got %d %v %s, want a timeout", c.method, c.target, w.Code, w.Header(), w.Body)
		}
	}
	release()
	if s.written() != before {
		t.Error("a timeout wrote something")
	}
	s.add = patient
	for _, c := range writes {
		if w := s.send("owner", c.method, c.target, c.body, keyFor(c.method, c.target)...); w.Code != 201 {
			t.Errorf("%s, repeated with its key: got %d %s", c.target, w.Code, w.Body)
		}
	}
}

// keyFor returns the header with a key for an add.
func keyFor(method, target string) []string {
	if method != "POST" || target == "/v1/boards" {
		return nil
	}
	return []string{"Idempotency-Key", strings.ReplaceAll(target, "/", "-")}
}
