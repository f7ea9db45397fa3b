package sam

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A bare `sam build` makes every function for the processor of the container
// that a bare `sam local invoke` starts, and without a C library.
func TestBuildMakesStaticFunctions(t *testing.T) {
	t.Parallel()
	machine := map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[architecture()]
	for folder, id := range logicalIDs(t) {
		file := filepath.Join(stack.Root, ".aws-sam", "build", id, "bootstrap")
		if err := isStatic(file); err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		program, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if program.Machine != machine {
			t.Errorf("%s is built for %v, want %v", folder, program.Machine, machine)
		}
		if program.Section(".symtab") != nil {
			t.Errorf("%s has a symbol table", folder)
		}
		program.Close()
		info, err := exec.Command("go", "version", "-m", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"plaudit/functions/" + folder, "-tags=lambda.norpc", "CGO_ENABLED=0"} {
			if !strings.Contains(string(info), want) {
				t.Errorf("%s: its build information lacks %s:\n%s", folder, want, info)
			}
		}
	}
}

// A stage's processor is arm64: the same rule with another GOARCH.
func TestBuildKnowsBothProcessors(t *testing.T) {
	t.Parallel()
	for architecture, goarch := range map[string]string{"x86_64": "amd64", "arm64": "arm64"} {
		rule := exec.Command("make", "--dry-run", "--makefile", filepath.Join("tools", "sam", architecture, "Makefile"), "build-ScoreAddFunction")
		out, err := stack.output(rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := regexp.MustCompile(`GOARCH=(\w+)`).FindStringSubmatch(string(out)); len(got) != 2 || got[1] != goarch {
			t.Errorf("%s is built with %q, want %s:\n%s", architecture, got, goarch, out)
		}
	}
}

func TestBuildShowsTheCompilersMessage(t *testing.T) {
	t.Parallel()
	rule := exec.Command("make", "--makefile", filepath.Join("tools", "sam", architecture(), "Makefile"), "build-NoSuchFunction", "ARTIFACTS_DIR="+t.TempDir())
	if _, err := stack.output(rule); err == nil || !strings.Contains(err.Error(), "functions/no-such") {
		t.Errorf("a function without a folder: %v", err)
	}
}
