package user

import (
	"context"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

const (
	// NewAddressLifetime is how long an account waits for the confirmation of the address
	// that it asked for. Links are valid for less, and can be sent again.
	NewAddressLifetime = 7 * 24 * time.Hour
	// FormerAddressLifetime is how long the address before a change is kept. Mail about
	// the change goes there, and may be late.
	FormerAddressLifetime = 7 * 24 * time.Hour
)

// AddressStore is the part of Store for changes of an address.
type AddressStore interface {
	// RequestAddress keeps the address as the one that the account asked for, until a link
	// confirms it, and inserts an event into the outbox that asks for the link. The
	// account's own address takes back what it asked for, and asks for a link only if it
	// is not verified. Faults: NotFound; BadCredentials if the version of the password is
	// no longer the given one; AddressTaken.
	RequestAddress(ctx context.Context, account string, password int64, email string, lifetime time.Duration, actor string) (User, error)
}

// ChangeAddress asks for another address of the caller's account, which stays at its
// present one until a link that is sent to the other is opened. Faults: BadRequest with
// every field; BadCredentials if current is wrong, see ChangePassword; AddressTaken;
// TooManyRequests; Busy.
func (s *Service) ChangeAddress(ctx context.Context, client string, c access.Caller, current, email string) (User, error) {
	if !id.UUID(c.User) {
		return User{}, accountGone()
	}
	var faults fault.List
	checkEmail(&faults, email)
	if current == "" {
		faults.Add("current_password", "is required")
	}
	if err := faults.Err(); err != nil {
		return User{}, err
	}
	return inTurn(ctx, s.Hashing, client, func() (User, error) { return s.changeAddress(ctx, client, c, current, email) })
}

func (s *Service) changeAddress(ctx context.Context, client string, c access.Caller, current, email string) (User, error) {
	u, password, err := s.Store.Secret(ctx, c.User)
	if err != nil {
		return User{}, orAccountGone(err)
	}
	if err := s.checkCurrent(ctx, c, u, password, current); err != nil {
		return User{}, err
	}
	// Counted apart from the change, because a refusal counts, too.
	wait, err := s.Store.Count(ctx, VerificationLimit(email), s.Limits.verification(client))
	if err := refused(tooManyVerifications, wait, err); err != nil {
		return User{}, err
	}
	if first := AddressKey(s.First.Email); AddressKey(email) == first && AddressKey(u.Email) != first {
		return User{}, AddressTaken() // as for a sign-up
	}
	u, err = s.Store.RequestAddress(ctx, u.ID, password.Version, email, NewAddressLifetime, c.Actor())
	if err != nil {
		return User{}, orAccountGone(err)
	}
	return u, nil
}
