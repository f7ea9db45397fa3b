package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/audit/audittest"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
)

// The API over the real log: what is sent comes back byte for byte, is found by each
// dimension, and is exported; rights are those of the newest events.
func TestTheAPIOverDynamoDB(t *testing.T) {
	tables := ddbtest.Tables(t)
	log := ddb.NewLog(tables.Config, tables.Events, tables.Index)
	s := newStackOn(t, log)

	const data = ` { "n" : 123456789012345678901234567890.10, "z": "", "a": null, "e": "\u00e9é", "l": [[], {"x": [[ ]]}] }`
	var items, want []string
	for n := range 250 {
		id := fmt.Sprint(n)
		items = append(items, fmt.Sprintf(`{"specversion": "1.0", "id": "%s", "source": "/tracker", "type": "t%d", "subject": "task/%d/part/%d", "data": %s}`, id, n%2, n%3, n%5, data))
		want = append(want, id)
		if len(items) == 100 || n == 249 {
			s.want(201, "sender", "POST", events, `[`+strings.Join(items, ",")+`]`)
			again := s.want(200, "sender", "POST", events, `[`+strings.Join(items, ",")+`]`)
			if strings.Contains(again.Body.String(), `"replayed":false`) {
				t.Errorf("%s", again.Body)
			}
			items = nil
			s.pass(time.Second)
		}
	}
	s.want(422, "sender", "POST", events, `{"specversion": "1.0", "id": "7", "source": "/tracker", "type": "t", "subject": "task/1"}`)
	raw := s.want(200, "admin", "GET", events+"/"+event.LogID("/tracker", "7")+"?raw=true", "").Body.String()
	if !strings.HasSuffix(raw, `"data":`+strings.TrimSpace(data)+"}") {
		t.Errorf("%s", raw)
	}
	for query, keep := range map[string]func(n int) bool{
		"":                             func(int) bool { return true },
		"actor=key/k1":                 func(int) bool { return true },
		"type=t1":                      func(n int) bool { return n%2 == 1 },
		"subject=task/1/*":             func(n int) bool { return n%3 == 1 },
		"subject=task/1/part/4":        func(n int) bool { return n%3 == 1 && n%5 == 4 },
		"subject=task/1/*&type=t0":     func(n int) bool { return n%3 == 1 && n%2 == 0 },
		"subject=task/1/*&actor=other": func(int) bool { return false },
	} {
		var some []string
		for n, id := range want {
			if keep(n) {
				some = append(some, id)
			}
		}
		got, _ := s.all("admin", query+"&order=asc&limit=60")
		same(t, query, got, some)
	}
	s.pass(time.Minute)
	n := 0
	for target := "/v1/audit/export"; target != ""; target = nextLink(t, s, target, "application/jsonl", &n) {
	}
	if n != 250 {
		t.Errorf("%d events are exported", n)
	}

	// Many send the same event at once.
	var mu sync.Mutex
	var all sync.WaitGroup
	made, bodies := 0, map[string]bool{}
	for range 16 {
		all.Go(func() {
			w := s.send("sender", "POST", events, replaced("source", "/many"))
			mu.Lock()
			defer mu.Unlock()
			bodies[w.Body.String()] = true
			switch w.Code {
			case 201:
				made++
			case 200:
			default:
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if made != 1 || len(bodies) != 1 {
		t.Errorf("%d requests made the event, with %d answers", made, len(bodies))
	}

	for i, e := range []event.Event{board("x", "fo"), board("x", "o"), player("x", "7", "p")} {
		s.pass(time.Second)
		e.ID, e.Source, e.RecordedTime = fmt.Sprint(i), event.Scores, s.clock()
		e.LogID, e.JSON = event.LogID(e.Source, e.ID), json.RawMessage(`{}`)
		audittest.Write(t, log, e)
	}
	for token, status := range map[string]int{"owner": 200, "former": 403, "player": 403, "admin": 200} {
		s.want(status, token, "GET", events+"?subject=board/x/*", "")
	}
	s.want(200, "player", "GET", events+"?subject=board/x/player/7", "")
	s.want(404, "player", "GET", events+"/"+event.LogID(event.Scores, "1"), "")
}
