package eventtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
)

// examples returns those of a type's schema.
func examples(t *testing.T, typ event.Type) (all []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(eventtest.Folder(), string(typ)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Title    string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Examples) == 0 || schema.Title != "Data of "+string(typ) {
		t.Errorf("the schema %q of %s has %d examples", schema.Title, typ, len(schema.Examples))
	}
	return schema.Examples
}

// Each type has a schema, whose examples match it. It is strict: a member that it does
// not know, in any object but those whose names are free, does not match.
func TestEveryTypeHasAStrictSchema(t *testing.T) {
	for _, typ := range event.Types() {
		for _, data := range examples(t, typ) {
			if err := eventtest.Data(typ, data); err != nil {
				t.Errorf("an example: %v", err)
			}
			var value any
			if err := json.Unmarshal(data, &value); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range widened(value) {
				text, err := json.Marshal(wrong)
				if err != nil {
					t.Fatal(err)
				}
				if eventtest.Data(typ, text) == nil {
					t.Errorf("%s also takes %s", typ, text)
				}
			}
		}
		for _, wrong := range []string{``, `null`, `[]`, `7`, `{"unknown": 1}`} {
			if eventtest.Data(typ, []byte(wrong)) == nil {
				t.Errorf("%s takes %q", typ, wrong)
			}
		}
	}
	if eventtest.Data("plaudit.board.exploded", []byte("{}")) == nil {
		t.Error("an unknown type has a schema")
	}
}

// widened returns copies of a value in which one object has one more member.
func widened(value any) (all []any) {
	switch v := value.(type) {
	case map[string]any:
		more := map[string]any{"unknown": 1.0}
		for name, member := range v {
			more[name] = member
			if name == "catalogue" {
				continue // its names are free
			}
			for _, w := range widened(member) {
				other := map[string]any{name: w}
				for n, m := range v {
					if n != name {
						other[n] = m
					}
				}
				all = append(all, other)
			}
		}
		all = append(all, more)
	case []any:
		for i, item := range v {
			for _, w := range widened(item) {
				other := slices.Clone(v)
				other[i] = w
				all = append(all, other)
			}
		}
	}
	return all
}

func TestSchemasRefuseWrongValues(t *testing.T) {
	for _, c := range []struct {
		typ  event.Type
		old  string
		with string
	}{
		{event.EntryAdded, `"points": 42`, `"points": 42.5`},
		{event.EntryAdded, `"points": 42`, `"points": 9007199254740992`},
		{event.EntryAdded, `"kind": "result"`, `"kind": "import"`},
		{event.EntryAdded, `"occurred_at": "2026-04-05T12:30:00Z"`, `"occurred_at": "yesterday"`},
		{event.EntryReversed, `"note": "wrong bib"`, `"note": null`},
		{event.PlayerChanged, `"display_name": {}`, `"display_name": {"from": null, "to": "Kim Minji"}`},
		{event.UserUpdated, `"mail": {}`, `"email": {}`},
		{event.LinkEnded, `"accepted"`, `"broken"`},
	} {
		example := string(examples(t, c.typ)[0])
		spaces := regexp.MustCompile(`\s+`)
		example = spaces.ReplaceAllString(example, " ")
		changed := strings.Replace(example, c.old, c.with, 1)
		if changed == example {
			t.Fatalf("the example of %s lacks %s: %s", c.typ, c.old, example)
		}
		if eventtest.Data(c.typ, []byte(changed)) == nil {
			t.Errorf("%s takes %s", c.typ, c.with)
		}
	}
}

// No file in docs/events is left over, and its README has a row for each type.
func TestTheFolderHasWhatTheTypesNeed(t *testing.T) {
	want := []string{"README.md"}
	for _, typ := range event.Types() {
		want = append(want, string(typ)+".json")
	}
	files, err := os.ReadDir(eventtest.Folder())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/events has %v, want %v", got, want)
	}
	readme, err := os.ReadFile(filepath.Join(eventtest.Folder(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| \\[`([a-z.-]+)`\\]\\(([a-z.-]+)\\.json\\) \\|").FindAllStringSubmatch(string(readme), -1) {
		if row[1] != row[2] {
			t.Errorf("the row of %s leads to %s", row[1], row[2])
		}
		rows = append(rows, row[1])
	}
	var types []string
	for _, typ := range event.Types() {
		types = append(types, string(typ))
	}
	if !slices.Equal(rows, types) {
		t.Errorf("the README lists %v, want %v", rows, types)
	}
}
