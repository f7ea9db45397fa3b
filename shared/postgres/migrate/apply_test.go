package migrate_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

const (
	baseline  = "migrations/00001_baseline.sql"
	second    = "migrations/00002_note.sql"
	totalPath = "functions/total_v1.sql"
	twicePath = "functions/internal/twice.sql"
)

// folder is the SQL of a small database, by path.
type folder map[string]string

// sample has one of each: a table, a function that Go calls, and a helper.
var sample = folder{
	baseline: `-- +goose Up
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE SCHEMA internal;
CREATE TABLE points (n integer NOT NULL);
`,
	totalPath: `-- The sum of all points and twice a number.
CREATE OR REPLACE FUNCTION total_v1(p_more integer) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT coalesce(sum(n), 0) + internal.twice(p_more) FROM points $$;
REVOKE ALL ON FUNCTION total_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION total_v1 TO score_query;
`,
	twicePath: `CREATE OR REPLACE FUNCTION internal.twice(p_number integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 2 * p_number; END $$;
`,
}

// with returns the folder with other files. An empty text removes a file.
func (f folder) with(files folder) folder {
	out := maps.Clone(f)
	for path, text := range files {
		out[path] = text
		if text == "" {
			delete(out, path)
		}
	}
	return out
}

// replaced returns the folder with a part of one file replaced.
func (f folder) replaced(t *testing.T, path, old, text string) folder {
	t.Helper()
	if !strings.Contains(f[path], old) {
		t.Fatalf("%s does not contain %q", path, old)
	}
	return f.with(folder{path: strings.ReplaceAll(f[path], old, text)})
}

