package audit

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/audit/audittest"
	"plaudit/shared/event"
)

func TestListsAreFilteredAndOrdered(t *testing.T) {
	s := newStack(t)
	var written []event.Event
	for n := range 130 {
		written = append(written, audittest.Numbered(n))
	}
	audittest.Write(t, s.log, written...)
	s.pass(time.Hour)
	at := func(n int, rest time.Duration) time.Time {
		return audittest.Base.Add(time.Duration(n)*time.Microsecond + rest)
	}
	for query, keep := range map[string]func(event.Event) bool{
		"":                      func(event.Event) bool { return true },
		"subject=task/1/step/4": func(e event.Event) bool { return e.Subject == "task/1/step/4" },
		"subject=task/1/*":      func(e event.Event) bool { return strings.HasPrefix(e.Subject, "task/1/") },
		"subject=task/1":        func(event.Event) bool { return false },
		"actor=user/1":          func(e event.Event) bool { return e.Actor == "user/1" },
		"type=com.example.0":    func(e event.Event) bool { return e.Type == "com.example.0" },
		"subject=task/1/*&actor=user/1&type=com.example.1": func(e event.Event) bool {
			return strings.HasPrefix(e.Subject, "task/1/") && e.Actor == "user/1"
		},
		"actor=user/1&type=com.example.0": func(event.Event) bool { return false },
		"from=" + at(10, 0).Format(time.RFC3339Nano) + "&to=" + at(20, 0).Format(time.RFC3339Nano): func(e event.Event) bool {
			return !e.RecordedTime.Before(at(10, 0)) && e.RecordedTime.Before(at(20, 0))
		},
		// Bounds between two microseconds.
		"from=" + at(10, 1).Format(time.RFC3339Nano) + "&to=" + at(20, 1).Format(time.RFC3339Nano): func(e event.Event) bool {
			return e.RecordedTime.After(at(10, 0)) && !e.RecordedTime.After(at(20, 0))
		},
	} {
		var want []string
		sorted := slices.SortedFunc(slices.Values(written), func(a, b event.Event) int {
			if c := a.RecordedTime.Compare(b.RecordedTime); c != 0 {
				return c
			}
			return strings.Compare(a.LogID, b.LogID)
		})
		for _, e := range sorted {
			if keep(e) {
				want = append(want, e.ID)
			}
		}
		for _, limit := range []string{"1", "7", "100"} {
			got, _ := s.all("admin", query+"&order=asc&limit="+limit)
			same(t, query, got, want)
			got, _ = s.all("admin", query+"&limit="+limit)
			slices.Reverse(got)
			same(t, query+", the newest first", got, want)
		}
	}
}

// A page that finds little ends early, and says where to go on.
func TestAPageOfRareEventsIsBounded(t *testing.T) {
	s := newStack(t)
	for n := range 1500 {
		e := audittest.Numbered(n)
		e.Subject, e.Actor, e.Type = "task/1", "user/1", "common"
		if n == 3 {
			e.Type = "rare"
		}
		audittest.Write(t, s.log, e)
	}
	s.pass(time.Hour)
	before := s.log.Looked()
	p := s.page("admin", events+"?subject=task/1&type=rare&limit=1")
	if looked := s.log.Looked() - before; looked > 500 || len(p.Items) != 0 || p.Next == nil {
		t.Errorf("a page looked at %d events and has %d", looked, len(p.Items))
	}
	ids, pages := s.all("admin", "subject=task/1&type=rare&limit=1")
	same(t, "the rare ones", ids, []string{"3"})
	if pages > 4 {
		t.Errorf("%d pages", pages)
	}
}

