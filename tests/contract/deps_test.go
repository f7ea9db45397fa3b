package contract

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A function links exactly these packages of this module.
var linked = map[string][]string{
	"score-add":     scoring,
	"score-query":   scoring,
	"board-admin":   scoring,
	"audit-add":     auditing,
	"audit-query":   auditing,
	"outbox-relay":  with(logging, "shared/postgres", "shared/postgres/outbox", "shared/postgres/scores", "shared/score"),
	"audit-publish": with(logging, "shared/bus"),
	"notify":        with(logging, "shared/claim", "shared/letter", "shared/notify", "shared/mail", "shared/queue", "shared/api"),
	"player-sync":   with(logging, "shared/postgres", "shared/postgres/outbox", "shared/postgres/scores", "shared/score"),
	"period-close":  with(logging, "shared/postgres", "shared/postgres/outbox", "shared/postgres/scores", "shared/score"),
	"db-migrate":    {"shared/boot", "shared/crash", "shared/edge", "shared/cloud", "shared/postgres", "shared/postgres/migrate", "shared/fault", "shared/trace"},
	"db-check":      with(logging, "shared/postgres", "shared/postgres/outbox", "shared/postgres/scores", "shared/postgres/users", "shared/score", "shared/user"),
}

var logging = with(bottom, "shared/claim", "shared/boot", "shared/edge", "shared/cloud", "shared/event", "shared/audit", "shared/ddb")

var scoring = with(bottom, "shared/event", "shared/score", "shared/problem", "shared/edge", "shared/alb", "shared/boot", "shared/jose",
	"shared/web", "shared/web/scores", "shared/cloud", "shared/claim", "shared/audit", "shared/ddb", "shared/postgres", "shared/postgres/outbox", "shared/postgres/scores", "functions/internal/httplambda")

var auditing = with(logging, "shared/problem", "shared/alb", "shared/jose", "shared/web", "shared/web/audit", "functions/internal/httplambda")

// heavy are packages of others that cost a cold start or do not belong into a
// function, with the functions that need them.
var heavy = map[string][]string{
	"github.com/pressly/goose":            {"db-migrate"},
	"golang.org/x/crypto/argon2":          {"db-check"}, // with shared/user; nobody waits for its cold start
	"github.com/aws/aws-sdk-go-v2/config": nil,
}

func TestFunctionsLinkOnlyWhatTheyUse(t *testing.T) {
	functions := folders(t, "functions")
	for _, name := range functions {
		allowed, ok := linked[name]
		if !ok {
			t.Errorf("functions/%s: add the packages that it links", name)
			continue
		}
		deps := strings.Fields(golist(t, "-deps", "./functions/"+name))
		if !slices.Contains(deps, "plaudit/functions/"+name) {
			t.Fatalf("go list named %v", deps)
		}
		for _, dep := range deps {
			if ours, ok := strings.CutPrefix(dep, "plaudit/"); ok && ours != "functions/"+name && !slices.Contains(allowed, ours) {
				t.Errorf("%s links %s", name, ours)
			}
			for prefix, needed := range heavy {
				if (dep == prefix || strings.HasPrefix(dep, prefix+"/")) && !slices.Contains(needed, name) {
					t.Errorf("%s links %s", name, dep)
				}
			}
		}
	}
	for name := range linked {
		if !slices.Contains(functions, name) {
			t.Errorf("functions/%s does not exist", name)
		}
	}
}

// maxBinary is the size of the largest binary, in bytes. A cold start loads and
// unpacks all of it. DynamoDB's client is 1.4 MB.
const maxBinary = 11_000_000

// larger are the limits of functions whose cold start no request waits for: one reads two
// databases and the log, one has the clients of five services.
var larger = map[string]int64{"db-check": 12_000_000, "notify": 12_000_000}

func TestBinariesAreSmall(t *testing.T) {
	dir := t.TempDir()
	// As in the Makefile's build.
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "./functions/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range folders(t, "functions") {
		file, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		most := max(maxBinary, larger[name])
		if file.Size() > most {
			t.Errorf("%s has %d bytes, but must have at most %d", name, file.Size(), most)
		}
	}
}
