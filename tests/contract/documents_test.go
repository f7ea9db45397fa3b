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

const (
	trustsLambda = `Allow Service lambda.amazonaws.com: sts:AssumeRole`
	trustsECS    = `Allow Service ecs-tasks.amazonaws.com: sts:AssumeRole if {"StringEquals":{"aws:SourceAccount":"000000000000"}}`
	ofAccount    = ` if {"StringEquals":{"aws:PrincipalAccount":"000000000000"}}`
)

// documents are all policies of the stack but those in rights: whom each role trusts,
// and what resources and endpoints refuse or let through. A statement is a line:
//
//	effect principals: actions resources if conditions
var documents = map[string]string{
	"ScoreAddFunctionRole.AssumeRolePolicyDocument":   trustsLambda,
	"ScoreQueryFunctionRole.AssumeRolePolicyDocument": trustsLambda,
	"BoardAdminFunctionRole.AssumeRolePolicyDocument": trustsLambda,
	"DbMigrateFunctionRole.AssumeRolePolicyDocument":  trustsLambda,
	"DbCheckFunctionRole.AssumeRolePolicyDocument":    trustsLambda,
	"AuditAddFunctionRole.AssumeRolePolicyDocument":   trustsLambda,
	"AuditQueryFunctionRole.AssumeRolePolicyDocument": trustsLambda,
	"OutboxRelayRole.AssumeRolePolicyDocument":        trustsLambda,
	"PlayerSyncRole.AssumeRolePolicyDocument":         trustsLambda,
	"PeriodCloseRole.AssumeRolePolicyDocument":        trustsLambda,
	"AuditPublishRole.AssumeRolePolicyDocument":       trustsLambda,
	"NotifyRole.AssumeRolePolicyDocument":             trustsLambda,
	"UsersTaskRole.AssumeRolePolicyDocument":          trustsECS,
	"UsersExecutionRole.AssumeRolePolicyDocument":     trustsECS,

	// TestNothingChangesAnEvent has what this one is for.
	"EventsTable.ResourcePolicy.PolicyDocument": `
		Deny *: dynamodb:BatchWriteItem dynamodb:DeleteItem dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLUpdate dynamodb:UpdateItem dynamodb:UpdateTimeToLive EventsTable
		Deny *: dynamodb:ConditionCheckItem dynamodb:PutItem EventsTable if {"StringEquals":{"dynamodb:EnclosingOperation":"TransactWriteItems"}}
		Deny *: dynamodb:PutItem EventsTable if {"ArnNotEquals":{"aws:PrincipalArn":["AuditAddFunctionRole.Arn","OutboxRelayRole.Arn","UsersTaskRole.Arn"]}}`,

	"FailuresBucketPolicy.PolicyDocument": `
		Deny *: s3:* FailuresBucket FailuresBucket/* if {"Bool":{"aws:SecureTransport":"false"}}`,

	// Each rule may send to its queues, and nobody else.
	"MailQueuePolicy.PolicyDocument": sends("ToldRule", "MailQueue") + sends("SecurityRule", "MailQueue") + sends("LinksRule", "MailQueue") +
		sends("FeedbackRule", "MailQueue") + onlyByTLS("MailQueue"),
	"RulesFailedQueuePolicy.PolicyDocument": sends("ToldRule", "RulesFailedQueue") + sends("SecurityRule", "RulesFailedQueue") +
		sends("LinksRule", "RulesFailedQueue") + onlyByTLS("RulesFailedQueue"),
	"MailFailedQueuePolicy.PolicyDocument": onlyByTLS("MailFailedQueue"),

	// TestTheVPCNeedsNoOtherWayOut compares these two with the roles in the VPC.
	"DynamoDbEndpoint.PolicyDocument": `
		Allow *: dynamodb:BatchGetItem dynamodb:DescribeTable dynamodb:GetItem dynamodb:PutItem EventsTable` + ofAccount + `
		Allow *: dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:DescribeTable dynamodb:Query IndexTable` + ofAccount + `
		Allow *: dynamodb:DescribeTable dynamodb:PutItem WakeTable ProfilesTable` + ofAccount,
	"S3Endpoint.PolicyDocument": `
		Allow *: s3:PutObject FailuresBucket/*` + ofAccount + `
		Allow *: s3:ListBucket FailuresBucket` + ofAccount,
}

func sends(rule, queue string) string {
	return `
		Allow Service events.amazonaws.com: sqs:SendMessage ` + queue + ` if {"ArnEquals":{"aws:SourceArn":"` + rule + `.Arn"}}`
}

func onlyByTLS(queue string) string {
	return `
		Deny *: sqs:* ` + queue + ` if {"Bool":{"aws:SecureTransport":"false"}}`
}

// lines returns the lines of a text, without indentation and empty ones.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// documentsIn returns every policy document in a value, by its path, whatever the
// property is called. One may be written as text.
func documentsIn(path string, v any) map[string]map[string]any {
	out := map[string]map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		if v["Statement"] != nil {
			out[path] = v
			return out
		}
		for key, value := range v {
			maps.Copy(out, documentsIn(path+"."+key, value))
		}
	case []any:
		for i, value := range v {
			maps.Copy(out, documentsIn(fmt.Sprintf("%s[%d]", path, i), value))
		}
	case string:
		var document map[string]any
		if strings.Contains(v, "Statement") && json.Unmarshal([]byte(v), &document) == nil && document["Statement"] != nil {
			out[path] = document
		}
	}
	return out
}

