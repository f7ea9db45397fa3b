package scores_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"plaudit/shared/web/webtest"
)

// taker is a place in a request that takes a value. Requests of a taker succeed for
// every valid value, however often they are sent.
type taker struct {
	method, target, body string // § is the value; in a query it is escaped, in a body it is JSON
	field                string // that a refusal names
}

// send sends the value. In a target, cursor(…) stands for a cursor with this content.
func (s *scoreStack) take(t *testing.T, p taker, value string) (code int, body string) {
	t.Helper()
	target, content, isCursor := strings.Cut(p.target, "§cursor:")
	if isCursor {
		target += base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(content, "§", value)))
	} else {
		target = strings.ReplaceAll(target, "§", url.QueryEscape(value))
	}
	s.made++
	text := strings.NewReplacer("§", value, "#", fmt.Sprint("n", s.made)).Replace(p.body)
	w := s.send("owner", p.method, target, text)
	return w.Code, w.Body.String()
}

// same fails unless the takers take all of the valid values and refuse all of the
// others, naming their field.
func (s *scoreStack) same(t *testing.T, takers []taker, valid, invalid []string) {
	t.Helper()
	for _, p := range takers {
		for _, v := range valid {
			if code, body := s.take(t, p, v); code >= 300 {
				t.Errorf("%s %s %s refuses %s: %d %s", p.method, p.target, p.body, v, code, body)
			}
		}
		for _, v := range invalid {
			if code, body := s.take(t, p, v); code != 400 || faultFields(body) != p.field {
				t.Errorf("%s %s %s takes %s: %d %s, want a 400 for %s", p.method, p.target, p.body, v, code, body, p.field)
			}
		}
	}
}

func allQuoted(values []string) (out []string) {
	for _, v := range values {
		out = append(out, webtest.Quoted(v))
	}
	return out
}

const anyEntry = "01a20075-fb21-7f26-936d-76ca57b266da"

