package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"plaudit/shared/fault"
)

// cost is the cost of an argon2id hash.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// HashMemory is what a running hash takes, in bytes.
const HashMemory = 19456 << 10

// current follows OWASP's Password Storage Cheat Sheet for argon2id: m=19456
// (19 MiB), t=2, p=1. A hash with another cost is replaced at the account's
// next login.
var current = cost{memory: HashMemory >> 10, passes: 2, threads: 1}

const saltLength, keyLength = 16, 32 // bytes

// Passwords hashes passwords with argon2id, a few at a time: each hash takes 19
// MiB, and a task that runs out of memory takes every login down with it.
type Passwords struct {
	running chan struct{} // one slot per running hash
	// derive computes the hash. Tests replace it to count the calls.
	derive func(password, salt []byte, c cost) []byte
}

// NewPasswords allows atOnce hashes to run (19 MiB each). Others wait; Turns bound
// how many, and take turns between clients.
func NewPasswords(atOnce int) *Passwords {
	return &Passwords{
		running: make(chan struct{}, atOnce),
		derive: func(password, salt []byte, c cost) []byte {
			return argon2.IDKey(password, salt, c.passes, c.memory, c.threads, keyLength)
		},
	}
}

// Hash returns the password's hash in PHC string format
// (https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails according to its documentation
	key, err := p.compute(ctx, password, salt, current)
	if err != nil {
		return "", err
	}
	return format(current, salt, key), nil
}

// Verify reports whether the password has the hash, and whether the hash has an
// outdated cost. An empty hash, for an account that does not exist, takes as
// long as any other and matches nothing.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	if hash == "" {
		_, err := p.compute(ctx, password, make([]byte, saltLength), current)
		return false, false, err
	}
	c, salt, want, err := parse(hash)
	if err != nil {
		return false, false, err
	}
	key, err := p.compute(ctx, password, salt, c)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1, c != current, nil
}

// compute waits for a slot. It converts the password to Unicode's NFKC first
// (NIST SP 800-63B, 5.1.1.2), so that the same password typed on different
// keyboards has the same hash.
func (p *Passwords) compute(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
	case <-ctx.Done():
		return nil, busy(ctx.Err())
	}
	return p.derive([]byte(norm.NFKC.String(password)), salt, c), nil
}

// phc is the base64 variant of the PHC string format: standard alphabet, no
// padding.
var phc = base64.RawStdEncoding.Strict()

func format(c cost, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads, phc.EncodeToString(salt), phc.EncodeToString(key))
}

// parse reads what format writes. Its errors never contain the hash.
func parse(hash string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errors.New("a stored password hash is not argon2id in PHC format")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil || c.passes == 0 || c.threads == 0 {
		return c, nil, nil, errors.New("a stored password hash has bad parameters")
	}
	salt, saltErr := phc.DecodeString(parts[4])
	key, keyErr := phc.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) != keyLength {
		return c, nil, nil, errors.New("a stored password hash has a bad salt or key")
	}
	return c, salt, key, nil
}

// The details of the faults of a password, by which a page in another language says the
// same.
const (
	PasswordMissing    = "is required"
	PasswordNUL        = "must not contain the character NUL"
	PasswordCommon     = "is too common. Choose another, such as a few words that only you would combine"
	PasswordOwnAddress = "must not be the e-mail address or the part before its @"
)

// PasswordLength is the detail of the fault of a password that is too short or too long.
var PasswordLength = fmt.Sprintf("must have %d to %d characters", minPassword, maxPassword)

// checkPassword counts characters in the form that is hashed, so that the
// result does not depend on the keyboard either. It refuses what attackers try
// first (NIST SP 800-63B, 5.1.1.2): the commonest passwords, and the account's
// address.
func checkPassword(faults *fault.List, field, password, email string) {
	n := utf8.RuneCountInString(norm.NFKC.String(password))
	switch {
	case password == "":
		faults.Add(field, PasswordMissing)
	case n < minPassword || n > maxPassword:
		faults.Add(field, "%s", PasswordLength)
	case strings.ContainsRune(password, 0):
		faults.Add(field, PasswordNUL)
	case common(password):
		faults.Add(field, PasswordCommon)
	case ownAddress(password, email):
		faults.Add(field, PasswordOwnAddress)
	}
}
