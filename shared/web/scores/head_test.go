package scores_test

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"plaudit/shared/web"
)

// readings returns a target of each route of score-query that anybody may read, with the
// status 200, and the parts of a pattern that others replace.
func (s *scoreStack) readings(board string) (targets []string, fill *strings.Replacer) {
	s.Helper()
	s.must(201, "owner", "POST", "/v1/boards", `{"id":"`+board+`","categories":["sex"]}`)
	e := s.must(201, "owner", "POST", "/v1/boards/"+board+"/entries", `{"player":"p","points":1,"profile":{"attributes":{"sex":"f"}}}`)
	fill = strings.NewReplacer("{board}", board, "{entry}", e["id"].(string), "{player}", "p", "{user}", "u")
	for _, r := range web.Routes {
		if r.Deployable == "score-query" && r.For != web.People {
			targets = append(targets, fill.Replace(r.Pattern))
		}
	}
	return targets, fill
}

// A HEAD has the status and the headers of a GET, the length of its body included
// (https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2).
func TestHEADHasTheHeadersOfGET(t *testing.T) {
	s := startScores(t)
	targets, _ := s.readings("b")
	same := func(status int, target string, headers ...string) http.Header {
		t.Helper()
		get, head := s.send("", "GET", target, "", headers...), s.send("", "HEAD", target, "", headers...)
		length := ""
		if status != http.StatusNotModified {
			length = strconv.Itoa(get.Body.Len())
		}
		if get.Code != status || head.Code != status || !reflect.DeepEqual(get.Header(), head.Header()) || head.Header().Get("Content-Length") != length {
			t.Errorf("%s %v: GET %d %v, HEAD %d %v", target, headers, get.Code, get.Header(), head.Code, head.Header())
		}
		return get.Header()
	}
	for _, target := range targets {
		for _, accept := range []string{"application/json", "text/csv"} {
			h := same(200, target, "Accept", accept)
			if h.Get("ETag") == "" {
				continue
			}
			// https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5
			again := same(304, target, "Accept", accept, "If-None-Match", h.Get("ETag"))
			for _, name := range []string{"Cache-Control", "ETag", "Vary", "Link"} {
				if !reflect.DeepEqual(h.Values(name), again.Values(name)) {
					t.Errorf("%s: the 304 has %s %q, the 200 %q", target, name, again.Values(name), h.Values(name))
				}
			}
			if again.Get("Content-Type") != "" {
				t.Errorf("%s: the 304 has the Content-Type %s", target, again.Get("Content-Type"))
			}
		}
		same(400, target+"?nonsense=1")
	}
	same(404, "/v1/boards/none")
	same(404, "/v1/none")
	same(401, "/v1/boards?mine=true")
}
