package eventtest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// JSON draws the text of a JSON value, with what parsers like to change: the order of
// names, large numbers, escapes, empty texts, white space.
func JSON(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		space := func() string { return rapid.StringOfN(rapid.SampledFrom([]rune(" \t\r\n")), 0, 2, -1).Draw(t, "space") }
		text := func() string {
			return `"` + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
				"a", "é", "서울", "😀", `\u00e9`, `\ud83d\ude00`, `\"`, `\\`, `\/`, `\n`, " ", "<&>", "\u2028", "'", "", "=1", "\u007f", "\ufeff",
			}), 0, 6).Draw(t, "text"), "") + `"`
		}
		kinds := 4
		if depth > 0 {
			kinds = 6
		}
		value := ""
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			value = rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
		case 1:
			value = rapid.SampledFrom([]string{"0", "-0", "1e400", "1.0", "-1.50E+10", "123456789012345678901234567890", "9007199254740993", "0.1000"}).Draw(t, "number")
		case 2, 3:
			value = text()
		case 4:
			value = "[" + strings.Join(rapid.SliceOfN(JSON(depth-1), 0, 4).Draw(t, "list"), ",") + space() + "]"
		case 5:
			var members []string
			for i, v := range rapid.SliceOfN(JSON(depth-1), 0, 4).Draw(t, "object") {
				name := text()
				members = append(members, space()+fmt.Sprintf(`%s%d"`, name[:len(name)-1], 9-i)+space()+":"+v)
			}
			value = "{" + strings.Join(members, ",") + space() + "}"
		}
		return space() + value + space()
	})
}
