package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plaudit/local/template"
)

// rights lists everything that each role of the stack may do, one action and
// resource a line. A statement that is removed, widened or added must be changed
// here too.
//
// rds-db:connect names a database and the role that the function logs in as there.
// Each role also has the managed policies in managedPolicies that its line names.
var rights = map[string]string{
	"ScoreAddFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSXrayWriteOnlyAccess
		rds-db:connect ScoresDb/score_add
		dynamodb:PutItem WakeTable`,
	"ScoreQueryFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSXrayWriteOnlyAccess
		rds-db:connect ScoresDb/score_query`,
	"BoardAdminFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSXrayWriteOnlyAccess
		rds-db:connect ScoresDb/board_admin
		dynamodb:PutItem WakeTable`,
	"DbMigrateFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSXrayWriteOnlyAccess
		rds-db:connect ScoresDb/db_migrate
		rds-db:connect UsersDb/db_migrate`,
	"DbCheckFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSXrayWriteOnlyAccess
		rds-db:connect ScoresDb/db_check
		rds-db:connect UsersDb/db_check
		dynamodb:BatchGetItem EventsTable
		dynamodb:DescribeTable EventsTable
		dynamodb:GetItem EventsTable
		dynamodb:BatchGetItem IndexTable
		dynamodb:DescribeTable IndexTable
		dynamodb:Query IndexTable
		dynamodb:DescribeTable WakeTable
		dynamodb:PutItem WakeTable`,
	"AuditAddFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSXrayWriteOnlyAccess
		dynamodb:DescribeTable EventsTable
		dynamodb:GetItem EventsTable
		dynamodb:PutItem EventsTable
		dynamodb:BatchWriteItem IndexTable
		dynamodb:DescribeTable IndexTable`,
	"AuditQueryFunctionRole": `
		managed AWSLambdaBasicExecutionRole AWSXrayWriteOnlyAccess
		dynamodb:BatchGetItem EventsTable
		dynamodb:DescribeTable EventsTable
		dynamodb:GetItem EventsTable
		dynamodb:DescribeTable IndexTable
		dynamodb:Query IndexTable`,
	"OutboxRelayRole": `
		managed AWSLambdaVPCAccessExecutionRole
		rds-db:connect ScoresDb/outbox_relay
		dynamodb:DescribeTable EventsTable
		dynamodb:PutItem EventsTable
		dynamodb:BatchWriteItem IndexTable
		dynamodb:DescribeTable IndexTable
		dynamodb:DescribeTable WakeTable
		dynamodb:PutItem WakeTable
		dynamodb:DescribeStream WakeTable.StreamArn
		dynamodb:GetRecords WakeTable.StreamArn
		dynamodb:GetShardIterator WakeTable.StreamArn
		dynamodb:ListStreams WakeTable/stream/*
		s3:PutObject FailuresBucket/*
		s3:ListBucket FailuresBucket`,
	"PlayerSyncRole": `
		managed AWSLambdaVPCAccessExecutionRole
		rds-db:connect ScoresDb/player_sync
		dynamodb:DescribeTable WakeTable
		dynamodb:PutItem WakeTable
		dynamodb:DescribeStream ProfilesTable.StreamArn
		dynamodb:GetRecords ProfilesTable.StreamArn
		dynamodb:GetShardIterator ProfilesTable.StreamArn
		dynamodb:ListStreams ProfilesTable/stream/*
		s3:PutObject FailuresBucket/*
		s3:ListBucket FailuresBucket`,
	"PeriodCloseRole": `
		managed AWSLambdaVPCAccessExecutionRole
		rds-db:connect ScoresDb/period_close
		dynamodb:DescribeTable WakeTable
		dynamodb:PutItem WakeTable`,
	"AuditPublishRole": `
		managed AWSLambdaBasicExecutionRole
		dynamodb:DescribeTable EventsTable
		dynamodb:BatchGetItem IndexTable
		dynamodb:BatchWriteItem IndexTable
		dynamodb:DescribeTable IndexTable
		events:DescribeEventBus EventBus
		events:PutEvents EventBus
		dynamodb:DescribeStream EventsTable.StreamArn
		dynamodb:GetRecords EventsTable.StreamArn
		dynamodb:GetShardIterator EventsTable.StreamArn
		dynamodb:ListStreams EventsTable/stream/*
		s3:PutObject FailuresBucket/*
		s3:ListBucket FailuresBucket`,
	"NotifyRole": `
		managed AWSLambdaBasicExecutionRole
		dynamodb:DescribeTable MailsTable
		dynamodb:GetItem MailsTable
		dynamodb:PutItem MailsTable
		ses:SendEmail identity/MailIdentity
		ses:SendEmail configuration-set/MailConfiguration
		sqs:SendMessage MailQueue
		sqs:SendMessage MailFailedQueue
		sqs:GetQueueAttributes MailFailedQueue
		secretsmanager:GetSecretValue NotifyKeySecret
		sqs:DeleteMessage MailQueue
		sqs:GetQueueAttributes MailQueue
		sqs:ReceiveMessage MailQueue`,
	"UsersTaskRole": `
		rds-db:connect UsersDb/users_service
		dynamodb:DescribeTable EventsTable
		dynamodb:PutItem EventsTable
		dynamodb:BatchWriteItem IndexTable
		dynamodb:DescribeTable IndexTable
		dynamodb:DescribeTable ProfilesTable
		dynamodb:PutItem ProfilesTable`,
	"UsersExecutionRole": `
		secretsmanager:GetSecretValue SigningKeySecret
		secretsmanager:GetSecretValue AdminPasswordSecret
		secretsmanager:GetSecretValue NotifyKeySecret
		ecr:BatchGetImage UsersRepository
		ecr:GetDownloadUrlForLayer UsersRepository
		ecr:GetAuthorizationToken *
		logs:CreateLogStream UsersLogGroup
		logs:PutLogEvents UsersLogGroup`,
}

