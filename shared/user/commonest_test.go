package user

import (
	"strings"
	"testing"
)

func TestTheListIsInTheComparedForm(t *testing.T) {
	if n := len(commonest()); n < 49_000 || n != strings.Count(commonestText, "\n") {
		t.Errorf("%d passwords in %d lines", n, strings.Count(commonestText, "\n"))
	}
	for word := range commonest() {
		if word == "" || fold(word) != word {
			t.Errorf("%q is not in the form that passwords are compared in", word)
		}
	}
}

func TestCommonPasswordsAreRefused(t *testing.T) {
	for password, common := range map[string]bool{
		"1234567890":             true,
		"qwertyuiop":             true,
		"Password123":            true,
		"PASSWORD1234":           true,
		"Ｐａｓｓｗｏｒｄ１２３":            true, // full width
		"password!?42":           true, // a tail of four
		"sunshine 24":            true,
		"passwordpassword":       true,
		"qwertyqwerty1!":         true,
		"aaaaaaaaaaaaaaaa":       true,
		"가가가가가가가가가가":             true,
		"가가가가가가가가가가2024":         true,
		"password\nletmein":      false, // two entries of the list
		"xpressmusic20241":       false, // a tail of five
		"xpressmusic2024":        true,
		"correct horse":          false,
		"sunshinesunshine horse": false,
		"가나다라마바사아자차":             false,
		"\n\n\n\n\n\n\n\n\n\nx":  false,
		"8274619273-12345":       false,
	} {
		_, err := SignUp{Email: "jin@example.com", Password: password, DisplayName: "x"}.account()
		if (err != nil) != common {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestTheAddressIsRefusedAsPassword(t *testing.T) {
	for password, own := range map[string]bool{
		"jin-the-runner@example.com": true,
		"Jin-The-Runner@Example.COM": true,
		"jin-the-runner":             true,
		"JIN-THE-RUNNER":             true,
		"ｊｉｎ-the-runner":             true,
		"example.com":                false,
		"jin-the-runner ":            false,
		"the-runner-jin":             false,
	} {
		_, err := SignUp{Email: "jin-the-runner@example.com", Password: password, DisplayName: "x"}.account()
		if (err != nil) != own {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestRepeatedUnit(t *testing.T) {
	for s, want := range map[string]string{"": "", "a": "a", "aa": "a", "abab": "ab", "aba": "aba", "abcabcabc": "abc", "가가": "가", "aab": "aab"} {
		if got := repeatedUnit(s); got != want {
			t.Errorf("the unit of %q is %q", s, got)
		}
	}
}
