package template

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// noValue is the value of Ref to AWS::NoValue: the property or list item that has
// it is removed.
type noValue struct{}

// resolver turns checked nodes into plain values.
type resolver struct {
	t *Template
	// attribute answers Ref and GetAtt on resources; it is nil in places that allow
	// neither.
	attribute func(id, name string) (any, error)
}

func (r *resolver) value(n *node, at string) (any, error) {
	if name, arg, ok := n.call(); ok {
		return r.call(n, name, arg, at)
	}
	switch v := n.value.(type) {
	case *mapping:
		return r.mapping(v, at)
	case []*node:
		return r.list(v, at)
	default:
		return v, nil
	}
}

func (r *resolver) mapping(m *mapping, at string) (map[string]any, error) {
	out := make(map[string]any, len(m.keys))
	for _, key := range m.keys {
		value, err := r.value(m.values[key], join(at, key))
		if err != nil {
			return nil, err
		}
		if _, gone := value.(noValue); !gone {
			out[key] = value
		}
	}
	return out, nil
}

func (r *resolver) list(items []*node, at string) ([]any, error) {
	out := make([]any, 0, len(items))
	for i, item := range items {
		value, err := r.value(item, index(at, i))
		if err != nil {
			return nil, err
		}
		if _, gone := value.(noValue); !gone {
			out = append(out, value)
		}
	}
	return out, nil
}

// text resolves n to a string, number or boolean and writes it as text.
func (r *resolver) text(n *node, at, function string) (string, error) {
	value, err := r.value(n, at)
	if err != nil {
		return "", err
	}
	text, ok := scalarText(value)
	if !ok {
		return "", r.t.fail(n, at, "%s wants text, not %s", function, resolvedKind(value))
	}
	return text, nil
}

func (r *resolver) texts(n *node, at, function string) ([]string, error) {
	value, err := r.value(n, at)
	if err != nil {
		return nil, err
	}
	items, ok := value.([]any)
	if !ok {
		return nil, r.t.fail(n, at, "%s wants a list, not %s", function, resolvedKind(value))
	}
	out := make([]string, len(items))
	for i, item := range items {
		if out[i], ok = scalarText(item); !ok {
			return nil, r.t.fail(n, at, "%s wants a list of texts; item %d is %s", function, i, resolvedKind(item))
		}
	}
	return out, nil
}

func (r *resolver) call(n *node, name string, arg *node, at string) (any, error) {
	list, _ := arg.list()
	switch name {
	case "Ref":
		id, _ := arg.text()
		return r.ref(n, id, at)
	case "Fn::GetAtt":
		id, attribute, _ := getAtt(arg)
		return r.ask(n, id, attribute, at)
	case "Fn::Sub":
		return r.sub(n, arg, at)
	case "Fn::If":
		condition, _ := list[0].text()
		if r.t.conditions[condition] {
			return r.value(list[1], at)
		}
		return r.value(list[2], at)
	case "Fn::Join":
		delimiter, _ := list[0].text()
		items, err := r.texts(list[1], at, name)
		return strings.Join(items, delimiter), err
	case "Fn::Split":
		delimiter, _ := list[0].text()
		text, err := r.text(list[1], at, name)
		out := []any{}
		for _, part := range strings.Split(text, delimiter) {
			out = append(out, part)
		}
		return out, err
	case "Fn::Select":
		return r.choose(n, list, at)
	case "Fn::FindInMap":
		return r.find(n, list, at)
	case "Fn::Base64":
		text, err := r.text(arg, at, name)
		return base64.StdEncoding.EncodeToString([]byte(text)), err
	case "Fn::GetAZs":
		region, err := r.text(arg, at, name)
		if region == "" {
			region = r.t.pseudo.Region
		}
		return []any{region + "a", region + "b", region + "c"}, err
	}
	return nil, r.t.fail(n, at, "%s cannot stand here", name)
}

func (r *resolver) ref(n *node, id, at string) (any, error) {
	switch id {
	case "AWS::NoValue":
		return noValue{}, nil
	case "AWS::NotificationARNs":
		return []any{}, nil
	}
	if value, ok := r.t.pseudo.values()[id]; ok {
		return value, nil
	}
	if d, ok := r.t.parameters[id]; ok {
		return d.value, nil
	}
	return r.ask(n, id, "Ref", at)
}