// managedPolicies are AWS's policies that a role may have, with the reason. Each
// names all resources.
var managedPolicies = map[string]string{
	"AWSLambdaBasicExecutionRole":     "a function writes its log; it contains nothing else",
	"AWSLambdaVPCAccessExecutionRole": "Lambda makes the network interfaces of a function in the VPC; EC2 lets none of these actions name a resource beforehand. It contains the log too",
	"AWSXrayWriteOnlyAccess":          "SAM adds it for Tracing; X-Ray knows no resources",
}

// wildcards are the resources of rights that end in *, with the reason.
var wildcards = map[string]string{
	"ecr:GetAuthorizationToken *":                 "the action has no resources",
	"s3:PutObject FailuresBucket/*":               "any object of this bucket",
	"dynamodb:ListStreams WakeTable/stream/*":     "the action is about every stream that the table has had",
	"dynamodb:ListStreams ProfilesTable/stream/*": "the same",
	"dynamodb:ListStreams EventsTable/stream/*":   "the same",
}

// named resolves template.yaml with the parameters of a stage. GetAtt yields
// <logical id>.<attribute>, so that tests tell a table from its stream.
func named(t *testing.T, name string) *template.Stack {
	t.Helper()
	return changed(t, name, nil)
}

// changed does so after a change of parameters.
func changed(t *testing.T, name string, parameters map[string]string) *template.Stack {
	t.Helper()
	return resolvedWith(t, name, parameters, func(r template.Resource, attribute string) (any, error) {
		if attribute == "Ref" {
			return r.ID, nil
		}
		return r.ID + "." + attribute, nil
	})
}

