package user

import "golang.org/x/crypto/argon2"

// Cost is the cost of a hash, for tests.
type Cost struct{ Memory, Passes uint32 }

// Watched returns Passwords that call computed with each hash's cost before
// computing it.
func Watched(atOnce int, computed func(Cost)) *Passwords {
	p := NewPasswords(atOnce)
	derive := p.derive
	p.derive = func(password, salt []byte, c cost) []byte {
		computed(Cost{c.memory, c.passes})
		return derive(password, salt, c)
	}
	return p
}

// OldHash returns a hash with an outdated cost.
func OldHash(password string) string {
	c, salt := cost{memory: 64, passes: 1, threads: 1}, []byte("0123456789abcdef")
	return format(c, salt, argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, keyLength))
}