func TestTimesAreTheSameEverywhere(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	valid := []string{
		"2026-04-05T12:30:00Z", "2026-04-05T12:30:00.5Z", "2026-04-05T12:30:00.000001Z", "2026-04-05T12:30:00.5000000000000Z", "2024-02-29T23:59:59Z",
		"2026-04-05T12:30:00+09:00", "2026-04-05T12:30:00+15:59", "2026-04-05T12:30:00+16:00", "2026-04-05T12:30:00-16:00", "2026-04-05T12:30:00+23:59",
		"2026-04-05T12:30:00-23:59", "2026-04-05T12:30:00-00:00", "2026-04-05T12:30:00.25+00:01",
	}
	invalid := []string{
		"", "1", "now", "infinity", "-infinity", "epoch", "2026-04-05", "2026-04-05T12:30:00", "2026-04-05T12:30Z", "2026-04-05T1:30:00Z", "2026-4-05T12:30:00Z",
		"2026-04-05T12:30:00,5Z", "2026-04-05T12:30:00.Z", "2026-04-05T12:30:00+24:00", "2026-04-05T12:30:00+00:60", "2026-04-05T12:30:00-99:99",
		"2026-04-05T12:30:00+9:00", "2026-04-05T12:30:00+0900", "2026-04-05T12:30:00+09", "2026-04-05T12:30:00+09:00:00", "2026-04-05t12:30:00Z", "2026-04-05T12:30:00z",
		"2026-04-05 12:30:00Z", "2026-04-05T12:30:00 Z", " 2026-04-05T12:30:00Z", "2026-04-05T12:30:00Z ", "2026-04-05T12:30:00Z\n", "2026-02-29T12:30:00Z", "2026-04-31T12:30:00Z",
		"2026-13-01T12:30:00Z", "2026-00-01T12:30:00Z", "2026-04-05T24:00:00Z", "2026-04-05T12:60:00Z", "2026-04-05T12:30:60Z", "2016-12-31T23:59:60Z",
		"+2026-04-05T12:30:00Z", "-2026-04-05T12:30:00Z", "12026-04-05T12:30:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z",
		"9999-12-31T23:59:59-23:59", "2026-04-05T12:30:00Z BC", "2026-04-05T12:30:00\u2212 09:00", "\u0662026-04-05T12:30:00Z", "2026-04-05T12:30:00UTC", "20260405T123000Z",
		"2026-W14-7T12:30:00Z", "2026-095T12:30:00Z", "1775392200",
	}
	queries := []taker{
		{"GET", "/v1/boards/b/entries?from=§", "", "from"},
		{"GET", "/v1/boards/b/entries?to=§", "", "to"},
		{"GET", "/v1/boards/b/standings?at=§", "", "at"},
		{"GET", "/v1/boards/b/standings/p?at=§", "", "at"},
	}
	s.same(t, queries, valid, invalid)
	bodies := []taker{
		{"POST", "/v1/boards/b/entries", `{"player":"p","points":1,"occurred_at":§}`, "occurred_at"},
		{"POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"p","points":1,"occurred_at":§}]}`, "entries[0].occurred_at"},
		{"POST", "/v1/boards", `{"id":"#","periods":[{"name":"s","start":§,"end":"2900-01-01T00:00:00Z"}]}`, "periods[0].start"},
		{"POST", "/v1/boards", `{"id":"#","periods":[{"name":"s","start":"2001-01-01T00:00:00Z","end":§}]}`, "periods[0].end"},
		{"POST", "/v1/boards", `{"id":"#","periods":[{"name":"day","start":§,"end":"2900-01-01T00:00:00Z"}]}`, "periods[0].name"},
	}
	s.same(t, bodies[:4], allQuoted(valid), allQuoted(invalid))
	s.same(t, bodies[:4], nil, []string{"1", "null", "true", "[]", "{}", "1775392200"})
	// No time makes a built-in period of a season.
	s.same(t, bodies[4:], nil, allQuoted(valid))
	if code, body := s.take(t, bodies[2], `"0001-01-01T00:00:00Z","end":"0001-01-01T00:00:00Z"`); code != 400 {
		t.Errorf("a season without a start and an end: %d %s", code, body)
	}
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"season","periods":[{"name":"s","start":"2001-01-01T00:00:00+16:00","end":"2900-01-01T00:00:00-16:00"}]}`)
	s.must(200, "owner", "PATCH", "/v1/boards/season", `{"periods":[{"name":"s","start":"2001-01-01T00:00:00-23:59","end":"2900-01-01T00:00:00+23:59"}]}`)
	s.must(201, "owner", "POST", "/v1/boards/season/entries", `{"player":"p","points":1,"occurred_at":"2026-04-05T12:30:00+23:59"}`)

	cursors := []taker{
		{"GET", `/v1/boards/b/entries?cursor=§cursor:{"l":"entries/b","p":{"o":§,"i":"` + anyEntry + `"}}`, "", "cursor"},
		{"GET", `/v1/players/u/entries?cursor=§cursor:{"l":"entries of/u","p":{"o":§,"i":"` + anyEntry + `"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","p":{"s":1,"t":0,"r":§,"p":"p"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","p":{"s":1,"t":0,"r":"2026-04-05T12:30:00Z","p":"p","a":§}}`, "", "cursor"},
		{"GET", `/v1/boards/b/periods?cursor=§cursor:{"l":"periods/b","p":{"s":§,"n":"all"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/entries?cursor=§cursor:{"l":"entries/b","f":{"from":§},"p":{"o":"2026-04-05T12:30:00Z","i":"` + anyEntry + `"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","f":{"at":§},"p":{"s":1,"t":0,"r":"2026-04-05T12:30:00Z","p":"p"}}`, "", "cursor"},
	}
	s.same(t, cursors, allQuoted(valid), allQuoted(invalid))
	s.same(t, cursors, nil, []string{"1", "null", "true", "[]", "{}"})

	// Each way to write an instant selects the same entries.
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"x","points":1,"occurred_at":"2026-04-05T20:00:00+16:00"}`)
	for query, want := range map[string]int{
		"from=2026-04-05T04:00:00Z&to=2026-04-05T04:00:00.000001Z":                   1,
		"from=2026-04-05T20:00:00%2B16:00&to=2026-04-04T12:00:00.000001-16:00":       1,
		"from=2026-04-06T03:59:00%2B23:59&to=2026-04-06T03:59:00.0000005%2B23:59":    1,
		"from=2026-04-05T04:00:00.0000005Z&to=2026-04-05T20:00:00.0000005%2B16:00":   0,
		"from=2026-04-05T20:00:00.0000005%2B16:00&to=2026-04-05T20:00:01%2B16:00":    0,
		"from=2026-04-04T04:01:00-23:59&to=2026-04-05T20:00:00%2B16:00&player=x":     0,
		"from=2026-04-04T04:01:00-23:59&to=2026-04-05T20:00:00.000001%2B16:00&kind=": -1,
	} {
		w := s.send("owner", "GET", "/v1/boards/b/entries?player=x&"+strings.TrimSuffix(query, "&player=x"), "")
		var page struct{ Items []any }
		if json.Unmarshal(w.Body.Bytes(), &page); want >= 0 && (w.Code != 200 || len(page.Items) != want) || want < 0 && w.Code != 400 {
			t.Errorf("%s: %d %s, want %d entries", query, w.Code, w.Body, want)
		}
	}
}

func TestWholeNumbersAreTheSameEverywhere(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","min":-9007199254740991}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1}`)
	valid := []string{"1", "2"}
	invalid := []string{
		"+1", "01", "00", "-01", "-00", "1.0", "1.", ".5", "1e0", "1E2", "0x1", "0b1", "0o7", "1_0", "-", "--1", "+", "- 1", "1 2", "\uff11", "\u0661", "\u22121",
		"NaN", "Infinity", "-Infinity", "inf", "1e400", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"99999999999999999999999999", "true", "null",
	}
	limits := []taker{}
	for _, list := range []string{"/v1/boards", "/v1/boards/b/entries", "/v1/boards/b/standings", "/v1/boards/b/periods", "/v1/players/u/entries", "/v1/players/u/standings"} {
		limits = append(limits, taker{"GET", list + "?limit=§", "", "limit"})
	}
	s.same(t, limits, valid, append(invalid, "", " 1", "1 ", "1\n", "0", "-0", "-1"))
	queries := []taker{
		{"GET", "/v1/boards/b/standings?min=§", "", "min"},
		{"GET", "/v1/boards/b/standings?max=§", "", "max"},
	}
	signed := append(valid, "0", "-0", "-1", "9007199254740991", "-9007199254740991")
	s.same(t, queries, signed, append(invalid, "", " 1", "1 ", "1\n", "9007199254740992", "-9007199254740992"))
	cursors := []taker{
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","p":{"s":§,"t":0,"r":"2026-04-05T12:30:00Z","p":"p"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","p":{"s":0,"t":§,"r":"2026-04-05T12:30:00Z","p":"p"}}`, "", "cursor"},
		{"GET", `/v1/boards/b/standings?cursor=§cursor:{"l":"standings/b","f":{"min":"§"},"p":{"s":0,"t":0,"r":"2026-04-05T12:30:00Z","p":"p"}}`, "", "cursor"},
	}
	s.same(t, cursors, signed, append(invalid, "", "9007199254740992", "-9007199254740992"))
	bodies := []taker{
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":§}`, "points"},
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":1,"tiebreak":§}`, "tiebreak"},
		{"POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"#","points":§}]}`, "entries[0].points"},
		{"POST", "/v1/boards", `{"id":"#","min":§}`, "min"},
		{"POST", "/v1/boards", `{"id":"#","max":§,"min":-9007199254740991}`, "max"},
		{"POST", "/v1/boards", `{"id":"#","catalogue":{"a":§}}`, "catalogue.a"},
		{"PATCH", "/v1/boards/b", `{"min":§}`, "min"},
	}
	// null clears a maximum, and some of the texts are not JSON, so the body or its
	// field is at fault.
	for _, p := range bodies {
		s.same(t, []taker{p}, signed, []string{"9007199254740992", "-9007199254740992", "1.0", "1e0", "9223372036854775808", "true", `"1"`, `"+1"`, "[]"})
		for _, v := range invalid {
			if code, body := s.take(t, p, v); code != 400 && v != "null" {
				t.Errorf("%s %s takes %s: %d %s", p.method, p.body, v, code, body)
			}
		}
	}
	if e := s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"zero","points":-0,"tiebreak":-0}`); fmt.Sprint(e["points"], e["tiebreak"]) != "0 0" {
		t.Errorf("-0 is %v", e)
	}
}

func TestBooleansAreTheSameEverywhere(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	valid := []string{"true", "false"}
	invalid := []string{"True", "TRUE", "t", "1", "0", "yes", "on", "null", `"true"`}
	s.same(t, []taker{{"GET", "/v1/boards?mine=§", "", "mine"}}, valid, append(invalid, "", " true", "true ", "true\n"))
	for _, p := range []taker{
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":1,"late":§}`, "late"},
		{"POST", "/v1/entries/batch", `{"entries":[{"board":"b","player":"#","points":1,"late":§}]}`, "entries[0].late"},
		{"POST", "/v1/boards", `{"id":"#","public":§}`, "public"},
		{"PATCH", "/v1/boards/b", `{"public":§}`, "public"},
	} {
		s.same(t, []taker{p}, valid, []string{"1", "0", "null", `"true"`, "[]"})
		for _, v := range invalid {
			if code, body := s.take(t, p, v); code != 400 {
				t.Errorf("%s %s takes %s: %d %s", p.method, p.body, v, code, body)
			}
		}
	}
	s.same(t, []taker{{"GET", `/v1/boards?cursor=§cursor:{"l":"boards","f":{"q":"b"},"p":{"t":§,"k":"b","i":"b"}}`, "", "cursor"}}, valid, append(invalid, ""))
	// Only a search lists by title.
	s.same(t, []taker{{"GET", `/v1/boards?cursor=§cursor:{"l":"boards","p":{"t":§,"k":"b","i":"b"}}`, "", "cursor"}}, []string{"false"}, []string{"true"})
}

