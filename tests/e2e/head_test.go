package e2e

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
)

// HEAD has the status and the headers of GET on every route, behind the load balancer
// too, and states the length of GET's body.
func TestHEADHasTheHeadersOfGET(t *testing.T) {
	root := person(t, access.Admin)
	board := root.board(t, `, "categories": ["sex"]`)
	entry := want(t, 201, "POST", "/v1/boards/"+board+"/entries", root.token, `{"player": "p", "points": 1}`).text(t, "id")
	subject := unique("task/head-")
	logid := want(t, 201, "POST", "/v1/audit/events", root.token, fmt.Sprintf(`{"specversion": "1.0", "id": "1", "source": %q, "type": "t", "subject": %q}`, "/"+subject, subject)).text(t, "logid")
	fill := strings.NewReplacer("{board}", board, "{entry}", entry, "{player}", "p", "{user}", root.id, "{id}", root.id, "{logid}", logid,
		"/v1/unsubscribe/{token}", root.mailLink(t, `{"kind": "unsubscribe", "type": "other"}`))
	// Lists that other tests write to.
	queries := map[string]string{"/v1/audit/events": "?subject=" + subject, "/v1/audit/export": "?to=2000-01-01T00:00:00Z"}
	// comparable returns the headers that do not differ between any two requests.
	comparable := func(a answer) http.Header {
		h := a.header.Clone()
		for _, name := range []string{"Date", "X-Request-Id"} {
			h.Del(name)
		}
		return h
	}
	same := func(status int, path, token string, headers ...string) answer {
		t.Helper()
		get, head := send(t, "GET", path, token, "", headers...), send(t, "HEAD", path, token, "", headers...)
		if get.status != status || head.status != status || head.body != "" || !reflect.DeepEqual(comparable(get), comparable(head)) {
			t.Errorf("%s %v: GET %d %v, HEAD %d %v %q", path, headers, get.status, get.header, head.status, head.header, head.body)
		}
		length := head.header.Get("Content-Length")
		if status == http.StatusNotModified {
			if length != "" {
				t.Errorf("%s: the 304 has a length of %s", path, length)
			}
		} else if status != http.StatusNotFound && length != strconv.Itoa(len(get.body)) {
			t.Errorf("%s: HEAD has a length of %q, GET %d bytes", path, length, len(get.body))
		}
		return get
	}
	for _, r := range web.Routes {
		if r.Method != "GET" {
			continue
		}
		path := fill.Replace(r.Pattern) + queries[r.Pattern]
		for _, accept := range []string{"application/json", "text/csv"} {
			a := same(200, path, root.token, "Accept", accept)
			if tag := a.header.Get("ETag"); tag != "" {
				same(304, path, root.token, "Accept", accept, "If-None-Match", tag)
			}
		}
	}
	// A problem contains the id of its request, so both have the same length.
	for _, path := range []string{"/v1/boards/none", "/v1/none", "/v1/boards/" + board + "/players/none"} {
		same(404, path, "")
		if a := send(t, "HEAD", path, "", ""); a.header.Get("Content-Length") == "0" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	// Pages of every origin may read what anybody may read.
	path := "/v1/boards/" + board + "/standings"
	for _, method := range []string{"GET", "HEAD"} {
		a := want(t, 200, method, path, "", "", "Origin", "https://example.org")
		b := want(t, 304, method, path, "", "", "Origin", "https://example.org", "If-None-Match", a.header.Get("ETag"))
		for _, h := range []http.Header{a.header, b.header} {
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
				t.Errorf("%s: %v", method, h)
			}
		}
	}
}
