// Package score holds the rules for boards, entries and standings. It knows
// nothing of HTTP or SQL.
package score

import (
	"regexp"

	"plaudit/shared/fault"
	"plaudit/shared/text"
)

// MaxPoints is the largest integer that JavaScript clients hold exactly.
// Points, tiebreaks and scores are within ±MaxPoints.
const MaxPoints = 1<<53 - 1

// Limits of texts and lists. Lengths are in characters, MaxMetadata in bytes of
// compact JSON.
const (
	maxTitle          = 200
	maxNote           = 1000
	MaxDisplayName    = 80
	maxReason         = 80
	maxReasons        = 1000
	maxPeople         = 100 // owners, writers and viewers each
	maxAttributes     = 16
	maxAttributeName  = 40
	maxAttributeValue = 80
	MaxMetadata       = 4096
)

var (
	playerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~@:-]{0,63}$`)
	userID   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	keyText  = regexp.MustCompile(`^[!-~]{1,128}$`)
)

// ValidPlayer reports whether the text has the form of a player's id.
func ValidPlayer(id string) bool { return playerID.MatchString(id) }

// checkText adds a fault unless the short text is valid.
func checkText(faults *fault.List, field, short string, max int) {
	if err := text.Check(short, max); err != nil {
		faults.Add(field, "%v", err)
	}
}

// checkNote adds a fault unless the note is valid.
func checkNote(faults *fault.List, field, note string) {
	if err := text.CheckNote(note, maxNote); err != nil {
		faults.Add(field, "%v", err)
	}
}

// checkKey adds a fault of a map's field unless its key is a valid short text.
func checkKey(faults *fault.List, field, key string, max int) {
	if err := text.Check(key, max); err != nil {
		faults.Add(field, "has an invalid name: it %v", err)
	}
}

// checkCountry adds a fault unless the text is a country's code.
func checkCountry(faults *fault.List, field, code string) {
	if _, ok := text.Country(code); !ok {
		faults.Add(field, text.CountryForm)
	}
}

// upperCountry returns the country's code in upper case, or the text unchanged
// if it is none.
func upperCountry(s string) string {
	if code, ok := text.Country(s); ok {
		return code
	}
	return s
}

// inForm returns a text in the form that form returns. It never changes what
// the pointer points to.
func inForm(s *string, form func(string) string) *string {
	if s == nil {
		return nil
	}
	if formed := form(*s); formed != *s {
		return &formed
	}
	return s
}

// normalKeys returns the map with its keys in their normal form, and adds a
// fault for every key that then appears more than once.
func normalKeys[V any](faults *fault.List, field string, m map[string]V) map[string]V {
	if m == nil {
		return nil
	}
	normal := make(map[string]V, len(m))
	for _, key := range sortedKeys(m) {
		name := text.Normal(key)
		if _, ok := normal[name]; ok {
			faults.Add(field+"."+name, "appears more than once: names are compared in Unicode's NFC, without white space at their ends")
		}
		normal[name] = m[key]
	}
	return normal
}

// InRange reports whether points, a tiebreak or a score are within ±MaxPoints.
func InRange(n int64) bool { return n >= -MaxPoints && n <= MaxPoints }

func checkPoints(faults *fault.List, field string, n int64) {
	if !InRange(n) {
		faults.Add(field, "must be from -%d to %d", int64(MaxPoints), int64(MaxPoints))
	}
}

// NoBoard returns the fault for a board that does not exist, or that the caller
// may not know about.
func NoBoard(id string) error {
	return fault.New(fault.NotFound, "Board %q does not exist, or you may not see it.", id)
}
