package ddb_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/audit"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
	"plaudit/shared/fault"
)

var base = time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)

// numbered returns the n-th of some events of a board: of ten players and three actors.
func numbered(n int) event.Event {
	id := fmt.Sprint(n)
	return event.Event{
		ID: id, Source: event.Scores, Type: event.EntryAdded, Subject: event.Player("seoul-2026", fmt.Sprint("bib-", n%10)),
		RecordedTime: base.Add(time.Duration(n) * time.Microsecond), LogID: event.LogID(event.Scores, id), Actor: event.User(fmt.Sprint("u", n%3)),
		DataContentType: "application/json", JSON: fmt.Appendf(nil, `{"n": %d, "big": 123456789012345678901234567890, "empty": "", "null": null}`, n),
	}
}

func stored(t testing.TB, e event.Event) audit.Stored {
	t.Helper()
	document, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return audit.Stored{Event: e, Document: document}
}

// write puts events into the log and indexes them.
func write(t testing.TB, log audit.Log, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if other, err := log.Put(t.Context(), stored(t, e)); err != nil || other != nil {
			t.Fatalf("put %s: %v, %v", e.ID, other, err)
		}
	}
	for part := range slices.Chunk(events, 25) {
		if err := log.Index(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
}

func newLog(t testing.TB) (*ddb.Log, ddbtest.Stack) {
	t.Helper()
	stack := ddbtest.Tables(t)
	return ddb.NewLog(stack.Config, stack.Events, stack.Index), stack
}

func TestAnEventIsWrittenOnce(t *testing.T) {
	log, _ := newLog(t)
	e := stored(t, numbered(1))
	e.Restored = true
	for range 2 {
		if other, err := log.Put(t.Context(), e); other != nil || err != nil {
			t.Fatalf("put: %+v, %v", other, err)
		}
		e.Restored = false // a mark, not a part of the event
	}
	changed := numbered(1)
	changed.JSON = []byte(`{"n": 2}`)
	other, err := log.Put(t.Context(), stored(t, changed))
	if err != nil || other == nil || string(other.Document) != string(e.Document) || !other.Restored {
		t.Errorf("another event with that logid: %+v, %v", other, err)
	}
	got, err := log.Get(t.Context(), e.Event.LogID)
	if err != nil || !reflect.DeepEqual(got.Event, e.Event) || string(got.Document) != string(e.Document) || !got.Restored {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, absent := range []string{"", event.LogID("x", "y"), "no logid"} {
		if got, err := log.Get(t.Context(), absent); got != nil || err != nil {
			t.Errorf("%q: %+v, %v", absent, got, err)
		}
	}
}

func TestAnEventThatCannotBeIndexedIsNotWritten(t *testing.T) {
	log, stack := newLog(t)
	for name, change := range map[string]func(*event.Event){
		"a logid that is none": func(e *event.Event) { e.LogID = "x" },
		"no recordedtime":      func(e *event.Event) { e.RecordedTime = time.Time{} },
		"too long a subject":   func(e *event.Event) { e.Subject = strings.Repeat("x", 2040) },
	} {
		e := numbered(1)
		change(&e)
		var never audit.Unwritable
		if _, err := log.Put(t.Context(), stored(t, e)); !errors.As(err, &never) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := count(t, stack, stack.Events); n != 0 {
		t.Errorf("%d events were written", n)
	}
}

func TestAMissingTableIsReportedClearly(t *testing.T) {
	log, stack := newLog(t)
	waker, profiles := ddb.NewWaker(stack.Config, stack.Wake), ddb.NewProfiles(stack.Config, stack.Profiles)
	for _, check := range []func(context.Context) error{log.Check, waker.Check, profiles.Check} {
		if err := check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for want, check := range map[string]func(context.Context) error{
		"the table other does not exist: deploy template.yaml, or correct INDEX_TABLE": ddb.NewLog(stack.Config, stack.Events, "other").Check,
		`the table ` + stack.Events + ` of WAKE_TABLE has the keys "logid" and ""`:     ddb.NewWaker(stack.Config, stack.Events).Check,
	} {
		if err := check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// An item that this version cannot read, under the logid of an event, holds up nobody.
func TestAnUnreadableItemMakesAnEventUnwritable(t *testing.T) {
	log, stack := newLog(t)
	e := stored(t, numbered(1))
	_, err := dynamodb.NewFromConfig(stack.Config).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &stack.Events, Item: map[string]types.AttributeValue{
		"logid": &types.AttributeValueMemberS{Value: e.Event.LogID}, "enc": &types.AttributeValueMemberN{Value: "2"}, "event": &types.AttributeValueMemberB{Value: e.Document},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var never audit.Unwritable
	if _, err := log.Put(t.Context(), e); !errors.As(err, &never) || !strings.Contains(never.Reason, "encoding 2") {
		t.Errorf("put: %v", err)
	}
	if _, err := log.Get(t.Context(), e.Event.LogID); err == nil || !strings.Contains(err.Error(), "encoding 2") {
		t.Errorf("get: %v", err)
	}
}

// Whatever stands in the tables, a check names it and reads on. Others get an error rather
// than a list with a gap.
func TestUnreadableItemsAreListedWithTheirFaults(t *testing.T) {
	log, stack := newLog(t)
	var events []event.Event
	for n := range 9 {
		events = append(events, numbered(n))
	}
	write(t, log, events...)
	client := dynamodb.NewFromConfig(stack.Config)
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	enc := &types.AttributeValueMemberN{Value: "1"}
	document := func(n int) types.AttributeValue {
		return &types.AttributeValueMemberB{Value: stored(t, numbered(n)).Document}
	}
	want := map[string]string{}
	for n, c := range map[int]struct {
		want string
		item map[string]types.AttributeValue
	}{
		1: {"encoding 2", map[string]types.AttributeValue{"enc": &types.AttributeValueMemberN{Value: "2"}, "event": document(1)}},
		2: {"", map[string]types.AttributeValue{"enc": enc, "event": &types.AttributeValueMemberB{Value: []byte("garbage")}}},
		3: {"", map[string]types.AttributeValue{"enc": text("x"), "event": document(3)}},
		4: {"", map[string]types.AttributeValue{"enc": enc, "event": text("x")}},
		5: {"encoding 0", nil},
		6: {"its document has the logid", map[string]types.AttributeValue{"enc": enc, "event": document(7)}},
	} {
		item := map[string]types.AttributeValue{"logid": text(numbered(n).LogID)}
		maps.Copy(item, c.item)
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &stack.Events, Item: item}); err != nil {
			t.Fatal(err)
		}
		want[numbered(n).LogID] = c.want
		var broken audit.Unreadable
		if got, err := log.Get(t.Context(), numbered(n).LogID); !errors.As(err, &broken) || broken.LogID != numbered(n).LogID || !strings.Contains(broken.Reason, c.want) {
			t.Errorf("get %d: %v, %v", n, got, err)
		}
		var never audit.Unwritable
		if other, err := log.Put(t.Context(), stored(t, numbered(n))); !errors.As(err, &never) || !never.Taken {
			t.Errorf("put %d: %v, %v", n, other, err)
		}
	}
	for shard := range 8 { // an item that is none of the index
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &stack.Index, Item: map[string]types.AttributeValue{
			"k": text(fmt.Sprintf("all##%02d", shard)), "s": text("1999")}}); err != nil {
			t.Fatal(err)
		}
	}
	q := audit.Query{Dimension: audit.All, Ascending: true, Limit: 2}
	var broken audit.Unreadable
	if _, _, err := log.List(t.Context(), q); !errors.As(err, &broken) {
		t.Errorf("without faults: %v", err)
	}
	q.Faulty = true
	var all []audit.Stored
	for {
		page, next, err := log.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if q.After = next; next == (audit.Place{}) {
			break
		}
	}
	if len(all) != len(events) {
		t.Fatalf("%d items are listed", len(all))
	}
	for n, s := range all {
		fault, ok := want[s.Event.LogID]
		if s.Place() != (audit.Place{RecordedTime: numbered(n).RecordedTime, LogID: numbered(n).LogID}) || ok != (s.Fault != "") || !strings.Contains(s.Fault, fault) {
			t.Errorf("item %d is %+v", n, s)
		}
	}
}

// A list is the events of a value in order, whatever the page, the direction and the
// bounds.
func TestListMergesTheShardsInOrder(t *testing.T) {
	log, _ := newLog(t)
	var events []event.Event
	for n := range 300 {
		events = append(events, numbered(n))
	}
	other := numbered(1000)
	other.Subject, other.Actor, other.Type = "task", event.User("z"), "org.example.moved"
	write(t, log, append(events, other)...)

	of := func(keep func(event.Event) bool) (ids []string) {
		for _, e := range events {
			if keep(e) {
				ids = append(ids, e.ID)
			}
		}
		return ids
	}
	at := func(n int) time.Time { return base.Add(time.Duration(n) * time.Microsecond) }
	for _, c := range []struct {
		name string
		q    audit.Query
		want []string
	}{
		{"all", audit.Query{Dimension: audit.All}, append(of(func(event.Event) bool { return true }), "1000")},
		{"a subject", audit.Query{Dimension: audit.BySubject, Value: "board/seoul-2026/player/bib-3"}, of(func(e event.Event) bool { return strings.HasSuffix(e.Subject, "-3") })},
		{"a root", audit.Query{Dimension: audit.ByRoot, Value: "board/seoul-2026"}, of(func(event.Event) bool { return true })},
		{"a root of one segment", audit.Query{Dimension: audit.ByRoot, Value: "task"}, []string{"1000"}},
		{"an actor", audit.Query{Dimension: audit.ByActor, Value: "user/u1"}, of(func(e event.Event) bool { return e.Actor == "user/u1" })},
		{"a type", audit.Query{Dimension: audit.ByType, Value: "org.example.moved"}, []string{"1000"}},
		{"none", audit.Query{Dimension: audit.BySubject, Value: "board/seoul-2026"}, nil},
		{"from, to exclusive", audit.Query{Dimension: audit.All, From: at(100), To: at(110)}, of(func(e event.Event) bool { return e.RecordedTime.Sub(at(100)) >= 0 && e.RecordedTime.Before(at(110)) })},
		{"bounds between microseconds", audit.Query{Dimension: audit.All, From: at(99).Add(1), To: at(109).Add(999)}, of(func(e event.Event) bool { return e.RecordedTime.Sub(at(100)) >= 0 && e.RecordedTime.Before(at(110)) })},
		{"to before from", audit.Query{Dimension: audit.All, From: at(110), To: at(100)}, nil},
	} {
		for _, ascending := range []bool{true, false} {
			want := slices.Clone(c.want)
			if !ascending {
				slices.Reverse(want)
			}
			for _, limit := range []int{1, 7, 100, 400} {
				if limit == 1 && len(want) > 50 {
					continue // a call for each
				}
				q := c.q
				q.Ascending, q.Limit = ascending, limit
				if got := pages(t, log, q); !slices.Equal(got, want) {
					t.Errorf("%s, ascending %t, pages of %d: %v\nwant %v", c.name, ascending, limit, got, want)
				}
			}
			q := c.q
			q.Ascending, q.Limit, q.MaxBytes = ascending, 100, 2000
			if got := pages(t, log, q); !slices.Equal(got, want) {
				t.Errorf("%s, ascending %t, pages of 2000 bytes: %v\nwant %v", c.name, ascending, got, want)
			}
		}
	}
}

// pages reads a list to its end and checks the bounds of its pages.
func pages(t *testing.T, log audit.Log, q audit.Query) (ids []string) {
	t.Helper()
	for calls := 0; calls < 1000; calls++ {
		events, next, err := log.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range events {
			ids, size = append(ids, e.Event.ID), size+len(e.Document)
		}
		if len(events) > q.Limit || q.MaxBytes > 0 && size > q.MaxBytes && len(events) > 1 {
			t.Fatalf("a page has %d events with %d bytes", len(events), size)
		}
		if next == (audit.Place{}) {
			return ids
		}
		q.After = next
	}
	t.Fatal("the list does not end")
	return nil
}

// Index items without their event, and those of another time, are not listed, and do
// not end a list.
func TestListDropsIndexItemsWithoutTheirEvent(t *testing.T) {
	log, _ := newLog(t)
	write(t, log, numbered(1), numbered(200))
	later := numbered(1)
	later.RecordedTime = base.Add(time.Hour)
	orphans := []event.Event{later}
	for n := 2; n < 150; n++ {
		orphans = append(orphans, numbered(n))
	}
	for part := range slices.Chunk(orphans, 25) {
		if err := log.Index(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 5, 100} {
		if got := pages(t, log, audit.Query{Dimension: audit.All, Ascending: true, Limit: limit}); !slices.Equal(got, []string{"1", "200"}) {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
}

// A list guarantees what was written before its first page, and repeats nothing, while
// others write.
func TestListWhileOthersWrite(t *testing.T) {
	log, _ := newLog(t)
	var before []event.Event
	for n := range 60 {
		before = append(before, numbered(2*n))
	}
	write(t, log, before...)
	writing, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	writers.Go(func() {
		for n := range rand.Perm(60) {
			if writing.Err() != nil {
				return
			}
			write(t, log, numbered(2*n+1))
		}
	})
	for _, ascending := range []bool{true, false} {
		got := pages(t, log, audit.Query{Dimension: audit.ByRoot, Value: "board/seoul-2026", Ascending: ascending, Limit: 5})
		seen := map[string]bool{}
		for _, id := range got {
			if seen[id] {
				t.Errorf("%s is repeated", id)
			}
			seen[id] = true
		}
		for _, e := range before {
			if !seen[e.ID] {
				t.Errorf("%s is missing", e.ID)
			}
		}
	}
	stop()
	writers.Wait()
}

func TestMissingIndexItemsAreFoundAndWritten(t *testing.T) {
	log, stack := newLog(t)
	var events []event.Event
	for n := range 60 {
		events = append(events, numbered(n))
	}
	if missing, err := log.MissingIndex(t.Context(), events); err != nil || len(missing) != 60 {
		t.Fatalf("%d are missing, %v", len(missing), err)
	}
	if err := log.Index(t.Context(), append(events, events[0])); err != nil {
		t.Fatal(err)
	}
	if n := count(t, stack, stack.Index); n != 5*60 {
		t.Errorf("%d index items", n)
	}
	// One of the five items of one event is lost.
	client := dynamodb.NewFromConfig(stack.Config)
	out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &stack.Index})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range out.Items {
		if strings.HasPrefix(item["k"].(*types.AttributeValueMemberS).Value, "actor#") && strings.HasSuffix(item["s"].(*types.AttributeValueMemberS).Value, events[7].LogID) {
			if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &stack.Index, Key: item}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if missing, err := log.MissingIndex(t.Context(), events); err != nil || len(missing) != 1 || missing[0].ID != "7" {
		t.Errorf("missing: %v, %v", missing, err)
	}
}

func TestProfilesKeepTheNewestVersion(t *testing.T) {
	stack := ddbtest.Tables(t)
	profiles := ddb.NewProfiles(stack.Config, stack.Profiles)
	name, country := "Kim", "KR"
	for _, p := range []audit.Profile{
		{User: "u", Version: 2, DisplayName: &name, Country: &country, TraceParent: "t2"},
		{User: "u", Version: 2, TraceParent: "again"},
		{User: "u", Version: 1, TraceParent: "late"},
		{User: "v", Version: 3, Erased: true},
		{User: "v", Version: 4, DisplayName: &name, TraceParent: "after an erasure"},
		{User: "v", Version: 5, Erased: true, TraceParent: "erased again"},
		// The users database was set back before it erased the account.
		{User: "w", Version: 5, DisplayName: &name, Country: &country},
		{User: "w", Version: 2, Erased: true},
		{User: "w", Version: 9, DisplayName: &name},
		{User: "x", Version: 5, DisplayName: &name, Country: &country},
		{User: "x", Version: 5, Erased: true},
	} {
		if err := profiles.Put(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	out, err := dynamodb.NewFromConfig(stack.Config).Scan(t.Context(), &dynamodb.ScanInput{TableName: &stack.Profiles})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range out.Items {
		version := item["version"].(*types.AttributeValueMemberN).Value
		erased := item["erased"].(*types.AttributeValueMemberBOOL).Value
		_, named := item["display_name"]
		switch id := item["id"].(*types.AttributeValueMemberS).Value; {
		case id == "u" && version == "2" && named && !erased:
		case id == "v" && version == "3" && !named && erased:
		case id == "w" && version == "2" && !named && erased:
		case id == "x" && version == "5" && !named && erased:
		default:
			t.Errorf("%s has %v", id, item)
		}
	}
	var never audit.Unwritable
	if err := profiles.Put(t.Context(), audit.Profile{Version: 1}); !errors.As(err, &never) {
		t.Errorf("a profile of nobody: %v", err)
	}
}

func TestEachWakeIsAnItemThatExpires(t *testing.T) {
	stack := ddbtest.Tables(t)
	waker := ddb.NewWaker(stack.Config, stack.Wake)
	for range 3 {
		if err := waker.Wake(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	out, err := dynamodb.NewFromConfig(stack.Config).Scan(t.Context(), &dynamodb.ScanInput{TableName: &stack.Wake})
	if err != nil || len(out.Items) != 3 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	for _, item := range out.Items {
		var expires int64
		fmt.Sscan(item["expires"].(*types.AttributeValueMemberN).Value, &expires)
		if in := time.Until(time.Unix(expires, 0)); in < 50*time.Minute || in > time.Hour {
			t.Errorf("it expires in %s", in)
		}
	}
}

// faulty is a DynamoDB in front of the engine's that goes wrong.
func faulty(t testing.TB, stack *ddbtest.Stack, handle func(w http.ResponseWriter, r *http.Request, engine http.Handler)) {
	t.Helper()
	target, err := url.Parse(*stack.Config.BaseEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	engine := httputil.NewSingleHostReverseProxy(target)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, engine) }))
	t.Cleanup(srv.Close)
	stack.Config.BaseEndpoint = &srv.URL
}

func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}

// The first attempt of each put writes, and its answer is lost: the client retries, and
// the condition fails because of its own event.
func TestALostAnswerOfAPutIsASuccess(t *testing.T) {
	stack := ddbtest.Tables(t)
	var puts atomic.Int64
	faulty(t, &stack, func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		if operation(r) == "PutItem" && puts.Add(1)%2 == 1 {
			engine.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		engine.ServeHTTP(w, r)
	})
	log, profiles := ddb.NewLog(stack.Config, stack.Events, stack.Index), ddb.NewProfiles(stack.Config, stack.Profiles)
	if other, err := log.Put(t.Context(), stored(t, numbered(1))); other != nil || err != nil {
		t.Errorf("the event: %+v, %v", other, err)
	}
	if err := profiles.Put(t.Context(), audit.Profile{User: "u", Version: 1}); err != nil {
		t.Errorf("the profile: %v", err)
	}
	if puts.Load() != 4 {
		t.Errorf("%d attempts", puts.Load())
	}
}

// Some items of each batch come back as unprocessed.
func TestUnprocessedItemsAreSentAgain(t *testing.T) {
	stack := ddbtest.Tables(t)
	var batches atomic.Int64
	faulty(t, &stack, func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		if operation(r) == "BatchWriteItem" && batches.Add(1) == 1 {
			body := unprocessed(t, r)
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.Write(body)
			return
		}
		engine.ServeHTTP(w, r)
	})
	log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
	events := []event.Event{numbered(1), numbered(2), numbered(3)}
	if err := log.Index(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if missing, err := log.MissingIndex(t.Context(), events); err != nil || len(missing) != 0 {
		t.Errorf("%d are missing, %v", len(missing), err)
	}
	batches.Store(0) // and one that is never processed ends with its context
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := log.Index(ctx, []event.Event{numbered(4)}); err == nil {
		t.Error("it was indexed after the context's end")
	}
}

func TestAnOutageIsAFaultThatSaysToRepeat(t *testing.T) {
	stack := ddbtest.Tables(t)
	faulty(t, &stack, func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if operation(r) == "GetItem" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}`)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"sorry"}`)
	})
	log := ddb.NewLog(stack.Config, stack.Events, stack.Index)
	for name, call := range map[string]func(context.Context) error{
		"get": func(ctx context.Context) error { _, err := log.Get(ctx, event.LogID("a", "b")); return err },
		"list": func(ctx context.Context) error {
			_, _, err := log.List(ctx, audit.Query{Dimension: audit.All, Limit: 1})
			return err
		},
		"index": func(ctx context.Context) error { return log.Index(ctx, []event.Event{numbered(1)}) },
		"put":   func(ctx context.Context) error { _, err := log.Put(ctx, stored(t, numbered(1))); return err },
	} {
		if f, ok := fault.As(call(t.Context())); !ok || f.Kind != fault.DatabaseUnavailable || f.RetryAfter == 0 {
			t.Errorf("%s: %v", name, f)
		}
	}
}