func (f folder) apply(t *testing.T, db *sqlx.DB) (migrate.Versions, error) {
	t.Helper()
	root := fstest.MapFS{}
	for path, text := range f {
		root[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return migrate.Apply(t.Context(), db, root)
}

// must applies the folder.
func (f folder) must(t *testing.T, db *sqlx.DB) migrate.Versions {
	t.Helper()
	done, err := f.apply(t, db)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// applied returns a database with the sample in it.
func applied(t *testing.T) *sqlx.DB {
	t.Helper()
	db := pgtest.Empty(t).Owner()
	if got := sample.must(t, db); got != (migrate.Versions{From: 0, To: 1}) {
		t.Fatalf("the first migration went from %d to %d", got.From, got.To)
	}
	return db
}

// schemaOf describes the objects of a database in the schemas public and
// internal, line by line, with their privileges and all that Up keeps of files.
func schemaOf(t *testing.T, db *sqlx.DB) string {
	t.Helper()
	var lines []string
	err := db.Select(&lines, `
		SELECT line FROM (
			SELECT concat_ws(' ', 'column', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl,
				pg_get_expr(d.adbin, d.adrelid)) AS line
			FROM pg_class c
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'internal')) AND c.relkind IN ('r', 'v', 'c')
			UNION ALL
			SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relacl, c.reloptions, pg_get_viewdef(CASE c.relkind WHEN 'v' THEN c.oid END))
			FROM pg_class c
			WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'internal'))
			UNION ALL
			SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN ('public', 'internal')
			UNION ALL
			SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid <> 0
				AND connamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'internal'))
			UNION ALL
			SELECT concat_ws(' ', 'function', p.oid::regprocedure, p.proacl, pg_get_functiondef(CASE p.prokind WHEN 'a' THEN NULL ELSE p.oid END), a.aggtransfn)
			FROM pg_proc p
			LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
			WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'internal'))
			UNION ALL
			SELECT concat_ws(' ', 'schema', nspname, nspacl) FROM pg_namespace WHERE nspname IN ('public', 'internal')
			UNION ALL
			SELECT concat_ws(' ', 'default', defaclobjtype, defaclacl) FROM pg_default_acl
		) l ORDER BY line`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"goose_db_version", "applied_files"} {
		columns := map[string]string{"goose_db_version": "version_id, is_applied", "applied_files": "path, digest"}[table]
		var rows []string
		var exists bool
		if err := db.Get(&exists, `SELECT to_regclass($1) IS NOT NULL`, table); err != nil {
			t.Fatal(err)
		}
		if !exists {
			continue
		}
		if err := db.Select(&rows, `SELECT concat_ws(' ', '`+table+`', `+columns+`) AS row FROM `+table+` ORDER BY row`); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, rows...)
	}
	return strings.Join(lines, "\n")
}

// sameSchema compares two descriptions of schemaOf.
func sameSchema(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	has, should := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range has {
		if !slices.Contains(should, line) {
			t.Errorf("the schema must not have: %s", line)
		}
	}
	for _, line := range should {
		if !slices.Contains(has, line) {
			t.Errorf("the schema must have: %s", line)
		}
	}
	if !t.Failed() {
		t.Error("the schema has the same lines in another order")
	}
}

// appliedAt returns when each file was applied.
func appliedAt(t *testing.T, db *sqlx.DB) map[string]time.Time {
	t.Helper()
	var rows []struct {
		Path string
		At   time.Time `db:"applied_at"`
	}
	if err := db.Select(&rows, `SELECT path, applied_at FROM applied_files`); err != nil {
		t.Fatal(err)
	}
	at := map[string]time.Time{}
	for _, r := range rows {
		at[r.Path] = r.At
	}
	return at
}

// total calls total_v1 with 3.
func total(t *testing.T, db *sqlx.DB) (sum int64) {
	t.Helper()
	if err := db.Get(&sum, `SELECT total_v1(3)`); err != nil {
		t.Fatal(err)
	}
	return sum
}

// Each of these refusals leaves the database as it was.
func TestRefusalAppliesNothing(t *testing.T) {
	t.Parallel()
	helper := func(text string) folder { return sample.with(folder{twicePath: text}) }
	for _, c := range []struct {
		rule  string
		files folder
		says  []string
	}{
		{"an applied migration with another statement is refused", sample.replaced(t, baseline, "integer", "bigint"),
			[]string{baseline, "restore its text", "new migration", "make clean"}},
		{"an applied migration with another comment is refused", sample.replaced(t, baseline, "-- +goose Up\n", "-- +goose Up\n-- note\n"),
			[]string{baseline, "restore its text"}},
		{"an applied migration with one more byte is refused", sample.with(folder{baseline: sample[baseline] + "\n"}),
			[]string{baseline, "restore its text"}},
		{"a changed migration keeps a new one from being applied", sample.with(folder{baseline: sample[baseline] + "\n", second: "-- +goose Up\nCREATE TABLE notes ();"}),
			[]string{baseline, "restore its text"}},
		{"a migration that this program lacks is refused", sample.with(folder{baseline: "", "migrations/00002_other.sql": "-- +goose Up\nSELECT 1;"}),
			[]string{baseline, "does not contain it", "deploy a version that does"}},
		{"a renamed migration is refused", sample.with(folder{baseline: "", "migrations/00001_base.sql": sample[baseline]}),
			[]string{baseline, "does not contain it"}},

		{"a public function with another parameter type is refused", sample.replaced(t, totalPath, "p_more integer", "p_more bigint"),
			[]string{totalPath, "next version in its name"}},
		{"a public function with one more parameter is refused", sample.replaced(t, totalPath, "p_more integer", "p_more integer, p_less integer DEFAULT 0"),
			[]string{totalPath, "next version in its name"}},
		{"a public function with another parameter name is refused", sample.replaced(t, totalPath, "p_more", "p_extra"),
			[]string{totalPath, "next version in its name"}},
		{"a public function with another result is refused", sample.replaced(t, totalPath, "RETURNS bigint", "RETURNS numeric"),
			[]string{totalPath, "next version in its name"}},

		{"a new file that defines another function is refused", sample.with(folder{"functions/sum_v1.sql": strings.ReplaceAll(sample[totalPath], "total_v1", "all_v1")}),
			[]string{"functions/sum_v1.sql", "public.sum_v1"}},
		{"a changed file that defines another function is refused", sample.replaced(t, twicePath, "internal.twice", "internal.double"),
			[]string{twicePath, "internal.twice"}},
		{"a file that defines its function in another schema is refused", helper(strings.ReplaceAll(sample[twicePath], "internal.twice", "twice")),
			[]string{twicePath, "internal.twice"}},
		{"a file that defines a second function is refused", helper(sample[twicePath] + strings.ReplaceAll(sample[twicePath], "twice", "double")),
			[]string{twicePath, "internal.twice"}},
		{"a file that replaces another file's function is refused", sample.with(folder{"functions/internal/zero.sql": `
			CREATE OR REPLACE FUNCTION internal.twice(p_number integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0';
			CREATE OR REPLACE FUNCTION internal.zero() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0';`}),
			[]string{"functions/internal/zero.sql", "internal.zero"}},
		{"a file without a function is refused", helper("SELECT 1;"), []string{twicePath, "internal.twice"}},

		{"a syntax error outside of a body is refused", helper(sample[twicePath] + "GRANT;"), []string{twicePath, "syntax error"}},
		{"a syntax error in a PL/pgSQL body is refused", sample.replaced(t, twicePath, "RETURN 2 *", "RETURN 2 * *; IF"), []string{twicePath, "syntax error"}},
		{"an unknown column in an SQL body is refused", sample.replaced(t, totalPath, "sum(n)", "sum(m)"), []string{totalPath, `"m"`}},
		{"an unknown function in an SQL body is refused", sample.replaced(t, totalPath, "internal.twice", "internal.thrice"), []string{totalPath, "internal.thrice"}},
		{"a helper that goes while an unchanged SQL body calls it is refused", helper(""), []string{totalPath, "internal.twice"}},
		{"a helper whose new parameters an unchanged SQL body does not meet is refused", sample.replaced(t, twicePath, "p_number integer", "p_number text"),
			[]string{totalPath, "internal.twice"}},
		{"a fault in the last file keeps the others from being applied", sample.replaced(t, twicePath, "RETURN 2 *", "RETURN 4 *").with(folder{"functions/zero_v1.sql": "CREATE FUNCTION zero_v1() RETURNS integer LANGUAGE sql AS 'SELECT nothing'"}),
			[]string{"functions/zero_v1.sql", "nothing"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			db := applied(t)
			before, at := schemaOf(t, db), appliedAt(t, db)
			_, err := c.files.apply(t, db)
			says(t, err, c.says...)
			sameSchema(t, schemaOf(t, db), before)
			if now := appliedAt(t, db); !maps.Equal(now, at) {
				t.Errorf("files were applied at %v, and are now at %v", at, now)
			}
			// The files as they were still fit.
			sample.must(t, db)
			if got := total(t, db); got != 6 {
				t.Errorf("total_v1(3) returns %d, want 6", got)
			}
		})
	}
}

func TestDatabaseFromBeforeTheBaselineIsRefused(t *testing.T) {
	t.Parallel()
	for rule, spoil := range map[string]string{
		"its table of applied files is missing": `DROP TABLE applied_files`,
		"its table of applied files is empty":   `DELETE FROM applied_files`,
		"only functions were recorded":          `DELETE FROM applied_files WHERE starts_with(path, 'migrations/')`,
		"it has more versions than ours":        `INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true), (3, true); DELETE FROM applied_files`,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			db := applied(t)
			db.MustExec(spoil)
			db.MustExec(`CREATE TABLE IF NOT EXISTS applied_files (path text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`)
			before := schemaOf(t, db)
			_, err := sample.with(folder{second: "-- +goose Up\nCREATE TABLE notes ();"}).apply(t, db)
			says(t, err, "before the baseline", "make clean")
			sameSchema(t, schemaOf(t, db), before)
		})
	}
}

