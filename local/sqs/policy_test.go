package sqs

import (
	"strings"
	"testing"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

func TestTheServicesThatMaySend(t *testing.T) {
	const rule = "arn:aws:events:ap-northeast-2:000000000000:rule/bus/told"
	for _, c := range []struct {
		name, policy, want string
	}{
		{"no policy", "", "add an AWS::SQS::QueuePolicy"},
		{"its rule", `{Statement: [{Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: !GetAtt Mail.Arn, Condition: {ArnEquals: {aws:SourceArn: ` + rule + `}}}]}`, ""},
		{"one statement, not a list", `{Statement: {Effect: Allow, Principal: {Service: [x, events.amazonaws.com]}, Action: [SQS:Send*], Resource: ["*"], Condition: {ArnLike: {AWS:SourceArn: [a, "arn:aws:events:*:*:rule/bus/*"]}, StringEquals: {aws:SourceAccount: "000000000000"}}}}`, ""},
		{"everybody", `{Statement: [{Effect: Allow, Principal: "*", Action: "*", Resource: "*"}]}`, ""},
		{"another rule", `{Statement: [{Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sqs:SendMessage, Resource: "*", Condition: {ArnEquals: {aws:SourceArn: ` + rule + `2}}}]}`, "ArnEquals: {aws:SourceArn: " + rule + "}"},
		{"another service", `{Statement: [{Effect: Allow, Principal: {Service: sns.amazonaws.com}, Action: sqs:SendMessage, Resource: "*"}]}`, "add"},
		{"another action", `{Statement: [{Effect: Allow, Principal: "*", Action: sqs:ReceiveMessage, Resource: "*"}]}`, "add"},
		{"another queue", `{Statement: [{Effect: Allow, Principal: "*", Action: sqs:SendMessage, Resource: "arn:aws:sqs:ap-northeast-2:000000000000:other"}]}`, "add"},
		{"an unknown condition", `{Statement: [{Effect: Allow, Principal: "*", Action: sqs:SendMessage, Resource: "*", Condition: {IpAddress: {aws:SourceIp: 10.0.0.0/8}}}]}`, "add"},
		{"plain HTTP is denied", `{Statement: [{Effect: Deny, Principal: "*", Action: "sqs:*", Resource: "*", Condition: {Bool: {aws:SecureTransport: "false"}}}, {Effect: Allow, Principal: "*", Action: "sqs:*", Resource: "*"}]}`, ""},
		{"denied", `{Statement: [{Effect: Deny, Principal: {AWS: "*"}, Action: "sqs:*", Resource: "*"}, {Effect: Allow, Principal: "*", Action: "sqs:*", Resource: "*"}]}`, "remove that statement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(parttest.Laptop(), engine.New(parttest.Laptop()))
			resources := "  Mail: {Type: AWS::SQS::Queue, Properties: {QueueName: mail}}\n"
			if c.policy != "" {
				resources += "  Policy: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Mail], PolicyDocument: " + c.policy + "}}\n"
			}
			if _, err := parttest.Read(t, part.List{s}, resources); err != nil {
				t.Fatal(err)
			}
			ok, err := s.MaySend("arn:aws:sqs:ap-northeast-2:000000000000:mail", "events.amazonaws.com", rule)
			if !ok || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want %q", ok, err, c.want)
			}
			if ok, _ := s.MaySend("arn:aws:sqs:ap-northeast-2:000000000000:other", "events.amazonaws.com", rule); ok {
				t.Error("the stack has no such queue")
			}
		})
	}
	s := New(parttest.Laptop(), engine.New(parttest.Laptop()))
	if _, err := parttest.Read(t, part.List{s}, "  Mail: {Type: AWS::SQS::Queue}\n  Policy: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Mail], PolicyDocument: {Statement: [{Effect: allow}]}}}\n"); err == nil || !strings.Contains(err.Error(), "Policy: PolicyDocument.Statement") {
		t.Errorf("a policy without statements: %v", err)
	}
}
