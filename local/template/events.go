package template

import (
	"fmt"
	"slices"
)

// ofStream are the properties of a SAM event of type DynamoDB that
// AWS::Lambda::EventSourceMapping has under the same name.
var ofStream = []string{
	"StartingPosition", "StartingPositionTimestamp", "BatchSize", "Enabled", "MaximumBatchingWindowInSeconds", "MaximumRetryAttempts",
	"BisectBatchOnFunctionError", "MaximumRecordAgeInSeconds", "ParallelizationFactor", "TumblingWindowInSeconds",
	"FunctionResponseTypes", "FilterCriteria", "DestinationConfig",
}

// ofQueue are those of a SAM event of type SQS.
var ofQueue = []string{
	"BatchSize", "Enabled", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "FilterCriteria", "ScalingConfig",
}

// ofSchedule are the properties of a SAM event of type Schedule.
var ofSchedule = []string{"Schedule", "Name", "Description", "State", "Enabled", "Input", "RetryPolicy", "DeadLetterConfig"}

// ofScheduler are the properties of a SAM event of type ScheduleV2 that
// AWS::Scheduler::Schedule has under the same name.
var ofScheduler = []string{
	"ScheduleExpression", "FlexibleTimeWindow", "State", "Description", "StartDate", "EndDate", "ScheduleExpressionTimezone", "GroupName", "KmsKeyArn",
}

// events makes the resources of the property Events. What a stream or a queue needs is
// added to the function's role, unless the function names a role of its own (nil).
func (f *expansion) events(role *resource) []*resource {
	n := f.in.values["Events"]
	if n == nil {
		return nil
	}
	events, ok := n.mapping()
	if !ok || isFunction(n) {
		f.p.add(n.line, f.at+".Events", "wants a map, not %s", describe(n))
		return nil
	}
	var out []*resource
	for _, name := range slices.Sorted(slices.Values(events.keys)) { // the order of the role's policies
		event, at := events.values[name], join(f.at+".Events", name)
		m, ok := event.mapping()
		if !ok {
			f.p.add(event.line, at, "wants a map, not %s", event.kind())
			continue
		}
		if !logicalID.MatchString(name) {
			f.p.add(event.line, at, "an event's name is letters and digits only")
			continue
		}
		unknownKeys(f.p, m, at, "an event", "Type", "Properties")
		kind := ""
		if n := m.values["Type"]; n != nil {
			kind, _ = n.text()
		}
		in := newMapping()
		if n := m.values["Properties"]; n != nil {
			if in, ok = n.mapping(); !ok {
				f.p.add(n.line, at+".Properties", "wants a map, not %s", n.kind())
				continue
			}
		}
		e := samEvent{f: f, id: f.r.id + name, line: event.line, at: at + ".Properties", in: in}
		switch kind {
		case "DynamoDB":
			out = append(out, e.stream(role))
		case "SQS":
			out = append(out, e.queue(role))
		case "Schedule":
			out = append(out, e.schedule()...)
		case "ScheduleV2":
			out = append(out, e.scheduleV2()...)
		default:
			f.p.add(event.line, at+".Type", "%s is not supported; of SAM's events, only DynamoDB, Schedule, ScheduleV2 and SQS are", orMissing(kind))
		}
	}
	return out
}

func orMissing(kind string) string {
	if kind == "" {
		return "an event without a type"
	}
	return kind
}

// samEvent is the transform of one event.
type samEvent struct {
	f    *expansion
	id   string // of the resource that it becomes
	line int
	at   string
	in   *mapping
}

func (e samEvent) resource(id, kind string, properties *mapping) *resource {
	return &resource{id: id, kind: kind, line: e.line, condition: e.f.r.condition, metadata: newMapping(), properties: properties}
}

func (e samEvent) text(s string) *node { return &node{line: e.line, value: s} }

func (e samEvent) getAtt(id string) *node {
	return object(e.line, "Fn::GetAtt", &node{line: e.line, value: []*node{e.text(id), e.text("Arn")}})
}

// required reports properties that are missing.
func (e samEvent) required(names ...string) {
	for _, name := range names {
		if e.in.values[name] == nil {
			e.f.p.add(e.line, e.at, "%s is missing", name)
		}
	}
}

func (e samEvent) unknown(known ...string) {
	for _, key := range e.in.keys {
		if !slices.Contains(known, key) {
			e.f.p.add(e.in.values[key].line, join(e.at, key), "the property is not supported")
		}
	}
}

func (e samEvent) stream(role *resource) *resource {
	e.required("Stream", "StartingPosition")
	out := e.mapping("Stream", ofStream, role, "AWSLambdaDynamoDBExecutionRole")
	if n := e.in.values["DestinationConfig"]; n != nil {
		out.properties.set("DestinationConfig", e.destination(n, role))
	}
	return out
}

func (e samEvent) queue(role *resource) *resource {
	e.required("Queue")
	return e.mapping("Queue", ofQueue, role, "AWSLambdaSQSQueueExecutionRole")
}

