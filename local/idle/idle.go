// Package idle holds the resource types that have no effect on a laptop: network,
// roles, log groups and the like. They have names and ids, because other resources
// refer to them.
package idle

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"plaudit/local/part"
	"plaudit/local/template"
)

// kind is a resource type without effect on a laptop.
type kind struct {
	reason string
	// values returns what Ref (under "Ref") and GetAtt yield for a resource, as
	// the CloudFormation template reference defines them.
	values func(n part.Names, r template.Resource) map[string]any
}

var kinds = map[string]kind{
	"AWS::EC2::VPC": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("vpc", r), "VpcId": n.ID("vpc", r), "CidrBlock": r.Properties["CidrBlock"], "DefaultSecurityGroup": n.ID("sg", r)}
	}},
	"AWS::EC2::InternetGateway": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("igw", r), "InternetGatewayId": n.ID("igw", r)}
	}},
	"AWS::EC2::VPCGatewayAttachment": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": fmt.Sprintf("IGW|%v", r.Properties["VpcId"]), "AttachmentType": "IGW"}
	}},
	"AWS::EC2::Subnet": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{
			"Ref": n.ID("subnet", r), "SubnetId": n.ID("subnet", r), "VpcId": r.Properties["VpcId"],
			"CidrBlock": r.Properties["CidrBlock"], "AvailabilityZone": r.Properties["AvailabilityZone"],
		}
	}},
	"AWS::EC2::RouteTable": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("rtb", r), "RouteTableId": n.ID("rtb", r)}
	}},
	"AWS::EC2::Route": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": fmt.Sprintf("%v|%v", r.Properties["RouteTableId"], r.Properties["DestinationCidrBlock"])}
	}},
	"AWS::EC2::SubnetRouteTableAssociation": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("rtbassoc", r), "Id": n.ID("rtbassoc", r)}
	}},
	"AWS::EC2::VPCEndpoint": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("vpce", r), "Id": n.ID("vpce", r)}
	}},
	"AWS::EC2::SecurityGroup": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": n.ID("sg", r), "GroupId": n.ID("sg", r), "Id": n.ID("sg", r), "VpcId": r.Properties["VpcId"]}
	}},
	"AWS::IAM::Role": {part.NoIAM, func(n part.Names, r template.Resource) map[string]any {
		name := n.Name(r, "RoleName")
		path, _ := r.Properties["Path"].(string)
		if path == "" {
			path = "/"
		}
		return map[string]any{"Ref": name, "Arn": "arn:aws:iam::" + n.AccountID + ":role" + path + name, "RoleId": "AROA" + n.Base32(r, 17)}
	}},
	"AWS::Logs::LogGroup": {"logs go to the terminal and to .local/laptop.log", func(n part.Names, r template.Resource) map[string]any {
		name := n.Name(r, "LogGroupName")
		return map[string]any{"Ref": name, "Arn": n.ARN("logs", "log-group:"+name+":*")}
	}},
	"AWS::ECR::Repository": {"the service runs from its Go source, not from an image", func(n part.Names, r template.Resource) map[string]any {
		name := strings.ToLower(n.Name(r, "RepositoryName"))
		return map[string]any{
			"Ref": name, "Arn": n.ARN("ecr", "repository/"+name),
			"RepositoryUri": n.AccountID + ".dkr.ecr." + n.Region + ".amazonaws.com/" + name,
		}
	}},
	"AWS::ECS::Cluster": {"a task is a process of this machine", func(n part.Names, r template.Resource) map[string]any {
		name := n.Name(r, "ClusterName")
		return map[string]any{"Ref": name, "Arn": n.ARN("ecs", "cluster/"+name)}
	}},
	"AWS::RDS::DBSubnetGroup": {part.NoNetwork, func(n part.Names, r template.Resource) map[string]any {
		return map[string]any{"Ref": strings.ToLower(n.Name(r, "DBSubnetGroupName"))}
	}},
}

// Part is the part of every resource that has no effect.
type Part struct{ laptop part.Laptop }

// New returns the part.
func New(l part.Laptop) *Part { return &Part{l} }

// Types implements part.Part.
func (p *Part) Types() []string { return slices.Sorted(maps.Keys(kinds)) }

// Values implements part.Part.
func (p *Part) Values(r template.Resource) map[string]any {
	return kinds[r.Type].values(p.laptop.Names, r)
}

// Read implements part.Part.
func (p *Part) Read(r template.Resource) error {
	p.laptop.Log.Debug("resource has no effect on a laptop", "resource", r.ID, "type", r.Type, "reason", kinds[r.Type].reason)
	return nil
}

// Start implements part.Part.
func (p *Part) Start(context.Context) error { return nil }

// API implements part.Part.
func (p *Part) API() (string, http.Handler) { return "", nil }

// Stop implements part.Part.
func (p *Part) Stop() {}
