package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"plaudit/local/elb"
	"plaudit/local/template"
)

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

// addBalancer reads the load balancer, its listener and all that hangs on it.
func (p *plan) addBalancer(stack *template.Stack, n names) error {
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range stack.Resources {
		if r.Type == "AWS::ElasticLoadBalancingV2::TargetGroup" {
			fail(p.addTargetGroup(stack, n, r))
		}
	}
	listener, ok, err := onlyOne(stack, "AWS::ElasticLoadBalancingV2::Listener")
	fail(err)
	balancer, hasBalancer, err := onlyOne(stack, "AWS::ElasticLoadBalancingV2::LoadBalancer")
	fail(err)
	if !ok || !hasBalancer || len(errs) > 0 {
		return errors.Join(errs...)
	}
	var in listenerProperties
	fail(decode(listener, &in))
	if in.Protocol != "HTTP" {
		fail(fmt.Errorf("%s: Protocol: the laptop cloud serves HTTP, not %s; leave the parameter CertificateArn empty", listener.ID, in.Protocol))
	}
	if in.LoadBalancerARN != n.text(balancer, "Ref") {
		fail(fmt.Errorf("%s: LoadBalancerArn: the stack has no load balancer %s", listener.ID, in.LoadBalancerARN))
	}
	config, err := p.readBalancer(balancer)
	fail(err)
	_, port, _ := strings.Cut(n.balancer, ":")
	config.Listener.Protocol = "HTTP"
	config.Listener.Port, err = strconv.Atoi(port)
	fail(err)
	config.Listener.Default, err = p.readActions(listener.ID, in.DefaultActions)
	fail(err)
	for _, r := range stack.Resources {
		if r.Type != "AWS::ElasticLoadBalancingV2::ListenerRule" {
			continue
		}
		rule, err := p.readRule(r, n.text(listener, "Ref"))
		fail(err)
		config.Listener.Rules = append(config.Listener.Rules, rule)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	p.balancer = config
	_, err = elb.New(*config) // its limits, before anything starts
	return err
}

func onlyOne(stack *template.Stack, kind string) (found template.Resource, ok bool, err error) {
	for _, r := range stack.Resources {
		if r.Type != kind {
			continue
		}
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

func (p *plan) readBalancer(r template.Resource) (*elb.Config, error) {
	var in struct {
		Type       string      `cfn:"Type"`
		Attributes []attribute `cfn:"LoadBalancerAttributes"`
	}
	config := &elb.Config{}
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
			config.IdleTimeout = seconds(n)
		case "deletion_protection.enabled", "access_logs.s3.enabled":
		default:
			errs = append(errs, fmt.Errorf("%s: LoadBalancerAttributes: the laptop cloud does not know %s", r.ID, a.Key))
		}
	}
	return config, errors.Join(errs...)
}

func (p *plan) readRule(r template.Resource, listener string) (elb.Rule, error) {
	var in ruleProperties
	if err := decode(r, &in); err != nil {
		return elb.Rule{}, err
	}
	if in.ListenerARN != listener {
		return elb.Rule{}, fmt.Errorf("%s: ListenerArn: the stack has no listener %s", r.ID, in.ListenerARN)
	}
	action, err := p.readActions(r.ID, in.Actions)
	rule := elb.Rule{Priority: in.Priority, Action: action}
	for _, c := range in.Conditions {
		rule.Conditions = append(rule.Conditions, elb.Condition{Field: c.Field, Values: slices.Concat(c.Values, c.PathPattern.Values, c.Method.Values)})
	}
	return rule, err
}

func (p *plan) readActions(id string, in []action) (elb.Action, error) {
	if len(in) != 1 {
		return elb.Action{}, fmt.Errorf("%s: the laptop cloud knows one action, not %d", id, len(in))
	}
	a := in[0]
	out := elb.Action{Type: a.Type}
	if a.TargetGroupARN != "" {
		group, ok := p.groups[a.TargetGroupARN]
		if !ok {
			return out, fmt.Errorf("%s: TargetGroupArn: the stack has no target group %s", id, a.TargetGroupARN)
		}
		out.TargetGroup = group
	}
	if f := a.Fixed; f != nil {
		out.Fixed = &elb.FixedResponse{StatusCode: f.StatusCode, ContentType: f.ContentType, MessageBody: f.MessageBody}
	}
	if r := a.Redirect; r != nil {
		out.Redirect = &elb.Redirect{Protocol: r.Protocol, Host: r.Host, Port: r.Port, Path: r.Path, Query: r.Query, StatusCode: r.StatusCode}
	}
	return out, nil
}

func (p *plan) addTargetGroup(stack *template.Stack, n names, r template.Resource) error {
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
	group := &elb.TargetGroup{
		ARN: n.text(r, "Ref"), Name: n.text(r, "TargetGroupName"), Type: in.TargetType,
		Health: elb.HealthCheck{
			Enabled: in.Enabled, Path: in.Path, Interval: seconds(in.Interval), Timeout: seconds(in.Timeout),
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
	return checkPermission(stack, n, r, group.ARN, in.Targets[0].ID)
}

// checkPermission returns an error if Elastic Load Balancing could not register a
// target group's function: a permission for the balancer's principal that matches
// the group must exist before.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func checkPermission(stack *template.Stack, n names, group template.Resource, groupARN, functionARN string) error {
	function, ok := find(stack, n, "AWS::Lambda::Function", "Arn", functionARN)
	if !ok {
		return fmt.Errorf("%s: Targets: the stack has no function %s", group.ID, functionARN)
	}
	late := ""
	for _, r := range stack.Resources {
		if r.Type != "AWS::Lambda::Permission" {
			continue
		}
		var in struct {
			FunctionName string `cfn:"FunctionName,required"`
			Action       string `cfn:"Action,required"`
			Principal    string `cfn:"Principal,required"`
			SourceARN    string `cfn:"SourceArn"`
		}
		if err := decode(r, &in); err != nil {
			return err
		}
		if in.FunctionName != functionARN && in.FunctionName != n.text(function, "Ref") ||
			in.Action != "lambda:InvokeFunction" && in.Action != "lambda:*" ||
			in.Principal != "elasticloadbalancing.amazonaws.com" ||
			in.SourceARN != "" && !arnLike(in.SourceARN, groupARN) {
			continue
		}
		if before(stack, group, r.ID) {
			return nil
		}
		late = r.ID
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

// arnLike is IAM's ArnLike: * and ? within each of the six parts.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func arnLike(pattern, arn string) bool {
	patterns, parts := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(patterns) != len(parts) {
		return false
	}
	for i, part := range parts {
		quoted := regexp.QuoteMeta(patterns[i])
		quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
		if ok, err := regexp.MatchString(`\A(?s:`+quoted+`)\z`, part); err != nil || !ok {
			return false
		}
	}
	return true
}
