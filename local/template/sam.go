package template

import (
	"fmt"
	"slices"
	"strings"
)

const (
	samFunction = "AWS::Serverless::Function"
	policyARN   = "arn:aws:iam::aws:policy/"
)

// passedThrough are the properties that AWS::Lambda::Function has under the
// same name.
var passedThrough = []string{
	"FunctionName", "Handler", "Runtime", "Description", "MemorySize", "Timeout", "VpcConfig", "Role", "Environment",
	"KmsKeyArn", "ReservedConcurrentExecutions", "Layers", "FileSystemConfigs", "Architectures", "EphemeralStorage",
	"CodeSigningConfigArn", "RuntimeManagementConfig", "LoggingConfig", "RecursiveLoop",
}

// transformed are the properties that become something else.
var transformed = []string{"CodeUri", "Policies", "Tags", "Tracing", "AssumeRolePolicyDocument", "RolePath", "PermissionsBoundary", "Events", "EventInvokeConfig"}

// notGlobal are the properties above that Globals cannot give.
var notGlobal = []string{"FunctionName", "Role", "Policies", "Events"}

// transform replaces each AWS::Serverless::Function by the resources that
// aws-sam-translator makes of it: the function; unless it names a Role, the
// role <id>Role; its EventInvokeConfig; and those of its events. A test compares the two.
func (t *Template) transform(p *problems, doc document) {
	globals := t.globals(p, doc)
	taken := map[string]bool{}
	for _, r := range t.resources {
		taken[r.id] = true
	}
	var out []*resource
	for _, r := range t.resources {
		switch {
		case r.kind == samFunction && doc.transform:
			out = append(out, t.unclaimed(p, r, t.expand(p, r, globals), taken)...)
		case strings.HasPrefix(r.kind, "AWS::Serverless::") && !doc.transform:
			p.add(r.line, "Resources."+r.id+".Type", "%s needs Transform: %s", r.kind, samTransform)
		case strings.HasPrefix(r.kind, "AWS::Serverless::"):
			p.add(r.line, "Resources."+r.id+".Type", "%s is not supported; of SAM's types, only %s is", r.kind, samFunction)
		default:
			out = append(out, r)
		}
	}
	t.resources = out
}

func (t *Template) globals(p *problems, doc document) *mapping {
	section := doc.section("Globals")
	if n := doc.top.values["Globals"]; n != nil && !doc.transform {
		p.add(n.line, "Globals", "needs Transform: %s", samTransform)
	}
	for _, key := range section.keys {
		if key != "Function" {
			p.add(section.values[key].line, "Globals."+key, "is not supported; only Function is")
		}
	}
	n := section.values["Function"]
	if n == nil {
		return newMapping()
	}
	m, ok := n.mapping()
	if !ok {
		p.add(n.line, "Globals.Function", "wants a map, not %s", n.kind())
		return newMapping()
	}
	for _, key := range m.keys {
		if slices.Contains(notGlobal, key) || !slices.Contains(passedThrough, key) && !slices.Contains(transformed, key) {
			p.add(m.values[key].line, "Globals.Function."+key, "the property is not supported in Globals")
		}
	}
	return m
}

// merge returns the value that SAM makes of one in Globals and one in the resource:
// maps merge key by key, lists are joined with the global items first, and
// anything else, functions too, is the resource's. Architectures alone is a
// list that replaces.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
func merge(global, local *node, path string) *node {
	if isFunction(global) || isFunction(local) {
		return local
	}
	if globalMap, ok := global.mapping(); ok {
		localMap, ok := local.mapping()
		if !ok {
			return local
		}
		out := globalMap.copy()
		for _, key := range localMap.keys {
			value := localMap.values[key]
			if below := globalMap.values[key]; below != nil {
				value = merge(below, value, join(path, key))
			}
			out.set(key, value)
		}
		return &node{line: local.line, value: out}
	}
	globalList, globalOK := global.list()
	localList, localOK := local.list()
	if globalOK && localOK && path != "Architectures" {
		return &node{line: local.line, value: slices.Concat(globalList, localList)}
	}
	return local
}

// isFunction is call, and {Condition: x}, which SAM takes for one too.
func isFunction(n *node) bool {
	if _, _, ok := n.call(); ok {
		return true
	}
	m, ok := n.mapping()
	return ok && len(m.keys) == 1 && m.keys[0] == "Condition"
}

