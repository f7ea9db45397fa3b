package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is one value of a template with its line, or the line of its key. value is
// string, bool, int, float64, []*node or *mapping.
type node struct {
	line  int
	value any
	// short is set if a short tag such as !Condition made the mapping.
	short bool
}

// mapping keeps its keys in the order of the file, because SAM turns the
// order of Tags into the order of a list.
type mapping struct {
	keys   []string
	values map[string]*node
}

func newMapping() *mapping { return &mapping{values: map[string]*node{}} }

func (m *mapping) set(key string, n *node) {
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = n
}

func (m *mapping) copy() *mapping {
	out := newMapping()
	for _, key := range m.keys {
		out.set(key, m.values[key])
	}
	return out
}

func (n *node) mapping() (*mapping, bool) { m, ok := n.value.(*mapping); return m, ok }
func (n *node) list() ([]*node, bool)     { l, ok := n.value.([]*node); return l, ok }
func (n *node) text() (string, bool)      { s, ok := n.value.(string); return s, ok }

// scalar returns a string, number or boolean as CloudFormation writes it into
// text.
func (n *node) scalar() (string, bool) { return scalarText(n.value) }

func (n *node) kind() string { return kindOf(n.value) }

// call returns the function that n is: Ref, or a name that begins with Fn::.
func (n *node) call() (name string, arg *node, ok bool) {
	m, isMap := n.mapping()
	if !isMap || len(m.keys) != 1 {
		return "", nil, false
	}
	name = m.keys[0]
	if name != "Ref" && !strings.HasPrefix(name, "Fn::") {
		return "", nil, false
	}
	return name, m.values[name], true
}

// condition returns the name in {Condition: name}, the reference that stands in
// Fn::And, Fn::Or, Fn::Not and alone.
func (n *node) condition() (string, bool) {
	m, ok := n.mapping()
	if !ok || len(m.keys) != 1 || m.keys[0] != "Condition" {
		return "", false
	}
	return m.values["Condition"].text()
}

// plain turns n into maps, slices and scalars, functions in their long form.
func (n *node) plain() any {
	switch v := n.value.(type) {
	case *mapping:
		out := make(map[string]any, len(v.keys))
		for _, key := range v.keys {
			out[key] = v.values[key].plain()
		}
		return out
	case []*node:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = item.plain()
		}
		return out
	default:
		return v
	}
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "a boolean"
	case int, int64, float64:
		return "a number"
	case *mapping, map[string]any:
		return "a map"
	case []*node, []any, []string:
		return "a list"
	case nil:
		return "null"
	}
	return fmt.Sprintf("a %T", v)
}

// parse reads one YAML document as CloudFormation takes it: YAML 1.1 without
// aliases, merge keys and nulls, with the short tags of functions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
func parse(file string, data []byte) (*node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s is empty", file)
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a template is one YAML document, and something follows it", file)
	}
	p := &problems{file: file}
	if len(document.Content) != 1 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	n := convert(p, document.Content[0], "")
	return n, p.err()
}

func convert(p *problems, y *yaml.Node, at string) *node {
	n := &node{line: y.Line, value: ""}
	if y.Kind == yaml.AliasNode {
		p.add(y.Line, at, "CloudFormation takes no YAML aliases; write the value out")
		return n
	}
	if strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!") {
		return convertShort(p, y, at)
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.value = convertMapping(p, y, at)
	case yaml.SequenceNode:
		n.value = convertList(p, y, at)
	default:
		n.value = convertScalar(p, y, at)
	}
	return n
}

func convertMapping(p *problems, y *yaml.Node, at string) *mapping {
	m := newMapping()
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			p.add(key.Line, at, "CloudFormation takes no YAML merge keys (<<); write the values out")
			continue
		case key.Kind != yaml.ScalarNode || strings.HasPrefix(key.Tag, "!") && !strings.HasPrefix(key.Tag, "!!"):
			p.add(key.Line, at, "a key must be plain text")
			continue
		}
		if first, ok := m.values[key.Value]; ok {
			p.add(key.Line, join(at, key.Value), "the key appears more than once, first on line %d", first.line)
			continue
		}
		child := convert(p, value, join(at, key.Value))
		child.line = key.Line
		m.set(key.Value, child)
	}
	return m
}

func convertList(p *problems, y *yaml.Node, at string) []*node {
	list := make([]*node, len(y.Content))
	for i, item := range y.Content {
		list[i] = convert(p, item, index(at, i))
	}
	return list
}

// convertShort turns !Sub x into {Fn::Sub: x}, and so on. Whether the
// function is known is checked later.
func convertShort(p *problems, y *yaml.Node, at string) *node {
	name := strings.TrimPrefix(y.Tag, "!")
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	arg := &node{line: y.Line}
	switch y.Kind {
	case yaml.MappingNode:
		arg.value = convertMapping(p, y, at)
	case yaml.SequenceNode:
		arg.value = convertList(p, y, at)
	default:
		arg.value = y.Value
	}
	m := newMapping()
	m.set(name, arg)
	return &node{line: y.Line, value: m, short: true}
}

var (
	decimalInt   = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)
	decimalFloat = regexp.MustCompile(`^[-+]?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?$`)
	oldBoolean   = map[string]bool{"yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false}
)

func convertScalar(p *problems, y *yaml.Node, at string) any {
	switch y.ShortTag() {
	case "!!str":
		// yaml.v3 reads YAML 1.2 here, CloudFormation 1.1.
		if b, ok := oldBoolean[y.Value]; ok && y.Style == 0 {
			return b
		}
		return y.Value
	case "!!timestamp":
		// Version: 2012-10-17 is text to CloudFormation.
		return y.Value
	case "!!bool":
		return strings.EqualFold(y.Value, "true")
	case "!!int", "!!float":
		if decimalInt.MatchString(y.Value) {
			if v, err := strconv.Atoi(y.Value); err == nil {
				return v
			}
		} else if decimalFloat.MatchString(y.Value) {
			if v, err := strconv.ParseFloat(y.Value, 64); err == nil {
				return v
			}
		}
		p.add(y.Line, at, "YAML readers disagree on the number %s; write it in plain decimal, or in quotes if it is text", y.Value)
		return ""
	case "!!null":
		p.add(y.Line, at, "CloudFormation takes no null; leave the key out or write !Ref AWS::NoValue")
		return ""
	}
	p.add(y.Line, at, "CloudFormation takes no YAML tag %s", y.ShortTag())
	return ""
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

// problems collects all errors, so that one run shows all of them.
type problems struct {
	file string
	errs []error
}

// add notes one problem at a path such as Resources.Vpc.Properties.Tags[0].
func (p *problems) add(line int, at, format string, args ...any) {
	place := p.file
	if line > 0 {
		place += ":" + strconv.Itoa(line)
	}
	if at != "" {
		place += ": " + at
	}
	p.errs = append(p.errs, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
}

func (p *problems) err() error { return errors.Join(p.errs...) }
