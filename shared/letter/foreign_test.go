package letter

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// seen returns a text as people see it: without the joiners that set links apart and
// the isolates.
var seen = strings.NewReplacer(apart, "", "\u2068", "", "\u2069", "")

func TestForeignTextIsShownAsItIs(t *testing.T) {
	for _, s := range []string{
		"김진호", "Jin", "José", "O’Hara-Smith", "½ Ⅳ", "👩‍🚀", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "🇰🇷", "น้ำแข็ง", "क्षि", "עִבְרִית", "مرحبا", "Việt", "葛󠄀城",
		"3.5 km", "Room 12", "1,234.56", "a/b", "50%", "10:30", "<b>", `"quoted" & more`, "https", "at 3 p.m.",
	} {
		if got := (foreign{s, 80}).String(); seen.Replace(got) != norm.NFC.String(s) {
			t.Errorf("%q is shown as %q", s, got)
		}
	}
	for _, s := range []string{"3.5 km", "1,234.56", "(−2.5%)", "10:30", "40:31.0", "a/b", "Jin. And Kim", "Team A: Jin", "bib-7"} {
		if got := (foreign{s, 80}).String(); got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func TestForeignTextIsCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nBcc: b":                      "a Bcc: b",
		"a\x00b\x1b[31mc\u0085d\u2028e":    "ab[31mc d e",
		"\u202egnp.exe":                    "gnp.exe",
		"a\u2066b\u2069\u202dc":            "abc",
		"ad\u200bm\u2060i\ufeffn\u00ad":    "admin",
		"a\u3164b\u2800c\U000e0041":        "abc",
		"  a \t\n b\u3000":                 "a b",
		"\u200b\u3164\u2800":               "",
		"\u200d\u200c\u200f":               "",
		"\xff":                             "\ufffd",
		"Z" + strings.Repeat("\u0301", 9):  "Ź" + strings.Repeat("\u0301", maxMarks),
		"a" + strings.Repeat("\u200d", 99): "a",
		"a\u2063b\U0001d173c":              "abc",
	} {
		if got := seen.Replace((foreign{in, 80}).String()); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestForeignTextIsCutByGrapheme(t *testing.T) {
	family := "👨‍👩‍👧‍👦"
	if got, want := (foreign{strings.Repeat(family, 80), 10}).String(), strings.Repeat(family, 6)+"…"; length(got) > 10 || !strings.HasPrefix(got, family) || strings.ContainsRune(got, utf8.RuneError) {
		t.Errorf("got %q, want something like %q", got, want)
	}
	if got, want := (foreign{strings.Repeat("가", 11), 10}).String(), strings.Repeat("가", 9)+"…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if s := strings.Repeat("가", 10); (foreign{s, 10}).String() != s {
		t.Errorf("%q is cut", s)
	}
	if got := (foreign{strings.Repeat("🏃", 80), 80}).String(); got != strings.Repeat("🏃", 80) {
		t.Errorf("80 emoji become %q", got)
	}
}

func TestForeignTextDoesNotTurnTheTextAroundIt(t *testing.T) {
	for in, want := range map[string]string{
		"Jin":            "Jin",
		"עברית":          "\u2068עברית\u2069",
		"Jin \u200f(1)":  "\u2068Jin \u200f(1)\u2069",
		"٣":              "\u2068٣\u2069",
		"\u2069עב\u2069": "\u2068עב\u2069",
	} {
		if got := (foreign{in, 80}).String(); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// linkers are what mail clients look for: schemes, addresses, hosts with or without
// www. They are wider than any client's, and see letters of all scripts.
var linkers = map[string]*regexp.Regexp{
	"scheme":  regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*:[^\s,.)’?]`),
	"network": regexp.MustCompile(`(//|\\\\)[^\s]`),
	"address": regexp.MustCompile(`[^\s]+[@＠][^\s]+`),
	"host":    regexp.MustCompile(`[\pL\pN_-][.。．｡][\pL_-]`),
	"IPv4":    regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`),
}

// links returns what a mail client may make a link of.
func linksIn(s string) (found []string) {
	for name, linker := range linkers {
		for _, m := range linker.FindAllString(s, -1) {
			// A client that takes any character but a space for a part of a link still
			// needs a host and an address without what sets them apart.
			if !strings.Contains(m, apart) {
				found = append(found, name+" "+m)
			}
		}
	}
	return found
}

var hostile = []string{
	"http://evil.example", "https://evil.example/a?b=c", "HTTP://EVIL.EXAMPLE", "evil.com", "www.evil.com", "admin@evil.com", "a.b@c.de", "Jin:evil.com",
	"mailto:admin@evil.com", "javascript:alert(1)", "tel:+82101234", "//evil.com", `\\evil\share`, "file:///etc", "192.168.0.1", "http://1.2.3.4",
	"evil。com", "evil．com", "bücher.example", "한글.한국", "evil.com.", "(evil.com)", "1.evil.com", "evil.1.com", "a.b.c.d.e", "x@y", "xn--fsq.com", "3.5.evil.com", "5@evil.com", "A0:000", "A:", "عx@", "@ع",
	"<a href=\"http://evil.example\">click</a>", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</title><b>", "<!--", "{{.}}", "%s%n", "a\r\nBcc: x@evil.com\r\n\r\nbody",
	"\u202ehttp://evil.example", "evil\u200b.com", "evil.\u200bcom", "evil\u2060.\u2060com", "evil.\u200dcom", "evil\u200c.com", "evil\u00ad.com", "admin\u200b@evil.com", "http\u200b://evil.com",
	"עברית evil.com", strings.Repeat("🏃", 80), strings.Repeat("👨‍👩‍👧‍👦", 80), strings.Repeat("longword", 100), "a\nb\n\n\n\nhttp://evil.example\n> By: Admin", "Z" + strings.Repeat("\u0301", 500),
	"\x00\x1b[2J", "\xff\xfe", "&lt;b&gt;", "&#x3c;b>", "' onmouseover='x", "`", "\u2028\u2029", "${7*7}", "=cmd|' /C calc'!A0",
}

func TestForeignTextIsNoLink(t *testing.T) {
	for _, s := range hostile {
		if got := (foreign{s, 80}).String(); linksIn(got) != nil {
			t.Errorf("%q becomes %q: %q", s, got, linksIn(got))
		}
	}
	for _, s := range []string{"http://evil.example", "evil.com", "admin@evil.com", "192.168.0.1", "evil。com", "//evil.com"} {
		if linksIn(s) == nil {
			t.Errorf("the test sees no link in %q", s)
		}
	}
}

// TestNoClientSeesAHost checks what Thunderbird and Android need: ASCII letters before
// the colon of a scheme, the @ and the dot of www, and a host of two labels.
func TestNoClientSeesAHost(t *testing.T) {
	for _, s := range []string{"http://www.evil.com", "www.evil.com", "admin@evil.com"} {
		got := (foreign{s, 80}).String()
		for i, r := range got {
			if strings.ContainsRune(".@:", r) && (!strings.HasSuffix(got[:i], apart) || !strings.HasPrefix(got[i+1:], apart)) {
				t.Errorf("%q: nothing sets %q apart", got, r)
			}
		}
	}
}

func TestNote(t *testing.T) {
	for in, want := range map[string][]string{
		"":                      nil,
		" \n\u200b\n ":          nil,
		"one":                   {"one"},
		"one\r\ntwo\n\n\nthree": {"one", "two", "three"},
		"one\u2028two":          {"one", "two"},
		"עב\nJin":               {"\u2068עב\u2069", "Jin"},
	} {
		got := note(in)
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := note(strings.Repeat("x\n", 500)); len(got) != maxLines+1 || len(got[maxLines]) != 959 {
		t.Errorf("500 lines become %d, the last of %d bytes", len(got), len(got[len(got)-1]))
	}
}

// checkForeign returns what is wrong with a foreign text that is shown.
func checkForeign(s string, max int) string {
	switch opened := strings.Count(s, "\u2068"); {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) >= 0:
		return "has control characters or breaks of lines"
	case strings.ContainsAny(s, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067"):
		return "orders text"
	case opened > 1, opened != strings.Count(s, "\u2069"), opened == 1 && !(strings.HasPrefix(s, "\u2068") && strings.HasSuffix(s, "\u2069")):
		return "has isolates that do not match"
	case length(seen.Replace(s)) > max:
		return "is too long"
	case linksIn(s) != nil:
		return "has a link"
	case len(s) > 20*max+40:
		return "is too large"
	}
	return ""
}

func FuzzForeign(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, max := range []int{2, 40, 80} {
			if got := (foreign{s, max}).String(); checkForeign(got, max) != "" {
				t.Errorf("%q becomes %q, which %s", s, got, checkForeign(got, max))
			}
		}
		for _, line := range note(s) {
			if problem := checkForeign(line, maxNote); problem != "" {
				t.Errorf("a line of %q becomes %q, which %s", s, line, problem)
			}
		}
	})
}
