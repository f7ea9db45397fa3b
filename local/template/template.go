// Package template reads a SAM template and its samconfig.toml and resolves
// them as CloudFormation does: parameters, rules, conditions, the transform
// AWS::Serverless-2016-10-31 and functions. An unknown construct is an error that
// names its place; nothing is skipped silently. It is complete for this project:
// extend it only if template.yaml needs more.
package template

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Template is a parsed template with parameters checked, conditions
// evaluated, resources of false conditions gone and the SAM transform
// applied.
type Template struct {
	file           string
	pseudo         Pseudo
	parameters     map[string]*parameter
	mappings       map[string]*mapping
	conditionNodes map[string]*node
	conditions     map[string]bool
	exists         map[string]bool // by logical id; false if the condition is
	resources      []*resource     // dependency order
	outputs        []*output       // order of the file
}

// Pseudo holds the values of the pseudo parameters. The partition is aws;
// AWS::StackId, AWS::URLSuffix and AWS::NotificationARNs (empty) follow.
type Pseudo struct{ StackName, Region, AccountID string }

// Resource is one resource of a Template or a Stack.
type Resource struct {
	ID, Type string // logical id, AWS::…
	// DependsOn lists the resources that must exist before, sorted: the template's
	// DependsOn, and those that Ref, GetAtt and Sub imply.
	DependsOn []string
	// Properties hold functions in their long form in a Template, and plain
	// values in a Stack: string, int, float64, bool, map[string]any, []any.
	// A function's Code is {CodeUri: folder}.
	Properties map[string]any
	Metadata   map[string]any
}

// Attribute returns what Ref (name "Ref") or GetAtt (name such as
// "Endpoint.Port") on a resource yields: string, bool, number or a list of
// them. r is already resolved.
type Attribute func(r Resource, name string) (any, error)

// Stack is a Template with every function resolved.
type Stack struct {
	Pseudo    Pseudo
	Resources []Resource // dependency order
	Outputs   []Output   // order of the template
}

// Output is one output of a Stack.
type Output struct{ Key, Value, Description string }

type resource struct {
	id, kind   string
	line       int
	condition  string
	dependsOn  []string
	properties *mapping
	metadata   *mapping
	needs      []string
}

type output struct {
	key, description string
	value            *node
}

const samTransform = "AWS::Serverless-2016-10-31"

var (
	logicalID = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)
	sections  = []string{"AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions", "Globals", "Resources", "Outputs"}
)

// Load reads the template at path with these values of its parameters. It
// reports everything that is wrong in the first part that has something wrong
// (parameters, rules, conditions, resources …), each with file, line and
// place. Values of NoEcho parameters are in no error.
func Load(path string, pseudo Pseudo, params map[string]string) (*Template, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return load(path, data, pseudo, params)
}

