package scores_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"plaudit/shared/web/webtest"
)

func TestFormsOfATextMeet(t *testing.T) {
	s := startScores(t)
	board := s.must(201, "owner", "POST", "/v1/boards", fmt.Sprintf(`{"id":"b","title":%s,"catalogue":{%s:42},"categories":[%s],
		"periods":["all",{"name":%s,"start":"2020-01-01T00:00:00Z","end":"2900-01-01T00:00:00Z"}]}`,
		webtest.Quoted(webtest.Forms("서울 대회")[3]), webtest.Quoted(webtest.Forms("완주")[3]), webtest.Quoted(webtest.Forms("도시")[3]), webtest.Quoted(webtest.Forms("봄")[3])))
	if got := fmt.Sprint(board["title"], " ", board["catalogue"], board["categories"]); got != "서울 대회 map[완주:42] [도시]" {
		t.Errorf("the board has %q", got)
	}
	for i, reason := range webtest.Forms("완주") {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p%d","reason":%s,"profile":{"display_name":%s,"country":%s,"attributes":{%s:%s}}}`,
			i, webtest.Quoted(reason), webtest.Quoted(webtest.Forms("José")[i]), webtest.Quoted([]string{"KR", "kr", "Kr", "kR"}[i]), webtest.Quoted(webtest.Forms("도시")[i]), webtest.Quoted(webtest.Forms("서울")[i])))
	}
	for i := range webtest.Forms("") {
		player := s.must(201, "owner", "PATCH", fmt.Sprintf("/v1/boards/b/players/q%d", i), fmt.Sprintf(`{"display_name":%s,"country":"kr","attributes":{%s:%s}}`,
			webtest.Quoted(webtest.Forms("José")[i]), webtest.Quoted(webtest.Forms("도시")[i]), webtest.Quoted(webtest.Forms("서울")[i])))
		if got := fmt.Sprint(player["display_name"], player["country"], player["attributes"]); got != "JoséKRmap[도시:서울]" {
			t.Errorf("a player has %q", got)
		}
	}
	for i := range webtest.Forms("") {
		for _, query := range []url.Values{
			{"category": {webtest.Forms("도시")[i] + ":" + webtest.Forms("서울")[i]}},
			{"period": {webtest.Forms("봄")[i]}},
			{"country": {[]string{"KR", "kr", "Kr", "kR"}[i]}},
		} {
			target := "/v1/boards/b/standings?" + query.Encode()
			if page := s.must(200, "owner", "GET", target, ""); page["of"] != 4.0 || len(ids(t, page, "player")) != 4 {
				t.Errorf("%v: the table is %v", query, page)
			}
			if got := s.pages("owner", target+"&limit=3", "player", nil); len(got) != 4 {
				t.Errorf("%v: the pages have %v", query, got)
			}
		}
		category := s.must(200, "owner", "GET", "/v1/boards/b/standings/p0?category="+url.QueryEscape(webtest.Forms("도시:서울")[i]), "")
		if category["of"] != 4.0 || category["category"] != "도시:서울" {
			t.Errorf("the standing is %v", category)
		}
		for list, n := range map[string]int{
			"/v1/boards/b/entries?reason=" + url.QueryEscape(webtest.Forms("완주")[i]): 4,
			"/v1/boards/b/periods?name=" + url.QueryEscape(webtest.Forms("봄")[i]):    1,
			"/v1/boards?q=" + url.QueryEscape(webtest.Forms("서울")[i]):                1,
		} {
			if got := s.pages("owner", list+"&limit=3", "start", nil); len(got) != n {
				t.Errorf("%s has %d items, want %d", list, len(got), n)
			}
		}
	}
	// A cursor belongs to its list, whatever the form in which the filter comes again.
	first := s.must(200, "owner", "GET", "/v1/boards/b/entries?limit=1&reason="+url.QueryEscape(webtest.Forms("완주")[1]), "")
	s.must(200, "owner", "GET", "/v1/boards/b/entries?limit=1&reason="+url.QueryEscape(webtest.Forms("완주")[0])+"&cursor="+first["next"].(string), "")

	if b := s.must(200, "owner", "PATCH", "/v1/boards/b", fmt.Sprintf(`{"title":%s,"catalogue":{%s:42},"categories":[%s]}`,
		webtest.Quoted(webtest.Forms("서울 대회")[1]), webtest.Quoted(webtest.Forms("완주")[2]), webtest.Quoted(webtest.Forms("도시")[1]))); b["version"] != 1.0 {
		t.Errorf("the same texts in other forms made version %v", b["version"])
	}
}