// expand returns the resources of a function, itself first.
func (t *Template) expand(p *problems, r *resource, globals *mapping) []*resource {
	at := "Resources." + r.id + ".Properties"
	merged := merge(&node{value: globals}, &node{line: r.line, value: r.properties}, "")
	in, _ := merged.mapping()
	f := &expansion{t: t, p: p, r: r, at: at, in: in}
	function := &resource{id: r.id, kind: "AWS::Lambda::Function", line: r.line, condition: r.condition, dependsOn: r.dependsOn, metadata: r.metadata, properties: newMapping()}
	for _, key := range in.keys {
		if slices.Contains(passedThrough, key) {
			function.properties.set(key, in.values[key])
		} else if !slices.Contains(transformed, key) {
			p.add(in.values[key].line, join(at, key), "the property is not supported")
		}
	}
	f.code(function)
	tags := f.tags()
	function.properties.set("Tags", tags)
	tracing := f.tracing()
	if tracing != nil {
		function.properties.set("TracingConfig", object(tracing.line, "Mode", tracing))
	}
	if given := in.values["Role"]; given != nil {
		if name, _, _ := given.call(); name == "Fn::If" {
			p.add(given.line, at+".Role", "Fn::If is not supported here")
		}
		return slices.Concat([]*resource{function}, f.invokeConfig(), f.events(nil))
	}
	id := r.id + "Role"
	function.properties.set("Role", object(r.line, "Fn::GetAtt", &node{line: r.line, value: []*node{{line: r.line, value: id}, {line: r.line, value: "Arn"}}}))
	role := &resource{id: id, kind: "AWS::IAM::Role", line: r.line, condition: r.condition, metadata: newMapping(), properties: f.role(id, tags, tracing != nil)}
	return slices.Concat([]*resource{function, role}, f.invokeConfig(), f.events(role))
}

// invokeConfig makes the resource of the property EventInvokeConfig, if there is one.
func (f *expansion) invokeConfig() []*resource {
	n := f.in.values["EventInvokeConfig"]
	if n == nil {
		return nil
	}
	given, ok := n.mapping()
	if !ok || isFunction(n) {
		f.p.add(n.line, f.at+".EventInvokeConfig", "wants a map, not %s", describe(n))
		return nil
	}
	out := newMapping()
	out.set("FunctionName", object(n.line, "Ref", &node{line: n.line, value: f.r.id}))
	out.set("Qualifier", &node{line: n.line, value: "$LATEST"})
	out.set("DestinationConfig", &node{line: n.line, value: newMapping()})
	for _, key := range given.keys {
		if key != "MaximumEventAgeInSeconds" && key != "MaximumRetryAttempts" {
			f.p.add(given.values[key].line, join(f.at+".EventInvokeConfig", key), "the property is not supported")
			continue
		}
		out.set(key, given.values[key])
	}
	return []*resource{{id: f.r.id + "EventInvokeConfig", kind: "AWS::Lambda::EventInvokeConfig", line: n.line, condition: f.r.condition, metadata: f.r.metadata, properties: out}}
}

// unclaimed returns the resources that a function is transformed into, without
// those whose name another resource or a parameter has.
func (t *Template) unclaimed(p *problems, function *resource, made []*resource, taken map[string]bool) []*resource {
	out := made[:1]
	for _, r := range made[1:] {
		if taken[r.id] || t.parameters[r.id] != nil {
			p.add(function.line, "Resources."+function.id, "the transform makes a resource %s (%s), and the template uses that name already", r.id, r.kind)
			continue
		}
		taken[r.id] = true
		out = append(out, r)
	}
	return out
}

// expansion is the transform of one function.
type expansion struct {
	t  *Template
	p  *problems
	r  *resource
	at string
	in *mapping // properties with Globals
}

func (f *expansion) code(function *resource) {
	n := f.in.values["CodeUri"]
	if n == nil {
		f.p.add(f.r.line, f.at, "CodeUri is missing")
		return
	}
	text, ok := n.text()
	if !ok || text == "" || strings.Contains(text, "://") {
		f.p.add(n.line, f.at+".CodeUri", "wants a folder beside the template")
		return
	}
	function.properties.set("Code", object(n.line, "CodeUri", n))
}

// tags turns SAM's map into CloudFormation's list, after the tag that says
// who made the function.
func (f *expansion) tags() *node {
	list := []*node{tag(f.r.line, "lambda:createdBy", &node{line: f.r.line, value: "SAM"})}
	line := f.r.line
	if n := f.in.values["Tags"]; n != nil {
		line = n.line
		m, ok := n.mapping()
		if !ok || isFunction(n) {
			f.p.add(n.line, f.at+".Tags", "wants a map, not %s", describe(n))
			return n
		}
		for _, key := range m.keys {
			if slices.Contains([]string{"lambda:createdBy", "serverlessrepo:applicationId", "serverlessrepo:semanticVersion"}, key) {
				f.p.add(m.values[key].line, join(f.at+".Tags", key), "SAM keeps this tag for itself")
			}
			list = append(list, tag(m.values[key].line, key, m.values[key]))
		}
	}
	return &node{line: line, value: list}
}

// tracing returns the mode, or nil if it is off.
func (f *expansion) tracing() *node {
	n := f.in.values["Tracing"]
	if n == nil {
		return nil
	}
	mode, ok := n.text()
	if name, arg, isCall := n.call(); isCall {
		id, _ := arg.text()
		if d := f.t.parameters[id]; name == "Ref" && d != nil {
			mode, ok = d.value.(string)
		} else if ok = name == "Fn::If"; ok {
			return n
		}
	}
	if !ok {
		f.p.add(n.line, f.at+".Tracing", "wants text, a Ref to a parameter or Fn::If, not %s", describe(n))
	}
	if mode == "" || mode == "Disabled" {
		return nil
	}
	return n
}

