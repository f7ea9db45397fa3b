package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Lifetimes of tokens. Each refresh extends the session to RefreshLifetime from
// then, each login the device to DeviceLifetime.
const (
	AccessLifetime  = 15 * time.Minute
	RefreshLifetime = 30 * 24 * time.Hour
	DeviceLifetime  = 90 * 24 * time.Hour
)

// Limits of an account. Beyond them the least recently used one goes.
const (
	MaxSessions = 20
	MaxDevices  = 20
)

// Session is the result of a login or a refresh.
type Session struct {
	AccessToken  string
	RefreshToken string
	DeviceToken  string // of a login
	User         User
}

// NewSession is a session to open.
type NewSession struct {
	ID, User string
	Password int64 // version of the password that was checked
	Token    RefreshToken
	Device   Digest // of the device that logs in
}

// OpenSession is an open session as its account's owner sees it.
type OpenSession struct {
	ID        string // UUIDv7, so ids sort by time of login
	CreatedAt time.Time
	UsedAt    time.Time // login or latest refresh
	ExpiresAt time.Time
}

// Digest is the SHA-256 of a token or an API key, the only form in which they are
// stored. They are random, so a slow hash would add nothing.
type Digest [sha256.Size]byte

// RefreshToken is a refresh token as it is stored. All tokens of a session begin
// with the same secret, its family: a sender of a token that begins with it has, or
// had, one of the session's tokens. So used tokens are recognized without
// being kept, for as long as the session lasts and however often it is refreshed,
// while a text that merely looks like a token ends no session.
type RefreshToken struct {
	Digest Digest // of the whole token
	Family Digest // of its beginning
}

// A token is 256 random bits in base64url. Those of the family are fixed at the
// login; a thief of an old token would have to guess the other 136.
const tokenLength, familyLength = 43, 20 // characters

// randomToken returns 256 random bits in base64url.
func randomToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails according to its documentation
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// nextToken returns the token that replaces one of the same session.
func nextToken(token string) string {
	next := randomToken()
	if len(token) != tokenLength {
		return next // the token is unknown, and is not replaced
	}
	return token[:familyLength] + next[familyLength:]
}

// stored returns a refresh token in the form that is stored. A text of another
// length has a family that no session has.
func stored(token string) RefreshToken {
	t := RefreshToken{Digest: digest(token)}
	if len(token) == tokenLength {
		t.Family = digest(token[:familyLength])
	}
	return t
}

func digest(token string) Digest { return sha256.Sum256([]byte(token)) }
