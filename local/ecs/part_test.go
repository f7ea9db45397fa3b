package ecs

import (
	"net"
	"strings"
	"testing"
	"time"

	"plaudit/local/elb"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/secretsmanager"
)

const web = `
  WebTask:
    Type: AWS::ECS::TaskDefinition
    Properties:
      ContainerDefinitions:
        - Name: web
          PortMappings: [{ ContainerPort: 18081 }]
          StopTimeout: 7
          Environment: [{ Name: PORT, Value: 18081 }]
          Secrets: [{ Name: TOKEN, ValueFrom: !Ref Token }]
  WebGroup:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties: { TargetType: ip, Protocol: HTTP }
  WebService:
    Type: AWS::ECS::Service
    Properties:
      ServiceName: web
      TaskDefinition: !Ref WebTask
      LoadBalancers: [{ ContainerName: web, ContainerPort: 18081, TargetGroupArn: !Ref WebGroup }]
  Token:
    Type: AWS::SecretsManager::Secret
    Properties: { SecretString: secret }
`

func read(t *testing.T, resources string) (*Part, error) {
	t.Helper()
	port, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	l := parttest.Laptop()
	secrets := secretsmanager.New(l.Names)
	balancer := elb.NewPart(l, port, lambda.NewPart(l, time.Minute))
	p := NewPart(l, secrets, balancer)
	// The balancer comes last, as it starts last.
	_, err = parttest.Read(t, part.List{secrets, p, balancer}, resources)
	return p, err
}

func TestReadService(t *testing.T) {
	p, err := read(t, web)
	if err != nil {
		t.Fatal(err)
	}
	s := p.planned[0]
	if len(p.planned) != 1 || s.pkg != "./services/web" || s.config.Name != "web" || s.config.Port != 18081 || s.config.DesiredCount != 1 ||
		s.config.StopTimeout != 7*time.Second || len(s.groups) != 1 || len(s.config.Targets) != 1 {
		t.Errorf("services %+v", p.planned)
	}
	if err := p.secrets.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	env, err := p.environment(s)
	if err != nil || env["TOKEN"] != "secret" || env["PORT"] != "18081" {
		t.Errorf("environment %v, %v", env, err)
	}
}

func TestServiceThatCannotRun(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"TaskDefinition: !Ref WebTask", "TaskDefinition: other", "the stack has no task definition other"},
		{"TargetGroupArn: !Ref WebGroup", "TargetGroupArn: other", "the stack has no target group other"},
		{"ContainerName: web", "ContainerName: other", "no container other with port 18081"},
		{"PortMappings: [{ ContainerPort: 18081 }]", "PortMappings: [{ ContainerPort: 1, Protocol: udp }]", "knows tcp, not udp"},
		{"StopTimeout: 7", "Privileged: true", "Privileged"},
	} {
		if !strings.Contains(web, test.old) {
			t.Fatalf("no %q", test.old)
		}
		if _, err := read(t, strings.Replace(web, test.old, test.new, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.new, err)
		}
	}
}
