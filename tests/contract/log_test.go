package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"plaudit/local/pattern"
	"plaudit/local/template"
)

// tables are the tables of the log, as the code that uses them expects them. Those
// that are kept outlive the stack. All are protected and backed up by stage.
var tables = map[string]struct {
	name, keys, stream, ttl string
	kept                    bool
}{
	"EventsTable":   {"-events", "logid HASH", "NEW_IMAGE", "", true},
	"IndexTable":    {"-event-index", "k HASH, s RANGE", "", "", true},
	"WakeTable":     {"-wake", "id HASH", "NEW_IMAGE", "expires", false},
	"ProfilesTable": {"-profiles", "id HASH", "NEW_IMAGE", "", false},
	"MailsTable":    {"-mails", "id HASH", "", "expires", false},
}

// keptAttributes and deletedAttributes are what CloudFormation does with a resource.
// Retain would also keep what a first deployment has made that failed, with its name,
// and the next one could not make it.
const (
	keptAttributes    = "    DeletionPolicy: RetainExceptOnCreate\n    UpdateReplacePolicy: Retain\n"
	deletedAttributes = "    DeletionPolicy: Delete\n    UpdateReplacePolicy: Delete\n"
)

func TestTables(t *testing.T) {
	text := read(t, "template.yaml")
	for name, protected := range map[string]bool{"dev": false, "prod": true} {
		stack := named(t, name)
		seen := 0
		for _, r := range of(stack, "AWS::DynamoDB::Table") {
			want, ok := tables[r.ID]
			if !ok {
				t.Errorf("%s: the table %s is not in the list", name, r.ID)
				continue
			}
			seen++
			attributes := deletedAttributes
			if want.kept {
				attributes = keptAttributes
			}
			var keys []string
			for _, k := range either(r.Properties["KeySchema"]) {
				keys = append(keys, fmt.Sprint(at(k, "AttributeName"), " ", at(k, "KeyType")))
			}
			for what, pair := range map[string][2]any{
				"name":                {r.Properties["TableName"], stack.Pseudo.StackName + want.name},
				"keys":                {strings.Join(keys, ", "), want.keys},
				"billing":             {r.Properties["BillingMode"], "PAY_PER_REQUEST"},
				"stream":              {textOr(at(r.Properties, "StreamSpecification", "StreamViewType"), ""), want.stream},
				"TTL":                 {textOr(at(r.Properties, "TimeToLiveSpecification", "AttributeName"), ""), want.ttl},
				"recovery":            {at(r.Properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), protected},
				"deletion protection": {r.Properties["DeletionProtectionEnabled"], protected},
				"key of KMS":          {r.Properties["SSESpecification"], nil}, // the VPC has no way to KMS
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s, %s: the %s is %v, want %v", name, r.ID, what, pair[0], pair[1])
				}
			}
			for _, attribute := range either(r.Properties["AttributeDefinitions"]) {
				if at(attribute, "AttributeType") != "S" {
					t.Errorf("%s: the key %v is not text", r.ID, attribute)
				}
			}
			if !strings.Contains(text, "  "+r.ID+":\n    Type: AWS::DynamoDB::Table\n"+attributes) {
				t.Errorf("%s does not have the attributes\n%s", r.ID, attributes)
			}
		}
		if seen != len(tables) {
			t.Errorf("%s: the stack has %d tables, want %d", name, seen, len(tables))
		}
	}
}

func textOr(v any, other string) string {
	if text, ok := v.(string); ok {
		return text
	}
	return other
}

// denies reports whether a resource policy refuses a principal an action. within is
// the operation that the action is part of, "" if it is called alone. Every statement
// must be a Deny on the table, with the conditions that this function knows.
func denies(t *testing.T, list []statement, principal, action, within string) bool {
	t.Helper()
	denied := false
	for _, s := range list {
		if s.effect != "Deny" || s.principal != "*" || !slices.Equal(s.resources, []string{"EventsTable"}) {
			t.Fatalf("a statement is not a Deny to everybody on the table: %+v", s)
		}
		applies := slices.Contains(s.actions, action)
		for operator, keys := range s.condition {
			for key, values := range keys.(map[string]any) {
				switch operator + " " + key {
				case "StringEquals dynamodb:EnclosingOperation":
					applies = applies && slices.Contains(texts(values), within)
				case "ArnNotEquals aws:PrincipalArn":
					applies = applies && !slices.Contains(texts(values), principal)
				default:
					t.Fatalf("a statement has a condition that this test does not know: %s %s", operator, key)
				}
			}
		}
		denied = denied || applies
	}
	return denied
}

