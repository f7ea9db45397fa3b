package model

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// These tests enter results as they were published, and expect the ranking that
// was published.

// ranking reads a table as `1 a 42, 2 b 40`.
func (s *stack) ranking(path, query string) string {
	s.Helper()
	var list []string
	for _, item := range s.standings(path, query).Items {
		list = append(list, fmt.Sprint(item.Rank, " ", item.Player, " ", item.Score))
	}
	return strings.Join(list, ", ")
}

// want sends a request as the organizer and expects a status.
func (s *stack) want(status int, method, target, body string) *httptest.ResponseRecorder {
	s.Helper()
	w := s.send("0/organizer", method, target, body)
	if w.Code != status {
		s.Fatalf("%s %s %.300s: want %d, got %d %.500s", method, target, body, status, w.Code, w.Body)
	}
	return w
}

// refuse sends a request as the organizer and expects a kind of problem that
// names the fields, in this order.
func (s *stack) refuse(method, target, body, kind string, fields ...string) problem {
	s.Helper()
	w := s.send("0/organizer", method, target, body)
	p, err := decodeProblem(w.Body.String())
	if err != nil || p.Status != w.Code || p.kind() != kind || !slices.Equal(p.fields(), fields) || len(fields) > 0 && p.Field != fields[0] {
		s.Errorf("%s %s %.300s: want %s of %q, got %d %.500s", method, target, body, kind, fields, w.Code, w.Body)
	}
	return p
}

// added is an entry that was made.
type added struct {
	ID         string
	OccurredAt time.Time `json:"occurred_at"`
	Standings  []struct {
		Period string
		Start  *time.Time
		Score  *int64
	}
}

// enter adds an entry or a reversal. It returns it, and the score after it in
// its first period as JSON.
func (s *stack) enter(path, body string) (e added, score string) {
	s.Helper()
	w := s.want(201, "POST", path, body)
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		s.Fatal(err)
	}
	return e, text(e.Standings[0].Score)
}

// Equal results rank in the order of the file.
func TestFileOrderDecidesTies(t *testing.T) {
	s := start(t, 1)
	file := []string{"zoe", "adam", "mia", "ben", "lea"}
	points := map[string]int{"mia": 9}
	for _, c := range []struct{ ties, want, reversed string }{
		{"first", "1 mia 9, 2 zoe 7, 3 adam 7, 4 ben 7, 5 lea 7", "1 mia 9, 2 lea 7, 3 ben 7, 4 adam 7, 5 zoe 7"},
		{"shared", "1 mia 9, 2 adam 7, 2 ben 7, 2 lea 7, 2 zoe 7", "1 mia 9, 2 adam 7, 2 ben 7, 2 lea 7, 2 zoe 7"},
	} {
		for reversed, want := range map[bool]string{false: c.want, true: c.reversed} {
			for _, combine := range []string{"sum", "best", "last"} {
				id := fmt.Sprint(c.ties, "-", reversed, "-", combine)
				path := s.board(id, fmt.Sprintf(`, "ties": %q, "combine": %q`, c.ties, combine))
				order := slices.Clone(file)
				if reversed {
					slices.Reverse(order)
				}
				var items []map[string]any
				for _, player := range order {
					items = append(items, map[string]any{"board": id, "player": player, "points": max(7, points[player])})
				}
				s.batch(items)
				if got := s.ranking(path, ""); got != want {
					t.Errorf("%s, file %q: got %s, want %s", id, order, got, want)
				}
			}
		}
	}
}

