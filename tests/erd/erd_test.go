// Package erd draws the entity-relationship diagrams of docs/databases.md from
// the migrated databases and fails if the page is out of date.
package erd

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const page = "../../docs/databases.md"

// refers lists references without a foreign key. The scores database writes a
// row and the row that it refers to in one transaction and deletes neither, so
// checking each reference would only cost time.
var refers = map[string][]string{
	"scores": {
		"players.board boards", "runs.board boards", "entries.board boards", "entry_keys.board boards",
		"standings.run runs", "standings.player players", "entries.player players", "entry_keys.entry entries",
		"entries.reverses entries", "outbox.entry entries", "outbox_failed.entry entries",
	},
	"users": nil,
}

// The diagrams match the tables that the migrations create. `UPDATE=1 go test
// ./tests/erd` draws them again.
func TestDiagramsAreTheSchema(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, database := range map[string]*pgtest.Database{"scores": pgtest.Scores(t), "users": pgtest.Users(t)} {
		block := regexp.MustCompile("(?s)(<!-- drawn: " + name + " -->\n)```mermaid\n.*?```\n")
		if !block.MatchString(want) {
			t.Fatalf("%s has no diagram of the %s database", page, name)
		}
		drawn := "```mermaid\n" + draw(t, database.Owner(), refers[name]) + "```\n"
		want = block.ReplaceAllStringFunc(want, func(old string) string {
			return strings.SplitAfter(old, "\n")[0] + drawn
		})
	}
	if want == string(text) {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("docs/databases.md is out of date: run UPDATE=1 go test ./tests/erd")
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

type column struct {
	Table, Name, Type         string
	Nullable, Primary, Unique bool
	References                string // the referenced table
}

func draw(t *testing.T, db *sqlx.DB, references []string) string {
	t.Helper()
	var columns []column
	err := db.Select(&columns, `
		SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
			EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS primary,
			EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary AND i.indnatts = 1 AND a.attnum = i.indkey[0]) AS unique,
			coalesce((SELECT f.confrelid::regclass::text FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.conkey = ARRAY[a.attnum]), '') AS references
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%' AND c.relname <> 'applied_files' AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname, a.attnum`)
	if err != nil {
		t.Fatal(err)
	}
	if len(columns) < 20 {
		t.Fatalf("the database has only %d columns", len(columns))
	}
	var tables, lines []string
	for i := range columns {
		c := &columns[i]
		for _, r := range references {
			if where, to, _ := strings.Cut(r, " "); where == c.Table+"."+c.Name {
				c.References = to
				references = slices.DeleteFunc(slices.Clone(references), func(other string) bool { return other == r })
			}
		}
		if c.References != "" {
			// |o means that the reference may be null.
			one := map[bool]string{true: "|o", false: "||"}[c.Nullable]
			lines = append(lines, fmt.Sprintf("  %s %s--o{ %s : %s\n", c.References, one, c.Table, c.Name))
		}
	}
	if len(references) > 0 {
		t.Errorf("no such columns: %v", references)
	}
	var b strings.Builder
	b.WriteString("erDiagram\n")
	for _, l := range lines {
		b.WriteString(l)
	}
	for _, c := range columns {
		if !slices.Contains(tables, c.Table) {
			if len(tables) > 0 {
				b.WriteString("  }\n")
			}
			tables = append(tables, c.Table)
			fmt.Fprintf(&b, "  %s {\n", c.Table)
		}
		// Mermaid types consist of letters, digits, _, - and brackets.
		kind := strings.NewReplacer(" with time zone", "tz", " ", "_").Replace(c.Type)
		var marks []string
		for _, m := range []struct {
			is   bool
			mark string
		}{{c.Primary, "PK"}, {c.References != "", "FK"}, {c.Unique, "UK"}} {
			if m.is {
				marks = append(marks, m.mark)
			}
		}
		line := "    " + kind + " " + c.Name
		if len(marks) > 0 {
			line += " " + strings.Join(marks, ", ")
		}
		if c.Nullable {
			line += ` "may be null"`
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("  }\n")
	return b.String()
}
