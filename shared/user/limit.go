package user

import (
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Limit is how many attempts of one kind a subject has within any span of
// length Window.
type Limit struct {
	Name    string // kind of attempt, e.g. "login-account"
	Subject string // what attempts are counted by: an account's key, a client's address …
	From    string // the client's address, if they are counted by both together
	Max     int    // 0: attempts are counted, and never refused
	Window  time.Duration
	// Trickle, if it is not 0, is the time after the newest attempt at which a
	// full limit has room for one more.
	Trickle time.Duration
}

// Limits that are the same in every stage.
const (
	// loginFailures is the maximum of failed logins of an account from one client
	// address, and of those from one known device, within loginWindow. It is also
	// that of attempts at a change of password in one session.
	loginFailures = 10
	// accountFailures is the maximum of failed logins of an account from all client
	// addresses within loginWindow. Beyond it, devices that the account does not
	// know get one attempt in accountTrickle, so that their owner still has a
	// chance, and a guesser from any number of addresses has few.
	accountFailures = 100
	accountTrickle  = 30 * time.Second
	loginWindow     = 15 * time.Minute
	signUpWindow    = time.Hour
	tokenWindow     = time.Hour
)

// LongestWindow is the age from which no limit needs an attempt any more.
const LongestWindow = time.Hour

// Limits are the limits that differ between stages.
type Limits struct {
	LoginsPerAddress int // attempts at logging in per client address, or known device, in 15 minutes
	SignUpsPerHour   int // sign-ups per client address
	TokensPerSession int // refreshes of a session, and exchanges of an API key, in an hour
	TokensPerAddress int // refreshes and exchanges per client address in an hour
}

// FailuresTold is the number of failed logins in a window at which the
// account's owner is notified: enough for a forgotten password, half of what an
// attacker gets.
const FailuresTold = 5

// guessLimits are the limits on attempts that present an account's password.
type guessLimits struct {
	// attempts counts every attempt, before its password is hashed.
	attempts Limit
	// account counts failures. It is first among those that a failure counts
	// against.
	account Limit
	// others count failures, too.
	others []Limit
}

// failures returns the limits that a failure counts against.
func (l guessLimits) failures() []Limit { return append([]Limit{l.account}, l.others...) }

// login returns the limits on logins from a device that the account does not
// know. They are the same if no account has the address.
func (l Limits) login(email, client string) guessLimits {
	return guessLimits{
		attempts: Limit{Name: "login-address", Subject: client, Max: l.LoginsPerAddress, Window: loginWindow},
		account:  AccountLimit(email),
		others:   []Limit{PairLimit(email, client)},
	}
}

// deviceLogin returns the limits on logins from a known device. What others do
// with the account, or from the same client address, does not count against them.
// The device's own failures count for the account, so that its owner is told.
func (l Limits) deviceLogin(email string, device Digest) guessLimits {
	by := string(device[:])
	return guessLimits{
		attempts: Limit{Name: "login-device-attempts", Subject: by, Max: l.LoginsPerAddress, Window: loginWindow},
		account:  countOnly(AccountLimit(email)),
		others:   []Limit{{Name: "login-device", Subject: by, Max: loginFailures, Window: loginWindow}},
	}
}

// passwordChange returns the limits on changes of password or address, which present the
// current password. They count by session: a thief with a stolen access token has few
// guesses, and neither keeps the owner from logging in nor, in the new session, from
// changing the password.
func passwordChange(u User, session string) guessLimits {
	return guessLimits{
		attempts: Limit{Name: "password-change", Subject: u.ID + " " + session, Max: loginFailures, Window: loginWindow},
		account:  countOnly(AccountLimit(u.Email)),
	}
}

// AccountLimit is the limit on failed logins with an address, whether or not an
// account has it.
func AccountLimit(email string) Limit {
	return Limit{Name: "login-account", Subject: AddressKey(email), Max: accountFailures, Window: loginWindow, Trickle: accountTrickle}
}

// PairLimit is the limit on failed logins with an address from one client address.
func PairLimit(email, client string) Limit {
	return Limit{Name: "login-account-address", Subject: AddressKey(email), From: client, Max: loginFailures, Window: loginWindow}
}

// countOnly returns the limit without its maximum.
func countOnly(l Limit) Limit {
	l.Max, l.Trickle = 0, 0
	return l
}

func (l Limits) signUp(client string) Limit {
	return Limit{Name: "sign-up-address", Subject: client, Max: l.SignUpsPerHour, Window: signUpWindow}
}

// badKeys is the limit on invalid API keys. It is separate from that on logins, so
// that a neighbour's expired key keeps nobody from logging in.
func (l Limits) badKeys(client string) Limit {
	return Limit{Name: "key-address", Subject: client, Max: l.LoginsPerAddress, Window: loginWindow}
}

// tokens is the limit on refreshes and exchanges from a client address.
func (l Limits) tokens(client string) Limit {
	return Limit{Name: "token-address", Subject: client, Max: l.TokensPerAddress, Window: tokenWindow}
}

// refreshes returns the limits on refreshes of a session. An unknown token has no
// session and counts for the client address alone.
func (l Limits) refreshes(client string) func(session string) []Limit {
	return l.tokensBy("token-session", client)
}

// exchanges returns the limits on exchanges of an API key.
func (l Limits) exchanges(client string) func(key string) []Limit {
	return l.tokensBy("token-key", client)
}

// notifysExchanges returns the limits on exchanges of notify's own key. They count for the
// client address as all others do, but only exchanges of this key can use up its limit:
// many share the address that notify has, and some of them may guess keys.
func (l Limits) notifysExchanges(client string) []Limit {
	return []Limit{countOnly(l.tokens(client)), l.tokensOf("token-key", access.Notify().Key)}
}

func (l Limits) tokensBy(name, client string) func(subject string) []Limit {
	return func(subject string) []Limit {
		limits := []Limit{l.tokens(client)}
		if subject != "" {
			limits = append(limits, l.tokensOf(name, subject))
		}
		return limits
	}
}

// tokensOf is the limit on refreshes of one session, or exchanges of one key.
func (l Limits) tokensOf(name, subject string) Limit {
	return Limit{Name: name, Subject: subject, Max: l.TokensPerSession, Window: tokenWindow}
}

// positive reports whether every limit allows something.
func (l Limits) positive() bool {
	return min(l.LoginsPerAddress, l.SignUpsPerHour, l.TokensPerSession, l.TokensPerAddress) >= 1
}

// refused returns the fault of a full limit, from the store's answer.
func refused(what string, wait time.Duration, err error) error {
	if err == nil && wait > 0 {
		return tooMany(what, wait)
	}
	return err
}

// tooMany returns the fault of a limit that stays full for the given time.
func tooMany(what string, wait time.Duration) error {
	return &fault.Error{Kind: fault.TooManyRequests, Detail: what, RetryAfter: wait}
}

// TooManyTokens returns the fault of a full limit on refreshes or exchanges.
func TooManyTokens(wait time.Duration) error {
	return tooMany("This session, API key or network has asked for too many access tokens. Wait before you ask for another, and use each until it expires.", wait)
}