// The policy of the events table refuses everybody, administrators too, what could
// change or remove an event.
func TestNothingChangesAnEvent(t *testing.T) {
	const admin, transaction = "arn:aws:iam::000000000000:role/admin", "TransactWriteItems"
	writers := []string{"AuditAddFunctionRole.Arn", "OutboxRelayRole.Arn", "UsersTaskRole.Arn"}
	stack := named(t, "prod")
	table, _ := stack.Resource("EventsTable")
	list, err := statements(stack, at(table.Properties, "ResourcePolicy", "PolicyDocument"))
	if err != nil {
		t.Fatal(err)
	}
	// wrong returns what the statements get wrong.
	wrong := func(list []statement) (wrong []string) {
		expect := func(want bool, principal, action, within string) {
			if got := denies(t, list, principal, action, within); got != want {
				wrong = append(wrong, fmt.Sprintf("%s by %s within %q: denied %t, want %t", action, principal, within, got, want))
			}
		}
		for _, who := range append(slices.Clone(writers), admin, "DbCheckFunctionRole.Arn", "ScoreAddFunctionRole.Arn") {
			for _, action := range []string{"DeleteItem", "UpdateItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete", "UpdateTimeToLive"} {
				expect(true, who, "dynamodb:"+action, "")
			}
			for _, action := range []string{"DeleteItem", "UpdateItem", "PutItem", "ConditionCheckItem"} {
				expect(true, who, "dynamodb:"+action, transaction)
			}
			for _, action := range []string{"GetItem", "BatchGetItem", "DescribeTable", "DescribeStream"} {
				expect(false, who, "dynamodb:"+action, "")
			}
			expect(!slices.Contains(writers, who), who, "dynamodb:PutItem", "")
		}
		return wrong
	}
	for _, w := range wrong(list) {
		t.Error(w)
	}
	for i := range list {
		if len(wrong(slices.Delete(slices.Clone(list), i, i+1))) == 0 {
			t.Errorf("statement %d can be removed, and this test does not find it", i)
		}
	}
	// The policy lets through the roles that may put events, and nobody else: no pattern
	// that others match, either.
	for _, s := range list {
		if through := at(s.condition, "ArnNotEquals", "aws:PrincipalArn"); through != nil && !slices.Equal(texts(through), writers) {
			t.Errorf("the policy lets %q put events, want %q", through, writers)
		}
	}
	var may []string
	for _, role := range of(stack, "AWS::IAM::Role") {
		lines, err := rightsOf(stack, role)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(lines, "dynamodb:PutItem EventsTable") {
			may = append(may, role.ID+".Arn")
		}
	}
	slices.Sort(may)
	if !slices.Equal(may, writers) {
		t.Errorf("the roles %v may put events, want %v", may, writers)
	}
}

// consumers are the event source mappings: which function reads which stream, and
// which records of it.
var consumers = map[string]struct{ table, filter string }{
	"outbox-relay":  {"WakeTable", `{"eventName":["INSERT"]}`},
	"player-sync":   {"ProfilesTable", `{"eventName":["INSERT","MODIFY"]}`},
	"audit-publish": {"EventsTable", `{"eventName":["INSERT"],"dynamodb":{"NewImage":{"restored":{"BOOL":[{"exists":false}]}}}}`},
}

const (
	// mostRetries is the highest number of retries that Lambda takes. The age must be
	// what ends them: Lambda does not promise how long it waits between two, so that a
	// number that seems large may be used up before a database is back.
	mostRetries = 10_000
	streamKeeps = 24 * 60 * 60 // seconds
)

