package elb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/template"
)

// Part is the part of a stack's load balancer, its listener and all that hangs on
// it.
type Part struct {
	laptop    part.Laptop
	port      net.Listener
	functions *lambda.Part

	resources []template.Resource
	groups    map[string]*TargetGroup // by ARN
	invokes   map[string]string       // target group's ARN → function's ARN
	wrong     bool                    // Read has returned an error
	balancer  *Balancer               // nil: the stack has none
	stop      func()                  // once it serves
}

// NewPart returns the part, which serves on a port. Its targets may be functions
// of the stack.
func NewPart(l part.Laptop, port net.Listener, functions *lambda.Part) *Part {
	return &Part{laptop: l, port: port, functions: functions, groups: map[string]*TargetGroup{}, invokes: map[string]string{}}
}

const (
	balancerType = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	listenerType = "AWS::ElasticLoadBalancingV2::Listener"
	ruleType     = "AWS::ElasticLoadBalancingV2::ListenerRule"
	groupType    = "AWS::ElasticLoadBalancingV2::TargetGroup"
)

// Types implements part.Part.
func (p *Part) Types() []string { return []string{balancerType, listenerType, ruleType, groupType} }

// maxName is the length of names of load balancers and target groups.
const maxName = 32

// Values implements part.Part.
func (p *Part) Values(r template.Resource) map[string]any {
	n := p.laptop.Names
	switch r.Type {
	case balancerType:
		name := n.Short(r, "Name", maxName)
		full := "app/" + name + "/" + n.Hex(r, 16)
		arn := n.ARN("elasticloadbalancing", "loadbalancer/"+full)
		return map[string]any{
			"Ref": arn, "LoadBalancerArn": arn, "DNSName": p.address(), "LoadBalancerName": name, "LoadBalancerFullName": full,
			"SecurityGroups": r.Properties["SecurityGroups"],
		}
	case listenerType:
		arn := fmt.Sprintf("%v/%s", r.Properties["LoadBalancerArn"], n.Hex(r, 16))
		arn = strings.Replace(arn, ":loadbalancer/", ":listener/", 1)
		return map[string]any{"Ref": arn, "ListenerArn": arn}
	case ruleType:
		arn := fmt.Sprintf("%v/%s", r.Properties["ListenerArn"], n.Hex(r, 16))
		arn = strings.Replace(arn, ":listener/", ":listener-rule/", 1)
		return map[string]any{"Ref": arn, "RuleArn": arn, "IsDefault": false}
	default:
		name := n.Short(r, "Name", maxName)
		full := "targetgroup/" + name + "/" + n.Hex(r, 16)
		arn := n.ARN("elasticloadbalancing", full)
		return map[string]any{"Ref": arn, "TargetGroupArn": arn, "TargetGroupName": name, "TargetGroupFullName": full}
	}
}

func (p *Part) ref(r template.Resource) string { return p.Values(r)["Ref"].(string) }

func (p *Part) address() string { return p.port.Addr().String() }

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	balancerType: {
		"Name": "part of its ARN", "Scheme": part.NoNetwork, "Subnets": part.NoNetwork, "SecurityGroups": part.NoNetwork, "IpAddressType": part.NoNetwork, "Tags": "nothing reads them",
	},
	listenerType: {"SslPolicy": "no TLS on a laptop"},
	groupType: {
		"Name": "part of its ARN", "VpcId": part.NoNetwork, "Port": "the port of a registered target counts", "IpAddressType": part.NoNetwork, "Tags": "nothing reads them",
		"HealthCheckProtocol": "checked where the target listens",
	},
}

func decode(r template.Resource, out any) error { return template.Decode(r, out, ignored[r.Type]) }

// Read implements part.Part. Link decodes all but the target groups, because the
// resources refer to each other.
func (p *Part) Read(r template.Resource) error {
	p.resources = append(p.resources, r)
	if r.Type != groupType {
		return nil
	}
	// Also one that is wrong: that is reported once, and not as a group that does
	// not exist.
	p.groups[p.ref(r)] = &TargetGroup{}
	err := p.readTargetGroup(r)
	p.wrong = p.wrong || err != nil
	return err
}

