package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/web"
)

// edgesNow is the time when values are tried.
var edgesNow = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// Every field of every body of the scores is refused by name with each JSON
// type that it does not have and with values just outside its limits, and
// nothing is written. Values just inside are accepted. Fields, types and limits
// are those of the OpenAPI document.
func TestEveryFieldHasItsEdges(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow)
	s.board("b", `, "min": -9007199254740991`)
	s.board("c", `, "min": -9007199254740991`)
	entry := s.entry("b")
	reversal := "/v1/boards/b/entries/" + entry + "/reversal"
	reverses := fmt.Sprintf(`{"board": "b", "reverses": %q, "note": "n"}`, entry)
	untried := map[string]bool{}
	for _, r := range web.Routes {
		takes := r.Method == "POST" || r.Method == "PATCH" // a link has no body
		if takes && slices.Contains([]string{"score-add", "board-admin"}, r.Deployable) {
			untried[r.Method+" "+r.Pattern] = true
		}
	}
	for _, c := range []struct {
		route, schema, target, whole string   // valid; # is replaced by a new number each time
		without                      []string // fields that an entry has and a reversal has not, or the other way round
		untaken                      string   // fields whose valid extremes contradict others, or are accepted only once
	}{
		{"POST /v1/boards", "NewBoard", "/v1/boards", `{"id": "n#"}`, nil, "max owners"},
		{"PATCH /v1/boards/{board}", "BoardChanges", "/v1/boards/m#", `{}`, nil, "max"},
		{"PATCH /v1/boards/{board}/players/{player}", "PlayerChanges", "/v1/boards/b/players/p#", `{}`, nil, ""},
		{"POST /v1/boards/{board}/entries", "NewEntry", "/v1/boards/b/entries", `{"player": "p#", "points": 1, "note": "n"}`, nil, "reason"},
		{"POST /v1/entries/batch", "NewBatch", "/v1/entries/batch", `{"board": "c", "player": "p#", "points": 1, "note": "n"}`, []string{"reverses"}, "board reason"},
		{"POST /v1/entries/batch", "NewBatch", "/v1/entries/batch", reverses, []string{"player", "points", "reason", "kind", "tiebreak", "occurred_at", "metadata", "profile", "rename"}, "board reverses note late key entries"},
		{"POST /v1/boards/{board}/entries/{entry}/reversal", "NewReversal", reversal, `{"note": "n"}`, nil, "note late key"},
	} {
		delete(untried, c.route)
		t.Run(c.route, func(t *testing.T) {
			g := newGrammar(t)
			g.whole[c.schema] = c.whole
			if c.schema == "NewBatch" {
				g.whole[c.schema], g.whole["BatchItem"] = `{}`, c.whole
				properties := g.component("schemas", "BatchItem")["properties"].(map[string]any)
				for _, name := range c.without {
					delete(properties, name)
				}
			}
			values := g.values(map[string]any{"$ref": "#/components/schemas/" + c.schema}, "", "")
			method, _, _ := strings.Cut(c.route, " ")
			number, good := 0, 0
			send := func(v value) *httptest.ResponseRecorder {
				number++
				fill := strings.NewReplacer("#", fmt.Sprint(number))
				if c.schema == "BoardChanges" && v.good {
					s.board(fill.Replace("m#"), "")
				} else if c.schema == "BoardChanges" {
					fill = strings.NewReplacer("m#", "b")
				}
				return s.send("0/organizer", method, fill.Replace(c.target), fill.Replace(v.json))
			}
			before := s.snapshot()
			for _, v := range values {
				if v.good {
					good++
				} else if err := refusedFor(send(v), v); err != nil {
					t.Errorf("%.300s: %v", v.json, err)
				}
			}
			s.unwritten(before)
			t.Logf("%d values, %d of them good", len(values), good)
			for _, v := range values {
				field := v.at[strings.LastIndexByte(v.at, '.')+1:]
				// No board becomes a draft again.
				draft := c.schema == "BoardChanges" && v.json == `{"state": "draft"}`
				if field, _, _ = strings.Cut(field, "["); !v.good || draft || slices.Contains(strings.Fields(c.untaken), field) {
					continue
				}
				if w := send(v); w.Code != 200 && w.Code != 201 {
					t.Errorf("%.300s should be accepted: %d %.300s", v.json, w.Code, w.Body)
				}
			}
		})
	}
	for route := range untried {
		t.Errorf("no body is tried on %s", route)
	}
}