func load(file string, data []byte, pseudo Pseudo, params map[string]string) (*Template, error) {
	if err := pseudo.check(); err != nil {
		return nil, err
	}
	root, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	t := &Template{
		file: file, pseudo: pseudo,
		parameters: map[string]*parameter{}, mappings: map[string]*mapping{},
		conditions: map[string]bool{}, exists: map[string]bool{},
	}
	// Each step relies on the ones before, so the first that finds something
	// wrong is the last.
	var doc document
	for _, step := range []func(*problems){
		func(p *problems) { doc = readSections(p, root) },
		func(p *problems) {
			t.declareParameters(p, doc.section("Parameters"))
			t.readMappings(p, doc.section("Mappings"))
			t.setParameters(p, doc.section("Parameters"), params)
		},
		func(p *problems) { t.assertRules(p, doc.section("Rules")) },
		func(p *problems) { t.evaluateConditions(p, doc.section("Conditions")) },
		func(p *problems) { t.readResources(p, doc) },
		func(p *problems) { t.readOutputs(p, doc.section("Outputs")) },
		func(p *problems) { t.checkResources(p) },
		func(p *problems) { t.order(p) },
	} {
		p := &problems{file: file}
		step(p)
		if err := p.err(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

var (
	region    = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
)

func (p Pseudo) check() error {
	switch {
	case !stackName.MatchString(p.StackName):
		return fmt.Errorf("the stack name %q must begin with a letter and have letters, digits and hyphens only, at most 128", p.StackName)
	case !accountID.MatchString(p.AccountID):
		return fmt.Errorf("the account id %q must be 12 digits", p.AccountID)
	case !region.MatchString(p.Region):
		return fmt.Errorf("%q is not a region", p.Region)
	case strings.HasPrefix(p.Region, "cn-"), strings.Contains(p.Region, "-gov-"), strings.Contains(p.Region, "-iso"):
		return fmt.Errorf("the region %s is not in the partition aws, the only one known here", p.Region)
	}
	return nil
}

// document is the template's top level.
type document struct {
	top       *mapping
	transform bool
}

func (d document) section(name string) *mapping {
	if n := d.top.values[name]; n != nil {
		m, _ := n.mapping()
		return m
	}
	return newMapping()
}

func readSections(p *problems, root *node) document {
	d := document{top: newMapping()}
	top, ok := root.mapping()
	if !ok {
		p.add(root.line, "", "a template is a map, not %s", root.kind())
		return d
	}
	d.top = top
	for _, name := range top.keys {
		n := top.values[name]
		text, isText := n.text()
		_, isMap := n.mapping()
		_, _, isCall := n.call()
		switch {
		case !slices.Contains(sections, name):
			p.add(n.line, name, "the section is not supported; supported are %s", strings.Join(sections, ", "))
		case name == "AWSTemplateFormatVersion":
			if text != "2010-09-09" {
				p.add(n.line, name, "wants 2010-09-09")
			}
		case name == "Description":
			if !isText {
				p.add(n.line, name, "wants text, not %s", n.kind())
			}
		case name == "Transform":
			if list, ok := n.list(); ok && len(list) == 1 {
				text, _ = list[0].text()
			}
			if text != samTransform {
				p.add(n.line, name, "the only transform known is %s", samTransform)
			}
			d.transform = true
		case !isMap || isCall:
			p.add(n.line, name, "wants a map, not %s", describe(n))
		}
	}
	if d.top.values["Resources"] == nil {
		p.add(root.line, "", "a template needs Resources")
	}
	return d
}

// describe is kind, with a function's name where n is one.
func describe(n *node) string {
	if name, _, ok := n.call(); ok {
		return "the function " + name
	}
	return n.kind()
}

func (t *Template) readResources(p *problems, doc document) {
	section := doc.section("Resources")
	if len(section.keys) == 0 {
		p.add(doc.top.values["Resources"].line, "Resources", "there must be one at least")
	}
	for _, id := range section.keys {
		if r := t.readResource(p, id, section.values[id]); r != nil {
			t.resources = append(t.resources, r)
		}
	}
	if len(p.errs) > 0 {
		return
	}
	t.transform(p, doc)
	for _, r := range t.resources {
		t.exists[r.id] = r.condition == "" || t.conditions[r.condition]
	}
}

func (t *Template) readResource(p *problems, id string, n *node) *resource {
	at := "Resources." + id
	m, ok := n.mapping()
	if !ok {
		p.add(n.line, at, "a resource is a map, not %s", n.kind())
		return nil
	}
	if !logicalID.MatchString(id) {
		p.add(n.line, at, "a logical id is letters and digits only")
	}
	if t.parameters[id] != nil {
		p.add(n.line, at, "a parameter has this name too, so a Ref to it would be ambiguous")
	}
	r := &resource{id: id, line: n.line, properties: newMapping(), metadata: newMapping()}
	for _, key := range m.keys {
		t.readAttribute(p, r, key, m.values[key], join(at, key))
	}
	if m.values["Type"] == nil {
		p.add(n.line, at, "Type is missing")
	}
	return r
}

func (t *Template) readAttribute(p *problems, r *resource, key string, n *node, at string) {
	text, _ := n.text()
	switch key {
	case "Type":
		if !strings.HasPrefix(text, "AWS::") {
			p.add(n.line, at, "wants a type such as AWS::S3::Bucket")
		}
		r.kind = text
	case "Properties", "Metadata":
		m, ok := n.mapping()
		if _, _, isCall := n.call(); !ok || isCall {
			p.add(n.line, at, "wants a map, not %s", describe(n))
			return
		}
		if key == "Properties" {
			r.properties = m
		} else {
			r.metadata = m
		}
	case "DependsOn":
		list, isList := n.list()
		if !isList {
			list = []*node{n}
		}
		for _, item := range list {
			id, ok := item.text()
			if !ok {
				p.add(n.line, at, "wants the logical id of a resource, or a list of them")
				return
			}
			r.dependsOn = append(r.dependsOn, id)
		}
	case "Condition":
		r.condition = t.conditionName(p, n, at)
	case "DeletionPolicy", "UpdateReplacePolicy":
		if !slices.Contains([]string{"Delete", "Retain", "Snapshot"}, text) && (key != "DeletionPolicy" || text != "RetainExceptOnCreate") {
			p.add(n.line, at, "wants Delete, Retain or Snapshot")
		}
	default:
		p.add(n.line, at, "the resource attribute is not supported")
	}
}

// conditionName reads the attribute Condition of a resource or an output.
func (t *Template) conditionName(p *problems, n *node, at string) string {
	name, ok := n.text()
	if !ok {
		p.add(n.line, at, "wants the name of a condition, not %s", describe(n))
	} else if _, known := t.conditions[name]; !known {
		p.add(n.line, at, "names the condition %s, which is not in Conditions", name)
	}
	return name
}

func (t *Template) readOutputs(p *problems, section *mapping) {
	for _, key := range section.keys {
		n, at := section.values[key], "Outputs."+key
		m, ok := n.mapping()
		if !ok {
			p.add(n.line, at, "an output is a map, not %s", n.kind())
			continue
		}
		if !logicalID.MatchString(key) {
			p.add(n.line, at, "an output's name is letters and digits only")
		}
		unknownKeys(p, m, at, "an output", "Value", "Description", "Condition")
		o := &output{key: key, value: m.values["Value"]}
		if o.value == nil {
			p.add(n.line, at, "Value is missing")
			continue
		}
		if d := m.values["Description"]; d != nil {
			if o.description, ok = d.text(); !ok {
				p.add(d.line, at+".Description", "wants text, not %s", d.kind())
			}
		}
		if c := m.values["Condition"]; c != nil {
			if name := t.conditionName(p, c, at+".Condition"); !t.conditions[name] {
				// Its functions are checked all the same.
				(&checker{t: t, p: p}).value(o.value, at+".Value", false)
				continue
			}
		}
		(&checker{t: t, p: p}).value(o.value, at+".Value", true)
		t.outputs = append(t.outputs, o)
	}
}

// checkResources checks every function, collects each resource's dependencies and
// drops the resources whose condition is false.
func (t *Template) checkResources(p *problems) {
	var kept []*resource
	for _, r := range t.resources {
		at, live := "Resources."+r.id, t.exists[r.id]
		c := &checker{t: t, p: p, depend: func(id string) { r.needs = append(r.needs, id) }}
		c.value(&node{line: r.line, value: r.properties}, at+".Properties", live)
		c.value(&node{line: r.line, value: r.metadata}, at+".Metadata", live)
		for _, id := range r.dependsOn {
			exists, known := t.exists[id]
			switch {
			case !known:
				p.add(r.line, at+".DependsOn", "the resource %s does not exist", id)
			case live && !exists:
				p.add(r.line, at+".DependsOn", "%s: its condition is false, so the resource does not exist", id)
			}
			r.needs = append(r.needs, id)
		}
		slices.Sort(r.needs)
		r.needs = slices.Compact(r.needs)
		if live {
			kept = append(kept, r)
		}
	}
	t.resources = kept
}

// Resources returns the template's resources in dependency order, with
// functions unresolved.
func (t *Template) Resources() []Resource {
	out := make([]Resource, len(t.resources))
	for i, r := range t.resources {
		out[i] = Resource{ID: r.id, Type: r.kind, DependsOn: slices.Clone(r.needs), Properties: plainMap(r.properties), Metadata: plainMap(r.metadata)}
	}
	return out
}

func plainMap(m *mapping) map[string]any {
	return (&node{value: m}).plain().(map[string]any)
}

// Resolve resolves every function in every resource and output.
func (t *Template) Resolve(attr Attribute) (*Stack, error) {
	s := &Stack{Pseudo: t.pseudo}
	r := &resolver{t: t, attribute: func(id, name string) (any, error) {
		made, ok := s.Resource(id)
		if !ok {
			return nil, fmt.Errorf("the resource %s does not exist", id)
		}
		return attr(made, name)
	}}
	for _, in := range t.resources {
		at := "Resources." + in.id
		properties, err := r.mapping(in.properties, at+".Properties")
		if err != nil {
			return nil, err
		}
		metadata, err := r.mapping(in.metadata, at+".Metadata")
		if err != nil {
			return nil, err
		}
		s.Resources = append(s.Resources, Resource{ID: in.id, Type: in.kind, DependsOn: slices.Clone(in.needs), Properties: properties, Metadata: metadata})
	}
	for _, o := range t.outputs {
		value, err := r.text(o.value, "Outputs."+o.key+".Value", "an output")
		if err != nil {
			return nil, err
		}
		s.Outputs = append(s.Outputs, Output{Key: o.key, Value: value, Description: o.description})
	}
	return s, nil
}

// Resource finds a resource by its logical id.
func (s *Stack) Resource(id string) (Resource, bool) {
	for _, r := range s.Resources {
		if r.ID == id {
			return r, true
		}
	}
	return Resource{}, false
}
