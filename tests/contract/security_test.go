package contract

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The items of ASVS 4.0.3 that level 2 asks for in chapters V2, V3 and V4.
const asvs = `2.1.1 2.1.2 2.1.3 2.1.4 2.1.5 2.1.6 2.1.7 2.1.8 2.1.9 2.1.10 2.1.11 2.1.12 2.2.1 2.2.2 2.2.3 2.3.1 2.3.2 2.3.3
	2.4.1 2.4.2 2.4.3 2.4.4 2.4.5 2.4.6 2.5.1 2.5.2 2.5.3 2.5.4 2.5.5 2.5.6 2.5.7 2.6.1 2.6.2 2.6.3 2.7.1 2.7.2 2.7.3 2.7.4 2.7.5 2.7.6
	2.8.1 2.8.2 2.8.3 2.8.4 2.8.5 2.8.6 2.8.7 2.9.1 2.9.2 2.9.3 2.10.1 2.10.2 2.10.3 2.10.4
	3.1.1 3.2.1 3.2.2 3.2.3 3.2.4 3.3.1 3.3.2 3.3.3 3.3.4 3.4.1 3.4.2 3.4.3 3.4.4 3.4.5 3.5.1 3.5.2 3.5.3 3.7.1
	4.1.1 4.1.2 4.1.3 4.1.5 4.2.1 4.2.2 4.3.1 4.3.2 4.3.3`

// docs/security.md answers every item once, and names only tests and files that
// exist.
func TestSecurityPageIsWholeAndPointsAtWhatIsThere(t *testing.T) {
	page := read(t, "docs", "security.md")
	var items []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9., ]+) \| .* \| (held|in part|not held|n/a) \| .+ \|$`).FindAllStringSubmatch(page, -1) {
		items = append(items, strings.Split(row[1], ", ")...)
	}
	if want := strings.Fields(asvs); !slices.Equal(items, want) {
		t.Errorf("the tables have the items\n%v, want\n%v", items, want)
	}

	grep := exec.Command("grep", "-rhoE", `^func Test\w+`, "--include=*_test.go", ".")
	grep.Dir = root
	out, err := grep.Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := strings.Fields(strings.ReplaceAll(string(out), "func ", ""))
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(page, -1)
	files := regexp.MustCompile("`((?:shared|functions|services|cmd|tests|events|template)[/.][\\w/.-]*)`").FindAllStringSubmatch(page, -1)
	if len(named) < 20 || len(files) < 5 {
		t.Errorf("the page names only %d tests and %d files", len(named), len(files))
	}
	for _, name := range named {
		if !slices.Contains(tests, name[1]) {
			t.Errorf("docs/security.md names %s, which is not a test", name[1])
		}
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(root, name[1])); err != nil {
			t.Errorf("docs/security.md names a file that does not exist: %v", err)
		}
	}
}