func TestFailedMigrationLeavesNothingAndTheNextRunGoesOn(t *testing.T) {
	t.Parallel()
	for rule, broken := range map[string]string{
		"its first statement fails":       "-- +goose Up\nALTER TABLE nothing ADD note text;",
		"a later statement fails":         "-- +goose Up\nALTER TABLE points ADD note text;\nALTER TABLE nothing ADD note text;",
		"it fails without a transaction":  "-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE nothing ADD note text;",
		"it has no version in its folder": "-- +goose Down\nSELECT 1;\n-- +goose Down",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			db := applied(t)
			before := schemaOf(t, db)
			if _, err := sample.with(folder{second: broken}).apply(t, db); err == nil {
				t.Fatal("it was applied")
			}
			sameSchema(t, schemaOf(t, db), before)
			files := sample.with(folder{second: "-- +goose Up\nALTER TABLE points ADD note text;"})
			if got := files.must(t, db); got != (migrate.Versions{From: 1, To: 2}) {
				t.Errorf("the next run went from %d to %d", got.From, got.To)
			}
			if at := appliedAt(t, db); at[second].IsZero() {
				t.Errorf("the next run recorded %v", at)
			}
		})
	}
}

func TestMigrationThatSucceedsBeforeOneThatFailsStays(t *testing.T) {
	t.Parallel()
	db := applied(t)
	third := "migrations/00003_broken.sql"
	files := sample.with(folder{second: "-- +goose Up\nALTER TABLE points ADD note text;", third: "-- +goose Up\nSELECT nothing;"})
	if _, err := files.apply(t, db); err == nil {
		t.Fatal("a broken migration was applied")
	}
	if at := appliedAt(t, db); at[second].IsZero() || !at[third].IsZero() {
		t.Errorf("recorded are %v", at)
	}
	if got := files.with(folder{third: "-- +goose Up\nALTER TABLE points ADD third text;"}).must(t, db); got != (migrate.Versions{From: 2, To: 3}) {
		t.Errorf("the next run went from %d to %d", got.From, got.To)
	}
}

func TestMigrationsMustExtendThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	note := folder{second: "-- +goose Up\nCREATE TABLE notes ();"}
	third := folder{"migrations/00003_tag.sql": "-- +goose Up\nCREATE TABLE tags ();"}
	for _, c := range []struct {
		rule       string
		has, wants folder
		says       []string
	}{
		{"a newer database is refused", sample.with(note), sample, []string{second, "does not contain it", "deploy a version that does"}},
		{"a database on another branch is refused", sample.with(note), sample.with(third), []string{second, "does not contain it"}},
		{"a migration before one that was applied is refused", sample.with(third), sample.with(note).with(third), []string{"missing"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t).Owner()
			c.has.must(t, db)
			before := schemaOf(t, db)
			_, err := c.wants.apply(t, db)
			says(t, err, c.says...)
			sameSchema(t, schemaOf(t, db), before)
		})
	}
}

func TestOnlyChangedFunctionFilesAreAppliedAgain(t *testing.T) {
	t.Parallel()
	db := applied(t)
	first := appliedAt(t, db)
	sample.must(t, db)
	if now := appliedAt(t, db); !maps.Equal(now, first) {
		t.Errorf("files were applied at %v, and without a change at %v", first, now)
	}
	sample.replaced(t, twicePath, "2 *", "4 *").must(t, db)
	now := appliedAt(t, db)
	if !now[twicePath].After(first[twicePath]) || !now[totalPath].Equal(first[totalPath]) || !now[baseline].Equal(first[baseline]) {
		t.Errorf("files were applied at %v, and after a change of %s at %v", first, twicePath, now)
	}
	if got := total(t, db); got != 12 {
		t.Errorf("total_v1(3) returns %d after the change, want 12", got)
	}
}

func TestChangedHelperIsReplacedWithoutAnOverload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, twice, call string }{
		{"another parameter type", `internal.twice(p_number bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT (2 * p_number)::integer $$`, "internal.twice(p_more)"},
		{"another parameter name", `internal.twice(p_value integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * p_value $$`, "internal.twice(p_more)"},
		{"one more parameter", `internal.twice(p_number integer, p_by integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT p_by * p_number $$`, "internal.twice(p_more, 2)"},
		{"one more parameter with a default", `internal.twice(p_number integer, p_by integer DEFAULT 2) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT p_by * p_number $$`, "internal.twice(p_more)"},
		{"another parameter type, though the file names it without", `internal.twice(p_number bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT (2 * p_number)::integer $$;
			REVOKE ALL ON FUNCTION internal.twice FROM PUBLIC`, "internal.twice(p_more)"},
		{"another result", `internal.twice(p_number integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 2::bigint * p_number $$`, "internal.twice(p_more)"},
		{"all of it", `internal.twice(p_value numeric) RETURNS numeric LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 2 * p_value; END $$`, "internal.twice(p_more)"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			db := applied(t)
			files := sample.with(folder{twicePath: "CREATE OR REPLACE FUNCTION " + c.twice + ";"})
			if call := "internal.twice(p_more)"; c.call != call {
				files = files.replaced(t, totalPath, call, c.call)
			}
			if c.rule == "another result" || c.rule == "all of it" {
				files = files.replaced(t, totalPath, c.call, c.call+"::bigint")
			}
			files.must(t, db)
			if got := total(t, db); got != 6 {
				t.Errorf("total_v1(3) returns %d, want 6", got)
			}
			var overloads int
			if err := db.Get(&overloads, `SELECT count(*) FROM pg_proc WHERE proname = 'twice'`); err != nil || overloads != 1 {
				t.Errorf("%d functions are called twice (%v), want 1", overloads, err)
			}
			// A fresh database gets the same.
			fresh := pgtest.Empty(t).Owner()
			files.must(t, fresh)
			sameSchema(t, schemaOf(t, db), schemaOf(t, fresh))
		})
	}
}