// ask has the part that runs a resource answer.
func (r *resolver) ask(n *node, id, name, at string) (any, error) {
	if r.attribute == nil {
		return nil, r.t.fail(n, at, "only parameters can be named here")
	}
	value, err := r.attribute(id, name)
	if err != nil {
		return nil, r.t.fail(n, at, "%s of %s: %w", name, id, err)
	}
	switch v := value.(type) {
	case string, bool, int, float64:
		return v, nil
	case int64:
		return int(v), nil
	case []string:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = item
		}
		return out, nil
	case []any:
		for _, item := range v {
			if _, ok := scalarText(item); !ok {
				return nil, r.t.fail(n, at, "%s of %s is a list with %s in it", name, id, kindOf(item))
			}
		}
		return v, nil
	}
	return nil, r.t.fail(n, at, "%s of %s is %s, and CloudFormation knows text, numbers, booleans and lists", name, id, kindOf(value))
}

func (r *resolver) sub(n, arg *node, at string) (any, error) {
	text, variables, _ := subArguments(arg)
	pieces, _ := splitSub(text)
	var out strings.Builder
	for _, piece := range pieces {
		if piece.name == "" {
			out.WriteString(piece.text)
			continue
		}
		var value any
		var err error
		if variable := variables.values[piece.name]; variable != nil {
			value, err = r.value(variable, at)
		} else if id, attribute, dotted := strings.Cut(piece.name, "."); dotted {
			value, err = r.ask(n, id, attribute, at)
		} else {
			value, err = r.ref(n, piece.name, at)
		}
		if err != nil {
			return nil, err
		}
		text, ok := scalarText(value)
		if !ok {
			return nil, r.t.fail(n, at, "Fn::Sub wants text, and ${%s} is %s", piece.name, resolvedKind(value))
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func (r *resolver) choose(n *node, list []*node, at string) (any, error) {
	position, err := r.text(list[0], at, "Fn::Select")
	if err != nil {
		return nil, err
	}
	value, err := r.value(list[1], at)
	if err != nil {
		return nil, err
	}
	items, ok := value.([]any)
	if !ok {
		return nil, r.t.fail(n, at, "Fn::Select wants a list, not %s", resolvedKind(value))
	}
	i, ok := wholeNumber(position)
	if !ok || i < 0 || i >= len(items) {
		return nil, r.t.fail(n, at, "Fn::Select: the index is no whole number within the list, which has %d items", len(items))
	}
	return items[i], nil
}

func (r *resolver) find(n *node, list []*node, at string) (any, error) {
	var keys [3]string
	for i, item := range list {
		var err error
		if keys[i], err = r.text(item, at, "Fn::FindInMap"); err != nil {
			return nil, err
		}
	}
	// A key may come from a NoEcho parameter, so errors show none.
	top := r.t.mappings[keys[0]]
	if top == nil {
		return nil, r.t.fail(n, at, "Fn::FindInMap: the map does not exist")
	}
	second := top.values[keys[1]]
	if second == nil {
		return nil, r.t.fail(n, at, "Fn::FindInMap: the map has no such top-level key")
	}
	m, _ := second.mapping()
	value := m.values[keys[2]]
	if value == nil {
		return nil, r.t.fail(n, at, "Fn::FindInMap: the map has no such second-level key")
	}
	return value.plain(), nil
}

func resolvedKind(v any) string {
	if _, gone := v.(noValue); gone {
		return "AWS::NoValue"
	}
	return kindOf(v)
}

// values returns every pseudo parameter that is text. The stack id's UUID
// follows from name, region and account, so that it stays over restarts.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
func (p Pseudo) values() map[string]string {
	h := sha256.Sum256([]byte(p.StackName + "\x00" + p.Region + "\x00" + p.AccountID))
	uuid := fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
	return map[string]string{
		"AWS::AccountId": p.AccountID,
		"AWS::Partition": "aws",
		"AWS::Region":    p.Region,
		"AWS::StackId":   fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", p.Region, p.AccountID, p.StackName, uuid),
		"AWS::StackName": p.StackName,
		"AWS::URLSuffix": "amazonaws.com",
	}
}