var (
	databaseUser = regexp.MustCompile(`^arn:aws:rds-db:[a-z0-9-]+:\d{12}:dbuser:(\w+)\.DbiResourceId/(\w+)$`)
	// The identity is a parameter, and each stage has its own.
	sesARN   = regexp.MustCompile(`^arn:aws:ses:[a-z0-9-]+:\d{12}:(identity|configuration-set)/([A-Za-z0-9.@-]*)$`)
	tableARN = regexp.MustCompile(`^arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table/([a-z-]+)(.*)$`)
)

// resourceName shortens the ARN of a resource to its logical id.
func resourceName(stack *template.Stack, arn any) string {
	text := fmt.Sprint(arn)
	if m := databaseUser.FindStringSubmatch(text); m != nil {
		return m[1] + "/" + m[2]
	}
	if m := tableARN.FindStringSubmatch(text); m != nil {
		for _, table := range of(stack, "AWS::DynamoDB::Table") {
			if table.Properties["TableName"] == m[1] {
				return table.ID + m[2]
			}
		}
	}
	if m := sesARN.FindStringSubmatch(text); m != nil {
		if m[1] == "identity" {
			return "identity/MailIdentity"
		}
		return m[1] + "/" + m[2]
	}
	id, rest, _ := strings.Cut(text, ".Arn")
	if rest == "" || strings.HasPrefix(rest, "/") {
		return id + rest
	}
	return text
}

// statement is a statement of a policy document.
type statement struct {
	effect             string
	principal          any
	actions, resources []string
	condition          map[string]any
}

// statements reads the statements of a policy document. An element that it does not
// know, such as NotAction, is an error.
func statements(stack *template.Stack, document any) ([]statement, error) {
	list, ok := at(document, "Statement").([]any)
	if !ok {
		return nil, fmt.Errorf("the document has no list of statements: %v", document)
	}
	var out []statement
	for _, item := range list {
		m, _ := item.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, key) {
				return nil, fmt.Errorf("a statement has the element %s", key)
			}
		}
		s := statement{effect: fmt.Sprint(m["Effect"]), principal: m["Principal"], actions: texts(m["Action"])}
		for _, r := range either(m["Resource"]) {
			s.resources = append(s.resources, resourceName(stack, r))
		}
		s.condition, _ = m["Condition"].(map[string]any)
		out = append(out, s)
	}
	return out, nil
}

