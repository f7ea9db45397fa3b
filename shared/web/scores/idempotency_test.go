package scores_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// kindAndField returns what a client decides by.
func kindAndField(w *httptest.ResponseRecorder) string {
	var p struct{ Type, Field string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(strings.TrimPrefix(p.Type, "urn:plaudit:error:") + " " + p.Field)
}

func TestReusedKeyIsNamedWhereItWasSent(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	id := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"k"}`)["id"].(string)
	header := []string{"Idempotency-Key", "k"}
	for _, c := range []struct {
		target, body string
		headers      []string
		want         string
	}{
		{"/v1/boards/b/entries", `{"player":"p","points":2,"key":"k"}`, nil, "key"},
		{"/v1/boards/b/entries", `{"player":"p","points":2}`, header, "Idempotency-Key"},
		{"/v1/boards/b/entries", `{"player":"p","points":2,"key":"k"}`, header, "key"},
		{"/v1/boards/b/entries/" + id + "/reversal", `{"note":"n","key":"k"}`, nil, "key"},
		{"/v1/boards/b/entries/" + id + "/reversal", `{"note":"n"}`, header, "Idempotency-Key"},
		{"/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":1},{"board":"b","player":"p","points":1,"key":"k"}]}`, header, "entries[1].key"},
	} {
		if w := s.send("owner", "POST", c.target, c.body, c.headers...); w.Code != 422 || kindAndField(w) != "key-reused "+c.want {
			t.Errorf("%s %s %v: got %d %s, want a 422 for %s", c.target, c.body, c.headers, w.Code, w.Body, c.want)
		}
	}
}

