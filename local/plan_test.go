package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/local/part"
	"plaudit/local/template"
)

func testNames() names {
	n := part.Names{Pseudo: template.Pseudo{StackName: "small", Region: "ap-northeast-2", AccountID: accountID}}
	return names{
		Names: n, parts: newParts(part.Laptop{Names: n, Log: slog.New(slog.DiscardHandler)}), balancer: "127.0.0.1:8080", host: loopback,
		databasePorts: map[string]int{"Db": 5433, "ScoresDb": 5434, "UsersDb": 5435},
	}
}

// planOf makes a plan of a template with the given parameters, or with those of
// testdata/small if given is nil.
func planOf(t *testing.T, path string, given map[string]string) (*plan, *template.Stack, error) {
	t.Helper()
	if given == nil {
		given = map[string]string{"Greeting": "hello", "Token": "secret-token", "WebPort": "18081"}
	}
	loaded, err := template.Load(path, testNames().Pseudo, given)
	if err != nil {
		t.Fatal(err)
	}
	n := testNames()
	if err := n.check(loaded.Resources()); err != nil {
		return nil, nil, err
	}
	stack, err := loaded.Resolve(n.attribute)
	if err != nil {
		return nil, nil, err
	}
	p, err := makePlan(stack, n)
	return p, stack, err
}

// change writes the small template with one piece replaced.
func change(t *testing.T, old, new string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/small/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%q is not in the template once", old)
	}
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlan(t *testing.T) {
	p, stack, err := planOf(t, "testdata/small/template.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.functions) != 1 || p.functions[0].pkg != "./functions/hello" || p.functions[0].config.Concurrency != 2 ||
		p.functions[0].config.Timeout != 10*time.Second || p.functions[0].config.Env["DSN"] != "postgres://hello@127.0.0.1:5433/things" {
		t.Errorf("functions %+v", p.functions)
	}
	if len(p.services) != 1 || p.services[0].pkg != "./services/web" || p.services[0].config.Port != 18081 || len(p.services[0].groups) != 1 {
		t.Errorf("services %+v", p.services)
	}
	if len(p.databases) != 1 || p.databases[0].parameters["max_connections"] != "31" || p.databases[0].user != "chief" {
		t.Errorf("databases %+v", p.databases)
	}
	if len(p.balancer.Listener.Rules) != 1 || p.balancer.Listener.Port != 8080 {
		t.Errorf("listener %+v", p.balancer.Listener)
	}
	if stack.Outputs[0].Value != "http://127.0.0.1:8080" {
		t.Errorf("output Url is %s", stack.Outputs[0].Value)
	}
}

func TestWhatIsWiredWrongIsAnError(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"a type that is not known", "AWS::ECS::Cluster", "AWS::SQS::Queue", []string{"Cluster", "AWS::SQS::Queue"}},
		{"a property that is not known", "MasterUsername: chief", "MasterUsername: chief\n      Timezone: UTC", []string{"Db", "Timezone"}},
		{"an attribute that is not known", "Db.MasterUserSecret.SecretArn\n", "Db.Endpoint.HostedZoneId\n", []string{"Endpoint.HostedZoneId", "DbiResourceId"}},
		{"no permission for the balancer", "Principal: elasticloadbalancing.amazonaws.com", "Principal: events.amazonaws.com",
			[]string{"HelloTargetGroup", "does not have permission to invoke"}},
		{"a permission for another target group", "${AWS::StackName}-hello/*", "${AWS::StackName}-other/*",
			[]string{"HelloTargetGroup", "does not have permission to invoke"}},
		{"a permission that may come too late", "    DependsOn: HelloPermission\n", "", []string{"HelloTargetGroup", "add DependsOn: HelloPermission"}},
		{"HTTPS", "Protocol: HTTP\n      DefaultActions", "Protocol: HTTPS\n      DefaultActions", []string{"Listener", "leave the parameter CertificateArn empty"}},
		{"a rule over ALB's limits", `["/hello*"]`, `["/a", "/b", "/c", "/d"]`, []string{"priority 10", "path-pattern has 4 values"}},
		{"another engine", "Engine: postgres\n", "Engine: mysql\n", []string{"Db", "mysql"}},
		{"another runtime", "Runtime: provided.al2023", "Runtime: nodejs22.x", []string{"HelloFunction", "nodejs22.x"}},
		{"a property that a part does not know", "SecretString: !Ref Token", "SecretString: !Ref Token\n      RotationRules: {}", []string{"TokenSecret", "RotationRules"}},
		{"two containers' worth of ports", "PortMappings: [{ ContainerPort: !Ref WebPort }]", "PortMappings: [{ ContainerPort: 1 }, { ContainerPort: 2 }]", []string{"WebTask", "one port"}},
		{"a port that the task does not have", "ContainerName: web, ContainerPort: !Ref WebPort,", "ContainerName: web, ContainerPort: 1,", []string{"WebService", "port 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := planOf(t, change(t, test.old, test.new), nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not name %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Errorf("error shows a secret: %v", err)
			}
		})
	}
}

// The project's own template must be one that the laptop runs.
func TestProjectTemplate(t *testing.T) {
	config, err := template.ReadConfig("../samconfig.toml", "local")
	if err != nil {
		t.Fatal(err)
	}
	given := config.Parameters
	for _, name := range []string{"AdminPassword", "SigningKey", "Jwks", "ScoresDbPassword", "UsersDbPassword"} {
		given[name] = "made by the hook"
	}
	p, stack, err := planOf(t, "../template.yaml", given)
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, f := range p.functions {
		packages = append(packages, f.pkg)
	}
	if !slices.Contains(packages, "./functions/score-add") || len(p.databases) != 2 || len(p.services) != 1 || len(p.balancer.Listener.Rules) == 0 {
		t.Errorf("functions %v, databases %d, services %d, rules %d", packages, len(p.databases), len(p.services), len(p.balancer.Listener.Rules))
	}
	n := testNames()
	for _, r := range stack.Resources {
		if n.values(r)["Ref"] == nil {
			t.Errorf("%s has no Ref", r.Type)
		}
	}
}

func TestARNLike(t *testing.T) {
	const arn = "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/small-hello/1a2b"
	for pattern, want := range map[string]bool{
		arn: true,
		"arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/small-hello/*":  true,
		"arn:aws:elasticloadbalancing:*:*:targetgroup/small-h?llo/*":                          true,
		"arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/small-hello":    false,
		"arn:aws:elasticloadbalancing:ap-northeast-2:111111111111:targetgroup/small-hello/*":  false,
		"arn:aws:elasticloadbalancing:*:targetgroup/small-hello/*":                            false,
		"arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/small.hello/1*": false,
		"*": false,
	} {
		if got := arnLike(pattern, arn); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