// Link implements part.Linker.
func (p *Part) Link(stack *template.Stack) error {
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range p.all(groupType) {
		fail(p.checkPermission(stack, r))
	}
	listener, ok, err := p.onlyOne(listenerType)
	fail(err)
	balancer, hasBalancer, err := p.onlyOne(balancerType)
	fail(err)
	if !ok || !hasBalancer || p.wrong || len(errs) > 0 {
		return errors.Join(errs...)
	}
	var in listenerProperties
	fail(decode(listener, &in))
	if in.Protocol != "HTTP" {
		fail(fmt.Errorf("%s: Protocol: the laptop cloud serves HTTP, not %s; leave the parameter CertificateArn empty", listener.ID, in.Protocol))
	}
	if in.LoadBalancerARN != p.ref(balancer) {
		fail(fmt.Errorf("%s: LoadBalancerArn: the stack has no load balancer %s", listener.ID, in.LoadBalancerARN))
	}
	config, err := readBalancer(balancer)
	fail(err)
	config.Log = p.laptop.Log
	config.Listener.Protocol = "HTTP"
	config.Listener.Port = p.port.Addr().(*net.TCPAddr).Port
	config.Listener.Default, err = p.readActions(listener.ID, in.DefaultActions)
	fail(err)
	for _, r := range p.all(ruleType) {
		rule, err := p.readRule(r, p.ref(listener))
		fail(err)
		config.Listener.Rules = append(config.Listener.Rules, rule)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	p.balancer, err = New(config)
	return err
}

// all returns the resources of a type.
func (p *Part) all(kind string) []template.Resource {
	var out []template.Resource
	for _, r := range p.resources {
		if r.Type == kind {
			out = append(out, r)
		}
	}
	return out
}

type listenerProperties struct {
	LoadBalancerARN string   `cfn:"LoadBalancerArn,required"`
	Port            int      `cfn:"Port,required"`
	Protocol        string   `cfn:"Protocol,required"`
	Certificates    []any    `cfn:"Certificates"`
	DefaultActions  []action `cfn:"DefaultActions,required"`
}

type ruleProperties struct {
	ListenerARN string   `cfn:"ListenerArn,required"`
	Priority    int      `cfn:"Priority,required"`
	Actions     []action `cfn:"Actions,required"`
	Conditions  []struct {
		Field       string   `cfn:"Field,required"`
		Values      []string `cfn:"Values"`
		PathPattern struct {
			Values []string `cfn:"Values"`
		} `cfn:"PathPatternConfig"`
		Method struct {
			Values []string `cfn:"Values"`
		} `cfn:"HttpRequestMethodConfig"`
	} `cfn:"Conditions,required"`
}

type action struct {
	Type           string `cfn:"Type,required"`
	TargetGroupARN string `cfn:"TargetGroupArn"`
	Order          int    `cfn:"Order"`
	Fixed          *struct {
		StatusCode  int    `cfn:"StatusCode,required"`
		ContentType string `cfn:"ContentType"`
		MessageBody string `cfn:"MessageBody"`
	} `cfn:"FixedResponseConfig"`
	Redirect *struct {
		Protocol   string `cfn:"Protocol"`
		Host       string `cfn:"Host"`
		Port       string `cfn:"Port"`
		Path       string `cfn:"Path"`
		Query      string `cfn:"Query"`
		StatusCode string `cfn:"StatusCode,required"`
	} `cfn:"RedirectConfig"`
}

func (p *Part) onlyOne(kind string) (found template.Resource, ok bool, err error) {
	for _, r := range p.all(kind) {
		if ok {
			return found, ok, fmt.Errorf("%s: the laptop cloud runs one %s, and the template already has %s", r.ID, kind, found.ID)
		}
		found, ok = r, true
	}
	return found, ok, nil
}

type attribute struct {
	Key   string `cfn:"Key,required"`
	Value string `cfn:"Value,required"`
}

func readBalancer(r template.Resource) (Config, error) {
	var in struct {
		Type       string      `cfn:"Type"`
		Attributes []attribute `cfn:"LoadBalancerAttributes"`
	}
	config := Config{}
	if err := decode(r, &in); err != nil {
		return config, err
	}
	if in.Type != "" && in.Type != "application" {
		return config, fmt.Errorf("%s: Type: the laptop cloud runs application load balancers, not %s ones", r.ID, in.Type)
	}
	var errs []error
	for _, a := range in.Attributes {
		switch a.Key {
		case "routing.http.drop_invalid_header_fields.enabled":
			config.DropInvalidHeaders = a.Value == "true"
		case "routing.http.desync_mitigation_mode":
			if a.Value == "monitor" {
				errs = append(errs, fmt.Errorf("%s: the laptop cloud knows the desync mitigation modes defensive and strictest", r.ID))
			}
			config.DesyncStrictest = a.Value == "strictest"
		case "idle_timeout.timeout_seconds":
			n, err := strconv.Atoi(a.Value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s is not a number of seconds: %w", r.ID, a.Key, err))
			}
			config.IdleTimeout = part.Seconds(n)
		case "deletion_protection.enabled", "access_logs.s3.enabled":
		default:
			errs = append(errs, fmt.Errorf("%s: LoadBalancerAttributes: the laptop cloud does not know %s", r.ID, a.Key))
		}
	}
	return config, errors.Join(errs...)
}

func (p *Part) readRule(r template.Resource, listener string) (Rule, error) {
	var in ruleProperties
	if err := decode(r, &in); err != nil {
		return Rule{}, err
	}
	if in.ListenerARN != listener {
		return Rule{}, fmt.Errorf("%s: ListenerArn: the stack has no listener %s", r.ID, in.ListenerARN)
	}
	action, err := p.readActions(r.ID, in.Actions)
	rule := Rule{Priority: in.Priority, Action: action}
	for _, c := range in.Conditions {
		rule.Conditions = append(rule.Conditions, Condition{Field: c.Field, Values: slices.Concat(c.Values, c.PathPattern.Values, c.Method.Values)})
	}
	return rule, err
}

func (p *Part) readActions(id string, in []action) (Action, error) {
	if len(in) != 1 {
		return Action{}, fmt.Errorf("%s: the laptop cloud knows one action, not %d", id, len(in))
	}
	a := in[0]
	out := Action{Type: a.Type}
	if a.TargetGroupARN != "" {
		group, ok := p.groups[a.TargetGroupARN]
		if !ok {
			return out, fmt.Errorf("%s: TargetGroupArn: the stack has no target group %s", id, a.TargetGroupARN)
		}
		out.TargetGroup = group
	}
	if f := a.Fixed; f != nil {
		out.Fixed = &FixedResponse{StatusCode: f.StatusCode, ContentType: f.ContentType, MessageBody: f.MessageBody}
	}
	if r := a.Redirect; r != nil {
		out.Redirect = &Redirect{Protocol: r.Protocol, Host: r.Host, Port: r.Port, Path: r.Path, Query: r.Query, StatusCode: r.StatusCode}
	}
	return out, nil
}

func (p *Part) readTargetGroup(r template.Resource) error {
	var in struct {
		TargetType         string `cfn:"TargetType"`
		Protocol           string `cfn:"Protocol"`
		Enabled            bool   `cfn:"HealthCheckEnabled"`
		Path               string `cfn:"HealthCheckPath"`
		Interval           int    `cfn:"HealthCheckIntervalSeconds"`
		Timeout            int    `cfn:"HealthCheckTimeoutSeconds"`
		HealthyThreshold   int    `cfn:"HealthyThresholdCount"`
		UnhealthyThreshold int    `cfn:"UnhealthyThresholdCount"`
		Matcher            struct {
			HTTPCode string `cfn:"HttpCode"`
		} `cfn:"Matcher"`
		Attributes []attribute `cfn:"TargetGroupAttributes"`
		Targets    []struct {
			ID string `cfn:"Id,required"`
		} `cfn:"Targets"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.TargetType != "lambda" && in.TargetType != "ip" {
		return fmt.Errorf("%s: TargetType: the laptop cloud knows lambda and ip, not %q", r.ID, in.TargetType)
	}
	if in.TargetType == "ip" && in.Protocol != "HTTP" {
		return fmt.Errorf("%s: Protocol: the laptop cloud knows HTTP, not %s", r.ID, in.Protocol)
	}
	group := &TargetGroup{
		ARN: p.ref(r), Name: p.Values(r)["TargetGroupName"].(string), Type: in.TargetType,
		Health: HealthCheck{
			Enabled: in.Enabled, Path: in.Path, Interval: part.Seconds(in.Interval), Timeout: part.Seconds(in.Timeout),
			HealthyThreshold: in.HealthyThreshold, UnhealthyThreshold: in.UnhealthyThreshold, Matcher: in.Matcher.HTTPCode,
		},
	}
	for _, a := range in.Attributes {
		switch a.Key {
		case "lambda.multi_value_headers.enabled":
			group.MultiValueHeaders = a.Value == "true"
		case "deregistration_delay.timeout_seconds": // requests in flight end with the task's own shutdown
		default:
			return fmt.Errorf("%s: TargetGroupAttributes: the laptop cloud does not know %s", r.ID, a.Key)
		}
	}
	p.groups[group.ARN] = group
	switch {
	case len(in.Targets) == 0:
		return nil
	case in.TargetType != "lambda" || len(in.Targets) > 1:
		return fmt.Errorf("%s: Targets: the laptop cloud knows one function as the target of a group of type lambda", r.ID)
	}
	p.invokes[group.ARN] = in.Targets[0].ID
	return nil
}

// checkPermission returns an error if Elastic Load Balancing could not register a
// target group's function: a permission for the balancer's principal that matches
// the group must exist before.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func (p *Part) checkPermission(stack *template.Stack, group template.Resource) error {
	groupARN := p.ref(group)
	functionARN, ok := p.invokes[groupARN]
	if !ok {
		return nil
	}
	permissions, ok := p.functions.Permissions(functionARN, "elasticloadbalancing.amazonaws.com", groupARN)
	if !ok {
		return fmt.Errorf("%s: Targets: the stack has no function %s", group.ID, functionARN)
	}
	late := ""
	for _, id := range permissions {
		if before(stack, group, id) {
			return nil
		}
		late = id
	}
	err := fmt.Errorf("%s: elasticloadbalancing principal does not have permission to invoke %s from target group %s", group.ID, functionARN, groupARN)
	if late != "" {
		return fmt.Errorf("%w: %s grants it, but may be made later; add DependsOn: %s", err, late, late)
	}
	return err
}

// before reports whether a resource depends on another one, also indirectly.
func before(stack *template.Stack, r template.Resource, id string) bool {
	for _, need := range r.DependsOn {
		if need == id {
			return true
		}
		if next, ok := stack.Resource(need); ok && before(stack, next, id) {
			return true
		}
	}
	return false
}

// Start implements part.Part.
func (p *Part) Start(context.Context) error {
	if p.balancer == nil {
		return p.port.Close()
	}
	began := time.Now()
	for arn, to := range p.invokes {
		function, ok := p.functions.Function(to)
		if !ok {
			return fmt.Errorf("target group %s: the function %s does not exist", p.groups[arn].Name, to)
		}
		p.groups[arn].Function = function
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.balancer.Serve(ctx, p.port); err != nil {
			p.laptop.Fail(err)
		}
	}()
	p.stop = func() {
		cancel()
		<-done
	}
	p.laptop.Started("load balancer", fmt.Sprintf("%s, rules %d", p.address(), len(p.balancer.listener.Rules)), time.Since(began))
	return p.laptop.ChangeRun(func(r *part.Run) { r.URL = "http://" + p.address() })
}

// Group returns a target group of the stack.
func (p *Part) Group(arn string) (*TargetGroup, bool) {
	group, ok := p.groups[arn]
	return group, ok
}

// HealthPath returns the path of the group's health check.
func (g *TargetGroup) HealthPath() string { return cmp.Or(g.Health.Path, "/") }

// API implements part.Part.
func (p *Part) API() (string, http.Handler) { return "", nil }

// Stop implements part.Part.
func (p *Part) Stop() {
	if p.stop != nil {
		p.stop()
	}
}
