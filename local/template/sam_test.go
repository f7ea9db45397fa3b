package template

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type samOutput struct {
	Resources map[string]struct {
		Type, Condition      string
		DependsOn            any
		Properties, Metadata map[string]any
	}
}

// translate runs the real aws-sam-translator.
func translate(t *testing.T, file string, params map[string]string) samOutput {
	t.Helper()
	python := filepath.Join(root(t), ".local/venv/bin/python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("aws-sam-translator is not installed; run `make tools` (%v)", err)
	}
	given, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, "testdata/transform.py", file, string(given))
	data, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("transform.py: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var out samOutput
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheTransformIsThatOfAwsSamTranslator(t *testing.T) {
	small := map[string]string{}
	for _, c := range []struct {
		name, file string
		params     map[string]string
		made       int // resources of conditions that hold
	}{
		{"the product, on the laptop", filepath.Join(root(t), "template.yaml"), laptopParameters(t), 0},
		{"globals", "testdata/sam-merge.yaml", small, 7},
		{"tracing from a parameter", "testdata/sam-merge.yaml", map[string]string{"Trace": "Active"}, 7},
		{"policies and conditions", "testdata/sam-policies.yaml", small, 9},
		{"the other side of the conditions", "testdata/sam-policies.yaml", map[string]string{"Stage": "prod"}, 0},
		{"no function", "testdata/sam-none.yaml", small, 1},
		{"events", "testdata/sam-events.yaml", small, 36},
		{"events of a function behind a condition", "testdata/sam-events.yaml", map[string]string{"Stage": "prod"}, 42},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "the other side of the conditions" {
				// Reader names the role of a function that the condition leaves out.
				_, err := Load(c.file, testPseudo, c.params)
				mention(t, err, "Resources.Reader.Properties.Value", "NotInProdRole", "condition is false")
				return
			}
			loaded, err := Load(c.file, testPseudo, c.params)
			if err != nil {
				t.Fatal(err)
			}
			want := translate(t, c.file, c.params)
			got := map[string]Resource{}
			for _, r := range loaded.Resources() {
				got[r.ID] = r
				if _, ok := want.Resources[r.ID]; !ok {
					t.Errorf("%s is not in SAM's output", r.ID)
				}
			}
			if c.made > 0 {
				equal(t, len(got), c.made)
			}
			for id, w := range want.Resources {
				g, ok := got[id]
				if holds := w.Condition == "" || loaded.conditions[w.Condition]; ok != holds {
					t.Errorf("%s with condition %q: there is %v, want %v", id, w.Condition, ok, holds)
				}
				if !ok {
					continue
				}
				equal(t, g.Type, w.Type)
				equal(t, asJSON(t, g.Properties), asJSON(t, w.Properties))
				if w.Metadata != nil || len(g.Metadata) > 0 {
					equal(t, asJSON(t, g.Metadata), asJSON(t, w.Metadata))
				}
				for _, need := range texts(w.DependsOn) {
					if _, made := got[need]; made && !slices.Contains(g.DependsOn, need) {
						t.Errorf("%s does not depend on %s", id, need)
					}
				}
			}
		})
	}
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, item.(string))
		}
		return out
	}
	return nil
}

// asJSON brings both outputs to the same Go types, both forms of GetAtt to
// the list, and our Code to the S3 address that transform.py makes up.
func asJSON(t *testing.T, properties map[string]any) any {
	t.Helper()
	data, err := json.Marshal(properties)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if out == nil {
		out = map[string]any{}
	}
	if code, ok := out["Code"].(map[string]any); ok && code["CodeUri"] != nil {
		out["Code"] = map[string]any{"S3Bucket": "local", "S3Key": code["CodeUri"]}
	}
	return splitGetAtt(out)
}

