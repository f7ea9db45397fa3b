package user

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"

	"plaudit/shared/fault"
)

func TestHashIsArgon2idInPHCFormat(t *testing.T) {
	p := NewPasswords(1)
	a, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	// The figures are OWASP's, written out so that a change must be deliberate.
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s", a)
	}
	if a == b {
		t.Error("two hashes of one password are the same, so there is no salt")
	}
	c, salt, key, err := parse(a)
	if err != nil {
		t.Fatal(err)
	}
	if c != current || len(salt) != 16 || !bytes.Equal(key, argon2.IDKey([]byte("correct horse"), salt, 2, 19456, 1, 32)) {
		t.Errorf("parse does not return what was hashed: %+v", c)
	}
}

func TestVerify(t *testing.T) {
	p := NewPasswords(1)
	hash := func(password string) string {
		h, err := p.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	old := cost{memory: 8192, passes: 1, threads: 1}
	salt := []byte("0123456789abcdef")
	outdated := format(old, salt, p.derive([]byte("correct horse"), salt, old))
	for _, c := range []struct {
		name, hash, password string
		ok, outdated         bool
	}{
		{"the password", hash("correct horse"), "correct horse", true, false},
		{"another password", hash("correct horse"), "Correct horse", false, false},
		{"a longer password", hash("correct horse"), "correct horse ", false, false},
		{"one keyboard composes, another does not", hash("비밀번호비밀번호비밀"), "\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169\u1107\u1175\u1106\u1175\u11af", true, false},
		{"one keyboard types full width", hash("correct horse"), "ｃｏｒｒｅｃｔ　ｈｏｒｓｅ", true, false},
		{"a hash of another cost", outdated, "correct horse", true, true},
		{"another password for it", outdated, "wrong horse", false, true},
		{"no account", "", "correct horse", false, false},
		{"no account and the empty password", "", "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, outdated, err := p.Verify(t.Context(), c.hash, c.password)
			if err != nil {
				t.Fatal(err)
			}
			if ok != c.ok || outdated != c.outdated {
				t.Errorf("got %t, outdated %t", ok, outdated)
			}
		})
	}
}

func TestErrorsDoNotContainABrokenHash(t *testing.T) {
	p := NewPasswords(1)
	for _, hash := range []string{
		"c2VjcmV0", "$argon2i$v=19$m=19456,t=2,p=1$c2VjcmV0$c2VjcmV0", "$argon2id$v=19$m=x$c2VjcmV0$c2VjcmV0",
		"$argon2id$v=19$m=8,t=0,p=1$c2VjcmV0$c2VjcmV0", "$argon2id$v=19$m=8,t=1,p=1$c2VjcmV0$c2VjcmV0",
	} {
		ok, _, err := p.Verify(t.Context(), hash, "correct horse")
		if ok || err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: ok %t, error %v", hash, ok, err)
		}
	}
}

func TestHashesAtOnceAreBounded(t *testing.T) {
	p := NewPasswords(2)
	begun, release := make(chan struct{}, 5), make(chan struct{})
	p.derive = func([]byte, []byte, cost) []byte {
		begun <- struct{}{}
		<-release
		return make([]byte, keyLength)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := p.Hash(context.Background(), "correct horse"); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	<-begun
	waiting, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.Hash(waiting, "correct horse")
		left <- err
	}()
	leave()
	if err := <-left; !fault.Is(err, fault.Busy) {
		t.Errorf("a hash whose client left got %v", err)
	}
	select {
	case <-begun:
		t.Error("a third hash ran")
	default:
	}
	close(release)
	wg.Wait()
	if _, err := p.Hash(t.Context(), "correct horse"); err != nil {
		t.Errorf("no slot is free afterwards: %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	p := NewPasswords(1)
	hash, err := p.Hash(b.Context(), "correct horse")
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]string{"account": hash, "no account": ""} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := p.Verify(b.Context(), h, "wrong horse"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
