package main

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

// kind is a resource type that the laptop knows. Any other is an error.
type kind struct {
	// idle says why resources of the type have no effect on a laptop. It is
	// empty where a part runs them.
	idle string
	// values gives what Ref (under "Ref") and GetAtt on a resource yield, as
	// its page in the CloudFormation template reference says.
	values func(n names, r template.Resource) map[string]any
}

const (
	noNetwork = "everything runs on one machine, on 127.0.0.1"
	noIAM     = "nothing checks permissions on a laptop"
)

var kinds = map[string]kind{
	"AWS::EC2::VPC": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.id("vpc", r), "VpcId": n.id("vpc", r), "CidrBlock": r.Properties["CidrBlock"], "DefaultSecurityGroup": n.id("sg", r)}
	}},
	"AWS::EC2::InternetGateway": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.id("igw", r), "InternetGatewayId": n.id("igw", r)}
	}},
	"AWS::EC2::VPCGatewayAttachment": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": fmt.Sprintf("IGW|%v", r.Properties["VpcId"]), "AttachmentType": "IGW"}
	}},
	"AWS::EC2::Subnet": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{
			"Ref": n.id("subnet", r), "SubnetId": n.id("subnet", r), "VpcId": r.Properties["VpcId"],
			"CidrBlock": r.Properties["CidrBlock"], "AvailabilityZone": r.Properties["AvailabilityZone"],
		}
	}},
	"AWS::EC2::RouteTable": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.id("rtb", r), "RouteTableId": n.id("rtb", r)}
	}},
	"AWS::EC2::Route": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": fmt.Sprintf("%v|%v", r.Properties["RouteTableId"], r.Properties["DestinationCidrBlock"])}
	}},
	"AWS::EC2::SubnetRouteTableAssociation": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.id("rtbassoc", r), "Id": n.id("rtbassoc", r)}
	}},
	"AWS::EC2::SecurityGroup": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.id("sg", r), "GroupId": n.id("sg", r), "Id": n.id("sg", r), "VpcId": r.Properties["VpcId"]}
	}},
	"AWS::IAM::Role": {noIAM, func(n names, r template.Resource) map[string]any {
		name := n.name(r, "RoleName")
		path, _ := r.Properties["Path"].(string)
		if path == "" {
			path = "/"
		}
		return map[string]any{"Ref": name, "Arn": "arn:aws:iam::" + n.AccountID + ":role" + path + name, "RoleId": "AROA" + n.base32(r, 17)}
	}},
	"AWS::Logs::LogGroup": {"logs go to the terminal and to .local/laptop.log", func(n names, r template.Resource) map[string]any {
		name := n.name(r, "LogGroupName")
		return map[string]any{"Ref": name, "Arn": n.arn("logs", "log-group:"+name+":*")}
	}},
	"AWS::ECR::Repository": {"the service runs from its Go source, not from an image", func(n names, r template.Resource) map[string]any {
		name := strings.ToLower(n.name(r, "RepositoryName"))
		return map[string]any{
			"Ref": name, "Arn": n.arn("ecr", "repository/"+name),
			"RepositoryUri": n.AccountID + ".dkr.ecr." + n.Region + ".amazonaws.com/" + name,
		}
	}},
	"AWS::ECS::Cluster": {"a task is a process of this machine", func(n names, r template.Resource) map[string]any {
		name := n.name(r, "ClusterName")
		return map[string]any{"Ref": name, "Arn": n.arn("ecs", "cluster/"+name)}
	}},
	"AWS::RDS::DBSubnetGroup": {noNetwork, func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": strings.ToLower(n.name(r, "DBSubnetGroupName"))}
	}},

	// Run by parts.
	"AWS::RDS::DBParameterGroup": {"", func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": strings.ToLower(n.name(r, "DBParameterGroupName")), "DBParameterGroupName": strings.ToLower(n.name(r, "DBParameterGroupName"))}
	}},
	"AWS::RDS::DBInstance": {"", func(n names, r template.Resource) map[string]any {
		identifier := strings.ToLower(n.name(r, "DBInstanceIdentifier"))
		return map[string]any{
			"Ref": identifier, "DBInstanceArn": n.arn("rds", "db:"+identifier), "DbiResourceId": "db-" + n.base32(r, 26),
			"Endpoint.Address": n.host, "Endpoint.Port": strconv.Itoa(n.databasePorts[r.ID]),
			"MasterUserSecret.SecretArn": n.masterSecretARN(r),
		}
	}},
	"AWS::SecretsManager::Secret": {"", func(n names, r template.Resource) map[string]any {
		arn := secretsmanager.ARN(n.Region, n.AccountID, n.name(r, "Name"))
		return map[string]any{"Ref": arn, "Id": arn}
	}},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {"", func(n names, r template.Resource) map[string]any {
		name := n.short(r, "Name")
		full := "app/" + name + "/" + n.hex(r, 16)
		arn := n.arn("elasticloadbalancing", "loadbalancer/"+full)
		return map[string]any{
			"Ref": arn, "LoadBalancerArn": arn, "DNSName": n.balancer, "LoadBalancerName": name, "LoadBalancerFullName": full,
			"SecurityGroups": r.Properties["SecurityGroups"],
		}
	}},
	"AWS::ElasticLoadBalancingV2::Listener": {"", func(n names, r template.Resource) map[string]any {
		arn := fmt.Sprintf("%v/%s", r.Properties["LoadBalancerArn"], n.hex(r, 16))
		arn = strings.Replace(arn, ":loadbalancer/", ":listener/", 1)
		return map[string]any{"Ref": arn, "ListenerArn": arn}
	}},
	"AWS::ElasticLoadBalancingV2::ListenerRule": {"", func(n names, r template.Resource) map[string]any {
		arn := fmt.Sprintf("%v/%s", r.Properties["ListenerArn"], n.hex(r, 16))
		arn = strings.Replace(arn, ":listener/", ":listener-rule/", 1)
		return map[string]any{"Ref": arn, "RuleArn": arn, "IsDefault": false}
	}},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {"", func(n names, r template.Resource) map[string]any {
		name := n.short(r, "Name")
		full := "targetgroup/" + name + "/" + n.hex(r, 16)
		arn := n.arn("elasticloadbalancing", full)
		return map[string]any{"Ref": arn, "TargetGroupArn": arn, "TargetGroupName": name, "TargetGroupFullName": full}
	}},
	"AWS::Lambda::Function": {"", func(n names, r template.Resource) map[string]any {
		name := n.short(r, "FunctionName")
		return map[string]any{"Ref": name, "Arn": n.arn("lambda", "function:"+name)}
	}},
	"AWS::Lambda::Permission": {"", func(n names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.name(r, ""), "Id": n.name(r, "")}
	}},
	"AWS::ECS::TaskDefinition": {"", func(n names, r template.Resource) map[string]any {
		arn := n.arn("ecs", "task-definition/"+n.name(r, "Family")+":1")
		return map[string]any{"Ref": arn, "TaskDefinitionArn": arn}
	}},
	"AWS::ECS::Service": {"", func(n names, r template.Resource) map[string]any {
		cluster, _ := r.Properties["Cluster"].(string)
		if cluster == "" {
			cluster = "default"
		}
		name := n.name(r, "ServiceName")
		arn := n.arn("ecs", "service/"+cluster+"/"+name)
		return map[string]any{"Ref": arn, "ServiceArn": arn, "Name": name}
	}},
}

