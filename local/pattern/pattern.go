// Package pattern matches events against event patterns, with the operators
// that filters of Lambda's event source mappings and rules of EventBridge take.
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

// The longest patterns that Lambda and EventBridge take.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const (
	maxLength     = 4096
	maxRuleLength = 2048
)

// dialect is where a pattern is used.
type dialect struct{ rule bool }

// Pattern is a parsed event pattern: an event matches if it matches one of the
// alternatives, of which a pattern without $or has one.
type Pattern struct{ alternatives []*object }

// object is a map of an alternative: every field must match.
type object struct{ fields map[string]*field }

// field is an object or a list of matchers, of which one must match. A path that a
// pattern has as both is compared as both.
type field struct {
	object *object
	any    []matcher
}

// matcher compares a leaf of an event: a string, json.Number, bool or nil.
// exists is false if the event has no such leaf.
type matcher func(leaf any, exists bool) bool

// Parse reads the pattern of a filter. An error names the field that is wrong.
func Parse(text string) (*Pattern, error) { return dialect{}.parse(text, maxLength) }

// ParseRule reads the pattern of a rule or an archive: it may also have the
// operators cidr and wildcard, and its numbers are compared by their value.
func ParseRule(text string) (*Pattern, error) { return dialect{rule: true}.parse(text, maxRuleLength) }

func (d dialect) parse(text string, limit int) (*Pattern, error) {
	if len(text) > limit {
		return nil, fmt.Errorf("a pattern must be at most %d characters", limit)
	}
	value, err := decodeOrdered([]byte(text))
	if err != nil {
		return nil, err
	}
	m, ok := value.(members)
	if !ok {
		return nil, errors.New("a pattern must be a JSON object")
	}
	flat, err := d.flatten([]alternative{{}}, m, "")
	if err != nil {
		return nil, err
	}
	p := &Pattern{}
	for _, one := range flat {
		p.alternatives = append(p.alternatives, one.tree())
	}
	return p, nil
}

// Match reports whether a JSON document matches. Text that is not JSON does not.
func (p *Pattern) Match(document []byte) bool {
	d, err := Decode(document)
	return err == nil && p.Matches(d)
}

// Document is a decoded JSON document, to be matched against several patterns.
type Document struct{ value any }

// Decode decodes a JSON document.
func Decode(document []byte) (Document, error) {
	value, err := decode(document)
	return Document{spread(value)}, err
}

// spread makes paths of names with dots, in a decoded value: the service does not tell
// {"a.b": 1} from {"a": {"b": 1}}.
func spread(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = spread(v[i])
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			child := spread(v[name])
			if !strings.Contains(name, ".") {
				v[name] = child
				continue
			}
			delete(v, name)
			insert(v, strings.Split(name, "."), child)
		}
	}
	return value
}

// Matches reports whether a document matches.
func (p *Pattern) Matches(d Document) bool {
	return slices.ContainsFunc(p.alternatives, func(o *object) bool { return o.match(d.value) })
}

// insert puts a value at a path. What has no members, has none below it either.
func insert(m map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		if _, ok := m[path[0]]; !ok {
			m[path[0]] = map[string]any{}
		}
		inner, ok := m[path[0]].(map[string]any)
		if !ok {
			return
		}
		m = inner
	}
	m[path[0]] = value
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

// members is a JSON object with its members in their order, on which the meaning of
// a pattern with $or depends.
type members []member

type member struct {
	name  string
	value any
}

// decodeOrdered is decode with members for objects.
func decodeOrdered(text []byte) (any, error) {
	if _, err := decode(text); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return readOrdered(decoder)
}

func readOrdered(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		out := members{}
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := readOrdered(decoder)
			if err != nil {
				return nil, err
			}
			out = append(out, member{name.(string), value})
		}
		_, err := decoder.Token() // the end
		return out, err
	case json.Delim('['):
		out := []any{}
		for decoder.More() {
			value, err := readOrdered(decoder)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		_, err := decoder.Token()
		return out, err
	}
	return token, nil
}

