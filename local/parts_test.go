package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/template"
)

// readStack reads a template with the given parameters, or with those of
// testdata/small if given is nil. The address is the load balancer's.
func readStack(t *testing.T, path string, given map[string]string) (all parts, stack *template.Stack, address string, err error) {
	t.Helper()
	if given == nil {
		given = map[string]string{"Greeting": "hello", "Token": "secret-token", "WebPort": "18081"}
	}
	var on entrances
	for _, port := range []*net.Listener{&on.balancer, &on.inbox} {
		var err error
		if *port, err = net.Listen("tcp4", loopback+":0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*port).Close() })
	}
	l := parttest.Laptop()
	loaded, err := template.Load(path, l.Pseudo, given)
	if err != nil {
		t.Fatal(err)
	}
	all = newParts(l, on, time.Minute, "")
	stack, err = all.all().Read(loaded)
	return all, stack, on.balancer.Addr().String(), err
}

// packages returns the packages of all programs.
func packages(all parts) []string {
	var out []string
	for _, p := range all.programRunners() {
		_, packages := p.Programs()
		out = append(out, packages...)
	}
	return out
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

func TestReadStack(t *testing.T) {
	all, stack, address, err := readStack(t, "testdata/small/template.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := packages(all); !slices.Equal(got, []string{"./functions/hello", "./services/web"}) {
		t.Errorf("programs %v", got)
	}
	if got := stack.Outputs[0].Value; got != "http://"+address {
		t.Errorf("output Url is %s", got)
	}
	if slices.Contains(slices.Concat(all.served...), part.Part(all.functions)) {
		t.Error("the AWS endpoint ends before the functions that call it")
	}
	variables, err := all.functions.Variables(stack, "http://aws")
	if got := variables["HelloFunction"]["DSN"]; err != nil || got != "postgres://hello@127.0.0.1:5433/things" {
		t.Errorf("DSN is %s, %v", got, err)
	}
}

func TestWhatIsWiredWrongIsAnError(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"a type that is not known", "AWS::ECS::Cluster", "AWS::SNS::Topic", []string{"Cluster", "AWS::SNS::Topic"}},
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
			_, _, _, err := readStack(t, change(t, test.old, test.new), nil)
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
	for _, name := range []string{"AdminPassword", "SigningKey", "NotifyKey", "Jwks", "ScoresDbPassword", "UsersDbPassword"} {
		given[name] = "made by the hook before"
	}
	all, stack, _, err := readStack(t, "../template.yaml", given)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range stack.Resources {
		count[r.Type]++
	}
	if got := packages(all); !slices.Contains(got, "./functions/score-add") || !slices.Contains(got, "./services/users") ||
		count["AWS::RDS::DBInstance"] != 2 || count["AWS::ECS::Service"] != 1 || count["AWS::ElasticLoadBalancingV2::ListenerRule"] == 0 {
		t.Errorf("programs %v, resources %v", got, count)
	}
	for _, r := range stack.Resources {
		for _, p := range all.all() {
			if slices.Contains(p.Types(), r.Type) && p.Values(r)["Ref"] == nil {
				t.Errorf("%s has no Ref", r.Type)
			}
		}
	}
}

func TestEveryTypeHasOnePart(t *testing.T) {
	all, _, _, err := readStack(t, "testdata/small/template.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range all.all() {
		for _, kind := range p.Types() {
			if seen[kind] {
				t.Errorf("two parts have %s", kind)
			}
			seen[kind] = true
		}
	}
}

// The main package wires the parts; what one service needs stands in its folder.
func TestMainPackageKnowsNoResourceType(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(text), "AWS::") {
			t.Errorf("%s names a resource type", file)
		}
	}
}
