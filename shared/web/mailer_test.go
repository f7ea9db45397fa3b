package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
)

// Of all routes of all deployables, the function that sends mail may call exactly these,
// and nobody else may call those that are for it alone.
func TestRoutesOfTheMailer(t *testing.T) {
	forAll := []string{
		"GET /v1/users/{id}", "GET /v1/boards/{board}", "GET /v1/boards/{board}/players/{player}",
		"GET /v1/boards/{board}/entries", "GET /v1/boards/{board}/entries/{entry}", "GET /v1/players/{user}/entries",
	}
	forItAlone := []string{"POST /v1/users/{id}/mail-links", "PUT /v1/users/{id}/mail-state"}
	others := tokens{
		"member": {User: "m", Role: access.Member}, "organizer": {User: "o", Role: access.Organizer}, "auditor": {User: "u", Role: access.Auditor}, "admin": {User: "a", Role: access.Admin},
		"key":   {User: "a", Role: access.Service, Owner: access.Admin, Key: "k", Scopes: []string{"read", "entries:write", "boards:write", "events:write"}},
		"named": {User: "notify", Role: access.Service, Owner: access.Admin, Key: "notify", Scopes: []string{"read"}},
	}
	all := tokens{"notify": access.Notify()}
	for name, c := range others {
		all[name] = c
	}
	var open []string
	for _, r := range Routes {
		endpoints := map[string]Endpoint{}
		for _, other := range Routes {
			if other.Deployable == r.Deployable {
				endpoints[other.Method+" "+other.Pattern] = Endpoint{Handle: func(w http.ResponseWriter, _ *http.Request) error { return Reply(w, http.StatusOK, 1) }}
			}
		}
		h, row := New(Config{Deployable: r.Deployable, Verifier: all}, endpoints), r.Method+" "+r.Pattern
		target := strings.NewReplacer("{", "", "}", "").Replace(r.Pattern)
		switch w := send(h, r.Method, target, "Bearer notify"); w.Code {
		case http.StatusOK:
			open = append(open, row)
		case http.StatusForbidden:
		default:
			t.Errorf("%s: %d %s", row, w.Code, w.Body)
		}
		if r.Method == "GET" {
			if get, head := send(h, "GET", target, "Bearer notify"), send(h, "HEAD", target, "Bearer notify"); get.Code != head.Code {
				t.Errorf("%s: GET %d, HEAD %d", row, get.Code, head.Code)
			}
		}
		if slices.Contains(forItAlone, row) {
			if w := send(h, r.Method, target, ""); w.Code != http.StatusUnauthorized {
				t.Errorf("%s without a token: %d", row, w.Code)
			}
			for name := range others {
				if w := send(h, r.Method, target, "Bearer "+name); w.Code != http.StatusForbidden {
					t.Errorf("%s with the token of %s: %d", row, name, w.Code)
				}
			}
		}
	}
	want := slices.Concat(forAll, forItAlone)
	slices.Sort(open)
	slices.Sort(want)
	if fmt.Sprint(open) != fmt.Sprint(want) {
		t.Errorf("it may call\n%q, want\n%q", open, want)
	}
	for _, row := range forMailer {
		if !slices.ContainsFunc(Routes, func(r Route) bool { return r.Method+" "+r.Pattern == row }) {
			t.Errorf("%s is no route", row)
		}
	}
}
