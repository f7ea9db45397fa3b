package template

import (
	"fmt"
	"slices"
	"strings"
)

// condition checks a value that must be true or false.
func (c *checker) condition(n *node, at string) {
	if name, ok := n.condition(); ok && c.where == inConditions {
		if c.t.conditionNodes[name] == nil {
			c.p.add(n.line, at, "the condition %s is not in Conditions", name)
		}
		return
	}
	name, arg, ok := n.call()
	if !ok || !slices.Contains([]string{"Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Contains"}, name) {
		if ok && allowedIn[name] == nil {
			c.p.add(n.line, at, "the function %s is not supported", name)
			return
		}
		c.p.add(n.line, at, "wants a function that is true or false")
		return
	}
	if !slices.Contains(allowedIn[name], c.where) {
		c.p.add(n.line, at, "%s cannot stand here", name)
		return
	}
	list, _ := arg.list()
	switch name {
	case "Fn::Equals":
		if len(list) != 2 {
			c.p.add(n.line, at, "Fn::Equals wants two values")
			return
		}
		c.scalarArgument(n, name, list[0], at, true)
		c.scalarArgument(n, name, list[1], at, true)
	case "Fn::Contains":
		if len(list) != 2 {
			c.p.add(n.line, at, "Fn::Contains wants [list, value]")
			return
		}
		c.listArgument(n, name, list[0], at, true)
		c.scalarArgument(n, name, list[1], at, true)
	case "Fn::Not":
		if len(list) != 1 {
			c.p.add(n.line, at, "Fn::Not wants a list of one condition")
			return
		}
		c.condition(list[0], at)
	default:
		if len(list) < 2 || len(list) > 10 {
			c.p.add(n.line, at, "%s wants 2 to 10 conditions", name)
			return
		}
		for i, item := range list {
			c.condition(item, index(at, i))
		}
	}
}

// evaluateConditions fills t.conditions.
func (t *Template) evaluateConditions(p *problems, section *mapping) {
	t.conditionNodes = section.values
	c := &checker{t: t, p: p, where: inConditions}
	for _, name := range section.keys {
		c.condition(section.values[name], "Conditions."+name)
	}
	if len(p.errs) > 0 {
		return
	}
	for _, name := range section.keys {
		if _, err := t.holds(name, nil); err != nil {
			p.errs = append(p.errs, err)
			return
		}
	}
}

// holds evaluates a named condition. asking lists the conditions that wait
// for this one.
func (t *Template) holds(name string, asking []string) (bool, error) {
	if value, ok := t.conditions[name]; ok {
		return value, nil
	}
	n, at := t.conditionNodes[name], "Conditions."+name
	if i := slices.Index(asking, name); i >= 0 {
		return false, t.fail(n, at, "conditions in a circle: %s", strings.Join(append(asking[i:], name), " → "))
	}
	value, err := t.test(n, at, append(slices.Clone(asking), name))
	if err == nil {
		t.conditions[name] = value
	}
	return value, err
}

// test evaluates a checked condition function.
func (t *Template) test(n *node, at string, asking []string) (bool, error) {
	if name, ok := n.condition(); ok {
		return t.holds(name, asking)
	}
	name, arg, _ := n.call()
	list, _ := arg.list()
	r := &resolver{t: t}
	switch name {
	case "Fn::Equals":
		left, err := r.text(list[0], at, name)
		if err != nil {
			return false, err
		}
		right, err := r.text(list[1], at, name)
		return left == right, err
	case "Fn::Contains":
		items, err := r.texts(list[0], at, name)
		if err != nil {
			return false, err
		}
		value, err := r.text(list[1], at, name)
		return slices.Contains(items, value), err
	case "Fn::Not":
		value, err := t.test(list[0], at, asking)
		return !value, err
	}
	// Every operand is evaluated, so that a circle shows in any order.
	all, some := true, false
	for i, item := range list {
		value, err := t.test(item, index(at, i), asking)
		if err != nil {
			return false, err
		}
		all, some = all && value, some || value
	}
	if name == "Fn::And" {
		return all, nil
	}
	return some, nil
}

