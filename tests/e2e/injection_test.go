package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// hostile are texts that would have an effect if they were not treated as plain
// text: SQL, format strings, templates, terminals, headers, logs, JSON.
var hostile = []string{
	"'; DROP TABLE users; -- ' OR '1'='1",
	`") OR 1=1 -- $1::text || (SELECT password_hash FROM users LIMIT 1)`,
	"%s%n%x%!d(MISSING)%00",
	"{{.}} ${7*7} #{7*7} ${jndi:ldap://127.0.0.1:1/a}",
	"line\nbreak",
	"one\r\nX-Injected: yes\r\n\r\n<html>",
	"\x1b[31mred\x1b[0m\x07\x08",
	`","role":"admin","x":"`,
	`{"role": "admin"}`,
	`back\slash\u0000\n`,
	"tab\tand\vmore",
	"nul\x00nul",
	"<script>alert(1)</script>&amp;",
	"\u202eturned\u2066 around\u2028",
	"e\u0301 is not \u00e9, \U0001F3C3 runs",
	"x\n{\"level\":\"INFO\",\"message\":\"request\",\"Route\":\"forged\"}",
	strings.Repeat("'", 2000),
}

// injection is a place for a text, written as §. The text is escaped in a path or a
// query, a JSON string in a body, and unchanged in a header.
type injection struct {
	route  string // its row in web.Routes
	path   string // empty: the route's own
	token  string
	body   string
	header string // the header that contains the text
	back   string // the field of the answer that contains the text, such as a.b
	look   string // the path to read that field from, if not the answer itself
	suffix string // follows the text
}

