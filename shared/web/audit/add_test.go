package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plaudit/shared/audit"
	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
)

const events = "/v1/audit/events"

func TestAnEventIsTakenAndReadAgain(t *testing.T) {
	s := newStack(t)
	const data = `{ "moved" : {"from": "to do", "to": "doing"}, "n": 123456789012345678901234567890.10, "z": "", "a": null, "e": "\u00e9é", "l": [[], [ ]] }`
	body := `{` + task + `, "id": "1", "time": "2026-04-05T21:00:00.5+09:00", "dataschema": null, "severity": 3, "late": true, "team": "서울",
		"notify": "018f0000-0000-7000-8000-000000000001", "datacontenttype": "application/json", "data":  ` + data + `  }`
	w := s.want(201, "sender", "POST", events, body)
	logid := event.LogID("/tracker", "1")
	want := `{"specversion":"1.0","id":"1","source":"/tracker","type":"com.example.task.moved","subject":"task/17","time":"2026-04-05T12:00:00.5Z",` +
		`"datacontenttype":"application/json","recordedtime":"2026-04-05T12:00:00Z","logid":"` + logid + `","actor":"key/k1",` +
		`"notify":"018f0000-0000-7000-8000-000000000001","traceparent":"` + parent + `","late":true,"severity":3,"team":"서울","data":` + data + `}`
	if w.Body.String() != want+"\n" || w.Header().Get("Location") != events+"/"+logid {
		t.Errorf("%v\n%s\nwant\n%s", w.Header(), w.Body, want)
	}

	one := s.want(200, "admin", "GET", events+"/"+logid, "")
	if one.Body.String() != want+"\n" || one.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", one.Header(), one.Body)
	}
	raw := s.want(200, "admin", "GET", events+"/"+logid+"?raw=true", "")
	if raw.Body.String() != want || raw.Header().Get("Content-Type") != "application/cloudevents+json" {
		t.Errorf("%v %s", raw.Header(), raw.Body)
	}
	head := s.want(200, "admin", "HEAD", events+"/"+logid+"?raw=true", "")
	if head.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("%v", head.Header())
	}
	s.want(304, "admin", "GET", events+"/"+logid+"?raw=true", "", "If-None-Match", raw.Header().Get("ETag"))
	for _, query := range []string{"subject=task/17", "subject=task/17/*", "actor=key/k1", "type=com.example.task.moved", ""} {
		if p := s.page("admin", events+"?"+query); len(p.Items) != 1 || string(p.Items[0]) != want || p.Next != nil {
			t.Errorf("%s: %s", query, p.Items)
		}
	}
}

func TestAnEventIsTakenOnce(t *testing.T) {
	s := newStack(t)
	body := func(data string) string { return `{` + task + `, "id": "1", "data": ` + data + `}` }
	first := s.want(201, "sender", "POST", events, body(`{"a": 1}`))
	s.pass(time.Hour)
	again := s.want(200, "admin", "POST", events, body(`{"a": 1}`))
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || again.Header().Get("Location") == "" {
		t.Errorf("%v %s", again.Header(), again.Body)
	}
	for _, other := range []string{body(`{"a": 2}`), body(`{"a":1}`), strings.Replace(body(`{"a": 1}`), "moved", "gone", 1), strings.Replace(body(`{"a": 1}`), "{", `{"x": "y", `, 1)} {
		s.refused(422, "id", "sender", "POST", events, other)
	}
	// In a batch, nothing is written beside it.
	s.refused(422, "[1].id", "sender", "POST", events, `[{`+task+`, "id": "2"}, `+body(`{"a": 2}`)+`]`)

	batch := `[{` + task + `, "id": "2"}, ` + body(`{"a": 1}`) + `]`
	want := func(status int, replayed string) {
		t.Helper()
		w := s.want(status, "sender", "POST", events, batch)
		if got := w.Header().Get("Idempotency-Replayed"); got != replayed {
			t.Errorf("replayed: %q", got)
		}
		var out receiptsOut
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || len(out.Items) != 2 || out.Items[1] !=
			(receiptOut{event.LogID("/tracker", "1"), "1", "/tracker", "2026-04-05T12:00:00Z", true}) || out.Items[0].Replayed != (replayed == "true") || out.Items[0].LogID != event.LogID("/tracker", "2") {
			t.Errorf("%s", w.Body)
		}
	}
	want(201, "")
	want(200, "true")
	if s.log.Len() != 2 {
		t.Errorf("%d events", s.log.Len())
	}
}

