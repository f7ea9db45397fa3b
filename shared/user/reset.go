package user

import (
	"context"
	"time"

	"plaudit/shared/fault"
)

// ResetLifetime is how long a link that resets a password is valid, and how long after a
// request links are made.
const ResetLifetime = time.Hour

const (
	resetsPerAddress = 5 // requests per e-mail address
	resetWindow      = time.Hour
	// maxResets is how many links of an account are valid at once, as for verifications.
	maxResets = 5
)

// ResetStore is the part of Store for forgotten passwords.
type ResetStore interface {
	// RequestReset counts an attempt as Count does. If an account has the address, it
	// notes for the given time that a link is due, and inserts an event into the outbox.
	RequestReset(ctx context.Context, email string, pending time.Duration, limits ...Limit) (wait time.Duration, err error)
	// MakeReset stores the token of a link that resets the account's password, and
	// returns the account's address. It deletes the oldest links if the account then has
	// more than max. Faults: NotFound; NoLinkDue if no request is pending.
	MakeReset(ctx context.Context, account string, token Digest, lifetime time.Duration, max int) (email string, err error)
	// ByReset returns the account whose password the token's link resets. A token that is
	// unknown, used or expired is a fault of kind NotFound.
	ByReset(ctx context.Context, token Digest) (User, error)
	// UseReset replaces the password of the token's account with all that
	// AccountStore.ChangePassword does, and verifies the address. Fault: NotFound, as of
	// ByReset.
	UseReset(ctx context.Context, token Digest, hash string) error
}

// ResetLimit is the limit on requests to reset the password of the account with an
// address, whether or not an account has it.
func ResetLimit(email string) Limit {
	return Limit{Name: "reset-account", Subject: AddressKey(email), Max: resetsPerAddress, Window: resetWindow}
}

// reset is the limit on requests of one client address, as for verifications.
func (l Limits) reset(client string) Limit {
	return Limit{Name: "reset-address", Subject: client, Max: l.SignUpsPerHour, Window: resetWindow}
}

// RequestReset asks for a link that resets the password of the account with the address.
// It returns the same whether or not an account has it. Faults: BadRequest,
// TooManyRequests.
func (s *Service) RequestReset(ctx context.Context, client, email string) error {
	var faults fault.List
	checkEmail(&faults, email)
	if err := faults.Err(); err != nil {
		return err
	}
	wait, err := s.Store.RequestReset(ctx, email, ResetLifetime, ResetLimit(email), s.Limits.reset(client))
	return refused("Too many requests to reset the password of this address, or from this network. Use the newest link, or wait before you ask for another.", wait, err)
}

// resetLink makes the token of a link that resets the account's password, and returns it
// with the address. Faults: NotFound; NoLinkDue if no request of the last hour is pending.
func (s *Service) resetLink(ctx context.Context, account string) (token, email string, err error) {
	token = randomToken()
	email, err = s.Store.MakeReset(ctx, account, digest(token), ResetLifetime, maxResets)
	return token, email, err
}

// ResetPassword sets the password of the account that a link was sent to, by the link's
// token. It ends the account's sessions and its other links, forgets its devices and
// verifies its address, whose mail the caller has read. Faults: BadRequest, which leaves
// the token good; NotFound, the same for every token that is not valid; TooManyRequests
// after too many of them from one client address; Busy.
func (s *Service) ResetPassword(ctx context.Context, client, token, password string) error {
	_, err := inTurn(ctx, s.Hashing, client, func() (struct{}, error) {
		return struct{}{}, s.useLink(ctx, client, func() error { return s.resetPassword(ctx, token, password) })
	})
	return err
}

func (s *Service) resetPassword(ctx context.Context, token, password string) error {
	u, err := s.Store.ByReset(ctx, digest(token))
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	// A password that no account may have is refused whatever the token, so the fault
	// does not tell whether the link is valid.
	var faults fault.List
	checkPassword(&faults, "password", password, u.Email)
	if invalid := faults.Err(); invalid != nil {
		return invalid
	}
	if err != nil {
		return err
	}
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return s.Store.UseReset(ctx, digest(token), hash)
}

// NoResetLink returns the fault for a link to reset a password that is not valid.
func NoResetLink() error {
	return fault.Field(fault.NotFound, "token", "This link is unknown, used or expired. Ask for another with POST /v1/password-resets.")
}
