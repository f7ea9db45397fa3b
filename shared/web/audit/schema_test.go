package audit

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"plaudit/shared/event"
	"plaudit/shared/web"
	"plaudit/shared/web/webtest"
	"plaudit/tests/openapi"
)

func TestSchemasAreTheStructs(t *testing.T) {
	webtest.CheckSchemas(t, map[string]any{
		"EventReceipts": receiptsOut{},
		"EventReceipt":  receiptOut{},
		"EventList":     web.Page{},
	})
}

// Each kind of answer is documented.
func TestAnswersAreDocumented(t *testing.T) {
	doc, err := openapi.Load(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t)
	s.ours(board("x", "o"), player("x", "7", "p"))
	logid := event.LogID("/tracker", "1")
	for _, c := range []struct {
		status                      int
		token, method, target, body string
		headers                     []string
	}{
		{201, "sender", "POST", events, with(`"a": 1, "b": true, "data": null`), nil},
		{200, "sender", "POST", events, with(`"a": 1, "b": true, "data": null`), nil},
		{422, "sender", "POST", events, without(""), nil},
		{201, "sender", "POST", events, `[` + replaced("id", "2") + `]`, nil},
		{200, "sender", "POST", events, `[` + replaced("id", "2") + `]`, nil},
		{400, "sender", "POST", events, `[]`, nil},
		{415, "sender", "POST", events, `[]`, []string{"Content-Type", "text/plain"}},
		{413, "sender", "POST", events, strings.Repeat(" ", 1_000_001), nil},
		{403, "member", "POST", events, `[]`, nil},
		{401, "", "POST", events, `[]`, nil},
		{200, "admin", "GET", events + "?limit=1", "", nil},
		{200, "admin", "GET", events, "", []string{"Accept", "text/csv"}},
		{400, "member", "GET", events, "", nil},
		{403, "member", "GET", events + "?type=x", "", nil},
		{200, "admin", "GET", events + "/" + logid, "", nil},
		{200, "admin", "GET", events + "/" + logid + "?raw=true", "", nil},
		{404, "member", "GET", events + "/" + logid, "", nil},
		{403, "sender", "GET", events + "/" + logid, "", nil},
		{200, "admin", "GET", "/v1/audit/export", "", nil},
		{200, "admin", "GET", "/v1/audit/export", "", []string{"Accept", "text/csv"}},
		{403, "member", "GET", "/v1/audit/export?type=x", "", nil},
		{405, "admin", "DELETE", events + "/" + logid, "", nil},
	} {
		w := s.send(c.token, c.method, c.target, c.body, c.headers...)
		if w.Code != c.status {
			t.Errorf("%s %s %.100s as %s: %d %s, want %d", c.method, c.target, c.body, c.token, w.Code, w.Body, c.status)
		}
		if err := doc.Check(c.method, c.target, w.Code, w.Header(), w.Body.String()); err != nil {
			t.Error(err)
		}
		if tag := w.Header().Get("ETag"); tag != "" {
			again := s.send(c.token, c.method, c.target, "", append(c.headers, "If-None-Match", tag)...)
			if err := doc.Check(c.method, c.target, again.Code, again.Header(), again.Body.String()); err != nil || again.Code != http.StatusNotModified {
				t.Errorf("%s: %d %v", c.target, again.Code, err)
			}
		}
	}
}

// The document's example is an event that the log takes.
func TestTheExampleIsTaken(t *testing.T) {
	doc, err := openapi.Load(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	body := doc.Operation("POST", events)["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["example"]
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	newStack(t).want(201, "sender", "POST", events, string(text))
}