func TestDefaultTitleIsTheID(t *testing.T) {
	s := startScores(t)
	if b := s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`); b["title"] != "b" {
		t.Errorf("the title is %v", b["title"])
	}
}

// A note is kept as it is, but for the line breaks of its system.
func TestNotesAreKept(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	note := " Umstellung:\r\n\n- Zürich\u200e \n" + norm.NFD.String("서울")
	want := strings.ReplaceAll(note, "\r\n", "\n")
	entry := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"note":`+webtest.Quoted(note)+`}`)
	for of, got := range map[string]any{
		"an entry": entry["note"],
		"a reversal": s.must(201, "owner", "POST", "/v1/boards/b/entries/"+entry["id"].(string)+"/reversal",
			`{"note":`+webtest.Quoted(note)+`}`)["note"],
		"a player": s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"note":`+webtest.Quoted(note)+`}`)["note"],
	} {
		if got != want {
			t.Errorf("%s has the note %q, want %q", of, got, want)
		}
	}
}

// invisible are texts that show nothing, or affect the text around them.
var invisible = []string{
	"", " ", "\u3000\u00a0", "\u200b", "\u200d\ufe0f", "\u0301", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u200e\u200f\u061c",
	"a\x1bb", "a\tb", "a\u0085b", "a\u2028b", "a\u2029b", "a\rb",
	"\u202aa", "a\u202b", "a\u202cb", "\u202da", "a\u202eb", "\u2066a", "a\u2067b", "\u2068a", "a\u2069",
}

func TestInvisibleTextsAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["club"],"catalogue":{"full":42}}`)
	entry := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","reason":"full"}`)["id"].(string)
	before := s.written()
	const season = `"start":"2020-01-01T00:00:00Z","end":"2900-01-01T00:00:00Z"}`
	players, entries, batch := "/v1/boards/b/players/p", "/v1/boards/b/entries", "/v1/entries/batch"
	// § is the text, or the name of a field that ends in §.
	for _, c := range []struct{ method, target, body, field string }{
		{"POST", "/v1/boards", `{"id":"new","title":§}`, "title"},
		{"PATCH", "/v1/boards/b", `{"title":§}`, "title"},
		{"POST", "/v1/boards", `{"id":"new","categories":["a",§]}`, "categories[1]"},
		{"PATCH", "/v1/boards/b", `{"categories":["a",§]}`, "categories[1]"},
		{"POST", "/v1/boards", `{"id":"new","catalogue":{§:1}}`, "catalogue.§"},
		{"PATCH", "/v1/boards/b", `{"catalogue":{§:1}}`, "catalogue.§"},
		{"POST", "/v1/boards", `{"id":"new","periods":[§]}`, "periods[0]"},
		{"PATCH", "/v1/boards/b", `{"periods":[{"name":§,"cron":"0 0 * * *"}]}`, "periods[0].name"},
		{"POST", "/v1/boards", `{"id":"new","periods":["all",{"name":§,` + season + `]}`, "periods[1].name"},
		{"PATCH", players, `{"display_name":§}`, "display_name"},
		{"PATCH", players, `{"attributes":{"club":§}}`, "attributes.club"},
		{"PATCH", players, `{"attributes":{§:"x"}}`, "attributes.§"},
		{"PATCH", players, `{"attributes":{§:null}}`, "attributes.§"},
		{"PATCH", players, `{"note":§}`, "note"},
		{"PATCH", players, `{"country":§}`, "country"},
		{"POST", entries, `{"player":"p","reason":§}`, "reason"},
		{"POST", entries, `{"player":"p","reason":"full","note":§}`, "note"},
		{"POST", entries, `{"player":"p","reason":"full","profile":{"display_name":§}}`, "profile.display_name"},
		{"POST", entries, `{"player":"p","reason":"full","profile":{"country":§}}`, "profile.country"},
		{"POST", entries, `{"player":"p","reason":"full","profile":{"attributes":{"club":§}}}`, "profile.attributes.club"},
		{"POST", entries, `{"player":"p","reason":"full","profile":{"attributes":{§:"x"}}}`, "profile.attributes.§"},
		{"POST", entries + "/" + entry + "/reversal", `{"note":§}`, "note"},
		{"POST", batch, `{"entries":[{"board":"b","player":"p","reason":"full"},{"board":"b","player":"p","reason":§}]}`, "entries[1].reason"},
		{"POST", batch, `{"entries":[{"board":"b","player":"p","reason":"full","note":§}]}`, "entries[0].note"},
		{"POST", batch, `{"entries":[{"board":"b","reverses":"` + entry + `","note":§}]}`, "entries[0].note"},
		{"POST", batch, `{"entries":[{"board":"b","player":"p","reason":"full","profile":{"attributes":{§:"x"}}}]}`, "entries[0].profile.attributes.§"},
		{"GET", "/v1/boards?q=§", "", "q"},
		{"GET", entries + "?reason=§", "", "reason"},
		{"GET", "/v1/boards/b/standings?category=club:§", "", "category"},
		{"GET", "/v1/boards/b/standings?category=§:a", "", "category"},
		{"GET", "/v1/boards/b/standings/p?category=club:§", "", "category"},
		{"GET", "/v1/boards/b/standings?period=§", "", "period"},
		{"GET", "/v1/boards/b/standings/p?period=§", "", "period"},
		{"GET", "/v1/boards/b/standings?country=§", "", "country"},
		{"GET", "/v1/boards/b/periods?name=§", "", "name"},
	} {
		for _, bad := range invisible {
			w := s.send("owner", c.method, strings.ReplaceAll(c.target, "§", url.QueryEscape(bad)), strings.ReplaceAll(c.body, "§", webtest.Quoted(bad)))
			got := faultFields(w.Body.String())
			prefix, isKey := strings.CutSuffix(c.field, "§")
			if w.Code != 400 || isKey && !strings.HasPrefix(got, prefix) || !isKey && got != c.field {
				t.Errorf("%s %s %s with %q: got %d %s, want a 400 for %s", c.method, c.target, c.body, bad, w.Code, w.Body, c.field)
			}
		}
	}
	if after := s.written(); after != before {
		t.Errorf("refusals wrote:\n%s\n%s", before, after)
	}
}

