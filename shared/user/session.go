package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Lifetimes of tokens. Each refresh extends the session to RefreshLifetime from
// then.
const (
	AccessLifetime  = 15 * time.Minute
	RefreshLifetime = 30 * 24 * time.Hour
)

// Session is the result of a login or a refresh.
type Session struct {
	AccessToken  string
	RefreshToken string
	User         User
}

// OpenSession is an open session as its account's owner sees it.
type OpenSession struct {
	ID        string // UUIDv7, so ids sort by time of login
	CreatedAt time.Time
	UsedAt    time.Time // login or latest refresh
	ExpiresAt time.Time
}

// Digest is the SHA-256 of a refresh token, an API key or the token of a link, the
// only form in which they are stored. They are random, so a slow hash would add nothing.
type Digest [sha256.Size]byte

// newToken returns 256 random bits in base64url, and their digest.
func newToken() (string, Digest) {
	var b [32]byte
	rand.Read(b[:]) // never fails according to its documentation
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, digest(token)
}

func digest(token string) Digest { return sha256.Sum256([]byte(token)) }
