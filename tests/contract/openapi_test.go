package contract

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"plaudit/shared/web"
	"plaudit/tests/openapi"
)

// The document follows the specification, examples included.
func TestOpenAPIDocumentIsValid(t *testing.T) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(loader.Context, openapi3.EnableExamplesValidation(), openapi3.EnableSchemaPatternValidation()); err != nil {
		t.Error(err)
	}
	for name, schema := range doc.Components.Schemas {
		// Client generators make a type of each component.
		if doc.Components.Parameters[name] != nil || doc.Components.Responses[name] != nil || doc.Components.Headers[name] != nil {
			t.Errorf("a schema and another component are named %s", name)
		}
		for _, example := range schema.Value.Examples {
			if err := schema.Value.VisitJSON(example, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation()); err != nil {
				t.Errorf("an example of %s: %v", name, err)
			}
		}
	}
}

// Routes and document have the same rows, and agree on who may call them.
func TestOpenAPIDocumentHasEveryRoute(t *testing.T) {
	doc, err := openapi.Load(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	documented := doc.Operations()
	ids := map[string]bool{}
	for _, r := range web.Routes {
		row := r.Method + " " + r.Pattern
		op := doc.Operation(r.Method, r.Pattern)
		if op == nil {
			t.Errorf("%s is not in shared/web/openapi.yaml", row)
			continue
		}
		documented = slices.DeleteFunc(documented, func(d string) bool { return d == row })

		if id, _ := op["operationId"].(string); id == "" || ids[id] {
			t.Errorf("%s: operationId %q is empty or used twice", row, id)
		} else {
			ids[id] = true
		}
		if description, _ := op["description"].(string); !strings.HasPrefix(description, "For "+string(r.For)) {
			t.Errorf("%s: the description %q does not begin with the audience: For %s", row, description, r.For)
		}
		if got := security(t, row, op); !slices.Contains(allowed(r.For), got) {
			t.Errorf("%s is for %s, but its security is %q", row, r.For, got)
		}
		// Refusals are documented.
		responses := slices.Sorted(maps.Keys(op["responses"].(map[string]any)))
		want := []string{"401"}
		if strings.Contains(r.Pattern, "{") {
			want = append(want, "404")
		}
		if op["requestBody"] != nil {
			want = append(want, "400", "408", "413", "415")
		}
		switch r.For {
		case web.People, web.Organizers, web.KeyMakers, web.Staff, web.Admins, web.BoardWriters, web.BoardOwners:
			want = append(want, "403")
		}
		for _, status := range want {
			if !slices.Contains(responses, status) {
				t.Errorf("%s: the response %s is not documented", row, status)
			}
		}
		if !slices.ContainsFunc(responses, func(s string) bool { return s[0] == '2' }) {
			t.Errorf("%s: no success is documented", row)
		}
		body, _ := op["requestBody"].(map[string]any)
		// The path of a link says all that there is to accept.
		if takes := r.Method == "POST" || r.Method == "PUT" && r.Pattern != "/v1/players/me/links/{board}/{player}" || r.Method == "PATCH"; takes != (body != nil) {
			t.Errorf("%s: has a documented body: %t", row, body != nil)
		} else if takes {
			media, kind := "application/json", "JSON"
			if at(body, "content", web.FormType) != nil {
				media, kind = web.FormType, "A form"
			}
			if at(body, "content", media, "example") == nil {
				t.Errorf("%s: the body has no example", row)
			}
			if want := kind + " of at most " + thousands(r.Body) + " bytes."; body["description"] != want {
				t.Errorf("%s: the body's description is %q, want %q", row, body["description"], want)
			}
		}
	}
	for _, row := range documented {
		t.Errorf("%s is in shared/web/openapi.yaml, but not in web.Routes", row)
	}
}

// thousands writes a number of four to seven digits as texts have it.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// security reports whether an operation takes no token, may take one or needs one.
func security(t *testing.T, row string, op map[string]any) string {
	t.Helper()
	var kinds []string
	for _, alternative := range op["security"].([]any) {
		names := slices.Collect(maps.Keys(alternative.(map[string]any)))
		kinds = append(kinds, strings.Join(names, "+"))
	}
	slices.Sort(kinds)
	switch {
	case len(kinds) == 0:
		return "none"
	case slices.Equal(kinds, []string{"", "bearer"}):
		return "either"
	case slices.Equal(kinds, []string{"bearer"}):
		return "bearer"
	}
	t.Errorf("%s: security %v", row, kinds)
	return ""
}

// allowed returns the kinds of security that suit an audience.
func allowed(audience web.Audience) []string {
	switch audience {
	case web.Anyone: // some routes show more to certain callers
		return []string{"none", "either"}
	case web.BoardReaders:
		return []string{"either"}
	}
	return []string{"bearer"}
}
