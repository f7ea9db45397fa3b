package id

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestBoard(t *testing.T) {
	for text, want := range map[string]bool{
		"a":                     true,
		"0":                     true,
		"han-river-10k":         true,
		"a-":                    true,
		strings.Repeat("a", 63): true,
		"":                      false,
		strings.Repeat("a", 64): false,
		"-a":                    false,
		"A":                     false,
		"a_b":                   false,
		"a b":                   false,
		"a/b":                   false,
		"a.b":                   false,
		"é":                     false,
		"a\n":                   false,
		"\na":                   false,
		"a\x00":                 false,
	} {
		if Board(text) != want {
			t.Errorf("Board(%q) is %v", text, !want)
		}
	}
}

func TestUUID(t *testing.T) {
	const good = "0198c0de-0000-7000-8000-00000000abcd"
	for text, want := range map[string]bool{
		good:                              true,
		uuid.Nil.String():                 true,
		"":                                false,
		strings.ToUpper(good):             false,
		"{" + good + "}":                  false,
		"urn:uuid:" + good:                false,
		good + "\n":                       false,
		" " + good:                        false,
		good[:35]:                         false,
		good + "0":                        false,
		good[:35] + "g":                   false,
		good[:8] + "0" + good[9:]:         false,
		strings.ReplaceAll(good, "-", ""): false,
	} {
		if UUID(text) != want {
			t.Errorf("UUID(%q) is %v", text, !want)
		}
	}
	for range 100 {
		v7, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		if text := v7.String(); !UUID(text) {
			t.Errorf("UUID(%q) is false", text)
		}
	}
}