// Every page fits through the load balancer, and large events are all listed.
func TestPagesOfLargeEventsEndEarly(t *testing.T) {
	s := newStack(t)
	var want []string
	for n := range 40 {
		id := fmt.Sprint(n)
		s.want(201, "sender", "POST", events, fmt.Sprintf(`{%s, "id": "%s", "data": "%s"}`, task, id, strings.Repeat(`\"`, 32_000)))
		want = append(want, id)
	}
	got, pages := s.all("admin", "order=asc&limit=100")
	same(t, "the events", got, want)
	if pages < 5 {
		t.Errorf("%d pages", pages)
	}
	s.pass(time.Minute)
	for _, accept := range []string{"text/csv", "application/jsonl"} {
		n := 0
		for target := "/v1/audit/export"; target != ""; target = nextLink(t, s, target, accept, &n) {
		}
		if n != 40 {
			t.Errorf("%s: %d events", accept, n)
		}
	}
}

// nextLink reads a page of an export, counts its events and returns the next one.
func nextLink(t *testing.T, s *stack, target, accept string, n *int) string {
	t.Helper()
	w := s.want(200, "admin", "GET", target, "", "Accept", accept)
	if w.Body.Len() > 1_000_000 {
		t.Errorf("a page has %d bytes", w.Body.Len())
	}
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	if accept == "text/csv" {
		lines = lines[1:]
	}
	if *n += len(lines); w.Body.Len() == 0 {
		*n--
	}
	next, _, _ := strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
	if w.Header().Get(until) == "" {
		t.Errorf("%v", w.Header())
	}
	return next
}

// Nothing that was written before the first page is missed, and nothing is repeated,
// while others write events with times before, between and after those there.
func TestListsWhileOthersWrite(t *testing.T) {
	for _, order := range []string{"asc", "desc"} {
		s := newStack(t)
		for n := range 100 {
			audittest.Write(t, s.log, audittest.Numbered(4*n))
		}
		s.pass(time.Hour)
		var writers sync.WaitGroup
		done := make(chan struct{})
		for w := range 3 {
			writers.Go(func() {
				for _, n := range rand.Perm(100) {
					select {
					case <-done:
						return
					default:
						audittest.Write(t, s.log, audittest.Numbered(4*n+1+w))
					}
				}
			})
		}
		ids, _ := s.all("admin", "limit=3&order="+order)
		close(done)
		writers.Wait()
		seen := map[string]bool{}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("%s: %s is repeated", order, id)
			}
			seen[id] = true
		}
		for n := range 100 {
			if id := fmt.Sprint(4 * n); !seen[id] {
				t.Errorf("%s: %s is missed", order, id)
			}
		}
	}
}

// A list ends with what was there at its first page, although events arrive faster than
// they are read.
func TestAListEndsWhileEventsArrive(t *testing.T) {
	s := newStack(t)
	arrive := func(n int) {
		for i := range 3 {
			s.want(201, "sender", "POST", events, fmt.Sprintf(`{%s, "id": "%d.%d"}`, task, n, i))
		}
		s.pass(10 * time.Second)
	}
	arrive(0)
	p, n := s.page("admin", events+"?order=asc&limit=1"), 1
	for ; p.Next != nil; n++ {
		arrive(n)
		if n > 20 {
			t.Fatal("the list does not end")
		}
		p = s.page("admin", events+"?limit=1&cursor="+*p.Next)
	}
}

