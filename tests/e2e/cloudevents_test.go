package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"pgregory.net/rapid"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
)

// attributes are those of an event of another system, in each mode.
type attributes struct{ id, source, typ, subject string }

func (a attributes) headers(contentType string) []string {
	return []string{"Content-Type", contentType, "Ce-Specversion", "1.0", "Ce-Id", a.id, "Ce-Source", a.source, "Ce-Type", a.typ, "Ce-Subject", a.subject}
}

func (a attributes) members() string {
	return fmt.Sprintf(`"specversion": "1.0", "id": %s, "source": %s, "type": %s, "subject": %s`, quote(a.id), quote(a.source), quote(a.typ), quote(a.subject))
}

// The bytes of data come back as they were sent, by every way there is: sent in each
// mode, read alone, raw, in a list, and by the index.
func TestDataComesBackByteForByte(t *testing.T) {
	root := person(t, access.Admin)
	keyID, _, sender := root.key(t, []string{"events:write"})
	n, project := 0, unique("bytes")
	rapid.Check(t, func(rt *rapid.T) {
		n++
		a := attributes{fmt.Sprintf("%s-%d", project, n), "/bytes", "kept.byte.for.byte", "task/" + project + "/" + fmt.Sprint(n)}
		data, member := eventtest.JSON(4).Draw(rt, "data"), "data"
		status := func(got answer) {
			if got.status != 201 {
				rt.Fatalf("%q: %d %s", data, got.status, got.body)
			}
		}
		switch mode := rapid.SampledFrom([]string{"structured", "batch", "binary", "base64", "bytes"}).Draw(rt, "mode"); mode {
		case "structured":
			status(send(t, "POST", logged, sender, fmt.Sprintf(`{"data":%s,%s}`, data, a.members()), "Content-Type", "application/cloudevents+json"))
			data = strings.Trim(data, " \t\r\n") // what is around a value is not data
		case "batch":
			other := a
			other.id += "-other"
			status(send(t, "POST", logged, sender, fmt.Sprintf(`[{%s}, {%s,"data":%s}]`, other.members(), a.members(), data), "Content-Type", "application/cloudevents-batch+json"))
			data = strings.Trim(data, " \t\r\n")
		case "binary":
			status(send(t, "POST", logged, sender, data, a.headers("application/json")...))
		default:
			member = "data_base64"
			content := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(rt, "bytes")
			data = quote(base64.StdEncoding.EncodeToString(content))
			if mode == "base64" {
				status(send(t, "POST", logged, sender, fmt.Sprintf(`{%s,"data_base64":%s}`, a.members(), data)))
			} else {
				status(send(t, "POST", logged, sender, string(content), a.headers("application/octet-stream")...))
			}
		}
		path, want := logged+"/"+event.LogID(a.source, a.id), `"`+member+`":`+data+"}"
		raw := send(t, "GET", path+"?raw=true", root.token, "")
		if raw.status != 200 || !strings.HasSuffix(raw.body, want) || !json.Valid([]byte(raw.body)) {
			rt.Fatalf("%q comes back as %d %q", data, raw.status, raw.body)
		}
		if one := send(t, "GET", path, root.token, ""); one.status != 200 || one.body != raw.body+"\n" {
			rt.Fatalf("%q is read as %d %q", data, one.status, one.body)
		}
		for _, query := range []string{"subject=" + a.subject, "actor=key/" + keyID + "&limit=2"} {
			if list := send(t, "GET", logged+"?"+query, root.token, ""); list.status != 200 || !strings.Contains(list.body, raw.body) {
				rt.Fatalf("%q is listed by %s as %d %.2000q", data, query, list.status, list.body)
			}
		}
	})
}