// mapping makes an event source mapping: source is the property that has the ARN of what
// it reads, same are those that keep their names, and managed is what the role needs.
func (e samEvent) mapping(source string, same []string, role *resource, managed string) *resource {
	e.unknown(append([]string{source}, same...)...)
	out := newMapping()
	out.set("FunctionName", object(e.line, "Ref", e.text(e.f.r.id)))
	if n := e.in.values[source]; n != nil {
		out.set("EventSourceArn", n)
	}
	for _, key := range e.in.keys {
		if slices.Contains(same, key) {
			out.set(key, e.in.values[key])
		}
	}
	if role != nil {
		addManaged(role, policyARN+"service-role/"+managed)
	}
	return e.resource(e.id, "AWS::Lambda::EventSourceMapping", out)
}

// addManaged adds the ARN of a managed policy to a role.
func addManaged(role *resource, arn string) {
	n := role.properties.values["ManagedPolicyArns"]
	list, _ := n.list()
	if !slices.ContainsFunc(list, func(m *node) bool { text, _ := m.text(); return text == arn }) {
		role.properties.set("ManagedPolicyArns", &node{line: n.line, value: append(slices.Clone(list), &node{line: n.line, value: arn})})
	}
}

// destination returns DestinationConfig without OnFailure.Type, which tells SAM
// what the role needs. Without it SAM adds nothing to the role.
func (e samEvent) destination(n *node, role *resource) *node {
	config, _ := n.mapping()
	var onFailure *mapping
	if config != nil && config.values["OnFailure"] != nil {
		onFailure, _ = config.values["OnFailure"].mapping()
	}
	if onFailure == nil || isFunction(n) {
		e.f.p.add(n.line, e.at+".DestinationConfig", "wants a map with OnFailure")
		return n
	}
	kindNode := onFailure.values["Type"]
	if kindNode == nil {
		return n
	}
	kind, _ := kindNode.text()
	target := onFailure.values["Destination"]
	if target == nil {
		target = e.text("")
		e.f.p.add(n.line, e.at+".DestinationConfig.OnFailure", "Destination is missing")
	}
	allow := func(action string, resource *node) *node {
		return object(e.line, "Action", e.text(action), "Effect", e.text("Allow"), "Resource", resource)
	}
	var statements []*node
	switch kind {
	case "SQS":
		statements = []*node{allow("sqs:SendMessage", target)}
	case "S3":
		objects := object(e.line, "Fn::Join", &node{line: e.line, value: []*node{e.text("/"), {line: e.line, value: []*node{target, e.text("*")}}}})
		statements = []*node{allow("s3:PutObject", objects), allow("s3:ListBucket", target)}
	default:
		e.f.p.add(kindNode.line, e.at+".DestinationConfig.OnFailure.Type", "wants S3 or SQS; others are not supported")
		return n
	}
	if role != nil {
		document := object(e.line, "Statement", &node{line: e.line, value: statements})
		addInline(role, object(e.line, "PolicyName", e.text(e.id+kind+"Policy"), "PolicyDocument", document))
	}
	rest := newMapping()
	for _, key := range onFailure.keys {
		if key != "Type" {
			rest.set(key, onFailure.values[key])
		}
	}
	out := config.copy()
	out.set("OnFailure", &node{line: n.line, value: rest})
	return &node{line: n.line, value: out}
}

// addInline adds an inline policy to a role, unless the role has its document.
func addInline(role *resource, policy *node) {
	document := func(n *node) string {
		m, _ := n.mapping()
		if m == nil || m.values["PolicyDocument"] == nil {
			return ""
		}
		return fmt.Sprint(m.values["PolicyDocument"].plain())
	}
	var list []*node
	if n := role.properties.values["Policies"]; n != nil {
		list, _ = n.list()
	}
	if !slices.ContainsFunc(list, func(n *node) bool { return document(n) == document(policy) }) {
		role.properties.set("Policies", &node{line: policy.line, value: append(slices.Clone(list), policy)})
	}
}

// maxTargetID is the longest id of a rule's target.
const maxTargetID = 64

