package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"plaudit/shared/api"
	"plaudit/shared/api/apitest"
	"plaudit/shared/trace"
)

func person(n int) string { return fmt.Sprintf("0198f1c2-7a5e-7c3b-9d42-%012d", n) }

func TestStandIn(t *testing.T) {
	s := apitest.New(t)
	w := apitest.World{
		URL: s.URL, Key: s.Key, Verified: person(1), Unverified: person(2), Forgetful: person(3), Unknown: person(4),
		Board: "cup", Player: "bib-7", Entries: 230, Batch: person(5), Batched: 130, Entry: person(1100),
	}
	s.User(w.Verified, nil)
	s.User(w.Unverified, apitest.Object{"email_verified": false})
	s.User(w.Forgetful, nil)
	s.Due(w.Unverified, "verify")
	s.Due(w.Forgetful, "reset")
	s.Board(w.Board, nil)
	s.Player(w.Board, w.Player, apitest.Object{"display_name": "Ada", "user": w.Verified, "status": "hidden"})
	for i := range w.Entries {
		batch := w.Batch
		if i >= w.Batched {
			batch = person(6)
		}
		s.Entry(apitest.Object{
			"id": person(1000 + i), "board": w.Board, "player": w.Player, "points": 1, "reason": nil, "note": nil, "kind": "result", "seq": i + 1,
			"occurred_at": fmt.Sprintf("2026-01-05T09:%02d:%02dZ", i/60, i%60), "batch": batch,
			"standings": []any{apitest.Object{"period": "all", "start": nil, "score": i + 1}},
		})
	}
	apitest.Test(t, w)
}

func client(t *testing.T, url, key string) *api.Client {
	t.Helper()
	c, err := api.New(url, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The key is exchanged once, and again only when the token is refused.
func TestTokenIsExchangedAgainOnceOn401(t *testing.T) {
	s := apitest.New(t)
	s.User(person(1), nil)
	c := client(t, s.URL, s.Key)
	get := func() {
		t.Helper()
		if _, ok, err := c.User(t.Context(), person(1)); !ok || err != nil {
			t.Fatalf("%t %v", ok, err)
		}
	}
	get()
	get()
	s.Revoke()
	get()
	path := "GET /v1/users/" + person(1)
	if got, want := fmt.Sprint(s.Calls()), fmt.Sprint([]string{"POST /v1/tokens", path, path, path, "POST /v1/tokens", path}); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}

	// An API that refuses every token is asked twice, not forever.
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		if r.URL.Path == "/v1/tokens" {
			fmt.Fprint(w, `{"access_token": "x", "token_type": "Bearer", "expires_in": 900}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer srv.Close()
	if _, _, err := client(t, srv.URL, "k").User(t.Context(), person(1)); err == nil || !strings.Contains(err.Error(), "401") || n != 4 {
		t.Errorf("%d requests, %v", n, err)
	}
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	s := apitest.New(t)
	s.User(person(1), nil)
	c := client(t, s.URL, s.Key)
	s.Fail(502, 503)
	if _, ok, err := c.User(t.Context(), person(1)); !ok || err != nil {
		t.Errorf("%t %v", ok, err)
	}
	s.Fail(503, 503, 503)
	if _, _, err := c.User(t.Context(), person(1)); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("%v", err)
	}
	s.Fail(400)
	s.Calls()
	if _, _, err := c.User(t.Context(), person(1)); err == nil || len(s.Calls()) != 1 {
		t.Errorf("a refusal: %v", err)
	}
}

// The trace of the event goes on in the requests.
func TestTraceIsPassedOn(t *testing.T) {
	const parent = "00-00000000000000000000000000000001-0000000000000001-01"
	s := apitest.New(t)
	s.User(person(1), nil)
	ctx := trace.With(t.Context(), trace.Info{Parent: parent})
	if _, _, err := client(t, s.URL, s.Key).User(ctx, person(1)); err != nil {
		t.Fatal(err)
	}
	if got := s.Parents(); len(got) != 2 || got[0] != parent || got[1] != parent {
		t.Errorf("passed on %q", got)
	}
}

// Neither the key nor a token leaves for another address, in the clear, or in an error.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://scores.example.com": true, "https://scores.example.com/": true, "http://127.0.0.1:8080": true, "http://localhost:8080": true, "http://[::1]:8080": true,
		"http://scores.example.com": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false, "scores.example.com": false, "": false,
		"https://scores.example.com/v1": false, "https://a:b@scores.example.com": false, "http://127.0.0.1.example.com": false,
	} {
		if _, err := api.New(url, "k"); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := api.New("https://scores.example.com", ""); err == nil {
		t.Error("an empty key is taken")
	}

	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stolen += r.Header.Get("Authorization") + "x" }))
	defer thief.Close()
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/tokens" {
			fmt.Fprint(w, `{"access_token": "x", "token_type": "Bearer", "expires_in": 900}`)
			return
		}
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	}))
	defer redirecting.Close()
	if _, _, err := client(t, redirecting.URL, "k").User(t.Context(), person(1)); err == nil || stolen != "" {
		t.Errorf("%q, %v", stolen, err)
	}

	s := apitest.New(t)
	if _, _, err := client(t, s.URL, "a-wrong-key-of-somebody").User(t.Context(), person(1)); err == nil || strings.Contains(err.Error(), "a-wrong-key") || !strings.Contains(err.Error(), "bad-api-key") {
		t.Errorf("%v", err)
	}
}

// A key that is not notify's own sees public profiles only, and every mail would lack an
// address.
func TestAPublicProfileIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/tokens" {
			fmt.Fprint(w, `{"access_token": "x", "token_type": "Bearer", "expires_in": 900}`)
			return
		}
		fmt.Fprintf(w, `{"id": %q, "display_name": "Kim", "country": null}`, person(1))
	}))
	defer srv.Close()
	if _, ok, err := client(t, srv.URL, "k").User(t.Context(), person(1)); ok || err == nil || !strings.Contains(err.Error(), "NOTIFY_KEY") {
		t.Errorf("%t %v", ok, err)
	}
}
