package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/event"
)

const logged = "/v1/audit/events"

// events reads a list of events to its end, and fails if one is listed twice. The
// query is in the form of url.Values.
func events(t *testing.T, token, query string) (all []event.Event) {
	t.Helper()
	seen := map[string]bool{}
	for next := logged + "?" + query; ; {
		page := want(t, 200, "GET", next, token, "")
		for _, e := range decoded(t, page.body) {
			if seen[e.LogID] {
				t.Fatalf("GET %s?%s lists %s twice", logged, query, e.LogID)
			}
			seen[e.LogID] = true
			all = append(all, e)
		}
		cursor := page.text(t, "next")
		if cursor == "" {
			return all
		}
		next = logged + "?cursor=" + cursor
		if limit := regexp.MustCompile(`limit=\d+`).FindString(query); limit != "" {
			next += "&" + limit
		}
	}
}

// decoded returns the events of a page.
func decoded(t *testing.T, body string) (all []event.Event) {
	t.Helper()
	var page struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	for _, item := range page.Items {
		e, err := event.Decode(item)
		if err != nil {
			t.Fatalf("%v: %s", err, item)
		}
		all = append(all, e)
	}
	return all
}

// arrive waits until a list has at least n events, and returns them.
func arrive(t *testing.T, n int, token, query string) (all []event.Event) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d events arrive: %s", n, query), func() bool {
		all = events(t, token, query)
		return len(all) >= n
	})
	return all
}

// under returns the query for all events of a board.
func under(board string) string { return "subject=" + url.QueryEscape("board/"+board+"/*") }

// fromLog returns a value of an event's data, found by names.
func fromLog(t *testing.T, e event.Event, path ...any) any {
	t.Helper()
	return answer{body: string(e.JSON)}.json(t, path...)
}

