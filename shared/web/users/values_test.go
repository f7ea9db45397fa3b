package users_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"plaudit/shared/access"
)

// Values have the same form as in the requests of boards; the tests of package web
// hold the parsers themselves.
func TestValuesAreTheSameEverywhere(t *testing.T) {
	u := startUsers(t, generous)
	_, token := u.loggedIn(access.Admin)
	field := func(a answer) string { return a.str("field") }

	for _, at := range []string{"2999-01-01T00:00:00Z", "2999-01-01T00:00:00.5+15:59", "2999-01-01T00:00:00+16:00", "2999-01-01T00:00:00-23:59", "9999-12-31T23:59:59.9999999Z"} {
		u.want(u.makeKey(token, `{"name": "x", "scopes": ["read"], "expires_at": "`+at+`"}`), 201, "")
	}
	for _, at := range []string{
		"", "infinity", "2999-01-01", "2999-01-01T1:00:00Z", "2999-01-01T00:00:00,5Z", "2999-01-01T00:00:00+24:00", "2999-01-01T00:00:00+00:60", "2999-01-01t00:00:00z",
		"2999-01-01 00:00:00Z", "2999-02-29T00:00:00Z", "2999-01-01T00:00:60Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00Z", " 2999-01-01T00:00:00Z",
	} {
		text, _ := json.Marshal(at)
		if a := u.makeKey(token, `{"name": "x", "scopes": ["read"], "expires_at": `+string(text)+`}`); a.status != 400 || field(a) != "expires_at" {
			t.Errorf("expires_at %q: %d %s", at, a.status, a.text)
		}
	}

	for _, list := range []string{"/v1/users", "/v1/sessions", "/v1/keys"} {
		for limit, status := range map[string]int{
			"1": 200, "100": 200, "0": 400, "-0": 400, "101": 400, "+1": 400, "01": 400, "1.0": 400, "1e1": 400, "1_0": 400, " 1": 400, "1 ": 400, "0x1": 400, "\u0661": 400, "": 400,
			"9223372036854775808": 400,
		} {
			if a := u.send("GET", list+"?limit="+url.QueryEscape(limit), token, ""); a.status != status || status == 400 && field(a) != "limit" {
				t.Errorf("%s, limit %q: %d %s", list, limit, a.status, a.text)
			}
		}
		name := strings.TrimPrefix(list, "/v1/")
		const id = "01a20075-fb21-7f26-936d-76ca57b266da"
		for doc, status := range map[string]int{
			`{"l":"` + name + `","p":"` + id + `"}`:                  200,
			`{"L":"` + name + `","P":"` + id + `"}`:                  400,
			`{"l":"` + name + `","p":"` + strings.ToUpper(id) + `"}`: 400,
			`{"l":"` + name + `","p":"urn:uuid:` + id + `"}`:         400,
			`{"l":"` + name + `","p":1}`:                             400,
			`{"l":"` + name + `","p":null}`:                          400,
			`{"l":"` + name + `","p":"` + id + `"}{}`:                400,
			`{"l":"` + name + `","p":"` + id + `","x":1}`:            400,
		} {
			if a := u.send("GET", list+"?cursor="+base64.RawURLEncoding.EncodeToString([]byte(doc)), token, ""); a.status != status || status == 400 && field(a) != "cursor" {
				t.Errorf("%s, cursor %s: %d %s", list, doc, a.status, a.text)
			}
		}
	}

	for value, status := range map[string]int{"true": 200, "false": 200, "1": 400, "0": 400, "null": 400, `"true"`: 400, "True": 400, "[]": 400} {
		if a := u.send("PATCH", "/v1/users/me", token, `{"mail": {"plaudit.entry.adjusted": `+value+`}}`); a.status != status {
			t.Errorf("mail %s: %d %s", value, a.status, a.text)
		}
	}

	for _, text := range []string{`\`, `\\`, `%`, `_`, `'`, `{}`, "\u0130", "\uffff", "\U0010ffff", "\x01", "\x00", "\xff"} {
		for _, target := range []string{"/v1/users?q=", "/v1/users?email=", "/v1/users/", "/v1/keys?cursor="} {
			if a := u.send("GET", target+url.QueryEscape(text), token, ""); a.status >= 500 {
				t.Errorf("%s%q: %d %s", target, text, a.status, a.text)
			}
		}
	}
}
