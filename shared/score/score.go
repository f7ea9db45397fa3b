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

// The limits of texts and lists. Lengths are in characters, MaxMetadata in
// bytes of compact JSON.
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
	boardID  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	playerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~@:-]{0,63}$`)
	userID   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	// registeredID is what the users service gives its users: UUIDs.
	registeredID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	country      = regexp.MustCompile(`^[A-Z]{2}$`) // ISO 3166-1 alpha-2
	keyText      = regexp.MustCompile(`^[!-~]{1,128}$`)
)

// ValidPlayer says whether a player may have the id.
func ValidPlayer(id string) bool { return playerID.MatchString(id) }

// checkText notes a text that is not within 1 to max characters.
func checkText(faults *fault.List, field, text string, max int) {
	if n := utf8.RuneCountInString(text); n > max || strings.TrimSpace(text) == "" {
		faults.Add(field, "must have 1 to %d characters, not only spaces", max)
	}
}

func checkPoints(faults *fault.List, field string, n int64) {
	if n < -MaxPoints || n > MaxPoints {
		faults.Add(field, "must be from -%d to %d", int64(MaxPoints), int64(MaxPoints))
	}
}

// NoBoard is the fault of a board that is not there, or not for the caller.
func NoBoard(id string) error {
	return fault.New(fault.NotFound, "There is no board %q that you may see.", id)
}
