package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"plaudit/local/part"
	"plaudit/local/template"
)

// kind is a resource type that this package runs.
type kind struct {
	// values returns what Ref (under "Ref") and GetAtt yield for a resource, as
	// the CloudFormation template reference defines them.
	values func(n names, r template.Resource) map[string]any
}

var kinds = map[string]kind{
	"AWS::RDS::DBParameterGroup": {func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": strings.ToLower(n.Name(r, "DBParameterGroupName")), "DBParameterGroupName": strings.ToLower(n.Name(r, "DBParameterGroupName"))}
	}},
	"AWS::RDS::DBInstance": {func(n names, r template.Resource) map[string]any {
		identifier := strings.ToLower(n.Name(r, "DBInstanceIdentifier"))
		return map[string]any{
			"Ref": identifier, "DBInstanceArn": n.ARN("rds", "db:"+identifier), "DbiResourceId": "db-" + n.Base32(r, 26),
			"Endpoint.Address": n.host, "Endpoint.Port": strconv.Itoa(n.databasePorts[r.ID]),
			"MasterUserSecret.SecretArn": n.parts.secrets.ARN(n.masterSecretName(r)),
		}
	}},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {func(n names, r template.Resource) map[string]any {
		name := n.short(r, "Name")
		full := "app/" + name + "/" + n.Hex(r, 16)
		arn := n.ARN("elasticloadbalancing", "loadbalancer/"+full)
		return map[string]any{
			"Ref": arn, "LoadBalancerArn": arn, "DNSName": n.balancer, "LoadBalancerName": name, "LoadBalancerFullName": full,
			"SecurityGroups": r.Properties["SecurityGroups"],
		}
	}},
	"AWS::ElasticLoadBalancingV2::Listener": {func(n names, r template.Resource) map[string]any {
		arn := fmt.Sprintf("%v/%s", r.Properties["LoadBalancerArn"], n.Hex(r, 16))
		arn = strings.Replace(arn, ":loadbalancer/", ":listener/", 1)
		return map[string]any{"Ref": arn, "ListenerArn": arn}
	}},
	"AWS::ElasticLoadBalancingV2::ListenerRule": {func(n names, r template.Resource) map[string]any {
		arn := fmt.Sprintf("%v/%s", r.Properties["ListenerArn"], n.Hex(r, 16))
		arn = strings.Replace(arn, ":listener/", ":listener-rule/", 1)
		return map[string]any{"Ref": arn, "RuleArn": arn, "IsDefault": false}
	}},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {func(n names, r template.Resource) map[string]any {
		name := n.short(r, "Name")
		full := "targetgroup/" + name + "/" + n.Hex(r, 16)
		arn := n.ARN("elasticloadbalancing", full)
		return map[string]any{"Ref": arn, "TargetGroupArn": arn, "TargetGroupName": name, "TargetGroupFullName": full}
	}},
	"AWS::Lambda::Function": {func(n names, r template.Resource) map[string]any {
		name := n.short(r, "FunctionName")
		return map[string]any{"Ref": name, "Arn": n.ARN("lambda", "function:"+name)}
	}},
	"AWS::Lambda::Permission": {func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.Name(r, ""), "Id": n.Name(r, "")}
	}},
	"AWS::ECS::TaskDefinition": {func(n names, r template.Resource) map[string]any {
		arn := n.ARN("ecs", "task-definition/"+n.Name(r, "Family")+":1")
		return map[string]any{"Ref": arn, "TaskDefinitionArn": arn}
	}},
	"AWS::ECS::Service": {func(n names, r template.Resource) map[string]any {
		cluster, _ := r.Properties["Cluster"].(string)
		if cluster == "" {
			cluster = "default"
		}
		name := n.Name(r, "ServiceName")
		arn := n.ARN("ecs", "service/"+cluster+"/"+name)
		return map[string]any{"Ref": arn, "ServiceArn": arn, "Name": name}
	}},
}

// names builds the names, ids and ARNs of resources, and what Ref and GetAtt
// yield for them.
type names struct {
	part.Names
	parts         parts
	balancer      string         // host:port of the load balancer
	databasePorts map[string]int // by logical id
	host          string         // of the databases
}

// check names every resource whose type the laptop cloud does not support.
func (n names) check(resources []template.Resource) error {
	var errs []error
	for _, r := range resources {
		_, isPart := n.parts.byType[r.Type]
		if _, ok := kinds[r.Type]; !ok && !isPart {
			errs = append(errs, fmt.Errorf("%s: the laptop cloud does not support the type %s", r.ID, r.Type))
		}
	}
	return errors.Join(errs...)
}

// values returns what Ref (under "Ref") and GetAtt yield for a resource.
func (n names) values(r template.Resource) map[string]any {
	if p, ok := n.parts.byType[r.Type]; ok {
		return p.Values(r)
	}
	return kinds[r.Type].values(n, r)
}

// attribute answers Ref and GetAtt.
func (n names) attribute(r template.Resource, name string) (any, error) {
	values := n.values(r)
	value, ok := values[name]
	if !ok || value == nil {
		known := slices.Sorted(maps.Keys(values))
		return nil, fmt.Errorf("the laptop cloud knows %s of %s, not %s", strings.Join(known, ", "), r.Type, name)
	}
	return value, nil
}

func (n names) text(r template.Resource, attribute string) string {
	text, _ := n.values(r)[attribute].(string)
	return text
}

// short is Name, cut to CloudFormation's limit: 32 characters for load
// balancers and target groups, 64 for functions.
func (n names) short(r template.Resource, property string) string {
	if name, ok := r.Properties[property].(string); ok && name != "" {
		return name
	}
	limit := 32
	if r.Type == "AWS::Lambda::Function" {
		limit = 64
	}
	end := "-" + n.Base32(r, 12)
	start := n.StackName + "-" + r.ID
	return start[:min(len(start), limit-len(end))] + end
}

// masterSecretName returns the name of the secret that RDS makes for the master
// password of a database.
func (n names) masterSecretName(r template.Resource) string {
	sum := n.Hex(r, 32)
	return fmt.Sprintf("rds!db-%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:])
}
