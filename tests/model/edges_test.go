package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/web"
)

// edges holds texts that a pattern, a format or, by the name of a field or
// ?parameter, a rule in words refuses and accepts. The current time is
// edgesNow.
var edges = map[string]struct{ bad, good []string }{
	"^[a-z0-9][a-z0-9-]{0,62}$":            {[]string{"", "A", "-a", "a_b", "a/b", strings.Repeat("a", 64)}, []string{strings.Repeat("a", 63)}},
	"^[A-Za-z0-9][A-Za-z0-9._~@:-]{0,63}$": {[]string{"", ".a", "a b", "a/b", "é", strings.Repeat("a", 65)}, []string{"0", "A._~@:-", strings.Repeat("a", 64)}},
	"^[A-Za-z0-9-]{1,64}$":                 {[]string{"", "a b", "a/b", "é", strings.Repeat("a", 65)}, []string{strings.Repeat("a", 64)}},
	"^[A-Za-z]{2}$":                        {[]string{"", "K", "KOR", "zz", "K1"}, []string{"KR", "kr"}},
	"^[!-~]{1,128}$":                       {[]string{"", "a b", "é", strings.Repeat("k", 129)}, []string{"!~", strings.Repeat("k", 128)}},
	"^[^:]+$":                              {[]string{"", "a:b"}, nil},
	"^[^:]+:.+$":                           {[]string{"", "age", "age:", ":old", "none:old"}, []string{"age:old", "age:a:b"}},
	"^[a-z_]+(,[a-z_]+)*$":                 {[]string{"", ",", "Ranked", "dnf,", "dnf, dns", "dnf,none"}, []string{"ranked", "hidden,dnf", "dnf,dnf"}},
	"^[A-Za-z0-9_-]+$":                     {[]string{"", "x", "e30", "bnVsbA", "a b"}, nil},
	"^(user|key)/[A-Za-z0-9-]{1,64}$":      {[]string{"", "a", "user/", "users/a", "user/a b", "user/" + strings.Repeat("a", 65)}, []string{"user/" + strings.Repeat("a", 64)}},
	"date-time":                            {[]string{"", "now", "2026-04-05", "2026-04-05T00:00:00", "2026-02-30T00:00:00Z", "2026-04-05T1:00:00Z", "2026-04-05T01:00:00,5Z", "2026-04-05T01:00:00+24:00", "2026-04-05T01:00:00+00:60", "2026-04-05t01:00:00z"}, nil},
	"^((0|[1-9][0-9]*)h)?((0|[1-9][0-9]*)m)?((0|[1-9][0-9]*)s)?$": {[]string{"", "1", "+1h", ".5h", "1.5h", "1h1h", "1m1h", "01h", "1e3s", "1d", "1 h"}, []string{"1h", "90m", "1h30m", "1h0m1s"}},
	"uuid": {[]string{"", "x", "{0198c0de-0000-7000-8000-000000000000}", "0198C0DE-0000-7000-8000-000000000000"}, nil},

	"occurred_at": {[]string{"1999-12-31T23:59:59.999999Z", "2026-11-22T00:05:00.000001Z"}, []string{"2000-01-01T00:00:00Z", "2026-11-22T09:05:00+09:00", "2026-11-22T16:05:00+16:00"}},
	"start":       {[]string{"1999-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.0000001Z"}, []string{"2000-01-01T00:00:00Z"}},
	"end":         {[]string{"2026-01-01T00:00:00Z", "3000-01-01T00:00:00Z"}, []string{"2026-01-01T00:00:00.000001Z", "2999-12-31T23:59:59.999999Z"}},
	"?at":         {[]string{"0999-12-31T23:59:59Z", "9000-01-01T00:00:00Z"}, []string{"1000-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "2026-11-20T10:00:00+16:00", "2026-11-20T10:00:00-23:59"}},
	"?from":       {[]string{"0999-12-31T23:59:59Z", "9000-01-01T00:00:00Z"}, []string{"1000-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "2026-11-20T10:00:00+16:00", "2026-11-20T10:00:00-23:59"}},
	"?to":         {[]string{"0999-12-31T23:59:59Z", "9000-01-01T00:00:00Z"}, []string{"1000-01-01T00:00:00Z", "8999-12-31T23:59:59Z", "2026-11-20T10:00:00+16:00", "2026-11-20T10:00:00-23:59"}},
	"time_zone":   {[]string{"", "Local", "Seoul", "+09:00", "../UTC"}, []string{"Asia/Seoul"}},
	"grace":       {[]string{"", "24", "-1s", "1.5s", "8784h1s"}, []string{"0s", "8784h"}},
	"cron":        {[]string{"0 0 * *", "0 0 0 * * *", "60 0 * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 30 2 *", "0 0 * 13 *", "0 0 * * 8", "@daily", "1,, 0 * * *", "+5 0 * * *", "0 0 */32 * *", "5/15 0 * * *", "0 0 31-1 * *"}, []string{"59 23 31 12 6", "0 0 * * 7", "0 0 29 FEB */7"}},
	"?period":     {[]string{"none", "All"}, []string{"all"}},
	"?name":       {[]string{"none", "All"}, []string{"all"}}, // in lists of periods and of categories
	"?players":    {[]string{"", ",", "a,", "a b", "a," + strings.Repeat("a", 65), ids(1001)}, []string{ids(1000)}},
}

// ids returns n different players' ids.
func ids(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint("p", i))
	}
	return strings.Join(list, ",")
}

// value is a value to try in a body, as JSON.
type value struct {
	json string
	at   string // the invalid field
	good bool   // it is valid: the extreme of what is accepted
	// The field above may be named too, if a member is missing.
	above bool
}

// grammar is the OpenAPI document, from which values on both sides of every
// limit are made.
type grammar struct {
	*testing.T
	document map[string]any
	whole    map[string]string // valid objects, by schema
}

func newGrammar(t *testing.T) *grammar {
	g := &grammar{T: t, whole: map[string]string{
		"CronPeriod": `{"name": "s", "cron": "0 0 * * *"}`,
		"Season":     `{"name": "s", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}`,
		"Profile":    `{}`,
	}}
	if err := json.Unmarshal(web.OpenAPI(), &g.document); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *grammar) component(kind, name string) map[string]any {
	return g.document["components"].(map[string]any)[kind].(map[string]any)[name].(map[string]any)
}

// resolve follows a reference, and returns the name of the schema.
func (g *grammar) resolve(v map[string]any) (map[string]any, string) {
	ref, ok := v["$ref"].(string)
	if !ok {
		return v, ""
	}
	part := strings.Split(ref, "/")
	return g.component(part[2], part[3]), part[3]
}

// values returns the values to try at a place in a body: of each wrong type,
// and on both sides of each limit.
func (g *grammar) values(schema map[string]any, name, at string) []value {
	schema, title := g.resolve(schema)
	var list []value
	bad := func(json ...string) {
		for _, j := range json {
			list = append(list, value{json: j, at: at})
		}
	}
	good := func(json string) { list = append(list, value{json: json, at: at, good: true}) }
	number := func(key string, do func(int64)) {
		if n, ok := schema[key].(float64); ok {
			do(int64(n))
		}
	}

	types := texts(schema["type"])
	alternatives, _ := schema["anyOf"].([]any)
	for _, a := range alternatives {
		resolved, _ := g.resolve(a.(map[string]any))
		types = append(types, texts(resolved["type"])...)
		for _, v := range g.values(a.(map[string]any), name, at) {
			// A value that is not a text may be valid for another alternative.
			if v.good || v.at != at || v.json[0] == '"' {
				list = append(list, v)
			}
		}
	}
	for _, of := range []struct{ kind, json string }{
		{"null", `null`}, {"boolean", `true`}, {"integer", `1`}, {"string", `"1"`}, {"array", `[]`}, {"object", `{}`}, {"number", `1.5`},
	} {
		if !slices.Contains(types, of.kind) {
			bad(of.json)
		}
	}
	if alternatives != nil {
		return list
	}
	for _, kind := range types {
		switch kind {
		case "null":
			good(`null`)
		case "boolean":
			good(`false`)
		case "integer":
			bad(`1.0`, `1e2`, `NaN`, `123456789012345678901234567890`)
			number("minimum", func(n int64) { bad(fmt.Sprint(n - 1)); good(fmt.Sprint(n)) })
			number("maximum", func(n int64) { bad(fmt.Sprint(n + 1)); good(fmt.Sprint(n)) })
		case "string":
			outside, inside := g.texts(schema, name)
			for _, text := range outside {
				bad(quoted(text))
			}
			for _, text := range inside {
				good(quoted(text))
			}
			bad(`"a\u0000"`, `"\ud800"`)
			number("minLength", func(int64) { bad(`" "`) })
		case "array":
			items := schema["items"].(map[string]any)
			for _, v := range g.values(items, name, at+"[0]") {
				v.json = "[" + v.json + "]"
				list = append(list, v)
			}
			number("minItems", func(n int64) { bad(many("[]", n-1, items)) })
			number("maxItems", func(n int64) { bad(many("[]", n+1, items)); good(many("[]", n, items)) })
		case "object":
			list = append(list, g.members(schema, title, at)...)
			number("maxProperties", func(n int64) {
				more := schema["additionalProperties"].(map[string]any)
				bad(many("{}", n+1, more))
				good(many("{}", n, more))
			})
		}
	}
	return list
}

// texts returns texts on both sides of the limits of a text schema.
func (g *grammar) texts(schema map[string]any, name string) (bad, good []string) {
	if words := texts(schema["enum"]); words != nil {
		bad, good = append(bad, "", "nonsense", strings.ToUpper(words[0])), append(good, words...)
	}
	if n, ok := schema["minLength"].(float64); ok && n > 0 {
		bad = append(bad, strings.Repeat("a", int(n)-1))
	}
	byName, named := edges[name]
	if n, ok := schema["maxLength"].(float64); ok {
		bad = append(bad, strings.Repeat("é", int(n)+1))
		if !named {
			good = append(good, strings.Repeat("é", int(n)))
		}
	}
	for _, key := range []string{"pattern", "format"} {
		if rule, ok := schema[key].(string); ok {
			e, known := edges[rule]
			if !known {
				g.Errorf("%s: no edges are known for %s %q: add them to edges", name, key, rule)
			}
			bad, good = append(bad, e.bad...), append(good, e.good...)
		}
	}
	return append(bad, byName.bad...), append(good, byName.good...)
}

// members returns objects that have one member at a limit.
func (g *grammar) members(schema map[string]any, title, at string) []value {
	base := map[string]json.RawMessage{}
	if whole, ok := g.whole[title]; ok {
		if err := json.Unmarshal([]byte(whole), &base); err != nil {
			g.Fatal(err)
		}
	}
	// The JSON package would not write invalid values.
	with := func(name, json string) string {
		members := []string{quoted(name) + ": " + json}
		for _, other := range slices.Sorted(maps.Keys(base)) {
			if other != name {
				members = append(members, quoted(other)+": "+string(base[other]))
			}
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	var list []value
	each := func(name string, schema map[string]any) {
		for _, v := range g.values(schema, name, member(at, name)) {
			v.json = with(name, v.json)
			list = append(list, v)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		each(name, properties[name].(map[string]any))
	}
	for _, name := range texts(schema["required"]) {
		rest := maps.Clone(base)
		delete(rest, name)
		list = append(list, value{json: text(rest), at: member(at, name), above: true})
	}
	switch more := schema["additionalProperties"].(type) {
	case map[string]any: // whose members have free names
		each("a", more)
		if names, ok := schema["propertyNames"].(map[string]any); ok {
			most := strings.Repeat("é", int(names["maxLength"].(float64)))
			list = append(list, value{json: with(most+"é", `"1"`), at: member(at, most+"é")}, value{json: with(most, `"1"`), at: at, good: true})
		}
	case bool:
		if !more {
			return append(list, value{json: with("nonsense", `1`), at: member(at, "nonsense")})
		}
		// Any content is allowed, up to 4 KB and without duplicate names.
		most := strings.Repeat("a", 4096-len(`{"a":""}`))
		list = append(list, value{json: `{"a": "` + most + `a"}`, at: at}, value{json: `{"a": "` + most + `"}`, at: at, good: true},
			value{json: `{"a": ["\u0000"]}`, at: member(at, "a[0]")}, value{json: `{"a": {"b": 1, "b": 2}}`, at: member(at, "a.b")})
	}
	return list
}

func member(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// many returns a list or an object of n different items of a schema.
func many(brackets string, n int64, schema map[string]any) string {
	var items []string
	for i := range n {
		item := fmt.Sprintf(`"a%d"`, i)
		switch ref, _ := schema["$ref"].(string); ref {
		case "#/components/schemas/BoardPeriod":
			item = fmt.Sprintf(`{"name": "s%d", "cron": "0 0 * * *"}`, i)
		case "#/components/schemas/BatchItem":
			item = fmt.Sprintf(`{"board": "b", "player": "many%d", "points": 1}`, i)
		case "#/components/schemas/Points":
			item = `1`
		}
		if brackets == "{}" {
			item = fmt.Sprintf(`"a%d": %s`, i, item)
		}
		items = append(items, item)
	}
	return brackets[:1] + strings.Join(items, ", ") + brackets[1:]
}

// texts returns the texts of a list, or a single one.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			list = append(list, item.(string))
		}
		return list
	}
	return nil
}

func quoted(s string) string { return text(s) }

// parameters returns the schemas of an operation's parameters in the query and
// of the header Idempotency-Key.
func (g *grammar) parameters(method, pattern string) map[string]map[string]any {
	item := g.document["paths"].(map[string]any)[pattern].(map[string]any)
	list, _ := item[strings.ToLower(method)].(map[string]any)["parameters"].([]any)
	found := map[string]map[string]any{}
	for _, v := range list {
		p, _ := g.resolve(v.(map[string]any))
		if name := p["name"].(string); p["in"] == "query" || name == "Idempotency-Key" {
			found[name], _ = g.resolve(p["schema"].(map[string]any))
		}
	}
	return found
}