// A key belongs to one board, also within one batch.
func TestOneKeyOnTwoBoards(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"c"}`)
	first, second := `{"board":"b","player":"p","points":1,"key":"k"}`, `{"board":"c","player":"p","points":2,"key":"k"}`
	batch := s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[`+first+`,`+second+`]}`)
	again := s.must(200, "owner", "POST", "/v1/entries/batch", `{"entries":[`+second+`,`+first+`]}`)
	ids := func(out map[string]any) (ids []any) {
		for _, e := range out["entries"].([]any) {
			ids = append(ids, e.(map[string]any)["id"])
		}
		return ids
	}
	of, back := ids(batch), ids(again)
	slices.Reverse(back)
	if !slices.Equal(of, back) || of[0] == of[1] || again["batch"] != batch["batch"] {
		t.Errorf("got %v, then %v", batch, again)
	}
	w := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+second+`,`+first+`,`+first+`]}`)
	if w.Code != 400 || faultFields(w.Body.String()) != "entries[2].key" || !strings.Contains(w.Body.String(), `board \"b\"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// A header's key protects each item at its place in the batch.
func TestBatchUnderAUsedHeaderKey(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	longest := strings.Repeat("h", 128)
	send := func(points ...int) (*httptest.ResponseRecorder, string, []string) {
		var items []string
		for i, p := range points {
			items = append(items, fmt.Sprintf(`{"board":"b","player":"p%d","points":%d}`, i, p))
		}
		w := s.send("owner", "POST", "/v1/entries/batch", `{"entries":[`+strings.Join(items, ",")+`]}`, "Idempotency-Key", longest)
		var out struct {
			Batch   string
			Entries []struct {
				ID       string
				Replayed bool
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		var entries []string
		for _, e := range out.Entries {
			entries = append(entries, fmt.Sprint(e.ID, " ", e.Replayed))
		}
		return w, out.Batch, entries
	}
	replayed := func(entries []string) (out []string) {
		for _, e := range entries {
			out = append(out, strings.Replace(e, "false", "true", 1))
		}
		return out
	}

	w, batch, first := send(1, 2)
	if w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w, same, again := send(1, 2)
	if w.Code != 200 || w.Header().Get("Idempotency-Replayed") != "true" || same != batch || !slices.Equal(again, replayed(first)) {
		t.Errorf("the same: got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w, same, again = send(1)
	if w.Code != 200 || w.Header().Get("Idempotency-Replayed") != "true" || same != batch || !slices.Equal(again, replayed(first[:1])) {
		t.Errorf("shorter: got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w, longer, third := send(1, 2, 3)
	if w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" || longer == batch || len(third) != 3 ||
		!slices.Equal(third[:2], replayed(first)) || !strings.HasSuffix(third[2], " false") {
		t.Errorf("longer: got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w, same, again = send(1, 2, 3)
	if w.Code != 200 || same != batch || !slices.Equal(again, replayed(third)) {
		t.Errorf("the longer one again, whose first item is of the first batch: got %d %s", w.Code, w.Body)
	}
	before := s.written()
	for name, c := range map[string]struct {
		points []int
		want   string
	}{
		"two items changed places":      {[]int{1, 3, 2}, "key-reused entries[1].key"},
		"the first item is left out":    {[]int{2, 3}, "key-reused entries[0].key"},
		"another item beside a new one": {[]int{1, 2, 9, 4}, "key-reused entries[2].key"},
	} {
		if w, _, _ := send(c.points...); w.Code != 422 || kindAndField(w) != c.want || !strings.Contains(w.Body.String(), "Idempotency-Key") {
			t.Errorf("%s: got %d %s, want %s", name, w.Code, w.Body, c.want)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
	// The keys that a header gives meet none that a client can send.
	for _, key := range []string{longest, "h#0", "h"} {
		s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"q","points":1}`, "Idempotency-Key", key)
	}
	for range 2 {
		s.must(200, "owner", "POST", "/v1/boards/b/entries", `{"player":"q","points":1}`, "Idempotency-Key", "h")
	}
	s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"q","points":1}]}`, "Idempotency-Key", "h")
}

// Each request breaks two rules, and the one that is documented first is told.
func TestOrderOfAnAddsChecks(t *testing.T) {
	s := startScores(t)
	const unknown = "01890000-0000-7000-8000-000000000000"
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","daily_cap":5,"max":9,"periods":["day","all"],"grace":"0s"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"shut"}`)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"private","public":false}`)
	in := `{"player":"p","points":5,"key":"k"}`
	first := s.must(201, "owner", "POST", "/v1/boards/b/entries", in)
	entry := first["id"].(string)
	reverse := "/v1/boards/b/entries/" + entry + "/reversal"
	s.must(201, "owner", "POST", "/v1/boards/shut/entries", in)
	s.must(200, "owner", "PATCH", "/v1/boards/shut", `{"state":"closed"}`)
	before := s.written()
	for _, c := range []struct {
		name, token, target, body string
		headers                   []string
		status                    int
		want                      string
	}{
		{"401 beats 400", "", "/v1/boards/b/entries", `{}`, nil, 401, "unauthenticated"},
		{"401 beats 404 of the board", "bad", "/v1/boards/none/entries", in, nil, 401, "unauthenticated"},
		{"405 beats 400", "owner", "/v1/boards/b/entries/" + entry, `{}`, nil, 405, "method-not-allowed"},
		{"404 of the route beats 415", "owner", "/v1/boards/b/entries/" + entry + "/x", in, []string{"Content-Type", "text/plain"}, 404, "not-found"},
		{"415 beats 404 of the board", "owner", "/v1/boards/none/entries", in, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type Content-Type"},
		{"400 beats 404 of the board", "owner", "/v1/boards/none/entries", `{"player":"p"}`, nil, 400, "bad-request points"},
		{"400 beats 403", "stranger", "/v1/boards/b/entries", `{"player":"p"}`, nil, 400, "bad-request points"},
		{"400 of the body beats 422", "owner", "/v1/boards/b/entries", `{"points":1,"key":"k"}`, nil, 400, "bad-request player"},
		{"404 of the board beats 422", "stranger", "/v1/boards/private/entries", in, nil, 404, "not-found"},
		{"403 beats 422", "stranger", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"k"}`, nil, 403, "forbidden"},
		{"422 beats 404 of the entry", "owner", "/v1/boards/b/entries/" + unknown + "/reversal", `{"note":"n","key":"k"}`, nil, 422, "key-reused key"},
		{"422 beats 400 against the bounds", "owner", "/v1/boards/b/entries", `{"player":"p","points":10,"key":"k"}`, nil, 422, "key-reused key"},
		{"422 beats a closed board", "owner", "/v1/boards/shut/entries", `{"player":"p","points":1,"key":"k"}`, nil, 422, "key-reused key"},
		{"422 beats the cap", "owner", "/v1/boards/b/entries", `{"player":"p","points":6,"key":"k"}`, nil, 422, "key-reused key"},
		{"422 beats a closed period", "owner", "/v1/boards/b/entries", `{"player":"p","points":1,"occurred_at":"2020-01-01T00:00:00Z","key":"k"}`, nil, 422, "key-reused key"},
		{"404 of the entry beats a closed board", "owner", "/v1/boards/shut/entries/" + unknown + "/reversal", `{"note":"n"}`, nil, 404, "not-found"},
		{"400 against the bounds beats a closed period", "owner", "/v1/boards/b/entries", `{"player":"p","points":10,"occurred_at":"2020-01-01T00:00:00Z"}`, nil, 400, "bad-request points"},
		{"400 against a catalogue beats the cap", "owner", "/v1/boards/b/entries", `{"player":"p","reason":"full"}`, nil, 400, "bad-request reason"},
	} {
		w := s.send(c.token, "POST", c.target, c.body, c.headers...)
		if w.Code != c.status || kindAndField(w) != c.want {
			t.Errorf("%s: got %d %s, want %d %s", c.name, w.Code, w.Body, c.status, c.want)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}

	// A replay beats everything that would refuse the entry today.
	s.must(200, "owner", "POST", "/v1/boards/shut/entries", in)
	s.must(200, "owner", "POST", "/v1/boards/b/entries", in) // the cap is used up
	back := s.must(201, "owner", "POST", reverse, `{"note":"n","key":"r"}`)
	for name, change := range map[string]string{"the bounds": `{"max":1}`, "a catalogue": `{"catalogue":{"full":1}}`, "a closed board": `{"state":"closed"}`} {
		s.must(200, "owner", "PATCH", "/v1/boards/b", change)
		if again := s.must(200, "owner", "POST", "/v1/boards/b/entries", in); again["id"] != entry {
			t.Errorf("%s: got %v", name, again)
		}
		if again := s.must(200, "owner", "POST", reverse, `{"note":"n","key":"r"}`); again["id"] != back["id"] {
			t.Errorf("%s: got %v", name, again)
		}
	}
}

