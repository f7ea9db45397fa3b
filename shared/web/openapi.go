package web

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI gives the OpenAPI 3.1 document of the whole API as JSON. It panics
// where the embedded source is broken, so that no start and no test gets past
// that.
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

func (h userHandlers) document(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	return answerWith(w, r, "application/json", h.openAPI)
}
