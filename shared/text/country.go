package text

import (
	"strings"

	"golang.org/x/text/language"
)

// CountryForm completes the sentence that a malformed country is refused with.
const CountryForm = "must be a country code of two letters (ISO 3166-1 alpha-2), such as KR"

// Country returns a country's code (ISO 3166-1 alpha-2), which may be written in
// either case, in upper case. It also refuses codes that were replaced by
// another one.
func Country(s string) (code string, ok bool) {
	if len(s) != 2 {
		return "", false
	}
	code = strings.ToUpper(s)
	r, err := language.ParseRegion(code)
	if err != nil || !r.IsCountry() || r.String() != code || r.Canonicalize() != r {
		return "", false
	}
	return code, true
}
