package template

import (
	"errors"
	"strings"
	"testing"
)

// functionsTemplate is the surroundings in which a value is resolved.
const functionsTemplate = `
Parameters:
  Text: { Type: String, Default: hello }
  Port: { Type: Number, Default: 8080 }
  List: { Type: CommaDelimitedList, Default: "a, b,c" }
  Numbers: { Type: List<Number>, Default: "1,2" }
  Secret: { Type: String, NoEcho: true, Default: hunter2 }
Mappings:
  Sizes:
    small: { memory: 128, zones: [a, b] }
    hello: { memory: 1.50, name: x }
Conditions:
  Same: !Equals [!Ref Text, hello]
  Other: !Not [!Condition Same]
Resources:
  Db: { Type: AWS::RDS::DBInstance }
  Gone: { Type: AWS::SNS::Topic, Condition: Other }
  R:
    Type: AWS::Test::Thing
    Properties:
      V: `

func resolveValue(t *testing.T, value string) (any, error) {
	t.Helper()
	loaded, err := load("t.yaml", []byte(functionsTemplate+value), testPseudo, nil)
	if err != nil {
		return nil, err
	}
	stack, err := loaded.Resolve(func(r Resource, name string) (any, error) {
		switch name {
		case "Endpoint.Port":
			return 5432, nil
		case "Names":
			return []string{"x", "y"}, nil
		case "Big":
			return int64(1 << 40), nil
		case "Map":
			return map[string]any{}, nil
		case "Nil":
			return nil, nil
		case "Deep":
			return []any{[]any{"a"}}, nil
		case "Broken":
			return nil, errors.New("no such attribute")
		}
		return r.ID + "/" + name, nil
	})
	if err != nil {
		return nil, err
	}
	r, _ := stack.Resource("R")
	return r.Properties["V"], nil
}

