package web_test

import (
	"testing"

	"plaudit/shared/fault"
	"plaudit/shared/problem"
	"plaudit/shared/web/webtest"
)

func TestSchemasAreTheStructs(t *testing.T) {
	webtest.CheckSchemas(t, map[string]any{"Problem": problem.Problem{}, "FieldFault": fault.FieldFault{}})
}
