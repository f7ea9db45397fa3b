package web

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNoCellIsAFormula(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "plain": "plain", "a=1": "a=1", "a-b": "a-b", "'": "'", "'=1": "'=1", "진, 수": "진, 수", "3:12 (+5)": "3:12 (+5)",
		"=1": "'=1", "+1": "'+1", "-1": "'-1", "@A1": "'@A1", " =1": "' =1", "-": "'-",
		"＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠A1": "'＠A1", "﹦1": "'﹦1", "−1": "'−1", "⁼1": "'⁼1",
		// behind what does not show
		"\ufeff=1": "'\ufeff=1", "\u200b\u3000=1": "'\u200b\u3000=1", "\u3164\u2800=1": "'\u3164\u2800=1", "\ufe0f\u0301=1": "'\ufe0f\u0301=1", `"=1"`: `'"=1"`, "\U000e0020=1": "'\U000e0020=1",
		// behind what may end a cell
		"a,=1": "a,'=1", "a;=1": "a;'=1", "a\t=1": "a\t'=1", "a\n=1": "a\n'=1", "a\r\n=1": "a\r\n'=1", "a\u2028=1": "a\u2028'=1", "a\u0085=1": "a\u0085'=1",
		"a, \u200b=1": "a,' \u200b=1", `a","=1`: `a",'"=1`, "=1,=2;=3\n-4": "'=1,'=2;'=3\n'-4", "a,b=1": "a,b=1", "a, b, -c": "a, b,' -c", ",,=1": ",,'=1",
		// control characters
		"\tx": "'\tx", "\rx": "'\rx", "\x00x": "'\x00x", "\t=1": "'\t'=1", "\n\n=1": "'\n\n'=1", "a\tb": "a\tb",
	} {
		if got := NoFormula(cell); got != want {
			t.Errorf("%q became %q, want %q", cell, got, want)
		}
	}
	// The whole classes.
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || !unicode.In(r, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Cc) {
			continue
		}
		for _, before := range []string{"", "a,"} {
			cell := before + string(r) + "=1"
			got := NoFormula(cell)
			if strings.ReplaceAll(got, "'", "") != cell || !strings.Contains(got, "'"+string(r)+"=1") && !strings.Contains(got, string(r)+"'=1") {
				t.Errorf("%q became %q", cell, got)
			}
		}
	}
}

// A table keeps the meaning of metadata and its numbers.
func TestMetadataIsNoFormulaAndStaysJSON(t *testing.T) {
	for doc, want := range map[string]string{
		``: ``, `{}`: `{}`, `{"a":"b,c"}`: `{"a":"b,c"}`, `{"a":-5,"b":[1,-2,-3.5e+7]}`: `{"a":-5,"b":[1,-2,-3.5e+7]}`, `{"a":"=1"}`: `{"a":"=1"}`,
		`{"a":"b,=1"}`:              `{"a":"b,\u003d1"}`,
		`{"a":1,"=cmd|x":2}`:        `{"a":1,"\u003dcmd|x":2}`,
		`{"a":["x","-1+2"]}`:        `{"a":["x","\u002d1+2"]}`,
		`{"a":"b; ＝1"}`:             `{"a":"b; \uff1d1"}`,
		`{"a\\":"\",","b":"\",=1"}`: `{"a\\":"\",","b":"\",\u003d1"}`,
		`{"a":"=1,=2"}`:             `{"a":"=1,\u003d2"}`,
	} {
		got := NoFormulaJSON(doc)
		if got != want {
			t.Errorf("%s became %s, want %s", doc, got, want)
		}
		var before, after any
		if doc != "" && (json.Unmarshal([]byte(doc), &before) != nil || json.Unmarshal([]byte(got), &after) != nil || !reflect.DeepEqual(before, after)) {
			t.Errorf("%s became %s, which means something else", doc, got)
		}
	}
}
