package web

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// described are the structs that requests are read into and answers are made
// of, by their schema in the document. Requests are those whose schema allows
// no other field.
var described = map[string]any{
	"BoardChanges":  without[boardIn]{"id"},
	"NewBoard":      boardIn{},
	"Board":         score.Board{},
	"Run":           periodOut{},
	"NewEntry":      entryIn{},
	"Profile":       profileIn{},
	"Entry":         entryOut{},
	"Credit":        creditOut{},
	"StandingItem":  standingItemOut{},
	"Standings":     standingsOut{},
	"Standing":      standingOut{},
	"CategoryRank":  categoryOut{},
	"SignUp":        signUpIn{},
	"User":          userOut{},
	"PublicProfile": profileOut{},
	"UserList":      page{},
	"BoardList":     listOut{},
	"Session":       sessionOut{},
	"OpenSession":   openSessionOut{},
	"Key":           without[keyOut]{"key"},
	"PlayerChanges": playerIn{},
	"Player":        score.Player{},
	"NewReversal":   reversalIn{},
	"NewBatch":      batchIn{},
	"BatchItem":     batchItemIn{},
	"Batch":         batchOut{},
	"BatchEntry":    batchEntryOut{},
	"Problem":       problem{},
	"FieldFault":    fault.FieldFault{},
}

// without is a struct less some of its fields.
type without[T any] []string

func (w without[T]) fields() ([]jsonField, []string) { return jsonFields(reflect.TypeFor[T]()), w }

type jsonField struct {
	name     string
	optional bool // omitempty
}

func jsonFields(t reflect.Type) (fields []jsonField) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			fields = append(fields, jsonFields(f.Type)...)
		} else {
			fields = append(fields, jsonField{name, options == "omitempty"})
		}
	}
	return fields
}

func TestOpenAPISchemasAreTheStructs(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Required             []string
				Properties           map[string]json.RawMessage
				AdditionalProperties any
			}
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, value := range described {
		schema := doc.Components.Schemas[name]
		var all, required []string
		left := []string{}
		fields := []jsonField(nil)
		if w, ok := value.(interface {
			fields() ([]jsonField, []string)
		}); ok {
			fields, left = w.fields()
		} else {
			fields = jsonFields(reflect.TypeOf(value))
		}
		for _, f := range fields {
			if slices.Contains(left, f.name) {
				continue
			}
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
		// What a request must have is a rule, not a matter of its struct; an
		// answer has all that may not be left out.
		slices.Sort(schema.Required)
		if request := schema.AdditionalProperties == false; !request && !slices.Equal(schema.Required, required) {
			t.Errorf("%s always has\n%v, and its struct\n%v", name, schema.Required, required)
		}
	}
}
