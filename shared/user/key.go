package user

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Key is an API key, without its secret. It acts as its owner, with the rights
// that they have when a token is made of it, cut to its scopes and boards.
type Key struct {
	ID         string // UUIDv7: ids sort by time of making
	User       string // its owner's id
	Name       string
	Scopes     []string
	Boards     []string   // nil: every board of its owner
	ExpiresAt  *time.Time // nil: never
	CreatedAt  time.Time
	LastUsedAt *time.Time // the latest token that was made of it; nil: none
}

// NewKey is what somebody says of a key to be made. Boards and ExpiresAt nil
// mean all and never.
type NewKey struct {
	Name      string
	Scopes    []string
	Boards    []string
	ExpiresAt *time.Time
}

// ServiceToken is what a key is exchanged for.
type ServiceToken struct {
	AccessToken string
	Lifetime    time.Duration // whole seconds
}

// KeyStore keeps API keys. It is a part of Store. A change puts its event into
// the outbox in the same transaction, with the owner as its actor.
type KeyStore interface {
	// MakeKey adds a key to its owner's and gives it with the store's
	// CreatedAt. An owner who is gone is a fault of kind NotFound, a session of
	// theirs that has ended one of kind SessionEnded, max keys one of kind
	// TooManyAPIKeys. may is asked with the owner's role of this moment; its
	// error is given back and nothing is added.
	MakeKey(ctx context.Context, session string, k Key, secret Digest, max int, may func(access.Role) error) (Key, error)
	// Keys gives up to limit of an owner's keys, newest first, after the key
	// named; from the newest where that is empty.
	Keys(ctx context.Context, owner, after string, limit int) ([]Key, error)
	// DeleteKey deletes an owner's key; no such key of theirs is a fault of
	// kind NotFound.
	DeleteKey(ctx context.Context, owner, id string) error
	// UseKey gives the key with the secret, its owner's role of this moment
	// and for how long the key will be good, at most most, and notes the use.
	// No such key, or one that has expired, is a fault of kind BadAPIKey.
	UseKey(ctx context.Context, secret Digest, most time.Duration) (k Key, owner access.Role, left time.Duration, err error)
}

// What an API key may be cut to.
const (
	scopeEvents = "events:write" // add events to the audit log
	scopeRead   = "read"         // read what its owner may read
)

var scopes = []string{"entries:write", "boards:write", scopeEvents, scopeRead}

// The limits of keys.
const (
	maxKeys      = 50 // an account may have
	maxKeyName   = 80 // characters
	maxKeyBoards = 100
)

// keyPrefix begins every API key, so that scanners find one that got into a
// repository or a log.
const keyPrefix = "plaudit_"

// newKey gives a key of 256 random bits, and its digest.
func newKey() (string, Digest) {
	var b [32]byte
	rand.Read(b[:]) // never fails, see its documentation
	key := keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return key, digest(key)
}

// boardID is the form of a board's id. Whether the board is there is not
// asked: boards live in another database, and may be made later.
var boardID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (in NewKey) check(now time.Time) error {
	var faults fault.List
	checkName(&faults, "name", in.Name, maxKeyName)
	switch all := strings.Join(scopes, ", "); {
	case len(in.Scopes) == 0:
		faults.Add("scopes", "is required: one or more of %s", all)
	case len(in.Scopes) > 10*len(scopes):
		faults.Add("scopes", "may hold each of %s once", all)
	default:
		for i, s := range in.Scopes {
			if field := fmt.Sprintf("scopes[%d]", i); !slices.Contains(scopes, s) {
				faults.Add(field, "must be one of %s", all)
			} else if slices.Contains(in.Scopes[:i], s) {
				faults.Add(field, "stands there twice")
			}
		}
	}
	switch {
	case in.Boards != nil && len(in.Boards) == 0:
		// Were it taken for "every board", a client that lost its list would
		// make a key for all.
		faults.Add("boards", "must name a board; leave it out for every board of yours")
	case len(in.Boards) > maxKeyBoards:
		faults.Add("boards", "may name %d boards", maxKeyBoards)
	default:
		for i, b := range in.Boards {
			if field := fmt.Sprintf("boards[%d]", i); !boardID.MatchString(b) {
				faults.Add(field, "must be a board's id: 1 to 63 of a-z, 0-9 and -, not beginning with -")
			} else if slices.Contains(in.Boards[:i], b) {
				faults.Add(field, "stands there twice")
			}
		}
	}
	if in.ExpiresAt != nil && (!in.ExpiresAt.After(now) || in.ExpiresAt.UTC().Year() > 9999) {
		faults.Add("expires_at", "must be in the future, and before the year 10000")
	}
	return faults.Err()
}

// mayMake says whether somebody of the role may make a key with the scopes.
func mayMake(role access.Role, scopes []string) error {
	switch {
	case role != access.Organizer && role != access.Admin:
		return fault.New(fault.Forbidden, "Only organizers and admins make API keys. An admin can make you an organizer.")
	case role != access.Admin && slices.Contains(scopes, scopeEvents):
		return fault.Field(fault.Forbidden, "scopes", "Only admins make keys with the scope %s.", scopeEvents)
	}
	return nil
}