func TestFunctionsResolveAsCloudFormationDoes(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        any
	}{
		{"text, numbers and booleans stay what they are", `[a, 1, -2, 1.5, true, "8", 'true']`, []any{"a", 1, -2, 1.5, true, "8", "true"}},
		{"a date is text", `2012-10-17`, "2012-10-17"},
		{"yes and off are booleans, as YAML 1.1 has it", `[yes, off, "yes", y]`, []any{true, false, "yes", "y"}},
		{"folded text", ">-\n        a\n        b", "a b"},
		{"Ref to text", `!Ref Text`, "hello"},
		{"Ref to a number is text", `!Ref Port`, "8080"},
		{"Ref to a list", `!Ref List`, []any{"a", "b", "c"}},
		{"Ref to a list of numbers", `!Ref Numbers`, []any{"1", "2"}},
		{"Ref to a resource", `!Ref Db`, "Db/Ref"},
		{"Ref in its long form", `{ Ref: Text }`, "hello"},
		{"a map with Ref and more is a map", `{ Ref: Text, a: b }`, map[string]any{"Ref": "Text", "a": "b"}},
		{"a map with Condition is a map", `{ Condition: { StringEquals: { a: !Ref Text } } }`, map[string]any{"Condition": map[string]any{"StringEquals": map[string]any{"a": "hello"}}}},
		{"pseudo parameters", `[!Ref AWS::AccountId, !Ref AWS::Partition, !Ref AWS::Region, !Ref AWS::StackName, !Ref AWS::URLSuffix]`, []any{"000000000000", "aws", "ap-northeast-2", "plaudit-local", "amazonaws.com"}},
		{"no notifications", `!Ref AWS::NotificationARNs`, []any{}},
		{"NoValue takes a property away", `{ a: !Ref AWS::NoValue, b: 1 }`, map[string]any{"b": 1}},
		{"NoValue takes a list item away", `[1, !Ref AWS::NoValue, 2]`, []any{1, 2}},
		{"NoValue out of Fn::If", `[!If [Same, !Ref AWS::NoValue, 1], !If [Other, !Ref AWS::NoValue, 2]]`, []any{2}},
		{"NoValue takes an item of Join away", `!Join ["-", [a, !Ref AWS::NoValue, b]]`, "a-b"},
		{"GetAtt as text", `!GetAtt Db.Endpoint.Address`, "Db/Endpoint.Address"},
		{"GetAtt as a list", `!GetAtt [Db, Endpoint.Port]`, 5432},
		{"GetAtt in its long forms", `[{ "Fn::GetAtt": Db.Arn }, { "Fn::GetAtt": [Db, Arn] }]`, []any{"Db/Arn", "Db/Arn"}},
		{"GetAtt of a list", `!GetAtt Db.Names`, []any{"x", "y"}},
		{"GetAtt of a large number", `!GetAtt Db.Big`, 1 << 40},
		{"Sub of parameters, pseudo parameters and attributes", `!Sub "${Text}:${Port}/${AWS::Region}/${Db}/${Db.Endpoint.Port}"`, "hello:8080/ap-northeast-2/Db/Ref/5432"},
		{"Sub with a map", `!Sub ["${A}-${B}-${Text}-${C}", { A: 1, B: true, C: !If [Same, !GetAtt Db.Endpoint.Port, x] }]`, "1-true-hello-5432"},
		{"a map's name wins over a parameter", `!Sub ["${Text}", { Text: mine }]`, "mine"},
		{"a map's name may have a dot", `!Sub ["${Db.Arn}", { Db.Arn: mine }]`, "mine"},
		{"Sub keeps ${!x}", `!Sub "${!Text} ${Text} $Text $ {Text}"`, "${Text} hello $Text $ {Text}"},
		{"Sub in its long form", `{ "Fn::Sub": "a${Text}" }`, "ahello"},
		{"Sub without a variable", `!Sub plain`, "plain"},
		{"If", `[!If [Same, a, b], !If [Other, a, b]]`, []any{"a", "b"}},
		{"If with maps", `!If [Same, { a: !Ref Text }, 1]`, map[string]any{"a": "hello"}},
		{"a branch that is not taken may name what is gone", `!If [Other, !GetAtt Gone.Arn, !Sub "${Text}"]`, "hello"},
		{"Join makes text of numbers and booleans", `!Join ["", [a, 1, true, 2.5, !GetAtt Db.Endpoint.Port]]`, "a1true2.55432"},
		{"Join of a parameter", `!Join [",", !Ref List]`, "a,b,c"},
		{"Join of nothing", `!Join [",", []]`, ""},
		{"Split", `!Split ["|", "a||b"]`, []any{"a", "", "b"}},
		{"Split of Sub", `!Split ["l", !Sub "${Text}"]`, []any{"he", "", "o"}},
		{"Select", `!Select [1, [a, b]]`, "b"},
		{"Select with a text index", `!Select ["0", !Split [",", "x,y"]]`, "x"},
		{"Select from a parameter", `!Select [2, !Ref List]`, "c"},
		{"GetAZs", `[!Select [0, !GetAZs ""], !Select [1, { "Fn::GetAZs": !Ref AWS::Region }]]`, []any{"ap-northeast-2a", "ap-northeast-2b"}},
		{"GetAZs without an argument", `!GetAZs`, []any{"ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"}},
		{"FindInMap", `!FindInMap [Sizes, small, memory]`, 128},
		{"FindInMap of a list", `!FindInMap [Sizes, small, zones]`, []any{"a", "b"}},
		{"FindInMap with a parameter", `!Sub ["${M}", { M: !FindInMap [Sizes, !Ref Text, memory] }]`, "1.5"},
		{"Base64", `!Base64 hello`, "aGVsbG8="},
		{"Base64 of Sub", `{ "Fn::Base64": !Sub "${Text}" }`, "aGVsbG8="},
		{"functions in functions", `!Select [0, !Split ["-", !Join ["-", [!FindInMap [Sizes, hello, name], !Ref Port]]]]`, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := resolveValue(t, c.value)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, c.want)
		})
	}
}