func TestExportEndsBeforeNow(t *testing.T) {
	s := newStack(t)
	add := func(id string) {
		s.want(201, "sender", "POST", events, `{`+task+`, "id": "`+id+`"}`)
	}
	start := s.clock()
	add("1")
	s.pass(5 * time.Second)
	add("2")
	s.pass(6 * time.Second) // now 11 s after the first, 6 s after the second
	for _, query := range []string{"", "?to=2030-01-01T00:00:00Z", "?from=2000-01-01T00:00:00Z"} {
		w := s.want(200, "admin", "GET", "/v1/audit/export"+query, "")
		if strings.Count(w.Body.String(), "\n") != 1 || !strings.Contains(w.Body.String(), `"id":"1"`) || w.Header().Get("Link") != "" ||
			w.Header().Get(until) != start.Add(time.Second).Format(time.RFC3339) || w.Header().Get("Content-Type") != "application/jsonl" {
			t.Errorf("%s: %v %s", query, w.Header(), w.Body)
		}
	}
	// One goes on where the last one ended.
	s.pass(time.Minute)
	w := s.want(200, "admin", "GET", "/v1/audit/export?from="+start.Add(time.Second).Format(time.RFC3339), "")
	if strings.Count(w.Body.String(), "\n") != 1 || !strings.Contains(w.Body.String(), `"id":"2"`) {
		t.Errorf("%s", w.Body)
	}
	w = s.want(200, "admin", "GET", "/v1/audit/export?from=2030-01-01T00:00:00Z", "")
	if w.Body.Len() != 0 || w.Header().Get(until) == "" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// An export is resumed by its links, and each page says how far it is complete.
func TestExportIsResumed(t *testing.T) {
	s := newStack(t)
	var items []string
	for n := range 1200 {
		if items = append(items, fmt.Sprintf(`{%s, "id": "%d"}`, task, n)); len(items) == 100 {
			s.want(201, "sender", "POST", events, `[`+strings.Join(items, ",")+`]`)
			items = nil
		}
	}
	s.pass(time.Minute)
	n, pages, last := 0, 0, ""
	for target := "/v1/audit/export?subject=task/17"; target != ""; pages++ {
		w := s.want(200, "admin", "GET", target, "")
		if done := w.Header().Get(until); last != "" && done <= last {
			t.Errorf("complete until %s after %s", done, last)
		} else {
			last = done
		}
		target = nextLink(t, s, target, "application/jsonl", &n)
		s.pass(time.Minute) // the end does not move
		s.want(201, "sender", "POST", events, fmt.Sprintf(`{%s, "id": "later %d"}`, task, pages))
	}
	if n != 1200 || pages != 3 {
		t.Errorf("%d events on %d pages", n, pages)
	}
}

// The next page of an export can be asked for with the parameters of the first one and
// the cursor, also if the export ends before their `to`.
func TestExportIsResumedWithItsParameters(t *testing.T) {
	s := newStack(t)
	var items []string
	for n := range 1200 {
		if items = append(items, fmt.Sprintf(`{%s, "id": "%d"}`, task, n)); len(items) == 100 {
			s.want(201, "sender", "POST", events, `[`+strings.Join(items, ",")+`]`)
			items = nil
		}
	}
	s.pass(time.Minute)
	const params = "subject=task/17&from=2026-01-01T00:00:00%2B09:00&to=2030-01-01T00:00:00Z"
	n, pages := 0, 0
	var ends []string
	for target := "/v1/audit/export?" + params; target != ""; pages++ {
		if target = nextLink(t, s, target, "application/jsonl", &n); target == "" {
			break
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		cursor := u.Query().Get("cursor")
		target = "/v1/audit/export?" + params + "&cursor=" + cursor
		s.refused(400, "cursor", "admin", "GET", strings.Replace(target, "2030", "2031", 1), "")
		doc, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ F map[string]string }
		if err := json.Unmarshal(doc, &c); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, c.F["to"])
		s.pass(time.Minute)
		s.want(201, "sender", "POST", events, fmt.Sprintf(`{%s, "id": "later %d"}`, task, pages))
	}
	if n != 1200 || pages != 2 || len(ends) != 2 || ends[0] != ends[1] || ends[0] > "2027" {
		t.Errorf("%d events before %v after %d links", n, ends, pages)
	}
}

// An export of a time that has yet to come is complete until its beginning, not until
// now: the next one would begin earlier than this one.
func TestAnExportIsNotCompleteBeforeItBegins(t *testing.T) {
	s := newStack(t)
	s.pass(time.Minute)
	for query, want := range map[string]string{
		"from=2030-01-01T09:00:00%2B09:00":                   "2030-01-01T00:00:00Z",
		"from=2026-04-05T12:00:55Z":                          "2026-04-05T12:00:55Z",
		"from=2026-04-05T12:00:45Z":                          "2026-04-05T12:00:50Z",
		"from=2026-04-05T12:00:10Z&to=2026-04-05T12:00:00Z":  "2026-04-05T12:00:10Z",
		"from=2026-04-05T12:00:55.000000001Z&subject=task/1": "2026-04-05T12:00:55.000000001Z",
	} {
		if got := s.want(200, "admin", "GET", "/v1/audit/export?"+query, "").Header().Get(until); got != want {
			t.Errorf("%s: complete until %s, want %s", query, got, want)
		}
	}
}

