package pattern

import (
	"strings"
	"testing"
)

func TestOperatorsOfRules(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{"numbers are compared by value", `{"a":[300]}`, []string{`{"a":300}`, `{"a":300.0}`, `{"a":3e2}`}, []string{`{"a":301}`, `{"a":"300"}`}},
		{"anything but a number", `{"a":[{"anything-but":[1]}]}`, []string{`{"a":2}`, `{"a":"1"}`}, []string{`{"a":1}`, `{"a":1.0}`, `{}`}},
		{"wildcard", `{"a":[{"wildcard":"a*b*c"}]}`, []string{`{"a":"abc"}`, `{"a":"axxbxxc"}`, `{"a":"abcbc"}`}, []string{`{"a":"ac"}`, `{"a":"abcd"}`, `{"a":"xabc"}`, `{"a":1}`, `{}`}},
		{"a wildcard alone", `{"a":[{"wildcard":"*"}]}`, []string{`{"a":""}`, `{"a":"x"}`}, []string{`{"a":1}`, `{"a":null}`, `{}`}},
		{"parts do not overlap", `{"a":[{"wildcard":"ab*ba"}]}`, []string{`{"a":"abba"}`}, []string{`{"a":"aba"}`}},
		{"an escaped asterisk", `{"a":[{"wildcard":"a\\*\\\\*"}]}`, []string{`{"a":"a*\\x"}`}, []string{`{"a":"ab\\x"}`, `{"a":"a*x"}`}},
		{"anything but a wildcard", `{"a":[{"anything-but":{"wildcard":["*/x/*","y*"]}}]}`, []string{`{"a":"z"}`, `{"a":1}`}, []string{`{"a":"1/x/2"}`, `{"a":"y"}`, `{}`}},
		{"addresses", `{"a":[{"cidr":"10.0.0.5/24"}]}`, []string{`{"a":"10.0.0.0"}`, `{"a":"10.0.0.255"}`}, []string{`{"a":"10.0.1.0"}`, `{"a":"::ffff:10.0.0.1"}`, `{"a":"10.0.0"}`, `{"a":10}`, `{}`}},
		{"addresses of IPv6", `{"a":[{"cidr":"2001:db8::/32"}]}`, []string{`{"a":"2001:DB8:1::2"}`}, []string{`{"a":"2001:db9::"}`, `{"a":"2001:db8::1%eth0"}`}},
		{"a name with a dot is a path", `{"a.b":["x"]}`, []string{`{"a":{"b":"x"}}`, `{"a.b":"x"}`}, []string{`{"a":{"b":"y"}}`, `{"a":"x"}`}},
		{"a name with dots in the event", `{"a":{"b":{"c":["x"],"d":[1]}}}`, []string{`{"a.b.c":"x","a":{"b":{"d":1}}}`, `{"a":{"b.c":"x","b.d":1}}`, `{"l":[{"a.b":1}],"a":[{"b.c":"x","b.d":1}]}`}, []string{`{"a.b.c":"x"}`, `{"a":1,"a.b.c":"x","a.b.d":1}`}},
		{"an alternative replaces a field before it", `{"a":["1"],"$or":[{"a":["2"]},{"b":["3"]}]}`, []string{`{"a":"2"}`, `{"a":"1","b":"3"}`}, []string{`{"a":"1"}`, `{"a":"2x"}`}},
		{"a field replaces the alternatives before it", `{"$or":[{"a":["2"]},{"b":["3"]}],"a":["1"]}`, []string{`{"a":"1"}`}, []string{`{"a":"2"}`}},
		{"two lists of alternatives", `{"x":{"$or":[{"a":[1]},{"b":[1]}]},"$or":[{"c":[1]},{"d":[1]}]}`, []string{`{"x":{"b":1},"d":1}`, `{"x":{"a":1},"c":1}`}, []string{`{"x":{"a":1}}`, `{"c":1,"d":1}`}},
		{"objects of lists in lists", `{"a":{"b":[{"exists":false}]}}`, []string{`{"a":[[{"c":1}]]}`, `{"a":[1,[2]]}`}, []string{`{"a":[[1],{"b":1}]}`}},
		{"an event of another kind of rule", `{"replay-name":[{"exists":false}],"detail":{"notify":[{"exists":true}]}}`, []string{`{"detail":{"notify":"u1"}}`}, []string{`{"replay-name":"r","detail":{"notify":"u1"}}`, `{"detail":{}}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParseRule(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range c.yes {
				if !p.Match([]byte(event)) {
					t.Errorf("%s does not match %s", event, c.pattern)
				}
			}
			for _, event := range c.no {
				if p.Match([]byte(event)) {
					t.Errorf("%s matches %s", event, c.pattern)
				}
			}
		})
	}
}

func TestWrongPatternsOfRules(t *testing.T) {
	ten := strings.Repeat(`,{"a":[1]}`, 10)[1:]
	for _, c := range []struct{ name, pattern, want string }{
		{"an unknown operator", `{"a":[{"regex":"x"}]}`, "a.regex"},
		{"two wildcards in succession", `{"a":[{"wildcard":"a**"}]}`, "succession"},
		{"a backslash at the end", `{"a":[{"wildcard":"a\\"}]}`, "backslash"},
		{"a backslash before a letter", `{"a":[{"wildcard":"\\a"}]}`, "backslash"},
		{"a wildcard that is a number", `{"a":[{"wildcard":1}]}`, "a.wildcard must be text"},
		{"one address", `{"a":[{"cidr":"10.0.0.1"}]}`, "a.cidr"},
		{"a block of one address", `{"a":[{"cidr":"10.0.0.1/32"}]}`, "a.cidr"},
		{"anything but true", `{"a":[{"anything-but":true}]}`, "true"},
		{"anything but null in a list", `{"a":[{"anything-but":[null]}]}`, "null"},
		{"anything but text and numbers", `{"a":[{"anything-but":["x",1]}]}`, "not both"},
		{"anything but an empty prefix", `{"a":[{"anything-but":{"prefix":""}}]}`, "a.anything-but.prefix must not be empty"},
		{"anything but a block", `{"a":[{"anything-but":{"cidr":"10.0.0.0/8"}}]}`, "a.anything-but.cidr"},
		{"a range from above", `{"a":[{"numeric":["<",5,">",1]}]}`, "lower bound"},
		{"a range of nothing", `{"a":[{"numeric":[">",5,"<",5]}]}`, "less than"},
		{"too many combinations", `{"a":{"$or":[` + ten + `]},"b":{"$or":[` + ten + `]},"c":{"$or":[` + ten + `]},"d":{"$or":[` + ten + `]}}`, "combinations"},
		{"too long", `{"a":["` + strings.Repeat("x", maxRuleLength) + `"]}`, "2048"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseRule(c.pattern); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.pattern, err, c.want)
			}
		})
	}
}
