package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/api/apitest"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/score"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/pages"
	"plaudit/shared/web/scores"
	"plaudit/shared/web/users"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The API itself, over real databases. The handlers are those of its deployables, and the
// rules of the load balancer are a few lines here.
func TestAPI(t *testing.T) {
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	accounts, ledger := pgtest.Users(t), pgtest.Scores(t)
	service := &user.Service{
		Store: pgusers.New(accounts.Open("users_service")), Signer: signer, Passwords: user.NewPasswords(2),
		Hashing: user.NewTurns(2, 50, 50), Tokens: user.NewTurns(1, 50, 50),
		Limits:    user.Limits{LoginsPerAddress: 1000, SignUpsPerHour: 1000, TokensPerSession: 1000, TokensPerAddress: 1000},
		NotifyKey: "notify's own key, of a test", PublicURL: "https://plaudit.example",
	}
	endpoints := users.Endpoints(service, jwks)
	maps.Copy(endpoints, pages.Endpoints(service))
	store := func(role string) *pgscores.Store { return pgscores.New(ledger.Open(role)) }
	cfg := func(deployable string) web.Config { return web.Config{Deployable: deployable, Verifier: verifier} }
	people := web.New(cfg("users"), endpoints)
	add := web.New(cfg("score-add"), scores.Add(&score.Adder{Ledger: store("score_add"), Now: time.Now}))
	query := web.New(cfg("score-query"), scores.Query(&score.Reader{Tables: store("score_query"), Now: time.Now}))
	admin := web.New(cfg("board-admin"), scores.Admin(&score.Boards{Registry: store("board_admin")}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ofScores := slices.ContainsFunc([]string{"/v1/boards", "/v1/players/", "/v1/entries/"}, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) })
		switch {
		case !ofScores:
			people.ServeHTTP(w, r)
		case r.Method == http.MethodGet:
			query.ServeHTTP(w, r)
		case r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/entries"):
			add.ServeHTTP(w, r)
		default:
			admin.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()

	ids := map[string]string{}
	for _, name := range []string{"verified", "unverified", "owner"} {
		u, err := service.SignUp(t.Context(), "192.0.2.1", user.SignUp{Email: name + "@example.com", Password: "correct horse " + name, DisplayName: name})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = u.ID
	}
	accounts.Owner().MustExec(`UPDATE users SET email_verified = true WHERE id = $1`, ids["verified"])
	token := func(id string, role access.Role) string {
		text, err := signer.Sign(access.Caller{User: id, Role: role, Session: user0}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	owner, reader := token(ids["owner"], access.Organizer), token(ids["verified"], access.Member)
	must := func(token, method, path, body string) map[string]any {
		t.Helper()
		return send(t, srv.URL, token, method, path, body)
	}
	must(owner, "POST", "/v1/boards", `{"id": "cup", "title": "Cup", "public": false}`)
	must(owner, "PATCH", "/v1/boards/cup/players/bib-7", fmt.Sprintf(`{"display_name": "Ada", "user": %q}`, ids["verified"]))
	must(reader, "PUT", "/v1/players/me/links/cup/bib-7", "")
	items := func(n int) string {
		return `{"entries": [` + strings.TrimSuffix(strings.Repeat(`{"board": "cup", "player": "bib-7", "points": 1},`, n), ",") + `]}`
	}
	first := must(owner, "POST", "/v1/entries/batch", items(130))
	must(owner, "POST", "/v1/entries/batch", items(100))
	must(owner, "PATCH", "/v1/boards/cup/players/bib-7", `{"status": "hidden", "note": "why"}`)
	apitest.Test(t, apitest.World{
		URL: srv.URL, Key: service.NotifyKey, Verified: ids["verified"], Unverified: ids["unverified"], Unknown: person(4),
		Board: "cup", Player: "bib-7", Entries: 230, Batch: first["batch"].(string), Batched: 130, Entry: first["entries"].([]any)[0].(map[string]any)["id"].(string),
	})
}

const user0 = "0198f1c2-7a5e-7c3b-9d42-000000000000"

// send sends a request, which must succeed, and returns the answer's body.
func send(t *testing.T, url, token, method, path, body string) (out map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