// An event whose data has line breaks is one line of an export.
func TestAnExportedEventIsOneLine(t *testing.T) {
	s := newStack(t)
	s.want(201, "sender", "POST", events, `{`+task+`, "id": "1", "data": {
		"a":`+"\r\n"+`"b\n\u2028"
	}}`)
	s.pass(time.Minute)
	w := s.want(200, "admin", "GET", "/v1/audit/export", "")
	if strings.Count(w.Body.String(), "\n") != 1 || strings.Contains(w.Body.String(), "\r") || !strings.Contains(w.Body.String(), `"b\n\u2028"`) {
		t.Errorf("%q", w.Body)
	}
}

func TestEventsAsCSV(t *testing.T) {
	s := newStack(t)
	s.want(201, "sender", "POST", events, `{`+strings.Replace(task, "task/17", "=A1", 1)+`, "id": "1", "time": "2026-01-01T00:00:00Z", "n": -1, "data": {"a": "x,=B1", "b": -5}}`)
	s.want(201, "sender", "POST", events, `{`+task+`, "id": "2", "data_base64": "+v8="}`)
	s.pass(time.Minute)
	for _, target := range []string{events + "?order=asc", "/v1/audit/export"} {
		w := s.want(200, "admin", "GET", target, "", "Accept", "text/csv")
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) != 3 || w.Header().Get("Content-Type") != "text/csv; charset=utf-8; header=present" {
			t.Fatalf("%v %v %v", rows, err, w.Header())
		}
		logid := event.LogID("/tracker", "1")
		want := []string{"2026-04-05T12:00:00Z", logid, "1", "/tracker", "com.example.task.moved", "'=A1", "2026-01-01T00:00:00Z", "key/k1", "", "", parent, "", "", `{"n":-1}`, `{"a": "x,\u003dB1", "b": -5}`, ""}
		same(t, target, rows[1], want)
		if rows[2][15] != "'+v8=" || rows[2][14] != "" {
			t.Errorf("%q", rows[2])
		}
		if head := s.want(200, "admin", "HEAD", target, "", "Accept", "text/csv"); head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
			t.Errorf("%v", head.Header())
		}
	}
	w := s.want(200, "admin", "GET", events+"?limit=1", "", "Accept", "text/csv")
	if link := w.Header().Get("Link"); !strings.HasPrefix(link, "<"+events+"?cursor=") || !strings.HasSuffix(link, `&limit=1>; rel="next"`) {
		t.Errorf("%q", link)
	}
}

