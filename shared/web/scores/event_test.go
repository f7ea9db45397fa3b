package scores_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"plaudit/shared/event"
	pgscores "plaudit/shared/postgres/scores"
)

// The event of an entry shows what the API shows of it to its writers, without the
// metadata: the data has a form of its own, so that its bytes never change.
func TestEventOfAnEntryShowsTheEntry(t *testing.T) {
	t.Parallel()
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","periods":["all","month"],"min":-10}`)
	var want []map[string]any
	var ids []string
	show := func(id any) {
		entry := s.must(200, "owner", "GET", "/v1/boards/b/entries/"+id.(string), "")
		delete(entry, "metadata")
		ids, want = append(ids, id.(string)), append(want, entry)
	}
	show(s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":-5,"kind":"adjustment","note":"<b>& \"é\"","tiebreak":-7,"metadata":{"secret":[1.50]}}`)["id"])
	batch := s.must(201, "owner", "POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":1},{"board":"b","player":"q","points":2,"kind":"import","metadata":{"a":1}}]}`)
	for _, e := range batch["entries"].([]any) {
		show(e.(map[string]any)["id"])
		want[len(want)-1]["batch_size"] = 2.0
	}
	show(s.must(201, "owner", "POST", "/v1/boards/b/entries/"+ids[1]+"/reversal", `{"note":"a mistake"}`)["id"])
	rows, err := pgscores.New(s.db.Open("db_check")).Kept(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Event.Type == event.BoardCreated {
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(r.Event.JSON, &got); err != nil {
			t.Fatal(err)
		}
		at := slices.Index(ids, got["id"].(string))
		if at < 0 || !reflect.DeepEqual(got, want[at]) {
			t.Errorf("the event shows %v, the API %v", got, want[max(at, 0)])
		}
	}
	if len(rows) != 5 {
		t.Errorf("there are %d events", len(rows))
	}
}
