package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// texts replace strings.
var texts = []string{
	"", " ", "\u0000", "a\u0000b", "\u202egnp.exe", "e\u0301", "\ufeff", "\uffff", "👩‍👩‍👧‍👦", "٣", "ｆｕｌｌ", "İ", "ß", strings.Repeat("가", 81), strings.Repeat("x", 70_000),
	"' OR 1=1 --", "\"; DROP TABLE entries; --", "../../../../etc/hosts", "%2e%2e%2f", "%00", "${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "<script>x</script>",
	"-1", "1e309", "NaN", "null", "[]", "9223372036854775808", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-04-05T09:30:00.123456789+23:59", "9999-12-31T23:59:60Z",
	"00000000-0000-0000-0000-000000000000", "{0198c0de-0000-7000-8000-000000000000}", "0198C0DE-0000-7000-8000-000000000000", "*", ".", "..", "a/b", "a\\b", "a\nb", "a\r\nX: y",
}

// values replace any JSON value.
var values = []string{
	"null", "true", "0", "-0", "1", "-1", "1.5", "42.0", "1e2", "1e400", "-1e-400", "9007199254740991", "9007199254740992", "-9007199254740992", "9223372036854775807",
	"9223372036854775808", "123456789012345678901234567890", "[]", "{}", "[[]]", `{"a": 1}`, `[null]`, `""`, `"\ud800"`, `"\u0000"`, "[1, \"2\", null]",
	strings.Repeat("[", 50) + strings.Repeat("]", 50), strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50),
}

// literal is JSON that is written unchanged.
type literal string

func (r literal) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// places lists every place in a JSON value that can be replaced: the object or
// list that contains it, and its name or index.
func places(v any) (all []struct {
	in any
	at any
}) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, struct{ in, at any }{v, name})
			all = append(all, places(v[name])...)
		}
	case []any:
		for i, child := range v {
			all = append(all, struct{ in, at any }{v, i})
			all = append(all, places(child)...)
		}
	}
	return all
}