// The CloudEvents SDK is a client, over the load balancer: what it sends in each mode it
// reads back.
func TestTheCloudEventsSDK(t *testing.T) {
	root := person(t, access.Admin)
	_, _, sender := root.key(t, []string{"events:write"})
	protocol, err := ce.NewHTTP(cehttp.WithTarget(stack.Info.URL+logged), cehttp.WithHeader("Authorization", "Bearer "+sender))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ce.NewClient(protocol)
	if err != nil {
		t.Fatal(err)
	}
	var sent []ce.Event
	for i, data := range []struct {
		contentType string
		value       any
	}{
		{ce.ApplicationJSON, json.RawMessage(`{"to":"doing","from":"to do","n":12345678901234567890123,"z":"","a":null}`)},
		{"text/plain; charset=utf-8", "moved to \"doing\"\n"}, {"application/octet-stream", []byte{0, 255, '"'}}, {"", nil},
	} {
		for mode, force := range map[string]bool{"structured": true, "binary": false} {
			e := ce.NewEvent()
			e.SetID(fmt.Sprintf("%s-%d-%s", unique("sdk"), i, mode))
			e.SetSource("https://tracker.example/tasks")
			e.SetType("example.tracker.task.moved")
			e.SetSubject("과제/17")
			e.SetExtension("team", "서울")
			if data.value != nil {
				if err := e.SetData(data.contentType, data.value); err != nil {
					t.Fatal(err)
				}
			}
			ctx := binding.WithForceBinary(t.Context())
			if force {
				ctx = binding.WithForceStructured(t.Context())
			}
			for _, status := range []int{201, 200} { // it is repeated
				var result *cehttp.Result
				if err := client.Send(ctx, e); !ce.IsACK(err) || !ce.ResultAs(err, &result) || result.StatusCode != status {
					t.Errorf("%s %s: %v", mode, data.contentType, err)
				}
			}
			sent = append(sent, e)
		}
	}
	for i := range sent {
		sent[i].SetID(sent[i].ID() + "-batched")
	}
	batch, err := cehttp.NewHTTPRequestFromEvents(t.Context(), stack.Info.URL+logged, sent)
	if err != nil {
		t.Fatal(err)
	}
	batch.Header.Set("Authorization", "Bearer "+sender)
	resp, err := http.DefaultClient.Do(batch)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("a batch: %s", resp.Status)
	}
	for _, e := range sent {
		for _, id := range []string{e.ID(), strings.TrimSuffix(e.ID(), "-batched")} {
			var got ce.Event
			if err := json.Unmarshal([]byte(want(t, 200, "GET", logged+"/"+event.LogID(e.Source(), id)+"?raw=true", root.token, "").body), &got); err != nil {
				t.Fatal(err)
			}
			if err := got.Validate(); err != nil || got.ID() != id || got.Type() != e.Type() || got.Subject() != e.Subject() || got.Extensions()["team"] != "서울" ||
				got.DataContentType() != e.DataContentType() || !bytes.Equal(got.Data(), e.Data()) {
				t.Errorf("%v: sent %v, got %v", err, e, got)
			}
		}
	}
}

