package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
	"plaudit/tests/openapi"
)

// documented checks every answer of the run against the OpenAPI document.
var documented undocumented

type undocumented struct {
	once   sync.Once
	doc    *openapi.Document
	mu     sync.Mutex
	faults []string
}

func (u *undocumented) read(method, path string, a answer) {
	u.once.Do(func() {
		var err error
		if u.doc, err = openapi.Load(web.OpenAPI()); err != nil {
			panic(err)
		}
	})
	if err := u.doc.Check(method, path, a.status, a.header, a.body); err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.faults = append(u.faults, err.Error())
	}
}

// err returns an error with the answers that were not as documented. It is called
// after all tests.
func (u *undocumented) err() error {
	if len(u.faults) == 0 {
		return nil
	}
	return fmt.Errorf("%d answers differ from shared/web/openapi.yaml, such as\n%s",
		len(u.faults), strings.Join(u.faults[:min(len(u.faults), 20)], "\n"))
}

// The stack serves the document of the source to anyone, and caches may keep it.
func TestOpenAPIDocumentIsServed(t *testing.T) {
	a := want(t, 200, "GET", "/v1/openapi.json", "", "")
	if a.body != string(web.OpenAPI()) || a.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(a.header.Get("Cache-Control"), "public, max-age=") {
		t.Errorf("%v %.200s", a.header, a.body)
	}
	want(t, 304, "GET", "/v1/openapi.json", "", "", "If-None-Match", a.header.Get("ETag"))
}

// Routes accept exactly the documented query parameters. They refuse any other one,
// and list the accepted ones.
func TestQueryParametersAreTheDocumentedOnes(t *testing.T) {
	root := person(t, access.Admin)
	board := root.board(t, "")
	doc, err := openapi.Load(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range web.Routes {
		op := doc.Operation(r.Method, r.Pattern)
		if _, refuses := op["responses"].(map[string]any)["400"]; !refuses { // it reads no query
			continue
		}
		if r.Pattern == "/verify" || r.Pattern == "/reset" { // mail programs add parameters to links
			continue
		}
		var names []string
		for _, p := range op["parameters"].([]any) {
			if p := p.(map[string]any); p["in"] == "query" {
				names = append(names, p["name"].(string))
			}
		}
		slices.Sort(names)
		path := strings.NewReplacer("{board}", board, "{entry}", root.id, "{player}", "p", "{user}", root.id, "{id}", root.id, "{token}", "x", "{logid}", "x").Replace(r.Pattern)
		token := root.token
		if r.For == web.Mailer {
			token = mailer(t)
		}
		a := want(t, 400, r.Method, path+"?nonsense=1", token, "{}")
		_, list, _ := strings.Cut(a.text(t, "detail"), "which accepts ")
		known := strings.Split(list, ", ")
		if list == "none" {
			known = nil
		}
		slices.Sort(known)
		if !slices.Equal(names, known) {
			t.Errorf("%s %s is documented with %v but accepts %v", r.Method, r.Pattern, names, known)
		}
	}
}
