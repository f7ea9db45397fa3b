package user

import (
	"context"
	"maps"
	"slices"
	"strings"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// AccountStore is the part of Store for accounts. Each change inserts its
// messages into the outbox in the same transaction; actor is who made it. A
// missing account is a fault of kind NotFound.
type AccountStore interface {
	// Update applies the changes and returns the resulting account.
	Update(ctx context.Context, id string, c Changes, actor string) (User, error)
	// Secret returns an account and its password.
	Secret(ctx context.Context, id string) (User, Password, error)
	// ChangePassword replaces the password if its version is still old, ends every
	// session of the account and every link that resets the password, forgets the
	// account's devices, and takes back the address that it asked for. If the password
	// has changed in the meantime, it returns a fault of kind BadCredentials.
	ChangePassword(ctx context.Context, id string, old int64, hash, actor string) error
	// Erase deletes an account, its data, and the attempts that limits count
	// against its address. Erasing the only admin is a fault of kind LastAdmin.
	Erase(ctx context.Context, id, actor string) error
	// List returns up to limit accounts whose address or name begins with the
	// prefix, ignoring case, newest first, after the one with the given id; an
	// empty id starts from the newest.
	List(ctx context.Context, prefix, after string, limit int) ([]User, error)
	// Sessions returns up to limit open sessions of an account, newest login
	// first, after the one with the given id; an empty id starts from the
	// newest.
	Sessions(ctx context.Context, id, after string, limit int) ([]OpenSession, error)
}

// Password is a stored password.
type Password struct {
	Hash    string // in PHC string format
	Version int64  // number of changes; a new hash of the same password is not one
}

// Changes are changes that an owner makes to their account. Nil fields stay; an
// empty country clears it.
type Changes struct {
	DisplayName, Locale, TimeZone, Country *string
	Mail                                   map[string]bool // other types stay
}

// checked returns the changes with their texts in the form that is kept, or a
// fault with every field that is not valid.
func (c Changes) checked() (Changes, error) {
	var faults fault.List
	if c.DisplayName != nil {
		name := displayName(&faults, *c.DisplayName)
		c.DisplayName = &name
	}
	if c.Locale != nil {
		checkLocale(&faults, *c.Locale)
	}
	if c.TimeZone != nil {
		checkTimeZone(&faults, *c.TimeZone)
	}
	if c.Country != nil && *c.Country != "" {
		code := country(&faults, *c.Country)
		c.Country = &code
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Mail)) {
		switch {
		case slices.Contains(requiredMail, kind):
			faults.Add("mail."+kind, "cannot be switched off: leave it out")
		case !slices.Contains(optionalMail, kind):
			faults.Add("mail."+kind, "must be one of %s", strings.Join(optionalMail, ", "))
		}
	}
	return c, faults.Err()
}

// Apply returns the changed account and the names, in the API, of the fields
// that differ.
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
	in, err := in.checked()
	if err != nil {
		return User{}, err
	}
	if !id.UUID(c.User) {
		return User{}, accountGone()
	}
	u, err := s.Store.Update(ctx, c.User, in, c.Actor())
	return u, orAccountGone(err)
}

// orAccountGone replaces NotFound, if it is about the caller's own account, by
// the fault of a token whose account no longer exists.
func orAccountGone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return accountGone()
	}
	return err
}

// ChangePassword replaces the caller's password and ends all their sessions,
// including the current one. Faults: BadRequest with every field;
// BadCredentials if current is wrong, which counts as a failed login when the
// owner is told of them; TooManyRequests, see passwordChange; Busy.
func (s *Service) ChangePassword(ctx context.Context, client string, c access.Caller, current, next string) (User, error) {
	if !id.UUID(c.User) {
		return User{}, accountGone()
	}
	return inTurn(ctx, s.Hashing, client, func() (User, error) { return s.changePassword(ctx, c, current, next) })
}

