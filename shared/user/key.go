package user

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// Key is an API key without its secret. It acts as its owner, with the owner's
// rights at the time of each exchange, limited to its scopes and boards.
type Key struct {
	ID         string // UUIDv7, so ids sort by time of creation
	User       string // its owner's id
	Name       string
	Scopes     []string
	Boards     []string   // nil means every board of its owner
	ExpiresAt  *time.Time // nil means never
	CreatedAt  time.Time
	LastUsedAt *time.Time // the latest exchange; nil if there was none
}

// NewKey is a request for a key. Nil Boards means every board, nil ExpiresAt
// means never.
type NewKey struct {
	Name      string
	Scopes    []string
	Boards    []string
	ExpiresAt *time.Time
}

// ServiceToken is the access token that a key is exchanged for.
type ServiceToken struct {
	AccessToken string
	Lifetime    time.Duration // whole seconds
}

// KeyStore is the part of Store for API keys. A change inserts its event into
// the outbox in the same transaction, with the owner as its actor.
type KeyStore interface {
	// MakeKey stores a key and returns it with its CreatedAt. It calls may with
	// the owner's current role, and stores nothing if may returns an error.
	// Faults: NotFound if the owner does not exist; SessionEnded if the session
	// has ended; TooManyAPIKeys if the owner has max keys.
	MakeKey(ctx context.Context, session string, k Key, secret Digest, max int, may func(access.Role) error) (Key, error)
	// Keys returns up to limit of an owner's keys, newest first, after the one
	// with the given id; an empty id starts from the newest.
	Keys(ctx context.Context, owner, after string, limit int) ([]Key, error)
	// DeleteKey deletes an owner's key, or returns a fault of kind NotFound.
	DeleteKey(ctx context.Context, owner, id string) error
	// UseKey returns the key with the secret, its owner's current role and the
	// key's remaining lifetime, at most max, records the use, and counts it against
	// the limits of the key. Faults: BadAPIKey, if the key is unknown or expired;
	// TooManyRequests.
	UseKey(ctx context.Context, secret Digest, max time.Duration, limits func(key string) []Limit) (k Key, owner access.Role, left time.Duration, err error)
}

var scopes = []string{access.ScopeEntries, access.ScopeBoards, access.ScopeEvents, access.ScopeRead}

// Limits of API keys.
const (
	maxKeys      = 50 // per account
	maxKeyName   = 80 // characters
	maxKeyBoards = 100
)

// keyPrefix starts every API key, so that secret scanners find keys that leak
// into a repository or a log.
const keyPrefix = "plaudit_"

// newKey returns a key of 256 random bits and its digest.
func newKey() (string, Digest) {
	key := keyPrefix + randomToken()
	return key, digest(key)
}

// checked returns the request with its name in the form that is kept, or a fault
// with every field that is not valid.
func (in NewKey) checked(now time.Time) (NewKey, error) {
	var faults fault.List
	in.Name = name(&faults, "name", in.Name, maxKeyName)
	switch all := strings.Join(scopes, ", "); {
	case len(in.Scopes) == 0:
		faults.Add("scopes", "must list one or more of %s", all)
	case len(in.Scopes) > 10*len(scopes):
		faults.Add("scopes", "must list each scope at most once: %s", all)
	default:
		for i, s := range in.Scopes {
			if field := fmt.Sprintf("scopes[%d]", i); !slices.Contains(scopes, s) {
				faults.Add(field, "must be one of %s", all)
			} else if slices.Contains(in.Scopes[:i], s) {
				faults.Add(field, "appears more than once")
			}
		}
	}
	switch {
	case in.Boards != nil && len(in.Boards) == 0:
		// If an empty list meant every board, a client that lost its list would
		// create a key for all of them.
		faults.Add("boards", "must list at least one board; omit it for all of your boards")
	case len(in.Boards) > maxKeyBoards:
		faults.Add("boards", "must list at most %d boards", maxKeyBoards)
	default:
		for i, b := range in.Boards {
			// The board need not exist: boards are in another database, and may be
			// created later.
			if field := fmt.Sprintf("boards[%d]", i); !id.Board(b) {
				faults.Add(field, id.BoardForm)
			} else if slices.Contains(in.Boards[:i], b) {
				faults.Add(field, "appears more than once")
			}
		}
	}
	if in.ExpiresAt != nil && (!in.ExpiresAt.After(now) || in.ExpiresAt.UTC().Year() > 9999) {
		faults.Add("expires_at", "must be in the future, and before the year 10000")
	}
	return in, faults.Err()
}

// mayMake returns a fault unless the role may create a key with the scopes.
func mayMake(role access.Role, scopes []string) error {
	switch {
	case role != access.Organizer && role != access.Admin:
		return fault.New(fault.Forbidden, "Only organizers and admins may create API keys. Ask an admin to make you an organizer.")
	case role != access.Admin && slices.Contains(scopes, access.ScopeEvents):
		return fault.Field(fault.Forbidden, "scopes", "Only admins may create keys with the scope %s.", access.ScopeEvents)
	}
	return nil
}

// MakeKey creates a key for the caller. The secret is returned only here; the
// store keeps its digest. Faults: BadRequest with every field, SessionEnded,
// Forbidden by the account's current role, TooManyAPIKeys.
//
// Unlike other routes it checks that the caller's session is still open,
// because a stolen access token must not outlive its 15 minutes as a key.
func (s *Service) MakeKey(ctx context.Context, c access.Caller, in NewKey) (k Key, secret string, err error) {
	in, err = in.checked(time.Now())
	if err != nil {
		return Key{}, "", err
	}
	if !id.UUID(c.User) || !id.UUID(c.Session) {
		return Key{}, "", accountGone()
	}
	keyID, err := uuid.NewV7()
	if err != nil {
		return Key{}, "", fmt.Errorf("make a key's id: %w", err)
	}
	k = Key{ID: keyID.String(), User: c.User, Name: in.Name, Scopes: in.Scopes, Boards: in.Boards}
	if in.ExpiresAt != nil {
		at := in.ExpiresAt.UTC().Truncate(time.Microsecond) // the precision of the store
		k.ExpiresAt = &at
	}
	secret, hash := newKey()
	k, err = s.Store.MakeKey(ctx, c.Session, k, hash, maxKeys, func(role access.Role) error { return mayMake(role, in.Scopes) })
	return k, secret, orAccountGone(err)
}

