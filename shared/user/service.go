package user

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// Store keeps accounts, sessions and the attempts that limits count. If its
// database cannot be reached, it returns a fault of kind DatabaseUnavailable; if
// the database takes too long, one of kind Timeout.
// Changes insert their messages into the outbox in the same transaction.
type Store interface {
	AccountStore

	// Create adds an account and returns it with its CreatedAt. Unless the address
	// is verified, Create requests its verification. An address that already has an
	// account is a fault of kind AddressTaken.
	Create(ctx context.Context, u User, passwordHash, actor string) (User, error)
	// ByID returns an account, or a fault of kind NotFound.
	ByID(ctx context.Context, id string) (User, error)
	// ByAddress returns an account and its password, or a fault of kind
	// NotFound.
	ByAddress(ctx context.Context, email string) (User, Password, error)
	// Rehash replaces a password's hash, unless the password has changed since.
	Rehash(ctx context.Context, id, old, new string) error
	// SetRole changes an account's role on behalf of another account, which
	// must be an admin at this moment. Faults: Forbidden; NotFound; LastAdmin
	// if the account is the only admin.
	SetRole(ctx context.Context, by, id string, role access.Role) (User, error)

	// KnowsDevice reports whether a device has logged in to the account and has not
	// expired. user is empty if no account has the address.
	KnowsDevice(ctx context.Context, user string, device Digest) (bool, error)
	// OpenSession creates a session of an account with its first refresh token, and
	// makes the device known until DeviceLifetime from now. If the account has more
	// than MaxSessions sessions or MaxDevices devices then, the least recently used
	// ones end. If the password's version is no longer the given one, it returns a
	// fault of kind BadCredentials.
	OpenSession(ctx context.Context, s NewSession, lifetime time.Duration) error
	// Rotate replaces a refresh token by the next one of its session, counts that
	// against the limits of the session, and returns the session and the account. A
	// token that is unknown or whose session has ended is a fault of kind
	// SessionEnded and counts against the limits of no session, an empty id. One
	// that was used before is such a fault, too; it ends the session, whatever the
	// limits. A full limit is a fault of kind TooManyRequests, and the token stays
	// good.
	Rotate(ctx context.Context, used, next RefreshToken, lifetime time.Duration, limits func(session string) []Limit) (session string, u User, err error)
	// EndSession ends an account's session and reports whether it was open.
	EndSession(ctx context.Context, session, user, actor string) (bool, error)

	KeyStore
	VerificationStore
	AddressStore
	ResetStore
	MailStore

	// Wait returns the time until none of the limits is full, 0 if none is.
	Wait(ctx context.Context, limits ...Limit) (time.Duration, error)
	// Count counts one attempt against each of the limits. If one of them is
	// full, it counts nothing and returns the time until none is.
	Count(ctx context.Context, limits ...Limit) (time.Duration, error)
	// Fail counts a failed login as Count does. The FailuresTold-th failure of
	// the account's limit inserts an event into the outbox, one per window.
	// user is empty if no account has the address.
	Fail(ctx context.Context, user string, account Limit, others ...Limit) (time.Duration, error)

	// Sweep deletes rows that are no longer needed: attempts older than
	// LongestWindow, ended sessions, expired devices, links and requests for them, and
	// addresses that are no longer kept.
	Sweep(ctx context.Context) error
	// Ready returns an error unless the database answers and is migrated.
	Ready(ctx context.Context) error
}

// Signer signs access tokens.
type Signer interface {
	Sign(c access.Caller, lifetime time.Duration) (string, error)
}

// Service implements sign-up, login, sessions, accounts and API keys.
type Service struct {
	Store     Store
	Signer    Signer
	Passwords *Passwords
	// Hashing are the turns of requests that hash a password, Tokens those of
	// refreshes and exchanges. They are apart, so that a rush of logins holds no
	// refresh up.
	Hashing, Tokens *Turns
	Limits          Limits
	// First is the admin's account that Run creates. Nobody can sign up with
	// its address.
	First Credentials
	// NotifyKey is the secret of notify's own API key. If it is empty, there is no such
	// key.
	NotifyKey string
	// PublicURL begins the links in mails: the URL of this service, without a slash at the
	// end.
	PublicURL string

	// started is set once the first admin's account exists.
	started atomic.Bool
}

// Credentials are an account's address and password.
type Credentials struct{ Email, Password string }

