package scores_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// standingsOf returns the standings in an entry's answer as `period=score`.
func standingsOf(entry map[string]any) string {
	var out []string
	for _, s := range entry["standings"].([]any) {
		c := s.(map[string]any)
		out = append(out, fmt.Sprint(c["period"], "=", c["score"]))
	}
	return strings.Join(out, " ")
}

// clock sets the database's time.
func (s *scoreStack) clock(at string) {
	s.db.Owner().MustExec(`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT timestamptz '` + at + `' $$`)
}

func TestReversalCancelsAnEntry(t *testing.T) {
	for _, c := range []struct {
		combine   string
		points    []int // entries of one player, an hour apart
		reverse   []int
		standings []string // after each reversal
		reached   string   // after the last
	}{
		{"sum", []int{5, 0, 7, 0}, []int{2, 0, 1, 3}, []string{"5", "0", "0", "<nil>"}, ""},
		{"sum", []int{5, 0, 7, 0}, []int{2}, []string{"5"}, "2026-04-05T00:00:00Z"},
		{"sum", []int{0, 0, 7}, []int{2}, []string{"0"}, "2026-04-05T00:00:00Z"},
		{"best", []int{5, 9, 9, 3}, []int{1, 2, 3}, []string{"9", "5", "5"}, "2026-04-05T00:00:00Z"},
		{"best", []int{5, 9, 9, 3}, []int{1}, []string{"9"}, "2026-04-05T02:00:00Z"},
		{"last", []int{5, 9, 3}, []int{1, 2, 0}, []string{"3", "5", "<nil>"}, ""},
	} {
		t.Run(fmt.Sprint(c.combine, c.points, c.reverse), func(t *testing.T) {
			s := startScores(t)
			s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","combine":"`+c.combine+`"}`)
			var ids []string
			for i, p := range c.points {
				e := s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p","points":%d,"occurred_at":"2026-04-05T%02d:00:00Z","tiebreak":0}`, p, i))
				ids = append(ids, e["id"].(string))
			}
			for i, n := range c.reverse {
				e := s.must(201, "owner", "POST", "/v1/boards/b/entries/"+ids[n]+"/reversal", `{"note":"wrong bib"}`)
				if e["reverses"] != ids[n] || e["points"] != float64(-c.points[n]) || e["kind"] != "reversal" || e["note"] != "wrong bib" ||
					e["seq"] != float64(len(c.points)+i+1) || standingsOf(e) != "all="+c.standings[i] {
					t.Errorf("reversal %d: got %v, want all=%s", i, e, c.standings[i])
				}
				again := s.must(409, "owner", "POST", "/v1/boards/b/entries/"+ids[n]+"/reversal", `{"note":"again"}`)
				ofReversal := s.must(409, "owner", "POST", "/v1/boards/b/entries/"+e["id"].(string)+"/reversal", `{"note":"undo"}`)
				if again["type"] != "urn:plaudit:error:already-reversed" || ofReversal["type"] != "urn:plaudit:error:already-reversed" {
					t.Errorf("again: %v, of a reversal: %v", again, ofReversal)
				}
			}
			if c.reached == "" {
				s.must(404, "owner", "GET", "/v1/boards/b/standings/p", "")
				// A new entry starts from zero.
				if e := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`); standingsOf(e) != "all=1" {
					t.Errorf("got %v", e)
				}
			} else if got := s.must(200, "owner", "GET", "/v1/boards/b/standings/p", ""); got["reached_at"] != c.reached {
				t.Errorf("reached at %v, want %v", got["reached_at"], c.reached)
			}
		})
	}
}

func TestReversalsThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","writers":["w"]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"other"}`)
	id := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)["id"].(string)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"k"}`)
	before := s.written()
	target := "/v1/boards/b/entries/" + id + "/reversal"
	for _, c := range []struct {
		name, token, target, body string
		status                    int
		kind, field               string
		headers                   []string
	}{
		{"no note", "owner", target, `{}`, 400, "bad-request", "note", nil},
		{"null", "owner", target, `{"note":null}`, 400, "bad-request", "note", nil},
		{"an empty note", "owner", target, `{"note":" "}`, 400, "bad-request", "note", nil},
		{"a long note", "owner", target, `{"note":"` + strings.Repeat("é", 1001) + `"}`, 400, "bad-request", "note", nil},
		{"late as text", "owner", target, `{"note":"x","late":"true"}`, 400, "bad-request", "late", nil},
		{"late null", "owner", target, `{"note":"x","late":null}`, 400, "bad-request", "late", nil},
		{"points", "owner", target, `{"note":"x","points":1}`, 400, "bad-request", "points", nil},
		{"a bad key", "owner", target, `{"note":"x","key":"a b"}`, 400, "bad-request", "key", nil},
		{"two keys", "owner", target, `{"note":"x","key":"a"}`, 400, "bad-request", "key", []string{"Idempotency-Key", "b"}},
		{"a key of an entry", "owner", target, `{"note":"x","key":"k"}`, 422, "key-reused", "key", nil},
		{"a key of an entry in the header", "owner", target, `{"note":"x"}`, 422, "key-reused", "Idempotency-Key", []string{"Idempotency-Key", "k"}},
		{"a key of an entry in header and body", "owner", target, `{"note":"x","key":"k"}`, 422, "key-reused", "key", []string{"Idempotency-Key", "k"}},
		{"not an id", "owner", "/v1/boards/b/entries/x/reversal", `{"note":"x"}`, 404, "not-found", "", nil},
		{"no such entry", "owner", "/v1/boards/b/entries/01890000-0000-7000-8000-000000000000/reversal", `{"note":"x"}`, 404, "not-found", "", nil},
		{"an entry of another board", "owner", "/v1/boards/other/entries/" + id + "/reversal", `{"note":"x"}`, 404, "not-found", "", nil},
		{"no such board", "owner", "/v1/boards/none/entries/" + id + "/reversal", `{"note":"x"}`, 404, "not-found", "", nil},
		{"a stranger", "stranger", target, `{"note":"x"}`, 403, "forbidden", "", nil},
		{"nobody", "", target, `{"note":"x"}`, 401, "unauthenticated", "", nil},
		{"kind reversal in an entry", "owner", "/v1/boards/b/entries", `{"player":"p","points":1,"kind":"reversal"}`, 400, "bad-request", "kind", nil},
	} {
		w := s.send(c.token, "POST", c.target, c.body, c.headers...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), `error:`+c.kind+`"`) || faultFields(w.Body.String()) != c.field {
			t.Errorf("%s: got %d %s", c.name, w.Code, w.Body)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
}

// An entry credits every period of its board that contains it. If one of them is
// closed the entry is refused, or with `late` counts in the others.
func TestClosedPeriods(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":["day",{"name":"s","start":"2026-04-01T00:00:00Z","end":"2026-05-01T00:00:00Z"},"all"],"grace":"24h"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"days","periods":["day",{"name":"s","start":"2026-04-01T00:00:00Z","end":"2026-05-01T00:00:00Z"}],"grace":"0s"}`)
	in := `{"player":"p","points":5,"occurred_at":"2026-04-05T12:00:00Z"`
	s.clock("2026-04-06 23:59:59.999999Z")
	first := s.must(201, "owner", "POST", "/v1/boards/b/entries", in+`,"key":"k1"}`)
	if standingsOf(first) != "day=5 s=5 all=5" {
		t.Errorf("got %v", first)
	}
	reverse := "/v1/boards/b/entries/" + first["id"].(string) + "/reversal"
	s.clock("2026-04-07 00:00:00Z")
	refused := s.must(409, "owner", "POST", "/v1/boards/b/entries", in+`,"key":"k2"}`)
	if refused["type"] != "urn:plaudit:error:period-closed" || refused["field"] != "occurred_at" {
		t.Errorf("got %v", refused)
	}
	if got := s.must(201, "owner", "POST", "/v1/boards/b/entries", in+`,"late":true,"key":"k2"}`); standingsOf(got) != "s=10 all=10" {
		t.Errorf("late: %v", got)
	}
	if w := s.send("owner", "POST", "/v1/boards/b/entries", in+`,"key":"k1"}`); w.Code != 200 {
		t.Errorf("a replay after the end: %d %s", w.Code, w.Body)
	}
	if got := s.must(409, "owner", "POST", reverse, `{"note":"x"}`); got["type"] != "urn:plaudit:error:period-closed" || got["field"] != "occurred_at" {
		t.Errorf("got %v", got)
	}
	if got := s.must(201, "owner", "POST", reverse, `{"note":"x","late":true}`); standingsOf(got) != "s=5 all=5" {
		t.Errorf("a late reversal: %v", got)
	}
	s.clock("2026-06-01 00:00:00Z")
	late := s.must(201, "owner", "POST", "/v1/boards/b/entries", in+`,"late":true}`)
	if standingsOf(late) != "all=10" {
		t.Errorf("only `all` is open: %v", late)
	}
	// The entry credited no closed period, so its reversal changes none either.
	if got := s.must(201, "owner", "POST", "/v1/boards/b/entries/"+late["id"].(string)+"/reversal", `{"note":"x"}`); standingsOf(got) != "all=5" {
		t.Errorf("got %v", got)
	}
	for _, body := range []string{in + `}`, in + `,"late":true}`, `{"player":"p","points":1,"occurred_at":"2026-04-05T12:00:00Z","late":true}`} {
		if got := s.must(409, "owner", "POST", "/v1/boards/days/entries", body); got["type"] != "urn:plaudit:error:period-closed" {
			t.Errorf("%s: %v", body, got)
		}
	}
	var standings string
	err := s.db.Owner().Get(&standings, `SELECT string_agg(r.period || '=' || s.score, ' ' ORDER BY r.period) FROM standings s JOIN runs r ON r.no = s.run`)
	if err != nil || standings != "all=5 day=5 s=5" {
		t.Errorf("standings are %s (%v)", standings, err)
	}
}

func TestEntryOutsideEveryPeriodIsRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":[{"name":"s","start":"2999-01-01T00:00:00Z","end":"2999-05-01T00:00:00Z"}]}`)
	before := s.written()
	for _, late := range []string{"", `,"late":true`} {
		if got := s.must(409, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":5,"key":"k"`+late+`}`); got["field"] != "occurred_at" {
			t.Errorf("got %v", got)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
}

func TestDailyCap(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","daily_cap":10,"min":-5,"time_zone":"Asia/Seoul"}`)
	add := func(status int, points int, at, more string) map[string]any {
		t.Helper()
		return s.must(status, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p","points":%d,"occurred_at":"%s"%s}`, points, at, more))
	}
	const day, last, next = "2026-04-04T15:00:00Z", "2026-04-05T14:59:59.999999Z", "2026-04-05T15:00:00Z"
	first := add(201, 6, day, "")
	if got := add(409, 5, last, ""); got["type"] != "urn:plaudit:error:daily-cap" || got["field"] != "points" {
		t.Errorf("got %v", got)
	}
	add(201, 4, last, "")
	add(409, 1, day, `,"kind":"import"`)
	add(201, 0, day, "")
	add(201, 10, next, "")
	add(201, 100, day, `,"kind":"adjustment","note":"bonus"`)
	add(409, 1, day, "")
	s.must(201, "owner", "POST", "/v1/boards/b/entries/"+first["id"].(string)+"/reversal", `{"note":"x"}`)
	add(409, 7, day, "")
	add(201, 6, day, "")
	add(201, -5, day, "")
	add(201, 5, day, "")
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"q","points":10,"occurred_at":"`+day+`"}`)

	// The state after the batch is what counts, and the fault names the item that crosses the cap.
	batch := func(status int, points ...int) map[string]any {
		t.Helper()
		var items []string
		for _, p := range points {
			items = append(items, fmt.Sprintf(`{"board":"b","player":"r","points":%d,"occurred_at":"%s"}`, p, day))
		}
		return s.must(status, "owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join(items, ",")+`]}`)
	}
	batch(201, 8, 5, -4)
	for want, points := range map[string][]int{"entries[0].points": {2, -1, 1}, "entries[2].points": {-1, 2, 2}} {
		if got := batch(409, points...); got["field"] != want {
			t.Errorf("%v: %v, want %s", points, got, want)
		}
	}
}

func TestBatchIsOneChange(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"a","catalogue":{"full":42}}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"z","combine":"best","order":"asc"}`)
	old := s.must(201, "owner", "POST", "/v1/boards/z/entries", `{"player":"p","points":1}`)["id"].(string)
	body := `{"entries":[
		{"board":"a","player":"p","reason":"full","profile":{"display_name":"Kim","attributes":{"sex":"f"}}},
		{"board":"z","player":"p","points":7,"key":"k1"},
		{"board":"z","reverses":"` + old + `","note":"wrong"},
		{"board":"a","player":"p","points":-2,"kind":"adjustment","note":"penalty"}]}`
	w := s.send("owner", "POST", "/v1/entries/batch", body, "Idempotency-Key", "h")
	var out struct {
		Batch   string
		Entries []struct {
			ID, Board, Player string
			Points            int64
			Replayed          bool
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 201 || len(out.Entries) != 4 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	for i, want := range []string{"a p 42 false", "z p 7 false", "z p -1 false", "a p -2 false"} {
		e := out.Entries[i]
		if got := fmt.Sprint(e.Board, " ", e.Player, " ", e.Points, " ", e.Replayed); got != want {
			t.Errorf("item %d is %s, want %s", i, got, want)
		}
		entry := s.must(200, "owner", "GET", "/v1/boards/"+e.Board+"/entries/"+e.ID, "")
		if entry["batch"] != out.Batch || standingsOf(entry) != []string{"all=40", "all=7", "all=7", "all=40"}[i] {
			t.Errorf("item %d: %v", i, entry)
		}
	}
	before := s.written()
	again := s.send("owner", "POST", "/v1/entries/batch", body, "Idempotency-Key", "h")
	if want := strings.ReplaceAll(w.Body.String(), `"replayed":false`, `"replayed":true`); again.Code != 200 || again.Body.String() != want || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %v %s, want %s", again.Code, again.Header(), again.Body, want)
	}
	if s.written() != before {
		t.Error("a replay wrote something")
	}
	// If some items are new, the batch is new.
	some := s.send("owner", "POST", "/v1/entries/batch", strings.Replace(body, `]}`, `,{"board":"a","player":"q","reason":"full"}]}`, 1), "Idempotency-Key", "h")
	if strings.Contains(some.Body.String(), out.Batch) || some.Code != 201 || strings.Count(some.Body.String(), `"replayed":true`) != 4 || some.Header().Get("Idempotency-Replayed") != "" {
		t.Errorf("some: %d %s", some.Code, some.Body)
	}
	// Its last item is another request.
	other := s.send("owner", "POST", "/v1/entries/batch", strings.Replace(body, `"points":-2`, `"points":-3`, 1), "Idempotency-Key", "h")
	if other.Code != 422 || faultFields(other.Body.String()) != "entries[3].key" {
		t.Errorf("got %d %s", other.Code, other.Body)
	}
	// No key that a client sends is one of those derived from the header.
	if own := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"a","player":"x","reason":"full","key":"h#0"}]}`); own.Code != 201 {
		t.Errorf("got %d %s", own.Code, own.Body)
	}
}

// attributes returns n attributes as JSON.
func attributes(prefix string, n int) string {
	var fields []string
	for i := range n {
		fields = append(fields, fmt.Sprintf(`"%s%d":"x"`, prefix, i))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func TestBatchesThatAreRefused(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"a","catalogue":{"full":42}}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"z","max":10,"writers":["w"]}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"closed"}`)
	s.must(200, "owner", "PATCH", "/v1/boards/closed", `{"state":"closed"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"mine","public":false}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"days","periods":["day"]}`)
	id := s.must(201, "owner", "POST", "/v1/boards/z/entries", `{"player":"p","points":1,"key":"taken"}`)["id"].(string)
	s.must(201, "owner", "POST", "/v1/boards/z/entries/"+id+"/reversal", `{"note":"x"}`)
	live := s.must(201, "owner", "POST", "/v1/boards/z/entries", `{"player":"p","points":1}`)["id"].(string)
	good := `{"board":"z","player":"p","points":1}`
	adjust := `{"board":"z","player":"p","kind":"adjustment","note":"n","points":9007199254740991}`
	before := s.written()
	for _, c := range []struct {
		name, token, items string
		status             int
		fields             string
	}{
		{"no items", "owner", ``, 400, "entries"},
		{"1,001 items", "owner", strings.Repeat(good+",", 1000) + good, 400, "entries"},
		{"not an item", "owner", good + `,1`, 400, "entries[1]"},
		{"null", "owner", `null`, 400, "entries[0]"},
		{"an unknown field", "owner", good + `,{"board":"z","player":"p","points":1,"seq":1}`, 400, "entries[1].seq"},
		{"wrong types", "owner", `{"board":1,"player":1,"points":"1"}`, 400, "entries[0].board entries[0].player entries[0].points"},
		{"wrong types beside other faults", "owner", `{"board":"z","player":"a"},{"board":"z","player":"","points":1},{"board":"z","player":"b","points":"x","key":5,"kind":null},7,{"board":"z","reverses":"x","seq":1}`, 400,
			"entries[2].points entries[2].key entries[3] entries[4].seq entries[0].points entries[1].player entries[2].kind entries[4].note"},
		{"no board", "owner", `{"player":"p","points":1}`, 400, "entries[0].board"},
		{"board null", "owner", `{"board":null,"player":"p","points":1}`, 400, "entries[0].board"},
		{"every fault of the body", "owner", `{"board":"z","player":"","points":1},` + good + `,{"board":"z","player":"p","note":"","key":" "},{"board":"z","reverses":"x","points":1,"kind":"result"}`, 400,
			"entries[0].player entries[2].key entries[2].note entries[2].points entries[3].points entries[3].kind entries[3].note"},
		{"every fault against the boards", "owner", `{"board":"a","player":"p","points":1},` + good + `,{"board":"z","player":"p","points":11},{"board":"a","player":"p","reason":"none"},{"board":"closed","player":"p","points":1}`, 400,
			"entries[0].points entries[2].points entries[3].reason"},
		{"one key twice for another board too", "owner", `{"board":"a","player":"p","reason":"full","key":"k"},{"board":"z","player":"p","points":1,"key":"k"},{"board":"z","player":"p","points":2,"key":"k"}`, 400, "entries[2].key"},
		{"one key twice", "owner", `{"board":"z","player":"p","points":1,"key":"k"},{"board":"z","player":"p","points":2,"key":"k"}`, 400, "entries[1].key"},
		{"a reversal of nothing", "owner", good + `,{"board":"z","reverses":"","note":"x"}`, 400, "entries[1].reverses entries[1].player entries[1].points"},
		{"no such board", "owner", good + `,{"board":"none","player":"p","points":1}`, 404, "entries[1].board"},
		{"not a board", "owner", good + `,{"board":"A B","player":"p","points":1}`, 404, "entries[1].board"},
		{"a private board", "writer", good + `,{"board":"mine","player":"p","points":1}`, 404, "entries[1].board"},
		{"a board of others", "writer", good + `,{"board":"a","player":"p","reason":"full"}`, 403, "entries[1].board"},
		{"a key that is taken", "owner", good + `,{"board":"z","player":"p","points":1,"key":"taken"}`, 422, "entries[1].key"},
		{"that is checked before an unknown entry", "owner", `{"board":"z","reverses":"x","note":"n"},{"board":"z","player":"p","points":1,"key":"taken"}`, 422, "entries[1].key"},
		{"no such entry", "owner", `{"board":"z","player":"p","points":11},{"board":"z","reverses":"x","note":"n"}`, 404, "entries[1].reverses"},
		{"of another board", "owner", `{"board":"a","reverses":"` + live + `","note":"n"}`, 404, "entries[0].reverses"},
		{"a closed board", "owner", good + `,{"board":"closed","player":"p","points":1}`, 409, "entries[1].board"},
		{"a closed period", "owner", good + `,{"board":"days","player":"p","points":1,"occurred_at":"2026-01-01T00:00:00Z"}`, 409, "entries[1].occurred_at"},
		{"reversed already", "owner", good + `,{"board":"z","reverses":"` + id + `","note":"n"}`, 409, "entries[1].reverses"},
		{"reversed twice", "owner", `{"board":"z","reverses":"` + live + `","note":"n"},{"board":"z","reverses":"` + live + `","note":"n"}`, 409, "entries[1].reverses"},
		{"too many attributes with the second of the player's", "owner", good + `,{"board":"z","player":"new","points":1,"profile":{"attributes":` + attributes("a", 9) + `}},` +
			`{"board":"z","player":"new","points":1,"profile":{"attributes":` + attributes("b", 9) + `}},{"board":"z","player":"new","points":1,"profile":{"country":"KR"}}`, 400, "entries[2].profile.attributes"},
		{"out of range", "owner", `{"board":"z","player":"q","points":1},` + adjust + `,` + good, 409, "entries[1].points"},
		{"out of range, though not by every item", "owner", `{"board":"z","player":"p","kind":"adjustment","note":"n","points":-2},` + adjust + `,` + good + `,` + good, 409, "entries[3].points"},
	} {
		w := s.send(c.token, "POST", "/v1/entries/batch", `{"entries":[`+c.items+`]}`)
		if w.Code != c.status || faultFields(w.Body.String()) != c.fields {
			t.Errorf("%s: got %d %.700s", c.name, w.Code, w.Body)
		}
	}
	for body, field := range map[string]string{`{}`: "entries", `{"entries":null}`: "entries", `{"entries":{}}`: "entries", `{"entries":[` + good + `],"batch":"x"}`: "batch"} {
		if w := s.send("owner", "POST", "/v1/entries/batch", body); w.Code != 400 || faultFields(w.Body.String()) != field {
			t.Errorf("%s: got %d %s", body, w.Code, w.Body)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
	// The score is within its range after the whole batch.
	s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[`+adjust+`,{"board":"z","player":"p","kind":"adjustment","note":"n","points":-2}]}`)
}

// A replay returns the first answer, byte for byte, whatever has happened to the
// entry, its player and its board.
func TestReplaySurvivesWhatCameAfter(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","catalogue":{"full":42},"periods":["day","all"],"categories":["sex"]}`)
	body := `{"player":"p","reason":"full","profile":{"display_name":"Kim","attributes":{"sex":"f"}}}`
	first := s.send("owner", "POST", "/v1/boards/b/entries", body, "Idempotency-Key", "k")
	var entry struct{ ID string }
	if err := json.Unmarshal(first.Body.Bytes(), &entry); err != nil {
		t.Fatal(err)
	}
	target := "/v1/boards/b/entries/" + entry.ID + "/reversal"
	reversal := s.send("owner", "POST", target, `{"note":"wrong"}`, "Idempotency-Key", "r")
	if !strings.Contains(reversal.Body.String(), `"score":null`) {
		t.Errorf("got %s", reversal.Body)
	}
	for _, change := range []struct{ target, body string }{
		{"/v1/boards/b/players/p", `{"display_name":"Lee","status":"hidden","attributes":{"sex":"m"}}`},
		{"/v1/boards/b", `{"title":"Renamed","catalogue":{"half":20}}`},
		{"/v1/boards/b", `{"state":"archived"}`},
	} {
		s.must(200, "owner", "PATCH", change.target, change.body)
		if again := s.send("owner", "POST", "/v1/boards/b/entries", body, "Idempotency-Key", "k"); again.Code != 200 || again.Body.String() != first.Body.String() {
			t.Errorf("after %s the entry is %d %s, want %s", change.body, again.Code, again.Body, first.Body)
		}
		if again := s.send("owner", "POST", target, `{"note":"wrong"}`, "Idempotency-Key", "r"); again.Code != 200 || again.Body.String() != reversal.Body.String() {
			t.Errorf("after %s the reversal is %d %s, want %s", change.body, again.Code, again.Body, reversal.Body)
		}
	}
}