// Each refusal leaves its key free for the request that is corrected.
func TestRefusalUsesNoKeyUp(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","daily_cap":5,"max":9,"periods":["all",{"name":"s","start":"2020-01-01T00:00:00Z","end":"2020-02-01T00:00:00Z"}]}`)
	used := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"used"}`)["id"].(string)
	gone := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)["id"].(string)
	s.must(201, "owner", "POST", "/v1/boards/b/entries/"+gone+"/reversal", `{"note":"n"}`)
	var keys int
	count := func() int {
		if err := s.db.Owner().Get(&keys, `SELECT count(*) FROM entry_keys`); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	before := count()
	for i, c := range []struct {
		target, body string
		status       int
	}{
		{"/v1/boards/b/entries", `{"player":"p"%s}`, 400},
		{"/v1/boards/b/entries", `{"player":"p","points":10%s}`, 400},
		{"/v1/boards/none/entries", `{"player":"p","points":1%s}`, 404},
		{"/v1/boards/b/entries/01890000-0000-7000-8000-000000000000/reversal", `{"note":"n"%s}`, 404},
		{"/v1/boards/b/entries/" + gone + "/reversal", `{"note":"n"%s}`, 409},
		{"/v1/boards/b/entries", `{"player":"p","points":6%s}`, 409},
		{"/v1/boards/b/entries", `{"player":"p","points":1,"occurred_at":"2020-01-05T00:00:00Z"%s}`, 409},
		{"/v1/boards/b/entries", `{"player":"p","points":1,"kind":"adjustment","note":"n","tiebreak":9007199254740992%s}`, 400},
		{"/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":1%s},{"board":"b","player":"p","points":2,"key":"used"}]}`, 422},
		{"/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":1%s},{"board":"b","reverses":"` + gone + `","note":"n"}]}`, 409},
	} {
		key := fmt.Sprintf(`,"key":"k%d"`, i)
		if w := s.send("owner", "POST", c.target, fmt.Sprintf(c.body, key)); w.Code != c.status {
			t.Errorf("%s %s: got %d %s, want %d", c.target, c.body, w.Code, w.Body, c.status)
		}
		if n := count(); n != before {
			t.Fatalf("%s %s: %d keys were used up", c.target, c.body, n-before)
		}
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"q%d","points":0%s}`, i, key))
		before++
	}
	// Nor does one that belongs to another request.
	s.must(422, "owner", "POST", "/v1/boards/b/entries/"+used+"/reversal", `{"note":"n","key":"used"}`)
	s.must(200, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"key":"used"}`)
}

// A conflict of a reversal names the entry that it would cancel, since a reversal
// has neither points nor a tiebreak.
func TestConflictOfAReversalNamesItsEntry(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	add := func(player, numbers string) string {
		t.Helper()
		return s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"`+player+`","kind":"adjustment","note":"n",`+numbers+`}`)["id"].(string)
	}
	const most = "9007199254740991"
	low := add("p", `"points":-5`)
	add("p", `"points":`+most)
	add("p", `"points":5`)
	early := add("q", `"points":0,"tiebreak":-5`)
	add("q", `"points":0,"tiebreak":`+most)
	add("q", `"points":0,"tiebreak":5`)
	gone := add("r", `"points":1`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries/"+gone+"/reversal", `{"note":"n"}`)
	before := s.written()
	for name, c := range map[string]struct{ entry, kind string }{
		"the score":    {low, "score-range"},
		"the tiebreak": {early, "score-range"},
		"reversed":     {gone, "already-reversed"},
	} {
		w := s.send("owner", "POST", "/v1/boards/b/entries/"+c.entry+"/reversal", `{"note":"n"}`)
		if w.Code != 409 || kindAndField(w) != c.kind+" entry" || strings.Contains(w.Body.String(), "Reduce") {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
		w = s.send("owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"x","points":1},{"board":"b","reverses":"`+c.entry+`","note":"n"}]}`)
		if w.Code != 409 || kindAndField(w) != c.kind+" entries[1].reverses" || strings.Contains(w.Body.String(), "Reduce") {
			t.Errorf("%s in a batch: got %d %s", name, w.Code, w.Body)
		}
	}
	if s.written() != before {
		t.Error("a refusal wrote something")
	}
}