// injections returns every place for a text on every route.
func injections(t *testing.T) []injection {
	root, owner, self := person(t, access.Admin).token, person(t, access.Organizer), person(t, access.Member)
	changed, filled := owner.board(t, ""), owner.board(t, "")
	entry := want(t, 201, "POST", "/v1/boards/"+filled+"/entries", owner.token, `{"player": "p", "points": 1}`).text(t, "id")
	var all []injection
	add := func(i injection) { all = append(all, i) }

	for _, field := range []string{"display_name", "locale", "time_zone", "country"} {
		body := fmt.Sprintf(`{"%s": §, "email": "%s@example.com", "password": %q}`, field, unique("hostile"), password)
		if field != "display_name" {
			body = strings.Replace(body, "{", `{"display_name": "x", `, 1)
		}
		add(injection{route: "POST /v1/users", body: body, back: field})
		add(injection{route: "PATCH /v1/users/me", token: self.token, body: fmt.Sprintf(`{"%s": §}`, field), back: field})
	}
	add(injection{route: "POST /v1/users", body: `{"email": §, "password": "` + password + `", "display_name": "x"}`, suffix: "@example.com", back: "email"})
	add(injection{route: "POST /v1/users", body: `{§: 1}`})
	add(injection{route: "PATCH /v1/users/me", token: self.token, body: `{"mail": {§: true}}`})
	add(injection{route: "PATCH /v1/users/{id}", path: "/v1/users/" + self.id, token: root, body: `{"role": §}`})
	add(injection{route: "PATCH /v1/users/{id}", path: "/v1/users/§", token: root, body: `{"role": "admin"}`})
	add(injection{route: "GET /v1/users/{id}", path: "/v1/users/§", token: root})
	for _, name := range []string{"q", "email", "limit", "cursor"} {
		add(injection{route: "GET /v1/users", path: "/v1/users?" + name + "=§", token: root})
		if name != "email" && name != "q" {
			add(injection{route: "GET /v1/sessions", path: "/v1/sessions?" + name + "=§", token: self.token})
			add(injection{route: "GET /v1/keys", path: "/v1/keys?" + name + "=§", token: owner.token})
		}
	}
	add(injection{route: "PUT /v1/users/me/password", token: self.token, body: `{"current_password": §, "password": "another horse entirely"}`})
	add(injection{route: "POST /v1/sessions", body: `{"email": §, "password": "x"}`})
	add(injection{route: "POST /v1/sessions/refresh", body: `{"refresh_token": §}`})
	add(injection{route: "DELETE /v1/sessions/{id}", path: "/v1/sessions/§", token: self.token})
	add(injection{route: "POST /v1/keys", token: owner.token, body: `{"name": §, "scopes": ["read"]}`, back: "name"})
	add(injection{route: "POST /v1/keys", token: owner.token, body: `{"name": "x", "scopes": [§]}`})
	add(injection{route: "POST /v1/keys", token: owner.token, body: `{"name": "x", "scopes": ["read"], "boards": [§]}`})
	add(injection{route: "POST /v1/keys", token: owner.token, body: `{"name": "x", "scopes": ["read"], "expires_at": §}`})
	add(injection{route: "DELETE /v1/keys/{id}", path: "/v1/keys/§", token: owner.token})
	add(injection{route: "POST /v1/tokens", body: `{"key": §}`})
	add(injection{route: "POST /v1/email-verifications", body: `{"email": §}`})
	add(injection{route: "PUT /v1/email-verifications/{token}", path: "/v1/email-verifications/§"})
	add(injection{route: "PUT /v1/users/me/email", token: self.token, body: fmt.Sprintf(`{"email": §, "current_password": %q}`, password)})
	add(injection{route: "POST /v1/password-resets", body: `{"email": §}`})
	add(injection{route: "PUT /v1/password-resets/{token}", path: "/v1/password-resets/§", body: fmt.Sprintf(`{"password": %q}`, password)})
	for _, page := range []string{"/verify", "/reset"} {
		add(injection{route: "GET " + page, path: page + "?token=§"})
		add(injection{route: "GET " + page, path: page + "?lang=§"})
		add(injection{route: "POST " + page, body: `{"token": §}`})
	}
	add(injection{route: "GET /v1/unsubscribe/{token}", path: "/v1/unsubscribe/§"})
	add(injection{route: "POST /v1/unsubscribe/{token}", path: "/v1/unsubscribe/§", body: `{"mail": §}`})
	for _, body := range []string{`{"kind": §}`, `{"kind": "unsubscribe", "type": §}`} {
		add(injection{route: "POST /v1/users/{id}/mail-links", path: "/v1/users/" + self.id + "/mail-links", token: mailer(t), body: body})
	}
	add(injection{route: "POST /v1/users/{id}/mail-links", path: "/v1/users/§/mail-links", token: mailer(t), body: `{"kind": "verify"}`})
	add(injection{route: "PUT /v1/users/{id}/mail-state", path: "/v1/users/" + self.id + "/mail-state", token: mailer(t), body: `{"state": §}`})
	add(injection{route: "PUT /v1/users/{id}/mail-state", path: "/v1/users/§/mail-state", token: mailer(t), body: `{"state": "bounced"}`})

	add(injection{route: "POST /v1/boards", token: owner.token, body: `{"id": §}`})
	for _, name := range []string{"title", "combine", "order", "ties", "time_zone", "unit", "grace", "players", "state"} {
		add(injection{route: "PATCH /v1/boards/{board}", path: "/v1/boards/" + changed, token: owner.token, body: fmt.Sprintf(`{%q: §}`, name), back: name})
	}
	for _, name := range []string{"periods", "categories", "owners", "writers", "viewers"} {
		add(injection{route: "PATCH /v1/boards/{board}", path: "/v1/boards/" + changed, token: owner.token, body: fmt.Sprintf(`{%q: [§]}`, name), back: name + ".0"})
	}
	for _, name := range []string{"name", "cron", "start", "end"} {
		period := map[string]string{"name": `"s"`, "cron": `"0 0 * * *"`, name: "§"}
		if name == "start" || name == "end" {
			delete(period, "cron")
			for _, border := range []string{"start", "end"} {
				if period[border] == "" {
					period[border] = `"2026-01-01T00:00:00Z"`
				}
			}
		}
		var fields []string
		for k, v := range period {
			fields = append(fields, fmt.Sprintf("%q: %s", k, v))
		}
		add(injection{route: "PATCH /v1/boards/{board}", path: "/v1/boards/" + changed, token: owner.token, body: `{"periods": [{` + strings.Join(fields, ", ") + `}]}`})
	}
	add(injection{route: "PATCH /v1/boards/{board}", path: "/v1/boards/" + changed, token: owner.token, body: `{"catalogue": {§: 42}}`, back: "catalogue.§"})
	add(injection{route: "PATCH /v1/boards/{board}", path: "/v1/boards/§", token: owner.token, body: `{}`})
	add(injection{route: "GET /v1/boards/{board}", path: "/v1/boards/§"})
	add(injection{route: "GET /v1/boards/{board}", path: "/v1/boards/demo?§=1"})

	entries := injection{route: "POST /v1/boards/{board}/entries", path: "/v1/boards/" + filled + "/entries", token: owner.token}
	for _, field := range []struct{ body, back, look string }{
		{`"player": §, "points": 1`, "player", ""},
		{`"player": "p", "reason": §`, "reason", ""},
		{`"player": "p", "points": 1, "kind": §`, "", ""},
		{`"player": "p", "points": 1, "note": §`, "note", ""},
		{`"player": "p", "points": 1, "occurred_at": §`, "", ""},
		{`"player": "p", "points": 1, "metadata": {"a": [§]}`, "metadata.a.0", ""},
		{`"player": "p", "points": 1, "metadata": {§: 42}`, "metadata.§", ""},
		{`"player": "p", "points": 1, "key": §`, "", ""},
		{`"player": "p", "points": 1, "rename": true, "profile": {"display_name": §}`, "items.0.display_name", "/v1/boards/" + filled + "/standings?limit=1"},
		{`"player": "p", "points": 1, "profile": {"attributes": {"club": §}}`, "items.0.attributes.club", "/v1/boards/" + filled + "/standings?limit=1"},
		{`"player": "p", "points": 1, "profile": {"attributes": {§: "42"}}`, "items.0.attributes.§", "/v1/boards/" + filled + "/standings?limit=1"},
		{`"player": "p", "points": 1, "profile": {"country": §}`, "", ""},
		{`"player": "p", "points": 1, "profile": {"user": §}`, "", ""},
	} {
		i := entries
		i.body, i.back, i.look = "{"+field.body+"}", field.back, field.look
		if strings.Contains(field.body, "attributes") {
			// A player has at most 16 attributes, so clear the previous ones.
			want(t, 201, "POST", i.path, i.token, `{"player": "p", "points": 1, "profile": {"attributes": null}}`)
		}
		add(i)
	}
	for _, name := range []string{"Idempotency-Key", "Traceparent", "User-Agent", "Origin", "If-None-Match", "X-Request-Id", "X-Amzn-Trace-Id", "X-Forwarded-For"} {
		i := entries
		i.body, i.header = `{"player": "p", "points": 1}`, name
		add(i)
	}
	add(injection{route: entries.route, path: "/v1/boards/§/entries", token: owner.token, body: `{"player": "p", "points": 1}`})
	add(injection{route: entries.route, path: entries.path, body: `{"player": "p", "points": 1}`, header: "Authorization"})
	add(injection{route: entries.route, path: entries.path, token: owner.token, body: `{"player": "p", "points": 1}`, header: "Content-Type"})
	add(injection{route: "GET /v1/boards/{board}/entries/{entry}", path: "/v1/boards/" + filled + "/entries/§", token: owner.token})
	add(injection{route: "GET /v1/boards/{board}/entries/{entry}", path: "/v1/boards/§/entries/" + entry, token: owner.token})
	add(injection{route: "GET /v1/boards/{board}/standings/{player}", path: "/v1/boards/" + filled + "/standings/§"})
	for _, name := range []string{"period", "at", "category", "limit", "cursor", "around", "players", "min", "max", "country"} {
		add(injection{route: "GET /v1/boards/{board}/standings", path: "/v1/boards/" + filled + "/standings?" + name + "=§"})
	}
	reversal := injection{route: "POST /v1/boards/{board}/entries/{entry}/reversal", path: "/v1/boards/" + filled + "/entries/" + entry + "/reversal", token: owner.token}
	for _, body := range []string{`{"note": "why", "key": §}`, `{"note": §, "late": "x"}`} { // neither body is a valid reversal
		i := reversal
		i.body = body
		add(i)
	}
	add(injection{route: reversal.route, path: "/v1/boards/" + filled + "/entries/§/reversal", token: owner.token, body: `{"note": "why"}`})
	for _, item := range []string{
		`"board": §, "player": "p", "points": 1`, `"board": "` + filled + `", "player": §, "points": 1`, `"board": "` + filled + `", "player": "p", "points": 1, "note": §`,
		`"board": "` + filled + `", "player": "p", "points": 1, "key": §`, `"board": "` + filled + `", "reverses": §, "note": "why"`, `"board": "` + filled + `", §: 1`,
	} {
		add(injection{route: "POST /v1/entries/batch", token: owner.token, body: `{"entries": [{` + item + `}]}`})
	}
	add(injection{route: "POST /v1/entries/batch", token: owner.token, body: `{"entries": [{"board": "` + filled + `", "player": "p", "points": 1}]}`, header: "Idempotency-Key"})
	player := injection{route: "PATCH /v1/boards/{board}/players/{player}", path: "/v1/boards/" + filled + "/players/q", token: owner.token}
	want(t, 201, "PATCH", player.path, owner.token, `{}`)
	for field, back := range map[string]string{
		`"display_name": §`: "display_name", `"note": §, "status": "hidden"`: "note", `"attributes": {"club": §}`: "attributes.club", `"attributes": {§: "42"}, "status": "ranked"`: "attributes.§",
		`"country": §`: "country", `"user": §`: "user", `"status": §, "note": "why"`: "status",
	} {
		i := player
		i.body, i.back = "{"+field+"}", back
		add(i)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		for _, path := range []string{"/v1/players/me/links/" + filled + "/§", "/v1/players/me/links/§/q"} {
			add(injection{route: method + " /v1/players/me/links/{board}/{player}", path: path, token: owner.token})
		}
	}
	for _, name := range []string{"limit", "cursor"} {
		add(injection{route: "GET /v1/players/me/links", path: "/v1/players/me/links?" + name + "=§", token: owner.token})
	}
	add(injection{route: player.route, path: "/v1/boards/" + filled + "/players/§", token: owner.token, body: `{}`, back: "player"})
	add(injection{route: player.route, path: "/v1/boards/§/players/q", token: owner.token, body: `{}`})
	add(injection{route: "GET /v1/boards/{board}/players/{player}", path: "/v1/boards/" + filled + "/players/§", token: owner.token})
	add(injection{route: "DELETE /v1/boards/{board}/players/{player}/profile", path: "/v1/boards/" + filled + "/players/§/profile", token: owner.token})
	for _, name := range []string{"mine", "q", "limit", "cursor"} {
		add(injection{route: "GET /v1/boards", path: "/v1/boards?" + name + "=§", token: owner.token})
	}
	for _, name := range []string{"name", "limit", "cursor"} {
		add(injection{route: "GET /v1/boards/{board}/periods", path: "/v1/boards/" + filled + "/periods?" + name + "=§"})
		add(injection{route: "GET /v1/boards/{board}/categories", path: "/v1/boards/" + filled + "/categories?" + name + "=§"})
	}
	for _, name := range []string{"status", "q", "category", "limit", "cursor"} {
		add(injection{route: "GET /v1/boards/{board}/players", path: "/v1/boards/" + filled + "/players?" + name + "=§"})
	}
	for _, name := range []string{"player", "batch", "actor", "reason", "kind", "from", "to", "limit", "cursor"} {
		add(injection{route: "GET /v1/boards/{board}/entries", path: "/v1/boards/" + filled + "/entries?" + name + "=§", token: owner.token})
	}
	add(injection{route: "GET /v1/boards/{board}/entries", path: "/v1/boards/" + filled + "/entries?limit=1", token: owner.token, header: "Accept"})
	for _, list := range []string{"standings", "entries"} {
		route := "GET /v1/players/{user}/" + list
		add(injection{route: route, path: "/v1/players/§/" + list})
		add(injection{route: route, path: "/v1/players/" + self.id + "/" + list + "?cursor=§"})
	}
	const task = `"specversion": "1.0", "id": "1", "type": "t", "source": "/hostile", "subject": "task"`
	taker := injection{route: "POST /v1/audit/events", path: "/v1/audit/events", token: root}
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "notify", "traceparent", "team", "actor", "data_base64"} {
		i, members := taker, strings.Split(task, ", ")
		// Each text is also the id: another event with the same one would be refused.
		members = slices.DeleteFunc(members, func(m string) bool { return strings.HasPrefix(m, `"`+name+`"`) || strings.HasPrefix(m, `"id"`) })
		i.body = `{` + strings.Join(members, ", ") + `, "id": §}`
		if name != "id" {
			i.body = strings.Replace(i.body, "{", `{"`+name+`": §, `, 1)
		}
		if name == "id" || name == "type" || name == "subject" || name == "team" {
			i.back, i.suffix = name, unique("")
		}
		add(i)
	}
	for field, back := range map[string]string{`"data": {"a": [§]}`: "data.a.0", `"data": {§: "42"}`: "data.§", `§: "42"`: ""} {
		i := taker
		i.body, i.back = `{`+strings.Replace(task, `"1"`, `"`+unique("hostile")+`"`, 1)+`, `+field+`}`, back
		add(i)
	}
	for _, name := range []string{"Ce-Id", "Ce-Subject", "Ce-Team", "Content-Type"} {
		i := taker
		i.body, i.header = `{`+task+`}`, name
		add(i)
	}
	add(injection{route: "GET /v1/audit/events/{logid}", path: "/v1/audit/events/§", token: root})
	for _, name := range []string{"subject", "actor", "type", "from", "to", "order", "limit", "cursor"} {
		add(injection{route: "GET /v1/audit/events", path: "/v1/audit/events?" + name + "=§", token: root})
		add(injection{route: "GET /v1/audit/export", path: "/v1/audit/export?" + name + "=§", token: root})
	}
	return all
}

