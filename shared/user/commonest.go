package user

import (
	_ "embed"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The passwords that people choose most, one a line: the list of the npm
// package @zxcvbn-ts/language-common 4.1.3 (passwords.json; MIT, see
// commonest-passwords.LICENSE).
//
//go:embed commonest-passwords.txt
var commonestText string

// commonest takes some 3 MB, from the first password that is looked at.
var commonest = sync.OnceValue(func() map[string]bool {
	words := make(map[string]bool, 50_000)
	for word := range strings.Lines(commonestText) {
		words[strings.TrimSuffix(word, "\n")] = true
	}
	return words
})

// folded is the form in which passwords are compared with words that an
// attacker tries first, who tries them in capitals and full width too.
func folded(s string) string { return cases.Fold().String(norm.NFKC.String(s)) }

// maxTail is how many digits and marks behind a word do not make it another:
// they are what people add where a rule asks for more characters.
const maxTail = 4

// common says whether a password is one of the commonest, one with a short
// tail of digits and marks, one that is repeated, or one character again and
// again.
func common(password string) bool {
	words, p := commonest(), folded(password)
	for tail := 0; ; tail++ {
		unit := period(p)
		if words[p] || words[unit] || utf8.RuneCountInString(unit) == 1 {
			return true
		}
		if tail == maxTail || p == "" || !isTail(p[len(p)-1]) {
			return false
		}
		p = p[:len(p)-1]
	}
}

// period gives the shortest text that makes s when it is repeated.
func period(s string) string {
	if s == "" {
		return ""
	}
	return s[:strings.Index((s + s)[1:], s)+1]
}

// isTail takes ASCII's digits, marks and the space.
func isTail(b byte) bool {
	return ' ' <= b && b <= '~' && !('a' <= b && b <= 'z')
}

// ownAddress says whether a password is the account's address or the part
// before its @.
func ownAddress(password, email string) bool {
	p, address := folded(password), folded(email)
	at := strings.LastIndexByte(address, '@')
	return p == address || at > 0 && p == address[:at]
}
