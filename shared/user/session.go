package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// How long tokens live. A refresh token that is traded in makes its session
// last RefreshLifetime from then.
const (
	AccessLifetime  = 15 * time.Minute
	RefreshLifetime = 30 * 24 * time.Hour
)

// Session is what a login or a refresh gives.
type Session struct {
	AccessToken  string
	RefreshToken string
	User         User
}

// OpenSession is a session that goes on, as its account's owner sees it.
type OpenSession struct {
	ID        string // UUIDv7: ids sort by time of login
	CreatedAt time.Time
	UsedAt    time.Time // login or latest refresh
	ExpiresAt time.Time
}

// Digest is the SHA-256 of a refresh token, the only form in which one is
// kept: it is random, so a slow hash would add nothing.
type Digest [sha256.Size]byte

// newRefreshToken gives 256 random bits in base64url, and their digest.
func newRefreshToken() (string, Digest) {
	var b [32]byte
	rand.Read(b[:]) // never fails, see its documentation
	token := base64.RawURLEncoding.EncodeToString(b[:])
	return token, digest(token)
}

func digest(token string) Digest { return sha256.Sum256([]byte(token)) }