// Limits count the text that is kept.
func TestLengthsAreThoseOfTheNormalForm(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	long := "  " + norm.NFD.String(strings.Repeat("각", 80)) + "\u3000"
	if p := s.must(201, "owner", "PATCH", "/v1/boards/b/players/p", `{"display_name":`+webtest.Quoted(long)+`}`); p["display_name"] != strings.Repeat("각", 80) {
		t.Errorf("the name is %q", p["display_name"])
	}
	for target, field := range map[string]string{"/v1/boards?q=" + strings.Repeat("a", 201): "q", "/v1/boards/b/entries?reason=" + strings.Repeat("a", 81): "reason"} {
		w := s.send("owner", "GET", target, "")
		max := map[string]string{"q": "200", "reason": "80"}[field]
		if w.Code != 400 || !strings.Contains(w.Body.String(), `{"field":"`+field+`","detail":"must have 1 to `+max+` characters and must not be blank"}`) {
			t.Errorf("%s: got %d %s", field, w.Code, w.Body)
		}
	}
}

func TestNamesThatBecomeEqualAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	before := s.written()
	for _, other := range webtest.Forms("서울")[1:] {
		pair := func(form string) string { return fmt.Sprintf(form, webtest.Quoted("서울"), webtest.Quoted(other)) }
		for _, c := range []struct{ method, target, body, field string }{
			{"POST", "/v1/boards", pair(`{"id":"new","catalogue":{%s:1,%s:1}}`), "catalogue.서울"},
			{"PATCH", "/v1/boards/b", pair(`{"catalogue":{%s:1,%s:2}}`), "catalogue.서울"},
			{"POST", "/v1/boards", pair(`{"id":"new","categories":[%s,%s]}`), "categories[1]"},
			{"PATCH", "/v1/boards/b", pair(`{"categories":[%s,%s]}`), "categories[1]"},
			{"POST", "/v1/boards", pair(`{"id":"new","periods":[{"name":%s,"cron":"0 0 * * *"},{"name":%s,"cron":"0 1 * * *"}]}`), "periods[1].name"},
			{"PATCH", "/v1/boards/b", pair(`{"periods":[{"name":%s,"cron":"0 0 * * *"},{"name":%s,"cron":"0 1 * * *"}]}`), "periods[1].name"},
			{"PATCH", "/v1/boards/b", `{"periods":["all"," all"]}`, "periods[1]"},
			{"PATCH", "/v1/boards/b", `{"periods":[{"name":"day ","cron":"0 0 * * *"}]}`, "periods[0].name"},
			{"PATCH", "/v1/boards/b/players/p", pair(`{"attributes":{%s:"x",%s:null}}`), "attributes.서울"},
			{"POST", "/v1/boards/b/entries", pair(`{"player":"p","points":1,"profile":{"attributes":{%s:"x",%s:"x"}}}`), "profile.attributes.서울"},
			{"POST", "/v1/entries/batch", pair(`{"entries":[{"board":"b","player":"p","points":1,"profile":{"attributes":{%s:"x",%s:"y"}}}]}`), "entries[0].profile.attributes.서울"},
		} {
			w := s.send("owner", c.method, c.target, c.body)
			if w.Code != 400 || faultFields(w.Body.String()) != c.field {
				t.Errorf("%s %s %s: got %d %s, want a 400 for %s", c.method, c.target, c.body, w.Code, w.Body, c.field)
			}
		}
	}
	if after := s.written(); after != before {
		t.Errorf("refusals wrote:\n%s\n%s", before, after)
	}
}