// Events of a batch keep their order, and so do those that one process takes within a
// microsecond.
func TestEventsKeepTheirOrder(t *testing.T) {
	s := newStack(t)
	var want []string
	for n := range 3 {
		var items []string
		for i := range 100 {
			id := fmt.Sprint(100*n + i)
			items, want = append(items, `{`+task+`, "id": "`+id+`"}`), append(want, id)
		}
		s.want(201, "sender", "POST", events, `[`+strings.Join(items, ",")+`]`)
	}
	got, _ := s.all("admin", "order=asc&limit=100")
	same(t, "the events", got, want)
}

// A clock that was ahead once does not date what is recorded after it was set back. A
// small step back does not change the order of events.
func TestAClockThatWasAhead(t *testing.T) {
	s := newStack(t)
	add := func(id string) string {
		var e struct{ RecordedTime string }
		if err := json.Unmarshal(s.want(201, "sender", "POST", events, `{`+task+`, "id": "`+id+`"}`).Body.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		return e.RecordedTime
	}
	var got []string
	for i, step := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour, -time.Second, -time.Second, -time.Microsecond} {
		s.pass(step)
		got = append(got, add(fmt.Sprint(i)))
	}
	same(t, "the times", got, []string{
		"2026-04-05T12:00:00Z", "2026-04-06T12:00:00Z",
		"2026-04-05T12:00:00Z", "2026-04-05T12:00:00.000001Z", // a second behind the last one
		"2026-04-05T11:59:58Z", "2026-04-05T11:59:58.000001Z", // more than that
	})
}

// What was written before the log failed is there when the request is repeated, listed
// and once.
func TestARepeatedBatchIsComplete(t *testing.T) {
	for name, failure := range map[string]struct {
		method string
		after  int
	}{"the fourth put": {"Put", 3}, "the index": {"Index", 0}, "the first look": {"Get", 0}} {
		s := newStack(t)
		var items []string
		for i := range 10 {
			items = append(items, fmt.Sprintf(`{%s, "id": "%d"}`, task, i))
		}
		body, calls := `[`+strings.Join(items, ",")+`]`, make(chan int, 1)
		calls <- 0
		s.log.Before = func(method string) error {
			n := <-calls
			defer func() { calls <- n }()
			if method == failure.method {
				if n++; n > failure.after {
					return errors.New("the log fails")
				}
			}
			return nil
		}
		s.want(500, "sender", "POST", events, body)
		s.log.Before = nil
		s.want(201+map[bool]int{true: -1}[failure.method == "Index"], "sender", "POST", events, body)
		if ids, _ := s.all("admin", ""); len(ids) != 10 {
			t.Errorf("%s: %v are listed", name, ids)
		}
	}
}

// racing is a log that lets another request happen before the first put.
type racing struct {
	audit.Log
	once  sync.Once
	first func()
}

func (l *racing) Put(ctx context.Context, e audit.Stored) (*audit.Stored, error) {
	l.once.Do(l.first)
	return l.Log.Put(ctx, e)
}

// Another request may write another event with an id of a list after the list was checked.
// The others are written then, and listed, and the list can be repeated without that id.
func TestARaceForAnIDOfABatch(t *testing.T) {
	s := newStack(t)
	raced := newStackOn(t, &racing{Log: s.log, first: func() { s.want(201, "sender", "POST", events, replaced("id", "2")) }})
	item := func(id string) string { return `{` + task + `, "id": "` + id + `"}` }
	w := raced.want(422, "sender", "POST", events, `[`+item("1")+`,`+item("2")+`,`+item("3")+`]`)
	if !strings.Contains(w.Body.String(), `"[1].id"`) {
		t.Errorf("%s", w.Body)
	}
	if ids, _ := s.all("admin", ""); len(ids) != 3 {
		t.Errorf("%v are listed", ids)
	}
	again := s.want(201, "sender", "POST", events, `[`+item("1")+`,`+item("4")+`,`+item("3")+`]`)
	if strings.Count(again.Body.String(), `"replayed":true`) != 2 {
		t.Errorf("%s", again.Body)
	}
}

