package letter

import (
	"strings"
	"unicode"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"golang.org/x/text/unicode/bidi"

	"plaudit/shared/text"
)

// foreign is text that other people wrote. Printed with %s it is safe to show: one
// line, without control and invisible characters, that mail clients make no link of
// and that does not turn the text around it. HTML escapes it like any other text.
type foreign struct {
	text string
	max  int // graphemes; a longer text ends in …
}

// Maximum lengths in a letter, in graphemes.
const (
	maxName  = 80
	maxTitle = 120
	maxValue = 300
	maxNote  = 1000
	maxCell  = 40 // a name in a row of a table
	maxRow   = 60 // a note in a row of a table
)

func (f foreign) String() string { return isolate(unlink(clip(shown(oneLine(clean(f.text))), f.max))) }

// shown returns "" for a text in which there is nothing to see.
func shown(s string) string {
	if strings.IndexFunc(s, text.Visible) < 0 {
		return ""
	}
	return s
}

// maxLines is how many lines of a note are kept apart.
const maxLines = 20

// note returns the lines of a note, which are safe to show like a foreign text. Empty
// lines are left out.
func note(s string) (lines []string) {
	paragraphs := strings.FieldsFunc(clip(clean(s), maxNote), func(r rune) bool { return r == '\n' })
	for i, line := range paragraphs {
		if i == maxLines {
			line = strings.Join(paragraphs[i:], " ")
		}
		if line = shown(oneLine(line)); line != "" {
			lines = append(lines, isolate(unlink(line)))
		}
		if i == maxLines {
			break
		}
	}
	return lines
}

// maxRunes is the maximum length of a grapheme. The longest emoji in use have 10
// runes; without a limit a grapheme has any number of joiners.
const maxRunes = 12

// maxMarks is the maximum number of marks above and below a letter, which otherwise
// cover the lines around it. Hebrew and Vietnamese need up to 4.
const maxMarks = 4

// clean returns a text in its normal form and without characters that show nothing
// or affect the text around them. All breaks of lines become line feeds.
func clean(s string) string {
	var b strings.Builder
	for g := graphemes.FromString(text.Normal(strings.ToValidUTF8(s, "\ufffd"))); g.Next(); {
		runes, marks := 0, 0
		tags := strings.HasPrefix(g.Value(), "\U0001f3f4") // a black flag: tags make it a region's
		for _, r := range g.Value() {
			if unicode.In(r, unicode.Mn, unicode.Me) && r != '\ufe0f' {
				if marks++; marks > maxMarks {
					continue
				}
			}
			switch {
			case r == '\r', r == '\n', r == '\v', r == '\f', r == '\u0085', r == '\u2028', r == '\u2029':
				r = '\n'
			case unicode.IsSpace(r):
				r = ' '
			case invisible(r) && !(tags && '\U000e0020' <= r && r <= '\U000e007f'):
				continue
			}
			if runes++; runes <= maxRunes {
				b.WriteRune(r)
			}
		}
	}
	// What was left out may have kept apart what NFC composes.
	return text.Normal(b.String())
}

// invisible reports control characters, the embeddings, overrides and isolates that
// order text, and characters that show nothing, which make two names look alike. Of
// the latter, joiners and marks of direction remain: emoji and many scripts need them.
func invisible(r rune) bool {
	switch r {
	case '\u200c', '\u200d', '\u200e', '\u200f', '\u061c':
		return false
	case '\u115f', '\u1160': // Hangul fillers within a syllable
		return false
	case '\u0600', '\u0601', '\u0602', '\u0603', '\u0604', '\u0605', '\u06dd', '\u070f', '\u0890', '\u0891', '\u08e2',
		'\U000110bd', '\U000110cd': // signs that span numbers: format characters that show something
		return false
	case '\u034f', '\u3164', '\uffa0', '\u2800', '\ufffc':
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) ||
		'\ufe00' <= r && r <= '\ufe0d' || 0xe01f0 <= r && r <= 0xe0fff // selectors without a meaning
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// clip cuts a text to at most max graphemes, and to at most 16 bytes each on average:
// Korean letters have 3, emoji up to 40.
func clip(s string, max int) string {
	n, cut := 0, 0
	for g := graphemes.FromString(s); g.Next(); n++ {
		if n == max || g.End() > 16*max {
			return strings.TrimRight(s[:cut], " \n\u200c\u200d") + "…"
		}
		if n < max-1 {
			cut = g.End()
		}
	}
	return s
}

func length(s string) (n int) {
	for g := graphemes.FromString(s); g.Next(); {
		n++
	}
	return n
}

// apart is U+200C, the zero-width non-joiner. It keeps mail clients from seeing an
// address in a text, and nobody sees it. A host name must not contain it between
// letters that do not join (RFC 5892, A.1), so that a client that sees a link in spite
// of it does not find the host; a word joiner would be left out of the name (UTS 46).
const apart = "\u200c"

// unlink sets apart what mail clients make links of: the dots of host names, the @ of
// addresses, the colon of schemes and the start of network paths. Clients look back
// from these signs and ahead, so there is a joiner on both sides.
func unlink(s string) string {
	if !strings.ContainsAny(s, ".@:/\\。．｡＠：") {
		return s
	}
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		before, after := edge, edge
		if i > 0 {
			before = runes[i-1]
		}
		if i+1 < len(runes) {
			after = runes[i+1]
		}
		if links(before, r, after) && !number(runes, i) {
			b.WriteString(apart + string(r) + apart)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// edge is what precedes and follows a text: perhaps a sign of ours.
const edge = '\n'

func links(before, r, after rune) bool {
	switch r {
	case '.', '。', '．', '｡':
		return before != ' ' && before != edge && after != ' ' && after != edge
	case '@', '＠':
		return before != ' ' && after != ' '
	case ':', '：':
		return before != ' ' && after != ' ' || after == '/' || after == '\\'
	case '/', '\\':
		return after == r
	}
	return false
}

// number reports whether the sign is within a number or a time, such as 3.5, 15:10 and
// 40:31.0. One with several dots is an address.
func number(runes []rune, at int) bool {
	digit := func(i int) bool { return 0 <= i && i < len(runes) && '0' <= runes[i] && runes[i] <= '9' }
	part := func(i int) bool { return digit(i) || 0 <= i && i < len(runes) && (runes[i] == '.' || runes[i] == ':') }
	ends := func(i int) bool { return i < 0 || i >= len(runes) || strings.ContainsRune(" ,;()+-−%", runes[i]) }
	from, to, dots := at, at, 0
	for part(from - 1) {
		from--
	}
	for part(to + 1) {
		to++
	}
	for _, r := range runes[from : to+1] {
		if r == '.' {
			dots++
		}
	}
	return part(at) && digit(at-1) && digit(at+1) && dots <= 1 && ends(from-1) && ends(to+1)
}

// isolate keeps text that has a direction of its own, right to left, from ordering
// the text around it (UAX 9, 2.7).
func isolate(s string) string {
	for _, r := range s {
		p, _ := bidi.LookupRune(r)
		switch p.Class() {
		case bidi.R, bidi.AL, bidi.AN:
			return "\u2068" + s + "\u2069"
		}
	}
	return s
}