// checkKinds names every resource whose type the laptop does not know.
func checkKinds(resources []template.Resource) error {
	var errs []error
	for _, r := range resources {
		if _, ok := kinds[r.Type]; !ok {
			errs = append(errs, fmt.Errorf("%s: the laptop cloud does not know the type %s", r.ID, r.Type))
		}
	}
	return errors.Join(errs...)
}

// names gives resources their names, ids and ARNs: the template's where it
// names them, else ones that stay the same from run to run.
type names struct {
	template.Pseudo
	balancer      string         // host:port of the load balancer
	databasePorts map[string]int // by logical id
	host          string         // by which the databases are reached
}

// attribute answers Ref and GetAtt.
func (n names) attribute(r template.Resource, name string) (any, error) {
	values := kinds[r.Type].values(n, r)
	value, ok := values[name]
	if !ok || value == nil {
		known := slices.Sorted(maps.Keys(values))
		return nil, fmt.Errorf("the laptop cloud gives %s of %s, not %s", strings.Join(known, ", "), r.Type, name)
	}
	return value, nil
}

func (n names) text(r template.Resource, attribute string) string {
	text, _ := kinds[r.Type].values(n, r)[attribute].(string)
	return text
}

func (n names) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + n.Region + ":" + n.AccountID + ":" + resource
}

func (n names) hash(r template.Resource) [sha256.Size]byte {
	return sha256.Sum256([]byte(n.StackName + "/" + r.ID))
}

func (n names) hex(r template.Resource, length int) string {
	sum := n.hash(r)
	return hex.EncodeToString(sum[:])[:length]
}

func (n names) base32(r template.Resource, length int) string {
	sum := n.hash(r)
	return base32.StdEncoding.EncodeToString(sum[:])[:length]
}

func (n names) id(prefix string, r template.Resource) string { return prefix + "-" + n.hex(r, 17) }

// name is a property's value, or <stack>-<logical id>-<hash> where the
// template leaves the name to CloudFormation.
func (n names) name(r template.Resource, property string) string {
	if name, ok := r.Properties[property].(string); ok && name != "" {
		return name
	}
	return n.StackName + "-" + r.ID + "-" + n.base32(r, 12)
}

// short is name, cut as CloudFormation cuts it where names have a limit: 32
// characters for load balancers and target groups, 64 for functions.
func (n names) short(r template.Resource, property string) string {
	if name, ok := r.Properties[property].(string); ok && name != "" {
		return name
	}
	limit := 32
	if r.Type == "AWS::Lambda::Function" {
		limit = 64
	}
	end := "-" + n.base32(r, 12)
	start := n.StackName + "-" + r.ID
	return start[:min(len(start), limit-len(end))] + end
}

func (n names) masterSecretName(r template.Resource) string {
	sum := n.hex(r, 32)
	return fmt.Sprintf("rds!db-%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:])
}

func (n names) masterSecretARN(r template.Resource) string {
	return secretsmanager.ARN(n.Region, n.AccountID, n.masterSecretName(r))
}
