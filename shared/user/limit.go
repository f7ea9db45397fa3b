package user

import (
	"time"

	"plaudit/shared/fault"
)

// Limit is how many attempts of one kind a subject has within any span of
// length Window.
type Limit struct {
	Name    string // kind of attempt, e.g. "login-account"
	Subject string // what attempts are counted by: an account's key or a client's address
	Max     int
	Window  time.Duration
}

// Limits that are the same in every stage.
const (
	loginsPerAccount = 10
	loginWindow      = 15 * time.Minute
	signUpWindow     = time.Hour
)

// LongestWindow is the age from which no limit needs an attempt any more.
const LongestWindow = signUpWindow

// Limits are the limits that differ between stages.
type Limits struct {
	LoginsPerAddress int // failed logins per client address in 15 minutes
	SignUpsPerHour   int // sign-ups per client address
}

// FailuresTold is the number of failed logins in a window at which the
// account's owner is notified: enough for a forgotten password, half of what an
// attacker gets.
const FailuresTold = 5

// loginLimits are the limits that a failed login counts against.
type loginLimits struct{ account, client Limit }

func (l Limits) login(email, client string) loginLimits {
	return loginLimits{
		AccountLimit(email),
		Limit{"login-address", client, l.LoginsPerAddress, loginWindow},
	}
}

// AccountLimit is the limit on failed logins with an address, whether or not an
// account has it.
func AccountLimit(email string) Limit {
	return Limit{"login-account", AddressKey(email), loginsPerAccount, loginWindow}
}

// check returns the fault of a full limit, from the store's answer.
func (loginLimits) check(wait time.Duration, err error) error {
	if err == nil && wait > 0 {
		return tooMany("Too many failed logins. Wait before you try again.", wait)
	}
	return err
}

func (l Limits) signUp(client string) Limit {
	return Limit{"sign-up-address", client, l.SignUpsPerHour, signUpWindow}
}

// tooMany returns the fault of a limit that stays full for the given time.
func tooMany(what string, wait time.Duration) error {
	return &fault.Error{Kind: fault.TooManyRequests, Detail: what, RetryAfter: wait}
}