// Two hundred entries of three writers are found by board, player, actor and type, each
// once and with the data that the API shows of the entry.
func TestEntriesAreFoundInTheLog(t *testing.T) {
	owner, writer, auditor := person(t, access.Organizer), person(t, access.Member), person(t, access.Auditor)
	board := owner.board(t, fmt.Sprintf(`, "writers": [%q]`, writer.id))
	keyID, _, keyToken := owner.key(t, []string{"entries:write"})
	from := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)

	actors := map[string]string{} // by entry
	note := func(a answer, actor string, path ...any) { actors[a.text(t, path...)] = actor }
	var items []string
	for i := range 100 {
		items = append(items, fmt.Sprintf(`{"board": %q, "player": "p%d", "points": %d, "metadata": {"secret": "kept out of the log"}}`, board, i%10, i))
	}
	batch := want(t, 201, "POST", "/v1/entries/batch", owner.token, `{"entries": [`+strings.Join(items, ",")+`]}`)
	for i := range 100 {
		note(batch, "user/"+owner.id, "entries", i, "id")
	}
	for i := range 50 {
		body := fmt.Sprintf(`{"player": "p%d", "points": %d}`, i%10, i)
		note(want(t, 201, "POST", "/v1/boards/"+board+"/entries", keyToken, body), "key/"+keyID, "id")
		body = fmt.Sprintf(`{"player": "p%d", "points": -%d, "kind": "adjustment", "note": "cut the course"}`, i%10, i+1)
		note(want(t, 201, "POST", "/v1/boards/"+board+"/entries", writer.token, body), "user/"+writer.id, "id")
	}
	// Whole entries, as the owner reads them.
	entries := map[string]map[string]any{}
	for path := "/v1/boards/" + board + "/entries?limit=100"; path != ""; {
		page := want(t, 200, "GET", path, owner.token, "")
		list, _ := page.json(t, "items").([]any)
		for _, item := range list {
			e := item.(map[string]any)
			delete(e, "metadata")
			entries[e["id"].(string)] = e
		}
		path = ""
		if next := page.text(t, "next"); next != "" {
			path = "/v1/boards/" + board + "/entries?limit=100&cursor=" + next
		}
	}
	if len(entries) != 200 || len(actors) != 200 {
		t.Fatalf("the board has %d entries of %d", len(entries), len(actors))
	}
	arrive(t, 201, auditor.token, under(board)+"&limit=100")

	for query, keep := range map[string]func(entry map[string]any) bool{
		under(board): func(map[string]any) bool { return true },
		"subject=" + url.QueryEscape("board/"+board+"/player/p3"): func(e map[string]any) bool { return e["player"] == "p3" },
		"actor=key/" + keyID:                                    func(e map[string]any) bool { return e["actor"] == "key/"+keyID },
		"actor=user/" + writer.id:                               func(e map[string]any) bool { return e["actor"] == "user/"+writer.id },
		"type=plaudit.entry.adjusted&from=" + from:              func(e map[string]any) bool { return e["kind"] == "adjustment" },
		"type=plaudit.entry.added&from=" + from:                 func(e map[string]any) bool { return e["kind"] == "result" },
		under(board) + "&type=plaudit.entry.added":              func(e map[string]any) bool { return e["kind"] == "result" },
		under(board) + "&actor=user/" + owner.id + "&order=asc": func(e map[string]any) bool { return e["actor"] == "user/"+owner.id },
	} {
		want, got := map[string]bool{}, map[string]bool{}
		for id, e := range entries {
			if keep(e) {
				want[id] = true
			}
		}
		for _, e := range events(t, auditor.token, query+"&limit=100") {
			if !strings.HasPrefix(e.Subject, "board/"+board+"/player/") || !strings.HasPrefix(string(e.Type), "plaudit.entry.") {
				continue // the board's creation; and by type alone, other boards
			}
			id, _ := fromLog(t, e, "id").(string)
			got[id] = true
			if e.Actor != actors[id] || e.Subject != "board/"+board+"/player/"+fmt.Sprint(fromLog(t, e, "player")) || e.Source != "/plaudit/scores" {
				t.Errorf("the event of entry %s is %+v", id, e)
			}
			data, _ := fromLog(t, e).(map[string]any)
			if size := data["batch_size"]; e.Actor == "user/"+owner.id && fmt.Sprint(size) != "100" || e.Actor != "user/"+owner.id && size != nil {
				t.Errorf("an event of %s has the batch size %v", e.Actor, size)
			}
			delete(data, "batch_size") // the log's alone
			if !reflect.DeepEqual(data, entries[id]) {
				t.Errorf("the event of an entry has\n%v, and the API\n%v", data, entries[id])
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s finds %d entries, want %d", query, len(got), len(want))
		}
	}
	// Player by player, their entries are in the log from the first to the last.
	for p := range 10 {
		var seqs []string
		for _, e := range events(t, owner.token, fmt.Sprintf("order=asc&subject=board/%s/player/p%d", board, p)) {
			seqs = append(seqs, fmt.Sprint(fromLog(t, e, "seq")))
		}
		for i, seq := range seqs {
			if seq != strconv.Itoa(i+1) || len(seqs) != 20 {
				t.Errorf("player p%d has the entries %v", p, seqs)
				break
			}
		}
	}
}

