package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// place is where a function is used. CloudFormation allows different functions in
// each place.
type place int

const (
	inProperties place = iota // properties and metadata of resources, outputs
	inConditions
	inRules
)

// allowedIn maps each known function to the places that allow it. Anything else is
// an error of Load, also in a branch of Fn::If that is not taken.
var allowedIn = map[string][]place{
	"Ref":           {inProperties, inConditions, inRules},
	"Fn::Sub":       {inProperties, inConditions},
	"Fn::Join":      {inProperties, inConditions},
	"Fn::Select":    {inProperties, inConditions},
	"Fn::Split":     {inProperties, inConditions},
	"Fn::FindInMap": {inProperties, inConditions},
	"Fn::GetAtt":    {inProperties},
	"Fn::If":        {inProperties},
	"Fn::Base64":    {inProperties},
	"Fn::GetAZs":    {inProperties},
	"Fn::Equals":    {inConditions, inRules},
	"Fn::Not":       {inConditions, inRules},
	"Fn::And":       {inConditions, inRules},
	"Fn::Or":        {inConditions, inRules},
	"Fn::Contains":  {inRules},
}

var pseudoNames = []string{"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix"}

// checker compares every function with its shape and with the names there
// are, so that resolving cannot meet an unknown one.
type checker struct {
	t     *Template
	p     *problems
	where place
	// depend hears of each resource that a taken branch needs.
	depend func(id string)
}

// value checks n and all below it. live is false in a branch of Fn::If that
// is not taken: names must exist there, but the resources need not.
func (c *checker) value(n *node, at string, live bool) {
	if name, arg, ok := n.call(); ok {
		c.call(n, name, arg, at, live)
		return
	}
	if name, ok := n.condition(); ok && n.short {
		c.p.add(n.line, at, "!Condition %s is allowed in conditions only", name)
		return
	}
	switch v := n.value.(type) {
	case *mapping:
		for _, key := range v.keys {
			if strings.HasPrefix(key, "Fn::") {
				c.p.add(v.values[key].line, join(at, key), "a function must be alone in its map")
				continue
			}
			c.value(v.values[key], join(at, key), live)
		}
	case []*node:
		for i, item := range v {
			c.value(item, index(at, i), live)
		}
	}
}

func (c *checker) call(n *node, name string, arg *node, at string, live bool) {
	places, known := allowedIn[name]
	if !known {
		c.p.add(n.line, at, "the function %s is not supported", name)
		return
	}
	if !slices.Contains(places, c.where) {
		c.p.add(n.line, at, "%s cannot stand here", name)
		return
	}
	bad := func(want string) { c.p.add(n.line, at, "%s wants %s", name, want) }
	list, _ := arg.list()
	switch name {
	case "Ref":
		if id, ok := arg.text(); ok {
			c.ref(n, id, at, live)
		} else {
			bad("a name")
		}
	case "Fn::GetAtt":
		id, attribute, ok := getAtt(arg)
		if !ok {
			bad("a resource and an attribute, as Id.Attribute or [Id, Attribute]")
			return
		}
		c.resource(n, id, at, "Fn::GetAtt to "+id+"."+attribute, live)
	case "Fn::Sub":
		c.sub(n, arg, at, live)
	case "Fn::If":
		if len(list) != 3 {
			bad("[condition, value if true, value if false]")
			return
		}
		condition, ok := list[0].text()
		if !ok {
			bad("the name of a condition first")
			return
		}
		holds, known := c.t.conditions[condition]
		if !known {
			c.p.add(n.line, at, "Fn::If names the condition %s, which is not in Conditions", condition)
		}
		c.value(list[1], at, live && holds)
		c.value(list[2], at, live && !holds)
	case "Fn::Join", "Fn::Split":
		if len(list) != 2 {
			bad("[delimiter, what]")
			return
		}
		delimiter, ok := list[0].text()
		if !ok || name == "Fn::Split" && delimiter == "" {
			bad("a delimiter that is text")
			return
		}
		if name == "Fn::Join" {
			c.listArgument(n, name, list[1], at, live)
		} else {
			c.scalarArgument(n, name, list[1], at, live)
		}
	case "Fn::Select":
		if len(list) != 2 {
			bad("[index, list]")
			return
		}
		c.scalarArgument(n, name, list[0], at, live)
		c.listArgument(n, name, list[1], at, live)
	case "Fn::FindInMap":
		if len(list) != 3 {
			bad("[map, top-level key, second-level key]")
			return
		}
		for _, item := range list {
			c.scalarArgument(n, name, item, at, live)
		}
		if id, ok := list[0].text(); ok && c.t.mappings[id] == nil {
			c.p.add(n.line, at, "Fn::FindInMap names the map %s, which is not in Mappings", id)
		}
	case "Fn::Base64", "Fn::GetAZs":
		c.scalarArgument(n, name, arg, at, live)
	default: // Fn::Equals and its like, which condition checks
		c.p.add(n.line, at, "%s is true or false and cannot stand where text is wanted", name)
	}
}