func splitGetAtt(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok && key == "Fn::GetAtt" {
				id, attribute, _ := strings.Cut(text, ".")
				v[key] = []any{id, attribute}
				continue
			}
			v[key] = splitGetAtt(value)
		}
	case []any:
		for i, value := range v {
			v[i] = splitGetAtt(value)
		}
	}
	return v
}

func TestWhatTheTransformDoesNotKnowIsAnError(t *testing.T) {
	for _, c := range []struct {
		name, template string
		want           []string
	}{
		{"another event", function("Events: { Call: { Type: Api } }"), []string{"Resources.F.Properties.Events.Call.Type", "Api is not supported"}},
		{"an event without a type", function("Events: { Call: {} }"), []string{"Resources.F.Properties.Events.Call.Type"}},
		{"events as a list", function("Events: [Api]"), []string{"Resources.F.Properties.Events", "map"}},
		{"an event that is text", function("Events: { Call: Api }"), []string{"Resources.F.Properties.Events.Call", "map"}},
		{"a stream without its ARN", function("Events: { S: { Type: DynamoDB, Properties: { StartingPosition: LATEST } } }"), []string{"Resources.F.Properties.Events.S.Properties: Stream is missing"}},
		{"a stream's unknown property", function("Events: { S: { Type: DynamoDB, Properties: { Stream: a, StartingPosition: LATEST, Queues: [] } } }"), []string{"Events.S.Properties.Queues", "not supported"}},
		{"a queue without its ARN", function("Events: { Q: { Type: SQS } }"), []string{"Resources.F.Properties.Events.Q.Properties: Queue is missing"}},
		{"a queue's property of a stream", function("Events: { Q: { Type: SQS, Properties: { Queue: a, StartingPosition: LATEST } } }"), []string{"Events.Q.Properties.StartingPosition", "not supported"}},
		{"a failure destination of another kind", function("Events: { S: { Type: DynamoDB, Properties: { Stream: a, StartingPosition: LATEST, DestinationConfig: { OnFailure: { Type: SNS, Destination: b } } } } }"), []string{"DestinationConfig.OnFailure.Type", "S3 or SQS"}},
		{"a failure destination without a target", function("Events: { S: { Type: DynamoDB, Properties: { Stream: a, StartingPosition: LATEST, DestinationConfig: { OnFailure: { Type: S3 } } } } }"), []string{"DestinationConfig.OnFailure", "Destination is missing"}},
		{"a schedule without a time", function("Events: { S: { Type: Schedule } }"), []string{"Events.S.Properties: Schedule is missing"}},
		{"a schedule's state twice", function("Events: { S: { Type: Schedule, Properties: { Schedule: rate(1 day), State: ENABLED, Enabled: true } } }"), []string{"Events.S.Properties.Enabled", "both"}},
		{"a dead-letter queue that SAM would make", function("Events: { S: { Type: Schedule, Properties: { Schedule: rate(1 day), DeadLetterConfig: { Type: SQS } } } }"), []string{"Events.S.Properties.DeadLetterConfig", "Arn"}},
		{"a schedule of the other service without a time", function("Events: { S: { Type: ScheduleV2 } }"), []string{"Events.S.Properties: ScheduleExpression is missing"}},
		{"a schedule of the other service with a property of a rule", function("Events: { S: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), Enabled: true } } }"), []string{"Events.S.Properties.Enabled", "not supported"}},
		{"a name that is left out", function("Events: { S: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), OmitName: true, Name: s } } }"), []string{"Events.S.Properties.Name", "both"}},
		{"a dead-letter queue that SAM would make for the other service", function("Events: { S: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), DeadLetterConfig: { Type: SQS } } } }"), []string{"Events.S.Properties.DeadLetterConfig", "Arn"}},
		{"an event's name is taken", function("Events: { S: { Type: Schedule, Properties: { Schedule: rate(1 day) } } }") + "\n  FS: { Type: AWS::SNS::Topic }", []string{"Resources.F:", "FS"}},
		{"a config of asynchronous invocations as text", function("EventInvokeConfig: never"), []string{"Resources.F.Properties.EventInvokeConfig", "map"}},
		{"a destination of asynchronous invocations", function("EventInvokeConfig: { DestinationConfig: {} }"), []string{"EventInvokeConfig.DestinationConfig", "not supported"}},
		{"an alias", function("AutoPublishAlias: live"), []string{"Resources.F.Properties.AutoPublishAlias"}},
		{"no code", "Transform: AWS::Serverless-2016-10-31\nResources: { F: { Type: AWS::Serverless::Function } }", []string{"Resources.F.Properties: CodeUri is missing"}},
		{"code in S3", function("CodeUri: s3://bucket/key"), []string{"Resources.F.Properties.CodeUri", "folder"}},
		{"code as a map", function("CodeUri: { Bucket: b, Key: k }"), []string{"Resources.F.Properties.CodeUri"}},
		{"a policy template", function("Policies: [{ SQSPollerPolicy: { QueueName: q } }]"), []string{"Resources.F.Properties.Policies[0]", "policy templates"}},
		{"a managed policy's name", function("Policies: AmazonS3ReadOnlyAccess"), []string{"Resources.F.Properties.Policies[0]", "AmazonS3ReadOnlyAccess", "ARN"}},
		{"two kinds of policy behind Fn::If", function("Policies: [!If [C, 'arn:aws:iam::aws:policy/x', { Statement: [] }]]"), []string{"Policies[0]", "same kind"}},
		{"a role behind Fn::If", function("Role: !If [C, 'arn:x', !Ref AWS::NoValue]"), []string{"Resources.F.Properties.Role"}},
		{"tags as a list", function("Tags: [{ Key: a, Value: b }]"), []string{"Resources.F.Properties.Tags", "map"}},
		{"SAM's own tag", function("Tags: { 'lambda:createdBy': me }"), []string{"Resources.F.Properties.Tags.lambda:createdBy"}},
		{"a traced list", function("Tracing: [a]"), []string{"Resources.F.Properties.Tracing"}},
		{"another type of SAM's", "Transform: AWS::Serverless-2016-10-31\nResources: { A: { Type: AWS::Serverless::Api } }", []string{"Resources.A.Type", "AWS::Serverless::Api"}},
		{"no transform", "Resources: { F: { Type: AWS::Serverless::Function } }", []string{"Resources.F.Type", "Transform"}},
		{"another transform", "Transform: AWS::Include\n" + topic, []string{"t.yaml:1: Transform"}},
		{"globals without the transform", "Globals: { Function: {} }\n" + topic, []string{"Globals", "Transform"}},
		{"globals of another type", "Transform: AWS::Serverless-2016-10-31\nGlobals: { Api: {} }\n" + topic, []string{"Globals.Api"}},
		{"a property that globals do not take", "Transform: AWS::Serverless-2016-10-31\nGlobals: { Function: { Policies: [] } }\n" + topic, []string{"Globals.Function.Policies"}},
		{"the role's name is taken", function("Timeout: 1") + "\n  FRole: { Type: AWS::SNS::Topic }", []string{"Resources.F:", "FRole"}},
		{"an attribute of SAM's", "Transform: AWS::Serverless-2016-10-31\nResources: { F: { Type: AWS::Serverless::Function, IgnoreGlobals: '*' } }", []string{"Resources.F.IgnoreGlobals"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load("t.yaml", []byte(c.template), testPseudo, nil)
			mention(t, err, c.want...)
		})
	}
}

const topic = "Resources: { T: { Type: AWS::SNS::Topic } }"

// function is a template with one function that has a condition to name.
func function(property string) string {
	code := "\n      CodeUri: functions/f/"
	if strings.HasPrefix(property, "CodeUri") {
		code = ""
	}
	return "Transform: AWS::Serverless-2016-10-31\nConditions: { C: !Equals [a, b] }\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      " + property + code
}