func TestDurationsAreWholeAndInOrder(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b"}`)
	for in, out := range map[string]string{
		"0s": "0s", "0h": "0s", "0h0m0s": "0s", "24h": "24h", "1h30m": "1h30m", "90m": "1h30m", "3600s": "1h", "1h0m1s": "1h0m1s", "8784h": "8784h", "31622400s": "8784h", "1m1s": "1m1s",
	} {
		if b := s.must(200, "owner", "PATCH", "/v1/boards/b", `{"grace":"`+in+`"}`); b["grace"] != out {
			t.Errorf("%s is %v, want %s", in, b["grace"], out)
		}
	}
	s.same(t, []taker{{"POST", "/v1/boards", `{"id":"#","grace":§}`, "grace"}, {"PATCH", "/v1/boards/b", `{"grace":§}`, "grace"}}, nil, append([]string{"24", "null", "[]"}, allQuoted([]string{
		"", "24", "0", "+1h", "-1h", "-0s", ".5h", "1.5h", "1.h", "1.0h", "1h1h", "30m1h", "1s1h", "1e3s", "1e3", "01h", "00h", "1 h", " 1h", "1h ", "1h\n", "1H", "1hour", "1d", "1ms", "1000ms", "1us", "1µs", "1ns", "h",
		"hms", "PT24H", "24:00", "\u0661h", "8784h1s", "8785h", "31622401s", "99999999999h", "2562048h", "9223372036854775807s", "9223372036854775808s", "99999999999999999999999999h", "8784h99999999999999999999s", "Infinity", "NaN",
	})...))
}