// Every query parameter, and the header Idempotency-Key, is refused by name
// with values just outside its limits, with nonsense, and if it appears twice;
// so are unknown parameters.
func TestEveryParameterHasItsEdges(t *testing.T) {
	s := start(t, 1)
	s.stop(edgesNow)
	s.board("b", `, "categories": ["age", "all"]`)
	entry := s.entry("b")
	g := newGrammar(t)
	before := s.snapshot()
	refused, taken := 0, 0
	for _, r := range web.Routes {
		if !slices.Contains([]string{"score-add", "score-query", "board-admin"}, r.Deployable) {
			continue
		}
		path := strings.NewReplacer("{board}", "b", "{player}", "p", "{entry}", entry, "{user}", userID(0, "linked")).Replace(r.Pattern)
		body := map[string]string{
			"POST /v1/boards/{board}/entries": `{"player": "p", "points": 1}`, "POST /v1/entries/batch": `{"entries": [{"board": "b", "player": "p", "points": 1}]}`,
			"POST /v1/boards/{board}/entries/{entry}/reversal": `{"note": "n"}`,
		}[r.Method+" "+r.Pattern]
		if body == "" && r.Method != "GET" {
			body = `{}`
		}
		refuse := func(query, name string, headers ...string) {
			refused++
			if err := refusedFor(s.send("0/organizer", r.Method, path+query, body, headers...), value{at: name}); err != nil {
				t.Errorf("%s %s%.200s %.200q: %v", r.Method, path, query, headers, err)
			}
		}
		refuse("?nonsense=1", "nonsense")
		parameters := g.parameters(r.Method, r.Pattern)
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			bad, good := g.words(parameters[name], name)
			if name == "Idempotency-Key" {
				refuse("", name, name, "a", name, "a")
				for _, text := range bad {
					refuse("", name, name, text)
				}
				continue
			}
			refuse("?"+name+"=a&"+name+"=a", name)
			refuse("?"+name+"=%00", name)
			refuse("?"+name+"=%ff", name)
			for _, text := range bad {
				refuse("?"+name+"="+url.QueryEscape(text), name)
			}
			for _, text := range good {
				taken++
				w := s.send("0/organizer", r.Method, path+"?"+name+"="+url.QueryEscape(text), body)
				// The resource that it names need not exist.
				if w.Code != 200 && w.Code != 404 {
					t.Errorf("%s?%s=%.100s should be accepted: %d %.300s", path, name, text, w.Code, w.Body)
				}
			}
		}
	}
	s.unwritten(before)
	t.Logf("%d URLs and headers were refused, %d accepted", refused, taken)
}

// words returns texts on both sides of a parameter's limits.
func (g *grammar) words(schema map[string]any, name string) (bad, good []string) {
	for _, kind := range texts(schema["type"]) {
		switch kind {
		case "integer":
			least, most := int64(schema["minimum"].(float64)), int64(schema["maximum"].(float64))
			bad = append(bad, "", "x", "1.0", "1e2", " 1", "99999999999999999999", fmt.Sprint(least-1), fmt.Sprint(most+1))
			good = append(good, fmt.Sprint(least), fmt.Sprint(most))
		case "boolean":
			bad, good = append(bad, "", "1", "True", "yes"), append(good, "true", "false")
		case "string":
			outside, inside := g.texts(schema, "?"+name)
			bad, good = append(bad, outside...), append(good, inside...)
		default:
			g.Errorf("the parameter %s is of type %s", name, kind)
		}
	}
	return bad, good
}

// entry adds an entry to a board and returns its id.
func (s *stack) entry(board string) string {
	s.Helper()
	w := s.send("0/organizer", "POST", "/v1/boards/"+board+"/entries", `{"player": "p", "points": 1}`)
	var e struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 201 {
		s.Fatalf("%d %s", w.Code, w.Body)
	}
	return e.ID
}

// refusedFor returns an error unless the response refuses the value: a 400, or
// a 404 if the value names a resource.
func refusedFor(w *httptest.ResponseRecorder, v value) error {
	p, err := decodeProblem(w.Body.String())
	named := slices.ContainsFunc(p.fields(), func(field string) bool {
		return field == v.at || v.above && strings.HasPrefix(v.at, field+".") || v.at == "" && field == "body"
	})
	status := w.Code == 400 || w.Code == 404 && (strings.HasSuffix(v.at, ".board") || strings.HasSuffix(v.at, ".reverses"))
	if err != nil || !status || p.Status != w.Code || w.Header().Get("Content-Type") != "application/problem+json" || !named {
		return fmt.Errorf("should be refused for %q: %d %.300s", v.at, w.Code, w.Body)
	}
	return nil
}

// snapshot returns a digest of every table.
func (s *stack) snapshot() map[string]string {
	s.Helper()
	var tables []string
	if err := s.db.Owner().Select(&tables, `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		s.Fatal(err)
	}
	for _, name := range grows {
		if !slices.Contains(tables, name) {
			s.Fatalf("no table %s among %v", name, tables)
		}
	}
	digests := map[string]string{}
	for _, name := range tables {
		var digest string
		if err := s.db.Owner().Get(&digest, `SELECT count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '')) FROM `+name+` t`); err != nil {
			s.Fatal(err)
		}
		digests[name] = digest
	}
	return digests
}

// unwritten checks that nothing was written since the snapshot.
func (s *stack) unwritten(before map[string]string) {
	s.Helper()
	after := s.snapshot()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if after[name] != before[name] {
			s.Errorf("%s: a refused request wrote: %s, then %s", name, before[name], after[name])
		}
	}
}
