// Package id holds the forms of identifiers that more than one package checks.
package id

import "regexp"

// BoardForm completes the sentence that a malformed board id is refused with.
const BoardForm = "must be 1 to 63 characters of a-z, 0-9 and -, and must not begin with -"

var (
	boardPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	uuidPattern  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// Board reports whether the text has the form of a board's id. It does not
// check that the board exists.
func Board(text string) bool { return boardPattern.MatchString(text) }

// UUID reports whether the text is a UUID in the only form that Plaudit issues:
// lower case with hyphens (RFC 9562, section 4). PostgreSQL accepts other forms
// of the same UUID, which would make one id look like several.
func UUID(text string) bool { return uuidPattern.MatchString(text) }
