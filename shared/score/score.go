// Package score holds the rules for boards, entries and standings. It knows
// nothing of HTTP or SQL.
package score

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"plaudit/shared/fault"
)

// MaxPoints is the largest integer that JavaScript clients hold exactly.
// Points, tiebreaks and scores are within ±MaxPoints.
const MaxPoints = 1<<53 - 1

// Limits of texts and lists. Lengths are in characters, MaxMetadata in bytes of
// compact JSON.
const (
	maxTitle          = 200
	maxNote           = 1000
	maxDisplayName    = 80
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
	country  = regexp.MustCompile(`^[A-Z]{2}$`) // ISO 3166-1 alpha-2
	keyText  = regexp.MustCompile(`^[!-~]{1,128}$`)
)

// ValidPlayer reports whether the text has the form of a player's id.
func ValidPlayer(id string) bool { return playerID.MatchString(id) }

const countryForm = "must be a country code of two capital letters (ISO 3166-1 alpha-2), such as KR"

// checkText adds a fault unless the text has 1 to max characters.
func checkText(faults *fault.List, field, text string, max int) {
	if n := utf8.RuneCountInString(text); n > max || strings.TrimSpace(text) == "" {
		faults.Add(field, "must have 1 to %d characters and must not be blank", max)
	}
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