func TestWhoMayAddEvents(t *testing.T) {
	s := newStack(t)
	body := `{` + task + `, "id": "1"}`
	for token, status := range map[string]int{
		"": 401, "member": 403, "organizer": 403, "owner": 403, "auditor": 403, "owner's key": 403, "admin's key": 403, "demoted sender": 403, "admin": 201, "sender": 200,
	} {
		if status == 200 {
			continue
		}
		s.want(status, token, "POST", events, body)
	}
	s.want(200, "sender", "POST", events, body)
}

// The body's limit comes before everything else in it.
func TestBodiesAboveTheLimit(t *testing.T) {
	s := newStack(t)
	for _, headers := range [][]string{nil, {"Ce-Id", "1"}, {"Content-Type", "application/cloudevents-batch+json"}} {
		s.refused(413, "body", "sender", "POST", events, strings.Repeat(" ", 999_999)+"{}", headers...)
		if w := s.send("sender", "POST", events, strings.Repeat(" ", 999_998)+"{}", headers...); w.Code != 400 && headers == nil {
			t.Errorf("%v: %d %s", headers, w.Code, w.Body)
		}
	}
}

func with(members string) string { return `{` + task + `, "id": "1", ` + members + `}` }

func without(member string) string {
	all := map[string]string{"specversion": `"1.0"`, "source": `"/tracker"`, "type": `"t"`, "subject": `"task/17"`, "id": `"1"`}
	var members []string
	for name, value := range all {
		if name != member {
			members = append(members, fmt.Sprintf("%q: %s", name, value))
		}
	}
	return `{` + strings.Join(members, ", ") + `}`
}

func replaced(name, value string) string {
	text, _ := json.Marshal(value)
	return strings.TrimSuffix(without(name), "}") + `, "` + name + `": ` + string(text) + `}`
}

