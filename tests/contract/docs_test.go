package contract

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"plaudit/shared/fault"
	"plaudit/shared/web"
)

// docs/errors.md is where a client's author looks a type up.
func TestEveryErrorIsDocumented(t *testing.T) {
	text := read(t, "docs", "errors.md")
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d+) \\|").FindAllStringSubmatch(text, -1) {
		documented[m[1]] = m[2]
	}
	for _, k := range fault.Kinds() {
		if got, want := documented[string(k)], fmt.Sprint(k.Status()); got != want {
			t.Errorf("docs/errors.md gives %s the status %q, want %s", k, got, want)
		}
		delete(documented, string(k))
	}
	for k := range documented {
		t.Errorf("docs/errors.md lists %s, which nothing sends", k)
	}
}

// A route that the guide does not speak of is one that nobody finds.
func TestEveryRouteIsInTheGuide(t *testing.T) {
	guide := read(t, "docs", "guide.md")
	for _, r := range web.Routes {
		if !strings.Contains(guide, r.Method+" "+r.Pattern) {
			t.Errorf("docs/guide.md does not name %s %s", r.Method, r.Pattern)
		}
	}
}
