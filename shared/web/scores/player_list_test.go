package scores_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// startSheet has a board with players of every status, in two categories.
func startSheet(t *testing.T) *scoreStack {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["age_group","sex"],"writers":["w"],"viewers":["v"]}`)
	for _, p := range []string{
		`a {"display_name":"Ånn Li","attributes":{"age_group":"M40","sex":"m"}}`,
		`b {"display_name":"ann Oh","attributes":{"age_group":"M40","sex":"f"},"status":"dnf","note":"knee"}`,
		`c {"display_name":"ANN oh","attributes":{"age_group":"M50"},"status":"dns"}`,
		`d {"attributes":{"sex":"f","shoe":"M40"},"status":"disqualified"}`,
		`e {"display_name":"Ann%_","attributes":{"age_group":"M40"},"status":"hidden"}`,
		`f {"display_name":"annotated","attributes":{"age_group":"W"},"status":"hidden"}`,
		`g {"display_name":"진","country":"KR","status":"under_review","user":"l"}`,
		`h {"display_name":"Anna","attributes":{"sex":"x:y"}}`,
	} {
		id, body, _ := strings.Cut(p, " ")
		s.must(201, "owner", "PATCH", "/v1/boards/b/players/"+id, body)
	}
	return s
}

func TestPlayersAreListedAndFound(t *testing.T) {
	s := startSheet(t)
	const list = "/v1/boards/b/players?"
	for _, c := range []struct{ query, all, seen string }{ // players for a writer, and for anybody
		{"", "a b c d e f g h", "a b c d g h"},
		{"status=ranked", "a h", "a h"},
		{"status=dnf", "b", "b"},
		{"status=dnf,dns,disqualified", "b c d", "b c d"},
		{"status=disqualified,dnf,dnf", "b d", "b d"},
		{"status=hidden", "e f", ""},
		{"status=hidden,under_review", "e f g", "g"},
		{"status=ranked,hidden,dns", "a c e f h", "a c h"},
		{"category=age_group:M40", "a b e", "a b"},
		{"category=sex:f", "b d", "b d"},
		{"category=sex:x:y", "h", "h"},
		{"category=age_group:m40", "", ""},
		{"category=age_group:W", "f", ""},
		{"category=age_group:M40&status=hidden", "e", ""},
		{"category=age_group:M40&status=dnf,ranked", "a b", "a b"},
		{"q=ann", "b c e h f", "b c h"}, // ann oh, ann oh, ann%_, anna, annotated
		{"q=ANN%20O", "b c", "b c"},
		{"q=ann%25", "e", ""},
		{"q=a_n", "", ""},
		{"q=%EC%A7%84", "g", "g"},
		{"q=%C3%A5", "a", "a"},
		{"q=nn", "", ""},
		{"q=ann&status=dns,dnf", "b c", "b c"},
		{"q=ann&status=ranked&category=sex:x:y", "h", "h"},
	} {
		for caller, want := range map[string]string{"owner": c.all, "writer": c.all, "admin": c.all, "auditor": c.all, "reading": c.all, "": c.seen, "stranger": c.seen, "viewer": c.seen, "linked": c.seen, "elsewhere": c.seen} {
			page := s.must(200, caller, "GET", list+c.query, "")
			if got := strings.Join(ids(t, page, "player"), " "); got != want || page["next"] != nil {
				t.Errorf("%q %s: got %s, want %s", caller, c.query, got, want)
			}
			if caller != "" && caller != "owner" {
				continue
			}
			for limit := 1; limit <= 3; limit++ {
				if got := strings.Join(s.pages(caller, fmt.Sprintf("%slimit=%d&%s", list, limit, c.query), "player", nil), " "); got != want {
					t.Errorf("%q %s in pages of %d: got %s, want %s", caller, c.query, limit, got, want)
				}
			}
			// A player can be read if and only if they are listed.
			if c.query == "" {
				for _, id := range strings.Fields(c.all) {
					w := s.send(caller, "GET", "/v1/boards/b/players/"+id, "")
					if (w.Code == 200) != slices.Contains(strings.Fields(want), id) {
						t.Errorf("%q: list and player disagree on %s: %d", caller, id, w.Code)
					}
				}
			}
		}
	}
	listed := s.must(200, "", "GET", list+"status=dnf", "")["items"].([]any)[0]
	if one := s.must(200, "", "GET", "/v1/boards/b/players/b", ""); fmt.Sprint(one) != fmt.Sprint(listed) {
		t.Errorf("listed it is %v, alone %v", listed, one)
	}
	for _, query := range []string{"category=shoe:M40", "category=sex", "category=:f", "status=asleep", "status=dnf,"} {
		field, _, _ := strings.Cut(query, "=")
		if w := s.send("", "GET", list+query, ""); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	// A cursor carries its filters, and goes with no others.
	next := s.must(200, "", "GET", list+"limit=1&status=dnf,dns", "")["next"].(string)
	if got := ids(t, s.must(200, "", "GET", list+"cursor="+next, ""), "player"); fmt.Sprint(got) != "[c]" {
		t.Errorf("the rest is %v", got)
	}
	for _, query := range []string{"status=dnf&", "q=a&", "category=sex:f&"} {
		if w := s.send("", "GET", list+query+"cursor="+next, ""); w.Code != 400 || faultFields(w.Body.String()) != "cursor" {
			t.Errorf("%s with a cursor of another list: %d %s", query, w.Code, w.Body)
		}
	}
}

// Entries' profiles, changes of players and changes of the board's categories decide
// which values a player has.
func TestListsFollowAttributes(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["club"]}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{"attributes":{"club":"x","city":"y"}}`)
	expect := func(what string, want ...string) {
		t.Helper()
		page := s.must(200, "", "GET", "/v1/boards/b/categories", "")
		var got []string
		for i, c := range ids(t, page, "category") {
			got = append(got, c+"="+ids(t, page, "players")[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
		for _, c := range want {
			category, n, _ := strings.Cut(c, "=")
			if players := ids(t, s.must(200, "", "GET", "/v1/boards/b/players?category="+category, ""), "player"); fmt.Sprint(len(players)) != n {
				t.Errorf("%s: %s has %v", what, category, players)
			}
		}
	}
	expect("a new player", "club:x=1")
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"categories":["city","club"]}`)
	expect("two categories", "city:y=1", "club:x=1")
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"categories":["city"]}`)
	expect("another category", "city:y=1")
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"categories":[]}`)
	expect("no category")
	s.must(200, "owner", "PATCH", "/v1/boards/b", `{"categories":["club"]}`)
	expect("the first again", "club:x=1")
	s.entry("b", `{"player":"q","points":1,"profile":{"attributes":{"club":"x"}}}`)
	expect("an entry", "club:x=2")
	s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":1,"profile":{"attributes":{"club":"z"}}},{"board":"b","player":"p","points":1,"profile":{"attributes":null}}]}`)
	expect("a batch", "club:z=1")
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/q", `{"attributes":{"club":null}}`)
	expect("a cleared attribute")
}