func TestWrongEventsAreRefused(t *testing.T) {
	s := newStack(t)
	users := make([]string, 21)
	for i := range users {
		users[i] = fmt.Sprintf("018f0000-0000-7000-8000-%012d", i)
	}
	var many []string
	for i := range 31 {
		many = append(many, fmt.Sprintf(`"x%02d": 1`, i))
	}
	for _, c := range []struct{ field, body string }{
		{"body", ``}, {"body", `7`}, {"body", `"x"`}, {"body", `{`}, {"body", `[]`}, {"[0]", `[1]`}, {"[1]", `[` + with(`"a": 1`) + `, null]`},
		{"body", `[` + strings.TrimSuffix(strings.Repeat(without("")+",", 101), ",") + `]`},
		{"[1].id", `[` + without("") + `,` + without("") + `]`},
		{"[1].type", `[` + without("") + `,` + strings.Replace(without("type"), `"1"`, `"2"`, 1) + `]`},
		{"specversion", without("specversion")}, {"id", without("id")}, {"source", without("source")}, {"type", without("type")}, {"subject", without("subject")},
		{"specversion", replaced("specversion", "0.3")}, {"id", replaced("id", "")}, {"id", strings.Replace(without("id"), "{", `{"id": 1, `, 1)}, {"id", replaced("id", "a\nb")},
		{"id", replaced("id", strings.Repeat("x", 201))}, {"subject", replaced("subject", strings.Repeat("x", 401))}, {"type", replaced("type", "\u202e")},
		{"source", replaced("source", "a b")}, {"source", replaced("source", "/é")}, {"source", replaced("source", "/%zz")}, {"source", replaced("source", "http://[")},
		{"subject", replaced("subject", "task/*")}, {"subject", replaced("subject", "*")},
		{"time", with(`"time": "yesterday"`)}, {"time", with(`"time": 5`)}, {"time", with(`"time": "2026-04-05T12:00:00"`)},
		{"dataschema", with(`"dataschema": "a b"`)}, {"dataschema", with(`"dataschema": "/schemas/moved.json"`)}, {"dataschema", with(`"dataschema": "moved.json#a:b"`)},
		{"dataschema", with(`"dataschema": "//tracker.example/moved.json"`)}, {"dataschema", with(`"dataschema": "urn:한"`)}, {"datacontenttype", with(`"datacontenttype": "json"`)}, {"traceparent", with(`"traceparent": "x"`)},
		{"notify", with(`"notify": ""`)}, {"notify", with(`"notify": "kim"`)}, {"notify", with(`"notify": ["a"]`)}, {"notify", with(`"notify": "` + strings.Join(users, ",") + `"`)},
		{"notify", with(`"notify": "` + users[0] + "," + users[0] + `"`)}, {"notify", with(`"notify": "` + users[0] + ", " + users[1] + `"`)},
		{"Team", with(`"Team": "x"`)}, {"my_team", with(`"my_team": "x"`)}, {"a23456789012345678901", with(`"a23456789012345678901": 1`)}, {"x30", with(strings.Join(many, ","))},
		{"x", with(`"x": {}`)}, {"x", with(`"x": [1]`)}, {"x", with(`"x": 1.5`)}, {"x", with(`"x": 1e2`)}, {"x", with(`"x": 2147483648`)}, {"x", with(`"x": "` + strings.Repeat("x", 1001) + `"`)},
		{"data_base64", with(`"data_base64": "?"`)}, {"data_base64", with(`"data_base64": 5`)}, {"data_base64", with(`"data_base64": null`)}, {"data_base64", with(`"data_base64": "AA==", "data": 1`)},
		{"data.a", with(`"data": {"a": 1, "a": 2}`)}, {"data.a", with(`"data": {"a": "\ud800"}`)}, {"data.a[1]", with(`"data": {"a": [0, "\u0000"]}`)}, {"id", with(`"id": "2"`)},
	} {
		s.refused(400, c.field, "sender", "POST", events, c.body)
	}
	for _, name := range []string{"actor", "recordedtime", "logid", "subjectseq", "owners", "public", "draft", "user", "restored", "enc", "seal", "proof"} {
		s.refused(400, name, "sender", "POST", events, with(`"`+name+`": "user/a"`))
		s.refused(400, "ce-"+name, "sender", "POST", events, "", "Ce-"+name, "user/a", "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "t", "Ce-Subject", "task")
	}
	s.refused(400, "a", "sender", "POST", events+"?a=1", without(""))

	large := `"` + strings.Repeat("x", 64*1024-1) + `"`
	s.refused(413, "data", "sender", "POST", events, with(`"data": `+large))
	s.refused(413, "[1].data", "sender", "POST", events, `[`+without("")+`,`+replaced("id", "2")[:1]+`"data": `+large+`,`+replaced("id", "2")[1:]+`]`)
	s.refused(413, "data_base64", "sender", "POST", events, with(`"data_base64": "`+strings.Repeat("AAAA", 64*1024/3+1)+`"`))
	s.refused(413, "body", "sender", "POST", events, large, "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "t", "Ce-Subject", "task", "Ce-Specversion", "1.0")
	s.refused(413, "body", "sender", "POST", events, strings.Repeat(" ", 1_000_001))
	s.want(201, "sender", "POST", events, with(`"data": "`+large[2:])) // one byte less
}

// Whatever a reader could take for an event of ours is refused, in every form.
func TestNobodyForgesOurEvents(t *testing.T) {
	s := newStack(t)
	for name, values := range map[string][]string{
		"type": {"plaudit.entry.added", "plaudit.", "plaudit", "Plaudit.entry.added", "PLAUDIT.x", "ｐｌａｕｄｉｔ.x", "plau\u00addit.x", "pl\u200baudit.x",
			" plaudit.entry.added", "plaudit .x", "plaudit\u034f.x", "plaudit\ufe0f.x", "\u2800plaudit.x", "\u3164plaudit.x", "pl\u0430udit.x", "plaud\u0131t.x", "plaudit\u2024x", "pla\u0301udit.x",
			"p1audit.x", "plaudlt.x", "pIaudit.x", ".plaudit.x", "-plaudit.x", "/plaudit/x", "plaudit:x", "plaudit/x", "보드", "a b", "a%2Eb", `a"`, "\ue000a", "t\u0301", "т",
		},
		"source": {
			"/plaudit/scores", "/plaudit", "/plaudit/", "//plaudit/scores", "///plaudit/scores", "plaudit/scores", "/Plaudit/users", "/%70laudit/scores", "/plaudit%2Fscores",
			"/%2570laudit/scores", "/./plaudit/scores", "/x/../plaudit/scores", "./plaudit/x", "/plaudit?x", "/plaudit#x", "/plaudit;v=1/scores", "https://plaudit/scores",
			"https://example.org/plaudit/scores", "https:///plaudit/scores", "https:/plaudit/scores", "//example.org/plaudit/scores", "plaudit:scores", "urn:plaudit:scores", "PLAUDIT:x",
			"/pl%D0%B0udit/x", "/plaudit%EF%B8%8F/x", "%E2%A0%80/plaudit", "/plaudit%E2%88%95scores", "/p1audit/x", "https://example.org/pla%CC%81udit", "urn:pl%25D0%25B0udit:x", "pIaudit:x",
		},
		"subject": {
			"board/x", "user/a", "board", "user", "board/", "board/x/player/y", "Board/x", "USER/a", "/board/x", "//user/a", "board%2Fx", "%62oard/x", "%2562oard/x", "board\\x", "./board/x",
			"task/../board/x", "ｂｏａｒｄ/x", "bo\u200bard/x", "board;a/x", "board?x", "board#x",
			"board\ufe0f/x", "\u2800board/x", "b\u043eard/x", "board\u2215x", "user\u29f8a", "board\u034f/x", "\u3164user/a", "us\u0435r/a", "user\u2044a", "board\u30cex", " board/x", "board /x",
			"\u0432\u043e\u0430\u0433\u0501/x", "\u03c5\u0455\u0435\u0433/a", "\u0412\u041eard/x", "b\u00f8\u00e5rd/x", "us\u0435\u0301r/a", "bo\u0251rd/x", "b0ard/x", "u5er/a", "bo\u0430rd%E2%88%95x",
			"\U000e0062board/x", "board\u115f/x", "\u13f4oard/x", "u\ua731er/a",
		},
	} {
		for _, value := range values {
			s.refused(400, name, "sender", "POST", events, replaced(name, value))
		}
	}
	n := 0
	for name, values := range map[string][]string{
		"type":    {"com.plaudit.x", "plaudits.x", "com.example", "https://example.com/v1#moved", "com.example.task_moved-2:x+y~z@1", "plaudit-tools.x", "7"},
		"source":  {"/plaudits", "/tracker/plaudit", "https://plaudit.example.org/x", "https://github.com/acme/plaudit", "urn:uuid:018f0000-0000-7000-8000-000000000001", "mailto:a@example.org"},
		"subject": {"boards/x", "task/board/x", "users/a", "과제/17", "key/x", "доска/7", "цель/1", "보드판넷/1", "보드/x", "ノート/1", "board of directors/1", "büro/7", "rules/x", "abuser/1"},
	} {
		for _, value := range values {
			n++
			s.want(201, "sender", "POST", events, strings.Replace(replaced(name, value), `"1"`, fmt.Sprintf(`"%d"`, n), 1))
		}
	}
}

func TestModesOfCloudEvents(t *testing.T) {
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "t", "Ce-Subject", "task/17"}
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		want       string // of the document's end, or the field
	}{
		{"structured", with(`"data": 1`), []string{"Content-Type", "application/cloudevents+json; charset=UTF-8"}, 201, `"data":1}`},
		{"plain JSON", with(`"data": 1`), nil, 201, `"data":1}`},
		{"a batch", `[` + with(`"data": 1`) + `]`, []string{"Content-Type", "application/cloudevents-batch+json"}, 201, `"data":1}`},
		{"a plain list", `[` + with(`"data": 1`) + `]`, nil, 201, `"data":1}`},
		{"a list as one event", `[` + with(`"data": 1`) + `]`, []string{"Content-Type", "application/cloudevents+json"}, 400, "body"},
		{"an event as a list", with(`"data": 1`), []string{"Content-Type", "application/cloudevents-batch+json"}, 400, "body"},
		{"null data", with(`"data": null`), nil, 201, `"data":null}`},
		{"no data", with(`"x": null`), nil, 201, parent + `"}`},
		{"base64", with(`"data_base64": "AP8i"`), nil, 201, `"data_base64":"AP8i"}`},
		{"empty base64", with(`"data_base64": ""`), nil, 201, `"data_base64":""}`},
		{"a trace of its own", with(`"traceparent": "00-11111111111111111111111111111111-2222222222222222-01"`), nil, 201, `"traceparent":"00-11111111111111111111111111111111-2222222222222222-01"}`},

		{"binary, JSON", ` { "a": "\u00e9" }` + "\n", binary, 201, `"data": { "a": "\u00e9" }` + "\n}"},
		{"binary, other JSON", `{}`, append(binary, "Content-Type", "application/vnd.example+json; charset=utf-8"), 201, `"data":{}}`},
		{"binary, text", "a\n\"é\"", append(binary, "Content-Type", "text/plain"), 201, `"data":"a\n\"é\""}`},
		{"binary, text with NUL", "a\x00b", append(binary, "Content-Type", "text/plain"), 400, "body"},
		{"binary, bytes with NUL", "a\x00b", append(binary, "Content-Type", "application/octet-stream"), 201, `"data_base64":"YQBi"}`},
		{"binary, JSON in upper case", `{"a": 1}`, append(binary, "Content-Type", "Application/JSON; Charset=UTF-8"), 201, `"data":{"a": 1}}`},
		{"binary, text in upper case", "a", append(binary, "Content-Type", "TEXT/PLAIN"), 201, `"data":"a"}`},
		{"structured in upper case", with(`"data": 1`), []string{"Content-Type", "Application/CloudEvents+JSON"}, 201, `"data":1}`},
		{"a batch in upper case", `[` + with(`"data": 1`) + `]`, []string{"Content-Type", "APPLICATION/JSON"}, 201, `"data":1}`},
		{"empty text", with(`"data": ""`), nil, 201, `"data":""}`},
		{"binary, text that is not UTF-8", "\xff", append(binary, "Content-Type", "text/plain"), 201, `"data_base64":"/w=="}`},
		{"binary, bytes", "\x00\xff\"", append(binary, "Content-Type", "application/octet-stream"), 201, `"data_base64":"AP8i"}`},
		{"binary, no data", "", append(binary, "Content-Type", ""), 201, parent + `"}`},
		{"binary, extensions", "", append(binary, "Ce-Team", "%EC%84%9C%EC%9A%B8 100%25", "Ce-Quoted", `"a \"b\""`), 201, `"quoted":"a \"b\"","team":"서울 100%"}`},
		{"binary, time", "", append(binary, "Ce-Time", "2026-04-05T12:00:00Z"), 201, parent + `"}`},
		{"binary, wrong JSON", `{`, binary, 400, "body"},
		{"binary, wrong escape", "", append(binary, "Ce-Team", "100%"), 400, "ce-team"},
		{"binary, wrong UTF-8", "", append(binary, "Ce-Team", "%ff"), 400, "ce-team"},
		{"binary, wrong time", "", append(binary, "Ce-Time", "now"), 400, "ce-time"},
		{"binary, no id", "", append(binary, "Ce-Id", ""), 400, "ce-id"},
		{"binary, data as a header", "", append(binary, "Ce-Data", "x"), 400, "ce-data"},
		{"binary, type as a header", "", append(binary, "Ce-Datacontenttype", "text/plain"), 400, "ce-datacontenttype"},
		{"binary, forged", "", append(binary, "Ce-Type", "plaudit.entry.added"), 400, "ce-type"},
		{"binary, a charset", "{}", append(binary, "Content-Type", "application/json; charset=latin1"), 415, "Content-Type"},

		{"XML", "<a/>", []string{"Content-Type", "application/xml"}, 415, "Content-Type"},
		{"another format", "x", []string{"Content-Type", "application/cloudevents+avro"}, 415, "Content-Type"},
		{"no type", without(""), []string{"Content-Type", ""}, 415, "Content-Type"},
		{"compressed", without(""), []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
	} {
		s := newStack(t)
		if c.status != 201 {
			s.refused(c.status, c.want, "sender", "POST", events, c.body, c.headers...)
			continue
		}
		s.want(201, "sender", "POST", events, c.body, c.headers...)
		var p page
		body := s.want(200, "admin", "GET", events, "").Body.String()
		if err := json.Unmarshal([]byte(body), &p); err != nil || len(p.Items) != 1 || !strings.HasSuffix(string(p.Items[0]), c.want) {
			t.Errorf("%s: %s, want %s", c.name, body, c.want)
		}
	}
}

// Control characters make text six times as long when it becomes JSON, and so longer than
// an item of the log may be. Such an event is refused before anything is written.
func TestTextThatGrowsTooLong(t *testing.T) {
	s := newStack(t)
	headers := []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "t", "Ce-Subject", "task/17", "Content-Type", "text/plain"}
	text := strings.Repeat("\x01", 64*1024)
	s.refused(413, "body", "sender", "POST", events, text, headers...)
	s.want(201, "sender", "POST", events, text[:50_000], headers...)
	s.want(201, "sender", "POST", events, text, append(headers, "Ce-Id", "2", "Content-Type", "application/octet-stream")...)
	s.want(201, "sender", "POST", events, strings.Repeat(`"`, 64*1024), append(headers, "Ce-Id", "3")...)
}