// Times of a hundred miles are longer than a day. Two share rank 8, so nobody
// has rank 9.
func TestSharedRanksOfLongTimes(t *testing.T) {
	s := start(t, 1)
	path := s.board("ultra", `, "combine": "best", "order": "asc", "ties": "shared", "unit": "duration_ms"`)
	time := func(h, m, s int) int64 { return int64(h*3600+m*60+s) * 1000 }
	times := []int64{
		time(19, 49, 30), time(20, 5, 7), time(20, 46, 48), time(21, 28, 29), time(22, 5, 44), time(23, 59, 59), time(24, 0, 0),
		time(26, 11, 5), time(26, 11, 5), time(26, 11, 6), time(46, 29, 59),
	}
	var items []map[string]any
	var want []string
	for i, rank := range []int{1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 11} {
		items = append(items, map[string]any{"board": "ultra", "player": fmt.Sprintf("bib-%02d", i+1), "points": times[i]})
		want = append(want, fmt.Sprintf("%d bib-%02d %d", rank, i+1, times[i]))
	}
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	s.batch(items)
	if got := s.ranking(path, ""); got != strings.Join(want, ", ") {
		t.Errorf("got %s, want %s", got, want)
	}
	var one struct{ Rank, Of int }
	s.read(path+"/standings/bib-10", &one)
	if one.Rank != 10 || one.Of != 11 {
		t.Errorf("bib-10 should have rank 10 of 11: %+v", one)
	}
}

