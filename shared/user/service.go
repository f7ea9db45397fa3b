package user

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Store keeps accounts, sessions and the attempts that limits count. Where it
// cannot reach its database it fails with a fault of kind DatabaseUnavailable.
// What changes goes into the outbox in the same transaction.
type Store interface {
	AccountStore

	// Create adds an account. Its CreatedAt is the store's. An address that
	// has an account already is a fault of kind AddressTaken.
	Create(ctx context.Context, u User, passwordHash, actor string) (User, error)
	// ByID gives an account; none is a fault of kind NotFound.
	ByID(ctx context.Context, id string) (User, error)
	// ByAddress gives an account and its password; none is a fault of kind
	// NotFound.
	ByAddress(ctx context.Context, email string) (User, Password, error)
	// Rehash replaces a password's hash, unless the password changed since.
	Rehash(ctx context.Context, id, old, new string) error
	// SetRole changes an account's role on behalf of an account that must be
	// an admin at this moment (else Forbidden). No such account is a fault of
	// kind NotFound, taking the role from the only admin one of kind LastAdmin.
	SetRole(ctx context.Context, by, id string, role access.Role) (User, error)

	// OpenSession makes a session of an account with its first refresh token,
	// where its password is still of the version that was checked: else a fault
	// of kind BadCredentials.
	OpenSession(ctx context.Context, session, user string, password int64, token Digest, lifetime time.Duration) error
	// Rotate trades a refresh token for the next one of its session and gives
	// session and account. A token that is unknown or of an ended session is a
	// fault of kind SessionEnded; so is one that was traded in before, and
	// that ends the session.
	Rotate(ctx context.Context, used, next Digest, lifetime time.Duration) (session string, u User, err error)
	// EndSession ends an account's session and says whether it was there.
	EndSession(ctx context.Context, session, user, actor string) (bool, error)

	KeyStore

	// Wait says how long until none of the limits is full, 0 where none is.
	Wait(ctx context.Context, limits ...Limit) (time.Duration, error)
	// Count counts one attempt against each of the limits, unless one of them
	// is full: then it counts nothing and says how long until none is.
	Count(ctx context.Context, limits ...Limit) (time.Duration, error)
	// Fail counts a failed login as Count does. The failure that is the
	// FailuresTold-th of the account's limit puts an event into the outbox, one
	// a window. user is empty where the address has no account.
	Fail(ctx context.Context, user string, account, client Limit) (time.Duration, error)

	// Sweep deletes what has no meaning any more: attempts older than
	// LongestWindow, ended sessions, used tokens older than RefreshLifetime.
	Sweep(ctx context.Context) error
	// Ready fails where the database does not answer or is not migrated.
	Ready(ctx context.Context) error
}

// Signer makes access tokens.
type Signer interface {
	Sign(c access.Caller, lifetime time.Duration) (string, error)
}

// Service is what can be done with accounts.
type Service struct {
	Store     Store
	Signer    Signer
	Passwords *Passwords
	Limits    Limits
	// First is the admin's account that Start makes. Nobody can sign up with
	// its address.
	First Credentials

	started started
}

// Credentials are an account's address and password.
type Credentials struct{ Email, Password string }

// SignUp opens an account with role member. Faults: BadRequest with every
// field, AddressTaken, TooManyRequests. Each well-formed attempt from a client
// address counts, so that nobody can try out at leisure who has an account.
func (s *Service) SignUp(ctx context.Context, client string, in SignUp) (User, error) {
	u, err := in.account()
	if err != nil {
		return User{}, err
	}
	wait, err := s.Store.Count(ctx, s.Limits.signUp(client))
	if err != nil {
		return User{}, err
	}
	if wait > 0 {
		return User{}, tooMany("Too many sign-ups came from this network. Wait before the next one.", wait)
	}
	if AddressKey(u.Email) == AddressKey(s.First.Email) {
		return User{}, AddressTaken() // it is the first admin's, made or about to be
	}
	u.Role = access.Member
	return s.create(ctx, u, in.Password, func(u User) string { return access.Caller{User: u.ID}.Actor() })
}

// Self is the actor of what the service does by itself, or on the word of
// somebody who has not shown who they are.
const Self = "service/users"

func (s *Service) create(ctx context.Context, u User, password string, actor func(User) string) (User, error) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return User{}, fmt.Errorf("make a user's id: %w", err)
	}
	u.ID = id.String()
	return s.Store.Create(ctx, u, hash, actor(u))
}

// AddressTaken is the fault of an address that has an account.
func AddressTaken() error {
	return fault.Field(fault.AddressTaken, "email", "This address has an account. Log in, or sign up with another address.")
}

// Login opens a session. Faults: BadCredentials, the same for an unknown
// address and a wrong password; TooManyRequests; Busy.
//
// A verdict falls only while the limits have room: of many guesses at once no
// more than the limit are answered right or wrong, and of many good logins at
// once none is refused.
func (s *Service) Login(ctx context.Context, client, email, password string) (Session, error) {
	var faults fault.List
	if email == "" {
		faults.Add("email", "is required")
	}
	if password == "" {
		faults.Add("password", "is required")
	}
	if err := faults.Err(); err != nil {
		return Session{}, err
	}
	u, secret, err := s.Store.ByAddress(ctx, email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Session{}, err
	}
	// Without an account the hash is empty, which takes just as long.
	ok, outdated, err := s.verify(ctx, u.ID, secret.Hash, password, s.Limits.login(email, client))
	if err != nil {
		return Session{}, err
	}
	if !ok {
		return Session{}, NoAccount()
	}
	if outdated {
		s.rehash(ctx, u.ID, secret.Hash, password)
	}
	return s.open(ctx, u, secret.Version)
}

