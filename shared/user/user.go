// Package user holds the rules for accounts, passwords and sessions. It knows
// nothing of HTTP or SQL, and not how a token is signed.
package user

import (
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/timezone"
)

// User is an account. Its id is a UUIDv7, so ids sort by time of sign-up.
type User struct {
	ID            string
	Email         string // as its owner wrote it; compared by AddressKey
	EmailVerified bool
	DisplayName   string
	Role          access.Role
	Locale        string          // ko or en
	TimeZone      string          // IANA name
	Country       string          // ISO 3166-1 alpha-2, empty where not said
	Mail          map[string]bool // by type of event: whether its owner wants mail of it, where they said so
	CreatedAt     time.Time
}

// SignUp is what somebody gives to open an account. Locale and TimeZone nil
// mean en and UTC, Country nil means not said.
type SignUp struct {
	Email, Password, DisplayName string
	Locale, TimeZone, Country    *string
}

// The limits of an account's fields, in characters.
const (
	maxEmail       = 254 // RFC 5321, 4.5.3.1.3, without the angle brackets
	maxEmailLocal  = 64  // RFC 5321, 4.5.3.1.1
	maxDisplayName = 80
	minPassword    = 10
	maxPassword    = 256
)

// account checks every field and gives the account that it would open, without
// id and role. The password is checked too.
func (in SignUp) account() (User, error) {
	u := User{Email: in.Email, DisplayName: in.DisplayName, Locale: "en", TimeZone: "UTC", Mail: map[string]bool{}}
	var faults fault.List
	checkEmail(&faults, in.Email)
	checkPassword(&faults, "password", in.Password, in.Email)
	checkDisplayName(&faults, in.DisplayName)
	if in.Locale != nil {
		u.Locale = *in.Locale
		checkLocale(&faults, u.Locale)
	}
	if in.TimeZone != nil {
		u.TimeZone = *in.TimeZone
		checkTimeZone(&faults, u.TimeZone)
	}
	if in.Country != nil {
		u.Country = *in.Country
		checkCountry(&faults, u.Country)
	}
	return u, faults.Err()
}

func checkLocale(faults *fault.List, locale string) {
	if locale != "ko" && locale != "en" {
		faults.Add("locale", "must be ko or en")
	}
}

func checkTimeZone(faults *fault.List, name string) {
	if _, err := timezone.Load(name); err != nil {
		faults.Add("time_zone", "must be a name of the IANA time zone database, such as Asia/Seoul")
	}
}

func checkCountry(faults *fault.List, code string) {
	if !validCountry(code) {
		faults.Add("country", "must be a country's two capital letters (ISO 3166-1 alpha-2), such as KR")
	}
}

// AddressKey is what two e-mail addresses share where they mean one account.
// Mail systems may tell A@example.com from a@example.com, people don't.
func AddressKey(email string) string { return strings.ToLower(email) }

var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// checkEmail takes a bare address (RFC 5322 addr-spec) in ASCII: mail cannot
// be sent through SES to a local part that is not, and look-alike letters
// would make two accounts of one address. A domain in other letters is written
// in its xn-- form.
func checkEmail(faults *fault.List, email string) {
	if email == "" {
		faults.Add("email", "is required")
		return
	}
	if len(email) > maxEmail {
		faults.Add("email", "may have %d characters", maxEmail)
		return
	}
	parsed, err := mail.ParseAddress(email)
	at := strings.LastIndexByte(email, '@')
	// What ParseAddress takes beyond an addr-spec (a name, a comment, spaces
	// around it) and what it unquotes does not come back the same.
	if err != nil || parsed.Name != "" || parsed.Address != email ||
		strings.IndexFunc(email, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 ||
		at > maxEmailLocal || !domainName.MatchString(email[at+1:]) {
		faults.Add("email", "must be an e-mail address such as name@example.com, with nothing around it")
	}
}

func checkDisplayName(faults *fault.List, name string) {
	checkName(faults, "display_name", name, maxDisplayName)
}

// checkName takes one line of text that can be seen, of up to max characters.
func checkName(faults *fault.List, field, name string, max int) {
	switch {
	case name == "":
		faults.Add(field, "is required")
	case utf8.RuneCountInString(name) > max:
		faults.Add(field, "may have %d characters", max)
	case !utf8.ValidString(name) || strings.IndexFunc(name, breaksText) >= 0:
		faults.Add(field, "must not hold control characters, line breaks or characters that turn the direction of text")
	case strings.IndexFunc(name, visible) < 0:
		faults.Add(field, "must have a character that can be seen")
	}
}

// breaksText finds what would reach beyond a name when it is shown: control
// characters, line and paragraph separators, and the embeddings, overrides and
// isolates of Unicode's bidirectional algorithm (UAX 9, 2).
func breaksText(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		'\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// visible leaves out spaces, and marks and joiners that show nothing alone.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
}

// validCountry also refuses codes that were withdrawn for another one.
func validCountry(code string) bool {
	if len(code) != 2 {
		return false
	}
	r, err := language.ParseRegion(code)
	return err == nil && r.IsCountry() && r.String() == code && r.Canonicalize() == r
}
