package contract

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// bottom are the packages that import no other package of this module.
var bottom = []string{"shared/fault", "shared/access", "shared/trace", "shared/timezone", "shared/id", "shared/text", "shared/crash"}

// layers lists which packages of this module each group of packages may import.
// A package belongs to the group with the longest folder that contains it, and may
// import its own group's folder only if the list has it. A folder that ends in
// /... means all packages below it too; any other means that package only. Test
// files may import anything. Some folders do not exist yet: their rules come first.
var layers = []struct {
	group string
	of    []string
	may   []string
}{
	{"the bottom", bottom, nil},
	{"the event", []string{"shared/event"}, bottom},
	{"the domains", []string{"shared/score", "shared/user", "shared/audit"}, with(bottom, "shared/event")},
	{"the claims of mails", []string{"shared/claim"}, nil},
	{"the letters", []string{"shared/letter"}, []string{"shared/text"}},
	{"the rules of mail", []string{"shared/notify"}, with(bottom, "shared/event", "shared/letter", "shared/claim")},
	{"problem", []string{"shared/problem"}, []string{"shared/fault", "shared/trace"}},

	{"web", []string{"shared/web"}, []string{"shared/problem", "shared/fault", "shared/access", "shared/trace", "shared/id", "shared/text"}},
	{"web of scores", []string{"shared/web/scores"}, with(bottom, "shared/web", "shared/score")},
	{"web of users", []string{"shared/web/users"}, with(bottom, "shared/web", "shared/user")},
	{"web of audit", []string{"shared/web/audit"}, with(bottom, "shared/web", "shared/audit", "shared/event")},
	{"pages", []string{"shared/web/pages"}, with(bottom, "shared/web", "shared/user", "shared/problem")},

	{"the cloud", []string{"shared/cloud"}, nil},
	{"postgres", []string{"shared/postgres"}, []string{"shared/cloud", "shared/crash", "shared/fault", "shared/trace"}},
	{"the outbox", []string{"shared/postgres/outbox"}, []string{"shared/postgres", "shared/audit", "shared/event"}},
	{"postgres of scores", []string{"shared/postgres/scores"}, with(bottom, "shared/postgres", "shared/postgres/outbox", "shared/score", "shared/audit", "shared/event")},
	{"postgres of users", []string{"shared/postgres/users"}, with(bottom, "shared/postgres", "shared/postgres/outbox", "shared/user", "shared/audit", "shared/event")},
	{"migrations", []string{"shared/postgres/migrate"}, []string{"shared/postgres"}},
	{"DynamoDB", []string{"shared/ddb"}, []string{"shared/audit", "shared/claim", "shared/event", "shared/fault"}},
	{"the bus", []string{"shared/bus"}, nil},
	{"SES, queues and the API as adapters of the rules of mail", []string{"shared/mail", "shared/queue", "shared/api"}, []string{"shared/notify", "shared/cloud", "shared/trace"}},
	{"jose", []string{"shared/jose"}, []string{"shared/access", "shared/fault"}},

	{"edge", []string{"shared/edge"}, nil},
	{"the Lambda edge", []string{"shared/alb"}, []string{"shared/edge", "shared/problem", "shared/fault", "shared/trace"}},
	{"start-up", []string{"shared/boot"}, []string{"shared/crash", "shared/edge", "shared/trace"}},

	{"the deployables", []string{"functions/...", "services/..."}, []string{"shared/...", "functions/internal/..."}},
	{"the command line", []string{"cmd/..."}, []string{"shared/...", "events/..."}},
	{"the laptop cloud", []string{"local/..."}, []string{"local/..."}},
	{"the sample events", []string{"events/..."}, []string{"shared/...", "events/..."}},
	{"the tests", []string{"tests/..."}, []string{"shared/...", "local/...", "functions/...", "cmd/...", "events/...", "tests/..."}},

	// What only tests import: pgtest starts a real database, boottest builds
	// and runs programs, webtest reads the OpenAPI document, ddbtest starts an engine
	// that speaks DynamoDB's protocol, audittest has a log in memory, eventtest checks events
	// against their schemas.
	{"test tools", []string{"shared/postgres/pgtest", "shared/boot/boottest", "shared/web/webtest", "shared/ddb/ddbtest", "shared/audit/audittest", "shared/event/eventtest", "shared/api/apitest", "shared/mail/mailtest"}, []string{"shared/postgres/...", "shared/audit", "shared/event", "shared/event/eventtest", "shared/web", "shared/api", "shared/notify", "shared/id", "local/rds", "local/process", "local/ministack/enginetest"}},
}

func with(packages []string, more ...string) []string { return slices.Concat(packages, more) }

// testPrograms are the folders of programs that tests build and run. The tests'
// rules are theirs.
const testPrograms = "/testdata/"

