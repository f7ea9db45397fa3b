package user

import (
	"time"

	"plaudit/shared/fault"
)

// Limit is how many attempts of one kind one subject has in any span of
// length Window.
type Limit struct {
	Name    string // of the kind, e.g. "login-account"
	Subject string // whose attempts count: an account's key, a client's address
	Max     int
	Window  time.Duration
}

// The numbers that are the same everywhere.
const (
	loginsPerAccount = 10
	loginWindow      = 15 * time.Minute
	signUpWindow     = time.Hour
)

// LongestWindow is after how long no limit asks for an attempt any more.
const LongestWindow = signUpWindow

// Limits are the numbers that differ between stages.
type Limits struct {
	LoginsPerAddress int // failed logins of one client address in 15 minutes
	SignUpsPerHour   int // sign-ups of one client address
}

// FailuresTold is at how many failed logins in a window an account's owner is
// told: enough for a bad memory, half of what a guesser has.
const FailuresTold = 5

// loginLimits are what a failed login counts against.
type loginLimits struct{ account, client Limit }

func (l Limits) login(email, client string) loginLimits {
	return loginLimits{
		AccountLimit(email),
		Limit{"login-address", client, l.LoginsPerAddress, loginWindow},
	}
}

// AccountLimit is what failed logins of an address count against, whether it
// has an account or not.
func AccountLimit(email string) Limit {
	return Limit{"login-account", AddressKey(email), loginsPerAccount, loginWindow}
}

// room is nil while the limits are not full, as an answer of the store says.
func (loginLimits) room(wait time.Duration, err error) error {
	if err == nil && wait > 0 {
		return tooMany("Too many failed logins. Wait before the next one.", wait)
	}
	return err
}

func (l Limits) signUp(client string) Limit {
	return Limit{"sign-up-address", client, l.SignUpsPerHour, signUpWindow}
}

// tooMany is the fault of a limit that is full for the time wait.
func tooMany(what string, wait time.Duration) error {
	return &fault.Error{Kind: fault.TooManyRequests, Detail: what, RetryAfter: wait}
}