// wrongConsumers reports which settings of a stack's event source mappings are not as
// they must be.
func wrongConsumers(stack *template.Stack) (wrong []string) {
	readers := map[any]int{}
	mappings := ofStreams(stack)
	for _, m := range mappings {
		bad := func(format string, args ...any) {
			wrong = append(wrong, m.ID+": "+fmt.Sprintf(format, args...))
		}
		p := m.Properties
		number := func(name string, low, high int) {
			if n, err := strconv.Atoi(fmt.Sprint(p[name])); err != nil || n < low || n > high {
				bad("%s is %v, but must be %d to %d", name, p[name], low, high)
			}
		}
		readers[p["EventSourceArn"]]++
		f, _ := stack.Resource(fmt.Sprint(p["FunctionName"]))
		want, known := consumers[folder(f)]
		if !known {
			bad("the consumer %s is not in the list", folder(f))
		}
		if p["EventSourceArn"] != want.table+".StreamArn" {
			bad("it reads %v, want the stream of %s", p["EventSourceArn"], want.table)
		}
		if filters := either(at(p, "FilterCriteria", "Filters")); len(filters) != 1 || at(filters[0], "Pattern") != want.filter {
			bad("the filter is %v, want %s", filters, want.filter)
		}
		// A record must not be lost because it was written before the consumer.
		if p["StartingPosition"] != "TRIM_HORIZON" {
			bad("StartingPosition is %v", p["StartingPosition"])
		}
		number("MaximumRetryAttempts", mostRetries, mostRetries) // -1, the default: until the stream forgets the record
		number("MaximumRecordAgeInSeconds", 60*60, streamKeeps*3/4)
		number("BatchSize", 1, 1000)
		if p["BisectBatchOnFunctionError"] != true {
			bad("BisectBatchOnFunctionError is %v", p["BisectBatchOnFunctionError"])
		}
		if !slices.Equal(texts(p["FunctionResponseTypes"]), []string{"ReportBatchItemFailures"}) {
			bad("FunctionResponseTypes is %v", p["FunctionResponseTypes"])
		}
		if to := at(p, "DestinationConfig", "OnFailure", "Destination"); to != "FailuresBucket.Arn" {
			bad("the destination of failures is %v", to)
		}
		for _, property := range []string{"Enabled", "TumblingWindowInSeconds", "StartingPositionTimestamp", "ParallelizationFactor"} {
			if p[property] != nil {
				bad("%s is set, and no test says to what", property)
			}
		}
		lines, err := rightsOf(stack, roleOf(stack, f))
		if err != nil {
			bad("%v", err)
		}
		for _, right := range []string{
			"dynamodb:DescribeStream " + want.table + ".StreamArn", "dynamodb:GetRecords " + want.table + ".StreamArn",
			"dynamodb:GetShardIterator " + want.table + ".StreamArn", "dynamodb:ListStreams " + want.table + "/stream/*",
			"s3:PutObject FailuresBucket/*", "s3:ListBucket FailuresBucket",
		} {
			if !slices.Contains(lines, right) {
				bad("%s may not %s", folder(f), right)
			}
		}
	}
	for stream, n := range readers {
		if n > 2 { // more of them are throttled
			wrong = append(wrong, fmt.Sprintf("%v has %d consumers, but must have at most 2", stream, n))
		}
	}
	if n := len(mappings); n != len(consumers) {
		wrong = append(wrong, fmt.Sprintf("the stack has %d consumers, want %d", n, len(consumers)))
	}
	return wrong
}

// ofStreams returns the event source mappings but those of a queue, which
// TestTheQueueFeedsNotify reads.
func ofStreams(stack *template.Stack) []template.Resource {
	return slices.DeleteFunc(of(stack, "AWS::Lambda::EventSourceMapping"), func(m template.Resource) bool { return m.Properties["EventSourceArn"] == "MailQueue.Arn" })
}