// An empty text is data, and an empty body is none: the two are different events under
// one id. The same mode and bytes are the same event.
func TestARetryKeepsItsModeAndBytes(t *testing.T) {
	s := newStack(t)
	headers := []string{"Ce-Specversion", "1.0", "Ce-Source", "/tracker", "Ce-Type", "t", "Ce-Subject", "task/17", "Content-Type", "text/plain", "Ce-Id"}
	structured := func(id, data string) string {
		return fmt.Sprintf(`{"specversion": "1.0", "id": "%s", "source": "/tracker", "type": "t", "subject": "task/17", "datacontenttype": "text/plain"%s}`, id, data)
	}
	s.want(201, "sender", "POST", events, structured("1", `, "data": ""`))
	s.want(200, "sender", "POST", events, structured("1", `, "data": ""`))
	s.refused(422, "ce-id", "sender", "POST", events, "", append(headers, "1")...)
	s.refused(422, "id", "sender", "POST", events, structured("1", ``))
	s.want(201, "sender", "POST", events, "", append(headers, "2")...)
	s.want(200, "sender", "POST", events, "", append(headers, "2")...)
	s.want(200, "sender", "POST", events, structured("2", ``))
	s.refused(422, "id", "sender", "POST", events, structured("2", `, "data": ""`))
}

