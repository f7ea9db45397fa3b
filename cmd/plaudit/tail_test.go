package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeLog serves the list of events, two a page, and logs anybody in.
type fakeLog struct {
	mu     sync.Mutex
	events []string // by recordedtime
	answer func(w http.ResponseWriter, r *http.Request) bool
	asked  []string
	logins int
	url    string
	run    string // its run.json
}

func newFakeLog(t *testing.T) *fakeLog {
	l := &fakeLog{}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url, l.run = server.URL, filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(l.run, []byte(`{"url": "`+server.URL+`", "admin": {"email": "a@example.com", "password": "x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("URL", "")
	t.Setenv("TOKEN", "")
	return l
}

func (l *fakeLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.Path == "/v1/sessions" {
		l.logins++
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"access_token": "fresh"}`)
		return
	}
	l.asked = append(l.asked, r.URL.RawQuery)
	if l.answer != nil && l.answer(w, r) {
		return
	}
	q := r.URL.Query()
	from, err := time.Parse(time.RFC3339Nano, q.Get("from"))
	if err != nil || r.URL.Path != "/v1/audit/events" || q.Get("order") != "asc" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var after int
	fmt.Sscan(q.Get("cursor"), &after)
	items, next := []string{}, "null"
	slices.SortFunc(l.events, func(a, b string) int { return timeOf(a).Compare(timeOf(b)) })
	for i, e := range l.events {
		if i < after || timeOf(e).Before(from) {
			continue
		}
		if len(items) == 2 {
			next = fmt.Sprintf(`"%d"`, i)
			break
		}
		items = append(items, e)
	}
	fmt.Fprintf(w, `{"items": [%s], "next": %s}`, strings.Join(items, ","), next)
}

func timeOf(event string) time.Time {
	var e struct{ RecordedTime time.Time }
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		panic(err)
	}
	return e.RecordedTime
}

// add records an event of so long ago.
func (l *fakeLog) add(id string, ago time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)
	l.events = append(l.events, `{"logid": "`+id+`", "recordedtime": "`+at+`", "actor": "user/o", "type": "task.moved", "subject": "task/`+id+`", "data":
		{"n": 1.50}}`)
}

// lines collects what is printed, and calls seen with each line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen func(text string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.seen != nil {
		l.seen(l.text.String())
	}
	return len(p), nil
}

// tailUntil runs `plaudit audit tail` until done returns true for what it has printed.
func tailUntil(t *testing.T, done func(out string) bool, args ...string) (out, errs string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr lines
	stdout := &lines{seen: func(text string) {
		if done(text) {
			cancel()
		}
	}}
	err = run(ctx, append([]string{"audit", "tail"}, args...), nil, stdout, &stderr)
	return stdout.text.String(), stderr.text.String(), err
}

func TestTailPrintsEachEventOnce(t *testing.T) {
	l := newFakeLog(t)
	l.add("old", time.Hour)
	for i := range 5 {
		l.add(fmt.Sprint("e", i), time.Duration(50-i)*time.Second)
	}
	late := false
	out, errs, err := tailUntil(t, func(out string) bool {
		if strings.Contains(out, "task/e4") && !late {
			late = true
			go l.add("late", 47*time.Second-500*time.Millisecond) // before others that were printed
		}
		return strings.Contains(out, "task/late") || strings.Count(out, "\n") > 6
	}, "--run", l.run, "--subject", "board/b/*", "--actor", "user/o")
	if err != nil || errs != "" {
		t.Errorf("got %v, %q", err, errs)
	}
	for _, id := range []string{"e0", "e1", "e2", "e3", "e4"} {
		if strings.Count(out, "task/"+id) != 1 {
			t.Errorf("%s is not printed once:\n%s", id, out)
		}
	}
	if strings.Contains(out, "task/old") {
		t.Errorf("an event from before --since is printed:\n%s", out)
	}
	if !strings.Contains(l.asked[0], "subject=board%2Fb%2F%2A") || !strings.Contains(l.asked[0], "actor=user%2Fo") {
		t.Errorf("it asked for %s", l.asked[0])
	}
}

