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

func (l Limits) login(email, client string) []Limit {
	return []Limit{
		{"login-account", AddressKey(email), loginsPerAccount, loginWindow},
		{"login-address", client, l.LoginsPerAddress, loginWindow},
	}
}

func (l Limits) signUp(client string) Limit {
	return Limit{"sign-up-address", client, l.SignUpsPerHour, signUpWindow}
}

// tooMany is the fault of a limit that is full for the time wait.
func tooMany(what string, wait time.Duration) error {
	return &fault.Error{Kind: fault.TooManyRequests, Detail: what, RetryAfter: wait}
}