// The bytes of data come back as they were sent, whatever JSON they are.
func TestDataComesBackByteForByte(t *testing.T) {
	s := newStack(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		id, data := fmt.Sprint(n), eventtest.JSON(4).Draw(rt, "data")
		raw := func() string {
			return s.want(200, "admin", "GET", events+"/"+event.LogID("/tracker", id)+"?raw=true", "").Body.String()
		}
		body := fmt.Sprintf(`{"data":%s,%s,"id":"%s"}`, data, task, id)
		if rapid.Bool().Draw(rt, "binary") {
			s.want(201, "sender", "POST", events, data, "Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "/tracker", "Ce-Type", "t", "Ce-Subject", "task/17")
		} else {
			s.want(201, "sender", "POST", events, body)
			data = strings.Trim(data, " \t\r\n") // what is around a value is not data
		}
		_, got, _ := strings.Cut(raw(), `"data":`)
		if got != data+"}" {
			rt.Fatalf("%q comes back as %q", data, got)
		}
		var p page
		list := s.want(200, "admin", "GET", events+"?limit=1", "").Body.String()
		if err := json.Unmarshal([]byte(list), &p); err != nil || !strings.Contains(list, `"data":`+data+"}") {
			rt.Fatalf("%q is listed as %s", data, list)
		}
	})
}
