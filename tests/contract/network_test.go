package contract

import (
	"encoding/json"
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
	"period-close":  "FunctionSecurityGroup",
	"db-migrate":    "MigrateSecurityGroup",
	"db-check":      "CheckSecurityGroup",
	"users":         "UsersSecurityGroup",
	"audit-add":     "",
	"audit-query":   "",
	"audit-publish": "",
	"notify":        "",
}

// ways are where a security group lets its members connect to.
var ways = map[string][]string{
	"FunctionSecurityGroup":     {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"CheckSecurityGroup":        {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"UsersSecurityGroup":        {"443 pl-48a54021", "443 pl-78a54011", "5432 10.20.0.0/16"},
	"MigrateSecurityGroup":      {"5432 10.20.0.0/16"},
	"LoadBalancerSecurityGroup": {"8080 10.20.0.0/16"},
	// An impossible rule: without any, CloudFormation would make one to everywhere.
	"ScoresDbSecurityGroup": {"icmp 252-86 255.255.255.255/32"},
	"UsersDbSecurityGroup":  {"icmp 252-86 255.255.255.255/32"},
}

// entries are whom a security group lets connect to its members. One that is not here
// lets nobody.
var entries = map[string][]string{
	"LoadBalancerSecurityGroup": {"443 0.0.0.0/0", "80 0.0.0.0/0"}, // 443 with a certificate
	"UsersSecurityGroup":        {"8080 LoadBalancerSecurityGroup.GroupId"},
	"ScoresDbSecurityGroup":     {"5432 CheckSecurityGroup.GroupId", "5432 FunctionSecurityGroup.GroupId", "5432 MigrateSecurityGroup.GroupId"},
	"UsersDbSecurityGroup":      {"5432 CheckSecurityGroup.GroupId", "5432 MigrateSecurityGroup.GroupId", "5432 UsersSecurityGroup.GroupId"},
}

// network is everything of the network but its security groups and the policies of its
// endpoints, with all properties but tags. What is not here does not exist: no other
// route, and no other way into the VPC or out of it.
var network = map[string]string{
	"AWS::EC2::VPC Vpc":                                          `{"CidrBlock":"10.20.0.0/16","EnableDnsHostnames":true,"EnableDnsSupport":true}`,
	"AWS::EC2::InternetGateway InternetGateway":                  `{}`,
	"AWS::EC2::VPCGatewayAttachment InternetGatewayAttachment":   `{"InternetGatewayId":"InternetGateway","VpcId":"Vpc"}`,
	"AWS::EC2::Subnet PublicSubnetA":                             `{"AvailabilityZone":"ap-northeast-2a","CidrBlock":"10.20.0.0/20","VpcId":"Vpc"}`,
	"AWS::EC2::Subnet PublicSubnetB":                             `{"AvailabilityZone":"ap-northeast-2b","CidrBlock":"10.20.16.0/20","VpcId":"Vpc"}`,
	"AWS::EC2::Subnet PrivateSubnetA":                            `{"AvailabilityZone":"ap-northeast-2a","CidrBlock":"10.20.128.0/20","VpcId":"Vpc"}`,
	"AWS::EC2::Subnet PrivateSubnetB":                            `{"AvailabilityZone":"ap-northeast-2b","CidrBlock":"10.20.144.0/20","VpcId":"Vpc"}`,
	"AWS::EC2::RouteTable PublicRouteTable":                      `{"VpcId":"Vpc"}`,
	"AWS::EC2::RouteTable PrivateRouteTable":                     `{"VpcId":"Vpc"}`,
	"AWS::EC2::Route PublicDefaultRoute":                         `{"DestinationCidrBlock":"0.0.0.0/0","GatewayId":"InternetGateway","RouteTableId":"PublicRouteTable"}`,
	"AWS::EC2::SubnetRouteTableAssociation PublicSubnetARoutes":  `{"RouteTableId":"PublicRouteTable","SubnetId":"PublicSubnetA"}`,
	"AWS::EC2::SubnetRouteTableAssociation PublicSubnetBRoutes":  `{"RouteTableId":"PublicRouteTable","SubnetId":"PublicSubnetB"}`,
	"AWS::EC2::SubnetRouteTableAssociation PrivateSubnetARoutes": `{"RouteTableId":"PrivateRouteTable","SubnetId":"PrivateSubnetA"}`,
	"AWS::EC2::SubnetRouteTableAssociation PrivateSubnetBRoutes": `{"RouteTableId":"PrivateRouteTable","SubnetId":"PrivateSubnetB"}`,
	"AWS::EC2::VPCEndpoint DynamoDbEndpoint":                     `{"RouteTableIds":["PrivateRouteTable"],"ServiceName":"com.amazonaws.ap-northeast-2.dynamodb","VpcEndpointType":"Gateway","VpcId":"Vpc"}`,
	"AWS::EC2::VPCEndpoint S3Endpoint":                           `{"RouteTableIds":["PrivateRouteTable"],"ServiceName":"com.amazonaws.ap-northeast-2.s3","VpcEndpointType":"Gateway","VpcId":"Vpc"}`,
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

// rules lists the rules of a group in one direction, sorted: the protocol unless it is
// TCP, the ports, and the other side.
func rules(group template.Resource, direction string) []string {
	var out []string
	for _, item := range either(group.Properties["SecurityGroup"+direction]) {
		rule, _ := item.(map[string]any)
		text := fmt.Sprint(rule["FromPort"])
		if to := fmt.Sprint(rule["ToPort"]); to != text {
			text += "-" + to
		}
		if protocol := rule["IpProtocol"]; protocol != "tcp" {
			text = fmt.Sprint(protocol, " ", text)
		}
		for _, key := range slices.Sorted(maps.Keys(rule)) {
			if !slices.Contains([]string{"Description", "IpProtocol", "FromPort", "ToPort"}, key) {
				text += " " + fmt.Sprint(rule[key])
			}
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func egress(group template.Resource) []string  { return rules(group, "Egress") }
func ingress(group template.Resource) []string { return rules(group, "Ingress") }

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
			if !slices.Contains(out, "5432 10.20.0.0/16") || !slices.Contains(ingress(of), "5432 "+group.ID+".GroupId") {
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

// opened reports how the network of a stack differs from network and entries, and
// which of its parts are in other groups than their own.
func opened(t *testing.T, stack *template.Stack) (wrong []string) {
	t.Helper()
	got := map[string]string{}
	for _, r := range stack.Resources {
		if !strings.HasPrefix(r.Type, "AWS::EC2::") || r.Type == "AWS::EC2::SecurityGroup" {
			continue
		}
		properties := maps.Clone(r.Properties)
		delete(properties, "Tags")
		delete(properties, "PolicyDocument") // in documents
		text, err := json.Marshal(properties)
		if err != nil {
			t.Fatal(err)
		}
		got[r.Type+" "+r.ID] = string(text)
	}
	for id, text := range got {
		if text != network[id] {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %q", id, text, network[id]))
		}
	}
	for id := range network {
		if got[id] == "" {
			wrong = append(wrong, "the network has no "+id)
		}
	}
	for id := range ways {
		if _, ok := stack.Resource(id); !ok {
			wrong = append(wrong, "the network has no group "+id)
		}
	}
	for _, g := range of(stack, "AWS::EC2::SecurityGroup") {
		if got, want := ingress(g), entries[g.ID]; !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s lets in %q, want %q", g.ID, got, want))
		}
	}
	for id, want := range map[string]string{"LoadBalancer": "LoadBalancerSecurityGroup", "ScoresDb": "ScoresDbSecurityGroup", "UsersDb": "UsersDbSecurityGroup"} {
		r, _ := stack.Resource(id)
		for _, property := range []string{"SecurityGroups", "VPCSecurityGroups"} {
			if r.Properties[property] != nil && !slices.Equal(texts(r.Properties[property]), []string{want + ".GroupId"}) {
				wrong = append(wrong, fmt.Sprintf("%s is in %v, want %s", id, r.Properties[property], want))
			}
		}
	}
	return wrong
}

// There is no way into the VPC or out of it but those that are listed.
func TestTheNetworkIsClosed(t *testing.T) {
	certificate := map[string]string{"CertificateArn": "arn:aws:acm:ap-northeast-2:000000000000:certificate/0a"}
	for _, name := range []string{"dev", "prod"} {
		for _, wrong := range opened(t, changed(t, name, certificate)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	// Without a certificate nothing listens on 443.
	balancer, _ := named(t, "prod").Resource("LoadBalancerSecurityGroup")
	if got := ingress(balancer); !slices.Equal(got, []string{"80 0.0.0.0/0"}) {
		t.Errorf("without a certificate, the load balancer lets in %q", got)
	}
}

// One route, rule or part of the network more or less is found, whichever it is.
func TestAnotherWayIsFound(t *testing.T) {
	whole := changed(t, "prod", map[string]string{"CertificateArn": "arn:aws:acm:ap-northeast-2:000000000000:certificate/0a"})
	find := func(what string, change func(s *template.Stack)) {
		t.Helper()
		stack := copied(t, whole)
		change(stack)
		if len(opened(t, stack))+len(unreachable(stack)) == 0 {
			t.Errorf("%s is not found", what)
		}
	}
	for i, r := range whole.Resources {
		if !strings.HasPrefix(r.Type, "AWS::EC2::") {
			continue
		}
		find("the removal of "+r.ID, func(s *template.Stack) { s.Resources = slices.Delete(s.Resources, i, i+1) })
		find("another "+r.ID, func(s *template.Stack) {
			more := s.Resources[i]
			more.ID += "Again"
			s.Resources = append(s.Resources, more)
		})
		for _, direction := range []string{"SecurityGroupIngress", "SecurityGroupEgress"} {
			list := either(r.Properties[direction])
			for n := range list {
				find(fmt.Sprintf("%s of %s without %d", direction, r.ID, n), func(s *template.Stack) {
					s.Resources[i].Properties[direction] = slices.Delete(either(s.Resources[i].Properties[direction]), n, n+1)
				})
				find(fmt.Sprintf("every protocol in %d of %s of %s", n, direction, r.ID), func(s *template.Stack) {
					either(s.Resources[i].Properties[direction])[n].(map[string]any)["IpProtocol"] = "-1"
				})
			}
			if r.Type == "AWS::EC2::SecurityGroup" {
				find("another rule in "+direction+" of "+r.ID, func(s *template.Stack) {
					all := map[string]any{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"}
					s.Resources[i].Properties[direction] = append(either(s.Resources[i].Properties[direction]), all)
				})
			}
		}
	}
	find("a way out of the private subnets", func(s *template.Stack) {
		s.Resources = append(s.Resources, template.Resource{ID: "PrivateDefaultRoute", Type: "AWS::EC2::Route", Properties: map[string]any{
			"RouteTableId": "PrivateRouteTable", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "InternetGateway",
		}})
	})
	for i, r := range whole.Resources {
		if r.Properties["VPCSecurityGroups"] != nil {
			find("another group of "+r.ID, func(s *template.Stack) {
				s.Resources[i].Properties["VPCSecurityGroups"] = append(either(s.Resources[i].Properties["VPCSecurityGroups"]), "UsersSecurityGroup.GroupId")
			})
		}
	}
}

// The databases are reached from the VPC alone, encrypted on disk, and have no password
// in the template.
func TestDatabasesAreClosed(t *testing.T) {
	for _, name := range []string{"dev", "prod"} {
		stack := named(t, name)
		for _, d := range of(stack, "AWS::RDS::DBInstance") {
			for property, want := range map[string]any{
				"PubliclyAccessible": false, "StorageEncrypted": true, "EnableIAMDatabaseAuthentication": true,
				"ManageMasterUserPassword": true, "MasterUserPassword": nil, "DBSubnetGroupName": "DbSubnetGroup",
			} {
				if got := d.Properties[property]; got != want {
					t.Errorf("%s, %s: %s is %v, want %v", name, d.ID, property, got, want)
				}
			}
		}
		subnets, _ := stack.Resource("DbSubnetGroup")
		if got := texts(subnets.Properties["SubnetIds"]); !slices.Equal(got, []string{"PrivateSubnetA", "PrivateSubnetB"}) {
			t.Errorf("%s: the databases are in %v", name, got)
		}
		parameters, _ := stack.Resource("DbParameters")
		if got := at(parameters.Properties, "Parameters", "rds.force_ssl"); got != "1" {
			t.Errorf("%s: rds.force_ssl is %v", name, got)
		}
	}
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