// "Who changed what on my board" and "what happened to my results" are answered to
// those whom it concerns, for as long as it does, and to nobody else.
func TestTheLogAnswersThoseWhomItConcerns(t *testing.T) {
	c := newCast(t)
	owner, board := c.people["owne"], c.boards["private"]
	_, _, c.tokens["owner's key for it"] = owner.key(t, []string{"read"}, board)
	// The key's name in the board's history is the actor, who may read what they did.
	added := want(t, 201, "POST", "/v1/boards/"+board+"/entries", c.people["writ"].token, `{"player": "link", "points": 7}`).text(t, "id")
	want(t, 200, "PATCH", "/v1/boards/"+board+"/players/link", owner.token, `{"status": "disqualified", "note": "left the course at km 7"}`)
	want(t, 200, "PATCH", "/v1/boards/"+board, owner.token, `{"title": "Renamed"}`)

	everything := under(board)
	mine := "subject=" + url.QueryEscape("board/"+board+"/player/link")
	arrive(t, 5, c.tokens["admi"], mine)
	var of, changed event.Event
	eventually(t, "the change of the title is in the log", func() bool {
		changed = events(t, c.tokens["admi"], "limit=1&subject=board/"+board)[0]
		return changed.Type == "plaudit.board.updated"
	})
	for _, e := range events(t, c.tokens["admi"], mine) {
		if e.Type == "plaudit.player.changed" && fromLog(t, e, "changes", "status") != nil {
			of = e
		}
	}
	// Who, when, what, from what to what, and why.
	if of.Actor != "user/"+owner.id || fromLog(t, of, "changes", "status", "from") != "ranked" || fromLog(t, of, "changes", "status", "to") != "disqualified" ||
		fromLog(t, of, "changes", "note", "to") != "left the course at km 7" || of.Extensions["user"] != c.people["link"].id || of.Notify != c.people["link"].id {
		t.Errorf("the disqualification is %+v %s", of, of.JSON)
	}
	if changed.Actor != "user/"+owner.id || fromLog(t, changed, "changes", "title", "from") != "Board" || fromLog(t, changed, "changes", "title", "to") != "Renamed" ||
		changed.Extensions["owners"] != owner.id || changed.Extensions["public"] != false {
		t.Errorf("the renaming is %+v %s", changed, changed.JSON)
	}

	all := []string{"owne", "read", "owner's key for it", "audi", "admi"}
	also := func(callers ...string) []string { return append(slices.Clone(all), callers...) }
	for _, q := range []struct {
		query   string
		readers []string
	}{
		{everything, all},
		{"subject=board/" + board, all},
		{"subject=board/" + board + "/player/p", all},
		{mine, also("link")},
		{"subject=" + url.QueryEscape("board/"+board+"/player/link/*"), nil}, // is no root
		{"actor=user/" + owner.id, []string{"owne", "audi", "admi"}},
		{"subject=user/" + owner.id, []string{"owne", "read", "audi", "admi"}},
		{"type=plaudit.entry.added", []string{"audi", "admi"}},
		{"", []string{"audi", "admi"}},
	} {
		for caller, token := range c.tokens {
			status := 403
			switch {
			case slices.Contains(q.readers, caller):
				status = 200
			case q.readers == nil:
				status = 400
			case q.query == "" && !slices.Contains([]string{"entr", "boar", "even"}, caller):
				status = 400
			}
			if slices.Contains([]string{"none", "expi", "fore", "alg0", "hs25", "malf"}, caller) {
				status = 401
			}
			if q.readers == nil && slices.Contains([]string{"entr", "boar", "even"}, caller) {
				continue // either
			}
			for _, path := range []string{logged + "?" + q.query, "/v1/audit/export?" + q.query} {
				if a := send(t, "GET", path, token, ""); a.status != status {
					t.Errorf("GET %s as %s: got %d, want %d: %.300s", path, caller, a.status, status, a.body)
				}
			}
		}
	}
	for caller, token := range c.tokens {
		for e, readers := range map[*event.Event][]string{&changed: all, &of: also("link")} {
			for _, raw := range []string{"", "?raw=true"} {
				status := 404
				switch {
				case slices.Contains(readers, caller):
					status = 200
				case slices.Contains([]string{"entr", "boar", "even"}, caller):
					status = 403
				case slices.Contains([]string{"none", "expi", "fore", "alg0", "hs25", "malf"}, caller):
					status = 401
				}
				if a := send(t, "GET", logged+"/"+e.LogID+raw, token, ""); a.status != status {
					t.Errorf("GET %s of %s as %s: got %d, want %d: %s", e.Type, raw, caller, a.status, status, a.body)
				}
			}
		}
	}
	// A writer reads what they did themselves, and only that.
	writer := c.people["writ"]
	theirs := ""
	for _, e := range arrive(t, 1, writer.token, "actor=user/"+writer.id) {
		if fromLog(t, e, "id") == added {
			theirs = e.LogID
		}
		if e.Actor != "user/"+writer.id {
			t.Errorf("the writer reads what %s did", e.Actor)
		}
	}
	if theirs == "" {
		t.Fatal("the writer does not find their entry")
	}

	// A link that ends, and a change of owners, change who reads from then on.
	want(t, 204, "DELETE", "/v1/players/me/links/"+board+"/link", c.tokens["link"], "")
	heir := person(t, access.Organizer)
	want(t, 403, "GET", logged+"?"+everything, heir.token, "")
	want(t, 200, "PATCH", "/v1/boards/"+board, owner.token, fmt.Sprintf(`{"owners": [%q]}`, heir.id))
	eventually(t, "the former player's user is refused", func() bool {
		return send(t, "GET", logged+"?"+mine, c.tokens["link"], "").status == 403
	})
	eventually(t, "the former owner is refused", func() bool {
		return send(t, "GET", logged+"?"+everything, owner.token, "").status == 403
	})
	want(t, 404, "GET", logged+"/"+theirs, owner.token, "")
	want(t, 200, "GET", logged+"/"+of.LogID, owner.token, "") // did it themselves
	want(t, 404, "GET", logged+"/"+of.LogID, c.tokens["link"], "")
	want(t, 200, "GET", logged+"/"+of.LogID, heir.token, "")
	want(t, 200, "GET", logged+"?"+everything, heir.token, "")
	// Members read their own account's history, which names fields and no values.
	for _, e := range arrive(t, 1, c.tokens["memb"], "subject=user/"+c.people["memb"].id) {
		if e.Source != "/plaudit/users" || strings.Contains(string(e.JSON), "@") {
			t.Errorf("the event of an account: %+v %s", e, e.JSON)
		}
	}
}