// Keys returns up to limit of the caller's keys, newest first, after the one
// with the given id; more reports whether others follow.
func (s *Service) Keys(ctx context.Context, c access.Caller, after string, limit int) (keys []Key, more bool, err error) {
	if !id.UUID(c.User) {
		return nil, false, accountGone()
	}
	keys, err = s.Store.Keys(ctx, c.User, after, limit+1)
	if len(keys) > limit {
		return keys[:limit], true, err
	}
	return keys, false, err
}

// DeleteKey deletes one of the caller's keys; another's is a fault of kind
// NotFound. Tokens that the key was exchanged for are not looked up, so they
// stay valid until they expire, at most AccessLifetime.
func (s *Service) DeleteKey(ctx context.Context, c access.Caller, key string) error {
	if !id.UUID(c.User) {
		return accountGone()
	}
	if !id.UUID(key) {
		return NoKey()
	}
	return s.Store.DeleteKey(ctx, c.User, key)
}

// Exchange returns a token for a key. Faults: BadAPIKey, the same for a key
// that never existed, was deleted, has expired or whose owner is gone;
// TooManyRequests after too many bad keys or exchanges from one client address, or
// too many exchanges of the key.
//
// The token carries the owner's current role. If the owner was demoted to
// member, the key acts as that member: it creates no more boards, and writes to
// boards that list its owner. The scope events:write, which only admins may
// grant, is left out unless the owner is still an admin.
func (s *Service) Exchange(ctx context.Context, client, key string) (ServiceToken, error) {
	if key == "" {
		var faults fault.List
		faults.Add("key", "is required")
		return ServiceToken{}, faults.Err()
	}
	if s.isNotifys(key) {
		// It takes its turn as a client of its own: many requests of others who share its
		// address do not delay it.
		return inTurn(ctx, s.Tokens, access.Notify().Actor(), func() (ServiceToken, error) { return s.exchangeNotifys(ctx, client) })
	}
	return inTurn(ctx, s.Tokens, client, func() (ServiceToken, error) { return s.exchange(ctx, client, key) })
}

// isNotifys reports whether the key is notify's own, in a time that does not depend on
// how much of it is right.
func (s *Service) isNotifys(key string) bool {
	own, got := digest(s.NotifyKey), digest(key)
	return subtle.ConstantTimeCompare(own[:], got[:]) == 1 && s.NotifyKey != ""
}

// exchangeNotifys returns a token for notify's own key, which is in no table.
func (s *Service) exchangeNotifys(ctx context.Context, client string) (ServiceToken, error) {
	wait, err := s.Store.Count(ctx, s.Limits.notifysExchanges(client)...)
	if err == nil && wait > 0 {
		err = TooManyTokens(wait)
	}
	if err != nil {
		return ServiceToken{}, err
	}
	return s.serviceToken(access.Notify(), AccessLifetime)
}

func (s *Service) exchange(ctx context.Context, client, key string) (ServiceToken, error) {
	badKeys := func(wait time.Duration, err error) error {
		return refused("Too many invalid API keys came from this network. Wait before you send another.", wait, err)
	}
	if err := badKeys(s.Store.Wait(ctx, s.Limits.badKeys(client))); err != nil {
		return ServiceToken{}, err
	}
	k, role, left, err := s.Store.UseKey(ctx, digest(key), AccessLifetime, s.Limits.exchanges(client))
	lifetime := left.Truncate(time.Second)
	if err == nil && lifetime <= 0 {
		err = BadKey() // it ends within the current second
	}
	if fault.Is(err, fault.BadAPIKey) {
		if err := badKeys(s.Store.Count(ctx, s.Limits.badKeys(client), s.Limits.tokens(client))); err != nil {
			return ServiceToken{}, err
		}
	}
	if err != nil {
		return ServiceToken{}, err
	}
	granted := slices.DeleteFunc(slices.Clone(k.Scopes), func(scope string) bool {
		return scope == access.ScopeEvents && role != access.Admin
	})
	return s.serviceToken(access.Caller{
		User: k.User, Role: access.Service, Key: k.ID, Scopes: granted, Boards: k.Boards, Owner: role,
	}, lifetime)
}

func (s *Service) serviceToken(c access.Caller, lifetime time.Duration) (ServiceToken, error) {
	token, err := s.Signer.Sign(c, lifetime)
	if err != nil {
		return ServiceToken{}, fmt.Errorf("sign a key's access token: %w", err)
	}
	return ServiceToken{token, lifetime}, nil
}

// BadKey returns the fault for an API key that is not valid.
func BadKey() error {
	return fault.Field(fault.BadAPIKey, "key", "This API key is unknown, deleted or expired. Create another with POST /v1/keys.")
}

// NoKey returns the fault for a key that the caller does not own.
func NoKey() error { return fault.New(fault.NotFound, "You have no API key with this id.") }

// TooManyKeys returns the fault for an owner who has max keys.
func TooManyKeys(max int) error {
	return fault.New(fault.TooManyAPIKeys, "You already have %d API keys, including expired ones. Delete one that you no longer need.", max)
}
