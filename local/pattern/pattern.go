// Package pattern matches events against event patterns, with the operators
// that filters of Lambda's event source mappings take.
//
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxLength is the longest pattern that Lambda takes.
const maxLength = 4096

// Pattern is a parsed event pattern.
type Pattern struct{ root *object }

// object is a map of a pattern: every field and one of each list of
// alternatives ($or) must match.
type object struct {
	fields       map[string]field
	alternatives [][]*object
}

// field is either an object or a list of matchers, of which one must match.
type field struct {
	object *object
	any    []matcher
}

// matcher compares a leaf of an event: a string, json.Number, bool or nil.
// exists is false if the event has no such leaf.
type matcher func(leaf any, exists bool) bool

// Parse reads a pattern. An error names the field that is wrong.
func Parse(text string) (*Pattern, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("a pattern must be at most %d characters", maxLength)
	}
	value, err := decode([]byte(text))
	if err != nil {
		return nil, err
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("a pattern must be a JSON object")
	}
	root, err := parseObject(m, "")
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

// Match reports whether a JSON document matches. Text that is not JSON does not.
func (p *Pattern) Match(document []byte) bool {
	value, err := decode(document)
	return err == nil && p.root.match(value)
}

func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("it must be JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it must be one JSON value, and something follows it")
	}
	return value, nil
}

func parseObject(m map[string]any, at string) (*object, error) {
	if len(m) == 0 {
		return nil, fmt.Errorf("%s must not be empty", orPattern(at))
	}
	out := &object{fields: map[string]field{}}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		where := name
		if at != "" {
			where = at + "." + name
		}
		list, isList := m[name].([]any)
		if name == "$or" && isList {
			alternatives, err := parseAlternatives(list, where)
			if err != nil {
				return nil, err
			}
			out.alternatives = append(out.alternatives, alternatives)
			continue
		}
		var f field
		var err error
		switch value := m[name].(type) {
		case map[string]any:
			f.object, err = parseObject(value, where)
		case []any:
			f.any, err = parseMatchers(value, where)
		default:
			err = fmt.Errorf("%s must be an object or a list of values", where)
		}
		if err != nil {
			return nil, err
		}
		out.fields[name] = f
	}
	return out, nil
}

func orPattern(at string) string {
	if at == "" {
		return "the pattern"
	}
	return at
}