func TestStackIdIsAnArnThatStays(t *testing.T) {
	first, err := resolveValue(t, "!Ref AWS::StackId")
	if err != nil {
		t.Fatal(err)
	}
	second, _ := resolveValue(t, "!Ref AWS::StackId")
	equal(t, first, second)
	if !strings.HasPrefix(first.(string), "arn:aws:cloudformation:ap-northeast-2:000000000000:stack/plaudit-local/") {
		t.Error(first)
	}
}

func TestAFunctionThatCannotResolveIsAnErrorThatNamesThePlace(t *testing.T) {
	const at = "t.yaml:21: Resources.R.Properties.V"
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"an unknown function", `{ "Fn::Length": [1] }`, []string{at, "Fn::Length is not supported"}},
		{"an unknown short tag", `!Shout a`, []string{at, "Fn::Shout"}},
		{"ImportValue", `!ImportValue other`, []string{at, "Fn::ImportValue"}},
		{"Cidr", `!Cidr [10.0.0.0/16, 2, 8]`, []string{at, "Fn::Cidr"}},
		{"Transform", `{ "Fn::Transform": { Name: AWS::Include } }`, []string{at, "Fn::Transform"}},
		{"an unknown function in a branch that is not taken", `!If [Other, !Cidr [a, 1, 2], 1]`, []string{at, "Fn::Cidr"}},
		{"a function with a neighbour", `{ "Fn::Sub": a, b: c }`, []string{"Properties.V.Fn::Sub", "alone"}},
		{"a condition where a value stands", `!Equals [a, b]`, []string{at, "Fn::Equals cannot stand here"}},
		{"!Condition where a value stands", `!Condition Same`, []string{at, "!Condition Same"}},
		{"Contains outside of rules", `{ "Fn::Contains": [[a], a] }`, []string{at, "Fn::Contains cannot stand here"}},
		{"Ref to nothing", `!Ref Nope`, []string{at, "Ref to Nope", "no such parameter or resource"}},
		{"Ref to nothing in a branch that is not taken", `!If [Other, !Ref Nope, 1]`, []string{at, "Ref to Nope"}},
		{"Ref to a list", `{ Ref: [a] }`, []string{at, "Ref wants a name"}},
		{"an unknown pseudo parameter", `!Ref AWS::Nope`, []string{at, "AWS::Nope"}},
		{"Ref to what a condition took away", `!Ref Gone`, []string{at, "Ref to Gone", "condition is false"}},
		{"GetAtt to what a condition took away", `!GetAtt Gone.Arn`, []string{at, "Fn::GetAtt to Gone.Arn", "condition is false"}},
		{"Sub of what a condition took away", `!Sub "${Gone.Arn}"`, []string{at, "${Gone.Arn}", "condition is false"}},
		{"GetAtt to nothing", `!GetAtt Nope.Arn`, []string{at, "Nope.Arn", "no such resource"}},
		{"GetAtt to a parameter", `!GetAtt Text.Arn`, []string{at, "no such resource"}},
		{"GetAtt without an attribute", `!GetAtt Db`, []string{at, "Fn::GetAtt wants"}},
		{"GetAtt with a function", `{ "Fn::GetAtt": [Db, !Ref Text] }`, []string{at, "Fn::GetAtt wants"}},
		{"an unknown attribute", `!GetAtt Db.Broken`, []string{at, "Broken of Db: no such attribute"}},
		{"an attribute that is a map", `!GetAtt Db.Map`, []string{at, "Map of Db", "a map"}},
		{"an attribute that is null", `!GetAtt Db.Nil`, []string{at, "Nil of Db", "null"}},
		{"an attribute with a list in a list", `!GetAtt Db.Deep`, []string{at, "Deep of Db", "a list"}},
		{"Sub of nothing", `!Sub "${Nope}"`, []string{at, "Ref to Nope"}},
		{"Sub of NoValue", `!Sub "${AWS::NoValue}"`, []string{at, "AWS::NoValue is not text"}},
		{"Sub of a list", `!Sub "${List}"`, []string{at, "${List} is a list"}},
		{"Sub of a variable without a value", `!Sub ["${A}", { A: !Ref AWS::NoValue }]`, []string{at, "${A} is AWS::NoValue"}},
		{"Sub of a variable that is a map", `!Sub ["${A}", { A: { b: c } }]`, []string{"Properties.V.A", "a map"}},
		{"Sub without an end", `!Sub "a${Text"`, []string{at, "${ without }"}},
		{"Sub of what is no name", `!Sub "${a b}"`, []string{at, "${a b} is not a name"}},
		{"Sub of a map", `!Sub { a: b }`, []string{at, "Fn::Sub wants"}},
		{"Sub with a function for its map", `!Sub [a, !Ref Text]`, []string{at, "Fn::Sub wants"}},
		{"If with two values", `!If [Same, a]`, []string{at, "Fn::If wants"}},
		{"If of an unknown condition", `!If [Maybe, a, b]`, []string{at, "the condition Maybe"}},
		{"If of a function", `!If [!Equals [a, b], a, b]`, []string{at, "Fn::If wants the name"}},
		{"Join without a list", `!Join [",", a]`, []string{at, "Fn::Join wants a list, not text"}},
		{"Join of lists", `!Join [",", [!Ref List]]`, []string{at, "Fn::Join", "item 0 is a list"}},
		{"Join of text", `!Join [",", !Ref Text]`, []string{at, "Fn::Join wants a list, not text"}},
		{"Join with a function for its delimiter", `!Join [!Ref Text, [a]]`, []string{at, "Fn::Join wants a delimiter"}},
		{"Join with one argument", `!Join [","]`, []string{at, "Fn::Join wants"}},
		{"Split by nothing", `!Split ["", abc]`, []string{at, "Fn::Split wants a delimiter"}},
		{"Split of a list", `!Split [",", !Ref List]`, []string{at, "Fn::Split wants text, not a list"}},
		{"Select past the end", `!Select [3, !Ref List]`, []string{at, "which has 3 items"}},
		{"Select before the beginning", `!Select [-1, [a]]`, []string{at, "which has 1 items"}},
		{"Select by text", `!Select [a, [a]]`, []string{at, "index"}},
		{"Select from text", `!Select [0, !Ref Text]`, []string{at, "Fn::Select wants a list"}},
		{"Select from one argument", `!Select [0]`, []string{at, "Fn::Select wants"}},
		{"FindInMap of an unknown map", `!FindInMap [Nope, a, b]`, []string{at, "Nope"}},
		{"FindInMap of an unknown map in a parameter", `!FindInMap [!Ref Text, a, b]`, []string{at, "the map does not exist"}},
		{"FindInMap of an unknown key", `!FindInMap [Sizes, large, memory]`, []string{at, "no such top-level key"}},
		{"FindInMap of an unknown second key", `!FindInMap [Sizes, small, colour]`, []string{at, "no such second-level key"}},
		{"FindInMap with a default", `!FindInMap [Sizes, small, colour, { DefaultValue: 1 }]`, []string{at, "Fn::FindInMap wants"}},
		{"Base64 of a list", `!Base64 [a]`, []string{at, "Fn::Base64 wants text, not a list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolveValue(t, c.value)
			mention(t, err, c.want...)
		})
	}
}

