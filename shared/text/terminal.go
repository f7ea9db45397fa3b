package text

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// Terminal returns a writer for a terminal, which would obey control characters, such
// as those that begin an escape sequence, and would show the rest of a line in another
// order after a character that embeds or overrides a direction. It writes them, and
// bytes that are not UTF-8, as escapes. Line feeds and tabs stay.
// Each call must write whole characters.
func Terminal(w io.Writer) io.Writer { return terminal{w} }

type terminal struct{ w io.Writer }

func (t terminal) Write(p []byte) (int, error) {
	safe := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			safe = fmt.Appendf(safe, `\x%02x`, rest[0])
		case r != '\n' && r != '\t' && breaksText(r):
			safe = fmt.Appendf(safe, `\u%04x`, r)
		default:
			safe = append(safe, rest[:n]...)
		}
		rest = rest[n:]
	}
	if _, err := t.w.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}
