package eventbridge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/sqs"
	"plaudit/local/template"
)

func TestValuesOfABus(t *testing.T) {
	s, _ := newService(t)
	properties := map[string]any{"Name": "bus", "EventBusName": "bus", "ArchiveName": "log"}
	for kind, want := range map[string]map[string]any{
		busType:     {"Ref": "bus", "Name": "bus", "Arn": busARN},
		archiveType: {"Ref": "log", "ArchiveName": "log", "Arn": archiveARN},
		ruleType:    {"Ref": "bus|bus", "Arn": "arn:aws:events:ap-northeast-2:000000000000:rule/bus/bus"},
	} {
		got := s.Values(template.Resource{ID: "X", Type: kind, Properties: properties})
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %v, want %v", kind, name, got[name], value)
			}
		}
	}
	if got := s.Values(template.Resource{ID: "X", Type: ruleType, Properties: map[string]any{"Name": "r", "EventBusName": busARN}}); got["Ref"] != "bus|r" {
		t.Errorf("a bus by its ARN: %v", got)
	}
}

func TestWrongResources(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(oneQueue, old) {
			t.Fatalf("%q is not in the template", old)
		}
		return strings.Replace(oneQueue, old, new, 1)
	}
	for _, c := range []struct{ name, resources, want string }{
		{"a bus that does not exist", replace("EventBusName: !Ref Bus", "EventBusName: bas"), "Told: EventBusName: the stack has no bus bas"},
		{"a queue that does not exist", replace("Arn: !GetAtt Mail.Arn", "Arn: arn:aws:sqs:ap-northeast-2:000000000000:none"), "Told: Targets[0].Arn: the stack has no queue"},
		{"no policy of the queue", replace("Queues: [!Ref Mail, !Ref Dead]", "Queues: [!Ref Dead]"), "may not send messages to the queue Mail for arn:aws:events:ap-northeast-2:000000000000:rule/bus/told; add an AWS::SQS::QueuePolicy"},
		{"no policy of the dead-letter queue", replace("Queues: [!Ref Mail, !Ref Dead]", "Queues: [!Ref Mail]"), "Told: Targets[0].DeadLetterConfig.Arn: events.amazonaws.com may not send messages to the queue Dead"},
		{"a policy for another rule", replace("!GetAtt Told.Arn", toldARN+"2"), "add an AWS::SQS::QueuePolicy"},
		{"a dead-letter queue that does not exist", replace("{Arn: !GetAtt Dead.Arn}", "{Arn: arn:aws:sqs:ap-northeast-2:000000000000:none}"), "DeadLetterConfig.Arn: the stack has no queue"},
		{"too many attempts", replace("MaximumRetryAttempts: 2", "MaximumRetryAttempts: 186"), "Targets[0].RetryPolicy.MaximumRetryAttempts: it must be between 0 and 185, not 186"},
		{"too short an age", replace("MaximumEventAgeInSeconds: 3600", "MaximumEventAgeInSeconds: 59"), "Targets[0].RetryPolicy.MaximumEventAgeInSeconds: it must be between 60 and 86400, not 59"},
		{"an unknown operator", replace("[{exists: true}]", "[{regex: x}]"), "Told: EventPattern: detail.notify.regex"},
		{"a variable without path", replace("<first>", "<second>"), "Targets[0].InputTransformer.InputTemplate: the variable <second>"},
		{"a schedule on a bus", replace("EventPattern: {detail", "ScheduleExpression: rate(1 minute)\n      EventPattern: {detail"), "Told: EventBusName: schedules exist on the default bus only"},
		{"neither pattern nor schedule", replace("      EventPattern: {detail: {notify: [{exists: true}]}}\n", ""), "Told: EventPattern: a rule must have"},
		{"two inputs", replace("          InputTransformer:", "          InputPath: $.detail\n          InputTransformer:"), "Told: Targets[0].Input: only one"},
		{"a target of another service", replace("Arn: !GetAtt Mail.Arn", "Arn: arn:aws:sns:ap-northeast-2:000000000000:topic"), "functions, queues and buses of the stack"},
		{"a FIFO queue", replace("Arn: !GetAtt Mail.Arn", "Arn: arn:aws:sqs:ap-northeast-2:000000000000:a.fifo"), "FIFO"},
		{"the bus itself", replace("Arn: !GetAtt Mail.Arn", "Arn: !GetAtt Bus.Arn"), "no other bus"},
		{"two rules of one name", oneQueue + "  Again: {Type: AWS::Events::Rule, Properties: {EventBusName: !Ref Bus, Name: told, EventPattern: {source: [s]}}}\n", "Told: Name: Again has the same name"},
		{"two buses of one name", oneQueue + "  Again: {Type: AWS::Events::EventBus, Properties: {Name: bus}}\n", "Bus: Name: Again has the same name"},
		{"the default bus", replace("{Name: bus}", "{Name: default}"), "Bus: Name"},
		{"an archive of no bus", replace("SourceArn: !GetAtt Bus.Arn", "SourceArn: arn:aws:events:ap-northeast-2:000000000000:event-bus/none"), "Archive: SourceArn: the stack has no bus"},
		{"an archive's pattern", replace("RetentionDays: 3", "EventPattern: {source: s}"), "Archive: EventPattern: source must be"},
		{"an archive of negative days", replace("RetentionDays: 3", "RetentionDays: -1"), "Archive: RetentionDays"},
		{"an archive that leads out of its folder", replace("ArchiveName: log", "ArchiveName: .."), "Archive: ArchiveName"},
		{"a property that is not supported", replace("          Id: mail\n", "          Id: mail\n          SqsParameters: {MessageGroupId: a}\n"), "Targets[0].SqsParameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := parttest.Laptop()
			l.Folder = t.TempDir()
			queues := sqs.New(l, engine.New(l))
			_, err := parttest.Read(t, part.List{queues, New(l, newFunctions(t, &buffer{}), queues)}, strings.ReplaceAll(c.resources, "%T", "mail"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestTheDefaultBusNeedsNoTemplate(t *testing.T) {
	l := parttest.Laptop()
	l.Folder = t.TempDir()
	l.Started = func(what, detail string, _ time.Duration) { t.Errorf("started %s: %s", what, detail) }
	s := New(l, nil, noQueues{})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), []Entry{{Source: "aws.ses", DetailType: "Email Bounced", Detail: `{}`}}); err != nil {
		t.Error(err)
	}
	s.Stop()
	if err := s.Put(t.Context(), []Entry{{Source: "aws.ses", DetailType: "Email Bounced", Detail: `{}`}}); !errors.Is(err, errStopped) {
		t.Error(err)
	}
}
