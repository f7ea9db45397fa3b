package template

import (
	"strings"
	"testing"
)

func TestDecodeFillsAStruct(t *testing.T) {
	type item struct {
		Key   string `cfn:"Key,required"`
		Value *int   `cfn:"Value"`
	}
	type target struct {
		Text    string            `cfn:"Text"`
		Number  int               `cfn:"Number"`
		Small   int16             `cfn:"Small"`
		Float   float64           `cfn:"Float"`
		Flag    bool              `cfn:"Flag"`
		Flags   []bool            `cfn:"Flags"`
		Items   []item            `cfn:"Items"`
		One     *item             `cfn:"One"`
		None    *item             `cfn:"None"`
		Options map[string]string `cfn:"Options"`
		Any     any               `cfn:"Any"`
		Other   string
	}
	five, six := 5, 6
	var got target
	err := Decode(Resource{ID: "R", Type: "AWS::X", Properties: map[string]any{
		"Text": 8080, "Number": "8080", "Small": 3.0, "Float": "1.5", "Flag": "true",
		"Flags":   []any{true, "false"},
		"Items":   []any{map[string]any{"Key": true, "Value": 5}, map[string]any{"Key": "b", "Extra": 1}},
		"One":     map[string]any{"Key": 1.5, "Value": "6"},
		"Options": map[string]any{"a": 1, "b": "c"},
		"Any":     map[string]any{"x": []any{1}},
		"Nothing": "to see",
	}}, &got, map[string]string{"Nothing": "a reason", "Items.Extra": "a reason"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, target{
		Text: "8080", Number: 8080, Small: 3, Float: 1.5, Flag: true, Flags: []bool{true, false},
		Items: []item{{Key: "true", Value: &five}, {Key: "b"}}, One: &item{Key: "1.5", Value: &six},
		Options: map[string]string{"a": "1", "b": "c"}, Any: map[string]any{"x": []any{1}},
	})
}

func TestDecodeNamesEverythingThatIsWrongAndShowsNoValue(t *testing.T) {
	type inner struct {
		Port int `cfn:"Port"`
	}
	var target struct {
		Text   string            `cfn:"Text"`
		Number int               `cfn:"Number"`
		Bool   int               `cfn:"Bool"`
		Half   int               `cfn:"Half"`
		Big    int8              `cfn:"Big"`
		Float  float64           `cfn:"Float"`
		Flag   bool              `cfn:"Flag"`
		List   []string          `cfn:"List"`
		Inner  inner             `cfn:"Inner"`
		Inners []inner           `cfn:"Inners"`
		Map    map[string]string `cfn:"Map"`
		Odd    chan int          `cfn:"Odd"`
		Must   string            `cfn:"Must,required"`
	}
	err := Decode(Resource{ID: "R", Type: "AWS::X", Properties: map[string]any{
		"Text": []any{"hunter2"}, "Number": "hunter2", "Bool": true, "Half": 1.5, "Big": 300, "Float": "hunter2", "Flag": "hunter2",
		"List": "hunter2", "Inner": "hunter2", "Inners": []any{map[string]any{"Port": 1}, map[string]any{"Port": "hunter2", "Prot": 1}},
		"Map": map[string]any{"k": []any{}}, "Odd": 1, "Unknown": "hunter2",
	}}, &target, nil)
	mention(t, err,
		"R (AWS::X): Text: wants text, not a list",
		"R (AWS::X): Number: wants a whole number, not this text",
		"Bool: wants a whole number, not this boolean",
		"Half: wants a whole number, not this number",
		"Big: wants a whole number",
		"Float: wants a number, not this text",
		"Flag: wants true or false, not this text",
		"List: wants a list, not text",
		"Inner: wants a map, not text",
		"Inners[1].Port: wants a whole number",
		"Inners[1].Prot: the property is not supported",
		"Map.k: wants text, not a list",
		"Odd: a field of type chan int",
		"Must: the property is missing",
		"Unknown: the property is not supported",
	)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows a value: %v", err)
	}
}

func TestDecodeWantsAPointerToAStruct(t *testing.T) {
	mention(t, Decode(Resource{ID: "R"}, struct{}{}, nil), "R: Decode wants a pointer")
	mention(t, Decode(Resource{ID: "R"}, (*struct{})(nil), nil), "R: Decode wants a pointer")
}
