package event_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"plaudit/shared/event"
)

func sample() event.Event {
	at := time.Date(2026, 4, 5, 12, 30, 0, 123456000, time.UTC)
	return event.Event{
		ID: "17", Source: event.Scores, Type: event.EntryAdjusted, Subject: event.Player("seoul-2026", "bib-7"),
		Time: at, RecordedTime: at.Add(time.Microsecond), LogID: event.LogID(event.Scores, "17"), Actor: event.User("o"), Notify: "u",
		DataContentType: "application/json", Extensions: map[string]any{"user": "u", "count": int32(-3), "late": true}, JSON: []byte(`{"points": 5e3}`),
	}
}

func TestEventIsACloudEvent(t *testing.T) {
	text, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"17","source":"/plaudit/scores","type":"plaudit.entry.adjusted",` +
		`"subject":"board/seoul-2026/player/bib-7","time":"2026-04-05T12:30:00.123456Z","datacontenttype":"application/json",` +
		`"recordedtime":"2026-04-05T12:30:00.123457Z","logid":"_myFLuHyt_mjkVTvVDrQAar82A4SYUChb08ptdELOCY",` +
		`"actor":"user/o","notify":"u","count":-3,"late":true,"user":"u","data":{"points": 5e3}}`
	if string(text) != want {
		t.Errorf("an event is %s\nwant %s", text, want)
	}
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	withJSON := func(data string) event.Event {
		e := sample()
		e.JSON = []byte(data)
		return e
	}
	binary := sample()
	binary.JSON, binary.Binary = nil, []byte{0, 255, '"'}
	for _, e := range []event.Event{
		withJSON(`null`), withJSON(` { "b" : 1.0e400, "a" : "", "n" : null, "l" : [[], {"x": [[1]]}] } `), withJSON(`"\u00e9\ud83d\ude00 é"`),
		withJSON(`123456789012345678901234567890.10`), withJSON("\n[]\t"), binary, {ID: "x", Source: "s", Type: "t"},
		{ID: "\"<&>\u2028", Source: "s", SubjectSeq: 1 << 60, TraceParent: "t", DataSchema: "d"},
	} {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Decode(text)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s is decoded as\n%#v, %v; want\n%#v", text, got, err, e)
		}
		if again, err := got.Encode(); err != nil || string(again) != string(text) {
			t.Errorf("%s is encoded again as %s, %v", text, again, err)
		}
	}
}

func TestEncodeRefusesWhatIsNoEvent(t *testing.T) {
	for name, change := range map[string]func(*event.Event){
		"an extension with an attribute's name": func(e *event.Event) { e.Extensions["logid"] = "x" },
		"an extension that is an array":         func(e *event.Event) { e.Extensions["x"] = []string{} },
		"data that is not JSON":                 func(e *event.Event) { e.JSON = []byte("{") },
		"two values as data":                    func(e *event.Event) { e.JSON = []byte("1 2") },
		"no value as data":                      func(e *event.Event) { e.JSON = []byte(" ") },
		"text that is not UTF-8":                func(e *event.Event) { e.Subject = "\xff" },
		"a time after the year 9999":            func(e *event.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"two kinds of data":                     func(e *event.Event) { e.Binary = []byte("x") },
	} {
		e := sample()
		change(&e)
		if doc, err := e.Encode(); err == nil {
			t.Errorf("%s is encoded: %s", name, doc)
		}
	}
}

func TestOurs(t *testing.T) {
	for source, want := range map[string]bool{event.Scores: true, event.Users: true, "/plaudit/x": true, "/plaudits": false, "https://example.org/plaudit/": false, "": false} {
		if event.Ours(source) != want {
			t.Errorf("%q is ours: %t", source, !want)
		}
	}
}

func TestRoot(t *testing.T) {
	for subject, want := range map[string]string{"board/x/player/y": "board/x", "board/x": "board/x", "task": "task", "": "", "a//b": "a/", "task/17/": "task/17"} {
		if got := event.Root(subject); got != want {
			t.Errorf("the root of %q is %q, want %q", subject, got, want)
		}
	}
}

// Pairs that are equal once joined have different ids.
func TestLogIDTellsSourceFromID(t *testing.T) {
	seen := map[string][2]string{}
	for _, pair := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "bc "}, {"a/b", "c"}} {
		id := event.LogID(pair[0], pair[1])
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q share the id %s", pair, other, id)
		}
		seen[id] = pair
		if len(id) != 43 || strings.ContainsAny(id, "+/=") {
			t.Errorf("%q has the id %s, which is not base64url of 32 bytes", pair, id)
		}
	}
}

func TestTypesListsEachOnce(t *testing.T) {
	seen := map[event.Type]bool{}
	for _, typ := range event.Types() {
		if seen[typ] || !strings.HasPrefix(string(typ), "plaudit.") {
			t.Errorf("%s appears more than once or is not ours", typ)
		}
		seen[typ] = true
	}
	for _, kind := range []string{"result", "adjustment", "import", "reversal"} {
		if !seen[event.OfEntry(kind)] {
			t.Errorf("the type of an entry of kind %s is not listed", kind)
		}
	}
}

func TestNotified(t *testing.T) {
	for _, c := range []struct {
		rule         string
		typ          event.Type
		person, user string
		want         string
	}{
		{"an adjustment by staff", event.EntryAdjusted, "o", "u", "u"},
		{"a reversal by a program of the previous release", event.EntryReversed, "", "u", "u"},
		{"a proposal", event.LinkProposed, "o", "u", "u"},
		{"a proposal to oneself", event.LinkProposed, "u", "u", ""},
		{"an end by staff", event.LinkEnded, "o", "u", "u"},
		{"an end by the user", event.LinkEnded, "u", "u", ""},
		{"what one accepts", event.LinkAccepted, "u", "u", ""},
		{"a change of status by staff", event.PlayerChanged, "o", "u", "u"},
		{"an erasure by staff", event.PlayerErased, "o", "u", "u"},
		{"what one did oneself", event.EntryAdjusted, "u", "u", ""},
		{"a player without a user", event.EntryReversed, "o", "", ""},
		{"a result", event.EntryAdded, "o", "u", ""},
		{"an import", event.EntryImported, "o", "u", ""},
		{"a board's change", event.BoardUpdated, "o", "u", ""},
	} {
		if got := event.Notified(c.typ, c.person, c.user); got != c.want {
			t.Errorf("%s notifies %q, want %q", c.rule, got, c.want)
		}
	}
}
