package contract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"plaudit/local/template"
)

// groups are the security groups of everything that runs in the VPC; "" means that a
// function runs outside of it. Only what uses a database is inside.
var groups = map[string]string{
	"score-add":     "FunctionSecurityGroup",
	"score-query":   "FunctionSecurityGroup",
	"board-admin":   "FunctionSecurityGroup",
	"outbox-relay":  "FunctionSecurityGroup",
	"player-sync":   "FunctionSecurityGroup",
	"db-migrate":    "MigrateSecurityGroup",
	"db-check":      "CheckSecurityGroup",
	"users":         "UsersSecurityGroup",
	"audit-add":     "",
	"audit-query":   "",
	"audit-publish": "",
}

// ways are where a security group lets its members connect to.
var ways = map[string][]string{
	"FunctionSecurityGroup":     {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"CheckSecurityGroup":        {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"UsersSecurityGroup":        {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"MigrateSecurityGroup":      {"5432 10.20.0.0/16"},
	"LoadBalancerSecurityGroup": {"8080 10.20.0.0/16"},
	// An impossible rule: without any, CloudFormation would make one to everywhere.
	"ScoresDbSecurityGroup": {"252-86 255.255.255.255/32"},
	"UsersDbSecurityGroup":  {"252-86 255.255.255.255/32"},
}

// descriptions are texts that CloudFormation cannot change in place: a new one makes
// a new group, and what has the old one may be cut off until it has moved.
var descriptions = map[string]string{
	"LoadBalancerSecurityGroup": "The load balancer, open to the world on the port of its listener",
	"FunctionSecurityGroup":     "Functions that use a database",
	"UsersSecurityGroup":        "Tasks of the users service",
	"ScoresDbSecurityGroup":     "The scores database, open to functions only",
	"UsersDbSecurityGroup":      "The users database, open to the users service and to db-migrate",
	"MigrateSecurityGroup":      "db-migrate, the only function that reaches both databases",
	"CheckSecurityGroup":        "db-check, which reaches both databases and the log",
	"DbParameters":              "Both databases",
}

// An upgrade replaces no group: the descriptions stay as they were first written.
func TestGroupsKeepTheirDescriptions(t *testing.T) {
	got := map[string]string{}
	for _, r := range named(t, "prod").Resources {
		switch r.Type {
		case "AWS::EC2::SecurityGroup":
			got[r.ID] = fmt.Sprint(r.Properties["GroupDescription"])
		case "AWS::RDS::DBParameterGroup":
			got[r.ID] = fmt.Sprint(r.Properties["Description"])
		}
	}
	if !maps.Equal(got, descriptions) {
		t.Errorf("the groups have the descriptions\n%q, want\n%q", got, descriptions)
	}
}

// member is a function or the users task, with what its network needs.
type member struct {
	name            string
	resource        template.Resource
	subnets, groups []string
}

func members(stack *template.Stack) []member {
	ids := func(v any) []string {
		var out []string
		for _, id := range texts(v) {
			id, _, _ := strings.Cut(id, ".")
			out = append(out, id)
		}
		return out
	}
	var out []member
	for _, f := range of(stack, "AWS::Lambda::Function") {
		vpc := f.Properties["VpcConfig"]
		out = append(out, member{folder(f), f, ids(at(vpc, "SubnetIds")), ids(at(vpc, "SecurityGroupIds"))})
	}
	for _, s := range of(stack, "AWS::ECS::Service") {
		task, _ := stack.Resource(fmt.Sprint(s.Properties["TaskDefinition"]))
		vpc := at(s.Properties, "NetworkConfiguration", "AwsvpcConfiguration")
		out = append(out, member{fmt.Sprint(s.Properties["ServiceName"]), task, ids(at(vpc, "Subnets")), ids(at(vpc, "SecurityGroups"))})
	}
	return out
}

// uses returns the databases that a member connects to, and whether it uses tables.
func (m member) uses() (databases []string, tables bool) {
	for variable := range variablesOf(m.resource) {
		switch {
		case variable == "SCORES_DSN":
			databases = append(databases, "ScoresDb")
		case variable == "USERS_DSN":
			databases = append(databases, "UsersDb")
		case strings.HasSuffix(variable, "_TABLE"):
			tables = true
		}
	}
	return databases, tables
}

// ports writes the ports of a rule.
func ports(rule any) string {
	from, to := fmt.Sprint(at(rule, "FromPort")), fmt.Sprint(at(rule, "ToPort"))
	if from == to {
		return from
	}
	return from + "-" + to
}

// egress lists where a group lets its members connect to, sorted.
func egress(group template.Resource) []string {
	var out []string
	for _, rule := range either(group.Properties["SecurityGroupEgress"]) {
		to := at(rule, "DestinationPrefixListId")
		if to == nil {
			to = at(rule, "CidrIp")
		}
		out = append(out, ports(rule)+" "+fmt.Sprint(to))
	}
	slices.Sort(out)
	return out
}

// admits reports whether a group lets members of another group in on a port.
func admits(group template.Resource, from, port string) bool {
	for _, rule := range either(group.Properties["SecurityGroupIngress"]) {
		if ports(rule) == port && at(rule, "SourceSecurityGroupId") == from+".GroupId" {
			return true
		}
	}
	return false
}

// A function is in the VPC if it uses a database, and nowhere else.
func TestOnlyWhatUsesADatabaseIsInTheVPC(t *testing.T) {
	stack := named(t, "prod")
	list := members(stack)
	for _, m := range list {
		want, ok := groups[m.name]
		if !ok {
			t.Errorf("%s is not in the list", m.name)
			continue
		}
		databases, _ := m.uses()
		if inside := len(databases) > 0; inside != (want != "") {
			t.Errorf("%s uses the databases %v, and the list has the group %q", m.name, databases, want)
		}
		if want == "" {
			if m.groups != nil || m.subnets != nil {
				t.Errorf("%s is in the VPC, with %v", m.name, m.groups)
			}
			continue
		}
		if !slices.Equal(m.groups, []string{want}) || !slices.Equal(m.subnets, []string{"PrivateSubnetA", "PrivateSubnetB"}) {
			t.Errorf("%s is in %v with %v, want the private subnets with %s", m.name, m.subnets, m.groups, want)
		}
	}
	if len(list) != len(groups) {
		t.Errorf("the stack has %d members, want %d", len(list), len(groups))
	}
}

// unreachable reports what a stack's network keeps its members from.
func unreachable(stack *template.Stack) (wrong []string) {
	tables := map[string]string{} // subnet → route table
	for _, a := range of(stack, "AWS::EC2::SubnetRouteTableAssociation") {
		tables[fmt.Sprint(a.Properties["SubnetId"])] = fmt.Sprint(a.Properties["RouteTableId"])
	}
	endpoints := map[string][]string{} // service → route tables
	for _, e := range of(stack, "AWS::EC2::VPCEndpoint") {
		service := fmt.Sprint(e.Properties["ServiceName"])
		endpoints[service] = append(endpoints[service], texts(e.Properties["RouteTableIds"])...)
	}
	for _, m := range members(stack) {
		if groups[m.name] == "" {
			continue
		}
		group, _ := stack.Resource(groups[m.name])
		out := egress(group)
		databases, usesTables := m.uses()
		for _, database := range databases {
			d, _ := stack.Resource(database)
			id, _, _ := strings.Cut(fmt.Sprint(at(d.Properties, "VPCSecurityGroups", 0)), ".")
			of, _ := stack.Resource(id)
			if !slices.Contains(out, "5432 10.20.0.0/16") || !admits(of, group.ID, "5432") {
				wrong = append(wrong, m.name+" does not reach "+database)
			}
		}
		if !usesTables {
			continue
		}
		for service, list := range map[string]string{"dynamodb": "443 pl-48a54021", "s3": "443 pl-78a54011"} {
			if !slices.Contains(out, list) {
				wrong = append(wrong, m.name+" may not connect to "+service)
			}
			for _, subnet := range m.subnets {
				if table := tables[subnet]; table == "" || !slices.Contains(endpoints["com.amazonaws.ap-northeast-2."+service], table) {
					wrong = append(wrong, m.name+" has no route to "+service+" from "+subnet)
				}
			}
		}
	}
	for _, g := range of(stack, "AWS::EC2::SecurityGroup") {
		if got := egress(g); !slices.Equal(got, ways[g.ID]) {
			wrong = append(wrong, fmt.Sprintf("%s lets its members connect to %q, want %q", g.ID, got, ways[g.ID]))
		}
	}
	// A database admits the groups of its clients alone.
	for _, d := range of(stack, "AWS::RDS::DBInstance") {
		id, _, _ := strings.Cut(fmt.Sprint(at(d.Properties, "VPCSecurityGroups", 0)), ".")
		group, _ := stack.Resource(id)
		var clients []string
		for _, m := range members(stack) {
			if databases, _ := m.uses(); slices.Contains(databases, d.ID) {
				clients = append(clients, groups[m.name])
			}
		}
		slices.Sort(clients)
		var admitted []string
		for _, rule := range either(group.Properties["SecurityGroupIngress"]) {
			from, _, _ := strings.Cut(fmt.Sprint(at(rule, "SourceSecurityGroupId")), ".")
			admitted = append(admitted, from)
		}
		slices.Sort(admitted)
		if clients = slices.Compact(clients); !slices.Equal(admitted, clients) {
			wrong = append(wrong, fmt.Sprintf("%s admits %v, and its clients are in %v", d.ID, admitted, clients))
		}
	}
	return wrong
}

// Everything in the VPC reaches its databases and tables, and nothing else.
func TestTheNetworkReachesWhatIsUsed(t *testing.T) {
	for _, name := range []string{"dev", "prod"} {
		for _, wrong := range unreachable(named(t, name)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// Each rule, route and endpoint of the private subnets is needed: without any one of
// them, something is not reached.
func TestAMissingWayIsFound(t *testing.T) {
	whole := named(t, "prod")
	for i, r := range whole.Resources {
		if slices.Contains([]string{"DynamoDbEndpoint", "S3Endpoint", "PrivateSubnetARoutes", "PrivateSubnetBRoutes"}, r.ID) {
			stack := copied(t, whole)
			stack.Resources = slices.Delete(stack.Resources, i, i+1)
			if len(unreachable(stack)) == 0 {
				t.Errorf("without %s, everything is reached", r.ID)
			}
		}
		if r.Type != "AWS::EC2::SecurityGroup" || r.ID == "LoadBalancerSecurityGroup" {
			continue
		}
		for _, direction := range []string{"SecurityGroupIngress", "SecurityGroupEgress"} {
			for n, rule := range either(r.Properties[direction]) {
				if at(rule, "SourceSecurityGroupId") == "LoadBalancerSecurityGroup.GroupId" {
					continue
				}
				stack := copied(t, whole)
				rules := stack.Resources[i].Properties[direction].([]any)
				stack.Resources[i].Properties[direction] = slices.Delete(rules, n, n+1)
				if len(unreachable(stack)) == 0 {
					t.Errorf("%s without %v: everything is reached", r.ID, rule)
				}
			}
		}
	}
}

// There is no way out of the private subnets but the gateway endpoints: nothing that
// runs there may need another service. What Lambda does for a function, with the
// function's role, does not come from the VPC.
func TestTheVPCNeedsNoOtherWayOut(t *testing.T) {
	stack := named(t, "prod")
	granted := map[string]bool{} // by the roles of what runs in the VPC
	for _, m := range members(stack) {
		if groups[m.name] == "" {
			continue
		}
		if m.resource.Properties["KmsKeyArn"] != nil {
			t.Errorf("%s has a key of KMS", m.name)
		}
		lines, err := rightsOf(stack, roleOf(stack, m.resource))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			action, _, _ := strings.Cut(line, " ")
			service, _, _ := strings.Cut(action, ":")
			switch {
			case service == "managed", // Lambda itself
				service == "rds-db", // signed without a call
				slices.Contains([]string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}, action): // Lambda's poller
			case service == "dynamodb", service == "s3":
				granted[line] = true
			default:
				t.Errorf("%s may call %s, and the VPC has no endpoint for it", m.name, line)
			}
		}
	}

	// The endpoints let through exactly that, from this account.
	through := map[string]bool{}
	for _, e := range of(stack, "AWS::EC2::VPCEndpoint") {
		if e.Properties["VpcEndpointType"] != "Gateway" {
			t.Errorf("%s is no gateway endpoint, which are free", e.ID)
		}
		list, err := statements(stack, e.Properties["PolicyDocument"])
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.effect != "Allow" || fmt.Sprint(s.condition) != "map[StringEquals:map[aws:PrincipalAccount:000000000000]]" {
				t.Errorf("%s lets through other accounts' callers: %+v", e.ID, s)
			}
			for _, action := range s.actions {
				for _, resource := range s.resources {
					through[action+" "+resource] = true
				}
			}
		}
	}
	if !maps.Equal(through, granted) {
		t.Errorf("the endpoints let through\n%q, and the roles in the VPC may\n%q", slices.Sorted(maps.Keys(through)), slices.Sorted(maps.Keys(granted)))
	}
}

// clients are the AWS clients that a program in the VPC may link, besides DynamoDB's.
// Nothing calls them: guregu/dynamo links that of the streams, and the SDK's package
// config those that look for credentials, which ECS hands out itself.
var clients = []string{"internal", "dynamodb", "dynamodbstreams", "sso", "ssooidc", "sts", "signin"}

// What runs in the VPC links no client of a service that it cannot reach.
func TestProgramsInTheVPCCallNoOtherService(t *testing.T) {
	for name, group := range groups {
		if group == "" {
			continue
		}
		dir := "functions"
		if name == "users" {
			dir = "services"
		}
		if !slices.Contains(folders(t, dir), name) {
			continue // TestEnvironmentsAreWhatIsRead reports it
		}
		for _, dep := range strings.Fields(golist(t, "-deps", "./"+dir+"/"+name)) {
			service, ok := strings.CutPrefix(dep, "github.com/aws/aws-sdk-go-v2/service/")
			if service, _, _ = strings.Cut(service, "/"); ok && !slices.Contains(clients, service) {
				t.Errorf("%s links the client of %s", name, service)
			}
		}
	}
}