// maxAlternatives is how many combinations of $or a pattern may have.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-complex-example-or
const maxAlternatives = 1000

// alternative holds the matchers of each path of a pattern without $or. Dots
// separate the names of a path, so a name with a dot is a path of two names.
type alternative map[string][]matcher

// flatten adds an object's fields to the alternatives, which $or multiplies. A field
// that occurs again on the same path replaces the earlier one, as in AWS's engine.
func (d dialect) flatten(all []alternative, m members, at string) ([]alternative, error) {
	if len(m) == 0 {
		return nil, fmt.Errorf("%s must not be empty", orPattern(at))
	}
	for _, one := range m {
		where := one.name
		if at != "" {
			where = at + "." + one.name
		}
		var err error
		switch value := one.value.(type) {
		case members:
			all, err = d.flatten(all, value, where)
		case []any:
			if one.name == "$or" {
				all, err = d.multiply(all, value, at, where)
				break
			}
			var choice []matcher
			if choice, err = d.parseMatchers(value, where); err == nil {
				for _, a := range all {
					a[where] = choice
				}
			}
		default:
			err = fmt.Errorf("%s must be an object or a list of values", where)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func orPattern(at string) string {
	if at == "" {
		return "the pattern"
	}
	return at
}

// multiply adds each object of $or, which stands at a path, to a copy of the
// alternatives.
func (d dialect) multiply(all []alternative, list []any, at, where string) ([]alternative, error) {
	if len(list) < 2 {
		return nil, fmt.Errorf("%s must be a list of at least two objects", where)
	}
	var out []alternative
	for _, item := range list {
		m, ok := item.(members)
		if !ok {
			return nil, fmt.Errorf("%s must be a list of objects", where)
		}
		var copies []alternative
		for _, a := range all {
			copies = append(copies, maps.Clone(a))
		}
		more, err := d.flatten(copies, m, at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if out = append(out, more...); len(out) > maxAlternatives {
			return nil, fmt.Errorf("%s: a pattern must have at most %d combinations of its $or", where, maxAlternatives)
		}
	}
	return out, nil
}

func (a alternative) tree() *object {
	root := &object{map[string]*field{}}
	for path, choice := range a {
		at := root
		names := strings.Split(path, ".")
		for i, name := range names {
			f := at.fields[name]
			if f == nil {
				f = &field{}
				at.fields[name] = f
			}
			if i == len(names)-1 {
				f.any = choice
				break
			}
			if f.object == nil {
				f.object = &object{map[string]*field{}}
			}
			at = f.object
		}
	}
	return root
}

func (d dialect) parseMatchers(list []any, at string) ([]matcher, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s must not be an empty list", at)
	}
	var out []matcher
	for _, item := range list {
		m, err := d.parseMatcher(item, at)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (d dialect) parseMatcher(item any, at string) (matcher, error) {
	switch value := item.(type) {
	case members:
		if len(value) != 1 {
			return nil, fmt.Errorf("%s must have one operator in each object", at)
		}
		return d.parseOperator(value[0].name, value[0].value, at+"."+value[0].name)
	case []any:
		return nil, fmt.Errorf("%s must not contain a list in its list", at)
	}
	if number, ok := item.(json.Number); ok && d.rule {
		// https://github.com/aws/event-ruler compares numbers of rules by value.
		return parseNumeric([]any{"=", number}, at)
	}
	// Numbers of filters are equal if they are written alike: 300 is not 3.0e2.
	return func(leaf any, exists bool) bool { return exists && leaf == item }, nil
}

func (d dialect) parseOperator(operator string, argument any, at string) (matcher, error) {
	switch operator {
	case "exists":
		want, ok := argument.(bool)
		if !ok {
			return nil, fmt.Errorf("%s must be true or false", at)
		}
		return func(_ any, exists bool) bool { return exists == want }, nil
	case "anything-but":
		none, err := d.parseAnythingBut(argument, at)
		if err != nil {
			return nil, err
		}
		return func(leaf any, exists bool) bool {
			return exists && !slices.ContainsFunc(none, func(m matcher) bool { return m(leaf, true) })
		}, nil
	case "numeric":
		if err := d.checkNumeric(argument, at); err != nil {
			return nil, err
		}
		return parseNumeric(argument, at)
	case "prefix", "suffix", "equals-ignore-case":
		return parseText(operator, argument, at)
	}
	if d.rule {
		switch operator {
		case "exactly":
			want, ok := argument.(string)
			if !ok {
				return nil, fmt.Errorf("%s must be text", at)
			}
			return func(leaf any, exists bool) bool { return exists && leaf == want }, nil
		case "wildcard":
			return parseWildcard(argument, at)
		case "cidr":
			return parseCIDR(argument, at)
		}
		return nil, fmt.Errorf("%s: the operator does not exist; rules have anything-but, cidr, equals-ignore-case, exists, numeric, prefix, suffix and wildcard", at)
	}
	return nil, fmt.Errorf("%s: the operator does not exist in filters; they take anything-but, equals-ignore-case, exists, numeric, prefix and suffix", at)
}

// parseText parses an operator for strings. Prefix and suffix also take
// {"equals-ignore-case": text}.
func parseText(operator string, argument any, at string) (matcher, error) {
	ignoreCase := operator == "equals-ignore-case"
	if m, ok := argument.(members); ok && !ignoreCase && len(m) == 1 && m[0].name == "equals-ignore-case" {
		argument, ignoreCase = m[0].value, true
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
func (d dialect) parseAnythingBut(argument any, at string) ([]matcher, error) {
	list := []any{argument}
	operator := ""
	if m, ok := argument.(members); ok {
		if len(m) != 1 {
			return nil, fmt.Errorf("%s must have one operator", at)
		}
		operator, argument = m[0].name, m[0].value
		list = []any{argument}
		known := []string{"prefix", "suffix", "equals-ignore-case"}
		if d.rule {
			known = append(known, "wildcard")
		}
		if !slices.Contains(known, operator) {
			return nil, fmt.Errorf("%s.%s: the operator does not exist there; anything-but takes values and %s", at, operator, strings.Join(known, ", "))
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
		case members, []any:
			return nil, fmt.Errorf("%s must be a value or a list of values", at)
		}
		if err := d.checkAnythingBut(operator, item, list[0], at); err != nil {
			return nil, err
		}
		var m matcher
		var err error
		switch operator {
		case "":
			m, err = d.parseMatcher(item, at)
		case "wildcard":
			m, err = parseWildcard(item, at)
		default:
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
// one object must match in all fields.
func (o *object) match(value any) bool {
	if list, ok := value.([]any); ok {
		objects := objectsOf(list)
		return slices.ContainsFunc(objects, o.match) || len(objects) == 0 && o.match(absent{})
	}
	m, _ := value.(map[string]any) // nil has no field, as absent has none
	for name, f := range o.fields {
		child, ok := m[name]
		if !ok {
			child = absent{}
		}
		if f.object != nil && !f.object.match(child) || f.any != nil && !f.matchLeaf(child) {
			return false
		}
	}
	return true
}

// objectsOf returns the objects in a list and in the lists in it.
func objectsOf(list []any) (out []any) {
	for _, item := range list {
		switch value := item.(type) {
		case map[string]any:
			out = append(out, value)
		case []any:
			out = append(out, objectsOf(value)...)
		}
	}
	return out
}

// matchLeaf compares the matchers with a value. An event is flattened to its
// leaves before it is compared, so an object does not exist as such: "exists" is
// for leaves only.
func (f *field) matchLeaf(value any) bool {
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

func (f *field) matches(leaf any, exists bool) bool {
	return slices.ContainsFunc(f.any, func(m matcher) bool { return m(leaf, exists) })
}