func TestWrongListsAreRefused(t *testing.T) {
	s := newStack(t)
	s.want(201, "sender", "POST", events, without(""))
	s.want(201, "sender", "POST", events, replaced("id", "2"))
	s.pass(time.Minute)
	next := *s.page("admin", events+"?limit=1&type=t").Next
	cursor := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for query, field := range map[string]string{
		"subject=": "subject", "subject=*": "subject", "subject=board/*": "subject", "subject=board/x/player/*": "subject", "subject=board/x*": "subject", "subject=task/17/**": "subject",
		"subject=task/17/*/*": "subject", "subject=*/*": "subject", "subject=" + strings.Repeat("x", 401): "subject", "subject=a%0Ab": "subject", "actor=": "actor", "type=": "type",
		"type=%E2%80%AE": "type", "order=up": "order", "order=": "order", "from=yesterday": "from", "to=1": "to", "limit=0": "limit", "limit=101": "limit", "raw=true": "raw", "x=1": "x",
		"subject=a&subject=b": "subject", "cursor=": "cursor", "cursor=x": "cursor", "cursor=" + next + "x": "cursor", "cursor=" + next + "&type=u": "cursor", "cursor=" + next + "&subject=t": "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"2026-04-05T12:00:00Z","i":"x"}}`):                                                         "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"0001-01-01T00:00:00Z","i":"`+event.LogID("", "")+`"}}`):                                   "cursor",
		"cursor=" + cursor(`{"l":"events","f":{"subject":"board/*"},"p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`"}}`):         "cursor",
		"cursor=" + cursor(`{"l":"events","f":{"order":"sideways"},"p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`"}}`):          "cursor",
		"cursor=" + cursor(`{"l":"events","f":{"to":"never"},"p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`"}}`):                "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`","x":1}}`):                             "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"2026-04-05T12:00:00Z","i":"`+strings.Repeat("A", 42)+`B"}}`):                              "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"2026-04-05T12:00:00Z","i":"`+strings.Repeat("A", 41)+`#00"}}`):                            "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"9999-12-31T23:59:59Z","i":"`+event.LogID("", "")+`"}}`):                                   "cursor",
		"cursor=" + cursor(`{"l":"events","p":{"t":"2026-04-05T12:00:00Z","i":null}}`):                                                        "cursor",
		"cursor=" + cursor(`{"l":"events","f":{"subject":"\u0000"},"p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`"}}`):          "cursor",
		"cursor=" + cursor(`{"l":"events","f":{"subject":"task/17","raw":"x"},"p":{"t":"2026-04-05T12:00:00Z","i":"` + "short" + `"}}`)[0:20]: "cursor",
	} {
		s.refused(400, field, "admin", "GET", events+"?"+query, "")
		if field != "order" && field != "limit" {
			s.refused(400, field, "admin", "GET", "/v1/audit/export?"+query, "")
		}
	}
	other := "cursor=" + cursor(`{"l":"export","p":{"t":"2026-04-05T12:00:00Z","i":"`+event.LogID("", "")+`"}}`)
	s.refused(400, "cursor", "admin", "GET", events+"?"+other, "")
	s.want(200, "admin", "GET", "/v1/audit/export?"+other, "")
	s.refused(400, "limit", "admin", "GET", "/v1/audit/export?limit=1", "")
	s.refused(400, "raw", "admin", "GET", events+"/"+event.LogID("/tracker", "1")+"?raw=yes", "")
	for _, logid := range []string{"x", event.LogID("/tracker", "none"), event.LogID("/tracker", "1") + "A", "..", "%2F", strings.Repeat("A", 43)} {
		s.refused(404, "logid", "admin", "GET", events+"/"+logid, "")
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if w := s.send("admin", method, events+"/"+event.LogID("/tracker", "1"), ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	// A cursor alone carries the filters.
	if p := s.page("admin", events+"?cursor="+next); len(p.Items) != 1 || p.Next != nil {
		t.Errorf("%+v", p)
	}
}

// board returns the event of a board with these owners.
func board(id, owners string) event.Event {
	e := event.Event{Type: event.BoardUpdated, Subject: event.Board(id), Actor: event.User("o"), SubjectSeq: 1, Extensions: map[string]any{"public": true}}
	if owners != "" {
		e.Extensions["owners"] = owners
	}
	return e
}

// player returns an event of a player, whose user is empty for none.
func player(board, id, user string) event.Event {
	e := event.Event{Type: event.EntryAdded, Subject: event.Player(board, id), Actor: event.User("w")}
	if user != "" {
		e.Extensions = map[string]any{"user": user}
	}
	return e
}

// A draft is read by its owners alone, until it is opened.
func TestPlayersDoNotReadDrafts(t *testing.T) {
	s := newStack(t)
	draft := board("x", "o")
	draft.Extensions["draft"] = true
	s.ours(draft, player("x", "7", "p"))
	s.pass(time.Minute)
	const list = events + "?subject=board/x/player/7"
	s.want(403, "player", "GET", list, "")
	s.want(200, "owner", "GET", list, "")
	s.ours(board("x", "o"))
	s.pass(time.Minute)
	s.want(200, "player", "GET", list, "")
}

// Each caller lists what concerns them, and nothing else; a single event follows the
// same rule.
func TestWhoReadsWhat(t *testing.T) {
	s := newStack(t)
	s.ours(
		board("x", "fo,o"), board("x", "o,o2"), board("y", "fo"), board("bare", "o"), board("bare", ""),
		player("x", "7", ""), player("x", "7", "p"), player("x", "8", "un"), player("x", "8", ""), player("y", "7", "p"), player("y", "9", "m"),
		event.Event{Type: event.UserUpdated, Subject: event.User("m"), Actor: event.User("a")},
		event.Event{Type: event.UserUpdated, Subject: event.User("o"), Actor: event.User("o")},
		event.Event{Type: event.UserUpdated, Subject: event.User("a"), Actor: event.User("a")},
		event.Event{Type: event.KeyCreated, Subject: event.User("z"), Actor: "key/k5"},
	)
	s.want(201, "sender", "POST", events, without(""))
	s.pass(time.Minute)

	everything := []string{
		"subject=board/x", "subject=board/x/*", "subject=board/x/player/7", "subject=board/x/player/8", "subject=board/y", "subject=board/y/*", "subject=board/y/player/7", "subject=board/y/player/9",
		"subject=board/bare/*", "subject=board/none/*", "subject=board/none", "subject=board/x/player/none", "subject=board/none/player/7", "subject=user/m", "subject=user/o", "subject=user/a", "subject=user/p",
		"subject=user/m/*", "subject=task/17", "subject=task/17/*", "actor=user/m", "actor=user/o", "actor=user/a", "actor=user/w", "actor=key/k5", "actor=key/k1", "type=t", "type=plaudit.entry.added",
		"type=plaudit.entry.added&subject=board/x/*", "type=plaudit.user.updated&actor=user/o", "subject=board/y/*&actor=user/o", "", "from=2000-01-01T00:00:00Z",
	}
	ofX := []string{"subject=board/x", "subject=board/x/*", "subject=board/x/player/7", "subject=board/x/player/8", "subject=board/x/player/none", "type=plaudit.entry.added&subject=board/x/*"}
	self := func(user string) []string { return []string{"subject=user/" + user, "actor=user/" + user} }
	for token, may := range map[string][]string{
		"admin": everything, "auditor": everything, "admin's key": everything,
		"admin's key x": ofX,
		"owner":         append(append(ofX, self("o")...), "type=plaudit.user.updated&actor=user/o", "subject=board/y/*&actor=user/o"),
		"owner's key":   append(append(ofX, "subject=user/o"), "actor=key/k5"),
		"owner's key y": nil, "owner's writer": nil,
		"former":    {"subject=board/y", "subject=board/y/*", "subject=board/y/player/7", "subject=board/y/player/9", "subject=board/y/*&actor=user/o"},
		"organizer": nil, "unlinked": nil,
		"member": append(self("m"), "subject=board/y/player/9", "subject=user/m/*"),
		"player": {"subject=user/p", "subject=board/x/player/7", "subject=board/y/player/7"},
	} {
		for _, query := range everything {
			allowed := slices.Contains(may, query)
			for _, path := range []string{events, "/v1/audit/export"} {
				target := path + "?" + query
				if allowed {
					s.want(200, token, "GET", target, "")
					continue
				}
				status, field := 403, "type"
				if query == "" || strings.HasPrefix(query, "from") {
					status, field = 400, "subject"
				} else if strings.Contains(query, "subject=") {
					field = "subject"
				} else if strings.Contains(query, "actor=") {
					field = "actor"
				}
				if token == "owner's writer" {
					status, field = 403, ""
				}
				s.refused(status, field, token, "GET", target, "")
			}
		}
	}
	s.want(401, "", "GET", events, "")

	// A single event is readable if and only if a list of its own would be.
	all := s.page("admin", events+"?limit=100")
	if len(all.Items) != 16 {
		t.Fatalf("%d events", len(all.Items))
	}
	for token, c := range people {
		for _, item := range all.Items {
			e, err := event.Decode(item)
			if err != nil {
				t.Fatal(err)
			}
			target := events + "/" + e.LogID
			want := 404
			for _, query := range []string{"subject=" + e.Subject, "actor=" + e.Actor} {
				if s.send(token, "GET", events+"?"+query, "").Code == 200 {
					want = 200
				}
			}
			if !c.Scoped("read", "") {
				want = 403
			}
			for _, raw := range []string{"", "?raw=true"} {
				s.want(want, token, "GET", target+raw, "")
			}
		}
	}
}

// What a stranger is told does not depend on whether a board, a player or an event
// exists.
func TestAStrangerCannotTellWhatExists(t *testing.T) {
	s := newStack(t)
	s.ours(board("x", "o"), player("x", "7", "p"))
	s.pass(time.Minute)
	body := func(target string) string {
		w := s.send("member", "GET", target, "")
		return fmt.Sprint(w.Code, w.Body)
	}
	for _, pair := range [][2]string{
		{events + "?subject=board/x", events + "?subject=board/z"},
		{events + "?subject=board/x/*", events + "?subject=board/z/*"},
		{events + "?subject=board/x/player/7", events + "?subject=board/x/player/8"},
		{"/v1/audit/export?subject=board/x/*", "/v1/audit/export?subject=board/z/*"},
		{events + "/" + event.LogID(event.Scores, "0"), events + "/" + event.LogID(event.Scores, "100")},
	} {
		if a, b := body(pair[0]), body(pair[1]); a != b {
			t.Errorf("%s:\n%s\n%s:\n%s", pair[0], a, pair[1], b)
		}
	}
}

// A list of the caller's own acts on a subject of others shows nothing of what the others
// did there: the whole response is that of a subject without events, however many the
// other one has.
func TestOwnActsOnForeignSubjectsShowNothingElse(t *testing.T) {
	s := newStack(t)
	s.ours(board("secret", "o"))
	for n := range 1100 {
		e := audittest.Numbered(n)
		e.Type, e.Subject, e.Actor = event.EntryAdded, event.Player("secret", "7"), event.User("o")
		if n%2 == 0 {
			e.Subject = event.User("z")
		}
		audittest.Write(t, s.log, e)
	}
	s.pass(time.Minute)
	for _, subjects := range [][2]string{
		{"board/secret", "board/absent"}, {"board/secret/*", "board/absent/*"}, {"board/secret/player/7", "board/absent/player/7"}, {"user/z", "user/y"}, {"user/z/*", "user/y/*"},
	} {
		for _, rest := range []string{"", "&limit=1", "&order=asc", "&type=plaudit.entry.added", "&from=2026-01-01T00:00:00Z"} {
			for _, path := range []string{events, "/v1/audit/export"} {
				if path != events && (rest == "&limit=1" || rest == "&order=asc") {
					continue
				}
				for _, accept := range []string{"application/json", "text/csv"} {
					var answers [2]string
					for i, subject := range subjects {
						before := s.log.Looked()
						w := s.want(200, "member", "GET", path+"?actor=user/m&subject="+subject+rest, "", "Accept", accept)
						answers[i] = fmt.Sprint(w.Header(), w.Body)
						if looked := s.log.Looked() - before; looked > 0 {
							t.Errorf("%s %s%s looks at %d events of others", path, subject, rest, looked)
						}
					}
					if answers[0] != answers[1] {
						t.Errorf("%s, %s%s:\n%s\n%s:\n%s", path, subjects[0], rest, answers[0], subjects[1], answers[1])
					}
				}
			}
		}
	}

	// The caller's own acts there are found, among others of the caller.
	for n := range 3 {
		for _, subject := range []string{"board/secret", "board/secret/player/7", "board/other"} {
			e := event.Event{Type: event.BoardUpdated, Subject: subject, Actor: event.User("m")}
			if n == 2 {
				e.Type = event.EntryAdded
			}
			s.ours(e)
		}
	}
	s.pass(time.Minute)
	for query, n := range map[string]int{
		"subject=board/secret/*": 6, "subject=board/secret": 3, "subject=board/secret/player/7": 3, "subject=board/secret/*&type=plaudit.entry.added": 2, "type=plaudit.entry.added": 3, "": 9,
	} {
		if ids, _ := s.all("member", "actor=user/m&limit=2&"+query); len(ids) != n {
			t.Errorf("%s: %d events, want %d", query, len(ids), n)
		}
	}
}

// The rights are those of the log's newest event, not of one that merely has them.
func TestRightsEndWithTheirEvent(t *testing.T) {
	s := newStack(t)
	list := events + "?subject=board/x/*"
	s.ours(board("x", "o"))
	s.want(200, "owner", "GET", list, "")
	s.ours(board("x", "fo"))
	s.want(403, "owner", "GET", list, "")
	s.want(200, "former", "GET", list, "")
	s.ours(board("x", "o"))
	s.want(200, "owner", "GET", list, "")

	list = events + "?subject=board/x/player/7"
	s.ours(player("x", "7", "p"))
	s.want(200, "player", "GET", list, "")
	s.ours(player("x", "7", ""))
	s.want(403, "player", "GET", list, "")
}

// If the newest event of a board or a player is missing, nobody reads by the rights of an
// older one.
func TestAMissingNewestEventGrantsNothing(t *testing.T) {
	s := newStack(t)
	s.ours(board("x", "fo"), player("x", "7", "p"))
	s.want(200, "former", "GET", events+"?subject=board/x/*", "")
	lost := player("x", "7", "")
	lost.LogID, lost.RecordedTime = event.LogID(event.Scores, "lost"), s.clock().Add(time.Second)
	if err := s.log.Index(t.Context(), []event.Event{lost}); err != nil {
		t.Fatal(err)
	}
	s.ours(board("x", "fo"))
	s.want(403, "player", "GET", events+"?subject=board/x/player/7", "")
	lost = board("x", "o")
	lost.LogID, lost.RecordedTime = event.LogID(event.Scores, "lost too"), s.clock().Add(time.Second)
	if err := s.log.Index(t.Context(), []event.Event{lost}); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"former", "owner"} {
		s.want(403, token, "GET", events+"?subject=board/x/*", "")
		s.want(403, token, "GET", "/v1/audit/export?subject=board/x", "")
	}
	s.want(404, "former", "GET", events+"/"+event.LogID(event.Scores, "0"), "")
	s.want(200, "admin", "GET", events+"?subject=board/x/*", "")
}

