package pattern

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestTheCasesOfEventBridge(t *testing.T) {
	data, err := os.ReadFile("testdata/patterns.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name           string
		Pattern, Event json.RawMessage
		Matches        bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 50 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			for name, parse := range map[string]func(string) (*Pattern, error){"filter": Parse, "rule": ParseRule} {
				p, err := parse(string(c.Pattern))
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Match(c.Event); got != c.Matches {
					t.Errorf("%s: %s on %s: %v, want %v", name, c.Pattern, c.Event, got, c.Matches)
				}
			}
		})
	}
}

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{"equals", `{"a":["x"]}`, []string{`{"a":"x"}`, `{"a":["y","x"]}`}, []string{`{"a":"X"}`, `{"a":"xx"}`, `{}`, `{"a":null}`, `{"a":{"x":1}}`}},
		{"one of several values", `{"a":["x",1,true]}`, []string{`{"a":"x"}`, `{"a":1}`, `{"a":true}`}, []string{`{"a":"1"}`, `{"a":false}`, `{"a":"true"}`}},
		{"every field", `{"a":["x"],"b":["y"]}`, []string{`{"a":"x","b":"y","c":1}`}, []string{`{"a":"x"}`, `{"a":"x","b":"z"}`}},
		{"null is not empty text and not absent", `{"a":[null]}`, []string{`{"a":null}`}, []string{`{"a":""}`, `{}`, `{"a":0}`}},
		{"empty text", `{"a":[""]}`, []string{`{"a":""}`}, []string{`{"a":null}`, `{"a":" "}`, `{}`}},
		{"numbers are compared as they are written", `{"a":[300]}`, []string{`{"a":300}`}, []string{`{"a":300.0}`, `{"a":3.0e2}`, `{"a":"300"}`}},
		{"exists", `{"a":[{"exists":true}]}`, []string{`{"a":null}`, `{"a":""}`, `{"a":0}`}, []string{`{}`, `{"a":[]}`}},
		{"exists is for leaves only", `{"a":[{"exists":true}]}`, nil, []string{`{"a":{"b":1}}`}},
		{"does not exist", `{"a":{"b":[{"exists":false}]}}`, []string{`{"a":{}}`, `{}`, `{"a":{"c":1}}`, `{"a":1}`}, []string{`{"a":{"b":null}}`, `{"a":{"b":false}}`}},
		{"an object counts as absent", `{"a":[{"exists":false}]}`, []string{`{"a":{"b":1}}`, `{}`}, []string{`{"a":1}`}},
		{"a name with a dot", `{"a.b":["x"]}`, []string{`{"a.b":"x"}`}, []string{`{"a.c":"x"}`, `{"a":"x"}`}},
		{"prefix", `{"a":[{"prefix":"ab"}]}`, []string{`{"a":"ab"}`, `{"a":"abc"}`}, []string{`{"a":"Abc"}`, `{"a":"cab"}`, `{"a":1}`, `{}`}},
		{"prefix ignoring case", `{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}`, []string{`{"a":"abc"}`, `{"a":"ABC"}`}, []string{`{"a":"ba"}`}},
		{"suffix", `{"a":[{"suffix":".png"}]}`, []string{`{"a":"x.png"}`}, []string{`{"a":"x.PNG"}`, `{"a":".png.x"}`}},
		{"suffix ignoring case", `{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, []string{`{"a":"x.PNG"}`}, []string{`{"a":"x.jpg"}`}},
		{"equals ignoring case", `{"a":[{"equals-ignore-case":"Ab"}]}`, []string{`{"a":"aB"}`}, []string{`{"a":"abc"}`, `{"a":1}`, `{}`}},
		{"anything but a text", `{"a":[{"anything-but":"x"}]}`, []string{`{"a":"y"}`, `{"a":1}`, `{"a":null}`, `{"a":["x","y"]}`}, []string{`{"a":"x"}`, `{}`}},
		{"anything but a list", `{"a":[{"anything-but":["x",1]}]}`, []string{`{"a":"y"}`, `{"a":2}`}, []string{`{"a":"x"}`, `{"a":1}`}},
		{"anything but a prefix", `{"a":[{"anything-but":{"prefix":["x","y"]}}]}`, []string{`{"a":"z"}`}, []string{`{"a":"x1"}`, `{"a":"y"}`}},
		{"anything but a suffix", `{"a":[{"anything-but":{"suffix":"x"}}]}`, []string{`{"a":"xy"}`}, []string{`{"a":"yx"}`}},
		{"anything but ignoring case", `{"a":[{"anything-but":{"equals-ignore-case":["x","Y"]}}]}`, []string{`{"a":"z"}`}, []string{`{"a":"X"}`, `{"a":"y"}`}},
		{"numeric equality", `{"a":[{"numeric":["=",3e2]}]}`, []string{`{"a":300}`, `{"a":300.0}`}, []string{`{"a":301}`, `{"a":"300"}`, `{}`}},
		{"numeric range", `{"a":[{"numeric":[">",10,"<=",20]}]}`, []string{`{"a":10.5}`, `{"a":20}`}, []string{`{"a":10}`, `{"a":20.1}`}},
		{"numeric bounds", `{"a":[{"numeric":["<",0]},{"numeric":[">=",5]}]}`, []string{`{"a":-1}`, `{"a":5}`}, []string{`{"a":0}`, `{"a":4}`}},
		{"either of two fields", `{"$or":[{"a":["x"]},{"b":["y"]}]}`, []string{`{"a":"x"}`, `{"b":"y"}`}, []string{`{"a":"y","b":"x"}`}},
		{"a field and either of two others", `{"c":["z"],"$or":[{"a":["x"]},{"b":{"d":["y"]}}]}`, []string{`{"c":"z","b":{"d":"y"}}`}, []string{`{"a":"x"}`, `{"c":"z"}`}},
		{"an alternative below a field", `{"a":{"$or":[{"b":[1]},{"c":[2]}]}}`, []string{`{"a":{"c":2}}`}, []string{`{"a":{"b":2,"c":1}}`}},
		{
			"a stream record's insertion that no restore made", `{"eventName":["INSERT"],"dynamodb":{"NewImage":{"restored":{"BOOL":[{"exists":false}]}}}}`,
			[]string{`{"eventName":"INSERT","dynamodb":{"NewImage":{"logid":{"S":"x"}}}}`, `{"eventName":"INSERT","dynamodb":{}}`},
			[]string{`{"eventName":"MODIFY","dynamodb":{"NewImage":{}}}`, `{"eventName":"INSERT","dynamodb":{"NewImage":{"restored":{"BOOL":true}}}}`},
		},
		{
			"numbers of a stream record are text", `{"dynamodb":{"NewImage":{"n":{"N":[{"numeric":[">",1]}]}}}}`,
			nil, []string{`{"dynamodb":{"NewImage":{"n":{"N":"2"}}}}`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range c.yes {
				if !p.Match([]byte(event)) {
					t.Errorf("%s does not match %s", event, c.pattern)
				}
			}
			for _, event := range append(c.no, `no JSON`, `[]`) {
				if c.name != "does not exist" && c.name != "an object counts as absent" || event != `[]` {
					if p.Match([]byte(event)) {
						t.Errorf("%s matches %s", event, c.pattern)
					}
				}
			}
		})
	}
}

func TestWrongPatterns(t *testing.T) {
	for _, c := range []struct{ name, pattern, want string }{
		{"no JSON", `{`, "JSON"},
		{"two values", `{"a":[1]} {}`, "follows"},
		{"a list", `[]`, "object"},
		{"nothing", `{}`, "the pattern must not be empty"},
		{"an empty object", `{"a":{}}`, "a must not be empty"},
		{"a bare value", `{"a":{"b":"x"}}`, "a.b must be an object or a list"},
		{"an empty list", `{"a":[]}`, "a must not be an empty list"},
		{"a list in a list", `{"a":[["x"]]}`, "a must not contain a list"},
		{"two operators", `{"a":[{"prefix":"x","suffix":"y"}]}`, "one operator"},
		{"an unknown operator", `{"a":[{"wildcard":"*x"}]}`, "a.wildcard"},
		{"exists that is text", `{"a":[{"exists":"true"}]}`, "a.exists must be true or false"},
		{"a prefix that is a number", `{"a":[{"prefix":1}]}`, "a.prefix must be text"},
		{"anything but nothing", `{"a":[{"anything-but":[]}]}`, "a.anything-but"},
		{"anything but an unknown operator", `{"a":[{"anything-but":{"numeric":["=",1]}}]}`, "a.anything-but.numeric"},
		{"a number without comparison", `{"a":[{"numeric":[1]}]}`, "a.numeric"},
		{"a comparison that does not exist", `{"a":[{"numeric":["!=",1]}]}`, "a.numeric"},
		{"a comparison with text", `{"a":[{"numeric":["<","1"]}]}`, "a.numeric"},
		{"one alternative", `{"$or":[{"a":[1]}]}`, "at least two"},
		{"an alternative that is text", `{"$or":["a","b"]}`, "list of objects"},
		{"too long", `{"a":["` + strings.Repeat("x", maxLength) + `"]}`, "4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse(c.pattern); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.pattern, err, c.want)
			}
		})
	}
}