// A repeated event is answered with the first one's bytes, another event with its id is
// refused, and of several at once one counts.
func TestAnEventCountsOnce(t *testing.T) {
	root := person(t, access.Admin)
	_, _, sender := root.key(t, []string{"events:write"})
	a := attributes{unique("once"), "/once", "counted", "task/" + unique("once")}
	body := func(data string) string { return fmt.Sprintf(`{%s, "data": %s}`, a.members(), data) }
	answers := make([]answer, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = try("POST", logged, sender, body(`{"n": `+fmt.Sprint(i%2)+`}`)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	made, first, refused := 0, "", 0
	for _, got := range answers {
		switch got.status {
		case 201:
			made++
			first = got.body
		case 422:
			refused++
			if got.text(t, "field") != "id" {
				t.Errorf("%s", got.body)
			}
		case 200:
		default:
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if made != 1 || refused != 8 {
		t.Errorf("of sixteen at once, %d are new and %d refused", made, refused)
	}
	for _, got := range answers {
		if got.status == 200 && (got.body != first || got.header.Get("Idempotency-Replayed") != "true") {
			t.Errorf("a repeated event: %v %s, want %s", got.header, got.body, first)
		}
	}
	if list := events(t, root.token, "subject="+a.subject); len(list) != 1 {
		t.Errorf("%d events are listed", len(list))
	}
}

// What is refused names its field, and writes nothing: not the event, and not the
// others of its batch.
func TestForgedAndWrongEventsAreRefused(t *testing.T) {
	root := person(t, access.Admin)
	keyID, _, sender := root.key(t, []string{"events:write"})
	a := attributes{"1", "/forger", "forged", "task/1"}
	with := func(change func(*attributes)) string {
		b := a
		b.id = unique("forged")
		change(&b)
		return b.members()
	}
	type wrong struct {
		field, members string
		status         int
	}
	var all []wrong
	for _, typ := range []string{"plaudit.entry.added", "Plaudit.entry.added", "PLAUDIT.ENTRY.ADDED", "plaudit", "plaudit.", "ｐｌａｕｄｉｔ.entry.added", "plau\u00addit.entry.added", "pl\u200baudit.x"} {
		all = append(all, wrong{"type", with(func(b *attributes) { b.typ = typ }), 400})
	}
	for _, source := range []string{
		"/plaudit/scores", "/plaudit/users", "/plaudit", "/Plaudit/scores", "//plaudit/scores", "plaudit/scores", "/%70laudit/scores", "/plaudit%2Fscores", "/./plaudit/scores", "/x/../plaudit/scores",
		"https://example.org/plaudit/scores", "https://plaudit/scores", "plaudit:scores", "urn:plaudit:scores",
	} {
		all = append(all, wrong{"source", with(func(b *attributes) { b.source = source }), 400})
	}
	for _, subject := range []string{
		"board/demo", "user/" + root.id, "board/demo/player/bib-7", "Board/demo", "BOARD/demo", "/board/demo", "board", "user", "board%2Fdemo", "%62oard/demo", "ｂｏａｒｄ/demo", "./board/demo", "x/../board/demo", "bo\u200bard/demo", "task/*",
	} {
		all = append(all, wrong{"subject", with(func(b *attributes) { b.subject = subject }), 400})
	}
	some := func(*attributes) {}
	for _, name := range []string{"actor", "recordedtime", "logid", "subjectseq", "owners", "public", "user", "restored", "enc"} {
		all = append(all, wrong{name, with(some) + `, "` + name + `": "user/` + root.id + `"`, 400})
	}
	people := make([]string, 21)
	for i := range people {
		people[i] = fmt.Sprintf("018f0000-0000-7000-8000-%012d", i)
	}
	all = append(all,
		wrong{"notify", with(some) + `, "notify": "` + strings.Join(people, ",") + `"`, 400},
		wrong{"notify", with(some) + `, "notify": "kim@example.com"`, 400},
		wrong{"Actor", with(some) + `, "Actor": "user/a"`, 400},
		wrong{"data", with(some) + `, "data": "` + strings.Repeat("x", 64*1024) + `"`, 413},
		wrong{"data.a", with(some) + `, "data": {"a": 1, "a": 2}`, 400},
		wrong{"time", with(some) + `, "time": "yesterday"`, 400},
		wrong{"specversion", strings.Replace(with(some), "1.0", "0.3", 1), 400},
	)
	for _, c := range all {
		if got := send(t, "POST", logged, sender, "{"+c.members+"}"); got.status != c.status || got.text(t, "field") != c.field {
			t.Errorf("%.200s: %d %s, want %d naming %s", c.members, got.status, got.body, c.status, c.field)
		}
		body := "[{" + with(some) + "}, {" + c.members + "}]"
		if got := send(t, "POST", logged, sender, body); got.status != c.status || got.text(t, "field") != "[1]."+c.field {
			t.Errorf("[…, %.200s]: %d %s, want %d naming [1].%s", c.members, got.status, got.body, c.status, c.field)
		}
	}
	for _, headers := range [][]string{
		attributes{unique("f"), "/forger", "plaudit.entry.added", "task/1"}.headers("text/plain"), attributes{unique("f"), "/plaudit/scores", "x", "task/1"}.headers("text/plain"),
		attributes{unique("f"), "/forger", "x", "board/demo"}.headers("text/plain"), append(attributes{unique("f"), "/forger", "x", "task/1"}.headers("text/plain"), "Ce-Actor", "user/a"),
	} {
		if got := want(t, 400, "POST", logged, sender, "x", headers...); !strings.HasPrefix(got.text(t, "field"), "ce-") {
			t.Errorf("%v: %s", headers, got.body)
		}
	}
	items := make([]string, 101)
	for i := range items {
		items[i] = "{" + with(some) + "}"
	}
	if got := want(t, 400, "POST", logged, sender, "["+strings.Join(items, ",")+"]"); got.text(t, "field") != "body" {
		t.Errorf("%s", got.body)
	}
	if list := events(t, root.token, "actor=key/"+keyID); len(list) != 0 {
		t.Errorf("refused requests wrote %d events", len(list))
	}
}