func (i injection) send(t *testing.T, text string) answer {
	t.Helper()
	method, pattern, _ := strings.Cut(i.route, " ")
	path := i.path
	if path == "" {
		path = pattern
	}
	escape := url.PathEscape
	if strings.Contains(path, "?") {
		escape = url.QueryEscape
	}
	var headers []string
	if i.header != "" {
		headers = []string{i.header, text}
	}
	return send(t, method, strings.ReplaceAll(path, "§", escape(text)), i.token, strings.ReplaceAll(i.body, "§", quote(text+i.suffix)), headers...)
}

// kept returns the form in which the field of the answer keeps a text.
func (i injection) kept(text string) string {
	switch {
	case i.back == "note":
		return strings.ReplaceAll(text, "\r\n", "\n")
	case strings.HasPrefix(i.back, "metadata"), i.route == "POST /v1/audit/events":
		return text
	}
	return norm.NFC.String(text)
}

// Every text on every route is either refused with a 4xx, or stored and returned
// in the form that its field keeps. It appears in no header and in no log.
func TestHostileTexts(t *testing.T) {
	all := injections(t)
	ids := map[string]string{} // by request id: what was sent
	taken := map[string]int{}  // by place: how many texts it accepted
	for _, i := range all {
		for _, text := range hostile {
			if i.header != "" && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
				continue // no client library sends it; smuggling_test.go uses raw TCP
			}
			what := fmt.Sprintf("%s %s %s with %.40q", i.route, i.body, i.header, text)
			a := i.send(t, text)
			if a.status >= 500 || a.status >= 300 && a.status < 400 {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
			if strings.Contains(fmt.Sprint(a.header), "X-Injected") {
				t.Errorf("%s: the answer's header is %v", what, a.header)
			}
			id := a.header.Get("X-Request-Id")
			if id == "" || ids[id] != "" {
				t.Errorf("%s: its request id %q is also that of %q", what, id, ids[id])
			}
			ids[id] = what
			if a.status >= 300 || i.back == "" {
				continue
			}
			taken[i.route+" "+i.body]++
			if i.look != "" {
				a = want(t, 200, "GET", i.look, i.token, "")
			}
			var at []any
			for step := range strings.SplitSeq(i.back, ".") {
				switch step {
				case "§":
					at = append(at, i.kept(text))
				case "0":
					at = append(at, 0)
				default:
					at = append(at, step)
				}
			}
			expected := any(i.kept(text) + i.suffix)
			if strings.HasSuffix(i.back, "§") {
				expected = "42" // the text is a name, and this its value
			}
			if got := a.json(t, at...); got != expected {
				t.Errorf("%s came back as %q: %s", what, got, a.body)
			}
		}
	}
	for _, body := range []string{`"display_name": §`, `"name": §`, `"title": §`, `"note": §`, `"metadata": {"a": [§]}`, `"metadata": {§: 42}`, `"catalogue": {§: 42}`, `"profile": {"display_name": §}`} {
		n := 0
		for place, times := range taken {
			if strings.Contains(place, body) {
				n += times
			}
		}
		if n < 5 {
			t.Errorf("%s accepted only %d of %d texts, so the test proves little", body, n, len(hostile))
		}
	}
	for _, r := range web.Routes {
		free := strings.Contains(r.Pattern, "{") || r.Method == "POST" || r.Method == "PATCH" || r.Method == "PUT"
		tried := false
		for _, i := range all {
			tried = tried || i.route == r.Method+" "+r.Pattern
		}
		if free && !tried {
			t.Errorf("%s %s accepts texts but is not tested", r.Method, r.Pattern)
		}
	}
	oneLineEach(t, ids)
	// The tables still exist and accept rows.
	if id := person(t, access.Member).id; want(t, 200, "GET", "/v1/users/"+id, "", "").text(t, "id") != id {
		t.Error("a new account cannot be read")
	}
}

