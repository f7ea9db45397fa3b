package openapi

import (
	"net/http"
	"strings"
	"testing"
)

const small = `{"openapi": "3.1.0", "info": {"title": "t", "version": "1"},
"paths": {
  "/things/{id}": {"get": {"responses": {
    "200": {"$ref": "#/components/responses/Thing"},
    "404": {"description": "none", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
  }}, "delete": {"responses": {"204": {"description": "gone"}}}},
  "/things/best": {"get": {"responses": {"200": {"description": "a table", "content": {"text/csv": {"schema": {"type": "string"}}}}}}}
},
"components": {
  "responses": {"Thing": {"description": "it", "headers": {"ETag": {"required": true}, "Link": {}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
  "schemas": {
    "Thing": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}, "free": {"type": "object", "additionalProperties": true}}},
    "Problem": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
  }}}`

// Check detects every kind of difference; otherwise its success would mean
// nothing.
func TestCheck(t *testing.T) {
	d, err := Load([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	const id = `{"id": "0198c0de-0000-7000-8000-000000000000"`
	for _, c := range []struct {
		method, path string
		status       int
		header       string // name: value, separated by semicolons
		body         string
		want         string // part of the error, empty if none
	}{
		{"GET", "/things/1", 200, "ETag: x; Content-Type: application/json", id + `}`, ""},
		{"GET", "/things/1?q=%2F", 200, "ETag: x; Content-Type: application/json", id + `, "free": {"any": 1}}`, ""},
		{"GET", "/things/a%2Fb", 404, "Content-Type: application/problem+json", `{"type": "x"}`, ""},
		{"HEAD", "/things/1", 200, "ETag: x; Content-Type: application/json", "", ""},
		{"DELETE", "/things/1", 204, "", "", ""},
		{"DELETE", "/things/best", 204, "", "", "status is not documented"},
		{"OPTIONS", "/things/1", 204, "Allow: GET", "", ""},
		{"PUT", "/things/1", 405, "Allow: GET; Content-Type: application/problem+json", `{"type": "x"}`, ""},
		{"GET", "/other", 404, "Content-Type: application/problem+json", `{"type": "x"}`, ""},
		{"GET", "/things/best", 200, "Content-Type: text/csv; charset=utf-8", "a,b", ""},
		{"GET", "/things/1", 502, "Content-Type: text/html", "<html>", ""},

		{"GET", "/things/1", 201, "ETag: x; Content-Type: application/json", id + `}`, "status is not documented"},
		{"GET", "/things/1", 500, "Content-Type: application/problem+json", `{"type": "x"}`, "status is not documented"},
		{"GET", "/things/1", 200, "Content-Type: application/json", id + `}`, "ETag"},
		{"GET", "/things/1", 200, "ETag: x; Content-Type: application/json", id + `, "more": 1}`, "additional properties"},
		{"GET", "/things/1", 200, "ETag: x; Content-Type: application/json", `{}`, "missing propert"},
		{"GET", "/things/1", 200, "ETag: x; Content-Type: application/json", `{"id": "1"}`, "uuid"},
		{"GET", "/things/1", 200, "ETag: x; Content-Type: application/json", `{"id`, "EOF"},
		{"GET", "/things/1", 200, "ETag: x; Content-Type: text/plain", id + `}`, "media type"},
		{"GET", "/things/best", 200, "Content-Type: application/json", id + `}`, "media type"},
		{"DELETE", "/things/1", 204, "", "x", "body"},
		{"PUT", "/things/1", 405, "Content-Type: application/problem+json", `{"type": "x"}`, "Allow"},
		{"PUT", "/things/1", 204, "", "", "status is not documented"},
		{"GET", "/other", 404, "Content-Type: application/problem+json", `{"type": 1}`, "got number"},
		{"GET", "/other", 200, "Content-Type: application/json", `{}`, "status is not documented"},
	} {
		header := http.Header{}
		for pair := range strings.SplitSeq(c.header, "; ") {
			if name, value, ok := strings.Cut(pair, ": "); ok {
				header.Set(name, value)
			}
		}
		err := d.Check(c.method, c.path, c.status, header, c.body)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s %d %s %s: %v, want %q", c.method, c.path, c.status, c.header, c.body, err, c.want)
		}
	}
}