// SignUp creates an account with the role member. Faults: BadRequest with every
// field, AddressTaken, TooManyRequests. Each well-formed attempt from a client
// address counts, so that nobody can find out at leisure which addresses have
// accounts.
func (s *Service) SignUp(ctx context.Context, client string, in SignUp) (User, error) {
	u, err := in.account()
	if err != nil {
		return User{}, err
	}
	return inTurn(ctx, s.Hashing, client, func() (User, error) { return s.signUp(ctx, client, u, in.Password) })
}

func (s *Service) signUp(ctx context.Context, client string, u User, password string) (User, error) {
	wait, err := s.Store.Count(ctx, s.Limits.signUp(client))
	if err := refused("Too many sign-ups came from this network. Wait before you try again.", wait, err); err != nil {
		return User{}, err
	}
	if AddressKey(u.Email) == AddressKey(s.First.Email) {
		return User{}, AddressTaken() // the first admin's account exists or is about to
	}
	u.Role = access.Member
	return s.create(ctx, u, password, func(u User) string { return access.Caller{User: u.ID}.Actor() })
}

// Self is the actor of changes that the service makes by itself, or for a
// caller who has not proved who they are.
const Self = "service/users"

func (s *Service) create(ctx context.Context, u User, password string, actor func(User) string) (User, error) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	newID, err := uuid.NewV7()
	if err != nil {
		return User{}, fmt.Errorf("make a user's id: %w", err)
	}
	u.ID = newID.String()
	return s.Store.Create(ctx, u, hash, actor(u))
}

// AddressTaken returns the fault for an address that already has an account.
func AddressTaken() error {
	return fault.Field(fault.AddressTaken, "email", "This address already has an account. Log in, or sign up with another address.")
}

// LogIn is a request to log in. DeviceToken is that of an earlier login of the
// account on the same device, empty if there is none; one that is not valid counts
// as none.
type LogIn struct{ Email, Password, DeviceToken string }

// Login opens a session. Faults: BadCredentials, the same for an unknown
// address and a wrong password; TooManyRequests; Busy.
//
// A password is judged only while the limits have room: of many simultaneous
// guesses no more than the limit are answered right or wrong.
func (s *Service) Login(ctx context.Context, client string, in LogIn) (Session, error) {
	var faults fault.List
	if in.Email == "" {
		faults.Add("email", "is required")
	}
	if in.Password == "" {
		faults.Add("password", "is required")
	}
	if err := faults.Err(); err != nil {
		return Session{}, err
	}
	return inTurn(ctx, s.Hashing, client, func() (Session, error) { return s.login(ctx, client, in) })
}

func (s *Service) login(ctx context.Context, client string, in LogIn) (Session, error) {
	u, secret, err := s.Store.ByAddress(ctx, in.Email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Session{}, err
	}
	limits, device := s.Limits.login(in.Email, client), randomToken()
	if in.DeviceToken != "" {
		known, err := s.Store.KnowsDevice(ctx, u.ID, digest(in.DeviceToken))
		if err != nil {
			return Session{}, err
		}
		if known {
			device = in.DeviceToken
			limits = s.Limits.deviceLogin(in.Email, digest(device))
		}
	}
	// Without an account the hash is empty, which takes as long to verify.
	ok, outdated, err := s.verify(ctx, u.ID, secret.Hash, in.Password, limits)
	if err != nil {
		return Session{}, err
	}
	if !ok {
		return Session{}, NoAccount()
	}
	if outdated {
		s.rehash(ctx, u.ID, secret.Hash, in.Password)
	}
	return s.open(ctx, u, secret.Version, device)
}

// NoAccount returns the fault for a login with a wrong address or password.
func NoAccount() error {
	return fault.New(fault.BadCredentials, "The address or the password is wrong.")
}

// verify counts an attempt, reports whether the password has the hash, while the
// limits have room, and counts a wrong one against them. account is empty if no
// account has the address.
func (s *Service) verify(ctx context.Context, account, hash, password string, limits guessLimits) (ok, outdated bool, err error) {
	failed := func(wait time.Duration, err error) error {
		return refused("Too many failed logins. Wait before you try again.", wait, err)
	}
	wait, err := s.Store.Count(ctx, limits.attempts)
	if err := refused("Too many attempts. Wait before you try again.", wait, err); err != nil {
		return false, false, err
	}
	if err := failed(s.Store.Wait(ctx, limits.failures()...)); err != nil {
		return false, false, err
	}
	ok, outdated, err = s.Passwords.Verify(ctx, hash, password)
	if err != nil {
		return false, false, err
	}
	if !ok {
		return false, false, failed(s.Store.Fail(ctx, account, limits.account, limits.others...))
	}
	return true, outdated, failed(s.Store.Wait(ctx, limits.failures()...))
}