// The log shows some events only after later ones.
func TestTailLooksBack(t *testing.T) {
	l := newFakeLog(t)
	tail := &tail{
		api: &client{url: l.url, http: http.DefaultClient}, query: map[string][]string{"order": {"asc"}}, from: time.Now().Add(-time.Hour),
		seen: map[string]time.Time{}, line: describeEvent,
	}
	var out bytes.Buffer
	tail.out = &out
	const near = 2 * time.Second
	for _, step := range []struct {
		name string
		add  map[string]time.Duration // what is new, and its age
		back time.Duration
		want string
	}{
		{"at first it prints all", map[string]time.Duration{"a": 30 * time.Minute, "b": 20 * time.Minute}, maxLate, "ab"},
		{"then what is newer", map[string]time.Duration{"c": 20*time.Minute + time.Second, "d": 40 * time.Minute}, near, "c"},
		{"and what came late, counted from the look before", map[string]time.Duration{"e": 10 * time.Second}, maxLate, "de"},
		{"a look that fails is not counted", map[string]time.Duration{"f": 34 * time.Minute}, 0, ""},
		{"the next one goes back as far", map[string]time.Duration{"g": 0}, maxLate, "fg"},
		{"now the look before began with e, 10 s ago", map[string]time.Duration{"h": 15 * time.Minute, "i": 16 * time.Minute}, maxLate, "h"},
		{"nothing is printed twice", nil, maxLate, ""},
	} {
		for id, age := range step.add {
			l.add(id, age)
		}
		out.Reset()
		if step.back == 0 {
			l.answer = func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
			if err := tail.look(t.Context(), maxLate); err == nil {
				t.Fatal("the look does not fail")
			}
			l.answer = nil
			continue
		}
		if err := tail.look(t.Context(), step.back); err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range strings.Lines(out.String()) {
			_, id, _ := strings.Cut(line, "task/")
			got += id[:1]
		}
		if got != step.want {
			t.Errorf("%s: it prints %q, want %q", step.name, got, step.want)
		}
	}
}

// Whatever pauses there are, the furthest looks come every minute and the first is one.
func TestLooksAreOrdered(t *testing.T) {
	if looks[0].back != maxLate || time.Duration(looks[0].every)*tailEvery > time.Minute || looks[len(looks)-1].every != 1 {
		t.Errorf("the looks are %v", looks)
	}
}

func TestTailSurvivesARestartAndAnExpiredToken(t *testing.T) {
	l := newFakeLog(t)
	l.add("a", time.Second)
	step := 0
	l.answer = func(w http.ResponseWriter, r *http.Request) bool {
		step++
		switch step {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, "<html>")
			return true
		case 2: // the server is gone
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		case 3:
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return r.Header.Get("Authorization") != "Bearer fresh"
	}
	out, errs, err := tailUntil(t, func(out string) bool { return strings.Contains(out, "task/a") }, "--run", l.run)
	if err != nil || strings.Count(errs, "waiting for ") != 1 || l.logins != 2 {
		t.Errorf("got %q, %q, %v after %d logins", out, errs, err, l.logins)
	}
}

// Somebody's token is never replaced by another account's, which may read more.
func TestTailStaysWhoItIs(t *testing.T) {
	l := newFakeLog(t)
	l.add("a", time.Second)
	t.Setenv("URL", l.url)
	t.Setenv("TOKEN", "a member's")
	l.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer fresh" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	out, _, err := tailUntil(t, func(out string) bool { return out != "" }, "--run", l.run)
	if err == nil || !strings.Contains(err.Error(), "log in again") || errors.Is(err, errUsage) || out != "" || l.logins != 0 {
		t.Errorf("got %q, %v after %d logins", out, err, l.logins)
	}
	for name, want := range map[string]string{"TOKEN": "URL is set, but TOKEN is not", "URL": "TOKEN is set, but URL is not"} {
		t.Run("without "+name, func(t *testing.T) {
			t.Setenv(name, "")
			_, errs, err := tailUntil(t, func(out string) bool { return true }, "--run", l.run)
			if !errors.Is(err, errUsage) || !strings.Contains(errs, want) || l.logins != 0 {
				t.Errorf("got %q, %v after %d logins", errs, err, l.logins)
			}
		})
	}
}