// pagesOf reads pages of a list and calls between after each.
func pagesOf(t *testing.T, token, query string, limit int, between func()) (ids []string) {
	t.Helper()
	for next := fmt.Sprintf("%s?%s&limit=%d", logged, query, limit); ; {
		page := want(t, 200, "GET", next, token, "")
		for _, e := range decoded(t, page.body) {
			ids = append(ids, e.LogID)
		}
		cursor := page.text(t, "next")
		if cursor == "" {
			return ids
		}
		between()
		next = fmt.Sprintf("%s?limit=%d&cursor=%s", logged, limit, cursor)
	}
}

// Whatever others write between and during its pages, a list has each event that was
// there before once, in both orders and by each dimension.
func TestListsWhileOthersWrite(t *testing.T) {
	root := person(t, access.Admin)
	board := root.board(t, "")
	_, _, sender := root.key(t, []string{"events:write"})
	add := func(n int, player string) {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"board": %q, "player": "%s%d", "points": 1}`, board, player, i%7))
		}
		want(t, 201, "POST", "/v1/entries/batch", root.token, `{"entries": [`+strings.Join(items, ",")+`]}`)
	}
	add(150, "p")
	before := map[string]bool{}
	for _, e := range arrive(t, 151, root.token, under(board)+"&limit=100") {
		before[e.LogID] = true
	}
	stop, foreign := make(chan struct{}), 0
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if w == 0 {
					foreign++
					body := fmt.Sprintf(`{"specversion": "1.0", "id": "%s-%d", "source": "/lists", "type": "written.meanwhile", "subject": "task/%s"}`, board, i, board)
					if a, err := try("POST", logged, sender, body); err != nil || a.status != 201 {
						t.Errorf("%v %d %s", err, a.status, a.body)
						return
					}
				} else if a, err := try("POST", "/v1/boards/"+board+"/entries", root.token, `{"player": "q", "points": 1}`); err != nil || a.status != 201 {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
			}
		})
	}
	from := "&from=" + url.QueryEscape(time.Now().Add(-10*time.Minute).UTC().Format(time.RFC3339))
	for _, query := range []string{under(board), under(board) + "&order=asc", "actor=user/" + root.id, "actor=user/" + root.id + "&order=asc", "type=plaudit.entry.added&order=asc" + from} {
		got := map[string]int{}
		for _, id := range pagesOf(t, root.token, query, 40, func() { add(1, "r") }) {
			if got[id]++; got[id] > 1 {
				t.Errorf("%s lists %s more than once", query, id)
			}
		}
		for id := range before {
			if got[id] == 0 && !(strings.HasPrefix(query, "type=") && first(t, root.token, id).Type != "plaudit.entry.added") {
				t.Errorf("%s misses %s", query, id)
			}
		}
	}
	close(stop)
	wg.Wait()
	if got := events(t, root.token, "subject=task/"+board+"&limit=100"); len(got) != foreign {
		t.Errorf("%d of %d events of another system are listed", len(got), foreign)
	}
}

// first returns one event.
func first(t *testing.T, token, logid string) event.Event {
	t.Helper()
	e, err := event.Decode([]byte(want(t, 200, "GET", logged+"/"+logid+"?raw=true", token, "").body))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)

// exported reads an export from a page on, and returns its lines and the paths of its
// pages.
func exported(t *testing.T, token, path string, headers ...string) (lines, pages []string, last answer) {
	t.Helper()
	for {
		pages = append(pages, path)
		last = want(t, 200, "GET", path, token, "", headers...)
		if len(last.body) > 1_000_000 {
			t.Errorf("a page of the export has %d bytes", len(last.body))
		}
		for line := range strings.Lines(last.body) {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
		next := nextLink.FindStringSubmatch(last.header.Get("Link"))
		if next == nil {
			return lines, pages, last
		}
		path = next[1]
	}
}

// An export has every event of its time once, can be resumed at each page, and says how
// far it goes.
func TestAnExportCanBeResumed(t *testing.T) {
	root, auditor := person(t, access.Admin), person(t, access.Auditor)
	_, _, sender := root.key(t, []string{"events:write"})
	project := unique("export")
	n := 0
	for range 12 {
		var items []string
		for range 100 {
			n++
			items = append(items, fmt.Sprintf(`{"specversion": "1.0", "id": "%s-%d", "source": "/export", "type": "exported", "subject": "task/%s/part/%d", "data": "%s"}`,
				project, n, project, n%3, strings.Repeat("é", 400)))
		}
		want(t, 201, "POST", logged, sender, "["+strings.Join(items, ",")+"]")
	}
	done := time.Now()
	path := "/v1/audit/export?subject=" + url.QueryEscape("task/"+project+"/*")
	var lines, pages []string
	eventually(t, "the export goes beyond the last event", func() bool {
		var last answer
		lines, pages, last = exported(t, auditor.token, path)
		until, err := time.Parse(time.RFC3339, last.header.Get("Export-Until"))
		if err != nil {
			t.Fatal(err)
		}
		if late := time.Since(until); late < 9*time.Second {
			t.Fatalf("the export goes to %s before now", late)
		}
		return until.After(done)
	})
	if len(lines) != n || len(pages) < 3 {
		t.Fatalf("%d pages have %d lines, want %d", len(pages), len(lines), n)
	}
	for i, line := range lines {
		if e, err := event.Decode([]byte(line)); err != nil || e.ID != fmt.Sprintf("%s-%d", project, i+1) {
			t.Fatalf("line %d is %s: %v", i, line, err)
		}
	}
	for i, page := range pages[1:] {
		rest, _, _ := exported(t, auditor.token, page)
		if !slices.Equal(rest, lines[len(lines)-len(rest):]) || len(rest) == 0 || i == 0 && len(rest) == len(lines) {
			t.Errorf("from page %d on, the export has %d other lines", i+2, len(rest))
		}
	}
	table, _, _ := exported(t, auditor.token, path, "Accept", "text/csv")
	rows := 0
	for _, line := range table {
		if strings.Contains(line, ","+project+"-") {
			rows++
		}
	}
	if rows != n || !strings.HasPrefix(table[0], "recordedtime,logid,id,") {
		t.Errorf("the table has %d rows of %d: %.200s", rows, n, table[0])
	}
	// Both bounds, to the microsecond: `to` is exclusive.
	third, fourth := first(t, auditor.token, event.LogID("/export", project+"-3")), first(t, auditor.token, event.LogID("/export", project+"-7"))
	window := fmt.Sprintf("&from=%s&to=%s", third.RecordedTime.Format(time.RFC3339Nano), fourth.RecordedTime.Format(time.RFC3339Nano))
	if part, _, _ := exported(t, auditor.token, path+window); !slices.Equal(part, lines[2:6]) {
		t.Errorf("from the third event to the seventh, %d lines: %.300s", len(part), part)
	}
	for query, field := range map[string]string{
		"cursor=x": "cursor", "cursor=e30": "cursor", "from=yesterday": "from", "subject=task/a/b/*": "subject", "subject=*": "subject", "subject=task/*": "subject", "limit=5": "limit", "order=asc": "order",
	} {
		if a := want(t, 400, "GET", "/v1/audit/export?"+query, auditor.token, ""); a.text(t, "field") != field {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}

// What no other test does: imports, and a refresh token that is
// used twice.
func TestRareChangesAreInTheLog(t *testing.T) {
	owner, me := person(t, access.Organizer), person(t, access.Member)
	board := owner.board(t, "")
	want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, `{"player": "p", "points": 5, "kind": "import"}`)
	stolen := fmt.Sprintf(`{"refresh_token": %q}`, me.refresh)
	again := want(t, 200, "POST", "/v1/sessions/refresh", "", stolen).text(t, "refresh_token")
	want(t, 200, "POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, again))
	want(t, 401, "POST", "/v1/sessions/refresh", "", stolen)
	for query, typ := range map[string]event.Type{under(board): event.EntryImported, "subject=user/" + me.id: event.SessionReused} {
		eventually(t, "the log has an event of the type "+string(typ), func() bool {
			return slices.ContainsFunc(events(t, rolesBy(t), query), func(e event.Event) bool { return e.Type == typ })
		})
	}
}