// A hidden player's own user reads in the log what the board does not show them: the
// hiding, its note and actor, entries made while hidden, and proposals. Others do not.
func TestAHiddenPlayersUserReadsWhatHappened(t *testing.T) {
	s := newStack(t)
	of := func(typ event.Type, actor, data string) event.Event {
		e := player("x", "7", "p")
		e.Type, e.Actor, e.JSON = typ, event.User(actor), []byte(data)
		return e
	}
	proposed := of(event.LinkProposed, "o", `{"user": "un", "by": "o"}`)
	proposed.Extensions, proposed.Notify = nil, "un"
	s.ours(board("x", "o"), proposed,
		of(event.LinkAccepted, "p", `{"user": "p"}`),
		of(event.PlayerChanged, "o", `{"changes": {"status": {"from": "ranked", "to": "hidden"}, "note": {"from": null, "to": "was seen cheating"}}}`),
		of(event.EntryAdjusted, "w", `{"points": -5, "note": "while hidden"}`))
	s.pass(time.Minute)
	const list = "?subject=board/x/player/7"
	want := s.page("admin", events+list)
	if got := s.page("player", events+list); len(got.Items) != 4 || !slices.EqualFunc(got.Items, want.Items, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		t.Errorf("%s, want what admins read: %s", got.Items, want.Items)
	}
	export := s.want(200, "player", "GET", "/v1/audit/export"+list, "").Body.String()
	for _, text := range []string{`"to": "hidden"`, "was seen cheating", `"actor":"user/o"`, `"actor":"user/w"`, "while hidden", `"user": "un"`} {
		if !strings.Contains(export, text) {
			t.Errorf("the export lacks %s: %s", text, export)
		}
	}
	for _, token := range []string{"member", "unlinked", "organizer"} {
		s.want(403, token, "GET", events+list, "")
		s.want(404, token, "GET", events+"/"+event.LogID(event.Scores, "3"), "")
	}
}