// NoAccount is the fault of a login whose address or password is wrong.
func NoAccount() error {
	return fault.New(fault.BadCredentials, "No account has this address and this password.")
}

// verify says whether the password is the one of the hash, while the limits
// have room, and counts one that is not. account is empty where there is none.
func (s *Service) verify(ctx context.Context, account, hash, password string, limits loginLimits) (ok, outdated bool, err error) {
	if err := limits.room(s.Store.Wait(ctx, limits.account, limits.client)); err != nil {
		return false, false, err
	}
	ok, outdated, err = s.Passwords.Verify(ctx, hash, password)
	if err != nil {
		return false, false, err
	}
	if !ok {
		return false, false, limits.room(s.Store.Fail(ctx, account, limits.account, limits.client))
	}
	return true, outdated, limits.room(s.Store.Wait(ctx, limits.account, limits.client))
}

// rehash brings an account's hash to today's cost. That it fails is no reason
// to refuse the login: the next one tries again.
func (s *Service) rehash(ctx context.Context, id, old, password string) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err == nil {
		err = s.Store.Rehash(ctx, id, old, hash)
	}
	if err != nil {
		slog.WarnContext(ctx, "an outdated password hash stays", "error", err)
	}
}

// open makes a session, unless the password changed since it was checked.
func (s *Service) open(ctx context.Context, u User, password int64) (Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Session{}, fmt.Errorf("make a session's id: %w", err)
	}
	token, digest := newRefreshToken()
	if err := s.Store.OpenSession(ctx, id.String(), u.ID, password, digest, RefreshLifetime); err != nil {
		return Session{}, err
	}
	return s.session(u, id.String(), token)
}

func (s *Service) session(u User, id, refreshToken string) (Session, error) {
	accessToken, err := s.Signer.Sign(access.Caller{User: u.ID, Role: u.Role, Session: id}, AccessLifetime)
	if err != nil {
		return Session{}, fmt.Errorf("sign an access token: %w", err)
	}
	return Session{AccessToken: accessToken, RefreshToken: refreshToken, User: u}, nil
}

// Refresh trades a refresh token for a new one and an access token with the
// role that the account has now. Each refresh token works once: who shows one
// a second time, be it the thief or the robbed, ends the session for both, and
// gets a fault of kind SessionEnded. There is no grace for an answer that was
// lost on its way; who lost one logs in again.
func (s *Service) Refresh(ctx context.Context, refreshToken string) (Session, error) {
	var faults fault.List
	if refreshToken == "" {
		faults.Add("refresh_token", "is required")
		return Session{}, faults.Err()
	}
	next, nextDigest := newRefreshToken()
	id, u, err := s.Store.Rotate(ctx, digest(refreshToken), nextDigest, RefreshLifetime)
	if err != nil {
		return Session{}, err
	}
	return s.session(u, id, next)
}

// Logout ends the caller's session. Its access tokens, which nobody looks up,
// are good until they expire, AccessLifetime at most.
func (s *Service) Logout(ctx context.Context, c access.Caller) error {
	if !isID(c.Session) || !isID(c.User) {
		return gone()
	}
	_, err := s.Store.EndSession(ctx, c.Session, c.User, c.Actor())
	return err
}

// Get gives an account, and whether the caller may see all of it, as admins and
// auditors do; others see the profile. None is a fault of kind NotFound.
func (s *Service) Get(ctx context.Context, c access.Caller, id string) (u User, whole bool, err error) {
	if !isID(id) {
		return User{}, false, notFound()
	}
	u, err = s.Store.ByID(ctx, id)
	return u, seesAll(c), err
}

// Me gives the caller's own account. A token of an account that is gone is a
// fault of kind Unauthenticated.
func (s *Service) Me(ctx context.Context, c access.Caller) (User, error) {
	if !isID(c.User) {
		return User{}, gone()
	}
	u, err := s.Store.ByID(ctx, c.User)
	return u, orGone(err)
}

func gone() error {
	return fault.New(fault.Unauthenticated, "The account of this access token is not there.")
}

// SetRole changes an account's role, for admins. It takes effect with the next
// access token of the account: at a refresh, AccessLifetime from now at the
// latest. Changing roles itself asks the store who is an admin now.
func (s *Service) SetRole(ctx context.Context, c access.Caller, id string, role access.Role) (User, error) {
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
	if !isID(id) {
		return User{}, notFound()
	}
	if !isID(c.User) {
		return User{}, gone()
	}
	return s.Store.SetRole(ctx, c.User, id, role)
}

func notFound() error { return fault.New(fault.NotFound, "There is no such user.") }

// isID says whether a text has the one form in which ids are given out. The
// database would take others for the same id.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}
