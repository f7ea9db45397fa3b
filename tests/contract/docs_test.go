package contract

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"plaudit/shared/problem"
	"plaudit/shared/web"
)

// docs/errors.md documents every type of problem.
func TestEveryErrorIsDocumented(t *testing.T) {
	text := read(t, "docs", "errors.md")
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d+) \\|").FindAllStringSubmatch(text, -1) {
		documented[m[1]] = m[2]
	}
	for _, k := range problem.Kinds() {
		if got, want := documented[string(k)], fmt.Sprint(problem.Status(k)); got != want {
			t.Errorf("docs/errors.md has the status %q for %s, want %s", got, k, want)
		}
		delete(documented, string(k))
	}
	for k := range documented {
		t.Errorf("docs/errors.md lists %s, which is not a kind of fault", k)
	}
}

// docs/guide.md names every route.
func TestEveryRouteIsInTheGuide(t *testing.T) {
	guide := read(t, "docs", "guide.md")
	for _, r := range web.Routes {
		if !strings.Contains(guide, r.Method+" "+r.Pattern) {
			t.Errorf("docs/guide.md does not name %s %s", r.Method, r.Pattern)
		}
	}
}

// docs/guide.md has the limit of every route's body.
func TestTheGuideHasTheLimitsOfBodies(t *testing.T) {
	got, want := map[string]string{}, map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9,]+) bytes \| (.*) \|$`).FindAllStringSubmatch(read(t, "docs", "guide.md"), -1) {
		for _, route := range regexp.MustCompile("`([A-Z]+ /[^`]*)`").FindAllStringSubmatch(row[2], -1) {
			got[route[1]] = row[1]
		}
	}
	for _, r := range web.Routes {
		if r.Body > 0 {
			want[r.Method+" "+r.Pattern] = thousands(r.Body)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("docs/guide.md has\n%v, want\n%v", got, want)
	}
}

// The README's table has a reason for every dependency.
func TestEveryDependencyHasAReason(t *testing.T) {
	direct, _, _ := strings.Cut(read(t, "go.mod"), "// indirect")
	readme := read(t, "README.md")
	table := readme[strings.Index(readme, "## Dependencies"):]
	found := regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(direct, -1)
	if len(found) < 10 {
		t.Fatalf("go.mod names only %d modules", len(found))
	}
	for _, m := range found {
		name := strings.TrimPrefix(m[1], "github.com/")
		// A module below another one in the table belongs to it.
		for !strings.Contains(table, name) && strings.Count(name, "/") > 1 {
			name = name[:strings.LastIndex(name, "/")]
		}
		if !strings.Contains(table, name) {
			t.Errorf("the README's table has no reason for %s", m[1])
		}
	}
}
