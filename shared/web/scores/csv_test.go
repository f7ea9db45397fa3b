package scores_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The CSV of standings is the table that JSON shows, with every client's text harmless.
func TestStandingsAsCSV(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","categories":["=team","sex"]}`)
	for i, profile := range []string{
		`{"display_name":"=1+1","country":"KR","attributes":{"=team":"@home","sex":"f"}}`, `{"display_name":"진, 수","attributes":{"sex":"-"}}`, `{}`, `{"attributes":{"other":"x"}}`,
	} {
		s.entry("b", fmt.Sprintf(`{"player":"p%d","points":%d,"tiebreak":-2,"profile":%s,"occurred_at":"2026-04-01T00:00:0%dZ"}`, i, 9-i, profile, i))
	}
	const table = "/v1/boards/b/standings"
	want := [][]string{
		{"rank", "player", "display_name", "country", "score", "tiebreak", "reached_at", "'=team", "sex"},
		{"1", "p0", "'=1+1", "KR", "9", "-2", "2026-04-01T00:00:00Z", "'@home", "f"},
		{"2", "p1", "진, 수", "", "8", "-2", "2026-04-01T00:00:01Z", "", "'-"},
		{"3", "p2", "", "", "7", "-2", "2026-04-01T00:00:02Z", "", ""},
		{"4", "p3", "", "", "6", "-2", "2026-04-01T00:00:03Z", "", ""},
	}
	for limit := 1; limit <= 4; limit++ {
		got := want[:1]
		for target := fmt.Sprintf("%s?min=1&limit=%d", table, limit); target != ""; {
			w := s.send("", "GET", target, "", "Accept", "text/csv")
			rows, next := readCSV(t, w)
			if !slices.Equal(rows[0], want[0]) || len(rows) > limit+1 || !slices.Contains(w.Header().Values("Vary"), "Accept") {
				t.Errorf("a page of %d: %v, %v", limit, rows, w.Header())
			}
			got, target = append(got[:len(got):len(got)], rows[1:]...), next
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pages of %d: %q, want %q", limit, got, want)
		}
	}
	for query, players := range map[string]string{"?around=p2&limit=1": "p2", "?category=sex:f": "p0", "?players=p1,p3": "p1 p3", "?min=100": ""} {
		rows, _ := readCSV(t, s.send("", "GET", table+query, "", "Accept", "text/csv"))
		var got []string
		for _, row := range rows[1:] {
			got = append(got, row[1])
		}
		if strings.Join(got, " ") != players {
			t.Errorf("%s: %v, want %s", query, got, players)
		}
	}
	// The cursor of either form continues the other.
	next := s.must(200, "", "GET", table+"?limit=3", "")["next"].(string)
	if rows, _ := readCSV(t, s.send("", "GET", table+"?cursor="+next, "", "Accept", "text/csv")); len(rows) != 2 || rows[1][1] != "p3" {
		t.Errorf("after a page of JSON: %v", rows)
	}
	if w := s.send("", "GET", table, "", "Accept", "application/json"); w.Header().Get("Content-Type") != "application/json" || !slices.Contains(w.Header().Values("Vary"), "Accept") {
		t.Errorf("JSON: %v", w.Header())
	}
}

func TestEntriesAsCSV(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","min":-100}`)
	// No note of today begins with a control character other than a line feed.
	older := map[int]string{7: "\tx", 8: "\rx"}
	notes := []string{"plain", `"quoted", with a comma`, "two\nlines", "=1+1", "+1", "-1", "@SUM(A1)", "\n=1", "=x", " =1", "＝1", "a=1", "'"}
	for i, note := range notes {
		text, _ := json.Marshal(note)
		s.must(201, "owner", "POST", "/v1/boards/b/entries", fmt.Sprintf(`{"player":"p","points":%d,"note":%s,"metadata":{"a":"b,c"},"occurred_at":"2026-04-01T00:00:%02dZ"}`, -i, text, i))
	}
	for i, note := range older {
		s.db.Owner().MustExec(`UPDATE entries SET note = $1 WHERE points = $2`, note, -i)
	}
	s.must(200, "owner", "PATCH", "/v1/boards/b/players/p", `{"display_name":"=NOW()"}`)
	var got []string
	target := "/v1/boards/b/entries?limit=5&player=p"
	for target != "" {
		rows, next := readCSV(t, s.send("owner", "GET", target, "", "Accept", "text/csv"))
		if strings.Join(rows[0], ",") != "id,board,player,display_name,points,reason,note,kind,actor,seq,tiebreak,occurred_at,recorded_at,batch,reverses,metadata" {
			t.Fatalf("the header is %v", rows[0])
		}
		for _, row := range rows[1:] {
			i := len(notes) - 1 - len(got)
			if row[1] != "b" || row[2] != "p" || row[3] != "'=NOW()" || row[4] != fmt.Sprint(-i) || row[5] != "" || row[7] != "result" || row[8] != "user/o" || row[9] != fmt.Sprint(i+1) ||
				row[11] != fmt.Sprintf("2026-04-01T00:00:%02dZ", i) || row[15] != `{"a":"b,c"}` {
				t.Errorf("row %d is %v", i, row)
			}
			got = append(got, row[6])
		}
		target = next
	}
	slices.Reverse(got)
	want := []string{"plain", `"quoted", with a comma`, "two\nlines", "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "' =1", "'＝1", "a=1", "'"}
	if !slices.Equal(got, want) {
		t.Errorf("notes are %q, want %q", got, want)
	}
	rows, _ := readCSV(t, s.send("", "GET", "/v1/boards/b/entries?limit=1", "", "Accept", "text/csv"))
	if rows[1][15] != "" {
		t.Errorf("anybody sees metadata: %v", rows[1])
	}
	one, _ := readCSV(t, s.send("owner", "GET", "/v1/boards/b/entries/"+rows[1][0], "", "Accept", "text/csv"))
	if len(one) != 2 || one[1][0] != rows[1][0] || one[1][3] != "'=NOW()" {
		t.Errorf("one entry is %v", one)
	}
	for accept, csv := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/csv": true, "text/csv, application/json": false, "text/csv;q=0.9, application/json;q=0.8": true,
		"application/json, text/csv;q=0.9": false, "text/csv;q=0": false, "TEXT/CSV": true, "text/*": true, "text/html, text/csv;q=0.5, */*;q=0.1": true, "nonsense": false, "text/csv;q=x": false,
		"text/csv;q=NaN": false, "text/csv;q=+1": false, "text/csv;q=1e0": false, "text/csv;q=2": false, "text/csv;q=-1": false, "text/csv;q=.5": false, "text/csv;q=0.1234": false,
		"text/csv;q=1.001": false, "text/csv;q=00": false, "text/csv;q=0x1": false, "text/csv;q=": false, `text/csv;q="1"`: false, "text/csv;q=1;q=0": false, "text/csv;q=Inf": false,
		"text/csv;q=1.": true, "text/csv;q=1.000": true, "text/csv; Q=0.001": true, "text/csv;q=0.": false, "text/csv;header=present;q=0.5": true,
		"text/csv;q=0.1, */*": false, "application/json;q=0.1, */*": true,
	} {
		w := s.send("", "GET", "/v1/boards/b/entries?limit=1", "", "Accept", accept)
		if got := strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv"); w.Code != 200 || got != csv || !slices.Contains(w.Header().Values("Vary"), "Accept") {
			t.Errorf("Accept %q: %d, %v", accept, w.Code, w.Header())
		}
	}
}