// render writes the statements of a document in the form of documents.
func render(stack *template.Stack, document map[string]any) ([]string, error) {
	for key, value := range document {
		if key != "Statement" && (key != "Version" || value != "2012-10-17") {
			return nil, fmt.Errorf("it has %s: %v", key, value)
		}
	}
	list, err := statements(stack, document)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range list {
		line := s.effect + " " + principals(s.principal) + ": " + strings.Join(slices.Concat(s.actions, s.resources), " ")
		if s.condition != nil {
			text, err := json.Marshal(s.condition)
			if err != nil {
				return nil, err
			}
			line += " if " + string(text)
		}
		out = append(out, line)
	}
	return out, nil
}

// principals writes the principals of a statement.
func principals(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(m)) {
		out = append(out, kind+" "+strings.Join(texts(m[kind]), " "))
	}
	return strings.Join(out, ", ")
}

// wrongDocuments reports how the policies of a stack differ from documents.
func wrongDocuments(stack *template.Stack) (wrong []string) {
	seen := map[string]bool{}
	for _, r := range stack.Resources {
		for path, document := range documentsIn(r.ID, r.Properties) {
			if r.Type == "AWS::IAM::Role" && strings.HasPrefix(path, r.ID+".Policies[") {
				continue // wrongRoles reads it
			}
			seen[path] = true
			got, err := render(stack, document)
			if err != nil {
				wrong = append(wrong, path+": "+err.Error())
			} else if want := lines(documents[path]); !slices.Equal(got, want) {
				wrong = append(wrong, fmt.Sprintf("%s is\n%s\nwant\n%s", path, strings.Join(got, "\n"), strings.Join(want, "\n")))
			}
		}
	}
	for path := range documents {
		if !seen[path] {
			wrong = append(wrong, "the stack has no policy "+path)
		}
	}
	return wrong
}

// Every policy is, to the letter, what documents says, in every stage.
func TestPoliciesAreWhatIsListed(t *testing.T) {
	for _, name := range []string{"local", "dev", "prod"} {
		for _, wrong := range wrongDocuments(named(t, name)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// A statement that is removed, and one that is changed in any way, is found.
func TestAChangedPolicyIsFound(t *testing.T) {
	whole := named(t, "prod")
	for i, r := range whole.Resources {
		for path, document := range documentsIn(r.ID, r.Properties) {
			if documents[path] == "" {
				continue
			}
			for n := range document["Statement"].([]any) {
				for change, apply := range map[string]func(s map[string]any){
					"another principal": func(s map[string]any) {
						m, ok := s["Principal"].(map[string]any)
						if !ok {
							m = map[string]any{}
							s["Principal"] = m
						}
						m["AWS"] = "*"
					},
					"another action": func(s map[string]any) { s["Action"] = append(either(s["Action"]), "sts:TagSession") },
					"another effect": func(s map[string]any) { s["Effect"] = map[any]string{"Allow": "Deny", "Deny": "Allow"}[s["Effect"]] },
					"another resource": func(s map[string]any) {
						s["Resource"] = append(either(s["Resource"]), "arn:aws:s3:::another")
					},
					"another role": func(s map[string]any) { widen(s, "arn:aws:iam::*:role/*") },
					"no condition": func(s map[string]any) {
						if s["Condition"] == nil {
							s["Condition"] = map[string]any{"Bool": map[string]any{"aws:SecureTransport": "true"}}
							return
						}
						delete(s, "Condition")
					},
					"an exception": func(s map[string]any) { s["NotPrincipal"] = map[string]any{"AWS": "arn:aws:iam::1:root"} },
					"a removal":    nil,
				} {
					stack := copied(t, whole)
					in := documentsIn(r.ID, stack.Resources[i].Properties)[path]
					list := in["Statement"].([]any)
					if apply == nil {
						in["Statement"] = slices.Delete(list, n, n+1)
					} else {
						apply(list[n].(map[string]any))
					}
					if len(wrongDocuments(stack)) == 0 {
						t.Errorf("%s, statement %d: %s is not found", path, n, change)
					}
				}
			}
		}
		// A policy of a resource that has none, such as that of a table's stream.
		for _, property := range []string{"ResourcePolicy", "RepositoryPolicyText", "StreamSpecification"} {
			policy := map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}}
			text, err := json.Marshal(policy)
			if err != nil {
				t.Fatal(err)
			}
			for form, value := range map[string]any{"map": policy, "text": string(text)} {
				stack := &template.Stack{Pseudo: whole.Pseudo, Resources: slices.Clone(whole.Resources)}
				stack.Resources[i].Properties = maps.Clone(r.Properties)
				stack.Resources[i].Properties[property] = map[string]any{"Nested": []any{value}}
				if len(wrongDocuments(stack)) == 0 {
					t.Errorf("a policy in %s of %s, as %s, is not found", property, r.ID, form)
				}
			}
		}
	}
}

// widen adds a value to the first condition of a statement, or makes one with it.
func widen(s map[string]any, value string) {
	conditions, _ := s["Condition"].(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(conditions)) {
		keys := conditions[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			keys[key] = append(either(keys[key]), value)
			return
		}
	}
	s["Condition"] = map[string]any{"ArnLike": map[string]any{"aws:PrincipalArn": value}}
}