func TestTailReportsWhatTheServerRefuses(t *testing.T) {
	l := newFakeLog(t)
	l.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"detail": "name a board of yours", "field": "subject"}`)
		return true
	}
	if _, _, err := tailUntil(t, func(string) bool { return false }, "--run", l.run); err == nil || err.Error() != "subject: name a board of yours" {
		t.Errorf("got %v", err)
	}
	if _, _, err := runCommand("", "audit", "tail", "--run", l.run+".none"); err == nil || !strings.Contains(err.Error(), "make run") || errors.Is(err, errUsage) {
		t.Errorf("without a stack: %v", err)
	}
}

func TestTailAsJSON(t *testing.T) {
	l := newFakeLog(t)
	l.add("a", time.Second)
	out, _, err := tailUntil(t, func(out string) bool { return out != "" }, "--json", "--run", l.run)
	if err != nil || strings.Count(out, "\n") != 1 || !strings.HasSuffix(out, `"data":{"n":1.50}}`+"\n") || !json.Valid([]byte(out)) {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestEventsAsPeopleReadThem(t *testing.T) {
	at := time.Date(2026, 4, 5, 12, 30, 0, 0, time.UTC)
	begin := at.Local().Format("2006-01-02 15:04:05") + "  "
	for _, c := range []struct{ attributes, want string }{
		{`"source": "/plaudit/scores", "actor": "user/o", "type": "plaudit.board.updated", "subject": "board/b", "data": {"changes": {"title": {"from": "A", "to": "서울"}, "max": {"from": 5, "to": null}, "floor": {"to": -5}}}`,
			`user/o  board.updated  board/b  floor nothing → -5, max 5 → nothing, title "A" → "서울"`},
		{`"source": "/plaudit/scores", "actor": "key/k", "type": "plaudit.player.changed", "subject": "board/b/player/p", "data": {"changes": {"status": {"from": "ranked", "to": "dnf"}, "country": {}}}`,
			`key/k  player.changed  board/b/player/p  country changed, status "ranked" → "dnf"`},
		{`"source": "/plaudit/users", "actor": "user/u", "type": "plaudit.user.updated", "subject": "user/u", "data": {"changes": ["country", "display_name"]}`,
			`user/u  user.updated  user/u  country changed, display_name changed`},
		{`"source": "/plaudit/scores", "actor": "user/o", "type": "plaudit.entry.adjusted", "subject": "board/b/player/p",
			"data": {"id": "e", "points": -5, "reason": null, "note": "late\nstart", "standings": [{"period": "all", "start": null, "score": 37}, {"period": "week", "start": null, "score": null}]}`,
			`user/o  entry.adjusted  board/b/player/p  -5 points, note "late\nstart", all: 37, week: no score`},
		{`"source": "/plaudit/scores", "actor": "user/o", "type": "plaudit.entry.added", "subject": "board/b/player/p", "data": {"points": 42, "reason": "full", "note": null, "standings": []}`,
			`user/o  entry.added  board/b/player/p  +42 points, reason "full"`},
		{`"source": "/plaudit/users", "actor": "user/o", "type": "plaudit.key.deleted", "subject": "user/o", "data": {"key": "k"}`, `user/o  key.deleted  user/o  key: "k"`},
		{`"source": "/plaudit/users", "actor": "user/o", "type": "plaudit.user.erased", "subject": "user/o", "data": {}`, `user/o  user.erased  user/o`},
		{`"source": "https://tasks.example", "type": "task.moved", "subject": "task/17", "data": {"changes": {"column": {"from": "todo", "to": "done"}}, "by": ["a", 1.0]}`,
			`https://tasks.example  task.moved from https://tasks.example  task/17  column "todo" → "done", by: ["a",1.0]`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "a\nb", "data": 1e400`, `user/o  x from /t  "a\nb"  1e400`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "s", "data": {"changes": 7}`, `user/o  x from /t  s  changes: 7`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "s", "data": {"changes": {"a": 7}}`, `user/o  x from /t  s  a: 7`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "s", "data_base64": "AAECAw=="`, `user/o  x from /t  s  4 bytes`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "s"`, `user/o  x from /t  s`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "s", "data": "` + strings.Repeat("é", 600) + `"`, `user/o  x from /t  s  "` + strings.Repeat("é", 499) + `…`},
		// Other systems' texts look like nothing of ours.
		{`"source": "/t", "actor": "user/o", "type": "entry.added", "subject": "board/b/player/p", "data": {"points": 42}`,
			`user/o  entry.added from /t  board/b/player/p  points: 42`},
		{`"source": "/t", "actor": "user/o", "type": "entry.added  board/b  x", "subject": "s  +5 points", "data": {"a  b": "c   d", "e: 1, f": ["g  h"]}`,
			`user/o  "entry.added \u0020board/b \u0020x" from /t  "s \u0020+5 points"  "a \u0020b": "c \u0020\u0020d", "e: 1, f": ["g \u0020h"]`},
		{`"source": "/t", "actor": "user/o", "type": "entry.added from /plaudit/scores", "subject": " s "`,
			`user/o  "entry.added from /plaudit/scores" from /t  " s "`},
		{`"source": "/t", "actor": "user/o", "type": "a\u3164\u3164b", "subject": "c\ufe0f\u2800", "data": ["\u00a0\u00a0` + "\u3164" + `\u3164", {"\udb40\udd00` + "\u3164\u200b\U000e0100" + `": 1}]`,
			`user/o  "a\u3164\u3164b" from /t  "c\ufe0f\u2800"  ["\u00a0\u00a0\u3164\u3164",{"\udb40\udd00\u3164\u200b\U000e0100":1}]`},
		{`"source": "/t", "actor": "user/o", "type": "x", "subject": "Jose\u0301", "data": {"": "\u00a0", "an address": "서울 1"}`,
			"user/o  x from /t  Jose\u0301  \"\": \"\\u00a0\", \"an address\": \"서울 1\""},
	} {
		got, err := describeEvent(json.RawMessage(`{"logid": "l", "recordedtime": "` + at.Format(time.RFC3339) + `", ` + c.attributes + `}`))
		if err != nil || got != begin+c.want {
			t.Errorf("%s is shown as\n%q, %v\nwant\n%q", c.attributes, got, err, begin+c.want)
		}
	}
}
