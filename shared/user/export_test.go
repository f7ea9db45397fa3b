package user

import "golang.org/x/crypto/argon2"

// Cost is what a hash took, as tests see it.
type Cost struct{ Memory, Passes uint32 }

// Watched gives Passwords that tell each hash's cost before it is computed.
func Watched(atOnce, waiting int, computed func(Cost)) *Passwords {
	p := NewPasswords(atOnce, waiting)
	derive := p.derive
	p.derive = func(password, salt []byte, c cost) []byte {
		computed(Cost{c.memory, c.passes})
		return derive(password, salt, c)
	}
	return p
}

// OldHash is a hash of a cost that is not today's.
func OldHash(password string) string {
	c, salt := cost{memory: 64, passes: 1, threads: 1}, []byte("0123456789abcdef")
	return format(c, salt, argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, keyLength))
}
