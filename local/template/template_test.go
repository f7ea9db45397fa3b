package template

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
)

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// mention checks that an error says each of these.
func mention(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", wants)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	const parameters = `
Parameters:
  Choice: { Type: String, Default: a, AllowedValues: [a, b, 1, true], ConstraintDescription: ask the cook }
  Name: { Type: String, Default: abc, AllowedPattern: "[a-z]+|X", MinLength: 1, MaxLength: "5" }
  Count: { Type: Number, Default: 5, MinValue: 1, MaxValue: 10.5 }
  Names: { Type: CommaDelimitedList, Default: "a,b", AllowedPattern: "[a-z]*" }
  Counts: { Type: List<Number>, Default: "1, 2", MaxValue: 3 }
  Secret: { Type: String, NoEcho: true, Default: swordfish, AllowedPattern: "[a-z]+", MinLength: 3 }
  Code: { Type: Number, NoEcho: "true", Default: 1, MaxValue: 9 }
` + topic
	for _, c := range []struct {
		name, value string
		want        string // "" is no error
	}{
		{"Choice", "b", ""},
		{"Choice", "1", ""},
		{"Choice", "true", ""},
		{"Choice", "c", `the value "c" is not one of AllowedValues a, b, 1, true: ask the cook`},
		{"Name", "X", ""},
		{"Name", "éclair", "longer than MaxLength 5"},
		{"Name", "", "shorter than MinLength 1"},
		{"Name", "aX", "does not match AllowedPattern [a-z]+|X"},
		{"Name", "a\n", "does not match"},
		{"Count", "10.5", ""},
		{"Count", "1e0", ""},
		{"Count", "0.99", "less than MinValue 1"},
		{"Count", "10.51", "more than MaxValue 10.5"},
		{"Count", "ten", "is not a number"},
		{"Count", "NaN", "is not a number"},
		{"Count", "0x5", "is not a number"},
		{"Count", " 5", "is not a number"},
		{"Count", "", "is not a number"},
		{"Names", "", ""},
		{"Names", " x , y ", ""},
		{"Names", "x,Y", `the value "Y" does not match`},
		{"Counts", "3,4", `the value "4" is more than MaxValue 3`},
		{"Counts", "3,", `the value "" is not a number`},
		{"Secret", "Hunter2", "the value (NoEcho, not shown) does not match"},
		{"Secret", "ab", "shorter than MinLength 3"},
		{"Code", "4711", "the value (NoEcho, not shown) is more than MaxValue 9"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			_, err := load("t.yaml", []byte(parameters), testPseudo, map[string]string{c.name: c.value})
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mention(t, err, "t.yaml:", "Parameters."+c.name+": ", c.want)
			if strings.Contains(err.Error(), "Hunter2") || strings.Contains(err.Error(), "4711") {
				t.Errorf("the error shows a NoEcho value: %v", err)
			}
		})
	}
}

func TestEveryMissingUnknownAndWrongParameterIsNamedAtOnce(t *testing.T) {
	const text = "Parameters:\n  A: { Type: String }\n  B: { Type: Number }\n  C: { Type: Number }\n" + topic
	_, err := load("t.yaml", []byte(text), testPseudo, map[string]string{"C": "x", "Z": "1", "Y": "2"})
	mention(t, err, "parameters without a value or a default: A, B", "parameters that the template does not have: Y, Z", `Parameters.C: the value "x" is not a number`)
}

func TestRulesAssert(t *testing.T) {
	const rules = `
Parameters:
  Stage: { Type: String, Default: dev }
  Secret: { Type: String, NoEcho: true, Default: "" }
  Zones: { Type: CommaDelimitedList, Default: "a,b" }
Rules:
  Secrets:
    RuleCondition: !Or [!Equals [!Ref Stage, prod], !Equals [!Ref Stage, test]]
    Assertions:
      - { Assert: !Not [!Equals [!Ref Secret, ""]], AssertDescription: set Secret }
      - Assert: !And [!Not [!Equals [!Ref Secret, hunter2]], !Not [!Equals [!Ref Secret, hunter3]]]
        AssertDescription: another Secret
  Always:
    Assertions:
      - { Assert: { "Fn::Contains": [!Ref Zones, a] }, AssertDescription: zone a is a must }
      - { Assert: !Contains [[dev, test, prod], !Ref Stage] }
` + topic
	for _, c := range []struct {
		name   string
		params map[string]string
		want   []string
	}{
		{"the condition is false", nil, nil},
		{"all hold", map[string]string{"Stage": "prod", "Secret": "x"}, nil},
		{"one fails", map[string]string{"Stage": "prod"}, []string{"Rules.Secrets.Assertions[0]: set Secret"}},
		{"another fails", map[string]string{"Stage": "test", "Secret": "hunter2"}, []string{"Rules.Secrets.Assertions[1]: another Secret"}},
		{"all that fail are named", map[string]string{"Stage": "prod", "Zones": "b"}, []string{"set Secret", "Rules.Always.Assertions[0]: zone a is a must"}},
		{"without a description", map[string]string{"Stage": "moon"}, []string{"Rules.Always.Assertions[1]: the assertion does not hold"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load("t.yaml", []byte(rules), testPseudo, c.params)
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mention(t, err, append(c.want, "t.yaml:")...)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a NoEcho value: %v", err)
			}
		})
	}
}

func TestAWrongTemplateIsAnErrorThatNamesThePlace(t *testing.T) {
	for _, c := range []struct {
		name, template string
		want           []string
	}{
		{"nothing", "", []string{"t.yaml is empty"}},
		{"a comment", "# nothing", []string{"t.yaml is empty"}},
		{"a list", "- a", []string{"t.yaml:1", "a template is a map, not a list"}},
		{"no YAML", "a: [", []string{"t.yaml", "line 1"}},
		{"two documents", topic + "\n---\n" + topic, []string{"one YAML document"}},
		{"a key twice", "Resources:\n  A: { Type: AWS::SNS::Topic }\n  B: { Type: AWS::SNS::Topic }\n  A: { Type: AWS::SNS::Topic }", []string{"t.yaml:4: Resources.A", "more than once", "line 2"}},
		{"a key twice deep down", "Resources: { A: { Type: AWS::X, Properties: {\n a: 1,\n a: 2 } } }", []string{"t.yaml:3: Resources.A.Properties.a", "more than once"}},
		{"an alias", "Resources: { A: &a { Type: AWS::X }, B: *a }", []string{"t.yaml:1: Resources.B", "aliases"}},
		{"a merge key", "Resources: { A: { <<: { Type: AWS::X } } }", []string{"Resources.A", "merge keys"}},
		{"a null", "Resources: { A: { Type: AWS::X, Properties: { a: null, b: } } }", []string{"Resources.A.Properties.a", "Resources.A.Properties.b", "no null"}},
		{"a tag of YAML", "Resources: { A: { Type: AWS::X, Properties: { a: !!binary aGk= } } }", []string{"Resources.A.Properties.a", "!!binary"}},
		{"a number with a leading zero", "Resources: { A: { Type: AWS::X, Properties: { a: 0777 } } }", []string{"Resources.A.Properties.a", "0777", "quotes"}},
		{"a hexadecimal number", "Resources: { A: { Type: AWS::X, Properties: { a: 0x1F } } }", []string{"0x1F"}},
		{"a number that is too large", "Resources: { A: { Type: AWS::X, Properties: { a: 99999999999999999999 } } }", []string{"99999999999999999999"}},
		{"a key that is a list", "Resources: { ? [a] : b }", []string{"t.yaml:1: Resources", "plain text"}},

		{"no resources", "Outputs: {}", []string{"needs Resources"}},
		{"an empty Resources", "Resources: {}", []string{"Resources: there must be one"}},
		{"an unknown section", "Hooks: {}\n" + topic, []string{"t.yaml:1: Hooks: the section is not supported"}},
		{"another format", "AWSTemplateFormatVersion: '2020-01-01'\n" + topic, []string{"AWSTemplateFormatVersion"}},
		{"a section that is a list", "Outputs: []\n" + topic, []string{"Outputs: wants a map, not a list"}},
		{"a section that is a function", "Outputs: !Sub a\n" + topic, []string{"Outputs: wants a map, not the function Fn::Sub"}},
		{"a description that is a map", "Description: {}\n" + topic, []string{"Description"}},

		{"a parameter without a type", "Parameters: { P: { Default: a } }\n" + topic, []string{"Parameters.P: Type is missing"}},
		{"a parameter that is text", "Parameters: { P: String }\n" + topic, []string{"Parameters.P: a parameter is a map"}},
		{"an unknown type", "Parameters: { P: { Type: 'AWS::SSM::Parameter::Value<String>' } }\n" + topic, []string{"Parameters.P.Type", "AWS::SSM"}},
		{"an unknown attribute of a parameter", "Parameters: { P: { Type: String, Required: true } }\n" + topic, []string{"Parameters.P.Required"}},
		{"a default that is a list", "Parameters: { P: { Type: CommaDelimitedList, Default: [a] } }\n" + topic, []string{"Parameters.P.Default", "a list"}},
		{"a default against its rule", "Parameters: { P: { Type: Number, Default: 1, MinValue: 2 } }\n" + topic, []string{"Parameters.P.Default", "less than MinValue 2"}},
		{"a pattern that is none", "Parameters: { P: { Type: String, AllowedPattern: '(?=a)' } }\n" + topic, []string{"Parameters.P.AllowedPattern"}},
		{"a length for a number", "Parameters: { P: { Type: Number, MaxLength: 2 } }\n" + topic, []string{"Parameters.P.MaxLength", "String"}},
		{"a length that is none", "Parameters: { P: { Type: String, MaxLength: many } }\n" + topic, []string{"Parameters.P.MaxLength", "whole number"}},
		{"a limit that is none", "Parameters: { P: { Type: Number, MaxValue: many } }\n" + topic, []string{"Parameters.P.MaxValue", "a number"}},
		{"allowed values that are none", "Parameters: { P: { Type: String, AllowedValues: a } }\n" + topic, []string{"Parameters.P.AllowedValues"}},
		{"NoEcho that is neither", "Parameters: { P: { Type: String, NoEcho: perhaps } }\n" + topic, []string{"Parameters.P.NoEcho"}},
		{"a parameter's name", "Parameters: { a-b: { Type: String } }\n" + topic, []string{"Parameters.a-b", "letters and digits"}},

		{"a map of Mappings that is flat", "Mappings: { M: { a: b } }\n" + topic, []string{"Mappings.M.a"}},
		{"a map of Mappings with a function", "Mappings: { M: { a: { b: !Ref X } } }\n" + topic, []string{"Mappings.M.a.b"}},

		{"a rule without assertions", "Rules: { R: {} }\n" + topic, []string{"Rules.R: Assertions is missing"}},
		{"a rule with more", "Rules: { R: { Assertions: [{ Assert: !Equals [a, a] }], Or: 1 } }\n" + topic, []string{"Rules.R.Or"}},
		{"an assertion without Assert", "Rules: { R: { Assertions: [{ AssertDescription: a }] } }\n" + topic, []string{"Rules.R.Assertions[0]", "Assert is missing"}},
		{"a rule with a function that rules do not have", "Rules: { R: { Assertions: [{ Assert: !Equals [!Sub a, a] }] } }\n" + topic, []string{"Rules.R.Assertions[0].Assert", "Fn::Sub cannot stand here"}},
		{"a rule with a condition", "Conditions: { C: !Equals [a, a] }\nRules: { R: { Assertions: [{ Assert: !Condition C }] } }\n" + topic, []string{"Rules.R.Assertions[0].Assert", "true or false"}},
		{"a rule with EachMemberIn", "Rules: { R: { Assertions: [{ Assert: { 'Fn::EachMemberIn': [[a], [a]] } }] } }\n" + topic, []string{"Fn::EachMemberIn is not supported"}},

		{"a resource that is text", "Resources: { A: b }", []string{"Resources.A: a resource is a map"}},
		{"a resource without a type", "Resources: { A: {} }", []string{"Resources.A: Type is missing"}},
		{"a resource of no type", "Resources: { A: { Type: Topic } }", []string{"Resources.A.Type"}},
		{"a resource's name", "Resources: { a_b: { Type: AWS::X } }", []string{"Resources.a_b", "letters and digits"}},
		{"a name that a parameter has", "Parameters: { A: { Type: String, Default: a } }\nResources: { A: { Type: AWS::X } }", []string{"Resources.A", "parameter"}},
		{"an unknown resource attribute", "Resources: { A: { Type: AWS::X, CreationPolicy: {} } }", []string{"t.yaml:1: Resources.A.CreationPolicy", "not supported"}},
		{"another unknown one", "Resources: { A: { Type: AWS::X, UpdatePolicy: {} } }", []string{"Resources.A.UpdatePolicy"}},
		{"a deletion policy", "Resources: { A: { Type: AWS::X, DeletionPolicy: Keep } }", []string{"Resources.A.DeletionPolicy"}},
		{"properties that are a list", "Resources: { A: { Type: AWS::X, Properties: [] } }", []string{"Resources.A.Properties: wants a map, not a list"}},
		{"properties behind a function", "Resources: { A: { Type: AWS::X, Properties: !If [C, {}, {}] } }", []string{"Resources.A.Properties: wants a map, not the function Fn::If"}},
		{"an unknown condition", "Resources: { A: { Type: AWS::X, Condition: Nope } }", []string{"Resources.A.Condition", "Nope"}},
		{"a condition that is a boolean", "Resources: { A: { Type: AWS::X, Condition: Yes } }", []string{"Resources.A.Condition", "not a boolean"}},
		{"DependsOn of nothing", "Resources: { A: { Type: AWS::X, DependsOn: [Nope] } }", []string{"Resources.A.DependsOn", "Nope"}},
		{"DependsOn of what a condition took away", "Conditions: { C: !Equals [a, b] }\nResources: { A: { Type: AWS::X, DependsOn: B }, B: { Type: AWS::X, Condition: C } }", []string{"Resources.A.DependsOn: B", "condition is false"}},
		{"DependsOn of a map", "Resources: { A: { Type: AWS::X, DependsOn: {} } }", []string{"Resources.A.DependsOn"}},
		{"an unknown function deep down", "Resources: { A: { Type: AWS::X, Properties: { B: [1, { C: { 'Fn::ToJsonString': a } }] } } }", []string{"Resources.A.Properties.B[1].C: the function Fn::ToJsonString"}},
		{"an unknown function in metadata", "Resources: { A: { Type: AWS::X, Metadata: { B: !Cidr [] } } }", []string{"Resources.A.Metadata.B"}},
		{"an unknown function in a resource whose condition is false", "Conditions: { C: !Equals [a, b] }\nResources: { A: { Type: AWS::X, Condition: C, Properties: { B: !Cidr [] } } }", []string{"Resources.A.Properties.B"}},
		{"more than one thing", "Resources: { A: { Type: AWS::X, Properties: { B: !Ref C, D: !Ref E } } }", []string{"Properties.B: Ref to C", "Properties.D: Ref to E"}},

		{"an output without a value", "Outputs: { O: {} }\n" + topic, []string{"Outputs.O: Value is missing"}},
		{"an output that exports", "Outputs: { O: { Value: a, Export: { Name: b } } }\n" + topic, []string{"Outputs.O.Export"}},
		{"an output of nothing", "Outputs: { O: { Value: !Ref Nope } }\n" + topic, []string{"Outputs.O.Value", "Nope"}},
		{"an output that is text", "Outputs: { O: a }\n" + topic, []string{"Outputs.O: an output is a map"}},
		{"an output's name", "Outputs: { a.b: { Value: a } }\n" + topic, []string{"Outputs.a.b", "letters and digits"}},
		{"an output's condition", "Outputs: { O: { Value: a, Condition: Nope } }\n" + topic, []string{"Outputs.O.Condition", "Nope"}},
		{"an unknown function in an output whose condition is false", "Conditions: { C: !Equals [a, b] }\nOutputs: { O: { Value: !Cidr [], Condition: C } }\n" + topic, []string{"Outputs.O.Value"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load("t.yaml", []byte(c.template), testPseudo, nil)
			mention(t, err, append(c.want, "t.yaml")...)
		})
	}
}

func TestAnOutputMustBeText(t *testing.T) {
	for _, value := range []string{"[a]", "{ a: b }", "!Ref AWS::NoValue", "!Split [',', 'a,b']"} {
		loaded, err := load("t.yaml", []byte("Outputs: { O: { Value: "+value+" } }\n"+topic), testPseudo, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = loaded.Resolve(fakeAttribute)
		mention(t, err, "t.yaml:1: Outputs.O.Value", "wants text")
	}
}

func TestConditionsTakeResourcesAndOutputsAway(t *testing.T) {
	loaded, err := load("t.yaml", []byte(`
Conditions: { Is: !Equals [a, a], Isnt: !Equals [a, b] }
Resources:
  A: { Type: AWS::X, Condition: Is, DependsOn: C, DeletionPolicy: Retain, UpdateReplacePolicy: Snapshot, Metadata: { M: !Ref C } }
  B: { Type: AWS::X, Condition: Isnt, DependsOn: D, Properties: { P: !Ref D } }
  D: { Type: AWS::X, Condition: Isnt }
  C: { Type: AWS::X }
Outputs:
  O: { Value: !GetAtt B.Arn, Condition: Isnt }
  N: { Value: 5, Condition: Is }
`), testPseudo, nil)
	if err != nil {
		t.Fatal(err)
	}
	stack, err := loaded.Resolve(fakeAttribute)
	if err != nil {
		t.Fatal(err)
	}
	empty := map[string]any{}
	equal(t, stack.Resources, []Resource{
		{ID: "C", Type: "AWS::X", Properties: empty, Metadata: empty},
		{ID: "A", Type: "AWS::X", DependsOn: []string{"C"}, Properties: empty, Metadata: map[string]any{"M": "<C.Ref>"}},
	})
	equal(t, stack.Outputs, []Output{{Key: "N", Value: "5"}})
	if _, ok := stack.Resource("B"); ok {
		t.Error("B is there")
	}
}

func TestResourcesComeAfterWhatTheyNeed(t *testing.T) {
	loaded, err := load("t.yaml", []byte(`
Resources:
  Z: { Type: AWS::X }
  B: { Type: AWS::X, Properties: { P: [{ Q: !Sub "${Y.Arn}" }] } }
  A: { Type: AWS::X, Properties: { P: !GetAtt B.Arn }, DependsOn: Z }
  Y: { Type: AWS::X, Properties: { P: !Join ["", [!Ref Z]] } }
  C: { Type: AWS::X }
`), testPseudo, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	needs := map[string][]string{}
	for _, r := range loaded.Resources() {
		ids = append(ids, r.ID)
		needs[r.ID] = r.DependsOn
	}
	equal(t, ids, []string{"C", "Z", "Y", "B", "A"})
	equal(t, needs, map[string][]string{"A": {"B", "Z"}, "B": {"Y"}, "C": nil, "Y": {"Z"}, "Z": nil})
}

func TestACircleIsAnErrorThatListsIt(t *testing.T) {
	for _, c := range []struct{ name, resources, want string }{
		{"three", "A: { Type: AWS::X, DependsOn: B }\n  B: { Type: AWS::X, Properties: { P: !GetAtt C.Arn } }\n  C: { Type: AWS::X, Properties: { P: !Sub '${B} ${D}' } }\n  D: { Type: AWS::X }", "Resources.B: resources need each other in a circle: B → C → B"},
		{"itself", "A: { Type: AWS::X, Properties: { P: !Ref A } }", "circle: A → A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load("t.yaml", []byte("Resources:\n  "+c.resources), testPseudo, nil)
			mention(t, err, c.want)
		})
	}
}

func TestPseudoParametersAreChecked(t *testing.T) {
	for _, c := range []struct {
		pseudo Pseudo
		want   string
	}{
		{Pseudo{"9a", "eu-west-1", "000000000000"}, "stack name"},
		{Pseudo{"a", "eu-west-1", "1"}, "12 digits"},
		{Pseudo{"a", "somewhere", "000000000000"}, "region"},
		{Pseudo{"a", "cn-north-1", "000000000000"}, "partition"},
		{Pseudo{"a", "us-gov-west-1", "000000000000"}, "partition"},
	} {
		_, err := load("t.yaml", []byte(topic), c.pseudo, nil)
		mention(t, err, c.want)
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	_, err := Load("nowhere/template.yaml", testPseudo, nil)
	mention(t, err, "nowhere/template.yaml")
}

// FuzzLoad mangles templates: any input yields a stack or an error.
func FuzzLoad(f *testing.F) {
	for _, file := range []string{"../../template.yaml", "testdata/sam-merge.yaml", "testdata/sam-policies.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		// Each seed loses a piece, so that a plain test run meets mangled
		// templates too.
		for i := 0; i+97 < len(data); i += 401 {
			f.Add(append(append([]byte{}, data[:i]...), data[i+97:]...))
		}
	}
	f.Add([]byte(functionsTemplate + "!Sub ['${A}', {A: !If [Same, [], {}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		params := map[string]string{}
		if bytes.Contains(data, []byte("AdminPassword")) {
			params = map[string]string{"AdminPassword": "a long password", "SigningKey": "k", "Jwks": "{}", "Stage": "local"}
		}
		loaded, err := load("t.yaml", data, testPseudo, params)
		if err != nil {
			return
		}
		stack, err := loaded.Resolve(fakeAttribute)
		if err != nil {
			return
		}
		for _, r := range stack.Resources {
			if left := functionIn(r.Properties); left != "" && left != "Ref" {
				t.Errorf("%s has %s left in it", r.ID, left)
			}
		}
	})
}
