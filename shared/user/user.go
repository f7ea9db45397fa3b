// Package user holds the rules for accounts, passwords and sessions. It knows
// nothing of HTTP or SQL, or of how a token is signed.
package user

import (
	"net/mail"
	"regexp"
	"strings"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/text"
	"plaudit/shared/timezone"
)

// User is an account. Its id is a UUIDv7, so ids sort by time of sign-up.
type User struct {
	ID            string
	Email         string // as its owner wrote it; compared by AddressKey
	EmailVerified bool
	NewEmail      string // what the account asked for and has not confirmed; empty if nothing
	FormerEmail   string // the verified one before the latest change, for a while; empty if none
	DisplayName   string
	Role          access.Role
	Locale        string          // ko or en
	TimeZone      string          // IANA name
	Country       string          // ISO 3166-1 alpha-2; empty if unknown
	Mail          map[string]bool // by type of event: whether the owner wants mail, if they chose
	MailState     MailState
	CreatedAt     time.Time
}

// SignUp is a request for an account. Nil Locale and TimeZone mean en and UTC;
// nil Country means unknown.
type SignUp struct {
	Email, Password, DisplayName string
	Locale, TimeZone, Country    *string
}

// Limits of an account's fields, in characters.
const (
	maxEmail       = 254 // RFC 5321, 4.5.3.1.3, without the angle brackets
	maxEmailLocal  = 64  // RFC 5321, 4.5.3.1.1
	maxDisplayName = 80
	minPassword    = 10
	maxPassword    = 256
)

// account checks every field, including the password, and returns the account
// without id and role.
func (in SignUp) account() (User, error) {
	u := User{Email: in.Email, Locale: "en", TimeZone: "UTC", Mail: map[string]bool{}}
	var faults fault.List
	checkEmail(&faults, in.Email)
	checkPassword(&faults, "password", in.Password, in.Email)
	u.DisplayName = displayName(&faults, in.DisplayName)
	if in.Locale != nil {
		u.Locale = *in.Locale
		checkLocale(&faults, u.Locale)
	}
	if in.TimeZone != nil {
		u.TimeZone = *in.TimeZone
		checkTimeZone(&faults, u.TimeZone)
	}
	if in.Country != nil {
		u.Country = country(&faults, *in.Country)
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
		faults.Add("time_zone", "must be an IANA time zone, such as Asia/Seoul")
	}
}

// country returns the code in upper case, and adds a fault unless it is a
// country's.
func country(faults *fault.List, s string) string {
	code, ok := text.Country(s)
	if !ok {
		faults.Add("country", text.CountryForm)
	}
	return code
}

// AddressKey returns the form in which e-mail addresses are compared. Mail
// systems may distinguish A@example.com from a@example.com, people do not.
func AddressKey(email string) string { return strings.ToLower(email) }

var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// checkEmail accepts a bare address (RFC 5322 addr-spec) in ASCII: SES cannot
// send to a local part with other letters, and look-alike letters would make
// two accounts of one address. Internationalised domains are written in their
// xn-- form.
func checkEmail(faults *fault.List, email string) {
	if email == "" {
		faults.Add("email", "is required")
		return
	}
	if len(email) > maxEmail {
		faults.Add("email", "must have at most %d characters", maxEmail)
		return
	}
	parsed, err := mail.ParseAddress(email)
	at := strings.LastIndexByte(email, '@')
	// ParseAddress also accepts names, comments and spaces around an addr-spec,
	// and unquotes it. The result then differs from the input.
	if err != nil || parsed.Name != "" || parsed.Address != email ||
		strings.IndexFunc(email, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 ||
		at > maxEmailLocal || !domainName.MatchString(email[at+1:]) {
		faults.Add("email", "must be a plain e-mail address, such as name@example.com")
	}
}

// displayName is name for a display name.
func displayName(faults *fault.List, s string) string {
	return name(faults, "display_name", s, maxDisplayName)
}

// name returns a short text in its normal form, and adds a fault unless it is
// valid.
func name(faults *fault.List, field, s string, max int) string {
	normal := text.Normal(s)
	if s == "" {
		faults.Add(field, "is required")
	} else if err := text.Check(normal, max); err != nil {
		faults.Add(field, "%v", err)
	}
	return normal
}
