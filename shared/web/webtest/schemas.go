// Package webtest has what the tests of the handlers share: the comparison with the
// OpenAPI document, and texts.
package webtest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/web"
)

// Without is a struct without some of its JSON fields: Without[T]{"id"}.
type Without[T any] []string

func (w Without[T]) fields() []field {
	return slices.DeleteFunc(fieldsOf(reflect.TypeFor[T]()), func(f field) bool { return slices.Contains(w, f.name) })
}

type field struct {
	name     string
	optional bool // omitempty or omitzero
}

func fieldsOf(t reflect.Type) (fields []field) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			fields = append(fields, fieldsOf(f.Type)...)
		} else {
			fields = append(fields, field{name, options == "omitempty" || options == "omitzero"})
		}
	}
	return fields
}

// CheckSchemas compares structs, or Without structs, with the schemas of these names
// in the OpenAPI document. A schema must have the struct's fields, and the schema of a
// response must require the fields that a response always has. A schema that allows
// no other field is one of a request.
func CheckSchemas(t *testing.T, structs map[string]any) {
	t.Helper()
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Required             []string
				Properties           map[string]json.RawMessage
				AdditionalProperties any
			}
		}
	}
	if err := json.Unmarshal(web.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, value := range structs {
		schema, ok := doc.Components.Schemas[name]
		if !ok {
			t.Errorf("the document has no schema %s", name)
			continue
		}
		var fields []field
		if w, ok := value.(interface{ fields() []field }); ok {
			fields = w.fields()
		} else {
			fields = fieldsOf(reflect.TypeOf(value))
		}
		var all, required []string
		for _, f := range fields {
			all = append(all, f.name)
			if !f.optional {
				required = append(required, f.name)
			}
		}
		slices.Sort(all)
		slices.Sort(required)
		if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, all) {
			t.Errorf("%s has the fields\n%v, and its struct\n%v", name, got, all)
		}
		// The rules, not the struct, decide which fields a request must have.
		slices.Sort(schema.Required)
		if request := schema.AdditionalProperties == false; !request && !slices.Equal(schema.Required, required) {
			t.Errorf("%s always has\n%v, and its struct\n%v", name, schema.Required, required)
		}
	}
}
