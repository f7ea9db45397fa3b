package scores_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// Every handler refuses a body above its route's limit, before it looks at anything else.
func TestBodiesAboveTheLimit(t *testing.T) {
	s := startScores(t)
	tried := 0
	for _, r := range web.Routes {
		if r.Body == 0 || r.Deployable != "score-add" && r.Deployable != "board-admin" {
			continue
		}
		tried++
		path := strings.NewReplacer("{board}", "b", "{entry}", "e", "{player}", "p").Replace(r.Pattern)
		w := s.send("owner", r.Method, path, strings.Repeat(" ", r.Body-1)+"{}")
		if w.Code != 413 || faultFields(w.Body.String()) != "body" || !strings.Contains(w.Body.String(), fmt.Sprintf("at most %d bytes", r.Body)) {
			t.Errorf("%s %s: %d %s", r.Method, r.Pattern, w.Code, w.Body)
		}
		if w := s.send("owner", r.Method, path, strings.Repeat(" ", r.Body-2)+"{}"); w.Code == 413 {
			t.Errorf("%s %s refuses a body at its limit", r.Method, r.Pattern)
		}
	}
	if tried < 6 {
		t.Errorf("only %d routes were tried", tried)
	}
}

// hostileBatches are the bodies of score-add's largest route that take the most work, by
// what is in them.
func hostileBatches() map[string]string {
	fill := func(before, item, after string) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < 998_000; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.ReplaceAll(item, "%d", fmt.Sprint(i)))
		}
		return b.String() + after
	}
	attributes := fill("", `"%d":"x"`, "")
	return map[string]string{
		"unknown fields":          fill(`{`, `"%d":1`, `}`),
		"unknown fields of items": fill(`{"entries":[`, `{"x":1}`, `]}`),
		"items that are numbers":  fill(`{"entries":[`, `1`, `]}`),
		"empty items":             fill(`{"entries":[`, `{}`, `]}`),
		"a huge profile":          `{"entries":[{"board":"b","player":"p","points":1,"profile":{"attributes":{` + attributes + `}}}]}`,
		"huge metadata":           `{"entries":[{"board":"b","player":"p","points":1,"metadata":{` + attributes + `}}]}`,
		"bad items":               `{"entries":[` + strings.TrimSuffix(strings.Repeat(`{"board":"?","player":"?","reason":"","kind":"?","tiebreak":9999999999999999,"key":"한","profile":{"country":"?","user":"?","display_name":"","attributes":{"":"","\n":""}}},`, 999), ",") + `]}`,
		"many attributes":         `{"entries":[` + strings.TrimSuffix(strings.Repeat(`{"board":"b","player":"p","points":1,"profile":{"attributes":{`+attributes[:len(attributes)/1100/9*9]+`"z":""}}},`, 999), ",") + `]}`,
	}
}

// A batch that is wrong everywhere is refused after bounded work: each allocation stands
// for some of it. Reading all of the first one would take 600,000.
func TestABatchThatIsWrongEverywhereIsRefusedSoon(t *testing.T) {
	s := startScores(t)
	for name, body := range hostileBatches() {
		w := s.send("stranger", "POST", "/v1/entries/batch", body)
		var p struct{ Errors []any }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 400 || len(p.Errors) > 100 || w.Body.Len() > 20_000 {
			t.Errorf("%s: %d, %d errors in %d bytes: %.300s", name, w.Code, len(p.Errors), w.Body.Len(), w.Body)
		}
		most := 130_000.0
		if strings.Contains(name, "unknown") || strings.Contains(name, "numbers") || strings.Contains(name, "empty") {
			most = 5_000
		}
		if n := testing.AllocsPerRun(1, func() { s.send("stranger", "POST", "/v1/entries/batch", body) }); n > most {
			t.Errorf("%s of %d bytes: %.0f allocations", name, len(body), n)
		}
	}
}

func BenchmarkRefuse(b *testing.B) {
	h := web.New(web.Config{Deployable: "score-add", Verifier: callers}, scores.Add(&score.Adder{Now: time.Now}))
	for name, body := range hostileBatches() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/v1/entries/batch", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer stranger")
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != 400 {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}

// full returns n different texts of so many characters.
func full(n, characters int, of string) []string {
	texts := make([]string, n)
	for i := range texts {
		number := fmt.Sprintf("%04d", i)
		texts[i] = number + strings.Repeat(of, characters-len(number))
	}
	return texts
}

// With every field at its own limit, a board of 1,000 reasons in letters of two bytes, an
// entry and a player fit their routes' limits. A board whose reasons have three bytes a
// character does not.
func TestFieldsAtTheirLimitsFit(t *testing.T) {
	s := startScores(t)
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	board := func(id, of string) map[string]any {
		catalogue := map[string]int64{}
		for _, reason := range full(1000, 80, of) {
			catalogue[reason] = -(1<<53 - 1)
		}
		var periods []any
		for _, name := range full(8, 40, "😀") {
			periods = append(periods, map[string]any{"name": name, "start": "2026-03-01T00:00:00.123456+09:00", "end": "2026-06-01T00:00:00.123456+09:00"})
		}
		periods[0] = "all"
		return map[string]any{
			"id": id + strings.Repeat("x", 60), "title": strings.Repeat("😀", 200), "periods": periods, "categories": full(4, 40, "😀"),
			"time_zone": "America/Argentina/ComodRivadavia", "catalogue": catalogue, "min": -(1<<53 - 1), "max": 1<<53 - 1, "daily_cap": 1<<53 - 1,
			"floor": -(1<<53 - 1), "decimals": 6, "unit": "duration_ms", "grace": "8783h59m60s", "public": false, "state": "open",
			"owners": full(99, 64, "a"), "writers": full(100, 64, "a"), "viewers": full(100, 64, "a"),
		}
	}
	big := text(board("a", "é"))
	b := s.must(201, "owner", "POST", "/v1/boards", big)
	t.Logf("a board has %d bytes", len(big))
	if w := s.send("owner", "POST", "/v1/boards", text(board("b", "각"))); w.Code != 413 {
		t.Errorf("a board with longer reasons: %d %s", w.Code, w.Body)
	}

	attributes := map[string]string{}
	for i, name := range full(16, 40, "😀") {
		attributes[name] = full(16, 80, "😀")[i]
	}
	profile := map[string]any{"display_name": strings.Repeat("😀", 80), "country": "KR", "attributes": attributes, "user": strings.Repeat("a", 64)}
	entry := text(map[string]any{
		"player": strings.Repeat("p", 64), "reason": full(1, 80, "é")[0], "kind": "import", "note": strings.Repeat("😀", 1000), "tiebreak": -(1<<53 - 1),
		"occurred_at": "2026-04-05T09:30:00.123456+09:00", "late": false, "metadata": map[string]string{"a": strings.Repeat("a", 4086)},
		"key": strings.Repeat("k", 128), "profile": profile, "rename": false,
	})
	s.must(201, "owner", "POST", "/v1/boards/"+b["id"].(string)+"/entries", entry)
	profile["status"], profile["note"] = "under_review", strings.Repeat("😀", 1000)
	s.must(201, "owner", "PATCH", "/v1/boards/"+b["id"].(string)+"/players/q", text(profile))
	t.Logf("an entry has %d bytes", len(entry))
}
