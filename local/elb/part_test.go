package elb

import (
	"net"
	"strings"
	"testing"
	"time"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

const stack = `
  LoadBalancer:
    Type: AWS::ElasticLoadBalancingV2::LoadBalancer
    Properties:
      LoadBalancerAttributes: [{ Key: idle_timeout.timeout_seconds, Value: "30" }]
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref LoadBalancer
      Port: 80
      Protocol: HTTP
      DefaultActions: [{ Type: forward, TargetGroupArn: !Ref WebGroup }]
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 10
      Conditions: [{ Field: path-pattern, PathPatternConfig: { Values: ["/hello*"] } }]
      Actions: [{ Type: forward, TargetGroupArn: !Ref HelloGroup }]
  WebGroup:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties: { TargetType: ip, Protocol: HTTP, Port: 80, HealthCheckPath: /healthz }
  HelloGroup:
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    DependsOn: Permission
    Properties: { TargetType: lambda, Targets: [{ Id: !GetAtt Hello.Arn }] }
  Hello:
    Type: AWS::Lambda::Function
    Properties: { Code: { CodeUri: functions/hello/ }, Runtime: provided.al2023 }
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { FunctionName: !Ref Hello, Action: lambda:InvokeFunction, Principal: elasticloadbalancing.amazonaws.com }
`

func read(t *testing.T, resources string) (*Part, error) {
	t.Helper()
	port, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	functions := lambda.NewPart(parttest.Laptop(), time.Minute)
	p := NewPart(parttest.Laptop(), port, functions)
	_, err = parttest.Read(t, part.List{p, functions}, resources)
	return p, err
}

func TestReadBalancer(t *testing.T) {
	p, err := read(t, stack)
	if err != nil {
		t.Fatal(err)
	}
	listener := p.balancer.listener
	if len(listener.Rules) != 1 || listener.Rules[0].Priority != 10 || listener.Rules[0].Action.TargetGroup.Type != "lambda" ||
		listener.Port != p.port.Addr().(*net.TCPAddr).Port || p.balancer.idle != 30*time.Second {
		t.Errorf("listener %+v", listener)
	}
	group, ok := p.Group(listener.Default.TargetGroup.ARN)
	if !ok || group.HealthPath() != "/healthz" || listener.Rules[0].Action.TargetGroup.HealthPath() != "/" {
		t.Errorf("group %+v, %v", group, ok)
	}
}

func TestBalancerThatCannotRun(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"Protocol: HTTP\n", "Protocol: HTTPS\n", "Listener: Protocol"},
		{"Priority: 10", "Priority: 0", "priority 0"},
		{"DependsOn: Permission", "DependsOn: WebGroup", "add DependsOn: Permission"},
		{"Principal: elasticloadbalancing", "Principal: events", "does not have permission to invoke"},
		{"TargetGroupArn: !Ref HelloGroup", "TargetGroupArn: other", "the stack has no target group other"},
		{"Id: !GetAtt Hello.Arn", "Id: other", "the stack has no function other"},
	} {
		if !strings.Contains(stack, test.old) {
			t.Fatalf("no %q", test.old)
		}
		if _, err := read(t, strings.Replace(stack, test.old, test.new, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.new, err)
		}
	}
}

// What refers to the group must not be reported as well.
func TestWrongTargetGroupIsReportedOnce(t *testing.T) {
	_, err := read(t, strings.Replace(stack, "TargetType: ip", "TargetType: instance", 1))
	if err == nil || !strings.Contains(err.Error(), "WebGroup: TargetType") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}
