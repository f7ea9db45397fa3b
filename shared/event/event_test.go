package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"plaudit/shared/event"
)

func TestEventIsACloudEvent(t *testing.T) {
	at := time.Date(2026, 4, 5, 12, 30, 0, 123456000, time.UTC)
	text, err := json.Marshal(event.Event{
		SpecVersion: "1.0", ID: "17", Source: "/plaudit/scores", Type: event.EntryAdjusted, Subject: event.Player("seoul-2026", "bib-7"),
		Time: at, RecordedTime: at.Add(time.Microsecond), LogID: event.LogID("/plaudit/scores", "17"), Actor: event.User("o"), Notify: "u",
		ContentType: "application/json", Data: json.RawMessage(`{"points": 5e3}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"17","source":"/plaudit/scores","type":"plaudit.entry.adjusted",` +
		`"subject":"board/seoul-2026/player/bib-7","time":"2026-04-05T12:30:00.123456Z","recordedtime":"2026-04-05T12:30:00.123457Z",` +
		`"logid":"_myFLuHyt_mjkVTvVDrQAar82A4SYUChb08ptdELOCY","actor":"user/o","notify":"u","datacontenttype":"application/json","data":{"points":5e3}}`
	if string(text) != want {
		t.Errorf("an event is %s\nwant %s", text, want)
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