func (e samEvent) schedule() []*resource {
	e.required("Schedule")
	e.unknown(ofSchedule...)
	rule := newMapping()
	for from, to := range map[string]string{"Schedule": "ScheduleExpression", "Name": "Name", "Description": "Description", "State": "State"} {
		if n := e.in.values[from]; n != nil {
			rule.set(to, n)
		}
	}
	if n := e.in.values["Enabled"]; n != nil {
		enabled, ok := n.value.(bool)
		switch {
		case e.in.values["State"] != nil:
			e.f.p.add(n.line, e.at+".Enabled", "State and Enabled cannot both be given")
		case !ok:
			e.f.p.add(n.line, e.at+".Enabled", "wants true or false, not %s", describe(n))
		case enabled:
			rule.set("State", e.text("ENABLED"))
		default:
			rule.set("State", e.text("DISABLED"))
		}
	}
	const suffix = "LambdaTarget"
	target := newMapping()
	target.set("Arn", e.getAtt(e.f.r.id))
	target.set("Id", e.text(e.id[:min(len(e.id), maxTargetID-len(suffix))]+suffix))
	for _, key := range []string{"Input", "RetryPolicy"} {
		if n := e.in.values[key]; n != nil {
			target.set(key, n)
		}
	}
	if n := e.deadLetterConfig(); n != nil {
		target.set("DeadLetterConfig", n)
	}
	rule.set("Targets", &node{line: e.line, value: []*node{{line: e.line, value: target}}})

	permission := newMapping()
	permission.set("Action", e.text("lambda:InvokeFunction"))
	permission.set("FunctionName", object(e.line, "Ref", e.text(e.f.r.id)))
	permission.set("Principal", e.text("events.amazonaws.com"))
	permission.set("SourceArn", e.getAtt(e.id))
	return []*resource{
		e.resource(e.id, "AWS::Events::Rule", rule),
		e.resource(e.id+"Permission", "AWS::Lambda::Permission", permission),
	}
}

// deadLetterConfig returns that of a schedule's target, nil if it has none.
func (e samEvent) deadLetterConfig() *node {
	n := e.in.values["DeadLetterConfig"]
	if n == nil {
		return nil
	}
	if m, ok := n.mapping(); !ok || m.values["Arn"] == nil || len(m.keys) != 1 {
		e.f.p.add(n.line, e.at+".DeadLetterConfig", "wants the Arn of a queue and nothing else; SAM's queues are not supported")
	}
	return n
}

// scheduleV2 makes a schedule of EventBridge Scheduler, and the role in which it invokes
// the function, unless the event names one.
func (e samEvent) scheduleV2() []*resource {
	e.required("ScheduleExpression")
	e.unknown(append([]string{"Name", "OmitName", "Input", "RoleArn", "PermissionsBoundary", "RetryPolicy", "DeadLetterConfig"}, ofScheduler...)...)
	schedule := newMapping()
	schedule.set("FlexibleTimeWindow", object(e.line, "Mode", e.text("OFF")))
	for _, key := range ofScheduler {
		if n := e.in.values[key]; n != nil {
			schedule.set(key, n)
		}
	}
	omit := false
	if n := e.in.values["OmitName"]; n != nil {
		var ok bool
		if omit, ok = n.value.(bool); !ok {
			e.f.p.add(n.line, e.at+".OmitName", "wants true or false, not %s", describe(n))
		}
	}
	switch name := e.in.values["Name"]; {
	case name != nil && omit:
		e.f.p.add(name.line, e.at+".Name", "Name and OmitName cannot both be given")
	case name != nil:
		schedule.set("Name", name)
	case !omit:
		schedule.set("Name", e.text(e.id))
	}
	target := newMapping()
	target.set("Arn", e.getAtt(e.f.r.id))
	for _, key := range []string{"Input", "RetryPolicy"} {
		if n := e.in.values[key]; n != nil {
			target.set(key, n)
		}
	}
	dead := e.deadLetterConfig()
	if dead != nil {
		target.set("DeadLetterConfig", dead)
	}
	out := []*resource{e.resource(e.id, "AWS::Scheduler::Schedule", schedule)}
	if n := e.in.values["RoleArn"]; n != nil {
		target.set("RoleArn", n)
	} else {
		role := e.schedulerRole(dead)
		target.set("RoleArn", e.getAtt(role.id))
		out = append(out, role)
	}
	schedule.set("Target", &node{line: e.line, value: target})
	return out
}

// schedulerRole returns the role in which a schedule invokes its function, and sends what
// it cannot to the queue of dead.
func (e samEvent) schedulerRole(dead *node) *resource {
	policy := func(name, action string, on *node) *node {
		statement := object(e.line, "Action", e.text(action), "Effect", e.text("Allow"), "Resource", on)
		document := object(e.line, "Statement", &node{line: e.line, value: []*node{statement}})
		return object(e.line, "PolicyName", e.text(e.id+name), "PolicyDocument", document)
	}
	policies := []*node{policy("LambdaPolicy", "lambda:InvokeFunction", e.getAtt(e.f.r.id))}
	if dead != nil {
		if m, ok := dead.mapping(); ok && m.values["Arn"] != nil {
			policies = append(policies, policy("SQSPolicy", "sqs:SendMessage", m.values["Arn"]))
		}
	}
	properties := newMapping()
	properties.set("AssumeRolePolicyDocument", trust(e.line, "scheduler.amazonaws.com"))
	properties.set("Policies", &node{line: e.line, value: policies})
	if n := e.in.values["PermissionsBoundary"]; n != nil {
		properties.set("PermissionsBoundary", n)
	}
	return e.resource(e.id+"Role", "AWS::IAM::Role", properties)
}
