package users_test

import (
	"fmt"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bodyWith returns a JSON object with one member set to a value, or removed if the
// value is empty. The members' values are JSON.
func bodyWith(members map[string]string, name, value string) string {
	if value == "" {
		delete(members, name)
	} else {
		members[name] = value
	}
	var list []string
	for k, v := range members {
		list = append(list, fmt.Sprintf("%q: %s", k, v))
	}
	return "{" + strings.Join(list, ", ") + "}"
}
