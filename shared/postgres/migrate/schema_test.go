package migrate_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/event"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

// databases are the two kinds, migrated.
func databases(t *testing.T) map[string]*pgtest.Database {
	return map[string]*pgtest.Database{"scores": pgtest.Scores(t), "users": pgtest.Users(t)}
}

// texts returns a database's SQL files by path.
func texts(t *testing.T, database string) map[string]string {
	t.Helper()
	root, err := migrate.Embedded(database)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// statements returns SQL without its comments.
func statements(text string) string { return regexp.MustCompile(`--[^\n]*`).ReplaceAllString(text, "") }

// store returns the Go of a database's store with that of its outbox, tests aside.
func store(t *testing.T, database string) (text string) {
	t.Helper()
	files, err := filepath.Glob("../" + database + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go in %s: %v", database, err)
	}
	shared, err := filepath.Glob("../outbox/*.go")
	if err != nil || len(shared) == 0 {
		t.Fatalf("no Go of the outbox: %v", err)
	}
	for _, file := range append(files, shared...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	return text
}

// routine is a function of a database.
type routine struct {
	Schema, Name, Signature string
	Definer                 bool
	Aggregate               bool
	Config                  pq.StringArray
	Public                  bool // PUBLIC may execute it
}

func routines(t *testing.T, db *sqlx.DB) (found []routine) {
	t.Helper()
	err := db.Select(&found, `
		SELECT n.nspname AS schema, p.proname AS name, p.oid::regprocedure::text AS signature, p.prosecdef AS definer,
			p.prokind = 'a' AS aggregate, coalesce(p.proconfig, '{}') AS config,
			EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) AS public
		FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
		ORDER BY 1, 2`)
	if err != nil || len(found) == 0 {
		t.Fatalf("%d functions, %v", len(found), err)
	}
	return found
}

func TestFunctionsAreClosed(t *testing.T) {
	t.Parallel()
	for kind, d := range databases(t) {
		owner := d.Owner()
		all := routines(t, owner)
		for _, r := range all {
			if r.Public {
				t.Errorf("%s: PUBLIC may execute %s", kind, r.Signature)
			}
			if r.Definer && !slices.Contains(r.Config, "search_path=pg_catalog, public, pg_temp") {
				t.Errorf("%s: %s is SECURITY DEFINER with the settings %q: it must set search_path", kind, r.Signature, r.Config)
			}
			if r.Schema == "internal" && r.Definer {
				t.Errorf("%s: the helper %s is SECURITY DEFINER", kind, r.Signature)
			}
		}
		for _, role := range migrate.RolesOf(kind)[1:] {
			db := d.Open(role)
			var usable bool
			if kind == "scores" {
				if err := db.Get(&usable, `SELECT has_schema_privilege('internal', 'USAGE') OR has_schema_privilege('internal', 'CREATE')`); err != nil || usable {
					t.Errorf("%s may use the schema internal: %t, %v", role, usable, err)
				}
			}
			for _, r := range all {
				if r.Schema != "internal" {
					continue
				}
				var may bool
				if err := owner.Get(&may, `SELECT has_function_privilege($1, $2::regprocedure, 'EXECUTE')`, role, r.Signature); err != nil || may {
					t.Errorf("%s may execute %s: %t, %v", role, r.Signature, may, err)
				}
				// The call itself, whatever its arguments.
				_, err := db.Exec(`SELECT ` + r.Schema + `.` + r.Name + `(` + arguments(t, owner, r.Signature) + `)`)
				if pq.As(err, pqerror.InsufficientPrivilege) == nil {
					t.Errorf("%s calls %s: %v", role, r.Signature, err)
				}
			}
			for _, statement := range []string{
				`CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
				`CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'`,
				`DROP FUNCTION plaudit_now`,
				`SELECT * FROM applied_files`,
				`DELETE FROM applied_files`,
			} {
				if _, err := db.Exec(statement); pq.As(err, pqerror.InsufficientPrivilege) == nil {
					t.Errorf("%s, %s: %v", role, statement, err)
				}
			}
		}
	}
}

// arguments returns nulls of the types that a function takes.
func arguments(t *testing.T, owner *sqlx.DB, signature string) string {
	t.Helper()
	var out string
	err := owner.Get(&out, `
		SELECT coalesce(string_agg('NULL', ', '), '')
		FROM pg_proc p
		CROSS JOIN unnest(p.proargtypes) a
		WHERE p.oid = $1::regprocedure`, signature)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var versioned = regexp.MustCompile(`^[a-z_]+_v[0-9]+$`)

// before reports whether Go calls the next version of a function. The function stays
// for one release, because a deployment replaces its callers one after the other.
func before(name string, calls map[string]bool) bool {
	i := strings.LastIndex(name, "_v") + 2
	version, err := strconv.Atoi(name[i:])
	return err == nil && calls[name[:i]+strconv.Itoa(version+1)]
}

// replaced has the functions that only Go of the previous release calls, and the
// function that took over what each does.
var replaced = map[string]string{"linked_v1": "board_v2"}

func TestPublicFunctionsAreThoseThatGoCalls(t *testing.T) {
	t.Parallel()
	for kind, d := range databases(t) {
		calls := map[string]bool{}
		for _, m := range regexp.MustCompile(`\b([a-z_]+_v[0-9]+)\(`).FindAllStringSubmatch(store(t, kind), -1) {
			calls[m[1]] = true
		}
		missing := maps.Clone(calls)
		for _, r := range routines(t, d.Owner()) {
			if r.Schema != "public" || r.Name == "plaudit_now" {
				continue
			}
			// rank_between_v1 is called by another public function with the rights
			// of the caller, who therefore must reach it.
			within := false
			for path, text := range texts(t, kind) {
				if path != "functions/"+r.Name+".sql" && !strings.Contains(text, "SECURITY DEFINER") && strings.Contains(statements(text), r.Name+"(") {
					within = true
				}
			}
			if !versioned.MatchString(r.Name) {
				t.Errorf("%s: %s carries no version", kind, r.Signature)
			}
			if !calls[r.Name] && !within && !before(r.Name, calls) && !calls[replaced[r.Name]] {
				t.Errorf("%s: %s is public, and no Go calls it", kind, r.Signature)
			}
			delete(missing, r.Name)
		}
		for name := range missing {
			t.Errorf("%s: Go calls %s, which does not exist", kind, name)
		}
	}
}

func TestFunctionFilesDefineWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	defines := regexp.MustCompile(`(?m)^CREATE OR REPLACE (?:FUNCTION|AGGREGATE) ([a-z_.0-9]+)\(`)
	for kind, d := range databases(t) {
		files := texts(t, kind)
		count := 0
		for path, text := range files {
			name, ok := strings.CutPrefix(path, "functions/")
			if !ok {
				continue
			}
			count++
			want := strings.ReplaceAll(strings.TrimSuffix(name, ".sql"), "/", ".")
			if found := defines.FindAllStringSubmatch(text, -1); len(found) != 1 || found[0][1] != want {
				t.Errorf("%s/%s defines %q, want %s", kind, path, found, want)
			}
			if !strings.HasPrefix(text, "-- ") {
				t.Errorf("%s/%s does not begin with what the function does", kind, path)
			}
		}
		if all := routines(t, d.Owner()); len(all) != count {
			t.Errorf("%s has %d functions in %d files: one must not have two", kind, len(all), count)
		}
		for path := range files {
			if !strings.HasSuffix(path, ".sql") {
				t.Errorf("%s/%s is not SQL", kind, path)
			}
		}
	}
}

// The relay reads both outboxes with the same statements.
func TestOutboxesAreAlike(t *testing.T) {
	t.Parallel()
	columns := map[string][]string{}
	for kind, d := range databases(t) {
		var list []string
		err := d.Owner().Select(&list, `
			SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END, nullif(attidentity, ''))
			FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attnum > 0 ORDER BY attnum`)
		if err != nil || len(list) == 0 {
			t.Fatalf("%v, %v", list, err)
		}
		columns[kind] = list
	}
	if !slices.Equal(columns["scores"], columns["users"]) {
		t.Errorf("the outbox of scores has the columns %q, that of users %q", columns["scores"], columns["users"])
	}
}

func TestOutboxesRefuseAMalformedTraceparent(t *testing.T) {
	t.Parallel()
	const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for kind, d := range databases(t) {
		insert := func(traceparent any) error {
			_, err := d.Owner().Exec(`INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent)
				VALUES ('event', 'plaudit.user.erased', 'user/u', 'user/u', '{}', now(), $1)`, traceparent)
			return err
		}
		if err := insert(valid); err != nil {
			t.Errorf("%s: a valid one: %v", kind, err)
		}
		for name, traceparent := range map[string]any{
			"a missing one":                   nil,
			"an empty one":                    "",
			"a shorter one":                   valid[:54],
			"a longer one":                    valid + "0",
			"one with a line behind it":       valid + "\n",
			"another version":                 "01" + valid[2:],
			"capitals":                        strings.ToUpper(valid),
			"other letters":                   strings.Replace(valid, "0af7", "0xyz", 1),
			"another separator":               strings.ReplaceAll(valid, "-", "_"),
			"a hyphen within the trace's id":  "00-0af7651916cd43dd-448eb211c80319c-b7ad6b7169203331-01",
			"a hyphen within the span's id":   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920-331-01",
			"a hyphen within the flags":       "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331--1",
			"hyphens only":                    "00-" + strings.Repeat("-", 52),
			"a letter in the middle of an id": "00-0af7651916cd43ddg448eb211c80319c-b7ad6b7169203331-01",
		} {
			err := insert(traceparent)
			if pq.As(err, pqerror.CheckViolation, pqerror.NotNullViolation) == nil {
				t.Errorf("%s takes %s: %v", kind, name, err)
			}
		}
		d.Owner().MustExec(`DELETE FROM outbox`) // nobody counts events of this subject
	}
}

// shared/event has the rules that SQL applies.
func TestEventRulesAreThoseOfGo(t *testing.T) {
	t.Parallel()
	db := pgtest.Scores(t).Owner()
	for _, kind := range []string{"result", "adjustment", "import", "reversal"} {
		var got event.Type
		if err := db.Get(&got, `SELECT internal.entry_event($1)`, kind); err != nil || got != event.OfEntry(kind) {
			t.Errorf("an entry of kind %s makes the event %s (%v), want %s", kind, got, err, event.OfEntry(kind))
		}
	}
	people := []string{"", "u", "o", "user/u", "u "}
	for _, typ := range event.Types() {
		for _, person := range people {
			for _, user := range people {
				var got string
				err := db.Get(&got, `SELECT coalesce(internal.notified($1, nullif($2, ''), nullif($3, '')), '')`, string(typ), person, user)
				if want := event.Notified(typ, person, user); err != nil || got != want {
					t.Errorf("%s by %q about %q notifies %q (%v), want %q", typ, person, user, got, err, want)
				}
			}
		}
	}
}

func TestEventTypesInSQLAreThoseOfGo(t *testing.T) {
	t.Parallel()
	quoted := regexp.MustCompile(`['"` + "`" + `](plaudit\.[a-z.-]*)['"` + "`" + `]`)
	seen := map[string]bool{}
	look := func(name, text string) {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			seen[m[1]] = true
			if m[1] != "plaudit.entry." && !slices.Contains(event.Types(), event.Type(m[1])) { // internal.entry_event adds the kind
				t.Errorf("%s names %s, which shared/event does not list", name, m[1])
			}
		}
	}
	for _, kind := range []string{"scores", "users"} {
		for path, text := range texts(t, kind) {
			look(kind+"/"+path, text)
		}
		look(kind, store(t, kind))
	}
	for _, must := range []event.Type{event.BoardCreated, event.BoardUpdated, event.PlayerChanged, event.EntryAdjusted, event.UserErased} {
		if !seen[string(must)] {
			t.Errorf("no SQL names %s; found are %v", must, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// internal.run_closes_at alone decides when a run closes.
func TestGraceHasOneRule(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`\bgrace\b`)
	allowed := map[string]bool{
		"functions/internal/run_closes_at.sql": true, "functions/internal/board_json.sql": true,
		"functions/internal/create_board.sql": true, "functions/change_board_v1.sql": true,
	}
	for path, text := range texts(t, "scores") {
		sql := statements(text)
		switch {
		case strings.HasPrefix(path, "migrations/"):
			for line := range strings.Lines(sql) {
				if word.MatchString(line) && !strings.Contains(line, "grace      interval NOT NULL CHECK (grace >= interval '0')") {
					t.Errorf("%s uses grace: %s", path, line)
				}
			}
		case word.MatchString(sql) != allowed[path]:
			t.Errorf("%s uses grace: %t; call internal.run_closes_at", path, !allowed[path])
		}
		if arithmetic := regexp.MustCompile(`[-+]\s*\w*\.?grace\b|\bgrace\s*[-+]`); path != "functions/internal/run_closes_at.sql" && arithmetic.MatchString(sql) {
			t.Errorf("%s computes with grace", path)
		}
	}
	if got := regexp.MustCompile(`(?i)\bgrace\b`).FindAllString(store(t, "scores"), -1); got != nil {
		t.Errorf("the store's Go uses grace: %q", got)
	}
}