// step changes one thing in a valid request.
func (f *flood) step(r *rand.Rand, in *request, body map[string]any) {
	if len(body) > 0 && r.IntN(3) > 0 {
		f.stepBody(r, in, body)
		return
	}
	path, query, _ := strings.Cut(in.path, "?")
	switch r.IntN(10) {
	case 0: // nothing: a valid request
	case 1: // another method
		in.method = pick(r, []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"})
	case 2: // another id
		segments := strings.Split(path, "/")
		ids := slices.Concat(f.boards, f.entries, f.keyIDs, []string{f.stranger.id, "bib-1", "me", "batch", "refresh"}, texts)
		if i := 1 + r.IntN(len(segments)-1); len(segments) > 3 {
			segments[i] = url.PathEscape(pick(r, ids))
		}
		in.path = strings.Join(segments, "/")
	case 3: // a path that is nearly the same
		in.path = pick(r, []string{path + "/", "/" + path, path + "%2F", strings.ToUpper(path), path + ";x=1", path + "/..", path + "%00", strings.Replace(path, "/v1", "/v2", 1), strings.Replace(path, "/", "/./", 1)})
	case 4: // a parameter twice
		in.path = path + "?limit=5&limit=5&" + query
	case 5: // an unknown parameter, or one with an invalid value
		name := "nonsense"
		if names := f.queries[in.method+" "+path]; len(names) > 0 {
			name = pick(r, names)
		}
		name = pick(r, []string{name, "limit", "cursor", "period", "at", "players", "category", "q", "from"})
		in.path = path + "?" + name + "=" + pick(r, []string{url.QueryEscape(pick(r, texts)), "%", "%ff", "a;b", ""})
	case 6: // another token
		in.token = pick(r, []string{"", "x", in.token + "x", f.stranger.token, f.victims[0].refresh, f.key, "eyJhbGciOiJub25lIn0.e30."})
		if in.token == f.stranger.token {
			in.owner = f.stranger.id
		}
	case 7: // a header with another value
		in.headers = append(in.headers, pick(r, [][]string{
			{"Content-Type", "text/plain"}, {"Content-Type", "application/json; charset=latin1"}, {"Content-Type", ""}, {"Content-Type", "application/xml"},
			{"Content-Encoding", "gzip"}, {"Accept", "text/csv"}, {"Accept", "text/csv;q=x, */*"}, {"If-None-Match", "*"}, {"If-None-Match", `W/"x`},
			{"Idempotency-Key", strings.Repeat("k", 129)}, {"Idempotency-Key", "with space"}, {"Idempotency-Key", ""}, {"Origin", "https://example.org"},
			{"traceparent", "00-zz"}, {"X-Forwarded-For", "1.2.3.4, ' OR 1=1"}, {"X-Http-Method-Override", "DELETE"}, {"Range", "bytes=0-1"}, {"Expect", "100-continue"},
		})...)
	case 8: // an unexpected or a missing body
		if in.body == "" {
			in.body = "{}"
		} else {
			in.body = ""
		}
	case 9: // too much
		switch r.IntN(20) {
		case 0:
			in.body = `{"id": "` + strings.Repeat("x", 1_100_000) + `"}`
		case 1:
			in.path = path + "?q=" + strings.Repeat("x", 9_000)
		default:
			in.path = path + "?" + strings.Repeat("limit=1&", 50)
		}
	}
}

func (f *flood) stepBody(r *rand.Rand, in *request, body map[string]any) {
	all := places(body)
	p := all[r.IntN(len(all))]
	replace := func(value any) {
		switch at := p.at.(type) {
		case string:
			p.in.(map[string]any)[at] = value
		case int:
			p.in.([]any)[at] = value
		}
	}
	text := func() string {
		out, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		return string(out)
	}
	name, named := p.at.(string)
	// No log may contain these, so they must not be texts that occur elsewhere.
	isSecret := named && strings.Contains("email password current_password refresh_token key", name)
	switch r.IntN(9) {
	case 0: // one field less
		if named {
			delete(p.in.(map[string]any), name)
		}
		in.body = text()
	case 1, 2: // another type or size
		replace(literal(pick(r, values)))
		in.body = text()
	case 3: // another text
		replacement := pick(r, texts)
		if isSecret && replacement != "" {
			replacement += " of the flood"
		}
		replace(replacement)
		in.body = text()
	case 4: // an id of another kind
		if !isSecret {
			replace(pick(r, slices.Concat(f.boards, f.entries, f.keyIDs, []string{f.stranger.id, "user/" + f.stranger.id})))
		}
		in.body = text()
	case 5: // an unknown field, or one of another request
		body[pick(r, []string{"nonsense", "id", "role", "seq", "actor", "owners", "reverses", "late", "__proto__", "", "Player", "email_verified"})] = literal(pick(r, values))
		in.body = text()
	case 6: // a field twice
		whole := text()
		first, _, _ := strings.Cut(strings.TrimPrefix(whole, "{"), ",")
		in.body = "{" + strings.TrimSuffix(first, "}") + "," + strings.TrimPrefix(whole, "{")
	case 7: // a byte removed, added or changed
		whole := []byte(text())
		at := r.IntN(len(whole))
		switch r.IntN(3) {
		case 0:
			whole = whole[:at]
		case 1:
			whole[at] = byte(r.IntN(256))
		case 2:
			whole = append(whole, pick(r, []string{"x", "{}", "\x00", " \n", ",", "\xff"})...)
		}
		in.body = string(whole)
	case 8: // nothing: a valid request
	}
}

// wild makes a request that is mostly nonsense.
func (f *flood) wild(r *rand.Rand, in *request) {
	words := []string{"v1", "boards", "entries", "standings", "players", "users", "me", "sessions", "refresh", "keys", "tokens", "batch", "reversal", "periods", "password",
		"healthz", "readyz", ".well-known", "jwks.json", "openapi.json", "", ".", "..", "%2e%2e", "%2F", "%", "%zz", "*", "audit", "events", "{board}"}
	words = append(words, f.boards...)
	words = append(words, f.entries...)
	if r.IntN(3) > 0 { // usually the path of a route, with nonsense in it
		path, _, _ := strings.Cut(in.path, "?")
		in.path = path
	} else {
		in.path = ""
		for range 1 + r.IntN(6) {
			word := pick(r, words)
			if r.IntN(5) == 0 {
				word = url.PathEscape(pick(r, texts))
			}
			in.path += "/" + word
		}
	}
	for i := range r.IntN(4) {
		separator := "&"
		if i == 0 {
			separator = "?"
		}
		in.path += separator + url.QueryEscape(pick(r, append(words, "limit", "cursor", "period", "at"))) + "=" + url.QueryEscape(pick(r, texts))
	}
	in.method = pick(r, []string{in.method, in.method, "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
	if r.IntN(3) == 0 {
		in.token, in.owner = "", ""
	}
	switch r.IntN(4) {
	case 0:
		in.body = ""
	case 1:
		in.body = pick(r, values)
	case 2:
		var b strings.Builder
		for range r.IntN(60) {
			b.WriteByte(byte(r.IntN(256)))
		}
		in.body = b.String()
	case 3:
		fields := []string{"id", "title", "player", "points", "reason", "note", "entries", "role", "name", "scopes", "metadata", "profile", "display_name", "catalogue", "periods"}
		out := map[string]any{}
		for range 1 + r.IntN(4) {
			out[pick(r, fields)] = literal(pick(r, values))
		}
		text, err := json.Marshal(out)
		if err != nil {
			panic(fmt.Sprintf("%v: %v", out, err))
		}
		in.body = string(text)
	}
}