func TestFunctionWithoutAFileIsDropped(t *testing.T) {
	t.Parallel()
	sum, step := "functions/internal/sum_all.sql", "functions/internal/add.sql"
	files := sample.with(folder{
		step: `CREATE OR REPLACE FUNCTION internal.add(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a + b';`,
		sum:  `CREATE OR REPLACE AGGREGATE internal.sum_all(integer) (SFUNC = internal.add, STYPE = integer, INITCOND = '0');`,
	})
	db := applied(t)
	without := schemaOf(t, db)
	for range 8 { // whatever the order in which the two are dropped
		files.must(t, db)
		sample.must(t, db)
		sameSchema(t, schemaOf(t, db), without)
	}
	// A function that Go calls goes in the same way.
	sample.with(folder{totalPath: ""}).must(t, db)
	if strings.Contains(schemaOf(t, db), "total_v1") {
		t.Error("the function of a file that is gone is still in the database")
	}
}

// A migration that changes a type drops the functions that use it.
func TestFunctionThatAMigrationDroppedIsMadeAgain(t *testing.T) {
	t.Parallel()
	db := applied(t)
	before := schemaOf(t, db)
	files := sample.with(folder{second: "-- +goose Up\nDROP FUNCTION total_v1, internal.twice;"})
	files.must(t, db)
	if got := total(t, db); got != 6 {
		t.Errorf("total_v1(3) returns %d, want 6", got)
	}
	of2 := func(line string) bool { return strings.Contains(line, second) || line == "goose_db_version 2 t" }
	sameSchema(t, strings.Join(slices.DeleteFunc(strings.Split(schemaOf(t, db), "\n"), of2), "\n"), before)
}

func TestGrantsOfAFunctionAreThoseOfItsFile(t *testing.T) {
	t.Parallel()
	db := applied(t)
	may := func(role string) (allowed bool) {
		if err := db.Get(&allowed, `SELECT has_function_privilege($1, 'total_v1(integer)', 'EXECUTE')`, role); err != nil {
			t.Fatal(err)
		}
		return allowed
	}
	if !may("score_query") || may("score_add") {
		t.Fatal("the sample's grants are wrong")
	}
	// They survive when only the body changes.
	changed := sample.replaced(t, totalPath, "coalesce(sum(n), 0)", "coalesce(sum(n), 1)")
	changed.must(t, db)
	if !may("score_query") || may("score_add") || may("public") {
		t.Error("a changed body changed the grants")
	}
	// They go with the line that made them.
	other := changed.replaced(t, totalPath, "TO score_query", "TO score_add")
	other.must(t, db)
	if may("score_query") || !may("score_add") {
		t.Errorf("score_query may call it: %t; score_add: %t", may("score_query"), may("score_add"))
	}
	fresh := pgtest.Empty(t).Owner()
	other.must(t, fresh)
	sameSchema(t, schemaOf(t, db), schemaOf(t, fresh))
}

// Each file can be applied again, as it is when its text changes.
func TestFilesCanBeAppliedAgain(t *testing.T) {
	t.Parallel()
	for kind, d := range databases(t) {
		db := d.Owner()
		digests := func(line string) bool { return strings.HasPrefix(line, "applied_files functions/") }
		schema := func() string {
			return strings.Join(slices.DeleteFunc(strings.Split(schemaOf(t, db), "\n"), digests), "\n")
		}
		before, at := schema(), appliedAt(t, db)
		files := folder{}
		for path, text := range texts(t, kind) {
			files[path] = text
			if strings.HasPrefix(path, "functions/") {
				files[path] += "-- again\n"
			}
		}
		files.must(t, db)
		sameSchema(t, schema(), before)
		now := appliedAt(t, db)
		for path := range files {
			if again := now[path].After(at[path]); again != strings.HasPrefix(path, "functions/") {
				t.Errorf("%s/%s was applied again: %t", kind, path, again)
			}
		}
	}
}