func TestStreamsHaveConsumersThatGiveUp(t *testing.T) {
	for _, name := range []string{"local", "dev", "prod"} {
		for _, wrong := range wrongConsumers(named(t, name)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// A consumer without one of its settings is found, and so is one more consumer.
func TestAConsumerWithoutASettingIsFound(t *testing.T) {
	whole := named(t, "prod")
	for i, r := range whole.Resources {
		if r.Type != "AWS::Lambda::EventSourceMapping" || r.Properties["EventSourceArn"] == "MailQueue.Arn" {
			continue
		}
		for _, property := range slices.Sorted(maps.Keys(r.Properties)) {
			stack := copied(t, whole)
			delete(stack.Resources[i].Properties, property)
			if len(wrongConsumers(stack)) == 0 {
				t.Errorf("%s without %s is not found", r.ID, property)
			}
		}
		stack := copied(t, whole)
		more := copied(t, whole).Resources[i]
		more.ID += "Again"
		delete(more.Properties, "DestinationConfig")
		stack.Resources = append(stack.Resources, more)
		if len(wrongConsumers(stack)) < 2 { // it is one too many, and has no destination
			t.Errorf("one more consumer of %v is not found", r.Properties["EventSourceArn"])
		}
	}
}

// The filters let through what their functions are for.
func TestFiltersOfStreams(t *testing.T) {
	insert := func(image string) string { return `{"eventName":"INSERT","dynamodb":{"NewImage":{` + image + `}}}` }
	const modify, remove = `{"eventName":"MODIFY","dynamodb":{"NewImage":{"id":{"S":"u"}}}}`,
		`{"eventName":"REMOVE","dynamodb":{"Keys":{"id":{"S":"u"}}},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}`
	for function, c := range map[string]struct{ in, out []string }{
		"outbox-relay": {in: []string{insert(`"id":{"S":"w"}`)}, out: []string{modify, remove}},
		"player-sync":  {in: []string{insert(`"id":{"S":"u"}`), modify}, out: []string{remove}},
		"audit-publish": {
			in:  []string{insert(`"logid":{"S":"x"},"enc":{"N":"1"},"event":{"B":"e30="}`)},
			out: []string{modify, remove, insert(`"logid":{"S":"x"},"enc":{"N":"1"},"event":{"B":"e30="},"restored":{"BOOL":true}`)},
		},
	} {
		p, err := pattern.Parse(consumers[function].filter)
		if err != nil {
			t.Fatal(err)
		}
		for want, records := range map[bool][]string{true: c.in, false: c.out} {
			for _, record := range records {
				if !json.Valid([]byte(record)) {
					t.Fatal(record)
				}
				if got := p.Match([]byte(record)); got != want {
					t.Errorf("%s: the filter lets through %t, want %t: %s", function, got, want, record)
				}
			}
		}
	}
}

// Every minute a schedule runs the relay for what crashes have left, and period-close for
// the runs that have closed. The next run makes up for one that fails. So neither the
// handover to Lambda nor Lambda tries one again: the rule's policy never sees the
// function's errors.
func TestSchedules(t *testing.T) {
	stack := named(t, "prod")
	configs := map[any]map[string]any{}
	for _, c := range of(stack, "AWS::Lambda::EventInvokeConfig") {
		configs[c.Properties["FunctionName"]] = c.Properties
	}
	var scheduled []string
	for _, rule := range of(stack, "AWS::Events::Rule") {
		r := rule.Properties
		if r["ScheduleExpression"] == nil {
			continue
		}
		if r["ScheduleExpression"] != "rate(1 minute)" || len(either(r["Targets"])) != 1 {
			t.Errorf("the rule is %v", r)
		}
		for _, target := range either(r["Targets"]) {
			function := strings.TrimSuffix(fmt.Sprint(at(target, "Arn")), ".Arn")
			scheduled = append(scheduled, function)
			for name, policy := range map[string]any{"RetryPolicy": at(target, "RetryPolicy"), "EventInvokeConfig": configs[function]} {
				if retries, age := at(policy, "MaximumRetryAttempts"), at(policy, "MaximumEventAgeInSeconds"); retries != 0 || age != 60 {
					t.Errorf("%s of %s has %v retries and an age of %v, want 0 and 60", name, function, retries, age)
				}
			}
		}
	}
	slices.Sort(scheduled)
	if !slices.Equal(scheduled, []string{"OutboxRelayFunction", "PeriodCloseFunction"}) {
		t.Errorf("schedules run %v", scheduled)
	}
}

// The bucket of failures is closed (documents has its policy), and keeps nothing for long, because records of
// profiles contain names.
func TestBucketOfFailures(t *testing.T) {
	stack := named(t, "prod")
	buckets := of(stack, "AWS::S3::Bucket")
	if len(buckets) != 1 {
		t.Fatalf("the stack has %d buckets, want 1", len(buckets))
	}
	p := buckets[0].Properties
	for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		if at(p, "PublicAccessBlockConfiguration", block) != true {
			t.Errorf("%s is not on", block)
		}
	}
	rules := either(at(p, "LifecycleConfiguration", "Rules"))
	for what, pair := range map[string][2]any{
		"name":       {p["BucketName"], "plaudit-prod-failures-000000000000-ap-northeast-2"},
		"encryption": {at(p, "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault", "SSEAlgorithm"), "AES256"},
		"ownership":  {at(p, "OwnershipControls", "Rules", 0, "ObjectOwnership"), "BucketOwnerEnforced"},
		"rules":      {len(rules), 1},
		"status":     {at(rules[0], "Status"), "Enabled"},
		"prefix":     {at(rules[0], "Prefix"), nil}, // all of it
		"expiry":     {at(rules[0], "ExpirationInDays"), 30},
	} {
		if pair[0] != pair[1] {
			t.Errorf("its %s is %v, want %v", what, pair[0], pair[1])
		}
	}
	if !strings.Contains(read(t, "template.yaml"), "  FailuresBucket:\n    Type: AWS::S3::Bucket\n"+keptAttributes) {
		t.Error("a bucket with objects in it cannot be deleted, and would hold up the stack's deletion")
	}
}

// Recovery and protection are apart: who must delete a table need not end what can be
// restored.
func TestProtectionOfTheLogIsNotItsRecovery(t *testing.T) {
	for _, c := range []struct{ protection, recovery bool }{{true, false}, {false, true}} {
		stack := changed(t, "prod", map[string]string{"LogProtection": strconv.FormatBool(c.protection), "LogRecovery": strconv.FormatBool(c.recovery)})
		for _, id := range slices.Sorted(maps.Keys(tables)) {
			table, _ := stack.Resource(id)
			if got := at(table.Properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"); got != c.recovery {
				t.Errorf("%s with %+v: the recovery is %v", id, c, got)
			}
			if got := table.Properties["DeletionProtectionEnabled"]; got != c.protection {
				t.Errorf("%s with %+v: the protection is %v", id, c, got)
			}
		}
	}
}

// CloudFormation can take back a first deployment as docs/operating.md describes it:
// nothing that it makes is protected, or kept under a fixed name.
func TestAFirstDeploymentCanBeTakenBack(t *testing.T) {
	for _, name := range []string{"dev", "prod"} {
		stack := changed(t, name, map[string]string{"DbDeletionProtection": "false", "LogProtection": "false"})
		for _, r := range stack.Resources {
			for property, value := range r.Properties {
				if strings.HasPrefix(property, "DeletionProtection") && fmt.Sprint(value) != "false" {
					t.Errorf("%s: %s of %s is %v", name, property, r.ID, value)
				}
			}
		}
		// There is no image before the first deployment, so a task cannot start.
		for _, s := range of(stack, "AWS::ECS::Service") {
			if fmt.Sprint(s.Properties["DesiredCount"]) != "0" {
				t.Errorf("%s: the service %s waits for %v tasks", name, s.ID, s.Properties["DesiredCount"])
			}
		}
	}
	if found := regexp.MustCompile(`(?m)^    DeletionPolicy: Retain$`).FindAllString(read(t, "template.yaml"), -1); found != nil {
		t.Errorf("%d resources are kept even if their creation is taken back", len(found))
	}
}