// Group C of the World Cup of 2010: points, then goal difference, then goals
// scored, which together are the tiebreak. The United States won it by goals.
func TestTiebreakOfTwoCriteria(t *testing.T) {
	s := start(t, 1)
	path := s.board("group-c", `, "ties": "shared"`)
	var items []map[string]any
	for day, match := range []struct {
		home         string
		goals, other int
		away         string
	}{
		{"england", 1, 1, "usa"}, {"algeria", 0, 1, "slovenia"}, {"slovenia", 2, 2, "usa"},
		{"england", 0, 0, "algeria"}, {"slovenia", 0, 1, "england"}, {"usa", 1, 0, "algeria"},
	} {
		for _, side := range []struct {
			team             string
			scored, conceded int
		}{{match.home, match.goals, match.other}, {match.away, match.other, match.goals}} {
			points := 0
			switch {
			case side.scored > side.conceded:
				points = 3
			case side.scored == side.conceded:
				points = 1
			}
			items = append(items, map[string]any{
				"board": "group-c", "player": side.team, "points": points, "tiebreak": 1000*(side.scored-side.conceded) + side.scored,
				"occurred_at": time.Date(2010, 6, 12+day, 14, 0, 0, 0, time.UTC),
			})
		}
	}
	s.batch(items)
	if got, want := s.ranking(path, ""), "1 usa 5, 2 england 5, 3 slovenia 4, 4 algeria 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A day in Seoul ends at 15:00 UTC.
func TestDaysInSeoul(t *testing.T) {
	s := start(t, 1)
	s.stop(time.Date(2026, 6, 11, 12, 0, 0, 0, time.UTC))
	path := s.board("b", `, "time_zone": "Asia/Seoul", "periods": ["day", "week", "all"]`)
	for _, c := range []struct{ player, at, day string }{
		{"evening", "2026-06-10T14:59:59.999999Z", "2026-06-09T15:00:00Z"},
		{"midnight", "2026-06-10T15:00:00Z", "2026-06-10T15:00:00Z"},
		{"morning", "2026-06-11T08:59:59+09:00", "2026-06-10T15:00:00Z"},
		{"noon", "2026-06-10T12:00:00+09:00", "2026-06-09T15:00:00Z"},
	} {
		e, _ := s.enter(path+"/entries", fmt.Sprintf(`{"player": %q, "points": 1, "occurred_at": %q}`, c.player, c.at))
		if start := e.Standings[0].Start; start == nil || start.Format(time.RFC3339) != c.day {
			t.Errorf("an entry at %s should count in the day of %s, not of %v", c.at, c.day, start)
		}
	}
	for query, want := range map[string]string{
		"&period=day&at=2026-06-10T23:59:59%2B09:00": "1 noon 1, 2 evening 1",
		"&period=day&at=2026-06-11T00:00:00%2B09:00": "1 midnight 1, 2 morning 1",
		"&period=day&at=2026-06-09T23:59:59%2B09:00": "",
		"&period=day":  "1 midnight 1, 2 morning 1",
		"&period=week": "1 noon 1, 2 evening 1, 3 midnight 1, 4 morning 1",
	} {
		if got := s.ranking(path, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// Staff adjust a time: a penalty makes it longer and may cost the place. It is
// relative to the best time of any attempt, and goes when it is reversed.
func TestPenaltiesOnTheBestTime(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow)
	path := s.board("b", `, "combine": "best", "order": "asc", "unit": "duration_ms"`)
	entries := path + "/entries"
	at := func(minute int) string { return minuteText(minute) }
	first, _ := s.enter(entries, `{"player": "ann", "points": 6360000, "occurred_at": "`+at(1)+`"}`)
	s.enter(entries, `{"player": "bea", "points": 6364000, "occurred_at": "`+at(2)+`"}`)
	check := func(what, want string) {
		t.Helper()
		if got := s.ranking(path, ""); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	check("two results", "1 ann 6360000, 2 bea 6364000")
	penalty, score := s.enter(entries, `{"player": "ann", "points": 5000, "kind": "adjustment", "note": "early start", "occurred_at": "`+at(3)+`"}`)
	if score != "6365000" {
		t.Errorf("after the penalty the score is %s", score)
	}
	check("a penalty", "1 bea 6364000, 2 ann 6365000")
	var one struct {
		ReachedAt time.Time `json:"reached_at"`
	}
	if s.read(path+"/standings/ann", &one); !one.ReachedAt.Equal(minute(3)) {
		t.Errorf("the adjusted score was reached at %s", one.ReachedAt)
	}
	if _, score := s.enter(entries, `{"player": "ann", "points": 6358000, "occurred_at": "`+at(4)+`"}`); score != "6363000" {
		t.Errorf("the penalty should apply to the better time too: %s", score)
	}
	check("a better time", "1 ann 6363000, 2 bea 6364000")
	if _, score := s.enter(entries+"/"+penalty.ID+"/reversal", `{"note": "it was not"}`); score != "6358000" {
		t.Errorf("without the penalty the score is %s", score)
	}
	if _, score := s.enter(entries+"/"+first.ID+"/reversal", `{"note": "wrong chip"}`); score != "6358000" {
		t.Errorf("without the first time the score is %s", score)
	}

	// An adjustment before the first result counts with it, not alone.
	if _, score := s.enter(entries, `{"player": "eve", "points": -1000, "kind": "adjustment", "note": "age", "occurred_at": "`+at(1)+`"}`); score != "null" {
		t.Errorf("an adjustment alone should have no score: %s", score)
	}
	s.want(404, "GET", path+"/standings/eve", "")
	check("an adjustment alone", "1 ann 6358000, 2 bea 6364000")
	if e, score := s.enter(entries, `{"player": "eve", "points": 6358500, "occurred_at": "`+at(6)+`"}`); score != "6357500" {
		t.Errorf("the adjustment should count from the first result on: %s %+v", score, e)
	}
	check("its result", "1 eve 6357500, 2 ann 6358000, 3 bea 6364000")
}

// A rating is the last one, and bonuses since.
func TestBonusesOnTheLastRating(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow)
	path := s.board("b", `, "combine": "last"`)
	add := func(kind string, points, at int, want string) added {
		t.Helper()
		e, got := s.enter(path+"/entries", fmt.Sprintf(`{"player": "p", "kind": %q, "points": %d, "note": "n", "occurred_at": %q}`, kind, points, minuteText(at)))
		if got != want {
			t.Errorf("%s %d at %d: the score is %s, want %s", kind, points, at, got, want)
		}
		return e
	}
	add("adjustment", 50, 1, "null")
	add("result", 1500, 2, "1500")
	add("adjustment", 10, 3, "1510")
	last := add("result", 1490, 5, "1490")
	add("adjustment", 5, 4, "1490") // before the last result
	add("adjustment", 3, 5, "1493") // at its instant, with a later seq
	add("import", 1400, 2, "1493")  // a later seq than 1500
	if _, score := s.enter(path+"/entries/"+last.ID+"/reversal", `{"note": "n"}`); score != "1418" {
		t.Errorf("1400 and 10, 5 and 3 make 1418, not %s", score)
	}
}

func minuteText(n int) string { return minute(n).Format(time.RFC3339) }

// The season of 2019 is entered into a draft, which only its people see. Opening
// it announces the season as it is.
func TestPastSeasonInADraft(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow)
	id, strangers := "league-2019", []string{"", "0/rival", "0/linked"}
	path := s.board(id, `, "state": "draft", "categories": ["age"], "viewers": ["`+userID(0, "viewer")+`"], "writers": ["`+userID(0, "writer")+`"],
		"periods": [{"name": "2019", "start": "2019-03-01T00:00:00Z", "end": "2019-11-01T00:00:00Z"}, "all"]`)
	board := func() (b struct {
		State     string
		OpenedAt  *time.Time `json:"opened_at"`
		CreatedAt time.Time  `json:"created_at"`
	}) {
		s.read(path, &b)
		return b
	}
	if b := board(); b.State != "draft" || b.OpenedAt != nil {
		t.Errorf("a draft should not have been opened: %+v", b)
	}
	if s.board("other", ""); s.send("", "GET", "/v1/boards/other", "").Code != 200 {
		t.Error("a board that was never a draft can be read")
	}
	entries := path + "/entries"
	const season = "&period=2019&at=2019-06-01T00:00:00Z"
	s.enter(entries, `{"player": "ann", "points": 3, "occurred_at": "2019-04-01T12:00:00Z", "profile": {"user": "`+userID(0, "linked")+`"}}`)
	s.enter(entries, `{"player": "bea", "points": 1, "occurred_at": "2019-04-01T12:00:00Z"}`)
	wrong, _ := s.enter(entries, `{"player": "bea", "points": 3, "occurred_at": "2019-04-02T12:00:00Z"}`)
	s.enter(entries+"/"+wrong.ID+"/reversal", `{"note": "n"}`)
	s.enter(entries, `{"player": "bea", "points": 4, "occurred_at": "2019-04-02T12:00:00Z"}`)
	s.enter(entries, `{"player": "eve", "points": 9, "occurred_at": "2019-04-02T12:00:00Z"}`)
	s.want(200, "PATCH", path+"/players/eve", `{"status": "disqualified", "note": "n"}`)
	s.want(200, "PATCH", path+"/players/ann", `{"attributes": {"age": "M40"}}`)
	s.accepted()
	if table := s.standings(path, season); table.Period.State != "open" {
		t.Errorf("no run of a draft is closed: %+v", table)
	}

	reads := []string{
		path, path + "/standings", path + "/standings/ann", path + "/players/ann", path + "/periods", path + "/entries", path + "/entries/" + wrong.ID,
	}
	lists := []string{"/v1/boards?q=" + id, "/v1/players/" + userID(0, "linked") + "/standings", "/v1/players/" + userID(0, "linked") + "/entries"}
	visible := func(token string, want bool) {
		t.Helper()
		status := map[bool]int{true: 200, false: 404}[want]
		for _, target := range reads {
			if w := s.send(token, "GET", target, ""); w.Code != status {
				t.Errorf("%q reads %s: got %d, want %d", token, target, w.Code, status)
			}
		}
		for _, target := range lists {
			if w := s.send(token, "GET", target, ""); w.Code != 200 || strings.Contains(w.Body.String(), id) != want {
				t.Errorf("%q lists %s: want the board: %t: %d %s", token, target, want, w.Code, w.Body)
			}
		}
	}
	for _, token := range strangers {
		visible(token, false)
	}
	for _, token := range []string{"0/organizer", "0/viewer", "0/writer", "0/admin", "0/auditor"} {
		visible(token, true)
	}
	if w := s.send("0/rival", "POST", entries, `{"player": "p", "points": 1}`); w.Code != 404 {
		t.Errorf("a stranger adds to a draft: %d %s", w.Code, w.Body)
	}

	s.refuse("PATCH", path, `{"state": "closed"}`, "board-state", "state")
	opened := edgesNow.Add(time.Hour)
	s.stop(opened)
	s.want(200, "PATCH", path, `{"state": "open"}`)
	if b := board(); b.State != "open" || b.OpenedAt == nil || !b.OpenedAt.Equal(opened) || !b.CreatedAt.Equal(edgesNow) {
		t.Errorf("the board was made at %s and opened at %s: %+v", edgesNow, opened, b)
	}
	s.refuse("PATCH", path, `{"state": "draft"}`, "board-state", "state")
	for _, token := range append(strangers, "0/organizer", "0/auditor") {
		visible(token, true)
	}
	const announced = "1 bea 5, 2 ann 3"
	check := func(what string) {
		t.Helper()
		if table, got := s.standings(path, season), s.ranking(path, season); table.Period.State != "closed" || got != announced {
			t.Errorf("%s: the season is %s: %s", what, table.Period.State, got)
		}
	}
	check("opened")
	s.refuse("POST", entries, `{"player": "ann", "points": 9, "occurred_at": "2019-04-03T12:00:00Z"}`, "period-closed", "occurred_at")
	s.enter(entries, `{"player": "ann", "points": 9, "occurred_at": "2019-04-03T12:00:00Z", "late": true}`)
	s.want(200, "PATCH", path+"/players/eve", `{"status": "ranked"}`)
	s.want(200, "PATCH", path+"/players/ann", `{"attributes": {"age": "M45"}}`)
	check("changed later")
	if got := s.ranking(path, season+"&category=age:M40"); got != "1 ann 3" {
		t.Errorf("the category of the season is %s", got)
	}
	if got, want := s.ranking(path, "&period=all"), "1 ann 12, 2 eve 9, 3 bea 5"; got != want {
		t.Errorf("all is %s, want %s", got, want)
	}
	s.refuse("PATCH", "/v1/boards/other", `{"state": "draft"}`, "board-state", "state")
	s.board("unopened", `, "state": "draft"`)
	s.want(200, "PATCH", "/v1/boards/unopened", `{"state": "archived"}`)
	s.refuse("PATCH", "/v1/boards/unopened", `{"state": "draft"}`, "board-state", "state")
}

// A floor holds for every kind of entry, and each refusal names what lowers the
// score.
func TestFloorOfAWallet(t *testing.T) {
	s := start(t, 1)
	path := s.board("b", `, "min": -1000, "floor": 0`)
	entries := path + "/entries"
	item := func(more string) string { return `{"board": "b", "player": "p", ` + more + `}` }
	batch := func(items ...string) string { return `{"entries": [` + strings.Join(items, ", ") + `]}` }
	s.refuse("POST", entries, `{"player": "p", "points": -1}`, "score-floor", "points")
	income, _ := s.enter(entries, `{"player": "p", "points": 10}`)
	before := s.snapshot()
	s.refuse("POST", entries, `{"player": "p", "points": -11}`, "score-floor", "points")
	s.refuse("POST", entries, `{"player": "p", "points": -11, "kind": "adjustment", "note": "n"}`, "score-floor", "points")
	s.refuse("POST", entries, `{"player": "p", "points": -11, "kind": "import"}`, "score-floor", "points")
	s.refuse("POST", "/v1/entries/batch", batch(item(`"points": -5`), item(`"points": -6`), item(`"points": 0`)), "score-floor", "entries[1].points")
	s.unwritten(before)
	s.want(201, "POST", "/v1/entries/batch", batch(item(`"points": -15`), item(`"points": 7`)))
	before = s.snapshot()
	s.refuse("POST", entries+"/"+income.ID+"/reversal", `{"note": "n"}`, "score-floor", "entry")
	s.refuse("POST", "/v1/entries/batch", batch(item(`"points": 1`), `{"board": "b", "reverses": "`+income.ID+`", "note": "n"}`), "score-floor", "entries[1].reverses")
	s.unwritten(before)

	// A floor may rise above a score, which may then rise, and not fall or stay.
	s.want(200, "PATCH", path, `{"floor": null}`)
	s.enter(entries, `{"player": "p", "points": -22}`) // -20
	s.want(200, "PATCH", path, `{"floor": -10}`)
	s.refuse("POST", entries, `{"player": "p", "points": 0}`, "score-floor", "points")
	s.refuse("POST", "/v1/entries/batch", batch(item(`"points": 0`), item(`"points": 0`)), "score-floor", "entries[0].points")
	s.refuse("POST", "/v1/entries/batch", batch(item(`"points": 5`), item(`"points": -6`)), "score-floor", "entries[1].points")
	if _, score := s.enter(entries, `{"player": "p", "points": 5}`); score != "-15" {
		t.Errorf("the score is %s", score)
	}

	for body, field := range map[string]string{
		`{"floor": 1}`: "floor", `{"combine": "best"}`: "combine", `{"periods": ["day"]}`: "periods",
	} {
		s.board("rules-"+field, `, "floor": -5`)
		s.refuse("PATCH", "/v1/boards/rules-"+field, body, "bad-request", field)
		s.want(200, "PATCH", "/v1/boards/rules-"+field, `{"floor": null}`)
	}
	for _, more := range []string{`"combine": "best", "floor": 0`, `"combine": "last", "floor": -1`, `"periods": ["day"], "floor": 0`, `"floor": 1`} {
		s.refuse("POST", "/v1/boards", `{"id": "none", `+more+`}`, "bad-request", "floor")
	}
	s.board("best", `, "combine": "best"`)
	s.refuse("PATCH", "/v1/boards/best", `{"floor": 0}`, "bad-request", "floor")
}

// Spenders, top-ups and refunds at once never take a wallet below its floor, and
// its balance is the sum of what was accepted.
func TestSpendersAtOnce(t *testing.T) {
	const spenders, each = 16, 30
	s := start(t, spenders)
	path := s.board("b", `, "min": -1000, "floor": 0, "periods": ["all", "day"]`)
	entries := path + "/entries"
	s.enter(entries, `{"player": "p", "points": 100}`)
	var balance, refused atomic.Int64
	balance.Store(100)
	var done atomic.Bool
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		for !done.Load() {
			if got := s.standings(path, "").scores()["p"]; got < 0 {
				t.Errorf("the balance was seen at %d", got)
				return
			}
		}
	}()
	together(spenders, func(client int) {
		r := rand.New(rand.NewPCG(uint64(client), 0))
		for range each {
			spent := int64(1 + r.IntN(30))
			method, target, body, change := "POST", entries, fmt.Sprintf(`{"player": "p", "points": %d}`, -spent), -spent
			switch r.IntN(4) {
			case 0: // a top-up, which is often taken back
				w := s.send("0/organizer", "POST", entries, `{"player": "p", "points": 20}`)
				var e added
				if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 201 {
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
				balance.Add(20)
				target, body, change = entries+"/"+e.ID+"/reversal", `{"note": "n"}`, -20
			case 1: // a batch that lowers, and comes back in part
				target, change = "/v1/entries/batch", 5-spent
				body = fmt.Sprintf(`{"entries": [{"board": "b", "player": "p", "points": %d}, {"board": "b", "player": "p", "points": 5}]}`, -spent)
			}
			w := s.send("0/organizer", method, target, body)
			var e added
			switch {
			case w.Code == 201:
				balance.Add(change)
				if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
					t.Error(err)
				}
				for _, c := range e.Standings {
					if c.Period == "all" && (c.Score == nil || *c.Score < 0) {
						t.Errorf("an entry took the balance below 0: %s", w.Body)
					}
				}
			case w.Code == 409 && strings.Contains(w.Body.String(), "score-floor") && change < 0:
				refused.Add(1)
			default:
				t.Errorf("%s: %d %s", body, w.Code, w.Body)
				return
			}
		}
	})
	done.Store(true)
	<-reader
	if got := s.standings(path, "").scores()["p"]; got != balance.Load() || got < 0 {
		t.Errorf("the balance is %d, and what was accepted makes %d", got, balance.Load())
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused, so nothing was tested")
	}
	t.Logf("%d requests were refused", refused.Load())
}

// A mistyped bib number would rename another player: an entry that changes a
// name has to say so.
func TestNamesThatDiffer(t *testing.T) {
	s := start(t, 1)
	path := s.board("b", "")
	entries := path + "/entries"
	one := func(player, profile, more string) string {
		return fmt.Sprintf(`{"player": %q, "points": 1, "profile": %s%s}`, player, profile, more)
	}
	item := func(player, name, more string) string {
		return fmt.Sprintf(`{"board": "b", "player": %q, "points": 1, "profile": {"display_name": %q}%s}`, player, name, more)
	}
	batch := func(items ...string) string { return `{"entries": [` + strings.Join(items, ", ") + `]}` }
	named := func(player, want string) {
		t.Helper()
		var p struct {
			DisplayName *string `json:"display_name"`
		}
		if s.read(path+"/players/"+player, &p); (p.DisplayName == nil) != (want == "") || want != "" && *p.DisplayName != want {
			t.Errorf("%s should be called %q, not %s", player, want, text(p.DisplayName))
		}
	}
	s.enter(entries, `{"player": "bib-7", "points": 1}`)
	s.enter(entries, one("bib-7", `{"display_name": "Kim Minji"}`, ""))
	before := s.snapshot()
	for _, profile := range []string{`{"display_name": "Lee Jun"}`, `{"display_name": null}`, `{"display_name": "kim minji"}`} {
		if p := s.refuse("POST", entries, one("bib-7", profile, ""), "name-differs", "profile.display_name"); !strings.Contains(p.Detail, "Kim Minji") {
			t.Errorf("the detail should hold the name that is there: %+v", p)
		}
	}
	if p := s.refuse("POST", "/v1/entries/batch", batch(item("bib-8", "Park", ""), item("bib-7", "Lee Jun", "")), "name-differs", "entries[1].profile.display_name"); !strings.Contains(p.Detail, "Kim Minji") {
		t.Errorf("the detail should hold the name that is there: %+v", p)
	}
	s.refuse("POST", "/v1/entries/batch", batch(item("bib-8", "Park", ""), item("bib-9", "Choi", ""), item("bib-8", "Jung", "")),
		"name-differs", "entries[0].profile.display_name", "entries[2].profile.display_name")
	s.unwritten(before)
	named("bib-7", "Kim Minji")

	// The same name is no change, however it is written.
	s.enter(entries, one("bib-7", `{"display_name": " Kim Minji ", "country": "KR"}`, ""))
	s.want(201, "POST", "/v1/entries/batch", batch(item("bib-8", "Núria", ""), item("bib-8", "Nu\u0301ria", "")))
	s.enter(entries, one("bib-7", `{"display_name": "Lee Jun"}`, `, "rename": true`))
	named("bib-7", "Lee Jun")
	s.want(201, "POST", "/v1/entries/batch", batch(item("bib-9", "Choi", ""), item("bib-9", "Jung", `, "rename": true`)))
	named("bib-9", "Jung")
	s.enter(entries, one("bib-7", `{"display_name": null}`, `, "rename": true`))
	named("bib-7", "")
	s.enter(entries, one("bib-7", `{"display_name": "Kim Minji"}`, ""))

	// An item that is a replay does not count.
	first := item("bib-5", "An", `, "key": "k5"`)
	s.want(201, "POST", "/v1/entries/batch", batch(first))
	s.want(200, "PATCH", path+"/players/bib-5", `{"display_name": "Bae"}`)
	s.want(201, "POST", "/v1/entries/batch", batch(first, item("bib-5", "Bae", "")))
	named("bib-5", "Bae")

	// The name and the country of a linked player are the user's.
	s.want(200, "PATCH", path+"/players/bib-7", `{"user": "`+userID(0, "linked")+`"}`)
	s.accepted()
	s.enter(entries, one("bib-7", `{"display_name": "Somebody", "country": "ES", "attributes": {"club": "Han"}}`, ""))
	s.want(201, "POST", "/v1/entries/batch", batch(item("bib-7", "A", ""), item("bib-7", "B", `, "rename": true`)))
	named("bib-7", "Kim Minji")
	var p struct {
		Country    string
		Attributes map[string]string
	}
	if s.read(path+"/players/bib-7", &p); p.Country != "KR" || p.Attributes["club"] != "Han" {
		t.Errorf("the country should stay and the club be set: %+v", p)
	}
	s.want(200, "PATCH", path+"/players/bib-7", `{"display_name": "Kim M."}`)
	named("bib-7", "Kim M.")
}