func parseAlternatives(list []any, at string) ([]*object, error) {
	if len(list) < 2 {
		return nil, fmt.Errorf("%s must be a list of at least two objects", at)
	}
	var out []*object
	for i, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s must be a list of objects", at)
		}
		o, err := parseObject(m, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func parseMatchers(list []any, at string) ([]matcher, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s must not be an empty list", at)
	}
	var out []matcher
	for _, item := range list {
		m, err := parseMatcher(item, at)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func parseMatcher(item any, at string) (matcher, error) {
	switch value := item.(type) {
	case map[string]any:
		if len(value) != 1 {
			return nil, fmt.Errorf("%s must have one operator in each object", at)
		}
		for operator, argument := range value {
			return parseOperator(operator, argument, at+"."+operator)
		}
	case []any:
		return nil, fmt.Errorf("%s must not contain a list in its list", at)
	}
	// Numbers are equal if they are written alike: 300 is not 3.0e2.
	return func(leaf any, exists bool) bool { return exists && leaf == item }, nil
}

func parseOperator(operator string, argument any, at string) (matcher, error) {
	switch operator {
	case "exists":
		want, ok := argument.(bool)
		if !ok {
			return nil, fmt.Errorf("%s must be true or false", at)
		}
		return func(_ any, exists bool) bool { return exists == want }, nil
	case "anything-but":
		none, err := parseAnythingBut(argument, at)
		if err != nil {
			return nil, err
		}
		return func(leaf any, exists bool) bool {
			return exists && !slices.ContainsFunc(none, func(m matcher) bool { return m(leaf, true) })
		}, nil
	case "numeric":
		return parseNumeric(argument, at)
	case "prefix", "suffix", "equals-ignore-case":
		return parseText(operator, argument, at)
	}
	return nil, fmt.Errorf("%s: the operator does not exist in filters; they take anything-but, equals-ignore-case, exists, numeric, prefix and suffix", at)
}

// parseText parses an operator for strings. Prefix and suffix also take
// {"equals-ignore-case": text}.
func parseText(operator string, argument any, at string) (matcher, error) {
	ignoreCase := operator == "equals-ignore-case"
	if m, ok := argument.(map[string]any); ok && !ignoreCase && len(m) == 1 {
		argument, ignoreCase = m["equals-ignore-case"], true
	}
	want, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("%s must be text", at)
	}
	fits := map[string]func(text, want string) bool{
		"prefix": strings.HasPrefix, "suffix": strings.HasSuffix,
		"equals-ignore-case": func(text, want string) bool { return text == want },
	}[operator]
	if ignoreCase {
		want = strings.ToLower(want)
	}
	return func(leaf any, exists bool) bool {
		text, ok := leaf.(string)
		if ignoreCase {
			text = strings.ToLower(text)
		}
		return exists && ok && fits(text, want)
	}, nil
}

// parseAnythingBut returns matchers of which none may match.
func parseAnythingBut(argument any, at string) ([]matcher, error) {
	list := []any{argument}
	operator := ""
	if m, ok := argument.(map[string]any); ok {
		if len(m) != 1 {
			return nil, fmt.Errorf("%s must have one operator", at)
		}
		for operator, argument = range m {
			list = []any{argument}
		}
		if operator != "prefix" && operator != "suffix" && operator != "equals-ignore-case" {
			return nil, fmt.Errorf("%s.%s: the operator does not exist there; anything-but takes values, prefix, suffix and equals-ignore-case", at, operator)
		}
		at += "." + operator
	}
	if values, ok := argument.([]any); ok {
		list = values
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s must not be an empty list", at)
	}
	var out []matcher
	for _, item := range list {
		switch item.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("%s must be a value or a list of values", at)
		}
		m, err := parseMatcher(item, at)
		if operator != "" {
			m, err = parseText(operator, item, at)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// parseNumeric parses ["=", 5] and [">", 0, "<=", 5].
func parseNumeric(argument any, at string) (matcher, error) {
	bad := fmt.Errorf(`%s must be a list such as ["=", 5] or [">", 0, "<=", 5]`, at)
	list, ok := argument.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, bad
	}
	compare := map[string]func(a, b float64) bool{
		"=": func(a, b float64) bool { return a == b }, "<": func(a, b float64) bool { return a < b },
		"<=": func(a, b float64) bool { return a <= b }, ">": func(a, b float64) bool { return a > b },
		">=": func(a, b float64) bool { return a >= b },
	}
	type bound struct {
		holds func(a, b float64) bool
		limit float64
	}
	var bounds []bound
	for i := 0; i < len(list); i += 2 {
		name, _ := list[i].(string)
		limit, isNumber := list[i+1].(json.Number)
		holds, known := compare[name]
		f, err := limit.Float64()
		if !isNumber || !known || err != nil {
			return nil, bad
		}
		bounds = append(bounds, bound{holds, f})
	}
	return func(leaf any, exists bool) bool {
		number, ok := leaf.(json.Number)
		if !exists || !ok {
			return false
		}
		f, err := strconv.ParseFloat(number.String(), 64)
		return err == nil && !slices.ContainsFunc(bounds, func(b bound) bool { return !b.holds(f, b.limit) })
	}, nil
}

// absent stands for a part of the pattern that the event does not have.
type absent struct{}

// match compares an object of the pattern with a value of the event. Of a list,
// one item must match in all fields.
func (o *object) match(value any) bool {
	if list, ok := value.([]any); ok {
		hasObject := false
		for _, item := range list {
			switch item.(type) {
			case map[string]any, []any:
				hasObject = true
				if o.match(item) {
					return true
				}
			}
		}
		return !hasObject && o.match(absent{})
	}
	m, _ := value.(map[string]any) // nil has no field, as absent has none
	for name, f := range o.fields {
		child, ok := m[name]
		if !ok {
			child = absent{}
		}
		if f.object != nil && !f.object.match(child) || f.object == nil && !f.matchLeaf(child) {
			return false
		}
	}
	for _, alternatives := range o.alternatives {
		if !slices.ContainsFunc(alternatives, func(a *object) bool { return a.match(value) }) {
			return false
		}
	}
	return true
}

// matchLeaf compares the matchers with a value. An event is flattened to its
// leaves before it is compared, so an object does not exist as such: "exists" is
// for leaves only.
func (f field) matchLeaf(value any) bool {
	switch v := value.(type) {
	case []any:
		found := false
		for _, item := range v {
			if _, isObject := item.(map[string]any); isObject {
				continue
			}
			found = true
			if f.matchLeaf(item) {
				return true
			}
		}
		return !found && f.matches(nil, false)
	case map[string]any, absent:
		return f.matches(nil, false)
	}
	return f.matches(value, true)
}

func (f field) matches(leaf any, exists bool) bool {
	return slices.ContainsFunc(f.any, func(m matcher) bool { return m(leaf, exists) })
}