func TestANoEchoValueIsInNoError(t *testing.T) {
	for _, value := range []string{
		`!FindInMap [Sizes, !Ref Secret, a]`,
		`!FindInMap [!Ref Secret, a, b]`,
		`!Select [!Ref Secret, [a]]`,
		`!Join [",", !Ref Secret]`,
		`!Select [0, !Ref Secret]`,
	} {
		_, err := resolveValue(t, value)
		mention(t, err, "Resources.R.Properties.V")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s shows the secret: %v", value, err)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		condition string
		want      bool
	}{
		{`!Equals [a, a]`, true},
		{`!Equals [a, b]`, false},
		{`!Equals [!Ref Port, 8080]`, true},
		{`!Equals [true, "true"]`, true},
		{`!Equals [!Ref AWS::Region, ap-northeast-2]`, true},
		{`!Equals [!Sub "${Text}-x", hello-x]`, true},
		{`!Equals [!Select [1, !Ref List], b]`, true},
		{`!Equals [!Join ["", !Split [l, !Ref Text]], heo]`, true},
		{`!Equals [!FindInMap [Sizes, small, memory], "128"]`, true},
		{`!Not [!Equals [a, b]]`, true},
		{`!Not [!Condition Same]`, false},
		{`!And [!Condition Same, !Equals [a, a]]`, true},
		{`!And [!Condition Same, !Condition Other]`, false},
		{`!Or [!Condition Other, !Equals [a, a]]`, true},
		{`!Or [{ Condition: Other }, { "Fn::Equals": [a, b] }]`, false},
		{`!Condition Same`, true},
		{`{ "Fn::And": [{ "Fn::Not": [{ Condition: Other }] }, { Condition: Later }] }`, true},
	} {
		text := strings.Replace(functionsTemplate, "Conditions:\n", "Conditions:\n  C: "+c.condition+"\n  Later: !Equals [1, 1]\n", 1) + "1"
		loaded, err := load("t.yaml", []byte(text), testPseudo, nil)
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		if got := loaded.conditions["C"]; got != c.want {
			t.Errorf("%s is %v", c.condition, got)
		}
	}
}

