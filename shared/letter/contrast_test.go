package letter

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// luminance is the relative luminance of a color (WCAG 2.2).
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(color, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}

// TestColorsCanBeRead checks the contrast of text, 4.5 to 1 at least (WCAG 2.2, 1.4.3),
// of the light colors and the dark ones.
func TestColorsCanBeRead(t *testing.T) {
	all := ""
	for _, l := range samples(t) {
		m, err := l.Render()
		if err != nil {
			t.Fatal(err)
		}
		all += m.HTML
	}
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(all)
		if m == nil {
			t.Fatalf("no color is found by %s", pattern)
		}
		return m[1]
	}
	const color = `#([0-9a-f]{6})`
	for name, c := range map[string]struct{ text, behind []string }{
		"light": {
			[]string{find(`class="ink" style="[^"]*;color:` + color), find(`class="dim" style="[^"]*;color:` + color), find(`class="link" style="color:` + color)},
			[]string{find(`class="card"[^>]*background-color:` + color), find(`class="page"[^>]*background-color:` + color)},
		},
		"light, the reader's own row": {[]string{find(`class="ink" style="[^"]*;color:` + color)}, []string{find(`class="rule mine ink" style="[^"]*background-color:` + color)}},
		"light, the button":           {[]string{find(`class="button" style="[^"]*;color:` + color)}, []string{find(`class="button" style="[^"]*background-color:` + color)}},
		"dark": {
			[]string{find(`\.ink\{color:` + color), find(`\.dim\{color:` + color), find(`\.link\{color:` + color)},
			[]string{find(`\.card\{background-color:` + color), find(`\.page\{background-color:` + color)},
		},
		"dark, the reader's own row": {[]string{find(`\.ink\{color:` + color)}, []string{find(`\.mine\{background-color:` + color)}},
		"dark, the button":           {[]string{find(`class="button" style="[^"]*;color:` + color)}, []string{find(`\.button\{background-color:` + color)}},
	} {
		for _, text := range c.text {
			for _, behind := range c.behind {
				a, b := luminance(t, text), luminance(t, behind)
				if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); contrast < 4.5 {
					t.Errorf("%s: #%s on #%s has a contrast of %.1f", name, text, behind, contrast)
				}
			}
		}
	}
}
