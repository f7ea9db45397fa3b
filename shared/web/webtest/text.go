package webtest

import (
	"encoding/json"

	"golang.org/x/text/unicode/norm"
)

// Forms returns four forms in which the same short text may arrive; the first is
// the one in which it is kept.
func Forms(s string) []string {
	return []string{s, norm.NFD.String(s), " " + s + "\u00a0", "\ufeff" + norm.NFD.String(s) + "\u200b\n"}
}

// Quoted returns a text as JSON.
func Quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}