// listArgument checks an argument that must be a list or yield one.
func (c *checker) listArgument(n *node, name string, arg *node, at string, live bool) {
	_, isList := arg.list()
	_, _, isCall := arg.call()
	if !isList && !isCall {
		c.p.add(n.line, at, "%s wants a list, not %s", name, arg.kind())
		return
	}
	c.value(arg, at, live)
}

// scalarArgument checks an argument that must be text or yield it.
func (c *checker) scalarArgument(n *node, name string, arg *node, at string, live bool) {
	_, isScalar := arg.scalar()
	_, _, isCall := arg.call()
	if !isScalar && !isCall {
		c.p.add(n.line, at, "%s wants text, not %s", name, arg.kind())
		return
	}
	c.value(arg, at, live)
}

func (c *checker) ref(n *node, id, at string, live bool) {
	if strings.HasPrefix(id, "AWS::") {
		if !slices.Contains(pseudoNames, id) {
			c.p.add(n.line, at, "the pseudo parameter %s does not exist", id)
		} else if id == "AWS::NoValue" && c.where != inProperties {
			c.p.add(n.line, at, "AWS::NoValue is allowed in properties only")
		}
		return
	}
	if _, ok := c.t.parameters[id]; ok {
		return
	}
	c.resource(n, id, at, "Ref to "+id, live)
}

// resource checks that a reference to the resource is allowed here and that the
// resource exists.
func (c *checker) resource(n *node, id, at, what string, live bool) {
	if c.where != inProperties {
		c.p.add(n.line, at, "%s: only parameters can be named here", what)
		return
	}
	exists, known := c.t.exists[id]
	switch {
	case !known && strings.HasPrefix(what, "Ref"):
		c.p.add(n.line, at, "%s: no such parameter or resource", what)
	case !known:
		c.p.add(n.line, at, "%s: no such resource", what)
	case live && !exists:
		c.p.add(n.line, at, "%s: its condition is false, so the resource does not exist", what)
	case live && c.depend != nil:
		c.depend(id)
	}
}

func (c *checker) sub(n, arg *node, at string, live bool) {
	text, variables, ok := subArguments(arg)
	if !ok {
		c.p.add(n.line, at, "Fn::Sub wants text, or [text, map]")
		return
	}
	for _, key := range variables.keys {
		c.scalarArgument(n, "Fn::Sub", variables.values[key], join(at, key), live)
	}
	pieces, err := splitSub(text)
	if err != "" {
		c.p.add(n.line, at, "Fn::Sub: %s", err)
		return
	}
	for _, piece := range pieces {
		if piece.name == "" || variables.values[piece.name] != nil {
			continue
		}
		if id, attribute, dotted := strings.Cut(piece.name, "."); dotted {
			c.resource(n, id, at, "Fn::Sub of ${"+id+"."+attribute+"}", live)
		} else if piece.name == "AWS::NoValue" || piece.name == "AWS::NotificationARNs" {
			c.p.add(n.line, at, "Fn::Sub: %s is not text", piece.name)
		} else {
			c.ref(n, piece.name, at, live)
		}
	}
}

// getAtt splits both forms of Fn::GetAtt's argument.
func getAtt(arg *node) (id, attribute string, ok bool) {
	if text, isText := arg.text(); isText {
		id, attribute, _ = strings.Cut(text, ".")
		return id, attribute, id != "" && attribute != ""
	}
	list, _ := arg.list()
	if len(list) != 2 {
		return "", "", false
	}
	id, idOK := list[0].text()
	attribute, attributeOK := list[1].text()
	return id, attribute, idOK && attributeOK && id != "" && attribute != ""
}

func subArguments(arg *node) (text string, variables *mapping, ok bool) {
	if text, ok := arg.text(); ok {
		return text, newMapping(), true
	}
	list, _ := arg.list()
	if len(list) != 2 {
		return "", nil, false
	}
	text, textOK := list[0].text()
	variables, mapOK := list[1].mapping()
	if _, _, isCall := list[1].call(); isCall {
		return "", nil, false
	}
	return text, variables, textOK && mapOK
}

// piece is either literal text or the name of a variable.
type piece struct{ text, name string }

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// splitSub cuts the text of Fn::Sub at its ${variables}. ${!x} is the text
// ${x}.
func splitSub(text string) (pieces []piece, fault string) {
	for text != "" {
		start := strings.Index(text, "${")
		if start < 0 {
			return append(pieces, piece{text: text}), ""
		}
		pieces = append(pieces, piece{text: text[:start]})
		end := strings.IndexByte(text[start:], '}')
		if end < 0 {
			return nil, "${ without }"
		}
		name := text[start+2 : start+end]
		text = text[start+end+1:]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			pieces = append(pieces, piece{text: "${" + literal + "}"})
			continue
		}
		if !subName.MatchString(name) {
			return nil, "${" + name + "} is not a name; write ${!" + name + "} if it is text"
		}
		pieces = append(pieces, piece{name: name})
	}
	return pieces, ""
}

func wholeNumber(text string) (int, bool) {
	if !decimalInt.MatchString(text) {
		return 0, false
	}
	number, err := strconv.Atoi(text)
	return number, err == nil
}
