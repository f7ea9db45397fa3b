// Package style tests the check of the project's English.
package style

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const script = "../../tools/english.sh"

// check runs the script on a folder of these files, and returns the lines that
// it refuses.
func check(t *testing.T, files map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(script, dir).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v: %s", err, out)
	}
	var refused []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "\t") {
			refused = append(refused, strings.TrimPrefix(strings.TrimSpace(line), dir+"/"))
		} else if strings.TrimSpace(strings.TrimPrefix(line, "\tinstead:")) == "" {
			t.Errorf("a rule has no advice: %q", line)
		}
	}
	if (err != nil) != (len(refused) > 0) {
		t.Errorf("the script returned %v, but refused %d lines", err, len(refused))
	}
	return refused
}

// bad has a line for each rule of the script.
var bad = []string{
	"// Board gives the board.",
	"// It never gives nil.",
	"// Valid says whether it may.",
	"// It is made anew.",
	"// It is none that we know.",
	"// It is the value of then.",
	"// It stands there twice.",
	`faults.Add("around", "cannot stand beside a cursor")`,
	`faults.Add("users", "may name %d users")`,
	"// The row is not there.",
	"// It fails unless there is such a row.",
	"// The row tells of it.",
	"// Whoever comes first wins.",
	"// The request has a fault.",
	"// It is the first instant that is too late.",
	"// The token is of no session that goes on.",
	"// It is nil where there is none.",
	"// A player that is nobody's.",
	"// When it closes says the database.",
	"// A parameter that nobody knows.",
	"// Same holds that two answers are the same.",
	"// Check holds a document against its schema.",
	"// The text may hold anything.",
	"// It would wait for ever.",
	"// It is nil where nothing was sent.",
	"// The body is no JSON.",
	"// Send the cursor of the page before.",
	"// The text is stored as it came.",
}

func TestEachRuleRefusesABadLine(t *testing.T) {
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(text), "<<'RULES'\n")
	rules, _, _ = strings.Cut(rules, "\nRULES\n")
	count := 0
	for rule := range strings.SplitSeq(rules, "\n") {
		pattern, advice, ok := strings.Cut(rule, " => ")
		if !ok || pattern == "" || advice == "" {
			t.Errorf("%q is not a rule", rule)
		}
		count++
	}
	if count != len(bad) {
		t.Errorf("%d rules, but %d bad lines", count, len(bad))
	}
	for _, line := range bad {
		if got := check(t, map[string]string{"a.go": "package a\n" + line + "\n"}); len(got) != 1 || got[0] != "a.go:2:"+line {
			t.Errorf("%s: refused %q", line, got)
		}
	}
}

func TestEveryKindOfFileIsChecked(t *testing.T) {
	for _, name := range []string{"a.go", "a.sql", "a.md", "a.yaml", "a.yml", "a.sh", "a.toml", "Makefile", "Dockerfile"} {
		if got := check(t, map[string]string{name: "made anew\n"}); len(got) != 1 {
			t.Errorf("%s: refused %q", name, got)
		}
	}
}

func TestGoodLinesPass(t *testing.T) {
	good := strings.Join([]string{
		"// Board returns the board.",
		"// The caller is given a copy, and gives way to others.",
		"// Valid reports whether it may.",
		"// It appears more than once, and was there before.",
		"// Two of them, then three of those before the end.",
		"// It must list at most 100 users, and may have a name.",
		"// The row does not exist. Is there a row?",
		"// If there is none, it is nil.",
		"// The caller must hold the lock, and may hold the others.",
		"// The previous page ended before the page that follows.",
		"// There is no number, and it is no longer a list.",
		"// `to` is exclusive.",
		"// whomp, whoop and manewal are words of no language.",
	}, "\n")
	if got := check(t, map[string]string{"a.go": good, "a.txt": strings.Join(bad, "\n")}); len(got) != 0 {
		t.Errorf("refused %q", got)
	}
}
