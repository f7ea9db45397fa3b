package user

import (
	"context"
	"maps"
	"slices"
	"strings"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// AccountStore keeps what people do with accounts. It is a part of Store. Each
// change puts its messages into the outbox in the same transaction; actor is
// who made it. An account that is gone is a fault of kind NotFound.
type AccountStore interface {
	// Update makes the changes and gives the account as it is then.
	Update(ctx context.Context, id string, c Changes, actor string) (User, error)
	// Secret gives an account and its password.
	Secret(ctx context.Context, id string) (User, Password, error)
	// ChangePassword replaces a password that is still of the version old, and
	// ends every session of the account. One that changed meanwhile is a fault
	// of kind BadCredentials.
	ChangePassword(ctx context.Context, id string, old int64, hash, actor string) error
	// Erase deletes an account with all that is its own, and what limits count
	// against its address. Erasing the only admin is a fault of kind LastAdmin.
	Erase(ctx context.Context, id, actor string) error
	// List gives up to limit accounts, the newest first, whose address or name
	// begins with the prefix, in any case, after the one named; from the newest
	// where that is empty.
	List(ctx context.Context, prefix, after string, limit int) ([]User, error)
	// Sessions gives up to limit sessions of an account that go on, the newest
	// login first, after the one named; from the newest where that is empty.
	Sessions(ctx context.Context, id, after string, limit int) ([]OpenSession, error)
}

// Password is what is kept of one.
type Password struct {
	Hash    string // in PHC string format
	Version int64  // counts its changes; a new hash of the same password is none
}

// Changes are changes of an account by its owner. What is nil stays; the empty
// country means that none is said.
type Changes struct {
	DisplayName, Locale, TimeZone, Country *string
	Mail                                   map[string]bool // those of other types stay
}

// The types of events that people are told of by mail unless they switch it
// off: what somebody else did to their scores and standing.
var optionalMail = []string{"plaudit.entry.adjusted", "plaudit.entry.reversed", "plaudit.player.changed"}

// The types of events that tell an account's owner of an attack. Mail of these
// cannot be switched off: a thief would do so first.
var securityMail = []string{
	"plaudit.user.login-failed", "plaudit.user.password-changed", "plaudit.user.role-changed",
	"plaudit.session.reused", "plaudit.session.revoked", "plaudit.key.created",
}

func (c Changes) check() error {
	var faults fault.List
	if c.DisplayName != nil {
		checkDisplayName(&faults, *c.DisplayName)
	}
	if c.Locale != nil {
		checkLocale(&faults, *c.Locale)
	}
	if c.TimeZone != nil {
		checkTimeZone(&faults, *c.TimeZone)
	}
	if c.Country != nil && *c.Country != "" {
		checkCountry(&faults, *c.Country)
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Mail)) {
		switch {
		case slices.Contains(securityMail, kind):
			faults.Add("mail."+kind, "cannot be switched: this mail protects the account")
		case !slices.Contains(optionalMail, kind):
			faults.Add("mail."+kind, "is no type of mail; there are %s", strings.Join(optionalMail, ", "))
		}
	}
	return faults.Err()
}

// Apply gives the account with the changes, and the names of the fields that
// are not what they were, as the API has them.
func (c Changes) Apply(u User) (changed User, fields []string) {
	set := func(field string, at *string, to *string) {
		if to != nil && *at != *to {
			*at = *to
			fields = append(fields, field)
		}
	}
	set("display_name", &u.DisplayName, c.DisplayName)
	set("locale", &u.Locale, c.Locale)
	set("time_zone", &u.TimeZone, c.TimeZone)
	set("country", &u.Country, c.Country)
	mail := maps.Clone(u.Mail)
	maps.Copy(mail, c.Mail)
	if !maps.Equal(mail, u.Mail) {
		u.Mail = mail
		fields = append(fields, "mail")
	}
	return u, fields
}

// Update changes the caller's account. Faults: BadRequest with every field.
func (s *Service) Update(ctx context.Context, c access.Caller, in Changes) (User, error) {
	if err := in.check(); err != nil {
		return User{}, err
	}
	if !isID(c.User) {
		return User{}, gone()
	}
	u, err := s.Store.Update(ctx, c.User, in, c.Actor())
	return u, orGone(err)
}

