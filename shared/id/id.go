// Package id holds the forms of identifiers that more than one package checks.
package id

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

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

// Address returns a name for the e-mail address that an account has, from which nobody
// reads the address: 32 hex digits. Addresses that differ in case only have the same.
func Address(account, email string) string {
	sum := sha256.Sum256([]byte(account + " " + strings.ToLower(email)))
	return hex.EncodeToString(sum[:16])
}

// AddressForm completes the sentence that a malformed name of an address is refused with.
const AddressForm = "must be 32 hex digits, as the tag `address` of the mail"

var addressPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// IsAddress reports whether the text has the form of what Address returns.
func IsAddress(text string) bool { return addressPattern.MatchString(text) }
