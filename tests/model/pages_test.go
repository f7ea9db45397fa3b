package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/jose"
)

// Limits of a load balancer's response from a function, and of a page within
// it, in bytes as sent.
const (
	balancersLimit = 1_000_000
	pagesLimit     = 700_000
)

// swelling lists characters that grow each time they are encoded. Ā and ā stand
// for two that grow most, see age.
var swelling = []string{`"`, `\`, "Ā", "ā", "é<&>"}

// age replaces the two by a control character and a line separator, which only
// texts that were stored before they were refused contain.
func (s *stack) age() {
	s.db.Owner().MustExec(`UPDATE entries SET note = translate(note, 'Āā', E'\x01\u2028')`)
	s.db.Owner().MustExec(`UPDATE players SET display_name = translate(display_name, 'Āā', E'\x01\u2028'),
		attributes = replace(replace(attributes::text, 'Ā', '\u0001'), 'ā', '\u2028')::jsonb`)
	s.db.Owner().MustExec(`UPDATE boards SET title = translate(title, 'Āā', E'\x01\u2028'),
		catalogue = replace(replace(catalogue::text, 'Ā', '\u0001'), 'ā', '\u2028')::jsonb`)
}

// swollen returns a text of n characters, all but one of which grow.
func swollen(number, characters int) string {
	text := []rune("a" + strings.Repeat(swelling[number%len(swelling)], characters))
	return string(text[:characters])
}

// Pages of the largest possible items pass the load balancer, end when they are
// full and not before, and continue where they ended. The function is the real
// binary, because the load balancer counts its response, in which every quote
// of the body is escaped again.
func TestFullPages(t *testing.T) {
	s := start(t, 1)
	ask := s.scoreQuery()

	path := s.board("b", `, "combine": "best", "categories": [`+quoted("0"+swollen(0, 39))+`]`)
	var entries []string
	for at := range 2 {
		var items []map[string]any
		for i := range 50 {
			n := at*50 + i
			items = append(items, map[string]any{
				"board": "b", "player": "writer", "points": 1, "note": swollen(n, 1000),
				"metadata":    json.RawMessage(`{"a": "` + strings.Repeat(`\"`, (4096-len(`{"a":""}`))/2) + `"}`),
				"occurred_at": time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC), "profile": map[string]any{"user": userID(0, "organizer"), "display_name": swollen(0, 80)},
			})
		}
		entries = append(entries, s.batch(items)...)
	}
	slices.Reverse(entries) // newest first
	var players []string
	for at := range 8 {
		var items []map[string]any
		for i := range 125 {
			n := at*125 + i
			attributes := map[string]string{}
			for a := range 8 {
				attributes[fmt.Sprintf("%x%s", a, swollen(0, 39))] = swollen(n+a, 80)
			}
			players = append(players, fmt.Sprintf("p%04d", n))
			items = append(items, map[string]any{
				"board": "b", "player": players[n], "points": 5000 - n, "occurred_at": "2025-01-01T00:00:00Z",
				"profile": map[string]any{"display_name": swollen(n, 80), "attributes": attributes},
			})
		}
		s.batch(items)
	}
	var boards []string
	for n := range 7 {
		catalogue := map[string]int64{}
		for i := range 1000 {
			catalogue[fmt.Sprintf("%03d%s", i, swollen(n, 77))] = -MaxPoints + int64(i)
		}
		boards = append(boards, fmt.Sprint("huge-", n))
		body := map[string]any{"id": boards[n], "title": swollen(n, 200), "catalogue": catalogue}
		// With escapes that only HTML needs, it would exceed the limit of a board's body.
		sent := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text(body))
		if w := s.send("0/organizer", "POST", "/v1/boards", sent); w.Code != 201 {
			t.Fatalf("%d %.300s", w.Code, w.Body)
		}
	}
	s.age()
	s.accepted()

	for _, c := range []struct {
		name, target, field string
		limit               int
		want                []string
	}{
		{"entries", path + "/entries?player=writer", "id", 100, entries},
		{"a user's entries", "/v1/players/" + userID(0, "organizer") + "/entries?", "id", 100, entries},
		{"standings", path + "/standings?min=4001", "player", 1000, players},
		{"players", path + "/players?", "player", 100, append(slices.Clone(players), "writer")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			pages, before := 0, 0 // bytes of the items of a page that ended early
			for cursor := ""; ; pages++ {
				items, next := ask(t, c.target+fmt.Sprint("&limit=", c.limit)+cursor)
				size := 0
				for i, item := range items {
					sent := inAString(t, item)
					if i == 0 && before > 0 && before+sent <= pagesLimit {
						t.Errorf("page %d ended at %d bytes, although %d more had room", pages, before, sent)
					}
					size += sent + len(",")
					var one map[string]any
					if err := json.Unmarshal(item, &one); err != nil {
						t.Fatal(err)
					}
					got = append(got, fmt.Sprint(one[c.field]))
				}
				if size > pagesLimit && len(items) > 1 {
					t.Errorf("page %d has %d bytes", pages+1, size)
				}
				if next == "" {
					break
				}
				before = size
				if len(items) == c.limit {
					before = 0
				}
				cursor = "&cursor=" + next
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%d pages list %d, not %d:\n%q\n%q", pages+1, len(got), len(c.want), got, c.want)
			}
			if pages == 0 {
				t.Error("a single page holds them all, so nothing was tested")
			}
			t.Logf("%d pages", pages+1)
		})
	}

	// A page around a player is as full, with the player in its middle.
	for _, n := range []int{0, 3, 500, 999} {
		items, _ := ask(t, path+"/standings?limit=1000&around="+players[n])
		at := slices.IndexFunc(items, func(item json.RawMessage) bool { return bytes.Contains(item, []byte(`"`+players[n]+`"`)) })
		if at < 0 || n > len(items) && at < len(items)/4 || n < 999-len(items) && at > len(items)*3/4 {
			t.Errorf("%s is the %dth of %d around them", players[n], at+1, len(items))
		}
	}
	// A list of boards does not contain what makes them large.
	if items, next := ask(t, "/v1/boards?q=huge-&limit=100"); len(items) != len(boards) || next != "" {
		t.Errorf("a page has %d of %d boards", len(items), len(boards))
	}
	// The largest possible board alone passes.
	for _, id := range boards {
		ask(t, "/v1/boards/"+id)
	}
	// Bytes limit the page, not the requested number.
	if items, next := ask(t, path+"/standings?limit=10&max=1"); len(items) != 1 || next != "" {
		t.Errorf("%d items and %q come after: only the one with a point", len(items), next)
	}
}

// batch adds items and returns their ids.
func (s *stack) batch(items []map[string]any) []string {
	s.Helper()
	w := s.send("0/organizer", "POST", "/v1/entries/batch", text(map[string]any{"entries": items}))
	var made struct{ Entries []struct{ ID string } }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 201 {
		s.Fatalf("%d %.300s", w.Code, w.Body)
	}
	var ids []string
	for _, e := range made.Entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// inAString returns the size of a text within a JSON string, in bytes.
func inAString(t *testing.T, text []byte) int {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(text)); err != nil {
		t.Fatal(err)
	}
	return b.Len() - len("\"\"\n")
}

// scoreQuery starts the built function. The result reads a list, or a single
// resource, as the organizer, and returns its items and the cursor of the next
// page.
func (s *stack) scoreQuery() func(t *testing.T, target string) (items []json.RawMessage, next string) {
	s.Helper()
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		s.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		s.Fatal(err)
	}
	token, err := signer.Sign(access.Caller{User: userID(0, "organizer"), Role: access.Organizer}, 10*time.Minute)
	if err != nil {
		s.Fatal(err)
	}
	config := s.db.Config("score_query")
	runtime := boottest.StartRuntime(s)
	boottest.Run(s, boottest.Build(s, "../../functions/score-query"), runtime.Env, "STAGE=local", "AWS_REGION=ap-northeast-2",
		"JWKS="+jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS=", "DB_AUTH=password", "SCORES_DSN="+config.DSN, "SCORES_PASSWORD="+config.Password)
	return func(t *testing.T, target string) ([]json.RawMessage, string) {
		t.Helper()
		path, query, _ := strings.Cut(target, "?")
		parameters := map[string][]string{}
		for pair := range strings.SplitSeq(strings.Trim(query, "&"), "&") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				parameters[name] = []string{url.QueryEscape(value)}
			}
		}
		runtime.Send(text(map[string]any{
			"requestContext": map[string]any{"elb": map[string]string{"targetGroupArn": "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/t/1"}},
			"httpMethod":     "GET", "path": path, "multiValueQueryStringParameters": parameters, "body": "", "isBase64Encoded": false,
			"multiValueHeaders": map[string][]string{"host": {"example.org"}, "authorization": {"Bearer " + token}, "x-forwarded-for": {"192.0.2.1"}},
		}))
		answer := runtime.Answer()
		var a struct {
			StatusCode int
			Body       string
		}
		if err := json.Unmarshal([]byte(answer.Body), &a); err != nil || answer.Failed || a.StatusCode != 200 || len(answer.Body) > balancersLimit {
			t.Fatalf("%s: %d, %d bytes: %.300s", target, a.StatusCode, len(answer.Body), answer.Body)
		}
		var list struct {
			Items []json.RawMessage
			Next  *string
		}
		if err := json.Unmarshal([]byte(a.Body), &list); err != nil {
			t.Fatal(err)
		}
		if list.Next == nil {
			return list.Items, ""
		}
		return list.Items, *list.Next
	}
}