// orGone turns the lack of the caller's own account into a token of nobody.
func orGone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return gone()
	}
	return err
}

// ChangePassword replaces the caller's password and ends all their sessions,
// this one too. Faults: BadRequest with every field; BadCredentials where
// current is not the password, which counts as a failed login of the account
// and of the client address; TooManyRequests; Busy.
func (s *Service) ChangePassword(ctx context.Context, client string, c access.Caller, current, next string) (User, error) {
	if !isID(c.User) {
		return User{}, gone()
	}
	u, old, err := s.Store.Secret(ctx, c.User)
	if err != nil {
		return User{}, orGone(err)
	}
	var faults fault.List
	if current == "" {
		faults.Add("current_password", "is required")
	}
	checkPassword(&faults, "password", next, u.Email)
	if err := faults.Err(); err != nil {
		return User{}, err
	}
	ok, _, err := s.verify(ctx, u.ID, old.Hash, current, s.Limits.login(u.Email, client))
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, fault.Field(fault.BadCredentials, "current_password", "This is not the account's password.")
	}
	hash, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return User{}, err
	}
	return u, orGone(s.Store.ChangePassword(ctx, u.ID, old.Version, hash, c.Actor()))
}

// Erase deletes the caller's account with everything personal. Only its id
// stays, where others refer to it. Access tokens, which nobody looks up, are
// good until they expire, AccessLifetime at most. Fault: LastAdmin.
func (s *Service) Erase(ctx context.Context, c access.Caller) error {
	if !isID(c.User) {
		return gone()
	}
	return orGone(s.Store.Erase(ctx, c.User, c.Actor()))
}

// seesAll says whether the caller sees accounts whole: admins and auditors do,
// keys of theirs do not.
func seesAll(c access.Caller) bool { return c.Role == access.Admin || c.Role == access.Auditor }

// List gives up to limit accounts, for admins and auditors: the newest first,
// those whose address or name begins with the prefix, after the one named. more
// says that there are further ones. A fault of kind Forbidden for others.
func (s *Service) List(ctx context.Context, c access.Caller, prefix, after string, limit int) (users []User, more bool, err error) {
	if !seesAll(c) {
		return nil, false, fault.New(fault.Forbidden, "Only admins and auditors list accounts. Organizers find one by its exact address: GET /v1/users?email=…")
	}
	users, err = s.Store.List(ctx, prefix, after, limit+1)
	if len(users) > limit {
		return users[:limit], true, err
	}
	return users, false, err
}

// Find gives the account of an address, and whether the caller may see all of
// it; organizers, and their keys that may read, see the profile. None is a
// fault of kind NotFound, asking without the right to one of kind Forbidden.
func (s *Service) Find(ctx context.Context, c access.Caller, email string) (u User, whole bool, err error) {
	if !c.Scoped(scopeRead, "") {
		return User{}, false, fault.New(fault.Forbidden, "This takes an API key with the scope %s.", scopeRead)
	}
	u, _, err = s.Store.ByAddress(ctx, email)
	return u, seesAll(c), err
}

// Sessions gives up to limit sessions of the caller's that go on, the newest
// login first, after the one named; more says that there are further ones.
func (s *Service) Sessions(ctx context.Context, c access.Caller, after string, limit int) (sessions []OpenSession, more bool, err error) {
	if !isID(c.User) {
		return nil, false, gone()
	}
	sessions, err = s.Store.Sessions(ctx, c.User, after, limit+1)
	if len(sessions) > limit {
		return sessions[:limit], true, err
	}
	return sessions, false, err
}

// EndSession ends a session of the caller's; another's, and one that has ended,
// is a fault of kind NotFound.
func (s *Service) EndSession(ctx context.Context, c access.Caller, id string) error {
	none := fault.New(fault.NotFound, "You have no such session; it may have ended.")
	if !isID(c.User) || !isID(id) {
		return none
	}
	ended, err := s.Store.EndSession(ctx, id, c.User, c.Actor())
	if err == nil && !ended {
		return none
	}
	return err
}