func TestCategoriesAreCounted(t *testing.T) {
	s := startSheet(t)
	const list = "/v1/boards/b/categories?"
	show := func(page map[string]any) string {
		var out []string
		for i, c := range ids(t, page, "category") {
			name, value := ids(t, page, "name")[i], ids(t, page, "value")[i]
			if name+":"+value != c {
				t.Errorf("%s has the name %s and the value %s", c, name, value)
			}
			out = append(out, c+"="+ids(t, page, "players")[i])
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ query, all, seen string }{
		{"", "age_group:M40=3 age_group:M50=1 age_group:W=1 sex:f=2 sex:m=1 sex:x:y=1", "age_group:M40=2 age_group:M50=1 sex:f=2 sex:m=1 sex:x:y=1"},
		{"name=sex", "sex:f=2 sex:m=1 sex:x:y=1", "sex:f=2 sex:m=1 sex:x:y=1"},
		{"name=age_group", "age_group:M40=3 age_group:M50=1 age_group:W=1", "age_group:M40=2 age_group:M50=1"},
	} {
		for caller, want := range map[string]string{"owner": c.all, "writer": c.all, "auditor": c.all, "": c.seen, "viewer": c.seen, "linked": c.seen, "elsewhere": c.seen} {
			page := s.must(200, caller, "GET", list+c.query, "")
			if got := show(page); got != want || page["next"] != nil {
				t.Errorf("%q %s: got %s, want %s", caller, c.query, got, want)
			}
			for limit := 1; limit <= 4; limit++ {
				var values []string
				for _, v := range strings.Fields(want) {
					values = append(values, v[:strings.Index(v, "=")])
				}
				if got := s.pages(caller, fmt.Sprintf("%slimit=%d&%s", list, limit, c.query), "category", nil); !slices.Equal(got, values) {
					t.Errorf("%q %s in pages of %d: got %v, want %v", caller, c.query, limit, got, values)
				}
			}
		}
	}
	if w := s.send("", "GET", list+"name=shoe", ""); w.Code != 400 || faultFields(w.Body.String()) != "name" {
		t.Errorf("no category of the board: %d %s", w.Code, w.Body)
	}
	next := s.must(200, "", "GET", list+"limit=1&name=sex", "")["next"].(string)
	if got := show(s.must(200, "", "GET", list+"cursor="+next, "")); got != "sex:m=1 sex:x:y=1" {
		t.Errorf("the rest is %s", got)
	}
	if w := s.send("", "GET", list+"name=age_group&cursor="+next, ""); w.Code != 400 || faultFields(w.Body.String()) != "cursor" {
		t.Errorf("another category: %d %s", w.Code, w.Body)
	}
}

func TestPlayersAndCategoriesAsCSV(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["@c"]}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/a", `{"display_name":"=1","attributes":{"@c":"+v"},"user":"-1","note":"-x","status":"dnf"}`)
	s.must(201, "owner", "PATCH", "/v1/boards/b/players/b", `{"country":"KR"}`)
	s.accepted()
	for target, want := range map[string]string{
		"/v1/boards/b/players?limit=1":    "[[board player display_name country user status note proposed_user link_state '@c] [b a '=1  '-1 dnf '-x '-1 accepted '+v]]",
		"/v1/boards/b/categories?limit=1": "[[category name value players] ['@c:+v '@c '+v 1]]",
	} {
		w := s.send("owner", "GET", target, "", "Accept", "text/csv")
		rows, next := readCSV(t, w)
		if fmt.Sprint(rows) != want || !slices.Contains(w.Header().Values("Vary"), "Accept") {
			t.Errorf("%s: %q %v", target, rows, w.Header())
		}
		if strings.Contains(target, "categories") != (next == "") {
			t.Errorf("%s: next is %q", target, next)
		}
		if next != "" {
			if rows, next = readCSV(t, s.send("owner", "GET", next, "", "Accept", "text/csv")); fmt.Sprint(rows[1:]) != "[[b b  KR  ranked    ]]" || next != "" {
				t.Errorf("the next page: %q, then %q", rows, next)
			}
		}
		if json := s.send("", "GET", target, ""); !slices.Contains(json.Header().Values("Vary"), "Accept") {
			t.Errorf("%s as JSON: %v", target, json.Header())
		}
	}
}