// oneLineEach checks that each request has exactly one line in the log, and that a
// client forged none.
func oneLineEach(t *testing.T, ids map[string]string) {
	t.Helper()
	var log []byte
	lines := map[string]int{}
	eventually(t, "every request has its log line", func() bool {
		var err error
		if log, err = os.ReadFile(stack.File("laptop.log")); err != nil {
			t.Fatal(err)
		}
		clear(lines)
		for line := range bytes.Lines(log) {
			if _, after, ok := bytes.Cut(line, []byte(`"message":"request"`)); ok {
				if _, after, ok = bytes.Cut(after, []byte(`"request_id":"`)); ok {
					lines[string(after[:36])]++
				}
			}
		}
		for id := range ids {
			if lines[id] == 0 {
				return false
			}
		}
		return true
	})
	for id, what := range ids {
		if lines[id] != 1 {
			t.Errorf("%s: %d lines of the request", what, lines[id])
		}
	}
	if bytes.ContainsAny(log, "\x00\x1b\x07\x08\v") {
		t.Error("the log contains control characters")
	}
	for line := range bytes.Lines(log) {
		if bytes.HasPrefix(line, []byte(`{"level"`)) || bytes.HasPrefix(line, []byte("break")) || bytes.HasPrefix(line, []byte("X-Injected")) {
			t.Errorf("a client forged the line %s", line)
		}
	}
}

// A password may be any text, and all of it counts.
func TestHostilePasswords(t *testing.T) {
	for i, text := range hostile {
		email := unique("pass") + "@example.com"
		body := func(password string) string {
			return fmt.Sprintf(`{"email": %q, "password": %s}`, email, quote(password))
		}
		a := send(t, "POST", "/v1/users", "", strings.Replace(body(text), "{", `{"display_name": "x", `, 1))
		if refused := len(text) < 10 || len(text) > 256 || strings.ContainsRune(text, 0); refused != (a.status == 400) || !refused && a.status != 201 {
			t.Errorf("text %d: %d %s", i, a.status, a.body)
		} else if !refused {
			want(t, 201, "POST", "/v1/sessions", "", body(text))
			want(t, 401, "POST", "/v1/sessions", "", body(text[:len(text)-1]))
		}
	}
}
