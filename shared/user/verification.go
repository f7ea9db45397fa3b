package user

import (
	"context"
	"time"

	"plaudit/shared/fault"
)

// VerificationLifetime is how long a link that verifies an address is valid.
const VerificationLifetime = time.Hour

const (
	verificationsPerAddress = 5 // requests per e-mail address
	verificationWindow      = time.Hour
	// maxVerifications is how many links of an account are valid at once. A newer
	// link leaves the older ones valid, because mails arrive late and in any order;
	// one link too many ends the oldest.
	maxVerifications = 5
)

// VerificationStore is the part of Store for verified addresses.
type VerificationStore interface {
	// ByVerifiedAddress returns the account with the address, or a fault of kind
	// NotFound, which is the same if the account's address is not verified.
	ByVerifiedAddress(ctx context.Context, email string) (User, error)
	// RequestVerification counts an attempt as Count does. If an account has the
	// address and has not verified it, RequestVerification inserts an event into the
	// outbox.
	RequestVerification(ctx context.Context, email string, limits ...Limit) (wait time.Duration, err error)
	// MakeVerification stores the token of a link that verifies the address that the
	// account asked for, or else its present one, and returns the address. It deletes the
	// oldest links if the account then has more than max. Faults: NotFound; NoLinkDue if
	// there is nothing to verify.
	MakeVerification(ctx context.Context, account string, token Digest, lifetime time.Duration, max int) (email string, err error)
	// UseVerification verifies the address that the token's link was made for, and
	// ends every link of the account. If that is the address that the account asked for,
	// it becomes the account's, and the one before is kept for the given time if it was
	// verified. A token that is unknown, used or expired, or whose account has or asked
	// for another address now, is a fault of kind NotFound; an address that another
	// account has by now is one of kind AddressTaken.
	UseVerification(ctx context.Context, token Digest, former time.Duration) error
	// SetVerified marks an account's address as verified without a link. It does
	// nothing if the address is verified or the account does not exist.
	SetVerified(ctx context.Context, account, actor string) error
}

// VerificationLimit is the limit on requests to verify an address, whether or not
// an account has it.
func VerificationLimit(email string) Limit {
	return Limit{Name: "verification-account", Subject: AddressKey(email), Max: verificationsPerAddress, Window: verificationWindow}
}

// verification is the limit on requests of one client address: as many as sign-ups,
// each of which also asks for a mail to any address.
func (l Limits) verification(client string) Limit {
	return Limit{Name: "verification-address", Subject: client, Max: l.SignUpsPerHour, Window: verificationWindow}
}

// link is the limit on links that are not valid.
func (l Limits) link(client string) Limit {
	return Limit{Name: "link-address", Subject: client, Max: l.LoginsPerAddress, Window: loginWindow}
}

const tooManyVerifications = "Too many requests to verify this address, or from this network. Use the newest link, or wait before you ask for another."

// RequestVerification asks for a mail with another link that verifies an address. It
// returns the same whether the address has an account, has none or is verified already.
// Faults: BadRequest, TooManyRequests.
func (s *Service) RequestVerification(ctx context.Context, client, email string) error {
	var faults fault.List
	checkEmail(&faults, email)
	if err := faults.Err(); err != nil {
		return err
	}
	wait, err := s.Store.RequestVerification(ctx, email, VerificationLimit(email), s.Limits.verification(client))
	return refused(tooManyVerifications, wait, err)
}

// verifyLink makes the token of a link that verifies the address that the account asked for,
// or else its present one, and returns it with the address. Faults: NotFound; NoLinkDue.
func (s *Service) verifyLink(ctx context.Context, account string) (token, email string, err error) {
	token = randomToken()
	email, err = s.Store.MakeVerification(ctx, account, digest(token), VerificationLifetime, maxVerifications)
	return token, email, err
}

// VerifyAddress verifies the address that a link was sent to, by the link's token. If the
// account asked for that address, it becomes the account's. Faults: NotFound, the same for
// every token that is not valid; AddressTaken, if another account has got the address;
// TooManyRequests after too many invalid tokens from one client address.
//
// The token is all that the caller needs; they need not be logged in. It proves that
// somebody who reads the account's mail agrees to the address, not that they know the
// account's password.
func (s *Service) VerifyAddress(ctx context.Context, client, token string) error {
	return s.useLink(ctx, client, func() error { return s.Store.UseVerification(ctx, digest(token), FormerAddressLifetime) })
}

// useLink uses a link while the limit on invalid ones has room, and counts the link if it
// is invalid, which is a fault of kind NotFound.
func (s *Service) useLink(ctx context.Context, client string, use func() error) error {
	const tooManyLinks = "Too many invalid links came from this network. Wait before you try another."
	limit := s.Limits.link(client)
	wait, err := s.Store.Wait(ctx, limit)
	if err := refused(tooManyLinks, wait, err); err != nil {
		return err
	}
	err = use()
	if fault.Is(err, fault.NotFound) {
		wait, countErr := s.Store.Count(ctx, limit)
		if err := refused(tooManyLinks, wait, countErr); err != nil {
			return err
		}
	}
	return err
}

// NoLink returns the fault for a link that is not valid.
func NoLink() error {
	return fault.Field(fault.NotFound, "token", "This link is unknown, used or expired. Ask for another with POST /v1/email-verifications or, for a new address, PUT /v1/users/me/email.")
}
