package template

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// parameter is one entry of Parameters with the value it got: text, or a
// []any of texts for the list types. NoEcho values appear in no error.
type parameter struct {
	kind                 string
	noEcho               bool
	fallback             *string
	allowed              []string
	pattern              *regexp.Regexp
	patternText          string
	constraint           string
	minLength, maxLength *int
	minValue, maxValue   *big.Float
	line                 int
	value                any
}

var decimal = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$`)

// declareParameters reads the section.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func (t *Template) declareParameters(p *problems, section *mapping) {
	for _, name := range section.keys {
		at := "Parameters." + name
		n := section.values[name]
		m, ok := n.mapping()
		if !ok {
			p.add(n.line, at, "a parameter is a map, not %s", n.kind())
			continue
		}
		if !logicalID.MatchString(name) {
			p.add(n.line, at, "a parameter's name is letters and digits only")
		}
		d := &parameter{line: n.line}
		d.read(p, m, at)
		if d.kind == "" {
			continue
		}
		t.parameters[name] = d
		if d.fallback != nil {
			if _, err := d.parse(*d.fallback); err != nil {
				p.add(m.values["Default"].line, at+".Default", "%w", err)
			}
		}
	}
}

func (d *parameter) read(p *problems, m *mapping, at string) {
	for _, key := range m.keys {
		n, at := m.values[key], join(at, key)
		text, isScalar := n.scalar()
		if key != "AllowedValues" && !isScalar {
			p.add(n.line, at, "wants text, not %s", n.kind())
			continue
		}
		switch key {
		case "Type":
			if !slices.Contains([]string{"String", "Number", "CommaDelimitedList", "List<Number>"}, text) {
				p.add(n.line, at, "the type %s is not supported; supported are String, Number, CommaDelimitedList and List<Number>", text)
				text = ""
			}
			d.kind = text
		case "Default":
			d.fallback = &text
		case "NoEcho":
			if text != "true" && text != "false" {
				p.add(n.line, at, "wants true or false")
			}
			d.noEcho = text != "false"
		case "AllowedValues":
			list, _ := n.list()
			if len(list) == 0 {
				p.add(n.line, at, "wants a list of values")
			}
			for i, item := range list {
				value, ok := item.scalar()
				if !ok {
					p.add(item.line, index(at, i), "wants text, not %s", item.kind())
				}
				d.allowed = append(d.allowed, value)
			}
		case "AllowedPattern":
			// The pattern must match the whole value.
			pattern, err := regexp.Compile(`\A(?:` + text + `)\z`)
			if err != nil {
				p.add(n.line, at, "not a pattern that Go's regexp knows: %w", err)
				continue
			}
			d.pattern, d.patternText = pattern, text
		case "MinLength", "MaxLength":
			number, ok := wholeNumber(text)
			if !ok || number < 0 {
				p.add(n.line, at, "wants a whole number from 0")
				continue
			}
			if key == "MinLength" {
				d.minLength = &number
			} else {
				d.maxLength = &number
			}
		case "MinValue", "MaxValue":
			number, ok := parseDecimal(text)
			if !ok {
				p.add(n.line, at, "wants a number")
				continue
			}
			if key == "MinValue" {
				d.minValue = number
			} else {
				d.maxValue = number
			}
		case "ConstraintDescription":
			d.constraint = text
		case "Description":
		default:
			p.add(n.line, at, "a parameter has no such attribute")
		}
	}
	d.fits(p, m, at)
}

// fits checks constraints against the type that they are for.
func (d *parameter) fits(p *problems, m *mapping, at string) {
	if _, ok := m.values["Type"]; !ok {
		p.add(d.line, at, "Type is missing")
		return
	}
	for _, c := range []struct {
		key   string
		kinds []string
	}{
		{"MinLength", []string{"String"}},
		{"MaxLength", []string{"String"}},
		{"MinValue", []string{"Number", "List<Number>"}},
		{"MaxValue", []string{"Number", "List<Number>"}},
		{"AllowedPattern", []string{"String", "CommaDelimitedList"}},
	} {
		if n, ok := m.values[c.key]; ok && d.kind != "" && !slices.Contains(c.kinds, d.kind) {
			p.add(n.line, join(at, c.key), "is for %s, and the type is %s", strings.Join(c.kinds, " and "), d.kind)
		}
	}
}

// setParameters sets each parameter's value and reports everything that is
// missing, unknown or against a constraint at once.
func (t *Template) setParameters(p *problems, section *mapping, given map[string]string) {
	var missing, unknown []string
	for name := range given {
		if _, ok := section.values[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	for _, name := range section.keys {
		d, ok := t.parameters[name]
		if !ok {
			continue
		}
		value, isGiven := given[name]
		if !isGiven {
			if d.fallback == nil {
				missing = append(missing, name)
				continue
			}
			value = *d.fallback
		}
		parsed, err := d.parse(value)
		d.value = parsed
		// A default that breaks a rule has been reported already.
		if err != nil && isGiven {
			p.add(d.line, "Parameters."+name, "%w", err)
		}
	}
	if len(missing) > 0 {
		p.add(0, "", "parameters without a value or a default: %s", strings.Join(missing, ", "))
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		p.add(0, "", "parameters that the template does not have: %s", strings.Join(unknown, ", "))
	}
}

// parse checks a value and returns the value of Ref: text, or a list of texts.
func (d *parameter) parse(value string) (any, error) {
	if d.kind == "String" || d.kind == "Number" {
		return value, d.check(value)
	}
	list := []any{}
	for _, item := range strings.Split(value, ",") {
		item = strings.TrimSpace(item)
		if err := d.check(item); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func (d *parameter) check(value string) error {
	fault := d.fault(value)
	if fault == "" {
		return nil
	}
	if d.constraint != "" {
		fault += ": " + d.constraint
	}
	if d.noEcho {
		return fmt.Errorf("the value (NoEcho, not shown) %s", fault)
	}
	return fmt.Errorf("the value %q %s", value, fault)
}

func (d *parameter) fault(value string) string {
	length := utf8.RuneCountInString(value)
	switch {
	case d.minLength != nil && length < *d.minLength:
		return fmt.Sprintf("is shorter than MinLength %d", *d.minLength)
	case d.maxLength != nil && length > *d.maxLength:
		return fmt.Sprintf("is longer than MaxLength %d", *d.maxLength)
	case d.pattern != nil && !d.pattern.MatchString(value):
		return "does not match AllowedPattern " + d.patternText
	case len(d.allowed) > 0 && !slices.Contains(d.allowed, value):
		return "is not one of AllowedValues " + strings.Join(d.allowed, ", ")
	}
	if d.kind != "Number" && d.kind != "List<Number>" {
		return ""
	}
	number, ok := parseDecimal(value)
	switch {
	case !ok:
		return "is not a number"
	case d.minValue != nil && number.Cmp(d.minValue) < 0:
		return "is less than MinValue " + d.minValue.Text('f', -1)
	case d.maxValue != nil && number.Cmp(d.maxValue) > 0:
		return "is more than MaxValue " + d.maxValue.Text('f', -1)
	}
	return ""
}

func parseDecimal(text string) (*big.Float, bool) {
	if !decimal.MatchString(text) {
		return nil, false
	}
	return new(big.Float).SetPrec(128).SetString(text)
}