// either returns the items of a list, or its only item given alone.
func either(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

func texts(v any) []string {
	var out []string
	for _, item := range either(v) {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// rightsOf lists what a role may do, sorted, in the form of rights.
func rightsOf(stack *template.Stack, role template.Resource) ([]string, error) {
	var lines, managed []string
	for _, arn := range texts(role.Properties["ManagedPolicyArns"]) {
		name := arn[strings.LastIndexByte(arn, '/')+1:]
		if managedPolicies[name] == "" {
			return nil, fmt.Errorf("%s has the managed policy %s, which managedPolicies does not list", role.ID, name)
		}
		managed = append(managed, name)
	}
	if managed != nil {
		slices.Sort(managed)
		lines = append(lines, "managed "+strings.Join(managed, " "))
	}
	for _, policy := range either(role.Properties["Policies"]) {
		list, err := statements(stack, at(policy, "PolicyDocument"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", role.ID, err)
		}
		for _, s := range list {
			if s.effect != "Allow" || s.condition != nil || s.principal != nil {
				return nil, fmt.Errorf("%s: a statement has an effect or a condition that this test does not read: %+v", role.ID, s)
			}
			for _, action := range s.actions {
				for _, resource := range s.resources {
					lines = append(lines, action+" "+resource)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// wrongRoles reports how the roles of a stack differ from rights.
func wrongRoles(stack *template.Stack) (wrong []string) {
	seen := map[string]bool{}
	for _, role := range of(stack, "AWS::IAM::Role") {
		seen[role.ID] = true
		want := lines(rights[role.ID])
		slices.Sort(want)
		got, err := rightsOf(stack, role)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				wrong = append(wrong, role.ID+" may do more: "+line)
			}
			if strings.Contains(line, "*") && wildcards[line] == "" {
				wrong = append(wrong, role.ID+" has a right on any resource: "+line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				wrong = append(wrong, role.ID+" lacks: "+line)
			}
		}
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			wrong = append(wrong, role.ID+" has a right twice")
		}
	}
	for id := range rights {
		if !seen[id] {
			wrong = append(wrong, "the stack has no role "+id)
		}
	}
	for _, r := range stack.Resources {
		if strings.HasPrefix(r.Type, "AWS::IAM::") && r.Type != "AWS::IAM::Role" {
			wrong = append(wrong, r.ID+": "+r.Type+" gives rights that this test does not read")
		}
	}
	return wrong
}

// Each role may do what rights says, in every stage, and nothing else.
func TestRolesMayDoWhatIsListed(t *testing.T) {
	for _, name := range []string{"local", "dev", "prod"} {
		for _, wrong := range wrongRoles(named(t, name)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// A statement that is removed, and one that is widened, is found, whichever it is.
func TestAChangedStatementIsFound(t *testing.T) {
	whole := named(t, "prod")
	for path, list := range policies(whole) {
		for i := range list {
			for change, apply := range map[string]func(s map[string]any){
				"another action":   func(s map[string]any) { s["Action"] = append(either(s["Action"]), "dynamodb:DeleteItem") },
				"another resource": func(s map[string]any) { s["Resource"] = append(either(s["Resource"]), "*") },
				"every action":     func(s map[string]any) { s["Action"] = "*" },
				"a removal":        nil,
			} {
				stack := copied(t, whole)
				document := path.in(stack)
				all := document["Statement"].([]any)
				if apply == nil {
					document["Statement"] = slices.Delete(all, i, i+1)
				} else {
					apply(all[i].(map[string]any))
				}
				if len(wrongRoles(stack)) == 0 {
					t.Errorf("%s, policy %d, statement %d: %s is not found", path.id, path.index, i, change)
				}
			}
		}
	}
}

// policy is the place of an inline policy: of which role, and which one.
type policy struct {
	id    string
	index int
}

func (p policy) in(stack *template.Stack) map[string]any {
	role, _ := stack.Resource(p.id)
	return at(role.Properties, "Policies", p.index, "PolicyDocument").(map[string]any)
}

// policies returns the statements of every inline policy.
func policies(stack *template.Stack) map[policy][]any {
	out := map[policy][]any{}
	for _, role := range of(stack, "AWS::IAM::Role") {
		for i := range either(role.Properties["Policies"]) {
			p := policy{role.ID, i}
			out[p] = p.in(stack)["Statement"].([]any)
		}
	}
	return out
}

// copied returns a deep copy of a stack, for a test to change.
func copied(t *testing.T, stack *template.Stack) *template.Stack {
	t.Helper()
	text, err := json.Marshal(stack)
	if err != nil {
		t.Fatal(err)
	}
	out := &template.Stack{}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A role trusts the one service that runs with it, and nobody else.
func TestRolesTrustOneService(t *testing.T) {
	stack := named(t, "prod")
	for _, role := range of(stack, "AWS::IAM::Role") {
		document, _ := role.Properties["AssumeRolePolicyDocument"].(map[string]any)
		got, err := render(stack, document)
		if err != nil {
			t.Fatalf("%s: %v", role.ID, err)
		}
		want := trustsLambda
		if strings.HasPrefix(role.ID, "Users") {
			want = trustsECS
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s trusts %q, want %s alone", role.ID, got, want)
		}
	}
}

// Each permission to invoke a function names a target group of this stack or one of
// its rules, and each of these has one.
func TestInvokersAreNamed(t *testing.T) {
	whole := named(t, "prod")
	for _, wrong := range wrongInvokers(whole) {
		t.Error(wrong)
	}
	for i, r := range whole.Resources {
		if r.Type != "AWS::Lambda::Permission" {
			continue
		}
		stack := copied(t, whole)
		stack.Resources = slices.Delete(stack.Resources, i, i+1)
		for j := range stack.Resources { // nor does anything depend on it
			stack.Resources[j].DependsOn = slices.DeleteFunc(stack.Resources[j].DependsOn, func(id string) bool { return id == r.ID })
		}
		if len(wrongInvokers(stack)) == 0 {
			t.Errorf("the removal of %s is not found", r.ID)
		}
		stack = copied(t, whole)
		for j := range stack.Resources {
			stack.Resources[j].DependsOn = slices.DeleteFunc(stack.Resources[j].DependsOn, func(id string) bool { return id == r.ID })
		}
		if r.Properties["Principal"] == "elasticloadbalancing.amazonaws.com" && len(wrongInvokers(stack)) == 0 {
			t.Errorf("a target group that does not depend on %s is not found", r.ID)
		}
		for _, property := range slices.Sorted(maps.Keys(r.Properties)) {
			stack := copied(t, whole)
			delete(stack.Resources[i].Properties, property)
			if len(wrongInvokers(stack)) == 0 {
				t.Errorf("%s without %s is not found", r.ID, property)
			}
		}
	}
}

// wrongInvokers reports what a stack's permissions to invoke functions allow beyond its
// target groups and rules, and which of these lack theirs.
func wrongInvokers(stack *template.Stack) (wrong []string) {
	type invoker struct{ function, source string }
	permissions := map[invoker]string{}
	for _, p := range of(stack, "AWS::Lambda::Permission") {
		for property := range p.Properties {
			if !slices.Contains([]string{"FunctionName", "Action", "Principal", "SourceArn"}, property) {
				wrong = append(wrong, p.ID+" has "+property)
			}
		}
		arn, principal := fmt.Sprint(p.Properties["SourceArn"]), p.Properties["Principal"]
		function, _, _ := strings.Cut(fmt.Sprint(p.Properties["FunctionName"]), ".")
		f, ok := stack.Resource(function)
		group := "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/plaudit-prod-" + folder(f) + "/*"
		if permissions[invoker{function, arn}] != "" {
			wrong = append(wrong, p.ID+" is there twice")
		}
		permissions[invoker{function, arn}] = p.ID
		rule, _ := stack.Resource(strings.TrimSuffix(arn, ".Arn"))
		byGroup := principal == "elasticloadbalancing.amazonaws.com" && arn == group
		byRule := principal == "events.amazonaws.com" && rule.Type == "AWS::Events::Rule"
		if !ok || p.Properties["Action"] != "lambda:InvokeFunction" || !byGroup && !byRule {
			wrong = append(wrong, fmt.Sprintf("%s lets %v of %s invoke %s", p.ID, principal, arn, function))
		}
	}
	for _, g := range of(stack, "AWS::ElasticLoadBalancingV2::TargetGroup") {
		if g.Properties["TargetType"] != "lambda" {
			continue
		}
		targets := either(g.Properties["Targets"])
		function := strings.TrimSuffix(fmt.Sprint(at(targets, 0, "Id")), ".Arn")
		id := permissions[invoker{function, fmt.Sprintf("arn:aws:elasticloadbalancing:%s:%s:targetgroup/%v/*", stack.Pseudo.Region, stack.Pseudo.AccountID, g.Properties["Name"])}]
		// Registering a target checks the permission.
		if len(targets) != 1 || id == "" || !slices.Contains(g.DependsOn, id) {
			wrong = append(wrong, fmt.Sprintf("%s has the targets %v, and depends on the permission %q", g.ID, targets, id))
		}
	}
	for _, r := range of(stack, "AWS::Events::Rule") {
		for _, target := range either(r.Properties["Targets"]) {
			if q, _ := stack.Resource(strings.TrimSuffix(fmt.Sprint(at(target, "Arn")), ".Arn")); q.Type == "AWS::SQS::Queue" {
				continue // wrongRules reads the queue's policy
			}
			if permissions[invoker{strings.TrimSuffix(fmt.Sprint(at(target, "Arn")), ".Arn"), r.ID + ".Arn"}] == "" {
				wrong = append(wrong, fmt.Sprintf("%s has no permission to invoke %v", r.ID, at(target, "Arn")))
			}
		}
	}
	return wrong
}

// harmful are actions on tables that no role has: they change or remove what is
// there, or read a whole table.
var harmful = regexp.MustCompile(`^dynamodb:(\*|Delete|Update|PartiQL|Scan|Create|Restore|Import|Put[^I])`)

// No role can change or remove an item, wherever it may write.
func TestNobodyDeletesAnEvent(t *testing.T) {
	stack := named(t, "prod")
	for _, role := range of(stack, "AWS::IAM::Role") {
		lines, err := rightsOf(stack, role)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if harmful.MatchString(line) || strings.HasPrefix(line, "dynamodb:BatchWriteItem ") && line != "dynamodb:BatchWriteItem IndexTable" {
				t.Errorf("%s may %s", role.ID, line)
			}
		}
	}
}

// The functions that commit outbox rows wake the relay, and can do nothing else
// with the log.
func TestWritersOfScoresMayOnlyWake(t *testing.T) {
	stack := named(t, "prod")
	for _, id := range []string{"ScoreAddFunctionRole", "BoardAdminFunctionRole"} {
		role, _ := stack.Resource(id)
		lines, err := rightsOf(stack, role)
		if err != nil {
			t.Fatal(err)
		}
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "managed ") || strings.HasPrefix(l, "rds-db:")
		})
		if !slices.Equal(lines, []string{"dynamodb:PutItem WakeTable"}) {
			t.Errorf("%s may %q", id, lines)
		}
	}
}

// A function may log in as the database role that its DSN names, and so may the
// users service.
func TestLoginsAreThoseOfTheDSNs(t *testing.T) {
	stack := named(t, "prod")
	dsn := regexp.MustCompile(`^postgres://(\w+)@(\w+)\.Endpoint\.Address:`)
	compare := func(name string, role template.Resource, variables map[string]string) {
		var want, got []string
		for variable, value := range variables {
			if strings.HasSuffix(variable, "_DSN") {
				m := dsn.FindStringSubmatch(value)
				if m == nil {
					t.Fatalf("%s: %s is %s", name, variable, value)
				}
				want = append(want, "rds-db:connect "+m[2]+"/"+m[1])
			}
		}
		lines, err := rightsOf(stack, role)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "rds-db:") {
				got = append(got, line)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s may %q, and its DSNs need %q", name, got, want)
		}
	}
	for _, f := range of(stack, "AWS::Lambda::Function") {
		compare(folder(f), roleOf(stack, f), variablesOf(f))
	}
	for _, task := range of(stack, "AWS::ECS::TaskDefinition") {
		compare(task.ID, roleOf(stack, task), variablesOf(task))
	}
}

// roleOf returns the role that a function or task runs with.
func roleOf(stack *template.Stack, r template.Resource) template.Resource {
	for _, property := range []string{"Role", "TaskRoleArn"} {
		if arn, ok := r.Properties[property].(string); ok {
			role, _ := stack.Resource(strings.TrimSuffix(arn, ".Arn"))
			return role
		}
	}
	return template.Resource{}
}

// variablesOf returns the environment of a function, or of a task's container.
func variablesOf(r template.Resource) map[string]string {
	out := map[string]string{}
	if m, ok := at(r.Properties, "Environment", "Variables").(map[string]any); ok {
		for name, value := range m {
			out[name] = fmt.Sprint(value)
		}
	}
	for _, v := range either(at(r.Properties, "ContainerDefinitions", 0, "Environment")) {
		out[fmt.Sprint(at(v, "Name"))] = fmt.Sprint(at(v, "Value"))
	}
	return out
}