func (s *Service) changePassword(ctx context.Context, c access.Caller, current, next string) (User, error) {
	u, old, err := s.Store.Secret(ctx, c.User)
	if err != nil {
		return User{}, orAccountGone(err)
	}
	var faults fault.List
	if current == "" {
		faults.Add("current_password", "is required")
	}
	checkPassword(&faults, "password", next, u.Email)
	if err := faults.Err(); err != nil {
		return User{}, err
	}
	if err := s.checkCurrent(ctx, c, u, old, current); err != nil {
		return User{}, err
	}
	hash, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return User{}, err
	}
	return u, orAccountGone(s.Store.ChangePassword(ctx, u.ID, old.Version, hash, c.Actor()))
}

// checkCurrent returns a fault unless current is the account's password. A wrong one
// counts as a failed login when the owner is told of them.
func (s *Service) checkCurrent(ctx context.Context, c access.Caller, u User, p Password, current string) error {
	ok, _, err := s.verify(ctx, u.ID, p.Hash, current, passwordChange(u, c.Session))
	if err == nil && !ok {
		return fault.Field(fault.BadCredentials, "current_password", "The current password is wrong.")
	}
	return err
}

// Erase deletes the caller's account and all personal data. Only the account's
// id remains where other records refer to it. Access tokens are not looked up,
// so they stay valid until they expire, at most AccessLifetime. Fault:
// LastAdmin.
func (s *Service) Erase(ctx context.Context, c access.Caller) error {
	if !id.UUID(c.User) {
		return accountGone()
	}
	return orAccountGone(s.Store.Erase(ctx, c.User, c.Actor()))
}

// seesAll reports whether the caller may see and search whole accounts. Admins and
// auditors may, their API keys may not.
func seesAll(c access.Caller) bool { return c.Role == access.Admin || c.Role == access.Auditor }

// List returns up to limit accounts, newest first, whose address or name begins
// with the prefix, after the one with the given id. more reports whether others
// follow. Only admins and auditors may list accounts; others get a fault of
// kind Forbidden.
func (s *Service) List(ctx context.Context, c access.Caller, prefix, after string, limit int) (users []User, more bool, err error) {
	if !seesAll(c) {
		return nil, false, fault.New(fault.Forbidden, "Only admins and auditors may list accounts. Organizers can find an account by its exact address, if that is verified: GET /v1/users?email=…")
	}
	users, err = s.Store.List(ctx, prefix, after, limit+1)
	if len(users) > limit {
		return users[:limit], true, err
	}
	return users, false, err
}

// Find returns the account with the address if it is verified: anybody can open an
// account with another person's address, and must not be taken for them. full reports
// whether the caller may see all of it; organizers, and their API keys with the scope
// to read, see the profile only. Faults: NotFound; Forbidden without the scope.
func (s *Service) Find(ctx context.Context, c access.Caller, email string) (u User, full bool, err error) {
	if !c.Scoped(access.ScopeRead, "") {
		return User{}, false, fault.New(fault.Forbidden, "This API key needs the scope %s.", access.ScopeRead)
	}
	u, err = s.Store.ByVerifiedAddress(ctx, email)
	return u, seesAll(c), err
}

// Sessions returns up to limit open sessions of the caller, newest login first,
// after the one with the given id; more reports whether others follow.
func (s *Service) Sessions(ctx context.Context, c access.Caller, after string, limit int) (sessions []OpenSession, more bool, err error) {
	if !id.UUID(c.User) {
		return nil, false, accountGone()
	}
	sessions, err = s.Store.Sessions(ctx, c.User, after, limit+1)
	if len(sessions) > limit {
		return sessions[:limit], true, err
	}
	return sessions, false, err
}

// EndSession ends one of the caller's sessions. A session that is another
// account's or has ended is a fault of kind NotFound.
func (s *Service) EndSession(ctx context.Context, c access.Caller, session string) error {
	none := fault.New(fault.NotFound, "You have no open session with this id. It may have ended.")
	if !id.UUID(c.User) || !id.UUID(session) {
		return none
	}
	ended, err := s.Store.EndSession(ctx, session, c.User, c.Actor())
	if err == nil && !ended {
		return none
	}
	return err
}