func (f *expansion) role(id string, tags *node, traced bool) *mapping {
	line := f.r.line
	out := newMapping()
	out.set("AssumeRolePolicyDocument", f.in.values["AssumeRolePolicyDocument"])
	if out.values["AssumeRolePolicyDocument"] == nil {
		out.set("AssumeRolePolicyDocument", trust(line, "lambda.amazonaws.com"))
	}
	managed := []*node{{line: line, value: policyARN + "service-role/AWSLambdaBasicExecutionRole"}}
	if traced {
		managed = append(managed, &node{line: line, value: policyARN + "AWSXrayWriteOnlyAccess"})
	}
	if vpc := f.in.values["VpcConfig"]; vpc != nil {
		if m, ok := vpc.mapping(); !ok || len(m.keys) > 0 {
			managed = append(managed, &node{line: line, value: policyARN + "service-role/AWSLambdaVPCAccessExecutionRole"})
		}
	}
	managed, inline := f.policies(id, managed)
	out.set("ManagedPolicyArns", &node{line: line, value: managed})
	if len(inline) > 0 {
		out.set("Policies", &node{line: line, value: inline})
	}
	for from, to := range map[string]string{"RolePath": "Path", "PermissionsBoundary": "PermissionsBoundary"} {
		if n := f.in.values[from]; n != nil {
			out.set(to, n)
		}
	}
	out.set("Tags", tags)
	return out
}

// policies sorts the property Policies into managed and inline ones. An inline
// one is named after its place among all of them.
func (f *expansion) policies(role string, managed []*node) (all, inline []*node) {
	n := f.in.values["Policies"]
	if n == nil {
		return managed, nil
	}
	list, ok := n.list()
	if !ok {
		list = []*node{n}
	}
	for i, entry := range list {
		name := fmt.Sprintf("%sPolicy%d", role, i)
		at := index(f.at+".Policies", i)
		switch f.policyKind(entry, at) {
		case "document":
			inline = append(inline, wrapPolicy(entry, name))
		case "managed", "none":
			known := slices.ContainsFunc(managed, func(m *node) bool { return fmt.Sprint(m.plain()) == fmt.Sprint(entry.plain()) })
			if !known {
				managed = append(managed, entry)
			}
		}
	}
	return managed, inline
}

// policyKind returns the kind of an entry: document, managed, none (AWS::NoValue)
// or "" after an error.
func (f *expansion) policyKind(n *node, at string) string {
	if name, arg, ok := n.call(); ok {
		if name != "Fn::If" {
			if id, _ := arg.text(); name == "Ref" && id == "AWS::NoValue" {
				return "none"
			}
			return "managed"
		}
		list, _ := arg.list()
		if len(list) != 3 {
			f.p.add(n.line, at, "Fn::If wants [condition, value if true, value if false]")
			return ""
		}
		yes, no := f.policyKind(list[1], at), f.policyKind(list[2], at)
		switch {
		case yes == "" || no == "":
			return ""
		case yes == no || no == "none":
			return yes
		case yes == "none":
			return no
		}
		f.p.add(n.line, at, "both values of Fn::If must be the same kind of policy")
		return ""
	}
	if text, ok := n.text(); ok {
		if !strings.HasPrefix(text, "arn:") {
			f.p.add(n.line, at, "the managed policy %s must be given as its ARN", text)
			return ""
		}
		return "managed"
	}
	if m, ok := n.mapping(); ok && m.values["Statement"] != nil {
		return "document"
	}
	f.p.add(n.line, at, "wants a policy with a Statement or the ARN of a managed one; SAM's policy templates are not supported")
	return ""
}

// wrapPolicy adds the name to an inline policy, in both values if it is
// behind Fn::If.
func wrapPolicy(n *node, name string) *node {
	wrap := func(n *node) *node {
		if _, arg, ok := n.call(); ok {
			if id, _ := arg.text(); id == "AWS::NoValue" {
				return n
			}
		}
		return object(n.line, "PolicyName", &node{line: n.line, value: name}, "PolicyDocument", n)
	}
	if _, arg, ok := n.call(); ok {
		list, _ := arg.list()
		return object(n.line, "Fn::If", &node{line: n.line, value: []*node{list[0], wrap(list[1]), wrap(list[2])}})
	}
	return wrap(n)
}

// trust returns the policy by which a service takes a role.
func trust(line int, service string) *node {
	text := func(s string) *node { return &node{line: line, value: s} }
	list := func(s string) *node { return &node{line: line, value: []*node{text(s)}} }
	statement := object(line, "Action", list("sts:AssumeRole"), "Effect", text("Allow"), "Principal", object(line, "Service", list(service)))
	return object(line, "Version", text("2012-10-17"), "Statement", &node{line: line, value: []*node{statement}})
}

func tag(line int, key string, value *node) *node {
	return object(line, "Key", &node{line: line, value: key}, "Value", value)
}

// object makes a map of pairs of key and node.
func object(line int, pairs ...any) *node {
	m := newMapping()
	for i := 0; i < len(pairs); i += 2 {
		m.set(pairs[i].(string), pairs[i+1].(*node))
	}
	return &node{line: line, value: m}
}