// inGroup returns how much of a package's path one of the folders covers, 0 if
// none contains it.
func inGroup(pkg string, folders []string) int {
	longest := 0
	for _, f := range folders {
		folder, all := strings.CutSuffix(f, "/...")
		if pkg == folder || all && strings.HasPrefix(pkg, folder+"/") {
			longest = max(longest, len(folder))
		}
	}
	return longest
}

// imports lists what each package of this module imports of it, test files
// aside.
func imports(t *testing.T, patterns ...string) map[string][]string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(golist(t, append([]string{"-json=ImportPath,Imports"}, patterns...)...)))
	packages := map[string][]string{}
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		ours := []string{}
		for _, i := range p.Imports {
			if pkg, ok := strings.CutPrefix(i, "plaudit/"); ok {
				ours = append(ours, pkg)
			}
		}
		packages[strings.TrimPrefix(p.ImportPath, "plaudit/")] = ours
	}
}

func golist(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("go list: %s", exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// faultsOfLayers checks packages and their imports against the layers.
func faultsOfLayers(packages map[string][]string) (faults []string) {
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		if strings.Contains(pkg, testPrograms) {
			continue
		}
		group, longest := -1, 0
		for i, l := range layers {
			if n := inGroup(pkg, l.of); n > longest {
				group, longest = i, n
			}
		}
		if group < 0 {
			faults = append(faults, pkg+" belongs to no layer: add it to one")
			continue
		}
		for _, imported := range packages[pkg] {
			if inGroup(imported, layers[group].may) == 0 {
				faults = append(faults, pkg+" ("+layers[group].group+") imports "+imported)
			}
		}
	}
	return faults
}

func TestDependenciesPointOneWay(t *testing.T) {
	packages := imports(t, "./...")
	if len(packages) < 30 {
		t.Errorf("go list named only %d packages", len(packages))
	}
	for _, f := range faultsOfLayers(packages) {
		t.Error(f)
	}
}

// The test above proves something only if the rules refuse wrong imports.
func TestLayersRefuse(t *testing.T) {
	for _, c := range []struct {
		pkg, imports string
		want         bool // is a fault
	}{
		{"shared/fault", "shared/trace", true},
		{"shared/text", "shared/fault", true},
		{"shared/score", "shared/user", true},
		{"shared/score", "shared/web", true},
		{"shared/score", "shared/event", false},
		{"shared/event", "shared/fault", false},
		{"shared/event", "shared/score", true},
		{"shared/problem", "shared/access", true},
		{"shared/web", "shared/score", true},
		{"shared/web", "shared/postgres", true},
		{"shared/web", "shared/web/scores", true},
		{"shared/web/scores", "shared/web", false},
		{"shared/web/scores", "shared/user", true},
		{"shared/web/scores", "shared/web/users", true},
		{"shared/web/users", "shared/score", true},
		{"shared/web/pages", "shared/problem", false},
		{"shared/web/other", "shared/fault", true}, // no layer
		{"shared/postgres", "shared/score", true},
		{"shared/postgres/scores", "shared/postgres", false},
		{"shared/postgres/scores", "shared/postgres/migrate", true},
		{"shared/postgres/scores", "shared/web", true},
		{"shared/postgres/migrate", "shared/fault", true},
		{"shared/postgres", "shared/cloud", false},
		{"shared/ddb", "shared/audit", false},
		{"shared/ddb", "shared/postgres", true},
		{"shared/audit", "shared/ddb", true},
		{"shared/jose", "shared/web", true},
		{"shared/edge", "shared/trace", true},
		{"shared/alb", "shared/boot", true},
		{"shared/boot", "shared/web", true},
		{"shared/boot", "shared/boot/boottest", true},
		{"functions/score-add", "functions/internal/httplambda", false},
		{"functions/score-add", "functions/score-query", true},
		{"services/users", "local/rds", true},
		{"local/elb", "shared/fault", true},
		{"local", "local/elb", false},
		{"other", "shared/fault", true},
	} {
		if got := faultsOfLayers(map[string][]string{c.pkg: {c.imports}}); (len(got) == 1) != c.want {
			t.Errorf("%s imports %s: %v, want a fault: %t", c.pkg, c.imports, got, c.want)
		}
	}
}

// A deployable must not link packages that only tests or the laptop need.
func TestNoDeployableCarriesTheLaptop(t *testing.T) {
	for _, pkg := range strings.Fields(golist(t, "-deps", "./functions/...", "./services/...", "./cmd/...")) {
		if strings.HasPrefix(pkg, "plaudit/local") || strings.HasSuffix(pkg, "test") && strings.HasPrefix(pkg, "plaudit/") || pkg == "testing" {
			t.Errorf("a deployable carries %s", pkg)
		}
	}
}