// MakeKey makes a key of the caller's. The secret is given here and never
// again: only its digest is kept. Faults: BadRequest with every field,
// SessionEnded, Forbidden by the role that the account has now, TooManyAPIKeys.
//
// Unlike other routes it asks whether the caller's session still goes on: a
// stolen access token must not outlive its 15 minutes as a key.
func (s *Service) MakeKey(ctx context.Context, c access.Caller, in NewKey) (k Key, secret string, err error) {
	if err := in.check(time.Now()); err != nil {
		return Key{}, "", err
	}
	if !isID(c.User) || !isID(c.Session) {
		return Key{}, "", gone()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Key{}, "", fmt.Errorf("make a key's id: %w", err)
	}
	k = Key{ID: id.String(), User: c.User, Name: in.Name, Scopes: in.Scopes, Boards: in.Boards}
	if in.ExpiresAt != nil {
		at := in.ExpiresAt.UTC().Truncate(time.Microsecond) // what a store keeps
		k.ExpiresAt = &at
	}
	secret, hash := newKey()
	k, err = s.Store.MakeKey(ctx, c.Session, k, hash, maxKeys, func(role access.Role) error { return mayMake(role, in.Scopes) })
	return k, secret, orGone(err)
}

// Keys gives up to limit of the caller's keys, newest first, after the key
// named; more says that there are further ones.
func (s *Service) Keys(ctx context.Context, c access.Caller, after string, limit int) (keys []Key, more bool, err error) {
	if !isID(c.User) {
		return nil, false, gone()
	}
	keys, err = s.Store.Keys(ctx, c.User, after, limit+1)
	if len(keys) > limit {
		return keys[:limit], true, err
	}
	return keys, false, err
}

// DeleteKey deletes a key of the caller's; another's is a fault of kind
// NotFound. Tokens that were made of it, which nobody looks up, are good until
// they expire, AccessLifetime at most.
func (s *Service) DeleteKey(ctx context.Context, c access.Caller, id string) error {
	if !isID(c.User) {
		return gone()
	}
	if !isID(id) {
		return NoKey()
	}
	return s.Store.DeleteKey(ctx, c.User, id)
}

// Exchange gives a token for a key. Faults: BadAPIKey, the same for a key that
// was never there, was deleted, has expired or whose owner is gone;
// TooManyRequests after too many of these from one client address.
//
// The token carries the role that the owner has now. A key of somebody who is
// a member again acts as that member: it makes no boards any more, and writes
// where a board's lists name its owner. What only an admin may give, the scope
// events:write, is left out once the owner is none.
func (s *Service) Exchange(ctx context.Context, client, key string) (ServiceToken, error) {
	if key == "" {
		var faults fault.List
		faults.Add("key", "is required")
		return ServiceToken{}, faults.Err()
	}
	limit := s.Limits.exchange(client)
	if err := s.mayExchange(ctx, s.Store.Wait, limit); err != nil {
		return ServiceToken{}, err
	}
	k, role, left, err := s.Store.UseKey(ctx, digest(key), AccessLifetime)
	lifetime := left.Truncate(time.Second)
	if err == nil && lifetime <= 0 {
		err = BadKey() // it ends before a token's clock ticks
	}
	if fault.Is(err, fault.BadAPIKey) {
		if err := s.mayExchange(ctx, s.Store.Count, limit); err != nil {
			return ServiceToken{}, err
		}
	}
	if err != nil {
		return ServiceToken{}, err
	}
	granted := slices.DeleteFunc(slices.Clone(k.Scopes), func(scope string) bool {
		return scope == scopeEvents && role != access.Admin
	})
	token, err := s.Signer.Sign(access.Caller{
		User: k.User, Role: access.Service, Key: k.ID, Scopes: granted, Boards: k.Boards, Owner: role,
	}, lifetime)
	if err != nil {
		return ServiceToken{}, fmt.Errorf("sign a key's access token: %w", err)
	}
	return ServiceToken{token, lifetime}, nil
}

func (s *Service) mayExchange(ctx context.Context, ask func(context.Context, ...Limit) (time.Duration, error), limit Limit) error {
	wait, err := ask(ctx, limit)
	if err == nil && wait > 0 {
		err = tooMany("Too many API keys from this network were not valid. Wait before the next one.", wait)
	}
	return err
}

// BadKey is the fault of a key that is not good.
func BadKey() error {
	return fault.Field(fault.BadAPIKey, "key", "This API key is not valid: it was deleted, has expired, or never was one. Make another with POST /v1/keys.")
}

// NoKey is the fault of a key that is not the caller's.
func NoKey() error { return fault.New(fault.NotFound, "You have no such API key.") }

// TooManyKeys is the fault of an owner who has max keys.
func TooManyKeys(max int) error {
	return fault.New(fault.TooManyAPIKeys, "You have %d API keys, expired ones among them. Delete one that is not needed any more.", max)
}

// exchange counts keys that are not good, apart from failed logins: a
// neighbour's expired key keeps nobody from logging in.
func (l Limits) exchange(client string) Limit {
	return Limit{"key-address", client, l.LoginsPerAddress, loginWindow}
}
