package scores_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// shares reports whether pages of every origin may read the response. It fails the
// test if the headers contradict each other.
func shares(t *testing.T, name string, h http.Header) bool {
	t.Helper()
	origin, policy, exposed := h.Get("Access-Control-Allow-Origin"), h.Get("Cross-Origin-Resource-Policy"), h.Get("Access-Control-Expose-Headers")
	shared := origin == "*" && policy == "cross-origin" && strings.Contains(exposed, "ETag") && strings.Contains(exposed, "Link")
	if !shared && (origin != "" || policy != "same-origin" || exposed != "") || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s: %v", name, h)
	}
	return shared
}

// Pages of every origin may read what anybody may read, and nothing else.
func TestPublicBoardsCanBeEmbedded(t *testing.T) {
	s := startScores(t)
	public, _ := s.readings("public")
	private, _ := s.readings("private")
	drafted, _ := s.readings("drafted")
	s.must(200, "owner", "PATCH", "/v1/boards/private", `{"public":false}`)
	s.db.Owner().MustExec(`UPDATE boards SET state = 'draft' WHERE id = 'drafted'`)
	several := func(target string) bool {
		return target == "/v1/boards" || strings.HasPrefix(target, "/v1/players/")
	}
	check := func(want bool, status int, token, method, target string, headers ...string) http.Header {
		t.Helper()
		w := s.send(token, method, target, "", append(headers, "Origin", "https://example.org")...)
		name := method + " " + target + " of " + token
		if w.Code != status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if got := shares(t, name, w.Header()); got != want {
			t.Errorf("%s: shared %t, want %t", name, got, want)
		}
		return w.Header()
	}
	for _, target := range public {
		ready := target == "/readyz/scores"
		for _, method := range []string{"GET", "HEAD"} {
			for _, accept := range []string{"application/json", "text/csv"} {
				tag := check(!ready, 200, "", method, target, "Accept", accept).Get("ETag")
				if !ready {
					check(true, 304, "", method, target, "Accept", accept, "If-None-Match", tag)
				}
			}
			for _, token := range []string{"owner", "stranger"} {
				tag := check(!ready && !several(target), 200, token, method, target).Get("ETag")
				if !ready {
					check(!several(target), 304, token, method, target, "If-None-Match", tag)
				}
			}
			check(false, 400, "", method, target+"?nonsense=1")
			check(false, 401, "nobody", method, target)
		}
		w := s.send("", "OPTIONS", target, "", "Origin", "https://example.org", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "Authorization")
		if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("the preflight of %s: %v", target, w.Header())
		}
	}
	for _, target := range append(private, drafted...) {
		if !strings.HasPrefix(target, "/v1/boards/") {
			continue
		}
		check(false, 404, "", "GET", target)
		check(false, 404, "stranger", "GET", target)
		tag := check(false, 200, "owner", "GET", target).Get("ETag")
		check(false, 304, "owner", "GET", target, "If-None-Match", tag)
	}
	check(false, 404, "", "GET", "/v1/boards/none")
	check(false, 404, "", "GET", "/v1/boards/public/players/none")
	check(false, 401, "", "PATCH", "/v1/boards/public")

	// A deployment that lists origins shares with these only.
	h := web.New(web.Config{Deployable: "score-query", Verifier: callers, Origins: []string{"https://example.org"}},
		scores.Query(&score.Reader{Tables: pgscores.New(s.db.Open("score_query")), Now: time.Now}))
	for origin, want := range map[string]string{"https://example.org": "https://example.org", "https://other.example": "", "": ""} {
		r := httptest.NewRequest("GET", "/v1/boards/public", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header(); w.Code != 200 || got.Get("Access-Control-Allow-Origin") != want || got.Get("Cross-Origin-Resource-Policy") != "same-origin" || got.Get("Vary") != "Origin" {
			t.Errorf("origin %q: %d %v", origin, w.Code, got)
		}
	}
}

// The answer says nothing but whether boards can be read.
func TestReadiness(t *testing.T) {
	s := startScores(t)
	w := s.send("", "GET", "/readyz/scores", "")
	if w.Code != 200 || w.Body.String() != `{"status":"ok"}`+"\n" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	unready := func(cause, kind string) {
		t.Helper()
		began := time.Now()
		w := s.send("", "GET", "/readyz/scores", "")
		if body := w.Body.String(); w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(body, kind) || strings.Contains(body, "pq") || strings.Contains(body, "board") {
			t.Errorf("%s: %d %v %s", cause, w.Code, w.Header(), body)
		}
		t.Logf("%s: after %v", cause, time.Since(began))
	}
	s.db.Owner().MustExec(`ALTER TABLE board_people RENAME TO gone`)
	unready("a table is missing", "database-unavailable")
	s.db.Owner().MustExec(`ALTER TABLE gone RENAME TO board_people`)
	s.query = web.New(web.Config{Deployable: "score-query", Verifier: callers}, scores.Query(&score.Reader{Tables: pgscores.New(s.db.Hasty("score_query")), Now: time.Now}))
	release := s.db.Hold(`LOCK TABLE boards IN ACCESS EXCLUSIVE MODE`)
	unready("a table is locked", "timeout")
	release()
	if w := s.send("", "GET", "/readyz/scores", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
