// Package eventtest holds events in tests to the schemas in docs/events.
package eventtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"plaudit/shared/event"
)

// Folder returns the folder with the schemas.
func Folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "docs", "events")
}

// schemas are those of all types, compiled once.
var schemas = sync.OnceValues(func() (map[event.Type]*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	all := map[event.Type]*jsonschema.Schema{}
	for _, typ := range event.Types() {
		text, err := os.ReadFile(filepath.Join(Folder(), string(typ)+".json"))
		if err != nil {
			return nil, err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", typ, err)
		}
		location := event.Schema(typ)
		if id := schema.(map[string]any)["$id"]; id != location {
			return nil, fmt.Errorf("the schema of %s has the $id %v, want %s", typ, id, location)
		}
		if err := compiler.AddResource(location, schema); err != nil {
			return nil, err
		}
		if all[typ], err = compiler.Compile(location); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// Data returns an error unless the data is what docs/events says of the type.
func Data(typ event.Type, data []byte) error {
	all, err := schemas()
	if err != nil {
		return err
	}
	schema, ok := all[typ]
	if !ok {
		return fmt.Errorf("%s is not a type of our events", typ)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the data of %s: %w", typ, err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("the data of %s, %s: %w", typ, data, err)
	}
	return nil
}

// CloudEvent returns an error unless the CloudEvents SDK accepts the event.
func CloudEvent(e event.Event) error {
	document, err := e.Encode()
	if err != nil {
		return err
	}
	var read cloudevents.Event
	if err := json.Unmarshal(document, &read); err != nil {
		return fmt.Errorf("the CloudEvents SDK cannot read %s: %w", document, err)
	}
	if err := read.Validate(); err != nil {
		return fmt.Errorf("the CloudEvents SDK refuses %s: %w", document, err)
	}
	return nil
}

// Validate reports an event of ours that is no CloudEvent, whose data is not what its
// schema says, or that does not name its schema.
func Validate(t testing.TB, e event.Event) {
	t.Helper()
	if want := event.Schema(e.Type); e.DataSchema != want || e.DataContentType != "application/json" {
		t.Errorf("the event %s has the schema %q and the content type %q, want %s and application/json", e.Type, e.DataSchema, e.DataContentType, want)
	}
	if err := CloudEvent(e); err != nil {
		t.Error(err)
	}
	if err := Data(e.Type, e.JSON); err != nil {
		t.Error(err)
	}
}
