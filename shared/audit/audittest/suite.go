package audittest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// Base is when the events of Numbered begin.
var Base = time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)

// Numbered returns the n-th of some events: of three roots, seven subjects, two actors
// and two types.
func Numbered(n int) event.Event {
	id := fmt.Sprint(n)
	return event.Event{
		ID: id, Source: "/tracker", Type: event.Type(fmt.Sprint("com.example.", n%2)), Subject: fmt.Sprintf("task/%d/step/%d", n%3, n%7),
		RecordedTime: Base.Add(time.Duration(n/2) * time.Microsecond), LogID: event.LogID("/tracker", id), Actor: event.User(fmt.Sprint(n % 2)),
		DataContentType: "application/json", JSON: fmt.Appendf(nil, `{ "n": %d, "z": "", "a": null, "big": 123456789012345678901234567890.10}`, n),
	}
}

// StoredOf returns an event with its document.
func StoredOf(t testing.TB, e event.Event) audit.Stored {
	t.Helper()
	document, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return audit.Stored{Event: e, Document: document}
}

// Write puts events into a log and indexes them.
func Write(t testing.TB, log audit.Log, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if other, err := log.Put(t.Context(), StoredOf(t, e)); err != nil || other != nil {
			t.Fatalf("put %s: %v, %v", e.ID, other, err)
		}
	}
	for part := range slices.Chunk(events, 25) {
		if err := log.Index(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLog runs the tests that every log must pass. open returns an empty log.
func TestLog(t *testing.T, open func(testing.TB) audit.Log) {
	t.Run("an event is written once", func(t *testing.T) { once(t, open(t)) })
	t.Run("an event is listed once it is indexed", func(t *testing.T) { indexed(t, open(t)) })
	t.Run("an indexed event that is missing", func(t *testing.T) { gap(t, open(t)) })
	t.Run("lists", func(t *testing.T) { lists(t, open(t)) })
}

func once(t *testing.T, log audit.Log) {
	e := StoredOf(t, Numbered(1))
	for range 2 {
		if other, err := log.Put(t.Context(), e); other != nil || err != nil {
			t.Fatalf("%v, %v", other, err)
		}
	}
	changed := Numbered(1)
	changed.JSON = []byte(`{}`)
	other, err := log.Put(t.Context(), StoredOf(t, changed))
	if err != nil || other == nil || !bytes.Equal(other.Document, e.Document) {
		t.Errorf("another event with the same logid: %v, %v", other, err)
	}
	got, err := log.Get(t.Context(), e.Event.LogID)
	if err != nil || got == nil || !bytes.Equal(got.Document, e.Document) || !bytes.Equal(got.Event.JSON, e.Event.JSON) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := log.Get(t.Context(), event.LogID("/other", "1")); got != nil || err != nil {
		t.Errorf("an absent event: %v, %v", got, err)
	}
}

func indexed(t *testing.T, log audit.Log) {
	e := Numbered(1)
	if _, err := log.Put(t.Context(), StoredOf(t, e)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1} {
		events, _, err := log.List(t.Context(), audit.Query{Dimension: audit.BySubject, Value: e.Subject, Limit: 1})
		missing, err2 := log.MissingIndex(t.Context(), []event.Event{e})
		if len(events) != want || len(missing) != 1-want || err != nil || err2 != nil {
			t.Errorf("%v %v, %v %v", events, err, missing, err2)
		}
		if err := log.Index(t.Context(), []event.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
}

func gap(t *testing.T, log audit.Log) {
	older, newer := Numbered(0), Numbered(42) // of one subject
	Write(t, log, older)
	q := audit.Query{Dimension: audit.BySubject, Value: older.Subject, Limit: 1, NoGaps: true}
	if events, _, err := log.List(t.Context(), q); len(events) != 1 || err != nil {
		t.Errorf("%v, %v", events, err)
	}
	if err := log.Index(t.Context(), []event.Event{newer}); err != nil {
		t.Fatal(err)
	}
	if events, _, err := log.List(t.Context(), q); !errors.Is(err, audit.ErrGap) {
		t.Errorf("%v, %v", events, err)
	}
	q.NoGaps = false
	if events, _, err := log.List(t.Context(), q); len(events) != 1 || events[0].Event.ID != older.ID || err != nil {
		t.Errorf("%v, %v", events, err)
	}
}

func lists(t *testing.T, log audit.Log) {
	var events []event.Event
	for n := range 120 {
		events = append(events, Numbered(n))
	}
	Write(t, log, events...)
	at := func(n int) time.Time { return Base.Add(time.Duration(n) * time.Microsecond) }
	for _, q := range []audit.Query{
		{Dimension: audit.All},
		{Dimension: audit.BySubject, Value: "task/1/step/4"},
		{Dimension: audit.ByRoot, Value: "task/2"},
		{Dimension: audit.ByActor, Value: "user/1"},
		{Dimension: audit.ByType, Value: "com.example.0"},
		{Dimension: audit.ByType, Value: "com.example"},
		{Dimension: audit.All, From: at(10), To: at(20)},
		{Dimension: audit.All, From: at(20), To: at(10)},
	} {
		for _, ascending := range []bool{true, false} {
			q.Ascending = ascending
			var want []audit.Place
			for _, e := range events {
				s := audit.Stored{Event: e}
				if value(q.Dimension, e) == q.Value && within(q, s.Place()) {
					want = append(want, s.Place())
				}
			}
			slices.SortFunc(want, func(a, b audit.Place) int { return order(q, a, b) })
			for _, page := range []struct{ limit, bytes int }{{7, 0}, {200, 0}, {100, 2000}} {
				q.Limit, q.MaxBytes = page.limit, page.bytes
				if got := read(t, log, q); !slices.Equal(got, want) {
					t.Errorf("%+v:\n%v\nwant %v", q, got, want)
				}
			}
		}
	}
}

// read reads a list to its end.
func read(t *testing.T, log audit.Log, q audit.Query) (places []audit.Place) {
	t.Helper()
	for range 1000 {
		events, next, err := log.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range events {
			places, size = append(places, e.Place()), size+len(e.Document)
		}
		if len(events) > q.Limit || q.MaxBytes > 0 && size > q.MaxBytes && len(events) > 1 {
			t.Fatalf("a page has %d events with %d bytes", len(events), size)
		}
		if next == (audit.Place{}) {
			return places
		}
		q.After = next
	}
	t.Fatal("the list does not end")
	return nil
}