func TestAWrongConditionIsAnErrorThatNamesIt(t *testing.T) {
	for _, c := range []struct {
		condition string
		want      []string
	}{
		{`!Condition Nope`, []string{"t.yaml:13: Conditions.C", "Nope is not in Conditions"}},
		{`!Condition C`, []string{"circle: C → C"}},
		{"!Not [!Condition D]\n  D: !Or [!Condition Same, !Condition C]", []string{"circle: C → D → C"}},
		{`true`, []string{"true or false"}},
		{`!Equals [a]`, []string{"two values"}},
		{`!Equals [a, [b]]`, []string{"wants text, not a list"}},
		{`!Equals [!Ref List, a]`, []string{"Fn::Equals wants text, not a list"}},
		{`!Equals [!Ref Db, a]`, []string{"Ref to Db", "only parameters"}},
		{`!Equals [!GetAtt Db.Arn, a]`, []string{"Fn::GetAtt cannot stand here"}},
		{`!Equals [!Sub "${Db.Arn}", a]`, []string{"only parameters"}},
		{`!Equals [!Ref AWS::NoValue, a]`, []string{"AWS::NoValue"}},
		{`!Equals [!Equals [a, b], a]`, []string{"Fn::Equals is true or false"}},
		{`!If [Same, a, b]`, []string{"true or false"}},
		{`!Cidr [a]`, []string{"Fn::Cidr is not supported"}},
		{`!Not [!Condition Same, !Condition Other]`, []string{"Fn::Not wants"}},
		{`!And [!Condition Same]`, []string{"2 to 10"}},
		{`{ "Fn::Contains": [[a], a] }`, []string{"Fn::Contains cannot stand here"}},
	} {
		text := strings.Replace(functionsTemplate, "Conditions:\n", "Conditions:\n  C: "+c.condition+"\n", 1) + "1"
		_, err := load("t.yaml", []byte(text), testPseudo, nil)
		mention(t, err, append(c.want, "Conditions.")...)
	}
}