// assertRules checks Rules and names every assertion that fails.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
func (t *Template) assertRules(p *problems, section *mapping) {
	for _, name := range section.keys {
		t.assertRule(p, section.values[name], "Rules."+name)
	}
}

func (t *Template) assertRule(p *problems, n *node, at string) {
	rule, ok := n.mapping()
	if !ok {
		p.add(n.line, at, "a rule is a map, not %s", n.kind())
		return
	}
	unknownKeys(p, rule, at, "a rule", "RuleCondition", "Assertions")
	c := &checker{t: t, p: p, where: inRules}
	before := len(p.errs)
	applies := rule.values["RuleCondition"]
	if applies != nil {
		c.condition(applies, at+".RuleCondition")
	}
	assertions := rule.values["Assertions"]
	if assertions == nil {
		p.add(n.line, at, "Assertions is missing")
		return
	}
	list, ok := assertions.list()
	if !ok || len(list) == 0 {
		p.add(assertions.line, at+".Assertions", "wants a list of assertions")
		return
	}
	for i, item := range list {
		t.checkAssertion(c, item, index(at+".Assertions", i))
	}
	if len(p.errs) > before {
		return
	}
	if applies != nil {
		value, err := t.test(applies, at+".RuleCondition", nil)
		if err != nil {
			p.errs = append(p.errs, err)
		}
		if err != nil || !value {
			return
		}
	}
	for i, item := range list {
		assertion, _ := item.mapping()
		at := index(at+".Assertions", i)
		value, err := t.test(assertion.values["Assert"], at, nil)
		if err != nil {
			p.errs = append(p.errs, err)
		} else if !value {
			p.add(item.line, at, "%s", description(assertion))
		}
	}
}

func (t *Template) checkAssertion(c *checker, n *node, at string) {
	assertion, ok := n.mapping()
	if !ok {
		c.p.add(n.line, at, "an assertion is a map, not %s", n.kind())
		return
	}
	unknownKeys(c.p, assertion, at, "an assertion", "Assert", "AssertDescription")
	if d := assertion.values["AssertDescription"]; d != nil {
		if _, ok := d.text(); !ok {
			c.p.add(d.line, at+".AssertDescription", "wants text, not %s", d.kind())
		}
	}
	if assertion.values["Assert"] == nil {
		c.p.add(n.line, at, "Assert is missing")
		return
	}
	c.condition(assertion.values["Assert"], at+".Assert")
}

func description(assertion *mapping) string {
	if d := assertion.values["AssertDescription"]; d != nil {
		text, _ := d.text()
		return text
	}
	return "the assertion does not hold"
}

// readMappings checks the shape of Mappings: two levels of keys, then a value
// or a list of values.
func (t *Template) readMappings(p *problems, section *mapping) {
	for _, name := range section.keys {
		at := "Mappings." + name
		top, ok := section.values[name].mapping()
		if !ok {
			p.add(section.values[name].line, at, "wants a map of maps")
			continue
		}
		t.mappings[name] = top
		for _, key := range top.keys {
			second, ok := top.values[key].mapping()
			if !ok {
				p.add(top.values[key].line, join(at, key), "wants a map, not %s", top.values[key].kind())
				continue
			}
			for _, inner := range second.keys {
				checkMapped(p, second.values[inner], join(join(at, key), inner))
			}
		}
	}
}

func checkMapped(p *problems, n *node, at string) {
	items, isList := n.list()
	if !isList {
		items = []*node{n}
	}
	for _, item := range items {
		if _, ok := item.scalar(); !ok {
			p.add(n.line, at, "wants text or a list of texts")
		}
	}
}

func unknownKeys(p *problems, m *mapping, at, what string, known ...string) {
	for _, key := range m.keys {
		if !slices.Contains(known, key) {
			p.add(m.values[key].line, join(at, key), "%s has no such attribute; the attributes are %s", what, strings.Join(known, ", "))
		}
	}
}

// fail is one error at a place of the template.
func (t *Template) fail(n *node, at, format string, args ...any) error {
	p := &problems{file: t.file}
	p.add(n.line, at, "%w", fmt.Errorf(format, args...))
	return p.errs[0]
}
