package user

import (
	_ "embed"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// commonestText holds the most common passwords, one per line, from the npm
// package @zxcvbn-ts/language-common 4.1.3 (passwords.json; MIT, see
// commonest-passwords.LICENSE).
//
//go:embed commonest-passwords.txt
var commonestText string

// commonest parses the list when it is first needed. It takes about 3 MB.
var commonest = sync.OnceValue(func() map[string]bool {
	words := make(map[string]bool, 50_000)
	for word := range strings.Lines(commonestText) {
		words[strings.TrimSuffix(word, "\n")] = true
	}
	return words
})

// fold returns the form in which passwords are compared with common words.
// Attackers also try capitals and full-width letters.
func fold(s string) string { return cases.Fold().String(norm.NFKC.String(s)) }

// maxTail is how many digits and symbols after a common word are ignored:
// people append them if a rule demands more characters.
const maxTail = 4

// common reports whether a password is one of the commonest, also if it is
// repeated or followed by up to maxTail digits and symbols, or a single
// character repeated.
func common(password string) bool {
	words, p := commonest(), fold(password)
	for tail := 0; ; tail++ {
		unit := repeatedUnit(p)
		if words[p] || words[unit] || utf8.RuneCountInString(unit) == 1 {
			return true
		}
		if tail == maxTail || p == "" || !isTail(p[len(p)-1]) {
			return false
		}
		p = p[:len(p)-1]
	}
}

// repeatedUnit returns the shortest text that makes s when repeated.
func repeatedUnit(s string) string {
	if s == "" {
		return ""
	}
	return s[:strings.Index((s + s)[1:], s)+1]
}

// isTail accepts ASCII digits, symbols and the space. Letters are folded to
// lower case before.
func isTail(b byte) bool {
	return ' ' <= b && b <= '~' && !('a' <= b && b <= 'z')
}

// ownAddress reports whether a password is the account's address or the part
// before its @.
func ownAddress(password, email string) bool {
	p, address := fold(password), fold(email)
	at := strings.LastIndexByte(address, '@')
	return p == address || at > 0 && p == address[:at]
}
