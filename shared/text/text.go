// Package text holds the one rule for texts that people write and compare by
// eye: names, titles, reasons, notes and what is searched for among them. The
// same text, typed on two systems or copied from a page, must not be two names.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Normal returns the form in which a short text is kept and compared: Unicode's
// NFC (UAX 15), without white space and other invisible characters at its ends.
// NFC, because keyboards and systems write the same letters in different ways.
// NFKC would also change what people see: ½ to 1⁄2, Ⅳ to IV.
func Normal(s string) string { return strings.TrimFunc(norm.NFC.String(s), unseen) }

// unseen reports characters that nobody sees at the end of a text: white space,
// blanks that Unicode counts among letters and symbols, and what pages and
// tables leave there when text is copied from them, such as a byte order mark.
// The marks of direction are among them: within a text they order it, at its
// ends they act on the text around it.
//
// So are the joiners, which only have a meaning between two characters (UAX 31,
// 2.3.1). Variation selectors and tags are not: they change the look of the
// character before them. Embeddings, overrides and isolates are not either:
// Check refuses them wherever they are.
func unseen(r rune) bool {
	switch r {
	case '\u00ad', // soft hyphen
		'\u180e',           // Mongolian vowel separator
		'\u200b',           // zero-width space
		'\u200c', '\u200d', // zero-width non-joiner and joiner
		'\u200e', '\u200f', '\u061c', // left-to-right, right-to-left and Arabic letter mark
		'\u2060', '\ufeff': // word joiner, byte order mark
		return true
	}
	return unicode.IsSpace(r) || blank(r) && !conjoining(r)
}

// blank reports letters and symbols that show nothing.
func blank(r rune) bool {
	return conjoining(r) ||
		r == '\u3164' || r == '\uffa0' || // Hangul filler, also half-width
		r == '\u2800' // Braille pattern blank
}

// conjoining reports the Hangul fillers that stand for a missing part of a
// syllable, and so change the look of its other parts.
func conjoining(r rune) bool { return r == '\u115f' || r == '\u1160' }

// Check returns an error unless a short text in its normal form has 1 to max
// characters and is one line that shows something and does not affect the text
// around it. The error completes a sentence that begins with the field's name.
func Check(s string, max int) error {
	return check(s, max, false)
}

// NormalNote returns the form in which a note is kept. A note is evidence, so
// nothing changes but its line breaks, which depend on the system that it was
// written on: CR LF becomes LF.
func NormalNote(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// CheckNote is Check for a note in its normal form, which may have line feeds.
func CheckNote(s string, max int) error {
	return check(s, max, true)
}

func check(s string, max int, lines bool) error {
	breaks := func(r rune) bool { return breaksText(r) && !(lines && r == '\n') }
	switch {
	case utf8.RuneCountInString(s) > max || strings.IndexFunc(s, Visible) < 0:
		return fmt.Errorf("must have 1 to %d characters and must not be blank", max)
	case !utf8.ValidString(s):
		return fmt.Errorf("must be valid UTF-8")
	case strings.IndexFunc(s, breaks) < 0:
		return nil
	case lines:
		return fmt.Errorf("must not contain control characters other than line feeds, separators of lines or characters that change the direction of text")
	}
	return fmt.Errorf("must not contain control characters, line breaks or characters that change the direction of text")
}

// breaksText reports characters that affect the text around a name: control
// characters, line and paragraph separators, and the embeddings, overrides and
// isolates of Unicode's bidirectional algorithm (UAX 9, 2). The marks of
// direction, U+061C, U+200E and U+200F, are not among them: like a letter, they
// order only what is next to them, and names that mix scripts need them.
func breaksText(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		'\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// Visible reports whether a character shows something: it is no space or blank, and no
// mark, joiner or control character, which show nothing alone.
func Visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && !blank(r)
}