func TestTheSameRequestInAnotherForm(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","catalogue":{"완주":42}}`)
	body := func(i int) string {
		return fmt.Sprintf(`{"player":"p","reason":%s,"note":%s,"profile":{"display_name":%s,"country":%s,"attributes":{%s:%s}}}`,
			webtest.Quoted(webtest.Forms("완주")[i]), webtest.Quoted([]string{"가\n나", norm.NFD.String("가\n나"), "가\r\n나", norm.NFD.String("가\r\n나")}[i]), webtest.Quoted(webtest.Forms("José")[i]),
			webtest.Quoted([]string{"KR", "kr", "Kr", "kR"}[i]), webtest.Quoted(webtest.Forms("도시")[i]), webtest.Quoted(webtest.Forms("서울")[i]))
	}
	item := func(i int) string { return `{"entries":[{"board":"b",` + strings.TrimPrefix(body(i), "{") + `]}` }
	for target, body := range map[string]func(int) string{"/v1/boards/b/entries": body, "/v1/entries/batch": item} {
		key := []string{"Idempotency-Key", "k-" + target}
		first := s.send("owner", "POST", target, body(1), key...)
		for i := range webtest.Forms("") {
			w := s.send("owner", "POST", target, body(i), key...)
			same := w.Body.String() == first.Body.String() || strings.Contains(w.Body.String(), `"replayed":true`)
			if w.Code != 200 || w.Header().Get("Idempotency-Replayed") != "true" || !same {
				t.Errorf("%s in form %d: got %d %s, want the answer of %s", target, i, w.Code, w.Body, first.Body)
			}
		}
		if w := s.send("owner", "POST", target, strings.Replace(body(0), "서울", "서 울", 1), key...); w.Code != 422 {
			t.Errorf("%s with another text: got %d %s", target, w.Code, w.Body)
		}
	}
}

// Texts of boards that were created before texts had a normal form stay as they
// are until somebody changes them.
func TestOlderBoardsStayUsable(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["도시"],"periods":[{"name":"봄","start":"2020-01-01T00:00:00Z","end":"2900-01-01T00:00:00Z"}]}`)
	s.db.Owner().MustExec(`UPDATE boards SET title = $1, categories = ARRAY[$2], periods = jsonb_set(periods, '{0,name}', to_jsonb($3::text))`,
		norm.NFD.String("서울"), norm.NFD.String("도시"), norm.NFD.String("봄"))
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"q","points":1}`)
	if b := s.must(200, "owner", "PATCH", "/v1/boards/b", `{"decimals":0}`); b["version"] != 1.0 {
		t.Errorf("a change of nothing made version %v", b["version"])
	}
	board := s.must(200, "owner", "GET", "/v1/boards/b", "")
	same, _ := json.Marshal(map[string]any{"title": board["title"], "categories": board["categories"], "periods": board["periods"], "public": false})
	if b := s.must(200, "owner", "PATCH", "/v1/boards/b", string(same)); b["version"] != 2.0 {
		t.Errorf("the board is %v", b)
	}
	for _, target := range []string{"/v1/boards/b/standings?limit=1", "/v1/boards/b/standings?limit=1&period=" + url.QueryEscape("봄")} {
		if got := s.pages("owner", target, "player", nil); !slices.Equal(got, []string{"p", "q"}) {
			t.Errorf("%s has %v", target, got)
		}
	}
	if got := s.pages("owner", "/v1/boards/b/periods?name="+url.QueryEscape("봄"), "name", nil); len(got) != 1 {
		t.Errorf("the periods are %q", got)
	}
}
