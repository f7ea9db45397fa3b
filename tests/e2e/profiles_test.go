package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/event"
)

// A changed name and country arrive at the boards of an account's players, and its
// erasure clears them. None of the names is in the log.
func TestProfilesReachTheBoards(t *testing.T) {
	owner, me := person(t, access.Organizer), person(t, access.Member)
	name := func(what string) string {
		n := unique(what + " Runner")
		personal.note(n)
		return n
	}
	linked, registered := owner.board(t, `, "categories": ["club"]`), owner.board(t, `, "players": "registered"`)
	own, club := name("Own"), name("Club")
	want(t, 201, "POST", "/v1/boards/"+linked+"/entries", owner.token, fmt.Sprintf(`{"player": "bib-7", "points": 1, "profile": {"display_name": %q, "country": "KR", "attributes": {"club": %q}}}`, own, club))
	want(t, 201, "POST", "/v1/boards/"+linked+"/entries", owner.token, fmt.Sprintf(`{"player": "bib-8", "points": 1, "profile": {"display_name": %q}}`, name("Other")))
	renamed := name("Renamed")
	want(t, 201, "POST", "/v1/boards/"+linked+"/entries", owner.token, fmt.Sprintf(`{"player": "bib-8", "points": 1, "rename": true, "profile": {"display_name": %q}}`, renamed))
	want(t, 201, "POST", "/v1/boards/"+registered+"/entries", owner.token, fmt.Sprintf(`{"player": %q, "points": 1}`, me.id))
	want(t, 200, "PATCH", "/v1/boards/"+linked+"/players/bib-7", owner.token, fmt.Sprintf(`{"user": %q}`, me.id))
	want(t, 200, "PUT", "/v1/players/me/links/"+linked+"/bib-7", me.token, "")

	players := []string{"/v1/boards/" + linked + "/players/bib-7", "/v1/boards/" + registered + "/players/" + me.id}
	shows := func(name, country any) {
		t.Helper()
		eventually(t, fmt.Sprintf("the boards show %v from %v", name, country), func() bool {
			for _, path := range players {
				a := want(t, 200, "GET", path, owner.token, "")
				if a.json(t, "display_name") != name || a.json(t, "country") != country {
					return false
				}
			}
			return true
		})
	}
	for _, country := range []string{"NO", "SE", "IS"} { // one soon after the other
		now := name("Follows")
		want(t, 200, "PATCH", "/v1/users/me", me.token, fmt.Sprintf(`{"display_name": %q, "country": %q}`, now, country))
		if country != "SE" {
			shows(now, country)
			if a := want(t, 200, "GET", "/v1/boards/"+linked+"/standings?players=bib-7", "", ""); a.text(t, "items", 0, "display_name") != now || a.text(t, "items", 0, "country") != country {
				t.Errorf("the standings are %s", a.body)
			}
		}
	}
	last := want(t, 200, "GET", "/v1/users/me", me.token, "").text(t, "display_name")

	want(t, 204, "DELETE", "/v1/users/me", me.token, "")
	shows(nil, nil)
	for _, board := range []string{linked, registered} {
		a := want(t, 200, "GET", "/v1/boards/"+board+"/players", owner.token, "")
		if strings.Contains(a.body, last) || strings.Contains(a.body, club) {
			t.Errorf("after the erasure: %s", a.body)
		}
	}
	// Another player keeps theirs, and results count as before.
	if a := want(t, 200, "GET", "/v1/boards/"+linked+"/standings", "", ""); a.text(t, "of") != "2" || !strings.Contains(a.body, renamed) || strings.Contains(a.body, own) || strings.Contains(a.body, last) {
		t.Errorf("the standings are %s", a.body)
	}
	for query, typ := range map[string]event.Type{
		"subject=board/" + linked + "/player/bib-7":           event.PlayerErased,
		"subject=board/" + registered + "/player/" + me.id:    event.PlayerErased,
		"subject=user/" + me.id + "&type=plaudit.user.erased": event.UserErased,
	} {
		eventually(t, "the erasure is in the log: "+query, func() bool {
			return slices.ContainsFunc(events(t, rolesBy(t), query), func(e event.Event) bool { return e.Type == typ })
		})
	}
}