// rehash replaces an account's hash by one with the current cost. If that
// fails, the login still succeeds and the next one tries again.
func (s *Service) rehash(ctx context.Context, id, old, password string) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err == nil {
		err = s.Store.Rehash(ctx, id, old, hash)
	}
	if err != nil {
		slog.WarnContext(ctx, "cannot replace an outdated password hash", "error", err)
	}
}

// open creates a session, unless the password has changed since it was checked.
// The device's token stays the same for as long as it is used, because a new one
// that got lost on its way would leave its owner without any.
func (s *Service) open(ctx context.Context, u User, password int64, device string) (Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Session{}, fmt.Errorf("make a session's id: %w", err)
	}
	token := randomToken()
	err = s.Store.OpenSession(ctx, NewSession{ID: id.String(), User: u.ID, Password: password, Token: stored(token), Device: digest(device)}, RefreshLifetime)
	if err != nil {
		return Session{}, err
	}
	opened, err := s.session(u, id.String(), token)
	opened.DeviceToken = device
	return opened, err
}

func (s *Service) session(u User, id, refreshToken string) (Session, error) {
	accessToken, err := s.Signer.Sign(access.Caller{User: u.ID, Role: u.Role, Session: id}, AccessLifetime)
	if err != nil {
		return Session{}, fmt.Errorf("sign an access token: %w", err)
	}
	return Session{AccessToken: accessToken, RefreshToken: refreshToken, User: u}, nil
}

// Refresh exchanges a refresh token for a new one and for an access token with
// the account's current role. Each refresh token works once: using one again,
// be it by the thief or by the victim, ends the session for both with a fault
// of kind SessionEnded. There is no grace period for lost responses; a client
// that lost one must log in again. A fault of kind TooManyRequests leaves the token
// good.
func (s *Service) Refresh(ctx context.Context, client, refreshToken string) (Session, error) {
	var faults fault.List
	if refreshToken == "" {
		faults.Add("refresh_token", "is required")
		return Session{}, faults.Err()
	}
	return inTurn(ctx, s.Tokens, client, func() (Session, error) {
		next := nextToken(refreshToken)
		id, u, err := s.Store.Rotate(ctx, stored(refreshToken), stored(next), RefreshLifetime, s.Limits.refreshes(client))
		if err != nil {
			return Session{}, err
		}
		return s.session(u, id, next)
	})
}

// Logout ends the caller's session. Its access tokens are not looked up, so
// they stay valid until they expire, at most AccessLifetime.
func (s *Service) Logout(ctx context.Context, c access.Caller) error {
	if !id.UUID(c.Session) || !id.UUID(c.User) {
		return accountGone()
	}
	_, err := s.Store.EndSession(ctx, c.Session, c.User, c.Actor())
	return err
}

// Get returns an account. full reports whether the caller may see all of it, as
// admins, auditors and notify may; others see the profile only. Fault: NotFound.
func (s *Service) Get(ctx context.Context, c access.Caller, account string) (u User, full bool, err error) {
	if !id.UUID(account) {
		return User{}, false, notFound()
	}
	u, err = s.Store.ByID(ctx, account)
	return u, seesAll(c) || c.Notifies(), err
}

// Me returns the caller's own account. If it no longer exists, the fault is of
// kind Unauthenticated.
func (s *Service) Me(ctx context.Context, c access.Caller) (User, error) {
	if !id.UUID(c.User) {
		return User{}, accountGone()
	}
	u, err := s.Store.ByID(ctx, c.User)
	return u, orAccountGone(err)
}

// accountGone returns the fault for a token whose account no longer exists.
func accountGone() error {
	return fault.New(fault.Unauthenticated, "This token's account no longer exists.")
}

// SetRole changes an account's role, for admins. It takes effect with the
// account's next access token: at its next refresh, at most AccessLifetime from
// now. Changing roles itself always checks that the caller is an admin now.
func (s *Service) SetRole(ctx context.Context, c access.Caller, account string, role access.Role) (User, error) {
	var faults fault.List
	switch {
	case role == "":
		faults.Add("role", "is required")
	case !role.Valid():
		faults.Add("role", "must be member, organizer, auditor or admin")
	}
	if err := faults.Err(); err != nil {
		return User{}, err
	}
	if !id.UUID(account) {
		return User{}, notFound()
	}
	if !id.UUID(c.User) {
		return User{}, accountGone()
	}
	return s.Store.SetRole(ctx, c.User, account, role)
}

func notFound() error { return fault.New(fault.NotFound, "This user does not exist.") }
