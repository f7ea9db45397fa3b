package web

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI 3.1 document of the whole API as JSON. It panics
// if the embedded source is broken, so that neither a program nor a test starts
// with it.
func OpenAPI() []byte {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		panic(fmt.Sprintf("web: openapi.yaml: %v", err))
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("web: openapi.yaml: %v", err))
	}
	return text
}
