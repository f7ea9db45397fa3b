package lambda

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

const hello = `
  HelloFunction:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: hello
      Code: { CodeUri: functions/hello/ }
      Runtime: provided.al2023
      Timeout: 10
      ReservedConcurrentExecutions: 2
      Environment: { Variables: { GREETING: hello, AWS_ENDPOINT_URL: "" } }
`

func TestReadFunction(t *testing.T) {
	p := NewPart(parttest.Laptop(), time.Minute)
	stack, err := parttest.Read(t, part.List{p}, hello)
	if err != nil {
		t.Fatal(err)
	}
	f := p.planned[0]
	if len(p.planned) != 1 || f.pkg != "./functions/hello" || f.config.Concurrency != 2 || f.config.Timeout != 10*time.Second ||
		f.config.Name != "hello" || f.config.ARN != "arn:aws:lambda:ap-northeast-2:000000000000:function:hello" {
		t.Errorf("functions %+v", p.planned)
	}
	if kind, packages := p.Programs(); kind != "functions" || !slices.Equal(packages, []string{"./functions/hello"}) {
		t.Errorf("programs %s %v", kind, packages)
	}
	variables, err := p.Variables(stack, "http://aws")
	if err != nil || variables["HelloFunction"]["GREETING"] != "hello" || variables["HelloFunction"]["AWS_ENDPOINT_URL"] != "http://aws" {
		t.Errorf("variables %v, %v", variables, err)
	}
}

func TestFunctionThatCannotRun(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"provided.al2023", "nodejs22.x", "HelloFunction: Runtime"},
		{"functions/hello/", "../hello/", "HelloFunction: CodeUri"},
		{"ReservedConcurrentExecutions: 2", "ReservedConcurrentExecutions: 0", "would throttle"},
		{"Timeout: 10", "Layers: []", "Layers: the property is not supported"},
	} {
		if !strings.Contains(hello, test.old) {
			t.Fatalf("no %q", test.old)
		}
		_, err := parttest.Read(t, part.List{NewPart(parttest.Laptop(), time.Minute)}, strings.Replace(hello, test.old, test.new, 1))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.new, err)
		}
	}
}

func TestPermissions(t *testing.T) {
	const permissions = `
  ByARN: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !GetAtt HelloFunction.Arn, Action: lambda:InvokeFunction, Principal: events.amazonaws.com } }
  ByName: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !Ref HelloFunction, Action: "lambda:*", Principal: events.amazonaws.com, SourceArn: "arn:aws:events:*:*:rule/small-*" } }
  OtherSource: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !Ref HelloFunction, Action: lambda:InvokeFunction, Principal: events.amazonaws.com, SourceArn: "arn:aws:events:*:*:rule/big-*" } }
  OtherAction: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !Ref HelloFunction, Action: lambda:GetFunction, Principal: events.amazonaws.com } }
  OtherPrincipal: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !Ref HelloFunction, Action: lambda:InvokeFunction, Principal: s3.amazonaws.com } }
  OtherFunction: { Type: AWS::Lambda::Permission, Properties: { FunctionName: other, Action: lambda:InvokeFunction, Principal: events.amazonaws.com } }
`
	p := NewPart(parttest.Laptop(), time.Minute)
	if _, err := parttest.Read(t, part.List{p}, hello+permissions); err != nil {
		t.Fatal(err)
	}
	const rule = "arn:aws:events:ap-northeast-2:000000000000:rule/small-timer"
	ids, ok := p.Permissions("arn:aws:lambda:ap-northeast-2:000000000000:function:hello", "events.amazonaws.com", rule)
	if slices.Sort(ids); !ok || !slices.Equal(ids, []string{"ByARN", "ByName"}) {
		t.Errorf("%v, %v", ids, ok)
	}
	if _, ok := p.Permissions("arn:aws:lambda:ap-northeast-2:000000000000:function:other", "events.amazonaws.com", rule); ok {
		t.Error("a function that the stack does not have is found")
	}
}

func TestReadEventInvokeConfig(t *testing.T) {
	const config = `
  Config: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref HelloFunction, Qualifier: $LATEST, MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 } }
`
	for _, test := range []struct {
		old, new string
		want     Async
	}{
		{"", "", Async{Retries: 0, MaxAge: time.Minute}},
		{"!Ref HelloFunction", "!GetAtt HelloFunction.Arn", Async{Retries: 0, MaxAge: time.Minute}},
		{", MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60", "", Async{Retries: 2, MaxAge: 6 * time.Hour}},
	} {
		p := NewPart(parttest.Laptop(), time.Minute)
		if _, err := parttest.Read(t, part.List{p}, hello+strings.Replace(config, test.old, test.new, 1)); err != nil {
			t.Fatal(err)
		}
		if got := p.planned[0].config.Async; got == nil || *got != test.want {
			t.Errorf("%s: %+v, want %+v", test.new, got, test.want)
		}
	}
	for _, test := range []struct{ old, new, want string }{
		{"MaximumRetryAttempts: 0", "MaximumRetryAttempts: 3", "Config: MaximumRetryAttempts"},
		{"MaximumRetryAttempts: 0", "MaximumRetryAttempts: -1", "Config: MaximumRetryAttempts"},
		{"MaximumEventAgeInSeconds: 60", "MaximumEventAgeInSeconds: 59", "Config: MaximumEventAgeInSeconds"},
		{"MaximumEventAgeInSeconds: 60", "MaximumEventAgeInSeconds: 21601", "Config: MaximumEventAgeInSeconds"},
		{"$LATEST", "live", "Config: Qualifier"},
		{"Qualifier: $LATEST", "Qualifier: $LATEST, DestinationConfig: { OnFailure: { Destination: q } }", "Config: DestinationConfig"},
		{"!Ref HelloFunction", "other", "no function other"},
		{"  Config:", config + "  Again:", "has another"},
	} {
		_, err := parttest.Read(t, part.List{NewPart(parttest.Laptop(), time.Minute)}, hello+strings.Replace(config, test.old, test.new, 1))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.new, err, test.want)
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
		if got := part.ARNLike(pattern, arn); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
