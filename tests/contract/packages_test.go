package contract

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers says what each group of packages may import of this module. A
// package belongs to the first group that names it or a folder above it.
// Tests are free.
var layers = []struct {
	group string
	of    []string
	may   []string
}{
	{"the bottom", []string{"shared/fault", "shared/access", "shared/trace", "shared/timezone"}, nil},
	{"the domains", []string{"shared/score", "shared/user"}, []string{"shared/fault", "shared/access", "shared/trace", "shared/timezone"}},
	// pgtest is a tool of tests: it starts a real database.
	{"test tools", []string{"shared/postgres/pgtest"}, []string{"shared/postgres", "local/rds", "local/process"}},
	{"the adapters", []string{"shared/web", "shared/postgres", "shared/jose", "shared/alb", "shared/boot"},
		[]string{"shared/score", "shared/user", "shared/fault", "shared/access", "shared/trace"}},
	{"the deployables", []string{"functions", "services"}, []string{"shared"}},
	{"the command line", []string{"cmd"}, []string{"shared", "events"}},
	{"the laptop cloud", []string{"local"}, []string{"local"}},
	{"the sample events", []string{"events"}, []string{"shared", "events"}},
	{"the tests", []string{"tests"}, []string{"shared", "local", "functions", "cmd", "events"}},
}

func TestDependenciesPointOneWay(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	below := func(pkg string, folders []string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return pkg == f || strings.HasPrefix(pkg, f+"/") })
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		pkg := strings.TrimPrefix(p.ImportPath, "plaudit/")
		i := slices.IndexFunc(layers, func(l struct {
			group string
			of    []string
			may   []string
		}) bool {
			return below(pkg, l.of)
		})
		if i < 0 {
			t.Errorf("%s belongs to no layer: add it to one", pkg)
			continue
		}
		for _, imported := range p.Imports {
			imported, ours := strings.CutPrefix(imported, "plaudit/")
			if ours && !below(imported, layers[i].may) {
				t.Errorf("%s (%s) imports %s", pkg, layers[i].group, imported)
			}
		}
	}
	if seen < 10 {
		t.Errorf("go list named %d packages only", seen)
	}
}

// A product that imports what only its tests need would ship it.
func TestNoDeployableCarriesTheLaptop(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./functions/...", "./services/...", "./cmd/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "plaudit/local") || strings.HasSuffix(pkg, "/pgtest") || pkg == "testing" {
			t.Errorf("a deployable carries %s", pkg)
		}
	}
}