// Whatever text a client sends reaches PostgreSQL as a text.
func TestNoTextIsAnInternalError(t *testing.T) {
	s := startScores(t)
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"b","title":"%_\\","categories":["a"],"periods":["all",{"name":"NULL","cron":"0 0 * * *"}]}`)
	s.must(201, "owner", "POST", "/v1/boards/b/entries", `{"player":"p","points":1,"profile":{"attributes":{"a":"{\"\\"}}}`)
	texts := []string{
		`\`, `\\`, `%`, `_`, `\%`, `'`, `"`, `''`, `{}`, `{"`, `(,)`, `,`, `NULL`, `null`, `infinity`, `-infinity`, `now`, `-0`, `1e999`, `$1`, `:x`, `?`, `--`, `/*`,
		"\x7f", "\x01", "\t", "\u0085", "\u2028", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "\u0130", "\u1e9e", "a\u0301", "\u202e", strings.Repeat("\U0001f600", 200), "\x00", "\xff", "\xed\xa0\x80",
	}
	takers := []taker{}
	for _, target := range []string{
		"/v1/boards?q=§", "/v1/boards/b/entries?player=§", "/v1/boards/b/entries?batch=§", "/v1/boards/b/entries?actor=§", "/v1/boards/b/entries?reason=§", "/v1/boards/b/entries?kind=§",
		"/v1/boards/b/standings?period=§", "/v1/boards/b/standings?category=§", "/v1/boards/b/standings?category=a:§", "/v1/boards/b/standings?around=§", "/v1/boards/b/standings?players=§",
		"/v1/boards/b/standings?country=§", "/v1/boards/b/periods?name=§", "/v1/boards/§", "/v1/boards/b/entries/§", "/v1/boards/b/standings/§", "/v1/boards/b/players/§", "/v1/players/§/entries", "/v1/players/§/standings",
	} {
		takers = append(takers, taker{"GET", target, "", ""})
	}
	for list, content := range map[string]string{
		"/v1/boards":              `{"l":"boards","p":{"k":§,"i":§}}`,
		"/v1/boards?q=a":          `{"l":"boards","f":{"q":"a"},"p":{"t":true,"k":§,"i":§}}`,
		"/v1/boards/b/periods":    `{"l":"periods/b","p":{"s":"2026-04-01T00:00:00Z","n":§}}`,
		"/v1/players/u/standings": `{"l":"standings of/u","p":{"b":§,"p":§}}`,
		"/v1/boards/b/standings":  `{"l":"standings/b","f":{"category":§},"p":{"s":0,"t":0,"r":"2026-04-05T12:30:00Z","p":"p"}}`,
		"/v1/boards/b/entries":    `{"l":"entries/b","f":{"reason":§},"p":{"o":"2026-04-05T12:30:00Z","i":"` + anyEntry + `"}}`,
	} {
		list += map[bool]string{true: "&", false: "?"}[strings.Contains(list, "?")]
		takers = append(takers, taker{"GET", list + "cursor=§cursor:" + content, "", "json"})
	}
	for _, p := range []taker{
		{"POST", "/v1/boards", `{"id":"#","title":§}`, ""},
		{"POST", "/v1/boards", `{"id":"#","categories":[§],"catalogue":{§:1}}`, ""},
		{"POST", "/v1/boards", `{"id":"#","periods":[{"name":§,"cron":"0 0 * * *"}]}`, ""},
		{"POST", "/v1/boards", `{"id":"#","periods":[{"name":"s","cron":§}]}`, ""},
		{"POST", "/v1/boards", `{"id":"#","time_zone":§}`, ""},
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":1,"note":§,"key":§}`, ""},
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":1,"note":§,"metadata":{§:[§,-0,1e999999999,1E-999999999,123456789012345678901234567890.10]}}`, ""},
		{"POST", "/v1/boards/b/entries", `{"player":"#","points":1,"profile":{"display_name":§,"attributes":{§:§}}}`, ""},
		{"PATCH", "/v1/boards/b/players/p", `{"display_name":§,"note":§,"attributes":{§:§}}`, ""},
	} {
		p.field = "json"
		takers = append(takers, p)
	}
	for _, p := range takers {
		for _, text := range texts {
			if p.field == "json" {
				text = allQuoted([]string{text})[0]
			}
			if code, body := s.take(t, p, text); code >= 500 {
				t.Errorf("%s %s %s with %q: %d %s", p.method, p.target, p.body, text, code, body)
			}
		}
	}
}
