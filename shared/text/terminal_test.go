package text

import (
	"bytes"
	"fmt"
	"testing"
)

func TestTerminalObeysNoText(t *testing.T) {
	for text, want := range map[string]string{
		"plain, 서울 — ½\tx\n":           "plain, 서울 — ½\tx\n",
		"\x1b]0;title\x07\x1b[2J":      `\u001b]0;title\u0007\u001b[2J`,
		"\u009b2J \u0085 \x7f \r\b":    `\u009b2J \u0085 \u007f \u000d\u0008`,
		"\x9b2J":                       `\x9b2J`,
		"user\u202egnp.exe \u2066a":    `user\u202egnp.exe \u2066a`,
		"a\u2028b":                     `a\u2028b`,
		"\u200fمرحبا\u200e \U0001f3c3": "\u200fمرحبا\u200e \U0001f3c3",
	} {
		var got bytes.Buffer
		if n, err := fmt.Fprint(Terminal(&got), text); got.String() != want || n != len(text) || err != nil {
			t.Errorf("%q is written as %q, want %q; %d, %v", text, got.String(), want, n, err)
		}
	}
}
