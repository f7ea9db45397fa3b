package text

import (
	"strings"
	"testing"
	"testing/quick"

	"golang.org/x/text/unicode/norm"
)

func TestNormal(t *testing.T) {
	const seoul = "서울"
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"composed letters stay", seoul, seoul},
		{"decomposed letters are composed", norm.NFD.String(seoul), seoul},
		{"half of the letters are decomposed", "서" + norm.NFD.String("울"), seoul},
		{"an accent after its letter", "Jose\u0301", "José"},
		{"a sign with the look of another", "\u212b", "Å"},
		{"compatible characters stay", "½ Ⅳ ﬁ Ａ", "½ Ⅳ ﬁ Ａ"},
		{"case stays", "Jin", "Jin"},
		{"white space at the ends", " \t\r\n\u00a0\u2003\u2028\u3000" + seoul + "\u3000\u2029\u205f\u0085\v\f ", seoul},
		{"white space inside stays", "Kim  Jin\u3000Ho", "Kim  Jin\u3000Ho"},
		{"only white space", " \u3000\n", ""},
		{"a byte order mark", "\ufeff" + seoul, seoul},
		{"what is left of a copied text", "\u200b\u00ad" + seoul + "\u2060\u180e", seoul},
		{"blanks at the ends", "\u3164\u2800" + seoul + "\uffa0", seoul},
		{"joiners at the ends", "\u200d" + seoul + "\u200c", seoul},
		{"marks of direction at the ends", "\u200f\u061c" + seoul + "\u200e", seoul},
		{"marks of direction inside stay", "א\u200f(1)", "א\u200f(1)"},
		{"joiners inside stay", "👩\u200d🚀 نمی\u200cخواهم", "👩\u200d🚀 نمی\u200cخواهم"},
		{"a selector at the end stays", "❤\ufe0f", "❤\ufe0f"},
		{"tags at the end stay", "🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"},
		{"a filler within a syllable stays", "\u115f\u1161", "\u115f\u1161"},
		{"an override stays, to be refused", "\u202eJin", "\u202eJin"},
		{"a control character inside stays, to be refused", "a\nb", "a\nb"},
	} {
		if got := Normal(c.in); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNormalFormIsItsOwn(t *testing.T) {
	stays := func(s string) bool { return Normal(Normal(s)) == Normal(s) }
	if err := quick.Check(stays, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	for _, s := range []string{" \u0301a", "a" + strings.Repeat("\u0301", 100), "\ufeff \u0301", "\u0958", "\xff a\u0301"} {
		if !stays(s) {
			t.Errorf("%q becomes %q and then %q", s, Normal(s), Normal(Normal(s)))
		}
	}
}

const (
	tooLong = "must have 1 to 10 characters and must not be blank"
	breaks  = "must not contain control characters, line breaks or characters that change the direction of text"
	notes   = "must not contain control characters other than line feeds, separators of lines or characters that change the direction of text"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, in, short, note string }{
		{"one character", "a", "", ""},
		{"the maximum", strings.Repeat("가", 10), "", ""},
		{"one more", strings.Repeat("가", 11), tooLong, tooLong},
		{"nothing", "", tooLong, tooLong},
		{"a digit", "1", "", ""},
		{"punctuation", "?", "", ""},
		{"a symbol", "👩\u200d🚀", "", ""},
		{"a consonant alone", "ㄱ", "", ""},
		{"a letter and its accent", "a\u0323", "", ""},
		{"a private character is not known to be visible", "\ue000", tooLong, tooLong},
		{"spaces", " \u00a0\u3000", tooLong, tooLong},
		{"combining marks", "\u0301\u20dd", tooLong, tooLong},
		{"format characters", "\u200b\u200d\u2060\ufeff\u00ad", tooLong, tooLong},
		{"marks of direction alone", "\u061c\u200e\u200f", tooLong, tooLong},
		{"a selector and tags", "\ufe0f\U000e0067", tooLong, tooLong},
		{"a choseong filler", "\u115f", tooLong, tooLong},
		{"a jungseong filler", "\u1160", tooLong, tooLong},
		{"a Hangul filler", "\u3164", tooLong, tooLong},
		{"a half-width filler", "\uffa0", tooLong, tooLong},
		{"a Braille blank", "\u2800", tooLong, tooLong},
		{"a Braille pattern", "\u2801", "", ""},
		{"a filler and a vowel", "\u115f\u1161", "", ""},
		{"a mark of direction inside", "א\u200f1\u061c\u200e", "", ""},
		{"a line feed", "a\nb", breaks, ""},
		{"a line feed at the end", "a\n", breaks, ""},
		{"only line feeds", "\n\n", tooLong, tooLong},
		{"a carriage return", "a\rb", breaks, notes},
		{"a tab", "a\tb", breaks, notes},
		{"NUL", "a\x00", breaks, notes},
		{"an escape sequence", "\x1b[31ma", breaks, notes},
		{"a C1 control", "a\u0085b", breaks, notes},
		{"a line separator", "a\u2028b", breaks, notes},
		{"a paragraph separator", "a\u2029b", breaks, notes},
		{"not UTF-8", "a\xff", "must be valid UTF-8", "must be valid UTF-8"},
	} {
		for _, v := range []struct {
			of    string
			check func(string, int) error
			want  string
		}{{"short text", Check, c.short}, {"note", CheckNote, c.note}} {
			got := ""
			if err := v.check(c.in, 10); err != nil {
				got = err.Error()
			}
			if got != v.want {
				t.Errorf("%s in a %s: got %q, want %q", c.name, v.of, got, v.want)
			}
		}
	}
	for _, r := range "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" {
		for _, s := range []string{"a" + string(r) + "b", string(r) + "a", "a" + string(r)} {
			if Check(Normal(s), 10) == nil || CheckNote(NormalNote(s), 10) == nil {
				t.Errorf("%q is accepted", s)
			}
		}
	}
}

func TestNormalNote(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		" a \n b\u3000":          " a \n b\u3000",
		"a\r\nb\r\n":             "a\nb\n",
		"a\rb":                   "a\rb",
		"a\r\r\nb":               "a\r\nb",
		norm.NFD.String("서울"):    norm.NFD.String("서울"),
		"\ufeffa\u200e, as seen": "\ufeffa\u200e, as seen",
	} {
		if got := NormalNote(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if CheckNote(NormalNote("a\r\r\nb"), 10) == nil {
		t.Error("a carriage return before CR LF is accepted")
	}
}

func TestCountry(t *testing.T) {
	for in, want := range map[string]string{
		"KR": "KR", "kr": "KR", "kR": "KR", "de": "DE", "GB": "GB",
		"": "", "K": "", "KOR": "", "410": "", "K1": "", "12": "", " KR": "", "KR ": "", "ＫＲ": "",
		"ZZ": "", "zz": "", "EU": "", "eu": "", "UN": "", "XK": "", "A ": "", " A": "", // no countries
		"DD": "", "BU": "", "SU": "", "YU": "", "AN": "", "UK": "", "uk": "", // withdrawn, or not ISO's
		"é": "", "\xff\xff": "", "k\n": "",
	} {
		if got, ok := Country(in); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t, want %q", in, got, ok, want)
		}
	}
	// Every code of two letters is taken in both cases or in none.
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			upper, ok := Country(code)
			lower, also := Country(strings.ToLower(code))
			if ok != also || upper != lower || ok && upper != code {
				t.Errorf("%s: %q, %t, in lower case %q, %t", code, upper, ok, lower, also)
			}
			if ok {
				n++
			}
		}
	}
	if n < 249 {
		t.Errorf("only %d countries", n)
	}
}
